//! Disks and machines for the tests of shared storage: loop devices, and private mount and process namespaces with a /run of
//! their own. Whatever happens to a test, nothing is left: a disk goes with the shell that has it open, a machine with its
//! first process, and both end with the pipe that the test holds.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

#[path = "mod.rs"]
mod support;
pub use support::Run;

/// A bound for everything: only there so that a test cannot hang.
pub const LONG: Duration = Duration::from_secs(30);

/// A folder, gone at the end of its test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("storage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// An executable script.
    pub fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A shell that says one line when it is ready and then lives as long as its stdin.
struct Held {
    child: Child,
    line: String,
}

impl Held {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line: line.trim().to_owned() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A loop device with a file system.
pub struct Disk {
    held: Held,
    _folder: Folder,
}

impl Disk {
    /// 8 MiB with ext4 on them.
    pub fn new(name: &str) -> Self {
        Self::with(name, "mke2fs -q -t ext4 -O ^has_journal \"$1\"")
    }

    /// Without a file system.
    pub fn blank(name: &str) -> Self {
        Self::with(name, ":")
    }

    fn with(name: &str, format: &str) -> Self {
        let folder = Folder::new(&format!("disk-{name}"));
        // Detached while it is open, the device is freed with its last user. Another test may take a free one first.
        let script = format!(
            "truncate -s 8M \"$1\" && {format} || exit 1
             for try in 1 2 3 4 5 6 7 8 9; do
                 loop=$(losetup -f --show \"$1\") && break
             done
             exec 9<\"$loop\" && losetup -d \"$loop\" && echo \"$loop\" && exec cat"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", &folder.path("image")]);
        let held = Held::start(command);
        assert!(held.line.starts_with("/dev/loop"), "no loop device: '{}'", held.line);
        Self { held, _folder: folder }
    }

    pub fn dev(&self) -> &str {
        &self.held.line
    }
}

/// A machine: its own mounts, its own processes, its own /run with the folders /run/m and /run/n.
pub struct Machine {
    held: Held,
    /// Of its first process, as seen here.
    pid: String,
    /// Before PATH.
    pub path: Option<String>,
}

impl Machine {
    pub fn new() -> Self {
        let script = "mount -t tmpfs -o mode=755 run /run && mkdir /run/m /run/n && echo ready && exec cat";
        let mut command = Command::new("unshare");
        command.args(["-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c", script]);
        let held = Held::start(command);
        assert_eq!(held.line, "ready");
        let children = format!("/proc/{0}/task/{0}/children", held.child.id());
        let pid = std::fs::read_to_string(children).unwrap().split_whitespace().next().unwrap().to_owned();
        Self { held, pid, path: None }
    }

    /// A command inside; the first word may be one of ours.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid, "-m", "-p", "--"]);
        let own = support::path(words[0]);
        command.arg(if own.exists() { own.as_os_str() } else { words[0].as_ref() });
        let bin = support::path("fs-claim").parent().unwrap().to_str().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap();
        let before = self.path.as_ref().map_or_else(String::new, |p| format!("{p}:"));
        command.env("PATH", format!("{before}{bin}:{path}:/usr/sbin:/sbin"));
        command.args(&words[1..]).stdin(Stdio::null()).env("LC_ALL", "C").env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, line: &str) -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        support::finish(&mut self.command(&words))
    }

    /// A script that has to succeed; its stdout.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let run = support::finish(&mut self.command(&["sh", "-c", script]));
        run.ends_with(0);
        run.stdout.trim().to_owned()
    }

    /// A process of the machine, until it is dropped; it has said its first line.
    pub fn start(&self, script: &str) -> Process {
        let mut child =
            self.command(&["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Process { child, said: line.trim().to_owned() }
    }

    /// Where a source is mounted.
    pub fn mounted(&self, point: &str) -> Option<String> {
        let table = self.sh("cat /proc/self/mountinfo");
        let line = table.lines().rev().find(|l| l.split(' ').nth(4) == Some(point))?;
        line.split(" - ").nth(1)?.split(' ').nth(1).map(str::to_owned)
    }

    /// The record of a mount point.
    pub fn record(&self, name: &str) -> Option<Value> {
        let text = self.sh(&format!("cat /run/takeover/fs/{name}.json 2>/dev/null || :"));
        serde_json::from_str(&text).ok()
    }

    /// Whether a process runs.
    pub fn runs(&self, pid: &Value) -> bool {
        let stat = self.sh(&format!("cat /proc/{pid}/stat 2>/dev/null || :"));
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    }
}

/// A process of a machine.
pub struct Process {
    child: Child,
    /// Its first line.
    pub said: String,
}

impl Process {
    /// The number that it said.
    pub fn pid(&self) -> Value {
        self.said.parse::<u32>().unwrap().into()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The event of that name.
#[track_caller]
pub fn event(run: &Run, name: &str) -> Map<String, Value> {
    let found = run.events().into_iter().find(|e| e["event"] == name);
    found.unwrap_or_else(|| panic!("no event {name}: {run:#?}"))
}

/// Whether a path is there.
pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
