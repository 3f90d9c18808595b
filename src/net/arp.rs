//! ARP for IPv4 over Ethernet (RFC 826), probes and announcements as in RFC 5227: building and reading packets.

use std::net::Ipv4Addr;

use pnet::packet::Packet;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::util::MacAddr;

use super::claim::{Claim, Kind};
use super::mac::Mac;

/// The length of a packet.
pub const LENGTH: usize = 28;

/// The two forms of a gratuitous ARP: some gear believes only the one, some only the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A question about the address from its own holder.
    Request,
    /// An answer that nobody asked for.
    Reply,
}

fn build(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> [u8; LENGTH] {
    let hardware = |m: Mac| MacAddr::from(m.0);
    let mut bytes = [0; LENGTH];
    if let Some(mut arp) = MutableArpPacket::new(&mut bytes) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(operation);
        arp.set_sender_hw_addr(hardware(sender.0));
        arp.set_sender_proto_addr(sender.1);
        arp.set_target_hw_addr(hardware(target.0));
        arp.set_target_proto_addr(target.1);
    }
    bytes
}

/// A probe: a question about `ip` that names no sender address, so that it enters nobody's cache.
pub fn probe(own: Mac, ip: Ipv4Addr) -> [u8; LENGTH] {
    build(ArpOperations::Request, (own, Ipv4Addr::UNSPECIFIED), (Mac::ZERO, ip))
}

/// A gratuitous announcement that `ip` is at `mac`. Linux takes a reply for gratuitous, and so believes it within a
/// second of another one, only where the target hardware address is the sender's again.
pub fn announcement(form: Form, mac: Mac, ip: Ipv4Addr) -> [u8; LENGTH] {
    directed(form, mac, ip, if form == Form::Reply { mac } else { Mac::ZERO }, ip)
}

/// A question or an answer that tells one neighbour that `ip` is at `mac`.
pub fn directed(form: Form, mac: Mac, ip: Ipv4Addr, to: Mac, to_ip: Ipv4Addr) -> [u8; LENGTH] {
    let operation = match form {
        Form::Request => ArpOperations::Request,
        Form::Reply => ArpOperations::Reply,
    };
    build(operation, (mac, ip), (to, to_ip))
}

/// What a packet says about `ip`, if anything.
pub fn read(bytes: &[u8], ip: Ipv4Addr) -> Option<Claim> {
    let arp = ArpPacket::new(bytes)?;
    let ours = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && (arp.get_hw_addr_len(), arp.get_proto_addr_len()) == (6, 4);
    if !ours {
        return None;
    }
    let mac = Mac(arp.get_sender_hw_addr().octets());
    let (sender, target) = (arp.get_sender_proto_addr(), arp.get_target_proto_addr());
    let kind = match arp.get_operation() {
        ArpOperations::Request if sender.is_unspecified() && target == ip => Kind::Probe,
        _ if sender != ip => return None,
        _ if target == ip => Kind::Announcement,
        ArpOperations::Request => Kind::Request,
        ArpOperations::Reply => Kind::Answer,
        _ => return None,
    };
    debug_assert!(arp.packet().len() >= LENGTH);
    mac.is_unicast().then_some(Claim { mac, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn a_probe_byte_for_byte() {
        let expected = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10];
        assert_eq!(probe(A, IP), expected);
    }

    #[test]
    fn every_kind_is_read_back() {
        let kind = |bytes: &[u8]| read(bytes, IP).map(|c| (c.mac, c.kind));
        assert_eq!(kind(&probe(A, IP)), Some((A, Kind::Probe)));
        assert_eq!(kind(&announcement(Form::Request, A, IP)), Some((A, Kind::Announcement)));
        assert_eq!(kind(&announcement(Form::Reply, A, IP)), Some((A, Kind::Announcement)));
        assert_eq!(kind(&directed(Form::Reply, A, IP, B, OTHER)), Some((A, Kind::Answer)));
        assert_eq!(kind(&directed(Form::Request, A, IP, Mac::ZERO, OTHER)), Some((A, Kind::Request)));
        // An answer to a probe goes to the unspecified address.
        assert_eq!(kind(&directed(Form::Reply, A, IP, B, Ipv4Addr::UNSPECIFIED)), Some((A, Kind::Answer)));
    }

    #[test]
    fn what_says_nothing_about_the_address() {
        assert_eq!(read(&probe(A, OTHER), IP), None);
        assert_eq!(read(&announcement(Form::Reply, A, OTHER), IP), None);
        assert_eq!(read(&directed(Form::Request, A, OTHER, Mac::ZERO, IP), IP), None);
        assert_eq!(read(&announcement(Form::Reply, Mac::BROADCAST, IP), IP), None);
        assert_eq!(read(&probe(A, IP)[..27], IP), None);
        let mut token_ring = announcement(Form::Reply, A, IP);
        token_ring[1] = 6;
        assert_eq!(read(&token_ring, IP), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) { let _ = read(&bytes, IP); }
    }
}
