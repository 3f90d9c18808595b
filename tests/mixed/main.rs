//! A cluster of which one node is a real heartbeat and the other is ours: each in both roles, through everything that an
//! operator or a fault does to it; and one kind replaced by the other. But for a network that is cut in two, at no moment
//! do both hold a group; what each step costs is printed.
#![allow(clippy::unwrap_used)]

mod pair;
mod seat;
mod watch;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use takeover_lab::serial::{Cable, End};
use takeover_lab::{Child, Cut, Lab};

use pair::{HOME, Pair, Plan, SWAPPED, eventually};
use seat::Kind::{Ours, Real};
use seat::{NAMES, Place};
use watch::Clients;

const A: Place = 0;
const B: Place = 1;

/// How a node goes.
type Going<'a> = fn(&mut Pair<'a>, Place);

fn two() -> Lab {
    Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24")])
}

/// The same, and a host beside them.
fn three() -> Lab {
    Lab::up_as_root(&[("a", "10.9.0.1/24"), ("b", "10.9.0.2/24"), ("c", "10.9.0.3/24")])
}

/// Pairs wait for their deadtimes most of the time: each of these runs beside the others.
fn beside(scenarios: &[&(dyn Fn() + Sync)]) {
    thread::scope(|scope| scenarios.iter().for_each(|scenario| drop(scope.spawn(scenario))));
}

/// With the real one here and there.
fn either_way(scenario: fn(Place)) {
    beside(&[&|| scenario(A), &|| scenario(B)]);
}

fn by_order(real: Place) {
    let lab = two();
    let mut pair = Pair::start(&lab, Plan::real_at(real, "off"));
    for (one, other) in [(real, 1 - real), (1 - real, real)] {
        for (what, which, wanted) in [
            ("standby", "all", [other; 2]),
            ("takeover", "local", HOME),
            ("takeover", "all", [one; 2]),
            ("standby", "foreign", HOME),
            ("standby", "local", [other; 2]),
            ("takeover", "foreign", SWAPPED),
            ("takeover", "all", [one; 2]),
            ("standby", "failback", HOME),
        ] {
            pair.order(one, what, which);
            pair.expect(wanted);
        }
    }
    pair.nothing_rebooted();
}

fn nothing_goes_back_by_itself(real: Place) {
    let lab = two();
    let ours = 1 - real;
    let mut pair = Pair::start(&lab, Plan::real_at(real, "off"));
    let rounds: [(Place, Going, Place, &str, &str); 4] = [
        (real, Pair::kill, ours, "failback", "all"),
        (ours, Pair::kill, real, "standby", "failback"),
        (ours, Pair::leave, ours, "takeover", "local"),
        (real, Pair::leave, real, "takeover", "local"),
    ];
    for (gone, goes, who, what, which) in rounds {
        goes(&mut pair, gone);
        pair.expect([1 - gone; 2]);
        pair.comes(gone);
        pair.expect_still([1 - gone; 2]);
        pair.order(who, what, which);
        pair.expect(HOME);
    }
    pair.nothing_rebooted();
}

fn groups_go_back(real: Place) {
    let lab = two();
    let ours = 1 - real;
    let mut pair = Pair::start(&lab, Plan::real_at(real, "on"));
    let rounds: [(Place, Going); 4] =
        [(real, Pair::kill), (ours, Pair::kill), (ours, Pair::leave), (real, Pair::leave)];
    for (gone, goes) in rounds {
        goes(&mut pair, gone);
        pair.expect([1 - gone; 2]);
        pair.comes(gone);
        pair.expect_still(HOME);
    }
    pair.nothing_rebooted();
}

/// What it is taking is not there for one of ours that was killed and started anew meanwhile.
fn ours_is_started_anew_while_the_real_one_takes() {
    let lab = two();
    let mut pair = Pair::start(&lab, Plan::real_at(A, "off"));
    // What it takes it has from the first moment, and the flag shows that.
    let long = pair.seats[A].flags.join("long");
    fs::write(&long, "3").unwrap();
    pair.order(B, "standby", "local");
    eventually("the real one starts FlagB", || pair.watch.holders() == [Some(A), Some(A)]);
    pair.kill(B);
    pair.comes(B);
    // It cannot know that an operator wanted that, and asks for its own: that is answered when it is safe.
    pair.expect(HOME);
    fs::remove_file(long).unwrap();
    // And where nobody takes anything it has its own again.
    pair.kill(B);
    pair.comes(B);
    pair.expect(HOME);
}

