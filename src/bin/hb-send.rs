//! hb-send: say that this node is alive.

use std::process::ExitCode;

use takeover::cli;
use takeover::heartbeat::sender::run::run;

fn main() -> ExitCode {
    cli::main(run)
}
