//! The speaking side: heartbeats on time on every medium, and what stdin orders.
//!
//! [`speaker`] and [`orders`] are pure; [`input`] reads stdin; [`run`] holds the media and the clock.

pub mod orders;
pub mod run;
pub mod speaker;
