//! The changes between what is and what should be.
//!
//! Within a service: itself, new servers, more weight, less weight, and only then those that go. Whoever takes over from
//! another is there before the other leaves, and nobody who stays is ever taken out.

use super::table::{Key, Server, Service, Settings, Table};
use super::wanted::Wanted;

/// One change: one call of `ipvsadm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A service that was not there.
    AddService(Key, Settings),
    /// A service that chooses otherwise from now on.
    EditService {
        /// Which.
        key: Key,
        /// As it was.
        was: Settings,
        /// As it will be.
        is: Settings,
    },
    /// A service of ours that nobody wants any more.
    DeleteService(Key),
    /// A server that was not there.
    AddServer(Key, Server),
    /// A server in its place.
    EditServer {
        /// Of which service.
        key: Key,
        /// As it was.
        was: Server,
        /// As it will be.
        is: Server,
    },
    /// A server that goes.
    DeleteServer(Key, Server),
}

impl Change {
    /// Of which service.
    pub fn key(&self) -> Key {
        match self {
            Self::AddService(key, _) | Self::DeleteService(key) => *key,
            Self::AddServer(key, _) | Self::DeleteServer(key, _) => *key,
            Self::EditService { key, .. } | Self::EditServer { key, .. } => *key,
        }
    }

    /// What `ipvsadm` is told.
    pub fn words(&self) -> Vec<String> {
        let of = |what: &str, rest: Vec<String>| [vec![what.to_owned()], self.key().words(), rest].concat();
        match self {
            Self::AddService(_, settings) => of("-A", settings.words()),
            Self::EditService { is, .. } => of("-E", is.words()),
            Self::DeleteService(_) => of("-D", Vec::new()),
            Self::AddServer(_, server) => of("-a", server.words()),
            Self::EditServer { is, .. } => of("-e", is.words()),
            Self::DeleteServer(_, server) => of("-d", vec!["-r".to_owned(), server.address.to_string()]),
        }
    }

    /// The table after it.
    ///
    /// # Errors
    /// As the kernel would: what should be new is there, what should be there is not.
    pub fn apply(&self, table: &mut Table) -> Result<(), &'static str> {
        let key = self.key();
        match self {
            Self::AddService(_, settings) => {
                if table.service(key).is_some() {
                    return Err("the service is there");
                }
                table.0.push(Service { key, settings: settings.clone(), servers: Vec::new() });
                return Ok(());
            }
            Self::DeleteService(_) => {
                let before = table.0.len();
                table.0.retain(|s| s.key != key);
                return if table.0.len() < before { Ok(()) } else { Err("there is no such service") };
            }
            _ => {}
        }
        let service = table.service_mut(key).ok_or("there is no such service")?;
        let place = |address| service.servers.iter().position(|s| s.address == address);
        match self {
            Self::AddServer(_, server) => match place(server.address) {
                Some(_) => return Err("the server is there"),
                None => service.servers.push(server.clone()),
            },
            Self::EditServer { is, .. } => {
                let n = place(is.address).ok_or("there is no such server")?;
                service.servers[n] = is.clone();
            }
            Self::DeleteServer(_, server) => {
                let n = place(server.address).ok_or("there is no such server")?;
                service.servers.remove(n);
            }
            Self::EditService { is, .. } => service.settings = is.clone(),
            Self::AddService(..) | Self::DeleteService(_) => {}
        }
        Ok(())
    }
}

/// The smallest set of changes that makes the wanted services what they should be, and ends those of `own` that are not
/// wanted. No other service is touched.
pub fn diff(wanted: &[Wanted], own: &[Key], present: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    for service in wanted {
        one(service, present.service(service.key), &mut changes);
    }
    let mut gone: Vec<Key> = Vec::new();
    for key in own {
        let kept = wanted.iter().any(|w| w.key == *key) || gone.contains(key);
        if !kept && present.service(*key).is_some() {
            gone.push(*key);
        }
    }
    changes.extend(gone.into_iter().map(Change::DeleteService));
    changes
}

