//! The manual page of one command.

use std::collections::BTreeMap;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction};
use takeover::args::manual::STATUSES;
use takeover::cli::vocabulary;

use super::Command;
use super::roff::{Page, bold, escape, italic};

/// The whole page.
pub fn page(command: &Command) -> String {
    let name = command.name();
    let about = styled(command.definition.get_about());
    let mut page = Page::new(name, command.section);
    page.section("NAME").raw(&format!("{} \\- {}", escape(name), escape(&lower_first(&about))));
    synopsis(&mut page, command);
    page.section("DESCRIPTION").text(&sentence(&about));
    for paragraph in command.manual.details {
        page.paragraph(paragraph);
    }
    options(&mut page, command);
    events(&mut page, name);
    statuses(&mut page, command);
    page.section("EXAMPLES");
    for (n, (line, what)) in command.manual.examples.iter().enumerate() {
        if n > 0 {
            page.raw(".PP");
        }
        page.text(what).terminal(line);
    }
    page.see_also(command.manual.see_also);
    page.finish()
}

fn visible(arg: &&Arg) -> bool {
    !arg.is_hide_set()
}

/// `--help` and `--version`: last in the list, and not in the synopsis.
fn is_about_itself(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}

fn synopsis(page: &mut Page, command: &Command) {
    let definition = &command.definition;
    page.section("SYNOPSIS").raw(&format!(".SY {}", escape(command.name())));
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) =
        definition.get_opts().filter(visible).partition(|a| a.is_required_set());
    for arg in required {
        page.raw(&usage(arg));
    }
    let flags = definition.get_arguments().filter(|a| !a.is_positional() && !a.get_action().takes_values());
    for arg in flags.filter(visible).filter(|a| !is_about_itself(a)).chain(optional) {
        page.raw(&format!("[{}]", usage(arg)));
    }
    for arg in definition.get_positionals().filter(visible) {
        let open = if arg.is_required_set() { operand(arg) } else { format!("[{}]", operand(arg)) };
        page.raw(&open);
    }
    page.raw(".YS");
}

/// One option as the synopsis has it, kept together on a line.
fn usage(arg: &Arg) -> String {
    let repeated = if matches!(arg.get_action(), ArgAction::Append) { "\\ ..." } else { "" };
    format!("{}{}{repeated}", names(arg).first().map_or("", String::as_str), value(arg, "\\ "))
}

/// `-s` and `--long`, the long one first.
fn names(arg: &Arg) -> Vec<String> {
    let long = arg.get_long().map(|l| bold(&format!("--{l}")));
    long.into_iter().chain(arg.get_short().map(|s| bold(&format!("-{s}")))).collect()
}

fn value(arg: &Arg, space: &str) -> String {
    match arg.get_value_names() {
        Some(names) if arg.get_action().takes_values() => {
            let names: String = names.iter().map(|n| format!("{space}{}", italic(n))).collect();
            if arg.get_num_args().is_some_and(|n| n.min_values() == 0) { format!("[{names}]") } else { names }
        }
        _ => String::new(),
    }
}

fn operand(arg: &Arg) -> String {
    let name = arg.get_value_names().map_or_else(|| arg.get_id().to_string(), |n| n.join(" "));
    // Open-ended lists only: a Vec without an upper bound.
    let many = arg.get_num_args().is_some_and(|n| n.max_values() > 1) || matches!(arg.get_action(), ArgAction::Append);
    format!("{}{}", italic(&name), if many { "\\ ..." } else { "" })
}

fn options(page: &mut Page, command: &Command) {
    let definition = &command.definition;
    page.section("OPTIONS");
    for arg in definition.get_positionals().filter(visible) {
        page.item(&operand(arg), &explanation(command, arg));
        possible_values(page, arg);
    }
    // Headings in the order of their first option; what has none comes first.
    let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = vec![(None, Vec::new())];
    let all = definition.get_arguments().filter(visible).filter(|a| !a.is_positional());
    let (itself, rest): (Vec<&Arg>, Vec<&Arg>) = all.partition(|a| is_about_itself(a));
    for arg in rest {
        let heading = arg.get_help_heading();
        match groups.iter_mut().find(|(h, _)| *h == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading, vec![arg])),
        }
    }
    // The flags that all commands share stand at the end.
    groups.sort_by_key(|(heading, _)| *heading == Some("Output"));
    groups.push((Some("Help"), itself));
    for (heading, args) in groups {
        if let Some(heading) = heading {
            page.subsection(heading);
        }
        for arg in args {
            page.item(&format!("{}{}", names(arg).join(", "), value(arg, " ")), &explanation(command, arg));
            possible_values(page, arg);
        }
    }
}

