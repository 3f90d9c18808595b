use proptest::prelude::*;

use super::*;
use crate::config::Severity::{self, Error, Warning};

/// Enough to be complete, in three lines.
const BASE: &str = "node ha1 ha2\nbcast eth0\ninitdead 120\n";

fn read(text: &str) -> (HaCf, Vec<(Option<u32>, Severity)>) {
    let parsed = parse(Path::new("/ha.cf"), text);
    for problem in &parsed.problems {
        assert!(!problem.what.is_empty() && !problem.hint.is_empty(), "{problem:?}");
    }
    (parsed.content, parsed.problems.iter().map(|p| (p.line, p.severity)).collect())
}

/// What one line adds to a file without a problem.
fn line(text: &str) -> HaCf {
    let (content, problems) = read(&format!("{BASE}{text}\n"));
    assert_eq!(problems, [], "{text}");
    content
}

#[test]
fn defaults() {
    let (content, problems) = read("node HA1\nnode Ha2.example.com\nbcast eth0\n");
    assert_eq!(problems, []);
    assert_eq!(content.nodes, ["ha1", "ha2.example.com"]);
    let times = [content.keepalive, content.deadtime, content.warntime, content.initdead, content.deadping];
    assert_eq!(times.map(|t| t.as_secs()), [1, 30, 15, 60, 30]);
    assert_eq!(content.max_rexmit_delay, Duration::from_millis(250));
    assert_eq!((content.udpport, content.baud), (694, 19200));
    assert_eq!(content.auto_failback, AutoFailback::Legacy);
    assert_eq!((content.msgfmt, content.compression), (MessageFormat::Classic, Compression::Zlib));
    assert!(content.realtime && !content.traditional_compression);
    assert_eq!(content.media, [Medium::Bcast { dev: "eth0".into(), port: 694 }]);
    // The others follow from a deadtime that is given.
    let content = line("deadtime 10");
    assert_eq!([content.warntime, content.deadping].map(|t| t.as_secs()), [5, 10]);
}

/// As heartbeat's own library reads them.
#[test]
fn times() {
    for (text, ms) in [
        ("2", 2000),
        ("1.7", 1700),
        ("200ms", 200),
        ("200MS", 200),
        ("100 ms", 100),
        (".5", 500),
        ("5.", 5000),
        ("2000us", 2),
    ] {
        let content = line(&format!("keepalive {text}"));
        assert_eq!(content.keepalive, Duration::from_millis(ms), "{text}");
    }
    for text in ["2s", "2m", "1e3", "-1", "+3", "0x10", "abc", "2.5.5", "0", "1us", "99999999999", "ms", "."] {
        let (content, problems) = read(&format!("{BASE}keepalive {text}\n"));
        assert_eq!(problems, [(Some(4), Error)], "{text}");
        assert_eq!(content.keepalive, Duration::from_secs(1), "{text}");
    }
}

/// The port and the speed are those in force at the line of the medium.
#[test]
fn media_in_order() {
    let text = "node a\nbcast eth0,eth1 # two\nudpport 700\nbcast eth0\nucast eth1 10.0.0.2\nucast6 eth1 fe80::2%eth1\n\
                mcast eth2 239.192.0.42 695 1 0\nmcast6 eth2 ff12::42 696 4 1\nserial /dev/ttyS0\nbaud 9600\n\
                serial /dev/ttyS1 /dev/ttyS2\nudpport 701\nucast eth3 ha2.example.com\n";
    let (content, problems) = read(text);
    assert_eq!(problems, []);
    let bcast = |dev: &str, port| Medium::Bcast { dev: dev.into(), port };
    let serial = |path: &str, baud| Medium::Serial { path: path.into(), baud };
    assert_eq!(
        content.media,
        [
            bcast("eth0", 694),
            bcast("eth1", 694),
            bcast("eth0", 700),
            Medium::Ucast { dev: "eth1".into(), host: "10.0.0.2".into(), port: 700 },
            Medium::Ucast6 { dev: "eth1".into(), host: "fe80::2".parse().unwrap(), port: 700 },
            Medium::Mcast {
                dev: "eth2".into(),
                group: Ipv4Addr::new(239, 192, 0, 42),
                port: 695,
                ttl: 1,
                looped: false
            },
            Medium::Mcast6 { dev: "eth2".into(), group: "ff12::42".parse().unwrap(), port: 696, hops: 4, looped: true },
            serial("/dev/ttyS0", 19200),
            serial("/dev/ttyS1", 9600),
            serial("/dev/ttyS2", 9600),
            Medium::Ucast { dev: "eth3".into(), host: "ha2.example.com".into(), port: 701 },
        ]
    );
}

