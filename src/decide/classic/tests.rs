//! What a real heartbeat says, by a script, and what this node does. It is b, and prefers FlagB.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::action::Action;
use super::super::cluster::{Cluster, Limits};
use super::super::input::{Input, Order, Voice, What, Which};
use super::super::{Decider, NodeState};
use super::{Classic, Hand, Hold};
use crate::clock::Instant;
use crate::config::ha_cf::{AutoFailback, HaCf};
use crate::config::haresources;

pub(super) struct Script {
    brain: Decider,
    pub(super) now: u64,
    pub(super) generation: u64,
    pub(super) seq: u64,
    /// Whether the ping node answers, if there is one.
    ping: Option<bool>,
    /// What was done and said since it was last looked at.
    pub(super) did: Vec<String>,
}

impl Script {
    /// We are started, the other one runs for long.
    fn running() -> Self {
        let mut script = Self::fresh(AutoFailback::Off);
        script.is(NodeState::Up);
        script
    }

    /// Both run, the other one is not active yet.
    fn new(failback: AutoFailback) -> Self {
        let mut script = Self::fresh(failback);
        script.is(NodeState::Up);
        script.beats("up");
        script.did.clear();
        script
    }

    pub(super) fn fresh(failback: AutoFailback) -> Self {
        Self::fresh_with(failback, None)
    }

    fn fresh_with(failback: AutoFailback, ping: Option<bool>) -> Self {
        let mut script = Self::unready(failback, ping);
        script.take(What::Ready);
        script.did.clear();
        script
    }

    /// What runs here is not known yet.
    fn unready(failback: AutoFailback, ping: Option<bool>) -> Self {
        let ms = Duration::from_millis;
        let ha_cf = HaCf {
            nodes: vec!["a".into(), "b".into()],
            keepalive: ms(200),
            deadtime: ms(1000),
            initdead: ms(2000),
            auto_failback: failback,
            ping: ping.map(|_| "10.9.0.3".to_owned()).into_iter().collect(),
            ..HaCf::default()
        };
        let groups = [("FlagA", "a"), ("FlagB", "b")].map(|(id, node)| haresources::Group {
            id: id.to_owned(),
            nodes: vec![node.to_owned()],
            resources: Vec::new(),
            line: 1,
        });
        let cluster = Cluster::new(&ha_cf, &groups, "b", Limits::default()).unwrap();
        let mut script = Self { brain: Decider::new(cluster), now: 1000, generation: 1, seq: 0, ping, did: Vec::new() };
        script.take(What::Generation(7));
        script
    }

    /// As [`Self::new`], and each has its own.
    fn settled(failback: AutoFailback) -> Self {
        let mut script = Self::new(failback);
        script.settle();
        script
    }

    fn settle(&mut self) {
        self.beats("active");
        self.says("starting");
        self.says("resource none full 0");
        self.says("resource local full 1");
        self.done("acquire", "FlagB", 0);
        self.did.clear();
    }

    pub(super) fn take(&mut self, what: What) {
        self.now += 5;
        let input = Input {
            now: Some(Instant::at(Duration::from_millis(self.now))),
            at: None,
            source: format!("script:{}", self.now),
            what,
        };
        for decision in self.brain.take(input) {
            let text = match decision.action {
                Action::Acquire { group, .. } => format!("acquire {group}"),
                Action::Release { group, .. } => format!("release {group}"),
                Action::Send(message) => {
                    let words = ["t", "rsc_hold", "rtype", "isstable", "info"].map(|name| message.text(name));
                    format!("say {}", words.into_iter().flatten().collect::<Vec<_>>().join(" "))
                }
                Action::Exit { status } => format!("exit {status}"),
                _ => continue,
            };
            self.did.push(text);
        }
    }

    pub(super) fn is(&mut self, is: NodeState) {
        self.take(What::Node { node: "a".into(), is, silent: None, deadtime: None });
    }

    pub(super) fn beats(&mut self, status: &str) {
        self.seq += 1;
        let (generation, number) = (self.generation, self.seq);
        let (node, status) = ("a".to_owned(), status.to_owned());
        self.take(What::Beat { node, status, generation, number, voice: Voice::None });
    }

