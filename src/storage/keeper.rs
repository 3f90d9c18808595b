//! The process that holds a claim for as long as the mount lasts.
//!
//! It is a child of fs-claim and outlives it. It takes the claim itself, so that nothing has to be handed over, and tells
//! over one pipe what came of it, and later that it is lost. The other end of a second pipe, the tether, is open in fs-claim
//! and in whatever checks or mounts for it: until all of them are gone a mount may still come, and the claim is kept.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::{pipe2, read};
use serde_json::{Value, json};

use super::aside::{AsideError, Ties, tethered};
use super::device::Device;
use super::guard::flock::{self, Who};
use super::guard::{Got, Held, Outcome, failure_to_json};
use super::holders::plan::Plan;
use super::lease::{self, Acquired, News, Terms};
use super::mount::{remains, shut_down};
use super::mountinfo::{Mount, Table};
use super::news::{About, log};
use super::process::Process;
use super::record::{self, Place, mark_lost};
use super::release::{Way, Went, let_go};
use crate::cli::Failure;
use crate::cli::child;
use crate::cli::exit::Fault;
use crate::cli::realtime;
use crate::cli::wait::{Signals, Waiter};
use crate::clock::Instant;

/// What to do when a lease is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnLost {
    /// Unmount; if somebody holds it, kill them at once and unmount
    #[default]
    Release,
    /// The same
    Kill,
    /// As release; if that fails, reset the machine
    Reboot,
}

/// What the keeper holds.
#[derive(Clone, Debug)]
pub enum Guarding {
    /// A lock file.
    Flock(PathBuf),
    /// A lease.
    Lease(Terms, OnLost),
}

/// What the keeper has to know.
#[derive(Clone, Debug)]
pub struct Post {
    /// For its events.
    pub about: About,
    /// Which node.
    pub node: String,
    /// What is mounted.
    pub device: Device,
    /// Its type, where it was given.
    pub fstype: Option<String>,
    /// Where.
    pub mountpoint: PathBuf,
    /// The guard.
    pub guarding: Guarding,
    /// It is mounted already: what is known of the claim before.
    pub standing: Option<Before>,
}

/// The claim under which something was mounted: only where nobody can have had it since is it taken again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Who wrote into the lock file, if anybody claimed it.
    pub who: Option<Who>,
    /// Which acquisition of the lease it was; 0: nobody claimed it.
    pub generation: u64,
}

impl Before {
    /// Whether the lease is the very next one. A number may be left out where our own write was too late: then it is not
    /// known, and that is no.
    fn is_followed_by(&self, generation: u64) -> bool {
        self.generation.checked_add(1) == Some(generation)
    }
}

/// What a keeper tells after its first line.
#[derive(Debug)]
pub struct Told {
    pipe: OwnedFd,
    rest: Vec<u8>,
}

impl Told {
    /// Why the claim is lost; nothing while it is not.
    pub fn lost(&self) -> Option<String> {
        let mut line = self.rest.clone();
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        if line.is_empty() && poll(&mut fds, PollTimeout::ZERO) == Ok(0) {
            return None;
        }
        let mut bytes = [0; 4096];
        if line.is_empty() {
            let length = read(&self.pipe, &mut bytes).unwrap_or(0);
            line.extend_from_slice(&bytes[..length]);
        }
        let value: Value = serde_json::from_slice(&line).unwrap_or_default();
        Some(value["lost"].as_str().unwrap_or("its keeper has ended").to_owned())
    }
}

