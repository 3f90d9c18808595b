//! Whole clusters: two nodes of `ha-node` beside two of real heartbeat, in turn, with a client of the service address.
//!
//! Each sample of a fault has a pair of its own, fresh from its start, in a lab of its own; so every pair tells how long its
//! start took as well. The service is the address and an echo server on each node, which dies with it.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use takeover::net::address;
use takeover::net::netlink::Netlink;
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::{Child, Cut, Host, Lab};

use crate::failover::{Client, PATIENCE};
use crate::heartbeat::{cpu_of, field};
use crate::stats::{Bound, Row, Samples, millis};

const HOSTS: [(&str, &str); 3] = [("ha1", "10.9.0.1/24"), ("ha2", "10.9.0.2/24"), ("client", "10.9.0.3/24")];
const NODES: [&str; 2] = ["ha1", "ha2"];
/// The service address, which prefers the first node.
const VIP: &str = "10.9.0.100";
const PORT: &str = "7777";
/// The longest that anybody waits for a pair's start.
const START: Duration = Duration::from_secs(30);
/// For steps that are no part of what is measured: only so that nothing can hang.
const STEP: Duration = Duration::from_secs(15);
/// What a pair is given to come to rest after its start and after a switch: announcements and second looks are over then.
const REST: Duration = Duration::from_secs(2);
/// How long an idle node is looked at.
const SPAN: Duration = Duration::from_secs(10);
const REAL: &str = "heartbeat 3.0.6";

/// The times of a cluster, and the most that a client may miss after a fault, in ms.
#[derive(Clone, Copy, Debug)]
struct Times {
    words: &'static str,
    ha_cf: &'static str,
    bound: f64,
}

const QUICK: Times = Times { words: "50 ms / 200 ms", ha_cf: "keepalive 50ms\ndeadtime 200ms\n", bound: 260.0 };
const USUAL: Times = Times { words: "200 ms / 1 s", ha_cf: "keepalive 200ms\ndeadtime 1\n", bound: 1080.0 };

impl Times {
    /// `initdead` is that of our examples: a pair that starts together must not wait for it.
    fn ha_cf(self) -> String {
        format!("{}initdead 30\nudpport 694\nbcast eth0\nnode ha1 ha2\nauto_failback off\n", self.ha_cf)
    }
}

fn haresources() -> String {
    format!("ha1 {VIP}/24/eth0\n")
}

/// What happens to the node that has the address.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Carrier,
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::Killed => "kill -9 of every process of a node",
            Self::Carrier => "a node's carrier gone",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Ours,
    Real,
}

/// A node of ours: a process namespace, which its first process, ha-node, keeps alive; its files go with the lab.
struct Own<'a> {
    host: Host<'a>,
    dir: PathBuf,
    path: OsString,
    child: Child,
}

impl<'a> Own<'a> {
    fn start(host: Host<'a>, dir: PathBuf, bin: &Path, ha_cf: &str, serves: bool) -> anyhow::Result<Self> {
        let ha_d = dir.join("ha.d");
        fs::create_dir_all(&ha_d)?;
        for (name, text, mode) in [
            ("ha.cf", ha_cf, 0o644),
            ("authkeys", "auth 1\n1 sha1 TestKey123\n", 0o600),
            ("haresources", haresources().as_str(), 0o644),
        ] {
            fs::write(ha_d.join(name), text)?;
            fs::set_permissions(ha_d.join(name), Permissions::from_mode(mode))?;
        }
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").canonicalize().context("scripts")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [bin.to_owned(), scripts.clone()].into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).context("PATH")?;
        let mut command = host.command("unshare");
        command.args(["-pfm", "--mount-proc", "--propagation", "slave", "--kill-child", "sh", "-c"]);
        let serve = if serves { format!("lab-client echo 0.0.0.0:{PORT} >/dev/null & ") } else { String::new() };
        command.arg(format!("{serve}exec ha-node \"$@\"")).args(["sh", "--node", host.name(), "--ha-d"]).arg(ha_d);
        command.arg("--run-dir").arg(dir.join("run")).arg("--state-dir").arg(dir.join("state"));
        command.env("PATH", &path).env("TAKEOVER_RESOURCE_D", scripts.join("resource.d"));
        command.env("TAKEOVER_LOCKS", dir.join("locks"));
        Ok(Self { host, dir, path, child: Child::spawn(command) })
    }

