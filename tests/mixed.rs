//! A cluster of which one node is a real heartbeat and the other is ours: each in both roles, through everything that an
//! operator or a fault does to it. At no moment do both hold a group; what each step costs is printed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::{Host, Lab};

/// A bound for everything: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(40);
/// How often the observer looks.
const LOOK: Duration = Duration::from_millis(5);

/// The group that prefers a, and the one that prefers b.
const GROUPS: [&str; 2] = ["FlagA", "FlagB"];
const TIMES: &str = "keepalive 200ms\ndeadtime 1\ninitdead 2\nudpport 694\nbcast eth0\nnode a b\n";

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        thread::sleep(LOOK);
    }
}

/// A resource that is there from the first moment of its start to the last of its stop, both of which take a while.
fn flag(dir: &str, name: &str) -> String {
    format!(
        "#!/bin/sh\nf={dir}/{name}\nlong() {{ sleep \"$(cat {dir}/long 2>/dev/null || echo 0.1)\"; }}\ncase $1 in\n\
         start) [ ! -e {dir}/fails ] || exit 1; : >$f; long;;\nstop) [ ! -e $f ] || {{ long; rm -f $f; }};;\n\
         status) [ -e $f ] && echo running || echo stopped;;\nesac\n"
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Real,
    Ours,
}
use Side::{Ours, Real};

/// Who held what since when.
#[derive(Debug, Default)]
struct Seen {
    /// For each group each change: when, and whether the real one and ours have it.
    changes: [Vec<(Instant, [bool; 2])>; 2],
    doubles: Vec<String>,
}

/// Looks at all flags all the time.
struct Watch {
    seen: Arc<Mutex<Seen>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn new(dirs: [PathBuf; 2]) -> Self {
        let (seen, ends) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (write, stop) = (Arc::clone(&seen), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let now = Instant::now();
                for (g, group) in GROUPS.iter().enumerate() {
                    let held = [0, 1].map(|side: usize| dirs[side].join(group).exists());
                    let mut seen = write.lock().unwrap();
                    if held == [true, true] {
                        seen.doubles.push(format!("{group} at {now:?}"));
                    }
                    if seen.changes[g].last().map(|(_, before)| *before) != Some(held) {
                        seen.changes[g].push((now, held));
                    }
                }
                thread::sleep(LOOK);
            }
        });
        Self { seen, ends, thread: Some(thread) }
    }

    fn holders(&self) -> [Option<Side>; 2] {
        let seen = self.seen.lock().unwrap();
        [0, 1].map(|g: usize| match seen.changes[g].last() {
            Some((_, [true, _])) => Some(Real),
            Some((_, [_, true])) => Some(Ours),
            _ => None,
        })
    }

    /// When the last group moved, from then on.
    fn moved(&self, since: Instant) -> Duration {
        let seen = self.seen.lock().unwrap();
        let last = seen.changes.iter().filter_map(|changes| changes.last()).map(|(at, _)| *at).max();
        last.map(|at| at.saturating_duration_since(since)).unwrap_or_default()
    }

    /// How long each group was held by nobody since then.
    fn outages(&self, since: Instant) -> [Duration; 2] {
        let seen = self.seen.lock().unwrap();
        [0, 1].map(|g: usize| {
            let changes = &seen.changes[g];
            let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([Instant::now()]);
            let idle = changes.iter().zip(ends).filter(|((_, held), end)| *held == [false, false] && *end > since);
            idle.map(|((at, _), end)| end - (*at).max(since)).sum()
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Our node: ha-node with its parts.
struct Own<'a> {
    host: Host<'a>,
    dir: PathBuf,
    shell: Option<Child>,
}

impl<'a> Own<'a> {
    fn prepare(lab: &'a Lab, name: &str, ha_cf: &str, haresources: &str) -> Self {
        let (host, dir) = (lab.host(name), lab.dir().join("ours"));
        let ha_d = dir.join("ha.d");
        fs::create_dir_all(ha_d.join("resource.d")).unwrap();
        fs::create_dir_all(dir.join("flags")).unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            fs::write(ha_d.join(name), text).unwrap();
            fs::set_permissions(ha_d.join(name), Permissions::from_mode(mode)).unwrap();
        };
        write("ha.cf", ha_cf, 0o644);
        write("authkeys", "auth 1\n1 sha1 TestKey123\n", 0o600);
        write("haresources", haresources, 0o644);
        for group in GROUPS {
            let text = flag(dir.join("flags").to_str().unwrap(), group);
            write(&format!("resource.d/{group}"), &text, 0o755);
        }
        Self { host, dir, shell: None }
    }

    fn start(&mut self) {
        assert!(self.shell.is_none());
        let bin = takeover_lab::tool("ha-decide").parent().unwrap().to_str().unwrap().to_owned();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ha-node");
        let words = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("words")).unwrap();
        let mut command = self.host.command(script);
        command.arg("--ha-d").arg(self.dir.join("ha.d")).args(["--node", self.host.name()]);
        command.arg("--run-dir").arg(self.dir.join("run")).arg("--state-dir").arg(self.dir.join("state"));
        command.env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()));
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

    /// The polite leave.
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

    /// As a machine that loses its power.
    fn kill(&mut self) {
        if let Some(shell) = self.shell.take() {
            self.end(shell);
            for group in GROUPS {
                let _ = fs::remove_file(self.dir.join("flags").join(group));
            }
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
            eprintln!("the words of ours:\n{words}\nits status:\n{status}");
            let _ = fs::copy(self.dir.join("state/events.jsonl"), std::env::temp_dir().join("takeover-mixed.jsonl"));
        }
        self.kill();
    }
}

