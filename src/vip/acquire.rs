//! From wanted to taken: looks whether the address is here already, asks on the link, decides, puts it on the interface.

use std::time::Duration;

use serde_json::Value;

use super::ask::{self, Question};
use super::control::Control;
use super::holder::Input;
use super::take::{Decision, IfHeld, decide, list};
use crate::cli::child;
use crate::cli::event::Event;
use crate::cli::exit::Fault;
use crate::cli::output::{Output, OutputError};
use crate::cli::wait::Waiter;
use crate::cli::{Error, Failure, error_event};
use crate::clock::Instant;
use crate::net::NetError;
use crate::net::address::{self, ServiceAddress};
use crate::net::frames::Frames;
use crate::net::link::{self, Interface};
use crate::net::mac::Mac;
use crate::net::netlink::Netlink;

/// What was found out longer ago than this says nothing about now: we were stalled between asking and taking.
const FRESH: Duration = Duration::from_millis(500);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The address.
    pub address: ServiceAddress,
    /// The interface.
    pub dev: String,
    /// The label.
    pub label: Option<String>,
    /// The kernel's lifetime in seconds; `None` for ever.
    pub lease_s: Option<u32>,
    /// The length of a round of questions; `None`: do not ask.
    pub probe: Option<Duration>,
    /// What to do where somebody else has it.
    pub if_held: IfHeld,
    /// The holder that may be overridden.
    pub steal_from: Option<Mac>,
    /// Between two rounds while waiting.
    pub wait_every: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// An address that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The interface that has it.
    pub interface: Interface,
    /// The sockets that asked; `None` where nobody could be asked or told.
    pub frames: Option<Frames>,
    /// Who held it and was overridden.
    pub overridden: Vec<Mac>,
    /// This machine's hardware addresses.
    pub own: Vec<Mac>,
    /// When it was put there: whoever holds it counts its own absences from then on.
    pub since: Instant,
    /// False when it was there already.
    pub changed: bool,
}

/// How it came out.
#[derive(Debug)]
pub enum Outcome {
    /// Taken, or with a dry run free to be taken.
    Taken(Taken),
    /// Somebody has it.
    Held,
    /// Told to end while waiting.
    Ended,
}

/// Takes the address, or says why not. Where the `taken` event cannot be printed, what was done is undone.
pub fn acquire(
    netlink: &mut Netlink,
    wanted: &Wanted,
    control: Option<&Control>,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let interface = link::by_name(netlink, &wanted.dev)?;
    let ip = wanted.address.ip;
    // Who waits for the address waits for the link as well.
    let waiting = wanted.if_held == IfHeld::Wait;
    if !interface.up && !waiting {
        return Err(NetError::Down(wanted.dev.clone()).into());
    }
    let here = match placed(netlink, wanted, &interface, output)? {
        Placed::Elsewhere => return Ok(Outcome::Held),
        Placed::Here => true,
        Placed::Nowhere => false,
    };
    let neighbours = interface.has_neighbours();
    let asking = wanted.probe.filter(|_| neighbours);
    let own = if neighbours { ask::own_macs(netlink)? } else { Vec::new() };
    let frames = match asking {
        Some(_) => {
            match interface.speaking(ip) {
                Err(NetError::Down(_) | NetError::NoCarrier(_)) if waiting => {}
                Err(e) => return Err(e.into()),
                Ok(_) => {}
            }
            Some(Frames::listener(&interface, ip)?)
        }
        None if neighbours => Some(Frames::sender(&interface, ip)?),
        None => None,
    };
    let (overridden, since) = loop {
        let (overridden, asked) = match (&frames, asking) {
            (Some(open), Some(window)) => {
                match until_free(netlink, wanted, (&interface, open), &own, window, control, output)? {
                    Ok(free) => free,
                    Err(outcome) => {
                        // The answer is out: the caller need not wait for the sockets.
                        frames.into_iter().for_each(|frames| child::close(frames.into_fds()));
                        return Ok(outcome);
                    }
                }
            }
            _ => (Vec::new(), Instant::now()),
        };
        if ip.is_ipv4() && !wanted.dry_run {
            address::promote_secondaries(&interface)?;
        }
        let now = Instant::now();
        if now.since(asked) < FRESH {
            break (overridden, now);
        }
    };
    let event = taken_event(wanted, !here, asking.is_some(), &overridden);
    if wanted.dry_run {
        output.emit(event)?;
        return Ok(Outcome::Taken(Taken { interface, frames, overridden, own, since, changed: !here }));
    }
    address::put(netlink, &interface, wanted.address, wanted.lease_s, wanted.label.as_deref())?;
    if let Err(error) = output.emit(event) {
        // Nobody would know of it: a full disk or a closed pipe must not leave an address behind in silence.
        if !here {
            address::remove(netlink, &interface, wanted.address)?;
        }
        return Err(error.into());
    }
    Ok(Outcome::Taken(Taken { interface, frames, overridden, own, since, changed: !here }))
}

