use proptest::prelude::*;

use super::*;
use crate::config::Severity::{self, Error, Warning};

fn read(text: &str) -> (Vec<Group>, Vec<(Option<u32>, Severity)>) {
    let parsed = parse(Path::new("/haresources"), text);
    for problem in &parsed.problems {
        assert!(!problem.what.is_empty() && !problem.hint.is_empty());
    }
    (parsed.content, parsed.problems.iter().map(|p| (p.line, p.severity)).collect())
}

fn resource(spec: &str) -> Resource {
    spec.parse().unwrap_or_else(|e| panic!("{spec}: {e}"))
}

#[test]
fn the_classic_line() {
    let line = "ha1.example.com 9.22.7.46 Filesystem::nfs.example.com:/ha::/ha::nfs::rw,hard httpd";
    let (groups, problems) = read(line);
    assert_eq!(problems, []);
    let [group] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((group.id.as_str(), group.nodes.as_slice()), ("9.22.7.46", &["ha1.example.com".to_owned()][..]));
    let agents: Vec<&str> = group.resources.iter().map(|r| r.agent.as_str()).collect();
    assert_eq!(agents, ["IPaddr", "Filesystem", "httpd"]);
    assert_eq!(group.resources[1].args, ["nfs.example.com:/ha", "/ha", "nfs", "rw,hard"]);
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

#[test]
fn lines_and_comments() {
    let text =
        "# the web\nHA1  10.0.0.3 \\\n\thttpd # the server\n\n  ha1,ha3,HA4 10.0.0.4\r\nha2 10.0.0.5 foo\\\nbar\n";
    let (groups, problems) = read(text);
    assert_eq!(problems, []);
    let seen: Vec<(u32, String, Vec<&str>)> = groups
        .iter()
        .map(|g| (g.line, g.nodes.join(","), g.resources.iter().map(|r| r.spec.as_str()).collect()))
        .collect();
    assert_eq!(
        seen,
        [
            (2, "ha1".into(), vec!["10.0.0.3", "httpd"]),
            (5, "ha1,ha3,ha4".into(), vec!["10.0.0.4"]),
            (6, "ha2".into(), vec!["10.0.0.5", "foobar"]), // nothing is put where the lines meet
        ]
    );
}

#[test]
fn problems() {
    for (text, expected) in [
        ("", vec![]),
        ("ha1\n", vec![(Some(1), Error)]),
        ("ha1 a\nha2 a\n", vec![(Some(2), Error)]),
        ("ha1 a b\nha2 c b\n", vec![(Some(2), Warning)]),
        ("ha1 a a\n", vec![(Some(1), Warning)]),
        ("10.0.0.3 httpd\n", vec![(Some(1), Error)]),
        ("IPaddr::10.0.0.3 httpd\n", vec![(Some(1), Error)]),
        ("ha1,,ha2 a\n", vec![(Some(1), Error)]),
        ("ha1,HA1 a\n", vec![(Some(1), Warning)]),
        ("ha/1 a\n", vec![(Some(1), Error)]),
        ("\nha1 a \\ \n b\n", vec![(Some(2), Error)]),
        ("ha1 a \\ # why\n b\n", vec![(Some(1), Error)]),
        ("ha1 a \\", vec![(Some(1), Warning)]),
        ("ha1 a ../b 10.0.0.999\n", vec![(Some(1), Error), (Some(1), Error)]),
    ] {
        assert_eq!(read(text).1, expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "((ha1|ha2,ha3|10\\.0\\.0\\.3(/24)?|a::b|ocf:x|#|\\\\)[ \\n]{0,2}){0,20}|\\PC{0,80}") {
        let lines = text.split('\n').count() as u32;
        let parsed = parse(Path::new("f"), &text);
        for problem in &parsed.problems {
            prop_assert!(problem.line.is_some_and(|l| (1..=lines).contains(&l)));
        }
        if let Ok(good) = parsed.usable() {
            for group in good.content {
                prop_assert!(!group.nodes.is_empty());
                prop_assert_eq!(&group.id, &group.resources[0].spec);
            }
        }
    }

    /// What is printed for a resource is read as the same one.
    #[test]
    fn resources_come_back(spec in "[a-zA-Z0-9:./=@+_-]{0,30}") {
        if let Ok(resource) = spec.parse::<Resource>() {
            prop_assert_eq!(resource.to_string().parse(), Ok(resource.clone()));
            prop_assert!(!resource.agent.contains('/') && !resource.agent.starts_with('.'));
        }
    }
}
