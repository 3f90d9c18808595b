//! Files of ldirectord with anything in them, and what is told of their targets.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use takeover::config::ldirectord::wanted::{states, wanted};
use takeover::config::ldirectord::{Names, checks, parse};
use takeover::lvs;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Behind a zero byte stands what is told of its targets.
    let (file, said) = text.split_once('\0').unwrap_or((text, ""));
    let names = Names::parse("10.0.0.9 web9.example.com web9\n2001:db8::9 web9\n", "www 80/tcp http\n");
    let parsed = parse(Path::new("x.cf"), file, &names);
    let lines = file.split('\n').count() as u32;
    assert!(parsed.problems.iter().all(|p| p.line.is_none_or(|l| (1..=lines).contains(&l))));
    let Ok(good) = parsed.usable() else { return };
    for set in checks::sets(&good.content) {
        assert!(!set.targets.is_empty() && set.fall > 0 && !set.every.is_zero());
    }
    let Ok(states) = states(said) else { return };
    for line in wanted(&good.content, &states, &names, &|_| false) {
        let line = Value::Object(line.fields().clone());
        // Whatever is right here is right for lvs-sync.
        if let Err(e) = lvs::wanted::from_line(&line) {
            panic!("{line}: {e}");
        }
    }
});