    /// `resource HOLD full|- ISSTABLE [INFO]`, `ask_resources HOLD INFO`, `hb_takeover HOLD`, `starting`; of its ipfail
    /// `num_ping_nodes NUMBER`, `you_are_dead`, `abort_giveup`.
    fn says(&mut self, text: &str) {
        self.seq += 1;
        self.says_with(self.seq, text);
    }

    pub(super) fn says_with(&mut self, seq: u64, text: &str) {
        let mut words = text.split(' ');
        let mut fields = Map::new();
        let kind = words.next().unwrap();
        let names: &[&str] = match kind {
            "resource" => &["rsc_hold", "rtype", "isstable", "info"],
            "ask_resources" => &["rsc_hold", "info"],
            "num_ping_nodes" => &["num_ping"],
            "you_are_dead" | "abort_giveup" => &[],
            _ => &["rsc_hold"],
        };
        let (hg, seq) = (format!("{:x}", self.generation), format!("{seq:x}"));
        let from = if kind == "num_ping_nodes" || names.is_empty() { "ipfail" } else { "" };
        for (name, word) in [("t", kind), ("hg", hg.as_str()), ("seq", seq.as_str()), ("from_id", from)] {
            fields.insert(name.to_owned(), Value::from(word));
        }
        for (name, word) in names.iter().zip(words).filter(|(_, word)| *word != "-") {
            fields.insert((*name).to_owned(), Value::from(word));
        }
        self.take(What::Message { node: "a".into(), fields });
    }

    pub(super) fn done(&mut self, action: &str, group: &str, status: i64) {
        self.take(What::Done { action: action.into(), of: group.into(), status, cause: None });
    }

    fn passes(&mut self, seconds: u64) {
        for _ in 0..seconds * 5 {
            self.now += 195;
            self.take(What::Sent);
            if let Some(up) = self.ping {
                let began = Some(Instant::at(Duration::from_millis(self.now)));
                self.take(What::Ping { host: "10.9.0.3".into(), up: Some(up), began });
            }
            self.take(What::Tick);
        }
    }

    /// How often this was said.
    fn said(&mut self, what: &str) -> usize {
        self.did.iter().filter(|did| did.starts_with(what)).count()
    }

    #[track_caller]
    fn did(&mut self, wanted: &[&str]) {
        let did = std::mem::take(&mut self.did);
        assert_eq!(did, wanted);
    }

    /// Nothing was started or stopped, whatever was said.
    #[track_caller]
    fn moved_nothing(&mut self) {
        let did = std::mem::take(&mut self.did);
        assert!(!did.iter().any(|did| did.starts_with("acquire") || did.starts_with("release")), "{did:?}");
    }
}

#[test]
fn both_start_and_each_takes_its_own_at_once() {
    let mut s = Script::new(AutoFailback::Off);
    s.beats("active");
    s.did(&["say resource none full 1"]);
    s.says("starting");
    s.did(&["say resource none full 1"]);
    s.says("resource none full 0");
    s.did(&[]);
    s.says("resource local full 1");
    s.did(&["acquire FlagB", "say resource local full 0"]);
    s.done("acquire", "FlagB", 0);
    s.did(&["say resource local full 1"]);
    s.passes(60);
    s.did(&[]);
}

#[test]
fn whoever_joins_asks_and_is_seen_to_become_stable() {
    let mut s = Script::running();
    s.beats("active");
    s.did(&["say resource none full 0", "say starting", "say resource none full 0"]);
    s.says("resource all full 1");
    s.did(&["say resource none full 1"]);
    s.passes(60);
    s.did(&[]);
}

/// It sends again what it said before we came. It gives nothing back to whoever was stable from the first.
#[test]
fn whoever_joins_and_was_told_all_before_it_takes_part_is_seen_to_become_stable() {
    let mut s = Script::unready(AutoFailback::On, None);
    s.is(NodeState::Up);
    s.beats("active");
    s.says("resource all full 1");
    s.says("ask_resources foreign done");
    s.did(&[]);
    s.take(What::Ready);
    s.did(&["say resource none full 0", "say resource none full 1"]);
    s.passes(60);
    s.moved_nothing();
}

