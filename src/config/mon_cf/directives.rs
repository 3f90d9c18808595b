//! One line of mon.cf: where it stands, its directive and what is behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::depend::{self, Expression, Name};
use super::period::Period;
use super::{After, Alert, Block, Every, Ignored, MOST_FAILURES, MonCf, Service, Settings, Unless, words};
use crate::config::Parsed;
use crate::config::text::{Problems, quoted};

const NO_CLIENTS: &str = "there is no server for clients: events on stdout tell all";
const NO_TRAPS: &str = "no traps are received: let whoever sends them be a monitor";
const NO_LOG: &str = "events on stdout are the log and the history";

/// Global settings without any effect here.
const IGNORED: &[(&str, &str)] = &[
    ("authfile", NO_CLIENTS),
    ("authtype", NO_CLIENTS),
    ("clientallow", NO_CLIENTS),
    ("cltimeout", NO_CLIENTS),
    ("dep_recur_limit", "each service is asked once, however deep dependencies go, and circles end"),
    ("dtlogfile", NO_LOG),
    ("dtlogging", NO_LOG),
    ("histlength", NO_LOG),
    ("historicfile", NO_LOG),
    ("historictime", NO_LOG),
    ("monerrfile", "stderr is whatever the caller has made it"),
    ("monremote", NO_CLIENTS),
    ("pamservice", NO_CLIENTS),
    ("pidfile", "it stays in the foreground: whoever starts it knows its number"),
    ("randstart", "checks begin at once; maxprocs bounds how many run at a time"),
    ("serverbind", NO_CLIENTS),
    ("serverport", NO_CLIENTS),
    ("syslog_facility", "events go to stdout: pipe them to logger"),
    ("trapbind", NO_TRAPS),
    ("trapport", NO_TRAPS),
    ("unack_summary", NO_CLIENTS),
    ("userfile", NO_CLIENTS),
];

/// Directives of services and periods without any effect here.
const IGNORED_BELOW: &[(&str, &str)] = &[
    ("ackalert", "nobody can acknowledge a failure: there is no server for clients"),
    ("alerts_dont_count", "mon itself only reads it"),
    ("disablealert", "nothing can be disabled: there is no server for clients"),
    ("randskew", "checks keep to their interval; maxprocs bounds how many run at a time"),
    ("trapduration", NO_TRAPS),
    ("traptimeout", NO_TRAPS),
    ("unack_summary", NO_CLIENTS),
];

/// Longer than anybody waits.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// Hosts of a group, services of a file: more is a mistake, and takes memory.
const MOST: usize = 20_000;

/// When the dependency in `depend` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behavior {
    Alerts,
    Monitors,
    Hosts,
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Outside of everything.
    Top,
    /// In the hosts of a group.
    Hosts(String),
    /// In what has no effect, up to a blank line.
    Passed,
    /// In a watch, perhaps in a service of it.
    Watch(String),
}

/// What was read so far.
#[derive(Debug)]
pub(super) struct Reader {
    problems: Problems,
    place: Place,
    /// Whether the last service has a period section that goes on.
    in_period: bool,
    /// The service that goes on, and what is known of it beside the content.
    draft: Option<Draft>,
    groups: BTreeMap<String, (u32, Vec<String>)>,
    watches: BTreeMap<String, u32>,
    services: Vec<Service>,
    ignored: Vec<Ignored>,
    basedir: PathBuf,
    dirs: BTreeMap<&'static str, String>,
    maxprocs: u32,
    startupalerts_on_reset: bool,
    behavior: Behavior,
    dep_memory: Duration,
    exclude_period: Option<Period>,
}

/// What of a service is only understood at its end.
#[derive(Debug)]
struct Draft {
    service: Service,
    interval: Option<Duration>,
    behavior: Behavior,
    depend: Option<(u32, String)>,
    alert_depend: Option<(u32, String)>,
    monitor_depend: Option<(u32, String)>,
    host_depend: Option<(u32, String)>,
    trap: bool,
}

