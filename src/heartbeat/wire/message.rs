//! A message: an ordered list of named fields.

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
}