enum Placed {
    Nowhere,
    Here,
    Elsewhere,
}

/// Whether this machine has the address already, and where.
fn placed(netlink: &mut Netlink, wanted: &Wanted, interface: &Interface, output: &mut Output) -> Result<Placed, Error> {
    let ip = wanted.address.ip;
    let mine: Vec<_> = address::list(netlink, ip)?.into_iter().filter(|a| a.address.ip == ip).collect();
    let elsewhere = mine.iter().find(|a| a.index != interface.index || a.address != wanted.address);
    // What was put there for good is not ours to give a lifetime, and not to be dropped with a holder.
    let for_good = mine.iter().find(|a| wanted.lease_s.is_some() && a.valid_s.is_none());
    let Some(other) = elsewhere.or(for_good) else {
        return Ok(if mine.is_empty() { Placed::Nowhere } else { Placed::Here });
    };
    let dev = link::by_index(netlink, other.index).map_or_else(|_| other.index.to_string(), |i| i.name);
    let how = if elsewhere.is_some() { "" } else { ", for good and without a lease" };
    let cause = format!("this machine has it itself, as {} on {dev}{how}", other.address);
    let hint = format!("remove it there first: vip-drop {} --dev {dev}", other.address);
    output.emit(held_event(wanted, &[], true, &cause, Some(&hint)))?;
    Ok(Placed::Elsewhere)
}

