//! fs-claim: the claim, the check, the mount, in this order; and back again where one fails.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::aside::{AsideError, tethered_command};
use super::claim::{Claim, Decision, Found, decide};
use super::device::{self, Device, lexical};
use super::guard::{Got, Held, Kind, Outcome, drbd, flock, scsi_pr};
use super::keeper::{self, Guarding, OnLost, Post};
use super::lease::{self, Terms};
use super::mount::{self, Order, is_bind, wants_read_only};
use super::mountinfo::{Mount, Table};
use super::news::{About, Mounted};
use super::process::{Process, wait_for_end};
use super::record::{Place, Record, look, namespace};
use super::release::{Way, Went, give_up, let_go};
use crate::cli::Error;
use crate::cli::Failure;
use crate::cli::exit::{Answer, Fault};
use crate::cli::output::Output;
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
    let here = find(wanted, device, point, record)?;
    let about = wanted.about(&here.point);
    let (claim, mount) = match decide(&here.found, wanted.guard, wants_read_only(&wanted.options)) {
        Decision::Refuse { cause, hint } => {
            let held = Held { holder: None, cause, hint: Some(hint) };
            output.emit(about.refused(&held, !here.found.stack.is_empty()))?;
            return Ok(Answer::No);
        }
        Decision::Go { claim, mount } => (claim, mount),
    };
    let Some(place) = place else { return dry_run(wanted, &here, claim, mount, output) };
    let taking = Taking { wanted, here, about, place, deadline };
    taking.run(claim, mount, output)
}

/// DEVICE and MOUNTPOINT, understood.
fn places(wanted: &Wanted, deadline: Instant) -> Result<(Device, PathBuf), Failure> {
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let words = lexical(&wanted.mountpoint);
    // A mount point in the table has no symbolic links, and is not looked at: its server may be dead.
    let known = !table.stack(&words).is_empty();
    let asked = (!known).then_some(words.as_path());
    let bind = wanted.bind();
    let looked = device::look(&wanted.device, wanted.fstype(), bind, asked, (deadline, wanted.timeout))?;
    if known {
        return Ok((looked.device, words));
    }
    let Some(point) = looked.mountpoint else {
        let message = format!("{} does not exist", words.display());
        let hint = format!("mkdir -p {}", words.display());
        return Err(Failure::unavailable("no-such-mountpoint", message).hint(hint));
    };
    if !looked.folder && !bind {
        let message = format!("{} is no folder", point.display());
        return Err(Failure::unavailable("no-such-mountpoint", message));
    }
    Ok((looked.device, point))
}

/// What is mounted there, and where else.
fn find(wanted: &Wanted, device: Device, point: PathBuf, record: Option<Record>) -> Result<Here, Failure> {
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let bound = device.bound(&table);
    let ours = |m: &Mount| device.is_mounted_as(m, wanted.fstype(), bound.as_ref());
    let stack: Vec<&Mount> = table.stack(&point).into_iter().filter(|m| m.fstype != "autofs").collect();
    let elsewhere = match device {
        // A bind is a second place by its nature, and exports may be had in several.
        Device::Block { .. } | Device::File(_) => {
            table.0.iter().filter(|m| m.point != point && ours(m)).map(|m| m.point.display().to_string()).collect()
        }
        Device::Bind(_) | Device::Name(_) => Vec::new(),
    };
    let runs = record.as_ref().and_then(|r| r.keeper).is_some_and(Process::runs);
    let found = Found {
        stack: stack.iter().map(|m| (m.source.clone(), ours(m))).collect(),
        read_only: stack.first().is_some_and(|m| m.read_only()),
        elsewhere,
        keeper: runs,
        other_namespace: record.as_ref().is_some_and(|r| r.namespace != namespace()),
        record,
    };
    let mounted = stack.first().copied().filter(|m| ours(m)).cloned();
    Ok(Here { device, point, found, mounted })
}

