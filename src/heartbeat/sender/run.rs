//! The edge of hb-send: media, clock and stdin around the [`Speaker`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::PollFlags;

use super::orders::{self, Order};
use super::speaker::{Identity, Present, Said, Speaker};
use crate::args::hb_send::{Form, HbSend};
use crate::cli::event::Event;
use crate::cli::exit::{Answer, Fault};
use crate::cli::lines::Lines;
use crate::cli::output::Output;
use crate::cli::wait::{Signals, Waiter, stdout_gone};
use crate::cli::{self, Error, Failure, realtime};
use crate::clock::{Instant, Rhythm};
use crate::config::ha_cf::{Compression, HaCf, MessageFormat};
use crate::heartbeat::media::{Change, Out, Outlet, Rank};
use crate::heartbeat::membership::window::Span;
use crate::heartbeat::scribe::{PERIOD, Scribe};
use crate::heartbeat::settings;
use crate::heartbeat::state::{Own, StateDir, unix_seconds};
use crate::heartbeat::wire::authentication::Keyring;
use crate::heartbeat::wire::compression::Algorithm;
use crate::heartbeat::wire::message::Message;
use crate::heartbeat::wire::{self, Shape};

/// Heartbeats leave this often unless something else is said; heartbeat's keepalive.
const EVERY: Duration = Duration::from_secs(1);
/// Heartbeat's deadtime: how long listeners wait that were not told otherwise.
const DEADTIME: Duration = Duration::from_secs(30);
/// The longest deadtime that may be announced: hb-listen believes none beyond it.
const LONGEST_DEADTIME: Duration = Duration::from_secs(24 * 60 * 60);
/// What the numbers, the time and the load in a heartbeat may grow by, in bytes.
const GROWTH: usize = 256;
/// Heartbeat's default real-time priority.
const PRIORITY: u8 = 1;
/// What a UDP datagram holds over IPv4 (RFC 791, RFC 768).
const LONGEST_DATAGRAM: usize = 65_507;
/// Orders taken between two looks at the clock.
const ORDERS: usize = 16;
/// How long the last messages may take on a slow line before this command ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// At most one line about dropped messages in this time.
const DROPS: Duration = Duration::from_secs(10);

/// Speaks until it is done.
///
/// # Errors
/// Configuration, state or stdout; never a medium.
pub fn run(args: HbSend, output: &mut Output) -> Result<Answer, Error> {
    let ha_cf = settings::ha_cf("hb-send", &args.cluster)?;
    let keys = settings::keyring("hb-send", &args.cluster)?;
    let node = settings::node(args.cluster.node.as_deref())?;
    orders::check_value("st", &args.status).map_err(|e| Failure::usage(e, "a status is a word, such as active"))?;
    let specs = media(&args, ha_cf.as_ref())?;
    let (every, deadtime) = times(&args, ha_cf.as_ref())?;
    let state = args.cluster.state_dir.as_deref().map(|dir| StateDir::claim(dir, "own", &node)).transpose()?;
    let own = state.as_ref().map(StateDir::start).transpose()?;
    let identity = Identity {
        node,
        uuid: own.map(|own: Own| own.uuid),
        generation: own.map_or_else(unix_seconds, |own| own.generation),
        ttl: ha_cf.as_ref().map_or(3, |c| u32::try_from(c.nodes.len()).unwrap_or(u32::MAX).saturating_add(1)),
    };
    let signals = Signals::take().map_err(|e| Failure::io("cannot take the signals", &e))?;
    output.make_lasting_stream();
    let realtime = args.realtime || ha_cf.as_ref().is_some_and(|c| c.realtime && c.lines.contains_key("realtime"));
    if realtime {
        let priority = ha_cf.as_ref().and_then(|c| c.rtprio).unwrap_or(PRIORITY);
        output.emit(realtime::ask(priority))?;
    }
    let outlets: Vec<Outlet> = specs.into_iter().map(Outlet::new).collect();
    output.emit(sending(&identity, &outlets, every, deadtime))?;
    let seal = sealer(keys, args.form, ha_cf.as_ref(), outlets.iter().any(Outlet::is_serial));
    let dropped = vec![0; outlets.len()];
    let scribe = state.map(scribe).transpose()?;
    let mut sender = Sender {
        speaker: Speaker::new(identity, &args.status, deadtime, seal),
        outlets,
        dropped,
        told: Instant::now(),
        output,
        scribe,
        look: Rhythm::from(Instant::now() + PERIOD, PERIOD),
        beats: args.beats,
    };
    let pace = Pace { every, count: args.count, deadtime: stall(every, deadtime) };
    sender.go(&pace, args.orders.is_some(), &signals)
}

