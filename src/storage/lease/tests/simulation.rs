//! Two to five contenders and one device, on clocks that run apart.
//!
//! Processes stop for any time, crash, and start again; every input and output may be held up for any time on its way to
//! the device, within it, and on its way back, also when whoever asked for it is long dead; writes are lost, torn, or
//! fail though they landed; reads fail.
//!
//! A tenure counts from the moment it was won until the end of belief, and again until the end of the lease, which is
//! what a watchdog relies on when the keeper is dead: neither may overlap with another's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use proptest::prelude::*;

use super::super::contender::{self, Contender};
use super::super::keeper::{self, Tenure};
use super::super::record::{Image, Kind, Record, SECTOR, Sector, encode};
use super::super::terms::Terms;
use crate::clock::Instant;
use crate::dice::Dice;

/// In microseconds.
const LEASE: u64 = 10_000_000;
const HARM: u64 = 20 * LEASE;
const QUIET: u64 = 4 * LEASE;

#[derive(Clone, Debug)]
struct Case {
    /// How fast each clock runs, in millionths: a bound of 1 % either way.
    rates: Vec<i64>,
    /// Of each node, in thousandths of the lease.
    margins: Vec<u32>,
    /// Of ten thousand inputs and outputs, so many are held up on each part of the way ...
    held_up: u64,
    /// ... and so many fail, are torn or are lost.
    faulty: u64,
    /// Of ten thousand writes, so many land about a lease or two after they were decided.
    late: u64,
    /// Between two stops or crashes anywhere, on average; tenths of a lease.
    harm_every: u64,
    /// Between two voluntary ends of a tenure, likewise.
    keep: u64,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let rate = prop_oneof![Just(-10_000i64), Just(10_000), -10_000i64..=10_000];
    let margin = prop_oneof![Just(100u32), Just(250), 100u32..=500];
    let nodes = proptest::collection::vec((rate, margin), 2..=5);
    let chances = (0u64..1500, 0u64..800, 0u64..800);
    (nodes, chances, 2u64..40, 3u64..80, any::<u64>()).prop_map(
        |(nodes, (held_up, faulty, late), harm_every, keep, seed)| Case {
            rates: nodes.iter().map(|n| n.0).collect(),
            margins: nodes.iter().map(|n| n.1).collect(),
            held_up,
            faulty,
            late,
            harm_every,
            keep,
            seed,
        },
    )
}

enum Role {
    Down,
    Contender(Box<Contender>),
    Keeper {
        tenure: Box<Tenure>,
        /// In `tenures`.
        index: usize,
    },
    /// Gives up as soon as nothing is under way.
    Leaving {
        tenure: Box<Tenure>,
        index: usize,
    },
}

struct Node {
    rate: i64,
    offset: u64,
    role: Role,
    /// Counts starts, so that answers to a dead process reach nobody.
    life: u64,
    stopped_until: u64,
    /// Its writes are acknowledged and lost.
    lossy_until: u64,
    busy: bool,
    /// Of the timer that is set.
    alarm: u64,
}

impl Node {
    fn clock(&self, at: u64) -> Instant {
        let at = i128::from(at) * (1_000_000 + i128::from(self.rate)); // in 1e-12 s
        Instant::at(Duration::from_nanos(self.offset + (at / 1000) as u64))
    }

    /// The true time, in nanoseconds, of a moment on its clock.
    fn truth(&self, at: Instant) -> i128 {
        let local = at.since_boot().as_nanos() as i128 - i128::from(self.offset);
        local * 1_000_000 / (1_000_000 + i128::from(self.rate))
    }
}

#[derive(Clone, Debug)]
enum Ask {
    Read,
    Write(Kind, Record, Instant),
}

#[derive(Clone, Debug)]
enum Answer {
    Read(Option<Image>),
    Wrote(bool),
}

enum Event {
    /// The process runs, if it may.
    Turn {
        node: usize,
        life: u64,
        alarm: u64,
    },
    /// The child takes up what was asked for, and looks at the clock.
    Begin {
        node: usize,
        life: u64,
        ask: Ask,
    },
    /// It reaches the device.
    Land {
        node: usize,
        life: u64,
        ask: Ask,
    },
    /// The answer reaches the process, if it lives and runs.
    Answer {
        node: usize,
        life: u64,
        answer: Answer,
    },
    /// Something happens to a process.
    Harm,
    Start {
        node: usize,
        life: u64,
    },
    /// The process has had enough of the lease.
    Leave {
        node: usize,
        life: u64,
    },
}

