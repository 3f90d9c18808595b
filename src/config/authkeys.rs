//! authkeys: which keys are accepted, and which one signs what is sent.
//!
//! `auth N` comes first, then `N method [key]` a line, N from 0 to 15. heartbeat 3.0.6 reads the first word behind the
//! method as the key, `#` included, ignores the rest, and lets the last of two equal lines win; so do we, and say so.
//!
//! Nothing of a line but its number ever goes into a message: any word of a malformed line may be a key.

use std::fmt;
use std::path::Path;

use super::Parsed;
use super::text::Problems;
use crate::heartbeat::wire::authentication::{Key, Keyring, Method};

/// The bytes of a key, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes, for signing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 0 to [`Key::MAX_INDEX`].
    pub index: u8,
    /// How it makes digests.
    pub method: Method,
    /// Empty for crc.
    pub secret: Secret,
    /// The line it stands in.
    pub line: u32,
}

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthKeys {
    /// The keys in the order of their lines, one an index.
    pub keys: Vec<Entry>,
    /// The index of the key that signs. In a file without an error it is the index of one of [`Self::keys`].
    pub sending: u8,
}

impl AuthKeys {
    /// The key that signs.
    pub fn sender(&self) -> Option<&Entry> {
        self.keys.iter().find(|k| k.index == self.sending)
    }

    /// The keys, ready for use; none where the one that signs is missing, as it may be in a file with an error.
    pub fn keyring(&self) -> Option<Keyring> {
        let keys = self.keys.iter().map(|k| Key::new(k.index, k.method, k.secret.bytes()));
        Keyring::new(keys.collect(), self.sending)
    }
}

const FORM: &str = "write: NUMBER METHOD KEY, with a number from 0 to 15 and the method sha1, md5, crc or sha256";

/// Reads the text of an authkeys file.
pub fn parse(file: &Path, text: &[u8]) -> Parsed<AuthKeys> {
    let mut problems = Problems::new(file);
    let mut content = AuthKeys::default();
    let mut sending: Option<(u8, u32)> = None;
    for (line, raw) in (1u32..).zip(text.split(|b| *b == b'\n')) {
        let words: Vec<&[u8]> = raw.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with(b"#") => {}
            [b"auth", rest @ ..] => auth(line, rest, &content, &mut sending, &mut problems),
            [index, method, rest @ ..] => {
                if sending.is_none() && content.keys.is_empty() {
                    problems.error(
                        line,
                        "a key stands before the line that says which one signs",
                        "write auth N as the first line: heartbeat reads no key that comes before it",
                    );
                }
                if let Some(entry) = key(line, index, method, rest, &mut problems) {
                    add(entry, &mut content, &mut problems);
                }
            }
            [_] => problems.error(line, "one word alone is no key", FORM),
        }
    }
    match sending {
        None => problems.error(None, "no line says which key signs", "write auth N as the first line"),
        Some((index, line)) => {
            content.sending = index;
            if content.sender().is_none() {
                problems.error(line, format!("there is no key {index}, which is to sign"), FORM);
            }
        }
    }
    Parsed { content, problems: problems.sorted() }
}

fn auth(line: u32, rest: &[&[u8]], content: &AuthKeys, sending: &mut Option<(u8, u32)>, problems: &mut Problems) {
    let Some(index) = rest.first().and_then(|w| number(w)) else {
        problems.error(line, "auth without the number of a key", "write auth and a number from 0 to 15: auth 1");
        return;
    };
    if rest.get(1).is_some_and(|w| !w.starts_with(b"#")) {
        problems.warning(line, "there is more than a number behind auth", "the rest is ignored: leave it out");
    }
    if let Some((_, before)) = sending {
        problems.warning(
            line,
            format!("auth stands in line {before} already"),
            "the last one counts: leave the other out",
        );
    } else if !content.keys.is_empty() {
        problems.error(line, "auth does not come first", "move the line to the top: heartbeat insists");
    }
    *sending = Some((index, line));
}

fn key(line: u32, index: &[u8], method: &[u8], rest: &[&[u8]], problems: &mut Problems) -> Option<Entry> {
    let Some(index) = number(index) else {
        problems.error(line, "the line begins with no number from 0 to 15", FORM);
        return None;
    };
    let Some(method) = std::str::from_utf8(method).ok().and_then(|m| m.parse().ok()) else {
        problems.error(line, format!("the method of key {index} is not known"), FORM);
        return None;
    };
    let secret = match (method, rest) {
        (Method::Crc, []) => Vec::new(),
        (Method::Crc, [comment, ..]) if comment.starts_with(b"#") => {
            problems.warning(
                line,
                format!("heartbeat takes the comment behind key {index} for a key, and refuses the file"),
                "give the comment a line of its own",
            );
            Vec::new()
        }
        (Method::Crc, _) => {
            problems.error(line, format!("key {index} has the method crc, which takes no key"), "write N crc alone");
            return None;
        }
        (_, []) => {
            problems.error(line, format!("key {index} has a method but no key"), FORM);
            return None;
        }
        (_, [secret, rest @ ..]) => {
            if rest.first().is_some_and(|w| !w.starts_with(b"#")) {
                problems.warning(
                    line,
                    format!("key {index} has more than one word: only the first is the key"),
                    "write a key without blanks, as heartbeat reads no more than one word",
                );
            }
            secret.to_vec()
        }
    };
    Some(Entry { index, method, secret: Secret(secret), line })
}

