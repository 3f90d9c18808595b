//! What the errno of a connection says about its peer, and what it says about this machine only; and how long each part of a
//! connection took.

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::{Judgement, Verdict};
use crate::cli::duration::words;
use crate::cli::event::Event;

/// Errors that lie on this machine.
pub fn ours(errno: Errno) -> Option<Judgement> {
    let (reason, cause) = match errno {
        Errno::ENETUNREACH => ("no-route", "this machine has no route there: ip route get ADDRESS"),
        Errno::ENETDOWN => ("interface-down", "the interface there is down: ip link"),
        Errno::ENODEV => ("no-interface", "the interface to leave by is gone: ip link"),
        Errno::EPERM | Errno::EACCES => {
            ("not-permitted", "this machine does not let us connect: a firewall or a sandbox")
        }
        Errno::EMFILE | Errno::ENFILE => ("out-of-descriptors", "no file descriptor was left: raise ulimit -n"),
        Errno::EADDRNOTAVAIL => ("no-local-address", "no local address or port was left to connect from"),
        Errno::ENOMEM | Errno::ENOBUFS => ("out-of-memory", "the kernel had no memory left for the connection"),
        Errno::EAFNOSUPPORT => ("no-local-address", "this machine has no address of that family"),
        _ => return None,
    };
    Some(Judgement::cannot_tell(reason, format!("{cause} ({errno})")))
}

/// A connection that the peer refused; `by` is empty or `" by ADDRESS"`.
pub fn refused(by: &str) -> Judgement {
    Judgement::down("refused", format!("the connection was refused{by}: nothing listens there"))
}

/// What an errno says whatever was being done, of a peer called `whom`: empty or `" ADDRESS"`.
pub fn broken(errno: Errno, whom: &str) -> Option<Judgement> {
    match errno {
        Errno::ECONNRESET | Errno::EPIPE => {
            Some(Judgement::down("reset", format!("the connection was reset by{whom}")))
        }
        Errno::EHOSTUNREACH => {
            Some(Judgement::down("host-unreachable", format!("nobody on the link answers for{whom}")))
        }
        _ => ours(errno),
    }
}

/// What a no is worth that `hangs_on_time`, where our own loop did not look after the probe for so long.
pub fn unless_stalled(judgement: Judgement, hangs_on_time: bool, late: Duration, timeout: Duration) -> Judgement {
    if judgement.verdict != Verdict::Down || !hangs_on_time || late <= timeout / 2 {
        return judgement;
    }
    let late = words(late);
    let cause = format!("this machine itself stood still for {late} during the probe: its load, not the target");
    Judgement::cannot_tell("stalled", cause)
}

/// How far a probe over a connection came. Times count from its start; `None` is a point that was not reached.
#[derive(Clone, Copy, Debug)]
pub struct Phases {
    /// Where it went.
    pub address: Option<IpAddr>,
    /// The end of the look-up.
    pub lookup: Option<Duration>,
    /// Connected.
    pub connected: Option<Duration>,
    /// The end of the TLS handshake.
    pub secured: Option<Duration>,
    /// The first byte that came.
    pub first_byte: Option<Duration>,
    /// The whole of it.
    pub total: Duration,
}

impl Phases {
    /// The time that each part took: the connection, the handshake, the wait for the first byte.
    pub fn parts(&self) -> [Option<Duration>; 3] {
        let from = |start: Option<Duration>, end: Option<Duration>| Some(end?.saturating_sub(start?));
        let secured = self.secured.or(self.connected);
        [from(self.lookup, self.connected), from(self.connected, self.secured), from(secured, self.first_byte)]
    }

    /// Adds `address`, `lookup_ms`, `connect_ms`, `tls_ms`, `first_byte_ms` and `total_ms`.
    pub fn describe(&self, event: Event) -> Event {
        let [connect, tls, first_byte] = self.parts();
        event
            .shown("address", self.address)
            .ms("lookup_ms", self.lookup)
            .ms("connect_ms", connect)
            .ms("tls_ms", tls)
            .ms("first_byte_ms", first_byte)
            .ms("total_ms", self.total)
    }
}

/// Whether a verdict rests on a silence that a cut on our side would explain as well.
pub fn rests_on_silence(judgement: &Judgement) -> bool {
    judgement.verdict == Verdict::Down
        && (judgement.reason.starts_with("timeout-") || judgement.reason == "host-unreachable")
}
