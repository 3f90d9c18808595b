//! Packets that found no room in a socket's receive buffer: where some were lost, a silence says nothing.

use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// The counters of a socket; the last one is the packets that found no room (linux/sock_diag.h).
    Counters, GetOnly, libc::SOL_SOCKET, libc::SO_MEMINFO, [u32; 9]
);

/// How many packets a socket has lost so far; `None` where the kernel does not count (before 4.12).
pub fn counted(socket: &impl AsFd) -> Option<u32> {
    getsockopt(socket, Counters).ok().map(|counters| counters[8])
}
