//! What the kernel's table should be, by the states of the targets.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::checks::{Check, check};
use super::{Checktype, Ldirectord, Names, Real, Virtual};
use crate::cli::event::Event;

/// What is thought of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has passed its check.
    Up,
    /// It has failed it.
    Down,
    /// Nobody has told yet: whatever it has it keeps, and it gets nothing new.
    Unknown,
}

/// A line is none of `TARGET<TAB>up|down|unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoState;

fn state(line: &str) -> Result<(&str, State), NoState> {
    let (target, word) = line.rsplit_once('\t').ok_or(NoState)?;
    match word {
        "up" => Ok((target, State::Up)),
        "down" => Ok((target, State::Down)),
        "unknown" => Ok((target, State::Unknown)),
        _ => Err(NoState),
    }
}

/// Reads lines `TARGET<TAB>up|down|unknown`. Of a target that stands twice the last line counts.
///
/// # Errors
/// With the number of a line that is none of these.
pub fn states(text: &str) -> Result<HashMap<String, State>, usize> {
    let mut states = HashMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let (target, state) = state(line).map_err(|NoState| n + 1)?;
        states.insert(target.to_owned(), state);
    }
    Ok(states)
}

/// What is known of the targets, and what was last said to follow from it.
#[derive(Debug)]
pub struct Board<'a> {
    conf: &'a Ldirectord,
    names: &'a Names,
    states: HashMap<String, State>,
    said: Vec<Event>,
}

impl<'a> Board<'a> {
    /// With these states.
    pub fn new(conf: &'a Ldirectord, names: &'a Names, states: HashMap<String, State>) -> Self {
        Self { conf, names, states, said: Vec::new() }
    }

    /// Takes a line of a state. After an empty one all services count as changed.
    ///
    /// # Errors
    /// For a line that is no state: nothing has changed.
    pub fn take(&mut self, line: &str) -> Result<(), NoState> {
        if line.is_empty() {
            self.said.clear();
            return Ok(());
        }
        let (target, state) = state(line)?;
        self.states.insert(target.to_owned(), state);
        Ok(())
    }

    /// All services, by the states and by the files in `maintenancedir` now.
    pub fn all(&mut self) -> Vec<Event> {
        self.said = wanted(self.conf, &self.states, self.names, &|path| path.symlink_metadata().is_ok());
        self.said.clone()
    }

    /// Those of them that are not as they were said to be last.
    pub fn changed(&mut self) -> Vec<Event> {
        let before = std::mem::take(&mut self.said);
        let same = |n: usize, now: &Event| before.get(n).is_some_and(|was| was.fields() == now.fields());
        self.all().into_iter().enumerate().filter(|(n, now)| !same(*n, now)).map(|(_, now)| now).collect()
    }
}

/// Whether a server is out of service by hand: a file of its address or its name is in `maintenancedir`.
pub fn in_maintenance(real: &Real, names: &Names, exists: &impl Fn(&str) -> bool) -> bool {
    let ip = real.address.ip();
    let shown = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let mut all = vec![shown];
    all.extend(names.of(ip));
    let plain = |name: &String| !name.contains('/');
    all.iter().filter(|n| plain(n)).any(|name| exists(&format!("{name}:{}", real.port)) || exists(name))
}

/// One line a virtual service, for lvs-sync.
pub fn wanted(
    conf: &Ldirectord,
    states: &HashMap<String, State>,
    names: &Names,
    exists: &impl Fn(&Path) -> bool,
) -> Vec<Event> {
    let in_hand = |real: &Real| {
        let folder = conf.maintenancedir.as_deref().map(Path::new);
        folder.is_some_and(|folder| in_maintenance(real, names, &|name| exists(&folder.join(name))))
    };
    let state = |service: &Virtual, real: &Real| match check(conf, service, real) {
        _ if in_hand(real) => State::Down,
        Check::On => State::Up,
        Check::Off => State::Down,
        Check::By(..) => states.get(service.target(real).as_str()).copied().unwrap_or(State::Unknown),
    };
    conf.virtuals
        .iter()
        .map(|service| one(conf, service, &service.reals.iter().map(|r| state(service, r)).collect::<Vec<_>>()))
        .collect()
}

fn one(conf: &Ldirectord, service: &Virtual, states: &[State]) -> Event {
    let count = |state| states.iter().filter(|s| **s == state).count();
    let (up, unknown) = (count(State::Up), count(State::Unknown));
    // Where nobody knows yet, nobody is replaced: a server from before may be serving.
    let nobody = up == 0 && unknown == 0 && service.checktype != Checktype::Off;
    let mut servers: Vec<Value> =
        service.reals.iter().zip(states).filter_map(|(real, state)| server(conf, service, real, *state)).collect();
    let fallback = conf.fallback(service).filter(|_| nobody);
    if let Some((address, forward)) = fallback {
        // One that is a real server too, and down, is the fallback now.
        servers.retain(|s| s["address"] != address.to_string());
        servers.push(json!({"address": address.to_string(), "forward": forward.word(), "weight": 1,
            "add": true, "lower": 0, "upper": 0}));
    }
    let settings = &service.settings;
    Event::new("wanted", format!("{}: {up} of {} up", service.name(), states.len()))
        .with("service", service.key.to_string())
        .with("virtual", service.name())
        .with("scheduler", settings.scheduler.as_str())
        .with("scheduler_flags", settings.flags.iter().cloned().collect::<Vec<_>>())
        .with("persistent_s", settings.persistent_s)
        .shown("netmask", settings.netmask)
        .with("ops", settings.ops)
        .with("servers", servers)
        .with("healthy", up)
        .with("nobody", nobody)
        .with("fallback", fallback.map(|(address, _)| address.to_string()))
}

/// A server of the table; none where it is not to be there.
fn server(conf: &Ldirectord, service: &Virtual, real: &Real, state: State) -> Option<Value> {
    let (weight, add) = match state {
        State::Up => (json!(real.weight), true),
        State::Down if conf.quiescent(service) => (json!(0), conf.readdquiescent),
        State::Down => return None,
        State::Unknown => (Value::Null, false),
    };
    Some(json!({"address": real.address.to_string(), "forward": real.forward.word(), "weight": weight,
        "add": add, "lower": real.lower, "upper": real.upper}))
}
