//! What watching costs while all is well: CPU of a whole process tree, exact to the microsecond.
//!
//! The tree runs under a subreaper, which waits for every process of it, so that its children's time holds all of them.
//! Start and end are the same in a short and in a long run: the difference of the two is the watching.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use takeover_lab::{Child, Lab};

use crate::failover;
use crate::process::cpu_of_children;
use crate::stats::{Bound, Row, Samples, millis};

const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(12);
/// For everything that has to end by itself.
const STEP: Duration = Duration::from_secs(10);

/// Measures the watcher and the loop in turn.
pub fn measure(bin: &Path, runs: usize, mut row: impl FnMut(Row)) -> anyhow::Result<()> {
    let lab = Lab::up(&[("primary", "10.9.0.1/24"), ("standby", "10.9.0.2/24"), ("client", "10.9.0.3/24")]);
    let mut server = lab.host("primary").command(bin.join("lab-client"));
    server.args(["serve", "0.0.0.0:80"]);
    let mut server = Child::spawn(server);
    server.next(STEP);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 0..runs {
        eprintln!("lab-bench: CPU, {} of {runs}", n + 1);
        ours.push(each_second(&lab, bin, Watcher::Ours)?);
        theirs.push(each_second(&lab, bin, Watcher::Loop)?);
    }
    let what = "watching each 100 ms, the whole process tree: CPU, ms a second";
    row(Row::new(what, Samples::new(ours))
        .beside("shell loop, curl and sleep 0.1", Samples::new(theirs))
        .bound(Bound::Times(0.2)));
    Ok(())
}

#[derive(Clone, Copy)]
enum Watcher {
    Ours,
    Loop,
}

/// CPU in ms for each second of watching.
fn each_second(lab: &Lab, bin: &Path, watcher: Watcher) -> anyhow::Result<f64> {
    let lasting = |d: Duration| -> anyhow::Result<f64> {
        let (words, path) = match watcher {
            Watcher::Ours => failover::standby_watch(bin)?,
            Watcher::Loop => (failover::shell_loop("--max-time 1"), std::env::var_os("PATH").unwrap_or_default()),
        };
        let us = std::env::current_exe().context("where is this program?")?;
        let mut command = lab.host("standby").command(us);
        command.args(["tree", "--for", &format!("{}ms", d.as_millis()), "--", "sh", "-c", &words]).env("PATH", path);
        let output = command.stderr(Stdio::inherit()).output().context("the tree")?;
        ensure!(output.status.success(), "the tree ended with {}", output.status);
        String::from_utf8_lossy(&output.stdout).trim().parse().context("the tree's answer")
    };
    let (short, long) = (lasting(SHORT)?, lasting(LONG)?);
    Ok((long - short) / (LONG - SHORT).as_secs_f64())
}

/// Runs a command for so long, ends it and whatever it has started, and prints the CPU time of all of it in ms.
pub fn tree(lasts: Duration, words: &[OsString]) -> anyhow::Result<()> {
    set_child_subreaper(true).context("prctl")?;
    let (program, rest) = words.split_first().context("which command?")?;
    let mut command = Command::new(program);
    let mut child = command.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the command")?;
    sleep(lasts);
    ensure!(child.try_wait().context("wait")?.is_none(), "it has ended by itself: run it by hand to see why");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).context("kill")?;
    let start = Instant::now();
    let mut patience = STEP;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => break,
            Ok(WaitStatus::StillAlive) if start.elapsed() >= patience => {
                // What does not end by itself is killed, and its children after it.
                for pid in children()? {
                    kill(pid, Signal::SIGKILL).context("kill")?;
                }
                ensure!(start.elapsed() < STEP * 2, "processes that cannot be killed");
                patience += Duration::from_millis(100);
            }
            Ok(WaitStatus::StillAlive) => sleep(Duration::from_millis(10)),
            Ok(_) => {}
            Err(e) => return Err(e).context("wait"),
        }
    }
    println!("{}", millis(cpu_of_children()?));
    Ok(())
}

/// Those that are ours now: not reaped, so that their numbers are still their own.
fn children() -> anyhow::Result<Vec<Pid>> {
    let id = std::process::id();
    let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).context("children")?;
    list.split_whitespace().map(|pid| Ok(Pid::from_raw(pid.parse()?))).collect()
}
