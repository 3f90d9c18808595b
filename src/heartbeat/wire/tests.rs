//! What must hold for every message, and what a sender with a key must not get away with.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::authentication::{Key, Keyring, Method};
use super::compression::Algorithm;
use super::framing::{Frame, Framer};
use super::message::{Field, Message, Value};
use super::*;

fn ring() -> Keyring {
    let methods = [(0, Method::Crc), (1, Method::Md5), (7, Method::Sha1), (15, Method::Sha256)];
    Keyring::new(methods.map(|(i, m)| Key::new(i, m, b"secret")).to_vec(), 7).unwrap()
}

/// Signs a netstring message of these fields with the crc key.
fn netstring(body: &[u8]) -> Vec<u8> {
    let mut bytes = [b"###\n", body, b"%%%\n"].concat();
    let mut signature = Vec::new();
    ring().get(0).unwrap().sign(&bytes, &mut signature);
    bytes.extend_from_slice(format!("{}:", signature.len()).as_bytes());
    bytes.extend_from_slice(&signature);
    bytes.push(b',');
    bytes
}

/// Signs a classic message of these lines with the crc key.
fn classic(lines: &[u8]) -> Vec<u8> {
    let mut signature = Vec::new();
    ring().get(0).unwrap().sign(lines, &mut signature);
    [b">>>\n", lines, b"auth=", &signature, b"\n<<<\n"].concat()
}

fn opened(bytes: &[u8]) -> Result<Message, Rejection> {
    open(bytes, &ring()).map(|o| o.message)
}

fn field(name: &str, value: Value) -> Field {
    Field { name: name.to_owned(), value }
}

/// One message with a field of every type, as the real library (libplumb of cluster-glue 1.0.12) writes it in both forms.
#[test]
fn structs_and_lists_are_those_of_the_real_library() {
    let deep = Message::default().with("deep", "e\nr");
    let inner = Message {
        fields: vec![
            field("a", Value::Text("b".into())),
            field("bi", Value::Binary(vec![0, 1, 10])),
            field("j", Value::Struct(deep)),
        ],
    };
    let message = Message {
        fields: vec![
            field("t", Value::Text("x".into())),
            field("st", Value::Struct(inner)),
            field("li", Value::List(vec!["one".into(), "two,3".into()])),
            field("empty", Value::Binary(vec![])),
            field("z", Value::Text("a=b".into())),
        ],
    };
    let lines = b"t=x\n(2)st=>>>\x14a=b\x14(1)bi=AAEK\x14(2)j=>>>\x15deep=e\x13r\x15<<<\x15\x14<<<\x14\n\
        (3)li=3:one,5:two,3,\n(1)empty=\nz=a=b\n";
    let fields = b"6:(0)t=x,67:(2)st=###\n6:(0)a=b,9:(1)bi=\0\x01\n,28:(2)j=###\n11:(0)deep=e\nr,%%%\n,%%%\n,\
        20:(3)li=3:one,5:two,3,,9:(1)empty=,8:(0)z=a=b,";
    assert_eq!(opened(&classic(lines)), Ok(message.clone()));
    assert_eq!(opened(&netstring(fields)), Ok(message.clone()));
    let key = ring().get(0).unwrap().clone();
    assert_eq!(seal(&message, &key, Shape::Classic), classic(lines));
    assert_eq!(seal(&message, &key, Shape::NetstringBare), netstring(fields));
}

#[test]
fn a_digest_is_asked_for_before_all_else() {
    // Each is malformed too, which nobody without a key gets to hear.
    let mut forged = netstring(b"9999999:x");
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'0' { b'1' } else { b'0' };
    assert_eq!(opened(&forged), Err(Rejection::BadDigest { index: 0 }));
    assert_eq!(opened(b">>>\nrubbish\nauth=0 0\n<<<\n"), Err(Rejection::BadDigest { index: 0 }));
    assert_eq!(opened(b"###\nrubbish%%%\n3:9 0,"), Err(Rejection::UnknownKey { index: 9 }));
    assert_eq!(opened(b"###\n6:(0)t=x,%%%\n"), Err(Rejection::Unauthenticated));
    assert_eq!(opened(b">>>\nt=x\n<<<\n"), Err(Rejection::Unauthenticated));
    assert_eq!(opened(b">>>\n<<<\n"), Err(Rejection::Unauthenticated));
    assert_eq!(opened(&vec![b'#'; MAX_MESSAGE + 1]), Err(Rejection::TooLarge));
    for short in ["", ">", ">>>\n", "###\n", "%%%\n", "###\n%%%", "###\n1:,", "<<<\n", ">>>\n<<<"] {
        assert_eq!(opened(short.as_bytes()).map_err(|e| e.reason()), Err("malformed"), "{short:?}");
    }
}

