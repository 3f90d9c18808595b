//! TCP and UDP services: what is said to them ([`dialogue`], [`service`]), whom it is said to ([`target`]), and what is
//! made of what happened. Pure but for [`run`] and the files that [`tls`] reads.

pub mod dialogue;
#[cfg(feature = "tls")]
pub mod run;
pub mod service;
pub mod target;
#[cfg(feature = "tls")]
pub mod tls;

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::connection::{Phases, broken, ours, refused, unless_stalled};
use super::{Judgement, Verdict};
use crate::cli::duration::words;
use crate::cli::event::Event;

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The dialogue came to its end.
    Told(Judgement),
    /// The name was not looked up.
    LookupFailed(String),
    /// The address is not one of a host, or its interface is not there.
    NotProbeable(String),
    /// The time ran out.
    TimedOut,
    /// The kernel refused something, or the connection broke.
    Broken(Errno),
}

/// What happened to one probe. Times count from its start; `None` is a point that was not reached.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The end of the look-up.
    pub lookup: Option<Duration>,
    /// Connected.
    pub connected: Option<Duration>,
    /// Whether a TLS handshake comes first.
    pub tls: bool,
    /// The end of the TLS handshake.
    pub secured: Option<Duration>,
    /// The first byte that the service said.
    pub first_byte: Option<Duration>,
    /// The whole of it.
    pub total: Duration,
    /// Where it went.
    pub address: Option<IpAddr>,
    /// The beginning of what the service said.
    pub answer: Option<String>,
    /// What was waited for at the end.
    pub awaits: &'static str,
    /// The longest time in which our own loop did not look after it.
    pub late: Duration,
    /// The longest that it was allowed to take.
    pub timeout: Duration,
}

/// Makes a verdict of an outcome.
pub fn judge(outcome: &Outcome) -> Judgement {
    let judgement = by_ending(outcome);
    let hangs_on_time = judgement.reason.starts_with("timeout-") || ["reset", "closed"].contains(&judgement.reason);
    unless_stalled(judgement, hangs_on_time, outcome.late, outcome.timeout)
}

fn by_ending(outcome: &Outcome) -> Judgement {
    let whom = outcome.address.map_or_else(String::new, |ip| format!(" {ip}"));
    match &outcome.ending {
        Ending::Told(judgement) => judgement.clone(),
        Ending::LookupFailed(why) => {
            Judgement::cannot_tell("lookup-failed", format!("{why}: check the name and the name server"))
        }
        Ending::NotProbeable(why) => Judgement::cannot_tell("not-probeable", why.clone()),
        Ending::TimedOut => timed_out(outcome),
        Ending::Broken(Errno::ECONNREFUSED) => refused(&format!(" by{whom}")),
        // The kernel gave up on it: nothing that we sent was acknowledged.
        Ending::Broken(Errno::ETIMEDOUT) => timed_out(outcome),
        Ending::Broken(errno) => broken(*errno, &whom)
            .or_else(|| ours(*errno))
            .unwrap_or_else(|| Judgement::cannot_tell("unknown", format!("the probe itself failed: {}", errno.desc()))),
    }
}

fn timed_out(outcome: &Outcome) -> Judgement {
    let within = words(outcome.timeout);
    let at = outcome.address.map_or_else(String::new, |ip| format!(" at {ip}"));
    match outcome.lookup {
        None => {
            let cause = format!("the name was not looked up within {within}: check the name server, or use an address");
            return Judgement::cannot_tell("lookup-timeout", cause);
        }
        Some(took) if took > outcome.timeout / 2 => {
            let cause = format!("the look-up of the name took most of {within}: check the name server");
            return Judgement::cannot_tell("lookup-slow", cause);
        }
        Some(_) => {}
    }
    if outcome.connected.is_none() {
        return Judgement::down("timeout-connect", format!("no connection{at} within {within}"));
    }
    if outcome.tls && outcome.secured.is_none() {
        return Judgement::down("timeout-tls", format!("connected{at}, but no TLS handshake within {within}"));
    }
    match &outcome.answer {
        None => Judgement::down("timeout-answer", format!("connected{at}, but not {} within {within}", outcome.awaits)),
        Some(said) => {
            Judgement::down("wrong-answer", format!("it said '{said}', and not {} within {within}", outcome.awaits))
        }
    }
}

/// The event for one result.
pub fn event(target: &str, judgement: &Judgement, outcome: &Outcome) -> Event {
    let Outcome { address, lookup, connected, secured, first_byte, total, .. } = *outcome;
    let mut words = format!("{target} ");
    // Writing to a String cannot fail.
    let _ = match judgement.verdict {
        Verdict::Up => {
            write!(words, "up: {} in {:.1} ms", judgement.cause, outcome.total.as_secs_f64() * 1e3)
        }
        Verdict::Down => write!(words, "down: {}", judgement.cause),
        Verdict::CannotTell => write!(words, "cannot tell: {}", judgement.cause),
    };
    let event = judgement.describe(Event::new("probe", words).with("target", target));
    Phases { address, lookup, connected, secured, first_byte, total }
        .describe(event.with("answer", outcome.answer.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::connection::rests_on_silence;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn outcome(ending: Ending) -> Outcome {
        Outcome {
            ending,
            lookup: Some(MS(0)),
            connected: Some(MS(1)),
            tls: false,
            secured: None,
            first_byte: None,
            total: MS(1000),
            address: Some(IpAddr::from([192, 0, 2, 1])),
            answer: None,
            awaits: "its greeting",
            late: MS(0),
            timeout: MS(1000),
        }
    }

    #[test]
    fn silences() {
        let timed_out = outcome(Ending::TimedOut);
        for (outcome, reason, up) in [
            (timed_out.clone(), "timeout-answer", Some(false)),
            (Outcome { connected: None, ..timed_out.clone() }, "timeout-connect", Some(false)),
            (Outcome { tls: true, ..timed_out.clone() }, "timeout-tls", Some(false)),
            (Outcome { answer: Some("x".into()), ..timed_out.clone() }, "wrong-answer", Some(false)),
            (Outcome { lookup: None, ..timed_out.clone() }, "lookup-timeout", None),
            (Outcome { lookup: Some(MS(600)), ..timed_out.clone() }, "lookup-slow", None),
            (Outcome { late: MS(501), ..timed_out.clone() }, "stalled", None),
            (outcome(Ending::Broken(Errno::ETIMEDOUT)), "timeout-answer", Some(false)),
        ] {
            let judgement = judge(&outcome);
            assert_eq!((judgement.reason, judgement.verdict.up()), (reason, up), "{outcome:?}");
            assert_eq!(rests_on_silence(&judgement), up == Some(false) && reason != "wrong-answer");
        }
    }

    #[test]
    fn errors() {
        for (errno, reason, up) in [
            (Errno::ECONNREFUSED, "refused", Some(false)),
            (Errno::ECONNRESET, "reset", Some(false)),
            (Errno::EHOSTUNREACH, "host-unreachable", Some(false)),
            (Errno::ENETUNREACH, "no-route", None),
            (Errno::EMFILE, "out-of-descriptors", None),
            (Errno::EINVAL, "unknown", None),
        ] {
            let judgement = judge(&outcome(Ending::Broken(errno)));
            assert_eq!((judgement.reason, judgement.verdict.up()), (reason, up));
        }
        assert_eq!(judge(&outcome(Ending::LookupFailed("no".into()))).reason, "lookup-failed");
        let told = Judgement::down("wrong-answer", "no");
        assert_eq!(judge(&Outcome { late: MS(900), ..outcome(Ending::Told(told.clone())) }), told);
    }
}
