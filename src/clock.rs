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

/// The wall clock in RFC 3339, UTC, with microseconds: the `at` of every event.
pub fn wall() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

/// Milliseconds with three decimals, as the `…_ms` fields carry them.
pub fn millis(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}
