//! ha-conf: the files of a cluster as JSON, and what is wrong with them.

use std::path::Path;
use std::process::ExitCode;

use takeover::args::ha_conf::{HaConf, LdirectordArgs, What};
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Failure, follow};
use takeover::config::check;
use takeover::config::ldirectord::wanted::{Board, NoState};
use takeover::config::ldirectord::{self, Names};
use takeover::config::{self, ConfigError, Problem, Severity, document, mon_cf, trust};
use takeover::resource::lookup::Places;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: HaConf, output: &mut Output) -> Result<Answer, cli::Error> {
    let dir = args.ha_d.as_path();
    if args.what != What::Ldirectord && args.ldirectord.any() {
        let hint = "as in: ha-conf ldirectord FILE --wanted STATES";
        return Err(Failure::usage("these options are for ldirectord", hint).into());
    }
    if args.what != What::Mon && args.probes {
        let hint = "as in: ha-conf mon /etc/mon/mon.cf --probes";
        return Err(Failure::usage("--probes is for mon", hint).into());
    }
    if !matches!(args.what, What::Ldirectord | What::Mon) && args.file.is_some() {
        let hint = "--ha-d DIR names the folder of the other files";
        return Err(Failure::usage("a FILE is for ldirectord and mon", hint).into());
    }
    match args.what {
        What::Ldirectord => return ldirectord(&args.file.unwrap_or_default(), &args.ldirectord, output),
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
        What::Mon => {
            let file = args.file.as_deref().unwrap_or_else(|| Path::new("mon.cf"));
            mon(file, args.probes, args.settings, output)?;
        }
    }
    Ok(Answer::Yes)
}

fn is_missing(error: &ConfigError) -> bool {
    matches!(error, ConfigError::Unreadable { error, .. } if error.kind() == std::io::ErrorKind::NotFound)
}

fn ha_cf(dir: &Path, output: &mut Output) -> Result<(), cli::Error> {
    let file = dir.join("ha.cf");
    let mut parsed = config::load_ha_cf(dir)?;
    parsed.problems.extend(check::devices::problems(&file, &parsed.content));
    Ok(output.emit(document::ha_cf(&file, &parsed.usable()?.content))?)
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

/// Names as this machine has them; a file that is missing has none.
fn names() -> Names {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    Names::parse(&text("/etc/hosts"), &text("/etc/services"))
}

const STATE: &str = "a line has a TARGET, a tab, and up, down or unknown";

fn ldirectord(file: &Path, args: &LdirectordArgs, output: &mut Output) -> Result<Answer, cli::Error> {
    let names = names();
    if args.problems {
        return ldirectord_problems(file, &names, output);
    }
    let conf = config::load_ldirectord(file, &names)?.content;
    if args.probers || args.checks.is_some() {
        for (n, set) in (1..).zip(ldirectord::checks::sets(&conf)) {
            match args.checks {
                None => output.emit(ldirectord::document::set(n, &set))?,
                Some(prober) if set.prober == prober && args.set.is_none_or(|wanted| wanted == n) => {
                    set.targets.into_iter().try_for_each(|target| output.emit(target))?;
                }
                Some(_) => {}
            }
        }
    } else if let Some(path) = &args.wanted {
        let unreadable = |error| ConfigError::Unreadable { path: path.clone(), error };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let states = ldirectord::wanted::states(&text).map_err(|line| {
            let message = format!("{}:{line}: is no state of a target", path.display());
            Failure::usage(message, STATE)
        })?;
        let mut board = Board::new(&conf, &names, states);
        if args.follow {
            output.make_stream();
        }
        board.all().into_iter().try_for_each(|service| output.emit(service))?;
        if args.follow {
            return follow::stdin(output, |lines, output| {
                for line in lines {
                    let line = line.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                    let taken = line.and_then(|l| board.take(&l).map_err(|NoState| format!("'{l}' is no state")));
                    if let Err(why) = taken {
                        output.emit(cli::error_event(&Failure::usage(why, STATE)))?;
                    }
                }
                board.changed().into_iter().try_for_each(|service| output.emit(service))?;
                Ok(())
            });
        }
    } else {
        output.emit(ldirectord::document::global(file, &conf))?;
        conf.virtuals.iter().try_for_each(|v| output.emit(ldirectord::document::service(file, &conf, v)))?;
    }
    Ok(Answer::Yes)
}

fn ldirectord_problems(file: &Path, names: &Names, output: &mut Output) -> Result<Answer, cli::Error> {
    let text = trust::read_unjudged(file)?;
    let mut problems = ldirectord::parse(file, &String::from_utf8_lossy(&text), names).problems;
    if let Err(e) = trust::check_trusted(file) {
        problems.extend(e.problems(file));
    }
    told(&problems, output)
}

/// Tells all problems and what they come to.
fn told(problems: &[Problem], output: &mut Output) -> Result<Answer, cli::Error> {
    problems.iter().try_for_each(|p| output.emit(document::problem(p)))?;
    output.emit(document::checked(problems))?;
    let wrong = problems.iter().any(|p| p.severity > Severity::Note);
    Ok(if wrong { Answer::No } else { Answer::Yes })
}

fn mon(file: &Path, probes: bool, settings: bool, output: &mut Output) -> Result<(), cli::Error> {
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
    if !probes || settings {
        output.emit(mon_cf::document::whole(file, &content))?;
    }
    if probes {
        let checks = content.services.iter().filter_map(|s| mon_cf::document::check(&content.settings, s));
        return Ok(checks.into_iter().try_for_each(|check| output.emit(check))?);
    }
    Ok(content.services.iter().try_for_each(|s| output.emit(mon_cf::document::service(file, s)))?)
}

fn check(dir: &Path, output: &mut Output) -> Result<Answer, cli::Error> {
    let checked = check::check(dir, &Places::of(dir));
    let mut unreadable = checked.unreadable.into_iter();
    if let Some((_, first)) = unreadable.next() {
        checked.problems.iter().try_for_each(|p| output.emit(document::problem(p)))?;
        // The first one is told as the error; the others are not to be found one after the other.
        for (path, error) in unreadable {
            error.problems(&path).iter().try_for_each(|p| output.emit(document::problem(p)))?;
        }
        return Err(first.into());
    }
    told(&checked.problems, output)
}