#[test]
fn a_message_has_one_spelling() {
    for bad in [
        "06:(0)t=x,",
        "+6:(0)t=x,",
        " 6:(0)t=x,",
        "6:(0)t=x",
        "6:(0)t=x;",
        "7:(0)t=x,",
        "5:(0)t=x,",
        "6:(6)t=x,",
        "6:(0)=tx,",
        "6:(0)tx=",
        "5:(0)tx,",
        "5:tx=yz,",
        "0:,",
        ":,",
        "99999999999999999999:(0)t=x,",
        "6:(0)t=\0,",
        "6:(0)t=\u{14},",
        "9:(0)(1)a=b,",
        "8:(0)t t=x,",
        "9:(0)auth=,6:(0)t=x,",
        "9:(1)auth=,",
        "9:(0)t=\u{20ac}\u{20ac},",
        "14:(2)s=###\n%%%\n\n,",
        "9:(2)s=###\n,",
        "9:(3)l=2:a,,",
        "9:(3)l=1:\n,,",
        "###\n",
    ] {
        assert_eq!(opened(&netstring(bad.as_bytes())).map_err(|e| e.reason()), Err("malformed"), "{bad:?}");
    }
    for bad in [
        "(0)t=x\n",
        "t\n",
        "=x\n",
        "\n",
        "t=x\n\n",
        "(1)b=AAE\n",
        "(1)b=AAF=\n",
        "(1)b=AA E\n",
        "(1)b=AA==AAAA\n",
        "(9)b=x\n",
        "t=\0\n",
        "t=\x14\n",
        "(2)s=>>>\n",
        "(2)s=>>>\x14<<<\n",
        "(2)s=>>>\x14a=b<<<\x14\n",
        "(2)s=>>>\x15a=b\x15<<<\x15\n",
        "auth=0 0\n",
        "a b=c\n",
    ] {
        assert_eq!(opened(&classic(bad.as_bytes())).map_err(|e| e.reason()), Err("malformed"), "{bad:?}");
    }
    let mut latin = classic(b"t=\xe9\n");
    assert_eq!(opened(&latin), Err(Rejection::Malformed("a text is no UTF-8")));
    latin.insert(0, b'\n');
    assert_eq!(opened(&latin).map_err(|e| e.reason()), Err("malformed"));
    // Upper case and padding of a digest: crc prints neither.
    let good = classic(b"t=status\n");
    let upper = String::from_utf8(good).unwrap().replace("auth=0 ", "auth=0 0");
    assert_eq!(opened(upper.as_bytes()), Err(Rejection::BadDigest { index: 0 }));
}

#[test]
fn an_inner_digest_counts_where_its_key_is_known() {
    let message = Message::default().with("t", "status");
    let with = |auth: &str| {
        let body = format!("11:(0)t=status,{}:(0)auth={auth},", 8 + auth.len());
        open(&netstring(body.as_bytes()), &ring())
    };
    let sealed = seal(&message, ring().get(0).unwrap(), Shape::Classic);
    let right = String::from_utf8(sealed).unwrap();
    let right = right.split_once("auth=").unwrap().1.split_once('\n').unwrap().0.to_owned();
    assert_eq!(with(&right).map(|o| (o.message, o.key)), Ok((message.clone(), 0)));
    assert_eq!(with("0 1"), Err(Rejection::BadDigest { index: 0 }));
    assert_eq!(with("1 1"), Err(Rejection::BadDigest { index: 1 }));
    // The other node has a newer key already, and signs the outside with one that both have.
    assert_eq!(with("5 1").map(|o| o.message), Ok(message));
    assert_eq!(with("x").map_err(|e| e.reason()), Err("malformed"));
}

