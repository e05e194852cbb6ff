//! Builds snapshots: only rows that may have changed are made anew, and one that did not change stays the same `Arc`.
//! Pure; must never import a task, a clock or a face.

mod behind;

use super::attention;
use super::gpus::owner::Held;
use super::plan::Plan;
use crate::model::container::{ContainerRow, EngineRow, OrphanRow};
use crate::model::gpu::Gpus;
use crate::model::instance::{InstanceRow, State};
use crate::model::message::{FindingRow, JobRow};
use crate::model::secret::SecretRow;
use crate::model::snapshot::{Cell, ConsoleRow, PlatformInfo, ServerRow, TenantRow, Totals};
use crate::model::stack::StackRow;
use crate::model::usage::{HostUsage, InstanceUsage};
use crate::model::{InstanceKey, PendingCall, ServerId, Snapshot, Stamp, TenantId};
use crate::router::{AllFigures, Figures};
use behind::Behind;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Pending calls that a snapshot shows.
const PENDING_SHOWN: usize = 1000;

/// What a snapshot is made of. Facts of instances come as rows whose traffic fields are empty.
pub struct Inputs<'a> {
    pub now: Stamp,
    pub plan: &'a Plan,
    pub instances: &'a BTreeMap<InstanceKey, InstanceRow>,
    pub figures: &'a AllFigures,
    /// Oldest first.
    pub pending: &'a [PendingCall],
    /// Tools per server, as last listed.
    pub tools: &'a HashMap<ServerId, u32>,
    pub platform: &'a Arc<PlatformInfo>,
    pub jobs: Vec<Arc<JobRow>>,
    pub secrets: Vec<Arc<SecretRow>>,
    pub consoles: Vec<Arc<ConsoleRow>>,
    pub host: &'a Arc<HostUsage>,
    pub yard: &'a Yard,
    /// Per 5 s, newest last.
    pub rate_history: &'a [f32],
    pub store_error: Option<&'a str>,
    pub conditions: &'a attention::Conditions,
}

/// What stands on the engines and GPUs: made by whoever follows them, shown as it is. A row that did not change is the
/// same `Arc`.
#[derive(Clone, Default)]
pub struct Yard {
    pub engines: Vec<Arc<EngineRow>>,
    pub containers: Vec<Arc<ContainerRow>>,
    pub stacks: Vec<Arc<StackRow>>,
    pub orphans: Vec<Arc<OrphanRow>>,
    pub gpus: Arc<Gpus>,
}

/// What may have changed since the last snapshot, apart from traffic, which is compared.
#[derive(Debug, Default)]
pub struct Dirty {
    pub instances: BTreeSet<InstanceKey>,
    /// The plan changed: every table is made anew.
    pub all: bool,
}

/// Calls in flight of one thing.
#[derive(Clone, Copy, Default)]
struct Load {
    in_flight: u32,
    waiting: u32,
    oldest: Option<Stamp>,
}

impl Load {
    fn add(&mut self, call: &PendingCall) {
        if call.waking {
            self.waiting += 1;
        } else {
            self.in_flight += 1;
        }
        self.oldest = Some(self.oldest.map_or(call.at, |o| o.min(call.at)));
    }
}

/// Calls in flight by everything a table is keyed by.
#[derive(Default)]
struct Loads {
    total: Load,
    instances: HashMap<InstanceKey, Load>,
    cells: HashMap<(TenantId, ServerId), Load>,
    tenants: HashMap<TenantId, Load>,
    servers: HashMap<ServerId, Load>,
}

impl Loads {
    fn of(pending: &[PendingCall]) -> Self {
        let mut loads = Self::default();
        for call in pending {
            loads.total.add(call);
            if let Some(key) = &call.instance {
                loads.instances.entry(key.clone()).or_default().add(call);
            }
            loads.cells.entry((call.tenant.clone(), call.server.clone())).or_default().add(call);
            loads.tenants.entry(call.tenant.clone()).or_default().add(call);
            loads.servers.entry(call.server.clone()).or_default().add(call);
        }
        loads
    }
}

/// Keeps the last snapshot and makes the next from it.
pub struct Builder {
    last: Arc<Snapshot>,
    loads: Loads,
    behind: Behind,
    pending: HashMap<u64, Arc<PendingCall>>,
}

