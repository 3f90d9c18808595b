//! run-resource with real agents: ours of `scripts/resource.d` and Debian's resource-agents, unmodified, in hosts that have
//! addresses, a loop device and a web server of their own; and ours under a real heartbeat.
#![allow(clippy::unwrap_used)]

#[path = "support/hosts.rs"]
mod hosts;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hosts::{Ran, eventually, has};
use serde_json::{Value, json};
use takeover_lab::heartbeat::{Node, Setup};
use takeover_lab::{Host, Lab};

/// Our scripts as an installation has them, with a cluster's folder beside: gone at the end of the test.
struct Site {
    dir: PathBuf,
}

impl Site {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("takeover-agents-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("ha.d/resource.d")).unwrap();
        fs::create_dir_all(dir.join("shipped")).unwrap();
        for folder in ["", "ha.d", "ha.d/resource.d", "shipped"] {
            fs::set_permissions(dir.join(folder), Permissions::from_mode(0o755)).unwrap();
        }
        for (name, text) in ours() {
            let path = dir.join("shipped").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, host: Host, line: &str) -> Command {
        let mut command = host.tool("run-resource");
        command.arg("--ha-d").arg(self.dir.join("ha.d")).args(line.split_whitespace()).stdin(Stdio::null());
        command.env("TAKEOVER_RESOURCE_D", self.dir.join("shipped"));
        command
    }

    #[track_caller]
    fn run(&self, host: Host, line: &str) -> Ran {
        Ran::read(&self.command(host, line).output().unwrap())
    }

    /// As `run`, and it has to end with that.
    #[track_caller]
    fn ends(&self, host: Host, line: &str, status: i32) -> Ran {
        let ran = self.run(host, line);
        assert_eq!(ran.status, status, "{line}: {ran:#?}");
        ran
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Every file of `scripts/resource.d`, links followed.
fn ours() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/resource.d");
    let read = |e: fs::DirEntry| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap());
    fs::read_dir(folder).unwrap().map(|e| read(e.unwrap())).collect()
}

/// Gives a host a /run of its own, as it is after a boot.
fn own_run(host: Host) {
    host.sh("mount -t tmpfs -o mode=755 run /run && mkdir -m 1777 /run/lock");
}

fn two() -> Lab {
    Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")])
}

/// What each step was about and what came of it: `start running`.
fn steps(ran: &Ran) -> Vec<String> {
    let all = ran.events.iter().filter(|e| e["event"] == "step");
    all.map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["is"].as_str().unwrap())).collect()
}

#[test]
fn our_addresses() {
    let (lab, site) = (two(), Site::new("addresses"));
    let a = lab.host("a");
    for (spec, ip) in [
        ("10.9.0.50", "10.9.0.50"),
        ("10.9.0.50/24", "10.9.0.50"),
        ("10.9.0.50/24/eth0", "10.9.0.50"),
        ("10.9.0.50/255.255.255.0/eth0/10.9.0.255", "10.9.0.50"),
        ("10.9.0.50/24/10.9.0.255", "10.9.0.50"),
        ("IPaddr::10.9.0.50/24/eth0:7", "10.9.0.50"),
        ("IPaddr2::10.9.0.50/25/eth0", "10.9.0.50"),
        ("fd00::50/64/eth0", "fd00::50"),
        ("fd00::50", "fd00::50"),
        ("IPv6addr::fd00::50/64", "fd00::50"),
    ] {
        assert_eq!(steps(&site.ends(a, &format!("status {spec}"), 1)), ["status stopped"], "{spec}");
        assert_eq!(steps(&site.ends(a, &format!("start {spec}"), 0)), ["status stopped", "start running"], "{spec}");
        assert!(has(a, ip), "{spec}");
        assert_eq!(steps(&site.ends(a, &format!("start {spec}"), 0)), ["status running"], "{spec}");
        site.ends(a, &format!("monitor {spec}"), 0);
        let ran = site.ends(a, &format!("stop {spec}"), 0);
        assert_eq!(steps(&ran), ["status running", "stop stopped"], "{spec}");
        assert!(!has(a, ip), "{spec}");
        let ran = site.ends(a, &format!("stop {spec}"), 0);
        assert_eq!(
            (steps(&ran), &ran.last()["changed"]),
            (vec!["status stopped".into(), "stop stopped".into()], &json!(false))
        );
    }
}

