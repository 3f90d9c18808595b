//! The ping nodes: whether it is we who are cut off.
//!
//! An arbiter is one host, or a group of which one is enough. What counts for a death is an answer to a question that was
//! asked after the dead node was last heard: an older one says nothing of the network since.

use std::time::Duration;

use crate::clock::Instant;
use crate::config::ha_cf::PingGroup;

#[derive(Clone, Debug)]
struct Host {
    name: String,
    /// When the last probe began that was answered, and that was not.
    answered: Option<Instant>,
    silent: Option<Instant>,
}

/// All arbiters.
#[derive(Clone, Debug)]
pub struct Arbiters {
    groups: Vec<Vec<Host>>,
}

impl Arbiters {
    /// Nothing is known of them yet.
    pub fn new(groups: &[PingGroup]) -> Self {
        let host = |name: &String| Host { name: name.clone(), answered: None, silent: None };
        Self { groups: groups.iter().map(|g| g.hosts.iter().map(host).collect()).collect() }
    }

    /// Whether there are any.
    pub fn exist(&self) -> bool {
        !self.groups.is_empty()
    }

    /// A probe that began then was answered or not.
    pub fn answer(&mut self, name: &str, up: bool, began: Instant) {
        for host in self.groups.iter_mut().flatten().filter(|h| h.name == name) {
            let last = if up { &mut host.answered } else { &mut host.silent };
            *last = (*last).max(Some(began));
        }
    }

    /// How many were reached within the last `patience`.
    pub fn reached(&self, patience: Duration, now: Instant) -> u32 {
        let lately = |host: &Host| host.answered.is_some_and(|then| now.since(then) < patience);
        u32::try_from(self.groups.iter().filter(|hosts| hosts.iter().any(lately)).count()).unwrap_or(u32::MAX)
    }

    /// Whether one answered a question that was asked since then: we are not cut off.
    pub fn confirm(&self, since: Instant) -> bool {
        self.groups.iter().flatten().any(|h| h.answered.is_some_and(|then| then >= since))
    }

    /// Whether none did though all were asked: we are.
    pub fn deny(&self, since: Instant) -> bool {
        let silent = |h: &Host| h.silent.is_some_and(|then| then >= since && Some(then) > h.answered);
        self.exist() && !self.confirm(since) && self.groups.iter().flatten().all(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_since_counts() {
        let at = |ms| Instant::at(Duration::from_millis(ms));
        let group = |name: &str, hosts: &[&str]| PingGroup {
            name: name.to_owned(),
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        };
        let mut arbiters = Arbiters::new(&[group("r", &["r"]), group("g", &["a", "b"])]);
        assert!(!arbiters.confirm(at(0)) && !arbiters.deny(at(0)));
        arbiters.answer("r", true, at(10));
        assert!(arbiters.confirm(at(10)) && !arbiters.confirm(at(11)));
        assert_eq!(arbiters.reached(Duration::from_millis(50), at(59)), 1);
        assert_eq!(arbiters.reached(Duration::from_millis(50), at(60)), 0);
        for host in ["r", "a"] {
            arbiters.answer(host, false, at(20));
        }
        assert!(!arbiters.deny(at(15)), "b was not asked");
        arbiters.answer("b", false, at(25));
        assert!(arbiters.deny(at(15)) && !arbiters.deny(at(21)));
        arbiters.answer("a", true, at(26));
        assert!(!arbiters.deny(at(15)) && arbiters.confirm(at(26)));
        assert_eq!(arbiters.reached(Duration::from_secs(1), at(30)), 2);
    }
}
