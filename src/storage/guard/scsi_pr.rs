//! `--guard scsi-pr`: a SCSI-3 persistent reservation, write exclusive for registrants only. The disk itself refuses the
//! writes of whoever is not registered.
//!
//! The block layer's ioctls act, as they reach every path of a multipath device; a SCSI command of its own reads, because
//! kernels before 6.6 cannot read reservations in any other way.

use std::fs::File;

use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_uchar, c_uint, c_ushort, c_void};
use nix::sys::stat::{major, minor};

use super::pr_codec::{self, Ask, Reservation, Sense, WRITE_EXCLUSIVE_REGISTRANTS_ONLY, key_of, name_of};
use super::{Got, Held, Outcome, failure_to_json};
use crate::cli::Failure;
use crate::clock::Instant;
use crate::storage::aside::aside;

/// `PR_WRITE_EXCLUSIVE_REG_ONLY` of linux/pr.h, which counts in another way than the disk.
const KIND: u32 = 3;
/// `PR_FL_IGNORE_KEY`: register whatever key there is of us, from before a reboot for example.
const IGNORE_KEY: u32 = 1;

#[repr(C)]
struct PrReservation {
    key: u64,
    kind: u32,
    flags: u32,
}

#[repr(C)]
struct PrRegistration {
    old_key: u64,
    new_key: u64,
    flags: u32,
    pad: u32,
}

#[repr(C)]
struct PrPreempt {
    old_key: u64,
    new_key: u64,
    kind: u32,
    flags: u32,
}

/// `struct sg_io_hdr` of scsi/sg.h.
#[repr(C)]
struct SgIo {
    interface_id: c_int,
    dxfer_direction: c_int,
    cmd_len: c_uchar,
    mx_sb_len: c_uchar,
    iovec_count: c_ushort,
    dxfer_len: c_uint,
    dxferp: *mut c_void,
    cmdp: *const c_uchar,
    sbp: *mut c_uchar,
    timeout: c_uint,
    flags: c_uint,
    pack_id: c_int,
    usr_ptr: *mut c_void,
    status: c_uchar,
    masked_status: c_uchar,
    msg_status: c_uchar,
    sb_len_wr: c_uchar,
    host_status: c_ushort,
    driver_status: c_ushort,
    resid: c_int,
    duration: c_uint,
    info: c_uint,
}

mod ioctls {
    use super::{PrPreempt, PrRegistration, PrReservation, SgIo};
    nix::ioctl_write_ptr!(register, b'p', 200, PrRegistration);
    nix::ioctl_write_ptr!(reserve, b'p', 201, PrReservation);
    nix::ioctl_write_ptr!(release, b'p', 202, PrReservation);
    nix::ioctl_write_ptr!(preempt_abort, b'p', 204, PrPreempt);
    nix::ioctl_readwrite_bad!(sg_io, 0x2285, SgIo);
}

/// What a disk can be asked and told: the disk itself, or a simulated one in tests.
pub trait Disk {
    /// Every registered key.
    fn keys(&mut self) -> Result<Vec<u64>, Failure>;
    /// The reservation.
    fn reservation(&mut self) -> Result<Option<Reservation>, Failure>;
    /// Registers this machine with `key`, whatever it was registered with; 0 takes it off.
    fn register(&mut self, key: u64) -> Result<(), Failure>;
    /// Reserves for the registered `key`; false if somebody else has.
    fn reserve(&mut self, key: u64) -> Result<bool, Failure>;
    /// Ends the reservation of `key`.
    fn release(&mut self, key: u64) -> Result<(), Failure>;
    /// Takes off whoever is registered with `old`, aborts their commands, and takes their reservation; false if somebody
    /// else was faster.
    fn preempt(&mut self, key: u64, old: u64) -> Result<bool, Failure>;
}

/// A disk of this machine.
#[derive(Debug)]
pub struct ScsiDisk {
    file: File,
    name: String,
}

