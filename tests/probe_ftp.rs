//! probe-ftp against vsftpd, and against servers that are none.

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

#[path = "support/server.rs"]
mod server;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use server::serve;
use support::{command, finish, run};

/// A bound for what has to come: only there so that a test cannot hang.
const LONG: &str = "--timeout=30s";

/// A real server on a port of its own. Gone when dropped.
struct Vsftpd {
    dir: PathBuf,
    child: Child,
    at: String,
}

impl Vsftpd {
    fn start(name: &str, anonymous: bool) -> Self {
        let dir = std::env::temp_dir().join(format!("probe-ftp-{name}-{}", std::process::id()));
        let file = |path: &str, text: &str| std::fs::write(dir.join(path), text).unwrap();
        std::fs::create_dir_all(dir.join("root/pub")).unwrap();
        std::fs::create_dir_all(dir.join("empty")).unwrap();
        file("root/pub/notice", "all is well\n");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let yes = |on| if on { "YES" } else { "NO" };
        let text = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nseccomp_sandbox=NO\n\
             anonymous_enable={}\nlocal_enable={}\nanon_root={}\nsecure_chroot_dir={}\n",
            yes(anonymous),
            yes(!anonymous),
            dir.join("root").display(),
            dir.join("empty").display()
        );
        file("conf", &text);
        // Nobody may write where anonymous is at home.
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(dir.join("root"), mode(0o555)).unwrap();
        let child = Command::new("vsftpd").arg(dir.join("conf")).stdin(Stdio::null()).spawn().unwrap();
        let server = Self { dir, child, at: format!("127.0.0.1:{port}") };
        while TcpStream::connect(&server.at).is_err() {
            thread::yield_now();
        }
        server
    }

    fn url(&self, path: &str) -> String {
        format!("ftp://{}/{path}", self.at)
    }
}

impl Drop for Vsftpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Exit status, `up` and reason of a one-shot for one URL.
fn verdict(args: &[&str], url: &str) -> (i32, Option<bool>, String) {
    let run = run("probe-ftp", &[args, &[LONG, url]].concat());
    let event = run.event();
    (run.status.unwrap(), event["up"].as_bool(), event["reason"].as_str().unwrap().to_owned())
}

fn down(reason: &str) -> (i32, Option<bool>, String) {
    (1, Some(false), reason.to_owned())
}

#[test]
fn what_a_server_gives() {
    let server = Vsftpd::start("open", true);
    let up = (0, Some(true), "ok".to_owned());
    assert_eq!(verdict(&[], &server.url("")), up);
    assert_eq!(verdict(&["--read"], &server.url("pub/")), up);
    assert_eq!(verdict(&["--body", "notice"], &server.url("pub/")), up);
    assert_eq!(
        verdict(&["--body", "^all is well$"], &server.url("pub/notice")),
        down("wrong-body"),
        "a line end follows"
    );
    assert_eq!(verdict(&["--body", "all is well"], &server.url("pub/notice")), up);
    assert_eq!(verdict(&["--read"], &server.url("pub/nothing")), down("not-found"));
    assert_eq!(verdict(&["--read"], &server.url("nothing/")), down("not-found"));
    let line = format!("{{\"target\":\"files\",\"url\":\"{}\",\"body\":\"notice\"}}\n", server.url("pub/"));
    let file = server.dir.join("lines");
    std::fs::write(&file, line).unwrap();
    let run = finish(command("probe-ftp").args(["-", LONG]).stdin(std::fs::File::open(&file).unwrap()));
    assert_eq!(run.ends_with(0).event()["target"], "files");
}

#[test]
fn logins() {
    let server = Vsftpd::start("closed", false);
    assert_eq!(verdict(&[], &server.url("")), (0, Some(true), "ok".to_owned()), "it works, and knows no anonymous");
    let untold = (75, None, "login-denied".to_owned());
    assert_eq!(verdict(&["--user", "nobody-we-know"], &server.url("")), untold);
    assert_eq!(verdict(&[], &format!("ftp://nobody:secret@{}/", server.at)), untold);
}

/// As mon calls its monitors: nothing but hosts.
#[test]
fn bare_hosts() {
    let server = Vsftpd::start("bare", true);
    let (host, port) = server.at.to_string().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
    let mon = |words: &[&str]| {
        let run = run("probe-ftp", &[&["--exit-style", "mon", LONG, "-p", &port], words, &[host.as_str()]].concat());
        (run.status, run.stdout.lines().next().map(str::to_owned))
    };
    assert_eq!(mon(&["--path", "pub/", "--body", "notice"]), (Some(0), Some(String::new())));
    assert_eq!(mon(&["--path", "/nothing/", "--read"]), (Some(1), Some(host.clone())));
}

#[test]
fn what_is_no_server() {
    let says = |bytes: &'static [u8]| -> String {
        let at: SocketAddr = serve(move |mut stream| {
            let _ = stream.write_all(bytes);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        format!("ftp://{at}/")
    };
    assert_eq!(verdict(&[], &says(b"421 too many\r\n")), down("unavailable"));
    assert_eq!(verdict(&[], &says(b"SSH-2.0-x\r\n\r\n")).0, 1);
    let silent = says(b"");
    run("probe-ftp", &["--timeout=2s", &silent]).ends_with(1);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(verdict(&[], &format!("ftp://{nobody}/")), down("refused"));
}

#[test]
fn wrong_words() {
    for args in [&["http://192.0.2.1/"][..], &["192.0.2.1/pub"], &["--password-file", "x", "ftp://a/"], &["-"]] {
        run("probe-ftp", args).failed("probe-ftp", 64, "usage");
    }
}
