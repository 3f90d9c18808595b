//! The edge of probe-ping: sockets, look-ups and the clock around the rounds of [`super`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::PollFlags;

use super::target::{Target, TargetError, from_line, from_word};
use super::{ECHOES, Ending, Finished, MOST_TARGETS, Pinger, Send, Timing, Trouble};
use crate::args::probe_ping::ProbePing;
use crate::cli::event::Event;
use crate::cli::exit::Answer;
use crate::cli::output::{Output, OutputError};
use crate::cli::wait::{Signals, Waiter, stdout_gone};
use crate::cli::{Error, Failure, objects};
use crate::clock::Instant;
use crate::net::NetError;
use crate::probe::Verdict;
use crate::probe::egress::{Egress, Finder};
use crate::probe::icmp::Family;
use crate::probe::icmp_socket::{Heard, IcmpSocket, OpenError, Wanted, identity};
use crate::probe::lookup::{Host, Lookups, not_probeable, socket_address, zone_index};
use crate::probe::stream;
use crate::probe::watch::Watch;

/// Echoes sent in one go; what has come back meanwhile is taken in before the next.
const BURST: usize = 64;
/// From one burst to the next.
const BREATH: Duration = Duration::from_millis(1);
/// Messages taken in during one turn.
const GULP: usize = 4096;

/// Probes until there is an answer.
pub fn run(args: ProbePing, output: &mut Output) -> Result<Answer, Error> {
    let plan = args.probing.cadence.plan();
    let targets = targets(&args)?;
    let signals = stream::signals(&plan, output)?;
    let named = targets.iter().any(|t| matches!(t.host, Host::Name(_)));
    let mut prober = Prober {
        quickest: targets.iter().map(|t| t.timeout).min().unwrap_or_default(),
        targets,
        pinger: Pinger::default(),
        identity: identity(),
        sockets: [None, None],
        bound: None,
        lookups: if named { Some(Lookups::new().map_err(|e| Failure::io("cannot open a pipe", &e))?) } else { None },
        finder: Finder::default(),
        args,
    };
    let mut watch = Watch::new(plan, prober.targets.len(), Instant::now());
    let answer = prober.go(&mut watch, output, signals.as_ref())?;
    stream::note_failed(&watch, prober.targets.iter().map(|t| t.name.as_str()), output);
    Ok(answer)
}

/// Understands the operands and what stands on stdin. An interface that does not exist now is a mistake in the call; one that
/// goes later is not.
fn targets(args: &ProbePing) -> Result<Vec<Target>, Error> {
    const HINT: &str = "give names or addresses of hosts, such as 192.0.2.1 or fe80::1%eth0";
    let timeout = args.probing.timeout;
    let mut targets = Vec::new();
    for word in &args.hosts {
        if word == "-" {
            let example = "as in: echo '{\"host\":\"192.0.2.1\"}' | probe-ping -";
            for (number, object) in objects::read(io::stdin(), example)? {
                let wrong = |e: TargetError| Failure::usage(format!("line {number} of stdin: {e}"), example);
                targets.push(from_line(&object, timeout).map_err(wrong)?);
            }
        } else {
            targets.push(from_word(word, timeout).map_err(|e| Failure::usage(e.to_string(), HINT))?);
        }
    }
    if targets.len() > MOST_TARGETS {
        let message = format!("{} hosts are too many for one run", targets.len());
        return Err(Failure::usage(message, format!("at most {MOST_TARGETS}")).into());
    }
    if let Some(name) = &args.probing.interface
        && if_nametoindex(name.as_str()).is_err()
    {
        return Err(NetError::NoInterface(name.clone()).into());
    }
    for Target { host, .. } in &targets {
        match host {
            Host::Literal { zone: Some(zone), .. } if zone_index(zone).is_none() => {
                return Err(NetError::NoInterface(zone.clone()).into());
            }
            Host::Literal { ip: IpAddr::V6(ip), zone: None }
                if ip.is_unicast_link_local() && args.probing.interface.is_none() =>
            {
                let message = format!("'{ip}' is link-local: on which link?");
                return Err(Failure::usage(message, format!("write {ip}%IF, or use --interface IF")).into());
            }
            _ => {}
        }
    }
    Ok(targets)
}

