//! The sockets of the ICMP probes: one a family, a ping socket where the kernel allows it, else a raw one.
//!
//! A ping socket gets its id from the kernel and hears only replies to itself, errors through the error queue. A raw
//! one hears every ICMP message of this machine; the id and the nonce in the payload tell which are ours.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, recvmsg,
    sendto, setsockopt, socket, sockopt,
};
use nix::{setsockopt_impl, sockopt_impl};

use super::ProbeError;
use super::icmp::{self, Echo, Family, Message, Problem, Stamp};
use crate::net::drops;

/// linux/icmp.h
const ICMP_FILTER: libc::c_int = 1;
/// linux/icmpv6.h
const ICMPV6_FILTER: libc::c_int = 1;

sockopt_impl!(
    /// Blocks the ICMP types whose bits are set, on raw sockets.
    BlockIcmp, SetOnly, libc::SOL_RAW, ICMP_FILTER, u32
);
sockopt_impl!(
    /// Blocks the ICMPv6 types whose bits are set, on raw sockets.
    BlockIcmpV6, SetOnly, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, [u32; 8]
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ping,
    Raw,
}

/// A socket that sends echo requests and hears what becomes of them.
#[derive(Debug)]
pub struct IcmpSocket {
    fd: OwnedFd,
    family: Family,
    kind: Kind,
    id: u16,
    nonce: u64,
    lost: u32,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An echo reply with our nonce.
    Reply {
        /// From where.
        from: SocketAddr,
        /// Its sequence number.
        seq: u16,
        /// The number in its payload.
        token: u32,
    },
    /// An error about an echo of ours.
    Error {
        /// Where the echo was going.
        to: IpAddr,
        /// Its sequence number.
        seq: u16,
        /// What was quoted of its payload.
        stamp: Option<Stamp>,
        /// What happened.
        problem: Problem,
        /// Who says so.
        from: IpAddr,
    },
}

/// Why there is no socket.
#[derive(Debug)]
pub enum OpenError {
    /// Nothing can be probed at all.
    Fatal(ProbeError),
    /// Nothing of this family, or through this interface: what the kernel said.
    Unusable(Errno),
}

/// How to open a socket.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The interface to bind to.
    pub interface: Option<&'a str>,
    /// The id of raw echoes.
    pub id: u16,
    /// What our payloads carry.
    pub nonce: u64,
    /// The payload's size in bytes.
    pub size: usize,
    /// Echoes that may be under way at once: the buffers are made for them.
    pub crowd: usize,
}

/// What a small packet costs in the kernel's buffers, in bytes, beside its payload.
const OVERHEAD: usize = 1280;
/// What a socket has without being asked, in bytes.
const GIVEN: usize = 200_000;
/// The most that is asked for, in bytes.
const MOST: usize = 64 << 20;

