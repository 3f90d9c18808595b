//! The edge of probe-exec: children, their output and the clock.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::child::{GRACE, Nursery, Running};
use super::target::{Target, from_line, from_words};
use super::{Ending, Outcome, event, judge};
use crate::args::probe_exec::{ProbeExec, Style};
use crate::cli::exit::Answer;
use crate::cli::output::{Output, OutputError};
use crate::cli::wait::{Signals, Waiter, stdout_gone};
use crate::cli::{Error, Failure, objects};
use crate::clock::Instant;
use crate::probe::Verdict;
use crate::probe::stream;
use crate::probe::watch::Watch;

/// The period of what has none of its own, beside others that have one.
const USUAL: Duration = Duration::from_secs(1);

/// Probes until there is an answer.
///
/// # Errors
/// Lines that are no checks, and a kernel that gives no pipe or process.
pub fn run(args: ProbeExec, output: &mut Output) -> Result<Answer, Error> {
    let targets = targets(&args)?;
    let mut plan = args.cadence.plan();
    if plan.every.is_none() && targets.iter().any(|t| t.every.is_some()) {
        let mut cadence = args.cadence.clone();
        cadence.every = Some(USUAL);
        plan = cadence.plan();
    }
    // Before anything else has threads or signals: it forks.
    let nursery = Nursery::new().map_err(|e| Failure::io("cannot make a guard for the checks", &e))?;
    let signals = stream::signals(&plan, output)?;
    let mut watch = Watch::new(plan, targets.len(), Instant::now());
    for (n, target) in targets.iter().enumerate() {
        watch.pace(n, target.every);
    }
    let memories = targets.iter().map(|_| Memory::default()).collect();
    let mut prober = Prober {
        jobs: args.jobs.into(),
        stream: plan.every.is_some(),
        targets,
        memories,
        nursery,
        running: HashMap::new(),
        runs: HashMap::new(),
        done: Vec::new(),
    };
    let answer = prober.go(&mut watch, output, signals.as_ref());
    prober.end_all();
    let answer = answer?;
    stream::note_failed(&watch, prober.targets.iter().map(|t| t.name.as_str()), output);
    Ok(answer)
}

/// Understands the words of the call, or what stands on stdin.
fn targets(args: &ProbeExec) -> Result<Vec<Target>, Failure> {
    if args.input.is_none() {
        return Ok(vec![from_words(&args.command, args.target.as_deref(), args.style, args.timeout)]);
    }
    let example =
        "as in: echo '{\"command\":[\"/usr/lib/mon/mon.d/fping.monitor\",\"web1\"],\"style\":\"mon\"}' | probe-exec -";
    let target = |(number, object)| {
        let wrong = |e| Failure::usage(format!("line {number} of stdin: {e}"), example);
        from_line(&object, args.style, args.timeout).map_err(wrong)
    };
    objects::read(io::stdin(), example)?.into_iter().map(target).collect()
}

/// What mon tells a monitor of the runs before.
#[derive(Clone, Debug, Default)]
struct Memory {
    said: Option<(String, String)>,
    /// In seconds since 1970, as mon has them.
    last_failure: Option<u64>,
    first_failure: Option<u64>,
    last_success: Option<u64>,
}

impl Memory {
    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if let Some((summary, detail)) = &self.said {
            all.push(("MON_LAST_SUMMARY", summary.replace('\0', "")));
            all.push(("MON_LAST_OUTPUT", format!("{summary}\n{detail}").replace('\0', "")));
        }
        let times = [
            ("MON_LAST_FAILURE", self.last_failure),
            ("MON_FIRST_FAILURE", self.first_failure),
            ("MON_LAST_SUCCESS", self.last_success),
        ];
        all.extend(times.into_iter().filter_map(|(name, at)| at.map(|at| (name, at.to_string()))));
        all
    }

    fn take(&mut self, verdict: Verdict, words: (String, String)) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        match verdict {
            Verdict::Up => (self.last_success, self.first_failure) = (Some(now), None),
            Verdict::Down => {
                self.last_failure = Some(now);
                self.first_failure.get_or_insert(now);
            }
            Verdict::CannotTell => return,
        }
        self.said = Some(words);
    }
}

/// How far a run has come.
struct Run {
    pid: Pid,
    started: Instant,
    /// When it is told to end, then killed, then given up.
    alarm: Instant,
    stage: Stage,
    late: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Works,
    Told,
    Killed,
    GivenUp,
}

/// Everything that the loop holds.
struct Prober {
    jobs: usize,
    stream: bool,
    targets: Vec<Target>,
    memories: Vec<Memory>,
    nursery: Nursery,
    running: HashMap<Pid, (usize, Running)>,
    /// The run of each target that has one.
    runs: HashMap<usize, Run>,
    done: Vec<(usize, Outcome)>,
}

impl Prober {
    fn go(&mut self, watch: &mut Watch, output: &mut Output, signals: Option<&Signals>) -> Result<Answer, Error> {
        let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
        let mut asked: Option<Instant> = None;
        loop {
            if signals.and_then(Signals::arrived).is_some() {
                return Ok(watch.interrupted()?);
            }
            let late = asked.map_or(Duration::ZERO, |deadline| Instant::now().since(deadline));
            self.runs.values_mut().for_each(|run| run.late = run.late.max(late));
            // What has ended counts, however late we are; a time-out does not.
            self.take_in();
            self.ring(Instant::now());
            self.tell(watch, output)?;
            let now = Instant::now();
            if let Some(answer) = watch.answer(now) {
                return Ok(answer);
            }
            let free = self.jobs.saturating_sub(self.running.len());
            for target in watch.start_some(now, free) {
                self.begin(target);
            }
            self.tell(watch, output)?;
            output.flush_backlog()?;

            let due = if self.running.len() < self.jobs { watch.next() } else { None };
            let soon = watch.answer(Instant::now()).map(|_| now);
            let alarm = self.runs.values().filter(|r| r.stage != Stage::GivenUp).map(|r| r.alarm).min();
            let until = [soon, due, alarm].into_iter().flatten().min();
            asked = until.map(|at| at.max(Instant::now()));
            self.wait(&waiter, until, signals, output)?;
        }
    }

