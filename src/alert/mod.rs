//! Who is told of a failure, and when: the rules of mon(8). Pure: results of checks and their times in, alerts out.
//!
//! [`run`] is the edge. Durations are counted on the clock of the events (`mono_ms`), so that a step of the wall clock
//! neither brings alerts nor holds them back; what is remembered across a restart is in wall time, as nothing else lasts.
//!
//! Where the manual and the program differ it is as the manual says: upalertafter counts, alertevery strict outlasts
//! upalerts, startup alerts are no alerts of a failure, alertdepend works alone. alertafter NUM TIME looks at the last NUM
//! failures, so that a failure that goes on is not silent again each TIME.

pub mod memory;
pub mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::cli::event::Event;
use crate::config::mon_cf::depend::{Expression, Name};
use crate::config::mon_cf::document::environment;
use crate::config::mon_cf::period::Local;
use crate::config::mon_cf::{After, Alert, Block, MonCf, Service, Unless};
use memory::{Change, Memory, Remembered, Status, Told};

/// When something happened.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The wall clock, in milliseconds since 1970.
    pub wall: i64,
    /// The clock of the events, in milliseconds; none where they have none.
    pub mono: Option<i64>,
    /// The wall clock as it stands on a wall.
    pub local: Local,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The watch begins, or has read its configuration anew.
    Started {
        /// The latter.
        reload: bool,
    },
    /// A check has come to its end.
    Result(Checked),
}

/// The end of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its service, as the target of the check: `GROUP SERVICE`.
    pub target: String,
    /// Whether all is well; none where it could not be told.
    pub up: Option<bool>,
    /// A stable word for the verdict.
    pub reason: String,
    /// The same in words.
    pub cause: String,
    /// The exit status.
    pub status: Option<i32>,
    /// The first line of output.
    pub summary: String,
    /// The rest.
    pub detail: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A program is to run.
    Run(Run),
    /// A service fails, or works.
    Service {
        /// Which.
        name: Name,
        /// Before.
        was: Status,
        /// Now.
        is: Status,
        /// What the monitor said.
        summary: String,
        /// Why.
        cause: String,
    },
    /// A period section does not alert.
    Withheld {
        /// Whose.
        name: Name,
        /// Its label.
        period: String,
        /// A stable word.
        reason: &'static str,
        /// The same in words.
        cause: String,
    },
    /// Nothing is known of a service.
    Untold {
        /// Which.
        name: Name,
        /// A stable word.
        reason: String,
        /// The same in words.
        cause: String,
    },
}

/// Why a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A failure.
    Failure,
    /// Its end.
    Up,
    /// The watch has begun.
    Startup,
}

impl Kind {
    /// As MON_ALERTTYPE has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Up => "up",
            Self::Startup => "startup",
        }
    }
}

/// A program with all that it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The service that it tells of.
    pub name: Name,
    /// The period section that it stands in; none for redistribute.
    pub period: Option<String>,
    /// Why it runs.
    pub kind: Kind,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment beside that of its caller.
    pub env: BTreeMap<String, String>,
    /// What it reads on stdin: the output of the monitor.
    pub input: String,
    /// Why, in words.
    pub cause: String,
}

