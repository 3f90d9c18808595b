//! Whether a group may be taken though some node does not answer, and whether we have to give up what we have because it
//! may be we who do not answer.
//!
//! | nodes | taken from the dead | given up |
//! | --- | --- | --- |
//! | two, nothing to ask | at once, as heartbeat does | never |
//! | two, with ping nodes | when one of them answered since the other node fell silent | when none of them does |
//! | three and more | by the majority, after everybody else had the time to give up | by the minority |
//!
//! Where fencing is configured nothing is taken before it was done.

use std::time::Duration;

use super::action::Action;
use super::cluster::{GroupId, NodeId};
use super::peers::Fencing;
use super::report::{Mark, Seen, life};
use super::{Decider, Doubt, NodeState};
use crate::clock::Instant;

/// What a lease may last longer than it says, and what two nodes' clocks may differ meanwhile.
const SLACK: Duration = Duration::from_millis(1500);

impl Decider {
    /// Whether we may start a group that nobody who answers has: why, or why not.
    pub(super) fn may_take(&mut self, g: GroupId) -> Result<String, String> {
        let mut dead = Vec::new();
        for n in self.cluster.others() {
            let name = self.cluster.name(n);
            let peer = &self.peers[n];
            match peer.state {
                // It may have come back while we were with the few.
                NodeState::Left if peer.astray => dead.push(n),
                NodeState::Left => {}
                NodeState::Up | NodeState::Late if peer.foreign => {
                    return Err(format!("{name} speaks of its groups in words of another version"));
                }
                NodeState::Up | NodeState::Late if !peer.hears(self.cluster.me) => {
                    return Err(format!("{name} does not hear us"));
                }
                NodeState::Up | NodeState::Late if peer.classic => {
                    let theirs = peer.is_home(&self.cluster.groups[g]);
                    peer.protocol.gives(theirs).map_err(|why| format!("{name} {why}"))?;
                }
                NodeState::Up | NodeState::Late if peer.silent() => {
                    return Err(format!("{name} has not said yet what it has"));
                }
                NodeState::Up | NodeState::Late => {}
                // Somebody who hears both of us may have given it to either.
                NodeState::Unknown | NodeState::Dead
                    if self.mine[g].freed.is_some() && !peer.last_had(&self.cluster.groups[g]) =>
                {
                    if let Some(witness) = self.witness(n) {
                        return Err(format!("{} still hears {name}", self.cluster.name(witness)));
                    }
                }
                NodeState::Unknown => return Err(format!("{name} was not heard, and may be there")),
                NodeState::Dead => dead.push(n),
            }
        }
        if self.cluster.votes() && !self.cluster.majority(self.connected()) {
            return Err("fewer than half of the nodes are here".to_owned());
        }
        let mut words = Vec::new();
        for n in dead {
            words.push(self.may_take_from(g, n)?);
        }
        Ok(match (words.is_empty(), self.mine[g].freed) {
            (true, Some(n)) => format!("{} has given it up", self.cluster.name(n)),
            (true, None) => "nobody has it, and the group prefers this node".to_owned(),
            (false, _) => words.join(", "),
        })
    }

    /// Whether what a dead node may have is ours to take.
    fn may_take_from(&mut self, g: GroupId, n: NodeId) -> Result<String, String> {
        let name = self.cluster.name(n).to_owned();
        let peer = &self.peers[n];
        if peer.fencing == Fencing::Done {
            return Ok(format!("{name} was fenced"));
        }
        // Whoever stood still knows the death of before, and not who has come back since.
        if self.doubt.is_some_and(|doubt| self.now < doubt.until) {
            return Err(format!("{name} was dead when this node stood still, and is listened for again"));
        }
        if self.cluster.fenced {
            if !self.cluster.groups[g].candidates.contains(&n) && peer.report.is_none() {
                return Ok(format!("{name} never had it"));
            }
            if self.cluster.fences && peer.may_be_fenced(self.now) {
                self.peers[n].fencing = Fencing::Asked;
                let cause = format!("{name} is dead, and may still have {}", self.cluster.groups[g].id);
                let because = self.reasons();
                self.decide(Action::Fence { node: name.clone() }, cause, because);
            }
            return Err(format!("{name} is dead, and has to be fenced first"));
        }
        if let Some(witness) = self.witness(n) {
            return Err(format!("{} still hears {name}", self.cluster.name(witness)));
        }
        if self.cluster.votes() {
            let since = peer.unheard.unwrap_or(self.now);
            let left = self.patience(n).saturating_sub(self.now.since(since));
            if !left.is_zero() {
                return Err(format!("{name} is dead, and has {left:.1?} more to give it up"));
            }
            return Ok(format!("{name} is dead, and the majority is here"));
        }
        if self.arbiters.exist() {
            // A node that cannot tell by them that it is cut off keeps what it has.
            if !peer.arbiters_tell() {
                return Err(format!(
                    "{name} is dead, and no ping node was reached while it lived: their answers tell nothing until it is \
                     back, or this node is started anew"
                ));
            }
            let fell_silent = peer.heard.or(self.began).unwrap_or(self.now);
            if !self.arbiters.confirm(fell_silent, self.now) {
                return Err(format!(
                    "{name} is dead as seen from here, but no ping node has answered since: it may be us"
                ));
            }
            return Ok(format!("{name} is dead, and a ping node answers"));
        }
        Ok(format!("{name} is dead"))
    }

