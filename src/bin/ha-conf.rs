//! ha-conf: the files of a cluster as JSON, and what is wrong with them.

use std::path::Path;
use std::process::ExitCode;

use takeover::args::ha_conf::{HaConf, What};
use takeover::cli;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::config::check;
use takeover::config::mon_cf;
use takeover::config::{self, ConfigError, Severity, document};
use takeover::resource::lookup::Places;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: HaConf, output: &mut Output) -> Result<Answer, cli::Error> {
    let dir = args.ha_d.as_path();
    if args.what != What::Mon && (args.file.is_some() || args.probes) {
        let hint = "as in: ha-conf mon /etc/mon/mon.cf --probes";
        return Err(cli::Failure::usage("FILE and --probes are for mon", hint).into());
    }
    match args.what {
        What::HaCf => ha_cf(dir, output)?,
        What::Haresources => haresources(dir, output)?,
        What::Authkeys => authkeys(dir, output)?,
        What::Show => {
            ha_cf(dir, output)?;
            match haresources(dir, output) {
                Err(cli::Error::Config(e)) if is_missing(&e) => {} // heartbeats alone need none
                other => other?,
            }
            authkeys(dir, output)?; // last: others may read the rest
        }
        What::Check => return check(dir, output),
        What::Mon => mon(args.file.as_deref().unwrap_or_else(|| Path::new("mon.cf")), args.probes, output)?,
    }
    Ok(Answer::Yes)
}

fn is_missing(error: &ConfigError) -> bool {
    matches!(error, ConfigError::Unreadable { error, .. } if error.kind() == std::io::ErrorKind::NotFound)
}

fn ha_cf(dir: &Path, output: &mut Output) -> Result<(), cli::Error> {
    let parsed = config::load_ha_cf(dir)?;
    Ok(output.emit(document::ha_cf(&dir.join("ha.cf"), &parsed.content))?)
}

fn haresources(dir: &Path, output: &mut Output) -> Result<(), cli::Error> {
    let parsed = config::load_haresources(dir)?;
    for group in &parsed.content {
        output.emit(document::group(&dir.join("haresources"), group))?;
    }
    Ok(())
}

fn authkeys(dir: &Path, output: &mut Output) -> Result<(), cli::Error> {
    let file = dir.join("authkeys");
    let parsed = config::load_authkeys(&file)?;
    Ok(output.emit(document::authkeys(&file, &parsed.content))?)
}

fn mon(file: &Path, probes: bool, output: &mut Output) -> Result<(), cli::Error> {
    let mut parsed = mon_cf::read(file)?;
    parsed.problems.extend(mon_cf::programs::problems(file, &parsed.content));
    for problem in &parsed.problems {
        if probes {
            cli::eprint_line(&format!("ha-conf: {}: {problem} ({})", problem.severity.word(), problem.hint));
        } else {
            output.emit(document::problem(problem))?;
        }
    }
    let content = parsed.usable()?.content;
    if probes {
        let checks = content.services.iter().filter_map(|s| mon_cf::document::check(&content.settings, s));
        return Ok(checks.into_iter().try_for_each(|check| output.emit(check))?);
    }
    output.emit(mon_cf::document::whole(file, &content))?;
    Ok(content.services.iter().try_for_each(|s| output.emit(mon_cf::document::service(file, s)))?)
}

fn check(dir: &Path, output: &mut Output) -> Result<Answer, cli::Error> {
    let checked = check::check(dir, &Places::of(dir));
    for problem in &checked.problems {
        output.emit(document::problem(problem))?;
    }
    let mut unreadable = checked.unreadable.into_iter();
    if let Some((_, first)) = unreadable.next() {
        // The first one is told as the error; the others are not to be found one after the other.
        for (path, error) in unreadable {
            error.problems(&path).iter().try_for_each(|p| output.emit(document::problem(p)))?;
        }
        return Err(first.into());
    }
    output.emit(document::checked(&checked.problems))?;
    let wrong = checked.problems.iter().any(|p| p.severity > Severity::Note);
    Ok(if wrong { Answer::No } else { Answer::Yes })
}
