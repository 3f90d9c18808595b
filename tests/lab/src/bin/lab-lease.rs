//! Holders of a lease that are stopped, continued and killed at random, and the judgement whether two ever believed at
//! once.
//!
//! `lab-lease hold` is one holder: it acquires, keeps for a while, gives up, again and again, and writes down what it
//! believes. `lab-lease run` starts several, harms them, reads what they wrote and prints the figures; 1 when two
//! overlap.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser};
use nix::poll::PollFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use takeover::cli::duration;
use takeover::cli::wait::{Signals, Waiter};
use takeover::clock::Instant;
use takeover::storage::lease::{self, Acquired, Keeper, News, Terms};

/// Tries a lease with processes that are stopped and killed.
#[derive(Parser)]
enum Cli {
    /// One holder
    Hold(Hold),
    /// Several, harmed at random
    Run(Run),
    /// What a log says
    Judge {
        /// The duration of the lease
        #[arg(long, value_parser = duration::parse_positive)]
        lease: Duration,
        /// The log
        #[arg(long)]
        log: PathBuf,
    },
}

#[derive(Args)]
struct Hold {
    /// File or block device of the lease
    device: PathBuf,
    /// Name of this node
    #[arg(long)]
    node: String,
    /// Its duration
    #[arg(long, value_parser = duration::parse_positive)]
    lease: Duration,
    /// Where beliefs are written down, by appending
    #[arg(long)]
    log: PathBuf,
    /// Of the times for which it keeps the lease
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Reset the machine when this process does not renew
    #[arg(long)]
    watchdog: Option<PathBuf>,
    /// Keep it until a signal comes
    #[arg(long)]
    forever: bool,
}

#[derive(Args)]
struct Run {
    /// File or block device of the lease
    device: PathBuf,
    /// Holders
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Its duration
    #[arg(long, default_value = "1s", value_parser = duration::parse_positive)]
    lease: Duration,
    /// How long to harm them
    #[arg(long, default_value = "30s", value_parser = duration::parse_positive)]
    time: Duration,
    /// Of everything that happens
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where beliefs are written down; it must not exist
    #[arg(long)]
    log: PathBuf,
}

fn main() -> Result<ExitCode> {
    match Cli::parse() {
        Cli::Hold(hold) => hold.run().map(|()| ExitCode::SUCCESS),
        Cli::Run(run) => run.run(),
        Cli::Judge { lease, log } => verdict(&log, lease, serde_json::Map::new()),
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n.max(1)
    }
}

fn us(at: Instant) -> u128 {
    at.since_boot().as_micros()
}

/// The log of one holder. `from` and `until` in microseconds since boot.
struct Log {
    file: File,
    node: String,
}

impl Log {
    fn belief(&mut self, keeper: &Keeper, from: Instant) -> Result<()> {
        self.line(&format!("belief {} {} {}", keeper.generation(), us(from), us(keeper.held_until())))
    }

    fn line(&mut self, words: &str) -> Result<()> {
        self.file.write_all(format!("{} {words}\n", self.node).as_bytes()).context("cannot write the log")
    }
}

impl Hold {
    fn run(&self) -> Result<()> {
        let signals = Signals::take()?;
        let file = OpenOptions::new().append(true).create(true).open(&self.log)?;
        let mut log = Log { file, node: self.node.clone() };
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let terms =
            Terms { watchdog: self.watchdog.clone(), ..Terms::new(&self.device, self.node.as_str(), self.lease) };
        loop {
            match lease::acquire(&terms, self.lease * 10, Some(signals.as_fd())) {
                Ok(Acquired::Held(keeper)) => {
                    let keep = self.lease.mul_f64(0.2 + random.below(40) as f64 / 10.0);
                    let keep = (!self.forever).then_some(keep);
                    if !keep_it(keeper, &signals, keep, &mut log)? {
                        return Ok(());
                    }
                }
                Ok(Acquired::Refused(_)) => log.line("refused")?,
                Ok(Acquired::Interrupted) => return Ok(()),
                Err(error) => log.line(&format!("error {error}"))?,
            }
        }
    }
}

