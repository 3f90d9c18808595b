//! Puts on disk what must outlive a process, in a thread of its own: whoever beats or judges never waits for a disk.
//!
//! The [`Desk`] between the two is pure: one slot where the newest wins, and what the disk did not take. The thread does
//! nothing but write; when to try again is decided by whoever holds the clock.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::cli::{Failure, eprint_line};
use crate::clock::Instant;

/// What the disk did not take is tried again after so long; and what changes all the time is kept this often.
pub const PERIOD: Duration = Duration::from_secs(10);
/// How long the end of a process waits for a disk.
const LAST: Duration = Duration::from_secs(2);
/// Between two attempts while a process ends.
const BREATH: Duration = Duration::from_millis(100);
/// Locked memory is real memory, and a write needs little.
const STACK: usize = 256 * 1024;

/// What came of a write.
type Outcome = Result<(), Failure>;

/// What is to be written, and what came of it.
#[derive(Debug)]
struct Desk<T> {
    /// To be written next.
    next: Option<T>,
    /// Something is being written.
    busy: bool,
    /// What the disk did not take, unless there is something newer.
    failed: Option<T>,
    /// The last outcome, until somebody asks.
    outcome: Option<Outcome>,
    /// Nothing comes any more.
    ended: bool,
}

impl<T> Desk<T> {
    fn new() -> Self {
        Self { next: None, busy: false, failed: None, outcome: None, ended: false }
    }

    fn put(&mut self, value: T) {
        (self.next, self.failed) = (Some(value), None);
    }

    fn take(&mut self) -> Option<T> {
        let value = self.next.take()?;
        self.busy = true;
        Some(value)
    }

    /// Notes what came of writing `value`.
    fn wrote(&mut self, value: T, outcome: Outcome) {
        self.busy = false;
        if outcome.is_err() && self.next.is_none() {
            self.failed = Some(value);
        }
        self.outcome = Some(outcome);
    }

    /// Whether there was something to try again, which is then to be written next.
    fn again(&mut self) -> bool {
        let Some(value) = self.failed.take() else { return false };
        self.next = Some(value);
        true
    }

    /// Everything is on disk.
    fn rests(&self) -> bool {
        self.next.is_none() && self.failed.is_none() && !self.busy
    }
}

#[derive(Debug)]
struct Room<T> {
    desk: Mutex<Desk<T>>,
    changed: Condvar,
}

