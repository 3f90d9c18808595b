//! Each rule of mon(8), and all of them against a model that looks at the whole history each time.

use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::mon_cf;

/// 2026-11-21, a Saturday, 14:00:00 UTC.
const START: i64 = 1_795_269_600_000;

/// A decider, the time, and what the events are called.
struct Desk(Decider, i64);

/// One service web:http on w1 and w2 with these lines below it.
fn desk(lines: &str) -> Desk {
    whole(&format!("hostgroup web w1 w2\n\nwatch web\nservice http\ninterval 1s\nmonitor m\n{lines}\n"))
}

fn whole(text: &str) -> Desk {
    let parsed = mon_cf::parse(Path::new("mon.cf"), text);
    let content = parsed.usable().unwrap().content;
    Desk(Decider::new(content, HashMap::from([("a".to_owned(), "/alerts/a".to_owned())])), 0)
}

fn moment(ms: i64) -> Moment {
    Moment { wall: START + ms, mono: Some(ms), local: Local::at((START + ms).div_euclid(1000), 0) }
}

fn result(target: &str, up: Option<bool>, status: i32, said: &str) -> Heard {
    let (summary, detail) = said.split_once('\n').unwrap_or((said, ""));
    Heard::Result(Checked {
        target: target.to_owned(),
        up,
        reason: "r".to_owned(),
        cause: "c".to_owned(),
        status: Some(status),
        summary: summary.to_owned(),
        detail: detail.to_owned(),
    })
}

impl Desk {
    /// The programs that run after a result at this second, each with its kind.
    fn at(&mut self, second: i64, heard: Heard) -> Vec<Run> {
        self.1 = second;
        let runs = self.0.take(heard, &moment(second * 1000)).into_iter();
        runs.filter_map(|d| if let Decision::Run(run) = d { Some(run) } else { None }).collect()
    }

    fn fail(&mut self, second: i64, said: &str) -> usize {
        self.at(second, result("web http", Some(false), 1, said)).len()
    }

    fn ok(&mut self, second: i64) -> usize {
        self.at(second, result("web http", Some(true), 0, "fine")).len()
    }

    /// How many alerts run at failures in these seconds.
    fn fails(&mut self, seconds: impl IntoIterator<Item = i64>) -> Vec<usize> {
        seconds.into_iter().map(|s| self.fail(s, "w1")).collect()
    }
}

#[test]
fn every_failure_alerts_where_nothing_is_said() {
    let mut desk = desk("period\nalert a me\nalert b");
    assert_eq!(desk.fails(0..3), [2, 2, 2]);
    assert_eq!(desk.ok(3), 0);
}

#[test]
fn an_alert_is_called_as_mon_calls_it() {
    let mut desk = desk("description The web\nCOLOUR=red\nperiod p: wd {Sat}\nalert a -x 'me too'\nupalert a -v");
    desk.ok(0);
    let run = desk.at(10, result("web http", Some(false), 3, "w1\nmore\nwords\n")).remove(0);
    let unix = (START / 1000 + 10).to_string();
    assert_eq!(
        run.argv,
        ["/alerts/a", "-s", "http", "-g", "web", "-h", "w1 w2", "-t", &unix, "-x", "me too"].map(str::to_owned)
    );
    assert_eq!(run.input, "w1\nmore\nwords\n");
    let env = |run: &Run, name: &str| run.env.get(name).cloned().unwrap_or_default();
    for (name, value) in [
        ("MON_GROUP", "web"),
        ("MON_SERVICE", "http"),
        ("MON_DESCRIPTION", "The web"),
        ("COLOUR", "red"),
        ("MON_RETVAL", "3"),
        ("MON_OPSTATUS", "0"),
        ("MON_ALERTTYPE", "failure"),
        ("MON_LAST_SUMMARY", "w1"),
        ("MON_LAST_OUTPUT", "fine"),
        ("MON_LAST_FAILURE", &unix),
        ("MON_FIRST_FAILURE", &unix),
        ("MON_LAST_SUCCESS", &(START / 1000).to_string()),
        ("MON_STATEDIR", "/var/lib/mon"),
        ("MON_LOGDIR", "/var/log/mon"),
        ("MON_CFBASEDIR", "/etc/mon"),
    ] {
        assert_eq!(env(&run, name), value, "{name}");
    }
    let up = desk.at(20, result("web http", Some(true), 0, "fine")).remove(0);
    assert_eq!(up.argv[9..], ["-u", "-v"].map(str::to_owned));
    assert_eq!((env(&up, "MON_ALERTTYPE"), env(&up, "MON_OPSTATUS")), ("up".to_owned(), "1".to_owned()));
    assert_eq!(up.input, "w1\nmore\nwords\n", "what was wrong");
}

