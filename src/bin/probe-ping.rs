//! probe-ping: which of these hosts answer ICMP echo?

use std::process::ExitCode;

use takeover::cli;
use takeover::probe::ping::run::run;

fn main() -> ExitCode {
    cli::main(run)
}
