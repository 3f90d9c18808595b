//! fs-release: who holds a mount open, and what becomes of them and of the claim.
#![allow(clippy::unwrap_used)]

#[path = "support/storage.rs"]
mod storage;

use std::process::Stdio;

use serde_json::{Map, Value, json};
use storage::{Disk, Machine, Run, event, eventually};

fn holders(run: &Run) -> Vec<Map<String, Value>> {
    run.events().into_iter().filter(|e| e["event"] == "holder").collect()
}

fn mounted(name: &str) -> (Disk, Machine) {
    let (disk, m) = (Disk::new(name), Machine::new());
    m.run(&format!("fs-claim {} /run/m ext4 --guard flock", disk.dev())).ends_with(0);
    (disk, m)
}

/// Each way of holding a mount, and those who only look as if.
#[test]
fn holders_of_every_kind() {
    let (disk, m) = mounted("holders");
    m.sh("mkdir /run/m/root; cp /bin/busybox /run/m/; echo text >/run/m/file");
    m.sh(&format!(
        "mount --bind /run/m /run/n; mkdir /run/m/in; mount -t tmpfs in /run/m/in; umount /run/m/in; ls {}",
        disk.dev()
    ));
    let perl = "perl -e 'use strict; open(my $f, \"<\", \"/run/m/file\"); $| = 1; print \"$$\\n\"; sleep 600'";
    let cases = [
        ("cwd", m.start("cd /run/m; echo $$; exec cat")),
        ("fd", m.start("exec 7</run/m/file; echo $$; exec cat")),
        ("fd", m.start(perl)),
        ("exe,map", m.start("exec /run/m/busybox sh -c 'echo $$; read x'")),
        ("root", m.start("exec perl -e '$| = 1; chroot \"/run/m/root\"; print \"$$\\n\"; sleep 600'")),
    ];
    let innocent = [
        m.start("cd /run/n; echo $$; exec cat"),
        m.start("exec 7</run/n/file; echo $$; exec cat"),
        m.start("exec /run/n/busybox sh -c 'echo $$; read x'"),
        m.start(&format!("exec 7<{}; echo $$; exec cat", disk.dev())),
        m.start("cd /run; echo $$; exec cat"),
    ];
    let run = m.run("fs-release /run/m");
    run.ends_with(1);
    let found = holders(&run);
    for (how, process) in &cases {
        let holder = found.iter().find(|h| h["pid"] == process.pid()).unwrap_or_else(|| panic!("{how} {run:#?}"));
        let ways = holder["how"].as_str().unwrap();
        assert!(how.split(',').all(|h| ways.split(',').any(|w| w == h)), "{how}: {holder:?}");
        assert!(holder["path"].as_str().unwrap().starts_with("/run/m"), "{holder:?}");
        assert_eq!((&holder["user"], &holder["protected"]), (&json!("root"), &json!(false)));
    }
    assert_eq!(found.len(), cases.len(), "nobody else: {found:#?}");
    let busy = event(&run, "busy");
    assert_eq!((&busy["holders"], &busy["mounts"]), (&json!(cases.len()), &json!([])));

    let killed = m.run("fs-release /run/m --kill KILL,5s");
    // They are ended, and it is unmounted; the bind mount keeps the file system alive, and so the claim is kept.
    killed.ends_with(1);
    assert_eq!(event(&killed, "unmounted")["changed"], json!(true));
    assert!(event(&killed, "busy")["cause"].as_str().unwrap().contains("/run/n"), "{killed:#?}");
    for (how, mut process) in cases {
        eventually(how, || process.ended());
    }
    for mut process in innocent {
        assert!(!process.ended(), "{} held nothing", process.said);
    }
    let record = m.record("-run-m").expect("the claim is kept");
    assert!(m.runs(&record["keeper"]["pid"]));
    m.run("fs-release /run/n --kill KILL,5s").ends_with(0);
    m.run("fs-release /run/m").ends_with(0);
    assert_eq!(m.record("-run-m"), None);
}

