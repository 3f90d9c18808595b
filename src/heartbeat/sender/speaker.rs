//! What a node says: its heartbeats and messages, numbered, and again when asked.
//!
//! A decider: it is handed orders, the time and what the wall clock says; messages come out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;
use crate::heartbeat::membership::window::Span;
use crate::heartbeat::wire::message::{Field, Message, Value};

/// Messages that are kept to be sent again, as many as the real daemon keeps.
const HISTORY: usize = 500;
/// A message that was sent again a moment ago answers everybody who missed it.
const REPEAT: Duration = Duration::from_millis(240);
/// The most that one request is answered with: the rest is asked for again.
const PER_REQUEST: u64 = 50;

/// The most that is answered in a second, whoever asks: requests have no number, so that anybody may replay one.
const BUDGET: u64 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// Fields that the sender adds; a message that brings one of its own is refused.
pub const OURS: [&str; 8] = ["src", "srcuuid", "seq", "hg", "ts", "ld", "ttl", "auth"];

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name of the node.
    pub node: String,
    /// Its uuid, kept on disk beside the generation.
    pub uuid: Option<[u8; 16]>,
    /// Its generation: one more each start.
    pub generation: u64,
    /// How long a message may travel: the nodes of the cluster and one more.
    pub ttl: u32,
}

/// What only the edge knows about the present.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// Seconds since 1970.
    pub unix: u64,
    /// /proc/loadavg.
    pub load: Option<String>,
}

/// A message as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its number.
    pub seq: u64,
    /// Its type.
    pub kind: String,
    /// Its bytes for each kind of medium.
    pub bytes: Vec<Vec<u8>>,
    /// When it was last sent again.
    repeated: Option<Instant>,
}

/// The voice of one node. `S` is how a message becomes bytes, one form for each kind of medium.
pub struct Speaker<S> {
    identity: Identity,
    status: String,
    deadtime: Option<Duration>,
    extra: Vec<(String, String)>,
    seq: u64,
    history: VecDeque<Said>,
    /// When the present second of answers began, and how many it has had.
    answered: Option<(Instant, u64)>,
    seal: S,
}

impl<S: Fn(&Message) -> Vec<Vec<u8>>> Speaker<S> {
    /// A node that has said nothing yet. Peers judge it by `deadtime`, where it announces one.
    pub fn new(identity: Identity, status: &str, deadtime: Option<Duration>, seal: S) -> Self {
        let history = VecDeque::with_capacity(HISTORY);
        Self { identity, status: status.to_owned(), deadtime, extra: Vec::new(), seq: 0, history, answered: None, seal }
    }

    /// The status that heartbeats carry.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Changes it; returns what it was.
    pub fn set_status(&mut self, status: &str) -> String {
        std::mem::replace(&mut self.status, status.to_owned())
    }

    /// Changes the fields that every heartbeat carries beside its own; returns what they were.
    pub fn set_extra(&mut self, extra: Vec<(String, String)>) -> Vec<(String, String)> {
        std::mem::replace(&mut self.extra, extra)
    }

    /// The generation that messages carry.
    pub fn generation(&self) -> u64 {
        self.identity.generation
    }

    /// Begins a new generation: numbers begin anew, and what was said before is not said again.
    pub fn set_generation(&mut self, generation: u64) {
        self.identity.generation = generation;
        self.seq = 0;
        self.history.clear();
    }

    /// The number of the last message.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next heartbeat.
    pub fn beat(&mut self, present: &Present) -> Vec<Vec<u8>> {
        let mut message = Message::default().with("t", "status").with("st", self.status.as_str());
        if let Some(deadtime) = self.deadtime {
            message = message.with("dt", format!("{:x}", deadtime.as_millis()));
        }
        // Without it a real daemon turns off flow control and the exchange of node lists.
        message = message.with("protocol", "1");
        for (name, value) in &self.extra {
            message = message.with(name, value.as_str());
        }
        self.say(message, present)
    }

