//! ha-decide: events in, actions out.

use std::process::ExitCode;

fn main() -> ExitCode {
    takeover::cli::main(takeover::node::run::run)
}