    /// Somebody who hears a node that we do not: not to be heard by us is not to be dead.
    fn witness(&self, n: NodeId) -> Option<NodeId> {
        self.witness_of(n, |_| true)
    }

    /// Somebody who has heard such a version of what another node says, and still hears it.
    fn witness_of(&self, n: NodeId, fits: impl Fn(u64) -> bool) -> Option<NodeId> {
        let hears = |w: &NodeId| {
            let witness = &self.peers[*w];
            let seen = witness.report.as_ref().filter(|_| witness.alive()).and_then(|r| r.seen.get(n));
            *w != n && matches!(seen, Some(Seen::Heard(version)) if fits(*version))
        };
        self.cluster.others().find(hears)
    }

    /// Whether a node that we do not hear has said something new to others: it may have taken what was free.
    pub(super) fn speaks_unheard(&self, n: NodeId) -> bool {
        !self.peers[n].alive() && self.witness_of(n, |version| version != self.peers[n].version()).is_some()
    }

    /// Notes since when nobody hears the nodes that are dead. Only the most can tell: whom fewer do not hear may have been
    /// heard by one of the others until now, and have kept what it had.
    pub(super) fn ask_witnesses(&mut self) {
        let few = self.cluster.votes() && !self.cluster.majority(self.connected());
        for n in self.cluster.others() {
            let witnessed = self.witness(n).is_some();
            // Others hear of a goodbye a moment later than we do: only one who has heard it since has heard it come back.
            let back = self.witness_of(n, |version| life(version) != life(self.peers[n].version())).is_some();
            let peer = &mut self.peers[n];
            peer.astray = peer.state == NodeState::Left && (peer.astray || few || back);
            let heard = !(peer.state == NodeState::Dead || peer.astray) || few || witnessed;
            peer.unheard = (!heard).then(|| peer.unheard.unwrap_or(self.now));
        }
    }

    /// How long a dead node has after its death to give up what it has: it finds out as late as we did, and a little later.
    fn patience(&self, n: NodeId) -> Duration {
        let limits = self.cluster.limits;
        let own = |peer: &super::Peer| peer.deadtime.unwrap_or(self.cluster.deadtime);
        let longest = self.peers.iter().map(own).max().unwrap_or_default().max(self.cluster.deadtime);
        let later = longest.saturating_sub(own(&self.peers[n])) + self.cluster.keepalive * 2;
        (limits.lease + SLACK).max(limits.stop) + later
    }

    /// How many nodes are here: those that are heard and hear us, and we.
    fn connected(&self) -> usize {
        1 + self.cluster.others().filter(|n| self.peers[*n].connected(self.cluster.me)).count()
    }

    /// Somebody else's claim to a group.
    pub(super) fn occupant(&self, g: GroupId) -> Option<(NodeId, Mark)> {
        let group = &self.cluster.groups[g];
        let marks = self.cluster.others().filter_map(|n| Some((n, self.peers[n].entry(group)?.mark)));
        marks.filter(|(_, mark)| mark.occupies()).min_by_key(|(_, mark)| !mark.keeps())
    }

    /// Whether it cannot be told whether somebody has a group.
    pub(super) fn unsure(&self, g: GroupId) -> bool {
        let candidates = &self.cluster.groups[g].candidates;
        self.cluster.others().any(|n| {
            let peer = &self.peers[n];
            match peer.state {
                NodeState::Left if !peer.astray => false,
                NodeState::Unknown => true,
                NodeState::Left | NodeState::Dead => {
                    peer.fencing != Fencing::Done && candidates.contains(&n) && self.cluster.votes()
                }
                NodeState::Up | NodeState::Late => peer.silent() && candidates.contains(&n),
            }
        })
    }

