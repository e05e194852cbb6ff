//! What stands on the engines: follows each one's inventory and makes the rows that are shown, each with whose it is.
//! A row that did not change stays the same `Arc`. Never touches a container.

mod claim;
mod rows;

use super::actor::Msg;
use super::deck::Deck;
use crate::backend::engine::Inventory;
use crate::model::Snapshot;
use crate::model::container::{ContainerRow, EngineRow, OrphanRow};
use crate::model::gpu::Gpus;
use crate::model::message::Level;
use crate::model::stack::StackRow;
use claim::{Eyes, Rules};
use futures_util::future::select_all;
use rows::{Look, Rows};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Between two looks, so that a burst of events is one.
const PACE: Duration = Duration::from_millis(100);

/// What was seen; what a snapshot shows of it is replaced whole.
pub enum Seen {
    Containers { engines: Vec<Arc<EngineRow>>, containers: Vec<Arc<ContainerRow>>, orphans: Vec<Arc<OrphanRow>> },
    Stacks(Vec<Arc<StackRow>>),
    Gpus(Arc<Gpus>),
}

/// Follows every engine until it is dropped.
pub async fn follow(deck: Arc<Deck>) {
    let mut engines: Vec<_> = deck.engines.all().to_vec();
    engines.sort_by(|a, b| a.id().cmp(b.id()));
    let mut inventories: Vec<_> = engines.iter().map(|engine| engine.watch()).collect();
    let mut usage = deck.container_usage.subscribe();
    let mut left_behind = deck.left_behind.subscribe();
    let mut revisions = deck.picture.revisions();
    let rules = Rules::new(&deck.config);
    let boot = deck.clock.booted.0.to_string();
    let mut rows = Rows::default();
    let mut before: Option<Arc<Snapshot>> = None;
    loop {
        let begun = Instant::now();
        revisions.borrow_and_update();
        let snapshot = deck.picture.get();
        let seen: Vec<_> = inventories.iter_mut().map(|i| i.borrow_and_update().clone()).collect();
        let seen: Vec<_> = engines.iter().zip(seen).map(|(e, seen)| (e.id().clone(), e.is_local(), seen)).collect();
        let used = usage.borrow_and_update().clone();
        let processes = left_behind.borrow_and_update().clone();
        let settled = before.as_ref().is_some_and(|before| same_instances(before, &snapshot));
        let platform = &deck.config.platform.name;
        let eyes = Eyes { platform, boot: &boot, snapshot: &snapshot, rules: &rules, reconciled: &BTreeSet::new() };
        let look = Look { eyes, engines: &seen, used: &used, left_behind: &processes, settled };
        if rows.update(&look) && !deck.tell(Msg::Seen(rows.seen())).await {
            return;
        }
        before = Some(snapshot);
        tokio::select! {
            true = any_changed(&mut inventories) => {}
            Ok(()) = usage.changed() => {}
            Ok(()) = left_behind.changed() => {}
            // Whose a container is follows from what the instances do.
            Ok(()) = revisions.changed() => {}
            else => return,
        }
        tokio::time::sleep_until(begun + PACE).await;
    }
}

fn same_instances(a: &Snapshot, b: &Snapshot) -> bool {
    let (a, b) = (&a.instances, &b.instances);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// True once one of them changed; false if there is none any more.
async fn any_changed(inventories: &mut [watch::Receiver<Arc<Inventory>>]) -> bool {
    if inventories.is_empty() {
        return false;
    }
    let changes = inventories.iter_mut().map(|inventory| Box::pin(inventory.changed()));
    select_all(changes).await.0.is_ok()
}

/// Looks for processes that an earlier owner left behind, and says so.
pub async fn look_for_orphans(deck: &Deck) {
    let mut orphans = Vec::new();
    for backend in [&deck.backends.process, &deck.backends.simulated] {
        orphans.extend(backend.orphans().await);
    }
    if !orphans.is_empty() {
        let text = format!("{} left behind by an earlier owner: mcpdeck reap --dry-run", orphans.len());
        deck.events.notice(Level::Warn, text);
    }
    deck.left_behind.send_replace(orphans);
}
