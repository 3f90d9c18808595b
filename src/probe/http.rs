//! HTTP: what is expected, and whether an answer is that. Pure.

use std::ops::RangeInclusive;

use regex::bytes::Regex;

use super::Judgement;
use super::transfer::{self, Outcome, code, unknown};

/// The statuses that are healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// Why a text is not a list of statuses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StatusesError {
    /// Neither a status nor a range.
    #[error("'{0}' is neither a status nor a range: write such as 200 or 200-299,304")]
    Malformed(String),
    /// Outside what HTTP has.
    #[error("'{0}' is outside of 100 to 599")]
    Outside(String),
    /// The lower end comes second.
    #[error("the range '{0}' is empty: its lower end comes first")]
    Backwards(String),
}

impl std::str::FromStr for Statuses {
    type Err = StatusesError;
    /// Parses `STATUS[,LOW-HIGH…]`.
    fn from_str(text: &str) -> Result<Self, StatusesError> {
        let status = |word: &str, part: &str| match word.parse::<u16>() {
            Ok(n) if word.bytes().all(|b| b.is_ascii_digit()) && (100..600).contains(&n) => Ok(n),
            Ok(_) if word.bytes().all(|b| b.is_ascii_digit()) => Err(StatusesError::Outside(part.to_owned())),
            _ => Err(StatusesError::Malformed(part.to_owned())),
        };
        let range = |part: &str| {
            let part = part.trim();
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (status(low.trim(), part)?, status(high.trim(), part)?);
            if low > high { Err(StatusesError::Backwards(part.to_owned())) } else { Ok(low..=high) }
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            let (comma, low, high) = (if n > 0 { "," } else { "" }, range.start(), range.end());
            if low == high { write!(f, "{comma}{low}")? } else { write!(f, "{comma}{low}-{high}")? }
        }
        Ok(())
    }
}

impl Statuses {
    /// Whether a status is among them.
    pub fn contain(&self, status: u32) -> bool {
        self.0.iter().any(|range| u32::from(*range.start()) <= status && status <= u32::from(*range.end()))
    }
}

/// Makes a verdict of an outcome.
pub fn judge(expected: &Statuses, body: Option<&Regex>, outcome: &Outcome) -> Judgement {
    transfer::judge(outcome, |outcome| match outcome.code {
        code::OK => Some(answered(expected, body, outcome)),
        code::UNSUPPORTED_PROTOCOL | code::WEIRD_SERVER_REPLY | code::TOO_LARGE if outcome.connected.is_some() => {
            let at = outcome.address.map_or_else(String::new, |ip| format!(" at {ip}"));
            let message = &outcome.message;
            Some(Judgement::down("not-http", format!("what answered{at} does not speak HTTP ({message})")))
        }
        _ => None,
    })
}

fn answered(expected: &Statuses, body: Option<&Regex>, outcome: &Outcome) -> Judgement {
    let Some(status) = outcome.status else { return unknown(outcome) };
    if !expected.contain(status) {
        return Judgement::down("wrong-status", format!("it answered {status}; expected is {expected}"));
    }
    transfer::matches(body, outcome, &format!("it answered {status}"))
}

#[cfg(test)]
mod tests;
