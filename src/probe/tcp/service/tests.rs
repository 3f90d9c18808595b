//! The binary services: conversations that real servers had with us, what they would rather not say, and nonsense.

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::probe::Judgement;
use crate::probe::Verdict::{self, CannotTell, Down, Up};
use crate::probe::tcp::dialogue::Turn;

const NONCE: [u8; 16] = [7; 16];

/// What a dialogue said, and what it came to, when it hears these pieces one after the other.
fn run<'a>(
    dialogue: &mut dyn Dialogue,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Option<Judgement>) {
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    for piece in std::iter::once(&[][..]).chain(pieces) {
        heard.extend_from_slice(piece);
        loop {
            match dialogue.next(&mut heard) {
                Turn::Say(words) => said.push(words),
                Turn::Listen => break,
                Turn::Done(judgement, parting) => {
                    said.push(parting);
                    return (said, Some(judgement));
                }
            }
        }
    }
    (said, None)
}

/// A verdict and its reason, which are the same however bytes come; the words may show what had come by then.
fn short(judgement: Option<Judgement>) -> Option<(Verdict, &'static str)> {
    judgement.map(|j| (j.verdict, j.reason))
}

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    let mut with = Parameters::default();
    for (name, value) in pairs {
        let value = Some((*value).to_owned());
        match *name {
            "user" => with.user = value,
            "password" => with.password = value,
            "database" => with.database = value,
            "secret" => with.secret = value,
            "request" => with.request = value,
            "receive" => with.receive = value.map(|v| Regex::new(&v).unwrap()),
            other => panic!("{other}"),
        }
    }
    with
}

fn tcp(service: Service, pairs: &[(&str, &str)]) -> Box<dyn Dialogue> {
    dialogue(service, Transport::Tcp, &parameters(pairs), NONCE)
}