impl Decision {
    /// The event that tells it.
    pub fn event(self) -> Event {
        let of = |event: Event, name: Name| event.with("group", name.group).with("service", name.service);
        match self {
            Self::Run(run) => {
                let program = run.argv.first().map(|p| p.rsplit('/').next().unwrap_or(p)).unwrap_or_default();
                let target = format!("alert {} {program}", run.name.target());
                let event =
                    Event::new("alert", format!("{} alert {program} for {}: {}", run.kind.word(), run.name, run.cause))
                        .with("target", target)
                        .with("argv", run.argv)
                        .with("style", "mon")
                        .with("env", serde_json::Value::from_iter(run.env))
                        .with("input", run.input);
                of(event, run.name)
                    .with("period", run.period)
                    .with("alert_type", run.kind.word())
                    .with("cause", run.cause)
            }
            Self::Service { name, was, is, summary, cause } => {
                let event = Event::new("service", format!("{name} is {is} (was {was}): {cause}"));
                of(event, name)
                    .with("was", was.to_string())
                    .with("is", is.to_string())
                    .with("summary", summary)
                    .with("cause", cause)
            }
            Self::Withheld { name, period, reason, cause } => {
                let event = Event::new("withheld", format!("no alert for {name} by '{period}': {cause}"));
                of(event, name).with("period", period).with("reason", reason).with("cause", cause)
            }
            Self::Untold { name, reason, cause } => {
                let event = Event::new("untold", format!("nothing is known of {name}: {cause}"));
                of(event, name).with("reason", reason).with("cause", cause)
            }
        }
    }
}

/// Which kind of dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Depend {
    Alerts,
    Monitors,
}

impl Depend {
    fn of(self, service: &Service) -> Option<&Expression> {
        match self {
            Self::Alerts => service.alert_depend.as_ref(),
            Self::Monitors => service.monitor_depend.as_ref(),
        }
    }
}

/// A call of alerts but for their names and their own arguments.
struct Call {
    name: Name,
    kind: Kind,
    words: Vec<String>,
    env: BTreeMap<String, String>,
    input: String,
}

impl Call {
    /// The call of one of them; `programs` says where it is, `block` is the period section that it stands in.
    fn run(&self, programs: &HashMap<String, String>, alert: &Alert, block: Option<&Block>, cause: String) -> Run {
        let program = &alert.words[0];
        let mut argv = vec![programs.get(program).unwrap_or(program).clone()];
        argv.extend(self.words.iter().chain(&alert.words[1..]).cloned());
        let period = block.map(|block| block.label.clone());
        let (name, env, input) = (self.name.clone(), self.env.clone(), self.input.clone());
        Run { name, period, kind: self.kind, argv, env, input, cause }
    }
}

/// Decides, and remembers what that takes.
#[derive(Debug)]
pub struct Decider {
    content: MonCf,
    /// Where each alert is, by its name.
    programs: HashMap<String, String>,
    /// By the targets of the checks.
    numbers: HashMap<String, usize>,
    memory: Vec<Memory>,
    /// The event clock and the timeline, in milliseconds: what they were at the first event.
    anchor: Option<(i64, i64)>,
    /// The timeline, and how far the wall clock is ahead of it.
    now: i64,
    ahead: i64,
    /// Since it was last asked for.
    change: Change,
}

impl Decider {
    /// Of this configuration; `programs` says where an alert is.
    pub fn new(content: MonCf, programs: HashMap<String, String>) -> Self {
        let numbers = content.services.iter().enumerate().map(|(n, s)| (s.full_name().target(), n)).collect();
        let memory = content.services.iter().map(|s| Memory::new(s.periods.len())).collect();
        Self { content, programs, numbers, memory, anchor: None, now: 0, ahead: 0, change: Change::Nothing }
    }

    /// What an earlier run remembered of a service; nothing where it is not in the configuration any more. Only before
    /// the first event.
    pub fn recall(&mut self, group: &str, service: &str, remembered: Remembered) {
        let name = Name { group: group.to_owned(), service: service.to_owned() };
        let Some(number) = self.number(&name) else { return };
        self.memory[number].recall(remembered, &self.content.services[number].periods);
    }

    fn number(&self, name: &Name) -> Option<usize> {
        self.numbers.get(&name.target()).copied()
    }

    /// What a later run has to know.
    pub fn remember(&self) -> impl Iterator<Item = (Name, Remembered)> {
        let known = self.content.services.iter().zip(&self.memory).filter(|(_, m)| m.status != Status::Untested);
        known.map(|(service, memory)| (service.full_name(), memory.remember(self.ahead, &service.periods)))
    }