impl AsFd for Told {
    /// Readable when it is lost.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// A byte of fs-claim before the end of the tether: nothing was mounted, for certain.
const NOTHING_CAME: u8 = b'-';

/// Tells the keeper over its tether that nothing was mounted.
pub fn nothing_came(tether: &OwnedFd) {
    let _ = nix::unistd::write(tether, &[NOTHING_CAME]); // untold, it looks for itself
}

/// A keeper that was started.
#[derive(Debug)]
pub struct Started {
    /// It.
    pub process: Process,
    /// What came of the claim.
    pub outcome: Outcome,
    /// Which acquisition of the lease it is.
    pub generation: Option<u64>,
    /// What it tells later.
    pub told: Told,
    /// To be open for as long as a mount may come.
    pub tether: OwnedFd,
}

/// While it cannot be proven that a file system is gone, it is asked again: soon, as the kernel tells of an unmount before
/// it is through with it, and then less and less often, down to this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The first time.
const ASK_SOON: Duration = Duration::from_millis(1);

/// How long one attempt at an unmount may take a keeper at most: it has a lease to renew.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Between two looks at a lock on a file system that other machines share: a file server may lose it.
const LOOK_AT_LOCK: Duration = Duration::from_secs(10);

/// Starts a keeper and waits for what it has to tell.
///
/// # Errors
/// When the claim cannot be asked for; at the deadline. Nothing is held then.
pub fn start(post: Post, deadline: Instant, timeout: Duration) -> Result<Started, Failure> {
    let system = |e: nix::Error| Failure::io("starting the keeper", &e.into());
    let (heard, told) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
    let (end, tether) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
    let keep = [told.as_raw_fd(), end.as_raw_fd()];
    // What the closure has is the child's own: nothing of it is dropped here twice, as the child leaves without drops.
    let pid = child::background(&keep, || run(&post, &told, &end)).map_err(system)?;
    drop((told, end));
    let process = Process::of(pid.as_raw());
    let line = first_line(&heard, deadline).map_err(|e| Failure::io("hearing the keeper", &e))?;
    let Some((line, rest)) = line else {
        // It ends by itself: its tether is cut.
        let message = format!("the claim was not to be had within {}", crate::cli::duration::words(timeout));
        return Err(Failure::new(Fault::Undetermined, "deadline", message));
    };
    let value: Value = serde_json::from_slice(&line).unwrap_or_default();
    let outcome = Outcome::from_json(&value)?;
    let died = || Failure::new(Fault::Internal, "system", "the keeper ended at once");
    let told = Told { pipe: heard, rest };
    Ok(Started { process: process.ok_or_else(died)?, outcome, generation: value["generation"].as_u64(), told, tether })
}

/// The first line, and what came with it.
fn first_line(pipe: &OwnedFd, deadline: Instant) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let waiter = Waiter::new()?;
    let mut line = Vec::new();
    let mut bytes = [0; 4096];
    let end = loop {
        if let Some(end) = line.iter().position(|b| *b == b'\n') {
            break end + 1;
        }
        let ready = waiter.wait(&[(pipe.as_fd(), PollFlags::POLLIN)], Some(deadline))?;
        if ready.first().is_some_and(|r| !r.is_empty()) {
            match read(pipe, &mut bytes)? {
                0 => break line.len(),
                n => line.extend_from_slice(&bytes[..n]),
            }
        } else if Instant::now() >= deadline {
            return Ok(None);
        }
    };
    let rest = line.split_off(end);
    Ok(Some((line, rest)))
}

fn tell(told: &OwnedFd, value: &Value) {
    if let Ok(copy) = told.try_clone() {
        let _ = File::from(copy).write_all(format!("{value}\n").as_bytes());
    }
}

/// What is held.
enum Hold {
    /// For as long as the file is open.
    Lock(Locked),
    Lease(Box<lease::Keeper>, OnLost),
}

/// A lock.
struct Locked {
    file: File,
    /// What we wrote into it, where a file server keeps it: it is looked at from time to time.
    server: Option<Who>,
    /// When next.
    look: Instant,
    /// A look that hangs: none is begun beside it.
    stuck: Option<Process>,
}

impl Locked {
    fn new(file: File, path: &Path, me: Who) -> Self {
        let server = flock::shared(path).then_some(me);
        Self { file, server, look: Instant::now() + LOOK_AT_LOCK, stuck: None }
    }

    /// When to look next, where that is needed.
    fn next(&self) -> Option<Instant> {
        self.server.as_ref().map(|_| self.look)
    }

