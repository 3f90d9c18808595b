//! Up, late, dead: what the silence of one node means, on all media together and on each alone.
//!
//! A decider: it is handed signs of life and the time. Silence counts from the last sign of life, or from the end of our
//! own last stall where that is later: what was not read was not silence.

use std::fmt;
use std::time::Duration;

use crate::clock::Instant;

/// For how long after its goodbye what a node says is no return.
const GOODBYE: Duration = Duration::from_secs(5);

/// What is thought of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// Never heard, or silent while we could not hear.
    #[default]
    Unknown,
    /// Heard within its warntime.
    Up,
    /// Silent for longer than its warntime.
    Late,
    /// Silent for its deadtime on every medium, or never heard within initdead.
    Dead,
    /// It said that it leaves: its silence means nothing.
    Left,
}

impl NodeState {
    /// As events carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Late => "late",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is thought of a node on one medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Nothing heard of the node on this medium, and not for long enough to tell; or the medium is down here.
    #[default]
    Unknown,
    /// Heard within the node's deadtime.
    Up,
    /// Silent for that long.
    Dead,
}

impl LinkState {
    /// As events carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Dead => "dead",
        }
    }
}

/// How long is too long, where the sender does not say.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Silence that means death; a sender's own `dt` goes before it.
    pub deadtime: Duration,
    /// Silence that is worth a word; half of the deadtime in force unless given.
    pub warntime: Option<Duration>,
    /// What a node has to be heard in after our start.
    pub initdead: Duration,
}

/// A change of what is thought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of the node.
    Node {
        /// Before.
        was: NodeState,
        /// Now.
        is: NodeState,
        /// Why, in words.
        cause: String,
        /// Since it was last heard, on any medium.
        silent: Option<Duration>,
    },
    /// Of the node on one medium.
    Link {
        /// Which.
        medium: usize,
        /// Before.
        was: LinkState,
        /// Now.
        is: LinkState,
        /// Why, in words.
        cause: String,
    },
}

#[derive(Clone, Copy, Debug)]
struct Link {
    state: LinkState,
    /// As far as this machine can see, something could be heard on it.
    hears: bool,
    alive: Option<Instant>,
    /// The end of our own last stall that counts here.
    distrust: Option<Instant>,
}

/// The judge of one node.
#[derive(Debug)]
pub struct Judge {
    state: NodeState,
    limits: Limits,
    /// The deadtime in force: ours, or the one that the sender announced.
    deadtime: Duration,
    started: Instant,
    alive: Option<Instant>,
    first: Option<Instant>,
    /// The end of our own last stall that counts for the node as a whole.
    distrust: Option<Instant>,
    left: Option<Instant>,
    links: Vec<Link>,
}

impl Judge {
    /// A node that is expected from now on, on these media: whether something could be heard on each.
    pub fn new(limits: Limits, media: &[bool], now: Instant) -> Self {
        Self {
            state: NodeState::Unknown,
            limits,
            deadtime: limits.deadtime,
            started: now,
            alive: None,
            first: None,
            distrust: None,
            left: None,
            links: media
                .iter()
                .map(|&hears| Link { state: LinkState::Unknown, hears, alive: None, distrust: None })
                .collect(),
        }
    }

    /// What is thought of it.
    pub fn state(&self) -> NodeState {
        self.state
    }

    /// What is thought of it on a medium.
    pub fn link(&self, medium: usize) -> LinkState {
        self.links.get(medium).map_or(LinkState::Unknown, |l| l.state)
    }

    /// The deadtime in force.
    pub fn deadtime(&self) -> Duration {
        self.deadtime
    }

    /// When it was last heard.
    pub fn alive_at(&self) -> Option<Instant> {
        self.alive
    }

    fn warntime(&self) -> Duration {
        self.limits.warntime.unwrap_or(self.deadtime / 2)
    }

    /// A new start of the node: a goodbye of the one before means nothing any more, by whatever message it is first heard.
    pub fn restarted(&mut self) {
        self.left = None;
    }

