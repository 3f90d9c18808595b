//! `--guard drbd`: the resource's own role. DRBD lets no second node become primary while the two are connected.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Got, Held, Outcome};
use crate::cli::Failure;
use crate::cli::exit::Fault;
use crate::clock::Instant;
use crate::storage::aside::{AsideError, Ran, command};

/// The state of a resource, as `drbdadm role` and `drbdadm cstate` tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// This node is primary.
    pub primary: bool,
    /// A peer is.
    pub peer_primary: bool,
}

impl Roles {
    /// Reads `Primary/Secondary` (DRBD 8.4) or `Primary` (DRBD 9, which tells its own only).
    pub fn parse(text: &str) -> Option<Self> {
        let mut primary = Self::default();
        let mut words = text.split_whitespace().next()?.split('/');
        for (n, role) in words.by_ref().enumerate() {
            let is = match role {
                "Primary" => true,
                "Secondary" | "Unknown" => false,
                _ => return None,
            };
            if n == 0 { primary.primary = is } else { primary.peer_primary |= is }
        }
        Some(primary)
    }
}

/// The peers that are primary, from `drbdadm status`: an indented line `ha2 role:Primary` for each.
fn primary_peers(status: &str) -> impl Iterator<Item = &str> {
    let peers = status.lines().filter(|line| line.starts_with(' '));
    peers
        .filter(|line| line.split_whitespace().any(|w| w == "role:Primary"))
        .filter_map(|l| l.split_whitespace().next())
}

/// The name of the peer that is primary.
pub fn primary_peer(status: &str) -> Option<String> {
    // DRBD 8.4 knows its peer by no name.
    primary_peers(status).next().filter(|name| !name.contains(':') && *name != "peer").map(str::to_owned)
}

/// Whether all peers are connected, from `drbdadm cstate`. Only these states keep a peer from becoming primary: a state
/// that is not known here may be any.
pub fn connected(cstate: &str) -> bool {
    const CONNECTED: &[&str] = &[
        "Connected", // of DRBD 9 the only one
        "StartingSyncS",
        "StartingSyncT",
        "WFBitMapS",
        "WFBitMapT",
        "WFSyncUUID",
        "SyncSource",
        "SyncTarget",
        "PausedSyncS",
        "PausedSyncT",
        "VerifyS",
        "VerifyT",
        "Ahead",
        "Behind",
    ];
    let mut states = cstate.split_whitespace().peekable();
    states.peek().is_some() && states.all(|state| CONNECTED.contains(&state))
}

/// Whether it has given all its peers up, from `drbdadm cstate`.
pub fn stands_alone(cstate: &str) -> bool {
    let mut states = cstate.split_whitespace().peekable();
    states.peek().is_some() && states.all(|state| state == "StandAlone")
}

/// Whether the configuration lets two nodes be primary at once, from `drbdadm dump`.
pub fn two_primaries(dump: &str) -> bool {
    dump.lines().any(|line| {
        let mut words = line.trim().trim_end_matches(';').split_whitespace();
        words.next() == Some("allow-two-primaries") && words.next().is_none_or(|word| word != "no")
    })
}

/// The one other node of a resource, from `drbdadm dump`: a line `on ha2 {` for each.
pub fn other_node(dump: &str, own: &str) -> Option<String> {
    let nodes = dump.lines().filter_map(|line| line.trim().strip_prefix("on ")?.strip_suffix('{').map(str::trim));
    let mut others = nodes.map(|name| name.trim_matches('"')).filter(|node| *node != own);
    others.next().filter(|_| others.next().is_none()).map(str::to_owned)
}

/// The resource of a device, where its name shows it: `/dev/drbd/by-res/r0/0`, or `minor-0` of `/dev/drbd0`.
pub fn by_name(device: &Path) -> Result<String, Option<u32>> {
    let text = device.to_str().unwrap_or_default();
    if let Some(rest) = text.strip_prefix("/dev/drbd/by-res/") {
        let name = rest.split('/').next().unwrap_or_default();
        return if name.is_empty() { Err(None) } else { Ok(name.to_owned()) };
    }
    Err(text.strip_prefix("/dev/drbd").and_then(|minor| minor.parse().ok()))
}

/// One that can be asked about until a deadline.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// When asking has to end.
    pub deadline: Instant,
    /// How long that was from the start, for messages.
    pub timeout: Duration,
}

impl Resource {
    /// The one that was named, or that of a device.
    ///
    /// # Errors
    /// When the device is none of DRBD's.
    pub fn find(named: Option<&str>, device: &Path, deadline: Instant, timeout: Duration) -> Result<Self, Failure> {
        let of = |name: String| Self { name, deadline, timeout };
        if let Some(name) = named {
            return Ok(of(name.to_owned()));
        }
        match by_name(device) {
            Ok(name) => Ok(of(name)),
            Err(Some(minor)) => {
                let ran = of(String::new()).drbdadm(&["sh-resource", &format!("minor-{minor}")])?;
                let name = ran.stdout.split_whitespace().next().filter(|_| ran.status == 0);
                let message = format!("drbdadm knows no resource of {}: {}", device.display(), ran.words);
                name.map(|n| of(n.to_owned())).ok_or_else(|| Failure::unavailable("no-such-resource", message))
            }
            Err(None) => {
                let message = format!("the DRBD resource of {} does not show in its name", device.display());
                Err(Failure::new(Fault::Usage, "usage", message).hint("name it: --drbd-resource NAME"))
            }
        }
    }

