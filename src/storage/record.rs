//! What was claimed, for whoever comes later: one file a mount point in [`FOLDER`], written before the mount and removed
//! after the unmount.
//!
//! It is believed only where it can be proven: a keeper by its start time, a mount by mountinfo.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FlockArg, OFlag};
use serde_json::{Map, Value, json};

use super::guard::Kind;
use super::mountinfo::Mount;
use super::process::Process;
use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::cli::files::replace;
use crate::clock::Instant;
use crate::config::{ConfigError, trust};

/// Where records, and locks of this machine, are kept: gone with a reboot, as the mounts are.
pub const FOLDER: &str = "/run/takeover/fs";

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The node that claimed.
    pub node: String,
    /// DEVICE as it was given.
    pub device: String,
    /// What it was understood as: [`super::device::Device::identity`].
    pub identity: Option<String>,
    /// Where it is to be mounted.
    pub mountpoint: PathBuf,
    /// What guards it.
    pub guard: Kind,
    /// What the guard is worth.
    pub strength: String,
    /// What the guard acts on: a DRBD resource, the disk with the reservation, a lock file, the device of a lease.
    pub object: Option<String>,
    /// Which acquisition of a lease it is.
    pub generation: Option<u64>,
    /// Who holds it.
    pub keeper: Option<Process>,
    /// The mount namespace that it was mounted in.
    pub namespace: u64,
    /// It is a bind mount: the file system is mounted elsewhere too, and stays there.
    pub bind: bool,
    /// The `st_dev` that was mounted, once it was.
    pub dev: Option<(u32, u32)>,
    /// The source that the kernel shows of it, which a helper may have written in another way.
    pub source: Option<String>,
}

impl Record {
    /// As it is written.
    pub fn to_json(&self) -> Value {
        json!({
            "node": self.node,
            "device": self.device,
            "identity": self.identity,
            "mountpoint": self.mountpoint.to_string_lossy(),
            "guard": self.guard.word(),
            "strength": self.strength,
            "object": self.object,
            "generation": self.generation,
            "keeper": self.keeper.map(|p| json!({"pid": p.pid, "start": p.start})),
            "namespace": self.namespace,
            "bind": self.bind,
            "dev": self.dev.map(|(major, minor)| json!([major, minor])),
            "source": self.source,
        })
    }

    /// Reads one back; nothing if anything in it is not as written by [`Record::to_json`].
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let Value::Object(fields) = serde_json::from_slice(text).ok()? else { return None };
        let text = |fields: &Map<String, Value>, name: &str| fields.get(name)?.as_str().map(str::to_owned);
        let optional = |name: &str| fields.get(name).filter(|v| !v.is_null());
        let mountpoint = PathBuf::from(text(&fields, "mountpoint")?);
        let keeper = match optional("keeper") {
            None => None,
            Some(keeper) => {
                let pid = keeper.get("pid")?.as_i64()?.try_into().ok().filter(|pid| *pid > 1)?;
                Some(Process { pid, start: keeper.get("start")?.as_u64()? })
            }
        };
        let dev = match optional("dev") {
            None => None,
            Some(dev) => {
                let number = |n: usize| dev.get(n)?.as_u64()?.try_into().ok();
                Some((number(0)?, number(1)?))
            }
        };
        Some(Self {
            node: text(&fields, "node")?,
            device: text(&fields, "device")?,
            identity: text(&fields, "identity"),
            mountpoint: mountpoint.is_absolute().then_some(mountpoint)?,
            guard: Kind::from_word(fields.get("guard")?.as_str()?)?,
            strength: text(&fields, "strength")?,
            object: text(&fields, "object"),
            generation: optional("generation").and_then(Value::as_u64),
            keeper,
            namespace: fields.get("namespace")?.as_u64()?,
            bind: fields.get("bind")?.as_bool()?,
            dev,
            source: text(&fields, "source"),
        })
    }

    /// Whether a mount is what was mounted for the claim of this device, however its source is written.
    pub fn notes(&self, identity: &str, mount: &Mount) -> bool {
        self.identity.as_deref() == Some(identity)
            && self.dev == Some(mount.dev)
            && self.source.as_deref() == Some(mount.source.as_str())
    }

    /// The keeper, if it runs in another mount namespace: what to do there, and why.
    pub fn elsewhere(&self) -> Option<(String, String)> {
        let keeper = self.keeper.filter(|k| self.namespace != namespace() && k.runs())?;
        let point = self.mountpoint.display();
        let cause = format!("it is claimed in another mount namespace, that of process {}", keeper.pid);
        Some((cause, format!("nsenter -t {} -m fs-release {point}", keeper.pid)))
    }

    /// Whether its keeper has said that it lost the claim.
    pub fn lost(&self) -> bool {
        let said = fs::read(lost_file(&self.mountpoint)).unwrap_or_default();
        self.keeper.is_some_and(|keeper| said == lost_line(keeper).as_bytes())
    }
}

