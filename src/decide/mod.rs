//! The brain of a node, as a pure filter: events in, actions out. No clock, no socket, no file.
//!
//! | module | holds |
//! | --- | --- |
//! | [`input`] | the events that matter, read from JSON |
//! | [`cluster`] | nodes, groups, candidates, times: the configuration by numbers |
//! | [`report`] | what each node says of itself in its heartbeats |
//! | [`peers`] | what is known of the others |
//! | [`classic`] | what a real heartbeat says, and is told |
//! | [`conversation`] | when it is told so, and what follows for our groups |
//! | [`ipfail`] | how many ping nodes it reaches, where its ipfail tells |
//! | [`arbiters`] | the ping nodes |
//! | [`placement`] | which node is to have which group |
//! | [`arbitration`] | whether a group may be taken from those who do not answer, or has to be given up |
//! | [`mine`] | what this node does with each group |
//! | [`action`] | what comes out |
//!
//! Decisions are level-triggered: each looks at what is, not at what just happened, so that a lost event or a repeated
//! one changes nothing. Among nodes that hear each other a group is a lock: who wants to start it says so in its report
//! (`Claims`), and starts it when every living node has said that it heard of that, and none of them claims it, too;
//! of two that claim it at once the one that the group prefers goes on. From nodes that do not answer a group is taken
//! as [`arbitration`] allows.

pub mod action;
pub mod arbiters;
mod arbitration;
pub mod classic;
pub mod cluster;
mod conversation;
pub mod input;
pub mod ipfail;
mod mine;
pub mod peers;
mod placement;
pub mod report;

use std::time::Duration;

use crate::clock::Instant;
use crate::heartbeat::membership::judge::NodeState;
use crate::heartbeat::wire::message::Message;
use action::{Action, Decision};
use arbiters::Arbiters;
use cluster::{Cluster, GroupId, NodeId};
use input::{Input, Order, What, Which};
use mine::{Mine, Own};
use peers::{Fencing, Peer};
use report::{Mark, Report, Seen, first_version};

/// The most events that a decision names.
const MOST_REASONS: usize = 8;

/// This node did not run for long: somebody else may rightly have what it had.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Until then in any case.
    until: Instant,
    /// Until then most nodes have to have heard of us again.
    proven: Instant,
    /// The first report since: whoever has heard that one knows that we are here, and what it says is not of before.
    version: u64,
}

/// What a node thinks, and has thought.
#[derive(Clone, Debug)]
pub struct Decider {
    cluster: Cluster,
    now: Instant,
    /// When the first event came: nodes that were never heard are silent since then.
    began: Option<Instant>,
    /// The event that is looked at.
    trigger: String,
    peers: Vec<Peer>,
    arbiters: Arbiters,
    mine: Vec<Mine>,
    /// Of our own heartbeats.
    generation: u64,
    /// What runs here is known.
    ready: bool,
    /// We are on our way out.
    leaving: bool,
    /// We are out.
    left: bool,
    /// When a heartbeat of ours last left, and ticks without one since.
    sent: Option<Instant>,
    quiet: u32,
    /// Since when we are fewer than the most, or cut off, without everybody being dead.
    alone: Option<Instant>,
    /// Why we may have nothing.
    outcast: Option<String>,
    doubt: Option<Doubt>,
    /// Since when another node reaches more arbiters.
    worse: Option<Instant>,
    /// What our heartbeats carry.
    version: u64,
    said: Option<Report>,
    active: bool,
    /// What was last said of each group.
    shown: Vec<(&'static str, Option<NodeId>)>,
    out: Vec<Decision>,
}

/// A group, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView<'a> {
    /// Its name.
    pub name: &'a str,
    /// unknown, stopped, starting, running, stopping, stuck or failed.
    pub is: &'static str,
    /// Where.
    pub node: Option<&'a str>,
    /// The nodes that may have it, the preferred one first.
    pub candidates: Vec<&'a str>,
    /// Why it is so, and what it waits for.
    pub why: &'a str,
}

/// A node, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is thought of it.
    pub is: &'static str,
    /// It is this one.
    pub me: bool,
    /// The status that its heartbeats carry.
    pub status: &'a str,
    /// What is thought of it on each medium.
    pub links: std::collections::BTreeMap<&'a str, &'a str>,
    /// What is to be known of it beside that; empty where there is nothing.
    pub cause: String,
}