/// The other host's address is not taken, however it is written, and the events name who has it.
#[test]
fn an_address_that_another_machine_has_is_not_taken() {
    let (lab, site) = (two(), Site::new("held"));
    let (a, b) = (lab.host("a"), lab.host("b"));
    for _ in 0..10 {
        let ran = site.ends(a, "start 10.9.0.2", 1);
        let start = ran.events.iter().find(|e| e["action"] == "start" && e["event"] == "step").unwrap();
        assert_eq!(start["is"], "failed");
        assert!(start["output"].as_str().unwrap().contains(b.mac()), "{start}");
        assert!(!has(a, "10.9.0.2"));
    }
    let ran = site.ends(a, "start 10.77.0.5", 1);
    assert!(
        ran.events.iter().any(|e| e["output"].as_str().is_some_and(|o| o.contains("no route to 10.77.0.5"))),
        "{ran:#?}"
    );
    site.ends(a, "start IPaddr::10.9.0.50/24/eth9", 1);
    site.ends(a, "stop IPaddr::10.9.0.50/24/eth9", 0);
}

#[test]
fn our_other_scripts() {
    let (lab, site) = (two(), Site::new("others"));
    let a = lab.host("a");
    own_run(a);
    // Its mail goes into a file.
    a.sh("mount -t tmpfs t /usr/local/sbin && printf '#!/bin/sh\\n{ echo \"$@\"; cat; } >>/run/mails\\n' >/usr/local/sbin/mail && chmod 755 /usr/local/sbin/mail");
    let line = "SendArp::10.9.0.1/eth0 MailTo::root@example.com,ops::web Delay::0";
    site.ends(a, &format!("start {line}"), 0);
    site.ends(a, &format!("status {line}"), 0);
    eventually("a mail", || a.sh("cat /run/mails 2>/dev/null || :").contains("web: started"));
    let ran = site.ends(a, &format!("start {line}"), 0);
    assert_eq!(ran.last()["changed"], false);
    site.ends(a, &format!("stop {line}"), 0);
    site.ends(a, &format!("status {line}"), 1);
    eventually("a second mail", || a.sh("cat /run/mails").contains("web: stopped"));
    assert!(a.sh("cat /run/mails").contains("root@example.com,ops"));
    // Without their programs nothing is known.
    for spec in ["drbddisk::r0", "LVM::vg0"] {
        let installed = a.sh("command -v drbdadm vgchange || :");
        if installed.is_empty() {
            site.ends(a, &format!("status {spec}"), 75);
            site.ends(a, &format!("start {spec}"), 75);
        }
    }
}

/// drbdadm that keeps its role in a file; what it is told stands in another.
const DRBDADM: &str = r#"#!/bin/sh
echo "$*" >>/run/drbd.log
case $1 in
role) cat /run/drbd.role ;;
primary) [ ! -e /run/drbd.busy ] || { rm /run/drbd.busy; exit 11; }; echo Primary >/run/drbd.role ;;
secondary) echo Secondary >/run/drbd.role ;;
esac
"#;

#[test]
fn our_drbddisk() {
    let (lab, site) = (two(), Site::new("drbd"));
    let a = lab.host("a");
    own_run(a);
    fs::write(site.dir.join("drbdadm"), DRBDADM).unwrap();
    a.sh(&format!(
        "mount -t tmpfs t /usr/local/sbin && install -m 755 {} /usr/local/sbin/drbdadm",
        site.path("drbdadm")
    ));
    a.sh("echo Secondary >/run/drbd.role; : >/run/drbd.busy");
    assert_eq!(steps(&site.ends(a, "start drbddisk::r0", 0)), ["status stopped", "start running"]);
    assert_eq!(a.sh("cat /run/drbd.log"), "role r0\nprimary r0\nprimary r0");
    site.ends(a, "status drbddisk::r0", 0);
    site.ends(a, "stop drbddisk::r0", 0);
    assert_eq!(a.sh("cat /run/drbd.role"), "Secondary");
    a.sh("echo Primary/Secondary >/run/drbd.role"); // as DRBD 8 says it
    site.ends(a, "status drbddisk::r0", 0);
    // One that is still primary is not one that is stopped.
    for roles in ["Unknown", "Primary\\nSecondary", ""] {
        a.sh(&format!("printf '{roles}\\n' >/run/drbd.role"));
        site.ends(a, "status drbddisk::r0", 75);
    }
}

