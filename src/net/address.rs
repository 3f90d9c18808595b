//! Addresses on interfaces: reading what was asked for, listing, adding, renewing and removing over netlink.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc;

use super::NetError;
use super::link::Interface;
use super::netlink::{Answered, Netlink};

/// A service address with the prefix length of its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAddress {
    /// The address.
    pub ip: IpAddr,
    /// The prefix length: 1 to 32, or 1 to 128.
    pub prefix: u8,
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Why a text is not a service address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// No IP address.
    #[error("'{0}' is not an IP address: write 192.0.2.10 or 2001:db8::10, no name")]
    NotAnAddress(String),
    /// With a zone.
    #[error("'{0}' has a zone: leave out the part from % on, --dev names the interface")]
    Zone(String),
    /// The prefix length is missing.
    #[error("'{0}' has no prefix length: write {0}/24, with the prefix length of its subnet")]
    NoPrefix(String),
    /// The prefix length is wrong.
    #[error("'{prefix}' is not a prefix length for {ip}: write 1 to {longest}")]
    Prefix {
        /// The address.
        ip: IpAddr,
        /// What stood behind the slash.
        prefix: String,
        /// 32 or 128.
        longest: u8,
    },
    /// An address that no machine can have for itself.
    #[error("{0} cannot be a service address: it is {1}")]
    NotUsable(IpAddr, &'static str),
}

/// Parses an address without a prefix length that one machine can have for itself.
pub fn parse_ip(text: &str) -> Result<IpAddr, AddressError> {
    if text.contains('%') {
        return Err(AddressError::Zone(text.to_owned()));
    }
    let ip: IpAddr = text.parse().map_err(|_| AddressError::NotAnAddress(text.to_owned()))?;
    let not_usable = match ip {
        _ if ip.is_unspecified() => Some("the unspecified address"),
        _ if ip.is_multicast() => Some("a multicast address"),
        _ if ip.is_loopback() => Some("a loopback address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => Some("a reserved address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address: write it as IPv4"),
        _ => None,
    };
    not_usable.map_or(Ok(ip), |why| Err(AddressError::NotUsable(ip, why)))
}

fn parse_prefix(ip: IpAddr, text: &str) -> Result<u8, AddressError> {
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let error = || AddressError::Prefix { ip, prefix: text.to_owned(), longest };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    text.parse().ok().filter(|p| (1..=longest).contains(p)).ok_or_else(error)
}

impl FromStr for ServiceAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (ip, prefix) = parse_maybe(text)?;
        let prefix = prefix.ok_or_else(|| AddressError::NoPrefix(text.to_owned()))?;
        if let (IpAddr::V4(v4), 1..=30) = (ip, prefix) {
            let host = u32::from(v4) & (u32::MAX >> prefix);
            if host == 0 {
                return Err(AddressError::NotUsable(ip, "the network's own address under that prefix length"));
            }
            if host == u32::MAX >> prefix {
                return Err(AddressError::NotUsable(ip, "the broadcast address under that prefix length"));
            }
        }
        Ok(Self { ip, prefix })
    }
}

/// Parses `ADDR[/PREFIX]`.
pub fn parse_maybe(text: &str) -> Result<(IpAddr, Option<u8>), AddressError> {
    match text.split_once('/') {
        None => Ok((parse_ip(text)?, None)),
        Some((ip, prefix)) => {
            let ip = parse_ip(ip)?;
            Ok((ip, Some(parse_prefix(ip, prefix)?)))
        }
    }
}

/// An address that an interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The address with its prefix length.
    pub address: ServiceAddress,
    /// The interface's number.
    pub index: u32,
    /// Another address of its subnet stands before it, and takes it along when it goes (IPv4).
    pub secondary: bool,
    /// Not yet usable: duplicate address detection is under way, or has failed (IPv6).
    pub tentative: bool,
    /// The kernel's remaining lifetime in seconds; `None` for ever.
    pub valid_s: Option<u32>,
}

const FOREVER: u32 = u32::MAX;

fn read(message: &AddressMessage) -> Option<Assigned> {
    let mut ip = None;
    let mut local = None;
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    let mut valid = FOREVER;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(a) => ip = Some(*a),
            AddressAttribute::Local(a) => local = Some(*a),
            AddressAttribute::Flags(f) => flags = *f,
            AddressAttribute::CacheInfo(c) => valid = c.ifa_valid,
            _ => {}
        }
    }
    Some(Assigned {
        // On a point-to-point link the address is the peer's, and local is ours.
        address: ServiceAddress { ip: local.or(ip)?, prefix: message.header.prefix_len },
        index: message.header.index,
        secondary: flags.contains(AddressFlags::Secondary),
        tentative: flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
        valid_s: (valid != FOREVER).then_some(valid),
    })
}

/// Every address of this machine of the family of `like`.
pub fn list(netlink: &mut Netlink, like: IpAddr) -> Result<Vec<Assigned>, NetError> {
    let mut message = AddressMessage::default();
    message.header.family = family(like);
    let answers = netlink
        .request(RouteNetlinkMessage::GetAddress(message), Answered::Dump)
        .map_err(|e| NetError::kernel("cannot list the addresses", e))?;
    Ok(answers.iter().filter_map(added).collect())
}

