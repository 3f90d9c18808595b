//! The edge: runs agents as the sequence orders it, and tells each step.

use std::path::PathBuf;
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::answer::{Ended, Judged, Report, confirm, judge};
use super::call::{Around, RSCTMP, call};
use super::lock::Lock;
use super::lookup::{Agent, Places};
use super::sequence::{End, Goal, Order, Rules, Sequence, Told};
use super::spec::{Class, Resource};
use super::supervise::{Limits, Supervisor};
use super::{Action, State, lock, processes};
use crate::cli::event::Event;
use crate::cli::exit::{Answer, Fault};
use crate::cli::output::{Output, OutputError};
use crate::cli::wait::{Signals, Waiter};
use crate::cli::{self, Error, Failure, duration};
use crate::clock::Instant;

/// Bytes of what an agent says of itself.
const METADATA: usize = 256 << 10;

/// Bytes of the beginning of an answer: `systemctl show` needs few.
const ANSWER: usize = 4096;

/// How agents are run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The deadline of a start or stop.
    pub acting: Duration,
    /// The deadline of a question.
    pub asking: Duration,
    /// From being told to end to being killed.
    pub kill_after: Duration,
    /// Between two tries of a stop.
    pub retry_every: Duration,
    /// For failures.
    pub rules: Rules,
    /// Ask only.
    pub dry_run: bool,
}

/// A resource with its agent, or why it has none.
#[derive(Debug)]
struct Part {
    resource: Resource,
    agent: Result<Agent, Failure>,
    state: State,
    /// What was thought of it when it was asked last; none before.
    asked: Option<State>,
    /// What was tried last to change it, and how often.
    tried: (Action, u32),
}

/// How a call ended.
#[derive(Debug)]
pub enum Ending {
    /// With an answer.
    Answer(Answer),
    /// A signal ended it, as its events tell.
    Signal(Signal),
}

/// One call over some resources.
#[derive(Debug)]
pub struct Drive<'a> {
    parts: Vec<Part>,
    around: &'a Around,
    settings: Settings,
    signals: Signals,
    supervisor: Supervisor,
    output: &'a mut Output,
    /// The first event that could not be printed: what was begun is ended in silence.
    mute: Option<OutputError>,
    signal: Option<Signal>,
    changed: bool,
    began: Instant,
}

impl<'a> Drive<'a> {
    /// Prepares a call: looks for the agents, and runs none.
    ///
    /// # Errors
    /// Where signals cannot be waited for, or processes not be listed.
    pub fn new(
        resources: Vec<Resource>,
        places: &Places,
        around: &'a Around,
        settings: Settings,
        output: &'a mut Output,
    ) -> Result<Self, Error> {
        if !processes::listable() {
            let message = "/proc is not that of this pid namespace: what an agent leaves behind could not be ended";
            return Err(Failure::unavailable("no-proc", message).hint("mount -t proc proc /proc").into());
        }
        let part = |resource: Resource| {
            let agent = places.resolve(&resource).map_err(|e| e.failure());
            Part { resource, agent, state: State::Unknown, asked: None, tried: (Action::Status, 0) }
        };
        Ok(Self {
            parts: resources.into_iter().map(part).collect(),
            around,
            settings,
            signals: Signals::take()?,
            supervisor: Supervisor::default(),
            output,
            mute: None,
            signal: None,
            changed: false,
            began: Instant::now(),
        })
    }

    /// Starts, stops or restarts all of them.
    ///
    /// # Errors
    /// Where an agent is missing or must not be run; before anything is started.
    pub fn act(mut self, goal: Goal) -> Result<Ending, Error> {
        if goal != Goal::Stop
            && let Some(failure) = self.first_failure(0..self.parts.len())
        {
            return Err(failure.into());
        }
        let forgiving = self.parts.iter().map(|p| p.class() == Some(Class::Heartbeat)).collect();
        let mut sequence = Sequence::new(goal, forgiving, self.settings.rules);
        let Some(mut end) = self.follow(&mut sequence, goal) else { return self.ended_by_signal(goal_word(goal)) };
        let cause = self.cause(end);
        self.outcome(goal_word(goal), &cause);
        if self.mute.is_some() && sequence.abandon() {
            end = self.follow(&mut sequence, goal).unwrap_or(end);
        }
        if let Some(error) = self.mute {
            return Err(error.into());
        }
        let failure = match end {
            End::NotStopped { at, .. } => self.first_failure(at..at + 1),
            _ => None,
        };
        match (end, failure) {
            (_, Some(failure)) => Err(failure.into()),
            (End::Done, _) => Ok(Ending::Answer(Answer::Yes)),
            (End::NotStarted { known: true, .. } | End::NotStopped { refused: true, starting: false, .. }, _) => {
                Ok(Ending::Answer(Answer::No))
            }
            _ => Ok(Ending::Answer(Answer::CannotTell)),
        }
    }

