//! Heartbeat's media on real links: hosts as network namespaces on one bridge.
#![allow(clippy::unwrap_used)]

#[path = "support/hosts.rs"]
mod hosts;

use hosts::LONG;
use serde_json::Value;
use takeover_lab::{Child, Cut, Host, Lab};

const A: &str = "10.8.0.1";
const B: &str = "10.8.0.2";

fn two() -> Lab {
    Lab::up(&[("a", "10.8.0.1/24"), ("b", "10.8.0.2/24")])
}

fn media(host: Host, line: &str) -> Child {
    let mut command = host.tool("lab-media");
    command.args(line.split_whitespace());
    Child::spawn(command)
}

/// A line to wait for.
type Wanted = Box<dyn Fn(&Value) -> bool>;

fn changed(medium: &str, is: bool) -> Wanted {
    because(medium, is, "")
}

/// A change whose cause ends like that.
fn because(medium: &str, is: bool, cause: &str) -> Wanted {
    let (medium, cause) = (medium.to_owned(), cause.to_owned());
    let ends = move |v: &Value| v["cause"].as_str().is_some_and(|c| c.ends_with(&cause));
    Box::new(move |v| v["event"] == "change" && v["medium"] == *medium && v["is"] == is && ends(v))
}

fn heard(medium: &str, from: Option<&str>) -> Wanted {
    let (medium, from) = (medium.to_owned(), from.map(str::to_owned));
    Box::new(move |v| {
        v["event"] == "packet" && v["medium"] == *medium && from.as_ref().is_none_or(|from| v["from"] == **from)
    })
}

/// Waits until each line has come, in whatever order.
#[track_caller]
fn all(child: &mut Child, wanted: impl IntoIterator<Item = Wanted>) {
    let mut wanted: Vec<Wanted> = wanted.into_iter().collect();
    while !wanted.is_empty() {
        let line = child.next(LONG);
        wanted.retain(|wanted| !wanted(&line));
    }
}

/// An interface of its own number each time that it is made, on the same link, without addresses.
fn make(host: Host, up: bool) {
    host.sh("ip link add hb0 link eth0 type macvlan mode bridge");
    if up {
        host.sh("ip link set hb0 up");
    }
}

#[test]
fn every_kind_of_datagram_arrives() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let b6 = b.ip6();
    let ours = [
        format!("udp:{B}:1001"),
        format!("udp:[{b6}]:1002"),
        "udp:1003@eth0".to_owned(),
        "mcast:239.0.0.1:1004@eth0".to_owned(),
        "mcast:[ff02::694]:1005@eth0".to_owned(),
        "udp:1006".to_owned(),
    ];
    let mut ears = media(b, &format!("hear {}", ours.join(" ")));
    all(&mut ears, ours.iter().map(|medium| changed(medium, true)));
    let _mouth = media(
        a,
        &format!(
            "say ucast:{B}:1001 ucast:[{b6}]:1002@eth0 bcast:eth0:1003 mcast:239.0.0.1:1004@eth0 \
             mcast:[ff02::694]:1005@eth0 bcast:eth0:1006 ucast:{B}:1006 ucast:[{b6}]:1006"
        ),
    );
    let (a4, a6) = (Some(A), a.ip6().to_string());
    let wanted = [
        heard(&ours[0], a4),
        heard(&ours[1], Some(&a6)),
        heard(&ours[2], a4),
        heard(&ours[3], a4),
        heard(&ours[4], None),
        heard(&ours[5], a4),
        heard(&ours[5], Some(&a6)),
    ];
    all(&mut ears, wanted);
}

#[test]
fn an_interface_needs_no_address_for_broadcasts_and_may_have_others() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut ears = media(b, "hear udp:694@eth0");
    all(&mut ears, [changed("udp:694@eth0", true)]);
    // Neither side has an address of the other's network.
    a.sh("ip addr flush dev eth0 scope global; ip addr add 172.16.1.1/24 dev eth0; ip addr add 172.16.2.1/24 dev eth0");
    let mouth = media(a, "say bcast:eth0:694");
    all(&mut ears, [heard("udp:694@eth0", Some("172.16.1.1"))]);
    drop(mouth);
    a.sh("ip -4 addr flush dev eth0");
    b.sh("ip -4 addr flush dev eth0");
    let _mouth = media(a, "say bcast:eth0:694");
    all(&mut ears, [heard("udp:694@eth0", Some("0.0.0.0"))]);
}

