//! vip-who, vip-take, vip-drop and garp on real links: hosts as network namespaces on one bridge.
#![allow(clippy::unwrap_used)]

#[path = "support/hosts.rs"]
mod hosts;

use std::time::Duration;

use hosts::{LONG, Ran, eventually, has, run, start};
use serde_json::json;
use takeover_lab::{Child, Cut, Lab};

const A: &str = "10.9.0.1";
const B: &str = "10.9.0.2";
const VIP: &str = "10.9.0.50";

fn two() -> Lab {
    Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")])
}

#[test]
fn who_answers() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let found = run(a, &format!("vip-who {B} --dev eth0"));
    assert_eq!(found.status, 0);
    let who = found.last();
    assert_eq!((&who["held"], &who["mine"], &who["macs"]), (&json!(true), &json!(false), &json!([b.mac()])));
    let nobody = run(a, &format!("vip-who {VIP} --dev eth0"));
    assert_eq!((nobody.status, &nobody.last()["macs"]), (1, &json!([])));
    let mine = run(a, &format!("vip-who {A} --dev eth0"));
    assert_eq!((mine.status, &mine.last()["mine"], &mine.last()["held"]), (0, &json!(true), &json!(false)));
    let v6 = run(a, &format!("vip-who {} --dev eth0", b.ip6()));
    assert_eq!((v6.status, &v6.last()["macs"]), (0, &json!([b.mac()])));
    assert_eq!(run(a, "vip-who fd00::dead --dev eth0").status, 1);
}

#[test]
fn several_answers_are_all_reported() {
    let lab = Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    for name in ["b", "c"] {
        lab.host(name).sh("ip addr add 10.9.0.50/24 dev eth0");
    }
    let found = run(lab.host("a"), &format!("vip-who {VIP} --dev eth0"));
    assert_eq!((found.status, &found.last()["macs"]), (0, &json!([lab.host("b").mac(), lab.host("c").mac()])));
    assert!(found.last()["cause"].as_str().unwrap().contains("conflict"));
}

#[test]
fn silence_without_a_carrier_is_never_nobody() {
    let lab = two();
    let a = lab.host("a");
    a.cut(Cut::Carrier);
    for line in [format!("vip-who {B} --dev eth0"), format!("vip-take {VIP}/24 --dev eth0")] {
        let ran = run(a, &line);
        assert_eq!((ran.status, &ran.last()["code"]), (69, &json!("no-carrier")), "{line}");
    }
    a.heal();
    a.sh("ip link set eth0 down");
    let ran = run(a, &format!("vip-take {VIP}/24 --dev eth0"));
    assert_eq!((ran.status, &ran.last()["code"]), (69, &json!("interface-down")));
    let ran = run(a, &format!("vip-who {VIP} --dev eth9"));
    assert_eq!((ran.status, &ran.last()["code"]), (69, &json!("no-such-interface")));
    assert!(!has(a, VIP));
}

#[test]
fn take_twice_drop_twice() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let first = run(a, &format!("vip-take {VIP}/24 --dev eth0 --label eth0:vip"));
    assert_eq!((first.status, &first.event("taken")["changed"]), (0, &json!(true)));
    assert_eq!(first.event("announced")["sent"], 2);
    assert!(a.sh("ip addr show dev eth0").contains("eth0:vip"));
    let again = run(a, &format!("vip-take {VIP}/24 --dev eth0"));
    assert_eq!((again.status, &again.event("taken")["changed"]), (0, &json!(false)));
    assert_eq!(run(b, &format!("vip-who {VIP} --dev eth0")).last()["macs"], json!([a.mac()]));

    let nowhere = run(a, "vip-drop 10.9.0.77");
    assert_eq!((nowhere.status, &nowhere.last()["dev"], &nowhere.last()["prefix"]), (0, &json!(null), &json!(null)));
    let dry = run(a, &format!("vip-drop {VIP} --dry-run"));
    assert_eq!((dry.status, &dry.last()["dry_run"], has(a, VIP)), (0, &json!(true), true));
    let dropped = run(a, &format!("vip-drop {VIP}"));
    assert_eq!((dropped.status, &dropped.last()["changed"], has(a, VIP)), (0, &json!(true), false));
    let nothing = run(a, &format!("vip-drop {VIP}/24 --dev eth0"));
    assert_eq!((nothing.status, &nothing.last()["changed"]), (0, &json!(false)));
}

