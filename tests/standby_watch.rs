//! The standby watcher against everything that can go wrong with a primary, with the network, and with itself: real web
//! servers on hosts of the lab, p the primary, s the standby, c a client (and the one to confirm with).
//!
//! Each case says what the watcher has to print, where the address is afterwards, and which hooks ran.
#![allow(clippy::unwrap_used)]

#[path = "support/hosts.rs"]
mod hosts;
mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use hosts::{LONG, Ran, eventually, has, run, start};
use serde_json::{Value, json};
use takeover_lab::{Child, Cut, Host, Lab, Signal, tool};

const VIP: &str = "10.9.0.50";
/// The primary's web server, on an address that stays its own.
const URL: &str = "http://10.9.0.1:8080/";
const SERVICE: &str = "http://10.9.0.50:8080/";

fn three() -> Lab {
    Lab::up(&[("p", "10.9.0.1/24"), ("s", "10.9.0.2/24"), ("c", "10.9.0.3/24")])
}

/// A folder for one test: what the web servers serve, and what the hooks wrote.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("standby-watch-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(dir.join("www/cgi-bin")).unwrap();
        std::fs::write(dir.join("www/index.html"), "well\n").unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// An executable file of shell.
    fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the hooks wrote, as words.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.0.join("log")).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A hook that writes its name, and again at its end, so that two at once would show.
    fn hook(&self, name: &str, what: &str) -> String {
        let log = self.path("log");
        format!("echo {name} >>{log}; {what}; echo {name}-end >>{log}")
    }

    /// Hooks that start and end a web server on the standby.
    fn hooks(&self) -> [String; 4] {
        let (www, pid) = (self.path("www"), self.path("pid"));
        let serve = format!("busybox httpd -f -p 8080 -h {www} >/dev/null 2>&1 & echo $! >{pid}");
        let end = format!("kill $(cat {pid})");
        ["--on-take".into(), self.hook("take", &serve), "--on-drop".into(), self.hook("drop", &end)]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A web server with all its processes.
struct Web<'a> {
    host: Host<'a>,
    child: Child,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Apache,
    Busybox,
}

impl<'a> Web<'a> {
    fn start(kind: Kind, host: Host<'a>, scratch: &Scratch) -> Self {
        let mut command = match kind {
            Kind::Busybox => {
                let mut command = host.command("busybox");
                command.args(["httpd", "-f", "-p", "8080", "-h", &scratch.path("www")]);
                command
            }
            Kind::Apache => {
                let config = scratch.path("apache.conf");
                std::fs::write(&config, apache_config(scratch)).unwrap();
                // It refuses to be root, and the lab may have no other user: in a namespace of its own it is nobody.
                let mut command = host.command("unshare");
                command.args(["-U", "apache2", "-DFOREGROUND", "-f", &config]);
                command
            }
        };
        command.process_group(0);
        let web = Self { host, child: Child::spawn(command) };
        web.ready();
        web
    }

    /// The lab's own server, which answers as badly as it is told.
    fn odd(host: Host<'a>, manner: &str) -> Self {
        let mut command = host.tool("lab-client");
        command.args(["serve", "0.0.0.0:8080"]).args(manner.split_whitespace()).process_group(0);
        let mut child = Child::spawn(command);
        child.next(LONG); // it listens
        Self { host, child }
    }

    fn ready(&self) {
        eventually("the web server answers", || run(self.host, "probe-http http://127.0.0.1:8080/").status == 0);
    }

    fn signal(&self, signal: &str) {
        self.host.sh(&format!("kill -s {signal} -- -{}", self.child.pid()));
    }

    fn kill(mut self) {
        self.signal("KILL");
        self.child.kill();
    }
}

