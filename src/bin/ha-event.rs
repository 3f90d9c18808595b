//! ha-event: print one valid event line.

use std::process::ExitCode;

use takeover::args::ha_event::HaEvent;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Failure, compose};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: HaEvent, output: &mut Output) -> anyhow::Result<Answer> {
    let event = compose::compose(&args.tool, &args.name, &args.pairs, args.from_fields)
        .map_err(|e| Failure::usage(e.to_string(), "ha-event NAME KEY=VALUE…; ha-events(7) lists the known fields"))?;
    output.speak_for(&args.tool, args.seq);
    output.emit(event)?;
    Ok(Answer::Yes)
}
