//! What each class of agents is told: the words behind its name and the environment. Pure: what there is of the machine
//! comes in as [`Around`].

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Action;
use super::lookup::Agent;
use super::spec::{Class, Resource};

/// What is around an agent: the same for all of one call.
#[derive(Clone, Debug)]
pub struct Around {
    /// The folder of the cluster, absolute.
    pub ha_d: PathBuf,
    /// This node, as `uname -n` prints it.
    pub node: String,
    /// The environment that we were given.
    pub inherited: Vec<(OsString, OsString)>,
    /// The folder of our own commands: the last one where agents find programs.
    pub bin: Option<PathBuf>,
    /// The folder of our locks; none where there is no place for it.
    pub locks: Option<PathBuf>,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// All of its environment.
    pub env: Vec<(OsString, OsString)>,
}

/// Where OCF agents keep state that does not survive a reboot.
pub const RSCTMP: &str = "/run/resource-agents";

/// Where cron and heartbeat do not look, and agents need to.
const SBIN: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The word for an action where nobody knows a monitor.
fn plain(action: Action) -> &'static str {
    if action == Action::Monitor { Action::Status.word() } else { action.word() }
}

/// How to tell this agent to do that.
pub fn call(agent: &Agent, resource: &Resource, action: Action, timeout: Duration, around: &Around) -> Call {
    let words: Vec<&str> = match agent.class {
        Class::Heartbeat => resource.args.iter().map(String::as_str).chain([plain(action)]).collect(),
        Class::Lsb => vec![plain(action)],
        Class::Ocf => vec![match action {
            Action::Status => "monitor",
            Action::Metadata => "meta-data",
            other => other.word(),
        }],
        Class::Systemd => return Call { program: "systemctl".into(), ..unit(&agent.name, action, around) },
    };
    let mut env = common(around);
    match agent.class {
        Class::Ocf => ocf(&mut env, agent, resource, action, timeout),
        _ => heartbeat(&mut env, agent, around),
    }
    if matches!(action, Action::Status | Action::Monitor) {
        // Words are looked at: "running" in another language is another word. A service keeps its own language.
        set(&mut env, "LC_ALL", "C");
    }
    Call { program: agent.path.clone(), args: words.into_iter().map(OsString::from).collect(), env }
}

fn unit(name: &str, action: Action, around: &Around) -> Call {
    let words: &[&str] = match action {
        Action::Start => &["start"],
        Action::Stop => &["stop"],
        Action::Status | Action::Monitor => &["show", "--property=LoadState,ActiveState,SubState"],
        Action::Metadata => &["show", "--property=Id,Description,Documentation,FragmentPath,LoadState"],
    };
    let words = words.iter().copied().chain(["--no-ask-password", "--no-pager", "--", name]);
    let args = words.map(OsString::from).collect();
    Call { program: PathBuf::new(), args, env: common(around) }
}

type Env = Vec<(OsString, OsString)>;

fn get<'a>(env: &'a Env, name: &str) -> Option<&'a OsStr> {
    env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_os_str())
}

fn set(env: &mut Env, name: &str, value: impl Into<OsString>) {
    env.retain(|(n, _)| n != name);
    env.push((name.into(), value.into()));
}

/// Where somebody said so already, that holds.
fn default(env: &mut Env, name: &str, value: impl Into<OsString>) {
    if get(env, name).is_none() {
        env.push((name.into(), value.into()));
    }
}

/// Whether a variable is not handed on: it would be meant for another resource, turns words into other languages, makes a
/// shell or the loader run something else, or keeps systemctl from its work.
fn foreign(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    (name.starts_with(b"OCF_") && name != b"OCF_CHECK_LEVEL")
        || name.starts_with(b"LD_")
        || name.starts_with(b"BASH_FUNC_")
        || [&b"LC_ALL"[..], b"LANGUAGE", b"BASH_ENV", b"ENV", b"SYSTEMD_OFFLINE", b"SYSTEMD_IGNORE_CHROOT"]
            .contains(&name)
}

