//! Finished calls: the newest in memory for views and streams, all of them to the store in batches.
//! A store that fails or is slow never holds up a call; what it missed is counted and said.

use super::actor::Msg;
use super::deck::Deck;
use crate::model::filter::Filter;
use crate::model::message::{Chunk, Level};
use crate::model::{CallId, CallRecord, Stamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

/// Finished calls in memory.
const KEPT: usize = 5000;
/// Calls that a follower may lag behind before it loses some.
const FOLLOW: usize = 4096;
/// Records in one chunk.
const BATCH: usize = 512;
/// Records in one write.
const WRITE: usize = 4096;
/// Each batch wakes several threads and waits for the disk: after one, the next is gathered for a while.
const GATHER: Duration = Duration::from_millis(25);

pub struct Calls {
    kept: Mutex<VecDeque<Arc<CallRecord>>>,
    live: broadcast::Sender<Arc<CallRecord>>,
}

impl Calls {
    pub fn new() -> Self {
        let (live, _) = broadcast::channel(FOLLOW);
        Self { kept: Mutex::default(), live }
    }

    fn add(&self, records: &[Arc<CallRecord>]) {
        let mut kept = self.lock();
        for record in records {
            kept.push_back(record.clone());
            // Nobody following is fine.
            let _ = self.live.send(record.clone());
        }
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }

    /// What an earlier owner kept, newest first as the store has it; it goes before everything of this one.
    pub fn restore(&self, records: Vec<CallRecord>) {
        let mut kept = self.lock();
        for record in records {
            if kept.len() < KEPT {
                kept.push_front(Arc::new(record));
            }
        }
    }

    /// A finished call of this owner (their numbers begin anew with each).
    pub fn get(&self, id: CallId) -> Option<Arc<CallRecord>> {
        self.lock().iter().rev().find(|record| record.id == id).cloned()
    }

    /// The newest `limit` that pass, newest first.
    pub fn newest(&self, filter: &Filter, limit: usize) -> Vec<Arc<CallRecord>> {
        let now = Stamp::now();
        self.lock().iter().rev().filter(|r| filter.matches(&***r, now)).take(limit).cloned().collect()
    }

    /// Sends the newest `backlog` that pass, then each that passes as it ends, until `to` is dropped.
    pub async fn follow(&self, filter: Filter, backlog: usize, to: &mpsc::Sender<Chunk>) {
        let mut live = self.live.subscribe();
        let mut first = self.newest(&filter, backlog.min(KEPT));
        first.reverse();
        for part in first.chunks(BATCH) {
            if to.send(Chunk::Calls(part.to_vec())).await.is_err() {
                return;
            }
        }
        loop {
            let received = tokio::select! {
                received = live.recv() => received,
                () = to.closed() => return,
            };
            let chunk = match received {
                Ok(record) => Chunk::Calls(pass(record, &mut live, &filter)),
                Err(broadcast::error::RecvError::Lagged(n)) => Chunk::Lost(n),
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if matches!(&chunk, Chunk::Calls(calls) if calls.is_empty()) {
                continue;
            }
            if to.send(chunk).await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<CallRecord>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pass(
    first: Arc<CallRecord>,
    live: &mut broadcast::Receiver<Arc<CallRecord>>,
    filter: &Filter,
) -> Vec<Arc<CallRecord>> {
    let now = Stamp::now();
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Ok(record) = live.try_recv()
    {
        batch.push(record);
    }
    batch.retain(|record| filter.matches(&**record, now));
    batch
}

/// Takes finished calls from the router until the platform stops, and then what is left.
pub async fn record(deck: Arc<Deck>, mut records: mpsc::Receiver<Arc<CallRecord>>) {
    let mut missed = 0;
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            n = records.recv_many(&mut batch, WRITE) => if n == 0 { return },
            () = deck.stop.cancelled() => return,
        }
        deck.calls.add(&batch);
        deck.tell(Msg::Finished(batch.clone())).await;
        let count = batch.len();
        let written = match deck.store.get().await {
            Ok(store) => store.add_calls(batch).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                deck.store.worked();
                if missed > 0 {
                    let text = format!("{missed} call records were not kept while the store failed");
                    deck.events.notice(Level::Error, text);
                    missed = 0;
                }
            }
            Err(error) => {
                missed += count;
                deck.store.failed(&error);
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}