    /// Why it is lost. A server that does not answer says nothing.
    fn lost(&mut self) -> Option<String> {
        let me = self.server.clone().filter(|_| self.look <= Instant::now())?;
        self.look = Instant::now() + LOOK_AT_LOCK;
        if self.stuck.take_if(|p| !p.runs()).is_none() && self.stuck.is_some() {
            return None;
        }
        let ties = Ties { tether: Some(self.file.as_fd()), stop: None };
        let said = tethered(ties, Instant::now() + ATTEMPT, || json!(flock::still(&self.file, &me).err()));
        match said {
            Ok(why) => why.as_str().map(str::to_owned),
            Err(AsideError::Deadline { stuck }) => {
                self.stuck = stuck;
                None
            }
            Err(_) => None,
        }
    }
}

/// The priority of a keeper of a lease among those that run on time: the lowest is above all others.
const PRIORITY: u8 = 1;

/// A keeper of a lease is not to be starved. After a pause it has to come before the kernel's own writers, too. Where it
/// may not ask, it keeps its lease as well as it can.
fn spare(watchdog: bool) {
    let _ = realtime::ask(PRIORITY);
    if watchdog {
        // Its end is that of the machine.
        let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
    }
}

/// The life of a keeper, in its own process.
fn run(post: &Post, told: &OwnedFd, end: &OwnedFd) {
    // Where fs-claim was called must not be held, and a list of processes should tell the two apart.
    let _ = std::env::set_current_dir("/");
    let _ = nix::sys::prctl::set_name(c"fs-keeper");
    let Ok(signals) = Signals::take() else { return };
    let Some(me) = Process::of(std::process::id() as i32) else { return };
    let hold = match &post.guarding {
        Guarding::Flock(file) => {
            let who = Who { node: post.node.clone(), process: Some(me) };
            let standing = post.standing.clone().map(|before| before.who);
            match flock::acquire(file, &post.device.source(), &who, standing) {
                Ok((outcome, lock)) => {
                    tell(told, &outcome.to_json());
                    lock.map(|lock| Hold::Lock(Locked::new(lock, file, who)))
                }
                Err(e) => {
                    tell(told, &failure_to_json(e.fault, e.code, &e.message, e.hint.as_deref()));
                    None
                }
            }
        }
        Guarding::Lease(terms, on_lost) => match lease::acquire(terms, Duration::ZERO, Some(end.as_fd())) {
            Ok(Acquired::Held(keeper))
                if post.standing.as_ref().is_some_and(|before| !before.is_followed_by(keeper.generation())) =>
            {
                keeper.stand_down();
                tell(told, &Outcome::Held(flock::meanwhile(None)).to_json());
                None
            }
            Ok(Acquired::Held(keeper)) => {
                spare(terms.watchdog.is_some());
                let cause = format!("the lease on {} is this node's", terms.device.display());
                let got = Got { strength: terms.strength().to_owned(), cause, changed: true };
                let mut line = Outcome::Got(got).to_json();
                line["generation"] = keeper.generation().into();
                tell(told, &line);
                Some(Hold::Lease(keeper, *on_lost))
            }
            Ok(Acquired::Refused(holder)) => {
                let cause = format!("{} holds the lease on {}", holder.node, terms.device.display());
                let hint = Some("release it there: fs-release MOUNTPOINT".to_owned());
                tell(told, &Outcome::Held(Held { holder: Some(holder.node), cause, hint }).to_json());
                None
            }
            Ok(Acquired::Interrupted) => None,
            Err(e) => {
                tell(told, &failure_to_json(e.fault(), e.code(), &e.to_string(), e.hint().as_deref()));
                None
            }
        },
    };
    if let Some(hold) = hold {
        let end = Some(end.as_fd());
        let (nothing_came, lost, stopped) = (false, false, false);
        let keeping = Keeping { post, me, signals, told, end, nothing_came, hold, seen: None, lost, stopped };
        if let Err(error) = keeping.keep() {
            // The claim ends with the process; whoever looks next finds the mount without its keeper.
            log(&post.about.lost(&format!("the keeper cannot go on: {error}")));
        }
    }
}

