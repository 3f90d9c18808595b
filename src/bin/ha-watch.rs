//! ha-watch: say which processes stand still.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::poll::PollFlags;
use takeover::args::ha_watch::HaWatch;
use takeover::cli::event::Event;
use takeover::cli::exit::Answer;
use takeover::cli::output::{Output, OutputError};
use takeover::cli::wait::{Signals, Waiter, stdout_gone};
use takeover::cli::{self, Failure, eprint_line};
use takeover::clock::{Instant, Rhythm};
use takeover::node::stillness::{Sign, Stillness};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: HaWatch, output: &mut Output) -> Result<Answer, cli::Error> {
    let signals = Signals::take().map_err(|e| Failure::io("cannot take the signals", &e))?;
    let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
    args.places.iter().try_for_each(|place| exists(place))?;
    output.make_lasting_stream();
    let mut stillness = Stillness::default();
    let mut rhythm = Rhythm::from(Instant::now(), args.every);
    let stdout = io::stdout();
    loop {
        if rhythm.rings(Instant::now())
            && let Some(sign) = stillness.look(args.places.iter().flat_map(|place| signs(place)).collect())
        {
            output.emit(event(&sign))?;
        }
        let fds = [(signals.as_fd(), PollFlags::POLLIN), (stdout.as_fd(), output.wanted())];
        let ready = waiter.wait(&fds, Some(rhythm.due())).map_err(|e| Failure::io("cannot wait", &e))?;
        if signals.arrived().is_some() {
            return Ok(Answer::Yes);
        }
        if stdout_gone(ready[1]) {
            return Err(OutputError::Closed.into());
        }
        output.flush_backlog()?;
    }
}

/// What is misspelt would never be seen.
fn exists(place: &Path) -> Result<(), Failure> {
    match fs::File::open(place) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            eprint_line(&format!("ha-watch: there is no {} yet", place.display()));
            Ok(())
        }
        Err(e) => Err(Failure::at(place, &e)),
    }
}

fn event(sign: &Sign) -> Event {
    let words = format!("{} stands still (process {})", sign.part, sign.process.pid);
    Event::new("stands-still", words).with("part", sign.part.as_str()).with("pid", sign.process.pid)
}

/// What is to be seen at one place: a file, or a folder of them.
fn signs(place: &Path) -> Vec<Sign> {
    let files = match fs::read_dir(place) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => vec![place.to_owned()],
    };
    files.iter().filter_map(sign).collect()
}

/// The process that a file names.
fn sign(file: &PathBuf) -> Option<Sign> {
    let text = fs::read_to_string(file).ok()?;
    let pid = text.split_whitespace().next()?.parse().ok().filter(|pid| *pid > 0)?;
    Sign::of(file.file_name()?.to_string_lossy().into_owned(), pid)
}
