//! What the others expect to be answered: acknowledgements, retransmissions, node lists, the answer to a joining node.
//!
//! Replies carry no `src`, `seq`, `hg`: the sender adds them.

use super::window::Span;
use crate::heartbeat::wire::message::{Field, Message, Value};

/// One message in so many is acknowledged: a sender that is never acknowledged pauses its clients.
const ACKNOWLEDGED: u64 = 10;

/// Something for the sender to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whom it answers.
    pub node: String,
    /// What for, in a word.
    pub why: &'static str,
    /// What is to be sent.
    pub what: Answer,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A message.
    Message(Message),
    /// Our own messages of these numbers again.
    Resend(Span),
}

/// How far one sender's messages were acknowledged.
#[derive(Debug, Default)]
pub struct Answers {
    acknowledged: Option<u64>,
}

impl Answers {
    /// The acknowledgement that is due now that all up to `contiguous` was heard.
    pub fn acknowledge(&mut self, node: &str, message: &Message, contiguous: Option<u64>) -> Option<Reply> {
        let heard = contiguous?;
        let Some(done) = self.acknowledged else {
            // The first one heard: what was before it is not ours to acknowledge.
            self.acknowledged = Some(heard);
            return None;
        };
        if heard / ACKNOWLEDGED <= done / ACKNOWLEDGED {
            return None;
        }
        self.acknowledged = Some(heard);
        let message = addressed("NS_ackmsg", node, message).with("ackseq", format!("{heard:x}"));
        Some(Reply { node: node.to_owned(), why: "ack", what: Answer::Message(message) })
    }
}

/// The retransmission of what was not heard of a node. Its numbers are decimal, unlike all others.
pub fn request(node: &str, span: Span) -> Reply {
    let message = Message::default()
        .with("t", "NS_rexmit")
        .with("dest", node)
        .with("firstseq", span.first.to_string())
        .with("lastseq", span.last.to_string());
    Reply { node: node.to_owned(), why: "gap", what: Answer::Message(message) }
}

/// What a message asks of us, answered.
pub fn to<'a>(
    node: &str,
    message: &Message,
    me: &str,
    cluster: impl FnOnce() -> Vec<&'a str>,
    standby: bool,
) -> Option<Reply> {
    let for_us = message.text("dest").is_some_and(|dest| dest.eq_ignore_ascii_case(me));
    let (why, what) = match message.text("t")? {
        "NS_rexmit" if for_us => ("rexmit", Answer::Resend(span(message, 10)?)),
        "reqnodes" if for_us => {
            let mut list = cluster().join(" ");
            list.push(' ');
            let reply = addressed("repnodes", node, message).with("nodelist", list).with("delnodelist", " ");
            ("reqnodes", Answer::Message(reply))
        }
        "starting" if standby => {
            let reply = Message::default().with("t", "resource").with("rsc_hold", "none").with("rtype", "full");
            ("starting", Answer::Message(reply.with("isstable", "1")))
        }
        _ => return None,
    };
    Some(Reply { node: node.to_owned(), why, what })
}

/// The numbers that a sender says it cannot send again.
pub fn refused_span(message: &Message) -> Option<Span> {
    (message.text("t")? == "NS_nak_rexmit").then(|| span(message, 16))?
}

fn span(message: &Message, radix: u32) -> Option<Span> {
    let number = |name| message.text(name).and_then(|text| super::number(text, radix));
    let first = number("firstseq")?;
    // A refusal of the real daemon names one number.
    Some(Span { first, last: if message.text("lastseq").is_some() { number("lastseq")? } else { first } })
        .filter(|span| span.first <= span.last)
}

/// A message to one node, with its uuid where we know it.
fn addressed(kind: &str, node: &str, heard: &Message) -> Message {
    let mut message = Message::default().with("t", kind).with("dest", node);
    if let Some(uuid) = heard.binary("srcuuid") {
        message.fields.push(Field { name: "destuuid".into(), value: Value::Binary(uuid.to_vec()) });
    }
    message
}
