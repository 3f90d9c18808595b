//! probe-exec: what do these check commands say?

use std::process::ExitCode;

use takeover::cli;
use takeover::probe::exec::run::run;

fn main() -> ExitCode {
    cli::main(run)
}
