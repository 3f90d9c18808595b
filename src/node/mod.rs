//! What a node is made of beside the [`crate::decide::Decider`]: the files and pipes around that, and the watch over its parts.
//!
//! | module | holds |
//! | --- | --- |
//! | [`run`] | the loop: lines in, decisions out |
//! | [`orders`] | the way to hb-send |
//! | [`journal`] | everything that was decided on, kept with a limit |
//! | [`status`] | what is thought now, for whoever asks |
//! | [`rows`] | its lines, as ha-status reads them |
//! | [`stillness`] | who stands still, for ha-watch |

mod journal;
mod orders;
pub mod rows;
pub mod run;
mod status;
pub mod stillness;
