//! Whose a process on a GPU is: pid -> container or process group -> instance, server, tenant, stack. Pure but for the
//! look at the process itself, which is passed in.

use crate::metrics::gpu::Process;
use crate::model::container::{Claim, ContainerKey, ContainerRow, Owner};
use crate::model::gpu::{GpuProcess, GpuShare, Gpus};
use crate::model::instance::BackendKind;
use crate::model::snapshot::Snapshot;
use crate::model::{InstanceKey, ServerId, TenantId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Fills in whose every process is, and what each tenant holds. `find` looks a pid up.
pub fn attribute(gpus: &mut Gpus, snapshot: &Snapshot, mut find: impl FnMut(u32) -> Option<Process>) {
    if gpus.devices.iter().all(|device| device.processes.iter().flatten().next().is_none()) {
        return;
    }
    let map = Map::of(snapshot);
    // A process that uses several devices is looked up once.
    let mut seen: BTreeMap<u32, Option<Process>> = BTreeMap::new();
    for row in gpus.devices.iter_mut().filter_map(|device| device.processes.as_mut()).flatten() {
        let found = seen.entry(row.pid).or_insert_with(|| find(row.pid));
        match found {
            Some(process) => map.fill(row, process),
            // Not ours to see: who it is would be a guess.
            None => row.name = None,
        }
    }
    gpus.tenants = shares(gpus);
}

/// Containers by id, and instances by the process that leads their group.
struct Map<'a> {
    containers: HashMap<&'a str, &'a ContainerRow>,
    leaders: HashMap<u32, &'a InstanceKey>,
}

impl<'a> Map<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let containers = snapshot.containers.iter().filter(|row| row.state.is_live());
        let processes = snapshot.instances.iter().filter(|row| row.backend == BackendKind::Process);
        Self {
            containers: containers.map(|row| (&*row.key.id, &**row)).collect(),
            leaders: processes.filter_map(|row| Some((row.pid?, &row.key))).collect(),
        }
    }

    fn fill(&self, row: &mut GpuProcess, process: &Process) {
        row.name = process.program.clone().or_else(|| row.name.take());
        let container = process.container.as_deref().and_then(|id| self.containers.get(id));
        if let Some(container) = container {
            row.container = Some(container.key.clone());
            row.container_name = Some(container.name.clone());
            row.owner = container.owner.clone();
        } else if let Some(key) = process.groups.iter().find_map(|group| self.leaders.get(group)) {
            row.owner = Owner {
                claim: Claim::Ours,
                tenant: key.tenant.clone(),
                server: Some(key.server.clone()),
                instance: Some((*key).clone()),
                ..Owner::default()
            };
        }
    }
}

/// What each tenant holds, the largest first.
pub(super) fn shares(gpus: &Gpus) -> Vec<GpuShare> {
    let mut shares: BTreeMap<Option<TenantId>, (Option<u64>, BTreeSet<u32>)> = BTreeMap::new();
    for row in processes(gpus) {
        let share = shares.entry(row.owner.tenant.clone()).or_default();
        share.0 = plus(share.0, row.memory);
        share.1.insert(row.pid);
    }
    let share = |(tenant, (memory, pids)): (_, (_, BTreeSet<u32>))| GpuShare {
        tenant,
        memory,
        processes: pids.len().try_into().unwrap_or(u32::MAX),
    };
    let mut shares: Vec<GpuShare> = shares.into_iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.memory));
    shares
}

fn processes(gpus: &Gpus) -> impl Iterator<Item = &GpuProcess> {
    gpus.devices.iter().flat_map(|device| device.processes.iter().flatten())
}

/// An unknown part does not hide a known one.
fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).reduce(u64::saturating_add)
}

/// GPU memory by whatever holds it; who is not in here holds none that is known of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    pub instances: BTreeMap<InstanceKey, u64>,
    pub containers: BTreeMap<ContainerKey, u64>,
    pub servers: BTreeMap<ServerId, u64>,
    pub tenants: BTreeMap<TenantId, u64>,
}

impl Held {
    pub fn of(gpus: &Gpus) -> Self {
        fn add<K: Ord + Clone>(to: &mut BTreeMap<K, u64>, key: &Option<K>, bytes: u64) {
            if let Some(key) = key {
                *to.entry(key.clone()).or_default() += bytes;
            }
        }
        let mut held = Self::default();
        for row in processes(gpus) {
            let Some(bytes) = row.memory else { continue };
            add(&mut held.instances, &row.owner.instance, bytes);
            add(&mut held.containers, &row.container, bytes);
            add(&mut held.servers, &row.owner.server, bytes);
            add(&mut held.tenants, &row.owner.tenant, bytes);
        }
        held
    }

    /// Puts it on the containers; a row that is as in `before` stays that one.
    pub fn mark(&self, rows: &mut [Arc<ContainerRow>], before: &[Arc<ContainerRow>]) {
        for row in rows.iter_mut() {
            let bytes = self.containers.get(&row.key).copied();
            if row.usage.gpu_memory == bytes {
                continue;
            }
            let mut marked = ContainerRow::clone(row);
            marked.usage.gpu_memory = bytes;
            let old = before.binary_search_by(|old| old.key.cmp(&row.key)).ok().map(|at| &before[at]);
            *row = old.filter(|old| ***old == marked).cloned().unwrap_or_else(|| Arc::new(marked));
        }
    }
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