#[test]
fn everything_else() {
    let content = line("ping 10.0.0.254 10.0.0.253");
    assert_eq!(content.ping, ["10.0.0.254", "10.0.0.253"]);
    let content = line("ping_group routers 10.0.0.254, 10.0.0.253");
    assert_eq!(content.ping_groups[0].name, "routers");
    assert_eq!(content.ping_groups[0].hosts.len(), 2);
    for (value, expected) in [
        ("on", AutoFailback::On),
        ("YES", AutoFailback::On),
        ("0", AutoFailback::Off),
        ("n", AutoFailback::Off),
        ("legacy", AutoFailback::Legacy),
    ] {
        assert_eq!(line(&format!("auto_failback {value}")).auto_failback, expected, "{value}");
    }
    let content = line("respawn hacluster /usr/lib/heartbeat/ipfail -v\nfailfast root /bin/x");
    assert_eq!(
        content.respawn,
        [Client { user: "hacluster".into(), command: vec!["/usr/lib/heartbeat/ipfail".into(), "-v".into()] }]
    );
    assert_eq!(content.failfast.len(), 1);
    let content = line("apiauth ipfail gid=haclient uid=hacluster,root");
    assert_eq!(content.apiauth[0].uids, ["hacluster", "root"]);
    let content =
        line("logfile /var/log/ha.log\ndebugfile /var/log/ha-debug\nlogfacility local0\nwatchdog /dev/watchdog");
    assert_eq!(content.logfile.as_deref(), Some(Path::new("/var/log/ha.log")));
    assert_eq!(content.logfacility.as_deref(), Some("local0"));
    assert_eq!(content.watchdog.as_deref(), Some(Path::new("/dev/watchdog")));
    assert_eq!(line("logfacility none").logfacility, None);
    let content = line("stonith_host * baytech 10.0.0.3 me secret\nstonith baytech /etc/ha.d/conf/stonith.baytech");
    assert_eq!(content.stonith[0].host.as_deref(), Some("*"));
    assert_eq!(content.stonith[1].parameters, ["/etc/ha.d/conf/stonith.baytech"]);
    let content = line("realtime off\nrtprio 50\nmsgfmt netstring\ncompression bz2\ncompression_threshold 20");
    assert!(!content.realtime);
    assert_eq!((content.rtprio, content.compression_threshold), (Some(50), 20));
    assert_eq!((content.msgfmt, content.compression), (MessageFormat::Netstring, Compression::Bz2));
    assert_eq!(line("max_rexmit_delay 100ms").max_rexmit_delay, Duration::from_millis(100));
    assert_eq!(line("max_rexmit_delay 100").max_rexmit_delay, Duration::from_millis(100));
    assert!(line("traditional_compression on").traditional_compression);
    let content = line("use_logd yes\nhopfudge 2\ncrm off");
    let ignored: Vec<(u32, &str)> = content.ignored.iter().map(|i| (i.line, i.directive.as_str())).collect();
    assert_eq!(ignored, [(4, "use_logd"), (5, "hopfudge"), (6, "crm")]);
    assert!(content.ignored.iter().all(|i| !i.reason.is_empty()));
}

