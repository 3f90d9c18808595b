//! The events of hb-send and hb-listen.

use super::{EventDoc, FieldDoc, boolean, list, number, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("node", "the name of a node, in lower case"),
    text("medium", "a medium by its name, such as udp:694@eth0, bcast:eth0:694 or serial:/dev/ttyS0@19200"),
    text("st", "the status that a heartbeat carries: init, up, active or dead"),
    text("why", "what is answered or sent: ack, gap, rexmit, reqnodes, starting; beat, reply, send, resend, refusal"),
    text("type", "the type of a heartbeat message, its field t"),
    text("link", "what is thought of a node on one medium: unknown, up or dead"),
    text("source", "the address that something came from, or serial"),
    text("scheduler", "fifo or other"),
    list("on", "the media, by name"),
    list("peers", "the nodes that are expected"),
    number("generation", "counts the starts of a node; the seconds since 1970 at its first"),
    number("number", "the number of a heartbeat message; null for control messages, which have none"),
    number("first_seq", "the first of a range of message numbers of a node"),
    number("last_seq", "the last of that range"),
    number("count", "how many, since it was last told"),
    number("beats", "heartbeats since the last pulse"),
    number("priority", "the real-time priority, 1 to 99"),
    number("gap_min_ms", "the shortest time between two heartbeats, in milliseconds"),
    number("gap_mean_ms", "the mean time between two heartbeats, in milliseconds"),
    number("gap_max_ms", "the longest time between two heartbeats, in milliseconds"),
    number("silent_ms", "milliseconds since the node was last heard, on any medium"),
    number("deadtime_ms", "the silence that means death, in milliseconds; the sender's own where it announces one"),
    number("every_ms", "milliseconds from one heartbeat, or check, to the next"),
    boolean("locked", "the memory is locked: nothing of it is swapped out"),
];

const SEND: &[&str] = &["hb-send"];
const LISTEN: &[&str] = &["hb-listen"];
const BOTH: &[&str] = &["hb-send", "hb-listen"];

/// What comes as often as others speak.
pub(super) const TRAFFIC: &[&str] =
    &["heartbeat", "message", "reply", "rejected", "pulse", "tick", "sent", "ignored-order"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "sending",
        tools: SEND,
        doc: "Heartbeats begin.",
        fields: &["node", "generation", "on", "every_ms", "deadtime_ms"],
    },
    EventDoc {
        name: "listening",
        tools: LISTEN,
        doc: "Listening begins. Without peers every node that has a key counts.",
        fields: &["node", "on", "peers", "deadtime_ms"],
    },
    EventDoc {
        name: "medium",
        tools: BOTH,
        doc: "A medium works or does not, as far as this machine can see: unknown, up or down. It is tried again.",
        fields: &["medium", "was", "is", "cause"],
    },
    EventDoc {
        name: "sent",
        tools: SEND,
        doc: "A message was said on every medium that works; heartbeats and replies with --beats alone.",
        fields: &["why", "type", "number"],
    },
    EventDoc {
        name: "status",
        tools: SEND,
        doc: "Heartbeats carry another status from now on; the first one was sent at once.",
        fields: &["was", "is"],
    },
    EventDoc {
        name: "ignored-order",
        tools: SEND,
        doc: "A line on stdin makes no sense, or asks for what this sender cannot do. It goes on.",
        fields: &["cause"],
    },
    EventDoc { name: "orders-ended", tools: SEND, doc: "stdin has ended; heartbeats go on.", fields: &["cause"] },
    EventDoc {
        name: "dropped",
        tools: SEND,
        doc: "Messages were not sent on a medium: the line is slower than what was said, or it does not work.",
        fields: &["medium", "count"],
    },
    EventDoc {
        name: "realtime",
        tools: SEND,
        doc: "What came of --realtime.",
        fields: &["scheduler", "priority", "locked", "cause"],
    },
    EventDoc {
        name: "stalled",
        tools: SEND,
        doc: "This command did not run for so long that others think the node dead: a new generation begins.",
        fields: &["gap_ms", "generation", "cause"],
    },
    EventDoc {
        name: "heartbeat",
        tools: LISTEN,
        doc: "A node's heartbeat: the first one, one with another status or other fields of its own, or with --beats every \
              one.",
        fields: &["node", "medium", "st", "gap_ms", "message"],
    },
    EventDoc {
        name: "message",
        tools: LISTEN,
        doc: "Any other message of a node, whomever it is for.",
        fields: &["node", "medium", "message"],
    },
    EventDoc {
        name: "reply",
        tools: LISTEN,
        doc: "What is to be sent because of what a node said: a message, or our own messages again. hb-send - does it.",
        fields: &["node", "why", "message", "first_seq", "last_seq"],
    },
    EventDoc {
        name: "node",
        tools: LISTEN,
        doc: "What is thought of a node has changed: unknown, up, late, dead or left.",
        fields: &["node", "was", "is", "cause", "silent_ms", "deadtime_ms"],
    },
    EventDoc {
        name: "link",
        tools: LISTEN,
        doc: "What is thought of a node on one medium has changed: unknown, up or dead.",
        fields: &["node", "medium", "was", "is", "cause"],
    },
    EventDoc {
        name: "restarted",
        tools: LISTEN,
        doc: "A node has started again; it may never have been thought dead.",
        fields: &["node", "cause"],
    },
    EventDoc {
        name: "lost",
        tools: LISTEN,
        doc: "Messages of a node that cannot be had any more.",
        fields: &["node", "first_seq", "last_seq", "cause"],
    },
    EventDoc {
        name: "rejected",
        tools: LISTEN,
        doc: "Something was not accepted: bad-digest, unknown-key, unauthenticated, too-large, malformed, noise, \
              unknown-node, checksum-only, too-many-nodes, replayed-generation or replayed-sequence. The first of a cause and source at \
              once, then how many more, every ten seconds.",
        fields: &["reason", "medium", "source", "node", "count", "cause"],
    },
    EventDoc {
        name: "stalled",
        tools: LISTEN,
        doc: "This command did not run, or lost frames unread: silence counts from now on only.",
        fields: &["gap_ms", "cause"],
    },
    EventDoc {
        name: "overloaded",
        tools: LISTEN,
        doc: "The same again before the node was heard: silence is not forgiven a second time.",
        fields: &["gap_ms", "cause"],
    },
    EventDoc {
        name: "pulse",
        tools: LISTEN,
        doc: "How regularly a node was heard on a medium since the last one; with --pulse, and with --human every 5 s.",
        fields: &["node", "medium", "is", "link", "beats", "gap_min_ms", "gap_mean_ms", "gap_max_ms"],
    },
    EventDoc { name: "tick", tools: LISTEN, doc: "Time has passed; with --tick. node is this one.", fields: &["node"] },
];
