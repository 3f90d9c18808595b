//! From the word that names a host to its address: literal addresses at once, names in threads of their own, because
//! `getaddrinfo` may not come back for minutes.

use std::collections::{HashSet, VecDeque};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::libc;
use nix::net::if_::if_nametoindex;

/// A host as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Literal {
        /// The address; IPv4-mapped ones as IPv4.
        ip: IpAddr,
        /// The interface that a link-local address is meant on.
        zone: Option<String>,
    },
    /// A name.
    Name(String),
}

/// Why a word names no host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HostError {
    /// Nothing.
    #[error("an empty word names no host")]
    Empty,
    /// A zone without a reason, or none of a name.
    #[error("'{0}' has a zone, which only an IPv6 address can have, as in fe80::1%eth0")]
    Zone(String),
    /// A zone that cannot be an interface.
    #[error("'{0}' has a zone that no interface can be called, as eth0 is in fe80::1%eth0")]
    ZoneName(String),
    /// Colons, but no IPv6 address.
    #[error("'{0}' is not an IPv6 address, and no name has a colon")]
    NotIpv6(String),
    /// Not one host's address.
    #[error("'{0}' cannot be probed: it is {1}")]
    NotProbeable(String, &'static str),
}

/// Why an address is not that of one host; `None` where it may be.
pub fn not_probeable(ip: IpAddr) -> Option<&'static str> {
    match ip {
        _ if ip.is_unspecified() => Some("the unspecified address"),
        _ if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

impl std::str::FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        let (ip, zone) = match text.split_once('%') {
            Some((ip, zone)) => match ip.parse::<Ipv6Addr>() {
                Ok(_) if !zone.is_empty() && !is_zone(zone) => return Err(HostError::ZoneName(text.to_owned())),
                Ok(ip) if !zone.is_empty() => (Some(ip.into()), Some(zone.to_owned())),
                _ => return Err(HostError::Zone(text.to_owned())),
            },
            None => (text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()), None),
        };
        match ip {
            Some(ip) => match not_probeable(ip) {
                Some(why) => Err(HostError::NotProbeable(text.to_owned(), why)),
                None => Ok(Self::Literal { ip, zone }),
            },
            None if text.contains(':') => Err(HostError::NotIpv6(text.to_owned())),
            None => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// Whether an interface, or its number, can be called that: what the kernel takes for a name.
pub fn is_zone(text: &str) -> bool {
    let graphic = text.bytes().all(|b| !b.is_ascii_whitespace() && !b.is_ascii_control() && !b"/:%]".contains(&b));
    graphic && (1..libc::IFNAMSIZ).contains(&text.len())
}

/// The host and the port of HOST, HOST:PORT, \[IPV6\]:PORT or a bare IPv6 address; `None` where a bracket lacks its partner.
pub fn split_port(word: &str) -> Option<(&str, Option<&str>)> {
    match word.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (host, "") => Some((host, None)),
            (host, after) => Some((host, Some(after.strip_prefix(':')?))),
        },
        None if word.matches(':').count() == 1 => word.split_once(':').map(|(host, port)| (host, Some(port))),
        None => Some((word, None)),
    }
}

/// The kernel's number of the interface that a zone means; zones may be numbers themselves.
pub fn zone_index(zone: &str) -> Option<u32> {
    if_nametoindex(zone).ok().or_else(|| zone.parse().ok().filter(|n| *n > 0))
}

/// An address with the number of its zone, 0 for none.
pub fn socket_address(ip: IpAddr, zone: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(ip) => SocketAddr::from((ip, 0)),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, 0, 0, zone).into(),
    }
}

/// What a look-up came to: the first address in the order of `getaddrinfo`, or why there is none.
pub type Found = Result<SocketAddr, String>;

/// Look-ups under way at once; more wait. Each may keep a thread for as long as the resolver likes.
const AT_ONCE: usize = 128;

/// Generous to modules of the name service; only what is touched is ever memory.
const STACK: usize = 512 * 1024;

