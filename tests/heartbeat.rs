//! hb-send and hb-listen as their callers see them: processes on the loopback, on a serial cable, and in lab hosts.
//!
//! The times given to the commands are short so that things happen; no test depends on how soon they do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/hosts.rs"]
mod hosts;
mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, Write};
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
const KEYS: &str = "auth 1\n1 sha1 a-secret\n";

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
        // A call that is not refused goes on for ever.
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "30"]).arg(tool(name)).args(self.words(line)).stdin(Stdio::null());
        support::finish(&mut command)
    }

    fn start(&self, name: &str, line: &str) -> Child {
        let mut command = Command::new(tool(name));
        command.args(self.words(line)).stdin(Stdio::piped());
        Child::spawn(command)
    }

    /// Starts hb-send with `--realtime` after a line of words that take rights away.
    fn realtime(&self, rights: &str, line: &str) -> Child {
        let mut words = rights.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(tool("hb-send")).args(self.words(line)).arg("--realtime").stdin(Stdio::piped());
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
        ("hb-send", format!("--node a --ucast {udp} --deadtime 24h1ms"), 64, "usage", "24h"),
        ("hb-listen", format!("--node a --udp {udp} --peers b,c --until dead:d"), 64, "usage", "--peers"),
        ("hb-listen", format!("--node a --udp {udp} --until gone:d"), 64, "usage", "dead:ha2"),
        ("hb-listen", format!("--node a --udp {udp} --until dead"), 64, "usage", "dead:ha2"),
        ("hb-listen", format!("--node a --udp {udp} --deadtime 0s"), 64, "usage", ""),
        ("hb-listen", "--node a --udp nonsense".to_owned(), 64, "usage", ""),
        ("hb-send", "--node a --ucast 127.0.0.1:99999".to_owned(), 64, "usage", ""),
        ("hb-send", "--node a --bcast lo/x".to_owned(), 64, "usage", ""),
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
    // Who cannot hear does not know.
    let line = format!("--node me --udp {}@nosuch0 --peers a --initdead 50ms --until dead:a", s.at(1));
    let deaf = s.run("hb-listen", &format!("{line} --for 500ms --deadtime 50ms"));
    assert_eq!(deaf.ends_with(75).events().pop().unwrap()["code"], "deaf");
    let mut up = s.start("hb-listen", &format!("{listen} --until up:a"));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 10ms --deadtime 25s", s.at(1)));
    assert_eq!(up.wait(LONG), 0);
    let mut dead = s.start("hb-listen", &format!("{listen} --until dead:a --for 1s"));
    assert_eq!(dead.wait(LONG), 1);
    // A signal is no death.
    let mut dead = s.listen(&format!("{listen} --until dead:a"));
    node(&mut dead, "a", "up");
    dead.signal(Signal::SIGTERM);
    assert_eq!(dead.wait(LONG), 75);
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
fn who_cannot_hear_declares_nobody_dead() {
    let s = Setup::new();
    let mut cable = Cable::lay();
    let line = |end| format!("--serial {}", cable.device(end).display());
    // The second medium works all the time, but never carried the node: its silence means nothing.
    let mut ear = s.listen(&format!("--node a {} --udp {}", line(End::A), s.at(1)));
    let mut b = s.start("hb-send", &format!("--node b --every 20ms --deadtime 300ms {}", line(End::B)));
    node(&mut ear, "b", "up");
    cable.unplug(End::A);
    let cause = node(&mut ear, "b", "unknown");
    assert!(cause["cause"].as_str().unwrap().contains("may live"), "{cause}");
    cable.plug(End::A);
    node(&mut ear, "b", "up");
    b.kill();
    node(&mut ear, "b", "dead");
    // Whether it was late on the way depends on the moment of the blow.
    let states: Vec<String> = states(&ear, "b").into_iter().filter(|s| s != "late").collect();
    assert_eq!(states, ["up", "unknown", "up", "dead"]);
    end(ear);
}

#[test]
fn who_may_have_been_robbed_of_unicasts_declares_nobody_dead() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {}", s.at(1)));
    let _a = s.start("hb-send", &format!("--node a --ucast {} --every 20ms --deadtime 300ms", s.at(1)));
    node(&mut ear, "a", "up");
    // One of ours refuses to take part, unless it is told to.
    let second = s.run("hb-listen", &format!("--node me --udp {} --until up:a --for 300ms", s.at(1)));
    let cause = second.ends_with(75).events()[1]["cause"].as_str().unwrap().to_owned();
    assert!(cause.contains("another process listens"), "{cause}");
    // Somebody who does not ask first: the last one that opened gets all.
    let thief = s.start("hb-listen", &format!("--node me --shared --udp {}", s.at(1)));
    let down = ear.next_where("medium is down", LONG, |v| v["event"] == "medium" && v["is"] == "down");
    assert!(down["cause"].as_str().unwrap().contains("another process listens"), "{down}");
    node(&mut ear, "a", "unknown");
    end(thief);
    node(&mut ear, "a", "up");
    assert!(states(&ear, "a").iter().all(|s| s != "dead"), "{:?}", states(&ear, "a"));
    end(ear);
}

