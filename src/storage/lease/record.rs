//! What stands on the device: a pure codec.
//!
//! Two blocks of 4096 bytes, at 0 and at 4096; in each only the first 512 bytes carry something, so that devices with
//! blocks of 512 and of 4096 bytes look alike and one sector, which a disk writes wholly or not at all, holds a record.
//!
//! | bytes | lease (block 0) | note (block 1) |
//! | --- | --- | --- |
//! | 0–7 | `TKOLEASE` | the same |
//! | 8–9 | version, 1 | the same |
//! | 10 | kind, 1 | kind, 2 |
//! | 11 | length of the node's name, 1–64 | the same |
//! | 12–15 | zero | zero |
//! | 16–23 | counter: one more with each write | of the last write |
//! | 24–31 | generation: one more with each acquisition | given up |
//! | 32–47 | nonce: another for each attempt to acquire | given up |
//! | 48–55 | lease in milliseconds | the same |
//! | 56–119 | name of the node, zeros behind it | the same |
//! | 120–471 | zero | zero |
//! | 472–503 | SHA-256 of bytes 0–471 | the same |
//! | 504–511 | `TKOLEASE` | the same |
//!
//! Numbers are little-endian. Two blocks, because a holder that gives up must not write over the lease: a process may be
//! stopped on its way to a write for any time, and a "given up" that then lands on a successor's record would invite a
//! third while the successor believes. In a block of its own it names the nonce that it ends and says nothing about
//! any other.
//!
//! A block of zeros is blank: nobody ever wrote it. No tool formats a lease, so a blank one may be used, but only
//! after it stood unchanged for a whole lease, as anybody's: should somebody have blanked it under a holder, the
//! holder finds out first. Anything that neither begins nor ends as a record does belongs to somebody else.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// What of a block carries something.
pub const SECTOR: usize = 512;
/// A block as it is read and written.
pub const BLOCK: usize = 4096;
/// Both blocks.
pub const SIZE: usize = 2 * BLOCK;
/// The longest name of a node, in bytes.
pub const NODE_MAX: usize = 64;
/// The shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(1);
/// The longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);

const MAGIC: [u8; 8] = *b"TKOLEASE";
const VERSION: u16 = 1;
const NODE_AT: usize = 56;
const NODE_END: usize = NODE_AT + NODE_MAX;
const SUM_AT: usize = 472;
const TAIL_AT: usize = 504;

/// Which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who holds the lease.
    Lease = 1,
    /// Which nonce gave it up.
    Note = 2,
}

impl Kind {
    /// Where it stands on the device.
    pub const fn offset(self) -> u64 {
        match self {
            Self::Lease => 0,
            Self::Note => BLOCK as u64,
        }
    }
}

/// The contents of a record, of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// One more with each write; it may wrap.
    pub counter: u64,
    /// One more with each acquisition.
    pub generation: u64,
    /// Another for each attempt to acquire.
    pub nonce: u128,
    /// What the holder announced, in whole milliseconds, [`LEASE_MIN`] to [`LEASE_MAX`].
    pub lease: Duration,
    /// Printable ASCII without blanks, 1 to 64 bytes.
    pub node: String,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sector {
    /// Zeros.
    Blank,
    /// A record.
    Record(Record),
    /// A record that was written in part, or damaged. The bytes tell whether it changes.
    Garbled(Box<[u8; SECTOR]>),
    /// Something that is not ours.
    Foreign(&'static str),
}

/// Both blocks as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Who holds the lease.
    pub lease: Sector,
    /// Who gave it up last. Unreadable is none: somebody waits longer than needed.
    pub note: Option<Record>,
}

impl Image {
    /// Reads both blocks.
    pub fn parse(bytes: &[u8; SIZE]) -> Self {
        let (lease, note) = bytes.split_at(BLOCK);
        let note = match parse(Kind::Note, note) {
            Sector::Record(record) => Some(record),
            _ => None,
        };
        Self { lease: parse(Kind::Lease, lease), note }
    }

    /// Whether the holder gave the lease up: nobody believes in that nonce, and nobody ever will again.
    pub fn released(&self) -> bool {
        matches!((&self.lease, &self.note), (Sector::Record(lease), Some(note)) if lease.nonce == note.nonce)
    }
}

