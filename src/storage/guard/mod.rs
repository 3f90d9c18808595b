//! The ways to claim storage, and what each is worth.

pub mod drbd;
pub mod flock;
pub mod pr_codec;
pub mod scsi_pr;

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::exit::{ExitStyle, Fault};

/// How a claim is guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Nobody is kept away: the caller has to know that no other node has it
    #[default]
    None,
    /// A lock file; excludes this machine only, or those that share the file
    Flock,
    /// A record on shared storage that is renewed
    Lease,
    /// DRBD's own roles: promoted before, demoted after
    Drbd,
    /// A SCSI-3 persistent reservation: the disk refuses the writes of others
    ScsiPr,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Flock, Self::Lease, Self::Drbd, Self::ScsiPr];

    /// As the command line and the events name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Flock => "flock",
            Self::Lease => "lease",
            Self::Drbd => "drbd",
            Self::ScsiPr => "scsi-pr",
        }
    }

    /// The one of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether a process has to hold it.
    pub const fn has_keeper(self) -> bool {
        matches!(self, Self::Flock | Self::Lease)
    }
}

/// A claim that was got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// What it is worth: none, advisory, lease or enforced.
    pub strength: String,
    /// In words, for `cause`.
    pub cause: String,
    /// False when it was ours already.
    pub changed: bool,
}

/// What came of asking for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is ours.
    Got(Got),
    /// Somebody else has it.
    Held(Held),
}

impl Outcome {
    /// Across the pipe of a child.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Got(got) => {
                json!({"got": {"strength": got.strength, "cause": got.cause, "changed": got.changed}})
            }
            Self::Held(held) => json!({"held": {"holder": held.holder, "cause": held.cause, "hint": held.hint}}),
        }
    }

    /// The other end: an outcome, or the failure of [`failure_to_json`].
    ///
    /// # Errors
    /// That failure; or that nothing of this came.
    pub fn from_json(value: &Value) -> Result<Self, Failure> {
        let died = || Failure::new(Fault::Internal, "system", "the child that asked for the claim ended");
        let text = |v: &Value| v.as_str().map(str::to_owned);
        if let Some(got) = value.get("got") {
            let (strength, cause) = (text(&got["strength"]).ok_or_else(died)?, text(&got["cause"]).ok_or_else(died)?);
            return Ok(Self::Got(Got { strength, cause, changed: got["changed"] == true }));
        }
        if let Some(held) = value.get("held") {
            let cause = text(&held["cause"]).ok_or_else(died)?;
            return Ok(Self::Held(Held { holder: text(&held["holder"]), cause, hint: text(&held["hint"]) }));
        }
        let error = value.get("error").ok_or_else(died)?;
        let faults = [Fault::Usage, Fault::Unavailable, Fault::Undetermined, Fault::Permission, Fault::Configuration];
        let fault = faults.into_iter().find(|f| error["status"] == ExitStyle::Native.fault(*f));
        let message = text(&error["message"]).ok_or_else(died)?;
        // A code is a word of the source: those that a guard has are known here.
        let code = CODES.into_iter().find(|c| error["code"] == *c).unwrap_or("claim-failed");
        let mut failure = Failure::new(fault.unwrap_or(Fault::Internal), code, message);
        failure.hint = text(&error["hint"]);
        Err(failure)
    }
}

/// Codes of failures that come across a pipe as they are.
const CODES: [&str; 5] = ["no-reservations", "reservation", "permission-denied", "untrusted-file", "not-a-lock"];

/// A failure, for [`Outcome::from_json`].
pub fn failure_to_json(fault: Fault, code: &str, message: &str, hint: Option<&str>) -> Value {
    json!({"error": {"status": ExitStyle::Native.fault(fault), "code": code, "message": message, "hint": hint}})
}

/// A claim that somebody else has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who, if that can be told.
    pub holder: Option<String>,
    /// In words.
    pub cause: String,
    /// What to do about it.
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn across_a_pipe() {
        let got = Outcome::Got(Got { strength: "advisory".into(), cause: "c".into(), changed: false });
        let held = Outcome::Held(Held { holder: Some("ha1".into()), cause: "c".into(), hint: None });
        for outcome in [got, held] {
            assert_eq!(Outcome::from_json(&outcome.to_json()).ok(), Some(outcome));
        }
        let error = failure_to_json(Fault::Permission, "reservation", "m", Some("h"));
        let error = Outcome::from_json(&error).expect_err("a failure");
        assert_eq!((error.fault, error.code, error.hint.as_deref()), (Fault::Permission, "reservation", Some("h")));
        for nothing in [json!(null), json!({}), json!([1]), json!({"got": {}})] {
            assert!(Outcome::from_json(&nothing).is_err(), "{nothing}");
        }
    }
}
