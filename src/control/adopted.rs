//! Containers that exist already and that the config hands to us: found by what adopts them, started and stopped, never
//! made and never removed.

use super::deck::Deck;
use super::yard::claim::{COMPOSE_SERVICE, adopts};
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
fn in_order(behind: Vec<Behind>) -> Vec<Behind> {
    let mut places = order(&behind.iter().map(|one| &*one.found).collect::<Vec<_>>()).into_iter();
    let mut all: Vec<_> = behind.into_iter().map(|one| (places.next().unwrap_or_default(), one)).collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, one)| one).collect()
}

/// For each, how many rounds must be over before its turn.
fn order(all: &[&Found]) -> Vec<usize> {
    let service = |found: &Found| found.labels.get(COMPOSE_SERVICE).cloned();
    let mut waiting: BTreeSet<String> = all.iter().filter_map(|found| service(found)).collect();
    let mut places = vec![usize::MAX; all.len()];
    for round in 0..all.len() {
        let free = |at: &usize| places[*at] == usize::MAX && needs(all[*at]).all(|need| !waiting.contains(need));
        let turn: Vec<usize> = (0..all.len()).filter(free).collect();
        for at in turn {
            places[at] = round;
            service(all[at]).map(|done| waiting.remove(&done));
        }
    }
    places
}

fn needs(found: &Found) -> impl Iterator<Item = &str> {
    let list = found.labels.get(DEPENDS_ON).map_or("", String::as_str);
    list.split(',').filter_map(|need| need.split(':').next()).filter(|need| !need.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn what_others_need_comes_first_and_a_circle_last() {
        let one = |name: &str, needs: &str| fixture::found(name, &[(COMPOSE_SERVICE, name), (DEPENDS_ON, needs)]);
        let rounds = |all: &[(&str, &str)]| {
            let found: Vec<_> = all.iter().map(|(name, needs)| one(name, needs)).collect();
            order(&found.iter().collect::<Vec<_>>())
        };
        let shop = [
            ("web", "api:service_started:false,db:service_healthy:true"),
            ("api", "db:service_started:false"),
            ("db", ""),
        ];
        assert_eq!(rounds(&shop), [2, 1, 0]);
        assert_eq!(rounds(&[("a", "elsewhere:service_started:false")]), [0], "what is not there is not waited for");
        assert_eq!(rounds(&[("a", "b:x:y"), ("b", "a:x:y"), ("c", "")]), [usize::MAX, usize::MAX, 0]);
    }
}
