//! fs-claim: the claim, the check, the mount, in this order; and back again where one fails.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::unistd::pipe2;

use super::aside::{AsideError, TO_DIE, Ties, tethered_command};
use super::claim::{Claim, Decision, Found, decide, differs};
use super::device::{self, Device, by_words};
use super::guard::flock::{Who, meanwhile};
use super::guard::{Got, Held, Kind, Outcome, drbd, flock, scsi_pr};
use super::keeper::{self, Before, Guarding, OnLost, Post, Told};
use super::lease::{self, Terms};
use super::mount::{self, Order, elsewhere, is_bind, wants_read_only};
use super::mountinfo::{Mount, Table};
use super::news::{About, Mounted};
use super::process::{Process, wait_for_end};
use super::record::{Place, Record, look, namespace};
use super::release::{Way, Went, give_up, left_of, let_go};
use crate::cli::Error;
use crate::cli::Failure;
use crate::cli::exit::{Answer, Fault};
use crate::cli::output::Output;
use crate::cli::wait::Waiter;
use crate::clock::Instant;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// DEVICE.
    pub device: String,
    /// MOUNTPOINT.
    pub mountpoint: PathBuf,
    /// FSTYPE.
    pub fstype: Option<String>,
    /// OPTIONS.
    pub options: Vec<String>,
    /// The guard.
    pub guard: Kind,
    /// This node.
    pub node: String,
    /// For each part: looking, claiming, mounting.
    pub timeout: Duration,
    /// Check it before, for at most this long.
    pub fsck: Option<Duration>,
    /// The lock file, where it was named.
    pub lock_file: Option<PathBuf>,
    /// The lease, and what to do when it is lost.
    pub lease: Option<(Terms, OnLost)>,
    /// The DRBD resource, where it was named.
    pub drbd_resource: Option<String>,
    /// Preempt another node's reservation.
    pub take_over: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl Wanted {
    fn bind(&self) -> bool {
        is_bind(&self.options)
    }

    /// The type, where it says something.
    fn fstype(&self) -> Option<&str> {
        self.fstype.as_deref().filter(|t| !["", "auto", "none"].contains(t) && !self.bind())
    }

    fn about(&self, point: &Path) -> About {
        About {
            device: Some(self.device.clone()),
            mountpoint: point.to_string_lossy().into_owned(),
            guard: Some(self.guard),
            node: Some(self.node.clone()),
        }
    }
}

/// How long a keeper is waited for after a failure: with nothing left to hold it ends at once.
const TO_UNDO: Duration = Duration::from_secs(2);

/// What was found on this machine.
struct Here {
    device: Device,
    point: PathBuf,
    found: Found,
    mounted: Option<Mount>,
    /// The numbers of all mounts.
    before: HashSet<u64>,
    /// What the guard acts on.
    object: Option<String>,
}

/// Claims and mounts.
///
/// # Errors
/// When it could not be told or done: what this call had done is undone.
pub fn take(wanted: &Wanted, output: &mut Output) -> Result<Answer, Error> {
    let deadline = Instant::now() + wanted.timeout;
    let (device, point) = places(wanted, deadline)?;
    // A dry run leaves nothing behind, not even a folder for the lock.
    let place = if wanted.dry_run { None } else { Some(Place::lock(&point, deadline)?) };
    let record = match &place {
        Some(place) => place.read()?,
        None => look(&point)?,
    };
    let object = object(wanted, &device, deadline);
    let mut here = find(wanted, device, point, record, object.as_ref().ok().cloned().flatten())?;
    let about = wanted.about(&here.point);
    let (claim, mount, first) = match decide(&here.found, wanted.guard, wants_read_only(&wanted.options)) {
        Decision::Refuse { cause, hint } => {
            let held = Held { holder: None, cause, hint: Some(hint) };
            output.emit(about.refused(&held, !here.found.stack.is_empty()))?;
            return Ok(Answer::No);
        }
        Decision::Go { claim, mount, give_up } => (claim, mount, give_up),
    };
    object?;
    let Some(place) = place else { return dry_run(wanted, &here, claim, mount, output) };
    if let (true, Some(old)) = (first, &here.found.record) {
        give_up_first(old, (deadline, wanted.timeout))?;
        place.remove()?;
        here.found.record = None;
    }
    let taking = Taking { wanted, here, about, place, deadline };
    taking.run(claim, mount, output)
}

/// An earlier claim of something else, with nothing mounted any more: nobody else would ever give it up.
fn give_up_first(old: &Record, bounds: (Instant, Duration)) -> Result<(), Error> {
    if let Some(left) = left_of(old, None, false, bounds)? {
        let message = format!("what was claimed there before, {}, is still in use: {left}", old.device);
        let hint = format!("fs-release {}", old.mountpoint.display());
        return Err(Failure::unavailable("still-claimed", message).hint(hint).into());
    }
    give_up(old, None, bounds).map(drop)
}

