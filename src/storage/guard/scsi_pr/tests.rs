use super::*;
use proptest::prelude::*;

/// A disk by the standard, seen by two machines.
#[derive(Clone, Debug, Default)]
struct Model {
    keys: [Option<u64>; 2],
    reserved: Option<(usize, Reservation)>,
    me: usize,
    /// It says that it has given up what it has not.
    deaf: bool,
}

impl Model {
    fn seen_by(&mut self, me: usize) -> &mut Self {
        self.me = me;
        self
    }

    /// Whether a machine's write would be done.
    fn writes(&self, machine: usize) -> bool {
        self.reserved.is_none() || self.keys[machine].is_some()
    }

    fn leave(&mut self, machine: usize) {
        self.keys[machine] = None;
        if self.reserved.is_some_and(|(holder, _)| holder == machine) {
            self.reserved = None;
        }
    }
}

impl Disk for Model {
    fn keys(&mut self) -> Result<Vec<u64>, Failure> {
        Ok(self.keys.iter().flatten().copied().collect())
    }
    fn reservation(&mut self) -> Result<Option<Reservation>, Failure> {
        Ok(self.reserved.map(|(_, r)| r))
    }
    fn register(&mut self, key: u64) -> Result<(), Failure> {
        match key {
            0 if self.deaf => return Ok(()),
            0 => self.leave(self.me),
            key => self.keys[self.me] = Some(key),
        }
        if let Some((holder, r)) = &mut self.reserved
            && *holder == self.me
        {
            r.key = key;
        }
        Ok(())
    }
    fn reserve(&mut self, key: u64) -> Result<bool, Failure> {
        if self.keys[self.me] != Some(key) {
            assert!(self.reserved.is_some(), "reserves without being registered");
            return Ok(false);
        }
        match self.reserved {
            Some((holder, _)) => Ok(holder == self.me),
            None => {
                let kind = WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
                self.reserved = Some((self.me, Reservation { key, kind }));
                Ok(true)
            }
        }
    }
    fn release(&mut self, _: u64) -> Result<(), Failure> {
        if self.deaf {
            return Ok(());
        }
        if self.reserved.is_some_and(|(holder, _)| holder == self.me) {
            self.reserved = None;
        }
        Ok(())
    }
    fn preempt(&mut self, key: u64, old: u64) -> Result<bool, Failure> {
        if self.keys[self.me] != Some(key) {
            return Ok(false);
        }
        let held_by_old = self.reserved.is_some_and(|(_, r)| r.key == old);
        for machine in 0..2 {
            if self.keys[machine] == Some(old) && machine != self.me {
                self.leave(machine);
            }
        }
        if held_by_old {
            let kind = WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
            self.reserved = Some((self.me, Reservation { key, kind }));
        }
        Ok(true)
    }
}

const NODES: [&str; 2] = ["ha1", "ha2"];

#[test]
fn one_after_the_other() {
    let mut disk = Model::default();
    let got = acquire(disk.seen_by(0), "ha1", true, false).expect("asks");
    assert!(matches!(&got, Outcome::Got(g) if g.changed && g.strength == "enforced"), "{got:?}");
    let again = acquire(disk.seen_by(0), "ha1", true, false).expect("asks");
    assert!(matches!(&again, Outcome::Got(g) if !g.changed), "{again:?}");
    let refused = acquire(disk.seen_by(1), "ha2", true, false).expect("asks");
    assert!(matches!(&refused, Outcome::Held(h) if h.holder.as_deref() == Some("ha1")), "{refused:?}");
    assert!(disk.writes(0) && !disk.writes(1));

    let taken = acquire(disk.seen_by(1), "ha2", true, true).expect("asks");
    assert!(matches!(&taken, Outcome::Got(g) if g.cause.contains("from ha1")), "{taken:?}");
    assert!(!disk.writes(0) && disk.writes(1));
    assert!(!give_up(disk.seen_by(0), "ha1").expect("asks"), "it had lost it");
    assert!(!disk.writes(0) && disk.writes(1));
    assert!(give_up(disk.seen_by(1), "ha2").expect("asks"));
    assert_eq!((disk.keys, disk.reserved), ([None, None], None));
}

/// A disk that lost its power remembers nothing; one that did not remembers a machine that was rebooted.
#[test]
fn after_a_reboot() {
    let mut disk = Model::default();
    for remembered in [true, false] {
        if !remembered {
            disk = Model::default();
        }
        let got = acquire(disk.seen_by(0), "ha1", true, false).expect("asks");
        assert!(matches!(got, Outcome::Got(_)) && disk.writes(0) && !disk.writes(1));
    }
}

/// Two nodes of one name have one key: the second one is no owner because of that.
#[test]
fn a_namesake() {
    let mut disk = Model::default();
    let got = acquire(disk.seen_by(0), "ha1", false, false).expect("asks");
    assert!(matches!(got, Outcome::Got(_)));
    let again = acquire(disk.seen_by(0), "ha1", false, false).expect("asks");
    assert!(matches!(&again, Outcome::Got(g) if !g.changed), "after a reboot it is the same machine: {again:?}");
    let held = acquire(disk.seen_by(1), "ha1", false, false).expect("asks");
    assert!(matches!(&held, Outcome::Held(h) if h.cause.contains("same name")), "{held:?}");
    assert!(disk.writes(0) && !disk.writes(1));
    let taken = acquire(disk.seen_by(1), "ha1", false, true).expect("asks");
    assert!(matches!(&taken, Outcome::Got(g) if g.changed), "{taken:?}");
    assert!(!disk.writes(0) && disk.writes(1));
}

/// What was given up is looked at.
#[test]
fn a_disk_that_does_not_let_go() {
    let mut disk = Model::default();
    acquire(disk.seen_by(0), "ha1", false, false).expect("asks");
    disk.deaf = true;
    assert!(give_up(disk.seen_by(0), "ha1").is_err());
    disk.deaf = false;
    assert!(give_up(disk.seen_by(0), "ha1").expect("asks"));
}

proptest! {
    /// Whatever the two do, in whatever order: who has got it last is the only one whose writes are done.
    #[test]
    fn never_two_writers(orders in proptest::collection::vec((0usize..2, 0u8..4), 1..30)) {
        let mut disk = Model::default();
        let mut owner = None;
        for (machine, order) in orders {
            match order {
                0 | 1 => match acquire(disk.seen_by(machine), NODES[machine], false, order == 1).expect("asks") {
                    Outcome::Got(_) => owner = Some(machine),
                    Outcome::Held(_) => prop_assert!(owner == Some(1 - machine) && order == 0),
                },
                2 => {
                    let given = give_up(disk.seen_by(machine), NODES[machine]).expect("asks");
                    prop_assert_eq!(given, owner == Some(machine));
                    owner = owner.filter(|o| *o != machine);
                }
                _ => {
                    disk = Model::default(); // it lost its power
                    owner = None;
                }
            }
            if let Some(owner) = owner {
                prop_assert!(disk.writes(owner) && !disk.writes(1 - owner), "{:?}", disk);
            }
        }
    }
}