#[test]
fn a_dry_run_changes_nothing() {
    let lab = two();
    let a = lab.host("a");
    let before = a.sh("ip addr; cat /proc/sys/net/ipv4/conf/eth0/promote_secondaries");
    let dry = run(a, &format!("vip-take {VIP}/24 --dev eth0 --dry-run"));
    assert_eq!((dry.status, &dry.last()["dry_run"], dry.events.len()), (0, &json!(true), 1));
    assert_eq!(run(a, &format!("garp {A} --dev eth0 --dry-run")).last()["sent"], 0);
    assert_eq!(a.sh("ip addr; cat /proc/sys/net/ipv4/conf/eth0/promote_secondaries"), before);
}

#[test]
fn held_by_another_it_is_refused_or_stolen_as_said() {
    let lab = Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    b.sh("ip addr add 10.9.0.50/24 dev eth0");
    let refused = run(a, &format!("vip-take {VIP}/24 --dev eth0"));
    assert_eq!((refused.status, &refused.last()["event"]), (1, &json!("held")));
    assert_eq!(refused.last()["macs"], json!([b.mac()]));
    assert!(refused.last()["hint"].as_str().unwrap().contains(b.mac()));
    let other = run(a, &format!("vip-take {VIP}/24 --dev eth0 --steal-from {}", c.mac()));
    assert_eq!(other.status, 1, "only the named holder is overridden");
    assert!(!has(a, VIP));
    let stolen = run(a, &format!("vip-take {VIP}/24 --dev eth0 --steal-from {}", b.mac()));
    assert_eq!((stolen.status, &stolen.event("taken")["macs"]), (0, &json!([b.mac()])));
    run(a, &format!("vip-drop {VIP}"));
    c.sh("ip addr add 10.9.0.50/24 dev eth0");
    assert_eq!(run(a, &format!("vip-take {VIP}/24 --dev eth0 --steal-from {}", b.mac())).status, 1);
    let any = run(a, &format!("vip-take {VIP}/24 --dev eth0 --if-held steal"));
    assert_eq!((any.status, any.event("taken")["macs"].as_array().unwrap().len()), (0, 2));
}

#[test]
fn the_same_for_ipv6() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let taken = run(a, "vip-take fd00::50/64 --dev eth0");
    assert_eq!((taken.status, &taken.event("announced")["form"]), (0, &json!("advertisement")));
    let shown = a.sh("ip -6 addr show dev eth0");
    assert!(shown.contains("nodad") && shown.contains("deprecated"), "not as a source, at once usable: {shown}");
    let refused = run(b, "vip-take fd00::50/64 --dev eth0");
    assert_eq!((refused.status, &refused.last()["macs"]), (1, &json!([a.mac()])));
    assert_eq!(run(a, "vip-drop fd00::50").last()["changed"], true);
    assert_eq!(run(b, "vip-take fd00::50/64 --dev eth0 --lease 1s").status, 0);
    eventually("the lease has run out", || !has(b, "fd00::50"));
}

#[test]
fn here_already_in_another_place() {
    let lab = two();
    let a = lab.host("a");
    let own = run(a, "vip-take 10.9.0.1/24 --dev eth0 --hold");
    assert_eq!((own.status, &own.last()["mine"]), (1, &json!(true)), "an address that is here for good is not leased");
    assert_eq!(run(a, "vip-drop 10.9.0.1/16").status, 64);
    assert!(has(a, "10.9.0.1"));
    a.sh("ip addr add 10.9.0.50/32 dev eth0");
    let refused = run(a, &format!("vip-take {VIP}/24 --dev eth0"));
    assert_eq!((refused.status, &refused.last()["mine"]), (1, &json!(true)));
    a.sh("ip addr add 10.9.0.50/24 dev eth0");
    let which = run(a, &format!("vip-drop {VIP}"));
    assert_eq!((which.status, &which.last()["code"]), (64, &json!("usage")));
    assert!(which.last()["hint"].as_str().unwrap().contains("10.9.0.50/32 --dev eth0"));
    assert_eq!(run(a, &format!("vip-drop {VIP}/32")).status, 0);
    assert!(a.sh("ip -o addr show dev eth0").contains("10.9.0.50/24"));
}

