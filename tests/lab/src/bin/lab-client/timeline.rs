//! From what a watcher, a client and a script wrote down to a story that a person reads: a table of what happened when,
//! and how long each switch took. Pure but for reading the files; what makes it happen is the script's.
//!
//! An act begins with the mark `act` of the tool `demo` (`what` its title, `cause` the fault), and its second half with
//! the mark `repair`. The switch before the repair is the take-over, the one after it the failback. An act whose mark says
//! `expect=nothing` is to have none. In a cluster (the tool `cluster`) `who` is the node that a line is of, and `home` says
//! that it is the one that the group prefers.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use serde_json::Value;

/// A client's summary lists no shorter gaps than this.
const UNLISTED: Duration = Duration::from_millis(20);

/// In the story of a cluster, where whole nodes start and stop beside the server, a shorter gap is only their weight on the
/// machine; what the client itself stood still does not count.
const LIGHT: Duration = Duration::from_millis(150);

/// What a line means for the story, beside its words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// Its title, and whether a switch belongs to it.
    Act(String, bool),
    Repair,
    /// The watcher thinks that the primary is down.
    Down,
    /// The address is on the standby.
    Taken,
    /// The standby serves.
    Active,
    /// The watcher thinks that the primary is well.
    Up,
    GivenBack,
    Nothing,
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    at: SystemTime,
    who: String,
    words: String,
    meaning: Meaning,
}

/// A time without an answer, as the client's summary lists it.
#[derive(Debug)]
struct Gap {
    from: SystemTime,
    to: SystemTime,
    length: Duration,
    /// For how much of it the client itself stood still.
    stalled: Duration,
}

/// How one switch went; times since the fault or the repair.
#[derive(Debug, Default)]
struct Switch {
    noticed: Option<Duration>,
    moved: Option<Duration>,
    outage: Option<Duration>,
    done: bool,
}

/// The whole story.
#[derive(Debug)]
pub struct Story {
    /// The table and the summary.
    pub text: String,
    /// Whether every act has its take-over and its failback, and the client was served at the end.
    pub complete: bool,
}

/// Reads the files, prints their story and returns whether it is complete.
///
/// # Errors
/// A file that cannot be read, a line that is no JSON or has no time, and a story without an act.
pub fn run(files: &[PathBuf]) -> anyhow::Result<bool> {
    let mut lines = Vec::new();
    for file in files {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        for (number, line) in text.lines().enumerate() {
            lines.push(serde_json::from_str(line).with_context(|| format!("{name}, line {}: no JSON", number + 1))?);
        }
    }
    let story = tell(&lines)?;
    // A closed standard output: nobody wants it.
    let _ = std::io::stdout().write_all(story.text.as_bytes());
    Ok(story.complete)
}

