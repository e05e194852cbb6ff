//! `/api/calls`, `/api/journal` and `/api/usage`: what was called, what was done, what it takes.

use super::caller::Caller;
use super::input::Query;
use super::openapi::Problem;
use super::times::{self, rfc3339};
use crate::api::Error;
use crate::model::filter::Filter;
use crate::model::message::{Answer, Face, JournalEntry, MetricRow};
use crate::model::principal::Role;
use crate::model::usage::InstanceUsage;
use crate::model::{CallRecord, Outcome, Query as Ask, Stamp};
use axum::Json;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Rows where nothing else is asked for, and at most.
const SOME: u32 = 100;
const MOST: u32 = 5000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// As on the command line: `outcome=timeout server=etim took>2s`.
    #[serde(default)]
    filter: String,
    /// 100 unless given, 5000 at most.
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct Calls {
    calls: Vec<Call>,
}

/// A finished call, without what was said.
#[derive(Serialize, ToSchema)]
pub struct Call {
    id: String,
    at: String,
    customer: String,
    server: String,
    /// Null if it was refused before one was chosen.
    instance: Option<String>,
    method: String,
    tool: Option<String>,
    /// `ok`, `tool`, `auth`, `timeout`, `transport`, `protocol`, `refused` or `cancelled`.
    outcome: &'static str,
    took_us: u64,
    /// Of which waiting for a start, and for the server.
    wake_us: u64,
    upstream_us: u64,
    request_bytes: u64,
    response_bytes: u64,
    /// `console`, `cli`, `http`, ...
    origin: &'static str,
    /// Who called; null where a customer asks for what others called in its name.
    principal: Option<String>,
    /// Null if there was none, or if a customer asks and it is what a server said that several share.
    error: Option<String>,
}

/// Finished calls, newest first.
#[utoipa::path(
    get, path = "/api/calls", tag = "records", params(Which),
    responses((status = 200, body = Calls), (status = 400, body = Problem))
)]
pub async fn calls(caller: Caller, Query(which): Query<Which>) -> Result<Json<Calls>, Error> {
    let limit = limit(which.limit)?;
    let filter = Filter::parse_for::<CallRecord>(&which.filter).map_err(|why| Error::BadRequest(why.to_string()))?;
    // Of one customer, the filter looks at that one's calls alone, as they are told: what is left out cannot be guessed.
    let (text, enough) = match caller.scope() {
        Some(_) => (String::new(), MOST),
        None => (which.filter, limit),
    };
    let Answer::Calls(found) = ask(&caller, Ask::Calls { filter: text, limit: enough }).await? else {
        return Err(odd());
    };
    let now = Stamp::now();
    let own = found.iter().filter(|row| caller.scope().is_none_or(|scope| *scope == row.tenant));
    let told = own.map(|row| tellable(&caller, row)).filter(|row| filter.matches(&**row, now));
    Ok(Json(Calls { calls: told.take(limit as usize).map(|row| Call::of(&row)).collect() }))
}

/// A call as a customer is told of it: without whoever else made it in its name, and without what a server that it shares
/// said to nobody in particular.
fn tellable(caller: &Caller, row: &Arc<CallRecord>) -> Arc<CallRecord> {
    if caller.principal.role >= Role::Operator {
        return row.clone();
    }
    let mut told = CallRecord::clone(row);
    if told.principal != caller.principal.name {
        told.principal.clear();
    }
    let own = row.instance.as_ref().is_some_and(|instance| instance.tenant.is_some());
    if !own && !matches!(row.outcome, Outcome::Tool | Outcome::Timeout | Outcome::Cancelled) {
        told.error = None;
    }
    Arc::new(told)
}

