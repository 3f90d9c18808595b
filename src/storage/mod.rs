//! Shared storage: who may use it, mounting it, and giving it back.
//!
//! | module | holds |
//! | --- | --- |
//! | [`claim`] | from what was found to what has to be done; pure |
//! | [`take`] | fs-claim: the claim, the check, the mount |
//! | [`release`] | fs-release: the holders, the unmount, the end of the claim |
//! | [`guard`] | the ways to claim: flock, lease, drbd, scsi-pr |
//! | [`lease`] | a record on shared storage that one node renews |
//! | [`keeper`] | the process that holds a claim for as long as the mount lasts |
//! | [`record`] | what was claimed, for whoever comes later: `/run/takeover` |
//! | [`holders`] | who holds a mount open, and sending them signals |
//! | [`device`] | what DEVICE means |
//! | [`mount`] | mount, unmount, and whether a file system is gone |
//! | [`mountinfo`] | what is mounted where |
//! | [`aside`] | work that may hang, in a child with a deadline |
//! | [`process`] | processes by identity |

pub mod aside;
pub mod claim;
pub mod device;
pub mod guard;
pub mod holders;
pub mod keeper;
pub mod lease;
pub mod mount;
pub mod mountinfo;
pub mod news;
pub mod process;
pub mod record;
pub mod release;
pub mod take;
