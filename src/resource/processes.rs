//! The processes below one, as `/proc` tells: to end all that an agent has started.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::storage::process::{Process, Stat};

/// Whether `/proc` is that of our own pid namespace: in another one the same numbers mean other processes.
pub fn listable() -> bool {
    let own = std::fs::read_link("/proc/self").ok().and_then(|p| p.to_str()?.parse().ok());
    own == Some(Pid::this().as_raw())
}

/// All processes below `root`, but those of `skip` and what is below them; none where they cannot be listed.
pub fn below(root: Pid, skip: &[Process]) -> Vec<Process> {
    if !listable() {
        return Vec::new();
    }
    tree(&all(), root.as_raw(), skip)
}

/// Every process with its parent.
fn all() -> Vec<(Process, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid| Stat::of(pid).map(|stat| (Process { pid, start: stat.start }, stat.parent))).collect()
}

fn tree(all: &[(Process, i32)], root: i32, skip: &[Process]) -> Vec<Process> {
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(at) = todo.pop() {
        for (process, _) in all.iter().filter(|(process, parent)| *parent == at && !skip.contains(process)) {
            found.push(*process);
            todo.push(process.pid);
        }
    }
    found
}

/// Sends a signal to that very process; one that has ended needs none.
pub fn signal(process: Process, signal: Signal) {
    match process.open() {
        Ok(Some(fd)) => drop(fd.signal(signal)),
        Ok(None) => {}
        // Before Linux 5.3: then whoever has its number now.
        Err(_) => drop(kill(Pid::from_raw(process.pid), signal)),
    }
}

/// The direct children of a process with one thread; none if it has ended or the kernel does not list them.
pub fn children(pid: Pid) -> Option<Vec<Pid>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    text.split_whitespace().map(|w| w.parse().ok().map(Pid::from_raw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below() {
        let process = |pid: i32| Process { pid, start: 100 };
        let all = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5), (7, 1)].map(|(pid, parent)| (process(pid), parent));
        let below = |root: i32, skip: &[i32]| {
            let skip: Vec<Process> = skip.iter().copied().map(process).collect();
            let mut found: Vec<i32> = tree(&all, root, &skip).into_iter().map(|p| p.pid).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(below(2, &[]), [3, 4, 5, 6]);
        assert_eq!(below(2, &[5]), [3, 4]);
        assert_eq!(below(4, &[]), [0; 0]);
        let another = [Process { pid: 5, start: 99 }];
        assert_eq!(tree(&all, 2, &another).len(), 4, "one that had the number before");
    }
}
