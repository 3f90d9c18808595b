//! The edge of hb-listen: media and clock around the [`Membership`].

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::PollFlags;

use super::keeper::Keeper;
use crate::args::hb_listen::HbListen;
use crate::cli::event::Event;
use crate::cli::exit::{Answer, Fault};
use crate::cli::output::{Format, Output, OutputError};
use crate::cli::wait::{Signals, Waiter, stdout_gone};
use crate::cli::{self, Error, Failure};
use crate::clock::{Instant, Rhythm};
use crate::config::ha_cf::{Autojoin, HaCf};
use crate::heartbeat::media::inlet::ALL_BATCHES;
use crate::heartbeat::media::{Change, In, Inlet, Packet, Source};
use crate::heartbeat::membership::finding::Finding;
use crate::heartbeat::membership::judge::{Limits, NodeState};
use crate::heartbeat::membership::rejections::Rejections;
use crate::heartbeat::membership::{Membership, Settings};
use crate::heartbeat::settings;
use crate::heartbeat::state::StateDir;
use crate::heartbeat::wire::authentication::{Keyring, Method};
use crate::heartbeat::wire::{self, Opened};

/// Heartbeat's deadtime.
const DEADTIME: Duration = Duration::from_secs(30);
/// Where messages go on coming faster than this one by one, they are taken a few at a time: waking up costs more than a
/// message.
const BREATH: Duration = Duration::from_millis(5);
/// So many wake-ups in a row, each close to the one before, are such a stream. Fewer are nodes that answer each other, as
/// when a group changes hands, and nobody is to wait for that.
const STREAM: u32 = 16;
/// So many at once are a flood, which is taken as fast as it comes.
const FLOOD: u64 = 24;
/// Interfaces that an unbound medium is looked for; nobody has more.
const MOST_INTERFACES: usize = 64;
/// What is found while unread messages are taken is told so many at a time.
const TOLD_TOGETHER: usize = 1000;
/// Readings of all that lies unread, each held up, after which the listener is too slow to judge.
const READINGS: u32 = 3;
/// With --human how regularly nodes beat is what somebody came to see.
const PULSE: Duration = Duration::from_secs(5);

/// Listens until it is done.
///
/// # Errors
/// Configuration, state or stdout; never a medium.
pub fn run(args: HbListen, output: &mut Output) -> Result<Answer, Error> {
    let ha_cf = settings::ha_cf("hb-listen", &args.cluster)?;
    let keys = settings::keyring("hb-listen", &args.cluster)?;
    let me = settings::node(args.cluster.node.as_deref())?;
    let specs = media(&args, ha_cf.as_ref())?;
    let peers = peers(&args, ha_cf.as_ref(), &me)?;
    let limits = limits(&args, ha_cf.as_ref());
    let state = args.cluster.state_dir.as_deref().map(|dir| StateDir::claim(dir, "peers", &me)).transpose()?;
    let stored = state.as_ref().map(StateDir::marks).transpose()?.unwrap_or_default();
    let signals = Signals::take().map_err(|e| Failure::io("cannot take the signals", &e))?;
    output.make_lasting_stream();
    let now = Instant::now();
    let keeper = state.map(|state| Keeper::new(state, stored.clone(), now)).transpose()?;
    let names: Vec<String> = specs.iter().map(ToString::to_string).collect();
    let words = format!("{me} listens on {}", names.join(", "));
    let event = Event::new("listening", words).with("node", me.as_str()).with("on", names.clone());
    output.emit(event.with("peers", peers.clone()).ms("deadtime_ms", limits.deadtime))?;
    let membership = Settings {
        me: me.clone(),
        peers,
        open: args.peers.is_empty() && ha_cf.as_ref().is_some_and(|c| c.autojoin != Autojoin::None),
        media: specs.len(),
        limits,
        standby: args.standby,
        beats: args.beats,
        seed: now.since_boot().as_nanos() as u64 ^ u64::from(std::process::id()),
        stored,
    };
    let human = output.format() == &Format::Human;
    let every = |period: Option<Duration>| period.map(|period| Rhythm::from(now + period, period));
    let mut listener = Listener {
        inlets: specs.into_iter().map(|spec| Inlet::new(spec).with(args.shared, &args.direct)).collect(),
        ears: Ears {
            keys,
            membership: Membership::new(membership, now),
            rejections: Rejections::default(),
            findings: Vec::new(),
            refused: Vec::new(),
            heard: 0,
            via: vec![BTreeSet::new(); names.len()],
        },
        me,
        names,
        lost: 0,
        counted: None,
        looked: now,
        trickle: None,
        close: 0,
        last: now,
        signalled: false,
        keeper,
        pulse: every(args.pulse.or(human.then_some(PULSE))),
        tick: every(args.tick),
        output,
    };
    listener.go(&args, now, &signals)
}