    fn drbdadm(&self, words: &[&str]) -> Result<Ran, Failure> {
        let what = format!("drbdadm {}", words.join(" "));
        command(Command::new("drbdadm").args(words), self.deadline).map_err(|e| match e {
            AsideError::Io(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Failure::unavailable("no-such-command", "there is no drbdadm").hint("install drbd-utils")
            }
            e => e.failure(&what, self.timeout),
        })
    }

    /// Which node has which role.
    ///
    /// # Errors
    /// When drbdadm does not tell.
    pub fn roles(&self) -> Result<Roles, Failure> {
        let ran = self.drbdadm(&["role", &self.name])?;
        let message = format!("drbdadm role {}: status {}: {}", self.name, ran.status, ran.words);
        let roles = Roles::parse(&ran.stdout).filter(|_| ran.status == 0);
        let roles =
            roles.ok_or_else(|| Failure::unavailable("drbd", message).hint(format!("drbdadm up {}", self.name)))?;
        if ran.stdout.contains('/') {
            return Ok(roles);
        }
        let ran = self.drbdadm(&["status", &self.name])?;
        if ran.status != 0 {
            let message = format!("drbdadm status {}: status {}: {}", self.name, ran.status, ran.words);
            return Err(Failure::unavailable("drbd", message));
        }
        Ok(Roles { peer_primary: primary_peers(&ran.stdout).next().is_some(), ..roles })
    }

    /// The states of its connections.
    ///
    /// # Errors
    /// When drbdadm does not tell.
    fn connections(&self) -> Result<String, Failure> {
        let ran = self.drbdadm(&["cstate", &self.name])?;
        if ran.status == 0 {
            return Ok(ran.stdout);
        }
        let message = format!("drbdadm cstate {}: status {}: {}", self.name, ran.status, ran.words);
        Err(Failure::unavailable("drbd", message))
    }

    /// Refuses to make it primary where it has given its peers up. After a split brain DRBD would do it, whichever data
    /// counts, and the two would part further.
    fn refuse_alone(&self) -> Result<(), Failure> {
        if !stands_alone(&self.connections()?) {
            return Ok(());
        }
        let name = &self.name;
        let message = format!("{name} stands alone, after a split brain or by order: its data may not be what counts");
        let hint = format!("drbdadm connect {name}; where the data has to go that is here: with --discard-my-data");
        Err(Failure::unavailable("split-brain", message).hint(hint))
    }

    /// What the claim is worth: with the connection gone, or where two may be primary, a peer could be primary too.
    fn strength(&self) -> Result<(&'static str, String), Failure> {
        match self.connections() {
            Ok(states) if connected(&states) => {}
            Ok(_) => {
                return Ok(("advisory", "the peer is not connected, and could be primary too: fence it".to_owned()));
            }
            // It is primary all the same, or is not.
            Err(e) => return Ok(("advisory", format!("nobody knows whether the peer is connected: {e}"))),
        }
        let dump = self.drbdadm(&["dump", &self.name])?;
        if dump.status != 0 || two_primaries(&dump.stdout) {
            return Ok(("advisory", "two nodes may be primary at once: allow-two-primaries".to_owned()));
        }
        Ok(("enforced", "the peer is connected, and cannot become primary".to_owned()))
    }

    /// Makes this node primary.
    ///
    /// # Errors
    /// When DRBD refuses for any other reason than a peer that is primary.
    pub fn promote(&self) -> Result<Outcome, Failure> {
        let before = self.roles()?;
        if before.peer_primary {
            return Ok(Outcome::Held(self.held(None)));
        }
        if !before.primary {
            self.refuse_alone()?;
            let ran = self.drbdadm(&["primary", &self.name])?;
            if ran.status != 0 {
                return match another(&ran.words) {
                    true => Ok(Outcome::Held(self.held(Some(&ran.words)))),
                    false => Err(self.refused("primary", &ran)),
                };
            }
        }
        let (strength, why) = self.strength()?;
        let did = if before.primary { "was primary already" } else { "made primary" };
        let cause = format!("{} {did}; {why}", self.name);
        Ok(Outcome::Got(Got { strength: strength.to_owned(), cause, changed: !before.primary }))
    }

    /// What [`Resource::promote`] would do.
    ///
    /// # Errors
    /// As there.
    pub fn would_promote(&self) -> Result<Outcome, Failure> {
        let outcome = self.look()?;
        if matches!(&outcome, Outcome::Got(got) if got.changed) {
            self.refuse_alone()?;
        }
        Ok(outcome)
    }

