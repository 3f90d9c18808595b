//! stdout: one event a line, as JSON, as chosen fields or in words, written whole or not at all.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;
use serde_json::{Map, Value};

use super::event::Event;
use super::fields::Fields;
use super::vocabulary;
use crate::clock::{self, Instant};

/// Lines that a stream keeps while its reader does not read; the oldest go first, and gaps in `seq` show it.
const BACKLOG: usize = 10_000;

/// How events are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON Lines.
    Json,
    /// Tab-separated columns.
    Fields(Fields),
    /// Words for a person.
    Human,
}

/// Why an event could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader is gone: nobody is left to tell.
    #[error("stdout was closed")]
    Closed,
    /// Anything else, such as a full disk.
    #[error("cannot write to stdout: {0}")]
    Write(io::Error),
}

/// Where the events of one command go.
#[derive(Debug)]
pub struct Output {
    tool: String,
    format: Format,
    stream: bool,
    seq: u64,
    backlog: VecDeque<Vec<u8>>,
    /// With `--exit-style mon` the first line is a summary that is only known at the end.
    held: Option<Vec<Vec<u8>>>,
    failed: Vec<String>,
}

impl Output {
    /// An output for a one-shot command.
    pub fn new(tool: &str, format: Format) -> Self {
        Self {
            tool: tool.to_owned(),
            format,
            stream: false,
            seq: 0,
            backlog: VecDeque::new(),
            held: None,
            failed: Vec::new(),
        }
    }

    /// How events are printed.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// From now on every event carries `mono_ms` and `seq`, and a reader that does not read holds nothing up.
    pub fn make_stream(&mut self) {
        self.stream = true;
    }

    /// Prints in the name of another tool, such as a script; with `seq` as a part of its stream.
    pub fn speak_for(&mut self, tool: &str, seq: Option<u64>) {
        self.tool = tool.to_owned();
        if let Some(seq) = seq {
            self.stream = true;
            self.seq = seq;
        }
    }

    /// Keeps every line back until [`Output::finish`], which prints a summary first, as mon expects of its monitors.
    pub fn hold_back(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Remembers a target that did not pass, as it was given, for that summary.
    pub fn note_failed(&mut self, target: &str) {
        self.failed.push(target.to_owned());
    }

    /// Prints the summary and what was held back, if anything was.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let Some(held) = self.held.take() else { return Ok(()) };
        let summary = one_line(&self.failed.join(" "));
        self.send(format!("{summary}\n").into_bytes())?;
        held.into_iter().try_for_each(|line| self.send(line))
    }

    /// Prints one event.
    pub fn emit(&mut self, event: Event) -> Result<(), OutputError> {
        let now = Instant::now();
        if cfg!(debug_assertions) {
            let problems = vocabulary::problems(&self.tool, &event);
            assert!(problems.is_empty(), "{} is not the event of ha-events(7): {problems:?}", event.name);
        }
        let line = match &self.format {
            Format::Json => Value::Object(self.object(event, now)).to_string(),
            Format::Fields(fields) => fields.line(&self.object(event, now)),
            Format::Human if self.stream => {
                let at = clock::wall();
                // Hours to milliseconds of 2026-11-21T01:20:30.123456Z.
                format!("{}  {}", at.get(11..23).unwrap_or(&at), one_line(&event.words))
            }
            Format::Human => one_line(&event.words),
        };
        self.seq = self.seq.wrapping_add(1); // a script may start it anywhere, with ha-event --seq
        let mut line = line.into_bytes();
        line.push(b'\n');
        match &mut self.held {
            Some(held) => {
                held.push(line);
                Ok(())
            }
            None => self.send(line),
        }
    }

    fn object(&self, event: Event, now: Instant) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("at".into(), clock::wall().into());
        object.insert("tool".into(), self.tool.as_str().into());
        object.insert("event".into(), event.name.into());
        if self.stream {
            object.insert("mono_ms".into(), clock::millis(now.since_boot()).into());
            object.insert("seq".into(), self.seq.into());
        }
        object.extend(event.fields);
        object
    }

    /// Writes what a slow reader had left waiting, as far as it goes now.
    pub fn flush_backlog(&mut self) -> Result<(), OutputError> {
        while let Some(line) = self.backlog.front() {
            if !writable()? {
                break;
            }
            write_all(line)?;
            self.backlog.pop_front();
        }
        Ok(())
    }

    fn send(&mut self, line: Vec<u8>) -> Result<(), OutputError> {
        if !self.stream {
            return write_all(&line);
        }
        if self.backlog.len() == BACKLOG {
            self.backlog.pop_front();
        }
        self.backlog.push_back(line);
        self.flush_backlog()
    }
}

fn one_line(words: &str) -> String {
    // A name from the network must not move a terminal's cursor.
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a line of less than a page can be written without waiting for the reader.
fn writable() -> Result<bool, OutputError> {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(OutputError::Write(e.into())),
    }
    let ready = fds[0].revents().unwrap_or(PollFlags::empty());
    if ready.contains(PollFlags::POLLERR) && !ready.contains(PollFlags::POLLOUT) {
        return Err(OutputError::Closed);
    }
    Ok(!ready.is_empty())
}

fn write_all(mut bytes: &[u8]) -> Result<(), OutputError> {
    let stdout = io::stdout();
    while !bytes.is_empty() {
        match write(stdout.as_fd(), bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut fds, PollTimeout::NONE); // the write that follows tells what went wrong
            }
            Err(Errno::EPIPE) => return Err(OutputError::Closed),
            Err(e) => return Err(OutputError::Write(e.into())),
        }
    }
    Ok(())
}
