//! What was not accepted: told at once the first time, then counted, so that a flood of garbage is one line a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::clock::Instant;

/// Between two lines about the same cause and source.
const PERIOD: Duration = Duration::from_secs(10);
/// Sources that are counted apart; an attacker who invents more of them shares one count.
const SOURCES: usize = 256;

/// Counts what is not accepted by cause and source.
#[derive(Debug)]
pub struct Rejections<K> {
    counts: HashMap<K, Count>,
}

#[derive(Debug)]
struct Count {
    told: Instant,
    since: u64,
}

impl<K: Eq + Hash + Clone> Default for Rejections<K> {
    fn default() -> Self {
        Self { counts: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone> Rejections<K> {
    /// Counts one; `rest` stands for all sources beyond the most that are kept. Returns what is to be told now, with how
    /// many.
    pub fn count(&mut self, key: K, rest: K, now: Instant) -> Option<(K, u64)> {
        let key = if self.counts.len() < SOURCES || self.counts.contains_key(&key) { key } else { rest };
        let Some(count) = self.counts.get_mut(&key) else {
            self.counts.insert(key.clone(), Count { told: now, since: 0 });
            return Some((key, 1));
        };
        count.since += 1;
        None
    }

    /// When something is next to be told.
    pub fn deadline(&self) -> Option<Instant> {
        self.counts.values().map(|c| c.told + PERIOD).min()
    }

    /// What came since it was last told. A source that was quiet for a period is forgotten.
    pub fn due(&mut self, now: Instant) -> Vec<(K, u64)> {
        let mut told = Vec::new();
        self.counts.retain(|key, count| {
            if now.since(count.told) < PERIOD {
                return true;
            }
            let since = std::mem::take(&mut count.since);
            count.told = now;
            if since > 0 {
                told.push((key.clone(), since));
            }
            since > 0
        });
        told
    }

    /// Everything that is not told yet: for the end.
    pub fn rest(&mut self) -> Vec<(K, u64)> {
        self.counts.drain().map(|(key, count)| (key, count.since)).filter(|(_, since)| *since > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::at(Duration::from_secs(s))
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_as_a_count() {
        let mut r = Rejections::default();
        assert_eq!(r.count("a", "rest", at(0)), Some(("a", 1)));
        assert_eq!(r.count("a", "rest", at(1)), None);
        assert_eq!(r.count("b", "rest", at(2)), Some(("b", 1)));
        assert_eq!(r.count("a", "rest", at(3)), None);
        assert_eq!(r.due(at(9)), vec![]);
        assert_eq!(r.due(at(10)), vec![("a", 2)]);
        assert_eq!(r.due(at(20)), vec![]);
        assert_eq!(r.deadline(), None, "both were quiet and are forgotten");
        assert_eq!(r.count("a", "rest", at(21)), Some(("a", 1)));
        r.count("a", "rest", at(22));
        assert_eq!(r.rest(), vec![("a", 1)]);
    }

    #[test]
    fn invented_sources_share_one_count() {
        let mut r = Rejections::default();
        let told = (1..=10_000).filter(|n| r.count(*n, 0, at(0)).is_some()).count();
        assert_eq!(told, SOURCES + 1);
        assert_eq!(r.counts.len(), SOURCES + 1);
        assert_eq!(r.due(at(10)), vec![(0, 10_000 - SOURCES as u64 - 1)]);
    }
}
