//! Messages in the stream of a serial line: bytes in, frames out, whatever stands or is missing between them.

use super::{MAX_MESSAGE, classic};

/// What was found in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// From `>>>\n` to `<<<\n`, both included, carriage returns dropped. Nothing in it was verified.
    Message(&'a [u8]),
    /// That many bytes, carriage returns not counted, belonged to no message.
    Noise(usize),
}

/// Noise is told of after each of its lines, or after that many bytes.
const NOISE_AT_ONCE: usize = 4096;

/// Finds messages in a stream that may begin, break and go wrong anywhere.
///
/// A line glitch swallows bytes or puts some in, newlines among them. So:
///
/// - `>>>` at the end of a line of noise begins a message, and on a line of its own always does: what of another
///   message went before it is noise.
/// - `>>>` at the end of a line *within* a message is where a cut-off message and a whole one were glued together, if a
///   line with a type (`t=`) follows; else it is the end of a value.
/// - A line that begins with `<<<` and has no `=` ends a message; what else stands on it is noise.
///
/// Memory is bounded by [`MAX_MESSAGE`]. How the stream is cut into pieces makes no difference.
#[derive(Debug, Default)]
pub struct Framer {
    /// A message so far, from its `>>>\n` on; empty between messages.
    message: Vec<u8>,
    /// Where its last line begins.
    line: usize,
    /// Between messages: bytes of noise that were not told of.
    noise: usize,
    /// How many `>` the noise ends with, up to 3.
    marks: usize,
}

const MARK: &[u8] = b">>>";

