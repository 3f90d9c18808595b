//! A real server in a host of its own, and what can befall it. Which servers, and what their configurations are, is the
//! test's.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use takeover_lab::{Child, Cut, Lab, Signal};

use super::hosts::Ran;

/// Where the server is, and who asks it.
pub const SERVER: &str = "10.9.0.1";
const CLIENT: &str = "10.9.0.2";

/// A bound for what has to come: only there so that a test cannot hang.
const LONG: &str = "60s";

/// A host with one server in it, and one beside it that probes. Dropping it ends both, and removes the server's folder.
pub struct Service {
    child: Child,
    line: String,
    /// The network namespace of the server's host, as /proc has it.
    space: PathBuf,
    /// What runs in it, but is none of the server's.
    keepers: Vec<i32>,
    lab: Lab,
    dir: PathBuf,
}

impl Service {
    /// Starts `line`, one of shell that becomes the server (with `exec`), in the folder that `prepare` has filled.
    #[track_caller]
    pub fn start(name: &str, prepare: impl FnOnce(&Path), line: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("services-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        prepare(&dir);
        // As root, without a user namespace: most servers become somebody else.
        let lab = Lab::up_as_root(&[("server", &format!("{SERVER}/24")), ("client", &format!("{CLIENT}/24"))]);
        let server = lab.host("server");
        // As behind a router: that the neighbour is gone is seen by nobody.
        lab.host("client").sh(&format!("ip neigh replace {SERVER} lladdr {} dev eth0 nud permanent", server.mac()));
        let space = PathBuf::from(server.sh("readlink /proc/self/ns/net"));
        let keepers = pids(&space);
        let child = spawn(&lab, &dir, line);
        Self { child, line: line.to_owned(), space, keepers, lab, dir }
    }

    /// Tells it to end, as an init script does, and starts it again once `between` has returned.
    #[track_caller]
    pub fn restart(&mut self, between: impl FnOnce(&Self)) {
        self.child.signal(Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.pids().is_empty() {
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.pids());
            std::thread::sleep(Duration::from_millis(2));
        }
        between(self);
        self.child = spawn(&self.lab, &self.dir, &self.line);
    }

    /// The path of one of its files.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Runs a probe beside it to its end: status, `up`, reason. A probe that did not get to run tells so and is asked
    /// again.
    #[track_caller]
    pub fn verdict(&self, probe: &[String], timeout: &str) -> (i32, Option<bool>, String) {
        for _ in 0..10 {
            let ran = self.probe(probe, &["--timeout", timeout]);
            let event = ran.last();
            let reason = event["reason"].as_str().unwrap_or_else(|| panic!("{ran:#?}")).to_owned();
            if reason != "stalled" {
                return (ran.status, event["up"].as_bool(), reason);
            }
        }
        panic!("{probe:?}: this machine is too busy to tell anything");
    }

    /// Waits until that probe says that it is up.
    #[track_caller]
    pub fn await_up(&self, probe: &[String]) {
        let ran = self.probe(probe, &["--until", "up", "--rise", "1", "--every", "50ms", "--for", LONG]);
        assert_eq!(ran.status, 0, "it does not come up: {ran:#?}\nits words: {}", self.child.words());
    }

    fn probe(&self, probe: &[String], more: &[&str]) -> Ran {
        let mut command = self.lab.host("client").tool(&probe[0]);
        Ran::read(&command.args(&probe[1..]).args(more).output().unwrap())
    }

    /// Cuts it off: its packets, and those to it, vanish.
    #[track_caller]
    pub fn cut(&self) {
        self.lab.host("server").cut(Cut::Silent);
    }

    /// Undoes the cut.
    #[track_caller]
    pub fn heal(&self) {
        self.lab.host("server").heal();
    }

    /// Stops all its processes; returns when they are stopped.
    #[track_caller]
    pub fn freeze(&self) {
        self.each("stop", |pid| {
            let stopped = state(pid).is_none_or(|state| matches!(state, 'T' | 'Z' | 'X'));
            if !stopped {
                send(pid, Signal::SIGSTOP);
            }
            stopped
        });
    }

    /// Lets them go on.
    #[track_caller]
    pub fn thaw(&self) {
        for pid in self.pids() {
            send(pid, Signal::SIGCONT);
        }
    }

    /// Kills all its processes; returns when they are gone.
    #[track_caller]
    pub fn kill(&mut self) {
        self.each("end", |pid| {
            send(pid, Signal::SIGKILL);
            false
        });
        self.child.kill();
    }

    /// Does it to each of its processes, again and again, until all of them are done: they may have children meanwhile.
    #[track_caller]
    fn each(&self, what: &str, done: impl Fn(i32) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        // All of them in each round, and none left out because of an earlier one.
        while self.pids().into_iter().filter(|pid| !done(*pid)).count() > 0 {
            assert!(Instant::now() < deadline, "its processes do not {what}: {:?}", self.pids());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn pids(&self) -> Vec<i32> {
        let mut all = pids(&self.space);
        all.retain(|pid| !self.keepers.contains(pid));
        all
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's words: {}", self.child.words());
        }
        // A few rounds, for those that have children meanwhile. Whatever is left ends with the lab, which is dropped next.
        for _ in 0..5 {
            for pid in self.pids() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        self.child.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts the server's line of shell in its host.
fn spawn(lab: &Lab, dir: &Path, line: &str) -> Child {
    let mut command = lab.host("server").command("sh");
    command.args(["-euc", line]).current_dir(dir).env("DIR", dir).env("LC_ALL", "C");
    Child::spawn(command)
}

fn send(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(e) => panic!("{pid}: {signal}: {e}"),
    }
}

/// Who runs in this network namespace. A zombie is in none.
fn pids(space: &Path) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let here = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|link| link == space);
    all.filter(here).collect()
}

/// The letter that proc(5) has for the state of a process; none when there is no such process.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}
