//! Two to seven nodes on a network that loses, delays, repeats and overtakes, with cuts whole, partial and one-way;
//! machines crash, stop for a while and come back; groups start and stop slowly, or fail; operators give orders.
//!
//! What is held at every step: of three nodes and more no group runs on two; of two, not for longer than it takes to say
//! so while they hear each other, or while the arbiter answers one of them. Once the network is whole again, every group
//! that a living node could have has one holder, where the configuration wants it, and nothing moves any more. What a
//! node had that leaves then is started elsewhere as soon as it is stopped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::super::action::{Action, Decision};
use super::super::cluster::{Cluster, Limits};
use super::super::input::{Input, Order, Voice, What, Which};
use super::super::report::Report;
use super::super::{Decider, NodeState};
use crate::clock::Instant;
use crate::config::ha_cf::{AutoFailback, HaCf, PingGroup, Stonith};
use crate::config::haresources;
use crate::dice::Dice;

const KEEPALIVE: u64 = 500;
const DEADTIME: u64 = 2000;
const TICK: u64 = 500;
/// The longest stop.
const STOP: u64 = 3000;
const LEASE: u64 = 2000;
/// A listener's events reach the brain after at most so long.
const LAG: u64 = 60;
/// The longest way through the network.
const DELAY: u64 = 200;
const CHAOS: u64 = 60_000;
const CALM: u64 = 900_000;
/// More than this is no run but a loop.
const MOST_TURNS: u64 = 500_000;
/// Nothing has changed for so long: it is the end.
const STILL: u64 = 15_000;

/// How one run differs from another.
#[derive(Clone, Debug)]
struct Plan {
    nodes: usize,
    groups: Vec<Vec<usize>>,
    failback: AutoFailback,
    arbiter: bool,
    fencing: bool,
    /// In thousandths.
    loss: u64,
    start_fails: u64,
    orders: bool,
    /// Milliseconds from one fault to the next, on average.
    faults_every: u64,
    /// The most groups of one node.
    limit: usize,
    /// What happens once all has come to rest.
    epilogue: Option<(usize, Epilogue)>,
}

/// To a node, while nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Epilogue {
    /// It dies, and does not come back.
    Dies,
    /// It does not reach the arbiter any more.
    Dims,
    Asked(Order),
}

impl Plan {
    fn of(dice: &mut Dice) -> Self {
        let nodes = if dice.chance(400) { 2 } else { 3 + dice.below(5) as usize };
        let groups = 1 + dice.below(4) as usize;
        let candidates = |dice: &mut Dice| {
            let mut all: Vec<usize> = (0..nodes).collect();
            for n in 0..nodes {
                all.swap(n, dice.below(nodes as u64) as usize);
            }
            let least = if nodes == 2 { 1 } else { 2 };
            all.truncate(least + dice.below((nodes - least + 1) as u64) as usize);
            all
        };
        Self {
            groups: (0..groups).map(|_| candidates(dice)).collect(),
            nodes,
            failback: [AutoFailback::On, AutoFailback::On, AutoFailback::Off, AutoFailback::Legacy]
                [dice.below(4) as usize],
            arbiter: dice.chance(if nodes == 2 { 500 } else { 100 }),
            fencing: dice.chance(150),
            loss: [0, 0, 20, 100, 250][dice.below(5) as usize],
            start_fails: [0, 0, 0, 100, 400][dice.below(5) as usize],
            orders: dice.chance(400),
            faults_every: 2000 + dice.below(15_000),
            limit: [1, 2, 3, usize::MAX, usize::MAX, usize::MAX][dice.below(6) as usize],
            epilogue: dice.chance(600).then(|| {
                let what = [
                    Epilogue::Dies,
                    Epilogue::Dies,
                    Epilogue::Dims,
                    Epilogue::Asked(Order::Standby(Which::All)),
                    Epilogue::Asked(Order::Takeover(Which::All)),
                    Epilogue::Asked(Order::Failback),
                    Epilogue::Asked(Order::Leave),
                ];
                (dice.below(nodes as u64) as usize, what[dice.below(7) as usize])
            }),
        }
    }

