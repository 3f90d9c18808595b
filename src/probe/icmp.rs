//! ICMP and ICMPv6 as bytes: echo requests to send, and what comes back — replies, and errors that quote a request.
//!
//! A pure codec (RFC 792, RFC 4443); sockets live in [`super::icmp_socket`], and what an answer means in [`super::ping`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ICMP over IPv4.
    V4,
    /// ICMPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    const fn request_type(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    const fn reply_type(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }

    /// The message types that a prober has to hear: the reply, and the errors that [`problem`] knows.
    pub const fn heard_types(self) -> &'static [u8] {
        match self {
            Self::V4 => &[0, 3, 11, 12],
            Self::V6 => &[129, 1, 2, 3, 4],
        }
    }
}

/// An echo request or reply. The payload of a quoted one may be cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Tells the processes of one machine apart.
    pub id: u16,
    /// Tells the echoes of one process apart.
    pub seq: u16,
    /// What the other side has to send back unchanged.
    pub payload: &'a [u8],
}

/// What an ICMP error says of the packet that it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The last hop cannot reach the host.
    HostUnreachable,
    /// A router knows no way to its network.
    NetUnreachable,
    /// A firewall on the way forbids it.
    Filtered,
    /// The host itself, or a firewall in its name, refuses the protocol.
    Rejected,
    /// The packet is too big for a link on the way.
    TooBig,
    /// The packet went in circles, or its fragments did not all arrive.
    Expired,
    /// Anything else.
    Other,
}

/// One ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An echo request.
    Request(Echo<'a>),
    /// An echo reply.
    Reply(Echo<'a>),
    /// An error about an echo request.
    Error {
        /// What went wrong.
        problem: Problem,
        /// Where the request was going.
        to: IpAddr,
        /// The request, as far as it is quoted.
        echo: Echo<'a>,
    },
    /// A well-formed message that is none of these.
    Other,
}

/// Why bytes are no ICMP message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IcmpError {
    /// Shorter than its header.
    #[error("an ICMP message of {0} bytes is cut short")]
    Short(usize),
    /// Damaged on the way.
    #[error("the checksum of the ICMP message is wrong")]
    Checksum,
}

/// The length of the header of echoes and errors, in bytes.
pub const HEADER: usize = 8;

/// The internet checksum (RFC 1071). Over a message that carries its checksum the result is 0.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn echo(family: Family, kind: u8, echo: Echo) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + echo.payload.len());
    bytes.extend([kind, 0, 0, 0]);
    bytes.extend(echo.id.to_be_bytes());
    bytes.extend(echo.seq.to_be_bytes());
    bytes.extend(echo.payload);
    // The checksum of ICMPv6 covers addresses that only the kernel knows; it fills it in.
    if family == Family::V4 {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// An echo request as a socket takes it.
pub fn request(family: Family, request: Echo) -> Vec<u8> {
    echo(family, family.request_type(), request)
}

/// An echo reply, as an answering host would make it.
pub fn reply(family: Family, reply: Echo) -> Vec<u8> {
    echo(family, family.reply_type(), reply)
}

/// Reads one ICMP message (without its IP header).
///
/// The checksum of ICMP is verified here; that of ICMPv6 the kernel has verified.
pub fn parse(family: Family, bytes: &[u8]) -> Result<Message<'_>, IcmpError> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Err(IcmpError::Short(bytes.len())) };
    if family == Family::V4 && checksum(bytes) != 0 {
        return Err(IcmpError::Checksum);
    }
    let (kind, code) = (header[0], header[1]);
    if let Some(echo) = read_echo(bytes).filter(|_| code == 0) {
        if kind == family.request_type() {
            return Ok(Message::Request(echo));
        }
        if kind == family.reply_type() {
            return Ok(Message::Reply(echo));
        }
    }
    let quoted = problem(family, kind, code).and_then(|problem| Some((problem, quoted(family, rest)?)));
    Ok(quoted.map_or(Message::Other, |(problem, (to, echo))| Message::Error { problem, to, echo }))
}

fn read_echo(bytes: &[u8]) -> Option<Echo<'_>> {
    let (header, payload) = bytes.split_at_checked(HEADER)?;
    let word = |n: usize| u16::from_be_bytes([header[n], header[n + 1]]);
    Some(Echo { id: word(4), seq: word(6), payload })
}

/// An echo request without regard to its checksum: quotes are cut short, and the kernel's error queue hands out bare ones.
pub fn quoted_request(family: Family, bytes: &[u8]) -> Option<Echo<'_>> {
    (bytes.first() == Some(&family.request_type())).then(|| read_echo(bytes)).flatten()
}