impl Reader {
    pub(super) fn new(problems: Problems) -> Self {
        Self {
            problems,
            place: Place::Top,
            in_period: false,
            draft: None,
            groups: BTreeMap::new(),
            watches: BTreeMap::new(),
            services: Vec::new(),
            ignored: Vec::new(),
            basedir: PathBuf::from("/usr/lib/mon"),
            dirs: BTreeMap::new(),
            maxprocs: 0,
            startupalerts_on_reset: false,
            behavior: Behavior::Alerts,
            dep_memory: Duration::ZERO,
            exclude_period: None,
        }
    }

    /// Takes one line, without blanks around it.
    pub(super) fn line(&mut self, line: u32, text: &str) {
        if text.is_empty() {
            self.end_of_record();
            return;
        }
        let in_watch = matches!(self.place, Place::Watch(_));
        if !in_watch && let Some((name, value)) = setting(text) {
            return self.global(line, name, value);
        }
        let (word, rest) = text.split_once(char::is_whitespace).map_or((text, ""), |(w, r)| (w, r.trim()));
        match word {
            "hostgroup" => self.hostgroup(line, rest),
            _ if matches!(self.place, Place::Hosts(_)) => self.hosts(text),
            "alias" | "view" => {
                self.end_of_record();
                self.place = Place::Passed;
                self.ignore(line, word, NO_CLIENTS);
            }
            _ if self.place == Place::Passed => {}
            "watch" => self.watch(line, rest),
            _ if in_watch => self.below(line, text, word, rest),
            "service" | "period" | "monitor" | "interval" | "alert" | "upalert" | "description" => {
                let what = format!("{word} stands outside of a watch, where mon passes over it in silence");
                self.problems.error(
                    line,
                    what,
                    "a blank line ends a watch: take out the one above, or repeat the watch",
                );
            }
            _ => {
                let what = format!("{} is no directive of mon.cf", quoted(word));
                self.problems.error(line, what, "see mon(8) for what there is; # begins a comment");
            }
        }
    }

    pub(super) fn finish(mut self) -> Parsed<MonCf> {
        self.end_of_record();
        for (name, (line, _)) in self.groups.iter().filter(|(name, _)| !self.watches.contains_key(*name)) {
            let what = format!("hostgroup {name} has no watch: nothing checks it");
            self.problems.warning(*line, what, format!("add a watch {name}, or take the group out"));
        }
        let settings = self.settings();
        let content = MonCf { settings, services: self.services, ignored: self.ignored };
        unknown_dependencies(&content, &mut self.problems);
        Parsed { content, problems: self.problems.sorted() }
    }

    fn settings(&self) -> Settings {
        let text = |name: &str, default: &str| self.dirs.get(name).cloned().unwrap_or_else(|| default.to_owned());
        let below = |base: &Path, path: &str| base.join(path.trim_end_matches('/'));
        let list = |name, default| text(name, default).split(':').map(|d| below(&self.basedir, d)).collect();
        Settings {
            alertdir: list("alertdir", "/usr/local/lib/mon/alert.d:alert.d"),
            mondir: list("mondir", "/usr/local/lib/mon/mon.d:mon.d"),
            statedir: below(&self.basedir, &text("statedir", "/var/lib/mon")),
            logdir: below(&self.basedir, &text("logdir", "/var/log/mon")),
            cfbasedir: PathBuf::from(text("cfbasedir", "/etc/mon")),
            maxprocs: self.maxprocs,
            startupalerts_on_reset: self.startupalerts_on_reset,
        }
    }

    fn end_of_record(&mut self) {
        self.end_of_service();
        self.place = Place::Top;
    }

    fn ignore(&mut self, line: u32, directive: &str, reason: &'static str) {
        self.ignored.push(Ignored { directive: directive.to_owned(), line, reason });
    }

    fn error(&mut self, line: u32, what: impl Into<String>, hint: impl Into<String>) {
        self.problems.error(line, what, hint);
    }

