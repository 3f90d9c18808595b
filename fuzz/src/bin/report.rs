//! What a node says of itself in its heartbeats (the field tk), with anything in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use takeover::decide::report::Report;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(report) = Report::decode(text) else { return };
    let written = report.encode();
    assert_eq!(Report::decode(&written).as_ref(), Some(&report));
    // No longer than what was read, but for leading zeros of keys, which are written in full.
    assert!(written.len() <= text.len());
    for entry in &report.groups {
        assert_eq!(report.entry(entry.key).map(|e| e.key), Some(entry.key));
    }
});
