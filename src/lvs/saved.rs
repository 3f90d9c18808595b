//! The table as `ipvsadm` prints it: `-S -n`, which its `-R` reads back, and the thresholds, which stand in no `-S`.
//!
//! What is not known is kept in its words: it belongs to somebody, and differs from whatever we want.

use std::collections::BTreeSet;

use super::table::{Forward, Key, Protocol, Server, Service, Settings, Table, number, socket};

/// Why the words of `ipvsadm` are not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// A line of its own kind.
    #[error("line {line} of what ipvsadm prints is not understood: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What about it.
        why: &'static str,
    },
    /// Two lists of one table that do not fit.
    #[error("the thresholds that ipvsadm prints are not those of the same table")]
    Thresholds,
}

/// Reads what `ipvsadm -S -n` prints.
///
/// # Errors
/// For a line that is neither a service nor a server of one before it.
pub fn parse(text: &[u8]) -> Result<Table, SavedError> {
    let mut table = Table::default();
    for (n, bytes) in text.split(|b| *b == b'\n').enumerate() {
        let wrong = |why| SavedError::Line { line: n + 1, why };
        let said = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
        let words: Vec<&str> = said.split_ascii_whitespace().collect();
        let Some((what, rest)) = words.split_first() else { continue };
        let (key, rest) = key(rest).ok_or_else(|| wrong("it names no service"))?;
        match *what {
            "-A" => {
                if table.service(key).is_some() {
                    return Err(wrong("the service stands there already"));
                }
                let settings = settings(rest).ok_or_else(|| wrong("an option has no value, or a wrong one"))?;
                table.0.push(Service { key, settings, servers: Vec::new() });
            }
            "-a" => {
                let server = server(rest).ok_or_else(|| wrong("an option has no value, or a wrong one"))?;
                let service = table.service_mut(key).ok_or_else(|| wrong("the service of the server is missing"))?;
                if service.server(server.address).is_some() {
                    return Err(wrong("the server stands there already"));
                }
                service.servers.push(server);
            }
            _ => return Err(wrong("it begins neither with -A nor with -a")),
        }
    }
    Ok(table)
}