    fn global(&mut self, line: u32, name: &str, value: &str) {
        if let Some((_, reason)) = IGNORED.iter().find(|(known, _)| *known == name) {
            return self.ignore(line, name, reason);
        }
        match name {
            "alertdir" | "mondir" | "statedir" | "logdir" | "cfbasedir" | "basedir" => {
                let relative = matches!(name, "cfbasedir" | "basedir") && !value.starts_with('/');
                if value.is_empty() || relative || value.split([':', '/']).any(|part| part == "..") {
                    return self.error(
                        line,
                        format!("{name} is {}", quoted(value)),
                        "write an absolute path, without ..",
                    );
                }
                match name {
                    "basedir" => self.basedir = PathBuf::from(value),
                    "alertdir" => drop(self.dirs.insert("alertdir", value.to_owned())),
                    "mondir" => drop(self.dirs.insert("mondir", value.to_owned())),
                    "statedir" => drop(self.dirs.insert("statedir", value.to_owned())),
                    "logdir" => drop(self.dirs.insert("logdir", value.to_owned())),
                    _ => drop(self.dirs.insert("cfbasedir", value.to_owned())),
                }
            }
            "maxprocs" => match value.parse::<u32>().ok().filter(|n| *n <= 100_000) {
                Some(n) => self.maxprocs = n,
                None => self.error(line, format!("{name} is {}", quoted(value)), "write a whole number"),
            },
            "dep_behavior" => {
                if let Some(behavior) = self.behavior(line, value) {
                    self.behavior = behavior;
                }
            }
            "dep_memory" => {
                if let Some(time) = self.time(line, name, value) {
                    self.dep_memory = time;
                }
            }
            "startupalerts_on_reset" => {
                self.startupalerts_on_reset =
                    matches!(value.to_ascii_lowercase().as_str(), "1" | "yes" | "true" | "on");
            }
            "exclude_period" => self.exclude_period = self.period(line, value),
            _ => self.error(
                line,
                format!("{} is no setting of mon.cf", quoted(name)),
                "see mon(8) for the settings; variables of an environment stand in a service",
            ),
        }
    }

    fn hostgroup(&mut self, line: u32, rest: &str) {
        self.end_of_record();
        let (name, hosts) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if !is_tag(name) {
            return self.error(line, format!("{} is no name of a group", quoted(name)), TAG);
        }
        if let Some((before, _)) = self.groups.get(name) {
            let what = format!("hostgroup {name} stands in line {before} already");
            self.problems.warning(line, what, "the last one counts: leave the other out");
        }
        self.groups.insert(name.to_owned(), (line, Vec::new()));
        self.place = Place::Hosts(name.to_owned());
        self.hosts(hosts);
    }

    fn hosts(&mut self, words: &str) {
        let Place::Hosts(name) = &self.place else { return };
        let Some((line, hosts)) = self.groups.get_mut(name) else { return };
        hosts.extend(words.split_whitespace().map(str::to_owned));
        if hosts.len() > MOST {
            hosts.truncate(MOST);
            self.problems.error(*line, format!("a group has more than {MOST} hosts"), "make several of it");
        }
    }

    fn watch(&mut self, line: u32, rest: &str) {
        self.end_of_record();
        let name = rest.split_whitespace().next().unwrap_or_default();
        if !is_tag(name) {
            return self.error(line, format!("{} is no name of a group", quoted(name)), TAG);
        }
        if let Some(before) = self.watches.insert(name.to_owned(), line) {
            self.error(
                line,
                format!("watch {name} stands in line {before} already"),
                "put its services into one watch",
            );
        }
        if !self.groups.contains_key(name) {
            let what = format!("watch {name} has no hostgroup above it: its one host is called {name}");
            self.problems.warning(line, what, format!("write hostgroup {name} {name} before it, if that is meant"));
            self.groups.insert(name.to_owned(), (line, vec![name.to_owned()]));
        }
        self.place = Place::Watch(name.to_owned());
    }

    /// A line of a watch.
    fn below(&mut self, line: u32, text: &str, word: &str, rest: &str) {
        if let Some((name, value)) = variable(text) {
            match &mut self.draft {
                Some(draft) => drop(draft.service.env.insert(name.to_owned(), value.to_owned())),
                None => self.error(line, "a variable of the environment stands before any service", "put it below one"),
            }
            return;
        }
        if word == "service" {
            return self.service(line, rest);
        }
        if self.draft.is_none() {
            return self.error(line, format!("{} stands before any service", quoted(word)), "begin with: service NAME");
        }
        if let Some((_, reason)) = IGNORED_BELOW.iter().find(|(known, _)| *known == word) {
            if let (true, Some(draft)) = (word.starts_with("trap"), &mut self.draft) {
                draft.trap = true;
            }
            return self.ignore(line, word, reason);
        }
        match word {
            "period" => self.block(line, rest),
            _ if self.in_period => self.period_directive(line, word, rest),
            _ => self.service_directive(line, word, rest),
        }
    }

