//! The edge of the probes on libcurl: transfers, signals and the clock around the targets. Not in the library, because
//! libcurl registers a constructor in every command that can reach it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use takeover::args::probing::{Probing, Trust};
use takeover::cli::exit::{Answer, Fault};
use takeover::cli::output::{Output, OutputError};
use takeover::cli::wait::{Signals, Waiter, stdout_gone};
use takeover::cli::{Failure, objects};
use takeover::clock::Instant;
use takeover::probe::Judgement;
use takeover::probe::egress::{self, Finder};
use takeover::probe::fetch::{self, Check, Expected, Target};
use takeover::probe::lookup::zone_index;
use takeover::probe::stream;
use takeover::probe::transfer::{self, Outcome};
use takeover::probe::trust::bundle;
use takeover::probe::url;
use takeover::probe::watch::Watch;
use takeover_transfer::{self as transfers, Protocol, Refused, Request, Transfers};

/// Probes under way at a time, at most.
const IN_FLIGHT: usize = 1000;
/// Over TLS each has a trust store of its own in memory.
const IN_FLIGHT_TLS: usize = 100;
/// Probes started between two turns of the loop: a turn that takes long makes every time that is measured too long.
const AT_ONCE: usize = 32;
/// What waits beside the transfers in a stream.
struct Ears {
    signals: Signals,
    waiter: Waiter,
}

/// The targets of a call: its operands, and for - the lines of stdin.
pub fn targets(words: &[String], defaults: &Check, example: &str) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for word in words {
        if word != "-" {
            targets.push(defaults.target(word).map_err(|e| Failure::usage(e.to_string(), e.hint()))?);
            continue;
        }
        for (number, object) in objects::read(io::stdin(), example)? {
            let target = fetch::from_line(&object, defaults);
            targets.push(target.map_err(|e| Failure::usage(format!("line {number} of stdin: {e}"), e.hint()))?);
        }
    }
    if defaults.hosts.any() && targets.iter().all(|t| t.name == t.url) && !words.iter().any(|word| word == "-") {
        let message = "--port, --path and --tls are for bare hosts, and every target is a URL";
        return Err(Failure::usage(message, "write it into the URL"));
    }
    Ok(targets)
}

/// Probes until there is an answer.
pub fn run(targets: &[Target], probing: &Probing, trust: &Trust, output: &mut Output) -> anyhow::Result<Answer> {
    let plan = probing.cadence.plan();
    let ears = match stream::signals(&plan, output)? {
        Some(signals) => {
            let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
            Some(Ears { signals, waiter })
        }
        None => None,
    };
    let mut watch = Watch::new(plan, targets.len(), Instant::now());
    let mut prober = Prober::new(targets, probing, trust);
    let answer = loop {
        for ended in prober.turn()? {
            prober.settle(ended, &mut watch, output)?;
        }
        let now = Instant::now();
        if let Some(answer) = watch.answer(now) {
            break answer;
        }
        prober.queue.extend(watch.start(now));
        let not_started = prober.start_some();
        if !not_started.is_empty() {
            // They may be the answer: there is nothing to wait for before that is known.
            not_started.into_iter().try_for_each(|ended| prober.settle(ended, &mut watch, output))?;
            continue;
        }
        prober.wait(&watch, ears.as_ref())?;
        if let Some(Ears { signals, .. }) = &ears {
            if signals.arrived().is_some() {
                break watch.interrupted()?;
            }
            output.flush_backlog()?;
            if reader_left() {
                return Err(OutputError::Closed.into());
            }
        }
    };
    stream::note_failed(&watch, targets.iter().map(|t| t.name.as_str()), output);
    // Tidying up would wait for look-ups that hang; the end of the process does it at once.
    std::mem::forget(prober);
    Ok(answer)
}

/// A probe that is over.
struct Ended {
    target: usize,
    outcome: Outcome,
    /// The addresses that a connection was tried to.
    dialled: Vec<IpAddr>,
    /// Why it was not even tried.
    obstacle: Option<Judgement>,
}

struct Prober<'a> {
    targets: &'a [Target],
    probing: &'a Probing,
    insecure: bool,
    bundle: PathBuf,
    transfers: Transfers,
    /// Targets that are due and wait for room.
    queue: VecDeque<usize>,
    room: usize,
    finder: Finder,
}

impl<'a> Prober<'a> {
    fn new(targets: &'a [Target], probing: &'a Probing, trust: &Trust) -> Self {
        Self {
            targets,
            probing,
            insecure: trust.insecure,
            bundle: bundle(trust.cacert.as_deref()),
            transfers: Transfers::new(),
            queue: VecDeque::new(),
            room: room(targets),
            finder: Finder::default(),
        }
    }

    /// Moves the transfers on; returns those that ended.
    fn turn(&mut self) -> Result<Vec<Ended>, Failure> {
        let ended = self.transfers.turn(Instant::now().since_boot()).map_err(broken)?;
        Ok(ended.into_iter().map(|(target, o)| self.ended(target, o)).collect())
    }

