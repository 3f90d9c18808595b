//! run-resource with scripts that have every fault. Nothing here touches the machine: what needs addresses or mounts
//! stands in `tests/agents.rs`.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use support::{Run, command, finish};

/// A bound for everything: only there so that a test cannot hang.
const LONG: Duration = Duration::from_secs(30);

/// A script that writes down its calls, and is running while a file of its name is there.
const RECORDER: &str = r#"
echo "$1 $2" >>DIR/log
case $2 in
start) : >DIR/on-$1 ;;
stop) rm -f DIR/on-$1 ;;
status) if [ -e DIR/on-$1 ]; then echo running; else echo stopped; fi ;;
esac
"#;

/// A script that hangs at the action of its first argument, with a child in its group and an orphan that has left it and
/// its session; all of them ignore SIGTERM, and their pids stand in DIR/pids.
const HANGER: &str = r#"
hang() {
    trap '' TERM
    echo $$ >>DIR/pids
    sh -c 'echo $$ >>DIR/pids; exec sleep 1000' &
    (setsid sh -c 'echo $$ >>DIR/pids; sleep 1000 & echo $! >>DIR/pids; wait' >/dev/null 2>&1 </dev/null &)
    while [ "$(wc -l <DIR/pids)" -lt 4 ]; do sleep 0.01; done
    : >DIR/hangs
    while :; do sleep 1000; done
}
echo "$1 $2" >>DIR/log
[ "$1" != "$2" ] || hang
case $2 in status) echo stopped ;; esac
"#;

/// A cluster's folder with scripts, gone at the end of its test.
struct Cluster(PathBuf);

impl Cluster {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("run-resource-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let cluster = Self(path);
        for folder in ["", "resource.d", "shipped", "ocf/resource.d/heartbeat"] {
            fs::create_dir_all(cluster.0.join(folder)).unwrap();
        }
        for folder in ["", "resource.d", "shipped", "ocf", "ocf/resource.d", "ocf/resource.d/heartbeat"] {
            fs::set_permissions(cluster.0.join(folder), Permissions::from_mode(0o755)).unwrap();
        }
        cluster.script("Rec", RECORDER);
        cluster.script("Hang", HANGER);
        cluster
    }

    /// A script in resource.d; `DIR` in it is the cluster's folder.
    fn script(&self, name: &str, text: &str) {
        self.write(&format!("resource.d/{name}"), 0o755, &format!("#!/bin/sh\n{text}"));
    }

    fn agent(&self, name: &str, text: &str) {
        self.write(&format!("ocf/resource.d/heartbeat/{name}"), 0o755, &format!("#!/bin/sh\n{text}"));
    }

    fn write(&self, name: &str, mode: u32, text: &str) {
        let path = self.0.join(name);
        fs::write(&path, text.replace("DIR", self.0.to_str().unwrap())).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = command("run-resource");
        command.arg("--ha-d").arg(&self.0).args(line.split_whitespace());
        command.env("TAKEOVER_RESOURCE_D", self.0.join("shipped")).env("OCF_ROOT", self.0.join("ocf"));
        command.env("TAKEOVER_LOCKS", self.0.join("locks"));
        command
    }

    fn run(&self, line: &str) -> Run {
        finish(&mut self.command(line))
    }

    /// What the scripts wrote down.
    fn log(&self) -> Vec<String> {
        self.read("log").lines().map(str::to_owned).collect()
    }

