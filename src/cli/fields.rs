//! `--fields a,b,c`: chosen fields as tab-separated columns that a shell's `read` takes apart without jq or eval.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::vocabulary;

/// The columns that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Vec<Vec<String>>);

/// Why a list of fields is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FieldsError {
    /// Nothing between two commas.
    #[error("an empty name in the list of fields")]
    Empty,
    /// A name that no event has: a typing error would otherwise print '-' for ever.
    #[error("no event has a field '{0}'; ha-events(7) lists them all")]
    Unknown(String),
}

/// Parses `a,b.c`; every first word has to be a field of the vocabulary.
pub fn parse(text: &str) -> Result<Fields, FieldsError> {
    let column = |path: &str| {
        let steps: Vec<String> = path.split('.').map(|s| s.trim().to_owned()).collect();
        if steps.iter().any(String::is_empty) {
            return Err(FieldsError::Empty);
        }
        match vocabulary::field(&steps[0]) {
            Some(_) => Ok(steps),
            None => Err(FieldsError::Unknown(steps[0].clone())),
        }
    };
    text.split(',').map(column).collect::<Result<_, _>>().map(Fields)
}

impl Fields {
    /// One line, without its newline.
    pub fn line(&self, object: &Map<String, Value>) -> String {
        let mut line = String::new();
        for (n, path) in self.0.iter().enumerate() {
            if n > 0 {
                line.push('\t');
            }
            let mut steps = path.iter();
            let first = steps.next().and_then(|s| object.get(s));
            column(&mut line, steps.fold(first, |at, step| at.and_then(|v| v.get(step))));
        }
        line
    }
}

fn column(line: &mut String, value: Option<&Value>) {
    match value {
        None | Some(Value::Null) => line.push('-'),
        Some(Value::String(s)) => text(line, s),
        Some(Value::Array(items)) => text(line, &items.iter().map(plain).collect::<Vec<_>>().join(",")),
        Some(other) => text(line, &plain(other)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Tabs, newlines and backslashes escaped; the empty string as `\e`, a lone `-` as `\-`: no column is empty, and null
/// cannot be confused with text.
fn text(line: &mut String, s: &str) {
    match s {
        "" => line.push_str("\\e"),
        "-" => line.push_str("\\-"),
        _ => {
            for c in s.chars() {
                match c {
                    '\t' => line.push_str("\\t"),
                    '\n' => line.push_str("\\n"),
                    '\r' => line.push_str("\\r"),
                    '\\' => line.push_str("\\\\"),
                    c if c.is_control() => {
                        let _ = write!(line, "\\x{:02x}", u32::from(c)); // writing to a String cannot fail
                    }
                    c => line.push(c),
                }
            }
        }
    }
}

/// Undoes what [`Fields::line`] did to one column; `None` for null.
pub fn decode(column: &str) -> Option<String> {
    match column {
        "-" => return None,
        "\\e" => return Some(String::new()),
        "\\-" => return Some("-".to_owned()),
        _ => {}
    }
    let mut text = String::with_capacity(column.len());
    let mut rest = column.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                text.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            Some(other) => text.push(other),
            None => text.push('\\'),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn line(fields: &str, object: Value) -> String {
        let fields = parse(fields).unwrap_or_else(|e| panic!("{e}"));
        fields.line(object.as_object().unwrap_or(&Map::new()))
    }

    #[test]
    fn every_kind_of_value() {
        let object = json!({"event": "a\tb\\c\nd", "cause": "", "up": null, "target": "-", "seq": 3,
            "macs": ["x", "y"], "hint": "z"});
        let got = line("event,cause,up,target,seq,macs,at,hint", object);
        assert_eq!(got, "a\\tb\\\\c\\nd\t\\e\t-\t\\-\t3\tx,y\t-\tz");
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(parse("event,taget"), Err(FieldsError::Unknown("taget".into())));
        assert_eq!(parse("event,,at"), Err(FieldsError::Empty));
        assert_eq!(parse(""), Err(FieldsError::Empty));
    }

    proptest! {
        /// Whatever a value holds, `read` sees one line with as many non-empty columns as were asked for.
        #[test]
        fn columns_stay_columns(a in any::<String>(), b in any::<String>()) {
            let got = line("event,cause", json!({"event": a, "cause": b}));
            let columns: Vec<&str> = got.split('\t').collect();
            prop_assert_eq!(columns.len(), 2);
            prop_assert!(columns.iter().all(|c| !c.is_empty()));
            prop_assert!(!got.contains(['\n', '\r']));
            prop_assert_eq!(decode(columns[0]), Some(a));
            prop_assert_eq!(decode(columns[1]), Some(b));
        }
    }
}
