//! Why a customer is as it is: its servers, what stands behind it, its credentials.

use super::{Hit, Rule, is_good};
use crate::model::Snapshot;
use crate::model::secret::SecretRow;
use crate::model::snapshot::{Cell, TenantRow};
use crate::model::stack::StackOwner;
use crate::model::why;
use std::sync::Arc;

/// One customer and what is known around it.
pub struct TenantCase {
    pub snapshot: Arc<Snapshot>,
    pub row: Arc<TenantRow>,
}

pub const RULES: &[Rule<TenantCase>] = &[
    Rule { check: "known", next: None, find: known },
    Rule { check: "read-only", next: None, find: read_only },
    Rule { check: "server", next: Some("explain"), find: servers },
    Rule { check: "stack", next: Some("deploy"), find: |case| stacks(case, Some("deploy")) },
    Rule { check: "stack", next: Some("logs"), find: |case| stacks(case, Some("logs")) },
    Rule { check: "stack", next: None, find: |case| stacks(case, None) },
    Rule { check: "secret", next: None, find: secrets },
];

fn known(case: &TenantCase) -> Vec<Hit> {
    vec![Hit::new(true, format!("{} ({})", case.row.def.name, case.row.def.id))]
}

fn read_only(case: &TenantCase) -> Vec<Hit> {
    let hit = || Hit::told("acts and tools not marked read-only are refused");
    case.row.def.read_only.then(hit).into_iter().collect()
}

fn servers(case: &TenantCase) -> Vec<Hit> {
    let hit = |cell: &Cell| {
        let evidence = match (cell.enabled, cell.state) {
            (true, Some(state)) => format!("{state}, {}", decided(cell)),
            _ => format!("not enabled, {}", decided(cell)),
        };
        let hit = Hit::new(cell.state.map(is_good), evidence).named(cell.server.as_str());
        match &cell.instance {
            Some(key) => hit.at(key),
            None => hit,
        }
    };
    case.row.cells.iter().map(hit).collect()
}

/// Stacks that `next` helps.
fn stacks(case: &TenantCase, next: Option<&str>) -> Vec<Hit> {
    let own = case.snapshot.stacks.iter().filter(|s| s.owner == StackOwner::Tenant(case.row.def.id.clone()));
    let told = own.map(|stack| why::whole(&format!("stack {}", stack.id), stack));
    let helped = told.filter(|told| told.next.as_deref() == next);
    helped.map(|told| Hit::new(told.passed, told.evidence).named(told.check)).collect()
}

fn secrets(case: &TenantCase) -> Vec<Hit> {
    let own = case.snapshot.secrets.iter().filter(|s| s.tenant.as_ref() == Some(&case.row.def.id));
    let hit = |s: &Arc<SecretRow>| match (&s.error, &s.fingerprint) {
        (Some(error), _) => Hit::new(false, format!("{}: {error}", s.name)),
        (None, Some(print)) => {
            let stale = match s.stale.len() {
                0 => String::new(),
                n => format!(", {n} instances hold an older one"),
            };
            Hit::new(s.stale.is_empty(), format!("{} {print}{stale}", s.name))
        }
        (None, None) => Hit::told(format!("{} is not loaded yet", s.name)),
    };
    own.map(hit).collect()
}

/// Who decided whether a server is enabled.
pub fn decided(cell: &Cell) -> String {
    match &cell.changed {
        Some(mark) => format!("{} by {} at run time", if cell.enabled { "enabled" } else { "disabled" }, mark.by),
        None if cell.enabled => "enabled by the file".to_owned(),
        None => "as the file says".to_owned(),
    }
}
