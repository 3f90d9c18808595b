//! `ha-conf`: the files of a cluster as JSON, and what is wrong with them.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool};
use crate::config;
use crate::config::ldirectord::checks::Prober;

/// Print the configuration files of a cluster as JSON, or check them
#[derive(Parser, Clone, Debug)]
#[command(name = "ha-conf", version)]
pub struct HaConf {
    /// What to print
    #[arg(value_name = "WHAT")]
    pub what: What,
    /// The .cf, for ldirectord; the mon.cf, for mon
    #[arg(value_name = "FILE", required_if_eq_any([("what", "ldirectord"), ("what", "mon")]))]
    pub file: Option<PathBuf>,
    /// The folder with ha.cf, authkeys, haresources and resource.d
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_DIR)]
    pub ha_d: PathBuf,
    /// For mon: print the checks as probe-exec takes them on stdin
    #[arg(long)]
    pub probes: bool,
    /// With --probes: before them the event mon-cf, with the settings of the whole file
    #[arg(long, requires = "probes")]
    pub settings: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub ldirectord: LdirectordArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// What to print of a .cf of ldirectord in the place of its content.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Of a .cf of ldirectord")]
pub struct LdirectordArgs {
    /// The processes that its checks need: prober, interval, failures, and how many targets each has
    #[arg(long, conflicts_with_all = ["checks", "wanted", "problems"])]
    pub probers: bool,
    /// The lines of targets for the stdin of this prober
    #[arg(long, value_name = "PROBER", conflicts_with_all = ["wanted", "problems"])]
    pub checks: Option<Prober>,
    /// Of those only the set with this number, as --probers counts
    #[arg(long, value_name = "NUMBER", requires = "checks")]
    pub set: Option<usize>,
    /// The stdin of lvs-sync, by a file of states: lines of TARGET, a tab, and up, down or unknown
    #[arg(long, value_name = "STATES", conflicts_with = "problems")]
    pub wanted: Option<PathBuf>,
    /// Go on with states from stdin, and print each service that changes by them; after an empty line all
    #[arg(long, requires = "wanted")]
    pub follow: bool,
    /// What is wrong with it, as check does for the files of a cluster
    #[arg(long)]
    pub problems: bool,
}

impl LdirectordArgs {
    /// Whether any of them is given.
    pub fn any(&self) -> bool {
        self.probers || self.checks.is_some() || self.wanted.is_some() || self.problems
    }
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// All of the three files, haresources if there is one
    Show,
    /// One line a group: its nodes, the preferred one first, and its resources
    Haresources,
    /// Nodes, times and media, with heartbeat's defaults for what is not given
    HaCf,
    /// The numbers and methods of the keys, never a key
    Authkeys,
    /// What is wrong, each with file, line and what to do
    Check,
    /// A .cf of ldirectord: one line for the whole, one a virtual service
    Ldirectord,
    /// A mon.cf: its problems, and one line a service
    Mon,
}

