//! One node and what it hears, step by step: rules that a simulation meets too seldom to be sure of them.

use std::time::Duration;

use super::super::action::Action;
use super::super::cluster::{Cluster, Limits};
use super::super::input::{Input, Order, Voice, What, Which};
use super::super::report::{Entry, Mark, Report, Seen};
use super::super::{Decider, NodeState};
use crate::clock::Instant;
use crate::config::ha_cf::{AutoFailback, HaCf, PingGroup, Stonith};
use crate::config::haresources;

/// A node n0 of a cluster, at a time in milliseconds.
struct Table {
    brain: Decider,
    now: u64,
    /// Its last report, and what it did since it was last asked.
    said: Option<Report>,
    did: Vec<Action>,
    digest: u16,
    numbers: Vec<u64>,
    /// The generation of the others' heartbeats.
    generation: u64,
    /// What the others say that they have: node, group, mark.
    others: Vec<(usize, usize, Mark)>,
    keys: Vec<u32>,
}

#[derive(Default)]
struct Kind {
    arbiter: bool,
    fencing: bool,
    failback: bool,
    limit: Option<usize>,
    unready: bool,
}

impl Table {
    /// In its seventh generation, with these groups' candidates.
    fn new(nodes: usize, groups: &[&[usize]], kind: &Kind) -> Self {
        let name = |n: &usize| format!("n{n}");
        let ms = Duration::from_millis;
        let router = PingGroup { name: "r".into(), hosts: vec!["r".into()] };
        let device = Stonith { host: Some("*".into()), kind: "test".into(), parameters: Vec::new() };
        let ha_cf = HaCf {
            nodes: (0..nodes).map(|n| name(&n)).collect(),
            keepalive: ms(500),
            deadtime: ms(2000),
            initdead: ms(4000),
            auto_failback: if kind.failback { AutoFailback::On } else { AutoFailback::Off },
            ping_groups: if kind.arbiter { vec![router] } else { Vec::new() },
            stonith: if kind.fencing { vec![device] } else { Vec::new() },
            ..HaCf::default()
        };
        let groups: Vec<_> = groups
            .iter()
            .enumerate()
            .map(|(g, candidates)| haresources::Group {
                id: format!("g{g}"),
                nodes: candidates.iter().map(name).collect(),
                resources: Vec::new(),
                line: 1,
            })
            .collect();
        let limits = Limits { lease: ms(2000), stop: ms(3000), groups: kind.limit.unwrap_or(usize::MAX) };
        let cluster = Cluster::new(&ha_cf, &groups, "n0", limits).unwrap();
        let mut table = Self {
            now: 0,
            said: None,
            did: Vec::new(),
            digest: cluster.digest,
            numbers: vec![0; nodes],
            generation: 3,
            others: Vec::new(),
            keys: cluster.groups.iter().map(|g| g.key).collect(),
            brain: Decider::new(cluster),
        };
        table.take(What::Generation(7));
        if !kind.unready {
            table.take(What::Ready);
        }
        table
    }

    fn take(&mut self, what: What) {
        let now = Some(Instant::at(Duration::from_millis(self.now)));
        let source = format!("table:{}", self.now);
        for decision in self.brain.take(Input { now, at: None, source, what }) {
            if let Action::Order { report: Some(text), .. } = &decision.action {
                self.said = Report::decode(text);
            }
            self.did.push(decision.action);
        }
    }

    fn becomes(&mut self, n: usize, is: NodeState) {
        let silent = Some(Duration::from_millis(if is == NodeState::Dead { 2000 } else { 0 }));
        self.take(What::Node { node: format!("n{n}"), is, silent, deadtime: None });
    }

    /// What a node would say that has heard our last report, and hears these.
    fn report(&self, n: usize, hears: &[usize]) -> Report {
        let ours = self.said.as_ref().map_or(0, |said| said.version);
        let seen = (0..self.numbers.len()).map(|m| match m {
            m if m == n => Seen::Own,
            0 if hears.contains(&0) => Seen::Heard(ours),
            m if hears.contains(&m) => Seen::Heard(0x3_0001),
            _ => Seen::Deaf,
        });
        let has = self.others.iter().filter(|(m, ..)| *m == n);
        Report {
            digest: self.digest,
            generation: self.generation,
            version: 0x3_0001,
            ready: true,
            leaving: false,
            pings: None,
            seen: seen.collect(),
            groups: has
                .map(|(_, g, mark)| Entry { key: self.keys[*g], mark: *mark, ordered: false, doubtful: false })
                .collect(),
        }
    }

    fn hears(&mut self, n: usize, voice: Voice) {
        self.numbers[n] += 1;
        let (node, status) = (format!("n{n}"), "active".to_owned());
        let (generation, number) = (self.generation, self.numbers[n]);
        self.take(What::Beat { node, status, generation, number, voice });
    }

    fn says(&mut self, n: usize, hears: &[usize]) {
        let report = self.report(n, hears);
        self.hears(n, Voice::Ours(report));
    }

    /// It says that it does this with a group, or nothing.
    fn with(&mut self, n: usize, g: usize, mark: impl Into<Option<Mark>>) {
        self.others.retain(|(m, h, _)| (*m, *h) != (n, g));
        self.others.extend(mark.into().map(|mark| (n, g, mark)));
    }

    fn done(&mut self, action: &str, of: &str, status: i64) {
        self.take(What::Done { action: action.into(), of: of.into(), status, cause: None });
    }

    fn passes(&mut self, ms: u64) {
        for _ in 0..ms / 500 {
            self.now += 500;
            self.take(What::Sent);
            self.take(What::Tick);
        }
    }

