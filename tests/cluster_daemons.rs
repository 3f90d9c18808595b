//! Two whole nodes with what people run on them: an address, a file system on a disk that both reach, guarded by a lease,
//! and an Apache that serves from it. A client asks all the time; both nodes' mount tables are looked at all the time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/storage.rs"]
mod storage;

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use cluster::hosts::eventually;
use cluster::{Node, VIP, holders};
use storage::{Disk, Folder};
use takeover_lab::{Host, Lab};

/// What both nodes have in common: the disk, the record of its lease, the place where it is mounted, Apache's configuration.
struct Site {
    disk: Disk,
    folder: Folder,
}

impl Site {
    fn new() -> Self {
        let (disk, folder) = (Disk::new("daemons"), Folder::new("daemons"));
        for dir in ["srv", "fill"] {
            fs::create_dir(folder.0.join(dir)).unwrap();
        }
        fs::write(folder.path("lease"), vec![0; 65536]).unwrap();
        fs::write(folder.path("srv/index.html"), "not from the disk").unwrap();
        let fill = format!(
            "mount -t ext4 {0} {1} && echo from the disk, and nowhere else >{1}/index.html",
            disk.dev(),
            folder.path("fill")
        );
        let status = std::process::Command::new("unshare").args(["-m", "sh", "-c", &fill]).status().unwrap();
        assert!(status.success());
        let module = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let modules: String = ["mpm_event", "authz_core", "dir"].map(module).concat();
        // What is below /run is each node's own.
        let conf = format!(
            "ServerName web\nServerRoot /run\nDefaultRuntimeDir /run\nPidFile /run/apache.pid\nListen {VIP}:80\n{modules}\
             DocumentRoot {}\nDirectoryIndex index.html\nErrorLog /run/apache.error\nKeepAlive off\nThreadsPerChild 4\n\
             ServerLimit 1\nMaxRequestWorkers 4\nStartServers 1\nMinSpareThreads 1\nMaxSpareThreads 4\n",
            folder.path("srv")
        );
        fs::write(folder.path("apache.conf"), conf).unwrap();
        Self { disk, folder }
    }

    fn node<'a>(&self, lab: &'a Lab, name: &str) -> Node<'a> {
        let ha_cf = format!(
            "bcast eth0\nnode ha1 ha2\nauto_failback on\nenv TAKEOVER_FS_CLAIM=--guard lease --lease-dev {} --lease 4s\n",
            self.folder.path("lease")
        );
        let srv = self.folder.path("srv");
        let conf = self.folder.path("apache.conf");
        let group = format!("ha1 {VIP}/24/eth0 Filesystem::{}::{srv}::ext4 apache::{conf}\n", self.disk.dev());
        let mut node = Node::new(lab, name, &ha_cf, &group);
        node.before = "mount -t tmpfs -o mode=755 run /run".to_owned();
        node
    }

    /// Whether the disk is mounted there, in the table of a process of the node.
    fn mounted(&self, pid: u32) -> bool {
        let table = fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap_or_default();
        table.lines().any(|line| line.starts_with(&format!("{} ", self.disk.dev())))
    }
}

/// What the client gets: the page from the disk.
fn served(client: Host) -> bool {
    let mut probe = client.tool("probe-http");
    probe.args(["--timeout", "1s", "--body", "from the disk, and nowhere else", &format!("http://{VIP}/")]);
    probe.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn an_apache_on_a_guarded_disk_goes_where_its_group_goes() {
    let site = Site::new();
    let lab = Lab::up_as_root(&[("ha1", "10.9.0.1/24"), ("ha2", "10.9.0.2/24"), ("client", "10.9.0.3/24")]);
    let (mut a, mut b) = (site.node(&lab, "ha1"), site.node(&lab, "ha2"));
    let client = lab.host("client");
    let (pids, done) = ([AtomicU32::new(0), AtomicU32::new(0)], AtomicBool::new(false));
    let (looks, doubles) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let known = |n: usize, node: &Node| pids[n].store(node.child.as_ref().map_or(0, |c| c.pid()), Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let both = pids.iter().all(|pid| site.mounted(pid.load(Ordering::Relaxed)));
                looks.fetch_add(1, Ordering::Relaxed);
                doubles.fetch_add(usize::from(both), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        // Whatever fails in here must not leave the other thread running.
        let story = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let is_on = |a: &Node, b: &Node, name: &str, when: &str| {
                eventually(&format!("{when}: the page comes from {name}"), || {
                    let there = [a, b].map(|n| n.child.as_ref().is_some_and(|c| site.mounted(c.pid())));
                    holders(&[a, b], VIP) == [name] && there == [name == "ha1", name == "ha2"] && served(client)
                });
            };
            a.start();
            b.start();
            known(0, &a);
            known(1, &b);
            is_on(&a, &b, "ha1", "at the start");
            a.ask(&["what=standby", "which=all"]);
            is_on(&a, &b, "ha2", "standby by order");
            b.ask(&["what=failback"]);
            is_on(&a, &b, "ha1", "failback by order");
            // All of it at once, Apache too; its mounts go with it, its kernel and the address do not.
            a.kill();
            known(0, &a);
            is_on(&a, &b, "ha2", "after a death");
            a.start();
            known(0, &a);
            is_on(&a, &b, "ha1", "after its return");
            a.leave();
            known(0, &a);
            is_on(&a, &b, "ha2", "after a polite leave");
            b.leave();
            known(1, &b);
            assert!(holders(&[&a, &b], VIP).is_empty() && !served(client), "nothing is left");
        }));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = story {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(doubles.into_inner(), 0, "never on both");
    assert!(looks.into_inner() > 100, "it was looked at");
}
