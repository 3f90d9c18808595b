//! Which node is to have which group: the same answer on every node that knows the same.

use super::cluster::{GroupId, NodeId};
use super::mine::Own;
use super::report::{Mark, Seen};
use super::{Decider, NodeState};

impl Decider {
    /// For each group the node that has it or is to have it. A group that somebody keeps stays there; the others go, in
    /// the order of the file, to their first candidate that can have them and has room.
    pub(super) fn placement(&self) -> Vec<Option<NodeId>> {
        let mut placed: Vec<Option<NodeId>> = (0..self.cluster.groups.len()).map(|g| self.keeper(g)).collect();
        let mut load: Vec<usize> = (0..self.peers.len()).map(|n| self.load(n)).collect();
        for (g, place) in placed.iter_mut().enumerate().filter(|(_, place)| place.is_none()) {
            let candidates = self.cluster.groups[g].candidates.iter().enumerate();
            let comes = |n: NodeId| n == self.cluster.me || self.peers[n].comes_for(&self.cluster.groups[g]);
            let fit = candidates.filter(|(_, n)| load[**n] < self.cluster.limits.groups);
            let fit = fit.filter(|(_, n)| comes(**n) && self.can_start(g, **n));
            let best = fit.min_by_key(|(place, n)| (self.fewer_arbiters(**n), self.reluctance(g, **n), *place));
            *place = best.map(|(_, n)| *n);
            if let Some(n) = *place {
                load[n] += 1;
            }
        }
        placed
    }

    /// Who keeps a group.
    fn keeper(&self, g: GroupId) -> Option<NodeId> {
        if self.mine[g].own.keeps() {
            return Some(self.cluster.me);
        }
        self.another(g, Mark::keeps)
    }

    /// How many groups a node has. What it stops it has until it has stopped it: it may fail to.
    fn load(&self, n: NodeId) -> usize {
        let has = |g: &GroupId| match n == self.cluster.me {
            true => !matches!(self.mine[*g].own, Own::Idle | Own::Claiming(_)),
            false => {
                let mark = self.peers[n].entry(&self.cluster.groups[*g]).map(|e| e.mark);
                mark.is_some_and(|mark| mark.occupies() && mark != Mark::Claims)
            }
        };
        (0..self.cluster.groups.len()).filter(has).count()
    }

    /// Whether a node may have one more group.
    pub(super) fn has_room(&self, n: NodeId) -> bool {
        self.load(n) < self.cluster.limits.groups
    }

    /// As [`Self::fit`]; or it is a real heartbeat that has only just been started, and will start its own.
    fn can_start(&self, g: GroupId, n: NodeId) -> bool {
        let peer = &self.peers[n];
        self.fit(g, n) || (n != self.cluster.me && peer.classic && peer.state == NodeState::Up)
    }

    /// Whether a node could start a group now, but for its room.
    pub(super) fn fit(&self, g: GroupId, n: NodeId) -> bool {
        if n == self.cluster.me {
            return self.ready && !self.leaving && self.outcast.is_none() && self.mine[g].failure.is_none();
        }
        let peer = &self.peers[n];
        peer.state == NodeState::Up && peer.hears(self.cluster.me) && peer.would_take(&self.cluster.groups[g])
    }

    /// Whether another node could take a group from us, now.
    pub(super) fn can_have(&self, g: GroupId, n: NodeId) -> bool {
        let candidate = self.cluster.groups[g].candidates.contains(&n);
        candidate && self.fit(g, n) && self.has_room(n) && !self.fewer_arbiters(n) && self.hears_all_that_we_hear(n)
    }

    /// Whether a node hears everybody whom we hear: one that does not may not start what we give up.
    fn hears_all_that_we_hear(&self, n: NodeId) -> bool {
        let Some(report) = &self.peers[n].report else { return true };
        let deaf = |m: NodeId| m != n && self.peers[m].alive() && report.seen.get(m) == Some(&Seen::Deaf);
        !self.cluster.others().any(deaf)
    }

    /// Who would have a group if we gave it up.
    pub(super) fn heir(&self, g: GroupId) -> Option<NodeId> {
        let me = self.cluster.me;
        let candidates = self.cluster.groups[g].candidates.iter().copied();
        candidates.filter(|n| *n != me).find(|n| self.can_have(g, *n))
    }

    /// An operator may want a group to be here or not to be here.
    fn reluctance(&self, g: GroupId, n: NodeId) -> u8 {
        let mine = &self.mine[g];
        let (wishes, declines) = match n == self.cluster.me {
            true => (mine.wish.is_some(), mine.declined),
            false => {
                let mark = self.peers[n].entry(&self.cluster.groups[g]).map(|e| e.mark);
                (mark == Some(Mark::Wishes), mark == Some(Mark::Declines))
            }
        };
        match (wishes, declines) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        }
    }

    /// The arbiters that a node reaches, as far as it says.
    fn arbiters_of(&self, n: NodeId) -> Option<u32> {
        if n == self.cluster.me {
            return self.reached();
        }
        let peer = &self.peers[n];
        let said = if peer.classic { peer.ipfail.reaches } else { peer.report.as_ref().and_then(|r| r.pings) };
        said.filter(|_| peer.alive())
    }

    /// Whether another node that lives reaches more arbiters than this one.
    pub(super) fn fewer_arbiters(&self, n: NodeId) -> bool {
        let Some(reached) = self.arbiters_of(n) else { return false };
        (0..self.peers.len()).any(|other| self.arbiters_of(other).is_some_and(|more| more > reached))
    }

    /// A node that is better connected than we are, for long enough to be believed.
    pub(super) fn better_connected(&self, g: GroupId) -> Option<NodeId> {
        let since = self.worse?;
        if self.now.since(since) < self.cluster.deadtime {
            return None;
        }
        self.heir(g)
    }

    /// Whether another node reaches more arbiters than we do.
    pub(super) fn is_worse(&self) -> bool {
        self.fewer_arbiters(self.cluster.me)
    }

    /// Whether a node has been there for long enough to be trusted with a group again.
    pub(super) fn steady(&self, n: NodeId) -> bool {
        let peer = &self.peers[n];
        let wanted = peer.steadiness(self.cluster.deadtime, self.now);
        peer.came.is_some_and(|came| self.now.since(came) >= wanted)
    }
}