    fn take_in(&mut self) {
        for (target, mut child, ending) in self.nursery.reap(&mut self.running) {
            let Some(run) = self.runs.remove(&target) else { continue };
            let ending = match run.stage {
                Stage::Works => ending,
                Stage::Told | Stage::Killed => Ending::TimedOut,
                Stage::GivenUp => continue, // it was told of
            };
            let total = Instant::now().since(run.started);
            self.done.push((target, Outcome { ending, said: child.take_said(), total, late: run.late }));
        }
    }

    /// What is due because time has passed.
    fn ring(&mut self, now: Instant) {
        for (target, run) in &mut self.runs {
            if run.stage == Stage::GivenUp || run.alarm > now {
                continue;
            }
            let Some((_, child)) = self.running.get_mut(&run.pid) else { continue };
            run.alarm = now + GRACE;
            run.stage = match run.stage {
                Stage::Works => {
                    child.signal(Signal::SIGTERM);
                    Stage::Told
                }
                Stage::Told => {
                    child.signal(Signal::SIGKILL);
                    Stage::Killed
                }
                Stage::Killed | Stage::GivenUp => {
                    let total = now.since(run.started);
                    let outcome = Outcome { ending: Ending::Stuck, said: child.take_said(), total, late: run.late };
                    self.done.push((*target, outcome));
                    Stage::GivenUp
                }
            };
        }
    }

    fn begin(&mut self, number: usize) {
        let started = Instant::now();
        let target = &self.targets[number];
        let told = |ending| Outcome { ending, said: Vec::new(), total: Duration::ZERO, late: Duration::ZERO };
        if self.runs.contains_key(&number) {
            return self.done.push((number, told(Ending::Stuck)));
        }
        let memory = if target.style == Style::Mon { self.memories[number].variables() } else { Vec::new() };
        match self.nursery.start(target, &memory) {
            Ok(child) => {
                let pid = child.pid();
                let alarm = started + target.timeout;
                self.runs.insert(number, Run { pid, started, alarm, stage: Stage::Works, late: Duration::ZERO });
                self.running.insert(pid, (number, child));
            }
            Err(e) => {
                let why = format!("{}: {e}", target.command[0].to_string_lossy());
                self.done.push((number, told(Ending::NotRun(e.raw_os_error().unwrap_or_default(), why))));
            }
        }
    }

    /// Prints what has ended, and what changes by it.
    fn tell(&mut self, watch: &mut Watch, output: &mut Output) -> Result<(), Error> {
        for (number, outcome) in std::mem::take(&mut self.done) {
            let target = &self.targets[number];
            let judgement = judge(&outcome, target.style, target.timeout);
            self.memories[number].take(judgement.verdict, outcome.words());
            output.emit(event(target, &judgement, &outcome))?;
            watch.pace(
                number,
                match judgement.verdict {
                    Verdict::Up => target.every,
                    Verdict::Down | Verdict::CannotTell => target.every_down.or(target.every),
                },
            );
            let change = watch.record(number, judgement.verdict, Instant::now());
            // Of a one-shot the exit status says it.
            if let Some(change) = change.filter(|_| self.stream) {
                output.emit(change.event(&target.name, &judgement.cause))?;
            }
        }
        Ok(())
    }

    fn wait(
        &mut self,
        waiter: &Waiter,
        until: Option<Instant>,
        signals: Option<&Signals>,
        output: &Output,
    ) -> Result<(), Error> {
        let stdout = io::stdout();
        let mut fds: Vec<(BorrowedFd, PollFlags)> =
            vec![(stdout.as_fd(), output.wanted()), (self.nursery.fd(), PollFlags::POLLIN)];
        fds.extend(signals.map(|s| (s.as_fd(), PollFlags::POLLIN)));
        let before = fds.len();
        let open: Vec<Pid> = self.running.iter().filter(|(_, (_, r))| r.fd().is_some()).map(|(pid, _)| *pid).collect();
        fds.extend(open.iter().filter_map(|pid| self.running[pid].1.fd()).map(|fd| (fd, PollFlags::POLLIN)));
        let ready = waiter.wait(&fds, until).map_err(|e| Failure::io("cannot wait", &e))?;
        if stdout_gone(ready[0]) {
            return Err(OutputError::Closed.into());
        }
        for (pid, flags) in open.iter().zip(&ready[before..]) {
            if let Some((_, child)) = self.running.get_mut(pid).filter(|_| !flags.is_empty()) {
                child.read();
            }
        }
        Ok(())
    }

    /// Ends what still runs, and waits a moment for it; the guard kills what hangs.
    fn end_all(&mut self) {
        let Ok(waiter) = Waiter::new() else { return };
        for (signal, time) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
            self.running.values().for_each(|(_, child)| child.signal(signal));
            let until = Instant::now() + time;
            while !self.running.is_empty() && Instant::now() < until {
                let _ = waiter.wait(&[(self.nursery.fd(), PollFlags::POLLIN)], Some(until)); // the look follows
                self.nursery.reap(&mut self.running);
            }
        }
    }
}
