//! Whole nodes of a cluster: `ha-node` with all its parts on hosts of the lab.
//!
//! Each node is a process namespace of its own, so that killing its first process kills all of it while its kernel, and
//! the addresses in it, live on. Its mounts are its own, too: they go with its last process.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "hosts.rs"]
pub mod hosts;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hosts::{eventually, has};
use serde_json::Value;
use takeover_lab::{Child, Host, Lab, Signal, tool};

/// The times of these clusters: short, but long enough for a machine that runs several tests.
pub const TIMES: &str = "keepalive 100ms\ndeadtime 800ms\ninitdead 2\nudpport 694\n";
pub const VIP: &str = "10.9.0.100";

/// One node: its folders, its host, and its processes while it runs.
pub struct Node<'a> {
    pub name: String,
    pub host: Host<'a>,
    pub dir: PathBuf,
    pub child: Option<Child>,
    /// The longest that a start or stop of a resource may take.
    pub timeout: &'static str,
    /// Shell that runs in its namespaces before it: mounts of its own.
    pub before: String,
}

impl<'a> Node<'a> {
    pub fn new(lab: &'a Lab, name: &str, ha_cf: &str, haresources: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("cluster-test-{}-{n}-{name}", std::process::id()));
        let ha_d = dir.join("ha.d");
        std::fs::create_dir_all(ha_d.join("resource.d")).unwrap();
        std::fs::write(ha_d.join("ha.cf"), format!("{TIMES}{ha_cf}")).unwrap();
        std::fs::write(ha_d.join("haresources"), haresources).unwrap();
        let keys = ha_d.join("authkeys");
        std::fs::write(&keys, "auth 1\n1 sha1 secret\n").unwrap();
        support_mode(&keys, 0o600);
        Self { name: name.to_owned(), host: lab.host(name), dir, child: None, timeout: "10s", before: ":".to_owned() }
    }

    /// A resource script of the node's own, that does what `text` says on start, stop and status.
    pub fn script(&self, name: &str, text: &str) {
        let path = self.dir.join("ha.d/resource.d").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        support_mode(&path, 0o755);
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    pub fn start(&mut self) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let bin = tool("ha-decide").parent().unwrap().to_owned();
        let path = format!("{}:{}:{}", bin.display(), scripts.display(), std::env::var("PATH").unwrap());
        let mut command = self.host.command("unshare");
        command
            .args(["-pfm", "--mount-proc", "--propagation", "slave", "--kill-child"])
            .args(["sh", "-c", &format!("{} && exec ha-node \"$@\"", self.before), "sh"])
            .args(["--ha-d", &self.path("ha.d"), "--node", &self.name, "--run-dir", &self.path("run")])
            .args(["--state-dir", &self.path("state"), "--timeout", self.timeout])
            .env("PATH", path)
            .env("TAKEOVER_RESOURCE_D", scripts.join("resource.d"))
            .env("TAKEOVER_LOCKS", self.path("locks"));
        self.child = Some(Child::spawn(command));
    }

    /// Every process of it dies at once; its kernel lives.
    pub fn kill(&mut self) {
        self.child.take().unwrap().kill();
    }

    /// The polite leave; the shell is the first process of its namespace, a child of unshare.
    pub fn leave(&mut self) {
        let pid = self.pid("/ha-node ").expect("it runs");
        signal(pid, Signal::SIGTERM);
        self.ended(0);
    }

    /// It ends by itself, with this status.
    #[track_caller]
    pub fn ended(&mut self, status: i32) {
        let is = self.child.as_mut().unwrap().wait(hosts::LONG);
        assert_eq!(is, status, "{}", self.log());
        self.child = None;
    }