impl Tool for HaConf {
    const NAME: &'static str = "ha-conf";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Reads the files of Linux-HA heartbeat 3. Whatever is printed may direct root elsewhere: so nothing of a file is \
         printed that has an error, or that anybody but root and the user that asks could have written. Every folder on \
         its path, through symbolic links too, has to belong to one of the two and must not be writable by group or \
         others; /tmp and its like are fine where the next component belongs to one of them. Nobody else may read \
         authkeys. The message names the component and the command that mends it.",
        "check looks at every file that it can read, whatever its mode, and stops at nothing. An error is what heartbeat \
         refuses, or what has no clear meaning; a warning is what works and should be mended all the same; a note is what \
         should be known, and changes nothing in the status. Beside the \
         grammar of each file it finds groups on nodes that are not in the cluster, two groups with one name, deadtime \
         not over twice keepalive, initdead under twice deadtime, agents that are missing, may not be executed or could \
         have been written by others, keys that are mere checksums, serial lines of which heartbeats would fill more than \
         half, fencing devices whose program or file others could have written, and, in a cluster of three nodes or more, groups that one node alone may have. A note is that two nodes \
         have neither ping nodes nor fencing: when all media fail at once both take everything. Directives of ha.cf that do nothing here are no \
         problem: the field `ignored` of the event ha-cf lists them with the reason.",
        "An agent is looked for in resource.d under --ha-d, in /etc/init.d, in the resource.d that is installed with this \
         command (the environment variable TAKEOVER_RESOURCE_D names another), and, for a name without arguments, among \
         the OCF agents of heartbeat (under OCF_ROOT, default /usr/lib/ocf) and the units of systemd.",
        "Beyond heartbeat's own grammar the first word of a line of haresources may list candidates in order, as \
         ha1,ha3,ha4; resources may name their class, as ocf:heartbeat:IPaddr2::ip=192.0.2.10, lsb:httpd or \
         systemd:nginx; an IPv6 address alone is IPv6addr; and authkeys may have the method sha256.",
        "Of ldirectord every directive is read. What its checks come to with our probers is in director(8). Directives that do \
         nothing are listed in the field `ignored` with the reason. Host names are looked for in /etc/hosts alone, names of \
         ports in /etc/services. Times may have units beside whole seconds, as checkinterval = 200ms.",
        "A target of its checks is the virtual service and the server, with a blank between, as in \"tcp:192.0.2.10:80 \
         10.0.0.1:80\". With --wanted a server that is up has its weight; one that is down has the weight 0, or is not there, \
         by quiescent; one that is unknown keeps what it has, and gets nothing if it is not there: so a server has traffic only \
         after its first good check. The fallback serves where all are down. A file in maintenancedir makes a server down. \
         With --follow lines like those of STATES come from stdin as well: services that are other than before are printed anew, \
         and after an empty line all of them, by what is in maintenancedir now.",
        "mon reads the configuration of mon 1.3 (mon(8)), which the second operand names. Problems come first, each as an event with \
         file, line and what to do, then the settings, with what is accepted and does nothing, and one line a service. Monitors and \
         alerts have to be there, in mondir and alertdir or on PATH, and must be such that nobody else could have written them. With \
         --probes it prints what probe-exec is to run, and problems go to stderr.",
    ],
    statuses: &[
        (0, "printed; for check, nothing is wrong, though there may be notes"),
        (1, "check: there are problems, if only warnings"),
        (77, "a file may not be read by this user"),
        (78, "a file is missing or unreadable; but for check, it has an error, or others could have written it"),
    ],
    examples: &[
        ("ha-conf check --human", "Is anything wrong with the cluster in /etc/ha.d?"),
        ("ha-conf --ha-d /etc/ha.d haresources", "The groups, as run-resource takes them."),
        ("ha-conf ha-cf --fields settings.deadtime_ms,nodes", "One setting and the nodes, for a shell."),
        ("ha-conf ldirectord /etc/ha.d/www.cf --problems --human", "Is anything wrong with that .cf of ldirectord?"),
        ("ha-conf ldirectord www.cf --checks probe-http | probe-http --every 10s -", "Check the servers of a .cf."),
        (
            "ha-conf ldirectord www.cf --wanted states --follow <changes | lvs-sync --follow -",
            "The table follows the states that are written into changes.",
        ),
        ("ha-conf mon /etc/mon/mon.cf --human", "Is this mon.cf right, and what does it watch?"),
        ("ha-conf authkeys --human", "Which key signs, and which are accepted beside it?"),
    ],
    see_also: &[
        "director(8)",
        "lvs-sync(8)",
        "watch-services(8)",
        "ha.cf(5)",
        "authkeys(5)",
        "probe-exec(1)",
        "mon-decide(1)",
        "ha-events(7)",
        "takeover(7)",
    ],
};
