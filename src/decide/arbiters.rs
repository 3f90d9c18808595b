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
    /// Since when every probe was answered, and none was long in coming.
    steady: Option<Instant>,
}

/// All arbiters.
#[derive(Clone, Debug)]
pub struct Arbiters {
    groups: Vec<Vec<Host>>,
    /// For so long an arbiter may be out of reach before that counts; probes wait as long for an answer.
    patience: Duration,
    /// Between two heartbeats: the network that carries answers again carries the next heartbeat, too.
    keepalive: Duration,
}

impl Arbiters {
    /// Nothing is known of them yet.
    pub fn new(groups: &[PingGroup], keepalive: Duration, patience: Duration) -> Self {
        let host = |name: &String| Host { name: name.clone(), answered: None, silent: None, steady: None };
        Self { groups: groups.iter().map(|g| g.hosts.iter().map(host).collect()).collect(), patience, keepalive }
    }

    /// Whether there are any.
    pub fn exist(&self) -> bool {
        !self.groups.is_empty()
    }

    /// A probe that began then was answered or not; none: it could not be asked, as where our own interface has no
    /// carrier. That is out of reach, too, but is known at once: it may be over at once.
    pub fn answer(&mut self, name: &str, up: Option<bool>, began: Instant) {
        for host in self.groups.iter_mut().flatten().filter(|h| h.name == name) {
            let lasts = || host.answered.is_none_or(|then| began.since(then) >= self.patience);
            match up {
                Some(true) => {}
                None if !lasts() => continue,
                Some(false) | None => {
                    host.silent = host.silent.max(Some(began));
                    continue;
                }
            }
            let broken =
                host.answered.is_none_or(|then| began.since(then) > self.keepalive * 4 || host.silent > Some(then));
            if broken {
                host.steady = Some(began);
            }
            host.answered = host.answered.max(Some(began));
        }
    }

    /// How many were reached within the last `patience`.
    pub fn reached(&self, patience: Duration, now: Instant) -> u32 {
        let lately = |host: &Host| host.answered.is_some_and(|then| now.since(then) < patience);
        u32::try_from(self.groups.iter().filter(|hosts| hosts.iter().any(lately)).count()).unwrap_or(u32::MAX)
    }

    /// Whether one answered a question that was asked since then: we are not cut off. A network that has just come back
    /// may bring the heartbeat of the other node yet: then that is waited for.
    pub fn confirm(&self, since: Instant, now: Instant) -> bool {
        let steady = |h: &Host| h.steady.is_some_and(|start| now.since(start) >= self.keepalive * 3);
        self.groups.iter().flatten().any(|h| h.answered.is_some_and(|then| then >= since) && steady(h))
    }

    /// Whether all were asked since then, and none answered the last question: we are.
    pub fn deny(&self, since: Instant) -> bool {
        let silent = |h: &Host| h.silent.is_some_and(|then| then >= since && Some(then) > h.answered);
        self.exist() && self.groups.iter().flatten().all(silent)
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
        let groups = [group("r", &["r"]), group("g", &["a", "b"])];
        let mut arbiters = Arbiters::new(&groups, Duration::from_millis(10), Duration::from_millis(100));
        assert!(!arbiters.confirm(at(0), at(100)) && !arbiters.deny(at(0)));
        for began in [10, 40, 70, 100] {
            arbiters.answer("r", Some(true), at(began));
        }
        assert!(arbiters.confirm(at(100), at(100)) && !arbiters.confirm(at(101), at(200)));
        assert_eq!(arbiters.reached(Duration::from_millis(50), at(149)), 1);
        assert_eq!(arbiters.reached(Duration::from_millis(50), at(150)), 0);
        for host in ["r", "a"] {
            arbiters.answer(host, Some(false), at(120));
        }
        assert!(!arbiters.deny(at(115)), "b was not asked");
        arbiters.answer("b", Some(false), at(125));
        assert!(arbiters.deny(at(115)) && !arbiters.deny(at(121)));
        arbiters.answer("a", Some(true), at(126));
        assert!(!arbiters.deny(at(115)));
        assert!(!arbiters.confirm(at(115), at(155)), "the network has just come back");
        assert!(arbiters.confirm(at(115), at(156)));
        assert_eq!(arbiters.reached(Duration::from_secs(1), at(130)), 2);
    }

    #[test]
    fn what_cannot_be_asked_for_long_is_out_of_reach() {
        let at = |ms| Instant::at(Duration::from_millis(ms));
        let group = PingGroup { name: "r".to_owned(), hosts: vec!["r".to_owned()] };
        let mut arbiters = Arbiters::new(&[group], Duration::from_millis(10), Duration::from_millis(100));
        arbiters.answer("r", Some(true), at(10));
        for began in [20, 60, 109] {
            arbiters.answer("r", None, at(began));
            assert!(!arbiters.deny(at(0)), "{began}");
        }
        arbiters.answer("r", None, at(110));
        assert!(arbiters.deny(at(0)) && arbiters.deny(at(110)) && !arbiters.deny(at(111)));
        arbiters.answer("r", Some(true), at(120));
        assert!(!arbiters.deny(at(0)));
    }
}
