//! vip-take: take a service address, safely, and announce it.

use std::process::ExitCode;

use takeover::args::vip_take::VipTake;
use takeover::cli;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::net::NetError;
use takeover::net::frames::To;
use takeover::net::mac::Mac;
use takeover::net::netlink::Netlink;
use takeover::vip::acquire::{Outcome, acquire};
use takeover::vip::announce::{Announcement, BOTH, repeat_in_background};
use takeover::vip::control::Control;
use takeover::vip::hold::Hold;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: VipTake, output: &mut Output) -> anyhow::Result<Answer> {
    let wanted = args.wanted()?;
    let mut netlink = Netlink::open()?;
    let holding = args.hold.hold;
    let leashed = args.hold.until_eof || args.hold.feed.is_some();
    let control = if holding { Some(Control::take(leashed)?) } else { None };
    let monitor = if holding { Some(Netlink::monitor()?) } else { None };
    if holding {
        output.make_stream();
    }

    let taken = match acquire(&mut netlink, &wanted, control.as_ref(), output)? {
        Outcome::Taken(taken) => taken,
        Outcome::Held => return Ok(Answer::No),
        Outcome::Ended => return Ok(Answer::Yes),
    };
    let mac = taken.interface.mac.unwrap_or(Mac::ZERO);
    let announcement = Announcement { ip: wanted.address.ip, dev: &args.dev, mac, forms: BOTH, to: To::Everybody };
    if let Some(frames) = taken.frames.as_ref().filter(|_| args.announce > 0 && !wanted.dry_run) {
        // The address is taken, and that was told: what fails now is told, and repeated, but is no failure to take it.
        let event = match announcement.send(frames) {
            Ok(sent) => announcement.event(sent, false, if taken.changed { "taken" } else { "renewed" }),
            Err(error) => {
                let what = format!("{} is taken, but was not announced on {}", wanted.address.ip, args.dev);
                cli::error_event(&cli::Error::from(NetError::Kernel { what, error }).failure())
            }
        };
        if let Err(error) = output.emit(event) {
            cli::eprint_line(&format!("vip-take: {error}; {} is taken all the same", wanted.address.ip));
        }
    }
    match (control, monitor) {
        (Some(control), Some(monitor)) => {
            let settings = args.settings(mac, taken.overridden.clone(), taken.own.clone());
            let hold = Hold { netlink: &mut netlink, monitor, wanted: &wanted, taken, control: &control, output };
            Ok(hold.run(settings)?)
        }
        _ => {
            // What was here already was announced when it came.
            let times = if taken.changed && !wanted.dry_run { args.announce.saturating_sub(1) } else { 0 };
            if let Some(frames) = taken.frames {
                repeat_in_background(frames, &taken.interface, wanted.address, mac, times, args.announce_every);
            }
            Ok(Answer::Yes)
        }
    }
}
