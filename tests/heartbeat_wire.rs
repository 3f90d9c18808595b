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
use takeover::heartbeat::media::In;
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::serial::{Cable, End, Fault};
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

    /// Waits until all of these links of a are thought to be that.
    #[track_caller]
    fn links_are(&mut self, links: &[Link], is: &str) {
        let deadline = Instant::now() + LONG;
        loop {
            let told = self.all("link");
            let last = |link: &&Link| told.iter().rfind(|e| e["node"] == "a" && e["medium"] == *link.medium);
            let other = links.iter().find(|link| last(link).is_none_or(|e| e["is"] != is));
            let Some(other) = other else { return };
            assert!(Instant::now() < deadline, "{} is not {is}", other.medium);
            std::thread::sleep(Duration::from_millis(10));
        }
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
    // The truth: ours holds nothing, as a real standby after hb_standby. It says so whenever it hears of resources while
    // none of its own helpers runs, which is a matter of luck: its own last word of joining mostly comes before that.
    "No one owns foreign resources!",
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

const MEDIA: [Medium; 6] =
    [Medium::Bcast, Medium::Ucast, Medium::Mcast, Medium::Ucast6, Medium::Mcast6, Medium::Serial];
const METHODS: [&str; 3] = ["crc", "md5 AnotherKey", "sha1 TestKey123"];

/// One medium between a and b: what each side is told, and what each calls it.
struct Link {
    ha_cf: String,
    listen: String,
    send: String,
    /// For cl_status at a: the interface or the device.
    name: String,
    /// In the events of hb-listen.
    medium: String,
}

impl Link {
    fn new(medium: Medium, dev: &str, [ip_a, ip_b]: [&str; 2], cable: Option<&Cable>) -> Self {
        let udp = format!("udp 694@{dev}");
        let mcast = |group| format!("mcast {group}@{dev}");
        let device = |end| cable.unwrap().device(end).display().to_string();
        let (ha_cf, listen, send) = match medium {
            Medium::Bcast => (format!("bcast {dev}"), udp, format!("bcast {dev}")),
            Medium::Ucast => (format!("ucast {dev} {ip_b}"), udp, format!("ucast {ip_a}")),
            Medium::Ucast6 => (format!("ucast6 {dev} {ip_b}"), udp, format!("ucast {ip_a}")),
            Medium::Mcast => (format!("mcast {dev} {GROUP} 694 1 0"), mcast(GROUP), mcast(GROUP)),
            Medium::Mcast6 => (format!("mcast6 {dev} {GROUP6} 694 1 0"), mcast(GROUP6), mcast(GROUP6)),
            Medium::Serial => {
                let own = format!("serial {}", device(End::B));
                (format!("serial {}", device(End::A)), own.clone(), own)
            }
        };
        let (kind, spec) = listen.split_once(' ').unwrap();
        let heard = match kind {
            "udp" => In::udp(spec).unwrap(),
            "mcast" => In::mcast(spec).unwrap(),
            _ => In::serial(spec).unwrap(),
        };
        let name = if medium == Medium::Serial { device(End::A) } else { dev.to_owned() };
        let medium = heard.to_string();
        Self { ha_cf: format!("{ha_cf}\n"), listen: format!(" --{listen}"), send: format!(" --{send}"), name, medium }
    }

    /// Of that kind alone, on the interface that the lab's hosts have.
    fn only(medium: Medium, lab: &Lab, cable: &Cable) -> Self {
        let six = medium == Medium::Ucast6;
        let [a, b] = ["a", "b"].map(|name| lab.host(name)).map(|h| if six { h.ip6() } else { h.ip() }.to_string());
        Self::new(medium, "eth0", [&a, &b], Some(cable))
    }

    /// One of each kind, all of them on an interface of their own: what is heard on one interface is one link to a.
    fn each(lab: &Lab, cable: &Cable) -> Vec<Self> {
        let link = |(n, medium): (usize, &Medium)| {
            let dev = format!("{medium:?}").to_lowercase();
            let [a, b] = [1, 2].map(|host| [format!("10.10.{n}.{host}"), format!("fd00:10:{n}::{host}")]);
            let with_prefix = |[ip, ip6]: &[String; 2]| [format!("{ip}/24"), format!("{ip6}/64")];
            if *medium != Medium::Serial {
                lab.wire(&dev, [("a", &with_prefix(&a)), ("b", &with_prefix(&b))]);
            }
            let six = usize::from(*medium == Medium::Ucast6);
            Self::new(*medium, &dev, [&a[six], &b[six]], Some(cable))
        };
        MEDIA.iter().enumerate().map(link).collect()
    }
}

const GROUP: &str = "239.0.0.43";
const GROUP6: &str = "ff05::694";

/// How ours ends.
#[derive(PartialEq)]
enum Ending {
    Killed,
    Told,
}

/// Both meet, a dies and comes back, ours dies and comes back: each side sees all of it on every link, and neither
/// complains.
fn each_sees_the_other_live_die_and_restart(keys: &str, lab: &Lab, links: &[Link], ours_is: Ending) {
    let keys = format!("auth 1\n1 {keys}\n");
    let common = common(lab, &keys);
    let all = |words: fn(&Link) -> &str| links.iter().map(words).collect::<String>();
    let listen = format!("{common}{} --peers a {OUR_TIMES} --standby", all(|l| &l.listen));
    let send = format!("{common}{} --every 200ms --deadtime 1s", all(|l| &l.send));
    let ha_cf = all(|l| &l.ha_cf);

    let setup = Setup::new(&format!("{TIMES}udpport 694\nbaud 19200\n{ha_cf}auto_failback off\nnode a b\n"));
    let mut a = Node::launch(lab.host("a"), &setup.authkeys(&keys));
    let mut ours = Ours::start(lab, &listen, &send);
    let both_well = |a: &Node, ours: &mut Ours| {
        ours.node_is("a", "up");
        ours.links_are(links, "up");
        a.await_status("b", "active");
        for link in links {
            // The first message on a slower medium comes a moment later.
            a.await_link("b", &link.name, "up");
        }
    };
    a.await_up();
    both_well(&a, &mut ours);

    a.kill();
    ours.node_is("a", "dead");
    ours.links_are(links, "dead");
    a.launch_again();
    let dead = ours.mark;
    ours.next("a has started again", |e| e["event"] == "restarted" && e["node"] == "a");
    ours.mark = dead;
    a.await_up();
    both_well(&a, &mut ours);

    assert_eq!(ours.complaints(), [""; 0]);
    // On however many media it was asked.
    assert_eq!(ours.all("reply").iter().filter(|e| e["why"] == "starting").count(), 2, "one answer a start");
    match ours_is {
        Ending::Killed => ours.kill(),
        Ending::Told => ours.stop(),
    }
    a.await_status("b", "dead");
    for link in links {
        // The link dies of the same silence a moment later.
        a.await_log(&format!("Link b:{} dead.", link.name));
        assert_eq!(a.link_status("b", &link.name), "dead");
    }
    drop(ours);
    let mut ours = Ours::start(lab, &listen, &send);
    both_well(&a, &mut ours);
    a.await_log("Heartbeat restart on node b");
    let mut complained = ours.complaints();
    if links.len() > 1 {
        // What was heard on one medium before the end may lie unread on a slower one: to the new start a replay, rightly
        // refused.
        complained.retain(|line| !line.contains("\"reason\":\"replayed-sequence\""));
    }
    assert_eq!(complained, [""; 0]);
    assert_eq!(ours.all("restarted"), [Value::Null; 0], "a did not start again, we did");

    assert_eq!(complaints(&a, &["node b: is dead"]), [""; 0]);
    assert_eq!(a.log().matches("node b: is dead").count(), 1, "{}", a.log());
    assert_eq!(a.reboots(), "");
}

fn peers_over_one_medium(keys: &str, medium: Medium) {
    let (lab, cable) = (two(), Cable::lay());
    let ours_is = if medium == Medium::Ucast { Ending::Killed } else { Ending::Told };
    each_sees_the_other_live_die_and_restart(keys, &lab, &[Link::only(medium, &lab, &cable)], ours_is);
}

fn peers_over_each_medium_at_once(keys: &str, ours_is: Ending) {
    let (lab, cable) = (two(), Cable::lay());
    let links = Link::each(&lab, &cable);
    assert_eq!(links.len(), 6);
    each_sees_the_other_live_die_and_restart(keys, &lab, &links, ours_is);
}

#[test]
fn peers_over_each_medium_with_crc() {
    peers_over_each_medium_at_once(METHODS[0], Ending::Told);
}

#[test]
fn peers_over_each_medium_with_md5() {
    peers_over_each_medium_at_once(METHODS[1], Ending::Killed);
}

#[test]
fn peers_over_each_medium_with_sha1() {
    peers_over_each_medium_at_once(METHODS[2], Ending::Told);
}

#[test]
fn peers_over_broadcast_with_crc() {
    peers_over_one_medium(METHODS[0], Medium::Bcast);
}

#[test]
fn peers_over_unicast_with_md5() {
    peers_over_one_medium(METHODS[1], Medium::Ucast);
}

#[test]
fn peers_over_multicast_with_sha1() {
    peers_over_one_medium(METHODS[2], Medium::Mcast);
}

#[test]
fn peers_over_a_serial_line_with_md5() {
    peers_over_one_medium(METHODS[1], Medium::Serial);
}

#[test]
fn peers_over_ipv6_unicast_with_sha1() {
    peers_over_one_medium(METHODS[2], Medium::Ucast6);
}

#[test]
fn peers_over_ipv6_multicast_with_crc() {
    peers_over_one_medium(METHODS[0], Medium::Mcast6);
}

#[test]
#[ignore = "takes minutes: all eighteen pairs, each in a cluster of its own"]
fn peers_over_each_medium_alone_with_each_method() {
    for method in METHODS {
        for medium in MEDIA {
            eprintln!("{method} over {medium:?}");
            peers_over_one_medium(method, medium);
        }
    }
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

/// Both meet, and harm is done to what they say until a has said a hundred messages more, by `harm(true)`, and ended by
/// `harm(false)`: every number arrives in the end, by requests of both sides, and neither ever thinks the other dead. a
/// logs nothing but `allowed`; ours says nothing but `refused` of what it heard.
fn what_is_lost_is_sent_again(lab: &Lab, link: &Link, harm: &mut dyn FnMut(bool), [allowed, refused]: [&[&str]; 2]) {
    let common = common(lab, KEYS);
    let times = "keepalive 100ms\nwarntime 10\ndeadtime 2\ninitdead 3\nbaud 19200\n";
    let ha_cf = format!("{times}{}auto_failback off\nnode a b\n", link.ha_cf);
    let mut a = Node::launch(lab.host("a"), &Setup::new(&ha_cf));
    let listen = format!("{common}{} --peers a --deadtime 2s --initdead 3s --standby --beats", link.listen);
    let mut ours = Ours::start(lab, &listen, &format!("{common}{} --every 100ms --deadtime 2s", link.send));
    a.await_up();
    a.await_status("b", "active");
    ours.node_is("a", "up");
    ours.look();
    let first = ours.events.iter().filter(|e| e["node"] == "a").filter_map(number).max().unwrap();

    harm(true);
    let last = first + 100;
    await_number(&mut ours, last);
    harm(false);
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
    assert_eq!(a.link_status("b", &link.name), "up");
    let allowed: Vec<&str> = allowed.iter().copied().chain(["lost packet(s) for [b]"]).collect();
    assert_eq!(complaints(&a, &allowed), [""; 0]);
    for grave in ["node b: is dead", "Irretrievably lost", "lost a lot of packets", "replay", "paused"] {
        assert!(!a.log().contains(grave), "{grave}: {}", a.log());
    }
    let ours_say = ours.complaints();
    let odd = |line: &&String| !refused.iter().any(|reason| line.contains(&format!("\"reason\":\"{reason}\"")));
    assert_eq!(ours_say.iter().filter(odd).collect::<Vec<_>>(), [""; 0]);
    let states: Vec<Value> = ours.all("node").into_iter().map(|e| e["is"].clone()).collect();
    assert!(!states.contains(&"dead".into()), "{states:?}");
    eprintln!("of 100 numbers: we asked {asked} times, and were asked {answered} times; {} refused", ours_say.len());
}

fn what_the_net_loses_is_sent_again(percent: u8) {
    let lab = two();
    let link = Link::new(Medium::Bcast, "eth0", ["", ""], None);
    let mut harm = |on| lab.host("a").loss(if on { percent } else { 0 });
    what_is_lost_is_sent_again(&lab, &link, &mut harm, [&[], &[]]);
}

#[test]
fn what_is_lost_both_ways_is_sent_again() {
    what_the_net_loses_is_sent_again(20);
}

#[test]
#[ignore = "the same with other shares"]
fn little_and_much_that_is_lost_is_sent_again() {
    what_the_net_loses_is_sent_again(10);
    what_the_net_loses_is_sent_again(30);
}

/// Of a message that is not what was sent a says a lot, some of it out of the message; a real peer's is the same to it.
const GARBLED: &[&str] = &["WARN:", "ERROR:"];
/// And so do we; but what was garbled is never taken for a replay or a stranger.
const REFUSED: &[&str] = &["bad-digest", "unknown-key", "unauthenticated", "too-large", "malformed", "noise"];

fn what_a_line_harms_is_sent_again(fault: Fault, of_10_000: u16, words: [&[&str]; 2]) {
    let (lab, mut cable) = (two(), Cable::lay());
    let link = Link::only(Medium::Serial, &lab, &cable);
    let mut harm = |on| cable.fault(fault, if on { of_10_000 } else { 0 });
    what_is_lost_is_sent_again(&lab, &link, &mut harm, words);
}

#[test]
fn messages_that_a_serial_line_loses_are_sent_again() {
    what_a_line_harms_is_sent_again(Fault::Pieces, 2000, [&[], &[]]);
}

#[test]
fn messages_that_lack_bytes_on_a_serial_line_are_sent_again() {
    what_a_line_harms_is_sent_again(Fault::Bytes, 10, [GARBLED, REFUSED]);
}

#[test]
fn messages_that_a_serial_line_garbles_are_sent_again() {
    what_a_line_harms_is_sent_again(Fault::Garble, 10, [GARBLED, REFUSED]);
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