fn apache_config(scratch: &Scratch) -> String {
    let dir = scratch.0.display();
    std::fs::set_permissions(&scratch.0, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    format!(
        "ServerName primary\nListen 8080\nPidFile {dir}/apache.pid\nDefaultRuntimeDir {dir}\nErrorLog /dev/null\n\
         LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
         LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
         LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so\nDocumentRoot {dir}/www\nDirectoryIndex index.html\n"
    )
}

/// Starts the watcher in a host, quick to judge.
fn watch<S: AsRef<str>>(host: Host, url: &str, more: &[S]) -> Child {
    watch_with(None, host, url, more)
}

/// The same with a folder before all others on its PATH.
fn watch_with<S: AsRef<str>>(first: Option<&str>, host: Host, url: &str, more: &[S]) -> Child {
    let mut command = script(first, host);
    command.args(["--url", url, "--vip", &format!("{VIP}/24"), "--dev", "eth0"]);
    command.args(["--every", "50ms", "--timeout", "400ms"]).args(more.iter().map(AsRef::as_ref));
    let mut watcher = Child::spawn(command);
    watcher.next_event("watching", LONG);
    watcher
}

fn script(first: Option<&str>, host: Host) -> std::process::Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let ours = tool("ha-event");
    let path = format!(
        "{}{}:{}:{}",
        first.map(|f| format!("{f}:")).unwrap_or_default(),
        ours.parent().unwrap().display(),
        scripts.display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = host.command(scripts.join("standby-watch"));
    command.env("PATH", path).stdin(Stdio::null()).process_group(0);
    command
}

fn primary_is(watcher: &mut Child, is: &str) -> Value {
    watcher.next_where(&format!("primary {is}"), LONG, |e| e["event"] == "primary" && e["is"] == is)
}

/// Tells the watcher to end, and holds everything that it said to ha-events(7): one stream of valid lines without gaps.
#[track_caller]
fn end(mut watcher: Child) -> Vec<Value> {
    watcher.signal(Signal::SIGTERM);
    assert_eq!(watcher.wait(LONG), 0, "{:?} {}", watcher.seen(), watcher.words());
    check_stream(watcher.seen());
    watcher.seen().to_vec()
}

#[track_caller]
fn check_stream(events: &[Value]) {
    for (n, event) in events.iter().enumerate() {
        let problems: Vec<String> = support::problems(&event.to_string());
        assert!(problems.is_empty(), "{problems:?} in {event}");
        assert_eq!((&event["tool"], &event["seq"]), (&json!("standby-watch"), &json!(n)), "{events:#?}");
    }
}

/// The names of the events, in their order, without those of what is thought of the primary.
fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|e| e["event"].as_str().unwrap()).filter(|n| *n != "primary").collect()
}

fn never_taken(host: Host, watcher: Child) {
    assert!(!has(host, VIP));
    let events = end(watcher);
    for bad in ["taking", "active", "take-failed"] {
        assert!(!names(&events).contains(&bad), "{events:#?}");
    }
}

fn served(client: Host) -> bool {
    run(client, &format!("probe-http {SERVICE} --timeout 1s")).status == 0
}

/// Where the client sends what is for the service address.
fn leads_to(client: Host, host: Host) -> bool {
    client.sh(&format!("ip neigh show {VIP}")).contains(host.mac())
}

/// A web server that is killed while its host lives on and answers for the address.
fn killed(kind: Kind) {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s, c) = (lab.host("p"), lab.host("s"), lab.host("c"));
    p.sh("ip addr add 10.9.0.50/24 dev eth0");
    let web = Web::start(kind, p, &scratch);
    let mut careful = watch(s, URL, &scratch.hooks());
    primary_is(&mut careful, "up");
    assert!(served(c) && leads_to(c, p));
    web.kill();
    let blocked = careful.next_event("blocked", LONG);
    assert_eq!(blocked["macs"], json!([p.mac()]));
    assert!(blocked["hint"].as_str().unwrap().contains("--if-held steal"));
    assert!(!has(s, VIP));
    let events = end(careful);
    assert_eq!(names(&events), ["watching", "unconfirmed", "taking", "blocked", "ending"]);
    assert_eq!(scratch.log(), "", "no hook");

    let web = Web::start(kind, p, &scratch);
    let more = [&["--if-held", "steal", "--confirm", "10.9.0.3"].map(String::from)[..], &scratch.hooks()].concat();
    let mut bold = watch(s, URL, &more);
    primary_is(&mut bold, "up");
    let mut client = c.tool("lab-client");
    client.args(["http", SERVICE, "--every", "5ms", "--follow"]);
    let mut client = Child::spawn(client);
    client.next_where("first answer", LONG, |line| line["client"] == "served");
    web.kill();
    client.next_where("outage", LONG, |line| line["client"] == "lost");
    assert_eq!(primary_is(&mut bold, "down")["was"], "up");
    bold.next_event("active", LONG);
    assert!(has(s, VIP) && has(p, VIP));
    client.next_where("end of the outage", LONG, |line| line["client"] == "served");
    assert!(served(c) && leads_to(c, s));
    client.kill();
    assert_eq!(scratch.log(), "take take-end");
    let _web = Web::start(kind, p, &scratch);
    assert_eq!(bold.next_event("given-back", LONG)["mac"], p.mac());
    assert!(!has(s, VIP));
    assert!(leads_to(c, p) && served(c));
    assert_eq!(scratch.log(), "take take-end drop drop-end");
    let events = end(bold);
    assert_eq!(names(&events), ["watching", "taking", "active", "returned", "releasing", "given-back", "ending"]);
}

