//! One line of ha.cf: its directive and what stands behind it.

use std::path::PathBuf;
use std::time::Duration;

use super::{
    ApiAuth, AutoFailback, Autojoin, BAUDS, Client, Compression, HaCf, Ignored, MOST_MEDIA, MOST_NODES, Medium,
    MessageFormat, PingGroup, Stonith,
};
use crate::cli::duration;
use crate::config::text::{Problems, is_host, is_interface_name, is_node_name, is_plain_path, quoted};

/// Known to heartbeat, and without any effect here.
const IGNORED: &[(&str, &str)] = &[
    ("cluster", "the name of the cluster is for print alone"),
    ("conn_logd_time", "there is no logging daemon: events go to standard output"),
    ("coredumps", "ulimit -c and the system's core pattern say what becomes of a crash"),
    ("coreroot", "ulimit -c and the system's core pattern say what becomes of a crash"),
    ("crm_daemon_dir", "it is for Pacemaker, which is not started here"),
    ("crmd_spawns_pengine", "it is for Pacemaker, which is not started here"),
    ("debug", "there are no levels of debugging: hb-listen shows all that is heard"),
    ("enable_config_writes", "it is for Pacemaker, which is not started here"),
    ("hbaping", "heartbeat itself never had more than a part of it"),
    ("hbgenmethod", "generations are always kept in a file of the state folder"),
    ("hopfudge", "messages are not forwarded from one serial line to the next"),
    ("log_badpack", "refused messages are always told, as events"),
    ("memreserve", "memory is locked where real-time priority was asked for, not reserved"),
    ("normalpoll", "no time is spent in polling: the kernel wakes the process"),
    ("record_config_changes", "it is for Pacemaker, which is not started here"),
    ("record_pengine_inputs", "it is for Pacemaker, which is not started here"),
    ("syslogmsgfmt", "events are JSON"),
    ("use_apphbd", "there is no application heartbeat daemon"),
    ("use_logd", "there is no logging daemon: events go to standard output"),
    ("uuidfrom", "nodes are told apart by their names"),
];

/// What stands for a whole file: the last one counts, and a second one is a mistake.
const ONCE: &[&str] = &[
    "auto_failback",
    "autojoin",
    "compression",
    "compression_threshold",
    "deadping",
    "deadtime",
    "debugfile",
    "initdead",
    "keepalive",
    "logfacility",
    "logfile",
    "max_rexmit_delay",
    "msgfmt",
    "nice_failback",
    "realtime",
    "rtprio",
    "traditional_compression",
    "warntime",
    "watchdog",
];

/// Facilities of syslog(3).
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// What was read so far.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) content: HaCf,
    pub(super) problems: Problems,
}

/// A directive in its line.
#[derive(Clone, Copy, Debug)]
struct At<'a> {
    line: u32,
    name: &'a str,
}