/// Everything that the loop holds.
struct Prober {
    args: ProbePing,
    targets: Vec<Target>,
    /// The shortest of their time-outs.
    quickest: Duration,
    pinger: Pinger,
    identity: (u16, u64),
    /// IPv4, IPv6; opened when the first echo of the family is due.
    sockets: [Option<IcmpSocket>; 2],
    /// The number of the interface that the sockets are bound to.
    bound: Option<u32>,
    lookups: Option<Lookups>,
    finder: Finder,
}

impl Prober {
    fn go(&mut self, watch: &mut Watch, output: &mut Output, signals: Option<&Signals>) -> Result<Answer, Error> {
        let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
        let mut asked: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if signals.and_then(Signals::arrived).is_some() {
                return Ok(watch.interrupted()?);
            }
            // What has arrived counts, however late we are; a silence does not.
            let all = self.take_in()?;
            let late = asked.map_or(Duration::ZERO, |deadline| now.since(deadline));
            if late >= self.quickest / 2 {
                self.pinger.stalled(late, now);
            }
            if all && self.pinger.any_over(now) {
                if self.sockets.iter_mut().flatten().any(IcmpSocket::lost_packets) {
                    self.pinger.lost_packets();
                }
                self.pinger.expire(now);
            }
            self.tell(watch, output)?;
            if let Some(answer) = watch.answer(now) {
                return Ok(answer);
            }
            self.start(watch, now);
            let pause = self.send(now)?;
            self.tell(watch, output)?;
            output.flush_backlog()?;

            // A one-shot may have its answer from what could not be sent.
            let soon = watch.answer(now).map(|_| now);
            let next = self.pinger.next().map(|at| pause.map_or(at, |pause| at.max(pause)));
            asked = [soon, next, watch.next()].into_iter().flatten().min();
            self.wait(&waiter, asked, signals)?;
        }
    }

    /// Takes in replies, errors and look-ups; false when there may be more.
    fn take_in(&mut self) -> Result<bool, Error> {
        let mut all = true;
        let pinger = &mut self.pinger;
        for socket in self.sockets.iter_mut().flatten() {
            all &= socket.receive(GULP, |heard| match heard {
                Heard::Reply { from, seq, token } => pinger.reply(from, seq, token, Instant::now()),
                Heard::Error { to, seq, stamp, problem, from } => {
                    pinger.error(to, seq, stamp, Trouble::of_problem(problem, from), Instant::now());
                }
            })?;
        }
        for (target, found) in self.lookups.iter_mut().flat_map(Lookups::finished) {
            let now = Instant::now();
            match found {
                Ok(to) => match not_probeable(to.ip()) {
                    Some(why) => {
                        let why = format!("{} is {why}", to.ip());
                        pinger.found(target, to, now);
                        pinger.hopeless(target, Trouble::NotProbeable(why), now);
                    }
                    None => pinger.found(target, to, now),
                },
                Err(why) => pinger.not_found(target, why, now),
            }
        }
        Ok(all)
    }

    /// Begins the rounds that are due.
    fn start(&mut self, watch: &mut Watch, now: Instant) {
        let begun = watch.start(now);
        if let (Some(name), false) = (&self.args.probing.interface, begun.is_empty()) {
            // An interface that went and came back has another number, and a socket bound to the old one is deaf.
            let index = if_nametoindex(name.as_str()).ok();
            if index != self.bound {
                (self.sockets, self.bound) = ([None, None], index);
            }
        }
        for target in begun {
            let Target { host, timeout, .. } = &self.targets[target];
            self.pinger.begin(target, Timing::new(*timeout), now);
            match (host, &mut self.lookups) {
                (Host::Literal { ip, zone }, _) => match zone.as_deref().map(|z| zone_index(z).ok_or(z)) {
                    Some(Err(zone)) => {
                        self.pinger.hopeless(target, Trouble::NoInterface(format!("there is no {zone} now")), now);
                    }
                    Some(Ok(index)) => self.pinger.found(target, socket_address(*ip, index), now),
                    None => self.pinger.found(target, socket_address(*ip, 0), now),
                },
                (Host::Name(name), Some(lookups)) => lookups.start(target, name),
                (Host::Name(_), None) => self.pinger.not_found(target, "no look-up is possible".into(), now),
            }
        }
    }

    /// Sends what is due, up to a burst; returns when the next burst may go, if it was a whole one.
    fn send(&mut self, now: Instant) -> Result<Option<Instant>, Error> {
        for _ in 0..BURST {
            let Some(echo) = self.pinger.due(now) else { return Ok(None) };
            let sent = self.send_one(echo)?;
            let now = Instant::now();
            match sent {
                Ok(()) => self.pinger.sent(echo, now),
                Err(e) => self.pinger.not_sent(echo, Trouble::of_errno(e), now),
            }
        }
        Ok(Some(now + BREATH))
    }

    fn send_one(&mut self, echo: Send) -> Result<Result<(), Errno>, Error> {
        let family = Family::of(echo.to.ip());
        let socket = &mut self.sockets[usize::from(family == Family::V6)];
        let size = usize::from(self.args.size);
        if socket.is_none() {
            let (id, nonce) = self.identity;
            let crowd = self.targets.len() * ECHOES as usize;
            let wanted = Wanted { interface: self.args.probing.interface.as_deref(), id, nonce, size, crowd };
            match IcmpSocket::open(family, wanted) {
                Ok(opened) => *socket = Some(opened),
                Err(OpenError::Unusable(e)) => return Ok(Err(e)),
                Err(OpenError::Fatal(e)) => return Err(e.into()),
            }
        }
        Ok(socket.as_ref().map_or(Err(Errno::ENODEV), |socket| socket.send(echo.to, echo.token, size)))
    }

    /// Prints what has ended, and what changes by it.
    fn tell(&mut self, watch: &mut Watch, output: &mut Output) -> Result<(), Error> {
        for finished in self.pinger.finished() {
            let egress = if finished.ending.needs_egress() { self.egress(&finished) } else { Egress::Clear };
            let Finished { target, ending, address, sent, total } = finished;
            let Target { name, timeout, .. } = &self.targets[target];
            let judgement = ending.judge(&egress, *timeout);
            let rtt = if let Ending::Answered(rtt) = ending { Some(rtt) } else { None };
            let is = match judgement.verdict {
                Verdict::Up => "is up",
                Verdict::Down => "is down",
                Verdict::CannotTell => "cannot be told",
            };
            let event = Event::new("probe", format!("{name} {is}: {}", judgement.cause)).with("target", name.as_str());
            let event = judgement
                .describe(event)
                .shown("address", address.map(|a| a.ip()))
                .with("sent", sent)
                .with("received", u32::from(rtt.is_some()))
                .ms("rtt_ms", rtt)
                .ms("total_ms", total);
            output.emit(event)?;
            let change = watch.record(target, judgement.verdict, Instant::now());
            // Of a one-shot the exit status says it.
            if let Some(change) = change.filter(|_| self.args.probing.cadence.plan().every.is_some()) {
                output.emit(change.event(name, &judgement.cause))?;
            }
        }
        Ok(())
    }

    /// Whether our own side of the way to a silent target is in order.
    fn egress(&mut self, finished: &Finished) -> Egress {
        let zone = if let Some(SocketAddr::V6(v6)) = finished.address { v6.scope_id() } else { 0 };
        let to = finished.address.map(|address| address.ip());
        self.finder.way(self.args.probing.interface.as_deref(), zone, to.as_slice())
    }

    fn wait(&mut self, waiter: &Waiter, until: Option<Instant>, signals: Option<&Signals>) -> Result<(), Error> {
        let stdout = std::io::stdout();
        let mut fds: Vec<(BorrowedFd, PollFlags)> = vec![(stdout.as_fd(), PollFlags::empty())];
        fds.extend(self.lookups.iter().map(|l| (l.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.sockets.iter().flatten().map(|s| (s.as_fd(), PollFlags::POLLIN)));
        fds.extend(signals.map(|s| (s.as_fd(), PollFlags::POLLIN)));
        let ready = waiter.wait(&fds, until).map_err(|e| Failure::io("cannot wait", &e))?;
        if stdout_gone(ready[0]) {
            return Err(OutputError::Closed.into());
        }
        if let Some(lookups) = self.lookups.as_mut().filter(|_| ready[1].contains(PollFlags::POLLIN)) {
            lookups.woken();
        }
        Ok(())
    }
}