/// LVM's tools with one volume group, whose state is a file, and another one that is always active.
const LVM: &str = r#"#!/bin/sh
[ ! -e /run/lvm.gone ] || exit 5
case ${0##*/} in
vgchange) [ ! -e /run/disks.gone ] || exit 5; echo "$2" >/run/lvm ;;
dmsetup) echo "vg0--2-lv (253:0)"; case $(cat /run/lvm) in y) echo "vg0-lv (253:1)" ;; esac ;;
esac
"#;

#[test]
fn our_lvm() {
    let (lab, site) = (two(), Site::new("lvm"));
    let a = lab.host("a");
    own_run(a);
    fs::write(site.dir.join("lvm"), LVM).unwrap();
    let tool = |name: &str| format!("install -m 755 {} /usr/local/sbin/{name}", site.path("lvm"));
    let tools = ["vgchange", "dmsetup", "vgscan"].map(tool).join(" && ");
    a.sh(&format!("mount -t tmpfs t /usr/local/sbin && {tools} && echo n >/run/lvm"));
    assert_eq!(steps(&site.ends(a, "start LVM::vg0", 0)), ["status stopped", "start running"]);
    assert_eq!(steps(&site.ends(a, "start LVM::/dev/vg0", 0)), ["status running"]);
    // Without its disks LVM knows no group, and the volumes stay active all the same.
    a.sh(": >/run/disks.gone");
    site.ends(a, "status LVM::vg0", 0);
    site.ends(a, "stop --stop-retries 0 LVM::vg0", 1);
    a.sh("rm /run/disks.gone");
    assert_eq!(steps(&site.ends(a, "stop LVM::vg0", 0)), ["status running", "stop stopped"]);
    site.ends(a, "status LVM::vg0", 1);
    a.sh(": >/run/disks.gone");
    site.ends(a, "stop LVM::vg0", 0);
    site.ends(a, "status LVM::vg0-2", 0);
    // Tools that fail say nothing of the group.
    a.sh(": >/run/lvm.gone");
    site.ends(a, "status LVM::vg0", 75);
}

/// Help, wrong words, and the same by a link from another folder, as /etc/ha.d/resource.d may have them.
#[test]
fn our_scripts_as_they_are() {
    let site = Site::new("scripts");
    for (name, _) in ours().iter().filter(|(n, _)| !n.starts_with('.')) {
        let link = site.dir.join("ha.d/resource.d").join(name);
        std::os::unix::fs::symlink(site.dir.join("shipped").join(name), &link).unwrap();
        let run = |words: &[&str]| Command::new(&link).args(words).stdin(Stdio::null()).output().unwrap();
        let help = run(&["--help"]);
        assert!(help.status.success() && help.stdout.starts_with(b"usage: "), "{name}: {help:?}");
        for words in [&[][..], &["nonsense"], &["a", "b", "c", "d", "e", "f", "start"]] {
            let wrong = run(words);
            assert!(!wrong.status.success() && wrong.stdout.is_empty() && !wrong.stderr.is_empty(), "{name} {words:?}");
        }
    }
}

const INIT: &str = "#!/bin/sh\n[ -e /run/code ] && exit \"$(cat /run/code)\"\ncase $1 in start) : >/run/on ;; stop) rm -f /run/on ;;\n\
                    status) [ -e /run/on ] || { echo not here; exit 3; }; echo here ;; esac\n";

#[test]
fn init_scripts_by_their_codes_and_by_their_words() {
    let (lab, site) = (two(), Site::new("lsb"));
    let a = lab.host("a");
    own_run(a);
    fs::write(site.dir.join("web"), INIT).unwrap();
    a.sh(&format!("mount -t tmpfs -o mode=755 t /etc/init.d && install -m 755 {} /etc/init.d/web", site.path("web")));
    site.ends(a, "status lsb:web", 1);
    assert_eq!(steps(&site.ends(a, "start lsb:web", 0)), ["status stopped", "start running"]);
    site.ends(a, "status lsb:web", 0);
    // heartbeat goes by the words, and these have no "running".
    site.ends(a, "status web", 1);
    site.ends(a, "stop lsb:web", 0);
    for (code, is, status) in [
        (0, "running", 0),
        (1, "failed", 1),
        (2, "failed", 1),
        (3, "stopped", 1),
        (4, "unknown", 75),
        (5, "unknown", 75),
    ] {
        a.sh(&format!("echo {code} >/run/code"));
        assert_eq!(steps(&site.ends(a, "status lsb:web", status)), [format!("status {is}")], "{code}");
    }
    a.sh("echo 7 >/run/code");
    let ran = site.ends(a, "stop lsb:web", 0);
    assert_eq!(steps(&ran)[1], "stop stopped", "not running is what was wanted");
}

