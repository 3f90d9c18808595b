//! A message: an ordered list of named fields; what may be in it, and how it looks as JSON.
//!
//! | value | as JSON |
//! | --- | --- |
//! | text | a string |
//! | binary | `{"base64":"…"}` |
//! | struct | an object; none of its fields can be called `base64` |
//! | list | an array of strings |
//! | raw | `{"type":4,"base64":"…"}`, the type 4 or 5 |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::{MAX_DEPTH, MAX_FIELDS, Rejection};

/// The fields that make a message the shell of a compressed one.
pub(super) const PAYLOAD: &str = "_compressed_payload";
pub(super) const ALGORITHM: &str = "_compression_algorithm";

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Type 0.
    Text(String),
    /// Type 1, base64 in the classic form.
    Binary(Vec<u8>),
    /// Type 2: a message in a message.
    Struct(Message),
    /// Type 3.
    List(Vec<String>),
    /// Type 4, a compressed struct, and 5, one that is to be compressed: kept as the bytes that came.
    Raw(u8, Vec<u8>),
}

impl Value {
    /// The number of its type on the wire.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Text(_) => 0,
            Self::Binary(_) => 1,
            Self::Struct(_) => 2,
            Self::List(_) => 3,
            Self::Raw(kind, _) => *kind,
        }
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, never empty.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A message: fields in their order; a name may stand twice, and the first one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The fields.
    pub fields: Vec<Field>,
}

impl Message {
    /// The text of the first field of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.fields.iter().find(|f| f.name == name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of the first field of that name, a binary one.
    pub fn binary(&self, name: &str) -> Option<&[u8]> {
        match &self.fields.iter().find(|f| f.name == name)?.value {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The same message with one more text field at its end.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push(Field { name: name.to_owned(), value: Value::Text(value.into()) });
        self
    }

    /// The message as JSON. Of fields of the same name the first one is shown.
    pub fn to_json(&self) -> Map<String, Json> {
        let mut object = Map::new();
        for Field { name, value } in &self.fields {
            if !object.contains_key(name) {
                object.insert(name.clone(), value.to_json());
            }
        }
        object
    }

    /// The message that this JSON describes, ready to be sent.
    ///
    /// # Errors
    ///
    /// In words that name the field: a value that is no JSON of a field, or what [`Message::check`] refuses.
    pub fn from_json(object: &Map<String, Json>) -> Result<Self, String> {
        let message = from_object(object, "", 0)?;
        message.check()?;
        Ok(message)
    }

    /// Whether every receiver reads the message as it was meant: in either form, with the stand-ins that the classic one has
    /// for newlines, and over a serial line, where carriage returns are dropped.
    ///
    /// # Errors
    ///
    /// In words that name the field: a name that is not of printable ASCII without blank, `=` and `(` in front; a text or
    /// an item with NUL, newline, carriage return or a control character from 0x13 to 0x1f; `auth` or what only a compressed
    /// message has, which are added when it is sealed; too many fields, or nested too deep.
    pub fn check(&self) -> Result<(), String> {
        let mut left = MAX_FIELDS;
        check(self, "", 0, &mut left)
    }
}

impl Value {
    fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Binary(bytes) => json!({"base64": STANDARD.encode(bytes)}),
            Self::Struct(message) => Json::Object(message.to_json()),
            Self::List(items) => Json::from(items.as_slice()),
            Self::Raw(kind, bytes) => json!({"type": kind, "base64": STANDARD.encode(bytes)}),
        }
    }
}

fn from_object(object: &Map<String, Json>, path: &str, depth: usize) -> Result<Message, String> {
    if depth > MAX_DEPTH {
        return Err(format!("'{}' is nested too deep", path.trim_end_matches('.')));
    }
    let field = |(name, value): (&String, &Json)| {
        let path = format!("{path}{name}");
        Ok(Field { name: name.clone(), value: from_value(value, &path, depth)? })
    };
    Ok(Message { fields: object.iter().map(field).collect::<Result<_, String>>()? })
}

