//! The judgement of acts on single containers and on orphans. Pure: over a snapshot.

use crate::model::container::{Claim, ContainerAct, ContainerKey, ContainerRow, ContainerState, EngineState};
use crate::model::stack::StackOwner;
use crate::model::{Command, Environment, InstanceKey, Refusal, Snapshot, TenantId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Orphans that are named one by one before they are removed.
const NAMED: usize = 20;

/// What an act on a container means. An instance's own container is the instance: what is done to it goes through the
/// instance's life. Any other is told by the name that we know it by.
pub fn redirected(snapshot: &Snapshot, command: &Command) -> Option<Command> {
    let Command::Container { container, act, .. } = command else { return None };
    let row = snapshot.container(container)?;
    let (container, name) = (container.clone(), snapshot.container_name(row));
    let Some(key) = own_instance(snapshot, row) else { return Some(Command::Container { container, name, act: *act }) };
    match act {
        ContainerAct::Start | ContainerAct::Unpause => Some(Command::Start(key)),
        ContainerAct::Stop => Some(Command::Stop(key)),
        ContainerAct::Restart => Some(Command::Restart(key)),
        ContainerAct::Kill => Some(Command::Kill(key)),
        ContainerAct::Pause => Some(Command::Container { container, name, act: *act }),
    }
}

fn own_instance(snapshot: &Snapshot, row: &ContainerRow) -> Option<InstanceKey> {
    let key = row.owner.instance.clone().filter(|_| row.owner.claim == Claim::Ours)?;
    snapshot.instance(&key).map(|row| row.key.clone())
}

/// Refusals that no confirmation lifts.
pub fn forbidden(snapshot: &Snapshot, key: &ContainerKey, act: ContainerAct) -> Result<(), Refusal> {
    let Some(row) = snapshot.container(key) else {
        return Err(Refusal::NotFound(format!("there is no container {key} (mcpdeck get containers)")));
    };
    let refused = |why: String| Err(Refusal::Refused(format!("{}: {why}", row.name)));
    match row.owner.claim {
        Claim::Other => {
            let whose = row.compose_project.as_ref().map_or_else(String::new, |p| format!(": compose project {p}"));
            return refused(format!("it is not ours{whose}; adopt it in the config first"));
        }
        Claim::Orphan => return refused("it is ours and wanted by nobody; `mcpdeck reap` removes it".to_owned()),
        Claim::Ours | Claim::Adopted => {}
    }
    if let Some(instance) = own_instance(snapshot, row).filter(|_| act == ContainerAct::Pause) {
        return refused(format!("it is {instance}, which is paused when it is idle: give its server an idle_doze"));
    }
    let engine = snapshot.engines.iter().find(|engine| engine.id == key.engine);
    match engine.map(|engine| &engine.state) {
        Some(EngineState::Silent { reason, .. }) => refused(format!("engine {} is silent: {reason}", key.engine)),
        _ => Ok(()),
    }
}

/// Tenants that notice.
pub fn hit(snapshot: &Snapshot, key: &ContainerKey) -> BTreeSet<TenantId> {
    let Some(row) = snapshot.container(key) else { return BTreeSet::new() };
    let own = row.owner.tenant.iter().cloned();
    let served = row.owner.server.iter().filter(|_| row.owner.tenant.is_none());
    own.chain(served.flat_map(|server| snapshot.users(server).cloned())).collect()
}

/// What it counts as: what its instance does, or the strictest of whatever it belongs to; the platform itself where that is nobody.
pub fn environment(snapshot: &Snapshot, key: &ContainerKey) -> Environment {
    let Some(row) = snapshot.container(key) else { return Environment::default() };
    let owner = &row.owner;
    if let Some(instance) = owner.instance.as_ref().and_then(|key| snapshot.instance(key)) {
        return instance.environment;
    }
    let tenant = owner.tenant.as_ref().and_then(|id| snapshot.tenant(id.as_str())).map(|t| t.def.environment);
    let server = owner.server.as_ref().and_then(|id| snapshot.server(id.as_str())).map(|s| s.environment);
    let stack = owner.stack.as_ref().and_then(|id| snapshot.stack(id.as_str()));
    let behind = stack.and_then(|stack| match &stack.owner {
        StackOwner::Tenant(id) => snapshot.tenant(id.as_str()).map(|t| t.def.environment),
        StackOwner::Server(id) => snapshot.server(id.as_str()).map(|s| s.environment),
    });
    let stack = stack.map(|stack| stack.environment);
    [tenant, server, stack, behind].into_iter().flatten().max().unwrap_or(snapshot.platform.environment)
}

/// The name to type, for what hurts.
pub fn name_to_type(snapshot: &Snapshot, key: &ContainerKey, act: ContainerAct) -> Option<String> {
    let hurts = !matches!(act, ContainerAct::Start | ContainerAct::Unpause);
    snapshot.container(key).filter(|_| hurts).map(|row| row.name.clone())
}

/// What follows, in sentences.
pub fn follows(snapshot: &Snapshot, key: &ContainerKey, act: ContainerAct) -> Vec<String> {
    let Some(row) = snapshot.container(key) else { return Vec::new() };
    let mut out = Vec::new();
    match act {
        ContainerAct::Start if row.state == ContainerState::Paused => {
            out.push("it goes on from where it was paused".to_owned())
        }
        ContainerAct::Start if row.state.is_live() => out.push("it runs already".to_owned()),
        ContainerAct::Stop if !row.state.is_live() => out.push("it does not run".to_owned()),
        ContainerAct::Stop => out.push("it stays stopped until somebody starts it".to_owned()),
        ContainerAct::Kill => out.push("it ends at once, without a chance to finish".to_owned()),
        ContainerAct::Pause => out.push("whoever talks to it waits until it goes on".to_owned()),
        ContainerAct::Start | ContainerAct::Restart | ContainerAct::Unpause => {}
    }
    let part = |stack: &crate::model::StackId| match &row.owner.part {
        Some(part) => format!("it is part {part} of the stack {stack}"),
        None => format!("it belongs to the stack {stack}"),
    };
    out.extend(row.owner.stack.as_ref().map(part));
    out.extend(row.owner.instance.as_ref().map(|key| format!("it stands behind {key}")));
    out
}

/// What a reaping would remove, each with why: the dry run.
pub fn reaped(snapshot: &Snapshot) -> Vec<String> {
    let orphans = &snapshot.orphans;
    if orphans.is_empty() {
        return vec!["there is nothing to remove".to_owned()];
    }
    let line = |row: &Arc<crate::model::container::OrphanRow>| format!("removes {}: {}", row.what, row.why);
    let more = orphans.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("removes {more} more (mcpdeck get orphans)"));
    orphans.iter().take(NAMED).map(line).chain(more).collect()
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
