//! Serial lines: how one is opened, and the messages that wait for it.
//!
//! A line belongs to nobody: a sender and a listener, and more of them, have the same device open and give it the same
//! settings. Opening takes no exclusive lock even for a moment (a shared `flock`, so that a terminal program that asks
//! for the line alone is told that it is in use), and empties no queue: what arrived for others stays there.
//!
//! A path is followed anew each time that it is opened. Pseudo-terminals should be named by a link that their maker
//! keeps: the numbers in /dev/pts are given out again, to anybody.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{ControlFlags, SetArg, SpecialCharacterIndices, tcgetattr, tcsetattr};
use nix::unistd;
use serialport::{DataBits, FlowControl, Parity, StopBits, TTYPort};

use super::state::{Retry, State};
use crate::clock::Instant;

/// What a line says that is not there any more, or whose other side went away.
const HUNG_UP: PollFlags = PollFlags::POLLHUP.union(PollFlags::POLLERR).union(PollFlags::POLLNVAL);

/// A device with its path, opened again whenever it went away.
#[derive(Debug)]
pub(super) struct Line {
    path: PathBuf,
    baud: u32,
    fd: Option<OwnedFd>,
    retry: Retry,
}

impl Line {
    pub(super) fn new(path: PathBuf, baud: u32) -> Self {
        Self { path, baud, fd: None, retry: Retry::new() }
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Opens it where that is due.
    pub(super) fn open_if_due(&mut self, state: &mut State, now: Instant) {
        if !self.retry.due(now) {
            return;
        }
        match open(&self.path, self.baud) {
            Ok(fd) => {
                self.fd = Some(fd);
                self.retry.worked(now);
                state.works(&format!("open, {} baud", self.baud));
            }
            Err(why) => self.lost(state, why, now),
        }
    }

    /// Gives it up for now.
    pub(super) fn lost(&mut self, state: &mut State, why: impl Into<String>, now: Instant) {
        self.fd = None;
        self.retry.failed(now);
        state.fails(why);
    }

    /// What it is ready for; an error in words where it hung up.
    pub(super) fn ready(&self, wanted: PollFlags) -> Result<PollFlags, String> {
        let Some(fd) = self.fd() else { return Ok(PollFlags::empty()) };
        let mut set = [PollFd::new(fd, wanted)];
        match poll(&mut set, PollTimeout::ZERO) {
            Ok(_) => judge(set[0].revents().unwrap_or(PollFlags::empty())),
            Err(Errno::EINTR | Errno::EAGAIN) => Ok(PollFlags::empty()),
            Err(e) => Err(refusal(e)),
        }
    }

    /// Reads what is there into `buffer`: nothing, as a rule, where it was not ready. An error in words where the line
    /// is gone.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, String> {
        let Some(fd) = self.fd() else { return Ok(0) };
        match unistd::read(fd, buffer) {
            // Another program may have set the line so that nothing there reads as this; a line that hung up does too.
            Ok(0) => self.ready(PollFlags::POLLIN).map(|_| 0),
            Ok(n) => Ok(n),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(e) => Err(refusal(e)),
        }
    }

    /// Writes as much as the line takes now.
    fn write(&self, bytes: &[u8]) -> Result<usize, String> {
        let Some(fd) = self.fd() else { return Ok(0) };
        match unistd::write(fd, bytes) {
            Ok(n) => Ok(n),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(e) => Err(refusal(e)),
        }
    }
}

/// Tells a line that hung up from one that has something.
pub(super) fn judge(flags: PollFlags) -> Result<PollFlags, String> {
    if flags.intersects(HUNG_UP) {
        Err("it hung up: unplugged, or nobody at its other side".to_owned())
    } else {
        Ok(flags)
    }
}

fn refusal(e: Errno) -> String {
    match e {
        Errno::EIO | Errno::ENXIO | Errno::ENODEV => format!("it is gone, or its other side is ({})", e.desc()),
        e => format!("{} ({e:?})", e.desc()),
    }
}

