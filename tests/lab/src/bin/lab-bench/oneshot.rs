//! What one call of each command costs, beside what people use today. Runs inside a host, so that entering it is not
//! measured; the other hosts of [`Place`] have to be there.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use takeover::net::address::{self, ServiceAddress};
use takeover::net::link::{self, Interface};
use takeover::net::netlink::Netlink;

use crate::process::{self, Cost, Line};
use crate::stats::{Bound, Row, Samples};

/// Where the one-shots run.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder with our commands.
    pub bin: PathBuf,
    /// A web server on another host.
    pub url: String,
    /// An address of another host.
    pub held: String,
    /// An address that nobody has.
    pub free: String,
    /// This host's own address.
    pub own: String,
}

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// What takes milliseconds.
    pub quick: usize,
    /// What takes seconds.
    pub slow: usize,
    /// For the peak of memory, which varies little.
    pub memory: usize,
}

/// The service address that is taken and dropped between two runs.
pub struct Service {
    netlink: Netlink,
    interface: Interface,
    address: ServiceAddress,
}

impl Service {
    /// For this address on eth0.
    pub fn new(ip: &str) -> anyhow::Result<Self> {
        let mut netlink = Netlink::open()?;
        let interface = link::by_name(&mut netlink, "eth0")?;
        Ok(Self { netlink, interface, address: format!("{ip}/24").parse()? })
    }

    /// Sees to it that the address is not there.
    pub fn clear(&mut self) -> anyhow::Result<()> {
        address::remove(&mut self.netlink, &self.interface, self.address)?;
        Ok(())
    }

    /// Sees to it that it is.
    pub fn set(&mut self) -> anyhow::Result<()> {
        if !self.there()? {
            address::put(&mut self.netlink, &self.interface, self.address, None, None)?;
        }
        Ok(())
    }

    fn there(&mut self) -> anyhow::Result<bool> {
        let all = address::list(&mut self.netlink, self.address.ip)?;
        Ok(all.iter().any(|a| a.address == self.address))
    }
}

/// What has to be so before each run.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Absent,
    Present,
}

/// A comparison of ours with a peer, A B A B.
struct Pair {
    what: &'static str,
    ours: Line,
    peer: Option<(&'static str, Line)>,
    before: Before,
    wall: Bound,
    cpu: Option<Bound>,
    runs: usize,
    /// How often the peer, where it is much slower than ours.
    peer_runs: usize,
}

/// Measures everything; hands each row over as soon as it is known.
pub fn measure(place: &Place, runs: Runs, mut row: impl FnMut(Row)) -> anyhow::Result<()> {
    let mut service = Service::new(&place.free)?;
    for pair in pairs(place, runs) {
        let (ours, peer) = alternate(&pair, &mut service)?;
        let of = |costs: &[Cost], part: fn(&Cost) -> f64| Samples::new(costs.iter().map(part).collect());
        let mut build = |what: String, part: fn(&Cost) -> f64, bound: Bound| {
            let mut built = Row::new(what, of(&ours, part)).bound(bound);
            if let Some((name, _)) = pair.peer {
                built = built.beside(name, of(&peer, part));
            }
            row(built);
        };
        build(format!("{}, wall, ms", pair.what), |c| c.wall_ms, pair.wall);
        if let Some(bound) = pair.cpu {
            build(format!("{}, CPU, ms", pair.what), |c| c.cpu_ms, bound);
        }
    }
    service.clear()?;
    memory(place, runs.memory, &mut service, &mut row)
}

/// The lines of our own commands, here and in the rows on memory.
struct Ours<'a>(&'a Place);

impl Ours<'_> {
    fn line(&self, name: &str, words: &str) -> Line {
        Line::new(self.0.bin.join(name), words)
    }

    fn probe_http(&self) -> Line {
        self.line("probe-http", &self.0.url)
    }

    fn probe_ping(&self, ip: &str) -> Line {
        self.line("probe-ping", ip)
    }

    fn who(&self, ip: &str) -> Line {
        self.line("vip-who", &format!("{ip} --dev eth0"))
    }

    fn take(&self, ip: &str, words: &str) -> Line {
        self.line("vip-take", &format!("{ip}/24 --dev eth0 {words}"))
    }

    fn drop(&self) -> Line {
        self.line("vip-drop", &format!("{}/24 --dev eth0", self.0.free))
    }

    fn garp(&self) -> Line {
        self.line("garp", &format!("{} --dev eth0 --count 1", self.0.own))
    }

    fn event(&self) -> Line {
        self.line("ha-event", "note cause=nothing")
    }
}

fn curl(place: &Place) -> Line {
    Line::new("curl", &format!("-s -o /dev/null -w %{{http_code}} {}", place.url))
}

