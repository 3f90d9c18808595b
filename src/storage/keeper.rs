//! The process that holds a claim for as long as the mount lasts.
//!
//! It is a child of fs-claim and outlives it. It takes the claim itself, so that nothing has to be handed over, and tells
//! over one pipe what came of it. The other end of a second pipe, the tether, is open in fs-claim and in whatever checks or
//! mounts for it: until all of them are gone a mount may still come, and the claim is kept.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::{pipe2, read};
use serde_json::Value;

use super::device::Device;
use super::guard::{Got, Held, Outcome, failure_to_json, flock};
use super::holders::plan::Plan;
use super::lease::{self, Acquired, News, Terms};
use super::mount::{remains, shut_down};
use super::mountinfo::{Mount, Table};
use super::news::{About, log};
use super::process::Process;
use super::record::{self, Place};
use super::release::{Way, Went, let_go};
use crate::cli::Failure;
use crate::cli::child;
use crate::cli::exit::Fault;
use crate::cli::wait::{Signals, Waiter};
use crate::clock::Instant;

/// What to do when a lease is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnLost {
    /// Unmount; if somebody holds it, kill them and unmount
    #[default]
    Release,
    /// Kill the holders at once, and unmount
    Kill,
    /// As release; if that fails, reset the machine
    Reboot,
}

/// What the keeper holds.
#[derive(Clone, Debug)]
pub enum Guarding {
    /// A lock file.
    Flock(PathBuf),
    /// A lease.
    Lease(Terms, OnLost),
}

/// What the keeper has to know.
#[derive(Clone, Debug)]
pub struct Post {
    /// For its events.
    pub about: About,
    /// Which node.
    pub node: String,
    /// What is mounted.
    pub device: Device,
    /// Its type, where it was given.
    pub fstype: Option<String>,
    /// Where.
    pub mountpoint: PathBuf,
    /// The guard.
    pub guarding: Guarding,
}

/// A keeper that was started.
#[derive(Debug)]
pub struct Started {
    /// It.
    pub process: Process,
    /// What came of the claim.
    pub outcome: Outcome,
    /// To be open for as long as a mount may come.
    pub tether: OwnedFd,
}

/// While it cannot be proven that a file system is gone, it is asked again: soon, as the kernel tells of an unmount before
/// it is through with it, and then less and less often, down to this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The first time.
const ASK_SOON: Duration = Duration::from_millis(1);

/// How long one attempt at an unmount may take a keeper: it has a lease to renew.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Starts a keeper and waits for what it has to tell.
///
/// # Errors
/// When the claim cannot be asked for; at the deadline. Nothing is held then.
pub fn start(post: Post, deadline: Instant, timeout: Duration) -> Result<Started, Failure> {
    let system = |e: nix::Error| Failure::io("starting the keeper", &e.into());
    let (heard, told) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
    let (end, tether) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
    let keep = [told.as_raw_fd(), end.as_raw_fd()];
    // What the closure has is the child's own: nothing of it is dropped here twice, as the child leaves without drops.
    let pid = child::background(&keep, || run(&post, &told, &end)).map_err(system)?;
    drop((told, end));
    let process = Process::of(pid.as_raw());
    let line = first_line(&heard, deadline).map_err(|e| Failure::io("hearing the keeper", &e))?;
    let Some(line) = line else {
        // It ends by itself: its tether is cut.
        let message = format!("the claim was not to be had within {}", crate::cli::duration::words(timeout));
        return Err(Failure::new(Fault::Undetermined, "deadline", message));
    };
    let outcome = answer(&line)?;
    let died = || Failure::new(Fault::Internal, "system", "the keeper ended at once");
    Ok(Started { process: process.ok_or_else(died)?, outcome, tether })
}

fn first_line(pipe: &OwnedFd, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let waiter = Waiter::new()?;
    let mut line = Vec::new();
    let mut bytes = [0; 4096];
    while !line.contains(&b'\n') {
        let ready = waiter.wait(&[(pipe.as_fd(), PollFlags::POLLIN)], Some(deadline))?;
        if ready.first().is_some_and(|r| !r.is_empty()) {
            match read(pipe, &mut bytes)? {
                0 => break,
                n => line.extend_from_slice(&bytes[..n]),
            }
        } else if Instant::now() >= deadline {
            return Ok(None);
        }
    }
    Ok(Some(line))
}

fn answer(line: &[u8]) -> Result<Outcome, Failure> {
    Outcome::from_json(&serde_json::from_slice(line).unwrap_or_default())
}

fn tell(told: &OwnedFd, value: &Value) {
    if let Ok(copy) = told.try_clone() {
        let _ = File::from(copy).write_all(format!("{value}\n").as_bytes());
    }
}

