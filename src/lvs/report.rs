//! Changes as events.

use std::time::Duration;

use super::diff::Change;
use super::table::{Server, Settings};
use crate::cli::event::Event;

fn of_server(server: &Server) -> String {
    let words = server.words();
    // Without -r and the address, which the event has in a field of its own.
    let words = words.iter().skip(2).chain(&server.other);
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn of_service(settings: &Settings) -> String {
    [settings.words(), settings.other.clone()].concat().join(" ")
}

/// One change that was made, or would be.
pub fn change(change: &Change, dry_run: bool) -> Event {
    let key = change.key();
    let (action, server, was, is) = match change {
        Change::AddService(_, settings) => ("add", None, None, Some(of_service(settings))),
        Change::EditService { was, is, .. } => ("edit", None, Some(of_service(was)), Some(of_service(is))),
        Change::DeleteService(_) => ("delete", None, None, None),
        Change::AddServer(_, server) => ("add", Some(server.address), None, Some(of_server(server))),
        Change::EditServer { was, is, .. } => ("edit", Some(is.address), Some(of_server(was)), Some(of_server(is))),
        Change::DeleteServer(_, server) => ("delete", Some(server.address), Some(of_server(server)), None),
    };
    let what = server.map_or_else(|| key.to_string(), |server| format!("{server} of {key}"));
    let would = if dry_run { "would " } else { "" };
    let verb = format!("{would}{action}");
    let words = match (&was, &is) {
        (Some(was), Some(is)) => format!("{verb} {what}: {was} becomes {is}"),
        (None, Some(is)) => format!("{verb} {what}: {is}"),
        _ => format!("{verb} {what}"),
    };
    Event::new("ipvs", words)
        .with("service", key.to_string())
        .shown("server", server)
        .with("action", action)
        .with("was", was)
        .with("is", is)
        .with("ipvsadm", change.words().join(" "))
        .with("dry_run", dry_run)
}

/// The end of a run in which everything became as wanted, or would.
pub fn outcome(changes: &[Change], dry_run: bool, took: Duration) -> Event {
    let cause = match (changes.len(), dry_run) {
        (0, _) => "everything is as wanted".to_owned(),
        (1, true) => "one change would be made".to_owned(),
        (1, false) => "one change was made, and read back".to_owned(),
        (n, true) => format!("{n} changes would be made"),
        (n, false) => format!("{n} changes were made, and read back"),
    };
    Event::new("outcome", cause.as_str())
        .with("changed", !changes.is_empty())
        .with("dry_run", dry_run)
        .with("changes", changes.len())
        .ms("total_ms", took)
        .with("cause", cause)
}