fn pairs(place: &Place, runs: Runs) -> Vec<Pair> {
    let ours = Ours(place);
    let Place { held, free, own, .. } = place;
    let ip = |words: String| Line::new("ip", &words);
    let arping = |words: String| Line::new("arping", &words);
    let pair = |what, ours, peer: &'static str, theirs| Pair {
        what,
        ours,
        peer: Some((peer, theirs)),
        before: Before::Nothing,
        wall: Bound::None,
        cpu: None,
        runs: runs.quick,
        peer_runs: runs.quick,
    };
    let nothing = || Line::new("/bin/true", "");
    vec![
        Pair {
            wall: Bound::Times(0.5),
            cpu: Some(Bound::Times(0.5)),
            ..pair("`probe-http URL`", ours.probe_http(), "`curl -s -o /dev/null -w %{http_code} URL`", curl(place))
        },
        Pair {
            before: Before::Absent,
            wall: Bound::Times(2.0),
            cpu: Some(Bound::None),
            ..pair(
                "`vip-take --probe off`, announced once at its end",
                ours.take(free, "--probe off"),
                "`ip addr add`",
                ip(format!("addr add {free}/24 dev eth0")),
            )
        },
        Pair {
            before: Before::Absent,
            wall: Bound::Median(90.0),
            peer_runs: runs.slow,
            ..pair(
                "`vip-take`, the address is free",
                ours.take(free, ""),
                "`arping -D -c 2 -w 3`, which only asks",
                arping(format!("-D -c 2 -w 3 -I eth0 {free}")),
            )
        },
        Pair {
            wall: Bound::Median(25.0),
            peer_runs: runs.slow,
            ..pair(
                "`vip-take`, another host has it: status 1",
                ours.take(held, "").ends(1),
                "`arping -D -c 2 -w 3`, which only asks",
                arping(format!("-D -c 2 -w 3 -I eth0 {held}")).ends(1),
            )
        },
        Pair {
            before: Before::Present,
            ..pair("`vip-drop`", ours.drop(), "`ip addr del`", ip(format!("addr del {free}/24 dev eth0")))
        },
        Pair { wall: Bound::Times(3.0), ..pair("`garp --count 1`", ours.garp(), "`/bin/true`", nothing()) },
        Pair {
            peer_runs: runs.slow,
            ..pair("`garp --count 1`", ours.garp(), "`arping -A -c 1`", arping(format!("-A -c 1 -I eth0 {own}")))
        },
        Pair {
            peer_runs: runs.slow,
            ..pair(
                "`vip-who --first`, held",
                ours.who(&format!("{held} --first")),
                "`arping -f -c 2 -w 3`",
                arping(format!("-f -c 2 -w 3 -I eth0 {held}")),
            )
        },
        pair("`probe-ping`, alive", ours.probe_ping(held), "`fping`", Line::new("fping", held)),
        Pair {
            runs: runs.slow,
            peer_runs: runs.slow,
            ..pair("`probe-ping`, dead", ours.probe_ping(free).ends(1), "`fping`", Line::new("fping", free).ends(1))
        },
        pair("`ha-event`", ours.event(), "`/bin/true`", nothing()),
    ]
}

/// Runs both in turn, after one run of each that is not counted: it reads the files.
fn alternate(pair: &Pair, service: &mut Service) -> anyhow::Result<(Vec<Cost>, Vec<Cost>)> {
    let mut once = |line: &Line| {
        match pair.before {
            Before::Nothing => {}
            Before::Absent => service.clear()?,
            Before::Present => service.set()?,
        }
        process::run(line).context(pair.what)
    };
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    once(&pair.ours)?;
    if let Some((_, line)) = &pair.peer {
        once(line)?;
    }
    for n in 0..pair.runs.max(pair.peer_runs) {
        if n < pair.runs {
            ours.push(once(&pair.ours)?);
        }
        if let Some((_, line)) = pair.peer.as_ref().filter(|_| n < pair.peer_runs) {
            peer.push(once(line)?);
        }
    }
    Ok((ours, peer))
}

/// The most that any command but the one on libcurl may need, in MB.
const SMALL_MB: f64 = 3.5;
/// The most that this one may need.
const CURL_MB: f64 = 4.0;

fn memory(place: &Place, runs: usize, service: &mut Service, row: &mut impl FnMut(Row)) -> anyhow::Result<()> {
    let ours = Ours(place);
    let peaks = |line: &Line| {
        let peaks: anyhow::Result<Vec<f64>> = (0..runs).map(|_| process::peak_mb(line)).collect();
        peaks.map(Samples::new)
    };
    let peer = |name: &str| -> anyhow::Result<Option<(&str, Samples)>> {
        Ok(match name {
            "probe-http" => Some(("`curl`", peaks(&curl(place))?)),
            "probe-ping" => Some(("`fping`", peaks(&Line::new("fping", &place.held))?)),
            "garp" | "vip-take" | "vip-drop" => Some(("`ip addr show`", peaks(&Line::new("ip", "addr show"))?)),
            "ha-event" => Some(("`/bin/true`", peaks(&Line::new("/bin/true", ""))?)),
            _ => None,
        })
    };
    let lines = [
        ("probe-http", ours.probe_http()),
        ("probe-ping", ours.probe_ping(&place.held)),
        ("vip-who", ours.who(&format!("{} --first", place.held))),
        ("vip-take", ours.take(&place.free, "")),
        ("vip-drop", ours.drop()),
        ("garp", ours.garp()),
        ("ha-event", ours.event()),
    ];
    for (name, line) in lines {
        if name == "vip-take" {
            service.clear()?;
        }
        let bound = Bound::Median(if name == "probe-http" { CURL_MB } else { SMALL_MB });
        let mut built = Row::new(format!("`{name}`, peak memory, MB"), peaks(&line).context(name)?).bound(bound);
        if let Some((peer, samples)) = peer(name)? {
            built = built.beside(peer, samples);
        }
        row(built);
    }
    service.clear()
}

/// Which of our commands carry libcurl; an error unless the HTTP probe, which has to, shows that this can be told.
pub fn with_libcurl(bin: &Path, commands: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut with = Vec::new();
    for name in commands {
        let path = bin.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // libcurl names itself in its version, and a shared one in the list of libraries.
        if bytes.windows(7).any(|w| w == b"libcurl") {
            with.push((*name).to_owned());
        }
    }
    ensure!(!with.is_empty(), "no command names libcurl, not even probe-http: this check no longer finds it");
    Ok(with)
}
