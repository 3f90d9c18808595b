//! What is read from /proc and /run with anything in it: tables of mounts, states, maps, records of claims.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use takeover::storage::holders::proc::map;
use takeover::storage::mountinfo::Table;
use takeover::storage::process::Stat;
use takeover::storage::record::{Record, file_name};

fuzz_target!(|data: &[u8]| {
    let table = Table::parse(data);
    for mount in &table.0 {
        assert!(mount.point.is_absolute());
        if let Some(found) = table.containing(&mount.point) {
            assert!(mount.point.starts_with(&found.point));
        }
        assert!(table.stack(&mount.point).iter().all(|m| m.point == mount.point));
        let name = file_name(mount.point.as_os_str().as_encoded_bytes());
        assert!(!name.contains('/') && name.len() < 240);
    }
    assert!(table.containing(Path::new("/")).is_none_or(|m| m.point == Path::new("/")));
    if let Some((range, _, path)) = map(data) {
        assert!(!range.contains('/') && path.is_absolute());
    }
    if let Some(record) = Record::from_json(data) {
        assert_eq!(Record::from_json(record.to_json().to_string().as_bytes()), Some(record));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Stat::parse(text);
});