    /// What was started, stopped or fenced since, in words.
    fn did(&mut self) -> Vec<String> {
        let words = std::mem::take(&mut self.did).into_iter().filter_map(|action| match action {
            Action::Acquire { group, free, dead } => Some(format!("acquire {group} {free} {dead:?}")),
            Action::Release { group, addresses_first } => {
                Some(format!("release {group}{}", if addresses_first { ", its addresses first" } else { "" }))
            }
            Action::Fence { node } => Some(format!("fence {node}")),
            Action::Announce { group } => Some(format!("announce {group}")),
            Action::Prepare { group, node } => Some(format!("prepare {group} {node}")),
            Action::Refused { what } => Some(format!("refused {what}")),
            Action::Exit { status } => Some(format!("exit {status}")),
            _ => None,
        });
        words.collect()
    }

    #[track_caller]
    fn must(&mut self, wanted: &[&str]) {
        assert_eq!(self.did(), wanted, "at {}: {:?}", self.now, self.brain.explain());
    }

    fn why(&self, g: usize) -> String {
        self.brain.explain()[g].why.to_owned()
    }

    /// n0 has g0, which n1 may have, too; n2 is there in a cluster of three.
    fn holding(nodes: usize, kind: &Kind) -> Self {
        let mut t = Self::new(nodes, &[&[0, 1]], kind);
        for n in 1..nodes {
            t.becomes(n, NodeState::Up);
            t.says(n, &[0, 1, 2]);
        }
        (1..nodes).for_each(|n| t.says(n, &[0, 1, 2]));
        t.done("acquire", "g0", 0);
        t.must(&["acquire g0 true []"]);
        (1..nodes).for_each(|n| t.says(n, &[0, 1, 2]));
        t
    }
}

/// n0 and n1 do not hear each other, n2 hears both, and is none of the group's nodes.
#[test]
fn a_lasting_partial_cut_leaves_down_what_nobody_has_until_it_ends_or_a_node_dies() {
    let mut t = Table::new(3, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Dead);
    t.becomes(2, NodeState::Up);
    t.says(2, &[0, 1]);
    t.passes(3_600_000);
    t.must(&[]);
    assert_eq!(t.why(0), "n2 still hears n1");
    // It dies: n2 does not hear it any more, either. It is given the time to find out and to stop.
    t.says(2, &[0]);
    t.passes(4000);
    t.says(2, &[0]);
    t.must(&[]);
    t.passes(1000);
    t.says(2, &[0]);
    t.must(&["acquire g0 false [\"n1\"]"]);
}

#[test]
fn a_lasting_partial_cut_moves_nothing_to_a_node_that_hears_less() {
    let mut t = Table::new(3, &[&[0, 1]], &Kind::default());
    for n in [1, 2] {
        t.becomes(n, NodeState::Up);
        t.says(n, &[0]);
    }
    [1, 2].into_iter().for_each(|n| t.says(n, &[0]));
    t.done("acquire", "g0", 0);
    t.did();
    t.take(What::Order(Order::Standby(Which::All)));
    t.must(&["refused giving up g0"]);
}

#[test]
fn what_was_heard_of_an_earlier_start_is_no_answer_to_a_claim() {
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Up);
    // It has heard the thousandth report of our sixth generation, and one of the same count as the claim.
    for heard in [0x6_03e8, 0x6_0002, 1, 2, 3, 1000, 0xff_0001] {
        let mut old = t.report(1, &[0]);
        old.seen[0] = Seen::Heard(heard);
        t.hears(1, Voice::Ours(old));
        t.must(&[]);
    }
    assert_eq!(t.said.as_ref().unwrap().groups[0].mark, Mark::Claims);
    t.says(1, &[0]);
    t.must(&["acquire g0 true []"]);
}

#[test]
fn a_claim_that_was_made_before_our_heartbeats_began_anew_is_said_again() {
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.says(1, &[]);
    let mut idle = t.report(1, &[0]);
    idle.seen[0] = Seen::Heard(0);
    t.hears(1, Voice::Ours(idle));
    t.take(What::Generation(0x100));
    t.must(&[]);
    t.says(1, &[0]);
    t.must(&["acquire g0 true []"]);
}

/// n1 was away, and what it says when it is back changes what it said before: others may have taken it since.
#[test]
fn what_a_node_let_go_while_it_was_away_is_not_thought_free() {
    for away in [false, true] {
        let mut t = Table::new(5, &[&[0, 1]], &Kind::default());
        for n in 1..5 {
            t.becomes(n, NodeState::Up);
            t.with(1, 0, Mark::Releases);
            t.says(n, &[0, 1, 2, 3, 4]);
        }
        t.becomes(4, NodeState::Dead);
        (2..4).for_each(|n| t.says(n, &[0, 1, 2, 3]));
        if away {
            t.becomes(1, NodeState::Dead);
            t.becomes(1, NodeState::Up);
        }
        t.with(1, 0, None);
        t.says(1, &[0, 2, 3]);
        (1..4).for_each(|n| t.says(n, &[0, 1, 2, 3]));
        let wanted: &[&str] = if away { &[] } else { &["acquire g0 true []"] };
        t.must(wanted);
    }
}

#[test]
fn after_a_stall_most_nodes_have_to_answer() {
    for answers in [false, true] {
        let mut t = Table::holding(3, &Kind::default());
        t.now += 1900;
        t.take(What::Stalled { gap: Duration::from_millis(1900) });
        if answers {
            t.says(2, &[0, 1]);
        }
        t.passes(500);
        t.must(&[]);
        t.passes(500);
        let wanted: &[&str] = if answers { &[] } else { &["release g0, its addresses first"] };
        t.must(wanted);
    }
}

