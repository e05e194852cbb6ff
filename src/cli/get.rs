//! `get`: rows of the platform, once or as they change.

use super::args::{Counted, Get, Global, Kind, Output};
use super::error::{Code, Error};
use super::output::{self, Table, json, json_line, print, print_rows};
use super::rows::Listed;
use super::session::{Need, Session};
use super::usage::{self, UsageRow};
use super::{gpus, names, stream};
use crate::model::call::Call;
use crate::model::container::{ContainerRow, EngineRow, EngineState, OrphanRow};
use crate::model::filter::Filter;
use crate::model::gpu::{GpuRow, GpuState};
use crate::model::message::{Answer, JobRow};
use crate::model::snapshot::{ServerRow, TenantRow};
use crate::model::stack::StackRow;
use crate::model::summary::{By, groups};
use crate::model::{CallRecord, Chunk, Event, Feed, InstanceRow, Query, Snapshot, Stamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs `get`.
pub fn run(global: &Global, args: &Get) -> Result<Code, Error> {
    match args.kind {
        Kind::Gpus if args.at.is_some() || args.since.is_some() => gpus::held(global, args),
        _ if args.at.is_some() || args.since.is_some() => Err(Error::usage("--at and --since are for gpus")),
        Kind::Calls => calls(global, args),
        _ if args.by.is_some() => Err(Error::usage("--by is for calls")),
        Kind::Tenants => of_snapshot::<TenantRow>(global, args, |s| s.tenants.clone()),
        Kind::Servers => of_snapshot::<ServerRow>(global, args, |s| s.servers.clone()),
        Kind::Instances => of_snapshot::<InstanceRow>(global, args, |s| s.instances.clone()),
        Kind::Jobs => of_snapshot::<JobRow>(global, args, |s| s.jobs.clone()),
        Kind::Containers => of_snapshot::<ContainerRow>(global, args, by_name),
        Kind::Stacks => of_snapshot::<StackRow>(global, args, |s| s.stacks.clone()),
        Kind::Engines => of_snapshot::<EngineRow>(global, args, |s| s.engines.clone()),
        Kind::Orphans => of_snapshot::<OrphanRow>(global, args, by_what),
        Kind::Usage => of_snapshot::<UsageRow>(global, args, usage::rows),
        Kind::Gpus => of_snapshot::<GpuRow>(global, args, |s| s.gpus.devices.iter().cloned().map(Arc::new).collect()),
        Kind::Events => events(global, args),
    }
}

/// `reap --dry-run`: what it would remove.
pub fn orphans(global: &Global) -> Result<Code, Error> {
    let session = Session::open(global, Need::Any)?;
    session.until_engines()?;
    let state = session.state();
    show(session.output, &by_what(&state))?;
    complete(&state)
}

/// Watching a platform of one's own would hold it for as long, so it takes an owner. Whatever stands on an engine is
/// waited for, and what is shown of it is sampled.
fn open(global: &Global, args: &Get) -> Result<Session, Error> {
    let session = Session::open(global, if args.watch { Need::Owner } else { Need::Any })?;
    match args.kind {
        Kind::Containers | Kind::Usage => session.until_usage(args.watch)?,
        Kind::Gpus => session.until_gpus(args.watch)?,
        Kind::Stacks | Kind::Orphans | Kind::Engines => session.until_engines()?,
        Kind::Tenants | Kind::Servers | Kind::Instances | Kind::Jobs | Kind::Calls | Kind::Events => {}
    }
    Ok(session)
}

/// Which rows are meant.
pub struct Choice<'a> {
    filter: Filter,
    name: Option<&'a str>,
}

impl<'a> Choice<'a> {
    pub fn of<T: Listed>(args: &'a Get) -> Result<Self, Error> {
        let filter = Filter::parse_for::<T>(args.filter.as_deref().unwrap_or_default())?;
        Ok(Self { filter, name: args.name.as_deref() })
    }

    fn takes<T: Listed>(&self, row: &T, now: Stamp) -> bool {
        self.name.is_none_or(|name| row.is(name)) && self.filter.matches(row, now)
    }

    fn pick<T: Listed>(&self, rows: &[Arc<T>]) -> Vec<Arc<T>> {
        let now = Stamp::now();
        rows.iter().filter(|row| self.takes(&***row, now)).cloned().collect()
    }

    /// The same; says why nothing is left if a value was asked for that no row has.
    pub fn pick_telling<T: Listed>(&self, format: Output, rows: &[Arc<T>]) -> Vec<Arc<T>> {
        let picked = self.pick(rows);
        if let Some(hint) = self.filter.hint(picked.is_empty(), rows, Stamp::now()) {
            output::remark(format, &hint);
        }
        picked
    }
}

