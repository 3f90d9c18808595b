//! ha-event as scripts call it: right words, wrong words, and an output that does not take them.

#![allow(clippy::unwrap_used)] // in its helper functions too

mod support;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use serde_json::json;
use support::{command, finish, run};

#[test]
fn a_line_with_typed_fields() {
    let event = run("ha-event", &["--tool", "my-script", "note", "status=3", "up=true", "macs=a,b", "own=x=y"]);
    let event = event.ends_with(0).event();
    assert_eq!((&event["tool"], &event["event"]), (&json!("my-script"), &json!("note")));
    assert_eq!((&event["status"], &event["up"]), (&json!(3), &json!(true)));
    assert_eq!((&event["macs"], &event["own"]), (&json!(["a", "b"]), &json!("x=y")));
    assert!(!event.contains_key("seq"));
}

#[test]
fn a_known_event_is_whole() {
    let event = run("ha-event", &["error", "code=c"]).ends_with(0).event();
    assert_eq!((&event["message"], &event["hint"]), (&json!(null), &json!(null)));
}

#[test]
fn seq_makes_it_part_of_a_stream() {
    let event = run("ha-event", &["note", "--seq", "18446744073709551615"]).ends_with(0).event();
    assert_eq!(event["seq"], json!(u64::MAX));
    assert!(event["mono_ms"].is_number());
}

#[test]
fn whatever_a_value_holds_it_stays_one_line() {
    let value = "cause=two\nlines\t\"quoted\" \\ \u{1b}[31m é";
    let event = run("ha-event", &["note", value]).ends_with(0).event();
    assert_eq!(event["cause"], json!(&value[6..]));
    let human = run("ha-event", &["--human", "note", value]);
    assert_eq!(human.ends_with(0).stdout.lines().count(), 1);
    assert!(!human.stdout.contains('\u{1b}'), "{human:?}");
    let fields = run("ha-event", &["--fields", "event,cause,up", "note", value]);
    assert_eq!(fields.ends_with(0).stdout, "note\ttwo\\nlines\\t\"quoted\" \\\\ \\x1b[31m é\t-\n");
}

#[test]
fn wrong_words() {
    for args in [
        &[][..],
        &["Note"],
        &[""],
        &["no te"],
        &["note", "x"],
        &["note", "=x"],
        &["note", "X=1"],
        &["note", "a=1", "a=2"],
        &["note", "at=now"],
        &["note", "status=three"],
        &["error", "colour=red"],
        &["note", "--seq", "-1"],
        &["note", "--seq", "18446744073709551616"],
        &["note", "--fields", "event,colour"],
        &["note", "--fields", ""],
        &["note", "--exit-style", "cobol"],
        &["note", "--colour"],
    ] {
        run("ha-event", args).failed("ha-event", 64, "usage");
    }
}

#[test]
fn a_wrong_call_for_a_person_has_words_only() {
    for args in [&["--human", "Note"][..], &["note", "--fields", "event", "--human"]] {
        let run = run("ha-event", args);
        assert!(run.ends_with(64).stdout.is_empty() && !run.stderr.is_empty(), "{run:#?}");
    }
}

#[test]
fn a_wrong_call_never_prints_the_event() {
    let run = run("ha-event", &["--fields", "event,code", "--", "note", "status=three"]);
    assert_eq!(run.ends_with(64).stdout, "error\tusage\n");
}

#[test]
fn invalid_utf8() {
    let bad = OsStr::from_bytes(b"cause=\xff\xfe");
    run("ha-event", &[OsStr::new("note"), bad]).failed("ha-event", 64, "usage");
    run("ha-event", &[OsStr::from_bytes(b"\xff")]).failed("ha-event", 64, "usage");
    run("ha-event", &[OsStr::new("note"), OsStr::from_bytes(b"--fields=\xff")]).failed("ha-event", 64, "usage");
}

#[test]
fn exit_styles() {
    for (style, usage) in [("native", 64), ("nagios", 3), ("lsb-status", 4), ("lsb-action", 2), ("ocf", 2), ("mon", 1)]
    {
        run("ha-event", &["note", "--exit-style", style]).ends_with(0);
        // Wrong in the eyes of clap, and wrong in the eyes of the command.
        for wrong in [&["note", "--colour"][..], &["Note"]] {
            let form = [wrong, &["--exit-style", style]].concat();
            run("ha-event", &form).failed("ha-event", usage, "usage");
        }
        run("ha-event", &["Note", &format!("--exit-style={style}")]).failed("ha-event", usage, "usage");
    }
}

#[test]
fn a_reader_that_is_gone() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = finish_with_stdout(writer.into());
    assert_eq!((run.0, run.1.as_str()), (Some(75), ""), "it ends quietly");
}

#[test]
fn a_full_disk() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (status, stderr) = finish_with_stdout(full.into());
    assert_eq!(status, Some(70));
    assert!(stderr.contains("cannot write to stdout"), "{stderr}");
}

#[test]
fn no_stdout_at_all() {
    let mut shell = std::process::Command::new("sh");
    let run = finish(shell.args(["-c", "exec \"$1\" note >&-", "sh"]).arg(support::path("ha-event")));
    // The standard library opens /dev/null in its place: the line is lost, as its caller asked.
    run.ends_with(0);
    assert_eq!(run.stdout, "");
}

fn finish_with_stdout(stdout: Stdio) -> (Option<i32>, String) {
    let child = command("ha-event").arg("note").stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn several_writers_do_not_mix() {
    let folder = std::env::temp_dir().join(format!("ha-event-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let log = folder.join("log");
    let cause = format!("cause={}", "x".repeat(3000));
    let mut children: Vec<_> = (0..16)
        .map(|_| {
            let file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
            command("ha-event").args(["note", &cause]).stdout(file).spawn().unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(text.lines().count(), 16);
    for line in text.lines() {
        assert_eq!(support::problems(line), Vec::<String>::new());
    }
}
