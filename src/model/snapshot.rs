//! The newest whole picture. Rows are `Arc`s: a row that did not change is the same `Arc` in the next
//! snapshot, so that readers and the socket find what changed by pointer.

use super::call::{Outcome, PendingCall};
use super::container::{ContainerKey, ContainerRow, EngineRow, OrphanRow};
use super::gpu::Gpus;
use super::guard::Guards;
use super::instance::{InstanceRow, State};
use super::message::{FindingRow, JobRow};
use super::secret::SecretRow;
use super::server::{Environment, ServerDef};
use super::stack::StackRow;
use super::tenant::TenantDef;
use super::usage::{HostUsage, InstanceUsage};
use super::{InstanceKey, ServerId, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything a screen shows without asking. Tables are sorted by id and hold no duplicates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with each snapshot of one owner.
    pub revision: u64,
    pub taken: Stamp,
    pub platform: Arc<PlatformInfo>,
    pub tenants: Vec<Arc<TenantRow>>,
    pub servers: Vec<Arc<ServerRow>>,
    pub instances: Vec<Arc<InstanceRow>>,
    /// Oldest first; at most 1,000 (`totals.in_flight` counts all).
    pub pending: Vec<Arc<PendingCall>>,
    /// Running jobs first, then the newest 100 finished ones.
    pub jobs: Vec<Arc<JobRow>>,
    /// What needs attention, worst first.
    pub findings: Vec<Arc<FindingRow>>,
    pub secrets: Vec<Arc<SecretRow>>,
    pub consoles: Vec<Arc<ConsoleRow>>,
    pub totals: Arc<Totals>,
    pub host: Arc<HostUsage>,
    /// By id.
    pub engines: Vec<Arc<EngineRow>>,
    /// Every container of every engine, ours and others, by key.
    pub containers: Vec<Arc<ContainerRow>>,
    /// By id.
    pub stacks: Vec<Arc<StackRow>>,
    pub orphans: Vec<Arc<OrphanRow>>,
    pub gpus: Arc<Gpus>,
}

/// What the platform is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformInfo {
    pub name: String,
    pub environment: Environment,
    pub read_only: bool,
    /// What is refused in each environment; a tenant's own stand in its definition.
    pub guards: Guards,
    pub version: String,
    pub pid: u32,
    /// When the owner started.
    pub boot: Stamp,
    /// Path of the config file; `None` on the embedded default.
    pub config: Option<String>,
    pub socket: String,
    pub state_dir: String,
    /// `None`: this platform has no example traffic.
    pub example_traffic: Option<bool>,
    /// True if the owner keeps running when its screen goes.
    pub keeps_running: bool,
    /// Who calls over HTTP without a credential, in words, if somebody may.
    pub open_to: Option<String>,
    /// Where it serves HTTP, if it does.
    pub gateway: Option<Gateway>,
    /// Warnings of the config that is running.
    pub warnings: Vec<String>,
    /// Why the files as they are now are not taken over; `None`: they are.
    pub config_trouble: Option<super::reload::ConfigTrouble>,
}

/// The way in over HTTP for somebody on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// `http://127.0.0.1:8080`
    pub url: String,
    /// Whoever calls from this machine is an operator; else a key is needed.
    pub open: bool,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantRow {
    pub def: Arc<TenantDef>,
    /// Every server the file or an operator decided on for this tenant, sorted by server.
    pub cells: Vec<Cell>,
    pub instances: u32,
    pub in_flight: u32,
    pub oldest: Option<Stamp>,
    /// Calls per second over the last 10 s.
    pub rate: f32,
    pub p95_ms: Option<f32>,
    /// Failed calls (`Outcome::is_error`) in the last 5 minutes.
    pub errors: u32,
    pub usage: InstanceUsage,
    pub last_call: Option<Stamp>,
}

impl TenantRow {
    /// What this tenant has of `server`.
    pub fn cell(&self, server: &ServerId) -> Option<&Cell> {
        self.cells.binary_search_by(|c| c.server.cmp(server)).ok().map(|at| &self.cells[at])
    }
}

/// A tenant at a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub server: ServerId,
    pub enabled: bool,
    /// `Some` if an operator changed it at run time (it then differs from the file, or did).
    pub changed: Option<super::instance::Mark>,
    /// What the file says.
    pub in_file: bool,
    /// The instance that serves it: its own or the shared one.
    pub instance: Option<InstanceKey>,
    /// Worst state among the instances that serve it; `None` if not enabled.
    pub state: Option<State>,
    pub rate: f32,
    pub in_flight: u32,
    pub oldest: Option<Stamp>,
}