/// What the guard acts on.
fn object(wanted: &Wanted, device: &Device, deadline: Instant) -> Result<Option<String>, Failure> {
    Ok(match (wanted.guard, &wanted.lease) {
        (Kind::Drbd, _) => Some(resource(wanted, (deadline, wanted.timeout))?.name),
        (Kind::ScsiPr, _) => Some(device.source()),
        (Kind::Flock, _) => Some(lock_file(wanted, device).display().to_string()),
        (Kind::Lease, Some((terms, _))) => Some(terms.device.display().to_string()),
        (Kind::None | Kind::Lease, _) => None,
    })
}

fn resource(wanted: &Wanted, (deadline, timeout): (Instant, Duration)) -> Result<drbd::Resource, Failure> {
    drbd::Resource::find(wanted.drbd_resource.as_deref(), Path::new(&wanted.device), deadline, timeout)
}

/// DEVICE and MOUNTPOINT, understood.
fn places(wanted: &Wanted, deadline: Instant) -> Result<(Device, PathBuf), Failure> {
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    // A mount point in the table has no symbolic links, and is not looked at: its server may be dead.
    let known = by_words(&wanted.mountpoint).filter(|words| !table.stack(words).is_empty());
    let asked = known.is_none().then_some(wanted.mountpoint.as_path());
    let bind = wanted.bind();
    let looked = device::look(&wanted.device, wanted.fstype(), bind, asked, (deadline, wanted.timeout))?;
    if let Some(words) = known {
        return Ok((looked.device, words));
    }
    let point = looked.mountpoint.map_err(|why| {
        let given = wanted.mountpoint.display();
        Failure::unavailable("no-such-mountpoint", format!("{given}: {why}")).hint(format!("mkdir -p {given}"))
    })?;
    if !looked.folder && !bind {
        let message = format!("{} is no folder", point.display());
        return Err(Failure::unavailable("no-such-mountpoint", message));
    }
    Ok((looked.device, point))
}

/// What is mounted there, and where else.
fn find(
    wanted: &Wanted,
    device: Device,
    point: PathBuf,
    record: Option<Record>,
    object: Option<String>,
) -> Result<Here, Failure> {
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let bound = device.bound(&table);
    let ours = |m: &Mount| device.is_mounted_as(m, wanted.fstype(), bound.as_ref());
    let identity = device.identity();
    let there = |m: &Mount| ours(m) || record.as_ref().is_some_and(|r| r.notes(&identity, m));
    let stack = at(&table, &point);
    let elsewhere = match device {
        // A bind is a second place by its nature, and exports may be had in several.
        Device::Block { .. } | Device::File(_) => {
            table.0.iter().filter(|m| m.point != point && ours(m)).map(|m| m.point.display().to_string()).collect()
        }
        Device::Bind(_) | Device::Name(_) => Vec::new(),
    };
    let runs = record.as_ref().and_then(|r| r.keeper).is_some_and(Process::runs);
    let found = Found {
        stack: stack.iter().map(|m| (m.source.clone(), there(m))).collect(),
        read_only: stack.first().is_some_and(|m| m.read_only()),
        elsewhere,
        keeper: runs,
        other_namespace: record.as_ref().and_then(Record::elsewhere),
        object: object.clone(),
        dev: stack.first().filter(|m| there(m)).map(|m| m.dev),
        identity: identity.clone(),
        record: None,
    };
    let mounted = stack.first().copied().filter(|m| there(m)).cloned();
    let found = Found { record, ..found };
    Ok(Here { device, point, found, mounted, before: table.0.iter().map(|m| m.id).collect(), object })
}

/// What is mounted at a place, automounters left out.
fn at<'a>(table: &'a Table, point: &Path) -> Vec<&'a Mount> {
    table.stack(point).into_iter().filter(|m| m.fstype != "autofs").collect()
}

