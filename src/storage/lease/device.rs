//! The device: direct input and output in a process of its own.
//!
//! A read or a write of a device that went away may hang for any time, and nothing ends it, not even SIGKILL. So a
//! child opens the device, reads and writes, one at a time, and the keeper only ever waits for its answer on a socket,
//! with a deadline. The child ends with the socket. While an answer is outstanding nothing else is asked: what was
//! written may still land.
//!
//! A child and no thread: a process whose thread hangs in the kernel cannot end either, and a keeper may fork.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use super::LeaseError;
use super::record::{self, BLOCK, Kind, Record, SIZE, Sector, encode};
use crate::cli::child::leave;
use crate::cli::wait::Waiter;
use crate::clock::Instant;

/// What is looked at before a device without any record is taken for blank: file systems keep their marks in it.
const HEAD: usize = 128 << 10;

/// Errors of ours among the errnos that the child answers with.
const TOO_LATE: i32 = 10_001;
const NOT_A_DISK: i32 = 10_002;
const TOO_SMALL: i32 = 10_003;

/// To the child: what, where, not after; then the block.
const ASK: usize = 24;
/// From the child: errno; then what was read.
const ANSWER: usize = 8;

const OPENED: u64 = 0;
const READ: u64 = 1;
const WRITE: u64 = 2;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// What was read.
    Read(Result<Box<[u8; SIZE]>, Trouble>),
    /// Whether it was written and is durable.
    Wrote(Result<(), Trouble>),
}

/// What the device or the child said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The kernel's word.
    #[error("{}", .0.desc())]
    Errno(Errno),
    /// It was not begun: it would have been too late.
    #[error("it was too late to begin")]
    TooLate,
    /// The child is gone.
    #[error("the process that reads and writes it ended")]
    Gone,
    /// A directory, a pipe, a character device.
    #[error("it is neither a block device nor a regular file")]
    NotADisk,
    /// Less than two blocks.
    #[error("it is smaller than {SIZE} bytes")]
    TooSmall,
}

impl Trouble {
    fn of(number: i32) -> Self {
        match number {
            TOO_LATE => Self::TooLate,
            NOT_A_DISK => Self::NotADisk,
            TOO_SMALL => Self::TooSmall,
            number => Self::Errno(Errno::from_raw(number)),
        }
    }
}

/// A device that is read and written at arm's length.
#[derive(Debug)]
pub struct Device {
    path: PathBuf,
    writes: bool,
    socket: OwnedFd,
    /// What was asked and is not answered: [`READ`] or [`WRITE`].
    pending: Option<u64>,
    gone: bool,
}

impl Device {
    /// Opens it, and makes sure that it holds a lease or nothing at all.
    ///
    /// # Errors
    /// It cannot be opened for direct input and output, is something else, or does not answer within `timeout`.
    pub fn open(path: &Path, writes: bool, timeout: Duration) -> Result<Self, LeaseError> {
        // The working directory may be another when the child has to be started again.
        let path = &std::path::absolute(path).map_err(|e| LeaseError::system(path, &e))?;
        let socket = spawn(path, writes).map_err(|e| failed(path, Trouble::Errno(e)))?;
        let mut device = Self { path: path.clone(), writes, socket, pending: Some(OPENED), gone: false };
        match device.wait(timeout)? {
            Reply::Wrote(Err(trouble)) => return Err(failed(path, trouble)),
            Reply::Wrote(Ok(())) | Reply::Read(_) => {}
        }
        device.survey(timeout)?;
        Ok(device)
    }

