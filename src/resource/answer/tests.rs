use proptest::prelude::*;

use super::*;
use Class::{Heartbeat, Lsb, Ocf, Systemd};
use State::{Failed, Running, Stopped, Unknown};

fn report(ended: Ended, out: &str) -> Report {
    let mut listener = Listener::default();
    listener.hear(out.as_bytes());
    Report { ended, said: listener.said(), out: out.to_owned(), tail: out.to_owned() }
}

fn status(class: Class, code: i32, out: &str) -> (State, bool) {
    let judged = judge(class, Action::Status, &report(Ended::Exit(code), out));
    assert!(!judged.meaning.is_empty());
    (judged.state, judged.may_start)
}

#[test]
fn heartbeat_scripts_answer_in_words() {
    for (code, out, state, may_start) in [
        (0, "running\n", Running, false),
        (3, "Running", Running, false),
        (0, "INFO:  Running OK", Running, false),
        (0, "OK", Running, false),
        (0, "stopped\n", Stopped, false),
        (0, "not running", Stopped, false),
        (1, "httpd is NOT Running", Stopped, false),
        (0, "not currently running", Stopped, false),
        (0, "running, not stopped", Running, false),
        (7, "INFO: Resource is stopped", Stopped, false),
        (1, "ERROR: Generic error", Failed, false),
        (3, "", Unknown, true),
        (7, "", Stopped, false),
        (0, "", Unknown, true),
        (1, " \n", Unknown, true),
        (2, "", Unknown, false),
        (2, "Usage: x {start|stop}", Unknown, true),
        (3, "usage: x", Unknown, true),
        (127, "sh: x: not found", Unknown, false),
        (126, "not running", Unknown, false),
        (137, "stopped", Unknown, false),
        (0, "RUNNING", Stopped, false), // as heartbeat has it
        (0, "ok", Stopped, false),
    ] {
        assert_eq!(status(Heartbeat, code, out), (state, may_start), "{code} '{out}'");
    }
}

/// Only this makes a stop that was refused one that had nothing to do.
#[test]
fn what_is_said_in_so_many_words() {
    for (class, code, out, said_off) in [
        (Heartbeat, 0, "old is stopped\n", true),
        (Heartbeat, 1, "INFO: Stopped.", true),
        (Heartbeat, 1, "httpd is not running", true),
        (Heartbeat, 3, "httpd is down", true),
        (Heartbeat, 7, "", true),
        (Heartbeat, 0, "httpd is down", false),
        (Heartbeat, 1, "some of r0 are primary", false),
        (Heartbeat, 1, "it cannot be stopped", false),
        (Heartbeat, 1, "not stopped", false),
        (Heartbeat, 1, "one\nis stopped", false),
        (Heartbeat, 4, "is stopped", false),
        (Heartbeat, 4, "it may be not running", false),
        (Heartbeat, 0, "running", false),
        (Heartbeat, 3, "", false),
        (Lsb, 3, "", true),
        (Lsb, 4, "not running", false),
        (Ocf, 7, "", true),
        (Ocf, 5, "", false),
        (Systemd, 0, "LoadState=loaded\nActiveState=inactive\n", true),
        (Systemd, 0, "LoadState=loaded\nActiveState=failed\n", false),
    ] {
        let judged = judge(class, Action::Status, &report(Ended::Exit(code), out));
        assert_eq!(judged.said_off, said_off, "{class:?} {code} '{out}'");
        assert!(!said_off || judged.state == Stopped);
    }
}

/// Scripts without that action end with 1, 2 or 3, which LSB has for other things.
#[test]
fn a_usage_line_is_no_status() {
    for code in 0..=3 {
        for class in [Heartbeat, Lsb] {
            assert_eq!(status(class, code, "Usage: /etc/init.d/x {start|stop}\n"), (Unknown, true), "{class:?} {code}");
        }
    }
}

#[test]
fn codes() {
    for (class, code, state) in [
        (Lsb, 0, Running),
        (Lsb, 1, Failed),
        (Lsb, 2, Failed),
        (Lsb, 3, Stopped),
        (Lsb, 4, Unknown),
        (Lsb, 7, Unknown),
        (Lsb, 150, Unknown),
        (Ocf, 0, Running),
        (Ocf, 1, Failed),
        (Ocf, 2, Unknown),
        (Ocf, 3, Unknown),
        (Ocf, 4, Unknown),
        (Ocf, 5, Unknown),
        (Ocf, 6, Unknown),
        (Ocf, 7, Stopped),
        (Ocf, 8, Running),
        (Ocf, 9, Failed),
        (Ocf, 190, Running),
        (Ocf, 10, Unknown),
        (Ocf, 127, Unknown),
    ] {
        assert_eq!(status(class, code, "running OK not running"), (state, false), "{class:?} {code}");
    }
}

