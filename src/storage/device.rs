//! What DEVICE means: a block device, a label of one, a file, a folder to bind, an export, or a name only.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::stat::{major, minor};
use serde_json::{Value, json};

use super::aside::{AsideError, aside, command};
use super::mountinfo::{Dev, Mount, Table};
use crate::cli::Failure;
use crate::clock::Instant;

/// File systems whose DEVICE is a name that only they understand.
const NO_DEVICE: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "tmpfs",
    "ramfs",
    "proc",
    "sysfs",
    "overlay",
    "fuse",
    "glusterfs",
    "lustre",
    "9p",
    "virtiofs",
    "ncpfs",
    "shm",
    "cgroup2",
    "debugfs",
    "devpts",
];

/// DEVICE, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A block device.
    Block {
        /// Without symbolic links.
        path: PathBuf,
        /// Its number.
        number: Dev,
    },
    /// A file with a file system in it.
    File(PathBuf),
    /// A file or a folder to be bound elsewhere.
    Bind(PathBuf),
    /// An export, or a name.
    Name(String),
}

impl Device {
    /// What stands for the device in the name of its lock.
    pub fn identity(&self) -> String {
        match self {
            Self::Block { number: (major, minor), .. } => format!("block {major}:{minor}"),
            Self::File(path) | Self::Bind(path) => path.display().to_string(),
            Self::Name(name) => name.clone(),
        }
    }

    /// What is handed to mount.
    pub fn source(&self) -> String {
        match self {
            Self::Block { path, .. } | Self::File(path) | Self::Bind(path) => path.display().to_string(),
            Self::Name(name) => name.clone(),
        }
    }

    /// Where a path to be bound lies.
    pub fn bound(&self, table: &Table) -> Option<Bound> {
        let Self::Bind(path) = self else { return None };
        let mount = table.containing(path)?;
        let rest = path.strip_prefix(&mount.point).ok()?;
        let root = if rest.as_os_str().is_empty() { mount.root.clone() } else { mount.root.join(rest) };
        Some(Bound { dev: mount.dev, root })
    }