    /// The first process of the node, as this machine numbers it: what unshare waits for.
    fn first(&self) -> anyhow::Result<String> {
        let unshare = self.child.pid();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
        ensure!(!children.trim().is_empty(), "ha-node has ended: {}", self.child.words());
        Ok(children.trim().to_owned())
    }

    /// `ha-standby`, as an operator calls it on this node: where its processes have the numbers that it knows.
    fn standby(&self) -> anyhow::Result<Command> {
        let mut command = self.host.command("nsenter");
        command.args(["--target", &self.first()?, "--pid", "--mount", "ha-standby", "all", "--run-dir"]);
        command.arg(self.dir.join("run")).env("PATH", &self.path);
        Ok(command)
    }

    /// All processes of the node; without unshare, which waits outside.
    fn pids(&self) -> anyhow::Result<Vec<u32>> {
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = space(&self.first()?).context("ha-node has ended")?;
        let all = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(all.filter(|pid| space(pid).as_ref() == Some(&ours)).filter_map(|pid| pid.parse().ok()).collect())
    }
}

enum Member<'a> {
    Ours(Own<'a>),
    /// With its echo server.
    Real(Node<'a>, Option<Child>),
}

impl Member<'_> {
    /// SIGKILL to every process at once; the addresses stay, as the kernel lives.
    fn kill(&mut self) {
        match self {
            Self::Ours(own) => own.child.kill(),
            Self::Real(node, _) => node.kill(),
        }
    }

    /// Gives what it has to the other.
    fn standby(&self) -> anyhow::Result<()> {
        let mut command = match self {
            Self::Ours(own) => own.standby()?,
            Self::Real(node, _) => {
                let mut command = node.command("/usr/share/heartbeat/hb_standby");
                command.arg("all");
                command
            }
        };
        let output = command.output().context("the order")?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the order was not taken: {}: {words}", output.status);
        Ok(())
    }

    /// All processes of the node itself.
    fn pids(&self) -> anyhow::Result<Vec<u32>> {
        match self {
            Self::Ours(own) => own.pids(),
            Self::Real(node, _) => {
                // The namespace's first process, a shell that waits, belongs to the harness.
                let daemon =
                    |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.contains("heartbeat"));
                Ok(node.pids().into_iter().filter(daemon).collect())
            }
        }
    }

    /// What it said, for the message of a failure.
    fn words(&self) -> String {
        match self {
            Self::Ours(own) => own.child.words(),
            Self::Real(node, _) => node.log(),
        }
    }
}

/// Two nodes that run, the first of which has the address.
struct Pair<'a> {
    lab: &'a Lab,
    bin: &'a Path,
    members: [Member<'a>; 2],
    /// From the second node's launch until the address was there.
    start: Duration,
}

impl<'a> Pair<'a> {
    /// Starts both at once; none where the address does not come.
    fn start(lab: &'a Lab, bin: &'a Path, make: Make, times: Times, serves: bool) -> anyhow::Result<Option<Self>> {
        let ha_cf = times.ha_cf();
        let mut there = address_watch(lab, "ha1")?;
        let launch = |name: &str| {
            let host = lab.host(name);
            Ok::<_, anyhow::Error>(match make {
                Make::Ours => Member::Ours(Own::start(host, lab.dir().join("peers").join(name), bin, &ha_cf, serves)?),
                Make::Real => Member::Real(Node::launch(host, &Setup::new(&ha_cf).haresources(&haresources())), None),
            })
        };
        let mut members = [launch(NODES[0])?, launch(NODES[1])?];
        let began = Instant::now();
        if there.look(START, |_| true).is_err() {
            for member in &members {
                eprintln!("lab-bench: a {make:?} pair did not come to its address:\n{}", member.words());
            }
            return Ok(None);
        }
        let start = began.elapsed();
        for member in &mut members {
            if let Member::Real(node, echo) = member {
                node.await_up();
                *echo = serves.then(|| {
                    let mut command = node.command(&bin.join("lab-client").display().to_string());
                    command.args(["echo", &format!("0.0.0.0:{PORT}")]);
                    let mut echo = Child::spawn(command);
                    // Its first line says that it listens.
                    echo.next(STEP);
                    echo
                });
            }
        }
        Ok(Some(Self { lab, bin, members, start }))
    }

