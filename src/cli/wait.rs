//! Waiting at the edge: for descriptors, for a deadline on the boot-time clock, for signals.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock::Instant;

/// Waits for descriptors with a deadline on `CLOCK_BOOTTIME`: a machine that slept through its deadline wakes to it.
#[derive(Debug)]
pub struct Waiter {
    timer: TimerFd,
    /// What the timer is set to: setting it again to the same would cost a busy listener a system call a message.
    set: Cell<Option<Instant>>,
}

impl Waiter {
    /// A waiter; it costs one descriptor.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self { timer: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?, set: Cell::new(None) })
    }

    /// Waits until one of `fds` has something for us or the deadline is reached; returns what each has. Nothing at all
    /// for the deadline and for a signal: the caller looks at the clock anyway.
    pub fn wait(&self, fds: &[(BorrowedFd, PollFlags)], deadline: Option<Instant>) -> io::Result<Vec<PollFlags>> {
        let mut set: Vec<PollFd> = fds.iter().map(|(fd, flags)| PollFd::new(*fd, *flags)).collect();
        if let Some(deadline) = deadline {
            let at = TimeSpec::from_duration(deadline.since_boot().max(std::time::Duration::from_nanos(1)));
            if self.set.replace(None) != Some(deadline) {
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            self.set.set(Some(deadline));
            set.push(PollFd::new(self.timer.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut set, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(set[..fds.len()].iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect())
    }
}

/// SIGTERM, SIGINT and SIGHUP as something to wait for: streams and holders end cleanly. One that was ignored when we
/// were started stays ignored, as nohup and scripts expect.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks the signals and makes a descriptor for them. Whoever forks afterwards has to call [`Signals::release`]
    /// in the child.
    pub fn take() -> io::Result<Self> {
        let mask = Self::mask();
        mask.thread_block()?;
        Ok(Self { fd: SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)? })
    }

    const OURS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

    fn mask() -> SigSet {
        // One that is ignored would reach a descriptor all the same if it were blocked.
        Self::OURS.into_iter().filter(|signal| !is_ignored(*signal)).collect()
    }

    /// Keeps the signals back, for whoever has nothing to wait on them with.
    pub fn block() -> io::Result<()> {
        Ok(Self::mask().thread_block()?)
    }

    /// Gives the signals their usual effect back.
    pub fn release() -> io::Result<()> {
        Ok(Self::OURS.into_iter().collect::<SigSet>().thread_unblock()?)
    }

    /// A signal that has arrived, if any.
    pub fn arrived(&self) -> Option<Signal> {
        let info = self.fd.read_signal().ok().flatten()?;
        Signal::try_from(info.ssi_signo as i32).ok()
    }

    /// To wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a signal is ignored.
fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no crate in use asks without setting. A null pointer changes nothing; zeros are a valid value in case of an
    // error, which only a number that is no signal could bring.
    let action = unsafe {
        libc::sigaction(signal as libc::c_int, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// What to put into a wait so that a closed stdout is noticed while there is nothing to print.
pub fn stdout_gone(ready: PollFlags) -> bool {
    ready.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL | PollFlags::POLLHUP)
}
