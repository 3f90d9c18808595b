//! lvs-sync: make services of the kernel's load balancer what stdin says.

use std::collections::HashSet;
use std::process::ExitCode;

use takeover::args::lvs_sync::LvsSync;
use takeover::cli::exit::{Answer, Fault};
use takeover::cli::output::Output;
use takeover::cli::{self, Failure, objects};
use takeover::clock::Instant;
use takeover::lvs::diff::diff;
use takeover::lvs::ipvsadm::Ipvsadm;
use takeover::lvs::report;
use takeover::lvs::table::Key;
use takeover::lvs::wanted::{self, Wanted};

fn main() -> ExitCode {
    cli::main(run)
}

const EXAMPLE: &str = "ha-conf ldirectord FILE --wanted STATES | lvs-sync -";

fn run(args: LvsSync, output: &mut Output) -> Result<Answer, cli::Error> {
    let wanted = if args.input.is_some() { read()? } else { Vec::new() };
    let began = Instant::now();
    let ipvsadm = Ipvsadm { timeout: args.timeout };
    let present = ipvsadm.table(true)?;
    let changes = diff(&wanted, &args.own, &present);
    if args.dry_run {
        changes.iter().try_for_each(|c| output.emit(report::change(c, true)))?;
        output.emit(report::outcome(&changes, true, Instant::now().since(began)))?;
        return Ok(Answer::Yes);
    }
    let (mut failures, mut made) = (Vec::new(), Vec::new());
    let mut given_up: HashSet<Key> = HashSet::new();
    // All of them before anything is told: a reader that goes away leaves no half of a table.
    for change in changes.iter() {
        if given_up.contains(&change.key()) {
            continue;
        }
        match ipvsadm.apply(change) {
            Ok(()) => made.push(change),
            Err(e) => {
                given_up.insert(change.key());
                failures.push(e);
            }
        }
    }
    made.into_iter().try_for_each(|change| output.emit(report::change(change, false)))?;
    // The last one is told as the end of the command.
    let last = failures.pop();
    failures.iter().try_for_each(|e| output.emit(cli::error_event(e)))?;
    if let Some(failure) = last {
        return Err(failure.into());
    }
    let thresholds = wanted.iter().flat_map(|w| &w.servers).any(|s| s.lower + s.upper > 0)
        || present.0.iter().flat_map(|s| &s.servers).any(|s| s.lower + s.upper > 0);
    if !changes.is_empty()
        && let Some(left) = diff(&wanted, &args.own, &ipvsadm.table(thresholds)?).first()
    {
        let words = left.words().join(" ");
        let message =
            format!("the table is not as it was made, 'ipvsadm {words}' is missing: somebody else changes it");
        return Err(Failure::new(Fault::Undetermined, "changed-meanwhile", message).into());
    }
    output.emit(report::outcome(&changes, false, Instant::now().since(began)))?;
    Ok(Answer::Yes)
}

fn read() -> Result<Vec<Wanted>, Failure> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (line, object) in objects::read(std::io::stdin().lock(), EXAMPLE)? {
        let wrong = |why: String| Failure::usage(format!("line {line} of stdin: {why}"), "see lvs-sync(8)");
        let wanted = wanted::from_line(&object).map_err(|e| wrong(e.to_string()))?;
        if !seen.insert(wanted.key) {
            return Err(wrong(format!("the service {} stands twice", wanted.key)));
        }
        all.push(wanted);
    }
    Ok(all)
}