impl Framer {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the stream, and calls `each` with every frame that is complete with them.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Frame<'_>)) {
        for byte in bytes.iter().copied().filter(|b| *b != b'\r') {
            if self.message.is_empty() {
                self.between(byte, each);
            } else {
                self.within(byte, each);
            }
        }
    }

    /// A byte between messages.
    fn between(&mut self, byte: u8, each: &mut dyn FnMut(Frame<'_>)) {
        if byte == b'\n' && self.marks == MARK.len() {
            self.tell_noise(self.noise - MARK.len(), each);
            self.begin();
            return;
        }
        self.noise += 1;
        self.marks = if byte == b'>' { (self.marks + 1).min(MARK.len()) } else { 0 };
        if byte == b'\n' {
            self.tell_noise(self.noise, each);
        } else if self.noise >= NOISE_AT_ONCE {
            // The marks may turn out to begin a message.
            self.tell_noise(self.noise - self.marks, each);
        }
    }

    /// A byte of a message.
    fn within(&mut self, byte: u8, each: &mut dyn FnMut(Frame<'_>)) {
        self.message.push(byte);
        if byte == b'\n' {
            let line = &self.message[self.line..self.message.len() - 1];
            if line == MARK {
                each(Frame::Noise(self.line));
                self.begin();
            } else if line.starts_with(b"<<<") && !line.contains(&b'=') {
                self.end(each);
            } else {
                self.line = self.message.len();
            }
        }
        if self.message.len() > MAX_MESSAGE {
            self.abandon(each);
        }
    }

    /// The last line ends the message.
    fn end(&mut self, each: &mut dyn FnMut(Frame<'_>)) {
        let mut message = std::mem::take(&mut self.message);
        let rest = message.split_off(self.line + classic::END.len() - 1);
        message.push(b'\n');
        let start = glued(&message);
        self.tell_noise(start, each);
        each(Frame::Message(&message[start..]));
        if rest != b"\n" {
            rest.iter().for_each(|byte| self.between(*byte, each));
        }
        // A line needs no new memory each time.
        if self.message.is_empty() {
            message.clear();
            self.message = message;
        }
    }

    /// No message is that long.
    fn abandon(&mut self, each: &mut dyn FnMut(Frame<'_>)) {
        let marks = self.message.iter().rev().take(MARK.len()).take_while(|b| **b == b'>').count();
        each(Frame::Noise(self.message.len() - marks));
        // Noise may follow for long: the memory goes back.
        self.message = Vec::new();
        (self.noise, self.marks) = (marks, marks);
    }

    fn begin(&mut self) {
        self.message.clear();
        self.message.extend_from_slice(classic::START);
        self.line = self.message.len();
        (self.noise, self.marks) = (0, 0);
    }

    /// Tells of so many of the bytes of noise.
    fn tell_noise(&mut self, count: usize, each: &mut dyn FnMut(Frame<'_>)) {
        if count > 0 {
            each(Frame::Noise(count));
        }
        self.noise = self.noise.saturating_sub(count);
    }
}

/// Where in this message, from its own `>>>` on, the last one begins that was glued to a part of another.
fn glued(message: &[u8]) -> usize {
    let (mut start, mut maybe, mut at) = (0, None, classic::START.len());
    for line in message[at..].split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"t=") {
            start = maybe.take().unwrap_or(start);
        }
        at += line.len();
        if line.ends_with(classic::START) {
            maybe = Some(at - classic::START.len());
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames with their bytes, so that they can be kept.
    #[derive(Debug, PartialEq, Eq)]
    enum Kept {
        Message(String),
        Noise(usize),
    }

    fn frames(pieces: &[&[u8]]) -> Vec<Kept> {
        let (mut framer, mut kept) = (Framer::new(), Vec::new());
        for piece in pieces {
            framer.push(piece, &mut |frame| {
                kept.push(match frame {
                    Frame::Message(bytes) => Kept::Message(String::from_utf8_lossy(bytes).into_owned()),
                    Frame::Noise(count) => Kept::Noise(count),
                });
            });
        }
        kept
    }

    fn message(text: &str) -> Kept {
        Kept::Message(format!(">>>\n{text}<<<\n"))
    }

    #[test]
    fn messages_follow_each_other() {
        let stream = b">>>\nt=a\n<<<\n>>>\r\nt=b\r\n<<<\r\n\0>>>\nt=c\n<<<\n";
        let expected = vec![message("t=a\n"), message("t=b\n"), Kept::Noise(1), message("t=c\n")];
        assert_eq!(frames(&[stream]), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&bytes), expected);
    }

    #[test]
    fn noise_costs_no_message() {
        assert_eq!(frames(&[b"\xff\xfe\n=x<<<\n>>>\nt=a\n<<<\n"]), [Kept::Noise(3), Kept::Noise(6), message("t=a\n")]);
        assert_eq!(frames(&[b"\xff\x00>>>>>\nt=a\n<<<\n"]), [Kept::Noise(4), message("t=a\n")]);
        assert_eq!(
            frames(&[b">>>\nt=a\n<<<\x80>>>\nt=b\n<<<\n"]),
            [message("t=a\n"), Kept::Noise(1), message("t=b\n")]
        );
        assert_eq!(frames(&[b">>>\nt=a\n<<<>>>\nt=b\n<<<?\n"]), [message("t=a\n"), message("t=b\n"), Kept::Noise(2)]);
    }

    #[test]
    fn half_a_message_costs_itself_alone() {
        assert_eq!(frames(&[b">>>\nt=a\nst=x\n>>>\nt=b\n<<<\n"]), [Kept::Noise(13), message("t=b\n")]);
        // Cut within a line, and gone on with a whole message: unplugged and plugged in again.
        assert_eq!(frames(&[b">>>\nt=a\nst=ac>>>\nt=b\n<<<\n"]), [Kept::Noise(13), message("t=b\n")]);
        assert_eq!(frames(&[b">>>\nt=a\n>>>>\nt=b\nx=y>>>\nt=c\n<<<\n"]), [Kept::Noise(20), message("t=c\n")]);
        assert_eq!(frames(&[b">>>\nt=>>>\nt=b\n<<<\n"]), [Kept::Noise(6), message("t=b\n")]);
    }

    #[test]
    fn a_value_may_end_as_a_message_begins() {
        assert_eq!(frames(&[b">>>\nt=a\nx=>>>\n<<<=\n<<<\n"]), [message("t=a\nx=>>>\n<<<=\n")]);
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let mut stream = b">>>\nt=".to_vec();
        stream.resize(MAX_MESSAGE - 1, b'x');
        stream.extend_from_slice(b">>>\nt=b\n<<<\n");
        assert_eq!(frames(&[&stream]), [Kept::Noise(MAX_MESSAGE - 1), message("t=b\n")]);
        // The largest that there may be is still one.
        let mut largest = b">>>\nt=".to_vec();
        largest.resize(MAX_MESSAGE - 5, b'x');
        largest.extend_from_slice(b"\n<<<\n");
        assert!(matches!(&frames(&[&largest])[..], [Kept::Message(m)] if m.len() == MAX_MESSAGE));
        let noise = vec![b'>'; 3 * NOISE_AT_ONCE];
        let told: usize = frames(&[&noise]).iter().map(|f| if let Kept::Noise(n) = f { *n } else { 0 }).sum();
        assert!(told <= noise.len() - 3 && told > noise.len() - NOISE_AT_ONCE, "{told}");
    }
}
