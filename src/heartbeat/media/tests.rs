//! Datagrams over loopback and messages over pseudo-terminals.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{ControlFlags, InputFlags, LocalFlags, tcgetattr};

use super::*;
use crate::clock::Instant;

/// Only there so that a test cannot hang.
const LONG: u16 = 20_000;

fn at(ms: u64) -> Instant {
    Instant::at(Duration::from_millis(ms))
}

#[derive(Debug, PartialEq, Eq)]
struct Heard {
    bytes: Vec<u8>,
    from: String,
    noise: usize,
}

/// What an inlet hears, at least `n` of it.
#[track_caller]
fn hear(inlet: &mut Inlet, n: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    while heard.len() < n {
        let mut set = [PollFd::new(inlet.fd().unwrap(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut set, PollTimeout::from(LONG)), Ok(1), "only {heard:?}");
        let flags = set[0].revents().unwrap();
        let change = inlet.receive(flags, at(1), &mut |packet| {
            assert!(!packet.truncated);
            let Packet { bytes, noise, .. } = packet;
            heard.push(Heard { bytes: bytes.to_vec(), from: packet.from.to_string(), noise });
        });
        assert_eq!(change, None);
    }
    heard
}

/// Waits until an outlet is ready for something, and tells it.
#[track_caller]
fn ready(outlet: &mut Outlet) -> Option<Change> {
    let (fd, flags) = outlet.fd().unwrap();
    let mut set = [PollFd::new(fd, flags)];
    assert_eq!(poll(&mut set, PollTimeout::from(LONG)), Ok(1));
    let flags = set[0].revents().unwrap();
    outlet.ready(flags, at(1))
}

#[track_caller]
fn listening(text: &str) -> Inlet {
    let mut inlet = Inlet::new(match text.parse().unwrap() {
        // Port 1 stands for any that is free.
        In::Udp { address, dev, .. } => In::Udp { address, dev, port: 0 },
        In::Mcast { group, dev, .. } => In::Mcast { group, dev, port: 0 },
        line => line,
    });
    assert!(inlet.deadline().is_some());
    let change = inlet.tick(at(0)).unwrap();
    assert_eq!((change.was, change.is), (None, true), "{change:?}");
    inlet
}

#[track_caller]
fn sends(outlet: &mut Outlet, bytes: &[u8]) {
    let was = outlet.up();
    let change = outlet.send(bytes, at(0));
    assert_eq!(outlet.up(), Some(true), "{change:?}");
    assert_eq!(change.map(|c| (c.was, c.is)), (was != Some(true)).then_some((was, true)));
}

#[test]
fn unicasts_of_both_families_reach_one_socket() {
    let mut inlet = listening("udp:1");
    let port = inlet.port().unwrap();
    for (host, from) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let mut outlet = Outlet::new(format!("ucast:{host}:{port}").parse().unwrap());
        assert_eq!((outlet.up(), outlet.fd().is_none(), outlet.deadline()), (None, true, None));
        sends(&mut outlet, b"one");
        sends(&mut outlet, b"two");
        let heard = hear(&mut inlet, 2);
        assert_eq!(heard[0], Heard { bytes: b"one".into(), from: from.into(), noise: 0 });
        assert_eq!(heard[1].bytes, b"two");
    }
    assert_eq!(inlet.name(), "udp:0");
}

#[test]
fn an_address_or_interface_hears_only_what_is_for_it() {
    let mut one = listening("udp:127.0.0.1:1@lo");
    let port = one.port().unwrap();
    assert!(one.deadline().is_some(), "the interface is looked after");
    let mut other = Outlet::new(Out::ucast(&format!("127.0.0.2:{port}")).unwrap());
    sends(&mut other, b"for another");
    sends(&mut Outlet::new(Out::ucast(&format!("127.0.0.1:{port}@lo")).unwrap()), b"for this one");
    assert_eq!(hear(&mut one, 1)[0].bytes, b"for this one");
}

#[test]
fn broadcasts_and_groups() {
    let mut all = listening("udp:1@lo");
    let port = all.port().unwrap();
    sends(&mut Outlet::new(Out::bcast(&format!("lo:{port}")).unwrap()), b"all");
    assert_eq!(hear(&mut all, 1)[0].bytes, b"all");
    // IPv6 has no groups on the loopback.
    let mut member = listening("mcast:239.1.2.3:1@lo");
    let port = member.port().unwrap();
    // Hears the port too, but is no member of the group.
    let mut stranger = Inlet::new(In::Udp { address: None, port, dev: None });
    assert!(stranger.tick(at(0)).unwrap().is, "the port is shared");
    let group = [239, 1, 2, 3].into();
    let mcast = Out::Mcast { group, port, dev: "lo".into(), ttl: 1, loopback: true };
    sends(&mut Outlet::new(mcast), b"group");
    assert_eq!(hear(&mut member, 1)[0].bytes, b"group");
    sends(&mut Outlet::new(Out::bcast(&format!("lo:{port}")).unwrap()), b"all");
    assert_eq!(hear(&mut stranger, 1)[0].bytes, b"all", "the group was not for it");
}

