//! When to probe which target, and when enough is known: the plan behind `--every`, `--fall`, `--rise`, `--until`, `--for`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Verdict;
use super::judge::{Change, Judge, State};
use crate::cli::Failure;
use crate::cli::exit::Answer;
use crate::clock::Instant;

/// What `--until` waits for: every target in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// Every target is up.
    Up,
    /// Every target is down.
    Down,
}

impl Goal {
    const fn state(self) -> State {
        match self {
            Self::Up => State::Up,
            Self::Down => State::Down,
        }
    }
}

/// How often, how many times, how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The period; `None` for a one-shot, which repeats only to confirm.
    pub every: Option<Duration>,
    /// Noes in a row that make a target down.
    pub fall: u32,
    /// Yeses in a row that make it up.
    pub rise: u32,
    /// The end that is waited for.
    pub until: Option<Goal>,
    /// The longest that it may take.
    pub span: Option<Duration>,
}

/// From the first probe of one target of a stream to that of the next, at most.
const APART: Duration = Duration::from_micros(200);

/// The targets, what is thought of each and when each is due. Nothing here takes longer for more targets, but to begin.
#[derive(Debug)]
pub struct Watch {
    plan: Plan,
    started: Instant,
    targets: Vec<Target>,
    /// The targets that are not under way, by when they are due.
    agenda: BTreeSet<(Instant, usize)>,
    /// How many targets are in each state, by its number.
    states: [usize; 3],
    /// One-shots without an answer.
    open: usize,
}

#[derive(Debug)]
struct Target {
    judge: Judge,
    /// Since when it is under way.
    running: Option<Instant>,
    /// A one-shot that has its answer.
    done: bool,
    /// Its own period, where it has one.
    every: Option<Duration>,
}

impl Watch {
    /// All targets of a one-shot are due at once. Those of a stream follow each other closely, within one period: the answers to
    /// thousands would come in one moment, and be late for that alone.
    pub fn new(plan: Plan, targets: usize, now: Instant) -> Self {
        let many = u32::try_from(targets).unwrap_or(u32::MAX).max(1);
        let apart = plan.every.map_or(Duration::ZERO, |every| APART.min(every / many));
        let target = || Target { judge: Judge::new(plan.fall, plan.rise), running: None, done: false, every: None };
        Self {
            plan,
            started: now,
            targets: (0..targets).map(|_| target()).collect(),
            agenda: (0..targets).map(|n| (now + apart * n as u32, n)).collect(),
            states: [targets, 0, 0],
            open: targets,
        }
    }

    /// From now on a target has a period of its own; one-shots have none.
    pub fn pace(&mut self, number: usize, every: Option<Duration>) {
        if let Some(target) = self.targets.get_mut(number) {
            target.every = every;
        }
    }

    /// The earliest time at which there is something to do: a probe to start, or the end of `--for`.
    pub fn next(&self) -> Option<Instant> {
        let due = self.agenda.first().map(|(at, _)| *at);
        due.into_iter().chain(self.plan.span.map(|d| self.started + d)).min()
    }

    /// The targets to probe now; each counts as under way until its result is recorded.
    pub fn start(&mut self, now: Instant) -> Vec<usize> {
        self.start_some(now, usize::MAX)
    }

    /// The same, no more than `most`: the longest due first.
    pub fn start_some(&mut self, now: Instant, most: usize) -> Vec<usize> {
        let mut begun = Vec::new();
        while begun.len() < most
            && let Some((at, n)) = self.agenda.first().copied()
            && at <= now
        {
            self.agenda.pop_first();
            self.targets[n].running = Some(now);
            begun.push(n);
        }
        begun
    }

    /// Takes the result of a target that was under way.
    pub fn record(&mut self, number: usize, verdict: Verdict, now: Instant) -> Option<Change> {
        let target = self.targets.get_mut(number)?;
        let change = target.judge.record(verdict);
        if let Some(Change { was, is }) = change {
            self.states[was as usize] -= 1;
            self.states[is as usize] += 1;
        }
        let since = target.running.take();
        let due = match self.plan.every.map(|every| target.every.unwrap_or(every)) {
            // A probe that took longer than its period is followed at once; missed ones are not made up for.
            Some(every) => since.map_or(now, |since| (since + every).max(now)),
            None if target.judge.state() == State::Unknown && !target.judge.gave_up() => now,
            None => {
                self.open -= usize::from(!std::mem::replace(&mut target.done, true));
                return change;
            }
        };
        if since.is_some() {
            self.agenda.insert((due, number));
        }
        change
    }

    /// What is thought of a target.
    pub fn state(&self, target: usize) -> State {
        self.targets.get(target).map_or(State::Unknown, |t| t.judge.state())
    }

    /// What a signal leaves a stream with: nothing was asked of one without `--until`, which just ends.
    ///
    /// # Errors
    /// What `--until` waits for has not happened.
    pub fn interrupted(&self) -> Result<Answer, Failure> {
        match self.plan.until {
            None => Ok(Answer::Yes),
            Some(goal) => Err(Failure::interrupted(&format!("all were {}", goal.state()))),
        }
    }