#[test]
fn periods() {
    let mut desk = desk("period wd {Mon-Fri}\nalert a\nperiod wd {Sat} hr {2pm}\nalert b");
    let run = desk.at(3599, result("web http", Some(false), 1, "w1"));
    assert_eq!((run.len(), run[0].argv[0].as_str()), (1, "b"));
    assert_eq!(desk.fail(3600, "w1"), 0, "15:00");
    assert_eq!(desk.fail(2 * 86_400, "w1"), 1, "Monday");
}

#[test]
fn alertafter_times() {
    let mut desk = desk("period\nalert a\nalertafter 3");
    assert_eq!(desk.fails(0..4), [0, 0, 1, 1]);
    desk.ok(4);
    assert_eq!(desk.fails(5..8), [0, 0, 1]);
}

#[test]
fn alertafter_lasting() {
    let mut desk = desk("period\nalert a\nalertafter 10s");
    assert_eq!(desk.fails([0, 5, 10, 11, 12]), [0, 0, 0, 1, 1]);
    desk.ok(13);
    assert_eq!(desk.fails([14, 24, 25]), [0, 0, 1]);
}

#[test]
fn alertafter_times_within() {
    let mut desk = desk("period\nalert a\nalertafter 3 10s");
    assert_eq!(desk.fails([0, 6, 12, 15]), [0, 0, 0, 1], "6, 12 and 15 lie within 10 s");
    desk.ok(16);
    assert_eq!(desk.fails([17, 18, 19]), [0, 0, 1], "a success begins anew");
}

#[test]
fn alertevery() {
    let mut plain = desk("period\nalert a\nalertevery 10s");
    assert_eq!(plain.fails([0, 5, 9, 10, 19, 20]), [1, 0, 0, 1, 0, 1]);
    assert_eq!(plain.fail(21, "w2"), 1, "another summary");
    assert_eq!(plain.fail(22, "w2\nother detail"), 0, "the detail is not looked at");
    plain.ok(23);
    assert_eq!(plain.fail(24, "w2"), 1, "a success begins anew");

    let mut detail = desk("period\nalert a\nalertevery 10s observe_detail");
    assert_eq!(detail.fail(0, "w1\nx"), 1);
    assert_eq!((detail.fail(1, "w1\nx"), detail.fail(2, "w1\ny")), (0, 1));

    let mut ignore = desk("period\nalert a\nalertevery 10s ignore_summary");
    assert_eq!((ignore.fail(0, "w1"), ignore.fail(1, "w2")), (1, 0));
    ignore.ok(2);
    assert_eq!(ignore.fail(3, "w1"), 1);

    let mut strict = desk("period\nalert a\nupalert a\nalertevery 10s strict");
    assert_eq!((strict.fail(0, "w1"), strict.fail(1, "w2")), (1, 0));
    assert_eq!(strict.ok(2), 1);
    assert_eq!((strict.fail(3, "w1"), strict.fail(9, "w2"), strict.fail(10, "w1")), (0, 0, 1));
}

#[test]
fn numalerts() {
    let mut desk = desk("period\nalert a\nnumalerts 2");
    assert_eq!(desk.fails(0..4), [1, 1, 0, 0]);
    desk.ok(4);
    assert_eq!(desk.fails(5..8), [1, 1, 0]);
}

