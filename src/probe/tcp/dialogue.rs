//! What is said over a connection: a service's own words, or those that the caller gave. Pure: bytes in, bytes out.

use regex::bytes::Regex;

use crate::probe::Judgement;

/// How much a service may say before it has said what is waited for, in bytes.
pub const MOST_HEARD: usize = 64 * 1024;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing until the other side has said more.
    Listen,
    /// This is to be said, and then the dialogue is to be asked again.
    Say(Vec<u8>),
    /// It is known; this is said before the connection is closed, without waiting for an answer.
    Done(Judgement, Vec<u8>),
}

impl Turn {
    /// Known, and nothing more to say.
    pub fn known(judgement: Judgement) -> Self {
        Self::Done(judgement, Vec::new())
    }
}

/// Our side of a conversation with one service, from the connection to the verdict.
pub trait Dialogue: std::fmt::Debug {
    /// What comes next, given what was heard and not yet taken: it takes what it understood out of `heard`, and is asked
    /// again whenever there is more. The first call comes with the connection, when nothing was heard.
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn;

    /// What is waited for, in words that follow "waits for".
    fn awaits(&self) -> &'static str;

    /// The other side has closed, with this much heard that was not understood: what that means.
    fn closed(&mut self, heard: &[u8]) -> Judgement {
        if heard.is_empty() {
            Judgement::down("closed", format!("the service closed the connection in place of {}", self.awaits()))
        } else {
            let said = shown(heard);
            Judgement::down("wrong-answer", format!("the service closed after '{said}', in place of {}", self.awaits()))
        }
    }
}

/// One step of a dialogue in text.
#[derive(Clone, Debug)]
pub enum Step {
    /// Something that matches has to occur in what is heard.
    Expect(Regex),
    /// The next line, or the next that begins with the word, has to match.
    Line(Option<&'static str>, Regex),
    /// This is said.
    Say(Vec<u8>),
}

/// A dialogue in text, step by step.
#[derive(Clone, Debug)]
pub struct Text {
    steps: std::vec::IntoIter<Step>,
    now: Option<Step>,
    parting: &'static [u8],
    greeted: bool,
    said: String,
}

impl Text {
    /// These steps; after the last one the service is up, and is told `parting`.
    pub fn new(steps: Vec<Step>, parting: &'static [u8]) -> Self {
        let mut steps = steps.into_iter();
        Self { now: steps.next(), steps, parting, greeted: false, said: String::new() }
    }

    fn heard_it(&mut self, words: &[u8]) {
        self.greeted = true;
        self.said = shown(words);
        self.now = self.steps.next();
    }
}

impl Dialogue for Text {
    fn next(&mut self, heard: &mut Vec<u8>) -> Turn {
        loop {
            match self.now.take() {
                None if self.greeted => {
                    return Turn::Done(Judgement::up(format!("it said '{}'", self.said)), self.parting.to_vec());
                }
                None => return Turn::Done(Judgement::up("it accepts connections"), self.parting.to_vec()),
                Some(Step::Say(words)) => {
                    self.now = self.steps.next();
                    return Turn::Say(words);
                }
                Some(Step::Expect(pattern)) => {
                    if let Some(found) = pattern.find(heard).map(|m| m.range()) {
                        let words = heard[found.clone()].to_vec();
                        heard.drain(..found.end);
                        self.heard_it(&words);
                        continue;
                    }
                    let turn = too_much(heard, &pattern);
                    self.now = Some(Step::Expect(pattern));
                    return turn.unwrap_or(Turn::Listen);
                }
                Some(Step::Line(word, pattern)) => {
                    let Some(end) = heard.iter().position(|b| *b == b'\n') else {
                        let turn = too_much(heard, &pattern);
                        self.now = Some(Step::Line(word, pattern));
                        return turn.unwrap_or(Turn::Listen);
                    };
                    let line: Vec<u8> = heard.drain(..=end).collect();
                    if word.is_some_and(|word| !line.starts_with(word.as_bytes())) {
                        self.now = Some(Step::Line(word, pattern));
                    } else if pattern.is_match(&line) {
                        self.heard_it(&line);
                    } else {
                        return Turn::Done(unexpected(&line, &pattern), self.parting.to_vec());
                    }
                }
            }
        }
    }

