//! `probe-tcp`: does this port accept, and greet as expected?

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Parser};
use regex::bytes::Regex;

use super::manual::Manual;
use super::probing::{Probing, Trust};
use crate::cli::{OutputArgs, Tool};
use crate::probe::tcp::dialogue::Step;
use crate::probe::tcp::service::Service;

/// Tell whether TCP and UDP services accept, greet and answer
#[derive(Parser, Clone, Debug)]
#[command(name = "probe-tcp", version)]
pub struct ProbeTcp {
    /// What to probe: HOST:PORT, or HOST where the service has a port; - reads JSON lines from stdin
    #[arg(value_name = "HOST:PORT", required = true)]
    pub targets: Vec<String>,
    /// Ask as this service is asked
    #[arg(long, value_name = "SERVICE", default_value = "tcp")]
    pub service: Service,
    /// The port of targets that name none
    #[arg(long, short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub steps: Steps,
    /// Send datagrams; up is what answers
    #[arg(long)]
    pub udp: bool,
    /// Begin with a TLS handshake
    #[arg(long)]
    pub tls: bool,
    /// The name that the certificate has to be for [default: the host]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub trust: Trust,
    /// What to ask a service for: a name, a query
    #[arg(long, value_name = "TEXT")]
    pub request: Option<String>,
    /// What its answer has to hold; a regular expression
    #[arg(long, value_name = "REGEX")]
    pub receive: Option<Regex>,
    /// Whom to log in
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The file whose first line is the password of --user
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The database to log in to
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// The file whose first line is the secret of a RADIUS server
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub probing: Probing,
}

impl Tool for ProbeTcp {
    const NAME: &'static str = "probe-tcp";
    const MONITORS: bool = true;
    fn output(&self) -> &OutputArgs {
        &self.probing.output
    }
}

/// `--expect` and `--send`, in the order in which they stand.
#[derive(Clone, Debug, Default)]
pub struct Steps(pub Vec<Step>);

