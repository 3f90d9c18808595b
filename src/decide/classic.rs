//! What a real heartbeat 3 and this node say to each other about groups: `starting`, `resource`, `ask_resources` and
//! `hb_takeover` with auto_failback (its "nice failback"), between two nodes.
//!
//! To it all groups that prefer a node are one: `local` are those that prefer the sender of a message (in a standby, the
//! node that lets go), `foreign` the other node's. What it says becomes what a report of one of ours is: a [`Mark`] for
//! each of the two, and whether we may start them. What we have becomes its messages.
//!
//! | to start something while it lives | because |
//! | --- | --- |
//! | it says that it does not have it, and is stable | a stable one takes nothing of its own accord while we live |
//! | it has ended its part of a standby with `done` | it waits for us to take what it let go |
//!
//! The first counts only where it was started, or ended a standby with us, since this node knows what it itself said: one
//! that is taking what we gave it before we were started anew says all the same that it is stable and does not have it.
//! It is asked for a standby then (`hb_takeover`), which it does not begin before it is done.
//!
//! Silence and time allow nothing. Whoever lets go asks (`me`), is answered (`other`), lets go, says `done`, and hears
//! `done` when it was taken. Messages come late and in another order than they were said: of each kind the latest counts.

use std::time::Duration;

use serde_json::{Map, Value};

use super::report::Mark;
use crate::clock::Instant;
use crate::heartbeat::wire::message::Message;

/// It answers a request for a standby within that, or never.
const ANSWERED: Duration = Duration::from_secs(10);
/// A request that it made is answered within that, or not at all: it forgets it.
const ANSWERABLE: Duration = Duration::from_secs(5);
/// How soon something is asked again that it may have overlooked.
const AGAIN: Duration = Duration::from_secs(5);
/// How soon it is told again what we have, as long as it is not stable.
const REFRESH: Duration = Duration::from_secs(1);

/// Groups by the node that they prefer: ours or the other one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// Those that prefer this node.
    pub ours: bool,
    /// Those that prefer the other node.
    pub theirs: bool,
}

impl Hold {
    /// One of the two.
    pub const fn one(theirs: bool) -> Self {
        Self { ours: !theirs, theirs }
    }

    /// Reads `rsc_hold`, as the other node (`other`) or this one means it.
    fn of(word: &str, other: bool) -> Option<Self> {
        let (local, foreign) = match word {
            "none" => (false, false),
            "local" => (true, false),
            "foreign" | "failback" => (false, true),
            "all" => (true, true),
            _ => return None,
        };
        Some(if other { Self { ours: foreign, theirs: local } } else { Self { ours: local, theirs: foreign } })
    }

    /// The word for it, as the other node or this one means it.
    fn word(self, other: bool) -> &'static str {
        match if other { (self.theirs, self.ours) } else { (self.ours, self.theirs) } {
            (false, false) => "none",
            (true, false) => "local",
            (false, true) => "foreign",
            (true, true) => "all",
        }
    }

    /// Whether it has this one of the two.
    pub const fn has(self, theirs: bool) -> bool {
        if theirs { self.theirs } else { self.ours }
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, more: Self) -> Self {
        Self { ours: self.ours || more.ours, theirs: self.theirs || more.theirs }
    }

    const fn without(self, less: Self) -> Self {
        Self { ours: self.ours && !less.ours, theirs: self.theirs && !less.theirs }
    }

    /// Whether it has neither.
    pub const fn is_none(self) -> bool {
        !self.ours && !self.theirs
    }

    const fn meets(self, other: Self) -> bool {
        (self.ours && other.ours) || (self.theirs && other.theirs)
    }
}

/// A standby, as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hand {
    /// There is none.
    #[default]
    Still,
    /// We asked whether it would take these.
    Offered { what: Hold, since: Instant },
    /// It would: we let go.
    Giving { what: Hold },
    /// We have let go, and it takes them; when we last said so, and whether we had to offer them again.
    Given { what: Hold, said: Instant, again: bool },
    /// It asked whether we would take these, and we would; what we had offered meanwhile, the number with which it said that
    /// it lets go, and with which that it has, of what.
    Accepted { what: Hold, since: Instant, offered: Hold, sheds: Option<u64>, done: Option<(Hold, u64)> },
    /// It has let go: we take them.
    Taking { what: Hold },
}

