//! Where agents are found.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::spec::{Class, Resource};
use crate::cli::exit::Fault;
use crate::cli::{Error, Failure};
use crate::config::text::is_agent_name;
use crate::config::{ConfigError, trust};

/// The provider of OCF agents that a plain name means.
const HEARTBEAT: &str = "heartbeat";

/// Where systemd looks for units, without those that generators make of init.d (generator.late).
const UNITS: &[&str] = &[
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

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

/// An agent that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Whose conventions it keeps: a plain name may turn out to be an OCF agent or a unit.
    pub class: Class,
    /// The folder of an OCF agent.
    pub provider: Option<String>,
    /// Its script, or the unit's file.
    pub path: PathBuf,
    /// The name of its script, or of the unit with its kind.
    pub name: String,
}

impl Agent {
    /// Whether nobody but root and us could have written what would be run.
    ///
    /// The path is then also safe from being exchanged before it is run, by anybody but those two. Units are systemd's
    /// own affair.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.class {
            Class::Systemd => Ok(()),
            _ => trust::check_trusted(&self.path),
        }
    }

    /// As a person would name it: the path, or the unit.
    pub fn shown(&self) -> String {
        match self.class {
            Class::Systemd => self.name.clone(),
            _ => self.path.display().to_string(),
        }
    }
}

/// What was found of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Agent(Agent),
    /// A file that cannot be executed, and no program elsewhere.
    NotExecutable(PathBuf),
    /// A place that cannot be looked at: what may stand there goes before all others.
    Unreadable(PathBuf, Errno),
    /// Nothing at these places.
    Nothing(Vec<PathBuf>),
}

impl Places {
    /// All of them below one folder.
    #[cfg(test)]
    pub(crate) fn below(dir: &Path) -> Self {
        Self {
            scripts: ["resource.d", "init.d", "shipped"].map(|d| dir.join(d)).to_vec(),
            init_d: dir.join("init.d"),
            ocf: dir.join("ocf"),
            units: vec![dir.join("units")],
        }
    }

    /// The places of this machine, for the cluster of this folder.
    pub fn of(dir: &Path) -> Self {
        let init_d = PathBuf::from("/etc/init.d");
        let shipped = folder_of(std::env::var_os("TAKEOVER_RESOURCE_D")).or_else(|| {
            let program = std::env::current_exe().ok()?;
            Some(program.parent()?.parent()?.join("share/takeover/resource.d"))
        });
        let ocf = folder_of(std::env::var_os("OCF_ROOT")).unwrap_or_else(|| PathBuf::from("/usr/lib/ocf"));
        Self {
            scripts: [Some(dir.join("resource.d")), Some(init_d.clone()), shipped].into_iter().flatten().collect(),
            init_d,
            ocf: ocf.join("resource.d"),
            units: UNITS.iter().map(PathBuf::from).collect(),
        }
    }

    /// Looks for the agent of a resource. The name is one that [`Resource`] lets through: it leaves no folder.
    pub fn find(&self, resource: &Resource) -> Found {
        let mut not_executable = None;
        let mut looked = Vec::new();
        for agent in self.candidates(resource) {
            match agent.there() {
                Ok(There::Program) => return Found::Agent(agent),
                Ok(There::NotExecutable) => not_executable = not_executable.or_else(|| Some(agent.path.clone())),
                Ok(There::Nothing) => {}
                Err(e) => return Found::Unreadable(agent.path, Errno::from_raw(e.raw_os_error().unwrap_or_default())),
            }
            looked.push(agent.path);
        }
        not_executable.map_or(Found::Nothing(looked), Found::NotExecutable)
    }

    /// Finds the agent of a resource and judges whether it may be run.
    ///
    /// # Errors
    /// Unavailable where there is none, permission where it cannot be executed, configuration where others could have
    /// written it.
    pub fn resolve(&self, resource: &Resource) -> Result<Agent, Error> {
        let failure = |fault, code, message, hint| Failure { fault, code, message, hint: Some(hint) };
        match self.find(resource) {
            Found::Agent(agent) => {
                agent.check()?;
                Ok(agent)
            }
            Found::NotExecutable(path) => {
                let (message, hint) = not_executable(&path);
                Err(failure(Fault::Permission, "not-executable", message, hint).into())
            }
            Found::Unreadable(path, errno) => Err(unreadable(path, errno).into()),
            Found::Nothing(looked) => {
                let message = missing(resource);
                Err(failure(Fault::Unavailable, "no-agent", message, install(&looked)).into())
            }
        }
    }

