//! Saying "I am alive" over every cable, and judging the others by their silence, on the wire of Linux-HA heartbeat 3.
//!
//! | module | holds |
//! | --- | --- |
//! | [`wire`] | the bytes of one message: forms, authentication, compression, framing on a serial line |
//! | [`media`] | UDP sockets and serial lines; the only place that does I/O |
//!
//! What is not here: what a node does about it (resources, arbitration).

pub mod media;
pub mod wire;
