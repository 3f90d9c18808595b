//! What one sender has said so far: generation and sequence, so that a replay is told from a restart, a second copy from
//! a loss.
//!
//! heartbeat numbers the messages of a node from 1 and, beside it, the starts of the node (its generation, kept on
//! disk). Within one generation a number is taken once; an older generation is a replay; a newer one is a restart.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Instant;

/// How far back a second copy is recognised as such; whatever is older and comes again is a replay.
const REMEMBERED: usize = 64;
/// A sender keeps 500 messages: what is older cannot be had again.
const HISTORY: u64 = 500;
/// The most that the real daemon sends again for one request.
const PER_REQUEST: u64 = 50;
/// Between two requests for the same numbers.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Requests for one number, five seconds' worth, before it is given up.
const MOST_REQUESTS: u32 = 20;

/// A node's start and the number of one of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The generation (`hg`); zero for a sender that names none.
    pub generation: u64,
    /// The sequence number (`seq`).
    pub seq: u64,
}

/// What a numbered message is, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The first one heard of this sender.
    Baseline,
    /// The first one heard of a newer generation: the sender has started again.
    Restart {
        /// The generation before.
        was: u64,
    },
    /// The next one, or one further on.
    Fresh,
    /// One that had been missing: a retransmission, or two that changed places.
    Filled,
    /// A copy of one that came a moment ago.
    Copy {
        /// Whether it is the first on this medium: then it shows that the medium carries.
        first_here: bool,
    },
    /// A generation that is over.
    OldGeneration {
        /// The present one.
        is: u64,
    },
    /// A number of this generation that was taken long ago, or begins again without a new generation.
    OldSequence {
        /// The highest taken.
        last: u64,
    },
}

impl Admission {
    /// Whether the message is to be acted on.
    pub const fn accepted(self) -> bool {
        matches!(self, Self::Baseline | Self::Restart { .. } | Self::Fresh | Self::Filled)
    }

    /// Whether it proves that the sender lives now: a retransmission may have been held up for long.
    pub const fn alive(self) -> bool {
        matches!(self, Self::Baseline | Self::Restart { .. } | Self::Fresh)
    }
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    seq: u64,
    at: Instant,
    /// A bit for each medium that brought it.
    media: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    ask: Instant,
    asked: u32,
}

/// Numbers that were not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// The numbers of one sender.
#[derive(Debug)]
pub struct Window {
    mark: Option<Mark>,
    /// Whether the mark came from disk: nothing of this run was heard yet.
    stored: bool,
    taken: VecDeque<Taken>,
    missing: BTreeMap<u64, Missing>,
}

impl Window {
    /// A sender of which nothing is known but, perhaps, what an earlier run had heard.
    pub fn new(stored: Option<Mark>) -> Self {
        Self { mark: stored, stored: stored.is_some(), taken: VecDeque::new(), missing: BTreeMap::new() }
    }

    /// The highest numbers taken.
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// All up to here was heard: what may be acknowledged.
    pub fn contiguous(&self) -> Option<u64> {
        let first = self.missing.keys().next();
        self.mark.map(|m| first.map_or(m.seq, |n| n.saturating_sub(1)))
    }

    /// Takes the numbers of one message. `spread` is when a gap that it opens is first asked for: heartbeat waits 50 to
    /// 250 ms at random, so that not everybody asks at once and neighbours may arrive swapped. Copies are known for `recent`.
    pub fn admit(&mut self, mark: Mark, medium: usize, now: Instant, recent: Duration, spread: Duration) -> Admission {
        let admission = self.judge(mark, medium, now, recent);
        match admission {
            Admission::Baseline | Admission::Restart { .. } => {
                self.taken.clear();
                self.missing.clear();
                self.mark = Some(mark);
            }
            Admission::Fresh => {
                let last = self.mark.map_or(mark.seq, |m| m.seq);
                let oldest = (last + 1).max(mark.seq.saturating_sub(HISTORY));
                let reachable = Missing { ask: now + spread, asked: 0 };
                self.missing.extend((oldest..mark.seq).map(|n| (n, reachable)));
                let out_of_reach = mark.seq.saturating_sub(HISTORY);
                self.missing = self.missing.split_off(&out_of_reach);
                self.mark = Some(mark);
            }
            Admission::Filled => {
                self.missing.remove(&mark.seq);
            }
            Admission::Copy { .. } | Admission::OldGeneration { .. } | Admission::OldSequence { .. } => {}
        }
        if admission.accepted() {
            self.stored = false;
            while self.taken.front().is_some_and(|t| now.since(t.at) > recent) || self.taken.len() >= REMEMBERED {
                self.taken.pop_front();
            }
            self.taken.push_back(Taken { seq: mark.seq, at: now, media: bit(medium) });
        }
        admission
    }

