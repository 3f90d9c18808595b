//! Files that are ours: replaced as a whole, and read only if they are what they should be.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{O_NOCTTY, O_NONBLOCK};

/// The path with `.new` behind it: another extension is another file.
fn beside(path: &Path) -> PathBuf {
    let mut new = OsString::from(path);
    new.push(".new");
    new.into()
}

/// Replaces a file and its mode: readers see the old text or the new one, never half of one. The new one is written beside,
/// in a file that is made for it: what has that name already, be it a link, is removed and not written to.
///
/// # Errors
/// What the kernel says; the file is then as it was, and nothing is left beside it.
pub fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = beside(path);
    let _ = fs::remove_file(&new); // there is none, or making it says why it is in the way
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new); // half of it would take room on a full disk
    }
    written
}

/// Reads an ordinary file of `most` bytes or fewer: a device or a pipe has no end.
///
/// # Errors
/// What the kernel says; of another kind, or larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!("it is larger than {most} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("takeover-files-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_but_the_file_is_replaced() {
        let dir = Dir::new("replace");
        let (file, victim) = (dir.at("mon.state"), dir.at("victim"));
        fs::write(&victim, "kept").unwrap();
        symlink(&victim, dir.at("mon.state.new")).unwrap();
        replace(&file, "one", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept", "a link is not followed");
        assert!(file.symlink_metadata().unwrap().is_file());
        fs::write(dir.at("mon.state.new"), "left by a crash").unwrap(); // readable for all, as most files are
        fs::write(dir.at("mon.new"), "of another").unwrap();
        replace(&file, "two", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(dir.at("mon.new")).unwrap(), "of another");
        // A folder in the place of the file: nothing is left beside it.
        fs::create_dir(dir.at("folder")).unwrap();
        assert!(replace(&dir.at("folder"), "x", 0o600).is_err());
        assert!(!dir.at("folder.new").exists());
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let dir = Dir::new("read");
        fs::write(dir.at("file"), "four").unwrap();
        assert_eq!(read(&dir.at("file"), 4).unwrap(), b"four");
        assert!(read(&dir.at("file"), 3).is_err());
        nix::unistd::mkfifo(&dir.at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for endless in [dir.at("pipe"), dir.0.clone(), "/dev/full".into(), "/dev/zero".into()] {
            assert!(read(&endless, 100).is_err(), "{}", endless.display());
        }
        assert_eq!(read(&dir.at("none"), 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
