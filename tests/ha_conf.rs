//! ha-conf, on clusters that the tests write.
#![allow(clippy::unwrap_used)] // in its helper functions too

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Run, command, finish};

/// A cluster's folder, gone at the end of its test.
struct Cluster(PathBuf);

impl Cluster {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ha-conf-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let cluster = Self(path);
        for folder in ["", "resource.d"] {
            fs::create_dir(cluster.0.join(folder)).unwrap();
            cluster.chmod(folder, 0o755);
        }
        cluster.write(
            "ha.cf",
            0o644,
            "use_logd yes\ndeadtime 10\nudpport 700\nucast eth1 10.0.0.2\nnode HA1 ha2\nauto_failback off\nping 10.0.0.254\n",
        );
        cluster.write("authkeys", 0o600, "auth 2\n1 md5 Hunter1\n2 sha1 Hunter2\n");
        cluster.write("haresources", 0o644, "ha1,ha2 10.0.0.3/24 Web::a::b\nha2 ocf:heartbeat:Dummy::state=/x\n");
        for agent in ["IPaddr", "Web"] {
            cluster.write(&format!("resource.d/{agent}"), 0o755, "#!/bin/sh\n");
        }
        fs::create_dir_all(cluster.0.join("ocf/resource.d/heartbeat")).unwrap();
        for folder in ["ocf", "ocf/resource.d", "ocf/resource.d/heartbeat"] {
            cluster.chmod(folder, 0o755);
        }
        cluster.write("ocf/resource.d/heartbeat/Dummy", 0o755, "#!/bin/sh\n");
        cluster
    }

    fn chmod(&self, name: &str, mode: u32) {
        let path = if name.is_empty() { self.0.clone() } else { self.0.join(name) };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, name: &str, mode: u32, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
        self.chmod(name, mode);
    }

    fn run(&self, args: &[&str]) -> Run {
        finish(command("ha-conf").arg("--ha-d").arg(&self.0).args(args).env("OCF_ROOT", self.0.join("ocf")))
    }

    fn file(&self, name: &str) -> Value {
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn groups() {
    let cluster = Cluster::new("groups");
    let events = cluster.run(&["haresources"]).ends_with(0).events();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["event"], &events[0]["id"]), (&json!("group"), &json!("10.0.0.3/24")));
    assert_eq!((&events[0]["nodes"], &events[0]["line"]), (&json!(["ha1", "ha2"]), &json!(1)));
    assert_eq!(
        events[0]["resources"][1],
        json!({"spec": "Web::a::b", "class": "heartbeat", "provider": null, "agent": "Web", "args": ["a", "b"]})
    );
    assert_eq!(events[1]["resources"][0]["provider"], json!("heartbeat"));
    assert_eq!(cluster.run(&["haresources", "--human"]).stdout.lines().next(), Some("ha1,ha2 10.0.0.3/24 Web::a::b"));
    assert_eq!(
        cluster.run(&["haresources", "--fields", "id,nodes"]).stdout.lines().next(),
        Some("10.0.0.3/24\tha1,ha2")
    );
}

#[test]
fn ha_cf() {
    let cluster = Cluster::new("cf");
    let event = cluster.run(&["ha-cf"]).ends_with(0).event();
    assert_eq!((&event["file"], &event["nodes"]), (&cluster.file("ha.cf"), &json!(["ha1", "ha2"])));
    assert_eq!(event["media"], json!([{"kind": "ucast", "dev": "eth1", "host": "10.0.0.2", "port": 700}]));
    let settings = &event["settings"];
    assert_eq!((&settings["deadtime_ms"], &settings["warntime_ms"]), (&json!(10000.0), &json!(5000.0)));
    assert_eq!(settings["auto_failback"], json!("off"));
    assert_eq!((&event["ignored"][0]["directive"], &event["ignored"][0]["line"]), (&json!("use_logd"), &json!(1)));
    assert_eq!(cluster.run(&["ha-cf", "--fields", "settings.deadtime_ms,nodes"]).stdout, "10000.0\tha1,ha2\n");
    let words = cluster.run(&["ha-cf", "--human"]).stdout;
    assert!(words.contains("deadtime 10s") && words.contains("ucast 10.0.0.2:700@eth1"), "{words}");
}

