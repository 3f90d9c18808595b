//! The brain on a table: single situations in [`table`], whole clusters with all that can go wrong in [`simulation`].

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod simulation;
mod table;