#[test]
fn after_a_stall_a_node_that_only_others_hear_may_have_taken_it() {
    for hears in [&[0, 1][..], &[0]] {
        let mut t = Table::holding(3, &Kind::default());
        t.now += 9000;
        t.take(What::Generation(8));
        t.take(What::Stalled { gap: Duration::from_secs(9) });
        t.says(2, hears);
        t.passes(2000);
        t.must(&[]);
        t.becomes(1, NodeState::Dead);
        let wanted: &[&str] = if hears.contains(&1) { &["release g0, its addresses first"] } else { &[] };
        t.must(wanted);
    }
}

#[test]
fn after_a_stall_nothing_is_taken_before_it_has_listened_again() {
    for stalled in [false, true] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind::default());
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Holds);
        t.now += 9000;
        if stalled {
            t.take(What::Stalled { gap: Duration::from_secs(9) });
        }
        t.becomes(1, NodeState::Dead);
        let wanted: &[&str] = if stalled { &[] } else { &["acquire g0 false [\"n1\"]"] };
        t.must(wanted);
        if stalled {
            t.passes(1500);
            t.must(&[]);
            t.passes(500);
            t.must(&["acquire g0 false [\"n1\"]"]);
        }
    }
}

#[test]
fn ping_nodes_that_nobody_reached_while_both_lived_tell_nothing() {
    for reached in [false, true] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind { arbiter: true, ..Kind::default() });
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Holds);
        let ping = |t: &mut Table, up| {
            let began = Some(Instant::at(Duration::from_millis(t.now)));
            t.take(What::Ping { host: "r".into(), up: Some(up), began });
        };
        for _ in 0..8 {
            ping(&mut t, reached);
            t.says(1, &[0]);
            t.passes(500);
        }
        t.becomes(1, NodeState::Dead);
        for _ in 0..8 {
            ping(&mut t, true);
            t.passes(500);
        }
        let wanted: &[&str] = if reached { &["acquire g0 false [\"n1\"]"] } else { &[] };
        t.must(wanted);
    }
}

#[test]
fn a_fencing_counts_for_the_death_that_it_was_asked_for() {
    for back in [false, true] {
        let mut t = Table::holding(2, &Kind { fencing: true, ..Kind::default() });
        t.becomes(1, NodeState::Dead);
        t.take(What::Lost { group: "g0".into(), cause: "it ended".into() });
        t.done("release", "g0", 0);
        t.passes(30_000);
        t.must(&["release g0", "fence n1"]);
        if back {
            t.becomes(1, NodeState::Up);
            t.with(1, 0, Mark::Holds);
            t.says(1, &[0]);
        }
        t.done("fence", "n1", 0);
        if !back {
            t.must(&["acquire g0 true []"]);
            continue;
        }
        t.becomes(1, NodeState::Dead);
        t.passes(10_000);
        t.must(&["fence n1"]);
        t.done("fence", "n1", 0);
        t.must(&["acquire g0 true []"]);
    }
}

#[test]
fn a_node_that_is_started_anew_before_it_is_missed_is_not_fenced_any_more() {
    let mut t = Table::new(2, &[&[1, 0]], &Kind { fencing: true, ..Kind::default() });
    t.becomes(1, NodeState::Dead);
    t.must(&["fence n1"]);
    t.take(What::Restarted { node: "n1".into() });
    t.must(&["fence n1"]);
}

#[test]
fn nothing_is_started_beside_a_node_of_another_version() {
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.hears(1, Voice::Foreign);
    t.passes(60_000);
    t.must(&[]);
    assert_eq!(t.why(0), "n1 speaks of its groups in words of another version");
}

#[test]
fn two_claims_at_once_do_not_exceed_the_limit() {
    let mut t = Table::new(2, &[&[0, 1], &[0, 1]], &Kind { limit: Some(1), ..Kind::default() });
    t.becomes(1, NodeState::Up);
    t.with(1, 0, Mark::Holds);
    t.says(1, &[]);
    t.says(1, &[0]);
    t.says(1, &[0]);
    t.must(&["acquire g1 true []"]);
    t.done("acquire", "g1", 1);
    t.did();
    // g0 comes free while g1 is claimed again.
    t.with(1, 0, None);
    let before = t.report(1, &[0]);
    t.passes(10_500);
    t.must(&[]);
    t.hears(1, Voice::Ours(before));
    let claims = t.said.as_ref().unwrap().groups.iter().filter(|entry| entry.mark == Mark::Claims);
    assert_eq!(claims.count(), 2);
    t.says(1, &[0]);
    assert_eq!(t.did().len(), 1);
}

/// A stop may fail: then it would have more than it may.
#[test]
fn what_a_node_stops_takes_room_until_it_has_stopped_it() {
    for status in [0, 1] {
        let mut t = Table::new(2, &[&[0, 1], &[0, 1]], &Kind { limit: Some(1), ..Kind::default() });
        t.becomes(1, NodeState::Up);
        t.with(1, 1, Mark::Holds);
        t.says(1, &[0]);
        t.says(1, &[0]);
        t.done("acquire", "g0", 0);
        t.must(&["acquire g0 true []"]);
        t.take(What::Lost { group: "g0".into(), cause: "it ended".into() });
        t.becomes(1, NodeState::Dead);
        t.must(&["release g0"]);
        t.done("release", "g0", status);
        let wanted: &[&str] = if status == 0 { &["acquire g1 false [\"n1\"]"] } else { &[] };
        t.must(wanted);
    }
    for theirs in [None, Some(Mark::Releases), Some(Mark::Stuck)] {
        let mut t = Table::new(2, &[&[1, 0], &[1, 0]], &Kind { limit: Some(1), ..Kind::default() });
        t.becomes(1, NodeState::Up);
        t.with(1, 1, theirs);
        t.says(1, &[0]);
        t.says(1, &[0]);
        let wanted: &[&str] = if theirs.is_some() { &["acquire g0 true []"] } else { &["acquire g1 true []"] };
        t.must(wanted);
    }
}

