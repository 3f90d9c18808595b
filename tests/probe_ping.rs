//! probe-ping against the loopback and against small networks of its own, made with `unshare -Urn`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PING: &str = env!("CARGO_BIN_EXE_probe-ping");

fn ping(args: &[&str]) -> (i32, Vec<Value>) {
    told(&Command::new(PING).args(args).output().unwrap())
}

/// The exit status and the events.
fn told(output: &Output) -> (i32, Vec<Value>) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events = text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    (output.status.code().unwrap(), events)
}

/// Runs a shell script in a network namespace of its own, with a veth pair: va is ours, vb has nobody behind it.
/// `$P` is the command. The namespace ends with the shell, and the shell within 20 s.
fn in_namespace(script: &str) -> Output {
    let link = "set -e; ip link set lo up; ip link add va type veth peer name vb; ip link set va up; \
                ip link set vb up; ip addr add 10.9.0.1/24 dev va; ip -6 addr add fd09::1/64 dev va nodad; set +e;";
    let output = Command::new("timeout")
        .args(["-k", "1", "20", "unshare", "-Urn", "sh", "-c", &format!("{link} {script}")])
        .env("P", PING)
        .output()
        .unwrap();
    assert!(output.status.code().is_some_and(|c| c != 124), "{output:?}");
    output
}

