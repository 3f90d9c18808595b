//! Every event that a command of this project prints: its fields, their types and what they mean.
//!
//! ha-events(7) is generated from here, and debug builds hold every line that is printed to it. A field has one type and
//! one meaning, whatever event carries it; fields are added, never renamed.

mod config;
mod decide;
mod heartbeat;
mod lvs;
mod mon;
mod probe;
mod resource;
mod storage;
mod vip;
mod watch;

use serde_json::Value;

use super::event::Event;

/// The type of a field; every field may also be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// true or false.
    Bool,
    /// A list of strings.
    List,
    /// An object.
    Object,
    /// A list of objects.
    Objects,
    /// A string of an error, an object of a heartbeat: `message`, and nothing else.
    Words,
    /// A string of a process, a list of strings of what is to be run: `command`, and nothing else.
    Command,
}

impl Kind {
    /// As the manual names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Bool => "boolean",
            Self::List => "list of strings",
            Self::Object => "object",
            Self::Objects => "list of objects",
            Self::Words => "string, or object",
            Self::Command => "string, or list of strings",
        }
    }

    pub(super) fn holds(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(_) => matches!(self, Self::Text | Self::Words | Self::Command),
            Value::Number(_) => self == Self::Number,
            Value::Bool(_) => self == Self::Bool,
            Value::Array(items) => match self {
                Self::List | Self::Command => items.iter().all(Value::is_string),
                Self::Objects => items.iter().all(Value::is_object),
                _ => false,
            },
            Value::Object(_) => matches!(self, Self::Object | Self::Words),
        }
    }
}

/// A field.
#[derive(Debug)]
pub struct FieldDoc {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means, with its unit.
    pub doc: &'static str,
}

/// An event.
#[derive(Debug)]
pub struct EventDoc {
    /// Its name.
    pub name: &'static str,
    /// The commands that print it.
    pub tools: &'static [&'static str],
    /// When.
    pub doc: &'static str,
    /// Its fields, beside the common ones. All of them are always there.
    pub fields: &'static [&'static str],
}

/// Fields of every event.
pub const COMMON: &[FieldDoc] = &[
    text("at", "the wall clock, UTC, RFC 3339 with microseconds"),
    text("tool", "the command that printed the event"),
    text("event", "the name of the event"),
    number("mono_ms", "milliseconds on the boot-time clock, streams only; compare these, not at"),
    number("seq", "counts the events of one stream from 0, streams only; a gap means lines that a slow reader lost"),
];

const ERRORS: &[FieldDoc] = &[
    text("code", "a stable word for the kind of error"),
    FieldDoc {
        name: "message",
        kind: Kind::Words,
        doc: "of an error what failed, and where, in words (a string); of the heartbeat events a message by its fields, in \
              their order: text as string, binary as {\"base64\": …}, lists as lists, a message in a message as object",
    },
    text("hint", "what to do instead"),
];

const ERROR_EVENTS: &[EventDoc] = &[EventDoc {
    name: "error",
    tools: &[],
    doc: "Something could not be done or told. Every command prints it; the exit status is then 64 or above, unless a \
          stream goes on.",
    fields: &["code", "message", "hint"],
}];

const FIELDS: &[&[FieldDoc]] = &[
    COMMON,
    ERRORS,
    config::FIELDS,
    decide::FIELDS,
    heartbeat::FIELDS,
    lvs::FIELDS,
    mon::FIELDS,
    probe::FIELDS,
    resource::FIELDS,
    storage::FIELDS,
    vip::FIELDS,
    watch::FIELDS,
];
const EVENTS: &[&[EventDoc]] = &[
    ERROR_EVENTS,
    config::EVENTS,
    decide::EVENTS,
    heartbeat::EVENTS,
    lvs::EVENTS,
    mon::EVENTS,
    probe::EVENTS,
    resource::EVENTS,
    storage::EVENTS,
    vip::EVENTS,
    watch::EVENTS,
];

const TRAFFIC: &[&[&str]] = &[heartbeat::TRAFFIC, probe::TRAFFIC];

const fn text(name: &'static str, doc: &'static str) -> FieldDoc {
    FieldDoc { name, kind: Kind::Text, doc }
}

