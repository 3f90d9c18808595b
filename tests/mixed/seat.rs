//! A place in the pair, a or b, at which either a real heartbeat runs or ha-node with its parts.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::{Host, Lab};

use crate::watch::LOOK;

/// A bound for everything: only there so that a test cannot hang. A real heartbeat takes 30 s to give up what it cannot
/// start.
pub const LONG: Duration = Duration::from_secs(60);
/// The group that prefers a, and the one that prefers b.
pub const GROUPS: [&str; 2] = ["FlagA", "FlagB"];
/// 0 is a, 1 is b.
pub type Place = usize;
/// Their names.
pub const NAMES: [&str; 2] = ["a", "b"];

/// A resource that is there from the first moment of its start to the last of its stop, both of which take a while: the seconds
/// in `long`, or, where that says `held`, until it is gone, after a mark `amid`.
fn flag(dir: &str, name: &str) -> String {
    format!(
        "#!/bin/sh\nf={dir}/{name}\nlong() {{ s=$(cat {dir}/long 2>/dev/null || echo 0.1)\n\
         [ \"$s\" = held ] || {{ sleep \"$s\"; return; }}\n\
         : >{dir}/amid; while [ -e {dir}/long ]; do sleep 0.05; done; }}\ncase $1 in\n\
         start) [ ! -e {dir}/fails ] || exit 1; : >$f; long;;\nstop) [ ! -e $f ] || {{ long; rm -f $f; }};;\n\
         status) [ -e $f ] && echo running || echo stopped;;\nesac\n"
    )
}

/// What runs at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's heartbeat.
    Real,
    /// ha-node.
    Ours,
}
use Kind::{Ours, Real};

/// ha-node with its parts.
struct Own<'a> {
    host: Host<'a>,
    dir: PathBuf,
    shell: Option<Child>,
}

impl<'a> Own<'a> {
    fn prepare(host: Host<'a>, dir: PathBuf, flags: &Path, ha_cf: &str, haresources: &str) -> Self {
        let ha_d = dir.join("ha.d");
        fs::create_dir_all(ha_d.join("resource.d")).unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            fs::write(ha_d.join(name), text).unwrap();
            fs::set_permissions(ha_d.join(name), Permissions::from_mode(mode)).unwrap();
        };
        write("ha.cf", ha_cf, 0o644);
        write("authkeys", "auth 1\n1 sha1 TestKey123\n", 0o600);
        write("haresources", haresources, 0o644);
        for group in GROUPS {
            write(&format!("resource.d/{group}"), &flag(flags.to_str().unwrap(), group), 0o755);
        }
        Self { host, dir, shell: None }
    }

    fn start(&mut self) {
        assert!(self.shell.is_none());
        let bin = takeover_lab::tool("ha-decide").parent().unwrap().to_str().unwrap().to_owned();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let words = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("words")).unwrap();
        let mut command = self.host.command(scripts.join("ha-node"));
        command.arg("--ha-d").arg(self.dir.join("ha.d")).args(["--node", self.host.name()]);
        command.arg("--run-dir").arg(self.dir.join("run")).arg("--state-dir").arg(self.dir.join("state"));
        command.env("PATH", format!("{bin}:{}:{}", scripts.display(), std::env::var("PATH").unwrap()));
        command.env("TAKEOVER_RESOURCE_D", scripts.join("resource.d")).env("TAKEOVER_LOCKS", self.dir.join("locks"));
        command.stdin(Stdio::null()).stdout(words.try_clone().unwrap()).stderr(words).process_group(0);
        self.shell = Some(command.spawn().unwrap());
    }

    /// What an operator does.
    fn ask(&self, what: &str, which: &str) {
        let events = fs::OpenOptions::new().read(true).write(true).open(self.dir.join("run/events")).unwrap();
        let mut command = Command::new(takeover_lab::tool("ha-event"));
        command.args(["--tool", "ha-node", "asked"]).arg(format!("what={what}")).arg(format!("which={which}"));
        assert!(command.stdout(events).status().unwrap().success());
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let shell = self.shell.as_ref().unwrap();
        killpg(Pid::from_raw(shell.id().try_into().unwrap()), signal).unwrap();
    }

    #[track_caller]
    fn leave(&mut self) {
        let mut shell = self.shell.take().unwrap();
        nix::sys::signal::kill(Pid::from_raw(shell.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + LONG;
        let status = loop {
            if let Some(status) = shell.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.shell = Some(shell);
                panic!("ha-node does not leave");
            }
            thread::sleep(LOOK);
        };
        self.end(shell);
        assert!(status.success(), "{status}");
    }

    fn kill(&mut self) {
        if let Some(shell) = self.shell.take() {
            self.end(shell);
        }
    }

    fn end(&self, mut shell: Child) {
        let _ = killpg(Pid::from_raw(shell.id().try_into().unwrap()), Signal::SIGKILL);
        let _ = shell.wait();
    }

    /// Where it thinks that the groups are, if nothing moves.
    fn thinks(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.dir.join("run/status")).unwrap_or_default();
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let groups = rows.filter(|row| row["event"] == "group-status" && row["is"] == "running");
        groups
            .map(|row| (row["group"].as_str().unwrap().to_owned(), row["node"].as_str().unwrap().to_owned()))
            .collect()
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let words = fs::read_to_string(self.dir.join("words")).unwrap_or_default();
            let status = fs::read_to_string(self.dir.join("run/status")).unwrap_or_default();
            if !words.is_empty() {
                let journal = std::env::temp_dir().join(format!("takeover-mixed-{}.jsonl", std::process::id()));
                let _ = fs::copy(self.dir.join("state/events.jsonl"), &journal);
                eprintln!("the words of ours:\n{words}\nits status:\n{status}\nits journal: {}", journal.display());
            }
        }
        self.kill();
    }
}