impl Decider {
    /// Nothing has happened yet.
    pub fn new(cluster: Cluster) -> Self {
        let peers = (0..cluster.nodes.len()).map(Peer::new).collect();
        let mine = cluster.groups.iter().map(|_| Mine::default()).collect();
        let shown = cluster.groups.iter().map(|_| ("unknown", None)).collect();
        Self {
            arbiters: Arbiters::new(&cluster.pings, cluster.keepalive, cluster.deadtime),
            cluster,
            now: Instant::at(Duration::ZERO),
            began: None,
            trigger: String::new(),
            peers,
            mine,
            generation: 0,
            ready: false,
            leaving: false,
            left: false,
            sent: None,
            quiet: 0,
            alone: None,
            outcast: None,
            doubt: None,
            worse: None,
            version: 0,
            said: None,
            active: false,
            shown,
            out: Vec::new(),
        }
    }

    /// Looks at one event, and decides.
    pub fn take(&mut self, input: Input) -> Vec<Decision> {
        // Several tools print their time, and their lines may overtake each other.
        self.now = self.now.max(input.now.unwrap_or(self.now));
        self.began.get_or_insert(self.now);
        self.trigger = input.source;
        let routine = matches!(input.what, What::Sent | What::Reply(_));
        self.note(input.what, input.now.unwrap_or(self.now));
        if !routine {
            self.settle();
        }
        std::mem::take(&mut self.out)
    }

    /// Adds an event to what is known.
    fn note(&mut self, what: What, at: Instant) {
        let now = self.now;
        match what {
            What::Node { node, is, silent, deadtime } => {
                let Some(n) = self.other(&node) else { return };
                let peer = &mut self.peers[n];
                peer.deadtime = deadtime.or(peer.deadtime);
                peer.becomes(is, silent, now, &self.trigger);
                if is == NodeState::Late {
                    self.prepare(n);
                }
            }
            What::Beat { node, status, generation, number, voice } => {
                let Some(n) = self.other(&node) else { return };
                let before: Vec<_> = self.cluster.groups.iter().map(|group| self.peers[n].had(group)).collect();
                self.peers[n].says((generation, number), &status, voice, &self.trigger);
                for (g, before) in before.into_iter().enumerate() {
                    self.freed(g, n, before);
                }
            }
            What::Restarted { node } => {
                if let Some(n) = self.other(&node) {
                    self.peers[n].begins_anew(now);
                }
            }
            What::Message { node, fields } => self.hear(&node, &fields),
            What::Link { node, medium, is } => {
                if let Some(n) = self.other(&node) {
                    self.peers[n].links.insert(medium, is);
                }
            }
            What::Reply(line) => self.decide(Action::Reply(line), String::new(), Vec::new()),
            What::Stalled { gap } => {
                if gap >= self.cluster.deadtime / 2 {
                    self.doubts(gap);
                }
            }
            What::Generation(generation) => {
                // A sender that begins anew in the middle was silent for so long that we may be thought dead.
                let anew = self.generation != 0;
                self.generation = generation;
                self.sent = Some(at);
                (self.said, self.active) = (None, false);
                self.version = first_version(generation);
                for mine in &mut self.mine {
                    if matches!(mine.own, Own::Claiming(_)) {
                        mine.own = Own::Claiming(None);
                    }
                }
                if anew {
                    self.doubts(self.cluster.deadtime);
                }
                self.peers.iter_mut().for_each(|peer| peer.protocol.repeat());
            }
            What::Sent => (self.sent, self.quiet) = (Some(at), 0),
            What::Ping { host, up, began } => {
                if let Some(began) = began {
                    self.arbiters.answer(&host, up, began);
                }
            }
            What::Found(group) => {
                if let Some(g) = self.cluster.group(&group) {
                    self.mine[g].own = Own::Stuck(now);
                    self.mine[g].why = "it runs here since before, and could not be stopped".to_owned();
                }
            }
            What::Ready => self.ready = true,
            What::Done { action, of, status, cause } => self.done(&action, &of, status, cause),
            What::Lost { group, cause } => {
                if let Some(g) = self.cluster.group(&group).filter(|g| self.mine[*g].own.keeps()) {
                    self.mine[g].failed(now, &cause);
                    self.release(g, cause);
                }
            }
            What::Order(order) => self.order(order),
            What::Tick => self.quiet = self.quiet.saturating_add(1),
        }
    }

