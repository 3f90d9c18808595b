//! A lease on shared storage: a record that every node reaches, and that one of them renews.
//!
//! | module | holds |
//! | --- | --- |
//! | [`terms`] | the terms, and the durations that follow from them |
//! | [`record`] | what stands on the device: a codec |
//! | [`contender`] | getting it: a decider |
//! | [`keeper`] | keeping it: a decider |
//! | [`device`] | direct input and output in a process of its own |
//! | [`watchdog`] | what resets the machine |
//!
//! Here: the edge that joins them. What is mounted, and what to do when the lease is lost, is the caller's; [`MANUAL`]
//! says what that is worth.
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
//!             Some(News::Lost { cause }) => break, // run --on-lost at once; unmounted: keeper.stand_down()
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
//! process of its own does the input and output, so that a device that hangs does not hang the keeper. The process that
//! acquired may fork, and the child go on as the keeper; the parent then leaves its `Keeper` alone and ends, which
//! changes nothing. [`Keeper::held`] is true for the moment of the call: belief ends by itself on the boot-time clock.
//!
//! # Why there are never two
//!
//! A device answers reads with what was written last, and a write lands between the moment it is asked for and the
//! moment it is acknowledged, or is lost, or is torn; if it fails it lands not at all, in part or wholly, but not later.
//! Clocks run at a rate that is wrong by at most 1 % each and do not stand still. All nodes use the same lease *L*.
//! Nothing else is assumed: a device may be slow without bound, a process stop anywhere and for any time.
//!
//! *The holder* believes from the reading back of a record until *L* less the margin after the beginning of the write
//! of that record. It prolongs belief only while it believes: the reading back of a later record has to be over in time.
//!
//! *A contender after a dead holder* has seen the same record, which no two writes have in common, at two moments
//! 1.025 *L* apart. Every renewal that landed before the first began before it; the belief and the whole lease that
//! follow from it were over at the second, by any clock that is right to 1 %. A renewal that lands after the second is
//! read back after the end of belief and counts for nothing.
//!
//! *Of two contenders* each writes at most *L*/10 after the beginning of its look, as it measures itself when the write is
//! acknowledged; later, it gives up. Then it waits 1.025 *L*/10 and looks again. If both still won, the later write
//! landed after the reading back of the earlier one, so its look came after the earlier write and showed that record,
//! which is not free.
//!
//! *Giving up* writes the nonce into the other block. Whoever sees that note beside a lease of the same nonce need not
//! wait: nobody believes in it. So that the record that the note speaks of never hides somebody else's, a holder that
//! cannot say of each of its writes that it landed while it believed gives nothing up and lets the lease run out.
//!
//! *A late write*, of a process that was stopped on its way to it or left behind in the kernel by one that was killed,
//! may land on the record of a successor. Its writer does not believe, by its own measure; the successor finds it
//! before its next renewal and has lost; a third waits a whole lease from its sight. That costs a fail-over, not the
//! data. The child that writes looks at the clock right before, so that it takes a stop between two instructions.
//!
//! Not covered: storage that acknowledges what it later loses or reorders, answers with old contents, or performs one
//! write twice; clocks that stand still, as in a virtual machine that is paused or copied; nodes with different leases
//! (the contender waits for the longer of the two, which covers the usual case, not a late write that hides it). And
//! no lease keeps a machine from writing to the *file system* that it protects: see [`MANUAL`].

pub mod contender;
pub mod device;
pub mod keeper;
pub mod record;
pub mod terms;
#[cfg(test)]
mod tests;
pub mod watchdog;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;

use crate::cli::Failure;
use crate::cli::duration::words;
use crate::cli::exit::Fault;
use crate::cli::wait::Waiter;
use crate::clock::Instant;
use contender::Contender;
use device::{Device, Reply, Trouble};
use keeper::Tenure;
use record::{Image, Kind, Record, SIZE, Sector};
pub use terms::Terms;
use watchdog::{Dog, Watchdog};

/// Who stands in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name it gave.
    pub node: String,
    /// How many times the lease has been acquired, this time included: whoever acquires later has a higher number.
    pub generation: u64,
    /// The duration that it announced. Another than ours is a mistake in the configuration of one of the two.
    pub lease: Duration,
}

