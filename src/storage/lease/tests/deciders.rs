//! The deciders, step by step.

use std::time::Duration;

use super::super::contender::{self, Contender};
use super::super::keeper::{self, Tenure};
use super::super::record::{Image, Record, Sector};
use super::super::terms::Terms;
use crate::clock::Instant;

fn terms() -> Terms {
    Terms::new("device", "ha1", Duration::from_secs(10))
}

fn ms(ms: u64) -> Instant {
    Instant::at(Duration::from_millis(1_000_000 + ms))
}

fn theirs(counter: u64) -> Record {
    Record { counter, generation: 7, nonce: 99, lease: Duration::from_secs(10), node: "ha2".to_owned() }
}

fn image(lease: Sector) -> Option<Image> {
    Some(Image { lease, note: None })
}

fn held(counter: u64) -> Option<Image> {
    image(Sector::Record(theirs(counter)))
}

/// Looks at a moment, with an answer 1 ms later; what it wants next.
fn look(c: &mut Contender, at: u64, image: Option<Image>) -> contender::Step {
    assert!(matches!(c.next(ms(at)), contender::Step::Read), "at {at}");
    c.read(ms(at + 1), image);
    c.next(ms(at + 1))
}

/// Looks whenever it wants to, until it writes; when that look began, and what it writes.
fn until_it_writes(c: &mut Contender, from: u64, image: &Option<Image>) -> (u64, Record) {
    let mut at = from;
    loop {
        match look(c, at, image.clone()) {
            contender::Step::Wait(until) => at = until.since(ms(0)).as_millis() as u64,
            contender::Step::Write { record, not_after } => {
                assert_eq!(not_after, ms(at + 1000));
                return (at, record);
            }
            other => panic!("{other:?}"),
        }
        assert!(at < from + 100_000);
    }
}

#[test]
fn a_lease_that_stands_still_is_taken_after_its_whole_time() {
    for (lease, waits) in [(10, 10_250), (4, 10_250), (20, 20_500)] {
        let record = Record { lease: Duration::from_secs(lease), ..theirs(5) };
        let mut c = Contender::new(terms(), 1, ms(0));
        let (at, ours) = until_it_writes(&mut c, 0, &image(Sector::Record(record)));
        // Looks come each 500 ms and 1 ms; the first was over at 1 ms.
        assert!((waits + 1..waits + 502).contains(&at), "{at}");
        assert_eq!((ours.counter, ours.generation, ours.nonce, ours.node.as_str()), (6, 8, 1, "ha1"));
        assert!(!c.renewed());

        c.wrote(ms(at + 3), true);
        assert!(matches!(c.next(ms(at + 3)), contender::Step::Wait(until) if until == ms(at + 3 + 1025)));
        let contender::Step::Won(tenure) = look(&mut c, at + 1028, image(Sector::Record(ours))) else { panic!() };
        // From the beginning of the write, a quarter less than the lease.
        assert_eq!(tenure.held_until(), ms(at + 1 + 7500));
        assert_eq!(tenure.generation(), 8);
    }
}

/// What a slow look shows may have been read at its beginning.
#[test]
fn a_look_counts_from_its_beginning() {
    let mut c = Contender::new(terms(), 1, ms(0));
    look(&mut c, 0, held(5));
    assert!(matches!(c.next(ms(10_250)), contender::Step::Read));
    c.read(ms(10_400), held(5));
    assert!(matches!(c.next(ms(10_400)), contender::Step::Wait(_)));
    assert!(matches!(look(&mut c, 10_900, held(5)), contender::Step::Write { .. }));
}

#[test]
fn blank_and_garbled_ones_wait_too_and_failures_change_nothing() {
    for lease in [Sector::Blank, Sector::Garbled(Box::new([1; 512]))] {
        let mut c = Contender::new(terms(), 1, ms(0));
        assert!(matches!(look(&mut c, 0, image(lease.clone())), contender::Step::Wait(_)));
        assert!(matches!(look(&mut c, 5000, None), contender::Step::Wait(_)));
        let (at, ours) = until_it_writes(&mut c, 5251, &image(lease));
        assert!((10_251..10_760).contains(&at), "{at}");
        assert_eq!((ours.counter, ours.generation), (1, 1));
    }
}

#[test]
fn the_longest_lease_seen_counts_for_a_garbled_one() {
    let mut c = Contender::new(terms(), 1, ms(0));
    look(&mut c, 0, image(Sector::Record(Record { lease: Duration::from_secs(30), ..theirs(1) })));
    let (at, ours) = until_it_writes(&mut c, 501, &image(Sector::Garbled(Box::new([1; 512]))));
    assert!(at > 501 + 30_750 && ours.generation == 8, "{at}");
}

#[test]
fn a_renewal_starts_the_wait_anew_and_shows_that_they_live() {
    let mut c = Contender::new(terms(), 1, ms(0));
    look(&mut c, 0, held(5));
    assert!(!c.renewed() && c.rival().unwrap().node == "ha2");
    look(&mut c, 10_000, held(6));
    assert!(c.renewed());
    let (at, _) = until_it_writes(&mut c, 10_501, &held(6));
    assert!(at >= 10_001 + 10_250, "{at}");
}

