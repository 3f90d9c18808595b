//! scripts/demo from its first line to its last, with the commands of this build: as whoever runs the tests, and as an
//! ordinary user. What it shows is not timed here.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// Those that the demo uses.
const COMMANDS: [&str; 7] = ["ha-event", "probe-http", "probe-ping", "vip-who", "vip-take", "garp", "lab-client"];

/// A folder that everybody may write to, gone at the end: what the demo leaves behind is found here.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("takeover-demo-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("tmp")).unwrap();
        for open in [&path, &path.join("tmp")] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o1777)).unwrap();
        }
        Self(path)
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        fs::read_dir(self.0.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bin_dir() -> PathBuf {
    takeover_lab::tool("lab-client").parent().unwrap().to_owned()
}

/// The two acts of the watcher's demo.
const ACTS: &[&str] = &[
    "web server killed     take-over ",
    "                      failback ",
    "host cut off          take-over ",
    "                      failback ",
];

fn ends_as_it_should(output: &Output, folder: &Folder, acts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{words}", output.status);
    let last = text.lines().rev().take(2 + acts.len()).collect::<Vec<_>>();
    assert_eq!(last[0], "Every switch happened: the standby took over, and gave the address back.", "{text}");
    for (line, beginning) in last[2..].iter().rev().zip(acts) {
        assert!(line.starts_with(beginning) && line.ends_with(" ms"), "'{line}' is not '{beginning}…'\n{text}");
    }
    assert_eq!(folder.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn both_acts_as_whoever_we_are_and_as_an_ordinary_user() {
    let folder = Folder::new("acts");
    let limit = ["--kill-after=30", "120"];
    let mut command = Command::new("timeout");
    command.args(limit).arg(root().join("scripts/demo")).arg("--bin-dir").arg(bin_dir());
    let output = command.env("TMPDIR", folder.0.join("tmp")).stdin(Stdio::null()).output().unwrap();
    ends_as_it_should(&output, &folder, ACTS);
    if !geteuid().is_root() {
        return;
    }
    // This tree may be where an ordinary user cannot look.
    let tree = folder.0.join("tree");
    for (from, to) in ["scripts/demo", "scripts/lib/prepare.sh", "scripts/standby-watch", "tests/lab/lab"]
        .map(|path| (root().join(path), path.to_owned()))
        .into_iter()
        .chain(COMMANDS.map(|name| (bin_dir().join(name), format!("bin/{name}"))))
    {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // The commands of a debug build are large.
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
    }
    let mut command = Command::new("timeout");
    command.args(limit).args(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(tree.join("scripts/demo")).arg("--bin-dir").arg(tree.join("bin"));
    command.env("TMPDIR", folder.0.join("tmp")).env_remove("LAB_USERNS").current_dir("/").stdin(Stdio::null());
    ends_as_it_should(&command.output().unwrap(), &folder, ACTS);
}

#[test]
fn a_cluster_with_a_disk_through_everything() {
    let folder = Folder::new("cluster");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=30", "200"]).arg(root().join("scripts/demo")).arg("cluster");
    command.arg("--bin-dir").arg(bin_dir()).env("TMPDIR", folder.0.join("tmp"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let acts = [
        "start                 no switch ",
        "node killed           take-over ",
        "                      failback ",
        "standby by order      take-over ",
        "                      failback ",
        "serial line cut       no switch ",
        "network cut           take-over ",
        "                      failback ",
    ];
    ends_as_it_should(&output, &folder, &acts);
    let text = String::from_utf8_lossy(&output.stdout);
    for word in
        ["ha2 reaches more ping nodes", "runs ha-standby on ha1", "the cable at 115200", "served by the node ha2"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let folder = Folder::new("interrupted");
    let mut command = Command::new(root().join("scripts/demo"));
    command.arg("--bin-dir").arg(bin_dir()).env("TMPDIR", folder.0.join("tmp"));
    let mut demo = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("demo: act 1") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before its first act");
    }
    // Not SIGINT: whoever runs the tests in the background may have it ignored, and a shell then cannot trap it.
    kill(Pid::from_raw(demo.id().cast_signed()), Signal::SIGTERM).unwrap();
    // Ends with the last process that has it: none of the demo's is left then.
    lines.read_to_string(&mut line).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(143));
    assert_eq!(folder.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn wrong_words_and_missing_commands() {
    for (arguments, status) in [
        (&["--frobnicate"][..], 64),
        (&["--bin-dir"], 64),
        (&["--bin-dir", "/nowhere"], 69),
        (&["--bin-dir", "/"], 69),
        (&["cluster", "--bin-dir", "/"], 69),
        (&["clusters"], 64),
    ] {
        let output = Command::new(root().join("scripts/demo")).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(output.stderr.starts_with(b"demo: "), "{output:?}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
}