    fn judge(&mut self, mark: Mark, medium: usize, now: Instant, recent: Duration) -> Admission {
        let Some(known) = self.mark else { return Admission::Baseline };
        if mark.generation < known.generation {
            return Admission::OldGeneration { is: known.generation };
        }
        if mark.generation > known.generation {
            return if self.stored { Admission::Baseline } else { Admission::Restart { was: known.generation } };
        }
        if mark.seq > known.seq {
            // What an earlier run of ours missed meanwhile is not asked for.
            return if self.stored { Admission::Baseline } else { Admission::Fresh };
        }
        if self.missing.contains_key(&mark.seq) {
            return Admission::Filled;
        }
        match self.taken.iter_mut().rev().find(|t| t.seq == mark.seq && now.since(t.at) <= recent) {
            Some(taken) => {
                let first_here = taken.media & bit(medium) == 0;
                taken.media |= bit(medium);
                Admission::Copy { first_here }
            }
            None => Admission::OldSequence { last: known.seq },
        }
    }

    /// When something is next to be asked for.
    pub fn deadline(&self) -> Option<Instant> {
        self.missing.values().map(|m| m.ask).min()
    }

    /// What is to be asked for now, one span a request, and what is given up.
    pub fn ask(&mut self, now: Instant) -> (Vec<Span>, Vec<Span>) {
        let (mut asked, mut lost) = (Vec::new(), Vec::new());
        for (&seq, missing) in self.missing.iter_mut().filter(|(_, m)| m.ask <= now) {
            if missing.asked == MOST_REQUESTS {
                extend(&mut lost, seq, u64::MAX);
            } else {
                extend(&mut asked, seq, PER_REQUEST);
                missing.asked += 1;
                missing.ask = now + ASK_AGAIN;
            }
        }
        self.missing.retain(|seq, _| !within(&lost, *seq));
        (asked, lost)
    }

    /// The sender does not have these any more: nothing asks for them again. Returns those that were missing.
    pub fn forget(&mut self, span: Span) -> Vec<Span> {
        let mut lost = Vec::new();
        for (&seq, _) in self.missing.range(span.first..=span.last.max(span.first)) {
            extend(&mut lost, seq, u64::MAX);
        }
        self.missing.retain(|seq, _| !within(&lost, *seq));
        lost
    }

    /// The sender is gone: nothing is asked for.
    pub fn stop_asking(&mut self) {
        self.missing.clear();
    }
}

fn bit(medium: usize) -> u64 {
    1 << (medium % 64)
}

fn within(spans: &[Span], seq: u64) -> bool {
    spans.iter().any(|s| (s.first..=s.last).contains(&seq))
}