#[test]
fn what_was_found_could_not_be_stopped_is_tried_again_and_ours_as_long() {
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.take(What::Found("g0".into()));
    t.becomes(1, NodeState::Up);
    t.says(1, &[0]);
    assert_eq!(t.said.as_ref().unwrap().groups[0].mark, Mark::Stuck);
    t.passes(29_500);
    t.must(&[]);
    t.passes(500);
    t.must(&["release g0"]);
    t.done("release", "g0", 0);
    t.says(1, &[0]);
    t.must(&["acquire g0 true []"]);
}

#[test]
fn what_does_not_run_any_more_is_stopped_and_goes_elsewhere() {
    let mut t = Table::holding(2, &Kind::default());
    t.take(What::Lost { group: "g0".into(), cause: "it ended".into() });
    t.must(&["release g0"]);
    t.done("release", "g0", 0);
    t.says(1, &[0]);
    t.must(&[]);
    assert_eq!(t.why(0), "n1 is to have it");
}

#[test]
fn addresses_are_asked_for_ahead_and_announced_again() {
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.with(1, 0, Mark::Holds);
    t.says(1, &[0]);
    t.becomes(1, NodeState::Late);
    t.must(&["prepare g0 n1"]);
    t.becomes(1, NodeState::Dead);
    t.must(&["acquire g0 false [\"n1\"]"]);
    t.done("acquire", "g0", 0);
    t.with(1, 0, Mark::Releases);
    t.becomes(1, NodeState::Up);
    t.says(1, &[0]);
    t.with(1, 0, None);
    t.says(1, &[0]);
    t.must(&["announce g0"]);
}

/// Those that have left, were fenced or live have nothing that may be overridden.
#[test]
fn only_those_that_died_are_named_to_be_overridden() {
    let mut t = Table::new(5, &[&[0, 1]], &Kind::default());
    for n in 1..5 {
        t.becomes(n, NodeState::Up);
    }
    t.becomes(3, NodeState::Left);
    t.becomes(4, NodeState::Dead);
    for _ in 0..30 {
        [1, 2].into_iter().for_each(|n| t.says(n, &[0, 1, 2]));
        t.passes(500);
    }
    t.must(&["acquire g0 false [\"n4\"]"]);
}

/// Nodes that were configured in two ways do not rely on the order of one of them.
#[test]
fn with_other_files_the_names_decide_between_two_claims() {
    for same in [true, false] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind::default());
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Failed);
        t.says(1, &[0]);
        let mut claims = t.report(1, &[0]);
        claims.groups[0].mark = Mark::Claims;
        claims.digest = if same { t.digest } else { !t.digest };
        t.hears(1, Voice::Ours(claims));
        let ours = t.said.as_ref().unwrap().groups.first().map(|entry| entry.mark);
        assert_eq!(ours, (!same).then_some(Mark::Claims), "{same}");
    }
}

#[test]
fn whoever_cannot_be_heard_gives_up_what_it_has() {
    let mut t = Table::holding(2, &Kind::default());
    t.passes(5000);
    t.must(&[]);
    for _ in 0..3 {
        t.now += 500;
        t.take(What::Tick);
    }
    t.must(&["release g0, its addresses first"]);
}

#[test]
fn a_node_that_died_often_has_to_be_there_for_longer_before_it_gets_back_what_it_had() {
    for (deaths, waits) in [(1, 0), (2, 8000), (3, 16_000)] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind { failback: true, ..Kind::default() });
        for _ in 0..deaths {
            t.becomes(1, NodeState::Up);
            t.says(1, &[0]);
            t.now += 100;
            t.becomes(1, NodeState::Dead);
        }
        t.done("acquire", "g0", 0);
        t.did();
        t.becomes(1, NodeState::Up);
        t.says(1, &[0]);
        if waits > 0 {
            t.passes(waits - 500);
            t.must(&[]);
            t.passes(500);
        }
        t.must(&["release g0"]);
    }
}

/// It stood still, we took what it had, and it is back: it has to stop that before it can have it again.
#[test]
fn what_a_node_has_to_stop_first_does_not_go_back_to_it_before() {
    for (mark, doubtful) in [(Mark::Holds, true), (Mark::Releases, true), (Mark::Releases, false), (Mark::Stuck, false)]
    {
        let mut t = Table::new(2, &[&[1, 0]], &Kind { failback: true, ..Kind::default() });
        t.becomes(1, NodeState::Dead);
        t.done("acquire", "g0", 0);
        t.did();
        t.with(1, 0, mark);
        t.becomes(1, NodeState::Up);
        let mut report = t.report(1, &[0]);
        report.groups[0].doubtful = doubtful;
        t.hears(1, Voice::Ours(report));
        t.passes(2000);
        t.must(&[]);
        t.with(1, 0, None);
        t.says(1, &[0]);
        t.passes(500);
        assert!(t.did().contains(&"release g0".to_owned()), "{mark:?}");
    }
}