#[test]
fn a_checksum_speaks_for_nobody_who_has_a_key() {
    let s = Setup::new();
    let both = s.keys("both", "auth 2\n1 crc\n2 sha1 a-secret\n", 0o600);
    let sum = s.keys("sum", "auth 1\n1 crc\n", 0o600);
    let mut ear = s.listen(&format!("--node me --udp {} --authkeys {both}", s.at(1)));
    let _a = s.start("hb-send", &format!("--node a --ucast {} --every 20ms --deadtime 25s --authkeys {both}", s.at(1)));
    node(&mut ear, "a", "up");
    let forger = format!("--node a --ucast {} --count 1 --status dead --authkeys {sum}", s.at(1));
    assert_eq!(s.start("hb-send", &forger).wait(LONG), 0);
    let refused = ear.next_event("rejected", LONG);
    assert_eq!((&refused["reason"], &refused["node"]), (&"checksum-only".into(), &"a".into()));
    assert_eq!(states(&ear, "a"), ["up"]);
    end(ear);
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
    assert!(a.next_event("sending", LONG)["generation"].as_u64().unwrap() > first);
    assert_eq!(ear.next_event("restarted", LONG)["node"], "a");
    let listen = format!("--node me --udp {} --state-dir {}", s.at(2), s.path("state"));
    let _ear = s.listen(&listen);
    s.run("hb-listen", &listen).ends_with(69);
}

