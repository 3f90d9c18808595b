//! Whole processes, measured from the outside: how long, how much CPU, how much memory.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::ptrace::{self, Options};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::stats::millis;

/// A command line and the status that it has to end with: anything else measures something else.
#[derive(Clone, Debug)]
pub struct Line {
    words: Vec<String>,
    program: PathBuf,
    status: i32,
    env: Vec<(String, String)>,
}

impl Line {
    /// From words separated by spaces; the first one is the program, a path or a name on PATH.
    pub fn new(program: impl Into<PathBuf>, words: &str) -> Self {
        Self {
            words: words.split_whitespace().map(str::to_owned).collect(),
            program: program.into(),
            status: 0,
            env: Vec::new(),
        }
    }

    /// Has to end with this status.
    pub fn ends(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// With this in its environment, beside ours.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        command.args(&self.words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn check(&self, ended: ExitStatus) -> anyhow::Result<()> {
        let Self { words, program, status, .. } = self;
        ensure!(
            ended.code() == Some(*status),
            "{} {} was to end with {status}: {ended}",
            program.display(),
            words.join(" ")
        );
        Ok(())
    }
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From before the fork to after the wait, on `CLOCK_MONOTONIC`, in milliseconds.
    pub wall_ms: f64,
    /// User and system time of the process and those that it waited for, in milliseconds.
    pub cpu_ms: f64,
}

/// User and system time of all children that were waited for.
pub fn cpu_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let sum = usage.user_time() + usage.system_time();
    Ok(Duration::new(sum.tv_sec().cast_unsigned(), sum.tv_usec() as u32 * 1000))
}

/// Runs it to its end once. No other child may end meanwhile.
pub fn run(line: &Line) -> anyhow::Result<Cost> {
    let mut command = line.command();
    let before = cpu_of_children()?;
    let start = Instant::now();
    let ended = command.status();
    let wall = start.elapsed();
    let ended = ended.with_context(|| format!("cannot run {}", line.program.display()))?;
    line.check(ended)?;
    Ok(Cost { wall_ms: millis(wall), cpu_ms: millis(cpu_of_children()?.saturating_sub(before)) })
}

/// As [`run`], with the time of orphans that end within a moment: the processes between the command and its agent. The wall
/// time is the command's own.
pub fn run_with_orphans(line: &Line) -> anyhow::Result<Cost> {
    nix::sys::prctl::set_child_subreaper(true).context("prctl")?;
    reap_orphans(); // of the run before
    let before = cpu_of_children()?;
    let cost = run(line)?;
    std::thread::sleep(Duration::from_millis(20));
    reap_orphans();
    Ok(Cost { cpu_ms: millis(cpu_of_children()?.saturating_sub(before)), ..cost })
}

fn reap_orphans() {
    use nix::sys::wait::WaitPidFlag;
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
}

/// The peak memory of one run, in MB of 2^20 bytes, as ps and top count: what the kernel counts for its address space at its end. The figure
/// in rusage will not do: it begins with the memory of the process that forked.
pub fn peak_mb(line: &Line) -> anyhow::Result<f64> {
    let mut command = line.command();
    // SAFETY: one system call, which allocates nothing and takes no lock.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().with_context(|| format!("cannot run {}", line.program.display()))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let mut peak = None;
    let mut started = false;
    // Every way out but its end leaves a stopped child, which EXITKILL ends with us.
    loop {
        let forward = match waitpid(pid, None).context("waitpid")? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) if !started => {
                started = true;
                let options = Options::PTRACE_O_TRACEEXIT | Options::PTRACE_O_EXITKILL;
                ptrace::setoptions(pid, options).context("ptrace")?;
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::PtraceEvent(..) => {
                peak = high_water(pid).or(peak);
                None
            }
            WaitStatus::Exited(_, status) => {
                line.check(ExitStatus::from_raw(status << 8))?;
                return peak.map(|kb| kb as f64 / 1024.0).context("the kernel told no VmHWM");
            }
            WaitStatus::Signaled(_, signal, _) => bail!("{} was ended by {signal}", line.program.display()),
            _ => None,
        };
        ptrace::cont(pid, forward).context("ptrace")?;
    }
}

/// VmHWM in kB.
pub fn high_water(pid: Pid) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_run_costs_something_and_has_to_end_as_told() {
        let cost = run(&Line::new("true", "")).unwrap();
        assert!(cost.wall_ms > 0.0 && cost.wall_ms.is_finite() && cost.cpu_ms > 0.0);
        assert!(run(&Line::new("false", "")).is_err());
        assert!(run(&Line::new("false", "").ends(1)).is_ok());
        assert!(run(&Line::new("/nowhere", "")).is_err());
    }

    #[test]
    fn the_peak_is_the_programs_own() {
        let own = high_water(Pid::this()).unwrap() as f64 / 1024.0;
        let ballast = std::hint::black_box(vec![1_u8; 64 << 20]);
        let small = peak_mb(&Line::new("true", "")).unwrap();
        assert!(small > 0.2 && small < own + 30.0, "{small}, while this process had {}", ballast.len());
        let large = peak_mb(&Line::new("head", "-c 30000000 /dev/zero")).unwrap();
        assert!(large < 20.0, "{large}");
        assert!(peak_mb(&Line::new("false", "")).is_err());
    }
}
