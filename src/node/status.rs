//! What is thought now, in a file that is replaced as a whole: readers see one state or the next, never half of one.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use super::rows::{OrderRow, Row};
use crate::args::ha_decide::HaDecide;
use crate::cli::files::replace;
use crate::cli::output::{Format, Output};
use crate::cli::{Tool, eprint_line};
use crate::decide::Decider;

/// Orders of operators that are remembered: whoever asked looks for the answer within moments.
const ORDERS: usize = 4;

/// The file, and what it says.
pub struct StatusFile {
    path: PathBuf,
    said: Vec<Row>,
    orders: VecDeque<OrderRow>,
    failed: bool,
}

impl StatusFile {
    /// It is written at the first change.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), said: Vec::new(), orders: VecDeque::new(), failed: false }
    }

    /// What came of an operator's order: whoever asked looks for it here.
    pub fn ordered(&mut self, order: OrderRow) {
        if self.orders.len() == ORDERS {
            self.orders.pop_front();
        }
        self.orders.push_back(order);
    }

    /// Writes it if it would say something else than before; `at` is the wall clock of the last event.
    pub fn update(&mut self, decider: &Decider, at: Option<&str>) {
        let nodes = decider.nodes().into_iter().map(Row::from);
        let groups = decider.explain().into_iter().map(Row::from);
        let orders = self.orders.iter().cloned().map(Row::Order);
        let rows: Vec<Row> = nodes.chain(groups).chain(orders).collect();
        if rows == self.said {
            return;
        }
        // No stream: what is thought is told anew each time, and has no number.
        let mut output = Output::new(HaDecide::NAME, Format::Json);
        if let Some(at) = at {
            output.set_time(at.to_owned(), decider.now());
        }
        let text = rows.iter().map(|row| output.json(row.event("")) + "\n").collect::<String>();
        match replace(&self.path, &text, 0o644) {
            Ok(()) => (self.said, self.failed) = (rows, false),
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    eprint_line(&format!("ha-decide: {}: {error}", self.path.display()));
                }
            }
        }
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // nobody decides any more
    }
}
