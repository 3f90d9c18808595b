//! The ways to claim storage, and what each is worth.

pub mod drbd;
pub mod flock;
pub mod pr_codec;
pub mod scsi_pr;

/// How a claim is guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Nobody is kept away: the caller has to know that no other node has it
    #[default]
    None,
    /// A lock file; excludes this machine only, or those that share the file
    Flock,
    /// A record on shared storage that is renewed
    Lease,
    /// DRBD's own roles: promoted before, demoted after
    Drbd,
    /// A SCSI-3 persistent reservation: the disk refuses the writes of others
    ScsiPr,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Flock, Self::Lease, Self::Drbd, Self::ScsiPr];

    /// As the command line and the events name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Flock => "flock",
            Self::Lease => "lease",
            Self::Drbd => "drbd",
            Self::ScsiPr => "scsi-pr",
        }
    }

    /// The one of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether a process has to hold it.
    pub const fn has_keeper(self) -> bool {
        matches!(self, Self::Flock | Self::Lease)
    }
}

/// A claim that was got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// What it is worth: none, advisory, lease or enforced.
    pub strength: String,
    /// In words, for `cause`.
    pub cause: String,
    /// False when it was ours already.
    pub changed: bool,
}

/// What came of asking for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is ours.
    Got(Got),
    /// Somebody else has it.
    Held(Held),
}

/// A claim that somebody else has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who, if that can be told.
    pub holder: Option<String>,
    /// In words.
    pub cause: String,
    /// What to do about it.
    pub hint: Option<String>,
}
