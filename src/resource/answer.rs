//! What each class of agents means by what it answers.
//!
//! The one rule above all: what is not known is [`State::Unknown`], never stopped. An agent that ran out of time, was
//! killed or could not be run has said nothing.

use serde::{Deserialize, Serialize};

use super::spec::Class;
use super::{Action, State};

/// How a run of an agent ended. Where processes are listed, they could not be killed; 0 stands for those that cannot be
/// listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// By itself, with this status.
    Exit(i32),
    /// By a signal that was not ours; what it had started was ended.
    Signal(i32),
    /// We ended it at its deadline.
    TimedOut(Vec<i32>),
    /// We ended it because we were told to end.
    Interrupted(Vec<i32>),
    /// It could not be run.
    NotRun(String),
    /// Nobody saw its end, such as when what watched over it was killed; what it had started was ended.
    Lost(Vec<i32>),
}

/// What a run of an agent left for us to judge by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub ended: Ended,
    /// What it said on stdout, as far as heartbeat's convention asks.
    pub said: Said,
    /// The beginning of its stdout.
    pub out: String,
    /// The end of its stdout and stderr.
    pub tail: String,
}

impl Report {
    /// Nothing but how it ended.
    pub fn silent(ended: Ended) -> Self {
        Self { ended, said: Said::default(), out: String::new(), tail: String::new() }
    }
}

/// What becomes of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What to think of the resource now.
    pub state: State,
    /// The same in words, with the reason.
    pub meaning: String,
    /// Unknown, but nothing speaks against starting it: the agent knows no question of that kind, or it is on its way.
    pub may_start: bool,
    /// Stopped, and the agent said so itself: it was not made out from what it did not say.
    pub said_off: bool,
}

impl Judged {
    /// A state with the words for it, and nothing beyond that.
    pub fn new(state: State, meaning: impl Into<String>) -> Self {
        Self { state, meaning: meaning.into(), may_start: false, said_off: false }
    }
}

/// Judges what an agent of this class answered to this action.
pub fn judge(class: Class, action: Action, report: &Report) -> Judged {
    let unknown = |meaning: String| Judged::new(State::Unknown, meaning);
    let code = match &report.ended {
        Ended::Exit(code) => *code,
        Ended::Signal(signal) => return unknown(format!("it was killed by signal {signal}: nothing is known")),
        Ended::TimedOut(left) => return unknown(format!("it ran out of time and was ended{}", survivors(left))),
        Ended::Interrupted(left) => return unknown(format!("it was ended, as we were told to end{}", survivors(left))),
        Ended::NotRun(why) => return unknown(format!("it could not be run: {why}")),
        Ended::Lost(left) => return unknown(format!("nobody saw how it ended{}", survivors(left))),
    };
    match (action, class) {
        (Action::Start, _) if code == 0 => Judged::new(State::Running, "started"),
        (Action::Stop, _) if code == 0 => Judged::new(State::Stopped, "stopped"),
        (Action::Stop, Class::Lsb) if code == 7 => Judged::new(State::Stopped, "it was not running"),
        (Action::Start | Action::Stop, _) => Judged::new(State::Failed, refusal(class, code)),
        (Action::Metadata, _) if code == 0 => Judged::new(State::Unknown, "described"),
        (Action::Metadata, _) => unknown(refusal(class, code)),
        (Action::Status | Action::Monitor, Class::Heartbeat) => text_status(code, report),
        (Action::Status | Action::Monitor, Class::Lsb) => lsb_status(code, report.said),
        (Action::Status | Action::Monitor, Class::Ocf) => ocf_status(code),
        (Action::Status | Action::Monitor, Class::Systemd) => unit_status(code, &report.out),
    }
}

fn survivors(pids: &[i32]) -> String {
    match pids {
        [] => String::new(),
        pids => {
            let name = |pid: &i32| if *pid == 0 { "some that cannot be listed".to_owned() } else { pid.to_string() };
            let list: Vec<String> = pids.iter().map(name).collect();
            format!("; even SIGKILL did not end {}", list.join(", "))
        }
    }
}

