//! One line of a .cf: a directive, and what stands behind its equals sign.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Checktype, Common, Fallback, Ldirectord, Names, Real, Virtual};
use crate::cli::duration;
use crate::config::Parsed;
use crate::config::ha_cf::Ignored;
use crate::config::text::{Problems, quoted};
use crate::lvs::table::{Forward, Key, Netmask, Protocol, Settings};
use crate::lvs::wanted::is_name;

/// Known to ldirectord, and without any effect here.
const IGNORED: &[(&str, &str)] = &[
    ("comment", "no mail is sent: changes are events on standard output and in the log"),
    ("emailalert", "no mail is sent: changes are events on standard output and in the log"),
    ("emailalertfreq", "no mail is sent: changes are events on standard output and in the log"),
    ("emailalertfrom", "no mail is sent: changes are events on standard output and in the log"),
    ("emailalertstatus", "no mail is sent: changes are events on standard output and in the log"),
    ("fork", "no check waits for another one: all are made at once"),
    ("load", "ldirectord itself does nothing with it"),
    ("monitorfile", "each result of a check is an event of its prober"),
    ("servicename", "no mail is sent: changes are events on standard output and in the log"),
    ("smtp", "no mail is sent: changes are events on standard output and in the log"),
];

/// Gone since long.
const GONE: &[&str] = &["connecttimeout", "timeout"];

/// Only for the whole file.
const MARGIN: &[&str] = &[
    "autoreload",
    "callback",
    "emailalertfrom",
    "execute",
    "fallback6",
    "fork",
    "logfile",
    "maintenancedir",
    "readdquiescent",
    "supervised",
];

/// The services that ldirectord knows, and their ports.
const SERVICES: &[(&str, u16)] = &[
    ("ftp", 21),
    ("smtp", 25),
    ("dns", 53),
    ("http", 80),
    ("pop", 110),
    ("nntp", 119),
    ("imap", 143),
    ("ldap", 389),
    ("https", 443),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pops", 995),
    ("oracle", 1521),
    ("radius", 1812),
    ("http_proxy", 3128),
    ("mysql", 3306),
    ("sip", 5060),
    ("pgsql", 5432),
    ("none", 0),
    ("simpletcp", 0),
];

/// The usual port of a service.
pub(super) fn port_of(service: &str) -> Option<u16> {
    SERVICES.iter().find(|(name, port)| *name == service && *port > 0).map(|(_, port)| *port)
}

/// The most servers that one range may stand for.
const MOST: u32 = 4096;

pub(super) struct Reader<'a> {
    content: Ldirectord,
    problems: Problems,
    names: &'a Names,
    /// The virtual service whose lines these are.
    current: Option<Current>,
    /// A virtual service that cannot be understood: its lines are no mistakes of their own.
    skipping: bool,
}

/// A virtual service whose protocol may still change.
struct Current {
    service: Virtual,
    named: bool,
    /// Real servers and the fallback, once the port is known.
    reals: Vec<(u32, String)>,
    fallback: Option<(u32, String)>,
    /// The port by its name, until the protocol is known.
    port: Option<(u32, String)>,
}