impl clap::Args for Steps {
    fn augment_args(command: Command) -> Command {
        let arg = |name: &'static str, value: &'static str, parser: ValueParser| {
            Arg::new(name).long(name).value_name(value).action(ArgAction::Append).value_parser(parser)
        };
        let expect = |text: &str| Regex::new(text).map(Step::Expect);
        let say = |text: &str| escaped(text).map(Step::Say);
        command
            .arg(
                arg("expect", "REGEX", ValueParser::new(expect))
                    .help("What the service has to say next; may be repeated, and mixed with --send"),
            )
            .arg(
                arg("send", "TEXT", ValueParser::new(say))
                    .allow_hyphen_values(true)
                    .help("What to say next; \\r, \\n, \\t, \\0, \\xHH and \\\\ stand for what they do in C"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Steps {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |name: &str| {
            let at = matches.indices_of(name).into_iter().flatten();
            at.zip(matches.get_many::<Step>(name).into_iter().flatten().cloned()).collect::<Vec<_>>()
        };
        let mut steps = of("expect");
        steps.extend(of("send"));
        steps.sort_by_key(|(at, _)| *at);
        Ok(Self(steps.into_iter().map(|(_, step)| step).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Text with the escapes of C.
fn escaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let mut chars = after.chars();
        let (byte, taken) = match chars.next() {
            Some('r') => (b'\r', 1),
            Some('n') => (b'\n', 1),
            Some('t') => (b'\t', 1),
            Some('0') => (0, 1),
            Some('\\') => (b'\\', 1),
            Some('x') => {
                let hex = after.get(1..3).and_then(|h| u8::from_str_radix(h, 16).ok());
                (hex.ok_or_else(|| format!("\\x in '{text}' needs two hexadecimal digits"))?, 3)
            }
            Some(other) => return Err(format!("'{text}' has \\{other}: write \\\\ for a backslash")),
            None => return Err(format!("'{text}' ends with a backslash: write \\\\ for one")),
        };
        bytes.push(byte);
        rest = &after[taken..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Without more it connects, and closes. --expect waits for something that matches in what the service says, --send says \
         something; both may stand several times, and are gone through in their order. With --service it speaks as the service \
         does, and takes leave in its words.",
        "What each service shows: ftp, smtp, submission, nntp: the greeting. pop, pops, imap, imaps: the greeting; with --user the \
         login. sip: an answer to OPTIONS. dns: an answer to a query for the name in --request, which may end with a type (\
         \"www.example.org AAAA\"), and whose data --receive has to match; without a name any answer that is no failure. mysql, pgsql: the \
         whole login and with --request a query of which one row, matching --receive, has to come; without --user that the server \
         asks or refuses somebody shows that it works, and never counts as a broken connection. ldap, ldaps: the bind. radius: the \
         login of --user with --secret-file, over UDP; without --user any answer.",
        "http and https are those of probe-http(1), files over FTP those of probe-ftp(1).",
        "A target on stdin is a JSON object a line: address (as an operand; the only one that has to be there), target (its name in \
         events), service, udp, tls, server_name, dialogue (a list of {\"expect\":REGEX} and {\"send\":TEXT}), request, receive, \
         user, password, database, secret, timeout_ms. What it leaves out is as the flags say; all lines are read before the first \
         probe. So one process watches thousands.",
        "A definite no is what the target did, or a silence that can only be its own: refused, reset, closed, host-unreachable, \
         timeout-connect, timeout-tls, timeout-answer, wrong-answer, busy (too many connections), not-ready (it starts or stops), tls. \
         What may lie on this side cannot tell: lookup-failed, \
         lookup-timeout, lookup-slow, no-route, not-permitted, out-of-descriptors, no-local-address, out-of-memory, not-probeable, \
         no-interface, interface-down, no-carrier, egress-unknown, ca-bundle, certificate, tls-incompatible, answer-too-long, \
         truncated (a datagram), login-denied (somebody named was refused: that may be a password that was changed), \
         login-unsupported, needs-tls, wrong-request, stalled (this process was not run for half of the time-out), unknown.",
        "The first address of a name is probed; names are looked up anew for each probe. Datagrams are sent up to three times, a \
         quarter of the time-out apart. Of what a service says 64 KiB are kept.",
        "A password or a secret stands in a file, or on stdin: never on a command line, which everybody can read.",
    ],
    statuses: &[
        (0, "all are up; in a stream: --until came true, or without it --for is over or a signal came"),
        (1, "at least one is down, and all could be judged; in a stream: --until did not come true within --for"),
        (75, "at least one could not be judged; a signal came before --until came true"),
    ],
    examples: &[
        ("probe-tcp --human 192.0.2.10:22", "Does it accept?"),
        ("probe-tcp --expect '^SSH-2' 192.0.2.10:22", "Does it greet as an SSH server does?"),
        ("probe-tcp --service imaps --fall 2 mail1 mail2", "Two mail servers; a no counts when it was seen twice."),
        (
            "probe-tcp --send 'PING\\r\\n' --expect '^\\+PONG' --every 1s --fields event,target,is,cause db1:6379",
            "Watch, in columns that a shell reads.",
        ),
        (
            "echo '{\"target\":\"mx\",\"address\":\"192.0.2.25\",\"service\":\"smtp\"}' | probe-tcp -",
            "Targets from another command.",
        ),
        (
            "probe-tcp --service mysql --user check --password-file /etc/takeover/db --request 'select 1' db1",
            "A whole login and a query.",
        ),
        ("probe-tcp --service dns --udp --request www.example.org 192.0.2.53", "Ask a name server."),
        ("probe-tcp --exit-style mon -p 25 mail1 mail2", "Serve as a monitor of mon."),
    ],
    see_also: &["probe-http(1)", "probe-ping(1)", "ha-events(7)", "takeover(7)"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(escaped("a\\r\\n\\x41\\\\\\0").as_deref(), Ok(&b"a\r\nA\\\0"[..]));
        for bad in ["\\", "\\q", "\\x4", "\\xzz", "\\xé"] {
            assert!(escaped(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn steps_keep_their_order() {
        let words = ["probe-tcp", "--send", "a", "--expect", "b", "h:1", "--send=-c", "--expect", "d"];
        let args = ProbeTcp::try_parse_from(words).unwrap();
        let shown: Vec<String> = args.steps.0.iter().map(|s| format!("{s:?}")).collect();
        assert_eq!(shown, ["Say([97])", "Expect(Regex(\"b\"))", "Say([45, 99])", "Expect(Regex(\"d\"))"]);
        assert!(ProbeTcp::try_parse_from(["probe-tcp", "--expect", "(", "h:1"]).is_err());
    }
}
