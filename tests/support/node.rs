//! A node's folder by hand, and a stand-in for ha-node that keeps it: what operators' commands talk to.

#![allow(dead_code)] // each test uses a part of it

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Run, finish, path};

/// Reads orders from its pipe. What it then says of the cluster stands in the file next, with CAUSE for the words of the order.
/// STANDIN=fail ends at once, STANDIN=stay does not leave, STANDIN=deaf takes no orders.
const STAND_IN: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --run-dir) run=$2 ;; esac; shift; done
[ "${STANDIN-}" != fail ] || { echo 'ha-node: cannot do that' >&2; exit 70; }
mkdir -p "$run" && rm -f "$run/events" && mkfifo "$run/events" && exec 3<>"$run/events" || exit
trap 'rm -f "$run/pid" "$run/status"; exit 0' TERM
[ "${STANDIN-}" != stay ] || trap '' TERM
echo $$ >"$run/pid"
cp "$run/first" "$run/status.new" && mv "$run/status.new" "$run/status"
while :; do
    read -r line <&3 || continue
    [ "${STANDIN-}" != deaf ] || continue
    printf '%s\n' "$line" >>"$run/asked"
    cause=$(printf '%s\n' "$line" | sed 's/.*"cause":"\([^"]*\)".*/\1/')
    sed "s/CAUSE/$cause/" "$run/next" >"$run/status.new" && mv "$run/status.new" "$run/status"
done
"#;

/// A folder with everything of one node, gone with whatever runs there at the end of its test.
pub struct Node {
    /// The folder.
    pub dir: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Nothing runs in it yet.
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("takeover-node-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for folder in ["", "bin", "run", "ha.d", "state"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
            fs::set_permissions(dir.join(folder), Permissions::from_mode(0o755)).unwrap();
        }
        let node = Self { dir, child: None };
        node.write("bin/ha-node", STAND_IN);
        fs::set_permissions(node.dir.join("bin/ha-node"), Permissions::from_mode(0o755)).unwrap();
        node
    }

    /// A file below the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(if name.ends_with("authkeys") { 0o600 } else { 0o644 }))
            .unwrap();
        file
    }

    /// The text of a file below the folder; empty where there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// Where the node keeps its pipes.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The number of the process that says it is the node.
    pub fn pid(&self) -> i32 {
        self.read("run/pid").trim().parse().unwrap()
    }

    /// A command of ours, or a script by its path from the root of the project, with everything on PATH.
    pub fn command(&self, program: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = match program.starts_with("scripts/") {
            true => Command::new(root.join(program)),
            false => Command::new(program),
        };
        let commands = path("ha-event");
        let commands = commands.parent().unwrap();
        let line = format!("{}:{}:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.join("bin").display(), commands.display());
        command.stdin(Stdio::null()).env("LC_ALL", "C").env("PATH", line).current_dir(&self.dir);
        command
    }

    /// The same, run to its end.
    pub fn run(&self, program: &str, args: &[&str]) -> Run {
        finish(self.command(program).args(args))
    }

    /// Starts what stands in for ha-node, which begins with `first` and says `next` after an order.
    pub fn start(&mut self, first: &str, next: &str, mode: &str) {
        self.write("run/first", first);
        self.write("run/next", next);
        let mut command = self.command("bin/ha-node");
        command.arg("--run-dir").arg(self.run_dir()).env("STANDIN", mode).process_group_of_its_own();
        self.child = Some(command.spawn().unwrap());
        await_that(|| self.dir.join("run/status").exists());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = nix::unistd::Pid::from_raw(-i32::try_from(child.id()).unwrap());
            let _ = nix::sys::signal::kill(group, nix::sys::signal::Signal::SIGKILL);
            let _ = child.wait();
        }
    }

    /// As [`Node::start`], but any script in the place of the stand-in.
    pub fn start_script(&mut self, script: &str) {
        self.write("bin/ha-node", script);
        fs::set_permissions(self.dir.join("bin/ha-node"), Permissions::from_mode(0o755)).unwrap();
        self.child = Some(self.command("bin/ha-node").process_group_of_its_own().spawn().unwrap());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        // What an init script has started, if a test has failed before its end.
        if let Ok(pid) = self.read("run/pid").trim().parse::<i32>()
            && fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains(&*self.dir.to_string_lossy()))
        {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

trait Apart {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl Apart for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

/// Waits for something that another process is about to do.
pub fn await_that(is: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < until, "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Rows of a status file: two nodes, of which ha1 is this one, and a group each.
pub fn rows(groups: &[(&str, &str, Option<&str>, &str)]) -> String {
    let common = r#""at":"2026-11-21T01:20:30.123456Z","tool":"ha-decide""#;
    let mut text = format!(
        r#"{{{common},"event":"node-status","node":"ha1","is":"up","mine":true,"st":"active","links":[],"cause":null}}
{{{common},"event":"node-status","node":"ha2","is":"up","mine":false,"st":"active","links":["udp:694@eth0=up","serial:/dev/ttyS0@19200=dead"],"cause":null}}
"#
    );
    for (group, is, node, nodes) in groups {
        let node = node.map_or("null".to_owned(), |n| format!("\"{n}\""));
        let nodes = nodes.replace(',', "\",\"");
        text += &format!(
            r#"{{{common},"event":"group-status","group":"{group}","is":"{is}","node":{node},"nodes":["{nodes}"],"cause":"because"}}"#
        );
        text.push('\n');
    }
    text
}

/// The row with which an order was answered.
pub fn answered(refusals: &str) -> String {
    let refusals = if refusals.is_empty() { String::new() } else { format!("\"{refusals}\"") };
    format!(
        r#"{{"at":"2026-11-21T01:20:30.123456Z","tool":"ha-decide","event":"order-status","what":"standby","which":"all","cause":"CAUSE","refusals":[{refusals}]}}"#
    ) + "\n"
}
