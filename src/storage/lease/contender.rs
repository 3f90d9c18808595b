//! Getting a lease: a decider without device or clock.
//!
//! It looks; when the lease is free (given up, or unchanged for a whole lease on its own clock) it writes its own record
//! at once, waits until nobody else's write that was decided before can still count, and looks again. Its own record
//! still there: the lease is won.
//!
//! Every time is taken on the safe side of what happened: a look happened after `next` asked for it and before `read`
//! brought it, a write likewise. So a process may be stopped anywhere, for any time.

use super::Holder;
use super::keeper::Tenure;
use super::record::{Image, Record, Sector};
use super::terms::{Terms, stretched};
use crate::clock::Instant;
use std::time::Duration;

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Read both blocks, then call [`Contender::read`].
    Read,
    /// Write the lease, then call [`Contender::wrote`]; do not begin after `not_after`.
    Write {
        /// What.
        record: Record,
        /// When it would be for nothing.
        not_after: Instant,
    },
    /// Nothing before then.
    Wait(Instant),
    /// Somebody else's data: never to be written to.
    Foreign(&'static str),
    /// It is ours.
    Won(Box<Tenure>),
}

/// What was seen, and since when it is the same.
#[derive(Debug)]
struct Watch {
    lease: Sector,
    /// When the look that first showed it was over.
    since: Instant,
}

#[derive(Debug)]
enum Phase {
    /// Looks again then.
    Idle { at: Instant },
    /// The look is under way since then.
    Looking { began: Instant },
    /// Decided to write, upon a look that began then.
    Free { checked: Instant, record: Record },
    /// The write is under way.
    Writing { checked: Instant, began: Instant, record: Record },
    /// Written. `since` is when the write began, `until` when to look.
    Settling { since: Instant, until: Instant, record: Record },
    /// The deciding look is under way.
    Confirming { since: Instant, record: Record },
    /// Foreign, or won.
    Over,
}

/// One that wants the lease.
#[derive(Debug)]
pub struct Contender {
    terms: Terms,
    /// Of the next attempt.
    nonce: u128,
    watch: Option<Watch>,
    /// The longest lease that was seen: of a garbled record it is not known.
    longest: Duration,
    /// The highest generation and counter that were seen, likewise.
    generation: u64,
    counter: u64,
    rival: Option<Holder>,
    renewed: bool,
    phase: Phase,
    foreign: Option<&'static str>,
    won: Option<Box<Tenure>>,
}

impl Contender {
    /// Begins to look at `now`. `nonce` is random; each further attempt adds one to it.
    pub fn new(terms: Terms, nonce: u128, now: Instant) -> Self {
        Self {
            longest: terms.lease,
            terms,
            nonce,
            watch: None,
            generation: 0,
            counter: 0,
            rival: None,
            renewed: false,
            phase: Phase::Idle { at: now },
            foreign: None,
            won: None,
        }
    }

    /// Who was last seen with the lease, if anybody.
    pub fn rival(&self) -> Option<&Holder> {
        self.rival.as_ref()
    }

    /// Whether that one was seen to write: it lives.
    pub fn renewed(&self) -> bool {
        self.renewed
    }

