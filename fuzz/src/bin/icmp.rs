//! Echo replies and ICMP errors, as anybody may send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use takeover::probe::icmp::{self, Family, Stamp};

fuzz_target!(|data: &[u8]| {
    for family in [Family::V4, Family::V6] {
        let _ = icmp::parse(family, data);
        let _ = icmp::quoted_request(family, data);
    }
    let _ = icmp::ipv4_payload(data);
    let _ = Stamp::read(data);
});
