//! lvs-sync: make services of the kernel's load balancer what stdin says.

use std::collections::HashSet;
use std::io::{self, Read};
use std::process::ExitCode;

use serde_json::Value;
use takeover::args::lvs_sync::LvsSync;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Failure, follow, objects};
use takeover::clock::Instant;
use takeover::lvs::ipvsadm::Ipvsadm;
use takeover::lvs::keeper::{Keeper, Made};
use takeover::lvs::report;
use takeover::lvs::wanted::{self, Wanted};

fn main() -> ExitCode {
    cli::main(run)
}

const EXAMPLE: &str = "ha-conf ldirectord FILE --wanted STATES | lvs-sync -";

fn run(args: LvsSync, output: &mut Output) -> Result<Answer, cli::Error> {
    let mut keeper = Keeper::new(Ipvsadm { timeout: args.timeout }, args.own);
    if args.follow {
        return follow(keeper, output);
    }
    let wanted = if args.input.is_some() { read(io::stdin().lock())? } else { Vec::new() };
    if args.dry_run {
        let began = Instant::now();
        let changes = keeper.missing(&wanted)?;
        changes.iter().try_for_each(|c| output.emit(report::change(c, true)))?;
        output.emit(report::outcome(&changes, true, Instant::now().since(began)))?;
        return Ok(Answer::Yes);
    }
    // The last failure is told as the end of the command.
    match make(&mut keeper, &wanted, output)? {
        None => Ok(Answer::Yes),
        Some(failure) => Err(failure.into()),
    }
}

/// Makes it so and tells what was done; what was refused is for the caller to tell, but for all before the last.
fn make(keeper: &mut Keeper, wanted: &[Wanted], output: &mut Output) -> Result<Option<Failure>, cli::Error> {
    let began = Instant::now();
    // All of it before anything is told: a reader that goes away leaves no half of a table.
    let Made { changes, mut failures } = keeper.make(wanted);
    changes.iter().try_for_each(|change| output.emit(report::change(change, false)))?;
    let last = failures.pop();
    failures.iter().try_for_each(|e| output.emit(cli::error_event(e)))?;
    if last.is_none() {
        output.emit(report::outcome(&changes, false, Instant::now().since(began)))?;
    }
    Ok(last)
}

/// Each service as it comes; of several lines that wait for one, the last counts.
fn follow(mut keeper: Keeper, output: &mut Output) -> Result<Answer, cli::Error> {
    output.make_stream();
    let mut number = 0;
    follow::stdin(output, |lines, output| {
        let mut services: Vec<Wanted> = Vec::new();
        let mut failures = Vec::new();
        for line in lines {
            number += 1;
            let object =
                line.map_err(|why| wrong(number, why)).and_then(|line| objects::of_line(&line, number, EXAMPLE));
            match object.and_then(|object| object.map(|object| wanted(number, &object)).transpose()) {
                Ok(None) => {}
                Ok(Some(new)) => {
                    services.retain(|s| s.key != new.key);
                    services.push(new);
                }
                Err(failure) => failures.push(failure),
            }
        }
        if !services.is_empty() {
            failures.extend(make(&mut keeper, &services, output)?);
        }
        failures.iter().try_for_each(|e| output.emit(cli::error_event(e)))?;
        Ok(())
    })
}

fn read(input: impl Read) -> Result<Vec<Wanted>, Failure> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (line, object) in objects::read(input, EXAMPLE)? {
        let wanted = wanted(line, &object)?;
        if !seen.insert(wanted.key) {
            return Err(wrong(line, format!("the service {} stands twice", wanted.key)));
        }
        all.push(wanted);
    }
    Ok(all)
}

fn wanted(line: usize, object: &Value) -> Result<Wanted, Failure> {
    wanted::from_line(object).map_err(|e| wrong(line, e.to_string()))
}

fn wrong(line: usize, why: String) -> Failure {
    Failure::usage(format!("line {line} of stdin: {why}"), "see lvs-sync(8)")
}
