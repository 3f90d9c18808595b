//! What a whole configuration risks though each line of it is right.

use std::time::Duration;

use super::super::authkeys::AuthKeys;
use super::super::ha_cf::{HaCf, Medium};
use super::super::haresources::Group;
use crate::cli::duration;
use crate::decide::report::{Entry, FIELD, Mark, Report, Seen};
use crate::heartbeat::sender::speaker::{Identity, Present, Speaker};
use crate::heartbeat::wire::authentication::{Key, Method};
use crate::heartbeat::wire::message::Message;
use crate::heartbeat::wire::{self, Shape};

/// Bits on a serial line for each byte: a start bit, eight, a stop bit.
const BITS: f64 = 10.0;

/// The largest heartbeat that a node of this cluster sends over a serial line, in bytes: made as hb-send makes it, with a
/// report on every group.
pub(super) fn heartbeat(ha_cf: &HaCf, groups: &[Group], keys: Option<&AuthKeys>) -> usize {
    let longest = ha_cf.nodes.iter().max_by_key(|n| n.len()).cloned().unwrap_or_default();
    // Numbers as they are after years.
    let generation = 0x7fff_ffff;
    let entry = |n: usize| {
        let key = u32::try_from(n).unwrap_or(u32::MAX) & 0x00ff_ffff;
        Entry { key, mark: Mark::Holds, ordered: true, doubtful: true }
    };
    let seen = |n| if n == 0 { Seen::Own } else { Seen::Heard(0xffff) };
    let arbiters = u32::try_from(ha_cf.ping.len() + ha_cf.ping_groups.len()).unwrap_or(u32::MAX);
    let report = Report {
        digest: u16::MAX,
        generation,
        version: 0xffff,
        ready: true,
        leaving: true,
        pings: (arbiters > 0).then_some(arbiters),
        seen: (0..ha_cf.nodes.len()).map(seen).collect(),
        groups: (0..groups.len()).map(entry).collect(),
    };
    let ttl = u32::try_from(ha_cf.nodes.len() + 1).unwrap_or(u32::MAX);
    let identity = Identity { node: longest, uuid: Some([0xff; 16]), generation, ttl };
    let ring = keys.and_then(AuthKeys::keyring);
    let usual = Key::new(1, Method::Sha1, b"any");
    let key = ring.as_ref().map_or(&usual, |ring| ring.sending());
    let seal = |message: &Message| vec![wire::seal(message, key, Shape::Classic)];
    let mut speaker = Speaker::new(identity, "active", Some(ha_cf.deadtime), seal);
    speaker.set_extra(vec![(FIELD.to_owned(), report.encode())]);
    let present = Present { unix: 0x7fff_ffff, load: Some("10.00 10.00 10.00 10/1000 1000000\n".to_owned()) };
    speaker.beat(&present).iter().map(Vec::len).sum()
}

/// Which share of a serial line messages of so many bytes take; over 1 they do not fit at all.
pub(super) fn share(bytes: usize, every: Duration, baud: u32) -> f64 {
    bytes as f64 * BITS / (every.as_secs_f64() * f64::from(baud))
}

/// The serial lines that heartbeats fill for more than half, each with what they take: what was lost has to be sent
/// again, too.
pub(super) fn full(ha_cf: &HaCf, bytes: usize) -> Vec<(String, f64)> {
    let of = |medium: &Medium| match medium {
        Medium::Serial { path, baud } => Some((path.display().to_string(), share(bytes, ha_cf.keepalive, *baud))),
        _ => None,
    };
    ha_cf.media.iter().filter_map(of).filter(|(_, share)| *share > 0.5).collect()
}

