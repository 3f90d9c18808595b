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
use crate::cli::child::leave_all_but;
use crate::cli::duration::words;
use crate::cli::exit::Fault;
use crate::cli::wait::{Signals, Waiter};
use crate::clock::Instant;

/// How long a child that was sent SIGKILL is given to end before it counts as stuck.
const TO_DIE: Duration = Duration::from_millis(500);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    /// The deadline came first; the process is named if not even SIGKILL ends it.
    #[error("no answer in time{}", stuck.map_or_else(String::new, |p| format!(", and process {} hangs in the kernel", p.pid)))]
    Deadline {
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
            Self::Died => Failure::new(Fault::Internal, "system", format!("{what}: {self}")),
            Self::Io(error) => Failure::io(what, &error),
        }
    }
}

/// Runs `work` in a child and returns what it made of it. No lock and no socket of this process is open there.
///
/// # Errors
/// When the deadline comes first, or the child dies.
pub fn aside(deadline: Instant, work: impl FnOnce() -> Value) -> Result<Value, AsideError> {
    tethered(None, deadline, work)
}

/// The same, and `tether` stays open in the child: whoever waits for the end of that pipe waits for the child too.
///
/// # Errors
/// As [`aside`].
pub fn tethered(
    tether: Option<BorrowedFd>,
    deadline: Instant,
    work: impl FnOnce() -> Value,
) -> Result<Value, AsideError> {
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
            // SAFETY: _exit takes no resources with it but the process; destructors and atexit are the parent's.
            unsafe { libc_exit() }
        }
    };
    drop(theirs);
    match hear(&ours, deadline)? {
        Some(bytes) => {
            let _ = waitpid(child, None); // it has closed the pipe: it is at its end
            serde_json::from_slice(&bytes).map_err(|_| AsideError::Died)
        }
        None => Err(AsideError::Deadline { stuck: end(child) }),
    }
}

unsafe fn libc_exit() -> ! {
    // SAFETY: as the caller says.
    unsafe { nix::libc::_exit(0) }
}

/// Everything up to the end of the pipe, or nothing at the deadline.
fn hear(pipe: &OwnedFd, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let waiter = Waiter::new()?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 65536];
    loop {
        let ready = waiter.wait(&[(pipe.as_fd(), PollFlags::POLLIN)], Some(deadline))?;
        if ready.first().is_none_or(|r| r.is_empty()) {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            continue;
        }
        match read(pipe, &mut chunk) {
            Ok(0) => return Ok(Some(bytes)),
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
    let child = start(command)?;
    follow(child, deadline)
}

/// The same, and `tether` stays open in whatever the command starts, as with [`tethered`].
///
/// # Errors
/// As [`command`].
pub fn tethered_command(
    tether: Option<BorrowedFd>,
    command: &mut Command,
    deadline: Instant,
) -> Result<Ran, AsideError> {
    let Some(tether) = tether else { return self::command(command, deadline) };
    let inherit = |flags| nix::fcntl::fcntl(tether, nix::fcntl::FcntlArg::F_SETFD(flags)).map_err(io::Error::from);
    inherit(FdFlag::empty())?;
    let child = start(command);
    inherit(FdFlag::FD_CLOEXEC)?;
    follow(child?, deadline)
}

fn start(command: &mut Command) -> Result<Child, AsideError> {
    use std::os::unix::process::CommandExt;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // cron and scripts do not always have the folders of the system's own commands.
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(command.env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin")).env("LC_ALL", "C").spawn()?)
}

fn follow(mut child: Child, deadline: Instant) -> Result<Ran, AsideError> {
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
        let mut fds: Vec<_> = said.iter().filter(|s| s.open).map(|s| (s.pipe.as_fd(), PollFlags::POLLIN)).collect();
        fds.extend(process.iter().map(|p| (p.as_fd(), PollFlags::POLLIN)));
        if process.is_some() || fds.is_empty() {
            waiter.wait(&fds, Some(deadline))?;
        } else {
            let soon = Instant::now() + TO_DIE / 100; // it was too quick for a descriptor: it ends just now
            waiter.wait(&fds, Some(soon.min(deadline)))?;
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

    #[test]
    fn commands() {
        let ran = command(Command::new("sh").args(["-c", "echo out; echo a  b >&2; exit 3"]), soon()).expect("runs");
        assert_eq!((ran.status, ran.stdout.as_str(), ran.words.as_str()), (3, "out\n", "a b"));
        let ran = command(Command::new("sh").args(["-c", "kill -9 $$"]), soon()).expect("runs");
        assert_eq!(ran.status, 137);
        assert!(matches!(command(&mut Command::new("/nonexistent"), soon()), Err(AsideError::Io(_))));
    }
}
