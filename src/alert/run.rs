//! The edge of mon-decide: lines, the time zone, and the file of what is remembered.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::memory::{Change, Remembered};
use super::{Checked, Decider, Heard, Moment};
use crate::args::mon_decide::MonDecide;
use crate::cli::event::Event;
use crate::cli::exit::{Answer, Fault};
use crate::cli::feeds::{self, Feed};
use crate::cli::output::{Format, Output};
use crate::cli::wait::Waiter;
use crate::cli::{Error, Failure, Tool, eprint_line, files};
use crate::clock::Instant;
use crate::config::mon_cf::period::Local;
use crate::config::mon_cf::{self, MonCf, programs};

/// What is counted is written no more often than this.
const PAUSE: Duration = Duration::from_secs(1);
/// When a service last worked is written no more often than this: without anything else it only moves on.
const LEISURE: Duration = Duration::from_secs(60);
/// The largest file of what is remembered, in bytes: 10,000 services with all that each may have said.
const LARGEST: u64 = 1 << 30;

/// Decides until nothing more comes.
///
/// # Errors
/// A mon.cf with errors, a place that cannot be read, a reader that is gone.
pub fn run(args: MonDecide, output: &mut Output) -> Result<Answer, Error> {
    let content = mon_cf::read(&args.file)?.usable()?.content;
    let programs = paths(&content);
    let mut decider = Decider::new(content, programs);
    let mut file = args.state.map(StateFile::at);
    if let Some(file) = &mut file {
        file.recall(&mut decider)?;
        file.begin(&decider)?;
    }
    let mut feeds = args.inputs.iter().map(|path| Feed::open(path)).collect::<Result<Vec<_>, _>>()?;
    output.make_lasting_stream();
    output.owe_all();
    let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
    while feeds.iter().any(|feed| !feed.exhausted()) {
        feeds::wait(&waiter, &mut feeds, output, file.as_ref().and_then(|f| f.due))?;
        let read = |line: Vec<u8>| understand(&line, args.utc_offset);
        feeds::drain(MonDecide::NAME, &mut feeds, read, |heard| {
            let Some((heard, moment, at)) = heard else { return Ok(()) };
            let clock =
                moment.mono.map_or_else(Instant::now, |ms| Instant::at(Duration::from_millis(ms.unsigned_abs())));
            output.set_time(at, clock);
            decider.take(heard, &moment).into_iter().try_for_each(|d| output.emit(d.event()))
        })?;
        // After the alerts: one that is told twice is better than one that is told never.
        if let Some(file) = &mut file {
            let now = Instant::now();
            file.changed(decider.changed(), now);
            file.keep(&decider, now);
        }
        output.flush_backlog()?;
    }
    if let Some(file) = &mut file {
        file.end(&decider);
    }
    feeds.iter().try_for_each(Feed::ended_well)?;
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
    /// When it is to be written; none where it says all.
    due: Option<Instant>,
    written: Option<Instant>,
    failed: bool,
}

impl StateFile {
    fn at(path: PathBuf) -> Self {
        Self { path, due: None, written: None, failed: false }
    }

    /// Reads it. One that is not there yet is empty, and a line that is none is passed over: an alert too many is better than
    /// no watch.
    fn recall(&self, decider: &mut Decider) -> Result<(), Failure> {
        let text = match files::read(&self.path, LARGEST) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
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

    /// Writes what was read: a place where nothing can ever be kept comes out now. A disk that takes nothing just now is told
    /// of, and no reason not to watch.
    fn begin(&mut self, decider: &Decider) -> Result<(), Failure> {
        let Err(error) = self.write(decider) else { return Ok(()) };
        let (fault, code) = match error.kind() {
            ErrorKind::PermissionDenied => (Fault::Permission, "permission-denied"),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                (Fault::Unavailable, "state-unwritable")
            }
            _ => {
                self.tell(&error);
                return Ok(());
            }
        };
        let message = format!("cannot write {}: {error}", self.path.display());
        Err(Failure::new(fault, code, message).hint("name a file in a folder that this user may write: --state"))
    }

    /// So much has changed.
    fn changed(&mut self, change: Change, now: Instant) {
        let pause = match change {
            Change::Nothing => return,
            Change::Success => LEISURE,
            Change::Counted => PAUSE,
            Change::Decided => Duration::ZERO,
        };
        let due = self.written.map_or(now, |then| (then + pause).max(now));
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Writes it, if it is time.
    fn keep(&mut self, decider: &Decider, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        (self.due, self.written) = (None, Some(now));
        match self.write(decider) {
            Ok(()) => self.failed = false,
            Err(error) => self.tell(&error),
        }
    }

    /// Writes what has waited for its time.
    fn end(&mut self, decider: &Decider) {
        if let Some(due) = self.due {
            self.keep(decider, due);
        }
    }

    fn write(&self, decider: &Decider) -> std::io::Result<()> {
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
        files::replace(&self.path, &text, 0o600)
    }

    /// Once, until it is written again.
    fn tell(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.failed, true) {
            eprint_line(&format!("{}: {}: {error}; it is not kept", MonDecide::NAME, self.path.display()));
        }
    }
}

fn recalled(line: &str) -> Option<(String, String, Remembered)> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let word = |name: &str| object.get(name)?.as_str().map(str::to_owned);
    let remembered = serde_json::from_value(object.get("remembered")?.clone()).ok()?;
    Some((word("group")?, word("service")?, remembered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_kept_soon_and_what_only_moves_on_at_leisure() {
        let at = |s: u64| Instant::at(Duration::from_secs(s));
        let file = |written: u64| StateFile { written: Some(at(written)), ..StateFile::at(PathBuf::new()) };
        let due = |written, changes: &[(Change, u64)]| {
            let mut file = file(written);
            changes.iter().for_each(|(change, now)| file.changed(*change, at(*now)));
            file.due
        };
        assert_eq!(due(100, &[(Change::Nothing, 101)]), None, "it says all");
        assert_eq!(due(100, &[(Change::Success, 101), (Change::Success, 102)]), Some(at(160)));
        assert_eq!(due(100, &[(Change::Success, 100), (Change::Counted, 100)]), Some(at(101)));
        assert_eq!(due(100, &[(Change::Counted, 100), (Change::Success, 100)]), Some(at(101)));
        assert_eq!(due(100, &[(Change::Success, 500)]), Some(at(500)));
        assert_eq!(due(100, &[(Change::Counted, 100), (Change::Decided, 100)]), Some(at(100)), "at once");
    }
}
