//! lab-serial: a null-modem cable between two pseudo-terminals, with somebody at the cable who can do it harm.
//!
//! Lines on standard input are its orders; each is answered by an event once it is done. It ends with its standard
//! input.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{pipe, read, write};

/// How often an end that nobody has open is looked at again, in milliseconds.
const LOOK_AGAIN_MS: u8 = 5;

/// Lay a cable between the devices DIR/a and DIR/b.
#[derive(Parser)]
#[command(
    name = "lab-serial",
    version,
    after_help = "Orders: cut, heal, inject a|b HEX (arrives at that device), unplug a|b, plug a|b, fault pieces|bytes|garble N \
                  (of 10,000 pieces written at once N are lost, of 10,000 bytes N are lost, or arrive as others)."
)]
struct Arguments {
    /// An existing folder for the links to the devices
    dir: PathBuf,
}

/// A device and our side of it.
struct End {
    link: PathBuf,
    /// None while it is unplugged.
    master: Option<PtyMaster>,
}

impl End {
    fn plugged(dir: &Path, name: &str) -> anyhow::Result<Self> {
        let mut end = Self { link: dir.join(name), master: None };
        end.plug()?;
        Ok(end)
    }

    fn plug(&mut self) -> anyhow::Result<()> {
        if self.master.is_some() {
            bail!("{} is plugged in", self.link.display());
        }
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let device = ptsname_r(&master)?;
        // An echo would send our bytes back, before anybody could turn it off. Opened once, an end that nobody has open
        // shows as hung up from then on.
        let slave = open(device.as_str(), OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        symlink(&device, &self.link).with_context(|| format!("cannot make {}", self.link.display()))?;
        self.master = Some(master);
        Ok(())
    }

    fn unplug(&mut self) -> anyhow::Result<()> {
        fs::remove_file(&self.link).with_context(|| format!("cannot remove {}", self.link.display()))?;
        self.master = None;
        Ok(())
    }

    /// Whether somebody has the device open.
    fn in_use(&self) -> bool {
        let Some(master) = &self.master else { return false };
        let mut set = [PollFd::new(master.as_fd(), PollFlags::empty())];
        let _ = poll(&mut set, PollTimeout::ZERO);
        set[0].revents().is_some_and(|events| !events.contains(PollFlags::POLLHUP))
    }

    /// Lets bytes arrive at the device. What nobody has it open for, or does not read in time, is lost.
    fn deliver(&self, mut bytes: &[u8]) {
        while let Some(master) = &self.master
            && !bytes.is_empty()
            && self.in_use()
            && let Ok(n @ 1..) = write(master, bytes)
        {
            bytes = &bytes[n..];
        }
    }
}

/// What happens to pieces and bytes under way by chance, in both directions: of 10,000 so many.
struct Faults {
    pieces: u64,
    bytes: u64,
    garble: u64,
    /// The state of a xorshift generator, never 0.
    dice: u64,
}

impl Faults {
    fn none() -> Self {
        Self { pieces: 0, bytes: 0, garble: 0, dice: RandomState::new().build_hasher().finish() | 1 }
    }

    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    /// Whether something of this chance happens.
    fn hits(&mut self, chance: u64) -> bool {
        chance > 0 && self.roll() % 10_000 < chance
    }

    /// What arrives of a piece.
    fn harm(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.hits(self.pieces) {
            return Vec::new();
        }
        let mut arrives = Vec::with_capacity(piece.len());
        for byte in piece {
            if self.hits(self.bytes) {
                continue;
            }
            // Never the byte itself.
            let change = if self.hits(self.garble) { (1 + self.roll() % 255) as u8 } else { 0 };
            arrives.push(byte ^ change);
        }
        arrives
    }

    fn set(&mut self, kind: &str, chance: &str) -> anyhow::Result<()> {
        let chance = chance.parse().ok().filter(|n| *n <= 10_000);
        let chance = chance.ok_or_else(|| anyhow!("a chance is a number from 0 to 10000"))?;
        match kind {
            "pieces" => self.pieces = chance,
            "bytes" => self.bytes = chance,
            "garble" => self.garble = chance,
            other => bail!("'{other}' is no fault: pieces, bytes or garble"),
        }
        Ok(())
    }
}

/// The cable.
struct Cable {
    ends: [End; 2],
    cut: bool,
    faults: Faults,
}

impl Cable {
    fn end(&mut self, name: &str) -> anyhow::Result<&mut End> {
        let [a, b] = &mut self.ends;
        match name {
            "a" => Ok(a),
            "b" => Ok(b),
            other => bail!("'{other}' is no end: a or b"),
        }
    }

