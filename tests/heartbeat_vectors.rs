//! Messages that heartbeat 3.0.6 itself sent: opened, verified, and written again byte for byte.

use std::io::Read;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use takeover::heartbeat::wire::authentication::{Key, Keyring, Method};
use takeover::heartbeat::wire::compression::Algorithm;
use takeover::heartbeat::wire::framing::{Frame, Framer};
use takeover::heartbeat::wire::message::{Field, Message, Value};
use takeover::heartbeat::wire::{Form, Rejection, Shape, compress, open, seal};

/// A message, and what the manifest says of it.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    form: Form,
    inner: bool,
    key: Key,
    message: Message,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/heartbeat-3.0.6")
}

fn vectors() -> Vec<Vector> {
    let manifest = std::fs::read(folder().join("manifest.json")).unwrap();
    let manifest: Vec<Json> = serde_json::from_slice(&manifest).unwrap();
    let vectors: Vec<Vector> = manifest.iter().map(vector).collect();
    assert!(vectors.len() > 70, "{} vectors", vectors.len());
    vectors
}

fn vector(entry: &Json) -> Vector {
    let text = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("{name} in {entry}"));
    let fields = entry["fields"].as_array().unwrap().iter().map(|field| {
        let value = match field["type"].as_u64().unwrap() {
            0 => Value::Text(field["value"].as_str().unwrap().to_owned()),
            1 => Value::Binary(STANDARD.decode(field["value"]["base64"].as_str().unwrap()).unwrap()),
            other => panic!("no vector has a field of type {other}"),
        };
        Field { name: field["name"].as_str().unwrap().to_owned(), value }
    });
    let index = u8::try_from(entry["auth_index"].as_u64().unwrap()).unwrap();
    Vector {
        name: text("file").to_owned(),
        bytes: std::fs::read(folder().join(text("file"))).unwrap(),
        form: if text("form") == "classic" { Form::Classic } else { Form::Netstring },
        inner: entry["inner_auth"].is_string(),
        key: Key::new(index, text("method").parse().unwrap(), text("key").as_bytes()),
        message: Message { fields: fields.filter(|f| f.name != "auth").collect() },
    }
}

fn ring(key: &Key) -> Keyring {
    Keyring::new(vec![key.clone()], key.index()).unwrap()
}

fn is_compressed(vector: &Vector) -> bool {
    vector.message.binary("_compressed_payload").is_some()
}

#[test]
fn every_message_opens_and_is_written_again_byte_for_byte() {
    for vector in vectors() {
        let opened = open(&vector.bytes, &ring(&vector.key)).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        assert_eq!((opened.form, opened.key, opened.method), (vector.form, 1, vector.key.method()), "{}", vector.name);
        assert_eq!(opened.compressed, is_compressed(&vector), "{}", vector.name);
        if !opened.compressed {
            assert_eq!(opened.message, vector.message, "{}", vector.name);
            // What the real daemon says can be said by us, through JSON too.
            assert_eq!(Message::from_json(&opened.message.to_json()), Ok(opened.message), "{}", vector.name);
        }
        let shape = match (vector.form, vector.inner) {
            (Form::Classic, _) => Shape::Classic,
            (Form::Netstring, true) => Shape::Netstring,
            (Form::Netstring, false) => Shape::NetstringBare,
        };
        let again = seal(&vector.message, &vector.key, shape);
        assert_eq!(again, vector.bytes, "{}: {}", vector.name, String::from_utf8_lossy(&again));
    }
}

#[test]
fn a_compressed_message_is_written_again_byte_for_byte() {
    let vector = vectors().into_iter().find(is_compressed).unwrap();
    let opened = open(&vector.bytes, &ring(&vector.key)).unwrap();
    assert!(opened.compressed && opened.message.text("t").is_some(), "{opened:?}");

    let mut inflated = Vec::new();
    let payload = vector.message.binary("_compressed_payload").unwrap();
    flate2::read::ZlibDecoder::new(payload).read_to_end(&mut inflated).unwrap();
    let mut inner = seal(&opened.message, &vector.key, Shape::Classic);
    inner.push(0);
    assert_eq!(inner, inflated);

    // Not the same bytes: every compressor decides for itself. The same message.
    let again = compress(&opened.message, &vector.key, Algorithm::Zlib);
    println!("identical payload: {}", again == vector.bytes);
    assert_eq!(open(&again, &ring(&vector.key)).unwrap(), opened);
}

#[test]
fn the_stream_of_a_serial_line_is_messages_alone() {
    let stream = std::fs::read(folder().join("serial-sha1-a2b.raw")).unwrap();
    let keys = ring(&Key::new(1, Method::Sha1, b"TestKey123"));
    for piece in [1, 7, 512, stream.len()] {
        let (mut framer, mut opened, mut noise, mut bytes) = (Framer::new(), 0, 0, 0);
        for piece in stream.chunks(piece) {
            framer.push(piece, &mut |frame| match frame {
                Frame::Message(message) => {
                    open(message, &keys).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(message)));
                    opened += 1;
                    bytes += message.len();
                }
                Frame::Noise(count) => noise += count,
            });
        }
        let starts = stream.windows(4).filter(|w| w == b">>>\n").count();
        // It was cut at its end, perhaps.
        assert!(opened + 1 >= starts && opened > 100, "{opened} of {starts}");
        assert!(noise == 0 && bytes + 512 > stream.len(), "{noise} of noise, {bytes} of {}", stream.len());
    }
}

#[test]
fn a_wrong_key_opens_nothing() {
    for vector in vectors().iter().filter(|v| v.key.method() != Method::Crc) {
        let wrong = Key::new(1, vector.key.method(), b"TestKey124");
        assert_eq!(open(&vector.bytes, &ring(&wrong)), Err(Rejection::BadDigest { index: 1 }), "{}", vector.name);
        let other = Key::new(2, vector.key.method(), b"TestKey123");
        assert_eq!(open(&vector.bytes, &ring(&other)), Err(Rejection::UnknownKey { index: 1 }), "{}", vector.name);
        let method = if vector.key.method() == Method::Md5 { Method::Sha1 } else { Method::Md5 };
        let other = Key::new(1, method, b"TestKey123");
        assert_eq!(open(&vector.bytes, &ring(&other)), Err(Rejection::BadDigest { index: 1 }), "{}", vector.name);
    }
}

#[test]
fn no_flipped_bit_and_no_cut_is_accepted() {
    for vector in vectors() {
        let keys = ring(&vector.key);
        for byte in 0..vector.bytes.len() {
            for bit in 0..8 {
                let mut flipped = vector.bytes.clone();
                flipped[byte] ^= 1 << bit;
                let opened = open(&flipped, &keys);
                assert!(opened.is_err(), "{}: bit {bit} of byte {byte}: {opened:?}", vector.name);
            }
            assert!(open(&vector.bytes[..byte], &keys).is_err(), "{}: cut to {byte}", vector.name);
            assert!(open(&vector.bytes[byte + 1..], &keys).is_err(), "{}: without {}", vector.name, byte + 1);
        }
    }
}

#[test]
fn one_zero_byte_may_follow_a_classic_message() {
    for vector in vectors() {
        let mut longer = vector.bytes.clone();
        longer.push(0);
        assert_eq!(open(&longer, &ring(&vector.key)).is_ok(), vector.form == Form::Classic, "{}", vector.name);
        longer.push(0);
        assert!(open(&longer, &ring(&vector.key)).is_err(), "{}", vector.name);
    }
}
