//! Reading /proc for the holders of a mount. It belongs into a child with a deadline: memory maps of a process that waits
//! for a dead file server cannot always be read, and opening one of its files asks the server.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use serde_json::Value;

use super::{Holder, How, Seen, Target, lies_in};
use crate::cli::Failure;
use crate::clock::Instant;
use crate::storage::aside::{AsideError, aside};
use crate::storage::mountinfo::{Dev, Mount, Table, unescape};
use crate::storage::process::{Process, Stat, share_files};
use crate::storage::record::namespace_of;

/// What may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// Files are opened to ask for their mount, and memory maps read.
    Exact,
    /// Nothing that a dead file server could answer with silence.
    Untouched,
}

/// Everybody who holds the mount. Where that takes longer than half the time, only what can be read without touching the
/// files counts, and the second value is false.
///
/// # Errors
/// When not even that is to be had before the deadline.
pub fn holders(mount: &Mount, deadline: Instant, timeout: Duration) -> Result<(Vec<Holder>, bool), Failure> {
    let now = Instant::now();
    let half = now + deadline.since(now) / 2;
    let (found, exact) = match aside(half, || look(mount, Care::Exact)) {
        Err(AsideError::Deadline { .. }) => (aside(deadline, || look(mount, Care::Untouched)), false),
        found => (found, true),
    };
    let found = found.map_err(|e| e.failure("reading who holds it", timeout))?;
    let holders = found.as_array().map(|list| list.iter().filter_map(Holder::from_json).collect());
    Ok((holders.unwrap_or_default(), exact))
}

fn look(mount: &Mount, care: Care) -> Value {
    let table = Table::read(None).unwrap_or_default();
    let pids = numbers(Path::new("/proc"));
    let ours = namespace_of("self");
    let mut others: HashMap<u64, Table> = HashMap::new();
    for pid in &pids {
        if let Some(ns) = namespace_of(&pid.to_string()).filter(|ns| Some(*ns) != ours) {
            others.entry(ns).or_insert_with(|| Table::read(Some(*pid)).unwrap_or_default());
        }
    }
    let others: Vec<Table> = others.into_values().collect();
    let look = Look { target: Target::new(mount, &others), table, care, namespace: ours };
    let me = std::process::id() as i32;
    let users = Users::read();
    let mut found: Vec<Value> = pids
        .iter()
        .filter(|pid| **pid != me)
        .filter_map(|pid| look.process(*pid, &users))
        .map(|h| h.to_json())
        .collect();
    found.extend(look.kernel().iter().map(Holder::to_json));
    found.into()
}

struct Look {
    target: Target,
    table: Table,
    care: Care,
    namespace: Option<u64>,
}

/// The uses of one process.
#[derive(Default)]
struct Uses {
    files: BTreeMap<How, PathBuf>,
    count: u64,
}

impl Uses {
    fn add(&mut self, how: How, path: PathBuf) {
        self.count += 1;
        self.files.entry(how).or_insert(path);
    }
}

impl Look {
    fn process(&self, pid: i32, users: &Users) -> Option<Holder> {
        let stat = Stat::of(pid)?;
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let mut uses = Uses::default();
        for tid in numbers(&folder.join("task")) {
            // A thread may have a root, a folder and open files of its own; all have one memory.
            let task = folder.join(format!("task/{tid}"));
            for (how, name) in [(How::Cwd, "cwd"), (How::Root, "root")] {
                self.link(how, &task, name, &mut uses);
            }
            if tid == pid || !share_files(pid, tid) {
                self.files(&task, &mut uses);
            }
        }
        self.link(How::Exe, &folder, "exe", &mut uses);
        if self.care == Care::Exact {
            self.maps(&folder, &mut uses);
        }
        if uses.files.is_empty() {
            return None;
        }
        Some(Holder {
            process: Some(Process { pid, start: stat.start }),
            command: stat.command,
            user: users.of(pid),
            uses: uses.files,
            files: uses.count,
        })
    }

    /// A link whose text the kernel makes: reading it asks no file system.
    fn link(&self, how: How, task: &Path, name: &str, uses: &mut Uses) {
        let link = task.join(name);
        let Ok(path) = fs::read_link(&link) else { return };
        // Below our own mount point, or somewhere that only another namespace or a lazy unmount explains.
        let near = path.starts_with(&self.target.point);
        let mount = match self.care {
            Care::Exact if near || self.odd(&path) => mount_of(&link),
            _ => None,
        };
        let here = near && mount.is_none() && self.here(task);
        let seen = Seen { how, path, mount, dev: None, here };
        if lies_in(&seen, &self.target, &self.table) {
            uses.add(how, seen.path);
        }
    }

    /// Whether a task sees the mounts that we see.
    fn here(&self, task: &Path) -> bool {
        let Ok(name) = task.strip_prefix("/proc") else { return false };
        self.namespace.is_some() && namespace_of(&name.to_string_lossy()) == self.namespace
    }

    /// Whether a path of another namespace may lie in a copy of the mount, though it does not look like it.
    fn odd(&self, path: &Path) -> bool {
        let detached = !self.table.0.iter().any(|m| m.id == self.target.id);
        detached || (self.target.ids.len() > 1 && path != Path::new("/"))
    }

