//! One event: a name, flat fields, and the same in words for a person.

use std::time::Duration;

use serde_json::{Map, Number, Value};

use crate::clock;

/// An event on its way to stdout. `at`, `tool`, `mono_ms` and `seq` are added by the output.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) name: String,
    pub(super) fields: Map<String, Value>,
    pub(super) words: String,
}

impl Event {
    /// A new event; `words` is what `--human` prints for it.
    pub fn new(name: impl Into<String>, words: impl Into<String>) -> Self {
        Self { name: name.into(), fields: Map::new(), words: words.into() }
    }

    /// Adds a field. `None` becomes null: a field is never left out because its value is not known.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Adds a field that is printed with `Display`, or null.
    pub fn shown(self, field: &str, value: Option<impl ToString>) -> Self {
        self.with(field, value.map(|v| v.to_string()))
    }

    /// Adds a duration in milliseconds with three decimals, or null.
    pub fn ms(self, field: &str, value: impl Into<Option<Duration>>) -> Self {
        let value = value.into().and_then(|d| Number::from_f64(clock::millis(d)));
        self.with(field, value.map_or(Value::Null, Value::Number))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields added so far.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}