    fn cluster(&self, me: usize) -> Cluster {
        let name = |n: &usize| format!("n{n}");
        let ms = Duration::from_millis;
        let ha_cf = HaCf {
            nodes: (0..self.nodes).map(|n| name(&n)).collect(),
            keepalive: ms(KEEPALIVE),
            deadtime: ms(DEADTIME),
            initdead: ms(DEADTIME * 2),
            auto_failback: self.failback,
            ping_groups: match self.arbiter {
                true => vec![PingGroup { name: "router".into(), hosts: vec!["router".into()] }],
                false => Vec::new(),
            },
            stonith: match self.fencing {
                true => vec![Stonith { host: Some("*".into()), kind: "sim".into(), parameters: Vec::new() }],
                false => Vec::new(),
            },
            ..HaCf::default()
        };
        let groups = self.groups.iter().enumerate().map(|(g, candidates)| haresources::Group {
            id: format!("g{g}"),
            nodes: candidates.iter().map(name).collect(),
            resources: Vec::new(),
            line: 1,
        });
        let limits = Limits { lease: ms(LEASE), stop: ms(STOP), groups: self.limit };
        Cluster::new(&ha_cf, &groups.collect::<Vec<_>>(), &name(&me), limits).unwrap()
    }
}

#[derive(Clone, Debug)]
struct Message {
    generation: u64,
    number: u64,
    status: &'static str,
    report: Option<String>,
    leaves: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Beat(u64),
    Tick(u64),
    Arrive { from: usize, message: Message },
    Think { epoch: u64, what: What },
    Done { epoch: u64, group: usize, start: bool, turn: u64 },
    Fenced { epoch: u64, node: usize },
    Wake(u64),
    Boot,
    Ready(u64),
    Fault,
}