/// The destination and the echo request in the IP packet that an error quotes.
fn quoted(family: Family, packet: &[u8]) -> Option<(IpAddr, Echo<'_>)> {
    match family {
        Family::V4 => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some((Ipv4Addr::from(to).into(), quoted_request(family, ipv4_payload(packet)?)?))
        }
        Family::V6 => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            // Our requests carry no extension headers.
            let ours = packet[0] >> 4 == 6 && packet[6] == 58;
            Some((Ipv6Addr::from(to).into(), quoted_request(family, packet.get(40..)?)?)).filter(|_| ours)
        }
    }
}

/// What follows the header of an IPv4 packet that carries ICMP.
pub fn ipv4_payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    // A later fragment carries no ICMP header.
    let offset = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
    let icmp = first >> 4 == 4 && length >= 20 && packet.get(9) == Some(&1) && offset == 0;
    icmp.then(|| packet.get(length..)).flatten()
}

/// What an ICMP type and code say; `None` where the message is no error about a packet of ours.
pub fn problem(family: Family, kind: u8, code: u8) -> Option<Problem> {
    use Problem::{Expired, Filtered, HostUnreachable, NetUnreachable, Other, Rejected, TooBig};
    match (family, kind, code) {
        (Family::V4, 3, 0 | 6 | 11) => Some(NetUnreachable),
        (Family::V4, 3, 1 | 7) => Some(HostUnreachable),
        (Family::V4, 3, 2 | 3) => Some(Rejected),
        (Family::V4, 3, 4) => Some(TooBig),
        (Family::V4, 3, 9 | 10 | 13) => Some(Filtered),
        (Family::V4, 11, _) => Some(Expired),
        (Family::V4, 3 | 12, _) => Some(Other),
        (Family::V6, 1, 0 | 2) => Some(NetUnreachable),
        (Family::V6, 1, 1 | 5 | 6) => Some(Filtered),
        (Family::V6, 1, 3) => Some(HostUnreachable),
        (Family::V6, 1, 4) => Some(Rejected),
        (Family::V6, 2, _) => Some(TooBig),
        (Family::V6, 3, _) => Some(Expired),
        (Family::V6, 1 | 4, _) => Some(Other),
        _ => None,
    }
}

/// What our payloads begin with: which process asked, and which of its echoes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Drawn anew by each process: an id of 16 bits is soon met again.
    pub nonce: u64,
    /// The number of the echo; the sequence number is its lower half.
    pub token: u32,
}

impl Stamp {
    /// Its length in bytes: the shortest payload.
    pub const LENGTH: usize = 12;

