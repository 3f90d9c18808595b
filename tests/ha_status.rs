//! ha-status, on a node's folder that the tests make, and on that of a real ha-decide.
#![allow(clippy::unwrap_used)] // in its helper functions too

#[path = "support/node.rs"]
mod node;
mod support;

use node::{Node, await_that, rows};
use serde_json::{Value, json};
use support::{Run, problems};

fn status(node: &Node, args: &[&str]) -> Run {
    node.run("ha-status", &[&["--run-dir", "run"], args].concat())
}

const HERE: (&str, &str, Option<&str>, &str) = ("192.0.2.10", "running", Some("ha1"), "ha1,ha2");

#[test]
fn rows_are_printed_and_answered() {
    let node = Node::new("rows");
    node.write("run/status", &rows(&[HERE]));
    let events = status(&node, &[]).ends_with(0).events();
    assert_eq!(events.len(), 3);
    assert_eq!((&events[0]["tool"], &events[0]["mine"]), (&json!("ha-status"), &json!(true)));
    assert_eq!(events[1]["links"], json!(["udp:694@eth0=up", "serial:/dev/ttyS0@19200=dead"]));
    assert_eq!((&events[2]["node"], &events[2]["nodes"]), (&json!("ha1"), &json!(["ha1", "ha2"])));
    assert_eq!(
        status(&node, &["--fields", "event,node,is,links"]).stdout.lines().nth(1),
        Some("node-status\tha2\tup\tudp:694@eth0=up,serial:/dev/ttyS0@19200=dead")
    );
    let words = status(&node, &["--human"]).stdout;
    assert_eq!(words.lines().next(), Some("ha1         up        active, this node"));
    assert_eq!(words.lines().nth(2), Some("192.0.2.10  running   on ha1 (of ha1, ha2): because"));
    for (is, native, nagios, word) in [
        ("running", 0, 0, "OK"),
        ("stopped", 1, 2, "CRITICAL"),
        ("stuck", 1, 2, "CRITICAL"),
        ("unknown", 75, 3, "UNKNOWN"),
    ] {
        node.write("run/status", &rows(&[HERE, ("192.0.2.11", is, None, "ha2")]));
        status(&node, &[]).ends_with(native);
        for format in [&[][..], &["--human"]] {
            let run = status(&node, &[&["--exit-style", "nagios"], format].concat());
            let first = run.ends_with(nagios).stdout.lines().next().unwrap();
            assert_eq!(first, format!("{word}: 192.0.2.10 running on ha1, 192.0.2.11 {is}; ha1 ha2 up"));
        }
    }
}

#[test]
fn no_node_is_no_answer() {
    let mut node = Node::new("none");
    status(&node, &[]).failed("ha-status", 69, "not-running");
    let run = status(&node, &["--exit-style", "nagios"]);
    assert!(run.ends_with(3).stdout.starts_with("UNKNOWN: no node runs here"), "{run:#?}");
    node.start(&rows(&[HERE]), "", "");
    status(&node, &[]).ends_with(0);
    node.kill();
    assert!(node.dir.join("run/status").exists(), "nobody could remove it");
    status(&node, &[]).failed("ha-status", 69, "not-running");
    // Somebody else's process, and no number at all.
    node.write("run/pid", &format!("{}\n", std::process::id()));
    status(&node, &[]).failed("ha-status", 69, "not-running");
    node.write("run/pid", "x\n");
    status(&node, &[]).failed("ha-status", 69, "not-running");
}

#[test]
fn half_a_file_is_no_answer() {
    let node = Node::new("half");
    node.write("run/status", &(rows(&[HERE]) + "{\"event\":\"group-st"));
    status(&node, &[]).failed("ha-status", 70, "unreadable-file");
    node.write("run/status", &(rows(&[HERE]) + "{\"event\":\"weather-status\"}\n"));
    assert_eq!(status(&node, &[]).ends_with(0).events().len(), 3, "a later version may say more");
}

/// What ha-decide keeps is what ha-status reads, an operator's order and what came of it too.
#[test]
fn a_real_decider() {
    let mut node = Node::new("real");
    node.write("ha.d/ha.cf", "node ha1 ha2\nbcast eth0\n");
    node.write("ha.d/haresources", "ha1 192.0.2.10\n");
    node.start_script(
        "#!/bin/sh\nmkfifo run/events && exec 3<>run/events && echo $$ >run/pid\n\
         ha-decide --ha-d ha.d --node ha1 --status run/status run/events >/dev/null\n",
    );
    await_that(|| node.dir.join("run/pid").exists());
    let say = |line: &str| {
        let written = node.run("sh", &["-c", "printf '%s\\n' \"$1\" >run/events", "sh", line]);
        written.ends_with(0);
    };
    let is = |state: &str| {
        await_that(|| status(&node, &["--fields", "event,is"]).stdout.contains(&format!("group-status\t{state}")))
    };
    say(
        r#"{"at":"2026-11-21T01:20:30.123456Z","tool":"hb-send","event":"sending","generation":1,"mono_ms":1,"seq":0}"#,
    );
    say(r#"{"tool":"ha-node","event":"ready"}"#);
    is("unknown");
    say(r#"{"tool":"hb-listen","event":"node","node":"ha2","is":"dead","silent_ms":9000,"mono_ms":9000,"seq":1}"#);
    is("starting");
    say(r#"{"tool":"ha-node","event":"done","action":"acquire","group":"192.0.2.10","status":0}"#);
    is("running");
    assert_eq!(status(&node, &["--fields", "node,st"]).stdout.lines().next(), Some("ha1\tactive"));
    for line in node.read("run/status").lines() {
        assert_eq!(problems(line), Vec::<String>::new(), "{line}");
    }
    let run = node.run("scripts/ha-standby", &["--run-dir", "run"]);
    assert!(run.ends_with(1).stderr.contains("no other node can have it"), "{run:#?}");
    let orders: Vec<Value> = status(&node, &[])
        .ends_with(0)
        .events()
        .iter()
        .filter(|e| e["event"] == "order-status")
        .map(|e| e["refusals"].clone())
        .collect();
    assert_eq!(orders, [json!(["giving up 192.0.2.10 is not done: no other node can have it: it stays"])]);
}
