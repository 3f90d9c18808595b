//! The media as they are written: on a command line, and back as the name of a medium in events.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use nix::libc;

use crate::probe::lookup::{Host, HostError};

/// The port of heartbeat, where none is given.
pub const PORT: u16 = 694;
/// The speed of a serial line, where none is given.
pub const BAUD: u32 = 19_200;
/// How many routers a multicast may pass, where nothing is said: none.
pub const TTL: u8 = 1;

/// A medium to send on. Written with its kind in front (`ucast:10.0.0.2:694`, `bcast:eth0:694`,
/// `mcast:[ff02::694]:694@eth0`, `serial:/dev/ttyS0@19200`), which is also its name; the kinds have parsers of their own
/// for options that say the kind already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// To one host.
    Ucast {
        /// Its name or address; an IPv6 one without brackets, a link-local one with its zone (`fe80::1%eth0`).
        host: String,
        /// The port there.
        port: u16,
        /// The interface that everything has to leave by, whatever the routes say.
        dev: Option<String>,
    },
    /// To every host on the link of an interface, by 255.255.255.255.
    Bcast {
        /// The interface.
        dev: String,
        /// The port there.
        port: u16,
    },
    /// To the members of a group on the link of an interface.
    Mcast {
        /// The group.
        group: IpAddr,
        /// The port there.
        port: u16,
        /// The interface.
        dev: String,
        /// How many hops it may go, from 1; not part of the name.
        ttl: u8,
        /// Whether members on this machine hear it too; not part of the name.
        loopback: bool,
    },
    /// Along a serial line.
    Serial {
        /// The device.
        path: PathBuf,
        /// Its speed.
        baud: u32,
    },
}

/// A medium to hear on. Written with its kind in front (`udp:694@eth0`, `udp:[::1]:694`, `mcast:239.0.0.1:694@eth0`,
/// `serial:/dev/ttyS0@19200`), which is also its name; the kinds have parsers of their own, as for [`Out`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum In {
    /// Unicast and, without an address, broadcast.
    Udp {
        /// Only what is sent to this address; `None` for all of them, of IPv4 and IPv6.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
        /// Only what comes in by this interface.
        dev: Option<String>,
    },
    /// What is sent to a group.
    Mcast {
        /// The group.
        group: IpAddr,
        /// The port.
        port: u16,
        /// The interface on which the group is joined.
        dev: String,
    },
    /// A serial line.
    Serial {
        /// The device.
        path: PathBuf,
        /// Its speed.
        baud: u32,
    },
}