    /// How much of that has changed since this was last asked.
    pub fn changed(&mut self) -> Change {
        std::mem::take(&mut self.change)
    }

    /// Takes what happened; says what is to be done and why other things are not.
    pub fn take(&mut self, heard: Heard, moment: &Moment) -> Vec<Decision> {
        self.tick(moment);
        match heard {
            Heard::Started { reload } => self.started(reload, moment),
            Heard::Result(checked) => self.checked(checked, moment),
        }
    }

    /// The timeline goes as the event clock does; it began at the wall clock's time.
    fn tick(&mut self, moment: &Moment) {
        self.now = match (moment.mono, self.anchor) {
            (None, _) => moment.wall.max(self.now),
            (Some(mono), Some((then, was))) => was.saturating_add(mono.saturating_sub(then)).max(self.now),
            (Some(mono), None) => {
                let begin = moment.wall.max(self.now);
                self.anchor = Some((mono, begin));
                begin
            }
        };
        self.ahead = moment.wall.saturating_sub(self.now);
    }

    fn started(&self, reload: bool, moment: &Moment) -> Vec<Decision> {
        let mut decisions = Vec::new();
        if reload && !self.content.settings.startupalerts_on_reset {
            return decisions;
        }
        for (number, service) in self.content.services.iter().enumerate() {
            let held = service.periods.iter().filter(|b| b.period.holds(&moment.local));
            let alerts: Vec<(&Block, &Alert)> =
                held.flat_map(|b| b.startupalerts.iter().map(move |alert| (b, alert))).collect();
            if alerts.is_empty() {
                continue;
            }
            let call = self.call(number, Kind::Startup, "", 0, moment);
            let run = |(block, alert): (&Block, &Alert)| {
                Decision::Run(call.run(&self.programs, alert, Some(block), "the watch has begun".to_owned()))
            };
            decisions.extend(alerts.into_iter().map(run));
        }
        decisions
    }

    fn checked(&mut self, mut checked: Checked, moment: &Moment) -> Vec<Decision> {
        let Some(number) = self.numbers.get(&checked.target).copied() else { return Vec::new() };
        let service = &self.content.services[number];
        let Some(mut up) = checked.up else {
            let Checked { reason, cause, .. } = checked;
            let memory = &mut self.memory[number];
            let new = memory.untold.as_ref() != Some(&reason);
            memory.untold = Some(reason.clone());
            let name = service.full_name();
            return if new { vec![Decision::Untold { name, reason, cause }] } else { Vec::new() };
        };
        // The monitor should not have run: its service stays what it was.
        if service.exclude_periods.iter().any(|p| p.holds(&moment.local)) || !self.depends(number, Depend::Monitors) {
            return Vec::new();
        }
        if !up {
            let struck = self.struck(number, &checked.summary);
            if let Some(rest) = struck {
                up = rest.is_empty();
                checked.summary = rest;
            }
        }
        self.memory[number].untold = None;
        let output = match checked.detail.as_str() {
            "" => checked.summary.clone(),
            detail => format!("{}\n{detail}", checked.summary),
        };
        if up { self.works(number, checked, &output, moment) } else { self.fails(number, checked, &output, moment) }
    }