/// One server and the sum of its instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerRow {
    pub def: Arc<ServerDef>,
    /// Strictest environment among its users if it names none.
    pub environment: Environment,
    /// Tenants that have it enabled.
    pub tenants: u32,
    pub instances: u32,
    pub ready: u32,
    /// Worst state among its instances.
    pub state: State,
    pub in_flight: u32,
    pub oldest: Option<Stamp>,
    pub rate: f32,
    pub p95_ms: Option<f32>,
    pub errors: u32,
    pub usage: InstanceUsage,
    /// Names of its tools as last listed; `None` if never listed.
    pub tools: Option<u32>,
}

/// Sums over the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub in_flight: u32,
    pub oldest: Option<Stamp>,
    pub rate: f32,
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    /// Calls since the owner started, by outcome.
    pub outcomes: Vec<(Outcome, u64)>,
    /// One value per 5 s, newest last, at most 60: calls per second.
    pub rate_history: Vec<f32>,
    /// Instances by state.
    pub states: Vec<(State, u32)>,
    /// Records that a full queue dropped.
    pub dropped_records: u64,
    /// Writes that failed since the owner started, with the newest reason.
    pub store_error: Option<String>,
}

/// A screen or command line attached to the owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleRow {
    pub operator: super::message::Operator,
    pub since: Stamp,
    /// True for the owner's own screen.
    pub local: bool,
}

impl Snapshot {
    /// The tenant with this id.
    pub fn tenant(&self, id: &str) -> Option<&Arc<TenantRow>> {
        self.tenants.binary_search_by(|t| t.def.id.as_str().cmp(id)).ok().map(|at| &self.tenants[at])
    }

    /// The tenant that answers to an id, alias or display name.
    pub fn find_tenant(&self, text: &str) -> Option<&Arc<TenantRow>> {
        self.tenant(text).or_else(|| self.tenants.iter().find(|t| t.def.answers_to(text)))
    }

    pub fn server(&self, id: &str) -> Option<&Arc<ServerRow>> {
        self.servers.binary_search_by(|s| s.def.id.as_str().cmp(id)).ok().map(|at| &self.servers[at])
    }

    pub fn instance(&self, key: &InstanceKey) -> Option<&Arc<InstanceRow>> {
        self.instances.binary_search_by(|i| i.key.cmp(key)).ok().map(|at| &self.instances[at])
    }

    pub fn container(&self, key: &ContainerKey) -> Option<&Arc<ContainerRow>> {
        self.containers.binary_search_by(|c| c.key.cmp(key)).ok().map(|at| &self.containers[at])
    }

    /// True if it does not run because an operator, or idleness, stopped it: its exit code is then no trouble.
    pub fn is_put_down(&self, row: &ContainerRow) -> bool {
        let held = |stack: &Arc<StackRow>| stack.parts.iter().any(|p| p.held && p.container.as_ref() == Some(&row.key));
        let part = || row.owner.stack.as_ref().and_then(|id| self.stack(id.as_str())).is_some_and(held);
        let down = |row: &Arc<InstanceRow>| matches!(row.state, State::Stopped | State::Dormant);
        let instance = || row.owner.instance.as_ref().and_then(|key| self.instance(key)).is_some_and(down);
        !row.state.is_live() && !row.oom && (part() || instance())
    }

    /// A container's name as it is told to people: with its engine where another one has a container of that name.
    pub fn container_name(&self, row: &ContainerRow) -> String {
        let twin = |other: &&Arc<ContainerRow>| other.name == row.name && other.key != row.key;
        match self.containers.iter().any(|other| twin(&other)) {
            true => format!("{}/{}", row.key.engine, row.name),
            false => row.name.clone(),
        }
    }

    pub fn stack(&self, id: &str) -> Option<&Arc<StackRow>> {
        self.stacks.binary_search_by(|s| s.id.as_str().cmp(id)).ok().map(|at| &self.stacks[at])
    }

    /// Tenants that have `server` enabled.
    pub fn users<'a>(&'a self, server: &'a ServerId) -> impl Iterator<Item = &'a TenantId> {
        self.tenants.iter().filter(|t| t.cell(server).is_some_and(|c| c.enabled)).map(|t| &t.def.id)
    }
}
