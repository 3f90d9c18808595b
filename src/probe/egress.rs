//! Our own side of the way to a target: a silence says something about the target only where our interface could have
//! heard it, and nothing is sent where it could not go. The judging is pure; [`Finder`] asks the kernel.

use std::net::IpAddr;

use super::Judgement;
use super::connection::rests_on_silence;
use super::lookup::zone_index;
use crate::net::NetError;
use crate::net::link::{self, Interface};
use crate::net::netlink::Netlink;

/// The interface that a probe would leave this machine by, as far as it could be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Egress {
    /// It has a carrier.
    Clear,
    /// No route leads there.
    NoRoute(IpAddr),
    /// There is no such interface.
    NoInterface(String),
    /// The interface is administratively down.
    Down(String),
    /// The interface has no carrier.
    NoCarrier(String),
    /// The kernel did not say.
    Unknown(String),
}

impl Egress {
    /// The way that begins at this interface.
    pub fn through(interface: &Interface) -> Self {
        match interface {
            Interface { up: false, name, .. } => Self::Down(name.clone()),
            Interface { carrier: false, name, .. } => Self::NoCarrier(name.clone()),
            _ => Self::Clear,
        }
    }

    /// What a probe is worth that had to go this way; `None` where nothing speaks against it.
    pub fn obstacle(&self) -> Option<Judgement> {
        let (reason, cause) = match self {
            Self::Clear => return None,
            Self::NoRoute(ip) => ("no-route", format!("this machine has no route to {ip}: ip route get {ip}")),
            Self::NoInterface(name) => return Some(no_interface(name)),
            Self::Down(name) => ("interface-down", format!("our own interface {name} is down: ip link set {name} up")),
            Self::NoCarrier(name) => {
                ("no-carrier", format!("our own interface {name} has no carrier: check its cable or switch port"))
            }
            Self::Unknown(why) => {
                ("egress-unknown", format!("whether our own interface has a carrier is not known: {why}"))
            }
        };
        Some(Judgement::cannot_tell(reason, cause))
    }
}

fn no_interface(name: &str) -> Judgement {
    Judgement::cannot_tell("no-interface", format!("this machine has no interface {name}: ip link"))
}

/// The number of a zone, or what a probe is worth that has to go there.
///
/// # Errors
/// There is no such interface now.
pub fn zone(name: &str) -> Result<u32, Judgement> {
    zone_index(name).ok_or_else(|| no_interface(name))
}

/// Asks the kernel; its socket is opened when it is first needed.
#[derive(Default)]
pub struct Finder {
    netlink: Option<Netlink>,
}

impl Finder {
    /// What keeps every probe from being sent: the interface that the call names is not there, or carries nothing.
    pub fn before(&mut self, interface: Option<&str>) -> Option<Judgement> {
        self.named(interface?).obstacle()
    }

    /// What a verdict is worth after the probe: one that rests on a silence needs a way on which an answer could have come.
    /// `zone` is the number of the interface that the address names, or 0; `to` is whatever was tried.
    pub fn after(&mut self, judgement: Judgement, interface: Option<&str>, zone: u32, to: &[IpAddr]) -> Judgement {
        match rests_on_silence(&judgement) {
            true => self.way(interface, zone, to).obstacle().unwrap_or(judgement),
            false => judgement,
        }
    }

    /// The way that packets to these addresses take: through the named interface, else that of the zone, else by the routes.
    pub fn way(&mut self, interface: Option<&str>, zone: u32, to: &[IpAddr]) -> Egress {
        match (interface, zone, to) {
            (Some(name), ..) => self.named(name),
            (None, 1.., _) => self.numbered(zone),
            (None, 0, []) => Egress::Unknown("nothing was sent anywhere".to_owned()),
            // One closed way of several is enough to doubt: the silence may have been on that one.
            (None, 0, to) => {
                let mut ways = to.iter().map(|ip| self.routed(*ip));
                ways.find(|way| *way != Egress::Clear).unwrap_or(Egress::Clear)
            }
        }
    }

    /// The interface of that name.
    fn named(&mut self, name: &str) -> Egress {
        self.find(|netlink| link::by_name(netlink, name).map(Some), None)
    }

    /// The interface with that number, as the zone of an IPv6 address names it.
    fn numbered(&mut self, index: u32) -> Egress {
        self.find(|netlink| link::by_index(netlink, index).map(Some), None)
    }

    /// The interface that the routes choose for this destination.
    fn routed(&mut self, to: IpAddr) -> Egress {
        self.find(|netlink| link::egress(netlink, to), Some(to))
    }

    fn find(
        &mut self,
        look: impl FnOnce(&mut Netlink) -> Result<Option<Interface>, NetError>,
        to: Option<IpAddr>,
    ) -> Egress {
        let netlink = match &mut self.netlink {
            Some(open) => open,
            none => match Netlink::open() {
                Ok(opened) => none.insert(opened),
                Err(e) => return Egress::Unknown(e.to_string()),
            },
        };
        match (look(netlink), to) {
            (Ok(Some(interface)), _) => Egress::through(&interface),
            (Ok(None), Some(to)) => Egress::NoRoute(to),
            (Ok(None), None) => Egress::Unknown("the kernel named no interface".to_owned()),
            (Err(NetError::NoInterface(name)), _) => Egress::NoInterface(name),
            (Err(e), _) => Egress::Unknown(e.to_string()),
        }
    }
}
