//! Children that outlive the command: they repeat announcements, or wait for slow closes, and hold up nobody.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, read, setsid};

use super::wait::Signals;

/// Runs `work` in a child of its own session without stdio, so that `x=$(command)` and cron return at once; of all other
/// descriptors it has only those of `keep`, so that it does not hold a lock of whoever called us. The child is returned.
pub fn background(keep: &[RawFd], work: impl FnOnce()) -> Result<Pid, Errno> {
    // SAFETY: the commands that call this have one thread, so the child may use everything that the parent could.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            leave_stdio();
            leave_all_but(keep);
            let _ = setsid(); // fails only for a group leader, which a fresh child is not
            let _ = Signals::release(); // a signal that stays blocked would only delay the end of a short life
            work();
            leave()
        }
    }
}

/// Ends a forked child without destructors and atexit handlers: they are the parent's.
pub(crate) fn leave() -> ! {
    // SAFETY: _exit takes no resources with it but the process.
    unsafe { nix::libc::_exit(0) }
}

fn leave_stdio() {
    // Whoever waits for the end of our output must not wait for a child; /dev/null keeps the numbers taken.
    if let Ok(null) = open("/dev/null", OFlag::O_RDWR, Mode::empty()) {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
}

/// Closes every descriptor beside stdio and those of `keep`: for a child that is not to hold our locks.
pub(crate) fn leave_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut first = 3;
    for last in keep.iter().map(|fd| fd - 1).chain([u32::MAX]) {
        if first <= last {
            // SAFETY: no crate in use wraps the call. What is closed is owned by values that this process never drops: it
            // is a child that ends by _exit.
            let closed = unsafe { nix::libc::syscall(nix::libc::SYS_close_range, first, last, 0) };
            if closed != 0 {
                return leave_one_by_one(&keep); // before Linux 5.9
            }
        }
        first = last.saturating_add(2);
    }
}

/// The same by the list of what is open; where there is none the child holds what it inherited.
fn leave_one_by_one(keep: &[u32]) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    // Collected first: the list has a descriptor of its own, which is closed by then.
    let open: Vec<u32> = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && !keep.contains(fd)) {
        let _ = nix::unistd::close(fd as RawFd); // a child that ends by _exit, as above
    }
}

/// Closes sockets whose close waits for a grace period in the kernel (packet sockets: 12 to 16 ms) without waiting.
///
/// The last close is the one that waits: a child keeps the descriptors until ours are closed.
pub fn close(sockets: Vec<OwnedFd>) {
    let Ok((closed, signal)) = pipe2(OFlag::O_CLOEXEC) else { return };
    let keep: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).chain([closed.as_raw_fd()]).collect();
    let _ = background(&keep, || {
        let _ = read(&closed, &mut [0; 1]); // returns at the end of the pipe
    }); // without a child the close just takes its time
    drop(sockets);
    drop(signal);
}
