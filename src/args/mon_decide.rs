//! `mon-decide`: who is told of a failure, as a filter.

use std::path::PathBuf;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{OutputArgs, Tool};

/// Decide which alerts of a mon.cf run: results in, alerts out
#[derive(Parser, Clone, Debug)]
#[command(name = "mon-decide", version)]
pub struct MonDecide {
    /// The mon.cf
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where results come from: files, FIFOs, or - for stdin
    #[arg(value_name = "INPUT", default_value = "-")]
    pub inputs: Vec<PathBuf>,
    /// Read what an earlier run remembered from this file, and keep it there
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// How far the clocks of periods are ahead of UTC [default: as the time zone has it at each result]
    #[arg(long, value_name = "+HH:MM", value_parser = offset, allow_hyphen_values = true)]
    pub utc_offset: Option<i32>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

impl Tool for MonDecide {
    const NAME: &'static str = "mon-decide";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Seconds, from `+02:00`, `-0330` or `0`.
fn offset(text: &str) -> Result<i32, String> {
    let wrong = || format!("'{text}' is no offset: write it as +02:00, or as date +%z does");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replacen(':', "", 1);
    let number: i32 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)?;
    let (hours, minutes) = if digits.len() <= 2 { (number, 0) } else { (number / 100, number % 100) };
    if digits.len() > 4 || hours > 15 || minutes > 59 {
        return Err(wrong());
    }
    Ok(sign * (hours * 3600 + minutes * 60))
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Reads the results of probe-exec (the event probe, with \"GROUP SERVICE\" as its target) and prints an alert for each program \
         that mon would run now: its arguments (-s, -g, -h, -t, -u), its environment (MON_*) and its stdin, as a line that \
         probe-exec - runs. It runs nothing itself and looks at no clock: times come with the events, so the same input gives the same \
         alerts, and an incident can be replayed.",
        "The rules are those of mon(8): period, alertafter, alertevery, numalerts, exit=, alertexitrange, upalert, upalertafter, \
         no_comp_alerts, startupalert (at an event started of watch-services), redistribute, exclude_period, and dependencies. A \
         monitor that should not have run, because of exclude_period or monitordepend, may have: its result is passed over. \
         Hosts that a hostdepend explains are struck from the summary; if none is left it is no failure.",
        "Where mon's manual and program differ it does as the manual says: upalertafter counts, alertevery strict outlasts a success, \
         a startup alert is no alert of a failure, alertdepend works without depend. alertafter NUM TIME looks at the last NUM failures \
         in a row. A check that could not be run, or was killed, is neither a success nor a failure: untold.",
        "Why a period section with alerts did not alert is told when the reason changes: withheld, for period, depend, numalerts, \
         alertevery, alertafter or exit-status.",
        "--state keeps what the rules need across a restart: failures and since when, alerts and when, last outputs. The file is \
         replaced as a whole: at once after each alert and each change, once a second at most where failures are only counted, once a \
         minute where all works. Times in it are of the wall clock; while it runs \
         a step of that clock changes nothing but the periods.",
    ],
    statuses: &[
        (0, "the input has ended"),
        (69, "an input could not be read to its end, or what is remembered has no place"),
        (70, "what is remembered cannot be read, or stdout did not take all alerts in the end"),
        (77, "what is remembered may not be written"),
        (78, "the mon.cf is wrong"),
    ],
    examples: &[
        (
            "mon-decide /etc/mon/mon.cf --utc-offset +01:00 --human < results.jsonl",
            "Which alerts would have run, and why not others?",
        ),
        (
            "ha-conf mon /etc/mon/mon.cf --probes | probe-exec - | mon-decide /etc/mon/mon.cf --state /var/lib/takeover/mon.state",
            "What is to be told, as it happens; watch-services also tells it.",
        ),
    ],
    see_also: &["ha-conf(1)", "probe-exec(1)", "watch-services(8)", "mon(8)", "ha-events(7)", "takeover(7)"],
};

#[cfg(test)]
mod tests {
    #[test]
    fn offsets() {
        for (text, seconds) in [("0", 0), ("+02:00", 7200), ("-0330", -12_600), ("+2", 7200), ("1400", 50_400)] {
            assert_eq!(super::offset(text), Ok(seconds), "{text}");
        }
        for bad in ["", "+", "+2:0:0", "25:00", "+01:60", "x", "--1", "+-1", "10000"] {
            assert!(super::offset(bad).is_err(), "{bad}");
        }
    }
}