fn media(args: &HbListen, ha_cf: Option<&HaCf>) -> Result<Vec<In>, Error> {
    let given = [&args.udp, &args.mcast, &args.serial].into_iter().flatten();
    let media = settings::media(given.cloned(), ha_cf);
    match media.len() {
        0 => {
            let hint = "name one with --udp, --mcast or --serial, or give --ha-d DIR whose ha.cf has one";
            Err(Failure::usage("no medium to listen on", hint).into())
        }
        1..=64 => Ok(media),
        n => Err(Failure::usage(format!("{n} media are too many for one listener"), "at most 64").into()),
    }
}

fn peers(args: &HbListen, ha_cf: Option<&HaCf>, me: &str) -> Result<Vec<String>, Error> {
    let mut peers = args.peers.clone();
    if peers.is_empty()
        && let Some(ha_cf) = ha_cf
    {
        if !ha_cf.nodes.iter().any(|node| node == me) {
            let message = format!("{me} is no node of ha.cf, which has {}", ha_cf.nodes.join(", "));
            let hint = Some("name this node with --node, or add it to ha.cf".to_owned());
            return Err(Failure { fault: Fault::Configuration, code: "configuration", message, hint }.into());
        }
        peers.clone_from(&ha_cf.nodes);
    }
    peers.retain(|peer| peer != me);
    let expected = args.until.as_ref().is_some_and(|u| !peers.is_empty() && !peers.contains(&u.node));
    if expected {
        let message = "the node of --until is not one of the peers".to_owned();
        return Err(Failure::usage(message, "it could never come true: add it to --peers").into());
    }
    Ok(peers)
}

fn limits(args: &HbListen, ha_cf: Option<&HaCf>) -> Limits {
    let deadtime = args.deadtime.or(ha_cf.map(|c| c.deadtime)).unwrap_or(DEADTIME);
    let given = |name: &str| ha_cf.filter(|c| c.lines.contains_key(name));
    Limits {
        deadtime,
        warntime: args.warntime.or(given("warntime").map(|c| c.warntime)),
        initdead: args.initdead.or(given("initdead").map(|c| c.initdead)).unwrap_or(deadtime * 2),
    }
}

