//! lab-client: the client that measures an outage, the small servers that it measures against, and the story of both.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use takeover::cli::duration;

mod http;
mod meter;
mod serve;
mod timeline;
mod udp;

/// Measure how long a service is gone, from a client's point of view; and be such a service.
#[derive(Parser)]
#[command(name = "lab-client", version)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Start one short HTTP/1.0 GET each interval, a connection for each; served is a complete status line saying 200
    Http {
        /// http://ADDRESS[:PORT][/PATH]; a name is looked up once
        url: String,
        #[command(flatten)]
        pace: Pace,
        /// Give a request up after this time
        #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration::parse_positive)]
        give_up: Duration,
        /// Start none while this many are under way
        #[arg(long, value_name = "N", default_value_t = 400)]
        in_flight: usize,
    },
    /// Send one datagram each interval; served is its echo
    Udp {
        /// Where `lab-client echo` listens
        to: SocketAddr,
        #[command(flatten)]
        pace: Pace,
    },
    /// Echo every datagram, from the address that it was sent to
    Echo {
        /// Where to listen; 0.0.0.0 serves addresses that come and go
        at: SocketAddr,
    },
    /// Answer HTTP, well or badly, many connections at once
    Serve {
        /// Where to listen
        at: SocketAddr,
        #[command(flatten)]
        manner: Manner,
    },
    /// Tell what happened from what standby-watch, this client (with --follow) and scripts/demo wrote down; ends with 1
    /// when a switch did not happen
    Timeline {
        /// JSON Lines, in any order
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How often and how long to ask, and what to print.
#[derive(Args)]
pub struct Pace {
    /// The interval between two requests
    #[arg(long, value_name = "DURATION", default_value = "1ms", value_parser = duration::parse_positive)]
    pub every: Duration,
    /// End after this time; without it, at SIGTERM or SIGINT
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse_positive)]
    pub lasts: Option<Duration>,
    /// Print a line as soon as nothing has been served for 50 ms, and one when something is again
    #[arg(long)]
    pub follow: bool,
}

/// The ways in which `serve` answers.
#[derive(Args)]
#[group(multiple = true)]
pub struct Manner {
    /// Answer with this status
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(100..=599))]
    pub status: u16,
    /// The body
    #[arg(long, default_value = "served by the lab\n")]
    pub body: String,
    /// Send the answer at this pace
    #[arg(long, value_name = "BYTES_PER_S", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["silent", "reset"])]
    pub slow: Option<u32>,
    /// Accept and never answer
    #[arg(long, conflicts_with_all = ["reset", "garbage"])]
    pub silent: bool,
    /// Accept and reset
    #[arg(long, conflicts_with = "garbage")]
    pub reset: bool,
    /// Answer with something that is not HTTP
    #[arg(long)]
    pub garbage: bool,
}

fn main() -> ExitCode {
    let happened = match Arguments::parse().command {
        What::Http { url, pace, give_up, in_flight } => http::run(&url, &pace, give_up, in_flight).map(|()| true),
        What::Udp { to, pace } => udp::ask(to, &pace).map(|()| true),
        What::Echo { at } => udp::echo(at).map(|()| true),
        What::Serve { at, manner } => serve::run(at, &manner).map(|()| true),
        What::Timeline { files } => timeline::run(&files),
    };
    match happened {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("lab-client: {e:#}");
            ExitCode::from(70)
        }
    }
}