#[test]
fn upalerts_need_an_alert_before() {
    let mut paired = desk("period\nalert a\nupalert a\nalertafter 2");
    assert_eq!((paired.ok(0), paired.fail(1, "w1"), paired.ok(2)), (0, 0, 0));
    assert_eq!((paired.fail(3, "w1"), paired.fail(4, "w1"), paired.ok(5), paired.ok(6)), (0, 1, 1, 0));
    let mut alone = desk("period\nalert a\nupalert a\nalertafter 2\nno_comp_alerts");
    assert_eq!((alone.ok(0), alone.fail(1, "w1"), alone.ok(2), alone.ok(3)), (0, 0, 1, 0));
    let mut long = desk("period\nalert a\nupalert a\nupalertafter 10s");
    assert_eq!((long.fail(0, "w1"), long.ok(9)), (1, 0));
    assert_eq!((long.fail(10, "w1"), long.ok(20)), (1, 1));
    // The one that alerted is the one that says so.
    let mut two = desk("period x: hr {2pm}\nalert a\nupalert a\nperiod y:\nupalert b\nalert b\nalertafter 5");
    assert_eq!(two.fail(0, "w1"), 1);
    let run = two.at(1, result("web http", Some(true), 0, "")).remove(0);
    assert_eq!((run.period.as_deref(), run.kind), (Some("x"), Kind::Up));
}

#[test]
fn exit_statuses_choose() {
    let mut desk = desk("period\nalert exit=1-2 a\nalert exit=3 b\nperiod q:\nalertexitrange 5-9\nalert c");
    let mut of = |status: i32| -> Vec<String> {
        let runs = desk.at(status.into(), result("web http", Some(false), status, "w1"));
        runs.into_iter().map(|r| r.argv[0].clone()).collect()
    };
    assert_eq!(of(2), ["/alerts/a"]);
    assert_eq!(of(3), ["b"]);
    assert_eq!(of(4), [""; 0]);
    assert_eq!(of(7), ["c"]);
}

#[test]
fn startup_alerts() {
    let lines = "period\nalert a\nstartupalert b hello\nnumalerts 1\nperiod n: wd {Sun}\nstartupalert c";
    let mut first = desk(lines);
    let runs = first.at(0, Heard::Started { reload: false });
    assert_eq!((runs.len(), runs[0].kind, runs[0].argv[9].as_str()), (1, Kind::Startup, "hello"));
    assert_eq!(runs[0].input, "");
    assert_eq!(first.at(1, Heard::Started { reload: true }).len(), 0);
    assert_eq!(first.fails([2, 3]), [1, 0], "it is no alert of a failure");
    let text = format!("startupalerts_on_reset = yes\nwatch web\nservice http\ninterval 1s\nmonitor m\n{lines}\n");
    assert_eq!(whole(&text).at(0, Heard::Started { reload: true }).len(), 1);
}

#[test]
fn each_result_is_redistributed() {
    let mut desk = desk("redistribute a x\nperiod\nalertafter 9\nalert b");
    assert_eq!((desk.ok(0), desk.fail(1, "w1"), desk.ok(2)), (1, 1, 1));
}

#[test]
fn what_could_not_be_told_is_neither() {
    let mut desk = desk("period\nalert a\nalertafter 2");
    assert_eq!(desk.fail(0, "w1"), 0);
    let told = desk.0.take(result("web http", None, 0, ""), &moment(1000));
    assert!(matches!(told.as_slice(), [Decision::Untold { .. }]), "{told:?}");
    assert!(desk.0.take(result("web http", None, 0, ""), &moment(2000)).is_empty(), "told once");
    assert_eq!(desk.fail(3, "w1"), 1);
    assert!(desk.0.take(result("other x", Some(false), 1, ""), &moment(4000)).is_empty());
}

#[test]
fn why_not_is_told_when_it_changes() {
    let mut desk = desk("period\nalert a\nalertafter 3\nnumalerts 1");
    let mut reasons = Vec::new();
    for second in 0..5 {
        for decision in desk.0.take(result("web http", Some(false), 1, "w1"), &moment(second * 1000)) {
            if let Decision::Withheld { reason, .. } = decision {
                reasons.push((second, reason));
            }
        }
    }
    assert_eq!(reasons, [(0, "alertafter"), (3, "numalerts")]);
}

const CHAIN: &str = "watch r\nservice ping\ninterval 1s\nmonitor m\nperiod\nalert a\n\n\
    watch s\nservice ping\ninterval 1s\nmonitor m\ndepend r:ping\nperiod\nalert a\n\n\
    watch web\nservice http\ninterval 1s\nmonitor m\n";

