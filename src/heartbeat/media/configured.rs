//! The media of ha.cf, as one sends on them and as one hears on them.

use std::net::IpAddr;

use super::spec::{In, Out};
use crate::config::ha_cf::Medium;

impl From<&Medium> for Out {
    fn from(medium: &Medium) -> Self {
        match medium.clone() {
            Medium::Bcast { dev, port } => Self::Bcast { dev, port },
            Medium::Ucast { dev, host, port } => Self::Ucast { host, port, dev: Some(dev) },
            Medium::Ucast6 { dev, host, port } => Self::Ucast { host: host.to_string(), port, dev: Some(dev) },
            Medium::Mcast { dev, group, port, ttl, looped } => {
                Self::Mcast { group: IpAddr::V4(group), port, dev, ttl, loopback: looped }
            }
            Medium::Mcast6 { dev, group, port, hops, looped } => {
                Self::Mcast { group: IpAddr::V6(group), port, dev, ttl: hops, loopback: looped }
            }
            Medium::Serial { path, baud } => Self::Serial { path, baud },
        }
    }
}

impl From<&Medium> for In {
    fn from(medium: &Medium) -> Self {
        match medium.clone() {
            Medium::Bcast { dev, port } | Medium::Ucast { dev, port, .. } | Medium::Ucast6 { dev, port, .. } => {
                Self::Udp { address: None, port, dev: Some(dev) }
            }
            Medium::Mcast { dev, group, port, .. } => Self::Mcast { group: IpAddr::V4(group), port, dev },
            Medium::Mcast6 { dev, group, port, .. } => Self::Mcast { group: IpAddr::V6(group), port, dev },
            Medium::Serial { path, baud } => Self::Serial { path, baud },
        }
    }
}
