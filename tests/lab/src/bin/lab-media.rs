//! Heartbeat's media by themselves: says something on each of them, or prints what is heard and what becomes of them.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use clap::Parser;
use nix::poll::PollFlags;
use serde_json::{Value, json};
use takeover::cli::wait::Waiter;
use takeover::clock::Instant;
use takeover::heartbeat::media::{Change, In, Inlet, Out, Outlet};

/// Says something on each medium, or prints what is heard.
#[derive(Parser)]
enum Do {
    /// Sends the classic form of a small message on each medium, again and again, until it is killed.
    Say {
        /// Milliseconds between two messages.
        #[arg(long, default_value_t = 20)]
        every: u64,
        /// Media, as in bcast:eth0:694.
        #[arg(required = true)]
        media: Vec<Out>,
    },
    /// Prints an object for each packet, until it is killed.
    Hear {
        /// Media, as in udp:694@eth0.
        #[arg(required = true)]
        media: Vec<In>,
    },
    /// Counts what is heard on one medium, and prints that after so many seconds.
    Count {
        /// How long.
        #[arg(long, default_value_t = 2)]
        seconds: u64,
        /// The medium.
        medium: In,
    },
    /// Sends as fast as it goes on one medium, until it is killed.
    Flood {
        /// The bytes of each datagram.
        #[arg(long, default_value_t = 250)]
        size: usize,
        /// The medium.
        medium: Out,
    },
}

fn main() -> anyhow::Result<()> {
    match Do::parse() {
        Do::Say { every, media } => say(Duration::from_millis(every), media),
        Do::Hear { media } => hear(media),
        Do::Count { seconds, medium } => count(Duration::from_secs(seconds), medium),
        Do::Flood { size, medium } => flood(size, medium),
    }
}

fn print(object: &Value) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{object}")?)
}

fn tell(medium: &str, change: Option<Change>) -> anyhow::Result<()> {
    let Some(Change { was, is, cause }) = change else { return Ok(()) };
    print(&json!({"event": "change", "medium": medium, "was": was, "is": is, "cause": cause}))
}

fn say(every: Duration, media: Vec<Out>) -> anyhow::Result<()> {
    let mut media: Vec<Outlet> = media.into_iter().map(Outlet::new).collect();
    let waiter = Waiter::new()?;
    let (mut next, mut number) = (Instant::now(), 0u64);
    loop {
        let now = Instant::now();
        for medium in &mut media {
            if medium.deadline().is_some_and(|at| at <= now) {
                let change = medium.tick(now);
                tell(medium.name(), change)?;
            }
            if next <= now {
                let change = medium.send(format!(">>>\nt=test\nn={number}\n<<<\n").as_bytes(), now);
                tell(medium.name(), change)?;
            }
        }
        if next <= now {
            (next, number) = (now + every, number + 1);
        }
        let waited: Vec<_> = media.iter().enumerate().filter_map(|(i, m)| Some((i, m.fd()?))).collect();
        let deadline = media.iter().filter_map(Outlet::deadline).chain([next]).min();
        let ready = waiter.wait(&waited.iter().map(|(_, fd)| *fd).collect::<Vec<_>>(), deadline)?;
        let ready: Vec<_> = waited.iter().map(|(i, _)| *i).zip(ready).collect();
        for (i, flags) in ready {
            let change = media[i].ready(flags, Instant::now());
            tell(media[i].name(), change)?;
        }
    }
}

fn hear(media: Vec<In>) -> anyhow::Result<()> {
    let mut media: Vec<Inlet> = media.into_iter().map(Inlet::new).collect();
    let waiter = Waiter::new()?;
    loop {
        let now = Instant::now();
        for medium in &mut media {
            if medium.deadline().is_some_and(|at| at <= now) {
                let change = medium.tick(now);
                tell(medium.name(), change)?;
            }
        }
        let waited: Vec<_> =
            media.iter().enumerate().filter_map(|(i, m)| Some((i, (m.fd()?, PollFlags::POLLIN)))).collect();
        let deadline = media.iter().filter_map(Inlet::deadline).min();
        let ready = waiter.wait(&waited.iter().map(|(_, fd)| *fd).collect::<Vec<_>>(), deadline)?;
        let ready: Vec<_> = waited.iter().map(|(i, _)| *i).zip(ready).collect();
        for (i, flags) in ready {
            let medium = &mut media[i];
            let mut heard = Vec::new();
            let change = medium.receive(flags, Instant::now(), &mut |packet| {
                let text = String::from_utf8_lossy(packet.bytes).into_owned();
                heard.push(
                    json!({"event": "packet", "from": packet.from.to_string(), "text": text, "noise": packet.noise}),
                );
            });
            for mut packet in heard {
                packet["medium"] = medium.name().into();
                print(&packet)?;
            }
            tell(medium.name(), change)?;
        }
    }
}

fn count(how_long: Duration, medium: In) -> anyhow::Result<()> {
    let mut medium = Inlet::new(medium);
    let waiter = Waiter::new()?;
    let (mut packets, mut bytes, mut calls) = (0u64, 0u64, 0u64);
    let mut began = None;
    medium.tick(Instant::now());
    loop {
        let now = Instant::now();
        let end = began.map(|began| began + how_long);
        if end.is_some_and(|end| end <= now) {
            break;
        }
        let Some(fd) = medium.fd() else { bail!("{} is not open", medium.name()) };
        let ready = waiter.wait(&[(fd, PollFlags::POLLIN)], end)?;
        calls += 1;
        medium.receive(ready[0], now, &mut |packet| {
            began = began.or(Some(now));
            packets += 1;
            bytes += packet.bytes.len() as u64;
        });
    }
    let seconds = how_long.as_secs_f64();
    print(&json!({
        "event": "counted", "per_second": (packets as f64 / seconds).round(), "lost_per_second": (medium.lost() as f64 / seconds).round(),
        "bytes": bytes, "per_call": packets as f64 / calls as f64,
    }))
}

fn flood(size: usize, medium: Out) -> anyhow::Result<()> {
    let mut medium = Outlet::new(medium);
    let bytes = vec![b'x'; size];
    loop {
        let change = medium.send(&bytes, Instant::now());
        tell(medium.name(), change)?;
    }
}
