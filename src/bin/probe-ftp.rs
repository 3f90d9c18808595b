//! probe-ftp: does this FTP server greet, let in and hand over?

mod on_libcurl;

use std::process::ExitCode;

use takeover::args::probe_ftp::ProbeFtp;
use takeover::cli;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::config::trust::password;
use takeover::probe::fetch::{Check, Expected};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: ProbeFtp, output: &mut Output) -> anyhow::Result<Answer> {
    let password = args.password_file.as_deref().map(password).transpose()?;
    let check = Check {
        expected: Expected::Ftp { read: args.read || args.body.is_some() },
        method: String::new(),
        headers: Vec::new(),
        resolve: args.resolve,
        login: args.user.map(|user| (user, password.unwrap_or_default())),
        hosts: args.hosts,
        body: args.body,
        timeout: args.probing.timeout,
    };
    let targets =
        on_libcurl::targets(&args.urls, &check, "as in: echo '{\"url\":\"ftp://192.0.2.1/\"}' | probe-ftp -")?;
    on_libcurl::run(&targets, &args.probing, &args.trust, output)
}