/// What an option means, whole sentences with the default and what it cannot stand beside.
fn explanation(command: &Command, arg: &Arg) -> String {
    if is_about_itself(arg) {
        return match arg.get_action() {
            ArgAction::Version => "Print the version and end.".into(),
            _ => "Print the options and end; `-h` is shorter.".into(),
        };
    }
    let help = styled(arg.get_long_help().or_else(|| arg.get_help()));
    let (help, mut default) = match help.strip_suffix(']').and_then(|h| h.rsplit_once(" [default: ")) {
        Some((help, default)) => (help.to_owned(), default.to_owned()),
        None => (help, String::new()),
    };
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() && default.is_empty() {
        let values: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        default = values.join(",");
    }
    let mut text = sentence(&help);
    if let Some(values) = documented(arg).err().filter(|v| !v.is_empty()) {
        text.push_str(&format!(" One of {values}."));
    }
    if !default.is_empty() {
        text.push_str(&format!(" Default: {default}."));
    }
    let against: Vec<String> = command
        .definition
        .get_arg_conflicts_with(arg)
        .iter()
        .filter_map(|a| a.get_long())
        .map(|l| format!("--{l}"))
        .collect();
    if !against.is_empty() {
        text.push_str(&format!(" Not together with {}.", against.join(", ")));
    }
    text
}

/// The possible values where each has a line of its own; else their names as one text.
fn documented(arg: &Arg) -> Result<Vec<PossibleValue>, String> {
    let flag = !arg.get_action().takes_values() || arg.is_hide_possible_values_set();
    let values = if flag { Vec::new() } else { arg.get_possible_values() };
    let values: Vec<PossibleValue> = values.into_iter().filter(|v| !v.is_hide_set()).collect();
    if !values.is_empty() && values.iter().all(|v| v.get_help().is_some()) {
        return Ok(values);
    }
    Err(values.iter().map(|v| format!("`{}`", v.get_name())).collect::<Vec<_>>().join(", "))
}

fn possible_values(page: &mut Page, arg: &Arg) {
    if let Ok(values) = documented(arg) {
        page.raw(".RS");
        for value in values {
            page.item(&bold(value.get_name()), &sentence(&styled(value.get_help())));
        }
        page.raw(".RE");
    }
}

fn events(page: &mut Page, name: &str) {
    page.section("EVENTS");
    let mut own = vocabulary::events().filter(|e| e.tools.contains(&name)).peekable();
    if own.peek().is_none() {
        page.text("None under its own name but `error`. ha-events(7) describes every event and field.");
        return;
    }
    page.text(
        "One line of JSON each on standard output. ha-events(7) explains the fields, and those that every event has.",
    );
    for event in own {
        let fields: Vec<String> = event.fields.iter().map(|f| italic(f)).collect();
        page.raw(".TP").raw(&bold(event.name)).text(event.doc).raw(".br").filled(&fields.join(", "));
    }
    page.item(
        &bold("error"),
        "Something could not be done or told; the exit status is then 64 or above, unless a stream goes on.",
    );
}

fn statuses(page: &mut Page, command: &Command) {
    page.section("EXIT STATUS");
    let mut all: BTreeMap<u8, String> = STATUSES.iter().map(|(n, what)| (*n, (*what).to_owned())).collect();
    for (number, what) in command.manual.statuses {
        all.entry(*number)
            .and_modify(|common| *common = format!("{common}. Here: {what}"))
            .or_insert_with(|| (*what).to_owned());
    }
    for (number, what) in &all {
        page.item(&bold(&number.to_string()), &sentence(&upper_first(what)));
    }
    page.paragraph(
        "64 and above never are an answer. --exit-style gives the numbers that other callers expect, see takeover(7).",
    );
}

fn styled(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|t| t.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

fn sentence(text: &str) -> String {
    if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

pub(super) fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// For NAME: `Print one …` becomes `print one …`, `ARP …` stays.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
