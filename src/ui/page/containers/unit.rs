//! What runs, as rows: a container of an engine, or a process group of ours.

use super::columns;
use crate::model::container::{
    Claim, ContainerHealth, ContainerKey, ContainerRow, ContainerState, EngineRow, EngineState,
};
use crate::model::filter::{Fields, Value};
use crate::model::instance::{BackendKind, InstanceRow};
use crate::model::usage::InstanceUsage;
use crate::model::{InstanceKey, ServerId, Snapshot, Stamp, TenantId};
use crate::ui::acts::Subject;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Column, Row, hides_gpu};
use std::sync::Arc;

/// One row.
#[derive(Clone)]
pub enum Unit {
    Container {
        row: Arc<ContainerRow>,
        /// Its engine has been silent since then: the row is that old.
        silent: Option<Stamp>,
        /// It was stopped, and did not fail.
        put_down: bool,
    },
    Process(Arc<InstanceRow>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitKey {
    Container(ContainerKey),
    Process(InstanceKey),
}

impl Unit {
    /// Everything that runs or ran, in reading order: orphans, what is ours by owner, then what is not.
    pub fn all(snap: &Snapshot, limit: Option<&TenantId>) -> Vec<Unit> {
        let containers = snap.containers.iter().map(|row| {
            let silent = engine(snap, &row.key).and_then(silent_since);
            Unit::Container { row: row.clone(), silent, put_down: snap.is_put_down(row) }
        });
        let processes = snap.instances.iter().filter(|i| i.backend == BackendKind::Process && i.state.is_live());
        let mut units: Vec<Unit> = containers
            .chain(processes.cloned().map(Unit::Process))
            .filter(|unit| limit.is_none_or(|limit| unit.tenant() == Some(limit)))
            .collect();
        units.sort_by(|a, b| {
            a.place().cmp(&b.place()).then_with(|| fmt::natural(a.container_name(), b.container_name()))
        });
        units
    }

    fn container_name(&self) -> &str {
        self.container().map_or("", |row| row.name.as_str())
    }

    fn place(&self) -> (u8, Option<&TenantId>, Option<&ServerId>) {
        let rank = match self.claim() {
            Claim::Orphan => 0,
            Claim::Ours | Claim::Adopted => 1,
            Claim::Other => 2,
        };
        (rank, self.tenant(), self.server())
    }

    pub fn container(&self) -> Option<&ContainerRow> {
        match self {
            Self::Container { row, .. } => Some(row),
            Self::Process(_) => None,
        }
    }

    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Container { row, .. } => row.owner.tenant.as_ref(),
            Self::Process(row) => row.key.tenant.as_ref(),
        }
    }

    pub fn server(&self) -> Option<&ServerId> {
        match self {
            Self::Container { row, .. } => row.owner.server.as_ref(),
            Self::Process(row) => Some(&row.key.server),
        }
    }

    pub fn instance(&self) -> Option<&InstanceKey> {
        match self {
            Self::Container { row, .. } => row.owner.instance.as_ref(),
            Self::Process(row) => Some(&row.key),
        }
    }

    pub fn claim(&self) -> Claim {
        self.container().map_or(Claim::Ours, |row| row.owner.claim)
    }

    pub fn usage(&self) -> &InstanceUsage {
        match self {
            Self::Container { row, .. } => &row.usage,
            Self::Process(row) => &row.usage,
        }
    }

    /// True if processes of it exist, as far as is known.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Container { row, .. } => row.state.is_live(),
            Self::Process(row) => row.state.is_live(),
        }
    }

    /// Since when it runs, or when it ended.
    pub fn since(&self) -> Stamp {
        match self {
            Self::Container { row, .. } => row.since,
            Self::Process(row) => row.started_at.unwrap_or(row.since),
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Container { row, .. } => row.name.clone(),
            Self::Process(row) => row.key.to_string(),
        }
    }

    /// What acts, logs and questions are about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Container { row, .. } => Subject::container(row),
            Self::Process(row) => Subject::instance(row.key.clone()),
        }
    }

    /// Symbol and word of its state.
    pub fn state(&self, look: &Look) -> (String, Role) {
        match self {
            Self::Container { silent: Some(at), .. } => (format!("? old {}", look.age(*at)), Role::Warn),
            Self::Container { put_down: true, .. } => {
                (if look.ascii { "# stopped" } else { "■ stopped" }.to_owned(), Role::Held)
            }
            Self::Container { row, .. } => state(row, look.ascii),
            Self::Process(row) => {
                let busy = row.in_flight > 0 || row.rate > 0.0;
                let symbol = row.state.symbol(busy, look.ascii);
                (format!("{symbol} {}", row.state.name()), Role::of_state(row.state, busy))
            }
        }
    }

    /// How much it wants an operator's eye: larger is worse.
    pub fn severity(&self) -> u8 {
        match self {
            Self::Container { silent: Some(_), .. } => 5,
            Self::Container { put_down: true, .. } => 1,
            Self::Container { row, .. } => match (row.state, row.health) {
                (ContainerState::Dead, _) => 9,
                (ContainerState::Exited, _) if row.oom => 9,
                (ContainerState::Exited, _) if row.exit_code.is_some_and(|code| code != 0) => 8,
                (ContainerState::Restarting, _) => 7,
                (ContainerState::Running, Some(ContainerHealth::Unhealthy)) => 6,
                (ContainerState::Removing, _) => 4,
                (ContainerState::Running, _) => 3,
                (ContainerState::Paused, _) => 2,
                _ => 1,
            },
            Self::Process(row) => row.state.severity(),
        }
    }
}

