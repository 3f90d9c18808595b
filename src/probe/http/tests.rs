use std::net::Ipv4Addr;
use std::time::Duration;

use nix::libc;
use proptest::prelude::*;

use super::super::Verdict;
use super::super::transfer::event;
use super::*;
use crate::probe::connection::rests_on_silence;
use crate::probe::egress::Egress;

const TIMEOUT: Duration = Duration::from_secs(2);

fn ms(n: u64) -> Option<Duration> {
    Some(Duration::from_millis(n))
}

fn expected() -> Statuses {
    "200-399".parse().unwrap()
}

/// As far as the connection.
fn connected(code: u32) -> Outcome {
    Outcome {
        code,
        lookup: ms(1),
        connected: ms(2),
        total: TIMEOUT,
        timeout: TIMEOUT,
        address: Some(Ipv4Addr::LOCALHOST.into()),
        ..Outcome::default()
    }
}

/// No further than the look-up.
fn dialling(code: u32, errno: i32) -> Outcome {
    Outcome { errno, connected: None, ..connected(code) }
}

fn reason(outcome: &Outcome) -> (Verdict, &'static str) {
    let judgement = judge(&expected(), None, outcome);
    assert!(!judgement.cause.is_empty());
    (judgement.verdict, judgement.reason)
}

#[test]
fn every_phase_has_its_verdict() {
    use Verdict::{CannotTell, Down, Up};
    use code::*;
    let tls = |code| Outcome { secure: true, ..connected(code) };
    let secured = |code| Outcome { secured: ms(3), ..tls(code) };
    let answering = |code| Outcome { first_byte: ms(3), status: Some(200), ..connected(code) };
    let status = |status| Outcome { status: Some(status), ..answering(OK) };
    let says = |outcome: Outcome, words: &str| Outcome { message: words.to_owned(), ..outcome };
    let refused_socket = |errno, code| Outcome { socket_errno: errno, address: None, ..dialling(code, 0) };
    let table = [
        (status(200), Up, "ok"),
        (status(399), Up, "ok"),
        (status(500), Down, "wrong-status"),
        (status(199), Down, "wrong-status"),
        (Outcome { status: None, ..answering(OK) }, CannotTell, "unknown"),
        // Connecting.
        (dialling(COULDNT_CONNECT, libc::ECONNREFUSED), Down, "refused"),
        (dialling(COULDNT_CONNECT, libc::ECONNRESET), Down, "reset"),
        (dialling(COULDNT_CONNECT, libc::EHOSTUNREACH), Down, "host-unreachable"),
        (dialling(COULDNT_CONNECT, libc::ETIMEDOUT), Down, "timeout-connect"),
        (dialling(COULDNT_CONNECT, libc::ENETUNREACH), CannotTell, "no-route"),
        (dialling(COULDNT_CONNECT, libc::ENETDOWN), CannotTell, "interface-down"),
        (dialling(COULDNT_CONNECT, libc::EPERM), CannotTell, "not-permitted"),
        (dialling(COULDNT_CONNECT, libc::EACCES), CannotTell, "not-permitted"),
        (dialling(COULDNT_CONNECT, libc::EADDRNOTAVAIL), CannotTell, "no-local-address"),
        (dialling(COULDNT_CONNECT, libc::ENOMEM), CannotTell, "out-of-memory"),
        (dialling(COULDNT_CONNECT, libc::EINVAL), CannotTell, "unknown"),
        (dialling(COULDNT_CONNECT, 0), CannotTell, "unknown"),
        (refused_socket(libc::EMFILE, COULDNT_CONNECT), CannotTell, "out-of-descriptors"),
        (refused_socket(libc::ENFILE, OPERATION_TIMEDOUT), CannotTell, "out-of-descriptors"),
        (refused_socket(libc::EAFNOSUPPORT, COULDNT_CONNECT), CannotTell, "no-local-address"),
        (dialling(INTERFACE_FAILED, libc::ENODEV), CannotTell, "interface"),
        (dialling(INTERFACE_FAILED, libc::EPERM), CannotTell, "not-permitted"),
        (dialling(OUT_OF_MEMORY, 0), CannotTell, "out-of-memory"),
        // Time.
        (Outcome { lookup: None, ..dialling(OPERATION_TIMEDOUT, 0) }, CannotTell, "lookup-timeout"),
        (Outcome { lookup: ms(1500), ..dialling(OPERATION_TIMEDOUT, 0) }, CannotTell, "lookup-slow"),
        (Outcome { lookup: ms(1500), ..connected(OPERATION_TIMEDOUT) }, CannotTell, "lookup-slow"),
        (dialling(OPERATION_TIMEDOUT, 0), Down, "timeout-connect"),
        (dialling(OPERATION_TIMEDOUT, libc::ENETUNREACH), Down, "timeout-connect"),
        (Outcome { address: None, ..dialling(OPERATION_TIMEDOUT, 0) }, CannotTell, "unknown"),
        (tls(OPERATION_TIMEDOUT), Down, "timeout-tls"),
        (Outcome { connected: None, handshaking: true, ..tls(OPERATION_TIMEDOUT) }, Down, "timeout-tls"),
        (secured(OPERATION_TIMEDOUT), Down, "timeout-first-byte"),
        (connected(OPERATION_TIMEDOUT), Down, "timeout-first-byte"),
        (answering(OPERATION_TIMEDOUT), Down, "timeout-body"),
        // Names.
        (Outcome { lookup: None, ..dialling(COULDNT_RESOLVE_HOST, 0) }, CannotTell, "lookup-failed"),
        // The answer.
        (connected(GOT_NOTHING), Down, "empty-reply"),
        (answering(PARTIAL_FILE), Down, "cut-off"),
        (connected(UNSUPPORTED_PROTOCOL), Down, "not-http"),
        (connected(WEIRD_SERVER_REPLY), Down, "not-http"),
        (connected(TOO_LARGE), Down, "not-http"),
        (dialling(UNSUPPORTED_PROTOCOL, 0), CannotTell, "unknown"),
        (dialling(TOO_LARGE, 0), CannotTell, "unknown"),
        (Outcome { errno: libc::ECONNRESET, ..connected(RECV_ERROR) }, Down, "reset"),
        (Outcome { errno: libc::EPIPE, ..connected(SEND_ERROR) }, Down, "reset"),
        (Outcome { errno: libc::EHOSTUNREACH, ..connected(RECV_ERROR) }, Down, "host-unreachable"),
        (Outcome { errno: libc::ETIMEDOUT, ..connected(RECV_ERROR) }, Down, "timeout-first-byte"),
        (Outcome { errno: libc::ENETUNREACH, ..connected(SEND_ERROR) }, CannotTell, "no-route"),
        (Outcome { errno: libc::EIO, ..connected(RECV_ERROR) }, CannotTell, "unknown"),
        (answering(RECV_ERROR), Down, "cut-off"),
        (connected(RECV_ERROR), Down, "empty-reply"),
        // TLS.
        (tls(SSL_CONNECT_ERROR), Down, "tls"),
        (Outcome { errno: libc::ECONNRESET, ..tls(SSL_CONNECT_ERROR) }, Down, "reset"),
        (Outcome { errno: libc::ENETUNREACH, ..tls(SSL_CONNECT_ERROR) }, CannotTell, "no-route"),
        (says(tls(SSL_CONNECT_ERROR), "peer is incompatible: x"), CannotTell, "tls-incompatible"),
        (says(tls(RECV_ERROR), "received corrupt message"), Down, "tls"),
        (connected(SSL_CONNECT_ERROR), CannotTell, "unknown"),
        (tls(PEER_FAILED_VERIFICATION), CannotTell, "certificate"),
        (tls(SSL_CACERT_BADFILE), CannotTell, "ca-bundle"),
        (dialling(URL_MALFORMAT, 0), CannotTell, "unknown"),
        (connected(4711), CannotTell, "unknown"),
    ];
    for (outcome, verdict, word) in table {
        assert_eq!(reason(&outcome), (verdict, word), "{outcome:?}");
    }
}