/// Why something was refused, on which medium, from where.
type Cause = (&'static str, usize, Option<Source>);

/// What is heard, understood and counted.
struct Ears {
    keys: Keyring,
    membership: Membership,
    rejections: Rejections<Cause>,
    findings: Vec<Finding>,
    refused: Vec<(Cause, u64, Option<String>, String)>,
    /// Packets so far.
    heard: u64,
    /// By which interfaces each medium brought messages that count, where it is bound to none.
    via: Vec<BTreeSet<u32>>,
}

impl Ears {
    fn hear(&mut self, packet: &Packet, medium: usize, now: Instant) {
        self.heard += 1;
        if packet.noise > 0 {
            return self.refuse("noise", medium, packet.from, None, now, || {
                format!("{} bytes on the line belong to no message: is the speed the same at both ends?", packet.noise)
            });
        }
        if packet.truncated {
            return self.refuse("too-large", medium, packet.from, None, now, || "longer than a datagram".to_owned());
        }
        let Opened { message, method, .. } = match wire::open(packet.bytes, &self.keys) {
            Ok(opened) => opened,
            Err(rejection) => {
                return self.refuse(rejection.reason(), medium, packet.from, None, now, || rejection.to_string());
            }
        };
        if packet.via != 0 && self.via[medium].len() < MOST_INTERFACES {
            self.via[medium].insert(packet.via);
        }
        for finding in self.membership.hear_by(method != Method::Crc, &message, medium, now) {
            match finding {
                Finding::Refused { node, refusal } => {
                    self.refuse(refusal.reason(), medium, packet.from, node, now, || refusal.to_string());
                }
                finding => self.findings.push(finding),
            }
        }
    }

    fn refuse(
        &mut self,
        reason: &'static str,
        medium: usize,
        from: Source,
        node: Option<String>,
        now: Instant,
        cause: impl FnOnce() -> String,
    ) {
        let told = self.rejections.count((reason, medium, Some(from)), (reason, medium, None), now);
        self.refused.extend(told.map(|(key, count)| (key, count, node, cause())));
    }
}

struct Listener<'a> {
    inlets: Vec<Inlet>,
    me: String,
    names: Vec<String>,
    ears: Ears,
    /// Frames that the kernel lost unread, so far, and when they were counted.
    lost: u64,
    counted: Option<Instant>,
    looked: Instant,
    /// When something was last heard, if it was little and one of a stream.
    trickle: Option<Instant>,
    /// Wake-ups in a row, each soon after the one before.
    close: u32,
    last: Instant,
    /// A signal waits to be read.
    signalled: bool,
    keeper: Option<Keeper>,
    pulse: Option<Rhythm>,
    tick: Option<Rhythm>,
    output: &'a mut Output,
}

