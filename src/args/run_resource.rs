//! `run-resource`: start, stop and ask resources.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::manual::Manual;
use crate::cli::exit::ExitStyle;
use crate::cli::{Failure, OutputArgs, Tool, duration};
use crate::config;

/// Start, stop or ask the resources of a cluster, in their order
#[derive(Parser, Clone, Debug)]
#[command(name = "run-resource", version)]
pub struct RunResource {
    /// What to do with them
    #[arg(value_name = "ACTION")]
    pub action: Verb,
    /// Resources as haresources has them, or - for groups as ha-conf prints them on stdin; for list, classes
    #[arg(value_name = "SPEC")]
    pub specs: Vec<String>,
    /// The folder of the cluster, with resource.d
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_DIR)]
    pub ha_d: PathBuf,
    /// How long one run of an agent may take [default: 60s to start or stop, 20s to ask]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub timeout: Option<Duration>,
    /// An agent that was told to end because of that is killed after this time
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub kill_after: Duration,
    /// How often to try a stop again that failed
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub stop_retries: u32,
    /// Between those
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub retry_every: Duration,
    /// Where one does not start, leave those running that were started before it
    #[arg(long)]
    pub keep: bool,
    /// Ask only, and say what would be done
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    /// Start what does not run, from left to right
    Start,
    /// Stop, from right to left
    Stop,
    /// Ask each whether it runs
    Status,
    /// The same as somebody asks who does so again and again: OCF agents then complain where they should run
    Monitor,
    /// Stop all of them, then start all of them
    Restart,
    /// What their agents say of themselves
    Metadata,
    /// Which agents can be found
    List,
}

impl Verb {
    /// Whether it is to change anything.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Start | Self::Stop | Self::Restart)
    }
}

impl RunResource {
    /// Refuses exit statuses that would say of a stop that failed that nothing runs.
    ///
    /// # Errors
    /// For `--exit-style lsb-status` where something is to be changed.
    pub fn check_style(&self) -> Result<(), Failure> {
        if self.action.changes() && self.output.exit_style == ExitStyle::LsbStatus {
            let message = "--exit-style lsb-status is for status and monitor: 3 would say that nothing runs";
            return Err(Failure::usage(message, "use --exit-style lsb-action"));
        }
        Ok(())
    }

    /// How long a start or a stop may take.
    pub fn acting(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// How long a question may take.
    pub fn asking(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(20))
    }
}

