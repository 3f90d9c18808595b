//! The datagram client, and the server that echoes to it.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::Context;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::poll::PollFlags;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use serde_json::json;
use takeover::cli::wait::{Signals, Waiter};
use takeover::clock::{self, Instant};

use crate::Pace;
use crate::meter::{self, Meter, Moment};

/// Sends until `--for` is over or a signal comes, then prints the summary.
pub fn ask(to: SocketAddr, pace: &Pace) -> anyhow::Result<()> {
    let signals = Signals::take()?;
    let waiter = Waiter::new()?;
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).context("cannot open a UDP socket")?;
    socket.set_nonblocking(true)?;
    let start = Moment::now();
    let end = pace.lasts.map(|lasts| start.at + lasts);
    let mut meter = Meter::new(start);
    let mut next = start.at;
    let mut number: u64 = 0;
    let mut buffer = [0; 64];
    loop {
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) || signals.arrived().is_some() {
            break;
        }
        if now >= next {
            number += 1;
            meter.asked();
            // No route, no neighbour, a full queue: one more that is not answered.
            let _ = socket.send_to(&number.to_be_bytes(), to);
            next = meter::after(next, pace.every, now);
        }
        if pace.follow
            && let Some(line) = meter.look(Moment::now())
            && meter::print(&line).is_err()
        {
            return Ok(());
        }
        let fds = [(signals.as_fd(), PollFlags::POLLIN), (socket.as_fd(), PollFlags::POLLIN)];
        let wake = [Some(next), end, meter.loss_due().filter(|_| pace.follow)];
        waiter.wait(&fds, wake.into_iter().flatten().min())?;
        meter.woke(Instant::now().since(next));
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // Only an echo from the address that was asked serves.
            if length == 8
                && from == to
                && let Some(line) = meter.served(Moment::now()).filter(|_| pace.follow)
                && meter::print(&line).is_err()
            {
                return Ok(());
            }
        }
    }
    // A closed standard output: nobody wants it.
    let _ = meter::print(&meter.summary(Moment::now()));
    Ok(())
}

/// Echoes until it is killed.
pub fn echo(at: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(at).with_context(|| format!("cannot listen on {at}"))?;
    if at.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    meter::print(&json!({"client": "listening", "at": clock::wall(), "address": socket.local_addr()?.to_string()}))?;
    let mut buffer = [0; 2048];
    loop {
        // An answer that cannot be sent (its address has gone meanwhile) is one that the client does not get; only a
        // broken socket is an end.
        if let Err(e @ (Errno::EBADF | Errno::ENOTSOCK | Errno::ENOMEM)) = echo_one(&socket, &mut buffer) {
            return Err(e).context("cannot receive");
        }
    }
}

fn echo_one(socket: &UdpSocket, buffer: &mut [u8]) -> nix::Result<()> {
    let mut space = cmsg_space!(in6_pktinfo);
    let (length, from, asked4, asked6) = {
        let mut pieces = [IoSliceMut::new(buffer)];
        let got = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut space), MsgFlags::empty())?;
        let (mut asked4, mut asked6) = (None, None);
        for message in got.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => asked4 = Some(info.ipi_addr),
                ControlMessageOwned::Ipv6PacketInfo(info) => asked6 = Some(info.ipi6_addr),
                _ => {}
            }
        }
        (got.bytes, got.address, asked4, asked6)
    };
    // The interface is left open: the answer goes where the route says.
    let info4 = asked4.map(|address| in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address });
    let info6 = asked6.map(|address| in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 });
    let control: Vec<ControlMessage> = info4
        .iter()
        .map(ControlMessage::Ipv4PacketInfo)
        .chain(info6.iter().map(ControlMessage::Ipv6PacketInfo))
        .collect();
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(&buffer[..length])], &control, MsgFlags::empty(), from.as_ref())?;
    Ok(())
}
