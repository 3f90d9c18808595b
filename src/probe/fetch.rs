//! Whom the probes on libcurl ask for what: from the words of a call, and from JSON lines on stdin. Pure.

use std::time::Duration;

use regex::bytes::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::lookup::HostError;
use super::transfer::{BODY_KEPT, Outcome};
use super::url::{self, UrlError};
use super::{Judgement, ftp, http, timeout_ms};
use crate::args::probe_http;
use crate::args::probing::Hosts;

/// One URL and what is expected of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it is called in events.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// How it is asked.
    pub check: Check,
}

/// How a URL is asked.
#[derive(Clone, Debug)]
pub struct Check {
    /// What a healthy answer is.
    pub expected: Expected,
    /// The method, for HTTP.
    pub method: String,
    /// Header lines, for HTTP.
    pub headers: Vec<String>,
    /// Addresses for names: HOST:PORT:ADDR.
    pub resolve: Vec<String>,
    /// Whom to log in, and with what, where the URL does not say it.
    pub login: Option<(String, String)>,
    /// What a target stands for that is no URL.
    pub hosts: Hosts,
    /// What has to occur in what is read.
    pub body: Option<Regex>,
    /// The longest that one probe may take.
    pub timeout: Duration,
}

/// What a healthy answer is, by the protocol.
#[derive(Clone, Debug)]
pub enum Expected {
    /// One of these statuses.
    Http(http::Statuses),
    /// A greeting and a login, and with this also what the path names.
    Ftp {
        /// Whether it is read.
        read: bool,
    },
}

/// Why a target cannot be probed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The bare host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A field of a line.
    #[error("the field '{field}' {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The line itself.
    #[error("{0}")]
    Line(String),
}

impl TargetError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Url(e) => e.hint(),
            Self::Host(_) => "give a URL, or a bare host such as web1, 192.0.2.1 or fe80::1%eth0".to_owned(),
            Self::Field { .. } | Self::Line(_) => "the manual page lists the fields of a target on stdin".to_owned(),
        }
    }
}

impl Check {
    const fn schemes(&self) -> [&'static str; 2] {
        match self.expected {
            Expected::Http(_) => ["http", "https"],
            Expected::Ftp { .. } => ["ftp", "ftps"],
        }
    }

    /// How many bytes of a body to keep.
    pub fn capture(&self) -> usize {
        if self.body.is_some() { BODY_KEPT } else { 0 }
    }

    /// The target that a URL means, or a bare host.
    ///
    /// # Errors
    /// Where it means none.
    pub fn target(&self, text: &str) -> Result<Target, TargetError> {
        let [plain, secure] = self.schemes();
        let Hosts { port, path, tls } = &self.hosts;
        let url = match url::is_bare(text) {
            true => {
                let scheme = if *tls { secure } else { plain };
                url::of_host(text, scheme, *port, path.as_deref().unwrap_or_default())?
            }
            false => text.to_owned(),
        };
        url::check(&url, [plain, secure])?;
        Ok(Target { name: text.to_owned(), url, check: self.clone() })
    }
}

impl Target {
    /// Makes a verdict of an outcome.
    pub fn judge(&self, outcome: &Outcome) -> Judgement {
        match &self.check.expected {
            Expected::Http(statuses) => http::judge(statuses, self.check.body.as_ref(), outcome),
            Expected::Ftp { .. } => {
                let named = self.check.login.is_some() || url::names_user(&self.url);
                ftp::judge(named, self.check.body.as_ref(), outcome)
            }
        }
    }
}

/// A target as it stands on stdin: what it does not say is as the flags of the call have it.
#[derive(Debug, Deserialize)]
struct Line {
    target: Option<String>,
    url: String,
    method: Option<String>,
    headers: Option<Vec<String>>,
    resolve: Option<Vec<String>>,
    expect: Option<String>,
    read: Option<bool>,
    body: Option<String>,
    user: Option<String>,
    password: Option<String>,
    timeout_ms: Option<f64>,
}