#[test]
fn apache_killed() {
    killed(Kind::Apache);
}

#[test]
fn busybox_killed() {
    killed(Kind::Busybox);
}

/// A fault of the primary that is a definite no, and its end.
fn taken_and_given_back<'a>(
    lab: &'a Lab,
    kind: Kind,
    fault: impl FnOnce(Web<'a>) -> Web<'a>,
    mend: impl FnOnce(Web<'a>, &Scratch) -> Web<'a>,
) {
    let scratch = Scratch::new();
    let (p, s, c) = (lab.host("p"), lab.host("s"), lab.host("c"));
    p.sh("ip addr add 10.9.0.50/24 dev eth0");
    let web = Web::start(kind, p, &scratch);
    let more = [&["--if-held", "steal", "--confirm", "10.9.0.3"].map(String::from)[..], &scratch.hooks()].concat();
    let mut watcher = watch(s, URL, &more);
    primary_is(&mut watcher, "up");
    assert!(served(c));
    let web = fault(web);
    watcher.next_event("active", LONG);
    assert!(has(s, VIP) && served(c) && leads_to(c, s));
    let _web = mend(web, &scratch);
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    eventually("the client is led back", || leads_to(c, p) && served(c));
    assert!(!has(s, VIP));
    assert_eq!(scratch.log(), "take take-end drop drop-end");
    end(watcher);
}

#[test]
fn apache_frozen() {
    let lab = three();
    taken_and_given_back(
        &lab,
        Kind::Apache,
        |web| {
            web.signal("STOP");
            web
        },
        |web, _| {
            web.signal("CONT");
            web
        },
    );
}

#[test]
fn host_cut_silently() {
    let lab = three();
    let p = lab.host("p");
    taken_and_given_back(
        &lab,
        Kind::Busybox,
        |web| {
            p.cut(Cut::Silent);
            web
        },
        |web, _| {
            p.heal();
            web
        },
    );
}

#[test]
fn answering_500() {
    answering("--status 500");
}

#[test]
fn answering_a_byte_a_second() {
    answering("--slow 1");
}

fn answering(manner: &str) {
    let lab = three();
    let p = lab.host("p");
    let break_it = |web: Web<'_>| {
        web.kill();
        Web::odd(p, manner)
    };
    taken_and_given_back(&lab, Kind::Busybox, break_it, |web, scratch| {
        web.kill();
        Web::start(Kind::Busybox, p, scratch)
    });
}

/// A name that does not resolve says nothing about the primary.
#[test]
fn name_server_gone() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    std::fs::write(scratch.0.join("resolv.conf"), "nameserver 10.9.0.254\n").unwrap();
    std::fs::write(scratch.0.join("hosts"), "10.9.0.1 primary.test\n").unwrap();
    let dir = scratch.0.display();
    s.sh(&format!("mount --bind {dir}/resolv.conf /etc/resolv.conf; mount --bind {dir}/hosts /etc/hosts"));
    let web = Web::start(Kind::Busybox, p, &scratch);
    let mut watcher = watch(s, "http://primary.test:8080/", &["--if-held", "steal"]);
    primary_is(&mut watcher, "up");
    s.sh("mount --bind /dev/null /etc/hosts");
    web.kill(); // dead indeed, but that cannot be known
    primary_is(&mut watcher, "unknown");
    never_taken(s, watcher);
}

/// A probe that ends, however it ends, says nothing about the primary.
#[test]
fn probe_failing() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let ways = [("exit 75", 75), ("exit 127", 127), ("kill -SEGV $$", 139), ("exit 0", 0), ("exit 1", 1)];
    let watchers: Vec<(Child, i32)> = ways
        .iter()
        .enumerate()
        .map(|(n, (what, status))| {
            scratch.script(&format!("{n}/probe-http"), what);
            (watch_with(Some(&scratch.path(&n.to_string())), s, URL, &["--if-held", "steal"]), *status)
        })
        .collect();
    for (mut watcher, status) in watchers {
        for _ in 0..2 {
            assert_eq!(watcher.next_event("probe-ended", LONG)["status"], status);
        }
        never_taken(s, watcher);
    }
}

