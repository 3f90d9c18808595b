//! Rounds of echoes: when each goes out, whose answer is whose, and what an answer or a silence means.
//!
//! Pure: it is told what happened and what time it is, and says what to send and what was found. One round is one probe
//! of one target: the look-up, up to three echoes, one answer that suffices.

pub mod run;
pub mod target;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;

use super::Judgement;
use super::egress::Egress;
use super::icmp::{Problem, Stamp};
use crate::cli::duration::words;
use crate::clock::{self, Instant};

/// Echoes in a round.
pub const ECHOES: u32 = 3;

/// The most targets: the echoes of all of them have to differ in a sequence number of 16 bits.
pub const MOST_TARGETS: usize = 20_000;

/// How long an echo waits for room in the kernel's buffers before it is tried again.
const ROOM: Duration = Duration::from_millis(10);

/// The times of a round.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The whole of it, look-up included.
    pub timeout: Duration,
    /// From one echo to the next.
    pub gap: Duration,
}

impl Timing {
    /// All echoes leave in the first half of the time, 200 ms apart at most.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, gap: (timeout / 4).min(Duration::from_millis(200)) }
    }
}

/// What kept an echo from being answered, as far as anybody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The kernel or a router says that the host is unreachable. All others are no word about the target itself.
    HostUnreachable(Option<IpAddr>),
    /// A router, or a firewall, says something else.
    Icmp(Problem, IpAddr),
    /// We have no route.
    NoRoute,
    /// A firewall of our own.
    Firewall,
    /// The kernel has no room for packets.
    NoBuffers,
    /// The packet does not fit the link.
    TooBig,
    /// The interface is gone, or down.
    NoInterface(String),
    /// We have no address of this family.
    NoFamily,
    /// The address is not that of one host.
    NotProbeable(String),
    /// Anything else that the kernel said.
    Kernel(Errno),
}

impl Trouble {
    /// What an errno of sending means.
    pub fn of_errno(errno: Errno) -> Self {
        match errno {
            Errno::EHOSTUNREACH => Self::HostUnreachable(None),
            Errno::ENETUNREACH => Self::NoRoute,
            Errno::EPERM => Self::Firewall,
            Errno::ENOBUFS | Errno::EAGAIN | Errno::ENOMEM => Self::NoBuffers,
            Errno::EMSGSIZE => Self::TooBig,
            Errno::ENODEV | Errno::ENXIO | Errno::ENETDOWN => Self::NoInterface(errno.desc().to_owned()),
            Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT => Self::NoFamily,
            Errno::EACCES => Self::NotProbeable("the kernel refuses it, as it does broadcast addresses".to_owned()),
            other => Self::Kernel(other),
        }
    }

    /// What an ICMP error means that `from` sent.
    pub fn of_problem(problem: Problem, from: IpAddr) -> Self {
        match problem {
            Problem::HostUnreachable => Self::HostUnreachable(Some(from)),
            other => Self::Icmp(other, from),
        }
    }

    fn judge(&self) -> Judgement {
        match self {
            Self::HostUnreachable(None) => Judgement::down("host-unreachable", "the kernel says: host unreachable"),
            Self::HostUnreachable(Some(from)) => {
                Judgement::down("host-unreachable", format!("{from} says that the host is unreachable"))
            }
            Self::Icmp(problem, from) => match problem {
                Problem::NetUnreachable | Problem::HostUnreachable => {
                    no("net-unreachable", format!("the router {from} knows no way to its network"))
                }
                Problem::Filtered => no("filtered", format!("a firewall on the way forbids it: {from}")),
                Problem::Rejected => no("rejected", format!("{from} is there, but refuses ICMP echo")),
                Problem::TooBig => no("too-big", format!("a link behind {from} is too narrow: use a smaller --size")),
                Problem::Expired => no("expired", format!("the packet went in circles, or lost its parts: {from}")),
                Problem::Other => no("icmp-error", format!("{from} answered with an ICMP error")),
            },
            Self::NoRoute => no("no-route", "this machine has no route to it"),
            Self::Firewall => no("not-permitted", "a firewall of this machine forbids it (EPERM)"),
            Self::NoBuffers => no("no-buffers", "the kernel had no room to send (buffers, or the neighbour table)"),
            Self::TooBig => no("too-big", "the packet does not fit the link: use a smaller --size"),
            Self::NoInterface(what) => no("no-interface", format!("the interface cannot be used: {what}")),
            Self::NoFamily => no("no-family", "this machine has no address of that family"),
            Self::NotProbeable(why) => no("not-probeable", format!("the address cannot be probed: {why}")),
            Self::Kernel(errno) => no("send-failed", format!("cannot send: {}", errno.desc())),
        }
    }
}

