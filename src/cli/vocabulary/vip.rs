//! The events around a service address.

use super::{EventDoc, FieldDoc, boolean, list, number, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("dev", "the network interface"),
    number("prefix", "the prefix length of the service address"),
    text("label", "the label of the address, as ifconfig shows it"),
    boolean("held", "whether somebody else on the link answers for the address, or claims it"),
    boolean("mine", "whether this machine has the address itself, or is that node"),
    list("macs", "the link-layer addresses that answered"),
    text("mac", "a link-layer address"),
    boolean("changed", "false when everything was as wanted already"),
    boolean("dry_run", "true when nothing was done: this is what would have been"),
    number("lease_s", "the kernel's lifetime for the address in seconds; null for ever"),
    text("form", "the form of the announcement: request, reply, both, or advertisement for IPv6"),
    text("to", "where the announcement went: broadcast, multicast or one link-layer address"),
    text("kind", "what a claim looked like: answer, announcement, request or probe"),
    boolean("confirmed", "whether the claimant answered a probe of ours"),
    number("gap_ms", "milliseconds for which this command did not run; of a heartbeat, since the one before"),
];

const TAKE: &[&str] = &["vip-take"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "who",
        tools: &["vip-who"],
        doc: "Who answers for an address on this link.",
        fields: &["address", "dev", "held", "mine", "macs", "sent", "total_ms", "cause"],
    },
    EventDoc {
        name: "held",
        tools: TAKE,
        doc: "The address was not taken, or not yet: somebody else has it, or this machine has it elsewhere.",
        fields: &["address", "dev", "macs", "mine", "cause", "hint"],
    },
    EventDoc {
        name: "taken",
        tools: TAKE,
        doc: "The address is on the interface. macs names who answered for it before, with --if-held steal.",
        fields: &["address", "prefix", "dev", "label", "changed", "dry_run", "lease_s", "macs", "cause"],
    },
    EventDoc {
        name: "announced",
        tools: &["vip-take", "garp"],
        doc: "The address was announced on the link.",
        fields: &["address", "dev", "mac", "form", "to", "sent", "dry_run", "cause"],
    },
    EventDoc {
        name: "claim",
        tools: TAKE,
        doc: "Another machine claims the address that we hold, or asks whether it is free (kind probe). At most one a \
              second for each kind and claimant.",
        fields: &["address", "dev", "mac", "kind", "confirmed", "cause"],
    },
    EventDoc {
        name: "conflict",
        tools: TAKE,
        doc: "Another machine answers for the address that we hold (is conflict), or no longer does (is clear).",
        fields: &["address", "dev", "mac", "was", "is", "cause"],
    },
    EventDoc {
        name: "carrier",
        tools: TAKE,
        doc: "The link under the address went up or down.",
        fields: &["dev", "was", "is", "cause"],
    },
    EventDoc {
        name: "stalled",
        tools: TAKE,
        doc: "This process did not run for half a lease or longer: it looks before it goes on.",
        fields: &["gap_ms", "cause"],
    },
    EventDoc {
        name: "missing",
        tools: TAKE,
        doc: "The address that we hold is no longer on the interface: somebody deleted it, or its lifetime ran out.",
        fields: &["address", "dev", "cause"],
    },
    EventDoc {
        name: "restored",
        tools: TAKE,
        doc: "The address was put back, or found in its place, after nobody else answered for it.",
        fields: &["address", "dev", "changed", "cause"],
    },
    EventDoc {
        name: "lost",
        tools: TAKE,
        doc: "The address is no longer ours, and this machine does not have it; the holder ends.",
        fields: &["address", "dev", "macs", "cause"],
    },
    EventDoc {
        name: "dropped",
        tools: &["vip-take", "vip-drop"],
        doc: "The address was removed from the interface; changed is false when it was not there.",
        fields: &["address", "prefix", "dev", "changed", "dry_run", "cause"],
    },
];
