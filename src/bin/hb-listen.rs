//! hb-listen: hear who is alive.

use std::process::ExitCode;

use takeover::cli;
use takeover::heartbeat::listener::run::run;

fn main() -> ExitCode {
    cli::main(run)
}
