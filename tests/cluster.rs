//! Whole nodes of a cluster: `ha-node` with all its parts on hosts of the lab, and everything that can happen to them.
//!
//! Each node is a process namespace of its own, so that killing its first process kills all of it while its kernel, and
//! the addresses in it, live on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/hosts.rs"]
mod hosts;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hosts::{eventually, has};
use serde_json::Value;
use takeover_lab::serial::{Cable, End};
use takeover_lab::{Child, Cut, Host, Lab, Signal, tool};

/// The times of these clusters: short, but long enough for a machine that runs several tests.
const TIMES: &str = "keepalive 100ms\ndeadtime 800ms\ninitdead 2\nudpport 694\n";
const VIP: &str = "10.9.0.100";

/// One node: its folders, its host, and its processes while it runs.
struct Node<'a> {
    name: String,
    host: Host<'a>,
    dir: PathBuf,
    child: Option<Child>,
}

impl<'a> Node<'a> {
    fn new(lab: &'a Lab, name: &str, ha_cf: &str, haresources: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("cluster-test-{}-{n}-{name}", std::process::id()));
        let ha_d = dir.join("ha.d");
        std::fs::create_dir_all(ha_d.join("resource.d")).unwrap();
        std::fs::write(ha_d.join("ha.cf"), format!("{TIMES}{ha_cf}")).unwrap();
        std::fs::write(ha_d.join("haresources"), haresources).unwrap();
        let keys = ha_d.join("authkeys");
        std::fs::write(&keys, "auth 1\n1 sha1 secret\n").unwrap();
        support_mode(&keys, 0o600);
        Self { name: name.to_owned(), host: lab.host(name), dir, child: None }
    }

    /// A resource script of the node's own, that does what `text` says on start, stop and status.
    fn script(&self, name: &str, text: &str) {
        let path = self.dir.join("ha.d/resource.d").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        support_mode(&path, 0o755);
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn start(&mut self) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let bin = tool("ha-decide").parent().unwrap().to_owned();
        let path = format!("{}:{}:{}", bin.display(), scripts.display(), std::env::var("PATH").unwrap());
        let mut command = self.host.command("unshare");
        command
            .args(["-pfm", "--mount-proc", "--propagation", "slave", "--kill-child", "ha-node"])
            .args(["--ha-d", &self.path("ha.d"), "--node", &self.name, "--run-dir", &self.path("run")])
            .args(["--state-dir", &self.path("state"), "--timeout", "10s"])
            .env("PATH", path)
            .env("TAKEOVER_RESOURCE_D", scripts.join("resource.d"))
            .env("TAKEOVER_LOCKS", self.path("locks"));
        self.child = Some(Child::spawn(command));
    }

    /// Every process of it dies at once; its kernel lives.
    fn kill(&mut self) {
        self.child.take().unwrap().kill();
    }

    /// The polite leave; the shell is the first process of its namespace, a child of unshare.
    fn leave(&mut self) {
        let pid = self.pid("/ha-node ").expect("it runs");
        signal(pid, Signal::SIGTERM);
        let status = self.child.take().unwrap().wait(hosts::LONG);
        assert_eq!(status, 0, "{}", self.log());
    }