impl ScsiDisk {
    /// Opens it.
    ///
    /// # Errors
    /// When there is no such device, or it may not be opened for writing.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = file.map_err(|e| Failure::at(path, &e))?;
        let number = file.metadata().map_err(|e| Failure::at(path, &e))?.rdev();
        if Path::new(&format!("/sys/dev/block/{}:{}/partition", major(number), minor(number))).exists() {
            let message =
                format!("{} is a partition, and a reservation is always one of the whole disk", path.display());
            return Err(Failure::unavailable("no-reservations", message).hint("put the file system on the disk itself"));
        }
        Ok(Self { file, name: path.display().to_string() })
    }

    fn ask(&self, ask: Ask) -> Result<Vec<u8>, Failure> {
        // The first command after a disk came, or after another node changed something, is answered by a note only.
        for _ in 0..3 {
            let mut reply = vec![0u8; pr_codec::ROOM.into()];
            let mut sense = [0u8; 32];
            let command = pr_codec::command(ask);
            let mut io = SgIo {
                interface_id: 'S' as c_int,
                dxfer_direction: -3, // from the device
                cmd_len: command.len() as c_uchar,
                mx_sb_len: sense.len() as c_uchar,
                iovec_count: 0,
                dxfer_len: reply.len() as c_uint,
                dxferp: reply.as_mut_ptr().cast(),
                cmdp: command.as_ptr(),
                sbp: sense.as_mut_ptr(),
                timeout: 10_000, // milliseconds
                flags: 0,
                pack_id: 0,
                usr_ptr: std::ptr::null_mut(),
                status: 0,
                masked_status: 0,
                msg_status: 0,
                sb_len_wr: 0,
                host_status: 0,
                driver_status: 0,
                resid: 0,
                duration: 0,
                info: 0,
            };
            // SAFETY: the structure is that of scsi/sg.h; its pointers lead to the three buffers above with their lengths,
            // which all live until the call returns, and the kernel keeps none of them.
            unsafe { ioctls::sg_io(self.file.as_raw_fd(), &raw mut io) }
                .map_err(|e| self.failed("PERSISTENT RESERVE IN", e))?;
            if io.status == 0 && io.host_status == 0 {
                let got = reply.len().saturating_sub(usize::try_from(io.resid).unwrap_or(0));
                reply.truncate(got);
                return Ok(reply);
            }
            match pr_codec::sense(&sense[..usize::from(io.sb_len_wr).min(sense.len())]) {
                Sense::UnitAttention => {}
                Sense::Unknown => return Err(self.unknown()),
                Sense::Other(key) => {
                    let (status, host) = (io.status, io.host_status);
                    let what = format!("status {status:#x}, host {host:#x}, sense key {key:#x}");
                    let message = format!("{}: PERSISTENT RESERVE IN: {what}", self.name);
                    return Err(Failure::unavailable("reservation", message));
                }
            }
        }
        Err(Failure::unavailable("reservation", format!("{} answers with unit attentions only", self.name)))
    }

    fn unknown(&self) -> Failure {
        Failure::unavailable("no-reservations", format!("{} knows no persistent reservations", self.name))
            .hint("--guard scsi-pr needs a SCSI disk, or a multipath device, of an array that has them")
    }

    fn failed(&self, what: &str, errno: Errno) -> Failure {
        match errno {
            Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL => self.unknown(),
            errno => Failure::io(&format!("{}: {what}", self.name), &errno.into()),
        }
    }

    /// What an ioctl came to: done, refused by the disk because of a reservation, or failed.
    fn done(&self, what: &str, result: nix::Result<c_int>) -> Result<bool, Failure> {
        match result {
            Ok(0) => Ok(true),
            // RESERVATION CONFLICT, in the lowest byte of what the kernel hands on, or as an errno of newer ones.
            Ok(status) if status & 0xff == 0x18 => Ok(false),
            Err(Errno::EBADE) => Ok(false),
            Ok(status) => {
                let message = format!("{}: {what}: the disk says status {status:#x}", self.name);
                Err(Failure::unavailable("reservation", message).hint("the kernel says more: dmesg"))
            }
            Err(errno) => Err(self.failed(what, errno)),
        }
    }

    fn must(&self, what: &str, result: nix::Result<c_int>) -> Result<(), Failure> {
        match self.done(what, result)? {
            true => Ok(()),
            false => {
                let message = format!("{}: {what}: a reservation conflict", self.name);
                Err(Failure::unavailable("reservation", message))
            }
        }
    }
}

impl Disk for ScsiDisk {
    fn keys(&mut self) -> Result<Vec<u64>, Failure> {
        pr_codec::keys(&self.ask(Ask::Keys)?).map_err(|e| Failure::unavailable("reservation", e.to_string()))
    }

