//! The terms of a lease, and every duration that follows from them: what the proof in the module head is about.

use std::path::PathBuf;
use std::time::Duration;

use super::LeaseError;
use super::record::{LEASE_MAX, LEASE_MIN, NODE_MAX, is_node};
use crate::cli::duration::words;

/// How the lease is kept. All nodes must use the same `lease`; the other terms may differ.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The file or block device that holds the record.
    pub device: PathBuf,
    /// The name of this node, at most 64 bytes; for others to read.
    pub node: String,
    /// After a last renewal nobody else takes the lease for this long: 1 s to 1 h.
    pub lease: Duration,
    /// How long one input or output may take before it is reported: 10 ms to a tenth of the lease.
    pub io_timeout: Duration,
    /// How long before the end of the lease a holder that cannot renew it reports `lost`: a tenth of the lease to half of it.
    pub margin: Duration,
    /// The watchdog that resets this machine before the lease ends; the lease is then 2 s at least.
    pub watchdog: Option<PathBuf>,
}

impl Terms {
    /// Terms with the usual proportions: a tenth of the lease for input and output, a quarter as margin, no watchdog.
    pub fn new(device: impl Into<PathBuf>, node: impl Into<String>, lease: Duration) -> Self {
        Self {
            device: device.into(),
            node: node.into(),
            lease,
            io_timeout: lease / 10,
            margin: lease / 4,
            watchdog: None,
        }
    }

    /// Whether they make sense; [`super::acquire`] asks this first.
    ///
    /// # Errors
    /// [`LeaseError::Terms`], in words.
    pub fn check(&self) -> Result<(), LeaseError> {
        let least = if self.watchdog.is_some() { Duration::from_secs(2) } else { LEASE_MIN };
        let within = |name: &str, d: Duration, from: Duration, to: Duration| match (from..=to).contains(&d) {
            true => Ok(()),
            false => Err(format!("{name} of {} is not between {} and {}", words(d), words(from), words(to))),
        };
        within("a lease", self.lease, least, LEASE_MAX)
            .and_then(|()| {
                within("a time-out for input and output", self.io_timeout, Duration::from_millis(10), self.lease / 10)
            })
            .and_then(|()| within("a margin", self.margin, self.lease / 10, self.lease / 2))
            .and_then(|()| match is_node(&self.node) {
                true => Ok(()),
                false => Err(format!(
                    "'{}' does not fit into a lease: 1 to {NODE_MAX} printable ASCII characters without blanks",
                    self.node.escape_debug()
                )),
            })
            .and_then(|()| match self.lease.subsec_nanos().is_multiple_of(1_000_000) {
                true => Ok(()),
                false => Err("a lease has whole milliseconds".to_owned()),
            })
            .map_err(LeaseError::Terms)
    }

    /// What the lease is worth: `lease` with a watchdog, which ends a machine whose keeper was killed or frozen before
    /// another may have the storage; else `advisory`.
    pub fn strength(&self) -> &'static str {
        if self.watchdog.is_some() { "lease" } else { "advisory" }
    }

    /// How long [`super::acquire`] takes at most, on a device that answers, when the last holder did not give the lease
    /// up and nobody else tries.
    pub fn longest_wait(&self) -> Duration {
        stretched(self.lease) + self.poll() + self.window() * 3 + self.settle()
    }

    /// From a last renewal to the end of belief.
    pub(super) fn belief(&self) -> Duration {
        self.lease - self.margin
    }

    /// From the check to the end of the write, or the attempt does not count.
    pub(super) fn window(&self) -> Duration {
        self.lease / 10
    }

    /// From the end of a write to the reading back: nobody's write that was decided before ours can count after it. It
    /// follows from the lease alone, because it has to cover everybody's window.
    pub(super) fn settle(&self) -> Duration {
        stretched(self.window())
    }

    /// Between two looks at somebody else's lease.
    pub(super) fn poll(&self) -> Duration {
        (self.lease / 20).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// Between the beginnings of two renewals.
    pub(super) fn renew_every(&self) -> Duration {
        self.lease / 8
    }

    /// After a failure.
    pub(super) fn retry(&self) -> Duration {
        self.lease / 40
    }

    /// What the watchdog is set to, in whole seconds as it counts them: nine tenths of the lease. The last tenth is for
    /// the way from the beginning of a renewal to the petting that follows it. From 5 s on, and with the usual margin, that
    /// is after the end of belief, so that there is time for an unmount.
    pub(super) fn watchdog_timeout(&self) -> Duration {
        Duration::from_secs((self.lease * 9 / 10).as_secs())
    }
}

/// A time to wait on our clock for what another measures on its own: each may be wrong by 1 %, and somewhat more.
pub(super) fn stretched(d: Duration) -> Duration {
    d + d / 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_make_no_sense() {
        let good = Terms::new("/dev/x", "ha1", Duration::from_secs(10));
        assert!(good.check().is_ok());
        assert_eq!(good.watchdog_timeout(), Duration::from_secs(9));
        let s = Duration::from_secs;
        for bad in [
            Terms { lease: s(4000), ..good.clone() },
            Terms { lease: Duration::from_millis(999), ..good.clone() },
            Terms { lease: Duration::from_micros(10_000_001), ..good.clone() },
            Terms { io_timeout: s(2), ..good.clone() },
            Terms { io_timeout: Duration::ZERO, ..good.clone() },
            Terms { margin: s(6), ..good.clone() },
            Terms { margin: Duration::ZERO, ..good.clone() },
            Terms { node: String::new(), ..good.clone() },
            Terms { node: "a b".to_owned(), ..good.clone() },
            Terms { node: "x".repeat(65), ..good.clone() },
            Terms { watchdog: Some("/dev/watchdog".into()), ..Terms::new("/dev/x", "ha1", s(1)) },
        ] {
            assert!(matches!(bad.check(), Err(LeaseError::Terms(_))), "{bad:?}");
        }
        for seconds in 2..100 {
            let terms = Terms { watchdog: Some("/dev/watchdog".into()), ..Terms::new("/dev/x", "ha1", s(seconds)) };
            assert!(terms.check().is_ok());
            // A renewal that just comes in time is followed by a petting before the watchdog bites.
            assert!(terms.renew_every() + terms.window() * 3 < terms.watchdog_timeout());
            assert!(seconds < 5 || terms.belief() < terms.watchdog_timeout());
        }
    }
}
