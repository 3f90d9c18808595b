//! A flood of garbage at hb-listen while one of its two peers dies: whether it judges on time, and what that costs it.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use serde_json::Value;
use takeover::heartbeat::wire::authentication::{Key, Method};
use takeover::heartbeat::wire::{Shape, seal};
use takeover_lab::{Child, Signal};

use crate::heartbeat::{Keys, cpu_of, field, status};
use crate::stats::{Bound, Row, Samples};

/// Datagrams a second.
const RATE: u64 = 100_000;
const LASTS: Duration = Duration::from_secs(10);
/// When everything has been used once.
const FIRST: Duration = Duration::from_secs(2);
/// When the one dies.
const DEATH: Duration = Duration::from_secs(5);
const DEADTIME_MS: f64 = 1000.0;
const STEP: Duration = Duration::from_secs(30);
/// Datagrams of one call, a millisecond's worth.
const BATCH: usize = 100;
/// Addresses that they come from.
const SOURCES: u8 = 64;

/// What one flood came to.
struct Outcome {
    /// Thousands a second that were sent.
    rate: f64,
    /// Percent of them that the kernel dropped, because the listener had not read what came before.
    lost: f64,
    /// Percent of them that it refused; what is said twice within its window is no offence.
    refused: f64,
    /// Ms after deadtime at which the death was declared, since the last heartbeat that was sent.
    late: f64,
    /// Changes of what was thought of the peer that lives.
    wrong: f64,
    /// Times that it said that it was held up or lost something unread.
    stalled: f64,
    /// MB more than before, resident: room for the longest datagrams is used with the first of them.
    grown: f64,
    /// MB more at the end than two seconds after the beginning.
    creeps: f64,
    peak: f64,
    /// CPU, ms a second.
    cpu: f64,
}

/// Measures so many floods.
pub fn measure(bin: &Path, runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let keys = Keys::new()?;
    let mut outcomes = Vec::new();
    for n in 0..runs.max(1) {
        eprintln!("lab-bench: flood {} of {}", n + 1, runs.max(1));
        outcomes.push(flood(bin, &keys)?);
    }
    let of = |each: fn(&Outcome) -> f64| Samples::new(outcomes.iter().map(each).collect());
    row(Row::new("garbage sent to `hb-listen` for 10 s, thousands a second", of(|o| o.rate)));
    row(Row::new("the same: lost unread, percent", of(|o| o.lost)));
    row(Row::new("the same: refused, percent", of(|o| o.refused)));
    row(Row::new("a death in it, deadtime 1 s: ms after it", of(|o| o.late)).bound(Bound::Median(10.0)));
    row(Row::new("the live peer in it: times thought late or dead", of(|o| o.wrong)).bound(Bound::Every(0.0)));
    row(Row::new("the listener in it: times held up", of(|o| o.stalled)));
    row(Row::new("the same: CPU, ms a second", of(|o| o.cpu)));
    row(Row::new("the same: growth of resident memory, MB", of(|o| o.grown)).bound(Bound::Every(2.5)));
    // Judging a death opens what looks whether anything could be heard, once.
    row(Row::new("the same: of that after its first 2 s, MB", of(|o| o.creeps)).bound(Bound::Every(0.5)));
    row(Row::new("the same: peak memory, MB", of(|o| o.peak)).bound(Bound::Every(10.0)));
    Ok(())
}

