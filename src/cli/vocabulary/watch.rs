//! The events of the shipped scripts, printed through `ha-event`.

use super::{EventDoc, FieldDoc, text};

pub(super) const FIELDS: &[FieldDoc] = &[text("what", "the event of a command that a script passes on")];

const TOOLS: &[&str] = &["standby-watch"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "watching",
        tools: TOOLS,
        doc: "The watch has begun; mac is the machine that answers for the service address now.",
        fields: &["target", "address", "dev", "mac", "cause"],
    },
    EventDoc {
        name: "primary",
        tools: TOOLS,
        doc: "What is thought of the primary has changed: unknown, up or down.",
        fields: &["target", "was", "is", "cause"],
    },
    EventDoc {
        name: "probe-ended",
        tools: TOOLS,
        doc: "The probe itself ended; it is started again, and says nothing about the primary.",
        fields: &["status", "cause"],
    },
    EventDoc {
        name: "unconfirmed",
        tools: TOOLS,
        doc: "The primary is down as seen from here, and no --confirm host was named to ask whether it is us.",
        fields: &["cause"],
    },
    EventDoc {
        name: "isolated",
        tools: TOOLS,
        doc: "The primary is down as seen from here, but so are all --confirm hosts: nothing is taken.",
        fields: &["cause"],
    },
    EventDoc {
        name: "waiting",
        tools: TOOLS,
        doc: "The address would be taken, but for --hold-down.",
        fields: &["address", "cause"],
    },
    EventDoc {
        name: "taking",
        tools: TOOLS,
        doc: "The address is about to be taken.",
        fields: &["address", "dev", "cause"],
    },
    EventDoc {
        name: "blocked",
        tools: TOOLS,
        doc: "Somebody else still answers for the address: it is not taken, and tried again.",
        fields: &["address", "macs", "cause", "hint"],
    },
    EventDoc {
        name: "active",
        tools: TOOLS,
        doc: "This machine has the address, and --on-take is done.",
        fields: &["address", "dev", "cause"],
    },
    EventDoc {
        name: "take-failed",
        tools: TOOLS,
        doc: "The address could not be taken, or --on-take failed; status is that of what failed. Tried again.",
        fields: &["address", "status", "cause"],
    },
    EventDoc {
        name: "holder",
        tools: TOOLS,
        doc: "Something happened to the address that we hold: what is the event of vip-take.",
        fields: &["what", "is", "macs", "cause"],
    },
    EventDoc {
        name: "lost",
        tools: TOOLS,
        doc: "The holder ended by itself, and the address with it; status is its exit status.",
        fields: &["address", "status", "cause"],
    },
    EventDoc { name: "returned", tools: TOOLS, doc: "The primary is back.", fields: &["mac", "cause"] },
    EventDoc {
        name: "releasing",
        tools: TOOLS,
        doc: "The address is about to be given up: --on-drop first.",
        fields: &["address", "cause"],
    },
    EventDoc {
        name: "hook-failed",
        tools: TOOLS,
        doc: "--on-drop failed, or ran out of time; the address is dropped all the same.",
        fields: &["what", "status", "cause"],
    },
    EventDoc {
        name: "given-back",
        tools: TOOLS,
        doc: "Another machine answers for the address again, and was announced to the link.",
        fields: &["address", "mac", "cause"],
    },
    EventDoc { name: "ending", tools: TOOLS, doc: "The watch ends.", fields: &["cause"] },
];
