//! Sockets for questions, answers and announcements about one address on one interface.
//!
//! IPv4 is asked and heard through a packet socket for ARP. IPv6 is asked through one (the sender of duplicate address
//! detection is the unspecified address, which no other socket may use) and heard through a raw ICMPv6 socket.

use std::io::{self, IoSliceMut};
use std::mem::size_of;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6,
    SockaddrLike, bind, recv, recvmsg, sendto, setsockopt, socket, sockopt,
};
use nix::{setsockopt_impl, sockopt_impl};

use super::NetError;
use super::arp::{self, Form};
use super::claim::Claim;
use super::drops;
use super::link::Interface;
use super::mac::Mac;
use super::ndp;

sockopt_impl!(
    /// Joins an IPv6 group on one interface; what nix has itself joins only on the one that the routes choose.
    JoinGroup, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, libc::ipv6_mreq
);

/// Some thousands of small frames.
const RECEIVE_BUFFER: usize = 4 << 20;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// A socket pair for one address on one interface.
#[derive(Debug)]
pub struct Frames {
    ip: IpAddr,
    own: Mac,
    index: u32,
    packet: OwnedFd,
    /// For hearing IPv6.
    icmp6: Option<OwnedFd>,
}

/// What one read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody else claims the address, or asks for it.
    Claim(Claim),
    /// A frame that says nothing of the sort.
    Other,
    /// No frame waits.
    Silence,
}

/// Where an announcement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Everybody on the link.
    Everybody,
    /// One neighbour, by its hardware address and, where known, its IP address.
    Neighbour(Mac, Option<IpAddr>),
}

fn packet_socket() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // Protocol 0 hears nothing, and so costs nothing to open.
    socket(AddressFamily::Packet, SockType::Datagram, flags, None)
}

fn link_address(index: u32, ethertype: u16, mac: Mac) -> Result<LinkAddr, Errno> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac.0);
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: address,
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a whole sockaddr_ll that lives until the call returns, and its length is given.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(length)) }.ok_or(Errno::EINVAL)
}

impl Frames {
    /// A socket that only sends.
    pub fn sender(interface: &Interface, ip: IpAddr) -> Result<Self, NetError> {
        let packet = packet_socket().map_err(|e| NetError::kernel("cannot open a packet socket", e))?;
        Ok(Self { ip, own: interface.mac.unwrap_or(Mac::ZERO), index: interface.index, packet, icmp6: None })
    }

    /// A socket that also hears what is said about the address.
    pub fn listener(interface: &Interface, ip: IpAddr) -> Result<Self, NetError> {
        let mut frames = Self::sender(interface, ip)?;
        let open = || -> Result<Option<OwnedFd>, Errno> {
            if ip.is_ipv4() {
                let address = link_address(interface.index, ETHERTYPE_ARP, Mac::ZERO)?;
                bind(frames.packet.as_raw_fd(), &address)?;
                // Room for what arrives while we are held up: a lost answer looks like silence. Not permitted, the
                // default has to do.
                let _ = setsockopt(&frames.packet, sockopt::RcvBufForce, &RECEIVE_BUFFER);
                return Ok(None);
            }
            let IpAddr::V6(ip) = ip else { return Ok(None) };
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let icmp6 = socket(AddressFamily::Inet6, SockType::Raw, flags, SockProtocol::IcmpV6)?;
            setsockopt(&icmp6, sockopt::BindToDevice, &interface.name.clone().into())?;
            setsockopt(&icmp6, sockopt::Ipv6RecvHopLimit, &true)?;
            let _ = setsockopt(&icmp6, sockopt::RcvBufForce, &RECEIVE_BUFFER);
            // Whoever else asks for the address asks this group, and only its members hear it.
            let group = libc::ipv6_mreq {
                ipv6mr_multiaddr: libc::in6_addr { s6_addr: ndp::solicited_node(ip).octets() },
                ipv6mr_interface: interface.index,
            };
            setsockopt(&icmp6, JoinGroup, &group)?;
            Ok(Some(icmp6))
        };
        frames.icmp6 = open().map_err(|e| NetError::kernel(format!("cannot listen on {}", interface.name), e))?;
        Ok(frames)
    }

    fn send(&self, ethertype: u16, to: Mac, bytes: &[u8]) -> io::Result<()> {
        let address = link_address(self.index, ethertype, to)?;
        sendto(self.packet.as_raw_fd(), bytes, &address, MsgFlags::empty())?;
        Ok(())
    }

