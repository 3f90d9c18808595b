//! The scripts of operators: orders, cl_status, the init script, and the examples.
#![allow(clippy::unwrap_used)] // in its helper functions too

#[path = "support/node.rs"]
mod node;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use node::{Node, answered, await_that, rows};
use support::{Run, finish};

const MINE: (&str, &str, Option<&str>, &str) = ("192.0.2.10", "running", Some("ha1"), "ha1,ha2");
const MINE_AWAY: (&str, &str, Option<&str>, &str) = ("192.0.2.10", "running", Some("ha2"), "ha1,ha2");
const OTHER: (&str, &str, Option<&str>, &str) = ("192.0.2.11", "running", Some("ha2"), "ha2,ha1");
const OTHER_HERE: (&str, &str, Option<&str>, &str) = ("192.0.2.11", "running", Some("ha1"), "ha2,ha1");

fn order(node: &Node, name: &str, args: &[&str]) -> Run {
    node.run(&format!("scripts/{name}"), &[args, &["--run-dir", "run"]].concat())
}

#[test]
fn orders_are_given_and_waited_for() {
    type Row = (&'static str, &'static [&'static str], &'static str, &'static str);
    let table: &[Row] = &[
        ("ha-standby", &[], "standby", "all"),
        ("hb_standby", &["foreign"], "standby", "foreign"),
        ("ha-takeover", &["local"], "takeover", "local"),
        ("hb_takeover", &["failback"], "takeover", "failback"),
        ("ha-failback", &[], "failback", ""),
    ];
    let mut node = Node::new("orders");
    let start = rows(&[MINE, OTHER]);
    node.start(&start, &(start.clone() + &answered("")), "");
    for (n, (name, args, what, which)) in table.iter().enumerate() {
        order(&node, name, args).ends_with(0);
        let asked = node.read("run/asked");
        let line = asked.lines().nth(n).unwrap();
        assert_eq!(support::problems(line), Vec::<String>::new());
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&event["tool"], &event["event"], &event["what"]),
            (&"ha-node".into(), &"asked".into(), &(*what).into())
        );
        assert_eq!(event["which"].as_str().unwrap_or_default(), *which);
        assert!(event["cause"].as_str().unwrap().starts_with(&format!("{name} of ")), "{line}");
    }
}

#[test]
fn done_is_where_the_order_wants_it() {
    // Before, after, the order, and whether that is what it wants.
    let all = [MINE, OTHER_HERE];
    let table: &[(&[_], &[_], &str, &[&str], bool)] = &[
        (&all, &[MINE_AWAY, OTHER], "ha-standby", &[], true),
        (&all, &[MINE_AWAY, OTHER_HERE], "ha-standby", &[], false),
        (&all, &[MINE_AWAY, OTHER_HERE], "ha-standby", &["local"], true),
        (&all, &[MINE, OTHER], "ha-standby", &["failback"], true),
        (&all, &[("192.0.2.10", "stopping", Some("ha1"), "ha1,ha2"), OTHER], "ha-standby", &["local"], false),
        (&all, &[("192.0.2.10", "starting", Some("ha2"), "ha1,ha2"), OTHER], "ha-standby", &["local"], false),
        (&[MINE_AWAY, OTHER], &[MINE, OTHER], "ha-takeover", &["local"], true),
        (&[MINE_AWAY, OTHER], &[MINE, OTHER], "ha-takeover", &["all"], false),
        (&[MINE_AWAY, OTHER_HERE], &[MINE, OTHER], "ha-failback", &[], true),
        (&[MINE_AWAY, OTHER_HERE], &[MINE, OTHER_HERE], "ha-failback", &[], false),
        (&[MINE, OTHER], &[MINE, OTHER], "ha-failback", &[], true),
    ];
    for (n, (before, after, name, args, done)) in table.iter().enumerate() {
        let mut node = Node::new(&format!("done{n}"));
        node.start(&rows(before), &(rows(after) + &answered("")), "");
        let run = order(&node, name, &[args, &["--wait", if *done { "20s" } else { "200ms" }][..]].concat());
        run.ends_with(if *done { 0 } else { 75 });
        assert_eq!(run.stderr.contains("not done in time: 192.0.2.1"), !done, "{run:#?}");
    }
}

