//! A lease on shared storage: a record that every node reaches, and that one of them renews.
//!
//! # Use
//!
//! ```no_run
//! use std::time::Duration;
//! use takeover::storage::lease::{self, Acquired, News, Terms};
//!
//! let terms = Terms::new("/dev/shared-lease", "ha1", Duration::from_secs(10));
//! match lease::acquire(&terms, Duration::ZERO, None)? {
//!     Acquired::Held(mut keeper) => loop {
//!         // wait for keeper.as_fd() to be readable, for signals, at most until keeper.deadline(); then:
//!         match keeper.turn() {
//!             Some(News::Lost { cause }) => break, // run --on-lost at once; then keeper.stand_down()
//!             Some(News::Renewed { .. } | News::Trouble { .. }) | None => {}
//!         }
//!     },
//!     Acquired::Refused(holder) => println!("held by {}", holder.node), // status 1
//!     Acquired::Interrupted => {}
//! }
//! # Ok::<(), lease::LeaseError>(())
//! ```
//!
//! [`acquire`] blocks for a full lease where an earlier holder did not give the lease up. [`Keeper`] has no thread: a
//! process of its own does the input and output, so that a device that hangs does not hang the keeper. The process
//! that acquired may fork, and the child go on as the keeper (the parent must then not drop its `Keeper`, but leave with
//! `_exit` or [`std::mem::forget`] it). Nobody may take [`Keeper::held`] for granted between two looks: belief ends by
//! itself on the boot-time clock.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::exit::Fault;
use crate::clock::Instant;

/// How the lease is kept. All nodes must use the same `lease`; the other terms may differ.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The file or block device that holds the record.
    pub device: PathBuf,
    /// The name of this node, at most 64 bytes; for others to read.
    pub node: String,
    /// After a last renewal nobody else takes the lease for this long: 1 s to 1 h.
    pub lease: Duration,
    /// How long one input or output may take: at most a tenth of the lease.
    pub io_timeout: Duration,
    /// How long before the end of the lease a holder that cannot renew it reports `lost`: a tenth of the lease to half of it.
    pub margin: Duration,
    /// The watchdog that resets this machine before the lease ends.
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

    /// Whether they make sense; [`acquire`] asks this first.
    ///
    /// # Errors
    /// [`LeaseError::Terms`], in words.
    pub fn check(&self) -> Result<(), LeaseError> {
        Ok(())
    }

    /// What the lease is worth: `lease` with a watchdog, which ends a machine whose keeper was killed or frozen before
    /// another may have the storage; else `advisory`.
    pub fn strength(&self) -> &'static str {
        if self.watchdog.is_some() { "lease" } else { "advisory" }
    }

    /// How long [`acquire`] may take when nobody holds the lease but the last holder did not give it up.
    pub fn longest_wait(&self) -> Duration {
        self.lease * 2
    }
}

/// Who stands in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name it gave.
    pub node: String,
    /// How many times the lease has been acquired, this time included: whoever acquires later has a higher number.
    pub generation: u64,
    /// The duration that it announced.
    pub lease: Duration,
}

/// What came of trying.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours; a watchdog is armed.
    Held(Keeper),
    /// Somebody else renews it, or was faster.
    Refused(Holder),
    /// The descriptor that was handed in became readable.
    Interrupted,
}

/// Tries to get the lease. Goes on for `patience` though somebody else holds it; zero: a first renewal by somebody
/// else is a refusal. Ends early when `stop` becomes readable (a signal descriptor).
///
/// # Errors
/// See [`LeaseError`]; nothing is held then.
pub fn acquire(terms: &Terms, patience: Duration, stop: Option<BorrowedFd>) -> Result<Acquired, LeaseError> {
    let _ = (patience, stop);
    terms.check()?;
    Err(LeaseError::Terms("not built yet".to_owned()))
}

/// What a keeper has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Renewed and read back.
    Renewed {
        /// The end of belief.
        held_until: Instant,
    },
    /// A renewal failed; it is tried again while the lease lasts.
    Trouble {
        /// In words.
        cause: String,
    },
    /// It is not ours any more, or will not be for longer than the margin. Told once; then nothing more happens.
    Lost {
        /// In words.
        cause: String,
    },
}

/// Holds the lease. Dropped, it stops renewing and leaves the watchdog armed, as a crash does.
#[derive(Debug)]
pub struct Keeper {
    _private: (),
}

impl Keeper {
    /// Readable when [`Keeper::turn`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// When [`Keeper::turn`] has something to do at the latest.
    pub fn deadline(&self) -> Instant {
        todo!()
    }

    /// Does what is due without waiting; call it until it returns nothing, then wait.
    pub fn turn(&mut self) -> Option<News> {
        todo!()
    }

    /// Whether the lease is held at this moment.
    pub fn held(&self) -> bool {
        Instant::now() < self.held_until()
    }

    /// When belief ends unless it is renewed: a margin before the end of the lease.
    pub fn held_until(&self) -> Instant {
        todo!()
    }

    /// How many times the lease has been acquired, this time included.
    pub fn generation(&self) -> u64 {
        todo!()
    }

    /// Gives the lease up, so that the next one need not wait, and disarms the watchdog. Call it when the storage is
    /// unmounted, never before. Takes at most two time-outs of input and output; on an error the lease just runs out.
    ///
    /// # Errors
    /// The note could not be written: the next one waits a full lease.
    pub fn release(self) -> Result<(), LeaseError> {
        todo!()
    }

    /// After `Lost`, when the storage is known to be unmounted: disarms the watchdog, which would reset the machine.
    pub fn stand_down(self) {
        todo!()
    }
}

/// What stands on a device, for a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Who stands there; `None`: nobody ever.
    pub holder: Option<Holder>,
    /// The holder gave it up.
    pub released: bool,
    /// The record changed while we looked: somebody renews it.
    pub changes: bool,
}

/// Reads a lease for `watch` (zero: once) without writing anything.
///
/// # Errors
/// As [`acquire`].
pub fn inspect(device: &Path, watch: Duration) -> Result<Inspection, LeaseError> {
    let _ = (device, watch);
    Err(LeaseError::Terms("not built yet".to_owned()))
}

/// Why a lease could not be had or given.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The terms make no sense.
    #[error("{0}")]
    Terms(String),
    /// Something else stands on the device; nothing was written.
    #[error("{} is no lease: {what}", device.display())]
    Foreign {
        /// The device.
        device: PathBuf,
        /// What was found.
        what: String,
    },
    /// The device cannot be used.
    #[error("{}: {what}", device.display())]
    Device {
        /// The device.
        device: PathBuf,
        /// What is wrong.
        what: String,
        /// The errno, where the kernel said so.
        errno: Option<nix::errno::Errno>,
    },
    /// Nothing could be read or written in time.
    #[error("{}: {what}", device.display())]
    Undetermined {
        /// The device.
        device: PathBuf,
        /// What did not happen.
        what: String,
    },
    /// The watchdog cannot be used.
    #[error("watchdog {}: {what}", device.display())]
    Watchdog {
        /// The device.
        device: PathBuf,
        /// What is wrong.
        what: String,
        /// The errno, where the kernel said so.
        errno: Option<nix::errno::Errno>,
    },
}

impl LeaseError {
    /// Which exit status.
    pub fn fault(&self) -> Fault {
        Fault::Configuration
    }

    /// A stable word.
    pub fn code(&self) -> &'static str {
        "lease"
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        None
    }
}

/// What a mount that outlives its keeper can do, and what closes it: for manual pages.
pub const MANUAL: &str = "";
