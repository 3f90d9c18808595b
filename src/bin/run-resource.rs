//! run-resource: start, stop and ask resources, in their order.

use std::process::ExitCode;

use takeover::args::run_resource::{RunResource, Verb};
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Failure};
use takeover::resource::drive::{self, Drive, Ending, Settings};
use takeover::resource::lookup::Places;
use takeover::resource::sequence::{Goal, Rules};
use takeover::resource::spec::{Class, Resource, ResourceError};
use takeover::resource::{Action, input};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: RunResource, output: &mut Output) -> Result<Answer, cli::Error> {
    args.check_style()?;
    let around = drive::around(&args.ha_d)?;
    let places = Places::of(&around.ha_d);
    if args.action == Verb::List {
        return drive::list(&places, &classes(&args.specs)?, output);
    }
    let resources = resources(&args.specs)?;
    if args.action.changes() {
        refuse_twice(&resources)?;
    }
    let settings = Settings {
        acting: args.acting(),
        asking: args.asking(),
        kill_after: args.kill_after,
        retry_every: args.retry_every,
        rules: Rules { stop_retries: args.stop_retries, keep: args.keep },
        dry_run: args.dry_run,
    };
    if !matches!(args.action, Verb::Metadata) {
        output.queue(); // a reader that does not read must not hold up a hand-over
    }
    let drive = Drive::new(resources, &places, &around, settings, output)?;
    let ending = match args.action {
        Verb::Start => drive.act(Goal::Start),
        Verb::Stop => drive.act(Goal::Stop),
        Verb::Restart => drive.act(Goal::Restart),
        Verb::Status => drive.status(Action::Status),
        Verb::Monitor => drive.status(Action::Monitor),
        Verb::Metadata => drive.metadata(),
        Verb::List => unreachable!("it needs no resources"),
    }?;
    match ending {
        Ending::Answer(answer) => Ok(answer),
        Ending::Signal(signal) => Err(drive::die(signal)),
    }
}

fn resources(specs: &[String]) -> Result<Vec<Resource>, cli::Error> {
    let mut resources = Vec::new();
    for spec in specs {
        match spec.as_str() {
            "-" => resources.extend(input::groups(std::io::stdin())?),
            spec => resources.push(spec.parse().map_err(|e: ResourceError| Failure::usage(e.what, e.hint))?),
        }
    }
    if resources.is_empty() {
        return Err(
            Failure::usage("no resource is named", "as in: run-resource status 192.0.2.10/24/eth0 httpd").into()
        );
    }
    Ok(resources)
}

/// To ask twice does no harm.
fn refuse_twice(resources: &[Resource]) -> Result<(), cli::Error> {
    for (n, resource) in resources.iter().enumerate() {
        if let Some(other) = resources[..n].iter().find(|r| r.identity() == resource.identity()) {
            let message = match other.spec == resource.spec {
                true => format!("'{resource}' is named twice"),
                false => format!("'{other}' and '{resource}' are the same"),
            };
            return Err(Failure::usage(message, "name it once: it would be started once and stopped twice").into());
        }
    }
    Ok(())
}

fn classes(words: &[String]) -> Result<Vec<Class>, cli::Error> {
    let class = |word: &String| {
        let all = [Class::Heartbeat, Class::Lsb, Class::Ocf, Class::Systemd];
        let wrong =
            || Failure::usage(format!("there is no class '{word}'"), "heartbeat, lsb, ocf and systemd are there");
        all.into_iter().find(|c| c.word() == word).ok_or_else(wrong)
    };
    Ok(words.iter().map(class).collect::<Result<_, _>>()?)
}
