//! Clusters on simulated clocks and media: nodes that beat, pause, crash, leave and start again; media that lose, delay,
//! reorder and duplicate; a listener that pauses, reads late, loses what its buffers do not hold and starts again; an
//! attacker who says again what was heard; wall clocks that are set.
//!
//! A model of the rules, made of nothing but what the listener was handed and when, says at each step what may and what
//! must be thought of each node.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::dice::Dice;
use crate::heartbeat::sender::speaker::{Identity, Present, Speaker};

const END: u64 = 20_000;
const GOODBYE: u64 = 5_000;

type Seal = Box<dyn Fn(&Message) -> Vec<Vec<u8>>>;

#[derive(Clone, Debug)]
struct Medium {
    loss: u64,
    delay: u64,
    jitter: u64,
    twice: u64,
}

#[derive(Clone, Debug)]
struct Sender {
    keepalive: u64,
    factor: u64,
    announces: bool,
    /// What is asked of it does not reach it.
    deaf: bool,
}

#[derive(Clone, Debug)]
enum Fault {
    /// A node stops, and starts again after so long.
    Crash { node: usize, back: Option<u64> },
    /// A node says goodbye, goes on to beat for so long, and starts again.
    Leave { node: usize, lingers: u64, back: Option<u64> },
    /// A node says nothing for a while.
    Pause { node: usize, ms: u64 },
    /// The wall clock of a node is set.
    Clock { node: usize, seconds: i64 },
    /// A medium is cut for a while.
    Cut { medium: usize, ms: u64 },
    /// Nothing can be heard on a medium for a while, and the listener can know it: its interface is gone.
    Deaf { medium: usize, ms: u64 },
    /// The listener does not look for so long, so many times with one look between.
    Nap { ms: u64, times: u64 },
    /// The listener starts again, with what it kept on disk.
    Reborn,
    /// The attacker says again what was heard.
    Replay { count: u64 },
}

#[derive(Clone, Debug)]
struct Case {
    senders: Vec<Sender>,
    media: Vec<Medium>,
    faults: Vec<(u64, Fault)>,
    deadtime: u64,
    warntime: Option<u64>,
    initdead: u64,
    /// Messages that a medium keeps for a listener that does not read.
    buffer: usize,
    seed: u64,
}

enum Event {
    Beat {
        node: usize,
        start: u64,
    },
    Stop {
        node: usize,
        start: u64,
    },
    Start {
        node: usize,
    },
    Arrive {
        medium: usize,
        message: Message,
    },
    /// Something to notice, and nothing else.
    Notice,
    Fault(Fault),
}

/// What the listener may think of a node, from what it was handed.
#[derive(Clone)]
struct Model {
    said: NodeState,
    links: Vec<LinkState>,
    /// When each medium last brought something of it, copies included, and on which something can be heard.
    brought: Vec<Option<u64>>,
    hears: Vec<bool>,
    /// When each medium last brought something new.
    carried: Vec<Option<u64>>,
    started: u64,
    deadtime: u64,
    life: Option<u64>,
    /// The end of the stall that its silence counts from.
    stall: Option<u64>,
    left: Option<u64>,
    goodbye: bool,
    mark: Option<(u64, u64)>,
    accepted: BTreeSet<(u64, u64)>,
    lost: BTreeSet<(u64, u64)>,
}

