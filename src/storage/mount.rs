//! Mounting and unmounting with a deadline, and whether a file system is really gone.
//!
//! Plain local types are mounted by the system call; whatever needs a helper, a look-up or the tables of mount(8) is left
//! to that. A child does either: one that hangs hangs alone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags};
use serde_json::json;

use super::aside::{AsideError, Ties, aside, call, command, tethered_command};
use super::device::number_of;
use super::mountinfo::{Dev, Mount, Table};
use super::record::namespace_of;
use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::clock::Instant;

/// Types without helper and without a table of their own, which the system call mounts just as mount(8) does.
const PLAIN: &[&str] = &["ext2", "ext3", "ext4", "xfs", "btrfs", "squashfs", "erofs", "tmpfs"];

/// A mount that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub source: String,
    /// Where.
    pub point: PathBuf,
    /// The type; none: found out by mount(8).
    pub fstype: Option<String>,
    /// Options as in fstab.
    pub options: Vec<String>,
}

/// How it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// By mount(2).
    Call { fstype: Option<String>, flags: MsFlags, data: String },
    /// By mount(8).
    Helper,
}

/// Options as they stand in fstab, taken apart.
pub fn options(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|o| !o.is_empty()).map(str::to_owned).collect()
}

/// Whether the options ask for a bind mount.
pub fn is_bind(options: &[String]) -> bool {
    options.iter().any(|o| o == "bind" || o == "rbind")
}

/// Whether nothing is to be written; as in fstab, the last word counts.
pub fn wants_read_only(options: &[String]) -> bool {
    options.iter().rev().find(|o| *o == "ro" || *o == "rw").is_some_and(|o| o == "ro")
}

fn way(order: &Order, is_block: bool) -> Way {
    if is_bind(&order.options) {
        // Anything else would be a second call, a remount.
        let plain = order.options.iter().all(|o| ["bind", "rbind", "rw", "defaults"].contains(&o.as_str()));
        let rec = if order.options.iter().any(|o| o == "rbind") { MsFlags::MS_REC } else { MsFlags::empty() };
        let flags = MsFlags::MS_BIND | rec;
        return if plain { Way::Call { fstype: None, flags, data: String::new() } } else { Way::Helper };
    }
    let Some(fstype) = order.fstype.as_deref().filter(|t| PLAIN.contains(t)) else { return Way::Helper };
    if !is_block && fstype != "tmpfs" || has_helper("mount", fstype) {
        return Way::Helper;
    }
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    for option in &order.options {
        match flag(option) {
            Some((flag, true)) => flags |= flag,
            Some((flag, false)) => flags &= !flag,
            None if for_mount(option) => return Way::Helper,
            None => data.push(option.as_str()),
        }
    }
    Way::Call { fstype: Some(fstype.to_owned()), flags, data: data.join(",") }
}

/// The flag that an option sets or takes off; words for fstab alone are an empty flag.
fn flag(option: &str) -> Option<(MsFlags, bool)> {
    Some(match option {
        "defaults" | "auto" | "noauto" | "nofail" | "_netdev" | "nouser" | "loud" => (MsFlags::empty(), true),
        "ro" => (MsFlags::MS_RDONLY, true),
        "rw" => (MsFlags::MS_RDONLY, false),
        "nosuid" => (MsFlags::MS_NOSUID, true),
        "suid" => (MsFlags::MS_NOSUID, false),
        "nodev" => (MsFlags::MS_NODEV, true),
        "dev" => (MsFlags::MS_NODEV, false),
        "noexec" => (MsFlags::MS_NOEXEC, true),
        "exec" => (MsFlags::MS_NOEXEC, false),
        "sync" => (MsFlags::MS_SYNCHRONOUS, true),
        "async" => (MsFlags::MS_SYNCHRONOUS, false),
        "dirsync" => (MsFlags::MS_DIRSYNC, true),
        "noatime" => (MsFlags::MS_NOATIME, true),
        "atime" => (MsFlags::MS_NOATIME, false),
        "nodiratime" => (MsFlags::MS_NODIRATIME, true),
        "diratime" => (MsFlags::MS_NODIRATIME, false),
        "relatime" => (MsFlags::MS_RELATIME, true),
        "strictatime" => (MsFlags::MS_STRICTATIME, true),
        "lazytime" => (MsFlags::MS_LAZYTIME, true),
        "nolazytime" => (MsFlags::MS_LAZYTIME, false),
        option if option.starts_with("x-systemd.") || option.starts_with("comment=") => (MsFlags::empty(), true),
        _ => return None,
    })
}

