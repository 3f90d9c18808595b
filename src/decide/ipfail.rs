//! What a real heartbeat's client ipfail and this node tell each other: how many ping nodes each of the two reaches.
//!
//! | message | means |
//! | --- | --- |
//! | `hbapi-clstat` of ipfail, `join` | it is there: it is asked for its number, and asks for ours |
//! | `num_ping_nodes` | the number of its sender, who wants to know the other's |
//! | `you_are_dead` | the answer of one who reaches more; a real one that hears that gives up everything |
//! | `abort_giveup` | the answer of one who reaches as many |
//!
//! One who reaches more does not answer, but gives up. Numbers change one after the other at two nodes when one thing fails:
//! whether one reaches more is believed after a while, as among our own nodes.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Instant;
use crate::heartbeat::wire::message::Message;

/// How soon it is told again that it reaches less, as long as it keeps something.
const AGAIN: Duration = Duration::from_secs(10);

/// The conversation with one node.
#[derive(Clone, Debug, Default)]
pub struct Ipfail {
    /// The generation and number of the last message that counted.
    mark: (u64, u64),
    /// It runs there.
    there: bool,
    /// What the other node reaches, where that is known.
    pub reaches: Option<u32>,
    /// It waits to hear what we reach.
    owed: bool,
    /// We said that we are there.
    greeted: bool,
    /// What we said that we reach.
    told: Option<u32>,
    /// Since when we reach more than that.
    rising: Option<Instant>,
    /// Since when we reach more than the other node, or when it was told so.
    better: Option<Instant>,
}

impl Ipfail {
    /// The other node said something. Returns whether that was for us.
    pub fn hear(&mut self, fields: &Map<String, Value>) -> bool {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| u64::from_str_radix(text(name), 16).unwrap_or_default();
        let mark = (number("hg"), number("seq"));
        let kind = text("t");
        if !matches!(kind, "hbapi-clstat" | "num_ping_nodes" | "you_are_dead" | "abort_giveup") {
            return false;
        }
        if text("from_id") != "ipfail" || mark <= self.mark {
            return true;
        }
        if mark.0 != self.mark.0 {
            self.begin();
        }
        self.mark = mark;
        match kind {
            "hbapi-clstat" => {
                self.begin();
                (self.mark, self.there) = (mark, text("st") == "join");
            }
            "num_ping_nodes" => {
                (self.there, self.owed) = (true, true);
                self.reaches = text("num_ping").parse().ok();
            }
            "you_are_dead" => self.reaches = self.reaches.max(self.told.map(|told| told.saturating_add(1))),
            _ => self.reaches = self.told,
        }
        true
    }

    /// Nothing that was said holds any more.
    fn begin(&mut self) {
        *self = Self { greeted: self.greeted, rising: self.rising, ..Self::default() };
    }

