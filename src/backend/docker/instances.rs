//! [`Backend`] for instances in containers, over one or several engines. A container is made once and started again.

use super::connect::Client;
use super::provide::{Launched, Order, Ready, Volumes};
use super::running::{self, Instance};
use super::{DockerEngine, leftovers, names, provide};
use crate::backend::slots::{Discard, Newborn, Reserved, Slots};
use crate::backend::{Attached, Backend, BackendError, ContainerSpec, Exit, Fut, Orphan, StartSpec, Started, What};
use crate::model::InstanceKey;
use crate::model::container::{ContainerKey, EngineId, labels};
use crate::model::instance::BackendKind;
use crate::model::server::Limits;
use crate::model::usage::InstanceUsage;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct DockerBackend {
    shared: Arc<Shared>,
    /// Ends the tasks that watch over instances; the containers go on.
    _open: DropGuard,
}

pub(super) struct Shared {
    /// What our containers are labelled with.
    pub platform: String,
    /// What tells our own from those of earlier owners of the platform.
    pub boot: String,
    /// The first is meant where none is named.
    pub engines: Vec<Arc<DockerEngine>>,
    slots: Arc<Slots<Instance>>,
    closed: CancellationToken,
}

impl DockerBackend {
    /// Costs nothing.
    pub fn new(platform: &str, boot: &str, engines: Vec<Arc<DockerEngine>>) -> Self {
        let closed = CancellationToken::new();
        let (platform, boot) = (platform.to_owned(), boot.to_owned());
        let shared = Shared { platform, boot, engines, slots: Arc::default(), closed: closed.clone() };
        Self { shared: Arc::new(shared), _open: closed.drop_guard() }
    }

    async fn set_paused(&self, key: InstanceKey, pause: bool) -> Result<(), BackendError> {
        match self.shared.slots.running(&key).await {
            Some(instance) => instance.set_paused(pause).await,
            None => Err(BackendError::Unsupported { backend: "docker", what: "pause or wake what does not run" }),
        }
    }
}

impl Backend for DockerBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Docker
    }

    fn start(&self, spec: StartSpec) -> Fut<'_, Result<Started, BackendError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let StartSpec { key, what, limits, progress, .. } = spec;
            let What::Container(container) = what else {
                return Err(BackendError::Unsupported { backend: "docker", what: "run what is no container" });
            };
            let engine = shared.engine(container.engine.as_ref())?;
            let reserved = shared.slots.reserve(&key)?;
            let order = shared.order(&key, *container, limits);
            let client = engine.client().await?;
            let ready = engine.yard.workshop.prepare(&client, &order, &progress).await?;
            // In a task of its own: what the engine has begun comes to its end though nobody waits any more. One that
            // nobody takes is killed as it is dropped.
            let newborn = tokio::spawn(async move { shared.start(reserved, engine, client, order, ready).await });
            let lost = |e: tokio::task::JoinError| BackendError::Io { what: "start".to_owned(), source: e.into() };
            newborn.await.map_err(lost)??.keep()
        })
    }

    fn stop(&self, key: &InstanceKey, close: Duration, term: Duration) -> Fut<'_, Result<(), BackendError>> {
        let key = key.clone();
        Box::pin(async move {
            match self.shared.slots.running(&key).await {
                Some(instance) => instance.stop(close, term).await,
                None => Ok(()),
            }
        })
    }

    fn kill(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        let key = key.clone();
        Box::pin(async move {
            match self.shared.slots.running(&key).await {
                Some(instance) => instance.kill().await,
                None => Ok(()),
            }
        })
    }

    fn doze(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(self.set_paused(key.clone(), true))
    }

    fn wake(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(self.set_paused(key.clone(), false))
    }

    /// Only what this backend alone knows: the memory limit in force. The rest is measured by container.
    fn usage(&self, keys: &[InstanceKey]) -> Fut<'_, Vec<(InstanceKey, InstanceUsage)>> {
        let tell = |instance: &Instance| InstanceUsage { memory_limit: instance.memory, ..InstanceUsage::default() };
        let usage = self.shared.slots.each(keys, tell);
        Box::pin(std::future::ready(usage))
    }

    fn orphans(&self) -> Fut<'_, Vec<Orphan>> {
        Box::pin(leftovers::list(&self.shared))
    }

    fn reap(&self) -> Fut<'_, Result<u32, BackendError>> {
        Box::pin(leftovers::reap(&self.shared))
    }

    fn survivors(&self) -> Fut<'_, Vec<InstanceKey>> {
        Box::pin(leftovers::survivors(&self.shared))
    }
}

