use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::checks::{Prober, sets};
use super::wanted::{Board, NoState, State, states, wanted};
use super::{Ldirectord, Names, parse};
use crate::cli::event::Event;
use crate::config::{Parsed, Severity};

fn names() -> Names {
    Names::parse(
        "127.0.0.1 localhost\n10.0.0.9 web9.example.com web9 # nine\n2001:db8::9 web9\n",
        "www 80/tcp http\ndomain 53/udp\nhttps 443/tcp\n",
    )
}

fn read(text: &str) -> Parsed<Ldirectord> {
    parse(Path::new("x.cf"), text, &names())
}

fn good(text: &str) -> Ldirectord {
    let parsed = read(text);
    assert!(parsed.problems.iter().all(|p| p.severity < Severity::Error), "{:#?}", parsed.problems);
    parsed.content
}

const CF: &str = "\
# Global
checktimeout = 3
checkinterval=1
fallback=127.0.0.1:80
quiescent = no
logfile = \"/var/log/x.log\"
emailalert = admin@example.com

virtual=10.0.0.100:80
\treal=10.0.0.1:80 gate 3
    real = 10.0.0.2->10.0.0.3:80 gate
#  a comment ends nothing
\treal=web9:www masq 1 \"alive.html\", \"I'm alive\" l:10 u:20
\tservice=http
\trequest=\"index.html\" # of ours
\treceive=\"Test Page\"
\tvirtualhost=www.example.com
\tscheduler=wlc
\tpersistent=600
\tnetmask=255.255.255.0
\tfailurecount=2
\tquiescent=yes

virtual6=[2001:db8::100]:443
\treal6=[2001:db8::1]:443 gate
\tfallback6=[::1]:443
\tvirtualhost=\"www.example.com\"

virtual=1
\treal=10.0.0.1 gate
\tchecktype=ping
\tcheckcount=3
virtual=10.0.0.100:53
\treal=10.0.0.1:53 masq
\trequest=\"example.com\"
";

#[test]
fn a_whole_file() {
    let conf = good(CF);
    let names: Vec<String> = conf.virtuals.iter().map(super::Virtual::name).collect();
    assert_eq!(names, ["tcp:10.0.0.100:80", "tcp:[2001:db8::100]:443", "fwm:1", "udp:10.0.0.100:53"]);
    let web = &conf.virtuals[0];
    let reals: Vec<String> = web.reals.iter().map(|r| format!("{} {}", r.address, r.weight)).collect();
    assert_eq!(reals, ["10.0.0.1:80 3", "10.0.0.2:80 1", "10.0.0.3:80 1", "10.0.0.9:80 1"]);
    assert_eq!((web.reals[3].lower, web.reals[3].upper), (10, 20));
    assert_eq!((web.settings.scheduler.as_str(), web.settings.persistent_s), ("wlc", Some(600)));
    assert_eq!((conf.quiescent(web), conf.quiescent(&conf.virtuals[1])), (true, false), "its own word counts");
    assert_eq!((conf.fall(web), conf.fall(&conf.virtuals[2])), (2, 3));
    // Negotiating, the closest of either time counts; else the other way about.
    let seconds: Vec<u64> = conf.virtuals.iter().map(|v| conf.timeout(v).as_secs()).collect();
    assert_eq!(seconds, [3, 3, 3, 3]);
    assert_eq!(good("virtual=1\n\treal=10.0.0.1 gate\n").virtuals[0].service, "none");
    let plain = good("virtual=10.0.0.1:80\n\treal=10.0.0.1:80 gate\n");
    assert_eq!((plain.timeout(&plain.virtuals[0]).as_secs(), plain.every(&plain.virtuals[0]).as_secs()), (30, 10));
    let services: Vec<&str> = conf.virtuals.iter().map(|v| v.service.as_str()).collect();
    assert_eq!(services, ["http", "https", "none", "dns"]);
    let shown: Vec<_> = conf.virtuals.iter().map(|v| conf.fallback(v).map(|(a, _)| a.to_string())).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(shown, [some("127.0.0.1:80"), some("[::1]:443"), some("127.0.0.1:80"), some("127.0.0.1:53")]);
    assert_eq!(conf.ignored[0].directive, "emailalert");
}