/// A key is never printed, whatever is asked for and whatever is wrong.
#[test]
fn keys_stay_secret() {
    let cluster = Cluster::new("keys");
    let event = cluster.run(&["authkeys"]).ends_with(0).event();
    assert_eq!(event["sending"], json!(2));
    assert_eq!(event["keys"][0], json!({"index": 1, "method": "md5", "line": 2}));
    let broken = "auth 3\n1 Hunter1\n2 sha1 Hunter2 Hunter3\nHunter4\ncrc Hunter5\n4 crc Hunter6\n";
    for text in [None, Some(broken)] {
        if let Some(text) = text {
            cluster.write("authkeys", 0o600, text);
        }
        for what in ["show", "authkeys", "check"] {
            for format in [&[what][..], &[what, "--human"]] {
                let run = cluster.run(format);
                assert!(!format!("{}{}", run.stdout, run.stderr).contains("Hunter"), "{run:#?}");
            }
        }
    }
}

#[test]
fn show_prints_all_of_it() {
    let cluster = Cluster::new("show");
    let names = |run: Run| run.ends_with(0).events().iter().map(|e| e["event"].clone()).collect::<Vec<_>>();
    assert_eq!(names(cluster.run(&["show"])), ["ha-cf", "group", "group", "authkeys"]);
    fs::remove_file(cluster.0.join("haresources")).unwrap();
    assert_eq!(names(cluster.run(&["show"])), ["ha-cf", "authkeys"]);
    cluster.run(&["haresources"]).failed("ha-conf", 78, "no-such-file");
}

/// Nothing is printed of a file that has an error: no half of a cluster is started.
#[test]
fn errors_print_no_document() {
    let cluster = Cluster::new("errors");
    cluster.write("haresources", 0o644, "ha1 10.0.0.3\nha2\nha2 ../x\n");
    let run = cluster.run(&["haresources"]);
    run.failed("ha-conf", 78, "configuration");
    let message = run.event()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("haresources:2: ") && message.ends_with("(and 1 more)"), "{message}");
    cluster.run(&["haresources", "--exit-style", "nagios"]).ends_with(3);
}

#[test]
fn check_clean() {
    let cluster = Cluster::new("clean");
    let event = cluster.run(&["check"]).ends_with(0).event();
    assert_eq!((&event["event"], &event["errors"], &event["warnings"]), (&json!("checked"), &json!(0), &json!(0)));
    assert_eq!(cluster.run(&["check", "--human"]).stdout, "nothing is wrong\n");
}

