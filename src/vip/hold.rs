//! The edge of [`super::holder`]: feeds it from the kernel, the link, stdin and signals, and does what it says.

use std::collections::VecDeque;
use std::time::Duration;

use nix::poll::PollFlags;

use super::acquire::{Taken, Wanted, strings};
use super::announce::{Announcement, BOTH};
use super::control::Control;
use super::holder::{Action, Ending, Holder, Input, News, Settings, Why};
use crate::cli::event::Event;
use crate::cli::exit::Answer;
use crate::cli::output::{Output, OutputError};
use crate::cli::wait::Waiter;
use crate::cli::{Error, Failure, eprint_line, error_event};
use crate::clock::Instant;
use crate::net::NetError;
use crate::net::address;
use crate::net::frames::{Heard, To};
use crate::net::link::{self, LinkNews};
use crate::net::mac::Mac;
use crate::net::netlink::Netlink;

/// What came of an action.
enum Done {
    Well,
    Ended(Ending),
    /// It failed, and this is what the decider has to know.
    Failed(Input),
}

/// A held address and all that is needed to hold it.
pub struct Hold<'a> {
    /// For changes.
    pub netlink: &'a mut Netlink,
    /// For notifications; opened before the address was put.
    pub monitor: Netlink,
    /// What was wanted.
    pub wanted: &'a Wanted,
    /// What was got.
    pub taken: Taken,
    /// Who may end it.
    pub control: &'a Control,
    /// Where events go.
    pub output: &'a mut Output,
}

