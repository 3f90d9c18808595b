//! Shared storage: who may use it.

pub mod lease;
