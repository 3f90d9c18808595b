//! fs-release: unmount shared storage, naming or ending who holds it open, then give up its claim.

use std::process::ExitCode;

use takeover::args::fs_release::FsRelease;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Error};
use takeover::storage::release::release;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: FsRelease, output: &mut Output) -> Result<Answer, Error> {
    release(&args.wanted()?, output)
}
