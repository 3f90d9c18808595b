//! `--guard flock`: a lock file. Whoever has the lock writes into the file who it is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Got, Held, Outcome};
use crate::args::node_name;
use crate::cli::Failure;
use crate::storage::mountinfo::Table;
use crate::storage::record::{FOLDER, file_name, open_lock, try_lock};

/// File systems whose locks reach every machine that mounts them.
const SHARED: &[&str] = &["nfs", "nfs4", "cifs", "smb3", "ceph", "gfs2", "ocfs2", "lustre", "gpfs", "9p", "virtiofs"];

/// Of the holder's own words about itself this much is read, in bytes.
const LONGEST: usize = 4096;

/// The lock file of a device, where none was named: on this machine, one a device whatever its mount points.
pub fn default_file(identity: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.flock", file_name(identity.as_bytes())))
}

/// Tries to get the lock. It is held for as long as anybody has the returned file open.
///
/// # Errors
/// When the file cannot be opened, or not be locked.
pub fn acquire(file: &Path, node: &str, device: &str) -> Result<(Outcome, Option<File>), Failure> {
    let lock = open_lock(file)?;
    let locked = try_lock(&lock).map_err(|e| Failure::at(file, &e))?;
    if !locked {
        return Ok((Outcome::Held(held(&lock, file)), None));
    }
    let who = json!({"node": node, "pid": std::process::id(), "device": device});
    let write = || -> io::Result<()> {
        lock.set_len(0)?;
        (&lock).write_all(format!("{who}\n").as_bytes())
    };
    write().map_err(|e| Failure::at(file, &e))?;
    let cause = format!("{} is locked, which excludes {}", file.display(), reach(file));
    Ok((Outcome::Got(Got { strength: "advisory".into(), cause, changed: true }), Some(lock)))
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
    let free = try_lock(&lock).map_err(|e| Failure::at(file, &e))?;
    Ok((!free).then(|| held(&lock, file)))
}

/// Whom the lock excludes, in words.
pub fn reach(file: &Path) -> &'static str {
    // Without symbolic links resolved the answer could be that of another file system: then it is the modest one.
    let real = std::fs::canonicalize(file).unwrap_or_default();
    let shared = Table::read(None).ok().and_then(|t| t.containing(&real).map(|m| SHARED.contains(&m.fstype.as_str())));
    match shared {
        Some(true) => "whoever locks the same file, on this machine and on others that mount its file system",
        _ => "others on this machine only, and no other node",
    }
}

fn held(lock: &File, file: &Path) -> Held {
    let mut bytes = vec![0; LONGEST];
    let length = lock.read_at(&mut bytes, 0).unwrap_or(0);
    let who: Value = serde_json::from_slice(&bytes[..length]).unwrap_or_default();
    let holder = who["node"].as_str().and_then(|name| node_name(name).ok());
    let pid = who["pid"].as_u64().map_or_else(String::new, |pid| format!(", process {pid} there"));
    let by = holder.as_deref().unwrap_or("somebody whose name is not in the file");
    let cause = format!("{} is locked by {by}{pid}", file.display());
    Held { holder, cause, hint: Some("release it there: fs-release MOUNTPOINT".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two() {
        let folder = std::env::temp_dir().join(format!("flock-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("lock");
        let (first, held) = acquire(&file, "ha1", "/dev/x").expect("asks");
        assert!(matches!(first, Outcome::Got(Got { changed: true, .. })), "{first:?}");
        let (second, none) = acquire(&file, "ha2", "/dev/x").expect("asks");
        assert!(none.is_none());
        assert!(matches!(&second, Outcome::Held(Held { holder: Some(h), .. }) if h == "ha1"), "{second:?}");
        drop(held);
        let (third, held) = acquire(&file, "ha2", "/dev/x").expect("asks");
        assert!(matches!(third, Outcome::Got(_)) && held.is_some());
        std::fs::write(&file, "{\"node\":\"../x\\n\"}").expect("nonsense");
        let (_, _) = acquire(&file, "ha1", "/dev/x").expect("asks");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
