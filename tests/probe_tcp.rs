//! probe-tcp against services with every kind of fault, on the loopback.

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

#[path = "support/server.rs"]
mod server;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use server::serve;
use support::{command, finish, run};

/// A bound for what has to come: only there so that a test cannot hang.
const LONG: &str = "--timeout=20s";

/// A service that says this and then listens to the end.
fn says(bytes: &'static [u8]) -> SocketAddr {
    serve(move |mut stream| {
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A port on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Status, `up` and reason of a one-shot for one target.
fn verdict(args: &[&str], target: SocketAddr) -> (i32, Option<bool>, String) {
    let target = target.to_string();
    let run = run("probe-tcp", &[args, &[target.as_str()]].concat());
    let event = run.event();
    (run.status.unwrap(), event["up"].as_bool(), event["reason"].as_str().unwrap().to_owned())
}

fn up() -> (i32, Option<bool>, String) {
    (0, Some(true), "ok".to_owned())
}

fn down(reason: &str) -> (i32, Option<bool>, String) {
    (1, Some(false), reason.to_owned())
}

fn untold(reason: &str) -> (i32, Option<bool>, String) {
    (75, None, reason.to_owned())
}

#[test]
fn connections() {
    assert_eq!(verdict(&[LONG], says(b"")), up());
    assert_eq!(verdict(&[LONG], nobody()), down("refused"));
    let lookup = run("probe-tcp", &[LONG, "nothing.invalid:80"]);
    assert_eq!(lookup.event()["reason"], "lookup-failed");
    lookup.ends_with(75);
    let name = format!("localhost:{}", says(b"").port());
    run("probe-tcp", &[LONG, &name]).ends_with(0);
}

#[test]
fn what_is_said() {
    let smtp = ["--service", "smtp", LONG];
    assert_eq!(verdict(&smtp, says(b"220 here\r\n")), up());
    assert_eq!(verdict(&smtp, says(b"220-here\r\n220 and more\r\n")), up());
    assert_eq!(verdict(&smtp, says(b"554 not today\r\n")), down("wrong-answer"));
    assert_eq!(verdict(&smtp, serve(drop)), down("closed"));
    assert_eq!(verdict(&["--service", "smtp", "--timeout=1s"], says(b"")), down("timeout-answer"));
    assert_eq!(verdict(&["--expect", "ready", "--timeout=1s"], says(b"busy")), down("wrong-answer"));
    let echo = || {
        serve(|mut stream| {
            let mut bytes = [0; 100];
            while let Ok(n @ 1..) = stream.read(&mut bytes) {
                let _ = stream.write_all(&bytes[..n]);
            }
        })
    };
    assert_eq!(verdict(&["--send", "a\\r\\n", "--expect", "a\r\n", LONG], echo()), up());
    assert_eq!(verdict(&["--send=a", "--expect=a", "--send=b", "--expect=^b", LONG], echo()), up());
    let flood = serve(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    assert_eq!(verdict(&["--expect", "y", LONG], flood), untold("answer-too-long"));
}

#[test]
fn leave_is_taken() {
    let (heard, said) = mpsc::channel();
    let service = serve(move |mut stream| {
        let _ = stream.write_all(b"* OK ready\r\n");
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let _ = heard.send(all);
    });
    assert_eq!(verdict(&["--service", "imap", LONG], service), up());
    assert_eq!(said.recv_timeout(Duration::from_secs(20)).unwrap(), b"z LOGOUT\r\n");
}

#[test]
fn logins() {
    let dir = std::env::temp_dir().join(format!("probe-tcp-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("password");
    std::fs::write(&file, "open sesame\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let pop = |right: &'static str| {
        serve(move |mut stream| {
            let _ = stream.write_all(b"+OK\r\n");
            let line = |stream: &mut TcpStream| {
                let mut bytes = [0; 100];
                let n = stream.read(&mut bytes).unwrap_or(0);
                String::from_utf8_lossy(&bytes[..n]).into_owned()
            };
            for wanted in ["USER me\r\n".to_owned(), format!("PASS {right}\r\n")] {
                let answer: &[u8] = if line(&mut stream) == wanted { b"+OK\r\n" } else { b"-ERR\r\n" };
                let _ = stream.write_all(answer);
            }
            let _ = line(&mut stream);
        })
    };
    let path = file.display().to_string();
    let args = ["--service", "pop", "--user", "me", "--password-file", &path, LONG];
    assert_eq!(verdict(&args, pop("open sesame")), up());
    assert_eq!(verdict(&args, pop("something else")), down("wrong-answer"));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    run("probe-tcp", &[&args[..], &["127.0.0.1"]].concat()).failed("probe-tcp", 64, "usage");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn datagrams() {
    let args = ["--udp", "--send", "ping", "--expect", "pong"];
    let answering = |nth: u32| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut seen = 0;
            while let Ok((_, from)) = socket.recv_from(&mut [0; 100]) {
                seen += 1;
                if seen == nth {
                    let _ = socket.send_to(b"pong", from);
                }
            }
        });
        address
    };
    assert_eq!(verdict(&[&args[..], &[LONG]].concat(), answering(1)), up());
    // What is lost is said again.
    assert_eq!(verdict(&[&args[..], &["--timeout=2s"]].concat(), answering(3)), up());
    assert_eq!(verdict(&[&args[..], &["--timeout=1s"]].concat(), answering(4)), down("timeout-answer"));
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(verdict(&[&args[..], &[LONG]].concat(), gone), down("refused"));
}

#[test]
fn tls() {
    let plain = says(b"220 here\r\n");
    assert_eq!(verdict(&["--tls", "--insecure", LONG], plain), down("tls"));
    assert_eq!(verdict(&["--tls", "--insecure", "--timeout=1s"], says(b"")), down("timeout-tls"));
    assert_eq!(verdict(&["--tls", "--cacert", "/nonexistent", LONG], plain), untold("ca-bundle"));
    let site = server::certified("probe-tcp");
    let target: SocketAddr = format!("127.0.0.1:{}", site.port).parse().unwrap();
    let ca = site.path("ca.pem");
    let request = ["--send", "GET / HTTP/1.0\\r\\n\\r\\n", "--expect", "^HTTP/1.0 200", LONG, "--tls"];
    let with = |words: &[&str]| verdict(&[&request[..], words].concat(), target);
    assert_eq!(with(&["--cacert", &ca, "--server-name", "localhost"]), up());
    assert_eq!(with(&["--insecure"]), up());
    assert_eq!(with(&["--cacert", &ca, "--server-name", "other.example"]), untold("certificate"));
    assert_eq!(with(&["--server-name", "localhost"]), untold("certificate"));
}

#[test]
fn targets_from_stdin() {
    let (good, bad) = (says(b"220 here\r\n"), nobody());
    let lines = format!(
        "{{\"target\":\"mx\",\"address\":\"{good}\",\"service\":\"smtp\"}}\n\n\
         {{\"address\":\"{bad}\",\"timeout_ms\":900,\"event\":\"x\"}}\n"
    );
    let file = std::env::temp_dir().join(format!("probe-tcp-lines-{}", std::process::id()));
    std::fs::write(&file, lines).unwrap();
    let stdin = || Stdio::from(std::fs::File::open(&file).unwrap());
    let run = finish(command("probe-tcp").args(["-", LONG]).stdin(stdin()));
    let mut found: Vec<(Value, Value)> =
        run.ends_with(1).events().into_iter().map(|e| (e["target"].clone(), e["up"].clone())).collect();
    found.sort_by_key(|(target, _)| target.to_string());
    assert_eq!(found, [(bad.to_string().into(), false.into()), ("mx".into(), true.into())]);
    let mon = finish(command("probe-tcp").args(["-", LONG, "--exit-style", "mon"]).stdin(stdin()));
    assert_eq!((mon.status, mon.stdout.lines().next()), (Some(1), Some(bad.to_string().as_str())));
    std::fs::write(&file, "{\"address\":\"127.0.0.1\"}\n").unwrap();
    let run = finish(command("probe-tcp").arg("-").stdin(stdin()));
    assert!(run.failed("probe-tcp", 64, "usage").stderr.contains("line 1"), "{run:?}");
    let _ = std::fs::remove_file(file);
}

#[test]
fn streams_follow_a_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let quick = ["--every", "10ms", "--fall", "2", "--rise", "2", "--for", "20s", LONG, &target];
    let until = |goal: &str| run("probe-tcp", &[&quick[..], &["--until", goal]].concat());
    let events = until("up").ends_with(0).events();
    assert_eq!(events.iter().filter(|e| e["event"] == "probe").count(), 2);
    drop(listener);
    let events = until("down").ends_with(0).events();
    assert_eq!(events.last().unwrap()["is"], "down");
}

/// What could not be sent is no word about a service, and is known before anything is sent.
#[test]
fn interfaces() {
    assert_eq!(verdict(&["--interface", "nosuch0", LONG], nobody()), untold("no-interface"));
    assert_eq!(verdict(&["--interface", "lo", LONG], says(b"")), up());
    let run = run("probe-tcp", &["--port", "25", LONG, "fe80::1%nosuch0"]);
    assert_eq!(run.ends_with(75).event()["reason"], "no-interface");
}

/// What cannot be asked is said before anything is: the port would refuse.
#[test]
fn what_cannot_be_asked() {
    let nobody = nobody().to_string();
    let dir = std::env::temp_dir().join(format!("probe-tcp-unfit-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let missing = dir.join("no such file").display().to_string();
    for (args, words) in [
        (&["--service", "dns", "--request", "a b c"][..], "'a b c' is not NAME or NAME TYPE"),
        (&["--service", "dns", "--request", "x NOTYPE"], "'NOTYPE' is no type"),
        (&["--service", "radius"], "give --secret-file"),
        (&["--service", "imap", "--user", "a\nb"], "the user holds the end of a line"),
        (&["--service", "sip", "--request", "sip:a b"], "the request holds a blank"),
        (&["--service", "smtp", "--user", "me"], "this service makes nothing of --user"),
        (&["--receive", "x"], "this service makes nothing of --receive"),
        (&["--service", "mysql", "--receive", "x"], "give that, too"),
        (&["--service", "pop", "--user", "me", "--password-file", &missing], "No such file"),
    ] {
        let run = run("probe-tcp", &[args, &[LONG, &nobody]].concat());
        assert!(run.failed("probe-tcp", 64, "usage").stderr.contains(words), "{run:#?}");
    }
    let run = run("probe-tcp", &["--service", "pop", "--password-file", &missing, &nobody]);
    let hint = run.event()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains(&format!("umask 077; cat >'{missing}'")), "{hint}");
    let file = dir.join("lines");
    for (line, words) in [
        ("\"service\":\"dns\",\"request\":\"a b c\"", "is not NAME"),
        ("\"service\":\"radius\",\"user\":\"me\"", "secret"),
        ("\"service\":\"pop\",\"user\":\"a\",\"password\":\"b\\r\\nDELE 1\"", "the password holds the end of a line"),
    ] {
        std::fs::write(&file, format!("{{\"address\":\"{nobody}\",{line}}}\n")).unwrap();
        let stdin = Stdio::from(std::fs::File::open(&file).unwrap());
        let run = finish(command("probe-tcp").arg("-").stdin(stdin));
        let said = &run.failed("probe-tcp", 64, "usage").stderr;
        assert!(said.contains("line 1") && said.contains(words), "{run:#?}");
    }
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn wrong_words() {
    let run = run("probe-tcp", &["--port", "25", "fe80::1%nosuch:"]);
    assert!(run.failed("probe-tcp", 64, "usage").stderr.contains("[fe80::1%eth0]:25"), "{run:#?}");
    for args in [
        &["127.0.0.1"][..],
        &["127.0.0.1:0"],
        &["--udp", "127.0.0.1:1"],
        &["--udp", "--tls", "--send=a", "--expect=b", "127.0.0.1:1"],
        &["--service", "smtp", "--udp", "127.0.0.1"],
        &["--service", "smtp", "--send", "x", "127.0.0.1"],
        &["--password-file", "/nonexistent", "127.0.0.1:1"],
        &["--timeout", "2d", "127.0.0.1:1"],
        &["-"],
    ] {
        support::run("probe-tcp", args).failed("probe-tcp", 64, "usage");
    }
}
