//! `--guard flock`: a lock file. Whoever has the lock writes into the file who it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Got, Held, Outcome};
use crate::args::node_name;
use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::storage::mountinfo::Table;
use crate::storage::process::Process;
use crate::storage::record::{FOLDER, file_name, open_lock, try_lock};

/// File systems whose locks reach every machine that mounts them.
const SHARED: &[&str] = &["nfs", "nfs4", "cifs", "smb3", "ceph", "gfs2", "ocfs2", "lustre", "gpfs", "9p", "virtiofs"];

/// Of the holder's own words about itself this much is read, in bytes.
const LONGEST: usize = 4096;

/// How long somebody who only looks may keep it locked.
const SECOND_TRY: Duration = Duration::from_millis(50);

/// What the holder of a lock writes into it about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The node.
    pub node: String,
    /// The process that holds it; none where the line does not say so.
    pub process: Option<Process>,
}

impl Who {
    fn line(&self, device: &str) -> Value {
        let (pid, start) = (self.process.map(|p| p.pid), self.process.map(|p| p.start));
        json!({"node": self.node, "pid": pid, "start": start, "device": device})
    }

    /// Reads what somebody wrote; nothing if it is none of ours.
    fn parse(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let node = value.get("node")?.as_str()?.to_owned();
        let pid = value["pid"].as_i64().and_then(|pid| pid.try_into().ok());
        let process = pid.zip(value["start"].as_u64()).map(|(pid, start)| Process { pid, start });
        Some(Self { node, process })
    }
}

/// The lock file of a device, where none was named: on this machine, one a device whatever its mount points.
pub fn default_file(identity: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.flock", file_name(identity.as_bytes())))
}

/// Tries to get the lock. It is held for as long as anybody has the returned file open.
///
/// # Errors
/// When the file cannot be opened, or not be locked.
///
/// `standing`: it is mounted already, and was claimed by that one before, if by anybody. Then it counts only if nobody else
/// had the lock meanwhile.
pub fn acquire(
    file: &Path,
    device: &str,
    me: &Who,
    standing: Option<Option<Who>>,
) -> Result<(Outcome, Option<File>), Failure> {
    let lock = open_lock(file)?;
    if !try_twice(&lock, pause).map_err(|e| Failure::at(file, &e))? {
        return Ok((Outcome::Held(held(&lock, file)), None));
    }
    let before = read(&lock).map_err(|e| Failure::at(file, &e))?;
    let before = match before.as_slice() {
        [] => None,
        text => Some(Who::parse(text).ok_or_else(|| foreign(file))?),
    };
    if let Some(standing) = standing
        && standing != before
    {
        return Ok((Outcome::Held(meanwhile(before.map(|w| w.node))), None));
    }
    let line = format!("{}\n", me.line(device));
    let write = || -> io::Result<()> {
        lock.write_all_at(line.as_bytes(), 0)?;
        lock.set_len(line.len() as u64)
    };
    write().map_err(|e| Failure::at(file, &e))?;
    let cause = format!("{} is locked, which excludes {}", file.display(), reach(file));
    Ok((Outcome::Got(Got { strength: "advisory".into(), cause, changed: true }), Some(lock)))
}

/// Whether the lock is still this one's, as far as the file tells: a file server that lost it says so, or another has
/// written there since.
///
/// # Errors
/// Why not.
pub fn still(lock: &File, me: &Who) -> Result<(), String> {
    match read(lock) {
        Ok(text) if Who::parse(&text).as_ref() == Some(me) => Ok(()),
        Ok(_) => Err("somebody else has written into the lock file".to_owned()),
        Err(e) => Err(format!("the lock file cannot be read: {e}")),
    }
}

/// Why a mount that stands is not claimed again: what it has in memory may be old.
pub fn meanwhile(holder: Option<String>) -> Held {
    let who = holder.as_deref().map_or_else(|| "another node".to_owned(), |h| format!("another node, {h} perhaps,"));
    let cause =
        format!("it is not known to have been this node's all the time: {who} may have written to it meanwhile");
    Held { holder, cause, hint: Some("fs-release MOUNTPOINT first, then claim it again".to_owned()) }
}

/// As `try_lock`; but who has it may be somebody who only looks.
fn try_twice(lock: &File, pause: impl FnOnce()) -> io::Result<bool> {
    if try_lock(lock)? {
        return Ok(true);
    }
    pause();
    try_lock(lock)
}

fn pause() {
    std::thread::sleep(SECOND_TRY);
}

fn read(lock: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LONGEST];
    let length = lock.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn foreign(file: &Path) -> Failure {
    let message = format!("{} is no lock file: something else stands in it", file.display());
    let hint = "nothing was written; name an empty file, or one that is not there yet";
    Failure::new(Fault::Configuration, "not-a-lock", message).hint(hint)
}

/// Who has the lock, without taking it and without making the file.
///
/// # Errors
/// When it is there and cannot be asked.
pub fn holder(file: &Path) -> Result<Option<Held>, Failure> {
    let lock = match File::open(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock.map_err(|e| Failure::at(file, &e))?,
    };
    let free = try_twice(&lock, pause).map_err(|e| Failure::at(file, &e))?;
    Ok((!free).then(|| held(&lock, file)))
}