struct Pair<'a> {
    real: Node<'a>,
    real_is_there: bool,
    ours: Own<'a>,
    watch: Watch,
    step: Instant,
    what: String,
}

impl<'a> Pair<'a> {
    /// Both, started at once.
    fn start(lab: &'a Lab, real: &str, failback: &str) -> Self {
        let own = if real == "a" { "b" } else { "a" };
        let ha_cf = format!("{TIMES}auto_failback {failback}\n");
        let haresources = "a FlagA\nb FlagB\n";
        let mut setup = Setup::new(&ha_cf).haresources(haresources);
        for group in GROUPS {
            setup = setup.script(group, &flag("/run", group));
        }
        let mut ours = Own::prepare(lab, own, &ha_cf, haresources);
        let step = Instant::now();
        let real = Node::launch(lab.host(real), &setup);
        let watch = Watch::new([real.dir().join("run"), ours.dir.join("flags")]);
        ours.start();
        Self { real, real_is_there: true, ours, watch, step, what: "both start".to_owned() }
    }

    fn side(&self, node: &str) -> Side {
        if node == self.real.name() { Real } else { Ours }
    }

    fn home(&self) -> [Side; 2] {
        ["a", "b"].map(|node| self.side(node))
    }

    fn begin(&mut self, what: &str) {
        self.what = what.to_owned();
        self.step = Instant::now();
    }

    /// What an operator does at one of the nodes.
    fn order(&mut self, side: Side, what: &str, which: &str) {
        self.begin(&format!("{side:?}: {what} {which}"));
        match side {
            Ours => self.ours.ask(what, which),
            Real => {
                let script = format!("/usr/share/heartbeat/hb_{what}");
                assert!(self.real.command(&script).arg(which).output().unwrap().status.success());
            }
        }
    }

    fn kill_real(&mut self) {
        self.begin("the real one is killed");
        self.real.kill();
        self.real_is_there = false;
        for group in GROUPS {
            let _ = fs::remove_file(self.real.dir().join("run").join(group));
        }
    }

    fn real_leaves(&mut self) {
        self.begin("the real one leaves");
        assert!(self.real.stop());
        self.real_is_there = false;
    }

    fn real_is_back(&mut self) {
        self.begin("the real one is back");
        self.real.start_again();
        self.real_is_there = true;
    }