    /// What ha-status says of it for a person.
    pub fn status(&self) -> String {
        let pid = self.pid("/ha-node ").expect("it runs").to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-a", "--"]).arg(tool("ha-status")).args(["--human", "--run-dir", &self.path("run")]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A file as the node's own processes see it, in what is mounted for them alone.
    pub fn within(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid("/ha-node ").expect("it runs")));
        root.join(self.dir.join(name).strip_prefix("/").unwrap())
    }

    /// Stops being a node without another word.
    pub fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// The holder of its only address.
    pub fn holder(&self) -> Option<i32> {
        outside(self, self.held()?.split_whitespace().next()?.parse().ok()?)
    }

    /// Whether the holder of its only address has announced it, and so is through with its start.
    pub fn announced(&self) -> bool {
        self.held().is_some_and(|text| text.contains("announced"))
    }

    /// What that holder has to say.
    fn held(&self) -> Option<String> {
        let file = std::fs::read_dir(self.dir.join("run/holders")).ok()?.flatten().next()?;
        std::fs::read_to_string(file.path()).ok()
    }

    /// A process of the node by the beginning of its command line.
    pub fn pid(&self, word: &str) -> Option<i32> {
        let mark = self.dir.display().to_string();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        let wanted = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let head: String = line.chars().take(80).collect();
            line.contains(&mark) && head.contains(word) && !head.starts_with("unshare") && !head.contains("lab run")
        };
        // The parts' own shells have the command line of the first one.
        let first = |pid: &i32| !word.contains("ha-node") || inside(*pid) == Some(1);
        pids.filter(wanted).find(first)
    }

    pub fn ask(&self, words: &[&str]) {
        let mut command = self.host.tool("ha-event");
        let pipe = std::fs::File::options().read(true).write(true).open(self.dir.join("run/events")).unwrap();
        let done = command.args(["--tool", "ha-node", "asked"]).args(words).stdout(Stdio::from(pipe)).status().unwrap();
        assert!(done.success());
    }

    pub fn has(&self, address: &str) -> bool {
        has(self.host, address)
    }

    pub fn log(&self) -> String {
        format!("{}:\n{}", self.name, self.child.as_ref().map(Child::words).unwrap_or_default())
    }

    /// What ha-decide was told and said, as it was written down.
    pub fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("state/events.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What it thinks of the other node on a medium whose name has this word in it.
    pub fn link(&self, medium: &str) -> String {
        let of = |e: &&Value| e["event"] == "link" && e["medium"].as_str().is_some_and(|m| m.contains(medium));
        let last = self.journal().iter().rev().find(of).map(|e| e["is"].as_str().unwrap().to_owned());
        last.unwrap_or_default()
    }

    /// For how long no probe of this host has had an answer, in milliseconds.
    pub fn misses(&self, host: &str) -> f64 {
        let journal = self.journal();
        let probes = journal.iter().rev().filter(|e| e["event"] == "probe" && e["target"] == host);
        let missed: Vec<f64> =
            probes.take_while(|e| e["up"] == false).map(|e| e["mono_ms"].as_f64().unwrap()).collect();
        missed.first().zip(missed.last()).map_or(0.0, |(last, first)| last - first)
    }

    pub fn decided(&self, event: &str) -> usize {
        self.journal().iter().filter(|e| e["tool"] == "ha-decide" && e["event"] == event).count()
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.end();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn support_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub fn signal(pid: i32, signal: Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Which nodes have an address.
pub fn holders(nodes: &[&Node], address: &str) -> Vec<String> {
    nodes.iter().filter(|n| n.has(address)).map(|n| n.name.clone()).collect()
}

/// Waits until this node alone has the address, and all say so.
#[track_caller]
pub fn settled(nodes: &[&Node], address: &str, on: &str) {
    eventually(&format!("{address} is on {on} alone"), || holders(nodes, address) == [on]);
}

pub fn pair(lab: &Lab) -> (Node<'_>, Node<'_>) {
    pair_with(lab, "bcast eth0\nnode ha1 ha2\nauto_failback on\n", &format!("ha1 {VIP}/24/eth0 Flag\n"))
}

pub fn pair_with<'a>(lab: &'a Lab, ha_cf: &str, haresources: &str) -> (Node<'a>, Node<'a>) {
    let nodes = ["ha1", "ha2"].map(|name| {
        let node = Node::new(lab, name, ha_cf, haresources);
        let flag = node.path("flag");
        node.script(
            "Flag",
            &format!(
                "case $1 in start) touch {flag} ;; stop) rm -f {flag} ;; status) [ -e {flag} ] && echo running || \
                 echo stopped: not running ;; esac"
            ),
        );
        node
    });
    let [a, b] = nodes;
    (a, b)
}

pub fn two() -> Lab {
    Lab::up(&[("ha1", "10.9.0.1/24"), ("ha2", "10.9.0.2/24")])
}

pub fn flagged(node: &Node) -> bool {
    node.dir.join("flag").exists()
}

/// The pid that a process of the node has outside of its namespace.
pub fn outside(node: &Node, pid: i32) -> Option<i32> {
    let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = space(node.pid("/ha-node ")?);
    let pids = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|p| space(*p) == wanted).find(|p| inside(*p) == Some(pid))
}

/// The pid that a process has in its own namespace.
pub fn inside(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}
