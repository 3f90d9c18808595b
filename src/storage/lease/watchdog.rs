//! The watchdog: resets the machine unless it is petted.
//!
//! A driver whose watchdog ends with its descriptor is refused: a killed keeper would disarm it.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::LeaseError;

/// What a keeper does with a watchdog.
pub trait Dog: Debug + Send {
    /// It waits for a whole time-out again.
    ///
    /// # Errors
    /// The driver's.
    fn pet(&mut self) -> Result<(), Errno>;

    /// Sets the time-out, in whole seconds, and pets it; the time-out that it really took.
    ///
    /// # Errors
    /// The driver's.
    fn set(&mut self, timeout: Duration) -> Result<Duration, Errno>;

    /// Ends it: the machine is not reset any more.
    ///
    /// # Errors
    /// The driver's: a watchdog that was built or loaded with `nowayout` cannot be ended.
    fn disarm(&mut self) -> Result<(), Errno>;
}

/// A watchdog of the kernel.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
}

mod ioctl {
    use nix::libc::c_int;

    /// linux/watchdog.h: `struct watchdog_info`.
    #[repr(C)]
    #[derive(Default)]
    pub struct Info {
        pub options: u32,
        pub firmware: u32,
        pub identity: [u8; 32],
    }

    pub const SET_TIMEOUT: u32 = 0x80;
    pub const MAGIC_CLOSE: u32 = 0x100;
    pub const KEEPALIVE: u32 = 0x8000;

    nix::ioctl_read!(support, b'W', 0, Info);
    nix::ioctl_read!(keep_alive, b'W', 5, c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, c_int);
}

/// Whether something is a watchdog by its looks: opening it would start it.
///
/// # Errors
/// It is none.
pub fn look(path: &Path) -> Result<(), LeaseError> {
    let kind = std::fs::metadata(path).map_err(|e| failed(path, "cannot be opened", &e))?.file_type();
    match kind.is_char_device() {
        true => Ok(()),
        false => Err(LeaseError::Watchdog { device: path.to_owned(), what: "is no watchdog".to_owned(), errno: None }),
    }
}

fn failed(path: &Path, what: &str, error: &std::io::Error) -> LeaseError {
    let errno = error.raw_os_error().map(Errno::from_raw);
    LeaseError::Watchdog { device: path.to_owned(), what: format!("{what}: {error}"), errno }
}

impl Watchdog {
    /// Starts it with a time-out of that many whole seconds, or a shorter one, but not shorter than `least`.
    ///
    /// # Errors
    /// Somebody else uses it, or it is none, cannot wait for so short or long, or ends with its descriptor.
    pub fn start(path: &Path, timeout: Duration, least: Duration) -> Result<Self, LeaseError> {
        look(path)?;
        let device = OpenOptions::new().write(true).open(path).map_err(|e| failed(path, "cannot be opened", &e))?;
        let mut dog = Self { device };
        dog.begin(path, timeout, least).inspect_err(|_| {
            let _ = dog.disarm(); // it runs since it was opened
        })?;
        Ok(dog)
    }

    fn begin(&mut self, path: &Path, timeout: Duration, least: Duration) -> Result<(), LeaseError> {
        let refused = |what: String| LeaseError::Watchdog { device: path.to_owned(), what, errno: None };
        let mut info = ioctl::Info::default();
        // SAFETY: the request writes a `watchdog_info`, which this is.
        unsafe { ioctl::support(self.device.as_raw_fd(), &mut info) }
            .map_err(|e| failed(path, "is no watchdog", &e.into()))?;
        for (flag, what) in [
            (ioctl::SET_TIMEOUT, "has a fixed time-out"),
            (ioctl::KEEPALIVE, "cannot be petted"),
            (ioctl::MAGIC_CLOSE, "stops when its user is killed"),
        ] {
            if info.options & flag == 0 {
                return Err(refused(what.to_owned()));
            }
        }
        let took = self.set(timeout).map_err(|e| failed(path, "does not take the time-out", &e.into()))?;
        match (least..=timeout).contains(&took) {
            true => Ok(()),
            false => {
                Err(refused(format!("waits for {} s where {} s were asked for", took.as_secs(), timeout.as_secs())))
            }
        }
    }
}

impl Dog for Watchdog {
    fn pet(&mut self) -> Result<(), Errno> {
        let mut ignored = 0;
        // SAFETY: the request takes no more than an int.
        unsafe { ioctl::keep_alive(self.device.as_raw_fd(), &mut ignored) }.map(|_| ())
    }

    fn set(&mut self, timeout: Duration) -> Result<Duration, Errno> {
        let mut seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
        // SAFETY: the request reads and writes an int.
        unsafe { ioctl::set_timeout(self.device.as_raw_fd(), &mut seconds) }?;
        self.pet()?; // not every driver does when it is set
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    fn disarm(&mut self) -> Result<(), Errno> {
        // The close that follows ends it.
        self.device.write_all(b"V").map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }
}
