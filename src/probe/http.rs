//! HTTP: what is expected, and what is made of what happened. Pure; the transfers themselves are made elsewhere.
//!
//! The rule behind every line of [`judge`]: a definite no needs something that the target did, or a silence that can be
//! nobody's but its own. Whatever may lie on our side cannot tell, and so does every code that is not known here.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use nix::errno::Errno;
use regex::bytes::Regex;

use super::connection::{self, ours};
use super::{Judgement, Verdict};
use crate::cli::duration;
use crate::cli::event::Event;

/// How many bytes of a body `--body` is matched against; what follows is read and dropped.
pub const BODY_KEPT: usize = 1 << 20;

/// The statuses that are healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// Why a text is not a list of statuses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StatusesError {
    /// Neither a status nor a range.
    #[error("'{0}' is neither a status nor a range: write such as 200 or 200-299,304")]
    Malformed(String),
    /// Outside what HTTP has.
    #[error("'{0}' is outside of 100 to 599")]
    Outside(String),
    /// The lower end comes second.
    #[error("the range '{0}' is empty: its lower end comes first")]
    Backwards(String),
}

impl std::str::FromStr for Statuses {
    type Err = StatusesError;
    /// Parses `STATUS[,LOW-HIGH…]`.
    fn from_str(text: &str) -> Result<Self, StatusesError> {
        let status = |word: &str, part: &str| match word.parse::<u16>() {
            Ok(n) if word.bytes().all(|b| b.is_ascii_digit()) && (100..600).contains(&n) => Ok(n),
            Ok(_) if word.bytes().all(|b| b.is_ascii_digit()) => Err(StatusesError::Outside(part.to_owned())),
            _ => Err(StatusesError::Malformed(part.to_owned())),
        };
        let range = |part: &str| {
            let part = part.trim();
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (status(low.trim(), part)?, status(high.trim(), part)?);
            if low > high { Err(StatusesError::Backwards(part.to_owned())) } else { Ok(low..=high) }
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            let (comma, low, high) = (if n > 0 { "," } else { "" }, range.start(), range.end());
            if low == high { write!(f, "{comma}{low}")? } else { write!(f, "{comma}{low}-{high}")? }
        }
        Ok(())
    }
}

impl Statuses {
    /// Whether a status is among them.
    pub fn contain(&self, status: u32) -> bool {
        self.0.iter().any(|range| u32::from(*range.start()) <= status && status <= u32::from(*range.end()))
    }
}

/// What a healthy answer looks like.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its status.
    pub statuses: Statuses,
    /// Something in its body.
    pub body: Option<Regex>,
}

/// Why a text cannot be probed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// There is no scheme before it.
    #[error("'{0}' has no http:// or https:// before it")]
    NoScheme(String),
    /// Another scheme than ours.
    #[error("'{0}' is neither an http:// nor an https:// URL")]
    Scheme(String),
    /// No host, or one that no host can be called.
    #[error("'{url}' names no host that can be asked: {why}")]
    Host {
        /// The whole of it.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A port outside of 1 to 65535.
    #[error("'{0}' has a port that is none: 1 to 65535")]
    Port(String),
    /// Blanks, control characters or letters beyond ASCII.
    #[error("'{0}' holds blanks, control characters or letters that a URL has to escape")]
    Characters(String),
}

impl TargetError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NoScheme(url) => format!("write http://{url}"),
            Self::Scheme(_) => "other services have their own probes; takeover(7) lists them".to_owned(),
            Self::Host { .. } | Self::Port(_) => {
                "write such as http://host:8080/path or http://[fe80::1%25eth0]/".to_owned()
            }
            Self::Characters(_) => "write a blank as %20, and a host name in its xn-- form".to_owned(),
        }
    }
}

/// The zone of a link-local literal, `eth0` in `http://[fe80::1%25eth0]/` (or `%eth0`), and the same URL with `index` in its
/// place: libcurl as we build it understands only numbers there.
pub fn zone(url: &str) -> Option<(&str, impl Fn(u32) -> String)> {
    let (before, rest) = url.split_once('[')?;
    let (inside, after) = rest.split_once(']')?;
    // What stands in a path or a query is no host.
    before.strip_suffix("://").or_else(|| before.strip_suffix('@'))?;
    let (address, zone) = inside.split_once('%')?;
    let name = zone.strip_prefix("25").filter(|z| !z.is_empty()).unwrap_or(zone);
    Some((name, move |index| format!("{before}[{address}%25{index}]{after}")))
}