/// A thread may have a folder and files of its own.
#[test]
fn threads() {
    let (_disk, m) = mounted("threads");
    let script = "
import ctypes, os, threading
def own():
    ctypes.CDLL(None).unshare(0x200 | 0x400)
    os.chdir('/run/m')
    os.open('/run/m', os.O_RDONLY)
    print(os.getpid(), flush=True)
    threading.Event().wait(600)
threading.Thread(target=own, daemon=True).start()
threading.Event().wait(600)
";
    std::fs::write(std::env::temp_dir().join(format!("threads-{}.py", std::process::id())), script).unwrap();
    let file = std::env::temp_dir().join(format!("threads-{}.py", std::process::id()));
    let process = m.start(&format!("exec python3 {}", file.display()));
    let run = m.run("fs-release /run/m");
    let _ = std::fs::remove_file(&file);
    let found = holders(run.ends_with(1));
    assert_eq!(found.len(), 1, "{run:#?}");
    assert_eq!((found[0]["pid"].to_string(), &found[0]["how"]), (process.said.clone(), &json!("cwd,fd")));
}

#[test]
fn signals_in_their_order() {
    let (_disk, m) = mounted("order");
    let polite = m.start("cd /run/m; trap 'exit 0' TERM; echo $$; while :; do sleep 0.05; done");
    let deaf = m.start("cd /run/m; trap '' TERM; echo $$; while :; do sleep 0.05; done");
    let run = m.run("fs-release /run/m --kill TERM,300ms,KILL,5s");
    run.ends_with(0);
    let killed: Vec<(String, Value)> = run
        .events()
        .iter()
        .filter(|e| e["event"] == "killed" && e["command"] == "sh")
        .map(|e| (e["pid"].to_string(), e["signal"].clone()))
        .collect();
    let sent = |process: &storage::Process, signal: &str| killed.contains(&(process.said.clone(), json!(signal)));
    assert!(sent(&polite, "SIGTERM") && sent(&deaf, "SIGTERM") && sent(&deaf, "SIGKILL"), "{run:#?}");
    assert!(!sent(&polite, "SIGKILL"), "it had gone: {run:#?}");
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));
}

/// Whoever calls from within the mount must not be ended by its own call.
#[test]
fn never_itself_nor_who_waits_for_it() {
    let (_disk, m) = mounted("itself");
    let script = "cd /run/m; sh -c 'fs-release /run/m --kill TERM,0s,KILL,200ms; echo status $?'; echo alive";
    let mut command = m.command(&["sh", "-c", script]);
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("status 1\nalive\n"), "{text}");
    assert!(text.contains("\"protected\":true") && !text.contains("\"killed\""), "{text}");
    assert!(m.mounted("/run/m").is_some() && m.record("-run-m").is_some());
}

/// What no signal ends is named, and nobody is killed for it.
#[test]
fn what_the_kernel_holds() {
    let (_disk, m) = mounted("kernel");
    let user = m.start("cd /run/m; echo $$; exec cat");
    m.sh("mkdir /run/m/in; mount -t tmpfs in /run/m/in");
    let run = m.run("fs-release /run/m --kill KILL");
    run.ends_with(1);
    assert_eq!(event(&run, "busy")["mounts"], json!(["/run/m/in"]));
    let mut user = user;
    assert!(!user.ended(), "it would not have helped");
    drop(user);
    m.sh("umount /run/m/in; truncate -s 1M /run/m/image");
    let looped = m.sh("losetup -f --show /run/m/image");
    let run = m.run("fs-release /run/m --kill KILL,100ms");
    m.sh(&format!("losetup -d {looped}"));
    run.ends_with(1);
    let found = holders(&run);
    assert!(found.iter().all(|h| h["pid"].is_null() && h["how"] == "loop" && h["path"] == "/run/m/image"), "{run:#?}");
    assert!(!found.is_empty());
    m.run("fs-release /run/m").ends_with(0);
}

/// Hidden is not gone: the claim is kept until the last user has ended.
#[test]
fn lazily() {
    let (disk, m) = mounted("lazy");
    let keeper = m.record("-run-m").unwrap()["keeper"]["pid"].clone();
    // Frozen from the mount on, it would otherwise have to have seen it.
    m.sh(&format!("kill -STOP {keeper}"));
    let user = m.start("exec 7<>/run/m/file; echo $$; exec cat");
    let run = m.run("fs-release /run/m --lazy");
    m.sh(&format!("kill -CONT {keeper}"));
    run.ends_with(1);
    assert_eq!(event(&run, "unmounted")["lazy"], json!(true));
    assert!(!event(&run, "busy")["cause"].as_str().unwrap().is_empty());
    assert!(m.runs(&keeper) && m.mounted("/run/m").is_none());
    // Neither a second release nor another claim believes that it is over.
    m.run("fs-release /run/m").ends_with(1);
    m.run(&format!("fs-claim {} /run/n ext4 --guard flock", disk.dev())).ends_with(1);
    drop(user);
    eventually("the keeper ends with the last user", || !m.runs(&keeper));
    let again = m.run("fs-release /run/m");
    assert_eq!(event(again.ends_with(0), "unmounted")["changed"], json!(false));
    m.run(&format!("fs-claim {} /run/n ext4 --guard flock", disk.dev())).ends_with(0);
}

