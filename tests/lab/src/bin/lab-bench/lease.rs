//! How long an address stays on a machine whose holder was killed or frozen. Runs inside a host.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use takeover::net::address;
use takeover::net::netlink::Netlink;

use crate::stats::{Bound, Row, Samples, millis};

/// What a holder that is not told otherwise leases, and what the kernel's clock and ours may add.
const LEASE: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_millis(1500);
/// How long to look at an address that stays.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks: the resolution of the result.
const LOOK: Duration = Duration::from_millis(5);
/// Between the ends of two holders, so that they hit different points of a renewal.
const STAGGER: Duration = Duration::from_millis(170);

/// A child that ends with us.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures both faults, beside keepalived whose processes are all killed.
pub fn measure(bin: &Path, runs: usize, mut row: impl FnMut(Row)) -> anyhow::Result<()> {
    let keepalived = keepalived()?;
    for (signal, words) in [(Signal::SIGKILL, "killed"), (Signal::SIGSTOP, "frozen")] {
        let times = ours(bin, runs, signal).with_context(|| format!("holders {words}"))?;
        let mut built = Row::new(format!("holder {words}: until the address is gone, ms"), Samples::new(times))
            .bound(Bound::Every(millis(LEASE + SLACK)))
            .longest(millis(PATIENCE));
        if signal == Signal::SIGKILL {
            built = built.beside("keepalived, all processes killed", Samples::new(vec![keepalived]));
        }
        row(built);
    }
    Ok(())
}

fn there(netlink: &mut Netlink, ip: IpAddr) -> anyhow::Result<bool> {
    Ok(address::list(netlink, ip)?.iter().any(|a| a.address.ip == ip))
}

/// Waits until the address is there.
fn until_there(netlink: &mut Netlink, ip: IpAddr) -> anyhow::Result<()> {
    let start = Instant::now();
    while !there(netlink, ip)? {
        ensure!(start.elapsed() < PATIENCE, "{ip} does not come");
        sleep(LOOK);
    }
    Ok(())
}

/// One holder an address, all of them at once; returns how long each address stayed.
fn ours(bin: &Path, runs: usize, signal: Signal) -> anyhow::Result<Vec<f64>> {
    let mut netlink = Netlink::open()?;
    let mut holders = Vec::new();
    for n in 0..runs {
        let ip: IpAddr = format!("10.9.0.{}", 100 + n).parse()?;
        let mut command = Command::new(bin.join("vip-take"));
        command.args([&format!("{ip}/24"), "--dev", "eth0", "--hold", "--probe", "off"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("vip-take")?;
        holders.push((ip, Holder(child), None, None));
    }
    for (ip, ..) in &holders {
        until_there(&mut netlink, *ip)?;
    }
    let start = Instant::now();
    while holders.iter().any(|(.., gone)| gone.is_none()) && start.elapsed() < PATIENCE {
        for (n, (ip, holder, hit, gone)) in holders.iter_mut().enumerate() {
            match hit {
                None if start.elapsed() >= STAGGER * n as u32 => {
                    kill(Pid::from_raw(holder.0.id().cast_signed()), signal).context("kill")?;
                    *hit = Some(Instant::now());
                }
                Some(hit) if gone.is_none() && !there(&mut netlink, *ip)? => *gone = Some(hit.elapsed()),
                _ => {}
            }
        }
        sleep(LOOK);
    }
    Ok(holders.iter().map(|(.., gone)| gone.map_or(f64::INFINITY, millis)).collect())
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Kills all processes of a keepalived that is master; returns how long its address stayed, in ms.
fn keepalived() -> anyhow::Result<f64> {
    const VIP: &str = "10.9.0.90";
    let folder = Folder(std::env::temp_dir().join(format!("lab-bench-{}", std::process::id())));
    fs::create_dir(&folder.0).context("cannot make a folder")?;
    let at = |name: &str| folder.0.join(name);
    let configuration = format!(
        "vrrp_instance one {{\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 200\n advert_int 1\n \
         virtual_ipaddress {{\n  {VIP}/24\n }}\n}}\n"
    );
    fs::write(at("conf"), configuration).context("cannot write keepalived's configuration")?;
    let mut command = Command::new("keepalived");
    command.args(["--dont-fork", "--vrrp", "--log-console"]);
    command.arg("--use-file").arg(at("conf")).arg("--pid").arg(at("pid")).arg("--vrrp_pid").arg(at("vrrp"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = Holder(command.spawn().context("keepalived")?);
    let mut netlink = Netlink::open()?;
    let ip: IpAddr = VIP.parse()?;
    until_there(&mut netlink, ip).context("keepalived")?;
    let id = parent.0.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).context("keepalived's children")?;
    // The parent first: it would start them again. It stays unreaped meanwhile, and so do they: init has no time.
    parent.0.kill().context("kill")?;
    for child in children.split_whitespace() {
        kill(Pid::from_raw(child.parse()?), Signal::SIGKILL).context("kill")?;
    }
    if children.is_empty() {
        bail!("keepalived has no child: was it running?");
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if !there(&mut netlink, ip)? {
            return Ok(millis(start.elapsed()));
        }
        sleep(LOOK * 20);
    }
    Ok(f64::INFINITY)
}
