//! One synchronous rtnetlink conversation: a request, its answers, and the kernel's notifications.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc;

use super::NetError;

/// A netlink socket of the route family.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// How a request is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// By one object.
    Once,
    /// By a list.
    Dump,
    /// By an acknowledgement, with these further flags.
    Done(u16),
}

impl Netlink {
    /// Opens a socket for requests.
    pub fn open() -> Result<Self, NetError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Without strict checking the kernel ignores filters of a dump.
            let _ = socket.set_netlink_get_strict_chk(true); // kernels before 4.20 list everything, and we filter too
            Ok(Self { socket, sequence: 0 })
        };
        open().map_err(|e: io::Error| NetError::kernel("cannot open a netlink socket", e))
    }

    /// Opens a socket that hears of changes to links and addresses.
    pub fn monitor() -> Result<Self, NetError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            for group in [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR] {
                socket.add_membership(group)?;
            }
            socket.set_non_blocking(true)?;
            Ok(Self { socket, sequence: 0 })
        };
        open().map_err(|e: io::Error| NetError::kernel("cannot open a netlink socket", e))
    }

    /// Sends one request and collects what answers it. An error of the kernel comes back as its errno.
    pub fn request(
        &mut self,
        message: RouteNetlinkMessage,
        answered: Answered,
    ) -> Result<Vec<RouteNetlinkMessage>, io::Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.sequence_number = self.sequence;
        header.flags = NLM_F_REQUEST
            | match answered {
                Answered::Once => 0,
                Answered::Dump => NLM_F_DUMP,
                Answered::Done(flags) => NLM_F_ACK | flags,
            };
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut answers = Vec::new();
        loop {
            for reply in self.receive()? {
                if reply.header.sequence_number != self.sequence {
                    continue;
                }
                match reply.payload {
                    NetlinkPayload::InnerMessage(m) => {
                        answers.push(m);
                        if answered == Answered::Once {
                            return Ok(answers);
                        }
                    }
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(e) => match e.code {
                        None => return Ok(answers),
                        Some(_) => return Err(e.to_io()),
                    },
                    _ => {}
                }
            }
        }
    }

    /// The notifications that have arrived. `None`: some were lost, so look afresh.
    pub fn notifications(&mut self) -> Result<Option<Vec<RouteNetlinkMessage>>, io::Error> {
        let mut found = Vec::new();
        loop {
            match self.receive() {
                Ok(replies) => found.extend(replies.into_iter().filter_map(|r| match r.payload {
                    NetlinkPayload::InnerMessage(m) => Some(m),
                    _ => None,
                })),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Some(found)),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// One datagram's messages. What does not parse is left out: a newer kernel may say more than we know.
    fn receive(&self) -> io::Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
        let (bytes, _) = loop {
            match self.socket.recv_from_full() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let mut rest = bytes.as_slice();
        let mut messages = Vec::new();
        while let Some(length) = rest.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes) {
            let length = length as usize;
            if length < 16 || length > rest.len() {
                break;
            }
            if let Ok(message) = NetlinkMessage::deserialize(&rest[..length]) {
                messages.push(message);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(messages)
    }

    /// To wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the socket, and so as long as the borrow of it that is returned.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        Netlink::as_fd(self)
    }
}
