//! What all probes do around a [`Watch`]: the signals of a stream at the beginning, and who is not up at the end.

use super::judge::State;
use super::watch::{Plan, Watch};
use crate::cli::Failure;
use crate::cli::output::Output;
use crate::cli::wait::Signals;

/// Makes a plan that repeats a stream, which ends by signals; none for a one-shot, which they just end.
///
/// # Errors
/// Where signals cannot be waited for.
pub fn signals(plan: &Plan, output: &mut Output) -> Result<Option<Signals>, Failure> {
    if plan.every.is_none() {
        return Ok(None);
    }
    output.make_stream();
    Signals::take().map(Some).map_err(|e| Failure::io("cannot take the signals", &e))
}

/// Notes the names of those that are not up, for the summary of some exit styles.
pub fn note_failed<'a>(watch: &Watch, names: impl Iterator<Item = &'a str>, output: &mut Output) {
    for (_, name) in names.enumerate().filter(|(n, _)| watch.state(*n) != State::Up) {
        output.note_failed(name);
    }
}