impl Holder {
    fn of(record: &Record) -> Self {
        Self { node: record.node.clone(), generation: record.generation, lease: record.lease }
    }
}

/// What came of trying.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours; a watchdog is armed.
    Held(Box<Keeper>),
    /// Somebody else renews it, or was faster.
    Refused(Holder),
    /// The descriptor that was handed in became readable. Nothing is held.
    Interrupted,
}

/// Opening a device may take longer than reading it: it may have to be found first.
const OPENING: Duration = Duration::from_secs(5);

/// Tries to get the lease. Goes on for `patience` though somebody else holds it; zero: a first renewal by somebody
/// else is a refusal. Ends early when `stop` becomes readable (a signal descriptor).
///
/// # Errors
/// See [`LeaseError`]; nothing is held then.
pub fn acquire(terms: &Terms, patience: Duration, stop: Option<BorrowedFd>) -> Result<Acquired, LeaseError> {
    terms.check()?;
    if let Some(dog) = &terms.watchdog {
        watchdog::look(dog)?;
    }
    let path = terms.device.as_path();
    let system = |e: io::Error| LeaseError::system(path, &e);
    let waiter = Waiter::new().map_err(system)?;
    let mut device = Device::open(path, true, OPENING)?;
    let begin = Instant::now();
    let mut contender = Contender::new(terms.clone(), nonce().map_err(system)?, begin);
    let mut trouble = None;
    let mut stopped = false;
    loop {
        let now = Instant::now();
        match device.reply() {
            Some(Reply::Read(Ok(bytes))) => contender.read(now, Some(Image::parse(&bytes))),
            Some(Reply::Wrote(Ok(()))) => contender.wrote(now, true),
            Some(Reply::Read(Err(e))) => {
                trouble = Some(e);
                contender.read(now, None);
            }
            Some(Reply::Wrote(Err(e))) => {
                trouble = Some(e);
                contender.wrote(now, false);
            }
            None => {}
        }
        let patient = now < begin + patience;
        if contender.may_stop() {
            match contender.rival() {
                _ if stopped => return Ok(Acquired::Interrupted),
                Some(rival) if contender.renewed() && !patient => return Ok(Acquired::Refused(rival.clone())),
                _ => {}
            }
        }
        if begin + patience + terms.longest_wait() * 2 <= now {
            let what = match trouble {
                _ if device.busy() => "it does not answer".to_owned(),
                Some(trouble) => trouble.to_string(),
                None => "it is too slow, or others are always faster".to_owned(),
            };
            return Err(LeaseError::Undetermined { device: path.to_owned(), what });
        }
        let until = match contender.next(now) {
            contender::Step::Read => {
                device.read();
                continue;
            }
            contender::Step::Write { record, not_after } => {
                device.write(Kind::Lease, &record, not_after);
                continue;
            }
            contender::Step::Wait(until) => until,
            contender::Step::Foreign(what) => return Err(LeaseError::Foreign { device: path.to_owned(), what }),
            contender::Step::Won(tenure) => {
                let keeper = Keeper::new(terms, *tenure, device);
                if stopped {
                    let _ = keeper.release(); // or the next one waits
                    return Ok(Acquired::Interrupted);
                }
                return keeper.armed().map(|keeper| Acquired::Held(Box::new(keeper)));
            }
        };
        let mut fds = vec![(device.as_fd(), PollFlags::POLLIN)];
        fds.extend(stop.filter(|_| !stopped).map(|fd| (fd, PollFlags::POLLIN)));
        stopped |= waiter.wait(&fds, Some(until)).map_err(system)?.get(1).is_some_and(|ready| !ready.is_empty());
    }
}

/// At random, so that no two attempts anywhere have the same.
fn nonce() -> io::Result<u128> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
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
    terms: Terms,
    tenure: Tenure,
    device: Device,
    dog: Option<Box<dyn Dog>>,
    deadline: Instant,
    /// When the input or output that is under way began, until that was reported as slow.
    asked: Option<Instant>,
    trouble: Option<Trouble>,
}