    fn fails(&mut self, number: usize, checked: Checked, output: &str, moment: &Moment) -> Vec<Decision> {
        let now = self.now;
        let status = checked.status.unwrap_or(255);
        let service = &self.content.services[number];
        let memory = &mut self.memory[number];
        let mut decisions = Vec::new();
        let was = std::mem::replace(&mut memory.status, Status::Fail);
        if was != Status::Fail {
            memory.first_failure = Some(now);
            let (name, cause, summary) = (service.full_name(), checked.cause.clone(), checked.summary.clone());
            decisions.push(Decision::Service { name, was, is: Status::Fail, summary, cause });
        }
        memory.failures = memory.failures.saturating_add(1);
        memory.last_failure = Some(now);
        let most =
            service.periods.iter().map(|b| if let Some(After::Within(n, _)) = b.alertafter { n } else { 1 }).max();
        memory.recent.push_back(now);
        while memory.recent.len() > most.unwrap_or(1) as usize {
            memory.recent.pop_front();
        }
        let summary = if checked.summary.trim().is_empty() { "(NO SUMMARY)" } else { &checked.summary };
        memory.summary = summary.to_owned();
        memory.failure_summary = summary.to_owned();
        let failures = memory.failures;
        let depends = self.depends(number, Depend::Alerts);
        let held: Vec<Option<(&str, String)>> = (0..service.periods.len())
            .map(|n| match depends {
                true => self.held(number, n, output, status, &moment.local),
                false => Some(("depend", "something that it depends on fails".to_owned())),
            })
            .collect();
        // What is told, if anything is: most results tell nothing.
        let tells = service.redistribute.is_some() || held.iter().any(Option::is_none);
        let call = tells.then(|| self.call(number, Kind::Failure, output, status, moment));
        if let (Some(alert), Some(call)) = (&service.redistribute, &call) {
            let cause = "each result is passed on".to_owned();
            decisions.push(Decision::Run(call.run(&self.programs, alert, None, cause)));
        }
        let mut change = if was == Status::Fail { Change::Counted } else { Change::Decided };
        for ((block, held), told) in service.periods.iter().zip(held).zip(&mut self.memory[number].periods) {
            let cause = format!("failure {failures}: {}", checked.cause);
            match (held, &call) {
                (None, Some(call)) => {
                    told.withheld = None;
                    let alerts: Vec<&Alert> = block.alerts.iter().filter(|a| within(status, a.exit)).collect();
                    // What runs nothing has told nobody.
                    if !alerts.is_empty() {
                        (told.last_alert, told.sent) = (Some(now), told.sent.saturating_add(1));
                        change = Change::Decided;
                    }
                    let run = |alert| Decision::Run(call.run(&self.programs, alert, Some(block), cause.clone()));
                    decisions.extend(alerts.into_iter().map(run));
                }
                (Some((reason, cause)), _) if !block.alerts.is_empty() && told.withheld != Some(reason) => {
                    told.withheld = Some(reason);
                    let (name, period) = (service.full_name(), block.label.clone());
                    decisions.push(Decision::Withheld { name, period, reason, cause });
                }
                _ => {}
            }
        }
        let memory = &mut self.memory[number];
        memory.failure_output = Some(output.to_owned());
        memory.output = Some(output.to_owned());
        self.change = self.change.max(change);
        decisions
    }

    /// How long ago that was. What lies in the future was remembered before the clock was set back: long ago, for all we know.
    fn ago(&self, then: i64) -> i64 {
        Some(self.now.saturating_sub(then)).filter(|ago| *ago >= 0).unwrap_or(i64::MAX)
    }

    /// What keeps a period section from alerting.
    fn held(
        &self,
        number: usize,
        n: usize,
        output: &str,
        status: i32,
        local: &Local,
    ) -> Option<(&'static str, String)> {
        let block = &self.content.services[number].periods[n];
        let memory = &self.memory[number];
        let told = &memory.periods[n];
        let since = |then: Option<i64>| then.map(|then| self.ago(then));
        if !block.period.holds(local) {
            return Some(("period", "it is not the time of this period".to_owned()));
        }
        if !within(status, block.alertexitrange) {
            return Some(("exit-status", format!("{status} is not in alertexitrange")));
        }
        if block.numalerts.is_some_and(|most| told.sent >= most) {
            return Some(("numalerts", format!("{} alerts have run for this failure", told.sent)));
        }
        if let (Some(every), Some(ago)) = (block.alertevery, since(told.last_alert))
            && ago < millis(every.time)
        {
            let before = memory.failure_output.as_deref().unwrap_or_default();
            let same = match every.unless {
                Unless::Never | Unless::Success => true,
                Unless::Detail => before == output,
                Unless::Summary => first(before) == first(output),
            };
            if same {
                return Some(("alertevery", "an alert has run already in this time".to_owned()));
            }
        }
        let early = match block.alertafter {
            None => false,
            Some(After::Times(n)) => memory.failures < n,
            Some(After::Lasting(time)) => since(memory.first_failure).is_none_or(|ago| ago <= millis(time)),
            Some(After::Within(n, time)) => {
                let enough = memory.recent.iter().rev().nth((n as usize).saturating_sub(1)).copied();
                since(enough).is_none_or(|ago| ago > millis(time))
            }
        };
        early.then(|| ("alertafter", "it has not failed often or long enough".to_owned()))
    }

