//! Events: numbered, kept for a while, told to whoever follows, and written to the store in batches.
//! Must never import a face, nor wait for the store.

use super::tally::Tally;
use crate::model::message::{Chunk, Event, EventKind, Level};
use crate::model::{Stamp, State};
use crate::store::{Store, StoreError};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Events kept in memory.
const KEPT: usize = 1000;
/// Events a follower may lag behind before it loses some.
const FOLLOW: usize = 1024;
/// Events waiting for the store.
const QUEUE: usize = 4096;
/// Events in one chunk or one write.
const BATCH: usize = 256;

/// Where events are told. Emitting never waits.
pub struct Events {
    /// What happened in instances' lives, counted.
    pub tally: Arc<Tally>,
    ring: Mutex<Ring>,
    live: broadcast::Sender<Arc<Event>>,
    disk: mpsc::Sender<Event>,
}

#[derive(Default)]
struct Ring {
    next: u64,
    kept: VecDeque<Arc<Event>>,
    /// Events that the store's queue had no room for.
    unwritten: u64,
}

impl Events {
    /// The hub, and the queue of what the store has to write.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Event>) {
        let (disk, written) = mpsc::channel(QUEUE);
        let (live, _) = broadcast::channel(FOLLOW);
        (Arc::new(Self { tally: Arc::default(), ring: Mutex::default(), live, disk }), written)
    }

    /// Tells a fact.
    pub fn emit(&self, kind: EventKind) {
        log(&kind);
        if let EventKind::Transition { instance, from, to, reason } = &kind {
            self.tally.count(&instance.server, *from, *to, reason);
        }
        let event = {
            let mut ring = self.lock();
            ring.next += 1;
            let event = Arc::new(Event { seq: ring.next, at: Stamp::now(), kind });
            ring.kept.push_back(event.clone());
            if ring.kept.len() > KEPT {
                ring.kept.pop_front();
            }
            if self.disk.try_send((*event).clone()).is_err() {
                ring.unwritten += 1;
            }
            event
        };
        // Nobody following is fine.
        let _ = self.live.send(event);
    }

    /// Tells people something.
    pub fn notice(&self, level: Level, text: impl Into<String>) {
        self.emit(EventKind::Notice { level, text: text.into() });
    }

    /// The newest `limit`, newest first.
    pub fn newest(&self, limit: usize) -> Vec<Event> {
        self.lock().kept.iter().rev().take(limit).map(|e| (**e).clone()).collect()
    }

    /// Sends the newest `backlog` and then every event, until `to` is dropped.
    pub async fn follow(self: Arc<Self>, backlog: usize, to: mpsc::Sender<Chunk>) {
        let (mut live, kept) = {
            let ring = self.lock();
            let from = ring.kept.len().saturating_sub(backlog);
            (self.live.subscribe(), ring.kept.range(from..).map(|e| (**e).clone()).collect::<Vec<_>>())
        };
        for part in kept.chunks(BATCH) {
            if to.send(Chunk::Events(part.to_vec())).await.is_err() {
                return;
            }
        }
        loop {
            let received = tokio::select! {
                received = live.recv() => received,
                () = to.closed() => return,
            };
            let chunk = match received {
                Ok(first) => Chunk::Events(drain(&first, &mut live)),
                Err(broadcast::error::RecvError::Lagged(n)) => Chunk::Lost(n),
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if to.send(chunk).await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes queued events in batches until `stopped`, and then what is still queued.
pub async fn write(
    events: Arc<Events>,
    mut queue: mpsc::Receiver<Event>,
    store: Arc<dyn Store>,
    stopped: CancellationToken,
    failed: impl Fn(&StoreError),
) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            n = queue.recv_many(&mut batch, BATCH) => if n == 0 { return },
            () = stopped.cancelled() => return,
        }
        if let Err(error) = store.add_events(batch).await {
            failed(&error);
        }
        let lost = std::mem::take(&mut events.lock().unwritten);
        if lost > 0 {
            events.notice(Level::Warn, format!("{lost} events were not kept: the store was too slow for them"));
        }
    }
}

fn drain(first: &Event, live: &mut broadcast::Receiver<Arc<Event>>) -> Vec<Event> {
    let mut events = vec![first.clone()];
    while events.len() < BATCH
        && let Ok(event) = live.try_recv()
    {
        events.push((*event).clone());
    }
    events
}

/// Events stand in mcpdeck's own log, too.
fn log(kind: &EventKind) {
    match kind {
        EventKind::Transition { instance, from, to, reason } => {
            let bad = matches!(to, State::Failed | State::Backoff | State::Degraded | State::Unknown);
            if bad {
                tracing::warn!(%instance, %from, %to, "{reason}");
            } else {
                tracing::info!(%instance, %from, %to, "{reason}");
            }
        }
        EventKind::Notice { level: Level::Error, text } => tracing::error!("{text}"),
        EventKind::Notice { level: Level::Warn, text } => tracing::warn!("{text}"),
        EventKind::Notice { text, .. } => tracing::info!("{text}"),
        EventKind::Act { job, operator, command } => {
            tracing::info!(%job, operator = %operator.name, "{}", command.command_line());
        }
        EventKind::Job { job, title, outcome, message } => tracing::info!(%job, ?outcome, "{title}: {message}"),
        EventKind::Enabled { server, tenant, on, by } => tracing::info!(%server, %tenant, on, by, "enablement changed"),
        EventKind::Attached { operator, on } => tracing::info!(operator = %operator.name, on, "console attached"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(events: &[Event]) -> Vec<(u64, String)> {
        let text = |e: &Event| match &e.kind {
            EventKind::Notice { text, .. } => text.clone(),
            other => format!("{other:?}"),
        };
        events.iter().map(|e| (e.seq, text(e))).collect()
    }

    #[tokio::test]
    async fn a_follower_gets_the_backlog_and_then_each_once() {
        let (events, _disk) = Events::new();
        for n in 1..=5 {
            events.notice(Level::Info, n.to_string());
        }
        let (to, mut from) = mpsc::channel(8);
        tokio::spawn(events.clone().follow(2, to));
        let Some(Chunk::Events(first)) = from.recv().await else { panic!("no backlog") };
        assert_eq!(texts(&first), [(4, "4".into()), (5, "5".into())]);
        events.notice(Level::Info, "6");
        let Some(Chunk::Events(next)) = from.recv().await else { panic!("no event") };
        assert_eq!(texts(&next), [(6, "6".into())]);
        assert_eq!(texts(&events.newest(1)), [(6, "6".into())]);
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_how_many_it_lost() {
        let (events, _disk) = Events::new();
        let (to, mut from) = mpsc::channel(1);
        tokio::spawn(events.clone().follow(0, to));
        tokio::task::yield_now().await;
        let total = 3 * FOLLOW;
        for n in 0..total {
            events.notice(Level::Debug, n.to_string());
        }
        let (mut got, mut lost) = (0, 0);
        while got + lost < total {
            match from.recv().await.unwrap() {
                Chunk::Events(events) => got += events.len(),
                Chunk::Lost(n) => lost += n as usize,
                other => panic!("{other:?}"),
            }
        }
        assert!(lost > 0 && got > 0 && got + lost == total);
    }
}
