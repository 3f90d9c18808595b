//! The children of probe-exec: many at once, each in a process group of its own, none of which outlives us.
//!
//! A guard, a process that only waits, is told of each group. When we are gone, in whatever way, its pipe ends, and it
//! kills what is left.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{AccessFlags, Pid, access};

use super::target::Target;
use super::{Ending, MOST_DETAIL};
use crate::args::probe_exec::Style;
use crate::cli::child::background;

/// How long a group that was told to end has.
pub const GRACE: Duration = Duration::from_secs(1);
/// Bytes of output that are kept: a summary and a detail.
const KEPT: usize = 2 * MOST_DETAIL + 1;

/// A check that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pipe: Option<PipeReader>,
    said: Vec<u8>,
}

impl Running {
    /// To wait on; none when it has closed its end.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there. What is more than we keep is read all the same: nobody is to die of a full pipe.
    pub fn read(&mut self) {
        let mut part = [0; 4096];
        // One that writes without end must not keep us from the others.
        for _ in 0..64 {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut part) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    let room = KEPT.saturating_sub(self.said.len()).min(n);
                    self.said.extend_from_slice(&part[..room]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// All that it has said.
    pub fn take_said(&mut self) -> Vec<u8> {
        self.read();
        std::mem::take(&mut self.said)
    }

    /// Tells it and all of its group to end.
    pub fn signal(&self, signal: Signal) {
        // Its pid is its group's, and is not used again before it is reaped. It may have ended meanwhile.
        let _ = killpg(self.pid(), signal);
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

/// Starts checks, and takes them in.
#[derive(Debug)]
pub struct Nursery {
    guard: File,
    ended: SignalFd,
}

impl Nursery {
    /// A guard, and a descriptor that tells of ended children.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let keep = reader.as_raw_fd();
        // Before the signal is kept back: the guard has no use for it.
        background(&[keep], move || guard(reader))?;
        let mask = SigSet::from(Signal::SIGCHLD);
        mask.thread_block()?;
        let ended = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { guard: File::from(std::os::fd::OwnedFd::from(writer)), ended })
    }

    /// To wait on: a child has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Starts a check.
    ///
    /// # Errors
    /// The kernel's refusal: not there, not executable, too many processes.
    pub fn start(&mut self, target: &Target, memory: &[(&str, String)]) -> io::Result<Running> {
        let (mut command, pipe) = prepared(None, target, memory)?;
        let (child, pipe) = match command.spawn() {
            // A script without a first line that says whose it is is the shell's, as execvp(3) has it.
            Err(e) if e.raw_os_error() == Some(nix::libc::ENOEXEC) => {
                let (mut command, pipe) = prepared(Some(&script(target)), target, memory)?;
                (command.spawn()?, pipe)
            }
            other => (other?, pipe),
        };
        // A group that nobody knows of would outlive us; without a guard nothing more is started.
        let running = Running { child, pipe: Some(pipe), said: Vec::new() };
        if let Err(e) = self.guard.write_all(&running.pid().as_raw().to_ne_bytes()) {
            running.signal(Signal::SIGKILL);
            return Err(e);
        }
        Ok(running)
    }

    /// Takes in all that have ended, each with its target.
    pub fn reap(&mut self, running: &mut HashMap<Pid, (usize, Running)>) -> Vec<(usize, Running, Ending)> {
        while let Ok(Some(_)) = self.ended.read_signal() {} // which ones is asked below
        let mut ended = Vec::new();
        let mut more = true;
        while more {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let pids: Vec<Pid> = match waitid(Id::All, flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
                Ok(status) => status.pid().into_iter().collect(),
                Err(Errno::EINTR) => continue,
                // One that died of a signal without a name: each is asked.
                Err(_) => {
                    more = false;
                    running.keys().copied().collect()
                }
            };
            for pid in pids {
                let Some((target, mut run)) = running.remove(&pid) else {
                    let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG); // the guard
                    continue;
                };
                if !has_ended(pid) {
                    running.insert(pid, (target, run));
                    continue;
                }
                // What it said is in the pipe; what it leaves in its group goes before its number is free.
                run.read();
                run.signal(Signal::SIGKILL);
                let ending = match run.child.try_wait() {
                    Ok(Some(status)) => status
                        .code()
                        .map(Ending::Exit)
                        .or_else(|| status.signal().map(Ending::Signal))
                        .unwrap_or(Ending::Signal(0)),
                    Ok(None) | Err(_) => Ending::Signal(0),
                };
                let _ = self.guard.write_all(&(-pid.as_raw()).to_ne_bytes()); // it is only less careful then
                ended.push((target, run, ending));
            }
        }
        ended
    }
}

/// Whether a child has ended, which the pid alone tells only if its signal has a name.
fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive))
}

/// A file without a name that holds a text, from its beginning.
fn filled(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"stdin", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// A check as it is started, and what reads its output; with `script` a shell runs that in the place of the program.
fn prepared(script: Option<&Path>, target: &Target, memory: &[(&str, String)]) -> io::Result<(Command, PipeReader)> {
    let (pipe, theirs) = io::pipe()?;
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let stderr = match target.style {
        Style::Mon => Stdio::from(theirs.try_clone()?),
        Style::Nagios | Style::Lsb => Stdio::inherit(),
    };
    let stdin = match &target.input {
        Some(text) => Stdio::from(filled(text)?),
        None => Stdio::null(),
    };
    let mut words = target.command.iter();
    let program = words.next().ok_or_else(|| io::Error::from(Errno::EINVAL))?;
    let mut command = Command::new(script.map_or(program.as_os_str(), |_| OsStr::new("/bin/sh")));
    command.args(script).args(words).stdin(stdin).stdout(theirs).stderr(stderr).process_group(0);
    command.envs(memory.iter().map(|(name, value)| (*name, value))).envs(&target.env);
    Ok((command, pipe))
}

/// Where the program of a check is: a shell looks for the script that it is given here first, and not on PATH.
fn script(target: &Target) -> PathBuf {
    let program = target.command.first().map(Path::new).unwrap_or_else(|| Path::new(""));
    let found = || {
        let path = target.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"))?;
        let places = std::env::split_paths(&path).map(|dir| dir.join(program));
        places.into_iter().find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
    };
    let named = program.as_os_str().as_bytes().contains(&b'/');
    let file = if named { None } else { found() }.unwrap_or_else(|| program.to_owned());
    // What begins with a hyphen is a file all the same.
    Path::new(".").join(file)
}

/// Waits for our end, and kills what is left then.
fn guard(mut pipe: PipeReader) {
    let mut groups = std::collections::HashSet::new();
    let mut word = [0; 4];
    while pipe.read_exact(&mut word).is_ok() {
        match i32::from_ne_bytes(word) {
            0 => {}
            pid @ 1.. => {
                groups.insert(pid);
            }
            gone => {
                groups.remove(&-gone);
            }
        }
    }
    for pid in groups {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL); // it may be gone
    }
}
