//! The services that are known by name: their ports, what proves that they work, and how it is asked.

mod bytes;
mod digests;
pub mod dns;
pub mod ldap;
pub mod mysql;
pub mod pgsql;
pub mod radius;
mod scram;
#[cfg(test)]
mod tests;
mod verdicts;

use regex::bytes::Regex;

use super::dialogue::{Dialogue, Step, Text};

/// A service by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum Service {
    /// Connects, and follows --expect and --send
    #[default]
    Tcp,
    /// The greeting 220
    Ftp,
    /// The greeting 220
    Smtp,
    /// The greeting 220, on port 587
    Submission,
    /// The greeting +OK, and the login with --user
    Pop,
    /// The same over TLS
    Pops,
    /// The greeting OK or PREAUTH, and the login with --user
    Imap,
    /// The same over TLS
    Imaps,
    /// The greeting 200 or 201
    Nntp,
    /// An answer of class 100 or 200 to OPTIONS
    Sip,
    /// The answer to an anonymous bind
    Ldap,
    /// The same over TLS
    Ldaps,
    /// The answer to a query of the name in --request
    Dns,
    /// The whole login, and the query in --request
    Mysql,
    /// The whole login, and the query in --request
    Pgsql,
    /// The accepted login of --user
    Radius,
}

/// How packets go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// A connection.
    Tcp,
    /// Datagrams, asked up to three times.
    Udp,
}

impl Service {
    /// Its port; none where there is no usual one.
    pub const fn port(self) -> Option<u16> {
        Some(match self {
            Self::Tcp => return None,
            Self::Ftp => 21,
            Self::Smtp => 25,
            Self::Submission => 587,
            Self::Pop => 110,
            Self::Pops => 995,
            Self::Imap => 143,
            Self::Imaps => 993,
            Self::Nntp => 119,
            Self::Sip => 5060,
            Self::Ldap => 389,
            Self::Ldaps => 636,
            Self::Dns => 53,
            Self::Mysql => 3306,
            Self::Pgsql => 5432,
            Self::Radius => 1812,
        })
    }

    /// Whether it begins with a TLS handshake.
    pub const fn secure(self) -> bool {
        matches!(self, Self::Pops | Self::Imaps | Self::Ldaps)
    }

    /// How it is reached where nothing else is said.
    pub const fn transport(self) -> Transport {
        if matches!(self, Self::Radius) { Transport::Udp } else { Transport::Tcp }
    }

    /// Whether it can be asked by datagrams.
    pub const fn has_datagrams(self) -> bool {
        matches!(self, Self::Tcp | Self::Sip | Self::Dns | Self::Radius)
    }
}

/// What a dialogue needs to know beside the service.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// The steps that the caller gave.
    pub steps: Vec<Step>,
    /// A name to look up, a query, a text that the service understands.
    pub request: Option<String>,
    /// What the answer to it has to hold.
    pub receive: Option<Regex>,
    /// Whom to log in.
    pub user: Option<String>,
    /// With what.
    pub password: Option<String>,
    /// Into which database.
    pub database: Option<String>,
    /// What a RADIUS server and its clients share.
    pub secret: Option<String>,
}

/// Why a service cannot be asked as the caller would have it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    /// A question of DNS.
    #[error("the request is no question: {0}")]
    Question(#[from] dns::QuestionError),
    /// RADIUS without what every packet is signed with.
    #[error("a RADIUS server answers only whoever knows its secret: give --secret-file, or a secret on stdin")]
    NoSecret,
    /// More than a packet of RADIUS holds.
    #[error("a RADIUS request holds a user of 1 to 253 bytes and a password of up to 128")]
    Radius,
    /// Bytes that would end what they stand in.
    #[error("the {0} holds {1}, which would end it: what follows would be another command")]
    Ends(&'static str, &'static str),
    /// A word that this service has no use for.
    #[error("this service makes nothing of --{0}: its checks would not be what they seem")]
    Idle(&'static str),
    /// An expectation of an answer that is not asked for.
    #[error("--receive is about the answer to --request: give that, too")]
    Unasked,
}

/// Whether a service can be asked like that at all.
///
/// # Errors
/// What is missing, or cannot be said in its language.
pub fn fits(service: Service, with: &Parameters) -> Result<(), Unfit> {
    let texts =
        [("request", &with.request), ("user", &with.user), ("password", &with.password), ("database", &with.database)];
    let free = |end: fn(char) -> bool, called: &'static str| {
        let mut given = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        given.find(|(_, text)| text.contains(end)).map_or(Ok(()), |(name, _)| Err(Unfit::Ends(name, called)))
    };
    match service {
        Service::Tcp | Service::Ftp | Service::Smtp | Service::Submission | Service::Nntp => Ok(()),
        Service::Ldap | Service::Ldaps => Ok(()),
        Service::Pop | Service::Pops | Service::Imap | Service::Imaps => {
            free(|c| matches!(c, '\r' | '\n' | '\0'), "the end of a line")
        }
        Service::Sip => free(|c| c.is_whitespace() || c.is_control(), "a blank or the end of a line"),
        Service::Dns => Ok(with.request.as_deref().map_or(Ok(()), |text| text.parse::<dns::Question>().map(drop))?),
        // A query of MySQL is as long as its packet says.
        Service::Mysql => fits_but_for_zero(&[("user", &with.user), ("database", &with.database)]),
        Service::Pgsql => fits_but_for_zero(&texts),
        Service::Radius => match (with.secret.as_deref().unwrap_or_default(), &with.user, &with.password) {
            ("", ..) => Err(Unfit::NoSecret),
            (_, user, password) => {
                let user = user.as_ref().is_none_or(|user| (1..=253).contains(&user.len()));
                let password = password.as_ref().is_none_or(|password| password.len() <= 128);
                if user && password { Ok(()) } else { Err(Unfit::Radius) }
            }
        },
    }
}