    /// Does what a sequence orders, to its end; none where a signal came first.
    fn follow(&mut self, sequence: &mut Sequence, goal: Goal) -> Option<End> {
        loop {
            let told = match sequence.order() {
                Order::End(end) => return Some(end),
                _ if self.told_to_end() => return None,
                Order::Ask(at) => {
                    let judged = self.ask(at, Action::Status);
                    if judged.said_off { Told::Off } else { Told::State(judged.state, judged.may_start) }
                }
                // Nobody would know of it. What was stopped to be started again is better off running.
                Order::Start(_) if self.mute.is_some() && goal == Goal::Start => Told::Impossible,
                Order::Start(at) => self.change(at, Action::Start),
                Order::Stop(at) => self.change(at, Action::Stop),
                Order::Pause => {
                    self.pause();
                    Told::Paused
                }
            };
            if self.signal.is_some() {
                return None;
            }
            sequence.told(told);
        }
    }

    /// Asks all of them.
    ///
    /// # Errors
    /// Where an agent is missing or must not be run, after all others were asked.
    pub fn status(mut self, action: Action) -> Result<Ending, Error> {
        for at in 0..self.parts.len() {
            self.ask(at, action);
            if self.told_to_end() {
                return self.ended_by_signal(action.word());
            }
        }
        let count = |state| self.parts.iter().filter(|p| p.state == state).count();
        let cause = match (count(State::Unknown), count(State::Running), self.parts.len()) {
            (0, running, all) if running == all => "all of it runs".to_owned(),
            (0, running, all) => format!("{running} of {all} run"),
            (unknown, ..) => format!("of {unknown} nobody can tell"),
        };
        self.outcome(action.word(), &cause);
        if let Some(error) = self.mute {
            return Err(error.into());
        }
        if let Some(failure) = self.first_failure(0..self.parts.len()) {
            return Err(failure.into());
        }
        Ok(Ending::Answer(Answer::all(self.parts.iter().map(|p| match p.state {
            State::Running => Answer::Yes,
            State::Stopped | State::Failed => Answer::No,
            State::Unknown => Answer::CannotTell,
        }))))
    }

    /// Prints what their agents say of themselves.
    ///
    /// # Errors
    /// Where an agent is missing, must not be run, or does not say.
    pub fn metadata(mut self) -> Result<Ending, Error> {
        for at in 0..self.parts.len() {
            let agent = self.parts[at].agent()?.clone();
            let text = match agent.class {
                Class::Heartbeat | Class::Lsb => header(&agent.path),
                Class::Ocf | Class::Systemd => {
                    let run = self.run(at, &agent, Action::Metadata);
                    if self.signal.is_some() {
                        return self.ended_by_signal("metadata");
                    }
                    let fine = run.report.ended == Ended::Exit(0) && !run.report.out.trim().is_empty();
                    fine.then(|| run.report.out.trim_end().to_owned())
                }
            };
            let Some(text) = text else {
                let message = format!("{} says nothing of itself", agent.shown());
                let hint = match agent.class {
                    Class::Heartbeat => "scripts of heartbeat have no words for it: look into the script".to_owned(),
                    _ => format!("run-resource status {} says whether it works", self.parts[at].resource),
                };
                let (fault, code) = (Fault::Unavailable, "no-metadata");
                return Err(Failure { fault, code, message, hint: Some(hint) }.into());
            };
            let event = Event::new("metadata", &text)
                .with("resource", self.parts[at].resource.spec.as_str())
                .with("class", agent.class.word())
                .with("agent", agent.shown())
                .with("metadata", text);
            self.output.emit(event)?;
        }
        Ok(Ending::Answer(Answer::Yes))
    }

    /// Why the first of these has no agent.
    fn first_failure(&self, range: std::ops::Range<usize>) -> Option<Failure> {
        self.parts[range].iter().find_map(|p| p.agent().err())
    }