    fn reservation(&mut self) -> Result<Option<Reservation>, Failure> {
        let reply = self.ask(Ask::Reservation)?;
        pr_codec::reservation(&reply).map_err(|e| Failure::unavailable("reservation", e.to_string()))
    }

    fn register(&mut self, key: u64) -> Result<(), Failure> {
        let order = PrRegistration { old_key: 0, new_key: key, flags: IGNORE_KEY, pad: 0 };
        // SAFETY: the structure is that of linux/pr.h and is only read during the call; so in the calls below.
        let result = unsafe { ioctls::register(self.file.as_raw_fd(), &raw const order) };
        self.must("register", result)
    }

    fn reserve(&mut self, key: u64) -> Result<bool, Failure> {
        let order = PrReservation { key, kind: KIND, flags: 0 };
        // SAFETY: as above.
        let result = unsafe { ioctls::reserve(self.file.as_raw_fd(), &raw const order) };
        self.done("reserve", result)
    }

    fn release(&mut self, key: u64) -> Result<(), Failure> {
        let order = PrReservation { key, kind: KIND, flags: 0 };
        // SAFETY: as above.
        let result = unsafe { ioctls::release(self.file.as_raw_fd(), &raw const order) };
        self.must("release", result)
    }

    fn preempt(&mut self, key: u64, old: u64) -> Result<bool, Failure> {
        // Contrary to what the names say, the kernel hands the first on as the key of who asks, and the second as the one that
        // is to go: to the disk the other way round is a conflict.
        let order = PrPreempt { old_key: key, new_key: old, kind: KIND, flags: 0 };
        // SAFETY: as above.
        let result = unsafe { ioctls::preempt_abort(self.file.as_raw_fd(), &raw const order) };
        self.done("preempt and abort", result)
    }
}

/// Registers and reserves; with `take_over` whoever else has it loses it, else they keep it.
///
/// This machine is registered anew each time: after a reboot the disk may remember a key that no longer counts, and a disk
/// that lost its power remembers none.
///
/// `known`: this machine remembers that it has claimed it. Where it does not, a reservation of its name may be another
/// node's that was given the same.
///
/// # Errors
/// When the disk does not do as it is told; nothing is reserved then that was not before.
pub fn acquire(disk: &mut dyn Disk, node: &str, known: bool, take_over: bool) -> Result<Outcome, Failure> {
    let key = key_of(node);
    let before = disk.reservation()?;
    let ours = before.is_some_and(|r| is_ours(r, key));
    // To reserve what one has reserved changes nothing; whoever is not registered is refused.
    let namesake = ours && !known && !disk.reserve(key)?;
    if namesake && !take_over {
        return Ok(Outcome::Held(Held {
            holder: Some(node.to_owned()),
            cause: format!(
                "{node} has reserved the disk, and not over this connection: another node of the same name?"
            ),
            hint: Some("give each node a --node of its own; if it was this one before: --take-over".to_owned()),
        }));
    }
    let ours = ours && !namesake;
    if let Some(other) = foreign(before, key)
        && !take_over
    {
        return Ok(Outcome::Held(held(other)));
    }
    let after = fence(disk, key, before, namesake);
    let mine = matches!(after, Ok(Some(r)) if is_ours(r, key));
    if !mine && !ours {
        let _ = disk.register(0); // it may have been registered even where that failed; what counts is told below
    }
    let after = after?;
    if !mine {
        return Ok(Outcome::Held(held(after.map_or(0, |r| r.key))));
    }
    let cause = match (ours, before) {
        (true, _) => "registered anew; it was reserved for this node already".to_owned(),
        (false, None) => "reserved: the disk refuses the writes of all others".to_owned(),
        (false, Some(r)) => format!("taken over from {}: the disk refuses its writes now", name_of(r.key)),
    };
    Ok(Outcome::Got(Got { strength: "enforced".into(), cause, changed: !ours }))
}

fn is_ours(reservation: Reservation, key: u64) -> bool {
    reservation.key == key && reservation.kind == WRITE_EXCLUSIVE_REGISTRANTS_ONLY
}

