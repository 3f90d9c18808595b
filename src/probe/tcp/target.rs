//! Whom to probe and how: from the words of a call, and from JSON lines on stdin. Pure.

use std::time::Duration;

use regex::bytes::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::dialogue::Step;
use super::service::{Parameters, Service, Transport, Unfit, fits};
use crate::probe::lookup::{Host, HostError, split_port};
use crate::probe::timeout_ms;

/// One service of one host.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it is called in events.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How it is asked.
    pub check: Check,
}

/// How a service is asked.
#[derive(Clone, Debug)]
pub struct Check {
    /// Which it is.
    pub service: Service,
    /// By what.
    pub transport: Transport,
    /// Whether a TLS handshake comes first.
    pub tls: bool,
    /// The name that the certificate has to be for; the host's own where it is none.
    pub server_name: Option<String>,
    /// The port where the target names none and the service has no usual one.
    pub port: Option<u16>,
    /// What the dialogue needs.
    pub parameters: Parameters,
    /// The longest that one probe may take.
    pub timeout: Duration,
}

/// Why a target cannot be probed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A port outside of 1 to 65535.
    #[error("'{0}' has a port that is none: 1 to 65535")]
    Port(String),
    /// No port at all.
    #[error("'{0}' names no port, and the service has no usual one")]
    NoPort(String),
    /// A bracket without its partner.
    #[error("'{0}' is no address: an IPv6 address with a port stands in brackets, as in [2001:db8::1]:25")]
    Brackets(String),
    /// What the service is to be asked with.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Something that the service cannot do.
    #[error("{0}")]
    Check(String),
    /// A field of a line.
    #[error("the field '{field}' {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl TargetError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Host(HostError::ZoneName(_)) => "write such as fe80::1%eth0, and with a port [fe80::1%eth0]:25",
            Self::Host(_) | Self::Port(_) | Self::NoPort(_) | Self::Brackets(_) => {
                "write such as 192.0.2.1:25, mail.example:25 or [2001:db8::1]:25"
            }
            Self::Check(_) | Self::Unfit(_) | Self::Field { .. } => {
                "the manual page has what each service takes, and the fields of a target on stdin"
            }
        }
    }
}

impl Check {
    /// Whether it can be done at all.
    ///
    /// # Errors
    /// Datagrams that nobody would answer, TLS over them, steps that a service of its own words does not take, words that do not
    /// fit into its language.
    pub fn possible(self) -> Result<Self, TargetError> {
        let no = |why: &str| Err(TargetError::Check(why.to_owned()));
        let steps = &self.parameters.steps;
        match self.transport {
            Transport::Udp if !self.service.has_datagrams() => no("this service has no datagrams: leave --udp out"),
            Transport::Udp if self.tls => no("datagrams are not asked over TLS: leave out one of --udp and --tls"),
            Transport::Udp
                if self.service == Service::Tcp && !matches!(steps.as_slice(), [Step::Say(_), .., Step::Expect(_)]) =>
            {
                no("a datagram service is up only if it answers: give --send and then --expect")
            }
            _ if self.service != Service::Tcp && !steps.is_empty() => {
                no("this service has words of its own: use --send and --expect without --service")
            }
            _ => {
                fits(self.service, &self.parameters)?;
                Ok(self)
            }
        }
    }

    /// The target that a word means: HOST, HOST:PORT, [IPV6]:PORT or a bare IPv6 address.
    ///
    /// # Errors
    /// Where it means none.
    pub fn target(&self, word: &str) -> Result<Target, TargetError> {
        let (host, port) = split_port(word).ok_or_else(|| TargetError::Brackets(word.to_owned()))?;
        let port = match port {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|p| *p > 0),
            Some(_) => None,
            None => Some(self.port.or(self.service.port()).ok_or_else(|| TargetError::NoPort(word.to_owned()))?),
        };
        let port = port.ok_or_else(|| TargetError::Port(word.to_owned()))?;
        Ok(Target { name: word.to_owned(), host: host.parse()?, port, check: self.clone() })
    }
}

/// A target as it stands on stdin: what it does not say is as the flags of the call have it.
#[derive(Debug, Deserialize)]
struct Line {
    target: Option<String>,
    address: String,
    service: Option<String>,
    udp: Option<bool>,
    tls: Option<bool>,
    server_name: Option<String>,
    dialogue: Option<Vec<Words>>,
    request: Option<String>,
    receive: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    secret: Option<String>,
    timeout_ms: Option<f64>,
}

/// A step on stdin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Words {
    Send(String),
    Expect(String),
}