    fn service(&mut self, line: u32, name: &str) {
        self.end_of_service();
        let Place::Watch(group) = self.place.clone() else { return };
        if !is_tag(name) {
            self.error(line, format!("{} is no name of a service", quoted(name)), TAG);
        } else if self.services.iter().any(|s| s.group == group && s.name == name) {
            self.error(line, format!("service {name} stands in watch {group} already"), "choose another name");
        }
        if self.services.len() >= MOST {
            return self.error(line, format!("there are more than {MOST} services"), "make several files of it");
        }
        let hosts = self.groups.get(&group).map(|(_, hosts)| hosts.clone()).unwrap_or_default();
        let service = Service {
            group,
            name: name.to_owned(),
            line,
            hosts,
            exclude_hosts: Vec::new(),
            monitor: None,
            with_hosts: true,
            allow_empty_group: false,
            interval: Duration::ZERO,
            failure_interval: None,
            description: None,
            env: BTreeMap::new(),
            exclude_periods: self.exclude_period.clone().into_iter().collect(),
            alert_depend: None,
            monitor_depend: None,
            host_depend: Vec::new(),
            dep_memory: self.dep_memory,
            redistribute: None,
            periods: Vec::new(),
        };
        self.draft = Some(Draft {
            service,
            interval: None,
            behavior: self.behavior,
            depend: None,
            alert_depend: None,
            monitor_depend: None,
            host_depend: None,
            trap: false,
        });
    }

    fn end_of_service(&mut self) {
        self.in_period = false;
        let Some(draft) = self.draft.take() else { return };
        let Draft { mut service, interval, behavior, depend, alert_depend, monitor_depend, host_depend, trap } = draft;
        let of = |own: Option<(u32, String)>, wanted| {
            if behavior == wanted { depend.clone().or(own) } else { own }
        };
        let group = service.group.clone();
        service.alert_depend = self.expression(of(alert_depend, Behavior::Alerts), &group);
        service.monitor_depend = self.expression(of(monitor_depend, Behavior::Monitors), &group);
        if let Some((line, text)) = of(host_depend, Behavior::Hosts) {
            match depend::names(&text, &group) {
                Ok(names) => service.host_depend = names,
                Err(what) => self.error(line, what, DEPEND),
            }
        }
        let line = service.line;
        match (interval, &service.monitor) {
            (Some(interval), _) => service.interval = interval,
            (None, Some(_)) => self.error(
                line,
                format!("service {} has a monitor, but no interval", service.name),
                "add an interval, such as 10s",
            ),
            (None, None) => {}
        }
        if service.monitor.is_none() {
            let what = format!("service {} has no monitor: nothing checks it", service.name);
            let hint = if trap { NO_TRAPS } else { "add a monitor; traps are not received" };
            self.problems.warning(line, what, hint);
        } else if !service.is_checked() {
            let what = format!("no host is left for service {}: it is not checked", service.name);
            self.problems.warning(line, what, "add a host to the group, or allow_empty_group");
        }
        for host in service.exclude_hosts.iter().filter(|h| !service.hosts.contains(h)) {
            let what =
                format!("exclude_hosts of service {} names {}, which is not in its group", service.name, quoted(host));
            self.problems.warning(line, what, "take it out");
        }
        if service.monitor.is_some() && service.periods.iter().all(|p| p.alerts.is_empty()) {
            let what = format!("service {} has no alert: nobody is told of a failure", service.name);
            self.problems.warning(line, what, "add a period with an alert, if somebody is to be");
        }
        self.services.push(service);
    }

