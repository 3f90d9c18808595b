//! The events of ha-decide, and of the scripts that do what it says.

use super::{EventDoc, FieldDoc, boolean, list, object, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("group", "a group of haresources: its first resource as it was written; of mon the watch"),
    text("which", "the groups that an order is about: all, local, foreign or failback"),
    boolean(
        "addresses_first",
        "the addresses of the group go before its services: another node has them, too, or may take them",
    ),
    boolean("free", "whoever had the group has given it up and said so, or was fenced: nobody has to be asked"),
    list("dead", "the dead nodes that may have had the group: their hardware addresses may be overridden, no others"),
    list("because", "the events that led to it, as tool:seq"),
    object("fields", "what the heartbeats carry beside their own fields"),
    list("links", "the media that a node was heard on, each as MEDIUM=STATE: up, dead or unknown"),
    text("part", "a part of a node: the name of the file that has its number"),
    list("refusals", "what of an order was not done, and why"),
];

const TOOLS: &[&str] = &["ha-decide"];
const NODE: &[&str] = &["ha-node"];
/// ha-decide keeps them in a file, and ha-status prints them.
const STATUS: &[&str] = &["ha-decide", "ha-status"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "acquire",
        tools: TOOLS,
        doc: "Start a group here.",
        fields: &["group", "free", "dead", "cause", "because"],
    },
    EventDoc {
        name: "release",
        tools: TOOLS,
        doc: "Stop a group here; a start that is under way is ended first.",
        fields: &["group", "addresses_first", "cause", "because"],
    },
    EventDoc {
        name: "announce",
        tools: TOOLS,
        doc: "Announce the addresses of a group again: another node had it, too, and let go.",
        fields: &["group", "cause", "because"],
    },
    EventDoc {
        name: "prepare",
        tools: TOOLS,
        doc: "A node that has a group is late: ask ahead who answers for its addresses.",
        fields: &["group", "node", "cause", "because"],
    },
    EventDoc { name: "send", tools: TOOLS, doc: "hb-send is to say this.", fields: &["message", "cause", "because"] },
    EventDoc {
        name: "order",
        tools: TOOLS,
        doc: "Heartbeats are to carry this from now on; a st of null leaves the status as it is.",
        fields: &["st", "fields", "cause", "because"],
    },
    EventDoc {
        name: "reply",
        tools: TOOLS,
        doc: "A reply of hb-listen, passed on.",
        fields: &["node", "why", "message", "first_seq", "last_seq"],
    },
    EventDoc {
        name: "fence",
        tools: TOOLS,
        doc: "Cut this node off, and say whether that was done.",
        fields: &["node", "cause", "because"],
    },
    EventDoc {
        name: "state",
        tools: TOOLS,
        doc: "What is thought of a group has changed: unknown, stopped, starting, running, stopping, stuck or failed; node \
              is where.",
        fields: &["group", "node", "was", "is", "cause", "because"],
    },
    EventDoc {
        name: "refused",
        tools: TOOLS,
        doc: "An operator asked for what cannot be done.",
        fields: &["what", "cause", "because"],
    },
    EventDoc {
        name: "exit",
        tools: TOOLS,
        doc: "The node is done: all parts are to end, with this status.",
        fields: &["status", "cause", "because"],
    },
    EventDoc {
        name: "explain",
        tools: TOOLS,
        doc: "With --explain, at the end: where a group is, and why.",
        fields: &["group", "node", "is", "cause"],
    },
    EventDoc {
        name: "node-status",
        tools: STATUS,
        doc: "What is thought of a node now: unknown, up, late, dead or left; mine is the one that says so, st is what its \
              heartbeats carry.",
        fields: &["node", "is", "mine", "st", "links", "cause"],
    },
    EventDoc {
        name: "group-status",
        tools: STATUS,
        doc: "What is thought of a group now: unknown, stopped, starting, running, stopping, stuck or failed; node is \
              where, nodes are those that may have it, cause is why.",
        fields: &["group", "is", "node", "nodes", "cause"],
    },
    EventDoc {
        name: "order-status",
        tools: STATUS,
        doc: "What came of one of the last orders of operators; cause is that of the order.",
        fields: &["what", "which", "cause", "refusals"],
    },
    EventDoc {
        name: "found",
        tools: NODE,
        doc: "A group may run here since before the start, and could not be stopped.",
        fields: &["group", "cause"],
    },
    EventDoc {
        name: "ready",
        tools: NODE,
        doc: "All groups were looked at: what was not found does not run here.",
        fields: &["cause"],
    },
    EventDoc {
        name: "done",
        tools: NODE,
        doc: "An action of ha-decide has ended: acquire or release of a group, or the fencing of a node. An acquire that \
              failed with 1 left nothing behind.",
        fields: &["action", "group", "node", "status", "cause"],
    },
    EventDoc {
        name: "lost",
        tools: NODE,
        doc: "A part of a group that was started does not run any more.",
        fields: &["group", "cause"],
    },
    EventDoc {
        name: "stands-still",
        tools: &["ha-watch"],
        doc: "A process has not waited of its own accord for three looks: it is stopped, frozen, or turns round and round.",
        fields: &["part", "pid"],
    },
    EventDoc {
        name: "asked",
        tools: NODE,
        doc: "An order of an operator: what is standby, takeover, failback, retry or leave.",
        fields: &["what", "which", "cause"],
    },
];
