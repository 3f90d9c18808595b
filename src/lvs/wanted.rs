//! What stands on stdin: a service a line, as it should be.

use std::collections::HashSet;
use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;

use super::table::{Forward, Key, Netmask, Settings, socket};

/// A service as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub key: Key,
    /// How it should choose.
    pub settings: Settings,
    /// From whom; whoever is not among them goes. No address stands twice.
    pub servers: Vec<WantedServer>,
}

/// A server as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedServer {
    /// Where it is.
    pub address: SocketAddr,
    /// How packets go there.
    pub forward: Forward,
    /// Its share; none: the one that it has.
    pub weight: Option<u32>,
    /// Whether it comes into the table if it is not there. Nobody does without a weight.
    pub add: bool,
    /// Thresholds of connections, 0 for none.
    pub lower: u32,
    /// Thresholds of connections, 0 for none.
    pub upper: u32,
}

/// Why a line is no service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WantedError(String);

#[derive(Deserialize)]
struct Line {
    service: String,
    scheduler: Option<String>,
    scheduler_flags: Option<Vec<String>>,
    persistent_s: Option<u32>,
    netmask: Option<String>,
    engine: Option<String>,
    ops: Option<bool>,
    servers: Vec<ServerLine>,
}

#[derive(Deserialize)]
struct ServerLine {
    address: String,
    forward: Option<String>,
    #[serde(default = "one")]
    weight: Option<u32>,
    add: Option<bool>,
    lower: Option<u32>,
    upper: Option<u32>,
}

/// The weight of a server of which none is given.
fn one() -> Option<u32> {
    Some(1)
}

/// The largest weight and the largest threshold of the kernel.
const LARGEST: (u32, u32) = (i32::MAX as u32, 65535);

/// The service of one line.
///
/// # Errors
/// Where a field is missing, or says what IPVS cannot do.
pub fn from_line(object: &Value) -> Result<Wanted, WantedError> {
    let wrong = |why: String| Err(WantedError(why));
    let line = Line::deserialize(object).map_err(|e| WantedError(e.to_string()))?;
    let key: Key = line.service.parse().map_err(|e: super::table::KeyError| WantedError(e.to_string()))?;
    let name = |what: &str, word: String| match is_name(&word) {
        true => Ok(word),
        false => Err(WantedError(format!("'{word}' is no name of a {what}"))),
    };
    let mut settings = Settings::new(name("scheduler", line.scheduler.unwrap_or_else(|| "wlc".to_owned()))?);
    for flag in line.scheduler_flags.unwrap_or_default() {
        settings.flags.insert(name("flag of a scheduler", flag)?);
    }
    settings.engine = line.engine.map(|e| name("persistence engine", e)).transpose()?;
    settings.persistent_s = line.persistent_s;
    if settings.persistent_s == Some(0) {
        return wrong("persistent_s is 0: leave it out, or give seconds".to_owned());
    }
    settings.netmask = match line.netmask.as_deref().map(str::parse::<Netmask>) {
        None => None,
        Some(Ok(mask)) if matches!(mask, Netmask::V6(_)) == key.is_v6() => Some(mask).filter(|m| !m.is_whole()),
        Some(_) => return wrong("netmask is 255.255.255.0 for IPv4, and a length from 1 to 128 for IPv6".to_owned()),
    };
    if settings.persistent_s.is_none() && (settings.netmask.is_some() || settings.engine.is_some()) {
        return wrong("netmask and engine are for persistent services: give persistent_s too".to_owned());
    }
    settings.ops = line.ops.unwrap_or(false);
    if settings.ops && matches!(key, Key::Address { protocol, .. } if protocol != super::table::Protocol::Udp) {
        return wrong("ops is for UDP".to_owned());
    }
    if matches!(key, Key::Address { at, .. } if at.port() == 0) && settings.persistent_s.is_none() {
        return wrong("port 0 stands for all ports of a persistent service: give persistent_s too".to_owned());
    }
    let mut seen = HashSet::new();
    let mut servers = Vec::with_capacity(line.servers.len());
    for server in line.servers {
        let server = of_server(key, server)?;
        if !seen.insert(server.address) {
            return wrong(format!("the server {} stands twice", server.address));
        }
        servers.push(server);
    }
    Ok(Wanted { key, settings, servers })
}