/// Options that mount(8) itself carries out, or that it has to say in another way.
fn for_mount(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or(option);
    let own = ["loop", "offset", "sizelimit", "encryption", "user", "users", "owner", "group", "remount", "move"];
    let kinds = ["X-", "x-", "uhelper", "helper", "verity.", "context", "fscontext", "defcontext", "rootcontext"];
    let propagation = ["private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable"];
    own.contains(&name) || propagation.contains(&name) || kinds.iter().any(|k| name.starts_with(k))
}

fn has_helper(what: &str, fstype: &str) -> bool {
    ["/sbin", "/usr/sbin", "/usr/local/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(format!("{what}.{fstype}")).exists())
}

/// Mounts it. Whoever does it is tied to the claim, and so is what outlives the deadline.
///
/// # Errors
/// When it cannot be; at the deadline.
pub fn mount(
    order: &Order,
    is_block: bool,
    ties: Ties,
    (deadline, timeout): (Instant, Duration),
) -> Result<(), Failure> {
    let what = format!("mounting {} on {}", order.source, order.point.display());
    let late = |e: AsideError| e.failure(&what, timeout);
    match way(order, is_block) {
        Way::Call { fstype, flags, data } => {
            let data = Some(data.as_str()).filter(|d| !d.is_empty());
            let source = Some(order.source.as_str());
            let work = || nix::mount::mount(source, &order.point, fstype.as_deref(), flags, data);
            call(ties, deadline, work).map_err(late)?.map_err(|errno| explain(&what, order, errno))
        }
        Way::Helper => {
            let mut call = Command::new("mount");
            if let Some(fstype) = &order.fstype {
                call.args(["-t", fstype]);
            }
            if !order.options.is_empty() {
                call.args(["-o", &order.options.join(",")]);
            }
            call.arg("--").arg(&order.source).arg(&order.point);
            let ran = tethered_command(ties, &mut call, deadline).map_err(late)?;
            match ran.status {
                0 => Ok(()),
                status => {
                    let message = format!("{what}: mount ended with {status}: {}", ran.words);
                    let fault = if ran.words.contains("only root") { Fault::Permission } else { Fault::Unavailable };
                    Err(Failure::new(fault, "mount-failed", message))
                }
            }
        }
    }
}

fn explain(what: &str, order: &Order, errno: Errno) -> Failure {
    let fstype = order.fstype.as_deref().unwrap_or("none");
    let why = match errno {
        Errno::EINVAL => format!("there is no good {fstype} on it, or {fstype} does not know one of the options"),
        Errno::ENODEV => format!("this kernel has no file system {fstype}"),
        Errno::EBUSY => "the device, or the mount point, is in use".to_owned(),
        Errno::EUCLEAN => "the file system needs fsck (--fsck)".to_owned(),
        Errno::EROFS | Errno::EACCES => "the device can only be read".to_owned(),
        Errno::ENOTBLK => "it is no block device".to_owned(),
        Errno::ENOTDIR => "one of the two is a folder, the other one is not".to_owned(),
        errno => errno.desc().to_owned(),
    };
    let fault = if errno == Errno::EPERM { Fault::Permission } else { Fault::Unavailable };
    let code = if errno == Errno::EPERM { "permission-denied" } else { "mount-failed" };
    let error = Failure::new(fault, code, format!("{what}: {why} ({errno:?})"));
    match errno {
        Errno::EINVAL | Errno::EUCLEAN => error.hint("the kernel says more: dmesg"),
        _ => error,
    }
}

/// What came of an unmount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmounted {
    /// It is gone from this place.
    Done,
    /// Somebody uses it.
    Busy,
    /// Nothing was mounted there.
    Nothing,
}