#[derive(Clone, Debug)]
struct Held {
    node: usize,
    generation: u64,
    from: i128,
    believed: i128,
    expires: i128,
}

#[derive(Default, Debug)]
struct Figures {
    tenures: usize,
    takeovers_after_a_note: usize,
    lost: BTreeMap<String, usize>,
    late_writes: usize,
}

struct World {
    case: Case,
    now: u64,
    order: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, Event>,
    nodes: Vec<Node>,
    lease: Sector,
    note: Option<Record>,
    held: Vec<Held>,
    dice: Dice,
    /// When the last of what was done in the time of harm has had its effect.
    unrest_until: u64,
    figures: Figures,
}

impl World {
    fn new(case: Case) -> Self {
        let nodes = case.rates.iter().enumerate().map(|(n, rate)| Node {
            rate: *rate,
            offset: 1_000_000_000 * (1 + 17 * n as u64),
            role: Role::Down,
            life: 0,
            stopped_until: 0,
            lossy_until: 0,
            busy: false,
            alarm: 0,
        });
        let mut world = Self {
            nodes: nodes.collect(),
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            lease: Sector::Blank,
            note: None,
            held: Vec::new(),
            dice: Dice::new(case.seed),
            unrest_until: 0,
            figures: Figures::default(),
            case,
        };
        for node in 0..world.nodes.len() {
            let at = world.below(LEASE);
            world.at(at, Event::Start { node, life: 0 });
        }
        world.at(1, Event::Harm);
        world
    }

    fn below(&mut self, n: u64) -> u64 {
        self.dice.below(n)
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        if self.harming() {
            self.unrest_until = self.unrest_until.max(at);
        }
        self.events.push(Reverse((at, self.order)));
        self.what.insert(self.order, event);
    }

    fn harming(&self) -> bool {
        self.now < HARM
    }

    fn one_in_ten_thousand(&mut self, chances: u64) -> bool {
        self.harming() && self.below(10_000) < chances
    }

    /// A part of the way of an input or output.
    fn delay(&mut self) -> u64 {
        if !self.one_in_ten_thousand(self.case.held_up) {
            return 50 + self.below(LEASE / 200);
        }
        match self.below(4) {
            0 => self.below(LEASE / 10),
            1 => self.below(LEASE / 4),
            2 => LEASE - LEASE / 10 + self.below(LEASE / 5),
            _ => self.below(3 * LEASE),
        }
    }

