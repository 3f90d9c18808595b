//! What no file shows alone: groups on nodes that are not in the cluster, agents that are not there, wrong modes, and what
//! a configuration risks though it is right.

pub mod devices;
mod risks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::authkeys::AuthKeys;
use super::ha_cf::{Autojoin, HaCf};
use super::haresources::Group;
use super::{ConfigError, Parsed, Problem, Severity, authkeys, ha_cf, haresources, lossy, no_keys, trust};
use crate::heartbeat::wire::authentication::Method;
use crate::resource::lookup::{self, Found, Places};

/// What came of looking at a whole folder.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong, file by file.
    pub problems: Vec<Problem>,
    /// Files that could not be read, and were not checked.
    pub unreadable: Vec<(PathBuf, ConfigError)>,
}

/// Looks at every file of a folder. Nothing stops it: what can be read is checked.
pub fn check(dir: &Path, places: &Places) -> Checked {
    let mut checked = Checked::default();
    let file = |name: &str| dir.join(name);
    let ha_cf = checked
        .file(&file("ha.cf"), trust::read_unjudged, trust::check_trusted, |f, text| ha_cf::parse(f, &lossy(text)));
    let keys = |file: &Path| trust::read_unjudged(file).map_err(no_keys);
    let keys = checked.file(&file("authkeys"), keys, trust::check_secret, authkeys::parse);
    let path = file("haresources");
    // Heartbeats alone need none; without ha.cf it is the folder that is wrong.
    let groups = match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && ha_cf.is_none() => None,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            checked.problems.push(Problem {
                file: path.clone(),
                line: None,
                what: "there is no haresources: this cluster moves nothing".to_owned(),
                hint: "write one line a group: the node, then its resources".to_owned(),
                severity: Severity::Warning,
            });
            None
        }
        _ => checked
            .file(&path, trust::read_unjudged, trust::check_trusted, |f, text| haresources::parse(f, &lossy(text))),
    };
    if let Some(ha_cf) = &ha_cf {
        checked.problems.extend(risky(&file("ha.cf"), ha_cf, groups.as_deref().unwrap_or_default(), keys.as_ref()));
        checked.problems.extend(devices::problems(&file("ha.cf"), ha_cf));
    }
    if let Some(keys) = keys {
        checked.problems.extend(weak(&file("authkeys"), &keys));
    }
    if let Some(groups) = groups {
        if let Some(ha_cf) = ha_cf {
            checked.problems.extend(strangers(&path, &groups, &ha_cf));
            checked.problems.extend(lonely(&path, &groups, &ha_cf));
        }
        checked.problems.extend(agents(&path, &groups, places));
    }
    checked
}

impl Checked {
    /// Reads one file, whatever its mode, and adds what is wrong with it.
    fn file<T>(
        &mut self,
        path: &Path,
        read: fn(&Path) -> Result<Vec<u8>, ConfigError>,
        judge: fn(&Path) -> Result<(), ConfigError>,
        parse: impl FnOnce(&Path, &[u8]) -> Parsed<T>,
    ) -> Option<T> {
        match read(path) {
            Err(e) => {
                self.unreadable.push((path.to_owned(), e));
                None
            }
            Ok(text) => {
                if let Err(e) = judge(path) {
                    self.problems.extend(e.problems(path));
                }
                let parsed = parse(path, &text);
                self.problems.extend(parsed.problems);
                Some(parsed.content)
            }
        }
    }
}

fn warning(file: &Path, line: u32, what: String, hint: impl Into<String>) -> Problem {
    Problem { file: file.to_owned(), line: Some(line), what, hint: hint.into(), severity: Severity::Warning }
}

fn error(file: &Path, line: u32, what: String, hint: impl Into<String>) -> Problem {
    Problem { severity: Severity::Error, ..warning(file, line, what, hint) }
}