/// A node that the group prefers claims what we have: which of us did not run for long decides first.
#[test]
fn of_two_that_have_a_group_the_one_in_doubt_lets_go() {
    for (ours, theirs, goes) in [(false, false, false), (true, false, true), (false, true, false), (true, true, false)]
    {
        let mut t = Table::holding(2, &Kind::default());
        if ours {
            t.take(What::Stalled { gap: Duration::from_secs(2) });
        }
        t.with(1, 0, Mark::Holds);
        let mut report = t.report(1, &[0]);
        report.groups[0].doubtful = theirs;
        t.hears(1, Voice::Ours(report));
        assert_eq!(!t.did().is_empty(), goes, "{ours} {theirs}");
    }
    for theirs in [false, true] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind::default());
        t.becomes(1, NodeState::Dead);
        t.done("acquire", "g0", 0);
        t.did();
        t.with(1, 0, Mark::Holds);
        t.becomes(1, NodeState::Up);
        let mut report = t.report(1, &[0]);
        report.groups[0].doubtful = theirs;
        t.hears(1, Voice::Ours(report));
        assert_eq!(t.did().is_empty(), theirs, "the group prefers it");
    }
}

#[test]
fn what_a_node_has_that_does_not_hear_us_is_left_to_it() {
    let mut t = Table::holding(2, &Kind::default());
    t.passes(4000);
    t.with(1, 0, Mark::Claims);
    t.says(1, &[]);
    t.must(&["release g0, its addresses first"]);
}

#[test]
fn a_node_that_reaches_no_ping_node_takes_nothing() {
    for reaches in [false, true] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind { arbiter: true, ..Kind::default() });
        let ping = |t: &mut Table, up| {
            let began = Some(Instant::at(Duration::from_millis(t.now)));
            t.take(What::Ping { host: "r".into(), up: Some(up), began });
        };
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Holds);
        t.says(1, &[0]);
        for _ in 0..8 {
            ping(&mut t, true);
            t.passes(500);
        }
        // The last answer is older than its last heartbeat.
        t.passes(500);
        t.becomes(1, NodeState::Late);
        t.passes(2000);
        t.did();
        t.becomes(1, NodeState::Dead);
        for _ in 0..8 {
            if reaches {
                ping(&mut t, true);
            }
            t.passes(500);
        }
        assert_eq!(t.did().len(), usize::from(reaches));
    }
}

#[test]
fn what_an_operator_moved_stays() {
    for ordered in [false, true] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind { failback: true, ..Kind::default() });
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Holds);
        t.says(1, &[0]);
        if ordered {
            t.take(What::Order(Order::Takeover(Which::All)));
            assert_eq!(t.said.as_ref().unwrap().groups[0].mark, Mark::Wishes);
        }
        t.with(1, 0, if ordered { None } else { Some(Mark::Failed) });
        t.says(1, &[0]);
        t.says(1, &[0]);
        t.must(&["acquire g0 true []"]);
        t.done("acquire", "g0", 0);
        t.with(1, 0, None);
        t.says(1, &[0]);
        t.passes(1000);
        let wanted: &[&str] = if ordered { &[] } else { &["release g0"] };
        t.must(wanted);
    }
}

/// n1 was dead to us for long, but n2, which comes only now, may have heard it until a moment ago.
#[test]
fn a_minority_does_not_know_since_when_nobody_hears_a_node() {
    let mut t = Table::new(3, &[&[1, 0]], &Kind::default());
    t.becomes(1, NodeState::Dead);
    t.becomes(2, NodeState::Dead);
    t.passes(60_000);
    t.becomes(2, NodeState::Up);
    t.says(2, &[0]);
    t.passes(4000);
    t.says(2, &[0]);
    t.must(&[]);
    t.passes(1000);
    t.says(2, &[0]);
    t.must(&["acquire g0 false [\"n1\"]"]);
}

/// n2 hears of the goodbye of n1 later than we do. Where it has heard n1 come back, we have not.
#[test]
fn what_a_node_had_that_has_left_is_taken_at_once_if_it_has_not_come_back() {
    for (heard, waits) in [(0x3_0001, 0), (0x4_0001, 4500)] {
        let mut t = Table::new(3, &[&[1, 0]], &Kind::default());
        for n in 1..3 {
            t.becomes(n, NodeState::Up);
            t.with(1, 0, Mark::Holds);
            t.says(n, &[0, 1, 2]);
        }
        t.with(1, 0, None);
        t.says(1, &[0, 1, 2]);
        t.becomes(1, NodeState::Left);
        let mut report = t.report(2, &[0, 1]);
        report.seen[1] = Seen::Heard(heard);
        t.hears(2, Voice::Ours(report));
        t.says(2, &[0]);
        if waits > 0 {
            t.says(2, &[0]);
            t.passes(waits - 500);
            t.says(2, &[0]);
            t.must(&[]);
            t.passes(500);
            t.says(2, &[0]);
        }
        let wanted = if waits == 0 { "acquire g0 true []" } else { "acquire g0 false [\"n1\"]" };
        t.must(&[wanted]);
    }
}