    fn works(&mut self, number: usize, checked: Checked, output: &str, moment: &Moment) -> Vec<Decision> {
        let now = self.now;
        let service = &self.content.services[number];
        let mut decisions = Vec::new();
        let was = std::mem::replace(&mut self.memory[number].status, Status::Ok);
        if was != Status::Ok {
            let (name, cause, summary) = (service.full_name(), checked.cause, checked.summary.clone());
            decisions.push(Decision::Service { name, was, is: Status::Ok, summary, cause });
        }
        if let Some(alert) = &service.redistribute {
            let call = self.call(number, Kind::Up, output, 0, moment);
            let cause = "each result is passed on".to_owned();
            decisions.push(Decision::Run(call.run(&self.programs, alert, None, cause)));
        }
        let memory = &self.memory[number];
        if was == Status::Fail {
            let lasted = memory.first_failure.map_or(0, |then| self.ago(then));
            let speaks = |(block, told): &(&Block, &Told)| {
                let long = block.upalertafter.is_none_or(|least| lasted >= millis(least));
                long && (block.no_comp_alerts || told.sent > 0) && block.period.holds(&moment.local)
            };
            let blocks = service.periods.iter().zip(&memory.periods).filter(speaks);
            let alerts: Vec<(&Block, &Alert)> = blocks
                .flat_map(|(b, _)| b.upalerts.iter().filter(|a| within(0, a.exit)).map(move |a| (b, a)))
                .collect();
            if !alerts.is_empty() {
                let cause = match lasted {
                    i64::MAX => "it works again".to_owned(),
                    ms => {
                        let time = Duration::from_millis(ms.unsigned_abs());
                        format!("it works again after {}", crate::cli::duration::words(time))
                    }
                };
                let last = memory.output.as_deref().unwrap_or_default();
                let call = self.call(number, Kind::Up, last, 0, moment);
                let run = |(block, alert): (&Block, &Alert)| {
                    Decision::Run(call.run(&self.programs, alert, Some(block), cause.clone()))
                };
                decisions.extend(alerts.into_iter().map(run));
            }
        }
        let memory = &mut self.memory[number];
        (memory.first_failure, memory.last_failure, memory.failures) = (None, None, 0);
        if was == Status::Fail {
            memory.recovered = Some(now);
        }
        memory.recent.clear();
        memory.failure_output = None;
        memory.last_success = Some(now);
        memory.summary = checked.summary;
        memory.output = Some(output.to_owned());
        for (told, block) in memory.periods.iter_mut().zip(&service.periods) {
            (told.sent, told.withheld) = (0, None);
            if block.alertevery.is_none_or(|e| e.unless != Unless::Never) {
                told.last_alert = None;
            }
        }
        self.change = self.change.max(if was == Status::Ok { Change::Success } else { Change::Decided });
        decisions
    }

