//! What every command shares: arguments, events, output, exit statuses, durations, signals.
//!
//! A command is a clap definition in [`crate::args`] and a `run` function; [`main`] does the rest. Nothing in here knows
//! what a command does.

mod backlog;
pub mod child;
pub mod compose;
pub mod duration;
pub mod event;
pub mod exit;
pub mod feeds;
pub mod fields;
pub mod files;
pub mod follow;
pub mod lines;
pub mod objects;
pub mod output;
pub mod realtime;
pub mod vocabulary;
pub mod wait;

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::config::ConfigError;
use crate::net::NetError;
use crate::probe::ProbeError;
use event::Event;
use exit::{Answer, ExitStyle, Fault};
use output::{Format, Output, OutputError};

/// Flags that every command has.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print these fields, tab-separated, in place of JSON; ha-events(7) lists them
    #[arg(long, value_name = "A,B,C", value_parser = fields::parse, conflicts_with = "human")]
    pub fields: Option<fields::Fields>,
    /// Print words for a person in place of JSON
    #[arg(long)]
    pub human: bool,
    /// Whose exit statuses to use
    #[arg(long, value_name = "STYLE", default_value = "native")]
    pub exit_style: ExitStyle,
}

impl OutputArgs {
    fn format(&self) -> Format {
        match &self.fields {
            Some(fields) => Format::Fields(fields.clone()),
            None if self.human => Format::Human,
            None => Format::Json,
        }
    }
}

/// A command line of this project.
pub trait Tool: Parser {
    /// The name of the command, as in `tool` of its events.
    const NAME: &'static str;
    /// The shared flags.
    fn output(&self) -> &OutputArgs;
    /// Whose exit statuses to use.
    fn exit_style(&self) -> ExitStyle {
        self.output().exit_style
    }
    /// Whether it judges targets: with `--exit-style mon` the failed ones then stand on the first line.
    const MONITORS: bool = false;
}

/// A failure with its code and what to do about it: for what the library's typed errors do not cover.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which exit status.
    pub fault: Fault,
    /// A stable word for programs.
    pub code: &'static str,
    /// What, where.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(fault: Fault, code: &'static str, message: impl Into<String>) -> Self {
        Self { fault, code, message: message.into(), hint: None }
    }

    /// Something that is not there or cannot be used.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Fault::Unavailable, code, message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the kernel said of a path.
    pub fn at(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::io(&path.display().to_string(), error)
    }

    /// Wrong words in the call.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault: Fault::Usage, code: "usage", message: message.into(), hint: Some(hint.into()) }
    }

    /// A signal came while an answer was awaited: that is no answer.
    pub fn interrupted(awaited: &str) -> Self {
        let message = format!("a signal came before {awaited}");
        Self { fault: Fault::Undetermined, code: "interrupted", message, hint: None }
    }

    /// A kernel service that failed us, classed by its errno.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        let (fault, code) = match error.kind() {
            std::io::ErrorKind::PermissionDenied => (Fault::Permission, "permission-denied"),
            _ => (Fault::Internal, "system"),
        };
        Self { fault, code, message: format!("{what}: {error}"), hint: None }
    }
}

/// The whole life of a command: arguments, run, error line, exit status.
pub fn main<T: Tool, E: Into<anyhow::Error>>(run: fn(T, &mut Output) -> Result<Answer, E>) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let args = match T::command().try_get_matches_from(&words).and_then(|m| T::from_arg_matches(&m)) {
        Ok(args) => args,
        Err(error) => return usage::<T>(&words, &error),
    };
    let style = args.exit_style();
    let mut output = Output::new(T::NAME, args.output().format());
    if style == ExitStyle::Mon && T::MONITORS {
        output.hold_back();
    }
    let ran = run(args, &mut output).map_err(Into::into);
    let ran = ran.and_then(|answer| output.finish().map(|()| answer).map_err(Into::into));
    let status = match ran {
        Ok(answer) => style.answer(answer),
        Err(error) => {
            let failure = classify(error);
            let _ = output.finish(); // what was found before the failure; the failure itself is reported next
            report(T::NAME, &failure, &mut output, false);
            style.fault(failure.fault)
        }
    };
    match output.part() {
        false if status == style.answer(Answer::Yes) => ExitCode::from(style.fault(Fault::Internal)),
        _ => ExitCode::from(status),
    }
}

