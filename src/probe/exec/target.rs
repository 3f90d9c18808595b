//! Which command to run, how often and how: from the words of a call, and from JSON lines on stdin. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::args::probe_exec::Style;
use crate::probe::{LONGEST, timeout_ms};

/// One check.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it is called in events.
    pub name: String,
    /// The program and its arguments; never empty.
    pub command: Vec<OsString>,
    /// What its exit statuses mean.
    pub style: Style,
    /// The longest that it may take.
    pub timeout: Duration,
    /// Its own period.
    pub every: Option<Duration>,
    /// Its own period while it is not up.
    pub every_down: Option<Duration>,
    /// What its environment has beside ours.
    pub env: BTreeMap<String, String>,
    /// What it reads on stdin.
    pub input: Option<String>,
}

/// Why a line is no check.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not of the shape of a check.
    #[error("{0}")]
    Shape(String),
    /// A field of a line.
    #[error("the field '{field}' {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// A check as it stands on stdin.
#[derive(Debug, Deserialize)]
struct Line {
    target: Option<String>,
    #[serde(alias = "argv")]
    command: Vec<String>,
    style: Option<String>,
    timeout_ms: Option<f64>,
    every_ms: Option<f64>,
    every_down_ms: Option<f64>,
    env: Option<BTreeMap<String, String>>,
    input: Option<String>,
}

/// The check of a call.
pub fn from_words(command: &[OsString], name: Option<&str>, style: Style, timeout: Duration) -> Target {
    let words = || command.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ");
    Target {
        name: name.map_or_else(words, str::to_owned),
        command: command.to_vec(),
        style,
        timeout,
        every: None,
        every_down: None,
        env: BTreeMap::new(),
        input: None,
    }
}

/// The check of one line of stdin.
///
/// # Errors
/// Where a field is missing or wrong.
pub fn from_line(object: &Value, style: Style, timeout: Duration) -> Result<Target, TargetError> {
    let line = Line::deserialize(object).map_err(|e| TargetError::Shape(e.to_string()))?;
    let wrong = |field, why: &str| TargetError::Field { field, why: why.to_owned() };
    let time = |field, ms: Option<f64>| {
        let Some(ms) = ms else { return Ok(None) };
        let time = Duration::try_from_secs_f64(ms / 1e3).ok().filter(|d| !d.is_zero() && *d <= 366 * LONGEST);
        time.map(Some).ok_or_else(|| wrong(field, "is no number of milliseconds above 0"))
    };
    if line.command.first().is_none_or(String::is_empty) {
        return Err(wrong("command", "names no program"));
    }
    if line.command.iter().any(|w| w.contains('\0')) {
        return Err(wrong("command", "has a NUL in it"));
    }
    let env = line.env.unwrap_or_default();
    if env.iter().any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')) {
        return Err(wrong("env", "has a name or a value that no environment can have"));
    }
    let style = match &line.style {
        None => style,
        Some(name) => <Style as clap::ValueEnum>::from_str(name, false)
            .map_err(|_| wrong("style", &format!("is nagios, mon or lsb, not '{name}'")))?,
    };
    let command: Vec<OsString> = line.command.iter().map(OsString::from).collect();
    Ok(Target {
        timeout: match line.timeout_ms {
            Some(ms) => timeout_ms(ms).map_err(|why| wrong("timeout_ms", &why))?,
            None => timeout,
        },
        every: time("every_ms", line.every_ms)?,
        every_down: time("every_down_ms", line.every_down_ms)?,
        env,
        input: line.input,
        ..from_words(&command, line.target.as_deref(), style, timeout)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines() {
        let of = |line: Value| from_line(&line, Style::Nagios, Duration::from_secs(60));
        let target = of(json!({"command": ["check", "-w", "1"], "at": "x"})).unwrap();
        assert_eq!((target.name.as_str(), target.style, target.timeout.as_secs()), ("check -w 1", Style::Nagios, 60));
        let target = of(json!({"target": "a b", "argv": ["x"], "style": "mon", "timeout_ms": 5, "every_ms": 200,
            "every_down_ms": 100, "env": {"A": "b"}, "input": "text"}))
        .unwrap();
        assert_eq!((target.name.as_str(), target.style, target.timeout.as_millis()), ("a b", Style::Mon, 5));
        assert_eq!((target.every.unwrap().as_millis(), target.every_down.unwrap().as_millis()), (200, 100));
        assert_eq!((target.env["A"].as_str(), target.input.as_deref()), ("b", Some("text")));
        for bad in [
            json!({"target": "x"}),
            json!({"command": []}),
            json!({"command": [""]}),
            json!({"command": "x"}),
            json!({"command": ["a\u{0}b"]}),
            json!({"command": ["x"], "style": "ocf"}),
            json!({"command": ["x"], "timeout_ms": 0}),
            json!({"command": ["x"], "every_ms": -1}),
            json!({"command": ["x"], "every_ms": 1e300}),
            json!({"command": ["x"], "env": {"A=": ""}}),
            json!({"command": ["x"], "env": {"A": 1}}),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }
}
