//! A null-modem cable for tests: two pseudo-terminals and `lab-serial` between them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Child, fresh_folder, tool};

/// A bound for each command to the cable: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(10);

/// One end of the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The device `a`.
    A,
    /// The device `b`.
    B,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// What a bad cable does by chance, in both directions. What tests inject is not harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was written at once, such as a message, is lost whole.
    Pieces,
    /// Single bytes are lost.
    Bytes,
    /// Single bytes arrive as others.
    Garble,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Pieces => "pieces",
            Self::Bytes => "bytes",
            Self::Garble => "garble",
        }
    }
}

/// A cable between two serial devices: what is written to one is read from the other. Bytes for a device that nobody has
/// open are lost, as they are on a real line. Ends when dropped.
#[derive(Debug)]
pub struct Cable {
    dir: PathBuf,
    child: Child,
}

impl Cable {
    /// Lays a cable; both devices are there when this returns.
    #[track_caller]
    pub fn lay() -> Self {
        let dir = fresh_folder();
        std::fs::create_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let mut command = Command::new(tool("lab-serial"));
        command.arg(&dir).stdin(Stdio::piped());
        let mut child = Child::spawn(command);
        child.next_event("ready", LONG);
        Self { dir, child }
    }

    /// The path of a device: a link that stays the same when the device is plugged in again.
    pub fn device(&self, end: End) -> PathBuf {
        self.dir.join(end.name())
    }

    /// Cuts the cable: nothing passes, and no device notices.
    #[track_caller]
    pub fn cut(&mut self) {
        self.order("cut", "");
    }

    /// Undoes [`Cable::cut`].
    #[track_caller]
    pub fn heal(&mut self) {
        self.order("heal", "");
    }

    /// Makes a fault happen to so many of 10,000, each kind for itself; 0 ends it.
    #[track_caller]
    pub fn fault(&mut self, fault: Fault, of_10_000: u16) {
        self.order("fault", &format!("{} {of_10_000}", fault.name()));
    }

    /// Lets bytes arrive at a device, as if the line had made them up. They do not split what the other end wrote at once.
    #[track_caller]
    pub fn inject(&mut self, end: End, bytes: &[u8]) {
        let mut words = format!("{} ", end.name());
        for byte in bytes {
            let _ = write!(words, "{byte:02x}");
        }
        self.order("inject", &words);
    }

    /// Pulls a device out of its machine: whoever has it open gets a hang-up, and its path is gone.
    #[track_caller]
    pub fn unplug(&mut self, end: End) {
        self.order("unplug", end.name());
    }

    /// Puts a new device in the place of the one that was pulled out.
    #[track_caller]
    pub fn plug(&mut self, end: End) {
        self.order("plug", end.name());
    }

    #[track_caller]
    fn order(&mut self, command: &str, words: &str) {
        self.child.say(format!("{command} {words}").trim_end());
        self.child.next_event(command, LONG);
    }

    /// The folder with the devices.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.child.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
