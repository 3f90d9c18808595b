//! The edge of mon-decide: lines, the time zone, and the file of what is remembered.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use nix::poll::PollFlags;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::memory::Remembered;
use super::{Checked, Decider, Decision, Heard, Moment};
use crate::args::mon_decide::MonDecide;
use crate::cli::event::Event;
use crate::cli::exit::Answer;
use crate::cli::output::{Format, Output, OutputError};
use crate::cli::wait::{Waiter, stdout_gone};
use crate::cli::{Error, Failure, Tool, eprint_line};
use crate::clock::Instant;
use crate::config::mon_cf::period::Local;
use crate::config::mon_cf::{self, MonCf, programs};
use crate::node::feeds::Feed;
use crate::node::status::replace;

/// What is remembered is written no more often, but for alerts.
const PAUSE: Duration = Duration::from_secs(1);

/// Decides until nothing more comes.
///
/// # Errors
/// A mon.cf with errors, a place that cannot be read, a reader that is gone.
pub fn run(args: MonDecide, output: &mut Output) -> Result<Answer, Error> {
    let content = mon_cf::read(&args.file)?.usable()?.content;
    let programs = paths(&content);
    let mut decider = Decider::new(content, programs);
    let mut file = args.state.map(StateFile::at);
    if let Some(file) = &file {
        file.recall(&mut decider)?;
    }
    let mut feeds = args.inputs.iter().map(|path| Feed::open(path)).collect::<Result<Vec<_>, _>>()?;
    output.make_lasting_stream();
    let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
    while feeds.iter().any(|feed| !feed.exhausted()) {
        wait(&waiter, &mut feeds, output, file.as_ref().and_then(StateFile::due))?;
        for feed in &mut feeds {
            while let Some(line) = feed.next_line() {
                let heard = line.and_then(|line: Vec<u8>| understand(&line, args.utc_offset));
                let (heard, moment, at) = match heard {
                    Ok(Some(heard)) => heard,
                    Ok(None) => continue,
                    Err(what) => {
                        // Half a line is a part that died, and no reason to lose the rest.
                        eprint_line(&format!("{}: {}: {what}", MonDecide::NAME, feed.name()));
                        continue;
                    }
                };
                let clock =
                    moment.mono.map_or_else(Instant::now, |ms| Instant::at(Duration::from_millis(ms.unsigned_abs())));
                output.set_time(at, clock);
                let decisions = decider.take(heard, &moment);
                if let Some(file) = &mut file {
                    file.changed(decisions.iter().any(|d| matches!(d, Decision::Run(_))));
                }
                decisions.into_iter().try_for_each(|d| output.emit(d.event()))?;
            }
        }
        // After the alerts: one that is told twice is better than one that is told never.
        if let Some(file) = &mut file {
            file.keep(&decider, Instant::now());
        }
        output.flush_backlog()?;
    }
    if let Some(file) = &mut file {
        file.changed(true);
        file.keep(&decider, Instant::now());
    }
    Ok(Answer::Yes)
}

/// Where each alert is. One that is missing now is run by its name, and its failure is told then.
fn paths(content: &MonCf) -> HashMap<String, String> {
    let blocks = content.services.iter().flat_map(|s| &s.periods);
    let alerts = blocks.flat_map(|p| p.alerts.iter().chain(&p.upalerts).chain(&p.startupalerts));
    let all = alerts.chain(content.services.iter().filter_map(|s| s.redistribute.as_ref()));
    let found = |name: &String| {
        let path = programs::find(&content.settings.alertdir, name)?;
        Some((name.clone(), path.display().to_string()))
    };
    all.filter_map(|a| found(&a.words[0])).collect()
}

fn wait(waiter: &Waiter, feeds: &mut [Feed], output: &Output, due: Option<Instant>) -> Result<(), Error> {
    let stdout = io::stdout();
    let mut fds: Vec<(BorrowedFd, PollFlags)> = vec![(stdout.as_fd(), output.wanted())];
    let open: Vec<usize> = (0..feeds.len()).filter(|n| feeds[*n].fd().is_some()).collect();
    fds.extend(feeds.iter().filter_map(Feed::fd).map(|fd| (fd, PollFlags::POLLIN)));
    let ready = waiter.wait(&fds, due).map_err(|e| Failure::io("cannot wait", &e))?;
    if stdout_gone(ready[0]) {
        return Err(OutputError::Closed.into());
    }
    for (n, flags) in open.into_iter().zip(&ready[1..]) {
        if !flags.is_empty() {
            feeds[n].fill();
        }
    }
    Ok(())
}