    fn client(&self) -> anyhow::Result<Client> {
        let mut command = self.lab.host("client").command(self.bin.join("lab-client"));
        command.args(["udp", &format!("{VIP}:{PORT}"), "--every", "1ms", "--follow", "--for", "1m"]);
        Client::start(command)
    }

    /// The client's outage by this fault of the first node, in ms.
    fn outage(&mut self, fault: Fault) -> anyhow::Result<f64> {
        let client = self.client()?;
        client.outage_by(fault.words(), || match fault {
            Fault::Killed => self.members[0].kill(),
            Fault::Carrier => self.lab.host(NODES[0]).cut(Cut::Carrier),
        })
    }

    /// The client's outage when this node gives the address to the other by order, in ms.
    fn switch(&self, from: usize) -> anyhow::Result<f64> {
        let client = self.client()?;
        let mut there = address_watch(self.lab, NODES[1 - from])?;
        sleep(Duration::from_millis(100));
        self.members[from].standby()?;
        if there.look(PATIENCE, |_| true).is_err() {
            return Ok(f64::INFINITY);
        }
        // Whether it stays.
        sleep(Duration::from_millis(300));
        client.outage()
    }

    /// CPU in ms a second and PSS in MB of the first node, which has the address.
    fn idle(&mut self) -> anyhow::Result<(f64, f64)> {
        let before = cpu(&self.members[0].pids()?)?;
        sleep(SPAN);
        let pids = self.members[0].pids()?;
        let cpu = (cpu(&pids)? - before) / SPAN.as_secs_f64();
        // Two nodes on one machine share pages, which a node has for itself in reality. The first node does not know yet.
        self.members[1].kill();
        // What has ended and is not reaped has no memory.
        let pss = |pid: &u32| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or_default();
        let pss = pids.iter().map(pss).sum::<f64>() / 1024.0;
        ensure!(pss > 0.0, "no process to measure");
        Ok((cpu, pss))
    }
}

/// User and system time of these processes and of those that they have waited for, in ms.
fn cpu(pids: &[u32]) -> anyhow::Result<f64> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("CLK_TCK")? as f64;
    let mut total = 0.0;
    for pid in pids {
        // One that has just ended is counted by whoever waited for it.
        let Ok(own) = cpu_of(*pid) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; cutime and cstime are the 16th and 17th.
        let waited = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(13).take(2);
        total += own + waited.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() * 1e3 / ticks;
    }
    Ok(total)
}

/// Prints a line as soon as a host has the service address; it looks when this returns.
fn address_watch(lab: &Lab, host: &str) -> anyhow::Result<Child> {
    let us = std::env::current_exe().context("where is this program?")?;
    let mut command = lab.host(host).command(us);
    command.args(["await-address", VIP]);
    let mut watch = Child::spawn(command);
    watch.next(STEP);
    Ok(watch)
}

/// Says that it looks, and when this host has the address. Runs inside a host, and is killed where that does not come.
pub fn await_address(ip: IpAddr) -> anyhow::Result<()> {
    let mut netlink = Netlink::open()?;
    println!("{{\"looks\":true}}");
    std::io::stdout().flush()?;
    while !address::list(&mut netlink, ip)?.iter().any(|assigned| assigned.address.ip == ip) {
        sleep(Duration::from_millis(10));
    }
    println!("{{\"there\":true}}");
    Ok(())
}

/// The samples of both sides.
#[derive(Default)]
struct Both {
    ours: Vec<f64>,
    real: Vec<f64>,
}

impl Both {
    fn of(&mut self, make: Make) -> &mut Vec<f64> {
        match make {
            Make::Ours => &mut self.ours,
            Make::Real => &mut self.real,
        }
    }