/// systemctl that keeps the state of its unit in a file.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ ! -e /run/offline ] || [ "$1" = show ] || exit 0
case $1 in
show) cat /run/unit ;;
start) printf 'LoadState=loaded\nActiveState=active\nSubState=running\n' >/run/unit ;;
stop) printf 'LoadState=loaded\nActiveState=inactive\nSubState=dead\n' >/run/unit ;;
esac
"#;

#[test]
fn units_by_their_active_state() {
    let (lab, site) = (two(), Site::new("units"));
    let a = lab.host("a");
    own_run(a);
    fs::write(site.dir.join("systemctl"), SYSTEMCTL).unwrap();
    a.sh(&format!(
        "mount -t tmpfs t /usr/local/sbin && install -m 755 {} /usr/local/sbin/systemctl",
        site.path("systemctl")
    ));
    a.sh("mkdir -p /run/systemd/system && : >/run/systemd/system/takeover-web.service");
    let run = |line: &str, status| {
        let mut command = site.command(a, line);
        command.env("PATH", format!("/usr/local/sbin:{}", std::env::var("PATH").unwrap()));
        let ran = Ran::read(&command.output().unwrap());
        assert_eq!(ran.status, status, "{line}: {ran:#?}");
        steps(&ran)
    };
    let set =
        |active: &str| a.sh(&format!("printf 'LoadState=loaded\\nActiveState={active}\\nSubState=x\\n' >/run/unit"));
    set("inactive");
    assert_eq!(run("start systemd:takeover-web", 0), ["status stopped", "start running"]);
    assert_eq!(run("start takeover-web", 0), ["status running"]);
    assert_eq!(run("stop systemd:takeover-web.service", 0), ["status running", "stop stopped"]);
    for (active, is, status) in
        [("failed", "failed", 1), ("activating", "unknown", 75), ("deactivating", "unknown", 75)]
    {
        set(active);
        assert_eq!(run("status systemd:takeover-web", status), [format!("status {is}")]);
    }
    // It calls done what it did not do, as in a chroot.
    set("active");
    a.sh(": >/run/offline");
    assert_eq!(run("stop --stop-retries 0 systemd:takeover-web", 1), ["status running", "stop failed"]);
    a.sh("rm /run/offline");
    set("failed");
    assert_eq!(run("start systemd:takeover-web", 0), ["status failed", "stop stopped", "start running"]);
}

/// A file system in a file, on a loop device, and where it is mounted.
struct Disk {
    device: String,
    mount_point: String,
}