fn of_server(key: Key, line: ServerLine) -> Result<WantedServer, WantedError> {
    let wrong = |why: String| Err(WantedError(why));
    let Some(address) = socket(&line.address) else {
        return wrong(format!("'{}' is no server: write 192.0.2.1:80 or [2001:db8::1]:80", line.address));
    };
    let word = line.forward.as_deref().unwrap_or("gate");
    let Some(forward) = Forward::of_word(word) else {
        return wrong(format!("'{word}' is no way to forward: gate, masq or ipip"));
    };
    if forward != Forward::Ipip && address.is_ipv6() != key.is_v6() {
        return wrong(format!("{address} is not of the family of {key}: only ipip goes from one to the other"));
    }
    if let Key::Address { at, .. } = key
        && forward != Forward::Masq
        && at.port() != address.port()
    {
        return wrong(format!("{address}: only masq changes the port, {word} keeps {}", at.port()));
    }
    let (weight, thresholds) = LARGEST;
    let [lower, upper] = [line.lower, line.upper].map(Option::unwrap_or_default);
    if line.weight.is_some_and(|w| w > weight) || lower.max(upper) > thresholds || (upper > 0 && lower > upper) {
        return wrong(format!("{address}: weight, lower or upper are out of their range"));
    }
    let add = line.add.unwrap_or(true) && line.weight.is_some();
    Ok(WantedServer { address, forward, weight: line.weight, add, lower, upper })
}

/// Whether it is a name such as the kernel has for schedulers and their flags: it becomes a word of a command.
pub fn is_name(word: &str) -> bool {
    (1..16).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line() {
        let line = json!({"service": "tcp://10.0.0.100:80", "scheduler": "wrr", "persistent_s": null, "servers": [
            {"address": "10.0.0.1:80", "forward": "gate", "weight": 3},
            {"address": "10.0.0.2:80", "weight": null},
            {"address": "10.0.0.3:8080", "forward": "masq", "weight": 0, "add": false, "upper": 9}]});
        let wanted = from_line(&line).unwrap();
        assert_eq!(
            (wanted.key.to_string().as_str(), wanted.settings.scheduler.as_str()),
            ("tcp://10.0.0.100:80", "wrr")
        );
        let shown: Vec<_> = wanted.servers.iter().map(|s| (s.weight, s.add, s.upper)).collect();
        assert_eq!(shown, [(Some(3), true, 0), (None, false, 0), (Some(0), false, 9)]);
        let least = json!({"service": "fwmark://1", "servers": [{"address": "10.0.0.1:0"}]});
        let least = from_line(&least).unwrap();
        assert_eq!((least.settings, least.servers[0].weight), (Settings::new("wlc"), Some(1)));
        let tunnel = json!({"service": "tcp://10.0.0.100:80", "servers": [
            {"address": "[2001:db8::1]:80", "forward": "ipip"}]});
        assert!(from_line(&tunnel).is_ok(), "a tunnel may be of the other family");
    }

    #[test]
    fn what_cannot_be() {
        let server = |s: Value| json!({"service": "tcp://10.0.0.100:80", "servers": [s]});
        for bad in [
            json!({"service": "tcp://10.0.0.100:80"}),
            json!({"service": "10.0.0.100:80", "servers": []}),
            json!({"service": "tcp://10.0.0.100:80", "scheduler": "-C", "servers": []}),
            json!({"service": "tcp://10.0.0.100:80", "scheduler": "r r", "servers": []}),
            json!({"service": "tcp://10.0.0.100:80", "ops": true, "servers": []}),
            json!({"service": "tcp://10.0.0.100:80", "persistent_s": 0, "servers": []}),
            json!({"service": "tcp://10.0.0.100:80", "netmask": "255.0.0.0", "servers": []}),
            json!({"service": "tcp://10.0.0.100:80", "persistent_s": 1, "netmask": "64", "servers": []}),
            json!({"service": "tcp://10.0.0.100:0", "servers": []}),
            server(json!({"address": "10.0.0.1"})),
            server(json!({"address": "10.0.0.1:81"})),
            server(json!({"address": "10.0.0.1:80", "forward": "route"})),
            server(json!({"address": "10.0.0.1:80", "weight": -1})),
            server(json!({"address": "10.0.0.1:80", "weight": 4294967295u32})),
            server(json!({"address": "10.0.0.1:80", "upper": 65536})),
            server(json!({"address": "10.0.0.1:80", "upper": 5, "lower": 6})),
            server(json!({"address": "[2001:db8::1]:80"})),
            json!({"service": "fwmark://1", "servers": [{"address": "10.0.0.1:0"}, {"address": "10.0.0.1:0"}]}),
        ] {
            assert!(from_line(&bad).is_err(), "{bad}");
        }
    }
}