/// n1 gave up what n4 may have taken since: n4 does not hear us, and we do not hear it.
#[test]
fn what_a_node_let_go_may_have_been_taken_by_one_that_only_others_hear() {
    for heard in [0, 1] {
        let mut t = Table::new(5, &[&[0, 1, 4]], &Kind::default());
        t.becomes(4, NodeState::Dead);
        let says = |t: &mut Table, others: &[usize], heard: u64| {
            for n in 1..4 {
                let mut report = t.report(n, others);
                if others.contains(&4) {
                    report.seen[4] = Seen::Heard(heard);
                }
                t.hears(n, Voice::Ours(report));
            }
        };
        for n in 1..4 {
            t.becomes(n, NodeState::Up);
            t.with(1, 0, Mark::Holds);
        }
        says(&mut t, &[0, 1, 2, 3, 4], 0);
        t.with(1, 0, None);
        (0..2).for_each(|_| says(&mut t, &[0, 1, 2, 3, 4], heard));
        t.must(&[]);
        // It is cut off from all.
        says(&mut t, &[0, 1, 2, 3], 0);
        says(&mut t, &[0, 1, 2, 3], 0);
        let wanted: &[&str] = if heard == 0 { &["acquire g0 true []"] } else { &[] };
        t.must(wanted);
        t.passes(4000);
        says(&mut t, &[0, 1, 2, 3], 0);
        t.must(&[]);
        t.passes(500);
        says(&mut t, &[0, 1, 2, 3], 0);
        assert_eq!(t.did().len(), usize::from(heard == 1));
    }
}

/// What n1 let go others may have taken since, if we were not there all the time, or n1 was not, or somebody had it.
#[test]
fn what_was_let_go_is_not_thought_free_for_ever() {
    for what in [
        "nothing",
        "it is gone",
        "it is doubtful",
        "it was started anew",
        "we are barred",
        "we stood still",
        "somebody claimed it",
        "somebody had it, too",
    ] {
        let mut t = Table::new(5, &[&[0, 1]], &Kind::default());
        let all = [0, 1, 2, 3];
        for n in 1..4 {
            t.becomes(n, NodeState::Up);
            t.with(1, 0, Mark::Holds);
            t.says(n, &all);
        }
        if what == "somebody had it, too" {
            t.becomes(4, NodeState::Up);
            t.with(4, 0, Mark::Holds);
            t.says(4, &all);
        }
        t.becomes(4, NodeState::Dead);
        let mut report = t.report(1, &all);
        report.groups[0].doubtful = what == "it is doubtful";
        t.hears(1, Voice::Ours(report));
        t.with(1, 0, None);
        if what == "it was started anew" {
            t.generation = 4;
            t.hears(1, Voice::None);
        }
        t.says(1, &all);
        t.must(&[]);
        match what {
            "it is gone" => t.says(1, &[1, 2, 3]),
            "we are barred" => {
                t.now += 1500;
                (0..3).for_each(|_| t.take(What::Tick));
                t.take(What::Sent);
            }
            "we stood still" => t.take(What::Stalled { gap: Duration::from_secs(2) }),
            "somebody claimed it" => {
                t.with(2, 0, Mark::Claims);
                t.says(2, &all);
                t.with(2, 0, None);
            }
            _ => {}
        }
        for _ in 0..2 {
            (1..4).for_each(|n| t.says(n, &all));
        }
        let wanted: &[&str] = if what == "nothing" { &["acquire g0 true []"] } else { &[] };
        let did = t.did();
        assert_eq!(did, wanted, "{what}");
        t.passes(7000);
        (1..4).for_each(|n| t.says(n, &all));
        assert_eq!(did.len() + t.did().len(), 1, "{what}: {}", t.why(0));
    }
}

#[test]
fn whoever_is_alone_and_cut_off_gives_up_though_the_other_node_has_left() {
    let mut t = Table::holding(2, &Kind { arbiter: true, ..Kind::default() });
    let ping = |t: &mut Table, up| {
        let began = Some(Instant::at(Duration::from_millis(t.now)));
        t.take(What::Ping { host: "r".into(), up: Some(up), began });
    };
    ping(&mut t, true);
    t.says(1, &[0]);
    t.passes(500);
    ping(&mut t, false);
    t.passes(500);
    t.becomes(1, NodeState::Left);
    // That answer was missed while the other node lived.
    t.passes(500);
    t.must(&[]);
    ping(&mut t, false);
    t.passes(500);
    t.must(&["release g0, its addresses first"]);
}

/// It is heard again a moment before it is heard what it says now.
#[test]
fn what_a_node_had_when_it_died_is_no_reason_to_let_go() {
    for has in [None, Some(Mark::Holds)] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind::default());
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Holds);
        t.says(1, &[0]);
        t.becomes(1, NodeState::Dead);
        t.must(&["acquire g0 false [\"n1\"]"]);
        t.done("acquire", "g0", 0);
        t.becomes(1, NodeState::Up);
        t.must(&[]);
        t.with(1, 0, has);
        t.says(1, &[0]);
        let wanted = if has.is_some() { "release g0, its addresses first" } else { "announce g0" };
        t.must(&[wanted]);
    }
}

/// Our own listener may have begun anew.
#[test]
fn nodes_of_whom_nothing_is_known_are_waited_for_before_they_count_as_missing() {
    let mut t = Table::holding(3, &Kind::default());
    (1..3).for_each(|n| t.becomes(n, NodeState::Unknown));
    t.passes(1500);
    t.must(&[]);
    t.passes(500);
    t.must(&["release g0, its addresses first"]);
}

#[test]
fn whose_heartbeats_began_anew_lets_go_of_what_another_has() {
    let mut t = Table::holding(2, &Kind::default());
    t.take(What::Generation(8));
    t.with(1, 0, Mark::Holds);
    t.says(1, &[0]);
    t.must(&["release g0, its addresses first"]);
}

/// It speaks of the past until it has listened for a while.
#[test]
fn whoever_has_just_come_and_does_not_hear_us_yet_takes_nothing_from_us() {
    for anew in [false, true] {
        let mut t = Table::holding(2, &Kind::default());
        if anew {
            t.passes(4000);
            t.take(What::Restarted { node: "n1".into() });
        }
        t.with(1, 0, Mark::Holds);
        t.says(1, &[]);
        t.passes(1500);
        t.must(&[]);
        t.passes(500);
        t.must(&["release g0, its addresses first"]);
    }
}

