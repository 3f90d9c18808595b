//! Thousands of targets in one process, each probed every second: whether any probe is late, and what it costs. Runs inside
//! a host, on its loopback, against a server of its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket};

use crate::process::{self, Line, cpu_of_children, high_water};
use crate::stats::{Bound, Row, Samples, millis};

const TARGETS: u16 = 5000;
const EVERY: Duration = Duration::from_secs(1);
/// How much later than its period a probe may begin: a tenth of it.
const LATE_MS: f64 = 100.0;
const MOST_MB: f64 = 100.0;
/// How long one run watches.
const LASTS: Duration = Duration::from_secs(12);
/// Before its end its memory is looked at.
const LOOK: Duration = Duration::from_millis(700);
const PORT: u16 = 8080;
/// Threads that serve it.
const SERVERS: usize = 4;

/// What one run of ours came to.
struct Outcome {
    /// How much later than its period the latest probe began, in ms.
    latest: f64,
    /// Of a hundred probes the hundredth latest, in ms.
    late: f64,
    /// Probes that could not tell: this machine was too busy.
    untold: f64,
    /// Probes a second.
    rate: f64,
    /// Peak memory, MB.
    peak: f64,
    /// CPU, ms for 1,000 probes.
    cpu: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tcp,
    Http,
    Ping,
}

impl Kind {
    const fn command(self) -> &'static str {
        match self {
            Self::Tcp => "probe-tcp",
            Self::Http => "probe-http",
            Self::Ping => "probe-ping",
        }
    }

    fn line(self, ip: Ipv4Addr) -> String {
        match self {
            Self::Tcp => format!("{{\"address\":\"{ip}:{PORT}\"}}\n"),
            Self::Http => format!("{{\"url\":\"http://{ip}:{PORT}/\"}}\n"),
            Self::Ping => format!("{{\"host\":\"{ip}\"}}\n"),
        }
    }
}

/// The folder of this run, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("lab-bench-scale-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn targets() -> impl Iterator<Item = Ipv4Addr> {
    (0..TARGETS).map(|n| Ipv4Addr::new(127, 1, (n / 250) as u8, (1 + n % 250) as u8))
}

/// Measures each kind in turn with its peer.
pub fn measure(bin: &Path, runs: usize, mut row: impl FnMut(Row)) -> anyhow::Result<()> {
    serve()?;
    let folder = Folder::new()?;
    let list = folder.0.join("list");
    fs::write(&list, targets().fold(String::new(), |text, ip| text + &ip.to_string() + "\n"))?;
    let urls = folder.0.join("urls");
    let mut config = String::new();
    for ip in targets() {
        writeln!(config, "url = http://{ip}:{PORT}/\noutput = /dev/null")?;
    }
    fs::write(&urls, config)?;
    let fping = Line::new("fping", &format!("-q -r 0 -t 1000 -i 0.2 -f {}", list.display()));
    let curl = Line::new("curl", &format!("-s --parallel --parallel-immediate -K {}", urls.display()));
    for (kind, peer) in [
        (Kind::Tcp, None),
        (Kind::Http, Some(("`curl --parallel` of the same URLs, once", curl))),
        (Kind::Ping, Some(("`fping -i 0.2` of the same hosts, once", fping))),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for n in 0..runs.max(1) {
            eprintln!("lab-bench: {} at scale, {} of {}", kind.command(), n + 1, runs.max(1));
            ours.push(watch(bin, kind, &folder.0).context(kind.command())?);
            if let Some((name, line)) = &peer {
                theirs.push(process::run(line).context(*name)?.cpu_ms / f64::from(TARGETS) * 1000.0);
            }
        }
        let of = |each: fn(&Outcome) -> f64| Samples::new(ours.iter().map(each).collect());
        let name = kind.command();
        let what = format!("`{name}`, {TARGETS} targets each second: probes a second");
        row(Row::new(what, of(|o| o.rate)));
        row(Row::new("the same: the latest probe, ms after its time", of(|o| o.latest)).bound(Bound::Every(LATE_MS)));
        row(Row::new("the same: of a hundred the latest, ms", of(|o| o.late)));
        row(Row::new("the same: probes that could not tell", of(|o| o.untold)).bound(Bound::Every(0.0)));
        row(Row::new("the same: peak memory, MB", of(|o| o.peak)).bound(Bound::Every(MOST_MB)));
        let cpu = Row::new("the same: CPU, ms for 1,000 probes", of(|o| o.cpu));
        row(match &peer {
            Some((name, _)) => cpu.beside(*name, Samples::new(theirs)),
            None => cpu,
        });
    }
    Ok(())
}

