//! From the moments at which something was served to the gaps between them. Pure: time is handed in.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use takeover::clock::{self, Instant};

/// From here on a gap is listed.
const LISTED: Duration = Duration::from_millis(20);
/// A client that is this much later than it should be stood still itself.
const STALLED: Duration = Duration::from_millis(10);
/// From here on the service counts as lost.
const LOST: Duration = Duration::from_millis(50);

/// A moment on both clocks: one to count with, one to show.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Boot time.
    pub at: Instant,
    /// Wall time.
    pub wall: SystemTime,
}

impl Moment {
    /// The present.
    pub fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }

    fn shown(self) -> Value {
        humantime::format_rfc3339_micros(self.wall).to_string().into()
    }
}

/// Counts what was asked and served, and keeps the gaps.
#[derive(Debug)]
pub struct Meter {
    start: Moment,
    last: Option<Moment>,
    lost: bool,
    requests: u64,
    served: u64,
    longest: Duration,
    gaps: Vec<Value>,
    latest_start: Duration,
    /// How long this client itself stood still since the last answer.
    stalled: Duration,
}

impl Meter {
    /// Nothing asked and nothing served.
    pub fn new(start: Moment) -> Self {
        Self {
            start,
            last: None,
            lost: false,
            requests: 0,
            served: 0,
            longest: Duration::ZERO,
            gaps: Vec::new(),
            latest_start: Duration::ZERO,
            stalled: Duration::ZERO,
        }
    }

    /// This client is awake again, so long after its next request was due: what it adds itself to a gap. Comes before
    /// the answers that were waiting for it.
    pub fn woke(&mut self, late: Duration) {
        self.latest_start = self.latest_start.max(late);
        if late > STALLED {
            self.stalled += late;
        }
    }

    /// A request was started.
    pub fn asked(&mut self) {
        self.requests += 1;
    }

    /// An answer came. Returns the line to follow by, when it is the first or the first after a loss.
    pub fn served(&mut self, now: Moment) -> Option<Value> {
        self.served += 1;
        let before = self.last.replace(now);
        let since = now.at.since(before.unwrap_or(self.start).at);
        if let Some(before) = before {
            self.note_gap(before, now);
        }
        let news = before.is_none() || since >= LOST || self.lost;
        self.lost = false;
        news.then(|| json!({"client": "served", "at": now.shown(), "after_ms": clock::millis(since)}))
    }

    /// When [`Meter::look`] could have something to say.
    pub fn loss_due(&self) -> Option<Instant> {
        self.last.filter(|_| !self.lost).map(|last| last.at + LOST)
    }

    /// Returns the line to follow by when the service has just become lost.
    pub fn look(&mut self, now: Moment) -> Option<Value> {
        let last = self.last?;
        if self.lost || now.at.since(last.at) < LOST {
            return None;
        }
        self.lost = true;
        Some(json!({"client": "lost", "at": now.shown(), "last_served_at": last.shown()}))
    }

    fn note_gap(&mut self, from: Moment, to: Moment) {
        let gap = to.at.since(from.at);
        self.longest = self.longest.max(gap);
        // It cannot have stood still for longer than the gap: it was due before the last answer.
        let stalled = std::mem::take(&mut self.stalled).min(gap);
        if gap > LISTED {
            self.gaps.push(json!({
                "from_ms": clock::millis(from.at.since(self.start.at)),
                "to_ms": clock::millis(to.at.since(self.start.at)),
                "ms": clock::millis(gap),
                "stalled_ms": clock::millis(stalled),
                "from": from.shown(),
                "to": to.shown(),
            }));
        }
    }

    /// The last line. A gap that is still open counts up to now; with nothing served at all there is no outage to
    /// measure, and it is null.
    pub fn summary(mut self, now: Moment) -> Value {
        if let Some(last) = self.last {
            self.note_gap(last, now);
        }
        json!({
            "client": "summary",
            "at": now.shown(),
            "started_at": self.start.shown(),
            "requests": self.requests,
            "served": self.served,
            "outage_ms": self.last.map(|_| clock::millis(self.longest)),
            "served_at_end": self.last.is_some_and(|last| now.at.since(last.at) < LOST),
            "latest_start_ms": clock::millis(self.latest_start),
            "gaps": self.gaps,
        })
    }
}

