//! The events of shared storage.

use super::{EventDoc, FieldDoc, Kind, boolean, list, number, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("device", "what is mounted, as it was given or as the kernel shows it"),
    text("mountpoint", "where a file system is mounted, without symbolic links"),
    text("fstype", "the type of a file system"),
    text("options", "the options of a mount, as the kernel shows them"),
    text("guard", "what guards a claim: none, flock, lease, drbd or scsi-pr"),
    text(
        "strength",
        "what a guard is worth: none; advisory, kept by whoever asks; lease, ended by a watchdog in time; enforced, by \
         the storage itself",
    ),
    text("holder", "the node that holds a claim, as far as it can be told"),
    boolean("mounted", "whether it is mounted there"),
    boolean("claimed", "whether the claim is held by this node"),
    boolean("lazy", "the file system was hidden, not ended: whoever used it goes on"),
    boolean("protected", "never sent a signal: the first process, this command, or one that waits for it"),
    number("pid", "a process; null for the kernel"),
    number("keeper", "the process that holds a claim"),
    number("files", "how many files of the mount a process holds"),
    number("holders", "how many hold a mount open"),
    FieldDoc {
        name: "command",
        kind: Kind::Command,
        doc: "the name of what a process runs, or of a device of the kernel; of a check the words that are run",
    },
    text("user", "the user of a process, by name where /etc/passwd has one; of a check who is logged in"),
    text("path", "a file that is held"),
    text("how", "the ways in which a mount is held: cwd, root, exe, fd, map, loop, swap, export; separated by commas"),
    text("signal", "the signal that was sent"),
    list("mounts", "mount points that stand on this one"),
];

const BOTH: &[&str] = &["fs-claim", "fs-release"];
const CLAIM: &[&str] = &["fs-claim"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "claimed",
        tools: CLAIM,
        doc: "The claim is this node's; changed is false when it was before.",
        fields: &["device", "mountpoint", "guard", "strength", "node", "keeper", "changed", "dry_run", "cause"],
    },
    EventDoc {
        name: "refused",
        tools: BOTH,
        doc: "A definite no. Of fs-claim: somebody else has the claim, or this machine has something else there; nothing \
              was mounted. Of fs-release: what is mounted there is not what was claimed, or lies below another mount.",
        fields: &["device", "mountpoint", "guard", "holder", "mounted", "cause", "hint"],
    },
    EventDoc {
        name: "checked",
        tools: CLAIM,
        doc: "fsck found the file system good, or mended it (changed).",
        fields: &["device", "status", "changed", "dry_run", "total_ms", "cause"],
    },
    EventDoc {
        name: "mounted",
        tools: CLAIM,
        doc: "It is mounted; changed is false when it was before.",
        fields: &["device", "mountpoint", "fstype", "options", "changed", "dry_run", "total_ms", "cause"],
    },
    EventDoc {
        name: "storage",
        tools: CLAIM,
        doc: "With --status: what is so, without touching it.",
        fields: &["device", "mountpoint", "mounted", "claimed", "guard", "strength", "node", "keeper", "cause"],
    },
    EventDoc {
        name: "holder",
        tools: BOTH,
        doc: "Somebody who holds the mount open.",
        fields: &["mountpoint", "pid", "command", "user", "path", "how", "files", "protected"],
    },
    EventDoc {
        name: "killed",
        tools: BOTH,
        doc: "A signal was sent to a holder.",
        fields: &["mountpoint", "pid", "command", "user", "signal"],
    },
    EventDoc {
        name: "busy",
        tools: BOTH,
        doc: "It is still in use: nothing was unmounted, or the file system lives on at another place; the claim is kept.",
        fields: &["device", "mountpoint", "holders", "mounts", "cause", "hint"],
    },
    EventDoc {
        name: "unmounted",
        tools: BOTH,
        doc: "It is not mounted there; changed is false when it was not before.",
        fields: &["device", "mountpoint", "fstype", "changed", "lazy", "dry_run", "total_ms", "cause"],
    },
    EventDoc {
        name: "released",
        tools: BOTH,
        doc: "The claim was given up; changed is false when this node had lost it before.",
        fields: &["device", "mountpoint", "guard", "node", "changed", "dry_run", "cause"],
    },
    EventDoc {
        name: "lost",
        tools: CLAIM,
        doc: "In the system's log, by the keeper: the claim is no longer this node's, or will not be in a moment.",
        fields: &["device", "mountpoint", "guard", "node", "cause"],
    },
];
