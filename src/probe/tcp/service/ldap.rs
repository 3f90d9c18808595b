//! LDAP, version 3 (RFC 4511): a bind, whose answer says that the server takes requests.

use super::Parameters;
use super::bytes::Reader;
use super::verdicts::{not_permitted, too_long, wrong_answer};
use crate::probe::Judgement;
use crate::probe::tcp::dialogue::{Dialogue, MOST_HEARD, Turn, shown};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const BIND: u8 = 0x60;
const BOUND: u8 = 0x61;
const EXTENDED: u8 = 0x78;
const SIMPLE: u8 = 0x80;

/// Message 2, with nothing in it.
const UNBIND: [u8; 7] = [SEQUENCE, 5, INTEGER, 1, 2, 0x42, 0];

/// A bind: simple with a name, anonymous without.
#[derive(Clone, Debug)]
pub struct Bind {
    request: Option<Vec<u8>>,
    named: bool,
}

impl Bind {
    /// As `user`, a distinguished name, with `password`; anonymous where there is none.
    pub fn new(with: &Parameters) -> Self {
        let name = with.user.as_deref().unwrap_or_default();
        // A name without a password would be anonymous again, and a password without a name means nothing.
        let password = with.user.as_ref().and(with.password.as_deref()).unwrap_or_default();
        let mut bind = vec![INTEGER, 1, 3];
        element(&mut bind, OCTETS, name.as_bytes());
        element(&mut bind, SIMPLE, password.as_bytes());
        let mut message = vec![INTEGER, 1, 1];
        element(&mut message, BIND, &bind);
        let mut request = Vec::new();
        element(&mut request, SEQUENCE, &message);
        Self { request: Some(request), named: with.user.is_some() }
    }

    /// What a whole message says.
    fn judge(&self, message: &[u8]) -> Option<Judgement> {
        let mut message = Reader(read(&mut Reader(message), SEQUENCE)?);
        let id = read(&mut message, INTEGER)?;
        let (tag, body) = next(&mut message)?;
        let mut body = Reader(body);
        let [code] = *read(&mut body, ENUMERATED)? else { return None };
        read(&mut body, OCTETS)?;
        let words = read(&mut body, OCTETS)?;
        let said = match words {
            [] => format!("result {code}"),
            words => format!("result {code}, '{}'", shown(words)),
        };
        match (tag, id) {
            (BOUND, [1]) => Some(self.result(code, &said)),
            // The notice of disconnection, which nobody asked for.
            (EXTENDED, [0]) => Some(Judgement::down("not-ready", format!("it ended the connection: {said}"))),
            _ => None,
        }
    }

    fn result(&self, code: u8, said: &str) -> Judgement {
        match code {
            0 if self.named => Judgement::up("it accepted the bind"),
            0 => Judgement::up("it accepted an anonymous bind"),
            // operationsError, busy, unavailable: of the server, whoever asks.
            51 => Judgement::down("busy", format!("it is busy: {said}")),
            1 | 52 => Judgement::down("not-ready", format!("it is not available: {said}")),
            _ if self.named => not_permitted(said),
            _ => Judgement::up(format!("it answers, and takes no anonymous bind: {said}")),
        }
    }
}

impl Dialogue for Bind {
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn {
        if let Some(request) = self.request.take() {
            return Turn::Say(request);
        }
        match length(heard) {
            Length::Unknown => Turn::Listen,
            Length::Wrong => Turn::known(wrong_answer(heard, "LDAP")),
            Length::Whole(whole) if whole > MOST_HEARD => Turn::known(too_long()),
            Length::Whole(whole) if whole > heard.len() => Turn::Listen,
            Length::Whole(whole) => {
                let message: Vec<u8> = heard.drain(..whole).collect();
                match self.judge(&message) {
                    Some(judgement) => Turn::Done(judgement, UNBIND.to_vec()),
                    None => Turn::known(wrong_answer(&message, "answer to a bind")),
                }
            }
        }
    }

    fn awaits(&self) -> &'static str {
        "its answer to a bind"
    }
}

/// How long a message is, by its beginning.
enum Length {
    /// More is needed to know.
    Unknown,
    /// This is none.
    Wrong,
    /// This many bytes with its own head.
    Whole(usize),
}

fn length(heard: &[u8]) -> Length {
    let count = match *heard {
        [] => return Length::Unknown,
        [SEQUENCE] => return Length::Unknown,
        [SEQUENCE, count, ..] => count,
        _ => return Length::Wrong,
    };
    match count {
        0..=0x7f => Length::Whole(2 + usize::from(count)),
        0x81..=0x84 => {
            let bytes = usize::from(count & 0x7f);
            let Some(length) = heard.get(2..2 + bytes) else { return Length::Unknown };
            let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            Length::Whole(length.saturating_add(2 + bytes))
        }
        // No end is told before it comes: LDAP does not have it.
        _ => Length::Wrong,
    }
}

/// The next element: its tag and what is in it.
fn next<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let tag = reader.byte()?;
    let length = match reader.byte()? {
        short @ 0..=0x7f => usize::from(short),
        long @ 0x81..=0x84 => {
            let bytes = reader.take(usize::from(long & 0x7f))?;
            bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    reader.take(length).map(|content| (tag, content))
}

fn read<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    next(reader).filter(|(is, _)| *is == tag).map(|(_, content)| content)
}

fn element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => {
            let bytes = (long as u32).to_be_bytes();
            out.push(0x84);
            out.extend(bytes);
        }
    }
    out.extend(content);
}
