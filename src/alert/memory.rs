//! What is known of a service: now, and across a restart.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::mon_cf::{Block, MOST_FAILURES};

/// What is thought of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No check has come to its end.
    #[default]
    Untested,
    /// The last one went well.
    Ok,
    /// It did not.
    Fail,
}

impl Status {
    /// As MON_OPSTATUS has it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Fail => 0,
            Self::Ok => 1,
            Self::Untested => 7,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Untested => "untested",
            Self::Ok => "ok",
            Self::Fail => "fail",
        })
    }
}

/// How much of what is remembered has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// None of it.
    #[default]
    Nothing,
    /// When a service last worked, and what it said.
    Success,
    /// What is counted of a failure.
    Counted,
    /// What a restart without it would tell again, or not at all.
    Decided,
}

/// What is known of a service; times in milliseconds on the timeline of the decider.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub status: Status,
    pub failures: u32,
    pub first_failure: Option<i64>,
    pub last_failure: Option<i64>,
    pub last_success: Option<i64>,
    /// When it last stopped failing.
    pub recovered: Option<i64>,
    /// The last failures in a row.
    pub recent: VecDeque<i64>,
    pub summary: String,
    pub failure_summary: String,
    pub output: Option<String>,
    pub failure_output: Option<String>,
    pub periods: Vec<Told>,
    /// Why the last check told nothing.
    pub untold: Option<String>,
}

/// What a period section has told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub last_alert: Option<i64>,
    pub sent: u32,
    pub withheld: Option<&'static str>,
}

/// The same for a file; times in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    status: Status,
    failures: u32,
    first_failure: Option<i64>,
    last_failure: Option<i64>,
    last_success: Option<i64>,
    recovered: Option<i64>,
    recent: Vec<i64>,
    summary: String,
    failure_summary: String,
    output: Option<String>,
    failure_output: Option<String>,
    periods: BTreeMap<String, (Option<i64>, u32)>,
}

impl Memory {
    pub fn new(periods: usize) -> Self {
        Self { periods: vec![Told::default(); periods], ..Self::default() }
    }

    pub fn remember(&self, ahead: i64, blocks: &[Block]) -> Remembered {
        let wall = |at: i64| at.saturating_add(ahead);
        let told = |(t, b): (&Told, &Block)| (b.label.clone(), (t.last_alert.map(wall), t.sent));
        Remembered {
            status: self.status,
            failures: self.failures,
            first_failure: self.first_failure.map(wall),
            last_failure: self.last_failure.map(wall),
            last_success: self.last_success.map(wall),
            recovered: self.recovered.map(wall),
            recent: self.recent.iter().copied().map(wall).collect(),
            summary: self.summary.clone(),
            failure_summary: self.failure_summary.clone(),
            output: self.output.clone(),
            failure_output: self.failure_output.clone(),
            periods: self.periods.iter().zip(blocks).map(told).collect(),
        }
    }

    /// The timeline begins at the wall clock's time: what was remembered is on it already.
    pub fn recall(&mut self, from: Remembered, blocks: &[Block]) {
        // The last ones are what alertafter looks at.
        let old = from.recent.len().saturating_sub(MOST_FAILURES as usize);
        let mut told = from.periods;
        let periods = blocks.iter().map(|block| {
            let (last_alert, sent) = told.remove(&block.label).unwrap_or_default();
            Told { last_alert, sent, withheld: None }
        });
        *self = Self {
            status: from.status,
            failures: from.failures,
            first_failure: from.first_failure,
            last_failure: from.last_failure,
            last_success: from.last_success,
            recovered: from.recovered,
            recent: from.recent.into_iter().skip(old).collect(),
            summary: from.summary,
            failure_summary: from.failure_summary,
            output: from.output,
            failure_output: from.failure_output,
            periods: periods.collect(),
            untold: None,
        };
    }
}
