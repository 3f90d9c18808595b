//! `probe-http`: is this HTTP(S) service healthy?

use std::net::IpAddr;

use clap::Parser;
use regex::bytes::Regex;

use super::manual::Manual;
use super::probing::{Hosts, Probing, Trust};
use crate::cli::{OutputArgs, Tool};
use crate::probe::http::Statuses;

/// Tell whether HTTP and HTTPS services are healthy
#[derive(Parser, Clone, Debug)]
#[command(name = "probe-http", version)]
pub struct ProbeHttp {
    /// What to probe: http:// or https://, or a bare host; any number of them at once; - reads JSON lines from stdin
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hosts: Hosts,
    /// Statuses that are healthy: single ones and ranges, separated by commas
    #[arg(long, value_name = "STATUS,LOW-HIGH", default_value = "200-399")]
    pub expect: Statuses,
    /// What has to occur in the body (its first 1 MiB); a regular expression
    #[arg(long, value_name = "REGEX")]
    pub body: Option<Regex>,
    /// The method to ask with; no request has a body
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = method)]
    pub method: String,
    /// A header line to send, such as 'Host: www.example.org'; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<String>,
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

impl Tool for ProbeHttp {
    const NAME: &'static str = "probe-http";
    const MONITORS: bool = true;
    fn output(&self) -> &OutputArgs {
        &self.probing.output
    }
}

/// A word as HTTP calls it: what methods and names of headers are made of.
fn is_token(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

pub(crate) fn method(text: &str) -> Result<String, String> {
    if !is_token(text) {
        return Err("a method is one word, such as GET or HEAD".to_owned());
    }
    Ok(text.to_ascii_uppercase())
}

/// A header line as libcurl takes it.
pub(crate) fn header(text: &str) -> Result<String, String> {
    if text.contains(['\r', '\n', '\0']) {
        return Err("a header is one line: no line ends in it".to_owned());
    }
    match text.split_once(':') {
        Some((name, value)) if is_token(name) => Ok(match value.trim() {
            // libcurl leaves a header without a value out, unless it is written like this.
            "" => format!("{name};"),
            value => format!("{name}: {value}"),
        }),
        _ => Err("write it as 'Name: value'".to_owned()),
    }
}

pub(crate) fn resolve(text: &str) -> Result<String, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("write it as HOST:PORT:ADDR".to_owned());
    };
    if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return Err(format!("'{host}' is not the name of a host"));
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|n| n > 0) {
        return Err(format!("'{port}' is not a port"));
    }
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let ip: IpAddr = bare.parse().map_err(|_| format!("'{address}' is not an IP address"))?;
    Ok(match ip {
        IpAddr::V4(ip) => format!("{host}:{port}:{ip}"),
        IpAddr::V6(ip) => format!("{host}:{port}:[{ip}]"),
    })
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Each URL is asked over a new connection, all of them in parallel, and each result is one event: up true, false \
         or null, with the reason, the status and the time that each phase took. Redirections are not followed: a 301 is \
         a healthy answer by default. Neither a proxy nor .netrc nor a remembered address is used.",
        "A target without http:// or https:// is a bare host, or HOST:PORT, and asked for --path at --port, with --tls as \
         https. In events and in the summary for mon it is called as it was given.",
        "A target on stdin is a JSON object a line: url (the only one that has to be there), target (its name in events), method, \
         headers (a list), body, expect, resolve (a list), timeout_ms. What it leaves out is as the flags say; all lines are read \
         before the first probe.",
        "A definite no is what the target did, or a silence that can only be its own: refused, reset, host-unreachable, \
         timeout-connect, timeout-tls, timeout-first-byte, timeout-body, empty-reply, cut-off, not-http, tls, \
         wrong-status, wrong-body.",
        "What may lie on this side cannot tell: lookup-failed, lookup-timeout, lookup-slow (the look-up took more than \
         half of the time-out, and the rest was not enough), no-route, not-permitted, \
         out-of-descriptors, no-local-address, out-of-memory, interface, no-interface, interface-down, no-carrier, egress-unknown, \
         ca-bundle, certificate (not trusted here, or expired: the clock may be wrong), tls-incompatible, body-too-long, \
         stalled (this process was not run for half of the time-out), unknown.",
        "The time-out covers all of a probe, the look-up of the name included, and runs on the boot-time clock. A look-up \
         that hangs does not outlast it, but occupies one of 32 threads until the system's resolver gives up on it; while \
         all of them hang, further look-ups wait and end as lookup-timeout. Give an address, or --resolve, to do without.",
        "At most 1000 probes are under way at a time, fewer where ulimit -n does not allow them; the rest wait, and the \
         time-out of each starts with itself. Of the body 1 MiB is kept for --body, and the rest read and dropped; \
         where the pattern did not occur in a longer one, the result is null.",
        "Certificates are checked against --cacert, else the file named in SSL_CERT_FILE, else \
         /etc/ssl/certs/ca-certificates.crt or /etc/pki/tls/certs/ca-bundle.crt. HTTP/1.1 is spoken, and TLS 1.2 or 1.3.",
    ],
    statuses: &[
        (0, "all are up; in a stream: --until came true, or without it --for is over or a signal came"),
        (1, "at least one is down, and all could be judged; in a stream: --until did not come true within --for"),
        (75, "at least one could not be judged; a signal came before --until came true"),
    ],
    examples: &[
        ("probe-http --human http://192.0.2.10/", "Look once."),
        (
            "probe-http --fall 3 http://192.0.2.10/; [ $? = 1 ] && echo 'it is down'",
            "Act on a definite no, seen three times, and on nothing else.",
        ),
        (
            "probe-http --every 1s --timeout 500ms --fall 3 --fields event,target,is,cause http://192.0.2.10/health",
            "Watch, in columns that a shell reads.",
        ),
        (
            "probe-http --resolve www.example.org:443:192.0.2.10 --body 'Welcome' https://www.example.org/",
            "Ask one machine for a name without asking the name server.",
        ),
        ("probe-http --exit-style mon --path /health web1 web2", "Serve as a monitor of mon, which gives bare hosts."),
    ],
    see_also: &["probe-ping(1)", "vip-take(8)", "standby-watch(8)", "ha-events(7)", "takeover(7)"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        assert_eq!(header("Host:www.example.org").as_deref(), Ok("Host: www.example.org"));
        assert_eq!(header("X-Empty:").as_deref(), Ok("X-Empty;"));
        for bad in ["no colon", ": x", "a b: c", "X: a\r\nY: b", "X: a\nY", "X: \0"] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_for_names() {
        assert_eq!(resolve("a.b:80:192.0.2.1").as_deref(), Ok("a.b:80:192.0.2.1"));
        assert_eq!(resolve("a:443:2001:db8::1").as_deref(), Ok("a:443:[2001:db8::1]"));
        assert_eq!(resolve("a:443:[2001:db8::1]").as_deref(), Ok("a:443:[2001:db8::1]"));
        for bad in [
            "a:80",
            "a:0:192.0.2.1",
            "a:x:192.0.2.1",
            "a:80:b",
            ":80:192.0.2.1",
            "a:65536:192.0.2.1",
            "+a:80:192.0.2.1",
        ] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn methods_and_time_outs() {
        use super::super::probing::timeout;
        assert_eq!(method("head").as_deref(), Ok("HEAD"));
        assert!(method("GET /").is_err() && method("").is_err());
        assert!(timeout("0").is_err() && timeout("2d").is_err() && timeout("10us").is_err());
        assert_eq!(timeout("1500ms"), Ok(std::time::Duration::from_millis(1500)));
    }
}