/// Why a claim that is noted is not held any more; what was noted may be long ago.
fn unkept(record: &Record, (deadline, timeout): (Instant, Duration)) -> Result<Option<String>, Failure> {
    if !record.guard.has_keeper() {
        return Ok(None);
    }
    let Some(keeper) = record.keeper.filter(|k| k.runs()) else {
        return Ok(Some("its keeper is gone, and its claim with it: fs-claim takes it again".to_owned()));
    };
    if record.lost() {
        return Ok(Some(format!("its keeper, process {}, has lost the claim", keeper.pid)));
    }
    if keeper.stopped() {
        return Ok(Some(format!("its keeper, process {}, is stopped, and renews nothing", keeper.pid)));
    }
    let (Kind::Lease, Some(device)) = (record.guard, &record.object) else { return Ok(None) };
    if Instant::now() >= deadline {
        return Err(AsideError::Deadline { stuck: None }.failure(&format!("looking at {device}"), timeout));
    }
    let seen = lease::inspect(Path::new(device), Duration::ZERO)?;
    let ours = |h: &lease::Holder| h.node == record.node && Some(h.generation) == record.generation;
    Ok(match seen.holder {
        Some(holder) if ours(&holder) && !seen.released => None,
        Some(holder) => Some(format!("the lease is not this node's any more: {} had it", holder.node)),
        None => Some("the lease is not this node's any more".to_owned()),
    })
}

/// What a keeper holds, as it was noted.
fn kept(record: Option<&Record>) -> Got {
    let strength = record.map_or_else(String::new, |r| r.strength.clone());
    Got { strength, cause: "its keeper holds it".to_owned(), changed: false }
}

fn claim_lost(cause: &str) -> Failure {
    Failure::new(Fault::Undetermined, "claim-lost", format!("the claim is lost: {cause}"))
}

/// A claim that was taken by this call, or found.
struct Claimed {
    got: Got,
    keeper: Option<Process>,
    generation: Option<u64>,
    /// What its keeper tells from now on.
    told: Option<Told>,
    /// Open in whatever works under the claim.
    tether: Option<OwnedFd>,
    /// The other end, where no keeper has it.
    end: Option<OwnedFd>,
}

impl Claimed {
    /// One that no keeper holds.
    fn alone(got: Got) -> Result<Self, Failure> {
        let (end, tether) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Failure::io("a pipe", &e.into()))?;
        Ok(Self { got, keeper: None, generation: None, told: None, tether: Some(tether), end: Some(end) })
    }

    fn ties(&self) -> Ties<'_> {
        Ties { tether: self.tether.as_ref().map(AsFd::as_fd), stop: self.told.as_ref().map(AsFd::as_fd) }
    }

    /// Whether it is still held, as far as its keeper says.
    fn held(&self) -> Result<(), Failure> {
        let lost = self.told.as_ref().and_then(Told::lost);
        let stopped =
            || self.keeper.filter(|k| k.stopped()).map(|k| format!("its keeper, process {}, is stopped", k.pid));
        lost.or_else(stopped).map_or(Ok(()), |cause| Err(claim_lost(&cause)))
    }
}

struct Taking<'a> {
    wanted: &'a Wanted,
    here: Here,
    about: About,
    place: Place,
    deadline: Instant,
}

