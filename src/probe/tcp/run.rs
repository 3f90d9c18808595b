//! The edge of probe-tcp: sockets, look-ups, TLS and the clock around the dialogues.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, getsockopt, recv, send, setsockopt, socket,
    sockopt,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::dialogue::{Dialogue, MOST_HEARD, Turn, shown};
use super::service::{Transport, dialogue, uses_all};
use super::target::{Check, Target, from_line};
use super::{Ending, Outcome, event, judge, tls};
use crate::args::probe_tcp::ProbeTcp;
use crate::cli::exit::Answer;
use crate::cli::output::{Output, OutputError};
use crate::cli::wait::{Signals, Waiter, stdout_gone};
use crate::cli::{Error, Failure, objects};
use crate::clock::Instant;
use crate::config::trust::password;
use crate::probe::Judgement;
use crate::probe::egress::{self, Finder};
use crate::probe::lookup::{Host, Lookups, not_probeable, socket_address, zone_index};
use crate::probe::stream;
use crate::probe::trust::bundle;
use crate::probe::watch::Watch;

/// Probes begun between two looks at the sockets.
const BURST: usize = 256;
/// Probes under way at a time, at most.
const MOST: usize = 20_000;
/// Descriptors for everything but probes.
const SPARE: u64 = 64;
/// Sockets looked after in one turn.
const GULP: usize = 1024;
/// Bytes read at once, the longest datagram.
const PIECE: usize = 65_536;
/// How many times a datagram is sent.
const SENDS: u32 = 3;

/// Probes until there is an answer.
pub fn run(args: ProbeTcp, output: &mut Output) -> Result<Answer, Error> {
    let plan = args.probing.cadence.plan();
    let targets = targets(&args)?;
    let signals = stream::signals(&plan, output)?;
    let mut watch = Watch::new(plan, targets.len(), Instant::now());
    let mut prober = Prober::new(&args, targets).map_err(|e| Failure::io("cannot watch sockets", &e))?;
    let answer = prober.go(&mut watch, output, signals.as_ref())?;
    stream::note_failed(&watch, prober.targets.iter().map(|t| t.name.as_str()), output);
    Ok(answer)
}

/// Understands the operands and what stands on stdin.
fn targets(args: &ProbeTcp) -> Result<Vec<Target>, Failure> {
    let defaults = defaults(args)?;
    let wrong = |e: super::target::TargetError| Failure::usage(e.to_string(), e.hint());
    let mut targets = Vec::new();
    for word in &args.targets {
        if word == "-" {
            let example = "as in: echo '{\"address\":\"192.0.2.1:25\"}' | probe-tcp -";
            for (number, object) in objects::read(io::stdin(), example)? {
                let target = from_line(&object, &defaults);
                targets.push(target.map_err(|e| Failure::usage(format!("line {number} of stdin: {e}"), e.hint()))?);
            }
        } else {
            let check = defaults.clone().possible().map_err(wrong)?;
            uses_all(check.service, &check.parameters).map_err(|e| wrong(e.into()))?;
            targets.push(check.target(word).map_err(wrong)?);
        }
    }
    Ok(targets)
}

/// What the flags say of every target.
fn defaults(args: &ProbeTcp) -> Result<Check, Failure> {
    let secret = |path: &Option<PathBuf>| path.as_deref().map(password).transpose();
    let transport = if args.udp { Transport::Udp } else { args.service.transport() };
    let parameters = super::service::Parameters {
        steps: args.steps.0.clone(),
        request: args.request.clone(),
        receive: args.receive.clone(),
        user: args.user.clone(),
        password: secret(&args.password_file)?,
        database: args.database.clone(),
        secret: secret(&args.secret_file)?,
    };
    Ok(Check {
        service: args.service,
        transport,
        tls: args.tls || args.service.secure(),
        server_name: args.server_name.clone(),
        port: args.port,
        parameters,
        timeout: args.probing.timeout,
    })
}