#[test]
fn what_attackers_send_neither_counts_nor_raises_the_dead() {
    let s = Setup::new();
    let listen = format!("--node me --udp {} --beats --peers a,b --state-dir {}", s.at(1), s.path("seen"));
    let send = format!("--node a --ucast {} --ucast {} --every 10ms --deadtime 500ms", s.at(1), s.at(2));
    let send = format!("{send} --state-dir {}", s.path("own"));
    let recorder = Recorder::at(&s.at(2));
    let mut ear = s.listen(&listen);
    let mut a = s.start("hb-send", &send);
    beats(&mut ear, "a", 5);
    a.kill();
    let first = recorder.take();
    let mut a = s.start("hb-send", &send);
    let generation = a.next_event("sending", LONG)["generation"].as_u64().unwrap();
    ear.next_event("restarted", LONG);
    beats(&mut ear, "a", 5);

    // While it lives: nothing of this is believed, and it stays up.
    let message = |node: &str, generation: u64, seq: u64| {
        let message = Message::default().with("t", "status").with("st", "dead").with("src", node);
        message.with("seq", format!("{seq:x}")).with("hg", format!("{generation:x}")).with("ts", "1").with("ttl", "3")
    };
    let (wrong, right) = (Key::new(1, Method::Sha1, b"a-guess"), Key::new(1, Method::Sha1, b"a-secret"));
    let forged = wire::seal(&message("a", generation + 9, 1), &wrong, Shape::Netstring);
    s.refused(&mut ear, &[forged], "bad-digest");
    let tampered = |datagram: &[u8]| {
        let at = datagram.windows(3).position(|w| w == b"hg=").unwrap() + 3;
        let mut datagram = datagram.to_vec();
        datagram[at] = if datagram[at] == b'7' { b'8' } else { b'7' };
        datagram
    };
    s.refused(&mut ear, &[tampered(&first[0])], "bad-digest");
    let unknown = Key::new(7, Method::Sha1, b"a-secret");
    s.refused(&mut ear, &[wire::seal(&message("a", generation + 9, 1), &unknown, Shape::Classic)], "unknown-key");
    s.refused(&mut ear, &[wire::seal(&message("x", 1, 1), &right, Shape::Netstring)], "unknown-node");
    s.refused(&mut ear, &[vec![b'x'; 65_000]], "malformed");
    s.refused(&mut ear, &[b""], "malformed");
    let half = &first[0][..first[0].len() / 2];
    let ip = s.attack(&[half]);
    ear.next_where("truncated", LONG, |v| v["event"] == "rejected" && v["source"] == *ip);
    s.refused(&mut ear, &first[..1], "replayed-generation");
    beats(&mut ear, "a", 5);
    assert_eq!(states(&ear, "a"), ["up"]);

    // After its death.
    a.kill();
    let second = recorder.take();
    node(&mut ear, "a", "dead");
    let live = ear.seen().len();
    let replayed = s.refused(&mut ear, &second, "replayed-sequence");
    assert_eq!(replayed["node"], "a");
    s.refused(&mut ear, &first, "replayed-generation");
    // The node b is heard after all that.
    let mut b = s.start("hb-send", &format!("--node b --ucast {} --every 10ms", s.at(1)));
    beats(&mut ear, "b", 3);
    assert!(ear.seen()[live..].iter().all(|v| v["event"] != "heartbeat" || v["node"] != "a"));
    assert_eq!(states(&ear, "a").last().unwrap(), "dead");
    b.kill();

    // After a restart of the listener, orderly or not: a generation is never forgotten.
    end(ear);
    let mut ear = s.listen(&listen);
    s.refused(&mut ear, &second, "replayed-sequence");
    s.refused(&mut ear, &first, "replayed-generation");
    ear.kill();
    let mut ear = s.listen(&listen);
    s.refused(&mut ear, &first, "replayed-generation");
    assert_eq!(states(&ear, "a"), Vec::<String>::new());
    let events = end(ear);
    let last = events.iter().rfind(|v| v["event"] == "rejected").unwrap();
    assert_eq!(last["count"], first.len() - 1, "the others are counted at the end");
}

#[test]
fn a_flood_of_garbage_hides_no_death_and_makes_none() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let resident = |ear: &Child| -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", ear.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let mut mouths =
        ["a", "b"].map(|me| s.start("hb-send", &format!("--node {me} --ucast {} --every 50ms --deadtime 3s", s.at(1))));
    beats(&mut ear, "a", 2);
    beats(&mut ear, "b", 2);
    let before = resident(&ear);
    let (done, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind((format!("{}.99", s.net), 0)).unwrap();
            socket.connect(s.at(1)).unwrap();
            while !done.load(Ordering::Relaxed) {
                let _ = socket.send(&[b'x'; 250]);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Whatever fails in here, the flood ends.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&done);
        ear.next_event("rejected", LONG);
        mouths[0].kill();
        node(&mut ear, "a", "dead");
        beats(&mut ear, "b", 3);
    });
    let grown = resident(&ear).saturating_sub(before);
    eprintln!("{} datagrams of garbage; the listener grew by {grown} kB", sent.load(Ordering::Relaxed));
    assert!(grown <= 2048, "{grown} kB");
    assert_eq!(states(&ear, "b"), ["up"]);
    assert!(sent.load(Ordering::Relaxed) > 10_000);
}

#[test]
fn what_was_lost_before_the_last_heartbeat_puts_no_verdict_off() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 20ms --deadtime 2s", s.at(1)));
    beats(&mut ear, "a", 2);
    // More than the kernel keeps for it.
    ear.stop();
    let flood: Vec<&[u8]> = vec![b"x"; 40_000];
    s.attack(&flood);
    ear.cont();
    let (ip, port) = (format!("{}.1", s.net), PORT);
    let [x, y, z, w] = ip.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let here = format!(" {w:02X}{z:02X}{y:02X}{x:02X}:{port:04X} ");
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let line = table.lines().find(|line| line.contains(&here)).unwrap();
    assert_ne!(line.split_whitespace().last(), Some("0"), "nothing was lost");
    // Many of these were sent after that.
    beats(&mut ear, "a", 150);
    let mark = ear.seen().len();
    a.kill();
    node(&mut ear, "a", "dead");
    let put_off: Vec<&Value> = ear.seen()[mark..].iter().filter(|v| v["event"] == "stalled").collect();
    assert!(put_off.iter().all(|v| !v["gap_ms"].is_null()), "{put_off:?}");
}

