//! mon.cf, directive by directive, and what is wrong in it.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Severity;

fn read(text: &str) -> Parsed<MonCf> {
    parse(Path::new("mon.cf"), text)
}

const WHOLE: &str = "\
# all of it
alertdir = /a:/b/
mondir   = mon.d
statedir = state.d
maxprocs = 7
authfile = /etc/auth.cf
startupalerts_on_reset = yes
dep_memory = 30s
exclude_period = wd {Sun} hr {3am}

hostgroup web web1 web2
   # a comment in a group
   web3

hostgroup idle x

watch web
    service http
        description The \\
            web
        COLOUR=red blue
        interval 0.5s
        failure_interval 1m
        randskew 5s
        monitor http.monitor -t 5 'a b' # not a comment
        exclude_hosts web2
        exclude_period hr {4am}
        depend SELF:ping && router:ping
        hostdepend SELF:ping
        redistribute to.other -x
        period wd {Mon-Fri} hr {7am-6pm}
            alert exit=10-20 mail.alert me \"my self\"
            alert page.alert
            upalert mail.alert -u me
            startupalert mail.alert up
            alertevery 1h observe_detail
            alertafter 3 10m
            numalerts 5
            upalertafter 90s
            alertexitrange 1-2
        period other: wd {Mon-Fri} hr {7am-6pm}
            alertevery 2d strict
            alertafter 2
            no_comp_alerts
    service ping
        interval 1.5h
        monitor fping.monitor ;;
        period
            alert mail.alert
            alertafter 30m
            alertevery 10s ignore_summary
watch router
    service ping
        interval 1d
        traptimeout 3m
        monitor ping.monitor
        dep_behavior m
        depend web:ping
        period wd {Sun-Sat}
            alert mail.alert
";

#[test]
fn a_whole_file() {
    let parsed = read(WHOLE);
    let errors: Vec<String> =
        parsed.problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    let warnings: Vec<u32> = parsed.problems.iter().filter_map(|p| p.line).collect();
    assert_eq!(warnings, [15, 52], "idle has no watch, router no hostgroup: {:?}", parsed.problems);
    let MonCf { settings, services, ignored } = parsed.content;
    assert_eq!(settings.alertdir, [Path::new("/a"), Path::new("/b")]);
    assert_eq!(
        (settings.mondir[0].to_str(), settings.statedir.to_str()),
        (Some("/usr/lib/mon/mon.d"), Some("/usr/lib/mon/state.d"))
    );
    assert_eq!((settings.maxprocs, settings.startupalerts_on_reset), (7, true));
    let names: Vec<(&str, u32)> = ignored.iter().map(|i| (i.directive.as_str(), i.line)).collect();
    assert_eq!(names, [("authfile", 6), ("randskew", 24), ("traptimeout", 55)]);
    let [http, ping, router] = services.as_slice() else { panic!("{services:?}") };
    assert_eq!((http.group.as_str(), http.name.as_str(), http.line), ("web", "http", 18));
    assert_eq!(http.checked_hosts().collect::<Vec<_>>(), ["web1", "web3"]);
    assert_eq!(http.description.as_deref(), Some("The web"));
    assert_eq!(http.env["COLOUR"], "red blue");
    assert_eq!((http.interval, http.failure_interval), (Duration::from_millis(500), Some(Duration::from_secs(60))));
    assert_eq!(http.dep_memory, Duration::from_secs(30));
    assert_eq!(http.exclude_periods.len(), 2);
    let (words, _) = http.monitor.as_ref().unwrap();
    assert_eq!(words[..4], ["http.monitor", "-t", "5", "a b"]);
    assert!(http.alert_depend.is_some() && http.monitor_depend.is_none() && http.host_depend.len() == 1);
    assert_eq!(http.redistribute.as_ref().unwrap().words, ["to.other", "-x"]);
    let [first, second] = http.periods.as_slice() else { panic!() };
    assert_eq!(first.label, "wd {Mon-Fri} hr {7am-6pm}");
    assert_eq!(first.alerts[0].words, ["mail.alert", "me", "my self"]);
    assert_eq!((first.alerts[0].exit, first.alerts[1].exit), (Some((10, 20)), None));
    assert_eq!(first.alertevery, Some(Every { time: Duration::from_secs(3600), unless: Unless::Detail }));
    assert_eq!(first.alertafter, Some(After::Within(3, Duration::from_secs(600))));
    assert_eq!((first.numalerts, first.upalertafter), (Some(5), Some(Duration::from_secs(90))));
    assert_eq!(first.alertexitrange, Some((1, 2)));
    assert_eq!((second.label.as_str(), second.no_comp_alerts), ("other", true));
    assert_eq!(second.alertevery.unwrap().unless, Unless::Never);
    assert_eq!(second.alertafter, Some(After::Times(2)));
    assert!(!ping.with_hosts && ping.is_checked());
    assert_eq!(ping.periods[0].alertafter, Some(After::Lasting(Duration::from_secs(1800))));
    assert_eq!(ping.periods[0].alertevery.unwrap().unless, Unless::Success);
    assert!(router.monitor_depend.is_some() && router.alert_depend.is_none());
    assert_eq!(router.hosts, ["router"]);
}

/// A service below a watch, and a good period.
fn in_service(lines: &str) -> String {
    format!("hostgroup g h\n\nwatch g\nservice s\ninterval 1s\nmonitor m\n{lines}\n")
}

