//! The files of a cluster: what they say, with file and line for whatever is wrong, and whether they may be trusted.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ha_cf`] | ha.cf: nodes, times, media |
//! | [`authkeys`] | authkeys: who may speak |
//! | [`mon_cf`] | mon.cf: which services are checked, and who is told |
//! | [`haresources`] | haresources: which resources move together, and where to |
//! | [`ldirectord`] | the .cf of ldirectord: virtual services, their servers, their checks |
//! | [`check`] | what no file shows alone: strangers, missing agents, wrong modes |
//! | [`document`] | all of it as events |
//! | [`trust`] | reading a file only if nobody but root and us could have written it |
//!
//! The parsers are pure: text in, content and every problem out. A problem is an error where heartbeat 3.0.6 refuses the
//! file or its meaning is unclear, a warning where it takes the file and we do too.

pub mod authkeys;
pub mod check;
pub mod document;
pub mod ha_cf;
pub mod haresources;
pub mod ldirectord;
pub mod mon_cf;
pub(crate) mod text;
pub mod trust;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::exit::Fault;
use authkeys::AuthKeys;
use ha_cf::HaCf;
use haresources::Group;
use trust::Untrusted;

/// Where the files of a cluster are, unless somebody says otherwise.
pub const DEFAULT_DIR: &str = "/etc/ha.d";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing has to be mended; it should be known.
    Note,
    /// The file can be used; it should be mended all the same.
    Warning,
    /// The file is not used.
    Error,
}

impl Severity {
    /// As the field `severity` carries it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; none where the whole file is meant.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// How bad it is.
    pub severity: Severity,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

/// What a parser made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// What could be understood.
    pub content: T,
    /// What could not, and what should not be, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl<T> Parsed<T> {
    /// The content with its warnings, unless there is an error.
    pub fn usable(self) -> Result<Self, ConfigError> {
        if self.problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(ConfigError::Wrong(self.problems));
        }
        Ok(self)
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is no file of keys.
    #[error("there are no keys: {} does not exist", .0.display())]
    NoKeys(PathBuf),
    /// It is a folder, a pipe or a device.
    #[error("{} is no ordinary file", .0.display())]
    NotAFile(PathBuf),
    /// It is larger than [`trust::LARGEST`].
    #[error("{} is larger than {} KiB", .0.display(), trust::LARGEST / 1024)]
    TooLarge(PathBuf),
    /// Somebody else could have written it, or read what is secret.
    #[error(transparent)]
    Untrusted(Box<Untrusted>),
    /// It says what cannot be, or what is not understood.
    #[error("{}", wrong(.0))]
    Wrong(Vec<Problem>),
}

/// The first error, and how many more there are.
fn wrong(problems: &[Problem]) -> String {
    let errors = || problems.iter().filter(|p| p.severity == Severity::Error);
    let first = errors().next().map(ToString::to_string).unwrap_or_default();
    match errors().count() {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}

impl ConfigError {
    /// Which exit status.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreadable { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Fault::Permission,
            _ => Fault::Configuration,
        }
    }

    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { error, .. } => match error.kind() {
                io::ErrorKind::PermissionDenied => "permission-denied",
                io::ErrorKind::NotFound => "no-such-file",
                _ => "unreadable-file",
            },
            Self::NoKeys(_) => "no-such-file",
            Self::NotAFile(_) | Self::TooLarge(_) => "unreadable-file",
            Self::Untrusted(_) => "untrusted-file",
            Self::Wrong(_) => "configuration",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { path, error } => match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("run it as root, or as the user that the file belongs to".into())
                }
                // The two that are looked for in a folder; every other is named by whoever calls.
                io::ErrorKind::NotFound if path.ends_with("ha.cf") || path.ends_with("haresources") => {
                    Some(format!("--ha-d names the folder; without it, {DEFAULT_DIR}"))
                }
                io::ErrorKind::NotFound => Some(match path.parent().filter(|_| path.is_absolute()) {
                    Some(folder) => format!("look what is there: ls -l {}", trust::shell_word(folder)),
                    None => "it was looked for in the current folder: give the whole path".into(),
                }),
                _ => None,
            },
            Self::NoKeys(path) => Some(format!(
                "make them, the same on every node: umask 077; printf 'auth 1\\n1 sha1 %s\\n' SECRET >{}",
                trust::shell_word(path)
            )),
            Self::NotAFile(_) | Self::TooLarge(_) => None,
            Self::Untrusted(untrusted) => Some(untrusted.mend()),
            Self::Wrong(problems) => problems.iter().find(|p| p.severity == Severity::Error).map(|p| p.hint.clone()),
        }
    }

    /// The same as problems of `file`.
    pub fn problems(&self, file: &Path) -> Vec<Problem> {
        match self {
            Self::Wrong(problems) => problems.clone(),
            other => vec![Problem {
                file: file.to_owned(),
                line: None,
                what: match other {
                    Self::Untrusted(untrusted) => format!("not to be trusted: {}", untrusted.what()),
                    other => other.to_string(),
                },
                hint: other.hint().unwrap_or_default(),
                severity: Severity::Error,
            }],
        }
    }
}