/// From beat to beat, and the deadtime that is announced, if any is.
fn times(args: &HbSend, ha_cf: Option<&HaCf>) -> Result<(Duration, Option<Duration>), Error> {
    let every = args.every.or(ha_cf.map(|c| c.keepalive)).unwrap_or(EVERY);
    let deadtime = args.deadtime.or(ha_cf.map(|c| c.deadtime));
    if let Some(deadtime) = deadtime.filter(|deadtime| *deadtime <= every) {
        let message = format!("a deadtime of {deadtime:?} is not longer than the {every:?} from beat to beat");
        return Err(Failure::usage(message, "let --deadtime be at least three times --every").into());
    }
    if deadtime.is_some_and(|deadtime| deadtime.as_millis() == 0) {
        return Err(Failure::usage("a deadtime under one millisecond cannot be announced", "use 1ms or more").into());
    }
    if deadtime.is_some_and(|deadtime| deadtime > LONGEST_DEADTIME) {
        let message = "a deadtime over 24 h cannot be announced: no listener believes it".to_owned();
        let hint = "use 24h or less; several times --every are enough";
        return Err(match args.deadtime {
            Some(_) => Failure::usage(message, hint),
            None => {
                let (code, hint) = ("configuration", Some("change deadtime in ha.cf, or give --deadtime".to_owned()));
                Failure { fault: Fault::Configuration, code, message, hint }
            }
        }
        .into());
    }
    Ok((every, deadtime))
}

/// How long nothing may be said before the others think us dead. Where none is announced it is theirs, which is not known
/// here; but nobody who means to be heard every so often has listeners that wait for less than a few of that.
fn stall(every: Duration, deadtime: Option<Duration>) -> Duration {
    deadtime.unwrap_or(DEADTIME.max(every.saturating_mul(3)))
}

fn media(args: &HbSend, ha_cf: Option<&HaCf>) -> Result<Vec<Out>, Error> {
    let given = [&args.ucast, &args.bcast, &args.mcast, &args.serial].into_iter().flatten();
    let media = settings::media(given.cloned(), ha_cf);
    if media.is_empty() {
        let hint = "name one with --ucast, --bcast, --mcast or --serial, or give --ha-d DIR whose ha.cf has one";
        return Err(Failure::usage("no medium to send on", hint).into());
    }
    Ok(media)
}

/// How a message becomes bytes: for UDP, then for serial lines where there are any.
fn sealer(
    keys: Keyring,
    form: Option<Form>,
    ha_cf: Option<&HaCf>,
    serial: bool,
) -> impl Fn(&Message) -> Vec<Vec<u8>> + use<> {
    let form = form.unwrap_or(match ha_cf.map(|c| c.msgfmt) {
        Some(MessageFormat::Netstring) => Form::Netstring,
        _ => Form::Auto,
    });
    let shape = match form {
        Form::Auto => Shape::Netstring,
        Form::Classic => Shape::Classic,
        Form::Netstring => Shape::NetstringBare,
    };
    // Only messages as a whole are compressed, and only where ha.cf says so: what is old does not know it.
    let compression = ha_cf.filter(|c| c.traditional_compression).map(|c| {
        let algorithm = match c.compression {
            Compression::Zlib => Algorithm::Zlib,
            Compression::Bz2 => Algorithm::Bz2,
        };
        (algorithm, usize::try_from(c.compression_threshold).unwrap_or(usize::MAX).saturating_mul(1024))
    });
    move |message| {
        let key = keys.sending();
        let mut udp = wire::seal(message, key, shape);
        if let Some((algorithm, _)) = compression.filter(|(_, threshold)| udp.len() > *threshold) {
            udp = wire::compress(message, key, algorithm);
        }
        let mut bytes = vec![udp];
        if serial {
            bytes.push(wire::seal(message, key, Shape::Classic));
        }
        bytes
    }
}