#[test]
fn the_standbys_own_cable_cut() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let mut watcher = watch(s, URL, &["--if-held", "steal"]);
    primary_is(&mut watcher, "up");
    s.cut(Cut::Carrier);
    primary_is(&mut watcher, "unknown");
    s.heal();
    primary_is(&mut watcher, "up");
    never_taken(s, watcher);
}

#[test]
fn the_standby_isolated_silently() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let mut watcher = watch(s, URL, &["--if-held", "steal", "--confirm", "10.9.0.3", "--confirm", "10.9.0.9"]);
    primary_is(&mut watcher, "up");
    s.cut(Cut::Silent);
    assert!(watcher.next_event("isolated", LONG)["cause"].as_str().unwrap().contains("10.9.0.3"));
    s.heal();
    primary_is(&mut watcher, "up");
    never_taken(s, watcher);
}

#[test]
fn no_route_to_the_primary() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let mut watcher = watch(s, URL, &["--if-held", "steal"]);
    primary_is(&mut watcher, "up");
    s.sh("ip route del 10.9.0.0/24 dev eth0");
    primary_is(&mut watcher, "unknown");
    never_taken(s, watcher);
}

/// Polls are counted by the server, so that the watcher has certainly seen them.
fn counted(answer: &str, polls: u32, more: &[&str]) {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    let count = scratch.path("count");
    let cgi = format!(
        "n=$(cat {count} 2>/dev/null || echo 0); echo $((n + 1)) >{count}\n{answer}\nprintf 'Content-Type: text/plain\\r\\n\\r\\nwell'"
    );
    scratch.script("www/cgi-bin/health", &cgi);
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let url = "http://10.9.0.1:8080/cgi-bin/health";
    let mut watcher = watch(s, url, &[&["--if-held", "steal"], more].concat());
    primary_is(&mut watcher, "up");
    eventually("so many polls", || {
        std::fs::read_to_string(&count).is_ok_and(|n| n.trim().parse::<u32>().is_ok_and(|n| n > polls))
    });
    never_taken(s, watcher);
}

#[test]
fn slow_but_healthy() {
    counted("sleep 0.3", 5, &["--timeout", "5s"]);
}

#[test]
fn one_bad_poll_of_three() {
    let answer = "[ $((n % 3)) != 2 ] || { printf 'HTTP/1.0 500 Bad\\r\\n\\r\\n'; exit; }";
    counted(answer, 20, &["--timeout", "5s"]);
}

