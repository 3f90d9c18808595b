//! The membership as a whole: first what it makes of single messages, then whole clusters on simulated clocks and media.

mod simulation;

use super::finding::{Finding, Refusal};
use super::judge::{Change, Limits, LinkState, NodeState};
use super::replies::{Answer, Reply};
use super::window::Span;
use super::{Membership, Settings};
use crate::clock::Instant;
use crate::heartbeat::wire::message::{Field, Message, Value};
use std::time::Duration;

pub(super) fn at(ms: u64) -> Instant {
    Instant::at(Duration::from_millis(ms))
}

fn settings() -> Settings {
    Settings {
        me: "me".into(),
        peers: vec!["ha1".into(), "ha2".into()],
        open: false,
        media: 2,
        limits: Limits { deadtime: Duration::from_millis(1000), warntime: None, initdead: Duration::from_millis(5000) },
        standby: false,
        beats: false,
        seed: 1,
        stored: Default::default(),
    }
}

fn membership() -> Membership {
    Membership::new(settings(), at(0))
}

fn numbered(kind: &str, node: &str, hg: u64, seq: u64) -> Message {
    Message::default().with("t", kind).with("src", node).with("hg", format!("{hg:x}")).with("seq", format!("{seq:x}"))
}

fn control(kind: &str, node: &str, dest: &str) -> Message {
    Message::default().with("t", kind).with("src", node).with("hg", "1").with("dest", dest)
}

fn status(node: &str, hg: u64, seq: u64) -> Message {
    numbered("status", node, hg, seq).with("st", "active")
}

/// What is said of nodes, without links.
fn nodes(findings: &[Finding]) -> Vec<(&str, NodeState, NodeState)> {
    let of = |f| match f {
        &Finding::Changed { ref node, change: Change::Node { was, is, .. }, .. } => Some((node.as_str(), was, is)),
        _ => None,
    };
    findings.iter().filter_map(of).collect()
}

fn links(findings: &[Finding]) -> Vec<(usize, LinkState, LinkState)> {
    let of = |f: &Finding| match f {
        Finding::Changed { change: Change::Link { medium, was, is, .. }, .. } => Some((*medium, *was, *is)),
        _ => None,
    };
    findings.iter().filter_map(of).collect()
}

fn replies(findings: Vec<Finding>) -> Vec<Reply> {
    let of = |f| match f {
        Finding::Reply(reply) => Some(reply),
        _ => None,
    };
    findings.into_iter().filter_map(of).collect()
}

fn refusal(findings: &[Finding]) -> &Refusal {
    match findings {
        [Finding::Refused { refusal, .. }] => refusal,
        other => panic!("not a refusal alone: {other:?}"),
    }
}

/// The text of the single message that is to be sent.
fn answer(findings: Vec<Finding>) -> (String, &'static str, Message) {
    match replies(findings).as_slice() {
        [Reply { node, why, what: Answer::Message(message) }] => (node.clone(), *why, message.clone()),
        other => panic!("not one message: {other:?}"),
    }
}

#[test]
fn a_node_comes_grows_late_dies_and_returns() {
    use NodeState::*;
    let mut m = membership();
    let joined = m.hear(&status("ha1", 1, 1), 0, at(100));
    assert_eq!(nodes(&joined), [("ha1", Unknown, Up)]);
    assert_eq!(links(&joined), [(0, LinkState::Unknown, LinkState::Up)]);
    assert_eq!(joined.iter().filter(|f| matches!(f, Finding::Heartbeat { gap: None, .. })).count(), 1);
    assert_eq!(m.hear(&status("ha1", 1, 2), 0, at(200)), [], "nothing new");
    // The entry that was made at the first beat is early: a look at it changes nothing.
    while m.deadline().unwrap() < at(700) {
        let due = m.deadline().unwrap();
        assert!(!m.about_to_judge(due));
        assert_eq!(m.look(due), []);
    }
    assert_eq!(m.look(at(699)), []);
    assert!(!m.about_to_judge(at(699)) && m.about_to_judge(at(700)));
    assert_eq!(nodes(&m.look(at(700))), [("ha1", Up, Late)]);
    assert_eq!(links(&m.look(at(1100))), [(1, LinkState::Unknown, LinkState::Dead)], "never heard on the other");
    assert_eq!(m.look(at(1199)), []);
    let died = m.look(at(1200));
    assert_eq!((nodes(&died), links(&died)), (vec![("ha1", Late, Dead)], vec![(0, LinkState::Up, LinkState::Dead)]));
    assert_eq!(nodes(&m.hear(&status("ha1", 1, 9), 1, at(4000))), [("ha1", Dead, Up)]);
    assert_eq!(nodes(&m.look(at(5000))), [("ha1", Up, Late), ("ha1", Late, Dead), ("ha2", Unknown, Dead)]);
    assert_eq!((m.deadline(), m.look(at(99_000))), (None, vec![]), "the dead are not looked at");
}