/// What this node has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// What we have, in part or whole, or could not stop.
    pub holds: Hold,
    /// Nothing is about to start or stop here.
    pub settled: bool,
    /// We know what runs here, and take part.
    pub ready: bool,
    /// We may have something at all.
    pub fit: bool,
    /// We leave.
    pub leaving: bool,
    /// What an operator wants to be here.
    pub wishes: Hold,
    /// What would be started here.
    pub lacks: Hold,
}

/// The protocol with one node.
#[derive(Clone, Debug, Default)]
pub struct Classic {
    generation: u64,
    /// It was heard before it was active: it has just been started, and will say so.
    fresh: bool,
    /// It cannot be at something that we asked for before we were started anew.
    clear: bool,
    /// The numbers of its last `resource`, and of its last `ask_resources` of each kind, that counted.
    resource: u64,
    asked: [u64; 3],
    holds: Hold,
    /// What it had when it said that it is about to have less.
    sheds: Hold,
    stable: Option<bool>,
    leaving: bool,
    /// What it wants from us (hb_takeover), and until when that counts.
    wants: Hold,
    wants_until: Option<Instant>,
    /// It asked us to take these, and waits for an answer.
    request: Option<(Hold, Instant)>,
    /// We are to offer it these.
    offer: Hold,
    offer_until: Option<Instant>,
    /// No offer before, after one that was not answered.
    patience: Option<Instant>,
    hand: Hand,
    /// It waits to hear what we have.
    curious: bool,
    /// What we said last: what we have, and whether we are stable.
    said: Option<(Hold, bool)>,
    said_at: Option<Instant>,
    /// Since when we do not know what it has, though nothing is under way; when it was asked.
    vague: Option<Instant>,
    queried: Option<Instant>,
    /// We told it what an operator wants.
    wished: Option<Instant>,
    /// We told it that we leave.
    goodbye: bool,
}

impl Classic {
    /// It is dead, has left, or was started anew: nothing that it said holds any more.
    pub fn forget(&mut self) {
        *self = Self { generation: self.generation, goodbye: self.goodbye, ..Self::default() };
    }

    /// Its heartbeats carry this generation and this status.
    pub fn beats(&mut self, generation: u64, status: &str) {
        self.is_of(generation);
        self.fresh |= status != "active";
        self.clear |= self.fresh;
    }

    fn is_of(&mut self, generation: u64) {
        if generation != self.generation {
            self.generation = generation;
            self.forget();
        }
    }

    /// Our own heartbeats have begun anew: it may have forgotten what we said.
    pub fn repeat(&mut self) {
        self.said = None;
    }

    /// It said something. Returns whether that matters.
    pub fn hear(&mut self, fields: &Map<String, Value>, now: Instant) -> bool {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let number = |name: &str| text(name).and_then(|text| u64::from_str_radix(text, 16).ok());
        let hold = text("rsc_hold").and_then(|word| Hold::of(word, true));
        let (Some(kind), Some(generation), Some(seq)) = (text("t"), number("hg"), number("seq")) else {
            return false;
        };
        if !matches!(kind, "starting" | "resource" | "ask_resources" | "hb_takeover") {
            return false;
        }
        self.is_of(generation);
        match (kind, hold) {
            ("starting", _) => {
                (self.curious, self.fresh, self.clear) = (true, true, true);
            }
            ("resource", Some(hold)) if seq > self.resource => {
                self.resource = seq;
                let whole = text("rtype") == Some("full");
                self.has(if whole { hold } else { self.holds.with(hold) }, text("isstable").map(|word| word == "1"));
                self.leaving |= text("info") == Some("shutdown");
                if let Hand::Accepted { sheds, .. } = &mut self.hand
                    && text("info") == Some("standby")
                {
                    *sheds = Some(seq);
                    self.is_free();
                }
            }
            ("ask_resources", Some(hold)) => {
                let kind = ["me", "other", "done"].into_iter().position(|info| Some(info) == text("info"));
                let Some(kind) = kind.filter(|kind| seq > self.asked[*kind]) else { return true };
                self.asked[kind] = seq;
                match kind {
                    0 => self.asks(hold, now),
                    1 => self.agrees(),
                    _ => self.is_done(hold, seq),
                }
            }
            ("hb_takeover", Some(hold)) => (self.wants, self.wants_until) = (hold, Some(now + ANSWERED)),
            _ => {}
        }
        true
    }

    /// It says what it has.
    fn has(&mut self, holds: Hold, stable: Option<bool>) {
        match stable.or(self.stable) {
            Some(true) => self.sheds = Hold::default(),
            // It says so ahead: it has it until it says that it is done.
            _ => self.sheds = self.sheds.with(self.holds).without(holds),
        }
        self.holds = holds;
        self.stable = stable.or(self.stable);
        if let Hand::Given { what, .. } = self.hand
            && self.stable == Some(true)
            && what.without(holds).is_none()
        {
            self.hand = Hand::Still;
        }
    }

