//! hb-send and hb-listen as their callers see them: processes on the loopback, on a serial cable, and in lab hosts.
//!
//! The times given to the commands are short so that things happen; no test depends on how soon they do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/hosts.rs"]
mod hosts;
mod support;

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hosts::{LONG, eventually};
use serde_json::{Value, json};
use takeover::heartbeat::wire::authentication::{Key, Method};
use takeover::heartbeat::wire::message::Message;
use takeover::heartbeat::wire::{self, Shape};
use takeover_lab::serial::{Cable, End};
use takeover_lab::{Child, Lab, Signal, tool};

/// Below the ports that the kernel hands out by itself, so that nobody else has it on an address of ours.
const PORT: u16 = 6940;
const KEYS: &str = "auth 1\n1 sha1 a secret\n";

/// A folder with keys, and an address of the loopback that no other test has.
struct Setup {
    dir: PathBuf,
    net: String,
    attackers: AtomicU32,
}

impl Setup {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("takeover-heartbeat-{pid}-{count}"));
        fs::create_dir(&dir).unwrap();
        let net = format!("127.{}.{}", 1 + pid % 250, count);
        let setup = Self { dir, net, attackers: AtomicU32::new(100) };
        setup.keys("authkeys", KEYS, 0o600);
        setup
    }

    fn keys(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Where the listener number `n` listens.
    fn at(&self, n: u8) -> String {
        format!("{}.{n}:{PORT}", self.net)
    }

    /// A line with the keys, unless it names some.
    fn words(&self, line: &str) -> Vec<String> {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if !words.iter().any(|w| w == "--authkeys") {
            words.extend(["--authkeys".to_owned(), self.path("authkeys")]);
        }
        words
    }

    fn run(&self, name: &str, line: &str) -> support::Run {
        support::run(name, &self.words(line))
    }

    fn start(&self, name: &str, line: &str) -> Child {
        let mut command = Command::new(tool(name));
        command.args(self.words(line)).stdin(Stdio::piped());
        Child::spawn(command)
    }

    /// A listener that listens.
    #[track_caller]
    fn listen(&self, line: &str) -> Child {
        let mut child = self.start("hb-listen", line);
        child.next_where("open medium", LONG, |v| v["event"] == "medium" && v["is"] == "up");
        child
    }

    /// Sends datagrams to the listener 1 from an address that nobody else has; the first of each cause is told at once.
    fn attack<B: AsRef<[u8]>>(&self, datagrams: &[B]) -> String {
        let ip = format!("{}.{}", self.net, self.attackers.fetch_add(1, Ordering::Relaxed));
        let socket = UdpSocket::bind((ip.as_str(), 0)).unwrap();
        for datagram in datagrams {
            socket.send_to(datagram.as_ref(), self.at(1)).unwrap();
        }
        ip
    }

    /// Attacks, and waits until the listener says that it refused the first for one of these reasons.
    #[track_caller]
    fn refused<B: AsRef<[u8]>>(&self, listener: &mut Child, datagrams: &[B], reason: &str) -> Value {
        let ip = self.attack(datagrams);
        listener.next_where(reason, LONG, |v| v["event"] == "rejected" && v["source"] == *ip && v["reason"] == reason)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[track_caller]
fn node(listener: &mut Child, name: &str, is: &str) -> Value {
    let what = format!("node {name} is {is}");
    listener.next_where(&what, LONG, |v| v["event"] == "node" && v["node"] == *name && v["is"] == *is)
}

/// Waits for so many more heartbeats of a node; the listener prints all (--beats).
#[track_caller]
fn beats(listener: &mut Child, name: &str, count: usize) {
    for _ in 0..count {
        listener.next_where("heartbeat", LONG, |v| v["event"] == "heartbeat" && v["node"] == *name);
    }
}

/// The states that a node has had, in their order.
fn states(listener: &Child, name: &str) -> Vec<String> {
    let changes = listener.seen().iter().filter(|v| v["event"] == "node" && v["node"] == *name);
    changes.map(|v| v["is"].as_str().unwrap().to_owned()).collect()
}

fn number(heartbeat: &Value) -> u64 {
    u64::from_str_radix(heartbeat["message"]["seq"].as_str().unwrap(), 16).unwrap()
}

/// Ends a command and holds everything that it printed to ha-events(7).
#[track_caller]
fn end(mut child: Child) -> Vec<Value> {
    child.signal(Signal::SIGTERM);
    assert_eq!(child.wait(LONG), 0);
    for event in child.seen() {
        assert_eq!(support::problems(&event.to_string()), Vec::<String>::new(), "{event}");
    }
    child.seen().to_vec()
}

/// Datagrams that come to an address, as they are.
struct Recorder(UdpSocket);

impl Recorder {
    fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    fn take(&self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 65536];
        std::iter::from_fn(|| self.0.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec())).collect()
    }
}

