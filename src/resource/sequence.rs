//! Which resource is asked, started or stopped next: a decider without processes or clock.
//!
//! Resources start in the order in which they are written, each only after it was asked and does not run. They stop in
//! the exact reverse. A stop that failed is tried again, and when that does not help everything stops there: what stands
//! to the left of it may be in use by it, and is left alone.

use std::collections::VecDeque;

use super::State;

/// What to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// All of them run.
    Start,
    /// None of them runs.
    Stop,
    /// None of them ran for a moment, and all of them run.
    Restart,
}

/// How to behave where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often a failed stop is tried again.
    pub stop_retries: u32,
    /// A failed start leaves running what was started before it.
    pub keep: bool,
}

/// What to do now. The numbers are places in the list of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask whether it runs.
    Ask(usize),
    /// Start it.
    Start(usize),
    /// Stop it.
    Stop(usize),
    /// Wait before the next try of a stop.
    Pause,
    /// Nothing more.
    End(End),
}

/// What came of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The answer to [`Order::Ask`]; the second says that an unknown one may be started all the same.
    State(State, bool),
    /// Another answer to that: stopped, and its agent said so in so many words.
    Off,
    /// Started, or stopped.
    Worked,
    /// The agent says that it failed.
    Refused,
    /// Nobody knows: it was ended at its deadline, or killed.
    Lost,
    /// The agent cannot be run: another try makes no sense.
    Impossible,
    /// The pause is over.
    Paused,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should be.
    Done,
    /// This one does not start. What was started is stopped again, unless it was to be kept.
    NotStarted {
        /// Its place.
        at: usize,
        /// Its agent says so, or it was stopped again; otherwise nobody knows.
        known: bool,
    },
    /// Nobody hears of what was started: it is stopped again.
    Unheard,
    /// Nobody can tell whether this one runs, so it was not started. What was started is stopped again, unless it was to
    /// be kept.
    CannotTell(usize),
    /// This one does not stop; everything to the left of it was left alone.
    NotStopped {
        /// Its place.
        at: usize,
        /// Its agent says so; otherwise nobody knows.
        refused: bool,
        /// This was to be a start: it is not known to be off, as a start that fails should leave it.
        starting: bool,
    },
}

/// Why something is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It was asked for.
    Wanted,
    /// It has failed, and is to be started afresh.
    Before(usize),
    /// A start has failed: undo it.
    Undo(End),
}

/// The course of one call.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// For each resource: its class has agents whose stop fails when there is nothing to stop.
    forgiving: Vec<bool>,
    goal: Goal,
    rules: Rules,
    now: Order,
    /// What this call has started, in that order.
    started: Vec<usize>,
    /// What is still to be stopped, the next one first, and why.
    to_stop: VecDeque<usize>,
    purpose: Purpose,
    /// Tries of the stop that is under way.
    tries: u32,
    /// How it failed, while its status is asked because of that.
    failed: Option<Told>,
    /// One of them took all of its time, or was killed.
    lost: bool,
}

impl Sequence {
    /// A sequence over as many resources as `forgiving` has entries. An entry is true where the status of an agent is to
    /// be asked after a stop that it refused to the last, and is believed when it says so in so many words.
    pub fn new(goal: Goal, forgiving: Vec<bool>, rules: Rules) -> Self {
        let to_stop = if goal == Goal::Start { 0..0 } else { 0..forgiving.len() };
        let mut sequence = Self {
            to_stop: to_stop.rev().collect(),
            forgiving,
            goal,
            rules,
            now: Order::End(End::Done),
            started: Vec::new(),
            purpose: Purpose::Wanted,
            tries: 0,
            failed: None,
            lost: false,
        };
        match goal {
            Goal::Start => sequence.start_at(0),
            Goal::Stop | Goal::Restart => sequence.stop_next(),
        }
        sequence
    }

    /// What to do now.
    pub fn order(&self) -> Order {
        self.now
    }