impl Builder {
    /// Starts from nothing: the first snapshot has revision 1.
    pub fn new(platform: Arc<PlatformInfo>) -> Self {
        let last = Snapshot {
            revision: 0,
            taken: Stamp::default(),
            platform,
            tenants: Vec::new(),
            servers: Vec::new(),
            instances: Vec::new(),
            pending: Vec::new(),
            jobs: Vec::new(),
            findings: Vec::new(),
            secrets: Vec::new(),
            consoles: Vec::new(),
            totals: Arc::new(Totals::default()),
            host: Arc::new(HostUsage::default()),
            engines: Vec::new(),
            containers: Vec::new(),
            stacks: Vec::new(),
            orphans: Vec::new(),
            gpus: Arc::default(),
        };
        Self { last: Arc::new(last), loads: Loads::default(), behind: Behind::default(), pending: HashMap::new() }
    }

    /// The newest snapshot.
    pub fn last(&self) -> &Arc<Snapshot> {
        &self.last
    }

    /// The next snapshot; the same `Arc` as before if nothing in it changed.
    pub fn build(&mut self, dirty: Dirty, inputs: Inputs<'_>) -> Arc<Snapshot> {
        let loads = Loads::of(inputs.pending);
        let held = Held::of(&inputs.yard.gpus);
        let work = Work { inputs: &inputs, loads: &loads, before: &self.last };
        // A row that came or went moves the others.
        let moved = |key: &InstanceKey| self.last.instance(key).is_some() != inputs.instances.contains_key(key);
        let all = dirty.all || self.last.revision == 0 || dirty.instances.iter().any(moved);
        let instances = if all { work.all_instances() } else { work.some_instances(&dirty, &self.loads) };
        let behind = Behind::of(&inputs.yard.containers, &instances);
        let sums = Sums { work: &work, instances: &instances, held: &held, behind: &behind };
        let mut touched = Touched::between(&self.last.instances, &instances, all, &inputs, &loads, &self.loads);
        touched.by_gpus(&Held::of(&self.last.gpus), &held);
        touched.tenants.extend(behind.tenants_changed(&self.behind).cloned());
        touched.servers.extend(behind.servers_changed(&self.behind).cloned());
        let tenants = sums.tenants(&touched);
        let servers = sums.servers(&touched);
        let (pending, shown) = show_pending(&mut self.pending, inputs.pending);
        let totals = keep(&self.last.totals, totals(&inputs, &loads, &instances));
        let mut next = Snapshot {
            revision: self.last.revision,
            taken: self.last.taken,
            platform: inputs.platform.clone(),
            tenants,
            servers,
            instances,
            pending,
            jobs: inputs.jobs,
            findings: Vec::new(),
            secrets: inputs.secrets,
            consoles: inputs.consoles,
            totals,
            host: inputs.host.clone(),
            engines: inputs.yard.engines.clone(),
            containers: inputs.yard.containers.clone(),
            stacks: inputs.yard.stacks.clone(),
            orphans: inputs.yard.orphans.clone(),
            gpus: inputs.yard.gpus.clone(),
        };
        next.findings = keep_findings(&self.last.findings, attention::findings(&next, inputs.conditions, inputs.now));
        self.loads = loads;
        self.behind = behind;
        self.pending = shown;
        if self.last.revision == 0 || !same(&self.last, &next) {
            next.revision = self.last.revision + 1;
            next.taken = inputs.now;
            self.last = Arc::new(next);
        }
        self.last.clone()
    }
}

/// Rows whose inputs changed.
struct Touched {
    all: bool,
    tenants: HashSet<TenantId>,
    servers: HashSet<ServerId>,
}

impl Touched {
    fn between(
        before: &[Arc<InstanceRow>],
        after: &[Arc<InstanceRow>],
        all: bool,
        inputs: &Inputs<'_>,
        loads: &Loads,
        old: &Loads,
    ) -> Self {
        let mut touched = Self { all, tenants: HashSet::new(), servers: HashSet::new() };
        if all {
            return touched;
        }
        for (old, new) in before.iter().zip(after).filter(|(old, new)| !Arc::ptr_eq(old, new)) {
            touched.servers.insert(new.key.server.clone());
            match &new.key.tenant {
                Some(tenant) => drop(touched.tenants.insert(tenant.clone())),
                None if old.state != new.state => {
                    touched.tenants.extend(inputs.plan.users(&new.key.server).iter().cloned());
                }
                None => {}
            }
        }
        touched.tenants.extend(loads.tenants.keys().chain(old.tenants.keys()).cloned());
        touched.servers.extend(loads.servers.keys().chain(old.servers.keys()).cloned());
        // Whatever had a call lately may show another rate; the rows are compared afterwards.
        touched.tenants.extend(inputs.figures.by_tenant.keys().cloned());
        touched.servers.extend(inputs.figures.by_server.keys().cloned());
        touched
    }

