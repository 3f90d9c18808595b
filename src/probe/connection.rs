//! What the errno of a connection says about its peer, and what it says about this machine only.

use nix::errno::Errno;

use super::{Judgement, Verdict};

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

/// Whether a verdict rests on a silence that a cut on our side would explain as well.
pub fn rests_on_silence(judgement: &Judgement) -> bool {
    judgement.verdict == Verdict::Down
        && (judgement.reason.starts_with("timeout-") || judgement.reason == "host-unreachable")
}
