//! Work that may hang, in a child with a deadline: whatever looks into a mount or at a path below one.
//!
//! A dead file server stops whoever touches it, at times beyond the reach of SIGKILL. The child is then left behind, with
//! no descriptor of ours but the end of a pipe.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FdFlag, OFlag};
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, read, write};
use serde_json::Value;

use super::process::{Process, wait_for_end};
use crate::cli::Failure;
use crate::cli::child::{leave, leave_all_but};
use crate::cli::duration::words;
use crate::cli::exit::Fault;
use crate::cli::wait::{Signals, Waiter};
use crate::clock::Instant;

/// How long a child that was sent SIGKILL is given to end before it counts as stuck.
pub const TO_DIE: Duration = Duration::from_millis(500);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    /// The deadline came first; the process is named if not even SIGKILL ends it.
    #[error("no answer in time{}", stuck.map_or_else(String::new, |p| format!(", and process {} hangs in the kernel", p.pid)))]
    Deadline {
        /// It hangs in the kernel, and may go on one day.
        stuck: Option<Process>,
    },
    /// What it was done for is over; the process as above.
    #[error("it was ended early")]
    Stopped {
        /// It hangs in the kernel, and may go on one day.
        stuck: Option<Process>,
    },
    /// It ended without a result.
    #[error("the child that looked ended without an answer")]
    Died,
    /// It could not be started or heard.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl AsideError {
    /// The same as the failure of `what`, which had `deadline`.
    pub fn failure(self, what: &str, deadline: Duration) -> Failure {
        match self {
            Self::Deadline { stuck } => {
                let hangs = stuck.map_or_else(String::new, |p| format!("; process {} hangs in the kernel", p.pid));
                Failure::new(Fault::Undetermined, "deadline", format!("{what}: not within {}{hangs}", words(deadline)))
            }
            Self::Stopped { .. } => {
                Failure::new(Fault::Undetermined, "claim-lost", format!("{what}: ended, as the claim is lost"))
            }
            Self::Died => Failure::new(Fault::Internal, "system", format!("{what}: {self}")),
            Self::Io(error) => Failure::io(what, &error),
        }
    }
}

/// What joins a child to the claim that it works under.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ties<'a> {
    /// Open in the child too: whoever waits for the end of that pipe waits for the child.
    pub tether: Option<BorrowedFd<'a>>,
    /// The child is ended when this becomes readable.
    pub stop: Option<BorrowedFd<'a>>,
}

/// Runs `work` in a child and returns what it made of it. No lock and no socket of this process is open there.
///
/// # Errors
/// When the deadline comes first, or the child dies.
pub fn aside(deadline: Instant, work: impl FnOnce() -> Value) -> Result<Value, AsideError> {
    tethered(Ties::default(), deadline, work)
}

/// A system call that may hang, in a child: what the kernel says to it.
///
/// # Errors
/// As [`aside`].
pub fn call(
    ties: Ties,
    deadline: Instant,
    work: impl FnOnce() -> nix::Result<()>,
) -> Result<nix::Result<()>, AsideError> {
    // An errno that is not known has the number of none at all: success is no number.
    let said = tethered(ties, deadline, || work().err().map_or(Value::Null, |errno| (errno as i32).into()))?;
    match said.as_i64() {
        Some(errno) => Ok(Err(Errno::from_raw(errno as i32))),
        None if said.is_null() => Ok(Ok(())),
        None => Err(AsideError::Died),
    }
}

/// The same as [`aside`], tied to a claim.
///
/// # Errors
/// As [`aside`].
pub fn tethered(ties: Ties, deadline: Instant, work: impl FnOnce() -> Value) -> Result<Value, AsideError> {
    let Ties { tether, stop } = ties;
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (w, r)).map_err(io::Error::from)?;
    // SAFETY: the commands that come here have one thread, so the child may use everything that the parent could.
    let child = match unsafe { fork() }.map_err(io::Error::from)? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let keep: Vec<_> = tether.iter().map(AsRawFd::as_raw_fd).chain([theirs.as_raw_fd()]).collect();
            leave_all_but(&keep);
            let _ = Signals::release();
            let text = work().to_string();
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                match write(&theirs, rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(Errno::EINTR) => {}
                    Err(_) => break,
                }
            }
            leave()
        }
    };
    drop(theirs);
    match hear(&ours, stop, deadline)? {
        Heard::All(bytes) => {
            let _ = waitpid(child, None); // it has closed the pipe: it is at its end
            serde_json::from_slice(&bytes).map_err(|_| AsideError::Died)
        }
        Heard::Late => Err(AsideError::Deadline { stuck: end(child) }),
        Heard::Stop => Err(AsideError::Stopped { stuck: end(child) }),
    }
}