    /// Completes a message, numbers it, keeps it, and returns its bytes for each kind of medium.
    pub fn say(&mut self, message: Message, present: &Present) -> Vec<Vec<u8>> {
        // Control messages are neither numbered nor kept, nor do they tell the load.
        let numbered = !message.text("t").is_some_and(|t| t.starts_with("NS_"));
        let Identity { node, uuid, generation, ttl } = &self.identity;
        let mut message = message.with("src", node.as_str());
        if let Some(uuid) = uuid {
            message.fields.push(Field { name: "srcuuid".into(), value: Value::Binary(uuid.to_vec()) });
        }
        if numbered {
            self.seq += 1;
            message = message.with("seq", format!("{:x}", self.seq));
        }
        message = message.with("hg", format!("{generation:x}")).with("ts", format!("{:x}", present.unix));
        if let Some(load) = present.load.as_deref().filter(|_| numbered) {
            message = message.with("ld", load);
        }
        let message = message.with("ttl", ttl.to_string());
        let bytes = (self.seal)(&message);
        if numbered {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            let kind = message.text("t").unwrap_or_default().to_owned();
            self.history.push_back(Said { seq: self.seq, kind, bytes: bytes.clone(), repeated: None });
        }
        bytes
    }

    /// Takes back the last message, which was not sent: `seq` is the last number before it, and the next message has its
    /// number. Otherwise everybody would ask for it again and again.
    pub fn take_back(&mut self, seq: u64) {
        self.history.retain(|said| said.seq <= seq);
        self.seq = seq;
    }

    /// Whether one more may be answered now.
    fn may_answer(&mut self, now: Instant) -> bool {
        let (since, count) = self.answered.filter(|(since, _)| now.since(*since) < SECOND).unwrap_or((now, 0));
        self.answered = Some((since, count + 1));
        count < BUDGET
    }

    /// Answers a request for messages of ours: those that are to be sent again, and the span that cannot be. What is too
    /// much for a second is left out: whoever misses it asks again.
    pub fn resend(&mut self, span: Span, now: Instant) -> (Vec<Said>, Option<Span>) {
        let last = span.last.min(span.first.saturating_add(PER_REQUEST - 1));
        let oldest = self.history.front().map_or(self.seq + 1, |said| said.seq);
        let gone = span.first < oldest && self.may_answer(now);
        let gone = gone.then(|| Span { first: span.first, last: last.min(oldest - 1) });
        let mut again = Vec::new();
        for n in 0..self.history.len() {
            let said = &self.history[n];
            let wanted = (span.first..=last).contains(&said.seq);
            if wanted && said.repeated.is_none_or(|then| now.since(then) >= REPEAT) && self.may_answer(now) {
                let said = &mut self.history[n];
                said.repeated = Some(now);
                again.push(said.clone());
            }
        }
        (again, gone)
    }

