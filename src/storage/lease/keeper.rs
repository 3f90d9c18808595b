//! Keeping a lease: a decider without device or clock.
//!
//! Every so often it looks, writes its record with the next counter, and looks again. Belief lasts from the *beginning*
//! of the last write that was read back, for the lease less the margin, and is only ever prolonged while it lasts:
//! however long the process or the device stopped in between, what was done after the end of belief counts for nothing.

use super::record::{Image, Record, Sector};
use super::terms::Terms;
use crate::clock::Instant;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read both blocks, then call [`Tenure::read`].
    Read,
    /// Write the lease, then call [`Tenure::wrote`]; do not begin after `not_after`.
    Write {
        /// What.
        record: Record,
        /// When it would be for nothing.
        not_after: Instant,
    },
    /// Nothing before then.
    Wait(Instant),
    /// The lease was renewed. The watchdog may be petted until then, later no more: it would bite too late.
    Renewed {
        /// The last moment to pet it.
        pet_by: Instant,
    },
    /// A renewal failed; it is tried again.
    Trouble(&'static str),
    /// It is over. Said once.
    Lost(String),
}

#[derive(Debug)]
enum Phase {
    Idle { at: Instant },
    Looking,
    Ours,
    Writing { began: Instant, record: Record },
    Written { began: Instant, record: Record },
    Confirming { began: Instant, record: Record },
    Over,
}

/// Holding a lease.
#[derive(Debug)]
pub struct Tenure {
    terms: Terms,
    /// As it was last read back.
    verified: Record,
    /// When the write of that began.
    since: Instant,
    /// The counter of the last write, verified or not.
    attempted: u64,
    /// A write may have landed after the end of belief, on somebody else's record: then the nonce must not be given up.
    strayed: bool,
    /// Somebody has acquired it after us.
    taken: bool,
    phase: Phase,
    told: Option<Step>,
}

impl Tenure {
    /// The lease was won with `record`, the write of which began at `since`.
    pub(super) fn new(terms: Terms, record: Record, since: Instant) -> Self {
        let attempted = record.counter;
        let at = since + terms.renew_every();
        Self {
            terms,
            verified: record,
            since,
            attempted,
            strayed: false,
            taken: false,
            phase: Phase::Idle { at },
            told: None,
        }
    }

    /// When belief ends.
    pub fn held_until(&self) -> Instant {
        match self.phase {
            Phase::Over => Instant::at(std::time::Duration::ZERO),
            _ => self.since + self.terms.belief(),
        }
    }

    /// Until when nobody else can have it, though we do not believe any more: for tests and for the watchdog.
    pub fn expires(&self) -> Instant {
        self.since + self.terms.lease
    }

    /// Whether somebody else may have it by now: its time is over, or a later holder was seen. Nothing may be written any
    /// more then to what it protects. Somebody who wrote over it without coming later is not meant.
    pub fn over(&self, now: Instant) -> bool {
        self.taken || self.expires() <= now
    }

    /// How many times the lease has been acquired, this time included.
    pub fn generation(&self) -> u64 {
        self.verified.generation
    }

    /// Renews at once.
    pub fn hurry(&mut self, now: Instant) {
        if let Phase::Idle { at } = &mut self.phase {
            *at = now;
        }
    }

    /// What to do at `now`. While input or output is under way the answer is to wait.
    pub fn next(&mut self, now: Instant) -> Step {
        if let Some(step) = self.told.take() {
            return step;
        }
        if matches!(self.phase, Phase::Over) {
            return Step::Wait(now + self.terms.lease);
        }
        let end = self.held_until();
        if end <= now {
            self.lose("it could not be renewed in time".to_owned());
            return self.next(now);
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Idle { at } if at <= now => {
                self.phase = Phase::Looking;
                Step::Read
            }
            Phase::Ours => {
                self.attempted = self.attempted.wrapping_add(1);
                let record = Record { counter: self.attempted, ..self.verified.clone() };
                self.phase = Phase::Writing { began: now, record: record.clone() };
                Step::Write { record, not_after: end }
            }
            Phase::Written { began, record } => {
                self.phase = Phase::Confirming { began, record };
                Step::Read
            }
            other => {
                let until = if let Phase::Idle { at } = &other { *at } else { end };
                self.phase = other;
                Step::Wait(until.min(end))
            }
        }
    }

