use std::fs::{self, Permissions};

use super::*;

/// Folders with agents, gone at the end of the test.
struct Folders(PathBuf);

impl Folders {
    fn new(name: &str, files: &[(&str, u32)]) -> Self {
        let path = std::env::temp_dir().join(format!("takeover-lookup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for (file, mode) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(file, Permissions::from_mode(*mode)).unwrap();
        }
        Self(path)
    }

    fn places(&self) -> Places {
        Places::below(&self.0)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn where_agents_are_found() {
    let folders = Folders::new(
        "places",
        &[
            ("resource.d/IPaddr", 0o755),
            ("init.d/httpd", 0o755),
            ("shipped/Filesystem", 0o755),
            ("shipped/httpd", 0o755),
            ("ocf/heartbeat/Dummy", 0o755),
            ("units/nginx.service", 0o644),
            ("units/getty@.service", 0o644),
            ("units/data.mount", 0o644),
        ],
    );
    for (spec, found) in [
        ("10.0.0.3", Some(("resource.d/IPaddr", Class::Heartbeat, "IPaddr"))),
        ("Filesystem::/dev/sda1::/data", Some(("shipped/Filesystem", Class::Heartbeat, "Filesystem"))),
        ("httpd", Some(("init.d/httpd", Class::Heartbeat, "httpd"))), // before the shipped one
        ("lsb:httpd", Some(("init.d/httpd", Class::Lsb, "httpd"))),
        ("lsb:Filesystem", None),
        ("ocf:heartbeat:Dummy", Some(("ocf/heartbeat/Dummy", Class::Ocf, "Dummy"))),
        ("Dummy", Some(("ocf/heartbeat/Dummy", Class::Ocf, "Dummy"))),
        ("Dummy::x", None), // OCF agents take names with their values
        ("ocf:pacemaker:Dummy", None),
        ("systemd:nginx", Some(("units/nginx.service", Class::Systemd, "nginx.service"))),
        ("nginx", Some(("units/nginx.service", Class::Systemd, "nginx.service"))),
        ("systemd:getty@tty1", Some(("units/getty@.service", Class::Systemd, "getty@tty1.service"))),
        ("systemd:getty@tty1.service", Some(("units/getty@.service", Class::Systemd, "getty@tty1.service"))),
        ("systemd:data.mount", Some(("units/data.mount", Class::Systemd, "data.mount"))),
        ("systemd:httpd", None),
    ] {
        let got = folders.places().find(&spec.parse().unwrap());
        match (&got, found) {
            (Found::Agent(agent), Some((path, class, name))) => {
                assert_eq!((&agent.path, agent.class), (&folders.0.join(path), class), "{spec}");
                assert_eq!(agent.name, name);
                assert_eq!(agent.provider.is_some(), class == Class::Ocf);
            }
            (Found::Nothing(looked), None) => assert!(!looked.is_empty(), "{spec}"),
            _ => panic!("{spec}: {got:?}"),
        }
    }
}

#[test]
fn a_place_that_cannot_be_looked_at_is_not_empty() {
    let folders = Folders::new("unreadable", &[("shipped/x", 0o755)]);
    fs::create_dir(folders.0.join("resource.d")).unwrap();
    let link = folders.0.join("resource.d/x");
    std::os::unix::fs::symlink("x", &link).unwrap();
    let found = folders.places().find(&"x".parse().unwrap());
    assert_eq!(found, Found::Unreadable(link.clone(), Errno::ELOOP));
    assert_eq!(folders.places().resolve(&"x".parse().unwrap()).unwrap_err().failure().code, "unreadable-file");
    fs::remove_file(link).unwrap();
    assert!(matches!(folders.places().find(&"x".parse().unwrap()), Found::Agent(_)));
}

#[test]
fn folders_from_the_environment() {
    let here = std::env::current_dir().unwrap();
    for (variable, folder) in
        [(None, None), (Some(""), None), (Some("/a"), Some("/a".into())), (Some("a"), Some(here.join("a")))]
    {
        assert_eq!(folder_of(variable.map(OsString::from)), folder);
    }
}

#[test]
fn what_may_not_be_run() {
    let folders =
        Folders::new("faults", &[("resource.d/plain", 0o644), ("resource.d/open", 0o777), ("init.d/plain", 0o644)]);
    for (spec, fault, code) in [
        ("plain", Fault::Permission, "not-executable"),
        ("open", Fault::Configuration, "untrusted-file"),
        ("nosuch", Fault::Unavailable, "no-agent"),
    ] {
        let failure = folders.places().resolve(&spec.parse().unwrap()).unwrap_err().failure();
        assert_eq!((failure.fault, failure.code), (fault, code), "{spec}: {failure:?}");
        assert!(failure.hint.is_some(), "{failure:?}");
    }
}

#[test]
fn the_list() {
    let folders = Folders::new(
        "list",
        &[
            ("resource.d/b", 0o755),
            ("resource.d/a", 0o755),
            ("resource.d/no", 0o644),
            ("resource.d/.lib", 0o755),
            ("init.d/a", 0o755),
            ("init.d/c", 0o755),
            ("ocf/p/D", 0o755),
            ("units/u.service", 0o644),
            ("units/u.timer", 0o644),
        ],
    );
    let got: Vec<String> = folders.places().list().iter().map(|a| format!("{} {}", a.class.word(), a.name)).collect();
    assert_eq!(got, ["heartbeat a", "heartbeat b", "lsb c", "ocf D", "systemd u.service"]);
}