    fn service_directive(&mut self, line: u32, word: &str, rest: &str) {
        match word {
            "interval" | "failure_interval" | "dep_memory" => {
                let time = self.time(line, word, rest);
                let Some(draft) = &mut self.draft else { return };
                // Whoever hears that it is wrong need not hear that it is missing.
                let time = time.unwrap_or(Duration::from_secs(1));
                match word {
                    "interval" => draft.interval = Some(time),
                    "failure_interval" => draft.service.failure_interval = Some(time),
                    _ => draft.service.dep_memory = time,
                }
            }
            "monitor" => {
                let (text, with_hosts) = match rest.strip_suffix(";;") {
                    Some(before) if before.ends_with(char::is_whitespace) => (before, false),
                    _ => (rest, true),
                };
                if let Some(words) = self.program(line, text)
                    && let Some(draft) = &mut self.draft
                {
                    (draft.service.monitor, draft.service.with_hosts) = (Some((words, line)), with_hosts);
                }
            }
            "redistribute" => {
                if let Some(words) = self.program(line, rest)
                    && let Some(draft) = &mut self.draft
                {
                    draft.service.redistribute = Some(Alert { words, exit: None, line });
                }
            }
            "exclude_period" => {
                if let Some(period) = self.period(line, rest)
                    && let Some(draft) = &mut self.draft
                {
                    draft.service.exclude_periods.push(period);
                }
            }
            "dep_behavior" => {
                if let Some(behavior) = self.behavior(line, rest)
                    && let Some(draft) = &mut self.draft
                {
                    draft.behavior = behavior;
                }
            }
            _ => {
                let Some(draft) = &mut self.draft else { return };
                let own = Some((line, rest.to_owned()));
                match word {
                    "description" => draft.service.description = Some(rest.to_owned()),
                    "allow_empty_group" => draft.service.allow_empty_group = true,
                    "exclude_hosts" => {
                        draft.service.exclude_hosts = rest.split_whitespace().map(str::to_owned).collect();
                    }
                    "depend" => draft.depend = own,
                    "alertdepend" => draft.alert_depend = own,
                    "monitordepend" => draft.monitor_depend = own,
                    "hostdepend" => draft.host_depend = own,
                    _ => {
                        let hint = if PERIOD_WORDS.contains(&word) {
                            "it belongs below a period: begin with one, such as period wd {Sun-Sat}"
                        } else {
                            "see mon(8) for the directives of a service"
                        };
                        self.error(line, format!("{} is no directive of a service", quoted(word)), hint);
                    }
                }
            }
        }
    }

    fn block(&mut self, line: u32, rest: &str) {
        self.in_period = true;
        let (label, text) = match rest.split_once(':') {
            Some((label, text)) if is_label(label.trim()) => (label.trim(), text.trim()),
            _ => (rest, rest),
        };
        let period = self.period(line, text);
        let Some(draft) = &mut self.draft else { return };
        let name = draft.service.name.clone();
        let twice = draft.service.periods.iter().any(|p| p.label == label);
        // A wrong one still takes what stands below it.
        let period = period.unwrap_or_else(|| Period::always(text));
        draft.service.periods.push(Block {
            label: label.to_owned(),
            line,
            period,
            alerts: Vec::new(),
            upalerts: Vec::new(),
            startupalerts: Vec::new(),
            alertevery: None,
            alertafter: None,
            numalerts: None,
            no_comp_alerts: false,
            upalertafter: None,
            alertexitrange: None,
        });
        if twice {
            let what = format!("service {name} has the period {} already", quoted(label));
            self.error(line, what, "give one of them a label, as in: period second: wd {Sun-Sat}");
        }
    }

