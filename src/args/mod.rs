//! The command lines: one file a command, its flags and the text of its manual page.
//!
//! They live in the library, apart from `src/bin`, so that manual pages and completions are generated from the very
//! definitions that the commands parse.

pub mod cadence;
pub mod garp;
pub mod ha_conf;
pub mod ha_event;
pub mod manual;
pub mod probe_http;
pub mod probe_ping;
pub mod vip_drop;
pub mod vip_take;
pub mod vip_who;
