//! Whom to ping: from the words of a call, and from JSON lines on stdin. Pure.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::probe::lookup::{Host, HostError};
use crate::probe::timeout_ms;

/// One host.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it is called in events.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// The longest that one probe may take.
    pub timeout: Duration,
}

/// Why a line is no target.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not of the shape of a target.
    #[error("{0}")]
    Shape(String),
    /// The time-out.
    #[error("the field 'timeout_ms' {0}")]
    Timeout(String),
}

/// A target as it stands on stdin.
#[derive(Debug, Deserialize)]
struct Line {
    target: Option<String>,
    host: String,
    timeout_ms: Option<f64>,
}

/// The target that a word means.
///
/// # Errors
/// It names no host.
pub fn from_word(word: &str, timeout: Duration) -> Result<Target, TargetError> {
    Ok(Target { name: word.to_owned(), host: word.parse()?, timeout })
}

/// The target of one line of stdin; `timeout` is what holds where it says nothing.
///
/// # Errors
/// Where a field is missing or wrong.
pub fn from_line(object: &Value, timeout: Duration) -> Result<Target, TargetError> {
    let line = Line::deserialize(object).map_err(|e| TargetError::Shape(e.to_string()))?;
    let own = line.timeout_ms.map(timeout_ms).transpose().map_err(TargetError::Timeout)?;
    let target = from_word(&line.host, own.unwrap_or(timeout))?;
    Ok(Target { name: line.target.unwrap_or(line.host), ..target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines() {
        let of = |line: Value| from_line(&line, Duration::from_secs(2));
        let target = of(json!({"host": "192.0.2.1", "other": 1})).unwrap();
        assert_eq!((target.name.as_str(), target.timeout.as_millis()), ("192.0.2.1", 2000));
        let target = of(json!({"target": "web", "host": "fe80::1%eth0", "timeout_ms": 250})).unwrap();
        assert_eq!((target.name.as_str(), target.timeout.as_millis()), ("web", 250));
        assert!(matches!(target.host, Host::Literal { zone: Some(zone), .. } if zone == "eth0"));
        for bad in [
            json!({"target": "web"}),
            json!({"host": ""}),
            json!({"host": 7}),
            json!({"host": "0.0.0.0"}),
            json!({"host": "192.0.2.1", "timeout_ms": 0}),
            json!({"host": "192.0.2.1", "timeout_ms": "1"}),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }
}
