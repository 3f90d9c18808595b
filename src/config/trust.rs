//! Reading a file that directs root only if nobody but root and us could have written it.
//!
//! The path is walked one component at a time from the root, through symbolic links too, each component opened below the
//! one that was looked at before: what was judged is what is read, whatever is renamed meanwhile.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::ConfigError;
use crate::cli::Failure;

/// The largest file that is read, in bytes.
pub const LARGEST: u64 = 256 * 1024;

/// Symbolic links in one path, as the kernel limits them.
const LINKS: u32 = 40;

/// The password or the secret in the first line of a file that is nobody else's.
///
/// # Errors
/// As a mistake in the call: it cannot be read, or others can.
pub fn password(path: &Path) -> Result<String, Failure> {
    let hint = |e: &ConfigError| match e {
        ConfigError::Unreadable { error, .. } if error.kind() == io::ErrorKind::NotFound => {
            format!(
                "write it into that file, on its first line, where nobody else reads: umask 077; cat >{}",
                shell_word(path)
            )
        }
        other => {
            other.hint().unwrap_or_else(|| "it stands on the first line of an ordinary file, yours alone".to_owned())
        }
    };
    let bytes = read_secret(path).map_err(|e| Failure::usage(e.to_string(), hint(&e)))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Reads a file of secrets: nobody else may write any component of its path, or read the file.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, ConfigError> {
    read(path, Some(Need::Secret))
}

/// Reads a file that directs us: nobody else may write any component of its path.
pub fn read_trusted(path: &Path) -> Result<Vec<u8>, ConfigError> {
    read(path, Some(Need::Trusted))
}

/// Reads a file to look at it only: nothing may be done because of what it says.
pub fn read_unjudged(path: &Path) -> Result<Vec<u8>, ConfigError> {
    read(path, None)
}

/// Whether nobody else may write any component of the path to this file.
pub fn check_trusted(path: &Path) -> Result<(), ConfigError> {
    check(path, Need::Trusted)
}

/// Whether nobody else may write any component of the path to this file, or read the file.
pub fn check_secret(path: &Path) -> Result<(), ConfigError> {
    check(path, Need::Secret)
}

/// What is asked of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Trusted,
    Secret,
}

/// Why a path is not trusted: which component of it, whose it is, and its mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    /// The file that was asked for, from the root on.
    pub file: PathBuf,
    /// The component of its path.
    pub component: PathBuf,
    /// Its owner.
    pub owner: u32,
    /// Its permission bits.
    pub mode: u32,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It belongs neither to root nor to us.
    Owner,
    /// Its group or all others may write it.
    Writable,
    /// Its group or all others may read the file, or do anything else with it.
    Readable,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} is not to be trusted: {}", self.file.display(), self.what())
    }
}

impl std::error::Error for Untrusted {}

impl Untrusted {
    /// What is wrong, for whoever knows which file it is about.
    pub fn what(&self) -> String {
        let Self { file, component, owner, mode, why } = self;
        let which = if component == file { "it".to_owned() } else { component.display().to_string() };
        let what = match why {
            Why::Owner => "belongs neither to root nor to the user that asks",
            Why::Writable => "can be written by others",
            Why::Readable => "can be read by others, and holds secrets",
        };
        format!("{which} {what} (owner {owner}, mode {mode:04o})")
    }

    /// The command that mends it.
    pub fn mend(&self) -> String {
        let path = shell_word(&self.component);
        match self.why {
            Why::Owner => format!("chown -h root {path}"),
            Why::Writable => format!("chmod go-w {path}"),
            Why::Readable => format!("chmod 600 {path}"),
        }
    }
}

/// A path as one word of a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Who asks, as far as it matters.
#[derive(Clone, Copy, Debug)]
struct Asker {
    uid: u32,
    /// The owner that the kernel shows for those that this user namespace does not know; none outside of one.
    unmapped: Option<u32>,
}

impl Asker {
    fn this_process() -> Self {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let unmapped = in_user_namespace(&map).then(|| {
            let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
            overflow.trim().parse().unwrap_or(65534)
        });
        Self { uid: nix::unistd::geteuid().as_raw(), unmapped }
    }

    fn own(self, uid: u32) -> bool {
        uid == 0 || uid == self.uid
    }
}

/// Whether a `/proc/PID/uid_map` maps anything but all users to themselves.
fn in_user_namespace(map: &str) -> bool {
    let mut lines = map.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
    match (lines.next(), lines.next()) {
        (None, _) => false, // no /proc: then nothing more is accepted
        (Some(only), None) => only != ["0", "0", "4294967295"],
        _ => true,
    }
}

/// One component of the path, as the kernel describes it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    uid: u32,
    mode: u32,
    link: bool,
    last: bool,
    /// Everybody may add and rename their own things in the folder it stands in.
    in_sticky: bool,
}

fn judge(seen: Seen, need: Need, asker: Asker) -> Result<(), Why> {
    let unmapped = !seen.in_sticky && asker.unmapped == Some(seen.uid);
    if !asker.own(seen.uid) && !unmapped {
        return Err(Why::Owner);
    }
    if seen.link {
        return Ok(()); // its permissions mean nothing; where it stands was judged, where it leads will be
    }
    let sticky_folder = !seen.last && seen.mode & STICKY != 0;
    if seen.mode & 0o022 != 0 && !sticky_folder {
        return Err(Why::Writable);
    }
    if seen.last && need == Need::Secret && seen.mode & 0o077 != 0 {
        return Err(Why::Readable);
    }
    Ok(())
}

