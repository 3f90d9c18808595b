//! `lvs-sync`: make the kernel's load balancer what stdin says.

use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool, duration};
use crate::lvs::table::Key;

/// Make services of the kernel's load balancer what stdin says
#[derive(Parser, Clone, Debug)]
#[command(name = "lvs-sync", version)]
pub struct LvsSync {
    /// Read what is wanted from stdin; without it nothing is
    #[arg(value_name = "-", value_parser = dash, required_unless_present = "own")]
    pub input: Option<String>,
    /// Delete this service where it is not among what is wanted; may be repeated
    #[arg(long, value_name = "SERVICE")]
    pub own: Vec<Key>,
    /// Make each line as it comes, until stdin ends
    #[arg(long, requires = "input", conflicts_with_all = ["dry_run", "own"])]
    pub follow: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The longest that one call of ipvsadm may take
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse_positive)]
    pub timeout: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for LvsSync {
    const NAME: &'static str = "lvs-sync";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

fn dash(text: &str) -> Result<String, String> {
    if text == "-" { Ok(text.to_owned()) } else { Err("services come from stdin: write -".to_owned()) }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "The load balancer is IPVS, the Linux Virtual Server. Each line of stdin is a JSON object, a virtual service as it should be: service, which is \
         tcp://192.0.2.10:80, udp://[2001:db8::10]:53, sctp://192.0.2.10:9, fwmark://1 (what the packet filter has marked) \
         or fwmark6://1; scheduler (wlc where none is given) and scheduler_flags, a list; persistent_s, the seconds for which a \
         client stays with its server, and with it netmask and engine; ops (each datagram is a connection); and servers, a list.",
        "A server has address (192.0.2.1:80); forward, which is gate, masq or ipip; weight, which is 1 where none is given, 0 \
         for one that takes no new clients, and null for one that keeps the weight that it has; add, which is false for one that is \
         changed only where it is there; and lower and upper, thresholds of connections. Other fields are passed over.",
        "The table is read through ipvsadm(8), the smallest set of changes is made, and the table is read again: what is \
         reported is so. Within a service new servers come before others go, and more weight comes before less; a server \
         that stays is never taken out, and changes in its place, with its connections.",
        "A server of a service on stdin that is not on its line goes. A service that is not on stdin is not touched, whoever \
         made it, unless --own names it.",
        "Where a change fails, no further one is made to that service; the others are finished.",
        "With --follow each line is made as it comes, and an outcome or an error tells how that ended; of several lines that wait \
         for one service the last counts. A change is made at once, by the table as it was read last: then the table is read, \
         and what is missing is made by that.",
    ],
    statuses: &[
        (0, "everything is as wanted, if need be after changes; --follow: stdin has ended, or a signal came"),
        (69, "no ipvsadm, a kernel without IPVS or without that scheduler"),
        (75, "ipvsadm refused a change, or somebody changed the table meanwhile"),
    ],
    examples: &[
        (
            "echo '{\"service\":\"tcp://192.0.2.10:80\",\"scheduler\":\"wrr\",\"servers\":[{\"address\":\"10.0.0.1:80\",\
             \"forward\":\"gate\",\"weight\":1}]}' | lvs-sync --human -",
            "One service with one server.",
        ),
        (
            "ha-conf ldirectord /etc/ha.d/www.cf --wanted states | lvs-sync --dry-run --human -",
            "What would change, by a configuration of ldirectord and the states of its servers?",
        ),
        ("lvs-sync --own tcp://192.0.2.10:80", "The service goes, and its servers with it."),
    ],
    see_also: &["director(8)", "ha-conf(1)", "ipvsadm(8)", "ha-events(7)", "takeover(7)"],
};