/// Whom the lock excludes, in words.
pub fn reach(file: &Path) -> &'static str {
    match shared(file) {
        true => "whoever locks the same file, on this machine and on others that mount its file system",
        false => "others on this machine only, and no other node",
    }
}

/// Whether the lock reaches other machines.
pub fn shared(file: &Path) -> bool {
    // Without symbolic links resolved the answer could be that of another file system: then it is the modest one.
    let real = std::fs::canonicalize(file).unwrap_or_default();
    Table::read(None).is_ok_and(|t| t.containing(&real).is_some_and(|m| SHARED.contains(&m.fstype.as_str())))
}

fn held(lock: &File, file: &Path) -> Held {
    let who = read(lock).ok().and_then(|text| Who::parse(&text));
    let pid = who.as_ref().and_then(|w| w.process).map_or_else(String::new, |p| format!(", process {} there", p.pid));
    let holder = who.and_then(|w| node_name(&w.node).ok());
    let by = holder.as_deref().unwrap_or("somebody whose name is not in the file");
    let cause = format!("{} is locked by {by}{pid}", file.display());
    Held { holder, cause, hint: Some("release it there: fs-release MOUNTPOINT".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(node: &str, pid: i32) -> Who {
        Who { node: node.to_owned(), process: Some(Process { pid, start: 7 }) }
    }

    fn with_file(name: &str, test: impl FnOnce(&Path)) {
        let folder = std::env::temp_dir().join(format!("flock-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        test(&folder.join("lock"));
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn one_of_two() {
        with_file("two", |file| {
            let (first, held) = acquire(file, "/dev/x", &who("ha1", 5), None).expect("asks");
            assert!(matches!(first, Outcome::Got(Got { changed: true, .. })), "{first:?}");
            let (second, none) = acquire(file, "/dev/x", &who("ha2", 6), None).expect("asks");
            assert!(none.is_none());
            assert!(matches!(&second, Outcome::Held(Held { holder: Some(h), .. }) if h == "ha1"), "{second:?}");
            let lock = held.expect("a lock");
            assert_eq!(still(&lock, &who("ha1", 5)), Ok(()));
            drop(lock);
            let (third, held) = acquire(file, "/dev/x", &who("ha2", 6), None).expect("asks");
            assert!(matches!(third, Outcome::Got(_)));
            assert!(still(&held.expect("a lock"), &who("ha1", 5)).is_err(), "another has it now");
        });
    }

    /// Somebody who only looks is no holder.
    #[test]
    fn a_look_is_no_claim() {
        with_file("look", |file| {
            let looks = open_lock(file).expect("opens");
            let claims = open_lock(file).expect("opens");
            assert!(try_lock(&looks).expect("locks"));
            assert!(!try_twice(&claims, || ()).expect("asks"), "it stays");
            assert!(try_twice(&claims, || drop(looks)).expect("asks"), "it was a look");
        });
    }

    /// What stands mounted is claimed again only where nobody can have had it meanwhile.
    #[test]
    fn a_mount_that_stands() {
        with_file("stands", |file| {
            let got = |me: &Who, before: Option<Who>| {
                let (outcome, lock) = acquire(file, "/dev/x", me, Some(before)).expect("asks");
                assert_eq!(matches!(outcome, Outcome::Got(_)), lock.is_some());
                lock.is_some()
            };
            let (a, b) = (who("ha1", 5), who("ha2", 5));
            assert!(!got(&a, Some(a.clone())), "a file that was made anew");
            assert!(got(&a, None), "nobody ever had it");
            assert!(got(&who("ha1", 6), Some(a.clone())), "it was ours, and is ours again");
            assert!(!got(&a, Some(a.clone())) && !got(&a, None), "somebody had it");
            drop(acquire(file, "/dev/x", &b, None).expect("asks"));
            assert!(!got(&who("ha1", 7), Some(who("ha1", 6))), "the other node had it");
            let (_, lock) = acquire(file, "/dev/x", &a, None).expect("asks");
            assert!(lock.is_some(), "without a mount it is to be had");
        });
    }

    #[test]
    fn other_files_stay_as_they_are() {
        with_file("foreign", |file| {
            for text in ["important\n", "{}", "{\"node\":5}", "[1]", "{\"node\":\"x\"} and more"] {
                std::fs::write(file, text).expect("writes");
                let refused = acquire(file, "/dev/x", &who("ha1", 5), None).map(|_| ());
                assert_eq!(refused.map_err(|e| (e.fault, e.code)), Err((Fault::Configuration, "not-a-lock")), "{text}");
                assert_eq!(std::fs::read_to_string(file).expect("reads"), text);
            }
            std::fs::write(file, "{\"node\":\"../x\\n\"}").expect("somebody's line");
            assert!(acquire(file, "/dev/x", &who("ha1", 5), None).is_ok());
        });
    }
}