fn flood(bin: &Path, keys: &Keys) -> anyhow::Result<Outcome> {
    let free = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let tap = UdpSocket::bind("127.0.0.1:0")?;
    tap.set_nonblocking(true)?;
    let child = |name: &str, words: &str| {
        let mut command = Command::new(bin.join(name));
        command.args(words.split_whitespace()).arg("--authkeys").arg(&keys.0).stdin(Stdio::null());
        Child::spawn(command)
    };
    let mut ear = child("hb-listen", &format!("--node me --udp {free} --peers a,b"));
    let up = |v: &Value| v["event"] == "medium" && v["is"] == "up";
    ear.next_where("open medium", STEP, up);
    let send = format!("--ucast {free} --ucast {} --every 200ms --deadtime 1s --beats", tap.local_addr()?);
    let mut peer = |node: &str| {
        let child = child("hb-send", &format!("--node {node} {send}"));
        ear.next_where("it is up", STEP, |v| v["event"] == "node" && v["node"] == node && v["is"] == "up");
        child
    };
    let mut dying = peer("a");
    let _living = peer("b");
    sleep(Duration::from_secs(2));
    let calm = ear.seen().len();
    let before = memory(&ear, "VmRSS:")?;
    let cpu = cpu_of(ear.pid())?;

    let garbage = Garbage::new(&tap)?;
    let done = AtomicBool::new(false);
    let (early, sent) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| garbage.send(free, &tap, &done));
        // Whatever goes wrong meanwhile, the flood ends.
        let early = meanwhile(&ear, &mut dying);
        done.store(true, Ordering::Relaxed);
        (early, flood.join())
    });
    let early = early?;
    let (sent, took) = sent.map_err(|_| anyhow::anyhow!("the flood has panicked"))??;
    let rate = sent as f64 / took.as_secs_f64();
    ensure!(rate > 0.95 * RATE as f64, "this machine sent only {rate:.0} datagrams a second");
    let cpu = (cpu_of(ear.pid())? - cpu) / took.as_secs_f64();
    sleep(Duration::from_secs(2));
    let lost = dropped(free.port())?;
    let (after, peak) = (memory(&ear, "VmRSS:")?, memory(&ear, "VmHWM:")?);
    ear.signal(Signal::SIGTERM);
    ensure!(ear.wait(STEP) == 0, "hb-listen ended badly");
    // Reads the rest of its lines.
    dying.wait(STEP);

    let last = dying.seen().iter().rfind(|v| v["event"] == "sent").context("no heartbeat was sent")?;
    let last = last["mono_ms"].as_f64().context("mono_ms")?;
    let told = &ear.seen()[calm..];
    let node =
        |name: &str| -> Vec<&Value> { told.iter().filter(|v| v["event"] == "node" && v["node"] == *name).collect() };
    let dead = node("a").into_iter().find(|v| v["is"] == "dead").and_then(|v| v["mono_ms"].as_f64());
    let named = |names: &[&str]| told.iter().filter(|v| names.iter().any(|n| v["event"] == **n)).count() as f64;
    for event in told.iter().filter(|v| v["event"] == "stalled" || v["event"] == "overloaded") {
        eprintln!("lab-bench: {event}");
    }
    let refused: u64 = told.iter().filter(|v| v["event"] == "rejected").filter_map(|v| v["count"].as_u64()).sum();
    Ok(Outcome {
        rate: rate / 1e3,
        lost: lost as f64 / sent as f64 * 100.0,
        refused: refused as f64 / sent as f64 * 100.0,
        late: dead.map_or(f64::INFINITY, |at| at - last - DEADTIME_MS),
        wrong: node("b").len() as f64,
        stalled: named(&["stalled", "overloaded"]),
        grown: after - before,
        creeps: after - early,
        peak,
        cpu,
    })
}

/// What happens while the flood lasts: the one dies. Returns how much memory the listener had after [`FIRST`].
fn meanwhile(ear: &Child, dying: &mut Child) -> anyhow::Result<f64> {
    sleep(FIRST);
    let early = memory(ear, "VmRSS:")?;
    sleep(DEATH - FIRST);
    dying.kill();
    sleep(LASTS - DEATH);
    Ok(early)
}

fn memory(child: &Child, name: &str) -> anyhow::Result<f64> {
    Ok(field(&format!("/proc/{}/status", child.pid()), name)? / 1024.0)
}