#[test]
fn time_allows_nothing() {
    for words in [&[][..], &["starting"], &["starting", "resource none full 0"], &["resource foreign full 0"]] {
        let mut s = Script::new(AutoFailback::On);
        s.beats("active");
        words.iter().for_each(|words| s.says(words));
        s.passes(600);
        s.moved_nothing();
    }
    // Only its death does.
    let mut s = Script::new(AutoFailback::On);
    s.beats("active");
    s.is(NodeState::Dead);
    s.did(&["say resource none full 1", "acquire FlagA", "acquire FlagB"]);
}

#[test]
fn it_goes_standby_and_what_it_lets_go_is_taken_when_it_says_so() {
    let mut s = Script::settled(AutoFailback::On);
    s.says("ask_resources all me");
    s.did(&["say ask_resources all other"]);
    s.says("resource none full 0 standby");
    s.passes(30);
    s.moved_nothing();
    s.says("ask_resources all done");
    s.did(&["acquire FlagA"]);
    s.says("ask_resources all done");
    s.did(&[]);
    s.done("acquire", "FlagA", 0);
    s.did(&["say resource all full 1", "say ask_resources all done"]);
    s.says("resource none full 1");
    // An operator wanted that: it does not go back by itself.
    s.passes(60);
    s.did(&[]);
}

#[test]
fn a_slow_stop_of_its_is_waited_for_whatever_it_says_of_itself() {
    let mut s = Script::settled(AutoFailback::On);
    s.says("ask_resources local me");
    s.says("resource none full 0 standby");
    s.says("resource none full 1");
    s.passes(120);
    s.moved_nothing();
    s.says("ask_resources local done");
    s.did(&["acquire FlagA"]);
}

#[test]
fn what_it_thought_better_of_is_not_taken() {
    let mut s = Script::settled(AutoFailback::On);
    s.says("ask_resources local me");
    s.passes(120);
    s.says("ask_resources local done");
    s.moved_nothing();
    s.says("resource local full 1");
    s.passes(60);
    s.moved_nothing();
}

#[test]
fn we_go_standby_and_let_go_only_of_what_it_agreed_to_take() {
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Standby(Which::All)));
    s.did(&["say ask_resources local me"]);
    s.says("ask_resources local other");
    s.did(&["release FlagB"]);
    s.passes(30);
    s.did(&[]);
    s.done("release", "FlagB", 0);
    s.did(&["say resource none full 0 standby", "say ask_resources local done"]);
    // What it says while it takes it is old, however stable.
    s.says("resource local full 1");
    s.passes(5);
    s.moved_nothing();
    let old = s.seq + 1;
    s.seq += 4;
    s.says("ask_resources local done");
    s.moved_nothing();
    // It was said before that, and was late.
    s.says_with(old, "resource local full 1");
    s.passes(60);
    s.moved_nothing();
    s.says("resource all full 1");
    s.passes(60);
    s.moved_nothing();
}

#[test]
fn a_request_that_nobody_answers_costs_nothing() {
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Standby(Which::Local)));
    s.did(&["say ask_resources local me"]);
    s.passes(60);
    s.did(&[]);
    s.says("ask_resources local other");
    s.did(&[]);
}

#[test]
fn what_it_does_not_say_it_took_is_offered_again_and_never_taken_back_by_time() {
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Standby(Which::Local)));
    s.says("ask_resources local other");
    s.done("release", "FlagB", 0);
    s.did.clear();
    s.passes(16);
    s.did(&["say resource none full 1", "say ask_resources local me"]);
    s.says("ask_resources local other");
    s.did(&["say resource none full 0 standby", "say ask_resources local done"]);
    s.says("ask_resources local done");
    s.says("resource all full 1");
    s.passes(60);
    s.moved_nothing();
}

#[test]
fn it_is_started_anew_in_the_middle() {
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Standby(Which::Local)));
    s.says("ask_resources local other");
    s.done("release", "FlagB", 0);
    s.did.clear();
    (s.generation, s.seq) = (2, 0);
    s.beats("up");
    s.beats("active");
    s.says("starting");
    s.says("resource none full 0");
    s.passes(9);
    s.moved_nothing();
    s.says("resource local full 1");
    s.did(&["acquire FlagB", "say resource local full 0"]);
}