/// What it comes to when all is heard at once.
fn after(mut dialogue: Box<dyn Dialogue>, bytes: &[u8]) -> Judgement {
    run(&mut *dialogue, [bytes]).1.unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// A recorded conversation: who spoke ('>' is us), and what.
fn recorded(name: &str) -> Vec<(char, Vec<u8>)> {
    let path = format!("{}/tests/vectors/services/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().map(|line| (line.chars().next().unwrap(), unhex(line[1..].trim()))).collect()
}

/// What the server said in it.
fn heard_in(name: &str) -> Vec<u8> {
    recorded(name).into_iter().filter(|(who, _)| *who == '<').flat_map(|(_, bytes)| bytes).collect()
}

type Case =
    (&'static str, Service, Transport, &'static [(&'static str, &'static str)], (Verdict, &'static str), &'static str);

const ADMIN: &str = "cn=admin,dc=example,dc=test";
const CASES: [Case; 15] = [
    ("dns-tcp-mx", Service::Dns, Transport::Tcp, &[("request", "example.test MX")], (Up, "ok"), "10 mail.example.test"),
    (
        "dns-udp-nxdomain",
        Service::Dns,
        Transport::Udp,
        &[("request", "nix.example.test AAAA")],
        (Down, "wrong-answer"),
        "NXDOMAIN",
    ),
    ("ldap-anonymous", Service::Ldap, Transport::Tcp, &[], (Up, "ok"), "anonymous"),
    (
        "ldap-wrong-password",
        Service::Ldap,
        Transport::Tcp,
        &[("user", ADMIN), ("password", "no")],
        (CannotTell, "not-permitted"),
        "result 49",
    ),
    (
        "radius-accept",
        Service::Radius,
        Transport::Udp,
        &[("secret", "testing123"), ("user", "bob"), ("password", "hello")],
        (Up, "ok"),
        "'Hello, bob'",
    ),
    ("radius-reject", Service::Radius, Transport::Udp, &[("secret", "testing123")], (Up, "ok"), "nobody knows"),
    (
        "mysql-too-many-connections",
        Service::Mysql,
        Transport::Tcp,
        &[("user", "u"), ("password", "pw")],
        (Down, "busy"),
        "error 1040, 'Too many connections'",
    ),
    (
        "mysql-ed25519",
        Service::Mysql,
        Transport::Tcp,
        &[("user", "ed"), ("password", "pw")],
        (CannotTell, "login-unsupported"),
        "client_ed25519",
    ),
    ("mysql-nobody", Service::Mysql, Transport::Tcp, &[], (Up, "ok"), "error 1698"),
    (
        "mysql-rows",
        Service::Mysql,
        Transport::Tcp,
        &[("user", "u"), ("password", "pw"), ("request", "select * from d.t"), ("receive", "gamma")],
        (Up, "ok"),
        "3·gamma",
    ),
    ("pgsql-too-many-connections", Service::Pgsql, Transport::Tcp, &[], (Down, "busy"), "53300, 'sorry"),
    ("pgsql-not-ready", Service::Pgsql, Transport::Tcp, &[], (Down, "not-ready"), "57P03"),
    (
        "pgsql-md5",
        Service::Pgsql,
        Transport::Tcp,
        &[("user", "md5u"), ("password", "pw"), ("database", "d")],
        (Up, "ok"),
        "accepted the login",
    ),
    ("pgsql-nobody", Service::Pgsql, Transport::Tcp, &[], (Up, "ok"), "asks for a password"),
    (
        "pgsql-scram-rows",
        Service::Pgsql,
        Transport::Tcp,
        &[("user", "scram"), ("password", "pw"), ("request", "select 1, 'alpha', null"), ("receive", "alpha")],
        (Up, "ok"),
        "1·alpha·NULL",
    ),
];

#[test]
fn what_real_servers_said() {
    for (name, service, transport, pairs, expected, words) in CASES {
        let conversation = recorded(name);
        let of = |who| conversation.iter().filter(move |(w, _)| *w == who).map(|(_, bytes)| bytes.as_slice());
        let (said, judgement) = run(&mut *dialogue(service, transport, &parameters(pairs), NONCE), of('<'));
        assert!(judgement.as_ref().is_some_and(|j| j.cause.contains(words)), "{name}: {judgement:?}");
        assert_eq!(short(judgement), Some(expected), "{name}");
        // A parting without words is not in every recording.
        let words = |all: Vec<Vec<u8>>| all.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>();
        assert_eq!(words(said.clone()), words(of('>').map(<[u8]>::to_vec).collect()), "{name}");
        if transport == Transport::Tcp {
            let bytes = heard_in(name);
            let (again, judgement) = run(&mut *tcp(service, pairs), bytes.chunks(1));
            assert_eq!((again, short(judgement)), (said, Some(expected)), "{name} byte by byte");
        }
    }
}

fn mysql_packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = (body.len() as u32).to_le_bytes().to_vec();
    packet[3] = sequence;
    packet.extend_from_slice(body);
    packet
}

/// As MySQL 8 greets.
fn mysql_8(scramble: &[u8; 20]) -> Vec<u8> {
    let [a, b, c, d] = 0xdfff_ffff_u32.to_le_bytes();
    let parts: [&[u8]; 10] = [
        b"\x0a8.0.36\0",
        &[9, 0, 0, 0],
        &scramble[..8],
        &[0],
        &[a, b],
        &[255, 2, 0],
        &[c, d],
        &[21],
        &[0; 10],
        &scramble[8..],
    ];
    mysql_packet(0, &[parts.concat().as_slice(), b"\0caching_sha2_password\0"].concat())
}

#[test]
fn mysql_8_checks_a_digest_of_a_digest() {
    let scramble = *b"abcdefghijklmnopqrst";
    let fast = [mysql_packet(2, &[1, 3]), mysql_packet(3, &[0, 0, 0, 2, 0, 0, 0])].concat();
    let mut login = tcp(Service::Mysql, &[("user", "u"), ("password", "pw")]);
    let (said, judgement) = run(&mut *login, [mysql_8(&scramble).as_slice(), &fast]);
    assert_eq!(short(judgement), Some((Up, "ok")));
    // Behind the packet's head, flags, size, character set, filler, the name and the length.
    let mut proof = said[0][4 + 32 + 2 + 1..][..32].to_vec();
    assert!(said[0].ends_with(b"caching_sha2_password\0"), "{:?}", said[0]);
    // What the server does: it keeps only the digest of the password's digest.
    let kept = Sha256::digest(Sha256::digest(b"pw"));
    let mask = Sha256::new().chain_update(kept).chain_update(scramble).finalize();
    proof.iter_mut().zip(mask).for_each(|(a, b)| *a ^= b);
    assert_eq!(Sha256::digest(proof), kept);
}

#[test]
fn mysql_8_without_the_digest_wants_the_password_itself() {
    let denied = mysql_packet(4, b"\xff\x15\x04#28000Access denied");
    let bytes = [mysql_8(b"abcdefghijklmnopqrst"), mysql_packet(2, &[1, 4]), denied].concat();
    let mut login = tcp(Service::Mysql, &[("user", "u"), ("password", "pw")]);
    let (said, judgement) = run(&mut *login, [bytes.as_slice()]);
    assert_eq!(said[1], mysql_packet(3, &[0]), "the login is ended in order");
    assert_eq!(short(judgement), Some((CannotTell, "needs-tls")));
}

#[test]
fn mysql_never_says_the_password_itself() {
    let switch = mysql_packet(2, b"\xfemysql_clear_password\0");
    let denied = mysql_packet(4, b"\xff\x15\x04#28000Access denied");
    let bytes = [mysql_8(b"abcdefghijklmnopqrst"), switch, denied].concat();
    let mut login = tcp(Service::Mysql, &[("user", "u"), ("password", "pw")]);
    let (said, judgement) = run(&mut *login, [bytes.as_slice()]);
    assert_eq!(said[1], mysql_packet(3, &[]));
    let judgement = judgement.unwrap();
    assert_eq!((judgement.verdict, judgement.reason), (CannotTell, "login-unsupported"));
    assert!(judgement.cause.contains("mysql_clear_password"), "{}", judgement.cause);
}

#[test]
fn mysql_in_place_of_a_greeting() {
    let named = [("user", "u")];
    for (bytes, expected) in [
        (mysql_packet(0, b"\xff\x69\x04Host '192.0.2.1' is blocked"), (CannotTell, "not-permitted")),
        (mysql_packet(0, b"\xff\x6a\x04Host '192.0.2.1' is not allowed"), (CannotTell, "not-permitted")),
        (mysql_packet(0, b"\xff\x1d\x04#08S01Server shutdown in progress"), (Down, "not-ready")),
        (mysql_packet(0, b"\xff\xff\xffwhatever"), (CannotTell, "unknown")),
        (mysql_packet(0, b"\xff"), (Down, "wrong-answer")),
        (mysql_packet(0, b"\x0aonly a version"), (Down, "wrong-answer")),
        (mysql_packet(0, b""), (Down, "wrong-answer")),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), (Down, "wrong-answer")),
        (b"220 mail.example ESMTP\r\n".to_vec(), (Down, "wrong-answer")),
    ] {
        let judgement = after(tcp(Service::Mysql, &named), &bytes);
        assert_eq!((judgement.verdict, judgement.reason), expected, "{judgement:?}");
    }
}

