//! How long a client is without its service when the primary fails and when it comes back: `standby-watch` beside the
//! shell loop that people write. A lab of three hosts, the service address static on the primary.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use takeover_lab::{Child, Cut, Lab, Signal};

use crate::stats::{Bound, Row, Samples, millis};

/// The service address.
const VIP: &str = "10.9.0.50";
/// The longest that anybody waits for a take-over.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The client notices every fault within this, if at all.
const NOTICE: Duration = Duration::from_millis(600);
/// A gap that no fault leaves: such a client was served by somebody else. In ms.
const SHORTEST: f64 = 4.0;
/// For steps that are no part of what is measured: only so that nothing can hang.
const STEP: Duration = Duration::from_secs(15);

/// What happens to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
    Cut,
}

impl Fault {
    const ALL: [Self; 3] = [Self::Killed, Self::Frozen, Self::Cut];

    fn words(self) -> &'static str {
        match self {
            Self::Killed => "web server killed",
            Self::Frozen => "web server frozen",
            Self::Cut => "host silently cut",
        }
    }

    /// The longest that the client's median outage may be, in ms.
    fn bound(self) -> Bound {
        Bound::Median(if self == Self::Killed { 350.0 } else { 900.0 })
    }
}

/// The loops beside which ours is measured: as people write it, and as careful people do.
const LOOPS: [(&str, &str); 2] =
    [("shell loop, curl without a deadline", ""), ("shell loop, curl --max-time 1", "--max-time 1")];

/// The hosts and their web servers.
struct Stage<'a> {
    lab: &'a Lab,
    bin: &'a Path,
    server: Child,
    _standby: Child,
}

impl<'a> Stage<'a> {
    fn set(lab: &'a Lab, bin: &'a Path) -> Self {
        lab.host("primary").sh(&format!("ip addr add {VIP}/24 dev eth0"));
        Self { lab, bin, server: serve(lab, bin, "primary"), _standby: serve(lab, bin, "standby") }
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Killed => self.server.kill(),
            Fault::Frozen => self.server.stop(),
            Fault::Cut => self.lab.host("primary").cut(Cut::Silent),
        }
    }

    fn mend(&mut self, fault: Fault) {
        match fault {
            Fault::Killed => self.server = serve(self.lab, self.bin, "primary"),
            Fault::Frozen => self.server.cont(),
            Fault::Cut => self.lab.host("primary").heal(),
        }
    }

    /// Takes the address from the standby, where a shell loop has left it, and tells the client where it is.
    fn tidy(&self) -> anyhow::Result<()> {
        self.lab.host("standby").sh(&format!("ip addr del {VIP}/24 dev eth0 2>/dev/null || :"));
        let mut garp = self.lab.host("primary").command(self.bin.join("garp"));
        let done = garp.args([VIP, "--dev", "eth0"]).stdout(Stdio::null()).status().context("garp")?;
        if done.success() { Ok(()) } else { bail!("garp on the primary: {done}") }
    }

    fn client(&self) -> anyhow::Result<Client> {
        let mut command = self.lab.host("client").command(self.bin.join("lab-client"));
        command.args(["http", &format!("http://{VIP}/"), "--every", "1ms", "--follow", "--for", "2m"]);
        Client::start(command)
    }
}

fn serve(lab: &Lab, bin: &Path, host: &str) -> Child {
    let mut command = lab.host(host).command(bin.join("lab-client"));
    command.args(["serve", "0.0.0.0:80"]);
    let mut server = Child::spawn(command);
    // Its first line says that it listens.
    server.next(STEP);
    server
}

/// The client that asks each millisecond: a `lab-client` with `--follow`.
pub struct Client(Child);

impl Client {
    /// Starts it; it is served when this returns.
    pub fn start(command: Command) -> anyhow::Result<Self> {
        let mut client = Self(Child::spawn(command));
        client.until("served", STEP).context("the client is not served while all is well")?;
        Ok(client)
    }

    fn until(&mut self, what: &str, within: Duration) -> Result<(), anyhow::Error> {
        self.0.look(within, |line| line["client"] == what).map(drop).map_err(anyhow::Error::msg)
    }

    /// Ends it; returns its longest time without an answer in ms.
    pub fn outage(mut self) -> anyhow::Result<f64> {
        self.0.signal(Signal::SIGTERM);
        let summary = self.0.look(STEP, |line| line["client"] == "summary").map_err(anyhow::Error::msg)?;
        summary["outage_ms"].as_f64().context("the client was never served")
    }

    /// Its outage in ms from a fault until it is served again; infinite when that takes too long.
    pub fn outage_by(mut self, what: &str, strike: impl FnOnce()) -> anyhow::Result<f64> {
        let start = Instant::now();
        strike();
        // It says so after 50 ms without an answer: a take-over can be quicker.
        if self.until("lost", NOTICE).is_ok() && self.until("served", PATIENCE.saturating_sub(start.elapsed())).is_err()
        {
            return Ok(f64::INFINITY);
        }
        // Whether it stays.
        sleep(Duration::from_millis(300));
        let outage = self.outage()?;
        ensure!(outage > SHORTEST, "{what}: the client did not notice it ({outage} ms)");
        Ok(outage)
    }
}