impl Disk {
    fn new(site: &Site) -> Self {
        let (image, mount_point) = (site.path("disk.img"), site.path("mnt"));
        fs::create_dir(&mount_point).unwrap();
        let line = format!("truncate -s 32M {image} && mkfs.ext4 -qF {image} && losetup -f --show {image}");
        let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self { device: String::from_utf8(output.stdout).unwrap().trim().to_owned(), mount_point }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever had it mounted has ended with the lab: the namespace is gone.
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

/// Writes the configuration of a web server on this address; returns its path.
fn web(site: &Site, ip: &str, root: &str) -> String {
    let conf = site.path("httpd.conf");
    let dir = site.dir.display();
    let module = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let modules: String = ["mpm_event", "authz_core", "status"].map(module).concat();
    let text = format!(
        "ServerName web\nServerRoot {dir}\nPidFile {dir}/httpd.pid\nListen {ip}:80\n{modules}DocumentRoot {root}\n\
         ErrorLog {dir}/error.log\n<Location /server-status>\nSetHandler server-status\n</Location>\n"
    );
    fs::write(&conf, text).unwrap();
    conf
}

#[test]
fn our_apache() {
    let (lab, site) = (Lab::up_as_root(&[("a", "10.9.0.1/24")]), Site::new("apache"));
    let a = lab.host("a");
    own_run(a);
    let conf = web(&site, "10.9.0.50", &site.path("shipped"));
    let line = format!("10.9.0.50/24/eth0 apache::{conf}");
    let get = || a.sh("curl -s -o /dev/null -w '%{http_code}' http://10.9.0.50/IPaddr");
    assert_eq!(steps(&site.ends(a, &format!("start {line}"), 0))[2..], ["status stopped", "start running"]);
    assert_eq!(get(), "200");
    site.ends(a, &format!("status {line}"), 0);
    assert_eq!(site.ends(a, &format!("start {line}"), 0).last()["changed"], false);
    // A configuration that is broken meanwhile does not keep it from being stopped.
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}Nonsense on\n")).unwrap();
    site.ends(a, &format!("status {line}"), 0);
    site.ends(a, &format!("stop {line}"), 0);
    assert!(!has(a, "10.9.0.50"));
    let ran = site.ends(a, &format!("start {line}"), 1);
    assert!(ran.events.iter().any(|e| e["output"].as_str().is_some_and(|o| o.contains("Nonsense"))), "{ran:#?}");
    assert!(!has(a, "10.9.0.50"), "the address went again");
    assert_eq!(ran.last()["stopped"].as_array().unwrap().len(), 2, "{ran:#?}");
    // A pid file that another process has by now is not the server.
    fs::write(&conf, good).unwrap();
    fs::write(site.dir.join("httpd.pid"), format!("{}\n", std::process::id())).unwrap();
    site.ends(a, &format!("status apache::{conf}"), 1);
}

/// A server that cannot be told for sure is never called stopped.
#[test]
fn our_apache_does_not_guess() {
    let (lab, site) = (Lab::up_as_root(&[("a", "10.9.0.1/24")]), Site::new("unsure"));
    let a = lab.host("a");
    own_run(a);
    let conf = web(&site, "10.9.0.1", &site.path("shipped"));
    let (copy, script) = (site.path("copy"), site.path("script"));
    fs::copy("/usr/sbin/apache2", &copy).unwrap();
    fs::write(&script, format!("#!/bin/sh\nexec {copy} \"$@\"\n")).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let run = |httpd: &str, line: &str, status: i32| {
        let mut command = site.command(a, &format!("{line} apache::{conf}"));
        let ran = Ran::read(&command.env("TAKEOVER_HTTPD", httpd).output().unwrap());
        assert_eq!(ran.status, status, "{httpd} {line}: {ran:#?}");
    };
    let stop = "stop --stop-retries 0";
    run(&copy, "start", 0);
    // Started by what is another program now.
    run(&script, "status", 75);
    run(&script, stop, 1);
    // Replaced while it runs.
    fs::remove_file(&copy).unwrap();
    fs::copy("/usr/sbin/apache2", &copy).unwrap();
    run(&copy, "status", 0);
    // Nothing says where its pid file is.
    let good = fs::read_to_string(&conf).unwrap();
    let elsewhere = good.replace("PidFile ", "PidFile ${NO_SUCH_VARIABLE}") + "Nonsense on\n";
    for text in [Some(elsewhere.as_str()), None] {
        match text {
            Some(text) => fs::write(&conf, text).unwrap(),
            None => fs::remove_file(&conf).unwrap(),
        }
        run(&copy, "status", 75);
        run(&copy, stop, 1);
    }
    fs::write(&conf, &good).unwrap();
    run(&copy, stop, 0);
    // No process runs that program: there is no server, wherever its file may be.
    fs::remove_file(&conf).unwrap();
    run(&copy, "status", 1);
    run(&copy, stop, 0);
}

/// What is mounted there without its claim is not called running, and what something else mounted is not taken for ours.
#[test]
fn our_filesystem_is_what_it_was_told_to_be() {
    let (lab, site) = (Lab::up_as_root(&[("a", "10.9.0.1/24")]), Site::new("filesystem"));
    let disk = Disk::new(&site);
    let a = lab.host("a");
    own_run(a);
    let Disk { device, mount_point } = &disk;
    let spec = format!("Filesystem::{device}::{mount_point}/::ext4");
    let run = |line: &str| {
        let mut command = site.command(a, line);
        Ran::read(&command.env("TAKEOVER_FS_CLAIM", "--guard flock").output().unwrap())
    };
    assert_eq!(run(&format!("start {spec}")).status, 0);
    assert_eq!(run(&format!("status {spec}")).status, 0);
    assert_eq!(run(&format!("stop {spec}")).status, 0);
    // By a symbolic link, and in use.
    let link = site.path("link");
    std::os::unix::fs::symlink("mnt", &link).unwrap();
    let linked = format!("Filesystem::{device}::{link}::ext4");
    assert_eq!(run(&format!("start {linked}")).status, 0);
    assert_eq!(run(&format!("status {linked}")).status, 0);
    a.sh(&format!("cd {mount_point} && (sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/run/busy)"));
    assert_eq!(run(&format!("stop --stop-retries 0 {linked}")).status, 1);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("nowhere/mnt", &link).unwrap();
    assert_eq!(run(&format!("status {linked}")).status, 75, "nobody knows what it meant");
    a.sh("kill $(cat /run/busy)");
    assert_eq!(run(&format!("stop {spec}")).status, 0);
    a.sh(&format!("mount -t tmpfs other {mount_point}"));
    let ran = run(&format!("start --stop-retries 0 {spec}"));
    assert!(ran.status == 1 || ran.status == 75, "{ran:#?}");
    assert!(a.sh("cat /proc/self/mounts").contains(&format!("other {mount_point} tmpfs")));
}

/// The agents of Debian's resource-agents, as they come. This is the table of the manual page.
#[test]
fn debians_agents() {
    let (lab, site) = (Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]), Site::new("debian"));
    let disk = Disk::new(&site);
    let a = lab.host("a");
    own_run(a);
    let conf = web(&site, "10.9.0.1", &site.path("shipped"));
    let Disk { device, mount_point } = &disk;
    let link = site.path("link");
    for spec in [
        "ocf:heartbeat:Dummy".to_owned(),
        "Dummy".to_owned(),
        "ocf:heartbeat:Stateful".to_owned(),
        "ocf:heartbeat:Delay::startdelay=0::stopdelay=0::mondelay=0".to_owned(),
        "ocf:heartbeat:IPaddr2::ip=10.9.0.60::cidr_netmask=24::nic=eth0".to_owned(),
        "ocf:heartbeat:IPaddr2::ip=10.9.0.60".to_owned(),
        "ocf:heartbeat:SendArp::ip=10.9.0.1::nic=eth0".to_owned(),
        "ocf:heartbeat:Route::destination=10.77.0.0/16::device=eth0".to_owned(),
        format!("ocf:heartbeat:symlink::link={link}::target=/tmp"),
        "ocf:heartbeat:anything::binfile=/bin/sleep::cmdline_options=1000".to_owned(),
        format!("ocf:heartbeat:Filesystem::device={device}::directory={mount_point}::fstype=ext4"),
        format!("ocf:heartbeat:apache::configfile={conf}::httpd=/usr/sbin/apache2"),
    ] {
        let expect = |action: &str, status: i32, wanted: &[&str]| {
            let ran = site.ends(a, &format!("{action} {spec}"), status);
            assert_eq!(steps(&ran), wanted, "{action} {spec}: {ran:#?}");
        };
        expect("status", 1, &["status stopped"]);
        expect("start", 0, &["status stopped", "start running"]);
        expect("start", 0, &["status running"]);
        expect("status", 0, &["status running"]);
        expect("monitor", 0, &["monitor running"]);
        expect("stop", 0, &["status running", "stop stopped"]);
        expect("stop", 0, &["status stopped", "stop stopped"]);
        expect("status", 1, &["status stopped"]);
        let ran = site.ends(a, &format!("metadata {spec}"), 0);
        assert!(ran.last()["metadata"].as_str().unwrap().contains("<resource-agent"), "{spec}");
    }
}

