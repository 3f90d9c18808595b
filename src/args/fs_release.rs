//! `fs-release`: unmount shared storage, then give up its claim.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{Failure, OutputArgs, Tool, duration};
use crate::storage::holders::plan::Plan;
use crate::storage::release::{Wanted, check};

/// Unmount shared storage, name or end its users, give up its claim
#[derive(Parser, Clone, Debug)]
#[command(name = "fs-release", version)]
pub struct FsRelease {
    /// Where it is mounted
    pub mountpoint: PathBuf,
    /// End who holds it open: signals and waits in this order, such as TERM,2s,KILL
    #[arg(long, value_name = "PLAN")]
    pub kill: Option<Plan>,
    /// Hide it where it stays in use: its users go on, and the claim is kept until they end
    #[arg(long)]
    pub lazy: bool,
    /// For all of it
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse_positive)]
    pub timeout: Duration,
    /// Say who holds it open and what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl FsRelease {
    /// What is wanted, or what is wrong with it.
    ///
    /// # Errors
    /// When it is the root of the system.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        let wanted = Wanted {
            mountpoint: self.mountpoint.clone(),
            kill: self.kill.clone(),
            lazy: self.lazy,
            timeout: self.timeout,
            dry_run: self.dry_run,
        };
        check(&wanted)?;
        Ok(wanted)
    }
}

impl Tool for FsRelease {
    const NAME: &'static str = "fs-release";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Unmounts, looks whether the file system is really gone, and only then gives up the claim that fs-claim took. \
         Nothing mounted there is nothing to do: status 0 with changed false; a claim that is left is given up. While it \
         is in use nothing is unmounted: status 1, and one event holder for each process that has its current folder, its \
         root, its program, an open file or a mapping there, or for what the kernel itself holds (a loop device, swap, an \
         export). They are told by the number of the mount and never by the device alone, so that the users of a bind \
         mount of the same file system at another place are not among them. Users of a copy of the mount in another mount \
         namespace are.",
        "--kill sends them signals and waits, in the order of its words; after each wait the unmount is tried again, and \
         before each signal it is read anew who holds the mount. Never sent a signal are the first process, this command, \
         and those that wait for it (protected). A process that ends and whose number another one gets is not taken for \
         it.",
        "What fs-claim mounted counts as released only when no other mount of the same file system is left, in this or \
         another mount namespace; the kernel is asked for a block device, where its name still leads to it. Until then the status is 1, with \
         event busy, and the claim is kept. --lazy hides a mount that is in use or whose server is dead, and ends with \
         status 1 as long as its users are seen to go on.",
        "A file server that does not answer hangs a child of this command, not the command. Where several file systems are \
         mounted one over the other at this place, only the one that was claimed is unmounted, and only when it is the \
         uppermost; where none was claimed the command refuses, as it cannot tell which is meant.",
    ],
    statuses: &[
        (0, "it is not mounted, and not claimed"),
        (1, "it is in use, or not what was claimed"),
        (69, "another mount namespace or user namespace has it, or its guard is not there or does not let go"),
        (75, "not within --timeout: which place is meant, the unmount, or the end of the claim"),
    ],
    examples: &[
        ("fs-release /srv/data", "Unmount it, or say who holds it."),
        ("fs-release /srv/data --kill TERM,2s,KILL", "End who holds it: politely first."),
        ("fs-release /srv/data --dry-run --fields pid,command,path", "Who holds it?"),
    ],
    see_also: &["fs-claim(8)", "umount(8)", "fuser(1)", "ha-events(7)", "takeover(7)"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let parse = |words: &str| {
            let line = format!("fs-release {words}");
            let args = FsRelease::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())?;
            args.wanted().map_err(|e| e.message)
        };
        assert!(parse("/x --kill TERM,2s,KILL").is_ok_and(|w| w.kill.is_some()));
        for wrong in ["", "/", "/x/..", "//", "/x --kill 2s", "/x --kill NONSENSE", "/x /y"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
