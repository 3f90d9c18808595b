//! What a frame on the link says about one address: who claims it, and how.

use std::fmt;

use super::mac::Mac;

/// How an address is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An answer to somebody's question.
    Answer,
    /// Said to everybody unasked.
    Announcement,
    /// Used as the sender of a question about another address.
    Request,
    /// A question whether it is free (RFC 5227 probe, duplicate address detection): no claim yet, but an intention.
    Probe,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Answer => "answer",
            Self::Announcement => "announcement",
            Self::Request => "request",
            Self::Probe => "probe",
        })
    }
}

/// A claim to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose; all zero where a neighbour advertisement does not say.
    pub mac: Mac,
    /// How.
    pub kind: Kind,
}
