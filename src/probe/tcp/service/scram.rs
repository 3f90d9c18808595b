//! SCRAM-SHA-256 of RFC 5802 and RFC 7677, our side of it, without channel binding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::digests::{hash, keyed, mac, xor};

/// What one login may cost: servers ask for 4,096 unless they are told otherwise. A round takes about a microsecond, during
/// which nothing else is probed.
const MOST_ROUNDS: u32 = 100_000;

type Hash = [u8; 32];

/// A login that has begun.
#[derive(Clone, Debug)]
pub(super) struct Scram {
    first: String,
    nonce: String,
}

/// What the server has to prove in its turn: that it knew the password before.
#[derive(Clone, Debug)]
pub(super) struct Proof(Hash);

/// Why a login cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// No message of SCRAM, or not one for us.
    Malformed,
    /// More rounds than we go.
    Rounds,
}

impl Scram {
    /// `nonce` is random, `user` may be empty where the protocol around it has said it.
    pub(super) fn new(user: &str, nonce: &[u8]) -> Self {
        let nonce = STANDARD.encode(nonce);
        Self { first: format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C")), nonce }
    }

    /// What is said first.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// What is said to the server's first message, and what it has to answer.
    pub(super) fn prove(self, password: &str, said: &[u8]) -> Result<(String, Proof), Stuck> {
        let said = std::str::from_utf8(said).map_err(|_| Stuck::Malformed)?;
        let mut parts = said.split(',');
        let mut part = |name| parts.next().and_then(|p| p.strip_prefix(name)).ok_or(Stuck::Malformed);
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        let salt = STANDARD.decode(salt).map_err(|_| Stuck::Malformed)?;
        let rounds: u32 = rounds.parse().map_err(|_| Stuck::Malformed)?;
        if rounds == 0 || nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(Stuck::Malformed);
        }
        if rounds > MOST_ROUNDS {
            return Err(Stuck::Rounds);
        }
        let salted = stretched(password.as_bytes(), &salt, rounds);
        let hmac = |key: &[u8], text: &[u8]| -> Hash { mac::<Hmac<Sha256>>(key, &[text]).into() };
        let mut proof = hmac(&salted, b"Client Key");
        let stored = hash::<Sha256>(&[&proof]);
        // "biws" is the "n,," of our first message.
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{said},{last}", self.first);
        xor(&mut proof, &hmac(&stored, all.as_bytes()));
        let signature = hmac(&hmac(&salted, b"Server Key"), all.as_bytes());
        Ok((format!("{last},p={}", STANDARD.encode(proof)), Proof(signature)))
    }
}

impl Proof {
    /// Whether the server's last message holds it.
    pub(super) fn holds(&self, said: &[u8]) -> bool {
        let text = said.strip_prefix(b"v=").map(|v| v.split(|b| *b == b',').next().unwrap_or(v));
        let signature = text.and_then(|text| STANDARD.decode(text).ok());
        signature.is_some_and(|s| s.ct_eq(&self.0).into())
    }
}

/// Hi() of RFC 5802: PBKDF2 with one block.
fn stretched(password: &[u8], salt: &[u8], rounds: u32) -> Hash {
    let key: Hmac<Sha256> = keyed(password);
    let mut round: Hash =
        key.clone().chain_update(salt).chain_update(1u32.to_be_bytes()).finalize().into_bytes().into();
    let mut sum = round;
    for _ in 1..rounds {
        round = key.clone().chain_update(round).finalize().into_bytes().into();
        xor(&mut sum, &round);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_exchange_of_the_rfc() {
        let scram = Scram { first: "n=user,r=rOprNGfwEbeRWgbNEkqO".into(), nonce: "rOprNGfwEbeRWgbNEkqO".into() };
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let said = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, proof) = scram.prove("pencil", said).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(proof.holds(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!proof.holds(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="));
        assert!(!proof.holds(b"e=invalid-proof"));
    }

    #[test]
    fn what_cannot_go_on() {
        let stuck = |said: &str| Scram::new("", b"abc").prove("", said.as_bytes()).map(|_| ()).unwrap_err();
        let ours = STANDARD.encode(b"abc");
        for said in
            ["", "r=,s=,i=", "r=other,s=AA==,i=1", &format!("r={ours},s=AA==,i=1"), &format!("r={ours}x,s=AA==,i=0")]
        {
            assert_eq!(stuck(said), Stuck::Malformed, "{said}");
        }
        assert_eq!(stuck(&format!("r={ours}x,s=AA==,i=4294967295")), Stuck::Rounds);
    }
}
