//! What the membership finds, and as which event it is told.

use std::time::Duration;

use super::judge::{Change, LinkState, NodeState};
use super::pulse::Pulse;
use super::replies::{Answer, Reply};
use super::window::Span;
use crate::cli::event::Event;
use crate::heartbeat::wire::message::Message;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the events
pub enum Finding {
    /// A status message.
    Heartbeat { node: String, medium: usize, gap: Option<Duration>, message: Message },
    /// Any other message.
    Message { node: String, medium: usize, message: Message },
    /// Something for the sender to do.
    Reply(Reply),
    /// What is thought of a node, or of it on one medium, has changed.
    Changed { node: String, deadtime: Duration, change: Change },
    /// A node has started again.
    Restarted { node: String, was: u64, is: u64 },
    /// Messages that cannot be had any more.
    Lost { node: String, span: Span },
    /// An authentic message that is not accepted.
    Refused { node: Option<String>, refusal: Refusal },
    /// How regularly a node was heard on one medium.
    Pulse { node: String, medium: usize, state: NodeState, link: LinkState, pulse: Pulse },
    /// Our own pause.
    Stalled { gap: Option<Duration>, again: bool, cause: String },
}

/// Why an authentic message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error("the message makes no sense: {0}")]
    Malformed(&'static str),
    #[error("not a node of this cluster")]
    UnknownNode,
    #[error("signed with a checksum, by a node that has a key")]
    ChecksumOnly,
    #[error("too many nodes: it is not counted as one")]
    TooManyNodes,
    #[error("replayed: it is of start {got:x} of the node, which is at {is:x}")]
    OldGeneration { is: u64, got: u64 },
    #[error("replayed, or the node began to count anew without a new start: number {got} after {last}")]
    OldSequence { last: u64, got: u64 },
}

impl Refusal {
    /// A stable word.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownNode => "unknown-node",
            Self::ChecksumOnly => "checksum-only",
            Self::TooManyNodes => "too-many-nodes",
            Self::OldGeneration { .. } => "replayed-generation",
            Self::OldSequence { .. } => "replayed-sequence",
        }
    }
}

impl Finding {
    /// The event; `media` are the names of the media. A refusal is not told here: it is counted first.
    pub fn event(self, media: &[String]) -> Option<Event> {
        let name = |n: usize| media.get(n).map_or("", String::as_str);
        Some(match self {
            Self::Heartbeat { node, medium, gap, message } => {
                let status = message.text("st").unwrap_or("-").to_owned();
                let after = gap.map_or(String::new(), |gap| format!(" after {gap:.3?}"));
                Event::new("heartbeat", format!("{node} beats: {status} on {}{after}", name(medium)))
                    .with("node", node)
                    .with("medium", name(medium))
                    .with("st", status)
                    .ms("gap_ms", gap)
                    .with("message", message.to_json())
            }
            Self::Message { node, medium, message } => {
                let kind = message.text("t").unwrap_or_default().to_owned();
                Event::new("message", format!("{node} says {kind} on {}", name(medium)))
                    .with("node", node)
                    .with("medium", name(medium))
                    .with("message", message.to_json())
            }
            Self::Reply(Reply { node, why, what }) => {
                let (message, span) = match what {
                    Answer::Message(message) => (Some(message), None),
                    Answer::Resend(span) => (None, Some(span)),
                };
                let words = match (&message, span) {
                    (Some(m), _) => format!("to answer {node}: {}", m.text("t").unwrap_or_default()),
                    (None, Some(s)) => format!("to answer {node}: messages {} to {} again", s.first, s.last),
                    (None, None) => String::new(),
                };
                Event::new("reply", words)
                    .with("node", node)
                    .with("why", why)
                    .with("message", message.map(|m| m.to_json()))
                    .with("first_seq", span.map(|s| s.first))
                    .with("last_seq", span.map(|s| s.last))
            }
            Self::Changed { node, deadtime, change: Change::Node { was, is, cause, silent } } => {
                Event::new("node", format!("{node} is {is} (was {was}): {cause}"))
                    .with("node", node)
                    .with("was", was.name())
                    .with("is", is.name())
                    .with("cause", cause)
                    .ms("silent_ms", silent)
                    .ms("deadtime_ms", deadtime)
            }
            Self::Changed { node, change: Change::Link { medium, was, is, cause }, .. } => {
                let (was, is) = (was.name(), is.name());
                Event::new("link", format!("{node} on {} is {is} (was {was}): {cause}", name(medium)))
                    .with("node", node)
                    .with("medium", name(medium))
                    .with("was", was)
                    .with("is", is)
                    .with("cause", cause)
            }
            Self::Restarted { node, was, is } => {
                let cause = format!("its generation went from {was} to {is}");
                Event::new("restarted", format!("{node} has started again: {cause}"))
                    .with("node", node)
                    .with("cause", cause)
            }
            Self::Lost { node, span: Span { first, last } } => {
                Event::new("lost", format!("messages {first} to {last} of {node} cannot be had any more"))
                    .with("node", node)
                    .with("first_seq", first)
                    .with("last_seq", last)
                    .with("cause", "not sent again although asked for")
            }
            Self::Stalled { gap, again, cause } => {
                let name = if again { "overloaded" } else { "stalled" };
                Event::new(name, cause.clone()).ms("gap_ms", gap).with("cause", cause)
            }
            Self::Pulse { node, medium, state, link, pulse } => {
                let regularly = match (pulse.shortest(), pulse.mean(), pulse.longest()) {
                    (Some(low), Some(mean), Some(high)) => format!("every {mean:.3?} ({low:.3?} to {high:.3?})"),
                    _ => "no two beats".to_owned(),
                };
                let words = format!(
                    "{node} is {state}; {} is {}: {} beats, {regularly}",
                    name(medium),
                    link.name(),
                    pulse.beats()
                );
                Event::new("pulse", words)
                    .with("node", node)
                    .with("medium", name(medium))
                    .with("is", state.name())
                    .with("link", link.name())
                    .with("beats", pulse.beats())
                    .ms("gap_min_ms", pulse.shortest())
                    .ms("gap_mean_ms", pulse.mean())
                    .ms("gap_max_ms", pulse.longest())
            }
            Self::Refused { .. } => return None,
        })
    }
}
