//! The edge of [`super::detection`]: one round on a real link.

use std::time::Duration;

use nix::poll::PollFlags;

use super::detection::{Findings, Next, Round};
use crate::cli::wait::Waiter;
use crate::clock::Instant;
use crate::net::NetError;
use crate::net::frames::{Frames, Heard};
use crate::net::link::{self, Interface};
use crate::net::mac::Mac;
use crate::net::netlink::Netlink;

/// Frames that are read between two looks at the clock.
const A_FLOOD: usize = 4096;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The hardware address that asks.
    pub asker: Mac,
    /// This machine's hardware addresses.
    pub own: &'a [Mac],
    /// How long the round lasts.
    pub window: Duration,
    /// Whether one answer is enough.
    pub first_suffices: bool,
}

/// Asks on the link who has the address that `frames` is for. Silence on a link whose carrier went away meanwhile is an
/// error, never "nobody". The time is that of the last look.
pub fn ask(
    netlink: &mut Netlink,
    interface: &Interface,
    frames: &Frames,
    question: Question,
) -> Result<(Findings, Instant), NetError> {
    let failed = |e: std::io::Error| NetError::kernel(format!("cannot ask on {}", interface.name), e);
    let waiter = Waiter::new().map_err(failed)?;
    let Question { asker, own, window, first_suffices } = question;
    // What matters is the state of the link from the first question to the last answer.
    let (before, lost) = (link::by_index(netlink, interface.index)?.carrier_changes, frames.lost());
    let mut round = Round::new(asker, own, window, first_suffices, Instant::now());
    let looked = loop {
        let now = Instant::now();
        for _ in 0..A_FLOOD {
            match frames.hear().map_err(failed)? {
                Heard::Claim(claim) => round.hear(claim),
                Heard::Other => {}
                Heard::Silence => break,
            }
        }
        match round.next(now) {
            Next::Ask => frames.ask(None).map_err(failed)?,
            Next::Listen(until) => {
                waiter.wait(&[(frames.as_fd(), PollFlags::POLLIN)], Some(until)).map_err(failed)?;
            }
            Next::Done => break now,
        }
    };
    let found = round.findings();
    if found.holders.is_empty() {
        let after = link::by_index(netlink, interface.index)?;
        if !after.carrier || after.carrier_changes != before {
            return Err(NetError::NoCarrier(interface.name.clone()));
        }
        if frames.lost() != lost {
            return Err(NetError::FramesLost(interface.name.clone()));
        }
    }
    Ok((found, looked))
}

/// This machine's hardware addresses, for telling our own frames from others'.
pub fn own_macs(netlink: &mut Netlink) -> Result<Vec<Mac>, NetError> {
    Ok(link::list(netlink)?.into_iter().filter_map(|i| i.mac).filter(|m| *m != Mac::ZERO).collect())
}
