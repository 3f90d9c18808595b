//! The files as documents: one event each for ha.cf and authkeys, one for each group of haresources.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::authkeys::AuthKeys;
use super::ha_cf::{AutoFailback, Autojoin, Client, Compression, HaCf, Medium, MessageFormat};
use super::haresources::Group;
use super::{Problem, Severity};
use crate::cli::duration;
use crate::cli::event::Event;
use crate::clock;
use crate::resource::spec::Resource;

/// ha.cf, defaults filled in. What a fencing device is told is left out: it may be a password.
pub fn ha_cf(file: &Path, content: &HaCf) -> Event {
    let media: Vec<Value> = content.media.iter().map(medium).collect();
    let ignored: Vec<Value> =
        content.ignored.iter().map(|i| json!({"directive": i.directive, "line": i.line, "reason": i.reason})).collect();
    Event::new("ha-cf", ha_cf_words(content))
        .with("file", file.display().to_string())
        .with("nodes", content.nodes.clone())
        .with("settings", settings(content))
        .with("media", media)
        .with("ignored", ignored)
}

fn ha_cf_words(content: &HaCf) -> String {
    let media: Vec<String> = content.media.iter().map(ToString::to_string).collect();
    let times = [
        ("keepalive", content.keepalive),
        ("warntime", content.warntime),
        ("deadtime", content.deadtime),
        ("initdead", content.initdead),
    ]
    .map(|(name, d)| format!("{name} {}", duration::words(d)));
    let mut words = format!("nodes {}; {}; {}", content.nodes.join(", "), times.join(", "), media.join(", "));
    words.push_str(&format!("; auto_failback {}", failback(content.auto_failback)));
    if !content.ignored.is_empty() {
        let ignored: Vec<String> =
            content.ignored.iter().map(|i| format!("{} (line {}: {})", i.directive, i.line, i.reason)).collect();
        words.push_str(&format!("; without effect: {}", ignored.join(", ")));
    }
    words
}

fn failback(value: AutoFailback) -> &'static str {
    match value {
        AutoFailback::On => "on",
        AutoFailback::Off => "off",
        AutoFailback::Legacy => "legacy",
    }
}

fn ms(d: Duration) -> Value {
    clock::millis(d).into()
}

fn clients(list: &[Client]) -> Vec<Value> {
    list.iter().map(|c| json!({"user": c.user, "command": c.command})).collect()
}

