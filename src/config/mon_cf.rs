//! mon.cf: which services are checked how, and who is told when. Pure.
//!
//! The grammar is that of mon 1.3 and its manual page. A line that mon would pass over in silence, such as a service
//! behind a blank line that ended its watch, is an error here.

pub mod depend;
mod directives;
pub mod document;
pub mod period;
pub mod programs;
#[cfg(test)]
mod tests;
pub mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::text::Problems;
use super::{ConfigError, Parsed, trust};
use depend::{Expression, Name};
use period::Period;

/// The most failures that alertafter may count.
pub const MOST_FAILURES: u32 = 100_000;

/// A whole mon.cf.
#[derive(Clone, Debug, PartialEq)]
pub struct MonCf {
    /// What stands before all groups.
    pub settings: Settings,
    /// The services, in the order of the file.
    pub services: Vec<Service>,
    /// Directives that are accepted and do nothing.
    pub ignored: Vec<Ignored>,
}

impl MonCf {
    /// The service of this name.
    pub fn service(&self, name: &Name) -> Option<&Service> {
        self.services.iter().find(|s| s.group == name.group && s.name == name.service)
    }
}

/// What holds for all services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where alerts are looked for.
    pub alertdir: Vec<PathBuf>,
    /// Where monitors are looked for.
    pub mondir: Vec<PathBuf>,
    /// For monitors and alerts: MON_STATEDIR.
    pub statedir: PathBuf,
    /// For monitors and alerts: MON_LOGDIR.
    pub logdir: PathBuf,
    /// For monitors and alerts: MON_CFBASEDIR.
    pub cfbasedir: PathBuf,
    /// The most monitors at a time; 0 for no bound.
    pub maxprocs: u32,
    /// Whether startup alerts run after a reload, too.
    pub startupalerts_on_reset: bool,
}

/// A directive without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its name.
    pub directive: String,
    /// Its line.
    pub line: u32,
    /// Why it does nothing.
    pub reason: &'static str,
}

/// One service of one watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The watch that it stands in.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: u32,
    /// The hosts of its group.
    pub hosts: Vec<String>,
    /// Which of them are left out of the check.
    pub exclude_hosts: Vec<String>,
    /// The monitor and its arguments, and their line; none where it waits for traps.
    pub monitor: Option<(Vec<String>, u32)>,
    /// Whether hosts follow the arguments: `;;` at their end says no.
    pub with_hosts: bool,
    /// Whether the monitor runs without any host.
    pub allow_empty_group: bool,
    /// How often it is checked.
    pub interval: Duration,
    /// How often while it fails.
    pub failure_interval: Option<Duration>,
    /// Words for a person.
    pub description: Option<String>,
    /// Its own environment variables.
    pub env: BTreeMap<String, String>,
    /// When it is not checked.
    pub exclude_periods: Vec<Period>,
    /// No alert while this does not hold.
    pub alert_depend: Option<Expression>,
    /// No check while this does not hold.
    pub monitor_depend: Option<Expression>,
    /// Hosts that these say fail are none of its concern.
    pub host_depend: Vec<Name>,
    /// How long after a failure dependencies on it go on failing.
    pub dep_memory: Duration,
    /// Called at each result.
    pub redistribute: Option<Alert>,
    /// When who is told.
    pub periods: Vec<Block>,
}

impl Service {
    /// What is checked: the hosts of the group that are not excluded.
    pub fn checked_hosts(&self) -> impl Iterator<Item = &String> {
        self.hosts.iter().filter(|h| !self.exclude_hosts.contains(h))
    }

    /// Which one it is.
    pub fn full_name(&self) -> Name {
        Name { group: self.group.clone(), service: self.name.clone() }
    }

    /// Whether it is checked at all.
    pub fn is_checked(&self) -> bool {
        let hosts = !self.with_hosts || self.allow_empty_group || self.checked_hosts().next().is_some();
        self.monitor.is_some() && hosts
    }
}

/// A period section: alerts, and what holds them back.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its label, or its period as it was written.
    pub label: String,
    /// Its line.
    pub line: u32,
    /// When it holds.
    pub period: Period,
    /// Run at a failure.
    pub alerts: Vec<Alert>,
    /// Run when a failure is over.
    pub upalerts: Vec<Alert>,
    /// Run at the start.
    pub startupalerts: Vec<Alert>,
    /// No more often than this.
    pub alertevery: Option<Every>,
    /// Not before this.
    pub alertafter: Option<After>,
    /// The most alerts of one failure.
    pub numalerts: Option<u32>,
    /// Whether upalerts run though no alert did.
    pub no_comp_alerts: bool,
    /// Only after a failure of this length.
    pub upalertafter: Option<Duration>,
    /// The exit statuses that it is about.
    pub alertexitrange: Option<(i32, i32)>,
}

/// A program to be run, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its name and its own arguments; never empty.
    pub words: Vec<String>,
    /// Only for these exit statuses of the monitor.
    pub exit: Option<(i32, i32)>,
    /// Its line.
    pub line: u32,
}

/// alertevery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    /// The time in which no second alert runs.
    pub time: Duration,
    /// Unless this has changed.
    pub unless: Unless,
}

/// What overrides alertevery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unless {
    /// Another summary.
    Summary,
    /// Another word anywhere in the output.
    Detail,
    /// Nothing but a success.
    Success,
    /// Nothing at all.
    Never,
}

/// alertafter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// So many failures in a row.
    Times(u32),
    /// So many in such a time.
    Within(u32, Duration),
    /// A failure that lasts longer.
    Lasting(Duration),
}

/// Reads a mon.cf.
pub fn parse(file: &Path, text: &str) -> Parsed<MonCf> {
    let mut reader = directives::Reader::new(Problems::new(file));
    for (line, text) in logical_lines(text) {
        reader.line(line, text.trim());
    }
    reader.finish()
}

/// A mon.cf that nobody else could have written, whatever errors it has.
///
/// # Errors
/// It cannot be read, or others could have written it.
pub fn read(file: &Path) -> Result<Parsed<MonCf>, ConfigError> {
    Ok(parse(file, &String::from_utf8_lossy(&trust::read_trusted(file)?)))
}

/// Lines without comments, joined where a backslash ends them, each with the number of its first part.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, line) in super::text::lines(text) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let (first, mut joined) = open.take().map_or((number, line.to_owned()), |(first, mut before)| {
            before.push_str(line.trim_start());
            (first, before)
        });
        if let Some(before) = joined.trim_end().strip_suffix('\\') {
            joined = before.to_owned();
            open = Some((first, joined));
        } else {
            lines.push((first, joined));
        }
    }
    lines.extend(open);
    lines
}
