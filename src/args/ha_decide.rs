//! `ha-decide`: the brain of a node, as a filter.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{Failure, OutputArgs, Tool, duration};
use crate::config;
use crate::config::ha_cf::HaCf;
use crate::decide::cluster::Limits;

/// Decide what a node has to do: events in, actions out, nothing else
#[derive(Parser, Clone, Debug)]
#[command(name = "ha-decide", version)]
pub struct HaDecide {
    /// Where events come from: files, FIFOs, or - for stdin
    #[arg(value_name = "INPUT", default_value = "-")]
    pub inputs: Vec<PathBuf>,
    /// The folder with ha.cf and haresources
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_DIR)]
    pub ha_d: PathBuf,
    /// The name of this node [default: the host name, in lower case]
    #[arg(long, value_name = "NAME", value_parser = super::node_name)]
    pub node: Option<String>,
    /// The kernel's lease of the addresses that nodes hold
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub lease: Option<Duration>,
    /// The longest that giving up a group takes, on any node
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub stop_deadline: Option<Duration>,
    /// The most groups of one node
    #[arg(long, value_name = "N")]
    pub max_groups: Option<usize>,
    /// At the end of the input say of each group where it is and why
    #[arg(long)]
    pub explain: bool,
    /// Write what is for hb-send there, and not on stdout
    #[arg(long, value_name = "FIFO", help_heading = "Files")]
    pub orders: Option<PathBuf>,
    /// Append every event that was decided on, and what was decided
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub journal: Option<PathBuf>,
    /// At so many bytes the journal becomes FILE.1, and a new one begins
    #[arg(long, value_name = "BYTES", default_value = "8388608", help_heading = "Files")]
    pub journal_size: u64,
    /// Keep what is thought now in this file, for ha-status
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub status: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl HaDecide {
    /// The times and limits that no directive has: the command line goes before `env` in ha.cf.
    ///
    /// # Errors
    /// A value in ha.cf that is none.
    pub fn limits(&self, ha_cf: &HaCf) -> Result<Limits, Failure> {
        let wrong = |name: &str, value: &str| {
            Failure::new(
                crate::cli::exit::Fault::Configuration,
                "configuration",
                format!("ha.cf: env {name}={value} is none"),
            )
            .hint("durations such as 2s, and whole numbers")
        };
        let time = |given: Option<Duration>, name: &str, default: Duration| match (given, ha_cf.variable(name)) {
            (Some(given), _) => Ok(given),
            (None, Some(value)) => duration::parse_positive(value).map_err(|_| wrong(name, value)),
            (None, None) => Ok(default),
        };
        let groups = match (self.max_groups, ha_cf.variable("TAKEOVER_MAX_GROUPS")) {
            (Some(given), _) => given,
            (None, Some(value)) => value.parse().map_err(|_| wrong("TAKEOVER_MAX_GROUPS", value))?,
            (None, None) => usize::MAX,
        };
        let default = Limits::default();
        Ok(Limits {
            lease: time(self.lease, "TAKEOVER_LEASE", default.lease)?,
            stop: time(self.stop_deadline, "TAKEOVER_STOP_DEADLINE", default.stop)?,
            groups,
        })
    }
}

