//! What can be said of the container that an instance runs in, or of those that stand behind it.

use super::instance::InstanceCase;
use super::{Hit, span};
use crate::model::Run;
use crate::model::container::{Claim, ContainerHealth, ContainerRow, ContainerState, EngineState};
use crate::model::instance::BackendKind;

impl InstanceCase {
    /// Its containers, in the order in which a start needs them.
    fn containers(&self) -> impl Iterator<Item = &ContainerRow> {
        let own =
            |c: &&ContainerRow| c.owner.instance.as_ref() == Some(&self.row.key) && c.owner.claim != Claim::Orphan;
        self.snapshot.containers.iter().map(AsRef::as_ref).filter(own)
    }
}

pub fn engine(case: &InstanceCase) -> Vec<Hit> {
    let first = case.containers().next();
    if case.row.backend != BackendKind::Docker && first.is_none() {
        return Vec::new();
    }
    let wanted = match &case.def.run {
        Run::Container(run) => run.engine.clone(),
        _ => None,
    };
    let id = first.map(|c| c.key.engine.clone()).or(wanted);
    let engine = case.snapshot.engines.iter().find(|engine| id.as_ref().is_none_or(|id| engine.id == *id));
    let Some(engine) = engine else { return vec![Hit::new(false, "there is no container engine")] };
    let version = engine.version.as_deref().unwrap_or("version unknown");
    vec![match &engine.state {
        EngineState::Up => Hit::new(true, format!("{} answers: {version} at {}", engine.id, engine.url)),
        EngineState::Connecting => Hit::told(format!("{} is being connected at {}", engine.id, engine.url)),
        EngineState::Silent { since, reason } => {
            let age = span(case.now.since(*since));
            Hit::new(false, format!("{} has been silent for {age}: {reason}", engine.id))
        }
        EngineState::Absent { reason } => Hit::new(false, format!("{}: {reason}", engine.id)),
    }]
}

pub fn none_yet(case: &InstanceCase) -> Vec<Hit> {
    let Run::Container(run) = &case.def.run else { return Vec::new() };
    if case.containers().next().is_some() {
        return Vec::new();
    }
    vec![Hit::told(format!("none yet: the next start makes it of {}", run.image.source())).at(&case.row.key)]
}

pub fn containers(case: &InstanceCase) -> Vec<Hit> {
    let hit = |row: &ContainerRow| {
        let age = span(case.now.since(row.since));
        let code = row.exit_code.filter(|_| !row.state.is_live());
        let code = code.map_or_else(String::new, |code| format!(", exit code {code}"));
        let good = match row.state {
            ContainerState::Running | ContainerState::Paused => Some(true),
            ContainerState::Restarting | ContainerState::Dead => Some(false),
            _ if case.row.state.is_live() => Some(false),
            _ => None,
        };
        let evidence = format!("{} is {} for {age}{code}, of {}", row.name, row.state.name(), row.image);
        Hit::new(good, evidence).at(&case.row.key)
    };
    case.containers().map(hit).collect()
}

pub fn killed(case: &InstanceCase) -> Vec<Hit> {
    let killed = case.containers().filter(|row| row.oom);
    killed.map(|row| Hit::new(false, format!("{} was killed for memory", row.name)).at(&case.row.key)).collect()
}

pub fn health(case: &InstanceCase) -> Vec<Hit> {
    let hit = |row: &ContainerRow| {
        let (good, word) = match row.health? {
            ContainerHealth::Starting => (None, "has not decided yet"),
            ContainerHealth::Healthy => (Some(true), "is content"),
            ContainerHealth::Unhealthy => (Some(false), "fails"),
        };
        Some(Hit::new(good, format!("that of {} {word}", row.name)))
    };
    case.containers().filter_map(hit).collect()
}

pub fn network(case: &InstanceCase) -> Vec<Hit> {
    let reached = case.containers().filter(|row| !row.networks.is_empty() || !row.ports.is_empty());
    let hit = |row: &ContainerRow| {
        let ports = if row.ports.is_empty() { "no port published".to_owned() } else { row.ports.join(", ") };
        Hit::told(format!("{}: in {}; {ports}", row.name, row.networks.join(", ")))
    };
    reached.map(hit).collect()
}

pub fn limits(case: &InstanceCase) -> Vec<Hit> {
    if !matches!(case.def.run, Run::Container(_)) {
        return Vec::new();
    }
    let limits = &case.def.settings.limits;
    let memory = limits.memory.map_or_else(|| "memory unlimited".to_owned(), |b| format!("memory {} MiB", b >> 20));
    let cpus = limits.cpus.map_or_else(|| "cpus unlimited".to_owned(), |n| format!("{n} cpus"));
    let pids = limits.pids.map_or_else(|| "pids unlimited".to_owned(), |n| format!("{n} pids"));
    vec![Hit::told(format!("{memory}, {cpus}, {pids}"))]
}
