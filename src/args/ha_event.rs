//! `ha-event`: one valid event line, for scripts.

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool};

/// Print one valid event line from a name and key=value pairs
#[derive(Parser, Clone, Debug)]
#[command(name = "ha-event", version)]
pub struct HaEvent {
    /// The name of the event: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Its fields; an empty value is null
    #[arg(value_name = "KEY=VALUE")]
    pub pairs: Vec<String>,
    /// Whose event it is
    #[arg(long, value_name = "NAME", default_value = "ha-event")]
    pub tool: String,
    /// Add mono_ms, and seq counting from this number
    #[arg(long, value_name = "N")]
    pub seq: Option<u64>,
    /// The values are as --fields prints them: - is null, and escapes are undone
    #[arg(long)]
    pub from_fields: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for HaEvent {
    const NAME: &'static str = "ha-event";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "A field that ha-events(7) knows keeps its type: a number field takes a number, a boolean true or false, a list \
         words separated by commas, an object JSON. A key that it does not know is a string. Fields of a known event that are not given \
         are null. The line is written in one piece, so that several writers of one file or pipe do not mix.",
        "With --human the words are those of the field cause or message.",
    ],
    statuses: &[],
    examples: &[
        (
            "ha-event --tool my-script blocked address=192.0.2.10 cause='the old primary still answers'",
            "Print an event of your own script.",
        ),
        ("ha-event note cause=\"backup done\" >> /var/log/ha.jsonl", "Add a line to a log of events."),
    ],
    see_also: &["ha-events(7)", "standby-watch(8)", "takeover(7)"],
};
