//! Rules over engines and containers. Only what is ours or adopted is worth a line.

use super::{Hit, View, plural};
use crate::model::container::{Claim, ContainerHealth, ContainerRow, ContainerState, EngineRow, EngineState};
use crate::model::instance::BackendKind;
use crate::model::{Run, Stamp, TenantId};
use std::collections::BTreeSet;

/// Engines that do not answer, and those that are not there although the config needs them.
pub fn engine(view: &View<'_>) -> Vec<Hit> {
    view.snapshot.engines.iter().filter_map(|engine| silent(view, engine).or_else(|| missing(view, engine))).collect()
}

fn silent(view: &View<'_>, engine: &EngineRow) -> Option<Hit> {
    let EngineState::Silent { since, reason } = &engine.state else { return None };
    let on_it = |c: &&std::sync::Arc<ContainerRow>| c.key.engine == engine.id && c.state.is_live();
    let ours = view.snapshot.containers.iter().filter(on_it).filter(|c| is_minded(c));
    let tenants: BTreeSet<TenantId> = ours.clone().flat_map(|row| tenants(view, row)).collect();
    let n = ours.count().try_into().unwrap_or(u32::MAX);
    let unknown = match n {
        0 => String::new(),
        n => format!("; {n} {} unknown", plural(n, "container is", "containers are")),
    };
    let text = format!("silent for {} s: {reason}{unknown}", view.now.since(*since).as_secs());
    let tenants = tenants.into_iter().collect();
    Some(Hit { object: engine.id.to_string(), target: None, text, tenants, since: *since })
}

fn missing(view: &View<'_>, engine: &EngineRow) -> Option<Hit> {
    let EngineState::Absent { reason } = &engine.state else { return None };
    let is_first = view.snapshot.engines.len() == 1;
    let wants = |def: &crate::model::ServerDef| match &def.run {
        Run::Container(run) => run.engine.as_ref().map_or(is_first, |on| *on == engine.id),
        _ => false,
    };
    let servers: Vec<_> = view.snapshot.servers.iter().filter(|row| wants(&row.def)).map(|row| &row.def.id).collect();
    let stacks: Vec<_> = view.snapshot.stacks.iter().filter(|_| is_first).map(|row| row.id.as_str()).collect();
    if servers.is_empty() && stacks.is_empty() {
        return None;
    }
    let tenants: BTreeSet<TenantId> = servers.iter().flat_map(|id| view.snapshot.users(id).cloned()).collect();
    let names: Vec<_> = servers.iter().map(|id| id.as_str()).chain(stacks).take(3).collect();
    let text = format!("{reason}, and {} cannot run without it", names.join(", "));
    let (since, tenants) = (view.snapshot.platform.boot, tenants.into_iter().collect());
    Some(Hit { object: engine.id.to_string(), target: None, text, tenants, since })
}

/// Killed by the kernel for memory, and not started again since.
pub fn oom(view: &View<'_>) -> Vec<Hit> {
    let text = |row: &ContainerRow| match limit(view, row) {
        Some(bytes) => format!("killed for memory at its limit of {}", mebibytes(bytes)),
        None => "killed for memory; it has no limit of its own, so the machine ran out".to_owned(),
    };
    hits(view, |row| row.oom, text)
}

/// Its engine starts it again and again.
pub fn restarting(view: &View<'_>) -> Vec<Hit> {
    let text = |row: &ContainerRow| {
        let code = row.exit_code.map_or_else(String::new, |code| format!(", the last exit code was {code}"));
        format!("restarts again and again: {} {}{code}", row.restarts, plural(row.restarts, "time", "times"))
    };
    hits(view, |row| row.state == ContainerState::Restarting, text)
}

/// Its own health check says no.
pub fn unhealthy(view: &View<'_>) -> Vec<Hit> {
    let sick = |row: &ContainerRow| row.state.is_live() && row.health == Some(ContainerHealth::Unhealthy);
    hits(view, sick, |_| "it runs, and its own health check fails".to_owned())
}

fn hits(view: &View<'_>, is: impl Fn(&ContainerRow) -> bool, text: impl Fn(&ContainerRow) -> String) -> Vec<Hit> {
    let rows = view.snapshot.containers.iter().filter(|row| is_minded(row) && is(row));
    rows.map(|row| hit(view, row, text(row), row.since)).collect()
}

pub(super) fn hit(view: &View<'_>, row: &ContainerRow, text: String, since: Stamp) -> Hit {
    let (object, target) = (row.name.clone(), row.owner.instance.clone());
    Hit { object, target, text, tenants: tenants(view, row), since }
}

pub(super) fn is_minded(row: &ContainerRow) -> bool {
    matches!(row.owner.claim, Claim::Ours | Claim::Adopted)
}

/// Whoever notices what happens to it.
fn tenants(view: &View<'_>, row: &ContainerRow) -> Vec<TenantId> {
    match (&row.owner.tenant, &row.owner.instance, &row.owner.server) {
        (Some(tenant), ..) => vec![tenant.clone()],
        (None, Some(key), _) => view.tenants(key),
        (None, None, Some(server)) => view.snapshot.users(server).cloned().collect(),
        (None, None, None) => Vec::new(),
    }
}

/// As measured; of one that is gone, as configured.
fn limit(view: &View<'_>, row: &ContainerRow) -> Option<u64> {
    let configured = || {
        let key = row.owner.instance.as_ref()?;
        let instance = view.snapshot.instance(key).filter(|row| row.backend == BackendKind::Docker)?;
        view.snapshot.server(instance.key.server.as_str())?.def.settings.limits.memory
    };
    row.usage.memory_limit.or_else(configured)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