/// What to do about a full line.
pub(super) fn room(ha_cf: &HaCf, bytes: usize) -> String {
    let bauds = super::super::ha_cf::BAUDS;
    let slowest = ha_cf.media.iter().filter_map(|m| match m {
        Medium::Serial { baud, .. } => Some(*baud),
        _ => None,
    });
    let slowest = slowest.min().unwrap_or(super::super::ha_cf::BAUD);
    let least = Duration::from_secs_f64(bytes as f64 * BITS * 2.0 / f64::from(slowest));
    let keepalive = duration::words(Duration::from_millis(u64::try_from(least.as_millis()).unwrap_or(u64::MAX) + 1));
    let faster = bauds.iter().find(|baud| share(bytes, ha_cf.keepalive, **baud) <= 0.5);
    match faster {
        Some(baud) => {
            format!("write 'baud {baud}' before 'serial', or keepalive {keepalive} and the other times with it")
        }
        None => format!("no line is fast enough: keepalive {keepalive}, and the other times with it"),
    }
}

/// Whether two nodes that lose sight of each other have nothing to tell them who of them is alive.
pub(super) fn may_split(ha_cf: &HaCf) -> bool {
    ha_cf.nodes.len() == 2 && ha_cf.ping.is_empty() && ha_cf.ping_groups.is_empty() && ha_cf.stonith.is_empty()
}

/// The groups that nobody takes over: of two nodes each stands by for the other, of more only those that are named.
pub(super) fn alone<'a>(ha_cf: &HaCf, groups: &'a [Group]) -> Vec<&'a Group> {
    let many = ha_cf.nodes.len() > 2;
    groups.iter().filter(|g| many && g.nodes.len() == 1).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{authkeys, ha_cf, haresources};

    fn configured(text: &str) -> HaCf {
        ha_cf::parse(Path::new("ha.cf"), text).content
    }

    fn groups(text: &str) -> Vec<Group> {
        haresources::parse(Path::new("haresources"), text).content
    }

    #[test]
    fn a_heartbeat_grows_with_what_it_says() {
        let two = configured("node ha1 ha2\n");
        let few = groups("ha1 10.0.0.3\n");
        let size = heartbeat(&two, &few, None);
        assert!((200..600).contains(&size), "{size}");
        let twenty = (0..20).map(|n| format!("ha1 10.0.0.{n} x\n")).collect::<String>();
        // Key, mark, order, doubt and comma each.
        assert_eq!(heartbeat(&two, &groups(&twenty), None), size + 19 * 10);
        assert!(heartbeat(&configured("node ha1 ha2 ha3 ha4 ha5\n"), &few, None) > size);
        let keys = authkeys::parse(Path::new("authkeys"), b"auth 1\n1 crc\n").content;
        assert!(heartbeat(&two, &few, Some(&keys)) < size, "a checksum is shorter than a digest");
    }

    #[test]
    fn half_a_line_is_the_limit() {
        assert!((share(960, Duration::from_secs(1), 19_200) - 0.5).abs() < 1e-9);
        let cf =
            configured("keepalive 500ms\nbaud 9600\nserial /dev/ttyS0\nbaud 115200\nserial /dev/ttyS1\nbcast eth0\n");
        assert_eq!(full(&cf, 240), []);
        assert_eq!(full(&cf, 241).iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/dev/ttyS0"]);
        assert_eq!(full(&cf, 2881).len(), 2);
        assert!(
            room(&cf, 241).contains("baud 19200") && room(&cf, 241).contains("keepalive 503ms"),
            "{}",
            room(&cf, 241)
        );
        assert!(room(&cf, 100_000).contains("no line is fast enough"));
        assert_eq!(full(&configured("bcast eth0\nkeepalive 20ms\n"), 100_000), []);
    }

    #[test]
    fn two_alone_may_split() {
        assert!(may_split(&configured("node a b\n")));
        for more in ["node c", "ping 10.0.0.1", "ping_group g 10.0.0.1 10.0.0.2", "stonith_host * null a b"] {
            assert!(!may_split(&configured(&format!("node a b\n{more}\n"))), "{more}");
        }
        assert!(!may_split(&configured("node a\n")));
    }

    #[test]
    fn of_three_only_the_named_stand_by() {
        let groups = groups("a 10.0.0.1\na,b 10.0.0.2\n");
        assert_eq!(alone(&configured("node a b\n"), &groups).len(), 0);
        let alone = alone(&configured("node a b c\n"), &groups);
        assert_eq!(alone.iter().map(|g| g.line).collect::<Vec<_>>(), [1]);
    }
}
