//! Stacks as they are shown: from their lives, and from the containers where nobody keeps them. Pure.

use super::life::{Life, Part, Phase};
use crate::model::container::{
    Adopt, ContainerHealth, ContainerKey, ContainerRow, ContainerState, EngineId, EngineRow, EngineState,
};
use crate::model::stack::{PartDef, PartRow, ReadyBy, StackDef, StackOwner, StackRow, StackState};
use crate::model::{Environment, Snapshot, Stamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What rows are made of.
pub struct Look<'a> {
    pub snapshot: &'a Snapshot,
    pub engines: &'a [Arc<EngineRow>],
    pub containers: &'a [Arc<ContainerRow>],
    /// The engine that is meant where none is named.
    pub first: Option<&'a EngineId>,
    /// Adopted containers that operators stopped.
    pub stopped: &'a BTreeMap<ContainerKey, Stopped>,
    /// The rows as they were, which know since when.
    pub before: &'a [Arc<StackRow>],
    pub now: Stamp,
}

/// Who stopped an adopted container, and when: nobody keeps it, so its end is known by its time.
#[derive(Clone, Debug)]
pub struct Stopped {
    pub by: String,
    pub at: Stamp,
}

/// An end so long after the stop is another one.
const SOON: Duration = Duration::from_secs(30);

impl Stopped {
    fn ended(&self, row: &ContainerRow) -> bool {
        !row.state.is_live() && row.since >= self.at && row.since.since(self.at) < SOON
    }
}

impl Look<'_> {
    pub fn row(&self, life: &Life) -> StackRow {
        let def = &life.def;
        let mut parts = match &def.adopt {
            Some(_) => self.adopted(def),
            None => def.parts.iter().zip(&life.parts).map(|(def_part, part)| self.part(def, def_part, part)).collect(),
        };
        self.date(def, &mut parts);
        let silent = self.silence(def);
        if silent.is_some() {
            parts.iter_mut().for_each(|part| part.state = StackState::Unknown);
        }
        let state = if silent.is_some() { StackState::Unknown } else { together(&parts) };
        StackRow {
            id: def.id.clone(),
            owner: def.owner.clone(),
            environment: self.environment(def),
            adopted: def.adopt.is_some(),
            compose: def.compose.clone(),
            state,
            reason: silent.unwrap_or_else(|| reason(state, &parts)),
            parts,
        }
    }

    /// Of what nobody keeps, the time is when its container ended, else when it was first seen.
    fn date(&self, def: &StackDef, parts: &mut [PartRow]) {
        let old = self.before.iter().find(|row| row.id == def.id);
        let unwell = |part: &PartRow| !part.held && matches!(part.state, StackState::Failed | StackState::Degraded);
        for part in parts.iter_mut().filter(|part| part.unwell_since.is_none() && unwell(part)) {
            let container = self.containers.iter().find(|row| Some(&row.key) == part.container.as_ref());
            let ended = container.filter(|row| !row.state.is_live()).map(|row| row.since);
            let seen = || old?.parts.iter().find(|old| old.name == part.name)?.unwell_since;
            part.unwell_since = ended.or_else(seen).or(Some(self.now));
        }
    }

    /// Its own word, else its owner's.
    fn environment(&self, def: &StackDef) -> Environment {
        let owner = || match &def.owner {
            StackOwner::Tenant(id) => self.snapshot.tenant(id.as_str()).map(|tenant| tenant.def.environment),
            StackOwner::Server(id) => self.snapshot.server(id.as_str()).map(|server| server.environment),
        };
        def.environment.or_else(owner).unwrap_or(self.snapshot.platform.environment)
    }

    fn silence(&self, def: &StackDef) -> Option<String> {
        let id = def.engine.as_ref().or(self.first)?;
        let engine = self.engines.iter().find(|engine| engine.id == *id)?;
        match &engine.state {
            EngineState::Silent { reason, .. } => Some(format!("engine {id} is silent: {reason}")),
            EngineState::Absent { reason } => Some(format!("engine {id} is not there: {reason}")),
            EngineState::Up | EngineState::Connecting => None,
        }
    }

    fn part(&self, stack: &StackDef, def: &PartDef, part: &Part) -> PartRow {
        let own = |row: &&Arc<ContainerRow>| {
            row.owner.stack.as_ref() == Some(&stack.id) && row.owner.part.as_deref() == Some(&def.name)
        };
        let container = self.containers.iter().find(own);
        let (state, message) = match (part.phase, container) {
            // Nobody keeps it: what is there speaks for itself.
            (Phase::Down, Some(row)) if def.ready.by == ReadyBy::Done && row.exit_code == Some(0) => {
                (StackState::Ready, "has done its work".to_owned())
            }
            (Phase::Down, Some(row)) if part.message.is_empty() => of_container(row),
            (phase, _) => (of_phase(phase), part.message.clone()),
        };
        PartRow {
            name: def.name.clone(),
            image: container.map_or_else(|| def.run.image.source().to_owned(), |row| row.image.clone()),
            container: part.container.clone().or_else(|| container.map(|row| row.key.clone())),
            state,
            held: part.phase == Phase::Held,
            message,
            unwell_since: part.unwell_since,
            started: part.started,
            percent: part.percent,
        }
    }

    fn adopted(&self, def: &StackDef) -> Vec<PartRow> {
        let own = self.containers.iter().filter(|row| row.owner.stack.as_ref() == Some(&def.id));
        let part = |row: &Arc<ContainerRow>| {
            let by = self.stopped.get(&row.key).filter(|stop| stop.ended(row)).map(|stop| &stop.by);
            let (state, message) = match by {
                Some(by) => (StackState::Stopped, format!("stopped by {by}")),
                None => of_container(row),
            };
            PartRow {
                name: row.owner.part.clone().unwrap_or_else(|| row.name.clone()),
                image: row.image.clone(),
                container: Some(row.key.clone()),
                state,
                held: by.is_some(),
                message,
                unwell_since: None,
                started: None,
                percent: None,
            }
        };
        let mut parts: Vec<_> = own.map(part).collect();
        parts.extend(def.adopt.as_ref().filter(|_| parts.is_empty() && self.is_known(def)).map(vanished));
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        parts
    }

    /// Its engine has told what it has.
    fn is_known(&self, def: &StackDef) -> bool {
        let id = def.engine.as_ref().or(self.first);
        self.engines.iter().any(|engine| Some(&engine.id) == id && engine.state == EngineState::Up)
    }
}

