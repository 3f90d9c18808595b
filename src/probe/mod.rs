//! Judging: what a probe saw, what that means, and when enough has been seen.
//!
//! Pure but for two edges: [`icmp_socket`] and the threads of [`lookup`]. libcurl lives in the `transfer` crate.

pub mod connection;
pub mod egress;
pub mod exec;
pub mod fetch;
pub mod ftp;
pub mod http;
pub mod icmp;
pub mod icmp_socket;
pub mod judge;
pub mod lookup;
pub mod ping;
pub mod stream;
pub mod tcp;
pub mod transfer;
pub mod trust;
pub mod url;
pub mod watch;

use std::time::Duration;

use crate::cli::event::Event;
use crate::cli::exit::Fault;

/// The longest time-out; what is longer is a slip.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// What a time-out may be.
///
/// # Errors
/// Words for whoever gave it.
pub fn within(timeout: Duration) -> Result<Duration, String> {
    let good = (Duration::from_millis(1)..=LONGEST).contains(&timeout);
    if good { Ok(timeout) } else { Err("a time-out lies between 1ms and 1d".to_owned()) }
}

/// A time-out as a line of stdin has it, in milliseconds.
///
/// # Errors
/// What follows the name of the field.
pub fn timeout_ms(ms: f64) -> Result<Duration, String> {
    let timeout = Duration::try_from_secs_f64(ms / 1e3).ok().and_then(|timeout| within(timeout).ok());
    timeout.ok_or_else(|| "lies between 1 and 86400000".to_owned())
}

/// What one probe of one target came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Healthy.
    Up,
    /// A definite no.
    Down,
    /// It could not be told: something on our own side, or a silence that has nothing to do with the target.
    CannotTell,
}

impl Verdict {
    /// As the field `up` carries it.
    pub const fn up(self) -> Option<bool> {
        match self {
            Self::Up => Some(true),
            Self::Down => Some(false),
            Self::CannotTell => None,
        }
    }
}

/// A verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Up, down or cannot tell.
    pub verdict: Verdict,
    /// A stable word for programs.
    pub reason: &'static str,
    /// The same in words, with what to do.
    pub cause: String,
}

impl Judgement {
    /// Healthy.
    pub fn up(cause: impl Into<String>) -> Self {
        Self { verdict: Verdict::Up, reason: "ok", cause: cause.into() }
    }

    /// A definite no.
    pub fn down(reason: &'static str, cause: impl Into<String>) -> Self {
        Self { verdict: Verdict::Down, reason, cause: cause.into() }
    }

    /// It could not be told.
    pub fn cannot_tell(reason: &'static str, cause: impl Into<String>) -> Self {
        Self { verdict: Verdict::CannotTell, reason, cause: cause.into() }
    }

    /// Adds `up`, `reason` and `cause`.
    pub fn describe(&self, event: Event) -> Event {
        event.with("up", self.verdict.up()).with("reason", self.reason).with("cause", self.cause.as_str())
    }
}

/// Why a probe cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Neither kind of ICMP socket may be opened.
    #[error("not allowed to send ICMP echo: {0}")]
    IcmpNotAllowed(std::io::Error),
    /// The kernel refused something else.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the kernel said.
        error: std::io::Error,
    },
}

impl ProbeError {
    /// Which exit status.
    pub fn fault(&self) -> Fault {
        match self {
            Self::IcmpNotAllowed(_) => Fault::Permission,
            Self::System { .. } => Fault::Unavailable,
        }
    }

    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IcmpNotAllowed(_) => "permission-denied",
            Self::System { .. } => "system",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::IcmpNotAllowed(_) => Some(
                "run it as root, give it the capability (setcap cap_net_raw+ep), or open the kernel's ping sockets: \
                 sysctl net.ipv4.ping_group_range='0 2147483647'"
                    .to_owned(),
            ),
            Self::System { .. } => None,
        }
    }
}