#[test]
fn mysql_errors_with_and_without_a_user() {
    let greeting = mysql_8(b"abcdefghijklmnopqrst");
    for (code, nobody, somebody) in [
        (1045, (Up, "ok"), (CannotTell, "not-permitted")),
        (1049, (Up, "ok"), (Down, "wrong-answer")),
        (3159, (Up, "ok"), (CannotTell, "not-permitted")),
        (1040, (Down, "busy"), (Down, "busy")),
        (1053, (Down, "not-ready"), (Down, "not-ready")),
        (9999, (CannotTell, "unknown"), (CannotTell, "unknown")),
    ] {
        let [low, high] = u16::to_le_bytes(code);
        let bytes =
            [greeting.clone(), mysql_packet(2, &[&[0xff, low, high], b"#HY000no".as_slice()].concat())].concat();
        for (pairs, expected) in
            [(&[][..], nobody), (&[("user", "u")], somebody), (&[("request", "select 1")], somebody)]
        {
            let judgement = after(tcp(Service::Mysql, pairs), &bytes);
            assert_eq!((judgement.verdict, judgement.reason), expected, "{code} {pairs:?}");
        }
    }
}

#[test]
fn a_long_answer_is_not_read_to_its_end() {
    let pairs = [("user", "u"), ("request", "select 1"), ("receive", "found")];
    let start = [mysql_8(b"abcdefghijklmnopqrst"), mysql_packet(2, &[0; 7]), mysql_packet(1, &[1])].concat();
    let columns = [mysql_packet(2, b"column"), mysql_packet(3, b"\xfe\0\0\x02\0")].concat();
    let row = mysql_packet(4, &[&[250], [b'x'; 250].as_slice()].concat());
    let found = mysql_packet(4, b"\x05found");
    let judged = |rows: Vec<u8>| {
        short(run(&mut *tcp(Service::Mysql, &pairs), [[start.clone(), columns.clone(), rows].concat().as_slice()]).1)
    };
    assert_eq!(judged(row.repeat(300)), Some((CannotTell, "answer-too-long")));
    assert_eq!(judged([found.clone(), row.repeat(300)].concat()), Some((Up, "ok")));
    assert_eq!(judged([row.repeat(10), found].concat()), None, "its end is waited for");
    // A row of a megabyte.
    assert_eq!(judged(vec![0, 0, 16, 5]), Some((CannotTell, "answer-too-long")));
}

