//! Address conflict detection: one round of questions whether anybody else has an address (RFC 5227, section 2.1;
//! RFC 4862, section 5.4), as a decider without socket or clock.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Instant;
use crate::net::claim::{Claim, Kind};
use crate::net::mac::Mac;

/// Questions a round: one may be lost, two hardly.
pub const QUESTIONS: u32 = 3;

/// Machines that a round remembers; a flood of forged ones costs no more than this.
const REMEMBERED: usize = 64;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send one question.
    Ask,
    /// Listen until then.
    Listen(Instant),
    /// The round is over.
    Done,
}

/// What a round found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Who answers for the address.
    pub holders: Vec<Mac>,
    /// Who is asking for it at the same time, as we do, and goes before us.
    pub rivals: Vec<Mac>,
    /// Questions sent.
    pub sent: u32,
}

/// One round.
#[derive(Clone, Debug)]
pub struct Round {
    asker: Mac,
    own: Vec<Mac>,
    spacing: Duration,
    next: Instant,
    sent: u32,
    first_suffices: bool,
    holders: BTreeSet<Mac>,
    rivals: BTreeSet<Mac>,
}

impl Round {
    /// A round of [`QUESTIONS`] spread evenly over `window`, asked by the interface with the address `asker`. `own` are
    /// all of this machine's hardware addresses: its other interfaces may hear and answer. With `first_suffices` one
    /// answer ends it.
    pub fn new(asker: Mac, own: &[Mac], window: Duration, first_suffices: bool, now: Instant) -> Self {
        Self {
            asker,
            own: own.to_vec(),
            spacing: window / QUESTIONS,
            next: now,
            sent: 0,
            first_suffices,
            holders: BTreeSet::new(),
            rivals: BTreeSet::new(),
        }
    }

    /// What to do now; asking counts as done. Hear what has arrived before this is called: a process that was stopped
    /// for the whole round then still judges by what was said, and listens a full interval after its last question.
    pub fn next(&mut self, now: Instant) -> Next {
        if self.first_suffices && !self.holders.is_empty() {
            return Next::Done;
        }
        if now < self.next {
            return Next::Listen(self.next);
        }
        if self.sent == QUESTIONS {
            return Next::Done;
        }
        self.sent += 1;
        self.next = now + self.spacing;
        Next::Ask
    }

    /// Takes what was heard about the address.
    pub fn hear(&mut self, claim: Claim) {
        if claim.mac == self.asker || self.own.contains(&claim.mac) {
            return;
        }
        match claim.kind {
            Kind::Answer | Kind::Announcement | Kind::Request if self.holders.len() < REMEMBERED => {
                self.holders.insert(claim.mac);
            }
            // Two machines that take an address at the same moment both find it free. The lower hardware address goes
            // first and the other one desists; so does whoever cannot tell (IPv6 does not say who asks).
            Kind::Probe if claim.mac < self.asker && self.rivals.len() < REMEMBERED => {
                self.rivals.insert(claim.mac);
            }
            _ => {}
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        Findings {
            holders: self.holders.iter().copied().collect(),
            rivals: self.rivals.iter().copied().collect(),
            sent: self.sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 5]);
    const LOW: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const HIGH: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const WINDOW: Duration = Duration::from_millis(60);

    fn ms(n: u64) -> Instant {
        Instant::at(Duration::from_millis(n))
    }

    fn claim(mac: Mac, kind: Kind) -> Claim {
        Claim { mac, kind }
    }

    #[test]
    fn three_questions_and_the_whole_window() {
        let mut round = Round::new(OWN, &[OWN], WINDOW, false, ms(0));
        for at in [0, 20, 40] {
            assert_eq!(round.next(ms(at)), Next::Ask);
            assert_eq!(round.next(ms(at)), Next::Listen(ms(at + 20)));
        }
        assert_eq!(round.next(ms(59)), Next::Listen(ms(60)));
        assert_eq!(round.next(ms(60)), Next::Done);
        assert_eq!(round.findings(), Findings { sent: 3, ..Findings::default() });
    }

    #[test]
    fn one_answer_ends_it_where_that_suffices() {
        for (first_suffices, expected) in [(true, Next::Done), (false, Next::Listen(ms(20)))] {
            let mut round = Round::new(OWN, &[OWN], WINDOW, first_suffices, ms(0));
            assert_eq!(round.next(ms(0)), Next::Ask);
            round.hear(claim(HIGH, Kind::Answer));
            assert_eq!(round.next(ms(1)), expected);
            assert_eq!(round.findings().holders, [HIGH]);
        }
    }

    #[test]
    fn our_own_frames_are_nobody_else() {
        let mut round = Round::new(OWN, &[OWN, HIGH], WINDOW, true, ms(0));
        round.hear(claim(OWN, Kind::Answer));
        round.hear(claim(HIGH, Kind::Probe));
        assert_eq!(round.findings(), Findings::default());
    }

    proptest! {
        /// Of two machines that ask at the same time, exactly one goes on.
        #[test]
        fn one_of_two_rivals_goes_on(a in any::<[u8; 6]>(), b in any::<[u8; 6]>(),
                                     more in prop::collection::vec(any::<[u8; 6]>(), 0..4)) {
            prop_assume!(a != b && !more.contains(&a) && !more.contains(&b));
            let (a, b) = (Mac(a), Mac(b));
            let goes_on = |asker, other| {
                // Whatever other interfaces the machine has.
                let own: Vec<Mac> = more.iter().map(|m| Mac(*m)).chain([asker]).collect();
                let mut round = Round::new(asker, &own, WINDOW, true, ms(0));
                round.hear(claim(other, Kind::Probe));
                round.findings().rivals.is_empty()
            };
            prop_assert!(goes_on(a, b) != goes_on(b, a));
        }

        /// However late it is looked at, every question goes out and a full interval of listening follows the last.
        #[test]
        fn a_late_look_cuts_nothing_short(steps in prop::collection::vec(0u64..200, 1..200)) {
            let mut round = Round::new(OWN, &[OWN], WINDOW, false, ms(0));
            let (mut now, mut last_question, mut asked) = (0, 0, 0);
            for step in steps {
                now += step;
                match round.next(ms(now)) {
                    Next::Ask => { asked += 1; last_question = now; }
                    Next::Listen(until) => prop_assert!(until > ms(now)),
                    Next::Done => {
                        prop_assert_eq!(asked, QUESTIONS);
                        prop_assert!(now >= last_question + 20);
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_rival_with_a_lower_address_goes_first() {
        let mut round = Round::new(OWN, &[OWN], WINDOW, true, ms(0));
        round.hear(claim(LOW, Kind::Probe));
        assert_eq!(round.findings().rivals, [LOW]);
    }
}
