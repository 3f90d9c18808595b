//! IPv6 neighbour discovery (RFC 4861): the solicitation that asks whether an address is free (RFC 4862) and the
//! unsolicited advertisement that announces one. Building whole IPv6 packets, reading ICMPv6 messages.

use std::net::Ipv6Addr;

use pnet::packet::icmpv6::ndp::{MutableNeighborAdvertPacket, MutableNeighborSolicitPacket};
use pnet::packet::icmpv6::{Icmpv6Packet, Icmpv6Type, checksum};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::MutableIpv6Packet;

use super::claim::{Claim, Kind};
use super::mac::Mac;

const IPV6_HEADER: usize = 40;
const MESSAGE: usize = 24;
const OPTION: usize = 8;
/// Only packets that no router has passed on are believed.
pub const HOP_LIMIT: u8 = 255;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;

/// All nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The group that the holder of an address listens to.
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let o = ip.octets();
    let low = u16::from_be_bytes([o[14], o[15]]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(o[13]), low)
}

/// The Ethernet group of an IPv6 group (RFC 2464).
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let o = group.octets();
    Mac([0x33, 0x33, o[12], o[13], o[14], o[15]])
}

/// A solicitation from nobody, as duplicate address detection sends it: whoever has `ip` answers to all nodes.
pub fn probe(ip: Ipv6Addr) -> Vec<u8> {
    let group = solicited_node(ip);
    packet(Ipv6Addr::UNSPECIFIED, group, &solicitation(ip))
}

fn solicitation(ip: Ipv6Addr) -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE];
    if let Some(mut message) = MutableNeighborSolicitPacket::new(&mut bytes) {
        message.set_icmpv6_type(Icmpv6Type(SOLICITATION));
        message.set_target_addr(ip);
    }
    bytes
}

/// An unsolicited advertisement that `ip` is at `mac`, sent in the name of `ip` to `to` (usually [`ALL_NODES`]).
pub fn advertisement(mac: Mac, ip: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE + OPTION];
    if let Some(mut message) = MutableNeighborAdvertPacket::new(&mut bytes) {
        message.set_icmpv6_type(Icmpv6Type(ADVERTISEMENT));
        message.set_flags(FLAG_OVERRIDE);
        message.set_target_addr(ip);
    }
    bytes[MESSAGE..MESSAGE + 2].copy_from_slice(&[TARGET_LINK_LAYER, 1]); // lengths count eight bytes
    bytes[MESSAGE + 2..].copy_from_slice(&mac.0);
    packet(ip, to, &bytes)
}

/// Puts a message into an IPv6 packet, with its checksum.
fn packet(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; IPV6_HEADER];
    bytes.extend_from_slice(message);
    if let Some(sum) = Icmpv6Packet::new(message).map(|m| checksum(&m, &source, &destination)) {
        bytes[IPV6_HEADER + 2..IPV6_HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    }
    if let Some(mut ip) = MutableIpv6Packet::new(&mut bytes) {
        ip.set_version(6);
        ip.set_payload_length(message.len() as u16); // at most 32
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_source(source);
        ip.set_destination(destination);
    }
    bytes
}

/// What an ICMPv6 message from `source` says about `ip`, if anything. The caller has checked the hop limit; the kernel
/// the checksum.
pub fn read(message: &[u8], source: Ipv6Addr, ip: Ipv6Addr) -> Option<Claim> {
    let target: [u8; 16] = message.get(8..MESSAGE)?.try_into().ok()?;
    let about = Ipv6Addr::from(target);
    match (message[0], message[1]) {
        (ADVERTISEMENT, 0) if about == ip => {
            let mac = link_layer(&message[MESSAGE..], TARGET_LINK_LAYER).unwrap_or(Mac::ZERO);
            // An answer to duplicate address detection goes to all nodes and so is not marked as solicited; only an
            // announcement of a change overrides without being asked. Linux sets the override flag on both.
            let solicited = message[4] & FLAG_SOLICITED != 0;
            Some(Claim { mac, kind: if solicited { Kind::Answer } else { Kind::Announcement } })
        }
        (SOLICITATION, 0) if source.is_unspecified() && about == ip => {
            // Duplicate address detection must not carry its link-layer address: its sender stays unknown here.
            Some(Claim { mac: Mac::ZERO, kind: Kind::Probe })
        }
        (SOLICITATION, 0) if source == ip => {
            let mac = link_layer(&message[MESSAGE..], SOURCE_LINK_LAYER).unwrap_or(Mac::ZERO);
            Some(Claim { mac, kind: Kind::Request })
        }
        _ => None,
    }
}

/// The link-layer address among the options of a message.
fn link_layer(mut options: &[u8], wanted: u8) -> Option<Mac> {
    while let [kind, length, rest @ ..] = options {
        let end = usize::from(*length) * 8;
        if end == 0 || end > options.len() {
            return None; // RFC 4861, 4.6: an option of length zero makes the whole packet void
        }
        if *kind == wanted {
            return Mac::from_slice(rest);
        }
        options = &options[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn groups() {
        assert_eq!(solicited_node(IP).to_string(), "ff02::1:ff12:3456");
        assert_eq!(multicast_mac(solicited_node(IP)).to_string(), "33:33:ff:12:34:56");
    }

    #[test]
    fn a_probe_is_read_back() {
        let bytes = probe(IP);
        assert_eq!((bytes.len(), bytes[0] >> 4, bytes[7]), (64, 6, HOP_LIMIT));
        let claim = read(&bytes[IPV6_HEADER..], Ipv6Addr::UNSPECIFIED, IP);
        assert_eq!(claim, Some(Claim { mac: Mac::ZERO, kind: Kind::Probe }));
    }

    #[test]
    fn an_advertisement_is_read_back() {
        let bytes = advertisement(A, IP, ALL_NODES);
        assert_eq!(bytes.len(), 72);
        let claim = read(&bytes[IPV6_HEADER..], IP, IP);
        assert_eq!(claim, Some(Claim { mac: A, kind: Kind::Announcement }));
        assert_eq!(read(&bytes[IPV6_HEADER..], IP, ALL_NODES), None);
        // The checksum over the pseudo header and the message is zero when it is right.
        let message = Icmpv6Packet::new(&bytes[IPV6_HEADER..]).unwrap();
        assert_eq!(checksum(&message, &IP, &ALL_NODES), message.get_checksum());
    }

    #[test]
    fn broken_options_name_nobody() {
        let mut bytes = advertisement(A, IP, ALL_NODES);
        bytes[IPV6_HEADER + MESSAGE + 1] = 0;
        assert_eq!(read(&bytes[IPV6_HEADER..], IP, IP).map(|c| c.mac), Some(Mac::ZERO));
        bytes[IPV6_HEADER + MESSAGE + 1] = 9;
        assert_eq!(read(&bytes[IPV6_HEADER..], IP, IP).map(|c| c.mac), Some(Mac::ZERO));
    }

    proptest! {
        #[test]
        fn never_panics(kind in 133u8..138, rest in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = vec![kind];
            bytes.extend(rest);
            let _ = read(&bytes, IP, IP);
        }
    }
}