    fn row(self, what: String, real: &str) -> Row {
        Row::new(what, Samples::new(self.ours)).beside(real, Samples::new(self.real))
    }
}

/// Each round ours, then the real one while it has any runs left; that much in turn.
fn in_turn(
    what: &str,
    runs: usize,
    peer_runs: usize,
    mut sample: impl FnMut(Make, usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let rounds = runs.max(peer_runs);
    for n in 0..rounds {
        eprintln!("lab-bench: {what}, {} of {rounds}", n + 1);
        for (make, runs) in [(Make::Ours, runs), (Make::Real, peer_runs)] {
            if n < runs {
                sample(make, n).with_context(|| format!("{make:?}"))?;
            }
        }
    }
    Ok(())
}

/// Another point between two heartbeats each time.
fn settle(n: usize) {
    sleep(REST + Duration::from_millis((n as u64 * 37) % 200));
}

/// Measures all of it.
pub fn measure(bin: &Path, runs: usize, peer_runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    for times in [QUICK, USUAL] {
        let mut starts = Both::default();
        for fault in [Fault::Killed, Fault::Carrier] {
            let what = format!("{}, {}", fault.words(), times.words);
            let mut outages = Both::default();
            in_turn(&what, runs, peer_runs, |make, n| {
                let lab = Lab::up_as_root(&HOSTS);
                let Some(mut pair) = Pair::start(&lab, bin, make, times, true)? else {
                    starts.of(make).push(f64::INFINITY);
                    return Ok(());
                };
                starts.of(make).push(millis(pair.start));
                settle(n);
                outages.of(make).push(pair.outage(fault)?);
                Ok(())
            })?;
            let line = outages.row(format!("{what}: client's outage, ms"), REAL);
            row(line.bound(Bound::Median(times.bound)).longest(millis(PATIENCE)));
        }
        switches(bin, times, runs, peer_runs, row)?;
        let what = format!("both nodes started, {}, initdead 30: until the address is there, ms", times.words);
        row(starts.row(what, REAL).bound(Bound::Median(1500.0)).longest(millis(START)));
    }
    idle(bin, peer_runs, row)
}

/// Switches by order, to and fro.
fn switches(bin: &Path, times: Times, runs: usize, peer_runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let labs = [Lab::up_as_root(&HOSTS), Lab::up_as_root(&HOSTS)];
    let pair = |lab, make| Pair::start(lab, bin, make, times, true)?.with_context(|| format!("no {make:?} pair"));
    let pairs = (pair(&labs[0], Make::Ours)?, pair(&labs[1], Make::Real)?);
    let what = format!("a switch by order, {}", times.words);
    let mut outages = Both::default();
    in_turn(&what, runs, peer_runs, |make, n| {
        let pair = if make == Make::Ours { &pairs.0 } else { &pairs.1 };
        settle(n);
        outages.of(make).push(pair.switch(n % 2)?);
        Ok(())
    })?;
    let what = format!("{what}, the address alone, its stop and start included: client's outage, ms");
    let line = outages.row(what, "heartbeat 3.0.6, hb_standby");
    row(line.bound(Bound::Median(60.0)).longest(millis(PATIENCE)));
    Ok(())
}

/// What a node costs that has the address and nothing to do.
fn idle(bin: &Path, runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let (mut cpu, mut memory) = (Both::default(), Both::default());
    in_turn("an idle node", runs, runs, |make, _| {
        let lab = Lab::up_as_root(&HOSTS);
        let mut pair = Pair::start(&lab, bin, make, USUAL, false)?.context("no pair")?;
        sleep(REST * 2);
        let (ms, mb) = pair.idle()?;
        cpu.of(make).push(ms);
        memory.of(make).push(mb);
        Ok(())
    })?;
    let what = "an idle node at 200 ms with an address, all its processes: CPU, ms a second".to_owned();
    row(cpu.row(what, REAL).bound(Bound::Median(5.0)));
    row(memory.row("the same: PSS, no other node on the machine, MB".to_owned(), REAL).bound(Bound::Median(12.0)));
    Ok(())
}