/// The URL is on the service address itself, which is all that the primary has.
#[test]
fn the_primarys_only_address() {
    let scratch = Scratch::new();
    let lab = Lab::up(&[("p", "10.9.0.50/24"), ("s", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    let (p, s, c) = (lab.host("p"), lab.host("s"), lab.host("c"));
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let more = [&["--confirm", "10.9.0.3"].map(String::from)[..], &scratch.hooks()].concat();
    let mut watcher = watch(s, SERVICE, &more);
    primary_is(&mut watcher, "up");
    p.cut(Cut::Silent);
    watcher.next_event("active", LONG);
    assert!(has(s, VIP) && served(c) && leads_to(c, s));
    p.heal();
    assert_eq!(watcher.next_event("returned", LONG)["mac"], p.mac());
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    assert!(!has(s, VIP));
    eventually("the client is led back", || leads_to(c, p) && served(c));
    eventually("the hook has run", || scratch.log() == "take take-end drop drop-end");
    assert_eq!(names(&end(watcher)), ["watching", "taking", "active", "returned", "given-back", "ending"]);
}

/// The same address, but only the web server is dead: it is taken from a kernel that goes on answering, which is no return.
#[test]
fn stolen_from_a_kernel_that_goes_on_answering() {
    let scratch = Scratch::new();
    let lab = Lab::up(&[("p", "10.9.0.50/24"), ("s", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    let (p, s, c) = (lab.host("p"), lab.host("s"), lab.host("c"));
    let web = Web::start(Kind::Busybox, p, &scratch);
    let more = [&["--if-held", "steal"].map(String::from)[..], &scratch.hooks()].concat();
    let mut watcher = watch(s, SERVICE, &more);
    primary_is(&mut watcher, "up");
    web.kill();
    watcher.next_event("active", LONG);
    assert!(served(c) && leads_to(c, s));
    // The holder has asked and p has answered many times; the client is served all the while.
    for _ in 0..20 {
        assert!(served(c) && has(s, VIP));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let _web = Web::start(Kind::Busybox, p, &scratch);
    watcher.signal(Signal::SIGUSR1);
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    eventually("the client is led back", || leads_to(c, p) && served(c));
    eventually("the hook has run", || scratch.log() == "take take-end drop drop-end");
    end(watcher);
}

#[test]
fn an_ipv6_address() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s, c) = (lab.host("p"), lab.host("s"), lab.host("c"));
    p.sh("ip addr add fd00::50/64 dev eth0 nodad");
    let web = Web::start(Kind::Busybox, p, &scratch);
    let mut command = script(None, s);
    command.args(["--url", "http://[fd00::50]:8080/", "--vip", "fd00::50/64", "--dev", "eth0"]);
    command.args(["--every", "50ms", "--timeout", "400ms", "--confirm", "fd00::a09:3", "--confirm", "10.9.0.3"]);
    let mut watcher = {
        command.args(scratch.hooks());
        Child::spawn(command)
    };
    primary_is(&mut watcher, "up");
    p.cut(Cut::Silent);
    watcher.next_event("active", LONG);
    assert!(has(s, "fd00::50"));
    eventually("served", || run(c, "probe-http http://[fd00::50]:8080/").status == 0);
    p.heal();
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    assert!(!has(s, "fd00::50"));
    eventually("the client is led back", || c.sh("ip neigh show fd00::50").contains(p.mac()));
    end(watcher);
    drop(web);
}

/// The primary comes back while --on-take still runs: seen, and acted upon when that is done.
#[test]
fn returned_while_hooks_run() {
    let scratch = Scratch::new();
    let lab = Lab::up(&[("p", "10.9.0.50/24"), ("s", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    let (p, s) = (lab.host("p"), lab.host("s"));
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let wait = scratch.hook("take", &format!("until [ -e {} ]; do sleep 0.05; done", scratch.path("go")));
    let mut watcher = watch(s, SERVICE, &["--on-take", &wait, "--on-drop", &scratch.hook("drop", "true")]);
    primary_is(&mut watcher, "up");
    p.cut(Cut::Silent);
    eventually("--on-take runs", || scratch.log() == "take");
    p.heal();
    // Its answers have been heard when it is known here again: the holder asks twenty times a second.
    run(s, &format!("vip-who {VIP} --dev eth0"));
    eventually("p is heard", || s.sh("ping -c1 -W1 10.9.0.3 >/dev/null && echo yes") == "yes");
    std::fs::write(scratch.0.join("go"), "").unwrap();
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    eventually("hooks one after the other", || scratch.log() == "take take-end drop drop-end");
    assert!(!has(s, VIP));
    end(watcher);
}

/// The primary's own line, as the manual has it: its questions are its return.
#[test]
fn the_primarys_own_line() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s, c) = (lab.host("p"), lab.host("s"), lab.host("c"));
    let line = format!("vip-take {VIP}/24 --dev eth0 --hold --if-held wait --on-conflict yield");
    let mut own = start(p, &line);
    own.next_event("taken", LONG);
    let _web = Web::start(Kind::Busybox, p, &scratch);
    let mut watcher = watch(s, SERVICE, &scratch.hooks());
    primary_is(&mut watcher, "up");
    own.kill();
    watcher.next_event("active", LONG);
    assert!(served(c) && leads_to(c, s) && !has(p, VIP));
    let mut own = start(p, &line);
    assert_eq!(watcher.next_event("returned", LONG)["mac"], p.mac());
    own.next_event("taken", LONG);
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    assert!(has(p, VIP) && !has(s, VIP));
    eventually("the client is led back", || leads_to(c, p) && served(c));
    eventually("the hook has run", || scratch.log() == "take take-end drop drop-end");
    primary_is(&mut watcher, "up");
    end(watcher);
}

#[test]
fn manual_failback() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    p.sh("ip addr add 10.9.0.50/24 dev eth0");
    let mut watcher = watch(s, URL, &["--if-held", "steal", "--failback", "manual"]);
    watcher.next_event("active", LONG);
    let _web = Web::start(Kind::Busybox, p, &scratch);
    watcher.next_event("returned", LONG);
    // Its clock has gone on for a while, and nothing has happened.
    assert!(has(s, VIP));
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(has(s, VIP));
    watcher.signal(Signal::SIGUSR1);
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    assert!(!has(s, VIP));
    let events = end(watcher);
    let expected = ["returned", "returned", "releasing", "given-back", "ending"];
    assert_eq!(names(&events)[4..], expected, "told once, and once more when it happens: {events:#?}");
}

/// The primary's web server is well, but nobody takes the address that it is given back.
#[test]
fn nobody_takes_it_back() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    let mut watcher = watch(s, URL, &["--giveback-wait", "1s"]);
    watcher.next_event("active", LONG);
    let _web = Web::start(Kind::Busybox, p, &scratch);
    watcher.next_event("returned", LONG);
    assert!(watcher.next_event("taking", LONG)["cause"].as_str().unwrap().contains("nobody took it back"));
    watcher.next_event("active", LONG);
    assert!(has(s, VIP));
    // As soon as somebody wants it, it is given back.
    let mut own = start(p, &format!("vip-take {VIP}/24 --dev eth0 --hold --if-held wait"));
    assert_eq!(watcher.next_event("given-back", LONG)["mac"], p.mac());
    own.next_event("taken", LONG);
    assert!(!has(s, VIP));
    end(watcher);
}

#[test]
fn on_take_failing() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let take = scratch.hook("take", &format!("[ -e {} ] || exit 3", scratch.path("well")));
    let mut watcher = watch(s, URL, &["--on-take", &take, "--on-drop", &scratch.hook("drop", "sleep 0.2")]);
    for _ in 0..2 {
        assert_eq!(watcher.next_event("take-failed", LONG)["status"], 3);
    }
    eventually("dropped", || !has(s, VIP));
    std::fs::write(scratch.0.join("well"), "").unwrap();
    watcher.next_event("active", LONG);
    assert!(has(s, VIP));
    assert_eq!(scratch.log(), "take drop drop-end take drop drop-end take take-end", "never two at once");
    let events = end(watcher);
    let round = ["take-failed", "releasing"];
    assert_eq!(names(&events)[3..], [&round[..], &round, &["active", "ending", "releasing"]].concat());
    assert!(!has(s, VIP));
}

#[test]
fn hooks_out_of_time() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let (take, drop) = (scratch.hook("take", "sleep 60"), scratch.hook("drop", "sleep 60"));
    let mut watcher = watch(s, URL, &["--on-take", &take, "--on-drop", &drop, "--on-timeout", "300ms"]);
    assert_eq!(watcher.next_event("take-failed", LONG)["status"], 124);
    let failed = watcher.next_event("hook-failed", LONG);
    assert_eq!((&failed["what"], &failed["status"]), (&json!("on-drop"), &json!(124)));
    eventually("dropped all the same", || !has(s, VIP));
    assert_eq!(scratch.log(), "take drop");
    end(watcher);
    eventually("nothing goes on", || left_over(s).is_empty());
}

#[test]
fn hold_down() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    p.sh("ip addr add 10.9.0.50/24 dev eth0");
    let mut watcher = watch(s, URL, &["--if-held", "steal", "--hold-down", "3s"]);
    watcher.next_event("active", LONG);
    let web = Web::start(Kind::Busybox, p, &scratch);
    watcher.next_event("given-back", LONG);
    web.kill();
    watcher.next_event("waiting", LONG);
    assert!(!has(s, VIP));
    watcher.next_event("active", LONG);
    assert_eq!(names(&end(watcher)).iter().filter(|n| **n == "waiting").count(), 1);
}

/// What of a watcher is left in a host.
fn left_over(host: Host) -> String {
    host.sh("pgrep --ns $$ --nslist net -l 'standby-watch|vip-take|vip-who|probe-|ha-event|garp|sleep|timeout' || true")
}

#[test]
fn told_to_end() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut watcher = watch(s, URL, &scratch.hooks());
        watcher.next_event("active", LONG);
        watcher.signal(signal);
        assert_eq!(watcher.next_event("ending", LONG)["cause"], signal.as_str());
        assert_eq!(watcher.wait(LONG), 0);
        assert!(!has(s, VIP));
        assert_eq!(scratch.log(), "take take-end drop drop-end");
        check_stream(watcher.seen());
        eventually("nothing is left", || left_over(s).is_empty());
        std::fs::remove_file(scratch.0.join("log")).unwrap();
    }
}

