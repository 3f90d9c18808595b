//! A medium that is sent on.
//!
//! **Broadcast** goes to 255.255.255.255 from a socket bound to the interface, not to the broadcast address of one of
//! its networks: it reaches every host on the link whatever addresses either side has, several or none, and a real
//! heartbeat, which listens on all addresses of the interface, hears it just the same.
//!
//! **Names** are looked up in a thread, before the first message (which waits for it) and after a failure; messages go
//! to the address known last meanwhile.
//!
//! **An interface that went away** and came back under its name has another number: the socket bound to it is opened
//! again, and the message that found out goes out by the new one.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;

use super::serial::{self, Line, Queue, Rank};
use super::spec::Out;
use super::state::{Change, Retry, State};
use super::udp::{self, Reach};
use crate::clock::Instant;
use crate::probe::lookup::{Host, Lookups, zone_index};

/// One medium that is sent on, with its state. Nothing here blocks: whoever drives it waits for [`Outlet::fd`] and
/// [`Outlet::deadline`], and hands on what has come of them.
pub struct Outlet {
    name: String,
    state: State,
    dropped: u64,
    body: Body,
}

enum Body {
    Udp(Box<Udp>),
    Serial { line: Line, queue: Queue },
}

impl Outlet {
    /// Takes note of a medium; nothing is opened yet.
    pub fn new(spec: Out) -> Self {
        let name = spec.to_string();
        let body = match spec {
            Out::Ucast { host, port, dev } => Body::Udp(Box::new(Udp::new(Destination::of(&host, port), dev, None))),
            Out::Bcast { dev, port } => {
                let all = Destination::Fixed((Ipv4Addr::BROADCAST, port).into());
                Body::Udp(Box::new(Udp::new(all, Some(dev), None)))
            }
            Out::Mcast { group, port, dev, ttl, loopback } => {
                let group = Destination::Fixed((group, port).into());
                Body::Udp(Box::new(Udp::new(group, Some(dev), Some(Reach { ttl, loopback }))))
            }
            Out::Serial { path, baud } => Body::Serial { line: Line::new(path, baud), queue: Queue::new(baud) },
        };
        Self { name, state: State::default(), dropped: 0, body }
    }

    /// The medium's name, as [`Out`] prints it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a serial line, which takes the classic form only.
    pub fn is_serial(&self) -> bool {
        matches!(self.body, Body::Serial { .. })
    }

    /// Whether the kernel takes what is sent; `None` while nothing was tried.
    pub fn up(&self) -> Option<bool> {
        self.state.up()
    }

    /// How many messages were not sent so far, because a line was slower than what was said, or the medium did not work,
    /// or they were too long for it.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many messages wait to be sent: whoever ends should give them a moment.
    pub fn pending(&self) -> usize {
        match &self.body {
            Body::Udp(udp) => udp.waiting.len(),
            Body::Serial { queue, .. } => queue.len(),
        }
    }

    /// What has to be waited for, where anything has: [`Outlet::ready`] wants to know what came of it. Errors and
    /// hang-ups count even where no flag is set.
    pub fn fd(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.body {
            Body::Udp(udp) => udp.lookups.as_ref().map(|lookups| (lookups.as_fd(), PollFlags::POLLIN)),
            Body::Serial { line, queue } => {
                let wanted = if queue.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
                line.fd().map(|fd| (fd, wanted))
            }
        }
    }

