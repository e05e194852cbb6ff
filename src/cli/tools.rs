//! `tools`: what a tenant can call.

use super::args::Global;
use super::error::{Code, Error, call_code};
use super::names;
use super::output::Align::Left;
use super::output::{Column, none, print_rows, remark};
use super::session::{Need, Session};
use crate::model::message::{Answer, Catalog};
use crate::model::{Outcome, Query, Refusal, ServerId, Snapshot, State, TenantId};
use serde::Serialize;
use serde_json::Value;

const COLUMNS: &[Column] =
    &[("SERVER", Left), ("TOOL", Left), ("READ-ONLY", Left), ("ARGUMENTS", Left), ("DESCRIPTION", Left)];

/// Tools of one server, as the server describes them to the tenant.
#[derive(Serialize)]
struct Listing {
    server: ServerId,
    tools: Vec<Value>,
    /// Why it could not be listed.
    error: Option<String>,
}

/// Lists the tools of `server`, or of every server the tenant has. Servers that sleep are started, all at once.
pub fn run(global: &Global, tenant: &str, server: Option<&str>) -> Result<Code, Error> {
    let session = Session::open(global, Need::Any)?;
    let state = session.state();
    let tenant = names::tenant(&state, tenant)?;
    let servers = match server {
        Some(name) => {
            let server = names::server(&state, name)?;
            super::call::must_be_enabled(&state, &tenant, &server)?;
            vec![server]
        }
        None => enabled(&state, &tenant),
    };
    let one = server.is_some();
    let listings = session.wait(list_all(&session, &tenant, servers));
    if let (true, Some(Listing { error: Some(error), server, .. })) = (one, listings.first()) {
        let (code, kind) = cause(&session.state(), &tenant, server);
        return Err(
            Error::new(code, kind, format!("{server}: {error}")).help(format!("mcpdeck explain {server}@{tenant}"))
        );
    }
    for listing in &listings {
        if let Some(error) = &listing.error {
            remark(session.output, &format!("{}: {error}", listing.server));
        }
    }
    print_rows(session.output, COLUMNS, listings.iter().flat_map(lines), &listings)
}

/// As a call to it would end (`router::call`): what is stopped, fenced or given up refuses; all else is out of reach.
fn cause(state: &Snapshot, tenant: &TenantId, server: &ServerId) -> (Code, &'static str) {
    let cell = state.tenant(tenant.as_str()).and_then(|row| row.cell(server));
    match cell.and_then(|cell| cell.state) {
        Some(State::Stopped | State::Fenced | State::Failed) => (call_code(Outcome::Refused, false), "refused"),
        _ => (call_code(Outcome::Transport, false), "unreachable"),
    }
}

fn enabled(state: &Snapshot, tenant: &TenantId) -> Vec<ServerId> {
    let cells = state.tenant(tenant.as_str()).map(|t| &t.cells[..]).unwrap_or_default();
    cells.iter().filter(|c| c.enabled && state.server(c.server.as_str()).is_some()).map(|c| c.server.clone()).collect()
}

async fn list_all(session: &Session, tenant: &TenantId, servers: Vec<ServerId>) -> Vec<Listing> {
    let mut asked = tokio::task::JoinSet::new();
    for (at, server) in servers.into_iter().enumerate() {
        let (handle, tenant) = (session.handle.clone(), tenant.clone());
        asked.spawn(async move {
            let query = Query::Catalog { tenant, server: server.clone(), wake: true, person: None };
            (at, listing(server, handle.ask(query).await))
        });
    }
    let mut listings = asked.join_all().await;
    listings.sort_by_key(|(at, _)| *at);
    listings.into_iter().map(|(_, listing)| listing).collect()
}

fn listing(server: ServerId, answer: Result<Answer, Refusal>) -> Listing {
    match answer {
        Ok(Answer::Catalog(Catalog { tools, error, .. })) => {
            Listing { server, tools: serde_json::from_str(&tools).unwrap_or_default(), error }
        }
        Ok(_) => Listing { server, tools: Vec::new(), error: Some(super::get::odd_answer().message) },
        Err(refusal) => Listing { server, tools: Vec::new(), error: Some(refusal.to_string()) },
    }
}

fn lines(listing: &Listing) -> impl Iterator<Item = Vec<String>> {
    listing.tools.iter().map(|tool| {
        let text = |key: &str| tool.get(key).and_then(Value::as_str).unwrap_or_default();
        let read_only = match tool.pointer("/annotations/readOnlyHint") {
            Some(Value::Bool(true)) => "yes",
            _ => "no",
        };
        let first = text("description").lines().next().unwrap_or_default().to_owned();
        vec![listing.server.to_string(), text("name").to_owned(), read_only.to_owned(), arguments(tool), first]
    })
}

/// The names of a tool's arguments, required ones marked.
fn arguments(tool: &Value) -> String {
    let required: Vec<&str> = tool
        .pointer("/inputSchema/required")
        .and_then(Value::as_array)
        .map(|r| r.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let names = tool.pointer("/inputSchema/properties").and_then(Value::as_object);
    let marked: Vec<String> = names
        .into_iter()
        .flat_map(|p| p.keys())
        .map(|name| format!("{name}{}", if required.contains(&name.as_str()) { "*" } else { "" }))
        .collect();
    if marked.is_empty() { none() } else { marked.join(" ") }
}
