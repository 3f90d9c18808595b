//! lvs-sync and director with a stand-in for ipvsadm, which keeps its table in a file.
//!
//! It shows that calls and answers go the right way, and what the script does about events. What the kernel makes of it
//! tests/vm/scenarios/director-lvs shows, on one that has IPVS.
#![allow(clippy::unwrap_used)] // in its helper functions too

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Run, command, finish, path};

/// A folder with a table, and a PATH that finds the stand-in; gone at the end of its test.
struct Balancer(PathBuf);

impl Balancer {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lvs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).unwrap();
        let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/ipvsadm");
        std::os::unix::fs::symlink(tests, folder.join("bin/ipvsadm")).unwrap();
        fs::write(folder.join("table"), "").unwrap();
        Self(folder)
    }

    /// With the stand-in, our commands and our scripts before all others.
    fn prepared(&self, command: &mut Command) {
        let ours = path("ha-event");
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let folders = [self.0.join("bin"), ours.parent().unwrap().to_owned(), scripts];
        let old = std::env::var_os("PATH").unwrap_or_default();
        let all = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&old))).unwrap();
        command.env("PATH", all).env("IPVS_TABLE", self.0.join("table"));
    }

    fn sync(&self, stdin: &str, args: &[&str]) -> Run {
        self.sync_with(stdin, args, "none")
    }

    fn sync_with(&self, stdin: &str, args: &[&str], refuses: &str) -> Run {
        let file = self.0.join("stdin");
        fs::write(&file, stdin).unwrap();
        let mut command = command("lvs-sync");
        self.prepared(&mut command);
        finish(command.args(args).env("IPVS_REFUSES", refuses).stdin(fs::File::open(file).unwrap()))
    }

    fn director(&self, config: &str, action: &str) -> Option<i32> {
        let mut command = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/director"));
        self.prepared(&mut command);
        command.arg("--run-dir").arg(self.0.join("run")).arg(self.0.join(config)).arg(action);
        command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().code()
    }

    fn table(&self) -> String {
        fs::read_to_string(self.0.join("table")).unwrap()
    }

    /// How often ipvsadm was told to change something since this was asked last.
    fn calls(&self) -> usize {
        let file = self.0.join("table.calls");
        let calls = fs::read_to_string(&file).unwrap_or_default().lines().count();
        let _ = fs::remove_file(file);
        calls
    }

    fn becomes(&self, wanted: &str) {
        let until = Instant::now() + Duration::from_secs(120); // a bound, not a measure
        // In the order in which they came, which the checks decide.
        let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        while sorted(&self.table()) != sorted(wanted) {
            let log = fs::read_to_string(self.0.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "the table is\n{}and should be\n{wanted}{log}", self.table());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for config in ["www.cf"] {
            if self.0.join(config).exists() {
                let _ = self.director(config, "stop");
            }
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

const WEB: &str = r#"{"service":"tcp://10.0.0.100:80","scheduler":"wrr","persistent_s":null,"servers":[{"address":"10.0.0.1:80","forward":"gate","weight":1}]}"#;

#[test]
fn twice_is_once_and_others_are_left_alone() {
    let lb = Balancer::new("sync");
    let theirs = "-A -f 7 -s rr\n-a -f 7 -r 10.9.9.9:0 -m -w 1\n";
    fs::write(lb.0.join("table"), theirs).unwrap();
    let dry = lb.sync(WEB, &["-", "--dry-run"]).ends_with(0).events();
    assert_eq!((dry.len(), &dry[0]["dry_run"], lb.calls()), (3, &true.into(), 0));
    let events = lb.sync(WEB, &["-"]).ends_with(0).events();
    assert_eq!(events[1]["ipvsadm"], "-a -t 10.0.0.100:80 -r 10.0.0.1:80 -g -w 1");
    assert_eq!((&events[2]["event"], &events[2]["changed"]), (&"outcome".into(), &true.into()));
    let both = format!("{theirs}-A -t 10.0.0.100:80 -s wrr\n-a -t 10.0.0.100:80 -r 10.0.0.1:80 -g -w 1\n");
    assert_eq!((lb.table(), lb.calls()), (both, 2));
    let again = lb.sync(WEB, &["-"]).ends_with(0).event();
    assert_eq!((&again["changed"], lb.calls()), (&false.into(), 0));
    // What is owned goes where it is not wanted, and stays where it is.
    let own = ["--own", "tcp://10.0.0.100:80", "--own", "udp://10.0.0.100:53"];
    let kept = lb.sync(WEB, &[&["-"][..], &own].concat()).ends_with(0).event();
    assert_eq!(kept["changed"], false);
    lb.sync("", &own).ends_with(0);
    assert_eq!((lb.table().as_str(), lb.calls()), (theirs, 1));
}

#[test]
fn no_pretence() {
    let lb = Balancer::new("none");
    lb.sync("", &["-"]).failed("lvs-sync", 64, "usage");
    lb.sync("{\"service\":\"tcp://10.0.0.100:80\"}", &["-"]).failed("lvs-sync", 64, "usage");
    lb.sync(&format!("{WEB}\n{WEB}"), &["-"]).failed("lvs-sync", 64, "usage");
    // One service is refused its server: it is told, and the other one is finished.
    let other = WEB.replace("10.0.0.100", "10.0.0.101");
    fs::write(lb.0.join("table"), "-A -t 10.0.0.100:80 -s wrr\n").unwrap();
    let refused = lb.sync_with(&format!("{WEB}\n{other}"), &["-"], "-A");
    refused.ends_with(75);
    assert_eq!(lb.table(), "-A -t 10.0.0.100:80 -s wrr\n-a -t 10.0.0.100:80 -r 10.0.0.1:80 -g -w 1\n");
    fs::write(lb.0.join("table"), "nonsense\n").unwrap();
    lb.sync(WEB, &["-"]).ends_with(0); // the stand-in prints lines that it knows alone
    fs::remove_file(lb.0.join("table")).unwrap();
    lb.sync(WEB, &["-"]).failed("lvs-sync", 69, "no-ipvs");
    let mut command = command("lvs-sync");
    command.env("PATH", lb.0.join("run")).args(["--own", "fwmark://1"]);
    let run = finish(&mut command);
    assert!(matches!(run.status, Some(69)), "no ipvsadm, or no IPVS: {run:#?}");
}

/// Each line is made as it comes, and what another one did to the table meanwhile is found and mended.
#[test]
fn one_line_after_the_other() {
    let lb = Balancer::new("follow");
    let mut command = command("lvs-sync");
    lb.prepared(&mut command);
    let mut child = command.args(["-", "--follow"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut until = |wanted: &str| {
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended: {seen:?}");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            seen.push(event.clone());
            if event["event"] == wanted {
                return (event, seen.len());
            }
        }
    };
    let mut say = |line: &str| writeln!(stdin, "{line}").unwrap();
    say(WEB);
    let (outcome, _) = until("outcome");
    assert_eq!((&outcome["changes"], &outcome["seq"], lb.calls()), (&2.into(), &2.into(), 2));
    let heavier = WEB.replace("\"weight\":1", "\"weight\":2");
    say(&heavier);
    assert_eq!((&until("outcome").0["changes"], lb.calls()), (&1.into(), 1));
    // The service is gone behind its back: the edit is refused, and then the whole of it is made.
    fs::write(lb.0.join("table"), "").unwrap();
    say(WEB);
    assert_eq!((&until("outcome").0["changed"], lb.calls()), (&true.into(), 3));
    assert_eq!(lb.table(), "-A -t 10.0.0.100:80 -s wrr\n-a -t 10.0.0.100:80 -r 10.0.0.1:80 -g -w 1\n");
    say("nonsense");
    assert_eq!((until("error").0["code"].clone(), lb.calls()), ("usage".into(), 0));
    say("");
    say(&heavier);
    assert_eq!(until("outcome").0["changes"], 1);
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A server that accepts and answers until it is dropped.
struct Served(u16, std::sync::Arc<std::sync::atomic::AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Served {
    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let told = over.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                let _ = stream.and_then(|mut s| s.write_all(b"hello\r\n"));
            }
        });
        Self(port, over, Some(thread))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.1.store(true, std::sync::atomic::Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.0));
        let _ = self.2.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn a_director_by_its_file() {
    let lb = Balancer::new("director");
    let (one, two) = (Served::at("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0").unwrap());
    let dead = two.local_addr().unwrap().port();
    drop(two); // nobody listens there now
    let write = |weight: u32, more: &str| {
        let log = lb.0.join("log");
        let text = format!(
            "checkinterval=200ms\nchecktimeout=2\nlogfile=\"{}\"\nmaintenancedir={}\nvirtual=10.0.0.100:80\n\
             \treal=127.0.0.1:{} masq {weight}\n\treal=127.0.0.1:{dead} masq\n\tchecktype=connect\n{more}",
            log.display(),
            lb.0.join("m").display(),
            one.0
        );
        fs::write(lb.0.join("www.cf"), text).unwrap();
    };
    fs::create_dir(lb.0.join("m")).unwrap();
    assert_eq!(lb.director("www.cf", "status"), Some(1), "no file");
    fs::write(lb.0.join("www.cf"), "nonsense\n").unwrap();
    assert_eq!(lb.director("www.cf", "start"), Some(2), "a bad file");
    write(3, "");
    assert_eq!(lb.director("www.cf", "status"), Some(3));
    assert_eq!(lb.director("www.cf", "reload"), Some(1));
    assert_eq!(lb.director("www.cf", "try-restart"), Some(0));
    assert_eq!(lb.director("www.cf", "status"), Some(3));
    assert_eq!(lb.director("www.cf", "start"), Some(0));
    assert_eq!(lb.director("www.cf", "start"), Some(0), "it runs already");
    assert_eq!(lb.director("www.cf", "status"), Some(0));
    let head = "-A -t 10.0.0.100:80 -s wrr\n";
    let row = |port: u16, weight: u32| format!("-a -t 10.0.0.100:80 -r 127.0.0.1:{port} -m -w {weight}\n");
    let sorted = |first: u32| format!("{head}{}{}", row(one.0, first), row(dead, 0));
    lb.becomes(&sorted(3));
    // A reload edits the one thing that differs.
    lb.calls();
    write(5, "");
    assert_eq!(lb.director("www.cf", "reload"), Some(0));
    lb.becomes(&sorted(5));
    assert_eq!(lb.calls(), 1);
    // A bad file changes nothing.
    fs::write(lb.0.join("www.cf"), "nonsense\n").unwrap();
    assert_eq!(lb.director("www.cf", "restart"), Some(2));
    assert_eq!(lb.director("www.cf", "status"), Some(0));
    write(5, "");
    // Out of service by hand, and back.
    fs::write(lb.0.join(format!("m/127.0.0.1:{}", one.0)), "").unwrap();
    lb.becomes(&sorted(0));
    fs::remove_file(lb.0.join(format!("m/127.0.0.1:{}", one.0))).unwrap();
    lb.becomes(&sorted(5));
    assert_eq!(lb.director("www.cf", "stop"), Some(0));
    assert_eq!((lb.table().as_str(), lb.director("www.cf", "status")), ("", Some(3)));
    assert_eq!(lb.director("www.cf", "stop"), Some(0), "twice is once");
    // One that is warm has nothing in the table, and all of it as soon as it is started.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    for _ in 0..2 {
        lb.calls();
        assert_eq!((lb.director("www.cf", "warm"), lb.director("www.cf", "status")), (Some(0), Some(3)));
        let until = Instant::now() + Duration::from_secs(120); // a bound, not a measure
        let known = || fs::read_to_string(lb.0.join("run/www.cf/states")).unwrap_or_default();
        while known().split_terminator('\n').collect::<std::collections::BTreeSet<_>>().len() < 2 {
            assert!(Instant::now() < until, "{}", known());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!((lb.director("www.cf", "warm"), lb.table().as_str()), (Some(0), ""));
        assert_eq!((lb.director("www.cf", "start"), lines(&lb.table())), (Some(0), lines(&sorted(5))));
        assert_eq!(lb.director("www.cf", "status"), Some(0));
    }
    // Its file is gone: it can be stopped all the same.
    assert_eq!(lb.director("www.cf", "warm"), Some(0));
    fs::remove_file(lb.0.join("www.cf")).unwrap();
    assert_eq!((lb.director("www.cf", "start"), lb.director("www.cf", "stop")), (Some(1), Some(0)));
    assert_eq!((lb.table().as_str(), lb.director("www.cf", "status")), ("", Some(3)));
    // Without cleanstop the services stay.
    write(3, "\tcleanstop=no\n");
    assert_eq!(lb.director("www.cf", "start"), Some(0));
    lb.becomes(&sorted(3));
    assert_eq!(lb.director("www.cf", "stop"), Some(0));
    lb.becomes(&sorted(3));
}