/// Whether a name fits into a record.
pub fn is_node(name: &str) -> bool {
    (1..=NODE_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Reads the beginning of a block; what stands behind the first sector is not looked at.
pub fn parse(kind: Kind, block: &[u8]) -> Sector {
    let Some(sector) = block.first_chunk::<SECTOR>() else { return Sector::Foreign("less than a sector") };
    if sector.iter().all(|b| *b == 0) {
        return Sector::Blank;
    }
    let ours = [sector[..8] == MAGIC, sector[TAIL_AT..] == MAGIC];
    match ours {
        [false, false] => return Sector::Foreign("something else stands at its beginning"),
        [true, true] if Sha256::digest(&sector[..SUM_AT])[..] == sector[SUM_AT..TAIL_AT] => {}
        _ => return Sector::Garbled(Box::new(*sector)),
    }
    if sector[8..10] != VERSION.to_le_bytes() {
        return Sector::Foreign("a lease of a version that is not known here");
    }
    // Whole, and still not what we write: not torn, but made by something else.
    record(kind, sector).map_or(Sector::Foreign("a lease that makes no sense"), Sector::Record)
}

fn record(kind: Kind, sector: &[u8; SECTOR]) -> Option<Record> {
    let number = |at: usize| sector[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
    let zero = |range: std::ops::Range<usize>| sector[range].iter().all(|b| *b == 0);
    let length = usize::from(sector[11]);
    let node = std::str::from_utf8(sector[NODE_AT..NODE_END].get(..length)?).ok()?;
    let lease = Duration::from_millis(number(48)?);
    let sound = sector[10] == kind as u8
        && is_node(node)
        && (LEASE_MIN..=LEASE_MAX).contains(&lease)
        && zero(12..16)
        && zero(NODE_AT + length..SUM_AT);
    sound.then_some(Record {
        counter: number(16)?,
        generation: number(24)?,
        nonce: u128::from_le_bytes(*sector[32..].first_chunk()?),
        lease,
        node: node.to_owned(),
    })
}

/// The block to write. A name that is too long is cut; [`is_node`] is asked before it comes to that.
pub fn encode(kind: Kind, record: &Record) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let node = &record.node.as_bytes()[..record.node.len().min(NODE_MAX)];
    block[..8].copy_from_slice(&MAGIC);
    block[8..10].copy_from_slice(&VERSION.to_le_bytes());
    block[10] = kind as u8;
    block[11] = node.len() as u8;
    block[16..24].copy_from_slice(&record.counter.to_le_bytes());
    block[24..32].copy_from_slice(&record.generation.to_le_bytes());
    block[32..48].copy_from_slice(&record.nonce.to_le_bytes());
    block[48..56].copy_from_slice(&(record.lease.as_millis() as u64).to_le_bytes());
    block[NODE_AT..NODE_AT + node.len()].copy_from_slice(node);
    let sum = Sha256::digest(&block[..SUM_AT]);
    block[SUM_AT..TAIL_AT].copy_from_slice(&sum);
    block[TAIL_AT..SECTOR].copy_from_slice(&MAGIC);
    block
}

/// What stands at the beginning of a device that is no lease, where it is known; for the message.
pub fn recognise(head: &[u8]) -> Option<&'static str> {
    const SIGNS: [(usize, &[u8], &str); 13] = [
        (0x438, b"\x53\xef", "an ext2, ext3 or ext4 file system"),
        (0, b"XFSB", "an XFS file system"),
        (0x1_0040, b"_BHRfS_M", "a Btrfs file system"),
        (0x1_0034, b"ReIsEr", "a ReiserFS file system"),
        (0x8001, b"CD001", "an ISO 9660 file system"),
        (0x1_0000, b"\x01\x16\x19\x70", "a GFS2 file system"),
        (0, b"LUKS", "an encrypted volume (LUKS)"),
        (4086, b"SWAPSPACE2", "swap space"),
        (512, b"LABELONE", "an LVM physical volume"),
        (0x1000, b"\xfc\x4e\x2b\xa9", "a member of a RAID (md)"),
        (0, b"\xfc\x4e\x2b\xa9", "a member of a RAID (md)"),
        (512, b"EFI PART", "a partition table (GPT)"),
        (510, b"\x55\xaa", "a boot sector or partition table"),
    ];
    SIGNS.iter().find(|(at, sign, _)| head.get(*at..).is_some_and(|h| h.starts_with(sign))).map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Record> {
        (any::<[u64; 2]>(), any::<u128>(), 1000u64..=3_600_000, "[!-~]{1,64}").prop_map(|(n, nonce, ms, node)| Record {
            counter: n[0],
            generation: n[1],
            nonce,
            lease: Duration::from_millis(ms),
            node,
        })
    }

    proptest! {
        #[test]
        fn records_come_back(record in records()) {
            for (kind, other) in [(Kind::Lease, Kind::Note), (Kind::Note, Kind::Lease)] {
                let block = encode(kind, &record);
                prop_assert_eq!(parse(kind, &block), Sector::Record(record.clone()));
                prop_assert_eq!(parse(other, &block), Sector::Foreign("a lease that makes no sense"));
            }
        }

        /// A write that ends anywhere leaves the old record, the new one, or something that is known to be torn.
        #[test]
        fn torn_writes_are_seen(old in records(), new in records(), cut in 0..=SECTOR, head in any::<bool>()) {
            let (a, b) = (encode(Kind::Lease, &old), encode(Kind::Lease, &new));
            let mut torn = if head { a } else { b };
            torn[..cut].copy_from_slice(&if head { b } else { a }[..cut]);
            match parse(Kind::Lease, &torn) {
                Sector::Record(r) => prop_assert!(r == old || r == new),
                Sector::Garbled(bytes) => prop_assert_eq!(&bytes[..], &torn[..SECTOR]),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn a_flipped_bit_is_seen(record in records(), bit in 0..SECTOR * 8) {
            let mut block = encode(Kind::Lease, &record);
            block[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(matches!(parse(Kind::Lease, &block), Sector::Garbled(_)));
        }
    }

    #[test]
    fn the_layout_stays() {
        let record =
            Record { counter: 1, generation: 2, nonce: 3, lease: Duration::from_secs(10), node: "ha1".to_owned() };
        let block = encode(Kind::Lease, &record);
        assert_eq!(&block[..16], b"TKOLEASE\x01\x00\x01\x03\0\0\0\0");
        assert_eq!((block[16], block[24], block[32], &block[48..50]), (1, 2, 3, &[0x10, 0x27][..]));
        assert_eq!((&block[56..60], &block[504..513]), (&b"ha1\0"[..], &b"TKOLEASE\0"[..]));
        let hex: String = block[472..480].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "bb49564e237f111a");
    }

    #[test]
    fn blank_foreign_and_later_versions() {
        assert_eq!(parse(Kind::Lease, &[0; BLOCK]), Sector::Blank);
        assert!(matches!(parse(Kind::Lease, &[0; 511]), Sector::Foreign(_)));
        let mut head = vec![0; 128 << 10];
        head[0x438] = 0x53;
        head[0x439] = 0xef;
        assert_eq!(recognise(&head), Some("an ext2, ext3 or ext4 file system"));
        assert_eq!(recognise(&[1; 600]), None);
        assert!(matches!(parse(Kind::Lease, &[1; BLOCK]), Sector::Foreign(_)));

        let record = Record { counter: 1, generation: 2, nonce: 3, lease: LEASE_MIN, node: "ha1".to_owned() };
        let resealed = |at: usize, byte: u8| {
            let mut block = encode(Kind::Lease, &record);
            block[at] = byte;
            let sum = Sha256::digest(&block[..SUM_AT]);
            block[SUM_AT..TAIL_AT].copy_from_slice(&sum);
            parse(Kind::Lease, &block)
        };
        assert_eq!(resealed(8, 2), Sector::Foreign("a lease of a version that is not known here"));
        for (at, byte) in
            [(10, 3), (11, 0), (11, 65), (11, 4), (12, 1), (49, 0), (51, 1), (56, b' '), (59, b'x'), (471, 1)]
        {
            assert_eq!(resealed(at, byte), Sector::Foreign("a lease that makes no sense"), "{at}");
        }
    }

    #[test]
    fn only_its_own_nonce_is_given_up() {
        let record = Record { counter: 1, generation: 2, nonce: 3, lease: LEASE_MIN, node: "ha1".to_owned() };
        let image = |note: &[u8]| {
            let mut bytes = [0; SIZE];
            bytes[..BLOCK].copy_from_slice(&encode(Kind::Lease, &record));
            bytes[BLOCK..BLOCK + note.len()].copy_from_slice(note);
            Image::parse(&bytes)
        };
        assert!(image(&encode(Kind::Note, &record)).released());
        assert!(!image(&encode(Kind::Note, &Record { nonce: 4, ..record.clone() })).released());
        assert!(!image(&encode(Kind::Lease, &record)).released());
        assert!(!image(b"").released());
        assert!(!image(b"TKOLEASE").released());
    }
}