/// Notes that a keeper has lost the claim, for as long as the mount stands. In a file of its own: the lock of the record
/// may be another's at this moment.
///
/// # Errors
/// When it cannot be written.
pub fn mark_lost(mountpoint: &Path, keeper: Process) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    options.open(lost_file(mountpoint))?.write_all(lost_line(keeper).as_bytes())
}

fn lost_line(keeper: Process) -> String {
    format!("{} {}\n", keeper.pid, keeper.start)
}

fn lost_file(mountpoint: &Path) -> PathBuf {
    path_of(mountpoint).with_extension("lost")
}

/// A path, or the name of a device, as the name of a file: `/mnt/data` is `-mnt-data`, what is not plain is in hex.
pub fn file_name(of: &[u8]) -> String {
    let mut name = String::new();
    for byte in of {
        match byte {
            b'/' => name.push('-'),
            b if b.is_ascii_alphanumeric() || *b == b'_' => name.push(char::from(*b)),
            b'.' if !name.is_empty() => name.push('.'),
            b => name.push_str(&format!("%{b:02x}")),
        }
    }
    if name.len() > 180 {
        // Names of files end at 255 bytes; what is cut off is told apart by a digest.
        use sha1::Digest;
        let digest = sha1::Sha1::digest(of);
        name.truncate(120);
        name.extend(digest.iter().map(|b| format!("{b:02x}")));
    }
    name
}

/// The records of one mount point, with its lock: no two commands change one mount point at once.
#[derive(Debug)]
pub struct Place {
    file: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes the folder where there is none, judges its path, and waits for the lock.
    ///
    /// # Errors
    /// When others could write there, and at the deadline.
    pub fn lock(mountpoint: &Path, deadline: Instant) -> Result<Self, Failure> {
        let wait = |lock: &File| loop {
            match try_lock(lock) {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                Ok(false) => {
                    let message = format!("another fs-claim or fs-release is at work on {}", mountpoint.display());
                    return Err(Failure::new(Fault::Undetermined, "deadline", message));
                }
                Err(e) => return Err(Failure::io("flock", &e)),
            }
        };
        Self::with(mountpoint, wait)
    }

    /// The same without waiting; none if somebody else is at work.
    pub fn try_lock(mountpoint: &Path) -> Option<Self> {
        Self::with(mountpoint, |lock| match try_lock(lock) {
            Ok(true) => Ok(()),
            _ => Err(Failure::new(Fault::Undetermined, "deadline", "")),
        })
        .ok()
    }

    fn with(mountpoint: &Path, wait: impl Fn(&File) -> Result<(), Failure>) -> Result<Self, Failure> {
        let file = path_of(mountpoint);
        let lock = open_lock(&file.with_extension("lock"))?;
        wait(&lock)?;
        Ok(Self { file, _lock: lock })
    }

    /// The record, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is none: what it would have said is then not known.
    pub fn read(&self) -> Result<Option<Record>, Failure> {
        read_file(&self.file)
    }

    /// Writes it whole or not at all.
    pub fn write(&self, record: &Record) -> Result<(), Failure> {
        let text = format!("{}\n", record.to_json());
        replace(&self.file, &text, 0o600).map_err(|e| Failure::at(&self.file, &e))
    }

    /// Removes it; there being none is fine.
    pub fn remove(&self) -> Result<(), Failure> {
        let _ = fs::remove_file(self.file.with_extension("lost")); // it says nothing of another keeper
        match fs::remove_file(&self.file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Failure::at(&self.file, &e)),
            _ => Ok(()),
        }
    }
}

fn path_of(mountpoint: &Path) -> PathBuf {
    // The extension is set, not added: a name with a dot must keep it.
    Path::new(FOLDER).join(format!("{}.json", file_name(mountpoint.as_os_str().as_bytes())))
}

/// The record of a mount point, without its lock: to look only.
///
/// # Errors
/// As [`Place::read`].
pub fn look(mountpoint: &Path) -> Result<Option<Record>, Failure> {
    read_file(&path_of(mountpoint))
}

