//! Lines in, decisions out.

use serde_json::Value;

use super::journal::Journal;
use super::orders::Orders;
use super::rows::OrderRow;
use super::status::StatusFile;
use crate::args::ha_decide::HaDecide;
use crate::cli::event::Event;
use crate::cli::exit::{Answer, Fault};
use crate::cli::feeds::{self, Feed};
use crate::cli::output::Output;
use crate::cli::wait::Waiter;
use crate::cli::{Error, Failure, Tool, eprint_line};
use crate::config;
use crate::decide::Decider;
use crate::decide::action::{Action, Decision};
use crate::decide::cluster::Cluster;
use crate::decide::input::{self, Input, What};
use crate::heartbeat::settings;

/// Decides until nothing more comes.
///
/// # Errors
/// Configuration, or a place that cannot be read or written.
pub fn run(args: HaDecide, output: &mut Output) -> Result<Answer, Error> {
    let dir = args.ha_d.as_path();
    let me = settings::node(args.node.as_deref())?;
    let ha_cf = config::load_ha_cf(dir)?.content;
    let groups = config::load_haresources(dir)?.content;
    let limits = args.limits(&ha_cf)?;
    let cluster = Cluster::new(&ha_cf, &groups, &me, limits).map_err(|e| {
        Failure::new(Fault::Configuration, "configuration", e.to_string()).hint("ha-conf check says where")
    })?;
    let mut feeds = args.inputs.iter().map(|path| Feed::open(path)).collect::<Result<Vec<_>, _>>()?;
    let orders = args.orders.as_ref().map(Orders::to).transpose()?;
    let journal = args.journal.as_ref().map(|path| Journal::open(path, args.journal_size)).transpose()?;
    let status = args.status.as_deref().map(StatusFile::at);
    output.make_lasting_stream();
    output.owe_all();
    let mut desk = Desk { decider: Decider::new(cluster), orders, journal, status, output, at: None };
    let waiter = Waiter::new().map_err(|e| Failure::io("cannot make a timer", &e))?;
    while feeds.iter().any(|feed| !feed.exhausted()) && !desk.decider.has_left() {
        feeds::wait(&waiter, &mut feeds, desk.output, None)?;
        let read = |line: Vec<u8>| input::read(&line).map(|input| (input, line));
        feeds::drain(HaDecide::NAME, &mut feeds, read, |(input, line)| match input {
            Some(input) => desk.heard(input, &line),
            None => Ok(()),
        })?;
        if let Some(status) = &mut desk.status {
            status.update(&desk.decider, desk.at.as_deref());
        }
        desk.output.flush_backlog()?;
    }
    if args.explain {
        for group in desk.decider.explain() {
            let place = group.node.map(|node| format!(" on {node}")).unwrap_or_default();
            let event = Event::new("explain", format!("{} is {}{place}: {}", group.name, group.is, group.why));
            let event = event.with("group", group.name).with("is", group.is).with("node", group.node);
            desk.output.emit(event.with("cause", group.why))?;
        }
    }
    if !desk.decider.has_left() {
        feeds.iter().try_for_each(Feed::ended_well)?;
    }
    Ok(Answer::Yes)
}

/// Where everything meets.
struct Desk<'a> {
    decider: Decider,
    orders: Option<Orders>,
    journal: Option<Journal>,
    status: Option<StatusFile>,
    output: &'a mut Output,
    /// The wall clock of the last event.
    at: Option<String>,
}

impl Desk<'_> {
    /// What a line says.
    fn heard(&mut self, input: Input, line: &[u8]) -> Result<(), Error> {
        if let Some(journal) = &mut self.journal {
            journal.push(line);
        }
        if let Some(at) = &input.at {
            self.at = Some(at.clone());
        }
        let ordered = matches!(input.what, What::Order(_));
        let decisions = self.decider.take(input);
        if let (Some(status), true) = (&mut self.status, ordered) {
            status.ordered(outcome(line, &decisions));
        }
        if let Some(at) = &self.at {
            self.output.set_time(at.clone(), self.decider.now());
        }
        for decision in decisions {
            self.decided(&decision)?;
        }
        if let Some(orders) = &mut self.orders {
            orders.flush();
            let dropped = orders.dropped();
            if dropped > 0 {
                eprint_line(&format!("ha-decide: {dropped} lines were not taken by the sender"));
            }
        }
        Ok(())
    }

    fn decided(&mut self, decision: &Decision) -> Result<(), Error> {
        let event = decision.event();
        // A reply stands in the journal as what asked for it.
        if let (Some(journal), false) = (&mut self.journal, matches!(decision.action, Action::Reply(_))) {
            journal.push(self.output.json(event.clone()).as_bytes());
        }
        match (&mut self.orders, &decision.action) {
            (Some(orders), Action::Reply(_) | Action::Send(_) | Action::Order { .. }) => {
                orders.push(&self.output.json(event));
                self.output.count();
            }
            _ => self.output.emit(event)?,
        }
        Ok(())
    }
}

/// What came of an order, for whoever gave it.
fn outcome(line: &[u8], decisions: &[Decision]) -> OrderRow {
    let asked: Value = serde_json::from_slice(line).unwrap_or_default(); // it was read before
    let word = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let refusal = |decision: &Decision| match &decision.action {
        Action::Refused { what } => Some(format!("{what} is not done: {}", decision.cause)),
        _ => None,
    };
    let refusals = decisions.iter().filter_map(refusal).collect();
    OrderRow { what: word("what"), which: word("which"), cause: word("cause"), refusals }
}
