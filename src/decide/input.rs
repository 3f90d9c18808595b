//! What there is to decide on: the events of other commands and of scripts, one JSON object a line.
//!
//! Only what matters is read; every other event is left alone. Time comes with the events: `mono_ms`.

use std::time::Duration;

use serde_json::{Map, Value};

use super::report::{FIELD, Report};
use crate::clock::Instant;
use crate::heartbeat::membership::judge::NodeState;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// When it was printed; none where it is not part of a stream.
    pub now: Option<Instant>,
    /// The wall clock then, as it was printed.
    pub at: Option<String>,
    /// `tool:seq`, for whoever wants to know what led to a decision.
    pub source: String,
    /// What it says.
    pub what: What,
}

/// A heartbeat's report of its sender.
#[derive(Clone, Debug, PartialEq)]
pub enum Voice {
    /// One of ours.
    Ours(Report),
    /// A report of a version that is not understood.
    Foreign,
    /// None: a real heartbeat, or one of ours that does not decide yet.
    None,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// hb-listen: what is thought of a node.
    Node {
        /// The node.
        node: String,
        /// What.
        is: NodeState,
        /// How long it was silent.
        silent: Option<Duration>,
        /// The silence that means its death.
        deadtime: Option<Duration>,
    },
    /// hb-listen: a node has started again; what it said before is over.
    Restarted {
        /// The node.
        node: String,
    },
    /// hb-listen: a heartbeat that says something new.
    Beat {
        /// The node.
        node: String,
        /// Its status: init, up, active, dead.
        status: String,
        /// Its generation.
        generation: u64,
        /// Its number.
        number: u64,
        /// What it says of itself.
        voice: Voice,
    },
    /// hb-listen: what is thought of a node on one medium.
    Link {
        /// The node.
        node: String,
        /// The medium.
        medium: String,
        /// unknown, up or dead.
        is: String,
    },
    /// hb-listen: any other message.
    Message {
        /// The node.
        node: String,
        /// Its fields.
        fields: Map<String, Value>,
    },
    /// hb-listen: something to be sent for it. It is passed on as it is.
    Reply(Map<String, Value>),
    /// hb-listen or hb-send did not run for so long.
    Stalled {
        /// How long.
        gap: Duration,
    },
    /// hb-send: heartbeats carry this generation from now on.
    Generation(u64),
    /// hb-send: a heartbeat left.
    Sent,
    /// probe-ping: the result of one probe of a host.
    Ping {
        /// The host.
        host: String,
        /// Whether it answered; none where it could not be asked.
        up: Option<bool>,
        /// When the probe began.
        began: Option<Instant>,
    },
    /// ha-node: a group may run here since before, and could not be stopped.
    Found(String),
    /// ha-node: all groups were stopped but those that were found.
    Ready,
    /// ha-node: an action is done, or failed with another status than 0.
    Done {
        /// acquire, release or fence.
        action: String,
        /// The group, or the node that was fenced.
        of: String,
        /// The exit status.
        status: i64,
        /// Why it failed.
        cause: Option<String>,
    },
    /// ha-node: something of a group does not run any more.
    Lost {
        /// The group.
        group: String,
        /// Why.
        cause: String,
    },
    /// An operator's order.
    Order(Order),
    /// Time has passed.
    Tick,
}

/// What an operator may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Give these groups to others.
    Standby(Which),
    /// Take these groups from others.
    Takeover(Which),
    /// Put every group where it belongs.
    Failback,
    /// Forget failures, and try again.
    Retry,
    /// Give up everything and leave.
    Leave,
}

/// Which groups, as heartbeat names them from the view of the node that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those that prefer this node.
    Local,
    /// Those that prefer another.
    Foreign,
}

impl Which {
    /// Reads the word; `failback` is what is foreign.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "local" => Some(Self::Local),
            "foreign" | "failback" => Some(Self::Foreign),
            _ => None,
        }
    }
}