/// With promote_secondaries=0 the kernel removes a subnet's other addresses with its first one.
#[test]
fn neighbours_in_the_subnet_stay() {
    let lab = two();
    let a = lab.host("a");
    a.sh("sysctl -qw net.ipv4.conf.all.promote_secondaries=0 net.ipv4.conf.eth0.promote_secondaries=0");
    a.sh("ip addr add 10.8.0.1/24 dev eth0 && ip addr add 10.8.0.2/24 dev eth0 && ip addr add 10.8.0.3/24 dev eth0");
    assert_eq!(run(a, "vip-drop 10.8.0.1").status, 0);
    assert!(!has(a, "10.8.0.1") && has(a, "10.8.0.2") && has(a, "10.8.0.3"));
    // And one that expires: ours is the first of its subnet here.
    a.sh("sysctl -qw net.ipv4.conf.eth0.promote_secondaries=0");
    assert_eq!(run(a, "vip-take 10.7.0.1/24 --dev eth0 --lease 1s").status, 0);
    a.sh("ip addr add 10.7.0.2/24 dev eth0");
    eventually("the lease has run out", || !has(a, "10.7.0.1"));
    assert!(has(a, "10.7.0.2"));
}

#[test]
fn where_the_setting_cannot_be_made_it_refuses() {
    let lab = two();
    let a = lab.host("a");
    a.sh("sysctl -qw net.ipv4.conf.all.promote_secondaries=0 net.ipv4.conf.eth0.promote_secondaries=0");
    let ran = a.sh(&format!(
        "mount -o bind,ro /proc/sys /proc/sys 2>/dev/null || mount --bind /proc/sys /proc/sys; \
         mount -o remount,bind,ro /proc/sys; {} {VIP}/24 --dev eth0 2>/dev/null || echo \"status $?\"",
        takeover_lab::tool("vip-take").display()
    ));
    assert!(ran.contains("promote_secondaries"), "{ran}");
    assert!(!ran.contains("status 0") && !ran.contains("status 1\n"), "{ran}");
    assert!(!has(a, VIP));
}

#[test]
fn a_lease_ends_by_the_kernels_clock_and_is_renewed_by_running_it_again() {
    let lab = two();
    let a = lab.host("a");
    assert_eq!(run(a, &format!("vip-take {VIP}/24 --dev eth0 --lease 2s")).event("taken")["lease_s"], 2);
    assert_eq!(run(a, &format!("vip-take {VIP}/24 --dev eth0 --lease 100s")).event("taken")["changed"], false);
    assert!(a.sh("ip addr show dev eth0").contains("valid_lft 100sec"));
    run(a, &format!("vip-take {VIP}/24 --dev eth0 --lease 1s"));
    eventually("the lease has run out", || !has(a, VIP));
}

#[test]
fn command_substitution_returns_at_once_and_the_repeats_go_on() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    b.sh("nft add table arp t && nft add chain arp t in '{ type filter hook input priority 0; }' && \
          nft add rule arp t in arp saddr ip 10.9.0.50 arp operation request counter && \
          nft add rule arp t in arp saddr ip 10.9.0.50 arp operation reply counter");
    let taken = a.sh(&format!(
        "x=$({} {VIP}/24 --dev eth0 --announce 3 --announce-every 300ms --fields event); echo \"$x\" | tr '\\n' ' '",
        takeover_lab::tool("vip-take").display()
    ));
    assert_eq!(taken.trim(), "taken announced");
    // Three announcements in both forms.
    eventually("all are heard", || b.sh("nft list table arp t").matches("counter packets 3 ").count() == 2);
}