    /// A payload of `size` bytes, and at least [`Stamp::LENGTH`].
    pub fn payload(self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size.max(Self::LENGTH));
        bytes.extend(self.nonce.to_be_bytes());
        bytes.extend(self.token.to_be_bytes());
        bytes.extend((Self::LENGTH..size).map(|n| n as u8));
        bytes
    }

    /// Reads it back; `None` where the payload is too short, as many quotes are.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (nonce, rest) = payload.split_first_chunk()?;
        let (token, _) = rest.split_first_chunk()?;
        Some(Self { nonce: u64::from_be_bytes(*nonce), token: u32::from_be_bytes(*token) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
    const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

    /// An error of this type and code that quotes `packet`.
    fn error(family: Family, kind: u8, code: u8, packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, code, 0, 0, 0, 0, 0, 0];
        bytes.extend(packet);
        if family == Family::V4 {
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// The IP packet that carries a message to the family's test address.
    fn packet(family: Family, message: &[u8]) -> Vec<u8> {
        let mut bytes = match family {
            Family::V4 => {
                let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 1];
                header.extend(V4.octets());
                header
            }
            Family::V6 => {
                let mut header = vec![0x60, 0, 0, 0, 0, 0, 58, 64];
                header.extend([0; 16]);
                header.extend(V6.octets());
                header
            }
        };
        bytes.extend(message);
        bytes
    }

    fn family() -> impl Strategy<Value = Family> {
        prop_oneof![Just(Family::V4), Just(Family::V6)]
    }

    #[test]
    fn the_bytes_of_a_request() {
        // Worked out by hand: 0x0800 + 0x1234 + 0x0001 + 0x6162 = 0x7b97, whose complement is 0x8468.
        let request = request(Family::V4, Echo { id: 0x1234, seq: 1, payload: b"ab" });
        assert_eq!(request, [8, 0, 0x84, 0x68, 0x12, 0x34, 0, 1, b'a', b'b']);
        assert_eq!(checksum(&[0xff; 131_072]), 0);
        assert_eq!(checksum(&[0x12]), !0x1200);
    }

    #[test]
    fn damage_is_noticed() {
        let mut bytes = reply(Family::V4, Echo { id: 1, seq: 2, payload: b"payload" });
        bytes[9] ^= 1;
        assert_eq!(parse(Family::V4, &bytes), Err(IcmpError::Checksum));
        assert_eq!(parse(Family::V4, &bytes[..7]), Err(IcmpError::Short(7)));
    }

    #[test]
    fn errors_quote_the_request() {
        let echo = Echo { id: 3, seq: 4, payload: b"0123456789abcdef" };
        for (family, to) in [(Family::V4, IpAddr::V4(V4)), (Family::V6, IpAddr::V6(V6))] {
            let (kind, code) = if family == Family::V4 { (3, 1) } else { (1, 3) };
            let whole = packet(family, &request(family, echo));
            let problem = Problem::HostUnreachable;
            assert_eq!(parse(family, &error(family, kind, code, &whole)), Ok(Message::Error { problem, to, echo }));
            // RFC 792 asks for no more than eight bytes of what was sent.
            let cut = &whole[..whole.len() - echo.payload.len()];
            let cut_echo = Echo { payload: b"", ..echo };
            let message = error(family, kind, code, cut);
            assert_eq!(parse(family, &message), Ok(Message::Error { problem, to, echo: cut_echo }));
            let message = error(family, kind, code, &cut[..cut.len() - 1]);
            assert_eq!(parse(family, &message), Ok(Message::Other));
            // About a reply of ours, or another protocol: nobody asked.
            let other = error(family, kind, code, &packet(family, &reply(family, echo)));
            assert_eq!(parse(family, &other), Ok(Message::Other));
        }
    }

    #[test]
    fn later_fragments_are_no_messages() {
        let mut fragment = packet(Family::V4, &request(Family::V4, Echo { id: 1, seq: 1, payload: b"" }));
        assert!(ipv4_payload(&fragment).is_some());
        fragment[7] = 1;
        assert_eq!(ipv4_payload(&fragment), None);
    }

    #[test]
    fn only_a_host_that_is_said_to_be_unreachable_is() {
        let hosts = |family| -> Vec<(u8, u8)> {
            let all = (0..=255).flat_map(|kind| (0..=255).map(move |code| (kind, code)));
            all.filter(|(k, c)| problem(family, *k, *c) == Some(Problem::HostUnreachable)).collect()
        };
        assert_eq!(hosts(Family::V4), [(3, 1), (3, 7)]);
        assert_eq!(hosts(Family::V6), [(1, 3)]);
    }

    proptest! {
        #[test]
        fn never_panics(family in family(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(family, &bytes);
            let _ = quoted_request(family, &bytes);
            let _ = ipv4_payload(&bytes);
            let _ = Stamp::read(&bytes);
            // Behind a correct checksum, so that the quotes are reached.
            if let [kind, code, rest @ ..] = &bytes[..] {
                let _ = parse(family, &error(family, *kind, *code, rest));
            }
        }

        #[test]
        fn round_trip(family in family(), id: u16, seq: u16, nonce: u64, token: u32, size in 0usize..100) {
            let payload = Stamp { nonce, token }.payload(size);
            prop_assert_eq!(payload.len(), size.max(Stamp::LENGTH));
            prop_assert_eq!(Stamp::read(&payload), Some(Stamp { nonce, token }));
            let echo = Echo { id, seq, payload: &payload };
            let (request, reply) = (request(family, echo), reply(family, echo));
            prop_assert_eq!(parse(family, &request), Ok(Message::Request(echo)));
            prop_assert_eq!(parse(family, &reply), Ok(Message::Reply(echo)));
        }

        /// A quote with IPv4 options, cut anywhere, gives our request or nothing, and never a wrong one.
        #[test]
        fn quotes_cut_anywhere(family in family(), id: u16, seq: u16, at in 0usize..120) {
            let payload = Stamp { nonce: 1, token: 2 }.payload(40);
            let whole = packet(family, &request(family, Echo { id, seq, payload: &payload }));
            let message = error(family, 3, 1, &whole[..at.min(whole.len())]);
            match parse(family, &message) {
                Ok(Message::Error { echo, .. }) => {
                    prop_assert_eq!((echo.id, echo.seq), (id, seq));
                    prop_assert!(payload.starts_with(echo.payload));
                }
                other => prop_assert_eq!(other, Ok(Message::Other)),
            }
        }
    }
}