#[test]
fn a_goodbye_holds_for_this_start_of_the_node() {
    use NodeState::*;
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    assert_eq!(nodes(&m.hear(&numbered("shutdone", "ha1", 1, 2), 0, at(100))), [("ha1", Up, Left)]);
    for n in 0..20 {
        let heard = m.hear(&status("ha1", 1, 3 + n), 0, at(200 + 100 * n));
        assert_eq!((nodes(&heard), links(&heard)), (vec![], vec![]));
    }
    let looked = m.look(at(4000));
    assert_eq!((nodes(&looked), links(&looked)), (vec![], vec![]), "neither dead nor said to live");
    let back = m.hear(&status("ha1", 2, 1), 0, at(4100));
    assert_eq!(nodes(&back), [("ha1", Left, Up)]);
    assert!(back.contains(&Finding::Restarted { node: "ha1".into(), was: 1, is: 2 }));
    assert_eq!(links(&m.look(at(4100))), [], "a medium has its deadtime again to show the node");
}

#[test]
fn a_goodbye_ends_with_the_next_start_though_that_is_not_first_heard_by_a_status() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    m.hear(&numbered("shutdone", "ha1", 1, 2), 0, at(100));
    m.hear(&numbered("starting", "ha1", 2, 2), 0, at(300));
    assert_eq!(m.state("ha1"), NodeState::Left);
    m.hear(&status("ha1", 2, 3), 0, at(400));
    assert_eq!(m.state("ha1"), NodeState::Up);
}

#[test]
fn a_goodbye_that_had_to_be_sent_again_is_one() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    m.hear(&status("ha1", 1, 3), 0, at(100));
    m.hear(&numbered("shutdone", "ha1", 1, 2), 0, at(400));
    assert_eq!(m.state("ha1"), NodeState::Left);
    m.hear(&numbered("shutdone", "ha1", 1, 2), 0, at(9000));
    m.hear(&status("ha1", 1, 4), 0, at(9100));
    assert_eq!(m.state("ha1"), NodeState::Up, "after a pause it is back, whatever is replayed");
}

#[test]
fn a_status_of_dead_is_a_goodbye_that_the_next_status_takes_back() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    m.hear(&numbered("status", "ha1", 1, 2).with("st", "dead"), 0, at(100));
    assert_eq!(m.state("ha1"), NodeState::Left);
    m.hear(&status("ha1", 1, 3), 0, at(200));
    assert_eq!(m.state("ha1"), NodeState::Up);
}

#[test]
fn a_restart_is_told_once_and_what_was_before_it_refused() {
    let mut m = membership();
    m.hear(&status("ha1", 7, 40), 0, at(0));
    let again = m.hear(&status("ha1", 8, 1), 0, at(100));
    assert_eq!(again.iter().filter(|f| matches!(f, Finding::Restarted { was: 7, is: 8, .. })).count(), 1);
    assert_eq!(nodes(&again), [], "it was up and is up");
    assert_eq!(refusal(&m.hear(&status("ha1", 7, 41), 0, at(200))), &Refusal::OldGeneration { is: 8, got: 7 });
    assert_eq!(refusal(&m.hear(&control("NS_rexmit", "ha1", "me"), 0, at(200))).reason(), "replayed-generation");
    m.hear(&status("ha1", 8, 2), 0, at(1500));
    assert_eq!(refusal(&m.hear(&status("ha1", 8, 1), 0, at(1600))), &Refusal::OldSequence { last: 2, got: 1 });
}

