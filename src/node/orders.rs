//! The way to hb-send: lines that must not hold anybody up, and of which the newest matter most.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::cli::Failure;
use crate::cli::feeds::open_for_writing;

/// Lines that wait for a sender that does not read; older ones go. What heartbeats carry is said anew with each change.
const MOST: usize = 256;
/// What a pipe takes whole or not at all.
const PIECE: usize = 4096;

/// Lines on their way to a sender.
pub struct Orders {
    file: File,
    waiting: VecDeque<Vec<u8>>,
    /// Of the first that waits, how much is gone already.
    written: usize,
    dropped: u64,
}

impl Orders {
    /// To this FIFO or file.
    pub fn to(path: &PathBuf) -> Result<Self, Failure> {
        Ok(Self { file: open_for_writing(path)?, waiting: VecDeque::new(), written: 0, dropped: 0 })
    }

    /// One more line.
    pub fn push(&mut self, line: &str) {
        if self.waiting.len() == MOST {
            // The first may be half on its way.
            let oldest = usize::from(self.written > 0);
            self.waiting.remove(oldest);
            self.dropped += 1;
        }
        self.waiting.push_back(format!("{line}\n").into_bytes());
        self.flush();
    }

    /// How many lines were given up since this was last asked.
    pub fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Writes what the sender takes.
    pub fn flush(&mut self) {
        while let Some(line) = self.waiting.front() {
            let piece = &line[self.written..];
            match self.file.write(&piece[..piece.len().min(PIECE)]) {
                Ok(n) if self.written + n >= line.len() => {
                    self.waiting.pop_front();
                    self.written = 0;
                }
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break, // no room, or a full disk: at the next event
            }
        }
    }
}