/// The scripts that Debian's heartbeat has in resource.d, by heartbeat's own convention.
#[test]
fn debians_scripts_of_heartbeat() {
    let (lab, site) = (Lab::up_as_root(&[("a", "10.9.0.1/24")]), Site::new("wrappers"));
    let disk = Disk::new(&site);
    let a = lab.host("a");
    own_run(a);
    let line = |action: &str, spec: &str| format!("{action} --ha-d /etc/ha.d {spec}");
    for spec in [
        "IPaddr2::10.9.0.60/24/eth0".to_owned(),
        format!("Filesystem::{}::{}::ext4", disk.device, disk.mount_point),
        "SendArp::10.9.0.1/eth0".to_owned(),
    ] {
        let run = |action: &str| {
            let mut command = a.tool("run-resource");
            command.args(line(action, &spec).split_whitespace());
            Ran::read(&command.output().unwrap())
        };
        for (action, status, last) in [
            ("status", 1, "status stopped"),
            ("start", 0, "start running"),
            ("start", 0, "status running"),
            ("stop", 0, "stop stopped"),
            ("stop", 0, "stop stopped"),
        ] {
            let ran = run(action);
            assert_eq!((ran.status, steps(&ran).last().unwrap().as_str()), (status, last), "{spec}: {ran:#?}");
        }
    }
}