#[test]
fn bodies() {
    let body = |pattern: &str| Regex::new(pattern).unwrap();
    let answer =
        |body: &[u8], body_cut| Outcome { status: Some(200), body: body.to_vec(), body_cut, ..connected(code::OK) };
    let reason = |pattern, outcome: Outcome| judge(&expected(), Some(&body(pattern)), &outcome).reason;
    assert_eq!(reason("wel+come", answer(b"\xff welllcome", false)), "ok");
    assert_eq!(reason("^$", answer(b"", false)), "ok");
    assert_eq!(reason("welcome", answer(b"fatal error", false)), "wrong-body");
    assert_eq!(reason("welcome", answer(b"fatal error", true)), "body-too-long");
    assert_eq!(reason("welcome", Outcome { status: Some(503), ..answer(b"welcome", false) }), "wrong-status");
}

#[test]
fn nobody_is_blamed_for_the_time_in_which_we_stood_still() {
    let late = |outcome: Outcome, n| Outcome { late: Duration::from_millis(n), ..outcome };
    for code in [code::OPERATION_TIMEDOUT, code::GOT_NOTHING, code::RECV_ERROR] {
        assert_eq!(reason(&late(connected(code), 1000)).0, Verdict::Down);
        assert_eq!(reason(&late(connected(code), 1001)), (Verdict::CannotTell, "stalled"));
    }
    // What does not hang on time stays what it is.
    assert_eq!(reason(&late(dialling(code::COULDNT_CONNECT, libc::ECONNREFUSED), 1900)).1, "refused");
    let slow = Outcome { status: Some(500), first_byte: ms(1900), ..connected(code::OK) };
    assert_eq!(reason(&late(slow, 1900)).1, "wrong-status");
}