    /// Takes what came of it. An answer that does not belong to the order changes nothing.
    pub fn told(&mut self, told: Told) {
        match (self.now, told) {
            (Order::Ask(at), Told::State(..) | Told::Off) => match (self.to_stop.front(), self.failed.take()) {
                (Some(_), Some(_)) if told == Told::Off => self.stopped(),
                (Some(_), Some(failed)) => self.stop_failed(at, failed),
                (Some(_), None) => self.now = Order::Stop(at),
                (None, _) => self.asked(at, told),
            },
            (Order::Start(at), Told::Worked) => {
                self.started.push(at);
                self.start_at(at + 1);
            }
            (Order::Start(at), Told::Refused | Told::Lost | Told::Impossible) => {
                // What failed to start may be there in part: it goes first.
                let first = if told == Told::Impossible { None } else { Some(at) };
                let known = told == Told::Refused || (told == Told::Lost && !self.rules.keep);
                self.undo(End::NotStarted { at, known }, first);
            }
            (Order::Stop(_), Told::Worked) => self.stopped(),
            (Order::Stop(at), Told::Refused) if self.spent(told) && self.forgiving.get(at) == Some(&true) => {
                self.failed = Some(told);
                self.now = Order::Ask(at);
            }
            (Order::Stop(at), Told::Refused | Told::Lost | Told::Impossible) => self.stop_failed(at, told),
            (Order::Pause, Told::Paused) => {
                if let Some(at) = self.to_stop.front() {
                    self.now = Order::Stop(*at);
                }
            }
            _ => {}
        }
    }

    /// Nobody hears of what this start has started: it is to be stopped again. Whether there is anything to do.
    pub fn abandon(&mut self) -> bool {
        let done = self.goal == Goal::Start && self.now == Order::End(End::Done);
        let undo = done && !self.started.is_empty() && !self.rules.keep;
        if undo {
            self.undo(End::Unheard, None);
        }
        undo
    }

    fn start_at(&mut self, at: usize) {
        self.now = if at < self.forgiving.len() { Order::Ask(at) } else { Order::End(End::Done) };
    }

    fn asked(&mut self, at: usize, told: Told) {
        match told {
            Told::State(State::Running, _) => self.start_at(at + 1),
            Told::Off | Told::State(State::Stopped, _) | Told::State(State::Unknown, true) => {
                self.now = Order::Start(at)
            }
            Told::State(State::Failed, _) => {
                self.purpose = Purpose::Before(at);
                self.to_stop = [at].into();
                self.stop_next();
            }
            _ => self.undo(End::CannotTell(at), None),
        }
    }

    fn undo(&mut self, end: End, first: Option<usize>) {
        if self.rules.keep {
            self.now = Order::End(end);
            return;
        }
        self.purpose = Purpose::Undo(end);
        self.to_stop = first.into_iter().chain(self.started.drain(..).rev()).collect();
        self.stop_next();
    }

    /// The one in front is stopped.
    fn stopped(&mut self) {
        self.to_stop.pop_front();
        self.stop_next();
    }

    fn stop_next(&mut self) {
        self.tries = 0;
        (self.failed, self.lost) = (None, false);
        self.now = match (self.to_stop.front(), self.purpose) {
            // Whether it runs is asked to tell whether anything was changed, not to leave anything out.
            (Some(at), Purpose::Wanted) => Order::Ask(*at),
            (Some(at), Purpose::Before(_) | Purpose::Undo(_)) => Order::Stop(*at),
            (None, Purpose::Wanted) if self.goal == Goal::Restart => return self.start_at(0),
            (None, Purpose::Wanted) => Order::End(End::Done),
            (None, Purpose::Before(at)) => Order::Start(at),
            (None, Purpose::Undo(end)) => Order::End(end),
        };
    }

    /// Whether another try of the stop makes no sense. One that took all of its time is tried once more, not again and
    /// again: others wait for it.
    fn spent(&self, told: Told) -> bool {
        told == Told::Impossible || self.tries >= self.rules.stop_retries || (told == Told::Lost && self.lost)
    }

    fn stop_failed(&mut self, at: usize, told: Told) {
        if !self.spent(told) {
            self.tries += 1;
            self.lost |= told == Told::Lost;
            self.now = Order::Pause;
            return;
        }
        let starting = self.goal == Goal::Start || self.purpose != Purpose::Wanted;
        self.now = Order::End(End::NotStopped { at, refused: told == Told::Refused, starting });
    }
}

#[cfg(test)]
mod tests;