/// Every directive of heartbeat's documentation is used or ignored with a reason; none is unknown.
#[test]
fn every_directive_is_known() {
    for name in "apiauth autojoin auto_failback baud bcast cluster compression compression_threshold conn_logd_time \
                 coredumps coreroot crm crm_daemon_dir crmd_spawns_pengine deadping deadtime debug debugfile \
                 enable_config_writes env failfast hbaping hbgenmethod hopfudge initdead keepalive log_badpack \
                 logfacility logfile max_rexmit_delay mcast mcast6 memreserve msgfmt nice_failback node normalpoll \
                 pacemaker ping ping_group quorum_server realtime record_config_changes record_pengine_inputs respawn \
                 rtprio serial stonith stonith_host syslogmsgfmt traditional_compression ucast ucast6 udpport \
                 use_apphbd use_logd uuidfrom warntime watchdog"
        .split_whitespace()
    {
        let parsed = parse(Path::new("f"), &format!("{name} x\n"));
        assert!(!parsed.problems.iter().any(|p| p.what.contains("no directive")), "{name}");
    }
}

#[test]
fn problems() {
    for (text, expected) in [
        ("keepalife 2", vec![(Some(4), Error)]),
        ("Keepalive 2", vec![(Some(4), Error)]),
        ("keepalive", vec![(Some(4), Error)]),
        ("keepalive 1 2", vec![(Some(4), Warning)]),
        ("deadtime 10\ndeadtime 20", vec![(Some(5), Warning)]),
        ("deadtime 2", vec![(Some(4), Error)]),
        ("keepalive 15", vec![(Some(4), Error)]),
        ("deadtime 70", vec![(Some(4), Warning)]),
        ("deadtime 121", vec![(Some(4), Error)]),
        ("warntime 30", vec![(Some(4), Warning)]),
        ("deadping 1", vec![(Some(4), Error)]),
        ("node", vec![(Some(4), Error)]),
        ("node HA1", vec![(Some(4), Warning)]),
        ("node ../x", vec![(Some(4), Error)]),
        ("bcast", vec![(Some(4), Error)]),
        ("bcast eth0", vec![(Some(4), Warning)]),
        ("bcast eth0:1", vec![(Some(4), Error)]),
        ("bcast ../eth0", vec![(Some(4), Error)]),
        ("udp eth1", vec![(Some(4), Warning)]),
        ("udpport 0\nbcast eth1", vec![(Some(4), Error)]),
        ("udpport 65536\nbcast eth1", vec![(Some(4), Error)]),
        ("udpport 700", vec![(Some(4), Warning)]),
        ("baud 300", vec![(Some(4), Error)]),
        ("serial ttyS0", vec![(Some(4), Error)]),
        ("serial /dev/../etc/passwd", vec![(Some(4), Error)]),
        ("serial", vec![(Some(4), Error)]),
        ("ucast eth0", vec![(Some(4), Error)]),
        ("ucast eth0 10.0.0.300", vec![(Some(4), Error)]),
        ("ucast eth0 fe80::1", vec![(Some(4), Error)]),
        ("ucast eth0 10.0.0.2 x", vec![(Some(4), Warning)]),
        ("ucast6 eth0 10.0.0.2", vec![(Some(4), Error)]),
        ("ucast6 eth0 fe80::1%eth1", vec![(Some(4), Error)]),
        ("mcast eth0 239.0.0.1 694 1", vec![(Some(4), Error)]),
        ("mcast eth0 10.0.0.1 694 256 2", vec![(Some(4), Error); 3]),
        ("mcast6 eth0 ff12::1 694 5 0", vec![(Some(4), Error)]),
        ("ping", vec![(Some(4), Error)]),
        ("ping 10.0.0.256", vec![(Some(4), Error)]),
        ("ping_group x", vec![(Some(4), Error)]),
        ("ping_group x 10.0.0.1\nping_group x 10.0.0.2", vec![(Some(5), Error)]),
        ("msgfmt Netstring", vec![(Some(4), Error)]),
        ("compression lzma", vec![(Some(4), Error)]),
        ("compression_threshold 0", vec![(Some(4), Error)]),
        ("auto_failback maybe", vec![(Some(4), Error)]),
        ("nice_failback on", vec![(Some(4), Warning)]),
        ("autojoin all", vec![(Some(4), Error)]),
        ("autojoin any", vec![(Some(4), Warning)]),
        ("respawn root", vec![(Some(4), Error)]),
        ("respawn root ipfail", vec![(Some(4), Error)]),
        ("apiauth ipfail", vec![(Some(4), Error)]),
        ("apiauth ipfail pid=3", vec![(Some(4), Error)]),
        ("logfile ha.log", vec![(Some(4), Error)]),
        ("logfacility moon", vec![(Some(4), Error)]),
        ("rtprio 100", vec![(Some(4), Error)]),
        ("stonith", vec![(Some(4), Error)]),
        ("crm respawn", vec![(Some(4), Warning)]),
        ("pacemaker perhaps", vec![(Some(4), Error)]),
        ("quorum_server x", vec![(Some(4), Warning)]),
    ] {
        assert_eq!(read(&format!("{BASE}{text}\n")).1, expected, "{text}");
    }
    assert_eq!(read("").1, [(None, Error), (None, Error)]);
    assert_eq!(read("autojoin any\nbcast eth0\n").1, [(Some(1), Warning)]);
}

