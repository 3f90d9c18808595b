//! A child process that cannot outlive its test, and the event lines that it prints.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A running child: killed and reaped when dropped. Its standard output is read all the time, as JSON Lines, and what it
/// says on standard error is kept for the message of a test that fails.
///
/// The deadlines handed in are there only so that a test cannot hang; no test should depend on their length.
#[derive(Debug)]
pub struct Child {
    name: String,
    inner: std::process::Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
    words: Arc<Mutex<String>>,
}

impl Child {
    /// Starts the command, with standard output and standard error read by us; standard input is the caller's choice.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut inner = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
        let (send, lines) = channel();
        let words = Arc::new(Mutex::new(String::new()));
        // Both threads end with the pipe, that is, with the last process that holds it.
        if let Some(stdout) = inner.stdout.take() {
            thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| send.send(l)));
        }
        if let Some(mut stderr) = inner.stderr.take() {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(n @ 1..) = stderr.read(&mut piece) {
                    if let Ok(mut words) = words.lock() {
                        words.push_str(&String::from_utf8_lossy(&piece[..n]));
                    }
                }
            });
        }
        Self { name, inner, lines, seen: Vec::new(), words }
    }

    /// The process id: the program's own, also in a host.
    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// Its standard input, when that was piped: to write to, or to drop.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.inner.stdin.take()
    }

    /// Writes one line to its standard input, which has to be piped and not taken.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let Some(stdin) = self.inner.stdin.as_mut() else { panic!("{}: its standard input is not ours", self.name) };
        writeln!(stdin, "{line}").unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }

    /// Every line seen so far.
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// What it has said on standard error so far.
    pub fn words(&self) -> String {
        self.words.lock().map(|words| words.clone()).unwrap_or_default()
    }

    /// Sends a signal; nothing happens when it has ended.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        if matches!(self.inner.try_wait(), Ok(Some(_))) {
            return;
        }
        // Not reaped, so the pid is still its own.
        let pid = Pid::from_raw(self.inner.id().cast_signed());
        kill(pid, signal).unwrap_or_else(|e| panic!("{}: {signal}: {e}", self.name));
    }

    /// Freezes it with SIGSTOP; returns when it is stopped.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.inner.id());
        let stopped = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            // The name, in parentheses, may hold anything.
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z']))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !stopped() {
            assert!(Instant::now() < deadline, "{}: does not stop", self.name);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on after [`Child::stop`].
    #[track_caller]
    pub fn cont(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        // Errors: it has ended already.
        let _ = self.inner.kill();
        let _ = self.inner.wait();
    }

    /// The next line for which `wanted` holds. Lines before it are kept in [`Child::seen`] and passed over.
    ///
    /// # Panics
    /// After `within`, at the end of the output, and at a line that is not JSON; with everything that was said.
    #[track_caller]
    pub fn next_where(&mut self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        match self.look(within, wanted) {
            Ok(value) => value,
            Err(why) => panic!("{}: no {what}: {why}{}", self.name, self.story()),
        }
    }

    /// The next line whose `event` is `name`; see [`Child::next_where`].
    #[track_caller]
    pub fn next_event(&mut self, name: &str, within: Duration) -> Value {
        self.next_where(&format!("event '{name}'"), within, |value| value["event"] == name)
    }

    /// The next line, whatever it is; see [`Child::next_where`].
    #[track_caller]
    pub fn next(&mut self, within: Duration) -> Value {
        self.next_where("line", within, |_| true)
    }

    /// Like [`Child::next_where`], for a line that may not come: the error says why not.
    pub fn look(&mut self, within: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let deadline = Instant::now() + within;
        loop {
            let line = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return Err(format!("nothing within {within:?}")),
                Err(RecvTimeoutError::Disconnected) => return Err("its output has ended".to_owned()),
            };
            let value: Value = serde_json::from_str(&line).map_err(|e| format!("'{line}' is not JSON: {e}"))?;
            self.seen.push(value.clone());
            if wanted(&value) {
                return Ok(value);
            }
        }
    }

    /// Waits for its end; returns its exit status, or 128 and the signal that ended it. Reads the rest of its output
    /// into [`Child::seen`].
    ///
    /// # Panics
    /// When it has not ended within that time.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> i32 {
        let deadline = Instant::now() + within;
        let status = loop {
            match self.inner.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(e) => panic!("{}: {e}", self.name),
            }
            assert!(Instant::now() < deadline, "{}: has not ended within {within:?}{}", self.name, self.story());
            thread::sleep(Duration::from_millis(1));
        };
        // A child of its own may hold the pipe open: what is left to read is read for a moment only.
        let rest = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(500));
        let _ = self.look(rest, |_| false);
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// What has happened so far, for a message.
    fn story(&self) -> String {
        let mut story = String::new();
        let _ = write!(story, "\n  its output:");
        for value in &self.seen {
            let _ = write!(story, "\n    {value}");
        }
        let _ = write!(story, "\n  its words: {}", self.words());
        story
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
