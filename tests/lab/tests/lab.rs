//! The lab itself: hosts that reach each other, cuts that cut, and nothing left behind.
// clippy.toml allows these in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use takeover_lab::{Child, Cut, Host, Lab, script};

/// A bound for everything: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(30);
const CLIENT: &str = env!("CARGO_BIN_EXE_lab-client");

fn client(host: Host, arguments: &[&str]) -> Child {
    let mut command = host.command(CLIENT);
    command.args(arguments);
    Child::spawn(command)
}

fn says(what: &'static str) -> impl Fn(&Value) -> bool {
    move |line| line["client"] == what
}

/// An echo server in the host, listening.
fn echo(host: Host, at: &str) -> Child {
    let mut echo = client(host, &["echo", at]);
    echo.next_where("listening", LONG, says("listening"));
    echo
}

/// Asks for a while and returns the summary.
fn asked(host: Host, arguments: &[&str]) -> Value {
    let mut child = client(host, &[arguments, &["--for", "300ms"]].concat());
    let summary = child.next_where("summary", LONG, says("summary"));
    assert_eq!(child.wait(LONG), 0);
    summary
}

/// The processes in this network namespace, by their ids; those that we may not look at are not ours.
fn inside(space: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { panic!("no /proc") };
    processes
        .filter_map(Result::ok)
        .filter(|process| fs::read_link(process.path().join("ns/net")).is_ok_and(|link| link == space))
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn lab(arguments: &[&str]) -> Output {
    Command::new(script()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn fresh(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("takeover-lab-{name}-{}", std::process::id()))
}

const TWO: [(&str, &str); 2] = [("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")];

#[test]
fn hosts_reach_each_other_over_both_families() {
    let lab = Lab::up(&TWO);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _four = echo(b, "0.0.0.0:7");
    let _six = echo(b, "[::]:8");
    let summary = asked(a, &["udp", "10.9.0.2:7"]);
    assert!(summary["served"].as_u64() > Some(0), "{summary}");
    let summary = asked(a, &["udp", &format!("[{}]:8", b.ip6())]);
    assert!(summary["served"].as_u64() > Some(0), "{summary}");
    assert_eq!(a.sh("cat /sys/class/net/eth0/address"), a.mac());
    assert_eq!(a.sh("hostname"), "a");
    assert_eq!(a.sh("cd /usr && pwd"), "/usr");
    assert_eq!((b.ip().to_string().as_str(), b.prefix(), b.mac()), ("10.9.0.2", 24, "02:00:0a:09:00:02"));
}

#[test]
fn a_wire_is_a_way_beside_the_bridge() {
    let lab = Lab::up(&TWO);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let ends = ["1", "2"].map(|n| [format!("10.10.0.{n}/24"), format!("fd00:10::{n}/64")]);
    lab.wire("own", [("a", &ends[0]), ("b", &ends[1])]);
    let _four = echo(b, "0.0.0.0:7");
    let _six = echo(b, "[::]:8");
    lab.host("a").cut(Cut::Silent);
    for at in ["10.10.0.2:7", "[fd00:10::2]:8"] {
        let summary = asked(a, &["udp", at]);
        assert!(summary["served"].as_u64() > Some(0), "{summary}");
    }
    assert!(a.sh("ip -o -4 address show dev own").contains("brd 10.10.0.255"));
}

#[test]
fn an_echo_comes_from_the_address_that_was_asked() {
    let lab = Lab::up(&TWO);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _echo = echo(b, "0.0.0.0:7");
    b.sh("ip address add 10.9.0.100/24 dev eth0");
    let summary = asked(a, &["udp", "10.9.0.100:7"]);
    assert!(summary["served"].as_u64() > Some(0), "{summary}");
}

#[test]
fn cuts_and_their_healing() {
    let lab = Lab::up(&TWO);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _echo = echo(b, "0.0.0.0:7");
    let mut watch = client(a, &["udp", "10.9.0.2:7", "--follow"]);
    watch.next_where("first answer", LONG, says("served"));
    for (cut, carrier) in [(Cut::Silent, "1"), (Cut::Carrier, "0"), (Cut::Silent, "1")] {
        b.cut(cut);
        watch.next_where("loss", LONG, says("lost"));
        assert_eq!(b.sh("cat /sys/class/net/eth0/carrier"), carrier, "{cut:?}");
        assert_eq!(a.sh("cat /sys/class/net/eth0/carrier"), "1", "the other host keeps its own");
        b.heal();
        watch.next_where("answer", LONG, says("served"));
    }
    b.cut(Cut::Silent);
    b.cut(Cut::Carrier);
    watch.next_where("loss", LONG, says("lost"));
    b.heal();
    watch.next_where("answer", LONG, says("served"));
    watch.signal(nix::sys::signal::Signal::SIGTERM);
    let summary = watch.next_where("summary", LONG, says("summary"));
    assert_eq!(watch.wait(LONG), 0);
    assert!(summary["gaps"].as_array().unwrap().len() >= 4, "{summary}");
}

#[test]
fn loss_drops_a_share() {
    let lab = Lab::up(&TWO);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _echo = echo(b, "0.0.0.0:7");
    let share = |percent| {
        b.loss(percent);
        let summary = asked(a, &["udp", "10.9.0.2:7"]);
        summary["served"].as_f64().unwrap() / summary["requests"].as_f64().unwrap()
    };
    // Known neighbours, so that the loss of an ARP frame does not stand for that of datagrams.
    a.sh(&format!("ip neighbour replace 10.9.0.2 lladdr {} dev eth0", b.mac()));
    b.sh(&format!("ip neighbour replace 10.9.0.1 lladdr {} dev eth0", a.mac()));
    assert!(share(0) > 0.9);
    let half = share(50);
    // Each way keeps a half: a quarter comes back.
    assert!((0.05..0.6).contains(&half), "{half}");
    assert_eq!(share(100), 0.0);
    assert!(share(0) > 0.9);
}

#[test]
fn a_child_is_the_program_itself() {
    let lab = Lab::up(&TWO);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut echo = echo(b, "0.0.0.0:7");
    let line = fs::read(format!("/proc/{}/cmdline", echo.pid())).unwrap();
    assert!(line.starts_with(CLIENT.as_bytes()), "{}", String::from_utf8_lossy(&line));
    let mut watch = client(a, &["udp", "10.9.0.2:7", "--follow"]);
    watch.next_where("first answer", LONG, says("served"));
    echo.stop();
    watch.next_where("loss", LONG, says("lost"));
    echo.cont();
    watch.next_where("answer", LONG, says("served"));
    echo.kill();
    watch.next_where("loss", LONG, says("lost"));
    assert_eq!(echo.wait(LONG), 128 + 9);
}

#[test]
fn the_sysctls_of_a_host_are_its_own() {
    let lab = Lab::up(&TWO);
    let file = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries";
    lab.host("a").sh(&format!("echo 1 >{file}"));
    assert_eq!(lab.host("a").sh(&format!("cat {file}")), "1");
    assert_eq!(lab.host("b").sh(&format!("cat {file}")), "0");
}

#[test]
fn nothing_is_left_behind_even_by_a_panic() {
    let test = thread::spawn(|| {
        let lab = Lab::up(&TWO);
        let a = lab.host("a");
        // One that has left its parent and its terminal, one that is stopped, one that ignores what can be ignored.
        a.sh("setsid sleep 1000 </dev/null >/dev/null 2>&1 &");
        a.sh("sh -c 'kill -STOP $$' </dev/null >/dev/null 2>&1 &");
        a.sh("(trap '' TERM INT HUP; sleep 1000) </dev/null >/dev/null 2>&1 &");
        let space = PathBuf::from(a.sh("readlink /proc/self/ns/net"));
        assert!(inside(&space).len() >= 4, "the host itself and the three");
        std::panic::panic_any((space, lab.dir().to_owned()));
    });
    let (space, dir) = *test.join().unwrap_err().downcast::<(PathBuf, PathBuf)>().unwrap();
    assert_eq!(inside(&space), Vec::<String>::new());
    assert!(!dir.exists(), "{}", dir.display());
}

#[test]
fn a_lab_ends_with_its_maker_and_with_its_holder() {
    let dir = fresh("orphan");
    let folder = dir.to_str().unwrap();
    for kill_holder in [false, true] {
        let mut up = Command::new(script());
        let mut up = up.args(["up", "--tie", folder, "a=10.9.0.1/24"]).stdin(Stdio::piped()).spawn().unwrap();
        let tie = up.stdin.take();
        assert!(up.wait().unwrap().success());
        let space = lab(&["run", folder, "a", "readlink", "/proc/self/ns/net"]).stdout;
        let space = PathBuf::from(String::from_utf8(space).unwrap().trim_end());
        assert_eq!(inside(&space).len(), 1);
        if kill_holder {
            let holder: i32 = fs::read_to_string(dir.join("holder")).unwrap().trim_end().parse().unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(holder), nix::sys::signal::Signal::SIGKILL).unwrap();
        } else {
            drop(tie);
        }
        wait_until("the lab is gone", || inside(&space).is_empty() && !dir.exists());
    }
    assert_eq!(lab(&["down", folder]).status.code(), Some(0), "down twice is down once");
}

#[test]
fn an_ordinary_user_can_have_one() {
    // The script is copied: the way to this source may be closed to others.
    let dir = fresh("user");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let copy = dir.join("lab");
    fs::copy(script(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let line = r#"cd / && lab=$1 dir=$2
        "$lab" up "$dir" a=10.9.0.1/24 b=10.9.0.2/24 || exit
        trap '"$lab" down "$dir"' EXIT
        "$lab" run "$dir" a sh -c 'id -u && ip address add 10.9.0.9/24 dev eth0' || exit
        "$lab" run "$dir" b bash -c 'exec 3<>/dev/tcp/10.9.0.9/1' 2>&1 | grep -m1 -o refused
        "$lab" cut "$dir" a silent && "$lab" heal "$dir" a && "$lab" loss "$dir" a 20"#;
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let command = command.env_remove("LAB_USERNS");
    let output = command.args(["-uc", line, "sh"]).arg(&copy).arg(dir.join("state")).output().unwrap();
    fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\nrefused\n");
}

#[test]
fn where_it_is_not_allowed_it_says_what_to_do() {
    let lab = Lab::up(&TWO);
    let dir = fresh("none");
    // A kernel without user namespaces, made by the limit of a user namespace of this test's own.
    let line = r#"echo 0 >/proc/sys/user/max_user_namespaces && LAB_USERNS=yes exec "$1" up "$2" x=10.8.0.1/24"#;
    let mut nested = lab.host("a").command("unshare");
    nested.args(["-Ur", "sh", "-c", line, "sh"]).arg(script()).arg(&dir);
    let output = nested.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{words}");
    assert!(words.contains("user.max_user_namespaces"), "{words}");
    assert!(!dir.exists());
}

#[test]
fn wrong_input_is_refused_and_nothing_is_made() {
    let dir = fresh("wrong");
    let d = dir.to_str().unwrap();
    for arguments in [
        &["up"][..],
        &["up", d],
        &["up", d, "a"],
        &["up", d, "a=10.9.0.1"],
        &["up", d, "a=10.9.0.256/24"],
        &["up", d, "a=10.9.1/24"],
        &["up", d, "a=10.9.0.1/33"],
        &["up", d, "A=10.9.0.1/24"],
        &["up", d, "../a=10.9.0.1/24"],
        &["up", d, "much-too-long-a-name=10.9.0.1/24"],
        &["up", d, "a=10.9.0.1/24", "a=10.9.0.2/24"],
        &["up", "--with", "x", d, "a=10.9.0.1/24"],
        &["frobnicate"],
        &[],
    ] {
        assert_eq!(lab(arguments).status.code(), Some(64), "{arguments:?}");
        assert!(!dir.exists(), "{arguments:?}");
    }
    for arguments in [&["run", d, "a", "true"][..], &["cut", d, "a", "silent"], &["show", d]] {
        assert_eq!(lab(arguments).status.code(), Some(69), "{arguments:?}");
    }
    let up = Lab::up(&TWO);
    let d = up.dir().to_str().unwrap();
    for (arguments, status) in [
        (&["run", d, "c", "true"][..], 69),
        (&["run", d, ".bridge", "true"], 64),
        (&["cut", d, "a", "loudly"], 64),
        (&["loss", d, "a", "101"], 64),
        (&["up", d, "a=10.9.0.1/24"], 69),
        (&["run", d, "a", "sh", "-c", "exit 7"], 7),
    ] {
        assert_eq!(lab(arguments).status.code(), Some(status), "{arguments:?}");
    }
}
