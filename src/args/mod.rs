//! The command lines: one file a command, its flags and the text of its manual page.
//!
//! They live in the library, apart from `src/bin`, so that manual pages and completions are generated from the very
//! definitions that the commands parse.

pub mod cadence;
pub mod cluster;
pub mod fs_claim;
pub mod fs_release;
pub mod garp;
pub mod ha_conf;
pub mod ha_decide;
pub mod ha_event;
pub mod ha_status;
pub mod ha_watch;
pub mod hb_listen;
pub mod hb_send;
pub mod lvs_sync;
pub mod manual;
pub mod mon_decide;
pub mod probe_exec;
pub mod probe_ftp;
pub mod probe_http;
pub mod probe_ping;
pub mod probe_tcp;
pub mod probing;
pub mod run_resource;
pub mod vip_drop;
pub mod vip_take;
pub mod vip_who;

/// The name of a node, in lower case.
///
/// # Errors
/// Words for whoever gave it.
pub fn node_name(name: &str) -> Result<String, String> {
    match crate::heartbeat::membership::is_node_name(name) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err("the name of a node has letters, digits, '.', '-' and '_'".to_owned()),
    }
}