impl Reader {
    /// Takes one line: the directive and the rest of the line, without comment.
    pub(super) fn directive(&mut self, line: u32, name: &str, rest: &str) {
        let at = At { line, name };
        // heartbeat takes commas for blanks where it expects a list.
        let list: Vec<&str> = rest.split([' ', '\t', ',']).filter(|w| !w.trim().is_empty()).collect();
        let words: Vec<&str> = rest.split_whitespace().collect();
        if ONCE.contains(&name)
            && let Some(before) = self.content.line_of(name)
        {
            let what = format!("{name} stands in line {before} already");
            self.problems.warning(line, what, "the last one counts: leave the other out");
        }
        match name {
            "node" => self.nodes(at, &list),
            "keepalive" => self.time(at, &words, |c| &mut c.keepalive),
            "deadtime" => self.time(at, &words, |c| &mut c.deadtime),
            "warntime" => self.time(at, &words, |c| &mut c.warntime),
            "initdead" => self.time(at, &words, |c| &mut c.initdead),
            "deadping" => self.time(at, &words, |c| &mut c.deadping),
            "max_rexmit_delay" => {
                // The one time that is in milliseconds without a unit, too.
                let words: Vec<&str> = words.iter().map(|w| w.strip_suffix("ms").unwrap_or(w)).collect();
                let set = |c: &mut HaCf, ms: u32| c.max_rexmit_delay = Duration::from_millis(ms.into());
                self.number(at, &words, 1, 3_600_000, "milliseconds", set);
            }
            "udpport" => self.number(at, &words, 1, 65535, "a UDP port", |c, n| c.udpport = n as u16),
            "baud" => self.baud(at, &words),
            "bcast" | "udp" => self.bcast(at, &list),
            "ucast" => self.ucast(at, &words),
            "ucast6" => self.ucast6(at, &words),
            "mcast" => self.mcast(at, &words),
            "mcast6" => self.mcast6(at, &words),
            "serial" => self.serial(at, &list),
            "ping" | "ping6" => self.ping(at, &list),
            "ping_group" => self.ping_group(at, &list),
            "msgfmt" => self.choice(
                at,
                &words,
                &[("classic", MessageFormat::Classic), ("netstring", MessageFormat::Netstring)],
                |c, v| c.msgfmt = v,
            ),
            "compression" => {
                let known = [("zlib", Compression::Zlib), ("bz2", Compression::Bz2)];
                self.choice(at, &words, &known, |c, v| c.compression = v);
            }
            "compression_threshold" => {
                self.number(at, &words, 1, 262_144, "a size in KiB", |c, n| c.compression_threshold = n);
            }
            "traditional_compression" => self.boolean(at, &words, |c, v| c.traditional_compression = v),
            "auto_failback" => self.auto_failback(at, &words),
            "nice_failback" => self.nice_failback(at, &words),
            "autojoin" => {
                let known = [("none", Autojoin::None), ("other", Autojoin::Other), ("any", Autojoin::Any)];
                self.choice(at, &words, &known, |c, v| c.autojoin = v);
            }
            "env" => self.env(at, rest),
            "respawn" => self.client(at, &words, |c| &mut c.respawn),
            "failfast" => self.client(at, &words, |c| &mut c.failfast),
            "apiauth" => self.apiauth(at, &words),
            "logfile" => self.path(at, &words, |c, p| c.logfile = Some(p)),
            "debugfile" => self.path(at, &words, |c, p| c.debugfile = Some(p)),
            "watchdog" => self.path(at, &words, |c, p| c.watchdog = Some(p)),
            "logfacility" => self.logfacility(at, &words),
            "realtime" => self.boolean(at, &words, |c, v| c.realtime = v),
            "rtprio" => self.number(at, &words, 1, 99, "a real-time priority", |c, n| c.rtprio = Some(n as u8)),
            "stonith" => self.stonith(at, &words, false),
            "stonith_host" => self.stonith(at, &words, true),
            "crm" | "pacemaker" => self.pacemaker(at, &words),
            "quorum_server" => {
                self.ignored(at, "no quorum server is asked");
                self.problems.warning(
                    line,
                    "the quorum server is not asked",
                    "arbitrate with probes of what both nodes can reach: probe-ping, probe-tcp",
                );
            }
            _ => match IGNORED.iter().find(|(known, _)| *known == name) {
                Some((_, reason)) => self.ignored(at, reason),
                None => self.unknown(at),
            },
        }
        self.content.lines.insert(name.to_owned(), line);
    }

    fn unknown(&mut self, at: At) {
        let lower = at.name.to_ascii_lowercase();
        let hint = match ONCE.iter().chain(IGNORED.iter().map(|(n, _)| n)).find(|n| **n == lower) {
            Some(name) => format!("directives are in lower case: {name}"),
            None => "ha.cf(5) lists the directives; a comment begins with #".to_owned(),
        };
        self.problems.error(at.line, format!("there is no directive {}", quoted(at.name)), hint);
    }

