//! Whole nodes of a cluster: `ha-node` with all its parts on hosts of the lab, and everything that can happen to them.
//!
//! Each node is a process namespace of its own, so that killing its first process kills all of it while its kernel, and
//! the addresses in it, live on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cluster.rs"]
mod cluster;

use std::path::Path;
use std::process::{Command, Stdio};

use cluster::hosts::eventually;
use cluster::{Node, TIMES, VIP, flagged, holders, pair, pair_with, settled, signal, support_mode, two};
use serde_json::Value;
use takeover_lab::serial::{Cable, End};
use takeover_lab::{Cut, Lab, Signal, tool};

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
            "vip-take " => a.holder(), // its command line does not name the node
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
    // Without a carrier nothing can be asked: that tells as much as silence does.
    for cut in [Cut::Silent, Cut::Carrier] {
        eventually("its address is there to stay", || a.announced());
        a.host.cut(cut);
        settled(&[&a, &b], VIP, "ha2");
        eventually("the flag follows", || flagged(&b) && !flagged(&a));
        a.host.heal();
        settled(&[&a, &b], VIP, "ha1");
    }
    // Both lose the router: nobody is better, nothing moves.
    let taken = [&a, &b].map(|node| node.decided("acquire"));
    lab.host("router").cut(Cut::Silent);
    // Twice the deadping: both have given it up.
    eventually("both miss it", || [&a, &b].iter().all(|node| node.misses("10.9.0.254") > 1600.0));
    assert_eq!(holders(&[&a, &b], VIP), ["ha1"], "{}", a.log());
    assert_eq!([&a, &b].map(|node| node.decided("acquire")), taken, "{}", b.log());
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
    let both = |medium: &str, is: &str| {
        eventually(&format!("{medium} is {is} for both"), || [&a, &b].iter().all(|node| node.link(medium) == is));
    };
    let nothing_moved = |enough: &str| {
        assert_eq!(holders(&[&a, &b], VIP), ["ha1"], "{enough} alone is enough: {}{}", a.log(), b.log());
        assert_eq!(b.decided("acquire"), 0, "{enough} alone is enough: {}", b.log());
    };
    both("serial", "up");
    cable.cut();
    both("serial", "dead");
    nothing_moved("the network");
    cable.heal();
    both("serial", "up");
    a.host.cut(Cut::Silent);
    both("eth0", "dead");
    nothing_moved("the cable");
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

#[test]
fn with_a_fencing_device_nothing_is_taken_before_it_was_done() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    let device = b.path("device");
    std::fs::write(&device, format!("#!/bin/sh\necho \"$@\" >>{0}.log; [ -e {0}.works ]\n", device)).unwrap();
    support_mode(Path::new(&device), 0o755);
    for node in [&a, &b] {
        let ha_cf = node.dir.join("ha.d/ha.cf");
        let text = std::fs::read_to_string(&ha_cf).unwrap();
        std::fs::write(&ha_cf, format!("{text}stonith_host * {device} secret\n")).unwrap();
    }
    a.start();
    b.start();
    settled(&[&a, &b], VIP, "ha1");
    a.kill();
    let asked = || std::fs::read_to_string(format!("{device}.log")).unwrap_or_default();
    eventually("the device is asked", || asked() == "secret off ha1\n");
    eventually("the address is gone with its lease", || !a.has(VIP));
    assert!(!b.has(VIP) && b.decided("acquire") == 0, "{}", b.log());
    std::fs::write(format!("{device}.works"), "").unwrap();
    let fence = |words: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ha-fence");
        let bin = tool("ha-conf").parent().unwrap().to_owned();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        b.host.command(script).args(["--ha-d", &b.path("ha.d")]).args(words).env("PATH", path).status().unwrap().code()
    };
    assert_eq!(fence(&["--node", "ha1"]), Some(0));
    assert_eq!(fence(&["--node", "ha1; reboot"]), Some(64));
    assert_eq!(fence(&["--node", "ha1", "--action", "explode"]), Some(64));
    // Asked again after half a minute, or told by whoever has done it.
    let pipe = std::fs::File::options().read(true).write(true).open(b.dir.join("run/events")).unwrap();
    let mut done = b.host.tool("ha-event");
    done.args(["--tool", "ha-node", "done", "action=fence", "node=ha1", "status=0"]).stdout(Stdio::from(pipe));
    assert!(done.status().unwrap().success());
    settled(&[&a, &b], VIP, "ha2");
}