/// The ha.cf of a folder, if it may be trusted and has no error.
pub fn load_ha_cf(dir: &Path) -> Result<Parsed<HaCf>, ConfigError> {
    let file = dir.join("ha.cf");
    ha_cf::parse(&file, &lossy(&trust::read_trusted(&file)?)).usable()
}

/// The haresources of a folder, if it may be trusted and has no error.
pub fn load_haresources(dir: &Path) -> Result<Parsed<Vec<Group>>, ConfigError> {
    let file = dir.join("haresources");
    haresources::parse(&file, &lossy(&trust::read_trusted(&file)?)).usable()
}

/// A file of keys, if nobody else can read or write it and it has no error.
pub fn load_authkeys(file: &Path) -> Result<Parsed<AuthKeys>, ConfigError> {
    authkeys::parse(file, &trust::read_secret(file).map_err(no_keys)?).usable()
}

/// A .cf of ldirectord, if it may be trusted and has no error.
pub fn load_ldirectord(file: &Path, names: &ldirectord::Names) -> Result<Parsed<ldirectord::Ldirectord>, ConfigError> {
    ldirectord::parse(file, &lossy(&trust::read_trusted(file)?), names).usable()
}

/// A missing file of keys needs another remedy than a missing ha.cf.
fn no_keys(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::Unreadable { path, error } if error.kind() == io::ErrorKind::NotFound => ConfigError::NoKeys(path),
        other => other,
    }
}

/// Old files have comments in other encodings; what matters is ASCII, and the parsers refuse the rest.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, severity: Severity) -> Problem {
        Problem { file: "f".into(), line: Some(line), what: format!("w{line}"), hint: format!("h{line}"), severity }
    }

    /// The folder is named only where a file is looked for in one.
    #[test]
    fn a_missing_file_has_a_hint_of_its_own() {
        let hint = |path: &str| {
            let error = io::Error::from(io::ErrorKind::NotFound);
            ConfigError::Unreadable { path: path.into(), error }.hint().unwrap_or_default()
        };
        assert!(hint("/etc/ha.d/ha.cf").contains("--ha-d") && hint("x/haresources").contains("--ha-d"));
        assert_eq!(hint("/etc/mon/mon.cf"), "look what is there: ls -l /etc/mon");
        assert!(hint("ldirectord.cf").contains("current folder") && hint("not-ha.cf").contains("current folder"));
    }

    #[test]
    fn errors_make_it_unusable_and_the_first_of_them_is_named() {
        use Severity::{Error, Warning};
        let parsed = Parsed { content: (), problems: vec![problem(1, Warning)] };
        assert!(parsed.usable().is_ok());
        let parsed = Parsed { content: (), problems: vec![problem(1, Warning), problem(2, Error), problem(3, Error)] };
        let error = parsed.usable().unwrap_err();
        assert_eq!(error.to_string(), "f:2: w2 (and 1 more)");
        assert_eq!(error.hint().as_deref(), Some("h2"));
        assert_eq!((error.fault(), error.code()), (Fault::Configuration, "configuration"));
        assert_eq!(error.problems(Path::new("x")).len(), 3);
    }

    #[test]
    fn faults() {
        let unreadable =
            |errno| ConfigError::Unreadable { path: "x".into(), error: io::Error::from_raw_os_error(errno) };
        let permission = unreadable(nix::libc::EACCES);
        assert_eq!((permission.fault(), permission.code()), (Fault::Permission, "permission-denied"));
        let missing = unreadable(nix::libc::ENOENT);
        assert_eq!((missing.fault(), missing.code()), (Fault::Configuration, "no-such-file"));
    }
}
