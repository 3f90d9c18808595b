//! Check commands: what their exit statuses and their words mean. Pure, but for [`run`] and [`child`].

pub mod child;
pub mod run;
pub mod target;

use std::time::Duration;

use super::Judgement;
use crate::args::probe_exec::Style;
use crate::cli::duration;
use crate::cli::event::Event;
use target::Target;

/// How much of the first line is kept, and how much of the rest, in bytes.
pub const MOST_DETAIL: usize = 8 * 1024;

/// How one run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exit(i32),
    /// Somebody else's signal ended it.
    Signal(i32),
    /// It took too long, and we ended it.
    TimedOut,
    /// It took too long, was killed, and is there all the same.
    Stuck,
    /// It could not be started: the kernel's number, and words.
    NotRun(i32, String),
}

/// What is known of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// All that it printed, up to a bound.
    pub said: Vec<u8>,
    /// From its start to the verdict.
    pub total: Duration,
    /// How long this process was not run meanwhile.
    pub late: Duration,
}

impl Outcome {
    /// The first line, and the rest.
    pub fn words(&self) -> (String, String) {
        let text = String::from_utf8_lossy(&self.said);
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        (cut(first.trim_end_matches('\r'), MOST_DETAIL).to_owned(), cut(rest, MOST_DETAIL).to_owned())
    }

