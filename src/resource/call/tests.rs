use std::collections::BTreeSet;

use super::*;

fn around() -> Around {
    let inherited = [
        ("PATH", "/usr/bin:/bin"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANG", "de_DE.UTF-8"),
        ("OCF_RESKEY_ip", "10.0.0.99"),
        ("OCF_CHECK_LEVEL", "10"),
        ("HA_DEBUGLOG", "/var/log/ha-debug"),
        ("HA_DIR", "/elsewhere"),
        ("HA_BIN", "/elsewhere"),
        ("HA_RSCTMP", "/elsewhere"),
        ("OCF_ROOT", "/elsewhere"),
        ("OCF_TRACE_RA", "1"),
        ("BASH_ENV", "/elsewhere"),
        ("ENV", "/elsewhere"),
        ("BASH_FUNC_ip%%", "() { :; }"),
        ("LD_PRELOAD", "/elsewhere"),
        ("SYSTEMD_OFFLINE", "1"),
        ("SYSTEMD_IGNORE_CHROOT", "1"),
        ("TAKEOVER_PROBE", "9ms"),
    ];
    Around {
        ha_d: "/etc/ha.d".into(),
        node: "ha1".into(),
        inherited: inherited.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        bin: Some("/opt/takeover/bin".into()),
        locks: None,
    }
}

fn called(class: Class, spec: &str, action: Action) -> Call {
    let resource: Resource = spec.parse().unwrap();
    let provider = (class == Class::Ocf).then(|| "heartbeat".to_owned());
    let path = match class {
        Class::Ocf => format!("/usr/lib/ocf/resource.d/heartbeat/{}", resource.agent),
        _ => format!("/etc/ha.d/resource.d/{}", resource.agent),
    };
    let name = if class == Class::Systemd { "nginx.service".to_owned() } else { resource.agent.clone() };
    let agent = Agent { class, provider, path: path.into(), name };
    call(&agent, &resource, action, Duration::from_secs(60), &around())
}

fn words(call: &Call) -> Vec<&str> {
    call.args.iter().map(|a| a.to_str().unwrap()).collect()
}

fn var<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let found: Vec<&str> = call.env.iter().filter(|(n, _)| n == name).map(|(_, v)| v.to_str().unwrap()).collect();
    assert!(found.len() < 2, "{name} stands twice");
    found.first().copied()
}

#[test]
fn words_of_each_class() {
    use Action::{Metadata, Monitor, Start, Status, Stop};
    let spec = "Filesystem::/dev/sda1::/data::ext4";
    assert_eq!(words(&called(Class::Heartbeat, spec, Start)), ["/dev/sda1", "/data", "ext4", "start"]);
    assert_eq!(words(&called(Class::Heartbeat, "10.0.0.3/24/eth0", Stop)), ["10.0.0.3/24/eth0", "stop"]);
    assert_eq!(words(&called(Class::Heartbeat, "httpd", Monitor)), ["status"]);
    assert_eq!(words(&called(Class::Lsb, "lsb:httpd", Monitor)), ["status"]);
    for (action, word) in
        [(Start, "start"), (Stop, "stop"), (Status, "monitor"), (Monitor, "monitor"), (Metadata, "meta-data")]
    {
        assert_eq!(words(&called(Class::Ocf, "ocf:heartbeat:Dummy", action)), [word]);
    }
    let call = called(Class::Systemd, "systemd:nginx", Stop);
    assert_eq!((call.program.to_str(), words(&call)[0]), (Some("systemctl"), "stop"));
    assert_eq!(words(&call)[words(&call).len() - 2..], ["--", "nginx.service"]);
}

