//! Whole nodes of a cluster with something wrong in them: parts that stand still, disks without room, resources that do
//! not stop, clients that end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cluster.rs"]
mod cluster;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use cluster::hosts::eventually;
use cluster::{Node, VIP, flagged, holders, pair, pair_with, settled, signal, support_mode, two};
use serde_json::Value;
use takeover::node::stillness::Sign;
use takeover_lab::{Cut, Signal};

const PAIR: &str = "bcast eth0\nnode ha1 ha2\nauto_failback on\n";

/// Both run, and the first has the group.
#[track_caller]
fn run(a: &mut Node, b: &mut Node) {
    a.start();
    b.start();
    settled(&[a, b], VIP, "ha1");
    eventually("the whole group runs", || flagged(a));
}

/// A resource that takes long, or does not end at all while there is a file `hangs`.
fn stubborn(node: &Node) {
    let flag = node.path("flag");
    node.script(
        "Flag",
        &format!(
            "case $1 in start) touch {flag} ;; stop) while [ -e {flag}.hangs ]; do trap '' TERM; sleep 0.1; done; rm -f \
             {flag} ;; status) [ -e {flag} ] && echo running || echo stopped: not running ;; esac"
        ),
    );
}

#[test]
fn what_stands_still_for_good_is_noticed() {
    let lab = two();
    for part in ["hb-send -", "hb-listen --ha-d", "vip-take ", "ha-decide --ha-d"] {
        let (mut a, mut b) = pair(&lab);
        run(&mut a, &mut b);
        let find = |a: &Node| if part == "vip-take " { a.holder() } else { a.pid(part) };
        let pid = find(&a).unwrap_or_else(|| panic!("no {part} on ha1"));
        signal(pid, Signal::SIGSTOP);
        if part.starts_with("ha-decide") {
            a.ended(70);
            assert!(!flagged(&a), "it gave up in order: {}", b.log());
            settled(&[&a, &b], VIP, "ha2");
        } else {
            let name = part.split(' ').next().unwrap();
            eventually(&format!("{part} is killed"), || a.log().contains("stood still, and was killed"));
            assert!(a.log().contains(name) || name == "vip-take", "{}", a.log());
            eventually(&format!("there is another {part}"), || {
                holders(&[&a, &b], VIP).len() == 1 && (part == "vip-take " || find(&a).is_some_and(|now| now != pid))
            });
        }
        // One has it, and goes on with it.
        for _ in 0..10 {
            assert!(holders(&[&a, &b], VIP).len() < 2, "after {part}: {}{}", a.log(), b.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        eventually(&format!("one has it long after {part} stood still"), || {
            holders(&[&a, &b], VIP).len() == 1 && (flagged(&a) || flagged(&b))
        });
        a.end();
        b.end();
        eventually("the leases are over", || holders(&[&a, &b], VIP).is_empty());
    }
}

#[test]
fn nothing_is_killed_that_only_has_little_to_do() {
    let lab = two();
    let (mut a, mut b) =
        pair_with(&lab, &format!("{PAIR}env TAKEOVER_LEASE=4s\n"), &format!("ha1 {VIP}/24/eth0 Flag\n"));
    run(&mut a, &mut b);
    let looks = |node: &Node| {
        let pid = node.pid("ha-watch --every").unwrap_or_else(|| panic!("no ha-watch: {}", node.log()));
        Sign::of("ha-watch".to_owned(), pid).map_or(0, |sign| sign.waits)
    };
    let before = [&a, &b].map(looks);
    // It waits once a look, and would kill at the third.
    eventually("each was looked at five times", || {
        [&a, &b].map(looks).iter().zip(before).all(|(now, before)| *now > before + 5)
    });
    for node in [&a, &b] {
        assert!(!node.log().contains("stood still") && !node.log().contains("ended with"), "{}", node.log());
    }
    assert_eq!(holders(&[&a, &b], VIP), ["ha1"]);
}

#[test]
fn a_leave_is_heard_though_nobody_decides() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    run(&mut a, &mut b);
    signal(a.pid("ha-decide --ha-d").unwrap(), Signal::SIGSTOP);
    signal(a.pid("/ha-node ").unwrap(), Signal::SIGTERM);
    a.ended(70);
    assert!(!flagged(&a), "everything is stopped");
    settled(&[&a, &b], VIP, "ha2");
}

#[test]
fn a_part_whose_reader_died_blocks_nobody() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    run(&mut a, &mut b);
    // Orders: the sender is started again before the other one misses it, and goes on where it was.
    let first = a.pid("hb-send -").unwrap();
    signal(first, Signal::SIGKILL);
    eventually("there is another sender", || a.pid("hb-send -").is_some_and(|pid| pid != first));
    a.ask(&["what=standby", "which=all"]);
    settled(&[&a, &b], VIP, "ha2");
    a.ask(&["what=failback"]);
    b.ask(&["what=failback"]);
    settled(&[&a, &b], VIP, "ha1");
    assert!(a.log().contains("hb-send ended with 137, and is started again"), "{}", a.log());
    // Heard and events: without its reader the node gives up, and ends by itself.
    eventually("the whole group runs", || flagged(&a));
    signal(a.pid("ha-decide --ha-d").unwrap(), Signal::SIGKILL);
    a.ended(70);
    assert!(!flagged(&a), "the flag was stopped");
    settled(&[&a, &b], VIP, "ha2");
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    let state = a.path("state");
    fs::create_dir(&state).unwrap();
    a.before = format!("mount -t tmpfs -o size=256k,mode=700 state {state}");
    let ha_cf = a.path("ha.d/ha.cf");
    let text = fs::read_to_string(&ha_cf).unwrap();
    fs::write(&ha_cf, format!("{text}logfile {state}/log\n")).unwrap();
    run(&mut a, &mut b);
    let fill = a.within("state/fill");
    assert!(fs::write(&fill, vec![0; 1 << 20]).is_err(), "it is full");
    // Nor in what the last page of the log has left.
    let mut log = fs::File::options().append(true).open(a.within("state/log")).unwrap();
    assert!(log.write_all(&[b'\n'; 8192]).is_err());
    let count = |words: &str| a.log().matches(words).count();
    eventually("the journal has no room", || count("lines of the journal are lost") == 1);
    // Everything goes on, also a part that is started again.
    let first = a.pid("hb-send -").unwrap();
    signal(first, Signal::SIGKILL);
    eventually("there is another sender", || a.pid("hb-send -").is_some_and(|pid| pid != first));
    for (to, from) in [("ha2", &a), ("ha1", &b)] {
        from.ask(&["what=standby", "which=all"]);
        settled(&[&a, &b], VIP, to);
    }
    assert_eq!(count("lines of the journal are lost"), 1, "said once: {}", a.log());
    assert_eq!(count("log takes nothing"), 1, "said once: {}", a.log());
    assert!(a.log().contains("acquire"), "stderr has it: {}", a.log());
    let before = fs::read_to_string(a.within("state/log")).unwrap();
    fs::remove_file(&fill).unwrap();
    for (to, from) in [("ha2", &a), ("ha1", &b)] {
        from.ask(&["what=standby", "which=all"]);
        settled(&[&a, &b], VIP, to);
    }
    eventually("it is written again", || {
        let log = fs::read_to_string(a.within("state/log")).unwrap();
        log.len() > before.len() && log.ends_with('\n')
    });
    let journal = fs::read_to_string(a.within("state/events.jsonl")).unwrap();
    let lines: Vec<Value> =
        journal.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
    let lost = |e: &&Value| e["cause"].as_str().is_some_and(|c| c.ends_with("lines were lost"));
    let at = lines.iter().position(|e| lost(&e)).expect("it says what is missing");
    assert!(lines[at..].iter().any(|e| e["event"] == "acquire"), "and goes on");
}

