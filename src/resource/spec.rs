//! How a resource is written, in haresources and on a command line: `name::a::b` is an agent with arguments; an IP address
//! alone is IPaddr.
//!
//! Our extensions: a resource may name its class (`ocf:`, `lsb:`, `systemd:`); an IPv6 address alone is IPv6addr, and its
//! colons divide no arguments.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::config::text::{is_agent_name, is_interface_name, quoted};

/// Whose conventions an agent keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A script of resource.d or init.d, arguments first and the action last.
    Heartbeat,
    /// A script of init.d.
    Lsb,
    /// An OCF agent.
    Ocf,
    /// A unit.
    Systemd,
}

impl Class {
    /// Its name, as it stands before the colon.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Lsb => "lsb",
            Self::Ocf => "ocf",
            Self::Systemd => "systemd",
        }
    }
}

/// A resource: an agent and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// As it was written.
    pub spec: String,
    /// Whose conventions the agent keeps.
    pub class: Class,
    /// The folder of an OCF agent.
    pub provider: Option<String>,
    /// The name of the script or unit: letters, digits and `-._@+`, never a path.
    pub agent: String,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Resource {
    /// The address that it is about, however it is written: with or without netmask and interface, by whichever of the
    /// agents for addresses.
    pub fn address(&self) -> Option<IpAddr> {
        if !matches!(self.agent.as_str(), "IPaddr" | "IPaddr2" | "IPv6addr") {
            return None;
        }
        let text = match self.class {
            Class::Heartbeat => self.args.first().map(String::as_str),
            Class::Ocf => self.args.iter().find_map(|a| a.strip_prefix("ip=").or_else(|| a.strip_prefix("ipv6addr="))),
            Class::Lsb | Class::Systemd => None,
        };
        text?.split('/').next()?.parse().ok()
    }

    /// The same for all that mean the same resource.
    pub fn identity(&self) -> String {
        match self.address() {
            Some(address) => address.to_string(),
            None => {
                let head = [self.class.word(), self.provider.as_deref().unwrap_or_default(), &self.agent];
                head.into_iter().chain(self.args.iter().map(String::as_str)).collect::<Vec<_>>().join("::")
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.spec)
    }
}

/// Why a text is no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ResourceError {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl FromStr for Resource {
    type Err = ResourceError;

    fn from_str(spec: &str) -> Result<Self, ResourceError> {
        let error = |what: String, hint| ResourceError { what, hint };
        let heartbeat = |agent: &str, args: Vec<String>| Self {
            spec: spec.to_owned(),
            class: Class::Heartbeat,
            provider: None,
            agent: agent.to_owned(),
            args,
        };
        if looks_like_ipv4(spec) {
            check_ipv4(spec)?;
            return Ok(heartbeat("IPaddr", vec![spec.to_owned()]));
        }
        if starts_with_ipv6(spec) {
            return Ok(heartbeat("IPv6addr", vec![spec.to_owned()]));
        }
        if let Some(address) = spec.strip_prefix("IPv6addr::").filter(|a| starts_with_ipv6(a)) {
            return Ok(heartbeat("IPv6addr", vec![address.to_owned()]));
        }
        let mut parts = spec.split("::");
        let name = parts.next().unwrap_or_default();
        let args: Vec<String> = parts.map(str::to_owned).collect();
        let args = if name.starts_with("ocf:") { rejoin(args) } else { args };
        let mut resource = match name.split_once(':') {
            None => heartbeat(name, args),
            Some(("ocf", rest)) => match rest.split_once(':') {
                Some((provider, agent)) => {
                    Self { class: Class::Ocf, provider: Some(provider.to_owned()), ..heartbeat(agent, args) }
                }
                None => Self { class: Class::Ocf, provider: Some("heartbeat".into()), ..heartbeat(rest, args) },
            },
            Some(("lsb", rest)) => Self { class: Class::Lsb, ..heartbeat(rest, args) },
            Some(("systemd", rest)) => Self { class: Class::Systemd, ..heartbeat(rest, args) },
            Some(_) => {
                let hint = "classes are ocf:PROVIDER:AGENT, lsb:SCRIPT and systemd:UNIT; arguments follow two colons";
                return Err(error(format!("{} has no class that is known", quoted(spec)), hint));
            }
        };
        resource.spec = spec.to_owned();
        let names = [Some(&resource.agent), resource.provider.as_ref()];
        if let Some(name) = names.into_iter().flatten().find(|n| !is_agent_name(n)) {
            let hint = "agents are named by letters, digits, hyphens, dots, underscores, @ and +, never by a path";
            return Err(error(format!("{} in {} names no agent", quoted(name), quoted(spec)), hint));
        }
        if resource.args.iter().any(|a| a.contains(|c: char| c.is_control() || c.is_whitespace())) {
            let hint = "arguments hold no blanks and no control characters";
            return Err(error(format!("an argument of {} is not printable", quoted(spec)), hint));
        }
        match resource.class {
            Class::Lsb | Class::Systemd if !resource.args.is_empty() => {
                let hint = "only heartbeat's and OCF agents take arguments";
                return Err(error(format!("{} has arguments", quoted(spec)), hint));
            }
            Class::Ocf if !resource.args.iter().all(|a| is_parameter(a)) => {
                let hint = "OCF agents take NAME=VALUE: ocf:heartbeat:IPaddr2::ip=192.0.2.10::cidr_netmask=24";
                return Err(error(format!("an argument of {} has no name", quoted(spec)), hint));
            }
            _ => {}
        }
        if matches!(resource.agent.as_str(), "IPaddr" | "IPaddr2") && resource.class == Class::Heartbeat {
            match resource.args.first().filter(|a| !a.is_empty()) {
                None => {
                    let hint = "write IPaddr::192.0.2.10/24/eth0";
                    return Err(error(format!("{} has no address", quoted(spec)), hint));
                }
                // A name or an IPv6 address is the agent's affair.
                Some(address) if looks_like_ipv4(address) => check_ipv4(address)?,
                Some(_) => {}
            }
        }
        Ok(resource)
    }
}