/// Checks that a text is an http or https URL that libcurl will understand, before anything is sent anywhere.
pub fn check_target(url: &str) -> Result<(), TargetError> {
    let whole = || url.to_owned();
    if url.is_empty() || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TargetError::Characters(whole()));
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Err(TargetError::NoScheme(whole())) };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        let a_word = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        return Err(if a_word { TargetError::Scheme(whole()) } else { TargetError::NoScheme(whole()) });
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bad = |why| TargetError::Host { url: whole(), why };
    let port = if let Some(literal) = host_and_port.strip_prefix('[') {
        let (inside, port) = literal.split_once(']').ok_or_else(|| bad("the bracket is not closed"))?;
        let (address, zone) = inside.split_once('%').map_or((inside, None), |(a, z)| (a, Some(z)));
        let zone = zone.map(|z| z.strip_prefix("25").filter(|z| !z.is_empty()).unwrap_or(z));
        if address.parse::<Ipv6Addr>().is_err() || zone.is_some_and(str::is_empty) {
            return Err(bad("what stands between the brackets is no IPv6 address"));
        }
        port
    } else {
        let (host, port) = host_and_port.find(':').map_or((host_and_port, ""), |at| host_and_port.split_at(at));
        if port.matches(':').count() > 1 {
            return Err(bad("an IPv6 address stands in brackets"));
        }
        if host.is_empty() {
            return Err(bad("there is none"));
        }
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) || host.starts_with('.') {
            return Err(bad("no host is called that"));
        }
        // A host of four numbers, or one, is an address to the resolver, and has to be one.
        let numeric =
            host.rsplit('.').find(|label| !label.is_empty()).is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if numeric && host.parse::<std::net::Ipv4Addr>().is_err() {
            return Err(bad("it looks like an IPv4 address and is none"));
        }
        port
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|n| n > 0) => {
            Ok(())
        }
        _ => Err(TargetError::Port(whole())),
    }
}

/// Whether a URL asks for TLS.
pub fn is_secure(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

/// libcurl's codes that say something here; its numbers never change.
pub mod code {
    #![allow(missing_docs)]
    pub const OK: u32 = 0;
    pub const UNSUPPORTED_PROTOCOL: u32 = 1;
    pub const URL_MALFORMAT: u32 = 3;
    pub const COULDNT_RESOLVE_HOST: u32 = 6;
    pub const COULDNT_CONNECT: u32 = 7;
    pub const WEIRD_SERVER_REPLY: u32 = 8;
    pub const PARTIAL_FILE: u32 = 18;
    pub const OUT_OF_MEMORY: u32 = 27;
    pub const OPERATION_TIMEDOUT: u32 = 28;
    pub const SSL_CONNECT_ERROR: u32 = 35;
    pub const INTERFACE_FAILED: u32 = 45;
    pub const GOT_NOTHING: u32 = 52;
    pub const SEND_ERROR: u32 = 55;
    pub const RECV_ERROR: u32 = 56;
    pub const PEER_FAILED_VERIFICATION: u32 = 60;
    pub const SSL_CACERT_BADFILE: u32 = 77;
    pub const TOO_LARGE: u32 = 100;
}

/// What happened to one transfer. Times count from its start; `None` is a point that was not reached.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// libcurl's code, one of [`code`] or any other.
    pub code: u32,
    /// The errno of the last system call that failed; 0 after a success.
    pub errno: i32,
    /// The errno with which a socket was refused to us, else 0.
    pub socket_errno: i32,
    /// libcurl's words about a failure.
    pub message: String,
    /// Whether TLS was asked for.
    pub secure: bool,
    /// The status of the answer, if one came.
    pub status: Option<u32>,
    /// The end of the name look-up.
    pub lookup: Option<Duration>,
    /// Connected.
    pub connected: Option<Duration>,
    /// A connection stood when the time ran out, even where `connected` does not say since when.
    pub handshaking: bool,
    /// The end of the TLS handshake.
    pub secured: Option<Duration>,
    /// The first byte of the answer.
    pub first_byte: Option<Duration>,
    /// The whole of it.
    pub total: Duration,
    /// The address that was connected to, or else the last that was tried.
    pub address: Option<IpAddr>,
    /// The first [`BODY_KEPT`] bytes of the body, where one is expected.
    pub body: Vec<u8>,
    /// There was more of it.
    pub body_cut: bool,
    /// The longest time in which our own loop did not look after this transfer.
    pub late: Duration,
    /// The longest that it was allowed to take.
    pub timeout: Duration,
}

/// Makes a verdict of an outcome.
pub fn judge(expected: &Expectation, outcome: &Outcome) -> Judgement {
    let judgement = by_code(expected, outcome);
    // A peer that gives up on us while we stand still closes or resets just like one that dies.
    let hangs_on_time = judgement.reason.starts_with("timeout-")
        || ["reset", "empty-reply", "cut-off", "tls"].contains(&judgement.reason);
    if judgement.verdict == Verdict::Down && hangs_on_time && outcome.late > outcome.timeout / 2 {
        let late = duration::words(outcome.late);
        return Judgement::cannot_tell(
            "stalled",
            format!("this machine itself stood still for {late} during the probe: its load, not the target"),
        );
    }
    judgement
}