/// The address that a notification says was added or renewed.
pub fn added(message: &RouteNetlinkMessage) -> Option<Assigned> {
    match message {
        RouteNetlinkMessage::NewAddress(m) => read(m),
        _ => None,
    }
}

/// The address that a notification says was removed.
pub fn removed(message: &RouteNetlinkMessage) -> Option<Assigned> {
    match message {
        RouteNetlinkMessage::DelAddress(m) => read(m),
        _ => None,
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn message(interface: &Interface, address: ServiceAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.ip);
    message.header.prefix_len = address.prefix;
    message.header.index = interface.index;
    message.header.scope = match address.ip {
        IpAddr::V4(ip) if ip.is_link_local() => AddressScope::Link,
        _ => AddressScope::Universe, // the kernel works an IPv6 scope out for itself
    };
    message.attributes.push(AddressAttribute::Local(address.ip));
    message.attributes.push(AddressAttribute::Address(address.ip));
    message
}

/// Adds an address, or renews it where it is there already.
///
/// `lease_s` is the kernel's lifetime in whole seconds, `None` for ever. IPv6 goes without duplicate address detection
/// (we probed ourselves) and as deprecated, so that no outgoing connection chooses it as its source.
pub fn put(
    netlink: &mut Netlink,
    interface: &Interface,
    address: ServiceAddress,
    lease_s: Option<u32>,
    label: Option<&str>,
) -> Result<(), NetError> {
    let mut request = message(interface, address);
    let valid = lease_s.unwrap_or(FOREVER);
    let mut cache = CacheInfo::default();
    cache.ifa_valid = valid;
    cache.ifa_preferred = if address.ip.is_ipv6() { 0 } else { valid };
    request.attributes.push(AddressAttribute::CacheInfo(cache));
    if address.ip.is_ipv6() {
        request.header.flags = AddressHeaderFlags::Nodad;
        request.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    if let Some(label) = label {
        request.attributes.push(AddressAttribute::Label(label.to_owned()));
    }
    netlink
        .request(RouteNetlinkMessage::NewAddress(request), Answered::Done(NLM_F_CREATE | NLM_F_REPLACE))
        .map(drop)
        .map_err(|e| NetError::kernel(format!("cannot add {address} to {}", interface.name), e))
}

/// Removes exactly this address; false when it was not there.
pub fn remove(netlink: &mut Netlink, interface: &Interface, address: ServiceAddress) -> Result<bool, NetError> {
    let request = message(interface, address);
    match netlink.request(RouteNetlinkMessage::DelAddress(request), Answered::Done(0)) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(false),
        Err(e) => Err(NetError::kernel(format!("cannot remove {address} from {}", interface.name), e)),
    }
}

/// Whether the kernel lets a subnet's other addresses live on when the first of them goes (IPv4), and if not, makes it so.
/// Returns whether it had to be changed.
pub fn promote_secondaries(interface: &Interface) -> Result<bool, NetError> {
    let read = |name: &str| -> io::Result<bool> {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
        Ok(std::fs::read_to_string(path)?.trim() != "0")
    };
    let path = format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", interface.name);
    let set = || -> io::Result<bool> {
        // The kernel takes the larger of the interface's own setting and that of "all".
        if read(&interface.name)? || read("all")? {
            return Ok(false);
        }
        std::fs::write(&path, "1")?;
        Ok(true)
    };
    set().map_err(|error| NetError::PromoteSecondaries { dev: interface.name.clone(), error })
}

/// Whether two IPv4 addresses lie in the same subnet on the same interface, so that one can be the other's secondary.
pub fn share_subnet(a: ServiceAddress, b: ServiceAddress) -> bool {
    match (a.ip, b.ip) {
        (IpAddr::V4(x), IpAddr::V4(y)) if a.prefix == b.prefix => {
            let network = |ip: Ipv4Addr| u64::from(u32::from(ip)) >> (32 - u32::from(a.prefix));
            network(x) == network(y)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn service_addresses() {
        for good in ["10.0.0.3/24", "192.0.2.1/32", "10.0.0.0/31", "2001:db8::1/64", "fe80::1/64"] {
            let parsed: Result<ServiceAddress, _> = good.parse();
            assert_eq!(parsed.map(|a| a.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "10.0.0.3",
            "10.0.0.3/",
            "10.0.0.3/33",
            "10.0.0.3/0",
            "10.0.0.3/-1",
            "10.0.0.3/+8",
            "10.0.0.3/24/1",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "0.0.0.0/8",
            "127.0.0.9/8",
            "::1/128",
            "224.0.0.1/24",
            "255.255.255.255/32",
            "240.0.0.1/8",
            "::/64",
            "ff02::1/64",
            "fe80::1%eth0/64",
            "::ffff:10.0.0.1/96",
            "2001:db8::1/129",
            "host/24",
            "010.0.0.1/8",
        ] {
            assert!(bad.parse::<ServiceAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn subnets() {
        let parse = |s: &str| s.parse::<ServiceAddress>().unwrap_or_else(|e| panic!("{e}"));
        assert!(share_subnet(parse("10.0.0.3/24"), parse("10.0.0.9/24")));
        assert!(!share_subnet(parse("10.0.0.3/24"), parse("10.0.0.9/25")));
        assert!(!share_subnet(parse("10.0.0.3/24"), parse("10.0.1.3/24")));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,50}") { let _ = text.parse::<ServiceAddress>(); }
    }
}