impl Taking<'_> {
    fn run(&self, claim: Claim, mount: bool, output: &mut Output) -> Result<Answer, Error> {
        let old = self.here.found.record.as_ref();
        let claimed = match claim {
            Claim::Keep => {
                if let Some(cause) = old.map(|r| unkept(r, (self.deadline, self.wanted.timeout))).transpose()?.flatten()
                {
                    let hint = format!("fs-release {}", self.here.point.display());
                    return Err(claim_lost(&format!("it is mounted, but {cause}")).hint(hint).into());
                }
                let keeper = old.and_then(|r| r.keeper);
                Claimed { got: kept(old), keeper, generation: None, told: None, tether: None, end: None }
            }
            Claim::TakeAfterKeeper => {
                self.wait_for_keeper(old.and_then(|r| r.keeper), self.deadline)?;
                match self.claim()? {
                    Ok(claimed) => claimed,
                    Err(held) => return self.refused(held, false, output),
                }
            }
            Claim::Take | Claim::TakeAgain => match self.claim()? {
                Ok(mut claimed) => {
                    if claim == Claim::TakeAgain {
                        let got = &mut claimed.got;
                        got.cause = format!("its keeper was killed, so it was claimed again: {}", got.cause);
                    }
                    claimed
                }
                Err(mut held) => {
                    if !mount {
                        held.cause = format!("it is mounted here, WITHOUT a claim: {}", held.cause);
                        held.hint = Some("two nodes may be writing: fs-release --kill TERM,2s,KILL MOUNTPOINT".into());
                    }
                    return self.refused(held, !mount, output);
                }
            },
        };
        let new = claim != Claim::Keep;
        let done = self.go_on(&claimed, new, mount, output);
        if let (Err(error), true) = (&done, new) {
            // Whoever was told no by the kernel, or by a command that ended, knows that nothing comes.
            let certain =
                matches!(error, Error::Failure(e) if matches!(e.fault, Fault::Unavailable | Fault::Permission));
            self.undo(claimed, mount, certain);
        }
        done
    }

    /// The record as it was found, unless it is that of a keeper that has ended with its mount.
    fn restore(&self) -> Result<(), Failure> {
        let old = self.here.found.record.as_ref();
        let ended =
            |r: &Record| r.guard.has_keeper() && self.here.mounted.is_none() && !r.keeper.is_some_and(Process::runs);
        match old.filter(|r| !ended(r)) {
            Some(old) => self.place.write(old),
            None => self.place.remove(),
        }
    }

    fn refused(&self, held: Held, mounted: bool, output: &mut Output) -> Result<Answer, Error> {
        self.restore()?;
        output.emit(self.about.refused(&held, mounted))?;
        Ok(Answer::No)
    }

    /// Everything after the claim.
    fn go_on(&self, claimed: &Claimed, new: bool, mount: bool, output: &mut Output) -> Result<Answer, Error> {
        if new {
            self.note(claimed, self.here.mounted.as_ref())?;
        }
        output.emit(self.about.claimed(&claimed.got, claimed.keeper.map(|k| k.pid), false))?;
        if !mount {
            let event = mounted_event(self.here.mounted.as_ref(), false, "it was mounted already");
            output.emit(self.about.mounted(&event))?;
            return Ok(Answer::Yes);
        }
        if let Some(patience) = self.wanted.fsck {
            self.check(patience, claimed, output)?;
            // It may have taken long, and its keeper may have been stopped meanwhile and go on just now.
            let bounds = (Instant::now() + self.wanted.timeout, self.wanted.timeout);
            if let Some(cause) = unkept(&self.record(claimed, None), bounds)? {
                return Err(claim_lost(&cause).into());
            }
        }
        claimed.held()?;
        let start = Instant::now();
        let is_block = self.here.device.block().is_some();
        let bounds = (start + self.wanted.timeout, self.wanted.timeout);
        mount::mount(&self.order(), is_block, claimed.ties(), bounds)?;
        let mounted = self.proven()?;
        self.note(claimed, Some(&mounted))?;
        claimed.held()?;
        if mounted.read_only() && !wants_read_only(&self.wanted.options) {
            let message = format!("{} can only be read", self.wanted.device);
            let hint = "a device that is write-protected, or a file system that needs fsck; to have it so: OPTIONS ro";
            return Err(Failure::unavailable("read-only", message).hint(hint).into());
        }
        let mut event = mounted_event(Some(&mounted), true, "as asked");
        event.took = Some(Instant::now().since(start));
        output.emit(self.about.mounted(&event))?;
        Ok(Answer::Yes)
    }

    fn order(&self) -> Order {
        Order {
            source: self.here.device.source(),
            point: self.here.point.clone(),
            fstype: match self.wanted.bind() {
                true => Some("none".to_owned()),
                false => self.wanted.fstype().map(str::to_owned),
            },
            options: self.wanted.options.clone(),
        }
    }

    /// The mount, as the kernel shows it: what is new at that place, whatever a helper has made of its source.
    fn proven(&self) -> Result<Mount, Error> {
        let Here { device, point, .. } = &self.here;
        let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
        let bound = device.bound(&table);
        let is_ours = |m: &Mount| device.is_mounted_as(m, self.wanted.fstype(), bound.as_ref());
        match self.new_at(&table).as_slice() {
            [one] => Ok((*one).clone()),
            [top, _, ..] if is_ours(top) => Ok((*top).clone()),
            _ => {
                let message = format!("{} was mounted, but does not stand on {}", self.wanted.device, point.display());
                Err(Failure::new(Fault::Internal, "mount-failed", message).into())
            }
        }
    }

    /// What was not mounted at the place before, the uppermost first.
    fn new_at<'a>(&self, table: &'a Table) -> Vec<&'a Mount> {
        at(table, &self.here.point).into_iter().take_while(|m| !self.here.before.contains(&m.id)).collect()
    }

    fn note(&self, claimed: &Claimed, mounted: Option<&Mount>) -> Result<(), Failure> {
        self.place.write(&self.record(claimed, mounted))
    }

    fn record(&self, claimed: &Claimed, mounted: Option<&Mount>) -> Record {
        Record {
            node: self.wanted.node.clone(),
            device: self.wanted.device.clone(),
            identity: Some(self.here.device.identity()),
            mountpoint: self.here.point.clone(),
            guard: self.wanted.guard,
            strength: claimed.got.strength.clone(),
            object: self.here.object.clone(),
            generation: claimed.generation,
            keeper: claimed.keeper,
            namespace: namespace(),
            bind: self.wanted.bind(),
            dev: mounted.map(|m| m.dev),
            source: mounted.map(|m| m.source.clone()),
        }
    }

    fn claim(&self) -> Result<Result<Claimed, Held>, Error> {
        let noted = self.here.found.record.is_some();
        let without_keeper = matches!(self.wanted.guard, Kind::Drbd | Kind::ScsiPr);
        if without_keeper && !noted {
            // Before it is asked for: should this process be killed meanwhile, fs-release knows what to give up.
            let got = Got { strength: NOT_YET.to_owned(), cause: String::new(), changed: true };
            self.note(&Claimed::alone(got)?, self.here.mounted.as_ref())?;
        }
        let claimed = self.ask();
        if let Err(Error::Failure(e)) = &claimed
            && e.fault != Fault::Undetermined
            && without_keeper
            && !noted
        {
            self.place.remove()?;
        }
        claimed
    }

    fn ask(&self) -> Result<Result<Claimed, Held>, Error> {
        let bounds = (self.deadline, self.wanted.timeout);
        let alone = |outcome| match outcome {
            Outcome::Got(got) => Claimed::alone(got).map(Ok),
            Outcome::Held(held) => Ok(Err(held)),
        };
        let guarding = match (self.wanted.guard, &self.wanted.lease) {
            (Kind::None, _) => return Ok(alone(Outcome::Got(unguarded(self.here.mounted.is_none())))?),
            (Kind::Drbd, _) => {
                let outcome = resource(self.wanted, bounds)?.promote()?;
                return Ok(alone(self.not_anew(outcome)?)?);
            }
            (Kind::ScsiPr, _) => {
                let old = self.here.found.record.as_ref();
                let known = old.is_some_and(|r| r.guard == Kind::ScsiPr && r.strength != NOT_YET);
                let order = scsi_pr::Order::Acquire { known, take_over: self.wanted.take_over };
                let disk = self.here.device.source();
                let outcome = scsi_pr::ask(Path::new(&disk), &self.wanted.node, order, bounds)?;
                return Ok(alone(self.not_anew(outcome)?)?);
            }
            (Kind::Lease, Some((terms, on_lost))) => Guarding::Lease(terms.clone(), *on_lost),
            (Kind::Flock | Kind::Lease, _) => Guarding::Flock(lock_file(self.wanted, &self.here.device)),
        };
        let patience = match &guarding {
            Guarding::Lease(terms, _) => terms.longest_wait(),
            Guarding::Flock(_) => Duration::ZERO,
        };
        let post = Post {
            about: self.about.clone(),
            node: self.wanted.node.clone(),
            device: self.here.device.clone(),
            fstype: self.wanted.fstype().map(str::to_owned),
            mountpoint: self.here.point.clone(),
            guarding,
            standing: self.here.mounted.as_ref().map(|_| self.before()),
        };
        let timeout = self.wanted.timeout + patience;
        let started = keeper::start(post, Instant::now() + timeout, timeout)?;
        Ok(match started.outcome {
            Outcome::Got(got) => Ok(Claimed {
                got,
                keeper: Some(started.process),
                generation: started.generation,
                told: Some(started.told),
                tether: Some(started.tether),
                end: None,
            }),
            Outcome::Held(held) => Err(held),
        })
    }

    /// Under which claim it was mounted.
    fn before(&self) -> Before {
        let Some(old) = &self.here.found.record else { return Before::default() };
        let who = Who { node: old.node.clone(), process: old.keeper };
        Before { who: Some(who), generation: old.generation.unwrap_or(0) }
    }

    /// What is mounted was mounted under a claim that lasts: one that had to be taken anew may have been another's, and what
    /// the mount has in memory is then old. It is given back.
    fn not_anew(&self, outcome: Outcome) -> Result<Outcome, Error> {
        match outcome {
            Outcome::Got(got) if got.changed && self.here.mounted.is_some() => {
                let record = self.record(&Claimed::alone(got)?, None);
                give_up(&record, None, (Instant::now() + self.wanted.timeout, self.wanted.timeout)).map_err(|e| {
                    let message = format!("it was claimed anew though it is mounted, and cannot be given back: {e}");
                    Failure::new(Fault::Undetermined, "claim-lost", message)
                })?;
                Ok(Outcome::Held(meanwhile(None)))
            }
            other => Ok(other),
        }
    }

    /// A keeper without a mount ends by itself.
    fn wait_for_keeper(&self, keeper: Option<Process>, deadline: Instant) -> Result<(), Failure> {
        let failed = |e| Failure::io("an earlier keeper", &e);
        let Some(fd) = keeper.map(Process::open).transpose().map_err(failed)?.flatten() else { return Ok(()) };
        if wait_for_end(&[fd], deadline).map_err(failed)? {
            return Ok(());
        }
        let pid = keeper.map_or(0, |k| k.pid);
        let message = format!("an earlier keeper, process {pid}, does not end: a mount may still be under way there");
        Err(Failure::new(Fault::Undetermined, "deadline", message))
    }

    fn check(&self, patience: Duration, claimed: &Claimed, output: &mut Output) -> Result<(), Error> {
        let start = Instant::now();
        let source = self.here.device.source();
        let mut call = Command::new("fsck");
        call.arg("-T");
        if let Some(fstype) = self.wanted.fstype() {
            call.args(["-t", fstype]);
        }
        call.arg(&source).arg("-p");
        let ran = tethered_command(claimed.ties(), &mut call, start + patience).map_err(|e| match e {
            AsideError::Io(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Failure::unavailable("no-such-command", "there is no fsck").hint("install util-linux")
            }
            e => e.failure(&format!("checking {source}"), patience),
        })?;
        let cause = match fsck_means(ran.status) {
            Ok(words) => words,
            Err(words) => {
                let message = format!("fsck of {source} ended with {}: {words}: {}", ran.status, ran.words);
                let hint = format!("by hand, with nobody using it: fsck {source}");
                return Err(Failure::unavailable("fsck-failed", message).hint(hint).into());
            }
        };
        output.emit(self.about.checked(Some(ran.status), Some(Instant::now().since(start)), false, cause))?;
        Ok(())
    }

    /// Takes back what this call has done: the mount, then the claim. What cannot be taken back stays noted, for fs-release.
    /// `certain`: no mount is under way.
    fn undo(&self, claimed: Claimed, mount: bool, certain: bool) {
        let Claimed { got, keeper, tether, end, .. } = claimed;
        if let (true, Some(_), Some(tether)) = (certain, keeper, &tether) {
            keeper::nothing_came(tether);
        }
        // Whatever still mounts or checks holds a tether of its own.
        if let Some(end) = end {
            drop(tether);
            if !ends(&end, Instant::now() + TO_DIE) || !self.unmounted(mount) {
                return;
            }
        } else {
            // Before the keeper may go: it would wait for the mount.
            let unmounted = self.unmounted(mount);
            drop(tether);
            if !unmounted {
                return;
            }
        }
        let gone = match keeper {
            _ if !got.changed => true,
            Some(_) => self.wait_for_keeper(keeper, Instant::now() + TO_UNDO).is_ok(),
            None => self.place.read().ok().flatten().is_none_or(|record| {
                give_up(&record, None, (Instant::now() + self.wanted.timeout, self.wanted.timeout)).is_ok()
            }),
        };
        if gone {
            let _ = self.restore();
        }
    }

    /// Whether nothing stands that this call has mounted, at its place or elsewhere.
    fn unmounted(&self, mount: bool) -> bool {
        if !mount {
            return self.here.mounted.is_none();
        }
        let Ok(table) = Table::read(None) else { return false };
        if let Some(top) = self.new_at(&table).first() {
            let deadline = Instant::now() + self.wanted.timeout;
            let way = Way { kill: None, lazy: false, deadline, timeout: self.wanted.timeout };
            if !matches!(let_go(&self.about, top, &way, &mut |_| Ok(())), Ok(Went::Done(_) | Went::Nothing)) {
                return false;
            }
        }
        let Ok(table) = Table::read(None) else { return false };
        let bound = self.here.device.bound(&table);
        let is_ours = |m: &Mount| self.here.device.is_mounted_as(m, self.wanted.fstype(), bound.as_ref());
        let new_elsewhere = table.0.iter().any(|m| !self.here.before.contains(&m.id) && is_ours(m));
        self.new_at(&table).is_empty() && !new_elsewhere
    }
}

