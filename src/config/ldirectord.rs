//! ldirectord's .cf: virtual services, their real servers, and how those are checked.
//!
//! Lines at the margin are for the whole file, indented ones (a tab or four blanks) belong to the `virtual` above them; an
//! empty line ends it. What ldirectord 4 refuses is an error here, too. Names are looked for in the hosts and services files
//! alone: a balancer that waits for DNS at its start is down with it.

pub mod checks;
mod directives;
pub mod document;
mod names;
pub mod wanted;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::Parsed;
use super::ha_cf::Ignored;
use super::text::{Problems, lines};
use crate::lvs::table::{Forward, Key, Protocol, Settings};
pub use names::Names;

/// What is said of a virtual service, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// `checktimeout`: of connections, pings and commands.
    pub checktimeout: Option<Duration>,
    /// `negotiatetimeout`: of whole dialogues.
    pub negotiatetimeout: Option<Duration>,
    /// `checkinterval`.
    pub checkinterval: Option<Duration>,
    /// `checkcount`: pings that have to fail.
    pub checkcount: Option<u32>,
    /// `failurecount`: checks in a row that have to fail.
    pub failurecount: Option<u32>,
    /// `fallback`: who serves when nobody else does.
    pub fallback: Option<Fallback>,
    /// `fallback6`, at the margin.
    pub fallback6: Option<Fallback>,
    /// `fallbackcommand`, in words.
    pub fallbackcommand: Option<Vec<String>>,
    /// `quiescent`: a server that is down stays with the weight 0.
    pub quiescent: Option<bool>,
    /// `cleanstop`: the services go at the end.
    pub cleanstop: Option<bool>,
}

/// Who serves when nobody else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Its address.
    pub ip: IpAddr,
    /// Its port; none: that of the virtual service.
    pub port: Option<u16>,
    /// How packets go there.
    pub forward: Forward,
}

/// How real servers are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checktype {
    /// Connecting is enough.
    Connect,
    /// The service has to answer.
    Negotiate,
    /// An echo is enough.
    Ping,
    /// A command says.
    External,
    /// A perl script does.
    ExternalPerl,
    /// None is ever used.
    Off,
    /// All always are.
    On,
}

impl Checktype {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Negotiate => "negotiate",
            Self::Ping => "ping",
            Self::External => "external",
            Self::ExternalPerl => "external-perl",
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

/// A real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Real {
    /// Its line.
    pub line: u32,
    /// As it is in the table.
    pub address: SocketAddr,
    /// The port as it was written; 0 where none was.
    pub port: u16,
    /// How packets go there.
    pub forward: Forward,
    /// Its share.
    pub weight: u32,
    /// What to ask it, and what it has to answer, in the place of what the virtual service says.
    pub dialogue: Option<(String, String)>,
    /// Thresholds of connections, 0 for none.
    pub lower: u32,
    /// Thresholds of connections, 0 for none.
    pub upper: u32,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// Its line.
    pub line: u32,
    /// What it is in the kernel.
    pub key: Key,
    /// How it chooses.
    pub settings: Settings,
    /// From whom.
    pub reals: Vec<Real>,
    /// What it says in the place of the whole file.
    pub common: Common,
    /// How they are checked.
    pub checktype: Checktype,
    /// `service`: in which words.
    pub service: String,
    /// `checkcommand`.
    pub checkcommand: String,
    /// `checkport`.
    pub checkport: Option<u16>,
    /// `request`, as it was written.
    pub request: Option<String>,
    /// `receive`, a regular expression.
    pub receive: Option<String>,
    /// `httpmethod`.
    pub httpmethod: String,
    /// `virtualhost`.
    pub virtualhost: Option<String>,
    /// `login`.
    pub login: Option<String>,
    /// `passwd`.
    pub passwd: Option<String>,
    /// `database`.
    pub database: Option<String>,
    /// `secret`.
    pub secret: Option<String>,
    /// What is accepted and does nothing.
    pub ignored: Vec<Ignored>,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldirectord {
    /// What holds where a virtual service says nothing.
    pub common: Common,
    /// `readdquiescent`: a server that is down and not in the table comes into it with the weight 0.
    pub readdquiescent: bool,
    /// `autoreload`.
    pub autoreload: bool,
    /// `callback`, in words: run when the file has changed.
    pub callback: Option<Vec<String>>,
    /// `logfile`: a path, or a facility of syslog.
    pub logfile: String,
    /// `maintenancedir`.
    pub maintenancedir: Option<String>,
    /// `execute`: other files, each for a director of its own.
    pub execute: Vec<String>,
    /// `supervised`: it stays in the foreground.
    pub supervised: bool,
    /// What is accepted and does nothing.
    pub ignored: Vec<Ignored>,
    /// In the order of their lines.
    pub virtuals: Vec<Virtual>,
}

impl Virtual {
    /// As ldirectord names it, and so do the names of targets: `tcp:192.0.2.10:80`, `fwm:1`.
    pub fn name(&self) -> String {
        match self.key {
            Key::Address { protocol, at } => format!("{}:{at}", protocol.word()),
            Key::Mark { mark, v6: false } => format!("fwm:{mark}"),
            Key::Mark { mark, v6: true } => format!("fwm6:{mark}"),
        }
    }