#[test]
fn what_makes_no_sense_or_is_no_node_is_refused() {
    let mut m = membership();
    for (message, reason) in [
        (status("stranger", 1, 1), "unknown-node"),
        (Message::default().with("t", "status"), "malformed"),
        (status("../etc", 1, 1), "malformed"),
        (Message::default().with("src", "ha1"), "malformed"),
        (Message::default().with("src", "ha1").with("t", "status").with("hg", "+1").with("seq", "1"), "malformed"),
        (Message::default().with("src", "ha1").with("t", "status").with("hg", "1").with("seq", "x"), "malformed"),
        (Message::default().with("src", "ha1").with("t", "status").with("hg", "1"), "malformed"),
    ] {
        assert_eq!(refusal(&m.hear(&message, 0, at(0))).reason(), reason, "{message:?}");
    }
    assert!(m.states().all(|(_, state)| state == NodeState::Unknown));
    let mut open = Membership::new(Settings { peers: vec![], ..settings() }, at(0));
    assert_eq!(
        nodes(&open.hear(&status("Stranger", 1, 1), 0, at(0))),
        [("stranger", NodeState::Unknown, NodeState::Up)]
    );
}

#[test]
fn our_own_words_are_no_news_and_those_for_others_are_told_but_not_answered() {
    let mut m = membership();
    assert_eq!(m.hear(&status("ME", 1, 1), 0, at(0)), []);
    m.hear(&status("ha1", 1, 1), 0, at(0));
    let heard = m.hear(&control("NS_rexmit", "ha1", "ha2").with("firstseq", "1").with("lastseq", "2"), 0, at(100));
    assert!(matches!(heard.as_slice(), [Finding::Message { node, .. }] if node == "ha1"), "{heard:?}");
    let heard = m.hear(&numbered("reqnodes", "ha1", 1, 2).with("dest", "ha2"), 0, at(200));
    assert!(matches!(heard.as_slice(), [Finding::Message { .. }]), "{heard:?}");
    // Its status for somebody else is no life.
    m.hear(&status("ha1", 1, 3).with("dest", "ha2"), 0, at(900));
    assert_eq!(nodes(&m.look(at(1000))).last(), Some(&("ha1", NodeState::Late, NodeState::Dead)));
}

#[test]
fn one_message_in_ten_is_acknowledged_and_only_up_to_a_gap() {
    let mut m = membership();
    let mut acknowledged = Vec::new();
    let mut hear = |seq: u64, ms| {
        let message = status("ha1", 1, seq);
        for reply in replies(m.hear(&message, 0, at(ms))) {
            let Answer::Message(ack) = reply.what else { panic!("{:?}", reply.what) };
            assert_eq!((reply.why, ack.text("t"), ack.text("dest")), ("ack", Some("NS_ackmsg"), Some("ha1")));
            assert!(ack.text("src").is_none() && ack.text("seq").is_none());
            acknowledged.push((seq, u64::from_str_radix(ack.text("ackseq").unwrap(), 16).unwrap()));
        }
        assert_eq!(replies(m.hear(&message, 1, at(ms + 1))), [], "a copy answers nothing twice");
    };
    (5..=25).for_each(|seq| hear(seq, seq * 10));
    (27..=45).for_each(|seq| hear(seq, seq * 10));
    hear(26, 460);
    hear(46, 470);
    hear(50, 480);
    assert_eq!(acknowledged, [(10, 10), (20, 20), (26, 45)]);
}