/// For all of them: what we were given, without what is foreign, and a PATH that finds the tools of an administrator, and
/// ours.
fn common(around: &Around) -> Env {
    let mut env: Env = around.inherited.iter().filter(|(n, _)| !foreign(n)).cloned().collect();
    let mut path = get(&env, "PATH").map(OsStr::to_owned).unwrap_or_default();
    let ours = around.bin.as_deref().map(Path::as_os_str);
    for part in SBIN.split(':').map(OsStr::new).chain(ours) {
        if !std::env::split_paths(&path).any(|p| p.as_os_str() == part) {
            if !path.is_empty() {
                path.push(":");
            }
            path.push(part);
        }
    }
    set(&mut env, "PATH", path);
    set(&mut env, "PWD", "/"); // where it is run
    env
}

/// What heartbeat's ResourceManager has in its environment, by shellfuncs, when it calls a script.
fn heartbeat(env: &mut Env, agent: &Agent, around: &Around) {
    let ha_d = &around.ha_d;
    set(env, "HA_DIR", ha_d);
    set(env, "HA_FUNCS", ha_d.join("shellfuncs"));
    set(env, "HA_RCDIR", ha_d.join("rc.d"));
    set(env, "HA_CONFDIR", ha_d.join("conf"));
    set(env, "HA_RESOURCEDIR", ha_d.join("resource.d"));
    set(env, "HA_CF", ha_d.join("ha.cf"));
    set(env, "HA_CURHOST", around.node.as_str());
    default(env, "HA_FIFO", "/var/lib/heartbeat/fifo");
    default(env, "HA_VARLIB", "/var/lib/heartbeat");
    set(env, "HA_BIN", "/usr/libexec/heartbeat");
    default(env, "HA_SBIN_DIR", "/usr/sbin");
    default(env, "HA_NOARCHBIN", "/usr/share/heartbeat");
    default(env, "HA_DATEFMT", "%b %d %T ");
    default(env, "HA_DEBUGLOG", "/dev/null");
    default(env, "HA_DOCDIR", "/usr/share/doc/heartbeat");
    set(env, "HA_RSCTMP", RSCTMP);
    default(env, "OCF_AGENTS", "/usr/lib/ocf/resource.d/heartbeat/");
    default(env, "HA_LOGTAG", agent.name.as_str());
}

fn ocf(env: &mut Env, agent: &Agent, resource: &Resource, action: Action, timeout: Duration) {
    // PROVIDER/AGENT under resource.d under the root.
    let root = agent.path.ancestors().nth(3).unwrap_or(Path::new("/usr/lib/ocf"));
    set(env, "OCF_ROOT", root);
    set(env, "OCF_RA_VERSION_MAJOR", "1");
    set(env, "OCF_RA_VERSION_MINOR", "0");
    set(env, "OCF_RESOURCE_TYPE", agent.name.as_str());
    set(env, "OCF_RESOURCE_PROVIDER", agent.provider.as_deref().unwrap_or_default());
    set(env, "OCF_RESOURCE_INSTANCE", instance(resource));
    set(env, "HA_RSCTMP", RSCTMP);
    default(env, "HA_LOGFACILITY", "none");
    // A question that is asked once is a probe: an agent that is not even installed then says "not running" in peace.
    let interval = if action == Action::Monitor { "10000" } else { "0" };
    set(env, "OCF_RESKEY_CRM_meta_interval", interval);
    set(env, "OCF_RESKEY_CRM_meta_timeout", timeout.as_millis().to_string());
    for (name, value) in resource.args.iter().filter_map(|a| a.split_once('=')) {
        set(env, &format!("OCF_RESKEY_{name}"), value);
    }
}

/// A name for the resource that no other one has: agents name files by it.
pub fn instance(resource: &Resource) -> String {
    const LONGEST: usize = 100;
    let mut name = resource.agent.clone();
    for argument in &resource.args {
        name.push('_');
        name.push_str(argument.split_once('=').map_or(argument, |(_, value)| value));
    }
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect();
    if plain == name && plain.len() <= LONGEST && resource.args.len() <= 1 {
        return plain;
    }
    // Something was lost: the names of the parameters, a slash, the end.
    let digest = resource.spec.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3) // FNV-1a
    });
    format!("{}_{:08x}", &plain[..plain.len().min(LONGEST)], digest as u32)
}

#[cfg(test)]
mod tests;