    /// We did not run for so long.
    fn doubts(&mut self, gap: Duration) {
        let Cluster { keepalive, deadtime, .. } = self.cluster;
        // The others wait so much longer than a stop takes before they take what we have.
        let left = (deadtime + keepalive).saturating_sub(gap).max(keepalive * 2);
        self.said = None;
        self.doubt = Some(Doubt { until: self.now + deadtime, proven: self.now + left, version: self.version + 1 });
    }

    /// Another node by its name.
    fn other(&self, name: &str) -> Option<NodeId> {
        self.cluster.node(name).filter(|n| *n != self.cluster.me)
    }

    /// How many arbiters we reach; none without any.
    fn reached(&self) -> Option<u32> {
        let patience = self.cluster.deadtime.max(self.cluster.keepalive * 4);
        self.arbiters.exist().then(|| self.arbiters.reached(patience, self.now))
    }

    fn done(&mut self, action: &str, of: &str, status: i64, cause: Option<String>) {
        let now = self.now;
        let cause = cause.unwrap_or_else(|| format!("it ended with status {status}"));
        if action == "fence" {
            if let Some(n) = self.other(of) {
                let fencing = if status == 0 { Fencing::Done } else { Fencing::Failed(now) };
                // One that was heard since may have come back by itself, and is as it is after that.
                self.peers[n].fencing = if self.peers[n].alive() { Fencing::No } else { fencing };
            }
            return;
        }
        let Some(g) = self.cluster.group(of) else { return };
        match (action, self.mine[g].own, status) {
            ("acquire", Own::Starting, 0) => {
                self.mine[g].own = Own::Held;
                (self.mine[g].failure, self.mine[g].failures) = (None, 0);
            }
            // Nothing of it was left behind.
            ("acquire", Own::Starting, 1) => {
                self.mine[g].own = Own::Idle;
                self.mine[g].failed(now, &cause);
            }
            ("acquire", Own::Starting, _) => {
                self.mine[g].failed(now, &cause);
                self.release(g, format!("it could not be started, and may run in part: {cause}"));
            }
            ("release", Own::Stopping | Own::Stuck(_), 0) => self.mine[g].own = Own::Idle,
            ("release", Own::Stopping, _) => {
                self.mine[g].own = Own::Stuck(now);
                self.mine[g].why = format!("it could not be stopped: {cause}");
            }
            _ => {} // a start that was ended for the sake of a stop
        }
    }

    /// An operator's order.
    fn order(&mut self, order: Order) {
        let me = self.cluster.me;
        let meant = |decider: &Self, which: Which, g: GroupId| {
            let local = decider.cluster.groups[g].is_home(me);
            which == Which::All || local == (which == Which::Local)
        };
        match order {
            Order::Standby(which) => {
                for g in (0..self.mine.len()).rev().filter(|g| meant(self, which, *g)).collect::<Vec<_>>() {
                    if self.mine[g].own.keeps() {
                        self.give(g, "an operator wants it to be elsewhere");
                    }
                }
            }
            Order::Takeover(which) => {
                for g in (0..self.mine.len()).filter(|g| meant(self, which, *g)).collect::<Vec<_>>() {
                    self.wish(g);
                }
            }
            Order::Failback => {
                for g in 0..self.mine.len() {
                    let home = self.cluster.groups[g].is_home(me);
                    match self.mine[g].own.keeps() {
                        true if !home => self.give(g, "an operator wants it where it belongs"),
                        false if home => self.wish(g),
                        _ => {}
                    }
                }
            }
            Order::Retry => {
                for g in 0..self.mine.len() {
                    self.mine[g].failure = None;
                    if matches!(self.mine[g].own, Own::Stuck(_)) {
                        self.release(g, "it could not be stopped: an operator wants it to be tried again".to_owned());
                    }
                }
            }
            Order::Leave => self.leaving = true,
        }
    }

    /// Gives a group to whoever can have it, if anybody can.
    fn give(&mut self, g: GroupId, cause: &str) {
        match self.heir(g) {
            Some(heir) if self.peers[heir].classic => self.offer(g, heir),
            Some(heir) => {
                self.mine[g].declined = true;
                let cause = format!("{cause}: {} can have it", self.cluster.name(heir));
                self.release(g, cause);
            }
            None => {
                let what = format!("giving up {}", self.cluster.groups[g].id);
                let cause = "no other node can have it: it stays".to_owned();
                self.decide(Action::Refused { what }, cause, Vec::new());
            }
        }
    }