/// Unmounts this very mount, and no other of its place; `lazy` hides it, whoever uses it.
///
/// # Errors
/// When something else lies over it, or the kernel refuses for another reason than a user; at the deadline.
pub fn unmount(mount: &Mount, lazy: bool, (deadline, timeout): (Instant, Duration)) -> Result<Unmounted, Failure> {
    let Mount { point, fstype, .. } = mount;
    let what = format!("unmounting {}", point.display());
    let refused = |why: &str| Failure::unavailable("unmount-failed", format!("{what}: {why}"));
    let stands = || -> Result<Stands, Failure> {
        let table = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
        Ok(stands(&table, mount))
    };
    match stands()? {
        Stands::Uppermost => {}
        Stands::Covered(by) => return Err(refused(&format!("{by} is mounted over it"))),
        Stands::Gone => return Ok(Unmounted::Nothing),
    }
    // The kernel's word for "not mounted" is also its word for a mount that is locked in a user namespace.
    let nothing = || match stands()? {
        Stands::Gone => Ok(Unmounted::Nothing),
        _ => Err(refused("it stands, and the kernel does not let it go: it belongs to another user namespace")),
    };
    let late = |e: AsideError| {
        e.failure(&what, timeout).hint("what hangs may be a dead file server: bring it back, or see --lazy")
    };
    // A helper tells a server or a daemon. Lazily nobody is asked: whoever wants that knows that nobody answers.
    if !lazy && has_helper("umount", fstype) {
        let ran =
            command(Command::new("umount").arg("--no-canonicalize").arg("--").arg(point), deadline).map_err(late)?;
        return match ran.status {
            0 => Ok(Unmounted::Done),
            _ if ran.words.contains("busy") => Ok(Unmounted::Busy),
            _ if ran.words.contains("not mounted") => nothing(),
            status => Err(refused(&format!("umount ended with {status}: {}", ran.words))),
        };
    }
    let flags = MntFlags::UMOUNT_NOFOLLOW | if lazy { MntFlags::MNT_DETACH } else { MntFlags::empty() };
    match call(Ties::default(), deadline, || nix::mount::umount2(point, flags)).map_err(late)? {
        Ok(()) => Ok(Unmounted::Done),
        Err(Errno::EBUSY) => Ok(Unmounted::Busy),
        Err(Errno::EINVAL | Errno::ENOENT) => nothing(),
        Err(errno) => Err(Failure::io(&what, &errno.into())),
    }
}

/// How a mount stands at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stands {
    Uppermost,
    /// Something else lies over it; its source.
    Covered(String),
    Gone,
}

fn stands(table: &Table, mount: &Mount) -> Stands {
    let is_it = |m: &&Mount| m.id == mount.id && m.point == mount.point && m.dev == mount.dev;
    if !table.0.iter().any(|m| is_it(&m)) {
        return Stands::Gone;
    }
    match table.stack(&mount.point).first() {
        Some(top) if is_it(top) => Stands::Uppermost,
        top => Stands::Covered(top.map_or_else(|| "something".to_owned(), |m| m.source.clone())),
    }
}

/// Where a file system is still in use, though it was unmounted at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Other mount points that this process sees.
    pub here: Vec<PathBuf>,
    /// Processes, one a mount namespace, that see it mounted elsewhere.
    pub elsewhere: Vec<(i32, PathBuf)>,
    /// The kernel has the device open for a file system.
    pub device: bool,
    /// Processes that use it, where nothing else shows that it lives.
    pub users: usize,
}

impl Remains {
    /// Nothing is left.
    pub fn none(&self) -> bool {
        self.here.is_empty() && self.elsewhere.is_empty() && !self.device && self.users == 0
    }

    /// In words; empty where nothing is left.
    pub fn words(&self) -> String {
        let mut words: Vec<String> =
            self.here.iter().map(|p| format!("it is still mounted on {}", p.display())).collect();
        words.extend(self.elsewhere.iter().map(|(pid, point)| {
            format!("it is still mounted on {} in the mount namespace of process {pid}", point.display())
        }));
        if words.is_empty() && self.device {
            words.push(
                "the kernel still has its device open for a file system: files of a lazy unmount, or a mount that \
                        this process does not see"
                    .to_owned(),
            );
        }
        if self.users > 0 {
            words.push(format!("{} processes still use it", self.users));
        }
        words.join("; ")
    }
}

