//! `vip-take`: take a service address, safely, and announce it; hold it while the process lives.

use std::time::Duration;

use clap::Parser;

use super::manual::Manual;
use crate::cli::{Failure, OutputArgs, Tool, duration};
use crate::net::address::ServiceAddress;
use crate::net::mac::Mac;
use crate::vip::acquire::{Wanted, check_label};
use crate::vip::holder::{OnConflict, Settings};
use crate::vip::take::IfHeld;

/// Take a service address if nobody else has it, and announce it
#[derive(Parser, Clone, Debug)]
#[command(name = "vip-take", version)]
pub struct VipTake {
    /// The address with the prefix length of its subnet
    #[arg(value_name = "ADDR/PREFIX")]
    pub address: ServiceAddress,
    /// The network interface that is to have it
    #[arg(long, value_name = "IF")]
    pub dev: String,
    /// What to do where somebody else answers for it
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    pub if_held: IfHeld,
    /// Override this holder alone, refuse any other
    #[arg(long, value_name = "MAC")]
    pub steal_from: Option<Mac>,
    /// How long to ask before it is taken, or off
    #[arg(long, value_name = "DURATION|off", default_value = "60ms", value_parser = window)]
    pub probe: Window,
    /// With --if-held wait: ask this often
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration::parse_positive)]
    pub wait_every: Duration,
    /// A label for the address, as ifconfig shows it (IPv4)
    #[arg(long, value_name = "IF:NAME")]
    pub label: Option<String>,
    /// Let the kernel remove it after this many whole seconds, unless renewed [default with --hold: 3s]
    #[arg(long, value_name = "DURATION", value_parser = lease)]
    pub lease: Option<u32>,
    /// Announcements after it was taken, the first one at once
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub announce: u32,
    /// Between those
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse_positive)]
    pub announce_every: Duration,
    /// Say what would be done, and do nothing but ask
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub hold: HoldArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// The flags of a holder.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Holding")]
pub struct HoldArgs {
    /// Stay in the foreground, renew the lease, and drop the address at the end
    #[arg(long)]
    pub hold: bool,
    /// Announce it again this often, or never
    #[arg(long, value_name = "DURATION|never", default_value = "60s", value_parser = refresh, requires = "hold")]
    pub refresh: Window,
    /// What to do when another machine has the address too
    #[arg(long, value_name = "WHAT", default_value = "defend", requires = "hold")]
    pub on_conflict: OnConflict,
    /// Ask this often whether another machine has the address too
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, requires = "hold")]
    pub probe_every: Option<Duration>,
    /// Drop the address when stdin ends
    #[arg(long, requires = "hold")]
    pub until_eof: bool,
    /// Drop the address when no line has come on stdin for this long, or stdin ends
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive, requires = "hold")]
    pub feed: Option<Duration>,
}

/// A duration that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(pub Option<Duration>);

fn window(text: &str) -> Result<Window, duration::DurationError> {
    match text {
        "off" => Ok(Window(None)),
        _ => duration::parse_positive(text).map(|d| Window(Some(d))),
    }
}

fn refresh(text: &str) -> Result<Window, duration::DurationError> {
    window(if text == "never" { "off" } else { text })
}

/// The kernel counts lifetimes in whole seconds.
fn lease(text: &str) -> Result<u32, String> {
    let d = duration::parse_positive(text).map_err(|e| e.to_string())?;
    match u32::try_from(d.as_secs()) {
        Ok(seconds) if d.subsec_nanos() == 0 && seconds < u32::MAX => Ok(seconds),
        _ => Err("the kernel counts a lease in whole seconds: write 1s, 2s, 3s…".to_owned()),
    }
}

/// The lease of a holder that was not told another.
const HOLDERS_LEASE: u32 = 3;

impl VipTake {
    /// What is wanted, or what is wrong with it.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        if let Some(label) = &self.label {
            check_label(label, &self.dev, self.address)?;
        }
        if self.hold.hold && self.dry_run {
            return Err(Failure::usage("--dry-run holds nothing", "leave out --hold"));
        }
        if self.probe.0.is_none() && (self.if_held != IfHeld::Refuse || self.steal_from.is_some()) {
            return Err(Failure::usage(
                "with --probe off nobody is asked, so --if-held and --steal-from mean nothing",
                "leave out one or the other",
            ));
        }
        Ok(Wanted {
            address: self.address,
            dev: self.dev.clone(),
            label: self.label.clone(),
            lease_s: self.lease.or(self.hold.hold.then_some(HOLDERS_LEASE)),
            probe: self.probe.0,
            if_held: self.if_held,
            steal_from: self.steal_from,
            wait_every: self.wait_every,
            dry_run: self.dry_run,
        })
    }

    /// How to hold it; all arguments come from the taking.
    pub fn settings(&self, asker: Mac, overridden: Vec<Mac>, own: Vec<Mac>) -> Settings {
        Settings {
            lease: Duration::from_secs(u64::from(self.lease.unwrap_or(HOLDERS_LEASE))),
            probe: self.probe.0,
            announce: self.announce,
            announce_every: self.announce_every,
            refresh: self.hold.refresh.0,
            on_conflict: self.hold.on_conflict,
            overridden,
            asker,
            own,
            feed: self.hold.feed,
            probe_every: self.hold.probe_every,
            answers_are_announced: self.address.ip.is_ipv6(),
        }
    }
}

