//! fs-release: the unmount, the holders where it is in use, the proof, and only then the end of the claim.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::device::{self, lexical, number_of};
use super::guard::{Held, Kind, Outcome, drbd, scsi_pr};
use super::holders::Holder;
use super::holders::plan::{Plan, Step};
use super::holders::proc::holders;
use super::mount::{Remains, Unmounted, remains, unmount};
use super::mountinfo::{Dev, Mount, Table};
use super::news::{About, Mounted};
use super::process::{PidFd, Process, protected, wait_for_end};
use super::record::{Place, Record, look};
use crate::cli::event::Event;
use crate::cli::exit::{Answer, Fault};
use crate::cli::output::Output;
use crate::cli::{Error, Failure};
use crate::clock::Instant;

/// What is to be released.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where.
    pub mountpoint: PathBuf,
    /// What to do with the holders.
    pub kill: Option<Plan>,
    /// Hide it where it is in use.
    pub lazy: bool,
    /// For all of it.
    pub timeout: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How a mount is let go.
#[derive(Clone, Debug)]
pub struct Way {
    /// What to do with the holders.
    pub kill: Option<Plan>,
    /// Hide it where it is in use.
    pub lazy: bool,
    /// When it has to be done.
    pub deadline: Instant,
    /// How long that is from the start, for messages.
    pub timeout: Duration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// Unmounted; true: lazily.
    Done(bool),
    /// It was not mounted.
    Nothing,
    /// It is in use, and stands.
    Busy {
        /// How many hold it.
        holders: usize,
        /// What is mounted on it.
        mounts: Vec<String>,
        /// In words.
        cause: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What is said on the way.
pub type Say<'a> = dyn FnMut(Event) -> Result<(), Error> + 'a;

/// How long a file system may take to be gone after its unmount: files of killed processes are closed after their end.
const TO_BE_GONE: Duration = Duration::from_secs(2);

/// Between two looks for that.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Unmounts the mount, which has to be the uppermost of its place, and deals with its holders.
///
/// # Errors
/// When it could not be tried; at the deadline.
pub fn let_go(about: &About, mount: &Mount, way: &Way, say: &mut Say) -> Result<Went, Error> {
    let bounds = (way.deadline, way.timeout);
    let once = |lazy| unmount(mount, lazy, bounds);
    let first = match once(false) {
        // A server that does not answer is what lazy is for.
        Err(e) if way.lazy && e.code == "deadline" => {
            let more = Way { deadline: Instant::now() + way.timeout, ..way.clone() };
            return match unmount(mount, true, (more.deadline, more.timeout))? {
                Unmounted::Nothing => Ok(Went::Nothing),
                _ => Ok(Went::Done(true)),
            };
        }
        first => first?,
    };
    match first {
        Unmounted::Done => return Ok(Went::Done(false)),
        Unmounted::Nothing => return Ok(Went::Nothing),
        Unmounted::Busy => {}
    }
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let mounts: Vec<String> =
        table.standing_on(mount.id).iter().map(|m| m.point.to_string_lossy().into_owned()).collect();
    if !mounts.is_empty() && !way.lazy {
        let cause = format!("mounted on it: {}", mounts.join(", "));
        let hint = Some("fs-release those first".to_owned());
        return Ok(Went::Busy { holders: 0, mounts, cause, hint });
    }
    let spared = protected();
    let (mut found, mut exact) = seek(about, mount, way, &spared, say)?;
    if let Some(plan) = &way.kill
        && kill(about, mount, plan, way, &spared, say)?
    {
        return Ok(Went::Done(false));
    }
    if way.lazy {
        return match once(true)? {
            Unmounted::Nothing => Ok(Went::Nothing),
            _ => Ok(Went::Done(true)),
        };
    }
    if way.kill.is_some() {
        (found, exact) = seek(about, mount, way, &spared, say)?;
    }
    let (mut cause, hint) = explain(&found, &spared, way.kill.is_some());
    if !exact {
        cause.push_str("; it does not answer, so that only open files, folders and programs were looked at");
    }
    Ok(Went::Busy { holders: found.len(), mounts, cause, hint })
}

/// Who holds it, told one by one; and whether that could be asked of the files themselves.
fn seek(
    about: &About,
    mount: &Mount,
    way: &Way,
    spared: &HashSet<i32>,
    say: &mut Say,
) -> Result<(Vec<Holder>, bool), Error> {
    let (found, exact) = holders(mount, way.deadline, way.timeout)?;
    for holder in &found {
        say(about.holder(holder, is_spared(holder, spared)))?;
    }
    Ok((found, exact))
}

fn is_spared(holder: &Holder, spared: &HashSet<i32>) -> bool {
    holder.process.is_some_and(|p| spared.contains(&p.pid))
}

fn explain(found: &[Holder], spared: &HashSet<i32>, killed: bool) -> (String, Option<String>) {
    let names: Vec<String> = found
        .iter()
        .take(5)
        .map(|h| h.process.map_or_else(|| h.command.clone(), |p| format!("{} ({})", p.pid, h.command)))
        .collect();
    let more = found.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let cause = match (found, killed) {
        ([], _) => "no process that is seen here holds it: the kernel does (an NFS server, a file in flight), or a \
                    process of another PID namespace"
            .to_owned(),
        (_, true) => format!("still held by {}{more}", names.join(", ")),
        (_, false) => format!("held by {}{more}", names.join(", ")),
    };
    let hint = match (found, killed) {
        ([], _) => None,
        (list, _) if list.iter().any(|h| h.process.is_none()) => {
            Some("what the kernel holds is ended by losetup -d, swapoff or exportfs -u".to_owned())
        }
        (list, _) if list.iter().all(|h| is_spared(h, spared)) => {
            Some("this command was called from there: leave that folder, or call it from elsewhere".to_owned())
        }
        (_, false) => Some("end them, or let fs-release do it: --kill TERM,2s,KILL".to_owned()),
        (_, true) => None,
    };
    (cause, hint)
}

/// Carries the plan out. Before each signal it is read anew who holds the mount, and only the very process that was read
/// about gets it. True as soon as the mount is gone.
fn kill(
    about: &About,
    mount: &Mount,
    plan: &Plan,
    way: &Way,
    spared: &HashSet<i32>,
    say: &mut Say,
) -> Result<bool, Error> {
    let mut ending: Vec<PidFd> = Vec::new();
    for step in &plan.0 {
        match step {
            Step::Send(signal) => {
                ending.clear();
                let (found, _) = holders(mount, way.deadline, way.timeout)?;
                for holder in found.iter().filter(|h| !is_spared(h, spared)) {
                    ending.extend(send(about, holder, *signal, say)?);
                }
            }
            Step::Wait(duration) => {
                let until = (Instant::now() + *duration).min(way.deadline);
                wait_for_end(&ending, until).map_err(|e| Failure::io("waiting for the holders", &e))?;
                if settled(mount, way, until)? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

fn send(about: &About, holder: &Holder, signal: Signal, say: &mut Say) -> Result<Option<PidFd>, Error> {
    let failed = |e| Failure::io("signalling a holder", &e);
    let Some(fd) = holder.process.map(Process::open).transpose().map_err(failed)?.flatten() else { return Ok(None) };
    if fd.signal(signal).map_err(failed)? {
        say(about.killed(holder, signal.as_str()))?;
        return Ok(Some(fd));
    }
    Ok(None)
}

/// Tries to unmount; the files of a process that has just ended may take a moment.
fn settled(mount: &Mount, way: &Way, until: Instant) -> Result<bool, Error> {
    loop {
        match unmount(mount, false, (way.deadline, way.timeout))? {
            Unmounted::Done | Unmounted::Nothing => return Ok(true),
            Unmounted::Busy if Instant::now() >= until => return Ok(false),
            Unmounted::Busy => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// Releases a mount point: unmounted and proven to be, then its claim given up.
///
/// # Errors
/// When it could not be told or tried.
pub fn release(wanted: &Wanted, output: &mut Output) -> Result<Answer, Error> {
    let start = Instant::now();
    let deadline = start + wanted.timeout;
    let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let point = device::place(&wanted.mountpoint, &table, (deadline, wanted.timeout))?;
    // A dry run leaves nothing behind, not even a folder for the lock.
    let place = if wanted.dry_run { None } else { Some(Place::lock(&point, deadline)?) };
    let record = match &place {
        Some(place) => place.read()?,
        None => look(&point)?,
    };
    let stack: Vec<&Mount> = table.stack(&point).into_iter().filter(|m| m.fstype != "autofs").collect();
    let about = About {
        device: record.as_ref().map(|r| r.device.clone()).or_else(|| stack.first().map(|m| m.source.clone())),
        mountpoint: point.to_string_lossy().into_owned(),
        guard: record.as_ref().map(|r| r.guard),
        node: record.as_ref().map(|r| r.node.clone()),
    };
    if let Some((cause, hint)) = record.as_ref().and_then(Record::elsewhere) {
        let message = format!("{}: {cause}", point.display());
        return Err(Failure::unavailable("other-namespace", message).hint(hint).into());
    }
    if let Some(held) = not_ours(&stack, record.as_ref()) {
        output.emit(about.refused(&held, true))?;
        return Ok(Answer::No);
    }
    let releasing = Releasing { wanted, about, record, place, start, deadline };
    let mut voice = Voice { output, failed: None };
    let answer = releasing.run(stack.first().copied(), &mut voice);
    answer.and_then(|answer| voice.failed.map_or(Ok(answer), Err))
}

/// What is said on the way. That nobody listens any more must not stop a release half way: it is told at the end.
struct Voice<'a> {
    output: &'a mut Output,
    failed: Option<Error>,
}

impl Voice<'_> {
    fn emit(&mut self, event: Event) {
        if self.failed.is_none() {
            self.failed = self.output.emit(event).err().map(Error::from);
        }
    }
}

/// Whether what is mounted there is to be unmounted; why not.
fn not_ours(stack: &[&Mount], record: Option<&Record>) -> Option<Held> {
    let held = |cause: String, hint: &str| Some(Held { holder: None, cause, hint: Some(hint.to_owned()) });
    let dev = record.and_then(|r| r.dev);
    match (stack, dev) {
        ([], _) | ([_], None) => None,
        ([top, ..], Some(dev)) if top.dev == dev => None,
        ([top, rest @ ..], Some(dev)) if rest.iter().any(|m| m.dev == dev) => {
            held(format!("{} is mounted over what was claimed", top.source), "umount that first")
        }
        ([top, ..], Some(_)) => {
            let cause = format!("{} is mounted there, and not what was claimed", top.source);
            held(cause, "if it is to go: umount MOUNTPOINT, then fs-release again")
        }
        ([top, rest @ ..], None) => {
            let below: Vec<&str> = rest.iter().map(|m| m.source.as_str()).collect();
            let cause = format!("{} is mounted over {}: which is meant cannot be told", top.source, below.join(", "));
            held(cause, "umount MOUNTPOINT takes the uppermost")
        }
    }
}

struct Releasing<'a> {
    wanted: &'a Wanted,
    about: About,
    record: Option<Record>,
    place: Option<Place>,
    start: Instant,
    deadline: Instant,
}

impl Releasing<'_> {
    fn run(&self, mount: Option<&Mount>, output: &mut Voice) -> Result<Answer, Error> {
        let Wanted { timeout, dry_run, .. } = *self.wanted;
        if dry_run {
            return self.dry_run(mount, output);
        }
        // Opened now: after the unmount it may be through before we look.
        let keeper = self.record.as_ref().and_then(|r| r.keeper).map(Process::open).transpose();
        let keeper = keeper.map_err(|e| Failure::io("the keeper", &e))?.flatten();
        let mut event = Mounted { fstype: mount.map(|m| m.fstype.clone()), ..Mounted::default() };
        let mut lazy = false;
        match mount {
            None => event.cause = "nothing is mounted there".to_owned(),
            Some(mount) => {
                let way =
                    Way { kill: self.wanted.kill.clone(), lazy: self.wanted.lazy, deadline: self.deadline, timeout };
                let mut say = |event| {
                    output.emit(event);
                    Ok(())
                };
                match let_go(&self.about, mount, &way, &mut say)? {
                    Went::Done(hidden) => {
                        (event.changed, lazy) = (true, hidden);
                        event.cause = if hidden { "hidden: its users go on".into() } else { "as asked".into() };
                    }
                    Went::Nothing => event.cause = "somebody else was faster".to_owned(),
                    Went::Busy { holders, mounts, cause, hint } => {
                        output.emit(self.about.busy(holders, &mounts, &cause, hint.as_deref()));
                        return Ok(Answer::No);
                    }
                }
            }
        }
        event.took = Some(Instant::now().since(self.start));
        let remains = self.remains(mount, lazy)?;
        if let Some(left) = &remains
            && event.changed
        {
            event.cause = format!("{}; {left}", event.cause);
        }
        output.emit(self.about.unmounted(&event, lazy));
        // Of what we mounted nothing may be left; of what somebody else did, other places are none of our business.
        if let Some(left) = remains.filter(|_| lazy || self.record.is_some()) {
            let hint = "release it there too, or end who uses it; then fs-release again";
            output.emit(self.about.busy(0, &[], &left, Some(hint)));
            return Ok(Answer::No);
        }
        self.give_up(keeper, output)
    }

    /// What is left of the file system, in words.
    fn remains(&self, mount: Option<&Mount>, lazy: bool) -> Result<Option<String>, Error> {
        let bounds = (self.deadline, self.wanted.timeout);
        match (&self.record, mount) {
            (Some(record), _) => left_of(record, mount, lazy, bounds),
            (None, Some(mount)) => left(mount.dev, Path::new(&mount.source), Some(mount), lazy, bounds),
            (None, None) => Ok(None),
        }
    }

    fn dry_run(&self, mount: Option<&Mount>, output: &mut Voice) -> Result<Answer, Error> {
        let mut event = Mounted { dry_run: true, changed: mount.is_some(), ..Mounted::default() };
        event.cause = "nothing is mounted there".to_owned();
        if let Some(mount) = mount {
            let (found, _) = holders(mount, self.deadline, self.wanted.timeout)?;
            let spared = protected();
            for holder in &found {
                output.emit(self.about.holder(holder, is_spared(holder, &spared)));
            }
            event.fstype = Some(mount.fstype.clone());
            event.cause = match (found.len(), &self.wanted.kill) {
                (0, _) => "nobody is seen to hold it".to_owned(),
                (n, Some(_)) => format!("{n} hold it, and would be sent signals"),
                (n, None) => format!("{n} hold it, so that it would be refused"),
            };
        }
        output.emit(self.about.unmounted(&event, false));
        if self.record.as_ref().is_some_and(|r| r.guard != Kind::None) {
            output.emit(self.about.released(true, true, "after the unmount"));
        }
        Ok(Answer::Yes)
    }

    fn give_up(&self, keeper: Option<PidFd>, output: &mut Voice) -> Result<Answer, Error> {
        let (Some(record), Some(place)) = (&self.record, &self.place) else { return Ok(Answer::Yes) };
        let (changed, cause) = give_up(record, keeper, (self.deadline, self.wanted.timeout))?;
        place.remove()?;
        if record.guard != Kind::None {
            output.emit(self.about.released(changed, false, cause));
        }
        Ok(Answer::Yes)
    }
}

/// What is left of the file system that was claimed, in words; `mount` was it, where it stood.
///
/// # Errors
/// When that cannot be told in time.
pub fn left_of(
    record: &Record,
    mount: Option<&Mount>,
    lazy: bool,
    bounds: (Instant, Duration),
) -> Result<Option<String>, Error> {
    let dev = mount.map(|m| m.dev).or(record.dev).filter(|_| !record.bind);
    let source = mount.map_or(record.source.as_ref().unwrap_or(&record.device), |m| &m.source);
    dev.map_or(Ok(None), |dev| left(dev, Path::new(source), mount, lazy, bounds))
}

fn left(
    dev: Dev,
    source: &Path,
    mount: Option<&Mount>,
    lazy: bool,
    (deadline, timeout): (Instant, Duration),
) -> Result<Option<String>, Error> {
    // The name of a device may be on another disk by now, or on none.
    let device = Some(source).filter(|s| s.starts_with("/dev") && number_of(s).is_some_and(|n| n == dev || dev.0 == 0));
    let until = (Instant::now() + TO_BE_GONE).min(deadline);
    loop {
        let mut left: Remains = remains(dev, device, deadline, timeout)?;
        let at_once = !left.here.is_empty();
        if lazy && left.none() && device.is_none_or(|d| number_of(d) != Some(dev)) {
            // Without a device its users are all that can be seen of it.
            if let Some(mount) = mount {
                left.users = holders(mount, deadline, timeout)?.0.len();
            }
        }
        if left.none() {
            return Ok(None);
        }
        if at_once || lazy || Instant::now() >= until {
            return Ok(Some(left.words()));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Gives the claim of a record up, after the unmount; `keeper` was opened before that, where it ran. False if the claim
/// was lost before.
///
/// # Errors
/// When that cannot be done in time: the record stays.
pub fn give_up(
    record: &Record,
    keeper: Option<PidFd>,
    (deadline, timeout): (Instant, Duration),
) -> Result<(bool, &'static str), Error> {
    let object = record.object.as_deref().unwrap_or_default();
    Ok(match record.guard {
        Kind::None => (false, "there was none"),
        Kind::Flock | Kind::Lease => match keeper {
            Some(fd) => {
                end_keeper(fd, record, deadline)?;
                (true, "its keeper has ended")
            }
            None => (false, "its keeper had ended before"),
        },
        Kind::Drbd => match drbd::Resource::find(Some(object), Path::new(""), deadline, timeout)?.demote()? {
            true => (true, "made secondary"),
            false => (false, "it was secondary already"),
        },
        Kind::ScsiPr => {
            let order = scsi_pr::Order::GiveUp;
            match scsi_pr::ask(Path::new(object), &record.node, order, (deadline, timeout))? {
                Outcome::Got(got) if got.changed => (true, "this node is no longer registered"),
                _ => (false, "another node had taken it over"),
            }
        }
    })
}

/// A keeper sees for itself that the mount is gone, and ends.
fn end_keeper(keeper: PidFd, record: &Record, deadline: Instant) -> Result<(), Failure> {
    let failed = |e| Failure::io("the keeper", &e);
    // Should somebody have frozen it.
    let _ = keeper.signal(Signal::SIGCONT).map_err(failed)?;
    // It is not killed: whatever keeps it may be a mount that is still under way.
    if wait_for_end(&[keeper], deadline).map_err(failed)? {
        return Ok(());
    }
    let pid = record.keeper.map_or(0, |k| k.pid);
    let message = format!("it is unmounted, but its keeper, process {pid}, does not give the claim up");
    Err(Failure::new(Fault::Undetermined, "deadline", message).hint("fs-release again"))
}

/// For what is a usage error of the command line alone.
pub fn check(wanted: &Wanted) -> Result<(), Failure> {
    if lexical(&wanted.mountpoint) == Path::new("/") {
        return Err(Failure::usage("the root of the system is not released", "name the mount point of the storage"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let table = Table::parse(b"1 0 0:1 / /m rw - t a rw\n2 0 0:2 / /m rw - t b rw\n");
        let (a, b) = (&table.0[0], &table.0[1]);
        let record = |dev| Record {
            node: "n".into(),
            device: "a".into(),
            identity: None,
            mountpoint: "/m".into(),
            guard: Kind::None,
            strength: "none".into(),
            object: None,
            generation: None,
            keeper: None,
            namespace: 1,
            bind: false,
            dev,
            source: None,
        };
        let ours = record(Some((0, 1)));
        let (early, none) = (record(None), None);
        for (stack, record, goes) in [
            (&[][..], none, true),
            (&[], Some(&ours), true),
            (&[a], none, true),
            (&[a], Some(&ours), true),
            (&[a], Some(&early), true), // fs-claim was killed between the mount and its note
            (&[b], Some(&ours), false),
            (&[b, a], Some(&ours), false),
            (&[a, b], Some(&ours), true),
            (&[a, b], none, false),
        ] {
            assert_eq!(not_ours(stack, record).is_none(), goes, "{stack:?} {record:?}");
        }
    }
}