/// The engine a container is of.
pub fn engine<'a>(snap: &'a Snapshot, key: &ContainerKey) -> Option<&'a EngineRow> {
    snap.engines.iter().find(|engine| engine.id == key.engine).map(Arc::as_ref)
}

fn silent_since(engine: &EngineRow) -> Option<Stamp> {
    match engine.state {
        EngineState::Silent { since, .. } => Some(since),
        _ => None,
    }
}

/// Symbols are those of the product's state table.
pub fn state(row: &ContainerRow, ascii: bool) -> (String, Role) {
    let (symbol, plain, word, role) = match (row.state, row.health) {
        (ContainerState::Running, Some(ContainerHealth::Unhealthy)) => ("!", "!", "unhealthy", Role::Warn),
        (ContainerState::Running, Some(ContainerHealth::Starting)) => ("…", "~", "starting", Role::Work),
        (ContainerState::Running, _) => ("●", "@", "running", Role::Good),
        (ContainerState::Paused, _) => ("z", "z", "paused", Role::Sleep),
        (ContainerState::Restarting, _) => ("↻", "r", "restarting", Role::Warn),
        (ContainerState::Removing, _) => ("↓", "v", "removing", Role::Work),
        (ContainerState::Created, _) => ("◌", "Z", "created", Role::Sleep),
        (ContainerState::Dead, _) => ("✗", "x", "dead", Role::Bad),
        (ContainerState::Exited, _) if row.oom => ("✗", "x", "out of mem", Role::Bad),
        (ContainerState::Exited, _) => return exited(row.exit_code, ascii),
    };
    (format!("{} {word}", if ascii { plain } else { symbol }), role)
}

fn exited(code: Option<i64>, ascii: bool) -> (String, Role) {
    let (symbol, role) = match (code, ascii) {
        (Some(0) | None, false) => ("■", Role::Held),
        (Some(0) | None, true) => ("#", Role::Held),
        (Some(_), false) => ("✗", Role::Bad),
        (Some(_), true) => ("x", Role::Bad),
    };
    (format!("{symbol} exited{}", code.map(|c| format!(" {c}")).unwrap_or_default()), role)
}

impl Fields for Unit {
    fn names() -> &'static [&'static str] {
        ContainerRow::names()
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match self {
            Self::Container { silent: Some(_), .. } if name == "state" => Some(Value::Text("unknown".into())),
            Self::Container { row, .. } => row.field(name, now),
            Self::Process(row) => match name {
                "name" => row.field("instance", now),
                "claim" => Some(Value::Text(Claim::Ours.name().into())),
                "owner" => {
                    let tenant = row.key.tenant.as_ref().map(|t| t.as_str().into());
                    Some(Value::Texts(tenant.into_iter().chain([row.key.server.as_str().into()]).collect()))
                }
                // `engine=process` shows what runs without one.
                "engine" => Some(Value::Text(row.backend.name().into())),
                "limit" => row.usage.memory_percent().map(|p| Value::Number(p.into())),
                "pids" => row.usage.pids.map(|n| Value::Number(n.into())),
                "gpu" => row.usage.gpu_memory.map(|n| Value::Number(n as f64)),
                other => row.field(other, now),
            },
        }
    }

    fn text(&self, out: &mut String) {
        match self {
            Self::Container { row, .. } => row.text(out),
            Self::Process(row) => row.text(out),
        }
    }
}

impl Row for Unit {
    type Key = UnitKey;

    fn key(&self) -> UnitKey {
        match self {
            Self::Container { row, .. } => UnitKey::Container(row.key.clone()),
            Self::Process(row) => UnitKey::Process(row.key.clone()),
        }
    }

    fn columns() -> &'static [Column<Self>] {
        columns::COLUMNS
    }

    fn json(&self) -> String {
        match self {
            Self::Container { row, .. } => serde_json::to_string_pretty(&**row),
            Self::Process(row) => serde_json::to_string_pretty(&**row),
        }
        .unwrap_or_default()
    }

    fn label(&self) -> Option<String> {
        Some(self.name())
    }

    fn faded(&self) -> bool {
        matches!(self, Self::Container { silent: Some(_), .. })
    }

    fn hides(column: &Column<Self>, snap: &Snapshot) -> bool {
        hides_gpu(column, snap) || (column.title == columns::ENGINE && columns::engines_shown(snap) < 2)
    }
}