/// A socket as something to read and write.
struct Wire(OwnedFd);

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0.as_raw_fd(), bytes, MsgFlags::empty())?)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)?)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One probe under way.
struct Probe {
    target: usize,
    started: Instant,
    /// When it is looked at next even if nothing happens: its end, or when a datagram is sent again.
    alarm: Instant,
    wire: Option<Wire>,
    /// What epoll reports of it.
    interest: EpollFlags,
    session: Option<Box<ClientConnection>>,
    talk: Box<dyn Dialogue>,
    heard: Vec<u8>,
    unsent: Vec<u8>,
    /// The last datagram, to be sent again, and how often it was sent.
    datagram: (Vec<u8>, u32),
    outcome: Outcome,
}

impl Probe {
    fn since(&self, now: Instant) -> Duration {
        now.since(self.started)
    }
}

/// Everything that the loop holds.
struct Prober<'a> {
    args: &'a ProbeTcp,
    targets: Vec<Target>,
    probes: HashMap<usize, Probe>,
    alarms: BTreeSet<(Instant, usize)>,
    epoll: Epoll,
    lookups: Option<Lookups>,
    finder: Finder,
    /// The settings of TLS, or why there are none; made with the first probe that needs them.
    settings: Option<Result<Arc<ClientConfig>, Judgement>>,
    ended: Vec<Probe>,
    room: usize,
    piece: Vec<u8>,
    nonces: Nonces,
}

/// Bytes that nobody guesses: a seed of the kernel's, and a count.
struct Nonces {
    seed: [u8; 16],
    count: u64,
}

impl Nonces {
    fn new() -> io::Result<Self> {
        let mut seed = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
        Ok(Self { seed, count: 0 })
    }

    fn next(&mut self) -> [u8; 16] {
        use sha2::{Digest, Sha256};
        self.count += 1;
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.count.to_be_bytes()).finalize();
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&digest[..16]);
        nonce
    }
}

impl<'a> Prober<'a> {
    fn new(args: &'a ProbeTcp, targets: Vec<Target>) -> io::Result<Self> {
        let named = targets.iter().any(|t| matches!(t.host, Host::Name(_)));
        Ok(Self {
            args,
            room: room(targets.len()),
            targets,
            probes: HashMap::new(),
            alarms: BTreeSet::new(),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            lookups: if named { Some(Lookups::new()?) } else { None },
            finder: Finder::default(),
            settings: None,
            ended: Vec::new(),
            piece: vec![0; PIECE],
            nonces: Nonces::new()?,
        })
    }

    fn go(&mut self, watch: &mut Watch, output: &mut Output, signals: Option<&Signals>) -> Result<Answer, Error> {
        let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
        let mut asked: Option<Instant> = None;
        loop {
            if signals.and_then(Signals::arrived).is_some() {
                return Ok(watch.interrupted()?);
            }
            let now = Instant::now();
            let late = asked.map_or(Duration::ZERO, |deadline| now.since(deadline));
            if late > Duration::ZERO {
                self.probes.values_mut().for_each(|p| p.outcome.late = p.outcome.late.max(late));
            }
            // What has arrived counts, however late we are; a silence does not.
            self.look_at_sockets()?;
            self.take_lookups();
            self.ring(Instant::now());
            self.tell(watch, output)?;
            if let Some(answer) = watch.answer(Instant::now()) {
                return Ok(answer);
            }
            let now = Instant::now();
            let free = self.room.saturating_sub(self.probes.len()).min(BURST);
            let begun = watch.start_some(now, free);
            let interface = self.args.probing.interface.as_deref().filter(|_| !begun.is_empty());
            let obstacle = self.finder.before(interface);
            for target in begun {
                self.begin(target, obstacle.as_ref(), Instant::now());
            }
            self.tell(watch, output)?;
            output.flush_backlog()?;

            let due = if self.probes.len() < self.room { watch.next() } else { None };
            let soon = watch.answer(Instant::now()).map(|_| now);
            let next = self.alarms.first().map(|(at, _)| *at);
            let until = [soon, next, due].into_iter().flatten().min();
            // What has waited for us since we last looked makes nobody late.
            asked = until.map(|at| at.max(Instant::now()));
            self.wait(&waiter, until, signals)?;
        }
    }