/// The last of two keys with one index counts, as in heartbeat.
fn add(entry: Entry, content: &mut AuthKeys, problems: &mut Problems) {
    if let Some(before) = content.keys.iter().position(|k| k.index == entry.index) {
        let before = content.keys.remove(before);
        problems.warning(
            entry.line,
            format!("key {} stands in line {} already", entry.index, before.line),
            "the last one counts: leave the other out, or give it a number of its own",
        );
    }
    content.keys.push(entry);
}

fn number(word: &[u8]) -> Option<u8> {
    let digits = (1..=2).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok().filter(|n| *n <= Key::MAX_INDEX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity::{self, Error, Warning};
    use proptest::prelude::*;

    type Keys = Vec<(u8, &'static str, String)>;

    fn read(text: &str) -> (Keys, u8, Vec<(Option<u32>, Severity)>) {
        let parsed = parse(Path::new("/authkeys"), text.as_bytes());
        for problem in &parsed.problems {
            assert!(!problem.what.is_empty() && !problem.hint.is_empty());
        }
        let text = |k: &Entry| String::from_utf8(k.secret.bytes().to_vec()).unwrap();
        let keys = parsed.content.keys.iter().map(|k| (k.index, k.method.name(), text(k))).collect();
        let problems = parsed.problems.iter().map(|p| (p.line, p.severity)).collect();
        (keys, parsed.content.sending, problems)
    }

    #[test]
    fn files_that_heartbeat_takes() {
        let hi = || vec![(1, "sha1", "hi".to_owned())];
        for (text, keys, sending, problems) in [
            ("auth 1\n1 sha1 hi\n", hi(), 1, vec![]),
            ("auth 1\n1 sha1 hi", hi(), 1, vec![]),
            ("# two\n\n  auth\t1 # now\n   1 sha1 hi # until March\r\n", hi(), 1, vec![]),
            ("auth 1\r\n1 sha1 hi\r\n", hi(), 1, vec![]),
            ("auth 2\n1 sha1 hi\n2 crc\n", vec![(1, "sha1", "hi".into()), (2, "crc", String::new())], 2, vec![]),
            ("auth 0\n0 md5 a#b\n", vec![(0, "md5", "a#b".into())], 0, vec![]),
            ("auth 15\n15 sha256 x\n", vec![(15, "sha256", "x".into())], 15, vec![]),
            // The last one wins there too.
            ("auth 1\n1 sha1 no\n1 sha1 hi\n", hi(), 1, vec![(Some(3), Warning)]),
            ("auth 2\n1 sha1 hi\nauth 1\n", hi(), 1, vec![(Some(3), Warning)]),
            ("auth 1 2\n1 sha1 hi\n", hi(), 1, vec![(Some(1), Warning)]),
            ("auth 1\n1 sha1 hi there\n", hi(), 1, vec![(Some(2), Warning)]),
        ] {
            assert_eq!(read(text), (keys, sending, problems), "{text:?}");
        }
    }

    #[test]
    fn files_that_it_refuses() {
        for (text, problems) in [
            ("", vec![(None, Error)]),
            ("# nothing\n", vec![(None, Error)]),
            ("1 sha1 hi\nauth 1\n", vec![(Some(1), Error), (Some(2), Error)]),
            ("auth 2\n1 sha1 hi\n", vec![(Some(1), Error)]),
            ("auth\n1 sha1 hi\n", vec![(Some(1), Error), (Some(2), Error), (None, Error)]),
            ("auth 16\n16 sha1 hi\n", vec![(Some(1), Error), (Some(2), Error), (Some(2), Error), (None, Error)]),
            ("auth 1\n1 sha1\n", vec![(Some(1), Error), (Some(2), Error)]),
            ("auth 1\n1 SHA1 hi\n", vec![(Some(1), Error), (Some(2), Error)]),
            ("AUTH 1\n1 sha1 hi\n", vec![(Some(1), Error), (Some(1), Error), (Some(2), Error), (None, Error)]),
            ("auth 1\nhi\n1 sha1 hi\n", vec![(Some(2), Error)]),
            ("auth 1\n1 sha1 hi\n-1 sha1 hi\n2sha1 hi\n", vec![(Some(3), Error), (Some(4), Error)]),
            ("auth 1\n1 crc hi\n", vec![(Some(1), Error), (Some(2), Error)]),
            ("auth 1\n1 crc # hi\n", vec![(Some(2), Warning)]), // it does; but what is meant is clear
        ] {
            assert_eq!(read(text).2, problems, "{text:?}");
        }
    }

    /// Whatever is wrong with a line, no word of it is repeated.
    #[test]
    fn keys_stay_secret() {
        for text in [
            "auth 1\n1 sha1 Hunter2",
            "Hunter2",
            "auth Hunter2",
            "auth 1 Hunter2\n1 crc Hunter2",
            "1 Hunter2",
            "auth 1\nHunter2 sha1",
            "auth 1\n1 sha1 x Hunter2\n1 sha1 Hunter2",
        ] {
            let parsed = parse(Path::new("/authkeys"), text.as_bytes());
            assert!(!format!("{parsed:?} {:?}", parsed.problems).contains("Hunter2"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a0-9#]{0,3}[ \\n]?(auth|sha1|crc|1|x)?[ \\n]){0,12}|\\PC{0,80}") {
            let lines = text.split('\n').count() as u32;
            let parsed = parse(Path::new("f"), text.as_bytes());
            for problem in &parsed.problems {
                prop_assert!(problem.line.is_none_or(|l| (1..=lines).contains(&l)));
            }
            if let Ok(good) = parsed.usable() {
                prop_assert!(good.content.sender().is_some());
                prop_assert!(good.content.keyring().is_some());
            }
        }
    }
}
