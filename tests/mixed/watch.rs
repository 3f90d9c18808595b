//! An observer that looks at all flags all the time, and the clients of addresses.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use takeover_lab::{Child, Host, Signal};

use crate::seat::{GROUPS, LONG, Place};

/// How often the observer looks.
pub const LOOK: Duration = Duration::from_millis(5);

/// Who held what since when.
#[derive(Debug, Default)]
struct Seen {
    /// For each group each change: when, and whether a and b have it.
    changes: [Vec<(Instant, [bool; 2])>; 2],
    doubles: Vec<String>,
}

/// Looks at all flags all the time.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// The folders with the flags of a and b.
    pub fn new(dirs: [PathBuf; 2]) -> Self {
        let (seen, ends) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (write, stop) = (Arc::clone(&seen), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let now = Instant::now();
                for (g, group) in GROUPS.iter().enumerate() {
                    let held = [0, 1].map(|place: usize| dirs[place].join(group).exists());
                    let mut seen = write.lock().unwrap();
                    if held == [true, true] {
                        seen.doubles.push(format!("{group} at {now:?}"));
                    }
                    if seen.changes[g].last().map(|(_, before)| *before) != Some(held) {
                        seen.changes[g].push((now, held));
                    }
                }
                thread::sleep(LOOK);
            }
        });
        Self { seen, ends, thread: Some(thread) }
    }

    /// Whether a and b have each group.
    pub fn held(&self) -> [[bool; 2]; 2] {
        let seen = self.seen.lock().unwrap();
        [0, 1].map(|g: usize| seen.changes[g].last().map(|(_, held)| *held).unwrap_or_default())
    }

    /// Where each group is, if it is at one place.
    pub fn holders(&self) -> [Option<Place>; 2] {
        self.held().map(|held| match held {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        })
    }

    /// When something was held twice since that was last forgiven.
    pub fn doubles(&self) -> Vec<String> {
        self.seen.lock().unwrap().doubles.clone()
    }

    /// That something was held twice had to be.
    pub fn forgive(&self) {
        self.seen.lock().unwrap().doubles.clear();
    }

    /// When the last group moved, from then on.
    pub fn moved(&self, since: Instant) -> Duration {
        let seen = self.seen.lock().unwrap();
        let last = seen.changes.iter().filter_map(|changes| changes.last()).map(|(at, _)| *at).max();
        last.map(|at| at.saturating_duration_since(since)).unwrap_or_default()
    }

    /// How long each group was held by nobody since then.
    pub fn outages(&self, since: Instant) -> [Duration; 2] {
        let seen = self.seen.lock().unwrap();
        [0, 1].map(|g: usize| {
            let changes = &seen.changes[g];
            let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([Instant::now()]);
            let idle = changes.iter().zip(ends).filter(|((_, held), end)| *held == [false, false] && *end > since);
            idle.map(|((at, _), end)| end - (*at).max(since)).sum()
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Those who use the addresses of both groups, from a host beside the two: each asks every other millisecond.
pub struct Clients {
    each: Vec<Child>,
}

impl Clients {
    /// They begin.
    pub fn ask(from: Host, addresses: [&str; 2]) -> Self {
        let one = |address: &str| {
            let mut command = from.tool("lab-client");
            command.args(["udp", &format!("{address}:7777"), "--every", "2ms"]);
            Child::spawn(command)
        };
        Self { each: addresses.map(one).into() }
    }

    /// What they say at the end: the longest time without an answer, in ms, and whether there is one now.
    #[track_caller]
    pub fn end(self) -> Vec<(f64, bool)> {
        let end = |mut client: Child| {
            client.signal(Signal::SIGTERM);
            assert_eq!(client.wait(LONG), 0);
            let summary = client.seen().last().unwrap();
            (summary["outage_ms"].as_f64().unwrap_or(f64::NAN), summary["served_at_end"] == true)
        };
        self.each.into_iter().map(end).collect()
    }
}
