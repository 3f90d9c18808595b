//! What is to be done, as events.

use serde_json::{Map, Value};

use crate::cli::event::Event;
use crate::heartbeat::wire::message::Message;

/// Something for ha-node or hb-send to do, or for somebody to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a group here.
    Acquire {
        /// The group.
        group: String,
        /// Whoever had it has given it up, and said so: its addresses need not be asked for.
        free: bool,
        /// The dead nodes that had it or may have it: their own hardware addresses may be overridden, no other.
        dead: Vec<String>,
    },
    /// Stop a group here; a start that is under way is ended first.
    Release {
        /// The group.
        group: String,
        /// Another node has it, too, or may take it now: its addresses go before all else.
        addresses_first: bool,
    },
    /// Announce the addresses of a group again: somebody else did, too.
    Announce {
        /// The group.
        group: String,
    },
    /// Ask who answers for the addresses of a group: it will be needed if the node dies.
    Prepare {
        /// The group.
        group: String,
        /// The node that is late.
        node: String,
    },
    /// Say something to the other nodes.
    Send(Message),
    /// Heartbeats carry this from now on.
    Order {
        /// The status, where it changes.
        status: Option<&'static str>,
        /// The report, where there is one.
        report: Option<String>,
    },
    /// Pass this on to the sender.
    Reply(Map<String, Value>),
    /// Cut this node off its power, or its disks.
    Fence {
        /// The node.
        node: String,
    },
    /// What is thought of a group has changed.
    State {
        /// The group.
        group: String,
        /// The node that has it, starts or stops it.
        node: Option<String>,
        /// What was thought.
        was: &'static str,
        /// What is.
        is: &'static str,
    },
    /// An operator asked for what cannot be done.
    Refused {
        /// What was asked for.
        what: String,
    },
    /// The node is done.
    Exit {
        /// The exit status.
        status: u8,
    },
}

/// An action, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What.
    pub action: Action,
    /// In words.
    pub cause: String,
    /// The events that led to it, as `tool:seq`.
    pub because: Vec<String>,
}

impl Decision {
    /// As an event. A reply is the listener's own, and has no other reason.
    pub fn event(&self) -> Event {
        let Self { action, cause, because } = self;
        let words = |what: &str| format!("{what}: {cause}");
        let event = match action {
            Action::Acquire { group, free, dead } => Event::new("acquire", words(&format!("acquire {group}")))
                .with("group", group.as_str())
                .with("free", *free)
                .with("dead", dead.clone()),
            Action::Release { group, addresses_first } => Event::new("release", words(&format!("release {group}")))
                .with("group", group.as_str())
                .with("addresses_first", *addresses_first),
            Action::Announce { group } => {
                Event::new("announce", words(&format!("announce {group}"))).with("group", group.as_str())
            }
            Action::Prepare { group, node } => Event::new("prepare", words(&format!("prepare for {group}")))
                .with("group", group.as_str())
                .with("node", node.as_str()),
            Action::Send(message) => {
                let kind = message.text("t").unwrap_or_default();
                Event::new("send", words(&format!("say {kind}"))).with("message", message.to_json())
            }
            Action::Order { status, report } => {
                let fields = report.as_ref().map(|report| {
                    let field = (super::report::FIELD.to_owned(), Value::from(report.as_str()));
                    Value::Object(Map::from_iter([field]))
                });
                Event::new("order", words("heartbeats change")).with("st", *status).with("fields", fields)
            }
            Action::Reply(line) => return reply(line),
            Action::Fence { node } => Event::new("fence", words(&format!("fence {node}"))).with("node", node.as_str()),
            Action::State { group, node, was, is } => {
                let place = node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
                Event::new("state", words(&format!("{group} is {is}{place}, was {was}")))
                    .with("group", group.as_str())
                    .with("node", node.as_deref())
                    .with("was", *was)
                    .with("is", *is)
            }
            Action::Refused { what } => {
                Event::new("refused", words(&format!("{what} is not done"))).with("what", what.as_str())
            }
            Action::Exit { status } => Event::new("exit", words("exit")).with("status", *status),
        };
        event.with("cause", cause.as_str()).with("because", because.clone())
    }
}

/// A reply that was asked for, for whoever reads what is decided in place of a sender.
pub fn reply(line: &Map<String, Value>) -> Event {
    let mut event = Event::new("reply", "pass on");
    for field in ["node", "why", "message", "first_seq", "last_seq"] {
        event = event.with(field, line.get(field).cloned().unwrap_or_default());
    }
    event
}
