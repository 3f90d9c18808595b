//! What stdin asks of a sender: the events that another command printed, one object a line.

use serde_json::{Map, Value};

use super::speaker::OURS;
use crate::heartbeat::membership::window::Span;
use crate::heartbeat::wire::message::Message;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Say this.
    Say(Message),
    /// Say these again; the node that asked is told of those that cannot be.
    Resend {
        /// Which.
        span: Span,
        /// Who asked.
        node: Option<String>,
    },
    /// Heartbeats carry this status from now on, and these fields beside it.
    Status {
        /// The new status; none leaves it.
        status: Option<String>,
        /// All further fields; none leaves them.
        extra: Option<Vec<(String, String)>>,
    },
}

/// Reads one line: the name of the event, and what it asks. `None` is an event that is not meant for a sender.
///
/// # Errors
/// Words that name what is wrong with it.
pub fn read(line: &[u8]) -> Result<Option<(&'static str, Order)>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(line).map_err(|e| format!("not a JSON object: {e}"))?;
    let Value::Object(object) = value else { return Err("not a JSON object".to_owned()) };
    let name = match object.get("event") {
        Some(Value::String(name)) => name.as_str(),
        _ => return Err("the object has no event".to_owned()),
    };
    match name {
        "send" => match message(&object)? {
            Some(message) => Ok(Some(("send", Order::Say(message)))),
            None => Err("send needs a message, such as {\"t\":\"ask_resources\",\"rsc_hold\":\"all\"}".to_owned()),
        },
        "reply" => match (message(&object)?, span(&object)?) {
            (Some(message), None) => Ok(Some(("reply", Order::Say(message)))),
            (None, Some(span)) => Ok(Some(("reply", Order::Resend { span, node: text(&object, "node")? }))),
            _ => Err("reply needs either a message or first_seq and last_seq".to_owned()),
        },
        "order" => {
            // status by hand; st as every event carries it.
            let status = text(&object, "status")?.or(text(&object, "st")?);
            let span = span(&object)?;
            let extra = fields(&object)?;
            match span {
                Some(span) if status.is_none() && extra.is_none() => {
                    Ok(Some(("order", Order::Resend { span, node: text(&object, "node")? })))
                }
                None if status.is_some() || extra.is_some() => {
                    if let Some(status) = &status {
                        check_value("status", status)?;
                    }
                    Ok(Some(("order", Order::Status { status, extra })))
                }
                _ => Err("order needs a status (or fields), or first_seq and last_seq".to_owned()),
            }
        }
        _ => Ok(None),
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} is not a string")),
    }
}

fn message(object: &Map<String, Value>) -> Result<Option<Message>, String> {
    let message = match object.get("message") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(message)) => Message::from_json(message)?,
        Some(_) => return Err("message is not an object".to_owned()),
    };
    if message.text("t").is_none_or(str::is_empty) {
        return Err("the message has no type: \"t\"".to_owned());
    }
    match message.fields.iter().find(|f| OURS.contains(&f.name.as_str())) {
        Some(field) => Err(format!("the field {} is the sender's own: leave it out", field.name)),
        None => Ok(Some(message)),
    }
}

fn span(object: &Map<String, Value>) -> Result<Option<Span>, String> {
    let number = |name| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("{name} is not a whole number")),
    };
    match (number("first_seq")?, number("last_seq")?) {
        (None, None) => Ok(None),
        (Some(first), Some(last)) if first <= last => Ok(Some(Span { first, last })),
        (Some(first), None) => Ok(Some(Span { first, last: first })),
        _ => Err("first_seq is missing, or higher than last_seq".to_owned()),
    }
}

fn fields(object: &Map<String, Value>) -> Result<Option<Vec<(String, String)>>, String> {
    let fields = match object.get("fields") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err("fields is not an object of strings".to_owned()),
    };
    let mut extra = Vec::new();
    for field in &Message::from_json(fields)?.fields {
        let crate::heartbeat::wire::message::Value::Text(value) = &field.value else {
            return Err(format!("the field {} is not a string", field.name));
        };
        if OURS.contains(&field.name.as_str()) || ["t", "st", "dt", "protocol"].contains(&field.name.as_str()) {
            return Err(format!("the field {} is the sender's own: leave it out", field.name));
        }
        extra.push((field.name.clone(), value.clone()));
    }
    Ok(Some(extra))
}

/// Whether a text can stand in a message.
pub fn check_value(name: &str, value: &str) -> Result<(), String> {
    let mut probe = Map::new();
    probe.insert(name.to_owned(), Value::String(value.to_owned()));
    Message::from_json(&probe).map(|_| ())
}
