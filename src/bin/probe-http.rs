//! probe-http: is this HTTP(S) service healthy?

mod on_libcurl;

use std::process::ExitCode;

use takeover::args::probe_http::ProbeHttp;
use takeover::cli;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::probe::fetch::{Check, Expected};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: ProbeHttp, output: &mut Output) -> anyhow::Result<Answer> {
    let check = Check {
        expected: Expected::Http(args.expect),
        method: args.method,
        headers: args.header,
        resolve: args.resolve,
        login: None,
        hosts: args.hosts,
        body: args.body,
        timeout: args.probing.timeout,
    };
    let targets =
        on_libcurl::targets(&args.urls, &check, "as in: echo '{\"url\":\"http://192.0.2.1/\"}' | probe-http -")?;
    on_libcurl::run(&targets, &args.probing, &args.trust, output)
}