    /// Who holds another amount of GPU memory than before.
    fn by_gpus(&mut self, before: &Held, now: &Held) {
        let tenants = before.tenants.keys().chain(now.tenants.keys());
        self.tenants.extend(tenants.filter(|id| before.tenants.get(*id) != now.tenants.get(*id)).cloned());
        let servers = before.servers.keys().chain(now.servers.keys());
        self.servers.extend(servers.filter(|id| before.servers.get(*id) != now.servers.get(*id)).cloned());
    }
}

/// One build under way.
struct Work<'a> {
    inputs: &'a Inputs<'a>,
    loads: &'a Loads,
    before: &'a Snapshot,
}

/// The tables that sum instances up.
struct Sums<'a> {
    work: &'a Work<'a>,
    instances: &'a [Arc<InstanceRow>],
    held: &'a Held,
    behind: &'a Behind,
}

impl Work<'_> {
    fn all_instances(&self) -> Vec<Arc<InstanceRow>> {
        self.inputs.instances.values().map(|facts| self.instance(facts)).collect()
    }

    fn some_instances(&self, dirty: &Dirty, old: &Loads) -> Vec<Arc<InstanceRow>> {
        let mut rows = self.before.instances.clone();
        let loaded = self.loads.instances.keys().chain(old.instances.keys());
        let moving = self.inputs.figures.by_instance.keys();
        let keys: HashSet<&InstanceKey> = dirty.instances.iter().chain(loaded).chain(moving).collect();
        for key in keys {
            let at = rows.binary_search_by(|row| row.key.cmp(key));
            let (Ok(at), Some(facts)) = (at, self.inputs.instances.get(key)) else { continue };
            if dirty.instances.contains(key) || !self.traffic_is_same(&rows[at]) {
                rows[at] = self.instance(facts);
            }
        }
        rows
    }

    fn traffic_is_same(&self, row: &InstanceRow) -> bool {
        let figures = self.inputs.figures.by_instance.get(&row.key);
        let load = self.loads.instances.get(&row.key).copied().unwrap_or_default();
        (row.in_flight, row.waiting, row.oldest) == (load.in_flight, load.waiting, load.oldest)
            && (row.rate, row.p95_ms, row.error_rate) == traffic(figures)
    }

    fn instance(&self, facts: &InstanceRow) -> Arc<InstanceRow> {
        let load = self.loads.instances.get(&facts.key).copied().unwrap_or_default();
        let (rate, p95_ms, error_rate) = traffic(self.inputs.figures.by_instance.get(&facts.key));
        let row = InstanceRow {
            in_flight: load.in_flight,
            waiting: load.waiting,
            oldest: load.oldest,
            rate,
            p95_ms,
            error_rate,
            ..facts.clone()
        };
        match self.before.instance(&facts.key) {
            Some(old) if **old == row => old.clone(),
            _ => Arc::new(row),
        }
    }
}