    /// Asks everybody, or one neighbour, who has the address.
    pub fn ask(&self, to: Option<Mac>) -> io::Result<()> {
        match self.ip {
            IpAddr::V4(ip) => self.send(ETHERTYPE_ARP, to.unwrap_or(Mac::BROADCAST), &arp::probe(self.own, ip)),
            IpAddr::V6(ip) => {
                let group = ndp::multicast_mac(ndp::solicited_node(ip));
                let to = to.filter(|m| m.is_unicast()).unwrap_or(group);
                self.send(ETHERTYPE_IPV6, to, &ndp::probe(ip))
            }
        }
    }

    /// Announces that the address is at `mac`; for IPv4 in the given forms. Returns how many frames were sent.
    ///
    /// The frames leave from this interface's own hardware address whatever `mac` is: a switch must not learn that
    /// another machine's is behind our port.
    pub fn announce(&self, mac: Mac, forms: &[Form], to: To) -> io::Result<u32> {
        match (self.ip, to) {
            (IpAddr::V4(ip), to) => {
                for form in forms {
                    let (hardware, bytes) = match to {
                        To::Everybody => (Mac::BROADCAST, arp::announcement(*form, mac, ip)),
                        To::Neighbour(neighbour, Some(IpAddr::V4(theirs))) => {
                            (neighbour, arp::directed(*form, mac, ip, neighbour, theirs))
                        }
                        To::Neighbour(neighbour, _) => (neighbour, arp::announcement(*form, mac, ip)),
                    };
                    self.send(ETHERTYPE_ARP, hardware, &bytes)?;
                }
                Ok(forms.len() as u32)
            }
            (IpAddr::V6(ip), to) => {
                let (hardware, destination) = match to {
                    To::Everybody => (ndp::multicast_mac(ndp::ALL_NODES), ndp::ALL_NODES),
                    To::Neighbour(neighbour, Some(IpAddr::V6(theirs))) => (neighbour, theirs),
                    To::Neighbour(neighbour, _) => (neighbour, ndp::ALL_NODES),
                };
                self.send(ETHERTYPE_IPV6, hardware, &ndp::advertisement(mac, ip, destination))?;
                Ok(1)
            }
        }
    }

    /// Reads one frame. Callers bound how many they read in a row.
    pub fn hear(&self) -> io::Result<Heard> {
        let heard = match (self.ip, &self.icmp6) {
            (IpAddr::V4(ip), _) => {
                let mut bytes = [0; 128];
                recv(self.packet.as_raw_fd(), &mut bytes, MsgFlags::empty()).map(|n| arp::read(&bytes[..n], ip))
            }
            (IpAddr::V6(ip), Some(icmp6)) => hear6(icmp6, ip),
            (IpAddr::V6(_), None) => return Ok(Heard::Silence),
        };
        match heard {
            Ok(claim) => Ok(claim.filter(|c| c.mac != self.own).map_or(Heard::Other, Heard::Claim)),
            // A link that went away says so elsewhere; here it is only silent.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => Ok(Heard::Silence),
            Err(e) => Err(e.into()),
        }
    }

    /// To wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.icmp6.as_ref().unwrap_or(&self.packet).as_fd()
    }

    /// How many frames were lost before they were read; see [`drops`].
    pub fn lost(&self) -> Option<u32> {
        drops::counted(self.icmp6.as_ref().unwrap_or(&self.packet))
    }

    /// The numbers of the descriptors.
    pub fn raw_fds(&self) -> Vec<RawFd> {
        [Some(&self.packet), self.icmp6.as_ref()].into_iter().flatten().map(AsRawFd::as_raw_fd).collect()
    }

    /// The descriptors, for somebody else to close: see [`crate::cli::child::close`].
    pub fn into_fds(self) -> Vec<OwnedFd> {
        [Some(self.packet), self.icmp6].into_iter().flatten().collect()
    }
}

fn hear6(socket: &OwnedFd, ip: Ipv6Addr) -> Result<Option<Claim>, Errno> {
    let mut bytes = [0; 512];
    let mut control = nix::cmsg_space!(libc::c_int);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())?;
    let hops = message.cmsgs()?.find_map(|c| match c {
        ControlMessageOwned::Ipv6HopLimit(hops) => Some(hops),
        _ => None,
    });
    let (length, source) = (message.bytes, message.address);
    match (hops, source) {
        (Some(hops), Some(source)) if hops == i32::from(ndp::HOP_LIMIT) => {
            Ok(ndp::read(&bytes[..length], source.ip(), ip))
        }
        _ => Ok(None),
    }
}