/// The repeating child ends with the address.
#[test]
fn no_announcement_outlives_the_address() {
    let lab = two();
    let a = lab.host("a");
    run(a, &format!("vip-take {VIP}/24 --dev eth0 --announce 1000 --announce-every 10ms"));
    let children = || a.sh("pgrep --ns $$ --nslist net -xc vip-take || true");
    assert_eq!(children().trim(), "1");
    run(a, &format!("vip-drop {VIP}"));
    eventually("the child has ended", || children().trim() == "0");
}

fn hold(lab: &Lab, name: &str, more: &str) -> Child {
    let mut child = start(lab.host(name), &format!("vip-take {VIP}/24 --dev eth0 --hold {more}"));
    child.next_event("taken", LONG);
    child
}

#[test]
fn a_holder_drops_it_at_every_end_that_it_can_see() {
    let lab = two();
    let a = lab.host("a");
    for (how, status) in [("TERM", 0), ("INT", 0), ("eof", 0), ("starved", 75)] {
        let more = match how {
            "eof" => "--until-eof",
            "starved" => "--feed 300ms",
            _ => "",
        };
        let mut holder = hold(&lab, "a", more);
        assert!(has(a, VIP));
        match how {
            "TERM" => holder.signal(takeover_lab::Signal::SIGTERM),
            "INT" => holder.signal(takeover_lab::Signal::SIGINT),
            "eof" => drop(holder.stdin()),
            _ => {}
        }
        let dropped = holder.next_event("dropped", LONG);
        assert_eq!(dropped["changed"], true);
        assert_eq!(holder.wait(LONG), status, "{how}: {}", holder.words());
        assert!(!has(a, VIP), "{how}");
    }
}

#[test]
fn a_fed_holder_holds() {
    let lab = two();
    let mut holder = hold(&lab, "a", "--feed 500ms");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100)); // the feeder's own pace
        holder.say("");
    }
    assert!(has(lab.host("a"), VIP));
    assert!(!holder.seen().iter().any(|e| e["event"] == "dropped"));
}

#[test]
fn a_killed_or_frozen_holder_loses_it_by_the_kernels_clock() {
    let lab = two();
    let a = lab.host("a");
    let mut killed = hold(&lab, "a", "--lease 1s");
    killed.kill();
    eventually("the lease of a killed holder has run out", || !has(a, VIP));
    let mut frozen = hold(&lab, "a", "--lease 1s");
    frozen.stop();
    eventually("the lease of a frozen holder has run out", || !has(a, VIP));
    // Nobody has taken it meanwhile: it asks, and puts it back.
    frozen.cont();
    frozen.next_event("stalled", LONG);
    assert_eq!(frozen.next_event("restored", LONG)["changed"], true);
    assert!(has(a, VIP));
    // Somebody has.
    frozen.stop();
    eventually("the lease of a frozen holder has run out again", || !has(a, VIP));
    assert_eq!(run(lab.host("b"), &format!("vip-take {VIP}/24 --dev eth0")).status, 0);
    frozen.cont();
    let lost = frozen.next_event("lost", LONG);
    assert_eq!(lost["macs"], json!([lab.host("b").mac()]));
    assert_eq!(frozen.wait(LONG), 1);
    assert!(!has(a, VIP));
}

#[test]
fn a_deleted_address_is_put_back_unless_another_has_it() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut holder = hold(&lab, "a", "");
    a.sh("ip addr del 10.9.0.50/24 dev eth0");
    holder.next_event("missing", LONG);
    assert_eq!(holder.next_event("restored", LONG)["changed"], true);
    assert!(has(a, VIP));
    b.sh("ip addr add 10.9.0.50/24 dev eth0");
    a.sh("ip addr del 10.9.0.50/24 dev eth0");
    assert_eq!(holder.next_event("lost", LONG)["macs"], json!([b.mac()]));
    assert_eq!(holder.wait(LONG), 1);
}

#[test]
fn a_conflict_is_confirmed_defended_and_over() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    let mut holder = hold(&lab, "a", "");
    b.sh("ip addr add 10.9.0.50/24 dev eth0");
    assert_eq!(run(b, &format!("garp {VIP} --dev eth0")).status, 0);
    let conflict = holder.next_event("conflict", LONG);
    assert_eq!((&conflict["mac"], &conflict["is"]), (&json!(b.mac()), &json!("conflict")));
    b.sh("ip addr del 10.9.0.50/24 dev eth0");
    assert_eq!(holder.next_event("conflict", LONG)["is"], "clear");
    holder.next_where("announcement", LONG, |e| e["cause"] == "the conflict is over");
    assert!(has(a, VIP));
}

