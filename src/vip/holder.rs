//! Holding an address: when to renew its lease, when to announce it, when to doubt it and when to let go. A decider
//! without socket or clock; [`super::hold`] is its edge.
//!
//! Two rules stand above the rest. A holder that was away for half a lease, or finds its address gone, asks on the link
//! before it touches the address again: somebody may have taken it, and rightly. And a claim from somebody else counts
//! as a conflict only once that machine has answered a question of ours: a stray or forged frame moves nothing.

use std::time::Duration;

use super::detection::{Next, QUESTIONS, Round};
use super::take::list;
use crate::cli::duration::words;
use crate::clock::Instant;
use crate::net::claim::{Claim, Kind};
use crate::net::mac::Mac;

/// Defence, questions to a rival and reports of claims: at most this often.
const ONCE_A_SECOND: Duration = Duration::from_secs(1);
/// A rival that has not answered for this long is gone.
const CONFLICT_OVER: Duration = Duration::from_millis(3500);
/// Between the questions to somebody who claims the address.
const CONFIRM_SPACING: Duration = Duration::from_millis(150);
/// An answer counts as one to our own question for this long.
const ANSWER_WITHIN: Duration = Duration::from_millis(900);
/// After something could not be done, until it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Claimants that are followed at a time; a flood of forged ones costs no more than this.
const FOLLOWED: usize = 8;

/// What to do when another machine has the address too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnConflict {
    /// Keep it and announce it again, at most once a second
    #[default]
    Defend,
    /// Give it up
    Yield,
}

/// How to hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kernel's lifetime for the address.
    pub lease: Duration,
    /// The length of a round of questions; `None`: never ask.
    pub probe: Option<Duration>,
    /// Announcements after the address was taken or put back, the first one included.
    pub announce: u32,
    /// Between those.
    pub announce_every: Duration,
    /// Between later ones; `None`: no later ones.
    pub refresh: Option<Duration>,
    /// What a conflict leads to.
    pub on_conflict: OnConflict,
    /// Who was overridden when the address was taken: they never make it yield or lost.
    pub overridden: Vec<Mac>,
    /// The hardware address of the interface.
    pub asker: Mac,
    /// This machine's hardware addresses.
    pub own: Vec<Mac>,
    /// Without a line on stdin for this long, let go.
    pub feed: Option<Duration>,
    /// Ask this often whether anybody else has the address.
    pub probe_every: Option<Duration>,
    /// IPv6: answers to a question look like announcements.
    pub answers_are_announced: bool,
}

/// What happens to a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// The address is no longer on the interface.
    Removed,
    /// The link has a carrier, or none.
    Carrier(bool),
    /// The interface is gone.
    LinkGone,
    /// Somebody else says something about the address.
    Heard(Claim),
    /// A line came on stdin.
    Fed,
    /// stdin ended.
    Eof,
    /// A signal, by name.
    Stop(&'static str),
    /// Nobody reads our stdout any more.
    Unread,
    /// The address could not be put on the interface, or not in time.
    NotPut,
    /// A question could not be sent.
    NotAsked,
}

/// Why an announcement is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// One of the first few: one alone may get lost.
    Repeat,
    /// From time to time.
    Refresh,
    /// Somebody else claims the address.
    Defence,
    /// A conflict is over.
    ConflictOver,
    /// The carrier is back.
    CarrierBack,
    /// The address was put back.
    Restored,
}

impl Why {
    /// In words.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Repeat => "repeated, as one announcement may get lost",
            Self::Refresh => "refreshed",
            Self::Defence => "defended against another claim",
            Self::ConflictOver => "the conflict is over",
            Self::CarrierBack => "the carrier is back",
            Self::Restored => "the address was restored",
        }
    }
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As asked.
    Clean,
    /// Somebody else has the address.
    Lost,
    /// Whoever feeds us stopped.
    Starved,
    /// The interface is gone.
    Gone,
    /// Nobody reads our stdout.
    Unread,
}