impl Shared {
    /// Those that run or are being started.
    pub fn taken(&self) -> BTreeSet<InstanceKey> {
        self.slots.taken()
    }

    async fn start(
        self: Arc<Self>,
        reserved: Reserved<Instance>,
        engine: Arc<DockerEngine>,
        client: Client,
        order: Order,
        ready: Ready,
    ) -> Result<Newborn<Instance>, BackendError> {
        let launched = engine.yard.workshop.launch(&client, &order, ready).await;
        let reached = match &launched {
            Ok(launched) => running::url(&client, &launched.id, &order.spec).await,
            Err(_) => Ok(None),
        };
        match (launched, reached) {
            (Ok(launched), Ok(url)) => self.adopt(&reserved, engine, launched, url),
            (Ok(launched), Err(error)) => {
                provide::kill(&client, &launched.id).await?;
                Err(error)
            }
            (Err(error), _) => {
                if reserved.key().session.is_some() {
                    provide::retire(&client, &order.name, Duration::ZERO, Some(Volumes::Remove)).await?;
                }
                Err(error)
            }
        }
    }

    fn adopt(
        self: Arc<Self>,
        reserved: &Reserved<Instance>,
        engine: Arc<DockerEngine>,
        launched: Launched,
        url: Option<String>,
    ) -> Result<Newborn<Instance>, BackendError> {
        let (attached, line) = match (launched.pipes, url) {
            (Some(pipes), _) => (Some(pipes.attached), Some(pipes.line)),
            (None, url) => (url.map(|url| Attached::Http { url }), None),
        };
        let container = ContainerKey { engine: engine.yard.id.clone(), id: launched.id.as_str().into() };
        let instance = Arc::new(Instance {
            key: reserved.key().clone(),
            id: launched.id,
            engine,
            memory: launched.memory,
            line,
            gone: CancellationToken::new(),
        });
        reserved.fill(&instance);
        let (ended, exit) = oneshot::channel();
        tokio::spawn(watch_over(self, Arc::clone(&instance), ended));
        let Some(attached) = attached else {
            instance.discard();
            return Err(BackendError::Unsupported {
                backend: "docker",
                what: "run an instance that speaks neither stdio nor http",
            });
        };
        let started = Started { attached, pid: None, container: Some(container), notes: launched.notes, exit };
        Ok(Newborn::new(instance, started))
    }

    fn engine(&self, id: Option<&EngineId>) -> Result<Arc<DockerEngine>, BackendError> {
        let found = match id {
            Some(id) => self.engines.iter().find(|engine| engine.yard.id == *id),
            None => self.engines.first(),
        };
        found.cloned().ok_or_else(|| BackendError::Engine {
            engine: id.map_or_else(String::new, ToString::to_string),
            reason: "no such engine in the config; add it as [[engine]]".to_owned(),
        })
    }

    fn order(&self, key: &InstanceKey, spec: ContainerSpec, limits: Limits) -> Order {
        let mut own = vec![
            (labels::PLATFORM, self.platform.clone()),
            (labels::SERVER, key.server.to_string()),
            (labels::INSTANCE, key.to_string()),
            (labels::SPEAKS, provide::word(&spec.speaks).to_owned()),
        ];
        own.extend(key.tenant.iter().map(|tenant| (labels::TENANT, tenant.to_string())));
        Order {
            name: names::container_name(&self.platform, key),
            platform: self.platform.clone(),
            spec,
            limits,
            labels: own,
            boot: Some(self.boot.clone()),
        }
    }
}

async fn watch_over(shared: Arc<Shared>, instance: Arc<Instance>, ended: oneshot::Sender<Exit>) {
    let exit = tokio::select! {
        exit = instance.outlive() => exit,
        () = shared.closed.cancelled() => return,
    };
    instance.forget().await;
    shared.slots.free(&instance.key);
    // Nobody may be interested in how it ended.
    let _ = ended.send(exit);
    instance.gone.cancel();
}

impl Discard for Instance {
    fn discard(self: Arc<Self>) {
        tokio::spawn(async move {
            if let Err(error) = self.kill().await {
                tracing::warn!("{} was started for nobody and still runs: {error}", self.key);
            }
        });
    }
}