#[test]
fn questions_are_answered_once() {
    let mut m = Membership::new(Settings { standby: true, ..settings() }, at(0));
    m.hear(&status("ha1", 1, 1), 0, at(0));
    let again = control("NS_rexmit", "ha1", "me").with("firstseq", "10").with("lastseq", "12");
    let span = Span { first: 10, last: 12 };
    let expected = Reply { node: "ha1".into(), why: "rexmit", what: Answer::Resend(span) };
    assert_eq!(replies(m.hear(&again, 0, at(10))), [expected], "its numbers are decimal");

    let mut list = numbered("reqnodes", "ha1", 1, 2).with("dest", "Me");
    list.fields.push(Field { name: "srcuuid".into(), value: Value::Binary(vec![7; 16]) });
    let (node, why, message) = answer(m.hear(&list, 0, at(20)));
    assert_eq!((node.as_str(), why, message.text("t")), ("ha1", "reqnodes", Some("repnodes")));
    assert_eq!(message.text("dest"), Some("ha1"));
    assert_eq!(message.text("nodelist"), Some("ha1 ha2 me "));
    assert_eq!(message.text("delnodelist"), Some(" "));
    assert_eq!(message.binary("destuuid"), Some([7; 16].as_slice()));
    assert_eq!(replies(m.hear(&list, 1, at(21))), []);

    let starting = numbered("starting", "ha1", 1, 3);
    let (_, why, message) = answer(m.hear(&starting, 0, at(30)));
    assert_eq!((why, message.text("t"), message.text("rsc_hold")), ("starting", Some("resource"), Some("none")));
    assert_eq!(replies(m.hear(&starting, 1, at(31))), []);
    let mut mute = membership();
    assert_eq!(replies(mute.hear(&starting, 0, at(0))), [], "no standby");
}

#[test]
fn what_is_missing_is_asked_for_and_lost_once_refused() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    m.hear(&status("ha1", 1, 20), 0, at(100));
    let due = m.deadline().unwrap();
    assert!((at(150)..=at(350)).contains(&due), "{due:?}");
    assert!(!m.about_to_judge(due), "to ask is not to judge");
    let (node, why, message) = answer(m.look(due));
    assert_eq!((node.as_str(), why, message.text("t")), ("ha1", "gap", Some("NS_rexmit")));
    assert_eq!((message.text("firstseq"), message.text("lastseq")), (Some("2"), Some("19")), "decimal");
    let no = control("NS_nak_rexmit", "ha1", "me").with("firstseq", "1").with("lastseq", "10");
    let lost = |findings: Vec<Finding>| -> Vec<Span> {
        let of = |f| if let Finding::Lost { span, .. } = f { Some(span) } else { None };
        findings.into_iter().filter_map(of).collect()
    };
    assert_eq!(lost(m.hear(&no, 0, at(400))), [Span { first: 2, last: 16 }], "hexadecimal");
    assert_eq!(lost(m.hear(&no, 1, at(401))), []);
    let other = control("NS_nak_rexmit", "ha1", "ha2").with("firstseq", "11").with("lastseq", "13");
    assert_eq!(lost(m.hear(&other, 0, at(402))), []);
}