fn no(reason: &'static str, cause: impl Into<String>) -> Judgement {
    Judgement::cannot_tell(reason, cause)
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The target answered.
    Answered(Duration),
    /// Nothing came in time.
    Silent,
    /// Every echo came to grief, or one did and the others met silence.
    Trouble(Trouble),
    /// The name does not resolve.
    LookupFailed(String),
    /// The look-up did not come back in time.
    LookupTimeout,
    /// Less than half of the time was left when the first echo went out: too little for a no.
    Late,
    /// Packets were lost in our own receive buffer.
    Overflow,
    /// This process did not run for so long.
    Stalled(Duration),
}

impl Ending {
    /// Whether it is a no only if our own side of the way is in order.
    pub fn needs_egress(&self) -> bool {
        matches!(self, Self::Silent | Self::Trouble(Trouble::HostUnreachable(_)))
    }

    /// What it means. `egress` counts only where [`Ending::needs_egress`].
    pub fn judge(&self, egress: &Egress, timeout: Duration) -> Judgement {
        if self.needs_egress()
            && let Some(obstacle) = egress.obstacle()
        {
            return obstacle;
        }
        match self {
            Self::Answered(rtt) => Judgement::up(format!("answered in {} ms", clock::millis(*rtt))),
            Self::Silent => Judgement::down("timeout", format!("no answer within {}", words(timeout))),
            Self::Trouble(trouble) => trouble.judge(),
            Self::LookupFailed(why) => no("lookup-failed", format!("the name does not resolve: {why}")),
            Self::LookupTimeout => {
                no("lookup-timeout", format!("the name was not resolved within {}: is DNS down?", words(timeout)))
            }
            Self::Late => {
                no("late", "the look-up, or sending to many hosts, left too little time: use a longer --timeout")
            }
            Self::Overflow => no("overflow", "packets were lost in this machine's receive buffer"),
            Self::Stalled(gap) => {
                no("stalled", format!("this machine was busy: the probe did not run for {}", words(*gap)))
            }
        }
    }
}

/// A round that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The number of the target.
    pub target: usize,
    /// How.
    pub ending: Ending,
    /// The address, where there was one.
    pub address: Option<SocketAddr>,
    /// Echoes that left this machine.
    pub sent: u32,
    /// From the start to the verdict.
    pub total: Duration,
}

/// An echo to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// Whose.
    pub target: usize,
    /// Where to.
    pub to: SocketAddr,
    /// Its number; the sequence number is the lower half.
    pub token: u32,
}

#[derive(Debug)]
struct Round {
    timing: Timing,
    started: Instant,
    /// Its place in the agenda: the next echo or the deadline.
    at: Instant,
    to: Option<SocketAddr>,
    next_echo: Option<Instant>,
    tried: u32,
    sent: u32,
    first_sent: Option<Instant>,
    /// How many echoes are known to be in vain.
    in_vain: u32,
    trouble: Option<Trouble>,
    /// The echo that is due found no room.
    no_room: bool,
    lossy: bool,
    tokens: Vec<u32>,
}

#[derive(Debug)]
struct Flight {
    target: usize,
    token: u32,
    sent: Instant,
    in_vain: bool,
}

/// All rounds that are under way.
#[derive(Debug, Default)]
pub struct Pinger {
    rounds: HashMap<usize, Round>,
    agenda: BTreeSet<(Instant, usize)>,
    flights: HashMap<u16, Flight>,
    next_token: u32,
    finished: Vec<Finished>,
}

impl Pinger {
    /// Begins a round; its address is told by [`Pinger::found`]. A target has one round at a time.
    pub fn begin(&mut self, target: usize, timing: Timing, now: Instant) {
        let at = now + timing.timeout;
        let round = Round {
            timing,
            started: now,
            at,
            to: None,
            next_echo: None,
            tried: 0,
            sent: 0,
            first_sent: None,
            in_vain: 0,
            trouble: None,
            no_room: false,
            lossy: false,
            tokens: Vec::new(),
        };
        self.agenda.insert((at, target));
        if let Some(old) = self.rounds.insert(target, round) {
            self.forget(target, &old);
        }
    }

