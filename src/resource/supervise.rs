//! One run of one agent: with a deadline, and without anything that outlives it where it did not end by itself.
//!
//! The agent runs below a process of our own, the watcher, that takes in every orphan of it. So whatever an agent that
//! ran out of time has started can be found and ended, also what left its process group and its session; and what an
//! agent has started that ended by itself, a daemon, is nobody else's. The watcher ends the agent when we end or are
//! killed. A daemon may go on writing to the stdout that it was started with: the watcher then stays, reads and
//! forgets, so that the daemon does not die of a closed pipe.
//!
//! No agent is waited for beyond its own end: that its output stays open means nothing.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn, posix_spawnp};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, chdir, close, pipe2, read};

use super::answer::{Ended, Listener, Report, Said};
use super::call::Call;
use super::lock::Lock;
use super::processes;
use crate::cli::child;
use crate::cli::wait::{Signals, Waiter};
use crate::clock::Instant;
use crate::storage::process::Process;

/// Bytes of the end of the output that are kept.
const TAIL: usize = 2048;

/// How long processes that were killed may take to go: longer than that they hang in the kernel.
const DYING: Duration = Duration::from_secs(2);

/// Between two looks at what has no descriptor to wait on.
const STEP: Duration = Duration::from_millis(10);

/// How long the watcher may take beyond all that it waits for.
const MARGIN: Duration = Duration::from_secs(10);

/// What one run may take and leave.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Then it is told to end.
    pub timeout: Duration,
    /// That long after it was told, it is killed.
    pub grace: Duration,
    /// Bytes of the beginning of stdout that are wanted.
    pub keep: usize,
}

/// Runs agents one after the other.
#[derive(Debug, Default)]
pub struct Supervisor {
    /// Those that watched over earlier ones, and are about to end.
    ending: Vec<Pid>,
}

impl Supervisor {
    /// Runs a program to its end, or to ours: a signal that arrives meanwhile ends it, and is returned beside the report.
    /// With a lock, only while no other call has that.
    pub fn run(
        &mut self,
        call: &Call,
        lock: Option<Lock>,
        limits: Limits,
        signals: &Signals,
    ) -> (Report, Option<Signal>) {
        match self.begin(call, lock, limits) {
            Ok(run) => {
                let (report, stays, signal) = run.end(limits, signals);
                if !stays {
                    self.ending.push(run.watcher);
                }
                (report, signal)
            }
            Err(e) => (Report::silent(Ended::NotRun(e.to_string())), None),
        }
    }

    /// Nothing runs where this fails.
    fn begin(&mut self, call: &Call, lock: Option<Lock>, limits: Limits) -> io::Result<Running> {
        let strangers = self.strangers();
        let (result, sender) = pipe2(OFlag::O_CLOEXEC)?;
        let (held, leash) = pipe2(OFlag::O_CLOEXEC)?;
        let waiter = Waiter::new()?;
        // Should what watches over the agent be killed, all that the agent has started becomes ours.
        prctl::set_child_subreaper(true)?;
        let lock = lock.map(Rc::new);
        let theirs = lock.clone();
        let keep: Vec<RawFd> =
            [sender.as_raw_fd(), held.as_raw_fd()].into_iter().chain(lock.iter().map(|l| l.as_raw_fd())).collect();
        // Our own copies of its descriptors go with the closure.
        let watcher = child::background(&keep, move || {
            // Without a word the other side knows that nothing is known.
            let _ = Watcher::watch(call, theirs.as_deref(), limits, held, sender);
        });
        let watcher = watcher.inspect_err(|_| leave_orphans())?;
        Ok(Running { watcher, strangers, result: result.into(), leash: Some(leash).into(), waiter, _lock: lock })
    }