#[test]
fn listeners_share_a_port() {
    let mut first = listening("udp:1@lo");
    let port = first.port().unwrap();
    let mut second = Inlet::new(In::Udp { address: None, port, dev: Some("lo".into()) });
    assert!(second.tick(at(0)).unwrap().is);
    sends(&mut Outlet::new(Out::bcast(&format!("lo:{port}")).unwrap()), b"to both");
    assert_eq!(hear(&mut first, 1)[0].bytes, b"to both");
    assert_eq!(hear(&mut second, 1)[0].bytes, b"to both");
}

#[test]
fn a_port_of_somebody_who_does_not_share_is_tried_again() {
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = theirs.local_addr().unwrap().port();
    let mut inlet = Inlet::new(In::Udp { address: Some([127, 0, 0, 1].into()), port, dev: None });
    let change = inlet.tick(at(0)).unwrap();
    assert_eq!((change.was, change.is), (None, false));
    assert_eq!(change.cause, format!("udp:127.0.0.1:{port}: port {port} is taken by somebody who does not share it"));
    drop(theirs);
    assert_eq!(inlet.tick(at(199)), None);
    assert_eq!(inlet.deadline(), Some(at(200)));
    let change = inlet.tick(at(200)).unwrap();
    assert_eq!((change.was, change.is, inlet.deadline()), (Some(false), true, None));
}

#[test]
fn nobody_listening_is_no_fault_of_the_medium() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut outlet = Outlet::new(Out::ucast(&format!("127.0.0.1:{port}")).unwrap());
    for _ in 0..5 {
        sends(&mut outlet, b"refused by ICMP");
    }
}

#[test]
fn what_cannot_be_sent_is_said_in_words() {
    for (spec, words) in [
        ("bcast:no-such-if", "no interface 'no-such-if' on this machine"),
        ("mcast:239.0.0.1@no-such-if", "no interface 'no-such-if' on this machine"),
        ("ucast:fe80::1%no-such-if", "no interface 'no-such-if' on this machine"),
        // Not what a command line lets pass.
        ("ucast:127.0.0.1%x", "'127.0.0.1%x' has a zone, which only an IPv6 address can have, as in fe80::1%eth0"),
    ] {
        let spec: Out = spec.parse().unwrap_or_else(|_| {
            let host = spec.trim_start_matches("ucast:").to_owned();
            Out::Ucast { host, port: 694, dev: None }
        });
        let mut outlet = Outlet::new(spec);
        let change = outlet.send(b"x", at(0)).unwrap();
        assert_eq!((change.was, change.is), (None, false));
        assert_eq!(change.cause, format!("{}: {words}", outlet.name()));
        assert_eq!(outlet.send(b"x", at(1)), None, "said once");
        assert_eq!(outlet.dropped(), 2);
    }
}

#[test]
fn datagrams_of_every_length() {
    let mut inlet = listening("udp:1");
    let port = inlet.port().unwrap();
    let mut outlet = Outlet::new(Out::ucast(&format!("127.0.0.1:{port}")).unwrap());
    for length in [0, 1, 65_507] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        sends(&mut outlet, &bytes);
        assert!(hear(&mut inlet, 1)[0].bytes == bytes, "{length} bytes");
    }
    let change = outlet.send(&[0; 65_508], at(0)).unwrap();
    assert_eq!((change.was, change.is), (Some(true), true));
    assert!(change.cause.ends_with("a message of 65508 bytes is longer than a datagram; it was not sent"));
    assert_eq!((outlet.up(), outlet.dropped()), (Some(true), 1));
    sends(&mut outlet, b"and goes on");
    assert_eq!(hear(&mut inlet, 1)[0].bytes, b"and goes on");
}

