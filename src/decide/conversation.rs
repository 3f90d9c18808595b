//! Between a real heartbeat ([`super::classic`]) and our groups.

use serde_json::{Map, Value};

use super::Decider;
use super::action::Action;
use super::classic::{Hold, Ours};
use super::cluster::NodeId;
use super::mine::Own;

impl Decider {
    /// Another node says something of groups.
    pub(super) fn hear(&mut self, node: &str, fields: &Map<String, Value>) {
        let Some(n) = self.other(node) else { return };
        if self.peers[n].ipfail.hear(fields) {
            return;
        }
        let before = self.peers[n].protocol.has_given();
        if !self.peers[n].protocol.hear(fields, self.now) {
            return;
        }
        self.peers[n].reported = Some(self.trigger.clone());
        let given = self.peers[n].protocol.has_given();
        if given == before {
            return;
        }
        // Whatever kept us from it: it is here now, or nowhere.
        for g in 0..self.mine.len() {
            if given.has(self.peers[n].is_home(&self.cluster.groups[g])) {
                self.mine[g].failure = None;
                self.mine[g].declined = false;
            }
        }
    }

    /// Says what real heartbeats have to know.
    pub(super) fn speak(&mut self) {
        for n in self.cluster.others() {
            let peer = &self.peers[n];
            if !peer.classic || !peer.alive() {
                continue;
            }
            self.offer_failed(n);
            let ours = self.ours(n);
            let active = self.peers[n].status == "active" && self.active;
            for (message, why) in self.peers[n].protocol.speak(ours, active, self.now) {
                let because = vec![self.trigger.clone()];
                let cause = format!("{}: {why}", self.cluster.name(n));
                self.decide(Action::Send(message), cause, because);
            }
            if active && self.ready && !self.leaving {
                self.compare(n);
            }
        }
    }

    /// Tells its ipfail what we reach, and whether that is more.
    fn compare(&mut self, n: NodeId) {
        let Some(reached) = self.reached() else { return };
        let keeps = self.cluster.groups.iter().any(|group| self.peers[n].entry(group).is_some_and(|e| e.mark.keeps()));
        let (name, patience) = (self.cluster.name(n).to_owned(), self.cluster.deadtime);
        for (message, why) in self.peers[n].ipfail.speak(&name, reached, keeps, self.now, patience) {
            let because = vec![self.trigger.clone()];
            self.decide(Action::Send(message), format!("{name}: {why}"), because);
        }
    }

    /// What failed here may start there.
    fn offer_failed(&mut self, n: NodeId) {
        for g in 0..self.mine.len() {
            let failed = self.mine[g].failure.is_some() && self.mine[g].own == Own::Idle;
            let theirs = self.peers[n].is_home(&self.cluster.groups[g]);
            let free = failed && self.peers[n].protocol.gives(theirs).is_ok() && !self.ours(n).holds.has(theirs);
            if free && self.can_have(g, n) && self.mine[g].is_to_be_offered() {
                self.offer(g, n);
            }
        }
    }

    fn ours(&self, n: NodeId) -> Ours {
        let mut ours = Ours {
            settled: true,
            ready: self.ready,
            fit: self.outcast.is_none(),
            leaving: self.leaving,
            ..Ours::default()
        };
        for (g, (group, mine)) in self.cluster.groups.iter().zip(&self.mine).enumerate() {
            let one = Hold::one(self.peers[n].is_home(group));
            match mine.own {
                Own::Idle => {}
                Own::Claiming(_) => ours.settled = false,
                Own::Starting | Own::Stopping => (ours.holds, ours.settled) = (ours.holds.with(one), false),
                Own::Held | Own::Stuck(_) => ours.holds = ours.holds.with(one),
            }
            if mine.wish.is_some() {
                ours.wishes = ours.wishes.with(one);
            }
            let free = mine.own == Own::Idle && self.occupant(g).is_none();
            if free && self.fit(g, self.cluster.me) && !self.peers[n].comes_for(group) {
                ours.lacks = ours.lacks.with(one);
            }
        }
        ours
    }
}