/// The strength of a claim that is about to be asked for.
const NOT_YET: &str = "none";

/// Whether the other ends of a pipe are all closed by then.
fn ends(pipe: &OwnedFd, deadline: Instant) -> bool {
    let Ok(waiter) = Waiter::new() else { return false };
    let ready = waiter.wait(&[(pipe.as_fd(), PollFlags::POLLIN)], Some(deadline));
    ready.is_ok_and(|ready| ready.first().is_some_and(|r| !r.is_empty()))
}

/// What is said where nobody is kept away.
fn unguarded(changed: bool) -> Got {
    let cause = "nobody is kept away: that no other node has it is for the caller to know".to_owned();
    Got { strength: "none".to_owned(), cause, changed }
}

fn lock_file(wanted: &Wanted, device: &Device) -> PathBuf {
    wanted.lock_file.clone().unwrap_or_else(|| flock::default_file(&device.identity()))
}

fn mounted_event(mount: Option<&Mount>, changed: bool, cause: &str) -> Mounted {
    Mounted {
        fstype: mount.map(|m| m.fstype.clone()),
        options: mount.map(Mount::all_options),
        changed,
        cause: cause.to_owned(),
        ..Mounted::default()
    }
}

/// What the exit status of fsck means: good enough to be mounted, or not.
///
/// # Errors
/// Words for why not.
pub fn fsck_means(status: i32) -> Result<&'static str, &'static str> {
    match status {
        0 => Ok("no errors"),
        1 => Ok("errors were corrected"),
        s if s & 128 != 0 => Err("it could not be started, or was killed"),
        s if s & 32 != 0 => Err("it was cancelled"),
        s if s & 16 != 0 => Err("it did not understand its arguments, or does not know the type"),
        s if s & 8 != 0 => Err("it could not do its work: the device is in use, or cannot be read"),
        s if s & 4 != 0 => Err("errors are left"),
        s if s & 2 != 0 => Err("errors were corrected, and it wants a reboot"),
        _ => Err("it says nothing that is known"),
    }
}

