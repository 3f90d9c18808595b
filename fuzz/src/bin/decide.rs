//! Lines on the stdin of ha-decide, with anything in them and in any order, for clusters of several kinds.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use takeover::config::{ha_cf, haresources};
use takeover::decide::cluster::{Cluster, Limits};
use takeover::decide::{Decider, input};

const TIMES: &str = "keepalive 500ms\ndeadtime 2s\nbcast eth0\n";
const KINDS: [&str; 4] = [
    "node n0 n1\nauto_failback on\n",
    "node n0 n1\nauto_failback off\nping r\n",
    "node n0 n1 n2\nauto_failback on\nping_group p r s\n",
    "node n0 n1 n2\nauto_failback legacy\nstonith_host * null n0 n1 n2\n",
];
const GROUPS: &str = "n0 g0\nn1,n0 g1\n";

fuzz_target!(|data: &[u8]| {
    let Some((kind, lines)) = data.split_first() else { return };
    let text = format!("{TIMES}{}", KINDS[usize::from(kind % 4)]);
    let ha_cf = ha_cf::parse(Path::new("ha.cf"), &text).content;
    let groups = haresources::parse(Path::new("haresources"), GROUPS).content;
    let limits = Limits { groups: if kind & 4 == 0 { usize::MAX } else { 1 }, ..Limits::default() };
    let cluster = Cluster::new(&ha_cf, &groups, "n0", limits).unwrap();
    let mut decider = Decider::new(cluster);
    let mut last = decider.now();
    for line in lines.split(|b| *b == b'\n') {
        let input = match input::read(line) {
            Ok(Some(input)) => input,
            Ok(None) => continue,
            Err(cause) => {
                assert!(!cause.is_empty());
                continue;
            }
        };
        for decision in decider.take(input) {
            assert!(!decision.event().name().is_empty());
        }
        assert!(decider.now() >= last, "time never goes back");
        last = decider.now();
    }
    assert_eq!((decider.explain().len(), decider.nodes().len()), (groups.len(), ha_cf.nodes.len()));
});