/// What to tell. The fields are those of the events in ha-events(7).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum News {
    /// Somebody claims the address, or asks for it.
    Claim { mac: Mac, kind: Kind, confirmed: bool, cause: String },
    /// Somebody answers for the address, or no longer does.
    Conflict { mac: Mac, is: bool, cause: String },
    /// The carrier changed.
    Carrier { is: bool },
    /// We did not run.
    Stalled { gap: Duration },
    /// The address is gone from the interface.
    Missing,
    /// It is ours again, or still.
    Restored { changed: bool },
    /// It is not ours any more.
    Lost { macs: Vec<Mac>, cause: String },
    /// We let it go.
    Dropped { cause: String },
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the address with a full lease.
    Renew,
    /// Ask who has it: everybody, or one machine.
    Ask(Option<Mac>),
    /// Announce it.
    Announce(Why),
    /// Remove it.
    Remove,
    /// Tell.
    Say(News),
    /// End.
    End(Ending),
}

#[derive(Debug)]
enum Phase {
    Holding,
    /// In doubt. Without a round there is no carrier to ask on.
    Checking {
        round: Option<Round>,
        present: bool,
    },
    Ended,
}

/// Somebody who claims the address and has not answered us yet.
#[derive(Debug)]
struct Suspect {
    claim: Claim,
    asked: u32,
    next: Instant,
}

/// Somebody who has.
#[derive(Debug)]
struct Rival {
    mac: Mac,
    answered: Instant,
    next: Instant,
}

/// The holder.
#[derive(Debug)]
pub struct Holder {
    settings: Settings,
    phase: Phase,
    ran: Instant,
    renew: Instant,
    repeats: u32,
    repeat: Instant,
    refresh: Option<Instant>,
    fed: Instant,
    carrier: bool,
    asked: Option<Instant>,
    watch: Option<Instant>,
    defended: Option<Instant>,
    suspects: Vec<Suspect>,
    rivals: Vec<Rival>,
    said: Vec<(Claim, Instant)>,
}

