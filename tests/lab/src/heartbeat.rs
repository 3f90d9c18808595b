//! Real Linux-HA heartbeat as a node in a test: what `tests/peers/heartbeat` does, with a grip that ends it.
//!
//! The lab has to be one of [`Lab::up_as_root`](crate::Lab::up_as_root).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Host;

/// A bound for everything that the daemon is asked for: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(30);

/// How often the daemon is asked again.
const PERIOD: Duration = Duration::from_millis(20);

/// What a node is made of: the texts of its configuration files.
#[derive(Clone, Debug)]
pub struct Setup {
    ha_cf: String,
    authkeys: String,
    haresources: String,
    scripts: Vec<(String, String)>,
}

impl Setup {
    /// A node with this ha.cf, without resources; its key is `1 sha1 TestKey123`. The log files and `crm no` are added in
    /// front of it.
    pub fn new(ha_cf: &str) -> Self {
        let authkeys = "auth 1\n1 sha1 TestKey123\n".to_owned();
        Self { ha_cf: ha_cf.to_owned(), authkeys, haresources: String::new(), scripts: Vec::new() }
    }

    /// Sets the text of authkeys.
    #[must_use]
    pub fn authkeys(mut self, text: &str) -> Self {
        text.clone_into(&mut self.authkeys);
        self
    }

    /// Sets the text of haresources.
    #[must_use]
    pub fn haresources(mut self, text: &str) -> Self {
        text.clone_into(&mut self.haresources);
        self
    }

    /// Adds an executable script to resource.d; one of the package with this name is replaced.
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.scripts.push((name.to_owned(), text.to_owned()));
        self
    }
}

/// A node. Dropping it, also in a panic, kills it and removes its files; a panic prints the end of its log first.
#[derive(Debug)]
pub struct Node<'a> {
    host: Host<'a>,
    dir: PathBuf,
    /// The process that the node's namespaces end with.
    run: Option<std::process::Child>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/heartbeat")
}