#[test]
fn a_frozen_listener_knows_that_it_was_frozen() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let deadtime = Duration::from_secs(1);
    let _a = s.start("hb-send", &format!("--node a --ucast {} --every 20ms --deadtime 1s", s.at(1)));
    beats(&mut ear, "a", 2);
    ear.stop();
    thread::sleep(2 * deadtime);
    ear.cont();
    let stalled = ear.next_event("stalled", LONG);
    assert!(stalled["gap_ms"].as_f64().unwrap() >= 1500.0, "{stalled}");
    beats(&mut ear, "a", 60);
    assert_eq!(states(&ear, "a"), ["up"]);
}

#[test]
fn a_frozen_sender_comes_back_as_a_new_start() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    // The third one's disk fails while it stands still: that silences nobody.
    for (me, keeps, fails) in [("a", false, false), ("b", true, false), ("c", true, true)] {
        let state = if keeps { format!(" --state-dir {}", s.path("own")) } else { String::new() };
        let mut mouth =
            s.start("hb-send", &format!("--node {me} --ucast {} --every 20ms --deadtime 300ms{state}", s.at(1)));
        let first = mouth.next_event("sending", LONG)["generation"].as_u64().unwrap();
        beats(&mut ear, me, 2);
        mouth.stop();
        node(&mut ear, me, "dead");
        if fails {
            fs::remove_dir_all(s.path("own")).unwrap();
        }
        mouth.cont();
        let stalled = mouth.next_event("stalled", LONG);
        assert_eq!(stalled["generation"], first + 1);
        if fails {
            assert_eq!(mouth.next_event("error", LONG)["code"], "state-gone");
        }
        ear.next_where("restarted", LONG, |v| v["event"] == "restarted" && v["node"] == *me);
        node(&mut ear, me, "up");
    }
    assert!(ear.seen().iter().all(|v| v["event"] != "rejected"));
}