impl Call {
    fn of(row: &CallRecord) -> Self {
        Self {
            id: row.id.to_string(),
            at: rfc3339(row.at),
            customer: row.tenant.to_string(),
            server: row.server.to_string(),
            instance: row.instance.as_ref().map(ToString::to_string),
            method: row.method.to_string(),
            tool: row.tool.as_ref().map(ToString::to_string),
            outcome: row.outcome.name(),
            took_us: row.took_us,
            wake_us: row.wake_us,
            upstream_us: row.upstream_us,
            request_bytes: row.request_bytes,
            response_bytes: row.response_bytes,
            origin: row.origin.name(),
            principal: Some(row.principal.to_string()).filter(|name| !name.is_empty()),
            error: row.error.clone(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HowMany {
    /// 100 unless given, 5000 at most.
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct Journal {
    journal: Vec<Entry>,
}

/// What somebody did.
#[derive(Serialize, ToSchema)]
pub struct Entry {
    at: String,
    by: String,
    /// `screen`, `cli`, `api` or `platform`.
    face: &'static str,
    verb: String,
    object: String,
    outcome: String,
    /// The same on the command line.
    command_line: String,
    /// False while the store cannot take it, and the owner's memory alone has it.
    kept: bool,
}

/// What operators did, newest first.
#[utoipa::path(
    get, path = "/api/journal", tag = "records", params(HowMany),
    responses((status = 200, body = Journal), (status = 403, body = Problem, description = "not an operator"))
)]
pub async fn journal(caller: Caller, Query(how): Query<HowMany>) -> Result<Json<Journal>, Error> {
    caller.must_operate()?;
    let Answer::Journal(entries) = ask(&caller, Ask::Journal { limit: limit(how.limit)? }).await? else {
        return Err(odd());
    };
    Ok(Json(Journal { journal: entries.into_iter().map(Entry::of).collect() }))
}

impl Entry {
    fn of(entry: JournalEntry) -> Self {
        let face = match entry.operator.face {
            Face::Screen => "screen",
            Face::Cli => "cli",
            Face::Api => "api",
            Face::Platform => "platform",
        };
        Self {
            at: rfc3339(entry.at),
            by: entry.operator.name,
            face,
            verb: entry.verb,
            object: entry.object,
            outcome: entry.outcome,
            command_line: entry.command_line,
            kept: entry.kept,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Since {
    /// How long ago (`24h`, the default), or a time as RFC 3339 has it.
    since: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Usage {
    since: String,
    operations: Vec<Operation>,
    /// What runs takes now.
    resources: Vec<Resources>,
}

/// Calls of one operation at one server.
#[derive(Serialize, ToSchema)]
pub struct Operation {
    customer: String,
    server: String,
    method: String,
    tool: Option<String>,
    calls: u64,
    errors: u64,
    mean_ms: f64,
    max_ms: f64,
}

/// What a customer, a server or an instance takes; null is unknown.
#[derive(Serialize, ToSchema)]
pub struct Resources {
    /// `customer`, `server` or `instance`.
    kind: &'static str,
    name: String,
    /// Percent of one core.
    cpu: Option<f32>,
    memory_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    /// Bytes per second.
    received: Option<u64>,
    sent: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    gpu_memory_bytes: Option<u64>,
}

/// Calls, errors and times per operation and server, and what runs takes.
#[utoipa::path(
    get, path = "/api/usage", tag = "records", params(Since),
    responses((status = 200, body = Usage), (status = 400, body = Problem))
)]
pub async fn usage(caller: Caller, Query(which): Query<Since>) -> Result<Json<Usage>, Error> {
    let since = times::read("since", which.since.as_deref().unwrap_or("24h"))?;
    let Answer::Metrics(rows) = ask(&caller, Ask::Metrics { since }).await? else { return Err(odd()) };
    let own = rows.into_iter().filter(|row| caller.scope().is_none_or(|scope| *scope == row.tenant));
    Ok(Json(Usage {
        since: rfc3339(since),
        operations: own.map(Operation::of).collect(),
        resources: resources(&caller),
    }))
}

impl Operation {
    fn of(row: MetricRow) -> Self {
        Self {
            customer: row.tenant.to_string(),
            server: row.server.to_string(),
            method: row.method,
            tool: row.tool,
            calls: row.calls,
            errors: row.errors,
            mean_ms: row.total_us as f64 / row.calls.max(1) as f64 / 1000.0,
            max_ms: row.max_us as f64 / 1000.0,
        }
    }
}

/// Whatever takes something. What a customer shares with others is not its own.
fn resources(caller: &Caller) -> Vec<Resources> {
    let view = caller.view();
    let state = &view.state;
    let own = |name: &crate::model::TenantId| caller.scope().is_none_or(|scope| scope == name);
    let customers = state.tenants.iter().filter(|row| own(&row.def.id));
    let customers = customers.map(|row| ("customer", row.def.id.to_string(), row.usage));
    let servers = state.servers.iter().filter(|_| caller.scope().is_none());
    let servers = servers.map(|row| ("server", row.def.id.to_string(), row.usage));
    let instances = state.instances.iter().filter(|row| view.serves(row) && !view.is_shared(&row.key));
    let instances = instances.map(|row| ("instance", row.key.to_string(), row.usage));
    let all = customers.chain(servers).chain(instances);
    let some = all.filter(|(.., usage)| *usage != InstanceUsage::default());
    some.map(|(kind, name, usage)| Resources::of(kind, name, usage)).collect()
}

impl Resources {
    fn of(kind: &'static str, name: String, usage: InstanceUsage) -> Self {
        Self {
            kind,
            name,
            cpu: usage.cpu,
            memory_bytes: usage.memory,
            memory_limit_bytes: usage.memory_limit,
            received: usage.net_in,
            sent: usage.net_out,
            read: usage.disk_read,
            written: usage.disk_write,
            gpu_memory_bytes: usage.gpu_memory,
        }
    }
}

fn limit(given: Option<u32>) -> Result<u32, Error> {
    match given {
        None => Ok(SOME),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(limit) => Err(Error::BadRequest(format!("limit: {limit}; allowed: 1 to {MOST}"))),
    }
}

async fn ask(caller: &Caller, query: Ask) -> Result<Answer, Error> {
    Ok(caller.gateway.handle.ask(query).await?)
}

fn odd() -> Error {
    Error::Failed("control answered another question".to_owned())
}