#[test]
fn two_hundred_resources_in_a_group_delay_no_judgement() {
    let lab = two();
    let names: Vec<String> = (0..200).map(|n| format!("Many::{n}")).collect();
    let haresources = format!("ha1 {VIP}/24/eth0 {}\n", names.join(" "));
    let (mut a, mut b) = pair_with(&lab, PAIR, &haresources);
    for node in [&a, &b] {
        let here = node.path("many");
        fs::create_dir(&here).unwrap();
        let text = format!(
            "f={here}/$1; case $2 in start) : >$f ;; stop) rm -f $f ;; status) [ -e $f ] && echo running || echo \
             stopped: not running ;; esac"
        );
        node.script("Many", &text);
    }
    a.start();
    b.start();
    let have = |node: &Node| fs::read_dir(node.dir.join("many")).unwrap().count();
    // Some hundred scripts one after the other, on a machine that may be busy.
    let patiently = |what: &str, holds: &dyn Fn() -> bool| {
        let until = Instant::now() + Duration::from_secs(120);
        while !holds() {
            assert!(Instant::now() < until, "{what}: {}{}", a.log(), b.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    patiently("all run on ha1", &|| have(&a) == 200 && a.has(VIP));
    patiently("ha1 is done with it", &|| a.status().contains("running "));
    a.ask(&["what=standby", "which=all"]);
    patiently("all run on ha2", &|| have(&a) == 0 && have(&b) == 200);
    let dead = |node: &Node| node.journal().iter().filter(|e| e["event"] == "node" && e["is"] == "dead").count();
    assert_eq!((dead(&a), dead(&b)), (0, 0), "nobody was taken for dead");
    assert!(!a.log().contains("could not be"), "{}", a.log());
}

#[test]
fn what_does_not_stop_is_not_given_away() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    (a.timeout, b.timeout) = ("1s", "1s");
    stubborn(&a);
    let hangs = a.dir.join("flag.hangs");
    run(&mut a, &mut b);
    fs::write(&hangs, "").unwrap();
    a.ask(&["what=standby", "which=all"]);
    eventually("it is said to be stuck on both", || [&a, &b].iter().all(|n| n.status().contains("stuck ")));
    assert!(a.has(VIP) && flagged(&a) && !b.has(VIP) && b.decided("acquire") == 0, "{}{}", a.log(), b.log());
    // Nothing is left of the attempt.
    eventually("the script is gone", || a.pid(&format!("/bin/sh {}", a.path("ha.d/resource.d/Flag"))).is_none());
    // Whoever has mended it says so.
    fs::remove_file(&hangs).unwrap();
    a.ask(&["what=retry"]);
    settled(&[&a, &b], VIP, "ha2");
    eventually("the flag is there, too", || flagged(&b) && !flagged(&a));
}

#[test]
fn where_two_have_a_group_the_addresses_of_one_go_before_its_services_do() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    stubborn(&b);
    let hangs = b.dir.join("flag.hangs");
    run(&mut a, &mut b);
    b.host.cut(Cut::Silent);
    eventually("both have all of it", || a.has(VIP) && b.has(VIP) && flagged(&b));
    fs::write(&hangs, "").unwrap();
    b.host.heal();
    eventually("the address is ha1's alone", || holders(&[&a, &b], VIP) == ["ha1"]);
    assert!(flagged(&b) && b.decided("release") == 1, "its service is still being stopped: {}", b.log());
    fs::remove_file(&hangs).unwrap();
    settled(&[&a, &b], VIP, "ha1");
    eventually("it is stopped", || !flagged(&b));
}

/// An announcement takes a while: what is left of it would make the next holder think that it has a rival.
#[test]
fn an_address_that_was_given_up_is_announced_no_more() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    let said = a.dir.join("announced");
    // Its first word is on the way for as long as the node has the address.
    let garp = a.dir.join("first/garp");
    fs::create_dir(garp.parent().unwrap()).unwrap();
    let held = a.path("run/holders");
    let text = format!(
        "#!/bin/sh\necho said >>{file}\nn=0\nwhile [ $n -lt 600 ] && [ \"$(ls {held})\" ]; do sleep 0.05; n=$((n + 1)); done\n\
         echo through >>{file}\n",
        file = said.display()
    );
    fs::write(&garp, text).unwrap();
    support_mode(&garp, 0o755);
    a.before = format!("export PATH={}:\"$PATH\"", garp.parent().unwrap().display());
    run(&mut a, &mut b);
    b.host.cut(Cut::Silent);
    eventually("both have all of it", || a.has(VIP) && b.has(VIP) && flagged(&b));
    b.host.heal();
    eventually("it is announced again", || said.exists());
    // Whether the other one let go for its rival or lost the address to it first is chance; what it lost it is not given.
    let asked = std::cell::Cell::new(0);
    eventually("it moves to ha2", || {
        if a.log().matches("refused:").count() == asked.get() {
            asked.set(asked.get() + 1);
            b.ask(&["what=retry"]);
            a.ask(&["what=standby", "which=all"]);
        }
        holders(&[&a, &b], VIP) == ["ha2"]
    });
    let told = || fs::read_to_string(&said).unwrap();
    eventually("the word is out", || told().ends_with("through\n"));
    let now = || a.journal().last().and_then(|e| e["mono_ms"].as_f64()).unwrap_or_default();
    let then = now();
    eventually("time for the rest of it has passed", || now() > then + 600.0);
    assert_eq!(told(), "said\nthrough\n", "{}", a.log());
}

