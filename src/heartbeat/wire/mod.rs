//! The bytes of one heartbeat message: the two forms, authentication, compression, and framing on a serial line.
//!
//! Pure: bytes in, values out. Nothing here knows a socket, a clock or a file.
//!
//! | module | holds |
//! | --- | --- |
//! | [`message`] | what a message is, and as JSON |
//! | `classic`, `netstring` | its two forms |
//! | [`authentication`] | keys and digests |
//! | [`compression`] | the shell around a deflated message |
//! | [`framing`] | messages in a stream of bytes |

pub mod authentication;
mod classic;
pub mod compression;
pub mod framing;
pub mod message;
mod netstring;

use authentication::{Key, Keyring, Method};
use compression::Algorithm;
use message::Message;

/// The largest message, in bytes on the wire.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// The largest message once inflated, in bytes.
pub const MAX_INFLATED: usize = 2 * 1024 * 1024;
/// How deep messages may stand in messages; the outermost is not counted. The real library runs out of stand-ins for the
/// newline at 12.
pub const MAX_DEPTH: usize = 8;
/// How many fields and items of lists a message may hold, those of the messages in it too.
pub const MAX_FIELDS: usize = 4096;

/// How a message was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Lines between `>>>` and `<<<`.
    Classic,
    /// Netstrings between `###` and `%%%`.
    Netstring,
}

impl Form {
    /// For print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Netstring => "netstring",
        }
    }
}

/// How to write a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// What goes over serial lines, and over UDP before cluster-glue 1.0.10.
    Classic,
    /// Netstrings, authenticated inside and outside: what the real daemon sends over UDP with `msgfmt classic`, its default.
    Netstring,
    /// Netstrings, authenticated outside only: `msgfmt netstring`.
    NetstringBare,
}

/// A message that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The message, without its `auth`; that of the payload, where it was compressed.
    pub message: Message,
    /// How it was written.
    pub form: Form,
    /// The index of the key that verified it; the outer one, where there are two authentications.
    pub key: u8,
    /// The method of that key. With [`Method::Crc`] nothing was authenticated.
    pub method: Method,
    /// Whether it came compressed.
    pub compressed: bool,
}

/// Why a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The digest is not that of the message.
    #[error("the digest is wrong for key {index}")]
    BadDigest {
        /// The key that the message names.
        index: u8,
    },
    /// The message names a key that is not configured.
    #[error("key {index} is not configured")]
    UnknownKey {
        /// The key that the message names.
        index: u8,
    },
    /// There is no digest.
    #[error("the message is not authenticated")]
    Unauthenticated,
    /// Larger than the limit, as it came or inflated.
    #[error("the message is too large")]
    TooLarge,
    /// No heartbeat message, or one that says more than it may.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Rejection {
    /// A stable word for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadDigest { .. } => "bad-digest",
            Self::UnknownKey { .. } => "unknown-key",
            Self::Unauthenticated => "unauthenticated",
            Self::TooLarge => "too-large",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// Opens one datagram, or one frame from a serial line, in either form.
///
/// The digest is verified before anything else is parsed, and before anything is allocated. Any key of the ring will do.
/// A message has one spelling only: what the real daemon would not write is refused, even where it would read it.
///
/// # Errors
///
/// Why it is not accepted. Never panics, whatever the bytes.
pub fn open(bytes: &[u8], keys: &Keyring) -> Result<Opened, Rejection> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Rejection::TooLarge);
    }
    let mut opened = if bytes.starts_with(netstring::START) {
        netstring::open(bytes, keys)?
    } else if bytes.starts_with(classic::START) {
        classic::open(bytes, keys)?
    } else {
        return Err(Rejection::Malformed("no heartbeat message"));
    };
    if compression::is_shell(&opened.message) {
        if opened.form == Form::Classic {
            return Err(Rejection::Malformed("a compressed message in the classic form"));
        }
        opened.message = compression::unpack(&opened.message, keys)?;
        opened.compressed = true;
    }
    Ok(opened)
}

/// Writes and signs a message that passes [`Message::check`]; what does not may be refused by whoever receives it. `auth` is
/// added here and must not be in it. Whether the result is within [`MAX_MESSAGE`] is for the caller to see.
pub fn seal(message: &Message, key: &Key, shape: Shape) -> Vec<u8> {
    match shape {
        Shape::Classic => classic::seal(message, key),
        Shape::Netstring => netstring::seal(message, key, true),
        Shape::NetstringBare => netstring::seal(message, key, false),
    }
}

/// As [`seal`], compressed: a classic message, signed, in a netstring message, signed.
pub fn compress(message: &Message, key: &Key, algorithm: Algorithm) -> Vec<u8> {
    compression::pack(message, key, algorithm)
}

/// What a message may still hold while it is parsed: asked before each allocation.
struct Budget {
    fields: usize,
}

impl Budget {
    fn new() -> Self {
        Self { fields: MAX_FIELDS }
    }

    /// One more field, or item of a list.
    fn take(&mut self) -> Result<(), Rejection> {
        self.fields = self.fields.checked_sub(1).ok_or(Rejection::Malformed("too many fields"))?;
        Ok(())
    }

    /// A message at this depth.
    fn enter(&self, depth: usize) -> Result<(), Rejection> {
        if depth > MAX_DEPTH { Err(Rejection::Malformed("messages nested too deep")) } else { Ok(()) }
    }
}
