//! What the status file says, line by line: ha-decide writes it, ha-status reads it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::event::Event;
use crate::cli::exit::Answer;
use crate::decide::{GroupView, NodeView};

/// Where a node's FIFOs, its pid and its status are, unless somebody says otherwise.
pub const RUN_DIR: &str = "/run/takeover";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// What is thought of a node.
    Node(NodeRow),
    /// What is thought of a group.
    Group(GroupRow),
    /// What came of an operator's order.
    Order(OrderRow),
}

/// What is thought of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub node: String,
    /// unknown, up, late, dead or left.
    pub is: String,
    /// It is the one that says so.
    pub mine: bool,
    /// The status that its heartbeats carry; empty where none was heard.
    pub st: String,
    /// The media that it was heard on, as MEDIUM=STATE.
    pub links: Vec<String>,
    /// What is to be known of it beside that; empty where there is nothing.
    pub cause: String,
}

/// What is thought of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name.
    pub group: String,
    /// unknown, stopped, starting, running, stopping, stuck or failed.
    pub is: String,
    /// Where.
    pub node: Option<String>,
    /// The nodes that may have it, the preferred one first.
    pub nodes: Vec<String>,
    /// Why it is so.
    pub cause: String,
}

/// What came of an operator's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// standby, takeover, failback, retry or leave.
    pub what: String,
    /// all, local, foreign or failback; empty where it was not said.
    pub which: String,
    /// The words of whoever asked: they tell one order from another.
    pub cause: String,
    /// What was not done, and why.
    pub refusals: Vec<String>,
}

impl Row {
    /// As an event. The words for a person are the caller's.
    pub fn event(&self, words: &str) -> Event {
        let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        match self {
            Self::Node(row) => Event::new("node-status", words)
                .with("node", row.node.as_str())
                .with("is", row.is.as_str())
                .with("mine", row.mine)
                .with("st", text(&row.st))
                .with("links", row.links.clone())
                .with("cause", text(&row.cause)),
            Self::Group(row) => Event::new("group-status", words)
                .with("group", row.group.as_str())
                .with("is", row.is.as_str())
                .with("node", row.node.clone())
                .with("nodes", row.nodes.clone())
                .with("cause", text(&row.cause)),
            Self::Order(row) => Event::new("order-status", words)
                .with("what", row.what.as_str())
                .with("which", text(&row.which))
                .with("cause", text(&row.cause))
                .with("refusals", row.refusals.clone()),
        }
    }

    /// Reads a line of the file. `None` is an event of a later version.
    ///
    /// # Errors
    /// What is missing in it.
    pub fn read(line: &str) -> Result<Option<Self>, String> {
        let object: Map<String, Value> = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let maybe = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = |name: &str| Some(maybe(name)).filter(|t| !t.is_empty()).ok_or_else(|| format!("no {name}"));
        let list = |name: &str| -> Vec<String> {
            let items = object.get(name).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let cause = maybe("cause");
        Ok(Some(match text("event")?.as_str() {
            "node-status" => Self::Node(NodeRow {
                node: text("node")?,
                is: text("is")?,
                mine: object.get("mine").and_then(Value::as_bool).ok_or("no mine")?,
                st: maybe("st"),
                links: list("links"),
                cause,
            }),
            "group-status" => Self::Group(GroupRow {
                group: text("group")?,
                is: text("is")?,
                node: Some(maybe("node")).filter(|n| !n.is_empty()),
                nodes: list("nodes"),
                cause,
            }),
            "order-status" => {
                Self::Order(OrderRow { what: text("what")?, which: maybe("which"), cause, refusals: list("refusals") })
            }
            _ => return Ok(None),
        }))
    }
}

impl From<NodeView<'_>> for Row {
    fn from(view: NodeView) -> Self {
        let link = |(medium, is): (&str, &str)| format!("{medium}={is}");
        Self::Node(NodeRow {
            node: view.name.to_owned(),
            is: view.is.to_owned(),
            mine: view.me,
            st: view.status.to_owned(),
            links: view.links.into_iter().map(link).collect(),
            cause: view.cause,
        })
    }
}

impl From<GroupView<'_>> for Row {
    fn from(view: GroupView) -> Self {
        Self::Group(GroupRow {
            group: view.name.to_owned(),
            is: view.is.to_owned(),
            node: view.node.map(str::to_owned),
            nodes: view.candidates.into_iter().map(str::to_owned).collect(),
            cause: view.why.to_owned(),
        })
    }
}

/// Whether all groups run. What nobody can tell of is no no.
pub fn answer(rows: &[Row]) -> Answer {
    let groups = rows.iter().filter_map(|row| match row {
        Row::Group(group) => Some(match group.is.as_str() {
            "running" => Answer::Yes,
            "unknown" => Answer::CannotTell,
            _ => Answer::No,
        }),
        _ => None,
    });
    Answer::all(groups)
}

/// Whether the process of this number is an ha-node: a number may have passed on to somebody else since it was written.
pub fn is_node(proc: &Path, pid: u32) -> bool {
    // One that ended and was not waited for has an empty command line.
    let line = std::fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    line.windows(NODE.len()).any(|w| w == NODE)
}

const NODE: &[u8] = b"ha-node";

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let node = NodeRow {
            node: "ha1".into(),
            is: "up".into(),
            mine: false,
            st: "active".into(),
            links: vec!["udp:694@eth0=up".into(), "serial:/dev/ttyS0@19200=dead".into()],
            cause: String::new(),
        };
        let group = GroupRow {
            group: "192.0.2.10".into(),
            is: "running".into(),
            node: Some("ha1".into()),
            nodes: vec!["ha1".into(), "ha2".into()],
            cause: "nobody has it".into(),
        };
        let order = OrderRow {
            what: "standby".into(),
            which: "all".into(),
            cause: "x".into(),
            refusals: vec!["giving up 192.0.2.10: no other node can have it".into()],
        };
        vec![Row::Node(node), Row::Group(group), Row::Order(order)]
    }

    #[test]
    fn what_is_written_is_read() {
        for row in rows() {
            let event = row.event("");
            let mut object = event.fields().clone();
            object.insert("event".into(), event.name().into());
            assert_eq!(Row::read(&Value::Object(object).to_string()), Ok(Some(row)));
            assert_eq!(crate::cli::vocabulary::problems("ha-decide", &event), Vec::<String>::new());
            assert_eq!(crate::cli::vocabulary::problems("ha-status", &event), Vec::<String>::new());
        }
        assert_eq!(Row::read(r#"{"event":"weather-status"}"#), Ok(None));
        for wrong in ["", "{", "[]", "{}", r#"{"event":"node-status","node":"a","is":"up"}"#] {
            assert!(Row::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_is_known_is_answered() {
        let group = |is: &str| {
            let Row::Group(group) = rows().remove(1) else { unreachable!() };
            Row::Group(GroupRow { is: is.into(), ..group })
        };
        let of = |states: &[&str]| answer(&states.iter().map(|is| group(is)).collect::<Vec<_>>());
        assert_eq!(of(&[]), Answer::Yes);
        assert_eq!(of(&["running", "running"]), Answer::Yes);
        for no in ["stopped", "starting", "stopping", "stuck", "failed"] {
            assert_eq!(of(&["running", no]), Answer::No, "{no}");
            assert_eq!(of(&["unknown", no]), Answer::CannotTell, "{no}");
        }
    }
}
