//! Services and their servers, as the kernel has them and as `ipvsadm` names them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// A protocol that IPVS balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// All, as they stand in names, and the options of `ipvsadm` for them.
    const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::Tcp, "tcp", "-t"), (Self::Udp, "udp", "-u"), (Self::Sctp, "sctp", "--sctp-service")];

    const fn row(self) -> (Self, &'static str, &'static str) {
        Self::ALL[self as usize]
    }

    /// As it stands in names.
    pub const fn word(self) -> &'static str {
        self.row().1
    }

    /// The protocol of an option of `ipvsadm`.
    pub fn of_option(option: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, _, o)| *o == option).map(|(p, _, _)| *p)
    }
}

/// What tells one virtual service from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Whatever goes to an address and a port.
    Address {
        /// By which protocol.
        protocol: Protocol,
        /// Where to. Port 0 is any port.
        at: SocketAddr,
    },
    /// Whatever the packet filter has marked so.
    Mark {
        /// Not 0.
        mark: u32,
        /// Whether IPv6 is meant, and not IPv4.
        v6: bool,
    },
}

impl Key {
    /// Whether its clients speak IPv6.
    pub fn is_v6(self) -> bool {
        match self {
            Self::Address { at, .. } => at.is_ipv6(),
            Self::Mark { v6, .. } => v6,
        }
    }

    /// As `ipvsadm` is told of it.
    pub fn words(self) -> Vec<String> {
        match self {
            Self::Address { protocol, at } => vec![protocol.row().2.to_owned(), at.to_string()],
            Self::Mark { mark, v6 } => {
                ["-f".to_owned(), mark.to_string()].into_iter().chain(v6.then(|| "-6".to_owned())).collect()
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Address { protocol, at } => write!(f, "{}://{at}", protocol.word()),
            Self::Mark { mark, v6: false } => write!(f, "fwmark://{mark}"),
            Self::Mark { mark, v6: true } => write!(f, "fwmark6://{mark}"),
        }
    }
}

/// Why a word names no service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no service: write tcp://192.0.2.10:80, udp://[2001:db8::10]:53, fwmark://1 or fwmark6://1")]
pub struct KeyError(String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        match scheme {
            "fwmark" | "fwmark6" => {
                let mark = number(rest).filter(|m| *m > 0).ok_or_else(wrong)?;
                Ok(Self::Mark { mark, v6: scheme == "fwmark6" })
            }
            _ => {
                let found = Protocol::ALL.iter().find(|(_, word, _)| *word == scheme);
                let protocol = found.map(|(p, _, _)| *p).ok_or_else(wrong)?;
                Ok(Self::Address { protocol, at: socket(rest).ok_or_else(wrong)? })
            }
        }
    }
}

/// An address with its port and nothing else: no zone, which IPVS does not know.
pub(super) fn socket(text: &str) -> Option<SocketAddr> {
    let at: SocketAddr = text.parse().ok()?;
    // Of IPv6 there are many ways to write one address; of IPv4 there is one.
    (!text.contains('%') && (at.is_ipv6() || at.to_string() == text)).then_some(at)
}

/// A plain number: digits, and nothing else.
pub(super) fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// How packets go to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forward {
    /// As they are, by the server's link-layer address.
    Gate,
    /// With the server's address in the place of ours, both ways.
    Masq,
    /// In a tunnel.
    Ipip,
}

impl Forward {
    const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::Gate, "gate", "-g"), (Self::Masq, "masq", "-m"), (Self::Ipip, "ipip", "-i")];

    /// As configurations name it.
    pub const fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// As `ipvsadm` does.
    pub const fn option(self) -> &'static str {
        Self::ALL[self as usize].2
    }

    /// By its word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w, _)| *w == word).map(|(f, _, _)| *f)
    }

    /// By the option of `ipvsadm`.
    pub fn of_option(option: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, _, o)| *o == option).map(|(f, _, _)| *f)
    }
}

/// Which clients count as one, of a service that keeps them with their server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Netmask {
    /// The bits of an IPv4 address that are looked at.
    V4(Ipv4Addr),
    /// How many bits of an IPv6 address are, 1 to 128.
    V6(u8),
}

impl Netmask {
    /// Each client for itself: what the kernel has where nothing is said.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::V4(Ipv4Addr::BROADCAST) | Self::V6(128))
    }
}

impl fmt::Display for Netmask {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(bits) => bits.fmt(f),
        }
    }
}

impl FromStr for Netmask {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(mask)) => Ok(Self::V4(mask)),
            Ok(IpAddr::V6(_)) => Err(()),
            Err(_) => number(text).filter(|n| (1..=128).contains(n)).map(|n| Self::V6(n as u8)).ok_or(()),
        }
    }
}

