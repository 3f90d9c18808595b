//! `probe-ping`: which of these hosts answer ICMP echo?

use clap::Parser;

use super::manual::Manual;
use super::probing::Probing;
use crate::cli::{OutputArgs, Tool};

/// Find out which hosts answer ICMP echo, many at once
#[derive(Parser, Clone, Debug)]
#[command(name = "probe-ping", version)]
pub struct ProbePing {
    /// Names or addresses, such as 192.0.2.1, db.example or fe80::1%eth0; - reads JSON lines from stdin
    #[arg(value_name = "HOST", required = true)]
    pub hosts: Vec<String>,
    /// Bytes of payload in an echo, 16 to 65507
    #[arg(long, value_name = "BYTES", default_value = "56", value_parser = clap::value_parser!(u16).range(16..=65507))]
    pub size: u16,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub probing: Probing,
}

impl Tool for ProbePing {
    const NAME: &'static str = "probe-ping";
    const MONITORS: bool = true;
    fn output(&self) -> &OutputArgs {
        &self.probing.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "One probe sends up to three echoes to a host, 200 ms apart or a quarter of --timeout where that is shorter. The \
         first answer ends it. All hosts are probed at once, with one socket for IPv4 and one for IPv6.",
        "A target on stdin is a JSON object a line: host (the only one that has to be there), target (its name in events), \
         timeout_ms. What it leaves out is as the flags say; all lines are read before the first probe.",
        "A host is down when the time runs out without an answer, or when the kernel or a router says that the host is \
         unreachable. It cannot be told where the fault may be ours or somebody else's: the name does not resolve in \
         time, there is no route, a firewall forbids it, the interface is missing or has no carrier, a router knows no way \
         to the network, the kernel has no room to send or had none to receive, or this process did not run for half of \
         --timeout. A silence counts only if the first echo had at least half of --timeout to be answered.",
        "It needs no privilege where the kernel lets the user's group open ping sockets (the sysctl \
         net.ipv4.ping_group_range), else root or the capability cap_net_raw.",
        "With --every it goes on, prints every result and every change of state, and ends with SIGTERM, SIGINT, SIGHUP, --until \
         or --for. Names are looked up anew for each probe.",
    ],
    statuses: &[
        (0, "every host answered; with --until, it happened; with --for, the time is over"),
        (1, "a host is down, and no other that is not up was undecided"),
        (69, "no such interface, as --interface or as the zone of an address"),
        (75, "of a host it could not be told; a signal came before --until happened; or nobody reads the answer"),
        (77, "neither ping sockets nor raw sockets are allowed"),
    ],
    examples: &[
        ("probe-ping 192.0.2.1", "Does the gateway answer? Ask the exit status."),
        ("probe-ping --human --timeout 500ms web1 web2 fe80::1%eth0", "Look at three hosts, in words."),
        (
            "probe-ping --every 1s --fields event,target,is 192.0.2.1 | while read -r event host is; do …; done",
            "Follow a host from a shell script.",
        ),
        ("echo '{\"target\":\"gateway\",\"host\":\"192.0.2.1\"}' | probe-ping -", "Targets from another command."),
        ("probe-ping --until down --every 200ms --for 1m 192.0.2.7", "Wait for a host to go."),
        (
            "probe-ping --exit-style mon 192.0.2.7 192.0.2.8",
            "As a monitor of mon: the first line names the hosts that failed.",
        ),
    ],
    see_also: &["probe-http(1)", "vip-who(8)", "ha-events(7)", "takeover(7)"],
};
