//! What libcurl says of a transfer, whatever its protocol, and what is made of it. Pure; the transfers themselves are
//! made elsewhere.
//!
//! The rule behind every line of [`judge`]: a definite no needs something that the target did, or a silence that can be
//! nobody's but its own. Whatever may lie on our side cannot tell, and so does every code that is not known here.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use regex::bytes::Regex;

use super::connection::{self, Phases, ours};
use super::{Judgement, Verdict};
use crate::cli::duration;
use crate::cli::event::Event;

/// How many bytes of a body are kept to be matched against; what follows is read and dropped.
pub const BODY_KEPT: usize = 1 << 20;

/// libcurl's codes that say something here; its numbers never change.
pub mod code {
    #![allow(missing_docs)]
    pub const OK: u32 = 0;
    pub const UNSUPPORTED_PROTOCOL: u32 = 1;
    pub const URL_MALFORMAT: u32 = 3;
    pub const COULDNT_RESOLVE_HOST: u32 = 6;
    pub const COULDNT_CONNECT: u32 = 7;
    pub const WEIRD_SERVER_REPLY: u32 = 8;
    pub const REMOTE_ACCESS_DENIED: u32 = 9;
    pub const FTP_WEIRD_PASS_REPLY: u32 = 11;
    pub const FTP_CANT_GET_HOST: u32 = 15;
    pub const FTP_COULDNT_SET_TYPE: u32 = 17;
    pub const PARTIAL_FILE: u32 = 18;
    pub const FTP_COULDNT_RETR: u32 = 19;
    pub const OUT_OF_MEMORY: u32 = 27;
    pub const OPERATION_TIMEDOUT: u32 = 28;
    pub const SSL_CONNECT_ERROR: u32 = 35;
    pub const INTERFACE_FAILED: u32 = 45;
    pub const GOT_NOTHING: u32 = 52;
    pub const SEND_ERROR: u32 = 55;
    pub const RECV_ERROR: u32 = 56;
    pub const LOGIN_DENIED: u32 = 67;
    pub const REMOTE_FILE_NOT_FOUND: u32 = 78;
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

/// Makes a verdict of an outcome; `own` is asked first for what its protocol alone knows.
pub fn judge(outcome: &Outcome, own: impl FnOnce(&Outcome) -> Option<Judgement>) -> Judgement {
    let judgement = own(outcome).unwrap_or_else(|| by_code(outcome));
    // A peer that gives up on us while we stand still closes or resets just like one that dies.
    let hangs_on_time = judgement.reason.starts_with("timeout-")
        || ["reset", "empty-reply", "cut-off", "tls"].contains(&judgement.reason);
    connection::unless_stalled(judgement, hangs_on_time, outcome.late, outcome.timeout)
}

fn by_code(outcome: &Outcome) -> Judgement {
    let Outcome { message, timeout, .. } = outcome;
    let at = outcome.address.map_or_else(String::new, |ip| format!(" at {ip}"));
    match outcome.code {
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

/// Whether the body holds what it has to; `answered` says what came.
pub fn matches(pattern: Option<&Regex>, outcome: &Outcome, answered: &str) -> Judgement {
    match pattern {
        Some(pattern) if !pattern.is_match(&outcome.body) => {
            if outcome.body_cut {
                // What was dropped may have held it.
                let kept = BODY_KEPT >> 20;
                let cause =
                    format!("nothing in the first {kept} MiB of the body matches {pattern}, and the rest was not kept");
                Judgement::cannot_tell("body-too-long", cause)
            } else {
                Judgement::down("wrong-body", format!("{answered}, but nothing in the body matches {pattern}"))
            }
        }
        _ => Judgement::up(answered),
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

/// Nothing that is known here.
pub fn unknown(outcome: &Outcome) -> Judgement {
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
    let Outcome { address, lookup, connected, secured, first_byte, total, .. } = *outcome;
    let phases = Phases { address, lookup, connected, secured, first_byte, total };
    let [connect, tls, first_byte] = phases.parts();
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
    let event = Event::new("probe", words).with("target", target).with("status", outcome.status);
    phases.describe(judgement.describe(event))
}
