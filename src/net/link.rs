//! Interfaces: what they are, whether they have a carrier, and which one a packet would leave by.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use nix::libc;

use super::NetError;
use super::mac::Mac;
use super::netlink::{Answered, Netlink};

/// An interface as the kernel describes it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, where it has an Ethernet-like one.
    pub mac: Option<Mac>,
    /// Administratively up.
    pub up: bool,
    /// Whether anything it sends can be heard.
    pub carrier: bool,
    /// How often the carrier came or went since the interface was made.
    pub carrier_changes: u32,
    /// The loopback: nobody else is on it.
    pub loopback: bool,
    /// It does ARP.
    pub arp: bool,
}

impl Interface {
    fn read(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            carrier_changes: 0,
            loopback: flags.contains(LinkFlags::Loopback),
            arp: !flags.contains(LinkFlags::Noarp),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::CarrierChanges(n) => interface.carrier_changes = *n,
                LinkAttribute::Address(bytes) if bytes.len() == 6 => interface.mac = Mac::from_slice(bytes),
                _ => {}
            }
        }
        interface
    }

    /// Whether somebody else could be asked about an address on this link.
    pub fn has_neighbours(&self) -> bool {
        !self.loopback && self.mac.is_some_and(|m| m != Mac::ZERO)
    }

    /// Its hardware address, if it is up, has a carrier and can ask and be asked; else why not.
    pub fn speaking(&self, ip: IpAddr) -> Result<Mac, NetError> {
        match self.mac {
            _ if !self.up => Err(NetError::Down(self.name.clone())),
            _ if !self.carrier => Err(NetError::NoCarrier(self.name.clone())),
            Some(mac) if self.has_neighbours() && (self.arp || ip.is_ipv6()) => Ok(mac),
            _ => Err(NetError::NoLinkLayer(self.name.clone())),
        }
    }
}

/// Finds an interface by its name.
pub fn by_name(netlink: &mut Netlink, name: &str) -> Result<Interface, NetError> {
    // The kernel's limit; longer names are refused with a less helpful word.
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('/') {
        return Err(NetError::NoInterface(name.to_owned()));
    }
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    get(netlink, message, name)
}

/// Finds an interface by its number.
pub fn by_index(netlink: &mut Netlink, index: u32) -> Result<Interface, NetError> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    get(netlink, message, &format!("number {index}"))
}

/// Every interface.
pub fn list(netlink: &mut Netlink) -> Result<Vec<Interface>, NetError> {
    let answers = netlink
        .request(RouteNetlinkMessage::GetLink(LinkMessage::default()), Answered::Dump)
        .map_err(|e| NetError::kernel("cannot list the interfaces", e))?;
    let link = |answer: &RouteNetlinkMessage| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(Interface::read(message)),
        _ => None,
    };
    Ok(answers.iter().filter_map(link).collect())
}

fn get(netlink: &mut Netlink, message: LinkMessage, what: &str) -> Result<Interface, NetError> {
    match netlink.request(RouteNetlinkMessage::GetLink(message), Answered::Once) {
        Ok(answers) => match answers.first() {
            Some(RouteNetlinkMessage::NewLink(found)) => Ok(Interface::read(found)),
            _ => Err(NetError::Answer(format!("no link came back for {what}"))),
        },
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::EINVAL)) => {
            Err(NetError::NoInterface(what.to_owned()))
        }
        Err(e) => Err(NetError::kernel(format!("cannot look up interface {what}"), e)),
    }
}

/// The interface that a packet to `destination` would leave by; `None` where there is no route.
pub fn egress(netlink: &mut Netlink, destination: IpAddr) -> Result<Option<Interface>, NetError> {
    let mut message = RouteMessage::default();
    (message.header.address_family, message.header.destination_prefix_length) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    let to = match destination {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    };
    message.attributes.push(RouteAttribute::Destination(to));
    let answers = match netlink.request(RouteNetlinkMessage::GetRoute(message), Answered::Once) {
        Ok(answers) => answers,
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => return Ok(None),
        Err(e) => return Err(NetError::kernel(format!("cannot look up the route to {destination}"), e)),
    };
    let oif = answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => route.attributes.iter().find_map(|a| match a {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        }),
        _ => None,
    });
    oif.map(|index| by_index(netlink, index)).transpose()
}

/// What a notification says of the interface with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkNews {
    /// It has a carrier, or has none.
    Carrier(bool),
    /// It is gone.
    Gone,
}

/// Reads a notification.
pub fn news(message: &RouteNetlinkMessage, index: u32) -> Option<LinkNews> {
    match message {
        RouteNetlinkMessage::NewLink(link) if link.header.index == index => {
            Some(LinkNews::Carrier(Interface::read(link).carrier))
        }
        RouteNetlinkMessage::DelLink(link) if link.header.index == index => Some(LinkNews::Gone),
        _ => None,
    }
}
