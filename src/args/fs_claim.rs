//! `fs-claim`: claim shared storage for this node, then mount it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use super::node_name;
use crate::cli::{Error, Failure, OutputArgs, Tool, duration};
use crate::heartbeat::settings::node;
use crate::storage::guard::Kind;
use crate::storage::keeper::OnLost;
use crate::storage::lease::{MANUAL as LEASE, Terms};
use crate::storage::mount::{is_bind, options};
use crate::storage::take::Wanted;

/// Claim shared storage for this node, then mount it
#[derive(Parser, Clone, Debug)]
#[command(name = "fs-claim", version)]
pub struct FsClaim {
    /// A block device, LABEL=…, UUID=…, a file, HOST:/EXPORT, or with OPTIONS bind a folder
    pub device: String,
    /// Where; the folder has to exist
    pub mountpoint: PathBuf,
    /// The type of the file system; auto, or none given: found out
    pub fstype: Option<String>,
    /// Options as in fstab
    pub options: Option<String>,
    /// What keeps other nodes away
    #[arg(long, value_name = "GUARD", default_value = "none")]
    pub guard: Kind,
    /// The name of this node [default: its host name]
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub node: Option<String>,
    /// For each step: looking, claiming, mounting
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse_positive)]
    pub timeout: Duration,
    /// Check the file system before it is mounted
    #[arg(long)]
    pub fsck: bool,
    /// How long that may take
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse_positive, requires = "fsck")]
    pub fsck_timeout: Duration,
    /// Tell what is so, and touch nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub status: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guards: GuardArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// The flags of one guard each.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Guards")]
pub struct GuardArgs {
    /// flock: the lock file, on storage that the nodes share [default: one a device in /run/takeover/fs]
    #[arg(long, value_name = "PATH")]
    pub lock_file: Option<PathBuf>,
    /// lease: the file or block device that holds the record
    #[arg(long, value_name = "PATH")]
    pub lease_dev: Option<PathBuf>,
    /// lease: after a last renewal nobody else takes it for this long; the same on all nodes
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration::parse_positive)]
    pub lease: Duration,
    /// lease: what to do when it is lost
    #[arg(long, value_name = "WHAT", default_value = "release")]
    pub on_lost: OnLost,
    /// lease: the watchdog that resets this machine before the lease ends
    #[arg(long, value_name = "DEV")]
    pub watchdog: Option<PathBuf>,
    /// drbd: the resource, where the name of the device does not show it
    #[arg(long, value_name = "NAME")]
    pub drbd_resource: Option<String>,
    /// scsi-pr: take the reservation of another node, which must be known to be dead
    #[arg(long)]
    pub take_over: bool,
}

impl FsClaim {
    /// What is wanted, or what is wrong with it.
    ///
    /// # Errors
    /// When flags do not go together.
    pub fn wanted(&self) -> Result<Wanted, Error> {
        let GuardArgs { lock_file, lease_dev, lease, on_lost, watchdog, drbd_resource, take_over } = &self.guards;
        for (given, flag, guard) in [
            (lock_file.is_some(), "--lock-file", Kind::Flock),
            (lease_dev.is_some(), "--lease-dev", Kind::Lease),
            (watchdog.is_some(), "--watchdog", Kind::Lease),
            (drbd_resource.is_some(), "--drbd-resource", Kind::Drbd),
            (*take_over, "--take-over", Kind::ScsiPr),
        ] {
            if given && self.guard != guard {
                let message = format!("{flag} means nothing with --guard {}", self.guard.word());
                return Err(Failure::usage(message, format!("add --guard {}", guard.word())).into());
            }
        }
        let options = options(self.options.as_deref().unwrap_or_default());
        if options.iter().any(|o| o == "remount" || o == "move") {
            return Err(Failure::usage("a remount is no claim", "fs-release it, and fs-claim it again").into());
        }
        if matches!(self.guard, Kind::Drbd | Kind::ScsiPr) && is_bind(&options) {
            return Err(Failure::usage("a bind mount has no device to guard", "claim the file system itself").into());
        }
        let node = node(self.node.as_deref())?;
        if self.guard == Kind::ScsiPr && node.split('.').next() == Some("localhost") {
            let message = "localhost is no name to reserve a disk with: another node may have it too";
            return Err(Failure::usage(message, "name this node: --node NAME").into());
        }
        // A keeper has no working directory, and what is noted has to be found from everywhere.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let lock_file = lock_file.as_ref().map(absolute);
        let lease = match (self.guard, lease_dev) {
            (Kind::Lease, None) => {
                return Err(Failure::usage("--guard lease needs a place for its record", "add --lease-dev PATH").into());
            }
            (Kind::Lease, Some(device)) => {
                let mut terms = Terms::new(absolute(device), &node, *lease);
                terms.watchdog.clone_from(watchdog);
                terms.check().map_err(|e| Failure::usage(e.to_string(), "see --lease in the manual page"))?;
                Some((terms, *on_lost))
            }
            _ => None,
        };
        Ok(Wanted {
            device: self.device.clone(),
            mountpoint: self.mountpoint.clone(),
            fstype: self.fstype.clone(),
            options,
            guard: self.guard,
            node,
            timeout: self.timeout,
            fsck: self.fsck.then_some(self.fsck_timeout),
            lock_file,
            lease,
            drbd_resource: drbd_resource.clone(),
            take_over: *take_over,
            dry_run: self.dry_run,
        })
    }
}

