//! Holds what the commands really print to ha-events(7).
//!
//! A row of [`RUNS`] is a call that works on any machine. What needs a network stands in the tests of its command, which
//! read their output through the same `Run::events`.

#![allow(clippy::unwrap_used)]

mod support;

use std::ffi::OsStr;

#[path = "../examples/generate/pages/mod.rs"]
#[allow(dead_code)]
mod pages;

use support::{problems, run};

/// A call, its exit status, and the events that it prints.
type Row = (&'static str, &'static [&'static str], i32, &'static [&'static str]);

/// In a row: a file with a key, which nobody else may read.
const KEYS: &str = "KEYS";

const RUNS: &[Row] = &[
    ("ha-event", &["note", "cause=x"], 0, &["note"]),
    ("ha-event", &["--seq", "3", "note"], 0, &["note"]),
    ("ha-event", &["error", "code=c", "message=m"], 0, &["error"]),
    ("ha-event", &["--tool", "vip-take", "held", "address=192.0.2.1", "macs=a,b", "mine=false"], 0, &["held"]),
    ("ha-event", &["--tool", "vip-take", "held", "colour=red"], 64, &["error"]),
    ("ha-status", &["--run-dir", "/nowhere"], 69, &["error"]),
    ("hb-send", &["--node", "a", "--authkeys", KEYS], 64, &["error"]),
    ("hb-send", &["--node", "a", "--authkeys", "/dev/null/none", "--ucast", "127.0.0.1"], 78, &["error"]),
    (
        "hb-send",
        &["--node", "a", "--authkeys", KEYS, "--serial", "/dev/null/none", "--count", "1", "--realtime"],
        69,
        &["realtime", "sending", "medium", "dropped", "error"],
    ),
    ("hb-listen", &["--node", "a", "--authkeys", KEYS], 64, &["error"]),
    (
        "hb-listen",
        &["--node", "a", "--authkeys", KEYS, "--serial", "/dev/null/none", "--until", "unknown:b"],
        0,
        &["listening", "medium"],
    ),
    (
        "hb-listen",
        &["--node", "a", "--authkeys", KEYS, "--serial", "/dev/null/none", "--for", "1ms", "--until", "up:b"],
        75,
        &["listening", "medium", "error"],
    ),
    ("probe-exec", &["--", "true"], 0, &["probe"]),
    ("mon-decide", &["/nowhere/mon.cf"], 78, &["error"]),
    ("ha-conf", &["mon"], 64, &["error"]),
    ("run-resource", &["start"], 64, &["error"]),
    ("run-resource", &["start", "no-such-agent-anywhere"], 69, &["error"]),
    ("run-resource", &["status", "no-such-agent-anywhere"], 69, &["step", "outcome", "error"]),
    ("run-resource", &["--ha-d", "/nowhere", "list", "heartbeat"], 1, &[]),
];

#[test]
fn every_row_prints_what_the_manual_says() {
    let keys = std::env::temp_dir().join(format!("takeover-vocabulary-{}", std::process::id()));
    std::fs::write(&keys, "auth 1\n1 sha1 secret\n").unwrap();
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (name, args, status, events) in RUNS {
        let args: Vec<&OsStr> = args.iter().map(|a| if *a == KEYS { keys.as_os_str() } else { a.as_ref() }).collect();
        let run = run(name, &args);
        run.ends_with(*status);
        let got: Vec<String> = run.events().iter().filter_map(|e| e["event"].as_str().map(str::to_owned)).collect();
        assert_eq!(got, *events, "{run:#?}");
    }
    let _ = std::fs::remove_file(&keys);
}

/// `ha-event` can print every event that is documented, for every command that prints it.
#[test]
fn every_documented_event_can_be_printed() {
    for doc in takeover::cli::vocabulary::events() {
        for tool in if doc.tools.is_empty() { &["standby-watch"] } else { doc.tools } {
            let event = run("ha-event", &["--tool", tool, doc.name]).event();
            let fields: Vec<&str> = event.keys().skip(3).map(String::as_str).collect();
            assert_eq!(fields, doc.fields, "{} of {tool}", doc.name);
        }
    }
}

/// Whatever a command does, its refusal of wrong words, its help and its version are the same as everywhere.
#[test]
fn every_command_answers_its_caller() {
    for command in pages::commands() {
        let name = command.name();
        run(name, &["--no-such-flag"]).failed(name, 64, "usage");
        let help = run(name, &["--help"]);
        assert!(help.ends_with(0).stdout.contains("Usage:") && help.stderr.is_empty(), "{help:#?}");
        let version = run(name, &["--version"]);
        assert_eq!(version.ends_with(0).stdout, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// The check itself finds what is wrong.
#[test]
fn lines_that_are_not_as_documented() {
    let good =
        r#"{"at":"2026-11-21T01:20:30.123456Z","tool":"garp","event":"error","code":"c","message":"m","hint":null}"#;
    assert_eq!(problems(good), Vec::<String>::new());
    for (from, to) in [
        ("{", "["),
        ("30.123456Z", "30Z"),
        ("\"at\"", "\"when\""),
        ("\"tool\":\"garp\"", "\"tool\":null"),
        ("\"hint\":null", "\"hint\":1"),
        (",\"hint\":null", ""),
        ("\"hint\"", "\"seq\":1,\"hint\""),
        ("\"hint\"", "\"colour\":\"red\",\"hint\""),
        ("\"event\":\"error\"", "\"event\":\"who\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(!problems(&bad).is_empty(), "{bad}");
    }
}