enum Heard {
    All(Vec<u8>),
    Late,
    Stop,
}

/// Everything up to the end of the pipe, unless the deadline or `stop` comes first.
fn hear(pipe: &OwnedFd, stop: Option<BorrowedFd>, deadline: Instant) -> io::Result<Heard> {
    let waiter = Waiter::new()?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 65536];
    loop {
        let mut fds = vec![(pipe.as_fd(), PollFlags::POLLIN)];
        fds.extend(stop.map(|fd| (fd, PollFlags::POLLIN)));
        let ready = waiter.wait(&fds, Some(deadline))?;
        if ready.first().is_none_or(|r| r.is_empty()) {
            if ready.get(1).is_some_and(|r| !r.is_empty()) {
                return Ok(Heard::Stop);
            }
            if Instant::now() >= deadline {
                return Ok(Heard::Late);
            }
            continue;
        }
        match read(pipe, &mut chunk) {
            Ok(0) => return Ok(Heard::All(bytes)),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Ends a child of ours; the process, if it does not end.
fn end(child: Pid) -> Option<Process> {
    let process = Process::of(child.as_raw());
    let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
    if let Some(fd) = process.and_then(|p| p.open().ok().flatten()) {
        let _ = wait_for_end(&[fd], Instant::now() + TO_DIE);
    }
    match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) => process,
        _ => None,
    }
}

/// What a command of the system said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; 128 and the signal, if one ended it.
    pub status: i32,
    /// stdout.
    pub stdout: String,
    /// stderr, or stdout where that is empty, as one line.
    pub words: String,
}

/// Runs a command of the system in a process group of its own, to its end or to the deadline; then nothing of it is left
/// but what hangs in the kernel.
///
/// # Errors
/// When the deadline comes first, or there is no such command.
pub fn command(command: &mut Command, deadline: Instant) -> Result<Ran, AsideError> {
    tethered_command(Ties::default(), command, deadline)
}

/// The same, tied to a claim with whatever the command starts.
///
/// # Errors
/// As [`command`].
pub fn tethered_command(
    Ties { tether, stop }: Ties,
    command: &mut Command,
    deadline: Instant,
) -> Result<Ran, AsideError> {
    let Some(tether) = tether else { return follow(start(command)?, stop, deadline) };
    let inherit = |flags| nix::fcntl::fcntl(tether, nix::fcntl::FcntlArg::F_SETFD(flags)).map_err(io::Error::from);
    inherit(FdFlag::empty())?;
    let child = start(command);
    inherit(FdFlag::FD_CLOEXEC)?;
    follow(child?, stop, deadline)
}

