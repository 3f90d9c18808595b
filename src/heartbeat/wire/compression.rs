//! The compressed shape: a netstring message that holds nothing but a whole classic message, deflated.

use std::io::Read;

use super::message::{Field, Message, Value};
use super::{MAX_INFLATED, Rejection, classic, netstring};
use super::{authentication::Key, authentication::Keyring, message};

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Deflate with zlib's header.
    Zlib,
    /// bzip2.
    Bz2,
}

impl Algorithm {
    /// Its word in ha.cf and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Bz2 => "bz2",
        }
    }
}

/// Whether the message is nothing but the shell of another.
pub(super) fn is_shell(message: &Message) -> bool {
    message.fields.iter().any(|f| f.name == message::PAYLOAD)
}

/// The message in the shell, verified by an authentication of its own.
pub(super) fn unpack(shell: &Message, keys: &Keyring) -> Result<Message, Rejection> {
    let (Some(payload), Some(algorithm), 2) =
        (shell.binary(message::PAYLOAD), shell.text(message::ALGORITHM), shell.fields.len())
    else {
        return Err(Rejection::Malformed("a compressed message holds other fields"));
    };
    let inflated = match algorithm {
        "zlib" => {
            let mut decoder = flate2::bufread::ZlibDecoder::new(payload);
            let inflated = bounded(&mut decoder)?;
            (inflated, decoder.into_inner())
        }
        "bz2" => {
            let mut decoder = bzip2::bufread::BzDecoder::new(payload);
            let inflated = bounded(&mut decoder)?;
            (inflated, decoder.into_inner())
        }
        _ => return Err(Rejection::Malformed("an unknown compression")),
    };
    let (inflated, rest) = inflated;
    if !rest.is_empty() {
        return Err(Rejection::Malformed("something follows the compressed message"));
    }
    let inner = classic::open(&inflated, keys)?.message;
    if is_shell(&inner) {
        return Err(Rejection::Malformed("a compressed message in a compressed message"));
    }
    Ok(inner)
}

/// Reads to the end, or to the limit: what a payload says of its size is not asked.
fn bounded(decoder: &mut impl Read) -> Result<Vec<u8>, Rejection> {
    let mut inflated = Vec::new();
    decoder
        .take(MAX_INFLATED as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| Rejection::Malformed("the compressed message cannot be inflated"))?;
    if inflated.len() > MAX_INFLATED { Err(Rejection::TooLarge) } else { Ok(inflated) }
}

/// The message in its shell, both signed.
pub(super) fn pack(message: &Message, key: &Key, algorithm: Algorithm) -> Vec<u8> {
    let mut whole = classic::seal(message, key);
    whole.push(0);
    let mut payload = Vec::new();
    // Reading from memory and writing to memory does not fail.
    let _ = match algorithm {
        // The level that zlib itself takes for its default: 6.
        Algorithm::Zlib => {
            flate2::bufread::ZlibEncoder::new(&whole[..], flate2::Compression::new(6)).read_to_end(&mut payload)
        }
        Algorithm::Bz2 => {
            bzip2::bufread::BzEncoder::new(&whole[..], bzip2::Compression::best()).read_to_end(&mut payload)
        }
    };
    let shell = Message {
        fields: vec![
            Field { name: message::PAYLOAD.to_owned(), value: Value::Binary(payload) },
            Field { name: message::ALGORITHM.to_owned(), value: Value::Text(algorithm.name().to_owned()) },
        ],
    };
    netstring::seal(&shell, key, false)
}
