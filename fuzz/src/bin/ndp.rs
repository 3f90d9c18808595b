//! Neighbour discovery, as anybody on the link may send it.
#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use takeover::net::ndp;

fuzz_target!(|data: &[u8]| {
    let Some((ip, rest)) = data.split_first_chunk::<16>() else { return };
    let Some((source, message)) = rest.split_first_chunk::<16>() else { return };
    let (ip, source) = (Ipv6Addr::from(*ip), Ipv6Addr::from(*source));
    if ndp::read(message, source, ip).is_some() {
        assert!(message.len() >= 24);
    }
    let _ = ndp::read(message, Ipv6Addr::UNSPECIFIED, ip);
});