impl Model {
    fn new(deadtime: u64, media: usize, now: u64) -> Self {
        Self {
            said: NodeState::Unknown,
            links: vec![LinkState::Unknown; media],
            brought: vec![None; media],
            hears: vec![true; media],
            carried: vec![None; media],
            started: now,
            deadtime,
            life: None,
            stall: None,
            left: None,
            goodbye: false,
            mark: None,
            accepted: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    /// Whether its silence means anything.
    fn audible(&self) -> bool {
        let never = self.brought.iter().all(Option::is_none);
        let witness = |then: u64| self.life.is_none_or(|life| life < then + self.deadtime);
        let mut media = self.hears.iter().zip(&self.brought);
        media.any(|(hears, brought)| *hears && brought.map_or(never, witness))
    }

    /// Tells it something about a medium. Whoever becomes audible by that has a whole deadtime.
    fn note(&mut self, now: u64, what: impl FnOnce(&mut Self)) {
        let was = self.audible();
        what(self);
        if !was && self.audible() {
            self.stall = Some(now);
        }
    }

    /// What will be thought of it next if it says nothing, and when.
    fn next(&self, case: &Case) -> Option<(u64, NodeState)> {
        if self.left.is_some() {
            return None;
        }
        let from = |since: u64| since.max(self.stall.unwrap_or(0));
        match (self.said, self.life) {
            (NodeState::Dead | NodeState::Left, _) => None,
            (NodeState::Unknown, _) | (_, None) => {
                let dead = (self.started + case.initdead).max(self.stall.map_or(0, |s| s + self.deadtime));
                self.audible().then_some((dead, NodeState::Dead))
            }
            (_, Some(life)) if !self.audible() => Some((from(life) + self.deadtime, NodeState::Unknown)),
            (NodeState::Up, Some(life)) => {
                // Exact halves, in microseconds, would be a millisecond apart: deadtimes here are even.
                let late = case.warntime.unwrap_or(self.deadtime / 2);
                let what = if late < self.deadtime { NodeState::Late } else { NodeState::Dead };
                Some((from(life) + late.min(self.deadtime), what))
            }
            (NodeState::Late, Some(life)) => Some((from(life) + self.deadtime, NodeState::Dead)),
        }
    }

    fn expected(&self, case: &Case, now: u64) -> NodeState {
        if self.left.is_some() {
            return NodeState::Left;
        }
        let mut later = self.clone();
        while let Some((_, is)) = later.next(case).filter(|(at, is)| *at <= now && *is != later.said) {
            later.said = is;
        }
        later.said
    }

    /// A stall counts unless one that counted is not a deadtime old, or is what the silence counts from already.
    fn stalled(&mut self, case: &Case, gap: u64, now: u64) {
        if gap * 2 <= self.deadtime {
            return;
        }
        let waits = matches!(self.said, NodeState::Unknown | NodeState::Up | NodeState::Late);
        let in_force = |stall: u64| match self.life {
            Some(life) => life < stall,
            None => self.started + case.initdead < stall + self.deadtime && self.started < stall,
        };
        if self.stall.is_none_or(|stall| now >= stall + self.deadtime && !(waits && in_force(stall))) {
            self.stall = Some(now);
        }
    }
}

struct World<'a> {
    case: &'a Case,
    dice: Dice,
    now: u64,
    turn: u64,
    events: BTreeMap<(u64, u64), Event>,
    // Senders.
    store: Rc<RefCell<Vec<Message>>>,
    speakers: Vec<Option<Speaker<Seal>>>,
    starts: Vec<u64>,
    paused: Vec<u64>,
    unix: Vec<u64>,
    cut: Vec<u64>,
    deaf: Vec<u64>,
    // The listener.
    membership: Membership,
    inbox: Vec<VecDeque<Message>>,
    captured: Vec<Message>,
    asleep: u64,
    naps: VecDeque<u64>,
    looked: u64,
    models: Vec<Model>,
    tally: Tally,
}

/// What happened in all cases, so that a simulation in which nothing happens is no success.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, what: &'static str, happened: bool) {
        *self.0.entry(what).or_default() += u64::from(happened);
    }
}

fn name(node: usize) -> String {
    format!("n{node}")
}

fn settings_of(case: &Case, stored: BTreeMap<String, super::super::Mark>) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        peers: (0..case.senders.len()).map(name).collect(),
        open: false,
        media: case.media.len(),
        limits: Limits { deadtime: ms(case.deadtime), warntime: case.warntime.map(ms), initdead: ms(case.initdead) },
        beats: true,
        seed: case.seed,
        stored,
        ..settings()
    }
}