/// The story of these lines, in whatever order they come.
///
/// # Errors
/// A line without a time, and lines without an act.
pub fn tell(lines: &[Value]) -> anyhow::Result<Story> {
    let mut rows = Vec::new();
    let mut gaps = Vec::new();
    let mut served_at_end = None;
    for line in lines {
        if line["client"] == "summary" {
            served_at_end = line["served_at_end"].as_bool();
            for gap in line["gaps"].as_array().into_iter().flatten() {
                let [length, stalled] = [length(gap, "ms")?, length(gap, "stalled_ms")?];
                gaps.push(Gap { from: time(gap, "from")?, to: time(gap, "to")?, length, stalled });
            }
        } else if line["client"].is_null() && line["event"] != "ending" {
            rows.push(row(line)?);
        }
    }
    let faults: Vec<SystemTime> =
        rows.iter().filter(|row| matches!(row.meaning, Meaning::Act(..))).map(|row| row.at).collect();
    if faults.is_empty() {
        bail!("no act in these files");
    }
    let unlisted = if lines.iter().any(|line| line["tool"] == "cluster") { LIGHT } else { UNLISTED };
    gaps.retain(|gap| gap.length.saturating_sub(gap.stalled) >= unlisted);
    for gap in &gaps {
        // The last answer may have come just before the fault was written down: it belongs to this act all the same.
        let from = faults.iter().find(|&&fault| gap.from < fault && fault < gap.to).unwrap_or(&gap.from);
        let last = "has no answer from here on".to_owned();
        let again = format!("is answered again: {} without service", shown(gap.length));
        rows.push(Row { at: *from, who: "client".to_owned(), words: last, meaning: Meaning::Nothing });
        rows.push(Row { at: gap.to, who: "client".to_owned(), words: again, meaning: Meaning::Nothing });
    }
    rows.sort_by_key(|row| row.at);
    let mut text = String::new();
    let mut complete = true;
    let mut summary = Vec::new();
    let starts: Vec<usize> = (0..rows.len()).filter(|&i| matches!(rows[i].meaning, Meaning::Act(..))).collect();
    for (number, &start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(rows.len());
        let next = rows.get(end).map(|row| row.at);
        let act = &rows[start..end];
        let Meaning::Act(title, switches) = &act[0].meaning else { continue };
        let _ = writeln!(text, "\nAct {}: {title}\n", number + 1);
        for row in act {
            let _ = writeln!(text, "{:8.3} s  {:<8} {}", since(act[0].at, row.at).as_secs_f64(), row.who, row.words);
        }
        if !switches {
            let none = no_switch(act, next, &gaps);
            complete &= none.done;
            summary.push(("no switch", title.as_str(), none));
            continue;
        }
        let over = take_over(act, &gaps);
        let back = failback(act, next, &gaps);
        complete &= over.done && back.done;
        summary.push(("take-over", title.as_str(), over));
        summary.push(("failback", "", back));
    }
    let _ =
        writeln!(text, "\n{:<22}{:<11}{:>13}{:>15}{:>18}", "", "", "noticed after", "moved after", "client's outage");
    for (kind, title, switch) in &summary {
        let _ = writeln!(text, "{title:<22}{kind:<11}{}", columns(switch, unlisted));
    }
    text.push('\n');
    match served_at_end {
        None => text.push_str("The client wrote no summary: its outages are not known.\n"),
        Some(false) => text.push_str("The client was without service at the end.\n"),
        Some(true) => {}
    }
    complete &= served_at_end == Some(true);
    text.push_str(if complete {
        "Every switch happened: the standby took over, and gave the address back.\n"
    } else {
        "NOT every switch happened.\n"
    });
    Ok(Story { text, complete })
}

fn take_over(act: &[Row], gaps: &[Gap]) -> Switch {
    let fault = act[0].at;
    let repair = repair(act).unwrap_or(act.len());
    let half = &act[..repair];
    let active = first(half, &Meaning::Active);
    Switch {
        noticed: first(half, &Meaning::Down).map(|at| since(fault, at)),
        moved: first(half, &Meaning::Taken).or(active).map(|at| since(fault, at)),
        outage: longest(gaps, fault, act.get(repair).map(|row| row.at)),
        done: active.is_some(),
    }
}

fn failback(act: &[Row], end: Option<SystemTime>, gaps: &[Gap]) -> Switch {
    let Some(repair) = repair(act) else { return Switch::default() };
    let (repaired, half) = (act[repair].at, &act[repair..]);
    let back = first(half, &Meaning::GivenBack);
    Switch {
        noticed: first(half, &Meaning::Up).map(|at| since(repaired, at)),
        moved: back.map(|at| since(repaired, at)),
        outage: longest(gaps, repaired, end),
        // Taken once more: the address did not stay.
        done: back.is_some_and(|back| !half.iter().any(|row| row.meaning == Meaning::Active && row.at > back)),
    }
}

/// An act in which everything stays where it is, and the client notices nothing.
fn no_switch(act: &[Row], end: Option<SystemTime>, gaps: &[Gap]) -> Switch {
    let outage = longest(gaps, act[0].at, end);
    Switch { done: outage.is_none() && first(act, &Meaning::Active).is_none(), outage, ..Switch::default() }
}

fn repair(act: &[Row]) -> Option<usize> {
    act.iter().position(|row| row.meaning == Meaning::Repair)
}

fn first(rows: &[Row], meaning: &Meaning) -> Option<SystemTime> {
    rows.iter().find(|row| row.meaning == *meaning).map(|row| row.at)
}