struct Keeping<'a> {
    post: &'a Post,
    me: Process,
    signals: Signals,
    told: &'a OwnedFd,
    /// The tether, until it is cut.
    end: Option<BorrowedFd<'a>>,
    /// fs-claim said so.
    nothing_came: bool,
    hold: Hold,
    /// The mount, as it was seen last.
    seen: Option<Mount>,
    lost: bool,
    /// The file system was made to write no more.
    stopped: bool,
}

impl Keeping<'_> {
    fn keep(mut self) -> io::Result<()> {
        let waiter = Waiter::new()?;
        // The kernel marks it as urgent whenever a mount comes or goes.
        let mounts = File::open("/proc/self/mountinfo")?;
        let mut pause = ASK_SOON;
        loop {
            let mounted = self.look();
            if !mounted && self.end.is_none() && self.gone() {
                break;
            }
            if self.lost && mounted {
                self.on_lost();
                if !self.look() {
                    continue;
                }
            }
            let due = match &self.hold {
                Hold::Lease(keeper, _) if !self.lost => Some(keeper.deadline()),
                Hold::Lock(lock) if !self.lost => lock.next(),
                _ => None,
            };
            let acts = self.lost && matches!(self.hold, Hold::Lease(..));
            let asking = acts || (!mounted && self.end.is_none());
            pause = if asking { (pause * 2).min(ASK_AGAIN) } else { ASK_SOON };
            let ask = asking.then(|| Instant::now() + pause);
            let deadline = [due, ask].into_iter().flatten().min();
            let mut fds = vec![(self.signals.as_fd(), PollFlags::POLLIN), (mounts.as_fd(), PollFlags::POLLPRI)];
            fds.extend(self.end.map(|end| (end, PollFlags::POLLIN)));
            if let Hold::Lease(keeper, _) = &self.hold
                && !self.lost
            {
                fds.push((keeper.as_fd(), PollFlags::POLLIN));
            }
            let ready = waiter.wait(&fds, deadline)?;
            if let Some(end) = self.end.filter(|_| ready.get(2).is_some_and(|r| !r.is_empty())) {
                match read(end, &mut [0]) {
                    Ok(0) => self.end = None,
                    came => self.nothing_came |= came == Ok(1),
                }
            }
            if self.signals.arrived().is_some() {
                self.stop();
            }
            self.renew();
        }
        self.give_up();
        Ok(())
    }

    /// Whether it is mounted, be it below something else.
    fn look(&mut self) -> bool {
        let Ok(table) = Table::read(None) else { return true }; // not known is not gone
        let Post { device, fstype, mountpoint, .. } = self.post;
        let bound = device.bound(&table);
        let there = || table.stack(mountpoint).into_iter().chain(table.0.iter().filter(|m| m.point == *mountpoint));
        let now = there().find(|m| device.is_mounted_as(m, fstype.as_deref(), bound.as_ref())).cloned();
        // A helper may have written its source in another way.
        let now = now.or_else(|| {
            let record = record::look(mountpoint).ok().flatten().filter(|r| r.keeper == Some(self.me))?;
            there().find(|m| record.notes(&device.identity(), m)).cloned()
        });
        let mounted = now.is_some();
        if mounted {
            self.seen = now;
        }
        mounted
    }

    /// Whether the file system lives nowhere any more.
    fn gone(&self) -> bool {
        // A mount may have come and been hidden again while this process did not run, so that it never saw it.
        let noted = || record::look(&self.post.mountpoint).ok().flatten().and_then(|r| r.dev);
        let dev = match (&self.post.device, &self.seen) {
            (Device::Bind(_), _) => return true, // what is bound has a life of its own
            (_, Some(seen)) => Some(seen.dev),
            // Whoever else has the device is nothing of ours.
            (_, None) if self.nothing_came => noted(),
            (Device::Block { number, .. }, None) => Some(*number),
            (Device::File(_) | Device::Name(_), None) => noted(),
        };
        let Some(dev) = dev else { return true };
        let attempt = self.attempt();
        remains(dev, self.post.device.block(), Instant::now() + attempt, attempt).is_ok_and(|r| r.none())
    }

    fn renew(&mut self) {
        while !self.lost {
            let cause = match &mut self.hold {
                Hold::Lock(lock) => lock.lost(),
                Hold::Lease(keeper, _) => match keeper.turn() {
                    Some(News::Lost { cause }) => Some(cause),
                    Some(News::Renewed { .. } | News::Trouble { .. }) => continue,
                    None => None,
                },
            };
            let Some(cause) = cause else { return };
            self.lost = true;
            // First for whoever is about to mount, then for whoever asks later.
            tell(self.told, &json!({"lost": cause}));
            let _ = mark_lost(&self.post.mountpoint, self.me);
            log(&self.post.about.lost(&cause));
        }
    }

    /// How long one attempt may take: of the margin that is left after a loss, half.
    fn attempt(&self) -> Duration {
        match &self.post.guarding {
            Guarding::Lease(terms, _) => ATTEMPT.min(terms.margin / 2),
            Guarding::Flock(_) => ATTEMPT,
        }
    }

    /// Asked to end: only together with the mount, and only if nobody uses it.
    fn stop(&mut self) {
        if self.look() {
            self.unmount(None);
        }
    }

    /// Whether it went.
    fn unmount(&self, kill: Option<Plan>) -> bool {
        let Some(mount) = &self.seen else { return false };
        let timeout = self.attempt();
        let way = Way { kill, lazy: false, deadline: Instant::now() + timeout, timeout };
        let mut say = |event| {
            log(&event);
            Ok(())
        };
        matches!(let_go(&self.post.about, mount, &way, &mut say), Ok(Went::Done(_) | Went::Nothing))
    }

    fn on_lost(&mut self) {
        let Hold::Lease(keeper, on_lost) = &self.hold else { return };
        let on_lost = *on_lost;
        match remedy(on_lost, keeper.over(), keeper.guarded()) {
            Remedy::Unmount => {}
            Remedy::ShutDown => self.shut_down(),
            Remedy::Reset => self.reset("another node may have it: the machine is reset"),
        }
        // Whoever does not hold it is not killed, and no time is lost with a first try of its own.
        let at_once: Option<Plan> = "KILL,1s".parse().ok();
        let gone = self.unmount(at_once);
        if !gone && on_lost == OnLost::Reboot {
            self.reset("it cannot be unmounted: the machine is reset");
        }
    }

    /// Keeps the file system from writing, once. Where that cannot be, what it has in memory is written now: no other way
    /// is better.
    fn shut_down(&mut self) {
        let Some(mount) = self.seen.as_ref().filter(|_| !self.stopped) else { return };
        let attempt = self.attempt();
        let why = match self.post.device {
            // All else that uses it would stop with it.
            Device::Bind(_) => "it is a part of another file system".to_owned(),
            _ => match shut_down(mount, (Instant::now() + attempt, attempt)) {
                Ok(()) => return self.stopped = true,
                Err(e) => e.message,
            },
        };
        log(&self.post.about.lost(&format!("another node may have it, and what is in memory may be written: {why}")));
    }

    /// At once and without writing anything back: what is written now could be another node's.
    fn reset(&self, cause: &str) {
        log(&self.post.about.lost(cause));
        // An orderly reboot first asks disks to write what they have in their caches, and waits for one that hangs.
        let _ = std::fs::write("/proc/sysrq-trigger", "b");
        let _ = reboot(RebootMode::RB_AUTOBOOT);
    }

    /// Gives the claim up and forgets it, unless somebody is at it who does so.
    fn give_up(self) {
        match self.hold {
            Hold::Lock(lock) => drop(lock.file),
            Hold::Lease(keeper, _) if self.lost => keeper.stand_down(),
            Hold::Lease(keeper, _) => {
                if let Err(e) = keeper.release() {
                    log(&self.post.about.lost(&format!("the lease could not be given up, it runs out: {e}")));
                }
            }
        }
        forget(&self.post.mountpoint, self.me);
    }
}

