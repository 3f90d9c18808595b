//! Where events come from: stdin, files, FIFOs. Each has lines of its own, so that none cuts into another's.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::cli::lines::Lines;

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