impl Tool for RunResource {
    const NAME: &'static str = "run-resource";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
    /// Where something is to be changed, a failure must not read as "not running".
    fn exit_style(&self) -> ExitStyle {
        match self.output.exit_style {
            ExitStyle::Ocf if self.action.changes() => ExitStyle::OcfAction,
            ExitStyle::LsbStatus if self.action.changes() => ExitStyle::Native, // it is refused
            style => style,
        }
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "A resource is written as in haresources: 192.0.2.10, 192.0.2.10/24/eth0 and 2001:db8::10/64 are addresses \
         (IPaddr, IPv6addr), NAME or NAME::ARGUMENT::ARGUMENT a script, ocf:PROVIDER:AGENT::NAME=VALUE an OCF agent, \
         lsb:NAME a script of /etc/init.d, systemd:UNIT a unit. `-` reads groups from stdin, as ha-conf(1) prints them.",
        "start goes from left to right: each one is asked first, and started only if it does not run. One that has failed \
         is stopped before it is started. Where one does not start, it and what this call has started are stopped again \
         in reverse, unless --keep is given; what ran before stays. Where nobody can tell whether one runs, it is not \
         started. stop goes from right to left, and stops what is off, too: an agent knows best what to tidy up. A stop \
         that fails is tried again --stop-retries times, one that took all of its time once; then everything ends there: nothing is called stopped that is \
         not known to be, and what stands to the left of it, which it may be using, is left alone. restart stops all and \
         starts all. What is named twice is refused.",
        "Each resource is running, stopped, failed or unknown. An agent that ran out of time, was killed or could not be run \
         has said nothing: unknown, and never taken for stopped. Heartbeat's scripts answer a status in words on stdout, \
         whatever their exit status: `not` and `running` mean stopped, else `running` or OK means running, anything else \
         stopped, as heartbeat itself has it. But ERROR means failed, and silence or a usage line unknown: such a script knows \
         no status, and is started by start as heartbeat starts it. Where a script of this kind refuses its stop to the last, its \
         status is believed if it says in so many words that it is stopped or not running, or ends with 3 or 7: old scripts \
         cannot stop what is off. LSB: 0 running, 1 and 2 failed, 3 \
         stopped; a usage line instead, unknown as above. OCF: 0, 8, 190 and 191 running, 1 and 9 failed, 7 stopped. systemd: ActiveState. Everything else is unknown.",
        "An agent is looked for in resource.d under --ha-d, in /etc/init.d, in the resource.d that is installed with this \
         command (the environment variable TAKEOVER_RESOURCE_D names another), and, for a name without arguments, among the \
         OCF agents of heartbeat (under OCF_ROOT, default /usr/lib/ocf) and the units of systemd; a plain name found in \
         /etc/init.d is asked for words, as heartbeat does, lsb:NAME for its status. A script is refused if anybody but root \
         and the calling user could have written it or a folder on its path; so nobody else can exchange it before it is \
         run, either. What a script reads in its turn is its own affair.",
        "An agent runs in a session of its own in the root folder, without stdin, with what its class expects in the \
         environment: HA_DIR, HA_FUNCS and the others of heartbeat's shellfuncs, or OCF_ROOT, OCF_RESKEY_NAME, \
         OCF_RESOURCE_INSTANCE and so on. Of the caller's, OCF_CHECK_LEVEL is handed on, and no other OCF_*, no LD_*, BASH_ENV \
         or ENV. status asks an OCF agent once (a probe), monitor \
         as somebody who asks every ten seconds. At its deadline an agent gets SIGTERM, and SIGKILL --kill-after later, with \
         everything that it has started, wherever that went; so it is with what an agent leaves that was killed by others. An \
         agent that ends by itself leaves its daemons alone. A daemon \
         that keeps the output of its start open is no reason to wait; a process of this name then stays with it and \
         reads, so that it does not die of a closed pipe.",
        "SIGTERM, SIGINT and SIGHUP end the running agent in the same way; nothing is undone, the outcome tells what runs, and \
         the command dies of the signal. An agent does not outlive a command that was killed. A closed stdout stops a start, \
         which is undone unless --keep is given, and does not stop a stop or a restart.",
        "Only one call at a time starts or stops a resource, however an address is written: it waits for another one within \
         its --timeout, and then names it and ends with 75. The locks are in /run/takeover/resources, for users without \
         privileges in takeover/resources below XDG_RUNTIME_DIR; the environment variable TAKEOVER_LOCKS names another \
         folder. Nothing is run where /proc is missing or that of another pid namespace: what an agent leaves behind could \
         not be ended.",
        "These are installed in share/takeover/resource.d, each with --help: IPaddr, IPaddr2 and IPv6addr (by vip-take, asking \
         the link for 2.5 ms first: TAKEOVER_PROBE sets another time), Filesystem (fs-claim, fs-release), drbddisk, apache, \
         LVM, SendArp, MailTo and Delay. They answer a real heartbeat as well: link them into /etc/ha.d/resource.d.",
        "Of Debian 12 these were tried without a change. resource-agents 4.12: Dummy, Stateful, Delay, IPaddr2, SendArp, Route, \
         symlink, anything, Filesystem, apache; with their programs missing (and so refused, in known states) also MailTo, \
         portblock, iface-bridge, LVM-activate. Scripts of heartbeat 3.0.6: IPaddr2, Filesystem, SendArp.",
    ],
    statuses: &[
        (0, "all of them run, are started or stopped; for list, there are agents"),
        (
            1,
            "status: all are known, and one does not run; start: one does not start, and nothing of it is left, unless --keep is \
             given; stop: one says that it does not stop",
        ),
        (69, "there is no such agent, or no /proc of this pid namespace; before anything was started"),
        (
            75,
            "of one nobody can tell whether it runs: its agent could not be run, or a start that took all of its time was to be \
             kept; or a start that failed could not be undone",
        ),
        (77, "an agent may not be executed"),
        (78, "an agent could have been written by others, or what was read from stdin is an error"),
    ],
    examples: &[
        (
            "run-resource start 192.0.2.10/24/eth0 apache",
            "Take an address, then start the server; stop what was started if it fails.",
        ),
        ("run-resource stop 192.0.2.10/24/eth0 apache", "The server first, then the address."),
        (
            "run-resource status --human 192.0.2.10 ocf:heartbeat:Filesystem::device=/dev/sdb1::directory=/data::fstype=ext4",
            "What runs here?",
        ),
        (
            "ha-conf haresources | run-resource --dry-run start -",
            "What would be started on this node if it took everything?",
        ),
        ("run-resource list ocf --fields resource", "The OCF agents that can be found."),
        ("run-resource metadata ocf:heartbeat:IPaddr2 --human", "The parameters of one."),
    ],
    see_also: &["ha-conf(1)", "vip-take(8)", "vip-drop(8)", "ha-events(7)", "takeover(7)"],
};