impl Listener<'_> {
    fn go(&mut self, args: &HbListen, began: Instant, signals: &Signals) -> Result<Answer, Error> {
        let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
        let end = args.span.map(|span| began + span);
        loop {
            let now = Instant::now();
            if std::mem::take(&mut self.signalled) && signals.arrived().is_some() {
                self.finish(now)?;
                return match &args.until {
                    None => Ok(Answer::Yes),
                    Some(u) => Err(Failure::interrupted(&format!("{} was {}", u.node, u.state)).into()),
                };
            }
            self.tend(now)?;
            self.judge()?;
            let now = Instant::now();
            for (key, count) in self.ears.rejections.due(now) {
                self.ears.refused.push((key, count, None, "the same again".to_owned()));
            }
            self.tell()?;
            self.routine(now)?;
            if let Some(until) = &args.until
                && self.ears.membership.state(&until.node) == until.state
            {
                self.finish(now)?;
                return Ok(Answer::Yes);
            }
            if end.is_some_and(|end| end <= now) {
                self.finish(now)?;
                return match &args.until {
                    None => Ok(Answer::Yes),
                    Some(u) if self.ears.membership.certain(&u.node, now) => Ok(Answer::No),
                    Some(u) => {
                        let state = self.ears.membership.state(&u.node);
                        let (code, why, hint) = match self.inlets.iter().any(Inlet::hears) {
                            _ if state != NodeState::Unknown => (
                                "stalled",
                                "was not listened to long enough since the last pause",
                                "see stalled; give it longer",
                            ),
                            true => ("never-heard", "was not heard", "with --peers it counts as dead after --initdead"),
                            false => ("deaf", "could not be heard", "no medium works here: see the medium events"),
                        };
                        let message = format!("{} {why}: whether it is {} cannot be told", u.node, u.state);
                        Err(Failure { fault: Fault::Undetermined, code, message, hint: Some(hint.to_owned()) }.into())
                    }
                };
            }
            self.output.flush_backlog()?;
            self.wait(&waiter, signals, end)?;
        }
    }

    /// Waits for whatever comes first, and takes in one batch of each medium that has something.
    fn wait(&mut self, waiter: &Waiter, signals: &Signals, end: Option<Instant>) -> Result<(), Error> {
        let stdout = io::stdout();
        let mut fds: Vec<(BorrowedFd, PollFlags)> =
            vec![(signals.as_fd(), PollFlags::POLLIN), (stdout.as_fd(), self.output.wanted())];
        let open: Vec<usize> = (0..self.inlets.len()).filter(|n| self.inlets[*n].fd().is_some()).collect();
        fds.extend(self.inlets.iter().filter_map(Inlet::fd).map(|fd| (fd, PollFlags::POLLIN)));
        // Whoever looks less often than twice in a deadtime cannot tell its own pauses from theirs.
        let look = self.looked + self.ears.membership.shortest_deadtime() / 4;
        let timers = [self.pulse.as_ref(), self.tick.as_ref()].into_iter().flatten().map(Rhythm::due);
        let deadline = timers
            .chain(self.inlets.iter().filter_map(Inlet::deadline))
            .chain([self.ears.membership.deadline(), self.ears.rejections.deadline(), end].into_iter().flatten())
            .chain([look])
            .min();
        if let Some(then) = self.trickle.take() {
            let until = deadline.map_or(then + BREATH, |deadline| deadline.min(then + BREATH));
            std::thread::sleep(until.since(Instant::now()));
        }
        let ready = waiter.wait(&fds, deadline).map_err(|e| Failure::io("cannot wait", &e))?;
        if stdout_gone(ready[1]) {
            return Err(OutputError::Closed.into());
        }
        self.signalled = !ready[0].is_empty();
        let now = Instant::now();
        let before = self.ears.heard;
        let readable = ready[2..].iter().zip(open).filter(|(flags, _)| !flags.is_empty());
        for (flags, n) in readable.map(|(flags, n)| (*flags, n)).collect::<Vec<_>>() {
            let ears = &mut self.ears;
            let change = self.inlets[n].receive(flags, now, &mut |packet| ears.hear(&packet, n, now));
            self.note(n, change, now)?;
        }
        let heard = self.ears.heard - before;
        if heard > 0 {
            self.close = if now.since(self.last) < BREATH * 2 { self.close.saturating_add(1) } else { 0 };
            self.trickle = (heard < FLOOD && self.close >= STREAM).then_some(now);
            self.last = now;
        }
        Ok(())
    }

    /// Opens media, and looks after them.
    fn tend(&mut self, now: Instant) -> Result<(), Error> {
        for n in 0..self.inlets.len() {
            if self.inlets[n].deadline().is_some_and(|at| at <= now) {
                let change = self.inlets[n].tick(now);
                self.note(n, change, now)?;
            }
        }
        Ok(())
    }

    /// A medium may have become another: a node that can be heard on none must not be judged.
    fn note(&mut self, n: usize, change: Option<Change>, now: Instant) -> Result<(), Error> {
        self.ears.membership.hearing(n, self.inlets[n].hears(), now);
        if let Some(change) = change {
            self.output.emit(change.event(&self.names[n]))?;
        }
        Ok(())
    }

    /// Takes all that lies unread, unless that takes until `end`, and sees whether there was anything to hear it on.
    /// Returns whether all was taken.
    fn drain(&mut self, end: Instant) -> Result<bool, Error> {
        let mut all = true;
        for n in 0..self.inlets.len() {
            for batch in 0..ALL_BATCHES {
                let now = Instant::now();
                if batch > 0 && now >= end {
                    all = false;
                    break;
                }
                let ears = &mut self.ears;
                let (change, more) = self.inlets[n].drain(now, &mut |packet| ears.hear(&packet, n, now));
                self.note(n, change, now)?;
                if self.ears.findings.len() > TOLD_TOGETHER {
                    self.tell()?;
                }
                if !more {
                    break;
                }
            }
            let now = Instant::now();
            let change = self.inlets[n].look_again(&self.ears.via[n], now);
            self.note(n, change, now)?;
        }
        Ok(all)
    }

    /// Judges the silence, but not before everything that came was read, and not by what may have come unread.
    fn judge(&mut self) -> Result<(), Error> {
        let half = self.ears.membership.shortest_deadtime() / 2;
        let mut now = Instant::now();
        let mut held_up = now.since(self.looked) > half;
        let mut unread = false;
        if held_up || self.ears.membership.about_to_judge(now) {
            // Reading can be held up itself; then there is more to read.
            for _ in 0..READINGS {
                let began = now;
                unread = !self.drain(began + half)?;
                now = Instant::now();
                if now.since(began) <= half {
                    break;
                }
                held_up = true;
            }
        }
        if held_up {
            let gap = now.since(self.looked);
            let cause = format!("this command did not run for {gap:.3?}: silence counts from now on");
            let finding = self.ears.membership.stalled(Some(gap).filter(|_| !unread), &cause, now);
            self.ears.findings.push(finding);
        }
        if self.counted.is_none_or(|then| now.since(then) >= half / 2) || self.ears.membership.about_to_judge(now) {
            self.counted = Some(now);
            let lost: u64 = self.inlets.iter().map(Inlet::lost).sum();
            if lost > self.lost {
                let cause = format!("{} frames were lost unread: too much came at once", lost - self.lost);
                self.lost = lost;
                let finding = self.ears.membership.stalled(None, &cause, now);
                self.ears.findings.push(finding);
            }
        }
        let findings = self.ears.membership.look(now);
        self.ears.findings.extend(findings);
        self.looked = now;
        Ok(())
    }

    /// Prints what was found and refused.
    fn tell(&mut self) -> Result<(), Error> {
        for (key, count, node, cause) in std::mem::take(&mut self.ears.refused) {
            self.tell_refused(key, count, node, &cause)?;
        }
        let mut restarted = false;
        for finding in std::mem::take(&mut self.ears.findings) {
            restarted |= matches!(finding, Finding::Restarted { .. } | Finding::Heartbeat { gap: None, .. });
            if let Some(event) = finding.event(&self.names) {
                self.output.emit(event)?;
            }
        }
        if restarted && let Some(keeper) = &mut self.keeper {
            keeper.keep(self.ears.membership.marks(), self.looked);
        }
        Ok(())
    }

    fn tell_refused(&mut self, key: Cause, count: u64, node: Option<String>, cause: &str) -> Result<(), Error> {
        let (reason, medium, source) = key;
        let name = &self.names[medium];
        let from = source.map(|s| s.to_string());
        let who = from.as_deref().unwrap_or("other sources");
        let event = Event::new("rejected", format!("{count} rejected from {who} on {name}: {reason}: {cause}"))
            .with("reason", reason)
            .with("medium", name.as_str())
            .with("source", from)
            .with("node", node)
            .with("count", count)
            .with("cause", cause);
        self.output.emit(event)?;
        Ok(())
    }

    /// What comes with the time.
    fn routine(&mut self, now: Instant) -> Result<(), Error> {
        if self.pulse.as_mut().is_some_and(|t| t.rings(now)) {
            for finding in self.ears.membership.pulses() {
                if let Some(event) = finding.event(&self.names) {
                    self.output.emit(event)?;
                }
            }
        }
        if self.tick.as_mut().is_some_and(|t| t.rings(now)) {
            self.output.emit(Event::new("tick", "tick").with("node", self.me.as_str()))?;
        }
        if let Some(keeper) = &mut self.keeper {
            if keeper.due(now) {
                keeper.keep(self.ears.membership.marks(), now);
            }
            if let Some(failure) = keeper.complaint(now) {
                self.output.emit(cli::error_event(&failure))?;
            }
        }
        Ok(())
    }

    /// The end: what was counted and not told, and the numbers on disk.
    fn finish(&mut self, now: Instant) -> Result<(), Error> {
        for (key, count) in self.ears.rejections.rest() {
            self.tell_refused(key, count, None, "the same again")?;
        }
        if let Some(mut keeper) = self.keeper.take() {
            keeper.keep(self.ears.membership.marks(), now);
        }
        Ok(())
    }
}