#[test]
fn only_silence_asks_for_the_state_of_the_link() {
    for (outcome, rests) in [
        (dialling(code::COULDNT_CONNECT, libc::EHOSTUNREACH), true),
        (connected(code::OPERATION_TIMEDOUT), true),
        (dialling(code::COULDNT_CONNECT, libc::ECONNREFUSED), false),
        (Outcome { lookup: None, ..dialling(code::OPERATION_TIMEDOUT, 0) }, false),
    ] {
        assert_eq!(rests_on_silence(&judge(&expected(), None, &outcome)), rests, "{outcome:?}");
    }
    for way in [
        Egress::NoInterface("x".into()),
        Egress::NoCarrier("x".into()),
        Egress::NoRoute(Ipv4Addr::LOCALHOST.into()),
        Egress::Unknown("x".into()),
    ] {
        assert_eq!(way.obstacle().map(|j| j.verdict), Some(Verdict::CannotTell));
    }
    assert_eq!(Egress::Clear.obstacle(), None);
}

#[test]
fn statuses() {
    let statuses: Statuses = "200, 301-304,404".parse().unwrap();
    assert_eq!(statuses.to_string(), "200,301-304,404");
    for (status, is_in) in
        [(200, true), (201, false), (301, true), (304, true), (305, false), (404, true), (65_736, false)]
    {
        assert_eq!(statuses.contain(status), is_in, "{status}");
    }
    for bad in ["", ",", "2xx", "200-", "-200", "+200", "200-100", "99", "600", "200,,300", "200-300-400", "٢٠٠"] {
        assert!(bad.parse::<Statuses>().is_err(), "{bad}");
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let time = || prop::option::of((1u64..2500).prop_map(Duration::from_millis));
    let head =
        (0u32..110, 0i32..134, prop_oneof![Just(0), Just(libc::EMFILE)], any::<bool>(), prop::option::of(0u32..700));
    let rest = (time(), time(), time(), time(), 0u64..4000, any::<bool>(), ".{0,20}");
    (head, rest).prop_map(|((code, errno, socket_errno, secure, status), rest)| {
        let (lookup, connected, secured, first_byte, late, has_address, message) = rest;
        Outcome {
            code,
            errno,
            socket_errno,
            secure,
            status,
            lookup,
            connected,
            secured,
            first_byte,
            late: Duration::from_millis(late),
            address: has_address.then_some(Ipv4Addr::LOCALHOST.into()),
            message,
            total: TIMEOUT,
            timeout: TIMEOUT,
            ..Outcome::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Whatever lies on our side is never a no.
    #[test]
    fn our_own_trouble_is_never_a_no(outcome in any_outcome()) {
        use code::*;
        let ours_by_errno = [libc::ENETUNREACH, libc::ENETDOWN, libc::EPERM, libc::EACCES, libc::EMFILE, libc::ENFILE,
            libc::EADDRNOTAVAIL, libc::ENOMEM, libc::ENOBUFS];
        let knows_errno = [COULDNT_CONNECT, INTERFACE_FAILED, SEND_ERROR, RECV_ERROR, SSL_CONNECT_ERROR];
        let known = [OK, UNSUPPORTED_PROTOCOL, COULDNT_CONNECT, WEIRD_SERVER_REPLY, PARTIAL_FILE, OPERATION_TIMEDOUT,
            SSL_CONNECT_ERROR, GOT_NOTHING, SEND_ERROR, RECV_ERROR, TOO_LARGE];
        let code = outcome.code;
        let ours = !known.contains(&code)
            || knows_errno.contains(&code) && ours_by_errno.contains(&outcome.errno)
            || code == OPERATION_TIMEDOUT && (outcome.lookup.is_none() || outcome.late > TIMEOUT / 2)
            || code == COULDNT_CONNECT && outcome.socket_errno != 0
            || ![OK, COULDNT_CONNECT, OPERATION_TIMEDOUT].contains(&code) && outcome.connected.is_none();
        let judgement = judge(&expected(), None, &outcome);
        prop_assert!(!ours || judgement.verdict == Verdict::CannotTell, "{:?}", judgement);
        prop_assert_eq!(judgement.verdict == Verdict::Up, code == OK && (200..400).contains(&outcome.status.unwrap_or(0)));
        // The event is whole, whatever happened.
        let event = event("http://a/", &judgement, &outcome);
        prop_assert!(crate::cli::vocabulary::problems("probe-http", &event).is_empty());
    }
}
