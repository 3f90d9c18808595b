//! Heartbeat messages: what anybody may send, and what whoever has a key may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use takeover::heartbeat::wire::authentication::{Key, Keyring, Method};
use takeover::heartbeat::wire::compression::Algorithm;
use takeover::heartbeat::wire::message::{Field, Message, Value};
use takeover::heartbeat::wire::{Opened, Shape, compress, open, seal};

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    // A crc is quickest, and its digest can be made here without the library's help.
    let methods = [Method::Crc, Method::Md5, Method::Sha1, Method::Sha256];
    let key = Key::new(choice >> 4, methods[usize::from(choice >> 2 & 3)], b"secret");
    let Some(keys) = Keyring::new(vec![key.clone(), Key::new((choice >> 4) ^ 1, Method::Crc, b"")], key.index()) else {
        panic!("two keys, two indices");
    };
    match choice & 3 {
        0 => whatever(data, &keys),
        1 => signed_netstring(data, &keys),
        2 => signed_classic(data, &keys),
        _ => fields(data, &key, &keys),
    }
});

/// Bytes as they are.
fn whatever(data: &[u8], keys: &Keyring) {
    if let Ok(opened) = open(data, keys) {
        comes_back(&opened, keys);
    }
}

/// A body of netstrings with a digest that is right: what a parser behind the digest gets to see.
fn signed_netstring(data: &[u8], keys: &Keyring) {
    let mut bytes = b"###\n".to_vec();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"%%%\n");
    let signature = format!("{} {:x}", crc_index(keys), crc(&bytes));
    bytes.extend_from_slice(format!("{}:{signature},", signature.len()).as_bytes());
    whatever(&bytes, keys);
}

/// Lines with a digest that is right, as they are and as the payload of a compressed message.
fn signed_classic(data: &[u8], keys: &Keyring) {
    let mut bytes = b">>>\n".to_vec();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(format!("auth={} {:x}\n<<<\n", crc_index(keys), crc(data)).as_bytes());
    whatever(&bytes, keys);
}

fn crc_index(keys: &Keyring) -> u8 {
    keys.keys().iter().find(|k| k.method() == Method::Crc).map_or(0, Key::index)
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |c, _| if c >> 31 == 1 { c << 1 ^ 0x04c1_1db7 } else { c << 1 })
    })
}

/// Any fields, one a line; whoever sends them has them back on the other side as they were.
fn fields(data: &[u8], key: &Key, keys: &Keyring) {
    let mut message = Message::default();
    for line in data.split(|b| *b == b'\n') {
        let [kind, line @ ..] = line else { continue };
        let name = String::from_utf8_lossy(&line[..line.len().min(usize::from(kind >> 4))]).into_owned();
        let bytes = &line[line.len().min(usize::from(kind >> 4))..];
        let text = String::from_utf8_lossy(bytes).into_owned();
        let value = match kind & 7 {
            0 => Value::Text(text),
            1 => Value::Binary(bytes.to_vec()),
            2 => Value::List(text.split(',').map(str::to_owned).collect()),
            // All that came so far goes one level down.
            3 => Value::Struct(std::mem::take(&mut message)),
            other => Value::Raw(other, bytes.to_vec()),
        };
        message.fields.push(Field { name, value });
    }
    if message.check().is_err() {
        return;
    }
    for shape in [Shape::Classic, Shape::Netstring, Shape::NetstringBare] {
        let bytes = seal(&message, key, shape);
        assert_eq!(open(&bytes, keys).map(|o| (o.message, o.key)), Ok((message.clone(), key.index())));
        // And nobody else has.
        let strange = Keyring::new(vec![Key::new(key.index(), Method::Sha256, b"other")], key.index());
        assert!(open(&bytes, &strange.unwrap_or_else(|| keys.clone())).is_err());
    }
    // bzip2 sorts a megabyte for each: now and then is enough.
    let algorithms = if data.len() % 64 == 63 { &[Algorithm::Zlib, Algorithm::Bz2][..] } else { &[Algorithm::Zlib] };
    for &algorithm in algorithms {
        let opened = open(&compress(&message, key, algorithm), keys);
        assert_eq!(opened.map(|o| (o.message, o.compressed)), Ok((message.clone(), true)));
    }
}

/// What was accepted can be sent again, in every shape, and is the same.
fn comes_back(opened: &Opened, keys: &Keyring) {
    let message = &opened.message;
    for shape in [Shape::Classic, Shape::Netstring, Shape::NetstringBare] {
        let again = open(&seal(message, keys.sending(), shape), keys);
        assert_eq!(again.as_ref().map(|o| &o.message), Ok(message), "{shape:?}");
    }
    // JSON has no two fields of one name, and what is sent from there has no newlines.
    if message.check().is_ok() {
        let first = Message::from_json(&message.to_json()).unwrap_or_else(|e| panic!("{e}: {message:?}"));
        assert_eq!(Message::from_json(&first.to_json()), Ok(first));
    }
}
