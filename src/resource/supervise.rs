//! One run of one agent: with a deadline, and without anything that outlives it where it did not end by itself.
//!
//! The agent runs below a process of our own, the watcher, that takes in every orphan of it. So whatever an agent that
//! ran out of time has started can be found and ended, also what left its process group and its session; and what an
//! agent has started that ended by itself, a daemon, is nobody else's. The watcher ends the agent when we end or are
//! killed. A daemon may go on writing to the stdout that it was started with: the watcher then stays, reads and
//! forgets, so that the daemon does not die of a closed pipe.
//!
//! No agent is waited for beyond its own end: that its output stays open means nothing.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, pipe2};
use serde_json::{Value, json};

use super::answer::{Ended, Listener, Report, Said};
use super::call::Call;
use crate::cli::child;
use crate::cli::wait::{Signals, Waiter};
use crate::clock::Instant;

/// Bytes of the end of the output that are kept.
const TAIL: usize = 2048;

/// How long processes that were killed may take to go: longer than that they hang in the kernel.
const DYING: Duration = Duration::from_secs(2);

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

/// Runs a program to its end, or to ours: a signal that arrives meanwhile ends it, and is returned beside the report.
pub fn run(call: &Call, limits: Limits, signals: &Signals) -> io::Result<(Report, Option<Signal>)> {
    let (result, sender) = pipe2(OFlag::O_CLOEXEC)?;
    let (held, leash) = pipe2(OFlag::O_CLOEXEC)?;
    // Our own copies of its two descriptors go with the closure.
    child::background(&[sender.as_raw_fd(), held.as_raw_fd()], move || {
        // Without a word the other side knows that nothing is known.
        let _ = Watcher::watch(call, limits, held, sender);
    })?;
    let mut leash = Some(leash);
    let mut signal = None;
    let waiter = Waiter::new()?;
    let deadline = Instant::now() + limits.timeout + limits.grace + DYING + MARGIN;
    let mut text = Vec::new();
    let mut result = File::from(result);
    // The report is one line; a watcher that dies before it has told all just closes the pipe.
    while !text.ends_with(b"\n") {
        let ready = waiter
            .wait(&[(result.as_fd(), PollFlags::POLLIN), (signals.as_fd(), PollFlags::POLLIN)], Some(deadline))?;
        if !ready[0].is_empty() {
            let mut part = [0; 4096];
            match result.read(&mut part) {
                Ok(0) => break,
                Ok(n) => text.extend_from_slice(&part[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if let Some(arrived) = signals.arrived() {
            signal = signal.or(Some(arrived));
            leash = None; // tells the watcher
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    drop(leash);
    let (report, stays) = decode(&text);
    // It has said all, and ends now, or reads for a daemon: then it is the system's as soon as we end. Only where it had to
    // end others is it waited for, so that all of them are gone.
    let ends = !stays && matches!(report.ended, Ended::TimedOut(_) | Ended::Interrupted(_));
    let flags = if ends { None } else { Some(WaitPidFlag::WNOHANG) };
    let _ = waitpid(None, flags);
    Ok((report, signal))
}

/// The report as a line between the watcher and us, and whether the watcher stays.
fn encode(report: &Report, stays: bool) -> Value {
    let ended = match &report.ended {
        Ended::Exit(code) => json!(["exit", code]),
        Ended::Signal(signal) => json!(["signal", signal]),
        Ended::TimedOut(left) => json!(["timed-out", left]),
        Ended::Interrupted(left) => json!(["interrupted", left]),
        Ended::NotRun(why) => json!(["not-run", why]),
        Ended::Lost => json!(["lost"]),
    };
    let Said { answered, not_running, running, ok, error, usage } = report.said;
    json!([ended, [answered, not_running, running, ok, error, usage], report.out, report.tail, stays])
}

fn decode(text: &[u8]) -> (Report, bool) {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    let flag = |n: usize| value[1][n].as_bool().unwrap_or(false);
    let number = |v: &Value| v.as_i64().and_then(|n| i32::try_from(n).ok());
    let numbers = |v: &Value| v.as_array().map(|all| all.iter().filter_map(number).collect()).unwrap_or_default();
    let what = &value[0][1];
    let ended = match (value[0][0].as_str(), number(what)) {
        (Some("exit"), Some(code)) => Ended::Exit(code),
        (Some("signal"), Some(signal)) => Ended::Signal(signal),
        (Some("timed-out"), _) => Ended::TimedOut(numbers(what)),
        (Some("interrupted"), _) => Ended::Interrupted(numbers(what)),
        (Some("not-run"), _) => Ended::NotRun(what.as_str().unwrap_or_default().to_owned()),
        _ => Ended::Lost,
    };
    let said =
        Said { answered: flag(0), not_running: flag(1), running: flag(2), ok: flag(3), error: flag(4), usage: flag(5) };
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    (Report { ended, said, out: text(&value[2]), tail: text(&value[3]) }, value[4].as_bool().unwrap_or(true))
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
    fn watch(call: &Call, limits: Limits, leash: OwnedFd, sender: OwnedFd) -> io::Result<()> {
        prctl::set_child_subreaper(true)?;
        let mask = SigSet::from(Signal::SIGCHLD);
        mask.thread_block()?;
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let deadline = Instant::now() + limits.timeout;
        let (out, out_end) = pipe2(OFlag::O_CLOEXEC)?;
        let (err, err_end) = pipe2(OFlag::O_CLOEXEC)?;
        for fd in [&out, &err] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let heard = Heard::new(limits.keep);
        let leader = match spawn(call, &out_end, &err_end) {
            Ok(leader) => leader,
            Err(e) => {
                let report = heard.report(Ended::NotRun(e.to_string()));
                return send(sender, &report, false);
            }
        };
        drop((out_end, err_end));
        let mut watcher = Self {
            children,
            waiter: Waiter::new()?,
            out: Some(out.into()),
            err: Some(err.into()),
            heard,
            leader,
            status: None,
            alone: false,
        };
        let ended = watcher.until_end(deadline, limits.grace, &leash)?;
        // What it wrote before it ended is in the pipes already.
        watcher.read();
        let stays = watcher.out.is_some() || watcher.err.is_some();
        send(sender, &watcher.heard.report(ended), stays)?;
        watcher.drain()
    }

    /// How the agent ended, by itself or by us.
    fn until_end(&mut self, deadline: Instant, grace: Duration, leash: &OwnedFd) -> io::Result<Ended> {
        loop {
            self.reap();
            if let Some(status) = self.status.take() {
                return Ok(status);
            }
            if self.alone {
                return Ok(Ended::Lost); // by a signal that has no name
            }
            if Instant::now() >= deadline {
                return Ok(Ended::TimedOut(self.end(grace)?));
            }
            if self.wait(Some(leash), deadline)? {
                return Ok(Ended::Interrupted(self.end(grace)?));
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
        loop {
            let (pid, ended) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Ended::Exit(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signal(signal as i32)),
                Err(Errno::ECHILD) => {
                    self.alone = true;
                    return;
                }
                _ => return,
            };
            if pid == self.leader {
                self.status = Some(ended);
            }
        }
    }

    /// Ends the agent and everything that it has started; returns what could not be ended.
    fn end(&mut self, grace: Duration) -> io::Result<Vec<i32>> {
        self.signal_all(Signal::SIGTERM);
        let mut until = Instant::now() + grace;
        while !self.alone && Instant::now() < until {
            self.wait(None, until)?;
            self.reap();
        }
        until = Instant::now() + DYING;
        while !self.alone && Instant::now() < until {
            // Again and again: one may fork while the others are being killed.
            self.signal_all(Signal::SIGKILL);
            self.wait(None, Instant::now() + Duration::from_millis(10))?;
            self.reap();
        }
        Ok(if self.alone { Vec::new() } else { below(Pid::this()).into_iter().map(Pid::as_raw).collect() })
    }

    fn signal_all(&self, signal: Signal) {
        // Errors: it has ended already. The leader is not reaped before it ends, nor is its group reused while it lives.
        if self.status.is_none() {
            let _ = killpg(self.leader, signal);
        }
        for pid in below(Pid::this()) {
            let _ = kill(pid, signal);
        }
    }

    /// Reads and forgets what a daemon still writes to the stdout of its start.
    fn drain(mut self) -> io::Result<()> {
        if self.out.is_none() && self.err.is_none() {
            return Ok(());
        }
        prctl::set_child_subreaper(false)?;
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
    File::from(sender).write_all(format!("{}\n", encode(report, stays)).as_bytes())
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
    match posix_spawnp(&program, &files, &attributes, &args, &env) {
        Err(Errno::ENOEXEC) => {
            let args: Vec<&CStr> = std::iter::once(c"sh").chain(args.iter().map(|a| a.as_c_str())).collect();
            Ok(posix_spawnp(c"/bin/sh", &files, &attributes, &args, &env)?)
        }
        other => Ok(other?),
    }
}

/// All processes below this one, from `/proc`; none where that is another namespace's, whose numbers mean others.
fn below(root: Pid) -> Vec<Pid> {
    let own = std::fs::read_link("/proc/self").ok().and_then(|p| p.to_str()?.parse().ok());
    if own != Some(Pid::this().as_raw()) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parent = |path: PathBuf| {
        let pid: i32 = path.file_name()?.to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        // The name may hold anything; what follows its last bracket is the state and the parent.
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    let all: Vec<(i32, i32)> = entries.filter_map(|e| parent(e.ok()?.path())).collect();
    let mut found = Vec::new();
    let mut todo = vec![root.as_raw()];
    while let Some(at) = todo.pop() {
        for (pid, _) in all.iter().filter(|(_, parent)| *parent == at) {
            found.push(Pid::from_raw(*pid));
            todo.push(*pid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(ended: Ended) -> Report {
        let said = Said { answered: true, running: true, ..Said::default() };
        Report { ended, said, out: "a\u{0}ä".into(), tail: "\n\"".into() }
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
            Ended::Lost,
        ] {
            let report = report(ended);
            for stays in [false, true] {
                assert_eq!(decode(encode(&report, stays).to_string().as_bytes()), (report.clone(), stays));
            }
        }
    }

    proptest! {
        /// Half a line, and any other, is a run of which nothing is known.
        #[test]
        fn what_was_cut_off_is_lost(cut in 0usize..60) {
            let text = encode(&report(Ended::Exit(0)), false).to_string();
            prop_assume!(cut < text.len());
            prop_assert_eq!(decode(&text.as_bytes()[..cut]).0.ended, Ended::Lost);
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