#[test]
fn check_finds_problems() {
    let cluster = Cluster::new("problems");
    cluster.write("ha.cf", 0o644, "node ha1\nbcast eth0\ndeadtime 2\ninitdead 3\nfoo\n");
    cluster.write("haresources", 0o644, "ha9 10.0.0.3 nosuch::x\n\nha1 10.0.0.3\n");
    cluster.chmod("authkeys", 0o640);
    cluster.chmod("resource.d/IPaddr", 0o777);
    let run = cluster.run(&["check"]);
    let events = run.ends_with(1).events();
    let (last, problems) = events.split_last().unwrap();
    assert_eq!(last["event"], json!("checked"));
    let found: Vec<(String, Value, &str)> = problems
        .iter()
        .map(|e| {
            let file = e["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            assert!(!e["message"].as_str().unwrap().is_empty() && !e["hint"].as_str().unwrap().is_empty());
            (file, e["line"].clone(), e["severity"].as_str().unwrap())
        })
        .collect();
    let row = |file: &str, line: Value, severity| (file.to_owned(), line, severity);
    assert_eq!(
        found,
        [
            row("ha.cf", json!(3), "error"),       // deadtime
            row("ha.cf", json!(4), "warning"),     // initdead
            row("ha.cf", json!(5), "error"),       // foo
            row("authkeys", Value::Null, "error"), // its mode
            row("haresources", json!(3), "error"), // the same name
            row("haresources", json!(1), "error"), // ha9
            row("haresources", json!(1), "error"), // IPaddr's mode
            row("haresources", json!(1), "error"), // nosuch
        ],
        "{run:#?}"
    );
    assert_eq!((&last["errors"], &last["warnings"]), (&json!(7), &json!(1)));
    let words = cluster.run(&["check", "--human"]).stdout;
    assert!(words.lines().any(|l| l.starts_with("error: ") && l.contains("ha.cf:5: ")), "{words}");
}

/// Two nodes without anybody to ask are told what that means, and may stay as they are.
#[test]
fn a_note_is_no_problem() {
    let cluster = Cluster::new("note");
    cluster.write("ha.cf", 0o644, "ucast eth1 10.0.0.2\nnode ha1 ha2\n");
    let events = cluster.run(&["check"]).ends_with(0).events();
    assert_eq!((&events[0]["severity"], &events[0]["line"]), (&json!("note"), &json!(2)));
    assert!(events[0]["message"].as_str().unwrap().contains("split brain"));
    assert!(events[0]["hint"].as_str().unwrap().contains("ping"));
    assert_eq!((&events[1]["warnings"], &events[1]["notes"]), (&json!(0), &json!(1)));
    let words = cluster.run(&["check", "--human"]).stdout;
    assert!(words.starts_with("note: ") && words.ends_with("nothing is wrong, 1 note\n"), "{words}");
}

#[test]
fn a_warning_is_a_problem_too() {
    let cluster = Cluster::new("warning");
    cluster.write("authkeys", 0o600, "auth 1\n1 crc\n");
    let events = cluster.run(&["check"]).ends_with(1).events();
    assert_eq!((&events[0]["severity"], &events[1]["warnings"]), (&json!("warning"), &json!(1)));
    cluster.run(&["authkeys"]).ends_with(0);
}

#[test]
fn unreadable() {
    let cluster = Cluster::new("unreadable");
    fs::remove_file(cluster.0.join("authkeys")).unwrap();
    cluster.write("ha.cf", 0o644, "foo\nnode ha1 ha2\nbcast eth0\nping 10.0.0.254\n");
    let run = cluster.run(&["check"]);
    let events = run.ends_with(78).events();
    assert_eq!((&events[0]["event"], &events[1]["event"]), (&json!("problem"), &json!("error")), "{run:#?}");
    assert_eq!(events[1]["code"], json!("no-such-file"));
    // One that cannot be read hides no other.
    fs::remove_file(cluster.0.join("haresources")).unwrap();
    fs::create_dir(cluster.0.join("haresources")).unwrap();
    let events = cluster.run(&["check"]).ends_with(78).events();
    assert!(events.iter().any(|e| e["event"] == "problem" && e["file"].as_str().unwrap().ends_with("/haresources")));
    fs::create_dir(cluster.0.join("authkeys")).unwrap();
    cluster.run(&["authkeys"]).failed("ha-conf", 78, "unreadable-file");
}

/// What directs root is not even printed where others could have written it.
#[test]
fn documents_of_strangers_are_refused() {
    let cluster = Cluster::new("trust");
    cluster.chmod("haresources", 0o666);
    let run = cluster.run(&["haresources"]);
    run.failed("ha-conf", 78, "untrusted-file");
    let event = run.event();
    assert!(event["message"].as_str().unwrap().contains("mode 0666"), "{event:?}");
    assert_eq!(event["hint"], json!(format!("chmod go-w {}", cluster.0.join("haresources").display())));
    cluster.chmod("haresources", 0o644);
    cluster.chmod("", 0o777);
    cluster.run(&["haresources"]).failed("ha-conf", 78, "untrusted-file");
    cluster.chmod("", 0o1777);
    cluster.run(&["haresources"]).ends_with(0);
}

/// Root can give a file away: refused, but for a user namespace that does not know its owner.
#[test]
fn owners() {
    if !nix::unistd::geteuid().is_root() {
        return; // nobody else can make such a file
    }
    let cluster = Cluster::new("owners");
    let file = cluster.0.join("ha.cf");
    std::os::unix::fs::chown(&file, Some(4711), None).unwrap();
    let run = cluster.run(&["ha-cf"]);
    run.failed("ha-conf", 78, "untrusted-file");
    assert!(run.event()["message"].as_str().unwrap().contains("owner 4711"));
    assert_eq!(run.event()["hint"], json!(format!("chown -h root {}", file.display())));
    let inside = |file: &str| {
        let mut unshare = std::process::Command::new("unshare");
        finish(unshare.arg("-Ur").arg(support::path("ha-conf")).arg("--ha-d").arg(&cluster.0).arg(file))
    };
    inside("ha-cf").ends_with(0);
    // There too, what others can write is refused.
    cluster.chmod("ha.cf", 0o666);
    inside("ha-cf").failed("ha-conf", 78, "untrusted-file");
}

#[test]
fn usage() {
    for args in [&[][..], &["ha.cf"], &["show", "check"], &["--ha-d"]] {
        finish(command("ha-conf").args(args)).failed("ha-conf", 64, "usage");
    }
}
