//! The libcurl edge: starts transfers, turns the wheel, reports what happened to each. It judges nothing.
//!
//! A crate of its own because libcurl registers a constructor in every binary that can reach it. Time is handed in, as
//! the time since boot: deadlines then run on the clock of the caller, and data that has already arrived is read before
//! a deadline is looked at, so that a process that was stopped for a while does not blame the peer.

mod dial;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_long;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use curl::easy::{Easy2, Handler, HttpVersion, List, WriteError};
use curl::multi::{Easy2Handle, Multi, WaitFd};

use dial::Dial;

/// Threads that look names up at the same time. A look-up that hangs keeps its thread until the system's resolver gives
/// up (10 to 30 s); further ones wait in a queue, out of which they go when their probe has run out of time.
pub const LOOKUP_THREADS: u32 = 32;

// Options that the safe bindings do not have; the numbers are libcurl's public interface.
const CURLOPT_QUICK_EXIT: curl_sys::CURLoption = 322;
const CURLMOPT_QUICK_EXIT: curl_sys::CURLMoption = 21;
const CURLMOPT_RESOLVE_THREADS_MAX: curl_sys::CURLMoption = 20;
/// http and https; ftp and ftps.
const HTTP: c_long = 1 | 2;
const FTP: c_long = 4 | 8;

/// Whom to believe about certificates.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Anybody.
    Anybody,
    /// The authorities in this bundle of PEM certificates.
    Bundle(&'a Path),
}

/// A protocol and what of it is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Protocol<'a> {
    /// http and https.
    Http {
        /// The method, such as GET.
        method: &'a str,
        /// Further header lines, without line ends.
        headers: &'a [String],
    },
    /// ftp and ftps.
    Ftp {
        /// Whether the folder or the file is read as well, and not only the login made.
        read: bool,
    },
}

/// What to fetch, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A URL of the protocol.
    pub url: &'a str,
    /// The protocol, and what of it is wanted.
    pub protocol: Protocol<'a>,
    /// Whom to log in, and with what, where the URL does not say it.
    pub login: Option<(&'a str, &'a str)>,
    /// Names whose addresses are given: HOST:PORT:ADDR.
    pub resolve: &'a [String],
    /// The interface to leave by.
    pub interface: Option<&'a str>,
    /// Only looked at for https and ftps.
    pub trust: Trust<'a>,
    /// Who asks.
    pub agent: &'a str,
    /// How many bytes of the body to keep; the rest is read and dropped.
    pub capture: usize,
    /// The longest that all of it may take.
    pub timeout: Duration,
}

/// What happened to one transfer. Times count from its start; `None` is a point that was not reached.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// libcurl's code; 28 also where our own deadline came.
    pub code: u32,
    /// The errno of the last system call that failed; 0 after a success.
    pub errno: i32,
    /// The errno with which a socket was refused to us, else 0.
    pub socket_errno: i32,
    /// libcurl's words about a failure.
    pub message: String,
    /// The status of the answer, if one came.
    pub status: Option<u32>,
    /// The end of the name look-up.
    pub lookup: Option<Duration>,
    /// Connected.
    pub connected: Option<Duration>,
    /// A connection stood at the end, even where `connected` does not say since when: libcurl tells that time only once
    /// the TLS handshake is over as well. Only looked at where the time ran out.
    pub handshaking: bool,
    /// The end of the TLS handshake.
    pub secured: Option<Duration>,
    /// The first byte of the answer.
    pub first_byte: Option<Duration>,
    /// The whole of it.
    pub total: Duration,
    /// The address that was connected to.
    pub address: Option<IpAddr>,
    /// Every address that a connection was tried to, up to 16.
    pub dialled: Vec<IpAddr>,
    /// The body, as far as it was asked for.
    pub body: Vec<u8>,
    /// There was more of it.
    pub body_cut: bool,
    /// The longest time in which this transfer was not looked after.
    pub late: Duration,
}

/// A transfer that could not even be set up.
#[derive(Debug)]
pub struct Refused {
    /// libcurl's code.
    pub code: u32,
    /// Its words.
    pub message: String,
}

impl From<curl::Error> for Refused {
    fn from(e: curl::Error) -> Self {
        Self { code: e.code(), message: e.to_string() }
    }
}

impl From<curl::MultiError> for Refused {
    fn from(e: curl::MultiError) -> Self {
        // Codes of another numbering: 2 is "could not be initialised" in that of the outcomes.
        Self { code: 2, message: e.to_string() }
    }
}