impl Keeper {
    fn new(terms: &Terms, tenure: Tenure, device: Device) -> Self {
        let deadline = tenure.held_until();
        Self { terms: terms.clone(), tenure, device, dog: None, deadline, asked: None, trouble: None }
    }

    /// Starts the watchdog, and renews once, so that it bites before the end of the lease from the first moment on.
    fn armed(mut self) -> Result<Self, LeaseError> {
        let Some(path) = self.terms.watchdog.clone() else { return Ok(self) };
        let least = self.terms.renew_every() + self.terms.window() * 3;
        match Watchdog::start(&path, self.terms.watchdog_timeout(), least) {
            Ok(dog) => self.dog = Some(Box::new(dog)),
            Err(error) => {
                let _ = self.release(); // or the next one waits
                return Err(error);
            }
        }
        let device = self.terms.device.clone();
        let waiter = match Waiter::new() {
            Ok(waiter) => waiter,
            Err(error) => {
                self.stand_down();
                return Err(LeaseError::system(&device, &error));
            }
        };
        self.tenure.hurry(Instant::now());
        loop {
            match self.turn() {
                Some(News::Renewed { .. }) => return Ok(self),
                Some(News::Lost { cause }) => {
                    self.stand_down();
                    return Err(LeaseError::Undetermined { device, what: cause });
                }
                Some(News::Trouble { .. }) => {}
                // A wait that fails turns into a loop that ends with the lease.
                None => drop(waiter.wait(&[(self.as_fd(), PollFlags::POLLIN)], Some(self.deadline))),
            }
        }
    }

    /// When [`Keeper::turn`] has something to do at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Does what is due without waiting; call it until it returns nothing, then wait.
    pub fn turn(&mut self) -> Option<News> {
        loop {
            self.hear();
            let now = Instant::now();
            match self.tenure.next(now) {
                keeper::Step::Read => {
                    self.device.read();
                    self.asked = Some(now);
                }
                keeper::Step::Write { record, not_after } => {
                    self.device.write(Kind::Lease, &record, not_after);
                    self.asked = Some(now);
                }
                keeper::Step::Renewed { pet_by } => {
                    let failed = self.pet(pet_by).err();
                    return Some(match failed {
                        Some(cause) => News::Trouble { cause },
                        None => News::Renewed { held_until: self.tenure.held_until() },
                    });
                }
                keeper::Step::Trouble(what) => {
                    let cause = match self.trouble.take() {
                        Some(trouble) => format!("{what}: {trouble}"),
                        None => what.to_owned(),
                    };
                    return Some(News::Trouble { cause });
                }
                keeper::Step::Lost(cause) => return Some(News::Lost { cause }),
                keeper::Step::Wait(until) => {
                    self.deadline = until;
                    let late = self.asked.map(|asked| asked + self.terms.io_timeout);
                    if late.is_some_and(|late| late <= now) {
                        self.asked = None;
                        let cause = format!("the device has not answered for {}", words(self.terms.io_timeout));
                        return Some(News::Trouble { cause });
                    }
                    self.deadline = late.map_or(until, |late| late.min(until));
                    return None;
                }
            }
        }
    }

    fn hear(&mut self) {
        if let Some(reply) = self.device.reply() {
            self.heard(reply);
        }
    }

    fn heard(&mut self, reply: Reply) {
        let now = Instant::now();
        self.asked = None;
        match reply {
            Reply::Read(result) => {
                self.trouble = result.as_ref().err().copied();
                self.tenure.read(now, result.ok().map(|bytes| Image::parse(&bytes)));
            }
            Reply::Wrote(result) => {
                self.trouble = result.err();
                self.tenure.wrote(now, result.is_ok());
            }
        }
    }

    /// Pets the watchdog, unless it would bite after the end of the lease then.
    fn pet(&mut self, pet_by: Instant) -> Result<(), String> {
        let Some(dog) = &mut self.dog else { return Ok(()) };
        if pet_by < Instant::now() {
            return Err("the renewal took so long that the watchdog could not be petted".to_owned());
        }
        let petted = dog.pet();
        let now = Instant::now();
        if pet_by < now {
            // Stopped on the way to it. It is to bite when it would have.
            let left = self.tenure.expires().since(now).max(Duration::from_secs(1));
            let _ = dog.set(left);
            self.tenure.petted_late();
        }
        petted.map_err(|e| format!("the watchdog could not be petted: {}", e.desc()))
    }

