use proptest::prelude::*;

use super::*;
use Order::{Ask, Pause, Start, Stop};
use State::{Failed, Running, Stopped, Unknown};

const RULES: Rules = Rules { stop_retries: 2, keep: false };

/// Plays a sequence against a machine that answers: all orders, and the end.
fn orders(goal: Goal, forgiving: &[bool], rules: Rules, mut answer: impl FnMut(Order) -> Told) -> (Vec<Order>, End) {
    let mut sequence = Sequence::new(goal, forgiving.to_vec(), rules);
    let mut orders = Vec::new();
    for _ in 0..1000 {
        let order = sequence.order();
        match order {
            Order::End(end) => return (orders, end),
            Pause => sequence.told(Told::Paused),
            _ => sequence.told(answer(order)),
        }
        orders.push(order);
    }
    panic!("no end: {orders:?}");
}

#[test]
fn starts_from_left_to_right_what_does_not_run() {
    let (got, end) = orders(Goal::Start, &[false; 3], RULES, |order| match order {
        Ask(1) => Told::State(Running, false),
        Ask(_) => Told::State(Stopped, false),
        _ => Told::Worked,
    });
    assert_eq!(got, [Ask(0), Start(0), Ask(1), Ask(2), Start(2)]);
    assert_eq!(end, End::Done);
}

#[test]
fn a_failed_start_is_undone() {
    let machine = |order| match order {
        Ask(1) => Told::State(Running, false), // not ours: it stays
        Ask(_) => Told::State(Stopped, false),
        Start(3) => Told::Refused,
        _ => Told::Worked,
    };
    let (got, end) = orders(Goal::Start, &[false; 4], RULES, machine);
    assert_eq!(got[7..], [Stop(3), Stop(2), Stop(0)], "{got:?}");
    assert_eq!(end, End::NotStarted { at: 3, known: true });
    let (got, end) = orders(Goal::Start, &[false; 4], Rules { keep: true, ..RULES }, machine);
    assert!(!got.iter().any(|o| matches!(o, Stop(_))), "{got:?}");
    assert_eq!(end, End::NotStarted { at: 3, known: true });
}

/// One that hung may have started, unless it was stopped after that; of one that could not be run nobody knows.
#[test]
fn whether_a_failed_start_left_anything_may_be_unknown() {
    for (told, keep, known) in [
        (Told::Lost, false, true),
        (Told::Lost, true, false),
        (Told::Impossible, false, false),
        (Told::Impossible, true, false),
    ] {
        let (_, end) = orders(Goal::Start, &[false], Rules { keep, ..RULES }, |order| match order {
            Ask(_) => Told::State(Stopped, false),
            Start(_) => told,
            _ => Told::Worked,
        });
        assert_eq!(end, End::NotStarted { at: 0, known }, "{told:?} {keep}");
    }
}

#[test]
fn a_start_that_nobody_hears_of_is_undone() {
    let play = |goal, running: bool, keep| {
        let mut sequence = Sequence::new(goal, vec![false; 2], Rules { keep, ..RULES });
        let mut all = Vec::new();
        loop {
            match sequence.order() {
                Order::End(end) => {
                    if !sequence.abandon() {
                        return (all, end);
                    }
                }
                Ask(_) => sequence.told(Told::State(if running { Running } else { Stopped }, false)),
                order => {
                    all.push(order);
                    sequence.told(Told::Worked);
                }
            }
        }
    };
    assert_eq!(play(Goal::Start, false, false), (vec![Start(0), Start(1), Stop(1), Stop(0)], End::Unheard));
    assert_eq!(play(Goal::Start, true, false), (vec![], End::Done));
    assert_eq!(play(Goal::Start, false, true), (vec![Start(0), Start(1)], End::Done));
    assert_eq!(play(Goal::Restart, false, false), (vec![Stop(1), Stop(0), Start(0), Start(1)], End::Done));
}

/// Others wait for a hand-over.
#[test]
fn a_stop_that_takes_all_of_its_time_is_tried_once_more() {
    let (got, end) = orders(Goal::Stop, &[true], Rules { stop_retries: 9, keep: false }, |order| match order {
        Ask(_) => Told::Off,
        _ => Told::Lost,
    });
    assert_eq!(got, [Ask(0), Stop(0), Pause, Stop(0)], "and its status proves nothing");
    assert_eq!(end, End::NotStopped { at: 0, refused: false, starting: false });
}