    fn period_directive(&mut self, line: u32, word: &str, rest: &str) {
        let every = |time: &str, unless| (time.to_owned(), unless);
        match word {
            "alert" | "upalert" | "startupalert" => {
                let Some(alert) = self.alert(line, rest) else { return };
                if let Some(block) = self.last() {
                    match word {
                        "alert" => block.alerts.push(alert),
                        "upalert" => block.upalerts.push(alert),
                        _ => block.startupalerts.push(alert),
                    }
                }
            }
            "alertevery" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let (time, unless) = match words.as_slice() {
                    [time] | [time, "summary"] => every(time, Unless::Summary),
                    [time, "observe_detail"] => every(time, Unless::Detail),
                    [time, "ignore_summary"] => every(time, Unless::Success),
                    [time, "strict"] => every(time, Unless::Never),
                    _ => {
                        let what = format!("alertevery is {}", quoted(rest));
                        return self.error(
                            line,
                            what,
                            "write a time, and perhaps observe_detail, ignore_summary or strict",
                        );
                    }
                };
                if let Some(time) = self.time(line, word, &time)
                    && let Some(block) = self.last()
                {
                    block.alertevery = Some(Every { time, unless });
                }
            }
            "alertafter" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let number = |text: &str| text.parse::<u32>().ok().filter(|n| (1..=MOST_FAILURES).contains(n));
                let after = match words.as_slice() {
                    [one] if one.bytes().all(|b| b.is_ascii_digit()) => number(one).map(After::Times),
                    [one] => self.time(line, word, one).map(After::Lasting),
                    [n, time] => number(n).zip(self.time(line, word, time)).map(|(n, time)| After::Within(n, time)),
                    _ => None,
                };
                let Some(after) = after else {
                    let what = format!("alertafter is {}", quoted(rest));
                    return self.error(line, what, "write a number above 0, a time, or a number and a time: 3 30m");
                };
                let interval = self.draft.as_ref().and_then(|d| d.service.failure_interval.or(d.interval));
                if let (After::Within(n, time), Some(interval)) = (after, interval)
                    && interval.saturating_mul(n - 1) >= time
                {
                    let what = "so many failures do not fit into that time at this interval: no alert would ever run";
                    return self.error(line, what, "give it more time, or fewer failures");
                }
                if let Some(block) = self.last() {
                    block.alertafter = Some(after);
                }
            }
            "upalertafter" => {
                if let Some(time) = self.time(line, word, rest)
                    && let Some(block) = self.last()
                {
                    block.upalertafter = Some(time);
                }
            }
            "numalerts" => match rest.parse::<u32>() {
                // mon takes 0 for no bound.
                Ok(n) => {
                    if let Some(block) = self.last() {
                        block.numalerts = (n > 0).then_some(n);
                    }
                }
                Err(_) => self.error(line, format!("numalerts is {}", quoted(rest)), "write a whole number"),
            },
            "no_comp_alerts" => {
                if let Some(block) = self.last() {
                    block.no_comp_alerts = true;
                }
            }
            "alertexitrange" => match exit_range(rest) {
                Some(range) => {
                    if let Some(block) = self.last() {
                        block.alertexitrange = Some(range);
                    }
                }
                None => {
                    self.error(line, format!("alertexitrange is {}", quoted(rest)), "write a status, or two: 10-20")
                }
            },
            _ => {
                let what = format!("{} is no directive of a period", quoted(word));
                self.error(line, what, "what is about the service stands above its first period");
            }
        }
    }

    fn last(&mut self) -> Option<&mut Block> {
        self.draft.as_mut()?.service.periods.last_mut()
    }

    fn alert(&mut self, line: u32, rest: &str) -> Option<Alert> {
        let mut exit = None;
        let mut text = rest;
        // exit=10-20, also with blanks around the sign.
        if let Some(after) = rest.strip_prefix("exit").map(str::trim_start).and_then(|r| r.strip_prefix('=')) {
            let (range, program) = after.trim_start().split_once(char::is_whitespace).unwrap_or((after, ""));
            exit = exit_range(range);
            text = program;
            if exit.is_none() {
                self.error(line, format!("exit= has {}", quoted(range)), "write a status, or two: exit=10-20");
                return None;
            }
        }
        Some(Alert { words: self.program(line, text)?, exit, line })
    }

    /// A program and its arguments.
    fn program(&mut self, line: u32, text: &str) -> Option<Vec<String>> {
        let wrong = match words::split(text) {
            Err(what) => what,
            Ok(words) => match words.first().map(String::as_str) {
                None | Some("") => "no program is named".to_owned(),
                Some(name) if name.split('/').any(|part| part == "..") => {
                    format!("{} leaves its folder", quoted(name))
                }
                Some(_) if words.iter().any(|w| w.contains('\0')) => "there is a NUL in it".to_owned(),
                Some(_) => return Some(words),
            },
        };
        self.error(line, wrong, "write the name of a program, and its arguments quoted as for a shell");
        None
    }

    fn behavior(&mut self, line: u32, text: &str) -> Option<Behavior> {
        let behavior = match text {
            "a" => Some(Behavior::Alerts),
            "m" => Some(Behavior::Monitors),
            "hm" => Some(Behavior::Hosts),
            _ => None,
        };
        if behavior.is_none() {
            let what = format!("dep_behavior is {}", quoted(text));
            self.error(line, what, "write a (alerts), m (monitors) or hm (hosts)");
        }
        behavior
    }

    fn period(&mut self, line: u32, text: &str) -> Option<Period> {
        match text.parse() {
            Ok(period) => Some(period),
            Err(what) => {
                let what = format!("{} is no period: {what}", quoted(text));
                self.error(
                    line,
                    what,
                    "write it as Time::Period does: wd {Mon-Fri} hr {7am-6pm}; nothing at all is always",
                );
                None
            }
        }
    }

    fn expression(&mut self, text: Option<(u32, String)>, group: &str) -> Option<Expression> {
        let (line, text) = text?;
        match depend::parse(&text, group) {
            Ok(expression) => Some(expression),
            Err(what) => {
                self.error(line, what, DEPEND);
                None
            }
        }
    }

    fn time(&mut self, line: u32, name: &str, text: &str) -> Option<Duration> {
        let time = time(text);
        if time.is_none() {
            let what = format!("{name} is {}, which is no time", quoted(text));
            self.error(line, what, "write a number above 0 and s, m, h or d, as in 0.5s, 30s, 1.5h");
        }
        time
    }
}

