//! The guards of fs-claim that need more than a lock file: a lease, DRBD, and a file server that is dead.
#![allow(clippy::unwrap_used)]

#[path = "support/storage.rs"]
mod storage;

use std::process::Stdio;

use serde_json::{Value, json};
use storage::{Disk, Folder, Machine, Run, event, eventually};

/// A second is the shortest lease there is; under load its margin is soon over.
const LEASE: &str = "--guard lease --lease 4s";

fn claim(m: &Machine, disk: &Disk, folder: &Folder, node: &str, more: &str) -> Run {
    let dev = folder.path("lease");
    m.run(&format!("fs-claim {} /run/m ext4 {LEASE} --lease-dev {dev} --node {node} {more}", disk.dev()))
}

fn lease(name: &str) -> (Disk, Folder, Machine, Machine) {
    let folder = Folder::new(name);
    std::fs::write(folder.path("lease"), vec![0; 65536]).unwrap();
    (Disk::new(name), folder, Machine::new(), Machine::new())
}

#[test]
fn a_lease_has_one_holder() {
    let (disk, folder, a, b) = lease("lease");
    let first = claim(&a, &disk, &folder, "ha1", "");
    first.ends_with(0);
    let claimed = event(&first, "claimed");
    assert_eq!((&claimed["guard"], &claimed["strength"]), (&json!("lease"), &json!("advisory")), "no watchdog");
    // Where that is allowed its keeper comes before all that runs in the usual way.
    let policy = a.sh(&format!("chrt -f 1 true 2>/dev/null || exit 0; chrt -p {}", claimed["keeper"]));
    assert!(policy.is_empty() || policy.contains("SCHED_FIFO"), "{policy}");
    assert_eq!(event(claim(&a, &disk, &folder, "ha1", "").ends_with(0), "claimed")["changed"], json!(false));
    let refused = claim(&b, &disk, &folder, "ha2", "");
    refused.ends_with(1);
    assert_eq!((&refused.event()["holder"], b.mounted("/run/m")), (&json!("ha1"), None));
    a.run("fs-release /run/m").ends_with(0);
    assert!(!a.runs(&claimed["keeper"]));
    claim(&b, &disk, &folder, "ha2", "").ends_with(0);
    assert_eq!(claim(&a, &disk, &folder, "ha1", "").ends_with(1).event()["holder"], json!("ha2"));
    b.run("fs-release /run/m").ends_with(0);
}

/// The device of the lease fails: the keeper unmounts before the lease ends, and whoever is in the way is killed.
#[test]
fn a_lost_lease() {
    let (disk, m) = (Disk::new("lost"), Machine::new());
    // A device that can be taken away: errors for every input and output.
    let record = Disk::blank("lost-record");
    let first = m.run(&format!(
        "fs-claim {} /run/m ext4 {LEASE} --lease-dev {} --node ha1 --on-lost release",
        disk.dev(),
        record.dev()
    ));
    first.ends_with(0);
    let keeper = event(&first, "claimed")["keeper"].clone();
    let mut user = m.start("cd /run/m; trap '' TERM; echo $$; while :; do sleep 0.05; done");
    let image = m.sh(&format!("cat /sys/block/{}/loop/backing_file", record.dev().trim_start_matches("/dev/")));
    std::fs::File::options().write(true).open(image).unwrap().set_len(0).unwrap();
    eventually("it is unmounted", || m.mounted("/run/m").is_none());
    eventually("its user was killed", || user.ended());
    eventually("the keeper ends", || !m.runs(&keeper));
    assert_eq!(m.record("-run-m"), None);
}

