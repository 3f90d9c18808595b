//! How regularly a node beats on one medium.

use std::time::Duration;

use crate::clock::Instant;

/// The heartbeats of a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    last: Option<Instant>,
    beats: u32,
    gaps: u32,
    sum: Duration,
    shortest: Option<Duration>,
    longest: Option<Duration>,
}

impl Pulse {
    /// A heartbeat.
    pub fn beat(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.since(last);
            self.gaps = self.gaps.saturating_add(1);
            self.sum = self.sum.saturating_add(gap);
            self.shortest = Some(self.shortest.map_or(gap, |least| least.min(gap)));
            self.longest = Some(self.longest.map_or(gap, |most| most.max(gap)));
        }
        self.beats = self.beats.saturating_add(1);
    }

    /// What was seen so far; another while begins.
    pub fn take(&mut self) -> Self {
        let next = Self { last: self.last, ..Self::default() };
        std::mem::replace(self, next)
    }

    /// How many.
    pub fn beats(&self) -> u32 {
        self.beats
    }

    /// The shortest time between two.
    pub fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    /// The longest time between two.
    pub fn longest(&self) -> Option<Duration> {
        self.longest
    }

    /// The mean time between two.
    pub fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.gaps)
    }
}
