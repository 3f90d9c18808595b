//! Holds the committed manual pages and completions to the definitions that they are made from.

#![allow(clippy::unwrap_used)] // in its helper functions too

#[path = "../examples/generate/pages/mod.rs"]
mod pages;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const REMEDY: &str = "run `cargo run --example generate` and commit what it writes";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn committed_files_are_up_to_date() {
    let wanted = pages::all().unwrap();
    let stale: Vec<&String> = wanted
        .iter()
        .filter(|(p, text)| std::fs::read_to_string(root().join(p)).ok() != Some((*text).clone()))
        .map(|(p, _)| p)
        .collect();
    assert!(stale.is_empty(), "not up to date: {stale:?}; {REMEDY}");
    let strays = pages::strays(root()).unwrap();
    assert!(strays.is_empty(), "nothing makes these any more: {strays:?}; {REMEDY}");
}

#[test]
fn every_command_is_in_the_table() {
    let in_table: BTreeSet<String> = pages::commands().iter().map(|c| c.name().to_owned()).collect();
    let mut in_source = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/bin")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue; // what several of them share
        }
        in_source.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(in_source, in_table, "src/bin (left) and the table in examples/generate/pages/mod.rs (right)");
}

#[test]
fn every_page_has_its_sections() {
    for command in pages::commands() {
        let page = &pages::all().unwrap()[&format!("man/{}.{}", command.name(), command.section)];
        let headings: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix(".SH ")).collect();
        assert_eq!(
            headings,
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EVENTS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"],
            "{}",
            command.name()
        );
        assert!(!command.manual.details.is_empty(), "{} has no description", command.name());
        assert!(!command.manual.examples.is_empty(), "{} has no examples", command.name());
        assert!(!command.manual.see_also.is_empty(), "{} has no SEE ALSO", command.name());
        for option in command.definition.get_arguments().filter(|a| !a.is_hide_set()) {
            assert!(option.get_help().is_some(), "{}: {} has no help", command.name(), option.get_id());
        }
    }
}

/// The hand-written pages of commands and scripts keep the same sections.
#[test]
fn hand_written_pages_have_the_sections_too() {
    for entry in std::fs::read_dir(root().join("man")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // The release shows in every heading; a page written by hand must not stay behind.
        let release = concat!(" \"takeover ", env!("CARGO_PKG_VERSION"), "\" ");
        let heading = text.lines().find(|l| l.starts_with(".TH ")).unwrap_or_default();
        assert!(heading.contains(release), "{}: {heading}", path.display());
        let command = matches!(path.extension().and_then(|e| e.to_str()), Some("1" | "8"));
        let needed: &[&str] = match command {
            true => &["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"],
            false => &["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"],
        };
        for section in needed {
            assert!(text.lines().any(|l| l == format!(".SH {section}")), "{} has no {section}", path.display());
        }
    }
}

/// Each example is a call that the command understands: its flags exist and its values parse.
#[test]
fn examples_are_valid_calls() {
    for command in pages::commands() {
        let own = command.manual.examples.iter().filter(|(line, _)| first_word(line) == command.name());
        assert!(own.clone().count() > 0, "{}: no example starts with the command", command.name());
        for (line, _) in own {
            let words = shell_words(line);
            let parsed = command.definition.clone().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{line}\n{words:?}\n{}", parsed.unwrap_err());
        }
    }
}

fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The words of the first command of a line as the shell would hand them over; they are printed, nothing is run.
fn shell_words(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {}", cut(line));
    let output = Command::new("/bin/sh").args(["-c", &script]).env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Up to the first unquoted `|`, `;`, `&`, `<`, `>` or newline.
fn cut(line: &str) -> &str {
    let mut quote = None;
    for (n, c) in line.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '|' | ';' | '&' | '<' | '>' | '\n') => return &line[..n],
            (None, _) => {}
        }
    }
    line
}

/// References between our own pages name the right section.
#[test]
fn references_name_the_right_section() {
    let mut pages_of: Vec<(String, u8)> = pages::commands().iter().map(|c| (c.name().to_owned(), c.section)).collect();
    pages_of.extend([("ha-events".into(), 7), ("takeover".into(), 7), ("standby-watch".into(), 8)]);
    pages_of.extend([("cl_status".into(), 1), ("ha-standby".into(), 8), ("ha-node".into(), 8), ("ha-fence".into(), 8)]);
    pages_of.push(("watch-services".into(), 8));
    for command in pages::commands() {
        for reference in command.manual.see_also {
            let (name, section) = reference.strip_suffix(')').and_then(|r| r.split_once('(')).unwrap();
            if let Some((_, right)) = pages_of.iter().find(|(n, _)| n == name) {
                assert_eq!(section, right.to_string(), "{} refers to {reference}", command.name());
            }
        }
    }
}

/// The shells accept what was generated; bash is always there, the others where they are installed.
#[test]
fn shells_accept_the_completions() {
    for (path, _) in pages::all().unwrap().iter().filter(|(p, _)| p.starts_with("completions/")) {
        let shell = path.split('/').nth(1).unwrap();
        match Command::new(shell).arg("-n").arg(root().join(path)).output() {
            Ok(output) => assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(e) => assert_ne!(shell, "bash", "{e}"),
        }
    }
}
