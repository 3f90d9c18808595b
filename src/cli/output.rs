//! stdout: one event a line, as JSON, as chosen fields or in words, written whole or not at all.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;
use serde_json::{Map, Value};

use super::backlog::Backlog;
use super::event::Event;
use super::fields::Fields;
use super::vocabulary;
use crate::clock::{self, Instant};

/// The most bytes of a stream that are written at once: what a pipe takes without waiting if it takes any (`PIPE_BUF`).
const PIECE: usize = 4096;
/// A disk that was full is tried again after so long.
const FULL: Duration = Duration::from_secs(1);
/// How long the end of a stream waits for a reader that has not read all.
const LAST: Duration = Duration::from_secs(1);

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
    /// Whether lines wait for a slow reader here, and not the command.
    queued: bool,
    /// Whether a full disk is waited for.
    lasting: bool,
    /// Whether what nobody has taken in the end is a failure.
    owing: bool,
    seq: u64,
    backlog: Backlog,
    /// When stdout is tried again, after it took nothing for want of room.
    full: Option<Instant>,
    /// The time that events carry, where it is not the present.
    time: Option<(String, Instant)>,
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
            queued: false,
            lasting: false,
            owing: false,
            seq: 0,
            backlog: Backlog::default(),
            full: None,
            time: None,
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
        (self.stream, self.queued) = (true, true);
    }

    /// From now on a reader that does not read holds nothing up; what it has not read is written at the end, while it reads.
    pub fn queue(&mut self) {
        self.queued = true;
    }

    /// As [`Output::make_stream`]; and a full disk ends nothing: the events wait for room. For whoever must not fall silent on
    /// the network; what takes an address or judges for somebody does so only if it can tell.
    pub fn make_lasting_stream(&mut self) {
        self.make_stream();
        self.lasting = true;
    }

    /// What stdout has not taken in the end makes the command fail: for whoever has nothing to do but to tell.
    pub fn owe_all(&mut self) {
        self.owing = true;
    }

    /// Prints in the name of another tool, such as a script; with `seq` as a part of its stream.
    pub fn speak_for(&mut self, tool: &str, seq: Option<u64>) {
        self.tool = tool.to_owned();
        if let Some(seq) = seq {
            self.stream = true;
            self.seq = seq;
        }
    }

    /// Events carry this time from now on, and not that of their printing: whoever decides on events alone says the same
    /// whenever it is asked.
    pub fn set_time(&mut self, at: String, now: Instant) {
        self.time = Some((at, now));
    }

    /// One event as it would be printed as JSON now.
    pub fn json(&self, event: Event) -> String {
        Value::Object(self.object(event, Instant::now())).to_string()
    }

    /// Counts an event that was printed elsewhere, as [`Output::json`] wrote it.
    pub fn count(&mut self) {
        self.seq = self.seq.wrapping_add(1);
    }

    /// Keeps every line back until [`Output::finish`], which prints a summary first, as mon expects of its monitors.
    pub fn hold_back(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Remembers a target that did not pass, as it was given, for that summary.
    pub fn note_failed(&mut self, target: &str) {
        self.failed.push(target.to_owned());
    }

    /// Puts these words on the first line, whatever the format: what a monitoring system shows of a check.
    pub fn summarize(&mut self, words: &str) {
        self.hold_back();
        self.note_failed(words);
    }

    /// Prints the summary and what was held back, if anything was.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let Some(held) = self.held.take() else { return Ok(()) };
        let summary = one_line(&self.failed.join(" "));
        self.send(format!("{summary}\n").into_bytes(), false)?;
        held.into_iter().try_for_each(|line| self.send(line, false))
    }

    /// Prints one event.
    pub fn emit(&mut self, event: Event) -> Result<(), OutputError> {
        let now = Instant::now();
        if cfg!(debug_assertions) {
            let problems = vocabulary::problems(&self.tool, &event);
            assert!(problems.is_empty(), "{} is not the event of ha-events(7): {problems:?}", event.name);
        }
        let traffic = self.queued && vocabulary::is_traffic(&event.name);
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
            None => self.send(line, traffic),
        }
    }

    fn object(&self, event: Event, now: Instant) -> Map<String, Value> {
        let mut object = Map::new();
        let (at, now) = self.time.clone().unwrap_or_else(|| (clock::wall(), now));
        object.insert("at".into(), at.into());
        object.insert("tool".into(), self.tool.as_str().into());
        object.insert("event".into(), event.name.into());
        if self.stream {
            object.insert("mono_ms".into(), clock::millis(now.since_boot()).into());
            object.insert("seq".into(), self.seq.into());
        }
        object.extend(event.fields);
        object
    }

    /// What a wait has to look for on stdout, beside its end: room for what a slow reader had left waiting.
    pub fn wanted(&self) -> PollFlags {
        if self.backlog.is_empty() || self.full.is_some() { PollFlags::empty() } else { PollFlags::POLLOUT }
    }

    /// Writes what a slow reader had left waiting, as far as it goes now.
    pub fn flush_backlog(&mut self) -> Result<(), OutputError> {
        while !self.backlog.is_empty() {
            let now = Instant::now();
            if self.full.is_some_and(|again| now < again) || !writable()? {
                break;
            }
            self.write_piece(now, |piece| write(io::stdout(), piece))?;
        }
        Ok(())
    }

    /// Writes one piece of the backlog.
    fn write_piece(
        &mut self,
        now: Instant,
        write: impl FnOnce(&[u8]) -> Result<usize, Errno>,
    ) -> Result<(), OutputError> {
        let Some(rest) = self.backlog.front() else { return Ok(()) };
        match write(&rest[..rest.len().min(PIECE)]) {
            Ok(n) => {
                self.full = None;
                self.backlog.wrote(n);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EPIPE) => return Err(OutputError::Closed),
            Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EIO)) if self.lasting => {
                if self.full.is_none() {
                    let words =
                        format!("{}: stdout takes nothing: {}; events wait, it goes on", self.tool, errno.desc());
                    super::eprint_line(&words);
                }
                self.full = Some(now + FULL);
            }
            Err(e) => return Err(OutputError::Write(e.into())),
        }
        Ok(())
    }

    /// The end of a stream: gives its reader a moment for what it has not read, and a full disk one more chance. False where
    /// events are lost all the same, and the command owes them.
    pub fn part(&mut self) -> bool {
        let until = Instant::now() + LAST;
        self.full = self.full.map(|_| Instant::at(Duration::ZERO));
        while !self.backlog.is_empty() {
            if self.flush_backlog().is_err() {
                return true; // nobody is there
            }
            let left = until.since(Instant::now());
            if left.is_zero() || self.full.is_some() {
                break;
            }
            let stdout = io::stdout();
            let mut fds = [PollFd::new(stdout.as_fd(), self.wanted())];
            let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX).saturating_add(1);
            if !self.backlog.is_empty() {
                let _ = poll(&mut fds, PollTimeout::from(millis)); // the look at the clock follows
            }
        }
        if !self.backlog.is_empty() {
            let count = self.backlog.len();
            super::eprint_line(&format!("{}: {count} events at the end were not taken by stdout", self.tool));
        }
        self.backlog.is_empty() || !self.owing
    }

    fn send(&mut self, line: Vec<u8>, traffic: bool) -> Result<(), OutputError> {
        if !self.queued {
            return write_all(&line);
        }
        self.backlog.push(line, traffic);
        self.flush_backlog()
    }
}

