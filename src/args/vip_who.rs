//! `vip-who`: who on the link answers for an address.

use std::net::IpAddr;
use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool, duration};
use crate::net::address;

/// Ask on the link who answers for an address
#[derive(Parser, Clone, Debug)]
#[command(name = "vip-who", version)]
pub struct VipWho {
    /// The address, without a prefix length
    #[arg(value_name = "ADDR", value_parser = address::parse_ip)]
    pub address: IpAddr,
    /// The network interface to ask on
    #[arg(long, value_name = "IF")]
    pub dev: String,
    /// How long to listen, three questions spread over it
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = duration::parse_positive)]
    pub timeout: Duration,
    /// End at the first answer
    #[arg(long)]
    pub first: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for VipWho {
    const NAME: &'static str = "vip-who";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Sends three ARP probes as RFC 5227 describes them, or neighbour solicitations for IPv6. They name no sender \
         address, so they enter nobody's cache and disturb nobody. Everybody who answers or otherwise claims the \
         address within --timeout is listed with its hardware address; two of them are an address conflict. With --first \
         the first answer ends it.",
        "An address of this machine itself is status 0 with mine true, whether or not somebody else answers too. \
         Silence means \"nobody\" only on an interface that is up and has a carrier.",
    ],
    statuses: &[
        (0, "somebody has it, or this machine itself"),
        (1, "nobody answers"),
        (69, "no such interface, no carrier: nothing can be said"),
    ],
    examples: &[
        ("vip-who 192.0.2.10 --dev eth0 --human", "Who has the address?"),
        ("vip-who 192.0.2.10 --dev eth0; [ $? = 1 ] && echo free", "Is it free for certain?"),
        ("vip-who 192.0.2.10 --dev eth0 --fields macs", "Print only the hardware addresses."),
    ],
    see_also: &["vip-take(8)", "garp(8)", "arping(8)", "ha-events(7)", "takeover(7)"],
};
