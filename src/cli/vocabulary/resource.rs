//! The events of resources and their agents.

use super::{EventDoc, FieldDoc, list, number, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("resource", "a resource as it was written"),
    text("class", "whose conventions an agent keeps: heartbeat, lsb, ocf or systemd"),
    text("provider", "the provider of an OCF agent"),
    text("agent", "the path of a resource's script, or the name of its unit; null where there is none"),
    text(
        "action",
        "what is done, or was asked for: start, stop, status, monitor, restart, metadata or list; add, edit or delete",
    ),
    text("meaning", "what the answer of an agent means, by the conventions of its class, in words"),
    text("output", "the end of what an agent printed on stdout and stderr, at most 2048 bytes"),
    text(
        "metadata",
        "what an agent says of itself: XML of an OCF agent, the header of an init script, the properties of a unit",
    ),
    number("attempt", "counts the tries of one action from 1"),
    number("duration_ms", "how long one run of an agent took, in milliseconds"),
    list("running", "resources that run, as they were written"),
    list("stopped", "resources that do not run and were stopped cleanly, as they were written"),
    list("failed", "resources that failed, or would not start or stop, as they were written"),
    list("unknown", "resources of which nobody can tell whether they run, as they were written"),
];

const TOOLS: &[&str] = &["run-resource"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "step",
        tools: TOOLS,
        doc: "One run of one agent. is: what to think of the resource now, running, stopped, failed or unknown; was: \
              before. status: the agent's own exit status, null where it did not end by itself, or was not run \
              (dry_run, or there is none).",
        fields: &[
            "resource",
            "class",
            "agent",
            "action",
            "attempt",
            "was",
            "is",
            "status",
            "meaning",
            "changed",
            "dry_run",
            "duration_ms",
            "output",
        ],
    },
    EventDoc {
        name: "outcome",
        tools: TOOLS,
        doc: "The end of a call, and of which resource what is thought then; one that nothing was asked of is unknown.",
        fields: &["action", "running", "stopped", "failed", "unknown", "changed", "dry_run", "total_ms", "cause"],
    },
    EventDoc {
        name: "metadata",
        tools: TOOLS,
        doc: "What an agent says of itself.",
        fields: &["resource", "class", "agent", "metadata"],
    },
    EventDoc {
        name: "agent",
        tools: TOOLS,
        doc: "An agent that can be found; cause says why it would be refused, and is null where it would not.",
        fields: &["class", "provider", "agent", "resource", "cause"],
    },
];
