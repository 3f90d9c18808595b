//! probe-http against servers with every kind of fault, on loopback and in a network namespace of its own.

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::Value;

#[path = "support/server.rs"]
mod server;

use server::serve;

const PROBE: &str = env!("CARGO_BIN_EXE_probe-http");

/// Reads the head of a request.
fn request(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream).lines();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect()
}

/// A server that answers each request with these bytes and closes.
fn says(bytes: &'static [u8]) -> SocketAddr {
    serve(move |mut stream| {
        request(&stream);
        let _ = stream.write_all(bytes);
    })
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nwelcome\n";

fn probe(args: &[&str]) -> Output {
    Command::new(PROBE).args(args).output().unwrap()
}

fn events(output: &Output) -> Vec<Value> {
    output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

/// Status, `up` and `reason` of a one-shot for one target.
fn verdict(args: &[&str]) -> (i32, Option<bool>, String) {
    let output = probe(args);
    let events = events(&output);
    assert_eq!(events.len(), 1, "{output:?}");
    let reason = events[0]["reason"].as_str().unwrap().to_owned();
    (output.status.code().unwrap(), events[0]["up"].as_bool(), reason)
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

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

#[test]
fn what_servers_do() {
    let healthy = url(says(OK));
    let long = "--timeout=10s";
    assert_eq!(verdict(&[long, &healthy]), up());
    assert_eq!(verdict(&[long, "--body", "^wel+come$", &healthy]), down("wrong-body"));
    assert_eq!(verdict(&[long, "--body", "(?m)^wel+come$", &healthy]), up());
    assert_eq!(verdict(&[long, "--expect", "204,300-302", &healthy]), down("wrong-status"));
    let failing = url(says(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(verdict(&[long, &failing]), down("wrong-status"));
    assert_eq!(verdict(&[long, "--fall", "3", "--expect", "500", &failing]), up());
    assert_eq!(verdict(&[long, &url(says(b"SSH-2.0-OpenSSH_9.2\r\n"))]), down("not-http"));
    assert_eq!(verdict(&[long, &url(says(b"HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\nwel"))]), down("cut-off"));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nwel";
    assert_eq!(verdict(&[long, &url(says(chunked))]), down("cut-off"));
    assert_eq!(verdict(&[long, &url(says(b""))]), down("empty-reply"));
    let reset = serve(|stream| {
        request(&stream);
        setsockopt(&stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
    });
    assert_eq!(verdict(&[long, &url(reset)]), down("reset"));
    let reset = serve(|stream| {
        let _ = (&stream).read(&mut [0; 100]);
        setsockopt(&stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
    });
    assert_eq!(verdict(&[long, "--insecure", &format!("https://{reset}/")]), down("reset"));
    let closing = serve(|stream| drop((&stream).read(&mut [0; 4096])));
    assert_eq!(verdict(&[long, "--insecure", &format!("https://{closing}/")]), down("tls"));
    // A port that was just free, and that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(verdict(&[long, &url(closed)]), down("refused"));
    // What is no TLS, and what is.
    let plain = says(OK);
    assert_eq!(verdict(&[long, "--insecure", &format!("https://{plain}/")]), down("tls"));
}

#[test]
fn silence_has_a_phase() {
    let keep = |stream: TcpStream| {
        request(&stream);
        let _ = (&stream).read(&mut [0]); // until the probe leaves
    };
    let silent = serve(keep);
    let short = "--timeout=500ms";
    // A machine that stood still itself says so, and is asked again.
    let verdict = |args: &[&str]| {
        let runs = || std::iter::repeat_with(|| verdict(args)).take(10);
        runs().find(|(_, _, reason)| reason != "stalled").unwrap_or_else(|| untold("stalled"))
    };
    assert_eq!(verdict(&[short, &url(silent)]), down("timeout-first-byte"));
    // Preparing a handshake alone takes a debug build half of that on a busy machine.
    assert_eq!(verdict(&["--timeout=2s", "--insecure", &format!("https://{silent}/")]), down("timeout-tls"));
    let dribbling = serve(|mut stream| {
        request(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 800\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(verdict(&[short, &url(dribbling)]), down("timeout-body"));
    // An accept queue that is full drops what comes: no connection.
    let full = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    use nix::sys::socket::{Backlog, SockaddrIn, bind, getsockname, listen};
    use std::os::fd::AsRawFd;
    bind(full.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&full, Backlog::new(0).unwrap()).unwrap();
    let address: SockaddrIn = getsockname(full.as_raw_fd()).unwrap();
    let address = SocketAddr::from((address.ip(), address.port()));
    let _filling = TcpStream::connect(address).unwrap();
    assert_eq!(verdict(&[short, &url(address)]), down("timeout-connect"));
}

#[test]
fn what_is_sent() {
    let (tell, heard) = mpsc::channel();
    let server = serve(move |mut stream| {
        tell.send(request(&stream)).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.read(&mut [0]); // kept open for a further request
    });
    let port = server.port();
    let output = Command::new(PROBE)
        .args(["--timeout=10s", "--method=head", "--header=Host: other.example", "--header", "X-One: 1"])
        .args(["--resolve", &format!("name.example:{port}:127.0.0.1"), &format!("http://name.example:{port}/a/../b?c")])
        .env("http_proxy", "http://127.0.0.1:9/")
        .env("ALL_PROXY", "socks5://127.0.0.1:9/")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(events(&output)[0]["status"], 301);
    let request = heard.recv().unwrap();
    assert_eq!(request[0], "HEAD /a/../b?c HTTP/1.1");
    assert!(
        request.contains(&"Host: other.example".to_owned()) && request.contains(&"X-One: 1".to_owned()),
        "{request:?}"
    );
    // Nothing else was asked: no redirection was followed.
    assert!(heard.try_recv().is_err());
}

#[test]
fn a_long_body_that_may_have_held_it_cannot_tell() {
    let server = serve(|mut stream| {
        request(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\nstart");
        let _ = stream.write_all(&vec![b'x'; 3_145_728 - 5]);
    });
    assert_eq!(verdict(&["--timeout=20s", "--body", "^start", &url(server)]), up());
    assert_eq!(verdict(&["--timeout=20s", "--body", "welcome", &url(server)]), untold("body-too-long"));
}

#[test]
fn a_bad_bundle_is_no_no() {
    let silent = serve(|stream| {
        let _ = (&stream).read(&mut [0; 4096]);
        let _ = (&stream).read(&mut [0]);
    });
    let target = format!("https://{silent}/");
    for bundle in ["/nonexistent/ca.pem", "/dev/null", "/proc/self/cmdline", "/"] {
        assert_eq!(verdict(&["--timeout=10s", "--cacert", bundle, &target]), untold("ca-bundle"), "{bundle}");
        let output =
            Command::new(PROBE).args(["--timeout=10s", &target]).env("SSL_CERT_FILE", bundle).output().unwrap();
        assert_eq!(output.status.code(), Some(75));
        // Where it is not needed it is not looked at.
        assert_eq!(verdict(&["--timeout=10s", "--cacert", bundle, &url(says(OK))]), up());
    }
}

/// Ended by its number when the test ends, however it ends.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn certificates() {
    let site = server::certified("probe-http");
    let port = site.port;
    let target = format!("https://127.0.0.1:{port}/");
    let ca = &site.path("ca.pem");
    let by_name = format!("other.example:{port}:127.0.0.1");
    let got = [
        verdict(&["--timeout=20s", "--cacert", ca, &target]),
        verdict(&["--timeout=20s", "--insecure", &target]),
        verdict(&["--timeout=20s", "--cacert", "/etc/ssl/certs/ca-certificates.crt", &target]),
        verdict(&["--timeout=20s", "--cacert", ca, "--resolve", &by_name, &format!("https://other.example:{port}/")]),
    ];
    assert_eq!(got, [up(), up(), untold("certificate"), untold("certificate")]);
}

#[test]
fn wrong_words_are_a_usage_error_before_anything_is_sent() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let good = url(serve(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let table: &[&[&str]] = &[
        &[],
        &["ftp://127.0.0.1/"],
        &["127.0.0.1/path"],
        &["file:///etc/passwd"],
        &["http://127.0.0.1:0/"],
        &["http://a b/"],
        &["--header", "X: a\r\nY: b"],
        &["--header", "none"],
        &["--body", "("],
        &["--expect", "2xx"],
        &["--method", "GET /"],
        &["--resolve", "a:80"],
        &["--timeout", "0"],
        &["--cacert", "x", "--insecure"],
        &["--fields", "nonsense"],
        &["--every", "0"],
    ];
    for words in table {
        let first = if words.is_empty() { None } else { Some(&good) };
        let output = Command::new(PROBE).args(first).args(*words).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{words:?}: {output:?}");
        let events = events(&output);
        assert_eq!((events.len(), &events[0]["code"]), (1, &Value::from("usage")), "{words:?}");
        assert!(events[0]["hint"].is_string() && !output.stderr.is_empty(), "{words:?}");
    }
    let output = Command::new(PROBE).arg(&good).arg(std::ffi::OsStr::from_bytes(b"http://\xff/")).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let output = probe(&["www.example.org/x"]);
    assert_eq!(events(&output)[0]["hint"], "write http://www.example.org/x");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn many_at_once() {
    let target = url(says(OK));
    let output = Command::new(PROBE)
        .args(["--timeout=60s", "--fields", "up,target"])
        .args(vec![&target; 1000])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, format!("true\t{target}\n").repeat(1000).into_bytes());
    // The descriptors that there are suffice.
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 70; exec \"$@\"", "sh", PROBE, "--timeout=60s", "--fields=up"])
        .args(vec![&target; 50])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(0), "true\n".repeat(50).into_bytes()));
}

#[test]
fn without_descriptors_nothing_is_down() {
    let target = url(says(OK));
    // Enough for libcurl itself to start, too few for a socket.
    let mut seen = Vec::new();
    for limit in 4..12 {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let output = Command::new("sh").args(["-c", &script, "sh", PROBE, "--timeout=10s", &target]).output().unwrap();
        assert_ne!(output.status.code(), Some(1), "{limit}: {output:?}");
        seen.extend(events(&output).first().and_then(|e| e["reason"].as_str()).map(str::to_owned));
    }
    assert!(seen.contains(&"out-of-descriptors".to_owned()), "{seen:?}");
}

#[test]
fn stdout_that_is_gone_or_full() {
    let target = url(says(OK));
    for stream in [&["--every", "1h"][..], &[]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(PROBE).args(stream).arg(&target).stdout(writer).status().unwrap();
        assert_eq!(status.code(), Some(75), "{stream:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output =
            Command::new(PROBE).args(stream).arg(&target).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(70), "{stream:?}");
        assert!(!output.stderr.is_empty());
    }
    // A reader that leaves while there is nothing to print.
    let mut child = Command::new(PROBE).args(["--every", "1h", &target]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap(); // and the reader is dropped here
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn streams_judge_and_end() {
    let healthy = url(says(OK));
    let closed = url(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let every = ["--timeout=10s", "--every=10ms", "--fields=event,was,is", "--for=60s"];
    let run = |more: &[&str]| {
        let output = Command::new(PROBE).args(every).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let probe = "probe\t-\t-\n";
    assert_eq!(run(&["--until=up", &healthy]), (0, format!("{probe}{probe}state\tunknown\tup\n")));
    assert_eq!(run(&["--until=down", &closed]), (0, format!("{probe}{probe}{probe}state\tunknown\tdown\n")));
    let status = |more: &[&str]| Command::new(PROBE).args(more).stdout(Stdio::null()).status().unwrap().code();
    assert_eq!(status(&["--for=500ms", "--every=10ms", &healthy]), Some(0));
    assert_eq!(status(&["--for=1s", "--every=10ms", "--until=up", &closed]), Some(1));
    assert_eq!(status(&["--for=100ms", "--every=1h", "--until=up", &closed]), Some(75));
}

#[test]
fn a_signal_ends_a_stream_with_0_and_a_one_shot_by_itself() {
    let silent = url(serve(|stream| {
        request(&stream);
        let _ = (&stream).read(&mut [0]);
    }));
    let healthy = url(says(OK));
    let mut stream = Guard(Command::new(PROBE).args(["--every=1h", &healthy]).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(stream.0.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    kill(Pid::from_raw(stream.0.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(stream.0.wait().unwrap().code(), Some(0));
    // Whoever waits for something takes 0 for its having happened.
    let wait = ["--every=1h", "--until=down", &healthy];
    let mut stream = Guard(Command::new(PROBE).args(wait).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(stream.0.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    kill(Pid::from_raw(stream.0.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(stream.0.wait().unwrap().code(), Some(75));
    let mut shot = Guard(Command::new(PROBE).args(["--timeout=60s", &silent]).stdout(Stdio::piped()).spawn().unwrap());
    kill(Pid::from_raw(shot.0.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(shot.0.wait().unwrap().code(), None);
}

#[test]
fn each_probe_is_a_new_connection() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let server = serve(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        while !request(&stream).is_empty() {
            let _ = stream.write_all(OK);
        }
    });
    let output =
        probe(&["--timeout=10s", "--every=5ms", "--rise=5", "--until=up", "--for=60s", "--fields=event", &url(server)]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "probe\n".repeat(5) + "state\n");
    assert_eq!(connections.load(Ordering::SeqCst), 5);
}

#[test]
fn mon_reads_the_failed_targets_on_the_first_line() {
    let (healthy, closed) = (url(says(OK)), url(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()));
    let output = probe(&["--exit-style=mon", "--human", "--timeout=10s", &closed, &healthy]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().next(), Some(closed.as_str()));
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains(&format!("{healthy} up: 200 in ")), "{text}");
}

#[test]
fn a_process_that_stood_still_blames_nobody() {
    // The server tells when the request is there, and answers when it is told to.
    let stopped = |answers: bool| {
        let (here, arrived) = mpsc::channel();
        let (go, told) = mpsc::channel::<()>();
        let told = std::sync::Mutex::new(told);
        let server = serve(move |mut stream| {
            request(&stream);
            here.send(()).unwrap();
            let _ = told.lock().unwrap().recv();
            if answers {
                let _ = stream.write_all(OK);
            }
            let _ = stream.read(&mut [0]);
        });
        let child = Command::new(PROBE).args(["--timeout=1s", &url(server)]).stdout(Stdio::piped()).spawn().unwrap();
        let child = Guard(child);
        let pid = Pid::from_raw(child.0.id() as i32);
        arrived.recv().unwrap();
        kill(pid, Signal::SIGSTOP).unwrap();
        go.send(()).unwrap();
        thread::sleep(Duration::from_millis(1300));
        kill(pid, Signal::SIGCONT).unwrap();
        let mut child = child;
        let mut text = String::new();
        child.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        (child.0.wait().unwrap().code().unwrap(), event["up"].as_bool(), event["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(stopped(false), untold("stalled"));
    // What arrived meanwhile is read, late as it is.
    assert_eq!(stopped(true), up());
}

/// Runs a script in a user, network and mount namespace of its own; `$@` is probe-http and its arguments.
fn in_namespace(script: &str, args: &[&str]) -> Output {
    let nameserver = "f=$(mktemp); echo nameserver 192.0.2.53 > $f; mount --bind $f /etc/resolv.conf; rm $f";
    let hosts = "g=$(mktemp); echo hosts: files dns > $g; mount --bind $g /etc/nsswitch.conf; rm $g";
    let script = format!("ip link set lo up; {nameserver}; {hosts}; {script}");
    let output =
        Command::new("unshare").args(["-Urnm", "sh", "-ec", &script, "sh", PROBE]).args(args).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("unshare"), "{output:?}");
    output
}

#[test]
fn a_cut_on_our_own_side_is_never_a_no() {
    // dark has a carrier and nobody behind it; dead has none.
    let links = "ip link add dark type veth peer name d2; ip link set d2 up; ip link set dark up
        ip addr add 192.0.2.1/24 dev dark
        ip link add dead type veth peer name d3; ip link set dead up; ip addr add 198.51.100.1/24 dev dead
        ip route add unreachable 203.0.113.0/25; ip route add prohibit 203.0.113.128/25";
    let names = ["http://a.example/", "http://b.example/"];
    let targets = [
        ("http://192.0.2.9/", "false", "timeout-connect"),
        ("http://198.51.100.9/", "null", "no-carrier"),
        ("http://203.0.113.1/", "null", "no-route"),
        ("http://203.0.113.129/", "null", "not-permitted"),
        ("http://100.64.0.1/", "null", "no-route"),
        (names[0], "null", "lookup-timeout"),
        (names[1], "null", "lookup-timeout"),
    ];
    let mut args = vec!["--timeout=1s", "--fields=target,up,reason"];
    args.extend(targets.iter().map(|t| t.0));
    let output = in_namespace(&format!("{links}; exec \"$@\""), &args);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let up = |up: &str| if up == "null" { "-" } else { "false" }.to_owned();
    let mut wanted: Vec<String> = targets.iter().map(|(t, u, r)| format!("{t}\t{}\t{r}", up(u))).collect();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
    for (interface, reason) in [("dead", "no-carrier"), ("nope", "no-interface"), ("dark", "timeout-connect")] {
        let args = ["--timeout=500ms", "--interface", interface, "--fields=reason", "http://192.0.2.9/"];
        let output = in_namespace(&format!("{links}; exec \"$@\""), &args);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{reason}\n"));
    }
    // A name server that refuses is no answer either.
    let output = in_namespace("exec \"$@\"", &["--fields=reason", names[0]]);
    assert_eq!((output.status.code(), output.stdout), (Some(75), b"lookup-failed\n".to_vec()));
}

#[test]
fn look_ups_that_hang_do_not_pile_up() {
    let script = "ip link add dark type veth peer name d2; ip link set d2 up; ip link set dark up
        ip addr add 192.0.2.1/24 dev dark
        \"$@\" > out & sleep 2; grep Threads /proc/$!/status; kill $!; wait $!; grep -c . out; rm out";
    let script = format!("cd $(mktemp -d); {script}");
    let names: Vec<String> = (0..100).map(|n| format!("http://n{n}.example/")).collect();
    let mut args = vec!["--every=10ms", "--timeout=20ms", "--fields=reason"];
    args.extend(names.iter().map(String::as_str));
    let output = in_namespace(&script, &args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<usize> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(matches!(numbers[..], [threads, lines] if (2..=34).contains(&threads) && lines > 100), "{output:?}");
}

#[test]
fn libcurl_is_in_no_other_command() {
    let holds = |path: &str| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(MARK.len()).any(|w| w == MARK)
    };
    // Words of libcurl's that no linker and no strip takes away.
    const MARK: &[u8] = b"Could not resolve host";
    assert!(holds(PROBE));
    assert!(!holds(env!("CARGO_BIN_EXE_ha-event")));
}

/// As mon calls its monitors: nothing but hosts, which the first line names as they were given.
#[test]
fn bare_hosts() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let server = serve(move |mut stream| {
        heard.lock().unwrap().extend(request(&stream).into_iter().next());
        let _ = stream.write_all(OK);
    });
    let port = server.port().to_string();
    let mon = |words: &[&str]| probe(&[&["--exit-style", "mon", "--timeout=10s", "-p", &port], words].concat());
    let output = mon(&["--path", "health?x", "127.0.0.1", "localhost"]);
    assert_eq!(
        (output.status.code(), output.stdout.split(|b| *b == b'\n').next()),
        (Some(0), Some(&b""[..])),
        "{output:?}"
    );
    assert_eq!(*asked.lock().unwrap(), ["GET /health?x HTTP/1.1"; 2]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = mon(&["127.0.0.1", &closed]);
    let first = String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned);
    assert_eq!((output.status.code(), first), (Some(1), Some(closed)), "{output:?}");
    let output = mon(&["--tls", "--insecure", "127.0.0.1"]);
    assert_eq!(events_after_first(&output), [("127.0.0.1".to_owned(), "tls".to_owned())], "{output:?}");
    for wrong in
        [&["--port", "81", "http://127.0.0.1/"][..], &["--path", "a b", "127.0.0.1"], &["127.0.0.1/x"], &["1.2.3"]]
    {
        assert_eq!(probe(wrong).status.code(), Some(64), "{wrong:?}");
    }
}

/// Target and reason of each event behind mon's summary.
fn events_after_first(output: &Output) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let events = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    events.map(|e| (word(&e, "target"), word(&e, "reason"))).collect()
}

/// A link-local address says by its zone which link it is on.
#[test]
fn zones() {
    let lab = takeover_lab::Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut serve = b.tool("lab-client");
    serve.args(["serve", "[::]:80"]);
    let mut server = takeover_lab::Child::spawn(serve);
    server.next_where("listening", Duration::from_secs(30), |line| line["client"] == "listening");
    let ip = b.sh("ip -6 -o addr show dev eth0 scope link").split_whitespace().nth(3).unwrap().to_owned();
    let ip = ip.split('/').next().unwrap();
    for (zone, status) in [("%25eth0", 0), ("%eth0", 0), ("%25nope", 75)] {
        let output = a.tool("probe-http").arg(format!("http://[{ip}{zone}]/")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert_eq!(said.contains("\"no-interface\""), status == 75, "{said}");
    }
}
