//! From what was found to what has to be done. Nothing in here touches anything.

use super::guard::Kind;
use super::mountinfo::Dev;
use super::record::Record;

/// What was found on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is mounted at the mount point, the uppermost first, automounters left out: its source, and whether it is of
    /// the device.
    pub stack: Vec<(String, bool)>,
    /// The uppermost can only be read.
    pub read_only: bool,
    /// Other mount points of the device, where one file system has one place.
    pub elsewhere: Vec<String>,
    /// What an earlier run left.
    pub record: Option<Record>,
    /// Its keeper runs.
    pub keeper: bool,
    /// Its keeper runs in another mount namespace: why that is in the way, and what to do there.
    pub other_namespace: Option<(String, String)>,
    /// What is asked for, as the record would name it.
    pub identity: String,
    /// What the guard would act on, where that is known.
    pub object: Option<String>,
    /// The `st_dev` of the uppermost, where it is of the device.
    pub dev: Option<Dev>,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is not to be had in this way.
    Refuse {
        /// Why.
        cause: String,
        /// What to do about it.
        hint: String,
    },
    /// Go on.
    Go {
        /// How to come by the claim.
        claim: Claim,
        /// It has to be mounted.
        mount: bool,
        /// An earlier claim, of another guard or of another thing, has to be given up before.
        give_up: bool,
    },
}

/// How to come by the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is held.
    Keep,
    /// It has to be taken.
    Take,
    /// A keeper is about to end; afterwards it has to be taken.
    TakeAfterKeeper,
    /// It was held, its keeper was killed, and the mount stands: it has to be taken again.
    TakeAgain,
}

/// Decides.
pub fn decide(found: &Found, guard: Kind, read_only: bool) -> Decision {
    let refuse = |cause: String, hint: &str| Decision::Refuse { cause, hint: hint.to_owned() };
    let mounted = match found.stack.as_slice() {
        [] => false,
        [(_, true), ..] => true,
        [(top, false), rest @ ..] if rest.iter().any(|(_, ours)| *ours) => {
            return refuse(format!("it is mounted, but {top} is mounted over it"), "unmount what lies over it");
        }
        [(top, false), ..] => {
            return refuse(format!("{top} is mounted there"), "fs-release MOUNTPOINT, or another place");
        }
    };
    if mounted && found.read_only && !read_only {
        let hint = "a file system with errors becomes read-only: fs-release it, then fs-claim --fsck";
        return refuse("it is mounted, but can only be read".to_owned(), hint);
    }
    if let (false, Some(place)) = (mounted, found.elsewhere.first()) {
        let hint = "fs-release it there first; to have it in two places, mount one as bind";
        return refuse(format!("this machine has it mounted on {place}"), hint);
    }
    let Some(record) = &found.record else {
        return Decision::Go { claim: Claim::Take, mount: !mounted, give_up: false };
    };
    if let Some((cause, hint)) = &found.other_namespace {
        return refuse(cause.clone(), hint);
    }
    let other = differs(record, found, guard);
    if let Some(cause) = other.as_ref().filter(|_| mounted || found.keeper) {
        return refuse(cause.clone(), "fs-release it first");
    }
    let claim = match (guard.has_keeper(), found.keeper, mounted) {
        (false, ..) => Claim::Take,
        (true, true, true) => Claim::Keep,
        (true, true, false) => Claim::TakeAfterKeeper,
        (true, false, true) => Claim::TakeAgain,
        (true, false, false) => Claim::Take,
    };
    // What no process holds is still held.
    Decision::Go { claim, mount: !mounted, give_up: other.is_some() && !record.guard.has_keeper() }
}

