//! `ha-status`: who is up, which group is where, and why.

use std::path::PathBuf;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool};
use crate::node::rows;

/// Print who is up, which group is where, and why
#[derive(Parser, Clone, Debug)]
#[command(name = "ha-status", version)]
pub struct HaStatus {
    /// The folder of the running node
    #[arg(long, value_name = "DIR", default_value = rows::RUN_DIR)]
    pub run_dir: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for HaStatus {
    const NAME: &'static str = "ha-status";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Prints one event for each node, one for each group, and one for each of the last orders of operators, as ha-decide \
         thinks of them now. It asks nobody: it reads the file status under --run-dir, which ha-decide keeps as long as it \
         runs, and whose lines are the same events.",
        "A group that is starting, stopping, stopped, stuck or failed does not run. One of which nothing is known yet, or \
         whose node may be dead or not, is unknown, and then there is no answer.",
        "With --exit-style nagios the first line is a summary in words, whatever the format of the others.",
        "A node that is killed leaves its file behind: so the process whose number stands in the file pid has to be there, \
         and to be an ha-node.",
    ],
    statuses: &[
        (0, "all groups run, here or elsewhere"),
        (1, "there are groups that definitely do not run"),
        (69, "no node runs here"),
        (75, "of some group it is not known whether it runs"),
        (77, "the files of the node may not be read by this user"),
    ],
    examples: &[
        ("ha-status --human", "Who is up, and what runs where?"),
        ("ha-status --fields event,group,node,is | grep ^group-status", "The groups and their places, for a shell."),
        ("ha-status --human --exit-style nagios", "As a check of a monitoring system."),
        ("ha-status; [ $? = 1 ] && mail -s 'down' root </dev/null", "Act on a definite no alone."),
    ],
    see_also: &["ha-standby(8)", "cl_status(1)", "ha-decide(1)", "ha-node(8)", "ha-events(7)", "takeover(7)"],
};