#[test]
fn a_node_that_reaches_more_ping_nodes_for_a_while_gets_what_we_have() {
    let mut t = Table::holding(2, &Kind { arbiter: true, ..Kind::default() });
    let mut report = t.report(1, &[0]);
    report.pings = Some(1);
    t.hears(1, Voice::Ours(report));
    t.passes(1500);
    t.must(&[]);
    t.passes(500);
    t.must(&["release g0"]);
}

#[test]
fn only_a_node_of_the_group_is_given_what_it_wishes_for() {
    let mut t = Table::holding(3, &Kind::default());
    t.with(2, 0, Mark::Wishes);
    t.says(2, &[0, 1]);
    t.must(&[]);
    t.with(1, 0, Mark::Wishes);
    t.says(1, &[0, 2]);
    t.must(&["release g0"]);
}

#[test]
fn nothing_is_given_to_a_node_that_cannot_start_it() {
    for what in ["deaf", "leaving", "unready", "late", "failed", "fit"] {
        let mut t = Table::holding(2, &Kind::default());
        t.with(1, 0, (what == "failed").then_some(Mark::Failed));
        let mut report = t.report(1, if what == "deaf" { &[] } else { &[0] });
        report.leaving = what == "leaving";
        report.ready = what != "unready";
        t.hears(1, Voice::Ours(report));
        if what == "late" {
            t.becomes(1, NodeState::Late);
        }
        t.take(What::Order(Order::Standby(Which::All)));
        let wanted = if what == "fit" { "release g0" } else { "refused giving up g0" };
        assert_eq!(t.did(), [wanted], "{what}");
    }
}

#[test]
fn what_a_node_said_before_it_was_started_anew_is_over() {
    for told in [false, true] {
        let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
        t.becomes(1, NodeState::Up);
        t.with(1, 0, Mark::Holds);
        t.says(1, &[0]);
        assert_eq!(t.why(0), "n1 has it");
        if told {
            t.take(What::Restarted { node: "n1".into() });
        } else {
            let (node, status) = ("n1".to_owned(), "up".to_owned());
            t.take(What::Beat { node, status, generation: 4, number: 1, voice: Voice::None });
        }
        assert_eq!(t.why(0), "n1 has not said yet what it has");
        // Late, and of the earlier start.
        t.numbers[1] = 90;
        if !told {
            t.says(1, &[0]);
            assert_eq!(t.why(0), "n1 has not said yet what it has");
        }
        t.must(&[]);
    }
}

/// Whoever decides there does not know yet that its heartbeats began anew, which they do when it stood still.
#[test]
fn what_a_node_says_of_the_time_before_it_stood_still_is_in_doubt() {
    for generation in [2, 3] {
        let mut t = Table::new(2, &[&[1, 0]], &Kind::default());
        t.becomes(1, NodeState::Dead);
        t.done("acquire", "g0", 0);
        t.did();
        t.with(1, 0, Mark::Holds);
        t.becomes(1, NodeState::Up);
        let mut report = t.report(1, &[0]);
        report.generation = generation;
        t.hears(1, Voice::Ours(report));
        let wanted: &[&str] = if generation == 3 { &["release g0, its addresses first"] } else { &[] };
        t.must(wanted);
    }
}

#[test]
fn a_node_that_was_fenced_and_dies_again_is_fenced_again() {
    let mut t = Table::new(2, &[&[1, 0], &[1, 0]], &Kind { fencing: true, ..Kind::default() });
    t.becomes(1, NodeState::Dead);
    t.done("fence", "n1", 0);
    t.must(&["fence n1", "acquire g0 true []", "acquire g1 true []"]);
    t.becomes(1, NodeState::Up);
    t.done("acquire", "g0", 0);
    t.done("acquire", "g1", 1);
    t.with(1, 1, Mark::Holds);
    t.says(1, &[0]);
    t.passes(10_000);
    t.becomes(1, NodeState::Dead);
    t.passes(500);
    t.must(&["fence n1"]);
}

