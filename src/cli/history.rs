//! `logs`, `explain` and `journal`: what happened, and why.

use super::args::{Global, Logs, Output};
use super::error::{Code, Error};
use super::get::odd_answer;
use super::names::Thing;
use super::output::Align::{self, Left};
use super::output::{self, Column, json_line, maybe, print, print_rows, time};
use super::session::{Need, Session};
use super::{names, stream, times};
use crate::model::container::ContainerRow;
use crate::model::filter::Filter;
use crate::model::message::{Answer, ExplainWhat, Explained, JournalEntry, LogLine, LogSource, LogTarget};
use crate::model::{Chunk, Feed, Query, Stamp};
use std::sync::Arc;

/// Newest lines where nothing else is asked for.
const TAIL: u32 = 200;

/// `logs`: lines of instances and containers, or mcpdeck's own.
pub fn logs(global: &Global, args: &Logs) -> Result<Code, Error> {
    let filter = Filter::parse_for::<LogLine>(args.filter.as_deref().unwrap_or_default())?;
    let session = Session::open(global, Need::Owner)?;
    let since = args.since.as_deref().map(|text| times::read("since", text)).transpose()?;
    let mut targets = Vec::new();
    for text in &args.targets {
        targets.extend(log_targets(&session, text)?);
    }
    if targets.is_empty() {
        targets.push(LogTarget::Deck);
    }
    let tail = args.tail.unwrap_or(if since.is_some() { u32::MAX } else { TAIL });
    let feed = Feed::Logs { targets, tail, follow: args.follow, since };
    stream::each_chunk(&session, feed, |chunk| {
        let Chunk::Logs(lines) = chunk else { return Ok(()) };
        let text: Result<String, Error> = lines
            .iter()
            .filter(|line| filter.matches(*line, Stamp::now()))
            .map(|line| match session.output {
                Output::Json => json_line(line),
                Output::Table => Ok(log_text(line)),
            })
            .collect();
        print(&text?)
    })?;
    Ok(Code::Ok)
}

/// What a name means; a stack's are the logs of all its containers.
fn log_targets(session: &Session, text: &str) -> Result<Vec<LogTarget>, Error> {
    let state = session.state_with(text)?;
    let container = |row: &Arc<ContainerRow>| LogTarget::Container(row.key.clone(), row.name.clone());
    Ok(match names::thing(&state, text)? {
        Thing::Instances(key) => vec![LogTarget::Instance(key)],
        Thing::Container(row) => vec![container(&row)],
        Thing::Stack(stack) => names::containers_of(&state, &stack)?.iter().map(container).collect(),
    })
}

fn log_text(line: &LogLine) -> String {
    let from = &line.target;
    let source = match line.source {
        LogSource::Stdout | LogSource::Stderr => "",
        LogSource::Garbage => "stdout: ",
        LogSource::Deck => "deck: ",
    };
    format!("{} {from} {source}{}\n", time(line.at), super::output::one_line(&line.text))
}

const EXPLAINED: &[Column] = &[("", Left), ("CHECK", Left), ("EVIDENCE", Left), ("NEXT", Left)];

/// `explain`: check by check.
pub fn explain(global: &Global, what: &str) -> Result<Code, Error> {
    let session = Session::open(global, Need::Any)?;
    let what = meant(&session, what)?;
    let Answer::Explain(checks) = session.ask(Query::Explain(what))? else { return Err(odd_answer()) };
    print_rows(session.output, EXPLAINED, checks.iter().map(explained_cells), &checks)
}

fn explained_cells(check: &Explained) -> Vec<String> {
    let mark = match check.passed {
        Some(true) => "ok",
        Some(false) => "NO",
        None => "?",
    };
    vec![mark.to_owned(), check.check.clone(), check.evidence.clone(), maybe(check.next.clone())]
}

/// `c12` is a call; a server's name (or `server@tenant`) comes before a tenant's, a stack's and a container's.
fn meant(session: &Session, text: &str) -> Result<ExplainWhat, Error> {
    let state = session.state();
    let server = text.split(['@', '#']).next().unwrap_or(text);
    if state.server(server).is_some() {
        return Ok(ExplainWhat::Instance(names::target(&state, text)?));
    }
    if let Some(tenant) = state.find_tenant(text) {
        return Ok(ExplainWhat::Tenant(tenant.def.id.clone()));
    }
    if let Some(id) = text.strip_prefix('c').and_then(|n| n.parse().ok()) {
        return Ok(ExplainWhat::Call(crate::model::CallId(id)));
    }
    Ok(match names::thing(&*session.state_with(text)?, text)? {
        Thing::Instances(key) => ExplainWhat::Instance(key),
        Thing::Stack(stack) => ExplainWhat::Stack(stack),
        Thing::Container(row) => ExplainWhat::Container(row.key.clone()),
    })
}

const JOURNAL: &[Column] =
    &[("TIME", Left), ("BY", Left), ("FACE", Left), ("VERB", Left), ("OBJECT", Left), ("OUTCOME", Align::Left)];

/// `journal`: what operators did, newest first.
pub fn journal(global: &Global, limit: u32) -> Result<Code, Error> {
    let session = Session::open(global, Need::Any)?;
    let Answer::Journal(entries) = session.ask(Query::Journal { limit })? else { return Err(odd_answer()) };
    let held = entries.iter().filter(|entry| !entry.kept).count();
    if held > 0 {
        let why = session.state().totals.store_error.clone().unwrap_or_else(|| "the store takes nothing".to_owned());
        output::remark(session.output, &format!("{held} of these are in the owner's memory alone: {why}"));
    }
    print_rows(session.output, JOURNAL, entries.iter().map(journal_cells), &entries)
}

fn journal_cells(entry: &JournalEntry) -> Vec<String> {
    let face = match entry.operator.face {
        crate::model::message::Face::Screen => "screen",
        crate::model::message::Face::Cli => "cli",
        crate::model::message::Face::Api => "api",
        crate::model::message::Face::Platform => "platform",
    };
    vec![
        time(entry.at),
        entry.operator.name.clone(),
        face.to_owned(),
        entry.verb.clone(),
        entry.object.clone(),
        if entry.kept { entry.outcome.clone() } else { format!("{}, not on disk", entry.outcome) },
    ]
}
