//! The cluster as its configuration describes it: nodes by number, groups by number, and the times in force.

use std::time::Duration;

use crate::config::ha_cf::{AutoFailback, HaCf, PingGroup};
use crate::config::haresources;

/// A node, by its place in the order of the names.
pub type NodeId = usize;

/// A group, by its place in haresources.
pub type GroupId = usize;

/// A group of resources that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its first resource as it was written: its name.
    pub id: String,
    /// The nodes that may have it, the preferred one first.
    pub candidates: Vec<NodeId>,
    /// 24 bits that stand for the name in reports.
    pub key: u32,
}

impl Group {
    /// Whether it prefers a node to all others.
    pub fn is_home(&self, node: NodeId) -> bool {
        self.candidates.first() == Some(&node)
    }
}

/// The times and limits that no file of heartbeat's has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The kernel's lease of addresses that a node holds.
    pub lease: Duration,
    /// The longest that giving up a group may take.
    pub stop: Duration,
    /// The most groups of one node.
    pub groups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lease: Duration::from_secs(2), stop: Duration::from_secs(20), groups: usize::MAX }
    }
}

/// What everybody who decides has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The nodes in the order of their names.
    pub nodes: Vec<String>,
    /// This one.
    pub me: NodeId,
    /// The groups in the order of haresources.
    pub groups: Vec<Group>,
    /// Of the nodes, the groups and their candidates: nodes that differ in it must not rely on each other's order.
    pub digest: u16,
    /// Between two heartbeats.
    pub keepalive: Duration,
    /// The silence that means death.
    pub deadtime: Duration,
    /// The first deadtime after a start.
    pub initdead: Duration,
    /// Whether a group goes back to its preferred node.
    pub failback: AutoFailback,
    /// The arbiters, each with the hosts of which one is enough.
    pub pings: Vec<PingGroup>,
    /// Whether this node reaches a fencing device.
    pub fences: bool,
    /// Whether anything fences at all: then nobody takes from the dead without it.
    pub fenced: bool,
    /// See [`Limits`].
    pub limits: Limits,
}

/// Why a configuration is not one to decide by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The node is none of the cluster's.
    #[error("{0} is no node of ha.cf, which has {1}")]
    Stranger(String, String),
    /// A group on a node that is not there.
    #[error("the group {0} (haresources line {1}) names {2}, which is no node of ha.cf")]
    Candidate(String, u32, String),
    /// Two names with one key.
    #[error("the names of the groups {0} and {1} cannot be told apart in heartbeats")]
    SameKey(String, String),
}

impl Cluster {
    /// Makes it of the files.
    ///
    /// # Errors
    /// Names that do not fit together.
    pub fn new(ha_cf: &HaCf, groups: &[haresources::Group], me: &str, limits: Limits) -> Result<Self, ClusterError> {
        let mut nodes = ha_cf.nodes.clone();
        nodes.sort_unstable();
        nodes.dedup();
        let place = |name: &str| nodes.binary_search_by(|n| n.as_str().cmp(name)).ok();
        let Some(me) = place(me) else {
            return Err(ClusterError::Stranger(me.to_owned(), nodes.join(", ")));
        };
        let mut made: Vec<Group> = Vec::new();
        for group in groups {
            let known = |name: &String| {
                place(name).ok_or_else(|| ClusterError::Candidate(group.id.clone(), group.line, name.clone()))
            };
            let candidates = group.nodes.iter().map(known).collect::<Result<Vec<_>, _>>()?;
            let candidates = if nodes.len() == 2 { both(&candidates) } else { candidates };
            let key = crc32(group.id.as_bytes()) & 0x00ff_ffff;
            if let Some(other) = made.iter().find(|g| g.key == key) {
                return Err(ClusterError::SameKey(other.id.clone(), group.id.clone()));
            }
            made.push(Group { id: group.id.clone(), candidates, key });
        }
        let mut text = nodes.join(" ");
        for group in &made {
            text.push_str(&format!("\n{} {:?}", group.id, group.candidates));
        }
        let single = |host: &String| PingGroup { name: host.clone(), hosts: vec![host.clone()] };
        let pings = ha_cf.ping.iter().map(single).chain(ha_cf.ping_groups.iter().cloned()).collect();
        let reaches = |host: &Option<String>| host.as_deref().is_none_or(|h| h == "*" || h == nodes[me]);
        let fences = ha_cf.stonith.iter().any(|s| reaches(&s.host));
        Ok(Self {
            me,
            digest: (crc32(text.as_bytes()) >> 16) as u16,
            keepalive: ha_cf.keepalive,
            deadtime: ha_cf.deadtime,
            initdead: ha_cf.initdead,
            failback: ha_cf.auto_failback,
            pings,
            fences,
            fenced: !ha_cf.stonith.is_empty(),
            limits,
            groups: made,
            nodes,
        })
    }

    /// The name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        self.nodes.get(node).map_or("?", String::as_str)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|n| n == name)
    }

    /// A group by its name.
    pub fn group(&self, id: &str) -> Option<GroupId> {
        self.groups.iter().position(|g| g.id == id)
    }

    /// All nodes but this one.
    pub fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.me;
        (0..self.nodes.len()).filter(move |n| *n != me)
    }

    /// Whether so many nodes are the most of them.
    pub fn majority(&self, alive: usize) -> bool {
        alive * 2 > self.nodes.len()
    }

    /// Whether death is a matter of the majority.
    pub fn votes(&self) -> bool {
        self.nodes.len() > 2
    }
}

/// Of two nodes each is the other's standby, as with heartbeat.
fn both(candidates: &[NodeId]) -> Vec<NodeId> {
    match candidates {
        [first] => vec![*first, 1 - *first],
        _ => candidates.to_vec(),
    }
}

/// The common CRC-32: only to tell names apart.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
