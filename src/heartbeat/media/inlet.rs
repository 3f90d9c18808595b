//! A medium that is heard on.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{SockaddrStorage, getsockname};

use super::serial::{self, Line};
use super::sharing;
use super::spec::In;
use super::state::{Change, Retry, State};
use super::udp::{self, Batch};
use crate::clock::Instant;
use crate::heartbeat::wire::framing::{Frame, Framer};
use crate::net::netlink::Netlink;
use crate::net::{NetError, drops, link};

/// So many batches hold more than the kernel keeps for any medium.
pub const ALL_BATCHES: usize = udp::ALL_KEPT / udp::BATCH + 1;

/// From where something was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// From this address; IPv4 as IPv4.
    Address(IpAddr),
    /// Along a serial line.
    Serial,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Serial => f.write_str("serial"),
        }
    }
}

/// What was heard: a datagram, a message of a serial line, or noise there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The datagram or message; empty for noise, and for a datagram without anything in it.
    pub bytes: &'a [u8],
    /// Who sent it, as it says.
    pub from: Source,
    /// The number of the interface that it came by, on a medium that is bound to none; else 0.
    pub via: u32,
    /// There was more of it than fits a datagram. Cannot happen with the protocols of today.
    pub truncated: bool,
    /// How many bytes of a serial line belonged to no message.
    pub noise: usize,
}

/// One medium that is heard on, with its state. Nothing here blocks: whoever drives it waits for [`Inlet::fd`] and
/// [`Inlet::deadline`], and calls [`Inlet::receive`] and [`Inlet::tick`].
pub struct Inlet {
    name: String,
    state: State,
    body: Body,
}

enum Body {
    Udp(Box<Udp>),
    Serial(Box<Serial>),
}

impl Inlet {
    /// Takes note of a medium; it is opened by the first [`Inlet::tick`].
    pub fn new(spec: In) -> Self {
        let name = spec.to_string();
        let body = match spec {
            In::Udp { address, port, dev } => Body::Udp(Box::new(Udp::new(Heard::To(address), port, dev))),
            In::Mcast { group, port, dev } => Body::Udp(Box::new(Udp::new(Heard::Group(group), port, Some(dev)))),
            In::Serial { path, baud } => Body::Serial(Box::new(Serial::new(Line::new(path, baud)))),
        };
        Self { name, state: State::default(), body }
    }

    /// The medium's name, as [`In`] prints it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a serial line.
    pub fn is_serial(&self) -> bool {
        matches!(self.body, Body::Serial(_))
    }

    /// Whether something could be heard as far as this machine can see: the medium is open, and the interface that it is
    /// bound to is up and has a carrier. `None` before the first [`Inlet::tick`].
    pub fn up(&self) -> Option<bool> {
        self.state.up()
    }

    /// Lets others listen on the same port (`shared`): otherwise a medium that they could rob of its unicasts is down. And
    /// names the interfaces whose cable leads straight to the other node, which loses its carrier with that node (`direct`).
    pub fn with(mut self, shared: bool, direct: &[String]) -> Self {
        if let Body::Udp(udp) = &mut self.body {
            udp.shared = shared;
            udp.direct = direct.to_vec();
        }
        self
    }

    /// Whether silence on this medium is the silence of others, not our own deafness: it is open, nobody else takes what is
    /// for us, and its interface, or every one that it heard nodes by, is there, up and has a carrier.
    pub fn hears(&self) -> bool {
        self.state.hears()
    }

    /// The port that is listened on; the kernel chooses where 0 was asked for.
    pub fn port(&self) -> Option<u16> {
        let Body::Udp(udp) = &self.body else { return None };
        let name: SockaddrStorage = getsockname(udp.fd.as_ref()?.as_raw_fd()).ok()?;
        name.as_sockaddr_in().map(|a| a.port()).or_else(|| name.as_sockaddr_in6().map(|a| a.port()))
    }

