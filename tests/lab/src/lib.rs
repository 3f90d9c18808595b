//! Test hosts as network namespaces on one bridge, and children that cannot outlive their test.
//!
//! The namespaces themselves are made by the script `lab` beside this file's folder, which shell scripts use as well;
//! here is what a Rust test needs on top of it. Everything in this library runs in tests: what goes wrong is a panic
//! that says so.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

mod child;
pub mod heartbeat;
pub mod serial;

pub use child::Child;
pub use nix::sys::signal::Signal;

/// The script that makes the namespaces.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab")
}

/// The path of a binary of this workspace, built by the same cargo run or an earlier one.
pub fn tool(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|e| panic!("where is this test's own binary: {e}"));
    // Tests lie in target/PROFILE/deps, the binaries one up.
    let here = test.parent().unwrap_or(Path::new("."));
    let folder = if here.ends_with("deps") { here.parent().unwrap_or(here) } else { here };
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

/// A folder for one test, unlike any other; whoever asks for it removes it.
fn fresh_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("takeover-lab-{}-{count}", std::process::id()))
}

/// A way to cut a host off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The host's own interface loses its carrier: a pulled cable.
    Carrier,
    /// The carrier stays and nothing passes: a crash or a partition, as the others see it.
    Silent,
}

/// What the script says of one host.
#[derive(Clone, Debug)]
struct Facts {
    name: String,
    pid: String,
    address: Ipv4Addr,
    address6: Ipv6Addr,
    prefix: u8,
    mac: String,
}

impl Facts {
    /// Reads a line of `lab show`: name, pid, IPv4/prefix, IPv6/prefix, MAC.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let pid = words.next()?.to_owned();
        let (address, prefix) = words.next()?.split_once('/')?;
        let (address6, _) = words.next()?.split_once('/')?;
        Some(Self {
            name,
            pid,
            address: address.parse().ok()?,
            address6: address6.parse().ok()?,
            prefix: prefix.parse().ok()?,
            mac: words.next()?.to_owned(),
        })
    }
}

/// Hosts on one bridge. Dropping it, also in a panic, ends everything that runs in them; should this process be killed,
/// the lab notices and ends by itself.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    hosts: Vec<Facts>,
    /// The script of `lab up`, long finished: its standard input, held open, is what the lab lives by.
    _tie: std::process::ChildStdin,
}

impl Lab {
    /// Builds a lab of hosts given as name and `IPv4/prefix`; ready to be used when it returns. Works as root and as an
    /// ordinary user, where the kernel lets one have namespaces.
    ///
    /// # Panics
    /// With the remedy when this machine does not allow it: a test that cannot run has not passed.
    #[track_caller]
    pub fn up(hosts: &[(&str, &str)]) -> Self {
        Self::build(hosts, Command::new(script()))
    }