    fn clear(&self) {
        let _ = fs::remove_file(self.0.join("log"));
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn await_file(&self, name: &str) {
        eventually(&format!("the file {name}"), || self.0.join(name).exists());
    }

    /// The processes that wrote themselves into a file and live.
    fn alive(&self, name: &str) -> Vec<i32> {
        self.read(name).lines().filter_map(|l| l.parse().ok()).filter(|p| lives(*p)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for name in ["pids", "daemon"] {
            for pid in self.alive(name) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether it runs: one that only waits to be taken in by its parent does not.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Resource, action and what it is afterwards, of each step; the outcome is apart.
fn steps(run: &Run) -> Vec<(String, String, String)> {
    let text = |e: &Map<String, Value>, name: &str| e[name].as_str().unwrap_or("-").to_owned();
    let all = run.events();
    let all = all.iter().filter(|e| e["event"] == "step");
    all.map(|e| (text(e, "resource"), text(e, "action"), text(e, "is"))).collect()
}

fn step(resource: &str, action: &str, is: &str) -> (String, String, String) {
    (resource.to_owned(), action.to_owned(), is.to_owned())
}

fn outcome(run: &Run) -> Map<String, Value> {
    let found: Vec<_> = run.events().into_iter().filter(|e| e["event"] == "outcome").collect();
    assert_eq!(found.len(), 1, "{run:#?}");
    found[0].clone()
}

#[test]
fn left_to_right_and_back_each_once() {
    let cluster = Cluster::new("order");
    let line = "Rec::a Rec::b Rec::c";
    let run = cluster.run(&format!("start {line}"));
    run.ends_with(0);
    assert_eq!(cluster.log(), ["a status", "a start", "b status", "b start", "c status", "c start"]);
    assert_eq!(outcome(&run)["running"], json!(["Rec::a", "Rec::b", "Rec::c"]));
    assert_eq!(outcome(&run)["changed"], true);
    cluster.clear();
    let run = cluster.run(&format!("start {line}"));
    assert_eq!(outcome(run.ends_with(0))["changed"], false);
    assert_eq!(cluster.log(), ["a status", "b status", "c status"]);
    assert_eq!(outcome(cluster.run(&format!("status {line}")).ends_with(0))["running"].as_array().unwrap().len(), 3);
    cluster.clear();
    let run = cluster.run(&format!("stop {line}"));
    assert_eq!(outcome(run.ends_with(0))["stopped"].as_array().unwrap().len(), 3);
    assert_eq!(cluster.log(), ["c status", "c stop", "b status", "b stop", "a status", "a stop"]);
    let run = cluster.run(&format!("stop {line}"));
    assert_eq!(outcome(run.ends_with(0))["changed"], false);
    cluster.run(&format!("status {line}")).ends_with(1);
    cluster.run("start Rec::b").ends_with(0);
    cluster.clear();
    cluster.run(&format!("restart {line}")).ends_with(0);
    let log = cluster.log();
    assert_eq!(log[..6], ["c status", "c stop", "b status", "b stop", "a status", "a stop"]);
    assert_eq!(log[6..], ["a status", "a start", "b status", "b start", "c status", "c start"]);
    cluster.run(&format!("monitor {line}")).ends_with(0);
}

#[test]
fn a_start_that_fails_is_undone_unless_it_is_to_be_kept() {
    let cluster = Cluster::new("undo");
    cluster.script(
        "Bad",
        "echo \"bad $1\" >>DIR/log; case $1 in start) echo no disk >&2; exit 5 ;; status) echo stopped ;; esac",
    );
    cluster.run("start Rec::b").ends_with(0); // not this call's: it stays
    cluster.clear();
    let run = cluster.run("start Rec::a Rec::b Rec::c Bad Rec::d");
    run.ends_with(1);
    assert_eq!(cluster.log()[5..], ["bad status", "bad start", "bad stop", "c stop", "a stop"]);
    let events = run.events();
    let failed = events.iter().find(|e| e["resource"] == "Bad" && e["action"] == "start").unwrap();
    let undone = events.iter().find(|e| e["resource"] == "Bad" && e["action"] == "stop").unwrap();
    assert_eq!((&failed["attempt"], &undone["attempt"]), (&json!(1), &json!(1)));
    assert_eq!((&failed["is"], &failed["status"], &failed["output"]), (&json!("failed"), &json!(5), &json!("no disk")));
    assert_eq!(outcome(&run)["running"], json!(["Rec::b"]));
    assert!(outcome(&run)["cause"].as_str().unwrap().contains("Bad does not start"));
    cluster.clear();
    let run = cluster.run("start --keep Rec::a Bad Rec::d");
    assert_eq!(cluster.log(), ["a status", "a start", "bad status", "bad start"]);
    assert_eq!(outcome(run.ends_with(1))["running"], json!(["Rec::a"]));
}

#[test]
fn what_failed_is_stopped_and_started_afresh() {
    let cluster = Cluster::new("afresh");
    cluster.agent("Sick", "echo $1 >>DIR/log; [ $1 != monitor ] || exit 1");
    let run = cluster.run("start ocf:heartbeat:Sick");
    run.ends_with(0);
    assert_eq!(cluster.log(), ["monitor", "stop", "start"]);
}

/// Nothing of an agent survives its deadline, whatever it ignores and wherever it went.
#[test]
fn a_hanging_start_ends_with_all_that_it_started() {
    let cluster = Cluster::new("hang-start");
    let run = cluster.run("start --timeout 1500ms --kill-after 50ms Rec::a Hang::start");
    run.ends_with(1);
    let wanted = [
        step("Rec::a", "status", "stopped"),
        step("Rec::a", "start", "running"),
        step("Hang::start", "status", "stopped"),
        step("Hang::start", "start", "unknown"),
        step("Hang::start", "stop", "stopped"),
        step("Rec::a", "stop", "stopped"),
    ];
    assert_eq!(steps(&run), wanted);
    let events = run.events();
    assert_eq!(events[3]["status"], Value::Null);
    assert!(events[3]["meaning"].as_str().unwrap().contains("ran out of time"), "{run:#?}");
    assert_eq!(cluster.read("pids").lines().count(), 4);
    assert_eq!(cluster.alive("pids"), [0; 0]);
}

#[test]
fn a_hanging_status_is_unknown_and_starts_nothing() {
    let cluster = Cluster::new("hang-status");
    let run = cluster.run("status --timeout 1500ms --kill-after 10ms Rec::a Hang::status");
    run.ends_with(75);
    assert_eq!(steps(&run)[1], step("Hang::status", "status", "unknown"));
    assert_eq!(cluster.alive("pids"), [0; 0]);
    cluster.clear();
    let run = cluster.run("start --timeout 1500ms --kill-after 10ms Rec::a Hang::status");
    assert_eq!(outcome(run.ends_with(75))["unknown"], json!(["Hang::status"]));
    assert_eq!(cluster.log(), ["a status", "a start", "status status", "a stop"]);
}

/// What stands to the left of a stop that failed is left alone, and nothing is called stopped.
#[test]
fn a_hanging_stop_ends_the_hand_over() {
    let cluster = Cluster::new("hang-stop");
    cluster.script(
        "Tough",
        "echo tough $1 >>DIR/log; case $1 in status) echo running ;; stop) trap '' TERM; while :; do sleep 1; done ;; esac",
    );
    cluster.run("start Rec::a Rec::c").ends_with(0);
    cluster.clear();
    let line = "stop --timeout 1s --kill-after 10ms --stop-retries 1 --retry-every 0 Rec::a Tough Rec::c";
    let run = cluster.run(line);
    run.ends_with(75);
    assert_eq!(cluster.log(), ["c status", "c stop", "tough status", "tough stop", "tough stop"]);
    assert_eq!(outcome(&run)["stopped"], json!(["Rec::c"]));
    assert_eq!(outcome(&run)["unknown"], json!(["Rec::a", "Tough"]), "nobody asked for the first");
    assert!(outcome(&run)["cause"].as_str().unwrap().contains("Tough DOES NOT STOP"));
    assert!(cluster.0.join("on-a").exists());
}

#[test]
fn a_stop_that_fails_is_tried_again() {
    let cluster = Cluster::new("retry");
    cluster.agent("Third", "echo $1 >>DIR/log; [ $1 != stop ] || [ $(grep -c stop DIR/log) -ge 3 ]");
    let run = cluster.run("stop --retry-every 0 ocf:heartbeat:Third");
    run.ends_with(0);
    assert_eq!(cluster.log(), ["monitor", "stop", "stop", "stop"]);
    let tries: Vec<Value> = run
        .events()
        .iter()
        .filter(|e| e["action"] == "stop" && e["event"] == "step")
        .map(|e| e["attempt"].clone())
        .collect();
    assert_eq!(tries, [1, 2, 3]);
    cluster.clear();
    let run = cluster.run("stop --retry-every 0 --stop-retries 1 ocf:heartbeat:Third");
    assert_eq!(outcome(run.ends_with(1))["failed"], json!(["ocf:heartbeat:Third"]));
    // A start that cannot undo what it did must not be taken for one that left nothing.
    cluster.agent("Stuck", "case $1 in monitor) exit 7 ;; *) exit 1 ;; esac");
    let run = cluster.run("start --retry-every 0 --stop-retries 1 Rec::a ocf:heartbeat:Stuck");
    assert_eq!(outcome(run.ends_with(75))["running"], json!(["Rec::a"]));
}

/// Old scripts fail to stop what does not run: their status is believed, as heartbeat believes it.
#[test]
fn a_script_that_cannot_stop_what_is_off() {
    let cluster = Cluster::new("kludge");
    cluster.script("Old", "case $1 in status) echo old is stopped ;; *) exit 1 ;; esac");
    let run = cluster.run("stop --retry-every 0 --stop-retries 1 Old");
    run.ends_with(0);
    let failed = step("Old", "stop", "failed");
    assert_eq!(steps(&run)[1..], [failed.clone(), failed, step("Old", "status", "stopped")]);
    assert_eq!((&outcome(&run)["stopped"], &outcome(&run)["changed"]), (&json!(["Old"]), &json!(false)));
    // It did stop, and says otherwise.
    cluster.script(
        "Liar",
        "case $1 in status) [ -e DIR/off ] && echo stopped || echo running ;; stop) : >DIR/off; exit 1 ;; esac",
    );
    let run = cluster.run("stop --retry-every 0 --stop-retries 1 Liar");
    assert_eq!((&outcome(run.ends_with(0))["stopped"], &outcome(&run)["changed"]), (&json!(["Liar"]), &json!(true)));
    // What it does not say is not believed.
    cluster.script("Vague", "case $1 in status) echo some of it is primary ;; *) exit 1 ;; esac");
    let run = cluster.run("stop --retry-every 0 --stop-retries 1 Vague");
    assert_eq!(outcome(run.ends_with(1))["unknown"], json!(["Vague"]));
}

#[test]
fn agents_that_may_not_be_run() {
    let cluster = Cluster::new("refused");
    cluster.write("resource.d/Plain", 0o644, "#!/bin/sh\n");
    cluster.write("resource.d/Open", 0o757, "#!/bin/sh\n: >DIR/ran\n");
    cluster.write("resource.d/NoShell", 0o755, "#!/no/such/interpreter\n");
    for (agent, status, code) in
        [("Nosuch", 69, "no-agent"), ("Plain", 77, "not-executable"), ("Open", 78, "untrusted-file")]
    {
        cluster.run(&format!("start Rec::a {agent}")).failed("run-resource", status, code);
        for action in ["status", "stop"] {
            cluster.run("start Rec::a").ends_with(0);
            let run = cluster.run(&format!("{action} Rec::a {agent}"));
            run.ends_with(status);
            assert!(steps(&run).contains(&step(agent, action, "unknown")), "{run:#?}");
            assert_eq!(run.events().last().unwrap()["code"], code);
            assert!(cluster.0.join("on-a").exists(), "it stands to the left of one that cannot be stopped");
            cluster.run("stop Rec::a").ends_with(0);
        }
        cluster.clear();
    }
    assert!(!cluster.0.join("ran").exists());
    let run = cluster.run("start NoShell");
    assert_eq!(steps(run.ends_with(75)), [step("NoShell", "status", "unknown")]);
    assert!(run.stdout.contains("could not be run"), "{run:#?}");
}

#[test]
fn output_of_every_kind() {
    let cluster = Cluster::new("output");
    cluster
        .script("Loud", "yes x | head -c 1000000; echo; echo running; yes y | head -c 1000000 >&2; echo the end >&2");
    let run = cluster.run("status Loud");
    run.ends_with(0);
    let events = run.events();
    let tail = events[0]["output"].as_str().unwrap();
    assert!(tail.len() <= 2048 && tail.len() > 1000, "{}", tail.len());
    cluster.script("Garbage", "head -c 5000 /dev/urandom; printf '\\000\\377\\033[2J not running'");
    assert_eq!(steps(cluster.run("status Garbage").ends_with(1)), [step("Garbage", "status", "stopped")]);
    assert_eq!(cluster.run("status Garbage --human").stdout.lines().count(), 2);
    cluster.script("Silent", ":");
    assert_eq!(steps(cluster.run("status Silent").ends_with(75)), [step("Silent", "status", "unknown")]);
    cluster.run("start Silent").ends_with(0); // as heartbeat does with scripts that know no status
    cluster.script("Killed", "echo running; kill -9 $$");
    assert_eq!(steps(cluster.run("status Killed").ends_with(75)), [step("Killed", "status", "unknown")]);
    // Without a first line that says whose it is: the shell's, as everywhere.
    cluster.write("resource.d/Bare", 0o755, "echo running\n");
    cluster.run("status Bare").ends_with(0);
    cluster.write("resource.d/Binary", 0o755, "\0\0\0\0");
    assert_eq!(steps(cluster.run("status Binary").ends_with(75)), [step("Binary", "status", "unknown")]);
}

#[test]
fn codes_of_ocf_agents() {
    let cluster = Cluster::new("codes");
    cluster.agent("Code", "exit $OCF_RESKEY_code");
    for (code, is, status) in [
        (0, "running", 0),
        (1, "failed", 1),
        (2, "unknown", 75),
        (3, "unknown", 75),
        (4, "unknown", 75),
        (5, "unknown", 75),
        (6, "unknown", 75),
        (7, "stopped", 1),
        (8, "running", 0),
        (9, "failed", 1),
        (42, "unknown", 75),
    ] {
        let spec = format!("ocf:heartbeat:Code::code={code}");
        let run = cluster.run(&format!("status {spec}"));
        assert_eq!(steps(run.ends_with(status)), [step(&spec, "status", is)]);
    }
    cluster.agent("Stuck", "case $1 in monitor) exit 0 ;; *) exit 1 ;; esac");
    for (style, status) in [("ocf", 1), ("lsb-status", 64), ("lsb-action", 1)] {
        cluster.run(&format!("stop --stop-retries 0 --exit-style {style} ocf:heartbeat:Stuck")).ends_with(status);
    }
    let styles = [("lsb-status", 7, 3), ("ocf", 7, 7), ("nagios", 1, 2), ("ocf", 5, 1)];
    for (style, code, status) in styles {
        cluster.run(&format!("status --exit-style {style} ocf:heartbeat:Code::code={code}")).ends_with(status);
    }
}

#[test]
fn environments() {
    let cluster = Cluster::new("environment");
    cluster.script("Env", "env >DIR/env; pwd >>DIR/env; readlink /proc/self/fd/0 >>DIR/env; echo running");
    cluster.agent("Env", "env >DIR/env");
    let mut call = cluster.command("status Env");
    finish(call.env("OCF_RESKEY_ip", "x").env("LC_ALL", "de_DE.UTF-8")).ends_with(0);
    let env = cluster.read("env");
    let dir = cluster.0.display();
    for line in [&format!("HA_DIR={dir}"), &format!("HA_RESOURCEDIR={dir}/resource.d"), "LC_ALL=C", "/", "/dev/null"] {
        assert!(env.lines().any(|l| l == line), "no {line} in {env}");
    }
    assert!(!env.contains("OCF_RESKEY_ip"), "{env}");
    assert!(env.lines().any(|l| l.starts_with("PATH=") && l.contains("/usr/sbin")), "{env}");
    cluster.run("monitor ocf:heartbeat:Env::ip=10.0.0.3").ends_with(0);
    let env = cluster.read("env");
    for line in [
        &format!("OCF_ROOT={dir}/ocf"),
        "OCF_RESKEY_ip=10.0.0.3",
        "OCF_RESOURCE_TYPE=Env",
        "OCF_RESOURCE_PROVIDER=heartbeat",
        "OCF_RESOURCE_INSTANCE=Env_10.0.0.3",
        "OCF_RESKEY_CRM_meta_interval=10000",
    ] {
        assert!(env.lines().any(|l| l == line), "no {line} in {env}");
    }
}

/// What a start leaves running is nobody else's, also when it keeps the start's output open and writes to it later.
#[test]
fn a_daemon_lives_on() {
    let cluster = Cluster::new("daemon");
    cluster.script(
        "Daemon",
        "case $1 in status) echo stopped ;; start)
            sh -c 'echo $$ >DIR/daemon; while [ ! -e DIR/go ]; do sleep 0.02; done; echo words; echo more >&2; : >DIR/wrote
                   while [ ! -e DIR/end ]; do sleep 0.02; done' &
            while [ ! -s DIR/daemon ]; do sleep 0.01; done ;;
        esac",
    );
    // The output of the command itself ends with the command: otherwise this waits for the daemon.
    let run = cluster.run("start --keep --timeout 5s --kill-after 10ms Daemon");
    run.ends_with(0);
    assert_eq!(cluster.alive("daemon").len(), 1);
    // An action that runs out of time afterwards is not its end.
    cluster.run("start --timeout 1500ms --kill-after 10ms Hang::start").ends_with(1);
    let line = "start --keep --timeout 1500ms --kill-after 10ms Rec::a Hang::start";
    let _ = fs::remove_file(cluster.0.join("pids"));
    cluster.run(line).ends_with(75);
    fs::write(cluster.0.join("go"), "").unwrap();
    cluster.await_file("wrote");
    assert_eq!(cluster.alive("daemon").len(), 1, "it wrote to its stdout and lives");
    fs::write(cluster.0.join("end"), "").unwrap();
    eventually("the end of the daemon", || cluster.alive("daemon").is_empty());
}

/// One that was started before the one that runs out of time, in the same call.
#[test]
fn a_daemon_of_the_same_call_outlives_what_runs_out_of_time() {
    let cluster = Cluster::new("neighbour");
    cluster.script(
        "Daemon",
        "case $1 in status) echo stopped ;; start)
            (setsid sh -c 'echo $$ >DIR/daemon; exec sleep 1000' >/dev/null 2>&1 </dev/null &)
            while [ ! -s DIR/daemon ]; do sleep 0.01; done ;;
        esac",
    );
    cluster.run("start --keep --timeout 1500ms --kill-after 10ms Daemon Hang::start").ends_with(75);
    assert_eq!(cluster.alive("pids"), [0; 0]);
    assert_eq!(cluster.alive("daemon").len(), 1);
}

/// Starts a call whose agent hangs; it hangs when this returns.
fn hanging(cluster: &Cluster, line: &str) -> Child {
    let child = cluster.command(line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    cluster.await_file("hangs");
    child
}

#[test]
fn a_signal_ends_the_running_action_and_is_told() {
    let cluster = Cluster::new("signal");
    let child = hanging(&cluster, "start --kill-after 20ms Rec::a Hang::start Rec::b");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15));
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(text.lines().all(|l| support::problems(l).is_empty()), "{text}");
    let last = events.last().unwrap();
    assert!(last["cause"].as_str().unwrap().contains("SIGTERM"), "{last}");
    assert_eq!((&last["running"], &last["unknown"]), (&json!(["Rec::a"]), &json!(["Hang::start", "Rec::b"])));
    assert_eq!(cluster.alive("pids"), [0; 0]);
    assert_eq!(cluster.log(), ["a status", "a start", "start status", "start start"]);
}

#[test]
fn an_agent_does_not_outlive_a_killed_caller() {
    let cluster = Cluster::new("killed");
    let mut child = hanging(&cluster, "start --kill-after 20ms Hang::start");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the end of all that it started", || cluster.alive("pids").is_empty());
}

/// Agents that write down who watches over them.
const WATCHED: &str = r#"
echo "$1" >>DIR/log
case $1 in
start)
    echo $$ >>DIR/pids
    (setsid sh -c 'trap "" TERM; echo $$ >>DIR/pids; exec sleep 1000' >/dev/null 2>&1 </dev/null &)
    while [ "$(wc -l <DIR/pids)" -lt 2 ]; do sleep 0.01; done
    echo $PPID >DIR/watcher
    while [ ! -e DIR/go ]; do sleep 0.02; done ;;
status) echo stopped ;;
esac
"#;

/// A killed watcher leaves nothing behind that would go on starting what is called stopped.
#[test]
fn an_agent_does_not_outlive_what_watches_over_it() {
    let cluster = Cluster::new("watcher");
    cluster.script("Watched", WATCHED);
    cluster.script(
        "Daemon",
        "case $1 in status) echo stopped ;; start) sleep 1000 >/dev/null 2>&1 & echo $! >DIR/daemon ;; esac",
    );
    let watcher = |line: &str| {
        let child = cluster.command(line).stdout(Stdio::piped()).spawn().unwrap();
        eventually("the start", || cluster.read("watcher").ends_with('\n'));
        (child, Pid::from_raw(cluster.read("watcher").trim().parse().unwrap()))
    };
    let (child, pid) = watcher("start --kill-after 10ms --keep Daemon Watched");
    kill(pid, Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8(output.stdout).unwrap().contains("nobody saw how it ended"));
    assert_eq!(cluster.alive("pids"), [0; 0]);
    assert_eq!(cluster.alive("daemon").len(), 1, "of another agent, which ended by itself");
    // It is not there to be told to end.
    for name in ["pids", "watcher"] {
        fs::remove_file(cluster.0.join(name)).unwrap();
    }
    let (mut child, pid) = watcher("start Watched");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(pid, signal).unwrap();
    }
    fs::write(cluster.0.join("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(cluster.alive("pids").len(), 1, "what it has left is nobody else's");
}

/// Such as one that the kernel killed for its memory: what it had begun does not go on alone.
#[test]
fn an_agent_that_is_killed_leaves_nothing_running() {
    let cluster = Cluster::new("oom");
    let hang = "(setsid sh -c 'echo $$ >>DIR/pids; exec sleep 1000' >/dev/null 2>&1 </dev/null &)\n\
                while [ ! -s DIR/pids ]; do sleep 0.01; done";
    for signal in ["KILL", "40"] {
        cluster.script("Oom", &format!("case $1 in status) echo stopped ;; start) {hang}\nkill -{signal} $$ ;; esac"));
        let run = cluster.run("start --kill-after 10ms --keep Oom");
        assert_eq!(steps(run.ends_with(75))[1], step("Oom", "start", "unknown"));
        assert!(run.stdout.contains("killed by signal"), "{run:#?}");
        assert_eq!(cluster.alive("pids"), [0; 0]);
        fs::remove_file(cluster.0.join("pids")).unwrap();
    }
}

/// Two calls never change one resource at once, however it is written.
#[test]
fn one_call_at_a_time() {
    let cluster = Cluster::new("locked");
    cluster.script("IPaddr", &HANGER.replace("$1\" != \"$2", "$2\" != \"start"));
    cluster.clear();
    let mut child = hanging(&cluster, "start --kill-after 10ms 10.0.0.3");
    let run = cluster.run("stop --timeout 50ms --stop-retries 0 IPaddr::10.0.0.3/24/eth0");
    let who = format!("run-resource start 10.0.0.3, process {}", child.id());
    assert!(run.ends_with(75).stdout.contains(&who), "{run:#?}");
    assert!(!cluster.log().iter().any(|l| l.ends_with("stop")), "{:?}", cluster.log());
    cluster.run("stop 10.0.0.4").ends_with(0);
    // Its end is the end of its lock, also by force: only when nothing is left of its agent.
    child.kill().unwrap();
    child.wait().unwrap();
    cluster.run("stop 10.0.0.3").ends_with(0);
    assert_eq!(cluster.alive("pids"), [0; 0]);
}

/// A call by way of another program.
fn by(outer: &[&str], inner: &Command) -> Run {
    let mut command = Command::new(outer[0]);
    command.args(&outer[1..]).arg(inner.get_program()).args(inner.get_args());
    finish(command.envs(inner.get_envs().filter_map(|(n, v)| Some((n, v?)))))
}

/// Where processes cannot be listed nothing could be ended.
#[test]
fn nothing_is_run_without_a_proc_of_its_own() {
    let cluster = Cluster::new("proc");
    let run = by(&["unshare", "--pid", "--fork", "--"], &cluster.command("start Rec::a"));
    run.failed("run-resource", 69, "no-proc");
    assert_eq!(cluster.log(), [""; 0]);
}

/// A shortage is no reason to fall silent in the middle of a group.
#[test]
fn what_cannot_be_run_for_want_of_descriptors_is_told() {
    let cluster = Cluster::new("shortage");
    let run = by(&["sh", "-c", "ulimit -n 8; exec \"$@\"", "sh"], &cluster.command("start Rec::a Rec::b"));
    assert_eq!(outcome(run.ends_with(75))["unknown"], json!(["Rec::a", "Rec::b"]));
    assert_eq!(cluster.log(), [""; 0]);
}

/// Nobody would know of what was started.
#[test]
fn a_reader_that_is_gone_leaves_nothing_started() {
    let cluster = Cluster::new("reader");
    let mut child = cluster.command("start Rec::a Rec::b Rec::c").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert!(!cluster.log().iter().any(|l| l.ends_with("start")), "{:?}", cluster.log());
    cluster.run("start Rec::a Rec::b").ends_with(0);
    // A stop goes on: half of it would be worse than one that nobody hears of.
    cluster.clear();
    let mut child = cluster.command("stop Rec::a Rec::b").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert_eq!(cluster.log(), ["b status", "b stop", "a status", "a stop"]);
}

/// Runs a call whose reader goes after the first line.
fn head(cluster: &Cluster, line: &str) -> Option<i32> {
    let mut child = cluster.command(line).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.ends_with('\n'), "{first}");
    cluster.write("gone", 0o644, "");
    child.wait().unwrap().code()
}

/// The reader goes while the last one starts: the start is undone all the same, a restart is not left half done.
#[test]
fn a_reader_that_goes_leaves_nothing_half_done() {
    let cluster = Cluster::new("head");
    cluster.script("Slow", "[ $2 != start ] || while [ ! -e DIR/gone ]; do sleep 0.01; done\n. DIR/resource.d/Rec");
    assert_eq!(head(&cluster, "start Slow::a"), Some(75));
    assert_eq!(cluster.log(), ["a status", "a start", "a stop"]);
    cluster.run("start Slow::a").ends_with(0);
    cluster.clear();
    fs::remove_file(cluster.0.join("gone")).unwrap();
    assert_eq!(head(&cluster, "restart Slow::a"), Some(75));
    assert_eq!(cluster.log(), ["a status", "a stop", "a status", "a start"]);
}

/// Nothing waits for a reader that does not read: a pipe takes 64 KiB, and these are more.
#[test]
fn a_reader_that_does_not_read_holds_up_nothing() {
    let cluster = Cluster::new("unread");
    cluster.script(
        "Wordy",
        "case $2 in status) yes x | head -c 4000; echo; echo running ;; stop) echo $1 >>DIR/log ;; esac",
    );
    let line: String = (0..60).map(|n| format!(" Wordy::{n}")).collect();
    let mut child =
        cluster.command(&format!("stop{line}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(cluster.log().len(), 60);
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(words.contains("not taken by stdout"), "{words}");
}

#[test]
fn a_dry_run_asks_only() {
    let cluster = Cluster::new("dry");
    cluster.run("start Rec::b").ends_with(0);
    cluster.clear();
    let run = cluster.run("start --dry-run Rec::a Rec::b");
    run.ends_with(0);
    assert_eq!(cluster.log(), ["a status", "b status"]);
    let events = run.events();
    let would = events.iter().find(|e| e["action"] == "start").unwrap();
    assert_eq!(
        (&would["resource"], &would["dry_run"], &would["changed"]),
        (&json!("Rec::a"), &json!(true), &json!(true))
    );
    cluster.clear();
    cluster.run("stop --dry-run Rec::a Rec::b").ends_with(0);
    assert_eq!(cluster.log(), ["b status", "a status"]);
    assert!(cluster.0.join("on-b").exists());
}

#[test]
fn a_dry_run_of_a_restart_starts_as_well() {
    let cluster = Cluster::new("dry-restart");
    cluster.run("start Rec::a").ends_with(0);
    cluster.clear();
    let run = cluster.run("restart --dry-run Rec::a");
    let wanted =
        [step("Rec::a", "status", "running"), step("Rec::a", "stop", "stopped"), step("Rec::a", "start", "running")];
    assert_eq!(steps(run.ends_with(0)), wanted);
    assert_eq!((cluster.log(), cluster.0.join("on-a").exists()), (vec!["a status".to_owned()], true));
}

fn with_stdin(cluster: &Cluster, line: &str, text: &str) -> Run {
    let mut command = cluster.command(line);
    let words = format!("{command:?}");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        words,
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn groups_on_stdin() {
    let cluster = Cluster::new("stdin");
    cluster.write("haresources", 0o644, "ha1 Rec::a Rec::b\nha2 Rec::c\n");
    let groups = finish(command("ha-conf").arg("--ha-d").arg(&cluster.0).arg("haresources"));
    groups.ends_with(0);
    let first = groups.stdout.lines().next().unwrap();
    with_stdin(&cluster, "start -", first).ends_with(0);
    assert_eq!(cluster.log(), ["a status", "a start", "b status", "b start"]);
    let run = with_stdin(&cluster, "status -", &groups.stdout);
    assert_eq!(outcome(run.ends_with(1))["stopped"], json!(["Rec::c"]));
    with_stdin(&cluster, "start -", "").failed("run-resource", 64, "usage");
    let broken = finish(command("ha-conf").arg("--ha-d").arg(cluster.0.join("nowhere")).arg("haresources"));
    with_stdin(&cluster, "start -", &broken.stdout).failed("run-resource", 78, "input-error");
}

#[test]
fn wrong_words() {
    let cluster = Cluster::new("usage");
    for line in [
        "",
        "begin Rec::a",
        "start",
        "start ../x",
        "start Rec::a Rec::a",
        "start IPaddr::10.0.0.3 10.0.0.3/24/eth0",
        "start 10.0.0.300",
        "status --timeout 0 Rec::a",
        "list nosuch",
        "stop Rec::a Rec::b Rec::a",
    ] {
        cluster.run(line).failed("run-resource", 64, "usage");
    }
}

#[test]
fn to_ask_twice_does_no_harm() {
    let cluster = Cluster::new("twice");
    assert_eq!(steps(cluster.run("status Rec::a Rec::a").ends_with(1)).len(), 2);
}

#[test]
fn what_agents_say_of_themselves() {
    let cluster = Cluster::new("metadata");
    cluster.agent("Meta", "[ $1 = meta-data ] && echo '<resource-agent name=\"Meta\"/>'");
    let run = cluster.run("metadata ocf:heartbeat:Meta");
    assert_eq!(run.ends_with(0).event()["metadata"], "<resource-agent name=\"Meta\"/>");
    cluster.script("Info", "### BEGIN INIT INFO\n# Provides: info\n# Short-Description: x\n### END INIT INFO\n");
    let run = cluster.run("metadata Info");
    assert_eq!(run.ends_with(0).event()["metadata"], "Provides: info\nShort-Description: x");
    cluster.run("metadata Rec::a").failed("run-resource", 69, "no-metadata");
    cluster.run("metadata Nosuch").failed("run-resource", 69, "no-agent");
}

#[test]
fn the_list() {
    let cluster = Cluster::new("list");
    cluster.write("resource.d/Open", 0o757, "#!/bin/sh\n");
    cluster.write("shipped/Rec", 0o755, "#!/bin/sh\n");
    cluster.write("shipped/Other", 0o755, "#!/bin/sh\n");
    cluster.agent("Dummy", "");
    let run = cluster.run("list heartbeat ocf");
    run.ends_with(0);
    let seen: Vec<(Value, bool)> = run.events().iter().map(|e| (e["resource"].clone(), e["cause"].is_null())).collect();
    let wanted = [("Hang", true), ("Open", false), ("Rec", true), ("Other", true), ("ocf:heartbeat:Dummy", true)];
    assert_eq!(seen, wanted.map(|(name, fine)| (json!(name), fine)));
    assert!(run.events().iter().any(|e| e["agent"] == cluster.0.join("resource.d/Rec").to_str().unwrap()));
    assert!(Path::new(&cluster.0.join("shipped/Other")).exists());
}

/// Events come as they happen, not at the end.
#[test]
fn steps_are_told_at_once() {
    let cluster = Cluster::new("at-once");
    let mut child = hanging(&cluster, "start --kill-after 20ms Rec::a Hang::start");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for action in ["status", "start", "status"] {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["action"], action);
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(lines.count(), 2);
    child.wait().unwrap();
}