    /// Waits until the groups are held so, and everybody says so; then tells what that took.
    #[track_caller]
    fn expect(&mut self, wanted: [Side; 2]) {
        let deadline = Instant::now() + LONG;
        let names = [self.real.name().to_owned(), self.ours.host.name().to_owned()];
        let name = |side: Side| names[usize::from(side == Ours)].clone();
        let thought: BTreeMap<String, String> =
            GROUPS.iter().zip(wanted).map(|(group, side)| ((*group).to_owned(), name(side))).collect();
        let home = usize::from(self.real.name() == "b");
        let word = match (wanted[home], wanted[1 - home]) {
            (Real, Real) => "all",
            (Real, Ours) => "local",
            (Ours, Real) => "foreign",
            (Ours, Ours) => "none",
        };
        loop {
            let held = self.watch.holders() == wanted.map(Some);
            let agreed = (self.ours.shell.is_none() || self.ours.thinks() == thought)
                && (!self.real_is_there || self.real.cl_status(&["rscstatus"]) == word);
            if held && agreed {
                break;
            }
            let holders = self.watch.holders();
            let thinks = self.ours.thinks();
            assert!(Instant::now() < deadline, "{}: {holders:?} and not {wanted:?}, {thinks:?}", self.what);
            thread::sleep(LOOK);
        }
        let away = self.watch.outages(self.step).map(|d| d.as_millis());
        println!(
            "{:40} {:>6} ms to the end; nobody had FlagA for {:>5} ms, FlagB for {:>5} ms",
            self.what,
            self.watch.moved(self.step).as_millis(),
            away[0],
            away[1]
        );
        let seen = self.watch.seen.lock().unwrap();
        assert!(seen.doubles.is_empty(), "{}: held twice: {:?}", self.what, seen.doubles);
    }

    /// Nothing moves for a while in which it well could.
    #[track_caller]
    fn expect_still(&mut self, wanted: [Side; 2]) {
        self.expect(wanted);
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            assert_eq!(self.watch.holders(), wanted.map(Some), "{}", self.what);
            thread::sleep(LOOK);
        }
    }
}

fn two() -> Lab {
    Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")])
}

fn failback_off(real: &str) {
    let lab = two();
    let mut pair = Pair::start(&lab, real, "off");
    let (home, swapped) = (pair.home(), pair.home().map(|side| if side == Real { Ours } else { Real }));
    pair.expect(home);
    for (one, other) in [(Real, Ours), (Ours, Real)] {
        pair.order(one, "standby", "all");
        pair.expect([other; 2]);
        pair.order(one, "takeover", "local");
        pair.expect(home);
        pair.order(one, "takeover", "all");
        pair.expect([one; 2]);
        pair.order(one, "standby", "foreign");
        pair.expect(home);
        pair.order(one, "standby", "local");
        pair.expect([other; 2]);
        pair.order(one, "takeover", "foreign");
        pair.expect(swapped);
        pair.order(one, "takeover", "all");
        pair.expect([one; 2]);
        pair.order(one, "standby", "failback");
        pair.expect(home);
    }
    pair.kill_real();
    pair.expect([Ours; 2]);
    pair.real_is_back();
    pair.expect_still([Ours; 2]);
    pair.order(Ours, "failback", "all");
    pair.expect(home);
    pair.begin("ours is killed");
    pair.ours.kill();
    pair.expect([Real; 2]);
    pair.begin("ours is back");
    pair.ours.start();
    pair.expect_still([Real; 2]);
    pair.order(Real, "standby", "failback");
    pair.expect(home);
    pair.begin("ours leaves");
    pair.ours.leave();
    pair.expect([Real; 2]);
    pair.begin("ours is back");
    pair.ours.start();
    pair.expect_still([Real; 2]);
    pair.order(Ours, "takeover", "local");
    pair.expect(home);
    pair.real_leaves();
    pair.expect([Ours; 2]);
    pair.real_is_back();
    pair.expect_still([Ours; 2]);
    pair.order(Real, "takeover", "local");
    pair.expect(home);
    assert_eq!(pair.real.reboots(), "");
}

