//! Who else listens on a UDP port of this machine.
//!
//! The kernel lets several sockets share a port if all agree to it, as heartbeat's and ours do, and then gives each
//! unicast to one of them only: whoever was silently robbed of them would take the living for dead.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A UDP socket of this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    ip: IpAddr,
    port: u16,
    inode: u64,
}

/// Whether a socket of another process would get, or lose, unicasts that are sent to this address (any, if none) and port.
/// On which interface it listens is not known here. Where the kernel does not tell, nobody is seen.
pub(super) fn others(address: Option<IpAddr>, port: u16) -> bool {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let rivals = tables.iter().flat_map(|table| sockets(table)).filter(|s| s.port == port && meets(s.ip, address));
    let rivals: Vec<Socket> = rivals.collect();
    if rivals.is_empty() {
        return false;
    }
    let ours = own_inodes();
    rivals.iter().any(|s| !ours.contains(&s.inode))
}

/// Whether one of two sockets takes what is sent to the other. Those of groups get copies of their own.
fn meets(ip: IpAddr, address: Option<IpAddr>) -> bool {
    !ip.is_multicast() && (ip.is_unspecified() || address.is_none_or(|a| a.is_unspecified() || a == ip))
}

/// The lines of /proc/net/udp and udp6 (proc_net(5)): a number, the local address and port in hexadecimal, …, the inode as
/// the tenth.
fn sockets(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (ip, port) = words.nth(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = words.nth(7)?.parse().ok()?;
        Some(Socket { ip: address(ip)?, port, inode })
    })
}

/// Each group of eight digits is four bytes, in the order of this machine.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (n, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(n * 8)?);
            }
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

fn own_inodes() -> BTreeSet<u64> {
    let inode = |entry: std::io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry.ok()?.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn tables_of_the_kernel_are_read() {
        let v4 = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref \
                  pointer drops\n  290: 0100007F:02B6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                  12345 2 000000006d3c 0\n  x: nonsense\n";
        let found: Vec<Socket> = sockets(v4).collect();
        assert_eq!(found, [Socket { ip: "127.0.0.1".parse().unwrap(), port: 694, inode: 12345 }]);
        let v6 = "  7: 00000000000000000000000001000000:02B6 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 9 2 0 0\n";
        assert_eq!(sockets(v6).next(), Some(Socket { ip: "::1".parse().unwrap(), port: 694, inode: 9 }));
    }

    #[test]
    fn sockets_meet_where_one_takes_what_is_sent_to_the_other() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(meets(ip("0.0.0.0"), Some(ip("192.0.2.1"))));
        assert!(meets(ip("192.0.2.1"), None));
        assert!(meets(ip("192.0.2.1"), Some(ip("192.0.2.1"))));
        assert!(!meets(ip("192.0.2.1"), Some(ip("192.0.2.2"))));
        assert!(!meets(ip("239.0.0.1"), None), "a group is heard by all of its members");
    }
}
