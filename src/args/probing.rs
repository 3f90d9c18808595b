//! The flags that all probes over the network share.

use std::path::PathBuf;
use std::time::Duration;

use super::cadence::Cadence;
use crate::cli::{OutputArgs, duration};
use crate::probe::within;

/// `--interface`, `--timeout`, how often, and how it is told. Another default of `--timeout` is set with `mut_arg`.
#[derive(clap::Args, Clone, Debug)]
pub struct Probing {
    /// Leave by this interface; without a carrier on it nothing can be told
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
    /// The longest that one probe may take, from the look-up of the name to its end
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = timeout)]
    pub timeout: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cadence: Cadence,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// Whose certificates are good.
#[derive(clap::Args, Clone, Debug)]
pub struct Trust {
    /// Trust the authorities in this file of PEM certificates, in place of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,
    /// Take any certificate
    #[arg(long)]
    pub insecure: bool,
}

/// What a bare host stands for where a URL is expected: mon gives its monitors nothing else.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Hosts {
    /// The port of targets that are bare hosts
    #[arg(long, short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The path, and the query, of targets that are bare hosts [default: /]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Ask bare hosts over TLS
    #[arg(long)]
    pub tls: bool,
}

impl Hosts {
    /// Whether anything is said of bare hosts.
    pub fn any(&self) -> bool {
        self.port.is_some() || self.path.is_some() || self.tls
    }
}

/// A time-out of a probe.
///
/// # Errors
/// Words for whoever gave it.
pub fn timeout(text: &str) -> Result<Duration, String> {
    within(duration::parse_positive(text).map_err(|e| e.to_string())?)
}