/// Why a text is no medium.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No kind in front that is one.
    #[error("'{0}' is no medium: it begins with one of {1}")]
    Kind(String, &'static str),
    /// Something has to be there.
    #[error("'{text}' lacks {what}, as in {example}")]
    Lacks {
        /// What was given.
        text: String,
        /// What is not there.
        what: &'static str,
        /// One that is right.
        example: &'static str,
    },
    /// No port.
    #[error("'{0}' is no UDP port: 1 to 65535")]
    Port(String),
    /// No speed.
    #[error("'{0}' is no speed in baud, as 19200 is")]
    Baud(String),
    /// Not what an interface may be called.
    #[error("'{0}' cannot be the name of an interface")]
    Interface(String),
    /// A group that is none.
    #[error("'{0}' is no multicast group: 224.0.0.0/4 or ff00::/8")]
    Group(String),
    /// No address.
    #[error("'{0}' is not an address of this machine's; an IPv6 one stands in brackets")]
    Address(String),
    /// One of many, where one host is meant.
    #[error("'{0}' is not one host's address: multicast and broadcast are media of their own")]
    NotOneHost(String),
    /// No host.
    #[error(transparent)]
    Host(#[from] HostError),
}

type Result<T> = std::result::Result<T, SpecError>;

impl Out {
    /// Reads `HOST[:PORT][@IF]`; an IPv6 address bare, or in brackets where a port follows.
    pub fn ucast(text: &str) -> Result<Self> {
        let (rest, dev) = interface(text)?;
        let (host, port) = host_port(rest)?;
        match host.parse::<Host>() {
            Err(HostError::NotProbeable(..)) => return Err(SpecError::NotOneHost(host.to_owned())),
            other => other?,
        };
        Ok(Self::Ucast { host: host.to_owned(), port, dev })
    }

    /// Reads `IF[:PORT]`.
    pub fn bcast(text: &str) -> Result<Self> {
        let (dev, port) = match text.rsplit_once(':') {
            Some((dev, port)) => (dev, self::port(port)?),
            None => (text, PORT),
        };
        Ok(Self::Bcast { dev: named(dev)?, port })
    }

    /// Reads `GROUP[:PORT]@IF`; with a TTL of 1, and not heard on this machine.
    pub fn mcast(text: &str) -> Result<Self> {
        let (group, port, dev) = group(text)?;
        Ok(Self::Mcast { group, port, dev, ttl: TTL, loopback: false })
    }

    /// Reads `DEV[@BAUD]`.
    pub fn serial(text: &str) -> Result<Self> {
        line(text).map(|(path, baud)| Self::Serial { path, baud })
    }
}

impl In {
    /// Reads `[ADDR:]PORT[@IF]`; an IPv6 address stands in brackets.
    pub fn udp(text: &str) -> Result<Self> {
        let (rest, dev) = interface(text)?;
        let Some((address, port)) = rest.rsplit_once(':') else {
            return Ok(Self::Udp { address: None, port: self::port(rest)?, dev });
        };
        let v6 = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        let read = match v6 {
            Some(v6) => v6.parse::<Ipv6Addr>().ok().map(|ip| IpAddr::from(ip).to_canonical()),
            None => address.parse().ok().filter(IpAddr::is_ipv4),
        };
        match read {
            Some(ip) if ip.is_multicast() => Err(SpecError::NotOneHost(address.to_owned())),
            Some(ip) => Ok(Self::Udp { address: Some(ip), port: self::port(port)?, dev }),
            None => Err(SpecError::Address(rest.to_owned())),
        }
    }

    /// Reads `GROUP[:PORT]@IF`.
    pub fn mcast(text: &str) -> Result<Self> {
        let (group, port, dev) = group(text)?;
        Ok(Self::Mcast { group, port, dev })
    }

    /// Reads `DEV[@BAUD]`.
    pub fn serial(text: &str) -> Result<Self> {
        line(text).map(|(path, baud)| Self::Serial { path, baud })
    }
}

impl FromStr for Out {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("ucast", rest)) => Self::ucast(rest),
            Some(("bcast", rest)) => Self::bcast(rest),
            Some(("mcast", rest)) => Self::mcast(rest),
            Some(("serial", rest)) => Self::serial(rest),
            _ => Err(SpecError::Kind(text.to_owned(), "ucast:, bcast:, mcast: and serial:")),
        }
    }
}

impl FromStr for In {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("udp", rest)) => Self::udp(rest),
            Some(("mcast", rest)) => Self::mcast(rest),
            Some(("serial", rest)) => Self::serial(rest),
            _ => Err(SpecError::Kind(text.to_owned(), "udp:, mcast: and serial:")),
        }
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ucast { host, port, dev } => {
                write!(f, "ucast:{}:{port}{}", bracketed(host), At(dev.as_deref()))
            }
            Self::Bcast { dev, port } => write!(f, "bcast:{dev}:{port}"),
            Self::Mcast { group, port, dev, .. } => {
                write!(f, "mcast:{}:{port}@{dev}", bracketed(&group.to_string()))
            }
            Self::Serial { path, baud } => write!(f, "serial:{}@{baud}", path.display()),
        }
    }
}

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { address: Some(ip), port, dev } => {
                write!(f, "udp:{}:{port}{}", bracketed(&ip.to_string()), At(dev.as_deref()))
            }
            Self::Udp { address: None, port, dev } => write!(f, "udp:{port}{}", At(dev.as_deref())),
            Self::Mcast { group, port, dev } => write!(f, "mcast:{}:{port}@{dev}", bracketed(&group.to_string())),
            Self::Serial { path, baud } => write!(f, "serial:{}@{baud}", path.display()),
        }
    }
}

