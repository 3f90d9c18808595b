//! The events of the mon flow: what mon.cf says, which alerts are to run, and why others are not.

use super::{EventDoc, FieldDoc, list, number, object, objects, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    list("hosts", "the hosts of a group of mon.cf"),
    list("excluded", "hosts that are left out of a check"),
    list("monitor", "a monitor and its arguments as they were written"),
    objects(
        "periods",
        "the period sections of a service, each with label, line, period, alerts, upalerts and startupalerts (each with argv and \
         exit), alertevery (ms, unless), alertafter (failures, ms), numalerts, no_comp_alerts, upalertafter_ms, alertexitrange",
    ),
    list("argv", "a program and its arguments, not for a shell"),
    text("style", "whose exit statuses a command has, as --style of probe-exec"),
    number("every_down_ms", "how often it runs while it is not up"),
    object("env", "what a program finds in its environment beside that of its caller"),
    text("input", "what a program finds on stdin"),
    text("alert_type", "failure, up or startup, as MON_ALERTTYPE"),
    text("period", "the label of a period section, or its period as it was written"),
    object("remembered", "all that is to be known of a service across a restart"),
];

const TOOLS: &[&str] = &["mon-decide"];
const CONF: &[&str] = &["ha-conf"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "mon-cf",
        tools: CONF,
        doc: "What holds for all of a mon.cf.",
        fields: &["file", "settings", "ignored"],
    },
    EventDoc {
        name: "mon-service",
        tools: CONF,
        doc: "One service of a mon.cf.",
        fields: &["file", "line", "group", "service", "hosts", "excluded", "monitor", "settings", "periods"],
    },
    EventDoc {
        name: "check",
        tools: CONF,
        doc: "The check of one service of a mon.cf, as probe-exec takes it on stdin.",
        fields: &["target", "argv", "style", "every_ms", "every_down_ms", "env"],
    },
    EventDoc {
        name: "alert",
        tools: TOOLS,
        doc: "An alert is to run: a line that probe-exec takes on stdin.",
        fields: &["target", "argv", "style", "env", "input", "group", "service", "period", "alert_type", "cause"],
    },
    EventDoc {
        name: "service",
        tools: TOOLS,
        doc: "A service of mon.cf fails or works from now on: untested, ok or fail.",
        fields: &["group", "service", "was", "is", "summary", "cause"],
    },
    EventDoc {
        name: "withheld",
        tools: TOOLS,
        doc: "Why a period section does not alert, told when the reason changes.",
        fields: &["group", "service", "period", "reason", "cause"],
    },
    EventDoc {
        name: "untold",
        tools: TOOLS,
        doc: "A monitor could not be run or was killed: nothing is known of its service. Told when the reason changes.",
        fields: &["group", "service", "reason", "cause"],
    },
    EventDoc {
        name: "remembered",
        tools: TOOLS,
        doc: "A line of --state: one service as it was left.",
        fields: &["group", "service", "remembered"],
    },
    EventDoc {
        name: "started",
        tools: &["watch-services"],
        doc: "The services of mon.cf are watched from now on; the reason is start, reload or restart.",
        fields: &["file", "reason"],
    },
    EventDoc {
        name: "ended",
        tools: &["watch-services"],
        doc: "A part has ended that should not have, and is started again; or all has.",
        fields: &["what", "status", "cause"],
    },
];