    /// When [`Outlet::tick`] has something to do; at once for a line or name that was not tried. Numeric addresses are tried
    /// by every message, and need no time of their own.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.body {
            Body::Udp(udp) => udp.deadline(),
            Body::Serial { line, .. } => line.deadline(),
        }
    }

    /// Sends a message, now or as soon as the medium takes it. On a line that is slower than what is said, the oldest
    /// message goes that is not begun; a medium that does not work loses the message.
    pub fn send(&mut self, bytes: &[u8], now: Instant) -> Option<Change> {
        self.send_as(Rank::Message, bytes, now)
    }

    /// The same of a heartbeat, or of something that is sent again.
    pub fn send_as(&mut self, rank: Rank, bytes: &[u8], now: Instant) -> Option<Change> {
        let was = self.state.up();
        match &mut self.body {
            Body::Udp(udp) => match udp.send(bytes, &mut self.state, now) {
                Ok(lost) => self.dropped += lost,
                Err(TooLong) => {
                    self.dropped += 1;
                    let said = format!("{}: a message of {} bytes is longer than a datagram", self.name, bytes.len());
                    return Some(Change { was, is: was?, cause: format!("{said}; it was not sent") });
                }
            },
            Body::Serial { line, queue } => {
                line.open_if_due(&mut self.state, now);
                if line.fd().is_none() {
                    self.dropped += 1;
                    return self.state.since(was, &self.name);
                }
                let dropped = queue.push(bytes, rank);
                self.dropped += dropped;
                if dropped > 0 && rank != Rank::Again {
                    self.state.fails("the line is slower than what is said: the oldest messages are dropped");
                }
                self.dropped += write(line, queue, &mut self.state, now);
            }
        }
        self.state.since(was, &self.name)
    }

    /// Hands on what came of waiting for [`Outlet::fd`].
    pub fn ready(&mut self, flags: PollFlags, now: Instant) -> Option<Change> {
        if flags.is_empty() {
            return None;
        }
        let was = self.state.up();
        self.dropped += match &mut self.body {
            Body::Udp(udp) => udp.looked_up(&mut self.state, now),
            Body::Serial { line, queue } => match serial::judge(flags) {
                Ok(_) => write(line, queue, &mut self.state, now),
                Err(why) => lose(line, queue, &mut self.state, why, now),
            },
        };
        self.state.since(was, &self.name)
    }

    /// Does what is due: opens a line, looks a name up.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        let was = self.state.up();
        match &mut self.body {
            Body::Udp(udp) => udp.look_up_if_due(&mut self.state, now),
            Body::Serial { line, .. } => line.open_if_due(&mut self.state, now),
        }
        self.state.since(was, &self.name)
    }
}

/// Writes what the line takes; returns how many messages are lost because it is gone.
fn write(line: &mut Line, queue: &mut Queue, state: &mut State, now: Instant) -> u64 {
    if let Err(why) = queue.write_to(line) {
        return lose(line, queue, state, why, now);
    }
    if queue.is_empty() {
        state.works("the line keeps up with what is said");
    }
    0
}

/// Gives a line up, with what waits for it: by the time that it is back, later messages say more.
fn lose(line: &mut Line, queue: &mut Queue, state: &mut State, why: String, now: Instant) -> u64 {
    let lost = queue.len() as u64;
    queue.clear();
    line.lost(state, why, now);
    lost
}

/// A message does not fit into a datagram.
struct TooLong;

/// Where datagrams go.
enum Destination {
    Fixed(SocketAddr),
    /// A link-local address on an interface whose number may change.
    Zoned(SocketAddr, String),
    Named {
        name: String,
        port: u16,
        known: Option<SocketAddr>,
    },
    /// A word that is neither, and why.
    Wrong(String),
}

impl Destination {
    fn of(host: &str, port: u16) -> Self {
        match host.parse() {
            Ok(Host::Literal { ip, zone: None }) => Self::Fixed((ip, port).into()),
            Ok(Host::Literal { ip, zone: Some(zone) }) => Self::Zoned((ip, port).into(), zone),
            Ok(Host::Name(name)) => Self::Named { name, port, known: None },
            Err(e) => Self::Wrong(e.to_string()),
        }
    }
}

/// Messages that wait for the first look-up of a name: all that is said at a start.
const WAITING: usize = 16;

struct Udp {
    to: Destination,
    dev: Option<String>,
    reach: Option<Reach>,
    /// The open socket and whether it is one of IPv6.
    socket: Option<(OwnedFd, bool)>,
    /// Open from the first look-up on.
    lookups: Option<Lookups>,
    looking_up: bool,
    retry: Retry,
    waiting: VecDeque<Vec<u8>>,
}

impl Udp {
    fn new(to: Destination, dev: Option<String>, reach: Option<Reach>) -> Self {
        let (lookups, looking_up, waiting) = (None, false, VecDeque::new());
        Self { to, dev, reach, socket: None, lookups, looking_up, retry: Retry::new(), waiting }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.to {
            Destination::Named { .. } if !self.looking_up => self.retry.deadline(),
            _ => None,
        }
    }