/// What is held.
enum Hold {
    /// For as long as the file is open.
    Lock(#[allow(dead_code)] File),
    Lease(Box<lease::Keeper>, OnLost),
}

/// The life of a keeper, in its own process.
fn run(post: &Post, told: &OwnedFd, end: &OwnedFd) {
    // Where fs-claim was called must not be held, and a list of processes should tell the two apart.
    let _ = std::env::set_current_dir("/");
    let _ = nix::sys::prctl::set_name(c"fs-keeper");
    let Ok(signals) = Signals::take() else { return };
    let hold = match &post.guarding {
        Guarding::Flock(file) => match flock::acquire(file, &post.node, &post.device.source()) {
            Ok((outcome, lock)) => {
                tell(told, &outcome.to_json());
                lock.map(Hold::Lock)
            }
            Err(e) => {
                tell(told, &failure_to_json(e.fault, e.code, &e.message, e.hint.as_deref()));
                None
            }
        },
        Guarding::Lease(terms, on_lost) => match lease::acquire(terms, Duration::ZERO, Some(end.as_fd())) {
            Ok(Acquired::Held(keeper)) => {
                let cause = format!("the lease on {} is this node's", terms.device.display());
                let got = Got { strength: terms.strength().to_owned(), cause, changed: true };
                tell(told, &Outcome::Got(got).to_json());
                Some(Hold::Lease(keeper, *on_lost))
            }
            Ok(Acquired::Refused(holder)) => {
                let cause = format!("{} holds the lease on {}", holder.node, terms.device.display());
                let hint = Some("release it there: fs-release MOUNTPOINT".to_owned());
                tell(told, &Outcome::Held(Held { holder: Some(holder.node), cause, hint }).to_json());
                None
            }
            Ok(Acquired::Interrupted) => None,
            Err(e) => {
                tell(told, &failure_to_json(e.fault(), e.code(), &e.to_string(), e.hint().as_deref()));
                None
            }
        },
    };
    if let Some(hold) = hold {
        let keeping = Keeping { post, signals, end: Some(end.as_fd()), hold, seen: None, lost: false };
        if let Err(error) = keeping.keep() {
            // The claim ends with the process; whoever looks next finds the mount without its keeper.
            log(&post.about.lost(&format!("the keeper cannot go on: {error}")));
        }
    }
}

struct Keeping<'a> {
    post: &'a Post,
    signals: Signals,
    /// The tether, until it is cut.
    end: Option<BorrowedFd<'a>>,
    hold: Hold,
    /// The mount, as it was seen last.
    seen: Option<Mount>,
    lost: bool,
}

