//! URLs as they are given: what is wrong with one is said before anything is sent anywhere. Pure.

use std::net::{IpAddr, Ipv6Addr};

use super::lookup::{Host, HostError, is_zone, split_port};

/// Why a text cannot be probed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// There is no scheme before it.
    #[error("'{url}' has no {0}:// or {1}:// before it", schemes[0], schemes[1])]
    NoScheme {
        /// The whole of it.
        url: String,
        /// Those that would do.
        schemes: [&'static str; 2],
    },
    /// Another scheme than ours.
    #[error("'{url}' is neither an {0}:// nor an {1}:// URL", schemes[0], schemes[1])]
    Scheme {
        /// The whole of it.
        url: String,
        /// Those that would do.
        schemes: [&'static str; 2],
    },
    /// No host, or one that no host can be called.
    #[error("'{url}' names no host that can be asked: {why}")]
    Host {
        /// The whole of it.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A port outside of 1 to 65535.
    #[error("'{0}' has a port that is none: 1 to 65535")]
    Port(String),
    /// Blanks, control characters or letters beyond ASCII.
    #[error("'{0}' holds blanks, control characters or letters that a URL has to escape")]
    Characters(String),
}

impl UrlError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NoScheme { url, schemes } => format!("write {}://{url}", schemes[0]),
            Self::Scheme { .. } => "other services have their own probes; takeover(7) lists them".to_owned(),
            Self::Host { .. } | Self::Port(_) => {
                "write such as http://host:8080/path or http://[fe80::1%25eth0]/, with the scheme that is meant"
                    .to_owned()
            }
            Self::Characters(_) => "write a blank as %20, and a host name in its xn-- form".to_owned(),
        }
    }
}

/// The zone of a link-local literal, `eth0` in `http://[fe80::1%25eth0]/` (or `%eth0`), and the same URL with `index` in its
/// place: libcurl as we build it understands only numbers there.
pub fn zone(url: &str) -> Option<(&str, impl Fn(u32) -> String)> {
    let (before, rest) = url.split_once('[')?;
    let (inside, after) = rest.split_once(']')?;
    // What stands in a path or a query is no host.
    before.strip_suffix("://").or_else(|| before.strip_suffix('@'))?;
    let (address, zone) = inside.split_once('%')?;
    let name = zone.strip_prefix("25").filter(|z| !z.is_empty()).unwrap_or(zone);
    Some((name, move |index| format!("{before}[{address}%25{index}]{after}")))
}

/// Checks that a text is a URL of one of these schemes that libcurl will understand, before anything is sent anywhere.
pub fn check(url: &str, schemes: [&'static str; 2]) -> Result<(), UrlError> {
    let whole = || url.to_owned();
    if url.is_empty() || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(UrlError::Characters(whole()));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(UrlError::NoScheme { url: whole(), schemes });
    };
    if !schemes.iter().any(|ours| scheme.eq_ignore_ascii_case(ours)) {
        let a_word = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let url = whole();
        return Err(if a_word { UrlError::Scheme { url, schemes } } else { UrlError::NoScheme { url, schemes } });
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bad = |why| UrlError::Host { url: whole(), why };
    let port = if let Some(literal) = host_and_port.strip_prefix('[') {
        let (inside, port) = literal.split_once(']').ok_or_else(|| bad("the bracket is not closed"))?;
        let (address, zone) = inside.split_once('%').map_or((inside, None), |(a, z)| (a, Some(z)));
        let zone = zone.map(|z| z.strip_prefix("25").filter(|z| !z.is_empty()).unwrap_or(z));
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(bad("what stands between the brackets is no IPv6 address"));
        }
        if zone.is_some_and(|zone| !is_zone(zone)) {
            return Err(bad("no interface is called like its zone"));
        }
        port
    } else {
        let (host, port) = host_and_port.find(':').map_or((host_and_port, ""), |at| host_and_port.split_at(at));
        if port.matches(':').count() > 1 {
            return Err(bad("an IPv6 address stands in brackets"));
        }
        if host.is_empty() {
            return Err(bad("there is none"));
        }
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) || host.starts_with('.') {
            return Err(bad("no host is called that"));
        }
        // A host of four numbers, or one, is an address to the resolver, and has to be one.
        let numeric =
            host.rsplit('.').find(|label| !label.is_empty()).is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if numeric && host.parse::<std::net::Ipv4Addr>().is_err() {
            return Err(bad("it looks like an IPv4 address and is none"));
        }
        port
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|n| n > 0) => {
            Ok(())
        }
        _ => Err(UrlError::Port(whole())),
    }
}

/// The URL of a bare host, HOST or HOST:PORT, in the place of which no URL was given; still to be checked.
///
/// # Errors
/// It is no host.
pub fn of_host(word: &str, scheme: &str, port: Option<u16>, path: &str) -> Result<String, HostError> {
    let (host, own) = split_port(word).ok_or_else(|| HostError::NotIpv6(word.to_owned()))?;
    let host = match host.parse()? {
        Host::Name(name) => name,
        Host::Literal { ip: IpAddr::V6(ip), zone: Some(zone) } => format!("[{ip}%25{zone}]"),
        Host::Literal { ip: IpAddr::V6(ip), zone: None } => format!("[{ip}]"),
        Host::Literal { ip, .. } => ip.to_string(),
    };
    let port = own.map(str::to_owned).or_else(|| port.map(|port| port.to_string()));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{scheme}://{host}{port}/{}", path.strip_prefix('/').unwrap_or(path)))
}