    /// Moves on every probe whose socket has something.
    fn look_at_sockets(&mut self) -> Result<(), Failure> {
        let mut events = [EpollEvent::empty(); GULP];
        let n = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Ok(n) => n,
            Err(Errno::EINTR) => 0,
            Err(e) => return Err(Failure::io("cannot watch sockets", &e.into())),
        };
        let now = Instant::now();
        for event in &events[..n] {
            if let Some(probe) = self.probes.remove(&(event.data() as usize)) {
                self.move_on(probe, now);
            }
        }
        Ok(())
    }

    fn take_lookups(&mut self) {
        let now = Instant::now();
        for (target, found) in self.lookups.iter_mut().flat_map(Lookups::finished).collect::<Vec<_>>() {
            // Of a probe that has ended meanwhile nobody wants it.
            let Some(probe) = self.probes.remove(&target) else { continue };
            match found {
                Ok(to) => self.connect(probe, to, now),
                Err(why) => self.end(probe, Ending::LookupFailed(why), now),
            }
        }
    }

    /// What is due because time has passed.
    fn ring(&mut self, now: Instant) {
        while let Some((at, target)) = self.alarms.first().copied()
            && at <= now
        {
            self.alarms.pop_first();
            let Some(mut probe) = self.probes.remove(&target) else { continue };
            let (timeout, started) = (probe.outcome.timeout, probe.started);
            if now >= started + timeout {
                self.end(probe, Ending::TimedOut, now);
                continue;
            }
            if probe.datagram.1 > 0 && probe.datagram.1 < SENDS {
                probe.datagram.1 += 1;
                probe.unsent = probe.datagram.0.clone();
            }
            probe.alarm = alarm(&probe, now);
            self.alarms.insert((probe.alarm, target));
            self.move_on(probe, now);
        }
    }

    fn begin(&mut self, number: usize, obstacle: Option<&Judgement>, now: Instant) {
        let target = &self.targets[number];
        let Check { service, transport, tls, timeout, parameters, .. } = &target.check;
        let nonce = self.nonces.next();
        let talk = dialogue(*service, *transport, parameters, nonce);
        let outcome = Outcome {
            ending: Ending::TimedOut,
            lookup: None,
            connected: None,
            tls: *tls,
            secured: None,
            first_byte: None,
            total: Duration::ZERO,
            address: None,
            answer: None,
            awaits: "",
            late: Duration::ZERO,
            timeout: *timeout,
        };
        let probe = Probe {
            target: number,
            started: now,
            alarm: now + *timeout,
            wire: None,
            interest: EpollFlags::empty(),
            session: None,
            talk,
            heard: Vec::new(),
            unsent: Vec::new(),
            datagram: (Vec::new(), 0),
            outcome,
        };
        if let Some(judgement) = obstacle {
            return self.end(probe, Ending::Told(judgement.clone()), now);
        }
        match target.host.clone() {
            Host::Literal { ip, zone } => match zone.map_or(Ok(0), |zone| egress::zone(&zone)) {
                Ok(index) => self.connect(probe, socket_address(ip, index), now),
                Err(judgement) => self.end(probe, Ending::Told(judgement), now),
            },
            Host::Name(name) => {
                if let Some(lookups) = &mut self.lookups {
                    lookups.start(number, &name);
                }
                self.keep(probe);
            }
        }
    }

    /// Opens the socket of a probe whose address is known.
    fn connect(&mut self, mut probe: Probe, mut to: SocketAddr, now: Instant) {
        to.set_port(self.targets[probe.target].port);
        probe.outcome.lookup = Some(probe.since(now));
        probe.outcome.address = Some(to.ip());
        if let Some(why) = not_probeable(to.ip()) {
            return self.end(probe, Ending::NotProbeable(format!("{} is {why}", to.ip())), now);
        }
        let transport = self.targets[probe.target].check.transport;
        match dial(to, transport, self.args.probing.interface.as_deref()) {
            Ok((fd, connected)) => {
                probe.wire = Some(Wire(fd));
                if !connected {
                    return self.watch_for(probe, EpollFlags::EPOLLOUT, now);
                }
                self.connected(probe, now);
            }
            Err(errno) => self.end(probe, Ending::Broken(errno), now),
        }
    }

    /// The connection stands: the first word is ours, or the other side's.
    fn connected(&mut self, mut probe: Probe, now: Instant) {
        probe.outcome.connected = Some(probe.since(now));
        if probe.outcome.tls {
            match self.session(probe.target) {
                Ok(session) => probe.session = Some(Box::new(session)),
                Err(judgement) => return self.end(probe, Ending::Told(judgement), now),
            }
        }
        self.move_on(probe, now);
    }

    fn session(&mut self, target: usize) -> Result<ClientConnection, Judgement> {
        let args = self.args;
        let settings = self.settings.get_or_insert_with(|| {
            let bundle = bundle(args.trust.cacert.as_deref());
            tls::settings(if args.trust.insecure { None } else { Some(bundle.as_path() as &Path) })
        });
        let settings = Arc::clone(settings.as_ref().map_err(Clone::clone)?);
        let Target { host, check, .. } = &self.targets[target];
        let name = match (&check.server_name, host) {
            (Some(name), _) | (None, Host::Name(name)) => name.clone(),
            (None, Host::Literal { ip, .. }) => ip.to_string(),
        };
        let bad = |e: String| Judgement::cannot_tell("certificate", format!("{e}: give a good --server-name"));
        let name = ServerName::try_from(name).map_err(|e| bad(e.to_string()))?;
        ClientConnection::new(settings, name).map_err(|e| tls::failed(&e, ""))
    }

    /// Does whatever can be done for a probe now.
    fn move_on(&mut self, mut probe: Probe, now: Instant) {
        if probe.outcome.connected.is_none() {
            let Some(wire) = &probe.wire else { return self.keep(probe) };
            return match getsockopt(&wire.0, sockopt::SocketError).map(Errno::from_raw) {
                Ok(Errno::UnknownErrno) => self.connected(probe, now),
                Ok(errno) | Err(errno) => self.end(probe, Ending::Broken(errno), now),
            };
        }
        loop {
            // First what was heard, then what follows from it.
            let closed = match self.hear(&mut probe, now) {
                Ok(closed) => closed,
                Err(ending) => return self.end(probe, ending, now),
            };
            let secure = probe.session.as_ref().is_none_or(|s| !s.is_handshaking());
            if secure && probe.unsent.is_empty() {
                match probe.talk.next(&mut probe.heard) {
                    Turn::Listen if closed => {
                        let judgement = probe.talk.closed(&probe.heard);
                        return self.end(probe, Ending::Told(judgement), now);
                    }
                    Turn::Listen => {}
                    Turn::Say(bytes) => {
                        if self.targets[probe.target].check.transport == Transport::Udp {
                            probe.datagram = (bytes.clone(), 1);
                            self.alarms.remove(&(probe.alarm, probe.target));
                            probe.alarm = alarm(&probe, now);
                        }
                        probe.unsent = bytes;
                    }
                    Turn::Done(judgement, parting) => {
                        probe.unsent = parting;
                        // It is a courtesy: whether it arrives changes nothing.
                        let _ = say(&mut probe);
                        return self.end(probe, Ending::Told(judgement), now);
                    }
                }
            } else if closed {
                let judgement = Judgement::down("closed", "the service closed the connection in the middle");
                return self.end(probe, Ending::Told(judgement), now);
            }
            let before = probe.unsent.len();
            if let Err(e) = say(&mut probe) {
                return self.end(probe, broken(&e), now);
            }
            // Whoever has said something listens; whoever still has something to say waits for room.
            if before == 0 || !probe.unsent.is_empty() {
                let write = !probe.unsent.is_empty() || probe.session.as_ref().is_some_and(|s| s.wants_write());
                let interest = if write { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
                return self.watch_for(probe, interest, now);
            }
        }
    }

    /// Takes in what has come; whether the other side has closed.
    fn hear(&mut self, probe: &mut Probe, now: Instant) -> Result<bool, Ending> {
        let at = probe.outcome.address.map_or_else(String::new, |ip: IpAddr| format!(" at {ip}"));
        let datagrams = self.targets[probe.target].check.transport == Transport::Udp;
        let Some(wire) = &mut probe.wire else { return Ok(false) };
        let mut closed = false;
        let before = probe.heard.len();
        // A service that talks without end must not keep us from the others.
        while probe.heard.len() < MOST_HEARD && !closed {
            let read = match &mut probe.session {
                None => match wire.read(&mut self.piece) {
                    Ok(0) if !datagrams => Ok(0),
                    Ok(n) => {
                        probe.heard.extend_from_slice(&self.piece[..n]);
                        if datagrams {
                            break; // one at a time: each is an answer of its own
                        }
                        Ok(n)
                    }
                    Err(e) => Err(e),
                },
                Some(session) => match session.read_tls(wire) {
                    Ok(n) => {
                        let handshaking = session.is_handshaking();
                        let state = session.process_new_packets();
                        if handshaking && !session.is_handshaking() {
                            probe.outcome.secured = Some(now.since(probe.started));
                        }
                        let plain = state.map_err(|e| {
                            // The alert that tells the server why.
                            let _ = session.write_tls(wire);
                            Ending::Told(tls::failed(&e, &at))
                        })?;
                        let take = plain.plaintext_bytes_to_read().min(self.piece.len());
                        let got = session.reader().read(&mut self.piece[..take]).unwrap_or(0);
                        probe.heard.extend_from_slice(&self.piece[..got]);
                        closed |= plain.peer_has_closed();
                        Ok(n)
                    }
                    Err(e) => Err(e),
                },
            };
            match read {
                Ok(0) => closed = true,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    // What it said before it broke the connection may be all that is needed.
                    if probe.heard.len() > before {
                        closed = true;
                    } else {
                        return Err(broken(&e));
                    }
                }
            }
        }
        if probe.outcome.first_byte.is_none() && probe.heard.len() > before {
            probe.outcome.first_byte = Some(now.since(probe.started));
            probe.outcome.answer = Some(shown(&probe.heard));
        }
        Ok(closed)
    }

    /// Waits for what a socket may have.
    fn watch_for(&mut self, mut probe: Probe, interest: EpollFlags, now: Instant) {
        let Some(wire) = &probe.wire else { return self.keep(probe) };
        let mut event = EpollEvent::new(interest, probe.target as u64);
        let done = if probe.interest.is_empty() {
            self.epoll.add(&wire.0, event)
        } else if probe.interest != interest {
            self.epoll.modify(&wire.0, &mut event)
        } else {
            Ok(())
        };
        match done {
            Ok(()) => {
                probe.interest = interest;
                self.keep(probe);
            }
            Err(errno) => self.end(probe, Ending::Broken(errno), now),
        }
    }

    fn keep(&mut self, probe: Probe) {
        self.alarms.insert((probe.alarm, probe.target));
        self.probes.insert(probe.target, probe);
    }

    fn end(&mut self, mut probe: Probe, ending: Ending, now: Instant) {
        self.alarms.remove(&(probe.alarm, probe.target));
        probe.outcome.awaits = probe.talk.awaits();
        probe.outcome.ending = ending;
        probe.outcome.total = probe.since(now);
        probe.wire = None; // closed, and so out of the epoll
        self.ended.push(probe);
    }

    /// Prints what has ended, and what changes by it.
    fn tell(&mut self, watch: &mut Watch, output: &mut Output) -> Result<(), Error> {
        for probe in std::mem::take(&mut self.ended) {
            let Target { name, host, .. } = &self.targets[probe.target];
            let zone = if let Host::Literal { zone: Some(zone), .. } = host { zone_index(zone) } else { None };
            let (interface, to) = (self.args.probing.interface.as_deref(), probe.outcome.address);
            let judgement = judge(&probe.outcome);
            let judgement = self.finder.after(judgement, interface, zone.unwrap_or_default(), to.as_slice());
            output.emit(event(name, &judgement, &probe.outcome))?;
            let change = watch.record(probe.target, judgement.verdict, Instant::now());
            // Of a one-shot the exit status says it.
            if let Some(change) = change.filter(|_| self.args.probing.cadence.plan().every.is_some()) {
                output.emit(change.event(name, &judgement.cause))?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, waiter: &Waiter, until: Option<Instant>, signals: Option<&Signals>) -> Result<(), Error> {
        let stdout = io::stdout();
        let mut fds: Vec<(BorrowedFd, PollFlags)> =
            vec![(stdout.as_fd(), PollFlags::empty()), (self.epoll.0.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.lookups.iter().map(|l| (l.as_fd(), PollFlags::POLLIN)));
        fds.extend(signals.map(|s| (s.as_fd(), PollFlags::POLLIN)));
        let ready = waiter.wait(&fds, until).map_err(|e| Failure::io("cannot wait", &e))?;
        if stdout_gone(ready[0]) {
            return Err(OutputError::Closed.into());
        }
        if let Some(lookups) = self.lookups.as_mut().filter(|_| ready[2].contains(PollFlags::POLLIN)) {
            lookups.woken();
        }
        Ok(())
    }
}

/// When a probe is looked at next though nothing happens.
fn alarm(probe: &Probe, now: Instant) -> Instant {
    let (timeout, end) = (probe.outcome.timeout, probe.started + probe.outcome.timeout);
    match probe.datagram.1 {
        1..SENDS => (now + timeout / 4).min(end),
        _ => end,
    }
}

/// A socket on its way to an address, and whether it is there already.
fn dial(to: SocketAddr, transport: Transport, interface: Option<&str>) -> Result<(OwnedFd, bool), Errno> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let kind = match transport {
        Transport::Tcp => SockType::Stream,
        Transport::Udp => SockType::Datagram,
    };
    let fd = socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    if let Some(name) = interface {
        setsockopt(&fd, sockopt::BindToDevice, &name.into())?;
    }
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) => Ok((fd, true)),
        Err(Errno::EINPROGRESS) => Ok((fd, false)),
        Err(errno) => Err(errno),
    }
}