/// The service that a line is about, and the words behind it.
fn key<'a>(words: &'a [&'a str]) -> Option<(Key, &'a [&'a str])> {
    match words {
        ["-f", mark, "-6", rest @ ..] => Some((Key::Mark { mark: mark_of(mark)?, v6: true }, rest)),
        ["-f", mark, rest @ ..] => Some((Key::Mark { mark: mark_of(mark)?, v6: false }, rest)),
        [option, at, rest @ ..] => {
            Some((Key::Address { protocol: Protocol::of_option(option)?, at: socket(at)? }, rest))
        }
        _ => None,
    }
}

/// ipvsadm prints large marks as negative numbers.
fn mark_of(text: &str) -> Option<u32> {
    let mark = match text.strip_prefix('-') {
        Some(_) => text.parse::<i32>().ok()? as u32,
        None => number(text)?,
    };
    (mark > 0).then_some(mark)
}

fn settings(mut words: &[&str]) -> Option<Settings> {
    let mut settings = Settings::new("");
    loop {
        words = match words {
            [] => break,
            ["-s", scheduler, rest @ ..] => {
                settings.scheduler = (*scheduler).to_owned();
                rest
            }
            ["-p", seconds, rest @ ..] => {
                settings.persistent_s = Some(number(seconds)?);
                rest
            }
            ["-M", mask, rest @ ..] => {
                settings.netmask = Some(mask.parse().ok()?).filter(|m: &super::table::Netmask| !m.is_whole());
                rest
            }
            ["--pe", engine, rest @ ..] => {
                settings.engine = Some((*engine).to_owned());
                rest
            }
            ["-b", flags, rest @ ..] => {
                settings.flags = flags.split(',').filter(|f| !f.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>();
                rest
            }
            ["-o" | "--ops", rest @ ..] => {
                settings.ops = true;
                rest
            }
            unknown => {
                settings.other = unknown.iter().map(|w| (*w).to_owned()).collect();
                break;
            }
        }
    }
    (!settings.scheduler.is_empty()).then_some(settings)
}

fn server(words: &[&str]) -> Option<Server> {
    let ["-r", address, forward, "-w", weight, rest @ ..] = words else { return None };
    let rest = match rest {
        // The tunnel that `-i` alone means.
        ["--tun-type", "ipip", rest @ ..] => rest,
        rest => rest,
    };
    Some(Server {
        address: socket(address)?,
        forward: Forward::of_option(forward)?,
        // ipvsadm prints what is too large for it as a negative number; none of that is ours.
        weight: number(weight)?,
        lower: 0,
        upper: 0,
        other: rest.iter().map(|w| (*w).to_owned()).collect(),
    })
}

/// Adds what `ipvsadm -L -n --thresholds` prints of the same table. Long addresses are cut off there: the order tells them
/// apart.
///
/// # Errors
/// Where it is another table.
pub fn add_thresholds(table: &mut Table, text: &str) -> Result<(), SavedError> {
    let mut rows = text.lines().skip_while(|l| !l.starts_with("  -> ")).skip(1);
    for service in &mut table.0 {
        let row = rows.next().ok_or(SavedError::Thresholds)?;
        if row.starts_with(' ') {
            return Err(SavedError::Thresholds);
        }
        for server in &mut service.servers {
            let row = rows.next().and_then(|r| r.strip_prefix("  -> ")).ok_or(SavedError::Thresholds)?;
            let mut words = row.split_ascii_whitespace();
            let name = words.next().ok_or(SavedError::Thresholds)?;
            if !server.address.to_string().starts_with(name) {
                return Err(SavedError::Thresholds);
            }
            let mut next = || words.next().and_then(number).ok_or(SavedError::Thresholds);
            (server.upper, server.lower) = (next()?, next()?);
        }
    }
    if rows.any(|row| !row.trim().is_empty()) { Err(SavedError::Thresholds) } else { Ok(()) }
}

/// The table as `ipvsadm -S -n` prints it.
pub fn print(table: &Table) -> String {
    let mut lines = Vec::new();
    for service in &table.0 {
        let key = service.key.words();
        let settings = service.settings.words();
        lines.push([&["-A".to_owned()][..], &key, &settings, &service.settings.other].concat().join(" "));
        for server in &service.servers {
            let words = Server { upper: 0, lower: 0, ..server.clone() }.words();
            let tunnel = match (server.forward, server.other.is_empty()) {
                (Forward::Ipip, true) => vec!["--tun-type".to_owned(), "ipip".to_owned()],
                _ => server.other.clone(),
            };
            lines.push([&["-a".to_owned()][..], &key, &words, &tunnel].concat().join(" "));
        }
    }
    lines.iter().map(|l| format!("{l}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAVED: &str = "\
-A -f 3 -s rr
-a -f 3 -r 10.0.0.1:0 -g -w 1
-A -f 3 -6 -s rr
-A -t 10.0.0.100:80 -s wrr -p 600 -M 255.255.255.0
-a -t 10.0.0.100:80 -r 10.0.0.1:80 -g -w 3
-a -t 10.0.0.100:80 -r 10.0.0.2:80 -i -w 0 --tun-type ipip
-A -u [2001:db8::100]:53 -s sh -b sh-port,sh-fallback -o
-a -u [2001:db8::100]:53 -r [2001:db8::1]:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-A --sctp-service 10.0.0.100:9 -s wlc --pe sip --new thing
";

    #[test]
    fn what_it_prints() {
        let table = parse(SAVED.as_bytes()).unwrap();
        assert_eq!(table.0.len(), 5);
        let web = table.service("tcp://10.0.0.100:80".parse().unwrap()).unwrap();
        assert_eq!((web.settings.persistent_s, web.settings.netmask), (Some(600), "255.255.255.0".parse().ok()));
        let servers: Vec<_> = web.servers.iter().map(|s| (s.forward.word(), s.weight, s.other.len())).collect();
        assert_eq!(servers, [("gate", 3, 0), ("ipip", 0, 0)]);
        let dns = table.service("udp://[2001:db8::100]:53".parse().unwrap()).unwrap();
        assert!(dns.settings.ops && dns.settings.flags.len() == 2 && dns.servers[0].other.len() == 5);
        assert!(table.service("fwmark6://3".parse().unwrap()).is_some());
        let sip = table.service("sctp://10.0.0.100:9".parse().unwrap()).unwrap();
        assert_eq!((sip.settings.engine.as_deref(), sip.settings.other.len()), (Some("sip"), 2));
        assert_eq!(parse(print(&table).as_bytes()).unwrap(), table);
        let whole = parse(b"-A -t 10.0.0.1:1 -s rr -p 5 -M 255.255.255.255\n").unwrap();
        assert_eq!(whole.0[0].settings.netmask, None);
        assert_eq!(parse(b"-A -f -2 -s rr\n").unwrap().0[0].key.to_string(), "fwmark://4294967294");
    }

    #[test]
    fn what_it_never_prints() {
        for bad in [
            "-D -t 10.0.0.1:1",
            "-A -t 10.0.0.1:1",
            "-A -t 10.0.0.1 -s rr",
            "-A -f 0 -s rr",
            "-A -t 10.0.0.1:1 -s rr\n-A -t 10.0.0.1:1 -s rr",
            "-a -t 10.0.0.1:1 -r 10.0.0.2:1 -g -w 1",
            "-A -t 10.0.0.1:1 -s rr\n-a -t 10.0.0.1:1 -r 10.0.0.2:1 -g -w x",
            "-A -t 10.0.0.1:1 -s rr\n-a -t 10.0.0.1:1 -r 10.0.0.2:1 -l -w 1",
            "IP Virtual Server version 1.2.1",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"-A -t 10.0.0.1:1 -s \xff").is_err());
    }

    #[test]
    fn thresholds_by_their_order() {
        let list = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn
  -> RemoteAddress:Port
TCP  10.0.0.100:80
  -> 10.0.0.1:80                  20         10         0          0
UDP  [2001:db8::100]:53
  -> [2001:db8:aaaa:bbbb:cccc::1  0          7          0          0
";
        let saved = b"-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.0.0.1:80 -g -w 1
-A -u [2001:db8::100]:53 -s rr\n-a -u [2001:db8::100]:53 -r [2001:db8:aaaa:bbbb:cccc::1234]:53 -g -w 1\n";
        let mut table = parse(saved).unwrap();
        add_thresholds(&mut table, list).unwrap();
        let found: Vec<_> = table.0.iter().flat_map(|s| &s.servers).map(|s| (s.upper, s.lower)).collect();
        assert_eq!(found, [(20, 10), (0, 7)]);
        for other in [&b""[..], b"-A -t 10.0.0.100:80 -s rr\n", &saved[..90]] {
            assert!(parse(other).is_err() || add_thresholds(&mut parse(other).unwrap(), list).is_err());
        }
        assert_eq!(add_thresholds(&mut Table::default(), ""), Ok(()));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(mut table) = parse(&bytes) {
                let _ = add_thresholds(&mut table, &String::from_utf8_lossy(&bytes));
            }
        }

        #[test]
        fn words_in_any_order_come_back(words in proptest::collection::vec(0usize..22, 0..40)) {
            const WORDS: [&str; 22] = ["-A", "-a", "-t", "-u", "-f", "-6", "\n-A", "\n-a", "10.0.0.1:80", "[::1]:80", "7",
                "-s", "rr", "-r", "-g", "-i", "-w", "-p", "-M", "--tun-type", "ipip", "x"];
            let text: Vec<&str> = words.iter().map(|n| WORDS[*n]).collect();
            if let Ok(table) = parse(text.join(" ").as_bytes()) {
                prop_assert_eq!(parse(print(&table).as_bytes()), Ok(table));
            }
        }
    }
}
