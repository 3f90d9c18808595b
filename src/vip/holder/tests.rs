//! The holder in simulated time.

use super::*;
use proptest::prelude::*;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 5]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 9]);
const THIRD: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn ms(n: u64) -> Instant {
    Instant::at(Duration::from_millis(n))
}

fn settings() -> Settings {
    Settings {
        lease: Duration::from_secs(3),
        probe: Some(Duration::from_millis(60)),
        announce: 5,
        announce_every: Duration::from_secs(1),
        refresh: Some(Duration::from_secs(60)),
        on_conflict: OnConflict::Defend,
        overridden: Vec::new(),
        asker: OWN,
        own: vec![OWN],
        feed: None,
        probe_every: None,
        answers_are_announced: false,
    }
}

/// A holder with a clock: runs to a time through every deadline on the way, and keeps what was done when.
struct Run {
    holder: Holder,
    now: u64,
    log: Vec<(u64, Action)>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        Self { holder: Holder::new(settings, ms(0)), now: 0, log: Vec::new() }
    }

    fn step(&mut self, input: Input) -> Vec<Action> {
        let actions = self.holder.step(input, ms(self.now));
        self.log.extend(actions.iter().map(|a| (self.now, a.clone())));
        actions
    }

    fn to(&mut self, until: u64) {
        while !self.ended() {
            let at = self.holder.deadline().since_boot().as_micros().div_ceil(1000) as u64;
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            self.step(Input::Tick);
        }
        self.now = until;
    }

    /// Time passes without us.
    fn freeze(&mut self, for_ms: u64) {
        self.now += for_ms;
    }

    fn hear(&mut self, mac: Mac, kind: Kind) -> Vec<Action> {
        self.step(Input::Heard(Claim { mac, kind }))
    }

    fn ended(&self) -> bool {
        self.log.iter().any(|(_, a)| matches!(a, Action::End(_)))
    }

    fn times(&self, wanted: impl Fn(&Action) -> bool) -> Vec<u64> {
        self.log.iter().filter(|(_, a)| wanted(a)).map(|(t, _)| *t).collect()
    }

    fn news(&self) -> Vec<&News> {
        self.log.iter().filter_map(|(_, a)| if let Action::Say(news) = a { Some(news) } else { None }).collect()
    }
}

fn has(actions: &[Action], wanted: &Action) -> bool {
    actions.contains(wanted)
}

#[test]
fn a_quiet_life() {
    let mut run = Run::new(settings());
    run.to(125_000);
    let renewals = run.times(|a| *a == Action::Renew);
    assert_eq!(renewals.len(), 166, "every quarter of the lease");
    assert!(renewals.windows(2).all(|w| w[1] - w[0] <= 1500));
    assert_eq!(run.times(|a| *a == Action::Announce(Why::Repeat)), [1000, 2000, 3000, 4000]);
    assert_eq!(run.times(|a| *a == Action::Announce(Why::Refresh)), [60_000, 120_000]);
    assert_eq!(run.times(|a| matches!(a, Action::Ask(_))), [] as [u64; 0]);
}

#[test]
fn deleted_by_somebody_it_asks_and_puts_it_back() {
    let mut run = Run::new(settings());
    run.to(10_000);
    let actions = run.step(Input::Removed);
    assert_eq!(actions, [Action::Say(News::Missing), Action::Ask(None)]);
    run.to(10_059);
    assert!(!run.times(|a| *a == Action::Renew).iter().any(|t| *t >= 10_000));
    run.to(10_060);
    assert_eq!(run.times(|a| *a == Action::Ask(None)), [10_000, 10_020, 10_040]);
    assert_eq!(run.log.last().map(|l| l.1.clone()), Some(Action::Announce(Why::Restored)));
    assert!(run.news().contains(&&News::Restored { changed: true }));
}

#[test]
fn deleted_and_taken_by_another_it_is_lost() {
    let mut run = Run::new(settings());
    run.to(10_000);
    run.step(Input::Removed);
    let actions = run.hear(OTHER, Kind::Answer);
    assert!(matches!(
        &actions[..],
        [Action::Remove, Action::Say(News::Lost { macs, .. }), Action::End(Ending::Lost)] if macs == &[OTHER]
    ));
    assert!(run.step(Input::Tick).is_empty());
}

#[test]
fn back_from_a_freeze_it_asks_before_it_touches_anything() {
    for (gap, expired) in [(1_600, false), (30_000, true)] {
        let mut run = Run::new(settings());
        run.to(10_000);
        run.freeze(gap);
        let first = run.step(if expired { Input::Removed } else { Input::Tick });
        assert!(matches!(first[0], Action::Say(News::Stalled { .. })));
        assert!(!has(&first, &Action::Renew));
        let back = run.now;
        run.to(back + 60);
        assert_eq!(run.times(|a| *a == Action::Renew).last(), Some(&(back + 60)));
        assert!(run.news().contains(&&News::Restored { changed: expired }));
    }
}