    /// Stops being a node without another word.
    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// A process of the node by the beginning of its command line.
    fn pid(&self, word: &str) -> Option<i32> {
        let mark = self.dir.display().to_string();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        let wanted = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let head: String = line.chars().take(80).collect();
            line.contains(&mark) && head.contains(word) && !head.starts_with("unshare") && !head.contains("lab run")
        };
        // The parts' own shells have the command line of the first one.
        let first = |pid: &i32| !word.contains("ha-node") || inside(*pid) == Some(1);
        pids.filter(wanted).find(first)
    }

    fn ask(&self, words: &[&str]) {
        let mut command = self.host.tool("ha-event");
        let pipe = std::fs::File::options().read(true).write(true).open(self.dir.join("run/events")).unwrap();
        let done = command.args(["--tool", "ha-node", "asked"]).args(words).stdout(Stdio::from(pipe)).status().unwrap();
        assert!(done.success());
    }

    fn has(&self, address: &str) -> bool {
        has(self.host, address)
    }

    fn log(&self) -> String {
        format!("{}:\n{}", self.name, self.child.as_ref().map(Child::words).unwrap_or_default())
    }

    /// What ha-decide was told and said, as it was written down.
    fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("state/events.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn decided(&self, event: &str) -> usize {
        self.journal().iter().filter(|e| e["tool"] == "ha-decide" && e["event"] == event).count()
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.end();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn support_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn signal(pid: i32, signal: Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Which nodes have an address.
fn holders(nodes: &[&Node], address: &str) -> Vec<String> {
    nodes.iter().filter(|n| n.has(address)).map(|n| n.name.clone()).collect()
}

/// Waits until this node alone has the address, and all say so.
#[track_caller]
fn settled(nodes: &[&Node], address: &str, on: &str) {
    eventually(&format!("{address} is on {on} alone"), || holders(nodes, address) == [on]);
}

fn pair(lab: &Lab) -> (Node<'_>, Node<'_>) {
    pair_with(lab, "bcast eth0\nnode ha1 ha2\nauto_failback on\n", &format!("ha1 {VIP}/24/eth0 Flag\n"))
}

fn pair_with<'a>(lab: &'a Lab, ha_cf: &str, haresources: &str) -> (Node<'a>, Node<'a>) {
    let nodes = ["ha1", "ha2"].map(|name| {
        let node = Node::new(lab, name, ha_cf, haresources);
        let flag = node.path("flag");
        node.script(
            "Flag",
            &format!(
                "case $1 in start) touch {flag} ;; stop) rm -f {flag} ;; status) [ -e {flag} ] && echo running || \
                 echo stopped: not running ;; esac"
            ),
        );
        node
    });
    let [a, b] = nodes;
    (a, b)
}

fn two() -> Lab {
    Lab::up(&[("ha1", "10.9.0.1/24"), ("ha2", "10.9.0.2/24")])
}

fn flagged(node: &Node) -> bool {
    node.dir.join("flag").exists()
}

#[test]
fn a_pair_takes_over_fails_back_moves_by_order_and_leaves() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    a.start();
    b.start();
    settled(&[&a, &b], VIP, "ha1");
    eventually("the whole group runs", || flagged(&a));
    a.ask(&["what=standby", "which=all"]);
    settled(&[&a, &b], VIP, "ha2");
    eventually("the flag moves", || flagged(&b) && !flagged(&a));
    b.ask(&["what=failback"]);
    settled(&[&a, &b], VIP, "ha1");
    eventually("the flag is back", || flagged(&a) && !flagged(&b));
    a.kill();
    eventually("the other one takes it", || b.has(VIP) && flagged(&b));
    // Its kernel has the address for as long as its lease.
    settled(&[&a, &b], VIP, "ha2");
    std::fs::remove_file(a.dir.join("flag")).unwrap(); // what a reboot does
    a.start();
    settled(&[&a, &b], VIP, "ha1");
    a.leave();
    settled(&[&a, &b], VIP, "ha2");
    assert!(!flagged(&a));
    b.leave();
    assert!(holders(&[&a, &b], VIP).is_empty() && !flagged(&b), "nothing is left behind");
    // What was decided can be told again, byte for byte.
    let journal = b.journal();
    let told = |e: &&Value| e["tool"] == "ha-decide";
    assert!(journal.iter().filter(told).count() > 4);
    let replay = Command::new(tool("ha-decide"))
        .args(["--ha-d", &b.path("ha.d"), "--node", "ha2", &b.path("state/events.jsonl")])
        .output()
        .unwrap();
    let again: Vec<Value> =
        String::from_utf8_lossy(&replay.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let again: Vec<&Value> = again.iter().filter(|e| e["event"] != "reply").collect();
    let strip = |e: &Value| (e["event"].clone(), e["at"].clone(), e["group"].clone(), e["cause"].clone());
    let first: Vec<_> = journal.iter().filter(told).map(strip).collect();
    assert_eq!(again.iter().map(|e| strip(e)).collect::<Vec<_>>(), first);
}

#[test]
fn whatever_part_dies_one_node_has_the_group_and_nothing_is_left() {
    let lab = two();
    for part in ["ha-decide --ha-d", "hb-send -", "hb-listen --ha-d", "vip-take ", "/ha-node "] {
        let (mut a, mut b) = pair(&lab);
        a.start();
        b.start();
        settled(&[&a, &b], VIP, "ha1");
        eventually("the whole group runs", || flagged(&a));
        let pid = match part {
            // The holder's command line does not name the node: it is the only one.
            "vip-take " => {
                let text = std::fs::read_dir(a.dir.join("run/holders")).unwrap().flatten().next();
                let text = text.map(|f| std::fs::read_to_string(f.path()).unwrap()).expect("a holder");
                let inside: i32 = text.split_whitespace().next().unwrap().parse().unwrap();
                outside(&a, inside)
            }
            part => a.pid(part),
        };
        let pid = pid.unwrap_or_else(|| panic!("no {part} on ha1:\n{}", a.log()));
        signal(pid, Signal::SIGKILL);
        eventually(&format!("one node has it after the end of {part}"), || {
            holders(&[&a, &b], VIP).len() == 1 && (flagged(&a) || flagged(&b))
        });
        // It stays so: what has to be started again was, or the other node has it.
        for _ in 0..20 {
            let now = holders(&[&a, &b], VIP);
            assert!(now.len() < 2, "after the end of {part}: {now:?}\n{}{}", a.log(), b.log());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        eventually(&format!("one node has it long after the end of {part}"), || holders(&[&a, &b], VIP).len() == 1);
        a.end();
        b.end();
        eventually("the leases are over", || holders(&[&a, &b], VIP).is_empty());
    }
}

/// The pid that a process of the node has outside of its namespace.
fn outside(node: &Node, pid: i32) -> Option<i32> {
    let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = space(node.pid("/ha-node ")?);
    let pids = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|p| space(*p) == wanted).find(|p| inside(*p) == Some(pid))
}

/// The pid that a process has in its own namespace.
fn inside(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

#[test]
fn whatever_part_stands_still_no_two_nodes_go_on_with_the_group() {
    let lab = two();
    for part in ["hb-send -", "hb-listen --ha-d", "ha-decide --ha-d", "/ha-node "] {
        let (mut a, mut b) = pair(&lab);
        a.start();
        b.start();
        settled(&[&a, &b], VIP, "ha1");
        eventually("the whole group runs", || flagged(&a));
        let pid = a.pid(part).unwrap_or_else(|| panic!("no {part} on ha1"));
        signal(pid, Signal::SIGSTOP);
        // A sender that is stopped is a node that is dead to the other: it takes, and ha1 has let go before.
        if part.starts_with("hb-send") {
            eventually("the other one has it alone", || holders(&[&a, &b], VIP) == ["ha2"]);
        }
        for _ in 0..20 {
            let now = holders(&[&a, &b], VIP);
            assert!(now.len() < 2, "while {part} stands still: {now:?}\n{}{}", a.log(), b.log());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        signal(pid, Signal::SIGCONT);
        eventually(&format!("one has it after {part} goes on"), || holders(&[&a, &b], VIP).len() == 1);
        a.end();
        b.end();
        eventually("the leases are over", || holders(&[&a, &b], VIP).is_empty());
    }
}

#[test]
fn a_split_without_an_arbiter_heals_to_one_holder_without_a_gap() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    a.start();
    b.start();
    settled(&[&a, &b], VIP, "ha1");
    b.host.cut(Cut::Silent);
    eventually("both have it", || holders(&[&a, &b], VIP) == ["ha1", "ha2"]);
    b.host.heal();
    settled(&[&a, &b], VIP, "ha1");
    assert_eq!(a.decided("release"), 0, "{}", a.log());
    eventually("it is announced again", || a.decided("announce") == 1);
}

#[test]
fn with_a_ping_node_the_side_that_reaches_it_is_the_only_holder() {
    let lab = Lab::up(&[("ha1", "10.9.0.1/24"), ("ha2", "10.9.0.2/24"), ("router", "10.9.0.254/24")]);
    let ha_cf = "bcast eth0\nnode ha1 ha2\nauto_failback on\nping 10.9.0.254\n";
    let (mut a, mut b) = pair_with(&lab, ha_cf, &format!("ha1 {VIP}/24/eth0 Flag\n"));
    a.start();
    b.start();
    settled(&[&a, &b], VIP, "ha1");
    eventually("the whole group runs", || flagged(&a));
    a.host.cut(Cut::Silent);
    settled(&[&a, &b], VIP, "ha2");
    eventually("the flag follows", || flagged(&b) && !flagged(&a));
    a.host.heal();
    settled(&[&a, &b], VIP, "ha1");
    // Both lose the router: nobody is better, nothing moves.
    lab.host("router").cut(Cut::Silent);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(holders(&[&a, &b], VIP), ["ha1"], "{}", a.log());
}

#[test]
fn one_of_two_cables_is_enough() {
    let lab = two();
    let mut cable = Cable::lay();
    let serial = |end: End| format!("serial {}\n", cable.device(end).display());
    let ha_cf = "bcast eth0\nnode ha1 ha2\nauto_failback on\n";
    let (mut a, mut b) = pair(&lab);
    for (node, end) in [(&a, End::A), (&b, End::B)] {
        let text = format!("{TIMES}baud 115200\n{}{ha_cf}", serial(end));
        std::fs::write(node.dir.join("ha.d/ha.cf"), text).unwrap();
    }
    a.start();
    b.start();
    settled(&[&a, &b], VIP, "ha1");
    cable.cut();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(holders(&[&a, &b], VIP), ["ha1"], "the network alone is enough");
    cable.heal();
    std::thread::sleep(std::time::Duration::from_secs(1));
    a.host.cut(Cut::Silent);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(holders(&[&a, &b], VIP), ["ha1"], "the cable alone is enough");
    cable.cut();
    eventually("both cut: as heartbeat does, both have it", || b.has(VIP));
    cable.heal();
    a.host.heal();
    settled(&[&a, &b], VIP, "ha1");
}

#[test]
fn five_nodes_with_two_spares_follow_the_order_of_the_configuration() {
    let names = ["n1", "n2", "n3", "n4", "n5"];
    let hosts: Vec<(String, String)> =
        names.iter().enumerate().map(|(n, name)| ((*name).to_owned(), format!("10.9.0.{}/24", n + 1))).collect();
    let hosts: Vec<(&str, &str)> = hosts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let lab = Lab::up(&hosts);
    let ha_cf = "bcast eth0\nnode n1 n2 n3 n4 n5\nauto_failback on\nenv TAKEOVER_MAX_GROUPS=1\nenv \
                 TAKEOVER_STOP_DEADLINE=500ms\nenv TAKEOVER_LEASE=1s\n";
    let groups = "n1,n4,n5 10.9.0.101/24/eth0\nn2,n4,n5 10.9.0.102/24/eth0\nn3,n5,n4 10.9.0.103/24/eth0\n";
    let mut nodes: Vec<Node> = names.iter().map(|name| Node::new(&lab, name, ha_cf, groups)).collect();
    nodes.iter_mut().for_each(Node::start);
    let vips = ["10.9.0.101", "10.9.0.102", "10.9.0.103"];
    let table = |nodes: &[Node], want: [&str; 3], when: &str| {
        let all: Vec<&Node> = nodes.iter().collect();
        eventually(&format!("{when}: {want:?}"), || {
            vips.iter().zip(want).all(|(vip, want)| holders(&all, vip).join(",") == want)
        });
    };
    table(&nodes, ["n1", "n2", "n3"], "all are there");
    nodes[0].kill();
    table(&nodes, ["n4", "n2", "n3"], "n1 is dead");
    nodes[1].kill();
    table(&nodes, ["n4", "n5", "n3"], "n1 and n2 are dead");
    nodes[0].start();
    table(&nodes, ["n1", "n5", "n3"], "n1 is back");
    nodes[2].leave();
    table(&nodes, ["n1", "n5", "n4"], "n3 has left");
    nodes[1].start();
    nodes[2].start();
    table(&nodes, ["n1", "n2", "n3"], "all are back");
}
