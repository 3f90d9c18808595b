//! DNS (RFC 1035): one question, by datagram or over a connection.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use regex::bytes::Regex;

use super::bytes::Reader;
use super::digests::hex;
use super::verdicts::{too_long, wrong_answer};
use super::{Parameters, Transport};
use crate::probe::Judgement;
use crate::probe::tcp::dialogue::{Dialogue, MOST_HEARD, Turn};

const HEAD: usize = 12;
const INTERNET: u16 = 1;
const CNAME: u16 = 5;
const ANY: u16 = 255;

const NOERROR: u16 = 0;

/// The types that have a name; each other is written as TYPE and its number (RFC 3597).
const TYPES: [(&str, u16); 13] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", CNAME),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("DS", 43),
    ("DNSKEY", 48),
    ("CAA", 257),
    ("ANY", ANY),
];

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    text: String,
    /// The name in labels, as packets have it.
    name: Vec<u8>,
    kind: u16,
}

/// Why a text asks nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuestionError {
    /// No name, or more than a name and a type.
    #[error("'{0}' is not NAME or NAME TYPE, such as 'www.example.org AAAA'")]
    Shape(String),
    /// A name that nobody can have.
    #[error("'{0}' is no name: labels of 1 to 63 ASCII characters with dots between them, 253 in all")]
    Name(String),
    /// A type that is not known.
    #[error("'{0}' is no type of record that is known here: write its number, such as TYPE65")]
    Kind(String),
}

impl std::str::FromStr for Question {
    type Err = QuestionError;
    /// Parses `NAME [TYPE]`; the type is A where there is none.
    fn from_str(text: &str) -> Result<Self, QuestionError> {
        let mut words = text.split_ascii_whitespace();
        let shape = || QuestionError::Shape(text.to_owned());
        let (name, kind) = (words.next().ok_or_else(shape)?, words.next().unwrap_or("A"));
        if words.next().is_some() {
            return Err(shape());
        }
        let number = |word: &str| {
            let upper = word.to_ascii_uppercase();
            let known = TYPES.iter().find(|(known, _)| *known == upper).map(|(_, number)| *number);
            known.or_else(|| upper.strip_prefix("TYPE")?.parse().ok())
        };
        let kind_number = number(kind).ok_or_else(|| QuestionError::Kind(kind.to_owned()))?;
        let name_bytes = labels(name).ok_or_else(|| QuestionError::Name(name.to_owned()))?;
        Ok(Self { text: format!("{name} {}", kind.to_ascii_uppercase()), name: name_bytes, kind: kind_number })
    }
}

fn labels(name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.is_empty() {
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
            label.bytes().all(|b| b.is_ascii_graphic()).then_some(())?;
            out.push(length);
            out.extend(label.bytes());
        }
    }
    out.push(0);
    (out.len() <= 255).then_some(out)
}

/// One question to one server. Over datagrams `heard` has to hold one of them at a time.
#[derive(Clone, Debug)]
pub struct Query {
    question: Result<Question, String>,
    receive: Option<Regex>,
    /// Whether an answer is enough, whatever it holds.
    alive: bool,
    stream: bool,
    id: u16,
    said: bool,
}

impl Query {
    /// Asks `request`, "NAME" or "NAME TYPE", of whose answer something has to match `receive`. Without either one the
    /// servers of the root are asked for, which every server has some answer to. `nonce` is random.
    pub fn new(with: &Parameters, transport: Transport, nonce: [u8; 16]) -> Self {
        let text = with.request.as_deref().unwrap_or(". NS");
        Self {
            question: text.parse::<Question>().map_err(|e| e.to_string()),
            receive: with.receive.clone(),
            alive: with.request.is_none() && with.receive.is_none(),
            stream: transport == Transport::Tcp,
            id: u16::from_be_bytes([nonce[0], nonce[1]]),
            said: false,
        }
    }

