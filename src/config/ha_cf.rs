//! ha.cf: the nodes, the times, and the media in the order of their lines.
//!
//! Order matters: `udpport` and `baud` are in force from their line on. Of a directive that stands twice the last one
//! counts, as in heartbeat 3.0.6. Every directive that it knows is either used or accepted and ignored, with the reason.

mod directives;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Parsed;
use super::text::{Problems, lines};
use crate::cli::duration;

/// The registered port of heartbeat.
pub const UDP_PORT: u16 = 694;

/// Bits a second on a serial line, unless `baud` says otherwise.
pub const BAUD: u32 = 19200;

/// The speeds that heartbeat knows.
pub const BAUDS: &[u32] = &[9600, 19200, 38400, 57600, 115_200, 230_400, 460_800];

/// The most nodes of a cluster, and the most hosts that it pings.
pub const MOST_NODES: usize = 1000;

/// The most media.
pub const MOST_MEDIA: usize = 64;

/// A cable, or what stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// UDP to the broadcast address of an interface.
    Bcast {
        /// The interface.
        dev: String,
        /// The UDP port.
        port: u16,
    },
    /// UDP to one host.
    Ucast {
        /// The interface.
        dev: String,
        /// The host: an address, or a name that has to be looked up.
        host: String,
        /// The UDP port.
        port: u16,
    },
    /// UDP to one host over IPv6.
    Ucast6 {
        /// The interface, also the zone of a link-local address.
        dev: String,
        /// The host.
        host: Ipv6Addr,
        /// The UDP port.
        port: u16,
    },
    /// UDP to a group.
    Mcast {
        /// The interface.
        dev: String,
        /// The group.
        group: Ipv4Addr,
        /// The UDP port.
        port: u16,
        /// Routers that a packet may pass, 0 to 255; 1 stays on the link.
        ttl: u8,
        /// Whether this machine hears its own packets.
        looped: bool,
    },
    /// UDP to a group over IPv6.
    Mcast6 {
        /// The interface.
        dev: String,
        /// The group.
        group: Ipv6Addr,
        /// The UDP port.
        port: u16,
        /// Routers that a packet may pass, 0 to 4; 1 stays on the link.
        hops: u8,
        /// Whether this machine hears its own packets.
        looped: bool,
    },
    /// A serial line.
    Serial {
        /// The device.
        path: PathBuf,
        /// Bits a second, one of [`BAUDS`].
        baud: u32,
    },
}

/// Hosts of which one is enough, under a name that stands for them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingGroup {
    /// The name of the group.
    pub name: String,
    /// The hosts.
    pub hosts: Vec<String>,
}

/// The form of the messages that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// `msgfmt classic`: an inner authentication too.
    Classic,
    /// `msgfmt netstring`.
    Netstring,
}

/// How large messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `compression zlib`.
    Zlib,
    /// `compression bz2`.
    Bz2,
}

/// Whether resources go back to their preferred node when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoFailback {
    /// They do.
    On,
    /// They stay.
    Off,
    /// They do, without asking their holder; the manner of the first releases.
    Legacy,
}

/// Whether nodes that are not listed may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autojoin {
    /// None may.
    None,
    /// Any but this node.
    Other,
    /// Any.
    Any,
}

/// A program that runs beside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The user that it runs as.
    pub user: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// Who may talk to the cluster under a client's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAuth {
    /// The client.
    pub client: String,
    /// Users, as written.
    pub uids: Vec<String>,
    /// Groups, as written.
    pub gids: Vec<String>,
}

/// A fencing device, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stonith {
    /// The node that reaches it, or `*`; none for `stonith TYPE FILE`, which all nodes have.
    pub host: Option<String>,
    /// The type of device.
    pub kind: String,
    /// What the device needs; it may hold a password.
    pub parameters: Vec<String>,
}

/// A directive that is accepted and does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its line.
    pub line: u32,
    /// Its name.
    pub directive: String,
    /// Why nothing comes of it.
    pub reason: &'static str,
}