/// Whether a word is a bare host, or meant as one.
pub fn is_bare(word: &str) -> bool {
    !word.contains(['/', '?', '#', '@'])
}

/// Whether a URL says whom to log in.
pub fn names_user(url: &str) -> bool {
    let authority =
        url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

/// Whether a URL asks for TLS.
pub fn is_secure(url: &str) -> bool {
    ["https:", "ftps:"].iter().any(|s| url.get(..s.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(s)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_http(url: &str) -> Result<(), UrlError> {
        check(url, ["http", "https"])
    }

    #[test]
    fn users() {
        assert!(names_user("ftp://u@h/") && names_user("ftp://u:p@h:21"));
        assert!(!names_user("ftp://h/@") && !names_user("ftp://h"));
        assert!(is_secure("HTTPS://x") && is_secure("ftps://x") && !is_secure("http://x"));
    }

    #[test]
    fn zones_become_numbers() {
        for url in ["http://[fe80::1%25eth0]:80/x", "http://[fe80::1%eth0]:80/x"] {
            let found = zone(url).map(|(name, numbered)| (name, numbered(7)));
            assert_eq!(found, Some(("eth0", "http://[fe80::1%257]:80/x".to_owned())));
        }
        for url in ["http://[fe80::1]/", "http://h/[fe80::1%25eth0]", "http://h/?q=[%25]", "http://h/"] {
            assert!(zone(url).is_none(), "{url}");
        }
    }

    #[test]
    fn bare_hosts() {
        let of = |word: &str| of_host(word, "http", Some(81), "/a?b").map_err(|e| e.to_string());
        for (word, url) in [
            ("web1", "http://web1:81/a?b"),
            ("web1:82", "http://web1:82/a?b"),
            ("192.0.2.1", "http://192.0.2.1:81/a?b"),
            ("2001:db8::1", "http://[2001:db8::1]:81/a?b"),
            ("[2001:db8::1]:82", "http://[2001:db8::1]:82/a?b"),
            ("fe80::1%eth0", "http://[fe80::1%25eth0]:81/a?b"),
        ] {
            assert_eq!(of(word).as_deref(), Ok(url));
            assert_eq!(check_http(url), Ok(()));
        }
        assert_eq!(of_host("web1", "ftps", None, "").as_deref(), Ok("ftps://web1/"));
        for bad in ["", "[::1", "::zz", "0.0.0.0", "web%eth0"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        // What is left is found where every URL is checked.
        for bad in ["web:0", "web:x", "a b", "1.2.3"] {
            assert!(check_http(&of(bad).unwrap()).is_err(), "{bad}");
        }
        assert!(is_bare("web1:80") && is_bare("::1") && !is_bare("web1/x") && !is_bare("http://web1"));
    }

    #[test]
    fn targets() {
        for good in [
            "http://a",
            "HTTPS://a.example.org:8443/path?x=http://b#c",
            "http://192.0.2.1/",
            "http://[::1]:80/",
            "http://[fe80::1%25eth0]/",
            "http://user:pw@host:1/",
            "http://a_b/",
            "http://a.:65535/",
        ] {
            assert_eq!(check_http(good), Ok(()), "{good}");
        }
        let kind = |url: &str| match check_http(url) {
            Ok(()) => "good",
            Err(e) => {
                assert!(!e.hint().is_empty());
                match e {
                    UrlError::NoScheme { .. } => "no scheme",
                    UrlError::Scheme { .. } => "scheme",
                    UrlError::Host { .. } => "host",
                    UrlError::Port(_) => "port",
                    UrlError::Characters(_) => "characters",
                }
            }
        };
        for (bad, why) in [
            ("host/path", "no scheme"),
            ("host:80/?u=http://x", "no scheme"),
            ("ftp://host/", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("http:///path", "host"),
            ("http://:80/", "host"),
            ("http://[::1", "host"),
            ("http://[zz]/", "host"),
            ("http://::1/", "host"),
            ("http://[fe80::1%25eth0:]/", "host"),
            ("http://a{b}/", "host"),
            ("http://1.2.3/", "host"),
            ("http://1.2.3.256/", "host"),
            ("http://a:0/", "port"),
            ("http://a:/", "port"),
            ("http://a:+1/", "port"),
            ("http://a:65536/", "port"),
            ("http://[::1]x/", "port"),
            ("http://a/b c", "characters"),
            ("http://a/\r\nx", "characters"),
            ("http://bücher/", "characters"),
            ("", "characters"),
        ] {
            assert_eq!(kind(bad), why, "{bad}");
        }
    }

    proptest! {
        /// What is taken for a URL has nothing in it that could end a line or hide a second request.
        #[test]
        fn urls_never_panic_and_stay_one_line(url in "(http://)?.{0,30}") {
            if check_http(&url).is_ok() {
                prop_assert!(url.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
