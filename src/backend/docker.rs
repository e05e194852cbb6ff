//! Docker and Podman through their HTTP API. The vendor's types stop here; never imports control, router or faces.

mod abilities;
mod connect;
mod create;
mod deploy;
mod folders;
mod inspect;
mod instances;
mod leftovers;
mod names;
mod network;
mod provide;
mod pull;
mod running;
mod stdio;
mod trouble;

pub use instances::DockerBackend;

use super::BackendError;
use crate::backend::engine::Inventory;
use crate::model::Stamp;
use crate::model::container::{EngineDef, EngineId, EngineState};
use connect::{Client, Door};
use provide::Workshop;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long an engine may take to answer a question.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// One engine. It is looked for, connected and kept under watch by a task of its own, which ends with it.
pub struct DockerEngine {
    yard: Arc<Yard>,
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
        Self { yard, closed }
    }

    /// Resolves when it answers again after it did not.
    async fn returned(&self) {
        let mut link = self.yard.link.subscribe();
        let _ = link.wait_for(|link| !matches!(link, Link::Up(_))).await;
        let _ = link.wait_for(|link| matches!(link, Link::Up(_))).await;
    }

    /// A way to talk to it. Waits for the connection if there is none yet, [`PATIENCE`] at most.
    async fn client(&self) -> Result<Client, BackendError> {
        let mut link = self.yard.link.subscribe();
        if let Link::Up(client) = &*link.borrow_and_update() {
            return Ok(client.clone());
        }
        self.yard.wanted.notify_one();
        let _ = timeout(PATIENCE, link.changed()).await;
        let reason = match &*link.borrow() {
            Link::Up(client) => return Ok(client.clone()),
            Link::Down(reason) => reason.clone(),
            Link::Connecting => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        Err(BackendError::Engine { engine: self.yard.id.to_string(), reason })
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}