    /// The answer, once there is one: then the command ends.
    pub fn answer(&self, now: Instant) -> Option<Answer> {
        if let (Some(goal), Some(_)) = (self.plan.until, self.plan.every)
            && self.states[goal.state() as usize] == self.targets.len()
        {
            return Some(Answer::Yes);
        }
        if self.plan.every.is_none() && self.open == 0 {
            return Some(Answer::all(self.targets.iter().map(|t| match t.judge.state() {
                State::Up => Answer::Yes,
                State::Down => Answer::No,
                State::Unknown => Answer::CannotTell,
            })));
        }
        let over = self.plan.span.is_some_and(|d| now >= self.started + d);
        over.then(|| match self.plan.until {
            None => Answer::Yes,
            Some(_) if self.states[State::Unknown as usize] == 0 => Answer::No,
            Some(_) => Answer::CannotTell,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAN: Plan = Plan { every: None, fall: 1, rise: 1, until: None, span: None };

    fn ms(n: u64) -> Instant {
        Instant::at(Duration::from_millis(n))
    }

    #[test]
    fn a_one_shot_repeats_a_no_only_to_confirm_it() {
        let mut watch = Watch::new(Plan { fall: 3, ..PLAN }, 1, ms(0));
        for n in 0..3 {
            assert_eq!(watch.answer(ms(n)), None);
            assert_eq!(watch.start(ms(n)), [0]);
            assert_eq!(watch.start(ms(n)), [] as [usize; 0]);
            watch.record(0, Verdict::Down, ms(n));
        }
        assert_eq!(watch.answer(ms(3)), Some(Answer::No));
    }

    #[test]
    fn a_one_shot_gives_up_where_nothing_tells() {
        let mut watch = Watch::new(Plan { fall: 2, ..PLAN }, 2, ms(0));
        watch.start(ms(0));
        watch.record(0, Verdict::Up, ms(1));
        for n in 1..3 {
            assert_eq!(watch.answer(ms(n)), None);
            watch.record(1, Verdict::CannotTell, ms(n));
        }
        assert_eq!(watch.answer(ms(3)), Some(Answer::CannotTell));
    }

    #[test]
    fn the_period_keeps_its_phase_and_a_late_result_is_followed_at_once() {
        let mut watch = Watch::new(Plan { every: Some(Duration::from_millis(100)), ..PLAN }, 1, ms(0));
        watch.start(ms(0));
        watch.record(0, Verdict::Up, ms(30));
        assert_eq!(watch.next(), Some(ms(100)));
        watch.start(ms(100));
        watch.record(0, Verdict::Down, ms(370));
        assert_eq!(watch.next(), Some(ms(370)));
    }

    #[test]
    fn until_and_for() {
        let plan = Plan {
            every: Some(Duration::from_millis(10)),
            until: Some(Goal::Down),
            span: Some(Duration::from_millis(50)),
            ..PLAN
        };
        let mut watch = Watch::new(plan, 2, ms(0));
        watch.start(ms(0));
        watch.record(0, Verdict::Down, ms(1));
        assert_eq!(watch.answer(ms(1)), None);
        assert_eq!(watch.answer(ms(50)), Some(Answer::CannotTell));
        watch.record(1, Verdict::Up, ms(2));
        assert_eq!(watch.answer(ms(50)), Some(Answer::No));
        watch.record(1, Verdict::Down, ms(3));
        assert_eq!(watch.answer(ms(3)), Some(Answer::Yes));
        let mut plain = Watch::new(Plan { until: None, ..plan }, 1, ms(0));
        plain.start(ms(0));
        plain.record(0, Verdict::Down, ms(1));
        assert_eq!(plain.answer(ms(49)), None);
        assert_eq!(plain.answer(ms(50)), Some(Answer::Yes));
    }

    #[test]
    fn a_target_may_have_a_period_of_its_own() {
        let mut watch = Watch::new(Plan { every: Some(Duration::from_millis(100)), ..PLAN }, 2, ms(0));
        watch.pace(1, Some(Duration::from_millis(30)));
        assert_eq!(watch.start(ms(0)), [0]);
        assert_eq!(watch.start(ms(1)), [1]);
        for n in 0..2 {
            watch.record(n, Verdict::Up, ms(1));
        }
        assert_eq!(watch.start(ms(31)), [1]);
        watch.pace(1, None);
        watch.record(1, Verdict::Down, ms(31));
        assert_eq!(watch.start(ms(130)), [0]);
        assert_eq!(watch.start(ms(131)), [1]);
    }

    #[test]
    fn the_targets_of_a_stream_are_spread_over_its_period() {
        let started = |every: Option<u64>, targets, at| {
            let mut watch = Watch::new(Plan { every: every.map(Duration::from_millis), ..PLAN }, targets, ms(0));
            watch.start(ms(at)).len()
        };
        assert_eq!(started(None, 5000, 0), 5000);
        assert_eq!((started(Some(1000), 5000, 0), started(Some(1000), 5000, 500)), (1, 2501));
        assert_eq!(started(Some(1000), 10, 2), 10);
        assert_eq!((started(Some(100), 5000, 50), started(Some(100), 5000, 100)), (2501, 5000));
    }

    proptest! {
        /// No target is ever probed twice at a time, or earlier than its period, and every one-shot ends.
        #[test]
        fn one_at_a_time(every in prop::option::of(1u64..50), fall in 1u32..4,
                         takes in prop::collection::vec((0u64..80, 0u8..3), 1..40)) {
            let plan = Plan { every: every.map(Duration::from_millis), fall, ..PLAN };
            let mut watch = Watch::new(plan, 1, ms(0));
            let mut now = 0;
            let mut last_start = None;
            for (take, verdict) in takes {
                let Some(at) = watch.next() else { break };
                now = now.max(at.since_boot().as_millis() as u64);
                prop_assert_eq!(watch.start(ms(now)), vec![0]);
                prop_assert!(watch.start(ms(now + 1000)).is_empty());
                if let (Some(every), Some(last)) = (every, last_start) {
                    prop_assert!(now >= last + every);
                }
                last_start = Some(now);
                now += take;
                let verdict = [Verdict::Up, Verdict::Down, Verdict::CannotTell][usize::from(verdict)];
                watch.record(0, verdict, ms(now));
            }
            if every.is_none() && watch.next().is_none() {
                prop_assert!(watch.answer(ms(now)).is_some());
            }
        }
    }
}
