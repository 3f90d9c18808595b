//! Saying "I am alive" over every cable, and judging the others by their silence, on the wire of Linux-HA heartbeat 3.
//!
//! | module | holds |
//! | --- | --- |
//! | [`wire`] | the bytes of one message: forms, authentication, compression, framing on a serial line |
//! | [`membership`] | who is up, late, dead, left: replays, gaps, silence, answers |
//! | [`sender`] | what a node says, numbered, and again when asked |
//! | [`listener`] | the loop that hears, and tells what the membership finds |
//! | [`media`] | UDP sockets and serial lines |
//! | [`scribe`] | puts on disk what must be, without holding up anybody |
//! | [`settings`] | the command line and ha.cf together |
//! | [`state`] | what must outlive a process: generations, on disk |
//!
//! `wire`, `membership` and the decider of `sender` are pure. What is not here: what a node does about it (resources,
//! arbitration).

pub mod listener;
pub mod media;
pub mod membership;
pub mod scribe;
pub mod sender;
pub mod settings;
pub mod state;
pub mod wire;
