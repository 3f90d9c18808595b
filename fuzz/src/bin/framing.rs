//! The bytes of a serial line, as noise, glitches and half messages leave them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use takeover::heartbeat::wire::MAX_MESSAGE;
use takeover::heartbeat::wire::framing::{Frame, Framer};

fuzz_target!(|data: &[u8]| {
    // The first byte says how the stream is cut.
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = frames(stream.chunks(stream.len().max(1)), stream);
    assert_eq!(frames(stream.chunks(usize::from(*cut).max(1)), stream), whole);

    // Whatever came before, the next message is found, and so is the one after it.
    let message = b">>>\nt=status\n<<<\n";
    let mut framer = Framer::new();
    framer.push(stream, &mut |_| {});
    for _ in 0..2 {
        let mut found = false;
        framer.push(message, &mut |frame| found |= frame == Frame::Message(message));
        assert!(found);
    }
});

/// The messages and the noise, whose sizes must add up to what came.
fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>, stream: &[u8]) -> Vec<Result<Vec<u8>, usize>> {
    let (mut framer, mut frames, mut told) = (Framer::new(), Vec::new(), 0);
    for piece in pieces {
        framer.push(piece, &mut |frame| match frame {
            Frame::Message(bytes) => {
                assert!(bytes.len() <= MAX_MESSAGE && !bytes.contains(&b'\r'));
                assert!(bytes.starts_with(b">>>\n") && bytes.ends_with(b"\n<<<\n"));
                told += bytes.len();
                frames.push(Ok(bytes.to_vec()));
            }
            Frame::Noise(count) => {
                assert!(count > 0);
                told += count;
                frames.push(Err(count));
            }
        });
    }
    // A message whose last line had noise on it lost its newline to the noise, and was given one.
    let glued = frames.iter().filter(|f| f.is_ok()).count();
    assert!(told <= stream.len() + glued);
    frames
}
