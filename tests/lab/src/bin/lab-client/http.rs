//! The HTTP client: many requests under way at once, one thread, sockets that never block.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::libc::linger;
use nix::poll::PollFlags;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use takeover::cli::wait::{Signals, Waiter};
use takeover::clock::Instant;

use crate::Pace;
use crate::meter::{self, Meter, Moment};

/// A status line longer than this is none.
const LONGEST_LINE: usize = 512;

/// What to ask, and whom.
struct Target {
    address: SocketAddr,
    request: Vec<u8>,
}

fn target(url: &str) -> anyhow::Result<Target> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("'{url}' does not begin with http://") };
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    // The colons of an address in brackets are its own.
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = with_port
        .to_socket_addrs()
        .with_context(|| format!("cannot look up '{with_port}'"))?
        .next()
        .with_context(|| format!("'{with_port}' has no address"))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes();
    Ok(Target { address, request })
}

/// How a request stands after a look at it.
enum Step {
    Going,
    Served,
    Failed,
}

/// One request under way.
struct Request {
    stream: TcpStream,
    give_up: Instant,
    sent: bool,
    line: Vec<u8>,
}

impl Request {
    fn start(target: &Target, give_up: Instant) -> Option<Self> {
        let family = if target.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd: OwnedFd = socket::socket(family, SockType::Stream, flags, None).ok()?;
        // Reset at the end: a thousand connections a second in TIME_WAIT would use up the ports in half a minute.
        socket::setsockopt(&fd, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).ok()?;
        match socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(target.address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(_) => return None,
        }
        Some(Self { stream: fd.into(), give_up, sent: false, line: Vec::new() })
    }

    fn interest(&self) -> PollFlags {
        if self.sent { PollFlags::POLLIN } else { PollFlags::POLLOUT }
    }

    fn step(&mut self, request: &[u8]) -> Step {
        if !self.sent {
            // A request this short goes into an empty socket whole or not at all.
            match self.stream.write(request) {
                Ok(n) if n == request.len() => self.sent = true,
                _ => return Step::Failed,
            }
        }
        let mut piece = [0; LONGEST_LINE];
        match self.stream.read(&mut piece) {
            Ok(0) => return Step::Failed,
            Ok(n) => self.line.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Step::Going,
            Err(_) => return Step::Failed,
        }
        match self.line.iter().position(|&byte| byte == b'\n') {
            Some(end) if says_200(&self.line[..end]) => Step::Served,
            None if self.line.len() < LONGEST_LINE => Step::Going,
            _ => Step::Failed,
        }
    }
}

fn says_200(line: &[u8]) -> bool {
    let mut words = line.trim_ascii_end().splitn(3, |&byte| byte == b' ');
    words.next().is_some_and(|version| version.starts_with(b"HTTP/1.")) && words.next() == Some(b"200")
}

/// Asks until `--for` is over or a signal comes, then prints the summary.
pub fn run(url: &str, pace: &Pace, give_up: Duration, in_flight: usize) -> anyhow::Result<()> {
    let target = target(url)?;
    let signals = Signals::take()?;
    let waiter = Waiter::new()?;
    let start = Moment::now();
    let end = pace.lasts.map(|lasts| start.at + lasts);
    let mut meter = Meter::new(start);
    let mut next = start.at;
    // In the order in which they were started, which is that in which they are given up.
    let mut under_way: VecDeque<Request> = VecDeque::new();
    loop {
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) || signals.arrived().is_some() {
            break;
        }
        while under_way.front().is_some_and(|request| now >= request.give_up) {
            under_way.pop_front();
        }
        if now >= next {
            if under_way.len() < in_flight {
                meter.asked();
                under_way.extend(Request::start(&target, now + give_up));
            }
            next = meter::after(next, pace.every, now);
        }
        if pace.follow
            && let Some(line) = meter.look(Moment::now())
            && meter::print(&line).is_err()
        {
            return Ok(());
        }
        let mut fds = vec![(signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(under_way.iter().map(|request| (request.stream.as_fd(), request.interest())));
        let wake = [Some(next), end, under_way.front().map(|r| r.give_up), meter.loss_due().filter(|_| pace.follow)];
        let ready = waiter.wait(&fds, wake.into_iter().flatten().min())?;
        drop(fds);
        meter.woke(Instant::now().since(next));

        let mut ready = ready.into_iter().skip(1);
        let mut said = None;
        under_way.retain_mut(|request| {
            if ready.next().is_none_or(|ready| ready.is_empty()) {
                return true;
            }
            let step = request.step(&target.request);
            if matches!(step, Step::Served)
                && let Some(line) = meter.served(Moment::now())
            {
                said = Some(line);
            }
            matches!(step, Step::Going)
        });
        if let Some(line) = said.filter(|_| pace.follow)
            && meter::print(&line).is_err()
        {
            return Ok(());
        }
    }
    // A closed standard output: nobody wants it.
    let _ = meter::print(&meter.summary(Moment::now()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_status_lines_serve() {
        assert!(says_200(b"HTTP/1.0 200 OK\r"));
        assert!(says_200(b"HTTP/1.1 200"));
        for line in [&b"HTTP/1.1 500 Oops\r"[..], b"200", b"SSH-2.0 200 x", b"HTTP/1.1 2000", b""] {
            assert!(!says_200(line));
        }
    }

    #[test]
    fn what_a_url_means() {
        let of = |url| target(url).map(|t| (t.address.to_string(), String::from_utf8(t.request).unwrap()));
        let (address, request) = of("http://10.9.0.1").unwrap();
        assert_eq!(address, "10.9.0.1:80");
        assert!(request.starts_with("GET / HTTP/1.0\r\nHost: 10.9.0.1\r\n"), "{request}");
        assert_eq!(of("http://[fd00::1]/x").unwrap().0, "[fd00::1]:80");
        assert_eq!(of("http://[fd00::1]:8080/x").unwrap().0, "[fd00::1]:8080");
        assert!(of("http://127.0.0.1:81/a/b").unwrap().1.starts_with("GET /a/b HTTP"));
        for url in ["127.0.0.1", "https://127.0.0.1/", "http://", "http://127.0.0.1:99999/"] {
            assert!(target(url).is_err(), "{url}");
        }
    }
}