/// Says what there is to say, as far as there is room.
fn say(probe: &mut Probe) -> io::Result<()> {
    let Some(wire) = &mut probe.wire else { return Ok(()) };
    let result = match &mut probe.session {
        None if probe.unsent.is_empty() => Ok(()), // an empty datagram is one, too
        None => wire.write(&probe.unsent).map(|n| drop(probe.unsent.drain(..n))),
        Some(session) => {
            if !session.is_handshaking() {
                let n = session.writer().write(&probe.unsent)?;
                probe.unsent.drain(..n);
            }
            let mut all = Ok(());
            while session.wants_write() && all.is_ok() {
                all = session.write_tls(wire).map(drop);
            }
            all
        }
    };
    match result {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
        other => other,
    }
}

fn broken(error: &io::Error) -> Ending {
    Ending::Broken(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// How many probes may be under way: each has a descriptor.
fn room(targets: usize) -> usize {
    let wanted = targets.min(MOST);
    let needed = wanted as u64 + SPARE;
    let Ok((mut soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1 };
    if soft < needed {
        let more = needed.min(hard);
        if setrlimit(Resource::RLIMIT_NOFILE, more, hard).is_ok() {
            soft = more;
        }
    }
    wanted.min(soft.saturating_sub(SPARE) as usize).max(1)
}
