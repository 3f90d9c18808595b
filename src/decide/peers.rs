//! What is known of the other nodes: whether they live, what they said last, and whether they hear us.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::classic::Classic;
use super::cluster::{Group, NodeId};
use super::input::Voice;
use super::ipfail::Ipfail;
use super::report::{Entry, Mark, Report, Seen};
use crate::clock::Instant;
use crate::heartbeat::membership::judge::NodeState;

/// Deaths count against a node for so long.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The longest that a node has to be steady before groups go back to it.
const STEADIEST: Duration = Duration::from_secs(300);
/// How soon a node that could not be fenced is fenced again.
const FENCED_AGAIN: Duration = Duration::from_secs(30);

/// What came of cutting a dead node off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fencing {
    /// Nothing was tried.
    #[default]
    No,
    /// It was asked for.
    Asked,
    /// It is off: whatever it had it has no more.
    Done,
    /// It failed.
    Failed(Instant),
}

/// Another node.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its number.
    pub node: NodeId,
    /// What hb-listen thinks of it.
    pub state: NodeState,
    /// The event that said so.
    pub source: Option<String>,
    /// Since when.
    pub since: Option<Instant>,
    /// When it was last heard before that.
    pub heard: Option<Instant>,
    /// Since when it is dead, and nobody who lives hears it.
    pub unheard: Option<Instant>,
    /// When it was first heard after it was away.
    pub came: Option<Instant>,
    /// The silence that means its death.
    pub deadtime: Option<Duration>,
    /// Its status, as its heartbeats carry it.
    pub status: String,
    /// The generation and number of the last heartbeat that was looked at.
    mark: (u64, u64),
    /// What it says of itself.
    pub report: Option<Report>,
    /// The event that carried it.
    pub reported: Option<String>,
    /// It left, and may have come back since: others hear it, or few nodes were here meanwhile.
    pub astray: bool,
    /// It was away since it said that.
    bygone: bool,
    /// It is a real heartbeat.
    pub classic: bool,
    /// What was said to and by it, if it is one.
    pub protocol: Classic,
    /// What was said to and by its ipfail.
    pub ipfail: Ipfail,
    /// It speaks a version of reports that is not understood.
    pub foreign: bool,
    /// What came of fencing it, since it died.
    pub fencing: Fencing,
    /// The arbiters that it or this node reached when it was last up and in time.
    pub arbiters: u32,
    /// What is thought of it on each medium.
    pub links: BTreeMap<String, String>,
    /// When it died, of late.
    deaths: Vec<Instant>,
}

impl Peer {
    /// Nothing is known of it yet.
    pub fn new(node: NodeId) -> Self {
        Self { node, ..Self::default() }
    }

    /// hb-listen thinks something else of it.
    pub fn becomes(&mut self, is: NodeState, silent: Option<Duration>, now: Instant, source: &str) {
        let was = std::mem::replace(&mut self.state, is);
        if was == is {
            return;
        }
        self.source = Some(source.to_owned());
        self.since = Some(now);
        let back = |silent: Duration| Instant::at(now.since_boot().saturating_sub(silent));
        match is {
            NodeState::Up if matches!(was, NodeState::Late) => {}
            NodeState::Up => {
                self.came = Some(now);
                self.fencing = Fencing::No;
                self.bygone = true;
            }
            NodeState::Late | NodeState::Dead | NodeState::Unknown => {
                self.heard = silent.map(back).or(self.heard);
            }
            NodeState::Left => {}
        }
        if matches!(is, NodeState::Dead | NodeState::Left) {
            self.protocol.forget();
            self.ipfail = Ipfail::default();
        }
        if is == NodeState::Dead {
            self.deaths.retain(|then| now.since(*then) < REMEMBERED);
            self.deaths.push(now);
        }
    }

    /// It has started again: what it said before is over.
    pub fn begins_anew(&mut self, now: Instant) {
        // A real heartbeat is one until it says something else: what it has is told by itself, never by time.
        (self.report, self.foreign) = (None, false);
        self.fencing = Fencing::No;
        self.came = Some(now);
    }