/// What [`acquire`] would come to, from reading alone.
///
/// # Errors
/// When the disk does not answer.
pub fn would_acquire(disk: &mut dyn Disk, node: &str, take_over: bool) -> Result<Outcome, Failure> {
    let key = key_of(node);
    let now = disk.reservation()?;
    let cause = match foreign(now, key) {
        Some(other) if !take_over => return Ok(Outcome::Held(held(other))),
        Some(other) => format!("would be taken over from {}", name_of(other)),
        None => "nobody else has reserved it".to_owned(),
    };
    let changed = !now.is_some_and(|r| is_ours(r, key));
    Ok(Outcome::Got(Got { strength: "enforced".into(), cause, changed }))
}

/// Registers, makes the reservation ours, and takes all other keys off, which could write too. What counts is what the
/// disk says in the end: another node may do the same at the same time, and only one of the two reserves.
fn fence(
    disk: &mut dyn Disk,
    key: u64,
    before: Option<Reservation>,
    namesake: bool,
) -> Result<Option<Reservation>, Failure> {
    disk.register(key)?;
    let done = match before {
        // This takes off whoever else has our key.
        Some(r) if namesake => disk.preempt(key, r.key)?,
        Some(r) if is_ours(r, key) => true,
        Some(r) if r.key == key => {
            disk.release(key)?;
            disk.reserve(key)?
        }
        Some(r) => disk.preempt(key, r.key)?,
        None => disk.reserve(key)?,
    };
    if done {
        let others: Vec<u64> = disk.keys()?.into_iter().filter(|k| *k != key).collect();
        for other in others {
            disk.preempt(key, other)?; // one that has left meanwhile is a conflict, and fine
        }
    }
    disk.reservation()
}

/// Somebody else whose reservation it is. Whoever is registered and has not reserved keeps nobody away: a node that was
/// interrupted, or one that is about to find out that it came second.
fn foreign(reservation: Option<Reservation>, key: u64) -> Option<u64> {
    reservation.map(|r| r.key).filter(|k| *k != key)
}

fn held(by: u64) -> Held {
    let holder = name_of(by);
    Held {
        cause: format!("{holder} has reserved the disk"),
        hint: Some(format!("release it there, or if {holder} is known to be dead take it over: --take-over")),
        holder: Some(holder),
    }
}

/// Gives the reservation up and takes this machine off. False if it was not ours any more.
///
/// # Errors
/// When the disk does not do as it is told, or says afterwards that it has not.
pub fn give_up(disk: &mut dyn Disk, node: &str) -> Result<bool, Failure> {
    let key = key_of(node);
    let registered = disk.keys()?.contains(&key);
    if !registered {
        return Ok(false);
    }
    if disk.reservation()?.is_some_and(|r| r.key == key) {
        disk.release(key)?;
    }
    disk.register(0)?;
    let left = disk.keys()?.contains(&key) || disk.reservation()?.is_some_and(|r| r.key == key);
    if left {
        let message = "the disk still has this node's key: another path to it, or another node of the same name";
        return Err(Failure::unavailable("reservation", message).hint("fs-release again when all paths are up"));
    }
    Ok(true)
}

/// What is asked of a disk from outside, in a child: a disk may not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// [`acquire`].
    Acquire {
        /// This machine remembers that it has claimed it.
        known: bool,
        /// With take-over.
        take_over: bool,
    },
    /// [`would_acquire`].
    Look {
        /// With take-over.
        take_over: bool,
    },
    /// [`give_up`]: not changed means that it was not ours any more.
    GiveUp,
}

/// Carries an order out, with a deadline.
///
/// # Errors
/// When the disk does not do as it is told, or not in time.
pub fn ask(path: &Path, node: &str, order: Order, bounds: (Instant, Duration)) -> Result<Outcome, Failure> {
    let (deadline, timeout) = bounds;
    let work = || {
        let outcome = ScsiDisk::open(path).and_then(|mut disk| match order {
            Order::Acquire { known, take_over } => acquire(&mut disk, node, known, take_over),
            Order::Look { take_over } => would_acquire(&mut disk, node, take_over),
            Order::GiveUp => give_up(&mut disk, node)
                .map(|changed| Outcome::Got(Got { strength: String::new(), cause: String::new(), changed })),
        });
        match outcome {
            Ok(outcome) => outcome.to_json(),
            Err(e) => failure_to_json(e.fault, e.code, &e.message, e.hint.as_deref()),
        }
    };
    let said = aside(deadline, work);
    let what = || format!("the reservation of {}", path.display());
    Outcome::from_json(&said.map_err(|e| e.failure(&what(), timeout))?)
}

#[cfg(test)]
mod tests;
