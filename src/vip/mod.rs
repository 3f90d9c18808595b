//! The service address: asking who has it, taking it, holding it, announcing it, giving it up.
//!
//! [`detection`], [`take`] and [`holder`] decide and touch nothing; [`ask`], [`acquire`], [`announce`], [`hold`] and
//! [`control`] are their edges.

pub mod acquire;
pub mod announce;
pub mod ask;
pub mod control;
pub mod detection;
pub mod hold;
pub mod holder;
pub mod take;
