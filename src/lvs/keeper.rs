//! Making the kernel's table what is wanted: once, or again and again.

use std::collections::HashSet;

use super::diff::{Change, diff};
use super::ipvsadm::Ipvsadm;
use super::table::{Key, Table};
use super::wanted::Wanted;
use crate::cli::Failure;
use crate::cli::exit::Fault;

/// The way to the kernel's table, and what it was when it was looked at last.
#[derive(Debug)]
pub struct Keeper {
    ipvsadm: Ipvsadm,
    own: Vec<Key>,
    known: Option<Table>,
}

/// What came of one table.
#[derive(Debug, Default)]
pub struct Made {
    /// What was changed.
    pub changes: Vec<Change>,
    /// What was refused. None: the table was read after the last change, and is as it was wanted.
    pub failures: Vec<Failure>,
}

impl Keeper {
    /// A keeper that deletes services of `own` where they are not wanted, and no others.
    pub fn new(ipvsadm: Ipvsadm, own: Vec<Key>) -> Self {
        Self { ipvsadm, own, known: None }
    }

    /// What would be changed.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn missing(&self, wanted: &[Wanted]) -> Result<Vec<Change>, Failure> {
        Ok(diff(wanted, &self.own, &self.ipvsadm.table(true)?))
    }

    /// Makes the table what is wanted, and reads it back.
    pub fn make(&mut self, wanted: &[Wanted]) -> Made {
        let mut made = Made::default();
        // Who is down has to go at once: the table is read afterwards. Where it was another one than we knew, and
        // something was refused, that finds out too.
        if let Some(known) = self.known.take() {
            self.apply(diff(wanted, &self.own, &known), &mut made);
            made.failures.clear();
        }
        match self.settle(wanted, &mut made) {
            Ok(table) => self.known = table,
            Err(failure) => made.failures.push(failure),
        }
        made
    }

    /// By the table as it is now; returns it where it has become what is wanted.
    fn settle(&self, wanted: &[Wanted], made: &mut Made) -> Result<Option<Table>, Failure> {
        let present = self.ipvsadm.table(true)?;
        let changes = diff(wanted, &self.own, &present);
        if changes.is_empty() {
            return Ok(Some(present));
        }
        self.apply(changes, made);
        if !made.failures.is_empty() {
            return Ok(None);
        }
        let thresholds = wanted.iter().flat_map(|w| &w.servers).any(|s| s.lower + s.upper > 0)
            || present.0.iter().flat_map(|s| &s.servers).any(|s| s.lower + s.upper > 0);
        let table = self.ipvsadm.table(thresholds)?;
        match diff(wanted, &self.own, &table).first() {
            None => Ok(Some(table)),
            Some(left) => {
                let words = left.words().join(" ");
                let message =
                    format!("the table is not as it was made, 'ipvsadm {words}' is missing: somebody else changes it");
                Err(Failure::new(Fault::Undetermined, "changed-meanwhile", message))
            }
        }
    }

    /// All changes, but for those of a service of which one was refused.
    fn apply(&self, changes: Vec<Change>, made: &mut Made) {
        let mut given_up: HashSet<Key> = HashSet::new();
        for change in changes {
            if given_up.contains(&change.key()) {
                continue;
            }
            match self.ipvsadm.apply(&change) {
                Ok(()) => made.changes.push(change),
                Err(e) => {
                    given_up.insert(change.key());
                    made.failures.push(e);
                }
            }
        }
    }
}
