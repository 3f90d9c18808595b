//! Where events come from: stdin, files, FIFOs. Each has lines of its own, so that none cuts into another's.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use nix::poll::PollFlags;

use super::exit::Fault;
use super::lines::Lines;
use super::output::{Output, OutputError};
use super::wait::{Waiter, stdout_gone};
use super::{Error, Failure, eprint_line};
use crate::clock::Instant;

/// One source of events.
pub struct Feed {
    name: String,
    fd: OwnedFd,
    lines: Lines,
}

impl Feed {
    /// Opens a file or a FIFO, or takes stdin for `-`. A FIFO is not waited for.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let fd = if path == Path::new("-") {
            io::stdin().as_fd().try_clone_to_owned().map_err(|e| Failure::io("stdin", &e))?
        } else {
            let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            open(path, flags, Mode::empty()).map_err(|e| missing(path, &e.into()))?
        };
        Ok(Self { name: path.display().to_string(), fd, lines: Lines::default() })
    }

    /// Its name, for whoever wrote a wrong line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// To wait on; none where nothing more can come, or is to be read.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.lines.wants_more().then(|| self.fd.as_fd())
    }

    /// Whether it has come to its end.
    pub fn exhausted(&self) -> bool {
        self.lines.exhausted()
    }

    /// Reads what is there.
    pub fn fill(&mut self) {
        self.lines.fill(&self.fd);
    }

    /// The next line.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, String>> {
        self.lines.next_line()
    }

    /// Whether it came to its end because there was no more, and not because it could not be read.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn ended_well(&self) -> Result<(), Failure> {
        match self.lines.error() {
            None => Ok(()),
            Some(errno) => {
                let message = format!("{}: the input cannot be read: {}", self.name, errno.desc());
                Err(Failure::unavailable("unreadable-input", message).hint("what came before was taken"))
            }
        }
    }
}

/// Waits until a feed has something to read, which is then read, until stdout takes what waits for it, or until that time.
///
/// # Errors
/// The reader of stdout is gone, or there is nothing to wait with.
pub fn wait(waiter: &Waiter, feeds: &mut [Feed], output: &Output, until: Option<Instant>) -> Result<(), Error> {
    let stdout = io::stdout();
    let mut fds: Vec<(BorrowedFd, PollFlags)> = vec![(stdout.as_fd(), output.wanted())];
    let open: Vec<usize> = (0..feeds.len()).filter(|n| feeds[*n].fd().is_some()).collect();
    fds.extend(feeds.iter().filter_map(Feed::fd).map(|fd| (fd, PollFlags::POLLIN)));
    let ready = waiter.wait(&fds, until).map_err(|e| Failure::io("cannot wait", &e))?;
    if stdout_gone(ready[0]) {
        return Err(OutputError::Closed.into());
    }
    for (n, flags) in open.into_iter().zip(&ready[1..]) {
        if !flags.is_empty() {
            feeds[n].fill();
        }
    }
    Ok(())
}

/// Takes the lines that have come. One that is none is told on stderr: half a line is a part that died, and no reason to lose
/// the rest.
///
/// # Errors
/// Those of `take`.
pub fn drain<T, E>(
    tool: &str,
    feeds: &mut [Feed],
    read: impl Fn(Vec<u8>) -> Result<T, String>,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    for feed in feeds {
        while let Some(line) = feed.next_line() {
            match line.and_then(&read) {
                Ok(read) => take(read)?,
                Err(what) => eprint_line(&format!("{tool}: {}: {what}", feed.name())),
            }
        }
    }
    Ok(())
}

fn missing(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Fault::Unavailable, "no-such-file", format!("{}: {error}", path.display()))
                .hint("name a file of events, a FIFO, or - for stdin")
        }
        _ => Failure::at(path, error),
    }
}

/// Opens a FIFO or file for writing, without waiting for its reader.
pub fn open_for_writing(path: &PathBuf) -> Result<File, Failure> {
    // Both ways: a FIFO whose reader is being started again must not end us.
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_APPEND | OFlag::O_CREAT;
    let fd = open(path, flags, Mode::from_bits_truncate(0o600)).map_err(|e| missing(path, &e.into()))?;
    Ok(File::from(fd))
}
