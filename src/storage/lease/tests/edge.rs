//! The edge against files: what is refused, and what a watchdog is told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;

use super::super::device::{Device, Reply, Trouble};
use super::super::record::{BLOCK, Kind, Record, SIZE, Sector, encode, parse};
use super::super::watchdog::Dog;
use super::super::{Acquired, Keeper, LeaseError, News, Terms, acquire, inspect};
use crate::cli::exit::Fault;
use crate::cli::wait::Waiter;
use crate::clock::Instant;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("takeover-lease-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn record(counter: u64, lease: Duration) -> Record {
    Record { counter, generation: 7, nonce: 99, lease, node: "ha2".to_owned() }
}

#[test]
fn what_is_no_lease_is_refused_and_not_touched() {
    let dir = Folder::new("refused");
    let mut ext4 = vec![0; 256 << 10];
    ext4[0x438..0x43a].copy_from_slice(b"\x53\xef");
    let mut later = encode(Kind::Lease, &record(1, SECOND)).to_vec();
    later.resize(SIZE, 0);
    for (name, bytes, what) in [
        ("ext4", ext4.clone(), "an ext2, ext3 or ext4 file system"),
        ("text", b"x".repeat(SIZE), "something else stands at its beginning"),
        ("behind", [vec![0; 100 << 10], vec![7; 8192]].concat(), "something else stands behind them"),
    ] {
        let path = dir.file(name, &bytes);
        for error in [
            acquire(&Terms::new(&path, "ha1", SECOND), Duration::ZERO, None).unwrap_err(),
            inspect(&path, Duration::ZERO).unwrap_err(),
        ] {
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!((error.fault(), error.code()), (Fault::Configuration, "lease-foreign"));
            assert!(error.hint().unwrap().contains("dd if=/dev/zero"));
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    for (path, fault, text) in [
        (dir.file("small", &[0; SIZE - 1]), Fault::Configuration, "smaller than 8192"),
        (dir.0.clone(), Fault::Unavailable, "directory"),
        ("/dev/null".into(), Fault::Configuration, ""),
        (dir.0.join("none"), Fault::Unavailable, "No such file"),
    ] {
        let error = acquire(&Terms::new(&path, "ha1", SECOND), Duration::ZERO, None).unwrap_err();
        assert_eq!(error.fault(), fault, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let later = dir.file("lease", &later);
    let link = dir.0.join("link");
    symlink(&later, &link).unwrap();
    let seen = inspect(&link, Duration::from_millis(1)).unwrap();
    assert_eq!(
        (seen.holder.unwrap().node.as_str(), seen.released, seen.changes, seen.garbled),
        ("ha2", false, false, false)
    );
    let note = encode(Kind::Note, &record(1, SECOND));
    for (name, bytes) in [("blank", vec![0; SIZE]), ("given-up", [[0; BLOCK], note].concat())] {
        assert_eq!(inspect(&dir.file(name, &bytes), Duration::ZERO).unwrap().holder, None);
    }
}

#[test]
fn terms_and_watchdogs_are_looked_at_first() {
    let dir = Folder::new("terms");
    let path = dir.file("blank", &[0; SIZE]);
    let terms = Terms::new(&path, "", SECOND);
    assert_eq!(acquire(&terms, Duration::ZERO, None).unwrap_err().fault(), Fault::Usage);
    let dog = |dog: &Path| Terms { watchdog: Some(dog.to_owned()), ..Terms::new(&path, "ha1", SECOND * 2) };
    let error = acquire(&dog(&path), Duration::ZERO, None).unwrap_err();
    assert!(error.to_string().contains("is no watchdog"), "{error}");
    let error = acquire(&dog(&dir.0.join("none")), Duration::ZERO, None).unwrap_err();
    assert_eq!(error.hint().unwrap(), "modprobe softdog makes one");
    // Looks like one, and is none: found when it is started, and the lease is given up again.
    let note = encode(Kind::Note, &record(5, SECOND * 2));
    fs::write(&path, [encode(Kind::Lease, &record(5, SECOND * 2)), note].concat()).unwrap();
    let error = acquire(&dog(Path::new("/dev/zero")), Duration::ZERO, None).unwrap_err();
    assert!(matches!(error, LeaseError::Watchdog { .. }), "{error}");
    let seen = inspect(&path, Duration::ZERO).unwrap();
    assert!(seen.released && seen.holder.unwrap().node == "ha1");
}

#[test]
fn a_device_reads_writes_and_comes_too_late() {
    let dir = Folder::new("device");
    let path = dir.file("lease", &[0; SIZE]);
    let mut device = Device::open(&path, true, SECOND * 5).unwrap();
    let never = Instant::at(Duration::MAX);
    device.write(Kind::Note, &record(2, SECOND), never);
    assert!(device.busy());
    assert_eq!(device.settle(SECOND * 5), Some(Reply::Wrote(Ok(()))));
    device.write(Kind::Lease, &record(1, SECOND), Instant::at(Duration::ZERO));
    assert_eq!(device.settle(SECOND * 5), Some(Reply::Wrote(Err(Trouble::TooLate))));
    device.read();
    let Some(Reply::Read(Ok(bytes))) = device.settle(SECOND * 5) else { panic!() };
    assert_eq!(parse(Kind::Lease, &bytes[..BLOCK]), Sector::Blank);
    assert_eq!(parse(Kind::Note, &bytes[BLOCK..]), Sector::Record(record(2, SECOND)));
    assert_eq!(device.settle(SECOND), None, "nothing is under way");
}

#[derive(Clone, Debug, Default)]
struct Tame(Arc<Mutex<Vec<String>>>);

impl Tame {
    fn did(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl Dog for Tame {
    fn pet(&mut self) -> Result<(), Errno> {
        self.did("pet");
        Ok(())
    }

    fn set(&mut self, timeout: Duration) -> Result<Duration, Errno> {
        self.did(format!("set {}", timeout.as_secs()));
        Ok(timeout)
    }

    fn disarm(&mut self) -> Result<(), Errno> {
        self.did("disarm");
        Ok(())
    }
}

/// A keeper of a lease that was given up before, with a watchdog that writes down what it is told.
fn keeper(path: &Path) -> (Keeper, Tame) {
    let lease = SECOND * 20;
    let both = [encode(Kind::Lease, &record(5, lease)), encode(Kind::Note, &record(5, lease))].concat();
    fs::write(path, both).unwrap();
    // A long lease, so that a busy machine does not lose it; its settling is what the test takes.
    let Acquired::Held(mut keeper) = acquire(&Terms::new(path, "ha1", lease), Duration::ZERO, None).unwrap() else {
        panic!()
    };
    let dog = Tame::default();
    keeper.dog = Some(Box::new(dog.clone()));
    (*keeper, dog)
}

fn next_news(keeper: &mut Keeper) -> News {
    let waiter = Waiter::new().unwrap();
    loop {
        if let Some(news) = keeper.turn() {
            return news;
        }
        let fd = std::os::fd::AsFd::as_fd(&*keeper);
        waiter.wait(&[(fd, nix::poll::PollFlags::POLLIN)], Some(keeper.deadline())).unwrap();
    }
}

#[test]
fn the_watchdog_is_petted_after_renewals_alone() {
    let dir = Folder::new("dog");
    let path = dir.file("lease", &[]);
    let (mut keeper, dog) = keeper(&path);
    assert!(keeper.held() && keeper.generation() == 8);
    keeper.tenure.hurry(Instant::now());
    assert!(matches!(next_news(&mut keeper), News::Renewed { held_until } if held_until == keeper.held_until()));
    assert_eq!(*dog.0.lock().unwrap(), ["pet"]);

    // Somebody writes over it: no petting, and nothing that keeps it from biting until the caller says so.
    fs::write(&path, [encode(Kind::Lease, &record(9, SECOND)), [0; BLOCK]].concat()).unwrap();
    keeper.tenure.hurry(Instant::now());
    assert_eq!(next_news(&mut keeper), News::Lost { cause: "ha2 wrote over it".to_owned() });
    assert!(!keeper.held() && keeper.turn().is_none());
    assert_eq!(*dog.0.lock().unwrap(), ["pet"]);
    keeper.stand_down();
    assert_eq!(*dog.0.lock().unwrap(), ["pet", "disarm"]);
    // What was given up is what was ours; theirs stands.
    let seen = inspect(&path, Duration::ZERO).unwrap();
    assert!(!seen.released && seen.holder.unwrap().node == "ha2");
}

#[test]
fn released_it_ends_the_watchdog_and_dropped_it_does_not() {
    let dir = Folder::new("ends");
    let path = dir.file("lease", &[]);
    let (first, dog) = keeper(&path);
    drop(first);
    assert!(dog.0.lock().unwrap().is_empty());
    let (second, dog) = keeper(&path);
    second.release().unwrap();
    assert_eq!(*dog.0.lock().unwrap(), ["disarm"]);
    assert!(inspect(&path, Duration::ZERO).unwrap().released);
}

#[test]
fn petted_too_late_it_is_set_to_bite_in_time_and_the_lease_is_lost() {
    let dir = Folder::new("late");
    let (mut keeper, dog) = keeper(&dir.file("lease", &[]));
    assert!(keeper.pet(Instant::at(Duration::ZERO)).is_err());
    assert!(dog.0.lock().unwrap().is_empty(), "known to be late before: not petted");

    /// Stops on the way.
    #[derive(Debug)]
    struct Slow(Tame);
    impl Dog for Slow {
        fn pet(&mut self) -> Result<(), Errno> {
            std::thread::sleep(Duration::from_millis(30));
            self.0.pet()
        }
        fn set(&mut self, timeout: Duration) -> Result<Duration, Errno> {
            self.0.set(timeout)
        }
        fn disarm(&mut self) -> Result<(), Errno> {
            self.0.disarm()
        }
    }
    keeper.dog = Some(Box::new(Slow(dog.clone())));
    let _ = keeper.pet(Instant::now() + Duration::from_millis(10));
    let did = dog.0.lock().unwrap().clone();
    assert!(matches!(&did[..], [] | [_, _]), "{did:?}");
    if did.len() == 2 {
        assert!(did[1].starts_with("set ") && !keeper.held());
    }
}
