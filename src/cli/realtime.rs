//! Asking the kernel to let this process run on time: SCHED_FIFO and locked memory.

use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::event::Event;

/// Asks for both, and says what it got.
pub fn ask(priority: u8) -> Event {
    let fifo = fifo(priority);
    let locked = lock();
    let refused = [("real-time priority", fifo.err()), ("locked memory", locked.err())];
    let refused: Vec<String> =
        refused.iter().filter_map(|(what, errno)| errno.map(|e| format!("{what}: {}", e.desc()))).collect();
    let cause = if refused.is_empty() { "granted".to_owned() } else { format!("not granted: {}", refused.join("; ")) };
    Event::new("realtime", format!("real-time scheduling and locked memory: {cause}"))
        .with("scheduler", if fifo.is_ok() { "fifo" } else { "other" })
        .with("priority", fifo.is_ok().then_some(priority))
        .with("locked", locked.is_ok())
        .with("cause", cause)
}

fn fifo(priority: u8) -> Result<(), Errno> {
    // SAFETY: no crate in use wraps the call; it reads the structure, which lives until it returns, and keeps nothing. Of
    // zeros it is a value like any other: with musl it has fields of its own, which say nothing of this scheduler.
    let result = unsafe {
        let mut parameters: nix::libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = priority.into();
        nix::libc::sched_setscheduler(0, nix::libc::SCHED_FIFO, &raw const parameters)
    };
    Errno::result(result).map(drop)
}

/// Under a finite limit the kernel would lock what fits, and end us by the first allocation that does not. Asked with a
/// limit of nothing it agrees only for whoever is beyond limits.
fn lock() -> Result<(), Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    let limited = soft != RLIM_INFINITY;
    if limited {
        setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard)?;
    }
    let locked = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE);
    if limited {
        setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
    }
    locked
}