    /// Whether this node has it, and what that is worth; `changed` where it is not primary yet.
    ///
    /// # Errors
    /// When drbdadm does not tell.
    pub fn look(&self) -> Result<Outcome, Failure> {
        let now = self.roles()?;
        if now.peer_primary {
            return Ok(Outcome::Held(self.held(None)));
        }
        let (strength, cause) = self.strength()?;
        Ok(Outcome::Got(Got { strength: strength.to_owned(), cause, changed: !now.primary }))
    }

    /// Makes this node secondary; false if it was.
    ///
    /// # Errors
    /// When DRBD refuses, as where the device is still open.
    pub fn demote(&self) -> Result<bool, Failure> {
        if !self.roles()?.primary {
            return Ok(false);
        }
        let ran = self.drbdadm(&["secondary", &self.name])?;
        if ran.status == 0 { Ok(true) } else { Err(self.refused("secondary", &ran)) }
    }

    fn refused(&self, what: &str, ran: &Ran) -> Failure {
        let message = format!("drbdadm {what} {}: status {}: {}", self.name, ran.status, ran.words);
        Failure::unavailable("drbd", message)
    }

    fn held(&self, words: Option<&str>) -> Held {
        let status = self.drbdadm(&["status", &self.name]).map(|ran| ran.stdout).unwrap_or_default();
        let holder = primary_peer(&status).or_else(|| {
            let dump = self.drbdadm(&["dump", &self.name]).map(|ran| ran.stdout).unwrap_or_default();
            let own = nix::unistd::gethostname().ok()?;
            other_node(&dump, &own.to_string_lossy())
        });
        let who = holder.as_deref().unwrap_or("the peer");
        let words = words.map_or_else(String::new, |w| format!(": {w}"));
        let cause = format!("{who} is primary of {}{words}", self.name);
        Held { holder, cause, hint: Some("release it there: fs-release MOUNTPOINT".into()) }
    }
}

/// Whether drbdadm's words mean that another node is primary.
pub fn another(words: &str) -> bool {
    words.contains("Multiple primaries not allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles() {
        let roles = |primary, peer_primary| Some(Roles { primary, peer_primary });
        for (text, expected) in [
            ("Secondary/Primary\n", roles(false, true)),
            ("Primary/Unknown", roles(true, false)),
            ("Primary/Primary", roles(true, true)),
            ("Secondary", roles(false, false)),
            ("Secondary/Secondary/Primary", roles(false, true)),
            ("Unconfigured", None),
            ("", None),
        ] {
            assert_eq!(Roles::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn texts() {
        let nine = "r0 role:Secondary\n  disk:UpToDate\n  ha2 role:Primary\n    peer-disk:UpToDate\n";
        assert_eq!(primary_peer(nine), Some("ha2".to_owned()));
        assert_eq!(primary_peer("r0 role:Secondary\n  disk:UpToDate\n  peer role:Primary\n"), None);
        let dump = "resource r0 {\n    on ha1 {\n    }\n    on \"ha2\" {\n    }\n    net {\n    }\n}\n";
        assert_eq!(other_node(dump, "ha1"), Some("ha2".to_owned()));
        assert_eq!((other_node(dump, "ha3"), other_node("", "x")), (None, None), "which of two is not known");
        assert_eq!(primary_peer("r0 role:Primary\n  disk:UpToDate\n"), None);
        let third = format!("{nine}  ha3 role:Primary\n    peer-disk:UpToDate\n");
        assert_eq!(primary_peers(&third).collect::<Vec<_>>(), ["ha2", "ha3"]);
        assert_eq!(primary_peers("r0 role:Primary\n  ha2 connection:Connecting\n").count(), 0);
        for (states, expected) in [
            ("Connected\n", true),
            ("Connected\nConnected", true),
            ("SyncTarget", true),
            ("Connected\nConnecting", false),
            ("WFReportParams", false),
            ("StandAlone", false),
            ("SomethingNew", false),
            ("", false),
        ] {
            assert_eq!(connected(states), expected, "{states}");
        }
        for (states, expected) in [
            ("StandAlone\n", true),
            ("StandAlone\nStandAlone", true),
            ("StandAlone\nConnected", false),
            ("Connecting", false),
            ("", false),
        ] {
            assert_eq!(stands_alone(states), expected, "{states}");
        }
        for (line, expected) in [
            ("        allow-two-primaries yes;", true),
            ("allow-two-primaries;", true),
            ("allow-two-primaries  no;", false),
            ("protocol C;", false),
        ] {
            assert_eq!(two_primaries(&format!("resource r0 {{\n    net {{\n{line}\n    }}\n}}\n")), expected, "{line}");
        }
        assert!(another("0: State change failed: (-1) Multiple primaries not allowed by config"));
        assert!(!another("0: State change failed: (-2) Need access to UpToDate data"));
    }

    #[test]
    fn names() {
        assert_eq!(by_name(Path::new("/dev/drbd/by-res/r0/0")), Ok("r0".to_owned()));
        assert_eq!(by_name(Path::new("/dev/drbd12")), Err(Some(12)));
        assert_eq!(by_name(Path::new("/dev/sda")), Err(None));
    }
}
