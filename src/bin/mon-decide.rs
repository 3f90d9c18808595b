//! mon-decide: who is told of a failure.

use std::process::ExitCode;

use takeover::alert::run::run;
use takeover::cli;

fn main() -> ExitCode {
    cli::main(run)
}