/// Opens a device, raw: eight bits, no parity, one stop bit, no flow control, no modem lines, no echo; and left without
/// hanging up. It does not wait for anything.
fn open(path: &Path, baud: u32) -> Result<OwnedFd, String> {
    let builder = serialport::new(path.to_string_lossy(), baud)
        .exclusive(false)
        .data_bits(DataBits::Eight)
        .parity(Parity::None)
        .stop_bits(StopBits::One)
        .flow_control(FlowControl::None);
    let port = TTYPort::open(&builder).map_err(|e| format!("cannot open it at {baud} baud: {e}"))?;
    // SAFETY: the port hands its descriptor over and forgets it. Dropping the port instead would lift an exclusive lock
    // that another program may hold.
    let fd = unsafe { OwnedFd::from_raw_fd(port.into_raw_fd()) };
    let set = || {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut settings = tcgetattr(&fd)?;
        // Otherwise the last one to close the line drops DTR, and some devices take that for a reset.
        settings.control_flags.remove(ControlFlags::HUPCL);
        // Nothing there is then EAGAIN, and 0 bytes are a line that hung up.
        settings.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        settings.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&fd, SetArg::TCSANOW, &settings)
    };
    set().map_err(|e: Errno| format!("cannot set it up: {}", e.desc()))?;
    Ok(fd)
}

/// The most that is written at once, in bytes, as the real daemon does it.
const PIECE: usize = 512;
/// The most messages that wait, however fast the line is.
const MESSAGES: usize = 64;

/// What a message is to a line that is slower than what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// A heartbeat: it goes before all that is not begun, and in place of an older one; nothing takes its place.
    Beat,
    /// Any other message: the oldest go for newer ones.
    Message,
    /// Something sent again: it is not put on a line where anything waits, and is asked for once more.
    Again,
}

/// Whole messages that wait for a line: at most what it carries in a second, since a beat that comes late is worth less
/// than the one after it.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of the first one that are written.
    begun: usize,
    /// The first one that is not begun is a beat; no other ever is.
    beat: bool,
    /// Bytes that wait, but for those of a message that is begun.
    bytes: usize,
    /// The most of them.
    most: usize,
}

impl Queue {
    pub(super) fn new(baud: u32) -> Self {
        // Ten bits a byte, with start and stop. Slow as a line may be, a message has to fit.
        let most = (baud as usize / 10).max(PIECE);
        Self { waiting: VecDeque::new(), begun: 0, beat: false, bytes: 0, most }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        (self.begun, self.bytes, self.beat) = (0, 0, false);
    }

    /// Adds a message; returns how many have to go for it, itself included. One that is begun never goes, and a new beat or
    /// message always stays.
    pub(super) fn push(&mut self, message: &[u8], rank: Rank) -> u64 {
        if rank == Rank::Again && !self.is_empty() {
            return 1;
        }
        let first = usize::from(self.begun > 0);
        let mut dropped = 0;
        if rank == Rank::Beat && std::mem::take(&mut self.beat) {
            dropped += self.drop_at(first);
        }
        let oldest = first + usize::from(self.beat);
        while self.waiting.len() > oldest && (self.bytes + message.len() > self.most || self.waiting.len() >= MESSAGES)
        {
            dropped += self.drop_at(oldest);
        }
        self.bytes += message.len();
        if rank == Rank::Beat {
            self.beat = true;
            self.waiting.insert(first, message.to_vec());
        } else {
            self.waiting.push_back(message.to_vec());
        }
        dropped
    }

    fn drop_at(&mut self, n: usize) -> u64 {
        let Some(gone) = self.waiting.remove(n) else { return 0 };
        self.bytes -= gone.len();
        1
    }

    /// What is to be written next.
    fn piece(&self) -> Option<&[u8]> {
        let rest = self.waiting.front()?.get(self.begun..)?;
        Some(&rest[..rest.len().min(PIECE)])
    }

    /// So much of it is written.
    fn wrote(&mut self, n: usize) {
        let Some(length) = self.waiting.front().map(Vec::len) else { return };
        if self.begun == 0 && n > 0 {
            self.bytes -= length;
            self.beat = false; // if it was one, it is on its way
        }
        self.begun += n;
        if self.begun >= length {
            self.waiting.pop_front();
            self.begun = 0;
        }
    }