#[test]
fn a_node_is_judged_by_the_deadtime_that_it_announces() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1).with("dt", format!("{:x}", 4000)), 0, at(0));
    m.hear(&status("ha2", 1, 1).with("dt", format!("{:x}", 200)), 0, at(0));
    assert_eq!(m.shortest_deadtime(), Duration::from_millis(200));
    assert_eq!(nodes(&m.look(at(199))), [("ha2", NodeState::Up, NodeState::Late)]);
    assert_eq!(nodes(&m.look(at(200))), [("ha2", NodeState::Late, NodeState::Dead)]);
    assert_eq!(nodes(&m.look(at(3999))), [("ha1", NodeState::Up, NodeState::Late)]);
    // It changes with the next status, and nothing is none: then ours is in force again.
    m.hear(&status("ha1", 1, 2).with("dt", format!("{:x}", 500)), 0, at(4000));
    m.hear(&status("ha2", 1, 2).with("dt", "0"), 0, at(4000));
    m.look(at(4000));
    assert_eq!(m.deadline(), Some(at(4250)), "half the shorter one");
    m.look(at(4500));
    assert_eq!(m.state("ha1"), NodeState::Dead);
    // Nobody keeps us busy by announcing the impossible, least of all when it is gone.
    m.hear(&status("ha2", 1, 3).with("dt", "1"), 0, at(4600));
    assert_eq!(m.shortest_deadtime(), Duration::from_millis(10));
    m.look(at(4700));
    assert_eq!((m.state("ha2"), m.shortest_deadtime()), (NodeState::Dead, Duration::from_millis(1000)));
    m.hear(&status("ha2", 1, 4).with("dt", "ffffffffffff"), 0, at(4800));
    // A new start has announced nothing yet, whatever it says first.
    m.hear(&numbered("starting", "ha2", 2, 1), 0, at(4900));
    m.look(at(5800));
    assert_eq!(m.state("ha2"), NodeState::Dead);
}

#[test]
fn nobody_who_has_a_key_is_spoken_for_by_a_checksum() {
    let mut m = membership();
    // While both are configured a node may have either.
    assert_eq!(nodes(&m.hear_by(false, &status("ha1", 7, 1), 0, at(0))), [("ha1", NodeState::Unknown, NodeState::Up)]);
    m.hear_by(false, &numbered("shutdone", "ha1", 99, 1), 0, at(1));
    assert_eq!((m.state("ha1"), m.marks().len()), (NodeState::Left, 0));
    // The forged start, and the forged goodbye, bind nobody once it has spoken for itself.
    assert_eq!(nodes(&m.hear(&status("ha1", 7, 2), 0, at(2))), [("ha1", NodeState::Left, NodeState::Up)]);
    for forged in [status("ha1", 99, 2), numbered("shutdone", "ha1", 7, 3)] {
        let found = m.hear_by(false, &forged, 0, at(3));
        let refused = |f: &Finding| matches!(f, Finding::Refused { refusal: Refusal::ChecksumOnly, .. });
        assert!(found.iter().all(refused), "{found:?}");
    }
    assert_eq!(m.state("ha1"), NodeState::Up);
    assert_eq!(m.marks()["ha1"].generation, 7);
}

#[test]
fn a_stall_is_listened_to_for_a_deadtime_and_stalls_without_end_do_not_put_that_off() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    m.hear(&status("ha1", 1, 2), 1, at(1));
    let stall = |m: &mut Membership, ms| match m.stalled(Some(Duration::from_millis(600)), "", at(ms)) {
        Finding::Stalled { again, .. } => again,
        other => panic!("{other:?}"),
    };
    assert!(!stall(&mut m, 1100));
    assert!(!m.about_to_judge(at(1100)));
    assert_eq!(m.look(at(1100)), []);
    assert!(stall(&mut m, 1700), "not over yet");
    assert_eq!(nodes(&m.look(at(1700))), [("ha1", NodeState::Up, NodeState::Late)]);
    assert!(stall(&mut m, 2300), "what was put off once is due");
    assert_eq!(nodes(&m.look(at(2300))), [("ha1", NodeState::Late, NodeState::Dead)]);
}

#[test]
fn stalls_without_end_do_not_hide_a_medium_that_is_down() {
    let mut m = membership();
    m.hear(&status("ha1", 1, 1), 0, at(0));
    m.hear(&status("ha1", 1, 1), 1, at(1));
    let mut told = Vec::new();
    for turn in 1..=10 {
        m.hear(&status("ha1", 1, 1 + turn), 0, at(600 * turn));
        m.stalled(Some(Duration::from_millis(600)), "", at(600 * turn));
        told.extend(links(&m.look(at(600 * turn))));
    }
    assert_eq!(told, [(1, LinkState::Up, LinkState::Dead)]);
    assert_eq!(m.state("ha1"), NodeState::Up);
}