/// Whoever is slow to give or to take dies meanwhile.
fn either_dies_in_the_middle_of_a_standby() {
    let lab = two();
    let mut pair = Pair::start(&lab, Plan::real_at(B, "on"));
    for (who, slow) in [(A, A), (A, B), (B, B), (B, A)] {
        let [long, amid] = ["long", "amid"].map(|name| pair.seats[slow].flags.join(name));
        fs::write(&long, "held").unwrap();
        pair.order(who, "standby", "local");
        eventually("a stop of who gives or a start of who takes is under way", || amid.exists());
        pair.kill(slow);
        // What is left of it ends, if anything is.
        fs::remove_file(long).unwrap();
        fs::remove_file(amid).unwrap();
        pair.expect([1 - slow; 2]);
        pair.comes(slow);
        pair.expect(HOME);
    }
}

/// With every fifth frame lost, orders are followed all the same, and nothing is held twice.
fn messages_are_lost() {
    let lab = two();
    let mut pair = Pair::start(&lab, Plan::real_at(A, "off"));
    lab.host("a").loss(20);
    for (who, what, which, wanted) in [
        (B, "standby", "all", [A; 2]),
        (B, "takeover", "local", HOME),
        (A, "standby", "all", [B; 2]),
        (A, "takeover", "local", HOME),
    ] {
        pair.order(who, what, which);
        pair.expect(wanted);
    }
    lab.host("a").loss(0);
}

/// Neither hears the other, and both take everything. When they do, the real one starts itself anew, as it does with a peer
/// of its own kind; ours goes on without a gap.
fn a_cut_heals(real: Place, failback: &'static str) {
    let lab = two();
    let ours = 1 - real;
    let mut pair = Pair::start(&lab, Plan::real_at(real, failback));
    pair.begin("the network is cut");
    pair.seats[real].host().cut(Cut::Silent);
    eventually("both have everything", || pair.watch.held() == [[true; 2]; 2]);
    pair.begin("the network is back");
    let back = Instant::now();
    pair.seats[real].host().heal();
    one_lets_go(&mut pair);
    restarts(&pair, real);
    if failback == "on" {
        pair.expect_still(HOME);
    } else {
        pair.expect_still([ours; 2]);
        assert_eq!(pair.watch.outages(back), [Duration::ZERO; 2], "ours had it all the time");
    }
    pair.nothing_rebooted();
}

/// What both have one has in the end.
#[track_caller]
fn one_lets_go(pair: &mut Pair) {
    let since = Instant::now();
    eventually("one lets go", || !pair.watch.held().contains(&[true; 2]));
    println!("{:40} {:>6} ms until one lets go", "", since.elapsed().as_millis());
    pair.watch.forgive();
}

fn restarts(pair: &Pair, real: Place) {
    pair.seats[real].real().await_log("Performing heartbeat restart exec");
}

/// Whoever stood still for long lets go of what the other one took.
fn one_stands_still(real: Place) {
    let lab = two();
    let ours = 1 - real;
    let mut pair = Pair::start(&lab, Plan::real_at(real, "off"));
    for (still, other) in [(real, ours), (ours, real)] {
        pair.begin(&format!("{:?} stands still", pair.seats[still].kind));
        pair.seats[still].freeze();
        eventually("the other one has everything", || pair.watch.held().iter().all(|held| held[other]));
        pair.begin(&format!("{:?} goes on", pair.seats[still].kind));
        pair.seats[still].thaw();
        one_lets_go(&mut pair);
        if still == ours {
            pair.expect_still([other; 2]);
        } else {
            // A real one that wakes does not always start itself anew: then it keeps all that it took, and ours lets go.
            eventually("each has one holder", || pair.watch.held().iter().all(|held| held[still] != held[other]));
            if pair.watch.held().iter().all(|held| held[still]) {
                pair.order(other, "takeover", "local");
                pair.expect(HOME);
                continue;
            }
            restarts(&pair, real);
            pair.expect_still([other; 2]);
        }
        pair.order(still, "takeover", "local");
        pair.expect(HOME);
    }
    pair.nothing_rebooted();
}