    fn packet(&self, question: &Question) -> Vec<u8> {
        // One question; whoever can is to look it up for us.
        let mut message = [self.id, 0x0100, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
        message.extend(&question.name);
        message.extend([question.kind, INTERNET].map(u16::to_be_bytes).as_flattened());
        if self.stream {
            message.splice(..0, (message.len() as u16).to_be_bytes());
        }
        message
    }

    /// What one message says; None where it is no answer to our question.
    fn judge(&self, question: &Question, message: &[u8]) -> Option<Judgement> {
        let mut head = Reader(message);
        let (id, flags, questions, answers) = (head.be16()?, head.be16()?, head.be16()?, head.be16()?);
        // An answer (the first bit) to a query (the four after it).
        if id != self.id || flags >> 11 != 0x10 {
            return None;
        }
        let (code, cut) = (flags & 15, flags & 0x0200 != 0);
        let mut at = HEAD;
        match questions {
            1 => {
                let asked = message.get(at..at + question.name.len() + 4)?;
                let (name, rest) = asked.split_at(question.name.len());
                let same = rest == [question.kind, INTERNET].map(u16::to_be_bytes).as_flattened();
                // The length of a label is no letter, so that the whole is compared at once.
                if !name.eq_ignore_ascii_case(&question.name) || !same {
                    return None;
                }
                at += asked.len();
            }
            // Who refuses may leave the question out.
            0 if code != NOERROR => {}
            _ => return None,
        }
        let records = records(message, at, answers);
        let text = &question.text;
        if self.alive {
            return Some(match (code, &records) {
                (1 | 2 | 4, _) => wrong(format!("it answered {} to '{text}'", rcode(code))),
                (NOERROR, None) if !cut => wrong(format!("its answer to '{text}' is malformed")),
                _ => Judgement::up(format!("it answered {} to '{text}'", rcode(code))),
            });
        }
        if code != NOERROR {
            return Some(wrong(format!("it answered {} to '{text}'", rcode(code))));
        }
        let Some(records) = records else {
            return Some(if cut { truncated(text) } else { wrong(format!("its answer to '{text}' is malformed")) });
        };
        if !records.iter().any(|(kind, _)| question.kind == ANY || *kind == question.kind) {
            let other = if records.is_empty() { "no record" } else { "only an alias" };
            return Some(if cut { truncated(text) } else { wrong(format!("it has {other} for '{text}'")) });
        }
        let all = || records.iter().take(8).map(|(_, data)| data.as_str()).collect::<Vec<_>>().join(", ");
        match &self.receive {
            None => Some(Judgement::up(format!("it answered '{text}' with {}", short(&all())))),
            Some(pattern) => Some(match records.iter().find(|(_, data)| pattern.is_match(data.as_bytes())) {
                Some((_, data)) => Judgement::up(format!("it answered '{text}' with {}", short(data))),
                None if cut => truncated(text),
                None => wrong(format!("nothing of its answer to '{text}' matches {pattern}: {}", short(&all()))),
            }),
        }
    }
}

impl Dialogue for Query {
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn {
        let question = match &self.question {
            Ok(question) => question,
            Err(why) => return Turn::known(Judgement::cannot_tell("wrong-request", why.as_str())),
        };
        if !self.said {
            self.said = true;
            return Turn::Say(self.packet(question));
        }
        if !self.stream {
            // Anybody can send datagrams: what does not answer our question says nothing of the server.
            let judgement = self.judge(question, heard);
            heard.clear();
            return judgement.map_or(Turn::Listen, Turn::known);
        }
        let Some(length) = Reader(heard).be16().map(usize::from) else { return Turn::Listen };
        if length < HEAD {
            return Turn::known(wrong_answer(heard, "DNS"));
        }
        if length + 2 > MOST_HEARD {
            return Turn::known(too_long());
        }
        let Some(message) = heard.get(2..length + 2) else { return Turn::Listen };
        Turn::known(self.judge(question, message).unwrap_or_else(|| wrong_answer(heard, "answer to the question")))
    }

    fn awaits(&self) -> &'static str {
        "its answer"
    }
}

fn wrong(cause: String) -> Judgement {
    Judgement::down("wrong-answer", cause)
}

fn truncated(text: &str) -> Judgement {
    let cause = format!("its answer to '{text}' does not fit in a datagram: ask over TCP");
    Judgement::cannot_tell("truncated", cause)
}

/// An answer's words, cut to what a person reads.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

fn rcode(code: u16) -> String {
    match code {
        NOERROR => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        other => return format!("RCODE{other}"),
    }
    .to_owned()
}

/// The type and the data of so many records from `at` on; None where one of them is cut or malformed.
fn records(message: &[u8], mut at: usize, count: u16) -> Option<Vec<(u16, String)>> {
    let mut all = Vec::new();
    for _ in 0..count {
        (_, at) = name(message, at)?;
        let mut fixed = Reader(message.get(at..)?);
        let (kind, _class, _ttl, length) = (fixed.be16()?, fixed.be16()?, fixed.be32()?, fixed.be16()?);
        let start = at + 10;
        let end = start + usize::from(length);
        // What lies behind the record is cut off, and what lies before it stays: names point there.
        all.push((kind, data(message.get(..end)?, start, kind)?));
        at = end;
    }
    Some(all)
}

/// A record's data from `start` to the end of `message`, as a zone would have it.
fn data(message: &[u8], start: usize, kind: u16) -> Option<String> {
    let bytes = message.get(start..)?;
    let mut reader = Reader(bytes);
    let lone = |at| name(message, at).filter(|(_, end)| *end == message.len()).map(|(text, _)| text);
    Some(match kind {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string(),
        28 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string(),
        2 | CNAME | 12 => lone(start)?,
        15 => format!("{} {}", reader.be16()?, lone(start + 2)?),
        33 => format!("{} {} {} {}", reader.be16()?, reader.be16()?, reader.be16()?, lone(start + 6)?),
        6 => {
            let (server, at) = name(message, start)?;
            let (person, at) = name(message, at)?;
            let mut numbers = Reader(message.get(at..)?);
            let mut text = format!("{server} {person}");
            for _ in 0..5 {
                let _ = write!(text, " {}", numbers.be32()?);
            }
            text
        }
        16 => {
            let mut text = String::new();
            while let Some(length) = reader.byte() {
                text.push_str(&String::from_utf8_lossy(reader.take(usize::from(length))?));
            }
            text
        }
        _ => hex(bytes),
    })
}

/// The name at `at`, and where what follows it begins. A pointer goes only back, and each further back than the last: no
/// name goes in circles.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut text, mut length, mut first, mut end) = (String::new(), 0, at, None);
    loop {
        let byte = *message.get(at)?;
        match byte {
            0 => {
                let text = if text.is_empty() { ".".to_owned() } else { text };
                return Some((text, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(byte))?;
                length += 1 + label.len();
                if length > 254 {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                for byte in label {
                    match byte {
                        b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
                        graphic if graphic.is_ascii_graphic() => text.push(char::from(*graphic)),
                        other => {
                            let _ = write!(text, "\\{other:03}");
                        }
                    }
                }
                at += 1 + label.len();
            }
            0xc0.. => {
                let to = usize::from(byte & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end.get_or_insert(at + 2);
                if to >= first {
                    return None;
                }
                (first, at) = (to, to);
            }
            _ => return None,
        }
    }
}
