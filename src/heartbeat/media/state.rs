//! Whether a medium works, as far as this machine can see; and when to try again one that does not.

use std::time::Duration;

use crate::cli::event::Event;
use crate::clock::Instant;

/// A medium's state became another. Up means that the kernel takes what is sent, or would hand over what arrives;
/// whether anybody is at the other end is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was; `None` for one that was not tried yet. The same as `is` where something has to be said of a medium
    /// whose state stays as it is: a message that was not sent because it is longer than a datagram.
    pub was: Option<bool>,
    /// What it is now.
    pub is: bool,
    /// Why, in words, beginning with the medium's name.
    pub cause: String,
}

impl Change {
    /// The event that tells it.
    pub fn event(&self, medium: &str) -> Event {
        let name = |up: Option<bool>| match up {
            None => "unknown",
            Some(true) => "up",
            Some(false) => "down",
        };
        Event::new("medium", self.cause.clone())
            .with("medium", medium)
            .with("was", name(self.was))
            .with("is", name(Some(self.is)))
            .with("cause", self.cause.as_str())
    }
}

/// The state with the reason for it.
#[derive(Debug, Default)]
pub(super) struct State {
    up: Option<bool>,
    /// Down only because nothing is at the other end of the cable.
    unplugged: bool,
    cause: String,
}

impl State {
    pub(super) fn up(&self) -> Option<bool> {
        self.up
    }

    /// Whether silence is the silence of others. A cable without a carrier is silent, too: at the other end of it may be
    /// a machine without power. An interface that is down or gone, or a socket that failed, is our own deafness.
    pub(super) fn hears(&self) -> bool {
        self.up == Some(true) || self.unplugged
    }

    /// It works.
    pub(super) fn works(&mut self, why: &str) {
        self.unplugged = false;
        self.is(true, || why.to_owned());
    }

    /// It does not.
    pub(super) fn fails(&mut self, why: impl Into<String>) {
        self.unplugged = false;
        self.is(false, || why.into());
    }

    /// It would, but has no carrier.
    pub(super) fn is_unplugged(&mut self, why: impl Into<String>) {
        self.unplugged = true;
        self.is(false, || why.into());
    }

    fn is(&mut self, up: bool, why: impl FnOnce() -> String) {
        if self.up != Some(up) {
            (self.up, self.cause) = (Some(up), why());
        }
    }

    /// What became of it since it was `was`.
    pub(super) fn since(&self, was: Option<bool>, name: &str) -> Option<Change> {
        let is = self.up.filter(|_| self.up != was)?;
        Some(Change { was, is, cause: format!("{name}: {}", self.cause) })
    }
}

/// The first wait after a failure.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest wait: a cable that is plugged in again must not stay unused for longer.
const LONGEST: Duration = Duration::from_secs(2);

/// The times at which something that fails is tried again: after 200 ms, then twice that and so on up to 2 s. What
/// worked for 2 s begins anew.
#[derive(Debug)]
pub(super) struct Retry {
    /// `None`: it works.
    next: Option<Instant>,
    wait: Duration,
    worked: Option<Instant>,
}

impl Retry {
    /// One that is due at once.
    pub(super) fn new() -> Self {
        Self { next: Some(Instant::at(Duration::ZERO)), wait: SHORTEST, worked: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    pub(super) fn worked(&mut self, now: Instant) {
        (self.next, self.worked) = (None, Some(now));
    }

    pub(super) fn failed(&mut self, now: Instant) {
        if self.worked.take().is_some_and(|since| now.since(since) >= LONGEST) {
            self.wait = SHORTEST;
        }
        self.next = Some(now + self.wait);
        self.wait = (self.wait * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::at(Duration::from_millis(ms))
    }

    #[test]
    fn a_state_is_told_when_it_changes() {
        let mut state = State::default();
        assert_eq!(state.since(None, "m"), None);
        state.fails("broken");
        state.fails("broken otherwise");
        assert_eq!(state.since(None, "m"), Some(Change { was: None, is: false, cause: "m: broken".into() }));
        assert_eq!(state.since(Some(false), "m"), None);
        state.works("mended");
        assert_eq!(
            state.since(Some(false), "m"),
            Some(Change { was: Some(false), is: true, cause: "m: mended".into() })
        );
    }

    #[test]
    fn what_fails_is_tried_less_and_less_often() {
        let mut retry = Retry::new();
        assert!(retry.due(at(1)));
        let mut now = at(1000);
        let mut waits = Vec::new();
        for _ in 0..6 {
            retry.failed(now);
            let next = retry.deadline().unwrap();
            assert!(!retry.due(now));
            assert!(retry.due(next));
            waits.push(next.since(now).as_millis());
            now = next;
        }
        assert_eq!(waits, [200, 400, 800, 1600, 2000, 2000]);
    }

    #[test]
    fn what_worked_for_a_while_begins_anew() {
        let mut retry = Retry::new();
        retry.failed(at(0));
        retry.failed(at(200));
        retry.worked(at(600));
        assert_eq!(retry.deadline(), None);
        // Opened, and gone again at once: that is no cure.
        retry.failed(at(700));
        assert_eq!(retry.deadline(), Some(at(1500)));
        retry.worked(at(1500));
        retry.failed(at(3500));
        assert_eq!(retry.deadline(), Some(at(3700)));
    }
}