/// What cannot be started at one node goes to the other: from ours at once; a real one says that it has it, and offers it
/// half a minute later.
fn what_fails_here_is_started_there() {
    let lab = two();
    let (real, ours) = (A, B);
    let mut pair = Pair::start(&lab, Plan::real_at(real, "off"));
    let fails = |pair: &Pair, place: Place| -> PathBuf {
        let file = pair.seats[place].flags.join("fails");
        fs::write(&file, "").unwrap();
        file
    };
    pair.order(ours, "standby", "local");
    pair.expect([real; 2]);
    let file = fails(&pair, ours);
    pair.order(ours, "takeover", "local");
    eventually("it is let go", || pair.watch.held()[ours] == [false; 2]);
    pair.expect_still([real; 2]);
    fs::remove_file(file).unwrap();
    pair.order(ours, "takeover", "local");
    pair.expect(HOME);
    let file = fails(&pair, real);
    pair.order(ours, "standby", "local");
    eventually("it is let go", || pair.watch.held()[ours] == [false; 2]);
    pair.expect_still(HOME);
    fs::remove_file(file).unwrap();
    pair.order(ours, "standby", "local");
    pair.expect([real; 2]);
    pair.nothing_rebooted();
}

fn serial(cable: &Cable) -> [String; 2] {
    [End::A, End::B].map(|end| format!("baud 19200\nserial {}", cable.device(end).display()))
}

/// There and back, by order of one and of the other.
#[track_caller]
fn there_and_back(pair: &mut Pair) {
    for (one, other) in [(A, B), (B, A)] {
        pair.order(one, "standby", "local");
        pair.expect([other; 2]);
        pair.order(one, "takeover", "local");
        pair.expect(HOME);
    }
}

fn on_a_serial_line_alone(real: Place) {
    let lab = two();
    let cable = Cable::lay();
    let mut pair = Pair::start(&lab, Plan { media: serial(&cable), ..Plan::real_at(real, "on") });
    there_and_back(&mut pair);
    let rounds: [(Place, Going); 2] = [(real, Pair::kill), (1 - real, Pair::leave)];
    for (gone, goes) in rounds {
        goes(&mut pair, gone);
        pair.expect([1 - gone; 2]);
        pair.comes(gone);
        pair.expect(HOME);
    }
    pair.nothing_rebooted();
}

/// One of two media is enough, whichever it is: nothing moves by itself, and everything by order.
fn either_of_two_media_is_cut(real: Place) {
    let lab = two();
    let mut cable = Cable::lay();
    let media = serial(&cable).map(|line| format!("{line}\nbcast eth0"));
    let mut pair = Pair::start(&lab, Plan { media, ..Plan::real_at(real, "off") });
    let device = cable.device([End::A, End::B][real]).display().to_string();
    let is = |pair: &Pair, link: &str, is: &str| pair.seats[real].real().await_link(NAMES[1 - real], link, is);
    pair.begin("the network is cut");
    pair.seats[real].host().cut(Cut::Silent);
    is(&pair, "eth0", "dead");
    pair.expect_still(HOME);
    there_and_back(&mut pair);
    pair.seats[real].host().heal();
    is(&pair, "eth0", "up");
    pair.begin("the serial line is cut");
    cable.cut();
    is(&pair, &device, "dead");
    pair.expect_still(HOME);
    there_and_back(&mut pair);
    cable.heal();
    is(&pair, &device, "up");
    pair.begin("both are there again");
    pair.expect_still(HOME);
    pair.nothing_rebooted();
}

