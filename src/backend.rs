//! Where instances run. Knows nothing of routing, storing or showing; imports `model` and `config` only.

pub mod docker;
pub mod engine;
pub mod process;
pub mod reaper;
pub mod simulated;
mod slots;

use crate::model::container::{GpuNeed, HealthCheck, Port, Pull, Speaks};
use crate::model::instance::BackendKind;
use crate::model::secret::Secret;
use crate::model::server::{Limits, SimulatedRun};
use crate::model::usage::InstanceUsage;
use crate::model::{InstanceKey, Stamp};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};

/// A boxed future, so that backends can stand behind `dyn`.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place where instances run. One contract suite (tests/backend_contract.rs) holds for every implementation.
pub trait Backend: Send + Sync {
    fn kind(&self) -> BackendKind;

    /// Starts one instance. Returns when its pipes exist; whether it speaks MCP is the router's to find out.
    fn start(&self, spec: StartSpec) -> Fut<'_, Result<Started, BackendError>>;

    /// Stops it in stages (close stdin is the caller's: it drops `stdin`; wait `close`; SIGTERM to the group; wait
    /// `term`; SIGKILL; reap). Stopping what does not run is `Ok`.
    fn stop(&self, key: &InstanceKey, close: Duration, term: Duration) -> Fut<'_, Result<(), BackendError>>;

    /// SIGKILL to the whole group, at once, and reap.
    fn kill(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>>;

    /// Pauses it: cpu freed, memory kept. `Unsupported` where there is no such thing.
    fn doze(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>>;

    /// Wakes a paused one.
    fn wake(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>>;

    /// Usage now of those of `keys` that run; called about once a second for what is on screen.
    fn usage(&self, keys: &[InstanceKey]) -> Fut<'_, Vec<(InstanceKey, InstanceUsage)>>;

    /// What an earlier owner left behind and is still there.
    fn orphans(&self) -> Fut<'_, Vec<Orphan>>;

    /// Removes orphans (and nothing else); returns how many.
    fn reap(&self) -> Fut<'_, Result<u32, BackendError>>;

    /// Instances of an earlier owner that go on serving; a `start` of one takes it up as it is. Those that nobody
    /// starts are orphans.
    fn survivors(&self) -> Fut<'_, Vec<InstanceKey>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// What a start is doing, for whoever waits: `pulling 40 %`.
pub type Progress = watch::Sender<String>;

/// Everything needed for a start, placeholders filled in.
pub struct StartSpec {
    pub key: InstanceKey,
    pub what: What,
    /// Folder for its data and, by default, its working directory; created if missing.
    pub data: PathBuf,
    pub limits: Limits,
    pub progress: Progress,
}

pub enum What {
    Container(Box<ContainerSpec>),
    Process { command: Vec<String>, env: Vec<(String, Plain)>, cwd: Option<PathBuf> },
    Simulated(SimulatedRun, Vec<(String, Plain)>),
}

/// A container with everything filled in.
#[derive(Clone)]
pub struct ContainerSpec {
    /// `None`: the first engine.
    pub engine: Option<crate::model::container::EngineId>,
    pub image: String,
    pub pull: Pull,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub env: Vec<(String, Plain)>,
    pub speaks: Speaks,
    pub workdir: Option<String>,
    /// `None`: 65534:65534; empty: the image's own.
    pub user: Option<String>,
    pub writable_root: bool,
    pub tmpfs: Vec<String>,
    /// Folder of ours on the host -> path inside; created if missing, writable by `user`.
    pub data: Vec<(PathBuf, String)>,
    pub mounts: Vec<BoundMount>,
    pub gpu: Option<GpuNeed>,
    pub shm: Option<u64>,
    pub ports: Vec<Port>,
    /// Our own network for it, made if missing; then those that exist already.
    pub network: String,
    pub networks: Vec<String>,
    /// Names that it answers to in our own network besides the container's: a part of a stack by its own.
    pub aliases: Vec<String>,
    /// `NAME:ADDRESS` lines of its hosts file.
    pub hosts: Vec<String>,
    pub capabilities: Vec<String>,
    pub health: Option<HealthCheck>,
    /// Besides `io.mcpdeck.*`, which the backend writes for instances and `control` gives for stacks.
    pub labels: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundMount {
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

/// A value that is a secret or is none.
#[derive(Clone)]
pub enum Plain {
    Text(String),
    Secret(Secret),
}

impl Plain {
    pub fn expose(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

/// A started instance.
pub struct Started {
    pub attached: Attached,
    pub pid: Option<u32>,
    /// The container it runs in.
    pub container: Option<crate::model::container::ContainerKey>,
    /// Defaults that could not be honoured: `memory unlimited: no cgroup`.
    pub notes: Vec<String>,
    /// Fires once, when it is gone and reaped.
    pub exit: oneshot::Receiver<Exit>,
}

/// What the router connects to, and what control logs.
pub enum Attached {
    Stdio {
        stdin: Box<dyn AsyncWrite + Send + Sync + Unpin>,
        stdout: Box<dyn AsyncRead + Send + Sync + Unpin>,
        stderr: Box<dyn AsyncRead + Send + Sync + Unpin>,
    },
    Http {
        url: String,
    },
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub at: Stamp,
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Signal number, if one ended it.
    pub signal: Option<i32>,
    /// True if the kernel killed it for memory.
    pub oom: bool,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.oom, self.code, self.signal) {
            (true, ..) => f.write_str("killed: out of memory (its limit)"),
            (_, Some(code), _) => write!(f, "exited {code}"),
            (_, _, Some(signal)) => write!(f, "killed by signal {signal}"),
            _ => f.write_str("gone"),
        }
    }
}

/// Something of ours without an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub key: InstanceKey,
    pub pid: Option<u32>,
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The program is missing, not executable, ...
    #[error("cannot start `{program}`: {reason}")]
    Spawn { program: String, reason: String },
    /// A limit that was asked for cannot be honoured.
    #[error("cannot honour {limit}: {reason}")]
    Limit { limit: String, reason: String },
    #[error("{0} is already running")]
    Running(InstanceKey),
    #[error("{backend} cannot {what}")]
    Unsupported { backend: &'static str, what: &'static str },
    /// The engine refuses.
    #[error("engine {engine}: {reason}")]
    Engine { engine: String, reason: String },
    /// The engine does not answer, or is not there.
    #[error("engine {engine}: {reason}")]
    Silent { engine: String, reason: String },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
}