/// Asks until the address may be taken; the holders that are overridden and when that was found out, or how it ended
/// instead.
fn until_free(
    netlink: &mut Netlink,
    wanted: &Wanted,
    (interface, frames): (&Interface, &Frames),
    own: &[Mac],
    window: Duration,
    control: Option<&Control>,
    output: &mut Output,
) -> Result<Result<(Vec<Mac>, Instant), Outcome>, Error> {
    // Who may override one holder has to hear of all.
    let first_suffices = wanted.if_held != IfHeld::Steal && wanted.steal_from.is_none();
    let waiter = Waiter::new()?;
    let mut told = None;
    let mut complained = None;
    loop {
        let asker = interface.mac.unwrap_or(Mac::ZERO);
        let asked = ask::ask(netlink, interface, frames, Question { asker, own, window, first_suffices });
        let (found, at) = match asked {
            Ok(found) => found,
            // An interface that is made anew has another number: there is nothing to wait for here.
            Err(e @ NetError::NoInterface(_)) => return Err(e.into()),
            // No carrier for a moment, or frames that were lost: nothing is known, and there is time.
            Err(e)
                if wanted.if_held == IfHeld::Wait && matches!(e.fault(), Fault::Unavailable | Fault::Undetermined) =>
            {
                let failure = Error::from(e).failure();
                if complained.as_ref() != Some(&failure.message) {
                    output.emit(error_event(&failure))?;
                    complained = Some(failure.message);
                }
                if let Some(outcome) = pause(&waiter, wanted.wait_every, control)? {
                    return Ok(Err(outcome));
                }
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        complained = None;
        let macs: Vec<Mac> = found.holders.iter().chain(&found.rivals).copied().collect();
        match decide(&found, wanted.if_held, wanted.steal_from) {
            Decision::Take(overridden) => return Ok(Ok((overridden, at))),
            Decision::Refuse(cause) => {
                let hint = remedy(&macs);
                output.emit(held_event(wanted, &macs, false, &cause, hint.as_deref()))?;
                return Ok(Err(Outcome::Held));
            }
            Decision::Wait(cause) => {
                if told.as_ref() != Some(&macs) {
                    output.emit(held_event(wanted, &macs, false, &cause, Some("waiting until it is free")))?;
                    told = Some(macs);
                }
            }
        }
        if let Some(outcome) = pause(&waiter, wanted.wait_every, control)? {
            return Ok(Err(outcome));
        }
    }
}

/// Waits until it is time to ask again; how it ended if something ends it meanwhile.
fn pause(waiter: &Waiter, pause: Duration, control: Option<&Control>) -> Result<Option<Outcome>, Error> {
    let again = Instant::now() + pause;
    while Instant::now() < again {
        let fds = control.map(Control::fds).unwrap_or_default();
        let ready = waiter.wait(&fds, Some(again))?;
        let Some(control) = control else { continue };
        for input in control.inputs(&ready)? {
            match input {
                Input::Stop(_) | Input::Eof => return Ok(Some(Outcome::Ended)),
                Input::Unread => return Err(OutputError::Closed.into()),
                _ => {}
            }
        }
    }
    Ok(None)
}

fn remedy(macs: &[Mac]) -> Option<String> {
    match macs {
        [one] => Some(format!(
            "make sure that {one} gives it up (power it off, remove the address there), or override it alone with \
             --steal-from {one}"
        )),
        _ => None,
    }
}

fn held_event(wanted: &Wanted, macs: &[Mac], mine: bool, cause: &str, hint: Option<&str>) -> Event {
    Event::new("held", format!("{} was not taken: {cause}", wanted.address.ip))
        .shown("address", Some(wanted.address.ip))
        .with("dev", wanted.dev.as_str())
        .with("macs", strings(macs))
        .with("mine", mine)
        .with("cause", cause)
        .with("hint", hint)
}

fn taken_event(wanted: &Wanted, changed: bool, asked: bool, overridden: &[Mac]) -> Event {
    let Wanted { address, dev, .. } = wanted;
    let cause = match (changed, overridden) {
        (false, _) => "it was here already".to_owned(),
        (true, []) if wanted.probe.is_none() => "taken without asking".to_owned(),
        (true, []) if !asked => "taken without asking: there are no neighbours on this interface".to_owned(),
        (true, []) => "nobody else answers for it".to_owned(),
        (true, from) => format!("taken over the head of {}", list(from)),
    };
    let did = if wanted.dry_run { "would take" } else { "took" };
    let lease = wanted.lease_s.map_or_else(String::new, |s| format!(" for {s} s"));
    Event::new("taken", format!("{did} {address} on {dev}{lease}: {cause}"))
        .shown("address", Some(address.ip))
        .with("prefix", address.prefix)
        .with("dev", dev.as_str())
        .with("label", wanted.label.as_deref())
        .with("changed", changed)
        .with("dry_run", wanted.dry_run)
        .with("lease_s", wanted.lease_s)
        .with("macs", strings(overridden))
        .with("cause", cause)
}

/// Hardware addresses as the list that events carry.
pub fn strings(macs: &[Mac]) -> Value {
    macs.iter().map(Mac::to_string).map(Value::from).collect()
}

/// Checks a label as ip(8) does: ifconfig shows only labels that begin with their interface's name.
pub fn check_label(label: &str, dev: &str, address: ServiceAddress) -> Result<(), Failure> {
    let problem = if address.ip.is_ipv6() {
        "IPv6 addresses have no label"
    } else if label.len() > 15 {
        "a label has at most 15 characters"
    } else if label != dev && !label.strip_prefix(dev).is_some_and(|rest| rest.starts_with(':') && rest.len() > 1) {
        "a label begins with the name of its interface and a colon"
    } else {
        return Ok(());
    };
    let hint = format!("such as --label {dev}:vip");
    Err(Failure { fault: Fault::Usage, code: "usage", message: format!("{problem}: '{label}'"), hint: Some(hint) })
}