    fn status(&self) -> Option<i32> {
        match self.ending {
            Ending::Exit(status) => Some(status),
            _ => None,
        }
    }
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a run says of its target.
pub fn judge(outcome: &Outcome, style: Style, timeout: Duration) -> Judgement {
    let (summary, _) = outcome.words();
    let said = if summary.trim().is_empty() { "it said nothing".to_owned() } else { format!("it said '{summary}'") };
    let limit = duration::words(timeout);
    match &outcome.ending {
        Ending::TimedOut | Ending::Stuck if outcome.late >= timeout / 2 => Judgement::cannot_tell(
            "stalled",
            format!("this process was not run for {}: the machine is overloaded", duration::words(outcome.late)),
        ),
        // mon's monitors have time-outs of their own; one that hangs has failed, and its callers know nothing third.
        Ending::TimedOut if style == Style::Mon => {
            Judgement::down("timeout", format!("the monitor took longer than {limit}, and was ended"))
        }
        Ending::TimedOut => Judgement::cannot_tell(
            "timeout",
            format!("the check took longer than {limit}, and was ended: give it more with --timeout, or less to do"),
        ),
        Ending::Stuck if style == Style::Mon => {
            Judgement::down("stuck", "the monitor was killed, and still hangs in the kernel")
        }
        Ending::Stuck => Judgement::cannot_tell("stuck", "the check was killed, and still hangs in the kernel"),
        Ending::NotRun(nix::libc::ENOENT, why) => {
            Judgement::cannot_tell("not-found", format!("the command was not found ({why}): check its path"))
        }
        Ending::NotRun(nix::libc::EACCES, why) => Judgement::cannot_tell(
            "not-executable",
            format!("the command may not be run ({why}): chmod a+x, or choose another user"),
        ),
        Ending::NotRun(_, why) => Judgement::cannot_tell("not-run", format!("the command could not be run: {why}")),
        Ending::Signal(number) => {
            let name = nix::sys::signal::Signal::try_from(*number).map_or(number.to_string(), |s| s.to_string());
            Judgement::cannot_tell("killed", format!("somebody ended the command with {name}"))
        }
        Ending::Exit(126) => {
            Judgement::cannot_tell("not-executable", format!("status 126, something could not be run: {said}"))
        }
        Ending::Exit(127) => {
            Judgement::cannot_tell("not-found", format!("status 127, something was not found: {said}"))
        }
        Ending::Exit(status) => ended(*status, style, &said),
    }
}

fn ended(status: i32, style: Style, said: &str) -> Judgement {
    let words = format!("status {status}: {said}");
    match (style, status) {
        (_, 0) => Judgement::up(words),
        (Style::Nagios, 1) => Judgement { reason: "warning", ..Judgement::up(words) },
        (Style::Nagios, 2) => Judgement::down("critical", words),
        (Style::Mon, _) => Judgement::down("failed", words),
        (Style::Lsb, 1 | 2) => Judgement::down("dead", words),
        (Style::Lsb, 3) => Judgement::down("not-running", words),
        (Style::Nagios | Style::Lsb, _) => Judgement::cannot_tell("unknown", words),
    }
}

/// The event of one run.
pub fn event(target: &Target, judgement: &Judgement, outcome: &Outcome) -> Event {
    let (summary, detail) = outcome.words();
    let is = match judgement.verdict.up() {
        Some(true) => "up",
        Some(false) => "down",
        None => "cannot tell",
    };
    let event = Event::new("probe", format!("{} {is}: {}", target.name, judgement.cause)).with("target", &*target.name);
    judgement
        .describe(event)
        .with("status", outcome.status())
        .with("summary", summary)
        .with("detail", detail)
        .ms("total_ms", outcome.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Verdict::{CannotTell, Down, Up};

    fn outcome(ending: Ending) -> Outcome {
        Outcome { ending, said: b"words\nmore\n".to_vec(), total: Duration::ZERO, late: Duration::ZERO }
    }

    #[test]
    fn statuses() {
        let timeout = Duration::from_secs(1);
        let of = |style, ending| {
            let judgement = judge(&outcome(ending), style, timeout);
            (judgement.verdict, judgement.reason)
        };
        let table = [
            (Ending::Exit(0), (Up, "ok"), (Up, "ok"), (Up, "ok")),
            (Ending::Exit(1), (Up, "warning"), (Down, "failed"), (Down, "dead")),
            (Ending::Exit(2), (Down, "critical"), (Down, "failed"), (Down, "dead")),
            (Ending::Exit(3), (CannotTell, "unknown"), (Down, "failed"), (Down, "not-running")),
            (Ending::Exit(4), (CannotTell, "unknown"), (Down, "failed"), (CannotTell, "unknown")),
            (Ending::Exit(255), (CannotTell, "unknown"), (Down, "failed"), (CannotTell, "unknown")),
            (Ending::TimedOut, (CannotTell, "timeout"), (Down, "timeout"), (CannotTell, "timeout")),
            (Ending::Stuck, (CannotTell, "stuck"), (Down, "stuck"), (CannotTell, "stuck")),
        ];
        for (ending, nagios, mon, lsb) in table {
            let got = [Style::Nagios, Style::Mon, Style::Lsb].map(|style| of(style, ending.clone()));
            assert_eq!(got, [nagios, mon, lsb], "{ending:?}");
        }
        for style in [Style::Nagios, Style::Mon, Style::Lsb] {
            for (ending, reason) in [
                (Ending::Exit(126), "not-executable"),
                (Ending::Exit(127), "not-found"),
                (Ending::Signal(9), "killed"),
                (Ending::Signal(40), "killed"),
                (Ending::NotRun(nix::libc::ENOENT, String::new()), "not-found"),
                (Ending::NotRun(nix::libc::EACCES, String::new()), "not-executable"),
                (Ending::NotRun(nix::libc::EMFILE, String::new()), "not-run"),
            ] {
                assert_eq!(of(style, ending), (CannotTell, reason));
            }
            let late = Outcome { late: timeout / 2, ..outcome(Ending::TimedOut) };
            assert_eq!(judge(&late, style, timeout).reason, "stalled");
        }
    }

    #[test]
    fn words_are_bounded_and_whole() {
        let said = |text: &str| Outcome { said: text.as_bytes().to_vec(), ..outcome(Ending::Exit(0)) }.words();
        assert_eq!(said(""), (String::new(), String::new()));
        assert_eq!(said("a\r\nb\nc"), ("a".to_owned(), "b\nc".to_owned()));
        let (summary, detail) = said(&format!("{}\n{}", "ä".repeat(9000), "x".repeat(9000)));
        assert!(summary.len() <= MOST_DETAIL && summary.chars().all(|c| c == 'ä'));
        assert_eq!(detail.len(), MOST_DETAIL);
    }
}