    /// Builds a lab without a user namespace, for programs that become other users: those exist there.
    ///
    /// # Panics
    /// As [`Lab::up`], and for everybody but root.
    #[track_caller]
    pub fn up_as_root(hosts: &[(&str, &str)]) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test runs real heartbeat, which becomes other users and so needs root: run it as root"
        );
        let mut up = Command::new(script());
        up.env("LAB_USERNS", "no");
        Self::build(hosts, up)
    }

    #[track_caller]
    fn build(hosts: &[(&str, &str)], mut up: Command) -> Self {
        let dir = fresh_folder();
        up.arg("up").arg("--tie").arg(&dir).args(hosts.iter().map(|(name, address)| format!("{name}={address}")));
        up.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut up = up.spawn().unwrap_or_else(|e| panic!("{}: {e}", script().display()));
        let tie = up.stdin.take();
        let mut words = String::new();
        if let Some(stderr) = up.stderr.as_mut() {
            let _ = stderr.read_to_string(&mut words);
        }
        let done = up.wait();
        assert!(done.is_ok_and(|status| status.success()), "no lab: {words}");
        let tie = tie.unwrap_or_else(|| panic!("the lab's standard input was piped"));
        let mut lab = Self { dir, hosts: Vec::new(), _tie: tie };
        lab.hosts = lab.script(&["show"], &[]).lines().filter_map(Facts::parse).collect();
        assert_eq!(lab.hosts.len(), hosts.len(), "the lab has the hosts that it was asked for");
        lab
    }

    /// The folder with the lab's state, for `lab …` commands of a script.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// One of the hosts.
    #[track_caller]
    pub fn host(&self, name: &str) -> Host<'_> {
        let facts = self.hosts.iter().find(|host| host.name == name);
        Host { lab: self, facts: facts.unwrap_or_else(|| panic!("the lab has no host '{name}'")) }
    }

    /// Lays a cable of its own between two hosts, beside the bridge: an interface of that name in both, up, with these
    /// addresses, `ADDRESS/PREFIX` of either family.
    #[track_caller]
    pub fn wire(&self, name: &str, ends: [(&str, &[String]); 2]) {
        let [(here, _), (there, _)] = ends;
        let there = &self.host(there).facts.pid;
        self.host(here).sh(&format!("ip link add {name} type veth peer name {name} netns {there}"));
        for (host, addresses) in ends {
            let add = |address: &String| {
                // Otherwise a new address is unusable for a second (IPv6), or has no broadcast (IPv4).
                let kind = if address.contains(':') { "nodad" } else { "broadcast +" };
                format!("ip address add {address} {kind} dev {name}; ")
            };
            let add: String = addresses.iter().map(add).collect();
            self.host(host).sh(&format!("{add} ip link set {name} up"));
        }
        // The kernel sees the carrier a moment after both ends are up, and gives multicast its routes then.
        for (host, _) in ends {
            let there = format!("ip -6 route show table local type multicast | grep -qw {name}");
            self.host(host).sh(&format!("n=0; until {there}; do n=$((n + 1)); [ $n -lt 1000 ]; sleep 0.005; done"));
        }
    }

    /// Runs `lab COMMAND DIR ARGUMENTS…`; returns what it printed.
    #[track_caller]
    fn script(&self, command: &[&str], arguments: &[&str]) -> String {
        let output = Command::new(script())
            .args(command)
            .arg(&self.dir)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{}: {e}", script().display()));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab {command:?} {arguments:?}: {}: {words}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = Command::new(script()).arg("down").arg(&self.dir).stdin(Stdio::null()).output();
        let wrong = match down {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(e) => e.to_string(),
        };
        // A second panic would abort and hide the first.
        if std::thread::panicking() {
            eprintln!("the lab in {} is not down: {wrong}", self.dir.display());
        } else {
            panic!("the lab in {} is not down: {wrong}", self.dir.display());
        }
    }
}

/// One host of a lab.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    lab: &'a Lab,
    facts: &'a Facts,
}

impl Host<'_> {
    /// The host's name in the lab, which is also its host name inside.
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Its IPv4 address on `eth0`.
    pub fn ip(&self) -> IpAddr {
        self.facts.address.into()
    }

    /// Its IPv6 address on `eth0`.
    pub fn ip6(&self) -> IpAddr {
        self.facts.address6.into()
    }

    /// The prefix length of its IPv4 address.
    pub fn prefix(&self) -> u8 {
        self.facts.prefix
    }

    /// The MAC of its `eth0`, as `xx:xx:xx:xx:xx:xx` in lower case.
    pub fn mac(&self) -> &str {
        &self.facts.mac
    }

    /// A command that runs `program` in this host: a path, or a name that is looked for on PATH. The pid of the child is
    /// the program's own, so that it can be stopped and killed. Its standard input is empty unless set otherwise.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(script());
        command.arg("run").arg(&self.lab.dir).arg(&self.facts.name).arg(program).stdin(Stdio::null());
        command
    }

    /// A command that runs a binary of this workspace in this host.
    pub fn tool(&self, name: &str) -> Command {
        self.command(tool(name))
    }

    /// Runs a line of shell in this host; returns its standard output without the last newline.
    ///
    /// # Panics
    /// When it ends with anything but 0.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let output = self.command("sh").arg("-euc").arg(line).output().unwrap_or_else(|e| panic!("sh in a host: {e}"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "in {}: {line}: {}: {words}", self.facts.name, output.status);
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Cuts this host off from all others.
    #[track_caller]
    pub fn cut(&self, cut: Cut) {
        let kind = match cut {
            Cut::Carrier => "carrier",
            Cut::Silent => "silent",
        };
        self.lab.script(&["cut"], &[&self.facts.name, kind]);
    }

    /// Undoes every cut; frames pass when it returns. A loss stays as it is.
    #[track_caller]
    pub fn heal(&self) {
        self.lab.script(&["heal"], &[&self.facts.name]);
    }

    /// Drops this share (0 to 100) of the host's frames at random, in both directions, each for itself.
    #[track_caller]
    pub fn loss(&self, percent: u8) {
        self.lab.script(&["loss"], &[&self.facts.name, &percent.to_string()]);
    }
}
