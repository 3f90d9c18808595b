//! The events of shared storage, and the system's log for a keeper, which has no stdout.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::guard::{Got, Held, Kind};
use super::holders::Holder;
use crate::cli::duration::words;
use crate::cli::event::Event;
use crate::clock;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The device, as it was given or as the kernel shows it.
    pub device: Option<String>,
    /// Where.
    pub mountpoint: String,
    /// The guard.
    pub guard: Option<Kind>,
    /// This node.
    pub node: Option<String>,
}

impl About {
    fn guard(&self) -> Option<&'static str> {
        self.guard.map(Kind::word)
    }

    fn event(&self, name: &str, words: String) -> Event {
        Event::new(name, words).with("device", self.device.as_deref()).with("mountpoint", self.mountpoint.as_str())
    }

    fn device(&self) -> &str {
        self.device.as_deref().unwrap_or("it")
    }

    /// The claim is ours.
    pub fn claimed(&self, got: &Got, keeper: Option<i32>, dry_run: bool) -> Event {
        let did = match (dry_run, got.changed) {
            (true, _) => "would claim",
            (false, true) => "claimed",
            (false, false) => "holds",
        };
        let guard = self.guard().unwrap_or("none");
        self.event("claimed", format!("{did} {} (guard {guard}, {}): {}", self.device(), got.strength, got.cause))
            .with("guard", guard)
            .with("strength", got.strength.as_str())
            .with("node", self.node.as_deref())
            .with("keeper", keeper)
            .with("changed", got.changed)
            .with("dry_run", dry_run)
            .with("cause", got.cause.as_str())
    }

    /// A definite no.
    pub fn refused(&self, held: &Held, mounted: bool) -> Event {
        let hint = held.hint.as_deref().map(|h| h.replace("MOUNTPOINT", &self.mountpoint));
        self.event("refused", format!("{} on {}: {}", self.device(), self.mountpoint, held.cause))
            .with("guard", self.guard())
            .with("holder", held.holder.as_deref())
            .with("mounted", mounted)
            .with("cause", held.cause.as_str())
            .with("hint", hint)
    }

    /// fsck is through.
    pub fn checked(&self, status: Option<i32>, took: Option<Duration>, dry_run: bool, cause: &str) -> Event {
        Event::new("checked", format!("{}: {cause}", self.device()))
            .with("device", self.device.as_deref())
            .with("status", status)
            .with("changed", status == Some(1))
            .with("dry_run", dry_run)
            .ms("total_ms", took)
            .with("cause", cause)
    }

    /// It is mounted.
    pub fn mounted(&self, how: &Mounted) -> Event {
        let did = match (how.dry_run, how.changed) {
            (true, true) => "would mount",
            (_, false) => "is mounted already:",
            (false, true) => "mounted",
        };
        let took = how.took.map_or_else(String::new, |d| format!(" ({})", words(d)));
        self.event("mounted", format!("{did} {} on {}{took}", self.device(), self.mountpoint))
            .with("fstype", how.fstype.as_deref())
            .with("options", how.options.as_deref())
            .with("changed", how.changed)
            .with("dry_run", how.dry_run)
            .ms("total_ms", how.took)
            .with("cause", how.cause.as_str())
    }

    /// Somebody holds it open.
    pub fn holder(&self, holder: &Holder, protected: bool) -> Event {
        let pid = holder.process.map(|p| p.pid);
        let who = pid.map_or_else(|| "the kernel".to_owned(), |pid| format!("process {pid}"));
        let user = holder.user.as_deref().map_or_else(String::new, |u| format!(" of {u}"));
        let path = holder.file().map(|p| p.to_string_lossy().into_owned());
        let ways = holder.ways();
        let shown = path.as_deref().unwrap_or_default();
        let words = format!("{who} ({}{user}) holds {shown} ({ways}, {} in all)", holder.command, holder.files);
        Event::new("holder", words)
            .with("mountpoint", self.mountpoint.as_str())
            .with("pid", pid)
            .with("command", holder.command.as_str())
            .with("user", holder.user.as_deref())
            .with("path", path)
            .with("how", ways)
            .with("files", holder.files)
            .with("protected", protected)
    }

    /// A signal was sent.
    pub fn killed(&self, holder: &Holder, signal: &str) -> Event {
        let pid = holder.process.map(|p| p.pid);
        Event::new("killed", format!("sent {signal} to process {} ({})", pid.unwrap_or(0), holder.command))
            .with("mountpoint", self.mountpoint.as_str())
            .with("pid", pid)
            .with("command", holder.command.as_str())
            .with("user", holder.user.as_deref())
            .with("signal", signal)
    }

    /// It is in use.
    pub fn busy(&self, holders: usize, mounts: &[String], cause: &str, hint: Option<&str>) -> Event {
        self.event("busy", format!("{} is still in use: {cause}", self.mountpoint))
            .with("holders", holders)
            .with("mounts", mounts.to_vec())
            .with("cause", cause)
            .with("hint", hint)
    }

    /// It is not mounted there.
    pub fn unmounted(&self, how: &Mounted, lazy: bool) -> Event {
        let did = match (how.dry_run, how.changed) {
            (true, true) => "would unmount",
            (false, true) => "unmounted",
            (_, false) => "not mounted:",
        };
        let took = how.took.map_or_else(String::new, |d| format!(" ({})", words(d)));
        self.event("unmounted", format!("{did} {}{took}: {}", self.mountpoint, how.cause))
            .with("fstype", how.fstype.as_deref())
            .with("changed", how.changed)
            .with("lazy", lazy)
            .with("dry_run", how.dry_run)
            .ms("total_ms", how.took)
            .with("cause", how.cause.as_str())
    }

    /// The claim was given up.
    pub fn released(&self, changed: bool, dry_run: bool, cause: &str) -> Event {
        let did = if dry_run { "would give up" } else { "gave up" };
        self.event("released", format!("{did} the claim on {}: {cause}", self.device()))
            .with("guard", self.guard())
            .with("node", self.node.as_deref())
            .with("changed", changed)
            .with("dry_run", dry_run)
            .with("cause", cause)
    }

    /// The claim is lost.
    pub fn lost(&self, cause: &str) -> Event {
        self.event("lost", format!("the claim on {} is lost: {cause}", self.device()))
            .with("guard", self.guard())
            .with("node", self.node.as_deref())
            .with("cause", cause)
    }

    /// What is so.
    pub fn storage(&self, mounted: bool, claimed: bool, strength: &str, keeper: Option<i32>, cause: &str) -> Event {
        self.event("storage", format!("{} on {}: {cause}", self.device(), self.mountpoint))
            .with("mounted", mounted)
            .with("claimed", claimed)
            .with("guard", self.guard())
            .with("strength", strength)
            .with("node", self.node.as_deref())
            .with("keeper", keeper)
            .with("cause", cause)
    }
}

/// How a mount came or went.
#[derive(Clone, Debug, Default)]
pub struct Mounted {
    /// Its type.
    pub fstype: Option<String>,
    /// Its options.
    pub options: Option<String>,
    /// False when it was so before.
    pub changed: bool,
    /// Nothing was done.
    pub dry_run: bool,
    /// How long it took.
    pub took: Option<Duration>,
    /// In words.
    pub cause: String,
}

/// Writes an event of fs-claim to the system's log. Nobody waits for a log that does not listen.
pub fn log(event: &Event) {
    let mut object = Map::new();
    object.insert("at".into(), clock::wall().into());
    object.insert("tool".into(), "fs-claim".into());
    object.insert("event".into(), event.name().into());
    object.extend(event.fields().clone());
    const DAEMON_WARNING: u8 = 3 << 3 | 4;
    let line = format!("<{DAEMON_WARNING}>fs-claim[{}]: {}", std::process::id(), Value::Object(object));
    let send = || -> std::io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to(line.as_bytes(), Path::new("/dev/log"))?;
        Ok(())
    };
    let _ = send();
}