    /// A sign of life on a medium, with the deadtime that the sender announced, if it did. A goodbye is taken back by a new
    /// start alone, or by a status after a pause: the real daemon goes on to say `active` for two seconds after its goodbye.
    pub fn alive(&mut self, medium: usize, announced: Option<Duration>, now: Instant, changes: &mut Vec<Change>) {
        if self.state == NodeState::Left && self.left.is_some_and(|then| now.since(then) < GOODBYE) {
            return;
        }
        if let Some(deadtime) = announced {
            self.deadtime = deadtime;
        }
        self.first.get_or_insert(now);
        self.carried(medium, now, changes);
        let silent = self.alive.map(|then| now.since(then));
        self.alive = Some(now);
        if self.state != NodeState::Up {
            let cause = match (self.state, silent) {
                (NodeState::Left, _) => "it is back".to_owned(),
                (_, Some(silent)) => format!("heard again after {silent:.3?}"),
                (_, None) => "heard for the first time".to_owned(),
            };
            self.become_(NodeState::Up, cause, silent, changes);
        }
    }

    /// A medium brought something new of the node, if only a copy of what another had brought first.
    pub fn carried(&mut self, medium: usize, now: Instant, changes: &mut Vec<Change>) {
        let was_audible = self.audible();
        let Some(link) = self.links.get_mut(medium) else { return };
        let silent = link.alive.map(|then| now.since(then));
        link.alive = Some(now);
        if link.state != LinkState::Up {
            let was = std::mem::replace(&mut link.state, LinkState::Up);
            let cause = match silent {
                Some(silent) => format!("heard again after {silent:.3?}"),
                None => "heard for the first time".to_owned(),
            };
            changes.push(Change::Link { medium, was, is: LinkState::Up, cause });
        }
        self.judged_again(was_audible, now);
    }

    /// It said that it leaves; with `goodbye` for this start of it, else by a status that the next one may take back.
    pub fn left(&mut self, goodbye: bool, now: Instant, changes: &mut Vec<Change>) {
        for (medium, link) in self.links.iter_mut().enumerate().filter(|(_, l)| l.state == LinkState::Up) {
            link.state = LinkState::Dead;
            let cause = "the node has left".to_owned();
            changes.push(Change::Link { medium, was: LinkState::Up, is: LinkState::Dead, cause });
        }
        self.left = goodbye.then_some(now);
        // A medium on which it was never heard has a whole deadtime again once it is back, and means nothing until then.
        self.first = None;
        if self.state != NodeState::Left {
            let silent = self.alive.map(|then| now.since(then));
            self.become_(NodeState::Left, "it said that it leaves".to_owned(), silent, changes);
        }
    }

    /// We did not look for `gap`, or (none) could not read all that came: unless the gap is too short to matter to this
    /// node, its silence counts from now. Returns whether an earlier stall is not over yet: it is
    /// not put off again, nor is a silence that was put off once, so that a listener that stalls for ever still judges.
    pub fn stalled(&mut self, gap: Option<Duration>, now: Instant) -> bool {
        if gap.is_some_and(|gap| gap <= self.deadtime / 2) {
            return false;
        }
        let put_off = |distrust: &mut Option<Instant>, waits: bool, alive: Option<Instant>| {
            let silent_since = |then: Instant| waits && alive.is_none_or(|alive| alive < then);
            if distrust.is_some_and(|then| now.since(then) < self.deadtime || silent_since(then)) {
                return false;
            }
            *distrust = Some(now);
            true
        };
        for link in &mut self.links {
            let alive = if link.state == LinkState::Up { link.alive } else { self.first };
            put_off(&mut link.distrust, link.state != LinkState::Dead, alive);
        }
        let waits = matches!(self.state, NodeState::Unknown | NodeState::Up | NodeState::Late);
        // One that was never heard has initdead: a stall before the last deadtime of that put nothing off.
        let expected = self.started + self.limits.initdead.saturating_sub(self.deadtime);
        !put_off(&mut self.distrust, waits, self.alive.or(Some(expected)))
    }

    /// Whether the node's silence means anything: it could be heard on a medium that has carried it before, or, if it was
    /// never heard, on any.
    fn audible(&self) -> bool {
        let ever = self.links.iter().any(|l| l.alive.is_some());
        self.links.iter().any(|l| l.hears && (l.alive.is_some() || !ever))
    }