fn write(path: &Path, text: &str, mode: u32) {
    let done = fs::write(path, text).and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    done.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

impl<'a> Node<'a> {
    /// Starts a node named like the host; its daemon answers when this returns. That takes until all of its nodes are
    /// heard, or `initdead`: for several that are to start together there is [`Node::launch`].
    ///
    /// # Panics
    /// With the node's words when it does not come up.
    #[track_caller]
    pub fn start(host: Host<'a>, setup: &Setup) -> Self {
        let mut node = Self::launch(host, setup);
        node.await_up();
        node
    }

    /// Starts a node named like the host, and does not wait for it.
    #[track_caller]
    pub fn launch(host: Host<'a>, setup: &Setup) -> Self {
        // The lab removes this folder, should nobody else get to do it.
        let dir = host.lab.dir().join("peers").join(host.name());
        let mut node = Self { host, dir, run: None };
        node.script("prepare", &[]);
        let config = node.dir.join("ha.d");
        let log = node.dir.join("log");
        let ha_cf = format!("logfile {0}/log\ndebugfile {0}/debug\ncrm no\n{1}", log.display(), setup.ha_cf);
        write(&config.join("ha.cf"), &ha_cf, 0o644);
        write(&config.join("authkeys"), &setup.authkeys, 0o600);
        write(&config.join("haresources"), &setup.haresources, 0o644);
        for (name, text) in &setup.scripts {
            let path = config.join("resource.d").join(name);
            // The package's may be a link to a program of this machine, which is not to be written.
            let _ = fs::remove_file(&path);
            write(&path, text, 0o755);
        }
        node.launch_again();
        node
    }

    /// Starts the node after [`Node::kill`] or [`Node::stop`], with the uuid and the generation that it has on disk; its
    /// daemon answers when this returns.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.launch_again();
        self.await_up();
    }

    /// As [`Node::start_again`], and does not wait.
    #[track_caller]
    pub fn launch_again(&mut self) {
        assert!(self.run.is_none(), "{} is running", self.host.name());
        let mut run = self.host.command(script());
        run.arg("run").arg(&self.dir).arg(self.host.name()).stdout(Stdio::null()).stderr(Stdio::null());
        self.run = Some(run.spawn().unwrap_or_else(|e| panic!("{}: {e}", script().display())));
    }

    /// Waits until the daemon answers clients.
    ///
    /// # Panics
    /// With the node's words when it ends, or does not within half a minute.
    #[track_caller]
    pub fn await_up(&mut self) {
        let deadline = Instant::now() + LONG;
        while self.cl_status(&["hbstatus"]) != "Heartbeat is running on this machine." {
            let ended = self.run.as_mut().is_some_and(|run| !matches!(run.try_wait(), Ok(None)));
            assert!(!ended && Instant::now() < deadline, "{} does not start: {}", self.host.name(), self.words());
            thread::sleep(PERIOD);
        }
    }

    /// The node's name, which is its host's.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// The node's own folder: see the script.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that runs `program` in the node. Its pid is not the program's own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.host.command(script());
        command.arg("in").arg(&self.dir).arg(program);
        command
    }

    /// What `cl_status ARGUMENTS…` prints, without the newline; empty where it fails.
    #[track_caller]
    pub fn cl_status(&self, arguments: &[&str]) -> String {
        let output = self.command("cl_status").args(arguments).output();
        let output = output.unwrap_or_else(|e| panic!("cl_status: {e}"));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What this node holds another one for: `active`, `up`, `dead`, `init`, `ping`; empty where it does not say.
    #[track_caller]
    pub fn node_status(&self, node: &str) -> String {
        self.cl_status(&["nodestatus", node])
    }

    /// What this node holds a link of another one for, such as `eth0`: `up` or `dead`.
    #[track_caller]
    pub fn link_status(&self, node: &str, link: &str) -> String {
        self.cl_status(&["hblinkstatus", node, link])
    }

    /// Waits until this node holds another one for `status`.
    ///
    /// # Panics
    /// When that takes longer than half a minute.
    #[track_caller]
    pub fn await_status(&self, node: &str, status: &str) {
        self.await_answer(&["nodestatus", node], status);
    }

    /// Waits until this node holds a link of another one for `status`.
    ///
    /// # Panics
    /// When that takes longer than half a minute.
    #[track_caller]
    pub fn await_link(&self, node: &str, link: &str, status: &str) {
        self.await_answer(&["hblinkstatus", node, link], status);
    }

    #[track_caller]
    fn await_answer(&self, arguments: &[&str], wanted: &str) {
        let deadline = Instant::now() + LONG;
        loop {
            let now = self.cl_status(arguments);
            if now == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{}: {arguments:?} is '{now}', not '{wanted}'", self.host.name());
            thread::sleep(PERIOD);
        }
    }

    /// Waits until the log has this text.
    ///
    /// # Panics
    /// When that takes longer than half a minute.
    #[track_caller]
    pub fn await_log(&self, text: &str) {
        let deadline = Instant::now() + LONG;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{}: its log has no '{text}'", self.host.name());
            thread::sleep(PERIOD);
        }
    }

    /// Its log so far, of all its runs.
    pub fn log(&self) -> String {
        self.read("log/log")
    }

    /// What it said on standard output and standard error.
    pub fn words(&self) -> String {
        self.read("words")
    }

    /// What it would have done to the machine: a line for each `reboot` and the like.
    pub fn reboots(&self) -> String {
        self.read("log/reboots")
    }

    fn read(&self, name: &str) -> String {
        fs::read(self.dir.join(name)).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// The pids of all its processes.
    #[track_caller]
    pub fn pids(&self) -> Vec<u32> {
        self.script("pids", &[]).lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Ends it as an operator would, and for good after 20 s. Whether it ended by itself.
    #[track_caller]
    pub fn stop(&mut self) -> bool {
        let output = self.host.command(script()).arg("stop").arg(&self.dir).output();
        let clean = output.is_ok_and(|output| output.status.success());
        self.reap();
        clean
    }

    /// Ends all its processes at once with SIGKILL. Addresses that it had taken stay, as they do on a real machine whose
    /// kernel lives on.
    #[track_caller]
    pub fn kill(&mut self) {
        self.script("kill", &[]);
        self.reap();
    }

    /// Stops all its processes with SIGSTOP.
    #[track_caller]
    pub fn freeze(&self) {
        self.script("freeze", &[]);
    }

    /// Lets them go on.
    #[track_caller]
    pub fn thaw(&self) {
        self.script("thaw", &[]);
    }

    #[track_caller]
    fn script(&self, command: &str, arguments: &[&str]) -> String {
        let output = Command::new(script()).arg(command).arg(&self.dir).args(arguments).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|e| panic!("{}: {e}", script().display()));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {command}: {}: {words}", self.host.name(), output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn reap(&mut self) {
        if let Some(mut run) = self.run.take() {
            // Its namespaces end with it. Errors: it has ended already.
            let _ = run.kill();
            let _ = run.wait();
        }
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(60)..];
            eprintln!("the log of {}:\n{}\nits words: {}", self.host.name(), end.join("\n"), self.words());
        }
        // Not the assertion of `kill`: this may be a panic, and the node may have ended.
        let _ = Command::new(script()).arg("kill").arg(&self.dir).stdin(Stdio::null()).output();
        self.reap();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