/// A copy of the mount in another namespace keeps the file system alive.
#[test]
fn a_copy_in_another_namespace() {
    let (_disk, m) = mounted("copy");
    let copy = m.start("exec unshare -m --propagation private sh -c 'cd /run/m; echo $$; exec cat'");
    let run = m.run("fs-release /run/m");
    run.ends_with(1);
    let cause = event(&run, "busy")["cause"].as_str().unwrap().to_owned();
    assert!(cause.contains("mount namespace of process"), "{cause}");
    assert_eq!(m.mounted("/run/m"), None);
    assert!(m.record("-run-m").is_some(), "the claim is kept");
    drop(copy);
    m.run("fs-release /run/m").ends_with(0);
}

/// Who uses such a copy is a holder too.
#[test]
fn users_of_a_copy() {
    let (_disk, m) = mounted("users");
    let here = m.start("cd /run/m; echo $$; exec cat");
    let there = m.start("exec unshare -m --propagation private sh -c 'cd /run/m; echo $$; exec cat'");
    let found = holders(m.run("fs-release /run/m").ends_with(1));
    let pids: Vec<String> = found.iter().map(|h| h["pid"].to_string()).collect();
    assert!(pids.contains(&here.said) && pids.contains(&there.said), "{found:#?}");
    m.run("fs-release /run/m --kill TERM,5s").ends_with(0);
}

/// A keeper that was frozen gives its lock up all the same.
#[test]
fn a_frozen_keeper() {
    let (_disk, m) = mounted("frozen");
    let keeper = m.record("-run-m").unwrap()["keeper"]["pid"].clone();
    m.sh(&format!("kill -STOP {keeper}"));
    let run = m.run("fs-release /run/m");
    assert_eq!(event(run.ends_with(0), "released")["changed"], json!(true));
    assert!(!m.runs(&keeper));
}

#[test]
fn stacked_mounts_that_nobody_claimed() {
    let m = Machine::new();
    m.sh("mount -t tmpfs one /run/m; mount -t tmpfs two /run/m");
    let run = m.run("fs-release /run/m");
    let refused = run.ends_with(1).event();
    assert!(refused["cause"].as_str().unwrap().contains("two is mounted over one"), "{refused:?}");
    m.sh("umount /run/m");
    let run = m.run("fs-release /run/m");
    assert_eq!(event(run.ends_with(0), "unmounted")["changed"], json!(true));
}

#[test]
fn what_was_claimed_is_gone_and_something_else_is_there() {
    let (_disk, m) = mounted("else");
    m.sh("umount /run/m; mount -t tmpfs foreign /run/m");
    eventually("the keeper has seen it", || m.record("-run-m").is_none());
    m.run("fs-release /run/m").ends_with(0);
    let disk = Disk::new("else-two");
    m.run(&format!("fs-claim {} /run/m ext4", disk.dev())).ends_with(0);
    m.sh("umount /run/m; mount -t tmpfs foreign /run/m");
    let refused = m.run("fs-release /run/m");
    assert_eq!(refused.ends_with(1).event()["event"], json!("refused"));
    assert_eq!(m.mounted("/run/m").as_deref(), Some("foreign"));
}

/// In a user namespace of its own a process may not take what others have mounted: the kernel says "not mounted" to it.
#[test]
fn a_mount_that_is_locked() {
    let m = Machine::new();
    m.sh("mount -t tmpfs one /run/m");
    m.run("unshare -U -r -m fs-release /run/m").failed("fs-release", 69, "unmount-failed");
    assert_eq!(m.mounted("/run/m").as_deref(), Some("one"));
}

/// Nobody reads what it has to say: all the same it ends what it has begun.
#[test]
fn an_output_that_fails() {
    let (_disk, m) = mounted("output");
    let keeper = m.record("-run-m").unwrap()["keeper"]["pid"].clone();
    assert_ne!(m.sh("fs-release /run/m >/dev/full; echo $?"), "0");
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));
    assert!(!m.runs(&keeper));
}