impl<'a> World<'a> {
    fn new(case: &'a Case) -> Self {
        let nodes = case.senders.len();
        let mut world = Self {
            case,
            dice: Dice::new(case.seed),
            now: 0,
            turn: 0,
            events: BTreeMap::new(),
            store: Rc::default(),
            speakers: (0..nodes).map(|_| None).collect(),
            starts: vec![100; nodes],
            paused: vec![0; nodes],
            unix: vec![1_800_000_000; nodes],
            cut: vec![0; case.media.len()],
            deaf: vec![0; case.media.len()],
            membership: Membership::new(settings_of(case, BTreeMap::new()), at(0)),
            inbox: vec![VecDeque::new(); case.media.len()],
            captured: Vec::new(),
            asleep: 0,
            naps: VecDeque::new(),
            looked: 0,
            models: vec![Model::new(case.deadtime, case.media.len(), 0); nodes],
            tally: Tally::default(),
        };
        for node in 0..nodes {
            let when = world.below(2000);
            world.at(when, Event::Start { node });
        }
        for (when, fault) in case.faults.clone() {
            world.at(when, Event::Fault(fault));
        }
        world
    }

    fn below(&mut self, most: u64) -> u64 {
        self.dice.below(most)
    }

    fn at(&mut self, when: u64, event: Event) {
        self.turn += 1;
        self.events.insert((when, self.turn), event);
    }

    fn run(mut self) -> Tally {
        while self.now < END {
            let event = self.events.first_key_value().map_or(END, |(key, _)| key.0);
            let wake = self.wake();
            self.now = self.now.max(event.min(wake));
            while self.events.first_key_value().is_some_and(|(key, _)| key.0 <= self.now) {
                let (_, event) = self.events.pop_first().unwrap();
                self.happen(event);
            }
            if self.asleep <= self.now {
                self.listen();
            }
        }
        self.tally
    }

    /// When the listener wakes by itself: for a deadline, and often enough not to call its own sleep a stall.
    fn wake(&mut self) -> u64 {
        let often = self.looked + self.shortest() / 4;
        let deadline =
            self.membership.deadline().map_or(often, |due| due.since_boot().as_micros().div_ceil(1000) as u64);
        // A step is at least a millisecond.
        deadline.min(often).max(self.looked + 1).max(self.asleep)
    }