    /// Tells a node that some messages cannot be sent again. Its numbers are hexadecimal, unlike those of the request.
    pub fn refuse(&mut self, node: &str, span: Span, present: &Present) -> Vec<Vec<u8>> {
        let message = Message::default()
            .with("t", "NS_nak_rexmit")
            .with("dest", node)
            .with("firstseq", format!("{:x}", span.first))
            .with("lastseq", format!("{:x}", span.last));
        self.say(message, present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker() -> Speaker<impl Fn(&Message) -> Vec<Vec<u8>>> {
        let identity = Identity { node: "ha1".into(), uuid: None, generation: 0x10, ttl: 3 };
        let line = |m: &Message| {
            let text = |f: &Field| match &f.value {
                Value::Text(text) => format!("{}={text}", f.name),
                _ => f.name.clone(),
            };
            vec![m.fields.iter().map(text).collect::<Vec<_>>().join(" ").into_bytes()]
        };
        Speaker::new(identity, "active", Some(Duration::from_secs(1)), line)
    }

    fn words(bytes: &[Vec<u8>]) -> &str {
        std::str::from_utf8(&bytes[0]).unwrap()
    }

    #[test]
    fn a_heartbeat_is_what_the_real_daemon_sends() {
        let mut s = speaker();
        let present = Present { unix: 0x6b00_9ee7, load: Some("0.34 0.46 0.21 6/101 20".into()) };
        let expected =
            "t=status st=active dt=3e8 protocol=1 src=ha1 seq=1 hg=10 ts=6b009ee7 ld=0.34 0.46 0.21 6/101 20 ttl=3";
        assert_eq!(words(&s.beat(&present)), expected);
        let ack = Message::default().with("t", "NS_ackmsg").with("dest", "ha2").with("ackseq", "a");
        assert_eq!(words(&s.say(ack, &present)), "t=NS_ackmsg dest=ha2 ackseq=a src=ha1 hg=10 ts=6b009ee7 ttl=3");
        assert_eq!(s.seq(), 1, "control messages are not numbered");
    }

    #[test]
    fn what_was_taken_back_leaves_no_gap() {
        let mut s = speaker();
        s.beat(&Present::default());
        let long = s.say(Message::default().with("t", "long"), &Present::default());
        s.take_back(1);
        assert_eq!(s.resend(Span { first: 2, last: 2 }, Instant::at(Duration::ZERO)), (vec![], None));
        let next = s.beat(&Present::default());
        assert!(words(&long).contains("seq=2 ") && words(&next).contains("seq=2 "));
        assert_eq!(s.resend(Span { first: 2, last: 2 }, Instant::at(Duration::ZERO)).0[0].bytes, next);
        s.say(Message::default().with("t", "NS_ackmsg"), &Present::default());
        s.take_back(2);
        assert_eq!(s.seq(), 2);
    }

    #[test]
    fn what_was_said_is_said_again_once_a_while_and_what_is_gone_is_named() {
        let mut s = speaker();
        for _ in 0..600 {
            s.beat(&Present::default());
        }
        let at = |ms| Instant::at(Duration::from_millis(ms));
        let (again, gone) = s.resend(Span { first: 99, last: 103 }, at(0));
        assert_eq!(again.len(), 3, "101 to 103");
        assert_eq!(gone, Some(Span { first: 99, last: 100 }));
        assert!(words(&again[0].bytes).contains("seq=65 "), "{again:?}");
        assert_eq!((again[0].seq, again[0].kind.as_str()), (101, "status"));
        assert_eq!(
            s.resend(Span { first: 101, last: 104 }, at(239)).0.len(),
            1,
            "104 alone: the others were just sent"
        );
        assert_eq!(s.resend(Span { first: 101, last: 104 }, at(240)).0.len(), 3);
        assert_eq!(s.resend(Span { first: 200, last: u64::MAX }, at(300)).0.len(), 50);
        assert_eq!(s.resend(Span { first: 601, last: 700 }, at(300)), (vec![], None), "not said yet");
        assert_eq!(s.resend(Span { first: 0, last: 5 }, at(300)).1, Some(Span { first: 0, last: 5 }));
    }

    #[test]
    fn whoever_asks_a_hundred_answers_a_second_are_enough() {
        let mut s = speaker();
        for _ in 0..600 {
            s.beat(&Present::default());
        }
        let at = |ms| Instant::at(Duration::from_millis(ms));
        let ask = |s: &mut Speaker<_>, first, ms| s.resend(Span { first, last: u64::MAX }, at(ms)).0.len();
        // Whoever replays requests for all that there is, again and again.
        let sent: usize = (0..10_000).map(|ms| ask(&mut s, 101 + ms * 7 % 500, ms)).sum();
        assert!((900..=1000).contains(&sent), "{sent} in ten seconds");
        // What was left out was not sent: it is there for the next second.
        let mut s = speaker();
        for _ in 0..200 {
            s.beat(&Present::default());
        }
        let sent: Vec<usize> = [1, 51, 101].map(|first| ask(&mut s, first, 5)).into();
        assert_eq!(sent, [50, 50, 0]);
        assert_eq!(s.resend(Span { first: 0, last: 0 }, at(6)), (vec![], None), "refusals count");
        assert_eq!(ask(&mut s, 101, 1005), 50);
    }
}
