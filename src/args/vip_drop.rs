//! `vip-drop`: remove a service address, and nothing else.

use std::net::IpAddr;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool};
use crate::net::address;

/// Remove a service address from this machine
#[derive(Parser, Clone, Debug)]
#[command(name = "vip-drop", version)]
pub struct VipDrop {
    /// The address; the prefix length matters only where it is here with several
    #[arg(value_name = "ADDR[/PREFIX]", value_parser = address::parse_maybe)]
    pub address: (IpAddr, Option<u8>),
    /// The network interface; matters only where several have it
    #[arg(long, value_name = "IF")]
    pub dev: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for VipDrop {
    const NAME: &'static str = "vip-drop";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Removes exactly that address. The other addresses of its subnet stay: where the kernel would take them along, \
         the interface's promote_secondaries is set first, or the command refuses.",
        "An address that is not there is nothing to do: status 0 with changed false. One that is there several times \
         (on two interfaces, or with two prefix lengths) is refused until it is said which.",
    ],
    statuses: &[(0, "the address is not on this machine, or not there where it was asked about")],
    examples: &[
        ("vip-drop 192.0.2.10", "Remove it, wherever it is."),
        ("vip-drop 192.0.2.10/24 --dev eth0 --dry-run --human", "What would be removed?"),
    ],
    see_also: &["vip-take(8)", "vip-who(8)", "ip-address(8)", "ha-events(7)", "takeover(7)"],
};
