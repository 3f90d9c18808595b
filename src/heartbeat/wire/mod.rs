//! The bytes of one heartbeat message: the two forms, authentication, compression, and framing on a serial line.
//!
//! Pure: bytes in, values out. Nothing here knows a socket, a clock or a file.

pub mod message;
