//! What is thought now, in a file that is replaced as a whole: readers see one state or the next, never half of one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::eprint_line;
use crate::decide::Decider;

/// The file, and what it says.
pub struct StatusFile {
    path: PathBuf,
    said: String,
    failed: bool,
}

impl StatusFile {
    /// It is written at the first change.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), said: String::new(), failed: false }
    }

    /// Writes it if it would say something else.
    pub fn update(&mut self, decider: &Decider) {
        let text = lines(decider).into_iter().map(|line| format!("{line}\n")).collect::<String>();
        if text == self.said {
            return;
        }
        match replace(&self.path, &text) {
            Ok(()) => (self.said, self.failed) = (text, false),
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

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

/// One line a node and one a group.
fn lines(decider: &Decider) -> Vec<Value> {
    let nodes = decider.nodes().into_iter().map(|node| {
        json!({
            "event": "node-status", "node": node.name, "is": node.is, "mine": node.me, "status": node.status,
            "links": node.links, "cause": node.cause,
        })
    });
    let groups = decider.explain().into_iter().map(|group| {
        json!({
            "event": "group-status", "group": group.name, "is": group.is, "node": group.node, "nodes": group.candidates,
            "cause": group.why,
        })
    });
    nodes.chain(groups).collect()
}