/// What a start or stop that did not end with 0 means.
fn refusal(class: Class, code: i32) -> String {
    // LSB (init script actions) and OCF agree on these, but for 3 of LSB and 7.
    let why = match (class, code) {
        (Class::Heartbeat | Class::Systemd, _) => None,
        (_, 2) => Some("wrong arguments"),
        (_, 3) => Some("it does not know that action"),
        (_, 4) => Some("not enough privileges"),
        (_, 5) => Some("a program is not installed"),
        (_, 6) => Some("not configured"),
        (_, 7) => Some("not running"),
        (Class::Ocf, 8) => Some("running promoted"),
        (Class::Ocf, 9) => Some("failed while promoted"),
        _ => None,
    };
    why.map_or_else(|| format!("it failed with status {code}"), |why| format!("it failed with status {code}: {why}"))
}

/// By heartbeat's own convention: the text decides, whatever the status.
fn text_status(code: i32, report: &Report) -> Judged {
    let said = report.said;
    if code >= 126 {
        // A shell says so of what it could not run, or saw killed: not the script's own word.
        return Judged::new(State::Unknown, format!("its status ended with {code}, which is no answer"));
    }
    let off = |said_off, meaning: &str| Judged { said_off, ..Judged::new(State::Stopped, meaning) };
    // 3 is LSB's word for it, 7 OCF's; 4 is LSB's for what nobody can tell.
    let by_code = matches!(code, 3 | 7);
    if said.not_running {
        return off(code != 4, "it says that it is not running");
    }
    if said.running || said.ok {
        return Judged::new(State::Running, "it says that it runs");
    }
    if said.error {
        return Judged::new(State::Failed, "it complains of an error");
    }
    match (said.answered, said.usage, code) {
        (_, true, _) => asks_in_vain("it does not know the question"),
        (true, ..) if says_stopped(&report.out) => off(code != 4, "it says that it is stopped"),
        (true, ..) => off(by_code, "it answers, and does not say that it runs"),
        // Debian's SendArp, for one, hands this status of an OCF agent on and has no time for words.
        (false, _, 7) => off(by_code, "it says nothing, with the status of an OCF agent that does not run"),
        // A script without that action ends with 0 or 1, or with 3, as LSB has it for what is not implemented.
        (false, _, 0 | 1 | 3) => asks_in_vain("it does not answer the question"),
        (false, ..) => Judged::new(State::Unknown, format!("its status ended with {code}, and no word")),
    }
}

fn asks_in_vain(meaning: &str) -> Judged {
    Judged { may_start: true, ..Judged::new(State::Unknown, meaning) }
}

/// `stopped` alone, behind `is`, or behind a colon, as the last word of a single line.
fn says_stopped(out: &str) -> bool {
    let line = out.trim();
    let mut words = line.split_whitespace().rev();
    let last = words.next().map(|w| w.trim_end_matches(['.', '!']));
    let before = words.next();
    !line.contains('\n')
        && last.is_some_and(|w| w.eq_ignore_ascii_case("stopped"))
        && before.is_none_or(|w| w.eq_ignore_ascii_case("is") || w.ends_with(':'))
}

fn lsb_status(code: i32, said: Said) -> Judged {
    match code {
        // Whatever the status: that is what scripts without this action end with.
        _ if said.usage => asks_in_vain("it does not know the question"),
        0 => Judged::new(State::Running, "it runs"),
        1 => Judged::new(State::Failed, "it is dead, and left its pid file"),
        2 => Judged::new(State::Failed, "it is dead, and left its lock file"),
        3 => Judged { said_off: true, ..Judged::new(State::Stopped, "it does not run") },
        4 => Judged::new(State::Unknown, "it does not know"),
        _ => Judged::new(State::Unknown, format!("status {code} means nothing that is agreed upon")),
    }
}

fn ocf_status(code: i32) -> Judged {
    match code {
        0 => Judged::new(State::Running, "it runs"),
        1 => Judged::new(State::Failed, "it has failed"),
        7 => Judged { said_off: true, ..Judged::new(State::Stopped, "it does not run") },
        8 => Judged::new(State::Running, "it runs, promoted"),
        9 => Judged::new(State::Failed, "it has failed, promoted"),
        190 => Judged::new(State::Running, "it runs, degraded"),
        191 => Judged::new(State::Running, "it runs, promoted and degraded"),
        // About the question, not about the resource: something may well run.
        2..=6 => Judged::new(State::Unknown, refusal(Class::Ocf, code)),
        _ => Judged::new(State::Unknown, format!("status {code} means nothing that is agreed upon")),
    }
}