/// What is to be adopted, and is not there.
fn vanished(adopt: &Adopt) -> PartRow {
    let (name, what) = match adopt {
        Adopt::ComposeProject(project) => (project, "no container of this compose project is there"),
        Adopt::Container(name) => (name, "no container of this name is there"),
    };
    PartRow {
        name: name.clone(),
        image: String::new(),
        container: None,
        state: StackState::Failed,
        held: false,
        message: format!("{what}: it was removed, renamed, or never made"),
        unwell_since: None,
        started: None,
        percent: None,
    }
}

fn of_phase(phase: Phase) -> StackState {
    match phase {
        Phase::Down | Phase::Held => StackState::Stopped,
        Phase::Waiting | Phase::Starting => StackState::Starting,
        Phase::Ready | Phase::Done => StackState::Ready,
        Phase::Unwell | Phase::Backoff => StackState::Degraded,
        Phase::Failed => StackState::Failed,
        Phase::Leaving | Phase::Stopping => StackState::Stopping,
    }
}

fn of_container(row: &ContainerRow) -> (StackState, String) {
    let ended = |what: &str| match (row.oom, row.exit_code) {
        (true, _) => "killed for memory (its limit)".to_owned(),
        (false, Some(code)) => format!("{what} {code}"),
        (false, None) => what.to_owned(),
    };
    match (row.state, row.health) {
        (ContainerState::Running, Some(ContainerHealth::Unhealthy)) => {
            (StackState::Degraded, "its health check fails".to_owned())
        }
        (ContainerState::Running, Some(ContainerHealth::Starting)) => {
            (StackState::Starting, "waits for its health check".to_owned())
        }
        (ContainerState::Running, _) => (StackState::Ready, String::new()),
        (ContainerState::Paused, _) => (StackState::Degraded, "it is paused".to_owned()),
        (ContainerState::Restarting, _) => (StackState::Degraded, "restarts again and again".to_owned()),
        (ContainerState::Exited | ContainerState::Dead, _) => (StackState::Stopped, ended("exited")),
        (state @ (ContainerState::Created | ContainerState::Removing), _) => {
            (StackState::Stopped, state.name().to_owned())
        }
    }
}

fn together(parts: &[PartRow]) -> StackState {
    let any = |state| parts.iter().any(|part| part.state == state);
    let all = |state| parts.iter().all(|part| part.state == state);
    if any(StackState::Stopping) {
        StackState::Stopping
    } else if any(StackState::Starting) {
        StackState::Starting
    } else if all(StackState::Stopped) {
        StackState::Stopped
    } else if all(StackState::Ready) {
        StackState::Ready
    } else if any(StackState::Failed) {
        StackState::Failed
    } else {
        StackState::Degraded
    }
}

/// The first part that is not as it should be.
fn reason(state: StackState, parts: &[PartRow]) -> String {
    let first = |state| parts.iter().find(|part| part.state == state);
    let told = |part: &PartRow| match part.message.as_str() {
        "" => format!("{} is {}", part.name, part.state.name()),
        message => format!("{}: {message}", part.name),
    };
    let ready = parts.iter().filter(|part| part.state == StackState::Ready).count();
    match state {
        StackState::Ready | StackState::Unknown => String::new(),
        StackState::Starting | StackState::Stopping => {
            let now = parts.iter().find(|part| part.state == state && part.started.is_some()).or(first(state));
            let now = now.map(told).unwrap_or_default();
            if state == StackState::Starting { format!("{ready} of {} ready; {now}", parts.len()) } else { now }
        }
        StackState::Stopped => parts.iter().find(|part| !part.message.is_empty()).map(told).unwrap_or_default(),
        StackState::Failed | StackState::Degraded => {
            let not_ready = || parts.iter().find(|part| part.state != StackState::Ready);
            first(state).or_else(not_ready).map(told).unwrap_or_default()
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