impl Sums<'_> {
    fn tenants(&self, touched: &Touched) -> Vec<Arc<TenantRow>> {
        if touched.all {
            return self.work.inputs.plan.tenants.keys().map(|id| self.tenant(id)).collect();
        }
        let mut rows = self.work.before.tenants.clone();
        for row in rows.iter_mut().filter(|row| touched.tenants.contains(&row.def.id)) {
            *row = self.tenant(&row.def.id);
        }
        rows
    }

    fn tenant(&self, id: &TenantId) -> Arc<TenantRow> {
        let plan = self.work.inputs.plan;
        let def = plan.tenants[id].clone();
        let cells: Vec<Cell> = plan.decided(id).into_iter().map(|s| self.cell(id, s)).collect();
        let own = || {
            let servers = cells.iter().filter(|c| c.enabled);
            servers.flat_map(|c| of_tenant(self.instances, &c.server, id))
        };
        let load = self.work.loads.tenants.get(id).copied().unwrap_or_default();
        let figures = self.work.inputs.figures.by_tenant.get(id);
        let row = TenantRow {
            instances: count(own().filter(|row| row.pid.is_some() || row.state.is_live())),
            usage: InstanceUsage {
                // Of all processes of the tenant, whatever they run in.
                gpu_memory: self.held.tenants.get(id).copied(),
                ..own().fold(self.behind.tenant(id), |sum, row| sum.plus(row.usage))
            },
            cells,
            in_flight: load.in_flight + load.waiting,
            oldest: load.oldest,
            rate: figures.map_or(0.0, |f| coarse(f.rate)),
            p95_ms: figures.and_then(|f| f.p95_ms).map(coarse),
            errors: figures.map_or(0, |f| f.errors),
            last_call: figures.and_then(|f| f.last_call),
            def,
        };
        match self.work.before.tenant(id.as_str()) {
            Some(old) if **old == row => old.clone(),
            _ => Arc::new(row),
        }
    }

    fn cell(&self, tenant: &TenantId, server: ServerId) -> Cell {
        let plan = self.work.inputs.plan;
        let def = &plan.servers[&server];
        let key = def.instance_for(&plan.tenants[tenant], None);
        let enabled = plan.enabled(tenant, &server);
        let sessions = InstanceKey { session: None, ..key.clone() };
        let place = (tenant.clone(), server.clone());
        let load = self.work.loads.cells.get(&place).copied().unwrap_or_default();
        let figures = self.work.inputs.figures.by_cell.get(&place);
        // The shared row covers every tenant's own instance too, so it counts alone.
        let state = match &sessions.tenant {
            None => self.instances.binary_search_by(|row| row.key.cmp(&key)).ok().map(|at| self.instances[at].state),
            Some(own) => of_tenant(self.instances, &server, own).map(|row| row.state).max_by_key(|s| s.severity()),
        };
        Cell {
            changed: plan.change_of(tenant, &server).map(|(_, mark)| mark.clone()),
            in_file: plan.in_file(tenant, &server),
            state: enabled.then(|| state.unwrap_or(State::Dormant)),
            instance: enabled.then_some(sessions),
            enabled,
            server,
            rate: figures.map_or(0.0, |f| coarse(f.rate)),
            in_flight: load.in_flight + load.waiting,
            oldest: load.oldest,
        }
    }

    fn servers(&self, touched: &Touched) -> Vec<Arc<ServerRow>> {
        if touched.all {
            return self.work.inputs.plan.servers.keys().map(|id| self.server(id)).collect();
        }
        let mut rows = self.work.before.servers.clone();
        for row in rows.iter_mut().filter(|row| touched.servers.contains(&row.def.id)) {
            *row = self.server(&row.def.id);
        }
        rows
    }

    fn server(&self, id: &ServerId) -> Arc<ServerRow> {
        let plan = self.work.inputs.plan;
        let own = || of_server(self.instances, id);
        let load = self.work.loads.servers.get(id).copied().unwrap_or_default();
        let figures = self.work.inputs.figures.by_server.get(id);
        let row = ServerRow {
            def: plan.servers[id].clone(),
            environment: plan.environment(id),
            tenants: plan.users(id).len().try_into().unwrap_or(u32::MAX),
            instances: count(own()),
            ready: count(own().filter(|row| row.state == State::Ready)),
            state: own().map(|row| row.state).max_by_key(|s| s.severity()).unwrap_or(State::Dormant),
            in_flight: load.in_flight + load.waiting,
            oldest: load.oldest,
            rate: figures.map_or(0.0, |f| coarse(f.rate)),
            p95_ms: figures.and_then(|f| f.p95_ms).map(coarse),
            errors: figures.map_or(0, |f| f.errors),
            usage: InstanceUsage {
                gpu_memory: self.held.servers.get(id).copied(),
                ..own().fold(self.behind.server(id), |sum, row| sum.plus(row.usage))
            },
            tools: self.work.inputs.tools.get(id).copied(),
        };
        match self.work.before.server(id.as_str()) {
            Some(old) if **old == row => old.clone(),
            _ => Arc::new(row),
        }
    }
}

/// The rows of one server; instances are sorted by server first.
fn of_server<'a>(rows: &'a [Arc<InstanceRow>], server: &ServerId) -> impl Iterator<Item = &'a InstanceRow> + use<'a> {
    let from = rows.partition_point(|row| row.key.server < *server);
    let length = rows[from..].partition_point(|row| row.key.server == *server);
    rows[from..from + length].iter().map(Arc::as_ref)
}

