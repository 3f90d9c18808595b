//! fs-claim on loop devices, in machines that are mount and process namespaces.
#![allow(clippy::unwrap_used)]

#[path = "support/storage.rs"]
mod storage;

use serde_json::{Value, json};
use storage::{Disk, Folder, Machine, event, eventually};

fn two_machines() -> (Machine, Machine) {
    (Machine::new(), Machine::new())
}

#[test]
fn twice_is_once() {
    let (disk, m) = (Disk::new("twice"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 noatime --guard flock --node HA1", disk.dev());
    let first = m.run(&line);
    first.ends_with(0);
    let claimed = event(&first, "claimed");
    assert_eq!(
        (&claimed["changed"], &claimed["strength"], &claimed["node"]),
        (&json!(true), &json!("advisory"), &json!("ha1"))
    );
    assert!(claimed["cause"].as_str().unwrap().contains("this machine only"), "{claimed:?}");
    let mounted = event(&first, "mounted");
    assert_eq!((&mounted["changed"], &mounted["fstype"]), (&json!(true), &json!("ext4")));
    assert!(mounted["options"].as_str().unwrap().contains("noatime"));
    assert_eq!(m.mounted("/run/m").as_deref(), Some(disk.dev()));
    assert!(m.runs(&claimed["keeper"]), "the keeper outlives the command");

    let again = m.run(&line);
    again.ends_with(0);
    assert_eq!(event(&again, "claimed")["changed"], json!(false));
    assert_eq!(event(&again, "claimed")["keeper"], claimed["keeper"]);
    assert_eq!(event(&again, "mounted")["changed"], json!(false));
    let status = m.run(&format!("fs-claim {} /run/m --status", disk.dev()));
    status.ends_with(0);
    assert_eq!((&status.event()["claimed"], &status.event()["guard"]), (&json!(true), &json!("flock")));

    let released = m.run("fs-release /run/m");
    released.ends_with(0);
    assert_eq!(
        (&event(&released, "unmounted")["changed"], &event(&released, "released")["changed"]),
        (&json!(true), &json!(true))
    );
    assert!(!m.runs(&claimed["keeper"]) && m.record("-run-m").is_none() && m.mounted("/run/m").is_none());
    let nothing = m.run("fs-release /run/m");
    nothing.ends_with(0);
    assert_eq!(nothing.event()["changed"], json!(false));
    m.run(&format!("fs-claim {} /run/m --status", disk.dev())).ends_with(1);
}

#[test]
fn a_dry_run_leaves_nothing() {
    let (disk, m) = (Disk::new("dry"), Machine::new());
    let dry = m.run(&format!("fs-claim {} /run/m ext4 --guard flock --fsck --dry-run", disk.dev()));
    dry.ends_with(0);
    let names: Vec<Value> = dry.events().iter().map(|e| e["event"].clone()).collect();
    assert_eq!(names, ["claimed", "checked", "mounted"]);
    assert!(dry.events().iter().all(|e| e["dry_run"] == json!(true)));
    assert_eq!((m.mounted("/run/m"), m.sh("ls /run")), (None, "m\nn".to_owned()));
    m.run("fs-release /run/m --dry-run").ends_with(0);
    assert_eq!(m.sh("ls /run"), "m\nn");
}

#[test]
fn one_of_two_nodes() {
    let (disk, shared) = (Disk::new("two"), Folder::new("two"));
    let (a, b) = two_machines();
    let lock = shared.path("lock");
    let claim = |m: &Machine, node: &str| {
        m.run(&format!("fs-claim {} /run/m ext4 --guard flock --lock-file {lock} --node {node}", disk.dev()))
    };
    claim(&a, "ha1").ends_with(0);
    let refused = claim(&b, "ha2");
    refused.ends_with(1);
    assert_eq!(refused.event()["holder"], json!("ha1"));
    assert_eq!((b.mounted("/run/m"), b.record("-run-m")), (None, None));
    let dry = b.run(&format!("fs-claim {} /run/m --guard flock --lock-file {lock} --dry-run", disk.dev()));
    dry.ends_with(1);
    assert_eq!(dry.event()["holder"], json!("ha1"));

    a.run("fs-release /run/m").ends_with(0);
    claim(&b, "ha2").ends_with(0);
    assert_eq!(claim(&a, "ha1").ends_with(1).event()["holder"], json!("ha2"));
}

/// The lock goes with its keeper, and the mount stands: nobody may be told that all is well.
#[test]
fn a_killed_keeper() {
    let (disk, shared) = (Disk::new("killed"), Folder::new("killed"));
    let (a, b) = two_machines();
    let lock = shared.path("lock");
    let line =
        |node: &str| format!("fs-claim {} /run/m ext4 --guard flock --lock-file {lock} --node {node}", disk.dev());
    let keeper = event(a.run(&line("ha1")).ends_with(0), "claimed")["keeper"].clone();
    let kill = |m: &Machine, keeper: &Value| {
        m.sh(&format!("kill -KILL {keeper}"));
        eventually("it is gone", || !m.runs(keeper));
    };
    kill(&a, &keeper);
    let status = a.run(&format!("fs-claim {} /run/m --status", disk.dev()));
    status.ends_with(75);
    assert_eq!((&status.event()["mounted"], &status.event()["claimed"]), (&json!(true), &json!(false)));

    let again = a.run(&line("ha1"));
    again.ends_with(0);
    let claimed = event(&again, "claimed");
    assert_eq!((&claimed["changed"], &event(&again, "mounted")["changed"]), (&json!(true), &json!(false)));
    assert!(claimed["cause"].as_str().unwrap().contains("was killed"), "{claimed:?}");
    assert_ne!(claimed["keeper"], keeper);

    // Somebody else is faster this time.
    kill(&a, &claimed["keeper"]);
    let holder =
        b.start(&format!("exec 9<>{lock}; flock 9; echo '{{\"node\":\"ha2\"}}' >{lock}; echo locked; exec cat"));
    assert_eq!(holder.said, "locked");
    let refused = a.run(&line("ha1"));
    refused.ends_with(1);
    let refused = refused.event();
    assert_eq!((&refused["holder"], &refused["mounted"]), (&json!("ha2"), &json!(true)));
    assert!(refused["cause"].as_str().unwrap().contains("WITHOUT a claim"), "{refused:?}");
    assert!(a.mounted("/run/m").is_some(), "what is written is not lost");
    a.run("fs-release /run/m").ends_with(0);
    assert_eq!(a.record("-run-m"), None);
}

/// Its number may belong to another process by now.
#[test]
fn a_number_is_no_keeper() {
    let (disk, m) = (Disk::new("reuse"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 --guard flock", disk.dev());
    let keeper = event(m.run(&line).ends_with(0), "claimed")["keeper"].clone();
    let other = m.start("echo $$; exec cat");
    m.sh(&format!(
        // The two may have started in one tick of the kernel's clock: a one before the keeper's start makes it another.
        "kill -KILL {keeper}; sed -i 's/\"pid\":{keeper}/\"pid\":{}/; s/\"start\":/&1/' /run/takeover/fs/-run-m.json \
         /run/takeover/fs/*.flock",
        other.said
    ));
    m.run(&format!("fs-claim {} /run/m --status", disk.dev())).ends_with(75);
    let again = m.run(&line);
    assert_eq!(event(again.ends_with(0), "claimed")["changed"], json!(true));
    m.run("fs-release /run/m").ends_with(0);
    let mut other = other;
    assert!(!other.ended(), "it has nothing to do with it");
}

/// An unmount by hand, and an end by signal.
#[test]
fn the_keeper_follows_the_mount() {
    let (disk, m) = (Disk::new("follows"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 --guard flock", disk.dev());
    let keeper = event(m.run(&line).ends_with(0), "claimed")["keeper"].clone();
    m.sh("umount /run/m");
    eventually("it ends with the mount", || !m.runs(&keeper));
    assert_eq!(m.record("-run-m"), None);

    let keeper = event(m.run(&line).ends_with(0), "claimed")["keeper"].clone();
    let user = m.start("cd /run/m; echo in; exec cat");
    m.sh(&format!("kill -TERM {keeper}"));
    // It is in use: the keeper stays, and so does the lock.
    m.run(&line).ends_with(0);
    assert!(m.runs(&keeper) && m.mounted("/run/m").is_some());
    drop(user);
    eventually("nobody is in it", || {
        m.sh(&format!("kill -TERM {keeper} 2>/dev/null || :"));
        !m.runs(&keeper)
    });
    assert_eq!(m.mounted("/run/m"), None);
}

#[test]
fn what_is_not_there() {
    let (disk, m) = (Disk::new("absent"), Machine::new());
    let dev = disk.dev();
    for (line, status, code) in [
        (format!("fs-claim {dev} /run/absent ext4"), 69, "no-such-mountpoint"),
        ("fs-claim /dev/absent /run/m ext4".to_owned(), 69, "no-such-device"),
        ("fs-claim UUID=00000000-0000-0000-0000-000000000000 /run/m ext4".to_owned(), 69, "no-such-device"),
        ("fs-claim /dev/null /run/m ext4".to_owned(), 69, "not-a-device"),
        (format!("fs-claim {dev} /run/m xfs"), 69, "mount-failed"),
        (format!("fs-claim {dev} /run/m ext4 nonsense=1"), 69, "mount-failed"),
        (format!("fs-claim {dev} /run/m ext4 --guard scsi-pr"), 69, "no-reservations"),
        (format!("fs-claim {dev} /run/m ext4 --guard flock --lock-file /absent/lock"), 70, "claim-failed"),
        (format!("fs-claim {dev} /run/m ext4 --guard drbd"), 64, "usage"),
        ("fs-release /".to_owned(), 64, "usage"),
    ] {
        let run = m.run(&line);
        let tool = line.split(' ').next().unwrap();
        assert_eq!(
            (run.status, run.events().last().unwrap().get("code").and_then(Value::as_str)),
            (Some(status), Some(code)),
            "{run:#?}"
        );
        assert_eq!(run.events().last().unwrap()["tool"], json!(tool));
        assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None), "{line}");
    }
    // A claim that was taken before the mount failed is given back.
    let failed = m.run(&format!("fs-claim {dev} /run/m xfs --guard flock"));
    failed.ends_with(69);
    let keeper = event(&failed, "claimed")["keeper"].clone();
    assert!(!m.runs(&keeper) && m.record("-run-m").is_none());
    m.run(&format!("fs-claim {dev} /run/m ext4 --guard flock")).ends_with(0);
}

#[test]
fn the_place_is_taken() {
    let (disk, other, m) = (Disk::new("place"), Disk::new("other"), Machine::new());
    m.sh(&format!("mount -t ext4 {} /run/m", other.dev()));
    let refused = m.run(&format!("fs-claim {} /run/m ext4", disk.dev()));
    refused.ends_with(1);
    assert!(refused.event()["cause"].as_str().unwrap().contains(other.dev()), "{refused:#?}");
    let refused = m.run(&format!("fs-claim {} /run/n ext4", other.dev()));
    refused.ends_with(1);
    assert!(refused.event()["cause"].as_str().unwrap().contains("/run/m"), "{refused:#?}");

    // What is mounted already, by whomever, is claimed where it stands.
    let adopted = m.run(&format!("fs-claim {} /run/m ext4 --guard flock", other.dev()));
    adopted.ends_with(0);
    assert_eq!(
        (&event(&adopted, "claimed")["changed"], &event(&adopted, "mounted")["changed"]),
        (&json!(true), &json!(false))
    );
    // Another guard needs a release first.
    m.run(&format!("fs-claim {} /run/m ext4", other.dev())).ends_with(1);
    // What lies below another mount is not there.
    m.sh("mount -t tmpfs over /run/m");
    let hidden = m.run(&format!("fs-claim {} /run/m ext4 --guard flock", other.dev()));
    assert!(hidden.ends_with(1).event()["cause"].as_str().unwrap().contains("over it"), "{hidden:#?}");
    let hidden = m.run("fs-release /run/m");
    assert_eq!(hidden.ends_with(1).event()["event"], json!("refused"));
    m.sh("umount /run/m");
    m.run("fs-release /run/m").ends_with(0);
}

#[test]
fn read_only_is_not_what_was_asked_for() {
    let (disk, m) = (Disk::new("ro"), Machine::new());
    m.run(&format!("fs-claim {} /run/m ext4 ro", disk.dev())).ends_with(0);
    m.run(&format!("fs-claim {} /run/m ext4 ro", disk.dev())).ends_with(0);
    let refused = m.run(&format!("fs-claim {} /run/m ext4", disk.dev()));
    assert!(refused.ends_with(1).event()["cause"].as_str().unwrap().contains("read"), "{refused:#?}");
    m.run("fs-release /run/m").ends_with(0);
    m.sh(&format!("blockdev --setro {}", disk.dev()));
    m.run(&format!("fs-claim {} /run/m ext4", disk.dev())).ends_with(69);
    m.run(&format!("fs-claim {} /run/m", disk.dev())).ends_with(69);
    assert_eq!(m.mounted("/run/m"), None, "not even read-only, as mount(8) would");
    m.sh(&format!("blockdev --setrw {}", disk.dev()));
}

/// Words of fstab, links, labels, files, folders.
#[test]
fn every_kind_of_device() {
    let (disk, m, folder) = (Disk::new("kinds"), Machine::new(), Folder::new("kinds"));
    let uuid = m.sh(&format!("blkid -o value -s UUID {}", disk.dev()));
    m.sh(&format!("ln -s {} /run/link; ln -s m /run/point", disk.dev()));
    for device in [&format!("UUID={uuid}"), "/run/link", disk.dev()] {
        let first = m.run(&format!("fs-claim {device} /run/point/ ext4 defaults,_netdev,noatime"));
        first.ends_with(0);
        assert_eq!(event(&first, "mounted")["mountpoint"], json!("/run/m"));
        let again = m.run(&format!("fs-claim {device} /run/../run/m"));
        assert_eq!(event(again.ends_with(0), "mounted")["changed"], json!(false));
        assert_eq!(event(m.run("fs-release /run/point").ends_with(0), "unmounted")["changed"], json!(true));
    }
    // A file is mounted through a loop device that mount(8) finds.
    let image = folder.path("image");
    m.sh(&format!("truncate -s 4M {image}; mke2fs -q -t ext4 {image}"));
    for changed in [true, false] {
        let run = m.run(&format!("fs-claim {image} /run/m ext4 loop"));
        assert_eq!(event(run.ends_with(0), "mounted")["changed"], json!(changed), "{run:#?}");
    }
    m.run("fs-release /run/m").ends_with(0);
    // A folder in a second place.
    m.sh("mkdir /run/n/sub; echo here >/run/n/sub/file");
    for changed in [true, false] {
        let run = m.run("fs-claim /run/n/sub /run/m none rw,bind");
        assert_eq!(event(run.ends_with(0), "mounted")["changed"], json!(changed), "{run:#?}");
    }
    assert_eq!(m.sh("cat /run/m/file"), "here");
    m.run("fs-claim /run/n /run/m none bind").ends_with(1);
    assert_eq!(event(m.run("fs-release /run/m").ends_with(0), "unmounted")["changed"], json!(true));
    // A name.
    m.run("fs-claim scratch /run/m tmpfs size=1m").ends_with(0);
    assert_eq!(event(m.run("fs-claim scratch /run/m tmpfs").ends_with(0), "mounted")["changed"], json!(false));
    m.run("fs-release /run/m").ends_with(0);
}

#[test]
fn checked_before_it_is_mounted() {
    let (good, m, bin) = (Disk::new("fsck"), Machine::new(), Folder::new("fsck"));
    let run = m.run(&format!("fs-claim {} /run/m ext4 --fsck", good.dev()));
    let checked = event(run.ends_with(0), "checked");
    assert_eq!((&checked["status"], &checked["changed"]), (&json!(0), &json!(false)));
    m.run("fs-release /run/m").ends_with(0);
    let blank = Disk::blank("fsck-blank");
    let run = m.run(&format!("fs-claim {} /run/m ext4 --fsck --guard flock", blank.dev()));
    run.ends_with(69);
    assert_eq!(run.events().last().unwrap()["code"], json!("fsck-failed"));
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));

    let mut m = m;
    m.path = Some(bin.path(""));
    for (status, ends, code) in [(1, 0, None), (4, 69, Some("fsck-failed")), (8, 69, Some("fsck-failed"))] {
        bin.script("fsck", &format!("#!/bin/sh\nexit {status}\n"));
        let run = m.run(&format!("fs-claim {} /run/m ext4 --fsck", good.dev()));
        run.ends_with(ends);
        match code {
            None => assert_eq!(event(&run, "checked")["changed"], json!(true)),
            Some(code) => assert_eq!(run.events().last().unwrap()["code"], json!(code)),
        }
        m.run("fs-release /run/m").ends_with(0);
    }
    bin.script("fsck", "#!/bin/sh\nsleep 600\n");
    let run = m.run(&format!("fs-claim {} /run/m ext4 --guard flock --fsck --fsck-timeout 200ms", good.dev()));
    run.ends_with(75);
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));
}