const TAG: &str = "a name has letters, digits, '.', '-' and '_'";
const DEPEND: &str =
    "write such as SELF:ping && routers:snmp; of Perl only &&, ||, !, and, or, not, ( ), 0 and 1 are understood";
const PERIOD_WORDS: &[&str] = &[
    "alert",
    "upalert",
    "startupalert",
    "alertevery",
    "alertafter",
    "upalertafter",
    "numalerts",
    "no_comp_alerts",
    "alertexitrange",
];

fn is_tag(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn is_label(label: &str) -> bool {
    label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name = value`
fn setting(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_end();
    let word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    word.then_some((name, value.trim()))
}

/// `NAME=value`, with no blank before the sign.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let good = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (good && !value.contains('\0')).then_some((name, value))
}

/// A time as mon writes it.
fn time(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, unit) = (text.get(..text.len().checked_sub(1)?)?, text.chars().last()?);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !number(whole) || !number(fraction) {
        return None;
    }
    let scale = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86_400.0,
        _ => return None,
    };
    let time = Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * scale).ok()?;
    // Rounded to a microsecond: 0.1s is then exactly 100 ms.
    let time = Duration::from_micros(u64::try_from((time.as_nanos() + 500) / 1000).ok()?);
    (!time.is_zero() && time <= LONGEST).then_some(time)
}

fn exit_range(text: &str) -> Option<(i32, i32)> {
    let (from, to) = text.trim().split_once('-').unwrap_or((text.trim(), text.trim()));
    let number = |text: &str| text.parse::<u8>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    Some((number(from)?.into(), number(to)?.into())).filter(|(from, to)| from <= to)
}

/// Services that depend on what is not there would never alert, or never stop.
fn unknown_dependencies(content: &MonCf, problems: &mut Problems) {
    for service in &content.services {
        let expressions = service.alert_depend.iter().chain(&service.monitor_depend);
        let names: Vec<&Name> = expressions.flat_map(Expression::services).chain(&service.host_depend).collect();
        for name in names {
            let known = content.service(name);
            if known.is_none() {
                let what = format!("service {} depends on {name}, which is not in this file", service.name);
                problems.error(service.line, what, "mend the name: GROUP:SERVICE, or SELF:SERVICE for the same watch");
            } else if known.is_some_and(|k| !k.is_checked()) {
                let what = format!("service {} depends on {name}, which nothing checks", service.name);
                problems.warning(service.line, what, "it never fails then");
            }
        }
    }
}
