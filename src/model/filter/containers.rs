//! What can be filtered in containers. Imports `model` only.

use super::rows::{bytes, key_text, number, owned, push, push_all, push_key, since, text, texts};
use super::{Fields, Value};
use crate::model::Stamp;
use crate::model::container::{ContainerHealth, ContainerRow, OrphanRow, Owner};

impl ContainerHealth {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Owner {
    /// Every name it goes by: tenant, server, stack, part.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let tenant = self.tenant.as_ref().map(|t| t.as_str());
        let server = self.server.as_ref().map(|s| s.as_str());
        let stack = self.stack.as_ref().map(|s| s.as_str());
        tenant.into_iter().chain(server).chain(stack).chain(self.part.as_deref())
    }
}

impl Fields for ContainerRow {
    fn names() -> &'static [&'static str] {
        &[
            "name", "state", "owner", "claim", "tenant", "server", "instance", "stack", "part", "project", "engine",
            "image", "health", "exit", "cpu", "mem", "limit", "net", "io", "pids", "gpu", "uptime", "age", "restarts",
            "port", "network", "id",
        ]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        let owner = &self.owner;
        match name {
            "name" => text(&self.name),
            "state" => {
                let also = [self.oom.then_some("oom"), self.health.map(ContainerHealth::name)];
                texts([self.state.name()].into_iter().chain(also.into_iter().flatten()))
            }
            "owner" => texts(owner.names().chain(self.compose_project.as_deref())),
            "claim" => text(owner.claim.name()),
            "tenant" => text(owner.tenant.as_ref()?.as_str()),
            "server" => text(owner.server.as_ref()?.as_str()),
            "instance" => key_text(owner.instance.as_ref()?),
            "stack" => text(owner.stack.as_ref()?.as_str()),
            "part" => text(owner.part.as_deref()?),
            "project" => text(self.compose_project.as_deref()?),
            "engine" => text(self.key.engine.as_str()),
            // `registry/team/vllm:v1` is found by each of its words, too.
            "image" => texts([self.image.as_str()].into_iter().chain(self.image.split('/').skip(1))),
            "health" => text(self.health?.name()),
            "exit" => number(i32::try_from(self.exit_code?).ok()?),
            "cpu" => number(self.usage.cpu?),
            "mem" => bytes(self.usage.memory?),
            "limit" => number(self.usage.memory_percent()?),
            "net" => bytes(self.usage.net_in?.saturating_add(self.usage.net_out.unwrap_or(0))),
            "io" => bytes(self.usage.disk_read?.saturating_add(self.usage.disk_write.unwrap_or(0))),
            "pids" => number(self.usage.pids?),
            "gpu" => bytes(self.usage.gpu_memory?),
            "uptime" if self.state.is_live() => since(self.since, now),
            "age" => since(self.since, now),
            "restarts" => number(self.restarts),
            "port" => texts(self.ports.iter().map(String::as_str)),
            "network" => texts(self.networks.iter().map(String::as_str)),
            "id" => text(&self.key.id),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.name.as_str(), &self.image, self.state.name(), self.owner.claim.name()]);
        push_all(out, self.owner.names().chain(self.compose_project.as_deref()));
        self.owner.instance.iter().for_each(|key| push_key(out, key));
    }
}

impl Fields for OrphanRow {
    fn names() -> &'static [&'static str] {
        &["name", "reason", "owner", "tenant", "server", "stack", "part", "engine", "pid"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        match name {
            "name" => text(&self.what),
            "reason" => text(&self.why),
            "owner" => texts(self.owner.names()),
            "tenant" => text(self.owner.tenant.as_ref()?.as_str()),
            "server" => text(self.owner.server.as_ref()?.as_str()),
            "stack" => text(self.owner.stack.as_ref()?.as_str()),
            "part" => text(self.owner.part.as_deref()?),
            "engine" => owned(&self.container.as_ref()?.engine),
            "pid" => number(self.pid?),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push(out, &self.what);
        push(out, &self.why);
        push_all(out, self.owner.names());
    }
}
