//! Who may change a resource now: one call at a time, by a lock file each.
//!
//! The lock belongs to the opened file, and so to the command and to what watches over its agent: it ends when both of them
//! have let go of it or are gone.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::lookup::Agent;
use super::spec::Resource;
use crate::cli::Failure;
use crate::storage::record::{file_name, open_lock_in, try_lock};

/// Where root's locks are.
const FOLDER: &str = "/run/takeover/resources";

/// The variable that names another folder.
pub const VARIABLE: &str = "TAKEOVER_LOCKS";

/// The longest note of a holder, in bytes.
const NOTE: usize = 300;

/// The folder of the locks: where the variable says, root's own, or that of the user's session.
pub fn folder(variable: Option<OsString>, root: bool, session: Option<OsString>) -> Option<PathBuf> {
    let path = |text: Option<OsString>| std::path::absolute(text.filter(|t| !t.is_empty())?).ok();
    let session = || path(session).map(|s| s.join("takeover/resources"));
    path(variable).or_else(|| if root { Some(PathBuf::from(FOLDER)) } else { session() })
}

/// The name of the lock of a resource: the same for all that mean the same one.
pub fn name(agent: &Agent, resource: &Resource) -> String {
    // An address is one, however it is written, and whichever of the scripts has it.
    let text = resource.address().map_or_else(
        || {
            let mut text = agent.shown().into_bytes();
            resource.args.iter().for_each(|a| text.extend([b"::", a.as_bytes()].concat()));
            text
        },
        |ip| format!("address {ip}").into_bytes(),
    );
    format!("{}.lock", file_name(&text))
}

/// An opened lock, taken or not.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// What others read of the holder: a line.
    note: String,
}

impl Lock {
    /// Opens the lock of this name.
    ///
    /// # Errors
    /// Where it cannot be opened, or others could have written there.
    pub fn open(folder: &Path, name: &str, note: String) -> Result<Self, Failure> {
        let file = open_lock_in(folder, &folder.join(name));
        let file = file.map_err(|f| f.hint(format!("{VARIABLE} names another folder for locks")))?;
        Ok(Self { file, note: note + "\n" })
    }

    /// Takes it without waiting; false while another call has it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take(&self) -> io::Result<bool> {
        let taken = try_lock(&self.file)?;
        if taken {
            // Over what was there: to cut that off first would cost a disk a block. A note that cannot be written is no reason
            // not to act.
            let _ = self.file.write_all_at(self.note.as_bytes(), 0);
        }
        Ok(taken)
    }

    /// Who has it, as they wrote it.
    pub fn holder(&self) -> String {
        let mut bytes = [0; NOTE];
        let read = self.file.read_at(&mut bytes, 0).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..read]);
        let line = text.lines().next().unwrap_or_default();
        line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }
}

impl AsRawFd for Lock {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::spec::Class;

    fn agent(class: Class, path: &str) -> Agent {
        Agent { class, provider: None, path: path.into(), name: path.rsplit('/').next().unwrap_or_default().to_owned() }
    }

    #[test]
    fn one_lock_for_all_that_mean_the_same() {
        let of = |path: &str, spec: &str| name(&agent(Class::Heartbeat, path), &spec.parse().unwrap());
        let address = of("/x/IPaddr", "10.0.0.3");
        assert_eq!(of("/x/IPaddr2", "IPaddr2::10.0.0.3/24/eth0"), address);
        assert_ne!(of("/x/IPaddr", "10.0.0.4"), address);
        assert_eq!(of("/x/IPv6addr", "2001:db8::1/64"), of("/x/IPv6addr", "IPv6addr::2001:DB8:0::1"));
        assert_ne!(of("/x/web", "web::1::2"), of("/x/web", "web::1::3"));
        assert_ne!(of("/x/web", "web::1"), of("/y/web", "web::1"));
        // A script of init.d is one, by whatever convention it is asked.
        let lsb = name(&agent(Class::Lsb, "/etc/init.d/web"), &"lsb:web".parse().unwrap());
        assert_eq!(of("/etc/init.d/web", "web"), lsb);
        assert!(!lsb.contains('/') && of("/x/web", &format!("web::{}", "x/".repeat(300))).len() < 200);
    }

    #[test]
    fn folders() {
        let some = |text: &str| Some(OsString::from(text));
        assert_eq!(folder(some("/a"), true, None), Some("/a".into()));
        assert_eq!(folder(some(""), true, some("/s")), Some(FOLDER.into()));
        assert_eq!(folder(None, false, some("/s")), Some("/s/takeover/resources".into()));
        assert_eq!(folder(None, false, None), None);
    }

    #[test]
    fn one_at_a_time() {
        let dir = std::env::temp_dir().join(format!("takeover-lock-{}", std::process::id()));
        let open = |note: &str| Lock::open(&dir.join("locks"), "x.lock", note.to_owned()).unwrap();
        let (one, two) = (open("the first, process 7"), open("the\tsecond"));
        assert!(one.take().unwrap() && !two.take().unwrap());
        assert_eq!(two.holder(), "the first, process 7");
        drop(one);
        assert!(two.take().unwrap());
        assert_eq!(open("").holder(), "the?second");
        let _ = std::fs::remove_dir_all(dir);
    }
}