#[test]
fn a_batch_is_bounded_and_says_whether_more_may_lie_there() {
    let mut inlet = listening("udp:1");
    let mut outlet = Outlet::new(Out::ucast(&format!("127.0.0.1:{}", inlet.port().unwrap())).unwrap());
    for n in 0..100u8 {
        sends(&mut outlet, &[n]);
    }
    // Loopback has delivered when the send returns.
    let mut heard = Vec::new();
    inlet.receive(PollFlags::POLLIN, at(0), &mut |p| heard.push(p.bytes[0]));
    assert_eq!(heard.len(), 32);
    while inlet.drain(at(0), &mut |p| heard.push(p.bytes[0])).1 {}
    assert!(heard.iter().copied().eq(0..100));
    assert_eq!(inlet.drain(at(0), &mut |_| panic!("nothing is left")), (None, false));
    assert_eq!(inlet.receive(PollFlags::empty(), at(0), &mut |_| panic!("nothing was there")), None);
    assert_eq!(inlet.lost(), 0);
}

#[test]
fn what_the_kernel_dropped_is_counted() {
    let inlet = listening("udp:1");
    let to = format!("127.0.0.1:{}", inlet.port().unwrap());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0u64;
    while inlet.lost() == 0 {
        for _ in 0..64 {
            socket.send_to(&[0; 32_768], &to).unwrap();
            sent += 1;
        }
        assert!(sent < 100_000, "the kernel keeps everything");
    }
    let lost = inlet.lost();
    assert!(lost <= 64 && lost < sent);
    let mut inlet = inlet;
    let mut heard = 0;
    while inlet.drain(at(0), &mut |_| heard += 1).1 {}
    assert_eq!(heard + lost, sent);
}

#[test]
fn a_name_is_looked_up_and_the_first_message_waits() {
    let mut inlet = listening("udp:1");
    let mut outlet = Outlet::new(Out::ucast(&format!("localhost:{}", inlet.port().unwrap())).unwrap());
    assert!(outlet.deadline().is_some());
    assert_eq!(outlet.tick(at(0)), None);
    assert_eq!(outlet.send(b"one", at(0)), None);
    assert_eq!((outlet.up(), outlet.pending()), (None, 1));
    assert_eq!(ready(&mut outlet).map(|c| (c.was, c.is)), Some((None, true)));
    assert_eq!((outlet.pending(), outlet.deadline()), (0, None));
    sends(&mut outlet, b"two");
    assert_eq!(hear(&mut inlet, 2).iter().map(|h| &h.bytes[..]).collect::<Vec<_>>(), [b"one", b"two"]);
}

#[test]
fn a_name_that_is_none_is_looked_up_again() {
    // Too long for a label: no name server is asked.
    let name = "x".repeat(64);
    let mut outlet = Outlet::new(Out::ucast(&name).unwrap());
    assert_eq!(outlet.send(b"x", at(0)), None);
    let change = ready(&mut outlet).unwrap();
    assert_eq!((change.was, change.is), (None, false));
    assert!(change.cause.contains(&format!("cannot look {name} up")), "{change:?}");
    assert_eq!((outlet.dropped(), outlet.pending(), outlet.deadline()), (1, 0, Some(at(201))));
    assert_eq!(outlet.send(b"x", at(2)), None);
    assert_eq!((outlet.dropped(), outlet.deadline()), (2, Some(at(201))));
    assert_eq!(outlet.tick(at(201)), None);
    assert_eq!(outlet.deadline(), None, "under way");
}

/// A cable with our end named by a link in a folder of its own, and the other end in hand.
struct Cable {
    folder: PathBuf,
    far: Option<PtyMaster>,
}

impl Cable {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("takeover-media-{}-{count}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let mut cable = Self { folder, far: None };
        cable.plug();
        cable
    }

    fn path(&self) -> PathBuf {
        self.folder.join("line")
    }

    fn plug(&mut self) {
        let far = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let _ = std::fs::remove_file(self.path());
        std::os::unix::fs::symlink(ptsname_r(&far).unwrap(), self.path()).unwrap();
        self.far = Some(far);
    }

    fn unplug(&mut self) {
        self.far = None;
    }

    fn far(&mut self) -> &mut PtyMaster {
        self.far.as_mut().unwrap()
    }