    /// What all alerts of one result are told, as mon tells them.
    fn call(&self, number: usize, kind: Kind, output: &str, status: i32, moment: &Moment) -> Call {
        let service = &self.content.services[number];
        let memory = &self.memory[number];
        let seconds = moment.wall.div_euclid(1000).to_string();
        let hosts = service.hosts.join(" ");
        let mut words =
            ["-s", &service.name, "-g", &service.group, "-h", &hosts, "-t", &seconds].map(str::to_owned).to_vec();
        if kind == Kind::Up {
            words.push("-u".to_owned());
        }
        let mut env = environment(&self.content.settings, service);
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                env.insert(name.to_owned(), value.replace('\0', ""));
            }
        };
        let unix = |then: Option<i64>| then.map(|t| t.saturating_add(self.ahead).div_euclid(1000).to_string());
        set("MON_LAST_SUMMARY", Some(memory.summary.clone()));
        set("MON_LAST_OUTPUT", memory.output.clone());
        set("MON_LAST_FAILURE", unix(memory.last_failure));
        set("MON_FIRST_FAILURE", unix(memory.first_failure));
        set("MON_LAST_SUCCESS", unix(memory.last_success));
        set("MON_RETVAL", Some(status.to_string()));
        set("MON_OPSTATUS", Some(memory.status.number().to_string()));
        set("MON_ALERTTYPE", Some(kind.word().to_owned()));
        if service.alert_depend.is_some() {
            set("MON_DEPEND_STATUS", Some(u8::from(self.depends(number, Depend::Alerts)).to_string()));
        }
        let input = if output.is_empty() { String::new() } else { format!("{}\n", output.trim_end_matches('\n')) };
        Call { name: service.full_name(), kind, words, env, input }
    }

    /// Whether all that a service depends on works, and what that depends on.
    fn depends(&self, number: usize, kind: Depend) -> bool {
        let Some(expression) = kind.of(&self.content.services[number]) else { return true };
        let mut known = HashMap::new();
        expression.holds(&mut |name| self.works_below(name, kind, &mut known))
    }

    fn works_below(&self, name: &Name, kind: Depend, known: &mut HashMap<usize, bool>) -> bool {
        let Some(number) = self.number(name) else { return true };
        if let Some(known) = known.get(&number) {
            return *known;
        }
        let own = !self.is_failing(number);
        known.insert(number, own); // where a circle closes, its own state is what counts
        let below = match kind.of(&self.content.services[number]) {
            Some(expression) if own => expression.holds(&mut |name| self.works_below(name, kind, known)),
            _ => true,
        };
        known.insert(number, own && below);
        own && below
    }

    /// Whether it fails, or has so lately that what depends on it is not to be believed.
    fn is_failing(&self, number: usize) -> bool {
        let memory = &self.memory[number];
        let lasts = millis(self.content.services[number].dep_memory);
        let lately = |at: i64| (0..lasts).contains(&self.now.saturating_sub(at));
        memory.status == Status::Fail || memory.recovered.is_some_and(lately)
    }

    /// The summary of a failure without the hosts that fail for a reason of their own; none where there are none of these.
    fn struck(&self, number: usize, summary: &str) -> Option<String> {
        let service = &self.content.services[number];
        let mut failing = Vec::new();
        for parent in &service.host_depend {
            let Some(n) = self.number(parent) else { continue };
            if self.is_failing(n) {
                failing.extend(self.memory[n].failure_summary.split_whitespace());
            }
        }
        let is_struck = |word: &&str| failing.contains(word) && service.hosts.iter().any(|h| h == word);
        if !summary.split_whitespace().any(|w| is_struck(&w)) {
            return None;
        }
        let rest: Vec<&str> = summary.split_whitespace().filter(|w| !is_struck(w)).collect();
        Some(rest.join(" "))
    }
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

fn within(status: i32, range: Option<(i32, i32)>) -> bool {
    range.is_none_or(|(from, to)| (from..=to).contains(&status))
}

fn first(output: &str) -> &str {
    output.lines().next().unwrap_or_default()
}