#[test]
fn yield_gives_way_to_a_confirmed_claim_but_not_to_a_forged_one() {
    let lab = Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    let mut holder = hold(&lab, "a", "--on-conflict yield");
    // Announced for a machine that does not have it.
    assert_eq!(run(c, &format!("garp {VIP} --dev eth0 --mac {}", b.mac())).status, 0);
    let claim = holder.next_event("claim", LONG);
    assert_eq!((&claim["mac"], &claim["confirmed"]), (&json!(b.mac()), &json!(false)));
    assert!(has(a, VIP));
    b.sh("ip addr add 10.9.0.50/24 dev eth0");
    run(b, &format!("garp {VIP} --dev eth0"));
    holder.next_event("dropped", LONG);
    assert_eq!(holder.wait(LONG), 1);
    assert!(!has(a, VIP));
}

#[test]
fn a_question_of_another_is_told_and_answered() {
    let lab = two();
    let mut holder = hold(&lab, "a", "");
    let b = lab.host("b");
    assert_eq!(run(b, &format!("vip-take {VIP}/24 --dev eth0")).status, 1);
    let claim = holder.next_event("claim", LONG);
    assert_eq!((&claim["kind"], &claim["mac"]), (&json!("probe"), &json!(b.mac())));
}

#[test]
fn a_carrier_loss_is_told_and_followed_by_an_announcement() {
    let lab = two();
    let a = lab.host("a");
    let mut holder = hold(&lab, "a", "");
    a.cut(Cut::Carrier);
    assert_eq!(holder.next_event("carrier", LONG)["is"], "down");
    a.heal();
    assert_eq!(holder.next_event("carrier", LONG)["is"], "up");
    holder.next_where("announcement", LONG, |e| e["cause"] == "the carrier is back");
}

#[test]
fn an_interface_that_vanishes_ends_the_holder() {
    let lab = two();
    let a = lab.host("a");
    let mut holder = hold(&lab, "a", "");
    a.sh("ip link del eth0");
    holder.next_event("lost", LONG);
    assert_eq!(holder.wait(LONG), 69, "{}", holder.words());
}

#[test]
fn waiting_takes_it_as_soon_as_it_is_free() {
    let lab = two();
    let (a, b) = (lab.host("a"), lab.host("b"));
    b.sh("ip addr add 10.9.0.50/24 dev eth0");
    let mut waiting =
        start(a, &format!("vip-take {VIP}/24 --dev eth0 --hold --if-held wait --wait-every 50ms --until-eof"));
    assert_eq!(waiting.next_event("held", LONG)["macs"], json!([b.mac()]));
    b.sh("ip addr del 10.9.0.50/24 dev eth0");
    waiting.next_event("taken", LONG);
    assert!(has(a, VIP));
    drop(waiting.stdin());
    assert_eq!(waiting.wait(LONG), 0);
    // And it can be told to end while it waits.
    b.sh("ip addr add 10.9.0.50/24 dev eth0");
    let mut waiting = start(a, &format!("vip-take {VIP}/24 --dev eth0 --hold --if-held wait"));
    waiting.next_event("held", LONG);
    waiting.signal(takeover_lab::Signal::SIGTERM);
    assert_eq!(waiting.wait(LONG), 0);
}

/// Two standbys that take the address at the same moment: never both.
#[test]
fn two_at_once() {
    let lab = two();
    for _ in 0..5 {
        let line = format!("vip-take {VIP}/24 --dev eth0");
        let mut both = [start(lab.host("a"), &line), start(lab.host("b"), &line)];
        let statuses: Vec<i32> = both.iter_mut().map(|c| c.wait(LONG)).collect();
        let holders = ["a", "b"].iter().filter(|n| has(lab.host(n), VIP)).count();
        assert!(holders <= 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|s| **s == 0).count(), holders);
        for name in ["a", "b"] {
            run(lab.host(name), &format!("vip-drop {VIP}"));
        }
    }
}