    /// The address of a target: its first echo is due. Ignored where no look-up is awaited.
    pub fn found(&mut self, target: usize, to: SocketAddr, now: Instant) {
        if let Some(round) = self.rounds.get_mut(&target).filter(|r| r.to.is_none()) {
            round.to = Some(to);
            round.next_echo = Some(now);
            self.plan(target);
        }
    }

    /// Why a target has no address. Ignored where no look-up is awaited.
    pub fn not_found(&mut self, target: usize, why: String, now: Instant) {
        if self.rounds.get(&target).is_some_and(|r| r.to.is_none()) {
            self.end(target, Ending::LookupFailed(why), now);
        }
    }

    /// Nothing can be sent to a target.
    pub fn hopeless(&mut self, target: usize, trouble: Trouble, now: Instant) {
        self.end(target, Ending::Trouble(trouble), now);
    }

    /// The next time at which there is something to do.
    pub fn next(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Takes one echo that is due; the caller says afterwards whether it was [`Pinger::sent`] or [`Pinger::not_sent`].
    pub fn due(&mut self, now: Instant) -> Option<Send> {
        let due = |target: &usize| self.rounds.get(target)?.next_echo.filter(|at| *at <= now);
        let mut ready = self.agenda.iter().take_while(|(at, _)| *at <= now).map(|(_, target)| *target);
        let target = ready.find(|t| due(t).is_some())?;
        let token = self.next_token;
        self.next_token = token.wrapping_add(1);
        let round = self.rounds.get_mut(&target)?;
        round.tried += 1;
        round.next_echo = (round.tried < ECHOES).then(|| now + round.timing.gap);
        round.tokens.push(token);
        let to = round.to?;
        self.flights.insert(token as u16, Flight { target, token, sent: now, in_vain: false });
        self.plan(target);
        Some(Send { target, to, token })
    }

    /// The echo has left, at this time.
    pub fn sent(&mut self, echo: Send, now: Instant) {
        let Some(round) = self.rounds.get_mut(&echo.target) else { return };
        round.sent += 1;
        round.first_sent.get_or_insert(now);
        round.no_room = false;
        if let Some(flight) = self.flights.get_mut(&(echo.token as u16)) {
            flight.sent = now;
        }
    }

    /// The echo could not be sent. Where there was no room it is tried again until the time is over.
    pub fn not_sent(&mut self, echo: Send, trouble: Trouble, now: Instant) {
        if trouble != Trouble::NoBuffers {
            return self.in_vain(echo.token as u16, trouble, now);
        }
        let Some(round) = self.rounds.get_mut(&echo.target) else { return };
        self.flights.remove(&(echo.token as u16));
        round.tokens.retain(|t| *t != echo.token);
        round.tried -= 1;
        round.no_room = true;
        round.next_echo = Some(now + ROOM);
        self.plan(echo.target);
    }

    /// An echo reply with our nonce came from there.
    pub fn reply(&mut self, from: SocketAddr, seq: u16, token: u32, now: Instant) {
        let Some(flight) = self.flights.get(&seq).filter(|f| f.token == token) else { return };
        let (target, rtt) = (flight.target, now.since(flight.sent));
        if self.rounds.get(&target).and_then(|r| r.to).is_some_and(|to| same_host(to, from)) {
            self.end(target, Ending::Answered(rtt), now);
        }
    }

    /// Somebody says that an echo of ours to `to` came to grief. The stamp is not always quoted.
    pub fn error(&mut self, to: IpAddr, seq: u16, stamp: Option<Stamp>, trouble: Trouble, now: Instant) {
        let Some(flight) = self.flights.get(&seq) else { return };
        let ours = stamp.is_none_or(|s| s.token == flight.token);
        if ours && self.rounds.get(&flight.target).and_then(|r| r.to).is_some_and(|at| at.ip() == to) {
            self.in_vain(seq, trouble, now);
        }
    }

    /// One echo is in vain. The round ends when all of them are: another may still be answered.
    fn in_vain(&mut self, seq: u16, trouble: Trouble, now: Instant) {
        let Some(flight) = self.flights.get_mut(&seq).filter(|f| !f.in_vain) else { return };
        flight.in_vain = true;
        let target = flight.target;
        let Some(round) = self.rounds.get_mut(&target) else { return };
        round.in_vain += 1;
        // One trouble that is no word about the target outweighs any number that are.
        match round.trouble {
            None | Some(Trouble::HostUnreachable(_)) => round.trouble = Some(trouble),
            Some(_) => {}
        }
        if round.in_vain == ECHOES
            && let Some(trouble) = round.trouble.clone()
        {
            self.end(target, Ending::Trouble(trouble), now);
        }
    }

    /// Our receive buffer ran over: no silence of the rounds under way means anything.
    pub fn lost_packets(&mut self) {
        self.rounds.values_mut().for_each(|r| r.lossy = true);
    }

    /// This process did not run for so long: no silence of the rounds under way means anything that have twice that time at
    /// most.
    pub fn stalled(&mut self, gap: Duration, now: Instant) {
        let short = |(target, round): (&usize, &Round)| (gap >= round.timing.timeout / 2).then_some(*target);
        let mut targets: Vec<usize> = self.rounds.iter().filter_map(short).collect();
        targets.sort_unstable();
        targets.into_iter().for_each(|t| self.end(t, Ending::Stalled(gap), now));
    }

    /// Whether the time of a round is over.
    pub fn any_over(&self, now: Instant) -> bool {
        let first = self.agenda.iter().take_while(|(at, _)| *at <= now);
        first.filter_map(|(_, t)| self.rounds.get(t)).any(|r| now >= r.started + r.timing.timeout)
    }

    /// Ends the rounds whose time is over. Call it only when everything that has arrived was taken in.
    pub fn expire(&mut self, now: Instant) {
        let early: Vec<usize> = self.agenda.iter().take_while(|(at, _)| *at <= now).map(|(_, t)| *t).collect();
        for target in early {
            let Some(round) = self.rounds.get(&target) else { continue };
            let timeout = round.timing.timeout;
            if now < round.started + timeout {
                continue;
            }
            let ending = match (&round.trouble, round.first_sent) {
                _ if round.to.is_none() => Ending::LookupTimeout,
                (Some(trouble), _) if !matches!(trouble, Trouble::HostUnreachable(_)) => {
                    Ending::Trouble(trouble.clone())
                }
                _ if round.no_room => Ending::Trouble(Trouble::NoBuffers),
                _ if round.lossy => Ending::Overflow,
                (Some(trouble), _) => Ending::Trouble(trouble.clone()),
                (None, Some(first)) if first.since(round.started) <= timeout / 2 => Ending::Silent,
                (None, _) => Ending::Late,
            };
            self.end(target, ending, now);
        }
    }

    /// The rounds that have ended since the last call.
    pub fn finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    fn end(&mut self, target: usize, ending: Ending, now: Instant) {
        let Some(round) = self.rounds.remove(&target) else { return };
        self.forget(target, &round);
        let total = now.since(round.started);
        self.finished.push(Finished { target, ending, address: round.to, sent: round.sent, total });
    }

    fn forget(&mut self, target: usize, round: &Round) {
        self.agenda.remove(&(round.at, target));
        for token in &round.tokens {
            if self.flights.get(&(*token as u16)).is_some_and(|f| f.token == *token) {
                self.flights.remove(&(*token as u16));
            }
        }
    }

    /// Puts a round where it belongs in the agenda.
    fn plan(&mut self, target: usize) {
        let Some(round) = self.rounds.get_mut(&target) else { return };
        let deadline = round.started + round.timing.timeout;
        let at = round.next_echo.map_or(deadline, |echo| echo.min(deadline));
        self.agenda.remove(&(round.at, target));
        round.at = at;
        self.agenda.insert((at, target));
    }
}

/// A link-local address is the same on the same link only.
fn same_host(asked: SocketAddr, answered: SocketAddr) -> bool {
    let zones = match (asked, answered) {
        (SocketAddr::V6(a), SocketAddr::V6(b)) if a.scope_id() != 0 && b.scope_id() != 0 => {
            a.scope_id() == b.scope_id()
        }
        _ => true,
    };
    zones && asked.ip() == answered.ip()
}

#[cfg(test)]
mod tests;
