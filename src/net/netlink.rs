//! One synchronous rtnetlink conversation: a request, its answers, and the kernel's notifications.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::NetError;

/// The kernel answers at once, unless an answer got lost.
const ANSWER_WITHIN_S: i64 = 2;
/// Tries at a list that changes while it is read out.
const LISTS: u32 = 5;
/// Set in the messages of such a list (linux/netlink.h).
const NLM_F_DUMP_INTR: u16 = 0x10;

type Numbered = (u32, Result<NetlinkMessage<RouteNetlinkMessage>, DecodeError>);

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
            let netlink = Self { socket, sequence: 0 };
            setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::seconds(ANSWER_WITHIN_S))?;
            Ok(netlink)
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

    /// Sends one request and collects what answers it. An error of the kernel comes back as its errno; an answer that
    /// does not come, or is not understood, is an error too, never an empty list.
    pub fn request(
        &mut self,
        message: RouteNetlinkMessage,
        answered: Answered,
    ) -> Result<Vec<RouteNetlinkMessage>, io::Error> {
        // A list that changed while it was read out may lack what it should have.
        for _ in 0..LISTS {
            if let Some(answers) = self.request_once(message.clone(), answered)? {
                return Ok(answers);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "the list kept changing while the kernel read it out"))
    }

    fn request_once(
        &mut self,
        message: RouteNetlinkMessage,
        answered: Answered,
    ) -> Result<Option<Vec<RouteNetlinkMessage>>, io::Error> {
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
        let mut torn = false;
        loop {
            for (sequence, reply) in self.receive()? {
                if sequence != self.sequence {
                    continue;
                }
                let reply = reply.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                torn |= reply.header.flags & NLM_F_DUMP_INTR != 0;
                match reply.payload {
                    NetlinkPayload::InnerMessage(m) => {
                        answers.push(m);
                        if answered == Answered::Once {
                            return Ok(Some(answers));
                        }
                    }
                    NetlinkPayload::Done(_) => return Ok((!torn).then_some(answers)),
                    NetlinkPayload::Error(e) => match e.code {
                        None => return Ok(Some(answers)),
                        Some(_) => return Err(e.to_io()),
                    },
                    _ => {}
                }
            }
        }
    }

    /// The notifications that have arrived. `None`: some were lost or not understood, so look afresh.
    pub fn notifications(&mut self) -> Result<Option<Vec<RouteNetlinkMessage>>, io::Error> {
        let mut found = Vec::new();
        let mut whole = true;
        loop {
            match self.receive() {
                Ok(replies) => {
                    for (_, reply) in replies {
                        match reply.map(|r| r.payload) {
                            Ok(NetlinkPayload::InnerMessage(m)) => found.push(m),
                            Ok(_) => {}
                            Err(_) => whole = false,
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(whole.then_some(found)),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// One datagram's messages, each with its sequence number.
    fn receive(&self) -> io::Result<Vec<Numbered>> {
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
            let sequence = u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]);
            messages.push((sequence, NetlinkMessage::deserialize(&rest[..length])));
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