#[test]
fn orders_on_stdin_are_obeyed_and_nonsense_is_named() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 10ms --beats -", s.at(1)));
    beats(&mut ear, "a", 2);
    let nonsense = [
        "nonsense",
        "[]",
        "{}",
        "{\"event\":7}",
        "{\"event\":\"send\"}",
        "{\"event\":\"send\",\"message\":{}}",
        "{\"event\":\"send\",\"message\":{\"t\":\"x\",\"src\":\"b\"}}",
        "{\"event\":\"order\"}",
        "{\"event\":\"order\",\"status\":\"two\\nlines\"}",
        "{\"event\":\"order\",\"first_seq\":5,\"last_seq\":4}",
        "{\"event\":\"reply\",\"first_seq\":-1}",
        "{\"event\":\"order\",\"fields\":{\"hg\":\"ff\"}}",
    ];
    for line in nonsense {
        a.say(line);
        let ignored = a.next_event("ignored-order", LONG);
        assert!(!ignored["cause"].as_str().unwrap().is_empty());
    }
    let big = json!({"event": "send", "message": {"t": "big", "x": "y".repeat(70_000)}});
    let fields = json!({"event": "order", "fields": {"x": "y".repeat(70_000)}});
    for too_long in [big, fields] {
        a.say(&too_long.to_string());
        let cause = a.next_event("ignored-order", LONG)["cause"].clone();
        assert!(cause.as_str().unwrap().contains("is longer"), "{cause}");
    }
    a.say("{\"event\":\"node\",\"node\":\"b\"}");
    a.say(r#"{"event":"send","message":{"t":"ask_resources","rsc_hold":"all"}}"#);
    let sent = a.next_where("sent", LONG, |v| v["event"] == "sent" && v["why"] == "send");
    assert_eq!(sent["type"], "ask_resources");
    let message = ear.next_event("message", LONG);
    assert_eq!((&message["node"], &message["message"]["rsc_hold"]), (&"a".into(), &"all".into()));
    assert_eq!(number(&message), sent["number"].as_u64().unwrap());
    a.say(r#"{"event":"order","status":"up"}"#);
    let status = a.next_event("status", LONG);
    assert_eq!((&status["was"], &status["is"]), (&"active".into(), &"up".into()));
    ear.next_where("status", LONG, |v| v["event"] == "heartbeat" && v["st"] == "up");
    a.say(r#"{"event":"order","fields":{"colour":"red"}}"#);
    ear.next_where("field", LONG, |v| v["event"] == "heartbeat" && v["message"]["colour"] == "red");
    a.say(r#"{"event":"order","first_seq":1,"last_seq":2}"#);
    for _ in 0..2 {
        a.next_where("resend", LONG, |v| v["event"] == "sent" && v["why"] == "resend");
    }
    // What was ignored took no number: nothing was missed.
    assert!(ear.seen().iter().all(|v| v["event"] != "reply" || v["why"] != "gap"));
    drop(a.stdin());
    a.next_event("orders-ended", LONG);
    for _ in 0..5 {
        a.next_where("beat", LONG, |v| v["event"] == "sent" && v["why"] == "beat");
    }
    end(a);
    let mut once = s.start("hb-send", &format!("--node c --ucast {} --count 0 -", s.at(1)));
    once.say(r#"{"event":"send","message":{"t":"ask_resources","info":"me"}}"#);
    drop(once.stdin());
    assert_eq!(once.wait(LONG), 0);
    ear.next_where("one message", LONG, |v| v["event"] == "message" && v["node"] == "c");
}

#[test]
fn whatever_stdin_and_stdout_do_it_beats() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 20ms --deadtime 3s -", s.at(1)));
    beats(&mut ear, "a", 2);
    let mut stdin = a.stdin().unwrap();
    let flood = thread::spawn(move || {
        let line = json!({"event": "heartbeat", "node": "b", "message": {"t": "status", "x": "y".repeat(200)}});
        let lines = format!("{line}\n").repeat(1000);
        (0..100).for_each(|_| stdin.write_all(lines.as_bytes()).unwrap());
    });
    beats(&mut ear, "a", 10);
    a.next_event("orders-ended", LONG);
    flood.join().unwrap();
    beats(&mut ear, "a", 10);
    assert_eq!(states(&ear, "a"), ["up"]);
    assert!(a.seen().iter().all(|v| !["ignored-order", "stalled"].contains(&v["event"].as_str().unwrap())));

    // Nobody reads: the pipe is full after some hundred lines.
    let mut mute = Command::new(tool("hb-send"));
    mute.args(s.words(&format!("--node c --ucast {} --every 1ms --deadtime 10s --beats", s.at(1))));
    let mut mute = mute.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let late = ear.look(LONG, |v| v["event"] == "heartbeat" && v["node"] == "c" && number(v) > 1500);
    // And now nobody can: it ends.
    drop(mute.stdout.take());
    let pid = mute.id();
    let waiter = thread::spawn(move || mute.wait().unwrap());
    eventually("the end of a sender that nobody reads", || {
        waiter.is_finished() || !Path::new(&format!("/proc/{pid}")).exists()
    });
    assert_eq!(waiter.join().unwrap().code(), Some(75));
    late.unwrap();
}

/// What the kernel says of a process: SCHED_FIFO or not, its real-time priority, and its locked memory in kB.
fn kernel_says(child: &Child) -> (bool, u64, u64) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.pid())).unwrap();
    let (stat, status) = (read("stat"), read("status"));
    // After the name, in parentheses, the third field comes first; rt_priority is the 40th, policy the 41st.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let locked = locked.trim().trim_end_matches(" kB").parse().unwrap();
    (fields[38] == "1", fields[37].parse().unwrap(), locked)
}

/// In a user namespace the machine's root is nobody, and so are its rights.
const NO_RIGHTS: &str = "prlimit --memlock=0:0 --rtprio=0:0 unshare --user --map-root-user";

#[test]
fn realtime_says_what_the_kernel_gave() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    // Whatever the caller of this test may do, and nothing.
    for (me, rights) in [("a", "env"), ("b", NO_RIGHTS)] {
        let mut mouth = s.realtime(rights, &format!("--node {me} --ucast {} --every 20ms", s.at(1)));
        let said = mouth.next_event("realtime", LONG);
        beats(&mut ear, me, 3);
        let (fifo, priority, locked) = kernel_says(&mouth);
        assert_eq!(said["scheduler"], if fifo { "fifo" } else { "other" }, "{said}");
        assert_eq!(said["priority"], if fifo { priority.into() } else { Value::Null }, "{said}");
        assert_eq!(said["locked"], locked > 0, "{said}, {locked} kB");
        let cause = said["cause"].as_str().unwrap();
        assert_eq!(cause == "granted", fifo && locked > 0, "{said}");
        assert_eq!(cause.contains("real-time priority: "), !fifo, "{said}");
        assert_eq!(cause.contains("locked memory: "), locked == 0, "{said}");
        if rights == NO_RIGHTS {
            assert!(!fifo && locked == 0, "{said}");
        }
        end(mouth);
    }
}

