//! The judgement of deployments. Pure: over a snapshot; what only the engine and the config know is judged by
//! `control::stacks::plan`.

use crate::model::stack::{StackOwner, StackRow, StackState};
use crate::model::{Command, Refusal, Snapshot, StackId, TenantId, near};
use std::collections::BTreeSet;

/// The stack that a command is about.
pub fn of<'a>(snapshot: &'a Snapshot, command: &Command) -> Option<&'a StackRow> {
    let (Command::Deploy(id) | Command::Undeploy(id)) = command else { return None };
    snapshot.stack(id.as_str()).map(AsRef::as_ref)
}

/// Refusals that no confirmation lifts.
pub fn forbidden(snapshot: &Snapshot, id: &StackId) -> Result<(), Refusal> {
    let Some(row) = snapshot.stack(id.as_str()) else {
        let near = near::nearest(id.as_str(), snapshot.stacks.iter().map(|row| row.id.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}? (mcpdeck get stacks)"));
        return Err(Refusal::NotFound(format!("no stack is called {id}{hint}")));
    };
    if let StackOwner::Tenant(tenant) = &row.owner
        && snapshot.tenant(tenant.as_str()).is_some_and(|tenant| tenant.def.read_only)
    {
        return Err(Refusal::ReadOnly(format!("the customer {tenant} is read-only")));
    }
    match row.state {
        StackState::Unknown => Err(Refusal::Refused(format!("{id}: {}", row.reason))),
        _ => Ok(()),
    }
}

/// Tenants that notice.
pub fn hit(snapshot: &Snapshot, row: &StackRow) -> BTreeSet<TenantId> {
    match &row.owner {
        StackOwner::Tenant(tenant) => [tenant.clone()].into(),
        StackOwner::Server(server) => snapshot.users(server).cloned().collect(),
    }
}

/// What follows, in sentences.
pub fn follows(row: &StackRow, undeploy: bool) -> Vec<String> {
    let n = row.parts.len();
    let parts = if n == 1 { "1 part".to_owned() } else { format!("{n} parts") };
    let behind = match &row.owner {
        StackOwner::Tenant(tenant) => format!("it stands behind the customer {tenant}"),
        StackOwner::Server(server) => format!("it stands behind the server {server}"),
    };
    let what = match (undeploy, row.adopted) {
        (false, false) => format!("{parts}, each when what it needs is ready; what runs as defined is left alone"),
        (false, true) => format!("{parts} are started; they are adopted and never made"),
        (true, false) => format!("{parts} stop in reverse order and are removed; data folders and volumes stay"),
        (true, true) => format!("{parts} stop; they are adopted and stay"),
    };
    vec![what, behind]
}