    /// All files that the agent of this resource may be, the first one wins.
    fn candidates(&self, resource: &Resource) -> Vec<Agent> {
        let name = resource.agent.as_str();
        let script =
            |class, folder: &Path| Agent { class, provider: None, path: folder.join(name), name: name.to_owned() };
        let ocf = |provider: &str| Agent {
            provider: Some(provider.to_owned()),
            ..script(Class::Ocf, &self.ocf.join(provider))
        };
        match resource.class {
            Class::Lsb => vec![script(Class::Lsb, &self.init_d)],
            Class::Ocf => vec![ocf(resource.provider.as_deref().unwrap_or(HEARTBEAT))],
            Class::Systemd => self.unit_files(name),
            Class::Heartbeat => {
                let mut all: Vec<Agent> = self.scripts.iter().map(|d| script(Class::Heartbeat, d)).collect();
                // A plain name without arguments may be anything that can be started and stopped.
                if resource.args.is_empty() {
                    all.push(ocf(HEARTBEAT));
                    all.extend(self.unit_files(name));
                }
                all
            }
        }
    }

    fn unit_files(&self, name: &str) -> Vec<Agent> {
        const KINDS: &[&str] = &["service", "socket", "target", "mount", "timer", "path", "slice", "scope", "swap"];
        let whole = match name.rsplit_once('.') {
            Some((_, kind)) if KINDS.contains(&kind) => name.to_owned(),
            _ => format!("{name}.service"),
        };
        // An instance (getty@tty1.service) comes of its template (getty@.service).
        let template = match (whole.split_once('@'), whole.rsplit_once('.')) {
            (Some((base, _)), Some((_, kind))) => format!("{base}@.{kind}"),
            _ => whole.clone(),
        };
        let unit =
            |d: &PathBuf| Agent { class: Class::Systemd, provider: None, path: d.join(&template), name: whole.clone() };
        self.units.iter().map(unit).collect()
    }

    /// All agents that can be found, the classes in the order of the look-up, names sorted.
    pub fn list(&self) -> Vec<Agent> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        for folder in &self.scripts {
            let class = if *folder == self.init_d { Class::Lsb } else { Class::Heartbeat };
            for name in names(folder) {
                let agent = Agent { class, provider: None, path: folder.join(&name), name };
                if agent.is_program() && seen.insert(agent.name.clone()) {
                    all.push(agent);
                }
            }
        }
        for provider in names(&self.ocf) {
            let folder = self.ocf.join(&provider);
            let agents = names(&folder).into_iter().map(|name| Agent {
                class: Class::Ocf,
                provider: Some(provider.clone()),
                path: folder.join(&name),
                name,
            });
            all.extend(agents.filter(Agent::is_program));
        }
        let mut units = BTreeMap::new();
        for folder in &self.units {
            for name in names(folder).into_iter().filter(|n| n.ends_with(".service")) {
                let path = folder.join(&name);
                units.entry(name.clone()).or_insert(Agent { class: Class::Systemd, provider: None, path, name });
            }
        }
        all.extend(units.into_values());
        all
    }
}

impl Agent {
    fn there(&self) -> std::io::Result<There> {
        match self.path.metadata() {
            Ok(m) if !m.is_file() => Ok(There::Nothing),
            Ok(m) if self.class == Class::Systemd || m.permissions().mode() & 0o111 != 0 => Ok(There::Program),
            Ok(_) => Ok(There::NotExecutable),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(There::Nothing),
            Err(e) => Err(e),
        }
    }

    fn is_program(&self) -> bool {
        matches!(self.there(), Ok(There::Program))
    }
}

/// What stands at the place of an agent.
enum There {
    /// Something that can be run, or the file of a unit.
    Program,
    /// A file that cannot be executed.
    NotExecutable,
    /// No file.
    Nothing,
}

/// The folder that a variable names, from the root on: what is judged here is run elsewhere. An empty one names none.
fn folder_of(variable: Option<OsString>) -> Option<PathBuf> {
    std::path::absolute(variable.filter(|v| !v.is_empty())?).ok()
}

/// The names in a folder that can be agents, sorted; none where it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |e: std::io::Result<std::fs::DirEntry>| e.ok()?.file_name().into_string().ok();
    let mut names: Vec<String> = entries.filter_map(name).filter(|n| is_agent_name(n)).collect();
    names.sort();
    names
}

/// That an agent may not be executed, in words, and what to do about it.
pub fn not_executable(path: &Path) -> (String, String) {
    (format!("the agent {} may not be executed", path.display()), format!("chmod +x {}", trust::shell_word(path)))
}

/// That a place where the agent may be cannot be looked at.
pub fn unreadable(path: PathBuf, errno: Errno) -> ConfigError {
    ConfigError::Unreadable { path, error: errno.into() }
}

/// That there is no agent, in words.
pub fn missing(resource: &Resource) -> String {
    match resource.agent == resource.spec {
        true => format!("there is no agent '{}'", resource.agent),
        false => format!("there is no agent '{}', for '{}'", resource.agent, resource.spec),
    }
}

/// What to do about it.
pub fn install(looked: &[PathBuf]) -> String {
    let folders: Vec<String> = looked.iter().filter_map(|p| p.parent()).map(|p| p.display().to_string()).collect();
    format!("install it, or mend its name; looked in {}", folders.join(", "))
}

#[cfg(test)]
mod tests;