/// The classic line of haresources with a loop device for the export, from the file itself; in order and in reverse, each
/// step once, and every fault ends in a state that the events tell.
#[test]
fn the_classic_line_and_its_faults() {
    let (lab, site) = (Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]), Site::new("classic"));
    let disk = Disk::new(&site);
    let a = lab.host("a");
    own_run(a);
    let Disk { device, mount_point } = &disk;
    let conf = web(&site, "10.9.0.70", mount_point);
    let line = format!("10.9.0.70/24/eth0 Filesystem::{device}::{mount_point}::ext4::rw,noatime apache::{conf}");
    fs::write(site.dir.join("ha.d/haresources"), format!("a {line}\n")).unwrap();
    // As a script does it, all from the file.
    let of_file = |action: &str| {
        let mut groups = a.tool("ha-conf");
        groups.arg("--ha-d").arg(site.dir.join("ha.d")).arg("haresources").stdout(Stdio::piped());
        let mut groups = groups.spawn().unwrap();
        let mut command = site.command(a, &format!("{action} -"));
        let ran = Ran::read(&command.stdin(groups.stdout.take().unwrap()).output().unwrap());
        assert!(groups.wait().unwrap().success());
        ran
    };
    let mounted = || a.sh("cat /proc/self/mounts").contains(mount_point.as_str());
    let serves = || a.sh("curl -s -o /dev/null -w '%{http_code}' -m 2 http://10.9.0.70/ || :") != "000";
    let gone = || !mounted() && !has(a, "10.9.0.70") && !serves();
    let specs: Vec<Value> = line.split(' ').map(Value::from).collect();
    let order = |ran: &Ran, action: &str| -> Vec<Value> {
        let of = ran.events.iter().filter(|e| e["event"] == "step" && e["action"] == action);
        of.map(|e| e["resource"].clone()).collect()
    };

    let ran = of_file("start");
    assert_eq!((ran.status, order(&ran, "start")), (0, specs.clone()), "{ran:#?}");
    assert!(mounted() && serves() && has(a, "10.9.0.70"));
    let again = of_file("start");
    assert_eq!((again.status, &again.last()["changed"]), (0, &json!(false)), "{again:#?}");
    assert_eq!(of_file("status").status, 0);
    let ran = of_file("stop");
    assert_eq!((ran.status, order(&ran, "stop")), (0, specs.iter().rev().cloned().collect()), "{ran:#?}");
    assert!(gone());
    let again = of_file("stop");
    assert_eq!((again.status, &again.last()["changed"]), (0, &json!(false)), "{again:#?}");

    // The device or the mount point is missing: the address goes again.
    for bad in [line.replace(device.as_str(), "/dev/nosuch"), line.replace("/mnt::", "/nosuch::")] {
        let ran = site.ends(a, &format!("start {bad}"), 1);
        assert_eq!(ran.last()["stopped"].as_array().unwrap().len(), 2, "{ran:#?}");
        assert_eq!(ran.last()["unknown"].as_array().unwrap().len(), 1, "nobody asked for the server: {ran:#?}");
        assert!(gone());
    }
    // The server's configuration is broken: everything goes again.
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}Nonsense on\n")).unwrap();
    let ran = site.ends(a, &format!("start {line}"), 1);
    assert_eq!((order(&ran, "stop"), &ran.last()["stopped"]), (specs.iter().rev().cloned().collect(), &json!(specs)));
    assert!(gone());
    fs::write(&conf, good).unwrap();
    // Somebody works in the file system: it does not stop, and the address that stands before it stays.
    assert_eq!(of_file("start").status, 0);
    a.sh(&format!("cd {mount_point} && (sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/run/busy)"));
    let ran = site.ends(a, &format!("stop --stop-retries 1 --retry-every 0 {line}"), 1);
    assert_eq!((&ran.last()["stopped"], &ran.last()["running"]), (&json!([specs[2]]), &json!([specs[1]])));
    assert!(mounted() && has(a, "10.9.0.70"));
    let output = |ran: &Ran| ran.events.iter().filter_map(|e| e["output"].as_str()).collect::<String>();
    assert!(output(&ran).contains("sleep"), "its holder is named: {ran:#?}");
    a.sh("kill $(cat /run/busy)");
    assert_eq!(of_file("stop").status, 0);
    assert!(gone());
    // A stop that hangs: what stands before it stays.
    let hangs = site.dir.join("ha.d/resource.d/Hangs");
    fs::write(
        &hangs,
        "#!/bin/sh\ncase $1 in stop) trap '' TERM; while :; do sleep 1; done ;; status) echo running ;; esac\n",
    )
    .unwrap();
    fs::set_permissions(&hangs, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(of_file("start").status, 0);
    let ran = site.ends(a, &format!("stop --timeout 2s --kill-after 10ms --stop-retries 0 {line} Hangs"), 75);
    assert_eq!(steps(&ran), ["status running", "stop unknown"], "{ran:#?}");
    assert!(ran.last()["unknown"].as_array().unwrap().contains(&json!("Hangs")), "{ran:#?}");
    assert!(mounted() && serves() && has(a, "10.9.0.70"));
    assert_eq!(of_file("stop").status, 0);
    // A script is missing: nothing is started.
    let ran = site.ends(a, &format!("start {line} nosuch"), 69);
    assert!(gone() && steps(&ran).is_empty());
}