/// The content of the file, with heartbeat's defaults for what it leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaCf {
    /// The nodes in lower case, in the order of their lines, none twice.
    pub nodes: Vec<String>,
    /// Between two heartbeats.
    pub keepalive: Duration,
    /// A node that is silent for so long is dead.
    pub deadtime: Duration,
    /// A heartbeat that comes later is worth a warning. Half the deadtime, unless it is given.
    pub warntime: Duration,
    /// The first deadtime after a start. Twice the deadtime, unless it is given.
    pub initdead: Duration,
    /// The deadtime of ping nodes. The deadtime, unless it is given.
    pub deadping: Duration,
    /// The longest pause before a lost message is asked for again.
    pub max_rexmit_delay: Duration,
    /// The UDP port in force at the end of the file; each medium has its own.
    pub udpport: u16,
    /// The speed in force at the end of the file; each serial line has its own.
    pub baud: u32,
    /// The media in the order of their lines.
    pub media: Vec<Medium>,
    /// Hosts that are pinged, each for itself.
    pub ping: Vec<String>,
    /// Hosts that are pinged as groups.
    pub ping_groups: Vec<PingGroup>,
    /// The form of the messages that are sent.
    pub msgfmt: MessageFormat,
    /// How large messages are compressed.
    pub compression: Compression,
    /// From which size on, in KiB.
    pub compression_threshold: u32,
    /// Whether messages are compressed as a whole; else only fields that ask for it.
    pub traditional_compression: bool,
    /// Whether resources go back.
    pub auto_failback: AutoFailback,
    /// Whether unlisted nodes may join.
    pub autojoin: Autojoin,
    /// What `env` sets, in its order: for programs that are started, and our own settings (`TAKEOVER_…`).
    pub env: Vec<(String, String)>,
    /// Programs that are started again when they end, but for status 100.
    pub respawn: Vec<Client>,
    /// Programs whose end is the end of this node.
    pub failfast: Vec<Client>,
    /// Who may talk to the cluster.
    pub apiauth: Vec<ApiAuth>,
    /// Where messages are logged.
    pub logfile: Option<PathBuf>,
    /// Where debug messages are logged.
    pub debugfile: Option<PathBuf>,
    /// The syslog facility; none for `logfacility none`, or where nothing is said.
    pub logfacility: Option<String>,
    /// The watchdog device.
    pub watchdog: Option<PathBuf>,
    /// Fencing devices.
    pub stonith: Vec<Stonith>,
    /// Whether to run with real-time priority.
    pub realtime: bool,
    /// Which one, 1 to 99.
    pub rtprio: Option<u8>,
    /// What is accepted and does nothing.
    pub ignored: Vec<Ignored>,
    /// The last line of each directive.
    pub lines: BTreeMap<String, u32>,
}

impl Default for HaCf {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            keepalive: Duration::from_secs(1),
            deadtime: Duration::from_secs(30),
            warntime: Duration::from_secs(15),
            initdead: Duration::from_secs(60),
            deadping: Duration::from_secs(30),
            max_rexmit_delay: Duration::from_millis(250),
            udpport: UDP_PORT,
            baud: BAUD,
            media: Vec::new(),
            ping: Vec::new(),
            ping_groups: Vec::new(),
            msgfmt: MessageFormat::Classic,
            compression: Compression::Zlib,
            compression_threshold: 2,
            traditional_compression: false,
            auto_failback: AutoFailback::Legacy,
            autojoin: Autojoin::None,
            env: Vec::new(),
            respawn: Vec::new(),
            failfast: Vec::new(),
            apiauth: Vec::new(),
            logfile: None,
            debugfile: None,
            logfacility: None,
            watchdog: None,
            stonith: Vec::new(),
            realtime: true,
            rtprio: None,
            ignored: Vec::new(),
            lines: BTreeMap::new(),
        }
    }
}

impl HaCf {
    /// The line of a directive, the last one where it stands several times.
    pub fn line_of(&self, directive: &str) -> Option<u32> {
        self.lines.get(directive).copied()
    }

