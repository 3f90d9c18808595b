//! Who stands still: a process that should wake up all the time, and has not once waited of its own accord between three
//! looks. One that is stopped or frozen does not, nor one that turns round and round.
//!
//! Pure but for [`Sign::of`], which reads `/proc`.

use crate::storage::process::Process;

/// What was seen of a process in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What it is called.
    pub part: String,
    /// Which process it is.
    pub process: Process,
    /// How often its first thread has waited of its own accord, `voluntary_ctxt_switches` of proc(5).
    pub waits: u64,
}

impl Sign {
    /// Looks at the process with this number; none if there is none, or the kernel does not say.
    pub fn of(part: String, pid: i32) -> Option<Self> {
        let process = Process::of(pid)?;
        let status = std::fs::read(format!("/proc/{pid}/status")).ok()?;
        Some(Self { part, process, waits: waits(&String::from_utf8_lossy(&status))? })
    }
}

/// Out of `/proc/PID/status`. Its first line has a name that may hold anything but a line's end.
fn waits(status: &str) -> Option<u64> {
    status.lines().skip(1).find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

/// What earlier looks saw.
#[derive(Debug, Default)]
pub struct Stillness {
    older: Vec<Sign>,
    before: Vec<Sign>,
    /// Those whose name and number a look found first: a number that another process has got since means nobody.
    known: Vec<(String, Process)>,
}

impl Stillness {
    /// One more look: the first process that stands still. The others may only have waited for that one, and are told
    /// by later looks.
    pub fn look(&mut self, mut now: Vec<Sign>) -> Option<Sign> {
        let known = std::mem::take(&mut self.known);
        now.retain(|sign| {
            let met = known.iter().find(|(part, process)| *part == sign.part && process.pid == sign.process.pid);
            let process = met.map_or(sign.process, |(_, process)| *process);
            self.known.push((sign.part.clone(), process));
            process == sign.process
        });
        let still = now.iter().find(|sign| self.older.contains(sign)).cloned();
        self.older = std::mem::replace(&mut self.before, now);
        still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(part: &str, pid: i32, start: u64, waits: u64) -> Sign {
        Sign { part: part.to_owned(), process: Process { pid, start }, waits }
    }

    #[test]
    fn three_looks_without_a_breath() {
        let mut stillness = Stillness::default();
        let [a, b] = ["a", "b"].map(|part| move |waits| sign(part, 7, 1, waits));
        assert_eq!(stillness.look(vec![a(1), b(1)]), None);
        assert_eq!(stillness.look(vec![a(1), b(1)]), None);
        assert_eq!(stillness.look(vec![a(1), b(1)]), Some(a(1)), "one at a time");
        assert_eq!(stillness.look(vec![a(1), b(2)]), Some(a(1)), "as long as it stands");
        assert_eq!(stillness.look(vec![a(2), b(2)]), None);
        assert_eq!(stillness.look(vec![a(3), b(2)]), Some(b(2)));
        assert_eq!(stillness.look(vec![a(4)]), None);
    }

    #[test]
    fn another_process_is_nobody() {
        let mut stillness = Stillness::default();
        for _ in 0..2 {
            assert_eq!(stillness.look(vec![sign("a", 7, 1, 1)]), None);
        }
        for _ in 0..4 {
            assert_eq!(stillness.look(vec![sign("a", 7, 2, 1)]), None, "it has only got the number");
        }
        for _ in 0..2 {
            assert_eq!(stillness.look(vec![sign("a", 8, 2, 1)]), None, "the part was started again");
        }
        assert!(stillness.look(vec![sign("a", 8, 2, 1)]).is_some());
    }

    #[test]
    fn what_the_kernel_says() {
        let status = "Name:\tvoluntary_ctxt_switches:\t9\nState:\tS\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(waits(status), Some(12));
        assert_eq!(waits("Name:\tx\nnonvoluntary_ctxt_switches:\t3\n"), None);
        assert_eq!(waits("Name:\tx\nvoluntary_ctxt_switches:\t"), None);
    }
}