/// A claim that was taken by this call, or found.
struct Claimed {
    got: Got,
    keeper: Option<Process>,
    tether: Option<OwnedFd>,
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
                let strength = old.map_or_else(String::new, |r| r.strength.clone());
                let got = Got { strength, cause: "its keeper holds it".to_owned(), changed: false };
                Claimed { got, keeper: old.and_then(|r| r.keeper), tether: None }
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
        if done.is_err() && new {
            self.undo(claimed, mount);
        }
        done
    }

    fn refused(&self, held: Held, mounted: bool, output: &mut Output) -> Result<Answer, Error> {
        if !mounted {
            self.place.remove()?;
        }
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
        }
        let start = Instant::now();
        let is_block = self.here.device.block().is_some();
        let bounds = (start + self.wanted.timeout, self.wanted.timeout);
        mount::mount(&self.order(), is_block, claimed.tether.as_ref().map(AsFd::as_fd), bounds)?;
        let mounted = self.proven()?;
        self.note(claimed, Some(&mounted))?;
        if claimed.keeper.is_some_and(|k| !k.runs()) {
            let message = "the claim was lost while it was mounted";
            return Err(Failure::new(Fault::Undetermined, "claim-lost", message).into());
        }
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

    /// The mount, as the kernel shows it.
    fn proven(&self) -> Result<Mount, Error> {
        let Here { device, point, .. } = &self.here;
        let here = find(self.wanted, device.clone(), point.clone(), None)?;
        here.mounted.ok_or_else(|| {
            let message = format!("{} was mounted, but does not stand on {}", self.wanted.device, point.display());
            Failure::new(Fault::Internal, "mount-failed", message).into()
        })
    }

    fn note(&self, claimed: &Claimed, mounted: Option<&Mount>) -> Result<(), Failure> {
        self.place.write(&Record {
            node: self.wanted.node.clone(),
            device: self.wanted.device.clone(),
            mountpoint: self.here.point.clone(),
            guard: self.wanted.guard,
            strength: claimed.got.strength.clone(),
            object: self.object()?,
            keeper: claimed.keeper,
            namespace: namespace(),
            bind: self.wanted.bind(),
            dev: mounted.map(|m| m.dev),
        })
    }

    /// What the guard acts on.
    fn object(&self) -> Result<Option<String>, Failure> {
        Ok(match self.wanted.guard {
            Kind::Drbd => Some(self.resource()?.name),
            Kind::ScsiPr => Some(self.here.device.source()),
            Kind::Flock => Some(lock_file(self.wanted, &self.here.device).display().to_string()),
            Kind::None | Kind::Lease => None,
        })
    }

    fn resource(&self) -> Result<drbd::Resource, Failure> {
        let named = self.wanted.drbd_resource.as_deref();
        drbd::Resource::find(named, Path::new(&self.wanted.device), self.deadline, self.wanted.timeout)
    }

    fn claim(&self) -> Result<Result<Claimed, Held>, Error> {
        let noted = self.here.found.record.is_some();
        let without_keeper = matches!(self.wanted.guard, Kind::Drbd | Kind::ScsiPr);
        if without_keeper && !noted {
            // Before it is asked for: should this process be killed meanwhile, fs-release knows what to give up.
            let got = Got { strength: "none".to_owned(), cause: String::new(), changed: true };
            self.note(&Claimed { got, keeper: None, tether: None }, self.here.mounted.as_ref())?;
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
        let alone = |outcome| match outcome {
            Outcome::Got(got) => Ok(Claimed { got, keeper: None, tether: None }),
            Outcome::Held(held) => Err(held),
        };
        let guarding = match (self.wanted.guard, &self.wanted.lease) {
            (Kind::None, _) => return Ok(alone(Outcome::Got(unguarded(self.here.mounted.is_none())))),
            (Kind::Drbd, _) => {
                let resource = self.resource()?;
                return Ok(alone(resource.promote()?));
            }
            (Kind::ScsiPr, _) => {
                let order = if self.wanted.take_over { scsi_pr::Order::TakeOver } else { scsi_pr::Order::Acquire };
                let (disk, bounds) = (self.here.device.source(), (self.deadline, self.wanted.timeout));
                return Ok(alone(scsi_pr::ask(Path::new(&disk), &self.wanted.node, order, bounds)?));
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
        };
        let timeout = self.wanted.timeout + patience;
        let started = keeper::start(post, Instant::now() + timeout, timeout)?;
        Ok(match started.outcome {
            Outcome::Got(got) => Ok(Claimed { got, keeper: Some(started.process), tether: Some(started.tether) }),
            Outcome::Held(held) => Err(held),
        })
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
        let tether = claimed.tether.as_ref().map(AsFd::as_fd);
        let ran = tethered_command(tether, &mut call, start + patience).map_err(|e| match e {
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

    /// Takes back what this call has done: the mount, then the claim. What cannot be taken back stays noted.
    fn undo(&self, claimed: Claimed, mount: bool) {
        let mut say = |_| Ok(());
        let Ok(here) = find(self.wanted, self.here.device.clone(), self.here.point.clone(), None) else { return };
        if let (true, Some(mounted)) = (mount, &here.mounted) {
            let deadline = Instant::now() + self.wanted.timeout;
            let way = Way { kill: None, lazy: false, deadline, timeout: self.wanted.timeout };
            if !matches!(let_go(&self.about, mounted, &way, &mut say), Ok(Went::Done(_) | Went::Nothing)) {
                return;
            }
        } else if here.mounted.is_some() {
            return;
        }
        let Claimed { got, keeper, tether } = claimed;
        // Whatever still mounts holds a tether of its own: then the keeper stays, and so does its note.
        drop(tether);
        let gone = match keeper {
            _ if !got.changed => true,
            Some(_) => self.wait_for_keeper(keeper, Instant::now() + TO_UNDO).is_ok(),
            None => self.place.read().ok().flatten().is_none_or(|record| {
                give_up(&record, None, (Instant::now() + self.wanted.timeout, self.wanted.timeout)).is_ok()
            }),
        };
        if gone {
            let _ = self.place.remove();
        }
    }
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
            let strength = old.map_or_else(String::new, |r| r.strength.clone());
            Outcome::Got(Got { strength, cause: "its keeper holds it".to_owned(), changed: false })
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
        (Kind::Drbd, _) => {
            let named = wanted.drbd_resource.as_deref();
            drbd::Resource::find(named, Path::new(&wanted.device), deadline, wanted.timeout)?.would_promote()?
        }
        (Kind::ScsiPr, _) => {
            let order = scsi_pr::Order::Look { take_over: wanted.take_over };
            scsi_pr::ask(Path::new(&here.device.source()), &wanted.node, order, (deadline, wanted.timeout))?
        }
        (Kind::Lease, Some((terms, _))) => {
            let seen = lease::inspect(&terms.device, Duration::ZERO).map_err(from_lease)?;
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

fn from_lease(e: lease::LeaseError) -> Failure {
    let mut failure = Failure::new(e.fault(), e.code(), e.to_string());
    failure.hint = e.hint();
    failure
}

/// What is so, without touching it: yes where it is mounted and its claim held, no where it is not mounted.
///
/// # Errors
/// When it is mounted without the claim that it was mounted with.
pub fn status(wanted: &Wanted, output: &mut Output) -> Result<Answer, Error> {
    let deadline = Instant::now() + wanted.timeout;
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let words = lexical(&wanted.mountpoint);
    let point = match table.stack(&words).is_empty() {
        true => device::resolve(&words, deadline),
        false => words,
    };
    let record = look(&point)?;
    let mut about = wanted.about(&point);
    about.guard = record.as_ref().map(|r| r.guard).or(Some(wanted.guard));
    let say = |mounted, claimed, cause: &str, output: &mut Output| {
        let strength = record.as_ref().filter(|_| claimed).map_or("none", |r| r.strength.as_str());
        let keeper = record.as_ref().and_then(|r| r.keeper).filter(|k| k.runs()).map(|k| k.pid);
        output.emit(about.storage(mounted, claimed, strength, keeper, cause))
    };
    if table.stack(&point).is_empty() {
        say(false, false, "nothing is mounted there", output)?;
        return Ok(Answer::No);
    }
    let looked = device::look(&wanted.device, wanted.fstype(), wanted.bind(), None, (deadline, wanted.timeout))?;
    let here = find(wanted, looked.device, point.clone(), record.clone())?;
    let Some(mounted) = &here.mounted else {
        say(false, false, "something else is mounted there", output)?;
        return Ok(Answer::No);
    };
    let gone = match &record {
        Some(r) if r.guard.has_keeper() && !here.found.keeper => {
            Some("its keeper is gone, and its claim with it: fs-claim takes it again".to_owned())
        }
        Some(r) if r.guard.has_keeper() => None,
        Some(r) => lost(r, (deadline, wanted.timeout))?,
        None if wanted.guard == Kind::None => None,
        None => Some("it was not claimed by fs-claim".to_owned()),
    };
    let wrong = match mounted.read_only() && !wants_read_only(&wanted.options) {
        true => Some("it can only be read".to_owned()),
        false => None,
    };
    let claimed = gone.is_none();
    match gone.or(wrong) {
        Some(but) => {
            say(true, claimed, &format!("it is mounted, but {but}"), output)?;
            Ok(Answer::CannotTell)
        }
        None => {
            say(true, claimed, "it is mounted", output)?;
            Ok(Answer::Yes)
        }
    }
}

/// Why a claim that no process holds is not this node's any more: who keeps it is asked, for what was noted may be long ago.
fn lost(record: &Record, bounds: (Instant, Duration)) -> Result<Option<String>, Failure> {
    let Some(object) = &record.object else { return Ok(None) };
    match record.guard {
        Kind::None | Kind::Flock | Kind::Lease => Ok(None),
        Kind::Drbd => {
            let resource = drbd::Resource::find(Some(object), Path::new(&record.device), bounds.0, bounds.1)?;
            Ok((!resource.roles()?.primary).then(|| format!("{object} is not primary here")))
        }
        Kind::ScsiPr => {
            let look = scsi_pr::Order::Look { take_over: false };
            Ok(match scsi_pr::ask(Path::new(object), &record.node, look, bounds)? {
                Outcome::Got(got) if !got.changed => None,
                Outcome::Got(_) => Some("the disk is not reserved for this node any more".to_owned()),
                Outcome::Held(held) => Some(held.cause),
            })
        }
    }
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
