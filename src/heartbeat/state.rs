//! What must outlive a process: our own generation, and how far the others had counted.
//!
//! Files are written beside, made durable and renamed: after a crash the old one or the new one is there, whole. On a disk
//! without room for a second one the first is overwritten where it is: what is full must not keep a node from coming back.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::heartbeat::membership::window::Mark;

/// A folder of state that belongs to one command and one node as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    file: PathBuf,
    lock_file: PathBuf,
    lock: Flock<File>,
}

/// Who we are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The seconds since 1970 at the start; one more than the last where the clock says less.
    pub generation: u64,
    /// Chosen once.
    pub uuid: [u8; 16],
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl StateDir {
    /// Makes the folder where it is missing, and claims `what` (`own` or `peers`) of `node` in it.
    ///
    /// # Errors
    /// The folder cannot be made or written, or another process has it.
    pub fn claim(dir: &Path, what: &str, node: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let hint = "name a folder on a local disk that this user may write, with --state-dir".to_owned();
            let fault = match error.kind() {
                io::ErrorKind::PermissionDenied => Fault::Permission,
                _ => Fault::Unavailable,
            };
            let message = format!("cannot keep state in {}: {error}", dir.display());
            Failure { fault, code: "state-dir", message, hint: Some(hint) }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let lock_file = dir.join(format!("{what}-{node}.lock"));
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_file).map_err(failed)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => Failure {
                fault: Fault::Unavailable,
                code: "state-dir-in-use",
                message: format!("another process already uses {} for node {node}", dir.display()),
                hint: Some(
                    "two that speak or listen for one node confuse the others: end the other one first".to_owned(),
                ),
            },
            errno => failed(errno.into()),
        })?;
        Ok(Self { file: dir.join(format!("{what}-{node}.json")), lock_file, lock })
    }

    /// Our generation for this start, already durable: a start that is cut short costs a number, never takes one twice.
    ///
    /// # Errors
    /// The file cannot be read, makes no sense, or cannot be written.
    pub fn start(&self) -> Result<Own, Failure> {
        let own = match self.own()? {
            Some(own) => {
                let next = own.generation.checked_add(1).ok_or_else(|| self.senseless("no generation is left"))?;
                // A real heartbeat may have been this node meanwhile, and began with the clock's seconds, too.
                Own { generation: next.max(unix_seconds()), ..own }
            }
            None => {
                Own { generation: unix_seconds(), uuid: random_uuid().map_err(|e| Failure::io("/dev/urandom", &e))? }
            }
        };
        self.keep_own(own)?;
        Ok(own)
    }

    /// Sees to it that the next start has a generation beyond this one, which was begun without asking the disk.
    ///
    /// # Errors
    /// As with [`StateDir::start`].
    pub fn reach(&self, generation: u64) -> Result<(), Failure> {
        self.still_ours()?;
        let own = self.own()?.ok_or_else(|| self.senseless("it is gone"))?;
        if own.generation < generation { self.keep_own(Own { generation, ..own }) } else { Ok(()) }
    }

    fn own(&self) -> Result<Option<Own>, Failure> {
        let Some(object) = self.read()? else { return Ok(None) };
        let uuid = object.get("uuid").and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
        let uuid = uuid.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        match (object.get("generation").and_then(Value::as_u64), uuid) {
            (Some(generation), Some(uuid)) => Ok(Some(Own { generation, uuid })),
            _ => Err(self.senseless("no generation and uuid")),
        }
    }

    fn keep_own(&self, own: Own) -> Result<(), Failure> {
        let object = json!({ "generation": own.generation, "uuid": BASE64_STANDARD.encode(own.uuid) });
        self.write(&object).map_err(|e| {
            let hint = Some("make room there: after a restart the others may refuse this node as a replay".to_owned());
            Failure { hint, ..Failure::io(&format!("cannot write {}", self.file.display()), &e) }
        })
    }

    /// Whether the lock is still the one that others find: in a folder that was removed it keeps nobody out.
    fn still_ours(&self) -> Result<(), Failure> {
        let ours = self.lock.metadata().map(|m| (m.dev(), m.ino()));
        let theirs = fs::metadata(&self.lock_file).map(|m| (m.dev(), m.ino()));
        let gone = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => ours != theirs,
            (_, Err(error)) => error.kind() == io::ErrorKind::NotFound,
            (Err(_), Ok(_)) => false,
        };
        if !gone {
            return Ok(());
        }
        let message = format!("{} was removed under this command: nothing is kept any more", self.lock_file.display());
        let hint = "end this command and start it again; until then another one could speak or listen for the node";
        Err(Failure { fault: Fault::Unavailable, code: "state-gone", message, hint: Some(hint.to_owned()) })
    }

    /// How far the others had counted.
    ///
    /// # Errors
    /// The file cannot be read or makes no sense.
    pub fn marks(&self) -> Result<BTreeMap<String, Mark>, Failure> {
        let mut marks = BTreeMap::new();
        for (node, mark) in self.read()?.unwrap_or_default() {
            let number = |name: &str| mark.get(name).and_then(Value::as_u64);
            let (Some(generation), Some(seq)) = (number("generation"), number("seq")) else {
                return Err(self.senseless(&format!("no generation and seq for {node}")));
            };
            marks.insert(node, Mark { generation, seq });
        }
        Ok(marks)
    }

    /// Keeps how far the others have counted.
    ///
    /// # Errors
    /// The disk's, or the folder is gone.
    pub fn keep(&self, marks: &BTreeMap<String, Mark>) -> Result<(), Failure> {
        self.still_ours()?;
        let object: Map<String, Value> = marks
            .iter()
            .map(|(node, mark)| (node.clone(), json!({ "generation": mark.generation, "seq": mark.seq })))
            .collect();
        self.write(&Value::Object(object)).map_err(|error| Failure {
            fault: Fault::Internal,
            code: "state-unwritable",
            message: format!("cannot write {}: {error}", self.file.display()),
            hint: Some("a restart of this command may take what was heard since for new".to_owned()),
        })
    }

    /// Where it is kept.
    pub fn path(&self) -> &Path {
        &self.file
    }

    fn read(&self) -> Result<Option<Map<String, Value>>, Failure> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io(&format!("cannot read {}", self.file.display()), &error)),
        };
        match serde_json::from_slice(&text) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            Ok(_) => Err(self.senseless("not an object")),
            Err(error) => Err(self.senseless(&error.to_string())),
        }
    }

    fn senseless(&self, what: &str) -> Failure {
        Failure {
            fault: Fault::Configuration,
            code: "state-unreadable",
            message: format!("{} makes no sense: {what}", self.file.display()),
            hint: Some(
                "remove it to begin anew from the clock; peers refuse this node if the clock went back".to_owned(),
            ),
        }
    }

    fn write(&self, value: &Value) -> io::Result<()> {
        let text = format!("{value}\n");
        let written = self.write_beside(&text);
        match &written {
            Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                self.write_over(&text).or(written)
            }
            _ => written,
        }
    }

    /// One write into room that the file has already; blanks take the place of what was longer, so that it is whole at once.
    fn write_over(&self, text: &str) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.file)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if text.len() > length {
            // There is no room for the rest of it: half a text is none.
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all_at(format!("{text:length$}").as_bytes(), 0)?;
        file.sync_all()
    }

    fn write_beside(&self, text: &str) -> io::Result<()> {
        let beside = self.file.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)?;
        match self.file.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut uuid)?;
    // RFC 9562: version 4, variant 10.
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("takeover-state-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn each_start_is_a_later_one_and_the_uuid_stays() {
        let dir = folder("starts");
        let first = StateDir::claim(&dir, "own", "ha1").unwrap().start().unwrap();
        assert!(first.generation.abs_diff(unix_seconds()) < 60);
        let state = StateDir::claim(&dir, "own", "ha1").unwrap();
        // A crash while the next one was written beside.
        fs::write(dir.join("own-ha1.new"), "{\"gen").unwrap();
        let second = state.start().unwrap();
        assert!(second.generation > first.generation && second.uuid == first.uuid);
        let ahead = first.generation + 500;
        state.reach(ahead).unwrap();
        state.reach(ahead - 2).unwrap();
        assert_eq!(state.start().unwrap().generation, ahead + 1, "a start never takes a generation twice");
        // Another program was this node for years.
        state.keep_own(Own { generation: 7, uuid: first.uuid }).unwrap();
        assert!(state.start().unwrap().generation >= first.generation);
        assert_eq!(StateDir::claim(&dir, "own", "ha1").unwrap_err().code, "state-dir-in-use");
        assert!(StateDir::claim(&dir, "own", "ha2").is_ok(), "another node is another state");
        fs::write(dir.join("own-ha1.json"), "{}").unwrap();
        assert_eq!(state.start().unwrap_err().code, "state-unreadable");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_lock_that_nobody_finds_any_more_is_told() {
        let dir = folder("gone");
        let state = StateDir::claim(&dir, "own", "ha1").unwrap();
        let own = state.start().unwrap();
        state.reach(own.generation).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(state.reach(own.generation).unwrap_err().code, "state-gone");
        // Another one has begun there.
        let other = StateDir::claim(&dir, "own", "ha1").unwrap();
        other.start().unwrap();
        assert_eq!(state.reach(own.generation).unwrap_err().code, "state-gone");
        assert_eq!(state.keep(&BTreeMap::new()).unwrap_err().code, "state-gone");
        other.reach(own.generation).unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_overwritten_is_whole() {
        let dir = folder("over");
        let state = StateDir::claim(&dir, "own", "ha1").unwrap();
        let own = state.start().unwrap();
        for text in
            [json!({ "generation": 7, "uuid": BASE64_STANDARD.encode(own.uuid) }), json!({ "generation": u64::MAX })]
        {
            state.write_over(&format!("{text}\n")).unwrap();
            assert_eq!(state.read().unwrap().map(Value::Object), Some(text));
        }
        let before = fs::read_to_string(state.path()).unwrap();
        let longer = format!("{}\n", json!({ "generation": 7, "uuid": "x".repeat(before.len()) }));
        assert_eq!(state.write_over(&longer).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(state.path()).unwrap(), before, "what is longer could be torn");
        fs::remove_file(state.path()).unwrap();
        assert!(state.write_over("{}\n").is_err(), "there is no room to overwrite");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn marks_come_back() {
        let dir = folder("marks");
        let state = StateDir::claim(&dir, "peers", "ha1").unwrap();
        assert!(state.marks().unwrap().is_empty());
        let marks = BTreeMap::from([("ha2".to_owned(), Mark { generation: u64::MAX, seq: 7 })]);
        state.keep(&marks).unwrap();
        assert_eq!(state.marks().unwrap(), marks);
        fs::remove_dir_all(dir).unwrap();
    }
}
