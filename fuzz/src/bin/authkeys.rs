//! authkeys files with anything in them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use takeover::config::authkeys;
use takeover::heartbeat::wire::authentication::{Key, Method};

fuzz_target!(|data: &[u8]| {
    let parsed = authkeys::parse(Path::new("authkeys"), data);
    let lines = data.split(|b| *b == b'\n').count() as u32;
    assert!(parsed.problems.iter().all(|p| p.line.is_none_or(|l| (1..=lines).contains(&l))));
    // No key in a message: every message is made of the project's own words and small numbers.
    for p in &parsed.problems {
        assert!(p.what.is_ascii() && p.hint.is_ascii());
        assert!(p.what.len() < 120);
    }
    if let Ok(good) = parsed.usable() {
        assert!(good.content.sender().is_some() && good.content.keyring().is_some());
        let mut seen = [false; Key::MAX_INDEX as usize + 1];
        for key in &good.content.keys {
            assert!(!std::mem::replace(&mut seen[usize::from(key.index)], true));
            assert_eq!(key.method == Method::Crc, key.secret.bytes().is_empty());
        }
    }
});
