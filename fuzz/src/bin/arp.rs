//! ARP packets, as anybody on the link may send them.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use takeover::net::arp;

fuzz_target!(|data: &[u8]| {
    // The first four bytes choose the address that is asked about, so that packets about it are found.
    let Some((ip, packet)) = data.split_first_chunk::<4>() else { return };
    if let Some(claim) = arp::read(packet, Ipv4Addr::from(*ip)) {
        assert!(packet.len() >= arp::LENGTH);
        assert!(claim.mac.is_unicast());
    }
});
