//! A .cf as events.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::checks::{Check, Set, check};
use super::{Ldirectord, Virtual};
use crate::cli::event::Event;
use crate::clock::millis;
use crate::config::ha_cf::Ignored;

fn ignored(list: &[Ignored]) -> Vec<Value> {
    list.iter().map(|i| json!({"directive": i.directive, "line": i.line, "reason": i.reason})).collect()
}

/// What holds for the whole file.
pub fn global(file: &Path, conf: &Ldirectord) -> Event {
    let settings = json!({
        "logfile": conf.logfile,
        "callback": conf.callback.as_ref().map(|words| words.join(" ")),
        "autoreload": conf.autoreload,
        "maintenancedir": conf.maintenancedir,
        "readdquiescent": conf.readdquiescent,
        "execute": conf.execute,
        "supervised": conf.supervised,
    });
    let count = conf.virtuals.len();
    Event::new("ldirectord", format!("{}: {count} virtual services", file.display()))
        .with("file", file.display().to_string())
        .with("settings", settings)
        .with("ignored", ignored(&conf.ignored))
}

/// A virtual service.
pub fn service(file: &Path, conf: &Ldirectord, of: &Virtual) -> Event {
    let Virtual { settings, .. } = of;
    let fallback = conf.fallback(of).map(|(address, forward)| format!("{address} {}", forward.word()));
    let rows = json!({
        "checktype": of.checktype.word(),
        "service": of.service,
        "every_ms": millis(conf.every(of)),
        "timeout_ms": millis(conf.timeout(of)),
        "fall": conf.fall(of),
        "quiescent": conf.quiescent(of),
        "cleanstop": conf.cleanstop(of),
        "fallback": fallback,
        "fallbackcommand": conf.fallbackcommand(of).map(|words| words.join(" ")),
        "scheduler": settings.scheduler,
        "scheduler_flags": settings.flags,
        "persistent_s": settings.persistent_s,
        "netmask": settings.netmask.map(|m| m.to_string()),
        "ops": settings.ops,
        "request": of.request,
        "receive": of.receive,
        "httpmethod": of.httpmethod,
        "virtualhost": of.virtualhost,
        "checkport": of.checkport,
        "checkcommand": of.checkcommand,
        "login": of.login,
        "database": of.database,
    });
    let server = |real: &super::Real| {
        let checked = match check(conf, of, real) {
            Check::On => "on",
            Check::Off => "off",
            Check::By(prober, _) => prober.word(),
        };
        let mut row = Map::new();
        row.insert("address".to_owned(), real.address.to_string().into());
        row.insert("target".to_owned(), of.target(real).into());
        row.insert("forward".to_owned(), real.forward.word().into());
        row.insert("weight".to_owned(), real.weight.into());
        row.insert("lower".to_owned(), real.lower.into());
        row.insert("upper".to_owned(), real.upper.into());
        row.insert("checked".to_owned(), checked.into());
        Value::Object(row)
    };
    let words = of.reals.iter().map(|r| r.address.to_string()).collect::<Vec<_>>().join(" ");
    Event::new("virtual", format!("{}: {words}", of.name()))
        .with("file", file.display().to_string())
        .with("line", of.line)
        .with("service", of.key.to_string())
        .with("virtual", of.name())
        .with("settings", rows)
        .with("servers", of.reals.iter().map(server).collect::<Vec<_>>())
        .with("ignored", ignored(&of.ignored))
}

/// A process that has to run for the checks.
pub fn set(number: usize, set: &Set) -> Event {
    let every = crate::cli::duration::words(set.every);
    let (prober, count) = (set.prober.word(), set.targets.len());
    Event::new("prober", format!("{prober}: {count} targets, every {every}, down after {}", set.fall))
        .with("set", number)
        .with("prober", prober)
        .ms("every_ms", set.every)
        .with("fall", set.fall)
        .with("targets", count)
}
