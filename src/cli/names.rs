//! Names as people type them -> the ids that are meant, with a near miss where nothing is.

use super::error::{Code, Error};
use crate::model::container::{ContainerKey, ContainerRow};
use crate::model::near::nearest;
use crate::model::{CallId, InstanceKey, JobId, ServerId, Snapshot, StackId, TenantId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Fewer letters are no id.
const SHORTEST_ID: usize = 3;

/// The tenant that answers to an id, an alias or a display name.
pub fn tenant(state: &Snapshot, text: &str) -> Result<TenantId, Error> {
    if let Some(row) = state.find_tenant(text) {
        return Ok(row.def.id.clone());
    }
    let names = state.tenants.iter().flat_map(|t| [t.def.id.as_str(), &t.def.name]);
    Err(unknown("tenant", text, nearest(text, names), "mcpdeck get tenants"))
}

pub fn server(state: &Snapshot, text: &str) -> Result<ServerId, Error> {
    if let Some(row) = state.server(text) {
        return Ok(row.def.id.clone());
    }
    let names = state.servers.iter().map(|s| s.def.id.as_str());
    Err(unknown("server", text, nearest(text, names), "mcpdeck get servers"))
}

/// `server`, `server@tenant` or `server@tenant#N`; the tenant by any of its names.
pub fn target(state: &Snapshot, text: &str) -> Result<InstanceKey, Error> {
    let typed: InstanceKey = text.parse().map_err(|e: crate::model::id::KeyError| Error::usage(e.to_string()))?;
    let tenant = typed.tenant.map(|name| tenant(state, name.as_str())).transpose()?;
    Ok(InstanceKey { server: server(state, typed.server.as_str())?, tenant, session: typed.session })
}

/// What a name on the command line means.
pub enum Thing {
    Instances(InstanceKey),
    Stack(StackId),
    Container(Arc<ContainerRow>),
}

/// A server's name (or `server@tenant`) is that server, a stack's name that stack; everything else a container.
pub fn thing(state: &Snapshot, text: &str) -> Result<Thing, Error> {
    let server_name = text.split(['@', '#']).next().unwrap_or(text);
    if state.server(server_name).is_some() {
        return target(state, text).map(Thing::Instances);
    }
    if let Some(row) = state.stack(text) {
        return Ok(Thing::Stack(row.id.clone()));
    }
    match container(state, text) {
        Ok(row) => Ok(Thing::Container(row)),
        // A slip in a server's name is told as one.
        Err(error) if error.code == Code::NotFound && (text.contains('@') || state.containers.is_empty()) => {
            target(state, text).map(Thing::Instances)
        }
        Err(error) => Err(error),
    }
}

/// The container that a server, an instance or a container's own name means.
pub fn any_container(state: &Snapshot, text: &str) -> Result<ContainerKey, Error> {
    match thing(state, text)? {
        Thing::Container(row) => Ok(row.key.clone()),
        Thing::Instances(key) => container_of(state, &key),
        Thing::Stack(stack) => match &containers_of(state, &stack)?[..] {
            [row] => Ok(row.key.clone()),
            rows => Err(ambiguous(text, &rows.iter().collect::<Vec<_>>())),
        },
    }
}

/// The containers of a stack; an error where there is none now.
pub fn containers_of(state: &Snapshot, stack: &StackId) -> Result<Vec<Arc<ContainerRow>>, Error> {
    let of = |row: &&Arc<ContainerRow>| row.owner.stack.as_ref() == Some(stack);
    let rows: Vec<_> = state.containers.iter().filter(of).cloned().collect();
    if rows.is_empty() {
        return Err(Error::not_found(format!("the stack {stack} has no container now"))
            .help(format!("`mcpdeck explain {stack}` tells why; `mcpdeck deploy {stack}` starts it")));
    }
    Ok(rows)
}

/// The container that an instance runs in, or that was adopted for it.
pub fn container_of(state: &Snapshot, key: &InstanceKey) -> Result<ContainerKey, Error> {
    let runs = state.instances.iter().filter(|row| key.covers(&row.key)).filter_map(|row| row.container.clone());
    let mut found: BTreeSet<ContainerKey> = runs.collect();
    let owned = |row: &&Arc<ContainerRow>| row.owner.instance.as_ref().is_some_and(|own| key.covers(own));
    if found.is_empty() {
        found.extend(state.containers.iter().filter(owned).map(|row| row.key.clone()));
    }
    let rows: Vec<_> = found.iter().filter_map(|key| state.container(key)).collect();
    match (found.pop_first(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(ambiguous(&key.to_string(), &rows)),
        (None, _) => Err(Error::not_found(format!("{key} runs in no container now"))
            .help(format!("`mcpdeck status {key}` tells how it runs"))),
    }
}

/// By `name`, `engine/name`, id or the beginning of an id.
pub fn container(state: &Snapshot, text: &str) -> Result<Arc<ContainerRow>, Error> {
    let (engine, name) = match text.split_once('/') {
        Some((engine, name)) => (Some(engine), name),
        None => (None, text),
    };
    let here = || state.containers.iter().filter(|row| engine.is_none_or(|e| row.key.engine.as_str() == e));
    let named: Vec<_> = here().filter(|row| row.name == name).collect();
    let begins = |row: &&Arc<ContainerRow>| name.len() >= SHORTEST_ID && row.key.id.starts_with(name);
    let found = if named.is_empty() { here().filter(begins).collect() } else { named };
    match &found[..] {
        [row] => Ok((*row).clone()),
        [] => {
            let servers = state.servers.iter().map(|row| row.def.id.as_str());
            let stacks = state.stacks.iter().map(|row| row.id.as_str());
            let names = state.containers.iter().map(|row| row.name.as_str()).chain(servers).chain(stacks);
            Err(unknown("container", text, nearest(text, names), "mcpdeck get containers"))
        }
        rows => Err(ambiguous(text, rows)),
    }
}

fn ambiguous(text: &str, rows: &[&Arc<ContainerRow>]) -> Error {
    let names: Vec<String> =
        rows.iter().take(5).map(|row| format!("{}/{} ({})", row.key.engine, row.name, short(&row.key.id))).collect();
    let more = if rows.len() > names.len() { ", ..." } else { "" };
    Error::usage(format!("`{text}` means {} containers: {}{more}", rows.len(), names.join(", ")))
        .help("name one of them, with its engine or more of its id")
}

/// As much of an id as people read.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub fn stack(state: &Snapshot, text: &str) -> Result<StackId, Error> {
    if let Some(row) = state.stack(text) {
        return Ok(row.id.clone());
    }
    let names = state.stacks.iter().map(|row| row.id.as_str());
    Err(unknown("stack", text, nearest(text, names), "mcpdeck get stacks"))
}

/// `c12`, or the number alone.
pub fn call(text: &str) -> Option<CallId> {
    text.strip_prefix('c').unwrap_or(text).parse().ok().map(CallId)
}

/// `j12`, or the number alone.
pub fn job(text: &str) -> Option<JobId> {
    text.strip_prefix('j').unwrap_or(text).parse().ok().map(JobId)
}

fn unknown(what: &str, text: &str, near: Option<&str>, list: &str) -> Error {
    let help = match near {
        Some(near) => format!("did you mean `{near}`? `{list}` lists them all"),
        None => format!("`{list}` lists them all"),
    };
    Error::new(Code::NotFound, "not_found", format!("no {what} `{text}`")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_their_letter() {
        assert_eq!((call("c12"), call("12"), call("j12")), (Some(CallId(12)), Some(CallId(12)), None));
        assert_eq!((job("j3"), job("3"), job("x")), (Some(JobId(3)), Some(JobId(3)), None));
    }
}
