//! Rounds of echoes: when each goes out, whose answer is whose, and what an answer or a silence means.
//!
//! Pure: it is told what happened and what time it is, and says what to send and what was found. One round is one probe
//! of one target: the look-up, up to three echoes, one answer that suffices.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;

use super::Judgement;
use super::icmp::{Problem, Stamp};
use crate::cli::duration::words;
use crate::clock::{self, Instant};
use crate::net::link::Interface;

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

/// What lies between this machine and a target that stays silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// The interface has a carrier.
    Clear,
    /// No route leads there.
    NoRoute,
    /// The interface is gone.
    NoInterface(String),
    /// The interface is administratively down.
    Down(String),
    /// The interface has no carrier.
    NoCarrier(String),
    /// The kernel would not say.
    Unknown(String),
}

impl Path {
    /// The path that begins at this interface.
    pub fn through(interface: &Interface) -> Self {
        match interface {
            Interface { up: false, name, .. } => Self::Down(name.clone()),
            Interface { carrier: false, name, .. } => Self::NoCarrier(name.clone()),
            _ => Self::Clear,
        }
    }
}

impl Ending {
    /// Whether it is a no only if our own side of the path is in order.
    pub fn needs_path(&self) -> bool {
        matches!(self, Self::Silent | Self::Trouble(Trouble::HostUnreachable(_)))
    }