    /// What comes out at the other end.
    #[track_caller]
    fn take(&mut self, n: usize) -> Vec<u8> {
        let mut taken = vec![0; n];
        let mut length = 0;
        while length < n {
            let far = self.far();
            let mut set = [PollFd::new(far.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut set, PollTimeout::from(LONG)), Ok(1));
            length += far.read(&mut taken[length..]).unwrap();
        }
        taken
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn out(path: &Path) -> Outlet {
    Outlet::new(Out::Serial { path: path.into(), baud: 19_200 })
}

fn into(path: &Path) -> Inlet {
    Inlet::new(In::Serial { path: path.into(), baud: 19_200 })
}

const MESSAGE: &[u8] = b">>>\nt=status\nsrc=a\n<<<\n";

#[test]
fn a_sender_and_a_listener_share_a_line() {
    let mut cable = Cable::new();
    let (mut outlet, mut inlet) = (out(&cable.path()), into(&cable.path()));
    assert!(outlet.is_serial() && inlet.is_serial());
    assert_eq!(inlet.tick(at(0)).map(|c| (c.was, c.is)), Some((None, true)));
    cable.far().write_all(MESSAGE).unwrap();
    // Opening the line empties no queue: what had arrived for the other is still there.
    assert_eq!(outlet.tick(at(0)).map(|c| (c.was, c.is)), Some((None, true)));
    let heard = hear(&mut inlet, 1);
    assert_eq!(heard, [Heard { bytes: MESSAGE.into(), from: "serial".into(), noise: 0 }]);
    // And a third one, that opens it after something was written, does not keep it from arriving.
    sends(&mut outlet, MESSAGE);
    let mut third = into(&cable.path());
    third.tick(at(0));
    assert_eq!(cable.take(MESSAGE.len()), MESSAGE, "not a byte more or less than was sent");
    assert_eq!((outlet.pending(), outlet.dropped(), inlet.lost()), (0, 0, 0));
}

#[test]
fn a_line_is_raw_and_of_any_speed() {
    let cable = Cable::new();
    for baud in [19_200, 115_200, 12_345] {
        let mut outlet = Outlet::new(Out::Serial { path: cable.path(), baud });
        outlet.tick(at(0));
        let (fd, _) = outlet.fd().unwrap();
        let set = tcgetattr(fd).unwrap();
        assert!(!set.local_flags.intersects(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        assert!(!set.input_flags.intersects(InputFlags::IXON | InputFlags::ICRNL | InputFlags::ISTRIP));
        assert!(set.control_flags.contains(ControlFlags::CLOCAL | ControlFlags::CREAD | ControlFlags::CS8));
        let not = ControlFlags::HUPCL | ControlFlags::CRTSCTS | ControlFlags::PARENB | ControlFlags::CSTOPB;
        assert!(!set.control_flags.intersects(not));
        assert!(OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK));
        let speed = serialport::TTYPort::open(&serialport::new(cable.path().to_string_lossy(), baud).exclusive(false));
        assert_eq!(serialport::SerialPort::baud_rate(&speed.unwrap()).unwrap(), baud);
    }
}

#[test]
fn the_settings_of_one_are_those_of_the_other() {
    let cable = Cable::new();
    let (mut outlet, mut inlet) = (out(&cable.path()), into(&cable.path()));
    outlet.tick(at(0));
    let before = tcgetattr(outlet.fd().unwrap().0).unwrap();
    inlet.tick(at(0));
    assert_eq!(tcgetattr(outlet.fd().unwrap().0).unwrap(), before);
}

#[test]
fn a_line_whose_other_side_goes_away_is_opened_again() {
    let mut cable = Cable::new();
    let (mut outlet, mut inlet) = (out(&cable.path()), into(&cable.path()));
    outlet.tick(at(0));
    inlet.tick(at(0));
    cable.unplug();
    let change = ready(&mut outlet).unwrap();
    assert_eq!((change.was, change.is), (Some(true), false));
    assert!(change.cause.contains("hung up"), "{change:?}");
    assert!(outlet.fd().is_none(), "or a wait would end at once, for ever");
    let change = inlet.receive(PollFlags::POLLIN | PollFlags::POLLHUP, at(1), &mut |_| panic!("nothing came"));
    assert_eq!(change.map(|c| (c.was, c.is)), Some((Some(true), false)));
    assert!(inlet.fd().is_none());
    // Messages are lost, and nothing is said twice.
    assert_eq!(outlet.send(MESSAGE, at(2)), None);
    assert_eq!((outlet.pending(), outlet.dropped()), (0, 1));
    // Still away: longer waits.
    assert_eq!((outlet.deadline(), inlet.deadline()), (Some(at(201)), Some(at(201))));
    assert_eq!((outlet.tick(at(201)), inlet.tick(at(201))), (None, None));
    assert_eq!(outlet.deadline(), Some(at(601)));
    // The link leads elsewhere now.
    cable.plug();
    assert_eq!(inlet.tick(at(601)).map(|c| (c.was, c.is)), Some((Some(false), true)));
    // A message opens the line as well, when it is time.
    assert_eq!(outlet.send(MESSAGE, at(601)).map(|c| (c.was, c.is)), Some((Some(false), true)));
    assert_eq!(cable.take(MESSAGE.len()), MESSAGE);
    cable.far().write_all(MESSAGE).unwrap();
    assert_eq!(hear(&mut inlet, 1)[0].bytes, MESSAGE);
}

#[test]
fn noise_is_told_and_a_new_connection_begins_afresh() {
    let mut cable = Cable::new();
    let mut inlet = into(&cable.path());
    inlet.tick(at(0));
    cable.far().write_all(b"login: \n").unwrap();
    cable.far().write_all(MESSAGE).unwrap();
    let noise = Heard { bytes: Vec::new(), from: "serial".into(), noise: 8 };
    let message = Heard { bytes: MESSAGE.into(), from: "serial".into(), noise: 0 };
    assert_eq!(hear(&mut inlet, 2), [noise, message]);
    // Half a message, then another line.
    cable.far().write_all(&MESSAGE[..12]).unwrap();
    let mut set = [PollFd::new(inlet.fd().unwrap(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut set, PollTimeout::from(LONG)), Ok(1));
    inlet.receive(PollFlags::POLLIN, at(1), &mut |_| panic!("it is not whole"));
    cable.unplug();
    assert!(inlet.receive(PollFlags::POLLHUP, at(2), &mut |_| panic!("nor now")).is_some());
    cable.plug();
    assert!(inlet.tick(at(202)).is_some());
    cable.far().write_all(&MESSAGE[12..]).unwrap();
    cable.far().write_all(MESSAGE).unwrap();
    let heard = hear(&mut inlet, 2);
    assert_eq!(heard.last().map(|h| &h.bytes[..]), Some(MESSAGE));
    assert!(heard.iter().rev().skip(1).all(|h| h.bytes.is_empty() && h.noise > 0), "{heard:?}");
}

#[test]
fn a_path_that_is_no_line_is_said_in_words() {
    for (path, words) in [("/no/such/line", "No such file"), ("/dev/null", "Not a typewriter"), ("/", "directory")] {
        let change = out(Path::new(path)).tick(at(0)).unwrap();
        assert_eq!((change.was, change.is), (None, false));
        assert!(change.cause.starts_with(&format!("serial:{path}@19200: ")), "{change:?}");
        assert!(change.cause.contains(words), "{change:?}");
    }
}

#[test]
fn a_line_that_is_too_slow_drops_whole_messages_and_says_so() {
    let mut cable = Cable::new();
    let mut outlet = out(&cable.path());
    outlet.tick(at(0));
    let message = |n: u32| format!(">>>\nn={n:06}\n{}<<<\n", "x".repeat(300)).into_bytes();
    let length = message(0).len();
    // Nobody reads at the other side: the kernel's own buffers fill first.
    let mut said = 0;
    let change = loop {
        let change = outlet.send(&message(said), at(0));
        said += 1;
        assert!(said < 10_000, "a line that takes everything");
        if let Some(change) = change {
            break change;
        }
    };
    assert_eq!((change.was, change.is), (Some(true), false));
    assert!(change.cause.contains("slower than what is said"), "{change:?}");
    assert_eq!((outlet.dropped(), outlet.pending() > 1, outlet.fd().unwrap().1), (1, true, PollFlags::POLLOUT));
    for _ in 0..50 {
        assert_eq!(outlet.send(&message(said), at(0)), None, "said once");
        said += 1;
    }
    assert_eq!(outlet.dropped(), 51);
    // As soon as it is read, the newest ones follow what was begun, and all of them are whole.
    let total = (said as usize - 51) * length;
    let mut came = Vec::new();
    let mut change = None;
    while came.len() < total {
        let left = (total - came.len()).min(4096);
        came.extend(cable.take(left));
        while outlet.pending() > 0 && change.is_none() {
            let before = outlet.pending();
            let (fd, flags) = outlet.fd().unwrap();
            let mut set = [PollFd::new(fd, flags)];
            if poll(&mut set, PollTimeout::ZERO) != Ok(1) {
                break;
            }
            change = outlet.ready(set[0].revents().unwrap(), at(1));
            if outlet.pending() == before {
                break;
            }
        }
    }
    assert_eq!(change.map(|c| (c.was, c.is)), Some((Some(false), true)));
    let numbers: Vec<u32> = came
        .chunks(length)
        .map(|m| {
            let n = std::str::from_utf8(&m[6..12]).unwrap().parse().unwrap();
            assert!(m == message(n), "message {n} is not whole");
            n
        })
        .collect();
    assert!(numbers.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(numbers.last(), Some(&(said - 1)), "the newest stays");
    assert_eq!(outlet.pending(), 0);
}
