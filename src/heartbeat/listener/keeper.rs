//! Puts on disk how far the others had counted, in a thread: a slow disk must not keep anybody from judging.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Instant;
use crate::heartbeat::membership::window::Mark;
use crate::heartbeat::state::StateDir;

/// Numbers are kept this often, generations at once.
const PERIOD: Duration = Duration::from_secs(10);

type Marks = BTreeMap<String, Mark>;

/// Keeps the marks of the others on disk.
#[derive(Debug)]
pub struct Keeper {
    orders: Option<Sender<Marks>>,
    complaints: Receiver<String>,
    thread: Option<JoinHandle<()>>,
    kept: Marks,
    at: Instant,
}

impl Keeper {
    /// A keeper of a state that says `kept` now.
    pub fn new(state: StateDir, kept: Marks, now: Instant) -> Self {
        let (orders, taken) = channel::<Marks>();
        let (complain, complaints) = channel();
        let thread = std::thread::spawn(move || {
            while let Ok(mut marks) = taken.recv() {
                // Only the newest is worth writing.
                while let Ok(newer) = taken.try_recv() {
                    marks = newer;
                }
                if let Err(error) = state.keep(&marks) {
                    let _ = complain.send(format!("cannot write {}: {error}", state.path().display()));
                }
            }
        });
        Self { orders: Some(orders), complaints, thread: Some(thread), kept: kept.clone(), at: now }
    }

    /// Whether it is time to hand over the marks.
    pub fn due(&self, now: Instant) -> bool {
        now.since(self.at) >= PERIOD
    }

    /// Takes the marks. Returns at once.
    pub fn keep(&mut self, marks: Marks, now: Instant) {
        self.at = now;
        if marks != self.kept {
            self.kept = marks.clone();
            if let Some(orders) = &self.orders {
                let _ = orders.send(marks);
            }
        }
    }

    /// What went wrong since the last time this was asked.
    pub fn complaint(&self) -> Option<String> {
        self.complaints.try_iter().last()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // the last marks are on disk when this ends
        }
    }
}