#[derive(Clone, Copy)]
struct At<'a> {
    line: u32,
    name: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(problems: Problems, names: &'a Names) -> Self {
        let content = Ldirectord {
            common: Common::default(),
            readdquiescent: true,
            autoreload: false,
            callback: None,
            logfile: "/var/log/ldirectord.log".to_owned(),
            maintenancedir: None,
            execute: Vec::new(),
            supervised: false,
            ignored: Vec::new(),
            virtuals: Vec::new(),
        };
        Self { content, problems, names, current: None, skipping: false }
    }

    pub(super) fn finish(mut self) -> Parsed<Ldirectord> {
        self.end();
        if self.content.virtuals.is_empty() {
            self.problems.warning(
                None,
                "there is no virtual service",
                "virtual=192.0.2.10:80, and its servers below it",
            );
        }
        Parsed { content: self.content, problems: self.problems.sorted() }
    }

    /// The name of a directive and its value.
    fn split(&mut self, line: u32, said: &'a str) -> Option<(At<'a>, &'a str)> {
        if let Some((name, value)) = said.split_once('=') {
            return Some((At { line, name: name.trim() }, value.trim()));
        }
        if said == "supervised" {
            self.problems.warning(line, "supervised stands alone", "write: supervised = yes");
            return Some((At { line, name: said }, "yes"));
        }
        self.problems.error(line, format!("{} is no directive", quoted(said)), "write: NAME = VALUE");
        None
    }

    /// A line at the margin.
    pub(super) fn margin(&mut self, line: u32, said: &'a str) {
        self.end();
        let Some((at, value)) = self.split(line, said) else { return };
        match at.name {
            "virtual" => self.begin(at, value, false),
            "virtual6" => self.begin(at, value, true),
            "autoreload" => {
                if let Some(v) = self.yes(at, value) {
                    self.content.autoreload = v;
                }
            }
            "readdquiescent" => {
                if let Some(v) = self.yes(at, value) {
                    self.content.readdquiescent = v;
                }
            }
            "supervised" => {
                if let Some(v) = self.yes(at, value) {
                    self.content.supervised = v;
                }
            }
            "callback" => self.content.callback = self.command(at, value),
            "logfile" => match self.string(at, value) {
                Some(path) if path.starts_with('/') || path.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    self.content.logfile = path;
                }
                Some(path) => self.wrong(at, &path, "an absolute path or a facility of syslog"),
                None => {}
            },
            "execute" => {
                let file = self.string(at, value);
                self.content.execute.extend(file);
            }
            "maintenancedir" => match self.string(at, value) {
                Some(path) if path.starts_with('/') => self.content.maintenancedir = Some(path),
                Some(path) => self.wrong(at, &path, "an absolute path"),
                None => {}
            },
            "fallback" => self.content.common.fallback = self.fallback(at, value, false),
            "fallback6" => self.content.common.fallback6 = self.fallback(at, value, true),
            name if self.ignored(at) => {
                if name == "fork" {
                    self.yes(at, value);
                }
            }
            _ => {
                let mut common = std::mem::take(&mut self.content.common);
                if !self.common(at, value, &mut common) {
                    self.unknown(at);
                }
                self.content.common = common;
            }
        }
    }

    /// The virtual service is over.
    pub(super) fn end(&mut self) {
        self.skipping = false;
        let Some(mut current) = self.current.take() else { return };
        let service = &mut current.service;
        if let (Some((line, name)), Key::Address { protocol, at }) = (&current.port, service.key) {
            match self.names.port(name, Some(protocol.word())) {
                Some(port) => {
                    service.key = Key::Address { protocol, at: SocketAddr::new(at.ip(), port) };
                }
                None => return self.unnamed_port(*line, name),
            }
        }
        let port = service.port();
        if let Key::Address { .. } = service.key
            && !current.named
        {
            let found = SERVICES.iter().find(|(_, p)| *p == port && port > 0);
            service.service = found.map_or("none", |(name, _)| name).to_owned();
        }
        if let Some((line, value)) = &current.fallback {
            service.common.fallback = self.fallback(At { line: *line, name: "fallback" }, value, service.key.is_v6());
        }
        for (line, value) in &current.reals {
            self.real(*line, value, service);
        }
        if service.settings.ops && !service.is_udp() {
            service.settings.ops = false; // ldirectord leaves it out there
        }
        if service.settings.persistent_s.is_none() {
            service.settings.netmask = None;
        }
        let service = current.service;
        if self.content.virtuals.iter().any(|v| v.key == service.key) {
            let what = format!("the virtual service {} stands twice", service.name());
            return self.problems.error(service.line, what, "put all of its servers below one of the two");
        }
        super::checks::judge(&service, &mut self.problems);
        self.content.virtuals.push(service);
    }

    fn unnamed_port(&mut self, line: u32, name: &str) {
        self.problems.error(line, format!("{} is no port of /etc/services", quoted(name)), "write its number");
    }

    fn begin(&mut self, at: At<'a>, value: &str, v6: bool) {
        self.skipping = true;
        let word = value.split_whitespace().next().unwrap_or_default();
        let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        let (key, port) = if digits {
            match word.parse() {
                Ok(mark) if mark > 0 => (Key::Mark { mark, v6 }, None),
                _ => return self.wrong(at, word, "a mark of the packet filter"),
            }
        } else {
            let Some((ip, port)) = self.host(at, word, v6) else { return };
            let number = port.as_deref().and_then(|p| p.parse::<u16>().ok());
            let Some(name) = port else { return self.wrong(at, word, "an address with a port, or a mark") };
            let udp = name == "53" || name == "domain";
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let named = number.is_none().then_some((at.line, name));
            (Key::Address { protocol, at: SocketAddr::new(ip, number.unwrap_or(0)) }, named)
        };
        let service = Virtual {
            line: at.line,
            key,
            settings: Settings::new("wrr"),
            reals: Vec::new(),
            common: Common::default(),
            checktype: Checktype::Negotiate,
            service: "none".to_owned(),
            checkcommand: "/bin/true".to_owned(),
            checkport: None,
            request: None,
            receive: None,
            httpmethod: "GET".to_owned(),
            virtualhost: None,
            login: None,
            passwd: None,
            database: None,
            secret: None,
            ignored: Vec::new(),
        };
        self.current = Some(Current { service, named: false, reals: Vec::new(), fallback: None, port });
        self.skipping = false;
    }

    /// An indented line.
    pub(super) fn inside(&mut self, line: u32, said: &'a str) {
        if self.skipping {
            return;
        }
        let Some((at, value)) = self.split(line, said) else { return };
        let Some(mut current) = self.current.take() else {
            let hint = "an empty line ends a virtual service; what is for the whole file is not indented";
            return self.problems.error(line, format!("{} is indented, and below no virtual service", at.name), hint);
        };
        self.of_virtual(at, value, &mut current);
        self.current = Some(current);
    }

    fn of_virtual(&mut self, at: At<'a>, value: &str, current: &mut Current) {
        let v6 = current.service.key.is_v6();
        let service = &mut current.service;
        match at.name {
            "real" | "real6" | "fallback" | "fallback6" if at.name.ends_with('6') != v6 => {
                let right = format!("{}{}", at.name.trim_end_matches('6'), if v6 { "6" } else { "" });
                self.problems.error(at.line, format!("{} is of the other family", at.name), format!("write: {right}"));
            }
            "real" | "real6" => current.reals.push((at.line, value.to_owned())),
            "fallback" | "fallback6" => current.fallback = Some((at.line, value.to_owned())),
            "checktype" => self.checktype(at, value, service),
            "service" => match SERVICES.iter().find(|(name, _)| *name == value) {
                Some((name, _)) => {
                    service.service = (*name).to_owned();
                    current.named = true;
                }
                None => {
                    let known: Vec<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
                    self.wrong(at, value, &format!("a service: {}", known.join(", ")));
                }
            },
            "checkcommand" => {
                if let Some(command) = self.string(at, value) {
                    service.checkcommand = command;
                }
            }
            "checkport" => service.checkport = self.count(at, value, 65535).map(|n| n as u16),
            "request" => service.request = self.string(at, value),
            "receive" => service.receive = self.string(at, value),
            "login" => service.login = self.string(at, value),
            "passwd" => service.passwd = self.string(at, value),
            "database" => service.database = self.string(at, value),
            "secret" => service.secret = self.string(at, value),
            "virtualhost" => service.virtualhost = self.string(at, value),
            "httpmethod" => match value.to_ascii_uppercase().as_str() {
                method @ ("GET" | "HEAD") => service.httpmethod = method.to_owned(),
                _ => self.wrong(at, value, "GET or HEAD"),
            },
            "scheduler" => match value {
                name if is_name(name) => service.settings.scheduler = name.to_owned(),
                _ => self.wrong(at, value, "a scheduler, which has lower-case letters"),
            },
            "schedflags" => match value.split(',').all(is_name) {
                true => service.settings.flags = value.split(',').map(str::to_owned).collect(),
                false => self.wrong(at, value, "a list of flags such as sh-port,sh-fallback"),
            },
            "persistent" => service.settings.persistent_s = self.count(at, value, 1_000_000),
            "netmask" => match value.parse::<Netmask>() {
                Ok(mask) if matches!(mask, Netmask::V6(_)) == v6 => {
                    service.settings.netmask = Some(mask).filter(|m| !m.is_whole());
                }
                _ => self.wrong(at, value, "a netmask: 255.255.255.0, or a length from 1 to 128 for IPv6"),
            },
            "protocol" => match (value, service.key) {
                ("tcp", Key::Address { at, .. }) => service.key = Key::Address { protocol: Protocol::Tcp, at },
                ("udp", Key::Address { at, .. }) => service.key = Key::Address { protocol: Protocol::Udp, at },
                ("fwm", Key::Mark { .. }) => {}
                (_, Key::Address { .. }) => self.wrong(at, value, "tcp or udp, as an address needs"),
                _ => self.wrong(at, value, "fwm, as a mark needs"),
            },
            "ops" => {
                if let Some(v) = self.yes(at, value) {
                    service.settings.ops = v;
                }
            }
            name if MARGIN.contains(&name) => {
                self.problems.error(at.line, format!("{name} is for the whole file"), "move it to the margin");
            }
            _ => match IGNORED.iter().find(|(name, _)| *name == at.name) {
                Some((_, reason)) => service.ignored.push(ignored(at, reason)),
                None => {
                    let mut common = std::mem::take(&mut service.common);
                    if !self.common(at, value, &mut common) {
                        self.unknown(at);
                    }
                    service.common = common;
                }
            },
        }
    }

    fn checktype(&mut self, at: At, value: &str, service: &mut Virtual) {
        use Checktype::{Connect, External, ExternalPerl, Negotiate, Off, On, Ping};
        let all = [Connect, Negotiate, Ping, External, ExternalPerl, Off, On];
        match all.iter().find(|c| c.word() == value) {
            Some(found) => service.checktype = *found,
            None if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                service.checktype = Negotiate;
                service.ignored.push(Ignored {
                    line: at.line,
                    directive: at.name.to_owned(),
                    reason: "every check is a whole dialogue: connections alone between them would be seen less by it",
                });
            }
            None => self.wrong(at, value, "connect, negotiate, ping, external, external-perl, off, on or a number"),
        }
    }

    /// What may stand at the margin and in a virtual service.
    fn common(&mut self, at: At, value: &str, common: &mut Common) -> bool {
        match at.name {
            "checktimeout" => common.checktimeout = self.time(at, value),
            "negotiatetimeout" => common.negotiatetimeout = self.time(at, value),
            "checkinterval" => common.checkinterval = self.time(at, value),
            "failurecount" => common.failurecount = self.count(at, value, 1000),
            "checkcount" => common.checkcount = self.count(at, value, 1000),
            "quiescent" => common.quiescent = self.yes(at, value),
            "cleanstop" => common.cleanstop = self.yes(at, value),
            "fallbackcommand" => common.fallbackcommand = self.command(at, value),
            _ => return false,
        }
        true
    }

    fn ignored(&mut self, at: At) -> bool {
        let found = IGNORED.iter().find(|(name, _)| *name == at.name);
        self.content.ignored.extend(found.map(|(_, reason)| ignored(at, reason)));
        found.is_some()
    }

    fn unknown(&mut self, at: At) {
        let hint = match at.name {
            name if GONE.contains(&name) => "it is gone since long: write checktimeout and negotiatetimeout",
            "real" | "real6" => "it belongs below a virtual service, and is indented",
            _ => "ldirectord(8) lists the directives; a comment begins with #",
        };
        self.problems.error(at.line, format!("there is no directive {} here", quoted(at.name)), hint);
    }

    fn wrong(&mut self, at: At, value: &str, what: &str) {
        self.problems.error(
            at.line,
            format!("{}: {} is wrong", at.name, quoted(value)),
            format!("it has to be {what}"),
        );
    }

    /// A text, with or without quotes.
    fn string(&mut self, at: At, value: &str) -> Option<String> {
        let text = match value.strip_prefix('"') {
            Some(rest) => match rest.rsplit_once('"') {
                Some((text, "")) => text,
                _ => {
                    self.wrong(at, value, "a text in quotes");
                    return None;
                }
            },
            None => value,
        };
        if text.is_empty() {
            self.wrong(at, value, "a text");
            return None;
        }
        Some(text.to_owned())
    }

    /// A command in words: no shell ever sees it.
    fn command(&mut self, at: At, value: &str) -> Option<Vec<String>> {
        let words: Vec<String> = self.string(at, value)?.split_whitespace().map(str::to_owned).collect();
        if words.first().is_none_or(|w| !w.starts_with('/')) {
            self.wrong(at, value, "the absolute path of a command, and its arguments");
            return None;
        }
        Some(words)
    }

    fn yes(&mut self, at: At, value: &str) -> Option<bool> {
        match value {
            "yes" => Some(true),
            "no" => Some(false),
            _ => {
                self.wrong(at, value, "yes or no");
                None
            }
        }
    }

    fn count(&mut self, at: At, value: &str, most: u32) -> Option<u32> {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let number = value.parse().ok().filter(|n| digits && (1..=most).contains(n));
        if number.is_none() {
            self.wrong(at, value, &format!("a number from 1 to {most}"));
        }
        number
    }

    /// Seconds; with a unit as an extension of ours.
    fn time(&mut self, at: At, value: &str) -> Option<Duration> {
        let found = duration::parse_positive(value)
            .ok()
            .filter(|d| (Duration::from_millis(10)..=Duration::from_secs(86_400)).contains(d));
        match found {
            None => self.wrong(at, value, "seconds, or a time such as 200ms"),
            Some(_) if !value.bytes().all(|b| b.is_ascii_digit()) => {
                let what = format!("{}: ldirectord itself knows whole seconds only", at.name);
                self.problems.warning(at.line, what, "it is used as it stands; ldirectord would read another time");
            }
            Some(_) => {}
        }
        found
    }

    /// An address or a name, and the port behind it as it is written.
    fn host(&mut self, at: At, word: &str, v6: bool) -> Option<(IpAddr, Option<String>)> {
        let (host, port) = match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            // Without the colon it is no port: what is left is judged below.
            Some((host, after)) => (host, Some(after.strip_prefix(':').unwrap_or_default().to_owned())),
            None => match word.split_once(':') {
                Some((host, port)) => (host, Some(port.to_owned())),
                None => (word, None),
            },
        };
        let good = |p: &String| {
            let digits = p.bytes().all(|b| b.is_ascii_digit());
            !p.is_empty()
                && if digits { p.parse::<u16>().is_ok_and(|n| n > 0) } else { p.bytes().all(|b| b.is_ascii_graphic()) }
        };
        if port.as_ref().is_some_and(|p| !good(p)) {
            self.wrong(at, word, "an address with a port from 1 to 65535, or one of /etc/services");
            return None;
        }
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv6() == v6 => ip,
            Ok(_) => {
                let name = at.name.trim_end_matches('6');
                let right = if v6 { name.to_owned() } else { format!("{name}6") };
                self.wrong(
                    at,
                    word,
                    &format!("an IPv{} address; for the other kind write {right}", if v6 { 6 } else { 4 }),
                );
                return None;
            }
            Err(_) => match self.names.address(host, v6) {
                Some(ip) => ip,
                None => {
                    self.wrong(at, word, "an address, or a name of /etc/hosts (DNS is not asked)");
                    return None;
                }
            },
        };
        Some((ip, port))
    }

    fn numeric_port(&mut self, at: At, port: Option<String>, protocol: Option<&str>) -> Option<Option<u16>> {
        let Some(port) = port else { return Some(None) };
        let number = port.parse().ok().or_else(|| self.names.port(&port, protocol));
        if number.is_none() {
            self.unnamed_port(at.line, &port);
        }
        number.map(Some)
    }

    fn fallback(&mut self, at: At, value: &str, v6: bool) -> Option<Fallback> {
        let words: Vec<&str> = value.split_whitespace().collect();
        let (word, forward) = match words.as_slice() {
            [word] => (*word, Forward::Gate),
            [word, forward] if Forward::of_word(forward).is_some() => (*word, Forward::of_word(forward)?),
            _ => {
                self.wrong(at, value, "ADDRESS[:PORT] [gate|masq|ipip]");
                return None;
            }
        };
        let (ip, port) = self.host(at, word, v6)?;
        let port = self.numeric_port(at, port, None)?;
        Some(Fallback { ip, port, forward })
    }

    /// `ADDRESS[->ADDRESS][:PORT] gate|masq|ipip [WEIGHT] ["REQUEST", "RECEIVE"] [l:N] [u:N]`
    fn real(&mut self, line: u32, value: &str, service: &mut Virtual) {
        const FORM: &str =
            "ADDRESS[->ADDRESS][:PORT] gate|masq|ipip [WEIGHT] [\"REQUEST\", \"RECEIVE\"] [l:NUMBER] [u:NUMBER]";
        let at = At { line, name: "real" };
        let v6 = service.key.is_v6();
        let Some((place, rest)) = value.split_once(char::is_whitespace) else { return self.wrong(at, value, FORM) };
        let (word, rest) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let (Some(forward), Some(flags)) = (Forward::of_word(word), flags(rest)) else {
            return self.wrong(at, value, FORM);
        };
        let (first, last) = match place.split_once("->") {
            Some((first, last)) => (first, Some(last)),
            None => (place, None),
        };
        let Some((ip, mut port)) = self.host(at, first, v6) else { return };
        let mut all = vec![ip];
        if let Some(last) = last {
            let Some((end, behind)) = self.host(at, last, v6) else { return };
            port = behind.or(port);
            let (IpAddr::V4(from), IpAddr::V4(to)) = (ip, end) else {
                return self.wrong(at, place, "one address: there are no ranges of IPv6");
            };
            let (from, to) = (u32::from(from), u32::from(to));
            if from > to || to - from >= MOST {
                return self.wrong(at, place, &format!("a range from low to high, of {MOST} addresses at most"));
            }
            all = (from..=to).map(|n| IpAddr::V4(n.into())).collect();
        }
        let Some(written) = self.numeric_port(at, port, None) else { return };
        let own = service.port();
        let (written, table) = match (written, service.key) {
            (written, Key::Mark { .. }) => (written.unwrap_or(0), written.unwrap_or(0)),
            (None, _) => (own, own),
            (Some(port), _) if forward == Forward::Masq => (port, port),
            (Some(port), _) => {
                if port != own {
                    let what = format!("{word} cannot change the port: clients of {place} come to {own}");
                    self.problems.warning(line, what, "write masq, or the port of the virtual service");
                }
                (port, own)
            }
        };
        for ip in all {
            let address = SocketAddr::new(ip, table);
            if service.reals.iter().any(|r| r.address == address) {
                self.problems.warning(
                    line,
                    format!("{address} stands twice"),
                    "the first one counts: leave this one out",
                );
                continue;
            }
            let Flags { weight, dialogue, lower, upper } = flags.clone();
            service.reals.push(Real { line, address, port: written, forward, weight, dialogue, lower, upper });
        }
    }
}