/// It takes what we gave before we were started anew, and says that it is stable and does not have it.
#[test]
fn we_are_started_anew_in_the_middle() {
    for released in [false, true] {
        let mut s = Script::running();
        s.beats("active");
        s.says("resource local full 1");
        s.did(&[
            "say resource none full 0",
            "say starting",
            "say resource none full 0",
            "say resource none full 1",
            "say hb_takeover local",
        ]);
        s.says("ask_resources foreign me");
        s.did(&["say ask_resources foreign other"]);
        if released {
            // Late, and in the wrong order.
            s.says_with(s.seq + 2, "ask_resources foreign done");
            s.did(&[]);
            s.says_with(s.seq + 1, "resource local full 0 standby");
            s.did(&["acquire FlagB"]);
        } else {
            s.says("ask_resources local done");
            s.says("resource all full 1");
            s.passes(60);
            s.moved_nothing();
        }
    }
}

#[test]
fn it_dies_in_the_middle() {
    for at in 0..4 {
        let mut s = Script::settled(AutoFailback::Off);
        let steps: [&dyn Fn(&mut Script); 4] = [
            &|s| s.take(What::Order(Order::Standby(Which::Local))),
            &|s| s.says("ask_resources local other"),
            &|s| s.done("release", "FlagB", 0),
            &|s| s.says("ask_resources local done"),
        ];
        steps[..=at].iter().for_each(|step| step(&mut s));
        s.is(NodeState::Dead);
        if at == 1 {
            s.done("release", "FlagB", 0);
        }
        assert!(s.did.contains(&"acquire FlagA".to_owned()), "{at}: {:?}", s.did);
        assert_eq!(s.did.contains(&"acquire FlagB".to_owned()), at > 0, "{at}: {:?}", s.did);
    }
}

#[test]
fn requests_that_cross_do_not_lock() {
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Standby(Which::Local)));
    s.says("ask_resources local me");
    s.did(&["say ask_resources local me", "say ask_resources local other"]);
    // Its request was its operator's, and it had agreed to ours before.
    s.says("ask_resources local other");
    s.did(&["release FlagB"]);
    // The other way round: it lets go.
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Standby(Which::Local)));
    s.says("ask_resources local me");
    s.says("resource none full 0 standby");
    s.says("ask_resources local done");
    s.did(&["say ask_resources local me", "say ask_resources local other", "acquire FlagA"]);
}

#[test]
fn each_may_ask_the_other_for_groups() {
    let mut s = Script::settled(AutoFailback::Off);
    s.says("hb_takeover foreign");
    s.did(&["say ask_resources local me"]);
    let mut s = Script::settled(AutoFailback::Off);
    s.take(What::Order(Order::Takeover(Which::All)));
    s.did(&["say hb_takeover foreign"]);
    s.says("ask_resources local me");
    s.says("resource none full 0 standby");
    s.says("ask_resources local done");
    s.did(&["say ask_resources local other", "acquire FlagA"]);
}

#[test]
fn what_prefers_it_goes_back_where_that_is_wanted() {
    for (failback, wanted) in [(AutoFailback::Off, &[][..]), (AutoFailback::On, &["say ask_resources foreign me"])] {
        let mut s = Script::settled(failback);
        s.is(NodeState::Dead);
        s.done("acquire", "FlagA", 0);
        s.did.clear();
        (s.generation, s.seq) = (2, 0);
        s.is(NodeState::Up);
        s.beats("active");
        s.says("starting");
        s.says("resource none full 0");
        s.moved_nothing();
        s.says("resource none full 1");
        s.did(wanted);
    }
}

#[test]
fn its_goodbye_counts_when_it_is_done() {
    let mut s = Script::settled(AutoFailback::On);
    s.says("resource none full 0 shutdown");
    s.passes(60);
    s.moved_nothing();
    s.is(NodeState::Left);
    s.did(&["acquire FlagA"]);
}

#[test]
fn our_goodbye() {
    let mut s = Script::settled(AutoFailback::On);
    s.take(What::Order(Order::Leave));
    s.did(&["release FlagB", "say resource none full 0 shutdown"]);
    s.passes(5);
    s.did(&[]);
    s.done("release", "FlagB", 0);
    s.did(&["say shutdone", "exit 0"]);
}