#[test]
fn what_is_wrong_has_its_line() {
    let top: &[(&str, u32)] = &[
        ("maxprocs = many", 1),
        ("\nmondir = ../x", 2),
        ("colour = red", 1),
        ("nonsense", 1),
        ("dep_behavior = x", 1),
        ("hostgroup ä b", 1),
        ("watch", 1),
        ("watch g\nservice a b", 2),
        ("watch g\ninterval 1s", 2),
        ("watch g\nA=b", 2),
        ("watch g\nservice s\ninterval 1s\nmonitor m\n\nservice t", 6),
        ("watch g\nservice s\nmonitor m", 2),
        ("watch g\nservice s\ninterval 1s\nmonitor m\nservice s", 5),
        ("watch g\nwatch g", 2),
    ];
    let below: &[&str] = &[
        "interval 10",
        "interval 0s",
        "interval -1s",
        "interval 1ms",
        "interval 1.s",
        "interval 9999999999999999d",
        "monitor",
        "monitor 'a",
        "monitor ../m",
        "monitor m/../../x",
        "alert x",
        "colour red",
        "depend a",
        "depend system('x')",
        "depend g:other",
        "dep_behavior b",
        "exclude_period wd {x}",
        "period wd",
        "period wd {Mon}\nalert",
        "period\nalert exit=a x",
        "period\nalert exit=3-1 x",
        "period\nalertevery often",
        "period\nalertevery 1s sometimes",
        "period\nalertafter 0",
        "period\nalertafter 1 2 3",
        "period\nalertafter 11 10s",
        "period\nnumalerts x",
        "period\nnumalerts -1",
        "period\ninterval 1s",
        "period\nalertexitrange 300",
        "period\nupalertafter 0s",
        "period\nperiod",
    ];
    for (text, line) in top {
        let found = read(text).problems.into_iter().find(|p| p.severity == Severity::Error);
        assert_eq!(found.as_ref().and_then(|p| p.line), Some(*line), "{text}: {found:?}");
        assert!(!found.unwrap().hint.is_empty(), "{text}");
    }
    for text in below {
        let whole = in_service(text);
        let found = read(&whole).problems.into_iter().find(|p| p.severity == Severity::Error);
        // What only shows at the end of a service is told of its first line.
        let wanted = if text.starts_with("depend g:") { 4 } else { 6 + text.lines().count() as u32 };
        assert_eq!(found.as_ref().and_then(|p| p.line), Some(wanted), "{text}: {found:?}");
    }
    assert!(read(&in_service("period\nalert x")).problems.is_empty());
}

#[test]
fn what_works_and_should_be_mended_is_a_warning() {
    for text in [
        "hostgroup g a\n",
        "watch g\nservice s\ntraptimeout 1m\n",
        "hostgroup g\n\nwatch g\nservice s\ninterval 1s\nmonitor m\nperiod\nalert x\n",
        &in_service("exclude_hosts h\nperiod\nalert x"),
        &in_service("exclude_hosts other\nperiod\nalert x"),
        &in_service("period"),
    ] {
        let problems = read(text).problems;
        assert!(
            !problems.is_empty() && problems.iter().all(|p| p.severity == Severity::Warning),
            "{text}: {problems:?}"
        );
    }
}

/// Each directive of mon(8) is understood or named.
#[test]
fn what_was_not_given_is_null() {
    let content = read("watch web\nservice a\ninterval 5s\nmonitor m\nservice b\ntraptimeout 10m\n").content;
    let settings = |n: usize| {
        let event = document::service(Path::new("mon.cf"), &content.services[n]);
        event.fields()["settings"]["interval_ms"].clone()
    };
    assert_eq!([settings(0), settings(1)], [serde_json::json!(5000.0), serde_json::Value::Null]);
}

#[test]
fn every_directive_of_the_manual_is_known() {
    let globals = "alertdir mondir statedir logdir basedir cfbasedir authfile authtype userfile pamservice serverbind trapbind \
        dtlogfile monerrfile dtlogging histlength historicfile historictime serverport trapport pidfile maxprocs cltimeout \
        randstart dep_recur_limit dep_behavior dep_memory syslog_facility startupalerts_on_reset monremote";
    for name in globals.split_whitespace() {
        let value = match name {
            "dep_behavior" => "m",
            "dep_memory" => "1m",
            "maxprocs" | "dep_recur_limit" => "5",
            _ => "/x",
        };
        assert!(read(&format!("{name} = {value}")).problems.is_empty(), "{name}");
    }
    let services = "interval 1s|failure_interval 1s|traptimeout 1s|trapduration 1s|randskew 1s|monitor m|allow_empty_group|\
        description x|exclude_hosts h i|exclude_period wd {Sun}|depend SELF:s|dep_behavior hm|alertdepend SELF:s|monitordepend SELF:s|\
        hostdepend SELF:s|dep_memory 1s|redistribute a|unack_summary|A=b";
    let periods = "alertevery 1s|alertafter 3|numalerts 2|no_comp_alerts|alert a|upalert a|startupalert a|upalertafter 1s|ackalert a|\
        disablealert a";
    let all = services.split('|').map(str::to_owned).chain(periods.split('|').map(|p| format!("period\n{p}")));
    for line in all {
        let problems = read(&in_service(&line)).problems;
        assert!(problems.iter().all(|p| p.severity != Severity::Error), "{line}: {problems:?}");
    }
    assert!(read("view v g h\n  i\n\nalias a\n  anything\n").problems.is_empty());
}

proptest! {
    #[test]
    fn never_panics(text in "(hostgroup|watch|service|period|monitor|alert|depend|interval|alertafter|[a-z{}=\\\\ \n0-9:'])*") {
        let lines = text.split('\n').count() as u32;
        for problem in read(&text).problems {
            prop_assert!(problem.line.is_none_or(|l| (1..=lines).contains(&l)));
        }
    }
}