#[test]
fn what_keeps_an_order_from_being_done() {
    let mut node = Node::new("refused");
    for name in ["ha-standby", "hb_takeover", "ha-failback"] {
        let run = order(&node, name, &[]);
        assert!(run.ends_with(69).stderr.starts_with(&format!("{name}: no node runs here")), "{run:#?}");
    }
    for args in [&["none"][..], &["all", "local"], &["--wait", "soon"], &["--wait"], &["--what"]] {
        order(&node, "ha-standby", args).ends_with(64);
    }
    order(&node, "ha-failback", &["all"]).ends_with(64);
    assert!(node.run("scripts/hb_standby", &["--help"]).ends_with(0).stdout.contains("hb_standby"));
    let start = rows(&[MINE]);
    node.start(
        &start,
        &(start.clone() + &answered("giving up 192.0.2.10 is not done: it stays\",\"giving up x is not done: y")),
        "",
    );
    let run = order(&node, "ha-standby", &["--wait", "20s"]);
    assert_eq!(
        run.ends_with(1).stderr,
        "ha-standby: giving up 192.0.2.10 is not done: it stays; giving up x is not done: y\n"
    );
    // Nobody reads: the pipe is there, and the process, and neither holds us up.
    fs::remove_file(node.dir.join("run/events")).unwrap();
    node.run("mkfifo", &["run/events"]).ends_with(0);
    let run = order(&node, "ha-standby", &[]);
    assert!(run.ends_with(69).stderr.contains("nobody reads"), "{run:#?}");
}

#[test]
fn a_node_that_does_not_answer_is_no_answer() {
    let mut node = Node::new("deaf");
    node.start(&rows(&[MINE]), "", "deaf");
    let run = order(&node, "ha-standby", &[]);
    assert!(run.ends_with(75).stderr.contains("did not answer"), "{run:#?}");
}

#[test]
fn cl_status_says_what_heartbeats_does() {
    let mut node = Node::new("cl");
    node.write("ha.d/ha.cf", "node ha1 ha2\nucast eth0 192.0.2.2\nping 127.0.0.1\nping_group g 127.0.0.2 127.0.0.3\ndeadtime 10\nkeepalive 200ms\n");
    let cl = |node: &Node, words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        node.run("scripts/cl_status", &[&["--run-dir", "run", "--ha-d", "ha.d"], &words[..]].concat())
    };
    assert_eq!(cl(&node, "hbstatus").ends_with(1).stdout, "Heartbeat is stopped on this machine.\n");
    assert!(cl(&node, "listnodes").ends_with(1).stderr.contains("no node runs here"));
    node.start(&rows(&[MINE, OTHER]), "", "");
    let table: &[(&str, i32, &str)] = &[
        ("hbstatus", 0, "Heartbeat is running on this machine.\n"),
        ("listnodes", 0, "ha1\nha2\n127.0.0.1\ng\n"),
        ("listnodes -n", 0, "ha1\nha2\n"),
        ("listnodes -p", 0, "127.0.0.1\ng\n"),
        ("nodestatus ha1", 0, "active\n"),
        ("nodestatus -m HA2", 0, "The cluster node HA2 is active\n"),
        ("nodestatus ha3", 11, ""),
        ("nodestatus", 11, ""),
        ("nodetype ha2", 0, "normal\n"),
        ("nodetype 127.0.0.1", 0, "ping\n"),
        ("nodeweight ha1", 0, "100\n"),
        ("nodesite ha1", 13, ""),
        ("clientstatus ha1 x", 13, ""),
        ("listhblinks ha2", 0, "\t/dev/ttyS0\n\teth0\n"),
        ("listhblinks ha2 -v", 0, "\t/dev/ttyS0\tdead\n\teth0\tup\n"),
        ("hblinkstatus ha2 eth0", 0, "up\n"),
        ("hblinkstatus ha2 udp:694@eth0", 0, "up\n"),
        ("hblinkstatus ha2 /dev/ttyS0", 1, "dead\n"),
        ("hblinkstatus ha2 eth1", 13, ""),
        ("rscstatus", 0, "local\n"),
        ("rscstatus -m", 0, "This node is holding local resources.\n"),
        ("hbparameter -p deadtime", 0, "10\n"),
        ("hbparameter -p keepalive", 0, "200ms\n"),
        ("hbparameter -p node", 0, "ha1 ha2\n"),
        ("hbparameter -p watchdog", 1, ""),
        ("hbparameter -p colour", 1, ""),
        ("hbparameter", 11, ""),
        ("nodestatus -x ha1", 11, ""),
        ("weather", 11, ""),
    ];
    for (words, status, stdout) in table {
        let run = cl(&node, words);
        assert_eq!((run.status, run.stdout.as_str()), (Some(*status), *stdout), "{words}: {run:#?}");
        assert_eq!(run.stderr.is_empty(), *status == 0 || !stdout.is_empty(), "{run:#?}");
    }
    let verbose = cl(&node, "hbstatus -v").ends_with(0).stdout.clone();
    assert!(verbose.contains("managed by\t\"haresources\"\nha1\tactive\t(nodetype: normal)\nha2\tactive"), "{verbose}");
    for (groups, word) in [
        (&[MINE, OTHER_HERE][..], "all"),
        (&[OTHER_HERE], "foreign"),
        (&[MINE_AWAY, OTHER], "none"),
        (&[MINE, ("192.0.2.11", "starting", Some("ha1"), "ha2,ha1")], "transition"),
    ] {
        node.write("run/status", &rows(groups));
        assert_eq!(cl(&node, "rscstatus").stdout, format!("{word}\n"));
    }
}

