//! The load balancer: what lvs-sync changes, and what ha-conf makes of a .cf of ldirectord.

use super::{EventDoc, FieldDoc, boolean, list, number, objects, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text(
        "service",
        "a virtual service, as tcp://192.0.2.10:80, udp://[2001:db8::10]:53 or fwmark://1; of a check the name of the \
         service that is spoken to, such as smtp; of mon.cf the name that it has beside its group",
    ),
    text("server", "a server of that service, as 192.0.2.1:80; null where the service itself is meant"),
    text("ipvsadm", "the words of the call of ipvsadm(8)"),
    number("changes", "how many changes there were, or would be"),
    text("virtual", "a virtual service as ldirectord names it: tcp:192.0.2.10:80, fwm:1"),
    objects(
        "servers",
        "the servers of a virtual service, each with address, forward (gate, masq or ipip), weight (null: the one that it \
         has), lower and upper; of one that is wanted add (false: it is changed only where it is there), of a \
         configuration target (its name in checks) and checked (its prober, on or off)",
    ),
    list("scheduler_flags", "flags of the scheduler"),
    number("persistent_s", "seconds for which a client stays with its server; null: not at all"),
    text("netmask", "which clients count as one: a mask for IPv4, a length for IPv6; null: each for itself"),
    boolean("ops", "each datagram is a connection"),
    number("healthy", "how many servers of the service are up"),
    boolean("nobody", "all servers of the service are down: the fallback serves, if there is one"),
    text("fallback", "the server that serves because nobody else does; null where there is none"),
    text("prober", "the command that probes: probe-http, probe-tcp, probe-ping or probe-exec"),
    number("set", "the number of a set of targets that one process probes"),
    number("fall", "noes in a row that make a target down"),
    number("targets", "how many targets"),
    text("url", "what is asked for"),
    text("method", "by which HTTP method"),
    list("headers", "headers of the request"),
    text("body", "a regular expression that has to occur in what comes"),
    text("expect", "which HTTP status is good"),
    list("resolve", "addresses of names, as NAME:PORT:ADDRESS"),
    number("timeout_ms", "the longest that a check may take"),
    text("host", "the host that is asked"),
    boolean("udp", "datagrams; null: as the service has it"),
    objects("dialogue", "what is said and has to be heard, in its order: each with send or expect"),
    text("request", "what a service is asked for"),
    text("receive", "a regular expression that its answer has to match"),
    text("password", "the password of user"),
    text("database", "the database to log in to"),
    text("secret", "the secret of a RADIUS server"),
];

const SYNC: &[&str] = &["lvs-sync"];
const CONF: &[&str] = &["ha-conf"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "ipvs",
        tools: SYNC,
        doc: "One change of the kernel's table: action is add, edit or delete, was and is in words of ipvsadm.",
        fields: &["service", "server", "action", "was", "is", "ipvsadm", "dry_run"],
    },
    EventDoc {
        name: "outcome",
        tools: SYNC,
        doc: "Everything is as wanted, or would be; changed is false where it was before.",
        fields: &["changed", "dry_run", "changes", "total_ms", "cause"],
    },
    EventDoc {
        name: "ldirectord",
        tools: CONF,
        doc: "What a .cf of ldirectord says of the whole.",
        fields: &["file", "settings", "ignored"],
    },
    EventDoc {
        name: "virtual",
        tools: CONF,
        doc: "A virtual service of a .cf, with the settings that hold for it, wherever they stand.",
        fields: &["file", "line", "service", "virtual", "settings", "servers", "ignored"],
    },
    EventDoc {
        name: "prober",
        tools: CONF,
        doc: "A process that has to run for the checks of a .cf.",
        fields: &["set", "prober", "every_ms", "fall", "targets"],
    },
    EventDoc {
        name: "wanted",
        tools: CONF,
        doc: "A virtual service as it should be, by the states of its servers: for lvs-sync.",
        fields: &[
            "service",
            "virtual",
            "scheduler",
            "scheduler_flags",
            "persistent_s",
            "netmask",
            "ops",
            "servers",
            "healthy",
            "nobody",
            "fallback",
        ],
    },
    EventDoc {
        name: "check-http",
        tools: CONF,
        doc: "A target for probe-http.",
        fields: &["target", "url", "method", "headers", "body", "expect", "resolve", "timeout_ms"],
    },
    EventDoc {
        name: "check-ftp",
        tools: CONF,
        doc: "A target for probe-ftp.",
        fields: &["target", "url", "body", "user", "password", "timeout_ms"],
    },
    EventDoc {
        name: "check-tcp",
        tools: CONF,
        doc: "A target for probe-tcp.",
        fields: &[
            "target",
            "address",
            "service",
            "udp",
            "dialogue",
            "request",
            "receive",
            "user",
            "password",
            "database",
            "secret",
            "timeout_ms",
        ],
    },
    EventDoc {
        name: "check-ping",
        tools: CONF,
        doc: "A target for probe-ping.",
        fields: &["target", "host", "timeout_ms"],
    },
    EventDoc {
        name: "check-exec",
        tools: CONF,
        doc: "A target for probe-exec.",
        fields: &["target", "command", "timeout_ms"],
    },
];