    /// Its path, if it is a block device: who else has it open can be asked there.
    pub fn block(&self) -> Option<&Path> {
        match self {
            Self::Block { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Whether a mount is of this device. `Bind` is judged by `bound`: what its path led to.
    pub fn is_mounted_as(&self, mount: &Mount, fstype: Option<&str>, bound: Option<&Bound>) -> bool {
        match self {
            Self::Block { path, number } => {
                mount.dev == *number
                    || (mount.dev.0 == 0
                        && mount.source.starts_with('/')
                        && (Path::new(&mount.source) == path || device_number(&mount.source) == Some(*number)))
            }
            Self::File(path) => backing_file(&mount.source).as_ref() == Some(path),
            Self::Bind(_) => bound.is_some_and(|b| b.dev == mount.dev && b.root == mount.root),
            Self::Name(name) => {
                let trim = |s: &str| s.trim_end_matches('/').to_owned();
                let kind = |t: &str| t.trim_end_matches('4').split('.').next().unwrap_or(t).to_owned();
                trim(&mount.source) == trim(name) && fstype.is_none_or(|t| kind(t) == kind(&mount.fstype))
            }
        }
    }
}

/// Where a path to be bound lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The file system.
    pub dev: Dev,
    /// The path in it.
    pub root: PathBuf,
}

/// The number of a block device; none if the path is none.
pub fn number_of(path: &Path) -> Option<Dev> {
    let meta = std::fs::metadata(path).ok()?;
    meta.file_type().is_block_device().then(|| dev(meta.rdev()))
}

/// The number of what a mount shows as its source. Only what lies in /dev is looked at: nothing there waits for a server.
fn device_number(source: &str) -> Option<Dev> {
    let plain = source.starts_with("/dev/") && !Path::new(source).components().any(|c| c == Component::ParentDir);
    plain.then(|| number_of(Path::new(source))).flatten()
}

/// A `dev_t` in two numbers.
pub fn dev(number: u64) -> Dev {
    (major(number) as u32, minor(number) as u32)
}

/// The file behind a loop device.
fn backing_file(source: &str) -> Option<PathBuf> {
    let name = source.strip_prefix("/dev/")?;
    let file = std::fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok()?;
    Some(PathBuf::from(file.strip_suffix('\n').unwrap_or(&file)))
}

/// What was found at the two paths, looked at in a child: either may lie below a dead file server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// DEVICE.
    pub device: Device,
    /// MOUNTPOINT without symbolic links; else why not.
    pub mountpoint: Result<PathBuf, String>,
    /// MOUNTPOINT is a folder.
    pub folder: bool,
}

/// Understands DEVICE, and resolves MOUNTPOINT where it is given.
///
/// # Errors
/// When there is no such device; at the deadline.
pub fn look(
    words: &str,
    fstype: Option<&str>,
    bind: bool,
    mountpoint: Option<&Path>,
    (deadline, timeout): (Instant, Duration),
) -> Result<Looked, Failure> {
    let kind = match (bind, fstype) {
        (true, _) => What::Path,
        (false, Some(t)) if NO_DEVICE.contains(&t) || t.starts_with("fuse.") || t.starts_with("nfs") => What::Name,
        (false, _) if words.starts_with('/') => What::Path,
        (false, _) if tag(words) => What::Tag,
        (false, _) => What::PathOrName,
    };
    let path = match kind {
        What::Name => None,
        What::Path | What::PathOrName => Some(PathBuf::from(words)),
        What::Tag => Some(by_tag(words, (deadline, timeout))?),
    };
    // Nothing in /dev waits for a server.
    let seen = match mountpoint.is_none() && path.as_ref().is_none_or(|p| p.starts_with("/dev")) {
        true => Ok(see(path.as_deref(), None)),
        false => aside(deadline, || see(path.as_deref(), mountpoint)),
    };
    let point = mountpoint.map_or_else(String::new, |p| format!(" and {}", p.display()));
    let seen = seen.map_err(|e| e.failure(&format!("looking at {words}{point}"), timeout))?;
    let text = |name: &str| seen[name].as_str().map(PathBuf::from);
    let device = match (path, text("path"), seen["kind"].as_str()) {
        (None, ..) => Device::Name(words.to_owned()),
        // Where there is nothing of that name it is an export of a file system that is not known here.
        (Some(_), _, None) if matches!(kind, What::PathOrName) => Device::Name(words.to_owned()),
        (Some(_), Some(path), _) if bind => Device::Bind(path),
        (Some(_), Some(path), Some("block")) => {
            let number = |n: usize| seen["number"][n].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            Device::Block { path, number: (number(0), number(1)) }
        }
        (Some(_), Some(path), Some("file")) => Device::File(path),
        (Some(_), Some(path), _) => {
            let message = format!("{} is neither a block device nor a file", path.display());
            return Err(Failure::unavailable("not-a-device", message)
                .hint("to mount a folder in a second place: FSTYPE none and OPTIONS bind"));
        }
        (Some(path), None, _) => {
            let why = seen["why"].as_str().unwrap_or("it cannot be looked at");
            return Err(Failure::unavailable("no-such-device", format!("{}: {why}", path.display())));
        }
    };
    let why = || seen["why_no_mountpoint"].as_str().unwrap_or("it cannot be looked at").to_owned();
    Ok(Looked { device, mountpoint: text("mountpoint").ok_or_else(why), folder: seen["folder"] == true })
}

#[derive(Clone, Copy)]
enum What {
    Path,
    PathOrName,
    Tag,
    Name,
}

fn tag(words: &str) -> bool {
    ["LABEL=", "UUID=", "PARTLABEL=", "PARTUUID="].iter().any(|t| words.starts_with(t))
}

/// Paths without symbolic links that are not UTF-8 are not understood: nothing says them in JSON.
fn see(path: Option<&Path>, mountpoint: Option<&Path>) -> Value {
    let mut seen = json!({});
    let real = |path: &Path| -> io::Result<String> {
        let real = std::fs::canonicalize(path)?;
        real.into_os_string().into_string().map_err(|_| io::Error::other("its name is not UTF-8"))
    };
    match mountpoint.map(real) {
        Some(Ok(real)) => {
            seen["folder"] = std::fs::metadata(&real).is_ok_and(|m| m.is_dir()).into();
            seen["mountpoint"] = real.into();
        }
        Some(Err(e)) => {
            let absent = matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            seen["absent"] = absent.into();
            seen["why_no_mountpoint"] = e.to_string().into();
        }
        None => {}
    }
    let Some(path) = path else { return seen };
    match real(path).and_then(|real| Ok((std::fs::metadata(&real)?, real))) {
        Ok((meta, real)) => {
            let kind = meta.file_type();
            let (major, minor) = dev(meta.rdev());
            seen["number"] = json!([major, minor]);
            seen["kind"] = match (kind.is_block_device(), kind.is_file()) {
                (true, _) => "block".into(),
                (_, true) => "file".into(),
                _ => Value::Null,
            };
            seen["path"] = real.into();
        }
        Err(e) => seen["why"] = e.to_string().into(),
    }
    seen
}

/// MOUNTPOINT as the kernel writes it: by its words alone where something is mounted there, so that a dead server is not
/// asked; else without symbolic links. What does not exist is what its words say.
///
/// # Errors
/// When it cannot be told which place is meant; at the deadline.
pub fn place(mountpoint: &Path, table: &Table, bounds: (Instant, Duration)) -> Result<PathBuf, Failure> {
    match by_words(mountpoint) {
        Some(words) if !table.stack(&words).is_empty() => Ok(words),
        words => resolve(mountpoint, words, bounds),
    }
}

fn resolve(given: &Path, words: Option<PathBuf>, (deadline, timeout): (Instant, Duration)) -> Result<PathBuf, Failure> {
    let what = || format!("looking at {}", given.display());
    let seen = aside(deadline, || see(None, Some(given))).map_err(|e| e.failure(&what(), timeout))?;
    if let Some(real) = seen["mountpoint"].as_str() {
        return Ok(real.into());
    }
    let why = seen["why_no_mountpoint"].as_str().unwrap_or("it cannot be looked at");
    let message = format!("{}: {why}", given.display());
    words.filter(|_| seen["absent"] == true).ok_or_else(|| Failure::unavailable("no-such-mountpoint", message))
}

/// The path by its words alone; none with `..` in it, whose meaning depends on symbolic links before it.
pub fn by_words(path: &Path) -> Option<PathBuf> {
    let plain = !path.components().any(|c| c == Component::ParentDir);
    plain.then(|| lexical(path))
}

/// A path from the root on, without `.`, `..` and slashes at its end, by its words alone.
pub fn lexical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn by_tag(words: &str, (deadline, timeout): (Instant, Duration)) -> Result<PathBuf, Failure> {
    let ran = command(Command::new("findfs").arg(words), deadline).map_err(|e| match e {
        AsideError::Io(e) if e.kind() == io::ErrorKind::NotFound => {
            Failure::unavailable("no-such-command", "there is no findfs").hint("install util-linux")
        }
        e => e.failure(&format!("findfs {words}"), timeout),
    })?;
    match ran.stdout.trim() {
        path if ran.status == 0 && path.starts_with('/') => Ok(path.into()),
        _ => Err(Failure::unavailable("no-such-device", format!("no device has {words}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(line: &str) -> Mount {
        Table::parse(format!("30 22 {line}").as_bytes()).0.remove(0)
    }

    fn soon() -> (Instant, Duration) {
        (Instant::now() + Duration::from_secs(20), Duration::from_secs(20))
    }

    #[test]
    fn which_place_is_meant() {
        let folder = std::env::temp_dir().join(format!("place-{}", std::process::id()));
        let real = |path: &str| folder.join(path);
        std::fs::create_dir_all(real("deep/er")).expect("folders");
        std::os::unix::fs::symlink(real("deep/er"), real("link")).expect("a link");
        let folder = std::fs::canonicalize(&folder).expect("is there");
        let real = |path: &str| folder.join(path);
        std::fs::write(real("file"), "").expect("a file");
        let none = Table::default();
        let go = |path: &str| place(&real(path), &none, soon());
        assert_eq!(go("link").ok(), Some(real("deep/er")));
        // The kernel follows the link before it goes up.
        assert_eq!(go("link/..").ok(), Some(real("deep")));
        assert_eq!(go("absent").ok(), Some(real("absent")));
        assert_eq!(go("file/x").ok(), Some(real("file/x")));
        assert_eq!(go("absent/../deep").map_err(|e| e.code), Err("no-such-mountpoint"));
        std::os::unix::fs::symlink("loop", real("loop")).expect("a link");
        assert_eq!(go("loop").map_err(|e| e.code), Err("no-such-mountpoint"));
        let late = place(&real("link"), &none, (Instant::now(), Duration::ZERO));
        assert_eq!(late.map_err(|e| e.code), Err("deadline"));
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn a_relative_device() {
        let words = "Cargo.toml"; // tests run in the folder of the package
        let looked = look(words, Some("ext4"), false, None, soon()).expect("it is there");
        assert_eq!(looked.device, Device::File(std::fs::canonicalize(words).expect("is there")));
        let looked = look("host:/x", Some("hangfs"), false, None, soon()).expect("a name");
        assert_eq!(looked.device, Device::Name("host:/x".to_owned()));
        assert!(
            look("Cargo.toml", Some("tmpfs"), false, None, soon())
                .is_ok_and(|l| l.device == Device::Name(words.into()))
        );
    }

    #[test]
    fn only_devices_are_looked_at() {
        for source in ["/srv/x", "//server/share", "/dev/../srv/x", "none", "/dev"] {
            assert_eq!(device_number(source), None, "{source}");
        }
    }

    #[test]
    fn which_mount_is_of_a_device() {
        let nfs = mount("0:54 / /ha rw - nfs4 host:/ha rw");
        let name = |n: &str| Device::Name(n.to_owned());
        assert!(name("host:/ha/").is_mounted_as(&nfs, Some("nfs"), None));
        assert!(!name("host:/hb").is_mounted_as(&nfs, Some("nfs"), None));
        assert!(!name("host:/ha").is_mounted_as(&nfs, Some("cifs"), None));
        let ext4 = mount("7:0 / /ha rw - ext4 /dev/loop0 rw");
        let block = |number| Device::Block { path: "/dev/none".into(), number };
        assert!(block((7, 0)).is_mounted_as(&ext4, None, None));
        assert!(!block((7, 1)).is_mounted_as(&ext4, None, None));
        // btrfs shows a number of its own.
        let btrfs = mount("0:40 / /ha rw - btrfs /dev/none rw");
        assert!(block((7, 1)).is_mounted_as(&btrfs, None, None));
        let bound = Bound { dev: (7, 0), root: "/".into() };
        assert!(Device::Bind("/x".into()).is_mounted_as(&ext4, None, Some(&bound)));
        assert!(!Device::Bind("/x".into()).is_mounted_as(&ext4, None, None));
    }
}