#[test]
fn units() {
    for (code, out, state, may_start) in [
        (0, "LoadState=loaded\nActiveState=active\nSubState=running\n", Running, false),
        (0, "LoadState=loaded\nActiveState=reloading\nSubState=reload\n", Running, false),
        (0, "LoadState=loaded\nActiveState=inactive\nSubState=dead\n", Stopped, false),
        (0, "LoadState=masked\nActiveState=inactive\nSubState=dead\n", Stopped, false),
        (0, "LoadState=loaded\nActiveState=failed\nSubState=failed\n", Failed, false),
        (0, "LoadState=loaded\nActiveState=activating\nSubState=start\n", Unknown, true),
        (0, "LoadState=loaded\nActiveState=deactivating\nSubState=stop\n", Unknown, false),
        (0, "LoadState=not-found\nActiveState=inactive\nSubState=dead\n", Unknown, false),
        (0, "LoadState=not-found\nActiveState=active\nSubState=running\n", Running, false), // its file was deleted
        (1, "", Unknown, false),
        (0, "nonsense", Unknown, false),
    ] {
        assert_eq!(status(Systemd, code, out), (state, may_start), "{code} {out}");
    }
}

#[test]
fn starts_and_stops() {
    for (class, action, code, state) in [
        (Heartbeat, Action::Start, 0, Running),
        (Heartbeat, Action::Start, 1, Failed),
        (Heartbeat, Action::Stop, 0, Stopped),
        (Heartbeat, Action::Stop, 1, Failed),
        (Lsb, Action::Stop, 7, Stopped),
        (Lsb, Action::Stop, 5, Failed),
        (Ocf, Action::Stop, 7, Failed),
        (Ocf, Action::Start, 7, Failed),
        (Systemd, Action::Stop, 0, Stopped),
        (Systemd, Action::Stop, 5, Failed),
    ] {
        let judged = judge(class, action, &report(Ended::Exit(code), "stopped, not running"));
        assert_eq!(judged.state, state, "{class:?} {action:?} {code}");
    }
}

/// What systemctl says of its own work is not enough.
#[test]
fn a_unit_is_what_systemd_shows_afterwards() {
    for (action, load, active, state) in [
        (Action::Start, "loaded", "active", Running),
        (Action::Start, "loaded", "reloading", Running),
        (Action::Start, "loaded", "inactive", Failed),
        (Action::Start, "loaded", "failed", Failed),
        (Action::Start, "loaded", "activating", Unknown),
        (Action::Stop, "loaded", "inactive", Stopped),
        (Action::Stop, "loaded", "failed", Stopped),
        (Action::Stop, "not-found", "inactive", Stopped),
        (Action::Stop, "loaded", "active", Failed),
        (Action::Stop, "loaded", "deactivating", Unknown),
    ] {
        let out = format!("LoadState={load}\nActiveState={active}\nSubState=x\n");
        let judged = confirm(action, &report(Ended::Exit(0), &out));
        assert_eq!((judged.state, judged.may_start), (state, false), "{action:?} {out}");
        assert_eq!(confirm(action, &report(Ended::Exit(1), &out)).state, Unknown, "nobody was asked");
    }
}

fn endings() -> impl Strategy<Value = Ended> {
    prop_oneof![
        any::<u8>().prop_map(|c| Ended::Exit(c.into())),
        (1..32).prop_map(Ended::Signal),
        Just(Ended::TimedOut(Vec::new())),
        Just(Ended::TimedOut(vec![7])),
        Just(Ended::Interrupted(Vec::new())),
        Just(Ended::NotRun("no".into())),
        Just(Ended::Lost(Vec::new())),
        Just(Ended::Lost(vec![0])),
    ]
}

proptest! {
    /// Whoever did not end by itself has said nothing, whatever it printed before.
    #[test]
    fn what_did_not_end_by_itself_is_unknown(ended in endings(), out in "(not )?(running|OK|stopped|ActiveState=inactive)?.{0,20}",
            class in prop::sample::select(vec![Heartbeat, Lsb, Ocf, Systemd]),
            action in prop::sample::select(vec![Action::Start, Action::Stop, Action::Status, Action::Monitor])) {
        let by_itself = matches!(ended, Ended::Exit(_));
        let judged = judge(class, action, &report(ended, &out));
        prop_assert!(by_itself || (judged.state == Unknown && !judged.may_start));
        prop_assert!(judged.state == Unknown || !judged.may_start);
        // A failed action is never called done.
        if action == Action::Stop && judged.state == Stopped {
            prop_assert!(by_itself);
        }
    }

    /// Words are found wherever the reads cut them: as in the whole text.
    #[test]
    fn cuts_change_nothing(text in "([Nn][Oo][Tt] |[Rr]unning|OK|ERROR|usage|[ \\nnotrungOKE]){0,12}",
            cuts in prop::collection::vec(0usize..12, 0..20)) {
        let mut whole = Listener::default();
        whole.hear(text.as_bytes());
        let mut parts = Listener::default();
        let mut rest = text.as_bytes();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            parts.hear(now);
            rest = later;
        }
        parts.hear(rest);
        prop_assert_eq!(parts.said(), whole.said());
        let lower = text.to_ascii_lowercase();
        let runs = |t: &str| t.contains("running") || t.contains("Running");
        prop_assert_eq!(whole.said().running, runs(&text));
        prop_assert_eq!(whole.said().ok, text.contains("OK"));
        let after_not = lower.find("not ").map(|n| &text[n + 4..]);
        prop_assert_eq!(whole.said().not_running, after_not.is_some_and(runs));
        prop_assert_eq!(whole.said().answered, !text.trim().is_empty());
        prop_assert_eq!(whole.said().usage, lower.trim_start().starts_with("usage"));
    }
}