/// Watches all targets for a while.
fn watch(bin: &Path, kind: Kind, folder: &Path) -> anyhow::Result<Outcome> {
    let (lines, events) = (folder.join("lines"), folder.join("events"));
    fs::write(&lines, targets().map(|ip| kind.line(ip)).collect::<String>())?;
    let before = cpu_of_children()?;
    let mut command = Command::new(bin.join(kind.command()));
    command.args(["--every", &format!("{}ms", EVERY.as_millis()), "--for", &format!("{}ms", LASTS.as_millis())]);
    command.args(["--timeout", "1s", "--fields", "event,target,up,mono_ms,total_ms,cause", "-"]);
    command.stdin(File::open(&lines)?).stdout(File::create(&events)?);
    let mut child = Running(command.spawn().context("cannot be run")?);
    sleep(LASTS - LOOK);
    let peak = high_water(nix::unistd::Pid::from_raw(child.0.id().cast_signed())).context("no VmHWM")?;
    let status = child.0.wait()?;
    ensure!(status.success(), "it ended with {status}");
    let cpu = millis(cpu_of_children()?.saturating_sub(before));
    let mut began: HashMap<String, f64> = HashMap::new();
    let (mut late, mut probes, mut untold) = (Vec::new(), 0_u32, 0_u32);
    for line in fs::read_to_string(&events)?.lines() {
        let [event, target, up, at, total, cause] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("not six fields: {line}")
        };
        if event != "probe" {
            continue;
        }
        ensure!(up != "false", "{target} is healthy, and was called down: {cause}");
        untold += u32::from(up != "true");
        let (at, total): (f64, f64) = (at.parse()?, total.parse()?);
        probes += 1;
        // It is printed after it has ended: what lies between makes it later, never earlier.
        if let Some(last) = began.insert(target.to_owned(), at - total) {
            late.push(at - total - last - millis(EVERY));
        }
    }
    ensure!(began.len() == usize::from(TARGETS), "only {} of {TARGETS} targets were probed", began.len());
    late.sort_by(f64::total_cmp);
    let place = (late.len() * 99 / 100).min(late.len().saturating_sub(1));
    Ok(Outcome {
        latest: late.last().copied().context("no second probe")?,
        late: late.get(place).copied().unwrap_or_default(),
        untold: f64::from(untold),
        rate: f64::from(probes) / LASTS.as_secs_f64(),
        peak: peak as f64 / 1024.0,
        cpu: cpu / f64::from(probes) * 1000.0,
    })
}

/// A web server on every address of the loopback, which lasts as long as this process. Who says nothing and closes is served
/// as well; a few threads, so that nobody waits for one who is slow to.
fn serve() -> anyhow::Result<()> {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, PORT)).context("cannot bind")?;
    listen(&fd, Backlog::new(4096)?)?;
    let listener = std::net::TcpListener::from(fd);
    let listener = Arc::new(listener);
    for _ in 0..SERVERS {
        let listener = Arc::clone(&listener);
        thread::spawn(move || {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
            for mut stream in listener.incoming().flatten() {
                // Errors: it has gone already, which is its own affair.
                let _ = stream.set_read_timeout(Some(EVERY));
                if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                    let _ = stream.write_all(answer);
                }
            }
        });
    }
    Ok(())
}
