//! probe-exec: real commands, and that none of them outlives it.

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Run, command, run};

/// Runs it with these lines on stdin.
fn fed(args: &[&str], lines: &[Value]) -> Run {
    fed_to(command("probe-exec"), args, lines)
}

fn fed_to(mut child: Command, args: &[&str], lines: &[Value]) -> Run {
    child.args(args).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let words = format!("{child:?}");
    let mut child = child.spawn().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { words, status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Status and reason for a shell's words.
fn verdict(args: &[&str], words: &str) -> (i32, String) {
    let run = run("probe-exec", &[args, &["--", "sh", "-c", words]].concat());
    let event = run.event();
    (run.status.unwrap(), event["reason"].as_str().unwrap().to_owned())
}

#[test]
fn statuses_of_real_commands() {
    let table: &[(&[&str], &str, i32, &str)] = &[
        (&[], "exit 0", 0, "ok"),
        (&[], "exit 1", 0, "warning"),
        (&[], "exit 2", 1, "critical"),
        (&[], "exit 3", 75, "unknown"),
        (&["--style", "mon"], "exit 3", 1, "failed"),
        (&["--style", "lsb"], "exit 3", 1, "not-running"),
        (&["--style", "mon"], "exit 127", 75, "not-found"),
        (&["--style", "mon"], "kill -KILL $$", 75, "killed"),
        // One of those without a name.
        (&["--style", "mon"], "kill -40 $$", 75, "killed"),
        (&["--timeout", "100ms"], "sleep 600", 75, "timeout"),
        (&["--style", "mon", "--timeout", "100ms"], "sleep 600", 1, "timeout"),
        (&["--style", "mon", "--timeout", "100ms"], "trap '' TERM; while :; do sleep 600; done", 1, "timeout"),
    ];
    for (args, words, status, reason) in table {
        assert_eq!(verdict(args, words), (*status, (*reason).to_owned()), "{args:?} {words}");
    }
    for (program, reason) in [("/nowhere/x", "not-found"), ("/etc/passwd", "not-executable")] {
        let run = run("probe-exec", &["--style", "mon", "--", program]);
        assert_eq!(run.ends_with(75).event()["reason"], reason);
    }
}

#[test]
fn what_is_said() {
    let words = "echo first; echo second; echo third >&2";
    let event = run("probe-exec", &["--style", "mon", "--", "sh", "-c", words]).event();
    assert_eq!((&event["summary"], &event["detail"]), (&json!("first"), &json!("second\nthird\n")));
    let nagios = run("probe-exec", &["--", "sh", "-c", words]);
    assert_eq!((nagios.event()["detail"].as_str(), nagios.stderr.as_str()), (Some("second\n"), "third\n"));
    let endless = run("probe-exec", &["--style", "mon", "--timeout", "500ms", "--", "yes"]);
    assert_eq!(endless.ends_with(1).event()["detail"].as_str().map(str::len), Some(8192));
    let mon = run("probe-exec", &["--exit-style", "mon", "--target", "web1", "--", "false"]);
    assert_eq!(mon.ends_with(0).stdout.lines().next(), Some(""));
    let mon = run("probe-exec", &["--exit-style", "mon", "--style", "mon", "--target", "web1", "--", "false"]);
    assert_eq!(mon.ends_with(1).stdout.lines().next(), Some("web1"));
}

/// A shell runs it, with all that any other check has, wherever it is found.
#[test]
fn a_script_without_a_first_line() {
    let dir = Dir::new("script");
    let file = dir.0.join("bare");
    std::fs::write(&file, "echo \"$1 $A\"; cat; echo told >&2; exit 1\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.0.display(), std::env::var("PATH").unwrap());
    // On the PATH of the check, on ours, by its path.
    let check = |word: &str, env: Value| json!({"command": [word, "x"], "style": "mon", "env": env, "input": "y\n"});
    let by_path = file.display().to_string();
    for (ours, check) in [
        (None, check("bare", json!({"A": "a", "PATH": path}))),
        (Some(&path), check("bare", json!({"A": "a"}))),
        (None, check(&by_path, json!({"A": "a"}))),
    ] {
        let mut command = command("probe-exec");
        if let Some(path) = ours {
            command.env("PATH", path);
        }
        let run = fed_to(command, &[], &[check]);
        let event = run.ends_with(1).event();
        assert_eq!((&event["summary"], &event["detail"]), (&json!("x a"), &json!("y\ntold\n")), "{run:#?}");
    }
}

#[test]
fn checks_from_stdin() {
    let run = fed(
        &[],
        &[
            json!({"command": ["sh", "-c", "echo $A; cat"], "env": {"A": "a b"}, "input": "x\ny", "target": "one", "style": "mon"}),
            json!({"argv": ["false"], "style": "mon"}),
        ],
    );
    let events = run.ends_with(1).events();
    let of = |target: &str| events.iter().find(|e| e["target"] == target).unwrap();
    assert_eq!((&of("one")["summary"], &of("one")["detail"]), (&json!("a b"), &json!("x\ny")));
    assert_eq!(of("false")["reason"], "failed");
    for bad in [json!({"target": "x"}), json!({"command": []}), json!({"command": ["x"], "style": "ocf"})] {
        fed(&[], &[bad]).failed("probe-exec", 64, "usage");
    }
}

/// Periods of their own, and one more for what is down; the counts are bounds that hold however slow the machine is.
#[test]
fn each_has_its_own_period() {
    let lines = [
        json!({"command": ["true"], "target": "slow", "every_ms": 60_000}),
        json!({"command": ["true"], "target": "fast", "every_ms": 20}),
        json!({"command": ["false"], "target": "down", "style": "mon", "every_ms": 60_000, "every_down_ms": 20}),
    ];
    let run = fed(&["--for", "2s"], &lines);
    let events = run.ends_with(0).events();
    let count = |target: &str| events.iter().filter(|e| e["event"] == "probe" && e["target"] == target).count();
    assert_eq!(count("slow"), 1);
    assert!(count("fast") > 2 && count("down") > 2, "{} {}", count("fast"), count("down"));
}

/// 300 checks that wait for each other would never end if they did not run at once; with --jobs 3 four of them do not.
#[test]
fn many_run_at_once_and_no_more_than_asked_for() {
    let meet = |n: usize, args: &[&str], name: &str| {
        let dir = Dir::new(name);
        let words =
            format!("echo >>{0}; until [ $(wc -l <{0}) -ge {n} ]; do sleep 0.2; done", dir.0.join("here").display());
        let lines = vec![json!({"command": ["sh", "-c", words], "style": "mon"}); n];
        fed(args, &lines).status
    };
    assert_eq!(meet(150, &["--jobs", "150", "--timeout", "5m"], "many"), Some(0));
    assert_eq!(meet(4, &["--jobs", "3", "--timeout", "1s"], "few"), Some(1));
}

/// A folder, gone at the end of its test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("probe-exec-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A watch whose check has a child beside it, and the numbers of both.
fn with_children() -> (Child, Vec<i32>) {
    let mut child = command("probe-exec")
        .args(["--every", "60s", "--timeout", "600s", "--style", "nagios", "--", "sh", "-c"])
        .arg("sleep 600 & echo $$ $! >&2; wait")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.split_whitespace().map(|n| n.parse().unwrap()).collect())
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is waited for by whoever its parent is now.
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

fn gone(pids: &[i32]) {
    let until = Instant::now() + Duration::from_secs(20);
    while pids.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < until, "{pids:?} outlived it");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_outlives_it() {
    for signal in ["-TERM", "-INT", "-KILL"] {
        let (mut child, pids) = with_children();
        assert!(pids.len() == 2 && pids.iter().all(|pid| alive(*pid)), "{pids:?}");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), (signal != "-KILL").then_some(0));
        gone(&pids);
    }
    // A reader that is gone ends it as well.
    let (mut child, pids) = with_children();
    drop(child.stdout.take());
    child.wait().unwrap();
    gone(&pids);
    // What a check leaves in its group ends with it.
    let left = run("probe-exec", &["--", "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]);
    gone(&[left.event()["summary"].as_str().unwrap().parse().unwrap()]);
}