#[test]
fn a_killed_keeper_of_a_lease() {
    let (disk, folder, a, b) = lease("lease-killed");
    let keeper = event(claim(&a, &disk, &folder, "ha1", "").ends_with(0), "claimed")["keeper"].clone();
    a.sh(&format!("kill -KILL {keeper}"));
    eventually("it is gone", || !a.runs(&keeper));
    // The mount stands, and nobody renews: the other node gets it after a lease. That is what strength advisory says.
    claim(&b, &disk, &folder, "ha2", "").ends_with(0);
    let late = claim(&a, &disk, &folder, "ha1", "");
    late.ends_with(1);
    assert_eq!((&late.event()["holder"], &late.event()["mounted"]), (&json!("ha2"), &json!(true)));
}

/// As drbdadm 8.4 and 9 behave: roles in a folder that two nodes share, its texts and exit statuses.
const DRBDADM: &str = r#"#!/bin/sh
state=STATE me=$(cat /run/me)
peer=ha1; [ "$me" = ha1 ] && peer=ha2
role() { cat "$state/role.$1" 2>/dev/null || echo Secondary; }
refuse() {
    echo "0: State change failed: ($1) $2" >&2
    echo "Command 'drbdsetup-84 $3 0' terminated with exit code $4" >&2
    exit "$4"
}
echo "$me $*" >>"$state/calls"
case $1 in
sh-resource) [ "$2" = minor-7 ] && echo r0 ;;
role) [ -e "$state/9" ] && role "$me" || echo "$(role "$me")/$(role "$peer")" ;;
cstate) [ ! -e "$state/cstate.fails" ] || exit 10; cat "$state/cstate" 2>/dev/null || echo Connected ;;
status)
    name=$peer
    [ -e "$state/8.4" ] && name=peer # it knows no names
    printf 'r0 role:%s\n  disk:UpToDate\n  %s role:%s\n    peer-disk:UpToDate\n' "$(role "$me")" "$name" "$(role "$peer")" ;;
dump) printf 'resource r0 {\n    on %s {\n    }\n    on %s {\n    }\n}\n' "$(uname -n)" "$peer" ;;
primary)
    [ -e "$state/outdated" ] && refuse -2 'Need access to UpToDate data' primary 17
    [ -e "$state/race" ] && echo Primary >"$state/role.$peer"
    [ "$(role "$peer")" = Primary ] && refuse -1 'Multiple primaries not allowed by config' primary 11
    echo Primary >"$state/role.$me" ;;
secondary)
    grep -q ' /run/m ' /proc/self/mountinfo && refuse -12 'Device is held open by someone' secondary 11
    echo Secondary >"$state/role.$me" ;;
*) exit 1 ;;
esac
"#;

