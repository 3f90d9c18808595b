use proptest::prelude::*;

use super::*;

fn resource(spec: &str) -> Resource {
    spec.parse().unwrap_or_else(|e| panic!("{spec}: {e}"))
}

#[test]
fn resources() {
    use Class::{Heartbeat, Lsb, Ocf, Systemd};
    for (spec, class, provider, agent, args) in [
        ("10.0.0.3", Heartbeat, None, "IPaddr", &["10.0.0.3"][..]),
        ("10.0.0.3/24/eth0", Heartbeat, None, "IPaddr", &["10.0.0.3/24/eth0"]),
        ("10.0.0.3/24/eth0:1/10.0.0.255", Heartbeat, None, "IPaddr", &["10.0.0.3/24/eth0:1/10.0.0.255"]),
        ("10.0.0.3/28/10.0.0.12", Heartbeat, None, "IPaddr", &["10.0.0.3/28/10.0.0.12"]),
        ("10.0.0.3/255.255.255.0", Heartbeat, None, "IPaddr", &["10.0.0.3/255.255.255.0"]),
        ("IPaddr::10.0.0.3/24", Heartbeat, None, "IPaddr", &["10.0.0.3/24"]),
        ("2001:db8::5/64", Heartbeat, None, "IPv6addr", &["2001:db8::5/64"]),
        ("IPv6addr::2001:db8::5/64/eth0", Heartbeat, None, "IPv6addr", &["2001:db8::5/64/eth0"]),
        ("httpd", Heartbeat, None, "httpd", &[]),
        ("MailTo::a@b.example::Sub_ject", Heartbeat, None, "MailTo", &["a@b.example", "Sub_ject"]),
        ("x::::y", Heartbeat, None, "x", &["", "y"]),
        ("lsb:apache2", Lsb, None, "apache2", &[]),
        ("systemd:getty@tty1.service", Systemd, None, "getty@tty1.service", &[]),
        (
            "ocf:heartbeat:IPaddr2::ip=10.0.0.3::cidr_netmask=24",
            Ocf,
            Some("heartbeat"),
            "IPaddr2",
            &["ip=10.0.0.3", "cidr_netmask=24"],
        ),
        (
            "ocf:heartbeat:IPv6addr::ipv6addr=2001:db8::5/64::nic=eth0",
            Ocf,
            Some("heartbeat"),
            "IPv6addr",
            &["ipv6addr=2001:db8::5/64", "nic=eth0"],
        ),
        ("ocf:x:IPaddr2::ip=::1::a=fe80::", Ocf, Some("x"), "IPaddr2", &["ip=::1", "a=fe80::"]),
        ("ocf:Dummy", Ocf, Some("heartbeat"), "Dummy", &[]),
    ] {
        let got = resource(spec);
        assert_eq!((got.spec.as_str(), got.class, got.provider.as_deref()), (spec, class, provider), "{spec}");
        assert_eq!(
            (got.agent.as_str(), got.args.as_slice()),
            (agent, &args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()[..]),
            "{spec}"
        );
    }
}

#[test]
fn no_resources() {
    for spec in [
        "",
        "::x",
        "../evil",
        "/etc/passwd",
        "-x",
        "10.0.0.300",
        "10.0.0.3/33",
        "10.0.0.3/255.0.255.0",
        "10.0.0.3/24/",
        "10.0.0.3/24/eth0/eth1",
        "10.0.0.3/24/eth0/10.0.0.255/x",
        "IPaddr",
        "IPaddr::",
        "IPaddr::10.0.0.300",
        "foo:bar",
        "lsb:",
        "lsb:a::b",
        "systemd:a/b",
        "ocf:heartbeat:",
        "ocf:../x:Dummy",
        "ocf:heartbeat:Dummy::nameless",
        "a::b\u{7}",
    ] {
        assert!(spec.parse::<Resource>().is_err(), "{spec:?}");
    }
}

proptest! {
    /// What is printed for a resource is read as the same one.
    #[test]
    fn resources_come_back(spec in "[a-zA-Z0-9:./=@+_-]{0,30}") {
        if let Ok(resource) = spec.parse::<Resource>() {
            prop_assert_eq!(resource.to_string().parse(), Ok(resource.clone()));
            prop_assert!(!resource.agent.contains('/') && !resource.agent.starts_with('.'));
        }
    }
}

#[test]
fn what_is_the_same() {
    let identity = |spec: &str| spec.parse::<Resource>().unwrap().identity();
    for (one, other, same) in [
        ("10.0.0.3", "IPaddr::10.0.0.3/24/eth0", true),
        ("10.0.0.3/255.255.255.0", "IPaddr2::10.0.0.3/24", true),
        ("10.0.0.3", "ocf:heartbeat:IPaddr2::cidr_netmask=24::ip=10.0.0.3", true),
        ("2001:db8::1/64", "IPv6addr::2001:DB8:0::1", true),
        ("10.0.0.3", "10.0.0.4", false),
        ("ocf:Dummy", "ocf:heartbeat:Dummy", true),
        ("ocf:Dummy", "ocf:pacemaker:Dummy", false),
        ("httpd", "lsb:httpd", false),
        ("web::1", "web::2", false),
        ("SendArp::10.0.0.3/eth0", "10.0.0.3", false),
    ] {
        assert_eq!(identity(one) == identity(other), same, "{one} {other}");
    }
}
