//! Exit statuses: what a command answers, what keeps it from answering, and the numbers other callers expect.
//!
//! Native numbers: 0 yes, 1 a definite no, 64 and above "could not tell or could not do", never an answer.

use clap::ValueEnum;

/// What a command has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Healthy, done, held by somebody: what was asked for is so.
    Yes,
    /// A definite no.
    No,
    /// It could not be determined; never taken for a no.
    CannotTell,
}

impl Answer {
    /// Several targets: yes when all say yes; "cannot tell" as soon as one cannot be told; else no.
    pub fn all(answers: impl IntoIterator<Item = Answer>) -> Answer {
        answers.into_iter().fold(Answer::Yes, |sum, one| match (sum, one) {
            (Answer::CannotTell, _) | (_, Answer::CannotTell) => Answer::CannotTell,
            (Answer::No, _) | (_, Answer::No) => Answer::No,
            (Answer::Yes, Answer::Yes) => Answer::Yes,
        })
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The words of the call are wrong.
    Usage,
    /// No such interface, no carrier, no such kernel feature.
    Unavailable,
    /// A defect, or an output that could not be written.
    Internal,
    /// Our own deadline, a look-up, starvation.
    Undetermined,
    /// Not allowed.
    Permission,
    /// A configuration file is wrong.
    Configuration,
}

/// The numbers a caller expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExitStyle {
    /// 0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration
    #[default]
    Native,
    /// 0 OK, 2 CRITICAL, 3 UNKNOWN
    Nagios,
    /// LSB init script `status`: 0 running, 3 not running, 4 unknown
    LsbStatus,
    /// LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission
    LsbAction,
    /// OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission
    Ocf,
    /// The same for OCF's actions, where 7 would say that nothing runs: a no is 1
    #[value(skip)]
    OcfAction,
    /// mon monitor: 0 or 1; the first line of a probe names the targets that failed
    Mon,
}

impl ExitStyle {
    /// The number for an answer.
    pub const fn answer(self, answer: Answer) -> u8 {
        // yes, no, cannot tell
        let [yes, no, cannot_tell] = match self {
            Self::Native => [0, 1, 75],
            Self::Nagios => [0, 2, 3],
            Self::LsbStatus => [0, 3, 4],
            Self::LsbAction | Self::OcfAction | Self::Mon => [0, 1, 1],
            Self::Ocf => [0, 7, 1],
        };
        match answer {
            Answer::Yes => yes,
            Answer::No => no,
            Answer::CannotTell => cannot_tell,
        }
    }

    /// The number for a fault.
    pub const fn fault(self, fault: Fault) -> u8 {
        match (self, fault) {
            (Self::Native, Fault::Usage) => 64,
            (Self::Native, Fault::Unavailable) => 69,
            (Self::Native, Fault::Internal) => 70,
            (Self::Native, Fault::Undetermined) => 75,
            (Self::Native, Fault::Permission) => 77,
            (Self::Native, Fault::Configuration) => 78,
            (Self::LsbAction | Self::Ocf | Self::OcfAction, Fault::Usage) => 2,
            (Self::LsbAction | Self::Ocf | Self::OcfAction, Fault::Permission) => 4,
            (style, _) => style.answer(Answer::CannotTell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, row by row: yes, no, cannot tell, usage, permission.
    #[test]
    fn the_table() {
        for (style, row) in [
            (ExitStyle::Native, [0, 1, 75, 64, 77]),
            (ExitStyle::Nagios, [0, 2, 3, 3, 3]),
            (ExitStyle::LsbStatus, [0, 3, 4, 4, 4]),
            (ExitStyle::LsbAction, [0, 1, 1, 2, 4]),
            (ExitStyle::Ocf, [0, 7, 1, 2, 4]),
            (ExitStyle::OcfAction, [0, 1, 1, 2, 4]),
            (ExitStyle::Mon, [0, 1, 1, 1, 1]),
        ] {
            let got = [
                style.answer(Answer::Yes),
                style.answer(Answer::No),
                style.answer(Answer::CannotTell),
                style.fault(Fault::Usage),
                style.fault(Fault::Permission),
            ];
            assert_eq!(got, row, "{style:?}");
        }
    }

    #[test]
    fn several_targets() {
        use Answer::{CannotTell, No, Yes};
        assert_eq!(Answer::all([]), Yes);
        assert_eq!(Answer::all([Yes, Yes]), Yes);
        assert_eq!(Answer::all([Yes, No]), No);
        assert_eq!(Answer::all([No, CannotTell, Yes]), CannotTell);
    }
}