#[test]
fn an_interface_that_comes_back_is_used_again() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let inlets = ["udp:694@hb0", "mcast:239.0.0.1:695@hb0", "mcast:[ff02::694]:696@hb0"];
    let outlets = ["bcast:hb0:694", "mcast:239.0.0.1:695@hb0", "mcast:[ff02::694]:696@hb0"];
    // Not there yet.
    let mut ears = media(b, &format!("hear {}", inlets.join(" ")));
    let mut mouth = media(a, &format!("say {}", outlets.join(" ")));
    let gone = |media: [&str; 3]| media.map(|m| because(m, false, &format!("{m}: no interface 'hb0' on this machine")));
    for _ in 0..3 {
        all(&mut ears, gone(inlets));
        all(&mut mouth, gone(outlets));
        make(b, true);
        make(a, true);
        all(&mut mouth, outlets.map(|m| changed(m, true)));
        all(&mut ears, inlets.map(|m| changed(m, true)).into_iter().chain(inlets.map(|m| heard(m, None))));
        a.sh("ip link del hb0");
        b.sh("ip link del hb0");
    }
}

#[test]
fn an_interface_that_is_replaced_at_once_is_noticed() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let medium = "udp:694@hb0";
    make(a, true);
    make(b, true);
    let mut ears = media(b, &format!("hear {medium}"));
    let mut mouth = media(a, "say bcast:hb0:694");
    all(&mut ears, [heard(medium, None)]);
    // Too fast to be seen as gone: what was open is of an interface that is not there.
    let again = "ip link del hb0; ip link add hb0 link eth0 type macvlan mode bridge; ip link set hb0 up";
    a.sh(again);
    b.sh(again);
    // What was queued is heard first; so wait for one that was said afterwards.
    let mut last = 0;
    for _ in 0..200 {
        let text = ears.next_where("packet", LONG, heard(medium, None))["text"].as_str().unwrap().to_owned();
        let number: u64 = text.lines().find_map(|l| l.strip_prefix("n=")).unwrap().parse().unwrap();
        assert!(number > last);
        last = number;
    }
    mouth.kill();
}

#[test]
fn an_interface_that_is_down_or_unplugged_is_said_so() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut ears = media(b, "hear udp:694@eth0 mcast:239.0.0.1:695@eth0");
    all(&mut ears, [changed("udp:694@eth0", true)]);
    let mut mouth = media(a, "say bcast:eth0:694 mcast:239.0.0.1:695@eth0");
    all(&mut ears, [heard("udp:694@eth0", None)]);
    b.cut(Cut::Carrier);
    all(&mut ears, [because("udp:694@eth0", false, ": interface eth0 has no carrier")]);
    b.heal();
    all(&mut ears, [changed("udp:694@eth0", true)]);
    a.sh("ip link set eth0 down");
    all(&mut mouth, [changed("bcast:eth0:694", false)]);
    b.sh("ip link set eth0 down");
    all(&mut ears, [because("udp:694@eth0", false, ": interface eth0 is down")]);
    a.sh("ip link set eth0 up");
    b.sh("ip link set eth0 up");
    all(&mut mouth, [changed("bcast:eth0:694", true), changed("mcast:239.0.0.1:695@eth0", true)]);
    // The group is joined as before.
    let group = "mcast:239.0.0.1:695@eth0";
    all(&mut ears, [changed("udp:694@eth0", true), changed(group, true), heard(group, None)]);
}

#[test]
fn a_packet_filter_and_a_lack_of_routes_are_states_of_the_medium() {
    let lab = two();
    let a = lab.host("a");
    let medium = format!("ucast:{B}:694");
    let mut mouth = media(a, &format!("say {medium} ucast:192.0.2.1:694"));
    let far = "ucast:192.0.2.1:694";
    let no_route = "no route leads there, or the interface is down (Network is unreachable)";
    all(&mut mouth, [because(far, false, no_route), changed(&medium, true)]);
    a.sh("nft add table ip f; nft add chain ip f o '{ type filter hook output priority 0; }'");
    a.sh("nft add rule ip f o udp dport 694 drop");
    let refused = "a packet filter of this machine refuses it (Operation not permitted)";
    all(&mut mouth, [because(&medium, false, refused)]);
    a.sh("nft delete table ip f; ip route add default via 10.8.0.2");
    all(&mut mouth, [changed(&medium, true), changed(far, true)]);
}
