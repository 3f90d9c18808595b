//! `probe-exec`: what do these check commands say?

use std::ffi::OsString;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::cadence::Cadence;
use super::manual::Manual;
use super::probing::timeout;
use crate::cli::{OutputArgs, Tool};

/// Run check commands, and judge by their exit statuses
#[derive(Parser, Clone, Debug)]
#[command(name = "probe-exec", version)]
pub struct ProbeExec {
    /// - reads checks from stdin, a JSON object a line
    #[arg(value_name = "-", value_parser = stdin, required_unless_present = "command")]
    pub input: Option<Stdin>,
    /// The check, with its arguments
    #[arg(value_name = "COMMAND", last = true, conflicts_with = "input")]
    pub command: Vec<OsString>,
    /// What its exit statuses mean
    #[arg(long, value_name = "STYLE", default_value = "nagios")]
    pub style: Style,
    /// Its name in events [default: its words]
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    pub target: Option<String>,
    /// The longest that one run may take: then it is told to end, and killed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = timeout)]
    pub timeout: Duration,
    /// The most checks that run at a time
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u16).range(1..=900))]
    pub jobs: u16,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cadence: Cadence,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// stdin, asked for by its sign.
#[derive(Clone, Copy, Debug)]
pub struct Stdin;

fn stdin(text: &str) -> Result<Stdin, String> {
    if text == "-" { Ok(Stdin) } else { Err(format!("a command stands behind --, as in: probe-exec -- {text}")) }
}

/// Whose exit statuses a check has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// Monitoring plugin: 0 OK, 1 WARNING (up), 2 CRITICAL, 3 and the rest UNKNOWN
    Nagios,
    /// Monitor of mon: 0 is up, anything else is down
    Mon,
    /// LSB init script asked for its status: 0 runs, 1 to 3 it does not, the rest unknown
    Lsb,
}

impl Tool for ProbeExec {
    const NAME: &'static str = "probe-exec";
    const MONITORS: bool = true;
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Runs each check without a shell, with stdin empty, in a process group of its own. The first line that it prints is the \
         summary, the rest the detail, of which 8 KiB are kept. A monitor of mon is heard on stderr too; what others say there goes to \
         stderr.",
        "A check that could not be run, that ended with 126 or 127, or that somebody killed, tells nothing in any style: not-found, \
         not-executable, not-run, killed. Nor does one that took too long tell a monitoring plugin's or an init script's verdict: \
         the deadline is ours. mon's callers know success and failure alone, and a monitor that hangs is the way in which most of \
         them fail, so there it is down, timeout. If this process itself was not run for half of the time-out, it is stalled, which \
         tells nothing.",
        "At its time-out a check and its process group get SIGTERM, and SIGKILL 1 s later. Whatever it leaves in its group when it ends \
         is killed as well, and so are all checks when probe-exec ends, even if it is killed. A check that hangs in the kernel beyond \
         SIGKILL is not started a second time before it is gone: stuck.",
        "A check on stdin is a JSON object a line: command (or argv: a list of strings; the only one that has to be there), target (its \
         name in events), style, timeout_ms, every_ms (its own period), every_down_ms (its period while it is not up), env (an \
         object), input (a text for its stdin). What it leaves out is as the flags say. All lines are read before the first check \
         runs. A line with every_ms makes a stream of it.",
        "In style mon the environment has MON_LAST_SUMMARY, MON_LAST_OUTPUT, MON_LAST_FAILURE, MON_FIRST_FAILURE and MON_LAST_SUCCESS of \
         the runs before, as mon has it.",
    ],
    statuses: &[
        (0, "all are up; in a stream: --until came true, or without it --for is over or a signal came"),
        (1, "at least one is down, and all could be judged; in a stream: --until did not come true within --for"),
        (75, "at least one could not be judged; a signal came before --until came true"),
    ],
    examples: &[
        ("probe-exec --human -- /usr/lib/nagios/plugins/check_load -w 4 -c 8", "What does this plugin say?"),
        (
            "probe-exec --style mon --every 10s --fields event,target,is,cause -- /usr/lib/mon/mon.d/fping.monitor web1 web2",
            "Watch with a monitor of mon, in columns that a shell reads.",
        ),
        ("probe-exec --style lsb --exit-style nagios -- /etc/init.d/ssh status", "One caller's statuses as another's."),
        ("ha-conf mon /etc/mon/mon.cf --probes | probe-exec -", "All that a mon.cf watches, each at its own interval."),
    ],
    see_also: &["ha-conf(1)", "mon-decide(1)", "probe-tcp(1)", "watch-services(8)", "ha-events(7)", "takeover(7)"],
};
