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
        ("ha1 a\u{a0}b\nha1\u{b}c d\nha1 e\rf\n", vec![(Some(1), Error), (Some(2), Error), (Some(3), Error)]),
        ("ha1 10.0.0.3 a IPaddr2::10.0.0.3/24/eth0\n", vec![(Some(1), Warning)]),
        ("ha1 10.0.0.3 a\nha2 10.0.0.4 10.0.0.3/24\n", vec![(Some(2), Warning)]),
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
}