/// A place.
pub struct Seat<'a> {
    host: Host<'a>,
    /// Where the flags of its groups are, and what makes these slow (`long`) or fail (`fails`).
    pub flags: PathBuf,
    setup: Setup,
    real: Option<Node<'a>>,
    ours: Own<'a>,
    /// What runs here, or would.
    pub kind: Kind,
    /// Whether it does.
    pub runs: bool,
}

impl<'a> Seat<'a> {
    /// Nothing runs there yet.
    pub fn new(lab: &'a Lab, place: Place, kind: Kind, ha_cf: &str, haresources: &str) -> Self {
        let (name, host) = (NAMES[place], lab.host(NAMES[place]));
        let flags = lab.dir().join("flags").join(name);
        fs::create_dir_all(&flags).unwrap();
        let mut setup = Setup::new(ha_cf).haresources(haresources);
        for group in GROUPS {
            setup = setup.script(group, &flag(flags.to_str().unwrap(), group));
        }
        let ours = Own::prepare(host, lab.dir().join("ours").join(name), &flags, ha_cf, haresources);
        Self { host, flags, setup, real: None, ours, kind, runs: false }
    }

    /// The host.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// What is to run here next time.
    pub fn becomes(&mut self, kind: Kind) {
        self.kind = kind;
        if let (Real, Some(node)) = (kind, &self.real) {
            // It would go on with the generation that it had before ours, which the others take for a replay. Without the
            // file it begins with the clock's seconds, as at its very first start.
            fs::remove_file(node.dir().join("lib/hb_generation")).unwrap();
        }
    }

    /// Starts it, and does not wait.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(!std::mem::replace(&mut self.runs, true));
        match (self.kind, &mut self.real) {
            (Ours, _) => self.ours.start(),
            (Real, Some(node)) => node.launch_again(),
            (Real, None) => self.real = Some(Node::launch(self.host, &self.setup)),
        }
    }

    /// The polite leave.
    #[track_caller]
    pub fn leave(&mut self) {
        match self.kind {
            Ours => self.ours.leave(),
            Real => assert!(self.real.as_mut().unwrap().stop()),
        }
        self.runs = false;
    }

    /// As a machine that loses its power.
    #[track_caller]
    pub fn kill(&mut self) {
        match self.kind {
            Ours => self.ours.kill(),
            Real => self.real.as_mut().unwrap().kill(),
        }
        self.runs = false;
        for group in GROUPS {
            let _ = fs::remove_file(self.flags.join(group));
        }
    }

    /// All of it stands still.
    #[track_caller]
    pub fn freeze(&self) {
        match self.kind {
            Ours => self.ours.signal(Signal::SIGSTOP),
            Real => self.real().freeze(),
        }
    }

    /// It goes on.
    #[track_caller]
    pub fn thaw(&self) {
        match self.kind {
            Ours => self.ours.signal(Signal::SIGCONT),
            Real => self.real().thaw(),
        }
    }

    /// What an operator does here.
    #[track_caller]
    pub fn order(&self, what: &str, which: &str) {
        match &self.real {
            Some(real) if self.kind == Real => {
                let script = format!("/usr/share/heartbeat/hb_{what}");
                assert!(real.command(&script).arg(which).output().unwrap().status.success());
            }
            _ => self.ours.ask(what, which),
        }
    }

    /// The node, where it is a real one.
    #[track_caller]
    pub fn real(&self) -> &Node<'a> {
        self.real.as_ref().unwrap()
    }

    /// Whether it says that the groups are at these places.
    pub fn agrees(&self, place: Place, holders: [Place; 2]) -> bool {
        if !self.runs {
            return true;
        }
        if self.kind == Ours {
            let held = GROUPS.iter().zip(holders);
            let held = held.map(|(group, holder)| ((*group).to_owned(), NAMES[holder].to_owned()));
            return self.ours.thinks() == held.collect();
        }
        let word = match (holders[place] == place, holders[1 - place] == place) {
            (true, true) => "all",
            (true, false) => "local",
            (false, true) => "foreign",
            (false, false) => "none",
        };
        self.real().cl_status(&["rscstatus"]) == word
    }

    /// Where it thinks that the groups are, for a message.
    pub fn thoughts(&self) -> String {
        match (self.runs, self.kind) {
            (false, _) => "it does not run".to_owned(),
            (_, Ours) => format!("{:?}", self.ours.thinks()),
            (_, Real) => self.real().cl_status(&["rscstatus"]),
        }
    }
}