    /// What is below us and was not started by the next run: daemons whose output is read, and children of whoever called
    /// us.
    fn strangers(&mut self) -> Vec<Process> {
        if reap(|pid, _| self.ending.retain(|p| *p != pid)) {
            return Vec::new();
        }
        // Watchers that are about to end are the rule, and not worth a look at all processes.
        let childless = |pid: &Pid| processes::children(*pid).is_some_and(|c| c.is_empty());
        match processes::children(Pid::this()) {
            Some(children) if children.iter().all(|c| self.ending.contains(c) && childless(c)) => Vec::new(),
            _ => processes::below(Pid::this(), &[]),
        }
    }
}

/// Orphans are the system's, as they are where nobody asked for them.
fn leave_orphans() {
    let _ = prctl::set_child_subreaper(false);
}

/// A run that has begun, as we see it.
struct Running {
    watcher: Pid,
    /// Children of ours that have nothing to do with it.
    strangers: Vec<Process>,
    result: File,
    /// Its end tells the watcher to end the agent, and in the end that we have heard it.
    leash: Cell<Option<OwnedFd>>,
    waiter: Waiter,
    /// Ours goes when nothing is left of the agent.
    _lock: Option<Rc<Lock>>,
}

impl Running {
    /// The report, whether the watcher stays, and a signal that came.
    fn end(&self, limits: Limits, signals: &Signals) -> (Report, bool, Option<Signal>) {
        let (text, signal) = self.hear(limits, signals);
        let Some((report, stays)) = decode(&text) else {
            let left = self.end_all();
            leave_orphans();
            return (Report::silent(Ended::Lost(left)), false, signal);
        };
        // Before the watcher goes: what an agent that ended by itself has left is the system's.
        leave_orphans();
        drop(self.leash.take());
        // Only where it had to end others is it waited for, so that all of them are gone.
        let ends = !stays && matches!(report.ended, Ended::TimedOut(_) | Ended::Interrupted(_));
        let flags = if ends { None } else { Some(WaitPidFlag::WNOHANG) };
        let _ = waitpid(self.watcher, flags);
        (report, stays, signal)
    }