fn by_code(expected: &Expectation, outcome: &Outcome) -> Judgement {
    let Outcome { message, timeout, .. } = outcome;
    let at = outcome.address.map_or_else(String::new, |ip| format!(" at {ip}"));
    match outcome.code {
        code::OK => answered(expected, outcome),
        code::OPERATION_TIMEDOUT => timed_out(outcome),
        code::COULDNT_RESOLVE_HOST => {
            Judgement::cannot_tell("lookup-failed", format!("{message}: check the name and the name server"))
        }
        code::COULDNT_CONNECT | code::INTERFACE_FAILED => not_connected(outcome),
        code::OUT_OF_MEMORY => Judgement::cannot_tell("out-of-memory", "no memory was left for the probe"),
        code::PEER_FAILED_VERIFICATION => Judgement::cannot_tell(
            "certificate",
            format!(
                "the certificate{at} is not trusted here ({message}): check the clock, name the authority with --cacert, \
                 or look away with --insecure"
            ),
        ),
        code::SSL_CACERT_BADFILE => Judgement::cannot_tell(
            "ca-bundle",
            format!("the bundle of trusted certificates cannot be used ({message}): name a good one with --cacert"),
        ),
        // What follows needs a connection: before it the fault is ours.
        _ if outcome.connected.is_none() => unknown(outcome),
        code::GOT_NOTHING => Judgement::down("empty-reply", format!("the server{at} closed without an answer")),
        code::PARTIAL_FILE => Judgement::down("cut-off", format!("the server{at} closed in the middle of the answer")),
        code::UNSUPPORTED_PROTOCOL | code::WEIRD_SERVER_REPLY | code::TOO_LARGE => {
            Judgement::down("not-http", format!("what answered{at} does not speak HTTP ({message})"))
        }
        code::SSL_CONNECT_ERROR if outcome.secure => by_errno(outcome).unwrap_or_else(|| tls_failed(outcome, &at)),
        code::SEND_ERROR | code::RECV_ERROR => by_errno(outcome).unwrap_or_else(|| match outcome.errno {
            _ if outcome.secure && outcome.secured.is_none() => tls_failed(outcome, &at),
            0 if outcome.first_byte.is_some() => Judgement::down(
                "cut-off",
                format!("the answer of the server{at} breaks off or makes no sense ({message})"),
            ),
            0 => Judgement::down("empty-reply", format!("the server{at} closed without an answer ({message})")),
            _ => unknown(outcome),
        }),
        _ => {
            let within = duration::words(*timeout);
            Judgement { cause: format!("{} (of {within} allowed)", unknown(outcome).cause), ..unknown(outcome) }
        }
    }
}

fn answered(expected: &Expectation, outcome: &Outcome) -> Judgement {
    let Some(status) = outcome.status else { return unknown(outcome) };
    if !expected.statuses.contain(status) {
        return Judgement::down("wrong-status", format!("it answered {status}; expected is {}", expected.statuses));
    }
    match &expected.body {
        Some(pattern) if !pattern.is_match(&outcome.body) => {
            if outcome.body_cut {
                // What was dropped may have held it.
                let kept = BODY_KEPT >> 20;
                let cause =
                    format!("nothing in the first {kept} MiB of the body matches {pattern}, and the rest was not kept");
                Judgement::cannot_tell("body-too-long", cause)
            } else {
                Judgement::down(
                    "wrong-body",
                    format!("it answered {status}, but nothing in the body matches {pattern}"),
                )
            }
        }
        _ => Judgement::up(format!("it answered {status}")),
    }
}

fn timed_out(outcome: &Outcome) -> Judgement {
    let within = duration::words(outcome.timeout);
    let at = outcome.address.map_or_else(String::new, |ip| format!(" at {ip}"));
    if outcome.lookup.is_none() {
        return Judgement::cannot_tell(
            "lookup-timeout",
            format!(
                "the name was not looked up within {within}: check the name server, or use an address or --resolve"
            ),
        );
    }
    if outcome.lookup.is_some_and(|took| took > outcome.timeout / 2) {
        return Judgement::cannot_tell(
            "lookup-slow",
            format!("the look-up of the name took most of {within}: check the name server, or use --resolve"),
        );
    }
    if outcome.connected.is_none() && !outcome.handshaking {
        return match outcome.socket_errno {
            // Without a socket nothing was tried, whatever time it took.
            0 if outcome.address.is_none() => unknown(outcome),
            0 => Judgement::down("timeout-connect", format!("no connection{at} within {within}")),
            errno => ours(Errno::from_raw(errno)).unwrap_or_else(|| unknown(outcome)),
        };
    }
    if outcome.secure && outcome.secured.is_none() {
        return Judgement::down("timeout-tls", format!("connected{at}, but no TLS handshake within {within}"));
    }
    match outcome.first_byte {
        None => Judgement::down("timeout-first-byte", format!("connected{at}, but no answer within {within}")),
        Some(_) => Judgement::down("timeout-body", format!("the answer{at} was not complete within {within}")),
    }
}

