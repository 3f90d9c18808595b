//! What the services by name have in common in their judging.
//!
//! A definite no needs something that the server did, or could not do, for anybody. What lies in what the caller gave, or in
//! what this machine may do there, cannot tell.

use regex::bytes::Regex;

use crate::probe::Judgement;
use crate::probe::tcp::dialogue::{MOST_HEARD, Turn, shown};

/// Who logs in where nobody was named: a name that no one has. That it is refused proves that the server works.
pub(super) const NOBODY: &str = "takeover_probe";

/// The login was refused, or what it may do.
///
/// Not a no, though ldirectord takes it for one: a password that was changed on one side would take all servers out of
/// service in one moment, while every one of them works.
pub(super) fn not_permitted(said: &str) -> Judgement {
    Judgement::cannot_tell(
        "not-permitted",
        format!("the server works, but does not let this user in, or do that: {said}: see --user"),
    )
}

/// What was said is no answer to what was asked.
pub(super) fn wrong_answer(bytes: &[u8], protocol: &str) -> Judgement {
    Judgement::down("wrong-answer", format!("it said '{}', which is no {protocol}", shown(bytes)))
}

/// More than is kept.
pub(super) fn too_long() -> Judgement {
    let kept = MOST_HEARD >> 10;
    Judgement::cannot_tell("answer-too-long", format!("nothing in the first {kept} KiB of its answer decides"))
}

/// Known, with nothing more to be said.
pub(super) fn known(judgement: Judgement) -> Option<Turn> {
    Some(Turn::known(judgement))
}

/// The rows of a query's answer, of which one is enough. They are not kept.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    receive: Option<Regex>,
    count: usize,
    bytes: usize,
    first: String,
    found: Option<String>,
}

impl Rows {
    /// One row that matches; where nothing is to match, any row.
    pub(super) fn new(receive: Option<Regex>) -> Self {
        Self { receive, count: 0, bytes: 0, first: String::new(), found: None }
    }

    /// Takes the values of one row, None for NULL: a row's text is its values with tabs between them.
    pub(super) fn row<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) {
        self.count += 1;
        if self.found.is_some() {
            return;
        }
        let text = values.map(|v| v.unwrap_or(b"NULL")).collect::<Vec<_>>().join(&b'\t');
        if self.count == 1 {
            self.first = shown(&text);
        }
        if self.receive.as_ref().is_none_or(|pattern| pattern.is_match(&text)) {
            self.found = Some(shown(&text));
        }
    }

    /// Counts what the answer takes; true when that is more than will be read.
    pub(super) fn heard(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes > MOST_HEARD
    }

    /// What the rows so far came to; `whole` when there are no more.
    pub(super) fn judge(&self, whole: bool) -> Judgement {
        match (&self.found, &self.receive) {
            (Some(row), _) => Judgement::up(format!("it answered the query with '{row}'")),
            (None, _) if !whole => too_long(),
            (None, Some(pattern)) if self.count > 0 => Judgement::down(
                "wrong-answer",
                format!("none of {} rows matches {pattern}; the first is '{}'", self.count, self.first),
            ),
            (None, _) => Judgement::down("wrong-answer", "the query gave no row"),
        }
    }
}