fn settings(content: &HaCf) -> Map<String, Value> {
    let path = |p: &Option<std::path::PathBuf>| p.as_ref().map(|p| p.display().to_string());
    let ping_groups: Vec<Value> =
        content.ping_groups.iter().map(|g| json!({"name": g.name, "hosts": g.hosts})).collect();
    let apiauth: Vec<Value> =
        content.apiauth.iter().map(|a| json!({"client": a.client, "uids": a.uids, "gids": a.gids})).collect();
    let stonith: Vec<Value> = content.stonith.iter().map(|s| json!({"host": s.host, "type": s.kind})).collect();
    let env: Map<String, Value> = content.env.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
    let rows: [(&str, Value); 27] = [
        ("keepalive_ms", ms(content.keepalive)),
        ("warntime_ms", ms(content.warntime)),
        ("deadtime_ms", ms(content.deadtime)),
        ("initdead_ms", ms(content.initdead)),
        ("deadping_ms", ms(content.deadping)),
        ("max_rexmit_delay_ms", ms(content.max_rexmit_delay)),
        ("udpport", content.udpport.into()),
        ("baud", content.baud.into()),
        ("ping", content.ping.clone().into()),
        ("ping_groups", ping_groups.into()),
        (
            "msgfmt",
            match content.msgfmt {
                MessageFormat::Classic => "classic",
                MessageFormat::Netstring => "netstring",
            }
            .into(),
        ),
        (
            "compression",
            match content.compression {
                Compression::Zlib => "zlib",
                Compression::Bz2 => "bz2",
            }
            .into(),
        ),
        ("compression_threshold_kib", content.compression_threshold.into()),
        ("traditional_compression", content.traditional_compression.into()),
        ("auto_failback", failback(content.auto_failback).into()),
        (
            "autojoin",
            match content.autojoin {
                Autojoin::None => "none",
                Autojoin::Other => "other",
                Autojoin::Any => "any",
            }
            .into(),
        ),
        ("env", env.into()),
        ("respawn", clients(&content.respawn).into()),
        ("failfast", clients(&content.failfast).into()),
        ("apiauth", apiauth.into()),
        ("logfile", path(&content.logfile).into()),
        ("debugfile", path(&content.debugfile).into()),
        ("logfacility", content.logfacility.clone().into()),
        ("watchdog", path(&content.watchdog).into()),
        ("stonith", stonith.into()),
        ("realtime", content.realtime.into()),
        ("rtprio", content.rtprio.into()),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn medium(medium: &Medium) -> Value {
    match medium {
        Medium::Bcast { dev, port } => json!({"kind": "bcast", "dev": dev, "port": port}),
        Medium::Ucast { dev, host, port } => json!({"kind": "ucast", "dev": dev, "host": host, "port": port}),
        Medium::Ucast6 { dev, host, port } => {
            json!({"kind": "ucast6", "dev": dev, "host": host.to_string(), "port": port})
        }
        Medium::Mcast { dev, group, port, ttl, looped } => {
            json!({"kind": "mcast", "dev": dev, "group": group.to_string(), "port": port, "ttl": ttl, "loop": looped})
        }
        Medium::Mcast6 { dev, group, port, hops, looped } => {
            json!({"kind": "mcast6", "dev": dev, "group": group.to_string(), "port": port, "ttl": hops, "loop": looped})
        }
        Medium::Serial { path, baud } => {
            json!({"kind": "serial", "path": path.display().to_string(), "baud": baud})
        }
    }
}

/// As the options of hb-send(8) name it.
impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Bcast { dev, port } => write!(f, "bcast {dev}:{port}"),
            Self::Ucast { dev, host, port } => write!(f, "ucast {host}:{port}@{dev}"),
            Self::Ucast6 { dev, host, port } => write!(f, "ucast [{host}]:{port}@{dev}"),
            Self::Mcast { dev, group, port, .. } => write!(f, "mcast {group}:{port}@{dev}"),
            Self::Mcast6 { dev, group, port, .. } => write!(f, "mcast [{group}]:{port}@{dev}"),
            Self::Serial { path, baud } => write!(f, "serial {}@{baud}", path.display()),
        }
    }
}

/// authkeys without its keys.
pub fn authkeys(file: &Path, content: &AuthKeys) -> Event {
    let keys: Vec<Value> =
        content.keys.iter().map(|k| json!({"index": k.index, "method": k.method.name(), "line": k.line})).collect();
    let words: Vec<String> = content
        .keys
        .iter()
        .map(|k| {
            let signs = if k.index == content.sending { "signs" } else { "is accepted" };
            format!("key {} ({}) {signs}", k.index, k.method)
        })
        .collect();
    Event::new("authkeys", words.join(", "))
        .with("file", file.display().to_string())
        .with("sending", content.sending)
        .with("keys", keys)
}

/// One group of haresources.
pub fn group(file: &Path, group: &Group) -> Event {
    let specs: Vec<&str> = group.resources.iter().map(|r| r.spec.as_str()).collect();
    Event::new("group", format!("{} {}", group.nodes.join(","), specs.join(" ")))
        .with("file", file.display().to_string())
        .with("line", group.line)
        .with("id", group.id.as_str())
        .with("nodes", group.nodes.clone())
        .with("resources", group.resources.iter().map(resource).collect::<Vec<_>>())
}

fn resource(resource: &Resource) -> Value {
    let Resource { spec, class, provider, agent, args } = resource;
    json!({"spec": spec, "class": class.word(), "provider": provider, "agent": agent, "args": args})
}

/// One problem.
pub fn problem(problem: &Problem) -> Event {
    Event::new("problem", format!("{}: {problem} ({})", problem.severity.word(), problem.hint))
        .with("file", problem.file.display().to_string())
        .with("line", problem.line)
        .with("severity", problem.severity.word())
        .with("message", problem.what.as_str())
        .with("hint", problem.hint.as_str())
}

/// How many there were.
pub fn checked(problems: &[Problem]) -> Event {
    let count = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut cause = match errors + warnings {
        0 => "nothing is wrong".to_owned(),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    if notes > 0 {
        cause.push_str(&format!(", {}", plural(notes, "note")));
    }
    let event = Event::new("checked", &cause).with("errors", errors).with("warnings", warnings);
    event.with("notes", notes).with("cause", cause)
}