#[test]
fn a_note_for_that_nonce_ends_the_wait() {
    let mut c = Contender::new(terms(), 1, ms(0));
    let other = Record { nonce: 98, generation: 20, ..theirs(1) };
    let lease = Sector::Record(theirs(5));
    look(&mut c, 0, Some(Image { lease: lease.clone(), note: Some(other) }));
    let note = Some(Image { lease, note: Some(theirs(5)) });
    let contender::Step::Write { record, .. } = look(&mut c, 501, note) else { panic!() };
    // Whatever generation was seen anywhere is in the past.
    assert_eq!((record.generation, c.renewed()), (21, false));
}

#[test]
fn what_is_foreign_is_never_written() {
    let mut c = Contender::new(terms(), 1, ms(0));
    assert!(matches!(look(&mut c, 0, image(Sector::Foreign("x"))), contender::Step::Foreign("x")));
    for at in 0..100 {
        assert!(matches!(c.next(ms(at * 1000)), contender::Step::Wait(_)));
    }
}

#[test]
fn a_write_that_failed_was_late_or_was_written_over_wins_nothing() {
    let blank = image(Sector::Blank);
    for (took, done) in [(3, false), (1002, true), (50_000, true)] {
        let mut c = Contender::new(terms(), 1, ms(0));
        let (at, first) = until_it_writes(&mut c, 0, &blank);
        c.wrote(ms(at + took), done);
        let ours = image(Sector::Record(first.clone()));
        // Its own record is like anybody's now.
        let (again, second) = until_it_writes(&mut c, at + took + 250, &ours);
        assert!(again > at + took + 10_250 && second.nonce != first.nonce, "{took} {again}");
    }
    let mut c = Contender::new(terms(), 1, ms(0));
    let (at, _) = until_it_writes(&mut c, 0, &blank);
    c.wrote(ms(at + 3), true);
    assert!(matches!(look(&mut c, at + 1028, held(1)), contender::Step::Wait(_)));
    assert!(c.renewed() && c.may_stop());
    until_it_writes(&mut c, at + 2000, &held(1));
}

#[test]
fn a_confirmation_after_the_end_of_belief_wins_nothing() {
    let mut c = Contender::new(terms(), 1, ms(0));
    let (at, ours) = until_it_writes(&mut c, 0, &image(Sector::Blank));
    c.wrote(ms(at + 3), true);
    assert!(matches!(c.next(ms(at + 1028)), contender::Step::Read));
    c.read(ms(at + 7501), image(Sector::Record(ours)));
    assert!(matches!(c.next(ms(at + 7501)), contender::Step::Wait(_)));
}

fn ours(counter: u64) -> Record {
    Record { counter, generation: 8, nonce: 1, lease: Duration::from_secs(10), node: "ha1".to_owned() }
}

fn kept(counter: u64) -> Option<Image> {
    image(Sector::Record(ours(counter)))
}

fn tenure() -> Tenure {
    Tenure::new(terms(), ours(5), ms(0))
}

/// A renewal that begins at a moment; looks and the write take 1 ms each.
fn renew(t: &mut Tenure, at: u64, before: Option<Image>, done: bool, after: Option<Image>) -> keeper::Step {
    assert_eq!(t.next(ms(at)), keeper::Step::Read, "at {at}");
    t.read(ms(at + 1), before);
    match t.next(ms(at + 1)) {
        keeper::Step::Write { .. } => {}
        other => return other,
    }
    t.wrote(ms(at + 2), done);
    match t.next(ms(at + 2)) {
        keeper::Step::Read => {}
        other => return other,
    }
    t.read(ms(at + 3), after);
    t.next(ms(at + 3))
}

#[test]
fn it_renews_every_eighth_of_the_lease() {
    let mut t = tenure();
    assert_eq!(t.next(ms(1028)), keeper::Step::Wait(ms(1250)));
    // The watchdog waits for 9 s: petted at 1251 + 1000, it bites with the end of the lease.
    assert_eq!(renew(&mut t, 1250, kept(5), true, kept(6)), keeper::Step::Renewed { pet_by: ms(2251) });
    assert_eq!((t.held_until(), t.expires()), (ms(1251 + 7500), ms(1251 + 10_000)));
    assert_eq!(t.next(ms(1253)), keeper::Step::Wait(ms(1251 + 1250)));
    assert_eq!(t.give_up(), Some(ours(6)));
    assert!(t.held_until() < ms(0), "who gave up does not believe");
}