#[test]
fn wrong_words_are_refused_with_a_hint() {
    let s = Setup::new();
    let udp = s.at(1);
    let rows = [
        ("hb-send", "--node a".to_owned(), 64, "usage", "--ucast"),
        ("hb-listen", "--node a".to_owned(), 64, "usage", "--udp"),
        ("hb-send", format!("--node a --ucast {udp} --every 1s --deadtime 1s"), 64, "usage", "--deadtime"),
        ("hb-send", format!("--node a --ucast {udp} --every 2s --deadtime 1s"), 64, "usage", "--deadtime"),
        ("hb-listen", format!("--node a --udp {udp} --peers b,c --until dead:d"), 64, "usage", "--peers"),
        ("hb-listen", format!("--node a --udp {udp} --until gone:d"), 64, "usage", "dead:ha2"),
        ("hb-listen", format!("--node a --udp {udp} --until dead"), 64, "usage", "dead:ha2"),
        ("hb-listen", format!("--node a --udp {udp} --deadtime 0s"), 64, "usage", ""),
        ("hb-listen", "--node a --udp nonsense".to_owned(), 64, "usage", ""),
        ("hb-send", "--node a --ucast 127.0.0.1:99999".to_owned(), 64, "usage", ""),
        ("hb-send", "--node a --bcast lo/x".to_owned(), 64, "usage", ""),
        ("hb-send", "--node a --serial ttyS0@9601".to_owned(), 64, "usage", ""),
        ("hb-send", format!("--node A!B --ucast {udp}"), 64, "usage", ""),
        ("hb-send", format!("--node a --ucast {udp} --status"), 64, "usage", ""),
        ("hb-send", format!("--node a --ucast {udp} surplus"), 64, "usage", ""),
        ("hb-send", format!("--node a --ucast {udp} --authkeys {}", s.path("none")), 78, "no-such-file", ""),
        ("hb-listen", format!("--node a --udp {udp} --authkeys {}", s.path("none")), 78, "no-such-file", ""),
        ("hb-send", format!("--node a --ha-d {}", s.path("nowhere")), 78, "no-such-file", ""),
        ("hb-send", "--node a --serial /dev/no-such-line --count 1".to_owned(), 69, "no-medium", ""),
    ];
    for (name, line, status, code, hint) in rows {
        let run = s.run(name, &line);
        run.ends_with(status);
        let event = run.events().pop().unwrap();
        assert_eq!((&event["event"], &event["code"]), (&"error".into(), &code.into()), "{run:#?}");
        let words = format!("{} {}", event["message"], event["hint"]);
        assert!(words.contains(hint), "'{hint}' is not in {run:#?}");
        assert!(!run.stderr.is_empty(), "{run:#?}");
    }
}

#[test]
fn keys_that_others_may_read_or_write_are_refused() {
    let s = Setup::new();
    let (open, broken) = (s.keys("open", KEYS, 0o644), s.keys("broken", "auth 2\n1 sha1 x\n", 0o600));
    let shared = s.dir.join("shared");
    fs::create_dir(&shared).unwrap();
    let below = s.keys("shared/keys", KEYS, 0o600);
    fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
    for (keys, words) in [
        (open.clone(), vec![open, "0644".into()]),
        (below, vec![shared.display().to_string(), "0777".into()]),
        (broken.clone(), vec![broken]),
    ] {
        for (name, medium) in [("hb-send", "--ucast"), ("hb-listen", "--udp")] {
            let run = s.run(name, &format!("--node a {medium} {} --authkeys {keys}", s.at(1)));
            let event = run.ends_with(78).event();
            assert!(event["hint"].is_string(), "{run:#?}");
            assert!(words.iter().all(|w| event["message"].as_str().unwrap().contains(w)), "{words:?}: {run:#?}");
        }
    }
}

