//! What moves with a group: addresses, file systems, services. How they are written, found, called and understood, and in
//! which order they start and stop.
//!
//! | module | holds |
//! | --- | --- |
//! | [`spec`] | how a resource is written |
//! | [`lookup`] | where agents are found, and whether they may be run |
//! | [`call`] | what each class of agents is told: words and environment |
//! | [`answer`] | what each class means by what it answers |
//! | [`sequence`] | which resource is asked, started or stopped next |
//! | [`lock`] | who may change a resource now |
//! | [`processes`] | all that an agent has started |
//! | [`supervise`] | one run of one agent, with a deadline that nothing survives |
//! | [`drive`] | all of it together, told as events |
//! | [`input`] | resources as other commands print them |
//!
//! [`spec`], [`call`], [`answer`] and [`sequence`] are pure.

pub mod answer;
pub mod call;
pub mod drive;
pub mod input;
pub mod lock;
pub mod lookup;
pub mod processes;
pub mod sequence;
pub mod spec;
pub mod supervise;

/// What is thought of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It does not run, and left nothing behind: its agent said so.
    Stopped,
    /// It does not run as it should, or what was to be done with it failed.
    Failed,
    /// Nobody can tell; never taken for stopped.
    Unknown,
}

impl State {
    /// As the events carry it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// What an agent is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the resource.
    Start,
    /// Stop it.
    Stop,
    /// Does it run?
    Status,
    /// Does it run, as somebody asks who does so again and again?
    Monitor,
    /// Describe yourself.
    Metadata,
}

impl Action {
    /// As the events carry it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Status => "status",
            Self::Monitor => "monitor",
            Self::Metadata => "metadata",
        }
    }
}