fn read_file(file: &Path) -> Result<Option<Record>, Failure> {
    let bytes = match trust::read_trusted(file) {
        Ok(bytes) => bytes,
        Err(ConfigError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(config(&e)),
    };
    let record = Record::from_json(&bytes);
    record.map(Some).ok_or_else(|| {
        let message = format!("{} is no record of a claim", file.display());
        let hint = format!("if nothing is mounted there, remove {}", file.display());
        Failure::new(Fault::Configuration, "configuration", message).hint(hint)
    })
}

fn config(error: &ConfigError) -> Failure {
    let mut failure = Failure::new(error.fault(), error.code(), error.to_string());
    failure.hint = error.hint();
    failure
}

/// Opens a lock file. One in [`FOLDER`] is made with its folder where they are missing, if nobody else could have written
/// there.
pub fn open_lock(file: &Path) -> Result<File, Failure> {
    let folder = Path::new(FOLDER);
    let opened = open_lock_in(folder, file)?;
    if file.starts_with(folder) {
        let _ = fs::set_permissions(folder, Permissions::from_mode(0o700)); // it was ours; this is for the curious only
    }
    Ok(opened)
}

/// Opens a lock file. One in `folder` is made with its folder where they are missing, if nobody else could have written there.
pub fn open_lock_in(folder: &Path, file: &Path) -> Result<File, Failure> {
    let open = || {
        let mut options = File::options();
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits()).open(file)
    };
    let opened = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| Failure::at(folder, &e))?;
            open()
        }
        opened => opened,
    };
    let opened = opened.map_err(|e| Failure::at(file, &e))?;
    if file.starts_with(folder) {
        trust::check_trusted(file).map_err(|e| config(&e))?;
    }
    Ok(opened)
}

/// Takes a lock without waiting; false if somebody has it.
///
/// It belongs to the opened file, whoever has a descriptor of it: it ends with the last one, in whatever process.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // The crate's other way unlocks when its guard is dropped, in a parent too whose child is to keep the lock.
    #[allow(deprecated)]
    match nix::fcntl::flock(file.as_raw_fd(), FlockArg::LockExclusiveNonblock) {
        Ok(()) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The mount namespace of this process.
pub fn namespace() -> u64 {
    namespace_of("self").unwrap_or(0)
}

/// The mount namespace of a process, by the name of its folder in /proc; none if it cannot be told.
pub fn namespace_of(process: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{process}/ns/mnt")).ok()?;
    link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            node: "ha1".into(),
            device: "/dev/sdb1".into(),
            identity: Some("block 8:17".into()),
            mountpoint: "/mnt/data".into(),
            guard: Kind::Flock,
            strength: "advisory".into(),
            object: None,
            generation: Some(3),
            keeper: Some(Process { pid: 4711, start: 123 }),
            namespace: 4026531840,
            bind: false,
            dev: Some((8, 17)),
            source: Some("/dev/sdb1".into()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for record in [record(), Record { keeper: None, dev: None, object: Some("r0".into()), ..record() }] {
            assert_eq!(Record::from_json(record.to_json().to_string().as_bytes()), Some(record));
        }
    }

    #[test]
    fn what_was_mounted_for_it() {
        let table = crate::storage::mountinfo::Table::parse(b"1 0 8:17 / /mnt/data rw - ext4 /dev/sdb1 rw");
        let (record, mount) = (record(), &table.0[0]);
        assert!(record.notes("block 8:17", mount));
        assert!(!record.notes("block 8:18", mount), "another device is asked for");
        assert!(!record.notes("block 8:17", &Mount { source: "/dev/x".into(), ..mount.clone() }));
        assert!(!record.notes("block 8:17", &Mount { dev: (8, 18), ..mount.clone() }));
        assert!(!Record { source: None, ..record }.notes("block 8:17", mount));
    }

    #[test]
    fn nothing_else_is_believed() {
        let whole = record().to_json();
        for (field, value) in [
            ("keeper", json!({"pid": 1, "start": 1})),
            ("keeper", json!({"pid": -5, "start": 1})),
            ("keeper", json!({"pid": 5})),
            ("mountpoint", json!("mnt")),
            ("guard", json!("hope")),
            ("dev", json!([1])),
            ("bind", json!(null)),
        ] {
            let mut wrong = whole.clone();
            wrong[field] = value;
            assert_eq!(Record::from_json(wrong.to_string().as_bytes()), None, "{wrong}");
        }
        assert_eq!(Record::from_json(b""), None);
    }

    #[test]
    fn names() {
        assert_eq!(file_name(b"/mnt/data"), "-mnt-data");
        assert_eq!(file_name(b"/mnt/a-b"), "-mnt-a%2db");
        assert_eq!(file_name(b".."), "%2e.");
    }

    proptest! {
        #[test]
        fn a_name_is_a_name(a in proptest::collection::vec(1u8.., 1..300), b in proptest::collection::vec(1u8.., 1..300)) {
            let name = file_name(&a);
            prop_assert!(!name.contains('/') && !name.starts_with('.') && name.len() < 240);
            prop_assert!(a == b || name != file_name(&b));
        }

        #[test]
        fn any_text(text in ".{0,200}") { let _ = Record::from_json(text.as_bytes()); }
    }
}