fn pgsql(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], ((body.len() + 4) as u32).to_be_bytes().as_slice(), body].concat()
}

fn pgsql_error(state: &str) -> Vec<u8> {
    pgsql(b'E', format!("SFATAL\0VFATAL\0C{state}\0Mno\0\0").as_bytes())
}

#[test]
fn pgsql_errors_with_and_without_a_user() {
    for (state, nobody, somebody) in [
        ("28P01", (Up, "ok"), (CannotTell, "not-permitted")),
        ("28000", (Up, "ok"), (CannotTell, "not-permitted")),
        ("3D000", (Up, "ok"), (CannotTell, "wrong-request")),
        ("53300", (Down, "busy"), (Down, "busy")),
        ("57P03", (Down, "not-ready"), (Down, "not-ready")),
        ("08P01", (CannotTell, "unknown"), (CannotTell, "unknown")),
        ("é", (CannotTell, "unknown"), (CannotTell, "unknown")),
    ] {
        for (pairs, expected) in [(&[][..], nobody), (&[("user", "u")], somebody)] {
            let judgement = after(tcp(Service::Pgsql, pairs), &pgsql_error(state));
            assert_eq!((judgement.verdict, judgement.reason), expected, "{state} {pairs:?}");
        }
    }
    let judgement = after(tcp(Service::Pgsql, &[("user", "u"), ("database", "d")]), &pgsql_error("3D000"));
    assert_eq!((judgement.verdict, judgement.reason), (Down, "wrong-answer"));
}

#[test]
fn pgsql_servers_that_are_none() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"Ecould not fork new process for connection: Cannot allocate memory\n\0",
        b"R\0\0\0\x03",
        b"R\0\0\0\x06ab",
        b"\x16\x03\x01",
        &pgsql(b'Z', b"I"),
    ] {
        let judgement = after(tcp(Service::Pgsql, &[("user", "u")]), bytes);
        assert_eq!((judgement.verdict, judgement.reason), (Down, "wrong-answer"), "{judgement:?}");
    }
}

