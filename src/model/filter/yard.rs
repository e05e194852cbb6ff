//! What can be filtered in engines, stacks and GPUs. Imports `model` only.

use super::rows::{bytes, push, push_all, since, text, texts};
use super::{Fields, Value};
use crate::model::Stamp;
use crate::model::container::{EngineRow, EngineState};
use crate::model::gpu::{GpuHeld, GpuRow};
use crate::model::stack::{StackOwner, StackRow};

impl EngineState {
    /// Lower-case name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Silent { .. } => "silent",
            Self::Absent { .. } => "absent",
        }
    }

    /// Why it is silent or absent.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Silent { reason, .. } | Self::Absent { reason } => Some(reason),
            Self::Connecting | Self::Up => None,
        }
    }
}

impl Fields for EngineRow {
    fn names() -> &'static [&'static str] {
        &["name", "engine", "state", "reason"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        match name {
            "name" | "engine" => text(self.id.as_str()),
            "state" => text(self.state.name()),
            "reason" => text(self.state.reason()?),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.id.as_str(), &self.url, self.state.name()]);
        push_all(out, self.version.as_deref().into_iter().chain(self.state.reason()));
    }
}

impl Fields for StackRow {
    fn names() -> &'static [&'static str] {
        &["name", "stack", "state", "owner", "tenant", "server", "env", "part", "reason"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        let owner = match &self.owner {
            StackOwner::Tenant(tenant) => (Some(tenant.as_str()), None),
            StackOwner::Server(server) => (None, Some(server.as_str())),
        };
        match name {
            "name" | "stack" => text(self.id.as_str()),
            "state" => text(self.state.name()),
            "owner" => text(owner.0.or(owner.1)?),
            "tenant" => text(owner.0?),
            "server" => text(owner.1?),
            "env" => text(self.environment.name()),
            "part" => texts(self.parts.iter().map(|part| part.name.as_str())),
            "reason" => text(&self.reason),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.id.as_str(), self.state.name(), &self.reason]);
        self.parts.iter().for_each(|part| push_all(out, [part.name.as_str(), &part.image, &part.message]));
    }
}

impl Fields for GpuRow {
    fn names() -> &'static [&'static str] {
        &["name", "id", "tenant", "server", "owner", "gpu", "error"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        let owners = || self.processes.iter().flatten().map(|process| &process.owner);
        match name {
            "name" => text(&self.name),
            "id" => text(&self.uuid),
            "tenant" => texts(owners().filter_map(|owner| owner.tenant.as_ref()).map(|id| id.as_str())),
            "server" => texts(owners().filter_map(|owner| owner.server.as_ref()).map(|id| id.as_str())),
            "owner" => texts(owners().flat_map(|owner| owner.names())),
            "gpu" => bytes(self.memory_used?),
            "error" => text(self.error.as_deref()?),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.name.as_str(), &self.uuid]);
        for process in self.processes.iter().flatten() {
            push_all(
                out,
                process.owner.names().chain(process.name.as_deref()).chain(process.container_name.as_deref()),
            );
        }
    }
}

impl Fields for GpuHeld {
    fn names() -> &'static [&'static str] {
        &["name", "tenant", "owner", "gpu", "age"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "name" => text(&self.device),
            "tenant" => text(self.tenant.as_ref()?.as_str()),
            "owner" => text(&self.holder),
            "gpu" => bytes(self.memory),
            "age" => since(self.at, now),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.device.as_str(), &self.holder]);
        self.tenant.iter().for_each(|tenant| push(out, tenant.as_str()));
    }
}