/// Adds a number that is higher than all before to the last span, or begins a new one.
fn extend(spans: &mut Vec<Span>, seq: u64, most: u64) {
    match spans.last_mut() {
        Some(span) if span.last + 1 == seq && seq - span.first < most => span.last = seq,
        _ => spans.push(Span { first: seq, last: seq }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECENT: Duration = Duration::from_secs(1);
    const SPREAD: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Instant {
        Instant::at(Duration::from_millis(ms))
    }

    fn admit(window: &mut Window, generation: u64, seq: u64, ms: u64) -> Admission {
        window.admit(Mark { generation, seq }, 0, at(ms), RECENT, SPREAD)
    }

    #[test]
    fn a_restart_is_a_newer_generation_and_nothing_else() {
        let mut w = Window::new(None);
        assert_eq!(admit(&mut w, 7, 40, 0), Admission::Baseline);
        assert_eq!(admit(&mut w, 7, 41, 1), Admission::Fresh);
        assert_eq!(admit(&mut w, 6, 42, 2), Admission::OldGeneration { is: 7 });
        assert_eq!(admit(&mut w, 7, 1, 3), Admission::OldSequence { last: 41 });
        assert_eq!(admit(&mut w, 8, 1, 4), Admission::Restart { was: 7 });
        assert_eq!(admit(&mut w, 7, 43, 5), Admission::OldGeneration { is: 8 });
    }

    #[test]
    fn a_copy_counts_once_a_medium_and_only_for_a_while() {
        let mut w = Window::new(None);
        let mark = Mark { generation: 1, seq: 5 };
        assert_eq!(w.admit(mark, 0, at(0), RECENT, SPREAD), Admission::Baseline);
        assert_eq!(w.admit(mark, 1, at(9), RECENT, SPREAD), Admission::Copy { first_here: true });
        assert_eq!(w.admit(mark, 1, at(10), RECENT, SPREAD), Admission::Copy { first_here: false });
        assert_eq!(w.admit(mark, 0, at(11), RECENT, SPREAD), Admission::Copy { first_here: false });
        assert_eq!(w.admit(mark, 2, at(1001), RECENT, SPREAD), Admission::OldSequence { last: 5 });
    }

    #[test]
    fn a_gap_is_asked_for_after_its_spread_and_then_each_quarter_second() {
        let mut w = Window::new(None);
        admit(&mut w, 1, 1, 0);
        admit(&mut w, 1, 5, 0);
        assert_eq!(w.contiguous(), Some(1));
        assert_eq!(w.deadline(), Some(at(100)));
        assert_eq!(w.ask(at(99)), (vec![], vec![]));
        assert_eq!(w.ask(at(100)), (vec![Span { first: 2, last: 4 }], vec![]));
        assert_eq!(admit(&mut w, 1, 3, 120), Admission::Filled);
        assert_eq!(w.ask(at(349)), (vec![], vec![]));
        assert_eq!(w.ask(at(350)), (vec![Span { first: 2, last: 2 }, Span { first: 4, last: 4 }], vec![]));
        assert_eq!(w.forget(Span { first: 1, last: 3 }), vec![Span { first: 2, last: 2 }]);
        assert_eq!(admit(&mut w, 1, 4, 360), Admission::Filled);
        assert_eq!((w.deadline(), w.contiguous()), (None, Some(5)));
    }

    #[test]
    fn nothing_is_asked_for_without_end_or_beyond_the_senders_history() {
        let mut w = Window::new(None);
        admit(&mut w, 1, 1, 0);
        admit(&mut w, 1, 1_000_000, 0);
        let (asked, _) = w.ask(at(100));
        assert_eq!(asked.iter().map(|s| s.last - s.first + 1).sum::<u64>(), HISTORY);
        assert!(asked.iter().all(|s| s.last - s.first < PER_REQUEST));
        let mut given_up = Vec::new();
        for turn in 1..=20 {
            given_up = w.ask(at(100 + 250 * turn)).1;
        }
        assert_eq!(given_up, vec![Span { first: 999_500, last: 999_999 }]);
        assert_eq!(w.deadline(), None);
    }

    #[test]
    fn what_an_earlier_run_heard_opens_no_door() {
        let stored = Some(Mark { generation: 7, seq: 40 });
        for (generation, seq, expected) in [
            (6, 99, Admission::OldGeneration { is: 7 }),
            (7, 40, Admission::OldSequence { last: 40 }),
            (7, 90, Admission::Baseline),
            (8, 1, Admission::Baseline),
        ] {
            assert_eq!(admit(&mut Window::new(stored), generation, seq, 0), expected);
        }
    }

    proptest! {
        /// Whatever comes in whatever order: no number of a generation is accepted twice, and no generation after a newer one.
        #[test]
        fn nothing_is_accepted_twice(heard in prop::collection::vec((0u64..4, 0u64..700, 0usize..3, 0u64..400), 1..300)) {
            let mut w = Window::new(None);
            let mut accepted = std::collections::HashSet::new();
            let (mut now, mut newest) = (0, 0);
            for (generation, seq, medium, later) in heard {
                now += later;
                let got = w.admit(Mark { generation, seq }, medium, at(now), RECENT, SPREAD);
                if got.accepted() {
                    prop_assert!(accepted.insert((generation, seq)));
                    prop_assert!(generation >= newest);
                    newest = generation;
                }
                w.ask(at(now));
                prop_assert!(w.missing.len() <= HISTORY as usize && w.taken.len() <= REMEMBERED);
            }
        }
    }
}