/// The target of one line of stdin.
///
/// # Errors
/// Where a field is missing or wrong.
pub fn from_line(object: &Value, defaults: &Check) -> Result<Target, TargetError> {
    let line = Line::deserialize(object).map_err(|e| TargetError::Line(e.to_string()))?;
    let field = |field: &'static str| move |why: String| TargetError::Field { field, why };
    let all = |field_name, words: Vec<String>, parse: fn(&str) -> Result<String, String>| {
        words.iter().map(|w| parse(w)).collect::<Result<Vec<_>, _>>().map_err(field(field_name))
    };
    let mut check = defaults.clone();
    if let Some(method) = line.method {
        check.method = probe_http::method(&method).map_err(field("method"))?;
    }
    if let Some(headers) = line.headers {
        check.headers = all("headers", headers, probe_http::header)?;
    }
    if let Some(resolve) = line.resolve {
        check.resolve = all("resolve", resolve, probe_http::resolve)?;
    }
    match (&mut check.expected, line.expect, line.read) {
        (Expected::Http(statuses), Some(text), _) => {
            *statuses = text.parse().map_err(|e: http::StatusesError| field("expect")(e.to_string()))?;
        }
        (Expected::Ftp { read }, _, Some(wanted)) => *read = wanted,
        _ => {}
    }
    if let Some(text) = line.body {
        check.body = Some(Regex::new(&text).map_err(|e| field("body")(format!("is no regular expression: {e}")))?);
    }
    if let Some(user) = line.user {
        check.login = Some((user, line.password.unwrap_or_default()));
    }
    if let Some(ms) = line.timeout_ms {
        check.timeout = timeout_ms(ms).map_err(field("timeout_ms"))?;
    }
    // What was asked to match has to be read.
    if let (Expected::Ftp { read }, Some(_)) = (&mut check.expected, &check.body) {
        *read = true;
    }
    let target = check.target(&line.url)?;
    Ok(Target { name: line.target.unwrap_or(line.url), ..target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(expected: Expected) -> Check {
        Check {
            expected,
            method: "GET".into(),
            headers: vec!["A: b".into()],
            resolve: vec![],
            login: None,
            hosts: Hosts::default(),
            body: None,
            timeout: Duration::from_secs(2),
        }
    }

    #[test]
    fn lines() {
        let http = check(Expected::Http("200".parse().unwrap()));
        let line = json!({"target": "web", "url": "http://192.0.2.1/", "method": "head", "headers": ["Host:x"],
                          "body": "^ok", "expect": "200-299", "timeout_ms": 250, "other": 1});
        let target = from_line(&line, &http).unwrap();
        assert_eq!((target.name.as_str(), target.check.method.as_str()), ("web", "HEAD"));
        assert_eq!((target.check.headers, target.check.timeout), (vec!["Host: x".into()], Duration::from_millis(250)));
        let ftp = check(Expected::Ftp { read: false });
        let target = from_line(&json!({"url": "ftp://192.0.2.1/pub/", "body": "README", "user": "u"}), &ftp).unwrap();
        assert!(matches!(target.check.expected, Expected::Ftp { read: true }));
        assert_eq!(target.check.login, Some(("u".into(), String::new())));
        for bad in [
            json!({"target": "web"}),
            json!({"url": "ftp://192.0.2.1/"}),
            json!({"url": "http://192.0.2.1/", "method": "a b"}),
            json!({"url": "http://192.0.2.1/", "headers": ["a"]}),
            json!({"url": "http://192.0.2.1/", "body": "("}),
            json!({"url": "http://192.0.2.1/", "expect": "x"}),
            json!({"url": "http://192.0.2.1/", "timeout_ms": 0}),
            json!({"url": "http://192.0.2.1/", "timeout_ms": -1}),
            json!({"url": "http://192.0.2.1/", "resolve": ["x"]}),
        ] {
            assert!(from_line(&bad, &http).is_err(), "{bad}");
        }
        assert!(from_line(&json!({"url": "http://192.0.2.1/"}), &ftp).is_err());
    }
}
