//! `hb-send`: say that this node is alive.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::cluster::Cluster;
use super::manual::Manual;
use crate::cli::{OutputArgs, Tool, duration};
use crate::heartbeat::media::Out;

/// Send heartbeats and messages over UDP and serial lines
#[derive(Parser, Clone, Debug)]
#[command(name = "hb-send", version)]
pub struct HbSend {
    /// Act on the events on stdin: reply, send and order
    #[arg(value_name = "-", value_parser = ["-"])]
    pub orders: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cluster: Cluster,
    /// Send to this host
    #[arg(long, value_name = "HOST[:PORT]", value_parser = Out::ucast, help_heading = "Media")]
    pub ucast: Vec<Out>,
    /// Broadcast on this interface
    #[arg(long, value_name = "IF[:PORT]", value_parser = Out::bcast, help_heading = "Media")]
    pub bcast: Vec<Out>,
    /// Send to this group on an interface
    #[arg(long, value_name = "GROUP[:PORT]@IF", value_parser = Out::mcast, help_heading = "Media")]
    pub mcast: Vec<Out>,
    /// Send along this serial line
    #[arg(long, value_name = "DEV[@BAUD]", value_parser = Out::serial, help_heading = "Media")]
    pub serial: Vec<Out>,
    /// From one heartbeat to the next [default: 1s, or keepalive]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub every: Option<Duration>,
    /// Announce that this silence of ours means death, up to 24h; else the listeners' own is in force
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub deadtime: Option<Duration>,
    /// The status that heartbeats carry
    #[arg(long, value_name = "STATUS", default_value = "active")]
    pub status: String,
    /// End after so many heartbeats; 0 sends only what stdin asks for
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// How messages are written
    #[arg(long, value_name = "FORM")]
    pub form: Option<Form>,
    /// Ask for real-time priority and locked memory
    #[arg(long)]
    pub realtime: bool,
    /// Print every heartbeat and reply that is sent
    #[arg(long)]
    pub beats: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// How messages are written. Serial lines have the classic form whatever is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// On UDP netstrings with both authentications, as heartbeat 3 with msgfmt classic
    Auto,
    /// Lines, as old releases do
    Classic,
    /// On UDP netstrings without the inner authentication, as msgfmt netstring
    Netstring,
}

impl Tool for HbSend {
    const NAME: &'static str = "hb-send";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Says on every medium, again and again, that this node is alive, in messages that Linux-HA heartbeat 3 understands. \
         Heartbeats leave on time whatever stdin, the reader of stdout or a slow line do. A medium that does not work is an \
         event, is tried again, and holds up no other. At least one medium has to be named, here or in ha.cf.",
        "Every message carries the node's generation, which says how often the node was started, and a number. Listeners \
         refuse an older generation, and a number that they have seen, as replays. A generation is the clock's seconds at \
         the start. With --state-dir it is on disk before the first message leaves, and higher than the last whatever the clock \
         says; without it two starts within one second look like a replay. If this process stood still for longer than its deadtime (where none is \
         announced: 30 s, or three times --every), it goes on under a new generation: the others think it dead, and a real \
         heartbeat that hears a dead node go on restarts itself. That generation goes to disk meanwhile: no disk holds up a \
         beat. What a disk does not take is tried again; that, and a folder that was removed, is an error event.",
        "With - every line of stdin is one event, as another command prints it. reply carries a message to send or first_seq and \
         last_seq of ours to send again, as hb-listen prints it. send carries a message: {\"event\":\"send\",\"message\":{\"t\":\
         \"ask_resources\",\"rsc_hold\":\"all\"}}. order changes the status of the heartbeats, {\"event\":\"order\",\"status\":\
         \"dead\"}, or further fields that they carry, {\"event\":\"order\",\"fields\":{\"name\":\"value\"}}, or sends messages again, \
         {\"event\":\"order\",\"first_seq\":7}. Every other event is left alone, so a listener's whole stream may be piped in. \
         src, srcuuid, seq, hg, ts, ld, ttl and auth are added here. The end of stdin ends no heartbeats, but with --count 0 \
         it ends the command.",
        "The method sha256 in authkeys is an extension that a real heartbeat does not know. crc protects from noise, not from \
         people. Others may share a serial line: it is opened without a lock. Name a pseudo-terminal by a link of your own: \
         the system gives /dev/pts/N to somebody else when it is free.",
        "--realtime needs the right to both (CAP_SYS_NICE, and CAP_IPC_LOCK or a limit that allows it); the event realtime says what \
         was given, and heartbeats go on without it.",
    ],
    statuses: &[
        (0, "the heartbeats of --count were sent, or the command was ended by a signal"),
        (69, "nothing was sent on any medium, or another process speaks for this node from the same --state-dir"),
        (77, "authkeys, or the folder for state, may not be read or written"),
        (78, "ha.cf, authkeys or the state on disk are wrong, or others could have read or written them"),
    ],
    examples: &[
        (
            "hb-send --serial /dev/ttyS0 --count 3 --human --beats",
            "The null-modem test: run hb-listen --serial /dev/ttyS0 --human on the other machine first.",
        ),
        (
            "hb-send --authkeys /etc/ha.d/authkeys --bcast eth0 --serial /dev/ttyS0 --every 200ms --deadtime 1s --state-dir \
             /var/lib/takeover",
            "Two cables, five beats a second.",
        ),
        (
            "hb-listen --ha-d /etc/ha.d --standby | hb-send --ha-d /etc/ha.d -",
            "A whole silent peer: it answers what others ask, and holds nothing.",
        ),
        (
            "echo '{\"event\":\"send\",\"message\":{\"t\":\"ask_resources\",\"rsc_hold\":\"all\",\"info\":\"me\"}}' | hb-send --bcast eth0 \
             --count 0 -",
            "Say one thing and end.",
        ),
    ],
    see_also: &["hb-listen(8)", "ha-conf(1)", "ha-events(7)", "takeover(7)"],
};
