//! Resources through run-resource, beside the OCF agents as plain scripts, and what run-resource itself adds to a script.
//! Runs inside a host, as root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::oneshot::Service;
use crate::process::{Cost, Line, run_with_orphans};
use crate::stats::{Bound, Row, Samples};

const ADDRESS: &str = "10.9.0.50";
const OCF: &str = "/usr/lib/ocf";

/// Most of the peer's time, wall and CPU.
const ADDRESSES: f64 = 0.2;
const FILE_SYSTEMS: f64 = 0.25;

/// What run-resource may add to a script, in milliseconds.
const OVERHEAD_MS: f64 = 2.0;

/// Measures all of it, each so often.
pub fn measure(bin: &Path, runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let site = Site::new(bin)?;
    addresses(&site, runs, row)?;
    overhead(&site, runs, row)?;
    match bin.join("fs-claim").exists() {
        true => file_systems(&site, runs, row)?,
        false => eprintln!("lab-bench: there is no fs-claim: Filesystem is left out"),
    }
    Ok(())
}

/// A folder of files, gone with this.
struct Site {
    bin: PathBuf,
    dir: PathBuf,
}

impl Site {
    fn new(bin: &Path) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("lab-bench-resource-{}", std::process::id()));
        let site = Self { bin: bin.to_owned(), dir };
        for folder in ["resource.d", "rsctmp", "mnt", "shipped"] {
            fs::create_dir_all(site.dir.join(folder))?;
        }
        // As installed: nobody else may write them, whatever the modes of this source tree.
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/resource.d");
        for entry in fs::read_dir(scripts)? {
            let entry = entry?;
            fs::copy(entry.path(), site.dir.join("shipped").join(entry.file_name()))?;
        }
        fs::write(site.dir.join("resource.d/Nothing"), "#!/bin/sh\necho running\n")?;
        fs::set_permissions(site.dir.join("resource.d/Nothing"), Permissions::from_mode(0o755))?;
        Ok(site)
    }

    fn ours(&self, words: &str) -> Line {
        let line = Line::new(self.bin.join("run-resource"), &format!("--ha-d {} {words}", self.dir.display()));
        line.env("TAKEOVER_RESOURCE_D", self.dir.join("shipped").to_string_lossy())
    }

    /// An OCF agent as a plain script, with these parameters.
    fn ocf(&self, agent: &str, action: &str, parameters: &[(&str, &str)]) -> Line {
        let script = format!("{OCF}/resource.d/heartbeat/{agent}");
        let line = Line::new(script, action).env("OCF_ROOT", OCF).env("OCF_RESOURCE_INSTANCE", "bench");
        let line = line.env("HA_RSCTMP", self.dir.join("rsctmp").to_string_lossy());
        parameters.iter().fold(line, |line, (name, value)| line.env(&format!("OCF_RESKEY_{name}"), *value))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Runs both in turn, each after `before`, and once uncounted.
fn in_turn(
    runs: usize,
    ours: &Line,
    peer: &Line,
    mut before: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<Cost>, Vec<Cost>)> {
    let mut once = |line: &Line| {
        before()?;
        run_with_orphans(line)
    };
    once(ours)?;
    once(peer)?;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        a.push(once(ours)?);
        b.push(once(peer)?);
    }
    Ok((a, b))
}

/// A row for the wall and one for the CPU.
fn rows(what: &str, peer: &str, (ours, theirs): &(Vec<Cost>, Vec<Cost>), most: f64, row: &mut impl FnMut(Row)) {
    let mut one = |unit: &str, part: fn(&Cost) -> f64| {
        let of = |costs: &[Cost]| Samples::new(costs.iter().map(part).collect());
        let samples = Row::new(format!("{what}, {unit}, ms"), of(ours));
        row(samples.beside(peer, of(theirs)).bound(Bound::Times(most)));
    };
    one("wall", |c| c.wall_ms);
    one("CPU", |c| c.cpu_ms);
}

fn addresses(site: &Site, runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let mut service = Service::new(ADDRESS)?;
    let parameters = [("ip", ADDRESS), ("cidr_netmask", "24"), ("nic", "eth0")];
    for (action, theirs, present) in [("start", "start", false), ("status", "monitor", true), ("stop", "stop", true)] {
        let ours = site.ours(&format!("{action} {ADDRESS}/24/eth0"));
        let peer = site.ocf("IPaddr2", theirs, &parameters);
        let costs = in_turn(runs, &ours, &peer, || if present { service.set() } else { service.clear() })?;
        let what = format!("`run-resource {action} {ADDRESS}/24/eth0`");
        rows(&what, &format!("OCF IPaddr2 {theirs}"), &costs, ADDRESSES, row);
    }
    service.clear()
}

fn overhead(site: &Site, runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let ours = site.ours("status Nothing");
    let script = Line::new(site.dir.join("resource.d/Nothing"), "status");
    // A difference of two times that are nearly as long as it: more of them, and what any process costs here beside it.
    let (with, alone) = in_turn(4 * runs, &ours, &script, || Ok(()))?;
    let (_, floor) = in_turn(runs, &script, &Line::new("true", ""), || Ok(()))?;
    let added = with.iter().zip(&alone).map(|(a, b)| a.wall_ms - b.wall_ms).collect();
    let floor = floor.iter().map(|c| c.wall_ms).collect();
    row(Row::new("what `run-resource status` adds to a script, wall, ms", Samples::new(added))
        .beside("`true`, all of it", Samples::new(floor))
        .bound(Bound::Median(OVERHEAD_MS)));
    Ok(())
}

/// A loop device, given back with this.
struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

fn file_systems(site: &Site, runs: usize, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let image = site.dir.join("disk.img").display().to_string();
    let make = format!("truncate -s 64M {image} && mkfs.ext4 -qF {image} && losetup -f --show {image}");
    let output = Command::new("sh").arg("-c").arg(make).output().context("a loop device")?;
    ensure!(output.status.success(), "no loop device: {}", String::from_utf8_lossy(&output.stderr));
    let device = Loop(String::from_utf8(output.stdout)?.trim().to_owned());
    let mount_point = site.dir.join("mnt").display().to_string();
    let spec = format!("Filesystem::{}::{mount_point}::ext4", device.0);
    let parameters = [("device", device.0.as_str()), ("directory", &mount_point), ("fstype", "ext4")];
    for (action, theirs, mounted) in [("start", "start", false), ("status", "monitor", true), ("stop", "stop", true)] {
        let (ours, peer) = (site.ours(&format!("{action} {spec}")), site.ocf("Filesystem", theirs, &parameters));
        let (start, stop) = (site.ours(&format!("start {spec}")), site.ours(&format!("stop {spec}")));
        let (claim, free) = (|| run_with_orphans(&start).map(drop), || run_with_orphans(&stop).map(drop));
        // A start of ours goes before each stop of theirs as well: a claim that is left would be told of, not taken.
        let costs = in_turn(runs, &ours, &peer, || if mounted { claim() } else { free() })?;
        rows(
            &format!("`run-resource {action}` of a Filesystem"),
            &format!("OCF Filesystem {theirs}"),
            &costs,
            FILE_SYSTEMS,
            row,
        );
    }
    run_with_orphans(&site.ours(&format!("stop {spec}"))).map(drop)
}