    fn ask(&mut self, at: usize, action: Action) -> Judged {
        let was = self.parts[at].asked;
        if self.settings.dry_run && self.parts[at].tried.0 == Action::Stop {
            return Judged::new(State::Stopped, "it would be stopped by now");
        }
        let judged = match self.parts[at].agent.clone() {
            Err(failure) => {
                let judged = Judged::new(State::Unknown, failure.message);
                self.step(at, action, was, &judged, None, false);
                judged
            }
            Ok(agent) => {
                let run = self.run(at, &agent, action);
                let mut judged = judge(agent.class, action, &run.report);
                let stop_failed = matches!(self.parts[at].tried, (Action::Stop, 1..));
                if stop_failed && judged.state == State::Stopped && !judged.said_off {
                    judged = Judged::new(State::Unknown, format!("its stop failed, and {}", judged.meaning));
                }
                self.step(at, action, was, &judged, Some(&run), false);
                judged
            }
        };
        let part = &mut self.parts[at];
        // A stop that failed, and has stopped it all the same.
        self.changed |= part.tried.0 == Action::Stop && was == Some(State::Running) && judged.state == State::Stopped;
        part.asked = Some(judged.state);
        part.state = judged.state;
        judged
    }

    fn change(&mut self, at: usize, action: Action) -> Told {
        let was = self.parts[at].asked;
        let wanted = if action == Action::Start { State::Running } else { State::Stopped };
        let (before, tries) = self.parts[at].tried;
        self.parts[at].tried = (action, if before == action { tries + 1 } else { 1 });
        let agent = match self.parts[at].agent.clone() {
            Ok(agent) => agent,
            Err(failure) => {
                let judged = Judged::new(State::Unknown, failure.message);
                self.step(at, action, was, &judged, None, false);
                return Told::Impossible;
            }
        };
        if self.settings.dry_run {
            let meaning = if action == Action::Start { "would be started" } else { "would be stopped" };
            let judged = Judged::new(wanted, meaning);
            let changes = was != Some(wanted);
            self.step(at, action, was, &judged, None, changes);
            (self.parts[at].state, self.parts[at].asked) = (wanted, Some(wanted));
            self.changed |= changes;
            return Told::Worked;
        }
        let mut run = self.run(at, &agent, action);
        let mut judged = judge(agent.class, action, &run.report);
        if agent.class == Class::Systemd && judged.state == wanted {
            let shown = self.run(at, &agent, Action::Status);
            judged = confirm(action, &shown.report);
            run.took += shown.took;
        }
        let worked = judged.state == wanted;
        // A stop of what was off already changed nothing; a start is only ordered where it changes something.
        let changes = worked && (action == Action::Start || was != Some(State::Stopped));
        self.step(at, action, was, &judged, Some(&run), changes);
        self.changed |= changes;
        let part = &mut self.parts[at];
        part.state = judged.state;
        if worked {
            part.asked = Some(judged.state);
            part.tried = (action, 0);
        }
        match (worked, run.report.ended) {
            (true, _) => Told::Worked,
            (_, Ended::NotRun(_)) => Told::Impossible,
            (_, Ended::Exit(_)) if judged.state == State::Failed => Told::Refused,
            _ => Told::Lost,
        }
    }

    fn run(&mut self, at: usize, agent: &Agent, action: Action) -> Run {
        let timeout = match action {
            Action::Start | Action::Stop => self.settings.acting,
            Action::Status | Action::Monitor | Action::Metadata => self.settings.asking,
        };
        if agent.class == Class::Ocf {
            let _ = std::fs::create_dir(RSCTMP); // the package's own boot script makes it; an agent says what it lacks
        }
        let lock = match action {
            Action::Start | Action::Stop => match self.lock(at, agent, action) {
                Ok(lock) => Some(lock),
                // What cannot be kept to itself is not started; a stop that nobody is excluded from is better than none.
                Err(_) if action == Action::Stop => None,
                Err(failure) => {
                    let report = Report::silent(Ended::NotRun(failure.message));
                    return Run { report, took: Duration::ZERO };
                }
            },
            Action::Status | Action::Monitor | Action::Metadata => None,
        };
        let call = call(agent, &self.parts[at].resource, action, timeout, self.around);
        let keep = if action == Action::Metadata { METADATA } else { ANSWER };
        let limits = Limits { timeout, grace: self.settings.kill_after, keep };
        let began = Instant::now();
        let (report, signal) = self.supervisor.run(&call, lock, limits, &self.signals);
        self.signal = self.signal.or(signal);
        Run { report, took: Instant::now().since(began) }
    }

