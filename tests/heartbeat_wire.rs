//! hb-listen and hb-send as a whole peer of real heartbeat: the real daemon is host a, ours is host b.
//!
//! `tests/heartbeat_peer.rs` is about the real daemon alone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::serial::{Cable, End};
use takeover_lab::{Lab, Signal};

/// A bound for everything: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(40);
/// A warntime that the machine's load does not reach: what is late is honestly told, and of no interest here.
const TIMES: &str = "keepalive 200ms\nwarntime 10\ndeadtime 1\ninitdead 2\n";
const OUR_TIMES: &str = "--deadtime 1s --initdead 2s";

fn two() -> Lab {
    Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")])
}

/// `hb-listen … | tee FILE | hb-send … -` in a host. Dropping it kills all of it; a panic prints what it said.
struct Ours {
    dir: PathBuf,
    listen: Child,
    tee: Child,
    send: Child,
    /// How much of the file is read, what it said, and how far the test has looked at that.
    read: u64,
    events: Vec<Value>,
    mark: usize,
}

/// Where our files are in a lab: it removes this folder.
fn folder(lab: &Lab) -> PathBuf {
    let dir = lab.dir().join("peers/ours");
    fs::create_dir_all(&dir).unwrap();
    dir
}

impl Ours {
    /// Starts both with these arguments, words separated by spaces; further output of the same lab is appended.
    #[track_caller]
    fn start(lab: &Lab, listen: &str, send: &str) -> Self {
        let (host, dir) = (lab.host("b"), folder(lab));
        let append = |name: &str| File::options().create(true).append(true).open(dir.join(name)).unwrap();
        let read = append("heard").metadata().unwrap().len();
        let mut hear: Command = host.tool("hb-listen");
        hear.args(listen.split_whitespace()).stdout(Stdio::piped()).stderr(append("words"));
        let mut listen = hear.spawn().unwrap();
        let mut tee = Command::new("tee");
        tee.arg("-a").arg(dir.join("heard")).stdin(listen.stdout.take().unwrap()).stdout(Stdio::piped());
        let mut tee = tee.spawn().unwrap();
        let mut say = host.tool("hb-send");
        say.args(send.split_whitespace()).arg("-").stdin(tee.stdout.take().unwrap());
        let send = say.stdout(append("said")).stderr(append("words")).spawn().unwrap();
        Self { dir, listen, tee, send, read, events: Vec::new(), mark: 0 }
    }

