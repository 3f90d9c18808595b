//! What is mounted where: `/proc/PID/mountinfo`, and which of several mounts a path really leads into.
//!
//! Nothing here touches a mount: a dead file server cannot hang it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A device number as `(major, minor)`; file systems without a device have a number of their own, with major 0.
pub type Dev = (u32, u32);

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The number of the mount; no two mounts of a machine have the same at one time, whatever their namespace.
    pub id: u64,
    /// The mount that it stands on.
    pub parent: u64,
    /// The `st_dev` of its files.
    pub dev: Dev,
    /// Which part of the file system is mounted; `/` unless it is a bind mount.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// Options of the mount, as the kernel shows them.
    pub options: String,
    /// The type.
    pub fstype: String,
    /// What was mounted, as it was given.
    pub source: String,
    /// Options of the file system.
    pub super_options: String,
}

impl Mount {
    /// The options of the mount and of its file system, each word once.
    pub fn all_options(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for word in self.options.split(',').chain(self.super_options.split(',')) {
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(",")
    }

    /// Whether nothing can be written through it, be it the mount or the whole file system.
    pub fn read_only(&self) -> bool {
        let ro = |options: &str| options.split(',').any(|o| o == "ro");
        ro(&self.options) || ro(&self.super_options)
    }
}

/// The mounts of one namespace, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub Vec<Mount>);

impl Table {
    /// Reads a mountinfo file. Lines that are none are left out: a mount that is not understood is not one of ours.
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|b| *b == b'\n').filter_map(line).collect())
    }

    /// The mounts of this process's namespace, or of that of another process.
    pub fn read(pid: Option<i32>) -> std::io::Result<Self> {
        let path = pid.map_or_else(|| "/proc/self/mountinfo".to_owned(), |pid| format!("/proc/{pid}/mountinfo"));
        Ok(Self::parse(&std::fs::read(path)?))
    }

    /// The mount that a path leads into, as the kernel walks: what lies hidden below another mount is not reached.
    /// The path has to be absolute and without symbolic links.
    pub fn containing(&self, path: &Path) -> Option<&Mount> {
        let nearest = |mounts: &mut dyn Iterator<Item = &'_ Mount>| -> Option<usize> {
            mounts
                .filter(|m| path.starts_with(&m.point))
                .min_by_key(|m| m.point.as_os_str().len())
                .and_then(|m| self.0.iter().position(|other| std::ptr::eq(other, m)))
        };
        let known = |id: u64| self.0.iter().any(|m| m.id == id);
        let mut at = &self.0[nearest(&mut self.0.iter().filter(|m| m.parent == m.id || !known(m.parent)))?];
        // Each step goes to a child; a table that is no tree ends by the count.
        for _ in 0..self.0.len() {
            let mut children = self.0.iter().filter(|m| m.parent == at.id && m.id != at.id);
            match nearest(&mut children) {
                Some(next) => at = &self.0[next],
                None => break,
            }
        }
        Some(at)
    }

    /// What is mounted at exactly this path and can be reached, the uppermost first; below it lies what it hides.
    pub fn stack(&self, point: &Path) -> Vec<&Mount> {
        let mut stack: Vec<&Mount> = Vec::new();
        let mut at = self.containing(point);
        while let Some(mount) = at.filter(|m| m.point == point && stack.len() < self.0.len()) {
            stack.push(mount);
            at = self.0.iter().find(|m| m.id == mount.parent && m.id != mount.id);
        }
        stack
    }

    /// The mounts that stand on this one: it cannot be unmounted before them.
    pub fn standing_on(&self, id: u64) -> Vec<&Mount> {
        self.0.iter().filter(|m| m.parent == id && m.id != id).collect()
    }
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let id = number(words.next()?)?;
    let parent = number(words.next()?)?;
    let dev = std::str::from_utf8(words.next()?).ok()?;
    let (major, minor) = dev.split_once(':')?;
    let dev = (major.parse().ok()?, minor.parse().ok()?);
    let root = path(words.next()?);
    let point = path(words.next()?);
    let options = text(words.next()?);
    words.by_ref().find(|w| *w == b"-")?; // any number of tags stands before it
    let fstype = text(words.next()?);
    // The source may be empty, and then there are two words less one.
    let (source, super_options) = match (words.next(), words.next()) {
        (Some(source), Some(options)) => (text(source), text(options)),
        (Some(options), None) => (String::new(), text(options)),
        (None, _) => (String::new(), String::new()),
    };
    point.is_absolute().then_some(Mount { id, parent, dev, root, point, options, fstype, source, super_options })
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn path(word: &[u8]) -> PathBuf {
    OsString::from_vec(unescape(word)).into()
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(word)).into_owned()
}