fn scribe(state: StateDir) -> Result<Scribe<u64>, Failure> {
    let name = format!("hb-send: the generation is not in {}", state.path().display());
    Scribe::new(name, move |generation| state.reach(*generation))
}

fn sending(identity: &Identity, outlets: &[Outlet], every: Duration, deadtime: Option<Duration>) -> Event {
    let names: Vec<&str> = outlets.iter().map(Outlet::name).collect();
    let words = format!("{} beats every {every:?} on {}", identity.node, names.join(", "));
    Event::new("sending", words)
        .with("node", identity.node.as_str())
        .with("generation", identity.generation)
        .with("on", names)
        .ms("every_ms", every)
        .ms("deadtime_ms", deadtime)
}

/// How often, how many, and how long nothing may be said before the others think us dead.
struct Pace {
    every: Duration,
    count: Option<u64>,
    deadtime: Duration,
}

struct Sender<'a, S> {
    speaker: Speaker<S>,
    outlets: Vec<Outlet>,
    /// Messages dropped on each, as far as it was told.
    dropped: Vec<u64>,
    told: Instant,
    output: &'a mut Output,
    /// Keeps our generation on disk.
    scribe: Option<Scribe<u64>>,
    /// When to see whether it still is.
    look: Rhythm,
    beats: bool,
}