    /// Asks whoever has a group for it.
    fn wish(&mut self, g: GroupId) {
        let me = self.cluster.me;
        if !self.cluster.groups[g].candidates.contains(&me) {
            let what = format!("taking {}", self.cluster.groups[g].id);
            let cause = "haresources does not name this node for it".to_owned();
            return self.decide(Action::Refused { what }, cause, Vec::new());
        }
        let mine = &mut self.mine[g];
        if !mine.own.keeps() {
            mine.declined = false;
            mine.failure = None;
            mine.wish = Some(self.now + self.cluster.limits.stop * 2);
        }
    }

    /// Who has a group when it is late: its addresses are asked for ahead.
    fn prepare(&mut self, n: NodeId) {
        for g in 0..self.cluster.groups.len() {
            let group = &self.cluster.groups[g];
            let has = self.peers[n].entry(group).is_some_and(|e| e.mark.occupies());
            if has && group.candidates.contains(&self.cluster.me) {
                let node = self.cluster.name(n).to_owned();
                let cause = format!("{node} is late");
                let because = vec![self.trigger.clone()];
                self.decide(Action::Prepare { group: group.id.clone(), node }, cause, because);
            }
        }
    }

    /// Decides until nothing more follows.
    fn settle(&mut self) {
        if self.left {
            return;
        }
        self.ask_witnesses();
        self.judge_ourselves();
        // Each round ends a step of at least one group, and a group has few.
        for _ in 0..self.mine.len() * 4 + 2 {
            let placed = self.placement();
            let mut moved = false;
            for (g, place) in placed.into_iter().enumerate() {
                moved |= self.step(g, place);
            }
            self.say();
            if !moved {
                break;
            }
        }
        self.speak();
        self.show();
        if self.leaving && self.mine.iter().all(|mine| mine.own == Own::Idle) {
            self.left = true;
            let message = Message::default().with("t", "shutdone").with("st", "dead");
            self.decide(Action::Send(message), "this node leaves, and has nothing any more".to_owned(), Vec::new());
            self.decide(Action::Exit { status: 0 }, "asked to leave".to_owned(), Vec::new());
        }
    }

    /// What our heartbeats are to carry, where that has changed.
    fn say(&mut self) {
        if !self.ready || self.generation == 0 {
            return;
        }
        let report = self.report();
        let news = self.said.as_ref().is_none_or(|said| {
            (said.ready, said.leaving, said.pings, said.generation)
                != (report.ready, report.leaving, report.pings, report.generation)
                || said.groups != report.groups
        });
        if news {
            self.version += 1;
        } else if self.said.as_ref().is_some_and(|said| said.seen == report.seen) {
            return;
        }
        let report = Report { version: self.version, ..report };
        for mine in &mut self.mine {
            if mine.own == Own::Claiming(None) {
                mine.own = Own::Claiming(Some(self.version));
            }
        }
        let status = (!std::mem::replace(&mut self.active, true)).then_some("active");
        let text = report.encode();
        self.said = Some(report);
        let cause = if news { "what this node has or wants has changed" } else { "others were heard" };
        let because = vec![self.trigger.clone()];
        self.decide(Action::Order { status, report: Some(text) }, cause.to_owned(), because);
    }

    fn report(&self) -> Report {
        let me = self.cluster.me;
        let seen = (0..self.peers.len()).map(|n| {
            let peer = &self.peers[n];
            if n == me {
                Seen::Own
            } else if peer.alive() {
                Seen::Heard(peer.version())
            } else {
                Seen::Deaf
            }
        });
        let groups = self.cluster.groups.iter().zip(&self.mine);
        Report {
            digest: self.cluster.digest,
            generation: self.generation,
            version: self.version,
            ready: self.ready,
            leaving: self.leaving,
            pings: self.reached(),
            seen: seen.collect(),
            groups: groups.filter_map(|(group, mine)| mine.entry(group.key, self.doubt.is_some())).collect(),
        }
    }