fn not_connected(outcome: &Outcome) -> Judgement {
    if outcome.socket_errno != 0 {
        return ours(Errno::from_raw(outcome.socket_errno)).unwrap_or_else(|| unknown(outcome));
    }
    if outcome.code == code::INTERFACE_FAILED {
        let cause = format!("the interface to leave by cannot be used: {}", outcome.message);
        return ours(Errno::from_raw(outcome.errno))
            .filter(|j| j.reason == "not-permitted")
            .unwrap_or_else(|| Judgement::cannot_tell("interface", cause));
    }
    let at = outcome.address.map_or_else(String::new, |ip| format!(" by {ip}"));
    match Errno::from_raw(outcome.errno) {
        Errno::ECONNREFUSED => connection::refused(&at),
        Errno::ETIMEDOUT => Judgement::down("timeout-connect", "the kernel gave up connecting"),
        _ => by_errno(outcome).unwrap_or_else(|| unknown(outcome)),
    }
}

/// What an errno says whatever was being done; nothing for those that need to know what.
fn by_errno(outcome: &Outcome) -> Option<Judgement> {
    let at = outcome.address.map_or_else(String::new, |ip| format!(" {ip}"));
    match Errno::from_raw(outcome.errno) {
        // The kernel gave up on an established connection: nothing that we sent was acknowledged.
        Errno::ETIMEDOUT if outcome.connected.is_some() => Some(timed_out(outcome)),
        errno => connection::broken(errno, &at),
    }
}

fn tls_failed(outcome: &Outcome, at: &str) -> Judgement {
    let message = &outcome.message;
    // Versions or ciphers that do not meet may be our own lack; what breaks the protocol is not.
    if ["incompatible", "ProtocolVersion"].iter().any(|word| message.contains(word)) {
        let cause = format!("the server{at} and this probe have no kind of TLS in common ({message})");
        return Judgement::cannot_tell("tls-incompatible", cause);
    }
    Judgement::down("tls", format!("the TLS handshake with the server{at} failed ({message})"))
}

fn unknown(outcome: &Outcome) -> Judgement {
    let Outcome { code, errno, message, .. } = outcome;
    let mut cause = format!("the probe itself failed: {message} (libcurl's code {code}");
    if *errno != 0 {
        let _ = write!(cause, ", {}", Errno::from_raw(*errno)); // writing to a String cannot fail
    }
    cause.push(')');
    Judgement::cannot_tell("unknown", cause)
}

/// The event for one result.
pub fn event(target: &str, judgement: &Judgement, outcome: &Outcome) -> Event {
    let from = |start: Option<Duration>, end: Option<Duration>| Some(end?.saturating_sub(start?));
    let connect = from(outcome.lookup, outcome.connected);
    let tls = from(outcome.connected, outcome.secured);
    let first_byte = from(outcome.secured.or(outcome.connected), outcome.first_byte);
    let mut words = match (judgement.verdict, outcome.status) {
        (Verdict::Up, status) => {
            let mut phases = String::new();
            let steps = [("lookup", outcome.lookup), ("connect", connect), ("tls", tls), ("first byte", first_byte)];
            for (name, took) in steps.into_iter().filter_map(|(n, d)| Some((n, d?))) {
                // An address needs no look-up; its microseconds tell nobody anything.
                if name != "lookup" || took >= Duration::from_micros(100) {
                    let comma = if phases.is_empty() { "" } else { ", " };
                    let _ = write!(phases, "{comma}{name} {:.1}", took.as_secs_f64() * 1e3);
                }
            }
            let total = outcome.total.as_secs_f64() * 1e3;
            format!("up: {} in {total:.1} ms ({phases})", status.unwrap_or_default())
        }
        (Verdict::Down, _) => format!("down: {}", judgement.cause),
        (Verdict::CannotTell, _) => format!("cannot tell: {}", judgement.cause),
    };
    words.insert_str(0, &format!("{target} "));
    judgement
        .describe(Event::new("probe", words).with("target", target).with("status", outcome.status))
        .shown("address", outcome.address)
        .ms("lookup_ms", outcome.lookup)
        .ms("connect_ms", connect)
        .ms("tls_ms", tls)
        .ms("first_byte_ms", first_byte)
        .ms("total_ms", outcome.total)
}

#[cfg(test)]
mod tests;
