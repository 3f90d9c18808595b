//! The pair, its steps, and what has to be so after each. What a step costs is printed.

use std::time::{Duration, Instant};

use takeover_lab::Lab;

use crate::seat::Kind::{Ours, Real};
use crate::seat::{GROUPS, Kind, LONG, NAMES, Place, Seat};
use crate::watch::{LOOK, Watch};

const TIMES: &str = "keepalive 200ms\ndeadtime 1\ninitdead 5\nudpport 694\nnode a b\n";

/// Each group where it belongs.
pub const HOME: [Place; 2] = [0, 1];
/// Each where the other belongs.
pub const SWAPPED: [Place; 2] = [1, 0];

#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

/// What is there, and how it is set up.
pub struct Plan {
    /// At a and at b.
    pub kinds: [Kind; 2],
    /// auto_failback.
    pub failback: &'static str,
    /// The lines of ha.cf that name media, at a and at b.
    pub media: [String; 2],
    /// Further lines of ha.cf.
    pub more: &'static str,
    /// What follows the flag in each line of haresources.
    pub resources: [&'static str; 2],
}

impl Plan {
    /// A real one here, ours at the other place.
    pub fn real_at(real: Place, failback: &'static str) -> Self {
        let mut kinds = [Ours; 2];
        kinds[real] = Real;
        Self { kinds, failback, media: ["bcast eth0", "bcast eth0"].map(str::to_owned), more: "", resources: [""; 2] }
    }
}

pub struct Pair<'a> {
    pub seats: [Seat<'a>; 2],
    pub watch: Watch,
    step: Instant,
    what: String,
}

impl<'a> Pair<'a> {
    /// Both, started at once; each has its own in the end.
    #[track_caller]
    pub fn start(lab: &'a Lab, plan: Plan) -> Self {
        let haresources = format!("a FlagA {}\nb FlagB {}\n", plan.resources[0], plan.resources[1]);
        let seat = |place: Place| {
            let ha_cf = format!("{TIMES}{}\n{}auto_failback {}\n", plan.media[place], plan.more, plan.failback);
            Seat::new(lab, place, plan.kinds[place], &ha_cf, &haresources)
        };
        let mut seats = [seat(0), seat(1)];
        let watch = Watch::new([0, 1].map(|place: Place| seats[place].flags.clone()));
        let step = Instant::now();
        seats.iter_mut().for_each(Seat::start);
        let mut pair = Self { seats, watch, step, what: "both start".to_owned() };
        pair.expect(HOME);
        pair
    }

    /// What happens from now on.
    pub fn begin(&mut self, what: &str) {
        self.what = what.to_owned();
        self.step = Instant::now();
    }

    fn begin_at(&mut self, place: Place, what: &str) {
        self.begin(&format!("{:?} at {}: {what}", self.seats[place].kind, NAMES[place]));
    }

    /// What an operator does at one of the nodes.
    #[track_caller]
    pub fn order(&mut self, place: Place, what: &str, which: &str) {
        self.begin_at(place, &format!("{what} {which}"));
        self.seats[place].order(what, which);
    }

    #[track_caller]
    pub fn kill(&mut self, place: Place) {
        self.begin_at(place, "is killed");
        self.seats[place].kill();
    }

    #[track_caller]
    pub fn leave(&mut self, place: Place) {
        self.begin_at(place, "leaves");
        self.seats[place].leave();
    }

    #[track_caller]
    pub fn comes(&mut self, place: Place) {
        self.begin_at(place, "comes");
        self.seats[place].start();
    }

    /// Waits until the groups are held so, and everybody says so; then tells what that took. Nothing was held twice.
    #[track_caller]
    pub fn expect(&mut self, wanted: [Place; 2]) {
        let deadline = Instant::now() + LONG;
        loop {
            let held = self.watch.holders() == wanted.map(Some);
            if held && self.seats.iter().enumerate().all(|(place, seat)| seat.agrees(place, wanted)) {
                break;
            }
            if Instant::now() > deadline {
                let [a, b] = [0, 1].map(|place: Place| self.seats[place].thoughts());
                panic!("{}: {:?} and not {wanted:?}; a thinks {a}, b thinks {b}", self.what, self.watch.held());
            }
            // To ask a real one takes several processes.
            std::thread::sleep(if held { LOOK * 10 } else { LOOK });
        }
        self.tell();
        let doubles = self.watch.doubles();
        assert!(doubles.is_empty(), "{}: held twice: {doubles:?}", self.what);
    }

    fn tell(&self) {
        let away = self.watch.outages(self.step).map(|d| d.as_millis());
        println!(
            "{:40} {:>6} ms to the end; nobody had {} for {:>5} ms, {} for {:>5} ms",
            self.what,
            self.watch.moved(self.step).as_millis(),
            GROUPS[0],
            away[0],
            GROUPS[1],
            away[1]
        );
    }

    /// As [`Self::expect`], and nothing moves for a while in which it well could.
    #[track_caller]
    pub fn expect_still(&mut self, wanted: [Place; 2]) {
        self.expect(wanted);
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            assert_eq!(self.watch.holders(), wanted.map(Some), "{}", self.what);
            std::thread::sleep(LOOK);
        }
    }

    /// Nothing that a real one would do to its machine was done.
    #[track_caller]
    pub fn nothing_rebooted(&self) {
        for seat in self.seats.iter().filter(|seat| seat.kind == Real) {
            assert_eq!(seat.real().reboots(), "");
        }
    }
}