#[test]
fn limits_hold_for_whoever_has_a_key_too() {
    let nest = |depth| {
        (0..depth).fold(Message::default().with("a", "b"), |inner, _| Message {
            fields: vec![field("s", Value::Struct(inner))],
        })
    };
    let key = ring().sending().clone();
    for shape in [Shape::Classic, Shape::Netstring, Shape::NetstringBare] {
        assert_eq!(opened(&seal(&nest(MAX_DEPTH), &key, shape)), Ok(nest(MAX_DEPTH)));
        let too_deep = opened(&seal(&nest(MAX_DEPTH + 1), &key, shape));
        assert_eq!(too_deep, Err(Rejection::Malformed("messages nested too deep")), "{shape:?}");

        let many = |n: usize| Message { fields: vec![field("l", Value::List(vec![String::new(); n - 1]))] };
        assert_eq!(opened(&seal(&many(MAX_FIELDS), &key, shape)), Ok(many(MAX_FIELDS)));
        let too_many = opened(&seal(&many(MAX_FIELDS + 1), &key, shape));
        assert_eq!(too_many, Err(Rejection::Malformed("too many fields")), "{shape:?}");
    }
    assert!(nest(MAX_DEPTH).check().is_ok() && nest(MAX_DEPTH + 1).check().is_err());
    for algorithm in [Algorithm::Zlib, Algorithm::Bz2] {
        // 2 MiB inflated is the limit, whatever the payload weighs.
        let blown = |size| Message::default().with("t", "x".repeat(size));
        let overhead = seal(&blown(0), &key, Shape::Classic).len() + 1;
        assert!(opened(&compress(&blown(MAX_INFLATED - overhead), &key, algorithm)).is_ok());
        let bomb = compress(&blown(MAX_INFLATED - overhead + 1), &key, algorithm);
        assert!(bomb.len() < 10_000);
        assert_eq!(opened(&bomb), Err(Rejection::TooLarge));
    }
}

#[test]
fn a_compressed_message_is_one_message_and_nothing_else() {
    let key = ring().sending().clone();
    let shell = |payload: Vec<u8>, algorithm: &str, more: Option<&str>| {
        let mut shell = Message { fields: vec![field(message::PAYLOAD, Value::Binary(payload))] }
            .with(message::ALGORITHM, algorithm);
        shell.fields.extend(more.map(|name| field(name, Value::Text(String::new()))));
        open(&seal(&shell, &key, Shape::NetstringBare), &ring()).map_err(|e| e.reason())
    };
    let deflated = |bytes: &[u8]| {
        let mut out = Vec::new();
        let mut encoder = flate2::bufread::ZlibEncoder::new(bytes, flate2::Compression::fast());
        std::io::Read::read_to_end(&mut encoder, &mut out).unwrap();
        out
    };
    let plain = seal(&Message::default().with("t", "x"), &key, Shape::Classic);
    assert!(shell(deflated(&plain), "zlib", None).is_ok_and(|o| o.compressed && o.form == Form::Netstring));
    assert_eq!(shell(deflated(&plain), "bz2", None), Err("malformed"));
    assert_eq!(shell(deflated(&plain), "none", None), Err("malformed"));
    assert_eq!(shell(deflated(&plain), "zlib", Some("t")), Err("malformed"));
    assert_eq!(shell([deflated(&plain), vec![0]].concat(), "zlib", None), Err("malformed"));
    assert_eq!(shell(deflated(&plain)[..20].to_vec(), "zlib", None), Err("malformed"));
    assert_eq!(shell(deflated(b">>>\nt=x\n<<<\n"), "zlib", None), Err("unauthenticated"));
    assert_eq!(shell(deflated(b">>>\nt=x\nauth=7 0\n<<<\n"), "zlib", None), Err("bad-digest"));
    let netstring = seal(&Message::default().with("t", "x"), &key, Shape::Netstring);
    assert_eq!(shell(deflated(&netstring), "zlib", None), Err("malformed"));
    let twice = Message { fields: vec![field(message::PAYLOAD, Value::Binary(deflated(&plain)))] }
        .with(message::ALGORITHM, "zlib");
    let twice = seal(&twice, &key, Shape::Classic);
    assert_eq!(shell(deflated(&twice), "zlib", None), Err("malformed"));
    assert_eq!(opened(&twice).map_err(|e| e.reason()), Err("malformed"));
}

#[test]
fn json_that_is_no_message_is_refused_with_the_name_of_the_field() {
    for (json, named) in [
        (json!({"a": 1}), "'a'"),
        (json!({"a": {"b": true}}), "'a.b'"),
        (json!({"a": null}), "'a'"),
        (json!({"a": ["x", 1]}), "'a'"),
        (json!({"a": {"base64": "?"}}), "'a'"),
        (json!({"a": {"base64": "", "x": ""}}), "'a'"),
        (json!({"a": {"base64": "", "type": 1}}), "'a'"),
        (json!({"a": {"base64": "", "type": 260}}), "'a'"),
        (json!({"": "x"}), "''"),
        (json!({"a b": "x"}), "'a b'"),
        (json!({"a=b": "x"}), "'a=b'"),
        (json!({"(1)a": "x"}), "'(1)a'"),
        (json!({"a\n<<<": "x"}), "'a\\n<<<'"),
        (json!({"a": "x\n<<<"}), "'a'"),
        (json!({"a": "x\r"}), "'a'"),
        (json!({"a": "x\u{0}"}), "'a'"),
        (json!({"a": {"b": "x\u{14}c=d"}}), "'a.b'"),
        (json!({"a": ["x\n"]}), "'a'"),
        (json!({"auth": "1 x"}), "'auth'"),
        (json!({"_compressed_payload": {"base64": ""}}), "'_compressed_payload'"),
    ] {
        let Json::Object(object) = &json else { panic!("{json}") };
        let refused = Message::from_json(object).expect_err(&json.to_string());
        assert!(refused.contains(named), "{json}: {refused}");
    }
}