fn one(wanted: &Wanted, present: Option<&Service>, changes: &mut Vec<Change>) {
    let key = wanted.key;
    match present {
        None => changes.push(Change::AddService(key, wanted.settings.clone())),
        Some(now) if now.settings != wanted.settings => {
            changes.push(Change::EditService { key, was: now.settings.clone(), is: wanted.settings.clone() });
        }
        Some(_) => {}
    }
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for server in &wanted.servers {
        let was = present.and_then(|s| s.server(server.address));
        let Some(weight) = server.weight.or(was.map(|w| w.weight)) else { continue };
        let &super::wanted::WantedServer { address, forward, lower, upper, .. } = server;
        let is = Server { address, forward, weight, lower, upper, other: Vec::new() };
        match was {
            None if server.add => changes.push(Change::AddServer(key, is)),
            Some(was) if *was != is => {
                let list = if is.weight < was.weight { &mut less } else { &mut more };
                list.push(Change::EditServer { key, was: was.clone(), is });
            }
            _ => {}
        }
    }
    changes.append(&mut more);
    changes.append(&mut less);
    let here = present.map(|s| s.servers.as_slice()).unwrap_or_default();
    let gone = here.iter().filter(|s| !wanted.servers.iter().any(|w| w.address == s.address));
    changes.extend(gone.map(|s| Change::DeleteServer(key, s.clone())));
}