#[test]
fn dependencies() {
    let down = |target: &str| result(target, Some(false), 1, "h");
    let up = |target: &str| result(target, Some(true), 0, "h");
    for lines in ["depend s:ping", "alertdepend s:ping"] {
        let mut desk = whole(&format!("{CHAIN}{lines}\nperiod\nalert a\nupalert a\n"));
        assert_eq!(desk.fail(0, "w"), 1, "untested is no failure");
        assert_eq!(desk.at(1, down("r ping")).len(), 1);
        assert_eq!(desk.at(2, down("s ping")).len(), 0);
        assert_eq!(desk.fail(3, "w"), 0, "two steps away");
        desk.at(4, up("s ping"));
        assert_eq!(desk.fail(5, "w"), 0);
        assert_eq!(desk.ok(6), 1, "upalerts do not depend");
        desk.at(7, up("r ping"));
        assert_eq!(desk.fail(8, "w"), 1);
    }
    let mut memory = whole(
        &CHAIN
            .replace("service ping", "service ping\ndep_memory 10s")
            .replace(
                "service http\ninterval 1s",
                "service http\ninterval 1s\ndepend s:ping\nperiod\nalert a\nperiod p:\nalert a\n#",
            )
            .replace("#\nmonitor m\n", ""),
    );
    assert_eq!(memory.at(0, down("s ping")).len(), 1);
    memory.at(1, up("s ping"));
    assert_eq!(memory.fail(10, "w"), 0, "just up again");
    assert_eq!(memory.fail(11, "w"), 2);
    // A circle ends.
    let mut circle = whole(&CHAIN.replacen("monitor m", "monitor m\ndepend web:http", 1));
    assert_eq!(circle.at(0, down("r ping")).len(), 1);
}

#[test]
fn what_should_not_have_run_changes_nothing() {
    let down = |target: &str| result(target, Some(false), 1, "h");
    let mut desk = whole(&format!("{CHAIN}monitordepend r:ping\nexclude_period hr {{3pm}}\nperiod\nalert a\n"));
    assert_eq!(desk.at(1, down("r ping")).len(), 1);
    assert_eq!(desk.fail(2, "w"), 0);
    desk.at(3, result("r ping", Some(true), 0, ""));
    assert_eq!(desk.fail(4, "w"), 1);
    assert_eq!(desk.fail(3601, "w"), 0, "15:00:01");
}

#[test]
fn hosts_that_fail_elsewhere_are_struck() {
    let text = "hostgroup web w1 w2\n\nwatch web\nservice ping\ninterval 1s\nmonitor m\nservice http\ninterval 1s\nmonitor m\n\
        hostdepend SELF:ping\nperiod\nalert a\n";
    let mut desk = whole(text);
    desk.at(0, result("web ping", Some(false), 1, "w1"));
    assert_eq!(desk.fail(1, "w1"), 0);
    let run = desk.at(2, result("web http", Some(false), 1, "w1 w2\ndetail")).remove(0);
    assert_eq!(run.input, "w2\ndetail\n");
    desk.at(3, result("web ping", Some(true), 0, ""));
    assert_eq!(desk.fail(4, "w1"), 1);
}

/// A decider that takes over from another.
fn restarted(desk: &Desk, lines: &str) -> Desk {
    let mut next = self::desk(lines);
    for (name, remembered) in desk.0.remember() {
        let text = serde_json::to_string(&remembered).unwrap();
        next.0.recall(&name.group, &name.service, serde_json::from_str(&text).unwrap());
    }
    next.0.recall("gone", "gone", Remembered::default());
    next
}

#[test]
fn nothing_is_forgotten_across_a_restart() {
    let lines = "period\nalert a\nupalert a\nalertafter 3\nalertevery 60s\nnumalerts 2";
    let mut first = desk(lines);
    assert_eq!(first.fails([0, 1]), [0, 0]);
    let mut second = restarted(&first, lines);
    assert_eq!(second.fails([2, 3]), [1, 0]);
    let mut third = restarted(&second, lines);
    assert_eq!(third.fails([61, 62]), [0, 1]);
    let mut fourth = restarted(&third, lines);
    assert_eq!(fourth.fail(200, "w1"), 0, "numalerts");
    assert_eq!(restarted(&fourth, lines).ok(201), 1);
}

