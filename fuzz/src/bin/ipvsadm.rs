//! What ipvsadm prints, with anything in it.
#![no_main]

use std::str;

use libfuzzer_sys::fuzz_target;
use takeover::lvs::saved;

fuzz_target!(|data: &[u8]| {
    let Ok(mut table) = saved::parse(data) else { return };
    for (n, service) in table.0.iter().enumerate() {
        assert!(!table.0[..n].iter().any(|s| s.key == service.key));
        assert_eq!(service.key.to_string().parse().as_ref(), Ok(&service.key));
        for (n, server) in service.servers.iter().enumerate() {
            assert!(!service.servers[..n].iter().any(|s| s.address == server.address));
        }
    }
    // What is printed of it reads the same.
    assert_eq!(saved::parse(saved::print(&table).as_bytes()).as_ref(), Ok(&table));
    if let Ok(text) = str::from_utf8(data) {
        let _ = saved::add_thresholds(&mut table, text);
    }
});
