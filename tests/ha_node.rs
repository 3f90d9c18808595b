//! Wrong use of ha-node, ha-decide and ha-status by hand: refused early and in words, without a panic and with nothing made.
#![allow(clippy::unwrap_used)] // in its helper functions too

#[path = "support/node.rs"]
mod node;
mod support;

use std::fs;
use std::path::Path;

use node::{Node, rows};
use support::{Run, finish, path};

const NOBODY: [&str; 4] = ["--reuid", "65534", "--regid=65534", "--clear-groups"];

/// A node's folder with a configuration of two nodes.
fn configured(name: &str) -> Node {
    let node = Node::new(name);
    node.write("ha.d/ha.cf", "keepalive 200ms\ndeadtime 1\nbcast lo\nnode ha1 ha2\n");
    node.write("ha.d/haresources", "ha1 10.9.0.100/24/lo\n");
    node.write("ha.d/authkeys", "auth 1\n1 sha1 secret\n");
    commands(&node);
    node
}

/// The commands, where everybody can look: this tree may be where nobody but root can.
fn commands(node: &Node) {
    let names = [
        "hb-listen",
        "hb-send",
        "probe-ping",
        "ha-decide",
        "ha-watch",
        "ha-conf",
        "ha-event",
        "run-resource",
        "vip-who",
        "garp",
    ];
    for name in names.iter().chain(&["ha-status"]) {
        let (from, to) = (path(name), node.dir.join("bin").join(name));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ha-node");
    fs::copy(script, node.dir.join("bin/ha-node")).unwrap();
}

/// The real ha-node, with its folders in the node's, below a limit: one that starts is a failure, and no hang.
fn ha_node(node: &Node, before: &[&str], args: &[&str]) -> Run {
    let mut command = node.command("timeout");
    command.args(["-k", "1", "10"]).args(before).arg("ha-node");
    finish(command.args(["--run-dir", "made", "--state-dir", "kept"]).args(args))
}

#[test]
fn a_wrong_call_is_refused_before_anything_is_made() {
    let node = configured("wrong");
    for (args, status, words) in [
        (&["--ha-d", "ha.d", "--node", "zz"][..], 78, "zz is no node of ha.cf, which has ha1, ha2"),
        (&["--ha-d", "ha.d", "--node", "ha1", "--frobnicate", "1"], 64, "there is no option --frobnicate"),
        (&["--ha-d", "ha.d", "--node"], 64, "--node needs a value"),
        (&["--ha-d", "nowhere", "--node", "ha1"], 78, "nowhere"),
    ] {
        let run = ha_node(&node, &[], args);
        run.ends_with(status);
        assert!(run.stderr.contains(words) && run.stdout.is_empty(), "{run:#?}");
        assert!(!node.dir.join("made").exists() && !node.dir.join("kept").exists(), "{args:?}");
    }
    node.write("ha.d/authkeys", "auth 2\n1 sha1 secret\n");
    ha_node(&node, &[], &["--ha-d", "ha.d", "--node", "ha1"]).ends_with(78);
    assert!(!node.dir.join("made").exists());
}

#[test]
fn nobody_may_not_run_a_node_and_is_told_so() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let node = configured("nobody");
    let mut before = vec!["setpriv"];
    before.extend(NOBODY);
    let run = ha_node(&node, &before, &["--ha-d", "ha.d", "--node", "ha1"]);
    run.ends_with(77);
    assert!(run.stderr.contains("ermission denied"), "{run:#?}");
    assert!(!node.dir.join("made").exists());
}

/// What is printed goes to nobody: the status tells, and nothing panics.
#[test]
fn a_stdout_that_is_gone_is_no_panic() {
    let node = configured("gone");
    node.write("run/status", &rows(&[("10.9.0.100", "running", Some("ha1"), "ha1,ha2")]));
    node.write(
        "events",
        "{\"at\":\"2026-11-21T01:20:30.123456Z\",\"tool\":\"ha-node\",\"event\":\"asked\",\"what\":\"takeover\",\"cause\":\"x\"}\n",
    );
    for (words, closed, gone, full) in [
        ("ha-status --run-dir run", 0, 75, 70),
        ("ha-status --run-dir run --human", 0, 75, 70),
        ("ha-status --run-dir nowhere", 69, 69, 69),
        // While it runs it goes on without a reader; what is lost in the end is no success.
        ("ha-decide --ha-d ha.d --node ha1 --explain events", 0, 75, 70),
        ("ha-decide --ha-d ha.d --node ha1 --explain ha.d", 69, 75, 69),
        ("ha-decide --ha-d ha.d --node zz events", 78, 78, 78),
    ] {
        for (shell, status) in [
            (format!("exec {words} >&-"), closed),
            (format!("exec {words} >/dev/full"), full),
            (format!("{words} 2>&- >/dev/null"), closed),
        ] {
            let run = node.run("timeout", &["-k", "1", "10", "sh", "-c", &shell]);
            assert!(!run.stderr.contains("panicked"), "{run:#?}");
            assert_eq!(run.status, Some(status), "{run:#?}");
        }
        // The reader is gone before a line is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = node.command("timeout");
        let run = finish(command.args(["-k", "1", "10"]).args(words.split(' ')).stdout(writer));
        assert!(!run.stderr.contains("panicked"), "{run:#?}");
        assert_eq!(run.status, Some(gone), "{run:#?}");
    }
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(node.dir.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let mut command = node.command("setpriv");
        finish(command.args(NOBODY).args(["ha-status", "--run-dir", "run"])).failed(
            "ha-status",
            77,
            "permission-denied",
        );
    }
}

/// Help that nobody got is no success.
#[test]
fn help_on_a_full_disk() {
    let node = Node::new("help");
    let names = ["ha-node", "ha-fence", "ha-standby", "cl_status", "standby-watch", "watch-services"];
    for name in names.iter().chain(&["install", "demo", "bench", "test"]) {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let run = finish(node.command(&format!("scripts/{name}")).arg("--help").stdout(full));
        assert_eq!(run.status, Some(if *name == "cl_status" { 13 } else { 70 }), "{run:#?}");
    }
}