/// `--help` and `--version` are answers; anything else is an error line, clap's own words and status 64.
fn usage<T: Tool>(words: &[OsString], error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(ExitStyle::Native.fault(Fault::Internal)),
        };
    }
    // The arguments were not understood, but how to answer may still be read off them.
    let word = |n: usize| words.get(n).and_then(|w| w.to_str());
    let mut style = ExitStyle::Native;
    let mut format = Format::Json;
    for n in 1..words.len() {
        let Some(w) = word(n) else { continue };
        let value = |name: &str| match w.strip_prefix(name) {
            Some("") => word(n + 1),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if let Some(name) = value("--exit-style") {
            style = ExitStyle::from_str(name, true).unwrap_or_default();
        } else if let Some(list) = value("--fields") {
            format = fields::parse(list).map_or(Format::Json, Format::Fields);
        } else if w == "--human" {
            format = Format::Human;
        }
    }
    let text = error.render().to_string();
    // The first paragraph: what is missing stands on lines of its own.
    let first = text.lines().take_while(|l| !l.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    let message = first.trim_start_matches("error: ").to_owned();
    let hint = text.lines().skip(1).map(str::trim).find_map(|l| l.strip_prefix("tip: ")).map(str::to_owned);
    let hint = hint.unwrap_or_else(|| format!("see {} --help", T::NAME));
    let failure = Failure::usage(message, hint);
    let _ = error.print(); // stderr may be gone; the status still tells
    report(T::NAME, &failure, &mut Output::new(T::NAME, format), true);
    ExitCode::from(style.fault(failure.fault))
}

/// Prints the error line, and the words on stderr unless they are there already.
fn report(tool: &str, failure: &Failure, output: &mut Output, said: bool) {
    if failure.code == CLOSED {
        return;
    }
    if !said {
        // Written at once, so that lines of several commands do not mix; a closed stderr is no reason to panic.
        let mut words = format!("{tool}: {}\n", failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(words, "{tool}: hint: {hint}");
        }
        eprint_line(words.trim_end());
    }
    if failure.code != UNWRITABLE && output.format() != &Format::Human {
        let _ = output.emit(error_event(failure)); // the status and stderr tell it too
    }
}

/// Words for a person, in one write; a stderr that is gone is no reason to panic, as `eprintln!` does.
pub fn eprint_line(words: &str) {
    let _ = nix::unistd::write(std::io::stderr(), format!("{words}\n").as_bytes());
}

/// An error as the event that programs read.
pub fn error_event(failure: &Failure) -> Event {
    Event::new("error", &failure.message)
        .with("code", failure.code)
        .with("message", failure.message.as_str())
        .with("hint", failure.hint.as_deref())
}

const CLOSED: &str = "stdout-closed";
const UNWRITABLE: &str = "stdout-unwritable";

/// Anything that ends a command without an answer, as the library's edges return it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each is the error of that module
pub enum Error {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Which exit status, which code, what to do about it; the message is the caller's.
    fn class(&self) -> (Fault, &'static str, Option<String>) {
        match self {
            Self::Failure(e) => (e.fault, e.code, e.hint.clone()),
            Self::Net(e) => (e.fault(), e.code(), e.hint()),
            Self::Probe(e) => (e.fault(), e.code(), e.hint()),
            Self::Config(e) => (e.fault(), e.code(), e.hint()),
            Self::Output(OutputError::Closed) => (Fault::Undetermined, CLOSED, None),
            Self::Output(OutputError::Write(_)) => (Fault::Internal, UNWRITABLE, None),
            Self::Io(e) => {
                let Failure { fault, code, hint, .. } = Failure::io("", e);
                (fault, code, hint)
            }
        }
    }

    /// The same for programs and people.
    pub fn failure(&self) -> Failure {
        let (fault, code, hint) = self.class();
        Failure { fault, code, message: self.to_string(), hint }
    }
}

/// Finds the typed error in the chain of a command, and keeps what the command said around it.
fn classify(error: anyhow::Error) -> Failure {
    let message = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let error = error
        .downcast::<Error>()
        .or_else(|e| e.downcast::<Failure>().map(Error::from))
        .or_else(|e| e.downcast::<NetError>().map(Error::from))
        .or_else(|e| e.downcast::<ProbeError>().map(Error::from))
        .or_else(|e| e.downcast::<ConfigError>().map(Error::from))
        .or_else(|e| e.downcast::<OutputError>().map(Error::from))
        .or_else(|e| e.downcast::<std::io::Error>().map(Error::from));
    let (fault, code, hint) = error.map_or((Fault::Internal, "internal", None), |e| e.class());
    Failure { fault, code, message, hint }
}