    fn shortest(&mut self) -> u64 {
        self.membership.shortest_deadtime().as_millis() as u64
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start { node } => {
                if self.speakers[node].is_some() {
                    return;
                }
                self.starts[node] += 1;
                let sender = &self.case.senders[node];
                let announced = sender.announces.then(|| Duration::from_millis(sender.keepalive * sender.factor));
                let store = Rc::clone(&self.store);
                let seal: Seal = Box::new(move |message| {
                    store.borrow_mut().push(message.clone());
                    vec![(store.borrow().len() - 1).to_be_bytes().to_vec()]
                });
                let start = self.starts[node];
                let identity = Identity { node: name(node), uuid: None, generation: start, ttl: 3 };
                self.speakers[node] = Some(Speaker::new(identity, "active", announced, seal));
                self.at(self.now, Event::Beat { node, start });
            }
            Event::Beat { node, start } => {
                if self.starts[node] != start || self.speakers[node].is_none() {
                    return;
                }
                if self.paused[node] <= self.now {
                    let present = Present { unix: self.unix[node] + self.now / 1000, load: None };
                    let bytes = self.speakers[node].as_mut().unwrap().beat(&present);
                    self.send(&bytes);
                }
                self.at(self.now + self.case.senders[node].keepalive, Event::Beat { node, start });
            }
            Event::Stop { node, start } => {
                if self.starts[node] == start {
                    self.speakers[node] = None;
                }
            }
            Event::Arrive { medium, message } => {
                if self.deaf[medium] <= self.now && self.inbox[medium].len() < self.case.buffer {
                    self.inbox[medium].push_back(message);
                }
            }
            Event::Notice => {}
            Event::Fault(fault) => self.fail(fault),
        }
    }

    fn fail(&mut self, fault: Fault) {
        let nodes = self.speakers.len();
        match fault {
            Fault::Crash { node, back } => {
                let node = node % nodes;
                self.speakers[node] = None;
                if let Some(back) = back {
                    self.at(self.now + back, Event::Start { node });
                }
            }
            Fault::Leave { node, lingers, back } => {
                let node = node % nodes;
                let Some(speaker) = &mut self.speakers[node] else { return };
                let shutdone = Message::default().with("t", "shutdone").with("st", "dead");
                let bytes = speaker.say(shutdone, &Present::default());
                self.send(&bytes);
                self.at(self.now + lingers, Event::Stop { node, start: self.starts[node] });
                if let Some(back) = back {
                    self.at(self.now + lingers + back, Event::Start { node });
                }
            }
            Fault::Pause { node, ms } => self.paused[node % nodes] = self.now + ms,
            Fault::Clock { node, seconds } => {
                let unix = &mut self.unix[node % nodes];
                *unix = unix.saturating_add_signed(seconds);
            }
            Fault::Cut { medium, ms } => {
                let medium = medium % self.cut.len();
                self.cut[medium] = self.now + ms;
            }
            Fault::Deaf { medium, ms } => {
                let medium = medium % self.deaf.len();
                self.deaf[medium] = self.deaf[medium].max(self.now + ms);
                self.at(self.deaf[medium], Event::Notice);
            }
            Fault::Nap { ms, times } => self.naps.extend((0..times).map(|_| ms)),
            Fault::Reborn if self.asleep <= self.now => {
                let marks = self.membership.marks();
                self.membership = Membership::new(settings_of(self.case, marks), at(self.now));
                for model in &mut self.models {
                    let kept = model.clone();
                    *model = Model::new(self.case.deadtime, self.case.media.len(), self.now);
                    (model.mark, model.accepted, model.lost) = (kept.mark, kept.accepted, kept.lost);
                }
                self.looked = self.now;
            }
            Fault::Reborn => {}
            Fault::Replay { count } => {
                for _ in 0..count.min(self.captured.len() as u64) {
                    let n = self.below(self.captured.len() as u64) as usize;
                    let medium = self.below(self.inbox.len() as u64) as usize;
                    self.at(self.now, Event::Arrive { medium, message: self.captured[n].clone() });
                }
            }
        }
    }

    fn send(&mut self, bytes: &[Vec<u8>]) {
        let index = usize::from_be_bytes(bytes[0].as_slice().try_into().unwrap());
        let message = self.store.borrow()[index].clone();
        for medium in 0..self.case.media.len() {
            let Medium { loss, delay, jitter, twice } = self.case.media[medium];
            let copies = 1 + u64::from(self.below(100) < twice);
            for _ in 0..copies {
                if self.cut[medium] > self.now || self.below(100) < loss {
                    continue;
                }
                let when = self.now + delay + self.below(jitter + 1);
                self.at(when, Event::Arrive { medium, message: message.clone() });
            }
        }
    }

    /// What the loop of a listener does each time it wakes.
    fn listen(&mut self) {
        let gap = self.now - self.looked;
        for medium in 0..self.inbox.len() {
            let hears = self.deaf[medium] <= self.now;
            self.membership.hearing(medium, hears, at(self.now));
            for model in &mut self.models {
                model.note(self.now, |m| m.hears[medium] = hears);
            }
        }
        for medium in 0..self.inbox.len() {
            while let Some(message) = self.inbox[medium].pop_front() {
                self.hear(&message, medium);
            }
        }
        if gap * 2 > self.shortest() {
            self.tally.count("stalled", true);
            let told = self.membership.stalled(Some(Duration::from_millis(gap)), "slept", at(self.now));
            self.tally.count("again", matches!(told, Finding::Stalled { again: true, .. }));
            for model in &mut self.models {
                model.stalled(self.case, gap, self.now);
            }
        }
        self.look();
        self.looked = self.now;
        if let Some(nap) = self.naps.pop_front() {
            self.asleep = self.now + nap;
        }
    }

    fn hear(&mut self, message: &Message, medium: usize) {
        self.tally.count("heard", true);
        self.captured.push(message.clone());
        let now = self.now;
        let number = |field| u64::from_str_radix(message.text(field).unwrap(), 16).unwrap();
        let node: usize = message.text("src").unwrap()[1..].parse().unwrap();
        let mark = (number("hg"), number("seq"));
        let kind = message.text("t").unwrap();
        let model = &mut self.models[node];
        let before = model.clone();
        let fresh = model.mark.is_none_or(|known| known < mark);
        let known = model.accepted.contains(&mark) || model.mark.is_some_and(|known| mark.0 < known.0);
        if fresh {
            model.mark = Some(mark);
            if before.mark.is_none_or(|known| known.0 < mark.0) {
                model.goodbye = false;
                model.deadtime = self.case.deadtime;
            }
            model.carried[medium] = Some(now);
            if kind == "status" && !(model.goodbye && model.left.is_some_and(|then| now < then + GOODBYE)) {
                let announced = message.text("dt").map(|dt| u64::from_str_radix(dt, 16).unwrap());
                model.deadtime = announced.unwrap_or(self.case.deadtime);
                (model.life, model.left, model.goodbye) = (Some(now), None, false);
            }
        }
        let findings = self.membership.hear(message, medium, at(now));
        let refused = findings.iter().any(|f| matches!(f, Finding::Refused { .. }));
        let accepted = findings.iter().any(|f| matches!(f, Finding::Heartbeat { .. } | Finding::Message { .. }));
        if fresh {
            assert!(accepted, "{now}: fresh, but not accepted: {message:?} {findings:?}");
        }
        if known {
            // What was heard or is over wakes nobody, is no heartbeat, and asks nothing of anybody.
            let only_links = |f: &Finding| matches!(f, Finding::Changed { change: Change::Link { .. }, .. });
            assert!(refused || findings.iter().all(only_links), "{now}: replayed: {message:?} {findings:?}");
        }
        self.tally.count("refused", refused);
        self.tally.count("filled", accepted && !fresh);
        let model = &mut self.models[node];
        if accepted {
            assert!(model.accepted.insert(mark), "accepted twice: {message:?}");
            assert!(!model.lost.contains(&mark), "accepted after it was given up: {message:?}");
            if kind == "shutdone" {
                model.left = Some(now);
                model.goodbye = true;
            }
        }
        self.judge(findings, fresh.then_some(node));
        let brought = self.membership.nodes[node].judge.carried_at(medium).map(|then| then.since_boot().as_millis());
        let model = &mut self.models[node];
        model.brought[medium] = brought.map(|ms| ms as u64);
        if !before.audible() && model.audible() {
            model.stall = Some(now);
        }
        if fresh && kind == "status" && model.left.is_none() {
            assert_eq!(model.said, NodeState::Up, "{now}: a node that was just heard");
        }
        self.timely();
    }

    fn look(&mut self) {
        let now = self.now;
        let due = self.models.iter().any(|m| m.expected(self.case, now) != m.said);
        let judges = self.membership.about_to_judge(at(now));
        assert!(judges || !due, "{now}: somebody is to be judged, and about_to_judge does not say so");
        let findings = self.membership.look(at(now));
        let changed = findings.iter().any(|f| matches!(f, Finding::Changed { .. }));
        assert_eq!(changed, judges, "{now}: about_to_judge against {findings:?}");
        self.judge(findings, None);
        for (node, model) in self.models.iter().enumerate() {
            assert_eq!(model.said, model.expected(self.case, now), "{now}: {}", name(node));
            assert_eq!(self.membership.state(&name(node)), model.said);
        }
        assert!(self.membership.deadline().is_none_or(|due| due > at(now)), "{now}: looked, and to look again");
        self.timely();
    }

    /// The listener is never told to come back after somebody is due.
    fn timely(&self) {
        let deadline = self.membership.deadline();
        for (node, model) in self.models.iter().enumerate() {
            let Some((next, _)) = model.next(self.case) else { continue };
            assert!(
                deadline.is_some_and(|due| due <= at(next)),
                "{}: {} is due at {next}: {deadline:?}",
                self.now,
                name(node)
            );
        }
    }

    /// Checks what was found; `woken` is the node of which something new was heard.
    fn judge(&mut self, findings: Vec<Finding>, woken: Option<usize>) {
        let now = self.now;
        let mut resend = Vec::new();
        for finding in findings {
            match finding {
                Finding::Changed { node, deadtime, change: Change::Node { was, is, .. } } => {
                    let n: usize = node[1..].parse().unwrap();
                    let model = &mut self.models[n];
                    assert_eq!(deadtime, Duration::from_millis(model.deadtime), "{now}: {node}");
                    assert_eq!(model.said, was, "{now}: {node}");
                    assert_ne!(was, is, "{now}: {node} told twice");
                    match is {
                        NodeState::Up => {
                            assert_eq!(woken, Some(n), "{now}: {node} is up, though nothing new was heard of it");
                            self.tally.count("returned", was == NodeState::Dead);
                        }
                        NodeState::Dead => {
                            assert!(model.audible(), "{now}: {node} is dead to a listener that could not hear it");
                            // Said once more without the model's arithmetic: nobody dies of less than its deadtime.
                            assert!(model.life.is_none_or(|life| now - life >= model.deadtime), "{now}: {node} lives");
                            assert!(
                                model.stall.is_none_or(|s| now - s >= model.deadtime),
                                "{now}: {node}, after a stall"
                            );
                            self.tally.count("died", true);
                        }
                        NodeState::Late => self.tally.count("late", true),
                        NodeState::Left => self.tally.count("left", true),
                        NodeState::Unknown => {
                            assert!(!model.audible(), "{now}: {node} is forgotten");
                            self.tally.count("inaudible", true);
                        }
                    }
                    model.said = is;
                }
                Finding::Changed { node, change: Change::Link { medium, was, is, .. }, .. } => {
                    let model = &mut self.models[node[1..].parse::<usize>().unwrap()];
                    assert_eq!(model.links[medium], was, "{now}: {node} on {medium}");
                    assert_ne!(was, is, "{now}: {node} on {medium} told twice");
                    if is == LinkState::Dead && model.left.is_none() {
                        let carried = model.carried[medium].is_some_and(|then| now - then < model.deadtime);
                        assert!(!carried, "{now}: {node} on {medium} carries");
                    }
                    assert!(is != LinkState::Dead || model.hears[medium] || model.left.is_some(), "{now}: deaf");
                    model.links[medium] = is;
                }
                Finding::Restarted { node, was, is } => {
                    assert!(was < is && woken.is_some(), "{now}: {node} from {was} to {is}");
                    self.tally.count("restarted", true);
                }
                Finding::Lost { node, span } => {
                    let model = &mut self.models[node[1..].parse::<usize>().unwrap()];
                    for seq in span.first..=span.last {
                        let mark = (model.mark.unwrap().0, seq);
                        assert!(
                            !model.accepted.contains(&mark) && model.lost.insert(mark),
                            "{now}: {node} lost {mark:?}"
                        );
                        self.tally.count("lost", true);
                    }
                }
                Finding::Reply(Reply { node, why: "gap", what: Answer::Message(message) }) => {
                    let number = |field| message.text(field).unwrap().parse().unwrap();
                    resend.push((
                        node[1..].parse::<usize>().unwrap(),
                        Span { first: number("firstseq"), last: number("lastseq") },
                    ));
                }
                Finding::Stalled { .. } => panic!("not by itself"),
                Finding::Heartbeat { .. }
                | Finding::Pulse { .. }
                | Finding::Message { .. }
                | Finding::Refused { .. }
                | Finding::Reply(_) => {}
            }
        }
        for (node, span) in resend {
            // A pausing node hears nothing.
            if self.paused[node] > now || self.case.senders[node].deaf {
                continue;
            }
            let again = self.speakers[node].as_mut().map(|s| s.resend(span, at(now)).0).unwrap_or_default();
            again.iter().for_each(|said| self.send(&said.bytes));
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let back = || prop::option::weighted(0.7, 0u64..6000);
    prop_oneof![
        3 => (0usize..4, back()).prop_map(|(node, back)| Fault::Crash { node, back }),
        2 => (0usize..4, 0u64..2500, back()).prop_map(|(node, lingers, back)| Fault::Leave { node, lingers, back }),
        2 => (0usize..4, 0u64..5000).prop_map(|(node, ms)| Fault::Pause { node, ms }),
        1 => (0usize..4, -100_000i64..100_000).prop_map(|(node, seconds)| Fault::Clock { node, seconds }),
        2 => (0usize..3, 0u64..8000).prop_map(|(medium, ms)| Fault::Cut { medium, ms }),
        3 => (0usize..3, 0u64..8000).prop_map(|(medium, ms)| Fault::Deaf { medium, ms }),
        3 => (0u64..3000, 1u64..4).prop_map(|(ms, times)| Fault::Nap { ms, times }),
        1 => (50u64..900, 1u64..40).prop_map(|(ms, times)| Fault::Nap { ms, times }),
        1 => Just(Fault::Reborn),
        3 => (1u64..30).prop_map(|count| Fault::Replay { count }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let sender = (50u64..500, 2u64..6, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(keepalive, factor, announces, deaf)| {
            // Even, so that half a deadtime is a whole millisecond.
            Sender { keepalive: keepalive * 2, factor, announces, deaf }
        },
    );
    let medium = (prop_oneof![Just(0u64), 0u64..70], 0u64..200, 0u64..400, 0u64..30)
        .prop_map(|(loss, delay, jitter, twice)| Medium { loss, delay, jitter, twice });
    (
        prop::collection::vec(sender, 1..4),
        prop::collection::vec(medium, 1..4),
        prop::collection::vec((0u64..END - 4000, fault()), 0..10),
        (100u64..1500).prop_map(|half| half * 2),
        prop::option::of(50u64..3000),
        0u64..6000,
        2usize..64,
        any::<u64>(),
    )
        .prop_map(|(senders, media, faults, deadtime, warntime, initdead, buffer, seed)| Case {
            senders,
            media,
            faults,
            deadtime,
            warntime,
            initdead,
            buffer,
            seed,
        })
}

#[test]
fn whatever_happens_to_nodes_media_and_listener_the_rules_hold() {
    let total = RefCell::new(Tally::default());
    let config = ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&case(), |case| {
        for (what, count) in World::new(&case).run().0 {
            *total.borrow_mut().0.entry(what).or_default() += count;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let total = total.borrow();
    println!("{total:?}");
    for what in [
        "heard",
        "died",
        "late",
        "returned",
        "left",
        "restarted",
        "stalled",
        "again",
        "refused",
        "filled",
        "lost",
        "inaudible",
    ] {
        assert!(total.0.get(what).is_some_and(|count| *count > 0), "never {what}: {total:?}");
    }
}
