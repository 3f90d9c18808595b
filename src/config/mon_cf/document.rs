//! mon.cf as events: what it says, one line a service, and the checks as probe-exec takes them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::depend::Expression;
use super::programs::find;
use super::{After, Alert, Block, MonCf, Service, Settings, Unless};
use crate::cli::duration;
use crate::cli::event::Event;
use crate::clock;

fn ms(d: Duration) -> Value {
    clock::millis(d).into()
}

/// What holds for the whole file.
pub fn whole(file: &Path, content: &MonCf) -> Event {
    let Settings { alertdir, mondir, statedir, logdir, cfbasedir, .. } = &content.settings;
    let paths = |dirs: &[std::path::PathBuf]| dirs.iter().map(|d| d.display().to_string()).collect::<Vec<_>>();
    let settings = json!({
        "alertdir": paths(alertdir),
        "mondir": paths(mondir),
        "statedir": statedir.display().to_string(),
        "logdir": logdir.display().to_string(),
        "cfbasedir": cfbasedir.display().to_string(),
        "maxprocs": content.settings.maxprocs,
        "startupalerts_on_reset": content.settings.startupalerts_on_reset,
    });
    let ignored: Vec<Value> =
        content.ignored.iter().map(|i| json!({"directive": i.directive, "line": i.line, "reason": i.reason})).collect();
    let mut words = format!("{} services", content.services.len());
    for i in &content.ignored {
        words.push_str(&format!("; without effect: {} (line {}: {})", i.directive, i.line, i.reason));
    }
    Event::new("mon-cf", words)
        .with("file", file.display().to_string())
        .with("settings", settings)
        .with("ignored", ignored)
}

/// One service.
pub fn service(file: &Path, service: &Service) -> Event {
    let monitor = service.monitor.as_ref().map(|(words, _)| words.clone());
    let hosts = service.checked_hosts().map(String::as_str).collect::<Vec<_>>().join(", ");
    let words = match &monitor {
        Some(m) => format!("{} every {} on {hosts}", m.join(" "), duration::words(service.interval)),
        None => format!("nothing checks it on {hosts}"),
    };
    let words = format!("{}: {words}", service.full_name().target());
    let expression = |e: &Option<Expression>| e.as_ref().map(ToString::to_string);
    let hosts: Vec<String> = service.host_depend.iter().map(ToString::to_string).collect();
    let periods: Vec<&str> = service.exclude_periods.iter().map(super::period::Period::text).collect();
    let settings = json!({
        "interval_ms": Some(service.interval).filter(|d| !d.is_zero()).map(ms),
        "failure_interval_ms": service.failure_interval.map(ms),
        "with_hosts": service.with_hosts,
        "allow_empty_group": service.allow_empty_group,
        "description": service.description,
        "env": service.env,
        "exclude_periods": periods,
        "alertdepend": expression(&service.alert_depend),
        "monitordepend": expression(&service.monitor_depend),
        "hostdepend": hosts,
        "dep_memory_ms": ms(service.dep_memory),
        "redistribute": service.redistribute.as_ref().map(|a| a.words.clone()),
    });
    Event::new("mon-service", words)
        .with("file", file.display().to_string())
        .with("line", service.line)
        .with("group", service.group.as_str())
        .with("service", service.name.as_str())
        .with("hosts", service.hosts.clone())
        .with("excluded", service.exclude_hosts.clone())
        .with("monitor", monitor)
        .with("settings", settings)
        .with("periods", service.periods.iter().map(block).collect::<Vec<_>>())
}

fn block(block: &Block) -> Value {
    let alerts = |list: &[Alert]| -> Vec<Value> {
        list.iter().map(|a| json!({"argv": a.words, "exit": a.exit.map(|(from, to)| [from, to])})).collect()
    };
    let every = block.alertevery.map(|e| {
        let unless = match e.unless {
            Unless::Summary => "summary",
            Unless::Detail => "detail",
            Unless::Success => "success",
            Unless::Never => "never",
        };
        json!({"ms": ms(e.time), "unless": unless})
    });
    let after = block.alertafter.map(|a| match a {
        After::Times(n) => json!({"failures": n, "ms": null}),
        After::Within(n, time) => json!({"failures": n, "ms": ms(time)}),
        After::Lasting(time) => json!({"failures": null, "ms": ms(time)}),
    });
    json!({
        "label": block.label,
        "line": block.line,
        "period": block.period.text(),
        "alerts": alerts(&block.alerts),
        "upalerts": alerts(&block.upalerts),
        "startupalerts": alerts(&block.startupalerts),
        "alertevery": every,
        "alertafter": after,
        "numalerts": block.numalerts,
        "no_comp_alerts": block.no_comp_alerts,
        "upalertafter_ms": block.upalertafter.map(ms),
        "alertexitrange": block.alertexitrange.map(|(from, to)| [from, to]),
    })
}

/// The check of one service, as a line of stdin of probe-exec; none where nothing checks it.
pub fn check(settings: &Settings, service: &Service) -> Option<Event> {
    let (words, _) = service.monitor.as_ref().filter(|_| service.is_checked())?;
    let program = find(&settings.mondir, &words[0]).map_or_else(|| words[0].clone(), |p| p.display().to_string());
    let mut argv = vec![program];
    argv.extend(words[1..].iter().cloned());
    if service.with_hosts {
        argv.extend(service.checked_hosts().cloned());
    }
    let target = service.full_name().target();
    let event = Event::new("check", argv.join(" ")).with("target", target).with("argv", argv);
    let event = event.with("style", "mon").ms("every_ms", service.interval);
    let env = Value::from_iter(environment(settings, service));
    Some(event.ms("every_down_ms", service.failure_interval).with("env", env))
}

/// What a monitor and an alert find in their environment, whatever has happened.
pub fn environment(settings: &Settings, service: &Service) -> BTreeMap<String, String> {
    let mut env = service.env.clone();
    let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
    set("MON_GROUP", service.group.clone());
    set("MON_SERVICE", service.name.clone());
    if let Some(description) = &service.description {
        set("MON_DESCRIPTION", description.clone());
    }
    set("MON_STATEDIR", settings.statedir.display().to_string());
    set("MON_LOGDIR", settings.logdir.display().to_string());
    set("MON_CFBASEDIR", settings.cfbasedir.display().to_string());
    env
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Service(name) => name.fmt(f),
            Self::Constant(value) => write!(f, "{}", u8::from(*value)),
            Self::Not(one) => write!(f, "!{one}"),
            Self::And(one, other) => write!(f, "({one} && {other})"),
            Self::Or(one, other) => write!(f, "({one} || {other})"),
        }
    }
}
