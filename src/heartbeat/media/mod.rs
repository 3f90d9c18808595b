//! UDP sockets and serial lines: bytes in and out, each medium with a state of its own.
//!
//! | module | holds |
//! | --- | --- |
//! | [`spec`] | what a command line says of a medium, and its name |
//! | [`outlet`] | one medium that is sent on |
//! | `configured` | the media of ha.cf as these |
//! | [`inlet`] | one medium that is heard on |
//! | `sharing` | who else listens there |
//!
//! Nothing here blocks, waits or looks at a clock: descriptors and deadlines are handed out to the loop that does. What
//! the bytes mean is not known here either.

mod configured;
pub mod inlet;
pub mod outlet;
mod serial;
mod sharing;
pub mod spec;
mod state;
mod udp;

pub use inlet::{Inlet, Packet, Source};
pub use outlet::Outlet;
pub use serial::Rank;
pub use spec::{In, Out, SpecError};
pub use state::Change;

#[cfg(test)]
mod tests;