fn from_value(value: &Json, path: &str, depth: usize) -> Result<Value, String> {
    match value {
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Value::List)
            .ok_or_else(|| format!("'{path}' is a list of something else than strings")),
        Json::Object(object) => match object.get("base64") {
            None => Ok(Value::Struct(from_object(object, &format!("{path}."), depth + 1)?)),
            Some(text) => {
                let bytes = text.as_str().and_then(|text| STANDARD.decode(text).ok());
                let bytes = bytes.ok_or_else(|| format!("'{path}' is no base64"))?;
                match (object.len(), object.get("type").map(Json::as_u64)) {
                    (1, None) => Ok(Value::Binary(bytes)),
                    (2, Some(Some(kind @ (4 | 5)))) => Ok(Value::Raw(kind as u8, bytes)),
                    _ => Err(format!("'{path}' has more than base64 and a type of 4 or 5")),
                }
            }
        },
        Json::Number(_) | Json::Bool(_) | Json::Null => {
            Err(format!("'{path}' is no string: numbers are sent as text, {value} as \"{value}\""))
        }
    }
}

fn check(message: &Message, path: &str, depth: usize, left: &mut usize) -> Result<(), String> {
    for Field { name, value } in &message.fields {
        let path = format!("{path}{name}");
        one_more(left, &path)?;
        is_name(name.as_bytes(), depth).map_err(|why| format!("'{}': {why}", path.escape_debug()))?;
        if depth == 0 && (name == PAYLOAD || name == ALGORITHM) {
            return Err(format!("'{path}' is added when a message is compressed"));
        }
        let text = |text: &str, what: &str| match text.bytes().find(|b| matches!(b, b'\n' | b'\r') || !may_stand(*b)) {
            Some(byte) => Err(format!("'{path}' has a control character in its {what}: 0x{byte:02x}")),
            None => Ok(()),
        };
        match value {
            Value::Text(value) => text(value, "text")?,
            Value::Binary(_) | Value::Raw(4 | 5, _) => {}
            Value::Raw(kind, _) => return Err(format!("'{path}' is of type {kind}, which is not 4 or 5")),
            Value::List(items) => {
                for item in items {
                    one_more(left, &path)?;
                    text(item, "list")?;
                }
            }
            Value::Struct(_) if depth == MAX_DEPTH => return Err(format!("'{path}' is nested too deep")),
            Value::Struct(inner) => check(inner, &format!("{path}."), depth + 1, left)?,
        }
    }
    Ok(())
}

fn one_more(left: &mut usize, path: &str) -> Result<(), String> {
    *left = left.checked_sub(1).ok_or_else(|| format!("'{path}' is one field too many: {MAX_FIELDS} at most"))?;
    Ok(())
}

/// What no text holds: it ends strings in C, or stands for a newline in the classic form.
fn may_stand(byte: u8) -> bool {
    byte != 0 && !(0x13..=0x1f).contains(&byte)
}

/// The name of a field of a message at this depth.
pub(super) fn is_name(name: &[u8], depth: usize) -> Result<&str, Rejection> {
    // One that begins with a parenthesis would be a type in the classic form, where that of a text is left out.
    if name.is_empty() || name[0] == b'(' || !name.iter().all(|b| b.is_ascii_graphic() && *b != b'=') {
        return Err(Rejection::Malformed(
            "a name is empty, or has other characters than printable ASCII without ' =' and '(' in front",
        ));
    }
    if depth == 0 && name == b"auth" {
        return Err(Rejection::Malformed("an authentication that is not the last field"));
    }
    std::str::from_utf8(name).map_err(|_| Rejection::Malformed("a name is no ASCII"))
}

/// A text as it may come: with newlines, which the classic form has a stand-in for.
pub(super) fn is_text(text: &[u8]) -> Result<&str, Rejection> {
    if !text.iter().all(|b| may_stand(*b)) {
        return Err(Rejection::Malformed("a text has control characters"));
    }
    std::str::from_utf8(text).map_err(|_| Rejection::Malformed("a text is no UTF-8"))
}

/// An item of a list as it may come: without newlines, which the classic form has no stand-in for here.
pub(super) fn is_item(item: &[u8]) -> Result<&str, Rejection> {
    if item.contains(&b'\n') {
        return Err(Rejection::Malformed("a list has control characters"));
    }
    is_text(item)
}
