//! lab-bench: measures our commands beside their peers in the same run, and prints Markdown.
//!
//! What it measures, each in a file of its own: one call ([`oneshot`]), a client's outage ([`failover`]), what a killed
//! holder leaves ([`lease`]), the CPU of watching ([`cpu`]), heartbeats ([`heartbeat`]) and a flood of garbage among them
//! ([`flood`]), resources ([`resource`]), whole clusters ([`cluster`]), thousands of targets ([`scale`]). Parts of it run
//! inside a host of the lab, as this same program.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use takeover::cli::duration;
use takeover_lab::{Child, Host, Lab};

mod cluster;
mod cpu;
mod failover;
mod flood;
mod heartbeat;
mod lease;
mod oneshot;
mod process;
mod resource;
mod scale;
mod stats;

use oneshot::{Place, Runs};
use stats::Row;

/// Every command, and those that may carry libcurl.
const COMMANDS: [&str; 20] = [
    "fs-claim",
    "fs-release",
    "garp",
    "ha-conf",
    "ha-decide",
    "ha-event",
    "ha-status",
    "hb-listen",
    "hb-send",
    "lvs-sync",
    "mon-decide",
    "probe-exec",
    "probe-ftp",
    "probe-http",
    "probe-ping",
    "probe-tcp",
    "run-resource",
    "vip-drop",
    "vip-take",
    "vip-who",
];
const ON_LIBCURL: [&str; 2] = ["probe-ftp", "probe-http"];

/// Measure our commands beside their peers; print Markdown tables. Status 0: every bound is met, 1: one is missed, 70:
/// something could not be measured.
#[derive(Parser)]
#[command(name = "lab-bench", version)]
struct Arguments {
    /// The folder with the commands to measure
    #[arg(long, value_name = "DIR", global = true)]
    bin_dir: Option<PathBuf>,
    /// Runs of a call that takes milliseconds
    #[arg(long, value_name = "N", default_value_t = 50, global = true)]
    runs: usize,
    /// Faults of each kind with ours
    #[arg(long, value_name = "N", default_value_t = 10, global = true)]
    faults: usize,
    /// Faults of each kind with the peers
    #[arg(long, value_name = "N", default_value_t = 3, global = true)]
    peer_faults: usize,
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// The cost of one call of each command
    Oneshot,
    /// A client's outage when the primary fails and comes back; what a killed or frozen holder leaves
    Failover,
    /// The CPU of a watcher
    Cpu,
    /// Heartbeats beside the real daemon; as root
    Heartbeat,
    /// A flood of garbage at a listener while a peer dies
    Flood,
    /// Resources through run-resource beside OCF agents; as root
    Resource,
    /// Whole clusters of two nodes beside the real heartbeat; as root
    Cluster,
    /// Thousands of targets in one process
    Scale,
    /// A part of `cluster`, inside a host
    #[command(hide = true)]
    AwaitAddress { ip: IpAddr },
    /// A part of `resource`, inside a host
    #[command(hide = true)]
    ResourceInside,
    /// A part of `scale`, inside a host
    #[command(hide = true)]
    ScaleInside,
    /// A part of `oneshot`, inside a host
    #[command(hide = true)]
    OneshotInside { url: String, held: String, free: String, own: String },
    /// A part of `failover`, inside a host
    #[command(hide = true)]
    LeaseInside,
    /// A part of `cpu`, inside a host
    #[command(hide = true)]
    Tree {
        #[arg(long = "for", value_parser = duration::parse_positive)]
        lasts: Duration,
        #[arg(last = true)]
        words: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("lab-bench: {e:#}");
            ExitCode::from(70)
        }
    }
}