/// Looks for what is left of a file system. Its device, where it has one, is opened for ourselves alone, which the kernel
/// refuses for as long as any mount of it lives, in whatever namespace. That proves something only where the path still
/// leads to the device that the mounts show; a file system of several devices shows a number of its own, and then only a
/// refusal says something.
///
/// # Errors
/// When /proc cannot be read; when the device does not answer in time.
pub fn remains(dev: Dev, device: Option<&Path>, deadline: Instant, timeout: Duration) -> Result<Remains, Failure> {
    let here = Table::read(None).map_err(|e| Failure::io("/proc/self/mountinfo", &e))?;
    let points = |table: &Table| table.0.iter().filter(|m| m.dev == dev).map(|m| m.point.clone()).collect::<Vec<_>>();
    let mut remains = Remains { here: points(&here), ..Remains::default() };
    if let Some(device) = device {
        let opened = aside(deadline, || match (number_of(device), exclusively(device)) {
            (Some(number), Ok(())) if number == dev => json!("free"),
            (Some(number), Err(e)) if (number == dev || dev.0 == 0) && e.raw_os_error() == Some(libc::EBUSY) => {
                json!("busy")
            }
            _ => json!(null),
        });
        let opened = opened.map_err(|e| e.failure(&format!("opening {}", device.display()), timeout))?;
        remains.device = opened == "busy";
        if opened == "free" {
            return Ok(remains);
        }
    }
    if remains.here.is_empty() {
        remains.elsewhere = elsewhere(dev);
    }
    Ok(remains)
}

fn exclusively(device: &Path) -> io::Result<()> {
    fs::File::options().read(true).custom_flags(libc::O_EXCL | libc::O_NONBLOCK).open(device).map(drop)
}

/// One process of each other mount namespace that has the file system mounted.
pub fn elsewhere(dev: Dev) -> Vec<(i32, PathBuf)> {
    let mut seen: HashSet<u64> = namespace_of("self").into_iter().collect();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found = Vec::new();
    for pid in pids {
        if namespace_of(&pid.to_string()).is_some_and(|ns| seen.insert(ns))
            && let Ok(table) = Table::read(Some(pid))
            && let Some(mount) = table.0.iter().find(|m| m.dev == dev)
        {
            found.push((pid, mount.point.clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(fstype: Option<&str>, text: &str) -> Way {
        let order = Order {
            source: "/dev/x".into(),
            point: "/mnt".into(),
            fstype: fstype.map(str::to_owned),
            options: options(text),
        };
        way(&order, true)
    }

    #[test]
    fn this_mount_and_no_other() {
        let table = Table::parse(
            b"1 0 0:1 / / rw - t r rw\n2 1 0:2 / /m rw - t a rw\n3 2 0:3 / /m rw - t b rw\n4 1 0:4 / /n rw - t c rw\n",
        );
        assert_eq!(stands(&table, &table.0[2]), Stands::Uppermost);
        assert_eq!(stands(&table, &table.0[1]), Stands::Covered("b".to_owned()));
        assert_eq!(stands(&table, &table.0[3]), Stands::Uppermost);
        // The number was given to another mount.
        for other in [Mount { dev: (0, 9), ..table.0[2].clone() }, Mount { point: "/n".into(), ..table.0[2].clone() }] {
            assert_eq!(stands(&table, &other), Stands::Gone, "{other:?}");
        }
    }

    #[test]
    fn who_mounts() {
        let by_call = |fstype: &str, flags, data: &str| Way::Call {
            fstype: Some(fstype.to_owned()),
            flags,
            data: data.to_owned(),
        };
        let none = MsFlags::empty();
        assert_eq!(call(Some("ext4"), ""), by_call("ext4", none, ""));
        assert_eq!(call(Some("ext4"), "ro,rw,noatime"), by_call("ext4", MsFlags::MS_NOATIME, ""));
        assert_eq!(
            call(Some("xfs"), "defaults,_netdev,ro,logbufs=8,nouuid"),
            by_call("xfs", MsFlags::MS_RDONLY, "logbufs=8,nouuid")
        );
        let bound = Way::Call { fstype: None, flags: MsFlags::MS_BIND, data: String::new() };
        assert_eq!(call(Some("none"), "bind"), bound);
        assert_eq!(call(None, "rw,bind"), bound);
        for (fstype, text) in [
            (None, ""),
            (Some("auto"), ""),
            (Some("nfs"), "rw,hard"),
            (Some("ext4"), "loop"),
            (Some("ext4"), "user"),
            (Some("ext4"), "context=x"),
            (Some("ext4"), "X-mount.mkdir"),
            (Some("none"), "bind,ro"),
        ] {
            assert_eq!(call(fstype, text), Way::Helper, "{fstype:?} {text}");
        }
    }

    #[test]
    fn what_options_say() {
        assert_eq!(options(" rw, hard,,x "), ["rw", "hard", "x"]);
        for (text, ro) in [("", false), ("ro", true), ("ro,rw", false), ("rw,ro,noatime", true)] {
            assert_eq!(wants_read_only(&options(text)), ro, "{text}");
        }
    }
}