#[test]
fn no_cluster_is_that_large() {
    let many = |word: &str, n: usize| (0..n).map(|n| format!("{word}{n} ")).collect::<String>();
    let (content, problems) =
        read(&format!("node {}\nbcast {}\nping {}\n", many("n", 1001), many("e", 65), many("h", 1001)));
    assert_eq!(problems, [(Some(1), Error), (Some(2), Error), (Some(3), Error)]);
    assert_eq!((content.nodes.len(), content.media.len(), content.ping.len()), (MOST_NODES, MOST_MEDIA, MOST_NODES));
}

#[test]
fn nothing_stops_at_the_first_problem() {
    let (content, problems) = read("foo\nnode a /\nkeepalive x\nbcast eth0\nbar\n");
    assert_eq!(problems, [1, 2, 3, 5].map(|l| (Some(l), Error)));
    assert_eq!((content.nodes.len(), content.media.len()), (1, 1));
}

#[test]
fn old_names_of_failback() {
    assert_eq!(read(&format!("{BASE}nice_failback on\n")).0.auto_failback, AutoFailback::Off);
    assert_eq!(read(&format!("{BASE}nice_failback off\n")).0.auto_failback, AutoFailback::Legacy);
}

#[test]
fn passwords_stay_out_of_messages() {
    let parsed = parse(Path::new("f"), "stonith_host no/node baytech 10.0.0.3 me Hunter2\nstonith baytech\n");
    assert!(parsed.problems.iter().all(|p| !p.to_string().contains("Hunter2") && !p.hint.contains("Hunter2")));
}

proptest! {
    #[test]
    fn never_panics(
        text in "((node|keepalive|deadtime|bcast|mcast|serial|udpport|ping_group|apiauth|respawn|x)( [a-z0-9./:=,]{0,9}){0,6}\
                 \\r?\\n){0,8}|\\PC{0,80}"
    ) {
        let lines = text.split('\n').count() as u32;
        let parsed = parse(Path::new("f"), &text);
        for problem in &parsed.problems {
            prop_assert!(problem.line.is_none_or(|l| (1..=lines).contains(&l)), "{problem:?}");
        }
        if let Ok(good) = parsed.usable() {
            prop_assert!(good.content.deadtime > good.content.keepalive * 2);
            prop_assert!(!good.content.media.is_empty());
        }
    }
}
