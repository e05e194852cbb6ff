//! Usage of the host and of running instances, sampled in the background: often while somebody looks.

use super::actor::Msg;
use super::deck::Deck;
use crate::metrics::{Groups, Host};
use crate::model::InstanceKey;
use crate::model::instance::{BackendKind, InstanceRow};
use crate::model::usage::InstanceUsage;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Between two samples while somebody looks, and while nobody does.
const WATCHED: Duration = Duration::from_secs(2);
const UNWATCHED: Duration = Duration::from_secs(10);
/// Instances sampled each time; of more, those on screen each time and all of them now and then.
const EACH_TIME: usize = 256;
/// Every so many samples all of them.
const ALL_EVERY: u64 = 10;

/// Samples until the platform stops.
pub async fn sample(deck: Arc<Deck>) {
    let Ok(mut samplers) = new_samplers(&deck).await else { return };
    let mut interest = deck.consoles.version();
    for round in 0u64.. {
        let wanted = wanted(&deck, round);
        let groups = process_groups(&wanted);
        let sampled = tokio::task::spawn_blocking(move || {
            let host = samplers.host.sample();
            let measured = samplers.groups.sample(&groups);
            (samplers, host, measured)
        });
        let Ok((back, host, measured)) = sampled.await else { return };
        samplers = back;
        let instances = merge(measured, told_by_backends(&deck, &wanted).await);
        deck.tell(Msg::Usage { instances, host }).await;
        let watched = deck.consoles.interest().watching;
        let wait = tokio::time::sleep(if watched { WATCHED } else { UNWATCHED });
        tokio::select! {
            () = wait => {}
            // Somebody begins to look: the first fresh figure comes soon, not at once for every key press.
            _ = interest.changed(), if !watched => tokio::time::sleep(WATCHED / 4).await,
            () = deck.stop.cancelled() => return,
        }
    }
}

struct Samplers {
    host: Host,
    groups: Groups,
}

async fn new_samplers(deck: &Deck) -> Result<Samplers, tokio::task::JoinError> {
    let state = deck.config.paths.state.clone();
    tokio::task::spawn_blocking(move || Samplers { host: Host::new(&state), groups: Groups::new() }).await
}

/// Whose usage is to be known this time.
fn wanted(deck: &Deck, round: u64) -> Vec<Arc<InstanceRow>> {
    let snapshot = deck.picture.get();
    let live = || snapshot.instances.iter().filter(|row| row.state.is_live() || row.pid.is_some());
    let all = live().count() <= EACH_TIME || round.is_multiple_of(ALL_EVERY);
    let shown: BTreeSet<InstanceKey> =
        if all { BTreeSet::new() } else { deck.consoles.interest().instances.into_iter().collect() };
    live().filter(|row| all || shown.contains(&row.key)).cloned().collect()
}

/// Each local program leads a group of its own.
fn process_groups(wanted: &[Arc<InstanceRow>]) -> Vec<(InstanceKey, u32)> {
    let processes = wanted.iter().filter(|row| row.backend == BackendKind::Process);
    processes.filter_map(|row| Some((row.key.clone(), row.pid?))).collect()
}

async fn told_by_backends(deck: &Deck, wanted: &[Arc<InstanceRow>]) -> Vec<(InstanceKey, InstanceUsage)> {
    let mut usage = Vec::new();
    for (backend, keys) in by_backend(wanted.iter().map(|row| (row.backend, row.key.clone()))) {
        if let Some(backend) = deck.backends.of(backend) {
            usage.extend(backend.usage(&keys).await);
        }
    }
    usage
}

/// What was measured, with what only the backend knows (a limit in force, the usage of what is no process).
fn merge(
    measured: Vec<(InstanceKey, InstanceUsage)>,
    told: Vec<(InstanceKey, InstanceUsage)>,
) -> Vec<(InstanceKey, InstanceUsage)> {
    let mut usage: BTreeMap<InstanceKey, InstanceUsage> = told.into_iter().collect();
    for (key, measured) in measured {
        let one = usage.entry(key).or_default();
        *one = one.plus(measured);
    }
    usage.into_iter().collect()
}

fn by_backend(keys: impl Iterator<Item = (BackendKind, InstanceKey)>) -> BTreeMap<BackendKind, Vec<InstanceKey>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (backend, key) in keys {
        groups.entry(backend).or_default().push(key);
    }
    groups
}