const STICKY: u32 = 0o1000;

/// The open file, after every component of its path was judged; with no need nothing is judged.
struct Walk<'a> {
    file: &'a Path,
    absolute: PathBuf,
    need: Option<Need>,
    asker: Asker,
    at: OwnedFd,
    /// Where `at` is.
    shown: PathBuf,
    at_sticky: bool,
}

impl<'a> Walk<'a> {
    /// Walks to the last component and returns it with the name under which it stands in `at`.
    fn to_file(file: &'a Path, need: Option<Need>) -> Result<(Self, OsString), ConfigError> {
        let unreadable = |error: io::Error| ConfigError::Unreadable { path: file.to_owned(), error };
        let absolute = std::path::absolute(file).map_err(unreadable)?;
        let root = open_root().map_err(|e| unreadable(e.into()))?;
        let mut todo = names(&absolute);
        let asker = Asker::this_process();
        let mut walk = Self { file, absolute, need, asker, at: root, shown: "/".into(), at_sticky: false };
        walk.judge_folder()?;
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                walk.at = walk.open(&name, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                walk.shown.pop();
                walk.judge_folder()?;
                continue;
            }
            let next = walk.open(&name, OFlag::O_PATH)?;
            let stat = walk.stat(&next)?;
            let link = kind(&stat) == SFlag::S_IFLNK;
            let component = walk.shown.join(&name);
            let last = !link && todo.is_empty();
            if last && kind(&stat) != SFlag::S_IFREG {
                return Err(ConfigError::NotAFile(file.to_owned()));
            }
            walk.judge(&stat, &component, last)?;
            if link {
                links += 1;
                if links > LINKS {
                    return Err(walk.failed(Errno::ELOOP));
                }
                let target = readlinkat(&next, "").map_err(|e| walk.failed(e))?;
                if target.as_bytes().starts_with(b"/") {
                    walk.at = open_root().map_err(|e| walk.failed(e))?;
                    walk.shown = "/".into();
                    walk.at_sticky = false;
                }
                todo.extend(names(Path::new(&target)));
            } else if last {
                return Ok((walk, name));
            } else {
                walk.at = next;
                walk.shown = component;
                walk.at_sticky = stat.st_mode & STICKY != 0 && stat.st_mode & 0o022 != 0;
            }
        }
        Err(ConfigError::NotAFile(file.to_owned())) // the path ended in a folder: `/`, `..`
    }

    fn open(&self, name: &OsStr, flags: OFlag) -> Result<OwnedFd, ConfigError> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.at, name, flags, Mode::empty()).map_err(|e| self.failed(e))
    }

    fn stat(&self, fd: impl AsFd) -> Result<FileStat, ConfigError> {
        fstat(fd).map_err(|e| self.failed(e))
    }

    fn judge_folder(&mut self) -> Result<(), ConfigError> {
        let stat = self.stat(&self.at)?;
        self.at_sticky = false; // its own place was judged on the way down, or is the root
        self.judge(&stat, &self.shown, false)?;
        self.at_sticky = stat.st_mode & STICKY != 0 && stat.st_mode & 0o022 != 0;
        Ok(())
    }

    fn judge(&self, stat: &FileStat, component: &Path, last: bool) -> Result<(), ConfigError> {
        let Some(need) = self.need else { return Ok(()) };
        let link = kind(stat) == SFlag::S_IFLNK;
        let seen = Seen { uid: stat.st_uid, mode: stat.st_mode & 0o7777, link, last, in_sticky: self.at_sticky };
        judge(seen, need, self.asker).map_err(|why| {
            ConfigError::Untrusted(Box::new(Untrusted {
                file: self.absolute.clone(),
                component: component.to_owned(),
                owner: seen.uid,
                mode: seen.mode,
                why,
            }))
        })
    }

    fn failed(&self, errno: Errno) -> ConfigError {
        ConfigError::Unreadable { path: self.file.to_owned(), error: errno.into() }
    }
}

fn open_root() -> nix::Result<OwnedFd> {
    open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The names of a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let name = |c: Component| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    let mut names: Vec<OsString> = path.components().filter_map(name).collect();
    names.reverse();
    names
}

fn check(path: &Path, need: Need) -> Result<(), ConfigError> {
    Walk::to_file(path, Some(need)).map(|_| ())
}

fn read(path: &Path, need: Option<Need>) -> Result<Vec<u8>, ConfigError> {
    let (walk, name) = Walk::to_file(path, need)?;
    // O_NONBLOCK: should it have become a pipe meanwhile, opening it must not wait for a writer.
    let file = walk.open(&name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    let stat = walk.stat(&file)?;
    if kind(&stat) != SFlag::S_IFREG {
        return Err(ConfigError::NotAFile(path.to_owned()));
    }
    walk.judge(&stat, &walk.shown.join(&name), true)?; // the very file that is read
    let mut bytes = Vec::new();
    let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    File::from(file).take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(ConfigError::TooLarge(path.to_owned())),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
