//! mon, both ways: Debian's mon runs our probes as its monitors, and our flow runs Debian's monitors and alerts.
//!
//! | Debian's monitor, in our flow | against | up | down |
//! | --- | --- | --- | --- |
//! | fping.monitor | 127.0.0.1, an address without a host | ok | fail |
//! | ping.monitor | 127.0.0.1, an address without a host | ok | fail |
//! | tcp.monitor -p | a port, one that refuses | ok | fail |
//! | http.monitor -p | a web server, one that refuses | ok | fail |
//! | ftp.monitor -p | a greeting, one that refuses | ok | fail |
//!
//! smtp, pop3, imap and nntp.monitor of Debian 12 call hostname() in a way that its Perl refuses: they fail for every server,
//! under mon too.
//!
//! | Debian's alert, in our flow | as |
//! | --- | --- |
//! | file.alert | startupalert, alert, upalert |
//!
//! | our probe, under Debian's mon | configured as |
//! | --- | --- |
//! | probe-ping | `monitor probe-ping --exit-style mon --timeout 1s` |
//! | probe-tcp | `monitor probe-tcp --exit-style mon -p PORT` |
//! | probe-http | `monitor probe-http --exit-style mon -p PORT`, `monitor probe-http --exit-style mon URL ;;` |
//! | probe-ftp | `monitor probe-ftp --exit-style mon -p PORT` |
//! | probe-exec | `monitor probe-exec --exit-style mon --style nagios --target NAME -- COMMAND ;;` |

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

#[path = "support/server.rs"]
mod server;
mod support;

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use server::serve;
use support::{Run, command, finish, path, problems};
use takeover::config::mon_cf::period::{Local, Period};

const MONITORS: &str = "/usr/lib/mon/mon.d";
const ALERTS: &str = "/usr/lib/mon/alert.d";

/// A folder, gone at the end of its test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mon-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        file
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command where 192.0.2.1 is a host that never answers.
const APART: &str = "#!/bin/sh
exec unshare --net sh -ec 'ip link set lo up; ip link add veth1 type veth peer name veth2; ip link set veth2 up
    ip address add 192.0.2.2/24 dev veth1; ip link set veth1 up
    ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev veth1
    exec \"$@\"' sh \"$@\"
";

/// Waits until it is so; the bound is only there so that a test cannot hang.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port on which nobody listens.
fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A service that says this, and then that to the first line, and goes.
fn takes_leave(greeting: &'static str, leave: &'static str) -> SocketAddr {
    serve(move |mut stream: TcpStream| {
        let _ = stream.write_all(greeting.as_bytes());
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(leave.as_bytes());
    })
}

fn web() -> SocketAddr {
    serve(|mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    })
}

/// As much of an FTP server as a login needs.
fn files() -> SocketAddr {
    serve(|mut stream: TcpStream| {
        let _ = stream.write_all(b"220 here\r\n");
        let Ok(lines) = stream.try_clone() else { return };
        for line in std::io::BufRead::lines(std::io::BufReader::new(lines)).map_while(Result::ok) {
            let answer = match line.split(' ').next() {
                Some("USER") => "230 come in",
                Some("PWD") => "257 \"/\"",
                Some("QUIT") => "221 bye",
                _ => "250 done",
            };
            let _ = stream.write_all(format!("{answer}\r\n").as_bytes());
        }
    })
}

/// A program of ours or of somebody else, ended with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(10);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// The number of its own child of this name.
    fn child(&self, name: &str) -> Option<i32> {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let text = fs::read_to_string(children).unwrap_or_default();
        let is = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        text.split_whitespace().map(|pid| pid.parse().unwrap()).find(is)
    }

    /// Kills what runs the monitors.
    fn kill_prober(&self) {
        let prober = self.child("probe-exec").unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(prober), nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// It comes to its end by itself.
    fn ends_with(&mut self, status: i32) {
        until("it ends", || self.0.try_wait().unwrap().is_some());
        assert_eq!(self.0.wait().unwrap().code(), Some(status));
    }
}