    /// The lock of a resource, not taken yet.
    fn lock(&self, at: usize, agent: &Agent, action: Action) -> Result<Lock, Failure> {
        let Some(folder) = &self.around.locks else {
            let message = "there is no folder for locks".to_owned();
            return Err(Failure::unavailable("no-locks", message).hint(format!("{} names one", lock::VARIABLE)));
        };
        let resource = &self.parts[at].resource;
        let note = format!("run-resource {} {resource}, process {}", action.word(), std::process::id());
        Lock::open(folder, &lock::name(agent, resource), note)
    }

    /// Waits before the next try of a stop.
    fn pause(&mut self) {
        if self.settings.dry_run {
            return;
        }
        let until = Instant::now() + self.settings.retry_every;
        let waiter = Waiter::new();
        while self.signal.is_none() && Instant::now() < until {
            let wait = |w: &Waiter| w.wait(&[(self.signals.as_fd(), PollFlags::POLLIN)], Some(until)).is_ok();
            if !waiter.as_ref().is_ok_and(wait) {
                std::thread::sleep(until.since(Instant::now()).min(Duration::from_millis(100))); // as good as it gets
            }
            self.signal = self.signals.arrived();
        }
    }

    fn step(
        &mut self,
        at: usize,
        action: Action,
        was: Option<State>,
        judged: &Judged,
        run: Option<&Run>,
        changes: bool,
    ) {
        let part = &self.parts[at];
        let asking = matches!(action, Action::Status | Action::Monitor);
        let took = run.map(|r| r.took);
        let mut words = format!("{} {}: {}: {}", part.resource, action.word(), judged.state.word(), judged.meaning);
        if let Some(run) = run {
            words.push_str(&format!(" ({})", duration::words(run.took)));
            // Where something is wrong the agent's last words say what.
            if matches!(judged.state, State::Failed | State::Unknown) {
                let said = run.report.tail.lines().filter(|l| !l.trim().is_empty());
                let mut last: Vec<&str> = said.rev().take(3).collect();
                last.reverse();
                words.push_str(if last.is_empty() { "" } else { ": " });
                words.push_str(&last.join("; "));
            }
        }
        let status = match run.map(|r| &r.report.ended) {
            Some(Ended::Exit(code)) => Value::from(*code),
            _ => Value::Null,
        };
        let event = Event::new("step", words)
            .with("resource", part.resource.spec.as_str())
            .with("class", part.class().unwrap_or(part.resource.class).word())
            .shown("agent", part.agent.as_ref().ok().map(Agent::shown))
            .with("action", action.word())
            .with("attempt", if asking { 1 } else { part.tried.1 })
            .with("was", was.map(State::word))
            .with("is", judged.state.word())
            .with("status", status)
            .with("meaning", judged.meaning.as_str())
            .with("changed", changes)
            .with("dry_run", self.settings.dry_run && !asking)
            .ms("duration_ms", took)
            .with("output", run.map(|r| r.report.tail.as_str()));
        self.emit(event);
    }

    fn outcome(&mut self, action: &str, cause: &str) {
        let with = |state| {
            let of = self.parts.iter().filter(|p| p.state == state);
            of.map(|p| Value::from(p.resource.spec.as_str())).collect::<Vec<_>>()
        };
        let event = Event::new("outcome", format!("{action}: {cause}"))
            .with("action", action)
            .with("running", with(State::Running))
            .with("stopped", with(State::Stopped))
            .with("failed", with(State::Failed))
            .with("unknown", with(State::Unknown))
            .with("changed", self.changed)
            .with("dry_run", self.settings.dry_run)
            .ms("total_ms", Instant::now().since(self.began))
            .with("cause", cause);
        self.emit(event);
    }

    /// A reader that is gone does not leave half a group behind: what was begun is ended first.
    fn emit(&mut self, event: Event) {
        if self.mute.is_none() {
            self.mute = self.output.emit(event).err();
        }
    }

