//! Who holds a mount open: what was read from /proc, judged by the number of the mount.
//!
//! Never by the device alone: a bind mount of the same file system has other users, and the system's own root may be one.

pub mod plan;
pub mod proc;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::mountinfo::{Dev, Mount, Table};
use super::process::Process;

/// In which way a file is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The current folder of a task.
    Cwd,
    /// The root of a task: chroot.
    Root,
    /// The program that runs.
    Exe,
    /// An open file.
    Fd,
    /// A mapped file.
    Map,
    /// A loop device stands on it.
    Loop,
    /// The kernel swaps to it.
    Swap,
    /// The kernel's NFS server exports it.
    Export,
}

impl How {
    const ALL: [Self; 8] =
        [Self::Cwd, Self::Root, Self::Exe, Self::Fd, Self::Map, Self::Loop, Self::Swap, Self::Export];

    /// As events name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cwd => "cwd",
            Self::Root => "root",
            Self::Exe => "exe",
            Self::Fd => "fd",
            Self::Map => "map",
            Self::Loop => "loop",
            Self::Swap => "swap",
            Self::Export => "export",
        }
    }
}

/// The mount that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its number here, and those of its copies in other mount namespaces.
    pub ids: HashSet<u64>,
    /// Its number here.
    pub id: u64,
    /// Where it is.
    pub point: PathBuf,
    /// The `st_dev` of its files.
    pub dev: Dev,
}

impl Target {
    /// A mount of this namespace, with its copies among the tables of others: the same part of the same file system at the
    /// same place.
    pub fn new(mount: &Mount, others: &[Table]) -> Self {
        let copy = |m: &&Mount| m.dev == mount.dev && m.root == mount.root && m.point == mount.point;
        let copies = others.iter().flat_map(|t| &t.0).filter(copy).map(|m| m.id);
        Self { ids: copies.chain([mount.id]).collect(), id: mount.id, point: mount.point.clone(), dev: mount.dev }
    }
}

/// A file of a task, as /proc shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// In which way.
    pub how: How,
    /// The path, as the kernel writes it.
    pub path: PathBuf,
    /// The number of its mount, where that could be asked without touching the file.
    pub mount: Option<u64>,
    /// Its `st_dev`, likewise.
    pub dev: Option<Dev>,
    /// Whoever holds it sees the same mounts as we do, so that the path means the same here.
    pub here: bool,
}

/// Whether a file that was seen lies in the mount. Where the number of the mount is not known, the path decides, with
/// whatever else is mounted below it or over it; in another mount namespace it says nothing.
pub fn lies_in(seen: &Seen, target: &Target, table: &Table) -> bool {
    match seen.mount {
        Some(id) => target.ids.contains(&id),
        None => {
            seen.here
                && seen.dev.is_none_or(|dev| dev == target.dev)
                && seen.path.starts_with(&target.point)
                && table.containing(&seen.path).is_some_and(|m| m.id == target.id)
        }
    }
}

/// Whoever holds the mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process; none for the kernel.
    pub process: Option<Process>,
    /// What it runs, or the kernel's device.
    pub command: String,
    /// Its user.
    pub user: Option<String>,
    /// In which ways, and a file of each.
    pub uses: BTreeMap<How, PathBuf>,
    /// How many files in all.
    pub files: u64,
}

impl Holder {
    /// Across the pipe of the child that looked.
    pub fn to_json(&self) -> Value {
        let uses: Vec<Value> =
            self.uses.iter().map(|(how, path)| json!([how.word(), path.to_string_lossy()])).collect();
        json!({
            "process": self.process.map(|p| json!([p.pid, p.start])),
            "command": self.command,
            "user": self.user,
            "uses": uses,
            "files": self.files,
        })
    }

    /// The other end.
    pub fn from_json(value: &Value) -> Option<Self> {
        let process = match &value["process"] {
            Value::Null => None,
            p => Some(Process { pid: p[0].as_i64()?.try_into().ok()?, start: p[1].as_u64()? }),
        };
        let one = |pair: &Value| {
            let how = How::ALL.into_iter().find(|how| pair[0] == how.word())?;
            Some((how, PathBuf::from(pair[1].as_str()?)))
        };
        Some(Self {
            process,
            command: value["command"].as_str()?.to_owned(),
            user: value["user"].as_str().map(str::to_owned),
            uses: value["uses"].as_array()?.iter().map(one).collect::<Option<_>>()?,
            files: value["files"].as_u64()?,
        })
    }

    /// A file of it, an open one first, as that says most.
    pub fn file(&self) -> Option<&Path> {
        let first = [How::Fd, How::Map, How::Exe, How::Cwd, How::Root];
        let best = first.iter().find_map(|how| self.uses.get(how));
        best.or_else(|| self.uses.values().next()).map(PathBuf::as_path)
    }

    /// The ways, in words.
    pub fn ways(&self) -> String {
        self.uses.keys().map(|how| how.word()).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "\
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 7:0 / /mnt rw - ext4 /dev/loop0 rw
31 30 0:50 / /mnt/in rw - tmpfs none rw
32 22 7:0 / /other rw - ext4 /dev/loop0 rw
";
    const THERE: &str = "\
122 1 254:0 / / rw - ext4 /dev/vda rw
130 122 7:0 / /mnt rw - ext4 /dev/loop0 rw
132 122 7:0 / /other rw - ext4 /dev/loop0 rw
133 122 7:0 /sub /mnt rw - ext4 /dev/loop0 rw
";

    #[test]
    fn the_mount_and_nothing_else() {
        let here = Table::parse(HERE.as_bytes());
        let target = Target::new(&here.0[1], &[Table::parse(THERE.as_bytes())]);
        assert_eq!(target.ids, HashSet::from([30, 130]), "a copy elsewhere, but no other part and no other place");
        let seen = |path: &str, mount, dev| Seen { how: How::Fd, path: path.into(), mount, dev, here: true };
        for (seen, expected) in [
            (seen("/mnt/x", Some(30), None), true),
            (seen("/anything", Some(130), None), true), // of a lazy unmount, or below another root
            (seen("/other/x", Some(32), Some((7, 0))), false),
            (seen("/mnt/x", Some(32), Some((7, 0))), false),
            (seen("/mnt/x", None, Some((7, 0))), true),
            (seen("/mnt/x", None, None), true),
            (seen("/mnt/x", None, Some((254, 0))), false),
            (seen("/mnt/in/x", None, None), false),
            (seen("/other/x", None, Some((7, 0))), false),
            (seen("/mnt2", None, None), false),
            // A path of another namespace may be any file system.
            (Seen { here: false, ..seen("/mnt/x", None, None) }, false),
            (Seen { here: false, ..seen("/mnt/x", None, Some((7, 0))) }, false),
            (Seen { here: false, ..seen("/mnt/x", Some(130), None) }, true),
        ] {
            assert_eq!(lies_in(&seen, &target, &here), expected, "{seen:?}");
        }
    }

    #[test]
    fn across_the_pipe() {
        let mut holder = Holder {
            process: Some(Process { pid: 5, start: 7 }),
            command: "a b".into(),
            user: None,
            uses: BTreeMap::from([(How::Cwd, "/mnt".into()), (How::Fd, "/mnt/x".into())]),
            files: 3,
        };
        assert_eq!(Holder::from_json(&holder.to_json()), Some(holder.clone()));
        assert_eq!((holder.file(), holder.ways().as_str()), (Some(Path::new("/mnt/x")), "cwd,fd"));
        holder.process = None;
        assert_eq!(Holder::from_json(&holder.to_json()), Some(holder));
        assert_eq!(Holder::from_json(&json!({})), None);
    }
}