fn dry_run(wanted: &Wanted, here: &Here, claim: Claim, mount: bool, output: &mut Output) -> Result<Answer, Error> {
    let about = wanted.about(&here.point);
    let old = here.found.record.as_ref();
    let outcome = match claim {
        Claim::Keep => {
            let bounds = (Instant::now() + wanted.timeout, wanted.timeout);
            if let Some(cause) = old.map(|r| unkept(r, bounds)).transpose()?.flatten() {
                return Err(claim_lost(&format!("it is mounted, but {cause}")).into());
            }
            Outcome::Got(kept(old))
        }
        _ => would_get(wanted, here)?,
    };
    match outcome {
        Outcome::Held(held) => {
            output.emit(about.refused(&held, !mount))?;
            return Ok(Answer::No);
        }
        Outcome::Got(got) => output.emit(about.claimed(&got, old.and_then(|r| r.keeper).map(|k| k.pid), true))?,
    }
    if mount && wanted.fsck.is_some() {
        output.emit(about.checked(None, None, true, "would be checked"))?;
    }
    let mut event =
        mounted_event(here.mounted.as_ref(), mount, if mount { "as asked" } else { "it is mounted already" });
    event.dry_run = true;
    event.fstype = event.fstype.or_else(|| wanted.fstype().map(str::to_owned));
    event.options = event.options.or_else(|| (!wanted.options.is_empty()).then(|| wanted.options.join(",")));
    output.emit(about.mounted(&event))?;
    Ok(Answer::Yes)
}

