//! probe-tcp: do these services accept, greet and answer?

use std::process::ExitCode;

use takeover::cli;
use takeover::probe::tcp::run::run;

fn main() -> ExitCode {
    cli::main(run)
}