/// The target of one line of stdin.
///
/// # Errors
/// Where a field is missing or wrong.
pub fn from_line(object: &Value, defaults: &Check) -> Result<Target, TargetError> {
    let line = Line::deserialize(object).map_err(|e| TargetError::Check(e.to_string()))?;
    let mut check = defaults.clone();
    if let Some(name) = &line.service {
        let service = <Service as clap::ValueEnum>::from_str(name, false)
            .map_err(|_| TargetError::Field { field: "service", why: format!("names no service: '{name}'") })?;
        (check.service, check.transport, check.tls) = (service, service.transport(), service.secure());
        check.parameters.steps.clear();
    }
    if let Some(udp) = line.udp {
        check.transport = if udp { Transport::Udp } else { Transport::Tcp };
    }
    check.tls = line.tls.unwrap_or(check.tls);
    check.server_name = line.server_name.or(check.server_name);
    if let Some(words) = line.dialogue {
        let step = |words| match words {
            Words::Send(text) => Ok(Step::Say(text.into_bytes())),
            Words::Expect(text) => pattern("dialogue", &text).map(Step::Expect),
        };
        check.parameters.steps = words.into_iter().map(step).collect::<Result<_, _>>()?;
    }
    let with = &mut check.parameters;
    with.request = line.request.or(with.request.take());
    with.user = line.user.or(with.user.take());
    with.password = line.password.or(with.password.take());
    with.database = line.database.or(with.database.take());
    with.secret = line.secret.or(with.secret.take());
    if let Some(text) = line.receive {
        with.receive = Some(pattern("receive", &text)?);
    }
    if let Some(ms) = line.timeout_ms {
        check.timeout = timeout_ms(ms).map_err(|why| TargetError::Field { field: "timeout_ms", why })?;
    }
    let target = check.possible()?.target(&line.address)?;
    Ok(Target { name: line.target.unwrap_or(line.address), ..target })
}

fn pattern(field: &'static str, text: &str) -> Result<Regex, TargetError> {
    Regex::new(text).map_err(|e| TargetError::Field { field, why: format!("is no regular expression: {e}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check() -> Check {
        Check {
            service: Service::Tcp,
            transport: Transport::Tcp,
            tls: false,
            server_name: None,
            port: None,
            parameters: Parameters::default(),
            timeout: Duration::from_secs(2),
        }
    }

    #[test]
    fn words_for_targets() {
        let smtp = Check { service: Service::Smtp, ..check() };
        let of = |check: &Check, word: &str| check.target(word).map(|t| (format!("{:?}", t.host), t.port));
        let literal = |ip: &str| format!("{:?}", Host::Literal { ip: ip.parse().unwrap(), zone: None });
        assert_eq!(of(&check(), "192.0.2.1:80").unwrap(), (literal("192.0.2.1"), 80));
        assert_eq!(of(&check(), "[2001:db8::1]:80").unwrap(), (literal("2001:db8::1"), 80));
        assert_eq!(of(&smtp, "2001:db8::1").unwrap(), (literal("2001:db8::1"), 25));
        assert_eq!(of(&smtp, "[2001:db8::1]").unwrap(), (literal("2001:db8::1"), 25));
        assert_eq!(of(&smtp, "mail:2525").unwrap(), ("Name(\"mail\")".to_owned(), 2525));
        assert_eq!(of(&Check { port: Some(7), ..smtp.clone() }, "mail").unwrap().1, 7);
        for bad in ["mail", "mail:", "mail:0", "mail:65536", "mail:+1", ":80", "[::1]80", "[::1:80", "", "0.0.0.0:1"] {
            assert!(check().target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines() {
        let line = json!({"target": "web", "address": "192.0.2.1", "service": "pops", "timeout_ms": 500, "other": 1});
        let target = from_line(&line, &check()).unwrap();
        assert_eq!((target.name.as_str(), target.port, target.check.tls), ("web", 995, true));
        assert_eq!(target.check.timeout, Duration::from_millis(500));
        let line = json!({"address": "192.0.2.1:7", "udp": true, "dialogue": [{"send": "ping"}, {"expect": "pong"}]});
        let target = from_line(&line, &check()).unwrap();
        assert_eq!((target.name.as_str(), target.check.parameters.steps.len()), ("192.0.2.1:7", 2));
        for bad in [
            json!({"target": "web"}),
            json!({"address": "192.0.2.1:1", "service": "nonsense"}),
            json!({"address": "192.0.2.1:1", "timeout_ms": 0}),
            json!({"address": "192.0.2.1:1", "timeout_ms": -1}),
            json!({"address": "192.0.2.1:1", "receive": "("}),
            json!({"address": "192.0.2.1:1", "udp": true}),
            json!({"address": "192.0.2.1:1", "service": "smtp", "udp": true}),
            json!({"address": "192.0.2.1:1", "dialogue": [{"say": "x"}]}),
            json!({"address": 7}),
        ] {
            assert!(from_line(&bad, &check()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(word in ".{0,40}") { let _ = check().target(&word); }
    }
}
