//! The real peer itself: that the harness runs it as the tests against it suppose, and that it does no harm.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use takeover_lab::Lab;
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::serial::{Cable, End};

const TIMES: &str = "keepalive 200ms\nwarntime 500ms\ndeadtime 1\ninitdead 2\nudpport 694\nbaud 19200\n";

/// Starts both at once: one that is alone for its initdead declares the other dead.
fn start_both<'a>(lab: &'a Lab, of_a: &Setup, of_b: &Setup) -> (Node<'a>, Node<'a>) {
    let (mut a, mut b) = (Node::launch(lab.host("a"), of_a), Node::launch(lab.host("b"), of_b));
    a.await_up();
    b.await_up();
    (a, b)
}

fn two() -> Lab {
    Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")])
}

/// Runs twice at once below: two labs do not know of each other.
fn two_nodes_join_and_see_a_death() {
    let lab = two();
    let setup = Setup::new(&format!("{TIMES}bcast eth0\nauto_failback off\nnode a b\n"));
    let (a, mut b) = start_both(&lab, &setup, &setup);
    for (node, other) in [(&a, "b"), (&b, "a")] {
        node.await_status(other, "active");
        assert_eq!(node.link_status(other, "eth0"), "up");
    }
    assert!(b.pids().len() >= 4);
    b.kill();
    a.await_status("b", "dead");
    b.start_again();
    a.await_status("b", "active");
    b.freeze();
    a.await_status("b", "dead");
    b.thaw();
    a.await_log("returning after partition");
}

#[test]
fn they_join_over_broadcast_and_a_killed_one_is_dead() {
    two_nodes_join_and_see_a_death();
}

#[test]
fn so_they_do_in_a_second_lab_at_the_same_time() {
    two_nodes_join_and_see_a_death();
}

#[test]
fn they_join_over_a_serial_cable_that_can_be_cut() {
    let lab = two();
    let mut cable = Cable::lay();
    let setup = |end| {
        let device = cable.device(end).display().to_string();
        Setup::new(&format!("{TIMES}serial {device}\nauto_failback off\nnode a b\n"))
    };
    let (of_a, of_b) = (setup(End::A), setup(End::B));
    let (link_a, link_b) = (cable.device(End::A), cable.device(End::B));
    let (a, b) = start_both(&lab, &of_a, &of_b);
    a.await_status("b", "active");
    b.await_status("a", "active");
    assert_eq!(a.link_status("b", link_a.to_str().unwrap()), "up");
    assert_eq!(b.link_status("a", link_b.to_str().unwrap()), "up");
    cable.inject(End::A, b"noise\xff\x00\n>>>\nt=status\n");
    cable.cut();
    a.await_status("b", "dead");
    cable.heal();
    a.await_log("returning after partition");
}

#[test]
fn resources_run_and_a_graceful_stop_hands_them_over() {
    let lab = two();
    let setup = Setup::new(&format!("{TIMES}bcast eth0\nauto_failback off\nnode a b\n"))
        .haresources("a Flag\n")
        .script("Flag", "#!/bin/sh\ncase $1 in\nstart) : >/run/flag;;\nstop) rm -f /run/flag;;\nstatus) [ -e /run/flag ] && echo running || echo stopped;;\nesac\n");
    let (mut a, b) = start_both(&lab, &setup, &setup);
    let runs = |node: &Node| node.dir().join("run/flag").exists();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !runs(&a) {
        assert!(std::time::Instant::now() < deadline, "a does not take its resource");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!runs(&b));
    b.await_log("remote resource transition completed");
    assert!(a.stop());
    b.await_log("mach_down takeover complete");
    assert!(runs(&b) && !runs(&a));
}

#[test]
fn nothing_in_a_node_reboots_the_machine() {
    let lab = Lab::up_as_root(&[("a", "10.9.0.1/24")]);
    let mut a = Node::start(lab.host("a"), &Setup::new(&format!("{TIMES}bcast eth0\nauto_failback off\nnode a b\n")));
    assert_eq!(a.reboots(), "");
    for line in ["reboot -nf", "halt -f", "poweroff -f", "shutdown -r now", "init 6", "telinit 6", "systemctl reboot"] {
        // What is not installed cannot harm.
        let run = "command -v \"$1\" >/dev/null || exit 9; exec \"$@\"";
        let status = a.command("sh").args(["-c", run, "sh"]).args(line.split(' ')).status().unwrap();
        match status.code() {
            Some(9) => {}
            Some(0) => assert!(a.reboots().ends_with(&format!("{line}\n")), "{line}: {}", a.reboots()),
            other => panic!("{line}: {other:?}"),
        }
    }
    // Its own names of the machine's things are private.
    let own = a
        .command("sh")
        .args(["-c", "hostname; ls /proc | grep -c '^[0-9]'; cat /proc/sysrq-trigger"])
        .output()
        .unwrap();
    let own = String::from_utf8(own.stdout).unwrap();
    let mut lines = own.lines();
    assert_eq!(lines.next(), Some("a"));
    assert!(lines.next().unwrap().parse::<u32>().unwrap() < 20, "its own processes alone: {own}");
    let pids = a.pids();
    a.kill();
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} outlives its node");
    }
}

/// The cable alone: what the tests of serial lines build on.
#[test]
fn a_cable_carries_cuts_and_is_unplugged() {
    let mut cable = Cable::lay();
    let open = |path: std::path::PathBuf| {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).custom_flags(nix::libc::O_NOCTTY).open(path).unwrap()
    };
    let mut a = open(cable.device(End::A));
    let mut b = open(cable.device(End::B));
    let mut buffer = [0; 64];
    // Whoever opens a device is noticed a moment later.
    let mut got = 0;
    cable.inject(End::B, b"\r\n\xff\x00!");
    while got < 5 {
        got += b.read(&mut buffer[got..]).unwrap();
    }
    assert_eq!(&buffer[..5], b"\r\n\xff\x00!", "raw");
    a.write_all(b"one").unwrap();
    let n = b.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"one");
    cable.cut();
    a.write_all(b"two").unwrap();
    cable.unplug(End::A);
    assert!(a.write_all(b"x").is_err() && !cable.device(End::A).exists());
    cable.plug(End::A);
    let mut a = open(cable.device(End::A));
    cable.heal();
    a.write_all(b"three").unwrap();
    let n = b.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"three", "what was written while it was cut is lost");
}
