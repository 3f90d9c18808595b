//! Real processes that hold a lease, stopped and killed at random: on a file, and on a loop device where we may make one.
// clippy.toml allows these in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder, and perhaps a loop device, gone at the end.
struct Place {
    dir: PathBuf,
    device: PathBuf,
    looped: bool,
}

impl Place {
    fn new(name: &str, wants_loop: bool) -> Option<Self> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lease-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("lease");
        std::fs::write(&file, vec![0; 128 << 10]).unwrap();
        let mut place = Self { dir, device: file, looped: false };
        if wants_loop {
            let made = Command::new("losetup").args(["--show", "-f"]).arg(&place.device).output().ok()?;
            let device = String::from_utf8(made.stdout).unwrap();
            if !made.status.success() {
                eprintln!("no loop device here: {}", String::from_utf8_lossy(&made.stderr));
                return None;
            }
            (place.device, place.looped) = (device.trim().into(), true);
        }
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.looped {
            let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn never_two(name: &str, wants_loop: bool, nodes: &str, seed: &str) {
    let Some(place) = Place::new(name, wants_loop) else { return };
    let run = Command::new(env!("CARGO_BIN_EXE_lab-lease"))
        .arg("run")
        .arg(&place.device)
        .args(["--nodes", nodes, "--lease", "1s", "--time", "12s", "--seed", seed, "--log"])
        .arg(place.dir.join("log"))
        .output()
        .unwrap();
    let figures = String::from_utf8_lossy(&run.stdout).into_owned();
    let log = std::fs::read_to_string(place.dir.join("log")).unwrap_or_default();
    assert_eq!(run.status.code(), Some(0), "{figures}{}\n{log}", String::from_utf8_lossy(&run.stderr));
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    // It tried: processes were harmed, and somebody had the lease.
    assert!(figures["tenures"].as_u64() > Some(0) && figures["lives"].as_u64() > Some(1), "{figures}\n{log}");
}

#[test]
fn two_on_a_file() {
    never_two("file", false, "2", "5");
}

#[test]
fn three_on_a_loop_device() {
    never_two("loop", true, "3", "6");
}

/// The judge would see it if two overlapped.
#[test]
fn the_judge_sees_an_overlap() {
    let place = Place::new("judge", false).unwrap();
    let log = place.dir.join("log");
    std::fs::write(
        &log,
        "a belief 1 1000000 1750000\nb belief 1 1700000 2400000\n", // microseconds
    )
    .unwrap();
    let judged = Command::new(env!("CARGO_BIN_EXE_lab-lease"))
        .args(["judge", "--lease", "1s", "--log"])
        .arg(&log)
        .output()
        .unwrap();
    assert_eq!(judged.status.code(), Some(1), "{judged:?}");
    // Given up before: no overlap.
    std::fs::write(&log, "a belief 1 1000000 1750000\na released 1 1650000\nb belief 2 1700000 2400000\n").unwrap();
    let judged = Command::new(env!("CARGO_BIN_EXE_lab-lease"))
        .args(["judge", "--lease", "1s", "--log"])
        .arg(&log)
        .output()
        .unwrap();
    assert_eq!(judged.status.code(), Some(0), "{judged:?}");
}

/// A file system that is frozen while the test wants it so; thawed and unmounted at the end.
struct Frozen(PathBuf);

impl Frozen {
    fn tool(&self, tool: &str, flag: &str) -> bool {
        Command::new(tool).arg(flag).arg(&self.0).status().is_ok_and(|s| s.success())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.tool("fsfreeze", "-u");
        self.tool("umount", "-l");
    }
}

/// Its writes hang in the kernel, where no signal ends them; who holds the lease knows that it is lost all the same.
#[test]
fn a_device_that_hangs() {
    let Some(place) = Place::new("hangs", false) else { return };
    let (image, mount) = (place.dir.join("image"), place.dir.join("mount"));
    std::fs::create_dir(&mount).unwrap();
    std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status().is_ok_and(|s| s.success())
        && Command::new("mount").args(["-o", "loop"]).args([&image, &mount]).status().is_ok_and(|s| s.success());
    if !made {
        eprintln!("no file system can be mounted here");
        return;
    }
    let frozen = Frozen(mount.clone());
    let (lease, log) = (mount.join("lease"), place.dir.join("log"));
    std::fs::write(&lease, [0; 8192]).unwrap();
    let mut holder = Command::new(env!("CARGO_BIN_EXE_lab-lease"))
        .arg("hold")
        .arg(&lease)
        .args(["--node", "a", "--lease", "1s", "--forever", "--log"])
        .arg(&log)
        .spawn()
        .unwrap();
    let says = |words: &str| {
        let found = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            std::fs::read_to_string(&log).unwrap_or_default().contains(words)
        });
        (found, std::fs::read_to_string(&log).unwrap_or_default())
    };
    let held = says("a belief 1");
    let froze = held.0 && frozen.tool("fsfreeze", "-f");
    let lost = froze.then(|| says("a lost 1"));
    drop(frozen);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (lost, log) = lost.unwrap_or(held);
    assert!(lost && log.contains("could not be renewed in time"), "{log}");
}