fn of_snapshot<T: Listed + PartialEq>(
    global: &Global,
    args: &Get,
    table: fn(&Snapshot) -> Vec<Arc<T>>,
) -> Result<Code, Error> {
    let choice = Choice::of::<T>(args)?;
    let session = open(global, args)?;
    if args.watch {
        return watch(&session, &choice, table);
    }
    let state = session.state();
    let rows = table(&state);
    if let Some(name) = choice.name.filter(|name| !rows.iter().any(|row| row.is(name))) {
        return Err(missing(&state, args.kind, name));
    }
    if let Some(why) = nothing_to_see(&state, args.kind) {
        output::remark(session.output, &why);
    }
    let code = show(session.output, &choice.pick_telling(session.output, &rows))?;
    match args.kind {
        Kind::Containers | Kind::Orphans => complete(&state),
        _ => Ok(code),
    }
}

/// What was shown is all there is, unless an engine did not answer: its rows are old, or missing.
fn complete(state: &Snapshot) -> Result<Code, Error> {
    let silent = |row: &&Arc<EngineRow>| matches!(row.state, EngineState::Silent { .. } | EngineState::Connecting);
    let why: Vec<String> = state.engines.iter().filter(silent).map(|row| not_up(row)).collect();
    match why.is_empty() {
        true => Ok(Code::Ok),
        false => Err(Error::new(Code::Unreachable, "engine", format!("incomplete: {}", why.join("; ")))
            .help("`mcpdeck get engines` lists them all")),
    }
}

fn not_up(row: &EngineRow) -> String {
    format!("engine {}: {}: {}", row.id, row.state.name(), row.state.reason().unwrap_or("no answer yet"))
}

fn missing(state: &Snapshot, kind: Kind, name: &str) -> Error {
    let found = match kind {
        Kind::Tenants => names::tenant(state, name).err(),
        Kind::Servers => names::server(state, name).err(),
        Kind::Instances => names::target(state, name).err(),
        Kind::Containers => names::container(state, name).err(),
        Kind::Stacks => names::stack(state, name).err(),
        Kind::Gpus | Kind::Usage | Kind::Orphans | Kind::Engines | Kind::Jobs | Kind::Calls | Kind::Events => None,
    };
    found.unwrap_or_else(|| Error::not_found(format!("nothing here is called `{name}`")))
}

/// People look for names; ids are in no order.
fn by_name(state: &Snapshot) -> Vec<Arc<ContainerRow>> {
    let mut rows = state.containers.clone();
    rows.sort_by(|a, b| (&a.name, &a.key.engine).cmp(&(&b.name, &b.key.engine)));
    rows
}

/// What remained of one server stands together.
fn by_what(state: &Snapshot) -> Vec<Arc<OrphanRow>> {
    let mut rows = state.orphans.clone();
    rows.sort_by(|a, b| (&a.what, a.pid).cmp(&(&b.what, b.pid)));
    rows
}

/// An empty table alone would not tell why.
fn nothing_to_see(state: &Snapshot, kind: Kind) -> Option<String> {
    match (kind, &state.gpus.state) {
        (Kind::Gpus, GpuState::Absent(why)) => return Some(format!("no GPU: {why}")),
        (Kind::Gpus, GpuState::Unasked) => {
            return Some("the GPUs were not asked yet; try again in a moment".to_owned());
        }
        (Kind::Containers, _) => {}
        _ => return None,
    }
    let absent = |row: &&Arc<EngineRow>| matches!(row.state, EngineState::Absent { .. });
    let why: Vec<String> = state.engines.iter().filter(absent).map(|row| not_up(row)).collect();
    (!why.is_empty()).then(|| why.join("; "))
}

pub fn show<T: Listed>(format: Output, rows: &[Arc<T>]) -> Result<Code, Error> {
    let now = Stamp::now();
    print_rows(format, T::COLUMNS, rows.iter().map(|row| row.cells(now)), &rows)
}

