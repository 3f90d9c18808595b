//! FTP: whether a server greets, lets in and gives what the path names. Pure.

use regex::bytes::Regex;

use super::Judgement;
use super::transfer::{self, Outcome, code};

/// Makes a verdict of an outcome. `named` says that somebody was to be logged in by name: then a refusal may be the fault
/// of what we were told, else it shows a server that works and knows nobody anonymous.
pub fn judge(named: bool, body: Option<&Regex>, outcome: &Outcome) -> Judgement {
    let at = outcome.address.map_or_else(String::new, |ip| format!(" at {ip}"));
    let said = outcome.status.map_or_else(String::new, |status| format!(" ({status})"));
    let message = &outcome.message;
    transfer::judge(outcome, |outcome| match outcome.code {
        _ if outcome.connected.is_none() => None,
        code::OK => Some(transfer::matches(body, outcome, &format!("it let us in{said}"))),
        // 421 and 450 to 452 are the server's own trouble, and so is whatever is not about the login.
        code::LOGIN_DENIED if outcome.status.is_some_and(|s| s < 500) => {
            Some(Judgement::down("unavailable", format!("the server{at} lets nobody in now{said}")))
        }
        code::LOGIN_DENIED if named => {
            let cause = format!("the server{at} refuses the login{said}: check the name and the password");
            Some(Judgement::cannot_tell("login-denied", cause))
        }
        code::LOGIN_DENIED => Some(Judgement::up(format!("it greets, and lets nobody in without a name{said}"))),
        code::REMOTE_ACCESS_DENIED | code::REMOTE_FILE_NOT_FOUND => {
            Some(Judgement::down("not-found", format!("the server{at} has no such folder or file{said}: {message}")))
        }
        // libcurl calls this answer a time-out wherever it comes.
        code::OPERATION_TIMEDOUT if outcome.status == Some(421) => {
            Some(Judgement::down("unavailable", format!("the server{at} serves nobody now{said}")))
        }
        code::UNSUPPORTED_PROTOCOL | code::WEIRD_SERVER_REPLY => match outcome.status {
            // The greeting was a refusal.
            Some(status @ 400..) => {
                Some(Judgement::down("unavailable", format!("the server{at} greets with {status}: {message}")))
            }
            _ => Some(Judgement::down("not-ftp", format!("what answered{at} does not speak FTP ({message})"))),
        },
        // The passive or the active connection for the data, or a command before it.
        code::FTP_WEIRD_PASS_REPLY..=code::FTP_CANT_GET_HOST | code::FTP_COULDNT_SET_TYPE | code::FTP_COULDNT_RETR => {
            Some(Judgement::down("no-data", format!("the server{at} does not hand over the data{said}: {message}")))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Verdict;
    use std::time::Duration;

    #[test]
    fn verdicts() {
        let ms = |n| Some(Duration::from_millis(n));
        let of = |code, status| Outcome {
            code,
            status,
            lookup: ms(1),
            connected: ms(2),
            timeout: Duration::from_secs(2),
            ..Outcome::default()
        };
        for (named, outcome, verdict, reason) in [
            (false, of(code::OK, Some(226)), Verdict::Up, "ok"),
            (false, of(code::LOGIN_DENIED, Some(530)), Verdict::Up, "ok"),
            (true, of(code::LOGIN_DENIED, Some(530)), Verdict::CannotTell, "login-denied"),
            (true, of(code::LOGIN_DENIED, Some(421)), Verdict::Down, "unavailable"),
            (true, of(code::WEIRD_SERVER_REPLY, Some(421)), Verdict::Down, "unavailable"),
            (true, of(code::OPERATION_TIMEDOUT, Some(421)), Verdict::Down, "unavailable"),
            (true, of(code::WEIRD_SERVER_REPLY, None), Verdict::Down, "not-ftp"),
            (true, of(code::REMOTE_FILE_NOT_FOUND, Some(550)), Verdict::Down, "not-found"),
            (true, of(13, Some(500)), Verdict::Down, "no-data"),
            (true, of(code::OPERATION_TIMEDOUT, None), Verdict::Down, "timeout-first-byte"),
            (true, Outcome { connected: None, ..of(code::WEIRD_SERVER_REPLY, None) }, Verdict::CannotTell, "unknown"),
        ] {
            let judgement = judge(named, None, &outcome);
            assert_eq!((judgement.verdict, judgement.reason), (verdict, reason), "{outcome:?}");
        }
    }
}