/// Parameters of an OCF agent whose value is an IPv6 address: its colons divide no arguments.
fn rejoin(parts: Vec<String>) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    for part in parts {
        let whole = args.last().map(|last| format!("{last}::{part}"));
        let is_address = |arg: &String| arg.split_once('=').is_some_and(|(_, value)| starts_with_ipv6(value));
        match (whole.filter(is_address), args.last_mut()) {
            (Some(whole), Some(last)) if !part.contains('=') => *last = whole,
            _ => args.push(part),
        }
    }
    args
}

/// `name=value`, the name one that can be part of an environment variable's.
fn is_parameter(argument: &str) -> bool {
    argument.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    })
}

/// Four numbers with dots, as heartbeat tells an address from the name of a script.
fn looks_like_ipv4(spec: &str) -> bool {
    let host = spec.split('/').next().unwrap_or_default();
    let parts: Vec<&str> = host.split('.').collect();
    parts.len() == 4 && parts.iter().all(|p| p.starts_with(|c: char| c.is_ascii_digit())) && !spec.contains("::")
}

fn starts_with_ipv6(spec: &str) -> bool {
    spec.split('/').next().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// `ip[/bits[/nic[/broadcast]]]`, or `ip/bits/broadcast`.
fn check_ipv4(spec: &str) -> Result<(), ResourceError> {
    const HINT: &str = "write ADDRESS/BITS/INTERFACE/BROADCAST, the parts behind the address as needed";
    let parts: Vec<&str> = spec.split('/').collect();
    let fail = |what: String| Err(ResourceError { what: format!("{what} in {}", quoted(spec)), hint: HINT });
    if parts[0].parse::<Ipv4Addr>().is_err() {
        return fail(format!("{} is no IPv4 address", quoted(parts[0])));
    }
    if let Some(bits) = parts.get(1) {
        let number = bits.parse::<u8>().ok().filter(|n| *n <= 32 && bits.bytes().all(|b| b.is_ascii_digit()));
        let mask = || bits.parse::<Ipv4Addr>().is_ok_and(|m| u32::from(m).leading_ones() == u32::from(m).count_ones());
        if number.is_none() && !mask() {
            return fail(format!("{} is no length of a netmask", quoted(bits)));
        }
    }
    // The third part may be the broadcast address already.
    let is_broadcast = |p: &&str| p.parse::<Ipv4Addr>().is_ok();
    match parts.get(2..).unwrap_or_default() {
        [] => Ok(()),
        [last] if is_broadcast(last) || is_interface(last) => Ok(()),
        [dev, broadcast] if is_interface(dev) && is_broadcast(broadcast) => Ok(()),
        _ => fail("what follows the netmask is neither an interface nor a broadcast address".to_owned()),
    }
}

/// An interface, or the label of an address on it: IPaddr takes `eth0:1`, too.
fn is_interface(name: &str) -> bool {
    let (dev, label) = name.split_once(':').unwrap_or((name, "0"));
    is_interface_name(dev) && !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