/// One probe in such a network: exit status, `up` and reason.
fn verdict(script: &str) -> (i32, Value, String) {
    let output = in_namespace(script);
    let (status, events) = told(&output);
    let last = events.last().unwrap_or_else(|| panic!("{output:?}"));
    (status, last["up"].clone(), last["reason"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_loopback_answers() {
    let (status, events) = ping(&["127.0.0.1", "::1", "127.0.0.1"]);
    assert_eq!(status, 0, "{events:?}");
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!((&event["event"], &event["up"], &event["reason"]), (&"probe".into(), &true.into(), &"ok".into()));
        assert_eq!((&event["sent"], &event["received"]), (&1.into(), &1.into()));
        assert!(event["rtt_ms"].as_f64().unwrap() > 0.0);
        assert_eq!(event["address"], event["target"]);
    }
}

#[test]
fn a_thousand_hosts_and_big_echoes() {
    let hosts: Vec<String> = (0..1000).map(|n| format!("127.1.{}.{}", n / 250, 1 + n % 250)).collect();
    let mut args: Vec<&str> = vec!["--timeout", "10s", "--size", "1400"];
    args.extend(hosts.iter().map(String::as_str));
    let (status, events) = ping(&args);
    assert_eq!((status, events.len()), (0, 1000));
    assert_eq!(ping(&["--size", "65507", "127.0.0.1"]).0, 0);
}

#[test]
fn names() {
    let (status, events) = ping(&["localhost"]);
    assert_eq!((status, &events[0]["up"]), (0, &true.into()), "{events:?}");
    // RFC 6761: it never exists. Whether or not there is a name server, this is no word about a host.
    let (status, events) = ping(&["--timeout", "300ms", "nobody.invalid", "127.0.0.1"]);
    assert_eq!(status, 75);
    let of = |name: &str| events.iter().find(|e| e["target"] == name).unwrap();
    assert_eq!(of("nobody.invalid")["up"], Value::Null);
    assert!(of("nobody.invalid")["reason"].as_str().unwrap().starts_with("lookup-"), "{events:?}");
    assert_eq!(of("127.0.0.1")["up"], true);
}

#[test]
fn calls_that_make_no_sense() {
    let many = vec!["127.0.0.1"; 20_001];
    for (args, expected) in [
        (&[][..], 64),
        (&[""], 64),
        (&["::zz"], 64),
        (&["fe80::1"], 64),
        (&["10.0.0.1%lo"], 64),
        (&["0.0.0.0"], 64),
        (&["ff02::1%lo"], 64),
        (&["--timeout", "0", "127.0.0.1"], 64),
        (&["--size", "15", "127.0.0.1"], 64),
        (&["--size", "65508", "127.0.0.1"], 64),
        (&["fe80::1%nosuchif"], 69),
        (&["--interface", "nosuchif", "127.0.0.1"], 69),
        (&many, 64),
    ] {
        let (status, events) = ping(args);
        let what = args.iter().take(3).collect::<Vec<_>>();
        assert_eq!(status, expected, "{what:?}");
        assert_eq!(events.len(), 1, "{what:?}");
        assert_eq!(events[0]["event"], "error", "{what:?}");
    }
}

#[test]
fn targets_from_stdin() {
    let with = |lines: &str, words: &[&str]| {
        let mut child = Command::new(PING)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let (status, events) = told(&with(
        "{\"target\":\"a\",\"host\":\"127.0.0.1\",\"timeout_ms\":9000}\n\n{\"host\":\"::1\"}\n",
        &["-", "127.0.0.2"],
    ));
    let mut names: Vec<&str> = events.iter().map(|e| e["target"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!((status, names), (0, vec!["127.0.0.2", "::1", "a"]), "{events:?}");
    for wrong in ["", "{}", "{\"host\":\"0.0.0.0\"}", "{\"host\":\"127.0.0.1\",\"timeout_ms\":0}", "127.0.0.1"] {
        assert_eq!(with(wrong, &["-"]).status.code(), Some(64), "{wrong}");
    }
    assert_eq!(with("{\"host\":\"fe80::1%nosuchif\"}", &["-"]).status.code(), Some(69));
    // Each has its own time: what waits for an hour does not keep the other.
    let script = "printf '%s\\n' '{\"target\":\"b\",\"host\":\"10.9.0.9\",\"timeout_ms\":300}' \
                  '{\"host\":\"10.9.0.8\",\"timeout_ms\":3600000}' | $P --every 1s --fall 1 --exit-style mon --fields event,target,up --for 2s -";
    let output = in_namespace(script);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|l| l == "probe\tb\tfalse"), "{text}");
    assert!(!text.lines().any(|l| l.starts_with("probe\t10.9.0.8")), "{text}");
    assert_eq!(text.lines().next(), Some("b 10.9.0.8"));
}

#[test]
fn a_silent_host_is_a_no() {
    assert_eq!(verdict("$P --timeout 1s 10.9.0.9"), (1, false.into(), "timeout".into()));
    assert_eq!(verdict("$P --timeout 1s fd09::9"), (1, false.into(), "timeout".into()));
    assert_eq!(verdict("$P --timeout 1s --interface va 10.9.0.9"), (1, false.into(), "timeout".into()));
}

#[test]
fn an_unreachable_host_is_a_no_over_both_kinds_of_socket() {
    // The kernel gives up asking for its hardware address after one second here, long before the time is over.
    let soon =
        "echo 1 > /proc/sys/net/ipv4/neigh/va/mcast_solicit; echo 1 > /proc/sys/net/ipv6/neigh/va/mcast_solicit;";
    for range in ["1 0", "0 0"] {
        let range = format!("echo '{range}' > /proc/sys/net/ipv4/ping_group_range;");
        for host in ["10.9.0.9", "fd09::9"] {
            let got = verdict(&format!("{soon} {range} $P --timeout 15s {host}"));
            assert_eq!(got, (1, false.into(), "host-unreachable".into()), "{range} {host}");
        }
    }
}

#[test]
fn errors_about_one_host_do_not_touch_another() {
    // On a ping socket a waiting error is handed to whoever sends next.
    let script = "echo '0 0' > /proc/sys/net/ipv4/ping_group_range; echo 1 > /proc/sys/net/ipv4/neigh/va/mcast_solicit; \
                  $P --every 50ms --fall 1 --for 2500ms --timeout 2s 10.9.0.9 10.9.0.8 10.9.0.7 127.0.0.1";
    let (status, events) = told(&in_namespace(script));
    assert_eq!(status, 0);
    let probes =
        |host: &str| events.iter().filter(|e| e["event"] == "probe" && e["target"] == host).collect::<Vec<_>>();
    assert!(probes("127.0.0.1").len() > 5);
    assert!(probes("127.0.0.1").iter().all(|e| e["up"] != false), "{events:?}");
    assert!(probes("10.9.0.9").iter().all(|e| e["up"] != true), "{events:?}");
    assert!(probes("10.9.0.9").iter().any(|e| e["up"] == false), "{events:?}");
}

#[test]
fn our_own_side_is_no_word_about_a_host() {
    let null = |status, reason: &str| (status, Value::Null, reason.to_owned());
    assert_eq!(verdict("$P --timeout 1s 10.77.0.1"), null(75, "no-route"));
    assert_eq!(verdict("$P --timeout 1s fd77::1"), null(75, "no-route"));
    // An IPv4 route outlives the carrier.
    assert_eq!(verdict("ip link set vb down; $P --timeout 1s 10.9.0.9"), null(75, "no-carrier"));
    assert_eq!(verdict("ip link set vb down; $P --timeout 1s --interface va 10.9.0.9"), null(75, "no-carrier"));
    assert_eq!(verdict("ip route add unreachable 10.77.0.0/16; $P --timeout 1s 10.77.0.1"), null(75, "no-route"));
    assert_eq!(verdict("ip route add prohibit 10.77.0.0/16; $P --timeout 1s 10.77.0.1").1, Value::Null);
    assert_eq!(verdict("ip route add blackhole 10.77.0.0/16; $P --timeout 1s 10.77.0.1").1, Value::Null);
    assert_eq!(verdict("$P --timeout 1s 10.9.0.255").1, Value::Null); // the subnet's broadcast address
}

#[test]
fn a_host_that_comes_and_goes() {
    let script = "( read -r go; ip addr del 10.9.0.2/32 dev lo ) <fifo & \
                  $P --every 20ms --timeout 100ms --until down --for 15s 10.9.0.2 | \
                  while IFS= read -r line; do echo \"$line\"; case $line in *'\"is\":\"up\"'*) echo go >fifo;; esac; done";
    let output = in_namespace(&format!(
        "d=$(mktemp -d); cd $d; mkfifo fifo; ip addr add 10.9.0.2/32 dev lo; {script}; wait; cd /; rm -r $d"
    ));
    let (_, events) = told(&output);
    let states: Vec<&str> =
        events.iter().filter(|e| e["event"] == "state").map(|e| e["is"].as_str().unwrap()).collect();
    assert_eq!(states, ["up", "down"], "{output:?}");
    let seq: Vec<u64> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seq, (0..events.len() as u64).collect::<Vec<_>>());
}

#[test]
fn an_interface_that_goes_and_comes_back() {
    // The kernel's number of the new interface is another one.
    let script = "$P --every 50ms --timeout 100ms --rise 1 --fall 1 --interface vc --for 15s 10.8.0.1 | while IFS= read -r line; do \
                  echo \"$line\"; case $line in *'\"is\":\"up\"'*) n=$((n+1)); \
                  if [ \"$n\" = 2 ]; then exit; fi; ip link del vc; sleep 0.3; make;; esac; done";
    let make = "make() { ip link add vc type veth peer name vd; ip link set vd up; ip addr add 10.8.0.1/24 dev vc; ip link set vc up; }; make;";
    let (_, events) = told(&in_namespace(&format!("{make} {script}")));
    let states: Vec<&str> =
        events.iter().filter(|e| e["event"] == "state").map(|e| e["is"].as_str().unwrap()).collect();
    assert_eq!(states, ["up", "unknown", "up"], "{events:?}");
}

#[test]
fn a_link_local_address_needs_its_link() {
    let script = "ip link set va addrgenmode none; ip -6 addr add fe80::5/64 dev va nodad; $P fe80::5%va";
    assert_eq!(verdict(script), (0, true.into(), "ok".into()));
    assert_eq!(verdict("$P --timeout 1s fe80::77%va"), (1, false.into(), "timeout".into()));
}

#[test]
fn without_permission_there_is_no_answer() {
    // A namespace of its own, where ping sockets are for nobody, and a user without capabilities in it.
    let output =
        in_namespace("echo '1 0' > /proc/sys/net/ipv4/ping_group_range; setpriv --bounding-set=-all $P 127.0.0.1");
    let (status, events) = told(&output);
    assert_eq!(status, 77, "{output:?}");
    assert_eq!(events[0]["code"], "permission-denied");
    assert!(events[0]["hint"].as_str().unwrap().contains("ping_group_range"));
    // And with ping sockets it needs no more.
    let script = "echo '0 0' > /proc/sys/net/ipv4/ping_group_range; setpriv --bounding-set=-all $P 127.0.0.1 ::1";
    assert_eq!(told(&in_namespace(script)).0, 0);
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    for args in [&["127.0.0.1"][..], &["--every", "10ms", "127.0.0.1"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PING).args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(75));
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_stream_between_probes() {
    let mut child = Command::new(PING).args(["--every", "1h", "127.0.0.1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn a_signal_ends_a_stream_with_0_and_kills_a_one_shot() {
    use std::os::unix::process::ExitStatusExt;
    for (words, status) in [("--every 1h ::1", 0), ("--every 1h --until down ::1", 75)] {
        let mut child = Command::new(PING).args(words.split(' ')).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status));
    }

    // Silent for an hour; a target that answers is told first, so that it is known to be running.
    let output = in_namespace(
        "d=$(mktemp); $P --timeout 1h 127.0.0.1 10.9.0.9 >$d & until [ -s $d ]; do sleep 0.01; done; \
         kill -TERM $!; wait $!; s=$?; rm $d; exit $s",
    );
    assert!(output.status.code() == Some(128 + 15) || output.status.signal() == Some(15), "{output:?}");
}

#[test]
fn a_stall_is_no_word_about_a_host() {
    // Frozen for longer than the time-out while a silent host is probed.
    let script = "d=$(mktemp); $P --timeout 2s 127.0.0.1 10.9.0.9 >$d & until [ -s $d ]; do sleep 0.01; done; \
                  kill -STOP $!; sleep 3.5; kill -CONT $!; wait $!; s=$?; cat $d; rm $d; exit $s";
    assert_eq!(verdict(script), (75, Value::Null, "stalled".into()));
}

#[test]
fn for_mon_the_first_line_names_the_failed() {
    let output = in_namespace("$P --exit-style mon --human --timeout 1s 127.0.0.1 10.9.0.9 10.77.0.1");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().next(), Some("10.9.0.9 10.77.0.1"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
