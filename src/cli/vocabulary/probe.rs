//! The events of the probes.

use super::{EventDoc, FieldDoc, boolean, number, text};

pub(super) const FIELDS: &[FieldDoc] = &[
    text("target", "what was probed, as given"),
    boolean("up", "true healthy, false a definite no, null could not be told"),
    text("reason", "a stable word for the verdict, such as ok, refused, timeout-connect, lookup-failed"),
    text("cause", "the reason in words that a person can act on"),
    text("was", "the state before"),
    text("is", "the state now"),
    number("status", "the status of HTTP or FTP, or the exit status of what ran"),
    text("address", "the IP address that was probed, or the service address, without its prefix length"),
    text("summary", "the first line that a check printed"),
    text("detail", "what a check printed after its first line, 8 KiB at most"),
    text("answer", "the beginning of what the service said"),
    number("lookup_ms", "name look-up"),
    number("connect_ms", "from the end of the look-up to the connection"),
    number("tls_ms", "from the connection to the end of the TLS handshake"),
    number("first_byte_ms", "from the connection (or the handshake) to the first byte of the answer"),
    number("total_ms", "the whole of it, from its start to the verdict"),
    number("sent", "how many packets or frames were sent"),
    number("received", "how many answers came"),
    number("rtt_ms", "the shortest round trip"),
];

/// What comes with every probe.
pub(super) const TRAFFIC: &[&str] = &["probe"];

pub(super) const EVENTS: &[EventDoc] = &[
    EventDoc {
        name: "probe",
        tools: &["probe-ftp", "probe-http"],
        doc: "The result of one probe of one URL. A phase that was not reached is null.",
        fields: &[
            "target",
            "up",
            "status",
            "reason",
            "cause",
            "address",
            "lookup_ms",
            "connect_ms",
            "tls_ms",
            "first_byte_ms",
            "total_ms",
        ],
    },
    EventDoc {
        name: "probe",
        tools: &["probe-ping"],
        doc: "The result of one probe of one host.",
        fields: &["target", "up", "reason", "cause", "address", "sent", "received", "rtt_ms", "total_ms"],
    },
    EventDoc {
        name: "probe",
        tools: &["probe-tcp"],
        doc: "The result of one probe of one service. A phase that was not reached is null.",
        fields: &[
            "target",
            "up",
            "reason",
            "cause",
            "answer",
            "address",
            "lookup_ms",
            "connect_ms",
            "tls_ms",
            "first_byte_ms",
            "total_ms",
        ],
    },
    EventDoc {
        name: "probe",
        tools: &["probe-exec"],
        doc: "The result of one run of one check.",
        fields: &["target", "up", "reason", "cause", "status", "summary", "detail", "total_ms"],
    },
    EventDoc {
        name: "state",
        tools: &["probe-exec", "probe-ftp", "probe-http", "probe-ping", "probe-tcp"],
        doc: "What is thought of a target has changed: unknown, up or down, after --fall or --rise results in a row.",
        fields: &["target", "was", "is", "cause"],
    },
];