impl Tool for VipTake {
    const NAME: &'static str = "vip-take";
    fn output(&self) -> &OutputArgs {
        &self.output
    }
}

/// Its manual page.
pub const MANUAL: Manual = Manual {
    details: &[
        "Asks on the link whether anybody else has the address (RFC 5227; duplicate address detection for IPv6), and \
         refuses with status 1, naming the hardware address, if so. Otherwise adds it over netlink and announces it at \
         once, as a gratuitous ARP request and reply (an unsolicited neighbour advertisement for IPv6). A child repeats \
         the announcement and ends with its repeats or with the address; the command itself returns at once. Two \
         machines that take one address at the same moment see each other's questions: the one with the lower hardware \
         address goes on, the other one is refused (with IPv6, where a question does not say whose it is, both are). With \
         --if-held wait a link without carrier is waited for as well.",
        "Done twice it is done once: the second time says so with changed false, and renews the lease. An address that \
         stands on the machine for good is not given a lease, and so never dropped with a holder: status 1. The interface's \
         promote_secondaries is set first, or the command refuses: without it an address that expires takes the others \
         of its subnet along. An IPv6 address is added without the kernel's own duplicate address detection and as \
         deprecated, so that no outgoing connection chooses it as its source.",
        "--lease without --hold lets the kernel remove the address after that many seconds; run the command again to \
         renew it, from cron for example. With --hold the process renews the lease four times as often as needed: when \
         it is killed, frozen, or the machine hangs, the kernel's own clock removes the address, at most 1.25 seconds \
         late. It drops the address itself on SIGTERM, SIGINT and SIGHUP, when the reader of its stdout goes away, \
         and with --until-eof or --feed when stdin ends or falls silent.",
        "A holder that finds its address deleted, or that did not run for half a lease, asks before it puts it back; if \
         anybody else answers it prints lost and ends with status 1. Another machine that claims the address is asked \
         directly; only if it answers is it a conflict. With --on-conflict defend the address is then announced again at \
         most once a second until the other one falls silent; with yield it is dropped. Holders that were overridden with \
         --if-held steal or --steal-from never make it yield.",
        "A stdout that is closed from the start counts as /dev/null. If the first event cannot be printed (a full disk, \
         a reader that is gone), nothing stays changed.",
    ],
    statuses: &[
        (0, "the address is on the interface; a holder ended as asked"),
        (1, "somebody else has it, or a holder lost it"),
        (69, "no such interface, it is down or has no carrier"),
        (75, "a holder's stdin fell silent, or nobody reads its stdout"),
    ],
    examples: &[
        ("vip-take 192.0.2.10/24 --dev eth0", "Take it and announce it; refuse if somebody has it."),
        (
            "vip-take 192.0.2.10/24 --dev eth0 --hold --if-held wait",
            "The primary's own line: hold it as soon as it is free.",
        ),
        ("vip-take 192.0.2.10/24 --dev eth0 --lease 150s", "From cron each minute: gone 150 s after the last run."),
        (
            "vip-take 192.0.2.10/24 --dev eth0 --steal-from 02:00:00:00:00:01",
            "Override the old holder, and nobody else.",
        ),
    ],
    see_also: &["vip-who(8)", "vip-drop(8)", "garp(8)", "standby-watch(8)", "ha-events(7)", "takeover(7)"],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Wanted, String> {
        let line = format!("vip-take {words}");
        let args = VipTake::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())?;
        args.wanted().map_err(|e| e.message)
    }

    #[test]
    fn leases() {
        let lease = |words: &str| parse(&format!("10.0.0.3/24 --dev eth0 {words}")).map(|w| w.lease_s);
        assert_eq!(lease(""), Ok(None));
        assert_eq!(lease("--hold"), Ok(Some(3)));
        assert_eq!(lease("--lease 2m"), Ok(Some(120)));
        assert!(lease("--lease 1.5s").is_err());
        assert!(lease("--lease 0").is_err());
        assert!(lease("--lease 200ms").is_err());
    }

    #[test]
    fn what_does_not_go_together() {
        for words in [
            "10.0.0.3 --dev eth0",
            "10.0.0.3/24",
            "10.0.0.3/24 --dev eth0 --feed 1s",
            "10.0.0.3/24 --dev eth0 --hold --dry-run",
            "10.0.0.3/24 --dev eth0 --probe off --if-held steal",
            "10.0.0.3/24 --dev eth0 --label eth1:vip",
            "10.0.0.3/24 --dev eth0 --label eth0:a-long-long-one",
            "2001:db8::1/64 --dev eth0 --label eth0:vip",
            "fe80::1%eth0/64 --dev eth0",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
        assert!(parse("--label eth0:vip --dev eth0 10.0.0.3/24 --hold --feed 1s").is_ok());
    }
}