fn one_line(words: &str) -> String {
    // A name from the network must not move a terminal's cursor.
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a piece can be written without waiting for the reader.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_keeps_the_lines_and_their_order() {
        let at = |ms| Instant::at(Duration::from_millis(ms));
        let mut output = Output::new("test", Format::Json);
        output.make_lasting_stream();
        output.backlog.push(vec![b'x'; PIECE + 10], true);
        output.backlog.push(b"dead\n".to_vec(), false);
        assert_eq!(output.wanted(), PollFlags::POLLOUT);
        let mut took = Vec::new();
        let mut write = |output: &mut Output, now, takes: Result<usize, Errno>| {
            output.write_piece(now, |piece| {
                assert!(piece.len() <= PIECE);
                let n = takes?.min(piece.len());
                took.extend_from_slice(&piece[..n]);
                Ok(n)
            })
        };
        write(&mut output, at(0), Ok(PIECE - 1)).unwrap();
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO] {
            write(&mut output, at(1), Err(errno)).unwrap();
            assert_eq!((output.full, output.wanted()), (Some(at(1001)), PollFlags::empty()), "no busy loop");
        }
        write(&mut output, at(1001), Ok(3)).unwrap();
        assert_eq!(output.full, None);
        while !output.backlog.is_empty() {
            write(&mut output, at(1002), Ok(PIECE)).unwrap();
        }
        let closed = write(&mut output, at(1003), Err(Errno::EPIPE));
        assert!(closed.is_ok(), "nothing to write, nothing is asked");
        output.backlog.push(b"x\n".to_vec(), false);
        assert!(matches!(write(&mut output, at(1004), Err(Errno::EPIPE)), Err(OutputError::Closed)));
        assert!(matches!(write(&mut output, at(1004), Err(Errno::EBADF)), Err(OutputError::Write(_))));
        assert_eq!(took.len(), PIECE + 15);
        assert!(took.ends_with(b"xdead\n"));
    }
}