/// The one that reaches a ping node has everything, the real one by its ipfail; what neither reaches moves nothing.
fn a_ping_node_is_lost(real: Place, failback: &'static str) {
    let lab = three();
    let ours = 1 - real;
    let more = "deadping 1\nping 10.9.0.3\nrespawn hacluster /usr/libexec/heartbeat/ipfail\n";
    let mut pair = Pair::start(&lab, Plan { more, ..Plan::real_at(real, failback) });
    let route = |what: &str, place: Place| {
        lab.host("c").sh(&format!("ip route {what} blackhole {}/32", lab.host(NAMES[place]).ip()));
    };
    // It asks nobody before.
    pair.seats[real].real().await_status("10.9.0.3", "ping");
    for (loses, home) in [(real, ours), (ours, real)] {
        pair.begin(&format!("{} does not reach it", NAMES[loses]));
        route("add", loses);
        pair.expect([1 - loses; 2]);
        pair.begin(&format!("{} does reach it", NAMES[loses]));
        route("del", loses);
        if failback == "on" {
            pair.expect(HOME);
        } else {
            pair.expect_still([1 - loses; 2]);
            pair.order(home, "standby", "failback");
            pair.expect(HOME);
        }
    }
    pair.begin("neither reaches it");
    route("add", real);
    route("add", ours);
    pair.seats[real].real().await_status("10.9.0.3", "dead");
    pair.expect_still(HOME);
    pair.nothing_rebooted();
}

/// Two real ones become two of ours, one after the other, and real ones again. Clients of both addresses are astray only
/// while one moves.
fn one_kind_replaces_the_other() {
    let lab = three();
    let _servers = ["a", "b"].map(|name| {
        let mut command = lab.host(name).tool("lab-client");
        command.args(["echo", "0.0.0.0:7777"]);
        Child::spawn(command)
    });
    let resources = ["IPaddr2::10.9.0.100/24/eth0", "IPaddr2::10.9.0.101/24/eth0"];
    let mut pair = Pair::start(&lab, Plan { kinds: [Real; 2], resources, ..Plan::real_at(A, "on") });
    for seat in &pair.seats {
        fs::write(seat.flags.join("long"), "0").unwrap();
    }
    for (place, kind) in [(B, Ours), (A, Ours), (B, Real), (A, Real)] {
        let old = pair.seats[place].kind;
        let name = NAMES[place];
        let steps: [(String, Going, [Place; 2]); 2] = [
            (format!("{old:?} at {name} leaves"), Pair::leave, [1 - place; 2]),
            (format!("{kind:?} at {name} comes"), Pair::comes, HOME),
        ];
        for (what, step, wanted) in steps {
            let clients = Clients::ask(lab.host("c"), ["10.9.0.100", "10.9.0.101"]);
            step(&mut pair, place);
            pair.expect(wanted);
            thread::sleep(Duration::from_millis(300)); // what clients still have to be served
            let [(a, a_served), (b, b_served)] = clients.end()[..] else { panic!("two clients") };
            println!("{what:40} clients of FlagA miss {a:>6.1} ms, of FlagB {b:>6.1} ms");
            assert!(a_served && b_served, "{what}");
            if !pair.seats[place].runs {
                pair.seats[place].becomes(kind);
            }
        }
    }
    pair.nothing_rebooted();
}

#[test]
fn orders_are_followed() {
    either_way(by_order);
}

#[test]
fn nodes_go_and_come_back() {
    beside(&[&|| either_way(nothing_goes_back_by_itself), &|| either_way(groups_go_back)]);
}

#[test]
fn something_goes_wrong_on_the_way() {
    beside(&[
        &ours_is_started_anew_while_the_real_one_takes,
        &either_dies_in_the_middle_of_a_standby,
        &messages_are_lost,
        &what_fails_here_is_started_there,
    ]);
}

#[test]
fn both_have_everything_for_a_while() {
    beside(&[&|| a_cut_heals(A, "off"), &|| a_cut_heals(B, "on"), &|| one_stands_still(A)]);
}

#[test]
fn ipfail_is_understood() {
    beside(&[&|| a_ping_node_is_lost(A, "on"), &|| a_ping_node_is_lost(B, "off")]);
}

#[test]
fn a_serial_line_is_enough() {
    beside(&[&|| on_a_serial_line_alone(B), &|| either_of_two_media_is_cut(A)]);
}

#[test]
fn one_kind_is_replaced_by_the_other() {
    one_kind_replaces_the_other();
}