    /// Runs to the end; whoever believes at the end, and when that is.
    fn run(&mut self) -> Vec<usize> {
        let mut end = HARM + QUIET;
        while let Some(Reverse((at, order))) = self.events.pop() {
            self.now = at;
            if at >= end {
                // What was still under way gets its time to do harm, and the nodes theirs to recover from it.
                if self.unrest_until + QUIET <= end {
                    break;
                }
                end = self.unrest_until + QUIET;
            }
            if let Some(event) = self.what.remove(&order) {
                self.happens(event);
            }
        }
        let now = self.now;
        let believes = |node: &Node| match &node.role {
            Role::Keeper { tenure, .. } => node.clock(now) < tenure.held_until(),
            _ => false,
        };
        (0..self.nodes.len()).filter(|n| believes(&self.nodes[*n])).collect()
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Start { node, life } => self.start(node, life),
            Event::Harm => self.harm(),
            Event::Turn { node, life, alarm } => {
                // A later wait has taken the place of this one.
                let set = self.nodes[node].alarm == alarm;
                if set && self.runs(node, life, || Event::Turn { node, life, alarm }) {
                    self.turn(node);
                }
            }
            Event::Leave { node, life } => {
                if self.runs(node, life, || Event::Leave { node, life }) && self.harming() {
                    self.leave(node);
                }
            }
            Event::Begin { node, life, ask } => {
                let clock = self.nodes[node].clock(self.now);
                if matches!(&ask, Ask::Write(_, _, not_after) if *not_after < clock) {
                    return self.answer(node, life, Answer::Wrote(false));
                }
                let late = matches!(&ask, Ask::Write(Kind::Lease, ..)) && self.one_in_ten_thousand(self.case.late);
                let held_up = if late { LEASE - LEASE / 10 + self.below(2 * LEASE) } else { self.delay() };
                let at = self.now + held_up;
                self.at(at, Event::Land { node, life, ask });
            }
            Event::Land { node, life, ask } => self.lands(node, life, ask),
            Event::Answer { node, life, ref answer } => {
                let again = || Event::Answer { node, life, answer: answer.clone() };
                if self.runs(node, life, again) {
                    let now = self.nodes[node].clock(self.now);
                    let node_ = &mut self.nodes[node];
                    node_.busy = false;
                    match (&mut node_.role, answer.clone()) {
                        (Role::Contender(c), Answer::Read(image)) => c.read(now, image),
                        (Role::Contender(c), Answer::Wrote(done)) => c.wrote(now, done),
                        (Role::Keeper { tenure, .. } | Role::Leaving { tenure, .. }, Answer::Read(image)) => {
                            tenure.read(now, image);
                        }
                        (Role::Keeper { tenure, .. } | Role::Leaving { tenure, .. }, Answer::Wrote(done)) => {
                            tenure.wrote(now, done);
                        }
                        (Role::Down, _) => {}
                    }
                    self.turn(node);
                }
            }
        }
    }

    /// Whether that process lives and is not stopped; what would have happened to one that is stopped happens later.
    fn runs(&mut self, node: usize, life: u64, again: impl Fn() -> Event) -> bool {
        let until = self.nodes[node].stopped_until;
        if self.nodes[node].life == life && self.now < until {
            let event = again();
            self.at(until, event);
            return false;
        }
        self.nodes[node].life == life && !matches!(self.nodes[node].role, Role::Down)
    }

    fn start(&mut self, node: usize, life: u64) {
        let nonce = u128::from(self.below(u64::MAX)) << 64 | u128::from(self.below(u64::MAX));
        let now = self.nodes[node].clock(self.now);
        let node_ = &mut self.nodes[node];
        if node_.life != life {
            return;
        }
        node_.life += 1;
        node_.busy = false;
        node_.stopped_until = 0;
        let lease = Duration::from_micros(LEASE);
        let margin = lease / 1000 * self.case.margins[node];
        let terms = Terms { margin, ..Terms::new("device", format!("n{node}"), lease) };
        node_.role = Role::Contender(Box::new(Contender::new(terms, nonce, now)));
        self.turn(node);
    }

    fn harm(&mut self) {
        let next = self.now + self.below(2 * self.case.harm_every * LEASE / 10) + 1;
        if !self.harming() {
            return;
        }
        self.at(next, Event::Harm);
        let node = self.below(self.nodes.len() as u64) as usize;
        match self.below(6) {
            5 => {
                self.nodes[node].lossy_until = self.now + self.below(LEASE);
                self.unrest_until = self.unrest_until.max(self.nodes[node].lossy_until);
            }
            0 => {
                let back = self.now + self.below(3 * LEASE);
                let node_ = &mut self.nodes[node];
                if !matches!(node_.role, Role::Down) {
                    node_.life += 1;
                    node_.role = Role::Down;
                    let life = node_.life;
                    self.at(back, Event::Start { node, life });
                }
            }
            n => {
                let most = [0, LEASE / 5, LEASE, 3 * LEASE, 3 * LEASE][n as usize];
                let until = self.now + self.below(most);
                self.nodes[node].stopped_until = self.nodes[node].stopped_until.max(until);
                self.unrest_until = self.unrest_until.max(until);
            }
        }
    }

    fn ask(&mut self, node: usize, ask: Ask) {
        assert!(!self.nodes[node].busy, "one at a time");
        self.nodes[node].busy = true;
        let at = self.now + self.delay();
        let life = self.nodes[node].life;
        self.at(at, Event::Begin { node, life, ask });
    }

    fn answer(&mut self, node: usize, life: u64, answer: Answer) {
        let at = self.now + self.delay();
        self.at(at, Event::Answer { node, life, answer });
    }

    fn lands(&mut self, node: usize, life: u64, ask: Ask) {
        let faulty = self.one_in_ten_thousand(self.case.faulty);
        let answer = match ask {
            Ask::Read if faulty => Answer::Read(None),
            Ask::Read => Answer::Read(Some(Image { lease: self.lease.clone(), note: self.note.clone() })),
            Ask::Write(kind, record, _) => {
                let lossy = self.now < self.nodes[node].lossy_until;
                let (whole, torn, said) = match if lossy {
                    0
                } else if faulty {
                    self.below(6)
                } else {
                    6
                } {
                    0 => (false, false, true), // lost
                    1 => (false, false, false),
                    2 => (false, true, true),
                    3 => (false, true, false),
                    4 => (true, false, false),
                    _ => (true, false, true),
                };
                if let (Kind::Lease, Sector::Record(over)) = (kind, &self.lease) {
                    let late = over.nonce != record.nonce
                        && self.held.iter().any(|h| {
                            h.node != node && h.generation == over.generation && self.now as i128 * 1000 <= h.believed
                        });
                    self.figures.late_writes += usize::from(late && (whole || torn));
                }
                match (kind, whole, torn) {
                    (Kind::Lease, true, _) => self.lease = Sector::Record(record),
                    (Kind::Note, true, _) => self.note = Some(record),
                    (Kind::Lease, _, true) => self.lease = self.torn(&record),
                    (Kind::Note, _, true) => self.note = None,
                    _ => {}
                }
                Answer::Wrote(said)
            }
        };
        self.answer(node, life, answer);
    }

    fn torn(&mut self, new: &Record) -> Sector {
        let cut = 8 * (1 + self.below(SECTOR as u64 / 8 - 2) as usize);
        let mut bytes = [0; SECTOR];
        match &self.lease {
            Sector::Record(old) => bytes.copy_from_slice(&encode(Kind::Lease, old)[..SECTOR]),
            Sector::Garbled(old) => bytes = **old,
            Sector::Blank | Sector::Foreign(_) => {}
        }
        bytes[..cut].copy_from_slice(&encode(Kind::Lease, new)[..cut]);
        super::super::record::parse(Kind::Lease, &bytes)
    }

    fn leave(&mut self, node: usize) {
        match std::mem::replace(&mut self.nodes[node].role, Role::Down) {
            Role::Keeper { tenure, index } => {
                // From here on it does not believe.
                self.held[index].believed = self.held[index].believed.min(i128::from(self.now) * 1000);
                self.nodes[node].role = Role::Leaving { tenure, index };
                self.turn(node);
            }
            other => self.nodes[node].role = other,
        }
    }

    fn turn(&mut self, node: usize) {
        loop {
            let now = self.nodes[node].clock(self.now);
            let life = self.nodes[node].life;
            match std::mem::replace(&mut self.nodes[node].role, Role::Down) {
                Role::Down => return,
                Role::Contender(mut c) => match c.next(now) {
                    contender::Step::Read => {
                        self.nodes[node].role = Role::Contender(c);
                        return self.ask(node, Ask::Read);
                    }
                    contender::Step::Write { record, not_after } => {
                        self.nodes[node].role = Role::Contender(c);
                        return self.ask(node, Ask::Write(Kind::Lease, record, not_after));
                    }
                    contender::Step::Wait(until) => {
                        self.nodes[node].role = Role::Contender(c);
                        return self.wait(node, until);
                    }
                    contender::Step::Won(tenure) => {
                        self.won(node, &tenure);
                        let index = self.held.len() - 1;
                        let keep = self.now + self.below(2 * self.case.keep * LEASE / 10) + 1;
                        self.at(keep, Event::Leave { node, life });
                        self.nodes[node].role = Role::Keeper { tenure, index };
                    }
                    contender::Step::Foreign(what) => panic!("{what}"),
                },
                Role::Keeper { mut tenure, index } => {
                    let step = tenure.next(now);
                    match step {
                        keeper::Step::Read => {
                            self.nodes[node].role = Role::Keeper { tenure, index };
                            return self.ask(node, Ask::Read);
                        }
                        keeper::Step::Write { record, not_after } => {
                            self.nodes[node].role = Role::Keeper { tenure, index };
                            return self.ask(node, Ask::Write(Kind::Lease, record, not_after));
                        }
                        keeper::Step::Wait(until) => {
                            self.nodes[node].role = Role::Keeper { tenure, index };
                            return self.wait(node, until);
                        }
                        keeper::Step::Renewed { .. } => {
                            let node_ = &self.nodes[node];
                            self.held[index].believed = node_.truth(tenure.held_until());
                            self.held[index].expires = node_.truth(tenure.expires());
                            self.nodes[node].role = Role::Keeper { tenure, index };
                        }
                        keeper::Step::Trouble(_) => self.nodes[node].role = Role::Keeper { tenure, index },
                        keeper::Step::Lost(cause) => {
                            let cause = cause.trim_start_matches(|c: char| c == 'n' || c.is_ascii_digit());
                            *self.figures.lost.entry(cause.to_owned()).or_default() += 1;
                            self.held[index].believed = self.held[index].believed.min(i128::from(self.now) * 1000);
                            self.nodes[node].role = Role::Leaving { tenure, index };
                        }
                    }
                }
                Role::Leaving { mut tenure, index } => {
                    if self.nodes[node].busy {
                        self.nodes[node].role = Role::Leaving { tenure, index };
                        return;
                    }
                    if let Some(note) = tenure.give_up() {
                        self.held[index].expires = self.held[index].expires.min(i128::from(self.now) * 1000);
                        self.ask(node, Ask::Write(Kind::Note, note, Instant::at(Duration::MAX)));
                    }
                    // And the next one comes, who does not wait for what this one left under way.
                    let node_ = &mut self.nodes[node];
                    node_.life += 1;
                    node_.role = Role::Down;
                    let life = node_.life;
                    let back = self.now + self.below(LEASE);
                    return self.at(back, Event::Start { node, life });
                }
            }
        }
    }

    fn wait(&mut self, node: usize, until: Instant) {
        let life = self.nodes[node].life;
        let late = self.below(2000);
        let at = (self.nodes[node].truth(until) / 1000) as u64 + 1 + late;
        self.nodes[node].alarm += 1;
        let alarm = self.nodes[node].alarm;
        self.at(at.max(self.now + 1), Event::Turn { node, life, alarm });
    }

    fn won(&mut self, node: usize, tenure: &Tenure) {
        let node_ = &self.nodes[node];
        let held = Held {
            node,
            generation: tenure.generation(),
            from: i128::from(self.now) * 1000,
            believed: node_.truth(tenure.held_until()),
            expires: node_.truth(tenure.expires()),
        };
        self.figures.tenures += 1;
        self.figures.takeovers_after_a_note +=
            usize::from(self.held.last().is_some_and(|h| h.expires <= held.from && h.expires <= h.believed));
        self.held.push(held);
    }

    /// Two that believe, or would be mounted, at the same true time.
    fn overlaps(&self) -> Vec<(&'static str, Held, Held)> {
        let mut found = Vec::new();
        for (n, a) in self.held.iter().enumerate() {
            // They are in the order in which they were won.
            for b in &self.held[n + 1..] {
                for (what, end) in [("belief", a.believed), ("lease", a.expires)] {
                    if b.from < end {
                        found.push((what, a.clone(), b.clone()));
                    }
                }
            }
        }
        found
    }
}