/// Look-ups under way, by the number of their target.
#[derive(Debug)]
pub struct Lookups {
    results: Receiver<(usize, Found)>,
    sender: Sender<(usize, Found)>,
    wake: PipeReader,
    waker: Arc<PipeWriter>,
    /// Waiting or running.
    under_way: HashSet<usize>,
    running: usize,
    waiting: VecDeque<(usize, String)>,
}

impl Lookups {
    /// None under way. It costs two descriptors.
    pub fn new() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        let (sender, results) = channel();
        let waker = Arc::new(waker);
        Ok(Self { results, sender, wake, waker, under_way: HashSet::new(), running: 0, waiting: VecDeque::new() })
    }

    /// Looks a name up. Where a look-up of that target is still stuck, its result will do: threads must not pile up.
    pub fn start(&mut self, target: usize, name: &str) {
        if self.under_way.insert(target) {
            self.waiting.push_back((target, name.to_owned()));
            self.fill();
        }
    }

    fn fill(&mut self) {
        while self.running < AT_ONCE {
            let Some((target, name)) = self.waiting.pop_front() else { break };
            self.running += 1;
            let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
            let report = move |found| {
                // Both fail only when the main thread has ended, and then nobody wants to know.
                let _ = sender.send((target, found));
                let _ = (&*waker).write(&[0]);
            };
            let sender = self.sender.clone();
            let thread = std::thread::Builder::new().name("lookup".to_owned()).stack_size(STACK);
            if let Err(e) = thread.spawn(move || report(look_up(&name))) {
                let _ = sender.send((target, Err(format!("no thread for the look-up: {e}"))));
                let _ = (&*self.waker).write(&[0]);
            }
        }
    }

    /// The results that have arrived.
    pub fn finished(&mut self) -> Vec<(usize, Found)> {
        let mut found = Vec::new();
        while let Ok(result) = self.results.try_recv() {
            self.under_way.remove(&result.0);
            self.running -= 1;
            found.push(result);
        }
        self.fill();
        found
    }

    /// Takes the wake-up signals off the pipe; only after a wait said that there are some.
    pub fn woken(&mut self) {
        let _ = self.wake.read(&mut [0; AT_ONCE]); // what is left wakes us once more
    }

    /// To wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

fn look_up(name: &str) -> Found {
    let mut found = (name, 0).to_socket_addrs().map_err(|e| e.to_string())?;
    let first = found.next().ok_or_else(|| "the name has no address".to_owned())?;
    let zone = if let SocketAddr::V6(v6) = first { v6.scope_id() } else { 0 };
    Ok(socket_address(first.ip().to_canonical(), zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(ip: &str, zone: Option<&str>) -> Result<Host, HostError> {
        Ok(Host::Literal { ip: ip.parse().unwrap_or_else(|e| panic!("{e}")), zone: zone.map(str::to_owned) })
    }

    #[test]
    fn words_for_hosts() {
        assert_eq!("10.0.0.1".parse(), literal("10.0.0.1", None));
        assert_eq!("::1".parse(), literal("::1", None));
        assert_eq!("::ffff:10.0.0.1".parse(), literal("10.0.0.1", None));
        assert_eq!("fe80::1%eth0".parse(), literal("fe80::1", Some("eth0")));
        assert_eq!("db.example".parse(), Ok(Host::Name("db.example".into())));
        for bad in [
            "",
            "fe80::1%",
            "fe80::1%eth0:",
            "fe80::1%eth0:25",
            "fe80::1%no/such",
            "fe80::1%sixteen.letters.",
            "10.0.0.1%eth0",
            "db%eth0",
            "::zz",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1%lo",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn zones() {
        assert_eq!(zone_index("lo"), if_nametoindex("lo").ok());
        assert_eq!(zone_index("7"), Some(7));
        assert_eq!(zone_index("0"), None);
        assert_eq!(zone_index("no-such-if"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") { let _ = text.parse::<Host>(); }
    }
}
