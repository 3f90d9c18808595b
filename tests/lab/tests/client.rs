//! The HTTP client and server of the lab, against each other on the loopback.
// clippy.toml allows these in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use takeover_lab::Child;

/// A bound for everything: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(30);

fn client(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab-client"));
    command.args(arguments);
    Child::spawn(command)
}

fn says(what: &'static str) -> impl Fn(&Value) -> bool {
    move |line| line["client"] == what
}

fn serve(manner: &[&str]) -> (Child, SocketAddr) {
    let mut server = client(&[&["serve", "127.0.0.1:0"], manner].concat());
    let line = server.next_where("listening", LONG, says("listening"));
    let address = line["address"].as_str().unwrap().parse().unwrap();
    (server, address)
}

fn summary(address: SocketAddr) -> Value {
    let mut child = client(&["http", &format!("http://{address}/"), "--for", "300ms"]);
    let summary = child.next_where("summary", LONG, says("summary"));
    assert_eq!(child.wait(LONG), 0);
    summary
}

/// What the server says to one plain request.
fn answer(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_good_server_serves() {
    let (_server, address) = serve(&["--body", "hello\n"]);
    let text = answer(address).unwrap();
    assert!(text.starts_with("HTTP/1.0 200 ") && text.ends_with("\r\n\r\nhello\n"), "{text}");
    let summary = summary(address);
    let (requests, served) = (summary["requests"].as_u64().unwrap(), summary["served"].as_u64().unwrap());
    assert!(served > 1 && served <= requests, "{summary}");
    assert!(summary["outage_ms"].as_f64() > Some(0.0), "{summary}");
}

#[test]
fn the_bad_ones_serve_nothing() {
    for manner in [&["--status", "500"][..], &["--silent"], &["--reset"], &["--garbage"], &["--slow", "1"]] {
        let (_server, address) = serve(manner);
        let summary = summary(address);
        assert!(summary["requests"].as_u64() > Some(0), "{manner:?}: {summary}");
        assert_eq!(summary["served"], 0, "{manner:?}: {summary}");
        assert_eq!(summary["outage_ms"], Value::Null, "{manner:?}: {summary}");
    }
    let (_server, address) = serve(&["--status", "503"]);
    assert!(answer(address).unwrap().starts_with("HTTP/1.0 503 "));
    let (_server, address) = serve(&["--garbage"]);
    assert!(!answer(address).unwrap().starts_with("HTTP"));
    let (_server, address) = serve(&["--reset"]);
    answer(address).unwrap_err();
    let (_server, address) = serve(&["--slow", "1000", "--body", "x"]);
    assert!(answer(address).unwrap().ends_with("\r\n\r\nx"), "slow, but whole");
}

#[test]
fn a_frozen_server_is_lost_and_found_again() {
    let (mut server, address) = serve(&[]);
    let mut watch = client(&["http", &format!("http://{address}/"), "--follow"]);
    watch.next_where("first answer", LONG, says("served"));
    server.stop();
    watch.next_where("loss", LONG, says("lost"));
    server.cont();
    let again = watch.next_where("answer", LONG, says("served"));
    watch.signal(Signal::SIGINT);
    let summary = watch.next_where("summary", LONG, says("summary"));
    assert_eq!(watch.wait(LONG), 0);
    assert!(summary["outage_ms"].as_f64() >= again["after_ms"].as_f64(), "{summary}");
    let gaps = summary["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["ms"] == again["after_ms"]), "{again} {summary}");
}

#[test]
fn what_cannot_be_asked_or_served_is_an_error() {
    for (arguments, status) in [
        (&["http", "ftp://127.0.0.1/"][..], 70),
        (&["http", "http://127.0.0.1/", "--every", "0ms"], 2),
        (&["serve", "192.0.2.1:80"], 70),
        (&["serve", "127.0.0.1:0", "--silent", "--reset"], 2),
    ] {
        let mut child = client(arguments);
        assert_eq!(child.wait(LONG), status, "{arguments:?}: {}", child.words());
    }
}