    /// What is to be said to the node `dest` now that we reach so many, and why. `keeps`: it has something that it could
    /// give up; `patience` is how long a difference has to last.
    pub fn speak(
        &mut self,
        dest: &str,
        reached: u32,
        keeps: bool,
        now: Instant,
        patience: Duration,
    ) -> Vec<(Message, &'static str)> {
        let message = |kind: &str| Message::default().with("t", kind).with("from_id", "ipfail").with("to_id", "ipfail");
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.greeted, true) {
            let join = message("hbapi-clstat").with("st", "join").with("info", "signon").with("client_gen", "0");
            out.push((join, "it may run ipfail"));
        }
        let message = |kind: &str| message(kind).with("dest", dest).with("client_gen", "0");
        let more = self.told.is_none_or(|told| reached > told);
        self.rising = more.then(|| self.rising.unwrap_or(now));
        let believed = self.rising.is_none_or(|since| now.since(since) >= patience);
        if !self.there || (self.told.is_none() && !believed) {
            return out;
        }
        if believed && self.told != Some(reached) {
            self.told = Some(reached);
            let count = message("num_ping_nodes").with("num_ping", reached.to_string());
            out.push((count, "what this node reaches has changed"));
        }
        if std::mem::take(&mut self.owed) && self.reaches == self.told {
            out.push((message("abort_giveup"), "both reach as many ping nodes"));
        }
        let better = keeps && self.reaches.is_some() && self.reaches < self.told;
        let first = self.better.is_none();
        self.better = better.then(|| self.better.unwrap_or(now + patience));
        if let Some(due) = self.better
            && !first
            && now >= due
        {
            self.better = Some(now + AGAIN);
            out.push((message("you_are_dead"), "this node reaches more ping nodes"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Talk {
        ours: Ipfail,
        now: u64,
        seq: u64,
    }

    impl Talk {
        /// Hears it say `TYPE [NAME=VALUE...]`.
        fn hears(&mut self, words: &str) {
            self.seq += 1;
            self.hears_as((1, self.seq), words);
        }

        fn hears_as(&mut self, (generation, seq): (u64, u64), words: &str) {
            let mut words = words.split(' ');
            let mut fields = Map::new();
            let mut add = |name: &str, value: String| fields.insert(name.to_owned(), value.into());
            add("t", words.next().unwrap_or_default().to_owned());
            add("hg", format!("{generation:x}"));
            add("seq", format!("{seq:x}"));
            add("from_id", "ipfail".to_owned());
            for (name, value) in words.filter_map(|word| word.split_once('=')) {
                add(name, value.to_owned());
            }
            assert!(self.ours.hear(&fields));
        }

        /// What we say so many ms later, reaching so many.
        fn says(&mut self, later: u64, reached: u32, keeps: bool) -> Vec<String> {
            self.now += later;
            let now = Instant::at(Duration::from_millis(self.now));
            let said = self.ours.speak("a", reached, keeps, now, Duration::from_secs(1));
            let word = |message: &Message| {
                let number = message.text("num_ping").map(|n| format!(" {n}")).unwrap_or_default();
                format!("{}{number}", message.text("t").unwrap_or_default())
            };
            said.iter().map(|(message, _)| word(message)).collect()
        }
    }

    fn balanced() -> Talk {
        let mut talk = Talk { ours: Ipfail::default(), now: 5000, seq: 0 };
        assert_eq!(talk.says(0, 0, true), ["hbapi-clstat"]);
        talk.hears("num_ping_nodes num_ping=1");
        assert!(talk.says(100, 1, true).is_empty(), "what is reached at first is not known yet");
        assert_eq!(talk.says(1000, 1, true), ["num_ping_nodes 1", "abort_giveup"]);
        talk.hears("abort_giveup");
        assert_eq!(talk.ours.reaches, Some(1));
        talk
    }

    #[test]
    fn who_reaches_less_is_told_and_who_reaches_more_is_known() {
        let mut talk = balanced();
        assert!(talk.says(5000, 1, true).is_empty(), "nothing is said twice");
        talk.hears("num_ping_nodes num_ping=0");
        assert!(talk.says(10, 1, true).is_empty(), "ours may be about to go, too");
        assert!(talk.says(900, 1, true).is_empty());
        assert_eq!(talk.says(100, 1, true), ["you_are_dead"]);
        assert!(talk.says(9000, 1, true).is_empty());
        assert_eq!(talk.says(1000, 1, true), ["you_are_dead"], "it still has something");
        assert!(talk.says(20_000, 1, false).is_empty(), "it has given up");
        talk.hears("num_ping_nodes num_ping=1");
        assert_eq!(talk.says(10, 1, false), ["abort_giveup"]);
        assert_eq!(talk.says(10, 0, false), ["num_ping_nodes 0"], "what is lost is told at once");
        talk.hears("you_are_dead");
        assert_eq!(talk.ours.reaches, Some(1));
    }

    #[test]
    fn what_both_lose_moves_nothing() {
        let mut talk = balanced();
        talk.hears("num_ping_nodes num_ping=0");
        assert!(talk.says(10, 1, true).is_empty());
        assert_eq!(talk.says(500, 0, true), ["num_ping_nodes 0"]);
        talk.hears("abort_giveup");
        assert!(talk.says(5000, 0, true).is_empty());
        assert_eq!(talk.ours.reaches, Some(0));
    }

    #[test]
    fn late_words_and_those_of_an_earlier_start_do_not_count() {
        let mut talk = balanced();
        talk.hears_as((1, 1), "num_ping_nodes num_ping=7");
        assert_eq!(talk.ours.reaches, Some(1));
        assert!(talk.says(10, 1, true).is_empty());
        talk.hears_as((2, 1), "hbapi-clstat st=join");
        assert_eq!(talk.ours.reaches, None);
        assert!(talk.says(0, 1, true).is_empty());
        assert_eq!(talk.says(1000, 1, true), ["num_ping_nodes 1"], "it is asked anew");
        talk.hears_as((1, 99), "num_ping_nodes num_ping=7");
        assert_eq!(talk.ours.reaches, None);
        talk.hears_as((2, 2), "hbapi-clstat st=leave");
        assert!(talk.says(5000, 0, true).is_empty(), "nobody is there who would mind");
        let mut other = Map::new();
        other.insert("t".to_owned(), "resource".into());
        assert!(!talk.ours.hear(&other));
    }
}