    /// Starts what is due and has room; returns what could not be started.
    fn start_some(&mut self) -> Vec<Ended> {
        let mut not_started = Vec::new();
        let free = self.room.saturating_sub(self.transfers.running()).min(AT_ONCE);
        if free == 0 || self.queue.is_empty() {
            return not_started;
        }
        let obstacle = self.finder.before(self.probing.interface.as_deref());
        for target in self.queue.drain(..free.min(self.queue.len())) {
            let Target { url: given, check, .. } = &self.targets[target];
            let mut outcome = Outcome { timeout: check.timeout, ..Outcome::default() };
            let mut obstacle = obstacle.clone();
            let mut url = Cow::Borrowed(given.as_str());
            if let Some((name, numbered)) = url::zone(given) {
                match egress::zone(name) {
                    Ok(index) => url = numbered(index).into(),
                    Err(judgement) => obstacle = obstacle.or(Some(judgement)),
                }
            }
            if obstacle.is_none() {
                let request = Request {
                    url: &url,
                    protocol: match check.expected {
                        Expected::Http(_) => Protocol::Http { method: &check.method, headers: &check.headers },
                        Expected::Ftp { read } => Protocol::Ftp { read },
                    },
                    login: check.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str())),
                    resolve: &check.resolve,
                    interface: self.probing.interface.as_deref(),
                    trust: match self.insecure {
                        true => transfers::Trust::Anybody,
                        false => transfers::Trust::Bundle(&self.bundle),
                    },
                    agent: concat!("takeover/", env!("CARGO_PKG_VERSION")),
                    capture: check.capture(),
                    timeout: check.timeout,
                };
                match self.transfers.start(target, &request, Instant::now().since_boot()) {
                    Ok(()) => continue,
                    Err(Refused { code, message }) => (outcome.code, outcome.message) = (code, message),
                }
            }
            not_started.push(Ended { target, outcome, dialled: Vec::new(), obstacle });
        }
        not_started
    }

    fn ended(&self, target: usize, o: transfers::Outcome) -> Ended {
        let outcome = Outcome {
            code: o.code,
            errno: o.errno,
            socket_errno: o.socket_errno,
            message: o.message,
            secure: url::is_secure(&self.targets[target].url),
            status: o.status,
            lookup: o.lookup,
            connected: o.connected,
            handshaking: o.handshaking,
            secured: o.secured,
            first_byte: o.first_byte,
            total: o.total,
            address: o.address.or(o.dialled.last().copied()),
            body: o.body,
            body_cut: o.body_cut,
            late: o.late,
            timeout: self.targets[target].check.timeout,
        };
        Ended { target, outcome, dialled: o.dialled, obstacle: None }
    }

    /// Judges, says so, and remembers it.
    fn settle(&mut self, ended: Ended, watch: &mut Watch, output: &mut Output) -> Result<(), OutputError> {
        let Ended { target, outcome, dialled, obstacle } = ended;
        let Target { name, url, .. } = &self.targets[target];
        let judgement = obstacle.unwrap_or_else(|| self.targets[target].judge(&outcome));
        let zone = url::zone(url).and_then(|(name, _)| zone_index(name)).unwrap_or_default();
        let judgement = self.finder.after(judgement, self.probing.interface.as_deref(), zone, &dialled);
        output.emit(transfer::event(name, &judgement, &outcome))?;
        match watch.record(target, judgement.verdict, Instant::now()) {
            Some(change) if self.probing.cadence.plan().every.is_some() => {
                output.emit(change.event(name, &judgement.cause))
            }
            _ => Ok(()),
        }
    }

    /// Waits for the transfers, for the next probe that is due and, in a stream, for signals and a reader that leaves.
    fn wait(&self, watch: &Watch, ears: Option<&Ears>) -> Result<(), Failure> {
        let (now, running) = (Instant::now(), self.transfers.running());
        if !self.queue.is_empty() && running < self.room {
            return Ok(());
        }
        let next = watch.next();
        match ears {
            Some(Ears { signals, waiter }) if running == 0 => {
                let stdout = io::stdout();
                let fds = [(signals.as_fd(), PollFlags::POLLIN), (stdout.as_fd(), PollFlags::empty())];
                waiter.wait(&fds, next).map(drop).map_err(|e| Failure::io("cannot wait", &e))
            }
            _ => {
                let signals: Option<BorrowedFd> = ears.map(|e| e.signals.as_fd());
                let at_most = next.map_or(LONG, |at| at.since(now).min(LONG));
                self.transfers.wait(signals.as_slice(), at_most, now.since_boot()).map_err(broken)
            }
        }
    }
}

/// Longer than any wait: every transfer bounds it by its time-out.
const LONG: Duration = Duration::from_secs(3600);

/// libcurl itself failed, not one of its transfers.
fn broken(refused: Refused) -> Failure {
    let Refused { code, message } = refused;
    Failure {
        fault: Fault::Internal,
        code: "libcurl",
        message: format!("libcurl failed: {message} ({code})"),
        hint: None,
    }
}

/// How many probes may be under way. Each may hold two sockets, one for either family, and some are kept for the rest.
fn room(targets: &[Target]) -> usize {
    let tls = targets.iter().any(|t| url::is_secure(&t.url));
    let wanted = targets.len().min(if tls { IN_FLIGHT_TLS } else { IN_FLIGHT });
    let needed = 2 * wanted as u64 + 64;
    let Ok((mut soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1 };
    if soft < needed {
        let more = needed.min(hard);
        if setrlimit(Resource::RLIMIT_NOFILE, more, hard).is_ok() {
            soft = more;
        }
    }
    wanted.min((soft.saturating_sub(64) / 2) as usize).max(1)
}

/// Whether nobody reads stdout any more.
fn reader_left() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|n| n > 0) && fds[0].revents().is_some_and(stdout_gone)
}