#[test]
fn locked_memory_never_ends_a_sender() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let line = |me: &str| format!("--node {me} --ucast {} --every 20ms -", s.at(1));
    let mut plain = s.start("hb-send", &line("a"));
    plain.next_event("sending", LONG);
    let status = fs::read_to_string(format!("/proc/{}/status", plain.pid())).unwrap();
    let size = status.lines().find_map(|l| l.strip_prefix("VmSize:")).unwrap();
    let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    end(plain);
    // Enough for what it has at first, and not for what it needs later.
    let limit = (size + 512) * 1024;
    let rights = format!("prlimit --memlock={limit}:{limit} unshare --user --map-root-user");
    let mut mouth = s.realtime(&rights, &line("b"));
    mouth.next_event("realtime", LONG);
    // The history keeps them.
    let big = json!({"event": "send", "message": {"t": "big", "x": "y".repeat(30_000)}}).to_string();
    for _ in 0..200 {
        mouth.say(&big);
        mouth.next_where("sent", LONG, |v| v["event"] == "sent" && v["why"] == "send");
    }
    beats(&mut ear, "b", 3);
    end(mouth);
}

#[test]
fn keys_are_changed_one_node_at_a_time() {
    let s = Setup::new();
    let (one, two) = (s.keys("one", KEYS, 0o600), s.keys("two", "auth 2\n2 sha256 another\n", 0o600));
    let both = s.keys("both", "auth 1\n1 sha1 a-secret\n2 sha256 another\n", 0o600);
    let send = |me: &str, keys: &str, n| {
        s.start(
            "hb-send",
            &format!("--node {me} --ucast {} --every 10ms --state-dir {} --authkeys {keys}", s.at(n), s.path(me)),
        )
    };
    let listen =
        |me: &str, keys: &str, n| s.listen(&format!("--node {me} --udp {} --beats --authkeys {keys}", s.at(n)));
    let (mut at_a, mut at_b) = (listen("a", &both, 1), listen("b", &both, 2));
    let mut a = send("a", &one, 2);
    let _b = send("b", &two, 1);
    beats(&mut at_a, "b", 3);
    beats(&mut at_b, "a", 3);
    a.kill();
    let _a = send("a", &two, 2);
    at_b.next_event("restarted", LONG);
    beats(&mut at_b, "a", 3);
    assert!(at_b.seen().iter().chain(at_a.seen()).all(|v| v["event"] != "rejected"));
    // Who has not got the new key yet says so.
    end(at_a);
    let mut old = listen("b", &one, 1);
    assert_eq!(old.next_event("rejected", LONG)["reason"], "unknown-key");
}

#[test]
fn two_silent_peers_heal_what_the_cable_loses() {
    let lab = Lab::up(&[("a", "10.8.0.1/24"), ("b", "10.8.0.2/24")]);
    let s = Setup::new();
    let peer = |me: &str, other: &str| {
        let common = format!("--node {me} --authkeys {}", s.path("authkeys"));
        let listen =
            format!("{} {common} --udp 694@eth0 --standby --beats --deadtime 20s", tool("hb-listen").display());
        let send = format!("{} {common} --ucast {other}:694 --every 20ms -", tool("hb-send").display());
        let mut command = lab.host(me).command("sh");
        command.arg("-c").arg(format!("exec 3>&1; {listen} | tee /dev/fd/3 | {send} >/dev/null"));
        Child::spawn(command)
    };
    let (mut a, mut b) = (peer("a", "10.8.0.2"), peer("b", "10.8.0.1"));
    node(&mut a, "b", "up");
    node(&mut b, "a", "up");
    let acknowledged = |v: &Value| v["event"] == "message" && v["message"]["t"] == "NS_ackmsg";
    a.next_where("acknowledgement", LONG, acknowledged);
    b.next_where("acknowledgement", LONG, acknowledged);
    lab.host("a").loss(20);
    let of_a = |v: &Value| v["event"] == "heartbeat" && v["node"] == "a";
    let from = number(&b.next_where("heartbeat", LONG, of_a));
    let mut missing: Vec<u64> = (from + 1..=from + 150).collect();
    while !missing.is_empty() {
        let event = b.next_where("heartbeat or loss", LONG, |v| of_a(v) || v["event"] == "lost");
        assert_eq!(event["event"], "heartbeat", "20 tries, and 20 % are lost: {event}");
        let got = number(&event);
        missing.retain(|n| *n != got);
    }
    assert!(b.seen().iter().any(|v| v["event"] == "reply" && v["why"] == "gap"));
    assert_eq!(states(&b, "a"), ["up"]);
}