    /// A look is over; `None`: it failed.
    pub fn read(&mut self, now: Instant, image: Option<Image>) {
        if self.held_until() <= now {
            return; // too late for whatever it shows; `next` says so
        }
        match (std::mem::replace(&mut self.phase, Phase::Over), image) {
            (Phase::Looking | Phase::Confirming { .. }, None) => self.again(now, "the lease could not be read"),
            (Phase::Looking, Some(image)) => match self.still_ours(&image.lease) {
                Ok(()) => self.phase = Phase::Ours,
                Err(cause) => self.lose(cause),
            },
            (Phase::Confirming { began, record }, Some(image)) => match self.still_ours(&image.lease) {
                Ok(()) if image.lease == Sector::Record(record.clone()) => {
                    self.verified = record;
                    self.since = began;
                    self.phase = Phase::Idle { at: began + self.terms.renew_every() };
                    let pet_by = Instant::at(self.expires().since_boot().saturating_sub(self.terms.watchdog_timeout()));
                    self.told = Some(Step::Renewed { pet_by });
                }
                Ok(()) => self.again(now, "what was written is not what can be read"),
                Err(cause) => self.lose(cause),
            },
            (other, _) => self.phase = other,
        }
    }

    /// A write is over, or failed.
    pub fn wrote(&mut self, now: Instant, done: bool) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Writing { began, record } => {
                self.strayed |= self.since + self.terms.belief() <= now;
                match done {
                    true => self.phase = Phase::Written { began, record },
                    false => self.again(now, "the lease could not be written"),
                }
            }
            other => self.phase = other,
        }
    }

    /// The watchdog may have been petted later than it may be: it would bite after the end of the lease.
    pub fn petted_late(&mut self) {
        self.lose("the watchdog was reached too late".to_owned());
    }

    /// What to write as a note so that nobody has to wait; to be asked when nothing is under way. Belief ends with the
    /// question. Nothing, where a write of ours may stand over somebody else's record: giving that up would let a
    /// third one in.
    pub fn give_up(&mut self) -> Option<Record> {
        let under_way = matches!(self.phase, Phase::Writing { .. });
        self.phase = Phase::Over;
        self.told = None;
        (!self.strayed && !under_way).then(|| self.verified.clone())
    }

    /// Whether the record is ours. A foreign one over ours means that a bound was violated, or that a process that was
    /// stopped on its way to a write came back: either way it is safe to go.
    fn still_ours(&mut self, lease: &Sector) -> Result<(), String> {
        // Writes that were not read back may stand there, or parts of them.
        let unsure = self.attempted.wrapping_sub(self.verified.counter);
        match lease {
            Sector::Record(r) if r.nonce == self.verified.nonce => {
                match r.counter.wrapping_sub(self.verified.counter) <= unsure {
                    true => Ok(()),
                    false => Err(format!(
                        "it stands at write {} where {} to {} was expected: the device lost writes, or this machine was copied",
                        r.counter, self.verified.counter, self.attempted
                    )),
                }
            }
            Sector::Record(r) => {
                self.taken = r.generation > self.verified.generation;
                Err(format!("{} wrote over it", r.node))
            }
            Sector::Garbled(_) if unsure > 0 => Ok(()),
            Sector::Garbled(_) => Err("somebody wrote over it, and not wholly".to_owned()),
            Sector::Blank => Err("somebody blanked it".to_owned()),
            Sector::Foreign(what) => Err(format!("somebody wrote over it: {what}")),
        }
    }

    fn again(&mut self, now: Instant, what: &'static str) {
        self.phase = Phase::Idle { at: now + self.terms.retry() };
        self.told = Some(Step::Trouble(what));
    }

    fn lose(&mut self, cause: String) {
        // What is under way may land at any time.
        self.strayed |= matches!(self.phase, Phase::Writing { .. });
        self.phase = Phase::Over;
        self.told = Some(Step::Lost(cause));
    }
}