    /// Something can be heard on a medium from now on, or nothing can. What was not heard on a deaf one was not silence:
    /// a node that could be heard on no other has a whole deadtime again.
    pub fn hearing(&mut self, medium: usize, hears: bool, now: Instant) {
        let was_audible = self.audible();
        let Some(link) = self.links.get_mut(medium).filter(|l| l.hears != hears) else { return };
        link.hears = hears;
        if hears {
            link.distrust = Some(now);
        }
        self.judged_again(was_audible, now);
    }

    fn judged_again(&mut self, was_audible: bool, now: Instant) {
        if !was_audible && self.audible() {
            self.distrust = Some(now);
        }
    }

    fn node_due(&self) -> Option<(Instant, NodeState)> {
        let alive = self.alive.map(|then| trusted(then, self.distrust));
        match (self.state, alive) {
            (NodeState::Up | NodeState::Late, Some(alive)) if !self.audible() => {
                Some((alive + self.deadtime, NodeState::Unknown))
            }
            (NodeState::Unknown, _) => self.audible().then(|| {
                let heard_by = self.started + self.limits.initdead;
                (self.distrust.map_or(heard_by, |then| heard_by.max(then + self.deadtime)), NodeState::Dead)
            }),
            (NodeState::Up, Some(alive)) if self.warntime() < self.deadtime => {
                Some((alive + self.warntime(), NodeState::Late))
            }
            (NodeState::Up | NodeState::Late, Some(alive)) => Some((alive + self.deadtime, NodeState::Dead)),
            _ => None,
        }
    }

    fn link_due(&self, link: &Link) -> Option<Instant> {
        let since = match link.state {
            LinkState::Up => link.alive,
            // A medium on which a node that lives was never heard.
            LinkState::Unknown => self.first.filter(|_| link.hears),
            LinkState::Dead => None,
        };
        since.map(|then| trusted(then, link.distrust) + self.deadtime)
    }

    /// When silence will next mean something.
    pub fn deadline(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(|link| self.link_due(link));
        links.chain(self.node_due().map(|(at, _)| at)).min()
    }

    /// What the silence means by now.
    pub fn look(&mut self, now: Instant, changes: &mut Vec<Change>) {
        for medium in 0..self.links.len() {
            let link = self.links[medium];
            if self.link_due(&link).is_some_and(|at| at <= now) {
                let is = if link.hears { LinkState::Dead } else { LinkState::Unknown };
                self.links[medium].state = is;
                let cause = match link.alive {
                    Some(_) if !link.hears => "nothing can be heard on this medium".to_owned(),
                    Some(then) => format!("nothing for {:.3?} (deadtime {:?})", now.since(then), self.deadtime),
                    None => "the node lives, but was never heard on this medium".to_owned(),
                };
                changes.push(Change::Link { medium, was: link.state, is, cause });
            }
        }
        while let Some((at, is)) = self.node_due().filter(|(at, _)| *at <= now) {
            let silent = self.alive.map(|then| now.since(then));
            let cause = match (is, silent) {
                (NodeState::Unknown, _) => {
                    "it may live: nothing can be heard on any medium that it was heard on".to_owned()
                }
                (NodeState::Late, Some(silent)) => {
                    format!("nothing for {silent:.3?} on any medium (warntime {:?})", self.warntime())
                }
                (_, Some(silent)) => format!("nothing for {silent:.3?} on any medium (deadtime {:?})", self.deadtime),
                (_, None) => {
                    format!("never heard in {:.3?} (initdead {:?})", at.since(self.started), self.limits.initdead)
                }
            };
            self.become_(is, cause, silent, changes);
        }
    }

    fn become_(&mut self, is: NodeState, cause: String, silent: Option<Duration>, changes: &mut Vec<Change>) {
        let was = std::mem::replace(&mut self.state, is);
        changes.push(Change::Node { was, is, cause, silent });
    }
}

/// From when on silence counts.
fn trusted(alive: Instant, distrust: Option<Instant>) -> Instant {
    distrust.map_or(alive, |then| then.max(alive))
}
