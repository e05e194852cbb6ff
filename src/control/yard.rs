//! What stands on the engines: follows each one's inventory and makes the rows that are shown, each with whose it is.
//! A row that did not change stays the same `Arc`. Never touches a container.

pub mod claim;
pub mod mark;
mod rows;

use super::actor::{FRESH, FRESH_PACE, Msg};
use super::deck::Deck;
use crate::backend::engine::Inventory;
use crate::model::Snapshot;
use crate::model::container::{ContainerRow, EngineId, EngineRow, EngineState, OrphanRow};
use crate::model::gpu::Gpus;
use claim::{Eyes, Rules};
use futures_util::future::select_all;
use rows::{Look, Rows};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// Between two looks, so that a burst of events is one.
const PACE: Duration = Duration::from_millis(100);

/// What was seen; what a snapshot shows of it is replaced whole.
pub enum Seen {
    Containers { engines: Vec<Arc<EngineRow>>, containers: Vec<Arc<ContainerRow>>, orphans: Vec<Arc<OrphanRow>> },
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
    let mut config = deck.config();
    let mut rules = Rules::new(&config);
    let boot = deck.clock.boot_label();
    let mut reconciled = deck.reconciled.subscribe();
    let mut states = vec![EngineState::Connecting; engines.len()];
    let mut rows = Rows::default();
    let mut before: Option<Arc<Snapshot>> = None;
    loop {
        let begun = Instant::now();
        revisions.borrow_and_update();
        let now = deck.config();
        let same_rules = Arc::ptr_eq(&now, &config);
        if !same_rules {
            (rules, config) = (Rules::new(&now), now);
        }
        let snapshot = deck.picture.get();
        let seen: Vec<_> = inventories.iter_mut().map(|i| i.borrow_and_update().clone()).collect();
        let seen: Vec<_> = engines.iter().zip(seen).map(|(e, seen)| (e.id().clone(), e.is_local(), seen)).collect();
        let used = usage.borrow_and_update().clone();
        let processes = left_behind.borrow_and_update().clone();
        let taken_up = reconciled.borrow().clone();
        let settled = before.as_ref().is_some_and(|before| same_instances(before, &snapshot));
        let settled = settled && same_rules && !reconciled.has_changed().unwrap_or(false);
        reconciled.mark_unchanged();
        let platform = &config.platform.name;
        let eyes = Eyes { platform, boot: &boot, snapshot: &snapshot, rules: &rules, reconciled: &taken_up };
        let look = Look { eyes, engines: &seen, used: &used, left_behind: &processes, settled };
        if rows.update(&look) && !deck.tell(Msg::Seen(rows.seen())).await {
            return;
        }
        before = Some(snapshot);
        for (state, (id, _, seen)) in states.iter_mut().zip(&seen) {
            if std::mem::discriminant(state) != std::mem::discriminant(&seen.state) {
                state.clone_from(&seen.state);
                turned(&deck, id, state).await;
            }
        }
        tokio::select! {
            true = any_changed(&mut inventories) => {}
            Ok(()) = usage.changed() => {}
            Ok(()) = left_behind.changed() => {}
            Ok(()) = reconciled.changed() => {}
            // Whose a container is follows from what the instances do.
            Ok(()) = revisions.changed() => {}
            else => return,
        }
        let pace = if deck.clock.now() < FRESH { FRESH_PACE } else { PACE };
        tokio::time::sleep_until(begun + pace).await;
    }
}

fn same_instances(a: &Snapshot, b: &Snapshot) -> bool {
    let (a, b) = (&a.instances, &b.instances);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// True once one of them changed; false if there is none any more.
pub(super) async fn any_changed(inventories: &mut [watch::Receiver<Arc<Inventory>>]) -> bool {
    if inventories.is_empty() {
        return false;
    }
    let changes = inventories.iter_mut().map(|inventory| Box::pin(inventory.changed()));
    select_all(changes).await.0.is_ok()
}

/// An engine came, fell silent or answers again.
async fn turned(deck: &Arc<Deck>, id: &EngineId, state: &EngineState) {
    deck.tell(Msg::Engine(id.clone(), state.clone())).await;
    if *state == EngineState::Up && !deck.options.momentary {
        let (stop, work) = (deck.stop.clone(), reconcile(deck.clone(), id.clone()));
        deck.spawn("take up", async move {
            stop.run_until_cancelled(work).await;
        });
    }
}

/// Offers the instances what goes on serving since an earlier owner. What nobody takes is an orphan from then on.
async fn reconcile(deck: Arc<Deck>, engine: EngineId) {
    // Before that nobody knows what is held, fenced or disabled.
    deck.serving.cancelled().await;
    let survivors = deck.backends.docker.survivors().await;
    deck.tell(Msg::Survivors(survivors)).await;
    let (done, shown) = oneshot::channel();
    deck.tell(Msg::Refresh(done)).await;
    // The platform may be ending.
    let _ = shown.await;
    deck.reconciled.send_if_modified(|engines| engines.insert(engine));
}

/// Looks for processes that an earlier owner left behind.
pub async fn look_for_processes(deck: &Deck) {
    let mut orphans = Vec::new();
    for backend in [&deck.backends.process, &deck.backends.simulated] {
        orphans.extend(backend.orphans().await);
    }
    deck.left_behind.send_replace(orphans);
}