#[test]
fn an_operator_moves_all_where_it_belongs_and_has_what_failed_tried_again() {
    let mut t = Table::new(2, &[&[1, 0], &[0, 1], &[0]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.with(1, 0, Mark::Failed);
    t.with(1, 1, Mark::Holds);
    t.with(1, 2, Mark::Holds);
    t.says(1, &[0]);
    t.says(1, &[0]);
    t.done("acquire", "g0", 0);
    t.with(1, 0, None);
    t.says(1, &[0]);
    t.did();
    t.take(What::Order(Order::Failback));
    t.must(&["release g0"]);
    let said = t.said.clone().unwrap();
    let marks: Vec<Mark> = (0..3).map(|g| said.entry(t.keys[g]).unwrap().mark).collect();
    assert_eq!(marks, [Mark::Releases, Mark::Wishes, Mark::Wishes]);
    t.done("release", "g0", 5);
    t.must(&[]);
    t.take(What::Order(Order::Retry));
    t.must(&["release g0"]);
    // Both could not start it.
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.with(1, 0, Mark::Failed);
    t.says(1, &[0]);
    t.says(1, &[0]);
    t.done("acquire", "g0", 1);
    t.says(1, &[0]);
    t.must(&["acquire g0 true []"]);
    t.take(What::Order(Order::Retry));
    t.says(1, &[0]);
    t.must(&["acquire g0 true []"]);
}

/// While we were with the few it may have come back on the other side, where n2 was.
#[test]
fn a_goodbye_is_not_trusted_once_fewer_than_the_most_were_here() {
    let mut t = Table::new(3, &[&[1, 0]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.with(1, 0, Mark::Holds);
    t.says(1, &[0]);
    t.becomes(2, NodeState::Dead);
    t.becomes(1, NodeState::Left);
    t.passes(60_000);
    t.becomes(2, NodeState::Up);
    (0..2).for_each(|_| t.says(2, &[0]));
    t.passes(4000);
    t.says(2, &[0]);
    t.must(&[]);
    t.passes(500);
    t.says(2, &[0]);
    t.must(&["acquire g0 false [\"n1\"]"]);
}

#[test]
fn whoever_does_not_hear_us_is_not_with_us() {
    let mut t = Table::holding(3, &Kind::default());
    t.becomes(2, NodeState::Dead);
    t.must(&[]);
    t.says(1, &[]);
    t.must(&["release g0, its addresses first"]);
}

/// n2 thinks it alive for longer than we do, and then so does n1 of itself.
#[test]
fn the_longest_deadtime_of_all_counts() {
    let mut t = Table::new(3, &[&[1, 0]], &Kind::default());
    let deadtime = Some(Duration::from_secs(6));
    t.take(What::Node { node: "n2".into(), is: NodeState::Up, silent: None, deadtime });
    t.becomes(1, NodeState::Dead);
    t.says(2, &[0]);
    t.passes(8000);
    t.says(2, &[0]);
    t.must(&[]);
    t.passes(500);
    t.says(2, &[0]);
    t.must(&["acquire g0 false [\"n1\"]"]);
}

/// n1 lets go because it is with the few, and so are we: of the others nothing is known yet.
#[test]
fn what_one_of_the_few_lets_go_no_other_of_them_takes() {
    let mut t = Table::new(5, &[&[0, 1]], &Kind::default());
    t.becomes(1, NodeState::Up);
    t.with(1, 0, Mark::Holds);
    t.says(1, &[0]);
    t.with(1, 0, None);
    (0..3).for_each(|_| t.says(1, &[0]));
    t.must(&[]);
    t.becomes(2, NodeState::Up);
    t.says(2, &[0, 1]);
    (0..3).for_each(|_| (1..3).for_each(|n| t.says(n, &[0, 1, 2])));
    t.must(&["acquire g0 true []"]);
}

#[test]
fn a_claim_is_given_up_by_whoever_may_have_nothing() {
    for what in ["fit", "mute", "leaving"] {
        let mut t = Table::new(2, &[&[0, 1], &[0, 1]], &Kind::default());
        t.becomes(1, NodeState::Up);
        t.with(1, 1, Mark::Holds);
        // What could not be stopped keeps it from leaving.
        t.take(What::Found("g1".into()));
        t.says(1, &[0]);
        match what {
            "mute" => {
                t.now += 1500;
                (0..3).for_each(|_| t.take(What::Tick));
            }
            "leaving" => t.take(What::Order(Order::Leave)),
            _ => {}
        }
        t.says(1, &[0]);
        let wanted: &[&str] = if what == "fit" { &["acquire g0 true []"] } else { &[] };
        let did = t.did();
        assert_eq!(did, wanted, "{what}");
    }
}

#[test]
fn the_reason_is_said_why_nothing_is_started() {
    let mut t = Table::new(2, &[&[0, 1]], &Kind { unready: true, ..Kind::default() });
    t.becomes(1, NodeState::Up);
    assert_eq!(t.why(0), "what runs here is not known yet");
    t.take(What::Ready);
    t.says(1, &[]);
    assert_eq!(t.why(0), "n1 does not hear us");
    t.now += 1500;
    (0..3).for_each(|_| t.take(What::Tick));
    assert_eq!(t.why(0), "our heartbeats do not leave");
    let mut t = Table::new(2, &[&[0, 1]], &Kind::default());
    t.take(What::Found("g0".into()));
    t.passes(30_000);
    t.take(What::Order(Order::Leave));
    t.done("release", "g0", 0);
    assert_eq!(t.why(0), "this node leaves");
}

/// n2 may have had it with other files than ours, where it was one that said something.
#[test]
fn only_a_node_that_cannot_have_had_it_need_not_be_fenced() {
    for spoke in [false, true] {
        let mut t = Table::new(3, &[&[0, 1]], &Kind { fencing: true, ..Kind::default() });
        t.becomes(1, NodeState::Up);
        if spoke {
            t.becomes(2, NodeState::Up);
            t.with(2, 0, Mark::Holds);
            t.says(2, &[0, 1]);
        }
        t.becomes(2, NodeState::Dead);
        (0..2).for_each(|_| t.says(1, &[0]));
        t.must(&[if spoke { "fence n2" } else { "acquire g0 false [\"n2\"]" }]);
    }
}

/// Whoever has it, too, lets go of it first.
#[test]
fn what_two_have_is_not_given_to_a_third() {
    let mut t = Table::new(3, &[&[0, 1, 2]], &Kind::default());
    (1..3).for_each(|n| t.becomes(n, NodeState::Up));
    (0..2).for_each(|_| (1..3).for_each(|n| t.says(n, &[0, 1, 2])));
    t.done("acquire", "g0", 0);
    t.must(&["acquire g0 true []"]);
    t.with(1, 0, Mark::Holds);
    t.says(1, &[0, 1, 2]);
    t.with(2, 0, Mark::Wishes);
    t.says(2, &[0, 1, 2]);
    t.must(&[]);
    t.with(1, 0, None);
    t.says(1, &[0, 1, 2]);
    t.must(&["release g0"]);
}