    /// Returns how many messages were lost.
    fn send(&mut self, bytes: &[u8], state: &mut State, now: Instant) -> Result<u64, TooLong> {
        self.look_up_if_due(state, now);
        if let Destination::Named { known: None, .. } = self.to {
            // A name that could not be found once may take long every time: messages would only grow old.
            if state.up() == Some(false) {
                return Ok(1);
            }
            let lost = if self.waiting.len() < WAITING { None } else { self.waiting.pop_front() };
            self.waiting.push_back(bytes.to_vec());
            return Ok(lost.map_or(0, |_| 1));
        }
        let tried_anew = self.socket.is_none();
        let mut sent = self.try_send(bytes);
        // What we had open may be of the past; the cause is what a new one says.
        if matches!(sent, Err(Refused::Gone(_))) && !tried_anew {
            sent = self.try_send(bytes);
        }
        match sent {
            Ok(()) => state.works("what is sent is taken"),
            Err(Refused::TooLong) => return Err(TooLong),
            Err(Refused::Gone(why) | Refused::Busy(why)) => {
                state.fails(why);
                if self.retry.deadline().is_none() {
                    self.retry.failed(now);
                }
                return Ok(1);
            }
        }
        Ok(0)
    }

    fn try_send(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let to = match &self.to {
            Destination::Fixed(to) => *to,
            Destination::Zoned(to, zone) => {
                let index = zone_index(zone).ok_or_else(|| Refused::Gone(udp::no_interface(zone)))?;
                let mut to = *to;
                if let SocketAddr::V6(to) = &mut to {
                    to.set_scope_id(index);
                }
                to
            }
            Destination::Named { known: Some(to), .. } => *to,
            Destination::Named { known: None, .. } => return Err(Refused::Busy("not looked up yet".to_owned())),
            Destination::Wrong(why) => return Err(Refused::Busy(why.clone())),
        };
        let v6 = to.is_ipv6();
        let fd = match self.socket.take() {
            Some((fd, of_v6)) if of_v6 == v6 => fd,
            _ => udp::sender(v6, self.dev.as_deref(), self.reach).map_err(Refused::Gone)?,
        };
        let sent = udp::send(&fd, bytes, to);
        // For an interface that is no more, IPv4 says ENODEV and IPv6 ENETUNREACH: anything but what has nothing to do
        // with the socket calls for a new one.
        let same = [Errno::EMSGSIZE, Errno::EPERM, Errno::ENOBUFS, Errno::ENOMEM, Errno::EAGAIN];
        let gone = sent.is_err_and(|e| !same.contains(&e));
        if !gone {
            self.socket = Some((fd, v6));
        }
        sent.map_err(|e| match e {
            Errno::EMSGSIZE => Refused::TooLong,
            e if gone => Refused::Gone(udp::refusal(e)),
            e => Refused::Busy(udp::refusal(e)),
        })
    }

    fn look_up_if_due(&mut self, state: &mut State, now: Instant) {
        let Destination::Named { name, .. } = &self.to else { return };
        if self.looking_up || !self.retry.due(now) {
            return;
        }
        if self.lookups.is_none() {
            match Lookups::new() {
                Ok(lookups) => self.lookups = Some(lookups),
                Err(e) => {
                    state.fails(format!("cannot look {name} up: {e}"));
                    return self.retry.failed(now);
                }
            }
        }
        if let Some(lookups) = &mut self.lookups {
            lookups.start(0, name);
            self.looking_up = true;
        }
    }

    /// Takes the result of a look-up and sends what waited for it; returns how many messages were lost.
    fn looked_up(&mut self, state: &mut State, now: Instant) -> u64 {
        let Destination::Named { name, port, known } = &mut self.to else { return 0 };
        let Some(lookups) = &mut self.lookups else { return 0 };
        lookups.woken();
        let Some((_, found)) = lookups.finished().pop() else { return 0 };
        self.looking_up = false;
        match found {
            Ok(mut address) => {
                address.set_port(*port);
                *known = Some(address);
                self.retry.worked(now);
            }
            Err(why) => {
                self.retry.failed(now);
                if known.is_none() {
                    state.fails(format!("cannot look {name} up: {why}"));
                    let lost = self.waiting.len() as u64;
                    self.waiting.clear();
                    return lost;
                }
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().map(|bytes| self.send(bytes, state, now).unwrap_or(1)).sum()
    }
}

/// Why a datagram was not sent, in words.
enum Refused {
    /// A new socket may do.
    Gone(String),
    /// It would say the same.
    Busy(String),
    TooLong,
}
