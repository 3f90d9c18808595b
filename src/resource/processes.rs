//! The processes below one, as `/proc` tells: to end all that an agent has started.

use std::path::PathBuf;

use nix::unistd::Pid;

/// Whether `/proc` is that of our own pid namespace: in another one the same numbers mean other processes.
pub fn listable() -> bool {
    let own = std::fs::read_link("/proc/self").ok().and_then(|p| p.to_str()?.parse().ok());
    own == Some(Pid::this().as_raw())
}

/// All processes below `root`, but those of `skip` and what is below them; none where they cannot be listed.
pub fn below(root: Pid, skip: &[Pid]) -> Vec<Pid> {
    if !listable() {
        return Vec::new();
    }
    tree(&all(), root, skip)
}

/// Every process with its parent.
fn all() -> Vec<(Pid, Pid)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parent = |path: PathBuf| {
        let pid: i32 = path.file_name()?.to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        // The name may hold anything; what follows its last bracket is the state and the parent.
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((Pid::from_raw(pid), Pid::from_raw(parent)))
    };
    entries.filter_map(|e| parent(e.ok()?.path())).collect()
}

fn tree(all: &[(Pid, Pid)], root: Pid, skip: &[Pid]) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(at) = todo.pop() {
        for (pid, _) in all.iter().filter(|(pid, parent)| *parent == at && !skip.contains(pid)) {
            found.push(*pid);
            todo.push(*pid);
        }
    }
    found
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
        let all: Vec<(Pid, Pid)> = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5), (7, 1)]
            .map(|(pid, parent)| (Pid::from_raw(pid), Pid::from_raw(parent)))
            .to_vec();
        let below = |root: i32, skip: &[i32]| {
            let skip: Vec<Pid> = skip.iter().map(|p| Pid::from_raw(*p)).collect();
            let mut found: Vec<i32> = tree(&all, Pid::from_raw(root), &skip).into_iter().map(Pid::as_raw).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(below(2, &[]), [3, 4, 5, 6]);
        assert_eq!(below(2, &[5]), [3, 4]);
        assert_eq!(below(4, &[]), [0; 0]);
    }
}
