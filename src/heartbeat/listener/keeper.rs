//! When how far the others had counted goes to disk: numbers from time to time, generations at once.

use std::collections::BTreeMap;

use crate::cli::Failure;
use crate::clock::Instant;
use crate::heartbeat::membership::window::Mark;
use crate::heartbeat::scribe::{PERIOD, Scribe};
use crate::heartbeat::state::StateDir;

type Marks = BTreeMap<String, Mark>;

/// Keeps the marks of the others on disk; a slow disk keeps nobody from judging. The last marks are on disk when this is
/// dropped, unless the disk hangs.
#[derive(Debug)]
pub struct Keeper {
    scribe: Scribe<Marks>,
    /// What the scribe was given last: it keeps that sooner or later.
    given: Marks,
    at: Instant,
}

impl Keeper {
    /// A keeper of a state that says `kept` now.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(state: StateDir, kept: Marks, now: Instant) -> Result<Self, Failure> {
        let name = format!("hb-listen: the last numbers of the others are not in {}", state.path().display());
        let scribe = Scribe::new(name, move |marks| state.keep(marks))?;
        Ok(Self { scribe, given: kept, at: now })
    }

    /// Whether it is time to hand over the marks.
    pub fn due(&self, now: Instant) -> bool {
        now.since(self.at) >= PERIOD
    }

    /// Takes the marks. Returns at once.
    pub fn keep(&mut self, marks: Marks, now: Instant) {
        self.at = now;
        if marks != self.given {
            self.given.clone_from(&marks);
            self.scribe.keep(marks);
        }
    }

    /// What went wrong since the last time this was asked, which has to be often: it is also what tries again.
    pub fn complaint(&mut self, now: Instant) -> Option<Failure> {
        self.scribe.look(now)
    }
}
