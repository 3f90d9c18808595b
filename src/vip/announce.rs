//! Announcing an address: the event that tells it, and the repeats that a child makes.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use crate::cli::child;
use crate::cli::event::Event;
use crate::net::address::{self, ServiceAddress};
use crate::net::arp::Form;
use crate::net::frames::{Frames, To};
use crate::net::link::Interface;
use crate::net::mac::Mac;
use crate::net::netlink::Netlink;

/// Both forms of a gratuitous ARP.
pub const BOTH: &[Form] = &[Form::Request, Form::Reply];

/// One announcement, as its event describes it.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    /// What is announced.
    pub ip: IpAddr,
    /// Where.
    pub dev: &'a str,
    /// Whose hardware address is named.
    pub mac: Mac,
    /// The forms, for IPv4.
    pub forms: &'a [Form],
    /// To whom.
    pub to: To,
}

impl Announcement<'_> {
    /// Sends it; returns how many frames that took.
    pub fn send(&self, frames: &Frames) -> std::io::Result<u32> {
        frames.announce(self.mac, self.forms, self.to)
    }

    /// The event that tells it.
    pub fn event(&self, sent: u32, dry_run: bool, cause: &str) -> Event {
        let form = match (self.ip, self.forms) {
            (IpAddr::V6(_), _) => "advertisement",
            (_, [Form::Request]) => "request",
            (_, [Form::Reply]) => "reply",
            _ => "both",
        };
        let to = match self.to {
            To::Everybody if self.ip.is_ipv4() => "broadcast".to_owned(),
            To::Everybody => "multicast".to_owned(),
            To::Neighbour(mac, _) => mac.to_string(),
        };
        let Self { ip, dev, mac, .. } = self;
        let did = if dry_run { "would announce" } else { "announced" };
        Event::new("announced", format!("{did} {ip} at {mac} on {dev} ({form}, to {to}): {cause}"))
            .shown("address", Some(ip))
            .with("dev", *dev)
            .shown("mac", Some(mac))
            .with("form", form)
            .with("to", to)
            .with("sent", sent)
            .with("dry_run", dry_run)
            .with("cause", cause)
    }
}

/// Repeats an announcement from a child that keeps the sockets and ends with its repeats, or with the address.
pub fn repeat_in_background(
    frames: Frames,
    interface: &Interface,
    address: ServiceAddress,
    mac: Mac,
    times: u32,
    every: Duration,
) {
    if times == 0 {
        return child::close(frames.into_fds());
    }
    // Without a child there are no repeats; the first announcement is out.
    let _ = child::background(&frames.raw_fds(), || {
        for _ in 0..times {
            sleep(every);
            if !still_there(interface, address) || frames.announce(mac, BOTH, To::Everybody).is_err() {
                break;
            }
        }
    });
}

fn still_there(interface: &Interface, wanted: ServiceAddress) -> bool {
    let list = Netlink::open().and_then(|mut netlink| address::list(&mut netlink, wanted.ip));
    list.is_ok_and(|all| all.iter().any(|a| a.index == interface.index && a.address == wanted))
}