/// An interface at the end of a name, where there is one.
struct At<'a>(Option<&'a str>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |dev| write!(f, "@{dev}"))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// What stands before `@IF`, and the interface.
fn interface(text: &str) -> Result<(&str, Option<String>)> {
    match text.rsplit_once('@') {
        Some((rest, dev)) => Ok((rest, Some(named(dev)?))),
        None => Ok((text, None)),
    }
}

/// The kernel's rules for names of interfaces.
fn named(dev: &str) -> Result<String> {
    let odd = |c: char| c == '/' || c == ':' || c == '@' || c.is_whitespace() || c.is_control();
    if dev.is_empty() || dev.len() >= libc::IFNAMSIZ || dev == "." || dev == ".." || dev.contains(odd) {
        return Err(SpecError::Interface(dev.to_owned()));
    }
    Ok(dev.to_owned())
}

fn port(text: &str) -> Result<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port != 0);
    port.ok_or_else(|| SpecError::Port(text.to_owned()))
}

/// Takes `HOST[:PORT]` apart; several colons without brackets are an IPv6 address alone.
fn host_port(text: &str) -> Result<(&str, u16)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or_else(|| HostError::NotIpv6(text.to_owned()))?,
        None => match text.split_once(':') {
            Some((_, more)) if more.contains(':') => (text, ""),
            Some((host, _)) => (host, &text[host.len()..]),
            None => (text, ""),
        },
    };
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, self::port(port)?)),
        None if rest.is_empty() => Ok((host, PORT)),
        None => Err(SpecError::Port(rest.to_owned())),
    }
}

fn group(text: &str) -> Result<(IpAddr, u16, String)> {
    let (rest, dev) = interface(text)?;
    let example = "239.0.0.1:694@eth0";
    let dev = dev.ok_or_else(|| SpecError::Lacks { text: text.to_owned(), what: "the interface", example })?;
    let (group, port) = host_port(rest)?;
    let read = group.parse().ok().filter(IpAddr::is_multicast);
    Ok((read.ok_or_else(|| SpecError::Group(group.to_owned()))?, port, dev))
}