/// What the kernel dropped at the sockets of a port.
fn dropped(port: u16) -> anyhow::Result<u64> {
    let table = std::fs::read_to_string("/proc/net/udp").context("/proc/net/udp")?;
    let here = format!(":{port:04X}");
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = lines.filter(|words| words.get(1).is_some_and(|local| local.ends_with(&here)));
    ours.map(|words| words.last().and_then(|n| n.parse::<u64>().ok()).context("drops")).sum()
}

/// What is sent: of 100 datagrams 30 random, 30 with a digest by another key, 20 cut short, 19 that were heard before, and
/// one as long as can be.
struct Garbage {
    random: Vec<Vec<u8>>,
    forged: Vec<Vec<u8>>,
    cut: Vec<Vec<u8>>,
    long: Vec<u8>,
    genuine: Vec<Vec<u8>>,
}

impl Garbage {
    /// Made from the genuine messages that lie at `tap`.
    fn new(tap: &UdpSocket) -> anyhow::Result<Self> {
        // A xorshift generator: garbage has to look like it, and nothing more.
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |length: usize| -> Vec<u8> {
            let roll = |_| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                (dice >> 32) as u8
            };
            (0..length).map(roll).collect()
        };
        let genuine = heard(tap);
        ensure!(!genuine.is_empty(), "no genuine message was heard");
        let wrong = Key::new(1, Method::Sha1, b"a-guess");
        Ok(Self {
            random: (0..256).map(|n| random(1 + 2 * n)).collect(),
            forged: (1..=256).map(|n| seal(&status("a", 1_000_000 + n), &wrong, Shape::Netstring)).collect(),
            cut: (0..256).map(|n| &genuine[n % genuine.len()]).map(|g| g[..g.len() / 2].to_vec()).collect(),
            long: random(65_507),
            genuine,
        })
    }

    /// Sends until it is told to end; what was sent, and in which time. What comes to `tap` meanwhile is sent again, too.
    fn send(&self, to: SocketAddr, tap: &UdpSocket, done: &AtomicBool) -> anyhow::Result<(u64, Duration)> {
        let mut sockets = Vec::new();
        for n in 0..SOURCES {
            let socket = UdpSocket::bind((format!("127.66.6.{}", n + 1), 0))?;
            socket.connect(to)?;
            sockets.push(socket);
        }
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
        let mut replays = self.genuine.clone();
        let (began, mut sent, mut round) = (Instant::now(), 0_u64, 0_usize);
        while !done.load(Ordering::Relaxed) {
            let due = (began.elapsed().as_nanos() * u128::from(RATE) / 1_000_000_000) as u64;
            if due < sent + BATCH as u64 {
                sleep(Duration::from_micros(300));
                continue;
            }
            if round % 64 == 0 {
                replays.extend(heard(tap));
                let old = replays.len().saturating_sub(64);
                replays.drain(..old);
            }
            let kind = |n: usize| -> &[u8] {
                let of = |all: &[Vec<u8>]| -> usize { (round * 37 + n) % all.len() };
                match n {
                    0..30 => &self.random[of(&self.random)],
                    30..60 => &self.forged[of(&self.forged)],
                    60..80 => &self.cut[of(&self.cut)],
                    80..99 => &replays[of(&replays)],
                    _ => &self.long,
                }
            };
            let slices: Vec<[IoSlice; 1]> = (0..BATCH).map(|n| [IoSlice::new(kind(n))]).collect();
            let socket = &sockets[round % sockets.len()];
            let out = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, [None; BATCH], [], MsgFlags::empty());
            match out {
                Ok(results) => sent += results.count() as u64,
                Err(Errno::ECONNREFUSED | Errno::ENOBUFS) => {}
                Err(e) => return Err(e).context("sendmmsg"),
            }
            round += 1;
        }
        Ok((sent, began.elapsed()))
    }
}

/// All datagrams that lie at a socket.
fn heard(tap: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 4096];
    std::iter::from_fn(|| tap.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec())).collect()
}
