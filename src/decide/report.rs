//! What a node says of itself in every heartbeat: which groups it has or wants, and whom it hears.
//!
//! One text field, [`FIELD`], so that a decision never hangs on a message that came once: whoever hears the next
//! heartbeat knows all. A real heartbeat ignores the field. Numbers are hexadecimal:
//!
//! ```text
//! tk=1.DIGEST.GENERATION.VERSION.FLAGS.PINGS;SEEN,SEEN,…;KEYMARK,KEYMARK,…
//! ```
//!
//! SEEN stands for each node in the order of the names: the version of its report that was heard last, `x` where the
//! node is not heard, `-` for the sender itself. KEY is the group's ([`super::cluster::Group::key`]), MARK one letter of
//! [`Mark`], then `o` where an order of an operator put the group there, `~` where the sender doubts that it is still
//! its own. A group that is not listed is none of the sender's business.

use std::fmt::Write;

/// The field of the heartbeat.
pub const FIELD: &str = "tk";

/// The most groups and nodes of a report that is believed.
const MOST: usize = 1024;

/// The version with which a start of a node's heartbeats begins: what was heard of an earlier one is none of its own.
pub const fn first_version(generation: u64) -> u64 {
    (generation & 0xff) << 16
}

/// The start of a node's heartbeats that a version belongs to.
pub const fn life(version: u64) -> u64 {
    version >> 16
}

/// What a node says of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It would start the group, and waits until everybody has heard so.
    Claims,
    /// It starts the group.
    Starts,
    /// It has the group.
    Holds,
    /// It stops the group.
    Releases,
    /// It could not stop the group: parts of it may run.
    Stuck,
    /// It does not have the group, and could not start it.
    Failed,
    /// It does not have the group, and an operator wants it to be elsewhere.
    Declines,
    /// It does not have the group, and an operator wants it to be here.
    Wishes,
}

const LETTERS: [(Mark, char); 8] = [
    (Mark::Claims, 'c'),
    (Mark::Starts, 's'),
    (Mark::Holds, 'h'),
    (Mark::Releases, 'r'),
    (Mark::Stuck, 'x'),
    (Mark::Failed, 'f'),
    (Mark::Declines, 'd'),
    (Mark::Wishes, 'w'),
];

impl Mark {
    fn letter(self) -> char {
        LETTERS.iter().find(|(mark, _)| *mark == self).map_or('?', |(_, letter)| *letter)
    }

    fn of(letter: char) -> Option<Self> {
        LETTERS.iter().find(|(_, l)| *l == letter).map(|(mark, _)| *mark)
    }

    /// Whether the group may run on a node that says this, now or in a moment.
    pub const fn occupies(self) -> bool {
        matches!(self, Self::Claims | Self::Starts | Self::Holds | Self::Releases | Self::Stuck)
    }

    /// Whether the node means to keep it.
    pub const fn keeps(self) -> bool {
        matches!(self, Self::Starts | Self::Holds)
    }
}

/// What a node says of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The group's key.
    pub key: u32,
    /// What.
    pub mark: Mark,
    /// An operator put it there: it does not go back by itself.
    pub ordered: bool,
    /// The node did not run for long: somebody else may rightly have the group by now.
    pub doubtful: bool,
}

/// Whether a node hears another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is the node itself.
    Own,
    /// It does not.
    Deaf,
    /// It does, and has heard its report up to this version.
    Heard(u64),
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of the nodes and groups that it is configured with.
    pub digest: u16,
    /// The generation of its heartbeats as far as whoever decides there knows: an older one speaks of the past.
    pub generation: u64,
    /// Counts the changes of what follows, but for `seen`.
    pub version: u64,
    /// It knows what runs on it, and takes part.
    pub ready: bool,
    /// It is about to leave.
    pub leaving: bool,
    /// The ping nodes that it reaches; none where it has none.
    pub pings: Option<u32>,
    /// For each node in the order of the names.
    pub seen: Vec<Seen>,
    /// The groups that it has something to say of, in the order of its keys.
    pub groups: Vec<Entry>,
}

impl Report {
    /// What it says of a group.
    pub fn entry(&self, key: u32) -> Option<Entry> {
        self.groups.iter().find(|e| e.key == key).copied()
    }

    /// The text of the field.
    pub fn encode(&self) -> String {
        let Self { digest, generation, version, .. } = self;
        let mut text = format!("1.{digest:x}.{generation:x}.{version:x}.");
        text.push_str(match (self.ready, self.leaving) {
            (true, false) => "r",
            (true, true) => "rl",
            (false, true) => "l",
            (false, false) => "-",
        });
        match self.pings {
            Some(n) => drop(write!(text, ".{n:x}")),
            None => text.push_str(".-"),
        }
        for (n, seen) in self.seen.iter().enumerate() {
            text.push(if n == 0 { ';' } else { ',' });
            match seen {
                Seen::Own => text.push('-'),
                Seen::Deaf => text.push('x'),
                Seen::Heard(version) => drop(write!(text, "{version:x}")),
            }
        }
        for (n, entry) in self.groups.iter().enumerate() {
            text.push(if n == 0 { ';' } else { ',' });
            let _ = write!(text, "{:06x}{}", entry.key, entry.mark.letter()); // a String takes everything
            text.push_str(if entry.ordered { "o" } else { "" });
            text.push_str(if entry.doubtful { "~" } else { "" });
        }
        text
    }