impl Keeping<'_> {
    fn keep(mut self) -> io::Result<()> {
        let waiter = Waiter::new()?;
        // The kernel marks it as urgent whenever a mount comes or goes.
        let mounts = File::open("/proc/self/mountinfo")?;
        let mut pause = ASK_SOON;
        loop {
            let mounted = self.look();
            if !mounted && self.end.is_none() && self.gone() {
                break;
            }
            if self.lost && mounted {
                self.on_lost();
                if !self.look() {
                    continue;
                }
            }
            let lease = match &self.hold {
                Hold::Lease(keeper, _) if !self.lost => Some(keeper.deadline()),
                _ => None,
            };
            let asking = self.lost || (!mounted && self.end.is_none());
            pause = if asking { (pause * 2).min(ASK_AGAIN) } else { ASK_SOON };
            let ask = asking.then(|| Instant::now() + pause);
            let deadline = [lease, ask].into_iter().flatten().min();
            let mut fds = vec![(self.signals.as_fd(), PollFlags::POLLIN), (mounts.as_fd(), PollFlags::POLLPRI)];
            fds.extend(self.end.map(|end| (end, PollFlags::POLLIN)));
            if let Hold::Lease(keeper, _) = &self.hold
                && !self.lost
            {
                fds.push((keeper.as_fd(), PollFlags::POLLIN));
            }
            let ready = waiter.wait(&fds, deadline)?;
            if self.end.is_some() && ready.get(2).is_some_and(|r| !r.is_empty()) {
                self.end = None; // nothing is ever written to it: this is its end
            }
            if self.signals.arrived().is_some() {
                self.stop();
            }
            self.renew();
        }
        self.give_up();
        Ok(())
    }

    /// Whether it is mounted, be it below something else.
    fn look(&mut self) -> bool {
        let Ok(table) = Table::read(None) else { return true }; // not known is not gone
        let Post { device, fstype, mountpoint, .. } = self.post;
        let bound = device.bound(&table);
        let ours = |m: &&Mount| m.point == *mountpoint && device.is_mounted_as(m, fstype.as_deref(), bound.as_ref());
        let now = table.0.iter().find(ours).cloned();
        let mounted = now.is_some();
        if mounted {
            self.seen = now;
        }
        mounted
    }

    /// Whether the file system lives nowhere any more.
    fn gone(&self) -> bool {
        // A mount may have come and been hidden again while this process did not run, so that it never saw it.
        let noted = || record::look(&self.post.mountpoint).ok().flatten().and_then(|r| r.dev);
        let dev = match (&self.post.device, &self.seen) {
            (Device::Bind(_), _) => return true, // what is bound has a life of its own
            (_, Some(seen)) => Some(seen.dev),
            (Device::Block { number, .. }, None) => Some(*number),
            (Device::File(_) | Device::Name(_), None) => noted(),
        };
        let Some(dev) = dev else { return true };
        let deadline = Instant::now() + ATTEMPT;
        remains(dev, self.post.device.block(), deadline, ATTEMPT).is_ok_and(|r| r.none())
    }

    fn renew(&mut self) {
        let Hold::Lease(keeper, _) = &mut self.hold else { return };
        while !self.lost {
            match keeper.turn() {
                Some(News::Lost { cause }) => {
                    log(&self.post.about.lost(&cause));
                    self.lost = true;
                }
                Some(News::Renewed { .. } | News::Trouble { .. }) => {}
                None => return,
            }
        }
    }

    /// Asked to end: only together with the mount, and only if nobody uses it.
    fn stop(&mut self) {
        if self.look() {
            self.unmount(None);
        }
    }

    /// Whether it went.
    fn unmount(&self, kill: Option<Plan>) -> bool {
        let Some(mount) = &self.seen else { return false };
        let way = Way { kill, lazy: false, deadline: Instant::now() + ATTEMPT, timeout: ATTEMPT };
        let mut say = |event| {
            log(&event);
            Ok(())
        };
        matches!(let_go(&self.post.about, mount, &way, &mut say), Ok(Went::Done(_) | Went::Nothing))
    }

    fn on_lost(&self) {
        let Hold::Lease(keeper, on_lost) = &self.hold else { return };
        match remedy(*on_lost, keeper.over(), keeper.guarded()) {
            Remedy::Unmount => {}
            Remedy::ShutDown => {
                // Where a file system cannot be shut down, what it has in memory is written now: no other way is better.
                if let Err(e) = shut_down(&self.post.mountpoint, Instant::now() + ATTEMPT) {
                    let cause = format!("another node may have it, and what is in memory may be written: {e}");
                    log(&self.post.about.lost(&cause));
                }
            }
            Remedy::Reset => self.reset("another node may have it: the machine is reset"),
        }
        let at_once: Option<Plan> = "KILL,1s".parse().ok();
        let gone = (*on_lost != OnLost::Kill && self.unmount(None)) || self.unmount(at_once);
        if !gone && *on_lost == OnLost::Reboot {
            self.reset("it cannot be unmounted: the machine is reset");
        }
    }

    /// At once and without writing anything back: what is written now could be another node's.
    fn reset(&self, cause: &str) {
        log(&self.post.about.lost(cause));
        // An orderly reboot first asks disks to write what they have in their caches, and waits for one that hangs.
        let _ = std::fs::write("/proc/sysrq-trigger", "b");
        let _ = reboot(RebootMode::RB_AUTOBOOT);
    }

    /// Gives the claim up and forgets it, unless somebody is at it who does so.
    fn give_up(self) {
        match self.hold {
            Hold::Lock(lock) => drop(lock),
            Hold::Lease(keeper, _) if self.lost => keeper.stand_down(),
            Hold::Lease(keeper, _) => {
                if let Err(e) = keeper.release() {
                    log(&self.post.about.lost(&format!("the lease could not be given up, it runs out: {e}")));
                }
            }
        }
        forget(&self.post.mountpoint);
    }
}

/// What a mount whose lease was lost needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// Nobody else has it yet: what is in memory may still be written.
    Unmount,
    /// Somebody else may have it: nothing may be written, so that an unmount, which writes, comes second.
    ShutDown,
    /// The same, where a reset was asked for, or a watchdog should have done it: nothing writes less.
    Reset,
}

fn remedy(on_lost: OnLost, over: bool, watchdog: bool) -> Remedy {
    match (over, watchdog || on_lost == OnLost::Reboot) {
        (false, _) => Remedy::Unmount,
        (true, false) => Remedy::ShutDown,
        (true, true) => Remedy::Reset,
    }
}

fn forget(mountpoint: &Path) {
    let Some(place) = Place::try_lock(mountpoint) else { return };
    let me = Process::of(std::process::id() as i32);
    if let Ok(Some(record)) = place.read()
        && record.keeper == me
    {
        let _ = place.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmount_writes() {
        for on_lost in [OnLost::Release, OnLost::Kill, OnLost::Reboot] {
            for watchdog in [true, false] {
                assert_eq!(remedy(on_lost, false, watchdog), Remedy::Unmount, "in time: {on_lost:?}");
                let reset = watchdog || on_lost == OnLost::Reboot;
                assert_eq!(remedy(on_lost, true, watchdog) == Remedy::Reset, reset, "too late: {on_lost:?}");
                assert_ne!(remedy(on_lost, true, watchdog), Remedy::Unmount, "too late: {on_lost:?}");
            }
        }
    }
}
