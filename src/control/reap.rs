//! Removes what is ours and wanted by nobody: processes that an earlier owner left, and orphaned containers. Each is
//! judged once more before it goes. Must never touch anything else.

use super::deck::Deck;
use super::yard;
use crate::model::container::{Claim, ContainerKey};
use std::time::Duration;

/// How long an orphan may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Removes all of it; how many, or what could not be removed.
pub async fn reap(deck: &Deck) -> Result<String, String> {
    let mut reaped = 0;
    let mut failed = Vec::new();
    for backend in [&deck.backends.process, &deck.backends.simulated] {
        match backend.reap().await {
            Ok(n) => reaped += n,
            Err(error) => failed.push(error.to_string()),
        }
    }
    let orphans: Vec<ContainerKey> = deck.picture.get().orphans.iter().filter_map(|o| o.container.clone()).collect();
    for key in orphans {
        match remove(deck, &key).await {
            Ok(removed) => reaped += u32::from(removed),
            Err(why) => failed.push(why),
        }
    }
    yard::look_for_processes(deck).await;
    match failed.is_empty() {
        true => Ok(format!("{reaped} removed")),
        false => Err(format!("{reaped} removed; {}", failed.join("; "))),
    }
}

/// False if it is no orphan any more.
async fn remove(deck: &Deck, key: &ContainerKey) -> Result<bool, String> {
    let snapshot = deck.picture.get();
    let Some(row) = snapshot.container(key).filter(|row| row.owner.claim == Claim::Orphan) else { return Ok(false) };
    let engine = deck.engines.named(Some(&key.engine))?;
    let removed = engine.remove(&key.id, GRACE).await;
    removed.map_err(|error| format!("container {}: {error}", row.name))?;
    Ok(true)
}
