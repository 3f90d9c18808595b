//! `hb-listen`: hear who is alive.

use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use super::cluster::Cluster;
use super::manual::Manual;
use crate::cli::{OutputArgs, Tool, duration};
use crate::heartbeat::media::In;
use crate::heartbeat::membership::judge::NodeState;

/// Hear heartbeats, verify them, and judge who is up, late or dead
#[derive(Parser, Clone, Debug)]
#[command(name = "hb-listen", version)]
pub struct HbListen {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cluster: Cluster,
    /// Hear unicast and broadcast on this port
    #[arg(long, value_name = "[ADDR:]PORT[@IF]", value_parser = In::udp, help_heading = "Media")]
    pub udp: Vec<In>,
    /// Hear this group on an interface
    #[arg(long, value_name = "GROUP[:PORT]@IF", value_parser = In::mcast, help_heading = "Media")]
    pub mcast: Vec<In>,
    /// Hear this serial line
    #[arg(long, value_name = "DEV[@BAUD]", value_parser = In::serial, help_heading = "Media")]
    pub serial: Vec<In>,
    /// The other nodes; without any, whoever has a key counts
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = super::node_name, help_heading = "Judging")]
    pub peers: Vec<String>,
    /// Silence that means death, of nodes that do not announce their own [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = "Judging")]
    pub deadtime: Option<Duration>,
    /// Silence that is worth a word [default: half the deadtime in force]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = "Judging")]
    pub warntime: Option<Duration>,
    /// How long a node has at first to be heard [default: twice --deadtime]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, help_heading = "Judging")]
    pub initdead: Option<Duration>,
    /// End with status 0 once this is so: unknown, up, late, dead or left
    #[arg(long, value_name = "STATE:NODE", help_heading = "Judging")]
    pub until: Option<Until>,
    /// End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse_positive, help_heading = "Judging")]
    pub span: Option<Duration>,
    /// Print a reply to a node that starts, too: this one holds nothing
    #[arg(long)]
    pub standby: bool,
    /// Print every heartbeat, not only those that change something
    #[arg(long)]
    pub beats: bool,
    /// Print how regularly each node beats on each medium, this often [default with --human: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub pulse: Option<Duration>,
    /// Print a tick this often
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub tick: Option<Duration>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// A state of a node, to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    /// The state.
    pub state: NodeState,
    /// The node.
    pub node: String,
}

impl FromStr for Until {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let states = [NodeState::Unknown, NodeState::Up, NodeState::Late, NodeState::Dead, NodeState::Left];
        let (state, node) = text.split_once(':').ok_or("STATE:NODE is wanted, as in dead:ha2")?;
        let state = states.into_iter().find(|s| s.name() == state);
        let state = state.ok_or("the state is one of unknown, up, late, dead and left, as in dead:ha2")?;
        Ok(Self { state, node: super::node_name(node)? })
    }
}

impl Tool for HbListen {
    const NAME: &'static str = "hb-listen";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Hears the messages of Linux-HA heartbeat 3 and of hb-send on any number of media at once, verifies them, and judges each \
         node but this one by its silence. A message counts once, on whichever medium it comes first; its copies show that the other media \
         carry. At least one medium has to be named, here or in ha.cf.",
        "A node is up when its heartbeats come, late after --warntime without one, and dead after its deadtime without one on any \
         medium: the one that it announces, else --deadtime. It has left when it said so. A node of --peers that is never heard is \
         dead after --initdead. A link, a node on one medium, is dead after the same silence there.",
        "If this command itself did not run for half a deadtime (a loaded or paused machine), or the kernel had no room for what \
         came, it says so (stalled), reads what lies there, and counts silence from then on only. One silence has the benefit of \
         that doubt once; another stall in it is overloaded, and puts nothing off.",
        "Where this command cannot hear, nobody is dead: while every medium that ever carried a node has failed on this machine (its \
         interface is gone or down, the device was pulled out), the node becomes unknown instead, and has a whole deadtime once \
         one of them works again. An interface without a carrier does not excuse silence: a direct cable loses it when the \
         machine at the other end does. The medium events tell the one from the other.",
        "Nothing is looked at before its digest is verified, under any key of authkeys, so that keys can be changed node by node \
         without a gap. A generation that is over, and a number that came before, are refused as replays; with --state-dir also \
         after a restart of this command (the file is at most ten seconds behind the numbers, and never behind a generation). A \
         message that everybody missed is asked for again. What is refused is told at once the first time, then counted.",
        "Replies are printed, not sent: acknowledgements, requests for lost messages, node lists, what hb-send has to send again. \
         hb-send - does what they ask. A real heartbeat pauses its clients when 250 messages are not acknowledged, and waits for \
         ever for its node list; so a standby needs both commands. Name all nodes with --peers where there are real ones: a node \
         that is missing in the list they are sent is removed.",
        "Others may share a serial line: it is opened without a lock. Name a pseudo-terminal by a link of your own.",
    ],
    statuses: &[
        (0, "ended by a signal; with --until, it happened; with --for, the time is over"),
        (1, "with --until and --for: it did not happen"),
        (69, "another process listens for this node with the same --state-dir"),
        (
            75,
            "with --until and --for: it could not be told, the node was never heard or could not be; or nobody reads the answer",
        ),
        (77, "authkeys, or the folder for state, may not be read or written"),
        (78, "ha.cf, authkeys or the state on disk are wrong, or others could have read or written them"),
    ],
    examples: &[
        ("hb-listen --human --udp 694", "Look at a live cluster: who beats on which medium, how regularly."),
        (
            "hb-listen --human --beats --serial /dev/ttyS0",
            "One end of the null-modem test; hb-send --serial /dev/ttyS0 --count 3 is the other. Nothing heard: the cable, or the \
             speed. Noise: the speed.",
        ),
        (
            "hb-listen --udp 694 --peers ha1 --until dead:ha1 --fields node,is,cause && vip-take 192.0.2.10/24 eth0",
            "Wait for the death of a node.",
        ),
        (
            "hb-listen --ha-d /etc/ha.d --fields event,node,was,is | while read -r event node was is; do …; done",
            "Follow the cluster of ha.cf from a shell script.",
        ),
        (
            "hb-listen --ha-d /etc/ha.d --standby | hb-send --ha-d /etc/ha.d -",
            "A whole silent peer of a real heartbeat.",
        ),
    ],
    see_also: &["hb-send(8)", "ha-conf(1)", "ha-events(7)", "takeover(7)"],
};