/// As systemd and a closed terminal do it: every process of the watcher gets the signal, and all still ends in its order.
#[test]
fn its_whole_group_told_to_end() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let here = format!("ip -o addr show dev eth0 | grep -qF {VIP} && echo here >>{}", scratch.path("log"));
    for signal in ["TERM", "INT", "HUP"] {
        let hooks = ["--on-take", &scratch.hook("take", "true"), "--on-drop", &scratch.hook("drop", &here)];
        let mut watcher = watch(s, URL, &hooks);
        watcher.next_event("active", LONG);
        s.sh(&format!("kill -s {signal} -- -{}", watcher.pid()));
        watcher.next_event("ending", LONG);
        assert_eq!(watcher.wait(LONG), 0, "{signal}");
        assert!(!has(s, VIP));
        assert_eq!(scratch.log(), "take take-end drop here drop-end", "{signal}: services first, then the address");
        eventually("nothing is left", || left_over(s).is_empty());
        std::fs::remove_file(scratch.0.join("log")).unwrap();
    }
}

/// Ended in the middle of --on-take: that is waited for, and undone.
#[test]
fn told_to_end_while_it_takes() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let take = scratch.hook("take", &format!("until [ -e {} ]; do sleep 0.05; done", scratch.path("go")));
    let mut watcher = watch(s, URL, &["--on-take", &take, "--on-drop", &scratch.hook("drop", "true")]);
    eventually("--on-take runs", || scratch.log() == "take");
    watcher.signal(Signal::SIGTERM);
    watcher.next_event("ending", LONG);
    std::fs::write(scratch.0.join("go"), "").unwrap();
    assert_eq!(watcher.wait(LONG), 0);
    assert_eq!(scratch.log(), "take take-end drop drop-end");
    assert!(!has(s, VIP));
    check_stream(watcher.seen());
}