    /// Whether we may have anything at all.
    pub(super) fn judge_ourselves(&mut self) {
        let now = self.now;
        let reached = self.reached().unwrap_or(0);
        for peer in self.peers.iter_mut().filter(|p| p.state == NodeState::Up) {
            peer.arbiters = peer.report.as_ref().and_then(|r| r.pings).unwrap_or(0).max(reached);
        }
        self.worse = self.is_worse().then(|| self.worse.unwrap_or(now));
        let alone = self.alone_because();
        self.alone = alone.as_ref().map(|_| self.alone.unwrap_or(now));
        let since = self.alone.unwrap_or(now);
        self.outcast = match alone {
            Some((true, why)) => Some(why),
            Some((false, why)) if now.since(since) >= self.cluster.deadtime => Some(why),
            _ => self.mute().or_else(|| self.overtaken()),
        };
        if self.doubt.is_some_and(|doubt| self.now >= doubt.until) && !self.stays_in_doubt() {
            self.doubt = None;
        }
    }

    /// Of three nodes and more the others may have taken what we had while we did not run: who of them may have, and that
    /// we do not learn it by ourselves.
    fn overtaken(&self) -> Option<String> {
        let doubt = self.doubt.filter(|_| self.cluster.votes() && self.mine.iter().any(|mine| mine.own.keeps()))?;
        let answered = self.cluster.others().filter(|n| self.has_answered(*n, doubt)).count();
        if self.now >= doubt.proven && !self.cluster.majority(1 + answered) {
            return Some("this node did not run for long, and most nodes have not answered since".to_owned());
        }
        let hidden = |n: NodeId| Some((n, self.witness(n).filter(|_| !self.peers[n].alive())?));
        let (n, witness) = self.cluster.others().filter(|_| self.now >= doubt.until).find_map(hidden)?;
        let (name, witness) = (self.cluster.name(n), self.cluster.name(witness));
        Some(format!("this node did not run for long, and {name}, which {witness} hears, may have taken what it had"))
    }

    /// Whether a node is still to answer, or what we had is still here though somebody may have taken it.
    fn stays_in_doubt(&self) -> bool {
        let Some(doubt) = self.doubt.filter(|_| self.cluster.votes()) else { return false };
        let waits = |n: NodeId| {
            let peer = &self.peers[n];
            peer.connected(self.cluster.me) && !peer.silent() && !self.has_answered(n, doubt)
        };
        self.mine.iter().any(|mine| mine.own.keeps())
            && (self.overtaken().is_some() || self.cluster.others().any(waits))
    }

    /// Whether a node has heard of us since we run again.
    fn has_answered(&self, n: NodeId, doubt: Doubt) -> bool {
        let peer = &self.peers[n];
        peer.alive() && peer.acknowledged(self.cluster.me, doubt.version..=self.version)
    }

    /// Why the others may rightly think that we are dead, and whether that is sure.
    fn alone_because(&self) -> Option<(bool, String)> {
        let me = self.cluster.me;
        // Whoever is only not known may be there, and our own ears may be what is missing: that takes a deadtime.
        let sure =
            self.cluster.others().all(|n| self.peers[n].connected(me) || self.peers[n].state != NodeState::Unknown);
        if self.cluster.votes() {
            let few = !self.cluster.majority(self.connected());
            return few.then(|| (sure, "fewer than half of the nodes are here".to_owned()));
        }
        let other = &self.peers[self.cluster.others().next()?];
        if other.alive() || !self.arbiters.exist() {
            return None;
        }
        // A node that has left may come back on the other side of a cut.
        let fell_silent = if other.state == NodeState::Left { other.since } else { other.heard.or(self.began) }?;
        let cut_off = other.arbiters_tell() && self.arbiters.deny(fell_silent);
        cut_off.then(|| (sure, "neither the other node nor any ping node answers: it is we who are cut off".to_owned()))
    }

    /// Our heartbeats do not leave: the others are about to think that we are dead.
    fn mute(&self) -> Option<String> {
        let half = self.cluster.deadtime / 2;
        let mute = self.sent.is_some_and(|then| self.now.since(then) > half) && self.quiet >= 2;
        mute.then(|| "our heartbeats do not leave".to_owned())
    }

    /// The time of the last event.
    pub fn now(&self) -> Instant {
        self.now
    }
}