#[test]
fn what_fails_here_is_offered_once() {
    let mut s = Script::settled(AutoFailback::On);
    s.says("ask_resources local me");
    s.says("resource none full 0 standby");
    s.says("ask_resources local done");
    s.did.clear();
    s.done("acquire", "FlagA", 1);
    s.did(&["say resource local full 1", "say ask_resources local done"]);
    s.says("resource none full 1");
    s.did(&["say ask_resources foreign me"]);
    s.says("ask_resources foreign other");
    s.did(&["say resource local full 0 standby", "say ask_resources foreign done"]);
    s.says("ask_resources foreign done");
    s.says("resource local full 1");
    s.did.clear();
    s.passes(60);
    s.did(&[]);
}

#[test]
fn what_is_half_and_half_makes_no_harm() {
    let mut s = Script::settled(AutoFailback::On);
    for words in [
        "resource",
        "resource some full 1",
        "resource - full 1",
        "ask_resources all",
        "ask_resources all maybe",
        "hb_takeover",
        "ask_resources - done",
        "ask_resources all done",
        "ask_resources all other",
        "resource none - -",
    ] {
        s.says(words);
        s.did(&[]);
    }
}

#[test]
fn who_reaches_more_ping_nodes_has_everything() {
    let mut s = Script::fresh_with(AutoFailback::On, Some(true));
    s.is(NodeState::Up);
    s.beats("up");
    s.settle();
    s.passes(3);
    s.did.clear();
    s.says("num_ping_nodes 1");
    s.did(&["say num_ping_nodes", "say abort_giveup"]);
    s.passes(30);
    s.did(&[]);
    // We do not reach it any more, and the other one does.
    s.ping = Some(false);
    s.passes(3);
    s.did(&["say num_ping_nodes", "say ask_resources local me"]);
    s.says("you_are_dead");
    s.did(&[]);
    s.says("ask_resources local other");
    s.done("release", "FlagB", 0);
    s.says("ask_resources local done");
    s.says("resource all full 1");
    s.did.clear();
    // We do again, and it does not.
    s.ping = Some(true);
    s.passes(3);
    s.did(&["say num_ping_nodes"]);
    s.says("num_ping_nodes 0");
    s.passes(2);
    s.did(&["say you_are_dead"]);
    s.says("ask_resources all me");
    s.says("resource none full 0 standby");
    s.says("ask_resources all done");
    s.did(&["say ask_resources all other", "acquire FlagA", "acquire FlagB"]);
    for group in ["FlagA", "FlagB"] {
        s.done("acquire", group, 0);
    }
    s.says("resource none full 1");
    s.passes(30);
    s.moved_nothing();
    // Nobody wanted that but the rule: with it goes what prefers the other one.
    s.did.clear();
    s.says("num_ping_nodes 1");
    s.did(&["say ask_resources foreign me", "say abort_giveup"]);
}

#[test]
fn what_it_has_too_and_does_not_let_go_of_is_left_to_it() {
    let mut s = Script::settled(AutoFailback::Off);
    s.says("resource all full 1");
    s.passes(15);
    s.moved_nothing();
    s.passes(3);
    assert!(s.did.contains(&"release FlagB".to_owned()), "{:?}", s.did);
}

#[test]
fn what_it_has_or_is_at_may_not_be_started() {
    let still = Classic { stable: Some(true), clear: true, ..Classic::default() };
    let what = Hold::one(true);
    let since = Instant::at(Duration::ZERO);
    assert!(still.gives(true).is_ok() && still.gives(false).is_ok());
    for (why, other) in [
        ("has not said yet what it has", Classic { stable: None, ..still.clone() }),
        ("is not stable", Classic { stable: Some(false), ..still.clone() }),
        ("leaves", Classic { leaving: true, ..still.clone() }),
        ("may be taking it, and is asked to let it go", Classic { clear: false, ..still.clone() }),
    ] {
        assert_eq!((other.gives(true), other.gives(false)), (Err(why), Err(why)));
    }
    let accepted = Hand::Accepted { what, since, offered: Hold::default(), sheds: None, done: None };
    for (why, other) in [
        ("has it", Classic { holds: what, ..still.clone() }),
        ("lets go of it", Classic { hand: accepted, ..still.clone() }),
        ("is to have it", Classic { hand: Hand::Offered { what, since }, ..still.clone() }),
        ("is to have it", Classic { hand: Hand::Giving { what }, ..still.clone() }),
        ("is to have it", Classic { hand: Hand::Given { what, said: since, again: false }, ..still.clone() }),
    ] {
        assert_eq!((other.gives(true), other.gives(false)), (Err(why), Ok(())));
    }
    let taking = Classic { hand: Hand::Taking { what }, stable: Some(false), ..still };
    assert_eq!((taking.gives(true), taking.gives(false)), (Ok(()), Err("is not stable")));
}