/// The init script, with the stand-in for ha-node on PATH.
fn init(node: &Node, mode: &str, words: &[&str]) -> Run {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let defaults = node.write(
        "defaults",
        &format!(
            "HA_D={0}/ha.d RUN_DIR={0}/run STATE_DIR={0}/state LOG={0}/log LOCK={0}/lock/takeover AGENTS={0}/ocf AGENTS_RUN={0}/agents START_DEADLINE=20 STOP_DEADLINE={1}\nPATH={0}/bin:$PATH\n",
            node.dir.display(),
            if mode == "stay" { 0 } else { 20 },
        ),
    );
    let mut command = node.command("sh");
    command.arg(root.join("scripts/init.d/takeover")).args(words).env("TAKEOVER_DEFAULTS", defaults);
    // Whatever it starts lives on, and must not keep our pipes open.
    finish(command.env("STANDIN", mode))
}

#[test]
fn the_init_script() {
    if !nix::unistd::geteuid().is_root() {
        return; // it refuses everybody else
    }
    let node = Node::new("init");
    node.write("run/first", &rows(&[MINE]));
    node.write("run/next", "");
    fs::create_dir(node.dir.join("lock")).unwrap();
    init(&node, "", &[]).ends_with(2);
    init(&node, "", &["status"]).ends_with(3);
    init(&node, "", &["stop"]).ends_with(0);
    init(&node, "", &["start"]).ends_with(6);
    for file in ["ha.cf", "authkeys", "haresources"] {
        node.write(&format!("ha.d/{file}"), "");
    }
    let run = init(&node, "fail", &["start"]);
    assert!(
        run.ends_with(1).stderr.contains("ha-node: cannot do that") && run.stderr.contains("ended with 70"),
        "{run:#?}"
    );
    let end = |pid: i32| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        await_that(|| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty());
    };
    // Where resource agents are installed, they get the folder that heartbeat's script made for them.
    assert!(!node.dir.join("agents").exists());
    fs::create_dir(node.dir.join("ocf")).unwrap();
    assert!(init(&node, "", &["start"]).ends_with(0).stdout.contains("started (pid "));
    assert!(node.dir.join("agents").is_dir());
    let pid = node.pid();
    assert!(init(&node, "", &["start"]).ends_with(0).stdout.contains("runs already"));
    assert!(init(&node, "", &["status"]).ends_with(0).stdout.contains("192.0.2.10  running"));
    init(&node, "", &["force-reload"]).ends_with(0);
    assert_ne!(node.pid(), pid);
    init(&node, "", &["stop"]).ends_with(0);
    init(&node, "", &["status"]).ends_with(3);
    assert!(!node.dir.join("lock/takeover").exists());
    init(&node, "", &["try-restart"]).ends_with(0);
    assert!(!node.dir.join("run/pid").exists());
    // One that takes longer than it may is told of, and lives.
    init(&node, "stay", &["restart"]).ends_with(0);
    let run = init(&node, "stay", &["stop"]);
    assert!(run.ends_with(1).stderr.contains("Nothing was killed"), "{run:#?}");
    init(&node, "", &["status"]).ends_with(0);
    // One that was killed leaves its files behind.
    end(node.pid());
    init(&node, "", &["status"]).ends_with(1);
    fs::remove_file(node.dir.join("run/pid")).unwrap();
    init(&node, "", &["status"]).ends_with(2);
    node.write("run/pid", "nonsense\n");
    init(&node, "", &["status"]).ends_with(4);
    init(&node, "", &["stop"]).ends_with(1);
}

/// Each example passes the check, and makes a cluster.
#[test]
fn the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in fs::read_dir(root.join("scripts/examples")).unwrap() {
        let example = entry.unwrap().path();
        if !example.is_dir() {
            continue;
        }
        seen += 1;
        let node = Node::new(&format!("example{seen}"));
        for file in ["ha.cf", "authkeys", "haresources"] {
            node.write(&format!("ha.d/{file}"), &fs::read_to_string(example.join(file)).unwrap());
        }
        fs::create_dir(node.dir.join("ha.d/resource.d")).unwrap();
        fs::set_permissions(node.dir.join("ha.d/resource.d"), Permissions::from_mode(0o755)).unwrap();
        for agent in ["IPaddr", "web", "mail", "files"] {
            let agent = node.write(&format!("ha.d/resource.d/{agent}"), "#!/bin/sh\n");
            fs::set_permissions(agent, Permissions::from_mode(0o755)).unwrap();
        }
        let event = node.run("ha-conf", &["--ha-d", "ha.d", "check"]).ends_with(0).event();
        assert_eq!(event["notes"], 0, "{}", example.display());
        node.run("ha-decide", &["--ha-d", "ha.d", "--node", "ha2", "--explain"]).ends_with(0);
    }
    assert_eq!(seen, 5);
}