#[test]
fn a_step_of_the_wall_clock_changes_nothing() {
    for step in [-86_400_000, 86_400_000] {
        let mut desk = desk("period\nalert a\nalertevery 10s");
        assert_eq!(desk.fail(0, "w1"), 1);
        let later = |ms: i64| Moment { wall: moment(ms).wall + step, ..moment(ms) };
        let runs = |d: &mut Desk, ms| {
            let decisions = d.0.take(result("web http", Some(false), 1, "w1"), &later(ms));
            decisions.iter().filter(|d| matches!(d, Decision::Run(_))).count()
        };
        assert_eq!((runs(&mut desk, 9000), runs(&mut desk, 10_000)), (0, 1));
        // What is remembered is in the new time.
        let mut next = restarted(&desk, "period\nalert a\nalertevery 10s");
        assert_eq!((runs(&mut next, 19_000), runs(&mut next, 20_000)), (0, 1));
    }
    // Remembered before the clock was set back: it holds nothing up for years.
    let lines = "period\nalert a\nalertevery 10s\nalertafter 5s";
    let mut ahead = desk(lines);
    ahead.0.take(result("web http", Some(false), 1, "w1"), &moment(86_400_000));
    ahead.0.take(result("web http", Some(false), 1, "w1"), &moment(86_410_000));
    assert_eq!(restarted(&ahead, lines).fail(0, "w1"), 1);
}

#[test]
fn a_failure_from_the_future_lasted_long() {
    let lines = "period\nalert a\nupalert b\nupalertafter 10s";
    let mut ahead = desk(lines);
    assert_eq!(ahead.fail(86_400, "w1"), 1);
    let mut back = restarted(&ahead, lines);
    let run = back.at(0, result("web http", Some(true), 0, "fine")).remove(0);
    assert_eq!((run.kind, run.cause.as_str()), (Kind::Up, "it works again"), "nobody knows after how long");
}

#[test]
fn the_last_failures_are_the_ones_that_are_remembered() {
    let lines = "period\nalert a\nalertafter 12000 12000s";
    let mut first = desk(lines);
    assert_eq!(first.fails(0..11_999).iter().sum::<usize>(), 0);
    assert_eq!(restarted(&first, lines).fail(11_999, "w1"), 1);
    let recent: Vec<i64> = (0..i64::from(mon_cf::MOST_FAILURES) + 5).collect();
    let remembered = serde_json::from_value(serde_json::json!({"status": "fail", "recent": recent})).unwrap();
    let mut full = desk(lines);
    full.0.recall("web", "http", remembered);
    let kept = &full.0.memory[0].recent;
    assert_eq!((kept.len(), kept.front()), (mon_cf::MOST_FAILURES as usize, Some(&5)), "the oldest go");
}

#[test]
fn what_has_changed_is_what_is_to_be_kept() {
    let mut desk = desk("redistribute a x\nperiod\nalert a\nupalert a\nalertafter 2\nnumalerts 1");
    let mut after = |up: Option<bool>, second| {
        desk.at(second, result("web http", up, 1, "w1"));
        desk.0.changed()
    };
    assert_eq!(after(Some(true), 0), Change::Decided, "untested before");
    assert_eq!(after(Some(true), 1), Change::Success, "though the result is passed on");
    assert_eq!(after(None, 2), Change::Nothing);
    assert_eq!(after(Some(false), 3), Change::Decided);
    assert_eq!(after(Some(false), 4), Change::Decided, "an alert");
    assert_eq!(after(Some(false), 5), Change::Counted);
    assert_eq!(after(Some(true), 6), Change::Decided);
    assert_eq!(desk.0.changed(), Change::Nothing, "asked once");
    desk.at(7, Heard::Started { reload: false });
    assert_eq!(desk.0.changed(), Change::Nothing);
}

/// Options of a period section.
#[derive(Clone, Debug)]
struct Options {
    after: Option<After>,
    every: Option<(i64, Unless)>,
    most: Option<u32>,
    no_comp: bool,
    least: Option<i64>,
}

impl Options {
    fn lines(&self) -> String {
        let mut lines = "period\nalert a\nupalert a\n".to_owned();
        match self.after {
            None => {}
            Some(After::Times(n)) => lines.push_str(&format!("alertafter {n}\n")),
            Some(After::Lasting(t)) => lines.push_str(&format!("alertafter {}s\n", t.as_secs())),
            Some(After::Within(n, t)) => lines.push_str(&format!("alertafter {n} {}s\n", t.as_secs())),
        }
        if let Some((seconds, unless)) = self.every {
            let word = match unless {
                Unless::Summary => "",
                Unless::Detail => "observe_detail",
                Unless::Success => "ignore_summary",
                Unless::Never => "strict",
            };
            lines.push_str(&format!("alertevery {seconds}s {word}\n"));
        }
        lines.extend(self.most.map(|n| format!("numalerts {n}\n")));
        lines.extend(self.least.map(|n| format!("upalertafter {n}s\n")));
        lines.push_str(if self.no_comp { "no_comp_alerts\n" } else { "" });
        lines
    }