#[test]
fn what_did_not_stop_is_taken_from_the_dead_and_only_once_they_are_fenced() {
    let lab = two();
    for fenced in [false, true] {
        let (mut a, mut b) = pair(&lab);
        (a.timeout, b.timeout) = ("1s", "1s");
        stubborn(&a);
        let device = b.path("device");
        fs::write(&device, format!("#!/bin/sh\necho \"$@\" >>{device}.log; [ -e {device}.works ]\n")).unwrap();
        support_mode(Path::new(&device), 0o755);
        for node in [&a, &b].iter().filter(|_| fenced) {
            let ha_cf = node.path("ha.d/ha.cf");
            let text = fs::read_to_string(&ha_cf).unwrap();
            fs::write(&ha_cf, format!("{text}stonith_host * {device}\n")).unwrap();
        }
        run(&mut a, &mut b);
        fs::write(a.dir.join("flag.hangs"), "").unwrap();
        a.ask(&["what=standby", "which=all"]);
        eventually("it is stuck", || b.status().contains("stuck "));
        a.kill();
        if fenced {
            eventually("the device is asked", || Path::new(&format!("{device}.log")).exists());
            eventually("the address is gone with its lease", || !a.has(VIP));
            assert!(!b.has(VIP) && b.decided("acquire") == 0, "{}", b.log());
            fs::write(format!("{device}.works"), "").unwrap();
            let mut done = b.host.tool("ha-event");
            let pipe = fs::File::options().read(true).write(true).open(b.dir.join("run/events")).unwrap();
            done.args(["--tool", "ha-node", "done", "action=fence", "node=ha1", "status=0"]).stdout(pipe);
            assert!(done.status().unwrap().success());
        }
        settled(&[&a, &b], VIP, "ha2");
        b.end();
        eventually("the leases are over", || holders(&[&a, &b], VIP).is_empty());
    }
}

