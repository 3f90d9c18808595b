//! vip-drop: remove a service address, and nothing else.

use std::process::ExitCode;

use takeover::args::vip_drop::VipDrop;
use takeover::cli::exit::Answer;
use takeover::cli::output::Output;
use takeover::cli::{self, Failure};
use takeover::net::address::{self, Assigned};
use takeover::net::link;
use takeover::net::netlink::Netlink;
use takeover::vip::hold::dropped_event;

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: VipDrop, output: &mut Output) -> anyhow::Result<Answer> {
    let (ip, prefix) = args.address;
    let mut netlink = Netlink::open()?;
    let only = args.dev.as_deref().map(|dev| link::by_name(&mut netlink, dev)).transpose()?;
    let all = address::list(&mut netlink, ip)?;
    let here = |a: &&Assigned| {
        a.address.ip == ip
            && prefix.is_none_or(|p| a.address.prefix == p)
            && only.as_ref().is_none_or(|i| i.index == a.index)
    };
    let found: Vec<&Assigned> = all.iter().filter(here).collect();
    let Some(target) = found.first() else {
        let same_place = |a: &&Assigned| a.address.ip == ip && only.as_ref().is_none_or(|i| i.index == a.index);
        if let Some(other) = all.iter().find(same_place) {
            let message = format!("{ip} is here as {}, not with the prefix length that was given", other.address);
            return Err(Failure::usage(message, format!("vip-drop {}", other.address)).into());
        }
        let event = dropped_event(ip, prefix, args.dev.as_deref(), false, args.dry_run, "it is not there");
        output.emit(event)?;
        return Ok(Answer::Yes);
    };
    let interface = link::by_index(&mut netlink, target.index)?;
    if found.len() > 1 {
        let mut places = Vec::new();
        for a in &found {
            places.push(format!("{} --dev {}", a.address, link::by_index(&mut netlink, a.index)?.name));
        }
        return Err(Failure::usage(
            format!("{ip} is on this machine {} times", found.len()),
            format!("say which: vip-drop {}", places.join(", or vip-drop ")),
        )
        .into());
    }
    let takes_along = |a: &Assigned| {
        a.index == target.index && a.address.ip != ip && address::share_subnet(a.address, target.address)
    };
    let event = |dry_run| {
        dropped_event(
            ip,
            Some(target.address.prefix),
            Some(&interface.name),
            true,
            dry_run,
            "removed by hand or by a script",
        )
    };
    if args.dry_run {
        output.emit(event(true))?;
        return Ok(Answer::Yes);
    }
    if !target.secondary && all.iter().any(takes_along) {
        address::promote_secondaries(&interface)?;
    }
    address::remove(&mut netlink, &interface, target.address)?;
    output.emit(event(false))?;
    Ok(Answer::Yes)
}