impl Tool for HaDecide {
    const NAME: &'static str = "ha-decide";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Reads the events of hb-listen, hb-send, probe-ping and ha-node, one JSON object a line, and prints what the node has to do: \
         acquire and release groups, announce or ask for their addresses, fence a node, exit; send and order are for hb-send. It \
         looks at no clock and touches nothing: time comes with the events. The same input gives the same output, so an \
         incident can be replayed from the journal of a node, and --explain says where each group is and why.",
        "Every heartbeat of a node of ours carries a report (the field tk): which groups it has, starts, stops, could not stop or \
         could not start, and whose reports it has heard. Among nodes that hear each other a group is a lock: it is \
         started once every living node has said that it heard of it and has no claim of its own. Of two nodes that \
         have a group after a network has healed, the one that comes later in the group's order lets go, or the one that did not run for long.",
        "Of two nodes one takes what a dead node had at once, as heartbeat does; where ping nodes are configured, only if one of \
         them has answered since, and a node that reaches neither the other (be it that it left) nor any ping node gives up what it has. Of three \
         nodes and more the majority takes, and not before the dead node had the time to find out and give up (its deadtime, and \
         then the longer of --stop-deadline and --lease with 1.5 s); the minority gives up. A node that somebody else still hears is not dead. \
         Where ha.cf has a fencing device nothing is taken from a dead node before it was fenced. A node that left is not waited for. \
         Ping nodes that neither of two nodes reached while both lived tell nothing: until the other is back, or this node is started \
         anew, nothing is taken.",
        "A node that stood still for half a deadtime doubts what it has. Of three nodes and more it gives that up unless most of the \
         others have answered within two keepalives or more, and if after a deadtime another still hears a node that it does \
         not hear: that one may have taken what it had.",
        "A lasting cut between two of three nodes: ha1 and ha2 do not hear each other, and ha3 hears both. Whoever has a group keeps it. \
         Of a group that nobody has, because its node gave it up or died, ha1 and ha2 start nothing, for either may have it as far as the other \
         can tell, and a report names only what its own node has; ha3, which hears both, starts it if it is one of the group's \
         nodes. One that is for ha1 and ha2 alone stays down until they hear each other again, or one of them dies or leaves (each \
         is then told so by ha3's silence about it). That is chosen: a group that is down is seen and mended, one that runs twice ruins data. ha-status \
         gives the cause: ha3 still hears ha2.",
        "A group goes to the first of its nodes that can have it and has fewer than --max-groups; auto_failback on takes it back to the \
         very first one when that is there again, and steady: each death of a node in ten minutes after the first doubles how long it has to be there. What an \
         operator moved stays. A group that could not be started is tried elsewhere, and here again after 10 s, 20 s, up to 10 min, if \
         nobody else has it. A group that could not be stopped stays with its node, is told as stuck, and stopped again every 30 s: nobody \
         else takes it meanwhile.",
        "One of two nodes may be a real heartbeat 3 (crm no): one that is active without a report. It is spoken to in its own \
         words (starting, resource, ask_resources, hb_takeover). While it lives a group is started only when it says that it does \
         not have it or that it has let it go; no time that passes allows that. To it all groups that prefer a node are one: they \
         move together. What fails here is offered to it once. auto_failback of the node that has the groups decides. Its ipfail is \
         answered as by another ipfail (num_ping_nodes, you_are_dead, abort_giveup): where ping nodes are configured here, the \
         node that reaches more of them for a deadtime has the groups; a real heartbeat without ipfail does not know that rule.",
        "In ha.cf env TAKEOVER_LEASE=2s, env TAKEOVER_STOP_DEADLINE=20s and env TAKEOVER_MAX_GROUPS=2 stand for the flags: the nodes \
         must agree in them, and a real heartbeat does not mind.",
    ],
    statuses: &[
        (0, "the input has ended, or the node has left"),
        (69, "an input could not be read to its end"),
        (70, "stdout did not take all that was decided in the end"),
        (78, "ha.cf or haresources are wrong, or do not fit together"),
    ],
    examples: &[
        (
            "ha-decide --ha-d /etc/ha.d --node ha1 --explain < /var/log/takeover/events.jsonl",
            "Replay what happened on ha1: the same decisions, and why each group is where it is.",
        ),
        ("ha-decide --human --node ha1 < incident.jsonl | grep acquire", "When and why did ha1 take something?"),
    ],
    see_also: &[
        "ha-node(8)",
        "hb-listen(8)",
        "hb-send(8)",
        "run-resource(8)",
        "ha-conf(1)",
        "ha-events(7)",
        "takeover(7)",
    ],
};
