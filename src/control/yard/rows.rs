//! Rows of engines, containers and orphans, kept from look to look: one pass over all of them, and a new row only where
//! something differs. Pure; must never import a task or a clock.

use super::Seen;
use super::claim::{COMPOSE_PROJECT, COMPOSE_SERVICE, Claimed, Eyes};
use crate::backend::Orphan;
use crate::backend::engine::{Found, Inventory};
use crate::control::engines::ContainerUsage;
use crate::model::container::{
    Claim, ContainerKey, ContainerRow, ContainerState, EngineId, EngineRow, OrphanRow, Owner,
};
use crate::model::usage::InstanceUsage;
use std::cmp::Ordering;
use std::sync::Arc;

/// One look at everything.
pub struct Look<'a> {
    pub eyes: Eyes<'a>,
    /// By id: whether its files are here, and what it has.
    pub engines: &'a [(EngineId, bool, Arc<Inventory>)],
    pub used: &'a ContainerUsage,
    /// Processes that an earlier owner left behind.
    pub left_behind: &'a [Orphan],
    /// True if nothing that decides whose a container is has changed since the last look.
    pub settled: bool,
}

/// What the last look made.
#[derive(Default)]
pub struct Rows {
    engines: Vec<Arc<EngineRow>>,
    /// By key, as the rows are.
    containers: Vec<Kept>,
    orphans: Vec<Arc<OrphanRow>>,
}

struct Kept {
    found: Arc<Found>,
    row: Arc<ContainerRow>,
    why: Option<String>,
}

impl Rows {
    /// Takes a look; true if anything is shown otherwise than before.
    pub fn update(&mut self, look: &Look<'_>) -> bool {
        let mut old = std::mem::take(&mut self.containers).into_iter().peekable();
        let mut containers = Vec::with_capacity(old.len());
        let mut changed = false;
        for (engine, _, inventory) in look.engines {
            for found in &inventory.containers {
                let place = |kept: &Kept| (&kept.row.key.engine, &*kept.row.key.id).cmp(&(engine, &*found.id));
                while old.next_if(|kept| place(kept) == Ordering::Less).is_some() {
                    changed = true;
                }
                let before = old.next_if(|kept| place(kept) == Ordering::Equal);
                let (kept, same) = look.keep(before, engine, found);
                changed |= !same;
                containers.push(kept);
            }
        }
        changed |= old.next().is_some();
        self.containers = containers;
        let engines = look.engines.iter().map(|(id, local, inventory)| engine_row(id, *local, inventory));
        changed |= replace(&mut self.engines, engines.collect());
        let orphans =
            self.containers.iter().filter_map(orphan_container).chain(look.left_behind.iter().map(orphan_process));
        changed |= replace(&mut self.orphans, orphans.collect());
        changed
    }

    /// As the actor takes it.
    pub fn seen(&self) -> Seen {
        Seen::Containers {
            engines: self.engines.clone(),
            containers: self.containers.iter().map(|kept| kept.row.clone()).collect(),
            orphans: self.orphans.clone(),
        }
    }
}

impl Look<'_> {
    /// As measured. The limit of one that nobody measures (it has ended) is what it was made with.
    fn usage(&self, key: &ContainerKey, found: &Found) -> InstanceUsage {
        let measured = self.used.get(key).copied().unwrap_or_default();
        InstanceUsage { memory_limit: measured.memory_limit.or(found.memory_limit), ..measured }
    }

    /// What stands for `found` now, and whether it is what stood there before.
    fn keep(&self, before: Option<Kept>, engine: &EngineId, found: &Arc<Found>) -> (Kept, bool) {
        let Some(before) = before else {
            let key = ContainerKey { engine: engine.clone(), id: found.id.clone() };
            let usage = self.usage(&key, found);
            return (kept(key, found, self.eyes.claim(engine, found), usage), false);
        };
        let usage = self.usage(&before.row.key, found);
        let same_found = Arc::ptr_eq(&before.found, found);
        if same_found && self.settled && before.row.usage == usage {
            return (before, true);
        }
        let claimed = self.eyes.claim(engine, found);
        let same = before.row.usage == usage && before.row.owner == claimed.owner && before.why == claimed.why;
        if same && (same_found || *before.found == **found) {
            return (Kept { found: found.clone(), ..before }, true);
        }
        (kept(before.row.key.clone(), found, claimed, usage), false)
    }
}

fn kept(key: ContainerKey, found: &Arc<Found>, claimed: Claimed, usage: InstanceUsage) -> Kept {
    let row = ContainerRow {
        key,
        name: found.name.clone(),
        image: found.image.clone(),
        state: found.state,
        since: found.since,
        exit_code: found.exit_code,
        oom: found.oom,
        restarts: found.restarts,
        health: found.health,
        owner: claimed.owner,
        compose_project: found.labels.get(COMPOSE_PROJECT).cloned(),
        compose_service: found.labels.get(COMPOSE_SERVICE).cloned(),
        ports: found.ports.clone(),
        networks: found.networks.clone(),
        usage,
    };
    Kept { found: found.clone(), row: Arc::new(row), why: claimed.why }
}

fn engine_row(id: &EngineId, local: bool, inventory: &Inventory) -> EngineRow {
    let count = |n: usize| n.try_into().unwrap_or(u32::MAX);
    EngineRow {
        id: id.clone(),
        url: inventory.url.clone(),
        version: inventory.version.clone(),
        local,
        state: inventory.state.clone(),
        containers: count(inventory.containers.len()),
        running: count(inventory.containers.iter().filter(|found| found.state == ContainerState::Running).count()),
    }
}

fn orphan_container(kept: &Kept) -> Option<OrphanRow> {
    let why = kept.why.clone()?;
    let what = format!("container {}", kept.row.name);
    Some(OrphanRow { owner: kept.row.owner.clone(), container: Some(kept.row.key.clone()), pid: None, what, why })
}

fn orphan_process(orphan: &Orphan) -> OrphanRow {
    let owner = Owner {
        claim: Claim::Orphan,
        tenant: orphan.key.tenant.clone(),
        server: Some(orphan.key.server.clone()),
        instance: Some(orphan.key.clone()),
        ..Owner::default()
    };
    let why = format!("{} of an earlier owner", orphan.key);
    OrphanRow { owner, container: None, pid: orphan.pid, what: orphan.what.clone(), why }
}

/// Puts `new` in place, with the old `Arc` where a row did not change; true if anything did.
fn replace<T: PartialEq>(rows: &mut Vec<Arc<T>>, new: Vec<T>) -> bool {
    let same_length = rows.len() == new.len();
    let mut changed = !same_length;
    let old = std::mem::take(rows);
    *rows = new
        .into_iter()
        .enumerate()
        .map(|(at, row)| match old.get(at) {
            Some(old) if **old == row => old.clone(),
            _ => {
                changed = true;
                Arc::new(row)
            }
        })
        .collect();
    changed
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
