//! What several integration tests use: running a command of ours to its end in a host, and looking at its addresses.
#![allow(dead_code, clippy::unwrap_used)]

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use takeover_lab::{Child, Host};

/// A bound for everything: only there so that a test cannot hang.
pub const LONG: Duration = Duration::from_secs(30);

/// What a command of ours did: its exit status, its events, its words.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub events: Vec<Value>,
    pub words: String,
}

impl Ran {
    /// Reads the output of a command that has ended; every line has to be an event.
    #[track_caller]
    pub fn read(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let events = text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("'{l}': {e}"))).collect();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { status: output.status.code().unwrap_or(-1), events, words }
    }

    /// The only event, or the last of several.
    #[track_caller]
    pub fn last(&self) -> &Value {
        self.events.last().unwrap_or_else(|| panic!("no event; its words: {}", self.words))
    }

    /// The first event of that name.
    #[track_caller]
    pub fn event(&self, name: &str) -> &Value {
        self.events.iter().find(|e| e["event"] == name).unwrap_or_else(|| panic!("no event {name} in {self:?}"))
    }
}

/// Runs `line` (words separated by spaces, the first one a command of ours) in a host to its end.
#[track_caller]
pub fn run(host: Host, line: &str) -> Ran {
    let mut words = line.split_whitespace();
    let mut command = host.tool(words.next().unwrap());
    Ran::read(&command.args(words).stdin(Stdio::null()).output().unwrap())
}

/// Starts `line` in a host; its stdin is a pipe.
#[track_caller]
pub fn start(host: Host, line: &str) -> Child {
    let mut words = line.split_whitespace();
    let mut command = host.tool(words.next().unwrap());
    command.args(words).stdin(Stdio::piped());
    Child::spawn(command)
}

/// Whether the host has the address on eth0.
pub fn has(host: Host, ip: &str) -> bool {
    host.sh("ip -o addr show dev eth0").contains(&format!(" {ip}/"))
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
