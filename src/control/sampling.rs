//! Usage of the host and of running instances, sampled in the background: often while somebody looks.

use super::actor::Msg;
use super::deck::Deck;
use crate::metrics::Host;
use crate::model::InstanceKey;
use crate::model::message::Level;
use std::collections::BTreeSet;
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
    let Ok(mut host) = new_host(&deck).await else { return };
    let mut interest = deck.consoles.version();
    for round in 0u64.. {
        let sampled = tokio::task::spawn_blocking(move || {
            let usage = host.sample();
            (host, usage)
        });
        let Ok((back, usage)) = sampled.await else { return };
        host = back;
        let instances = instances(&deck, round).await;
        deck.tell(Msg::Usage { instances, host: usage }).await;
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

async fn new_host(deck: &Deck) -> Result<Host, tokio::task::JoinError> {
    let state = deck.config.paths.state.clone();
    tokio::task::spawn_blocking(move || Host::new(&state)).await
}

async fn instances(deck: &Deck, round: u64) -> Vec<(InstanceKey, crate::model::usage::InstanceUsage)> {
    let snapshot = deck.picture.get();
    let live = || snapshot.instances.iter().filter(|row| row.state.is_live() || row.pid.is_some());
    let all = live().count() <= EACH_TIME || round.is_multiple_of(ALL_EVERY);
    let shown: BTreeSet<InstanceKey> =
        if all { BTreeSet::new() } else { deck.consoles.interest().instances.into_iter().collect() };
    let wanted = live().filter(|row| all || shown.contains(&row.key));
    let mut usage = Vec::new();
    for (backend, keys) in by_backend(wanted.map(|row| (row.backend, row.key.clone()))) {
        if let Some(backend) = deck.backends.of(backend) {
            usage.extend(backend.usage(&keys).await);
        }
    }
    usage
}

fn by_backend(
    keys: impl Iterator<Item = (crate::model::instance::BackendKind, InstanceKey)>,
) -> std::collections::BTreeMap<crate::model::instance::BackendKind, Vec<InstanceKey>> {
    let mut groups = std::collections::BTreeMap::<_, Vec<_>>::new();
    for (backend, key) in keys {
        groups.entry(backend).or_default().push(key);
    }
    groups
}

/// Looks for what an earlier owner left behind and says so.
pub async fn find_orphans(deck: &Deck) {
    let mut orphans = Vec::new();
    for backend in deck.backends.all() {
        orphans.extend(backend.orphans().await);
    }
    if !orphans.is_empty() {
        let text = format!("{} left behind by an earlier owner; `mcpdeck` can reap them", orphans.len());
        deck.events.notice(Level::Warn, text);
    }
    deck.tell(Msg::Orphans(orphans)).await;
}
