//! haresources: groups of resources that move together, and the nodes that they prefer.
//!
//! A line is a group: the node, then resources, started left to right. `#` begins a comment, a `\` at the end of a line
//! joins the next one to it, comments going first, as heartbeat 3.0.6 does it. How a resource is written stands in
//! [`crate::resource::spec`].
//!
//! Our extension: the first word may list candidates in order (`ha1,ha3`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::Parsed;
use super::text::{Problems, is_node_name, quoted};
use crate::resource::spec::Resource;

/// A group of resources that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The first resource as it was written: it names the group.
    pub id: String,
    /// The nodes that may have it, in lower case, the preferred one first.
    pub nodes: Vec<String>,
    /// The resources in the order of their start.
    pub resources: Vec<Resource>,
    /// The line where the group begins.
    pub line: u32,
}

/// Reads the text of a haresources file.
pub fn parse(file: &Path, text: &str) -> Parsed<Vec<Group>> {
    let mut problems = Problems::new(file);
    let mut groups: Vec<Group> = Vec::new();
    // The line of each group's name, and that of the group where a resource stands first.
    let (mut named, mut placed) = (HashMap::<String, u32>::new(), HashMap::<String, u32>::new());
    for (line, text) in logical_lines(text, &mut problems) {
        // As heartbeat's shell has it: any other white space is part of a word, and no word may have it.
        let mut words = text.split([' ', '\t']).filter(|w| !w.is_empty());
        let Some(first) = words.next() else { continue };
        let resources: Vec<&str> = words.collect();
        let nodes = candidates(line, first, &mut problems);
        let Some(id) = resources.first() else {
            problems.error(
                line,
                format!("{} has no resource", quoted(first)),
                "write the node, then its resources: ha1 192.0.2.10 httpd",
            );
            continue;
        };
        if let Some(other) = named.get(*id) {
            problems.error(
                line,
                format!("the group of line {other} begins with {}, too", quoted(id)),
                "the first resource names the group: begin each with another one",
            );
            continue;
        }
        named.insert((*id).to_owned(), line);
        let mut group = Group { id: (*id).to_owned(), nodes, resources: Vec::new(), line };
        for spec in resources {
            let resource = match spec.parse::<Resource>() {
                Ok(resource) => resource,
                Err(e) => {
                    problems.error(line, e.what, e.hint);
                    continue;
                }
            };
            match placed.get(&resource.identity()) {
                Some(other) if *other == line => {
                    problems.warning(
                        line,
                        format!("{} stands twice in its group", quoted(spec)),
                        "leave one out: it would be started once and stopped twice",
                    );
                    continue;
                }
                Some(other) => problems.warning(
                    line,
                    format!("{} is in the group of line {other}, too", quoted(spec)),
                    "the groups may run on different nodes: a resource belongs to one of them",
                ),
                None => {
                    placed.insert(resource.identity(), line);
                }
            }
            group.resources.push(resource);
        }
        groups.push(group);
    }
    Parsed { content: groups, problems: problems.sorted() }
}

/// Lines without comments, joined where one ends in a backslash; each with the number of its first line.
fn logical_lines(text: &str, problems: &mut Problems) -> Vec<(u32, String)> {
    let mut logical = Vec::new();
    let mut joined: Option<(u32, String)> = None;
    for (line, raw) in super::text::lines(text) {
        let said = raw.split('#').next().unwrap_or_default();
        let (start, mut text) = joined.take().unwrap_or((line, String::new()));
        if let Some(more) = said.strip_suffix('\\') {
            text.push_str(more);
            joined = Some((start, text));
            continue;
        }
        if said.trim_end().ends_with('\\') {
            problems.error(
                line,
                "the backslash is not the last of its line",
                "remove the blanks or the comment behind it: else it joins nothing",
            );
            // What was meant is plain enough to look at the rest.
            text.push_str(said.trim_end().trim_end_matches('\\'));
            joined = Some((start, text));
            continue;
        }
        text.push_str(said);
        logical.push((start, text));
    }
    if let Some((start, text)) = joined {
        problems.warning(start, "the last line ends in a backslash", "nothing follows: remove it");
        logical.push((start, text));
    }
    logical
}

fn candidates(line: u32, word: &str, problems: &mut Problems) -> Vec<String> {
    let mut nodes: Vec<String> = Vec::new();
    for name in word.split(',') {
        let lower = name.to_ascii_lowercase();
        if !is_node_name(name) {
            let hint = match name.parse::<IpAddr>().is_ok() || name.contains("::") {
                true => "a line begins with the node that should have the resources",
                false => "write what uname -n prints there; several with commas and no blanks between them",
            };
            problems.error(line, format!("{} is not the name of a node", quoted(name)), hint);
        } else if nodes.contains(&lower) {
            problems.warning(line, format!("node {} is named twice", quoted(&lower)), "leave one out");
        } else {
            if lower.parse::<Ipv4Addr>().is_ok() {
                let hint = "a line begins with the node that should have the resources";
                problems.error(line, format!("{} is an address, not a node", quoted(name)), hint);
            }
            nodes.push(lower);
        }
    }
    nodes
}

#[cfg(test)]
mod tests;