    /// What `env` sets a variable to, the last time.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// What was not said follows from what was.
    fn derive(&mut self) {
        let given = |name: &str| self.lines.contains_key(name);
        let (warntime, initdead, deadping) = (given("warntime"), given("initdead"), given("deadping"));
        if !warntime {
            self.warntime = self.deadtime / 2;
        }
        if !initdead {
            self.initdead = self.deadtime.saturating_mul(2);
        }
        if !deadping {
            self.deadping = self.deadtime;
        }
    }
}

/// Reads the text of a ha.cf.
pub fn parse(file: &Path, text: &str) -> Parsed<HaCf> {
    let mut reader = directives::Reader { content: HaCf::default(), problems: Problems::new(file) };
    for (line, raw) in lines(text) {
        let said = raw.split('#').next().unwrap_or_default().trim();
        if said.is_empty() {
            continue;
        }
        let end = said.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(said.len());
        let (name, rest) = said.split_at(end);
        reader.directive(line, name, rest);
    }
    let directives::Reader { mut content, mut problems } = reader;
    content.derive();
    whole(&content, &mut problems);
    Parsed { content, problems: problems.sorted() }
}

/// What no line alone shows.
fn whole(content: &HaCf, problems: &mut Problems) {
    let HaCf { keepalive, deadtime, warntime, initdead, deadping, .. } = *content;
    let line = |names: &[&str]| names.iter().filter_map(|n| content.line_of(n)).max();
    let words = duration::words;
    if deadtime <= keepalive.saturating_mul(2) {
        problems.error(
            line(&["deadtime", "keepalive"]),
            format!("deadtime ({}) is not more than twice keepalive ({})", words(deadtime), words(keepalive)),
            "one lost heartbeat would be a death: deadtime should be at least four times keepalive",
        );
    }
    if initdead < deadtime {
        problems.error(
            line(&["initdead", "deadtime"]),
            format!("initdead ({}) is less than deadtime ({})", words(initdead), words(deadtime)),
            "initdead is the patience after a start: twice the deadtime or more",
        );
    } else if initdead < deadtime.saturating_mul(2) {
        problems.warning(
            line(&["initdead", "deadtime"]),
            format!("initdead ({}) is less than twice deadtime ({})", words(initdead), words(deadtime)),
            "networks need time after a start: twice the deadtime or more",
        );
    }
    if warntime >= deadtime {
        problems.warning(
            line(&["warntime", "deadtime"]),
            format!("warntime ({}) is not less than deadtime ({})", words(warntime), words(deadtime)),
            "a node is then dead before its heartbeat is called late: half the deadtime is usual",
        );
    }
    if deadping <= keepalive {
        problems.error(
            line(&["deadping", "keepalive"]),
            format!("deadping ({}) is not more than keepalive ({})", words(deadping), words(keepalive)),
            "ping nodes are asked once a keepalive: give them several",
        );
    }
    if content.nodes.is_empty() && content.autojoin != Autojoin::Any {
        problems.error(None, "no node is named", "name each node as uname -n does there: node ha1 ha2");
    }
    if content.autojoin != Autojoin::None {
        problems.warning(
            line(&["autojoin"]),
            "nodes that are not listed may join",
            "with haresources heartbeat refuses autojoin: list the nodes and leave it out",
        );
    }
    if content.media.is_empty() {
        problems.error(
            None,
            "there is no medium to send heartbeats on",
            "add one, better two: bcast eth0, ucast eth1 192.0.2.2",
        );
    }
    let last_medium = |names: &[&str]| names.iter().filter_map(|n| content.line_of(n)).max();
    for (setting, media) in [("udpport", &["bcast", "udp", "ucast", "ucast6"][..]), ("baud", &["serial"])] {
        if let (Some(set), Some(medium)) = (content.line_of(setting), last_medium(media))
            && set > medium
        {
            problems.warning(
                set,
                format!("{setting} stands behind every medium that it is meant for, and changes none"),
                format!("move it before them: {setting} is in force from its line on"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
