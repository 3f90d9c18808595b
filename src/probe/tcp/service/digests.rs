//! Hashes over several pieces, as logins want them.

use std::fmt::Write;

use hmac::Mac;
use hmac::digest::{Digest, KeyInit, Output};

/// The digest of these pieces, one after the other.
pub(super) fn hash<D: Digest>(pieces: &[&[u8]]) -> Output<D> {
    pieces.iter().fold(D::new(), |digest, piece| digest.chain_update(piece)).finalize()
}

/// HMAC with the key worked in.
pub(super) fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length: RFC 2104, section 2")]
    <M as Mac>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC of these pieces, one after the other.
pub(super) fn mac<M: Mac + KeyInit>(key: &[u8], pieces: &[&[u8]]) -> Output<M> {
    pieces.iter().fold(keyed::<M>(key), |mac, piece| mac.chain_update(piece)).finalize().into_bytes()
}

/// Changes each byte by the one at its place in the other.
pub(super) fn xor(bytes: &mut [u8], other: &[u8]) {
    bytes.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
}

/// In hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
