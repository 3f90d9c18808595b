//! The loop that hears.