    /// Takes in the whole lines that hb-listen has printed since.
    fn look(&mut self) {
        let mut file = File::open(self.dir.join("heard")).unwrap();
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        self.events.extend(text[..whole].lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }

    /// Waits for the next event of hb-listen for which `wanted` holds.
    #[track_caller]
    fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LONG;
        loop {
            self.look();
            if let Some(n) = self.events[self.mark..].iter().position(&wanted) {
                self.mark += n + 1;
                return self.events[self.mark - 1].clone();
            }
            assert!(Instant::now() < deadline, "hb-listen does not say: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a node is thought to be that.
    #[track_caller]
    fn node_is(&mut self, node: &str, is: &str) {
        self.next(&format!("{node} is {is}"), |e| e["event"] == "node" && e["node"] == node && e["is"] == is);
    }

    /// All events so far of that name.
    fn all(&mut self, name: &str) -> Vec<Value> {
        self.look();
        self.events.iter().filter(|e| e["event"] == name).cloned().collect()
    }

    /// What is wrong on our side: nothing is refused, lost, unheard or unsaid between two peers that are well.
    fn complaints(&mut self) -> Vec<String> {
        let said = fs::read_to_string(self.dir.join("said")).unwrap();
        let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        self.look();
        let bad = ["rejected", "lost", "overloaded", "ignored-order", "dropped", "error"];
        let bad =
            |e: &&Value| bad.contains(&e["event"].as_str().unwrap()) || (e["event"] == "medium" && e["is"] == "down");
        self.events.iter().chain(&said).filter(bad).map(Value::to_string).collect()
    }

    /// Ends both as an operator would; both have to end with status 0.
    #[track_caller]
    fn stop(&mut self) {
        // The listener first: it would miss its reader.
        terminate(&self.listen);
        assert!(self.listen.wait().unwrap().success());
        assert!(self.tee.wait().unwrap().success());
        terminate(&self.send);
        assert!(self.send.wait().unwrap().success());
    }

    /// Ends both with SIGKILL.
    fn kill(&mut self) {
        for child in [&mut self.send, &mut self.listen, &mut self.tee] {
            // Errors: it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn terminate(child: &Child) {
    // Not reaped, so the pid is still its own.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            for name in ["heard", "said", "words"] {
                let text = fs::read_to_string(self.dir.join(name)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("{name}, its end:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
    }
}

/// What every real node says when it starts, when a real peer is killed, and of the load of its own machine: none of it
/// is about ours.
const USUAL: &[&str] = &[
    "Core dumps could be lost",
    "core_pattern",
    "core_uses_pid",
    "Initial dead time",
    "Logging daemon is disabled",
    "No Previous generation",
    "Cannot lock ourselves into memory",
    "No STONITH device configured.",
    "Shared disks are not protected.",
    "before being called",
    "too long to execute",
];

/// The lines of a real node's log that complain, but for the usual ones and these.
fn complaints(node: &Node, allowed: &[&str]) -> Vec<String> {
    let log = node.log();
    let complains = |line: &&str| ["WARN:", "ERROR:", "CRIT:", "EMERG:"].iter().any(|level| line.contains(level));
    let odd = |line: &&str| !USUAL.iter().chain(allowed).any(|text| line.contains(text));
    log.lines().filter(complains).filter(odd).map(str::to_owned).collect()
}

/// What both our commands are told: the name, the keys, which are written, and the folder for state.
fn common(lab: &Lab, keys: &str) -> String {
    let dir = folder(lab);
    write_private(&dir.join("authkeys"), keys);
    format!("--node b --authkeys {0}/authkeys --state-dir {0}/state", dir.display())
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Bcast,
    Ucast,
    Mcast,
    Ucast6,
    Mcast6,
    Serial,
}

impl Medium {
    /// For ha.cf at a, hb-listen and hb-send at b; and what cl_status calls the link.
    fn words(self, lab: &Lab, cable: Option<&Cable>) -> [String; 4] {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let device = |end| cable.unwrap().device(end).display().to_string();
        let (ha_cf, listen, send) = match self {
            Self::Bcast => ("bcast eth0".to_owned(), "--udp 694@eth0".to_owned(), "--bcast eth0".to_owned()),
            Self::Ucast => (format!("ucast eth0 {}", b.ip()), "--udp 694".to_owned(), format!("--ucast {}", a.ip())),
            Self::Mcast => {
                let group = "239.0.0.43";
                (
                    format!("mcast eth0 {group} 694 1 0"),
                    format!("--mcast {group}@eth0"),
                    format!("--mcast {group}@eth0"),
                )
            }
            Self::Ucast6 => {
                (format!("ucast6 eth0 {}", b.ip6()), "--udp 694@eth0".to_owned(), format!("--ucast {}", a.ip6()))
            }
            Self::Mcast6 => {
                let group = "ff05::694";
                (
                    format!("mcast6 eth0 {group} 694 1 0"),
                    format!("--mcast {group}@eth0"),
                    format!("--mcast {group}@eth0"),
                )
            }
            Self::Serial => {
                let own = format!("--serial {}", device(End::B));
                (format!("serial {}", device(End::A)), own.clone(), own)
            }
        };
        let link = if self == Self::Serial { device(End::A) } else { "eth0".to_owned() };
        [ha_cf, listen, send, link]
    }
}

/// Both meet, a dies and comes back, ours dies and comes back: each side sees all of it, and neither complains.
fn each_sees_the_other_live_die_and_restart(keys: &str, medium: Medium) {
    let lab = two();
    let cable = (medium == Medium::Serial).then(Cable::lay);
    let [ha_cf, listen, send, link] = medium.words(&lab, cable.as_ref());
    let keys = format!("auth 1\n1 {keys}\n");
    let common = common(&lab, &keys);
    let start = || {
        let listen = format!("{common} {listen} --peers a {OUR_TIMES} --standby");
        Ours::start(&lab, &listen, &format!("{common} {send} --every 200ms --deadtime 1s"))
    };

    let setup = Setup::new(&format!("{TIMES}udpport 694\nbaud 19200\n{ha_cf}\nauto_failback off\nnode a b\n"));
    let mut a = Node::launch(lab.host("a"), &setup.authkeys(&keys));
    let mut ours = start();
    let both_well = |a: &Node, ours: &mut Ours| {
        ours.node_is("a", "up");
        a.await_status("b", "active");
        assert_eq!(a.link_status("b", &link), "up");
    };
    a.await_up();
    both_well(&a, &mut ours);
    assert!(ours.all("link").iter().any(|e| e["node"] == "a" && e["is"] == "up"));

    a.kill();
    ours.node_is("a", "dead");
    a.launch_again();
    let dead = ours.mark;
    ours.next("a has started again", |e| e["event"] == "restarted" && e["node"] == "a");
    ours.mark = dead;
    a.await_up();
    both_well(&a, &mut ours);

    assert_eq!(ours.complaints(), [""; 0]);
    if medium == Medium::Ucast {
        ours.kill()
    } else {
        ours.stop()
    }
    a.await_status("b", "dead");
    // The link dies of the same silence a moment later.
    a.await_log(&format!("Link b:{link} dead."));
    assert_eq!(a.link_status("b", &link), "dead");
    drop(ours);
    let mut ours = start();
    both_well(&a, &mut ours);
    a.await_log("Heartbeat restart on node b");
    assert_eq!(ours.complaints(), [""; 0]);
    assert_eq!(ours.all("restarted"), [Value::Null; 0], "a did not start again, we did");

    assert_eq!(complaints(&a, &["node b: is dead"]), [""; 0]);
    assert_eq!(a.log().matches("node b: is dead").count(), 1, "{}", a.log());
    assert_eq!(a.reboots(), "");
}

#[test]
fn peers_over_broadcast_with_crc() {
    each_sees_the_other_live_die_and_restart("crc", Medium::Bcast);
}

#[test]
fn peers_over_unicast_with_md5() {
    each_sees_the_other_live_die_and_restart("md5 AnotherKey", Medium::Ucast);
}

#[test]
fn peers_over_multicast_with_sha1() {
    each_sees_the_other_live_die_and_restart("sha1 TestKey123", Medium::Mcast);
}

#[test]
fn peers_over_a_serial_line_with_md5() {
    each_sees_the_other_live_die_and_restart("md5 AnotherKey", Medium::Serial);
}

#[test]
fn peers_over_ipv6_unicast_with_sha1() {
    each_sees_the_other_live_die_and_restart("sha1 TestKey123", Medium::Ucast6);
}

#[test]
fn peers_over_ipv6_multicast_with_crc() {
    each_sees_the_other_live_die_and_restart("crc", Medium::Mcast6);
}

/// The keys of [`Setup`] where nothing else is said.
const KEYS: &str = "auth 1\n1 sha1 TestKey123\n";

/// The number of a message that hb-listen printed, in whichever event.
fn number(event: &Value) -> Option<u64> {
    u64::from_str_radix(event["message"]["seq"].as_str()?, 16).ok()
}

/// Waits until a has sent the message of that number.
#[track_caller]
fn await_number(ours: &mut Ours, wanted: u64) {
    ours.next(&format!("message {wanted} of a"), |e| e["node"] == "a" && number(e).is_some_and(|n| n >= wanted));
}

#[test]
fn acknowledged_clients_are_not_paused() {
    const PAUSED: &str = "all clients are now paused";
    let lab = two();
    let common = common(&lab, KEYS);
    let ha_cf = "keepalive 20ms\nwarntime 10\ndeadtime 1\ninitdead 2\nbcast eth0\nauto_failback off\nnode a b\n";
    let mut a = Node::launch(lab.host("a"), &Setup::new(ha_cf));
    let listen = format!("{common} --udp 694@eth0 --peers a {OUR_TIMES} --standby --beats");
    let mut ours = Ours::start(&lab, &listen, &format!("{common} --bcast eth0 --every 20ms"));
    a.await_up();
    a.await_status("b", "active");
    await_number(&mut ours, 700);
    assert_eq!(a.node_status("b"), "active", "a's clients are answered");
    assert!(!a.log().contains(PAUSED), "{}", a.log());
    assert_eq!(complaints(&a, &[]), [""; 0]);
    assert_eq!(ours.complaints(), [""; 0]);
    let numbers: BTreeSet<u64> = ours.events.iter().filter(|e| e["node"] == "a").filter_map(number).collect();
    assert!(numbers.len() >= 600);
    // And without them they would be: hb-send alone beats on, and acknowledges nothing.
    terminate(&ours.listen);
    a.await_log(PAUSED);
}

#[test]
fn what_is_lost_both_ways_is_sent_again() {
    let lab = two();
    let common = common(&lab, KEYS);
    let ha_cf = "keepalive 100ms\nwarntime 10\ndeadtime 2\ninitdead 3\nbcast eth0\nauto_failback off\nnode a b\n";
    let mut a = Node::launch(lab.host("a"), &Setup::new(ha_cf));
    let listen = format!("{common} --udp 694@eth0 --peers a --deadtime 2s --initdead 3s --standby --beats");
    let mut ours = Ours::start(&lab, &listen, &format!("{common} --bcast eth0 --every 100ms --deadtime 2s"));
    a.await_up();
    a.await_status("b", "active");
    ours.node_is("a", "up");
    ours.look();
    let first = ours.events.iter().filter(|e| e["node"] == "a").filter_map(number).max().unwrap();

    lab.host("a").loss(20);
    await_number(&mut ours, first + 100);
    lab.host("a").loss(0);
    let last = first + 100;
    let deadline = Instant::now() + LONG;
    let unheard = loop {
        ours.look();
        let heard: BTreeSet<u64> = ours.events.iter().filter(|e| e["node"] == "a").filter_map(number).collect();
        let unheard: Vec<u64> = (first..=last).filter(|n| !heard.contains(n)).collect();
        if unheard.is_empty() || Instant::now() > deadline {
            break unheard;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(unheard, [0; 0], "all that a said was had in the end");
    let replies = |ours: &mut Ours, why: &str| ours.all("reply").iter().filter(|e| e["why"] == why).count();
    let (asked, answered) = (replies(&mut ours, "gap"), replies(&mut ours, "rexmit"));
    assert!(asked > 0 && answered > 0, "we asked {asked} times, and were asked {answered} times");
    let healed = |log: &str| {
        let lost = log.rfind("lost packet(s) for [b]");
        lost.is_some_and(|at| log[at..].contains("No pkts missing from b!"))
    };
    while !healed(&a.log()) {
        assert!(Instant::now() < deadline, "a still misses messages of ours");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(a.node_status("b"), "active");
    assert_eq!(a.link_status("b", "eth0"), "up");
    // A real peer causes the first of these as well.
    assert_eq!(complaints(&a, &["lost packet(s) for [b]"]), [""; 0]);
    assert_eq!(ours.complaints(), [""; 0]);
    let states: Vec<Value> = ours.all("node").into_iter().map(|e| e["is"].clone()).collect();
    assert!(!states.contains(&"dead".into()), "{states:?}");
}

#[test]
fn a_peer_by_the_same_files_sees_a_take_its_leave() {
    let lab = two();
    let (ip_a, ip_b) = (lab.host("a").ip(), lab.host("b").ip());
    let media = format!("udpport 694\nmcast eth0 239.0.0.43 694 1 0\nucast eth0 {ip_a}\nucast eth0 {ip_b}\n");
    let setup =
        Setup::new(&format!("{TIMES}{media}auto_failback off\nnode a b\n")).authkeys("auth 2\n1 crc\n2 sha1 Shared\n");
    let mut a = Node::launch(lab.host("a"), &setup);
    let ha_d = folder(&lab).join("ha.d");
    fs::create_dir(&ha_d).unwrap();
    fs::copy(a.dir().join("ha.d/ha.cf"), ha_d.join("ha.cf")).unwrap();
    write_private(&ha_d.join("authkeys"), &fs::read_to_string(a.dir().join("ha.d/authkeys")).unwrap());
    // The name of this node is its host's.
    let common = format!("--ha-d {} --state-dir {}", ha_d.display(), folder(&lab).join("state").display());
    let mut ours = Ours::start(&lab, &format!("{common} --standby"), &common);
    a.await_up();
    ours.node_is("a", "up");
    a.await_status("b", "active");
    assert_eq!(a.link_status("b", "eth0"), "up");
    for medium in ["mcast:239.0.0.43:694@eth0", "udp:694@eth0"] {
        let up = |e: &Value| e["event"] == "link" && e["medium"] == medium && e["is"] == "up";
        ours.mark = 0;
        ours.next(&format!("link up on {medium}"), up);
    }
    assert_eq!(complaints(&a, &[]), [""; 0]);
    assert!(a.stop(), "a ends by itself: {}", a.log());
    ours.node_is("a", "left");
    a.start_again();
    ours.next("a has started again", |e| e["event"] == "restarted" && e["node"] == "a");
    a.await_status("b", "active");
    assert_eq!(complaints(&a, &[]), [""; 0]);
    assert_eq!(ours.complaints(), [""; 0]);
    ours.kill();
    a.await_status("b", "dead");
    let dead: Vec<Value> = ours.all("node").into_iter().filter(|e| e["is"] == "dead").collect();
    assert_eq!(dead, [Value::Null; 0], "a was never silent without a word");
}
