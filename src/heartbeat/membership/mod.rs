//! Membership: which nodes are up, late, dead, left, from what they say and how long they say nothing.
//!
//! | file | job |
//! | --- | --- |
//! | [`window`] | the numbers of one sender: replay, copy, gap, restart |
//! | [`judge`] | the silence of one node, as a whole and on each medium |
//! | [`pulse`] | how regularly a node beats on one medium |
//! | [`replies`] | what the others expect to be answered |
//! | [`rejections`] | counting what is not accepted |
//! | [`finding`] | what comes out, and as which event |
//!
//! A decider: messages and the time go in, findings come out. No socket, no clock, no file.

pub mod finding;
pub mod judge;
pub mod pulse;
pub mod rejections;
pub mod replies;
#[cfg(test)]
mod tests;
pub mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::clock::Instant;
use crate::heartbeat::wire::message::{Field, Message};
use finding::{Finding, Refusal};
use judge::{Change, Judge, Limits, NodeState};
use pulse::Pulse;
use replies::{Answers, Reply};
use window::{Admission, Mark, Window};

/// Nodes that are kept where none are named: a cluster has a few, an attacker with a key would have any number.
const MOST_NODES: usize = 4096;
/// The bounds of a deadtime that a sender announces, in milliseconds: beyond them it counts as the nearer one. Below, the
/// listener could do nothing but look; above, nobody would ever be dead.
const BELIEVABLE: std::ops::RangeInclusive<u64> = 10..=86_400_000;

/// Who listens, to whom, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our own name: what comes from it is our own, or a copy of it.
    pub me: String,
    /// The nodes of the cluster; without any, whoever has the key.
    pub peers: Vec<String>,
    /// Others may join, too (`autojoin`).
    pub open: bool,
    /// How many media there are.
    pub media: usize,
    /// How long is too long.
    pub limits: Limits,
    /// Answer `starting` as a standby that holds nothing.
    pub standby: bool,
    /// Report every heartbeat, not only those that change something.
    pub beats: bool,
    /// For the random wait before a retransmission is asked for.
    pub seed: u64,
    /// What an earlier run had heard.
    pub stored: BTreeMap<String, Mark>,
}

/// What every heartbeat carries, and what differs in each: none of it says anything new of its sender.
const ROUTINE: [&str; 12] = ["t", "st", "dt", "protocol", "src", "srcuuid", "seq", "hg", "ts", "ld", "ttl", "auth"];

#[derive(Debug)]
struct Node {
    name: String,
    judge: Judge,
    pulses: Vec<Pulse>,
    window: Window,
    answers: Answers,
    standing: Standing,
    status: Option<String>,
    /// What its heartbeats carry beside their own fields.
    said: Vec<Field>,
    beat: Option<Instant>,
    /// Where the agenda has it.
    due: Option<Instant>,
}

/// By what a node is known: nobody who has a key is spoken for by a checksum, which anybody can make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing was heard.
    #[default]
    None,
    /// Messages with a checksum.
    Checksum,
    /// A message with a digest that needs a key.
    Key,
}

/// The nodes, as one of them sees the others.
#[derive(Debug)]
pub struct Membership {
    settings: Settings,
    nodes: Vec<Node>,
    /// On which media something could be heard.
    hearing: Vec<bool>,
    index: HashMap<String, usize>,
    /// When which node is to be looked at. Never late, perhaps early: a sign of life leaves the entry where it is.
    agenda: BTreeSet<(Instant, usize)>,
    random: u64,
    /// The shortest deadtime in force; none after one has changed.
    shortest: Option<Duration>,
}

