//! ha-status: who is up, which group is where, and why.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use takeover::args::ha_status::HaStatus;
use takeover::cli::exit::{Answer, ExitStyle, Fault};
use takeover::cli::output::Output;
use takeover::cli::{self, Failure};
use takeover::node::rows::{self, GroupRow, NodeRow, Row};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(args: HaStatus, output: &mut Output) -> Result<Answer, cli::Error> {
    let nagios = args.output.exit_style == ExitStyle::Nagios;
    let rows = read(&args.run_dir).inspect_err(|failure| {
        if nagios {
            output.summarize(&format!("UNKNOWN: {}", failure.message));
        }
    })?;
    let answer = rows::answer(&rows);
    if nagios {
        output.summarize(&summary(&rows, answer));
    }
    let width = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0);
    for row in &rows {
        output.emit(row.event(&words(row, width)))?;
    }
    Ok(answer)
}

fn stopped(dir: &Path, why: &str) -> Failure {
    Failure::unavailable("not-running", format!("no node runs here: {why}"))
        .hint(format!("start one, or name its folder with --run-dir; {} was looked at", dir.display()))
}

/// What the node that runs there thinks.
fn read(dir: &Path) -> Result<Vec<Row>, Failure> {
    let (status, pid) = (dir.join("status"), dir.join("pid"));
    match fs::read_to_string(&pid) {
        Ok(text) => {
            let live = text.trim().parse().is_ok_and(|pid| rows::is_node(Path::new("/proc"), pid));
            if !live {
                return Err(stopped(dir, &format!("{} names no process that is one", pid.display())));
            }
        }
        // ha-decide may run without ha-node, and keeps its file itself.
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(Failure::at(&pid, &e)),
    }
    let text = fs::read_to_string(&status).map_err(|e| match e.kind() {
        ErrorKind::NotFound => stopped(dir, &format!("there is no {}", status.display())),
        _ => Failure::at(&status, &e),
    })?;
    let mut rows = Vec::new();
    for (line, n) in text.lines().zip(1..) {
        let row = Row::read(line).map_err(|what| {
            let message = format!("{}:{n}: {what}", status.display());
            Failure::new(Fault::Internal, "unreadable-file", message)
        })?;
        rows.extend(row);
    }
    Ok(rows)
}

/// The first column.
fn name(row: &Row) -> &str {
    match row {
        Row::Node(row) => &row.node,
        Row::Group(row) => &row.group,
        Row::Order(_) => "",
    }
}

/// A row for a person.
fn words(row: &Row, width: usize) -> String {
    let why = |cause: &str| if cause.is_empty() { String::new() } else { format!(": {cause}") };
    match row {
        Row::Node(NodeRow { node, is, mine, st, links, cause }) => {
            let mut more = if st.is_empty() { Vec::new() } else { vec![st.clone()] };
            if *mine {
                more.push("this node".to_owned());
            }
            more.extend(links.iter().map(|link| link.replacen('=', " ", 1)));
            format!("{node:width$}  {is:8}  {}{}", more.join(", "), why(cause))
        }
        Row::Group(GroupRow { group, is, node, nodes, cause }) => {
            let place = node.as_ref().map(|node| format!("on {node} ")).unwrap_or_default();
            format!("{group:width$}  {is:8}  {place}(of {}){}", nodes.join(", "), why(cause))
        }
        Row::Order(order) => {
            let which = if order.which.is_empty() { String::new() } else { format!(" {}", order.which) };
            let of = if order.cause.is_empty() { String::new() } else { format!(" ({})", order.cause) };
            let outcome = match order.refusals.as_slice() {
                [] => "taken".to_owned(),
                refusals => format!("refused: {}", refusals.join("; ")),
            };
            format!("order {}{which}{of}: {outcome}", order.what)
        }
    }
}

/// All of it in a line.
fn summary(rows: &[Row], answer: Answer) -> String {
    let (mut places, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::Node(NodeRow { node, is, .. }) if is == "up" => up.push(node.as_str()),
            Row::Node(NodeRow { node, is, .. }) => down.push(format!("{node} {is}")),
            Row::Group(GroupRow { group, is, node, .. }) => {
                places.push(format!("{group} {is}{}", node.as_ref().map(|n| format!(" on {n}")).unwrap_or_default()))
            }
            Row::Order(_) => {}
        }
    }
    if places.is_empty() {
        places.push("no groups".to_owned());
    }
    let word = match answer {
        Answer::Yes => "OK",
        Answer::No => "CRITICAL",
        Answer::CannotTell => "UNKNOWN",
    };
    let down = if down.is_empty() { String::new() } else { format!(", {}", down.join(", ")) };
    format!("{word}: {}; {} up{down}", places.join(", "), up.join(" "))
}
