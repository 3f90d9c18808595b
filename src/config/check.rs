//! What no file shows alone: groups on nodes that are not in the cluster, agents that are not there, wrong modes.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::authkeys::AuthKeys;
use super::ha_cf::{Autojoin, HaCf};
use super::haresources::{Class, Group, Resource};
use super::{ConfigError, Parsed, Problem, Severity, authkeys, ha_cf, haresources, lossy, no_keys, trust};
use crate::heartbeat::wire::authentication::Method;

/// What came of looking at a whole folder.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong, file by file.
    pub problems: Vec<Problem>,
    /// Files that could not be read, and were not checked.
    pub unreadable: Vec<ConfigError>,
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
    if let Some(keys) = keys {
        checked.problems.extend(weak(&file("authkeys"), &keys));
    }
    if let Some(groups) = groups {
        if let Some(ha_cf) = ha_cf {
            checked.problems.extend(strangers(&path, &groups, &ha_cf));
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
                self.unreadable.push(e);
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
            if !seen.insert((resource.class.word(), &resource.provider, &resource.agent)) {
                continue;
            }
            match places.find(resource) {
                Found::Program(path) => {
                    if let Err(e) = trust::check_trusted(&path) {
                        problems.push(error(file, group.line, e.to_string(), e.hint().unwrap_or_default()));
                    }
                }
                Found::NotExecutable(path) => {
                    let what = format!("the agent {} may not be executed", path.display());
                    problems.push(error(file, group.line, what, format!("chmod +x {}", trust::shell_word(&path))));
                }
                Found::Unit => {}
                Found::Nothing(looked) => {
                    let what = match resource.agent == resource.spec {
                        true => format!("there is no agent '{}'", resource.agent),
                        false => format!("there is no agent '{}', for '{}'", resource.agent, resource.spec),
                    };
                    let folders: Vec<String> =
                        looked.iter().filter_map(|p| p.parent()).map(|p| p.display().to_string()).collect();
                    let hint = format!("install it, or mend its name; looked in {}", folders.join(", "));
                    problems.push(error(file, group.line, what, hint));
                }
            }
        }
    }
    problems
}

/// The folders where agents are looked for, in their order.
#[derive(Clone, Debug)]
pub struct Places {
    /// Scripts of heartbeat's kind: resource.d of the cluster, init.d, the scripts that we ship.
    pub scripts: Vec<PathBuf>,
    /// Scripts of LSB's kind.
    pub init_d: PathBuf,
    /// Folders of OCF agents, one a provider.
    pub ocf: PathBuf,
    /// Units of systemd.
    pub units: Vec<PathBuf>,
}

/// What was found of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A program.
    Program(PathBuf),
    /// A file that cannot be executed, and no program elsewhere.
    NotExecutable(PathBuf),
    /// A unit of systemd.
    Unit,
    /// Nothing at these places.
    Nothing(Vec<PathBuf>),
}

impl Places {
    /// The places of this machine, for the cluster of this folder.
    pub fn of(dir: &Path) -> Self {
        let init_d = PathBuf::from("/etc/init.d");
        let shipped = std::env::var_os("TAKEOVER_RESOURCE_D").map(PathBuf::from).or_else(|| {
            let program = std::env::current_exe().ok()?;
            Some(program.parent()?.parent()?.join("share/takeover/resource.d"))
        });
        let ocf = std::env::var_os("OCF_ROOT").map_or_else(|| PathBuf::from("/usr/lib/ocf"), PathBuf::from);
        Self {
            scripts: [Some(dir.join("resource.d")), Some(init_d.clone()), shipped].into_iter().flatten().collect(),
            init_d,
            ocf: ocf.join("resource.d"),
            units: ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
                .map(PathBuf::from)
                .to_vec(),
        }
    }

    /// Looks for the agent of a resource. The name is one that [`Resource`] lets through: it leaves no folder.
    pub fn find(&self, resource: &Resource) -> Found {
        let agent = resource.agent.as_str();
        let ocf = |provider: &str| self.ocf.join(provider).join(agent);
        let (programs, units) = match resource.class {
            Class::Lsb => (vec![self.init_d.join(agent)], Vec::new()),
            Class::Ocf => (vec![ocf(resource.provider.as_deref().unwrap_or("heartbeat"))], Vec::new()),
            Class::Systemd => (Vec::new(), self.unit_files(agent)),
            // A plain name without arguments may be anything that can be started and stopped.
            Class::Heartbeat if resource.args.is_empty() => {
                let scripts = self.scripts.iter().map(|d| d.join(agent));
                (scripts.chain([ocf("heartbeat")]).collect(), self.unit_files(agent))
            }
            Class::Heartbeat => (self.scripts.iter().map(|d| d.join(agent)).collect(), Vec::new()),
        };
        let mut not_executable = None;
        for path in &programs {
            match path.metadata() {
                Ok(m) if !m.is_file() => {}
                Ok(m) if m.permissions().mode() & 0o111 != 0 => return Found::Program(path.clone()),
                Ok(_) => not_executable = not_executable.or_else(|| Some(path.clone())),
                Err(_) => {}
            }
        }
        if units.iter().any(|u| u.exists()) {
            return Found::Unit;
        }
        not_executable.map_or_else(|| Found::Nothing([programs, units].concat()), Found::NotExecutable)
    }

    fn unit_files(&self, name: &str) -> Vec<PathBuf> {
        const KINDS: &[&str] = &["service", "socket", "target", "mount", "timer", "path", "slice", "scope", "swap"];
        let whole = match name.rsplit_once('.') {
            Some((_, kind)) if KINDS.contains(&kind) => name.to_owned(),
            _ => format!("{name}.service"),
        };
        // An instance (getty@tty1.service) comes of its template (getty@.service).
        let template = match (whole.split_once('@'), whole.rsplit_once('.')) {
            (Some((base, _)), Some((_, kind))) => format!("{base}@.{kind}"),
            _ => whole,
        };
        self.units.iter().map(|d| d.join(&template)).collect()
    }
}

#[cfg(test)]
mod tests;