const fn number(name: &'static str, doc: &'static str) -> FieldDoc {
    FieldDoc { name, kind: Kind::Number, doc }
}

const fn boolean(name: &'static str, doc: &'static str) -> FieldDoc {
    FieldDoc { name, kind: Kind::Bool, doc }
}

const fn list(name: &'static str, doc: &'static str) -> FieldDoc {
    FieldDoc { name, kind: Kind::List, doc }
}

const fn object(name: &'static str, doc: &'static str) -> FieldDoc {
    FieldDoc { name, kind: Kind::Object, doc }
}

const fn objects(name: &'static str, doc: &'static str) -> FieldDoc {
    FieldDoc { name, kind: Kind::Objects, doc }
}

/// All fields, the common ones first.
pub fn all_fields() -> impl Iterator<Item = &'static FieldDoc> {
    FIELDS.iter().copied().flatten()
}

/// All events.
pub fn events() -> impl Iterator<Item = &'static EventDoc> {
    EVENTS.iter().copied().flatten()
}

/// A field by name.
pub fn field(name: &str) -> Option<&'static FieldDoc> {
    all_fields().find(|f| f.name == name)
}

/// An event by name and the command that prints it: two commands may use one name for their own purposes.
pub fn event(tool: &str, name: &str) -> Option<&'static EventDoc> {
    events().find(|e| e.name == name && (e.tools.is_empty() || e.tools.contains(&tool)))
}

/// Whether an event only reports traffic: of a stream that nobody reads such lines go first. A change of state is none.
pub fn is_traffic(name: &str) -> bool {
    TRAFFIC.iter().copied().flatten().any(|traffic| *traffic == name)
}

/// Where an event differs from its entry: nothing when it is as documented.
pub fn problems(tool: &str, event: &Event) -> Vec<String> {
    let Some(doc) = self::event(tool, event.name()) else {
        // Scripts of our users print events of their own through ha-event, under names of their own.
        let ours = events().any(|e| e.tools.contains(&tool));
        return if ours { vec![format!("{tool} has no event {}", event.name())] } else { Vec::new() };
    };
    let given = event.fields();
    let missing = doc.fields.iter().filter(|f| !given.contains_key(**f)).map(|f| format!("{f} is missing"));
    let wrong = given.iter().filter_map(|(name, value)| match field(name) {
        _ if !doc.fields.contains(&name.as_str()) => Some(format!("{name} is not a field of {}", doc.name)),
        Some(field) if field.kind.holds(value) => None,
        _ => Some(format!("{name} is not of its type: {value}")),
    });
    missing.chain(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_field_has_one_entry() {
        let mut seen = HashSet::new();
        for f in all_fields() {
            assert!(seen.insert(f.name), "{} stands twice", f.name);
            assert!(f.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", f.name);
        }
    }

    #[test]
    fn an_event_has_one_entry_a_tool_and_known_fields() {
        let mut seen = HashSet::new();
        for e in events() {
            for tool in e.tools {
                assert!(seen.insert((e.name, *tool)), "{} stands twice for {tool}", e.name);
            }
            for f in e.fields {
                assert!(field(f).is_some(), "{} has no entry", f);
            }
        }
    }

    #[test]
    fn traffic_is_no_change_of_state() {
        for name in TRAFFIC.iter().copied().flatten() {
            assert!(events().any(|e| e.name == *name), "{name} is no event");
        }
        let changes = ["node", "link", "medium", "stalled", "restarted", "error", "state", "lost", "status", "dropped"];
        assert!(changes.iter().all(|name| !is_traffic(name)));
        assert!(is_traffic("heartbeat") && is_traffic("message") && is_traffic("rejected") && is_traffic("probe"));
    }

    #[test]
    fn problems_are_named() {
        let bad = Event::new("error", "").with("code", 3).with("message", "m").with("colour", "red");
        let found = problems("garp", &bad);
        assert_eq!(found.len(), 3, "{found:?}");
        let good = Event::new("error", "").with("code", "c").with("message", "m").with("hint", Value::Null);
        assert!(problems("garp", &good).is_empty());
        assert!(!problems("garp", &Event::new("nonsense", "")).is_empty());
        assert!(problems("my-script", &Event::new("nonsense", "")).is_empty());
    }
}