    /// It would let go of these.
    fn asks(&mut self, what: Hold, now: Instant) {
        match self.hand {
            // While it takes something it does not mean that, and whoever takes something of its is not done.
            Hand::Giving { .. } | Hand::Given { .. } | Hand::Taking { .. } => {}
            _ => self.request = Some((what, now)),
        }
    }

    /// It would take what we offered.
    fn agrees(&mut self) {
        match self.hand {
            Hand::Offered { what, .. } => self.hand = Hand::Giving { what },
            // Its own request crossed ours, and it took ours to be the first.
            Hand::Accepted { offered, .. } if !offered.is_none() => self.hand = Hand::Giving { what: offered },
            // Nothing of it is left here: it is told again.
            Hand::Given { what, .. } => self.hand = Hand::Giving { what },
            _ => {}
        }
    }

    /// It has let go, or has taken.
    fn is_done(&mut self, hold: Hold, seq: u64) {
        match &mut self.hand {
            // It names what it let go, be that of another request than the one that was answered.
            Hand::Accepted { done, .. } => {
                *done = Some((hold, seq));
                self.is_free();
            }
            Hand::Given { what, .. } => {
                let what = *what;
                self.clear = true;
                self.holds = self.holds.with(what);
                // What it said it had before that is over.
                self.resource = self.resource.max(seq);
                self.hand = Hand::Still;
            }
            _ => {}
        }
    }

    /// What it wanted to let go of is free once it has begun, and said that it is done: it says as much when it has taken
    /// something.
    fn is_free(&mut self) {
        if let Hand::Accepted { sheds: Some(sheds), done: Some((what, done)), .. } = self.hand
            && sheds < done
            && !what.meets(self.holds)
        {
            self.clear = true;
            self.holds = self.holds.without(what);
            self.sheds = self.sheds.without(what);
            self.hand = Hand::Taking { what };
        }
    }

    /// What it does with its (`theirs`) or our groups.
    pub fn mark(&self, theirs: bool) -> Option<Mark> {
        match self.hand {
            Hand::Taking { what } | Hand::Giving { what } if what.has(theirs) => return None,
            Hand::Given { what, .. } if what.has(theirs) => return Some(Mark::Starts),
            Hand::Accepted { what, sheds: Some(_), .. } if what.has(theirs) => return Some(Mark::Releases),
            _ => {}
        }
        if self.sheds.has(theirs) || (self.leaving && self.holds.has(theirs)) {
            return Some(Mark::Releases);
        }
        if self.holds.has(theirs) {
            return Some(Mark::Holds);
        }
        (self.wants_until.is_some() && self.wants.has(theirs)).then_some(Mark::Wishes)
    }