    /// What the watcher has to say, and a signal that came meanwhile. One that dies before it has told all just closes the
    /// pipe; one that is stopped says nothing in time.
    fn hear(&self, limits: Limits, signals: &Signals) -> (Vec<u8>, Option<Signal>) {
        let to_end = limits.grace + DYING + MARGIN;
        let mut deadline = Instant::now() + limits.timeout + to_end;
        let (mut text, mut signal) = (Vec::new(), None);
        // The report is one line.
        while !text.ends_with(b"\n") && Instant::now() < deadline {
            let fds = [(self.result.as_fd(), PollFlags::POLLIN), (signals.as_fd(), PollFlags::POLLIN)];
            let Ok(ready) = self.waiter.wait(&fds, Some(deadline)) else { break };
            if !ready[0].is_empty() {
                let mut part = [0; 4096];
                match (&self.result).read(&mut part) {
                    Ok(0) => break,
                    Ok(n) => text.extend_from_slice(&part[..n]),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            if let Some(arrived) = signals.arrived() {
                signal = signal.or(Some(arrived));
                drop(self.leash.take()); // tells the watcher
                deadline = deadline.min(Instant::now() + to_end);
            }
        }
        (text, signal)
    }

    /// Ends the watcher and all that the agent has started; returns what could not be ended.
    fn end_all(&self) -> Vec<i32> {
        // It may be stopped, which is no hindrance to SIGKILL. What it had below it is ours then.
        let _ = kill(self.watcher, Signal::SIGKILL);
        let until = Instant::now() + DYING;
        loop {
            let alone = reap(|_, _| {});
            let doomed = processes::below(Pid::this(), &self.strangers);
            if alone || (doomed.is_empty() && processes::listable()) {
                return Vec::new();
            }
            if Instant::now() >= until {
                return named(&doomed);
            }
            doomed.into_iter().for_each(|p| processes::signal(p, Signal::SIGKILL));
            std::thread::sleep(STEP);
        }
    }
}

/// Processes for a report.
fn named(left: &[Process]) -> Vec<i32> {
    if left.is_empty() { vec![0] } else { left.iter().map(|p| p.pid).collect() }
}

/// Takes in all children that have ended; whether none is left at all.
fn reap(mut ended: impl FnMut(Pid, Ended)) -> bool {
    loop {
        let mut status = 0;
        // SAFETY: no crate in use tells who died of a signal without a name, a realtime one. The number is ours to write.
        let pid = unsafe { nix::libc::waitpid(-1, &raw mut status, nix::libc::WNOHANG) };
        match (pid, Errno::last()) {
            (1.., _) => {
                let status = ExitStatus::from_raw(status);
                let how = status.code().map(Ended::Exit).or_else(|| status.signal().map(Ended::Signal));
                if let Some(how) = how {
                    ended(Pid::from_raw(pid), how);
                }
            }
            (0, _) => return false,
            (_, Errno::EINTR) => {}
            (_, errno) => return errno == Errno::ECHILD,
        }
    }
}

/// The report and whether the watcher stays, from its line; none where that is not whole.
fn decode(text: &[u8]) -> Option<(Report, bool)> {
    serde_json::from_slice(text.strip_suffix(b"\n")?).ok()
}

/// Output as it comes.
struct Heard {
    listener: Listener,
    /// Of stderr only the usage line is wanted.
    errors: Listener,
    out: Vec<u8>,
    keep: usize,
    tail: Vec<u8>,
}

impl Heard {
    fn new(keep: usize) -> Self {
        let (listener, errors) = (Listener::default(), Listener::default());
        Self { listener, errors, out: Vec::new(), keep, tail: Vec::new() }
    }

    fn stdout(&mut self, bytes: &[u8]) {
        self.listener.hear(bytes);
        let room = self.keep.saturating_sub(self.out.len());
        self.out.extend(bytes.iter().take(room));
        self.any(bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.errors.hear(bytes);
        self.any(bytes);
    }

    fn any(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 4 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.tail[self.tail.len().saturating_sub(TAIL)..]);
        // A character that was cut in two at the front says nothing.
        text.trim_start_matches(char::REPLACEMENT_CHARACTER).trim().to_owned()
    }
}

/// The process between us and the agent, which owns everything that the agent leaves behind.
struct Watcher {
    children: SignalFd,
    waiter: Waiter,
    out: Option<File>,
    err: Option<File>,
    heard: Heard,
    leader: Pid,
    /// How the agent itself ended.
    status: Option<Ended>,
    /// No process is left below us.
    alone: bool,
}

impl Watcher {
    fn watch(call: &Call, lock: Option<&Lock>, limits: Limits, leash: OwnedFd, sender: OwnedFd) -> io::Result<()> {
        let deadline = Instant::now() + limits.timeout;
        let (mut watcher, ends) = match Self::prepare(limits) {
            Ok(prepared) => prepared,
            Err(e) => return send(sender, &Report::silent(Ended::NotRun(e.to_string())), false),
        };
        let ended = match watcher.begin(call, lock, ends, deadline, &leash) {
            Some(ended) => ended,
            None => watcher.until_end(deadline, limits.grace, &leash),
        };
        // What it wrote before it ended is in the pipes already.
        watcher.read();
        let survivors = match &ended {
            Ended::TimedOut(left) | Ended::Interrupted(left) | Ended::Lost(left) => !left.is_empty(),
            Ended::Exit(_) | Ended::Signal(_) | Ended::NotRun(_) => false,
        };
        let stays = survivors || watcher.out.is_some() || watcher.err.is_some();
        // Nobody else may act as long as something of the agent is left.
        if !survivors && let Some(lock) = lock {
            let _ = close(lock.as_raw_fd());
        }
        let _ = send(sender, &watcher.heard.report(ended), stays); // whoever wanted it may be gone
        let _ = read(&leash, &mut [0; 1]); // its end: the report was heard
        if survivors {
            watcher.outlast();
        }
        watcher.drain()
    }

    /// Everything that can fail before anything runs, and the other ends of the pipes.
    fn prepare(limits: Limits) -> io::Result<(Self, [OwnedFd; 2])> {
        prctl::set_child_subreaper(true)?;
        // Whoever means us means the agent: that is ended by the leash, and not set free.
        Signals::block()?;
        let mask = SigSet::from(Signal::SIGCHLD);
        mask.thread_block()?;
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let (out, out_end) = pipe2(OFlag::O_CLOEXEC)?;
        let (err, err_end) = pipe2(OFlag::O_CLOEXEC)?;
        for fd in [&out, &err] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let watcher = Self {
            children,
            waiter: Waiter::new()?,
            out: Some(out.into()),
            err: Some(err.into()),
            heard: Heard::new(limits.keep),
            leader: Pid::this(),
            status: None,
            alone: false,
        };
        Ok((watcher, [out_end, err_end]))
    }

    /// Takes the lock and starts the agent; why it was not started, if it was not.
    fn begin(
        &mut self,
        call: &Call,
        lock: Option<&Lock>,
        [out, err]: [OwnedFd; 2],
        deadline: Instant,
        leash: &OwnedFd,
    ) -> Option<Ended> {
        if let Some(lock) = lock
            && let Some(ended) = self.take(lock, deadline, leash)
        {
            return Some(ended);
        }
        match spawn(call, &out, &err) {
            Ok(leader) => self.leader = leader,
            Err(e) => return Some(Ended::NotRun(e.to_string())),
        }
        None
    }

    /// Waits for the lock; what came of it, if it does not get it.
    fn take(&self, lock: &Lock, deadline: Instant, leash: &OwnedFd) -> Option<Ended> {
        loop {
            match lock.take() {
                Ok(true) => return None,
                Ok(false) if Instant::now() >= deadline => {
                    return Some(Ended::NotRun(format!("another call acts on it all the time: {}", lock.holder())));
                }
                Ok(false) => {}
                Err(e) => return Some(Ended::NotRun(format!("cannot lock it: {e}"))),
            }
            let until = deadline.min(Instant::now() + STEP);
            match self.waiter.wait(&[(leash.as_fd(), PollFlags::POLLIN)], Some(until)) {
                Ok(ready) if ready[0].is_empty() => {}
                Ok(_) => return Some(Ended::Interrupted(Vec::new())),
                Err(e) => return Some(Ended::NotRun(format!("cannot wait for its lock: {e}"))),
            }
        }
    }

    /// How the agent ended, by itself or by us.
    fn until_end(&mut self, deadline: Instant, grace: Duration, leash: &OwnedFd) -> Ended {
        loop {
            self.reap();
            match self.status.clone() {
                // Somebody else's: what it was about to do is half done, and may go on below it.
                Some(Ended::Signal(signal)) => {
                    let left = self.end(grace);
                    return if left.is_empty() { Ended::Signal(signal) } else { Ended::Lost(left) };
                }
                Some(status) => return status,
                None if self.alone => return Ended::Lost(Vec::new()),
                None => {}
            }
            if Instant::now() >= deadline {
                return Ended::TimedOut(self.end(grace));
            }
            match self.wait(Some(leash), deadline) {
                Ok(false) => {}
                Ok(true) => return Ended::Interrupted(self.end(grace)),
                Err(_) => return Ended::Lost(self.end(grace)),
            }
        }
    }

    /// Waits until something happens, and reads what has come. Whether the leash is gone.
    fn wait(&mut self, leash: Option<&OwnedFd>, deadline: Instant) -> io::Result<bool> {
        let mut fds = vec![(self.children.as_fd(), PollFlags::POLLIN)];
        fds.extend(leash.map(|l| (l.as_fd(), PollFlags::POLLIN)));
        let pipes = [&self.out, &self.err];
        fds.extend(pipes.into_iter().flatten().map(|p| (p.as_fd(), PollFlags::POLLIN)));
        let ready = self.waiter.wait(&fds, Some(deadline))?;
        let gone = leash.is_some() && !ready[1].is_empty();
        while let Ok(Some(_)) = self.children.read_signal() {} // the numbers of children do not matter
        self.read();
        Ok(gone)
    }

    /// Reads what is there; a pipe that ends is closed.
    fn read(&mut self) {
        for (pipe, stdout) in [(&mut self.out, true), (&mut self.err, false)] {
            let Some(file) = pipe else { continue };
            let mut part = [0; 4096]; // small: each page of a stack is a fault after a fork
            // Somebody who writes for ever must not keep us from the clock.
            for _ in 0..256 {
                match file.read(&mut part) {
                    Ok(0) => {
                        *pipe = None;
                        break;
                    }
                    Ok(n) if stdout => self.heard.stdout(&part[..n]),
                    Ok(n) => self.heard.stderr(&part[..n]),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break, // nothing there now
                }
            }
        }
    }

    /// Takes in who has ended, orphans as well.
    fn reap(&mut self) {
        let (leader, status) = (self.leader, &mut self.status);
        self.alone = reap(|pid, ended| {
            if pid == leader {
                *status = Some(ended);
            }
        });
    }

    /// Ends the agent and everything that it has started; returns what could not be ended.
    fn end(&mut self, grace: Duration) -> Vec<i32> {
        self.reap();
        if !self.alone {
            self.signal_all(Signal::SIGTERM);
        }
        let mut until = Instant::now() + grace;
        while !self.alone && Instant::now() < until {
            self.step(until);
        }
        until = Instant::now() + DYING;
        while !self.alone && Instant::now() < until {
            // Again and again: one may fork while the others are being killed.
            self.signal_all(Signal::SIGKILL);
            self.step(Instant::now() + STEP);
        }
        if self.alone { Vec::new() } else { named(&processes::below(Pid::this(), &[])) }
    }

    /// Waits for somebody to end, and takes them in.
    fn step(&mut self, until: Instant) {
        if self.wait(None, until).is_err() {
            std::thread::sleep(STEP);
        }
        self.reap();
    }

    /// Waits until nothing is left below us.
    fn outlast(&mut self) {
        while !self.alone {
            self.signal_all(Signal::SIGKILL);
            self.step(Instant::now() + Duration::from_secs(1));
        }
    }

    fn signal_all(&self, signal: Signal) {
        // Errors: it has ended already. The leader is not reaped before it ends, nor is its group reused while it lives.
        if self.status.is_none() {
            let _ = killpg(self.leader, signal);
        }
        processes::below(Pid::this(), &[]).into_iter().for_each(|p| processes::signal(p, signal));
    }

    /// Reads and forgets what a daemon still writes to the stdout of its start.
    fn drain(mut self) -> io::Result<()> {
        if self.out.is_none() && self.err.is_none() {
            return Ok(());
        }
        prctl::set_child_subreaper(false)?;
        Signals::release()?; // it holds nothing up any more
        self.heard.keep = 0;
        while self.out.is_some() || self.err.is_some() {
            self.wait(None, Instant::now() + Duration::from_secs(86_400))?;
            self.reap();
        }
        Ok(())
    }
}

impl Heard {
    fn report(&self, ended: Ended) -> Report {
        let said = self.listener.said();
        Report {
            ended,
            said: Said { usage: said.usage || self.errors.said().usage, ..said },
            out: String::from_utf8_lossy(&self.out).into_owned(),
            tail: self.tail(),
        }
    }
}

/// Hands the report over, as a line.
fn send(sender: OwnedFd, report: &Report, stays: bool) -> io::Result<()> {
    let mut line = serde_json::to_string(&(report, stays))?;
    line.push('\n');
    File::from(sender).write_all(line.as_bytes())
}

/// Starts the program of a call in a session of its own, in the root folder (where the watcher goes, too), without stdin
/// and with no signal blocked or ignored by us; returns its pid. A script without a first line that says whose it is is
/// the shell's, as execvp(3) has it. It shares memory until the program is there: a fork would copy the tables of ours.
fn spawn(call: &Call, out: &OwnedFd, err: &OwnedFd) -> io::Result<Pid> {
    let word = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| io::Error::from(Errno::EINVAL));
    let program = word(call.program.as_os_str())?;
    let args: Vec<CString> = call.args.iter().map(|a| word(a)).collect::<io::Result<_>>()?;
    let args: Vec<&CString> = std::iter::once(&program).chain(&args).collect();
    let variable = |(name, value): &(OsString, OsString)| {
        let mut text = name.clone();
        text.push("=");
        text.push(value);
        word(&text)
    };
    let env: Vec<CString> = call.env.iter().map(variable).collect::<io::Result<_>>()?;
    chdir("/")?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_open(0, c"/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    files.add_dup2(out.as_raw_fd(), 1)?;
    files.add_dup2(err.as_raw_fd(), 2)?;
    let mut attributes = PosixSpawnAttr::init()?;
    let session = PosixSpawnFlags::from_bits_retain(nix::libc::POSIX_SPAWN_SETSID.into());
    attributes.set_flags(session | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    // systemctl alone is looked for in PATH: an agent is the file that was judged.
    let spawned = match call.program.is_absolute() {
        true => posix_spawn(program.as_c_str(), &files, &attributes, &args, &env),
        false => posix_spawnp(&program, &files, &attributes, &args, &env),
    };
    match spawned {
        Err(Errno::ENOEXEC) => {
            let args: Vec<&CStr> = std::iter::once(c"sh").chain(args.iter().map(|a| a.as_c_str())).collect();
            Ok(posix_spawn(c"/bin/sh", &files, &attributes, &args, &env)?)
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(ended: Ended) -> Report {
        let said = Said { answered: true, running: true, ..Said::default() };
        Report { ended, said, out: "a\u{0}ä".into(), tail: "\n\"".into() }
    }

    fn line(report: &Report, stays: bool) -> Vec<u8> {
        format!("{}\n", serde_json::to_string(&(report, stays)).unwrap()).into_bytes()
    }

    #[test]
    fn reports_come_back() {
        for ended in [
            Ended::Exit(0),
            Ended::Exit(255),
            Ended::Signal(9),
            Ended::TimedOut(Vec::new()),
            Ended::TimedOut(vec![3, 4]),
            Ended::Interrupted(vec![5]),
            Ended::NotRun("no".into()),
            Ended::Lost(vec![0]),
        ] {
            let report = report(ended);
            for stays in [false, true] {
                assert_eq!(decode(&line(&report, stays)), Some((report.clone(), stays)));
            }
        }
    }

    proptest! {
        /// Half a line, and any other, is a run of which nothing is known.
        #[test]
        fn what_was_cut_off_is_lost(cut in 0usize..60) {
            let text = line(&report(Ended::Exit(0)), false);
            prop_assume!(cut < text.len());
            prop_assert_eq!(decode(&text[..cut]), None);
        }
    }

    #[test]
    fn a_usage_line_counts_on_stderr_too() {
        for (out, err, usage) in [("", "Usage: x", true), ("usage: x", "", true), ("", "x: no such action", false)] {
            let mut heard = Heard::new(0);
            heard.stdout(out.as_bytes());
            heard.stderr(err.as_bytes());
            assert_eq!(heard.report(Ended::Exit(1)).said.usage, usage, "{out} {err}");
        }
    }

    #[test]
    fn the_tail_is_the_end_and_whole_characters() {
        let mut heard = Heard::new(3);
        for _ in 0..1000 {
            heard.stdout("äöü".repeat(11).as_bytes());
        }
        heard.any(b"end\n");
        let tail = heard.tail();
        assert!(tail.len() <= TAIL && tail.ends_with("üend") && !tail.contains(char::REPLACEMENT_CHARACTER), "{tail}");
        assert_eq!(heard.out.len(), 3);
    }
}