impl Membership {
    /// A membership that has heard nobody yet.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let random = settings.seed;
        let mut membership = Self {
            hearing: vec![true; settings.media],
            settings,
            nodes: Vec::new(),
            index: HashMap::new(),
            agenda: BTreeSet::new(),
            random,
            shortest: None,
        };
        for peer in membership.settings.peers.clone() {
            if peer != membership.settings.me && !membership.index.contains_key(&peer) {
                membership.add(&peer, now);
            }
        }
        membership
    }

    fn add(&mut self, name: &str, now: Instant) -> usize {
        let n = self.nodes.len();
        self.nodes.push(Node {
            name: name.to_owned(),
            judge: Judge::new(self.settings.limits, &self.hearing, now),
            pulses: vec![Pulse::default(); self.settings.media],
            window: Window::new(self.settings.stored.get(name).copied()),
            answers: Answers::default(),
            standing: Standing::None,
            status: None,
            said: Vec::new(),
            beat: None,
            due: None,
        });
        self.index.insert(name.to_owned(), n);
        self.schedule(n);
        n
    }

    /// What is thought of each node now.
    pub fn states(&self) -> impl Iterator<Item = (&str, NodeState)> {
        self.nodes.iter().map(|n| (n.name.as_str(), n.judge.state()))
    }

    /// What is thought of one node.
    pub fn state(&self, name: &str) -> NodeState {
        self.index.get(name).map_or(NodeState::Unknown, |n| self.nodes[*n].judge.state())
    }

    /// The numbers heard so far, with those of earlier runs: to be kept on disk. What only a checksum vouches for is not.
    pub fn marks(&self) -> BTreeMap<String, Mark> {
        let mut marks = self.settings.stored.clone();
        let vouched = |n: &&Node| n.standing != Standing::Checksum;
        marks.extend(self.nodes.iter().filter(vouched).filter_map(|n| Some((n.name.clone(), n.window.mark()?))));
        marks
    }

    /// Whether what is thought of a node is knowledge, not what was known before we were held up or could not hear.
    pub fn certain(&self, name: &str, now: Instant) -> bool {
        self.index.get(name).is_some_and(|n| self.nodes[*n].judge.certain(now))
    }

    /// The shortest deadtime in force for a node that could die: whoever looks less often than twice in it cannot judge.
    pub fn shortest_deadtime(&mut self) -> Duration {
        let waits = |n: &&Node| !matches!(n.judge.state(), NodeState::Dead | NodeState::Left);
        let all = self.nodes.iter().filter(waits).map(|n| n.judge.deadtime());
        *self.shortest.get_or_insert_with(|| all.fold(self.settings.limits.deadtime, Duration::min))
    }

    /// Takes a message that a key has verified.
    #[cfg(test)]
    fn hear(&mut self, message: &Message, medium: usize, now: Instant) -> Vec<Finding> {
        self.hear_by(true, message, medium, now)
    }

    /// Takes a message that was verified: by a key, or by a mere checksum (crc), which anybody can make.
    pub fn hear_by(&mut self, key: bool, message: &Message, medium: usize, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Err(refusal) = self.take(key, message, medium, now, &mut findings) {
            findings.push(Finding::Refused { node: message.text("src").map(str::to_owned), refusal });
        }
        findings
    }

    fn take(
        &mut self,
        key: bool,
        message: &Message,
        medium: usize,
        now: Instant,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Refusal> {
        let source =
            message.text("src").filter(|s| is_node_name(s)).ok_or(Refusal::Malformed("no name of a node in src"))?;
        let source = source.to_ascii_lowercase();
        if source == self.settings.me {
            return Ok(());
        }
        let kind = message.text("t").ok_or(Refusal::Malformed("no type in t"))?;
        let generation = match message.text("hg") {
            Some(text) => hexadecimal(text).ok_or(Refusal::Malformed("hg is not a hexadecimal number"))?,
            None => 0,
        };
        // The control messages of the protocol are not numbered.
        let seq = match message.text("seq") {
            Some(text) => Some(hexadecimal(text).ok_or(Refusal::Malformed("seq is not a hexadecimal number"))?),
            None if kind.starts_with("NS_") => None,
            None => return Err(Refusal::Malformed("no seq")),
        };
        let n = match self.index.get(&source) {
            Some(n) => *n,
            None if !self.settings.peers.is_empty() && !self.settings.open => return Err(Refusal::UnknownNode),
            None if self.nodes.len() >= MOST_NODES => return Err(Refusal::TooManyNodes),
            None => self.add(&source, now),
        };
        self.vouch(n, key)?;
        let spread = self.spread();
        let node = &mut self.nodes[n];
        let deadtime_before = node.judge.deadtime();
        let gap = node.beat.map(|then| now.since(then));
        let mut changes = Vec::new();
        let mut news = false;
        let admission = match seq {
            Some(seq) => {
                let recent = node.judge.deadtime();
                let mark = Mark { generation, seq };
                let admission = node.window.admit(mark, medium, now, recent, spread);
                match admission {
                    Admission::OldGeneration { is } => return Err(Refusal::OldGeneration { is, got: generation }),
                    Admission::OldSequence { last } => return Err(Refusal::OldSequence { last, got: seq }),
                    Admission::Copy { first_here } => {
                        if first_here && kind == "status" {
                            node.pulses[medium].beat(now);
                        }
                        if first_here && node.judge.state() != NodeState::Left {
                            node.judge.carried(medium, now, &mut changes);
                        }
                        self.report(n, changes, findings);
                        return Ok(());
                    }
                    _ => Some(admission),
                }
            }
            // Without a number a replay cannot be told: it is answered, but proves nothing.
            None => {
                let is = node.window.mark().map_or(0, |m| m.generation);
                if generation < is {
                    return Err(Refusal::OldGeneration { is, got: generation });
                }
                None
            }
        };
        // A goodbye holds for the whole start of the node: it is one though it had to be sent again.
        let goodbye = kind == "shutdone" && admission.is_some_and(Admission::accepted);
        if admission.is_some_and(Admission::alive) || goodbye {
            let announced = message.text("dt").and_then(hexadecimal).filter(|ms| *ms > 0);
            let announced = announced.map(|ms| ms.clamp(*BELIEVABLE.start(), *BELIEVABLE.end()));
            let leaves = goodbye || (kind == "status" && message.text("st") == Some("dead"));
            if let Some(Admission::Restart { was }) = admission {
                findings.push(Finding::Restarted { node: source.clone(), was, is: generation });
                node.answers = Answers::default();
                node.judge.restarted();
            }
            if leaves {
                node.judge.left(kind == "shutdone", now, &mut changes);
                node.window.stop_asking();
            } else if kind == "status" && message.text("dest").is_none() {
                // As with the real daemon, only its status is life of a node; other messages show that a medium carries.
                node.judge.alive(medium, announced.map(Duration::from_millis), now, &mut changes);
            } else if node.judge.state() != NodeState::Left {
                node.judge.carried(medium, now, &mut changes);
            }
            if node.judge.deadtime() != deadtime_before {
                self.shortest = None;
            }
            if kind == "status" {
                let status = message.text("st");
                news = node.status.as_deref() != status || admission != Some(Admission::Fresh);
                let more = || message.fields.iter().filter(|f| !ROUTINE.contains(&f.name.as_str()));
                if !node.said.iter().eq(more()) {
                    news = true;
                    node.said = more().cloned().collect();
                }
                node.status = status.map(str::to_owned);
                node.beat = Some(now);
                node.pulses[medium].beat(now);
            }
        }
        self.report(n, changes, findings);
        if kind != "status" {
            findings.push(Finding::Message { node: source.clone(), medium, message: message.clone() });
        } else if news || self.settings.beats {
            findings.push(Finding::Heartbeat { node: source.clone(), medium, gap, message: message.clone() });
        }
        self.answer(n, message, admission, findings);
        Ok(())
    }

    /// Where keys and checksums are configured together a node may change from the checksum to a key: what was heard of it
    /// before then binds nobody, and no checksum counts for it any more.
    fn vouch(&mut self, n: usize, key: bool) -> Result<(), Refusal> {
        let node = &mut self.nodes[n];
        match (node.standing, key) {
            (Standing::Key, false) => return Err(Refusal::ChecksumOnly),
            (Standing::Checksum, true) => {
                node.window = Window::new(self.settings.stored.get(&node.name).copied());
                node.answers = Answers::default();
                node.judge.restarted();
                self.shortest = None;
            }
            _ => {}
        }
        node.standing = if key { Standing::Key } else { Standing::Checksum };
        Ok(())
    }

    fn answer(&mut self, n: usize, message: &Message, admission: Option<Admission>, findings: &mut Vec<Finding>) {
        let node = &mut self.nodes[n];
        let mut replies: Vec<Reply> = Vec::new();
        if admission.is_some_and(Admission::accepted) {
            replies.extend(node.answers.acknowledge(&node.name, message, node.window.contiguous()));
        }
        let cluster = || {
            let mut all: Vec<&str> = self.nodes.iter().map(|n| n.name.as_str()).collect();
            all.push(&self.settings.me);
            all.sort_unstable();
            all
        };
        let source = &self.nodes[n].name;
        replies.extend(replies::to(source, message, &self.settings.me, cluster, self.settings.standby));
        findings.extend(replies.into_iter().map(Finding::Reply));
        let for_us = message.text("dest").is_some_and(|dest| dest.eq_ignore_ascii_case(&self.settings.me));
        if let Some(span) = replies::refused_span(message).filter(|_| for_us) {
            let node = &mut self.nodes[n];
            let lost = node.window.forget(span);
            findings.extend(lost.into_iter().map(|span| Finding::Lost { node: node.name.clone(), span }));
        }
        self.schedule(n);
    }

    /// Turns changes into findings, a dead node's questions into none.
    fn report(&mut self, n: usize, changes: Vec<Change>, findings: &mut Vec<Finding>) {
        let node = &mut self.nodes[n];
        for change in changes {
            if matches!(change, Change::Node { is: NodeState::Dead, .. }) {
                node.window.stop_asking();
            }
            if matches!(change, Change::Node { .. }) {
                self.shortest = None;
            }
            findings.push(Finding::Changed { node: node.name.clone(), deadtime: node.judge.deadtime(), change });
        }
        self.schedule(n);
    }

    fn schedule(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let next = [node.judge.deadline(), node.window.deadline()].into_iter().flatten().min();
        // An entry that is too early costs one look; moving it at each heartbeat would cost more.
        if node.due.is_some_and(|due| next.is_none_or(|next| due <= next)) {
            return;
        }
        if let Some(due) = node.due.take() {
            self.agenda.remove(&(due, n));
        }
        if let Some(next) = next {
            node.due = Some(next);
            self.agenda.insert((next, n));
        }
    }

    /// When [`Membership::look`] is next to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Whether somebody would be called late or dead now: before that, whatever lies unread is to be read.
    pub fn about_to_judge(&self, now: Instant) -> bool {
        let due = self.agenda.iter().take_while(|(at, _)| *at <= now);
        due.into_iter().any(|(_, n)| self.nodes[*n].judge.deadline().is_some_and(|at| at <= now))
    }

    /// What the silence means by now, and what is to be asked for again.
    pub fn look(&mut self, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        while let Some(&(at, n)) = self.agenda.first().filter(|(at, _)| *at <= now) {
            self.agenda.remove(&(at, n));
            self.nodes[n].due = None;
            let mut changes = Vec::new();
            self.nodes[n].judge.look(now, &mut changes);
            self.report(n, changes, &mut findings);
            let node = &mut self.nodes[n];
            let (asked, lost) = node.window.ask(now);
            findings.extend(asked.into_iter().map(|span| Finding::Reply(replies::request(&node.name, span))));
            findings.extend(lost.into_iter().map(|span| Finding::Lost { node: node.name.clone(), span }));
            self.schedule(n);
        }
        findings
    }

    /// Whether something can be heard on a medium, as far as this machine can see; all can until this says otherwise. While
    /// a node can be heard on none it is not judged, and is unknown after its deadtime.
    pub fn hearing(&mut self, medium: usize, hears: bool, now: Instant) {
        if self.hearing.get(medium).is_none_or(|was| *was == hears) {
            return;
        }
        self.hearing[medium] = hears;
        for n in 0..self.nodes.len() {
            self.nodes[n].judge.hearing(medium, hears, now);
            self.schedule(n);
        }
    }

    /// We did not look for `gap`, or (none) could not read all that came; what lay unread was read since. Nobody is judged
    /// by what was known before.
    pub fn stalled(&mut self, gap: Option<Duration>, cause: &str, now: Instant) -> Finding {
        let mut again = false;
        for node in &mut self.nodes {
            again |= node.judge.stalled(gap, now);
        }
        // Deadlines have moved back: the entries are early, and looking puts them right.
        Finding::Stalled { gap, again, cause: cause.to_owned() }
    }

    /// How regularly each node was heard on each medium since the last time this was asked.
    pub fn pulses(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for node in &mut self.nodes {
            let (name, state) = (&node.name, node.judge.state());
            findings.extend(node.pulses.iter_mut().enumerate().map(|(medium, pulse)| Finding::Pulse {
                node: name.clone(),
                medium,
                state,
                link: node.judge.link(medium),
                pulse: pulse.take(),
            }));
        }
        findings
    }

    /// 50 to 250 ms.
    fn spread(&mut self) -> Duration {
        // splitmix64: good enough to keep nodes apart, and the same for the same seed.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis(50 + (z ^ (z >> 31)) % 201)
    }
}

/// A node, as `uname -n` prints it, which has at most 64 characters: it becomes a path, a field of a table, a word in a list.
pub fn is_node_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&name.len()) && name.chars().all(fine) && !name.starts_with(['.', '-'])
}

/// As the wire writes most numbers: hexadecimal without a prefix.
pub fn hexadecimal(text: &str) -> Option<u64> {
    number(text, 16)
}

/// Digits and nothing else: `from_str_radix` takes a sign.
fn number(text: &str, radix: u32) -> Option<u64> {
    text.chars().all(|c| c.is_digit(radix)).then(|| u64::from_str_radix(text, radix).ok())?
}