    /// It was heard. A heartbeat of the past changes nothing.
    pub fn says(&mut self, mark: (u64, u64), status: &str, voice: Voice, source: &str) {
        if mark <= self.mark && mark.0 != 0 {
            return;
        }
        if mark.0 != self.mark.0 {
            self.report = None;
        }
        self.mark = mark;
        self.status = status.to_owned();
        self.protocol.beats(mark.0, status);
        self.foreign = voice == Voice::Foreign;
        match voice {
            Voice::Ours(mut report) => {
                self.classic = false;
                // Its heartbeats have begun anew, and whoever decides there does not know yet: it was away for long.
                if report.generation != mark.0 {
                    report.groups.iter_mut().for_each(|entry| entry.doubtful = true);
                }
                self.report = Some(report);
                self.bygone = false;
                self.reported = Some(source.to_owned());
            }
            // Ours is silent about itself until it knows what runs there; it is not active before.
            Voice::None => self.classic |= status == "active" && self.report.is_none(),
            Voice::Foreign => (self.report, self.classic) = (None, false),
        }
    }

    /// Whether it is there, be it late.
    pub fn alive(&self) -> bool {
        matches!(self.state, NodeState::Up | NodeState::Late)
    }

    /// Whether the arbiters tell which of us is cut off: those that nobody reached while both lived do not.
    pub fn arbiters_tell(&self) -> bool {
        self.arbiters > 0 || self.came.is_none()
    }

    /// Whether it hears the node with the number `me`, as far as it says.
    pub fn hears(&self, me: usize) -> bool {
        self.report.as_ref().is_none_or(|r| r.seen.get(me) != Some(&Seen::Deaf))
    }

    /// Whether it is there and hears us.
    pub fn connected(&self, me: usize) -> bool {
        self.alive() && self.hears(me)
    }

    /// The version of the last report that was heard of it.
    pub fn version(&self) -> u64 {
        self.report.as_ref().map_or(0, |r| r.version)
    }

    /// Whether it has not said yet what it has: it has just come, or speaks what is not understood.
    pub fn silent(&self) -> bool {
        match self.classic {
            true => !self.protocol.is_known(),
            false => self.report.as_ref().is_none_or(|r| !r.ready),
        }
    }

    /// Whether it has heard one of these versions of our report. What it heard of an earlier start of ours is none of them.
    pub fn acknowledged(&self, me: usize, versions: RangeInclusive<u64>) -> bool {
        let seen = self.report.as_ref().and_then(|r| r.seen.get(me));
        matches!(seen, Some(Seen::Heard(heard)) if versions.contains(heard))
    }

    /// What it says of a group, if it is there.
    pub fn entry(&self, group: &Group) -> Option<Entry> {
        if self.classic {
            let mark = self.protocol.mark(self.is_home(group)).filter(|_| self.alive())?;
            return Some(Entry { key: group.key, mark, ordered: false, doubtful: false });
        }
        self.report.as_ref().filter(|_| self.alive()).and_then(|r| r.entry(group.key))
    }

    /// What it said of a group, if it was there all the time since: others may have taken up meanwhile what it let go, and
    /// it may have let go of what it had. A real heartbeat was forgotten when it was away.
    pub fn had(&self, group: &Group) -> Option<Entry> {
        self.entry(group).filter(|_| self.classic || !self.bygone)
    }

    /// Whether it had a group, or was about to, when it was last heard.
    pub fn last_had(&self, group: &Group) -> bool {
        self.report.as_ref().and_then(|r| r.entry(group.key)).is_some_and(|e| e.mark.occupies())
    }

    /// Whether it may have a group, as far as it says.
    pub fn would_take(&self, group: &Group) -> bool {
        let fit = |r: &Report| r.ready && !r.leaving && r.entry(group.key).is_none_or(|e| e.mark != Mark::Failed);
        if self.classic { self.protocol.would_take() } else { self.report.as_ref().is_some_and(fit) }
    }

    /// Whether a group that nobody has would come to it, were it left alone: a real heartbeat that runs takes only what it is
    /// given.
    pub fn comes_for(&self, group: &Group) -> bool {
        !self.classic || self.protocol.comes_for(self.is_home(group))
    }

    /// Whether a group prefers it.
    pub fn is_home(&self, group: &Group) -> bool {
        group.is_home(self.node)
    }

    /// How long it has to be there before a group goes back to it: the longer the more often it died.
    pub fn steadiness(&self, deadtime: Duration, now: Instant) -> Duration {
        let deaths = self.deaths.iter().filter(|then| now.since(**then) < REMEMBERED).count();
        match u32::try_from(deaths).unwrap_or(u32::MAX) {
            0 | 1 => Duration::ZERO,
            n => deadtime.saturating_mul(1 << n.min(16)).min(STEADIEST),
        }
    }

    /// Whether it may be asked to be fenced, now.
    pub fn may_be_fenced(&self, now: Instant) -> bool {
        match self.fencing {
            Fencing::No => true,
            Fencing::Asked | Fencing::Done => false,
            Fencing::Failed(then) => now.since(then) >= FENCED_AGAIN,
        }
    }
}