    /// Does what a line says; returns the order's name.
    fn obey(&mut self, line: &str) -> anyhow::Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["cut"] => self.cut = true,
            ["heal"] => self.cut = false,
            ["unplug", end] => self.end(end)?.unplug()?,
            ["plug", end] => self.end(end)?.plug()?,
            ["fault", kind, chance] => self.faults.set(kind, chance)?,
            ["inject", end, hex] => {
                let bytes = bytes_of(hex).ok_or_else(|| anyhow!("'{hex}' is not hexadecimal"))?;
                self.end(end)?.deliver(&bytes);
            }
            _ => bail!("no order '{line}'"),
        }
        Ok(words[0].to_owned())
    }

    /// Passes on what an end has written, if anything.
    fn carry(&mut self, from: usize) {
        let mut piece = [0; 4096];
        let Some(master) = &self.ends[from].master else { return };
        if let Ok(n @ 1..) = read(master, &mut piece)
            && !self.cut
        {
            self.ends[1 - from].deliver(&self.faults.harm(&piece[..n]));
        }
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect();
    let digits = digits?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn say(event: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::json!({ "event": event }))?;
    out.flush()
}

/// Reads orders in a thread, which a pipe wakes the loop for.
fn orders() -> anyhow::Result<(Receiver<String>, std::os::fd::OwnedFd)> {
    let (wake, waker) = pipe()?;
    let (send, orders) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() || write(&waker, b".").is_err() {
                return;
            }
        }
        // Both ends of the channel and of the pipe are gone now: the loop sees the end.
    });
    Ok((orders, wake))
}

fn run(dir: &Path) -> anyhow::Result<()> {
    let mut cable =
        Cable { ends: [End::plugged(dir, "a")?, End::plugged(dir, "b")?], cut: false, faults: Faults::none() };
    let (orders, wake) = orders()?;
    say("ready")?;
    loop {
        let used: Vec<usize> = (0..2).filter(|&i| cable.ends[i].in_use()).collect();
        let mut set = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        for &i in &used {
            if let Some(master) = &cable.ends[i].master {
                set.push(PollFd::new(master.as_fd(), PollFlags::POLLIN));
            }
        }
        let timeout = if used.len() == 2 { PollTimeout::NONE } else { LOOK_AGAIN_MS.into() };
        match poll(&mut set, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready: Vec<bool> = set.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        for (&i, _) in used.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            cable.carry(i);
        }
        if ready[0] {
            let mut dots = [0; 64];
            let _ = read(&wake, &mut dots);
            loop {
                match orders.try_recv() {
                    Ok(line) => say(&cable.obey(&line)?)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("lab-serial: {e:#}");
            ExitCode::from(70)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_happens_as_often_as_it_is_told() {
        let mut faults = Faults { dice: 1, ..Faults::none() };
        let piece = [b'.'; 2000];
        assert_eq!(faults.harm(&piece), piece);
        for (kind, chance, lengths) in [
            ("pieces", "10000", 0..1),
            ("bytes", "10000", 0..1),
            ("bytes", "5000", 900..1100),
            ("garble", "10000", 2000..2001),
        ] {
            faults.set(kind, chance).unwrap();
            let arrives = faults.harm(&piece);
            assert!(lengths.contains(&arrives.len()), "{kind} {chance}: {}", arrives.len());
            assert_eq!(arrives.contains(&b'.'), kind == "bytes" && chance == "5000", "{kind} {chance}");
            faults.set(kind, "0").unwrap();
            assert_eq!(faults.harm(&piece), piece, "{kind} 0");
        }
        faults.set("pieces", "2000").unwrap();
        let lost = (0..10_000).filter(|_| faults.harm(b"x").is_empty()).count();
        assert!((1800..2200).contains(&lost), "{lost}");
        for (kind, chance) in [("pieces", "10001"), ("pieces", "-1"), ("pieces", "x"), ("sparks", "1")] {
            assert!(faults.set(kind, chance).is_err(), "{kind} {chance}");
        }
    }
}