/// Whether the claim could be had, as far as that can be seen without taking it.
fn would_get(wanted: &Wanted, here: &Here) -> Result<Outcome, Error> {
    let got = |strength: &str, cause: String| Outcome::Got(Got { strength: strength.to_owned(), cause, changed: true });
    let deadline = Instant::now() + wanted.timeout;
    Ok(match (wanted.guard, &wanted.lease) {
        (Kind::None, _) => Outcome::Got(unguarded(here.mounted.is_none())),
        (Kind::Drbd, _) => resource(wanted, (deadline, wanted.timeout))?.would_promote()?,
        (Kind::ScsiPr, _) => {
            let order = scsi_pr::Order::Look { take_over: wanted.take_over };
            scsi_pr::ask(Path::new(&here.device.source()), &wanted.node, order, (deadline, wanted.timeout))?
        }
        (Kind::Lease, Some((terms, _))) => {
            let seen = lease::inspect(&terms.device, Duration::ZERO).map_err(Failure::from)?;
            let cause = match seen.holder.filter(|_| !seen.released) {
                Some(holder) => format!("{} stands in it; whether it is renewed shows only in time", holder.node),
                None => "nobody holds it".to_owned(),
            };
            got(terms.strength(), cause)
        }
        (Kind::Flock | Kind::Lease, _) => {
            let file = lock_file(wanted, &here.device);
            match flock::holder(&file)? {
                Some(held) => Outcome::Held(held),
                None => got("advisory", format!("nobody has locked {}", file.display())),
            }
        }
    })
}