#[test]
fn drbd_is_promoted_before_and_demoted_after() {
    let (disk, bin) = (Disk::new("drbd"), Folder::new("drbd"));
    bin.script("drbdadm", &DRBDADM.replace("STATE", &bin.path("")));
    let machine = |node: &str| {
        let mut m = Machine::new();
        m.path = Some(bin.path(""));
        m.sh(&format!("echo {node} >/run/me"));
        m
    };
    let (a, b) = (machine("ha1"), machine("ha2"));
    let claim = |m: &Machine, more: &str| {
        m.run(&format!("fs-claim {} /run/m ext4 --guard drbd --drbd-resource r0 {more}", disk.dev()))
    };
    let role = |node: &str| std::fs::read_to_string(bin.path(&format!("role.{node}"))).unwrap_or_default();

    assert_eq!(event(claim(&a, "--dry-run").ends_with(0), "claimed")["changed"], json!(true));
    assert_eq!(role("ha1"), "");
    let first = claim(&a, "");
    assert_eq!(event(first.ends_with(0), "claimed")["strength"], json!("enforced"));
    assert_eq!(role("ha1"), "Primary\n");
    assert_eq!(event(claim(&a, "").ends_with(0), "claimed")["changed"], json!(false));
    for more in ["", "--dry-run"] {
        std::fs::write(bin.path("8.4"), "").unwrap();
        let refused = claim(&b, more);
        assert_eq!((&refused.ends_with(1).event()["holder"], b.mounted("/run/m")), (&json!("ha1"), None), "{more}");
    }
    // The claim is what DRBD says, not what was noted.
    let status = |m: &Machine| claim(m, "--status");
    assert_eq!(status(&a).ends_with(0).event()["claimed"], json!(true));
    std::fs::write(bin.path("role.ha1"), "Secondary\n").unwrap();
    for cstate in ["Connected\n", "StandAlone\n"] {
        std::fs::write(bin.path("cstate"), cstate).unwrap();
        let lost = status(&a);
        assert_eq!(lost.ends_with(75).event()["claimed"], json!(false), "{cstate}");
        assert!(lost.event()["cause"].as_str().unwrap().contains("not primary"), "{lost:#?}");
    }
    std::fs::remove_file(bin.path("cstate")).unwrap();
    std::fs::write(bin.path("role.ha1"), "Primary\n").unwrap();
    let released = a.run("fs-release /run/m");
    assert_eq!(event(released.ends_with(0), "released")["changed"], json!(true));
    assert_eq!((role("ha1").as_str(), a.record("-run-m")), ("Secondary\n", None));

    // The peer becomes primary between the look and the order.
    std::fs::write(bin.path("race"), "").unwrap();
    assert_eq!(claim(&b, "").ends_with(1).event()["holder"], json!("ha1"));
    std::fs::remove_file(bin.path("race")).unwrap();
    std::fs::write(bin.path("role.ha1"), "Secondary\n").unwrap();
    // Data that is not good enough is no answer about who has it.
    std::fs::write(bin.path("outdated"), "").unwrap();
    let outdated = claim(&b, "");
    outdated.failed("fs-claim", 69, "drbd");
    assert!(outdated.event()["message"].as_str().unwrap().contains("UpToDate"), "{outdated:#?}");
    std::fs::remove_file(bin.path("outdated")).unwrap();
    std::fs::write(bin.path("cstate"), "StandAlone\n").unwrap();
    for more in ["", "--dry-run"] {
        claim(&b, more).failed("fs-claim", 69, "split-brain");
    }
    // Nor is silence a word on who has it.
    std::fs::write(bin.path("cstate.fails"), "").unwrap();
    for more in ["", "--dry-run"] {
        claim(&b, more).failed("fs-claim", 69, "drbd");
    }
    assert_ne!(role("ha2"), "Primary\n");
    std::fs::remove_file(bin.path("cstate.fails")).unwrap();
    std::fs::write(bin.path("cstate"), "WFConnection\n").unwrap();
    assert_eq!(event(claim(&b, "").ends_with(0), "claimed")["strength"], json!("advisory"));
    b.run("fs-release /run/m").ends_with(0);
    // A mount that fails takes the promotion back.
    let failed = b.run(&format!("fs-claim {} /run/m xfs --guard drbd --drbd-resource r0", disk.dev()));
    failed.ends_with(69);
    assert_eq!((role("ha2").as_str(), b.record("-run-m")), ("Secondary\n", None));
}

/// A file system in user space: it answers until a file appears, and then no more, as a dead server.
const SERVER: &str = r#"
open(my $dev, '+<', '/dev/fuse') or die "fuse: $!";
$^F = 1000;
use Fcntl;
fcntl($dev, F_SETFD, 0);
my $fd = fileno($dev);
system('mount', '-i', '-t', 'fuse', '-o', "fd=$fd,rootmode=40000,user_id=0,group_id=0,allow_other", 'server', '/run/m') == 0 or die;
$| = 1;
my $told = 0;
while (sysread($dev, my $request, 135168)) {
    my ($length, $opcode, $unique, $node) = unpack('L L Q Q', $request);
    sleep 1000 while -e '/run/dead';
    next if $opcode == 2 || $opcode == 42;                                       # forget
    my $body = '';
    my $error = 0;
    if ($opcode == 26) { $body = pack('L L L L S S L', 7, 12, 0, 0, 0, 0, 4096); }  # init
    elsif ($opcode == 3) {                                                       # getattr, not to be remembered
        $body = pack('Q L L Q Q Q Q Q Q L L L L L L L L L L', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 040755, 2, 0, 0, 0, 4096, 0);
    }
    elsif ($opcode == 14 || $opcode == 27) { $body = pack('Q L L', 1, 0, 0); }   # open
    elsif ($opcode == 18 || $opcode == 29) { }                                   # release
    else { $error = -38; }
    syswrite($dev, pack('L l Q', 16 + length $body, $error, $unique) . $body);
    print "up\n" if !$told++;
}
"#;