/// Nobody ever overlaps with anybody, and when all is quiet somebody gets it.
fn never_two(case: Case) -> Result<Figures, TestCaseError> {
    let mut world = World::new(case);
    let believers = world.run();
    let overlaps = world.overlaps();
    prop_assert!(overlaps.is_empty(), "{:#?}", &overlaps[..overlaps.len().min(3)]);
    prop_assert_eq!(believers.len(), 1, "at the end, {:?}", world.lease);
    Ok(world.figures)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn never_two_at_once(case in cases()) {
        never_two(case)?;
    }
}

/// That the simulation does what it is there for: stops and faults cost tenures in every way, late writes land on the
/// records of others, and leases are given up.
#[test]
fn the_simulation_reaches_what_it_is_about() {
    let mut sum = Figures::default();
    for seed in 1..=60 {
        let case = Case {
            rates: vec![-10_000, 10_000, 0],
            margins: vec![250, 100, 500],
            held_up: 800,
            faulty: 300,
            late: 400,
            harm_every: 8,
            keep: 10,
            seed: seed * 0x9e37_79b9,
        };
        let figures = never_two(case).unwrap();
        sum.tenures += figures.tenures;
        sum.late_writes += figures.late_writes;
        sum.takeovers_after_a_note += figures.takeovers_after_a_note;
        for (cause, n) in figures.lost {
            *sum.lost.entry(cause).or_default() += n;
        }
    }
    assert!(sum.tenures > 200 && sum.late_writes > 0 && sum.takeovers_after_a_note > 20, "{sum:?}");
    for cause in ["it could not be renewed in time", " wrote over it"] {
        assert!(sum.lost.contains_key(cause), "{sum:?}");
    }
    println!("{sum:?}");
}