/// How a service chooses a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The scheduler, such as `rr` or `wlc`.
    pub scheduler: String,
    /// Its flags, such as `sh-port`.
    pub flags: BTreeSet<String>,
    /// For how many seconds a client stays with its server; none: not at all.
    pub persistent_s: Option<u32>,
    /// Which clients count as one; none: each for itself.
    pub netmask: Option<Netmask>,
    /// What else a client is known by, such as `sip`.
    pub engine: Option<String>,
    /// Whether each datagram is one connection.
    pub ops: bool,
    /// What is set beyond that, in words of `ipvsadm` that we never say.
    pub other: Vec<String>,
}

impl Settings {
    /// With a scheduler and nothing else.
    pub fn new(scheduler: impl Into<String>) -> Self {
        Self {
            scheduler: scheduler.into(),
            flags: BTreeSet::new(),
            persistent_s: None,
            netmask: None,
            engine: None,
            ops: false,
            other: Vec::new(),
        }
    }

    /// As `ipvsadm` is told of them.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["-s".to_owned(), self.scheduler.clone()];
        let mut say = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([option.to_owned(), value]);
            }
        };
        say("-p", self.persistent_s.map(|s| s.to_string()));
        say("-M", self.netmask.map(|m| m.to_string()));
        say("--pe", self.engine.clone());
        say("-b", (!self.flags.is_empty()).then(|| self.flags.iter().cloned().collect::<Vec<_>>().join(",")));
        if self.ops {
            words.push("-o".to_owned());
        }
        words
    }
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is. Port 0 of a server of marked packets is their own.
    pub address: SocketAddr,
    /// How packets go there.
    pub forward: Forward,
    /// Its share; 0 takes no new client.
    pub weight: u32,
    /// Below so many connections one that was full takes new ones again; 0 for three quarters of `upper`.
    pub lower: u32,
    /// With so many connections it takes no new ones; 0 for any number.
    pub upper: u32,
    /// What is set beyond that, as the kind of its tunnel, in words of `ipvsadm` that we never say.
    pub other: Vec<String>,
}

impl Server {
    /// As `ipvsadm` is told of it.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["-r".to_owned(), self.address.to_string(), self.forward.option().to_owned()];
        words.extend(["-w".to_owned(), self.weight.to_string()]);
        for (option, value) in [("-x", self.upper), ("-y", self.lower)] {
            if value > 0 {
                words.extend([option.to_owned(), value.to_string()]);
            }
        }
        words
    }
}

/// A service with its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub key: Key,
    /// How it chooses.
    pub settings: Settings,
    /// From whom. No address stands twice.
    pub servers: Vec<Server>,
}

impl Service {
    /// A server of it.
    pub fn server(&self, address: SocketAddr) -> Option<&Server> {
        self.servers.iter().find(|s| s.address == address)
    }
}

/// All services. No key stands twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub Vec<Service>);

impl Table {
    /// A service.
    pub fn service(&self, key: Key) -> Option<&Service> {
        self.0.iter().find(|s| s.key == key)
    }

    /// The same, to be changed.
    pub fn service_mut(&mut self, key: Key) -> Option<&mut Service> {
        self.0.iter_mut().find(|s| s.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["tcp://10.0.0.100:80", "udp://[2001:db8::1]:53", "sctp://10.0.0.1:0", "fwmark://1", "fwmark6://7"]
        {
            assert_eq!(text.parse::<Key>().map(|k| k.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "tcp:10.0.0.1:80",
            "tcp://10.0.0.1",
            "tcp://2001:db8::1:80",
            "fwmark://0",
            "fwmark://-1",
            "fwmark://+1",
            "http://10.0.0.1:80",
            "tcp://[fe80::1%1]:80",
            "tcp://web:80",
            "tcp://10.0.0.1:65536",
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn words() {
        let of = |text: &str| text.parse::<Key>().map(|k| k.words().join(" "));
        assert_eq!(of("tcp://10.0.0.100:80").as_deref(), Ok("-t 10.0.0.100:80"));
        assert_eq!(of("udp://[2001:db8::1]:53").as_deref(), Ok("-u [2001:db8::1]:53"));
        assert_eq!(of("fwmark6://7").as_deref(), Ok("-f 7 -6"));
        for (word, option) in [("gate", "-g"), ("masq", "-m"), ("ipip", "-i")] {
            let forward = Forward::of_word(word).map(Forward::option);
            assert_eq!(forward, Some(option));
            assert_eq!(Forward::of_option(option).map(Forward::word), Some(word));
        }
    }
}
