//! Keys, and the digests that they put under a message: HMAC over md5, sha1 or sha256, and the crc that is no secret.
//!
//! Which bytes a digest runs over is the business of the two forms; where keys are kept is not known here.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Rejection;

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A checksum. It **authenticates nothing**: whoever can send on the medium can make one.
    Crc,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA256: our extension, a real heartbeat does not know it.
    Sha256,
}

impl Method {
    /// Its word in authkeys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The word names no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no method of authentication: crc, md5, sha1 or sha256")]
pub struct NoMethod(String);

impl FromStr for Method {
    type Err = NoMethod;

    fn from_str(word: &str) -> Result<Self, NoMethod> {
        [Self::Crc, Self::Md5, Self::Sha1, Self::Sha256]
            .into_iter()
            .find(|m| m.name() == word)
            .ok_or_else(|| NoMethod(word.to_owned()))
    }
}

/// HMAC with the key already worked in: a message clones it, which saves two blocks of hashing each time.
#[derive(Clone)]
enum State {
    Crc,
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

/// One key of authkeys, ready for use. The secret itself is not kept.
#[derive(Clone)]
pub struct Key {
    index: u8,
    state: State,
}

/// HMAC of any of the hashes with this key.
fn keyed<M: Mac + hmac::digest::KeyInit>(secret: &[u8]) -> M {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length: RFC 2104, section 2")]
    <M as Mac>::new_from_slice(secret).expect("HMAC takes a key of any length")
}

impl Key {
    /// The largest index, as in authkeys.
    pub const MAX_INDEX: u8 = 15;

    /// A key; `index` is 0 to 15, and `secret` means nothing to crc.
    pub fn new(index: u8, method: Method, secret: &[u8]) -> Self {
        let state = match method {
            Method::Crc => State::Crc,
            Method::Md5 => State::Md5(keyed(secret)),
            Method::Sha1 => State::Sha1(keyed(secret)),
            Method::Sha256 => State::Sha256(keyed(secret)),
        };
        Self { index, state }
    }

    /// Its number in authkeys, which messages carry.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// How it makes digests.
    pub fn method(&self) -> Method {
        match self.state {
            State::Crc => Method::Crc,
            State::Md5(_) => Method::Md5,
            State::Sha1(_) => Method::Sha1,
            State::Sha256(_) => Method::Sha256,
        }
    }

    /// The digest of these bytes, as it is printed.
    pub(super) fn digest(&self, bytes: &[u8]) -> Printed {
        fn mac<M: Mac + Clone>(state: &M, bytes: &[u8]) -> Printed {
            Printed::hex(&state.clone().chain_update(bytes).finalize().into_bytes())
        }
        match &self.state {
            State::Crc => Printed::number(crc(bytes)),
            State::Md5(state) => mac(state, bytes),
            State::Sha1(state) => mac(state, bytes),
            State::Sha256(state) => mac(state, bytes),
        }
    }

    /// Appends `index digest` of these bytes.
    pub(super) fn sign(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.index >= 10 {
            out.push(b'0' + self.index / 10);
        }
        out.extend_from_slice(&[b'0' + self.index % 10, b' ']);
        out.extend_from_slice(self.digest(bytes).as_bytes());
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("index", &self.index).field("method", &self.method()).finish_non_exhaustive()
    }
}

/// The keys that are accepted, and the one that is sent with.
///
/// Any of them is accepted on receipt, so that keys can be rotated without a gap.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Where in `keys` the one for sending stands.
    sending: usize,
}

impl Keyring {
    /// A ring that sends with the key of index `sending`. `None` where there is no such key, where two keys have one
    /// index, or where an index is over 15.
    pub fn new(keys: Vec<Key>, sending: u8) -> Option<Self> {
        let sound = keys.iter().enumerate().all(|(position, key)| {
            key.index <= Key::MAX_INDEX && keys[..position].iter().all(|other| other.index != key.index)
        });
        let sending = keys.iter().position(|k| k.index == sending)?;
        sound.then_some(Self { keys, sending })
    }

    /// The key that messages are sent with.
    pub fn sending(&self) -> &Key {
        &self.keys[self.sending]
    }

    /// The key of that index.
    pub fn get(&self, index: u8) -> Option<&Key> {
        self.keys.iter().find(|k| k.index == index)
    }