/// Whether an earlier claim is of something else than what is asked for; in words.
pub fn differs(record: &Record, found: &Found, guard: Kind) -> Option<String> {
    let both = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
    if record.guard != guard {
        return Some(format!("it is claimed with --guard {} already", record.guard.word()));
    }
    if guard == Kind::None {
        return None; // nothing is held
    }
    if record.identity.as_ref().is_some_and(|identity| *identity != found.identity) {
        return Some(format!("the claim there is that of {}", record.device));
    }
    if both(&record.object, &found.object) {
        let object = record.object.as_deref().unwrap_or_default();
        return Some(format!("it is claimed by {object} already, and not by what is named now"));
    }
    match (record.dev, found.dev) {
        (Some(claimed), Some(there)) if claimed != there => {
            Some(format!("what is mounted there is not what was claimed, though both were {}", record.device))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::process::Process;
    use proptest::prelude::*;

    fn record(guard: Kind) -> Record {
        Record {
            node: "ha1".into(),
            device: "/dev/x".into(),
            identity: Some("x".into()),
            mountpoint: "/mnt".into(),
            guard,
            strength: "advisory".into(),
            object: Some("object".into()),
            generation: None,
            keeper: guard.has_keeper().then_some(Process { pid: 7, start: 1 }),
            namespace: 1,
            bind: false,
            dev: Some((7, 0)),
            source: None,
        }
    }

    fn found(stack: &[bool], guard: Option<Kind>, keeper: bool) -> Found {
        let stack = stack.iter().map(|ours| ("/dev/x".to_owned(), *ours)).collect();
        let (identity, dev) = ("x".to_owned(), Some((7, 0)));
        Found { stack, record: guard.map(record), keeper, identity, dev, ..Found::default() }
    }

    #[test]
    fn the_table() {
        use Claim::{Keep, Take, TakeAfterKeeper, TakeAgain};
        let (flock, drbd, none) = (Some(Kind::Flock), Some(Kind::Drbd), None);
        // (stack, record, keeper, guard) -> (claim, mount), or refused
        for (stack, record, keeper, guard, expected) in [
            (&[][..], none, false, Kind::Flock, Some((Take, true))),
            (&[], flock, false, Kind::Flock, Some((Take, true))),
            (&[], flock, true, Kind::Flock, Some((TakeAfterKeeper, true))),
            (&[], flock, false, Kind::Lease, Some((Take, true))),
            (&[], flock, true, Kind::Lease, None),
            (&[true], none, false, Kind::Flock, Some((Take, false))),
            (&[true], flock, true, Kind::Flock, Some((Keep, false))),
            (&[true], flock, false, Kind::Flock, Some((TakeAgain, false))),
            (&[true], flock, false, Kind::None, None),
            (&[true], drbd, false, Kind::Drbd, Some((Take, false))),
            (&[true, false], flock, true, Kind::Flock, Some((Keep, false))),
            (&[false], none, false, Kind::Flock, None),
            (&[false, true], flock, true, Kind::Flock, None),
        ] {
            let got = match decide(&found(stack, record, keeper), guard, false) {
                Decision::Go { claim, mount, .. } => Some((claim, mount)),
                Decision::Refuse { .. } => None,
            };
            assert_eq!(got, expected, "{stack:?} {record:?} keeper {keeper} {guard:?}");
        }
    }

    /// A claim of something else is neither kept nor forgotten.
    #[test]
    fn a_claim_of_something_else() {
        let go = |found: &Found, guard| match decide(found, guard, false) {
            Decision::Go { claim, give_up, .. } => Some((claim, give_up)),
            Decision::Refuse { .. } => None,
        };
        let changes: [fn(&mut Found); 3] =
            [|f| f.identity = "y".into(), |f| f.object = Some("other".into()), |f| f.dev = Some((7, 1))];
        for (n, change) in changes.into_iter().enumerate() {
            for keeper in [true, false] {
                let mut standing = found(&[true], Some(Kind::Flock), keeper);
                assert!(go(&standing, Kind::Flock).is_some());
                change(&mut standing);
                assert_eq!(go(&standing, Kind::Flock), None, "{n} keeper {keeper}");
            }
        }
        // With nothing mounted: what no process holds is given up first, whatever is asked for.
        let left = |guard| Found { dev: None, ..found(&[], Some(guard), false) };
        assert_eq!(go(&left(Kind::Drbd), Kind::Drbd), Some((Claim::Take, false)));
        assert_eq!(go(&left(Kind::Drbd), Kind::Flock), Some((Claim::Take, true)));
        let other_disk = Found { object: Some("other".into()), ..left(Kind::ScsiPr) };
        assert_eq!(go(&other_disk, Kind::ScsiPr), Some((Claim::Take, true)));
        assert_eq!(go(&left(Kind::Flock), Kind::Drbd), Some((Claim::Take, false)), "it ended with its keeper");
    }

    #[test]
    fn read_only_is_not_what_was_asked_for() {
        let ro = Found { read_only: true, ..found(&[true], None, false) };
        assert!(matches!(decide(&ro, Kind::None, false), Decision::Refuse { .. }));
        assert!(matches!(decide(&ro, Kind::None, true), Decision::Go { mount: false, .. }));
    }

    proptest! {
        /// A mount is never put over anything, nor made a second time, nor made while a keeper is elsewhere.
        #[test]
        fn never_a_second_mount(
            stack in proptest::collection::vec(any::<bool>(), 0..3),
            place in proptest::option::of("/[a-z]"),
            guards in (0usize..5, 0usize..5),
            flags in any::<[bool; 4]>(),
        ) {
            let [has_record, keeper, other_namespace, read_only] = flags;
            let mut found = found(&stack, has_record.then_some(Kind::ALL[guards.0]), keeper);
            found.elsewhere = place.clone().into_iter().collect();
            found.other_namespace = other_namespace.then(Default::default);
            found.read_only = read_only;
            if let Decision::Go { claim, mount, .. } = decide(&found, Kind::ALL[guards.1], false) {
                prop_assert_eq!(mount, stack.is_empty());
                prop_assert!(!mount || place.is_none());
                prop_assert!(claim != Claim::Keep || (keeper && has_record && !mount));
                prop_assert!(!(has_record && other_namespace));
            }
        }
    }
}
