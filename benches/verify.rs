//! How many messages a second one core opens: digests verified, fields parsed. Prints one JSON line.
//!
//! `cargo bench --bench verify`; the figures are messages a second, the median of several rounds.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Map, Value};
use takeover::heartbeat::wire::authentication::{Key, Keyring, Method};
use takeover::heartbeat::wire::{Shape, open, seal};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(300);

fn main() -> anyhow::Result<()> {
    let vector = "tests/vectors/heartbeat-3.0.6/udp-sha1-status-active.bin";
    let real = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(vector)).context(vector)?;
    let sha1 = Key::new(1, Method::Sha1, b"TestKey123");
    let message = open(&real, &ring(&sha1)?)?.message;

    let mut figures = Map::new();
    for method in [Method::Crc, Method::Md5, Method::Sha1, Method::Sha256] {
        let key = Key::new(1, method, b"TestKey123");
        let shapes =
            [("classic", Shape::Classic), ("netstring", Shape::Netstring), ("netstring_bare", Shape::NetstringBare)];
        for (name, shape) in shapes {
            let bytes = seal(&message, &key, shape);
            ensure!(
                (method, shape) != (Method::Sha1, Shape::Netstring) || bytes == real,
                "not what the real daemon sent"
            );
            figures.insert(format!("{method}_{name}"), Value::from(rate(&bytes, &ring(&key)?)?));
        }
    }
    println!("{}", Value::Object(figures));
    Ok(())
}

fn ring(key: &Key) -> anyhow::Result<Keyring> {
    Keyring::new(vec![key.clone()], key.index()).context("one key is a ring")
}

/// Messages a second, the median of the rounds.
fn rate(bytes: &[u8], keys: &Keyring) -> anyhow::Result<u64> {
    let mut rates = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (start, mut count) = (Instant::now(), 0u32);
        while start.elapsed() < ROUND {
            for _ in 0..256 {
                black_box(open(black_box(bytes), keys)?);
            }
            count += 256;
        }
        rates.push((f64::from(count) / start.elapsed().as_secs_f64()) as u64);
    }
    rates.sort_unstable();
    Ok(rates[ROUNDS / 2])
}
