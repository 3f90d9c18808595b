//! What this node does with each group.

use std::time::Duration;

use super::action::Action;
use super::classic::Hold;
use super::cluster::{GroupId, NodeId};
use super::report::{Entry, Mark};
use super::{Decider, Fencing};
use crate::clock::Instant;
use crate::config::ha_cf::AutoFailback;

/// How soon a group that failed here is tried again where nobody else has it; doubled each time.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest such pause.
const AGAIN_AT_MOST: Duration = Duration::from_secs(600);
/// How long a real heartbeat that finds itself to have been cut off takes to start itself anew.
const RESTARTED: Duration = Duration::from_secs(15);
/// How soon a stop that failed is tried again.
const STOP_AGAIN: Duration = Duration::from_secs(30);

/// What we do with a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Own {
    /// Nothing.
    #[default]
    Idle,
    /// We want to start it, and said so in this version of our report.
    Claiming(Option<u64>),
    /// It is being started.
    Starting,
    /// We have it.
    Held,
    /// It is being stopped.
    Stopping,
    /// It could not be stopped, when it was last tried.
    Stuck(Instant),
}

impl Own {
    /// Whether we mean to keep it.
    pub(super) const fn keeps(self) -> bool {
        matches!(self, Self::Starting | Self::Held)
    }
}

/// That it could not be started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    at: Instant,
    cause: String,
    /// A real heartbeat was offered the group since.
    offered: bool,
}

/// A group, as far as this node is concerned.
#[derive(Clone, Debug, Default)]
pub(super) struct Mine {
    pub(super) own: Own,
    pub(super) failure: Option<Failure>,
    /// How often in a row.
    pub(super) failures: u32,
    /// An operator wants it to be elsewhere.
    pub(super) declined: bool,
    /// An operator wants it to be here, and for how long we ask.
    pub(super) wish: Option<Instant>,
    /// An operator put it here.
    pub(super) ordered: bool,
    /// The node that had it, and has said that it stopped it.
    pub(super) freed: Option<NodeId>,
    /// Somebody else keeps it, too: once they let go it is announced again.
    pub(super) contested: bool,
    /// Since when.
    pub(super) clash: Option<Instant>,
    /// Why it is as it is, in words.
    pub(super) why: String,
}

impl Mine {
    /// It could not be started, or does not run any more.
    pub(super) fn failed(&mut self, now: Instant, cause: &str) {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(Failure { at: now, cause: cause.to_owned(), offered: false });
    }

    /// Whether a real heartbeat is to be offered what failed here: once each time.
    pub(super) fn is_to_be_offered(&mut self) -> bool {
        self.failure.as_mut().is_some_and(|failure| !std::mem::replace(&mut failure.offered, true))
    }

    /// What our report says of it.
    pub(super) fn entry(&self, key: u32, doubtful: bool) -> Option<Entry> {
        let mark = match self.own {
            Own::Claiming(_) => Mark::Claims,
            Own::Starting => Mark::Starts,
            Own::Held => Mark::Holds,
            Own::Stopping => Mark::Releases,
            Own::Stuck(_) => Mark::Stuck,
            Own::Idle if self.failure.is_some() => Mark::Failed,
            Own::Idle if self.wish.is_some() => Mark::Wishes,
            Own::Idle if self.declined => Mark::Declines,
            Own::Idle => return None,
        };
        let kept = mark.keeps();
        Some(Entry { key, mark, ordered: kept && self.ordered, doubtful: kept && doubtful })
    }
}