/// The longest of the gaps that lie for the most part between these moments.
fn longest(gaps: &[Gap], from: SystemTime, to: Option<SystemTime>) -> Option<Duration> {
    let inside = |gap: &&Gap| {
        let middle = gap.from + since(gap.from, gap.to) / 2;
        middle >= from && to.is_none_or(|to| middle < to)
    };
    gaps.iter().filter(inside).map(|gap| gap.length).max()
}

fn columns(switch: &Switch, unlisted: Duration) -> String {
    let column = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), shown);
    let outage = match switch.outage {
        _ if !switch.done => "DID NOT HAPPEN".to_owned(),
        None => format!("under {}", shown(unlisted)),
        Some(outage) => shown(outage),
    };
    format!("{:>13}{:>15}{outage:>18}", column(switch.noticed), column(switch.moved))
}

/// The row of a line that is an event.
fn row(line: &Value) -> anyhow::Result<Row> {
    let at = time(line, "at")?;
    let word = |name: &str| line[name].as_str().unwrap_or_default();
    let (event, cause, address) = (word("event"), word("cause"), word("address"));
    let (who, meaning, words) = match (word("tool"), event) {
        ("demo", "act") => {
            let switches = word("expect") != "nothing";
            ("operator", Meaning::Act(word("what").to_owned(), switches), cause.to_owned())
        }
        ("demo", "repair") => ("operator", Meaning::Repair, cause.to_owned()),
        ("demo", "page") => ("client", Meaning::Nothing, cause.to_owned()),
        ("demo", "hook") if word("what") == "on-take" => ("standby", Meaning::Taken, cause.to_owned()),
        ("demo", "hook") => ("standby", Meaning::Nothing, cause.to_owned()),
        ("standby-watch", "primary") => match word("is") {
            "down" => ("standby", Meaning::Down, format!("the primary is down: {cause}")),
            "up" => ("standby", Meaning::Up, format!("the primary is well: {cause}")),
            _ => ("standby", Meaning::Nothing, format!("cannot tell how the primary is: {cause}")),
        },
        ("standby-watch", "taking") => ("standby", Meaning::Nothing, format!("takes {address}: {cause}")),
        ("standby-watch", "active") => ("standby", Meaning::Active, format!("has {address} and serves")),
        ("standby-watch", "returned") => ("standby", Meaning::Nothing, format!("hands over: {cause}")),
        ("standby-watch", "releasing") => ("standby", Meaning::Nothing, format!("stops serving, then drops {address}")),
        ("standby-watch", "given-back") => ("standby", Meaning::GivenBack, format!("gave {address} back: {cause}")),
        ("standby-watch", _) => ("standby", Meaning::Nothing, format!("{event}: {cause}")),
        ("cluster", _) => {
            let (meaning, words) = of_a_node(line);
            (word("who"), meaning, words)
        }
        _ => ("other", Meaning::Nothing, format!("{event}: {cause}")),
    };
    Ok(Row { at, who: who.to_owned(), words, meaning })
}

/// What a node of a cluster heard, decided or came to.
fn of_a_node(line: &Value) -> (Meaning, String) {
    let word = |name: &str| line[name].as_str().unwrap_or_default();
    let (cause, node, is) = (word("cause"), word("node"), word("is"));
    let home = line["home"] == true;
    match word("event") {
        "acquire" => (Meaning::Nothing, format!("takes the group: {cause}")),
        "release" if home => (Meaning::Down, format!("gives the group up: {cause}")),
        "release" => (Meaning::Up, format!("gives the group up: {cause}")),
        "state" if home => (Meaning::GivenBack, "has the group, and serves".to_owned()),
        "state" => (Meaning::Active, "has the group, and serves".to_owned()),
        "node" if matches!(is, "dead" | "left") => (Meaning::Down, format!("{node} is {is}: {cause}")),
        "node" if is == "up" => (Meaning::Up, format!("{node} is up: {cause}")),
        "link" => (Meaning::Nothing, format!("{} to {node} is {is}: {cause}", word("medium"))),
        event => (Meaning::Nothing, format!("{event} {node} {is}: {cause}")),
    }
}