#[test]
fn a_hung_disk_silences_nobody_and_keeps_nobody_from_ending() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --peers a --state-dir {}", s.at(1), s.path("seen")));
    let line = format!("--node a --ucast {} --every 20ms --deadtime 300ms --state-dir {}", s.at(1), s.path("own"));
    let mut mouth = s.start("hb-send", &line);
    let first = mouth.next_event("sending", LONG)["generation"].as_u64().unwrap();
    node(&mut ear, "a", "up");
    eventually("the first numbers on disk", || fs::exists(s.path("seen/peers-me.json")).unwrap());
    // Opening it to write waits for a reader, as a disk that hangs.
    for file in ["own/own-a.new", "seen/peers-me.new"] {
        nix::unistd::mkfifo(Path::new(&s.path(file)), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    mouth.stop();
    node(&mut ear, "a", "dead");
    mouth.cont();
    assert_eq!(mouth.next_event("stalled", LONG)["generation"], first + 1);
    node(&mut ear, "a", "up");
    for child in [mouth, ear] {
        end(child);
    }
}

#[test]
fn a_stuck_reader_and_a_full_disk_hold_up_nothing() {
    let s = Setup::new();
    let mut ear = s.listen(&format!("--node me --udp {} --beats", s.at(1)));
    let line = format!("--node a --ucast {} --every 20ms --deadtime 5s -", s.at(1));
    let mut stuck = Command::new(tool("hb-send"));
    stuck.args(s.words(&line)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut stuck = stuck.spawn().unwrap();
    // Three lines of 50 kB do not fit into a pipe: the second one is written in part.
    for _ in 0..3 {
        let order = json!({"event": "send", "message": {"t": "x".repeat(50_000)}});
        writeln!(stuck.stdin.as_ref().unwrap(), "{order}").unwrap();
    }
    for _ in 0..3 {
        ear.next_where("message", LONG, |v| v["event"] == "message" && v["node"] == "a");
    }
    beats(&mut ear, "a", 10);
    // The reader reads again: whole lines, in their order.
    let mut lines = std::io::BufReader::new(stuck.stdout.take().unwrap()).lines();
    let mut events = std::iter::from_fn(|| Some(serde_json::from_str::<Value>(&lines.next()?.unwrap()).unwrap()));
    for number in 0.. {
        let event = events.next().unwrap();
        assert_eq!(event["seq"], number);
        if event["event"] == "sent" && number > 3 {
            break;
        }
    }
    // Stuck again, and asked to end.
    for _ in 0..3 {
        let order = json!({"event": "send", "message": {"t": "y".repeat(50_000)}});
        writeln!(stuck.stdin.as_ref().unwrap(), "{order}").unwrap();
    }
    for _ in 0..3 {
        ear.next_where("message", LONG, |v| v["event"] == "message" && v["message"]["t"] != "x".repeat(50_000));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(stuck.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let waiter = thread::spawn(move || stuck.wait().unwrap());
    eventually("the end of a sender whose reader is stuck", || waiter.is_finished());
    assert_eq!(waiter.join().unwrap().code(), Some(0));

    let full = |name: &str, line: &str| {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "30"]).arg(tool(name)).args(s.words(line)).stdin(Stdio::null());
        command.stdout(fs::File::create("/dev/full").unwrap()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let send = full("hb-send", &format!("--node b --ucast {} --every 10ms --count 30 --beats", s.at(1)));
    beats(&mut ear, "b", 30);
    let run = send.wait_with_output().unwrap();
    let words = String::from_utf8(run.stderr).unwrap();
    assert_eq!((run.status.code(), words.matches("takes nothing").count()), (Some(0), 1), "{words}");
    let listen = full("hb-listen", &format!("--node me --udp {} --until up:c", s.at(2)));
    let _c = s.start("hb-send", &format!("--node c --ucast {} --every 20ms", s.at(2)));
    assert_eq!(listen.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_deadtime_in_ha_cf_that_nobody_believes_is_refused() {
    let s = Setup::new();
    let ha_cf = format!("node a\nucast lo 127.0.0.1\nudpport {PORT}\ndeadtime 90000\n");
    s.keys("ha.cf", &ha_cf, 0o644);
    let line = format!("--node a --ha-d {} --count 0 --every 1s", s.dir.display());
    let run = s.run("hb-send", &line);
    let event = run.ends_with(78).events().pop().unwrap();
    assert!(event["message"].as_str().unwrap().contains("24 h"), "{run:#?}");
    s.run("hb-send", &format!("{line} --deadtime 24h")).ends_with(0);
}

#[test]
fn a_status_order_leaves_room_for_what_grows_in_a_beat() {
    let s = Setup::new();
    let recorder = Recorder::at(&s.at(1));
    let mut a = s.start("hb-send", &format!("--node a --ucast {} --every 1h -", s.at(1)));
    a.next_where("open medium", LONG, |v| v["event"] == "medium");
    let (mut longest, mut refused) = (0, false);
    for n in (64_500..65_600).step_by(50) {
        a.say(&json!({"event": "order", "fields": {"x": "y".repeat(n)}}).to_string());
        let event = a.next_where("answer", LONG, |v| v["event"] == "status" || v["event"] == "ignored-order");
        let sent = recorder.take();
        longest = sent.iter().map(Vec::len).max().unwrap_or(longest);
        if event["event"] == "ignored-order" {
            refused = true;
            break;
        }
        assert!(!sent.is_empty());
    }
    assert!(refused && (65_507 - 256 - 60..=65_507 - 256).contains(&longest), "{longest}");
}

#[test]
fn a_beat_overtakes_orders_on_a_slow_line() {
    let s = Setup::new();
    // Nobody reads: the line is as slow as can be.
    let pty = nix::pty::openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let line = format!("--node a --serial {}@19200 --every 20ms --deadtime 60s --beats -", path.display());
    let mut a = s.start("hb-send", &line);
    a.next_where("open medium", LONG, |v| v["event"] == "medium" && v["is"] == "up");
    for _ in 0..400 {
        a.say(&json!({"event": "send", "message": {"t": "x", "y": "z".repeat(300)}}).to_string());
    }
    let last = (0..400).map(|_| a.next_where("order", LONG, |v| v["event"] == "sent" && v["why"] == "send")).last();
    let last = last.unwrap()["number"].as_u64().unwrap();
    // Whether an older beat was begun before the line was full, and how old it is, depends on chance.
    let beat = (0..5).map(|_| a.next_where("beat", LONG, |v| v["event"] == "sent" && v["why"] == "beat")).last();
    assert!(beat.unwrap()["number"].as_u64().unwrap() > last);
    a.stop();
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&pty.master, flags).unwrap();
    let text = std::cell::RefCell::new(Vec::new());
    let read = || {
        let mut text = text.borrow_mut();
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = nix::unistd::read(&pty.master, &mut buffer) {
            text.extend_from_slice(&buffer[..n]);
        }
        let text = String::from_utf8_lossy(&text);
        let numbers = text.split("\n<<<\n").filter_map(|message| {
            let field = |name: &str| message.lines().find_map(|l| l.strip_prefix(name));
            Some((field("t=")?.to_owned(), u64::from_str_radix(field("seq=")?, 16).ok()?))
        });
        numbers.collect::<Vec<_>>()
    };
    read();
    a.cont();
    eventually("an order after all", || read().iter().any(|(kind, n)| kind == "x" && *n == last));
    let heard = read();
    let at = |wanted: &dyn Fn(&(String, u64)) -> bool| heard.iter().position(wanted).unwrap();
    assert!(at(&|(kind, n)| kind == "status" && *n > last) < at(&|(kind, n)| kind == "x" && *n == last), "{heard:?}");
}
