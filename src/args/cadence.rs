//! The flags of everything that judges: how often, how many, how long.

use std::time::Duration;

use crate::cli::duration;
use crate::probe::watch::{Goal, Plan};

/// `--every`, `--fall`, `--rise`, `--until`, `--for`.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Judging")]
pub struct Cadence {
    /// Probe again and again, this often; with --until or --for the default is 1s
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub every: Option<Duration>,
    /// Noes in a row that make a target down [default: 3 with --every, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub fall: Option<u32>,
    /// Yeses in a row that make a target up [default: 2 with --every, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rise: Option<u32>,
    /// End with status 0 once every target is in this state
    #[arg(long, value_name = "STATE")]
    pub until: Option<Goal>,
    /// End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse_positive)]
    pub span: Option<Duration>,
}

impl Cadence {
    /// The plan that the flags make.
    pub fn plan(&self) -> Plan {
        let endless = self.until.is_some() || self.span.is_some();
        let every = self.every.or(endless.then_some(Duration::from_secs(1)));
        Plan {
            every,
            fall: self.fall.unwrap_or(if every.is_some() { 3 } else { 1 }),
            rise: self.rise.unwrap_or(if every.is_some() { 2 } else { 1 }),
            until: self.until,
            span: self.span,
        }
    }
}
