//! The speaking side: heartbeats on time on every medium, and what stdin orders.
//!
//! [`speaker`] and [`orders`] are pure; [`run`] holds the media, the clock and stdin.

pub mod orders;

pub mod speaker;
