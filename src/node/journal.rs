//! Everything that was decided on and what was decided, in its order: what is needed to replay an incident.
//!
//! A thread writes: whoever decides never waits for a disk. A disk that takes nothing costs lines, not time; that is told
//! once it takes some again, in the journal itself.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::cli::{Failure, eprint_line};

/// Lines on their way to the disk.
const MOST: usize = 1024;
/// After so many lines that a full disk took it is told anew that it takes none: the last room is good for short lines.
const SOME: u64 = 100;
/// Writing needs little.
const STACK: usize = 256 * 1024;

/// A journal that is being written.
pub struct Journal {
    lines: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    lost: u64,
}

impl Journal {
    /// Appends to this file; at `most` bytes it becomes `FILE.1`, and a new one begins.
    pub fn open(path: &Path, most: u64) -> Result<Self, Failure> {
        let file = append(path).map_err(|e| Failure::at(path, &e))?;
        let (lines, received) = sync_channel(MOST);
        let mut pen = Pen {
            path: path.to_owned(),
            length: file.metadata().map_or(0, |m| m.len()),
            file,
            most,
            lost: 0,
            taken: SOME,
        };
        let writer = Builder::new().name("journal".into()).stack_size(STACK).spawn(move || pen.write(&received));
        let writer = writer.map_err(|e| Failure::io("cannot start a thread for the journal", &e))?;
        Ok(Self { lines: Some(lines), writer: Some(writer), lost: 0 })
    }

    /// One more line.
    pub fn push(&mut self, line: &[u8]) {
        let Some(lines) = &self.lines else { return };
        let mut line = line.to_vec();
        line.push(b'\n');
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = lines.try_send(line) {
            self.lost += 1;
            if self.lost == 1 {
                eprint_line("ha-decide: the journal takes nothing: lines of it are lost, and it goes on");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.lines.take()); // the thread ends once it has written what waits
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

struct Pen {
    path: PathBuf,
    file: File,
    length: u64,
    most: u64,
    /// In a row, just now.
    lost: u64,
    /// In a row since.
    taken: u64,
}

impl Pen {
    fn write(&mut self, lines: &Receiver<Vec<u8>>) {
        for mut line in lines {
            if self.length + line.len() as u64 > self.most && self.length > 0 {
                self.turn();
            }
            if self.lost > 0 {
                let lost = self.lost;
                let note =
                    format!("{{\"tool\":\"ha-decide\",\"event\":\"note\",\"cause\":\"{lost} lines were lost\"}}\n");
                line.splice(..0, note.into_bytes());
            }
            match self.append(&line) {
                Ok(()) => (self.lost, self.taken) = (0, self.taken.saturating_add(1)),
                Err(error) => {
                    if self.taken >= SOME {
                        let path = self.path.display();
                        eprint_line(&format!("ha-decide: {path}: {error}: lines of the journal are lost"));
                    }
                    (self.lost, self.taken) = (self.lost + 1, 0);
                }
            }
        }
    }

    /// A line whole or not at all: the last room of a disk may take half of it.
    fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        let written = self.file.write_all(line);
        match written {
            Ok(()) => self.length += line.len() as u64,
            // A device has no length; what is to be told is why it was not written.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }

    /// A new file; the old one stays beside it, in place of the one before.
    fn turn(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        let _ = fs::rename(&self.path, &old); // an earlier turn may have come that far
        if let Ok(file) = append(&self.path) {
            self.length = file.metadata().map_or(0, |m| m.len());
            self.file = file;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_why_it_was_not_written() {
        let path = PathBuf::from("/dev/full");
        let file = append(&path).unwrap();
        let mut pen = Pen { path, file, length: 0, most: 100, lost: 0, taken: SOME };
        assert_eq!(pen.append(b"line\n").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }
}