fn time(line: &Value, field: &str) -> anyhow::Result<SystemTime> {
    let text = line[field].as_str().with_context(|| format!("no time '{field}' in {line}"))?;
    humantime::parse_rfc3339(text).with_context(|| format!("'{text}' is no UTC time"))
}

fn length(gap: &Value, field: &str) -> anyhow::Result<Duration> {
    let ms = gap[field].as_f64().with_context(|| format!("no length '{field}' in {gap}"))?;
    Duration::try_from_secs_f64(ms / 1000.0).with_context(|| format!("{ms} ms is no length"))
}

fn since(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

fn shown(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time in the one second that the made-up stories take.
    fn at(ms: u32) -> String {
        format!("2026-01-01T00:00:00.{ms:03}000Z")
    }

    fn event(ms: u32, tool: &str, event: &str, fields: &[(&str, &str)]) -> Value {
        let mut line = serde_json::json!({"at": at(ms), "tool": tool, "event": event, "address": "10.9.0.100"});
        for (name, value) in fields {
            line[name] = (*value).into();
        }
        line
    }

    fn summary(gaps: &[(u32, u32)], served_at_end: bool) -> Value {
        let gap = |&(from, to): &(u32, u32)| serde_json::json!({"from": at(from), "to": at(to), "ms": to - from, "stalled_ms": 0});
        let gaps: Vec<Value> = gaps.iter().map(gap).collect();
        serde_json::json!({"client": "summary", "at": at(999), "served_at_end": served_at_end, "gaps": gaps})
    }

    /// A whole act: fault at 100, repair at 500.
    fn act() -> Vec<Value> {
        let watch = "standby-watch";
        vec![
            event(100, "demo", "act", &[("what", "server killed"), ("cause", "the server is killed")]),
            event(210, watch, "primary", &[("is", "down"), ("cause", "refused")]),
            event(220, watch, "taking", &[("cause", "the primary is down")]),
            event(300, "demo", "hook", &[("what", "on-take"), ("cause", "starts a server")]),
            event(340, watch, "active", &[("cause", "taken")]),
            event(500, "demo", "repair", &[("cause", "the server is started")]),
            event(610, watch, "primary", &[("is", "up"), ("cause", "it answered 200")]),
            event(700, watch, "given-back", &[("cause", "the primary answers for it")]),
        ]
    }

    fn told(lines: &[Value]) -> (Vec<String>, bool) {
        let story = tell(lines).unwrap();
        (story.text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect(), story.complete)
    }

    #[test]
    fn a_whole_act() {
        let mut lines = act();
        // Files come one after the other, not in the order of time.
        lines.insert(0, summary(&[(98, 320), (620, 680)], true));
        lines.insert(0, event(50, "standby-watch", "watching", &[("cause", "started")]));
        let (text, complete) = told(&lines);
        assert!(complete);
        assert_eq!(
            text,
            [
                "",
                "Act 1: server killed",
                "",
                "0.000 s operator the server is killed",
                "0.000 s client has no answer from here on",
                "0.110 s standby the primary is down: refused",
                "0.120 s standby takes 10.9.0.100: the primary is down",
                "0.200 s standby starts a server",
                "0.220 s client is answered again: 222 ms without service",
                "0.240 s standby has 10.9.0.100 and serves",
                "0.400 s operator the server is started",
                "0.510 s standby the primary is well: it answered 200",
                "0.520 s client has no answer from here on",
                "0.580 s client is answered again: 60 ms without service",
                "0.600 s standby gave 10.9.0.100 back: the primary answers for it",
                "",
                "noticed after moved after client's outage",
                "server killed take-over 110 ms 200 ms 222 ms",
                "failback 110 ms 200 ms 60 ms",
                "",
                "Every switch happened: the standby took over, and gave the address back.",
            ]
        );
    }

    #[test]
    fn an_act_without_a_switch_and_a_cluster() {
        let of = |ms, who: &str, name: &str, fields: &[(&str, &str)]| {
            let mut line = event(ms, "cluster", name, fields);
            line["who"] = who.into();
            line["home"] = (who == "ha1").into();
            line
        };
        let lines = vec![
            event(100, "demo", "act", &[("what", "cable cut"), ("cause", "cuts it"), ("expect", "nothing")]),
            of(150, "ha1", "link", &[("medium", "serial"), ("node", "ha2"), ("is", "dead"), ("cause", "silent")]),
            event(300, "demo", "act", &[("what", "killed"), ("cause", "kills it")]),
            of(400, "ha2", "node", &[("node", "ha1"), ("is", "dead"), ("cause", "silent")]),
            of(410, "ha2", "acquire", &[("cause", "ha1 is dead")]),
            of(450, "ha2", "state", &[]),
            event(500, "demo", "repair", &[("cause", "starts it")]),
            of(600, "ha2", "release", &[("cause", "ha1 is back")]),
            of(650, "ha1", "state", &[]),
            summary(&[(300, 460), (620, 640)], true),
        ];
        let (text, complete) = told(&lines);
        assert!(complete, "{text:#?}");
        for row in [
            "0.050 s ha1 serial to ha2 is dead: silent",
            "0.100 s ha2 ha1 is dead: silent",
            "0.150 s ha2 has the group, and serves",
            "cable cut no switch - - under 150 ms",
            "killed take-over 100 ms 150 ms 160 ms",
            "failback 100 ms 150 ms under 150 ms",
        ] {
            assert!(text.contains(&row.to_owned()), "{row}: {text:#?}");
        }
        let mut moved = lines.clone();
        moved.push(of(200, "ha2", "state", &[]));
        assert!(!told(&moved).1, "it moved though only a cable was cut");
        let mut missed = lines;
        let mut noticed = summary(&[(110, 290)], true);
        missed.push(noticed.clone());
        assert!(!told(&missed).1, "the client noticed");
        noticed["gaps"][0]["stalled_ms"] = 40.into();
        *missed.last_mut().unwrap() = noticed;
        assert!(told(&missed).1, "the client stood still for a part of it: 140 ms are left");
    }

    #[test]
    fn each_gap_counts_for_the_half_that_it_lies_in() {
        let mut lines = act();
        lines.push(event(900, "demo", "act", &[("what", "again"), ("cause", "-")]));
        lines.push(summary(&[(120, 180), (200, 290), (480, 495), (905, 990)], true));
        let (text, complete) = told(&lines);
        assert!(!complete, "the second act has no switch");
        assert!(text.contains(&"server killed take-over 110 ms 200 ms 90 ms".to_owned()), "{text:#?}");
        assert!(text.contains(&"failback 110 ms 200 ms under 20 ms".to_owned()), "{text:#?}");
        assert!(text.contains(&"again take-over - - DID NOT HAPPEN".to_owned()), "{text:#?}");
        assert_eq!(text.last().unwrap(), "NOT every switch happened.");
    }

    #[test]
    fn what_is_missing_makes_it_incomplete() {
        let whole = || act().into_iter().chain([summary(&[], true)]).collect::<Vec<_>>();
        assert!(told(&whole()).1);
        for missing in ["active", "repair", "given-back"] {
            let lines: Vec<Value> = whole().into_iter().filter(|line| line["event"] != missing).collect();
            assert!(!told(&lines).1, "{missing}");
        }
        assert!(!told(&act()).1, "no summary of the client");
        assert!(!told(&act().into_iter().chain([summary(&[], false)]).collect::<Vec<_>>()).1, "no service at the end");
        let mut late = whole();
        late.push(event(800, "standby-watch", "active", &[("cause", "taken")]));
        assert!(!told(&late).1, "taken once more");
        // Without the hook's mark the address counts as taken when the standby serves.
        let unmarked: Vec<Value> = whole().into_iter().filter(|line| line["event"] != "hook").collect();
        assert!(told(&unmarked).0.contains(&"server killed take-over 110 ms 240 ms under 20 ms".to_owned()));
    }

    #[test]
    fn what_is_no_story_is_an_error() {
        tell(&[]).unwrap_err();
        tell(&[summary(&[], true)]).unwrap_err();
        tell(&[serde_json::json!({"event": "note"})]).unwrap_err();
        tell(&[serde_json::json!({"event": "note", "at": "yesterday"})]).unwrap_err();
    }
}
