//! What people type: lists of fields, durations, addresses, and the words that scripts make events of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use takeover::cli::{compose, duration, fields, vocabulary};
use takeover::net::address;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    fields_make_columns(text);
    durations_stay_in_bounds(text);
    addresses_come_back(text);
    words_make_whole_events(text);
});

/// As many non-empty columns as were asked for, on one line, whatever the values hold.
fn fields_make_columns(text: &str) {
    if let Ok(list) = fields::parse(text) {
        let event = json!({"event": text, "cause": text.chars().rev().collect::<String>(), "macs": [text, ""]});
        if let Value::Object(object) = event {
            let line = list.line(&object);
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), text.split(',').count());
            assert!(columns.iter().all(|c| !c.is_empty()), "{line:?}");
            assert!(!line.contains(['\n', '\r']), "{line:?}");
        }
    }
}

fn durations_stay_in_bounds(text: &str) {
    if let Ok(d) = duration::parse(text) {
        assert!(d.as_secs() <= 100 * 366 * 86_400);
        assert!(!duration::words(d).is_empty());
        assert_eq!(duration::parse_positive(text).is_ok(), !d.is_zero());
    }
}

/// What was read is printed so that it reads the same.
fn addresses_come_back(text: &str) {
    if let Ok(ip) = address::parse_ip(text) {
        assert_eq!(address::parse_ip(&ip.to_string()), Ok(ip));
    }
    if let Ok(address) = text.parse::<address::ServiceAddress>() {
        assert_eq!(address.to_string().parse(), Ok(address));
        assert_eq!(address::parse_maybe(text), Ok((address.ip, Some(address.prefix))));
    }
}

/// An event that `ha-event` lets through is one of ha-events(7), where that knows it.
fn words_make_whole_events(text: &str) {
    let mut words = text.split('\n');
    let (tool, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let pairs: Vec<String> = words.map(str::to_owned).collect();
    if let Ok(event) = compose::compose(tool, name, &pairs, text.len() % 2 == 0)
        && vocabulary::event(tool, name).is_some()
    {
        assert_eq!(vocabulary::problems(tool, &event), Vec::<String>::new());
    }
}