#[test]
fn a_wait_ends_with_yes_no_or_unknown() {
    let s = Setup::new();
    let listen = format!("--node me --udp {}", s.at(1));
    let never = s.run("hb-listen", &format!("{listen} --until up:a --for 1ms"));
    assert_eq!(never.ends_with(75).events().pop().unwrap()["code"], "never-heard");
    s.run("hb-listen", &format!("{listen} --for 1ms")).ends_with(0);
    s.run("hb-listen", &format!("{listen} --until unknown:a")).ends_with(0);
    // Expected and never heard.
    s.run("hb-listen", &format!("{listen} --peers a --initdead 50ms --until dead:a --for 30s")).ends_with(0);
    let mut up = s.start("hb-listen", &format!("{listen} --until up:a"));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 10ms --deadtime 25s", s.at(1)));
    assert_eq!(up.wait(LONG), 0);
    let mut dead = s.start("hb-listen", &format!("{listen} --until dead:a --for 1s"));
    assert_eq!(dead.wait(LONG), 1);
    a.signal(Signal::SIGTERM);
    assert_eq!(a.wait(LONG), 0);
}

#[test]
fn two_terminals_on_one_cable() {
    let s = Setup::new();
    let cable = Cable::lay();
    let line = |end| format!("--serial {}", cable.device(end).display());
    let mut ears =
        [(End::A, "a"), (End::B, "b")].map(|(end, me)| s.listen(&format!("--node {me} --beats {}", line(end))));
    // Each device is shared by a listener and a sender.
    let mouths = [(End::A, "a"), (End::B, "b")]
        .map(|(end, me)| s.start("hb-send", &format!("--node {me} --count 3 --every 20ms {}", line(end))));
    for mut mouth in mouths {
        assert_eq!(mouth.wait(LONG), 0);
    }
    for (ear, other) in ears.iter_mut().zip(["b", "a"]) {
        beats(ear, other, 3);
    }
    for (ear, other) in ears.into_iter().zip(["b", "a"]) {
        let events = end(ear);
        let heard: Vec<u64> = events.iter().filter(|v| v["event"] == "heartbeat").map(number).collect();
        assert_eq!(heard, [1, 2, 3]);
        assert!(events.iter().all(|v| v["event"] != "rejected"), "{events:?}");
        assert!(events.iter().any(|v| v["event"] == "link" && v["node"] == *other && v["is"] == "up"), "{events:?}");
    }
}

#[test]
fn silence_is_death_after_the_announced_deadtime() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --deadtime 20s", s.at(1)));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 10ms --deadtime 300ms", s.at(1)));
    node(&mut ear, "a", "up");
    a.kill();
    let event = node(&mut ear, "a", "dead");
    assert_eq!(event["deadtime_ms"], 300.0);
    assert!(event["silent_ms"].as_f64().unwrap() >= 300.0, "{event}");
    end(ear);
}

#[test]
fn a_restart_is_known_as_one_and_a_second_speaker_is_refused() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {}", s.at(1)));
    let line = format!("--node a --ucast {} --every 10ms --state-dir {}", s.at(1), s.path("state"));
    let mut a = s.start("hb-send", &line);
    let first = a.next_event("sending", LONG)["generation"].as_u64().unwrap();
    node(&mut ear, "a", "up");
    let refused = s.run("hb-send", &line);
    refused.ends_with(69);
    assert!(refused.event()["hint"].is_string(), "{refused:#?}");
    a.kill();
    let mut a = s.start("hb-send", &line);
    assert_eq!(a.next_event("sending", LONG)["generation"], first + 1);
    assert_eq!(ear.next_event("restarted", LONG)["node"], "a");
    let listen = format!("--node me --udp {} --state-dir {}", s.at(2), s.path("state"));
    let _ear = s.listen(&listen);
    s.run("hb-listen", &listen).ends_with(69);
}
