//! `garp`: announce an address.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::manual::Manual;
use crate::cli::{Failure, OutputArgs, Tool, duration};
use crate::net::address;
use crate::net::arp;
use crate::net::frames::To;
use crate::net::mac::Mac;

/// Announce an address by gratuitous ARP or neighbour advertisement
#[derive(Parser, Clone, Debug)]
#[command(name = "garp", version)]
pub struct Garp {
    /// The address to announce
    #[arg(value_name = "ADDR", value_parser = address::parse_ip)]
    pub address: IpAddr,
    /// The network interface to announce it on
    #[arg(long, value_name = "IF")]
    pub dev: String,
    /// How many announcements
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// Between them
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse_positive)]
    pub every: Duration,
    /// Which forms of a gratuitous ARP (IPv4)
    #[arg(long, value_name = "FORM", default_value = "both")]
    pub form: Forms,
    /// Tell only this neighbour: for gear that ignores broadcast
    #[arg(long, value_name = "MAC[@IP]", value_parser = neighbour)]
    pub to: Option<Neighbour>,
    /// Announce it as being at this hardware address, another machine's
    #[arg(long, value_name = "MAC", value_parser = unicast)]
    pub mac: Option<Mac>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// The forms to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Forms {
    /// Both of them
    Both,
    /// An ARP request for the own address
    Request,
    /// An ARP reply that nobody asked for
    Reply,
}

/// One neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    mac: Mac,
    ip: Option<IpAddr>,
}

fn unicast(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|e: crate::net::mac::MacError| e.to_string())?;
    if mac.is_unicast() { Ok(mac) } else { Err(format!("{mac} is not one machine's hardware address")) }
}

fn neighbour(text: &str) -> Result<Neighbour, String> {
    let (mac, ip) = text.split_once('@').map_or((text, None), |(mac, ip)| (mac, Some(ip)));
    let ip = ip.map(|ip| address::parse_ip(ip).map_err(|e| e.to_string())).transpose()?;
    Ok(Neighbour { mac: unicast(mac)?, ip })
}

impl Garp {
    /// To whom.
    pub fn to(&self) -> Result<To, Failure> {
        match self.to {
            None => Ok(To::Everybody),
            Some(Neighbour { ip: Some(ip), .. }) if ip.is_ipv4() != self.address.is_ipv4() => Err(Failure::usage(
                format!("{ip} and {} are of different families", self.address),
                "--to MAC@IP takes an address of the family that is announced",
            )),
            Some(Neighbour { mac, ip }) => Ok(To::Neighbour(mac, ip)),
        }
    }

    /// Which forms.
    pub fn forms(&self) -> Result<&'static [arp::Form], Failure> {
        match self.form {
            Forms::Both => Ok(crate::vip::announce::BOTH),
            _ if self.address.is_ipv6() => {
                Err(Failure::usage("an IPv6 advertisement has one form only", "leave out --form"))
            }
            Forms::Request => Ok(&[arp::Form::Request]),
            Forms::Reply => Ok(&[arp::Form::Reply]),
        }
    }
}

impl Tool for Garp {
    const NAME: &'static str = "garp";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Tells the neighbours on a link where an address is, so that their caches do not lead them to where it was. Sends \
         a gratuitous ARP in both forms: some gear believes only a request, some only a reply. For IPv6 it is one \
         unsolicited neighbour advertisement to all nodes.",
        "The address has to be on this interface, unless --mac names whose it is. Frames leave with the interface's own \
         hardware address as their Ethernet source in either case, so that no switch learns a wrong port.",
        "One announcement may get lost; vip-take(8) repeats its own over several seconds.",
    ],
    statuses: &[(69, "no such interface, no carrier, or the address is not on it and --mac is not given")],
    examples: &[
        ("garp 192.0.2.10 --dev eth0 --count 5", "Announce it five times, a second apart."),
        ("garp 192.0.2.10 --dev eth0 --to 02:00:00:00:00:fe@192.0.2.1", "Tell a router that ignores broadcast ARP."),
        (
            "garp 192.0.2.10 --dev eth0 --mac 02:00:00:00:00:01",
            "Send clients back to the primary, which took the address back in silence.",
        ),
    ],
    see_also: &["vip-take(8)", "vip-who(8)", "arping(8)", "ha-events(7)", "takeover(7)"],
};