/// What a mount whose lease was lost needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// Nobody else has it yet: what is in memory may still be written.
    Unmount,
    /// Somebody else may have it: nothing may be written, so that an unmount, which writes, comes second.
    ShutDown,
    /// The same, where a reset was asked for, or a watchdog should have done it: nothing writes less.
    Reset,
}

fn remedy(on_lost: OnLost, over: bool, watchdog: bool) -> Remedy {
    match (over, watchdog || on_lost == OnLost::Reboot) {
        (false, _) => Remedy::Unmount,
        (true, false) => Remedy::ShutDown,
        (true, true) => Remedy::Reset,
    }
}

fn forget(mountpoint: &Path, me: Process) {
    let Some(place) = Place::try_lock(mountpoint) else { return };
    if let Ok(Some(record)) = place.read()
        && record.keeper == Some(me)
    {
        let _ = place.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmount_writes() {
        for on_lost in [OnLost::Release, OnLost::Kill, OnLost::Reboot] {
            for watchdog in [true, false] {
                assert_eq!(remedy(on_lost, false, watchdog), Remedy::Unmount, "in time: {on_lost:?}");
                let reset = watchdog || on_lost == OnLost::Reboot;
                assert_eq!(remedy(on_lost, true, watchdog) == Remedy::Reset, reset, "too late: {on_lost:?}");
                assert_ne!(remedy(on_lost, true, watchdog), Remedy::Unmount, "too late: {on_lost:?}");
            }
        }
    }

    #[test]
    fn the_very_next_lease() {
        let before = |generation| Before { who: None, generation };
        for (was, is, same) in [(4, 5, true), (4, 6, false), (4, 4, false), (0, 1, true), (0, 2, false), (4, 1, false)]
        {
            assert_eq!(before(was).is_followed_by(is), same, "{was} {is}");
        }
        assert!(!before(u64::MAX).is_followed_by(0));
    }

    /// On a server that other machines share the line in the file tells.
    #[test]
    fn a_lock_that_the_server_lost() {
        let path = std::env::temp_dir().join(format!("keeper-lock-{}", std::process::id()));
        let me = Who { node: "ha1".into(), process: Some(Process { pid: 5, start: 7 }) };
        let (_, lock) = flock::acquire(&path, "/dev/x", &me, None).expect("asks");
        let mut lock = Locked::new(lock.expect("a lock"), &path, me.clone());
        assert_eq!((lock.next(), lock.lost()), (None, None), "here no server can lose it");
        lock.server = Some(me);
        assert_eq!(lock.lost(), None, "not due yet");
        lock.look = Instant::now();
        assert_eq!(lock.lost(), None, "it is ours");
        std::fs::write(&path, "{\"node\":\"ha2\"}").expect("writes");
        assert_eq!(lock.lost(), None, "not due again yet");
        lock.look = Instant::now();
        assert!(lock.lost().is_some());
        let _ = std::fs::remove_file(&path);
    }

    /// What came with the first line, what comes later, and the end.
    #[test]
    fn what_a_keeper_tells() {
        let pipe = || pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let deadline = || Instant::now() + Duration::from_secs(20);
        let lost = json!({"lost": "why"});
        let (heard, told) = pipe();
        tell(&told, &json!({"got": 1}));
        let (line, rest) = first_line(&heard, deadline()).expect("reads").expect("in time");
        assert_eq!((line.as_slice(), rest.len()), (&b"{\"got\":1}\n"[..], 0));
        let later = Told { pipe: heard, rest };
        assert_eq!(later.lost(), None);
        tell(&told, &lost);
        assert_eq!(later.lost().as_deref(), Some("why"));
        drop(told);
        assert!(later.lost().is_some_and(|why| why.contains("ended")));

        let (heard, told) = pipe();
        tell(&told, &json!({"got": 1}));
        tell(&told, &lost);
        let (_, rest) = first_line(&heard, deadline()).expect("reads").expect("in time");
        assert_eq!(Told { pipe: heard, rest }.lost().as_deref(), Some("why"));
        assert!(
            first_line(&pipe().0, Instant::now())
                .is_ok_and(|line| line.is_none() || line.is_some_and(|l| l.0.is_empty()))
        );
    }
}