/// Keeps it for a while and gives it up, or loses it; `false` when a signal came.
fn keep_it(mut keeper: Box<Keeper>, signals: &Signals, keep: Option<Duration>, log: &mut Log) -> Result<bool> {
    let begin = Instant::now();
    let generation = keeper.generation();
    let waiter = Waiter::new()?;
    log.belief(&keeper, begin)?;
    loop {
        match keeper.turn() {
            Some(News::Renewed { .. }) => log.belief(&keeper, begin)?,
            Some(News::Trouble { cause }) => log.line(&format!("trouble {cause}"))?,
            Some(News::Lost { cause }) => {
                log.line(&format!("lost {generation} {} {cause}", us(Instant::now())))?;
                keeper.stand_down();
                return Ok(true);
            }
            None => {
                let now = Instant::now();
                let over = keep.map(|keep| begin + keep);
                let asked = signals.arrived().is_some();
                if asked || over.is_some_and(|over| over <= now) {
                    // From here on it does not believe.
                    log.line(&format!("released {generation} {}", us(now)))?;
                    if let Err(error) = keeper.release() {
                        log.line(&format!("trouble {error}"))?;
                    }
                    return Ok(!asked);
                }
                let until = over.map_or(keeper.deadline(), |over| over.min(keeper.deadline()));
                let fds = [(keeper.as_fd(), PollFlags::POLLIN), (signals.as_fd(), PollFlags::POLLIN)];
                waiter.wait(&fds, Some(until))?;
            }
        }
    }
}

/// What one holder believed: from a moment until another.
#[derive(Clone, Debug)]
struct Belief {
    node: String,
    generation: u64,
    from: u128,
    until: u128,
    /// The end of the lease, unless it was given up.
    expires: u128,
}

impl Run {
    fn run(&self) -> Result<ExitCode> {
        if self.log.exists() {
            bail!("{} is there already", self.log.display());
        }
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut harmed = [0u64; 4];
        let mut holders: Vec<Option<Child>> = (0..self.nodes).map(|_| None).collect();
        let end = Instant::now() + self.time;
        let mut lives = 0;
        let result = (|| -> Result<()> {
            while Instant::now() < end {
                for (n, slot) in holders.iter_mut().enumerate() {
                    if slot.is_none() {
                        lives += 1;
                        *slot = Some(self.start(n, lives)?);
                    }
                }
                let pause = |random: &mut Random, most: f64| {
                    std::thread::sleep(self.lease.mul_f64(random.below(1000) as f64 / 1000.0 * most));
                };
                pause(&mut random, 1.5);
                let n = random.below(self.nodes as u64) as usize;
                let Some(child) = &mut holders[n] else { continue };
                let keeper = Pid::from_raw(child.id() as i32);
                // Itself, the process that reads and writes for it, or both: what that one has in hand lands later then.
                let whom = match random.below(4) {
                    0 => twins(keeper),
                    1 => twins(keeper).into_iter().chain([keeper]).collect(),
                    _ => vec![keeper],
                };
                let send = |signal: Signal| {
                    for pid in &whom {
                        let _ = kill(*pid, signal); // it may have ended
                    }
                };
                let dies = match random.below(3) {
                    0 => {
                        harmed[0] += 1;
                        true
                    }
                    long => {
                        // Shorter and longer than a lease.
                        harmed[1] += 1;
                        harmed[3] += u64::from(whom != [keeper]);
                        send(Signal::SIGSTOP);
                        pause(&mut random, if long == 1 { 0.5 } else { 3.0 });
                        let dies = random.below(4) == 0;
                        harmed[2] += u64::from(dies);
                        dies
                    }
                };
                if dies {
                    child.kill()?;
                    child.wait()?;
                    holders[n] = None;
                    pause(&mut random, 1.5);
                }
                send(Signal::SIGCONT);
            }
            Ok(())
        })();
        for child in holders.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        result?;
        let mut figures = serde_json::Map::new();
        for (name, n) in [
            ("nodes", self.nodes as u64),
            ("seconds", self.time.as_secs()),
            ("seed", self.seed),
            ("lives", lives),
            ("killed", harmed[0]),
            ("stopped", harmed[1]),
            ("killed_while_stopped", harmed[2]),
            ("io_stopped", harmed[3]),
        ] {
            figures.insert(name.to_owned(), n.into());
        }
        verdict(&self.log, self.lease, figures)
    }

