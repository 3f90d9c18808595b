//! The programs that a mon.cf names: where they are, and whether they may be trusted.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::MonCf;
use crate::config::{ConfigError, Problem, Severity, trust};

/// A program in one of these folders, the first one first; on PATH where it is in none of them, which mon itself does not
/// look at: our own probes are there.
pub fn find(dirs: &[PathBuf], name: &str) -> Option<PathBuf> {
    let given = name.starts_with('/').then(|| PathBuf::from(name));
    let path = std::env::var_os("PATH").filter(|_| !name.contains('/'));
    let on_path = path.as_deref().map(|p: &OsStr| std::env::split_paths(p).collect::<Vec<_>>()).unwrap_or_default();
    let places = dirs.iter().chain(on_path.iter().filter(|p| p.is_absolute())).map(|dir| dir.join(name));
    given.into_iter().chain(places).find(|path| executable(path))
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// What is wrong with the programs: missing, or such that others could have written them.
pub fn problems(file: &Path, content: &MonCf) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut judge = |(what, setting): (&str, &str), dirs: &[PathBuf], name: &str, line: u32| {
        let problem = |what: String, hint: String| Problem {
            file: file.to_owned(),
            line: Some(line),
            what,
            hint,
            severity: Severity::Error,
        };
        match find(dirs, name) {
            None => {
                let places: Vec<String> = dirs.iter().map(|d| d.display().to_string()).collect();
                let what = format!("{what} {name} is nowhere in {} or on PATH", places.join(":"));
                found.push(problem(what, format!("install it, or set {}", setting)));
            }
            Some(path) => {
                if let Err(ConfigError::Untrusted(why)) = trust::check_trusted(&path) {
                    found.push(problem(format!("{what} {name} is not to be trusted: {}", why.what()), why.mend()));
                }
            }
        }
    };
    let settings = &content.settings;
    for service in &content.services {
        if let Some((words, line)) = &service.monitor {
            judge(("the monitor", "mondir"), &settings.mondir, &words[0], *line);
        }
        let alerts = service.periods.iter().flat_map(|p| [&p.alerts, &p.upalerts, &p.startupalerts]).flatten();
        for alert in alerts.chain(&service.redistribute) {
            judge(("the alert", "alertdir"), &settings.alertdir, &alert.words[0], alert.line);
        }
    }
    found
}