#[test]
fn the_environment_of_heartbeat_scripts() {
    let call = called(Class::Heartbeat, "httpd", Action::Start);
    for (name, value) in [
        ("HA_DIR", Some("/etc/ha.d")),
        ("HA_FUNCS", Some("/etc/ha.d/shellfuncs")),
        ("HA_RESOURCEDIR", Some("/etc/ha.d/resource.d")),
        ("HA_DEBUGLOG", Some("/var/log/ha-debug")),
        ("HA_CURHOST", Some("ha1")),
        ("LANG", Some("de_DE.UTF-8")),
        ("LC_ALL", None),
        ("OCF_RESKEY_ip", None),
    ] {
        assert_eq!(var(&call, name), value, "{name}");
    }
    let path = var(&call, "PATH").unwrap();
    assert!(path.starts_with("/usr/bin:/bin:") && path.ends_with(":/opt/takeover/bin"), "{path}");
    assert!(path.split(':').any(|p| p == "/usr/sbin"));
    let parts: Vec<&str> = path.split(':').collect();
    assert_eq!(parts.len(), parts.iter().collect::<BTreeSet<_>>().len(), "{path}");
    assert_eq!(var(&called(Class::Heartbeat, "httpd", Action::Status), "LC_ALL"), Some("C"));
}

#[test]
fn the_environment_of_ocf_agents() {
    let call = called(Class::Ocf, "ocf:heartbeat:IPaddr2::ip=10.0.0.3::cidr_netmask=24", Action::Start);
    for (name, value) in [
        ("OCF_ROOT", "/usr/lib/ocf"),
        ("OCF_RESOURCE_TYPE", "IPaddr2"),
        ("OCF_RESOURCE_PROVIDER", "heartbeat"),
        ("OCF_RESKEY_ip", "10.0.0.3"),
        ("OCF_RESKEY_cidr_netmask", "24"),
        ("OCF_RESKEY_CRM_meta_interval", "0"),
        ("OCF_RESKEY_CRM_meta_timeout", "60000"),
        ("OCF_CHECK_LEVEL", "10"),
        ("HA_RSCTMP", RSCTMP),
    ] {
        assert_eq!(var(&call, name), Some(value), "{name}");
    }
    let call = called(Class::Ocf, "ocf:heartbeat:Dummy", Action::Monitor);
    assert_eq!(var(&call, "OCF_RESKEY_CRM_meta_interval"), Some("10000"));
}

#[test]
fn what_is_not_handed_on() {
    for (class, spec) in [
        (Class::Heartbeat, "httpd"),
        (Class::Lsb, "lsb:httpd"),
        (Class::Ocf, "ocf:heartbeat:Dummy"),
        (Class::Systemd, "systemd:nginx"),
    ] {
        let call = called(class, spec, Action::Start);
        for name in [
            "OCF_TRACE_RA",
            "BASH_ENV",
            "ENV",
            "BASH_FUNC_ip%%",
            "LD_PRELOAD",
            "SYSTEMD_OFFLINE",
            "SYSTEMD_IGNORE_CHROOT",
        ] {
            assert_eq!(var(&call, name), None, "{spec} {name}");
        }
        assert_ne!(var(&call, "OCF_ROOT"), Some("/elsewhere"), "{spec}");
        assert_eq!((var(&call, "TAKEOVER_PROBE"), var(&call, "OCF_CHECK_LEVEL")), (Some("9ms"), Some("10")), "{spec}");
    }
    assert_eq!(var(&called(Class::Heartbeat, "httpd", Action::Start), "HA_BIN"), Some("/usr/libexec/heartbeat"));
    assert_eq!(var(&called(Class::Heartbeat, "httpd", Action::Start), "HA_RSCTMP"), Some(RSCTMP));
}

#[test]
fn instances_differ_and_are_names_of_files() {
    let specs = [
        "ocf:heartbeat:Dummy",
        "ocf:heartbeat:Dummy::state=a",
        "ocf:heartbeat:Dummy::fake=a::state=b",
        "ocf:heartbeat:Dummy::state=b::fake=a",
        "ocf:heartbeat:Filesystem::directory=/a/b",
        "ocf:heartbeat:Filesystem::directory=/a_b",
    ];
    let names: BTreeSet<String> = specs.iter().map(|s| instance(&s.parse().unwrap())).collect();
    assert_eq!(names.len(), specs.len(), "{names:?}");
    assert!(names.contains("Dummy") && names.contains("Dummy_a"));
    let long = format!("ocf:heartbeat:Dummy::state=/{}", "x".repeat(500));
    let name = instance(&long.parse().unwrap());
    assert!(name.len() < 120 && !name.contains('/'), "{name}");
}