#[test]
fn killed_watcher() {
    let lab = three();
    let s = lab.host("s");
    let mut watcher = watch(s, URL, &["--on-take", "true"]);
    watcher.next_event("active", LONG);
    watcher.kill();
    eventually("the address is gone", || !has(s, VIP));
    eventually("nothing is left", || left_over(s).is_empty());
}

#[test]
fn frozen_watcher() {
    let lab = three();
    let s = lab.host("s");
    let mut watcher = watch(s, URL, &["--on-take", "true"]);
    watcher.next_event("active", LONG);
    watcher.stop();
    eventually("the holder starves", || !has(s, VIP));
    watcher.cont();
    assert_eq!(watcher.next_event("lost", LONG)["status"], 75);
    watcher.next_event("active", LONG);
    assert!(has(s, VIP));
    end(watcher);
}

#[test]
fn killed_holder() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let mut watcher =
        watch(s, URL, &["--on-take", &scratch.hook("take", "true"), "--on-drop", &scratch.hook("drop", "true")]);
    watcher.next_event("active", LONG);
    // The holder, not the children that repeat announcements: it is the oldest.
    s.sh("kill -KILL $(pgrep --ns $$ --nslist net -xo vip-take)");
    assert_eq!(watcher.next_event("lost", LONG)["status"], 137);
    watcher.next_event("active", LONG);
    assert!(has(s, VIP));
    assert_eq!(scratch.log(), "take take-end drop drop-end take take-end");
    end(watcher);
    assert!(!has(s, VIP));
}

/// The primary is well, the standby kept the address on purpose, and its holder dies: somebody has to have it.
#[test]
fn killed_holder_while_the_primary_is_well() {
    let (lab, scratch) = (three(), Scratch::new());
    let (p, s) = (lab.host("p"), lab.host("s"));
    let mut watcher = watch(s, URL, &["--failback", "manual", "--giveback-wait", "1s"]);
    watcher.next_event("active", LONG);
    let _web = Web::start(Kind::Busybox, p, &scratch);
    watcher.next_event("returned", LONG);
    s.sh("kill -KILL $(pgrep --ns $$ --nslist net -xo vip-take)");
    watcher.next_event("lost", LONG);
    watcher.next_event("active", LONG);
    assert!(has(s, VIP));
    end(watcher);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let mut command = script(None, s);
    command.args(["--url", URL, "--vip", "10.9.0.50/24", "--dev", "eth0", "--every", "50ms"]).args(scratch.hooks());
    let mut watcher = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = watcher.stdout.take().unwrap();
    eventually("taken", || scratch.log() == "take take-end" && has(s, VIP));
    drop(stdout);
    let web = Web::start(Kind::Busybox, lab.host("p"), &scratch); // something to say
    assert_eq!(watcher.wait().unwrap().code(), Some(75));
    assert_eq!(scratch.log(), "take take-end drop drop-end");
    eventually("the address is gone", || !has(s, VIP));
    drop(web);
}