/// `\040` for a blank, and so on: any byte, in three octal digits.
pub fn unescape(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, tail)) = rest.split_first() {
        let code = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 7:0 / /mnt/a rw,relatime shared:7 master:3 - ext4 /dev/loop0 rw,errors=continue
31 22 7:0 /sub /srv/b ro - ext4 /dev/loop0 rw
32 30 0:50 / /mnt/a/in rw - tmpfs none rw
40 22 0:51 / /x rw - tmpfs one rw
41 22 0:52 / /x/y rw - tmpfs two rw
42 40 0:53 / /x rw - tmpfs three rw
43 22 0:54 / /with\\040blank\\134 rw - nfs4 host:/a\\040b rw
garbage
44 22 0:55 / /empty rw - tmpfs  rw
";

    fn table() -> Table {
        Table::parse(TABLE.as_bytes())
    }

    fn at(path: &str) -> u64 {
        table().containing(Path::new(path)).map_or(0, |m| m.id)
    }

    #[test]
    fn lines() {
        let t = table();
        assert_eq!(t.0.len(), 10);
        let m = &t.0[8];
        assert_eq!((m.point.to_str(), m.source.as_str(), m.dev), (Some("/with blank\\"), "host:/a b", (0, 54)));
        assert_eq!((t.0[9].source.as_str(), t.0[9].super_options.as_str()), ("", "rw"));
        assert!(t.0[3].read_only() && !t.0[2].read_only());
    }

    #[test]
    fn where_a_path_leads() {
        for (path, id) in [
            ("/", 22),
            ("/etc", 22),
            ("/mnt", 22),
            ("/mnt/a", 30),
            ("/mnt/ab", 22),
            ("/mnt/a/file", 30),
            ("/mnt/a/in/x", 32),
            ("/srv/b/x", 31),
            ("/x", 42),
            ("/x/y", 42), // what was mounted there before lies hidden
            ("/with blank\\/a", 43),
        ] {
            assert_eq!(at(path), id, "{path}");
        }
    }

    #[test]
    fn stacks() {
        let t = table();
        let ids = |path: &str| t.stack(Path::new(path)).iter().map(|m| m.id).collect::<Vec<_>>();
        assert_eq!(ids("/x"), [42, 40]);
        assert_eq!(ids("/x/y"), [] as [u64; 0]);
        assert_eq!(ids("/mnt/a"), [30]);
        assert_eq!(ids("/mnt"), [] as [u64; 0]);
        assert_eq!(ids("/"), [22]);
        assert_eq!(t.standing_on(30).iter().map(|m| m.id).collect::<Vec<_>>(), [32]);
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..300), path in "(/[a-c]{1,2}){0,4}") {
            let table = Table::parse(&text);
            let _ = table.containing(Path::new(&path));
            let _ = table.stack(Path::new(&path));
        }

        /// Whatever the tree looks like: the mount found contains the path, and a stack is at the path.
        #[test]
        fn any_tree(shape in proptest::collection::vec((0usize..8, 0usize..8, "(/[ab]){0,3}"), 1..8)) {
            let lines: Vec<String> = shape
                .iter()
                .map(|(id, parent, point)| {
                    let point = if point.is_empty() { "/" } else { point };
                    format!("{id} {parent} 0:1 / {point} rw - t s rw\n")
                })
                .collect();
            let table = Table::parse(lines.concat().as_bytes());
            for (_, _, point) in &shape {
                let point = Path::new(if point.is_empty() { "/" } else { point });
                if let Some(m) = table.containing(point) {
                    prop_assert!(point.starts_with(&m.point));
                }
                prop_assert!(table.stack(point).iter().all(|m| m.point == point));
            }
        }

        #[test]
        fn escapes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let escaped: Vec<u8> = bytes.iter().flat_map(|b| format!("\\{b:03o}").into_bytes()).collect();
            prop_assert_eq!(unescape(&escaped), bytes);
        }
    }
}