impl Holder {
    /// A holder of an address that was put on the interface and announced once just now.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            phase: Phase::Holding,
            ran: now,
            renew: now + settings.lease / 4,
            repeats: settings.announce.saturating_sub(1),
            repeat: now + settings.announce_every,
            refresh: settings.refresh.map(|d| now + d),
            fed: now,
            carrier: true,
            asked: None,
            watch: settings.probe_every.map(|d| now + d),
            defended: None,
            suspects: Vec::new(),
            rivals: Vec::new(),
            said: Vec::new(),
            settings,
        }
    }

    /// When to come back at the latest.
    pub fn deadline(&self) -> Instant {
        let mut at = vec![self.ran + self.settings.lease / 4];
        at.extend(self.settings.feed.map(|d| self.fed + d));
        match &self.phase {
            Phase::Checking { round: Some(round), .. } => match round.clone().next(self.ran) {
                Next::Listen(until) => at.push(until),
                Next::Ask | Next::Done => at.push(self.ran),
            },
            Phase::Checking { round: None, .. } | Phase::Ended => {}
            Phase::Holding => {
                at.push(self.renew);
                if self.carrier {
                    at.extend((self.repeats > 0).then_some(self.repeat));
                    at.extend(self.refresh);
                    at.extend(self.watch);
                    at.extend(self.suspects.iter().map(|s| s.next));
                    at.extend(self.rivals.iter().map(|r| r.next));
                }
            }
        }
        at.into_iter().min().unwrap_or(self.ran)
    }

    /// Takes one thing that happened; says what to do.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if matches!(self.phase, Phase::Ended) {
            return actions;
        }
        let gap = now.since(self.ran);
        self.ran = now;
        if gap * 2 > self.settings.lease {
            actions.push(Action::Say(News::Stalled { gap }));
            // A check that was under way starts anew: its questions may have gone out long ago.
            let present = !matches!(self.phase, Phase::Checking { present: false, .. });
            self.check(present, now, &mut actions);
        }
        self.take_input(input, now, &mut actions);
        self.pass_time(now, &mut actions);
        actions
    }

    fn take_input(&mut self, input: Input, now: Instant, actions: &mut Vec<Action>) {
        match input {
            Input::Tick => {}
            Input::Fed => self.fed = now,
            Input::Removed => match &mut self.phase {
                Phase::Holding => {
                    actions.push(Action::Say(News::Missing));
                    self.check(false, now, actions);
                }
                Phase::Checking { present, .. } if *present => {
                    *present = false;
                    actions.push(Action::Say(News::Missing));
                }
                Phase::Checking { .. } | Phase::Ended => {}
            },
            Input::Carrier(is) if is == self.carrier => {}
            Input::Carrier(is) => {
                self.carrier = is;
                actions.push(Action::Say(News::Carrier { is }));
                if is {
                    self.carrier_back(now, actions);
                } else if let Phase::Checking { round, .. } = &mut self.phase {
                    *round = None; // silence without a carrier means nothing
                }
            }
            Input::LinkGone => {
                let cause = "the interface is gone, and the address with it".to_owned();
                actions.push(Action::Say(News::Lost { macs: Vec::new(), cause }));
                self.end(Ending::Gone, actions);
            }
            Input::Heard(claim) => self.heard(claim, now, actions),
            Input::NotPut => {
                // It may be gone already, and is not announced before it is back for certain.
                if self.settings.probe.is_some() && !matches!(self.phase, Phase::Ended) {
                    self.check_from(true, now + RETRY);
                }
            }
            Input::NotAsked => {
                if let Phase::Checking { round: Some(_), present } = self.phase {
                    self.check_from(present, now + RETRY); // what was not asked was not answered
                }
            }
            Input::Unread => {
                actions.push(Action::Remove);
                self.end(Ending::Unread, actions);
            }
            Input::Eof => self.let_go("stdin ended".to_owned(), Ending::Clean, actions),
            Input::Stop(signal) => self.let_go(format!("ended by {signal}"), Ending::Clean, actions),
        }
    }

    fn pass_time(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Some(feed) = self.settings.feed
            && now.since(self.fed) >= feed
        {
            let cause = format!("no line on stdin for {}: whoever feeds us is frozen", words(feed));
            self.let_go(cause, Ending::Starved, actions);
        }
        match &mut self.phase {
            Phase::Ended => {}
            Phase::Checking { round: None, .. } => {}
            Phase::Checking { round: Some(round), .. } => match round.next(now) {
                Next::Ask => actions.push(Action::Ask(None)),
                Next::Listen(_) => {}
                Next::Done => self.judge(now, actions),
            },
            Phase::Holding => {
                if now >= self.renew {
                    self.renew = now + self.settings.lease / 4;
                    actions.push(Action::Renew);
                }
                if self.carrier {
                    self.announce_in_time(now, actions);
                    self.watch_in_time(now, actions);
                    self.follow_suspects(now, actions);
                    self.follow_rivals(now, actions);
                }
            }
        }
    }

    /// Starts to doubt.
    fn check(&mut self, present: bool, now: Instant, actions: &mut Vec<Action>) {
        self.suspects.clear();
        if self.settings.probe.is_none() {
            return self.restore(!present, now, actions);
        }
        self.check_from(present, now);
    }

    /// Asks from `start` on, if there is a carrier to ask on.
    fn check_from(&mut self, present: bool, start: Instant) {
        let Settings { probe: Some(window), asker, own, overridden, .. } = &self.settings else { return };
        // One answer ends the doubt, unless it may come from somebody who was overridden.
        let first_suffices = overridden.is_empty();
        let round = self.carrier.then(|| Round::new(*asker, own, *window, first_suffices, start));
        self.phase = Phase::Checking { round, present };
    }

    /// The round is over: ours or lost?
    fn judge(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Phase::Checking { round: Some(round), present } = &self.phase else { return };
        let (found, present) = (round.findings(), *present);
        let holders: Vec<Mac> =
            found.holders.iter().copied().filter(|m| !self.settings.overridden.contains(m)).collect();
        let lost = match (holders.as_slice(), found.rivals.as_slice()) {
            ([], []) => return self.restore(!present, now, actions),
            // While the address is here, our kernel answers them, and they desist.
            ([], _) if present => return self.restore(false, now, actions),
            ([], rivals) => (rivals.to_vec(), format!("{} is taking it", list(rivals))),
            (holders, _) => (holders.to_vec(), format!("{} has taken it meanwhile", list(holders))),
        };
        // Even where we believe it gone: somebody may have put it there by hand.
        actions.push(Action::Remove);
        actions.push(Action::Say(News::Lost { macs: lost.0, cause: lost.1 }));
        self.end(Ending::Lost, actions);
    }

    fn restore(&mut self, changed: bool, now: Instant, actions: &mut Vec<Action>) {
        self.phase = Phase::Holding;
        self.renew = now + self.settings.lease / 4;
        actions.push(Action::Renew);
        actions.push(Action::Say(News::Restored { changed }));
        self.announce_anew(Why::Restored, now, actions);
    }

    fn carrier_back(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match &mut self.phase {
            Phase::Checking { present, .. } => {
                let present = *present;
                self.check(present, now, actions);
            }
            Phase::Holding => {
                for rival in &mut self.rivals {
                    rival.answered = now; // nobody could answer meanwhile
                }
                self.announce_anew(Why::CarrierBack, now, actions);
                if self.settings.probe.is_some() {
                    // Somebody may have taken it on the other side of the cut.
                    self.asked = Some(now);
                    actions.push(Action::Ask(None));
                }
            }
            Phase::Ended => {}
        }
    }

    fn announce_anew(&mut self, why: Why, now: Instant, actions: &mut Vec<Action>) {
        self.repeats = self.settings.announce.saturating_sub(1);
        self.repeat = now + self.settings.announce_every;
        self.refresh = self.settings.refresh.map(|d| now + d);
        if self.carrier && self.settings.announce > 0 {
            actions.push(Action::Announce(why));
        }
    }

    fn announce_in_time(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.repeats > 0 && now >= self.repeat {
            self.repeats -= 1;
            self.repeat = now + self.settings.announce_every;
            actions.push(Action::Announce(Why::Repeat));
        }
        if let (Some(at), Some(every)) = (self.refresh, self.settings.refresh)
            && now >= at
        {
            self.refresh = Some(now + every);
            actions.push(Action::Announce(Why::Refresh));
        }
    }

    fn watch_in_time(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let (Some(at), Some(every)) = (self.watch, self.settings.probe_every)
            && now >= at
        {
            self.watch = Some(now + every);
            self.asked = Some(now);
            actions.push(Action::Ask(None));
        }
    }

    fn heard(&mut self, claim: Claim, now: Instant, actions: &mut Vec<Action>) {
        if self.settings.own.contains(&claim.mac) {
            return;
        }
        if let Phase::Checking { round, .. } = &mut self.phase {
            if let Some(round) = round {
                round.hear(claim);
            }
            return;
        }
        let answer =
            claim.kind == Kind::Answer || (self.settings.answers_are_announced && claim.kind == Kind::Announcement);
        if claim.kind == Kind::Probe {
            let cause = format!("{} asks whether the address is free: it wants to have it", claim.mac);
            return self.say_claim(claim, false, cause, now, actions);
        }
        if let Some(rival) = self.rivals.iter_mut().find(|r| r.mac == claim.mac) {
            rival.answered = now;
            return self.defend(now, actions);
        }
        let suspect = self.suspects.iter().position(|s| s.claim.mac == claim.mac);
        let asked_all = self.asked.is_some_and(|at| now.since(at) <= ANSWER_WITHIN);
        if answer && (asked_all || suspect.is_some_and(|n| self.suspects[n].asked > 0)) {
            let first = suspect.map_or(claim, |n| self.suspects.remove(n).claim);
            return self.confirmed(first, now, actions);
        }
        if suspect.is_none() && self.suspects.len() < FOLLOWED {
            self.suspects.push(Suspect { claim, asked: 0, next: now });
            self.defend(now, actions); // whoever believed the claim believes us again
        }
    }

    fn confirmed(&mut self, claim: Claim, now: Instant, actions: &mut Vec<Action>) {
        let Claim { mac, .. } = claim;
        self.say_claim(claim, true, format!("{mac} answers for the address"), now, actions);
        let overridden = self.settings.overridden.contains(&mac);
        let yields = self.settings.on_conflict == OnConflict::Yield && !overridden;
        let cause = match (yields, overridden) {
            (true, _) => "another machine has the address too: we yield",
            (_, true) => "the machine that it was taken from still answers for it: we defend it",
            (false, false) => "another machine has the address too: we defend it; end one of the two",
        };
        actions.push(Action::Say(News::Conflict { mac, is: true, cause: cause.to_owned() }));
        if yields {
            return self.let_go(format!("yielded to {mac}"), Ending::Lost, actions);
        }
        if self.rivals.len() < FOLLOWED {
            self.rivals.push(Rival { mac, answered: now, next: now + ONCE_A_SECOND });
        }
        self.defend(now, actions);
    }

    fn follow_suspects(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut given_up = Vec::new();
        self.suspects.retain_mut(|suspect| {
            if now < suspect.next {
                return true;
            }
            if suspect.asked == QUESTIONS {
                given_up.push(suspect.claim);
                return false;
            }
            suspect.asked += 1;
            suspect.next = now + CONFIRM_SPACING;
            actions.push(Action::Ask(Some(suspect.claim.mac)));
            true
        });
        for claim in given_up {
            let cause = format!("{} claimed the address, but does not answer for it", claim.mac);
            self.say_claim(claim, false, cause, now, actions);
        }
    }

    fn follow_rivals(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut gone = Vec::new();
        self.rivals.retain_mut(|rival| {
            if now.since(rival.answered) >= CONFLICT_OVER {
                gone.push(rival.mac);
                return false;
            }
            if now >= rival.next {
                rival.next = now + ONCE_A_SECOND;
                actions.push(Action::Ask(Some(rival.mac)));
            }
            true
        });
        let over = !gone.is_empty();
        for mac in gone {
            let cause = format!("{mac} has not answered for the address for {}", words(CONFLICT_OVER));
            actions.push(Action::Say(News::Conflict { mac, is: false, cause }));
        }
        if over && self.rivals.is_empty() {
            self.announce_anew(Why::ConflictOver, now, actions);
        }
    }

    fn defend(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.carrier && self.defended.is_none_or(|at| now.since(at) >= ONCE_A_SECOND) {
            self.defended = Some(now);
            actions.push(Action::Announce(Why::Defence));
        }
    }

    fn say_claim(&mut self, claim: Claim, confirmed: bool, cause: String, now: Instant, actions: &mut Vec<Action>) {
        self.said.retain(|(_, at)| now.since(*at) < ONCE_A_SECOND);
        if self.said.iter().any(|(c, _)| *c == claim) || self.said.len() >= FOLLOWED {
            return;
        }
        self.said.push((claim, now));
        let Claim { mac, kind } = claim;
        actions.push(Action::Say(News::Claim { mac, kind, confirmed, cause }));
    }

    fn let_go(&mut self, cause: String, ending: Ending, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        actions.push(Action::Remove);
        actions.push(Action::Say(News::Dropped { cause }));
        self.end(ending, actions);
    }

    fn end(&mut self, ending: Ending, actions: &mut Vec<Action>) {
        self.phase = Phase::Ended;
        actions.push(Action::End(ending));
    }
}

#[cfg(test)]
mod tests;
