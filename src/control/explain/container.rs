//! What can be said of the container that an instance runs in, or of those that stand behind it.

use super::{Explained, Sources, found, span};
use crate::model::container::{Claim, ContainerHealth, ContainerRow, ContainerState, EngineRow, EngineState};
use crate::model::instance::{BackendKind, InstanceRow};
use crate::model::{Run, ServerDef};

impl Sources<'_> {
    /// The engine, then each container in the order in which a start needs them.
    pub(super) fn containers(&self, row: &InstanceRow, def: &ServerDef) -> Vec<Explained> {
        let snapshot = &self.snapshot;
        let own = |c: &&std::sync::Arc<ContainerRow>| {
            c.owner.instance.as_ref() == Some(&row.key) && c.owner.claim != Claim::Orphan
        };
        let containers: Vec<&ContainerRow> = snapshot.containers.iter().filter(own).map(AsRef::as_ref).collect();
        if row.backend != BackendKind::Docker && containers.is_empty() {
            return Vec::new();
        }
        let wanted = match &def.run {
            Run::Container(run) => run.engine.clone(),
            _ => None,
        };
        let id = containers.first().map(|c| c.key.engine.clone()).or(wanted);
        let engine = snapshot.engines.iter().find(|engine| id.as_ref().is_none_or(|id| engine.id == *id));
        let mut out = vec![self.engine(engine.map(AsRef::as_ref))];
        if let (true, Run::Container(run)) = (containers.is_empty(), &def.run) {
            let evidence = format!("none yet: the next start makes it of {}", run.image.source());
            out.push(found("container", None, evidence).then("start", Some(&row.key)));
        }
        out.extend(containers.iter().flat_map(|c| self.container(c, row)));
        if let Run::Container(_) = &def.run {
            out.push(limits(def));
        }
        out
    }

    fn engine(&self, engine: Option<&EngineRow>) -> Explained {
        let Some(engine) = engine else { return found("engine", Some(false), "there is no container engine") };
        let version = engine.version.as_deref().unwrap_or("version unknown");
        match &engine.state {
            EngineState::Up => {
                found("engine", Some(true), format!("{} answers: {version} at {}", engine.id, engine.url))
            }
            EngineState::Connecting => {
                found("engine", None, format!("{} is being connected at {}", engine.id, engine.url))
            }
            EngineState::Silent { since, reason } => {
                let age = span(self.now.since(*since));
                found("engine", Some(false), format!("{} has been silent for {age}: {reason}", engine.id))
            }
            EngineState::Absent { reason } => found("engine", Some(false), format!("{}: {reason}", engine.id)),
        }
    }

    fn container(&self, row: &ContainerRow, instance: &InstanceRow) -> Vec<Explained> {
        let age = span(self.now.since(row.since));
        let code = row.exit_code.filter(|_| !row.state.is_live());
        let code = code.map_or_else(String::new, |code| format!(", exit code {code}"));
        let good = match row.state {
            ContainerState::Running | ContainerState::Paused => Some(true),
            ContainerState::Restarting | ContainerState::Dead => Some(false),
            _ if instance.state.is_live() => Some(false),
            _ => None,
        };
        let evidence = format!("{} is {} for {age}{code}, of {}", row.name, row.state.name(), row.image);
        let mut out = vec![found("container", good, evidence).then("logs", Some(&instance.key))];
        if row.oom {
            out.push(
                found("memory", Some(false), format!("{} was killed for memory", row.name))
                    .then("logs", Some(&instance.key)),
            );
        }
        if let Some(health) = row.health {
            let good = [None, Some(true), Some(false)][health as usize];
            let word = match health {
                ContainerHealth::Starting => "has not decided yet",
                ContainerHealth::Healthy => "is content",
                ContainerHealth::Unhealthy => "fails",
            };
            out.push(found("health check", good, format!("that of {} {word}", row.name)));
        }
        if !row.networks.is_empty() || !row.ports.is_empty() {
            let ports = if row.ports.is_empty() { "no port published".to_owned() } else { row.ports.join(", ") };
            out.push(found("network", None, format!("{}: in {}; {ports}", row.name, row.networks.join(", "))));
        }
        out
    }
}

fn limits(def: &ServerDef) -> Explained {
    let limits = &def.settings.limits;
    let memory = limits.memory.map_or_else(|| "memory unlimited".to_owned(), |b| format!("memory {} MiB", b >> 20));
    let cpus = limits.cpus.map_or_else(|| "cpus unlimited".to_owned(), |n| format!("{n} cpus"));
    let pids = limits.pids.map_or_else(|| "pids unlimited".to_owned(), |n| format!("{n} pids"));
    found("limits", None, format!("{memory}, {cpus}, {pids}"))
}
