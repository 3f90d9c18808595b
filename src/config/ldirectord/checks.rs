//! Which prober checks a real server, and what it is told.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::ValueEnum;
use regex::bytes::Regex;
use serde_json::{Value, json};

use super::directives::port_of;
use super::{Checktype, Ldirectord, Real, Virtual};
use crate::cli::event::Event;
use crate::config::text::{Problems, quoted};
use crate::probe::tcp::service::{Parameters, Service, fits};

/// A command that probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum Prober {
    /// HTTP and HTTPS
    ProbeHttp,
    /// FTP
    ProbeFtp,
    /// Every other service, and connections
    ProbeTcp,
    /// Echoes
    ProbePing,
    /// Commands
    ProbeExec,
}

impl Prober {
    /// The name of the command.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ProbeHttp => "probe-http",
            Self::ProbeFtp => "probe-ftp",
            Self::ProbeTcp => "probe-tcp",
            Self::ProbePing => "probe-ping",
            Self::ProbeExec => "probe-exec",
        }
    }
}

/// How the state of a real server comes about.
#[derive(Clone, Debug)]
pub enum Check {
    /// It is always up.
    On,
    /// It never is.
    Off,
    /// A prober says, of this target.
    By(Prober, Event),
}

/// Targets that one process can probe: of one prober, in one interval, down after as many noes.
#[derive(Clone, Debug)]
pub struct Set {
    /// Who probes them.
    pub prober: Prober,
    /// How often.
    pub every: Duration,
    /// Noes in a row.
    pub fall: u32,
    /// Its lines of stdin.
    pub targets: Vec<Event>,
}

/// All sets, in the order of their first targets; the first one is number 1.
pub fn sets(conf: &Ldirectord) -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for service in &conf.virtuals {
        let (every, fall) = (conf.every(service), conf.fall(service));
        for real in &service.reals {
            let Check::By(prober, target) = check(conf, service, real) else { continue };
            match sets.iter_mut().find(|s| (s.prober, s.every, s.fall) == (prober, every, fall)) {
                Some(set) => set.targets.push(target),
                None => sets.push(Set { prober, every, fall, targets: vec![target] }),
            }
        }
    }
    sets
}

/// Which words a check is made in.
fn kind(of: &Virtual) -> (Checktype, &str) {
    match (of.checktype, of.service.as_str()) {
        (Checktype::Negotiate, "none") => (Checktype::On, ""),
        // Nobody speaks its language without its own library.
        (Checktype::Negotiate, "oracle") => (Checktype::Connect, ""),
        // Datagrams that nobody answers: ldirectord asks the host.
        (Checktype::Connect, _) if of.is_udp() => (Checktype::Ping, ""),
        (Checktype::Negotiate, service) => (Checktype::Negotiate, service),
        (other, _) => (other, ""),
    }
}

/// The port that is checked; none where nobody says.
fn port(of: &Virtual, real: &Real) -> Option<u16> {
    of.checkport.or(Some(real.port).filter(|p| *p > 0)).or_else(|| port_of(&of.service))
}

/// The request and what has to come, of a server or of its service.
fn words<'a>(of: &'a Virtual, real: &'a Real) -> (Option<&'a str>, Option<&'a str>) {
    let pair = match &real.dialogue {
        Some((request, receive)) => (Some(request.as_str()), Some(receive.as_str())),
        None => (of.request.as_deref(), of.receive.as_deref()),
    };
    (pair.0.filter(|t| !t.is_empty()), pair.1.filter(|t| !t.is_empty()))
}

/// How the state of a real server comes about.
pub fn check(conf: &Ldirectord, of: &Virtual, real: &Real) -> Check {
    let target = of.target(real);
    let timeout = conf.timeout(of);
    let ip = real.address.ip();
    let address = SocketAddr::new(ip, port(of, real).unwrap_or(0));
    let event = |name: &str| Event::new(name, target.as_str()).with("target", target.as_str());
    match kind(of) {
        (Checktype::On, _) => Check::On,
        (Checktype::Off, _) => Check::Off,
        (Checktype::Ping, _) => {
            Check::By(Prober::ProbePing, event("check-ping").shown("host", Some(ip)).ms("timeout_ms", timeout))
        }
        (Checktype::External | Checktype::ExternalPerl, _) => {
            let event = event("check-exec").with("command", external(of, real)).ms("timeout_ms", timeout);
            Check::By(Prober::ProbeExec, event)
        }
        (Checktype::Negotiate, "http" | "https") => {
            Check::By(Prober::ProbeHttp, http(of, real, address, event("check-http")).ms("timeout_ms", timeout))
        }
        (Checktype::Negotiate, "ftp") => {
            let (request, receive) = words(of, real);
            let file = request.unwrap_or_default().trim_start_matches('/');
            let event = event("check-ftp").with("url", format!("ftp://{address}/{file}")).with("body", receive);
            let login = event.with("user", of.login.as_deref()).with("password", of.passwd.as_deref());
            Check::By(Prober::ProbeFtp, login.ms("timeout_ms", timeout))
        }
        (_, service) => {
            let event = dialogue(of, real, service, event("check-tcp")).shown("address", Some(address));
            Check::By(Prober::ProbeTcp, event.ms("timeout_ms", timeout))
        }
    }
}