fn start(command: &mut Command) -> Result<Child, AsideError> {
    use std::os::unix::process::CommandExt;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // cron and scripts do not always have the folders of the system's own commands.
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(command.env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin")).env("LC_ALL", "C").spawn()?)
}

fn follow(mut child: Child, stop: Option<BorrowedFd>, deadline: Instant) -> Result<Ran, AsideError> {
    use std::os::unix::process::ExitStatusExt;
    let pid = Pid::from_raw(child.id() as i32);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else { return Err(AsideError::Died) };
    let mut said = [Said::of(stdout.into())?, Said::of(stderr.into())?];
    // Until it ends, not until its pipes do: a helper that stays in the background may keep them open.
    let process = Process::of(child.id() as i32).map(Process::open).transpose()?.flatten();
    let waiter = Waiter::new()?;
    loop {
        said.iter_mut().try_for_each(Said::drain)?;
        if let Some(status) = child.try_wait()? {
            said.iter_mut().try_for_each(Said::drain)?;
            let [stdout, stderr] = said.map(|s| String::from_utf8_lossy(&s.bytes).into_owned());
            let words = if stderr.trim().is_empty() { &stdout } else { &stderr };
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            return Ok(Ran { status, words, stdout });
        }
        if Instant::now() >= deadline {
            let _ = nix::sys::signal::killpg(pid, Signal::SIGKILL);
            return Err(AsideError::Deadline { stuck: end(pid) });
        }
        let mut fds: Vec<_> = stop.iter().map(|fd| (*fd, PollFlags::POLLIN)).collect();
        fds.extend(said.iter().filter(|s| s.open).map(|s| (s.pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(process.iter().map(|p| (p.as_fd(), PollFlags::POLLIN)));
        // Without a descriptor it was too quick for one: it ends just now.
        let soon = process.is_none().then(|| Instant::now() + TO_DIE / 100);
        let ready = waiter.wait(&fds, Some(soon.map_or(deadline, |soon| soon.min(deadline))))?;
        if stop.is_some() && ready.first().is_some_and(|r| !r.is_empty()) && child.try_wait()?.is_none() {
            let _ = nix::sys::signal::killpg(pid, Signal::SIGKILL);
            return Err(AsideError::Stopped { stuck: end(pid) });
        }
    }
}

/// What a command has said on one pipe so far.
struct Said {
    pipe: OwnedFd,
    bytes: Vec<u8>,
    open: bool,
}

impl Said {
    /// More is read, so that it need not wait, and thrown away.
    const KEPT: usize = 64 * 1024;

    fn of(pipe: OwnedFd) -> io::Result<Self> {
        nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe, bytes: Vec::new(), open: true })
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        while self.open {
            match read(&self.pipe, &mut chunk) {
                Ok(0) => self.open = false,
                Ok(n) => {
                    let room = Self::KEPT.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&chunk[..n.min(room)]);
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn an_answer_comes_back() {
        let long = "x".repeat(300_000);
        let got = aside(soon(), || Value::from(long.clone())).expect("an answer");
        assert_eq!(got, Value::from(long));
    }

    #[test]
    fn whoever_hangs_is_ended() {
        let past = Instant::now();
        let hung = aside(past, || {
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        });
        assert!(matches!(hung, Err(AsideError::Deadline { stuck: None })), "{hung:?}");
        let hung = command(Command::new("sleep").arg("60"), past);
        assert!(matches!(hung, Err(AsideError::Deadline { stuck: None })), "{hung:?}");
        assert!(matches!(aside(soon(), || std::process::abort()), Err(AsideError::Died)));
    }

    /// What the claim was for is over: nothing goes on under it.
    #[test]
    fn whoever_is_told_to_stop_is_ended() {
        let (news, told) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let ties = Ties { tether: None, stop: Some(news.as_fd()) };
        write(&told, b"x").expect("writes");
        let stopped = tethered_command(ties, Command::new("sleep").arg("60"), soon());
        assert!(matches!(stopped, Err(AsideError::Stopped { stuck: None })), "{stopped:?}");
        let stopped = call(ties, soon(), || {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        });
        assert!(matches!(stopped, Err(AsideError::Stopped { stuck: None })), "{stopped:?}");
    }

    #[test]
    fn calls() {
        for said in [Ok(()), Err(Errno::EBUSY), Err(Errno::UnknownErrno)] {
            assert_eq!(call(Ties::default(), soon(), || said).expect("an answer"), said);
        }
    }

    #[test]
    fn commands() {
        let ran = command(Command::new("sh").args(["-c", "echo out; echo a  b >&2; exit 3"]), soon()).expect("runs");
        assert_eq!((ran.status, ran.stdout.as_str(), ran.words.as_str()), (3, "out\n", "a b"));
        let ran = command(Command::new("sh").args(["-c", "kill -9 $$"]), soon()).expect("runs");
        assert_eq!(ran.status, 137);
        assert!(matches!(command(&mut Command::new("/nonexistent"), soon()), Err(AsideError::Io(_))));
    }
}
