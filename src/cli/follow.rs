//! Doing something about each line of stdin as it comes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use super::exit::Answer;
use super::lines::Lines;
use super::output::{Output, OutputError};
use super::wait::{Signals, Waiter, stdout_gone};
use super::{Error, Failure};

/// Hands on all lines that are there, until stdin ends or a signal comes: then the answer is yes. A signal waits until `take`
/// has finished what it does.
///
/// # Errors
/// What `take` ends with; and where the reader of stdout is gone.
pub fn stdin(
    output: &mut Output,
    mut take: impl FnMut(Vec<Result<Vec<u8>, String>>, &mut Output) -> Result<(), Error>,
) -> Result<Answer, Error> {
    let failed = |e| Failure::io("cannot wait", &e);
    let (signals, waiter) = (Signals::take().map_err(failed)?, Waiter::new().map_err(failed)?);
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let mut lines = Lines::default();
    while !lines.exhausted() {
        let fds: [(BorrowedFd, PollFlags); 3] = [
            (stdin.as_fd(), PollFlags::POLLIN),
            (signals.as_fd(), PollFlags::POLLIN),
            (stdout.as_fd(), output.wanted()),
        ];
        let seen = waiter.wait(&fds, None).map_err(failed)?;
        if signals.arrived().is_some() {
            break;
        }
        if stdout_gone(seen[2]) {
            return Err(OutputError::Closed.into());
        }
        output.flush_backlog()?;
        if !seen[0].is_empty() {
            lines.fill(&stdin);
        }
        let all: Vec<_> = std::iter::from_fn(|| lines.next_line()).collect();
        if !all.is_empty() {
            take(all, output)?;
        }
    }
    Ok(Answer::Yes)
}