/// Nothing of ours may wait for it: not to find who holds it, not to end them, not to unmount.
#[test]
fn a_dead_file_server() {
    let m = Machine::new();
    let script = Folder::new("server");
    std::fs::write(script.path("server.pl"), SERVER).unwrap();
    let server = m.start(&format!("exec perl {}", script.path("server.pl")));
    assert_eq!(server.said, "up");
    let inside = m.start("cd /run/m && echo $$; exec cat");
    let open = m.start("exec perl -e '$| = 1; opendir(my $d, \"/run/m\") or die; print \"$$\\n\"; sleep 600'");
    assert!(!inside.said.is_empty() && !open.said.is_empty());
    // Dead from here on: this look at it never ends.
    m.sh("touch /run/dead");
    let mut stuck = m.command(&["ls", "/run/m/x"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let claimed = m.run("fs-claim server /run/m fuse --timeout 20s");
    assert_eq!(event(claimed.ends_with(0), "mounted")["changed"], json!(false));
    m.run("fs-claim server /run/m fuse --status").ends_with(0);
    let busy = m.run("fs-release /run/m --timeout 4s");
    busy.ends_with(1);
    let pids: Vec<String> =
        busy.events().iter().filter(|e| e["event"] == "holder").map(|e| e["pid"].to_string()).collect();
    assert!(pids.contains(&inside.said) && pids.contains(&open.said), "{busy:#?}");
    assert!(!pids.contains(&server.said));

    let lazy = m.run("fs-release /run/m --lazy --timeout 8s");
    lazy.ends_with(1);
    assert_eq!((&event(&lazy, "unmounted")["lazy"], m.mounted("/run/m")), (&json!(true), None));
    drop((inside, open));
    let _ = stuck.kill();
    let _ = stuck.wait();
}

#[test]
fn a_dead_file_server_and_signals() {
    let m = Machine::new();
    let script = Folder::new("server-kill");
    std::fs::write(script.path("server.pl"), SERVER).unwrap();
    let server = m.start(&format!("exec perl {}", script.path("server.pl")));
    assert_eq!(server.said, "up");
    let mut inside = m.start("cd /run/m && echo $$; exec cat");
    m.sh("touch /run/dead");
    let run = m.run("fs-release /run/m --kill TERM,500ms,KILL,5s --timeout 20s");
    run.ends_with(0);
    eventually("it was ended", || inside.ended());
    let names: Vec<Value> = run.events().iter().map(|e| e["event"].clone()).collect();
    assert_eq!(names.first(), Some(&json!("holder")));
    assert_eq!(m.mounted("/run/m"), None);
}

/// A check may take longer than a lease: nothing goes on under one that is lost, and nothing is mounted.
#[test]
fn a_lease_that_is_lost_during_the_check() {
    let (disk, mut m, bin) = (Disk::new("lost-check"), Machine::new(), Folder::new("lost-check"));
    let record = Disk::blank("lost-check-record");
    m.path = Some(bin.path(""));
    bin.script("fsck", &format!("#!/bin/sh\necho $$ >{}; exec sleep 600\n", bin.path("pid")));
    let line = format!("fs-claim {} /run/m ext4 {LEASE} --lease-dev {} --node ha1 --fsck", disk.dev(), record.dev());
    let words: Vec<&str> = line.split(' ').collect();
    let claiming = m.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    eventually("it checks", || storage::exists(&bin.path("pid")));
    let image = m.sh(&format!("cat /sys/block/{}/loop/backing_file", record.dev().trim_start_matches("/dev/")));
    std::fs::File::options().write(true).open(image).unwrap().set_len(0).unwrap();
    let output = claiming.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(75), "{text}");
    assert!(text.contains("\"code\":\"claim-lost\""), "{text}");
    let pid = std::fs::read_to_string(bin.path("pid")).unwrap();
    eventually("the check was ended", || !m.runs(&json!(pid.trim().parse::<u32>().unwrap())));
    assert_eq!((m.mounted("/run/m"), m.record("-run-m")), (None, None));
}

/// A keeper that has lost its lease and cannot unmount lives on, and is not believed.
#[test]
fn a_keeper_that_has_lost_and_stays() {
    let (disk, m) = (Disk::new("lost-stays"), Machine::new());
    let record = Disk::blank("lost-stays-record");
    let line = format!("fs-claim {} /run/m ext4 {LEASE} --lease-dev {} --node ha1", disk.dev(), record.dev());
    let keeper = event(m.run(&line).ends_with(0), "claimed")["keeper"].clone();
    m.sh("mkdir /run/m/in; mount -t tmpfs in /run/m/in");
    let image = m.sh(&format!("cat /sys/block/{}/loop/backing_file", record.dev().trim_start_matches("/dev/")));
    std::fs::File::options().write(true).open(&image).unwrap().set_len(0).unwrap();
    eventually("it says so", || m.sh("ls /run/takeover/fs").contains(".lost"));
    // The device is back, and looks as if nothing had been.
    for line in [line.clone(), format!("{line} --status")] {
        let run = m.run(&line);
        assert!(run.ends_with(75).stdout.contains("lost"), "{run:#?}");
    }
    assert!(m.runs(&keeper));
    m.sh("umount /run/m/in");
    eventually("it unmounts and ends", || !m.runs(&keeper));
    assert_eq!((m.mounted("/run/m"), m.sh("ls /run/takeover/fs | grep -c lost || :")), (None, "0".to_owned()));
}

/// Another node had the lease, and gave it up: the mount that stands knows nothing of what it wrote.
#[test]
fn a_mount_that_outlived_its_lease() {
    let (disk, folder, a, b) = lease("lease-outlived");
    let keeper = event(claim(&a, &disk, &folder, "ha1", "").ends_with(0), "claimed")["keeper"].clone();
    let kill = |keeper: &Value| {
        a.sh(&format!("kill -KILL {keeper}"));
        eventually("it is gone", || !a.runs(keeper));
    };
    kill(&keeper);
    // Nobody else had it: it is claimed again.
    let again = claim(&a, &disk, &folder, "ha1", "");
    assert_eq!(event(again.ends_with(0), "claimed")["changed"], json!(true));
    let keeper = event(&again, "claimed")["keeper"].clone();
    // Frozen, it renews nothing, and the other one gets it.
    a.sh(&format!("kill -STOP {keeper}"));
    // On a disk of its own: the two have one kernel, which would see that this one is mounted elsewhere.
    let theirs = Disk::new("lease-outlived-theirs");
    claim(&b, &theirs, &folder, "ha2", "").ends_with(0);
    claim(&a, &disk, &folder, "ha1", "--status").ends_with(75);
    b.run("fs-release /run/m").ends_with(0);
    kill(&keeper);
    for _ in 0..2 {
        let refused = claim(&a, &disk, &folder, "ha1", "");
        assert!(refused.ends_with(1).event()["cause"].as_str().unwrap().contains("meanwhile"), "{refused:#?}");
    }
    a.run("fs-release /run/m").ends_with(0);
    claim(&a, &disk, &folder, "ha1", "").ends_with(0);
}

fn drbd(name: &str) -> (Disk, Folder, Machine) {
    let (disk, bin, mut m) = (Disk::new(name), Folder::new(name), Machine::new());
    bin.script("drbdadm", &DRBDADM.replace("STATE", &bin.path("")));
    m.path = Some(bin.path(""));
    m.sh("echo ha1 >/run/me");
    (disk, bin, m)
}

/// Two primaries are two writers, whoever was first.
#[test]
fn drbd_with_two_primaries() {
    let (disk, bin, m) = drbd("drbd-dual");
    let line = format!("fs-claim {} /run/m ext4 --guard drbd --drbd-resource r0", disk.dev());
    m.run(&line).ends_with(0);
    m.run(&format!("{line} --status")).ends_with(0);
    std::fs::write(bin.path("role.ha2"), "Primary\n").unwrap();
    for version in ["8.4", "9"] {
        // The role of the peer stands beside that of this node, or in the status alone.
        std::fs::write(bin.path(version), "").unwrap();
        let status = m.run(&format!("{line} --status"));
        assert_eq!(status.ends_with(75).event()["claimed"], json!(false), "{status:#?}");
        let refused = m.run(&line);
        assert_eq!(refused.ends_with(1).event()["mounted"], json!(true), "{refused:#?}");
        assert!(m.record("-run-m").is_some(), "fs-release knows what to give up");
    }
    std::fs::remove_file(bin.path("role.ha2")).unwrap();
    std::fs::write(bin.path("cstate"), "StandAlone\n").unwrap();
    assert_eq!(m.run(&format!("{line} --status")).ends_with(0).event()["strength"], json!("advisory"), "as it is now");
}

/// What was claimed before is neither forgotten by a start that fails, nor by a claim of another kind.
#[test]
fn a_claim_without_keeper_is_not_forgotten() {
    let (disk, bin, m) = drbd("drbd-forgotten");
    let role = || std::fs::read_to_string(bin.path("role.ha1")).unwrap_or_default();
    let line = |fstype: &str| format!("fs-claim {} /run/m {fstype} --guard drbd --drbd-resource r0", disk.dev());
    m.run(&line("ext4")).ends_with(0);
    m.sh("umount /run/m");
    m.run(&line("xfs")).ends_with(69);
    assert!(m.record("-run-m").is_some() && role() == "Primary\n");
    m.run("fs-release /run/m").ends_with(0);
    assert_eq!((m.record("-run-m"), role().as_str()), (None, "Secondary\n"));

    m.run(&line("ext4")).ends_with(0);
    m.sh("umount /run/m");
    m.run(&format!("fs-claim {} /run/m ext4 --guard flock", disk.dev())).ends_with(0);
    assert_eq!(role(), "Secondary\n", "nobody else would ever have given it up");
}

/// Something of the mount lives on after the deadline: the claim is kept until it is known that nothing comes.
#[test]
fn a_mount_that_hangs_without_keeper() {
    let (_disk, bin, m) = drbd("drbd-hangs");
    let role = || std::fs::read_to_string(bin.path("role.ha1")).unwrap_or_default();
    m.sh("mkdir /run/sbin; mount -t tmpfs sbin /run/sbin; cp -a /sbin/. /run/sbin/ 2>/dev/null || :");
    // Out of reach of a signal to its group, as what hangs in the kernel is.
    m.sh("printf '#!/bin/sh\\nsetsid sh -c \"echo \\$\\$ >/run/pid; exec sleep 600\" &\\nsleep 600\\n' >/run/sbin/mount.hangfs");
    m.sh("chmod +x /run/sbin/mount.hangfs; mount --bind /run/sbin $(realpath /sbin)");
    let line = "fs-claim host:/x /run/m hangfs --guard drbd --drbd-resource r0 --timeout 2s";
    m.run(line).ends_with(75);
    assert!(m.record("-run-m").is_some() && role() == "Primary\n");
    m.sh("kill -KILL $(cat /run/pid)");
    m.run("fs-release /run/m").ends_with(0);
    assert_eq!((m.record("-run-m"), role().as_str()), (None, "Secondary\n"));
}
