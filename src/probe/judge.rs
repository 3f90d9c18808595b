//! Fall and rise: how many results in a row change what is thought of a target.

use std::fmt;

use super::Verdict;
use crate::cli::event::Event;

/// What is thought of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not enough seen yet, or nothing that tells.
    #[default]
    Unknown = 0,
    /// Healthy.
    Up,
    /// Down, confirmed.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub was: State,
    /// Now.
    pub is: State,
}

impl Change {
    /// The event that tells it.
    pub fn event(self, target: &str, cause: &str) -> Event {
        let Self { was, is } = self;
        Event::new("state", format!("{target} is {is} (was {was}): {cause}"))
            .with("target", target)
            .with("was", was.to_string())
            .with("is", is.to_string())
            .with("cause", cause)
    }
}

/// Counts the results of one target.
///
/// A "cannot tell" neither counts nor resets; `fall` of them in a row make the state unknown and empty the count.
#[derive(Clone, Debug)]
pub struct Judge {
    fall: u32,
    rise: u32,
    state: State,
    noes: u32,
    yeses: u32,
    untold: u32,
}

impl Judge {
    /// A judge who knows nothing yet. Both counts are at least 1.
    pub fn new(fall: u32, rise: u32) -> Self {
        Self { fall: fall.max(1), rise: rise.max(1), state: State::Unknown, noes: 0, yeses: 0, untold: 0 }
    }

    /// What is thought now.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the last `fall` results all failed to tell.
    pub fn gave_up(&self) -> bool {
        self.untold >= self.fall
    }

    /// Takes one result; returns the change that it makes.
    pub fn record(&mut self, verdict: Verdict) -> Option<Change> {
        let was = self.state;
        match verdict {
            Verdict::Up => {
                (self.untold, self.noes) = (0, 0);
                self.yeses = self.yeses.saturating_add(1);
                if self.yeses >= self.rise {
                    self.state = State::Up;
                }
            }
            Verdict::Down => {
                (self.untold, self.yeses) = (0, 0);
                self.noes = self.noes.saturating_add(1);
                if self.noes >= self.fall {
                    self.state = State::Down;
                }
            }
            Verdict::CannotTell => {
                self.untold = self.untold.saturating_add(1);
                if self.gave_up() {
                    (self.yeses, self.noes) = (0, 0);
                    self.state = State::Unknown;
                }
            }
        }
        (was != self.state).then_some(Change { was, is: self.state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![Just(Verdict::Up), Just(Verdict::Down), Just(Verdict::CannotTell)]
    }

    proptest! {
        /// Down only after `fall` noes with no yes and no run of `fall` "cannot tell" between them; up likewise.
        #[test]
        fn only_enough_results_change_a_state(fall in 1u32..5, rise in 1u32..5,
                                              results in prop::collection::vec(verdict(), 0..60)) {
            let mut judge = Judge::new(fall, rise);
            for n in 0..results.len() {
                let change = judge.record(results[n]);
                let seen = &results[..=n];
                // The telling results since the last run of `fall` untold ones.
                let mut telling: Vec<Verdict> = Vec::new();
                let mut untold = 0;
                for v in seen {
                    if *v == Verdict::CannotTell {
                        untold += 1;
                        if untold >= fall { telling.clear(); }
                    } else {
                        untold = 0;
                        telling.push(*v);
                    }
                }
                let streak = |kind| telling.iter().rev().take_while(|v| **v == kind).count() as u32;
                match change.map(|c| c.is) {
                    Some(State::Down) => prop_assert!(streak(Verdict::Down) >= fall),
                    Some(State::Up) => prop_assert!(streak(Verdict::Up) >= rise),
                    Some(State::Unknown) => prop_assert!(untold >= fall),
                    None => {
                        prop_assert!(streak(Verdict::Down) < fall || judge.state() == State::Down);
                        prop_assert!(streak(Verdict::Up) < rise || judge.state() == State::Up);
                    }
                }
            }
        }
    }

    #[test]
    fn untold_results_neither_count_nor_reset() {
        let mut judge = Judge::new(3, 2);
        for v in [Verdict::Down, Verdict::CannotTell, Verdict::Down, Verdict::CannotTell] {
            assert_eq!(judge.record(v), None);
        }
        assert_eq!(judge.record(Verdict::Down), Some(Change { was: State::Unknown, is: State::Down }));
        assert_eq!(judge.record(Verdict::CannotTell), None);
        assert_eq!(judge.record(Verdict::CannotTell), None);
        assert_eq!(judge.record(Verdict::CannotTell), Some(Change { was: State::Down, is: State::Unknown }));
    }
}