#[test]
fn clients_of_ha_cf_are_kept_or_end_the_node() {
    let lab = two();
    let (mut a, mut b) = pair(&lab);
    let client = |name: &str, status: &str| {
        let path = a.path(name);
        let count = a.path(&format!("{name}.runs"));
        fs::write(&path, format!("#!/bin/sh\necho \"$$ $*\" >>{count}\nwhile [ ! -e {path}.ends ]; do sleep 0.1; done\nrm {path}.ends\nexit {status}\n")).unwrap();
        support_mode(Path::new(&path), 0o755);
        path
    };
    let (kept, done, fatal) = (client("kept", "0"), client("done", "100"), client("fatal", "3"));
    let ha_cf = a.path("ha.d/ha.cf");
    let text = fs::read_to_string(&ha_cf).unwrap();
    fs::write(&ha_cf, format!("{text}respawn root {kept} a b\nrespawn root {done}\nfailfast root {fatal}\n")).unwrap();
    run(&mut a, &mut b);
    let runs = |path: &str| {
        fs::read_to_string(format!("{path}.runs")).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let end = |path: &str| fs::write(format!("{path}.ends"), "").unwrap();
    eventually("all run", || [&kept, &done, &fatal].iter().all(|c| runs(c).len() == 1));
    assert!(runs(&kept)[0].ends_with(" a b"), "it gets its words");
    end(&done);
    end(&kept);
    eventually("one is started again", || runs(&kept).len() == 2);
    assert_eq!(holders(&[&a, &b], VIP), ["ha1"]);
    end(&fatal);
    a.ended(0);
    assert!(!flagged(&a), "a polite leave");
    settled(&[&a, &b], VIP, "ha2");
    assert_eq!((runs(&done).len(), runs(&fatal).len()), (1, 1));
}