#[cfg(test)]
mod tests {
    use super::super::table::{Forward, Netmask};
    use super::super::wanted::WantedServer;
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn keys() -> Vec<Key> {
        let names = ["tcp://10.0.0.100:80", "udp://[2001:db8::100]:53", "fwmark://1", "fwmark6://1"];
        names.iter().map(|n| n.parse().unwrap()).collect()
    }

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 80))
    }

    fn forward() -> impl Strategy<Value = Forward> {
        prop_oneof![Just(Forward::Gate), Just(Forward::Masq), Just(Forward::Ipip)]
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let flags = proptest::collection::btree_set("[a-z]{2}", 0..2);
        let mask = proptest::option::of((1u8..=128).prop_map(Netmask::V6));
        ("rr|wrr|sh", flags, proptest::option::of(1u32..9), mask, any::<bool>()).prop_map(
            |(scheduler, flags, persistent_s, netmask, ops)| Settings {
                flags,
                persistent_s,
                netmask,
                ops,
                ..Settings::new(scheduler)
            },
        )
    }

    fn present() -> impl Strategy<Value = Table> {
        let server = (0u8..6, forward(), 0u32..4, 0u32..2, any::<bool>());
        let service = (settings(), proptest::collection::vec(server, 0..6));
        proptest::collection::btree_map(0usize..4, service, 0..4).prop_map(|services| {
            let service = |(n, (settings, servers)): (usize, (Settings, Vec<_>))| {
                let mut service = Service { key: keys()[n], settings, servers: Vec::new() };
                for (n, forward, weight, upper, strange) in servers {
                    let other = if strange { vec!["--tun-type".to_owned(), "gue".to_owned()] } else { Vec::new() };
                    if service.server(address(n)).is_none() {
                        service.servers.push(Server { address: address(n), forward, weight, lower: 0, upper, other });
                    }
                }
                service
            };
            Table(services.into_iter().map(service).collect())
        })
    }

    /// A server by its number, its way, its weight, whether it is added, and its threshold.
    type Drawn = (u8, Forward, Option<u32>, bool, u32);

    fn wanted() -> impl Strategy<Value = Vec<Wanted>> {
        let server = (0u8..6, forward(), proptest::option::of(0u32..4), any::<bool>(), 0u32..2);
        let service = (settings(), proptest::collection::vec(server, 0..6));
        proptest::collection::btree_map(0usize..4, service, 0..4).prop_map(|services| {
            let service = |(n, (settings, servers)): (usize, (Settings, Vec<Drawn>))| {
                let mut service = Wanted { key: keys()[n], settings, servers: Vec::new() };
                for (n, forward, weight, add, upper) in servers {
                    if !service.servers.iter().any(|s: &WantedServer| s.address == address(n)) {
                        let add = add && weight.is_some();
                        let server = WantedServer { address: address(n), forward, weight, add, lower: 0, upper };
                        service.servers.push(server);
                    }
                }
                service
            };
            services.into_iter().map(service).collect()
        })
    }

    /// Whether a service is as it should be, whatever the order of its servers.
    fn is_as_wanted(wanted: &Wanted, before: Option<&Service>, is: &Service) -> bool {
        let place = |w: &WantedServer| {
            let was = before.and_then(|b| b.server(w.address));
            (was.is_some() || w.add)
                .then(|| w.weight.or(was.map(|s| s.weight)))
                .flatten()
                .map(|weight| (w.address, w.forward, weight, w.upper))
        };
        let mut should: Vec<_> = wanted.servers.iter().filter_map(place).collect();
        let mut found: Vec<_> = is.servers.iter().map(|s| (s.address, s.forward, s.weight, s.upper)).collect();
        should.sort();
        found.sort();
        is.settings == wanted.settings && should == found
    }

    proptest! {
        #[test]
        fn the_changes_make_it_so(wanted in wanted(), before in present(), own in proptest::collection::vec(0usize..4, 0..3)) {
            let own: Vec<Key> = own.into_iter().map(|n| keys()[n]).collect();
            let changes = diff(&wanted, &own, &before);
            let mut table = before.clone();
            for change in &changes {
                prop_assert_eq!(change.apply(&mut table), Ok(()), "{:?}", change);
            }
            for w in &wanted {
                let is = table.service(w.key);
                prop_assert!(is.is_some_and(|is| is_as_wanted(w, before.service(w.key), is)));
            }
            // Nobody else's service is touched, and of ours only what is not wanted goes.
            for service in &before.0 {
                let named = wanted.iter().any(|w| w.key == service.key);
                let is = table.service(service.key);
                match (named, own.contains(&service.key)) {
                    (true, _) => prop_assert!(is.is_some()),
                    (false, true) => prop_assert!(is.is_none()),
                    (false, false) => prop_assert_eq!(is, Some(service)),
                }
            }
            prop_assert!(table.0.iter().all(|s| before.service(s.key).is_some() || wanted.iter().any(|w| w.key == s.key)));
            // Twice is once.
            prop_assert_eq!(diff(&wanted, &own, &table), vec![]);
        }

        #[test]
        fn who_stays_is_never_taken_out(wanted in wanted(), before in present()) {
            let mut table = before.clone();
            for change in diff(&wanted, &[], &before) {
                if let Change::DeleteServer(key, server) = &change {
                    let stays = wanted.iter().find(|w| w.key == *key)
                        .is_some_and(|w| w.servers.iter().any(|s| s.address == server.address));
                    prop_assert!(!stays);
                    // Everybody who was to come is there by then.
                    let w = wanted.iter().find(|w| w.key == *key).unwrap();
                    let now = table.service(*key).unwrap();
                    prop_assert!(w.servers.iter().filter(|s| s.add).all(|s| now.server(s.address).is_some()));
                }
                prop_assert!(!matches!(change, Change::DeleteService(_)));
                change.apply(&mut table).unwrap();
            }
        }

        #[test]
        fn as_few_as_can_be(wanted in wanted(), before in present()) {
            let changes = diff(&wanted, &[], &before);
            // One call for each thing that differs: none is touched twice.
            let mut things: Vec<_> = changes.iter().map(|c| (c.key(), match c {
                Change::AddServer(_, s) | Change::DeleteServer(_, s) => Some(s.address),
                Change::EditServer { is, .. } => Some(is.address),
                _ => None,
            })).collect();
            things.sort();
            let all = things.len();
            things.dedup();
            prop_assert_eq!(things.len(), all);
            for change in &changes {
                match change {
                    Change::EditServer { was, is, .. } => prop_assert!(was != is),
                    Change::EditService { was, is, .. } => prop_assert!(was != is),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_words() {
        let web = keys()[0];
        let server =
            Server { address: address(1), forward: Forward::Masq, weight: 3, lower: 5, upper: 9, other: Vec::new() };
        let said = |change: Change| change.words().join(" ");
        let settings = Settings {
            persistent_s: Some(60),
            netmask: "255.255.255.0".parse().ok(),
            flags: ["sh-port".to_owned()].into(),
            ops: true,
            ..Settings::new("sh")
        };
        assert_eq!(
            said(Change::AddService(web, settings)),
            "-A -t 10.0.0.100:80 -s sh -p 60 -M 255.255.255.0 -b sh-port -o"
        );
        assert_eq!(said(Change::AddServer(keys()[3], server.clone())), "-a -f 1 -6 -r 10.0.0.1:80 -m -w 3 -x 9 -y 5");
        assert_eq!(said(Change::DeleteServer(web, server)), "-d -t 10.0.0.100:80 -r 10.0.0.1:80");
        assert_eq!(said(Change::DeleteService(keys()[1])), "-D -u [2001:db8::100]:53");
    }
}