    /// Whether we may start these: why not.
    ///
    /// # Errors
    /// What it does that we have to wait for.
    pub fn gives(&self, theirs: bool) -> Result<(), &'static str> {
        match self.hand {
            Hand::Taking { what } if what.has(theirs) => return Ok(()),
            Hand::Offered { what, .. } | Hand::Giving { what } | Hand::Given { what, .. } if what.has(theirs) => {
                return Err("is to have it");
            }
            Hand::Accepted { what, .. } if what.has(theirs) => return Err("lets go of it"),
            _ => {}
        }
        match self.stable {
            None => Err("has not said yet what it has"),
            Some(_) if self.leaving => Err("leaves"),
            Some(false) => Err("is not stable"),
            Some(true) if self.holds.has(theirs) => Err("has it"),
            Some(true) if !self.clear => Err("may be taking it, and is asked to let it go"),
            Some(true) => Ok(()),
        }
    }

    /// Whether only that keeps us from starting these that it may be at it.
    pub fn is_unclear(&self, theirs: bool) -> bool {
        let clear = Self { clear: true, ..self.clone() };
        !self.clear && clear.gives(theirs).is_ok()
    }

    /// Whether it has said what it has.
    pub fn is_known(&self) -> bool {
        self.stable.is_some()
    }

    /// Whether it could be given something.
    pub fn would_take(&self) -> bool {
        self.stable == Some(true) && !self.leaving
    }

    /// Whether it is about to take these by itself, or from us.
    pub fn comes_for(&self, theirs: bool) -> bool {
        match self.hand {
            Hand::Offered { what, .. } | Hand::Giving { what } | Hand::Given { what, .. } => what.has(theirs),
            Hand::Taking { what } if what.has(theirs) => false,
            _ => theirs && self.stable != Some(true) && !self.leaving,
        }
    }

    /// What we have to let go of, for it waits for that.
    pub fn gets(&self, theirs: bool) -> bool {
        matches!(self.hand, Hand::Giving { what } if what.has(theirs))
    }

    /// What it let go of for us to have.
    pub fn has_given(&self) -> Hold {
        if let Hand::Taking { what } = self.hand { what } else { Hold::default() }
    }

    /// It is to be offered these.
    pub fn offer(&mut self, what: Hold, now: Instant) {
        let busy = match self.hand {
            Hand::Offered { what, .. } | Hand::Giving { what } | Hand::Given { what, .. } => what,
            _ => Hold::default(),
        };
        let what = what.without(busy);
        if !what.is_none() && self.patience.is_none_or(|until| now >= until) {
            self.offer = self.offer.with(what);
            self.offer_until = Some(now + ANSWERED);
        }
    }

    /// Whether it is being offered these, or is to be.
    pub fn is_offered(&self, theirs: bool) -> bool {
        self.offer.has(theirs) || matches!(self.hand, Hand::Offered { what, .. } if what.has(theirs))
    }

    /// What is to be said to it now that this is so here, and why.
    pub fn speak(&mut self, ours: Ours, active: bool, now: Instant) -> Vec<(Message, &'static str)> {
        let mut out = Vec::new();
        let over = |until: Option<Instant>| until.is_some_and(|until| now >= until);
        if over(self.wants_until) {
            (self.wants, self.wants_until) = (Hold::default(), None);
        }
        if over(self.offer_until) {
            (self.offer, self.offer_until) = (Hold::default(), None);
        }
        if ours.leaving {
            if !std::mem::replace(&mut self.goodbye, true) {
                let message = resource(Hold::default(), false).with("info", "shutdown");
                out.push((message, "this node leaves"));
            }
            return out;
        }
        if !ours.ready || !active {
            return out;
        }
        self.proceed(ours, now, &mut out);
        self.answer(ours, now, &mut out);
        self.tell(ours, now, &mut out);
        self.begin(ours, now, &mut out);
        self.inquire(ours, now, &mut out);
        out
    }

    /// The next step of a standby that is under way.
    fn proceed(&mut self, ours: Ours, now: Instant, out: &mut Vec<(Message, &'static str)>) {
        match self.hand {
            Hand::Offered { since, .. } if now.since(since) >= ANSWERED => {
                self.hand = Hand::Still;
                self.patience = Some(now + ANSWERED);
            }
            Hand::Giving { what } if !ours.holds.meets(what) => {
                out.push((resource(ours.holds, false).with("info", "standby"), "what it is to have is free"));
                out.push((ask(what, false, "done"), "what it is to have is free"));
                self.said = Some((ours.holds, false));
                self.hand = Hand::Given { what, said: now, again: false };
            }
            // It may have forgotten it, and then agrees once more; if it is at it, it does not mind.
            Hand::Given { what, said, .. } if now.since(said) >= ANSWERED + AGAIN => {
                // It agrees to nothing while we are not stable.
                out.push((resource(ours.holds, true), "it has not said that it has taken it"));
                out.push((ask(what, false, "me"), "it has not said that it has taken it"));
                self.said = Some((ours.holds, true));
                self.hand = Hand::Given { what, said: now, again: true };
            }
            Hand::Taking { what } if ours.settled => {
                out.push((resource(ours.holds, true), "what it gave is here"));
                out.push((ask(what, true, "done"), "what it gave is here"));
                (self.said, self.said_at) = (Some((ours.holds, true)), Some(now));
                self.hand = Hand::Still;
            }
            // It has thought better of it, or fell out of step: what it says it has counts.
            // (One that has begun to let go says that it is stable if it is asked, and may be at it for long.)
            Hand::Accepted { since, sheds: None, .. } if now.since(since) >= ANSWERED => {
                self.hand = Hand::Still;
                self.clear = false;
            }
            _ => {}
        }
    }

    /// It wants us to take something.
    fn answer(&mut self, ours: Ours, now: Instant, out: &mut Vec<(Message, &'static str)>) {
        let Some((what, since)) = self.request else { return };
        if now.since(since) >= ANSWERABLE || !ours.fit {
            self.request = None;
        } else if ours.settled {
            self.request = None;
            out.push((ask(what, true, "other"), "it wants to give it up"));
            self.hand = match self.hand {
                // Which of its requests it means is seen when it is done.
                Hand::Accepted { what: before, offered, sheds, done, .. } => {
                    Hand::Accepted { what: before.with(what), since: now, offered, sheds, done }
                }
                Hand::Offered { what: offered, .. } => {
                    Hand::Accepted { what, since: now, offered, sheds: None, done: None }
                }
                _ => Hand::Accepted { what, since: now, offered: Hold::default(), sheds: None, done: None },
            };
        }
    }

    /// A standby that we want, or want of it.
    fn begin(&mut self, ours: Ours, now: Instant, out: &mut Vec<(Message, &'static str)>) {
        if self.hand != Hand::Still || self.stable != Some(true) || !ours.settled {
            return;
        }
        if !self.offer.is_none() {
            let what = std::mem::take(&mut self.offer);
            (self.offer_until, self.wants_until) = (None, None);
            if self.patience.take().is_some() {
                out.push((resource(ours.holds, true), "it did not agree to take it"));
            }
            out.push((ask(what, false, "me"), "it is to have it"));
            self.hand = Hand::Offered { what, since: now };
            return;
        }
        let wishes =
            Hold { ours: ours.wishes.ours && self.holds.ours, theirs: ours.wishes.theirs && self.holds.theirs };
        let lacks = Hold {
            ours: ours.lacks.ours && self.is_unclear(false),
            theirs: ours.lacks.theirs && self.is_unclear(true),
        };
        let wishes = wishes.with(lacks);
        if wishes.is_none() {
            self.wished = None;
        } else if self.wished.is_none_or(|then| now.since(then) >= AGAIN) {
            // What we said of ourselves may have come in the wrong order, and then it does nothing of that.
            if self.wished.replace(now).is_some() {
                out.push((resource(ours.holds, true), "it has not done what it was asked for"));
            }
            let message = Message::default().with("t", "hb_takeover").with("rsc_hold", wishes.word(false));
            out.push((message, "it is to be here"));
        }
    }

    /// A node that says that it starts is told what the other one has.
    fn inquire(&mut self, ours: Ours, now: Instant, out: &mut Vec<(Message, &'static str)>) {
        let every = match self.stable {
            None if self.fresh => AGAIN, // it will say so by itself
            None => AGAIN / 2,
            Some(false) => AGAIN * 2,
            Some(true) => return self.vague = None,
        };
        if self.hand != Hand::Still {
            return self.vague = None;
        }
        let waits = self.fresh || self.is_known();
        let since = *self.vague.get_or_insert(now);
        if now.since(since) >= every || (!waits && self.queried.is_none()) {
            (self.queried, self.vague) = (Some(now), Some(now));
            out.push((Message::default().with("t", "starting"), "it has not said what it has"));
            // It takes us to begin anew, and forgets what we said.
            self.curious = true;
            self.tell(ours, now, out);
        }
    }

    /// What we have, where that is news to it.
    fn tell(&mut self, ours: Ours, now: Instant, out: &mut Vec<(Message, &'static str)>) {
        let between = match self.hand {
            Hand::Giving { .. } | Hand::Taking { .. } => true,
            Hand::Given { again, .. } => !again,
            _ => false,
        };
        // That we become stable is what makes it give back what is ours: it has to see both.
        let joined = self.fresh || self.is_known();
        let said = (ours.holds, ours.settled && !between && joined);
        let stale = self.said_at.is_none_or(|then| now.since(then) >= REFRESH);
        let refresh = self.stable != Some(true) && self.hand == Hand::Still && stale;
        let news = self.said != Some(said) && !matches!(self.hand, Hand::Giving { .. } | Hand::Taking { .. });
        // Also where what it said before we took part, which it sends to whoever comes late, has told us all.
        if self.said.is_none() && said.1 && !self.fresh {
            out.push((resource(said.0, false), "what this node has"));
        }
        if std::mem::take(&mut self.curious) || news || refresh {
            (self.said, self.said_at) = (Some(said), Some(now));
            out.push((resource(said.0, said.1), "what this node has"));
        }
    }
}

fn resource(holds: Hold, stable: bool) -> Message {
    let message = Message::default().with("t", "resource").with("rsc_hold", holds.word(false));
    message.with("rtype", "full").with("isstable", if stable { "1" } else { "0" })
}

/// `other`: it is the other node that lets go.
fn ask(what: Hold, other: bool, info: &str) -> Message {
    Message::default().with("t", "ask_resources").with("rsc_hold", what.word(other)).with("info", info)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