/// The rows of one tenant at one server, sessions included; within a server instances are sorted by tenant.
fn of_tenant<'a>(
    rows: &'a [Arc<InstanceRow>],
    server: &ServerId,
    tenant: &TenantId,
) -> impl Iterator<Item = &'a InstanceRow> + use<'a> {
    let place =
        |row: &Arc<InstanceRow>| row.key.server.cmp(server).then_with(|| row.key.tenant.as_ref().cmp(&Some(tenant)));
    let from = rows.partition_point(|row| place(row).is_lt());
    let length = rows[from..].partition_point(|row| place(row).is_eq());
    rows[from..from + length].iter().map(Arc::as_ref)
}

fn traffic(figures: Option<&Figures>) -> (f32, Option<f32>, f32) {
    let Some(f) = figures else { return (0.0, None, 0.0) };
    let share = if f.calls == 0 { 0.0 } else { f.errors as f32 / f.calls as f32 };
    (coarse(f.rate), f.p95_ms.map(coarse), coarse(share * 10.0) / 10.0)
}

/// One decimal: what nobody can see changing shall not make a new row.
fn coarse(value: f32) -> f32 {
    (value * 10.0).round() / 10.0
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    items.count().try_into().unwrap_or(u32::MAX)
}

fn totals(inputs: &Inputs<'_>, loads: &Loads, instances: &[Arc<InstanceRow>]) -> Totals {
    let mut states = [0u32; State::ALL.len()];
    for row in instances {
        states[row.state as usize] += 1;
    }
    let figures = inputs.figures;
    Totals {
        in_flight: loads.total.in_flight + loads.total.waiting,
        oldest: loads.total.oldest,
        rate: coarse(figures.total.rate),
        p50_ms: figures.total.p50_ms.map(coarse),
        p95_ms: figures.total.p95_ms.map(coarse),
        outcomes: figures.outcomes.clone(),
        rate_history: inputs.rate_history.to_vec(),
        states: State::ALL.into_iter().zip(states).filter(|(_, n)| *n > 0).collect(),
        dropped_records: figures.dropped_records,
        store_error: inputs.store_error.map(str::to_owned),
    }
}

fn show_pending(
    shown: &mut HashMap<u64, Arc<PendingCall>>,
    pending: &[PendingCall],
) -> (Vec<Arc<PendingCall>>, HashMap<u64, Arc<PendingCall>>) {
    let rows: Vec<_> = pending
        .iter()
        .take(PENDING_SHOWN)
        .map(|call| match shown.remove(&call.id.0) {
            Some(old) if *old == *call => old,
            _ => Arc::new(call.clone()),
        })
        .collect();
    let index = rows.iter().map(|row| (row.id.0, row.clone())).collect();
    (rows, index)
}

fn keep<T: PartialEq>(old: &Arc<T>, new: T) -> Arc<T> {
    if **old == new { old.clone() } else { Arc::new(new) }
}

fn keep_findings(old: &[Arc<FindingRow>], new: Vec<FindingRow>) -> Vec<Arc<FindingRow>> {
    let same = |row: &FindingRow| old.iter().find(|o| ***o == *row).cloned();
    new.into_iter().map(|row| same(&row).unwrap_or_else(|| Arc::new(row))).collect()
}

fn same(a: &Snapshot, b: &Snapshot) -> bool {
    same_rows(&a.instances, &b.instances)
        && same_rows(&a.tenants, &b.tenants)
        && same_rows(&a.servers, &b.servers)
        && same_rows(&a.pending, &b.pending)
        && same_rows(&a.jobs, &b.jobs)
        && same_rows(&a.findings, &b.findings)
        && same_rows(&a.secrets, &b.secrets)
        && same_rows(&a.consoles, &b.consoles)
        && Arc::ptr_eq(&a.totals, &b.totals)
        && Arc::ptr_eq(&a.host, &b.host)
        && same_rows(&a.engines, &b.engines)
        && same_rows(&a.containers, &b.containers)
        && same_rows(&a.stacks, &b.stacks)
        && same_rows(&a.orphans, &b.orphans)
        && Arc::ptr_eq(&a.gpus, &b.gpus)
        && Arc::ptr_eq(&a.platform, &b.platform)
}

fn same_rows<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
