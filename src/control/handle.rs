//! The one door to a platform, local (same process) or remote (a Unix socket); faces cannot tell which.

pub use super::attention::Shut;
pub use super::principals::{Caller, LoginError, Principals, Unproven};
pub use super::tally::{Lives, Tally};
use crate::config::Live;
use crate::model::message::{Exec, ExecIn, ExecOut};
use crate::model::stack::Gate;
use crate::model::{Act, Answer, Chunk, Feed, JobId, Query, Refusal, Snapshot, Stamp};
use crate::router::Router;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A way to a platform. Cloning is cheap. Nothing here blocks; a full queue is an error, never a wait.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<dyn Port>,
}

/// How the handle reaches its platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// In this process.
    Owner,
    /// Over the socket.
    Attached,
    /// The owner is gone or silent; the last state stays, and it is tried again.
    Lost { since: Stamp, reason: String },
}

/// What a handle needs of its platform; implemented by the owner (local) and by the socket client (remote).
pub trait Port: Send + Sync {
    fn state(&self) -> Arc<Snapshot>;
    /// The newest revision; changes with each new snapshot and with the link.
    fn revisions(&self) -> watch::Receiver<u64>;
    fn link(&self) -> Link;
    /// Returns when `state` is no older than this call. A remote one is fresh when it attaches, and then follows.
    fn refresh(&self) -> Fut<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    fn run(&self, act: Act) -> Fut<'_, Result<JobId, Refusal>>;
    fn ask(&self, query: Query) -> Fut<'_, Result<Answer, Refusal>>;
    fn follow(&self, feed: Feed) -> mpsc::Receiver<Chunk>;
    /// What is on screen; fast-changing fields are kept fresh for it.
    fn interest(&self, interest: Interest);
    /// Runs a command inside a container: bytes both ways until it ends.
    fn pipe(&self, exec: Exec) -> Pipe;
    /// What the gateway beside the router needs; `None` where the platform is not in this process.
    fn inside(&self) -> Option<Inside> {
        None
    }
    /// The registry of attached consoles; `None` where the platform is not in this process.
    fn consoles(&self) -> Option<Arc<super::consoles::Consoles>> {
        None
    }
}

pub type Fut<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The two ends of a command inside a container. Dropping `output` ends the command's terminal (or its pipes); a dropped
/// `input` means that nothing more is typed. The last message out is `Exited`, `Refused` or `Failed`.
pub struct Pipe {
    pub input: mpsc::Sender<ExecIn>,
    pub output: mpsc::Receiver<ExecOut>,
}

/// The platform from inside its own process, for the gateway: it hands MCP bytes to the router, and asks the handle for
/// everything else.
#[derive(Clone)]
pub struct Inside {
    pub router: Arc<Router>,
    pub config: Live,
    pub principals: Arc<Principals>,
    /// What happened in instances' lives, counted.
    pub tally: Arc<Tally>,
    /// Where stacks look for the router: addresses of their networks on this machine.
    pub gates: watch::Receiver<BTreeSet<Gate>>,
    /// Addresses where the gateway should listen and cannot.
    pub shut: watch::Sender<BTreeMap<SocketAddr, Shut>>,
}

/// What a face looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Interest {
    /// False while nobody looks (hidden, detached): usage is then sampled slowly.
    pub watching: bool,
    pub instances: Vec<crate::model::InstanceKey>,
    pub containers: Vec<crate::model::container::ContainerKey>,
    /// GPUs are on screen.
    pub gpus: bool,
}

impl Handle {
    pub fn new(port: Arc<dyn Port>) -> Self {
        Self { inner: port }
    }

    /// The newest snapshot.
    pub fn state(&self) -> Arc<Snapshot> {
        self.inner.state()
    }

    /// Changes with each new snapshot and with the link.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.inner.revisions()
    }

    pub fn link(&self) -> Link {
        self.inner.link()
    }

    /// Returns when [`Handle::state`] shows what was true when this was called; without it, it may be 250 ms old.
    pub async fn refresh(&self) {
        self.inner.refresh().await;
    }

    /// Gives a command. `Ok` once it is accepted and, where it changes what is wanted, durable; what becomes of it is a
    /// [`crate::model::message::JobRow`] and events.
    pub async fn run(&self, act: Act) -> Result<JobId, Refusal> {
        self.inner.run(act).await
    }

    pub async fn ask(&self, query: Query) -> Result<Answer, Refusal> {
        self.inner.ask(query).await
    }

    /// A bounded stream; its last chunk is `Chunk::End`. Dropping the receiver ends it (and cancels a call).
    pub fn follow(&self, feed: Feed) -> mpsc::Receiver<Chunk> {
        self.inner.follow(feed)
    }

    /// Runs a command inside a container.
    pub fn pipe(&self, exec: Exec) -> Pipe {
        self.inner.pipe(exec)
    }

    pub fn interest(&self, interest: Interest) {
        self.inner.interest(interest);
    }

    /// What the gateway needs; `None` where the platform is not in this process.
    pub fn inside(&self) -> Option<Inside> {
        self.inner.inside()
    }

    /// The registry of attached consoles; `None` where the platform is not in this process.
    pub fn consoles(&self) -> Option<Arc<super::consoles::Consoles>> {
        self.inner.consoles()
    }
}