    fn start(&self, n: usize, seed: u64) -> Result<Child> {
        let ours = std::env::current_exe()?;
        Command::new(ours)
            .arg("hold")
            .arg(&self.device)
            .args(["--node", &format!("n{n}-{seed}"), "--seed", &format!("{}", self.seed.wrapping_add(seed))])
            .args(["--lease", &duration::words(self.lease)])
            .arg("--log")
            .arg(&self.log)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start a holder")
    }
}

/// Processes of the same command line: those that read and write for it.
fn twins(of: Pid) -> Vec<Pid> {
    let words = |pid: Pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|words| !words.is_empty());
    let Some(wanted) = words(of) else { return Vec::new() };
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.filter_map(|entry| Some(Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?)));
    pids.filter(|pid| *pid != of && words(*pid).as_ref() == Some(&wanted)).collect()
}

/// Prints the figures; 1 when two overlap.
fn verdict(log: &Path, lease: Duration, mut figures: serde_json::Map<String, serde_json::Value>) -> Result<ExitCode> {
    let (beliefs, counts) = judge(log, lease)?;
    let overlaps = overlaps(&beliefs);
    for (a, b) in overlaps.iter().take(5) {
        eprintln!("{a:?}\n  overlaps {b:?}");
    }
    for (name, n) in [
        ("tenures", beliefs.len() as u64),
        ("renewals", counts.renewals),
        ("lost", counts.lost),
        ("released", counts.released),
        ("errors", counts.errors),
        ("overlaps", overlaps.len() as u64),
    ] {
        figures.insert(name.to_owned(), n.into());
    }
    println!("{}", serde_json::Value::Object(figures));
    Ok(ExitCode::from(u8::from(!overlaps.is_empty())))
}

#[derive(Default)]
struct Counts {
    renewals: u64,
    lost: u64,
    released: u64,
    errors: u64,
}

/// One belief a tenure, from its log.
fn judge(log: &Path, lease: Duration) -> Result<(Vec<Belief>, Counts)> {
    let mut beliefs: Vec<Belief> = Vec::new();
    let mut counts = Counts::default();
    let margin = (lease / 4).as_micros();
    for line in BufReader::new(File::open(log)?).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let number = |n: usize| words.get(n).and_then(|w| w.parse::<u128>().ok()).context("a line without a number");
        let node = words[0];
        let last = |beliefs: &mut Vec<Belief>, generation: u128| {
            beliefs.iter().rposition(|b| b.node == node && u128::from(b.generation) == generation)
        };
        match words.get(1) {
            Some(&"belief") => {
                let (generation, from, until) = (number(2)?, number(3)?, number(4)?);
                match last(&mut beliefs, generation) {
                    Some(n) => {
                        counts.renewals += 1;
                        (beliefs[n].until, beliefs[n].expires) = (until, until + margin);
                    }
                    None => beliefs.push(Belief {
                        node: node.to_owned(),
                        generation: generation as u64,
                        from,
                        until,
                        expires: until + margin,
                    }),
                }
            }
            Some(&"lost") => {
                counts.lost += 1;
                if let Some(n) = last(&mut beliefs, number(2)?) {
                    beliefs[n].until = beliefs[n].until.min(number(3)?);
                }
            }
            Some(&"released") => {
                counts.released += 1;
                if let Some(n) = last(&mut beliefs, number(2)?) {
                    let at = number(3)?;
                    (beliefs[n].until, beliefs[n].expires) = (beliefs[n].until.min(at), beliefs[n].expires.min(at));
                }
            }
            Some(&"error") => counts.errors += 1,
            _ => {}
        }
    }
    Ok((beliefs, counts))
}

/// Two that believe at once, and one that gets the lease before that of another is over though that one was killed.
fn overlaps(beliefs: &[Belief]) -> Vec<(Belief, Belief)> {
    let mut sorted: Vec<&Belief> = beliefs.iter().collect();
    sorted.sort_by_key(|b| b.from);
    let mut found = Vec::new();
    for (n, a) in sorted.iter().enumerate() {
        for b in sorted[n + 1..].iter().take_while(|b| b.from < a.until.max(a.expires)) {
            found.push(((*a).clone(), (*b).clone()));
        }
    }
    found
}
