//! What a manual page says beyond the flags: the parts that clap does not know.

/// The hand-written parts of one command's page.
#[derive(Debug)]
pub struct Manual {
    /// Paragraphs after the description, one a string.
    pub details: &'static [&'static str],
    /// Exit statuses that mean something particular here; the common table is added.
    pub statuses: &'static [(u8, &'static str)],
    /// Command and what it does.
    pub examples: &'static [(&'static str, &'static str)],
    /// Other pages, as `name(section)`.
    pub see_also: &'static [&'static str],
}

/// Every exit status that a command of this project can have, in its native style.
pub const STATUSES: &[(u8, &str)] = &[
    (0, "yes, done, healthy"),
    (1, "a definite no"),
    (64, "usage: the words of the call are wrong"),
    (69, "unavailable: no such interface, no carrier, no such kernel feature"),
    (70, "internal: a defect, or an output that could not be written"),
    (75, "could not be determined: our own deadline, a look-up, starvation, a reader that went away"),
    (77, "not permitted"),
    (78, "a configuration file is wrong"),
];
