//! Docker and Podman through their HTTP API. The vendor's types stop here; never imports control, router or faces.

mod abilities;
mod acts;
mod connect;
mod create;
mod deploy;
mod events;
mod exec;
mod folders;
mod frames;
mod hijack;
mod inspect;
mod instances;
mod inventory;
mod leftovers;
mod listed;
mod logs;
mod names;
mod network;
mod provide;
mod pull;
mod running;
mod stats;
mod stdio;
mod trouble;

pub use instances::DockerBackend;
pub use names::container_name;

use super::engine::{Engine, ExecPipe, ExecSpec, Found, Inventory, LogRange, Outlook, RawLine};
use super::{BackendError, ContainerSpec, Fut, Progress};
use crate::model::Stamp;
use crate::model::container::{ContainerAct, ContainerKey, EngineDef, EngineId, EngineState};
use crate::model::server::Limits;
use crate::model::stack::Gate;
use crate::model::usage::InstanceUsage;
use connect::{Client, Door};
use provide::Workshop;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long an engine may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(5);

/// One engine. It is looked for, connected and kept under watch by a task of its own, which ends with it.
pub struct DockerEngine {
    yard: Arc<Yard>,
    samples: stats::Samples,
    closed: CancellationToken,
}

/// What the engine's task and its callers share.
struct Yard {
    id: EngineId,
    door: Door,
    link: watch::Sender<Link>,
    inventory: watch::Sender<Arc<Inventory>>,
    /// Somebody wants the engine now: do not sit out the pause before the next attempt.
    wanted: Notify,
    workshop: Workshop,
}

/// Whether the engine can be talked to.
#[derive(Clone)]
enum Link {
    Connecting,
    Up(Client),
    Down(String),
}

impl DockerEngine {
    /// Begins to look for it, and returns at once. Needs a tokio runtime around it.
    pub fn open(def: &EngineDef) -> Self {
        let door = Door::of(def.url.as_deref(), |name| std::env::var(name).ok());
        let inventory = Inventory {
            state: EngineState::Connecting,
            url: door.url(),
            version: None,
            seen: Stamp::now(),
            containers: Vec::new(),
        };
        let yard = Arc::new(Yard {
            id: def.id.clone(),
            door,
            link: watch::channel(Link::Connecting).0,
            inventory: watch::channel(Arc::new(inventory)).0,
            wanted: Notify::new(),
            workshop: Workshop::default(),
        });
        let closed = CancellationToken::new();
        let (kept, until) = (Arc::clone(&yard), closed.clone());
        tokio::spawn(async move { until.run_until_cancelled(inventory::keep(&kept)).await });
        Self { yard, samples: stats::Samples::default(), closed }
    }

    /// Resolves when it answers again after it did not.
    async fn returned(&self) {
        let mut link = self.yard.link.subscribe();
        let _ = link.wait_for(|link| !matches!(link, Link::Up(_))).await;
        let _ = link.wait_for(|link| matches!(link, Link::Up(_))).await;
    }

    /// A way to talk to it. Waits for the connection if there is none yet, [`PATIENCE`] at most.
    async fn client(&self) -> Result<Client, BackendError> {
        self.yard.client().await
    }

