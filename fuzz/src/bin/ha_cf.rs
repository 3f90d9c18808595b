//! ha.cf files with anything in them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use takeover::config::ha_cf;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = ha_cf::parse(Path::new("ha.cf"), text);
    let lines = text.split('\n').count() as u32;
    assert!(parsed.problems.iter().all(|p| p.line.is_none_or(|l| (1..=lines).contains(&l))));
    assert!(parsed.content.nodes.iter().all(|n| !n.contains('/') && !n.starts_with('.')));
    if let Ok(good) = parsed.usable() {
        let content = good.content;
        assert!(content.deadtime > content.keepalive * 2);
        assert!(content.initdead >= content.deadtime);
        assert!(!content.media.is_empty());
    }
});