/// Keeps the head of the body, and what was dialled.
struct Keep {
    capture: usize,
    body: Vec<u8>,
    cut: bool,
    /// On the heap: libcurl holds a pointer to it.
    dial: Box<RefCell<Dial>>,
}

impl Handler for Keep {
    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if self.capture > 0 {
            let room = self.capture - self.body.len();
            self.body.extend_from_slice(&data[..room.min(data.len())]);
            self.cut |= data.len() > room;
        }
        Ok(data.len())
    }
}

struct Job {
    handle: Easy2Handle<Keep>,
    started: Duration,
    timeout: Duration,
    late: Duration,
}

/// Transfers under way, any number of them, each with the caller's number.
pub struct Transfers {
    jobs: BTreeMap<usize, Job>,
    multi: Multi,
    last_turn: Duration,
}

impl Transfers {
    /// None yet.
    pub fn new() -> Self {
        let multi = Multi::new();
        // SAFETY: the handle is valid and both options take a long. Refused, they would leave the defaults: 20 threads,
        // and an exit that may wait for them.
        unsafe {
            curl_sys::curl_multi_setopt(multi.raw(), CURLMOPT_RESOLVE_THREADS_MAX, c_long::from(LOOKUP_THREADS as i32));
            curl_sys::curl_multi_setopt(multi.raw(), CURLMOPT_QUICK_EXIT, 1 as c_long);
        }
        Self { jobs: BTreeMap::new(), multi, last_turn: Duration::ZERO }
    }

    /// How many are under way.
    pub fn running(&self) -> usize {
        self.jobs.len()
    }

    /// Starts one. `id` must not be under way; `now` is the time since boot.
    pub fn start(&mut self, id: usize, request: &Request, now: Duration) -> Result<(), Refused> {
        let mut handle = self.multi.add2(set_up(request)?)?;
        handle.set_token(id)?;
        self.jobs.insert(id, Job { handle, started: now, timeout: request.timeout, late: Duration::ZERO });
        Ok(())
    }

    /// Waits until there is something to do for a transfer or to read on one of `fds`, at most until a deadline, and
    /// never longer than a quarter of the shortest time-out: a turn that comes much later than that was held up.
    pub fn wait(&self, fds: &[BorrowedFd], at_most: Duration, now: Duration) -> Result<(), Refused> {
        let bound = |job: &Job| (job.timeout / 4).min((job.started + job.timeout).saturating_sub(now));
        let wait = self.jobs.values().map(bound).min().map_or(at_most, |d| d.min(at_most));
        let mut set: Vec<WaitFd> = fds
            .iter()
            .map(|fd| {
                let mut one = WaitFd::new();
                one.set_fd(fd.as_raw_fd());
                one.poll_on_read(true);
                one
            })
            .collect();
        // libcurl waits whole milliseconds; rounded down it would spin through the last one.
        let wait = Duration::from_millis(wait.as_micros().div_ceil(1000) as u64);
        self.multi.poll(&mut set, wait)?;
        Ok(())
    }

    /// Moves every transfer on and returns those that ended or ran out of time.
    pub fn turn(&mut self, now: Duration) -> Result<Vec<(usize, Outcome)>, Refused> {
        for job in self.jobs.values_mut() {
            job.late = job.late.max(now.saturating_sub(job.started.max(self.last_turn)));
        }
        self.last_turn = now;
        self.multi.perform()?;
        let mut ended = Vec::new();
        self.multi.messages(|message| {
            let Ok(id) = message.token() else { return };
            if let Some(result) = self.jobs.get(&id).and_then(|job| message.result_for2(&job.handle)) {
                let failure = result.err();
                let words = failure.as_ref().and_then(|e| e.extra_description()).map(str::to_owned);
                ended.push((id, failure.map_or(0, |e| e.code()), words));
            }
        });
        let over = |job: &Job| now >= job.started + job.timeout;
        for (id, _) in self.jobs.iter().filter(|(_, job)| over(job)) {
            if ended.iter().all(|(other, ..)| other != id) {
                ended.push((*id, curl_sys::CURLE_OPERATION_TIMEDOUT, None));
            }
        }
        let mut outcomes = Vec::with_capacity(ended.len());
        for (id, code, words) in ended {
            if let Some(job) = self.jobs.remove(&id) {
                let message = words.unwrap_or_else(|| curl::Error::new(code).description().to_owned());
                outcomes.push((id, Outcome { message, ..self.outcome(job, code, now)? }));
            }
        }
        Ok(outcomes)
    }

