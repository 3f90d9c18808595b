//! Names of hosts and of ports, as the files of the system have them.

use std::net::IpAddr;

/// What /etc/hosts and /etc/services say.
#[derive(Clone, Debug, Default)]
pub struct Names {
    hosts: Vec<(IpAddr, Vec<String>)>,
    ports: Vec<(String, u16, String)>,
}

impl Names {
    /// Reads both texts; lines that are none are passed over, as the system does.
    pub fn parse(hosts: &str, services: &str) -> Self {
        let words = |line: &str| -> Vec<String> {
            line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_ascii_lowercase).collect()
        };
        let host = |line| match words(line).as_slice() {
            [ip, names @ ..] => Some((ip.parse().ok()?, names.to_vec())),
            [] => None,
        };
        let port = |line: &str| -> Vec<(String, u16, String)> {
            let words = words(line);
            let [name, port, aliases @ ..] = words.as_slice() else { return Vec::new() };
            let Some((number, protocol)) = port.split_once('/') else { return Vec::new() };
            let Ok(number) = number.parse() else { return Vec::new() };
            [name].into_iter().chain(aliases).map(|n| (n.clone(), number, protocol.to_owned())).collect()
        };
        Self { hosts: hosts.lines().filter_map(host).collect(), ports: services.lines().flat_map(port).collect() }
    }

    /// The address of a host, of the family that is wanted.
    pub fn address(&self, name: &str, v6: bool) -> Option<IpAddr> {
        let name = name.to_ascii_lowercase();
        self.hosts.iter().find(|(ip, names)| ip.is_ipv6() == v6 && names.contains(&name)).map(|(ip, _)| *ip)
    }

    /// The names of an address, each whole and up to its first dot.
    pub fn of(&self, ip: IpAddr) -> Vec<String> {
        let mut all = Vec::new();
        for name in self.hosts.iter().filter(|(i, _)| *i == ip).flat_map(|(_, names)| names) {
            all.push(name.clone());
            all.extend(name.split_once('.').map(|(short, _)| short.to_owned()));
        }
        all
    }

    /// The number of a port, by a protocol if it is known.
    pub fn port(&self, name: &str, protocol: Option<&str>) -> Option<u16> {
        let name = name.to_ascii_lowercase();
        let fits = |row: &&(String, u16, String)| row.0 == name && protocol.is_none_or(|p| p == row.2);
        self.ports.iter().find(fits).map(|(_, port, _)| *port)
    }
}
