//! mon.cf files with anything in them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use takeover::config::mon_cf::{document, parse};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("mon.cf");
    let parsed = parse(file, text);
    let lines = text.split('\n').count() as u32;
    assert!(parsed.problems.iter().all(|p| p.line.is_some_and(|l| (1..=lines).contains(&l)) && !p.hint.is_empty()));
    let Ok(good) = parsed.usable() else { return };
    for service in &good.content.services {
        // What is checked has a program, which stays in its folder, and a time.
        if service.is_checked() {
            let (words, _) = service.monitor.as_ref().unwrap();
            assert!(!words[0].is_empty() && !words[0].split('/').any(|part| part == ".."));
            assert!(!service.interval.is_zero());
        }
        // No name becomes another target, or another file.
        for name in [&service.group, &service.name] {
            assert!(!name.is_empty() && !name.chars().any(|c| c == '/' || c.is_whitespace() || c.is_control()));
        }
        let _ = document::service(file, service);
    }
    let _ = document::whole(file, &good.content);
});