impl Tool for FsClaim {
    const NAME: &'static str = "fs-claim";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// What the page says, with what the lease has to say of itself.
const DETAILS: [&str; OWN.len() + LEASE.len()] = {
    let mut all = [""; OWN.len() + LEASE.len()];
    let mut n = 0;
    while n < all.len() {
        all[n] = if n < OWN.len() { OWN[n] } else { LEASE[n - OWN.len()] };
        n += 1;
    }
    all
};

const OWN: &[&str] = &[
    "Takes the claim that --guard names, checks the file system where --fsck asks for it, and mounts it; the arguments \
         stand in the order of a Filesystem resource in haresources. Done twice it is done once: the second time says so \
         with changed false. A claim that another node holds is status 1 with its name in holder, and nothing is mounted; \
         so is something else that is mounted there, a device that this machine has mounted elsewhere, and a file system \
         that has become read-only. Each step has a deadline. What this call has done is undone where a later step fails; \
         a mount that hangs keeps its claim until it is known not to come any more: fs-release gives it up then. A claim that is \
         lost ends a check, and nothing is mounted; what was mounted meanwhile is taken back (status 75, code claim-lost).",
    "A mount that stands is taken for claimed only as long as nobody else can have had the storage meanwhile: its memory of it \
         would be old. Where its keeper has ended it is claimed again only if the lock file still has the keeper's line, or \
         the lease is the very next one; a disk still has to be reserved for this node. Else the claim is given back, and the \
         status is 1: fs-release first. So it is where the claim there is that of another device, lock file, lease or \
         resource.",
    "The claim is as strong as the field strength says: none; advisory, kept among those who ask for it; lease, where a \
         watchdog resets a machine that cannot renew it; enforced, by the storage itself. --guard flock holds a lock file, \
         and on a file system that is not shared excludes others on this machine only. --guard lease keeps a record on a \
         small file or block device that all nodes reach. --guard drbd makes the resource primary, and fs-release makes it \
         secondary; while a peer is not connected, or where the configuration allows two primaries, that is advisory, and a \
         peer that is primary is a refusal even where this node is primary too. --guard scsi-pr registers this node with the \
         disk and reserves it, write exclusive for registrants only: the disk then refuses the writes of all others. It takes \
         the whole disk, no partition. --take-over preempts another node and aborts its commands. The key of a registration is \
         four bytes of the node's name and four of a digest of it, so that each node needs a name of its own, and localhost is \
         none; a node registers anew each time.",
    "A DRBD resource that stands alone, as after a split brain or after drbdadm disconnect, is not made primary (status 69): \
         which data counts is for a person to say. A node that lost its reservation of a disk keeps its mount: what it writes is \
         refused by the disk, but a program may not notice until it syncs, and --status tells of it (status 75); fs-release \
         ends the mount.",
    "A lock file is an empty one, one that is not there yet, or one with the line of an earlier holder; anything else is \
         refused (status 78) and stays as it is. On NFS a lock lives only as long as the server remembers it: a client that \
         is cut off for longer than the server's grace loses it, and another node gets it while this one goes on. The keeper \
         reads the file every 10 s and notes the loss, so that --status ends with 75; it unmounts nothing. Where that is not \
         enough use a lease with a watchdog.",
    "A lock or a lease is held by a keeper, a process that this command leaves behind (fs-keeper in a list of \
         processes). It ends when the file system is gone, by fs-release or by umount. SIGTERM makes it unmount and end; \
         while the mount is in use it stays. When a lease is lost it does what --on-lost says: release (and kill, which is the same) \
         unmounts, and where somebody holds the mount kills them at once; reboot resets the machine where neither helps. \
         Where another node may have it already, see below. It \
         writes the event lost, and what it did, to the system's log. The keeper of a lease runs at the lowest real-time \
         priority with its memory locked, where it may, so that neither load nor the kernel's own writers come before it; with a \
         watchdog the kernel does not end it for want of memory. Do not start it from a service that kills all \
         processes of its group when it stops.",
    "A keeper that is killed takes its lock with it, while the mount stays. Called again, this command then takes the \
         claim again, or says with status 1 that the file system is mounted here without one. A keeper that is stopped, that \
         has lost its claim and could not unmount, or whose lease is another's by now is not believed: status 75. --status \
         asks the same, of DRBD and of the disk too, and prints what the claim is worth at that moment; it takes the flags of a \
         claim, and those of a guard have to be the ones that it was claimed with. What is hidden, or mounted in another \
         mount namespace, is 75 and not 1.",
    "What was claimed stands in /run/takeover/fs, one file a mount point, which nobody else may be able to write.",
];

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &DETAILS,
    statuses: &[
        (0, "claimed and mounted; with --status: so it is"),
        (1, "somebody else has the claim or the place, or may have had it since; with --status: it is not mounted"),
        (69, "no such device, mount point or guard; it could not be mounted"),
        (75, "not within --timeout; the claim is lost; with --status: mounted without its claim, or hidden"),
        (78, "what is named as a lock or a lease is something else"),
    ],
    examples: &[
        ("fs-claim /dev/sdb1 /srv/data ext4 noatime", "Mount it; the caller knows that no other node has it."),
        (
            "fs-claim nfs.example.com:/ha /ha nfs rw,hard --timeout 20s",
            "An export, from the line of a haresources file.",
        ),
        (
            "fs-claim UUID=9b1e… /srv/data ext4 --guard lease --lease-dev /dev/sdb2 --watchdog /dev/watchdog",
            "One node at a time, and a node that cannot renew its lease is reset.",
        ),
        ("fs-claim /dev/drbd0 /srv/data ext4 --guard drbd --fsck", "Make it primary, check it, mount it."),
        ("fs-claim /dev/sdc /srv/data xfs --guard scsi-pr --take-over", "Shut a dead node out of its disk."),
        ("fs-claim /dev/sdb1 /srv/data --status --human", "Is it mounted, and whose is it?"),
    ],
    see_also: &["fs-release(8)", "mount(8)", "fsck(8)", "drbdadm(8)", "ha-events(7)", "takeover(7)"],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Wanted, String> {
        let line = format!("fs-claim --node ha1 {words}");
        let args = FsClaim::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())?;
        args.wanted().map_err(|e| e.to_string())
    }

    #[test]
    fn operands_in_the_order_of_haresources() {
        let wanted = parse("nfs.example.com:/ha /ha nfs rw,hard").expect("good words");
        assert_eq!((wanted.device.as_str(), wanted.fstype.as_deref()), ("nfs.example.com:/ha", Some("nfs")));
        assert_eq!(
            (wanted.options, wanted.guard, wanted.fsck),
            (vec!["rw".to_owned(), "hard".into()], Kind::None, None)
        );
        let wanted = parse("/dev/x /x --guard lease --lease-dev /dev/y --lease 10s --watchdog /dev/w").expect("good");
        let (terms, on_lost) = wanted.lease.expect("terms");
        assert_eq!((terms.node.as_str(), terms.lease, on_lost), ("ha1", Duration::from_secs(10), OnLost::Release));
        assert_eq!(terms.strength(), "lease");
        let wanted = parse("/dev/x /x --guard flock --lock-file l").expect("good");
        assert!(wanted.lock_file.is_some_and(|f| f.is_absolute() && f.ends_with("l")));
    }

    /// A script asks with the words that it claims with.
    #[test]
    fn status_takes_what_a_claim_takes() {
        for words in [
            "/dev/x /x ext4 --fsck --fsck-timeout 1m --guard scsi-pr --take-over --status",
            "/dev/x /x --guard lease --lease-dev /dev/y --lease 10s --on-lost kill --watchdog /dev/w --status",
            "/dev/x /x --guard drbd --drbd-resource r0 --timeout 5s --status",
        ] {
            assert!(parse(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn what_does_not_go_together() {
        for words in [
            "/dev/x",
            "/dev/x /x ext4 rw more",
            "/dev/x /x --guard lease",
            "/dev/x /x --lock-file /l",
            "/dev/x /x --guard flock --watchdog /dev/w",
            "/dev/x /x --guard drbd --take-over",
            "/dev/x /x ext4 remount",
            "/a /b none bind --guard scsi-pr",
            "/dev/x /x --status --dry-run",
            "/dev/x /x --fsck-timeout 1s",
            "/dev/x /x --node a/b",
            "/dev/x /x --guard scsi-pr --node localhost",
            "/dev/x /x --guard scsi-pr --node localhost.localdomain",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