fn http(of: &Virtual, real: &Real, at: SocketAddr, event: Event) -> Event {
    let (request, receive) = words(of, real);
    let request = request.unwrap_or("/");
    let scheme = of.service.as_str();
    let host = of.virtualhost.as_deref();
    let mut resolve = Vec::new();
    let url = match host {
        _ if request.starts_with("http://") || request.starts_with("https://") => request.to_owned(),
        // The name is in the handshake, too.
        Some(name) if scheme == "https" => {
            let shown = if at.is_ipv6() { format!("[{}]", at.ip()) } else { at.ip().to_string() };
            resolve.push(format!("{name}:{}:{shown}", at.port()));
            format!("https://{name}:{}/{}", at.port(), request.trim_start_matches('/'))
        }
        _ => format!("{scheme}://{at}/{}", request.trim_start_matches('/')),
    };
    let headers: Vec<String> = host.map(|name| format!("Host: {name}")).into_iter().collect();
    let body = receive.filter(|_| of.httpmethod != "HEAD");
    event
        .with("url", url)
        .with("method", of.httpmethod.as_str())
        .with("headers", headers)
        .with("body", body)
        .with("expect", "200-399")
        .with("resolve", resolve)
}

/// A line of probe-tcp, but for where and how long.
fn dialogue(of: &Virtual, real: &Real, service: &str, event: Event) -> Event {
    let (request, receive) = words(of, real);
    let plain = |event: Event, steps: Value| event.with("service", Value::Null).with("dialogue", steps);
    let mut said = (None, None);
    let event = match service {
        "" => plain(event, Value::Null),
        "simpletcp" => {
            let send = json!({"send": request.unwrap_or("").replace("\\n", "\n")});
            let expect = json!({"expect": receive.unwrap_or("(?s).")});
            plain(event, json!([send, expect]))
        }
        "http_proxy" => {
            let url = request.unwrap_or("http:///").trim_start_matches('/');
            let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
            let send = format!("{} {url} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n", of.httpmethod);
            let mut steps = vec![json!({"send": send}), json!({"expect": "^HTTP/[0-9.]+ [23][0-9][0-9]"})];
            steps.extend(receive.map(|r| json!({"expect": r})));
            plain(event, Value::Array(steps))
        }
        _ => {
            said = (request, receive);
            event.with("service", service).with("dialogue", Value::Null)
        }
    };
    let speaks = !matches!(service, "" | "simpletcp" | "http_proxy");
    let own = |text: &Option<String>| text.clone().filter(|_| speaks);
    // Of the others each has one transport, or the one of its service.
    let udp = (of.is_udp() && matches!(service, "simpletcp" | "sip" | "dns" | "radius")).then_some(true);
    event
        .with("udp", udp)
        .with("request", said.0)
        .with("receive", said.1)
        .with("user", own(&of.login))
        .with("password", own(&of.passwd))
        .with("database", own(&of.database))
        .with("secret", own(&of.secret))
}

/// ldirectord's convention: only 0 is good. Of a monitoring plug-in 1 and 3 are another matter, so they become 2.
fn external(of: &Virtual, real: &Real) -> Vec<String> {
    let ip = |ip: IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let service = match of.key {
        crate::lvs::table::Key::Address { at, .. } => ip(at.ip()),
        crate::lvs::table::Key::Mark { mark, .. } => mark.to_string(),
    };
    let perl = (of.checktype == Checktype::ExternalPerl).then_some("perl");
    let wrapper = ["sh", "-c", "\"$@\" || exit 2", "external"];
    let arguments = [service, of.port().to_string(), ip(real.address.ip()), real.port.to_string()];
    let words = wrapper.into_iter().chain(perl).chain([of.checkcommand.as_str()]);
    words.map(str::to_owned).chain(arguments).collect()
}

/// What cannot be checked, or not as it is written.
pub(super) fn judge(of: &Virtual, problems: &mut Problems) {
    let (checktype, _) = kind(of);
    let dials = !matches!(checktype, Checktype::On | Checktype::Off | Checktype::Ping)
        && !matches!(checktype, Checktype::External | Checktype::ExternalPerl);
    for real in &of.reals {
        if dials && port(of, real).is_none() {
            let what = format!("{} of {} has no port to check", real.address.ip(), of.name());
            problems.error(real.line, what, "write checkport = NUMBER, or checktype = ping");
        }
    }
    let patterns = of.reals.iter().filter_map(|r| r.dialogue.as_ref().map(|(_, receive)| (r.line, receive)));
    let mut patterns: Vec<_> = of.receive.iter().map(|receive| (of.line, receive)).chain(patterns).collect();
    patterns.dedup(); // a range of servers has the one of its line
    for (line, pattern) in patterns {
        if let Err(e) = Regex::new(pattern) {
            let why = e.to_string();
            let last = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            let what = format!("receive: {} is no pattern that is understood: {last}", quoted(pattern));
            problems.error(line, what, "regular expressions are perl's, without looking around and back");
        }
    }
    for real in of.reals.iter().filter(|_| checktype == Checktype::Negotiate) {
        let Ok(service) = <Service as ValueEnum>::from_str(&of.service, false) else { break };
        let with = Parameters {
            request: words(of, real).0.map(str::to_owned),
            user: of.login.clone(),
            password: of.passwd.clone(),
            database: of.database.clone(),
            secret: of.secret.clone(),
            ..Parameters::default()
        };
        if let Err(unfit) = fits(service, &with) {
            let line = if real.dialogue.is_some() { real.line } else { of.line };
            problems.error(line, format!("{}: {unfit}", of.service), "the probe of this service could not be made");
            break; // of the service, most times
        }
    }
    if of.checktype == Checktype::Negotiate && of.service == "oracle" {
        let what = "the language of Oracle is not spoken: a connection is enough for a server to be up";
        problems.warning(of.line, what, "checktype = external, with a command that asks the database");
    }
    if matches!(of.checktype, Checktype::External | Checktype::ExternalPerl) && !of.checkcommand.starts_with('/') {
        let what = format!("checkcommand {} is no absolute path", quoted(&of.checkcommand));
        problems.error(of.line, what, "write the path out: it is run as root");
    }
}