/// fs-claim itself is killed, at a step that takes long: the claim goes, unless a mount may still come.
#[test]
fn killed_in_the_middle() {
    let (disk, mut m, bin) = (Disk::new("middle"), Machine::new(), Folder::new("middle"));
    m.path = Some(bin.path(""));
    bin.script(
        "fsck",
        &format!("#!/bin/sh\necho $$ >{0}; while [ ! -e {1} ]; do sleep 0.02; done\n", bin.path("pid"), bin.path("go")),
    );
    let line = format!("fs-claim {} /run/m ext4 --guard flock --fsck", disk.dev());
    let words: Vec<&str> = line.split(' ').collect();
    let mut claiming = m.command(&words).stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("it checks", || storage::exists(&bin.path("pid")));
    let keeper = m.record("-run-m").unwrap()["keeper"]["pid"].clone();
    let parent = m.sh(&format!("awk '{{print $4}}' /proc/{keeper}/stat"));
    m.sh(&format!("kill -KILL {parent}"));
    claiming.wait().unwrap();
    // fsck still writes: the claim is kept, and a second call does not get in between.
    let second = m.run(&format!("fs-claim {} /run/m ext4 --guard flock --timeout 300ms", disk.dev()));
    second.ends_with(75);
    assert!(m.runs(&keeper), "{second:#?}");
    std::fs::write(bin.path("go"), "").unwrap();
    eventually("the keeper ends after it", || !m.runs(&keeper));
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));
    m.run(&format!("fs-claim {} /run/m ext4 --guard flock", disk.dev())).ends_with(0);
}