    /// Whether its protocol is UDP.
    pub fn is_udp(&self) -> bool {
        matches!(self.key, Key::Address { protocol: Protocol::Udp, .. })
    }

    /// The port of the service; 0 for marked packets.
    pub fn port(&self) -> u16 {
        match self.key {
            Key::Address { at, .. } => at.port(),
            Key::Mark { .. } => 0,
        }
    }

    /// What a state is told of: this service and one of its servers.
    pub fn target(&self, real: &Real) -> String {
        format!("{} {}", self.name(), real.address)
    }
}

impl Ldirectord {
    /// What counts for a virtual service: its own word, or that of the whole file.
    fn pick<T>(&self, of: &Virtual, get: impl Fn(&Common) -> Option<T>) -> Option<T> {
        get(&of.common).or_else(|| get(&self.common))
    }

    /// From one check to the next.
    pub fn every(&self, of: &Virtual) -> Duration {
        self.pick(of, |c| c.checkinterval).unwrap_or(Duration::from_secs(10))
    }

    /// The longest that a check may take. The two directives stand for each other, the closer one first.
    pub fn timeout(&self, of: &Virtual) -> Duration {
        let get = |own: fn(&Common) -> Option<Duration>, other: fn(&Common) -> Option<Duration>, seconds| {
            let places = [own(&of.common), other(&of.common), own(&self.common), other(&self.common)];
            places.into_iter().flatten().next().unwrap_or(Duration::from_secs(seconds))
        };
        match of.checktype {
            Checktype::Negotiate => get(|c| c.negotiatetimeout, |c| c.checktimeout, 30),
            _ => get(|c| c.checktimeout, |c| c.negotiatetimeout, 5),
        }
    }

    /// Failed checks in a row that make a server down.
    pub fn fall(&self, of: &Virtual) -> u32 {
        let failures = self.pick(of, |c| c.failurecount).unwrap_or(1);
        let pings = self.pick(of, |c| c.checkcount).unwrap_or(1);
        if of.checktype == Checktype::Ping { failures.saturating_mul(pings).min(1000) } else { failures }
    }

    /// Whether a server that is down stays in the table.
    pub fn quiescent(&self, of: &Virtual) -> bool {
        self.pick(of, |c| c.quiescent).unwrap_or(true)
    }

    /// Whether a service goes at the end.
    pub fn cleanstop(&self, of: &Virtual) -> bool {
        self.pick(of, |c| c.cleanstop).unwrap_or(true)
    }

    /// Who serves when nobody else does, with port.
    pub fn fallback(&self, of: &Virtual) -> Option<(SocketAddr, Forward)> {
        let general = if of.key.is_v6() { &self.common.fallback6 } else { &self.common.fallback };
        let chosen = of.common.fallback.as_ref().or(general.as_ref())?;
        let own = of.port();
        let port = match of.key {
            // Only masq changes a port.
            Key::Address { .. } if chosen.forward != Forward::Masq => own,
            _ => chosen.port.unwrap_or(own),
        };
        Some((SocketAddr::new(chosen.ip, port), chosen.forward))
    }

    /// What is run when the first server comes, or the last one goes.
    pub fn fallbackcommand(&self, of: &Virtual) -> Option<Vec<String>> {
        self.pick(of, |c| c.fallbackcommand.clone())
    }
}

/// Reads the text of a .cf.
pub fn parse(file: &Path, text: &str, names: &Names) -> Parsed<Ldirectord> {
    let mut reader = directives::Reader::new(Problems::new(file), names);
    for (line, raw) in lines(text) {
        let inside = raw.starts_with('\t') || raw.starts_with("    ");
        if raw.trim_start().starts_with('#') {
            continue;
        }
        // Behind a value at the margin ldirectord takes a comment for a part of it.
        let said = raw.split('#').next().unwrap_or_default().trim();
        match (said.is_empty(), inside) {
            (true, _) => reader.end(),
            (false, true) => reader.inside(line, said),
            (false, false) => reader.margin(line, said),
        }
    }
    reader.finish()
}

#[cfg(test)]
mod tests;
