//! The flags of everything that takes part in a cluster's heartbeats: who we are, with which keys, and where that is kept.

use std::path::PathBuf;

/// `--node`, `--ha-d`, `--authkeys`, `--state-dir`.
#[derive(clap::Args, Clone, Debug)]
pub struct Cluster {
    /// The name of this node [default: the host name, in lower case]
    #[arg(long, value_name = "NAME", value_parser = super::node_name)]
    pub node: Option<String>,
    /// Take nodes, media, times and keys from ha.cf and authkeys here; what else is given goes before them
    #[arg(long, value_name = "DIR")]
    pub ha_d: Option<PathBuf>,
    /// The keys; [default: /etc/ha.d/authkeys]
    #[arg(long, value_name = "FILE")]
    pub authkeys: Option<PathBuf>,
    /// Keep generations and numbers here: a restart is then known as one, and opens no door to a replay
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}
