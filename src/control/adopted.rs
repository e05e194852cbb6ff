//! Containers that exist already and that the config hands to us: found by what adopts them, started and stopped, never
//! made and never removed.

use super::deck::Deck;
use super::yard::claim::adopts;
use crate::backend::engine::{Engine, Found};
use crate::model::container::{Adopt, ContainerAct, ContainerKey, ContainerState, EngineState};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// An engine that was opened a moment ago may need so long to show what it has.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// An engine shows what was done within this; one that ended at once never does.
const SHOWN: Duration = Duration::from_secs(1);
/// What compose writes on a container whose service needs others: `db:service_started:false,...`.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// One container and where it is.
pub struct Behind {
    pub engine: Arc<dyn Engine>,
    pub found: Arc<Found>,
}

impl Behind {
    pub fn key(&self) -> ContainerKey {
        ContainerKey { engine: self.engine.id().clone(), id: self.found.id.clone() }
    }

    async fn act(&self, act: ContainerAct, grace: Duration) -> Result<(), String> {
        let done = self.engine.act(&self.found.id, act, grace).await;
        done.map_err(|error| format!("{} {}: {error}", act.verb(), self.found.name))?;
        // What is done next goes by what the engine shows.
        let runs = matches!(act, ContainerAct::Start | ContainerAct::Unpause);
        let is_so = |found: &Arc<Found>| found.id == self.found.id && (found.state == ContainerState::Running) == runs;
        let mut watch = self.engine.watch();
        let _ = timeout(SHOWN, watch.wait_for(|seen| seen.containers.iter().any(is_so))).await;
        Ok(())
    }
}

/// All that `adopt` means, those that others need first. An error says that there is none, and what is silent.
pub async fn behind(deck: &Deck, adopt: &Adopt) -> Result<Vec<Behind>, String> {
    let mut all = Vec::new();
    let mut unseen = Vec::new();
    for engine in deck.engines.all() {
        let mut watch = engine.watch();
        let looked = timeout(FIRST_LOOK, watch.wait_for(|seen| seen.state != EngineState::Connecting)).await;
        let Ok(Ok(seen)) = looked else {
            unseen.push(format!("engine {} does not answer", engine.id()));
            continue;
        };
        if let EngineState::Silent { reason, .. } = &seen.state {
            unseen.push(format!("engine {} is silent: {reason}", engine.id()));
        }
        let matching = seen.containers.iter().filter(|found| adopts(adopt, found));
        all.extend(matching.map(|found| Behind { engine: engine.clone(), found: found.clone() }));
    }
    if all.is_empty() {
        let what = match adopt {
            Adopt::ComposeProject(project) => format!("no container of the compose project {project}"),
            Adopt::Container(name) => format!("no container called {name}"),
        };
        let why = if unseen.is_empty() { "it must be created there first".to_owned() } else { unseen.join("; ") };
        return Err(format!("{what} on any engine ({why})"));
    }
    Ok(in_order(all))
}

/// Brings up what does not run; returns the one that others do not need.
pub async fn start<F: Future<Output = ()>>(
    deck: &Deck,
    adopt: &Adopt,
    tell: impl Fn(String) -> F,
) -> Result<ContainerKey, String> {
    let behind = behind(deck, adopt).await?;
    for one in &behind {
        let act = match one.found.state {
            ContainerState::Running | ContainerState::Restarting => continue,
            ContainerState::Paused => ContainerAct::Unpause,
            _ => ContainerAct::Start,
        };
        tell(format!("{} {}", act.verb(), one.found.name)).await;
        one.act(act, Duration::ZERO).await?;
    }
    behind.last().map(Behind::key).ok_or_else(|| "nothing to start".to_owned())
}

/// Stops what runs, those that need others first.
pub async fn stop(deck: &Deck, adopt: &Adopt, kill: bool, grace: Duration) -> Result<(), String> {
    let act = if kill { ContainerAct::Kill } else { ContainerAct::Stop };
    let mut failed = Vec::new();
    for one in behind(deck, adopt).await?.iter().rev().filter(|one| one.found.state.is_live()) {
        failed.extend(one.act(act, grace).await.err());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Those that others need come before them; a circle stays as it is.
fn in_order(mut left: Vec<Behind>) -> Vec<Behind> {
    let service = |one: &Behind| one.found.labels.get(super::yard::claim::COMPOSE_SERVICE).cloned();
    let mut waiting: BTreeSet<String> = left.iter().filter_map(service).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let free = |one: &Behind| needs(&one.found).all(|need| !waiting.contains(need));
        let (mut next, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(free);
        if next.is_empty() {
            ordered.extend(rest);
            break;
        }
        for done in next.iter().filter_map(service) {
            waiting.remove(&done);
        }
        ordered.append(&mut next);
        left = rest;
    }
    ordered
}

fn needs(found: &Found) -> impl Iterator<Item = &str> {
    let list = found.labels.get(DEPENDS_ON).map_or("", String::as_str);
    list.split(',').filter_map(|need| need.split(':').next()).filter(|need| !need.is_empty())
}