    fn survey(&mut self, timeout: Duration) -> Result<(), LeaseError> {
        let mut head = Vec::with_capacity(HEAD);
        for at in (0..HEAD as u64).step_by(SIZE) {
            self.ask(READ, at, Instant::now() + timeout, &[]);
            match self.wait(timeout)? {
                Reply::Read(Ok(bytes)) => head.extend_from_slice(&bytes[..]),
                // Its end.
                Reply::Read(Err(Trouble::TooSmall)) if at > 0 => break,
                Reply::Read(Err(trouble)) | Reply::Wrote(Err(trouble)) => return Err(failed(&self.path, trouble)),
                Reply::Wrote(Ok(())) => {}
            }
            match record::parse(Kind::Lease, &head) {
                Sector::Record(_) | Sector::Garbled(_) => return Ok(()),
                Sector::Blank | Sector::Foreign(_) => {}
            }
        }
        // Somebody blanked a lease, and its holder gave it up after that.
        let note = head.get(BLOCK..).map(|block| record::parse(Kind::Note, block));
        let ours = matches!(note, Some(Sector::Record(_) | Sector::Garbled(_)));
        let clean = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.iter().all(|b| *b == 0));
        if clean(head.get(..BLOCK)) && (ours || clean(head.get(BLOCK..SIZE))) && clean(head.get(SIZE..)) {
            return Ok(());
        }
        let what = match (record::recognise(&head), record::parse(Kind::Lease, &head)) {
            (Some(what), _) | (None, Sector::Foreign(what)) => what,
            (None, _) => "it begins with zeros, but something else stands behind them",
        };
        Err(LeaseError::Foreign { device: self.path.clone(), what })
    }

    /// Waits for the answer.
    fn wait(&mut self, timeout: Duration) -> Result<Reply, LeaseError> {
        let deadline = Instant::now() + timeout;
        let waiter = Waiter::new().map_err(|e| LeaseError::system(&self.path, &e))?;
        loop {
            if let Some(reply) = self.reply() {
                return Ok(reply);
            }
            if deadline <= Instant::now() {
                return Err(LeaseError::silent(&self.path, timeout));
            }
            waiter
                .wait(&[(self.as_fd(), PollFlags::POLLIN)], Some(deadline))
                .map_err(|e| LeaseError::system(&self.path, &e))?;
        }
    }

    /// Waits until nothing is under way, and returns what came; nothing when nothing was, or it did not end in time.
    pub fn settle(&mut self, timeout: Duration) -> Option<Reply> {
        self.pending?;
        self.wait(timeout).ok()
    }

    /// Whether an answer is outstanding.
    pub fn busy(&self) -> bool {
        self.pending.is_some()
    }

    /// Asks for both blocks.
    pub fn read(&mut self) {
        self.ask(READ, 0, Instant::at(Duration::MAX), &[]);
    }

    /// Asks for a record to be written, unless it cannot be begun by then.
    pub fn write(&mut self, kind: Kind, record: &Record, not_after: Instant) {
        self.ask(WRITE, kind.offset(), not_after, &encode(kind, record));
    }

    fn ask(&mut self, what: u64, offset: u64, not_after: Instant, block: &[u8]) {
        debug_assert!(self.pending.is_none(), "one at a time");
        self.pending = Some(what);
        if self.gone {
            // Its end is the end of what it did: the kernel waits for that before it closes the socket.
            match spawn(&self.path, self.writes) {
                Ok(socket) => (self.socket, self.gone) = (socket, false),
                Err(_) => return, // the answer is that it is gone
            }
        }
        let not_after = u64::try_from(not_after.since_boot().as_nanos()).unwrap_or(u64::MAX);
        let mut message = Vec::with_capacity(ASK + block.len());
        for number in [what, offset, not_after] {
            message.extend_from_slice(&number.to_le_bytes());
        }
        message.extend_from_slice(block);
        // What cannot be sent is answered by the end of the socket.
        let _ = send(self.socket.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
    }

    /// The answer, if there is one.
    pub fn reply(&mut self) -> Option<Reply> {
        let pending = self.pending?;
        let mut message = [0; ANSWER + SIZE];
        loop {
            let got = match self.gone {
                true => Ok(0),
                false => recv(self.socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT),
            };
            let result = match got {
                Err(Errno::EAGAIN | Errno::EINTR) => return None,
                Err(_) => Err(Trouble::Gone),
                Ok(size) if size < ANSWER => Err(Trouble::Gone),
                Ok(size) => match i32::from_le_bytes([message[0], message[1], message[2], message[3]]) {
                    // A child that was started again says first that it could open.
                    0 if message[4] == OPENED as u8 && pending != OPENED => continue,
                    0 => Ok(size),
                    number => Err(Trouble::of(number)),
                },
            };
            self.gone |= result == Err(Trouble::Gone) || message[4] == OPENED as u8 && result.is_err();
            self.pending = None;
            return Some(match (pending, result) {
                (READ, Ok(_)) => Reply::Read(message.last_chunk().map(|b| Box::new(*b)).ok_or(Trouble::Gone)),
                (READ, Err(trouble)) => Reply::Read(Err(trouble)),
                (_, result) => Reply::Wrote(result.map(|_| ())),
            });
        }
    }
}

impl AsFd for Device {
    /// Readable when there is an answer.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn failed(path: &Path, trouble: Trouble) -> LeaseError {
    LeaseError::Device { device: path.to_owned(), trouble }
}

#[repr(C, align(4096))]
struct Buffer([u8; SIZE]);