/// Another node that keeps a group that we keep, and why it is we who have to let go, if it is.
type Rival = (NodeId, Option<&'static str>);

impl Decider {
    /// One step of one group; `placed` is the node that is to have it. Returns whether anything changed.
    pub(super) fn step(&mut self, g: GroupId, placed: Option<NodeId>) -> bool {
        self.forget(g);
        match self.mine[g].own {
            Own::Idle => self.rest(g, placed),
            Own::Claiming(version) => self.claim(g, version),
            Own::Starting | Own::Held => self.keep(g),
            Own::Stopping => false,
            Own::Stuck(then) if self.now.since(then) >= STOP_AGAIN => {
                self.release(g, "it could not be stopped: once more".to_owned());
                true
            }
            Own::Stuck(_) => false,
        }
    }

    /// A node that had a group says that it has it no more: nobody can have taken it since who does not hear it, and the
    /// others of those who do would have said so.
    pub(super) fn freed(&mut self, g: GroupId, n: NodeId, before: Option<Entry>) {
        let had = before.is_some_and(|e| !e.doubtful && matches!(e.mark, Mark::Holds | Mark::Releases));
        let now = self.peers[n].entry(&self.cluster.groups[g]);
        let has = now.is_some_and(|e| e.mark.occupies());
        if had && !has && self.peers[n].report.is_some() {
            self.mine[g].freed = Some(n);
        }
    }

    /// The first node that lives and says something of a group that fits.
    pub(super) fn another(&self, g: GroupId, fits: impl Fn(Mark) -> bool) -> Option<NodeId> {
        let group = &self.cluster.groups[g];
        self.cluster.others().find(|n| self.peers[*n].entry(group).is_some_and(|e| fits(e.mark)))
    }

    /// What was noted of a group and holds no longer.
    fn forget(&mut self, g: GroupId) {
        let elsewhere = self.another(g, Mark::keeps).is_some();
        let occupied = self.another(g, Mark::occupies).is_some();
        let now = self.now;
        let gone = self.mine[g].freed.is_some_and(|n| !self.peers[n].connected(self.cluster.me));
        // What was said meanwhile may not have been heard.
        let barred = self.outcast.is_some() || self.doubt.is_some();
        let hidden = self.cluster.others().any(|n| self.speaks_unheard(n));
        let mine = &mut self.mine[g];
        if elsewhere {
            mine.declined = false;
        }
        if occupied || gone || barred || hidden || mine.own.keeps() {
            mine.freed = None;
        }
        if mine.own.keeps() || mine.wish.is_some_and(|until| now >= until) {
            mine.wish = None;
        }
        if let Some(failure) = &mine.failure
            && !occupied
            && mine.own == Own::Idle
        {
            let pause = AGAIN.saturating_mul(1 << mine.failures.saturating_sub(1).min(16)).min(AGAIN_AT_MOST);
            if now.since(failure.at) >= pause {
                mine.failure = None; // but not the count: the next pause is longer
            }
        }
    }

    /// We do not have it. Are we to have it?
    fn rest(&mut self, g: GroupId, placed: Option<NodeId>) -> bool {
        let me = self.cluster.me;
        let why = if !self.ready {
            "what runs here is not known yet".to_owned()
        } else if self.leaving {
            "this node leaves".to_owned()
        } else if let Some(why) = &self.outcast {
            why.clone()
        } else if let Some((n, mark)) = self.occupant(g) {
            format!("{} {}", self.cluster.name(n), doing(mark))
        } else if placed != Some(me) {
            match (placed, &self.mine[g].failure) {
                (Some(n), _) => format!("{} is to have it", self.cluster.name(n)),
                (None, Some(failure)) => format!("it failed here, and nobody else can have it: {}", failure.cause),
                (None, None) => "no node can have it".to_owned(),
            }
        } else {
            match self.may_take(g) {
                Ok(cause) => {
                    self.mine[g].own = Own::Claiming(None);
                    self.mine[g].why = cause;
                    // Where nobody lives who could object, nobody is asked.
                    if self.cluster.others().all(|n| !self.peers[n].alive()) {
                        self.start(g);
                    }
                    return true;
                }
                Err(why) => why,
            }
        };
        self.mine[g].why = why;
        false
    }

    /// We said that we want it. Has everybody heard?
    fn claim(&mut self, g: GroupId, version: Option<u64>) -> bool {
        let me = self.cluster.me;
        let group = &self.cluster.groups[g];
        let stronger = self.cluster.others().find_map(|n| {
            let entry = self.peers[n].entry(group).filter(|e| e.mark.occupies())?;
            (entry.mark != Mark::Claims || self.prefers(g, n, me)).then_some((n, entry.mark))
        });
        let off = if let Some((n, mark)) = stronger {
            Some(format!("{} {}", self.cluster.name(n), doing(mark)))
        } else if self.leaving || self.outcast.is_some() {
            Some(self.outcast.clone().unwrap_or_else(|| "this node leaves".to_owned()))
        } else if !self.has_room(me) {
            // What was claimed beside it was first.
            Some("this node has as many groups as it may".to_owned())
        } else {
            self.may_take(g).err()
        };
        let group = &self.cluster.groups[g];
        if let Some(why) = off {
            self.mine[g].own = Own::Idle;
            self.mine[g].why = why;
            return true;
        }
        let Some(version) = version else { return false };
        let waits = self.cluster.others().find(|n| {
            let peer = &self.peers[*n];
            let heard = peer.classic || peer.acknowledged(me, version..=self.version);
            peer.alive() && (!heard || peer.entry(group).is_some_and(|e| e.mark.occupies()))
        });
        if waits.is_some() {
            return false;
        }
        self.start(g);
        true
    }

    /// Nobody objects.
    fn start(&mut self, g: GroupId) {
        let me = self.cluster.me;
        let group = &self.cluster.groups[g];
        let wanted = |n: NodeId| self.peers[n].entry(group).is_some_and(|e| e.mark == Mark::Declines);
        // A real heartbeat that lives gives only what somebody wants to be elsewhere, be that its ipfail.
        let given = |n: NodeId| {
            let peer = &self.peers[n];
            let given = peer.classic && peer.alive() && peer.protocol.has_given().has(peer.is_home(group));
            given && !self.fewer_arbiters(n)
        };
        let ordered = self.mine[g].wish.is_some() || self.cluster.others().any(|n| wanted(n) || given(n));
        let others: Vec<NodeId> = self.cluster.others().collect();
        // Whoever was fenced or left has nothing to answer with; of all others nothing is known but their silence.
        let dead = others.iter().filter(|n| {
            let peer = &self.peers[**n];
            let left = peer.state == super::NodeState::Left && !peer.astray;
            !peer.alive() && !left && peer.fencing != Fencing::Done
        });
        let dead: Vec<String> = match self.mine[g].freed {
            Some(_) => Vec::new(),
            None => dead.map(|n| self.cluster.name(*n).to_owned()).collect(),
        };
        let action = Action::Acquire { group: group.id.clone(), free: dead.is_empty(), dead };
        let home = group.is_home(me);
        let mine = &mut self.mine[g];
        mine.own = Own::Starting;
        mine.ordered = ordered && !home;
        mine.declined = false;
        mine.contested = false;
        let cause = mine.why.clone();
        let because = self.reasons();
        self.decide(action, cause, because);
    }

    /// We have it. Are we to keep it?
    fn keep(&mut self, g: GroupId) -> bool {
        let rival = self.rival(g);
        if let Some(cause) = self.must_release(g, rival) {
            self.release(g, cause);
            return true;
        }
        // With a rival there, who is to have it is not for us to say.
        let goes = if rival.is_none() { self.should_go(g) } else { None };
        if let Some((n, cause)) = goes {
            if !self.peers[n].classic {
                self.release(g, cause);
                return true;
            }
            self.offer(g, n);
        }
        self.mine[g].clash = rival.is_some().then(|| self.mine[g].clash.unwrap_or(self.now));
        // Somebody who is stopping it has announced its addresses, too, and clients may have believed that.
        let contested = self.another(g, |mark| mark.occupies() && mark != Mark::Claims).is_some();
        if std::mem::replace(&mut self.mine[g].contested, contested) && !contested {
            let action = Action::Announce { group: self.cluster.groups[g].id.clone() };
            let because = self.reasons();
            self.decide(action, "another node had it, too, and let go".to_owned(), because);
        }
        if self.mine[g].own == Own::Held {
            self.mine[g].why = "it is here".to_owned();
        }
        false
    }

    /// A real heartbeat is to have a group: it is asked, and what it agrees to take is released then.
    pub(super) fn offer(&mut self, g: GroupId, n: NodeId) {
        let theirs = self.peers[n].is_home(&self.cluster.groups[g]);
        self.peers[n].protocol.offer(Hold::one(theirs), self.now);
    }

    /// Why we may not keep a group.
    fn must_release(&self, g: GroupId, rival: Option<Rival>) -> Option<String> {
        if self.leaving {
            return Some("this node leaves".to_owned());
        }
        if let Some(why) = &self.outcast {
            return Some(why.clone());
        }
        if let Some((n, yields)) = rival {
            let name = self.cluster.name(n);
            match yields {
                Some(why) => return Some(format!("{name} has it, too, and {why}")),
                None => return None, // it will let go
            }
        }
        let group = &self.cluster.groups[g];
        let gets = |n: &NodeId| {
            let peer = &self.peers[*n];
            peer.classic && peer.alive() && peer.protocol.gets(peer.is_home(group))
        };
        self.cluster.others().find(gets).map(|n| format!("{} agreed to take it", self.cluster.name(n)))
    }

    /// Who should rather have a group that we have, and why.
    fn should_go(&self, g: GroupId) -> Option<(NodeId, String)> {
        let me = self.cluster.me;
        // What is being started is not moved; it would only cost a second outage.
        if self.mine[g].own != Own::Held {
            return None;
        }
        let group = &self.cluster.groups[g];
        let wishes = |n: &NodeId| self.peers[*n].entry(group).is_some_and(|e| e.mark == Mark::Wishes);
        if let Some(n) = self.cluster.others().find(|n| wishes(n) && self.can_have(g, *n)) {
            return Some((n, format!("{} was asked to take it", self.cluster.name(n))));
        }
        if let Some(n) = self.better_connected(g) {
            return Some((n, format!("{} reaches more ping nodes", self.cluster.name(n))));
        }
        let home = *group.candidates.first()?;
        let goes = self.cluster.failback != AutoFailback::Off && !self.mine[g].ordered && home != me;
        // What it had when it stood still it has to stop first: until then nobody would serve.
        let stops = self.peers[home].entry(group).is_some_and(|e| e.mark.occupies() && e.mark != Mark::Claims);
        if goes && !stops && self.can_have(g, home) && self.steady(home) {
            return Some((home, format!("{} is back, and the group prefers it", self.cluster.name(home))));
        }
        None
    }

    /// Another node that keeps the group, too, and why it is we who have to let go, if it is.
    fn rival(&self, g: GroupId) -> Option<Rival> {
        let me = self.cluster.me;
        let group = &self.cluster.groups[g];
        for n in self.cluster.others() {
            let peer = &self.peers[n];
            // One that was just heard again has yet to say what it has.
            let Some(entry) = peer.had(group) else { continue };
            // It does not hear us: nothing will make it let go, and what it claims it will take. One that has just come
            // back says so of the past.
            let settled = peer.came.is_none_or(|came| self.now.since(came) >= self.cluster.deadtime);
            if entry.mark.occupies() && !peer.hears(me) && entry.mark != Mark::Releases {
                return Some((n, settled.then_some("does not hear us")));
            }
            if !entry.mark.keeps() {
                continue;
            }
            let yields = match (self.doubt.is_some(), entry.doubtful) {
                (true, false) => Some("this node did not run for long"),
                (false, true) => None,
                // It starts itself anew when it hears us, and gives up everything.
                _ if peer.classic && !self.has_clashed(g) => None,
                // It did not, as one that stood still for hardly longer than the deadtime: then it keeps it for good.
                _ if peer.classic => Some("does not let go of it"),
                _ if self.prefers(g, n, me) => Some("the group prefers it"),
                _ => None,
            };
            return Some((n, yields));
        }
        None
    }

    /// Whether somebody has had the group, too, for longer than a real heartbeat takes to start itself anew.
    fn has_clashed(&self, g: GroupId) -> bool {
        self.mine[g].clash.is_some_and(|since| self.now.since(since) >= self.cluster.deadtime + RESTARTED)
    }

    /// Whether a group prefers the node `a` to `b`.
    fn prefers(&self, g: GroupId, a: NodeId, b: NodeId) -> bool {
        let order = &self.cluster.groups[g].candidates;
        let same =
            [a, b].iter().filter_map(|n| self.peers[*n].report.as_ref()).all(|r| r.digest == self.cluster.digest);
        let place = |n: NodeId| order.iter().position(|c| *c == n).filter(|_| same).unwrap_or(order.len());
        (place(a), a) < (place(b), b)
    }

    /// Stops a group.
    pub(super) fn release(&mut self, g: GroupId, cause: String) {
        // Others may be about to take what somebody who is cut off has.
        let addresses_first = self.outcast.is_some() || self.rival(g).is_some();
        let mine = &mut self.mine[g];
        mine.own = Own::Stopping;
        mine.contested = false;
        mine.why.clone_from(&cause);
        let action = Action::Release { group: self.cluster.groups[g].id.clone(), addresses_first };
        let because = self.reasons();
        self.decide(action, cause, because);
    }
}

/// What somebody does with a group, in words.
fn doing(mark: Mark) -> &'static str {
    match mark {
        Mark::Claims => "is about to start it",
        Mark::Starts => "starts it",
        Mark::Holds => "has it",
        Mark::Releases => "stops it",
        Mark::Stuck => "could not stop it",
        Mark::Failed => "could not start it",
        Mark::Declines => "gave it up",
        Mark::Wishes => "was asked to take it",
    }
}