    /// What has to be waited for, to be readable, while the medium is open.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.body {
            Body::Udp(udp) => udp.fd.as_ref().map(AsFd::as_fd),
            Body::Serial(serial) => serial.line.fd(),
        }
    }

    /// When [`Inlet::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.body {
            Body::Udp(udp) => udp.deadline(),
            Body::Serial(serial) => serial.line.deadline(),
        }
    }

    /// Does what is due: opens the medium, and looks after the interface that it is bound to; one that went away and came
    /// back is joined again.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        let was = self.state.up();
        match &mut self.body {
            Body::Udp(udp) => udp.tick(&mut self.state, now),
            Body::Serial(serial) => serial.line.open_if_due(&mut self.state, now),
        }
        self.state.since(was, &self.name)
    }

    /// As [`Inlet::tick`], but looks whether it could hear now: before somebody's silence on it is judged. `via`: the
    /// interfaces by which nodes were heard so far, as [`Packet::via`] has them.
    pub fn look_again(&mut self, via: &BTreeSet<u32>, now: Instant) -> Option<Change> {
        if let Body::Udp(udp) = &mut self.body {
            udp.look = udp.look.min(now);
            udp.doubtful = true;
            if udp.via != *via {
                udp.via.clone_from(via);
            }
        }
        self.tick(now)
    }

    /// Takes what has arrived, but not more than one batch (32 datagrams, 4096 bytes of a line), so that other media get
    /// their turn. `flags`: what came of waiting for [`Inlet::fd`].
    pub fn receive(&mut self, flags: PollFlags, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> Option<Change> {
        self.take(flags, now, each).0
    }

    /// As [`Inlet::receive`], for a listener that must not judge before it knows what has arrived: also whether more may
    /// lie there. After [`ALL_BATCHES`] of these all that had arrived before the first is taken.
    pub fn drain(&mut self, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> (Option<Change>, bool) {
        self.take(PollFlags::POLLIN, now, each)
    }

    fn take(&mut self, flags: PollFlags, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> (Option<Change>, bool) {
        if flags.is_empty() {
            return (None, false);
        }
        let was = self.state.up();
        let more = match &mut self.body {
            Body::Udp(udp) => udp.take(&mut self.state, now, each),
            Body::Serial(serial) => serial.take(&mut self.state, flags, now, each),
        };
        (self.state.since(was, &self.name), more)
    }

    /// How many datagrams the kernel has dropped so far because they were not read in time. It costs a system call.
    pub fn lost(&self) -> u64 {
        match &self.body {
            Body::Udp(udp) => udp.lost(),
            Body::Serial(_) => 0,
        }
    }
}

/// How often an interface is looked after: nothing tells a socket that its interface went away.
const LOOK: Duration = Duration::from_millis(250);

/// Why nothing can be heard.
enum Obstacle {
    /// It is ours.
    Deaf(String),
    /// It is the other node's.
    Unplugged(String),
    /// That was said already, or cannot be told now: all stays as it was.
    Unclear,
}

/// What a socket hears.
#[derive(Clone, Copy)]
enum Heard {
    /// What is sent to this address, or to any of this machine.
    To(Option<IpAddr>),
    Group(IpAddr),
}

struct Udp {
    heard: Heard,
    port: u16,
    dev: Option<String>,
    fd: Option<OwnedFd>,
    /// The number of the interface that the socket is bound to.
    index: u32,
    netlink: Option<Netlink>,
    /// Others may listen on the port.
    shared: bool,
    /// Interfaces that lose their carrier with the machine at the other end.
    direct: Vec<String>,
    /// The interfaces by which nodes were heard, where it is bound to none.
    via: BTreeSet<u32>,
    /// It is to be seen whether it can hear: somebody is about to be judged, or it could not when last seen.
    doubtful: bool,
    /// When the interface is looked after.
    look: Instant,
    retry: Retry,
    batch: Option<Batch>,
    /// Lost by this socket when last asked, and by all of them.
    lost: Cell<(u32, u64)>,
}

impl Udp {
    fn new(heard: Heard, port: u16, dev: Option<String>) -> Self {
        Self {
            heard,
            port,
            dev,
            fd: None,
            index: 0,
            netlink: None,
            shared: false,
            direct: Vec::new(),
            via: BTreeSet::new(),
            doubtful: false,
            look: Instant::at(Duration::ZERO),
            retry: Retry::new(),
            batch: None,
            lost: Cell::default(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.fd {
            Some(_) if self.dev.is_some() || self.doubtful => Some(self.look),
            Some(_) => None,
            None if self.dev.is_some() => Some(self.look),
            None => self.retry.deadline(),
        }
    }

    fn tick(&mut self, state: &mut State, now: Instant) {
        if self.dev.is_none() && self.fd.is_none() {
            if self.retry.due(now) {
                match self.open(None, state) {
                    true => self.retry.worked(now),
                    false => self.retry.failed(now),
                }
            }
            if self.fd.is_none() {
                return;
            }
        } else if now < self.look {
            return;
        }
        self.look = now + LOOK;
        match self.examine(state) {
            Ok(()) => {
                self.doubtful = false;
                state.works("listening");
            }
            Err(Obstacle::Unplugged(why)) => state.is_unplugged(why),
            Err(Obstacle::Deaf(why)) => {
                self.doubtful = true;
                state.fails(why);
            }
            Err(Obstacle::Unclear) => {}
        }
    }

    /// Whether something could be heard now; opens the socket where the interface is a new one.
    fn examine(&mut self, state: &mut State) -> Result<(), Obstacle> {
        let interface = match self.dev.clone() {
            None => None,
            Some(dev) => match self.netlink().and_then(|netlink| link::by_name(netlink, &dev)) {
                Ok(interface) => Some(interface),
                // What is queued there can still be read; and where the kernel does not say, the socket is as good as it was.
                Err(e) if self.fd.is_none() || matches!(e, NetError::NoInterface(_)) => {
                    return Err(Obstacle::Deaf(e.to_string()));
                }
                Err(_) => return Err(Obstacle::Unclear),
            },
        };
        if let Some(interface) = &interface
            && (self.fd.is_none() || self.index != interface.index)
            && !self.open(Some((&interface.name, interface.index)), state)
        {
            return Err(Obstacle::Unclear); // it has said why
        }
        if self.doubtful && self.is_crowded() {
            return Err(Obstacle::Deaf(self.crowded()));
        }
        match interface {
            Some(interface) => self.judge(&interface),
            None if self.doubtful => {
                for index in self.via.clone() {
                    match self.netlink().and_then(|netlink| link::by_index(netlink, index)) {
                        Ok(interface) => self.judge(&interface)?,
                        Err(NetError::NoInterface(_)) => {
                            return Err(Obstacle::Deaf("an interface by which nodes were heard is gone".to_owned()));
                        }
                        Err(_) => return Err(Obstacle::Unclear),
                    }
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn judge(&self, interface: &link::Interface) -> Result<(), Obstacle> {
        let name = &interface.name;
        match () {
            () if !interface.up => Err(Obstacle::Deaf(format!("interface {name} is down"))),
            () if interface.carrier => Ok(()),
            () if self.direct.contains(name) => {
                Err(Obstacle::Unplugged(format!("interface {name} has no carrier: nobody at the end of the cable")))
            }
            () => Err(Obstacle::Deaf(format!("interface {name} has no carrier"))),
        }
    }

    fn is_crowded(&self) -> bool {
        match self.heard {
            Heard::To(address) => !self.shared && sharing::others(address, self.port),
            Heard::Group(_) => false,
        }
    }

    fn crowded(&self) -> String {
        format!("another process listens on port {}, and of unicasts only one gets any (--shared allows it)", self.port)
    }

    fn netlink(&mut self) -> Result<&mut Netlink, NetError> {
        match &mut self.netlink {
            Some(open) => Ok(open),
            none => Ok(none.insert(Netlink::open()?)),
        }
    }

    fn open(&mut self, dev: Option<(&str, u32)>, state: &mut State) -> bool {
        let opened = match (self.heard, dev) {
            _ if self.is_crowded() => Err(self.crowded()),
            (Heard::To(address), dev) => udp::receiver(address, self.port, dev),
            (Heard::Group(group), Some(dev)) => udp::member(group, self.port, dev),
            (Heard::Group(_), None) => Err("a group is joined on an interface".to_owned()),
        };
        let before = self.lost();
        match opened {
            Ok(fd) => {
                if dev.is_none() {
                    udp::tell_interfaces(&fd);
                }
                self.fd = Some(fd);
                self.index = dev.map_or(0, |(_, index)| index);
                self.batch = None;
                self.lost.set((0, before));
                true
            }
            Err(why) => {
                // One that hears nothing any more is not to be mistaken for one that does.
                self.fd = None;
                state.fails(why);
                false
            }
        }
    }

    fn take(&mut self, state: &mut State, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> bool {
        let Some(fd) = &self.fd else { return false };
        let batch = self.batch.get_or_insert_with(Batch::new);
        let told = |bytes: &[u8], from: IpAddr, via: u32, truncated: bool| {
            each(Packet { bytes, from: Source::Address(from), via, truncated, noise: 0 });
        };
        match batch.take(fd, told) {
            Ok(taken) => Batch::full(taken),
            Err(Errno::EAGAIN) => false,
            // A datagram that did not arrive whole, or no memory for it: others will.
            Err(Errno::EINTR | Errno::ENOMEM | Errno::ENOBUFS | Errno::ECONNREFUSED | Errno::EHOSTUNREACH) => true,
            Err(e) => {
                self.fd = None;
                self.retry.failed(now);
                state.fails(format!("cannot hear any more ({})", e.desc()));
                false
            }
        }
    }

    fn lost(&self) -> u64 {
        let (seen, mut all) = self.lost.get();
        let counted = self.fd.as_ref().and_then(drops::counted).unwrap_or(seen);
        all += u64::from(counted.wrapping_sub(seen));
        self.lost.set((counted, all));
        all
    }
}

/// What a line's driver keeps for us at most.
const KEPT: usize = 4096;
/// The most that a line can have kept in all its buffers, in reads.
const READS: usize = 32;

struct Serial {
    line: Line,
    framer: Framer,
    buffer: Box<[u8; KEPT]>,
}

impl Serial {
    fn new(line: Line) -> Self {
        Self { line, framer: Framer::default(), buffer: Box::new([0; KEPT]) }
    }

    fn take(&mut self, state: &mut State, flags: PollFlags, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> bool {
        // What came before it hung up is still read.
        let hung_up = serial::judge(flags);
        let mut more = false;
        for _ in 0..if hung_up.is_ok() { 1 } else { READS } {
            match self.line.read(self.buffer.as_mut_slice()) {
                Ok(0) => {
                    more = false;
                    break;
                }
                Ok(n) => {
                    self.framer.push(&self.buffer[..n], &mut |frame| each(packet(frame)));
                    more = true;
                }
                Err(why) => {
                    self.lose(state, why, now);
                    return false;
                }
            }
        }
        if let Err(why) = hung_up {
            self.lose(state, why, now);
            return false;
        }
        more
    }

    fn lose(&mut self, state: &mut State, why: String, now: Instant) {
        self.framer = Framer::default();
        self.line.lost(state, why, now);
    }
}

fn packet(frame: Frame<'_>) -> Packet<'_> {
    let (bytes, noise) = match frame {
        Frame::Message(bytes) => (bytes, 0),
        Frame::Noise(noise) => (&[][..], noise),
    };
    Packet { bytes, from: Source::Serial, via: 0, truncated: false, noise }
}