    fn cause(&self, end: End) -> String {
        let name = |at: usize| self.parts.get(at).map(|p| p.resource.to_string()).unwrap_or_default();
        let undone =
            if self.settings.rules.keep { "what was started before it runs on" } else { "what was started is stopped" };
        match end {
            End::Done if self.settings.dry_run => "this is what would be done".to_owned(),
            End::Done if self.changed => "done".to_owned(),
            End::Done => "it was so already".to_owned(),
            End::NotStarted { at, known: true } => format!("{} does not start; {undone}", name(at)),
            End::NotStarted { at, known: false } => {
                format!("nobody can tell whether {} has started; {undone}", name(at))
            }
            End::Unheard => "nobody hears of it: what was started is stopped".to_owned(),
            End::CannotTell(at) => {
                format!("nobody can tell whether {} runs, so it was not started; {undone}", name(at))
            }
            End::NotStopped { at, .. } => {
                format!(
                    "{} DOES NOT STOP: it may still run here; what stands to the left of it was left alone",
                    name(at)
                )
            }
        }
    }

    /// Whether a signal has arrived, between two agents as well.
    fn told_to_end(&mut self) -> bool {
        self.signal = self.signal.or_else(|| self.signals.arrived());
        self.signal.is_some()
    }

    fn ended_by_signal(mut self, action: &str) -> Result<Ending, Error> {
        let Some(signal) = self.signal else { return Ok(Ending::Answer(Answer::CannotTell)) };
        self.outcome(action, &format!("ended by {signal}; nothing was undone"));
        Ok(Ending::Signal(signal))
    }
}

struct Run {
    report: Report,
    took: Duration,
}

impl Part {
    fn class(&self) -> Option<Class> {
        self.agent.as_ref().ok().map(|a| a.class)
    }

    fn agent(&self) -> Result<&Agent, Failure> {
        self.agent.as_ref().map_err(Clone::clone)
    }
}

fn goal_word(goal: Goal) -> &'static str {
    match goal {
        Goal::Start => "start",
        Goal::Stop => "stop",
        Goal::Restart => "restart",
    }
}

/// The header that LSB asks of an init script.
fn header(path: &std::path::Path) -> Option<String> {
    let text = crate::config::trust::read_trusted(path).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let begin = text.find("### BEGIN INIT INFO")?;
    let end = begin + text[begin..].find("### END INIT INFO")?;
    let line = |l: &str| l.trim_start_matches('#').trim().to_owned();
    let lines: Vec<String> = text[begin..end].lines().skip(1).map(line).filter(|l| !l.is_empty()).collect();
    Some(lines.join("\n"))
}

/// The agents that can be found, of these classes or of all.
///
/// # Errors
/// Where they cannot be printed.
pub fn list(places: &Places, classes: &[Class], output: &mut Output) -> Result<Answer, Error> {
    let mut any = false;
    for agent in places.list() {
        if !classes.is_empty() && !classes.contains(&agent.class) {
            continue;
        }
        any = true;
        let spec = match (&agent.class, &agent.provider) {
            (Class::Ocf, Some(provider)) => format!("ocf:{provider}:{}", agent.name),
            (Class::Systemd, _) => format!("systemd:{}", agent.name),
            (Class::Lsb, _) => format!("lsb:{}", agent.name),
            _ => agent.name.clone(),
        };
        let cause = agent.check().err().map(|e| e.to_string());
        let shown = agent.shown();
        let words = match &cause {
            None => format!("{spec} ({shown})"),
            Some(cause) => format!("{spec} ({shown}), refused: {cause}"),
        };
        let event = Event::new("agent", words)
            .with("class", agent.class.word())
            .with("provider", agent.provider.as_deref())
            .with("agent", shown)
            .with("resource", spec)
            .with("cause", cause);
        output.emit(event)?;
    }
    Ok(if any { Answer::Yes } else { Answer::No })
}

/// What is around agents on this machine.
///
/// # Errors
/// Where the folder of the cluster has no absolute path.
pub fn around(ha_d: &std::path::Path) -> Result<Around, Error> {
    let ha_d = std::path::absolute(ha_d).map_err(|e| Failure::io(&format!("{}", ha_d.display()), &e))?;
    let node = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default();
    let bin = std::env::current_exe().ok().and_then(|p| p.parent().map(PathBuf::from));
    let locks = lock::folder(
        std::env::var_os(lock::VARIABLE),
        nix::unistd::geteuid().is_root(),
        std::env::var_os("XDG_RUNTIME_DIR"),
    );
    Ok(Around { ha_d, node, inherited: std::env::vars_os().collect(), bin, locks })
}

/// Ends this process by the signal that it was ended by; returns where that signal is ignored.
pub fn die(signal: Signal) -> cli::Error {
    let _ = Signals::release();
    let _ = nix::sys::signal::raise(signal);
    Failure { fault: Fault::Undetermined, code: "signal", message: format!("ended by {signal}"), hint: None }.into()
}