/// Starts the child; the socket to it.
fn spawn(path: &Path, writes: bool) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // All that the child needs is there before it is: other threads may hold locks while we fork, the allocator's among
    // them.
    let mut buffer = Box::new(Buffer([0; SIZE]));
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    // SAFETY: the child calls nothing but system calls and code that neither allocates nor locks, until it ends.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(theirs);
            // It only makes another, whom nobody has to wait for.
            let _ = waitpid(child, None);
            Ok(ours)
        }
        ForkResult::Child => {
            // SAFETY: as above.
            if matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
                serve(&path, writes, theirs.as_raw_fd(), &mut buffer);
            }
            leave()
        }
    }
}

/// The child. No allocation, no panic, no lock.
fn serve(path: &CString, writes: bool, socket: RawFd, buffer: &mut Buffer) {
    // SAFETY: plain system calls on descriptors and memory of this process, which has one thread. Everything but the
    // socket is closed, so that nobody waits for the end of a pipe or a lock that we inherited; signals are blocked,
    // because it is the keeper that decides when to end, and its end is ours.
    let socket = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        libc::setsid();
        libc::dup2(socket, 0);
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        // So that the device gets neither number.
        libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        OwnedFd::from_raw_fd(0)
    };
    let mut answer = [0; ANSWER + SIZE];
    let device = match opened(path, writes) {
        Ok(device) => device,
        Err(number) => {
            say(&socket, &mut answer, OPENED, number, 0);
            std::mem::forget(socket);
            return;
        }
    };
    let mut alive = say(&socket, &mut answer, OPENED, 0, 0);
    let mut ask = [0; ASK + BLOCK];
    while alive {
        // SAFETY: the buffer is as long as said.
        let got = unsafe { libc::recv(socket.as_raw_fd(), ask.as_mut_ptr().cast(), ask.len(), 0) };
        let number =
            |n: usize| ask.get(n * 8..n * 8 + 8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
        let (what, offset, not_after) = (number(0), number(1) as libc::off_t, number(2));
        let device = device.as_raw_fd();
        let (result, size) = match what {
            _ if got < ASK as isize => break, // the keeper is gone
            WRITE if got as usize != ASK + BLOCK => (libc::EINVAL, 0),
            WRITE => {
                let size = ask.len() - ASK;
                buffer.0[..size].copy_from_slice(&ask[ASK..]);
                // As late as can be: what is decided too late is better not done.
                if u128::from(not_after) < Instant::now().since_boot().as_nanos() {
                    (TOO_LATE, 0)
                } else {
                    // SAFETY: the buffer is longer than what is written of it.
                    let done = unsafe { libc::pwrite(device, buffer.0.as_ptr().cast(), BLOCK, offset) };
                    (outcome(done, BLOCK), 0)
                }
            }
            _ => {
                // SAFETY: the buffer is as long as what is read into it.
                let done = unsafe { libc::pread(device, buffer.0.as_mut_ptr().cast(), SIZE, offset) };
                answer[ANSWER..].copy_from_slice(&buffer.0);
                (outcome(done, SIZE), SIZE)
            }
        };
        alive = say(&socket, &mut answer, what, result, size);
    }
    std::mem::forget((socket, device)); // `_exit` closes them
}

fn outcome(done: isize, wanted: usize) -> i32 {
    match usize::try_from(done) {
        Ok(done) if done == wanted => 0,
        Ok(_) => TOO_SMALL,
        Err(_) => Errno::last_raw(),
    }
}

fn say(socket: &OwnedFd, answer: &mut [u8; ANSWER + SIZE], what: u64, number: i32, size: usize) -> bool {
    answer[..4].copy_from_slice(&number.to_le_bytes());
    answer[4] = what as u8;
    // SAFETY: not more than the length of the buffer.
    let sent =
        unsafe { libc::send(socket.as_raw_fd(), answer.as_ptr().cast(), ANSWER + size.min(SIZE), libc::MSG_NOSIGNAL) };
    sent > 0
}

fn opened(path: &CString, writes: bool) -> Result<OwnedFd, i32> {
    let mode = if writes { libc::O_RDWR | libc::O_DSYNC } else { libc::O_RDONLY };
    // Not blocking: a pipe in that place would hang.
    let flags = mode | libc::O_DIRECT | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    // SAFETY: a path that ends with a zero; the descriptor that comes back is nobody else's.
    let (device, stat) = unsafe {
        let fd = libc::open(path.as_ptr(), flags);
        if fd < 0 {
            return Err(Errno::last_raw());
        }
        let device = OwnedFd::from_raw_fd(fd);
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &mut stat) < 0 {
            return Err(Errno::last_raw());
        }
        (device, stat)
    };
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFBLK => Ok(device),
        libc::S_IFREG if stat.st_size < SIZE as i64 => Err(TOO_SMALL),
        libc::S_IFREG => Ok(device),
        _ => Err(NOT_A_DISK),
    }
}