/// What of a line matters.
#[derive(Debug, Deserialize)]
struct Line {
    at: Option<String>,
    event: Option<String>,
    tool: Option<String>,
    mono_ms: Option<f64>,
    target: Option<String>,
    up: Option<bool>,
    reason: Option<String>,
    cause: Option<String>,
    status: Option<i32>,
    summary: Option<String>,
    detail: Option<String>,
}

/// What a line says, and when; nothing where it is of no concern.
fn understand(line: &[u8], offset: Option<i32>) -> Result<Option<(Heard, Moment, String)>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).map_err(|e| format!("no event: {e}"))?;
    let heard = match (line.tool.as_deref(), line.event.as_deref()) {
        (Some("watch-services"), Some("started")) => Heard::Started { reload: line.reason.as_deref() != Some("start") },
        (_, Some("probe")) => Heard::Result(Checked {
            target: line.target.ok_or("a probe without target")?,
            up: line.up,
            reason: line.reason.unwrap_or_default(),
            cause: line.cause.unwrap_or_default(),
            status: line.status,
            summary: line.summary.unwrap_or_default(),
            detail: line.detail.unwrap_or_default(),
        }),
        _ => return Ok(None),
    };
    let at = line.at.ok_or("an event without its time")?;
    let wall = humantime::parse_rfc3339_weak(&at).map_err(|e| format!("at is {at}: {e}"))?;
    let since = wall.duration_since(UNIX_EPOCH).map_err(|_| format!("at is {at}: before 1970"))?;
    let wall = i64::try_from(since.as_millis()).map_err(|_| format!("at is {at}"))?;
    let unix = wall.div_euclid(1000);
    let local = Local::at(unix, offset.unwrap_or_else(|| zone(unix)));
    // Anything else is no clock of ours.
    let mono = line.mono_ms.filter(|ms| (0.0..1e15).contains(ms)).map(|ms| ms as i64);
    Ok(Some((heard, Moment { wall, mono, local }, at)))
}

/// How far the local clock is ahead of UTC at that time.
fn zone(unix: i64) -> i32 {
    let mut local = std::mem::MaybeUninit::<nix::libc::tm>::zeroed();
    // SAFETY: no crate in use asks the time zone. Both pointers are to values of ours that outlive the call; zeros are a
    // valid tm, whose offset of 0 stands where the call fails.
    let local = unsafe {
        nix::libc::localtime_r(&raw const unix, local.as_mut_ptr());
        local.assume_init()
    };
    i32::try_from(local.tm_gmtoff).unwrap_or(0)
}

/// The file of what is remembered.
struct StateFile {
    path: PathBuf,
    changed: bool,
    at_once: bool,
    written: Option<Instant>,
    failed: bool,
}

impl StateFile {
    fn at(path: PathBuf) -> Self {
        Self { path, changed: false, at_once: false, written: None, failed: false }
    }

    /// Reads it. One that is not there yet is empty, and a line that is none is passed over: an alert too many is better than
    /// no watch.
    fn recall(&self, decider: &mut Decider) -> Result<(), Failure> {
        let text = match fs::read(&self.path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Failure::at(&self.path, &e)),
        };
        for (n, line) in text.lines().enumerate() {
            match recalled(line) {
                Some((group, service, remembered)) => decider.recall(&group, &service, remembered),
                None => {
                    let words =
                        format!("{}: {}:{}: nothing that was remembered", MonDecide::NAME, self.path.display(), n + 1);
                    eprint_line(&words);
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, at_once: bool) {
        self.changed = true;
        self.at_once |= at_once;
    }

    fn due(&self) -> Option<Instant> {
        self.changed.then(|| self.written.map_or_else(Instant::now, |then| then + PAUSE))
    }

    fn keep(&mut self, decider: &Decider, now: Instant) {
        if !self.at_once && self.due().is_none_or(|due| due > now) {
            return;
        }
        (self.changed, self.at_once, self.written) = (false, false, Some(now));
        // No stream: its lines have no number.
        let output = Output::new(MonDecide::NAME, Format::Json);
        let mut text = String::new();
        for (name, remembered) in decider.remember() {
            let value = serde_json::to_value(&remembered).unwrap_or(Value::Null);
            let event = Event::new("remembered", "").with("group", name.group).with("service", name.service);
            text.push_str(&output.json(event.with("remembered", value)));
            text.push('\n');
        }
        // Outputs of monitors are nobody else's.
        match replace(&self.path, &text, 0o600) {
            Ok(()) => self.failed = false,
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    eprint_line(&format!("{}: {}: {error}; it is not kept", MonDecide::NAME, self.path.display()));
                }
            }
        }
    }
}

fn recalled(line: &str) -> Option<(String, String, Remembered)> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let word = |name: &str| object.get(name)?.as_str().map(str::to_owned);
    let remembered = serde_json::from_value(object.get("remembered")?.clone()).ok()?;
    Some((word("group")?, word("service")?, remembered))
}