    /// Whether an alert (or upalert) runs at the last result of a history of seconds and failures (none for a success),
    /// given which results alerted before.
    fn alerts(&self, history: &[(i64, Option<u8>)], alerted: &[bool]) -> bool {
        let (now, last) = history[history.len() - 1];
        let before = &history[..history.len() - 1];
        let failures = |h: &[(i64, Option<u8>)]| h.iter().rev().take_while(|(_, f)| f.is_some()).count();
        let run = failures(if last.is_some() { history } else { before });
        let end = if last.is_some() { history.len() } else { before.len() };
        let streak = &history[end - run..end];
        let sent = (end - run..before.len()).filter(|n| alerted[*n]).count() as u32;
        let Some(said) = last else {
            let long = streak.first().is_some_and(|(first, _)| self.least.is_none_or(|least| now - first >= least));
            return run > 0 && long && (self.no_comp || sent > 0);
        };
        let strict = matches!(self.every, Some((_, Unless::Never)));
        let alerts = (0..before.len()).filter(|n| alerted[*n] && history[*n].1.is_some());
        let latest = alerts.filter(|n| strict || *n >= end - run).map(|n| history[n].0).max();
        let same = match self.every {
            // The low bit is the detail, the rest the summary.
            Some((_, Unless::Detail)) => run > 1 && streak[run - 2].1 == Some(said),
            Some((_, Unless::Summary)) => run > 1 && streak[run - 2].1.map(|s| s / 2) == Some(said / 2),
            _ => true,
        };
        let soon = self.every.is_some_and(|(time, _)| latest.is_some_and(|l| now - l < time)) && same;
        let early = match self.after {
            None => false,
            Some(After::Times(n)) => run < n as usize,
            Some(After::Lasting(t)) => now - streak[0].0 <= t.as_secs() as i64,
            Some(After::Within(n, t)) => {
                let n = n as usize;
                run < n || now - streak[run - n].0 > t.as_secs() as i64
            }
        };
        !(soon || early || self.most.is_some_and(|most| sent >= most))
    }
}

fn options() -> impl Strategy<Value = Options> {
    let after = prop_oneof![
        Just(None),
        (1u32..4).prop_map(|n| Some(After::Times(n))),
        (1u64..20).prop_map(|t| Some(After::Lasting(Duration::from_secs(t)))),
        (1u32..4, 5u64..20).prop_map(|(n, t)| Some(After::Within(n, Duration::from_secs(t)))),
    ];
    let unless = prop_oneof![Just(Unless::Summary), Just(Unless::Detail), Just(Unless::Success), Just(Unless::Never)];
    let every = prop::option::of((1i64..30, unless));
    let most = prop::option::of(1u32..4);
    let least = prop::option::of(1i64..20);
    (after, every, most, any::<bool>(), least).prop_map(|(after, every, most, no_comp, least)| Options {
        after,
        every,
        most,
        no_comp,
        least,
    })
}

proptest! {
    /// Restarts anywhere change nothing, and all rules together do what the history says.
    #[test]
    fn as_the_model_says(options in options(),
                         steps in prop::collection::vec((1i64..8, prop::option::weighted(0.7, 0u8..4), any::<bool>()), 1..40)) {
        let lines = options.lines();
        let mut desk = desk(&lines);
        let mut now = 0;
        let (mut history, mut alerted) = (Vec::new(), Vec::new());
        for (step, failure, restart) in steps {
            now += step;
            if restart {
                desk = restarted(&desk, &lines);
            }
            let ran = match failure {
                Some(said) => desk.fail(now, &format!("s{}\nd{}", said / 2, said % 2)),
                None => desk.ok(now),
            };
            history.push((now, failure));
            let wanted = options.alerts(&history, &alerted);
            alerted.push(wanted);
            prop_assert_eq!(ran, usize::from(wanted), "{} {:?}", lines, history);
        }
    }
}
