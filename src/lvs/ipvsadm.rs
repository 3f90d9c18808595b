//! The edge: `ipvsadm` asked for the table, and told one change at a time.

use std::process::Command;
use std::time::Duration;

use super::diff::Change;
use super::saved::{self, SavedError};
use super::table::Table;
use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::clock::Instant;
use crate::storage::aside::{AsideError, Ran, command};

/// `ipvsadm`, as it is found on PATH.
#[derive(Clone, Copy, Debug)]
pub struct Ipvsadm {
    /// The longest that one call of it may take.
    pub timeout: Duration,
}

impl Ipvsadm {
    /// The whole table; without thresholds, where it is known that there are none, with one call less.
    ///
    /// # Errors
    /// Where there is no ipvsadm, no IPVS in the kernel, no permission, or what is printed is not understood.
    pub fn table(self, thresholds: bool) -> Result<Table, Failure> {
        match self.read(thresholds)? {
            Ok(table) => Ok(table),
            // Two calls: somebody may have changed the table between them.
            Err(SavedError::Thresholds) => self.read(thresholds)?.map_err(not_understood),
            Err(e) => Err(not_understood(e)),
        }
    }

    fn read(self, thresholds: bool) -> Result<Result<Table, SavedError>, Failure> {
        let ran = self.call(&["-S", "-n"])?;
        let mut table = match saved::parse(ran.stdout.as_bytes()) {
            Ok(table) => table,
            Err(e) => return Ok(Err(e)),
        };
        if !thresholds || table.0.iter().all(|s| s.servers.is_empty()) {
            return Ok(Ok(table));
        }
        let ran = self.call(&["-L", "-n", "--thresholds"])?;
        Ok(saved::add_thresholds(&mut table, &ran.stdout).map(|()| table))
    }

    /// Makes one change.
    ///
    /// # Errors
    /// As [`Ipvsadm::table`]; and where the kernel refuses it, as for a scheduler that it does not have.
    pub fn apply(self, change: &Change) -> Result<(), Failure> {
        let words = change.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.call(&words).map(drop)
    }

    fn call(self, words: &[&str]) -> Result<Ran, Failure> {
        let what = format!("ipvsadm {}", words.join(" "));
        let ran = command(Command::new("ipvsadm").args(words), Instant::now() + self.timeout).map_err(|e| match e {
            AsideError::Io(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Failure::unavailable("no-such-command", "there is no ipvsadm").hint("install ipvsadm")
            }
            e => e.failure(&what, self.timeout),
        })?;
        match judge(&ran) {
            None => Ok(ran),
            Some(failure) => Err(Failure { message: format!("{what}: {}", failure.message), ..failure }),
        }
    }
}

fn not_understood(e: SavedError) -> Failure {
    Failure::new(Fault::Undetermined, "ipvsadm-output", e.to_string())
}

/// What went wrong, if anything did. Words count beside the status: some releases complain and end with 0.
fn judge(ran: &Ran) -> Option<Failure> {
    let says = |words: &[&str]| words.iter().any(|w| ran.words.contains(w));
    let quiet = ran.stdout.is_empty();
    if ran.status == 0 && !(quiet && says(&["initialize ipvs", "not permitted", "ermission denied"])) {
        return None;
    }
    let message = format!("status {}: {}", ran.status, ran.words);
    Some(if says(&["initialize ipvs: Protocol not available", "built in the kernel"]) && !says(&["ermi"]) {
        let hint = "modprobe ip_vs; where there is no such module the kernel was built without CONFIG_IP_VS";
        Failure::unavailable("no-ipvs", format!("this kernel has no IPVS ({message})")).hint(hint)
    } else if says(&["not permitted", "ermission denied", "must be root"]) {
        Failure::new(Fault::Permission, "permission-denied", message).hint("run it as root")
    } else if says(&["cheduler", "ersistence engine"]) {
        Failure::unavailable("no-such-scheduler", message).hint("modprobe ip_vs_NAME shows whether the kernel has it")
    } else {
        Failure::new(Fault::Undetermined, "ipvsadm", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints() {
        let of = |status, stdout: &str, words: &str| {
            let ran = Ran { status, stdout: stdout.to_owned(), words: words.to_owned() };
            judge(&ran).map(|f| (f.fault, f.code))
        };
        let lacks = "modprobe: FATAL: Module ip_vs not found. Can't initialize ipvs: Protocol not available Are you sure \
                     that IP Virtual Server is built in the kernel or as module?";
        assert_eq!(of(2, "", lacks), Some((Fault::Unavailable, "no-ipvs")));
        assert_eq!(of(0, "", lacks), Some((Fault::Unavailable, "no-ipvs")));
        let denied = "Can't initialize ipvs: Permission denied (you must be root) Are you sure that IP Virtual Server is \
                      built in the kernel or as module?";
        assert_eq!(of(2, "", denied), Some((Fault::Permission, "permission-denied")));
        let scheduler = "Scheduler or persistence engine not found";
        assert_eq!(of(1, "", scheduler), Some((Fault::Unavailable, "no-such-scheduler")));
        assert_eq!(of(1, "", "Service already exists"), Some((Fault::Undetermined, "ipvsadm")));
        assert_eq!(of(0, "", ""), None);
        assert_eq!(of(0, "-A -f 1 -s rr\n", "-A -f 1 -s rr"), None);
    }
}