#[test]
fn garp_leads_neighbours_where_it_says() {
    let lab = Lab::up(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24"), ("c", "10.9.0.3/24")]);
    let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
    a.sh("ip addr add 10.9.0.50/24 dev eth0");
    b.sh("ping -c1 -W2 10.9.0.50 >/dev/null");
    let cached = || b.sh("ip neigh show 10.9.0.50");
    assert!(cached().contains(a.mac()));
    for form in ["--form request", "--form reply", &format!("--to {}", b.mac()), &format!("--to {}@{B}", b.mac())] {
        let told = run(a, &format!("garp {VIP} --dev eth0 --mac {} {form}", c.mac()));
        assert_eq!(told.status, 0, "{told:?}");
        eventually(form, || cached().contains(c.mac()));
        b.sh("ip neigh flush to 10.9.0.50; ping -c1 -W2 10.9.0.50 >/dev/null");
        assert!(cached().contains(a.mac()));
    }
    let refused = run(b, &format!("garp {VIP} --dev eth0"));
    assert_eq!((refused.status, &refused.last()["code"]), (69, &json!("not-ours")));
    a.sh("ip addr add fd00::50/64 dev eth0 nodad");
    b.sh("ping -c1 -W2 fd00::50 >/dev/null");
    assert_eq!(run(a, &format!("garp fd00::50 --dev eth0 --mac {}", c.mac())).last()["sent"], 1);
    eventually("IPv6", || b.sh("ip neigh show fd00::50").contains(c.mac()));
}

#[test]
fn wrong_words() {
    let lab = two();
    let a = lab.host("a");
    let before = a.sh("ip addr");
    for line in [
        "vip-take 10.9.0.50 --dev eth0",
        "vip-take 10.9.0.50/33 --dev eth0",
        "vip-take 10.9.0.0/24 --dev eth0",
        "vip-take fe80::1%eth0/64 --dev eth0",
        "vip-take 127.0.0.5/8 --dev eth0",
        "vip-take host.example/24 --dev eth0",
        "vip-take 10.9.0.50/24",
        "vip-take 10.9.0.50/24 --dev eth0 --lease 1.5s",
        "vip-take 10.9.0.50/24 --dev eth0 --until-eof",
        "vip-take 10.9.0.50/24 --dev eth0 --steal-from 02:00",
        "vip-drop 10.9.0.50/99",
        "vip-who 10.9.0.50/24 --dev eth0",
        "garp 10.9.0.1 --dev eth0 --to 10.9.0.2",
        "garp 10.9.0.1 --dev eth0 --count 0",
        "garp fd00::1 --dev eth0 --form reply",
    ] {
        let ran = run(a, line);
        assert_eq!((ran.status, &ran.last()["code"]), (64, &json!("usage")), "{line}: {ran:?}");
        assert!(!ran.words.is_empty());
        assert!(ran.last()["hint"].is_string(), "{line}");
    }
    for line in ["vip-take 10.9.0.50/24 --dev eth9", "vip-who 10.9.0.50 --dev no/such", "garp 10.9.0.1 --dev lo"] {
        assert_eq!(run(a, line).status, 69, "{line}");
    }
    assert_eq!(a.sh("ip addr"), before);
}

#[test]
fn nothing_is_taken_that_cannot_be_told() {
    let lab = two();
    let a = lab.host("a");
    let take = takeover_lab::tool("vip-take");
    let take = take.display();
    for more in ["", "--hold"] {
        let full = a.sh(&format!("{take} {VIP}/24 --dev eth0 {more} >/dev/full 2>/dev/null || echo $?"));
        assert_eq!((full.trim(), has(a, VIP)), ("70", false), "{more}");
        let gone = a.sh(&format!(
            "cd /tmp; mkfifo f.$$; (exec 9<f.$$) & exec 3>f.$$; wait; {take} {VIP}/24 --dev eth0 {more} >&3 2>/dev/null || echo $?; rm f.$$"
        ));
        assert_eq!((gone.trim(), has(a, VIP)), ("75", false), "{more}");
    }
    // A stdout that is closed from the start counts as /dev/null.
    a.sh(&format!("{take} {VIP}/24 --dev eth0 >&-"));
    assert!(has(a, VIP));
}

#[test]
fn without_permission_nothing_happens() {
    let lab = two();
    let a = lab.host("a");
    let before = a.sh("ip addr");
    for line in
        ["vip-take 10.9.0.50/24 --dev eth0", "vip-take 10.9.0.50/24 --dev eth0 --probe off", "garp 10.9.0.1 --dev eth0"]
    {
        let mut words = line.split_whitespace();
        let tool = takeover_lab::tool(words.next().unwrap());
        let mut command = a.command("setpriv");
        command.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(tool).args(words);
        let ran = Ran::read(&command.output().unwrap());
        assert_eq!((ran.status, &ran.last()["code"]), (77, &json!("permission-denied")), "{line}: {ran:?}");
        assert!(ran.last()["hint"].as_str().unwrap().contains("root"));
    }
    assert_eq!(a.sh("ip addr"), before);
}

#[test]
fn other_callers_get_their_own_numbers() {
    let lab = two();
    let a = lab.host("a");
    for (style, free, missing) in [("nagios", 2, 3), ("lsb-status", 3, 4), ("ocf", 7, 1), ("mon", 1, 1)] {
        assert_eq!(run(a, &format!("vip-who {VIP} --dev eth0 --exit-style {style}")).status, free);
        assert_eq!(run(a, &format!("vip-who {VIP} --dev eth9 --exit-style {style}")).status, missing);
    }
    let fields =
        a.sh(&format!("{} {B} --dev eth0 --fields event,held,macs,hint", takeover_lab::tool("vip-who").display()));
    assert_eq!(fields, format!("who\ttrue\t{}\t-", lab.host("b").mac()));
}

#[test]
fn on_the_loopback_there_is_nobody_to_ask() {
    let lab = two();
    let a = lab.host("a");
    let taken = run(a, "vip-take 10.66.0.1/32 --dev lo");
    assert_eq!((taken.status, taken.events.len()), (0, 1), "{taken:?}");
    assert!(taken.last()["cause"].as_str().unwrap().contains("no neighbours"));
    assert_eq!(run(a, "vip-drop 10.66.0.1").last()["changed"], true);
}

/// A machine's other interfaces do not upset who goes first.
#[test]
fn two_at_once_with_other_interfaces() {
    let lab = two();
    for name in ["a", "b"] {
        let host = lab.host(name);
        host.sh("ip link add low type veth peer name low2 && ip link set low address 02:00:00:00:00:01");
    }
    for address in ["10.9.0.50/24", "fd00::50/64"] {
        let line = format!("vip-take {address} --dev eth0");
        let ip = address.split('/').next().unwrap();
        for _ in 0..4 {
            let mut both = [start(lab.host("a"), &line), start(lab.host("b"), &line)];
            let statuses: Vec<i32> = both.iter_mut().map(|c| c.wait(LONG)).collect();
            let holders = ["a", "b"].iter().filter(|n| has(lab.host(n), ip)).count();
            assert!(holders <= 1, "{address} {statuses:?}");
            for name in ["a", "b"] {
                run(lab.host(name), &format!("vip-drop {ip}"));
            }
        }
    }
}

/// What waits for the address waits for the link as well.
#[test]
fn waiting_outlives_a_cut_cable() {
    let lab = two();
    let a = lab.host("a");
    a.cut(Cut::Carrier);
    let mut waiting = start(a, &format!("vip-take {VIP}/24 --dev eth0 --hold --if-held wait --wait-every 50ms"));
    assert_eq!(waiting.next_event("error", LONG)["code"], "no-carrier");
    a.heal();
    waiting.next_event("taken", LONG);
    // But not for one that is gone: made anew it would be another.
    let b = lab.host("b");
    let mut waiting = start(b, &format!("vip-take {VIP}/24 --dev eth0 --hold --if-held wait --wait-every 50ms"));
    waiting.next_event("held", LONG);
    b.sh("ip link del eth0");
    assert_eq!(waiting.wait(LONG), 69, "{}", waiting.words());
}