fn outage(stage: &mut Stage, fault: Fault) -> anyhow::Result<f64> {
    stage.client()?.outage_by(fault.words(), || stage.strike(fault))
}

/// Runs every fault so often with ours, and fewer times with each loop.
pub fn measure(bin: &Path, runs: usize, peer_runs: usize, mut row: impl FnMut(Row)) -> anyhow::Result<()> {
    let hosts = [("primary", "10.9.0.1/24"), ("standby", "10.9.0.2/24"), ("client", "10.9.0.3/24")];
    let lab = Lab::up(&hosts);
    let mut stage = Stage::set(&lab, bin);
    for fault in Fault::ALL {
        let (mut over, mut back, mut theirs) = (Vec::new(), Vec::new(), LOOPS.map(|_| Vec::new()));
        for n in 0..runs.max(peer_runs) {
            eprintln!("lab-bench: {}, {} of {}", fault.words(), n + 1, runs.max(peer_runs));
            if n < runs {
                let (there, again) = with_standby_watch(&mut stage, fault, n)?;
                over.push(there);
                back.push(again);
            }
            if n < peer_runs {
                for ((name, words), outages) in LOOPS.iter().zip(&mut theirs) {
                    outages.push(with_loop(&mut stage, fault, words, n).context(*name)?);
                }
            }
        }
        for ((name, _), outages) in LOOPS.iter().zip(theirs) {
            let what = format!("{}: client's outage, ms", fault.words());
            let ours = Row::new(what, Samples::new(over.clone())).beside(*name, Samples::new(outages));
            row(ours.bound(fault.bound()).longest(millis(PATIENCE)));
        }
        let what = format!("{}, mended and given back: client's outage, ms", fault.words());
        row(Row::new(what, Samples::new(back)).longest(millis(PATIENCE)));
    }
    Ok(())
}

/// The fault hits at another point between two probes each time.
fn settle(n: usize) {
    sleep(Duration::from_millis(200 + (n as u64 * 37) % 100));
}

/// One take-over and one failback, in ms.
fn with_standby_watch(stage: &mut Stage, fault: Fault, n: usize) -> anyhow::Result<(f64, f64)> {
    let (line, path) = standby_watch(stage.bin)?;
    let mut command = stage.lab.host("standby").command("sh");
    command.args(["-c", &line]).env("PATH", path);
    let mut watch = Child::spawn(command);
    let primary_is_up = |line: &serde_json::Value| line["event"] == "primary" && line["is"] == "up";
    watch.next_where("primary that is well", STEP, primary_is_up);
    settle(n);
    let over = outage(stage, fault)?;
    watch.next_event("active", STEP);
    let client = stage.client()?;
    stage.mend(fault);
    watch.next_event("given-back", STEP);
    sleep(Duration::from_millis(300));
    let back = client.outage()?;
    watch.signal(Signal::SIGTERM);
    watch.wait(STEP);
    stage.tidy()?;
    Ok((over, back))
}

/// The watcher that is measured, also for its CPU: a line of shell, and the PATH on which it finds our commands.
pub fn standby_watch(bin: &Path) -> anyhow::Result<(String, OsString)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    let line = format!(
        "exec sh '{}' --url http://10.9.0.1/ --vip {VIP}/24 --dev eth0 --if-held steal --every 100ms --timeout 200ms \
         --fall 3 --confirm 10.9.0.3",
        watcher()
    );
    Ok((line, std::env::join_paths(path).context("PATH")?))
}

/// The script of this source tree.
fn watcher() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/standby-watch")
}

/// The loop that people write; `words` go to curl.
pub fn shell_loop(words: &str) -> String {
    format!(
        "while curl -s -f -o /dev/null {words} http://10.9.0.1/; do sleep 0.1; done\n\
         ip addr add {VIP}/24 dev eth0\n\
         arping -U -c 1 -I eth0 {VIP} >/dev/null\n\
         exec sleep 60\n"
    )
}

fn with_loop(stage: &mut Stage, fault: Fault, words: &str, n: usize) -> anyhow::Result<f64> {
    let mut command = stage.lab.host("standby").command("sh");
    command.args(["-c", &shell_loop(words)]).process_group(0);
    let mut shell = Child::spawn(command);
    settle(n);
    let over = outage(stage, fault);
    // The group: curl may hang, and would outlive its shell. The shell is not reaped, so the number is still its own.
    let ended = killpg(Pid::from_raw(shell.pid().cast_signed()), Signal::SIGKILL);
    shell.kill();
    stage.mend(fault);
    stage.tidy()?;
    ended.context("killpg")?;
    over
}