    /// What it means. `path` counts only where [`Ending::needs_path`].
    pub fn judge(&self, path: &Path, timeout: Duration) -> Judgement {
        if self.needs_path() {
            match path {
                Path::Clear => {}
                Path::NoRoute => return no("no-route", "this machine has no route to it"),
                Path::NoInterface(what) => return no("no-interface", what.clone()),
                Path::Down(dev) => return no("interface-down", format!("the interface {dev} is down")),
                Path::NoCarrier(dev) => return no("no-carrier", format!("the interface {dev} has no carrier")),
                Path::Unknown(why) => {
                    return no("path-unknown", format!("no answer, and our own link could not be checked: {why}"));
                }
            }
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
#[derive(Debug)]
pub struct Pinger {
    timing: Timing,
    rounds: HashMap<usize, Round>,
    agenda: BTreeSet<(Instant, usize)>,
    flights: HashMap<u16, Flight>,
    next_token: u32,
    finished: Vec<Finished>,
}

impl Pinger {
    /// No round under way.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            rounds: HashMap::new(),
            agenda: BTreeSet::new(),
            flights: HashMap::new(),
            next_token: 0,
            finished: Vec::new(),
        }
    }

    /// Begins a round; its address is told by [`Pinger::found`]. A target has one round at a time.
    pub fn begin(&mut self, target: usize, now: Instant) {
        let at = now + self.timing.timeout;
        let round = Round {
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
        round.next_echo = (round.tried < ECHOES).then(|| now + self.timing.gap);
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

    /// This process did not run for so long: no silence of the rounds under way means anything.
    pub fn stalled(&mut self, gap: Duration, now: Instant) {
        let targets: Vec<usize> = self.agenda.iter().map(|(_, target)| *target).collect();
        targets.into_iter().for_each(|t| self.end(t, Ending::Stalled(gap), now));
    }

    /// Whether the time of a round is over.
    pub fn any_over(&self, now: Instant) -> bool {
        let first = self.agenda.iter().take_while(|(at, _)| *at <= now);
        first.filter_map(|(_, t)| self.rounds.get(t)).any(|r| now >= r.started + self.timing.timeout)
    }

    /// Ends the rounds whose time is over. Call it only when everything that has arrived was taken in.
    pub fn expire(&mut self, now: Instant) {
        let timeout = self.timing.timeout;
        let early: Vec<usize> = self.agenda.iter().take_while(|(at, _)| *at <= now).map(|(_, t)| *t).collect();
        for target in early {
            let Some(round) = self.rounds.get(&target) else { continue };
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
        let deadline = round.started + self.timing.timeout;
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
mod tests {
    use super::*;
    use crate::probe::Verdict;
    use proptest::prelude::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn ms(n: u64) -> Instant {
        Instant::at(Duration::from_millis(n))
    }

    fn host(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 0))
    }

    fn pinger() -> Pinger {
        let mut pinger = Pinger::new(Timing::new(TIMEOUT));
        pinger.begin(0, ms(0));
        pinger
    }

    /// Sends what is due and returns it.
    fn send(pinger: &mut Pinger, now: Instant) -> Option<Send> {
        let echo = pinger.due(now)?;
        pinger.sent(echo, now);
        Some(echo)
    }

    fn ending(pinger: &mut Pinger) -> Option<Ending> {
        let mut ended = pinger.finished();
        assert!(ended.len() <= 1, "{ended:?}");
        ended.pop().map(|f| f.ending)
    }

    fn verdict(ending: &Ending) -> Verdict {
        ending.judge(&Path::Clear, TIMEOUT).verdict
    }

    #[test]
    fn one_answer_suffices_and_ends_the_round() {
        let mut p = pinger();
        p.found(0, host(1), ms(1));
        let echo = send(&mut p, ms(1));
        assert_eq!(echo, Some(Send { target: 0, to: host(1), token: 0 }));
        p.reply(host(1), 0, 0, ms(4));
        let finished = p.finished();
        let rtt = Duration::from_millis(3);
        assert_eq!(finished[0].ending, Ending::Answered(rtt));
        assert_eq!((finished[0].sent, finished[0].total), (1, Duration::from_millis(4)));
        assert_eq!(p.next(), None);
        assert!(p.flights.is_empty());
    }

    #[test]
    fn three_echoes_then_silence() {
        let mut p = pinger();
        p.found(0, host(1), ms(0));
        let mut at = Vec::new();
        while let Some(next) = p.next() {
            if send(&mut p, next).is_some() {
                at.push(next);
            }
            p.expire(next);
        }
        assert_eq!(at, [ms(0), ms(200), ms(400)]);
        assert_eq!(ending(&mut p), Some(Ending::Silent));
    }

    #[test]
    fn only_our_own_answers_from_the_right_host_count() {
        let mut p = pinger();
        p.found(0, host(1), ms(0));
        send(&mut p, ms(0));
        p.reply(host(2), 0, 0, ms(1)); // another host
        p.reply(host(1), 0, 0x1_0000, ms(1)); // the same sequence number, a lap earlier
        p.reply(host(1), 1, 1, ms(1)); // never sent
        assert_eq!(ending(&mut p), None);
        p.reply(host(1), 0, 0, ms(2));
        assert!(matches!(ending(&mut p), Some(Ending::Answered(_))));
        p.reply(host(1), 0, 0, ms(3)); // twice
        assert_eq!(ending(&mut p), None);
    }

    #[test]
    fn link_local_answers_come_from_the_right_link() {
        let address = |zone| socket("fe80::1", zone);
        assert!(same_host(address(2), address(2)));
        assert!(!same_host(address(2), address(3)));
        assert!(same_host(address(0), address(3)));
    }

    fn socket(ip: &str, zone: u32) -> SocketAddr {
        crate::probe::lookup::socket_address(ip.parse().unwrap_or(IpAddr::from([0; 4])), zone)
    }

    #[test]
    fn a_round_ends_early_only_when_every_echo_is_in_vain() {
        let mut p = pinger();
        p.found(0, host(1), ms(0));
        for n in 0..3u32 {
            assert_eq!(ending(&mut p), None);
            send(&mut p, ms(200 * u64::from(n)));
            let trouble = Trouble::HostUnreachable(Some(host(9).ip()));
            p.error(host(1).ip(), n as u16, None, trouble.clone(), ms(500));
            p.error(host(1).ip(), n as u16, None, trouble, ms(500)); // said twice
        }
        let ending = ending(&mut p);
        assert_eq!(ending, Some(Ending::Trouble(Trouble::HostUnreachable(Some(host(9).ip())))));
        assert_eq!(ending.map(|e| verdict(&e)), Some(Verdict::Down));
    }

    #[test]
    fn one_trouble_of_our_own_outweighs_the_others() {
        for own_first in [true, false] {
            let mut p = pinger();
            p.found(0, host(1), ms(0));
            let mut troubles = [Trouble::NoRoute, Trouble::HostUnreachable(None), Trouble::HostUnreachable(None)];
            if !own_first {
                troubles.reverse();
            }
            for (n, trouble) in (0..).zip(troubles) {
                let now = ms(200 * n);
                let echo = p.due(now).unwrap_or_else(|| panic!("nothing due"));
                p.not_sent(echo, trouble, now);
            }
            assert_eq!(ending(&mut p), Some(Ending::Trouble(Trouble::NoRoute)));
        }
    }

    #[test]
    fn an_echo_without_room_is_tried_again() {
        let mut p = pinger();
        p.found(0, host(1), ms(0));
        let echo = p.due(ms(0)).unwrap_or_else(|| panic!("nothing due"));
        p.not_sent(echo, Trouble::NoBuffers, ms(0));
        assert_eq!(p.next(), Some(ms(10)));
        assert!(send(&mut p, ms(10)).is_some());
        p.expire(ms(2000));
        assert_eq!(ending(&mut p), Some(Ending::Silent));

        let mut p = pinger();
        p.found(0, host(1), ms(0));
        while let Some(at) = p.next() {
            p.expire(at);
            if let Some(echo) = p.due(at) {
                p.not_sent(echo, Trouble::NoBuffers, at);
            }
        }
        assert_eq!(ending(&mut p), Some(Ending::Trouble(Trouble::NoBuffers)));
    }

    #[test]
    fn look_ups() {
        let mut p = pinger();
        p.not_found(0, "no such name".into(), ms(5));
        assert_eq!(ending(&mut p), Some(Ending::LookupFailed("no such name".into())));
        p.found(0, host(1), ms(6)); // too late
        assert_eq!(p.due(ms(6)), None);

        let mut p = pinger();
        assert_eq!(p.next(), Some(ms(2000)));
        p.expire(ms(2000));
        assert_eq!(ending(&mut p), Some(Ending::LookupTimeout));
    }

    #[test]
    fn a_silence_after_a_slow_look_up_is_no_no() {
        for (found, expected) in [(1000, Ending::Silent), (1001, Ending::Late)] {
            let mut p = pinger();
            p.found(0, host(1), ms(found));
            send(&mut p, ms(found));
            p.expire(ms(2000));
            assert_eq!(ending(&mut p), Some(expected));
        }
    }

    #[test]
    fn a_stall_or_a_full_buffer_makes_silence_meaningless() {
        let mut p = pinger();
        p.found(0, host(1), ms(0));
        send(&mut p, ms(0));
        p.stalled(TIMEOUT, ms(2500));
        assert_eq!(ending(&mut p), Some(Ending::Stalled(TIMEOUT)));

        let mut p = pinger();
        p.found(0, host(1), ms(0));
        send(&mut p, ms(0));
        p.lost_packets();
        p.expire(ms(2000));
        assert_eq!(ending(&mut p), Some(Ending::Overflow));
    }

    /// The table of the design: what is a definite no, and what is none.
    #[test]
    fn verdicts() {
        let from = host(9).ip();
        let path_matters = [Ending::Silent, Ending::Trouble(Trouble::HostUnreachable(Some(from)))];
        let dev = || "eth0".to_owned();
        for ending in path_matters {
            assert_eq!(verdict(&ending), Verdict::Down, "{ending:?}");
            for path in [
                Path::NoRoute,
                Path::NoInterface(dev()),
                Path::Down(dev()),
                Path::NoCarrier(dev()),
                Path::Unknown(dev()),
            ] {
                assert_eq!(ending.judge(&path, TIMEOUT).verdict, Verdict::CannotTell, "{path:?}");
            }
        }
        assert_eq!(Ending::Answered(TIMEOUT).judge(&Path::NoCarrier(dev()), TIMEOUT).verdict, Verdict::Up);
        for errno in [
            Errno::ENETUNREACH,
            Errno::EPERM,
            Errno::ENOBUFS,
            Errno::EAGAIN,
            Errno::ENODEV,
            Errno::EACCES,
            Errno::EMSGSIZE,
            Errno::EADDRNOTAVAIL,
            Errno::EINVAL,
        ] {
            let ending = Ending::Trouble(Trouble::of_errno(errno));
            assert_eq!(verdict(&ending), Verdict::CannotTell, "{errno:?}");
        }
        assert_eq!(verdict(&Ending::Trouble(Trouble::of_errno(Errno::EHOSTUNREACH))), Verdict::Down);
        for problem in [
            Problem::NetUnreachable,
            Problem::Filtered,
            Problem::Rejected,
            Problem::TooBig,
            Problem::Expired,
            Problem::Other,
        ] {
            let ending = Ending::Trouble(Trouble::of_problem(problem, from));
            assert_eq!(verdict(&ending), Verdict::CannotTell, "{problem:?}");
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Answer(u8),
        NoRoom,
        Unreachable(u8),
        Nothing,
    }

    proptest! {
        /// Whatever happens: every round ends exactly once and on time, is never called silent after its target
        /// answered, sends at most three echoes, and leaves nothing behind.
        #[test]
        fn every_round_ends(hosts in 1usize..6, lookup in prop::collection::vec(prop::option::of(0u64..2500), 6),
                            happens in prop::collection::vec(prop_oneof![
                                any::<u8>().prop_map(Happens::Answer),
                                Just(Happens::NoRoom),
                                any::<u8>().prop_map(Happens::Unreachable),
                                Just(Happens::Nothing),
                                Just(Happens::Nothing),
                            ], 0..60)) {
            let mut p = Pinger::new(Timing::new(TIMEOUT));
            for target in 0..hosts {
                p.begin(target, ms(0));
            }
            let mut happens = happens.into_iter();
            let mut echoes: Vec<Send> = Vec::new();
            let mut ended: Vec<Finished> = Vec::new();
            for t in 0..=2000u64 {
                let now = ms(t);
                for (target, at) in lookup.iter().enumerate().take(hosts) {
                    if *at == Some(t) {
                        p.found(target, host(target as u8), now);
                    }
                }
                p.expire(now);
                while let Some(echo) = p.due(now) {
                    match happens.next().unwrap_or(Happens::Nothing) {
                        Happens::NoRoom => p.not_sent(echo, Trouble::NoBuffers, now),
                        Happens::Answer(n) => {
                            p.sent(echo, now);
                            echoes.push(echo);
                            let old = echoes[usize::from(n) % echoes.len()];
                            p.reply(old.to, old.token as u16, old.token, now);
                            prop_assert!(p.finished.iter().chain(&ended).any(|f| f.target == old.target));
                        }
                        Happens::Unreachable(n) => {
                            p.sent(echo, now);
                            echoes.push(echo);
                            let old = echoes[usize::from(n) % echoes.len()];
                            let trouble = Trouble::HostUnreachable(None);
                            p.error(old.to.ip(), old.token as u16, None, trouble, now);
                        }
                        Happens::Nothing => {
                            p.sent(echo, now);
                            echoes.push(echo);
                        }
                    }
                }
                ended.extend(p.finished());
            }
            prop_assert_eq!(p.next(), None);
            prop_assert!(p.flights.is_empty() && p.rounds.is_empty());
            let mut targets: Vec<usize> = ended.iter().map(|f| f.target).collect();
            targets.sort_unstable();
            prop_assert_eq!(targets, (0..hosts).collect::<Vec<_>>());
            for f in &ended {
                prop_assert!(f.sent <= ECHOES && f.total <= TIMEOUT);
                prop_assert!(f.ending != Ending::Silent || f.sent > 0);
            }
        }
    }
}