    fn files(&self, task: &Path, uses: &mut Uses) {
        for number in numbers(&task.join("fd")) {
            let Ok(path) = fs::read_link(task.join(format!("fd/{number}"))) else { continue };
            if !path.is_absolute() {
                continue; // a socket, a pipe
            }
            let info = fs::read(task.join(format!("fdinfo/{number}"))).unwrap_or_default();
            let mount = mount_in(&info);
            let here = mount.is_none() && path.starts_with(&self.target.point) && self.here(task);
            let seen = Seen { how: How::Fd, path, mount, dev: None, here };
            if lies_in(&seen, &self.target, &self.table) {
                uses.add(How::Fd, seen.path);
            }
        }
    }

    fn maps(&self, folder: &Path, uses: &mut Uses) {
        let Ok(text) = fs::read(folder.join("maps")) else { return };
        let mut asked: HashSet<PathBuf> = HashSet::new();
        for (range, dev, path) in text.split(|b| *b == b'\n').filter_map(map) {
            let near = dev == self.target.dev || path.starts_with(&self.target.point);
            if !near || !asked.insert(path.clone()) {
                continue;
            }
            let mount = mount_of(&folder.join("map_files").join(range));
            let seen = Seen { how: How::Map, path, mount, dev: Some(dev), here: mount.is_none() && self.here(folder) };
            if lies_in(&seen, &self.target, &self.table) {
                uses.add(How::Map, seen.path);
            }
        }
    }

    /// What holds a file without being a process.
    fn kernel(&self) -> Vec<Holder> {
        let mut found = Vec::new();
        let mut add = |how: How, command: String, path: PathBuf| {
            let seen = Seen { how, path, mount: None, dev: None, here: true };
            if lies_in(&seen, &self.target, &self.table) {
                let uses = BTreeMap::from([(how, seen.path)]);
                found.push(Holder { process: None, command, user: None, uses, files: 1 });
            }
        };
        for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(file) = fs::read_to_string(entry.path().join("loop/backing_file")) {
                add(How::Loop, name, file.trim_end_matches('\n').into());
            }
        }
        for line in fs::read("/proc/swaps").unwrap_or_default().split(|b| *b == b'\n').skip(1) {
            let word = line.split(|b| *b == b' ' || *b == b'\t').next().unwrap_or_default();
            add(How::Swap, "swap".to_owned(), std::ffi::OsString::from_vec(unescape(word)).into());
        }
        for line in fs::read("/proc/fs/nfsd/exports").unwrap_or_default().split(|b| *b == b'\n') {
            let word = line.split(|b| *b == b' ' || *b == b'\t').next().unwrap_or_default();
            if word.first() == Some(&b'/') {
                add(How::Export, "nfsd".to_owned(), std::ffi::OsString::from_vec(unescape(word)).into());
            }
        }
        found
    }
}

/// `7f00-7f10 r-xp 00000000 fe:00 1234   /path`: the range, the device, the path; nothing for memory without a file.
pub fn map(line: &[u8]) -> Option<(String, Dev, PathBuf)> {
    let mut rest = line;
    let mut word = || {
        let start = rest.iter().position(|b| *b != b' ')?;
        let end = rest[start..].iter().position(|b| *b == b' ').map_or(rest.len(), |n| start + n);
        let (word, tail) = (&rest[start..end], &rest[end..]);
        rest = tail;
        std::str::from_utf8(word).ok()
    };
    let range = word()?.to_owned();
    let _ = (word()?, word()?);
    let (major, minor) = word()?.split_once(':')?;
    let dev = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let _inode = word()?;
    let path = rest.iter().position(|b| *b == b'/').map(|n| &rest[n..])?;
    // Here only newlines are written in octal.
    let path = std::ffi::OsString::from_vec(unescape(path)).into();
    range.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-').then_some((range, dev, path))
}

/// The number of the mount that a link of /proc leads to. This opens the file, in a way that reads nothing.
fn mount_of(link: &Path) -> Option<u64> {
    let file = open(link, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    mount_in(&fs::read(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?)
}

fn mount_in(fdinfo: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(fdinfo);
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// The entries of a folder that are numbers; none if it cannot be read, as of a process that is gone.
fn numbers(folder: &Path) -> Vec<i32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Names of users, from the file alone: a directory service may lie beyond the very network that failed.
struct Users(HashMap<u32, String>);

impl Users {
    fn read() -> Self {
        let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut names = HashMap::new();
        for line in text.lines() {
            let mut words = line.split(':');
            if let (Some(name), Some(uid)) = (words.next(), words.nth(1).and_then(|n| n.parse().ok())) {
                names.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self(names)
    }

    fn of(&self, pid: i32) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("Uid:"))?;
        let uid: u32 = line.split_whitespace().next()?.parse().ok()?;
        Some(self.0.get(&uid).cloned().unwrap_or_else(|| uid.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn maps() {
        let line = b"7f1c2a-7f1c2b r-xp 00000000 fe:00 1234                       /mnt/a b (deleted)";
        let expected = Some(("7f1c2a-7f1c2b".to_owned(), (0xfe, 0), PathBuf::from("/mnt/a b (deleted)")));
        assert_eq!(map(line), expected);
        for none in [&b"7f-80 rw-p 0 00:00 0"[..], b"7f-80 rw-p 0 00:00 0   [heap]", b"", b"x", b"../x r 0 0:0 1 /x"] {
            assert_eq!(map(none), None);
        }
    }

    #[test]
    fn fdinfo() {
        assert_eq!(mount_in(b"pos:\t0\nflags:\t02\nmnt_id:\t30\nino:\t5\n"), Some(30));
        assert_eq!(mount_in(b""), None);
    }

    proptest! {
        #[test]
        fn never_panics(line in proptest::collection::vec(any::<u8>(), 0..80)) { let _ = (map(&line), mount_in(&line)); }
    }
}
