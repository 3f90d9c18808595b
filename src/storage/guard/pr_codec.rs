//! PERSISTENT RESERVE IN: the command and its replies as bytes (SPC-4, 6.15), and registration keys that carry names.

use sha1::Digest;

/// Keys that are read at most: one a node and path.
pub const KEYS: usize = 256;

/// The room for a reply.
pub const ROOM: u16 = 8 + 8 * KEYS as u16;

/// The reservation type that is used: write exclusive, registrants only.
pub const WRITE_EXCLUSIVE_REGISTRANTS_ONLY: u8 = 5;

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Who is registered.
    Keys,
    /// Who has reserved.
    Reservation,
}

/// The command descriptor block.
pub fn command(ask: Ask) -> [u8; 10] {
    let action = match ask {
        Ask::Keys => 0,
        Ask::Reservation => 1,
    };
    let [high, low] = ROOM.to_be_bytes();
    [0x5e, action, 0, 0, 0, 0, 0, high, low, 0]
}

/// Why a reply makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PrError {
    /// It ends too early.
    #[error("the disk's answer has {0} bytes, too few")]
    Short(usize),
    /// More keys than anybody has nodes.
    #[error("the disk has {0} keys, and says more than {KEYS}")]
    TooMany(usize),
}

/// Every registered key.
pub fn keys(reply: &[u8]) -> Result<Vec<u64>, PrError> {
    let length = length(reply)?;
    if length / 8 > KEYS {
        return Err(PrError::TooMany(length / 8));
    }
    let body = reply.get(8..8 + length).ok_or(PrError::Short(reply.len()))?;
    Ok(body.chunks_exact(8).map(|c| c.iter().fold(0, |key, b| key << 8 | u64::from(*b))).collect())
}

/// A reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The key of its holder.
    pub key: u64,
    /// Its type.
    pub kind: u8,
}

/// The reservation, if there is one.
pub fn reservation(reply: &[u8]) -> Result<Option<Reservation>, PrError> {
    if length(reply)? == 0 {
        return Ok(None);
    }
    let body = reply.get(8..24).ok_or(PrError::Short(reply.len()))?;
    let key = body[..8].iter().fold(0, |key, b| key << 8 | u64::from(*b));
    Ok(Some(Reservation { key, kind: body[13] & 0x0f }))
}

fn length(reply: &[u8]) -> Result<usize, PrError> {
    let field: [u8; 4] = reply.get(4..8).and_then(|b| b.try_into().ok()).ok_or(PrError::Short(reply.len()))?;
    Ok(u32::from_be_bytes(field) as usize)
}

/// What sense data says, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// Something happened to the disk since it was last asked: ask again.
    UnitAttention,
    /// The disk does not know the command.
    Unknown,
    /// Anything else: the sense key.
    Other(u8),
}

/// Reads sense data, of either format.
pub fn sense(data: &[u8]) -> Sense {
    let key = match data.first().map(|b| b & 0x7f) {
        Some(0x70 | 0x71) => data.get(2),
        Some(0x72 | 0x73) => data.get(1),
        _ => None,
    };
    match key.map(|k| k & 0x0f) {
        Some(6) => Sense::UnitAttention,
        Some(5) => Sense::Unknown,
        Some(other) => Sense::Other(other),
        None => Sense::Other(0),
    }
}

/// How much of a name a key shows.
const SHOWN: usize = 4;

/// The key of a node: the beginning of its name in four bytes, so that a person and another node can read who it is, and
/// four bytes of a digest of the whole name, so that names that begin alike differ.
pub fn key_of(node: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(node.bytes().take(SHOWN)) {
        *to = from;
    }
    bytes[SHOWN..].copy_from_slice(&sha1::Sha1::digest(node.as_bytes())[..8 - SHOWN]);
    u64::from_be_bytes(bytes)
}

/// Who a key belongs to: the beginning of a name where it is one of ours, else the number.
pub fn name_of(key: u64) -> String {
    let bytes = key.to_be_bytes();
    let end = bytes[..SHOWN].iter().position(|b| *b == 0).unwrap_or(SHOWN);
    let (name, rest) = bytes[..SHOWN].split_at(end);
    let ours = !name.is_empty()
        && name.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        && rest.iter().all(|b| *b == 0);
    let name = String::from_utf8_lossy(name);
    // A shorter name is whole, and then the digest has to be its own.
    match ours && (end == SHOWN || key_of(&name) == key) {
        true if end == SHOWN && key_of(&name) != key => format!("{name}…"),
        true => name.into_owned(),
        false => format!("key {key:#018x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies() {
        // As sg_persist -vv shows them of a target in Linux.
        let none = [0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!((keys(&none), reservation(&none)), (Ok(vec![]), Ok(None)));
        let two = [0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 9, 9];
        assert_eq!(keys(&two), Ok(vec![1, 0xabcd]));
        let held = [0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0, 0, 0, 0, 0, 5, 0, 0];
        let expected = Reservation { key: 0xabcd, kind: WRITE_EXCLUSIVE_REGISTRANTS_ONLY };
        assert_eq!(reservation(&held), Ok(Some(expected)));
        assert_eq!(keys(&two[..20]), Err(PrError::Short(20)));
        assert_eq!(reservation(&held[..20]), Err(PrError::Short(20)));
        assert_eq!(keys(&[0; 7]), Err(PrError::Short(7)));
        assert!(matches!(keys(&[0, 0, 0, 0, 255, 0, 0, 0]), Err(PrError::TooMany(_))));
    }

    #[test]
    fn senses() {
        assert_eq!(sense(&[0x70, 0, 6, 0, 0, 0, 0, 10]), Sense::UnitAttention);
        assert_eq!(sense(&[0x72, 5, 0x20, 0]), Sense::Unknown);
        assert_eq!(sense(&[0xf0, 0, 2]), Sense::Other(2));
        assert_eq!(sense(&[]), Sense::Other(0));
    }

    #[test]
    fn names_in_keys() {
        for (node, shown) in [("ha1", "ha1"), ("ha1.example.com", "ha1.…"), ("node", "node"), ("a", "a")] {
            assert_eq!(name_of(key_of(node)), shown);
        }
        assert_ne!(key_of("ha1.example.com"), key_of("ha1.example.org"));
        assert_eq!(name_of(0x1234), "key 0x0000000000001234");
        assert_eq!(name_of(0), "key 0x0000000000000000");
        let names = (0..20_000).map(|n| key_of(&format!("node-{n}.example.com")));
        assert_eq!(names.collect::<std::collections::HashSet<_>>().len(), 20_000, "two bytes would not do");
        // A short name with a foreign digest is a chance.
        assert!(name_of(key_of("ha1") ^ 1).starts_with("key"));
    }

    proptest! {
        #[test]
        fn never_panics(reply in proptest::collection::vec(any::<u8>(), 0..64), key: u64) {
            let _ = (keys(&reply), reservation(&reply), sense(&reply));
            prop_assert!(!name_of(key).is_empty());
        }

        #[test]
        fn keys_come_back(list in proptest::collection::vec(any::<u64>(), 0..20)) {
            let mut reply = vec![0, 0, 0, 1];
            reply.extend((list.len() as u32 * 8).to_be_bytes());
            reply.extend(list.iter().flat_map(|k| k.to_be_bytes()));
            prop_assert_eq!(keys(&reply), Ok(list));
        }
    }
}