/// Reads one line. `None` is an event that decides nothing.
///
/// # Errors
/// Words that name what is wrong with it.
pub fn read(line: &[u8]) -> Result<Option<Input>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(line).map_err(|e| format!("not a JSON object: {e}"))?;
    let Value::Object(object) = value else { return Err("not a JSON object".to_owned()) };
    let fields = Fields(&object);
    let (tool, event) = (fields.text("tool")?, fields.text("event")?);
    let now = fields.millis("mono_ms").map(Instant::at);
    let at = fields.maybe("at").map(str::to_owned);
    let seq = object.get("seq").and_then(Value::as_u64);
    let source = seq.map_or_else(|| tool.to_owned(), |seq| format!("{tool}:{seq}"));
    let what = match (tool, event) {
        ("hb-listen", "node") => What::Node {
            node: fields.owned("node")?,
            is: state(fields.text("is")?)?,
            silent: fields.millis("silent_ms"),
            deadtime: fields.millis("deadtime_ms"),
        },
        ("hb-listen", "restarted") => What::Restarted { node: fields.owned("node")? },
        ("hb-listen", "heartbeat") => beat(&fields)?,
        ("hb-listen", "link") => {
            What::Link { node: fields.owned("node")?, medium: fields.owned("medium")?, is: fields.owned("is")? }
        }
        ("hb-listen", "message") => {
            What::Message { node: fields.owned("node")?, fields: fields.object("message")?.clone() }
        }
        ("hb-listen", "reply") => What::Reply(object.clone()),
        ("hb-listen", "stalled" | "overloaded") => What::Stalled { gap: fields.millis("gap_ms").unwrap_or_default() },
        ("hb-listen", "tick") => What::Tick,
        ("hb-send", "sending" | "stalled") => What::Generation(fields.number("generation")?),
        ("hb-send", "sent") if fields.maybe("type") == Some("status") => What::Sent,
        ("probe-ping", "probe") => ping(&fields, now)?,
        (_, "found") => What::Found(fields.owned("group")?),
        (_, "ready") => What::Ready,
        (_, "done") => What::Done {
            action: fields.owned("action")?,
            of: fields.maybe("group").or(fields.maybe("node")).ok_or("done names neither group nor node")?.to_owned(),
            status: object.get("status").and_then(Value::as_i64).ok_or("done has no status")?,
            cause: fields.maybe("cause").map(str::to_owned),
        },
        ("ha-node", "lost") => What::Lost {
            group: fields.owned("group")?,
            cause: fields.maybe("cause").unwrap_or("it does not run any more").to_owned(),
        },
        (_, "asked") => What::Order(order(&fields)?),
        _ => return Ok(None),
    };
    Ok(Some(Input { now, at, source, what }))
}

fn beat(fields: &Fields) -> Result<What, String> {
    let message = Fields(fields.object("message")?);
    let hexadecimal = |name: &str| -> Result<u64, String> {
        match message.maybe(name) {
            None => Ok(0),
            Some(text) => u64::from_str_radix(text, 16).map_err(|_| format!("{name} is no number: {text}")),
        }
    };
    let voice = match message.maybe(FIELD) {
        None => Voice::None,
        Some(text) => Report::decode(text).map_or(Voice::Foreign, Voice::Ours),
    };
    Ok(What::Beat {
        node: fields.owned("node")?,
        status: fields.maybe("st").unwrap_or_default().to_owned(),
        generation: hexadecimal("hg")?,
        number: hexadecimal("seq")?,
        voice,
    })
}

fn ping(fields: &Fields, now: Option<Instant>) -> Result<What, String> {
    let took = fields.millis("total_ms").unwrap_or_default();
    let began = now.map(|now| Instant::at(now.since_boot().saturating_sub(took)));
    Ok(What::Ping { host: fields.owned("target")?, up: fields.0.get("up").and_then(Value::as_bool), began })
}

fn order(fields: &Fields) -> Result<Order, String> {
    let which = || {
        let word = fields.maybe("which").unwrap_or("all");
        Which::of(word).ok_or_else(|| format!("which is all, local, foreign or failback, not {word}"))
    };
    match fields.text("what")? {
        "standby" => Ok(Order::Standby(which()?)),
        "takeover" => Ok(Order::Takeover(which()?)),
        "failback" => Ok(Order::Failback),
        "retry" => Ok(Order::Retry),
        "leave" => Ok(Order::Leave),
        other => Err(format!("what is standby, takeover, failback, retry or leave, not {other}")),
    }
}

fn state(word: &str) -> Result<NodeState, String> {
    let states = [NodeState::Unknown, NodeState::Up, NodeState::Late, NodeState::Dead, NodeState::Left];
    states.into_iter().find(|s| s.name() == word).ok_or_else(|| format!("a node is never {word}"))
}

struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn maybe(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.maybe(name).ok_or_else(|| format!("the event has no {name}"))
    }

    fn owned(&self, name: &str) -> Result<String, String> {
        self.text(name).map(str::to_owned)
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.0.get(name).and_then(Value::as_u64).ok_or_else(|| format!("the event has no {name}"))
    }

    fn object(&self, name: &str) -> Result<&'a Map<String, Value>, String> {
        self.0.get(name).and_then(Value::as_object).ok_or_else(|| format!("the event has no {name}"))
    }

    fn millis(&self, name: &str) -> Option<Duration> {
        let ms = self.0.get(name).and_then(Value::as_f64)?;
        Duration::try_from_secs_f64(ms / 1e3).ok()
    }
}