    /// Tells what is thought of the groups, where that has changed.
    fn show(&mut self) {
        for g in 0..self.mine.len() {
            let (is, node) = self.view(g);
            let (was, before) = std::mem::replace(&mut self.shown[g], (is, node));
            if (was, before) != (is, node) {
                let node = node.map(|n| self.cluster.name(n).to_owned());
                let group = self.cluster.groups[g].id.clone();
                let cause = self.mine[g].why.clone();
                let because = self.reasons();
                self.decide(Action::State { group, node, was, is }, cause, because);
            }
        }
    }

    /// What is thought of a group, and where it is.
    fn view(&self, g: GroupId) -> (&'static str, Option<NodeId>) {
        let me = self.cluster.me;
        let mine = &self.mine[g];
        match mine.own {
            Own::Held => return ("running", Some(me)),
            Own::Claiming(_) | Own::Starting => return ("starting", Some(me)),
            Own::Stopping => return ("stopping", Some(me)),
            Own::Stuck(_) => return ("stuck", Some(me)),
            Own::Idle => {}
        }
        let group = &self.cluster.groups[g];
        let said = self.cluster.others().filter_map(|n| Some((self.peers[n].entry(group)?.mark, n)));
        let found = said.filter(|(mark, _)| mark.occupies()).min_by_key(|(mark, n)| (!mark.keeps(), *n));
        match found {
            Some((Mark::Holds, n)) => ("running", Some(n)),
            Some((Mark::Starts | Mark::Claims, n)) => ("starting", Some(n)),
            Some((Mark::Releases, n)) => ("stopping", Some(n)),
            Some((_, n)) => ("stuck", Some(n)),
            None if !self.ready || self.unsure(g) => ("unknown", None),
            None if mine.failure.is_some() => ("failed", None),
            None => ("stopped", None),
        }
    }

    /// Each group, and why it is where it is.
    pub fn explain(&self) -> Vec<GroupView<'_>> {
        let row = |g: GroupId| {
            let (is, node) = self.view(g);
            let group = &self.cluster.groups[g];
            GroupView {
                name: &group.id,
                is,
                node: node.map(|n| self.cluster.name(n)),
                candidates: group.candidates.iter().map(|n| self.cluster.name(*n)).collect(),
                why: &self.mine[g].why,
            }
        };
        (0..self.mine.len()).map(row).collect()
    }

    /// Each node, this one too.
    pub fn nodes(&self) -> Vec<NodeView<'_>> {
        let me = self.cluster.me;
        let row = |n: NodeId| {
            let peer = &self.peers[n];
            let own = n == me;
            let status = if own { if self.active { "active" } else { "up" } } else { peer.status.as_str() };
            let cause = match &self.outcast {
                Some(why) if own => why.clone(),
                _ if own && !self.ready => "what runs here is not known yet".to_owned(),
                _ if own && self.leaving => "it leaves".to_owned(),
                _ if own => String::new(),
                _ if peer.foreign => "it speaks of its groups in words of another version".to_owned(),
                _ if peer.classic => "a real heartbeat".to_owned(),
                _ if peer.alive() && !peer.hears(me) => "it does not hear us".to_owned(),
                _ if peer.report.as_ref().is_some_and(|r| r.digest != self.cluster.digest) => {
                    "its ha.cf or haresources differ from ours".to_owned()
                }
                _ => String::new(),
            };
            NodeView {
                name: self.cluster.name(n),
                is: if own { "up" } else { peer.state.name() },
                me: own,
                status,
                links: peer.links.iter().map(|(medium, is)| (medium.as_str(), is.as_str())).collect(),
                cause,
            }
        };
        (0..self.peers.len()).map(row).collect()
    }

    /// Whether this node has left: nothing more follows.
    pub fn has_left(&self) -> bool {
        self.left
    }

    fn decide(&mut self, action: Action, cause: String, because: Vec<String>) {
        self.out.push(Decision { action, cause, because });
    }

    /// The events behind what is thought of the others, and the one that is looked at.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = vec![self.trigger.clone()];
        for n in self.cluster.others() {
            let peer = &self.peers[n];
            let source = if peer.alive() { &peer.reported } else { &peer.source };
            reasons.extend(source.iter().filter(|s| **s != self.trigger).cloned());
        }
        reasons.dedup();
        reasons.truncate(MOST_REASONS);
        reasons
    }
}

#[cfg(test)]
mod tests;
