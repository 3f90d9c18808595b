//! A small HTTP server for tests: it answers well, late, wrongly or not at all, to many at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;
use nix::libc::linger;
use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::json;
use takeover::cli::wait::Waiter;
use takeover::clock::{self, Instant};

use crate::Manner;
use crate::meter;

/// A request head longer than this is refused by closing.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long to wait for the other side to close after the answer.
const LINGER: Duration = Duration::from_secs(2);

/// The answer that every request gets.
fn answer(manner: &Manner) -> Vec<u8> {
    if manner.garbage {
        return b"\x16\x03\x01\x00 this is not the protocol that you are looking for\n".to_vec();
    }
    let Manner { status, body, .. } = manner;
    let length = body.len();
    format!(
        "HTTP/1.0 {status} As told\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How far a connection is.
enum State {
    /// Reading the head of the request: its last bytes, and how many there were.
    Reading { tail: [u8; 4], length: usize },
    /// So much of the answer is out, since the answer began.
    Writing { sent: usize, since: Instant },
    /// All said: waiting for the other side to close, not for ever.
    Closing { until: Instant },
    /// Saying nothing.
    Silent,
}

struct Connection {
    stream: TcpStream,
    state: State,
}

/// How many bytes may be out at `now` at this pace: the first one comes at once.
fn allowed(pace: Option<u32>, since: Instant, now: Instant) -> usize {
    let Some(pace) = pace else { return usize::MAX };
    1 + (now.since(since).as_secs_f64() * f64::from(pace)) as usize
}

impl Connection {
    fn interest(&self, pace: Option<u32>, now: Instant) -> PollFlags {
        match self.state {
            State::Writing { sent, since } if sent < allowed(pace, since, now) => PollFlags::POLLOUT,
            State::Writing { .. } => PollFlags::empty(),
            _ => PollFlags::POLLIN,
        }
    }

    /// When it has something to do that no descriptor tells.
    fn due(&self, pace: Option<u32>) -> Option<Instant> {
        match self.state {
            State::Writing { sent, since } => pace.map(|p| since + Duration::from_secs_f64(sent as f64 / f64::from(p))),
            State::Closing { until } => Some(until),
            _ => None,
        }
    }

    /// Does what can be done now; false when the connection is over.
    fn step(&mut self, answer: &[u8], manner: &Manner, now: Instant) -> bool {
        match &mut self.state {
            State::Writing { sent, since } => {
                let until = allowed(manner.slow, *since, now).min(answer.len());
                match self.stream.write(&answer[(*sent).min(until)..until]) {
                    Ok(n) => *sent += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return false,
                }
                if *sent == answer.len() {
                    if self.stream.shutdown(Shutdown::Write).is_err() {
                        return false;
                    }
                    self.state = State::Closing { until: now + LINGER };
                }
                true
            }
            State::Closing { until } if now >= *until => false,
            _ => self.read(manner, now),
        }
    }

    fn read(&mut self, manner: &Manner, now: Instant) -> bool {
        let mut piece = [0; 4096];
        loop {
            let n = match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(n) => n,
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            };
            let State::Reading { tail, length } = &mut self.state else { continue };
            *length += n;
            if *length > LONGEST_HEAD {
                return false;
            }
            let mut ended = false;
            for &byte in &piece[..n] {
                tail.rotate_left(1);
                tail[3] = byte;
                ended |= tail == b"\r\n\r\n" || tail.ends_with(b"\n\n");
            }
            if ended {
                self.state = if manner.silent { State::Silent } else { State::Writing { sent: 0, since: now } };
                return true;
            }
        }
    }
}

/// Serves until it is killed.
pub fn run(at: SocketAddr, manner: &Manner) -> anyhow::Result<()> {
    let listener = TcpListener::bind(at).with_context(|| format!("cannot listen on {at}"))?;
    listener.set_nonblocking(true)?;
    let waiter = Waiter::new()?;
    let answer = answer(manner);
    let mut connections: Vec<Connection> = Vec::new();
    meter::print(&json!({"client": "listening", "at": clock::wall(), "address": listener.local_addr()?.to_string()}))?;
    loop {
        let now = Instant::now();
        let mut fds = vec![(listener.as_fd(), PollFlags::POLLIN)];
        fds.extend(connections.iter().map(|c| (c.stream.as_fd(), c.interest(manner.slow, now))));
        let ready = waiter.wait(&fds, connections.iter().filter_map(|c| c.due(manner.slow)).min())?;
        drop(fds);

        let now = Instant::now();
        let mut each = ready[1..].iter();
        connections.retain_mut(|connection| {
            let something = each.next().is_some_and(|ready| !ready.is_empty());
            let due = connection.due(manner.slow).is_some_and(|due| now >= due);
            !(something || due) || connection.step(&answer, manner, now)
        });
        if !ready[0].is_empty() {
            accept_all(&listener, manner, &mut connections);
        }
    }
}

fn accept_all(listener: &TcpListener, manner: &Manner, connections: &mut Vec<Connection>) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(_) => {
                // Out of descriptors, most likely: the oldest makes room, so that this does not spin.
                if !connections.is_empty() {
                    connections.remove(0);
                }
                return;
            }
        };
        if manner.reset {
            // Closing without lingering is a reset.
            let _ = setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
            continue;
        }
        if stream.set_nonblocking(true).is_ok() {
            connections.push(Connection { stream, state: State::Reading { tail: [0; 4], length: 0 } });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_means_bytes_a_second() {
        let since = Instant::at(Duration::from_secs(10));
        let at = |ms| since + Duration::from_millis(ms);
        assert_eq!(allowed(Some(1), since, at(0)), 1);
        assert_eq!(allowed(Some(1), since, at(999)), 1);
        assert_eq!(allowed(Some(1), since, at(1000)), 2);
        assert_eq!(allowed(Some(100), since, at(500)), 51);
        assert_eq!(allowed(None, since, since), usize::MAX);
    }
}