fn failback_on(real: &str) {
    let lab = two();
    let mut pair = Pair::start(&lab, real, "on");
    let home = pair.home();
    pair.expect(home);
    pair.kill_real();
    pair.expect([Ours; 2]);
    pair.real_is_back();
    pair.expect_still(home);
    pair.begin("ours is killed");
    pair.ours.kill();
    pair.expect([Real; 2]);
    pair.begin("ours is back");
    pair.ours.start();
    pair.expect_still(home);
    pair.begin("ours leaves");
    pair.ours.leave();
    pair.expect([Real; 2]);
    pair.begin("ours is back");
    pair.ours.start();
    pair.expect_still(home);
    pair.real_leaves();
    pair.expect([Ours; 2]);
    pair.real_is_back();
    pair.expect_still(home);
    assert_eq!(pair.real.reboots(), "");
}

/// What it is taking is not there for one of ours that was killed and started anew meanwhile.
#[test]
fn ours_is_started_anew_while_the_real_one_takes() {
    let lab = two();
    let mut pair = Pair::start(&lab, "a", "off");
    let home = pair.home();
    pair.expect(home);
    // What it takes it has from the first moment, and the flag shows that.
    fs::write(pair.real.dir().join("run/long"), "3").unwrap();
    pair.order(Ours, "standby", "local");
    eventually("the real one starts FlagB", || pair.watch.holders() == [Some(Real), Some(Real)]);
    pair.begin("ours is killed and started at once");
    pair.ours.kill();
    pair.ours.start();
    // It cannot know that an operator wanted that, and asks for its own: that is answered when it is safe.
    pair.expect(home);
    fs::remove_file(pair.real.dir().join("run/long")).unwrap();
    // And where nobody takes anything it has its own again.
    pair.begin("ours is killed and started at once");
    pair.ours.kill();
    pair.ours.start();
    pair.expect(home);
}

/// Whoever is slow to give or to take dies meanwhile.
#[test]
fn either_dies_in_the_middle_of_a_standby() {
    let lab = two();
    let mut pair = Pair::start(&lab, "b", "on");
    let home = pair.home();
    pair.expect(home);
    let (of_real, of_ours) = (pair.real.dir().join("run/long"), pair.ours.dir.join("flags/long"));
    for (who, slow) in [(Ours, Ours), (Ours, Real), (Real, Real), (Real, Ours)] {
        let long = if slow == Real { &of_real } else { &of_ours };
        fs::write(long, "1.5").unwrap();
        pair.order(who, "standby", "local");
        // A stop of who gives or a start of who takes is under way for long.
        thread::sleep(Duration::from_millis(700));
        let _ = fs::remove_file(long);
        if slow == Real {
            pair.kill_real();
            pair.expect([Ours; 2]);
            pair.real_is_back();
        } else {
            pair.begin("ours is killed");
            pair.ours.kill();
            pair.expect([Real; 2]);
            pair.begin("ours is back");
            pair.ours.start();
        }
        pair.expect(home);
    }
}

/// With every fifth frame lost, orders are followed all the same, and nothing is held twice.
#[test]
fn messages_are_lost() {
    let lab = two();
    let mut pair = Pair::start(&lab, "a", "off");
    let home = pair.home();
    pair.expect(home);
    lab.host("a").loss(20);
    for (who, what, which, wanted) in [
        (Ours, "standby", "all", [Real; 2]),
        (Ours, "takeover", "local", home),
        (Real, "standby", "all", [Ours; 2]),
        (Real, "takeover", "local", home),
    ] {
        pair.order(who, what, which);
        pair.expect(wanted);
    }
    lab.host("a").loss(0);
}

#[test]
fn a_is_real_and_nothing_goes_back_by_itself() {
    failback_off("a");
}

#[test]
fn b_is_real_and_nothing_goes_back_by_itself() {
    failback_off("b");
}

#[test]
fn a_is_real_and_groups_go_back() {
    failback_on("a");
}

#[test]
fn b_is_real_and_groups_go_back() {
    failback_on("b");
}