/// By what `systemctl show` prints: LoadState, ActiveState and SubState.
fn unit_status(code: i32, out: &str) -> Judged {
    let value = |key: &str| out.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let (load, active, sub) = (value("LoadState"), value("ActiveState"), value("SubState"));
    let unknown = |meaning: String| Judged::new(State::Unknown, meaning);
    if code != 0 || active.is_empty() {
        return unknown(format!("systemctl ended with status {code} and does not say"));
    }
    let words = format!("systemd says {active} ({sub})");
    let known = |state| Judged::new(state, words.clone());
    match (load, active) {
        (_, "active" | "reloading" | "refreshing") => known(State::Running),
        (_, "failed") => known(State::Failed),
        ("not-found" | "error" | "bad-setting", _) => unknown(format!("systemd cannot load the unit: {load}")),
        (_, "inactive") => Judged { said_off: true, ..known(State::Stopped) },
        (_, "activating") => Judged { may_start: true, ..unknown(words) },
        _ => unknown(words),
    }
}

/// Judges a start or stop that systemctl called done, by what it shows of the unit afterwards: in a chroot, and where it was
/// told to, it does nothing and calls that done.
pub fn confirm(action: Action, shown: &Report) -> Judged {
    let after = judge(Class::Systemd, Action::Status, shown);
    let meaning = format!("systemctl calls it done, and {}", after.meaning);
    // A unit whose file is gone is forgotten as soon as it is stopped.
    let is = |active: &str| shown.ended == Ended::Exit(0) && shown.out.lines().any(|l| l == active);
    let off = is("ActiveState=inactive") || is("ActiveState=failed");
    match (action, after.state) {
        (Action::Start, State::Running) => Judged::new(State::Running, meaning),
        (Action::Stop, _) if off => Judged::new(State::Stopped, meaning),
        (_, State::Unknown) => Judged::new(State::Unknown, meaning),
        _ => Judged::new(State::Failed, meaning),
    }
}

/// What heartbeat looks for in the words of a `status`: `*[Nn][Oo][Tt]\ *[Rr]unning*`, then `*[Rr]unning*` or `*OK*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Anything but blanks.
    pub answered: bool,
    /// `not`, a blank, and `running` somewhere behind.
    pub not_running: bool,
    /// `running`.
    pub running: bool,
    /// `OK`.
    pub ok: bool,
    /// `ERROR`, as the scripts of Debian's heartbeat print it.
    pub error: bool,
    /// It begins, on stdout or stderr, as the help of a script that does not know the action.
    pub usage: bool,
}

/// Looks for those words in output of any length, as it comes.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    said: Said,
    /// The last bytes, shorter than the longest word: one may be cut in two.
    carry: Vec<u8>,
    /// How many bytes came before the carry.
    before: usize,
    /// Where the first `not ` ends.
    not: Option<usize>,
    /// The first letters that are no blanks.
    head: Vec<u8>,
}

const RUNNING: &[u8] = b"unning";
const USAGE: &[u8] = b"usage";

impl Listener {
    /// Takes what has come.
    pub fn hear(&mut self, bytes: &[u8]) {
        let start = if self.head.is_empty() { bytes.trim_ascii_start() } else { bytes };
        self.head.extend(start.iter().take(USAGE.len() - self.head.len()));
        self.said.answered = !self.head.is_empty();
        self.said.usage = self.head.eq_ignore_ascii_case(USAGE);
        let mut text = std::mem::take(&mut self.carry);
        text.extend_from_slice(bytes);
        let not = text.windows(4).position(|w| w.eq_ignore_ascii_case(b"not "));
        self.not = self.not.or(not.map(|n| self.before + n + 4));
        for (n, w) in text.windows(RUNNING.len() + 1).enumerate() {
            if matches!(w[0], b'r' | b'R') && &w[1..] == RUNNING {
                self.said.running = true;
                self.said.not_running |= self.not.is_some_and(|end| self.before + n >= end);
            }
        }
        self.said.ok |= text.windows(2).any(|w| w == b"OK");
        self.said.error |= text.windows(5).any(|w| w == b"ERROR");
        let keep = text.len().min(RUNNING.len());
        self.before += text.len() - keep;
        self.carry = text.split_off(text.len() - keep);
    }

    /// What was found so far.
    pub fn said(&self) -> Said {
        self.said
    }
}

#[cfg(test)]
mod tests;