#[test]
fn wrong_lines_are_all_named() {
    let lines = |text: &str| {
        let problems = read(text).problems;
        problems.iter().filter(|p| p.severity == Severity::Error).filter_map(|p| p.line).collect::<Vec<_>>()
    };
    let bad = "nonsense\nquiescent=perhaps\nvirtual=10.0.0.100\n\treal=10.0.0.1 gate\n\nchecktimeout=0\ntimeout=3\n\
               virtual=10.0.0.100:80\n\treal=10.0.0.1:80 road\n\treal=nowhere:80 gate\n\treal6=[::1]:80 gate\n\
               \treceive=\"(?=x)\"\n\tchecktype=maybe\n\tautoreload=yes\n\n\tservice=http\n";
    assert_eq!(lines(bad), [1, 2, 3, 6, 7, 8, 9, 10, 11, 13, 14, 16]);
    for text in [
        "virtual=[2001:db8::1]:80\n",
        "virtual6=10.0.0.1:80\n",
        "virtual=0\n",
        "virtual=10.0.0.1:0\n",
        "virtual=10.0.0.1:nope\n",
        "callback=\"relative\"\n",
        "virtual=10.0.0.1:80\n\treal=10.0.0.1:80 gate 1 \"a\n",
        "virtual=10.0.0.1:80\n\treal=10.0.0.9->10.0.0.1:80 gate\n",
        "virtual=10.0.0.1:53\n\tservice=dns\n\trequest=\"a b c\"\n\treal=10.0.0.2:53 gate\n",
        "virtual=10.0.0.1:1812\n\tprotocol=udp\n\tservice=radius\n\treal=10.0.0.2:1812 gate\n",
        "virtual=10.0.0.1:80\n\treal=10.0.0.1:80 gate 1 x:3\n",
        "virtual=10.0.0.1:80\n\tchecktype=external\n\tcheckcommand=true\n",
        "virtual=1\n\tservice=simpletcp\n\treal=10.0.0.1 gate\n",
        "virtual=10.0.0.1:80\nvirtual=10.0.0.1:www\n",
        "virtual6=[2001:db8::1]80\n",
        "virtual6=[2001:db8::1]:80\n\treal6=[2001:db8::2]x gate\n",
        "virtual=10.0.0.1:80\n\tscheduler=longer-than-any-name\n",
    ] {
        assert!(!lines(text).is_empty(), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_range_is_said_once() {
    let wrong = "virtual=10.0.0.100:80\n\treal=10.0.0.1->10.0.0.99:80 gate \"a\", \"(\"\n\tservice=http\n";
    assert_eq!(read(wrong).problems.iter().filter(|p| p.severity == Severity::Error).count(), 1);
}

fn targets(text: &str) -> Vec<(Prober, u64, u32, Vec<Value>)> {
    let row = |set: super::checks::Set| {
        let targets = set.targets.iter().map(|t| Value::Object(t.fields().clone())).collect();
        (set.prober, set.every.as_millis() as u64, set.fall, targets)
    };
    sets(&good(text)).into_iter().map(row).collect()
}

#[test]
fn checks_by_prober() {
    let all = targets(CF);
    let shown: Vec<_> = all.iter().map(|(p, every, fall, t)| (p.word(), *every, *fall, t.len())).collect();
    assert_eq!(
        shown,
        [("probe-http", 1000, 2, 4), ("probe-http", 1000, 1, 1), ("probe-ping", 1000, 3, 1), ("probe-tcp", 1000, 1, 1)]
    );
    let first = &all[0].3[0];
    assert_eq!(first["target"], "tcp:10.0.0.100:80 10.0.0.1:80");
    assert_eq!((&first["url"], &first["body"]), (&json!("http://10.0.0.1:80/index.html"), &json!("Test Page")));
    assert_eq!((&first["headers"], &first["timeout_ms"]), (&json!(["Host: www.example.com"]), &json!(3000.0)));
    assert_eq!(
        (&all[0].3[3]["url"], &all[0].3[3]["body"]),
        (&json!("http://10.0.0.9:80/alive.html"), &json!("I'm alive"))
    );
    let tls = &all[1].3[0];
    assert_eq!(tls["resolve"], json!(["www.example.com:443:[2001:db8::1]"]));
    assert_eq!(tls["url"], "https://www.example.com:443/");
    assert_eq!(all[2].3[0]["host"], "10.0.0.1");
    let dns = &all[3].3[0];
    assert_eq!((&dns["service"], &dns["udp"], &dns["request"]), (&json!("dns"), &json!(true), &json!("example.com")));
}

#[test]
fn dialogues_and_commands() {
    let of = |more: &str| {
        let all = targets(&format!("virtual=10.0.0.100:7\n\treal=10.0.0.1:7 masq\n{more}"));
        let (prober, _, _, targets) = &all[0];
        (prober.word(), targets[0].clone())
    };
    let (_, simple) = of("\tservice=simpletcp\n\trequest=\"a\\nb\"\n\treceive=\"c\"\n");
    assert_eq!(simple["dialogue"], json!([{"send": "a\nb"}, {"expect": "c"}]));
    let (_, proxy) = of("\tservice=http_proxy\n\trequest=\"http://example.com/x\"\n\treceive=\"y\"\n");
    assert_eq!(
        proxy["dialogue"][0]["send"],
        "GET http://example.com/x HTTP/1.0\r\nHost: example.com\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(proxy["dialogue"][2]["expect"], "y");
    let (_, connect) = of("\tchecktype=connect\n\tcheckport=9\n");
    assert_eq!((&connect["address"], &connect["dialogue"]), (&json!("10.0.0.1:9"), &Value::Null));
    let (_, sql) = of("\tservice=mysql\n\tlogin=\"me\"\n\tpasswd=\"p\"\n\tdatabase=\"d\"\n\trequest=\"SELECT 1\"\n");
    assert_eq!((&sql["user"], &sql["password"], &sql["request"]), (&json!("me"), &json!("p"), &json!("SELECT 1")));
    let (prober, ftp) = of("\tservice=ftp\n\tlogin=\"me\"\n\trequest=\"a/b\"\n");
    assert_eq!((prober, &ftp["url"], &ftp["user"]), ("probe-ftp", &json!("ftp://10.0.0.1:7/a/b"), &json!("me")));
    let (prober, external) = of("\tchecktype=external\n\tcheckcommand=\"/x y\"\n");
    assert_eq!(prober, "probe-exec");
    let words = ["sh", "-c", "\"$@\" || exit 2", "external", "/x y", "10.0.0.100", "7", "10.0.0.1", "7"];
    assert_eq!(external["command"], json!(words));
    assert_eq!(of("\tprotocol=udp\n\tchecktype=connect\n").0, "probe-ping");
    assert!(targets("virtual=10.0.0.100:7\n\treal=10.0.0.1:7 masq\n").is_empty(), "a service that is none is up");
}

fn servers(text: &str, said: &str, files: &[&str]) -> Vec<(String, Value)> {
    let conf = good(text);
    let lines = wanted(&conf, &states(said).unwrap(), &names(), &|path| files.iter().any(|f| Path::new(f) == path));
    let first = lines[0].fields()["servers"].as_array().unwrap().clone();
    for line in &lines {
        let object = Value::Object(line.fields().clone());
        crate::lvs::wanted::from_line(&object).unwrap_or_else(|e| panic!("{object}: {e}"));
    }
    first.iter().map(|s| (s["address"].as_str().unwrap().to_owned(), s["weight"].clone())).collect()
}

#[test]
fn the_table_by_the_states() {
    let cf = |more: &str| {
        format!(
            "{more}\nmaintenancedir=/m\nvirtual=10.0.0.100:80\n\treal=10.0.0.1:80 gate 3\n\treal=10.0.0.9:80 gate\n\
                 \tfallback=127.0.0.1\n"
        )
    };
    let a = "tcp:10.0.0.100:80 10.0.0.1:80";
    let b = "tcp:10.0.0.100:80 10.0.0.9:80";
    let of = |more: &str, said: String, files: &[&str]| {
        let all = servers(&cf(more), &said, files);
        all.iter().map(|(a, w)| format!("{a}={w}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("", String::new(), &[]), "10.0.0.1:80=null 10.0.0.9:80=null", "nothing before the first check");
    assert_eq!(of("", format!("{a}\tup\n"), &[]), "10.0.0.1:80=3 10.0.0.9:80=null");
    assert_eq!(of("", format!("{a}\tup\n{b}\tdown\n"), &[]), "10.0.0.1:80=3 10.0.0.9:80=0");
    assert_eq!(of("quiescent=no", format!("{a}\tup\n{b}\tdown\n"), &[]), "10.0.0.1:80=3");
    assert_eq!(of("quiescent=no", format!("{a}\tdown\n{b}\tdown\n"), &[]), "127.0.0.1:80=1");
    assert_eq!(of("", format!("{a}\tdown\n{b}\tdown\n"), &[]), "10.0.0.1:80=0 10.0.0.9:80=0 127.0.0.1:80=1");
    assert_eq!(of("", format!("{a}\tdown\n{b}\tunknown\n"), &[]), "10.0.0.1:80=0 10.0.0.9:80=null", "nobody knows yet");
    for file in ["/m/10.0.0.9", "/m/10.0.0.9:80", "/m/web9", "/m/web9.example.com:80"] {
        assert_eq!(of("", format!("{a}\tup\n{b}\tup\n"), &[file]), "10.0.0.1:80=3 10.0.0.9:80=0", "{file}");
    }
    assert_eq!(of("", format!("{a}\tup\n{b}\tup\n"), &["/m/10.0.0.9:81"]), "10.0.0.1:80=3 10.0.0.9:80=1");
    assert_eq!(states("x\tmaybe\n"), Err(1));
    assert_eq!(states("x up"), Err(1));
    assert_eq!(states("x\tup\n\nx\tdown\n"), Ok(HashMap::from([("x".to_owned(), State::Down)])));
}

#[test]
fn what_follows_from_one_more_state() {
    let conf = good(
        "virtual=10.0.0.100:80\n\treal=10.0.0.1:80 gate\nvirtual=10.0.0.101:80\n\treal=10.0.0.1:80 gate\n\tchecktype=connect\n",
    );
    let names = names();
    let mut board = Board::new(&conf, &names, HashMap::new());
    let told = |services: Vec<Event>| services.iter().map(|s| s.fields()["virtual"].clone()).collect::<Vec<_>>();
    assert_eq!(board.all().len(), 2);
    let second = "tcp:10.0.0.101:80 10.0.0.1:80";
    for (line, changed) in [("up", 1), ("up", 0), ("down", 1)] {
        assert_eq!(board.take(&format!("{second}\t{line}")), Ok(()));
        assert_eq!(told(board.changed()), vec![json!("tcp:10.0.0.101:80"); changed], "{line}");
    }
    assert_eq!((board.take("nonsense"), told(board.changed()).len()), (Err(NoState), 0));
    // Of a server that is in no service, and after a look at all of them.
    assert_eq!((board.take("gone\tup"), told(board.changed()).len()), (Ok(()), 0));
    assert_eq!((board.take(""), told(board.changed()).len()), (Ok(()), 2));
}

#[test]
fn on_and_off() {
    let of = |how: &str| {
        servers(
            &format!("virtual=10.0.0.100:80\n\treal=10.0.0.1:80 gate 3\n\tfallback=127.0.0.1\n\tchecktype={how}\n"),
            "",
            &[],
        )
    };
    assert_eq!(of("on"), [("10.0.0.1:80".to_owned(), json!(3))]);
    assert_eq!(of("off"), [("10.0.0.1:80".to_owned(), json!(0))]);
}

proptest! {
    #[test]
    fn never_panics(text in "([a-z6]{0,9}|virtual6?|real6?|[ \t#=]{0,5}|[0-9.:\\[\\]\"/>-]{0,20}|gate|\n){0,40}") {
        let parsed = read(&text);
        let lines = text.split('\n').count() as u32;
        prop_assert!(parsed.problems.iter().all(|p| p.line.is_none_or(|l| (1..=lines).contains(&l))));
        if let Ok(parsed) = parsed.usable() {
            let _ = sets(&parsed.content);
            let lines = wanted(&parsed.content, &HashMap::new(), &names(), &|_| false);
            prop_assert_eq!(lines.len(), parsed.content.virtuals.len());
        }
    }
}