/// Any message that may be sent.
fn messages() -> impl Strategy<Value = Message> {
    let text = || "([ -~]|[\t\u{80}\u{20ac}\u{1f600}]){0,20}";
    let leaf = || {
        prop_oneof![
            4 => text().prop_map(Value::Text),
            2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Binary),
            1 => prop::collection::vec(text(), 0..4).prop_map(Value::List),
            1 => (4u8..=5, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(k, b)| Value::Raw(k, b)),
        ]
    };
    let name = || "[!-'*-<>-~][!-<>-~]{0,8}";
    let message = move |values: BoxedStrategy<Value>| {
        prop::collection::btree_map(name(), values, 0..8).prop_map(|fields| Message {
            fields: fields.into_iter().map(|(name, value)| Field { name, value }).collect(),
        })
    };
    let values =
        leaf().boxed().prop_recursive(MAX_DEPTH as u32, 64, 8, move |inner| message(inner).prop_map(Value::Struct));
    message(values.boxed()).prop_filter("a name with a meaning", |m| m.check().is_ok())
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_is_the_same(message in messages()) {
        let keys = ring();
        for key in keys.keys() {
            for shape in [Shape::Classic, Shape::Netstring, Shape::NetstringBare] {
                let form = if shape == Shape::Classic { Form::Classic } else { Form::Netstring };
                let expected = Opened {
                    message: message.clone(), form, key: key.index(), method: key.method(), compressed: false,
                };
                prop_assert_eq!(open(&seal(&message, key, shape), &keys), Ok(expected));
            }
            for algorithm in [Algorithm::Zlib, Algorithm::Bz2] {
                let opened = open(&compress(&message, key, algorithm), &keys);
                prop_assert_eq!(opened.map(|o| (o.message, o.compressed)), Ok((message.clone(), true)));
            }
        }
    }

    #[test]
    fn json_is_read_as_it_was_written(message in messages()) {
        prop_assert_eq!(Message::from_json(&message.to_json()), Ok(message));
    }

    #[test]
    fn a_stream_has_the_same_frames_however_it_is_cut(
        parts in prop::collection::vec(prop_oneof![
            messages().prop_map(|m| seal(&m, ring().sending(), Shape::Classic)),
            (messages(), any::<prop::sample::Index>()).prop_map(|(m, at)| {
                let whole = seal(&m, ring().sending(), Shape::Classic);
                whole[..at.index(whole.len())].to_vec()
            }),
            prop::collection::vec(prop_oneof![any::<u8>(), Just(b'>'), Just(b'\n'), Just(b'<')], 0..20),
        ], 0..8),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let stream = parts.concat();
        let frames = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut framer, mut frames) = (Framer::new(), Vec::new());
            pieces.for_each(|piece| framer.push(piece, &mut |frame| frames.push(match frame {
                Frame::Message(bytes) => Ok(bytes.to_vec()),
                Frame::Noise(count) => Err(count),
            })));
            frames
        };
        let whole = frames(&mut std::iter::once(&stream[..]));
        prop_assert_eq!(&frames(&mut stream.chunks(1)), &whole);
        let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
        let pieces = std::iter::from_fn(|| {
            let (piece, after) = rest.split_at((*cuts.next()?).min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(frames(&mut { pieces }), whole);
    }

    /// A whole message after noise, or after half a message, is found; `t` comes before what could look like a start.
    #[test]
    fn a_message_is_found_after_anything(
        message in messages(), before in messages(), at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let whole = |m: &Message| {
            let mut m = m.clone();
            m.fields.insert(0, field("t", Value::Text("status".into())));
            seal(&m, ring().sending(), Shape::Classic)
        };
        let (message, before) = (whole(&message), whole(&before));
        let half = &before[..at.index(before.len())];
        for before in [half, &noise[..], &[half, &noise[..]].concat()] {
            let mut framer = Framer::new();
            let mut found = Vec::new();
            framer.push(&[before, &message].concat(), &mut |f| if let Frame::Message(m) = f { found = m.to_vec() });
            prop_assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&message));
        }
    }
}
