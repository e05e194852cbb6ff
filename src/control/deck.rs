//! What all parts of control share: the other planes, the hubs, and the way to the one owner of instances.
//! Holds no state of instances; that is the actor's alone.

use super::actor::Msg;
use super::attention::Shut;
use super::calls::Calls;
use super::consoles::Consoles;
use super::engines::{ContainerUsage, Engines};
use super::events::Events;
use super::journal;
use super::logs::Logs;
use super::platform::StartOptions;
use super::principals::Principals;
use super::reload::Reloads;
use super::secrets::Vault;
use super::usage_history::Histories;
use crate::backend::{Backend, Orphan};
use crate::config::{Config, Live};
use crate::model::container::EngineId;
use crate::model::instance::BackendKind;
use crate::model::message::Level;
use crate::model::stack::Gate;
use crate::model::{Snapshot, Stamp};
use crate::router::Router;
use crate::store::{Store, StoreError};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub struct Deck {
    pub live: Live,
    pub options: StartOptions,
    pub router: Arc<Router>,
    pub logs: Arc<Logs>,
    pub events: Arc<Events>,
    pub vault: Vault,
    pub principals: Arc<Principals>,
    pub store: StoreCell,
    /// What of the journal the store does not have.
    pub gap: journal::Gap,
    pub backends: Backends,
    pub engines: Engines,
    pub reloads: Reloads,
    /// Where stacks look for the router.
    pub gates: watch::Sender<BTreeSet<Gate>>,
    /// Addresses where the gateway should listen and cannot.
    pub shut: watch::Sender<BTreeMap<SocketAddr, Shut>>,
    /// What containers use, replaced whole by whoever measures; the yard shows it.
    pub container_usage: watch::Sender<Arc<ContainerUsage>>,
    pub usage_history: Mutex<Histories>,
    /// Processes that an earlier owner left behind, as last looked for.
    pub left_behind: watch::Sender<Vec<Orphan>>,
    /// Engines on which whatever goes on serving since an earlier owner was offered to the instances.
    pub reconciled: watch::Sender<BTreeSet<EngineId>>,
    pub consoles: Arc<Consoles>,
    pub calls: Calls,
    pub actor: mpsc::Sender<Msg>,
    pub picture: Picture,
    pub clock: Clock,
    /// Everything that runs here, so that a shutdown can wait for it.
    pub tasks: TaskTracker,
    /// Calls of consoles, until their answers are handed over.
    pub answering: TaskTracker,
    /// New acts and calls are refused from here.
    pub closing: CancellationToken,
    /// Everything ends now.
    pub stop: CancellationToken,
    /// Somebody has to know of GPUs before he goes on.
    pub gpus_wanted: CancellationToken,
    /// The example client runs.
    pub example: watch::Sender<bool>,
    /// An operator asked for the end of the owner.
    pub asked: CancellationToken,
    /// The router serves, and the picture shows what the store remembers.
    pub serving: CancellationToken,
    /// When a shutdown wants every instance gone.
    pub stop_by: OnceLock<Instant>,
}

/// Where instances run.
pub struct Backends {
    pub process: Arc<dyn Backend>,
    pub simulated: Arc<dyn Backend>,
    pub docker: Arc<dyn Backend>,
}

impl Backends {
    /// `None` for what somebody else runs.
    pub fn of(&self, kind: BackendKind) -> Option<&Arc<dyn Backend>> {
        match kind {
            BackendKind::Process => Some(&self.process),
            BackendKind::Simulated => Some(&self.simulated),
            BackendKind::Docker => Some(&self.docker),
            BackendKind::Kubernetes | BackendKind::Remote => None,
        }
    }
}

/// Monotonic time since the platform started, and the wall clock beside it.
#[derive(Clone, Copy)]
pub struct Clock {
    boot: Instant,
    pub booted: Stamp,
}

impl Clock {
    pub fn start() -> Self {
        Self { boot: Instant::now(), booted: Stamp::now() }
    }

    /// What this owner writes on the containers that it makes.
    pub fn boot_label(&self) -> String {
        self.booted.0.to_string()
    }

    pub fn now(&self) -> Duration {
        self.boot.elapsed()
    }

    pub fn instant(&self, at: Duration) -> Instant {
        self.boot + at
    }