    /// Whether the lease is held at this moment.
    pub fn held(&self) -> bool {
        Instant::now() < self.held_until()
    }

    /// When belief ends unless it is renewed: a margin before the end of the lease.
    pub fn held_until(&self) -> Instant {
        self.tenure.held_until()
    }

    /// Whether somebody else may have it by now, so that nothing may be written any more to what it protects.
    pub fn over(&self) -> bool {
        self.tenure.over(Instant::now())
    }

    /// Whether there is a watchdog that should have reset the machine before that.
    pub fn guarded(&self) -> bool {
        self.dog.is_some()
    }

    /// How many times the lease has been acquired, this time included.
    pub fn generation(&self) -> u64 {
        self.tenure.generation()
    }

    /// What it is worth: see [`Terms::strength`].
    pub fn strength(&self) -> &'static str {
        self.terms.strength()
    }

    /// Gives the lease up, so that the next one need not wait, and ends the watchdog. To be called when the storage is
    /// unmounted, never before. Takes at most twice [`Terms::io_timeout`]; on an error the lease just runs out.
    ///
    /// # Errors
    /// It could not be written down: the next one waits a full lease.
    pub fn release(mut self) -> Result<(), LeaseError> {
        self.disarm();
        if let Some(reply) = self.device.settle(self.terms.io_timeout) {
            self.heard(reply);
        }
        let undetermined = |what: String| LeaseError::Undetermined { device: self.terms.device.clone(), what };
        let Some(note) = self.tenure.give_up().filter(|_| !self.device.busy()) else {
            return Err(undetermined("a write came too late: the lease runs out and is not given up".to_owned()));
        };
        self.device.write(Kind::Note, &note, Instant::at(Duration::MAX));
        match self.device.settle(self.terms.io_timeout) {
            Some(Reply::Wrote(Ok(()))) => Ok(()),
            Some(Reply::Wrote(Err(trouble)) | Reply::Read(Err(trouble))) => Err(undetermined(trouble.to_string())),
            Some(Reply::Read(Ok(_))) | None => Err(undetermined("the device does not answer".to_owned())),
        }
    }

    /// After `Lost`, when the storage is known to be unmounted: ends the watchdog, which would reset the machine, and
    /// gives the lease up where that can still be done.
    pub fn stand_down(self) {
        let _ = self.release(); // or it runs out
    }

    fn disarm(&mut self) {
        if let Some(mut dog) = self.dog.take() {
            let _ = dog.disarm(); // one that cannot be ended resets the machine, and says so in the kernel's log
        }
    }
}

impl AsFd for Keeper {
    /// Readable when [`Keeper::turn`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// What stands on a device, for a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Who stands there; `None`: nobody ever, or it cannot be read.
    pub holder: Option<Holder>,
    /// The holder gave it up.
    pub released: bool,
    /// The record changed while we looked: somebody renews it.
    pub changes: bool,
    /// A record that was written in part.
    pub garbled: bool,
}

/// Reads a lease for `watch` (zero: once) without writing anything.
///
/// # Errors
/// As [`acquire`].
pub fn inspect(path: &Path, watch: Duration) -> Result<Inspection, LeaseError> {
    const EVERY: Duration = Duration::from_millis(100);
    let system = |e: io::Error| LeaseError::system(path, &e);
    let mut device = Device::open(path, false, OPENING)?;
    let waiter = Waiter::new().map_err(system)?;
    let end = Instant::now() + watch;
    let mut first = None;
    let mut changes = false;
    loop {
        device.read();
        let image = match device.settle(OPENING) {
            Some(Reply::Read(Ok(bytes))) => Image::parse(&bytes),
            Some(Reply::Read(Err(trouble)) | Reply::Wrote(Err(trouble))) => {
                return Err(LeaseError::Device { device: path.to_owned(), trouble });
            }
            Some(Reply::Wrote(Ok(()))) | None => return Err(LeaseError::silent(path, OPENING)),
        };
        changes |= first.as_ref().is_some_and(|first| *first != image.lease);
        let now = Instant::now();
        if end <= now {
            let released = image.released();
            let (holder, garbled) = match image.lease {
                Sector::Record(record) => (Some(Holder::of(&record)), false),
                Sector::Garbled(_) => (None, true),
                Sector::Blank => (None, false),
                Sector::Foreign(what) => return Err(LeaseError::Foreign { device: path.to_owned(), what }),
            };
            return Ok(Inspection { holder, released, changes, garbled });
        }
        first.get_or_insert(image.lease);
        waiter.wait(&[], Some(end.min(now + EVERY))).map_err(system)?;
    }
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
        what: &'static str,
    },
    /// The device cannot be used.
    #[error("{}: {trouble}", device.display())]
    Device {
        /// The device.
        device: PathBuf,
        /// What is wrong.
        trouble: Trouble,
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
        errno: Option<Errno>,
    },
}