/// What a node thinks of another by its silence: the listener's part, in short.
#[derive(Clone, Debug)]
struct Ear {
    state: NodeState,
    heard: Option<u64>,
    /// When its state changed.
    since: u64,
    mark: (u64, u64),
    said: Option<(&'static str, Option<String>)>,
    gone: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Off,
    /// It runs in part or whole; a later turn has overtaken what was to end.
    On(u64),
}

struct Node {
    up: bool,
    /// Counts the starts of everything that runs there.
    epoch: u64,
    brain: Decider,
    generation: u64,
    number: u64,
    status: &'static str,
    report: Option<String>,
    ears: Vec<Ear>,
    began: u64,
    paused: Option<(u64, u64)>,
    /// It does not know yet that it was away.
    waking_until: u64,
    runs: Vec<Run>,
    stuck: Vec<bool>,
    reaches_arbiter: bool,
    /// When that last changed.
    reached_at: u64,
    /// Of its inputs, so that none overtakes another.
    thinks_at: u64,
}

struct World {
    plan: Plan,
    dice: Dice,
    now: u64,
    turn: u64,
    queue: BTreeMap<(u64, u64), (usize, Event)>,
    nodes: Vec<Node>,
    /// Whether `a` is heard by `b`.
    links: Vec<Vec<bool>>,
    calm: bool,
    moves: u64,
    moved_at: u64,
    /// Since when two nodes run a group, hearing each other or with one that the arbiter answers.
    doubled: Vec<Option<u64>>,
    ordered: bool,
    failed: bool,
    /// When the epilogue began, what ran on its node then, and whether that node has left since.
    told: Option<(u64, Vec<usize>)>,
    left: bool,
    gone: Option<usize>,
    log: Option<String>,
}

type Outcome = Result<(), String>;

impl World {
    fn new(seed: u64, logged: bool) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::of(&mut dice);
        let nodes = (0..plan.nodes).map(|n| {
            let ear = Ear { state: NodeState::Unknown, heard: None, since: 0, mark: (0, 0), said: None, gone: None };
            Node {
                up: false,
                epoch: 0,
                brain: Decider::new(plan.cluster(n)),
                generation: 0x10,
                number: 0,
                status: "up",
                report: None,
                ears: vec![ear; plan.nodes],
                began: 0,
                paused: None,
                waking_until: 0,
                runs: vec![Run::Off; plan.groups.len()],
                stuck: vec![false; plan.groups.len()],
                reaches_arbiter: true,
                reached_at: 0,
                thinks_at: 0,
            }
        });
        let mut world = Self {
            nodes: nodes.collect(),
            dice,
            now: 0,
            turn: 0,
            queue: BTreeMap::new(),
            links: vec![vec![true; plan.nodes]; plan.nodes],
            calm: false,
            moves: 0,
            moved_at: 0,
            doubled: vec![None; plan.groups.len()],
            ordered: false,
            failed: false,
            told: None,
            left: false,
            gone: None,
            log: logged.then(String::new),
            plan,
        };
        for n in 0..world.plan.nodes {
            let later = world.dice.below(3000);
            world.at(later, n, Event::Boot);
        }
        world.at(5000, 0, Event::Fault);
        world
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "{:>8} {}", self.now, words());
        }
    }

    fn at(&mut self, later: u64, n: usize, event: Event) {
        self.turn += 1;
        self.queue.insert((self.now + later, self.turn), (n, event));
    }

    /// Runs it to its end: a report of what went wrong, if anything did.
    fn run(mut self) -> (Outcome, Self) {
        loop {
            if self.now >= CHAOS && !self.calm {
                self.settle();
            }
            let over = self.now > CHAOS + CALM;
            if over || (self.calm && self.turn.is_multiple_of(64) && self.is_still()) {
                match self.plan.epilogue.filter(|_| self.told.is_none() && !over) {
                    None => break,
                    Some((n, what)) => {
                        if let Err(what) = self.begin(n, what) {
                            return (Err(what), self);
                        }
                    }
                }
            }
            let Some(((at, _), (n, event))) = self.queue.pop_first() else { break };
            self.now = at;
            if self.turn > MOST_TURNS {
                return (Err(format!("it babbles: {event:?} on n{n}")), self);
            }
            if let Err(what) = self.happen(n, event) {
                return (Err(what), self);
            }
        }
        (self.ended_well().and_then(|()| self.told_well()), self)
    }

    /// All is at rest: one more thing happens.
    fn begin(&mut self, n: usize, what: Epilogue) -> Outcome {
        self.note(|| format!("and now n{n}: {what:?}"));
        let had = (0..self.plan.groups.len()).filter(|g| self.nodes[n].runs[*g] != Run::Off).collect();
        self.told = Some((self.now, had));
        if !self.nodes[n].up {
            return Ok(());
        }
        match what {
            Epilogue::Dies => {
                self.crash(n);
                self.gone = Some(n);
                Ok(())
            }
            Epilogue::Dims => {
                self.nodes[n].reaches_arbiter = false;
                Ok(())
            }
            Epilogue::Asked(order) => {
                self.ordered = true;
                self.think(n, What::Order(order))
            }
        }
    }

    /// What came of that. Where starts have failed, or a node may have only so much, it may be refused.
    fn told_well(&self) -> Outcome {
        let (Some((_, had)), Some((n, what))) = (&self.told, self.plan.epilogue) else { return Ok(()) };
        if self.failed || self.plan.limit != usize::MAX || !self.nodes[n].up {
            return Ok(());
        }
        let runs = |g: usize| self.nodes[n].runs[g] != Run::Off;
        let other = |g: usize| self.could(g).iter().any(|m| *m != n && self.nodes[*m].up);
        let away = || had.iter().find(|g| runs(**g) && other(**g)).map(|g| format!("g{g} stays on n{n}: {what:?}"));
        let wrong = match what {
            Epilogue::Dies => None,
            Epilogue::Dims if !self.plan.arbiter => None,
            Epilogue::Dims | Epilogue::Asked(Order::Standby(_)) => away(),
            Epilogue::Asked(Order::Takeover(_)) => (0..self.plan.groups.len())
                .find(|g| self.could(*g).contains(&n) && !runs(*g))
                .map(|g| format!("g{g} did not come to n{n}")),
            Epilogue::Asked(Order::Failback) => (0..self.plan.groups.len())
                .find(|g| runs(*g) != (self.could(*g)[0] == n) && self.nodes[self.could(*g)[0]].up)
                .map(|g| format!("g{g} is not where it belongs")),
            Epilogue::Asked(_) => (!self.left).then(|| format!("n{n} has not left")),
        };
        wrong.map_or(Ok(()), Err)
    }

    /// Whether a node reaches the arbiter, or there is none.
    fn reaches(&self, n: usize) -> bool {
        !self.plan.arbiter || self.nodes[n].reaches_arbiter
    }

    /// The nodes that may have a group.
    fn could(&self, g: usize) -> Vec<usize> {
        let mut could = self.plan.groups[g].clone();
        if self.plan.nodes == 2 && could.len() == 1 {
            could.push(1 - could[0]);
        }
        could
    }

    /// How many groups a node has.
    fn load(&self, n: usize) -> usize {
        self.nodes[n].runs.iter().filter(|run| **run != Run::Off).count()
    }

    /// Nothing has moved for long, and all is where it is to be. One run in eight is watched on, for as long as a node
    /// that died often is not trusted.
    fn is_still(&self) -> bool {
        let last = self.moved_at.max(CHAOS + 20_000).max(self.told.as_ref().map_or(0, |(then, _)| then + 20_000));
        let watched = if self.plan.faults_every.is_multiple_of(8) { CHAOS + 330_000 } else { 0 };
        self.now > last + STILL && self.now > watched && self.ended_well().is_ok()
    }

    /// The network is whole from now on; whoever stands still goes on in time.
    fn settle(&mut self) {
        self.calm = true;
        self.note(|| "calm".to_owned());
        for row in &mut self.links {
            row.fill(true);
        }
        for n in 0..self.plan.nodes {
            self.nodes[n].reaches_arbiter = true;
        }
    }

    fn happen(&mut self, n: usize, event: Event) -> Outcome {
        if matches!(event, Event::Fault) {
            return self.fault();
        }
        if let Event::Boot = event {
            return self.boot(n);
        }
        if let Some((since, until)) = self.nodes[n].paused {
            match event {
                Event::Wake(epoch) if epoch == self.nodes[n].epoch && self.now >= until => return self.wake(n, since),
                Event::Wake(_) => return Ok(()),
                event => {
                    // It happens when the machine goes on.
                    self.at((until + 1).saturating_sub(self.now).max(1), n, event);
                    return Ok(());
                }
            }
        }
        let current = |world: &Self, epoch: u64| world.nodes[n].up && world.nodes[n].epoch == epoch;
        match event {
            Event::Beat(epoch) if current(self, epoch) => {
                self.say(n, false);
                self.think(n, What::Sent)?;
                self.at(KEEPALIVE, n, Event::Beat(epoch));
            }
            Event::Tick(epoch) if current(self, epoch) => {
                self.listen(n)?;
                if self.plan.arbiter {
                    let up = self.nodes[n].reaches_arbiter;
                    let began = Some(ms(self.now));
                    self.think(n, What::Ping { host: "router".into(), up: Some(up), began })?;
                }
                self.think(n, What::Tick)?;
                self.at(TICK, n, Event::Tick(epoch));
                return self.look();
            }
            Event::Arrive { from, message } if self.nodes[n].up => return self.hear(n, from, message),
            Event::Think { epoch, what } if current(self, epoch) => return self.decide(n, what),
            Event::Done { epoch, group, start, turn } if current(self, epoch) => {
                return self.done(n, group, start, turn);
            }
            Event::Fenced { epoch, node } if current(self, epoch) => {
                self.crash(node);
                let restart = 10_000 + self.dice.below(20_000);
                self.at(restart, node, Event::Boot);
                let of = format!("n{node}");
                return self.think(n, What::Done { action: "fence".into(), of, status: 0, cause: None });
            }
            Event::Ready(epoch) if current(self, epoch) => return self.think(n, What::Ready),
            _ => {}
        }
        Ok(())
    }

    fn boot(&mut self, n: usize) -> Outcome {
        if self.nodes[n].up || self.gone == Some(n) {
            return Ok(());
        }
        self.note(|| format!("n{n} boots"));
        self.moved_at = self.now; // nobody can be asked to take something before it is ready
        let cluster = self.plan.cluster(n);
        let began = self.now;
        let node = &mut self.nodes[n];
        node.up = true;
        node.epoch += 1;
        node.brain = Decider::new(cluster);
        node.generation += 1;
        (node.number, node.status, node.report) = (0, "up", None);
        for ear in &mut node.ears {
            *ear =
                Ear { state: NodeState::Unknown, heard: None, since: self.now, mark: ear.mark, said: None, gone: None };
        }
        node.began = began;
        node.thinks_at = 0;
        (node.paused, node.waking_until) = (None, 0);
        node.stuck.fill(false);
        let (epoch, generation) = (node.epoch, node.generation);
        self.at(0, n, Event::Beat(epoch));
        self.at(self.turn % TICK, n, Event::Tick(epoch));
        let ready = self.dice.below(1500);
        self.at(ready, n, Event::Ready(epoch));
        self.think(n, What::Generation(generation))
    }

    fn crash(&mut self, n: usize) {
        self.note(|| format!("n{n} crashes"));
        let node = &mut self.nodes[n];
        node.up = false;
        node.paused = None;
        node.runs.fill(Run::Off);
    }

    fn wake(&mut self, n: usize, since: u64) -> Outcome {
        let gap = self.now - since;
        self.note(|| format!("n{n} goes on after {gap} ms"));
        let now = self.now;
        let node = &mut self.nodes[n];
        node.paused = None;
        node.waking_until = now + LAG + DELAY + STOP + 2 * TICK + 2 * KEEPALIVE;
        if gap > DEADTIME {
            node.generation += 1;
            node.number = 0;
            let generation = node.generation;
            self.say(n, false); // the sender is first, and knows nothing of what is decided
            self.think(n, What::Generation(generation))?;
        }
        if gap > DEADTIME / 2 {
            for ear in &mut self.nodes[n].ears {
                ear.heard = ear.heard.map(|_| now);
            }
            self.think(n, What::Stalled { gap: Duration::from_millis(gap) })?;
        }
        Ok(())
    }

    /// A heartbeat leaves.
    fn say(&mut self, n: usize, leaves: bool) {
        let node = &mut self.nodes[n];
        node.number += 1;
        let message = Message {
            generation: node.generation,
            number: node.number,
            status: node.status,
            report: node.report.clone(),
            leaves,
        };
        for to in 0..self.plan.nodes {
            if to == n || !self.links[n][to] {
                continue;
            }
            // A goodbye that is lost is asked for again.
            let (loss, copies) = if self.calm || leaves { (0, 0) } else { (self.plan.loss, self.plan.loss / 4) };
            if self.dice.chance(loss) {
                continue;
            }
            for _ in 0..1 + u64::from(self.dice.chance(copies)) {
                let slow = if self.dice.chance(50) { DELAY } else { 5 };
                let later = 1 + self.dice.below(slow);
                self.at(later, to, Event::Arrive { from: n, message: message.clone() });
            }
        }
    }

    /// A heartbeat has come.
    fn hear(&mut self, n: usize, from: usize, message: Message) -> Outcome {
        let now = self.now;
        let ear = &mut self.nodes[n].ears[from];
        let mark = (message.generation, message.number);
        if mark <= ear.mark || ear.gone == Some(message.generation) {
            return Ok(());
        }
        let restarted = ear.mark.0 != 0 && mark.0 > ear.mark.0;
        ear.mark = mark;
        if restarted {
            self.think(n, What::Restarted { node: format!("n{from}") })?;
        }
        let ear = &mut self.nodes[n].ears[from];
        if message.leaves {
            ear.gone = Some(message.generation);
            return self.becomes(n, from, NodeState::Left);
        }
        ear.heard = Some(now);
        let said = (message.status, message.report.clone());
        let news = ear.said.as_ref() != Some(&said) || ear.state == NodeState::Dead;
        ear.said = Some(said);
        self.becomes(n, from, NodeState::Up)?;
        if !news {
            return Ok(());
        }
        let voice = message.report.map_or(Voice::None, |text| Voice::Ours(Report::decode(&text).unwrap()));
        self.think(
            n,
            What::Beat {
                node: format!("n{from}"),
                status: message.status.to_owned(),
                generation: message.generation,
                number: message.number,
                voice,
            },
        )
    }

    /// Judges the silence.
    fn listen(&mut self, n: usize) -> Outcome {
        for from in (0..self.plan.nodes).filter(|from| *from != n) {
            let node = &self.nodes[n];
            let ear = &node.ears[from];
            let is = match ear.heard {
                _ if matches!(ear.state, NodeState::Left | NodeState::Dead) => continue,
                None if self.now - node.began >= DEADTIME * 2 => NodeState::Dead,
                None => continue,
                Some(then) if self.now - then >= DEADTIME => NodeState::Dead,
                Some(then) if self.now - then >= DEADTIME / 2 => NodeState::Late,
                Some(_) => continue,
            };
            self.becomes(n, from, is)?;
        }
        Ok(())
    }

    fn becomes(&mut self, n: usize, from: usize, is: NodeState) -> Outcome {
        let silent = self.nodes[n].ears[from].heard.map(|then| Duration::from_millis(self.now - then));
        if std::mem::replace(&mut self.nodes[n].ears[from].state, is) == is {
            return Ok(());
        }
        self.nodes[n].ears[from].since = self.now;
        self.note(|| format!("n{n}: n{from} is {is}"));
        let deadtime = Some(Duration::from_millis(DEADTIME));
        self.think(n, What::Node { node: format!("n{from}"), is, silent, deadtime })
    }

    /// An event goes to the brain of a node.
    fn think(&mut self, n: usize, what: What) -> Outcome {
        let lag = if self.plan.faults_every.is_multiple_of(2) { 0 } else { self.dice.below(LAG) };
        let at = (self.now + lag).max(self.nodes[n].thinks_at);
        self.nodes[n].thinks_at = at;
        if at == self.now {
            return self.decide(n, what);
        }
        let epoch = self.nodes[n].epoch;
        self.at(at - self.now, n, Event::Think { epoch, what });
        Ok(())
    }

    fn decide(&mut self, n: usize, what: What) -> Outcome {
        let source = format!("sim:{}", self.turn);
        let input = Input { now: Some(ms(self.now)), at: None, source, what };
        let decisions = self.nodes[n].brain.take(input);
        decisions.into_iter().try_for_each(|decision| self.act(n, decision))
    }

    fn act(&mut self, n: usize, decision: Decision) -> Outcome {
        let Decision { action, cause, .. } = decision;
        let epoch = self.nodes[n].epoch;
        match action {
            Action::Acquire { group, .. } => {
                self.note(|| format!("n{n} acquires {group}: {cause}"));
                let g = self.group(&group);
                self.soon(n, g)?;
                self.turn += 1;
                let turn = self.turn;
                self.nodes[n].runs[g] = Run::On(turn);
                if self.load(n) > self.plan.limit {
                    return Err(format!("n{n} has more groups than it may"));
                }
                self.moved();
                let later = 20 + self.dice.below(3000);
                self.at(later, n, Event::Done { epoch, group: g, start: true, turn });
                self.look()?;
                self.alone(n, g)?;
            }
            Action::Release { group, .. } => {
                self.note(|| format!("n{n} releases {group}: {cause}"));
                if self.plan.failback == AutoFailback::Off && cause.contains("is back") {
                    return Err(format!("n{n} gives {group} back, which nobody wants"));
                }
                let g = self.group(&group);
                self.turn += 1;
                let turn = self.turn;
                self.nodes[n].runs[g] = Run::On(turn);
                self.moved();
                let later = 10 + self.dice.below(STOP - 10);
                self.at(later, n, Event::Done { epoch, group: g, start: false, turn });
            }
            Action::Order { status, report } => {
                let node = &mut self.nodes[n];
                node.status = status.unwrap_or(node.status);
                node.report = report;
                self.say(n, false);
            }
            Action::Send(_) => self.say(n, true),
            Action::Exit { .. } => {
                self.note(|| format!("n{n} has left"));
                if self.nodes[n].runs.iter().any(|run| *run != Run::Off) {
                    return Err(format!("n{n} left with something running"));
                }
                self.nodes[n].up = false;
                self.left = true;
                let back = 3000 + self.dice.below(10_000);
                self.at(back, n, Event::Boot);
            }
            Action::Fence { node } => {
                self.note(|| format!("n{n} fences {node}: {cause}"));
                let node = node[1..].parse().unwrap();
                let later = 500 + self.dice.below(3000);
                self.at(later, n, Event::Fenced { epoch, node });
            }
            Action::State { group, node, was, is } => {
                self.note(|| format!("n{n}: {group} {was} -> {is} {}: {cause}", node.unwrap_or_default()));
            }
            Action::Announce { .. } | Action::Prepare { .. } | Action::Reply(_) | Action::Refused { .. } => {}
        }
        Ok(())
    }

    fn moved(&mut self) {
        self.moves += 1;
        self.moved_at = self.now;
    }

    fn group(&self, id: &str) -> usize {
        id[1..].parse().unwrap()
    }

    fn done(&mut self, n: usize, g: usize, start: bool, turn: u64) -> Outcome {
        if self.nodes[n].runs[g] != Run::On(turn) {
            return Ok(()); // it was ended by what came after it
        }
        let fails = !self.calm && start && self.dice.chance(self.plan.start_fails);
        let sticks = !self.calm && !start && self.dice.chance(self.plan.start_fails / 8);
        let half = fails && self.dice.chance(300);
        if (!start && !sticks) || (fails && !half) {
            self.nodes[n].runs[g] = Run::Off;
        }
        self.nodes[n].stuck[g] = sticks;
        self.failed |= fails || sticks;
        let action = if start { "acquire" } else { "release" };
        let status = if half { 5 } else { i64::from(fails || sticks) };
        self.note(|| format!("n{n}: {action} g{g} done: {status}"));
        self.think(n, What::Done { action: action.into(), of: format!("g{g}"), status, cause: None })
    }

    fn fault(&mut self) -> Outcome {
        if self.now >= CHAOS {
            return Ok(());
        }
        let next = self.dice.below(self.plan.faults_every * 2) + 1;
        self.at(next, 0, Event::Fault);
        let nodes = self.plan.nodes as u64;
        let n = self.dice.below(nodes) as usize;
        match self.dice.below(12) {
            0 | 1 => {
                if self.nodes[n].up {
                    self.crash(n);
                    let back = 200 + self.dice.below(20_000);
                    self.at(back, n, Event::Boot);
                }
            }
            2 | 3 => {
                if self.nodes[n].up && self.nodes[n].paused.is_none() {
                    let span = 100 + self.dice.below(15_000);
                    self.note(|| format!("n{n} stands still for {span} ms"));
                    self.nodes[n].paused = Some((self.now, self.now + span));
                    let epoch = self.nodes[n].epoch;
                    self.at(span, n, Event::Wake(epoch));
                }
            }
            4 => self.cut(n, |_, _| true),
            5 => {
                // Two halves.
                let side: Vec<bool> = (0..nodes).map(|_| self.dice.chance(500)).collect();
                self.note(|| format!("halves {side:?}"));
                for a in 0..side.len() {
                    for b in 0..side.len() {
                        self.links[a][b] = side[a] == side[b];
                    }
                }
            }
            6 => {
                let b = self.dice.below(nodes) as usize;
                self.note(|| format!("n{b} does not hear n{n}"));
                self.links[n][b] = false;
            }
            7 => {
                let b = self.dice.below(nodes) as usize;
                self.note(|| format!("n{n} and n{b} do not hear each other"));
                (self.links[n][b], self.links[b][n]) = (false, false);
            }
            8 => {
                let reaches = !self.nodes[n].reaches_arbiter;
                self.note(|| format!("n{n} reaches the arbiter: {reaches}"));
                (self.nodes[n].reaches_arbiter, self.nodes[n].reached_at) = (reaches, self.now);
            }
            9 if self.plan.orders && self.nodes[n].up => {
                let which = [Which::All, Which::Local, Which::Foreign][self.dice.below(3) as usize];
                let orders =
                    [Order::Standby(which), Order::Takeover(which), Order::Failback, Order::Retry, Order::Leave];
                let order = orders[self.dice.below(5) as usize];
                self.ordered = true;
                self.note(|| format!("n{n}: order {order:?}"));
                if self.nodes[n].paused.is_none() {
                    return self.think(n, What::Order(order));
                }
            }
            _ => {
                self.note(|| "the network is whole".to_owned());
                for row in &mut self.links {
                    row.fill(true);
                }
                self.nodes.iter_mut().for_each(|node| node.reaches_arbiter = true);
            }
        }
        Ok(())
    }

    fn cut(&mut self, n: usize, which: impl Fn(usize, usize) -> bool) {
        self.note(|| format!("n{n} is cut off"));
        for other in 0..self.plan.nodes {
            if which(n, other) && other != n {
                (self.links[n][other], self.links[other][n]) = (false, false);
            }
        }
    }

    /// Whether a node runs a group, and is there to be blamed for it: neither frozen nor just awake again.
    fn runs(&self, n: usize, g: usize) -> bool {
        let node = &self.nodes[n];
        let away = node.paused.is_some() || self.now < node.waking_until;
        node.runs[g] != Run::Off && !node.stuck[g] && !away
    }

    /// With three nodes and more, nobody else has what is started.
    fn alone(&self, n: usize, g: usize) -> Outcome {
        // A stop that failed keeps a group, as far as they hear each other and know it.
        let knows = |a: usize, b: usize| {
            let ear = &self.nodes[a].ears[b];
            ear.state == NodeState::Up && self.now > ear.since + LAG
        };
        let hears = |a: usize, b: usize| knows(a, b) && self.nodes[b].paused.is_none();
        let stuck = |m: &usize| self.nodes[*m].up && self.nodes[*m].stuck[g] && hears(n, *m) && hears(*m, n);
        if let Some(m) = (0..self.plan.nodes).filter(|m| *m != n).find(stuck) {
            return Err(format!("n{n} starts g{g} which n{m} could not stop"));
        }
        // Of two nodes one that cannot reach the arbiter starts nothing that the other has.
        let far = self.plan.nodes == 2 && self.plan.arbiter && !self.nodes[n].reaches_arbiter;
        let far = far && self.now > self.nodes[n].reached_at + 2 * DEADTIME && self.nodes[n].waking_until <= self.now;
        let exclusive = self.plan.nodes > 2 || self.plan.fencing || far;
        let Some(other) = (0..self.plan.nodes).find(|m| *m != n && self.runs(*m, g)) else { return Ok(()) };
        if exclusive && self.nodes[n].waking_until <= self.now {
            return Err(format!("n{n} starts g{g} while n{other} runs it"));
        }
        Ok(())
    }

    /// What a node had that leaves while all is well is missed for hardly longer than it takes to stop.
    fn soon(&mut self, n: usize, g: usize) -> Outcome {
        let asked = self.plan.epilogue.filter(|(_, what)| *what == Epilogue::Asked(Order::Leave));
        let (Some((then, had)), Some((leaver, _))) = (&mut self.told, asked) else { return Ok(()) };
        let Some(place) = had.iter().position(|had| *had == g).filter(|_| n != leaver) else { return Ok(()) };
        had.swap_remove(place);
        let late = self.now - *then > STOP + 2000 && self.plan.limit == usize::MAX && !self.failed;
        if late { Err(format!("g{g} was missed for {} ms", self.now - *then)) } else { Ok(()) }
    }

    /// What must not last.
    fn look(&mut self) -> Outcome {
        for g in 0..self.plan.groups.len() {
            let running: Vec<usize> = (0..self.plan.nodes).filter(|n| self.runs(*n, g)).collect();
            let wrong = match running.as_slice() {
                [a, b] if self.plan.nodes == 2 => {
                    let hear = self.links[*a][*b] && self.links[*b][*a];
                    let arbiter = self.nodes[*a].reaches_arbiter != self.nodes[*b].reaches_arbiter;
                    hear || (self.plan.arbiter && arbiter)
                }
                [_, _, ..] => true,
                _ => false,
            };
            let since = match self.doubled[g] {
                Some(since) if wrong => since,
                _ => self.now,
            };
            self.doubled[g] = wrong.then_some(since);
            // To fall silent, to judge, to ask the arbiter, to end a start and to stop, with lost heartbeats.
            let lost = if self.calm { 0 } else { self.plan.loss * 60 };
            let most = 2 * DEADTIME + 4 * KEEPALIVE + STOP + 2 * TICK + DELAY + lost;
            if wrong && self.now - since > most {
                return Err(format!("g{g} has run on {running:?} for {} ms", self.now - since));
            }
        }
        Ok(())
    }

    fn ended_well(&self) -> Outcome {
        let up: Vec<usize> = (0..self.plan.nodes).filter(|n| self.nodes[*n].up).collect();
        if self.plan.nodes > 2 && up.len() * 2 <= self.plan.nodes {
            return Ok(());
        }
        for g in 0..self.plan.groups.len() {
            let could = self.could(g);
            if let Some(n) = up.iter().find(|n| self.nodes[**n].stuck[g]) {
                return Err(format!("g{g} was never stopped on n{n}"));
            }
            let running: Vec<usize> = up.iter().copied().filter(|n| self.nodes[*n].runs[g] != Run::Off).collect();
            let alive: Vec<usize> = could.iter().copied().filter(|n| up.contains(n)).collect();
            match running.as_slice() {
                [] if alive.iter().all(|n| self.load(*n) >= self.plan.limit) => {}
                [n] if alive.contains(n) => {
                    let home = could[0];
                    let goes = self.plan.failback != AutoFailback::Off && !self.ordered && !self.failed;
                    let room = up.contains(&home) && self.load(home) < self.plan.limit;
                    if goes && room && *n != home && self.reaches(home) {
                        return Err(format!("g{g} is on n{n} and not back on n{home}"));
                    }
                }
                _ => {
                    let why: Vec<_> = up.iter().map(|n| self.nodes[*n].brain.explain()[g].why.to_owned()).collect();
                    return Err(format!("g{g} runs on {running:?}, not on one of {alive:?}: {why:?}"));
                }
            }
        }
        match self.now > self.moved_at + STILL {
            true => Ok(()),
            false => Err(format!("it never came to rest: {} moves", self.moves)),
        }
    }
}

fn ms(ms: u64) -> Instant {
    Instant::at(Duration::from_millis(ms))
}

fn simulate(seeds: impl Iterator<Item = u64>) {
    let mut moves = 0;
    for seed in seeds {
        let (outcome, world) = World::new(seed, false).run();
        moves += world.moves;
        if let Err(what) = outcome {
            let (_, world) = World::new(seed, true).run();
            panic!("seed {seed}: {what}\n{:?}\n{}", world.plan, world.log.unwrap_or_default());
        }
    }
    assert!(moves > 0, "nothing ever moved");
}

/// `SIMULATIONS=100000` runs more, `SEED=7` begins elsewhere.
#[test]
fn no_group_runs_twice_and_every_group_runs() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("SEED").unwrap_or(1);
    simulate(first..first + number("SIMULATIONS").unwrap_or(300));
}

/// Each found a defect when it was first run.
#[test]
fn what_once_failed_fails_no_more() {
    for seed in [12_504, 98_106, 319_006, 340_774, 375_834, 399_774, 431_710, 483_006, 584_961] {
        simulate(seed..seed + 1);
    }
}
