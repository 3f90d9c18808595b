//! Heartbeats beside the real daemon: verifying, a thousand peers, an idle node, and how late a death is declared.

use std::hint::black_box;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use takeover::heartbeat::wire::authentication::{Key, Keyring, Method};
use takeover::heartbeat::wire::message::Message;
use takeover::heartbeat::wire::{Shape, open, seal};
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::{Child, Host, Lab};

use crate::stats::{Bound, Row, Samples};

const SECRET: &[u8] = b"TestKey123";
const DEADTIME: Duration = Duration::from_secs(1);
const HA_CF: &str = "keepalive 200ms\ndeadtime 1\ninitdead 3\nudpport 694\nbcast eth0\nnode a b\nauto_failback off\n";
const STEP: Duration = Duration::from_secs(30);

/// Measures all of it; `deaths` of each, and a third as many spans of time.
pub fn measure(bin: &Path, deaths: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let keys = Keys::new()?;
    let spans = deaths.div_ceil(3).max(1);
    for method in [Method::Sha1, Method::Sha256, Method::Md5, Method::Crc] {
        let what = format!("verify and parse a {method} status message, microseconds a message");
        // 300,000 a second.
        let bound = if matches!(method, Method::Sha1) { Bound::Median(3.33) } else { Bound::None };
        row(Row::new(what, Samples::new(verify(method)?)).bound(bound));
    }
    let mut crowd = Vec::new();
    for _ in 0..spans {
        crowd.push(thousand(bin, &keys)?);
    }
    let (cpu, memory) = (crowd.iter().map(|c| c.0).collect(), crowd.iter().map(|c| c.1).collect());
    row(Row::new("`hb-listen`, 1,000 peers at 1 Hz: CPU, ms a second", Samples::new(cpu)).bound(Bound::Median(20.0)));
    row(Row::new("the same: peak memory, MB", Samples::new(memory)).bound(Bound::Median(10.0)));
    eprintln!("lab-bench: an idle node");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..spans {
        ours.push(idle_ours(bin, &keys)?);
        theirs.push(idle_real()?);
    }
    let of = |samples: &[(f64, f64)], n: usize| Samples::new(samples.iter().map(|s| [s.0, s.1][n]).collect());
    row(Row::new("a node at 200 ms, sender and listener: CPU, ms a second", of(&ours, 0))
        .beside("heartbeat 3.0.6", of(&theirs, 0))
        .bound(Bound::Times(1.0)));
    row(Row::new("the same: PSS, MB", of(&ours, 1)).beside("heartbeat 3.0.6", of(&theirs, 1)).bound(Bound::Times(1.0)));
    eprintln!("lab-bench: deaths");
    let (ours, theirs) = dead(bin, &keys, deaths)?;
    row(Row::new("death declared, deadtime 1 s: ms after it", Samples::new(ours))
        .beside("heartbeat 3.0.6", Samples::new(theirs))
        .bound(Bound::Median(10.0)));
    Ok(())
}

/// A file of keys that goes when this does.
pub struct Keys(pub PathBuf);

impl Keys {
    pub fn new() -> anyhow::Result<Self> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = std::env::temp_dir().join(format!("lab-bench-{}.keys", std::process::id()));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(b"auth 1\n1 sha1 TestKey123\n")?;
        Ok(Self(path))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn status(node: &str, seq: u64) -> Message {
    Message::default()
        .with("t", "status")
        .with("st", "active")
        .with("dt", "2710")
        .with("protocol", "1")
        .with("src", node)
        .with("seq", format!("{seq:x}"))
        .with("hg", "6b009ee7")
        .with("ts", "6b009ee7")
        .with("ld", "0.34 0.46 0.21 6/101 20")
        .with("ttl", "3")
}

fn verify(method: Method) -> anyhow::Result<Vec<f64>> {
    let key = || Key::new(1, method, SECRET);
    let ring = Keyring::new(vec![key()], 1).context("a ring")?;
    let bytes = seal(&status("node-a", 77), &key(), Shape::Netstring);
    let mut samples = Vec::new();
    for _ in 0..9 {
        let (began, mut n) = (Instant::now(), 0u32);
        while began.elapsed() < Duration::from_millis(300) {
            for _ in 0..1000 {
                open(black_box(&bytes), &ring).context("its own message")?;
            }
            n += 1000;
        }
        samples.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(n));
    }
    Ok(samples)
}

/// CPU in ms a second, and peak memory in MB, of a listener that a thousand nodes beat to, once a second each.
fn thousand(bin: &Path, keys: &Keys) -> anyhow::Result<(f64, f64)> {
    let free = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut listen = Command::new(bin.join("hb-listen"));
    listen.args(["--node", "me", "--udp", &format!("127.0.0.1:{free}"), "--authkeys"]).arg(&keys.0);
    let mut listener = Running(listen.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("hb-listen")?);
    sleep(Duration::from_millis(300));
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let key = Key::new(1, Method::Sha1, SECRET);
    let (began, mut sent) = (Instant::now(), 0u64);
    let mut run = |seconds: u64| -> anyhow::Result<()> {
        let until = sent + seconds * 1000;
        while sent < until {
            let message = status(&format!("node{}", sent % 1000), sent / 1000 + 1);
            socket.send_to(&seal(&message, &key, Shape::Netstring), ("127.0.0.1", free)).context("send")?;
            sent += 1;
            sleep((began + Duration::from_millis(sent)).saturating_duration_since(Instant::now()));
        }
        Ok(())
    };
    run(3)?;
    let before = cpu_of(listener.0.id())?;
    run(10)?;
    let cpu = (cpu_of(listener.0.id())? - before) / 10.0;
    let peak = field(&format!("/proc/{}/status", listener.0.id()), "VmHWM:")? / 1024.0;
    ensure!(listener.0.try_wait()?.is_none(), "hb-listen has ended");
    Ok((cpu, peak))
}

struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Our node in a host: a listener whose stream goes to a sender.
fn peer(host: &Host, bin: &Path, keys: &Keys, node: &str) -> anyhow::Result<Vec<Running>> {
    let mut listen = host.command(bin.join("hb-listen"));
    listen.args([
        "--node",
        node,
        "--peers",
        "a,b",
        "--udp",
        "694@eth0",
        "--standby",
        "--deadtime",
        "1s",
        "--shared",
        "--authkeys",
    ]);
    let mut listen = listen.arg(&keys.0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("hb-listen")?;
    let replies = listen.stdout.take().context("its stdout")?;
    let send = sender(host, bin, keys, node).arg("-").stdin(replies).stdout(Stdio::null()).spawn();
    Ok(vec![Running(send.context("hb-send")?), Running(listen)])
}

fn sender(host: &Host, bin: &Path, keys: &Keys, node: &str) -> Command {
    let mut send = host.command(bin.join("hb-send"));
    send.args(["--node", node, "--bcast", "eth0", "--every", "200ms", "--deadtime", "1s", "--authkeys"]).arg(&keys.0);
    send
}

fn idle_ours(bin: &Path, keys: &Keys) -> anyhow::Result<(f64, f64)> {
    let lab = Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
    let _b = peer(&lab.host("b"), bin, keys, "b")?;
    let a = peer(&lab.host("a"), bin, keys, "a")?;
    idle(&a.iter().map(|p| p.0.id()).collect::<Vec<_>>())
}

fn idle_real() -> anyhow::Result<(f64, f64)> {
    let lab = Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
    let mut a = Node::launch(lab.host("a"), &Setup::new(HA_CF));
    let mut b = Node::launch(lab.host("b"), &Setup::new(HA_CF));
    a.await_up();
    b.await_up();
    // The namespace's first process, a shell that waits, is ours.
    let daemons =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.contains("heartbeat"));
    idle(&a.pids().into_iter().filter(daemons).collect::<Vec<_>>())
}

/// CPU in ms a second and PSS in MB of some processes, over ten seconds after the first twelve.
fn idle(pids: &[u32]) -> anyhow::Result<(f64, f64)> {
    ensure!(!pids.is_empty(), "no process to measure");
    sleep(Duration::from_secs(12));
    let all = || pids.iter().map(|pid| cpu_of(*pid)).sum::<anyhow::Result<f64>>();
    let before = all()?;
    sleep(Duration::from_secs(10));
    let cpu = (all()? - before) / 10.0;
    let pss =
        pids.iter().map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum::<anyhow::Result<f64>>()?;
    Ok((cpu, pss / 1024.0))
}

/// Ms after deadtime at which ours and the real daemon declare the death of one and the same sender. The real one's word
/// is the message that it sends when it does.
fn dead(bin: &Path, keys: &Keys, runs: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let lab = Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
    let mut listen = lab.host("b").command(bin.join("hb-listen"));
    listen.args(["--node", "c", "--udp", "694@eth0", "--deadtime", "1s", "--beats", "--shared", "--authkeys"]);
    let mut ears = Child::spawn({
        listen.arg(&keys.0).stdin(Stdio::null());
        listen
    });
    ears.next_event("medium", STEP);
    let mut voice = peer(&lab.host("b"), bin, keys, "b")?;
    let real = Node::start(lab.host("a"), &Setup::new(HA_CF));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 0..runs {
        eprintln!("lab-bench: death {} of {runs}", n + 1);
        real.await_status("b", "active");
        // The first five seconds of a real node are not judged by its plain deadtime.
        sleep(Duration::from_millis(if n == 0 { 6000 } else { 1500 + 37 * n as u64 }));
        drop(voice);
        let is = |event: &Value, name: &str| event["event"] == name;
        let dead = ears.next_where("b is dead", STEP, |e| is(e, "node") && e["node"] == "b" && e["is"] == "dead");
        let deadtime = DEADTIME.as_secs_f64() * 1e3;
        let silent = dead["silent_ms"].as_f64().context("silent_ms")?;
        let last = dead["mono_ms"].as_f64().context("mono_ms")? - silent;
        ours.push(silent - deadtime);
        let said = |e: &Value| is(e, "message") && e["node"] == "a" && e["message"]["t"] == "stonith";
        let word = ears.next_where("the real daemon's word of it", STEP, said);
        theirs.push(word["mono_ms"].as_f64().context("mono_ms")? - last - deadtime);
        // A new start: the clock's seconds have moved on.
        voice = peer(&lab.host("b"), bin, keys, "b")?;
    }
    Ok((ours, theirs))
}

/// User and system time of a process so far, in ms.
pub fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    // schedstat counts nanoseconds, where stat counts ticks of 10 ms; each thread has its own.
    let mut total = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("a process that is gone")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split_whitespace().next().context("schedstat")?.parse::<f64>()? / 1e6;
    }
    Ok(total)
}

/// A number of kB out of a file of /proc.
pub fn field(file: &str, name: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{name} in {file}"))?;
    line.trim().trim_end_matches(" kB").trim().parse().with_context(|| format!("{name} in {file}"))
}