/// What is so, without touching it: yes where it is mounted and its claim held, no where it is not mounted.
///
/// # Errors
/// When it is mounted without the claim that it was mounted with.
pub fn status(wanted: &Wanted, output: &mut Output) -> Result<Answer, Error> {
    let bounds = (Instant::now() + wanted.timeout, wanted.timeout);
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let point = device::place(&wanted.mountpoint, &table, bounds)?;
    let record = look(&point)?;
    let mut about = wanted.about(&point);
    about.guard = record.as_ref().map(|r| r.guard).or(Some(wanted.guard));
    let keeper = record.as_ref().and_then(|r| r.keeper).filter(|k| k.runs()).map(|k| k.pid);
    let is = |mounted, strength: Option<&str>, cause: &str| {
        about.storage(mounted, strength.is_some(), strength.unwrap_or("none"), keeper, cause)
    };
    let here = match at(&table, &point).is_empty() {
        true => None,
        false => {
            let looked = device::look(&wanted.device, wanted.fstype(), wanted.bind(), None, bounds)?;
            let object = object(wanted, &looked.device, bounds.0).ok().flatten();
            Some(find(wanted, looked.device, point.clone(), record.clone(), object)?)
        }
    };
    let Some((here, mounted)) = here.as_ref().and_then(|h| Some((h, h.mounted.as_ref()?))) else {
        let stack = here.as_ref().map(|h| h.found.stack.as_slice()).unwrap_or_default();
        if let Some(cause) = not_seen(stack, record.as_ref(), &table) {
            output.emit(is(true, None, &cause))?;
            return Ok(Answer::CannotTell);
        }
        let cause = if stack.is_empty() { "nothing is mounted there" } else { "something else is mounted there" };
        output.emit(is(false, None, cause))?;
        return Ok(Answer::No);
    };
    let holds = match &record {
        Some(r) => holds(r, &here.found, wanted, bounds)?,
        None if wanted.guard == Kind::None => Ok("none".to_owned()),
        None => Err("it was not claimed by fs-claim".to_owned()),
    };
    let wrong = (mounted.read_only() && !wants_read_only(&wanted.options)).then_some("it can only be read");
    let strength = holds.as_deref().ok();
    match holds.as_ref().err().map(String::as_str).or(wrong) {
        Some(but) => {
            output.emit(is(true, strength, &format!("it is mounted, but {but}")))?;
            Ok(Answer::CannotTell)
        }
        None => {
            output.emit(is(true, strength, "it is mounted"))?;
            Ok(Answer::Yes)
        }
    }
}

/// Why it may be mounted all the same, though it cannot be reached at its place.
fn not_seen(stack: &[(String, bool)], record: Option<&Record>, table: &Table) -> Option<String> {
    if let [(top, _), rest @ ..] = stack
        && rest.iter().any(|(_, ours)| *ours)
    {
        return Some(format!("it is mounted, but {top} is mounted over it"));
    }
    let record = record?;
    if let Some(keeper) = record.keeper.filter(|k| k.runs()) {
        let why = "it may be hidden, or in another mount namespace";
        return Some(format!("it is not seen there, but its keeper, process {}, holds the claim: {why}", keeper.pid));
    }
    let dev = record.dev.filter(|_| !record.bind)?;
    if table.0.iter().any(|m| m.dev == dev && m.point == record.mountpoint && Some(&m.source) == record.source.as_ref())
    {
        return Some("it is mounted, but hidden below another mount".to_owned());
    }
    if record.namespace == namespace() {
        return None;
    }
    let (pid, _) = elsewhere(dev).into_iter().find(|(_, point)| *point == record.mountpoint)?;
    Some(format!("it is mounted in another mount namespace, that of process {pid}"))
}

/// What the claim of a record is worth at this moment, or why it is not this node's: who keeps it is asked.
fn holds(
    record: &Record,
    found: &Found,
    wanted: &Wanted,
    bounds: (Instant, Duration),
) -> Result<Result<String, String>, Failure> {
    // Without a guard in the call it is asked about the one that there is.
    let asked = if wanted.guard == Kind::None { record.guard } else { wanted.guard };
    let found = Found { object: found.object.clone().filter(|_| wanted.guard != Kind::None), ..found.clone() };
    if let Some(cause) = differs(record, &found, asked) {
        return Ok(Err(cause));
    }
    let object = record.object.as_deref().unwrap_or_default();
    let outcome = match record.guard {
        Kind::None | Kind::Flock | Kind::Lease => {
            return Ok(unkept(record, bounds)?.map_or_else(|| Ok(record.strength.clone()), Err));
        }
        Kind::Drbd => {
            drbd::Resource::find(Some(object), Path::new(&record.device), bounds.0, bounds.1)?.would_promote()?
        }
        Kind::ScsiPr => {
            let look = scsi_pr::Order::Look { take_over: false };
            scsi_pr::ask(Path::new(object), &record.node, look, bounds)?
        }
    };
    Ok(match outcome {
        Outcome::Got(got) if !got.changed => Ok(got.strength),
        Outcome::Got(_) if record.guard == Kind::Drbd => Err(format!("{object} is not primary here")),
        Outcome::Got(_) => Err("the disk is not reserved for this node any more".to_owned()),
        Outcome::Held(held) => Err(held.cause),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fsck_says() {
        assert!(fsck_means(0).is_ok() && fsck_means(1).is_ok());
        for status in [2, 3, 4, 5, 8, 12, 16, 32, 64, 128, 137] {
            assert!(fsck_means(status).is_err(), "{status}");
        }
    }
}
