//! What the parsers share: collecting problems, and what names may look like.

use std::path::{Path, PathBuf};

use super::{Problem, Severity};
pub(super) use crate::heartbeat::membership::is_node_name;

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Problems {
    file: PathBuf,
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub(super) fn error(&mut self, line: impl Into<Option<u32>>, what: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Error, line.into(), what.into(), hint.into());
    }

    pub(super) fn warning(&mut self, line: impl Into<Option<u32>>, what: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Warning, line.into(), what.into(), hint.into());
    }

    fn add(&mut self, severity: Severity, line: Option<u32>, what: String, hint: String) {
        self.found.push(Problem { file: self.file.clone(), line, what, hint, severity });
    }

    /// In the order of the lines; what is about the whole file comes last.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|p| p.line.unwrap_or(u32::MAX));
        self.found
    }
}

/// Lines with their numbers from 1, each without its end; `\r\n` ends a line too.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines())
}

/// A word of the file for a message: short, and marked as quoted.
pub(crate) fn quoted(word: &str) -> String {
    const LONGEST: usize = 60;
    let cut: String = word.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect();
    let more = if word.chars().nth(LONGEST).is_some() { "..." } else { "" };
    format!("'{cut}{more}'")
}

/// A network interface that the kernel could have: not the label of an address (`eth0:1`).
pub(crate) fn is_interface_name(name: &str) -> bool {
    // The kernel takes any byte but these; what nobody types is left out.
    (1..nix::libc::IFNAMSIZ).contains(&name.len())
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':')
}

/// The name of a resource script: it is looked for in some folders and must not leave them.
pub(crate) fn is_agent_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._@+".contains(c))
}

/// A path that leaves nothing open: absolute, without `..`, of characters that one can see.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() < 4096
        && path.chars().all(|c| c.is_ascii_graphic())
        && path.split('/').all(|part| part != "..")
}

/// A host: an IP address, or a name that could be looked up.
pub(super) fn is_host(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
        || ((1..=253).contains(&host.len())
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            })
            // Four numbers are an address, and this one did not parse.
            && !host.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["ha1", "ha1.example.com", "node_2", "A-b"] {
            assert!(is_node_name(name), "{name}");
        }
        for name in ["", ".", "..", "-x", "a/b", "a b", "ä", "a\u{0}", &"x".repeat(65)] {
            assert!(!is_node_name(name), "{name}");
        }
        for name in ["eth0", "br-lan", "veth@x", "eth0.100"] {
            assert!(is_interface_name(name), "{name}");
        }
        for name in ["", ".", "..", "eth0:1", "a/b", "a b", "sixteen-letters-", "\t"] {
            assert!(!is_interface_name(name), "{name}");
        }
        for name in ["IPaddr", "httpd", "getty@tty1.service", "g++"] {
            assert!(is_agent_name(name), "{name}");
        }
        for name in ["", "../x", ".x", "a/b", "-rf", "a b", "a;b"] {
            assert!(!is_agent_name(name), "{name}");
        }
        for path in ["/dev/ttyS0", "/dev/pts/3", "/a..b"] {
            assert!(is_plain_path(path), "{path}");
        }
        for path in ["", "ttyS0", "/dev/../etc", "/a b", "/\u{7f}"] {
            assert!(!is_plain_path(path), "{path}");
        }
        for host in ["10.0.0.1", "fe80::1", "ha1", "ha1.example.com"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "10.0.0", "10.0.0.256", "a..b", "-a", "a b", "fe80::g"] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn quotes_are_short_and_printable() {
        assert_eq!(quoted("a\u{1b}b"), "'a?b'");
        assert_eq!(quoted(&"x".repeat(100)).len(), 65);
    }
}
