//! Processes by identity: a number may be given to another process, a number with its start time is one process for
//! ever, and a descriptor of a process never means another.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::poll::PollFlags;
use nix::sys::signal::Signal;

use crate::cli::wait::Waiter;
use crate::clock::Instant;

/// A process: its number, and when it started, in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// The number.
    pub pid: i32,
    /// The start time, field 22 of `/proc/PID/stat`.
    pub start: u64,
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The name of what it runs, at most 15 bytes of it.
    pub command: String,
    /// `R`, `S`, `D`, `Z`…
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

impl Stat {
    /// Reads `PID (command) S PPID …`; the command may hold anything, parentheses too.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(')')?;
        let command = head.split_once('(')?.1.to_owned();
        let mut words = rest.split_whitespace();
        let state = words.next()?.chars().next()?;
        let parent = words.next()?.parse().ok()?;
        let start = words.nth(17)?.parse().ok()?;
        Some(Self { command, state, parent, start })
    }

    /// That of a process; none if there is no such process.
    pub fn of(pid: i32) -> Option<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&bytes))
    }
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::of(pid).map(|stat| Self { pid, start: stat.start })
    }

    /// A descriptor of this very process; none if it is gone, whoever has its number now.
    pub fn open(self) -> io::Result<Option<PidFd>> {
        // SAFETY: no crate in use wraps the call; it takes two numbers and returns a new descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, c_long::from(self.pid), 0 as c_long) };
        let fd = match Errno::result(fd) {
            // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
            Ok(fd) => unsafe { OwnedFd::from_raw_fd(fd as i32) },
            Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        // Read after it was opened: if it is the right one now, the descriptor is of the right one.
        Ok(self.runs().then_some(PidFd(fd)))
    }

    /// Whether it runs: any thread of it, as the first one may end before the others.
    pub fn runs(self) -> bool {
        let Some(now) = Stat::of(self.pid).filter(|now| now.start == self.start) else { return false };
        !matches!(now.state, 'Z' | 'X') || lives_on(self.pid)
    }

    /// Whether somebody has stopped it: SIGSTOP, or a debugger.
    pub fn stopped(self) -> bool {
        Stat::of(self.pid).is_some_and(|now| now.start == self.start && matches!(now.state, 'T' | 't'))
    }
}

/// Whether a thread of a process lives whose first one has ended.
fn lives_on(pid: i32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let mut others = tasks.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok()).filter(|tid| *tid != pid);
    others.any(|tid| {
        let text = std::fs::read(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
        Stat::parse(&String::from_utf8_lossy(&text)).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
    })
}

/// A descriptor of one process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Sends it a signal; false if it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let null = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: no crate in use wraps the call; it reads no memory of ours, as the third argument is null.
        let sent = unsafe {
            let fd = c_long::from(self.0.as_raw_fd());
            libc::syscall(libc::SYS_pidfd_send_signal, fd, c_long::from(signal as i32), null, 0 as c_long)
        };
        match Errno::result(sent) {
            Ok(_) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until all of them have ended; false if the deadline came first.
pub fn wait_for_end(fds: &[PidFd], deadline: Instant) -> io::Result<bool> {
    let waiter = Waiter::new()?;
    let mut left: Vec<&PidFd> = fds.iter().collect();
    while !left.is_empty() {
        let set: Vec<_> = left.iter().map(|fd| (fd.as_fd(), PollFlags::POLLIN)).collect();
        let ready = waiter.wait(&set, Some(deadline))?;
        let mut ready = ready.into_iter();
        left.retain(|_| !ready.next().is_some_and(|r| r.contains(PollFlags::POLLIN)));
        if !left.is_empty() && Instant::now() >= deadline {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two tasks have one table of descriptors; false where the kernel does not say.
pub fn share_files(one: i32, other: i32) -> bool {
    const KCMP_FILES: c_long = 2;
    // SAFETY: no crate in use wraps the call; it takes numbers and compares.
    let same = unsafe {
        let (one, other) = (c_long::from(one), c_long::from(other));
        libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0 as c_long, 0 as c_long)
    };
    same == 0
}

/// Who must never be sent a signal by us: the first process, this one, and all that wait for it.
pub fn protected() -> HashSet<i32> {
    let mut protected = HashSet::from([0, 1]);
    let mut pid = std::process::id() as i32;
    while protected.insert(pid) {
        pid = Stat::of(pid).map_or(0, |stat| stat.parent);
    }
    protected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_any_name() {
        let tail = "S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 200";
        for name in ["sh", "a b", "x) S 1", "((", ""] {
            let stat = Stat::parse(&format!("42 ({name}) {tail}"));
            let expected = Stat { command: name.to_owned(), state: 'S', parent: 7, start: 4711 };
            assert_eq!(stat, Some(expected));
        }
        for wrong in ["", "42", "42 (x)", "42 (x) S", "42 (x) S y", "42 (x) S 1 2 3"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_number_is_not_a_process() {
        let me = Process::of(std::process::id() as i32).expect("this process");
        assert!(me.runs() && me.open().expect("opens").is_some());
        let other = Process { start: me.start + 1, ..me };
        assert!(!other.runs() && other.open().expect("is not opened").is_none());
        assert!(Process { pid: i32::MAX, start: 1 }.open().expect("no such process").is_none());
    }

    #[test]
    fn we_and_those_before_us() {
        let protected = protected();
        let me = std::process::id() as i32;
        assert!([1, me, nix::unistd::getppid().as_raw()].iter().all(|pid| protected.contains(pid)));
        assert!(share_files(me, me));
    }
}
