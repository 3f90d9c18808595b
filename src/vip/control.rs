//! What may end a command that waits for an address or holds it: a signal, the end of stdin, a reader that went away.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::unistd::read;

use super::holder::Input;
use crate::cli::wait::{Signals, stdout_gone};

/// The descriptors to wait on, beside those of the link.
#[derive(Debug)]
pub struct Control {
    signals: Signals,
    stdin: io::Stdin,
    stdout: io::Stdout,
    /// Whether stdin is somebody's leash.
    leashed: bool,
}

impl Control {
    /// Takes over SIGTERM, SIGINT and SIGHUP; with `leashed` stdin is read too.
    pub fn take(leashed: bool) -> io::Result<Self> {
        Ok(Self { signals: Signals::take()?, stdin: io::stdin(), stdout: io::stdout(), leashed })
    }

    /// To wait on, first in the list of whoever waits.
    pub fn fds(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        // A hang-up is reported whether it is asked for or not: what nobody reads must not be waited on.
        let stdin = self.leashed.then(|| (self.stdin.as_fd(), PollFlags::POLLIN));
        let always = [(self.signals.as_fd(), PollFlags::POLLIN), (self.stdout.as_fd(), PollFlags::empty())];
        always.into_iter().chain(stdin).collect()
    }

    /// What has arrived, given what the wait said of each; it may have said more of others.
    pub fn inputs(&self, ready: &[PollFlags]) -> io::Result<Vec<Input>> {
        let mut inputs = Vec::new();
        if let Some(signal) = self.signals.arrived() {
            inputs.push(Input::Stop(Signal::as_str(signal)));
        }
        if ready.get(1).copied().is_some_and(stdout_gone) {
            inputs.push(Input::Unread);
        }
        // A pipe whose writer is gone shows only a hang-up.
        let readable = |r: &PollFlags| r.intersects(PollFlags::POLLIN | PollFlags::POLLHUP);
        if self.leashed && ready.get(2).is_some_and(readable) {
            inputs.extend(self.read_leash()?);
        }
        Ok(inputs)
    }

    fn read_leash(&self) -> io::Result<Option<Input>> {
        let mut bytes = [0; 4096];
        match read(self.stdin.as_fd(), &mut bytes) {
            Ok(0) => Ok(Some(Input::Eof)),
            Ok(n) => Ok(bytes[..n].contains(&b'\n').then_some(Input::Fed)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}