/// Texts that go out with a zero behind them.
fn fits_but_for_zero(texts: &[(&'static str, &Option<String>)]) -> Result<(), Unfit> {
    let bad = texts.iter().find(|(_, text)| text.as_ref().is_some_and(|text| text.contains('\0')));
    bad.map_or(Ok(()), |(name, _)| Err(Unfit::Ends(name, "a zero byte")))
}

/// Whether the service makes something of every word that was given for it alone.
///
/// # Errors
/// The first that it would pass over.
pub fn uses_all(service: Service, with: &Parameters) -> Result<(), Unfit> {
    let used: &[&str] = match service {
        Service::Tcp | Service::Ftp | Service::Smtp | Service::Submission | Service::Nntp => &[],
        Service::Pop | Service::Pops | Service::Imap | Service::Imaps | Service::Ldap | Service::Ldaps => {
            &["user", "password-file"]
        }
        Service::Sip => &["request", "user"],
        Service::Dns => &["request", "receive"],
        Service::Mysql | Service::Pgsql => &["request", "receive", "user", "password-file", "database"],
        Service::Radius => &["user", "password-file", "secret-file"],
    };
    let given = [
        ("request", with.request.is_some()),
        ("receive", with.receive.is_some()),
        ("user", with.user.is_some()),
        ("password-file", with.password.is_some()),
        ("database", with.database.is_some()),
        ("secret-file", with.secret.is_some()),
    ];
    if let Some((name, _)) = given.into_iter().find(|(name, given)| *given && !used.contains(name)) {
        return Err(Unfit::Idle(name));
    }
    match service {
        Service::Mysql | Service::Pgsql if with.receive.is_some() && with.request.is_none() => Err(Unfit::Unasked),
        _ if with.password.is_some() && with.user.is_none() => Err(Unfit::Idle("password-file without --user")),
        _ => Ok(()),
    }
}

/// The dialogue for one probe. `nonce` is random: whatever has to be different each time comes of it.
pub fn dialogue(service: Service, transport: Transport, with: &Parameters, nonce: [u8; 16]) -> Box<dyn Dialogue> {
    let text = |steps: Vec<Step>, parting| -> Box<dyn Dialogue> { Box::new(Text::new(steps, parting)) };
    match service {
        Service::Tcp => text(with.steps.clone(), b""),
        Service::Ftp | Service::Smtp | Service::Submission => text(lines(&["^220[ -]"]), b"QUIT\r\n"),
        Service::Nntp => text(lines(&["^20[01][ \r]"]), b"QUIT\r\n"),
        Service::Pop | Service::Pops => text(pop(with), b"QUIT\r\n"),
        Service::Imap | Service::Imaps => text(imap(with), b"z LOGOUT\r\n"),
        Service::Sip => text(sip(with, transport, nonce), b""),
        Service::Ldap | Service::Ldaps => Box::new(ldap::Bind::new(with)),
        Service::Dns => Box::new(dns::Query::new(with, transport, nonce)),
        Service::Mysql => Box::new(mysql::Login::new(with)),
        Service::Pgsql => Box::new(pgsql::Login::new(with, nonce)),
        Service::Radius => Box::new(radius::Access::new(with, nonce)),
    }
}

/// A pattern of our own.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

fn line(text: &str) -> Option<Step> {
    Some(Step::Line(None, pattern(text)?))
}

fn lines(patterns: &[&str]) -> Vec<Step> {
    patterns.iter().filter_map(|p| line(p)).collect()
}

/// RFC 1939.
fn pop(with: &Parameters) -> Vec<Step> {
    let mut steps = lines(&["^\\+OK"]);
    if let Some(user) = &with.user {
        let password = with.password.as_deref().unwrap_or_default();
        for words in [format!("USER {user}\r\n"), format!("PASS {password}\r\n")] {
            steps.push(Step::Say(words.into_bytes()));
            steps.extend(line("^\\+OK"));
        }
    }
    steps
}

/// RFC 3501.
fn imap(with: &Parameters) -> Vec<Step> {
    let mut steps = lines(&["^\\* (?i:OK|PREAUTH)"]);
    if let Some(user) = &with.user {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let password = with.password.as_deref().unwrap_or_default();
        steps.push(Step::Say(format!("a LOGIN {} {}\r\n", quoted(user), quoted(password)).into_bytes()));
        steps.extend(pattern("^a (?i:OK)").map(|p| Step::Line(Some("a "), p)));
    }
    steps
}

/// OPTIONS of RFC 3261, to which every server has to answer.
fn sip(with: &Parameters, transport: Transport, nonce: [u8; 16]) -> Vec<Step> {
    let unique: String = nonce.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let user = with.user.as_deref().unwrap_or("takeover");
    let via = match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    let to = with.request.clone().unwrap_or_else(|| format!("sip:{user}@localhost"));
    let request = format!(
        "OPTIONS {to} SIP/2.0\r\nVia: SIP/2.0/{via} localhost;rport;branch=z9hG4bK{unique}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@localhost>;tag={unique}\r\nTo: <{to}>\r\nCall-ID: {unique}\r\nCSeq: 1 OPTIONS\r\n\
         Contact: <sip:{user}@localhost>\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    );
    let answer = pattern("^SIP/2\\.0 [12]\\d\\d ").map(|p| Step::Line(Some("SIP/2.0 "), p));
    std::iter::once(Step::Say(request.into_bytes())).chain(answer).collect()
}