/// It says that it is done when it has taken something, too.
#[test]
fn it_is_done_with_what_it_lets_go_only_after_it_began_and_if_it_has_it_no_more() {
    let mut s = Script::settled(AutoFailback::Off);
    s.says("ask_resources local me");
    let seq = s.seq;
    s.says_with(seq + 3, "resource none full 0 standby");
    s.says_with(seq + 2, "ask_resources local done");
    s.moved_nothing();
    s.says_with(seq + 4, "ask_resources local done");
    s.did(&["acquire FlagA"]);
    let mut s = Script::settled(AutoFailback::Off);
    s.says("ask_resources local me");
    s.says("resource local full 0 standby");
    s.says("ask_resources local done");
    s.moved_nothing();
    s.says("resource none full 0 standby");
    s.moved_nothing();
    s.says("ask_resources local done");
    s.did(&["acquire FlagA"]);
}

#[test]
fn a_request_that_comes_after_a_later_one_is_not_answered() {
    let mut s = Script::settled(AutoFailback::Off);
    let seq = s.seq;
    s.says_with(seq + 2, "ask_resources local me");
    s.did(&["say ask_resources local other"]);
    s.says_with(seq + 1, "ask_resources all me");
    s.did(&[]);
}

#[test]
fn a_request_is_answered_when_nothing_is_under_way_here_or_not_at_all() {
    for (seconds, answered) in [(3, true), (6, false)] {
        let mut s = Script::new(AutoFailback::Off);
        s.beats("active");
        s.says("starting");
        s.says("resource none full 0");
        s.says("resource local full 1");
        s.did.clear();
        s.says("ask_resources local me");
        s.passes(seconds);
        assert_eq!(s.said("say ask_resources"), 0);
        s.done("acquire", "FlagB", 0);
        assert_eq!(s.said("say ask_resources local other"), usize::from(answered));
    }
}

/// It may have begun to let go of it and forgotten to say so: it is asked to let it go once more.
#[test]
fn what_it_thought_better_of_is_asked_for_though_it_says_it_does_not_have_it() {
    let mut s = Script::settled(AutoFailback::Off);
    s.says("ask_resources local me");
    s.passes(15);
    s.did.clear();
    s.says("resource none full 1");
    s.passes(1);
    assert_eq!(s.said("say hb_takeover foreign"), 1, "{:?}", s.did);
    s.moved_nothing();
}

#[test]
fn what_it_is_about_to_let_go_it_has() {
    let mut s = Script::settled(AutoFailback::Off);
    s.says("resource none full 0");
    assert_eq!(s.brain.explain()[0].is, "stopping");
    s.says("resource none full 1");
    assert_ne!(s.brain.explain()[0].is, "stopping");
}

#[test]
fn it_is_asked_and_told_again_until_it_is_stable() {
    let mut s = Script::running();
    s.beats("active");
    s.did.clear();
    s.passes(10);
    assert!(s.said("say starting") >= 3, "{:?}", s.did);
    let mut s = Script::new(AutoFailback::Off);
    s.beats("active");
    s.says("starting");
    s.says("resource none full 0");
    s.did.clear();
    s.passes(4);
    assert_eq!((s.said("say starting"), s.said("say resource none full 1")), (0, 4), "{:?}", s.did);
    assert_eq!(s.brain.explain()[0].why, "a is to have it");
}

#[test]
fn nothing_is_offered_to_one_that_is_not_stable() {
    let mut s = Script::settled(AutoFailback::Off);
    s.is(NodeState::Dead);
    (s.generation, s.seq) = (2, 0);
    s.is(NodeState::Up);
    s.beats("active");
    s.says("starting");
    s.says("resource none full 1");
    // It waits for the start of FlagA.
    s.take(What::Order(Order::Standby(Which::Local)));
    s.says("resource none full 0");
    s.done("acquire", "FlagA", 0);
    s.passes(2);
    assert_eq!(s.said("say ask_resources"), 0, "{:?}", s.did);
    s.says("resource none full 1");
    assert_eq!(s.said("say ask_resources local me"), 1, "{:?}", s.did);
}
