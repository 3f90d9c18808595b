//! A medium that is heard on.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{SockaddrStorage, getsockname};

use super::serial::{self, Line};
use super::spec::In;
use super::state::{Change, Retry, State};
use super::udp::{self, ALL_KEPT, Batch};
use crate::clock::Instant;
use crate::heartbeat::wire::framing::{Frame, Framer};
use crate::net::netlink::Netlink;
use crate::net::{NetError, drops, link};

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

    /// Whether silence on this medium is the silence of others, not our own deafness: it is open, and its interface is
    /// there and up. It need not have a carrier, which a direct cable loses with the machine at its other end.
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

    /// As [`Inlet::tick`], but looks after the interface now: before somebody's silence on it is judged.
    pub fn look_again(&mut self, now: Instant) -> Option<Change> {
        if let Body::Udp(udp) = &mut self.body {
            udp.look = udp.look.min(now);
        }
        self.tick(now)
    }

    /// Takes what has arrived, but not more than one batch (32 datagrams, 4096 bytes of a line), so that other media get
    /// their turn. `flags`: what came of waiting for [`Inlet::fd`].
    pub fn receive(&mut self, flags: PollFlags, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> Option<Change> {
        self.take(flags, now, 1, each)
    }

    /// Takes all that had arrived when it was called, and little that comes while it does: for a listener that was held
    /// up and must not judge before it knows what happened meanwhile.
    pub fn drain(&mut self, now: Instant, each: &mut dyn FnMut(Packet<'_>)) -> Option<Change> {
        self.take(PollFlags::POLLIN, now, usize::MAX, each)
    }

    fn take(
        &mut self,
        flags: PollFlags,
        now: Instant,
        batches: usize,
        each: &mut dyn FnMut(Packet<'_>),
    ) -> Option<Change> {
        if flags.is_empty() {
            return None;
        }
        let was = self.state.up();
        match &mut self.body {
            Body::Udp(udp) => udp.take(&mut self.state, now, batches, each),
            Body::Serial(serial) => serial.take(&mut self.state, flags, now, batches, each),
        }
        self.state.since(was, &self.name)
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
    /// When the interface is looked after.
    look: Instant,
    retry: Retry,
    batch: Option<Batch>,
    /// Lost by this socket when last asked, and by all of them.
    lost: Cell<(u32, u64)>,
}

impl Udp {
    fn new(heard: Heard, port: u16, dev: Option<String>) -> Self {
        let (look, retry) = (Instant::at(Duration::ZERO), Retry::new());
        Self { heard, port, dev, fd: None, index: 0, netlink: None, look, retry, batch: None, lost: Cell::default() }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.dev.is_some() { Some(self.look) } else { self.retry.deadline() }
    }

    fn tick(&mut self, state: &mut State, now: Instant) {
        let Some(dev) = self.dev.clone() else {
            if !self.retry.due(now) {
                return;
            }
            if self.open(None, state) {
                self.retry.worked(now);
                state.works("listening");
            } else {
                self.retry.failed(now);
            }
            return;
        };
        if now < self.look {
            return;
        }
        self.look = now + LOOK;
        let interface = match self.look_after(&dev) {
            Ok(interface) => interface,
            // What is queued there can still be read.
            Err(e @ NetError::NoInterface(_)) => return state.fails(e.to_string()),
            // The socket is as good as it was.
            Err(_) if self.fd.is_some() => return,
            Err(e) => return state.fails(e.to_string()),
        };
        if (self.fd.is_none() || self.index != interface.index) && !self.open(Some((&dev, interface.index)), state) {
            return;
        }
        match () {
            () if !interface.up => state.fails(format!("interface {dev} is down")),
            () if !interface.carrier => state.is_unplugged(format!("interface {dev} has no carrier")),
            () => state.works("listening"),
        }
    }

    fn look_after(&mut self, dev: &str) -> Result<link::Interface, NetError> {
        let netlink = match &mut self.netlink {
            Some(open) => open,
            none => none.insert(Netlink::open()?),
        };
        link::by_name(netlink, dev)
    }

    fn open(&mut self, dev: Option<(&str, u32)>, state: &mut State) -> bool {
        let opened = match (self.heard, dev) {
            (Heard::To(address), dev) => udp::receiver(address, self.port, dev),
            (Heard::Group(group), Some(dev)) => udp::member(group, self.port, dev),
            (Heard::Group(_), None) => Err("a group is joined on an interface".to_owned()),
        };
        let before = self.lost();
        match opened {
            Ok(fd) => {
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

    fn take(&mut self, state: &mut State, now: Instant, batches: usize, each: &mut dyn FnMut(Packet<'_>)) {
        let Some(fd) = &self.fd else { return };
        let batch = self.batch.get_or_insert_with(Batch::new);
        let mut all = 0;
        for _ in 0..batches {
            let told = |bytes: &[u8], from: IpAddr, truncated: bool| {
                each(Packet { bytes, from: Source::Address(from), truncated, noise: 0 });
            };
            match batch.take(fd, told) {
                Ok(taken) => {
                    all += taken;
                    if !Batch::full(taken) || all > ALL_KEPT {
                        return;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                // A datagram that did not arrive whole, or no memory for it: others will.
                Err(Errno::ENOMEM | Errno::ENOBUFS | Errno::ECONNREFUSED | Errno::EHOSTUNREACH) => return,
                Err(e) => {
                    self.fd = None;
                    self.retry.failed(now);
                    return state.fails(format!("cannot hear any more ({})", e.desc()));
                }
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

    fn take(
        &mut self,
        state: &mut State,
        flags: PollFlags,
        now: Instant,
        batches: usize,
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        // What came before it hung up is still read.
        let hung_up = serial::judge(flags);
        for _ in 0..if hung_up.is_ok() { batches.min(READS) } else { READS } {
            match self.line.read(self.buffer.as_mut_slice()) {
                Ok(0) => break,
                Ok(n) => self.framer.push(&self.buffer[..n], &mut |frame| each(packet(frame))),
                Err(why) => return self.lose(state, why, now),
            }
        }
        if let Err(why) = hung_up {
            self.lose(state, why, now);
        }
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
    Packet { bytes, from: Source::Serial, truncated: false, noise }
}