    /// The row of a container as it was last listed.
    fn row(&self, id: &str) -> Option<Arc<Found>> {
        self.yard.row(id)
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Yard {
    async fn client(&self) -> Result<Client, BackendError> {
        let mut link = self.link.subscribe();
        if let Link::Up(client) = &*link.borrow_and_update() {
            return Ok(client.clone());
        }
        self.wanted.notify_one();
        let _ = timeout(PATIENCE, link.changed()).await;
        let reason = match &*link.borrow() {
            Link::Up(client) => return Ok(client.clone()),
            Link::Down(reason) => reason.clone(),
            Link::Connecting => format!("{} does not answer within {} s", self.door.url(), PATIENCE.as_secs()),
        };
        Err(BackendError::Silent { engine: self.id.to_string(), reason })
    }

    fn row(&self, id: &str) -> Option<Arc<Found>> {
        let inventory = self.inventory.borrow();
        let at = inventory.containers.binary_search_by(|row| (*row.id).cmp(id)).ok()?;
        inventory.containers.get(at).cloned()
    }

    fn up(&self, client: &Client, rows: &BTreeMap<Arc<str>, Arc<Found>>) {
        self.inventory.send_replace(Arc::new(Inventory {
            state: EngineState::Up,
            url: client.place.url(),
            version: Some(client.version.clone()),
            seen: Stamp::now(),
            containers: rows.values().cloned().collect(),
        }));
        self.link.send_replace(Link::Up(client.clone()));
    }

    /// The rows as they are now; nobody is woken if they are as before.
    fn publish(&self, rows: &BTreeMap<Arc<str>, Arc<Found>>) {
        self.inventory.send_if_modified(|inventory| {
            let same = |(a, b): (&Arc<Found>, &Arc<Found>)| Arc::ptr_eq(a, b);
            let unchanged =
                inventory.containers.len() == rows.len() && inventory.containers.iter().zip(rows.values()).all(same);
            if !unchanged {
                let containers = rows.values().cloned().collect();
                *inventory = Arc::new(Inventory { seen: Stamp::now(), containers, ..(**inventory).clone() });
            }
            !unchanged
        });
    }

    /// The picture stays; it is as old as `alive`.
    fn down(&self, alive: Stamp, reason: String) {
        let state = match self.door.is_nowhere() {
            true => EngineState::Absent { reason: reason.clone() },
            false => EngineState::Silent { since: alive, reason: reason.clone() },
        };
        self.link.send_replace(Link::Down(reason));
        self.inventory.send_if_modified(|inventory| {
            let news = inventory.state != state;
            if news {
                *inventory = Arc::new(Inventory { state, ..(**inventory).clone() });
            }
            news
        });
    }
}

impl Engine for DockerEngine {
    fn id(&self) -> &EngineId {
        &self.yard.id
    }

    fn ensure_network(&self, name: &str, platform: &str) -> Fut<'_, Result<(), BackendError>> {
        let (name, platform) = (name.to_owned(), platform.to_owned());
        Box::pin(async move {
            let client = self.client().await?;
            self.yard.workshop.networks.ensure(&client, &name, &platform).await
        })
    }

    fn gateway(&self, name: &str) -> Fut<'_, Result<Option<Gate>, BackendError>> {
        let name = name.to_owned();
        Box::pin(async move { network::gateway(&self.client().await?, &name).await })
    }

    fn watch(&self) -> watch::Receiver<Arc<Inventory>> {
        self.yard.inventory.subscribe()
    }

    fn act(&self, id: &str, act: ContainerAct, grace: Duration) -> Fut<'_, Result<(), BackendError>> {
        let id = id.to_owned();
        Box::pin(async move { acts::act(self, &id, act, grace).await })
    }

    fn deploy(
        &self,
        name: &str,
        spec: ContainerSpec,
        limits: Limits,
        progress: Progress,
    ) -> Fut<'_, Result<String, BackendError>> {
        let name = name.to_owned();
        Box::pin(async move { deploy::deploy(self, &name, spec, limits, &progress).await })
    }

    fn outlook<'a>(&'a self, spec: &'a ContainerSpec) -> Fut<'a, Outlook> {
        Box::pin(deploy::outlook(self, spec))
    }

    fn remove(&self, id: &str, grace: Duration) -> Fut<'_, Result<(), BackendError>> {
        let id = id.to_owned();
        Box::pin(async move { deploy::remove(self, &id, grace).await })
    }

    fn logs(&self, id: &str, range: LogRange) -> mpsc::Receiver<RawLine> {
        logs::read(Arc::clone(&self.yard), id, range)
    }

    fn inspect(&self, id: &str) -> Fut<'_, Result<String, BackendError>> {
        let path = format!("/containers/{id}/json");
        Box::pin(async move { self.client().await?.get_text(&path).await })
    }

    fn exec(&self, id: &str, exec: ExecSpec) -> Fut<'_, Result<ExecPipe, BackendError>> {
        let id = id.to_owned();
        Box::pin(async move { exec::run(&self.yard, id, exec).await })
    }

    fn stats(&self, ids: &[ContainerKey]) -> Fut<'_, Vec<(ContainerKey, InstanceUsage)>> {
        let ids = ids.to_vec();
        Box::pin(async move { self.samples.usage(&self.yard, ids).await })
    }

    fn is_local(&self) -> bool {
        self.yard.door.is_local()
    }
}