impl Hold<'_> {
    /// Holds until something ends it. Where that is a failure of ours, the address goes first.
    pub fn run(mut self, settings: Settings) -> Result<Answer, Error> {
        let held = self.hold(settings);
        if held.is_err() {
            // Where even this fails, the lease ends it.
            let (interface, address) = (&self.taken.interface, self.wanted.address);
            if let Ok(changed) = address::remove(self.netlink, interface, address) {
                let cause = "this holder failed: see its error";
                let event =
                    dropped_event(address.ip, Some(address.prefix), Some(&self.wanted.dev), changed, false, cause);
                let _ = self.output.emit(event); // the failure itself is told next
            }
        }
        held
    }

    fn hold(&mut self, settings: Settings) -> Result<Answer, Error> {
        let waiter = Waiter::new()?;
        let mut holder = Holder::new(settings, self.taken.since);
        let mut trouble = Trouble::default();
        let lost = |e| NetError::kernel("cannot hear of changes to the link", e);
        // What was said while we waited for the address is old; what holds now is looked at instead.
        self.monitor.notifications().map_err(lost)?;
        let mut inputs = self.look_afresh()?;
        loop {
            inputs.push(Input::Tick);
            if let Some(ending) = self.turn(&mut holder, inputs, &mut trouble)? {
                return self.ended(ending);
            }
            self.tell_backlog(&mut trouble)?;
            inputs = self.wait(&waiter, &holder)?;
        }
    }

    /// Hands the inputs to the decider and does what it says.
    fn turn(
        &mut self,
        holder: &mut Holder,
        inputs: Vec<Input>,
        trouble: &mut Trouble,
    ) -> Result<Option<Ending>, Error> {
        let mut inputs = VecDeque::from(inputs);
        while let Some(input) = inputs.pop_front() {
            let now = Instant::now();
            for action in holder.step(input, now) {
                // A write may have held us up: what was decided that long ago no longer holds, nor what follows from it.
                if action == Action::Renew && Instant::now().since(now) * 4 > self.lease() {
                    inputs.push_front(Input::NotPut);
                    break;
                }
                match self.act(action, trouble)? {
                    Done::Well => {}
                    Done::Ended(ending) => return Ok(Some(ending)),
                    // What was to follow rested on it.
                    Done::Failed(input) => {
                        inputs.push_front(input);
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    fn lease(&self) -> Duration {
        self.wanted.lease_s.map_or(Duration::MAX, |s| Duration::from_secs(u64::from(s)))
    }

    fn wait(&mut self, waiter: &Waiter, holder: &Holder) -> Result<Vec<Input>, Error> {
        let mut fds = self.control.fds();
        fds.push((self.monitor.as_fd(), PollFlags::POLLIN));
        if let Some(frames) = &self.taken.frames {
            fds.push((frames.as_fd(), PollFlags::POLLIN));
        }
        let ready = waiter.wait(&fds, Some(holder.deadline()))?;
        // Lines on stdin come first: they were fed before the deadline that may have passed meanwhile.
        let mut inputs = self.control.inputs(&ready)?;
        inputs.extend(self.notifications()?);
        if let Some(frames) = &self.taken.frames {
            // Bounded, so that a flood cannot keep us from our renewals.
            for _ in 0..256 {
                match frames.hear() {
                    Ok(Heard::Claim(claim)) => inputs.push(Input::Heard(claim)),
                    Ok(Heard::Other) => {}
                    Ok(Heard::Silence) => break,
                    Err(e) => return Err(NetError::kernel("cannot listen on the link", e).into()),
                }
            }
        }
        Ok(inputs)
    }

    fn notifications(&mut self) -> Result<Vec<Input>, Error> {
        let Some(messages) =
            self.monitor.notifications().map_err(|e| NetError::kernel("cannot hear of changes to the link", e))?
        else {
            return self.look_afresh();
        };
        let index = self.taken.interface.index;
        let mut inputs = Vec::new();
        for message in messages {
            if address::removed(&message).is_some_and(|a| a.index == index && a.address == self.wanted.address) {
                inputs.push(Input::Removed);
            }
            match link::news(&message, index) {
                Some(LinkNews::Carrier(is)) => inputs.push(Input::Carrier(is)),
                Some(LinkNews::Gone) => inputs.push(Input::LinkGone),
                None => {}
            }
        }
        Ok(inputs)
    }

    /// The state itself, where its changes were missed.
    fn look_afresh(&mut self) -> Result<Vec<Input>, Error> {
        let index = self.taken.interface.index;
        let carrier = match link::by_index(self.netlink, index) {
            Ok(interface) => interface.carrier,
            Err(NetError::NoInterface(_)) => return Ok(vec![Input::LinkGone]),
            Err(e) => return Err(e.into()),
        };
        let mut inputs = vec![Input::Carrier(carrier)];
        let all = address::list(self.netlink, self.wanted.address.ip)?;
        if !all.iter().any(|a| a.index == index && a.address == self.wanted.address) {
            inputs.push(Input::Removed);
        }
        Ok(inputs)
    }

    fn act(&mut self, action: Action, trouble: &mut Trouble) -> Result<Done, Error> {
        let Taken { interface, frames, .. } = &self.taken;
        match action {
            Action::Renew => {
                let Wanted { address, lease_s, label, .. } = self.wanted;
                match address::put(self.netlink, interface, *address, *lease_s, label.as_deref()) {
                    Ok(()) => trouble.renewing = None,
                    Err(error) => {
                        let failure = Error::from(error).failure();
                        self.complain(failure, |t| &mut t.renewing, trouble)?;
                        return Ok(Done::Failed(Input::NotPut));
                    }
                }
            }
            Action::Ask(to) => {
                let asked = frames.as_ref().map_or(Ok(()), |f| f.ask(to));
                let failed = asked.is_err();
                self.link_result(asked, trouble)?;
                if failed {
                    return Ok(Done::Failed(Input::NotAsked));
                }
            }
            Action::Announce(why) => {
                let mac = interface.mac.unwrap_or(Mac::ZERO);
                let (ip, dev) = (self.wanted.address.ip, interface.name.clone());
                let announcement = Announcement { ip, dev: &dev, mac, forms: BOTH, to: To::Everybody };
                let sent = frames.as_ref().map_or(Ok(0), |f| announcement.send(f));
                match sent {
                    // A defence may go on for hours, once a second; the conflict itself was told.
                    Ok(sent) if sent > 0 && why != Why::Defence => {
                        self.tell(announcement.event(sent, false, why.cause()), trouble)?;
                    }
                    Ok(_) => {}
                    Err(e) => self.link_result(Err(e), trouble)?,
                }
            }
            Action::Remove => {
                trouble.removed = address::remove(self.netlink, interface, self.wanted.address)?;
            }
            Action::Say(news) => {
                let event = self.event(news, trouble.removed);
                self.tell(event, trouble)?;
            }
            Action::End(ending) => return Ok(Done::Ended(ending)),
        }
        Ok(Done::Well)
    }

    fn link_result(&mut self, result: std::io::Result<()>, trouble: &mut Trouble) -> Result<(), Error> {
        match result {
            Ok(()) => trouble.sending = None,
            Err(error) => {
                let failure =
                    Error::from(NetError::kernel(format!("cannot send on {}", self.wanted.dev), error)).failure();
                self.complain(failure, |t| &mut t.sending, trouble)?;
            }
        }
        Ok(())
    }

    /// An error that the holder lives with: told once, not at every try.
    fn complain(
        &mut self,
        failure: Failure,
        kind: impl Fn(&mut Trouble) -> &mut Option<String>,
        trouble: &mut Trouble,
    ) -> Result<(), Error> {
        if kind(trouble).as_deref() == Some(&failure.message) {
            return Ok(());
        }
        *kind(trouble) = Some(failure.message.clone());
        self.tell(error_event(&failure), trouble)
    }

    /// A full disk must not end a service: the holder goes on and says so on stderr. A reader that went away ends it.
    fn tell(&mut self, event: Event, trouble: &mut Trouble) -> Result<(), Error> {
        let told = self.output.emit(event);
        self.told(told, trouble)
    }

    fn tell_backlog(&mut self, trouble: &mut Trouble) -> Result<(), Error> {
        let told = self.output.flush_backlog();
        self.told(told, trouble)
    }

    fn told(&mut self, told: Result<(), OutputError>, trouble: &mut Trouble) -> Result<(), Error> {
        match told {
            Ok(()) => trouble.printing = false,
            Err(OutputError::Closed) => return Err(OutputError::Closed.into()),
            Err(error) => {
                if !trouble.printing {
                    eprint_line(&format!("vip-take: {error}; the address is still held"));
                }
                trouble.printing = true;
            }
        }
        Ok(())
    }

    fn ended(&self, ending: Ending) -> Result<Answer, Error> {
        match ending {
            Ending::Clean => Ok(Answer::Yes),
            Ending::Lost => Ok(Answer::No),
            Ending::Starved => Ok(Answer::CannotTell),
            Ending::Unread => Err(OutputError::Closed.into()),
            Ending::Gone => Err(NetError::NoInterface(self.wanted.dev.clone()).into()),
        }
    }

    fn event(&self, news: News, removed: bool) -> Event {
        let (ip, dev) = (self.wanted.address.ip, self.wanted.dev.as_str());
        let about = |event: Event| event.shown("address", Some(ip)).with("dev", dev);
        match news {
            News::Claim { mac, kind, confirmed, cause } => about(Event::new("claim", cause.clone()))
                .shown("mac", Some(mac))
                .shown("kind", Some(kind))
                .with("confirmed", confirmed)
                .with("cause", cause),
            News::Conflict { mac, is, cause } => {
                let (was, is) = if is { ("clear", "conflict") } else { ("conflict", "clear") };
                about(Event::new("conflict", format!("{ip}: {is}: {cause}")))
                    .shown("mac", Some(mac))
                    .with("was", was)
                    .with("is", is)
                    .with("cause", cause)
            }
            News::Carrier { is } => {
                let (was, is, cause) = if is {
                    ("down", "up", "the carrier is back")
                } else {
                    ("up", "down", "the carrier is lost: check the cable or the switch port")
                };
                Event::new("carrier", format!("{dev}: {cause}"))
                    .with("dev", dev)
                    .with("was", was)
                    .with("is", is)
                    .with("cause", cause)
            }
            News::Stalled { gap } => {
                let cause = "this process did not run for half a lease: it asks before it goes on";
                Event::new("stalled", cause).ms("gap_ms", gap).with("cause", cause)
            }
            News::Missing => {
                let cause = "somebody removed it, or its lifetime ran out; asking whether anybody has it now";
                about(Event::new("missing", format!("{ip} is gone from {dev}: {cause}"))).with("cause", cause)
            }
            News::Restored { changed } => {
                let cause = "nobody else answers for it";
                about(Event::new("restored", format!("{ip} is on {dev}: {cause}")))
                    .with("changed", changed)
                    .with("cause", cause)
            }
            News::Lost { macs, cause } => about(Event::new("lost", format!("lost {ip}: {cause}")))
                .with("macs", strings(&macs))
                .with("cause", cause),
            News::Dropped { cause } => {
                dropped_event(ip, Some(self.wanted.address.prefix), Some(dev), removed, false, &cause)
            }
        }
    }
}

/// The event of an address that was given up.
pub fn dropped_event(
    ip: std::net::IpAddr,
    prefix: Option<u8>,
    dev: Option<&str>,
    changed: bool,
    dry_run: bool,
    cause: &str,
) -> Event {
    let did = match (dry_run, changed) {
        (true, true) => "would drop",
        (false, true) => "dropped",
        (_, false) => "nothing to drop:",
    };
    let prefixed = prefix.map_or_else(|| ip.to_string(), |prefix| format!("{ip}/{prefix}"));
    Event::new("dropped", format!("{did} {prefixed} on {}: {cause}", dev.unwrap_or("this machine")))
        .shown("address", Some(ip))
        .with("prefix", prefix)
        .with("dev", dev)
        .with("changed", changed)
        .with("dry_run", dry_run)
        .with("cause", cause)
}

/// What is known to be wrong, so that it is told once, and what the last removal came to.
#[derive(Debug, Default)]
struct Trouble {
    renewing: Option<String>,
    sending: Option<String>,
    printing: bool,
    removed: bool,
}
