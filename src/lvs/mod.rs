//! The load balancer of the kernel (IPVS): what it has, what it is to have, and the smallest way from one to the other.
//!
//! | module | holds |
//! | --- | --- |
//! | [`table`] | services and their servers, as the kernel has them |
//! | [`saved`] | that table as `ipvsadm` prints it |
//! | [`wanted`] | what stands on stdin: the services as they should be |
//! | [`diff`] | the changes between the two, in an order that takes no traffic from anybody needlessly |
//! | [`report`] | changes as events |
//! | [`ipvsadm`] | the edge: asking and changing |
//! | [`keeper`] | making the table what is wanted, and asking again |
//!
//! All but the last two are pure. Who is up and what follows from it is not decided here.

pub mod diff;
pub mod ipvsadm;
pub mod keeper;
pub mod report;
pub mod saved;
pub mod table;
pub mod wanted;