fn ignored(at: At, reason: &'static str) -> Ignored {
    Ignored { line: at.line, directive: at.name.to_owned(), reason }
}

/// What stands behind the way to forward.
#[derive(Clone)]
struct Flags {
    weight: u32,
    dialogue: Option<(String, String)>,
    lower: u32,
    upper: u32,
}

fn flags(rest: &str) -> Option<Flags> {
    let mut flags = Flags { weight: 1, dialogue: None, lower: 0, upper: 0 };
    let mut rest = rest.trim();
    let number = |text: &str, most: u32| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| digits && *n <= most)
    };
    let word = |rest: &str| rest.split_whitespace().next().unwrap_or_default().to_owned();
    let first = word(rest);
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        flags.weight = number(&first, i32::MAX as u32)?;
        rest = rest[first.len()..].trim();
    }
    if let Some(inner) = rest.strip_prefix('"') {
        let (request, after) = inner.split_once('"')?;
        let after = after.trim_start_matches([',', ' ', '\t']).strip_prefix('"')?;
        let (receive, after) = after.rsplit_once('"')?;
        flags.dialogue = Some((request.to_owned(), receive.to_owned()));
        rest = after.trim();
    }
    for word in rest.split_whitespace() {
        match word.split_once(':')? {
            ("l", n) => flags.lower = number(n, 65535)?,
            ("u", n) => flags.upper = number(n, 65535)?,
            _ => return None,
        }
    }
    (flags.upper == 0 || flags.lower <= flags.upper).then_some(flags)
}