impl<S: Fn(&Message) -> Vec<Vec<u8>>> Sender<'_, S> {
    fn go(&mut self, pace: &Pace, listen: bool, signals: &Signals) -> Result<Answer, Error> {
        let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
        let mut input = listen.then(Lines::default);
        let mut left = pace.count;
        let mut beats = Rhythm::from(Instant::now(), pace.every);
        let mut last: Option<Instant> = None;
        let mut ending: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if signals.arrived().is_some() {
                return Ok(Answer::Yes);
            }
            if left != Some(0) && beats.rings(now) {
                self.stalled(last.map_or(Duration::ZERO, |then| now.since(then)), pace.deadtime)?;
                // After all that may take long, so that one stall is not the next one; and before the beat leaves, so that
                // a pause on either side of that is found with the next beat.
                last = Some(Instant::now());
                self.beat("beat", now)?;
                left = left.map(|n| n - 1);
            }
            for _ in 0..ORDERS {
                let Some(line) = input.as_mut().and_then(Lines::next_line) else { break };
                self.obey(line, Instant::now())?;
            }
            let waiting = input.as_ref().is_some_and(|input| !input.exhausted());
            self.tend(now)?;
            self.look_at_disk(now)?;
            if left == Some(0) && !(waiting && pace.count == Some(0)) {
                let until = *ending.get_or_insert(now + LAST_WORDS);
                if now >= until || self.outlets.iter().all(|o| o.pending() == 0) {
                    return self.done();
                }
            }
            if input.as_ref().is_some_and(Lines::exhausted) {
                input = None;
                let cause = "stdin has ended; nothing is answered any more";
                self.output.emit(Event::new("orders-ended", cause).with("cause", cause))?;
            }
            self.output.flush_backlog()?;
            let more = input.as_ref().is_some_and(Lines::waiting);
            let next = if left == Some(0) { ending } else { Some(beats.due()) };
            self.wait(&waiter, signals, &mut input, if more { Some(now) } else { next })?;
        }
    }

    /// Waits for whatever comes first, and lets the media and stdin have their turn.
    fn wait(
        &mut self,
        waiter: &Waiter,
        signals: &Signals,
        input: &mut Option<Lines>,
        next: Option<Instant>,
    ) -> Result<(), Error> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let mut fds: Vec<(BorrowedFd, PollFlags)> =
            vec![(signals.as_fd(), PollFlags::POLLIN), (stdout.as_fd(), self.output.wanted())];
        let reads = input.as_ref().is_some_and(Lines::wants_more);
        if reads {
            fds.push((stdin.as_fd(), PollFlags::POLLIN));
        }
        let first = fds.len();
        let with_fd: Vec<usize> = (0..self.outlets.len()).filter(|n| self.outlets[*n].fd().is_some()).collect();
        fds.extend(self.outlets.iter().filter_map(Outlet::fd));
        let deadline = self.outlets.iter().filter_map(Outlet::deadline).chain(next).min();
        let ready = waiter.wait(&fds, deadline).map_err(|e| Failure::io("cannot wait", &e))?;
        if stdout_gone(ready[1]) {
            return Err(crate::cli::output::OutputError::Closed.into());
        }
        if reads && !ready[2].is_empty() {
            input.as_mut().into_iter().for_each(|lines| lines.fill(io::stdin()));
        }
        let now = Instant::now();
        for (flags, n) in ready[first..].iter().zip(with_fd) {
            if !flags.is_empty() {
                let change = self.outlets[n].ready(*flags, now);
                self.tell(n, change)?;
            }
        }
        Ok(())
    }

    /// Media that are to be tried again, and messages that were dropped.
    fn tend(&mut self, now: Instant) -> Result<(), Error> {
        for n in 0..self.outlets.len() {
            if self.outlets[n].deadline().is_some_and(|at| at <= now) {
                let change = self.outlets[n].tick(now);
                self.tell(n, change)?;
            }
        }
        let behind = self.outlets.iter().zip(&self.dropped).any(|(outlet, told)| outlet.dropped() > *told);
        if behind && (now.since(self.told) >= DROPS || self.dropped.iter().all(|told| *told == 0)) {
            self.told = now;
            for n in 0..self.outlets.len() {
                let count = self.outlets[n].dropped() - self.dropped[n];
                if count > 0 {
                    self.dropped[n] = self.outlets[n].dropped();
                    let name = self.outlets[n].name();
                    let event = Event::new("dropped", format!("{count} messages were not sent on {name}"));
                    self.output.emit(event.with("medium", name).with("count", count))?;
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, n: usize, change: Option<Change>) -> Result<(), Error> {
        let Some(change) = change else { return Ok(()) };
        self.output.emit(change.event(self.outlets[n].name()))?;
        Ok(())
    }

    /// Others think us dead: a new start is what they take a dead node back for. The number goes to disk meanwhile: to wait
    /// for a disk that is slow, full or hung would be a death of its own.
    fn stalled(&mut self, gap: Duration, deadtime: Duration) -> Result<(), Error> {
        if gap < deadtime {
            return Ok(());
        }
        let generation = self.speaker.generation() + 1;
        self.speaker.set_generation(generation);
        self.scribe.iter_mut().for_each(|scribe| scribe.keep(generation));
        let cause =
            format!("nothing was sent for {gap:.3?}: the others think this node dead, and hear a new start of it");
        let event = Event::new("stalled", cause.clone()).ms("gap_ms", gap).with("generation", generation);
        self.output.emit(event.with("cause", cause))?;
        Ok(())
    }

    /// The generation is on disk, and stays there.
    fn look_at_disk(&mut self, now: Instant) -> Result<(), Error> {
        let Some(scribe) = &mut self.scribe else { return Ok(()) };
        if self.look.rings(now) {
            scribe.keep(self.speaker.generation());
        }
        if let Some(failure) = scribe.look(now) {
            self.output.emit(cli::error_event(&failure))?;
        }
        Ok(())
    }

    fn beat(&mut self, why: &str, now: Instant) -> Result<(), Error> {
        let bytes = self.speaker.beat(&present());
        self.send(Rank::Beat, &bytes, now)?;
        self.sent(why, "status", Some(self.speaker.seq()), true)
    }

    fn send(&mut self, rank: Rank, bytes: &[Vec<u8>], now: Instant) -> Result<(), Error> {
        for n in 0..self.outlets.len() {
            let form = if self.outlets[n].is_serial() { bytes.last() } else { bytes.first() };
            let change = form.and_then(|form| self.outlets[n].send_as(rank, form, now));
            self.tell(n, change)?;
        }
        Ok(())
    }

    fn sent(&mut self, why: &str, kind: &str, number: Option<u64>, quietly: bool) -> Result<(), Error> {
        if quietly && !self.beats {
            return Ok(());
        }
        let words = number.map_or(format!("sent {kind}"), |number| format!("sent {kind}, number {number}"));
        let event = Event::new("sent", words).with("why", why).with("type", kind).with("number", number);
        self.output.emit(event)?;
        Ok(())
    }

    fn obey(&mut self, line: Result<Vec<u8>, String>, now: Instant) -> Result<(), Error> {
        match line.and_then(|line| orders::read(&line)) {
            Ok(None) => Ok(()),
            Ok(Some((why, Order::Say(message)))) => {
                let kind = message.text("t").unwrap_or_default().to_owned();
                let before = self.speaker.seq();
                let bytes = self.speaker.say(message, &present());
                if let Some(limit) = self.too_long(&bytes, 0) {
                    self.speaker.take_back(before);
                    return self.ignored(&format!("a message of type {kind} is longer than {limit} bytes"));
                }
                self.send(Rank::Message, &bytes, now)?;
                // Control messages have no number.
                let number = Some(self.speaker.seq()).filter(|seq| *seq != before);
                self.sent(why, &kind, number, why == "reply")
            }
            Ok(Some((_, Order::Resend { span, node }))) => self.resend(span, node.as_deref(), now),
            Ok(Some((_, Order::Status { status, extra }))) => {
                let before = self.speaker.seq();
                let extra = extra.map(|extra| self.speaker.set_extra(extra));
                let is = status.unwrap_or_else(|| self.speaker.status().to_owned());
                let was = self.speaker.set_status(&is);
                let bytes = self.speaker.beat(&present());
                if let Some(limit) = self.too_long(&bytes, GROWTH) {
                    // Every beat would be, and nobody would hear them.
                    self.speaker.take_back(before);
                    self.speaker.set_status(&was);
                    extra.map(|extra| self.speaker.set_extra(extra));
                    return self.ignored(&format!("a heartbeat with that is longer than {limit} bytes"));
                }
                self.send(Rank::Beat, &bytes, now)?;
                self.sent("send", "status", Some(self.speaker.seq()), true)?;
                let event = Event::new("status", format!("beats say {is} (was {was})"));
                self.output.emit(event.with("was", was).with("is", is))?;
                Ok(())
            }
            Err(cause) => self.ignored(&cause),
        }
    }

    /// The limit, where a message that may yet grow by so much is longer than what one of the media takes.
    fn too_long(&self, bytes: &[Vec<u8>], growth: usize) -> Option<usize> {
        let datagrams = self.outlets.iter().any(|outlet| !outlet.is_serial());
        let limit = if datagrams { wire::MAX_MESSAGE.min(LONGEST_DATAGRAM) } else { wire::MAX_MESSAGE } - growth;
        bytes.iter().any(|b| b.len() > limit).then_some(limit)
    }

    fn ignored(&mut self, cause: &str) -> Result<(), Error> {
        self.output.emit(Event::new("ignored-order", format!("ignored: {cause}")).with("cause", cause))?;
        Ok(())
    }

    fn resend(&mut self, span: Span, node: Option<&str>, now: Instant) -> Result<(), Error> {
        let (again, gone) = self.speaker.resend(span, now);
        for Said { seq, kind, bytes, .. } in again {
            self.send(Rank::Again, &bytes, now)?;
            self.sent("resend", &kind, Some(seq), true)?;
        }
        if let (Some(gone), Some(node)) = (gone, node) {
            let bytes = self.speaker.refuse(node, gone, &present());
            self.send(Rank::Again, &bytes, now)?;
            self.sent("refusal", "NS_nak_rexmit", None, true)?;
        }
        Ok(())
    }

    fn done(&mut self) -> Result<Answer, Error> {
        // Where nothing was to be sent, nothing has failed.
        if self.outlets.iter().any(|o| o.up() != Some(false)) {
            return Ok(Answer::Yes);
        }
        let message = "no medium took a message".to_owned();
        let hint = Some("the events of the media say why".to_owned());
        Err(Failure { fault: Fault::Unavailable, code: "no-medium", message, hint }.into())
    }
}

fn present() -> Present {
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    Present { unix: unix_seconds(), load: load.map(|load| load.trim_end().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rhythm_is_no_stall() {
        let s = Duration::from_secs;
        assert_eq!(stall(s(1), None), s(30));
        assert_eq!(stall(s(60), None), s(180));
        assert_eq!(stall(s(60), Some(s(90))), s(90));
        assert_eq!(stall(Duration::MAX, None), Duration::MAX);
    }
}
