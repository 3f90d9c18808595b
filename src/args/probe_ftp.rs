//! `probe-ftp`: does this FTP server greet, let in and hand over?

use std::path::PathBuf;

use clap::Parser;
use regex::bytes::Regex;

use super::manual::Manual;
use super::probe_http::resolve;
use super::probing::{Hosts, Probing, Trust};
use crate::cli::{OutputArgs, Tool};

/// Tell whether FTP servers greet, let in and hand over
#[derive(Parser, Clone, Debug)]
#[command(name = "probe-ftp", version, mut_arg("timeout", |a| a.default_value("5s")))]
pub struct ProbeFtp {
    /// What to probe: ftp:// or ftps://, or a bare host; any number of them at once; - reads JSON lines from stdin
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hosts: Hosts,
    /// Read the folder or the file that the path names, too
    #[arg(long)]
    pub read: bool,
    /// What has to occur in it (its first 1 MiB); a regular expression
    #[arg(long, value_name = "REGEX")]
    pub body: Option<Regex>,
    /// Whom to log in, in place of anonymous
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The file whose first line is the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Use this address for a name and port in place of looking it up; may be repeated
    #[arg(long, value_name = "HOST:PORT:ADDR", value_parser = resolve)]
    pub resolve: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub trust: Trust,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub probing: Probing,
}

impl Tool for ProbeFtp {
    const NAME: &'static str = "probe-ftp";
    const MONITORS: bool = true;
    fn output(&self) -> &OutputArgs {
        &self.probing.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "A server is up when it greets and lets in whom the URL or --user names, or anonymous. A server that refuses anonymous \
         works as well: it is up. With --read it has to hand over the folder (a path that ends with /) or the file, with --body \
         something has to occur in that.",
        "A target without ftp:// or ftps:// is a bare host, or HOST:PORT, as with probe-http(1).",
        "A target on stdin is a JSON object a line: url (the only one that has to be there), target (its name in events), user, \
         password, read, body, resolve (a list), timeout_ms. What it leaves out is as the flags say; all lines are read before the \
         first probe.",
        "A definite no: refused, reset, host-unreachable, timeout-connect, timeout-tls, timeout-first-byte, timeout-body, \
         empty-reply, cut-off, not-ftp, tls, unavailable (421 and kin), not-found, no-data, wrong-body.",
        "What cannot tell: login-denied (somebody named was refused: that may be a password that was changed), and what \
         probe-http(1) lists.",
        "ftps:// is TLS from the first byte. Data connections are passive, to the address of the server itself. A look-up of the \
         name, certificates and what runs at a time are as with probe-http(1).",
    ],
    statuses: &[
        (0, "all are up; in a stream: --until came true, or without it --for is over or a signal came"),
        (1, "at least one is down, and all could be judged; in a stream: --until did not come true within --for"),
        (75, "at least one could not be judged; a signal came before --until came true"),
    ],
    examples: &[
        ("probe-ftp --human ftp://192.0.2.10/", "Does it greet, and let in?"),
        ("probe-ftp --body README ftp://192.0.2.10/pub/", "Does its folder list what it has to hold?"),
        ("probe-ftp --user check --password-file /etc/takeover/ftp ftp://192.0.2.10/", "Log in by name."),
        ("probe-ftp --exit-style mon files1 files2", "Serve as a monitor of mon, which gives bare hosts."),
    ],
    see_also: &["probe-http(1)", "probe-tcp(1)", "ha-events(7)", "takeover(7)"],
};