impl LeaseError {
    fn system(device: &Path, error: &io::Error) -> Self {
        Self::Undetermined { device: device.to_owned(), what: error.to_string() }
    }

    fn silent(device: &Path, timeout: Duration) -> Self {
        Self::Undetermined { device: device.to_owned(), what: format!("no answer within {}", words(timeout)) }
    }

    fn errno(&self) -> Option<Errno> {
        match self {
            Self::Device { trouble: Trouble::Errno(errno), .. } => Some(*errno),
            Self::Watchdog { errno, .. } => *errno,
            _ => None,
        }
    }

    /// Which exit status.
    pub fn fault(&self) -> Fault {
        match self {
            _ if matches!(self.errno(), Some(Errno::EACCES | Errno::EPERM)) => Fault::Permission,
            Self::Terms(_) => Fault::Usage,
            Self::Foreign { .. }
            | Self::Device { trouble: Trouble::NotADisk | Trouble::TooSmall | Trouble::Errno(Errno::EINVAL), .. } => {
                Fault::Configuration
            }
            Self::Device { .. } | Self::Watchdog { .. } => Fault::Unavailable,
            Self::Undetermined { .. } => Fault::Undetermined,
        }
    }

    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            _ if self.fault() == Fault::Permission => "permission-denied",
            Self::Terms(_) => "usage",
            Self::Foreign { .. } => "lease-foreign",
            Self::Device { .. } => "lease-device",
            Self::Undetermined { .. } => "lease-undetermined",
            Self::Watchdog { .. } => "watchdog",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Foreign { device, .. } => format!(
                "nothing was written; name another device, or, if nobody needs what is on it: \
                 dd if=/dev/zero of={} bs=128k count=1",
                device.display()
            ),
            Self::Device { device, trouble: Trouble::TooSmall } => format!("truncate -s {SIZE} {}", device.display()),
            Self::Device { trouble: Trouble::Errno(Errno::EINVAL), .. } => {
                "it must take direct input and output: a file on tmpfs or behind some FUSE file systems does not, and a \
                 cache would hide what the other node writes"
                    .to_owned()
            }
            Self::Device { device, trouble: Trouble::Errno(Errno::ENOENT) } => {
                format!("a file has to be there, for example by: truncate -s {SIZE} {}", device.display())
            }
            Self::Undetermined { .. } => "nothing is held; try again when the device answers".to_owned(),
            Self::Watchdog { errno: Some(Errno::EBUSY), .. } => {
                "somebody else has it: systemd (RuntimeWatchdogSec) or a watchdog daemon; name one of your own".to_owned()
            }
            Self::Watchdog { errno: Some(Errno::ENOENT), .. } => "modprobe softdog makes one".to_owned(),
            _ if self.fault() == Fault::Permission => "run it as root".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Self {
        let (fault, code, hint) = (error.fault(), error.code(), error.hint());
        Self { fault, code, message: error.to_string(), hint }
    }
}