#[test]
fn pgsql_lets_nobody_in_who_did_not_prove_the_password() {
    let of_server = recorded("pgsql-scram-rows");
    let said = |n: usize| of_server.iter().filter(|(who, _)| *who == '<').nth(n).unwrap().1.clone();
    let (methods, challenge) = (said(0), said(1));
    let forged = pgsql(b'R', b"\0\0\0\x0cv=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    let silent = pgsql(b'R', &[0; 4]);
    for last in [forged, silent] {
        let login = tcp(Service::Pgsql, &[("user", "scram"), ("password", "pw")]);
        let judgement = after(login, &[methods.clone(), challenge.clone(), last].concat());
        assert_eq!((judgement.verdict, judgement.reason), (Down, "wrong-answer"), "{judgement:?}");
    }
}

#[test]
fn ldap_answers() {
    let answer = |code: u8| [0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, code, 4, 0, 4, 0];
    let admin = [("user", ADMIN), ("password", "x")];
    for (code, nobody, somebody) in [
        (0, (Up, "ok"), (Up, "ok")),
        (1, (Down, "not-ready"), (Down, "not-ready")),
        (48, (Up, "ok"), (CannotTell, "not-permitted")),
        (51, (Down, "busy"), (Down, "busy")),
        (52, (Down, "not-ready"), (Down, "not-ready")),
    ] {
        for (pairs, expected) in [(&[][..], nobody), (&admin, somebody)] {
            let judgement = after(tcp(Service::Ldap, pairs), &answer(code));
            assert_eq!((judgement.verdict, judgement.reason), expected, "{code} {pairs:?}");
        }
    }
    // The notice of disconnection, with the name that it has.
    let notice = b"\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036";
    let judgement = after(tcp(Service::Ldap, &[]), notice);
    assert_eq!((judgement.verdict, judgement.reason), (Down, "not-ready"), "{judgement:?}");
    for bytes in [&b"SSH-2.0"[..], &[0x30, 0x80], &[0x30, 0x85, 1], &[0x30, 0], &[0x30, 2, 2, 5], &[0x30, 3, 2, 1, 1]] {
        assert_eq!(after(tcp(Service::Ldap, &[]), bytes).reason, "wrong-answer", "{bytes:?}");
    }
    assert_eq!(after(tcp(Service::Ldap, &[]), &[0x30, 0x84, 255, 255, 255, 255]).reason, "answer-too-long");
}

#[test]
fn a_long_name_is_encoded_as_long() {
    let name = "x".repeat(300);
    let Turn::Say(request) = tcp(Service::Ldap, &[("user", &name)]).next(&mut Vec::new()) else { panic!() };
    // The name with its head, the version and the empty password, the bind's head, the message's number.
    let within = (6 + 300) + 3 + 2 + 6 + 3;
    assert_eq!(request[..6], [0x30, 0x84, 0, 0, 1, 64]);
    assert_eq!((request.len(), within), (6 + 0x140, 0x140));
}

fn radius(pairs: &[(&str, &str)]) -> Box<dyn Dialogue> {
    dialogue(Service::Radius, Transport::Udp, &parameters(pairs), NONCE)
}

/// An answer signed with a secret.
fn signed(code: u8, identifier: u8, attributes: &[u8], secret: &[u8]) -> Vec<u8> {
    let length = (20 + attributes.len()) as u16;
    let mut packet = [&[code, identifier], length.to_be_bytes().as_slice()].concat();
    let signature = Md5::new().chain_update(&packet).chain_update(NONCE).chain_update(attributes).chain_update(secret);
    packet.extend(signature.finalize());
    packet.extend(attributes);
    packet
}

#[test]
fn radius_listens_only_to_who_knows_the_secret() {
    let accept = heard_in("radius-accept");
    let pairs = [("secret", "testing123"), ("user", "bob"), ("password", "hello")];
    for at in 0..accept.len() {
        let mut forged = accept.clone();
        forged[at] ^= 1;
        let mut access = radius(&pairs);
        assert_eq!(run(&mut *access, [forged.as_slice(), &accept[..at]]).1, None, "byte {at}");
        assert!(access.awaits().contains("signed with our secret"));
        assert_eq!(short(run(&mut *access, [accept.as_slice()]).1), Some((Up, "ok")), "it listens on");
    }
    // Padding behind it is no part of it.
    assert_eq!(after(radius(&pairs), &[accept.as_slice(), &[0; 9]].concat()).verdict, Up);
}

#[test]
fn radius_answers() {
    let named = [("secret", "s"), ("user", "u")];
    for (code, nobody, somebody) in [
        (2, Some((Up, "ok")), Some((Up, "ok"))),
        (3, Some((Up, "ok")), Some((CannotTell, "not-permitted"))),
        (11, Some((Up, "ok")), Some((Up, "ok"))),
        (5, None, None),
    ] {
        let answer = signed(code, 0, b"", b"s");
        for (pairs, expected) in [(&named[..1], nobody), (&named, somebody)] {
            assert_eq!(short(run(&mut *radius(pairs), [answer.as_slice()]).1), expected, "{code} {pairs:?}");
        }
    }
    assert_eq!(after(radius(&[("user", &"x".repeat(254))]), b"").reason, "wrong-request");
    assert_eq!(after(radius(&[("password", &"x".repeat(129))]), b"").reason, "wrong-request");
}

#[test]
fn radius_checks_the_second_signature_as_well() {
    let with = |key: &[u8]| {
        let (head, zeros) = ([2, 0, 0, 38], [0; 16]);
        let mac = <Hmac<Md5> as Mac>::new_from_slice(key).unwrap();
        let mac = mac.chain_update(head).chain_update(NONCE).chain_update([80, 18]).chain_update(zeros);
        signed(2, 0, &[&[80, 18], mac.finalize().into_bytes().as_slice()].concat(), b"s")
    };
    assert_eq!(short(run(&mut *radius(&[("secret", "s")]), [with(b"s").as_slice()]).1), Some((Up, "ok")));
    assert_eq!(run(&mut *radius(&[("secret", "s")]), [with(b"t").as_slice()]).1, None);
}

fn dns(pairs: &[(&str, &str)]) -> Box<dyn Dialogue> {
    dialogue(Service::Dns, Transport::Udp, &parameters(pairs), NONCE)
}

/// An answer about `a.b` of type A, whose flags and records are given.
fn about_ab(flags: u16, answers: u16, records: &[u8]) -> Vec<u8> {
    let head = [0x0707, flags, 1, answers, 0, 0].map(u16::to_be_bytes).concat();
    [head.as_slice(), b"\x01a\x01b\0\0\x01\0\x01", records].concat()
}

fn dns_record(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    [name, &[0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8], data].concat()
}

#[test]
fn dns_answers() {
    let here = [0xc0, 12];
    let address = dns_record(&here, 1, &[192, 0, 2, 1]);
    let alias = dns_record(&here, 5, b"\x01c\xc0\x0e");
    let (ask, receive) = ([("request", "A.b")], [("request", "A.b"), ("receive", "^192\\.0\\.2\\.9$")]);
    let wrong = Some((Down, "wrong-answer"));
    for (answer, expected) in [
        (about_ab(0x8180, 1, &address), Some((Up, "ok"))),
        (about_ab(0x8180, 2, &[alias.clone(), address.clone()].concat()), Some((Up, "ok"))),
        (about_ab(0x8180, 1, &alias), wrong),
        (about_ab(0x8180, 0, b""), wrong),
        (about_ab(0x8380, 0, b""), Some((CannotTell, "truncated"))),
        (about_ab(0x8380, 2, &address), Some((CannotTell, "truncated"))),
        (about_ab(0x8182, 0, b""), wrong),
        (about_ab(0x8180, 2, &address), wrong),
        // Of 5 bytes, and one that points to itself, and one that points forward.
        (about_ab(0x8180, 1, &dns_record(&here, 1, &[1, 2, 3, 4, 5])), wrong),
        (about_ab(0x8180, 1, &dns_record(&[0xc0, 21], 1, &[1, 2, 3, 4])), wrong),
        (about_ab(0x8180, 1, &dns_record(&[0xc0, 40], 1, &[1, 2, 3, 4])), wrong),
        (about_ab(0x8180, 1, &dns_record(b"\x01x\xc0\x15", 1, &[1, 2, 3, 4])), wrong),
        (about_ab(0x8180, 1, &dns_record(&[0x80, 0], 1, &[1, 2, 3, 4])), wrong),
        // A query, another question, another number.
        (about_ab(0x0100, 0, b""), None),
        (about_ab(0x8180, 1, &address).iter().map(|b| if *b == b'a' { b'x' } else { *b }).collect(), None),
        (about_ab(0x8180, 1, &address)[1..].to_vec(), None),
        (vec![7, 7, 0x81], None),
    ] {
        assert_eq!(short(run(&mut *dns(&ask), [answer.as_slice()]).1), expected, "{answer:02x?}");
    }
    assert_eq!(short(run(&mut *dns(&receive), [about_ab(0x8180, 1, &address).as_slice()]).1), wrong);
    // On a connection of our own there is nobody else to have said it.
    let answer = about_ab(0x0100, 0, b"");
    let stream = [(answer.len() as u16).to_be_bytes().as_slice(), &answer].concat();
    assert_eq!(after(tcp(Service::Dns, &ask), &stream).reason, "wrong-answer");
    for bytes in [&[0, 0][..], &[0, 11]] {
        assert_eq!(after(tcp(Service::Dns, &ask), bytes).reason, "wrong-answer");
    }
    assert_eq!(after(tcp(Service::Dns, &ask), &[255, 255]).reason, "answer-too-long");
}

#[test]
fn dns_servers_that_are_asked_for_the_root() {
    let answer = |code: u16| {
        let head = [0x0707, 0x8180 | code, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
        [head.as_slice(), b"\0\0\x02\0\x01"].concat()
    };
    for (code, expected) in [(0, Up), (1, Down), (2, Down), (3, Up), (4, Down), (5, Up)] {
        assert_eq!(after(dns(&[]), &answer(code)).verdict, expected, "{code}");
    }
    // Who refuses may leave out what it was asked.
    let bare = [0x0707, 0x8185, 0, 0, 0, 0].map(u16::to_be_bytes).concat();
    assert_eq!(after(dns(&[]), &bare).verdict, Up);
}

#[test]
fn dns_questions() {
    use super::dns::{Question, QuestionError};
    for good in ["example.org", "example.org.", ".", ". NS", "_x._tcp.a srv", "a TYPE65", &"abc.".repeat(63)] {
        assert!(good.parse::<Question>().is_ok(), "{good}");
    }
    let error = |text: &str| text.parse::<Question>().unwrap_err();
    for shape in ["", " ", "a A b"] {
        assert_eq!(error(shape), QuestionError::Shape(shape.into()));
    }
    for name in ["a..b", ".a", "ä", &"x".repeat(64), &"abc.".repeat(64)] {
        assert_eq!(error(name), QuestionError::Name(name.into()));
    }
    for kind in ["X", "TYPE", "TYPE65536"] {
        assert_eq!(error(&format!("a {kind}")), QuestionError::Kind(kind.into()));
    }
}

/// What somebody may be asked for, of each service.
fn asked() -> impl Strategy<Value = (Service, Vec<(&'static str, &'static str)>)> {
    let service = prop::sample::select(vec![Service::Dns, Service::Mysql, Service::Pgsql, Service::Ldap]);
    let pairs = prop::sample::select(vec![
        vec![],
        vec![("user", "u"), ("password", "pw")],
        vec![("user", "u"), ("password", "pw"), ("database", "d"), ("request", "example.test MX")],
        vec![("user", "u"), ("request", "example.test MX"), ("receive", "x")],
    ]);
    (service, pairs)
}

/// What real servers said, with some of it changed; and nonsense.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let real = (0..CASES.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4));
    let changed = real.prop_map(|(n, changes)| {
        let mut bytes = heard_in(CASES[n].0);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![3 => changed, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// However the bytes are cut, the same is said, and the end is the same.
    #[test]
    fn pieces_do_not_matter((service, pairs) in asked(), bytes in noise(), cut in 1usize..40) {
        let (said, end) = run(&mut *tcp(service, &pairs), [bytes.as_slice()]);
        let (again, same) = run(&mut *tcp(service, &pairs), bytes.chunks(cut));
        prop_assert_eq!((said, short(end)), (again, short(same)));
    }

    /// Real conversations, with their own parameters, changed and cut.
    #[test]
    fn changed_conversations(n in 0..CASES.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                             cut in 1usize..40) {
        let (name, service, transport, pairs, _, _) = CASES[n];
        let mut bytes = heard_in(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (said, end) = run(&mut *dialogue(service, transport, &parameters(pairs), NONCE), [bytes.as_slice()]);
        if transport == Transport::Tcp {
            let (again, same) = run(&mut *tcp(service, pairs), bytes.chunks(cut));
            prop_assert_eq!((said, short(end)), (again, short(same)));
        }
    }

    /// Whoever has the secret may write any attributes.
    #[test]
    fn any_attributes(code in prop::sample::select(vec![2u8, 3, 11, 52]), attributes in prop::collection::vec(any::<u8>(), 0..60)) {
        run(&mut *radius(&[("secret", "s")]), [signed(code, 0, &attributes, b"s").as_slice()]);
    }
}