/// A helper that hangs, as mount.nfs does where no server answers.
#[test]
fn a_mount_that_hangs() {
    let m = Machine::new();
    m.sh("mkdir /run/sbin; mount -t tmpfs sbin /run/sbin; cp -a /sbin/. /run/sbin/ 2>/dev/null || :");
    m.sh("printf '#!/bin/sh\\nsleep 600\\n' >/run/sbin/mount.hangfs; chmod +x /run/sbin/mount.hangfs; mount --bind /run/sbin $(realpath /sbin)");
    let run = m.run("fs-claim host:/x /run/m hangfs --guard flock --timeout 300ms");
    run.ends_with(75);
    assert_eq!(run.events().last().unwrap()["code"], json!("deadline"));
    let keeper = event(&run, "claimed")["keeper"].clone();
    eventually("the claim is given back", || !m.runs(&keeper));
    assert_eq!(m.record("-run-m"), None);
    assert_eq!(m.sh("ps -eo args | grep -c '[s]leep 600' || :"), "0", "nothing is left of it");
}

#[test]
fn others_cannot_write_the_records() {
    let (disk, m) = (Disk::new("trust"), Machine::new());
    m.sh("mkdir -p /run/takeover/fs; chmod 777 /run/takeover");
    let run = m.run(&format!("fs-claim {} /run/m ext4", disk.dev()));
    run.failed("fs-claim", 78, "untrusted-file");
    assert!(run.event()["message"].as_str().unwrap().contains("0777"), "{run:#?}");
    assert_eq!(m.mounted("/run/m"), None);
    m.sh("chmod 755 /run/takeover");
    m.run(&format!("fs-claim {} /run/m ext4", disk.dev())).ends_with(0);
    assert_eq!(m.sh("stat -c %a /run/takeover/fs"), "700");
    // A record that is none is not believed, and nothing is done.
    m.sh("echo '{' >/run/takeover/fs/-run-m.json");
    m.run("fs-release /run/m").failed("fs-release", 78, "configuration");
    assert!(m.mounted("/run/m").is_some());
}