/// Our scripts under a real heartbeat: it takes an address and a file system with ours, and gives them up when it is told to.
#[test]
fn ours_under_a_real_heartbeat() {
    let site = Site::new("real");
    let disk = Disk::new(&site);
    let lab = Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
    let bin = takeover_lab::tool("vip-take").parent().unwrap().to_str().unwrap().to_owned();
    // The daemon's PATH does not have our commands: an installation's would.
    let mut setup = Setup::new(
        "keepalive 200ms\nwarntime 10\ndeadtime 1\ninitdead 2\nudpport 694\nbcast eth0\nauto_failback off\nnode a b\n",
    )
    .haresources(&format!(
        "a 10.9.0.50/24/eth0 Filesystem::{}::{}::ext4 SendArp::10.9.0.50/eth0 MailTo::root\n",
        disk.device, disk.mount_point
    ));
    for (name, text) in ours() {
        setup = setup.script(&name, &text.replacen("PATH=$PATH:", &format!("PATH=$PATH:{bin}:"), 1));
    }
    let (mut a, mut b) = (Node::launch(lab.host("a"), &setup), Node::launch(lab.host("b"), &setup));
    a.await_up();
    b.await_up();
    let (host_a, host_b) = (lab.host("a"), lab.host("b"));
    eventually("a takes the address", || has(host_a, "10.9.0.50"));
    assert!(!has(host_b, "10.9.0.50"));
    b.await_log("remote resource transition completed");
    // It asks: the answer is in words on stdout.
    let status = |node: &Node| {
        let asked = node.command("/usr/share/heartbeat/ResourceManager").args(["status", "10.9.0.50/24/eth0"]).status();
        asked.unwrap().code()
    };
    assert_eq!((status(&a), status(&b)), (Some(0), Some(3)));
    let mounted = |node: &Node| node.command("mountpoint").args(["-q", &disk.mount_point]).status().unwrap().success();
    eventually("a mounts the file system", || mounted(&a));
    assert!(!mounted(&b));
    a.command("/usr/share/heartbeat/hb_standby").arg("all").output().unwrap();
    eventually("b has it after a standby", || has(host_b, "10.9.0.50") && !has(host_a, "10.9.0.50"));
    eventually("b says so", || status(&b) == Some(0));
    eventually("b has the file system too", || mounted(&b) && !mounted(&a));
    assert!(b.stop());
    eventually("a has it after b's end", || has(host_a, "10.9.0.50") && !has(host_b, "10.9.0.50"));
    eventually("a has the file system again", || mounted(&a));
    for node in [&a, &b] {
        assert_eq!(node.reboots(), "");
        assert!(!node.log().contains("ERROR: Return code"), "{}", node.log());
    }
}