#[test]
fn what_is_unknown_is_not_started() {
    let machine = |may_start| {
        move |order| match order {
            Ask(1) => Told::State(Unknown, may_start),
            Ask(_) => Told::State(Stopped, false),
            _ => Told::Worked,
        }
    };
    let (got, end) = orders(Goal::Start, &[false; 2], RULES, machine(false));
    assert_eq!((got, end), (vec![Ask(0), Start(0), Ask(1), Stop(0)], End::CannotTell(1)));
    let (got, end) = orders(Goal::Start, &[false; 2], RULES, machine(true));
    assert_eq!((got, end), (vec![Ask(0), Start(0), Ask(1), Start(1)], End::Done));
}

#[test]
fn what_has_failed_is_stopped_before_it_is_started() {
    let (got, end) = orders(Goal::Start, &[false; 2], RULES, |order| match order {
        Ask(1) => Told::State(Failed, false),
        Ask(_) => Told::State(Stopped, false),
        _ => Told::Worked,
    });
    assert_eq!((got, end), (vec![Ask(0), Start(0), Ask(1), Stop(1), Start(1)], End::Done));
}

#[test]
fn stops_from_right_to_left_and_no_further_than_a_stop_that_fails() {
    let machine = |order| match order {
        Ask(_) => Told::State(Running, false),
        Stop(1) => Told::Refused,
        _ => Told::Worked,
    };
    let (got, end) = orders(Goal::Stop, &[false; 3], RULES, machine);
    assert_eq!(got, [Ask(2), Stop(2), Ask(1), Stop(1), Pause, Stop(1), Pause, Stop(1)]);
    assert_eq!(end, End::NotStopped { at: 1, refused: true, starting: false });
    // A script whose stop fails when there is nothing to stop: its status is believed in the end, if it says so.
    for (answer, ends) in [
        (Told::Off, End::Done),
        (Told::State(Stopped, false), End::NotStopped { at: 0, refused: true, starting: false }),
        (Told::State(Unknown, true), End::NotStopped { at: 0, refused: true, starting: false }),
    ] {
        let (got, end) = orders(Goal::Stop, &[true; 2], RULES, |order| match order {
            Ask(_) => answer,
            Stop(0) => Told::Refused,
            _ => Told::Worked,
        });
        let stops = [Stop(0), Pause, Stop(0), Pause, Stop(0), Ask(0)];
        assert_eq!((&got[..3], &got[3..], end), (&[Ask(1), Stop(1), Ask(0)][..], &stops[..], ends));
    }
}

#[test]
fn an_agent_that_cannot_be_run_is_not_tried_again() {
    let machine = |order| match order {
        Ask(_) => Told::State(Unknown, false),
        _ => Told::Impossible,
    };
    let (got, end) = orders(Goal::Stop, &[true; 2], RULES, machine);
    assert_eq!((got, end), (vec![Ask(1), Stop(1)], End::NotStopped { at: 1, refused: false, starting: false }));
}

/// A machine of resources, each with what it answers in turn.
#[derive(Clone, Debug)]
struct Machine {
    status: Vec<Vec<(State, bool)>>,
    action: Vec<Vec<Told>>,
    asked: Vec<usize>,
    acted: Vec<usize>,
}

impl Machine {
    fn answer(&mut self, order: Order) -> Told {
        match order {
            Ask(at) => {
                let n = self.asked[at];
                self.asked[at] += 1;
                match self.status[at][n % self.status[at].len()] {
                    (Stopped, true) => Told::Off,
                    (state, may) => Told::State(state, may && state == Unknown),
                }
            }
            Start(at) | Stop(at) => {
                let n = self.acted[at];
                self.acted[at] += 1;
                self.action[at][n % self.action[at].len()]
            }
            _ => unreachable!("{order:?} is no question"),
        }
    }
}