/// When the next request is due: the first multiple of the interval after `now`. What was missed stays missed; a burst
/// would measure nothing more.
pub fn after(due: Instant, every: Duration, now: Instant) -> Instant {
    let missed = now.since(due).as_nanos() / every.as_nanos().max(1);
    let steps = u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1);
    due + every.saturating_mul(steps)
}

/// Prints one line at once.
pub fn print(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(ms: u64) -> Moment {
        let since = Duration::from_millis(ms);
        Moment { at: Instant::at(Duration::from_secs(100) + since), wall: SystemTime::UNIX_EPOCH + since }
    }

    #[test]
    fn the_longest_gap_is_the_outage() {
        let mut meter = Meter::new(moment(0));
        for ms in [5, 6, 7, 30, 31, 431, 432] {
            meter.woke(Duration::from_millis(1));
            meter.asked();
            meter.served(moment(ms));
        }
        let summary = meter.summary(moment(433));
        assert_eq!(summary["outage_ms"], 400.0);
        assert_eq!(summary["requests"], 7);
        assert_eq!(summary["served"], 7);
        assert_eq!(summary["served_at_end"], true);
        let gaps = summary["gaps"].as_array().unwrap();
        assert_eq!(gaps.len(), 2);
        assert_eq!(gaps[0]["ms"], 23.0);
        assert_eq!(gaps[0]["stalled_ms"], 0.0);
        assert_eq!(gaps[1]["from_ms"], 31.0);
        assert_eq!(gaps[1]["to_ms"], 431.0);
        assert_eq!(gaps[1]["from"], "1970-01-01T00:00:00.031000Z");
    }

    #[test]
    fn what_the_client_itself_adds_to_a_gap() {
        let mut meter = Meter::new(moment(0));
        meter.served(moment(10));
        meter.woke(Duration::from_millis(3)); // as on any machine
        meter.woke(Duration::from_millis(90));
        meter.woke(Duration::from_millis(40));
        meter.served(moment(210));
        meter.woke(Duration::from_millis(70));
        meter.served(moment(260));
        meter.served(moment(300));
        let summary = meter.summary(moment(301));
        let stalled = |gap: usize| summary["gaps"][gap]["stalled_ms"].as_f64().unwrap();
        assert_eq!((stalled(0), stalled(1), stalled(2)), (130.0, 50.0, 0.0));
        assert_eq!(summary["latest_start_ms"], 90.0);
        assert_eq!(summary["outage_ms"], 200.0, "what was measured stays what it was");
    }

    #[test]
    fn missed_requests_are_not_made_up_for() {
        let every = Duration::from_millis(10);
        for (now, next) in [(100, 110), (105, 110), (109, 110), (110, 120), (234, 240)] {
            assert_eq!(after(moment(100).at, every, moment(now).at), moment(next).at, "{now}");
        }
    }

    #[test]
    fn a_gap_that_is_open_at_the_end_counts() {
        let mut meter = Meter::new(moment(0));
        meter.served(moment(1));
        let summary = meter.summary(moment(501));
        assert_eq!(summary["outage_ms"], 500.0);
        assert_eq!(summary["served_at_end"], false);
        assert_eq!(summary["gaps"][0]["ms"], 500.0);
    }

    #[test]
    fn never_served_is_no_outage_of_zero() {
        let mut meter = Meter::new(moment(0));
        meter.asked();
        let summary = meter.summary(moment(500));
        assert_eq!(summary["outage_ms"], Value::Null);
        assert_eq!(summary["served"], 0);
    }

    #[test]
    fn lost_and_served_again_are_said_once() {
        let mut meter = Meter::new(moment(0));
        assert_eq!(meter.look(moment(90)), None, "never served: nothing to lose");
        assert_eq!(meter.served(moment(100)).unwrap()["after_ms"], 100.0);
        assert_eq!(meter.served(moment(101)), None);
        assert_eq!(meter.look(moment(150)), None);
        assert_eq!(meter.loss_due(), Some(moment(151).at));
        let lost = meter.look(moment(152)).unwrap();
        assert_eq!(lost["client"], "lost");
        assert_eq!(lost["last_served_at"], "1970-01-01T00:00:00.101000Z");
        assert_eq!(meter.look(moment(200)), None);
        assert_eq!(meter.loss_due(), None);
        assert_eq!(meter.served(moment(401)).unwrap()["after_ms"], 300.0);
        assert_eq!(meter.served(moment(402)), None);
    }
}
