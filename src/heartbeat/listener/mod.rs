//! The hearing side: [`run`] is the loop around the membership, [`keeper`] puts on disk what must outlive it.

pub mod keeper;
pub mod run;
