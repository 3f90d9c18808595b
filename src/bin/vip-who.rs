//! vip-who: ask on the link who answers for an address.

use std::process::ExitCode;

use takeover::args::vip_who::VipWho;
use takeover::cli::event::Event;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, child};
use takeover::clock::Instant;
use takeover::net::address;
use takeover::net::frames::Frames;
use takeover::net::link;
use takeover::net::netlink::Netlink;
use takeover::vip::acquire::strings;
use takeover::vip::ask::{self, Question};
use takeover::vip::take::list;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: VipWho, output: &mut Output) -> anyhow::Result<Answer> {
    let started = Instant::now();
    let mut netlink = Netlink::open()?;
    let interface = link::by_name(&mut netlink, &args.dev)?;
    let asker = interface.speaking(args.address)?;
    let mine = address::list(&mut netlink, args.address)?.iter().any(|a| a.address.ip == args.address);
    let own = ask::own_macs(&mut netlink)?;
    let frames = Frames::listener(&interface, args.address)?;
    let question = Question { asker, own: &own, window: args.timeout, first_suffices: args.first };
    let (found, _) = ask::ask(&mut netlink, &interface, &frames, question)?;
    child::close(frames.into_fds());

    let held = !found.holders.is_empty();
    let cause = match (found.holders.as_slice(), mine) {
        ([], false) => "nobody answers".to_owned(),
        ([], true) => "it is this machine's own".to_owned(),
        ([one], false) => format!("{one} answers"),
        ([one], true) => format!("it is this machine's own, and {one} answers too: an address conflict"),
        (several, _) => format!("{} answer: an address conflict", list(several)),
    };
    let event = Event::new("who", format!("{} on {}: {cause}", args.address, args.dev))
        .shown("address", Some(args.address))
        .with("dev", args.dev)
        .with("held", held)
        .with("mine", mine)
        .with("macs", strings(&found.holders))
        .with("sent", found.sent)
        .ms("total_ms", Instant::now().since(started))
        .with("cause", cause);
    output.emit(event)?;
    Ok(if held || mine { Answer::Yes } else { Answer::No })
}