/// Takes `DEV[@BAUD]` apart. An `@` that belongs to the device's own name has to be followed by one with the speed.
fn line(text: &str) -> Result<(PathBuf, u32)> {
    let (path, baud) = match text.rsplit_once('@').filter(|(_, baud)| !baud.contains('/')) {
        Some((path, baud)) => {
            let digits = baud.bytes().all(|b| b.is_ascii_digit());
            let read = baud.parse().ok().filter(|baud| digits && *baud > 0);
            (path, read.ok_or_else(|| SpecError::Baud(baud.to_owned()))?)
        }
        None => (text, BAUD),
    };
    if path.is_empty() {
        let example = "/dev/ttyS0@19200";
        return Err(SpecError::Lacks { text: text.to_owned(), what: "the device", example });
    }
    Ok((path.into(), baud))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ucast(host: &str, port: u16, dev: Option<&str>) -> Result<Out> {
        Ok(Out::Ucast { host: host.into(), port, dev: dev.map(Into::into) })
    }

    fn udp(address: Option<&str>, port: u16, dev: Option<&str>) -> Result<In> {
        Ok(In::Udp { address: address.map(ip), port, dev: dev.map(Into::into) })
    }

    #[test]
    fn one_host() {
        assert_eq!(Out::ucast("10.0.0.2"), ucast("10.0.0.2", 694, None));
        assert_eq!(Out::ucast("10.0.0.2:1694@eth0"), ucast("10.0.0.2", 1694, Some("eth0")));
        assert_eq!(Out::ucast("db.example:1"), ucast("db.example", 1, None));
        assert_eq!(Out::ucast("2001:db8::1"), ucast("2001:db8::1", 694, None));
        assert_eq!(Out::ucast("[2001:db8::1]"), ucast("2001:db8::1", 694, None));
        assert_eq!(Out::ucast("[fe80::1%eth0]:7@eth0"), ucast("fe80::1%eth0", 7, Some("eth0")));
        for bad in ["", ":694", "a:", "a:0", "a:65536", "a:+1", "[::1", "[::1]x", "[::1]694", "a@", "a@eth0/1", "::1::"]
        {
            assert!(Out::ucast(bad).is_err(), "{bad}");
        }
        assert_eq!(Out::ucast("239.0.0.1"), Err(SpecError::NotOneHost("239.0.0.1".into())));
        assert_eq!(Out::ucast("255.255.255.255"), Err(SpecError::NotOneHost("255.255.255.255".into())));
    }

    #[test]
    fn links_and_groups() {
        assert_eq!(Out::bcast("eth0"), Ok(Out::Bcast { dev: "eth0".into(), port: 694 }));
        assert_eq!(Out::bcast("br-1.5:7"), Ok(Out::Bcast { dev: "br-1.5".into(), port: 7 }));
        for bad in ["", ":694", "eth0:", "eth0:x", "averyveryverylongname", "..", "a b"] {
            assert!(Out::bcast(bad).is_err(), "{bad}");
        }
        let (group, dev) = (ip("ff02::694"), "eth0".to_owned());
        let out = Out::Mcast { group, port: 7, dev: dev.clone(), ttl: 1, loopback: false };
        assert_eq!(Out::mcast("[ff02::694]:7@eth0"), Ok(out));
        assert_eq!(In::mcast("ff02::694@eth0"), Ok(In::Mcast { group, port: 694, dev: dev.clone() }));
        assert_eq!(In::mcast("239.0.0.1@eth0"), Ok(In::Mcast { group: ip("239.0.0.1"), port: 694, dev }));
        assert_eq!(In::mcast("10.0.0.1@eth0"), Err(SpecError::Group("10.0.0.1".into())));
        assert!(matches!(In::mcast("239.0.0.1:694"), Err(SpecError::Lacks { what: "the interface", .. })));
    }

    #[test]
    fn where_to_hear() {
        assert_eq!(In::udp("694"), udp(None, 694, None));
        assert_eq!(In::udp("694@eth0"), udp(None, 694, Some("eth0")));
        assert_eq!(In::udp("10.0.0.1:694"), udp(Some("10.0.0.1"), 694, None));
        assert_eq!(In::udp("[::1]:7@lo"), udp(Some("::1"), 7, Some("lo")));
        for bad in ["", "10.0.0.1", "::1:694", "[10.0.0.1]:694", "host:694", "239.0.0.1:694", "[::1]", "694@", "0"] {
            assert!(In::udp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines() {
        let line = |path: &str, baud| Ok(Out::Serial { path: path.into(), baud });
        assert_eq!(Out::serial("/dev/ttyS0"), line("/dev/ttyS0", 19_200));
        assert_eq!(Out::serial("/dev/ttyS0@115200"), line("/dev/ttyS0", 115_200));
        assert_eq!(Out::serial("/dev/a@b/c"), line("/dev/a@b/c", 19_200));
        assert_eq!(Out::serial("/dev/a@b@9600"), line("/dev/a@b", 9600));
        for bad in ["", "@9600", "/dev/ttyS0@", "/dev/ttyS0@fast", "/dev/ttyS0@0", "/dev/ttyS0@-1"] {
            assert!(Out::serial(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_kinds() {
        assert!(matches!("eth0".parse::<Out>(), Err(SpecError::Kind(..))));
        assert!(matches!("ucast:10.0.0.1".parse::<In>(), Err(SpecError::Kind(..))));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(ucast:|bcast:|mcast:|serial:|udp:)?[\\[\\]:@%./a-f0-9é]{0,30}") {
            // What is a medium has a name, and the name is that medium.
            if let Ok(out) = text.parse::<Out>() { prop_assert_eq!(out.to_string().parse(), Ok(out)); }
            if let Ok(medium) = text.parse::<In>() { prop_assert_eq!(medium.to_string().parse(), Ok(medium)); }
        }
    }
}