impl IcmpSocket {
    /// Opens a socket, with the least privilege that the kernel is content with.
    pub fn open(family: Family, wanted: Wanted) -> Result<Self, OpenError> {
        let (domain, protocol) = match family {
            Family::V4 => (AddressFamily::Inet, SockProtocol::Icmp),
            Family::V6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (fd, kind) = match socket(domain, SockType::Datagram, flags, protocol) {
            Ok(fd) => (fd, Kind::Ping),
            Err(_) => match socket(domain, SockType::Raw, flags, protocol) {
                Ok(fd) => (fd, Kind::Raw),
                Err(e @ (Errno::EPERM | Errno::EACCES)) => {
                    return Err(OpenError::Fatal(ProbeError::IcmpNotAllowed(e.into())));
                }
                Err(e @ (Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT)) => return Err(OpenError::Unusable(e)),
                Err(e) => {
                    let what = "cannot open an ICMP socket".to_owned();
                    return Err(OpenError::Fatal(ProbeError::System { what, error: e.into() }));
                }
            },
        };
        // Errors are at most as long as a packet that every link carries, or as ours.
        let buffer = vec![0; wanted.size + 2048];
        let Wanted { id, nonce, .. } = wanted;
        let socket = Self { fd, family, kind, id, nonce, lost: 0, buffer };
        socket.prepare(wanted).map_err(|e| match e {
            Errno::ENODEV | Errno::ENXIO => OpenError::Unusable(e),
            // Binding to an interface is for everybody since Linux 5.7.
            Errno::EPERM => OpenError::Fatal(ProbeError::IcmpNotAllowed(e.into())),
            e => OpenError::Fatal(ProbeError::System { what: "cannot prepare an ICMP socket".into(), error: e.into() }),
        })?;
        Ok(socket)
    }

    fn prepare(&self, wanted: Wanted) -> nix::Result<()> {
        match (self.kind, self.family) {
            (Kind::Ping, Family::V4) => setsockopt(&self.fd, sockopt::Ipv4RecvErr, &true)?,
            (Kind::Ping, Family::V6) => setsockopt(&self.fd, sockopt::Ipv6RecvErr, &true)?,
            (Kind::Raw, Family::V4) => {
                let heard: u32 = self.family.heard_types().iter().map(|t| 1 << t).sum();
                setsockopt(&self.fd, BlockIcmp, &!heard)?;
            }
            (Kind::Raw, Family::V6) => {
                let mut blocked = [u32::MAX; 8];
                for heard in self.family.heard_types() {
                    blocked[usize::from(heard / 32)] &= !(1 << (heard % 32));
                }
                setsockopt(&self.fd, BlockIcmpV6, &blocked)?;
            }
        }
        if let Some(interface) = wanted.interface {
            setsockopt(&self.fd, sockopt::BindToDevice, &interface.into())?;
        }
        // Echoes to hosts whose link-layer address is being asked for stay in the send buffer for seconds.
        let room = wanted.crowd.saturating_mul(OVERHEAD + wanted.size * 2).min(MOST);
        if room > GIVEN {
            // As much as we may have; that it was too little shows as lost packets or as no room to send.
            if setsockopt(&self.fd, sockopt::RcvBufForce, &room).is_err() {
                let _ = setsockopt(&self.fd, sockopt::RcvBuf, &room);
            }
            if setsockopt(&self.fd, sockopt::SndBufForce, &room).is_err() {
                let _ = setsockopt(&self.fd, sockopt::SndBuf, &room);
            }
        }
        Ok(())
    }

    /// Sends one echo request with a payload that begins with its stamp.
    pub fn send(&self, to: SocketAddr, token: u32, size: usize) -> Result<(), Errno> {
        let payload = Stamp { nonce: self.nonce, token }.payload(size);
        let bytes = icmp::request(self.family, Echo { id: self.id, seq: token as u16, payload: &payload });
        let to = SockaddrStorage::from(to);
        let send = || loop {
            match sendto(self.fd.as_raw_fd(), &bytes, &to, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        };
        let mut sent = send();
        if self.kind == Kind::Ping {
            // The kernel hands a waiting error about any earlier echo to whoever sends next: ask until it is about ours.
            for _ in 0..8 {
                match sent {
                    Ok(()) | Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                    Err(_) => sent = send(),
                }
            }
        }
        sent
    }

    /// Takes in what has arrived, up to `most` messages; false when there may be more.
    pub fn receive(&mut self, most: usize, mut hear: impl FnMut(Heard)) -> Result<bool, ProbeError> {
        let failed = |e: Errno| ProbeError::System { what: "cannot receive ICMP".into(), error: e.into() };
        for _ in 0..most {
            match self.one() {
                Ok(Some(heard)) => hear(heard),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.kind == Kind::Raw => return Ok(true),
                // Any other error of a ping socket is about an echo, and stands in the error queue too.
                Err(_) if self.kind == Kind::Ping => match self.one_error() {
                    Ok(Some(heard)) => hear(heard),
                    Ok(None) | Err(Errno::EINTR) => {}
                    Err(Errno::EAGAIN) => return Ok(true),
                    Err(e) => return Err(failed(e)),
                },
                // Memory may come back; the silence that it causes is told by the counter.
                Err(Errno::ENOBUFS | Errno::ENOMEM | Errno::ENETDOWN) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(false)
    }

    fn one(&mut self) -> nix::Result<Option<Heard>> {
        let (length, from) = recvfrom::<SockaddrStorage>(self.fd.as_raw_fd(), &mut self.buffer)?;
        let packet = self.buffer.get(..length).unwrap_or_default();
        let bytes = match (self.kind, self.family) {
            (Kind::Raw, Family::V4) => icmp::ipv4_payload(packet),
            _ => Some(packet),
        };
        let heard = from.as_ref().and_then(socket_address).zip(bytes);
        Ok(heard.and_then(|(from, bytes)| self.understand(from, bytes)))
    }

    fn understand(&self, from: SocketAddr, bytes: &[u8]) -> Option<Heard> {
        match icmp::parse(self.family, bytes).ok()? {
            Message::Reply(echo) if self.is_ours(echo) => {
                let stamp = Stamp::read(echo.payload)?;
                Some(Heard::Reply { from, seq: echo.seq, token: stamp.token })
            }
            Message::Error { problem, to, echo } if self.is_ours(echo) => {
                Some(Heard::Error { to, seq: echo.seq, stamp: Stamp::read(echo.payload), problem, from: from.ip() })
            }
            _ => None,
        }
    }

    /// By the id, which the kernel checks for ping sockets, and by the nonce as far as there is one.
    fn is_ours(&self, echo: Echo) -> bool {
        (self.kind == Kind::Ping || echo.id == self.id)
            && Stamp::read(echo.payload).is_none_or(|s| s.nonce == self.nonce)
    }

    fn one_error(&mut self) -> nix::Result<Option<Heard>> {
        let (length, to, said) = {
            let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let got = recvmsg::<SockaddrStorage>(self.fd.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
            let to = got.address.as_ref().and_then(socket_address);
            let said = got.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::Ipv4RecvErr(e, from) => Some((e, from.map(|a| v4(a).into()))),
                ControlMessageOwned::Ipv6RecvErr(e, from) => Some((e, from.map(|a| v6(a).into()))),
                _ => None,
            });
            (got.bytes, to, said)
        };
        let request = icmp::quoted_request(self.family, self.buffer.get(..length).unwrap_or_default());
        let (Some(echo), Some(to), Some((error, from))) = (request, to, said) else { return Ok(None) };
        let problem = match error.ee_origin {
            libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => {
                icmp::problem(self.family, error.ee_type, error.ee_code)
            }
            _ if error.ee_errno == libc::EMSGSIZE as u32 => Some(Problem::TooBig),
            _ => Some(Problem::Other),
        };
        let Some(problem) = problem.filter(|_| self.is_ours(echo)) else { return Ok(None) };
        let stamp = Stamp::read(echo.payload);
        Ok(Some(Heard::Error { to: to.ip(), seq: echo.seq, stamp, problem, from: from.unwrap_or(to.ip()) }))
    }

    /// Whether packets were lost in the receive buffer since the last call.
    pub fn lost_packets(&mut self) -> bool {
        let lost = drops::counted(&self.fd).unwrap_or(self.lost);
        std::mem::replace(&mut self.lost, lost) != lost
    }

    /// To wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), 0)));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| super::lookup::socket_address(a.ip().into(), a.scope_id())))
}

fn v4(address: libc::sockaddr_in) -> std::net::Ipv4Addr {
    u32::from_be(address.sin_addr.s_addr).into()
}

fn v6(address: libc::sockaddr_in6) -> std::net::Ipv6Addr {
    address.sin6_addr.s6_addr.into()
}

/// An id and a nonce that no other process has, most likely.
pub fn identity() -> (u16, u64) {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hash tables from the kernel's random numbers.
    let draw = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    ((draw() ^ u64::from(std::process::id())) as u16, draw())
}
