//! garp: announce an address.

use std::process::ExitCode;
use std::thread::sleep;

use takeover::args::garp::Garp;
use takeover::cli::exit::{Answer, Fault};
use takeover::cli::output::Output;
use takeover::cli::{self, Failure, child};
use takeover::net::address;
use takeover::net::frames::Frames;
use takeover::net::link;
use takeover::net::netlink::Netlink;
use takeover::vip::announce::Announcement;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: Garp, output: &mut Output) -> anyhow::Result<Answer> {
    let (to, forms) = (args.to()?, args.forms()?);
    let mut netlink = Netlink::open()?;
    let interface = link::by_name(&mut netlink, &args.dev)?;
    let own = interface.speaking(args.address)?;
    if args.mac.is_none() {
        let here = |a: &address::Assigned| a.index == interface.index && a.address.ip == args.address;
        if !address::list(&mut netlink, args.address)?.iter().any(here) {
            return Err(not_ours(&args).into());
        }
    }
    let mac = args.mac.unwrap_or(own);
    let announcement = Announcement { ip: args.address, dev: &args.dev, mac, forms, to };
    let cause = if args.mac.is_some() { "announced for another machine" } else { "announced by hand or by a script" };
    if args.dry_run {
        output.emit(announcement.event(0, true, cause))?;
        return Ok(Answer::Yes);
    }
    let frames = Frames::sender(&interface, args.address)?;
    for n in 0..args.count {
        if n > 0 {
            sleep(args.every);
        }
        let sent = announcement
            .send(&frames)
            .map_err(|error| takeover::net::NetError::Kernel { what: format!("cannot send on {}", args.dev), error })?;
        output.emit(announcement.event(sent, false, cause))?;
    }
    child::close(frames.into_fds());
    Ok(Answer::Yes)
}

fn not_ours(args: &Garp) -> Failure {
    Failure {
        fault: Fault::Unavailable,
        code: "not-ours",
        message: format!("{} is not on {}: announcing it would lead clients astray", args.address, args.dev),
        hint: Some(format!(
            "take it first: vip-take {}/PREFIX --dev {}; or name the machine that has it with --mac",
            args.address, args.dev
        )),
    }
}
