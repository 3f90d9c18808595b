//! UDP sockets: how they are set up for sending and for hearing, and what the kernel's refusals mean in words.
//!
//! No socket is ever connected: an ICMP error that a peer's machine answers with (nobody listens there, yet) is then no
//! error of the medium, and the kernel keeps it to itself.

use std::ffi::OsString;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    bind, recvmmsg, sendto, setsockopt, socket, sockopt,
};
use nix::{cmsg_space, setsockopt_impl, sockopt_impl};

/// linux/in6.h
const IPV6_MULTICAST_ALL: libc::c_int = 29;
/// The highest priority that needs no privilege (linux/pkt_sched.h, TC_PRIO_INTERACTIVE): a beat overtakes bulk data.
const PRIORITY: libc::c_int = 6;
/// Asks for the interface by which each datagram comes in.
pub(super) fn tell_interfaces(fd: &OwnedFd) {
    // A kernel that does not tell leaves the interface unknown.
    let _ = setsockopt(fd, sockopt::Ipv6RecvPacketInfo, &true);
    let _ = setsockopt(fd, sockopt::Ipv4PacketInfo, &true);
}

/// What the kernel may keep for us while we do something else, in bytes; it doubles that, and takes some 800 for a short
/// message: 10,000 of them.
const KEPT: usize = 4 << 20;

sockopt_impl!(
    /// Whether groups that other sockets joined are heard.
    MulticastAll4, SetOnly, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, bool
);
sockopt_impl!(
    /// The same for IPv6.
    MulticastAll6, SetOnly, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, bool
);
sockopt_impl!(
    /// Whether members on this machine hear what is sent to a group.
    MulticastLoop6, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, bool
);
sockopt_impl!(
    /// Joins a group on the interface with that number.
    Join4, SetOnly, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, libc::ip_mreqn
);
sockopt_impl!(
    /// The same for IPv6.
    Join6, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, libc::ipv6_mreq
);

type Opened = Result<OwnedFd, String>;

/// How far a multicast goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) ttl: u8,
    pub(super) loopback: bool,
}

/// Opens a socket to send from; an error in words.
pub(super) fn sender(v6: bool, dev: Option<&str>, reach: Option<Reach>) -> Opened {
    let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = open(family)?;
    if let Some(dev) = dev {
        bind_to(&fd, dev)?;
    }
    let set = || {
        let _ = setsockopt(&fd, sockopt::Priority, &PRIORITY); // a courtesy to ourselves, no need
        match reach {
            Some(Reach { ttl, loopback }) if v6 => {
                setsockopt(&fd, sockopt::Ipv6MulticastHops, &i32::from(ttl))?;
                setsockopt(&fd, MulticastLoop6, &loopback)
            }
            Some(Reach { ttl, loopback }) => {
                setsockopt(&fd, sockopt::IpMulticastTtl, &ttl)?;
                setsockopt(&fd, sockopt::IpMulticastLoop, &loopback)
            }
            None if v6 => Ok(()),
            None => setsockopt(&fd, sockopt::Broadcast, &true),
        }
    };
    set().map_err(|e| words("cannot set up the socket", e))?;
    Ok(fd)
}

/// Sends one datagram.
pub(super) fn send(fd: &OwnedFd, bytes: &[u8], to: SocketAddr) -> nix::Result<()> {
    loop {
        match sendto(fd.as_raw_fd(), bytes, &SockaddrStorage::from(to), MsgFlags::empty()) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Opens a socket that hears what is sent to `address`, or to any of this machine's, IPv6 ones included where the kernel
/// has them; broadcasts too where no address is given. `dev` with its number: only what comes in there.
///
/// Others may listen on the same port if they agree to it as we do (`SO_REUSEADDR`). All of them get broadcasts and
/// multicasts; of unicasts the kernel gives each to one only: the socket bound most exactly (interface, address, IPv4
/// alone before both families), of equal ones that opened last.
pub(super) fn receiver(address: Option<IpAddr>, port: u16, dev: Option<(&str, u32)>) -> Opened {
    let index = dev.map_or(0, |(_, index)| index);
    match address {
        Some(IpAddr::V4(ip)) => hearing(AddressFamily::Inet, (ip, port).into(), false, dev),
        Some(IpAddr::V6(ip)) => {
            let zone = if ip.is_unicast_link_local() { index } else { 0 };
            hearing(AddressFamily::Inet6, SocketAddrV6::new(ip, port, 0, zone).into(), true, dev)
        }
        None => match hearing(AddressFamily::Inet6, (Ipv6Addr::UNSPECIFIED, port).into(), false, dev) {
            // No IPv6 in this kernel.
            Err(_) if socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).is_err() => {
                hearing(AddressFamily::Inet, (Ipv4Addr::UNSPECIFIED, port).into(), false, dev)
            }
            other => other,
        },
    }
}

/// Opens a socket that hears what is sent to a group on an interface: bound to the group's address, so that nothing else
/// comes in.
pub(super) fn member(group: IpAddr, port: u16, (dev, index): (&str, u32)) -> Opened {
    let cannot_join = |e| words(&format!("cannot join {group} on {dev}"), e);
    match group {
        IpAddr::V4(ip) => {
            let fd = hearing(AddressFamily::Inet, (ip, port).into(), false, Some((dev, index)))?;
            // The kernel counts interfaces in positive ints.
            let join = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr { s_addr: u32::from(ip).to_be() },
                imr_address: libc::in_addr { s_addr: 0 },
                imr_ifindex: i32::try_from(index).unwrap_or_default(),
            };
            setsockopt(&fd, Join4, &join).map_err(cannot_join)?;
            Ok(fd)
        }
        IpAddr::V6(ip) => {
            let bound = SocketAddrV6::new(ip, port, 0, index).into();
            let fd = hearing(AddressFamily::Inet6, bound, true, Some((dev, index)))?;
            let address = libc::in6_addr { s6_addr: ip.octets() };
            let join = libc::ipv6_mreq { ipv6mr_multiaddr: address, ipv6mr_interface: index };
            setsockopt(&fd, Join6, &join).map_err(cannot_join)?;
            Ok(fd)
        }
    }
}