    fn ignored(&mut self, at: At, reason: &'static str) {
        self.content.ignored.push(Ignored { line: at.line, directive: at.name.to_owned(), reason });
    }

    fn missing(&mut self, at: At, form: &str) {
        self.problems.error(at.line, format!("{} says too little", at.name), format!("write: {} {form}", at.name));
    }

    fn wrong(&mut self, at: At, word: &str, what: &str, hint: impl Into<String>) {
        self.problems.error(at.line, format!("{}: {} is not {what}", at.name, quoted(word)), hint);
    }

    /// The one word behind a directive. Of several, heartbeat takes the last.
    fn one<'w>(&mut self, at: At, words: &[&'w str], form: &str) -> Option<&'w str> {
        match words {
            [] => self.missing(at, form),
            [_] => {}
            _ => self.surplus(at, form, "the last one counts"),
        }
        words.last().copied()
    }

    fn surplus(&mut self, at: At, form: &str, what_counts: &str) {
        self.problems.warning(
            at.line,
            format!("{} says more than it should: {what_counts}", at.name),
            format!("write: {} {form}", at.name),
        );
    }

    /// heartbeat's grammar of times: a number, of seconds or with `ms` or `us` behind it, and no exponent.
    fn time(&mut self, at: At, words: &[&str], field: fn(&mut HaCf) -> &mut Duration) {
        const FORM: &str = "SECONDS, or a number with ms, such as 2, 1.5 or 200ms";
        // `100 ms` is one time to heartbeat, too.
        let joined = match words {
            [number, unit @ ("ms" | "msec" | "us" | "usec")] => format!("{number}{unit}"),
            _ => match self.one(at, words, FORM) {
                Some(word) => word.to_owned(),
                None => return,
            },
        };
        let lower = joined.to_ascii_lowercase();
        let end = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
        let (number, unit) = lower.split_at(end);
        let unit = match unit {
            "" => "s",
            "ms" | "msec" => "ms",
            "us" | "usec" => "us",
            "s" | "sec" => {
                self.wrong(at, &joined, "a time to heartbeat", format!("seconds have no unit: write {number}"));
                return;
            }
            _ => {
                self.wrong(at, &joined, "a time", format!("write {} {FORM}", at.name));
                return;
            }
        };
        let zero = if number.starts_with('.') { "0" } else { "" };
        match duration::parse_positive(&format!("{zero}{number}{unit}")) {
            Ok(d) if d >= Duration::from_millis(1) => *field(&mut self.content) = d,
            Ok(_) => self.wrong(at, &joined, "at least a millisecond", format!("write {} {FORM}", at.name)),
            Err(e) => self.wrong(at, &joined, "a time", format!("{e}")),
        }
    }

    fn number(&mut self, at: At, words: &[&str], least: u32, most: u32, what: &str, set: impl FnOnce(&mut HaCf, u32)) {
        let form = format!("NUMBER, {what} from {least} to {most}");
        let Some(word) = self.one(at, words, &form) else { return };
        if let Some(n) = self.count(at, word, least, most, what) {
            set(&mut self.content, n);
        }
    }

    /// A whole number within bounds, or a problem.
    fn count(&mut self, at: At, word: &str, least: u32, most: u32, what: &str) -> Option<u32> {
        let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        let number = word.parse().ok().filter(|n| digits && (least..=most).contains(n));
        if number.is_none() {
            self.wrong(at, word, what, format!("write a number from {least} to {most}"));
        }
        number
    }

    fn boolean(&mut self, at: At, words: &[&str], set: impl FnOnce(&mut HaCf, bool)) {
        let Some(word) = self.one(at, words, "on, or off") else { return };
        match truth(word) {
            Some(value) => set(&mut self.content, value),
            None => self.wrong(at, word, "yes or no", format!("write {} on, or {0} off", at.name)),
        }
    }

    fn choice<T: Copy>(&mut self, at: At, words: &[&str], known: &[(&str, T)], set: impl FnOnce(&mut HaCf, T)) {
        let names = known.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", or ");
        let Some(word) = self.one(at, words, &names) else { return };
        match known.iter().find(|(n, _)| *n == word) {
            Some((_, value)) => set(&mut self.content, *value),
            None => self.wrong(at, word, "known", format!("write: {} {names}", at.name)),
        }
    }

    fn path(&mut self, at: At, words: &[&str], set: impl FnOnce(&mut HaCf, PathBuf)) {
        let Some(word) = self.one(at, words, "/PATH") else { return };
        if is_plain_path(word) {
            set(&mut self.content, word.into());
        } else {
            self.wrong(at, word, "a whole path", "begin it with /, without .. in it");
        }
    }

    fn nodes(&mut self, at: At, names: &[&str]) {
        if names.is_empty() {
            self.missing(at, "NAME..., as uname -n prints it on each");
        }
        for name in names {
            let lower = name.to_ascii_lowercase();
            if !is_node_name(name) {
                self.wrong(at, name, "the name of a node", "write what uname -n prints there");
            } else if self.content.nodes.contains(&lower) {
                let what = format!("node {} is named twice", quoted(&lower));
                self.problems.warning(at.line, what, "leave one out; the names differ in more than their case");
            } else if self.full(at, self.content.nodes.len(), MOST_NODES, "nodes") {
                return;
            } else {
                self.content.nodes.push(lower);
            }
        }
    }

    fn baud(&mut self, at: At, words: &[&str]) {
        let known = BAUDS.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let Some(word) = self.one(at, words, "BITS-A-SECOND") else { return };
        match BAUDS.iter().find(|b| b.to_string() == word) {
            Some(baud) => self.content.baud = *baud,
            None => self.wrong(at, word, "a speed of serial lines", format!("write one of {known}")),
        }
    }

    /// Whether one more is too many. What no cluster has is not worth the time to compare it.
    fn full(&mut self, at: At, have: usize, most: usize, what: &str) -> bool {
        if have >= most {
            let what = format!("{}: there are more than {most} {what}", at.name);
            self.problems.error(at.line, what, "leave out what is not needed");
        }
        have >= most
    }

    /// A medium that stands there already would say everything twice.
    fn medium(&mut self, at: At, medium: Medium) {
        if self.content.media.contains(&medium) {
            let what = format!("this {} medium stands twice", at.name);
            self.problems.warning(at.line, what, "leave one out: two copies on one cable help nobody");
            return;
        }
        if !self.full(at, self.content.media.len(), MOST_MEDIA, "media") {
            self.content.media.push(medium);
        }
    }

    fn interface(&mut self, at: At, name: &str) -> Option<String> {
        if is_interface_name(name) {
            return Some(name.to_owned());
        }
        let hint = match name.contains(':') {
            true => "eth0:1 labels an address of eth0: name the interface itself",
            false => "ip link lists the interfaces",
        };
        self.wrong(at, name, "the name of an interface", hint);
        None
    }

    fn bcast(&mut self, at: At, names: &[&str]) {
        if at.name == "udp" {
            self.problems.warning(at.line, "udp is the old name of bcast", "write bcast");
        }
        if names.is_empty() {
            self.missing(at, "INTERFACE...");
        }
        for name in names {
            if let Some(dev) = self.interface(at, name) {
                self.medium(at, Medium::Bcast { dev, port: self.content.udpport });
            }
        }
    }

    fn ucast(&mut self, at: At, words: &[&str]) {
        const FORM: &str = "INTERFACE ADDRESS";
        let [dev, host, rest @ ..] = words else { return self.missing(at, FORM) };
        if !rest.is_empty() {
            self.surplus(at, FORM, "the rest is ignored");
        }
        let dev = self.interface(at, dev);
        if !is_host(host) || host.contains(':') {
            let hint =
                if host.contains(':') { "IPv6 has a directive of its own: ucast6" } else { "write its IP address" };
            return self.wrong(at, host, "a host", hint);
        }
        if let Some(dev) = dev {
            self.medium(at, Medium::Ucast { dev, host: (*host).to_owned(), port: self.content.udpport });
        }
    }

    fn ucast6(&mut self, at: At, words: &[&str]) {
        const FORM: &str = "INTERFACE IPV6-ADDRESS";
        let [dev, host, rest @ ..] = words else { return self.missing(at, FORM) };
        if !rest.is_empty() {
            self.surplus(at, FORM, "the rest is ignored");
        }
        let Some(dev) = self.interface(at, dev) else { return };
        let (address, zone) = host.split_once('%').unwrap_or((host, &dev));
        match address.parse() {
            Ok(host) if zone == dev => self.medium(at, Medium::Ucast6 { dev, host, port: self.content.udpport }),
            Ok(_) => {
                self.wrong(at, host, "on that interface", "the part behind % has to be the interface; leave it out")
            }
            Err(_) => self.wrong(at, host, "an IPv6 address", "write it as 2001:db8::2, or fe80::2"),
        }
    }

    fn mcast(&mut self, at: At, words: &[&str]) {
        const FORM: &str = "INTERFACE GROUP PORT TTL LOOP, such as eth0 239.192.0.42 694 1 0";
        let [dev, group, port, ttl, looped, rest @ ..] = words else { return self.missing(at, FORM) };
        if !rest.is_empty() {
            self.surplus(at, FORM, "the rest is ignored");
        }
        let dev = self.interface(at, dev);
        let address = group.parse().ok().filter(std::net::Ipv4Addr::is_multicast);
        if address.is_none() {
            self.wrong(at, group, "a multicast group", "take one of 239.192.0.0/14, which no router lets out");
        }
        let port = self.count(at, port, 1, 65535, "a UDP port");
        let ttl = self.count(at, ttl, 0, 255, "a time to live");
        let looped = self.count(at, looped, 0, 1, "0 or 1");
        if let (Some(dev), Some(group), Some(port), Some(ttl), Some(looped)) = (dev, address, port, ttl, looped) {
            self.medium(at, Medium::Mcast { dev, group, port: port as u16, ttl: ttl as u8, looped: looped == 1 });
        }
    }

    fn mcast6(&mut self, at: At, words: &[&str]) {
        const FORM: &str = "INTERFACE GROUP PORT HOPS LOOP, such as eth0 ff12::42 694 1 0";
        let [dev, group, port, hops, looped, rest @ ..] = words else { return self.missing(at, FORM) };
        if !rest.is_empty() {
            self.surplus(at, FORM, "the rest is ignored");
        }
        let dev = self.interface(at, dev);
        let address = group.parse().ok().filter(std::net::Ipv6Addr::is_multicast);
        if address.is_none() {
            self.wrong(at, group, "an IPv6 multicast group", "take one of ff12::/16, which stays on the link");
        }
        let port = self.count(at, port, 1, 65535, "a UDP port");
        let hops = self.count(at, hops, 0, 4, "a number of hops");
        let looped = self.count(at, looped, 0, 1, "0 or 1");
        if let (Some(dev), Some(group), Some(port), Some(hops), Some(looped)) = (dev, address, port, hops, looped) {
            self.medium(at, Medium::Mcast6 { dev, group, port: port as u16, hops: hops as u8, looped: looped == 1 });
        }
    }

    fn serial(&mut self, at: At, paths: &[&str]) {
        if paths.is_empty() {
            self.missing(at, "/dev/ttyS0...");
        }
        for path in paths {
            if is_plain_path(path) {
                self.medium(at, Medium::Serial { path: path.into(), baud: self.content.baud });
            } else {
                self.wrong(at, path, "a whole path", "write it as /dev/ttyS0");
            }
        }
    }

    fn host(&mut self, at: At, host: &str) -> Option<String> {
        if is_host(host) {
            return Some(host.to_owned());
        }
        self.wrong(at, host, "a host", "write its IP address");
        None
    }

    fn ping(&mut self, at: At, hosts: &[&str]) {
        if hosts.is_empty() {
            self.missing(at, "ADDRESS...");
        }
        for host in hosts {
            let Some(host) = self.host(at, host) else { continue };
            if self.content.ping.contains(&host) {
                self.problems.warning(at.line, format!("{} is pinged twice", quoted(&host)), "leave one out");
            } else if self.full(at, self.content.ping.len(), MOST_NODES, "hosts") {
                return;
            } else {
                self.content.ping.push(host);
            }
        }
    }

    fn ping_group(&mut self, at: At, words: &[&str]) {
        let [name, hosts @ ..] = words else { return self.missing(at, "NAME ADDRESS...") };
        if hosts.is_empty() {
            return self.missing(at, "NAME ADDRESS...");
        }
        if !is_node_name(name) {
            return self.wrong(at, name, "the name of a group", "write letters, digits, hyphens and dots");
        }
        if self.content.ping_groups.iter().any(|g| g.name == *name) {
            let what = format!("there are two ping groups {}", quoted(name));
            return self.problems.error(at.line, what, "give each a name of its own");
        }
        if self.full(at, self.content.ping_groups.len(), MOST_NODES, "groups") {
            return;
        }
        let hosts = hosts.iter().filter_map(|h| self.host(at, h)).collect();
        self.content.ping_groups.push(PingGroup { name: (*name).to_owned(), hosts });
    }

    fn auto_failback(&mut self, at: At, words: &[&str]) {
        let Some(word) = self.one(at, words, "on, off or legacy") else { return };
        self.content.auto_failback = match truth(word) {
            Some(true) => AutoFailback::On,
            Some(false) => AutoFailback::Off,
            None if word.eq_ignore_ascii_case("legacy") => AutoFailback::Legacy,
            None => return self.wrong(at, word, "on, off or legacy", "write: auto_failback on, or off"),
        };
    }

    /// The old name, with the opposite meaning: on was "stay where it is".
    fn nice_failback(&mut self, at: At, words: &[&str]) {
        let Some(word) = self.one(at, words, "on, or off") else { return };
        let (value, new) = match truth(word) {
            Some(true) => (AutoFailback::Off, "off"),
            Some(false) => (AutoFailback::Legacy, "legacy"),
            None => return self.wrong(at, word, "yes or no", "write: auto_failback on, or off"),
        };
        self.content.auto_failback = value;
        let what = "nice_failback is an old name with the opposite meaning";
        self.problems.warning(at.line, what, format!("write auto_failback {new}, which means the same"));
    }

    fn client(&mut self, at: At, words: &[&str], field: fn(&mut HaCf) -> &mut Vec<Client>) {
        let [user, command @ ..] = words else { return self.missing(at, "USER /PATH ARGUMENT...") };
        let Some(program) = command.first() else { return self.missing(at, "USER /PATH ARGUMENT...") };
        if !is_node_name(user) {
            return self.wrong(at, user, "the name of a user", "write: respawn USER /PATH ARGUMENT...");
        }
        if !is_plain_path(program) {
            return self.wrong(at, program, "a whole path", "begin it with /, without .. in it");
        }
        let command = command.iter().map(|w| (*w).to_owned()).collect();
        field(&mut self.content).push(Client { user: (*user).to_owned(), command });
    }

    fn apiauth(&mut self, at: At, words: &[&str]) {
        const FORM: &str = "CLIENT uid=A,B gid=C,D, with one of the two lists at least";
        let [client, lists @ ..] = words else { return self.missing(at, FORM) };
        let mut auth = ApiAuth { client: (*client).to_owned(), uids: Vec::new(), gids: Vec::new() };
        for list in lists {
            let (field, names) = match list.split_once('=') {
                Some(("uid", names)) => (&mut auth.uids, names),
                Some(("gid", names)) => (&mut auth.gids, names),
                _ => return self.wrong(at, list, "uid=... or gid=...", format!("write: apiauth {FORM}")),
            };
            if !field.is_empty() {
                return self.wrong(at, list, "the only list of its kind", format!("write: apiauth {FORM}"));
            }
            field.extend(names.split(',').filter(|n| !n.is_empty()).map(str::to_owned));
        }
        if auth.uids.is_empty() && auth.gids.is_empty() {
            return self.missing(at, FORM);
        }
        if self.content.apiauth.iter().any(|a| a.client == auth.client) {
            let what = format!("there are two apiauth lines for {}", quoted(&auth.client));
            return self.problems.error(at.line, what, "put both lists in one line");
        }
        if !self.full(at, self.content.apiauth.len(), MOST_NODES, "clients") {
            self.content.apiauth.push(auth);
        }
    }

    fn logfacility(&mut self, at: At, words: &[&str]) {
        let Some(word) = self.one(at, words, "FACILITY, or none") else { return };
        if word == "none" {
            self.content.logfacility = None;
        } else if FACILITIES.contains(&word) {
            self.content.logfacility = Some(word.to_owned());
        } else {
            self.wrong(at, word, "a facility of syslog", "write daemon, user, local0 to local7, or none");
        }
    }

    /// For programs that are started, and, by the name, settings of ours that a real heartbeat has no directive for.
    fn env(&mut self, at: At, rest: &str) {
        let text = rest.trim();
        let name = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match text.split_once('=') {
            Some((variable, value)) if name(variable) && !variable.starts_with(|c: char| c.is_ascii_digit()) => {
                self.content.env.push((variable.to_owned(), value.to_owned()));
            }
            _ => self.wrong(at, text, "NAME=VALUE", "write env NAME=VALUE, with no blanks around the equals sign"),
        }
    }

    /// The device and its password are not repeated in messages.
    fn stonith(&mut self, at: At, words: &[&str], with_host: bool) {
        let owned = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let stonith = match (with_host, words) {
            (true, [host, kind, rest @ ..]) => {
                if *host != "*" && !is_node_name(host) {
                    return self.wrong(at, host, "a node or *", "name the node that reaches the device");
                }
                Stonith { host: Some(host.to_ascii_lowercase()), kind: (*kind).to_owned(), parameters: owned(rest) }
            }
            (false, [kind, rest @ ..]) if !rest.is_empty() => {
                Stonith { host: None, kind: (*kind).to_owned(), parameters: owned(rest) }
            }
            (true, _) => return self.missing(at, "NODE|* TYPE PARAMETER..."),
            (false, _) => return self.missing(at, "TYPE FILE"),
        };
        self.content.stonith.push(stonith);
    }

    fn pacemaker(&mut self, at: At, words: &[&str]) {
        let Some(word) = self.one(at, words, "off") else { return };
        if truth(word) == Some(false) {
            return self.ignored(at, "it is off, and nothing else is possible here");
        }
        let known = ["respawn", "manual"].contains(&word) || truth(word).is_some();
        if !known {
            return self.wrong(at, word, "known", format!("write: {} off", at.name));
        }
        self.ignored(at, "Pacemaker is not started here");
        let what = "Pacemaker is to manage the resources, and haresources does not count";
        self.problems.warning(at.line, what, format!("to use haresources, leave {} out", at.name));
    }
}

/// A boolean as heartbeat reads it.
fn truth(word: &str) -> Option<bool> {
    let is = |known: &[&str]| known.iter().any(|k| word.eq_ignore_ascii_case(k));
    match word {
        _ if is(&["true", "on", "yes", "y", "1"]) => Some(true),
        _ if is(&["false", "off", "no", "n", "0"]) => Some(false),
        _ => None,
    }
}
