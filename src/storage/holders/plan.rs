//! `--kill TERM,2s,KILL`: signals, and what to wait for between them.

use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cli::duration;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To every holder.
    Send(Signal),
    /// Until all have ended, at most this long.
    Wait(Duration),
}

/// The steps in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub Vec<Step>);

/// After the last signal this long is waited where the plan does not say: not even SIGKILL ends a process at once.
const AT_THE_END: Duration = Duration::from_secs(2);

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = text.split(',').map(|word| step(word.trim())).collect::<Result<Vec<_>, _>>()?;
        if matches!(steps.first(), Some(Step::Wait(_)) | None) {
            return Err("a signal comes first, such as TERM,2s,KILL".to_owned());
        }
        if matches!(steps.last(), Some(Step::Send(_))) {
            steps.push(Step::Wait(AT_THE_END));
        }
        Ok(Self(steps))
    }
}

fn step(word: &str) -> Result<Step, String> {
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return duration::parse(word).map(Step::Wait).map_err(|e| e.to_string());
    }
    let upper = word.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    match Signal::from_str(&name) {
        // What only stops them leaves the mount held, by processes that can no longer be asked to end.
        Ok(Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => {
            Err(format!("{name} does not end a process"))
        }
        Ok(signal) => Ok(Step::Send(signal)),
        Err(_) => Err(format!("'{word}' is neither a signal nor a duration: write TERM,2s,KILL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        let plan = |text: &str| text.parse::<Plan>().map(|p| p.0);
        let (term, kill) = (Step::Send(Signal::SIGTERM), Step::Send(Signal::SIGKILL));
        let wait = |s| Step::Wait(Duration::from_secs(s));
        assert_eq!(plan("TERM,2s,KILL"), Ok(vec![term, wait(2), kill, wait(2)]));
        assert_eq!(plan("sigterm, 5"), Ok(vec![term, wait(5)]));
        assert_eq!(plan("KILL,0s"), Ok(vec![kill, wait(0)]));
        for wrong in ["", "2s", "2s,KILL", "TERM,,KILL", "STOP", "WHATEVER", "TERM,x", "TERM,-2s"] {
            assert!(plan(wrong).is_err(), "{wrong}");
        }
    }
}