fn hearing(family: AddressFamily, bound: SocketAddr, v6_only: bool, dev: Option<(&str, u32)>) -> Opened {
    let fd = open(family)?;
    if let Some((dev, _)) = dev {
        bind_to(&fd, dev)?;
    }
    let set = || {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        // Beyond net.core.rmem_max only for whoever may.
        if setsockopt(&fd, sockopt::RcvBufForce, &KEPT).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &KEPT)?;
        }
        if family == AddressFamily::Inet6 {
            setsockopt(&fd, sockopt::Ipv6V6Only, &v6_only)?;
            let _ = setsockopt(&fd, MulticastAll6, &false); // from Linux 4.20 on
        }
        if !v6_only {
            setsockopt(&fd, MulticastAll4, &false)?;
        }
        Ok(())
    };
    set().map_err(|e| words("cannot set up the socket", e))?;
    match bind(fd.as_raw_fd(), &SockaddrStorage::from(bound)) {
        Ok(()) => Ok(fd),
        Err(Errno::EADDRNOTAVAIL) => Err(format!("{} is not an address of this machine", bound.ip())),
        Err(Errno::EACCES) => Err(format!("port {} is for root only", bound.port())),
        Err(Errno::EADDRINUSE) => Err(format!("port {} is taken by somebody who does not share it", bound.port())),
        Err(e) => Err(words(&format!("cannot listen on {bound}"), e)),
    }
}

fn open(family: AddressFamily) -> Opened {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(family, SockType::Datagram, flags, None).map_err(|e| words("cannot open a UDP socket", e))
}

fn bind_to(fd: &OwnedFd, dev: &str) -> Result<(), String> {
    setsockopt(fd, sockopt::BindToDevice, &OsString::from(dev)).map_err(|e| match e {
        Errno::ENODEV => no_interface(dev),
        e => words(&format!("cannot bind to interface {dev}"), e),
    })
}

pub(super) fn no_interface(dev: &str) -> String {
    format!("no interface '{dev}' on this machine")
}

/// What the kernel's refusal to send means.
pub(super) fn refusal(e: Errno) -> String {
    let meaning = match e {
        Errno::ENETUNREACH => "no route leads there, or the interface is down",
        Errno::EHOSTUNREACH => "the routes say that it is unreachable",
        Errno::ENODEV | Errno::ENXIO => "the interface is gone",
        Errno::ENETDOWN => "the interface is down",
        Errno::EPERM => "a packet filter of this machine refuses it",
        Errno::ENOBUFS | Errno::ENOMEM | Errno::EAGAIN => "the queue of the interface or socket is full",
        Errno::EADDRNOTAVAIL => "no address to send from, yet",
        Errno::EACCES => "not allowed to send there",
        _ => "cannot send",
    };
    words(meaning, e)
}

/// A phrase with what the kernel said.
fn words(what: &str, e: Errno) -> String {
    format!("{what} ({})", e.desc())
}

/// Datagrams that are taken at once.
pub(super) const BATCH: usize = 32;
/// Room for the longest one there is. The odd rest spreads the beginnings over the processor's cache.
const ROOM: usize = (64 << 10) + 576;

/// Room for several datagrams. Only what was ever used of it is memory: a page each for short ones.
pub(super) struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    buffer: Vec<u8>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let control = cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
        Self { headers: MultiHeaders::preallocate(BATCH, Some(control)), buffer: vec![0; BATCH * ROOM] }
    }

    /// Takes what is there, at most [`BATCH`]; returns how many. `each` is told the bytes, from where, the number of the
    /// interface where that was asked for (else 0), and whether the datagram was longer than that.
    pub(super) fn take(&mut self, fd: &OwnedFd, mut each: impl FnMut(&[u8], IpAddr, u32, bool)) -> nix::Result<usize> {
        let mut rooms = self.buffer.chunks_exact_mut(ROOM);
        let mut slices: [_; BATCH] = std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut taken = 0;
        for message in recvmmsg(fd.as_raw_fd(), &mut self.headers, &mut slices, flags, None)? {
            taken += 1;
            let from = message.address.as_ref().and_then(ip).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let bytes = message.iovs().next().unwrap_or_default();
            let via = message.cmsgs().into_iter().flatten().find_map(|c| match c {
                ControlMessageOwned::Ipv4PacketInfo(info) => u32::try_from(info.ipi_ifindex).ok(),
                ControlMessageOwned::Ipv6PacketInfo(info) => Some(info.ipi6_ifindex),
                _ => None,
            });
            each(bytes, from, via.unwrap_or_default(), message.flags.contains(MsgFlags::MSG_TRUNC));
        }
        Ok(taken)
    }

    /// Whether a batch of that many may have left something.
    pub(super) fn full(taken: usize) -> bool {
        taken == BATCH
    }
}

/// More datagrams than the kernel keeps, whatever their size.
pub(super) const ALL_KEPT: usize = 2 * KEPT / 512;

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    match address.family()? {
        AddressFamily::Inet => Some(address.as_sockaddr_in()?.ip().into()),
        AddressFamily::Inet6 => Some(IpAddr::from(address.as_sockaddr_in6()?.ip()).to_canonical()),
        _ => None,
    }
}