/// Our flow in a folder: mon.cf there, events in out, what is remembered in state.
fn flow(dir: &Dir) -> Process {
    let ours = path("ha-event").parent().unwrap().display().to_string();
    let out = fs::OpenOptions::new().append(true).create(true).open(dir.0.join("out")).unwrap();
    let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/watch-services"))
        .arg("--state")
        .arg(dir.0.join("state"))
        .arg(dir.0.join("mon.cf"))
        // What a test puts into its folder stands in the place of a command.
        .env("PATH", format!("{}:{ours}:{}", dir.0.display(), std::env::var("PATH").unwrap()))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(out)
        .spawn();
    Process(child.unwrap())
}

/// The events so far, each held to ha-events(7).
fn events(dir: &Dir) -> Vec<Value> {
    let text = dir.read("out");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let event = |line: &str| -> Value {
        assert_eq!(problems(line), Vec::<String>::new(), "{line}");
        serde_json::from_str(line).unwrap()
    };
    whole.lines().map(event).collect()
}

/// What is thought of each service: the last state of it.
fn state(dir: &Dir, group: &str, service: &str) -> String {
    let all = events(dir).into_iter().rev();
    let mut of = all.filter(|e| e["event"] == "service" && e["group"] == group && e["service"] == service);
    of.next().map(|e| e["is"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn debians_monitors_in_our_flow() {
    let dir = Dir::new("monitors");
    let rows: Vec<(&str, u16)> = vec![
        ("tcp", takes_leave("", "").port()),
        ("http", web().port()),
        ("ftp", takes_leave("220 here\r\n", "221 bye\r\n").port()),
    ];
    dir.write("apart", 0o755, APART);
    let mut text = format!("mondir = {}\nhostgroup up 127.0.0.1\n\nhostgroup down 127.0.0.1\n\n", dir.0.display());
    let mut wanted = Vec::new();
    for (group, is) in [("up", "ok"), ("down", "fail")] {
        let _ = writeln!(text, "watch {group}");
        for (name, port) in &rows {
            let port = if is == "ok" { *port } else { nobody() };
            let _ = writeln!(text, "service {name}\ninterval 1s\nmonitor {MONITORS}/{name}.monitor -t 10 -p {port}");
            wanted.push((group, *name, is));
        }
        for ping in ["fping.monitor -t 300 -r 1", "ping.monitor"] {
            let name = ping.split('.').next().unwrap();
            let host = if is == "ok" { "127.0.0.1" } else { "192.0.2.1" };
            let _ = writeln!(text, "service {name}\ninterval 1s\nmonitor apart {MONITORS}/{ping} {host} ;;");
            wanted.push((group, name, is));
        }
        text.push('\n');
    }
    dir.write("mon.cf", 0o644, &text);
    let flow = flow(&dir);
    for (group, service, is) in wanted {
        until(&format!("{group} {service} is {is}: {}", dir.read("out")), || !state(&dir, group, service).is_empty());
        assert_eq!(state(&dir, group, service), is, "{group} {service}\n{}", dir.read("out"));
    }
    drop(flow);
}

/// A service that can be switched, its mon.cf, and Debian's alerts and one of the test's own.
fn switched(dir: &Dir, more: &str) {
    let switch = dir.0.join("down");
    let monitor =
        format!("#!/bin/sh\n[ ! -e {} ] || {{ echo \"h2\"; echo detail of it; exit 3; }}\n", switch.display());
    dir.write("switch.monitor", 0o755, &monitor);
    let own = format!(
        "#!/bin/sh\nline=$(printf '<%s>' \"$@\"; printf ' %s %s ' \"$MON_ALERTTYPE\" \"$MON_RETVAL\"; tr '\\n' '|')\n\
         printf '%s\\n' \"$line\" >>{}\n",
        dir.0.join("own").display()
    );
    dir.write("own.alert", 0o755, &own);
    let text = format!(
        "mondir = {0}\nalertdir = {ALERTS}:{0}\nhostgroup web h1 h2\n\nwatch web\nservice http\ndescription The web\ninterval 0.2s\n\
         monitor switch.monitor\nperiod wd {{Sun-Sat}}\nstartupalert file.alert -d {0} log\nalert file.alert -d {0} log\n\
         alert own.alert 'two words'\nupalert own.alert\nupalert file.alert -d {0} log\n{more}\n",
        dir.0.display()
    );
    dir.write("mon.cf", 0o644, &text);
}

fn lines(dir: &Dir, file: &str) -> usize {
    dir.read(file).lines().count()
}

#[test]
fn debians_alerts_in_our_flow_and_a_restart_between() {
    let dir = Dir::new("alerts");
    switched(&dir, "alertevery 1h");
    let first = flow(&dir);
    until("it works", || state(&dir, "web", "http") == "ok");
    until("the startup alert", || dir.read("log").starts_with("startup web http "));
    fs::write(dir.0.join("down"), "").unwrap();
    until("the alert of our own", || lines(&dir, "own") == 1);
    until("file.alert", || dir.read("log").contains("failure web http "));
    let own = dir.read("own");
    assert!(own.starts_with("<-s><http><-g><web><-h><h1 h2><-t><"), "{own}");
    assert!(own.ends_with("><two words> failure 3 h2|detail of it|\n"), "{own}");
    // Across a restart the failure is one that was told of already, and its end is told of.
    first.signal("-TERM");
    drop(first);
    assert_eq!(events(&dir).last().unwrap()["event"], "ended", "{}", dir.read("out"));
    fs::remove_file(dir.0.join("out")).unwrap();
    let second = flow(&dir);
    until("a check", || events(&dir).iter().any(|e| e["event"] == "withheld" && e["reason"] == "alertevery"));
    assert_eq!(lines(&dir, "own"), 1, "{}", dir.read("out"));
    // Killed, it leaves nothing behind and has forgotten nothing.
    second.signal("-KILL");
    drop(second);
    let third = flow(&dir);
    fs::remove_file(dir.0.join("down")).unwrap();
    until("the end is told", || lines(&dir, "own") == 2);
    let own = dir.read("own");
    let last = own.lines().last().unwrap();
    assert!(last.contains("><-u> up 0 h2|detail of it|"), "{last}");
    until("file.alert", || dir.read("log").contains("up web http "));
    drop(third);
}

/// How often it has begun for this reason.
fn started(dir: &Dir, reason: &str) -> usize {
    events(dir).iter().filter(|e| e["event"] == "started" && e["reason"] == reason).count()
}

#[test]
fn a_reload_takes_a_good_file_and_leaves_a_wrong_one() {
    let dir = Dir::new("reload");
    switched(&dir, "");
    let flow = flow(&dir);
    until("it works", || state(&dir, "web", "http") == "ok");
    until("the startup alert", || dir.read("log").matches("startup web http").count() == 1);
    assert_eq!(started(&dir, "start"), 1);
    let good = dir.read("mon.cf");
    let wrong = [
        (good.replace("interval 0.2s", "interval often"), "configuration"),
        ("hostgroup web h1\n".to_owned(), "nothing-to-do"),
    ];
    for (n, (text, code)) in wrong.iter().enumerate() {
        dir.write("mon.cf", 0o644, text);
        flow.signal("-HUP");
        until(code, || events(&dir).iter().any(|e| e["event"] == "error" && e["code"] == *code));
        // The file is still wrong; what was in force goes on, though a part of it has to be started again.
        flow.kill_prober();
        until("it is started again", || started(&dir, "restart") == n + 1);
        let (is, fails) = [("fail", true), ("ok", false)][n];
        let down = dir.0.join("down");
        if fails {
            fs::write(down, "").unwrap()
        } else {
            fs::remove_file(down).unwrap()
        }
        until(&format!("it is {is}: {}", dir.read("out")), || state(&dir, "web", "http") == is);
    }
    assert_eq!(started(&dir, "reload"), 0);
    dir.write("mon.cf", 0o644, &good.replace("service http", "service https"));
    flow.signal("-HUP");
    until("the new service", || state(&dir, "web", "https") == "ok");
    assert_eq!(started(&dir, "reload"), 1);
    assert_eq!(dir.read("log").matches("startup").count(), 1, "not at a reload");
}

/// A signal that comes while nothing runs that could be told of it is followed all the same, and what only waits ends.
#[test]
fn signals_between_two_starts() {
    let dir = Dir::new("between");
    switched(&dir, "");
    let ours = path("ha-event");
    let at = |name: &str| dir.0.join(name).display().to_string();
    // Each start tells that it is about to, and waits for leave if it is to.
    let held = format!(
        "#!/bin/sh\ncase \" $* \" in *' started '*) if [ -e {0} ]; then : >{1}; while [ -e {0} ]; do /bin/sleep 0.05; done; fi ;; \
         esac\nexec {2} \"$@\"\n",
        at("hold"),
        at("here"),
        ours.display()
    );
    dir.write("ha-event", 0o755, &held);
    // The pause after an end lasts until it is over, not until its time has come.
    dir.write("sleep", 0o755, &format!("#!/bin/sh\n: >{}\nexec /bin/sleep 100000\n", at("pauses")));
    let mut flow = flow(&dir);
    until("it works", || state(&dir, "web", "http") == "ok");
    let pause = |flow: &Process| {
        let _ = fs::remove_file(dir.0.join("pauses"));
        flow.kill_prober();
        until("it pauses", || dir.0.join("pauses").exists());
    };
    // A reload ends the pause, and one more comes while that begins.
    pause(&flow);
    fs::write(dir.0.join("hold"), "").unwrap();
    flow.signal("-HUP");
    until("it is about to begin", || dir.0.join("here").exists());
    let good = dir.read("mon.cf");
    dir.write("mon.cf", 0o644, &good.replace("service http", "service https"));
    flow.signal("-HUP");
    fs::remove_file(dir.0.join("hold")).unwrap();
    until("the new service", || state(&dir, "web", "https") == "ok");
    // The end, in the same place.
    fs::remove_file(dir.0.join("here")).unwrap();
    fs::write(dir.0.join("hold"), "").unwrap();
    flow.signal("-HUP");
    until("it is about to begin", || dir.0.join("here").exists());
    flow.signal("-TERM");
    fs::remove_file(dir.0.join("hold")).unwrap();
    flow.ends_with(0);
    assert_eq!(events(&dir).last().unwrap()["what"], "watch-services", "{}", dir.read("out"));
    // And in a pause.
    let mut flow = self::flow(&dir);
    until("it works again", || flow.child("probe-exec").is_some() && started(&dir, "start") == 2);
    pause(&flow);
    flow.signal("-TERM");
    flow.ends_with(0);
}

#[test]
fn wrong_words_and_files() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/watch-services");
    let ours = path("ha-event").parent().unwrap().display().to_string();
    let dir = Dir::new("wrong");
    let call = |args: &[&str]| -> Run {
        let state = dir.0.join("state");
        let path = format!("{ours}:{}", std::env::var("PATH").unwrap());
        finish(Command::new(&script).args(["--state", state.to_str().unwrap()]).args(args).env("PATH", path))
    };
    call(&["--colour"]).failed("watch-services", 64, "usage");
    call(&["--alert-timeout", "soon"]).failed("watch-services", 64, "usage");
    // What keeps probe-exec from running is no word of the caller.
    let broken = dir.write("probe-exec", 0o755, "#!/bin/sh\nexit 69\n");
    let first = format!("{}:{ours}:/usr/bin:/bin", dir.0.display());
    finish(Command::new(&script).env("PATH", first)).failed("watch-services", 69, "system");
    fs::remove_file(broken).unwrap();
    call(&["--help"]).ends_with(0);
    // What cannot be remembered comes out at the start.
    fs::create_dir(dir.0.join("folder")).unwrap();
    let good = dir.write("good.cf", 0o644, "watch a\nservice x\ninterval 1s\nmonitor true\nperiod\nalert true\n");
    let folder = dir.0.join("folder").display().to_string();
    call(&["--state", &folder, good.to_str().unwrap()]).failed("mon-decide", 70, "system");
    let mut nowhere = command("mon-decide");
    finish(nowhere.arg(&good).args(["--state", "/nonexistent/state"])).failed("mon-decide", 69, "state-unwritable");
    for endless in ["/dev/full", "/dev/zero"] {
        finish(command("mon-decide").arg(&good).args(["--state", endless])).failed("mon-decide", 70, "system");
    }
    finish(command("mon-decide").arg(&good).arg("/tmp")).failed("mon-decide", 69, "unreadable-input");
    call(&["/nowhere/mon.cf"]).failed("ha-conf", 78, "no-such-file");
    let idle = dir.write("idle.cf", 0o644, "hostgroup a b\n");
    call(&[idle.to_str().unwrap()]).failed("watch-services", 78, "nothing-to-do");
    let wrong = dir.write("wrong.cf", 0o644, "hostgroup a b\n\nwatch a\nservice x\ninterval 1s\n\nmonitor y\n");
    let run = call(&[wrong.to_str().unwrap()]);
    run.failed("ha-conf", 78, "configuration");
    assert!(run.stderr.contains("wrong.cf:7: monitor stands outside of a watch"), "{run:#?}");
    let open = dir.write("open.cf", 0o666, "");
    finish(command("ha-conf").arg("mon").arg(&open)).failed("ha-conf", 78, "untrusted-file");
    let missing = "watch a\nservice x\ninterval 1s\nmonitor no.monitor\nperiod\nalert no.alert\n";
    let missing = dir.write("missing.cf", 0o644, missing);
    let run = finish(command("ha-conf").arg("mon").arg(&missing));
    let events = run.ends_with(78).events();
    let told: Vec<(Option<u64>, &str)> = events
        .iter()
        .map(|e| (e.get("line").and_then(Value::as_u64), e["message"].as_str().unwrap()))
        .filter(|(l, _)| l.is_some())
        .collect();
    assert!(told.iter().any(|(l, m)| *l == Some(4) && m.starts_with("the monitor no.monitor is nowhere")), "{told:?}");
    assert!(told.iter().any(|(l, m)| *l == Some(6) && m.starts_with("the alert no.alert is nowhere")), "{told:?}");
    finish(command("mon-decide").arg(&wrong)).failed("mon-decide", 78, "configuration");
}

/// Debian's mon with our probes as its monitors; what it thinks is what its alert is told.
#[test]
fn our_probes_under_debians_mon() {
    let dir = Dir::new("theirs");
    let at = |name: &str| dir.0.join(name).display().to_string();
    for folder in ["state", "log"] {
        fs::create_dir(dir.0.join(folder)).unwrap();
    }
    dir.write("auth.cf", 0o600, "command section\nlist: all\n");
    let told = "#!/bin/sh\nread -r summary; printf '%s %s %s %s\\n' \"$MON_GROUP\" \"$MON_SERVICE\" \"$MON_ALERTTYPE\" \"$summary\" >>";
    dir.write("told.alert", 0o755, &format!("{told}{}\n", at("told")));
    let (good, web) = (takes_leave("", "").port(), web().port());
    let ftp = files().port();
    let bad = nobody();
    let up = format!("http://127.0.0.1:{web}/");
    let down = format!("http://127.0.0.1:{bad}/");
    dir.write("apart", 0o755, APART);
    let ours = path("ha-event").parent().unwrap().display().to_string();
    let rows = [
        (
            "ping",
            "probe-ping --exit-style mon --timeout 1s".to_owned(),
            format!("apart {ours}/probe-ping --exit-style mon --timeout 1s"),
            "192.0.2.1",
        ),
        (
            "tcp",
            format!("probe-tcp --exit-style mon -p {good}"),
            format!("probe-tcp --exit-style mon -p {bad}"),
            "127.0.0.1",
        ),
        (
            "http",
            format!("probe-http --exit-style mon {up} ;;"),
            format!("probe-http --exit-style mon {up} {down} ;;"),
            &down,
        ),
        (
            "site",
            format!("probe-http --exit-style mon -p {web}"),
            format!("probe-http --exit-style mon -p {bad}"),
            "127.0.0.1",
        ),
        (
            "files",
            format!("probe-ftp --exit-style mon -p {ftp}"),
            format!("probe-ftp --exit-style mon -p {bad}"),
            "127.0.0.1",
        ),
        (
            "exec",
            "probe-exec --exit-style mon --target load -- true ;;".to_owned(),
            "probe-exec --exit-style mon --style mon --target load -- false ;;".to_owned(),
            "load",
        ),
    ];
    let mut text = format!(
        "mondir = {ours}:{}\nalertdir = {}\nstatedir = {}\nlogdir = {}\ncfbasedir = {}\n",
        at(""),
        at(""),
        at("state"),
        at("log"),
        at("")
    );
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _ = writeln!(
        text,
        "authfile = {}\nserverbind = 127.0.0.1\ntrapbind = 127.0.0.1\nserverport = {port}\ntrapport = {port}",
        at("auth.cf")
    );
    let _ = writeln!(
        text,
        "pidfile = {}\n\nhostgroup up 127.0.0.1\n\nhostgroup down 127.0.0.1\n\nhostgroup pinged 127.0.0.1 192.0.2.1\n",
        at("pid")
    );
    for (group, bad) in [("up", false), ("down", true)] {
        let _ = writeln!(text, "watch {group}");
        for (name, good_line, bad_line, _) in rows.iter().filter(|(name, ..)| !bad || *name != "ping") {
            let monitor = if bad { bad_line } else { good_line };
            let _ = writeln!(
                text,
                "service {name}\ninterval 1s\nmonitor {monitor}\nperiod wd {{Sun-Sat}}\nalert told.alert\nno_comp_alerts\nalertevery 1h"
            );
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "watch pinged\nservice ping\ninterval 1s\nmonitor {}\nperiod wd {{Sun-Sat}}\nalert told.alert\nalertevery 1h",
        rows[0].2
    );
    dir.write("mon.cf", 0o644, &text);
    // Without a file of its own standard error would go to the terminal.
    let errors = fs::File::create(dir.0.join("errors")).unwrap();
    let mon = Command::new("/usr/sbin/mon")
        .args(["-c", &at("mon.cf"), "-P", &at("pid"), "-A", &at("auth.cf")])
        .stdin(Stdio::null())
        .stdout(errors.try_clone().unwrap())
        .stderr(errors)
        .spawn();
    let mon = Process(mon.expect("Debian's mon: apt-get install mon"));
    for (name, _, _, failed) in &rows {
        let group = if *name == "ping" { "pinged" } else { "down" };
        let wanted = format!("{group} {name} failure {failed}\n");
        until(&format!("{wanted}: {} {}", dir.read("told"), dir.read("errors")), || dir.read("told").contains(&wanted));
    }
    drop(mon);
    assert!(!dir.read("told").contains("up "), "what is well is not told of: {}", dir.read("told"));
    // The same file is right for us as well.
    let run = finish(command("ha-conf").arg("mon").arg(dir.0.join("mon.cf")));
    assert_eq!(run.ends_with(0).events().iter().filter(|e| e["event"] == "mon-service").count(), 12);
}

/// Periods and times without end, as Perl's Time::Period judges them and as we do. (Not the day of the year: there it takes any
/// word for a number.)
#[test]
fn periods_as_perl_has_them() {
    let scales = ["wd", "hr", "md", "mo", "wk", "min", "sec", "yr", "WDAY", "hour"];
    let values = [
        "1", "2", "5", "7", "12", "23", "0", "31", "sun", "Mon", "tuesday", "fri", "sat", "jan", "Dec", "march", "9am",
        "12am", "12pm", "11pm", "12noon", "0am", "366", "2026", "26", "60", "x",
    ];
    let mut seed = 1u64;
    let mut draw = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    let mut cases = Vec::new();
    for _ in 0..20_000 {
        let mut text = String::new();
        for part in 0..=draw(2) {
            text.push_str(if part > 0 { ", " } else { "" });
            for _ in 0..=draw(2) {
                let _ = write!(text, "{} {{", scales[draw(scales.len())]);
                for n in 0..draw(3) {
                    let _ = write!(text, "{}{}", if n > 0 { " " } else { "" }, values[draw(values.len())]);
                    if draw(2) == 1 {
                        let _ = write!(text, "{}{}", ["-", " - "][draw(2)], values[draw(values.len())]);
                    }
                }
                text.push_str(["} ", "}"][draw(2)]);
            }
        }
        // From 2001 on: Perl takes two digits for the century that it is, and so do we.
        cases.push((978_307_200 + draw(1_000_000_000) as i64, text.trim().to_owned()));
    }
    let input: String = cases.iter().map(|(time, text)| format!("{time}\t{text}\n")).collect();
    let judge = "while (<STDIN>) { chomp; my ($t, $p) = split /\\t/, $_, 2; print inPeriod($t, $p), qq(\\n) }";
    let mut perl = Command::new("perl")
        .args(["-MTime::Period", "-e", judge])
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = perl.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = perl.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), cases.len());
    let (mut held, mut wrong) = (0, 0);
    for ((time, text), answer) in cases.iter().zip(answers.lines()) {
        let ours = match text.parse::<Period>() {
            Ok(period) => i32::from(period.holds(&Local::at(*time, 0))).to_string(),
            Err(_) => "-1".to_owned(),
        };
        // Perl stops at the first part that holds, and does not see what is wrong behind it.
        if ours == "-1" && answer == "1" {
            continue;
        }
        assert_eq!(ours, answer, "{time} {text}");
        held += usize::from(answer == "1");
        wrong += usize::from(answer == "-1");
    }
    assert!(held > 100 && wrong > 100, "{held} {wrong}: too few of each to show anything");
}

/// A sequence of results in period sections with one rule each, run by Debian's mon and by our flow: the same alerts at the
/// same checks. (no_comp_alerts is not among them: Debian's mon runs the second upalert only after an alert, against its
/// manual.)
#[test]
fn alerts_as_debians_mon_runs_them() {
    const RESULTS: &str = "o f:a f:a f:b f:b o f:a o f:a f:a f:a f:c o";
    const RULES: &[(&str, &str)] = &[
        ("plain", "numalerts 0"),
        ("every", "alertevery 1h"),
        ("strict", "alertevery 1h strict"),
        ("ignore", "alertevery 1h ignore_summary"),
        ("detail", "alertevery 1h observe_detail"),
        ("after", "alertafter 2"),
        ("number", "numalerts 2"),
        ("status", "alertexitrange 1-2"),
    ];
    let dir = Dir::new("same");
    let at = |name: &str| dir.0.join(name).display().to_string();
    for folder in ["statedir", "log", "ours", "theirs"] {
        fs::create_dir(dir.0.join(folder)).unwrap();
    }
    dir.write("auth.cf", 0o600, "command section\nlist: all\n");
    let next = "#!/bin/sh\nf=$1; shift; n=$(($(cat $f 2>/dev/null || echo 0) + 1)); echo $n >$f.new; mv $f.new $f\n\
                [ $n -le $# ] || exit 0\neval \"w=\\${$n}\"; [ $w = o ] || { echo ${w#f:}; echo $n; exit 1; }\n";
    dir.write("next.monitor", 0o755, next);
    let record = "#!/bin/sh\nwhile [ $# -gt 2 ]; do case $1 in -u) shift ;; *) shift 2 ;; esac; done\nread -r s; read -r n\n\
                  echo \"$2 $n $MON_ALERTTYPE $s\" >>$1\n";
    dir.write("record.alert", 0o755, record);
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = |who: &str| {
        let mut text = format!(
            "mondir = {0}\nalertdir = {0}\nstatedir = {0}/statedir\nlogdir = {0}/log\ncfbasedir = {0}\n",
            at("")
        );
        let _ = writeln!(text, "authfile = {}\nserverbind = 127.0.0.1\ntrapbind = 127.0.0.1", at("auth.cf"));
        let _ =
            writeln!(text, "serverport = {port}\ntrapport = {port}\nhostgroup g h\n\nwatch g\nservice s\ninterval 1s");
        let _ = writeln!(text, "monitor next.monitor {}/count {RESULTS} ;;", at(who));
        for (name, rule) in RULES {
            let alert = format!("record.alert {}/out {name}", at(who));
            // strict outlasts an upalert with us, as the manual has it, and not with mon.
            let up = if *name == "strict" { String::new() } else { format!("upalert {alert}\n") };
            let _ = writeln!(text, "period {name}: wd {{Sun-Sat}}\nalert {alert}\n{up}{rule}");
        }
        text
    };
    dir.write("theirs.cf", 0o644, &file("theirs"));
    dir.write("mon.cf", 0o644, &file("ours"));
    let errors = fs::File::create(dir.0.join("errors")).unwrap();
    let mon = Command::new("/usr/sbin/mon")
        .args(["-c", &at("theirs.cf"), "-P", &at("pid"), "-A", &at("auth.cf")])
        .stdin(Stdio::null())
        .stdout(errors.try_clone().unwrap())
        .stderr(errors)
        .spawn();
    let mon = Process(mon.expect("Debian's mon: apt-get install mon"));
    let ours = flow(&dir);
    let count = |who: &str| dir.read(&format!("{who}/count")).trim().parse::<usize>().unwrap_or(0);
    for who in ["ours", "theirs"] {
        until(&format!("all checks of {who}"), || count(who) > RESULTS.split(' ').count() + 1);
    }
    drop((mon, ours));
    let alerts = |who: &str| {
        let text = dir.read(&format!("{who}/out"));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(alerts("ours").len() > 40, "{:?}", alerts("ours"));
    assert_eq!(alerts("ours"), alerts("theirs"));
}
