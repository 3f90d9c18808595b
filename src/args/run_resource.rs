//! `run-resource`: start, stop and ask resources.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool, duration};
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

impl RunResource {
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
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &["TODO"],
    statuses: &[],
    examples: &[("run-resource status httpd", "Does it run?")],
    see_also: &["ha-conf(1)", "ha-events(7)", "takeover(7)"],
};
