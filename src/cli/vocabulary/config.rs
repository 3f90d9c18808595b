//! The files of a cluster as documents, and what is wrong with them.

use super::{EventDoc, FieldDoc, list, number, object, objects, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("file", "the path of a configuration file"),
    number("line", "the line of that file, counted from 1; null where the whole file is meant"),
    text(
        "severity",
        "error: the file is not used; warning: it is used, and should be mended; note: it may stay as it is",
    ),
    number("errors", "how many errors were found"),
    number("warnings", "how many warnings were found"),
    number("notes", "how many notes there were: they are no problems"),
    list("nodes", "nodes of the cluster in lower case; of a group those that may have it, the preferred one first"),
    text("id", "the name of a group: its first resource as it was written"),
    objects(
        "resources",
        "the resources of a group in the order of their start, each with spec (as it was written), class (heartbeat, \
         lsb, ocf or systemd), provider (of an OCF agent, else null), agent and args (a list of strings)",
    ),
    object(
        "settings",
        "the directives of ha.cf or of a .cf of ldirectord under their names, with _ms, _s or _kib behind those that have a \
         unit, and the defaults of heartbeat or ldirectord for those that are not given; of mon.cf likewise, times with _ms",
    ),
    objects(
        "media",
        "the media of ha.cf in the order of their lines, each with kind (bcast, ucast, ucast6, mcast, mcast6 or serial) \
         and, as the kind has them, dev, host, group, port, ttl, loop, path and baud",
    ),
    objects("ignored", "directives that are accepted and do nothing, each with directive, line and reason"),
    number("sending", "the number of the key that signs what is sent"),
    objects("keys", "the keys of authkeys, each with index, method and line; never the key itself"),
];

const TOOLS: &[&str] = &["ha-conf"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "ha-cf",
        tools: TOOLS,
        doc: "The whole of ha.cf.",
        fields: &["file", "nodes", "settings", "media", "ignored"],
    },
    EventDoc {
        name: "group",
        tools: TOOLS,
        doc: "One group of haresources: resources that move together.",
        fields: &["file", "line", "id", "nodes", "resources"],
    },
    EventDoc {
        name: "authkeys",
        tools: TOOLS,
        doc: "The whole of authkeys, but for the keys.",
        fields: &["file", "sending", "keys"],
    },
    EventDoc {
        name: "problem",
        tools: TOOLS,
        doc: "Something is wrong in a file: what, where, and what to do about it.",
        fields: &["file", "line", "severity", "message", "hint"],
    },
    EventDoc {
        name: "checked",
        tools: TOOLS,
        doc: "All files that could be read were checked.",
        fields: &["errors", "warnings", "notes", "cause"],
    },
];
