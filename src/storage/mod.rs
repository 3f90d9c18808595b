//! Shared storage: who may use it, mounting it, and giving it back.
//!
//! | module | holds |
//! | --- | --- |
//! | [`claim`] | from what was found to what has to be done; pure |
//! | [`take`] | fs-claim: the claim, the check, the mount |
//! | [`release`] | fs-release: the holders, the unmount, the end of the claim |
//! | [`guard`] | the ways to claim: flock, lease, drbd, scsi-pr |
//! | [`lease`] | a record on shared storage that one node renews |
//! | [`keeper`] | the process that holds a claim for as long as the mount lasts |
//! | [`record`] | what was claimed, for whoever comes later: `/run/takeover` |
//! | [`holders`] | who holds a mount open, and sending them signals |
//! | [`device`] | what DEVICE means |
//! | [`mount`] | mount, unmount, and whether a file system is gone |
//! | [`mountinfo`] | what is mounted where |
//! | [`aside`] | work that may hang, in a child with a deadline |
//! | [`process`] | processes by identity |

pub mod aside;
pub mod claim;
pub mod device;
pub mod guard;
pub mod holders;
pub mod keeper;
pub mod lease;
pub mod mount;
pub mod mountinfo;
pub mod news;
pub mod process;
pub mod record;
pub mod release;
pub mod take;

use std::path::Path;
use std::time::Duration;

use crate::cli::duration::words;
use crate::cli::exit::Fault;
use crate::cli::{Error, Failure};
use aside::AsideError;

/// What keeps storage from being claimed or released, where that is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    /// Which exit status.
    pub fault: Fault,
    /// A stable word.
    pub code: &'static str,
    /// What failed, where.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl StorageError {
    fn new(fault: Fault, code: &'static str, message: impl Into<String>) -> Self {
        Self { fault, code, message: message.into(), hint: None }
    }

    fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Fault::Unavailable, code, message)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What a child with a deadline did not do.
    fn aside(what: &str, deadline: Duration, error: AsideError) -> Self {
        match error {
            AsideError::Deadline { stuck } => {
                let hangs = stuck.map_or_else(String::new, |p| format!("; process {} hangs in the kernel", p.pid));
                Self::new(Fault::Undetermined, "deadline", format!("{what}: not within {}{hangs}", words(deadline)))
            }
            AsideError::Died => Self::new(Fault::Internal, "system", format!("{what}: {error}")),
            AsideError::Io(error) => Self::io(what, &error),
        }
    }

    fn io(what: &str, error: &std::io::Error) -> Self {
        let Failure { fault, code, message, hint } = Failure::io(what, error);
        Self { fault, code, message, hint }
    }

    fn at(path: &Path, error: &std::io::Error) -> Self {
        Self::io(&path.display().to_string(), error)
    }
}

impl From<StorageError> for Failure {
    fn from(e: StorageError) -> Self {
        Self { fault: e.fault, code: e.code, message: e.message, hint: e.hint }
    }
}

impl From<StorageError> for Error {
    fn from(e: StorageError) -> Self {
        Self::Failure(e.into())
    }
}