fn machines() -> impl Strategy<Value = (Vec<bool>, Machine)> {
    let state = prop::sample::select(vec![Running, Stopped, Stopped, Failed, Unknown]);
    let told = prop::sample::select(vec![
        Told::Worked,
        Told::Worked,
        Told::Worked,
        Told::Refused,
        Told::Lost,
        Told::Impossible,
    ]);
    (0usize..6).prop_flat_map(move |n| {
        let status = prop::collection::vec(prop::collection::vec((state.clone(), any::<bool>()), 1..5), n);
        let action = prop::collection::vec(prop::collection::vec(told.clone(), 1..5), n);
        let forgiving = prop::collection::vec(any::<bool>(), n);
        (forgiving, status, action).prop_map(move |(forgiving, status, action)| {
            (forgiving, Machine { status, action, asked: vec![0; n], acted: vec![0; n] })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold((forgiving, mut machine) in machines(), keep in any::<bool>(), stop_retries in 0u32..4,
            goal in prop::sample::select(vec![Goal::Start, Goal::Stop, Goal::Restart])) {
        let n = forgiving.len();
        let rules = Rules { stop_retries, keep };
        let mut sequence = Sequence::new(goal, forgiving.clone(), rules);
        // What is really so, as far as the orders tell: the last answer of each, whether this call started it.
        let mut last_asked = vec![None; n];
        let mut started: Vec<usize> = Vec::new();
        let (mut tries, mut lost) = (vec![0u32; n], vec![0u32; n]);
        let mut given_up = None; // a stop that failed for good: nothing may follow
        let mut failed_start = None;
        let mut stopped_in_order: Vec<usize> = Vec::new();
        for _ in 0..10_000 {
            let order = sequence.order();
            if let Order::End(end) = order {
                match end {
                    End::Done => prop_assert!(failed_start.is_none() && given_up.is_none()),
                    End::NotStarted { at, .. } => prop_assert!(failed_start == Some(at) && given_up.is_none() && (keep || started.is_empty())),
                    End::Unheard => prop_assert!(false, "nobody said so"),
                    End::CannotTell(_) => prop_assert!(given_up.is_none() && (keep || started.is_empty())),
                    End::NotStopped { at, .. } => prop_assert_eq!(given_up, Some(at)),
                }
                if end == End::Done && goal == Goal::Stop {
                    prop_assert_eq!(&stopped_in_order, &(0..n).rev().collect::<Vec<_>>());
                }
                // The end is the end.
                for told in [Told::Worked, Told::Refused, Told::Paused, Told::Off, Told::State(Stopped, true)] {
                    sequence.told(told);
                    prop_assert_eq!(sequence.order(), order);
                }
                return Ok(());
            }
            prop_assert!(given_up.is_none(), "{order:?} after a stop that failed for good");
            if order == Pause {
                sequence.told(Told::Paused);
                prop_assert!(matches!(sequence.order(), Stop(_)));
                continue;
            }
            let told = machine.answer(order);
            match order {
                Ask(at) => last_asked[at] = Some(told),
                Start(at) => {
                    // Only what was asked, and did not run or was stopped because it had failed.
                    prop_assert!(!matches!(last_asked[at], None | Some(Told::State(Running, _) | Told::State(Unknown, false))));
                    prop_assert!(started.iter().all(|s| *s < at), "{started:?} before {at}");
                    prop_assert!(failed_start.is_none());
                    if told == Told::Worked { started.push(at) } else { failed_start = Some(at) }
                }
                Stop(at) => {
                    tries[at] += 1;
                    // Never one that stands before another that this call has started and not stopped.
                    prop_assert!(started.iter().all(|s| *s <= at), "{at} before {started:?}");
                    if told == Told::Worked {
                        started.retain(|s| *s != at);
                        stopped_in_order.push(at);
                        tries[at] = 0;
                        last_asked[at] = Some(Told::State(Stopped, false)); // its agent's word, as good as an answer
                        lost[at] = 0;
                    } else {
                        lost[at] += u32::from(told == Told::Lost);
                        let spent = told == Told::Impossible || tries[at] > stop_retries || (told == Told::Lost && lost[at] > 1);
                        if spent && !(told == Told::Refused && forgiving[at]) {
                            given_up = Some(at);
                        }
                    }
                    prop_assert!(tries[at] <= stop_retries + 1);
                }
                _ => unreachable!(),
            }
            match (order, told) {
                // A forgiving one was asked after its stop was refused to the last.
                (Ask(at), Told::Off) if tries[at] > 0 => {
                    prop_assert!(tries[at] > stop_retries);
                    started.retain(|s| *s != at);
                    stopped_in_order.push(at);
                    (tries[at], lost[at]) = (0, 0);
                }
                (Ask(at), Told::State(..)) if tries[at] > stop_retries => given_up = Some(at),
                _ => {}
            }
            sequence.told(told);
        }
        prop_assert!(false, "no end");
    }
}