    /// Whether nothing of ours is under way or on the device that could still win.
    pub fn may_stop(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. } | Phase::Looking { .. } | Phase::Over)
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Instant) -> Step {
        if let Some(what) = self.foreign.take() {
            return Step::Foreign(what);
        }
        if let Some(tenure) = self.won.take() {
            return Step::Won(tenure);
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Idle { at } if at <= now => {
                self.phase = Phase::Looking { began: now };
                Step::Read
            }
            Phase::Free { checked, record } => {
                self.phase = Phase::Writing { checked, began: now, record: record.clone() };
                Step::Write { record, not_after: checked + self.terms.window() }
            }
            Phase::Settling { since, until, record } if until <= now => {
                self.phase = Phase::Confirming { since, record };
                Step::Read
            }
            other => {
                let until = match &other {
                    Phase::Idle { at } => *at,
                    Phase::Settling { until, .. } => *until,
                    _ => now + self.terms.poll(),
                };
                self.phase = other;
                Step::Wait(until)
            }
        }
    }

    /// A look is over; `None`: it failed.
    pub fn read(&mut self, now: Instant, image: Option<Image>) {
        match (std::mem::replace(&mut self.phase, Phase::Over), image) {
            (Phase::Looking { .. }, None) => self.phase = Phase::Idle { at: now + self.terms.retry() },
            (Phase::Looking { began }, Some(image)) => self.looked(began, now, image),
            (Phase::Confirming { since, record }, image) => self.confirmed(since, record, now, image),
            (other, _) => self.phase = other,
        }
    }

    /// A write is over, or failed.
    pub fn wrote(&mut self, now: Instant, done: bool) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Writing { checked, began, record } => {
                // Later than the window: somebody may have waited for us in vain and hold the lease. Our record may
                // have cost them that, but we are no second holder. After a failure nobody knows what stands there.
                let late = checked + self.terms.window() < now;
                self.phase = match done && !late {
                    true => Phase::Settling { since: began, until: now + self.terms.settle(), record },
                    false => self.begin_anew(now),
                };
            }
            other => self.phase = other,
        }
    }

    fn begin_anew(&mut self, now: Instant) -> Phase {
        self.watch = None;
        Phase::Idle { at: now + self.terms.retry() }
    }

    fn looked(&mut self, began: Instant, now: Instant, image: Image) {
        self.note_what_stands_there(&image);
        if let Sector::Foreign(what) = image.lease {
            self.foreign = Some(what);
            return;
        }
        let free = image.released() || self.stood_for_a_lease(began, &image.lease);
        if self.watch.as_ref().is_none_or(|w| w.lease != image.lease) {
            self.watch = Some(Watch { lease: image.lease, since: now });
        }
        self.phase = match free {
            true => Phase::Free { checked: began, record: self.claim() },
            false => Phase::Idle { at: now + self.terms.poll() },
        };
    }

    /// The last sight of it is the beginning of the look that is over now, the first the end of the look that found it:
    /// so the record stood there for that long at least.
    fn stood_for_a_lease(&self, began: Instant, lease: &Sector) -> bool {
        let announced = match lease {
            Sector::Record(record) => record.lease.max(self.terms.lease),
            _ => self.longest,
        };
        self.watch.as_ref().is_some_and(|w| w.lease == *lease && w.since + stretched(announced) <= began)
    }

    fn note_what_stands_there(&mut self, image: &Image) {
        if let Some(note) = &image.note {
            self.generation = self.generation.max(note.generation);
        }
        let Sector::Record(record) = &image.lease else { return };
        self.generation = self.generation.max(record.generation);
        self.counter = record.counter;
        self.longest = self.longest.max(record.lease);
        let changed = self.watch.as_ref().is_some_and(|w| w.lease != image.lease);
        self.renewed = !image.released() && (changed || self.renewed);
        self.rival = Some(Holder::of(record));
    }

    fn claim(&mut self) -> Record {
        let nonce = self.nonce;
        self.nonce = nonce.wrapping_add(1);
        Record {
            counter: self.counter.wrapping_add(1),
            generation: self.generation.saturating_add(1),
            nonce,
            lease: self.terms.lease,
            node: self.terms.node.clone(),
        }
    }

    fn confirmed(&mut self, since: Instant, record: Record, now: Instant, image: Option<Image>) {
        if since + self.terms.belief() <= now {
            self.phase = self.begin_anew(now);
            return;
        }
        let Some(image) = image else {
            self.phase = Phase::Settling { since, until: now + self.terms.retry(), record };
            return;
        };
        if image.lease == Sector::Record(record.clone()) {
            self.won = Some(Box::new(Tenure::new(self.terms.clone(), record, since)));
            return;
        }
        // Somebody was later than we were, and thereby first; or our write was lost.
        self.phase = self.begin_anew(now);
        if let Sector::Record(theirs) = &image.lease {
            self.renewed = !image.released();
            self.rival = Some(Holder::of(theirs));
        }
    }
}
