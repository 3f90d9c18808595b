//! Children that outlive the command: they repeat announcements, or wait for slow closes, and hold up nobody.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, read, setsid};

use super::wait::Signals;

/// Runs `work` in a child of its own session without stdio, so that `x=$(command)` and cron return at once.
pub fn background(work: impl FnOnce()) -> Result<(), Errno> {
    // SAFETY: the commands that call this have one thread, so the child may use everything that the parent could.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            leave_stdio();
            let _ = setsid(); // fails only for a group leader, which a fresh child is not
            let _ = Signals::release(); // a signal that stays blocked would only delay the end of a short life
            work();
            // Without destructors and atexit handlers: they are the parent's.
            // SAFETY: _exit takes no resources with it but the process.
            unsafe { nix::libc::_exit(0) }
        }
    }
}

fn leave_stdio() {
    // Whoever waits for the end of our output must not wait for a child; /dev/null keeps the numbers taken.
    if let Ok(null) = open("/dev/null", OFlag::O_RDWR, Mode::empty()) {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
}

/// Closes sockets whose close waits for a grace period in the kernel (packet sockets: 12 to 16 ms) without waiting.
///
/// The last close is the one that waits: a child keeps the descriptors until ours are closed.
pub fn close(sockets: Vec<OwnedFd>) {
    let Ok((closed, signal)) = pipe2(OFlag::O_CLOEXEC) else { return };
    let _ = background(|| {
        let _ = nix::unistd::close(signal.as_raw_fd()); // our copy would keep the pipe open
        let _ = read(&closed, &mut [0; 1]); // returns at the end of the pipe
    }); // without a child the close just takes its time
    drop(sockets);
    drop(signal);
}
