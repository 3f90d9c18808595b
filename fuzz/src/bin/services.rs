//! What servers of DNS, MySQL, PostgreSQL, LDAP and RADIUS may answer to a probe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regex::bytes::Regex;
use takeover::probe::Judgement;
use takeover::probe::tcp::dialogue::{MOST_HEARD, Turn};
use takeover::probe::tcp::service::{Parameters, Service, Transport, dialogue};

fuzz_target!(|data: &[u8]| {
    // The first byte chooses the service and what it is asked for, the second how the stream is cut.
    let [choice, cut, stream @ ..] = data else { return };
    let (service, transport) = match choice & 7 {
        0 => (Service::Dns, Transport::Tcp),
        1 => (Service::Dns, Transport::Udp),
        2 | 3 => (Service::Mysql, Transport::Tcp),
        4 | 5 => (Service::Pgsql, Transport::Tcp),
        6 => (Service::Ldap, Transport::Tcp),
        _ => (Service::Radius, Transport::Udp),
    };
    let given = |bit: u8, text: &str| (choice & bit != 0).then(|| text.to_owned());
    let with = Parameters {
        user: given(8, "scram"),
        password: given(8, "pw"),
        database: given(16, "d"),
        request: given(32, "example.test MX"),
        receive: Regex::new("alpha|mail").ok().filter(|_| choice & 64 != 0),
        secret: given(128, "testing123"),
        ..Parameters::default()
    };
    let whole = run(service, transport, &with, stream.chunks(stream.len().max(1)));
    // A datagram is one piece.
    if transport == Transport::Tcp {
        assert_eq!(run(service, transport, &with, stream.chunks(usize::from(*cut).max(1))), whole);
    }
});

/// What was said, and what it came to.
fn run<'a>(
    service: Service,
    transport: Transport,
    with: &Parameters,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Option<(Option<bool>, &'static str)>) {
    let mut dialogue = dialogue(service, transport, with, [7; 16]);
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    for piece in std::iter::once(&[][..]).chain(pieces) {
        heard.extend_from_slice(piece);
        loop {
            match dialogue.next(&mut heard) {
                Turn::Say(words) => said.push(words),
                Turn::Listen => break,
                Turn::Done(Judgement { verdict, reason, cause }, parting) => {
                    assert!(cause.chars().count() < 1000 && !cause.contains('\n'), "{cause}");
                    said.push(parting);
                    return (said, Some((verdict.up(), reason)));
                }
            }
        }
        // What is not understood yet is never more than is kept, and one piece.
        assert!(heard.len() <= MOST_HEARD + piece.len());
        assert!(!dialogue.awaits().is_empty());
    }
    (said, None)
}
