//! The blocks of a lease: whatever a disk may hold, as it is and behind a digest that is right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use takeover::storage::lease::record::{
    BLOCK, Image, Kind, LEASE_MAX, LEASE_MIN, Record, SECTOR, SIZE, Sector, encode, is_node, parse, recognise,
};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let kind = if choice & 1 == 0 { Kind::Lease } else { Kind::Note };
    let _ = recognise(data);
    sound(kind, data);
    let mut bytes = [0; SIZE];
    let size = data.len().min(SIZE);
    bytes[..size].copy_from_slice(&data[..size]);
    if choice & 2 != 0 {
        // What only a parser behind the digest gets to see.
        for block in bytes.chunks_exact_mut(BLOCK) {
            block[..8].copy_from_slice(b"TKOLEASE");
            let sum = Sha256::digest(&block[..472]);
            block[472..504].copy_from_slice(&sum);
            block[504..512].copy_from_slice(b"TKOLEASE");
        }
    }
    for block in bytes.chunks_exact(BLOCK) {
        sound(kind, block);
    }
    let image = Image::parse(&bytes);
    if image.released() {
        let (Sector::Record(lease), Some(note)) = (&image.lease, &image.note) else { panic!("nobody gave it up") };
        assert_eq!(lease.nonce, note.nonce);
    }
});

/// A record is what we would have written, byte for byte; and torn, it is known to be.
fn sound(kind: Kind, block: &[u8]) {
    match parse(kind, block) {
        Sector::Record(record) => {
            assert!(is_node(&record.node) && (LEASE_MIN..=LEASE_MAX).contains(&record.lease));
            let written = encode(kind, &record);
            assert_eq!(written[..SECTOR], block[..SECTOR]);
            let next = encode(kind, &Record { counter: record.counter.wrapping_add(1), ..record });
            let mut torn = written;
            torn[..480].copy_from_slice(&next[..480]);
            assert!(matches!(parse(kind, &torn), Sector::Garbled(_)));
        }
        Sector::Garbled(bytes) => assert_eq!(bytes[..], block[..SECTOR]),
        Sector::Blank => assert!(block[..SECTOR].iter().all(|b| *b == 0)),
        Sector::Foreign(_) => {}
    }
}
