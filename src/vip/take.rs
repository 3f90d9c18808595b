//! Whether an address may be taken: what was found on the link against what the caller allows.

use crate::net::mac::Mac;
use crate::vip::detection::Findings;

/// What to do where somebody else has the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IfHeld {
    /// Leave it and say who has it
    #[default]
    Refuse,
    /// Ask again and again until it is free
    Wait,
    /// Take it all the same, whoever has it
    Steal,
}

/// What may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Take it; these held it and are overridden.
    Take(Vec<Mac>),
    /// Ask again later.
    Wait(String),
    /// Leave it.
    Refuse(String),
}

/// Decides. `steal_from` overrides that holder alone, whatever `if_held` says of others.
pub fn decide(found: &Findings, if_held: IfHeld, steal_from: Option<Mac>) -> Decision {
    let foreign: Vec<Mac> = found.holders.iter().copied().filter(|m| Some(*m) != steal_from).collect();
    let why = match (foreign.as_slice(), found.rivals.as_slice()) {
        ([], []) => return Decision::Take(found.holders.clone()),
        ([], rivals) => format!("{} is about to take it too and goes first", list(rivals)),
        // One who names a holder to steal from has not meant anybody else.
        (_, _) if if_held == IfHeld::Steal && steal_from.is_none() => return Decision::Take(found.holders.clone()),
        ([one], _) => format!("{one} answers for it"),
        (several, _) => format!("{} answer for it: an address conflict that is there already", list(several)),
    };
    if if_held == IfHeld::Wait { Decision::Wait(why) } else { Decision::Refuse(why) }
}

/// Hardware addresses for a person.
pub fn list(macs: &[Mac]) -> String {
    macs.iter().map(Mac::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn found(holders: &[Mac], rivals: &[Mac]) -> Findings {
        Findings { holders: holders.to_vec(), rivals: rivals.to_vec(), sent: 3 }
    }

    #[test]
    fn the_table() {
        use IfHeld::{Refuse, Steal, Wait};
        let free = found(&[], &[]);
        let held = found(&[A], &[]);
        let twice = found(&[A, B], &[]);
        let rival = found(&[], &[A]);
        // (found, if held, steal from) -> take, wait or refuse
        for (f, policy, from, expected) in [
            (&free, Refuse, None, 't'),
            (&free, Wait, None, 't'),
            (&free, Steal, Some(A), 't'),
            (&held, Refuse, None, 'r'),
            (&held, Wait, None, 'w'),
            (&held, Steal, None, 't'),
            (&held, Refuse, Some(A), 't'),
            (&held, Steal, Some(A), 't'),
            (&held, Steal, Some(B), 'r'),
            (&held, Wait, Some(B), 'w'),
            (&twice, Steal, None, 't'),
            (&twice, Steal, Some(A), 'r'),
            (&rival, Refuse, None, 'r'),
            (&rival, Wait, None, 'w'),
            (&rival, Steal, None, 'r'),
        ] {
            let got = match decide(f, policy, from) {
                Decision::Take(_) => 't',
                Decision::Wait(_) => 'w',
                Decision::Refuse(_) => 'r',
            };
            assert_eq!(got, expected, "{f:?} {policy:?} {from:?}");
        }
    }
}
