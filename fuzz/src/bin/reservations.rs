//! Answers of disks, and of drbdadm, with anything in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use takeover::storage::guard::drbd::{Roles, primary_peer};
use takeover::storage::guard::pr_codec::{KEYS, keys, name_of, reservation, sense};

fuzz_target!(|data: &[u8]| {
    if let Ok(keys) = keys(data) {
        assert!(keys.len() <= KEYS && keys.len() * 8 + 8 <= data.len());
        assert!(keys.iter().all(|key| !name_of(*key).is_empty()));
    }
    if let Ok(Some(found)) = reservation(data) {
        assert!(found.kind < 16 && data.len() >= 24);
    }
    let _ = sense(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (Roles::parse(text), primary_peer(text));
});
