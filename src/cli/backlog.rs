//! What a stream has to say while its reader does not read: bounded, and what matters stays longest.
//!
//! Pure: who writes it, and when, is in [`super::output`].

use std::collections::VecDeque;

/// The most lines that wait.
const LINES: usize = 10_000;
/// The most bytes of them.
const BYTES: usize = 8 << 20;

/// Lines that wait to be written, in their order. Where they are too many, the oldest go that only report traffic, and
/// the oldest of all others when there are no such ones; the one that is begun never goes. Gaps in `seq` show it.
#[derive(Debug)]
pub(super) struct Backlog {
    most_lines: usize,
    most_bytes: usize,
    /// Lines that only report traffic, each with its place among all.
    traffic: VecDeque<(u64, Vec<u8>)>,
    /// All others.
    changes: VecDeque<(u64, Vec<u8>)>,
    /// The place of the next line.
    next: u64,
    /// Bytes of the first line that are written.
    begun: usize,
    bytes: usize,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::bounded(LINES, BYTES)
    }
}

impl Backlog {
    fn bounded(most_lines: usize, most_bytes: usize) -> Self {
        let (traffic, changes) = (VecDeque::new(), VecDeque::new());
        Self { most_lines, most_bytes, traffic, changes, next: 0, begun: 0, bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.traffic.len() + self.changes.len()
    }

    /// Adds a line; others, or itself, may have to go for it.
    pub(super) fn push(&mut self, line: Vec<u8>, traffic: bool) {
        self.bytes += line.len();
        let queue = if traffic { &mut self.traffic } else { &mut self.changes };
        queue.push_back((self.next, line));
        self.next += 1;
        while (self.len() > self.most_lines || self.bytes > self.most_bytes) && self.drop_one() {}
    }

    /// Whether there was a line that may go.
    fn drop_one(&mut self) -> bool {
        let first_is_traffic = self.first_is_traffic();
        let begun = |traffic: bool| usize::from(self.begun > 0 && first_is_traffic == traffic);
        let (of_traffic, of_changes) = (begun(true), begun(false));
        let gone = match self.traffic.remove(of_traffic) {
            Some(gone) => Some(gone),
            // The newest of them stays, however long it is.
            None if self.changes.len() > of_changes + 1 => self.changes.remove(of_changes),
            None => None,
        };
        self.bytes -= gone.as_ref().map_or(0, |(_, line)| line.len());
        gone.is_some()
    }

    fn first_is_traffic(&self) -> bool {
        match (self.traffic.front(), self.changes.front()) {
            (Some((traffic, _)), Some((change, _))) => traffic < change,
            (traffic, _) => traffic.is_some(),
        }
    }

    /// What is to be written next: the rest of the first line.
    pub(super) fn front(&self) -> Option<&[u8]> {
        let queue = if self.first_is_traffic() { &self.traffic } else { &self.changes };
        queue.front()?.1.get(self.begun..)
    }

    /// So much of it is written.
    pub(super) fn wrote(&mut self, n: usize) {
        self.begun += n;
        let queue = if self.first_is_traffic() { &mut self.traffic } else { &mut self.changes };
        if let Some((_, line)) = queue.front()
            && self.begun >= line.len()
        {
            self.bytes -= line.len();
            self.begun = 0;
            queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rest(backlog: &mut Backlog) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(line) = backlog.front() {
            let n = line.len().min(4096);
            all.extend_from_slice(&line[..n]);
            backlog.wrote(n);
        }
        assert_eq!((backlog.bytes, backlog.begun, backlog.len()), (0, 0, 0));
        all
    }

    #[test]
    fn a_death_outlives_a_flood() {
        let mut backlog = Backlog::default();
        backlog.push(b"up\n".to_vec(), false);
        (0..5000).for_each(|n| backlog.push(format!("{n}\n").into_bytes(), true));
        backlog.push(b"dead\n".to_vec(), false);
        (5000..20_000).for_each(|n| backlog.push(format!("{n}\n").into_bytes(), true));
        assert_eq!(backlog.len(), LINES);
        let text = String::from_utf8(rest(&mut backlog)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1], lines[2]), (LINES, "up", "dead", "10002"));
        assert_eq!(lines[LINES - 1], "19999");
    }

    #[test]
    fn changes_push_changes_out_and_long_lines_take_no_memory() {
        let mut backlog = Backlog::default();
        (0..LINES + 5).for_each(|n| backlog.push(format!("{n}\n").into_bytes(), false));
        backlog.push(b"traffic\n".to_vec(), true);
        assert_eq!(backlog.len(), LINES, "what only reports traffic has no place there");
        assert_eq!(backlog.front(), Some(&b"5\n"[..]));
        let mut backlog = Backlog::default();
        backlog.push(b"dead\n".to_vec(), false);
        (0..100).for_each(|_| backlog.push(vec![b'x'; 1 << 20], true));
        assert!(backlog.bytes <= BYTES && backlog.len() == 8, "{}", backlog.len());
        backlog.push(vec![b'y'; BYTES + 1], false);
        assert_eq!((backlog.len(), backlog.front().unwrap()[0]), (1, b'y'), "the newest stays");
    }

    proptest! {
        #[test]
        fn lines_are_whole_and_in_their_order(steps in prop::collection::vec((0u8..3, 1usize..600), 1..100)) {
            let mut backlog = Backlog::bounded(12, 2000);
            let (mut written, mut said) = (Vec::new(), 0u32);
            for (step, n) in steps {
                if step == 2 {
                    if let Some(line) = backlog.front() {
                        let n = n.min(line.len());
                        written.extend_from_slice(&line[..n]);
                        backlog.wrote(n);
                    }
                } else {
                    // A line is its number, as often as fits into its length.
                    let line = format!("{said} ").repeat(n / 8 + 1);
                    backlog.push(format!("{}\n", line.trim_end()).into_bytes(), step == 0);
                    said += 1;
                }
                let longest = backlog.traffic.iter().chain(&backlog.changes).map(|(_, l)| l.len()).max().unwrap_or(0);
                prop_assert!(backlog.bytes <= 2000 + longest && backlog.len() <= 13);
            }
            written.extend(rest(&mut backlog));
            let text = String::from_utf8(written).unwrap();
            let mut last = None;
            for line in text.lines() {
                let (first, same) = (line.split(' ').next(), line.split(' ').all(|w| Some(w) == line.split(' ').next()));
                let number: Option<u32> = first.and_then(|w| w.parse().ok());
                prop_assert!(same && number.is_some() && number > last, "{:.80}", line);
                last = number;
            }
        }
    }
}
