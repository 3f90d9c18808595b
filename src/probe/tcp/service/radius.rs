//! RADIUS (RFC 2865): one Access-Request with a password, whose answer has to be signed with the shared secret.

use hmac::Hmac;
use md5::Md5;
use subtle::ConstantTimeEq;

use super::Parameters;
use super::bytes::Reader;
use super::digests::{hash, mac, xor};
use super::verdicts::{NOBODY, not_permitted};
use crate::probe::Judgement;
use crate::probe::tcp::dialogue::{Dialogue, Turn, shown};

const REQUEST: u8 = 1;
const ACCEPT: u8 = 2;
const REJECT: u8 = 3;
const CHALLENGE: u8 = 11;

const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const REPLY_MESSAGE: u8 = 18;
const NAS_IDENTIFIER: u8 = 32;
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// Code, identifier, length and authenticator.
const HEAD: usize = 20;
/// Head, tag and length: our Message-Authenticator comes first.
const SIGNATURE_AT: usize = HEAD + 2;

/// A login by PAP. `heard` has to hold one datagram at a time.
#[derive(Clone, Debug)]
pub struct Access {
    /// None where it cannot be said.
    request: Option<Vec<u8>>,
    said: bool,
    identifier: u8,
    authenticator: [u8; 16],
    secret: Vec<u8>,
    named: bool,
    ignored: bool,
}

impl Access {
    /// As `user` with `password`, under `secret`. Without a user a name is asked for that no one has, and that it is
    /// rejected is enough. `nonce` is random.
    pub fn new(with: &Parameters, nonce: [u8; 16]) -> Self {
        let secret = with.secret.clone().unwrap_or_default().into_bytes();
        let user = with.user.as_deref().unwrap_or(NOBODY);
        let password = with.password.as_deref().unwrap_or_default();
        // Of the two only the authenticator has to be unpredictable; the identifier tells our own requests apart.
        let identifier = nonce.iter().fold(0, |sum, byte| sum ^ byte);
        let request = request(identifier, nonce, user.as_bytes(), password.as_bytes(), &secret);
        let named = with.user.is_some();
        Self { request, said: false, identifier, authenticator: nonce, secret, named, ignored: false }
    }

    /// What an answer to our request says; None where it is none, or is not signed with our secret.
    fn judge(&self, packet: &[u8]) -> Option<Judgement> {
        let mut reader = Reader(packet);
        let (code, identifier, length) = (reader.byte()?, reader.byte()?, usize::from(reader.be16()?));
        // What follows the length is padding, as RFC 2865, section 3 has it.
        let packet = packet.get(..length).filter(|p| p.len() >= HEAD && identifier == self.identifier)?;
        let (head, attributes) = packet.split_at(HEAD);
        let (start, signature) = head.split_at(4);
        let expected = hash::<Md5>(&[start, &self.authenticator, attributes, &self.secret]);
        if !bool::from(expected.ct_eq(signature)) || !self.attributes_hold(start, attributes) {
            return None;
        }
        let words = each(attributes).find(|(_, kind, _)| *kind == REPLY_MESSAGE).map(|(_, _, value)| shown(value));
        let words = words.map(|w| format!(": '{w}'")).unwrap_or_default();
        match code {
            ACCEPT => Some(Judgement::up(format!("it accepted the login{words}"))),
            // It looked the user up, and asks on.
            CHALLENGE => Some(Judgement::up(format!("it answered the login with a challenge{words}"))),
            REJECT if self.named => Some(not_permitted(&format!("rejected{words}"))),
            REJECT => Some(Judgement::up(format!("it answers, and rejects a user whom nobody knows{words}"))),
            _ => None,
        }
    }

    /// Whether the Message-Authenticator is right, if there is one: RFC 3579, section 3.2. MD5 alone can be forged.
    fn attributes_hold(&self, start: &[u8], attributes: &[u8]) -> bool {
        each(attributes).filter(|(_, kind, _)| *kind == MESSAGE_AUTHENTICATOR).all(|(at, _, value)| {
            let (before, after) = (attributes.get(..at), attributes.get(at + value.len()..));
            let (Some(before), Some(after)) = (before, after) else { return false };
            let zeros = &[0; 16];
            let expected = mac::<Hmac<Md5>>(&self.secret, &[start, &self.authenticator, before, zeros, after]);
            expected.ct_eq(value).into()
        })
    }
}

impl Dialogue for Access {
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn {
        if !self.said {
            self.said = true;
            return self.request.take().map_or_else(unsayable, Turn::Say);
        }
        if heard.is_empty() {
            return Turn::Listen;
        }
        let judgement = self.judge(heard);
        heard.clear();
        // Anybody can send datagrams: what is not signed with our secret says nothing of the server.
        self.ignored |= judgement.is_none();
        judgement.map_or(Turn::Listen, Turn::known)
    }

    fn awaits(&self) -> &'static str {
        if self.ignored {
            "an answer signed with our secret (one that was not is ignored: see --secret)"
        } else {
            "its answer, which only clients get whose address and --secret it knows"
        }
    }
}

fn unsayable() -> Turn {
    let cause = "a user of 1 to 253 bytes and a password of up to 128 fit in a request";
    Turn::known(Judgement::cannot_tell("wrong-request", cause))
}

/// Where each attribute's value begins, its type, and the value; up to the first that is cut.
fn each(attributes: &[u8]) -> impl Iterator<Item = (usize, u8, &[u8])> {
    let mut reader = Reader(attributes);
    std::iter::from_fn(move || {
        let (kind, length) = (reader.byte()?, reader.byte()?);
        let at = attributes.len() - reader.0.len();
        let value = reader.take(usize::from(length).checked_sub(2)?)?;
        Some((at, kind, value))
    })
}

/// None where the user or the password is longer than the protocol has it.
fn request(id: u8, authenticator: [u8; 16], user: &[u8], password: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    if user.is_empty() || user.len() > 253 || password.len() > 128 {
        return None;
    }
    let mut packet = vec![REQUEST, id, 0, 0];
    packet.extend(authenticator);
    attribute(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
    attribute(&mut packet, USER_NAME, user);
    attribute(&mut packet, USER_PASSWORD, &hidden(password, secret, authenticator));
    attribute(&mut packet, NAS_IDENTIFIER, b"takeover");
    let length = u16::try_from(packet.len()).ok()?.to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    let signature = mac::<Hmac<Md5>>(secret, &[&packet]);
    packet[SIGNATURE_AT..SIGNATURE_AT + 16].copy_from_slice(&signature);
    Some(packet)
}

fn attribute(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    packet.extend([kind, (value.len() + 2) as u8]);
    packet.extend(value);
}

/// A password as RFC 2865, section 5.2 hides it.
fn hidden(password: &[u8], secret: &[u8], authenticator: [u8; 16]) -> Vec<u8> {
    let mut out = password.to_vec();
    out.resize(password.len().div_ceil(16).max(1) * 16, 0);
    let mut before = authenticator;
    for block in out.chunks_exact_mut(16) {
        xor(block, &hash::<Md5>(&[secret, &before]));
        before.copy_from_slice(block);
    }
    out
}