#[test]
fn back_from_a_freeze_with_another_holder_it_lets_go() {
    let mut run = Run::new(settings());
    run.to(10_000);
    run.freeze(2_000);
    run.step(Input::Tick);
    let actions = run.hear(OTHER, Kind::Answer);
    assert_eq!(actions[0], Action::Remove, "the address was still there");
    assert!(has(&actions, &Action::End(Ending::Lost)));
}

#[test]
fn the_one_it_was_stolen_from_never_makes_it_lost_but_anybody_else_does() {
    for (answering, lost) in [(OTHER, false), (THIRD, true)] {
        let mut run = Run::new(Settings { overridden: vec![OTHER], ..settings() });
        run.to(10_000);
        run.step(Input::Removed);
        run.hear(answering, Kind::Answer);
        run.to(10_100);
        assert_eq!(run.ended(), lost);
    }
}

#[test]
fn a_claim_without_an_answer_is_only_reported() {
    let mut run = Run::new(settings());
    run.to(10_000);
    let actions = run.hear(OTHER, Kind::Announcement);
    assert_eq!(actions, [Action::Announce(Why::Defence), Action::Ask(Some(OTHER))]);
    run.to(11_000);
    assert_eq!(run.times(|a| *a == Action::Ask(Some(OTHER))), [10_000, 10_150, 10_300]);
    assert!(matches!(run.news()[..], [News::Claim { mac: OTHER, confirmed: false, .. }]));
}

#[test]
fn a_confirmed_conflict_is_defended_once_a_second_until_it_is_over() {
    let mut run = Run::new(settings());
    run.to(10_000);
    run.hear(OTHER, Kind::Announcement);
    run.now += 1;
    run.hear(OTHER, Kind::Answer);
    assert!(run.news().iter().any(|n| matches!(n, News::Conflict { mac: OTHER, is: true, .. })));
    // It answers every question for ten seconds, and announces itself twenty times a second.
    for _ in 0..200 {
        let next = run.now + 50;
        run.to(next);
        run.hear(OTHER, Kind::Announcement);
        run.hear(OTHER, Kind::Answer);
    }
    let defences = run.times(|a| *a == Action::Announce(Why::Defence));
    assert!(defences.windows(2).all(|w| w[1] - w[0] >= 1000), "{defences:?}");
    assert!(defences.len() >= 9);
    let silent_from = run.now;
    run.to(silent_from + 5000);
    assert!(run.news().iter().any(|n| matches!(n, News::Conflict { mac: OTHER, is: false, .. })));
    assert!(!run.times(|a| *a == Action::Announce(Why::ConflictOver)).is_empty());
    assert!(!run.ended());
}

#[test]
fn yield_gives_it_up_but_not_to_the_one_it_was_taken_from() {
    for (overridden, ends) in [(vec![], true), (vec![OTHER], false)] {
        let mut run = Run::new(Settings { on_conflict: OnConflict::Yield, overridden, ..settings() });
        run.to(1_500);
        run.hear(OTHER, Kind::Request);
        run.now += 1;
        let actions = run.hear(OTHER, Kind::Answer);
        assert_eq!(has(&actions, &Action::Remove), ends);
        assert_eq!(has(&actions, &Action::End(Ending::Lost)), ends);
    }
}

#[test]
fn a_watching_holder_finds_another_by_asking() {
    let mut run = Run::new(Settings { probe_every: Some(Duration::from_millis(500)), ..settings() });
    run.to(700);
    assert_eq!(run.times(|a| *a == Action::Ask(None)), [500]);
    run.hear(OTHER, Kind::Answer);
    assert!(matches!(run.news()[..], [News::Claim { confirmed: true, .. }, News::Conflict { is: true, .. }]));
}

#[test]
fn a_question_of_another_is_reported_and_nothing_else() {
    let mut run = Run::new(settings());
    run.to(10_000);
    for _ in 0..30 {
        run.now += 10;
        let actions = run.hear(OTHER, Kind::Probe);
        assert!(actions.iter().all(|a| matches!(a, Action::Say(News::Claim { kind: Kind::Probe, .. }))));
    }
    assert_eq!(run.news().len(), 1, "once a second");
}

#[test]
fn a_carrier_loss_is_told_and_followed_by_announcements() {
    let mut run = Run::new(settings());
    run.to(20_000);
    assert_eq!(run.step(Input::Carrier(false)), [Action::Say(News::Carrier { is: false })]);
    run.to(50_000);
    assert!(run.times(|a| matches!(a, Action::Announce(_))).iter().all(|t| *t < 20_000));
    assert!(run.times(|a| *a == Action::Renew).iter().any(|t| *t > 40_000));
    let back = run.step(Input::Carrier(true));
    assert_eq!(back, [Action::Say(News::Carrier { is: true }), Action::Announce(Why::CarrierBack), Action::Ask(None)]);
    assert!(run.hear(OTHER, Kind::Answer).iter().any(|a| matches!(a, Action::Say(News::Conflict { .. }))));
}

