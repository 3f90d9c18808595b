//! The two clocks: boot time, on which every deadline runs, and the wall, which is only ever printed.
//!
//! Deciders never look at a clock: they are handed an [`Instant`]. `now` belongs to the edge.

use std::ops::Add;
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// A point in time on `CLOCK_BOOTTIME`: it counts suspended time and no step of the wall clock moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The present, from the kernel.
    pub fn now() -> Self {
        // CLOCK_BOOTTIME exists since Linux 2.6.39: a failure is not a state this program can be in, and zero is the
        // harmless answer (deadlines then lie in the future).
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Self(Duration::ZERO), |t| Self(Duration::from(t)))
    }

    /// A point given as the time since boot: for simulated clocks.
    pub const fn at(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The time since boot.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d))
    }
}

/// Something that is due again and again.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    period: Duration,
    due: Instant,
}

impl Rhythm {
    /// Due at `first`, and each `period` after that.
    pub const fn from(first: Instant, period: Duration) -> Self {
        Self { period, due: first }
    }

    /// When it is due next.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Whether it is due. If so it is due again a period on: the rhythm is kept, but what was missed is not made up for.
    pub fn rings(&mut self, now: Instant) -> bool {
        if self.due > now {
            return false;
        }
        self.due = self.due + self.period;
        if self.due <= now {
            self.due = now + self.period;
        }
        true
    }
}

/// The wall clock in RFC 3339, UTC, with microseconds: the `at` of every event.
pub fn wall() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

/// Milliseconds with three decimals, as the `…_ms` fields carry them.
pub fn millis(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_is_kept_and_what_was_missed_is_not_made_up_for() {
        let at = |ms| Instant::at(Duration::from_millis(ms));
        let mut rhythm = Rhythm::from(at(10), Duration::from_millis(10));
        assert!(!rhythm.rings(at(9)));
        assert!(rhythm.rings(at(14)) && rhythm.due() == at(20), "late once, in time again");
        assert!(rhythm.rings(at(55)) && rhythm.due() == at(65));
        assert!(!rhythm.rings(at(60)));
    }
}
