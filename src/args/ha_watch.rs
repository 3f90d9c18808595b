//! `ha-watch`: which processes stand still.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool, duration};

/// Say which processes stand still: stopped, frozen, or in a loop
#[derive(Parser, Clone, Debug)]
#[command(name = "ha-watch", version)]
pub struct HaWatch {
    /// A file that begins with the number of a process, or a folder of such files
    #[arg(value_name = "PIDFILE|DIR", required = true)]
    pub places: Vec<PathBuf>,
    /// Look that often; each of the processes has to wake up more often than that
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration::parse_positive)]
    pub every: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for HaWatch {
    const NAME: &'static str = "ha-watch";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Prints an event for a process that has not once waited of its own accord between three looks, and again with each look \
         for as long as that is so; of several the first, as the others may only have waited for that one. It ends none: \
         whoever reads decides. ha-node has its parts watched in this way.",
        "The files are read at each look, and may come and go: one that is missing, that is empty or that names nobody is passed \
         over. A number that another process has got since it was first seen means nobody.",
        "Only the first thread of a process counts. What has nothing to do stands still as well: it is for processes that beat, \
         tick or renew.",
        "It looks until it is told to end, by SIGTERM, SIGINT or SIGHUP.",
    ],
    statuses: &[(0, "it was told to end"), (77, "a file or folder may not be read by this user")],
    examples: &[
        ("ha-watch /run/takeover/parts --human", "Does a part of this node hang?"),
        (
            "ha-watch --every 10s --fields pid /run/mydaemon.pid | while read -r pid; do kill -9 \"$pid\"; done",
            "Kill a daemon that does not wake up any more.",
        ),
    ],
    see_also: &["ha-node(8)", "proc(5)", "ha-events(7)", "takeover(7)"],
};
