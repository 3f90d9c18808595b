//! Lines that come in, read only when there is something, so that whoever writes them holds nothing up.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::read;

/// A line longer than the longest heartbeat message is not read to its end.
pub const LONGEST: usize = 1024 * 1024;
/// Lines that wait; more is not read while they do.
const MOST: usize = 256;

/// The lines of one descriptor.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    lines: VecDeque<Result<Vec<u8>, String>>,
    /// A line that is too long is passed over to its end.
    passing: bool,
    ended: bool,
    /// Why it ended, where that was not because there is no more.
    error: Option<Errno>,
}

impl Lines {
    /// Whether there is room for more, and there may be more.
    pub fn wants_more(&self) -> bool {
        !self.ended && self.lines.len() < MOST
    }

    /// Whether the last line was taken.
    pub fn exhausted(&self) -> bool {
        self.ended && self.lines.is_empty()
    }

    /// What kept the rest from being read, if anything did.
    pub fn error(&self) -> Option<Errno> {
        self.error
    }

    /// Whether a line was read that is not taken.
    pub fn waiting(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Reads what is there; only to be called when there is something.
    pub fn fill(&mut self, from: impl AsFd) {
        let mut buffer = [0; 65536];
        match read(from.as_fd(), &mut buffer) {
            Ok(0) => self.end(),
            Ok(n) => self.take(&buffer[..n]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => {
                self.lines.push_back(Err(format!("the input cannot be read: {}", errno.desc())));
                self.error = Some(errno);
                self.end();
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.lines.push_back(Ok(rest));
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            if !std::mem::take(&mut self.passing) {
                self.rest.extend_from_slice(line);
                let line = std::mem::take(&mut self.rest);
                self.lines.push_back(if line.len() > LONGEST { Err(too_long()) } else { Ok(line) });
            }
            bytes = after;
        }
        if !self.passing {
            self.rest.extend_from_slice(bytes);
            if self.rest.len() > LONGEST {
                self.rest = Vec::new();
                self.passing = true;
                self.lines.push_back(Err(too_long()));
            }
        }
    }

    /// The next line, or what is wrong with it.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, String>> {
        self.lines.pop_front()
    }
}

fn too_long() -> String {
    format!("a line of the input is longer than {LONGEST} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_one_without_end_takes_no_memory() {
        let mut input = Lines::default();
        input.take(b"{\"a\"");
        assert_eq!(input.next_line(), None);
        input.take(b":1}\nsecond\nthi");
        for _ in 0..40 {
            input.take(&[b'x'; 65536]);
            assert!(input.rest.len() <= LONGEST + 65536);
        }
        input.take(b"end\nafter\nlast");
        input.end();
        let lines: Vec<_> = std::iter::from_fn(|| input.next_line()).collect();
        let line = |text: &str| Ok(text.as_bytes().to_vec());
        assert_eq!(lines, [line("{\"a\":1}"), line("second"), Err(too_long()), line("after"), line("last")]);
        assert!(input.exhausted());
    }

    #[test]
    fn an_end_that_is_none_is_remembered() {
        let mut folder = Lines::default();
        folder.fill(std::fs::File::open("/").unwrap());
        assert!(folder.next_line().is_some_and(|line| line.is_err()));
        assert_eq!((folder.exhausted(), folder.error()), (true, Some(Errno::EISDIR)));
        let mut empty = Lines::default();
        empty.fill(std::fs::File::open("/dev/null").unwrap());
        assert_eq!((empty.exhausted(), empty.error()), (true, None));
    }
}