/// Serial lines that are too slow, who is not needed, and nobody to ask who is alive.
fn risky(file: &Path, ha_cf: &HaCf, groups: &[Group], keys: Option<&AuthKeys>) -> Vec<Problem> {
    let line = |names: &[&str]| names.iter().filter_map(|n| ha_cf.line_of(n)).max().unwrap_or(1);
    let mut problems = Vec::new();
    let bytes = risks::heartbeat(ha_cf, groups, keys);
    for (path, share) in risks::full(ha_cf, bytes) {
        let percent = share * 100.0;
        let what = format!("heartbeats of {bytes} bytes take {percent:.0} % of the serial line {path}: more than half");
        problems.push(warning(file, line(&["serial"]), what, risks::room(ha_cf, bytes)));
    }
    if ha_cf.respawn.iter().any(|client| client.command.first().is_some_and(|program| program.ends_with("/ipfail"))) {
        let what = "ipfail is not started: its rule, that the node that reaches more ping nodes has the groups, holds without it";
        let hint = "leave the line where it is as long as the other node is a real heartbeat";
        let severity = Severity::Note;
        problems.push(Problem { severity, ..warning(file, line(&["respawn"]), what.to_owned(), hint) });
    }
    if risks::may_split(ha_cf) {
        let what = "nothing tells the two nodes apart from a cut between them: when all media fail both take everything \
                    (split brain)";
        let hint = "add a host that both reach and that knows nothing of them, ping 192.0.2.254, or a device that cuts \
                    a node off: stonith_host; and a second medium, such as a serial line";
        let severity = Severity::Note;
        problems.push(Problem { severity, ..warning(file, line(&["node"]), what.to_owned(), hint) });
    }
    problems
}

/// Groups that nobody takes over.
fn lonely(file: &Path, groups: &[Group], ha_cf: &HaCf) -> Vec<Problem> {
    let alone = risks::alone(ha_cf, groups).into_iter();
    alone
        .map(|group| {
            let node = group.nodes.join(",");
            let what = format!("only {node} may have '{}': of three nodes and more nobody stands by unasked", group.id);
            let others: Vec<&str> = ha_cf.nodes.iter().filter(|n| **n != node).map(String::as_str).collect();
            let hint = format!("list the candidates in their order: {node},{}", others.join(","));
            warning(file, group.line, what, hint)
        })
        .collect()
}

/// Keys that keep nobody out.
fn weak(file: &Path, keys: &AuthKeys) -> Vec<Problem> {
    let crc = keys.keys.iter().filter(|k| k.method == Method::Crc);
    crc.map(|k| {
        let what = format!("key {} is a checksum, which anybody on the network can make", k.index);
        warning(
            file,
            k.line,
            what,
            "use sha1, or sha256 where no node runs heartbeat itself; crc is for a serial cable",
        )
    })
    .collect()
}

/// Nodes of groups that are not in the cluster.
fn strangers(file: &Path, groups: &[Group], ha_cf: &HaCf) -> Vec<Problem> {
    if ha_cf.autojoin != Autojoin::None {
        return Vec::new(); // they may join yet
    }
    let mut problems = Vec::new();
    for group in groups {
        for node in group.nodes.iter().filter(|n| !ha_cf.nodes.contains(n)) {
            let what = format!("node '{node}' is not in the cluster");
            let hint = match ha_cf.nodes.as_slice() {
                [] => "name the nodes in ha.cf: node ha1 ha2".to_owned(),
                nodes => format!("ha.cf knows {}; add it there, or write one of these", nodes.join(", ")),
            };
            problems.push(error(file, group.line, what, hint));
        }
    }
    problems
}

/// Agents that are missing, or that others could have written. Each is told once.
fn agents(file: &Path, groups: &[Group], places: &Places) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for group in groups {
        for resource in &group.resources {
            // With arguments it is looked for elsewhere.
            if !seen.insert((resource.class.word(), &resource.provider, &resource.agent, resource.args.is_empty())) {
                continue;
            }
            match places.find(resource) {
                Found::Agent(agent) => {
                    if let Err(e) = agent.check() {
                        problems.push(error(file, group.line, e.to_string(), e.hint().unwrap_or_default()));
                    }
                }
                Found::NotExecutable(path) => {
                    let (what, hint) = lookup::not_executable(&path);
                    problems.push(error(file, group.line, what, hint));
                }
                Found::Unreadable(path, errno) => {
                    let e = lookup::unreadable(path, errno);
                    problems.push(error(file, group.line, e.to_string(), e.hint().unwrap_or_default()));
                }
                Found::Nothing(looked) => {
                    let (what, hint) = (lookup::missing(resource), lookup::install(&looked));
                    problems.push(error(file, group.line, what, hint));
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests;