#[test]
fn wrong_words() {
    let (lab, scratch) = (three(), Scratch::new());
    let s = lab.host("s");
    let before = s.sh("ip addr");
    let good = ["--url", URL, "--vip", "10.9.0.50/24", "--dev", "eth0"];
    let call = |path: Option<&str>, words: &[&str]| Ran::read(&script(path, s).args(words).output().unwrap());
    let cases: &[(i32, &str, &[&str])] = &[
        (64, "usage", &[]),
        (64, "usage", &good[2..]),
        (64, "usage", &good[..4]),
        (64, "usage", &["--url", URL, "--vip", "10.9.0.50", "--dev", "eth0"]),
        (64, "usage", &["--url", URL, "--vip", "10.9.0.50/33", "--dev", "eth0"]),
        (64, "usage", &["--url", "gopher://x", "--vip", "10.9.0.50/24", "--dev", "eth0"]),
        (69, "no-such-interface", &["--url", URL, "--vip", "10.9.0.50/24", "--dev", "eth9"]),
    ];
    let more: &[&[&str]] = &[
        &["--every", "often"],
        &["--timeout", "-1s"],
        &["--fall", "0"],
        &["--rise", "x"],
        &["--on-timeout", "5x"],
        &["--on-timeout", "0"],
        &["--hold-down", "1.2.3"],
        &["--giveback-wait", ""],
        &["--if-held", "wait"],
        &["--failback", "never"],
        &["--confirm", "-x"],
        &["--dev"],
        &["--no-such-option"],
        &["--expect", "soon"],
        // Of probe-http, but not for us: they would end it or change what we read.
        &["--until", "up"],
        &["--for", "1s"],
        &["--human"],
        &["--fields", "event"],
        &["--exit-style", "nagios"],
    ];
    for (status, code, words) in cases {
        let ran = call(None, words);
        assert_eq!((ran.status, &ran.last()["code"]), (*status, &json!(code)), "{words:?}: {ran:?}");
        assert!(!ran.words.is_empty(), "{words:?}");
    }
    for words in more {
        let ran = call(None, &[&good, *words].concat());
        assert_eq!((ran.status, &ran.last()["code"], ran.events.len()), (64, &json!("usage"), 1), "{words:?}: {ran:?}");
        assert!(!ran.words.is_empty(), "{words:?}");
    }
    for event in call(None, &[]).events {
        assert_eq!(support::problems(&event.to_string()), [""; 0]);
    }
    assert_eq!(s.sh("ip addr"), before);

    // Without permission it does not begin to watch.
    let (path, watcher) = (std::env::var("PATH").unwrap(), script(None, s));
    let ours = watcher.get_envs().find(|(k, _)| *k == "PATH").and_then(|(_, v)| v).map(ToOwned::to_owned);
    let mut command = s.command("setpriv");
    command.env("PATH", ours.unwrap_or_else(|| path.into())).args(["--bounding-set", "-all", "--inh-caps", "-all"]);
    let ran = Ran::read(&command.arg("standby-watch").args(good).output().unwrap());
    assert_eq!((ran.status, &ran.last()["code"]), (77, &json!("permission-denied")), "{ran:?}");

    // A command that is missing: a PATH with all but that one.
    let all = tool("ha-event").parent().unwrap().display().to_string();
    let only = scratch.path("only");
    for missing in ["garp", "ha-event"] {
        let _ = std::fs::remove_dir_all(&only);
        s.sh(&format!(
            "mkdir {only}; for x in ha-event probe-http probe-ping vip-who vip-take garp; do \
             [ $x = {missing} ] || ln -s {all}/$x {only}/$x; done; \
             for x in sh awk timeout nsenter env; do ln -s $(command -v $x) {only}/$x; done"
        ));
        let mut command = s.command(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/standby-watch"));
        let ran = Ran::read(&command.env("PATH", &only).args(good).output().unwrap());
        assert_eq!(ran.status, 69, "{missing}: {ran:?}");
        assert!(ran.words.contains(missing), "{ran:?}");
        assert_eq!(ran.events.len(), usize::from(missing != "ha-event"));
    }
    let help = script(None, s).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("usage: standby-watch"));
    assert_eq!(s.sh("ip addr"), before);
}

/// An address that somebody put there for good is not ours to take over.
#[test]
fn here_already() {
    let lab = three();
    let s = lab.host("s");
    s.sh("ip addr add 10.9.0.50/24 dev eth0");
    let mut command = script(None, s);
    command.args(["--url", URL, "--vip", "10.9.0.50/24", "--dev", "eth0"]);
    let ran = Ran::read(&command.output().unwrap());
    assert_eq!((ran.status, &ran.last()["code"]), (78, &json!("already-here")));
    assert!(has(s, VIP));
}

/// The script stays one that can be read in one go.
#[test]
fn under_two_hundred_lines() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/standby-watch")).unwrap();
    assert!(text.lines().count() < 200);
}