    /// Writes what the line takes without waiting. A line says that it has room when its driver has less than 256 bytes
    /// left: asking before each piece keeps what lies there, and cannot be overtaken, below 768 bytes.
    pub(super) fn write_to(&mut self, line: &Line) -> Result<(), String> {
        while let Some(piece) = self.piece() {
            if !line.ready(PollFlags::POLLOUT)?.contains(PollFlags::POLLOUT) {
                break;
            }
            let n = line.write(piece)?;
            if n == 0 {
                break;
            }
            self.wrote(n);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lengths(queue: &Queue) -> Vec<usize> {
        queue.waiting.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_second_of_the_line_waits_at_most() {
        let mut queue = Queue::new(9600);
        assert_eq!(queue.push(&[0; 400], Rank::Message), 0);
        assert_eq!(queue.push(&[0; 401], Rank::Message), 0);
        assert_eq!(queue.push(&[0; 200], Rank::Message), 1);
        assert_eq!(lengths(&queue), [401, 200]);
        // What is begun is not dropped and does not count.
        queue.wrote(1);
        assert_eq!(queue.push(&[0; 700], Rank::Message), 0);
        assert_eq!(queue.push(&[0; 960], Rank::Message), 2);
        assert_eq!(lengths(&queue), [401, 960]);
        queue.wrote(400);
        assert_eq!(lengths(&queue), [960]);
        // The newest always stays, even if it is too long.
        assert_eq!(queue.push(&[0; 5000], Rank::Message), 1);
        assert_eq!(lengths(&queue), [5000]);
    }

    #[test]
    fn few_messages_wait_however_short() {
        let mut queue = Queue::new(4_000_000);
        let dropped: u64 = (0..100).map(|_| queue.push(b"x", Rank::Message)).sum();
        assert_eq!((queue.len(), dropped), (MESSAGES, 36));
    }

    #[test]
    fn a_beat_goes_first_and_is_never_crowded_out() {
        let mut queue = Queue::new(9600);
        let (beat, order) = (|n| vec![n; 150], |n| vec![n; 300]);
        let seen = |queue: &Queue| -> Vec<u8> { queue.waiting.iter().map(|m| m[0]).collect() };
        queue.push(&order(1), Rank::Message);
        queue.wrote(10);
        queue.push(&order(2), Rank::Message);
        queue.push(&beat(3), Rank::Beat);
        assert_eq!(seen(&queue), [1, 3, 2], "before what is not begun");
        assert_eq!(queue.push(&beat(4), Rank::Beat), 1);
        assert_eq!(seen(&queue), [1, 4, 2], "the newer one in place of the older");
        for n in 5..100 {
            queue.push(&order(n), Rank::Message);
        }
        assert_eq!(seen(&queue), [1, 4, 98, 99]);
        assert_eq!(queue.push(&order(100), Rank::Again), 1);
        assert_eq!(queue.push(&beat(101), Rank::Beat), 1);
        assert_eq!(seen(&queue), [1, 101, 98, 99]);
        queue.wrote(290);
        queue.wrote(1);
        // That beat is begun: the next one waits behind it.
        queue.push(&beat(102), Rank::Beat);
        assert_eq!(seen(&queue), [101, 102, 98, 99]);
        // A message that is longer than all that may wait does not push a beat out either.
        assert_eq!(queue.push(&[103; 5000], Rank::Message), 2);
        assert_eq!(seen(&queue), [101, 102, 103]);
        queue.clear();
        assert_eq!(queue.push(&order(104), Rank::Again), 0, "nothing waits");
        assert_eq!(queue.push(&order(105), Rank::Again), 1);
    }

    proptest! {
        #[test]
        fn only_whole_messages_are_dropped(
            steps in prop::collection::vec((0u8..4, 1usize..1500), 1..200),
        ) {
            let mut queue = Queue::new(9600);
            let (mut written, mut said, mut dropped) = (Vec::new(), 0u64, 0);
            for (step, n) in steps {
                let ranks = [Rank::Beat, Rank::Message, Rank::Again];
                if let Some(rank) = ranks.get(usize::from(step)) {
                    // A message is its length, once for each byte, and an end.
                    let mut message = vec![b'a' + (n % 26) as u8; n];
                    message.push(b'\n');
                    dropped += queue.push(&message, *rank);
                    said += 1;
                } else if let Some(piece) = queue.piece().map(|p| p[..p.len().min(n)].to_vec()) {
                    prop_assert!(piece.len() <= PIECE);
                    queue.wrote(piece.len());
                    written.extend(piece);
                }
                let begun = usize::from(queue.begun > 0);
                let counted: usize = queue.waiting.iter().skip(begun).map(Vec::len).sum();
                prop_assert_eq!(queue.bytes, counted);
                prop_assert!(queue.bytes <= queue.most || queue.waiting.len() <= begun + 1 + usize::from(queue.beat));
            }
            while let Some(piece) = queue.piece().map(<[u8]>::to_vec) {
                queue.wrote(piece.len());
                written.extend(piece);
            }
            let lines: Vec<&[u8]> = written.split_inclusive(|b| *b == b'\n').collect();
            for line in &lines {
                let (end, body) = line.split_last().unwrap();
                prop_assert_eq!(*end, b'\n');
                prop_assert!(body.iter().all(|b| *b == body[0] && usize::from(*b - b'a') == body.len() % 26));
            }
            prop_assert_eq!(lines.len() as u64 + dropped, said);
        }
    }
}
