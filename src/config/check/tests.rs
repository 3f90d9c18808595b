use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// A cluster's folder, gone at the end of its test.
struct Cluster(PathBuf);

impl Cluster {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("takeover-check-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        let cluster = Self(path);
        cluster.chmod("", 0o755);
        for folder in ["resource.d", "init.d", "shipped", "ocf", "ocf/heartbeat", "units"] {
            fs::create_dir(cluster.0.join(folder)).unwrap();
            cluster.chmod(folder, 0o755);
        }
        cluster.write("ha.cf", 0o644, "node ha1 ha2\nbcast eth0\nping 10.0.0.254\nauto_failback off\n");
        cluster.write("authkeys", 0o600, "auth 1\n1 sha1 secret\n");
        cluster.write("haresources", 0o644, "ha1 10.0.0.3 httpd\n");
        cluster.write("resource.d/IPaddr", 0o755, "");
        cluster.write("init.d/httpd", 0o755, "");
        cluster
    }

    fn chmod(&self, name: &str, mode: u32) {
        let path = if name.is_empty() { self.0.clone() } else { self.0.join(name) };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, name: &str, mode: u32, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
        self.chmod(name, mode);
    }

    fn places(&self) -> Places {
        Places::below(&self.0)
    }

    /// File, line and the first words of each problem; nothing may be unreadable.
    fn problems(&self) -> Vec<(String, Option<u32>, String)> {
        let checked = check(&self.0, &self.places());
        assert!(checked.unreadable.is_empty(), "{checked:?}");
        let name = |p: &Path| p.file_name().unwrap().to_string_lossy().into_owned();
        checked.problems.into_iter().map(|p| (name(&p.file), p.line, p.what)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_clean_cluster() {
    assert_eq!(Cluster::new("clean").problems(), []);
}

/// A name, what spoils the cluster, and the file, line and words of the one problem that comes of it.
type Fault<'a> = (&'a str, &'a dyn Fn(&Cluster), &'a str, Option<u32>, &'a str);

#[test]
fn each_fault_alone() {
    let table: &[Fault] = &[
        (
            "stranger",
            &|c| c.write("haresources", 0o644, "HA1,ha3 10.0.0.3\n"),
            "haresources",
            Some(1),
            "'ha3' is not in",
        ),
        (
            "agent",
            &|c| c.write("haresources", 0o644, "\nha1 10.0.0.3 nosuch\n"),
            "haresources",
            Some(2),
            "no agent 'nosuch'",
        ),
        ("mode", &|c| c.chmod("init.d/httpd", 0o644), "haresources", Some(1), "may not be executed"),
        ("writable", &|c| c.chmod("init.d/httpd", 0o775), "haresources", Some(1), "can be written by others"),
        ("folder", &|c| c.chmod("resource.d", 0o777), "haresources", Some(1), "can be written by others"),
        ("keys", &|c| c.chmod("authkeys", 0o644), "authkeys", None, "can be read by others"),
        ("cf", &|c| c.chmod("ha.cf", 0o664), "ha.cf", None, "can be written by others"),
        ("crc", &|c| c.write("authkeys", 0o600, "auth 1\n1 crc\n"), "authkeys", Some(2), "anybody on the network"),
        ("none", &|c| fs::remove_file(c.0.join("haresources")).unwrap(), "haresources", None, "moves nothing"),
        (
            "key",
            &|c| c.write("haresources", 0o644, "ha1 10.0.0.3\nha2 10.0.0.3\n"),
            "haresources",
            Some(2),
            "begins with",
        ),
        ("split", &|c| c.write("ha.cf", 0o644, "bcast eth0\nnode ha1 ha2\n"), "ha.cf", Some(2), "split brain"),
        (
            "ipfail",
            &|c| {
                let respawn = "respawn hacluster /usr/lib/heartbeat/ipfail";
                c.write("ha.cf", 0o644, &format!("bcast eth0\nnode ha1 ha2\nping 10.0.0.254\n{respawn}\n"));
            },
            "ha.cf",
            Some(4),
            "ipfail is not started",
        ),
        (
            "serial",
            &|c| c.write("ha.cf", 0o644, "node ha1 ha2\nping 10.0.0.254\nserial /dev/ttyS0\nkeepalive 200ms\n"),
            "ha.cf",
            Some(3),
            "of the serial line /dev/ttyS0",
        ),
        (
            "alone",
            &|c| c.write("ha.cf", 0o644, "node ha1 ha2 ha3\nbcast eth0\n"),
            "haresources",
            Some(1),
            "only ha1 may have '10.0.0.3'",
        ),
        ("word", &|c| c.write("ha.cf", 0o644, "foo\nnode ha1\nbcast eth0\n"), "ha.cf", Some(1), "no directive 'foo'"),
    ];
    for (name, spoil, file, line, what) in table {
        let cluster = Cluster::new(name);
        spoil(&cluster);
        let problems = cluster.problems();
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        assert_eq!((problems[0].0.as_str(), problems[0].1), (*file, *line), "{name}: {problems:?}");
        assert!(problems[0].2.contains(what), "{name}: {problems:?}");
    }
}

/// A plain name may be a unit, one with arguments may not.
#[test]
fn a_name_with_arguments_is_looked_for_anew() {
    let cluster = Cluster::new("arguments");
    cluster.write("units/web.service", 0o644, "");
    cluster.write("haresources", 0o644, "ha1 10.0.0.3 web\nha2 web::1\n");
    let problems = cluster.problems();
    assert_eq!((problems.len(), problems[0].1), (1, Some(2)), "{problems:?}");
}

/// What can be read is checked, though a file is missing.
#[test]
fn unreadable_files_hide_nothing() {
    let cluster = Cluster::new("unreadable");
    fs::remove_file(cluster.0.join("ha.cf")).unwrap();
    cluster.write("authkeys", 0o600, "auth 1\n1 crc\n");
    let checked = check(&cluster.0, &cluster.places());
    assert_eq!((checked.unreadable.len(), checked.problems.len()), (1, 1));
    assert_eq!(checked.unreadable[0].1.code(), "no-such-file");
}