#[test]
fn failures_are_tried_again_until_belief_ends() {
    let mut t = tenure();
    let trouble = |what| keeper::Step::Trouble(what);
    assert_eq!(renew(&mut t, 1250, None, true, None), trouble("the lease could not be read"));
    assert_eq!(t.next(ms(1251)), keeper::Step::Wait(ms(1501)));
    assert_eq!(renew(&mut t, 1501, kept(5), false, None), trouble("the lease could not be written"));
    // It landed in part though it failed; then one is lost on the way.
    let torn = image(Sector::Garbled(Box::new([1; 512])));
    assert_eq!(renew(&mut t, 1800, torn, true, kept(5)), trouble("what was written is not what can be read"));
    assert_eq!(renew(&mut t, 2100, kept(6), true, None), trouble("the lease could not be read"));
    // The write before landed, which nobody could read: no belief comes of that.
    assert_eq!(t.held_until(), ms(7500));
    assert_eq!(t.next(ms(7499)), keeper::Step::Read);
    t.read(ms(7500), kept(8));
    assert_eq!(t.next(ms(7500)), keeper::Step::Lost("it could not be renewed in time".to_owned()));
    assert!(matches!(t.next(ms(7501)), keeper::Step::Wait(_)));
    // Every write was over in time: the nonce may be given up.
    assert!(t.give_up().is_some());
}

/// Somebody may have waited for a lease in the meantime, looked before our write and be about to write over it.
#[test]
fn a_renewal_that_is_read_back_after_the_end_of_belief_prolongs_nothing() {
    let mut t = tenure();
    assert_eq!(t.next(ms(1250)), keeper::Step::Read);
    t.read(ms(6000), kept(5));
    assert!(matches!(t.next(ms(6000)), keeper::Step::Write { .. }));
    t.wrote(ms(7400), true);
    assert_eq!(t.next(ms(7400)), keeper::Step::Read);
    t.read(ms(7500), kept(6));
    assert_eq!(t.next(ms(7500)), keeper::Step::Lost("it could not be renewed in time".to_owned()));
    assert_eq!(t.expires(), ms(10_000));
}

#[test]
fn what_stands_over_our_record_ends_it_at_once() {
    let torn = || Sector::Garbled(Box::new([1; 512]));
    for (lease, cause) in [
        (Sector::Record(theirs(6)), "ha2 wrote over it"),
        (torn(), "somebody wrote over it, and not wholly"),
        (Sector::Blank, "somebody blanked it"),
        (Sector::Foreign("x"), "somebody wrote over it: x"),
        (
            Sector::Record(ours(4)),
            "it stands at write 4 where 5 to 5 was expected: the device lost writes, or this machine was copied",
        ),
        (
            Sector::Record(ours(6)),
            "it stands at write 6 where 5 to 5 was expected: the device lost writes, or this machine was copied",
        ),
    ] {
        let mut t = tenure();
        let lost = keeper::Step::Lost(cause.to_owned());
        assert_eq!(renew(&mut t, 1250, image(lease.clone()), true, None), lost);
        assert!(t.held_until() < ms(0) && t.give_up().is_some());
        // Found by the reading back: whatever is neither ours nor a part of it.
        if !matches!(lease, Sector::Garbled(_)) && lease != Sector::Record(ours(6)) {
            let found = renew(&mut tenure(), 1250, kept(5), true, image(lease));
            assert!(matches!(found, keeper::Step::Lost(_)), "{found:?}");
        }
    }
}

/// Whether something may still be written to what the lease protects.
#[test]
fn it_is_over_when_somebody_else_may_have_it() {
    let t = tenure();
    assert!(!t.over(ms(9_999)) && t.over(ms(10_000)), "belief ends before");
    // In the same time: a holder that came later, seen by a machine whose clock stood still; and a late write.
    for (generation, over) in [(9, true), (8, false), (7, false)] {
        let mut t = tenure();
        let lost = renew(&mut t, 1250, image(Sector::Record(Record { generation, ..theirs(6) })), true, None);
        assert!(matches!(lost, keeper::Step::Lost(_)), "{lost:?}");
        assert_eq!(t.over(ms(1300)), over, "generation {generation} over 8");
    }
}

#[test]
fn a_write_that_may_stray_forbids_giving_up() {
    // Stopped on its way to the write.
    let begin = || {
        let mut t = tenure();
        assert_eq!(t.next(ms(1250)), keeper::Step::Read);
        t.read(ms(1251), kept(5));
        assert!(matches!(t.next(ms(1251)), keeper::Step::Write { not_after, .. } if not_after == ms(7500)));
        t
    };
    let mut t = begin();
    t.wrote(ms(9000), true);
    assert!(matches!(t.next(ms(9000)), keeper::Step::Lost(_)));
    assert_eq!(t.give_up(), None);
    // Under way when belief ends, or when it is given up.
    let mut t = begin();
    assert!(matches!(t.next(ms(7500)), keeper::Step::Lost(_)));
    t.wrote(ms(7501), true);
    assert_eq!(t.give_up(), None);
    assert_eq!(begin().give_up(), None);
    // Over in time.
    let mut t = begin();
    t.wrote(ms(7499), true);
    assert!(t.give_up().is_some());
}

#[test]
fn a_late_petting_ends_it() {
    let mut t = tenure();
    assert!(matches!(renew(&mut t, 1250, kept(5), true, kept(6)), keeper::Step::Renewed { .. }));
    t.petted_late();
    assert_eq!(t.next(ms(2000)), keeper::Step::Lost("the watchdog was reached too late".to_owned()));
}
