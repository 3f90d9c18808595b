//! Events from words, as scripts give them to `ha-event`: typed by the vocabulary, and whole where it knows the event.

use serde_json::Value;

use super::event::Event;
use super::fields;
use super::vocabulary::{self, COMMON, Kind};

/// Why words do not make an event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ComposeError {
    /// A name that no event may have.
    #[error("'{0}' is not a name for an event: use lower-case letters, digits and hyphens, a letter first")]
    Name(String),
    /// A word without an equals sign, or with a key that no field may have.
    #[error("'{0}' is not KEY=VALUE with a key of lower-case letters, digits and underscores, a letter first")]
    Pair(String),
    /// Twice the same key.
    #[error("the field '{0}' is given twice")]
    Twice(String),
    /// The output sets it.
    #[error("the field '{0}' is set by ha-event itself")]
    Common(String),
    /// The event is known and has no such field.
    #[error("the event {0} has no field '{1}'")]
    Foreign(String, String),
    /// The field is known and the value is not of its type.
    #[error("the field {0} is a {kind}, and '{2}' is none", kind = .1.name())]
    Type(String, Kind, String),
}

/// Makes an event from words, as scripts give them: typed by the vocabulary, and whole where the event is known.
///
/// With `from_fields` values are as `--fields` prints them: what one command printed can be handed on as it is.
pub fn compose(tool: &str, name: &str, pairs: &[String], from_fields: bool) -> Result<Event, ComposeError> {
    let word = |s: &str, extra: char| {
        s.starts_with(|c: char| c.is_ascii_lowercase())
            && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == extra)
    };
    if !word(name, '-') {
        return Err(ComposeError::Name(name.to_owned()));
    }
    let known = vocabulary::event(tool, name);
    let mut given: Vec<(&str, Value)> = Vec::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| word(key, '_')) else {
            return Err(ComposeError::Pair(pair.clone()));
        };
        if COMMON.iter().any(|f| f.name == key) {
            return Err(ComposeError::Common(key.to_owned()));
        }
        if given.iter().any(|(k, _)| *k == key) {
            return Err(ComposeError::Twice(key.to_owned()));
        }
        if known.is_some_and(|e| !e.fields.contains(&key)) {
            return Err(ComposeError::Foreign(name.to_owned(), key.to_owned()));
        }
        let decoded = if from_fields { fields::decode(value).unwrap_or_default() } else { value.to_owned() };
        given.push((key, typed(key, &decoded)?));
    }
    let words = ["cause", "message"].iter().find_map(|w| given.iter().find(|(k, _)| k == w)?.1.as_str());
    let mut event = Event::new(name, words.map_or_else(|| name.to_owned(), |w| format!("{name}: {w}")));
    for (key, value) in given {
        event = event.with(key, value);
    }
    for missing in known.iter().flat_map(|e| e.fields) {
        if !event.fields().contains_key(*missing) {
            event = event.with(missing, Value::Null);
        }
    }
    Ok(event)
}

fn typed(key: &str, value: &str) -> Result<Value, ComposeError> {
    let kind = vocabulary::field(key).map_or(Kind::Text, |f| f.kind);
    if value.is_empty() {
        return Ok(Value::Null);
    }
    let typed = match kind {
        Kind::Text | Kind::Command => Some(Value::from(value)),
        Kind::Bool => value.parse::<bool>().ok().map(Value::from),
        Kind::Number => value
            .parse::<i64>()
            .map(Value::from)
            .ok()
            .or_else(|| serde_json::Number::from_f64(value.parse().ok()?).map(Value::Number)),
        Kind::List => Some(value.split(',').map(Value::from).collect()),
        Kind::Words if !value.starts_with('{') => Some(Value::from(value)),
        Kind::Object | Kind::Objects | Kind::Words => serde_json::from_str(value).ok().filter(|v| kind.holds(v)),
    };
    typed.ok_or_else(|| ComposeError::Type(key.to_owned(), kind, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(tool: &str, name: &str, pairs: &[&str]) -> Result<String, ComposeError> {
        let pairs: Vec<String> = pairs.iter().map(|p| (*p).to_owned()).collect();
        compose(tool, name, &pairs, false).map(|e| Value::Object(e.fields().clone()).to_string())
    }

    #[test]
    fn words_become_typed_fields() {
        let got = composed("my-script", "note", &["status=3", "up=true", "macs=a,b", "own_key=x=y", "cause="]);
        assert_eq!(got, Ok(r#"{"status":3,"up":true,"macs":["a","b"],"own_key":"x=y","cause":null}"#.to_owned()));
        let got = composed("my-script", "note", &[r#"settings={"a":[1]}"#, r#"keys=[{"b":null}]"#]);
        assert_eq!(got, Ok(r#"{"settings":{"a":[1]},"keys":[{"b":null}]}"#.to_owned()));
        let got = composed("my-script", "error", &["code=c"]);
        assert_eq!(got, Ok(r#"{"code":"c","message":null,"hint":null}"#.to_owned()));
    }

    #[test]
    fn words_that_make_no_event() {
        for (name, pairs) in [
            ("Note", &[][..]),
            ("", &[]),
            ("note", &["x"]),
            ("note", &["=x"]),
            ("note", &["a=1", "a=2"]),
            ("note", &["at=now"]),
            ("note", &["status=three"]),
            ("note", &["status=NaN"]),
            ("note", &["up=yes"]),
            ("note", &["settings=x"]),
            ("note", &["settings=[]"]),
            ("note", &["keys=[1]"]),
            ("error", &["colour=red"]),
        ] {
            assert!(composed("my-script", name, pairs).is_err(), "{name} {pairs:?}");
        }
    }
}