/// What was mounted in another namespace cannot be seen from here, and so not be released.
#[test]
fn another_mount_namespace() {
    let (disk, m) = (Disk::new("namespace"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 --guard flock", disk.dev());
    let other =
        m.start(&format!("exec unshare -m --propagation private sh -c '{line} >/dev/null && echo $$ && exec cat'"));
    assert!(!other.said.is_empty());
    m.run("fs-release /run/m").failed("fs-release", 69, "other-namespace");
    let refused = m.run(&line);
    refused.ends_with(1);
    let hint = refused.event()["hint"].as_str().unwrap().to_owned();
    assert!(hint.starts_with("nsenter -t "), "{hint}");
    m.sh(&format!("{hint} >&2"));
    m.run(&line).ends_with(0);
}

#[test]
fn one_at_a_time() {
    let (disk, m) = (Disk::new("race"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 --guard flock", disk.dev());
    let words: Vec<&str> = line.split(' ').collect();
    let pipe = std::process::Stdio::piped;
    let racing: Vec<_> = (0..6).map(|_| m.command(&words).stdout(pipe()).spawn().unwrap()).collect();
    let outputs: Vec<_> = racing.into_iter().map(|c| c.wait_with_output().unwrap()).collect();
    let changed: usize =
        outputs.iter().map(|o| String::from_utf8_lossy(&o.stdout).matches("\"changed\":true").count()).sum();
    assert!(outputs.iter().all(|o| o.status.success()), "{outputs:#?}");
    assert_eq!(changed, 2, "one claimed and mounted: {outputs:#?}");
    assert_eq!(m.sh("grep -c ' /run/m ' /proc/self/mountinfo"), "1");
}

/// A keeper that is stopped keeps nothing, and a lock of another name is another lock.
#[test]
fn a_keeper_is_not_believed_because_it_lives() {
    let (disk, m) = (Disk::new("believed"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 --guard flock", disk.dev());
    let keeper = event(m.run(&line).ends_with(0), "claimed")["keeper"].clone();
    m.run(&format!("{line} --status")).ends_with(0);
    let other = m.run(&format!("{line} --lock-file /run/other"));
    assert!(other.ends_with(1).event()["cause"].as_str().unwrap().contains("not by what is named now"), "{other:#?}");
    m.run(&format!("{line} --lock-file /run/other --status")).ends_with(75);
    // A signal is sent at once, and heeded when its process gets to run.
    let stop = format!("kill -STOP {keeper}; until grep -q '^State:.T' /proc/{keeper}/status; do sleep 0.01; done");
    m.sh(&stop);
    for line in [line.clone(), format!("{line} --status")] {
        m.run(&line).ends_with(75);
    }
    assert!(m.mounted("/run/m").is_some());
    m.sh(&format!("kill -CONT {keeper}"));
    m.run(&line).ends_with(0);

    // Another device at the same place, while the keeper could not see it.
    let second = Disk::new("believed-two");
    m.sh(&format!("{stop}; umount /run/m; mount -t ext4 {} /run/m", second.dev()));
    let refused = m.run(&format!("fs-claim {} /run/m ext4 --guard flock", second.dev()));
    assert!(refused.ends_with(1).event()["cause"].as_str().unwrap().contains(disk.dev()), "{refused:#?}");
    m.sh(&format!("kill -CONT {keeper}"));
}

/// What another node had meanwhile is not what this one has in memory.
#[test]
fn a_mount_that_outlived_its_claim() {
    let (disk, shared) = (Disk::new("outlived"), Folder::new("outlived"));
    let (a, b) = two_machines();
    let lock = shared.path("lock");
    // The two have one kernel, which would see that the disk is mounted elsewhere: the other node has one of its own.
    let theirs = Disk::new("outlived-theirs");
    let line = |node: &str| {
        let disk = if node == "ha1" { &disk } else { &theirs };
        format!("fs-claim {} /run/m ext4 --guard flock --lock-file {lock} --node {node}", disk.dev())
    };
    let keeper = event(a.run(&line("ha1")).ends_with(0), "claimed")["keeper"].clone();
    a.sh(&format!("kill -KILL {keeper}"));
    eventually("it is gone", || !a.runs(&keeper));
    b.run(&line("ha2")).ends_with(0);
    b.run("fs-release /run/m").ends_with(0);
    let refused = a.run(&line("ha1"));
    assert!(refused.ends_with(1).event()["cause"].as_str().unwrap().contains("meanwhile"), "{refused:#?}");
    assert!(std::fs::read_to_string(&lock).unwrap().contains("ha2"), "nothing was written");
    a.run("fs-release /run/m").ends_with(0);
    a.run(&line("ha1")).ends_with(0);
}

/// A helper may write the source as it likes, as those of glusterfs and sshfs do: what is new at the place is ours.
#[test]
fn a_source_in_other_words() {
    let m = Machine::new();
    m.sh("mkdir /run/sbin; mount -t tmpfs sbin /run/sbin; cp -a /sbin/. /run/sbin/ 2>/dev/null || :");
    m.sh("printf '#!/bin/sh\\nexec mount -i -t tmpfs \"other words\" \"$2\"\\n' >/run/sbin/mount.otherfs");
    m.sh("chmod +x /run/sbin/mount.otherfs; mount --bind /run/sbin $(realpath /sbin)");
    let line = "fs-claim host:/x /run/m otherfs --guard flock";
    let first = m.run(line);
    let keeper = event(first.ends_with(0), "claimed")["keeper"].clone();
    assert_eq!(m.mounted("/run/m").as_deref(), Some("other\\040words"));
    let again = m.run(line);
    assert_eq!(event(again.ends_with(0), "mounted")["changed"], json!(false));
    m.run(&format!("{line} --status")).ends_with(0);
    m.run("fs-claim host:/y /run/m otherfs --guard flock").ends_with(1);
    m.run("fs-release /run/m").ends_with(0);
    assert!(!m.runs(&keeper));
    // One that mounts something else than was asked for does not go unnoticed either.
    let read_only = "printf '#!/bin/sh\\nexec mount -i -r -t tmpfs other \"$2\"\\n' >/run/sbin/mount.otherfs";
    m.sh(read_only);
    let failed = m.run(line);
    assert_eq!(failed.ends_with(69).events().last().unwrap()["code"], json!("read-only"));
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));
}

/// Mounted is more than what can be reached.
#[test]
fn hidden_is_not_unmounted() {
    let (disk, m) = (Disk::new("hidden"), Machine::new());
    let line = format!("fs-claim {} /run/m ext4 --guard flock", disk.dev());
    let keeper = event(m.run(&line).ends_with(0), "claimed")["keeper"].clone();
    m.sh("mount -t tmpfs over /run/m");
    let status = m.run(&format!("{line} --status"));
    assert_eq!(status.ends_with(75).event()["mounted"], json!(true), "{status:#?}");
    m.sh("umount /run/m; mkdir -p /run/deep/m");
    // Below a folder that is covered, and in another mount namespace, with and without a keeper.
    for guard in ["flock", "none"] {
        let disk = Disk::new("hidden-deep");
        let line = format!("fs-claim {} /run/deep/m ext4 --guard {guard}", disk.dev());
        m.run(&line).ends_with(0);
        m.sh("mount -t tmpfs over /run/deep");
        m.run(&format!("{line} --status")).ends_with(75);
        m.sh("umount /run/deep");
        m.run("fs-release /run/deep/m").ends_with(0);
        let inside = format!("exec unshare -m --propagation private sh -c '{line} >/dev/null && echo up && exec cat'");
        let process = m.start(&inside);
        assert_eq!(process.said, "up");
        m.run(&format!("{line} --status")).ends_with(75);
        drop(process);
        m.sh("rm /run/takeover/fs/-run-deep-m.*");
    }
    // Asked to end, its keeper takes no mount of somebody else with it.
    m.sh("mount -t tmpfs over /run/m");
    for _ in 0..2 {
        // One that is taken up is dealt with before the next one.
        m.sh(&format!("kill -TERM {keeper}"));
        eventually("it takes it up", || m.sh(&format!("grep ShdPnd /proc/{keeper}/status")).ends_with(&"0".repeat(16)));
    }
    assert_eq!(m.mounted("/run/m").as_deref(), Some("over"));
    m.sh("umount /run/m");
    assert_eq!(event(m.run(&line).ends_with(0), "mounted")["changed"], json!(false));
}

/// The device is in use, and not by a mount: nothing came, and its keeper does not wait for it to go.
#[test]
fn a_device_that_somebody_else_holds() {
    let (disk, m) = (Disk::new("held"), Machine::new());
    let perl = format!(
        "exec perl -e 'use Fcntl; sysopen(my $d, \"{}\", O_RDWR | O_EXCL) or die; $| = 1; print \"up\\n\"; sleep 600'",
        disk.dev()
    );
    let user = m.start(&perl);
    assert_eq!(user.said, "up");
    let failed = m.run(&format!("fs-claim {} /run/m ext4 --guard flock", disk.dev()));
    let keeper = event(failed.ends_with(69), "claimed")["keeper"].clone();
    eventually("the keeper ends", || !m.runs(&keeper));
    assert_eq!(m.record("-run-m"), None);
}