impl<T> Room<T> {
    /// Held for moments only, never while the disk is asked; the desk is whole between any two of them.
    fn desk(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the newest of what it is given; what the disk does not take is tried again until it does. When this is dropped
/// it waits for the last write, but not for long: a hung disk does not keep a process from ending.
#[derive(Debug)]
pub struct Scribe<T> {
    name: String,
    room: Arc<Room<T>>,
    thread: Option<JoinHandle<()>>,
    again: Option<Instant>,
    told: Option<String>,
}

impl<T: Send + 'static> Scribe<T> {
    /// A thread that writes with `write`. `name` is for a person: the command, and what is not kept if the disk fails at
    /// the end.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(name: String, mut write: impl FnMut(&T) -> Outcome + Send + 'static) -> Result<Self, Failure> {
        let room = Arc::new(Room { desk: Mutex::new(Desk::new()), changed: Condvar::new() });
        let inside = Arc::clone(&room);
        let work = move || {
            let mut desk = inside.desk();
            loop {
                if let Some(value) = desk.take() {
                    drop(desk);
                    let outcome = write(&value);
                    desk = inside.desk();
                    desk.wrote(value, outcome);
                    inside.changed.notify_all();
                } else if desk.ended {
                    return;
                } else {
                    desk = inside.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        let thread = Builder::new().name("scribe".to_owned()).stack_size(STACK).spawn(work);
        let thread = thread.map_err(|e| Failure::io("cannot make a thread for the state on disk", &e))?;
        Ok(Self { name, room, thread: Some(thread), again: None, told: None })
    }
}

impl<T> Scribe<T> {
    /// Hands something over in place of all that waits. Returns at once.
    pub fn keep(&mut self, value: T) {
        self.again = None;
        self.room.desk().put(value);
        self.room.changed.notify_all();
    }

    /// Tries again what is due, and tells what went wrong, the same only once until it was well in between. Returns at
    /// once.
    pub fn look(&mut self, now: Instant) -> Option<Failure> {
        let mut desk = self.room.desk();
        let outcome = desk.outcome.take();
        if desk.failed.is_some() {
            let due = *self.again.get_or_insert(now + PERIOD);
            if due <= now && desk.again() {
                self.again = None;
                self.room.changed.notify_all();
            }
        }
        match outcome? {
            Ok(()) => {
                self.told = None;
                None
            }
            Err(failure) if self.told.as_ref() == Some(&failure.message) => None,
            Err(failure) => {
                self.told = Some(failure.message.clone());
                Some(failure)
            }
        }
    }

    /// Ends: waits until all is on disk, trying again what fails, at most for so long.
    ///
    /// # Errors
    /// Why the newest is not on disk.
    fn end(&mut self, within: Duration) -> Result<(), String> {
        let mut try_at = Instant::now();
        let until = try_at + within;
        let mut desk = self.room.desk();
        while !desk.rests() {
            let now = Instant::now();
            if now >= until {
                desk.ended = true;
                self.room.changed.notify_all();
                return Err(match &desk.outcome {
                    Some(Err(failure)) if !desk.busy => failure.message.clone(),
                    _ => format!("the disk did not answer within {within:?}"),
                });
            }
            if now >= try_at && desk.again() {
                try_at = now + BREATH;
                self.room.changed.notify_all();
            }
            let next = if desk.failed.is_some() { try_at.min(until) } else { until };
            let waited = self.room.changed.wait_timeout(desk, next.since(now));
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.ended = true;
        drop(desk);
        self.room.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has nothing left to do
        }
        Ok(())
    }
}

impl<T> Drop for Scribe<T> {
    fn drop(&mut self) {
        if let Err(why) = self.end(LAST) {
            eprint_line(&format!("{}: {why}", self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::cli::exit::Fault;

    fn at(seconds: u64) -> Instant {
        Instant::at(Duration::from_secs(seconds))
    }

    fn full(message: &str) -> Outcome {
        Err(Failure { fault: Fault::Internal, code: "state-unwritable", message: message.to_owned(), hint: None })
    }

    /// A disk that shows what it is asked to write, and does what it is told.
    fn disk() -> (Scribe<u32>, Receiver<u32>, Sender<Outcome>) {
        let (shown, seen) = channel();
        let (told, answers) = channel();
        let write = move |value: &u32| {
            let _ = shown.send(*value);
            answers.recv().unwrap_or(Ok(()))
        };
        (Scribe::new("test".to_owned(), write).unwrap(), seen, told)
    }

    /// Waits until the thread rests, as only a test may.
    fn settled(scribe: &Scribe<u32>) {
        let mut desk = scribe.room.desk();
        while desk.busy || desk.next.is_some() {
            desk = scribe.room.changed.wait(desk).unwrap();
        }
    }

    #[test]
    fn the_newest_wins_and_nobody_waits() {
        let (mut scribe, seen, told) = disk();
        scribe.keep(1);
        assert_eq!(seen.recv(), Ok(1));
        // The disk hangs.
        (2..=1000).for_each(|n| scribe.keep(n));
        assert!(scribe.look(at(0)).is_none());
        told.send(Ok(())).unwrap();
        assert_eq!(seen.recv(), Ok(1000), "nothing between");
        told.send(Ok(())).unwrap();
        drop(scribe);
        assert!(seen.try_recv().is_err());
    }

    #[test]
    fn what_failed_is_written_again_and_told_once() {
        let (mut scribe, seen, told) = disk();
        let fails = |scribe: &mut Scribe<u32>, why: &str| {
            told.send(full(why)).unwrap();
            assert_eq!(seen.recv(), Ok(7));
            settled(scribe);
        };
        scribe.keep(7);
        fails(&mut scribe, "full");
        assert_eq!(scribe.look(at(0)).unwrap().message, "full");
        assert!(scribe.look(at(9)).is_none());
        assert!(scribe.room.desk().next.is_none(), "not yet");
        assert!(scribe.look(at(10)).is_none());
        fails(&mut scribe, "full");
        assert!(scribe.look(at(11)).is_none(), "the same");
        assert!(scribe.look(at(21)).is_none());
        fails(&mut scribe, "broken");
        assert_eq!(scribe.look(at(22)).unwrap().message, "broken");
        assert!(scribe.look(at(32)).is_none());
        told.send(Ok(())).unwrap();
        settled(&scribe);
        assert!(scribe.look(at(33)).is_none());
        assert!(scribe.room.desk().rests());
        // It was well in between: the next failure is news.
        assert_eq!(seen.recv(), Ok(7));
        scribe.keep(7);
        fails(&mut scribe, "broken");
        assert!(scribe.look(at(34)).is_some());
        // At the end it is tried at once.
        told.send(Ok(())).unwrap();
        assert_eq!(scribe.end(Duration::from_secs(20)), Ok(()));
        assert_eq!(seen.recv(), Ok(7));
    }

    #[test]
    fn the_end_waits_for_a_disk_but_not_for_ever() {
        let (mut scribe, seen, told) = disk();
        scribe.keep(1);
        assert_eq!(seen.recv(), Ok(1));
        assert!(scribe.end(Duration::from_millis(1)).unwrap_err().contains("did not answer"));
        told.send(Ok(())).unwrap();
        drop(scribe);
        let mut trials = 0;
        let write = move |_: &u32| {
            trials += 1;
            if trials < 3 { full("no room") } else { Ok(()) }
        };
        let mut ailing = Scribe::new("test".to_owned(), write).unwrap();
        ailing.keep(1);
        assert_eq!(ailing.end(Duration::from_secs(20)), Ok(()));
        let mut failing = Scribe::new("test".to_owned(), |_: &u32| full("no room")).unwrap();
        failing.keep(1);
        assert_eq!(failing.end(Duration::from_millis(50)), Err("no room".to_owned()));
        std::mem::forget(failing); // its end would wait
    }
}