    fn outcome(&self, job: Job, code: u32, now: Duration) -> Result<Outcome, Refused> {
        let handshaking = code == curl_sys::CURLE_OPERATION_TIMEDOUT && job.handle.get_ref().dial.borrow().connected();
        let mut easy = self.multi.remove2(job.handle)?;
        let reached = |d: Result<Duration, curl::Error>| d.ok().filter(|d| !d.is_zero());
        let done = code == 0;
        let elapsed = now.saturating_sub(job.started);
        let keep = easy.get_mut();
        let (body, body_cut) = (std::mem::take(&mut keep.body), keep.cut);
        let dial = keep.dial.take();
        Ok(Outcome {
            code,
            // After a success it holds whatever failed on the way there.
            errno: if done { 0 } else { easy.os_errno().unwrap_or(0) },
            socket_errno: dial.refused,
            message: String::new(),
            status: easy.response_code().ok().filter(|s| *s != 0),
            lookup: reached(easy.namelookup_time()),
            connected: reached(easy.connect_time()),
            handshaking,
            secured: reached(easy.appconnect_time()),
            first_byte: reached(easy.starttransfer_time()),
            total: if done { easy.total_time().unwrap_or(elapsed) } else { elapsed },
            address: easy.primary_ip().ok().flatten().and_then(|ip| ip.parse().ok()),
            dialled: dial.tried,
            body,
            body_cut,
            late: job.late,
        })
    }
}

impl Default for Transfers {
    fn default() -> Self {
        Self::new()
    }
}

/// A handle with everything switched off that would follow, reuse, remember or ask somebody else.
fn set_up(request: &Request) -> Result<Easy2<Keep>, Refused> {
    let dial = Box::new(RefCell::new(Dial::default()));
    let dial_at: *const RefCell<Dial> = &raw const *dial;
    let mut easy = Easy2::new(Keep { capture: request.capture, body: Vec::new(), cut: false, dial });
    easy.url(request.url)?;
    easy.signal(false)?;
    easy.proxy("")?;
    easy.noproxy("*")?;
    easy.follow_location(false)?;
    easy.fresh_connect(true)?;
    easy.forbid_reuse(true)?;
    easy.dns_cache_timeout(Duration::ZERO)?;
    easy.http_version(HttpVersion::V11)?;
    easy.http_09_allowed(false)?;
    easy.path_as_is(true)?;
    easy.useragent(request.agent)?;
    // Our own deadline comes first; these stand behind it, and keep libcurl's default of 300 s out of the way.
    let behind = request.timeout.saturating_mul(2).saturating_add(Duration::from_secs(1)).min(FAR);
    easy.timeout(behind)?;
    easy.connect_timeout(behind)?;
    let protocols = match request.protocol {
        Protocol::Http { method, headers } => {
            match method {
                "GET" => easy.get(true)?,
                "HEAD" => easy.nobody(true)?,
                other => easy.custom_request(other)?,
            }
            if !headers.is_empty() {
                easy.http_headers(list(headers)?)?;
            }
            HTTP
        }
        Protocol::Ftp { read } => {
            easy.nobody(!read)?;
            FTP
        }
    };
    if let Some((user, password)) = request.login {
        easy.username(user)?;
        easy.password(password)?;
    }
    if !request.resolve.is_empty() {
        easy.resolve(list(request.resolve)?)?;
    }
    if let Some(name) = request.interface {
        easy.interface(&format!("if!{name}"))?;
    }
    if secure(request.url) {
        match request.trust {
            Trust::Bundle(path) => easy.cainfo(path)?,
            Trust::Anybody => {
                easy.ssl_verify_peer(false)?;
                easy.ssl_verify_host(false)?;
            }
        }
    }
    // SAFETY: the handle is valid; both options take a long.
    unsafe {
        curl_sys::curl_easy_setopt(easy.raw(), CURLOPT_QUICK_EXIT, 1 as c_long);
        curl_sys::curl_easy_setopt(easy.raw(), curl_sys::CURLOPT_PROTOCOLS, protocols);
    }
    // SAFETY: the pointer goes to the heap cell that the handler owns, and the handler lives as long as the handle.
    unsafe { dial::install(easy.raw(), dial_at) };
    Ok(easy)
}

/// libcurl counts time-outs in an int of milliseconds.
const FAR: Duration = Duration::from_secs(2_000_000);

/// Whether a URL asks for TLS.
fn secure(url: &str) -> bool {
    ["https:", "ftps:"].iter().any(|s| url.get(..s.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(s)))
}

fn list(lines: &[String]) -> Result<List, curl::Error> {
    let mut list = List::new();
    lines.iter().try_for_each(|line| list.append(line))?;
    Ok(list)
}
