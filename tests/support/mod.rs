//! What the tests of several commands share: running one, and holding its output to ha-events(7).
//!
//! `mod support;` in a test, then `support::run("ha-event", &["note"])` and `run.events()`.

#![allow(dead_code)] // each test uses a part of it

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};
use takeover::cli::event::Event;
use takeover::cli::vocabulary::{self, COMMON};

/// Where cargo put a command of this package.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_ha-event")).with_file_name(name)
}

/// A command of this package without stdin, in an environment that changes nothing in its words.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(path(name));
    command.stdin(Stdio::null()).env("LC_ALL", "C").env_remove("RUST_BACKTRACE");
    command
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// The command, for messages.
    pub words: String,
    /// The exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run<S: AsRef<OsStr>>(name: &str, args: &[S]) -> Run {
    finish(command(name).args(args))
}

/// Runs a prepared command to its end.
pub fn finish(command: &mut Command) -> Run {
    let words = format!("{command:?}");
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {words}: {e}"));
    let stdout = String::from_utf8(output.stdout).unwrap_or_else(|e| panic!("{words}: stdout is not UTF-8: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { words, status: output.status.code(), stdout, stderr }
}

impl Run {
    /// Asserts the exit status.
    pub fn ends_with(&self, status: i32) -> &Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// The events on stdout, each of them held to ha-events(7).
    pub fn events(&self) -> Vec<Map<String, Value>> {
        assert!(self.stdout.is_empty() || self.stdout.ends_with('\n'), "half a line: {self:#?}");
        let lines = self.stdout.lines().map(|line| {
            let problems = problems(line);
            assert!(problems.is_empty(), "{problems:?} in {line}\n{self:#?}");
            match serde_json::from_str(line) {
                Ok(Value::Object(object)) => object,
                _ => unreachable!("problems() parsed it"),
            }
        });
        lines.collect()
    }

    /// The single event on stdout.
    pub fn event(&self) -> Map<String, Value> {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{self:#?}");
        events.remove(0)
    }

    /// Asserts one error event with this code and words on stderr.
    pub fn failed(&self, tool: &str, status: i32, code: &str) -> &Self {
        self.ends_with(status);
        let event = self.event();
        assert_eq!((&event["tool"], &event["event"], &event["code"]), (&tool.into(), &"error".into(), &code.into()));
        assert!(!self.stderr.is_empty(), "an error has words for a person too: {self:#?}");
        self
    }
}

/// Where a line of output differs from ha-events(7): nothing when it is as documented.
pub fn problems(line: &str) -> Vec<String> {
    let object: Map<String, Value> = match serde_json::from_str(line) {
        Ok(object) => object,
        Err(e) => return vec![format!("no JSON object: {e}")],
    };
    let mut problems = Vec::new();
    let word = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (tool, name) = (word("tool"), word("event"));
    if tool.is_empty() || name.is_empty() {
        problems.push("no tool or no event".to_owned());
    }
    if !is_timestamp(word("at")) {
        problems.push(format!("at is no UTC time with microseconds: '{}'", word("at")));
    }
    if object.keys().take(3).ne(["at", "tool", "event"]) {
        problems.push("at, tool and event do not come first".to_owned());
    }
    let stream = (object.get("mono_ms"), object.get("seq"));
    match stream {
        (None, None) => {}
        (Some(mono), Some(seq)) if mono.is_number() && seq.is_u64() => {}
        _ => problems.push(format!("mono_ms and seq belong together: {stream:?}")),
    }
    let mut event = Event::new(name, "");
    for (field, value) in &object {
        if !COMMON.iter().any(|c| c.name == field) {
            event = event.with(field, value.clone());
        }
    }
    problems.extend(vocabulary::problems(tool, &event));
    problems
}

/// `2026-11-21T01:20:30.123456Z`
fn is_timestamp(text: &str) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:dd.ddddddZ";
    text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(c, p)| if *p == b'd' { c.is_ascii_digit() } else { c == *p })
}