    /// Reads it. `None` is what this version does not understand: it must not be guessed at.
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let mut head = parts.next()?.split('.');
        let seen = parts.next()?;
        let groups = parts.next();
        let mut word = || head.next();
        if word()? != "1" || parts.next().is_some() {
            return None;
        }
        let digest = u16::from_str_radix(plain(word()?)?, 16).ok()?;
        let generation = number(word()?)?;
        let version = number(word()?)?;
        let (ready, leaving) = match word()? {
            "r" => (true, false),
            "rl" => (true, true),
            "l" => (false, true),
            "-" => (false, false),
            _ => return None,
        };
        let pings = match word()? {
            "-" => None,
            n => Some(u32::try_from(number(n)?).ok()?),
        };
        if word().is_some() {
            return None;
        }
        let seen = seen.split(',').take(MOST + 1).map(|word| match word {
            "-" => Some(Seen::Own),
            "x" => Some(Seen::Deaf),
            version => number(version).map(Seen::Heard),
        });
        let seen: Vec<Seen> = seen.collect::<Option<_>>()?;
        let groups = groups.map(|groups| groups.split(',').take(MOST + 1).map(entry).collect::<Option<Vec<_>>>());
        let groups = groups.unwrap_or_else(|| Some(Vec::new()))?;
        if seen.len() > MOST || groups.len() > MOST {
            return None;
        }
        Some(Self { digest, generation, version, ready, leaving, pings, seen, groups })
    }
}

/// Digits alone: the standard library would take a sign, too.
fn plain(text: &str) -> Option<&str> {
    text.bytes().all(|b| b.is_ascii_hexdigit()).then_some(text)
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(plain(text)?, 16).ok()
}

fn entry(text: &str) -> Option<Entry> {
    let (key, rest) = text.split_at_checked(6)?;
    let key = u32::try_from(number(key)?).ok()?;
    let mut letters = rest.chars();
    let mark = Mark::of(letters.next()?)?;
    let (ordered, doubtful) = match letters.as_str() {
        "" => (false, false),
        "o" => (true, false),
        "~" => (false, true),
        "o~" => (true, true),
        _ => return None,
    };
    Some(Entry { key, mark, ordered, doubtful })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_entry() -> impl Strategy<Value = Entry> {
        (0_u32..1 << 24, 0..LETTERS.len(), any::<bool>(), any::<bool>())
            .prop_map(|(key, mark, ordered, doubtful)| Entry { key, mark: LETTERS[mark].0, ordered, doubtful })
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        prop_oneof![Just(Seen::Own), Just(Seen::Deaf), any::<u64>().prop_map(Seen::Heard)]
    }

    prop_compose! {
        fn any_report()(
            digest: u16, generation: u64, version: u64, ready: bool, leaving: bool, pings: Option<u32>,
            seen in prop::collection::vec(any_seen(), 1..9), groups in prop::collection::vec(any_entry(), 0..9),
        ) -> Report {
            Report { digest, generation, version, ready, leaving, pings, seen, groups }
        }
    }

    proptest! {
        #[test]
        fn what_is_said_is_understood(report in any_report()) {
            prop_assert_eq!(Report::decode(&report.encode()), Some(report));
        }

        #[test]
        fn nothing_else_makes_it_fall(text in "[0-9a-z.,;~ +-]{0,60}") {
            if let Some(report) = Report::decode(&text) {
                prop_assert_eq!(Report::decode(&report.encode()), Some(report));
            }
        }
    }

    #[test]
    fn a_report_is_short() {
        let groups = vec![Entry { key: 0x1a_2b3c, mark: Mark::Holds, ordered: true, doubtful: false }];
        let seen = vec![Seen::Own, Seen::Heard(0x12)];
        let report = Report {
            digest: 0x3fa1,
            generation: 0x6b00_9ee7,
            version: 4,
            ready: true,
            leaving: false,
            pings: Some(1),
            seen,
            groups,
        };
        assert_eq!(report.encode(), "1.3fa1.6b009ee7.4.r.1;-,12;1a2b3cho");
        for wrong in ["", "2.0.0.0.r.-;-", "1.0.0.0.r.-", "1.0.0.+0.r.-;-", "1.0.0.0.r.-;-;1a2b3c", "1.0.0.0.q.-;-"] {
            assert_eq!(Report::decode(wrong), None, "{wrong}");
        }
    }
}