/// Whether every bound is met.
fn run(args: &Arguments) -> anyhow::Result<bool> {
    let bin = match &args.bin_dir {
        Some(dir) => dir.canonicalize().with_context(|| format!("no folder {}", dir.display()))?,
        None => takeover_lab::tool("lab-client").parent().map(Path::to_owned).unwrap_or_default(),
    };
    let mut met = true;
    let mut row = |row: Row| {
        met &= row.met() != Some(false);
        println!("{row}");
    };
    match &args.part {
        Part::Oneshot => {
            println!("One call, milliseconds and MB of 2^20 bytes\n\n{}", stats::HEAD);
            met = oneshot(args, &bin)?;
        }
        Part::Failover => {
            println!("Failover\n\n{}", stats::HEAD);
            failover::measure(&bin, args.faults, args.peer_faults, &mut row)?;
            let lab = Lab::up(&[("a", "10.9.0.1/24")]);
            met &= inside(lab.host("a"), args, &bin, &["lease-inside"])?;
        }
        Part::Cpu => {
            println!("Watching\n\n{}", stats::HEAD);
            cpu::measure(&bin, args.peer_faults, &mut row)?;
        }
        Part::Heartbeat => {
            println!("Heartbeats\n\n{}", stats::HEAD);
            heartbeat::measure(&bin, args.faults, &mut row)?;
            flood::measure(&bin, args.peer_faults, &mut row)?;
        }
        Part::Flood => {
            println!("A flood\n\n{}", stats::HEAD);
            flood::measure(&bin, args.peer_faults, &mut row)?;
        }
        Part::Resource => {
            println!("Resources\n\n{}", stats::HEAD);
            let lab = Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
            met = inside(lab.host("a"), args, &bin, &["resource-inside"])?;
        }
        Part::Cluster => {
            println!("Clusters\n\n{}", stats::HEAD);
            cluster::measure(&bin, args.faults, args.peer_faults, &mut row)?;
        }
        Part::Scale => {
            println!("Thousands of targets\n\n{}", stats::HEAD);
            let lab = Lab::up(&[("a", "10.9.0.1/24")]);
            met = inside(lab.host("a"), args, &bin, &["scale-inside"])?;
        }
        Part::AwaitAddress { ip } => cluster::await_address(*ip)?,
        Part::ScaleInside => scale::measure(&bin, args.peer_faults, &mut row)?,
        Part::ResourceInside => resource::measure(&bin, args.runs, &mut row)?,
        Part::OneshotInside { url, held, free, own } => {
            let place = Place { bin, url: url.clone(), held: held.clone(), free: free.clone(), own: own.clone() };
            let runs = Runs { quick: args.runs, slow: args.peer_faults, memory: args.faults };
            oneshot::measure(&place, runs, &mut row)?;
        }
        Part::LeaseInside => lease::measure(&bin, args.faults.div_ceil(2), &mut row)?,
        Part::Tree { lasts, words } => cpu::tree(*lasts, words)?,
    }
    Ok(met)
}

fn oneshot(args: &Arguments, bin: &Path) -> anyhow::Result<bool> {
    let lab = Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")]);
    let mut server = lab.host("b").command(bin.join("lab-client"));
    server.args(["serve", "0.0.0.0:80"]);
    let mut server = Child::spawn(server);
    server.next(Duration::from_secs(10));
    let words = ["oneshot-inside", "http://10.9.0.2/", "10.9.0.2", "10.9.0.50", "10.9.0.1"];
    let mut met = inside(lab.host("a"), args, bin, &words)?;
    let with = oneshot::with_libcurl(bin, &COMMANDS)?;
    let alone = with == ON_LIBCURL;
    met &= alone;
    println!(
        "\nCommands with libcurl in them: {}{}.",
        with.join(", "),
        if alone { ", as it should be" } else { ": **too many**" }
    );
    Ok(met)
}

/// Runs a part of ours in a host; its rows go where ours go. Whether its bounds are met.
fn inside(host: Host, args: &Arguments, bin: &Path, words: &[&str]) -> anyhow::Result<bool> {
    let us = std::env::current_exe().context("where is this program?")?;
    let mut command = host.command(us);
    command.arg("--bin-dir").arg(bin).arg("--runs").arg(args.runs.to_string());
    command.arg("--faults").arg(args.faults.to_string()).arg("--peer-faults").arg(args.peer_faults.to_string());
    match command.args(words).stdin(Stdio::null()).status().context("lab run")?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("{} could not be measured", words[0]),
    }
}