    /// The wall clock at a monotonic time that lies ahead.
    pub fn stamp(&self, at: Duration) -> Stamp {
        Stamp::now().after(at.saturating_sub(self.now()))
    }
}

/// The newest snapshot, and word of each new one.
pub struct Picture {
    newest: ArcSwap<Snapshot>,
    revisions: watch::Sender<u64>,
}

impl Picture {
    pub fn new(first: Arc<Snapshot>) -> Self {
        Self { revisions: watch::Sender::new(first.revision), newest: ArcSwap::new(first) }
    }

    pub fn get(&self) -> Arc<Snapshot> {
        self.newest.load_full()
    }

    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    /// Publishes `next`; nothing happens if it is the one that stands there.
    pub fn set(&self, next: Arc<Snapshot>) {
        let revision = next.revision;
        if self.newest.load().revision != revision {
            self.newest.store(next);
            self.revisions.send_replace(revision);
        }
    }
}

/// The store, once it is open; and its newest trouble.
pub struct StoreCell {
    opened: watch::Sender<Option<Result<Arc<dyn Store>, StoreError>>>,
    trouble: Mutex<Option<(String, Stamp)>>,
    troubled: AtomicBool,
}

impl StoreCell {
    pub fn new() -> Self {
        Self { opened: watch::Sender::new(None), trouble: Mutex::default(), troubled: AtomicBool::new(false) }
    }

    pub fn set(&self, store: Result<Arc<dyn Store>, StoreError>) {
        if let Err(error) = &store {
            self.failed(error);
        }
        self.opened.send_replace(Some(store));
    }

    /// The store; waits while it is being opened.
    pub async fn get(&self) -> Result<Arc<dyn Store>, StoreError> {
        let mut opened = self.opened.subscribe();
        match opened.wait_for(Option::is_some).await {
            Ok(value) => value.clone().unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Notes a write that failed; shown until one succeeds.
    pub fn failed(&self, error: &StoreError) {
        self.troubled.store(true, Ordering::Relaxed);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let since = trouble.as_ref().map_or_else(Stamp::now, |(_, since)| *since);
        *trouble = Some((error.to_string(), since));
    }

    /// Notes a write that worked.
    pub fn worked(&self) {
        if self.troubled.swap(false, Ordering::Relaxed) {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    pub fn trouble(&self) -> Option<(String, Stamp)> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deck {
    /// The configuration that holds now.
    pub fn config(&self) -> Arc<Config> {
        self.live.get()
    }

    /// Runs a task that may panic without harm to others: a panic becomes a notice.
    pub fn spawn(self: &Arc<Self>, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let deck = self.clone();
        self.tasks.spawn_on(
            async move {
                let inner = tokio::spawn(work);
                // A task that is dropped with the runtime takes its work with it.
                let _abort = AbortOnDrop(inner.abort_handle());
                if let Err(error) = inner.await
                    && error.is_panic()
                {
                    deck.panicked(name, error.into_panic().as_ref());
                }
            },
            &self.options.runtime,
        );
    }

    /// Tells of a panic; the platform stays.
    pub fn panicked(&self, name: &str, payload: &(dyn std::any::Any + Send)) {
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        self.events.notice(Level::Error, format!("internal error in {name}: {text} (a bug; please report it)"));
    }

    /// How long a stop may take: without a shutdown, as long as the settings say.
    pub fn stop_time_left(&self) -> Duration {
        self.stop_by.get().map_or(Duration::MAX, |by| by.saturating_duration_since(Instant::now()))
    }

    /// Tells the actor; false if it is gone.
    pub async fn tell(&self, msg: Msg) -> bool {
        self.actor.send(msg).await.is_ok()
    }

    /// Returns when the picture shows what was true when this was called.
    pub async fn refresh(&self) {
        let (done, published) = oneshot::channel();
        // A mailbox that is full or closed leaves the picture as it is: old, but not wrong to show.
        if self.actor.try_send(Msg::Refresh(done)).is_ok() {
            let _ = published.await;
        }
    }

    /// A call began or ended: figures move.
    pub fn touch(&self) {
        // A full mailbox means that a snapshot follows anyway.
        let _ = self.actor.try_send(Msg::Touched);
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