#[test]
fn in_doubt_without_a_carrier_it_waits_for_one() {
    let mut run = Run::new(settings());
    run.to(10_000);
    run.step(Input::Carrier(false));
    run.step(Input::Removed);
    run.to(60_000);
    assert!(run.times(|a| *a == Action::Renew).iter().all(|t| *t <= 10_000));
    run.step(Input::Carrier(true));
    run.to(60_100);
    assert!(run.times(|a| *a == Action::Renew).contains(&60_060));
}

#[test]
fn what_could_not_be_asked_was_not_answered() {
    let mut run = Run::new(settings());
    run.to(10_000);
    run.step(Input::Removed);
    for _ in 0..5 {
        run.step(Input::NotAsked);
        let next = run.now + 499;
        run.to(next);
        assert!(run.times(|a| *a == Action::Renew).iter().all(|t| *t <= 10_000));
    }
    run.to(run.now + 561);
    assert_eq!(run.times(|a| *a == Action::Renew).iter().filter(|t| **t > 10_000).count(), 1);
}

#[test]
fn an_address_that_cannot_be_put_is_not_announced() {
    let mut run = Run::new(settings());
    run.to(10_000);
    run.step(Input::NotPut);
    run.step(Input::Removed);
    let announced =
        |run: &Run| run.times(|a| matches!(a, Action::Announce(_))).iter().filter(|t| **t >= 10_000).count();
    run.to(10_400);
    assert_eq!(announced(&run), 0);
    run.to(11_000);
    assert_eq!(announced(&run), 1, "once it was put again");
}

#[test]
fn nobody_reads_on() {
    let mut run = Run::new(settings());
    run.to(100);
    assert_eq!(run.step(Input::Unread), [Action::Remove, Action::End(Ending::Unread)]);
}

#[test]
fn ends() {
    let ending = |settings: Settings, input: Input| {
        let mut run = Run::new(settings);
        run.to(499);
        run.now = 500;
        run.step(input)
    };
    let dropped = |actions: &[Action], ending| matches!(actions, [Action::Remove, Action::Say(News::Dropped { .. }), Action::End(e)] if *e == ending);
    assert!(dropped(&ending(settings(), Input::Stop("SIGTERM")), Ending::Clean));
    assert!(dropped(&ending(settings(), Input::Eof), Ending::Clean));
    let feed = Settings { feed: Some(Duration::from_millis(500)), ..settings() };
    assert!(dropped(&ending(feed.clone(), Input::Tick), Ending::Starved));
    assert_eq!(ending(feed, Input::Fed), []);
    assert!(matches!(ending(settings(), Input::LinkGone)[..], [Action::Say(_), Action::End(Ending::Gone)]));
}

fn input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![Just(Kind::Answer), Just(Kind::Announcement), Just(Kind::Request), Just(Kind::Probe)];
    let mac = prop_oneof![Just(OTHER), Just(THIRD), Just(OWN)];
    prop_oneof![
        4 => Just(Input::Tick),
        1 => Just(Input::Removed),
        1 => any::<bool>().prop_map(Input::Carrier),
        3 => (mac, kind).prop_map(|(mac, kind)| Input::Heard(Claim { mac, kind })),
    ]
}

proptest! {
    /// Whatever happens in whatever order: after a doubt no renewal without a full round of questions on a live
    /// carrier in which nobody answered; no defence twice in a second; nothing at all after the end.
    #[test]
    fn never_touches_the_address_in_doubt(events in prop::collection::vec((0u64..2500, input()), 1..120)) {
        let mut run = Run::new(settings());
        let mut doubt = false;
        let mut questions = 0;
        let mut answered = false;
        let mut carrier = true;
        let mut last_defence = None;
        for (pause, input) in events {
            // Up to 2.5 s at once is sometimes more than half a lease: a freeze.
            run.now += pause;
            let frozen = run.now - run.holder.ran.since_boot().as_millis() as u64 > 1500;
            if run.ended() {
                prop_assert!(run.step(input).is_empty());
                continue;
            }
            let newly = frozen || (input == Input::Removed && !doubt);
            if newly { (doubt, questions, answered) = (true, 0, false); }
            if let Input::Carrier(is) = input {
                if is != carrier { questions = 0; answered = false; }
                carrier = is;
            }
            if let Input::Heard(Claim { mac, kind }) = input
                && doubt && carrier && mac != OWN && kind != Kind::Probe { answered = true; }
            for action in run.step(input) {
                match action {
                    Action::Ask(None) => questions += 1,
                    Action::Renew => {
                        prop_assert!(!doubt || (questions >= 3 && !answered && carrier));
                        doubt = false;
                    }
                    Action::Announce(why) => {
                        prop_assert!(carrier);
                        if why == Why::Defence {
                            prop_assert!(last_defence.is_none_or(|t| run.now - t >= 1000));
                            last_defence = Some(run.now);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The holder is never asked back later than a quarter of a lease, so a silence of half a lease is a freeze.
    #[test]
    fn comes_back_in_time(events in prop::collection::vec((0u64..700, input()), 1..60)) {
        let mut run = Run::new(settings());
        for (pause, input) in events {
            run.now += pause;
            run.step(input);
            let back = run.holder.deadline().since(ms(run.now));
            prop_assert!(back <= Duration::from_millis(750));
        }
    }
}