/// A changed row, as a line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "change", content = "row")]
enum Change<'a, T> {
    Added(&'a T),
    Changed(&'a T),
    Removed(&'a T),
}

/// Prints the table again (or its changed rows as lines of JSON) with every snapshot that changes it.
fn watch<T: Listed + PartialEq>(
    session: &Session,
    choice: &Choice,
    table: fn(&Snapshot) -> Vec<Arc<T>>,
) -> Result<Code, Error> {
    let mut shown: Option<BTreeMap<String, Arc<T>>> = None;
    let mut written = Ok(());
    stream::each_snapshot(session, |state| {
        let rows = choice.pick(&table(state));
        let keyed: BTreeMap<String, Arc<T>> = rows.iter().map(|row| (row.key(), row.clone())).collect();
        if shown.as_ref() != Some(&keyed) {
            written = match session.output {
                Output::Table => redraw(&rows),
                Output::Json => print_changes(shown.as_ref().unwrap_or(&BTreeMap::new()), &keyed),
            };
            shown = Some(keyed);
        }
        written.is_ok()
    });
    written.map(|()| Code::Ok)
}

fn redraw<T: Listed>(rows: &[Arc<T>]) -> Result<(), Error> {
    let now = Stamp::now();
    let mut table = Table::new(T::COLUMNS);
    rows.iter().for_each(|row| table.push(row.cells(now)));
    let before = if output::stdout_is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    let after = if output::stdout_is_terminal() { "" } else { "\n" };
    print(&format!("{before}{}{after}", table.render()))
}

fn print_changes<T: Listed + PartialEq>(
    old: &BTreeMap<String, Arc<T>>,
    new: &BTreeMap<String, Arc<T>>,
) -> Result<(), Error> {
    for (key, row) in new {
        match old.get(key) {
            None => print(&json_line(&Change::Added(&**row))?)?,
            Some(before) if before != row => print(&json_line(&Change::Changed(&**row))?)?,
            Some(_) => {}
        }
    }
    for (_, row) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        print(&json_line(&Change::Removed(&**row))?)?;
    }
    Ok(())
}

fn calls(global: &Global, args: &Get) -> Result<Code, Error> {
    let choice = Choice::of::<CallRecord>(args)?;
    let session = open(global, args)?;
    let filter = args.filter.clone().unwrap_or_default();
    if args.watch {
        let feed = Feed::Traffic { filter, backlog: args.limit };
        return stream::rows(&session, feed, |chunk| match chunk {
            Chunk::Calls(rows) => rows.into_iter().filter(|row| choice.takes(&**row, Stamp::now())).collect(),
            _ => Vec::<Arc<CallRecord>>::new(),
        });
    }
    if let Some(name) = choice.name {
        return call(&session, name);
    }
    if let Some(by) = args.by {
        return counted(&session, filter, by);
    }
    match session.ask(Query::Calls { filter, limit: args.limit })? {
        Answer::Calls(rows) => show(session.output, &choice.pick_telling(session.output, &rows)),
        _ => Err(odd_answer()),
    }
}

/// All calls that are kept, counted together.
fn counted(session: &Session, filter: String, by: Counted) -> Result<Code, Error> {
    let Answer::Calls(calls) = session.ask(Query::Calls { filter, limit: u32::MAX })? else {
        return Err(odd_answer());
    };
    let by = match by {
        Counted::Tenant => By::Tenant,
        Counted::Server => By::Server,
        Counted::Tool => By::Tool,
    };
    let rows: Vec<_> = groups(calls.iter().map(|call| &**call), by).into_iter().map(Arc::new).collect();
    show(session.output, &rows)
}

/// One call with what was kept of both sides.
fn call(session: &Session, name: &str) -> Result<Code, Error> {
    let id = names::call(name).ok_or_else(|| Error::usage(format!("`{name}` is no call; calls are written c12")))?;
    let Answer::Call(detail) = session.ask(Query::Call(id))? else { return Err(odd_answer()) };
    if session.output == Output::Json {
        return print(&json(&detail)?).map(|()| Code::Ok);
    }
    let mut text = head(&detail.call);
    let took = u64::try_from(detail.call.took(Stamp::now()).as_micros()).unwrap_or(u64::MAX);
    for (station, us) in detail.timeline.spent(took).into_iter().filter(|_| !detail.timeline.is_empty()) {
        text.push_str(&format!("  {:<9}{:>10.1} ms  {}\n", station.name(), us as f64 / 1000.0, station.doc()));
    }
    for (head, body) in [("request", &detail.request), ("sent", &detail.sent), ("response", &detail.response)] {
        let body = body.as_deref().map_or_else(|| "not kept any more".to_owned(), output::plain);
        text.push_str(&format!("\n{head}\n{body}\n"));
    }
    detail.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
    print(&text).map(|()| Code::Ok)
}

/// What call it is: as in a list, or that it is under way.
fn head(call: &Call) -> String {
    match call {
        Call::Done(record) => {
            let mut table = Table::new(CallRecord::COLUMNS);
            table.push(record.cells(Stamp::now()));
            table.render()
        }
        Call::Pending(pending) => {
            let age = Stamp::now().since(pending.at).as_secs();
            let place = pending.instance.as_ref().map_or_else(|| pending.server.to_string(), ToString::to_string);
            let tool = pending.tool.as_deref().unwrap_or_default();
            format!("{} under way for {age} s: {} at {place}, {} {tool}\n", pending.id, pending.tenant, pending.method)
        }
    }
}

fn events(global: &Global, args: &Get) -> Result<Code, Error> {
    let choice = Choice::of::<Event>(args)?;
    let session = open(global, args)?;
    let chosen = |rows: Vec<Event>| -> Vec<Arc<Event>> {
        rows.into_iter().filter(|row| choice.takes(row, Stamp::now())).map(Arc::new).collect()
    };
    if args.watch {
        return stream::rows(&session, Feed::Events { backlog: args.limit }, |chunk| match chunk {
            Chunk::Events(rows) => chosen(rows),
            _ => Vec::new(),
        });
    }
    match session.ask(Query::Events { limit: args.limit })? {
        Answer::Events(rows) => show(session.output, &chosen(rows)),
        _ => Err(odd_answer()),
    }
}

/// An answer of another kind than the question: a mistake of ours.
pub fn odd_answer() -> Error {
    Error::failed("the owner answered another question than the one asked; this is a bug of mcpdeck")
}