    fn awaits(&self) -> &'static str {
        if self.greeted { "its answer" } else { "its greeting" }
    }
}

fn too_much(heard: &[u8], pattern: &Regex) -> Option<Turn> {
    let kept = MOST_HEARD >> 10;
    (heard.len() >= MOST_HEARD).then(|| {
        let cause = format!("nothing in the first {kept} KiB of what it says matches {pattern}");
        Turn::known(Judgement::cannot_tell("answer-too-long", cause))
    })
}

/// What was said does not match.
fn unexpected(line: &[u8], pattern: &Regex) -> Judgement {
    Judgement::down("wrong-answer", format!("it said '{}', which does not match {pattern}", shown(line)))
}

/// What a service said, short and without control characters.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let text = text.trim_end();
    text.chars().map(|c| if c.is_control() { '·' } else { c }).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Verdict;
    use proptest::prelude::*;

    fn re(text: &str) -> Regex {
        Regex::new(text).unwrap()
    }

    fn smtp() -> Text {
        Text::new(vec![Step::Line(None, re("^220[ -]"))], b"QUIT\r\n")
    }

    #[test]
    fn a_greeting_in_pieces() {
        let mut dialogue = smtp();
        let mut heard = Vec::new();
        for piece in [&b"22"[..], b"0 mail.exa", b"mple ESMTP"] {
            heard.extend_from_slice(piece);
            assert_eq!(dialogue.next(&mut heard), Turn::Listen);
        }
        heard.extend_from_slice(b"\r\nmore");
        let up = Judgement::up("it said '220 mail.example ESMTP'");
        assert_eq!(dialogue.next(&mut heard), Turn::Done(up, b"QUIT\r\n".to_vec()));
    }

    #[test]
    fn a_refusal_is_known_at_once() {
        let mut heard = b"554 go away\r\n".to_vec();
        let Turn::Done(judgement, _) = smtp().next(&mut heard) else { panic!() };
        assert_eq!((judgement.verdict, judgement.reason), (Verdict::Down, "wrong-answer"));
        assert!(judgement.cause.contains("554 go away"), "{}", judgement.cause);
    }

    #[test]
    fn steps_in_their_order() {
        let steps = vec![Step::Expect(re("ready")), Step::Say(b"ping".to_vec()), Step::Line(Some("a "), re("^a OK"))];
        let mut dialogue = Text::new(steps, b"");
        let mut heard = Vec::new();
        assert_eq!(dialogue.next(&mut heard), Turn::Listen);
        heard.extend_from_slice(b"we are ready* other\n");
        assert_eq!(dialogue.next(&mut heard), Turn::Say(b"ping".to_vec()));
        assert_eq!(dialogue.next(&mut heard), Turn::Listen);
        heard.extend_from_slice(b"* more\na OK done\n");
        assert_eq!(dialogue.next(&mut heard), Turn::known(Judgement::up("it said 'a OK done'")));
    }

    #[test]
    fn no_steps_need_only_a_connection() {
        assert!(matches!(Text::new(vec![], b"").next(&mut vec![]), Turn::Done(j, _) if j.verdict == Verdict::Up));
    }

    #[test]
    fn silence_and_nonsense_at_the_end() {
        assert_eq!(smtp().closed(b"").reason, "closed");
        assert_eq!(smtp().closed(b"22").reason, "wrong-answer");
        let mut heard = vec![b'x'; MOST_HEARD];
        assert!(matches!(smtp().next(&mut heard), Turn::Done(j, _) if j.verdict == Verdict::CannotTell));
    }

    proptest! {
        /// However the bytes are cut, the end is the same.
        #[test]
        fn pieces_do_not_matter(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'2'), Just(b'0'), Just(b' ')], 0..30),
                                cut in 0usize..30) {
            let run = |pieces: &[&[u8]]| {
                let (mut dialogue, mut heard) = (smtp(), Vec::new());
                let mut end = None;
                for piece in pieces {
                    heard.extend_from_slice(piece);
                    if end.is_none() && let Turn::Done(judgement, _) = dialogue.next(&mut heard) { end = Some(judgement) }
                }
                end
            };
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(run(&[&bytes]), run(&[a, b]));
        }
    }
}