    /// All of them, in the order in which they were given.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key that this signature (`index digest`) over these bytes names, if it is right.
    pub(super) fn verify(&self, signature: &[u8], bytes: &[u8]) -> Result<&Key, Rejection> {
        let (index, digest) = split(signature)?;
        let key = self.get(index).ok_or(Rejection::UnknownKey { index })?;
        // What would be printed is compared, so that each message has one spelling: no upper case, no padding.
        let right: bool = key.digest(bytes).as_bytes().ct_eq(digest).into();
        if right { Ok(key) } else { Err(Rejection::BadDigest { index }) }
    }
}

/// The longest signature: an index of two digits, a blank, and a sha256.
pub(super) const MAX_SIGNATURE: usize = 2 + 1 + 64;

/// Takes `index digest` apart; the index is decimal, 0 to 15, without leading zeros.
fn split(signature: &[u8]) -> Result<(u8, &[u8]), Rejection> {
    let digit = |b: u8| b.is_ascii_digit().then(|| b - b'0');
    let apart = match signature {
        [one, b' ', digest @ ..] => digit(*one).map(|index| (index, digest)),
        [b'1', one, b' ', digest @ ..] => digit(*one).map(|index| (10 + index, digest)),
        _ => None,
    };
    apart
        .filter(|(index, digest)| *index <= Key::MAX_INDEX && !digest.is_empty())
        .ok_or(Rejection::Malformed("the authentication is no index and digest"))
}

/// A digest as it stands in a message: lower-case hex.
pub(super) struct Printed {
    text: [u8; 64],
    length: usize,
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Printed {
    fn hex(bytes: &[u8]) -> Self {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self { text, length: 2 * bytes.len() }
    }

    /// As C's `%x`: no zeros in front.
    fn number(number: u32) -> Self {
        let padded = Self::hex(&number.to_be_bytes());
        let zeros = (number.leading_zeros() as usize / 4).min(7);
        let mut text = [0; 64];
        text[..8 - zeros].copy_from_slice(&padded.text[zeros..8]);
        Self { text, length: 8 - zeros }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// The crc of POSIX cksum without the length: polynomial 0x04C11DB7, most significant bit first, from 0, complemented.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut top = 0;
        while top < 256 {
            let mut rest = (top as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                rest = if rest & 0x8000_0000 != 0 { (rest << 1) ^ 0x04c1_1db7 } else { rest << 1 };
                bit += 1;
            }
            table[top] = rest;
            top += 1;
        }
        table
    };
    !bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(method: Method, secret: &[u8], bytes: &[u8]) -> String {
        String::from_utf8(Key::new(1, method, secret).digest(bytes).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // RFC 2202, case 2 (md5 and sha1), RFC 4231, case 2.
        let (secret, text) = (b"Jefe", b"what do ya want for nothing?");
        assert_eq!(printed(Method::Md5, secret, text), "750c783e6ab0b503eaa86e310a5db738");
        assert_eq!(printed(Method::Sha1, secret, text), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            printed(Method::Sha256, secret, text),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // A key longer than a block is hashed first: RFC 2202, case 6.
        assert_eq!(
            printed(Method::Sha1, &[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112"
        );
        // The catalogue's check value of CRC-32/CKSUM, which has the same parameters.
        assert_eq!(printed(Method::Crc, b"", b"123456789"), "765e7680");
    }

    #[test]
    fn numbers_are_printed_without_zeros_in_front() {
        for number in [0, 1, 0xf, 0x10, 0xabc, 0x0012_3456, 0xffff_ffff, 0x1000_0000] {
            assert_eq!(Printed::number(number).as_bytes(), format!("{number:x}").as_bytes());
        }
    }

    #[test]
    fn an_index_is_a_plain_number_to_15() {
        for (text, index) in [("0 a", Some(0)), ("9 a", Some(9)), ("10 a", Some(10)), ("15 a", Some(15))] {
            assert_eq!(split(text.as_bytes()).ok().map(|(i, _)| i), index);
        }
        for text in ["", " ", "1", "1 ", "16 a", "01 a", "a b", "-1 a"] {
            assert!(split(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_ring_is_refused_that_could_not_work() {
        let key = |index| Key::new(index, Method::Sha1, b"x");
        assert!(Keyring::new(vec![], 1).is_none());
        assert!(Keyring::new(vec![key(1)], 2).is_none());
        assert!(Keyring::new(vec![key(1), key(2), key(1)], 2).is_none());
        assert!(Keyring::new(vec![key(1), key(16)], 1).is_none());
        let ring = Keyring::new(vec![key(0), key(15)], 15).unwrap();
        assert_eq!((ring.sending().index(), ring.keys().len(), ring.get(0).is_some()), (15, 2, true));
    }

    #[test]
    fn a_key_never_shows_its_secret() {
        let shown = format!("{:?}", Keyring::new(vec![Key::new(3, Method::Md5, b"hunter2")], 3));
        assert!(shown.contains("index: 3, method: Md5") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn methods_read_as_they_are_printed() {
        for method in [Method::Crc, Method::Md5, Method::Sha1, Method::Sha256] {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        assert!("SHA1".parse::<Method>().is_err());
    }
}