/// What a mount that outlives its keeper can do, and what closes it: paragraphs for manual pages.
pub const MANUAL: &[&str] = &[
    "What a lease is worth. Of any number of nodes, at most one believes at any time that it holds the lease, however long \
     processes stop and however slow the device is, as long as all nodes use the same --lease, clocks run right to 1 % and \
     the device keeps what it acknowledged. A node that cannot renew the lease knows so a margin (a quarter of the lease) \
     before anybody else can have it: it reports `lost`, and --on-lost has that time to unmount.",
    "What it is not worth by itself. The lease ends with its keeper; the mount does not. A keeper that was killed \
     (SIGKILL, out of memory) or frozen (SIGSTOP, a stopped control group, a machine without memory or processor time) \
     unmounts nothing, and the kernel goes on to write: programs that have files open, pages that are not yet on the \
     disk, the journal. When the lease has run out, another node rightly mounts the same file system, and two kernels \
     write to it that know nothing of each other. A file system that is not made for this (ext4, XFS, Btrfs) is then \
     destroyed, possibly days before anybody notices. An unmount by --on-lost that hangs on a dead device ends in the same \
     state. So without a watchdog the strength is called `advisory`: the lease keeps well-behaved nodes apart and nothing \
     more.",
    "The watchdog closes most of it. With --watchdog the keeper pets it after each renewal that it has read back, and only \
     if it would then bite before the end of the lease; it is set to nine tenths of the lease, rounded down to whole \
     seconds. A keeper that is killed, frozen or starved pets no more, and the machine is reset while nobody else can have \
     the lease yet; what was not written by then never will be. It is ended only when the storage is unmounted. Where the \
     margin is a quarter and the lease at least 5 s, it bites after `lost`, so that --on-lost gets its chance first. softdog \
     needs a kernel that still runs; a watchdog in hardware (iTCO_wdt, ipmi_watchdog, i6300esb) does not, and is better. \
     Nothing counts while a virtual machine is paused, and what was on its way is written when it goes on, before any \
     program runs. Where its clocks went on, softdog then resets it at once; the i6300esb that QEMU emulates only begins the \
     second half of its time. Where they stood still (suspended, saved and restored) neither knows. A keeper that \
     is stopped exactly between looking at the clock and petting, and then killed in the moment in which it continues, has petted \
     once too late. nowayout=1 keeps others from ending it, but then an orderly release resets the machine too.",
    "A keeper that comes too late, because its lease is over or a later holder stands in the record, does not unmount in the \
     usual way, which writes what is in memory over the data of the other. With a watchdog, or with --on-lost reboot, it \
     resets the machine at once. Without, it makes the file system stop as if the power had failed (ext4, XFS, f2fs; others \
     cannot, nor is it done to what is bound from elsewhere), then kills and unmounts: what was in memory is lost. That keeps the damage small, and not away: some \
     blocks may be written before. --on-lost reboot resets without asking the disks, one of which may hang.",
    "What closes it wholly keeps the old machine from writing, wherever it stopped. SCSI-3 persistent reservations \
     (--guard scsi-pr): the disk itself refuses the writes of a node whose registration was preempted, also those that \
     are still on their way. Fencing: the other machine is known to be off, or cut off from the storage, before anybody \
     mounts; then the lease is a second opinion. DRBD (--guard drbd) with fencing of its own refuses to write on both sides. \
     With one of them the lease may be left out.",
    "The device of the lease. Each node needs direct access to the same 8192 bytes: a small logical unit or partition of \
     the shared storage, or a file on a cluster file system or NFS. A file on a local disk, or a device that is replicated \
     without waiting (DRBD protocol A), excludes nobody. Best it is on the same storage as the data, so that a node which \
     loses the one loses the other. It must hold zeros at first (truncate -s 8192 FILE, or dd if=/dev/zero of=DEVICE \
     bs=128k count=1); anything else is refused and never written to. The first use takes a whole lease, as does each one \
     after a holder that did not give it up; after an orderly release the next one has it in a tenth to a sixth of a lease.",
    "Choosing the lease. Fail-over takes 1.15 to 1.25 leases from the last renewal of a dead node. The storage may stop \
     answering for up to three quarters of a lease less an eighth before a healthy node gives up; a tenth of the lease \
     must be enough for one read and one write, or nobody ever gets it. Multipath and controllers that fail over for 30 s \
     need a lease of a minute. A node that was stopped for more than a lease on its way to a write of the record, \
     as a paused machine may be, writes it over that of a healthy holder when it continues: that one then gives up, at once \
     and in good order, and both have lost it. After a pause expect that, and have somebody claim it again.",
];
