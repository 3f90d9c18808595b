//! fs-claim: claim shared storage for this node, then mount it.

use std::process::ExitCode;

use takeover::args::fs_claim::FsClaim;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Error};
use takeover::storage::take::{status, take};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: FsClaim, output: &mut Output) -> Result<Answer, Error> {
    let wanted = args.wanted()?;
    if args.status { status(&wanted, output) } else { take(&wanted, output) }
}
