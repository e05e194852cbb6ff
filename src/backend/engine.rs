//! What a container engine offers beside the instances that a [`super::Backend`] runs in it: everything it has, live,
//! and what an operator does to one container. A vendor's types stop behind this trait.

use super::{BackendError, Fut, Progress};
use crate::model::Stamp;
use crate::model::container::{ContainerAct, ContainerHealth, ContainerKey, ContainerState, EngineId, EngineState};
use crate::model::server::Limits;
use crate::model::stack::Gate;
use crate::model::usage::InstanceUsage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A Docker or Podman engine, or a made-up one. Nothing here waits for a silent engine longer than its time limit.
pub trait Engine: Send + Sync {
    fn id(&self) -> &EngineId;

    /// Everything it has, kept fresh by its event stream. While it is silent, the last picture stays and says so.
    fn watch(&self) -> watch::Receiver<Arc<Inventory>>;

    /// Does `act` to a container. The caller has made sure that it is ours or adopted.
    fn act(&self, id: &str, act: ContainerAct, grace: Duration) -> Fut<'_, Result<(), BackendError>>;

    /// Makes the container called `name` exist as `spec` says and run: starts a stopped one of the same definition,
    /// replaces one of another definition (ours alone). Returns its id.
    fn deploy(
        &self,
        name: &str,
        spec: super::ContainerSpec,
        limits: Limits,
        progress: Progress,
    ) -> Fut<'_, Result<String, BackendError>>;

    /// What can be said of a container before it is made: a dry run asks. Does nothing.
    fn outlook<'a>(&'a self, _spec: &'a super::ContainerSpec) -> Fut<'a, Outlook> {
        Box::pin(std::future::ready(Outlook::default()))
    }

    /// Stops and removes a container of ours; `Ok` if there is none.
    fn remove(&self, id: &str, grace: Duration) -> Fut<'_, Result<(), BackendError>>;

    /// Makes the network `name` of `platform` if there is none.
    fn ensure_network(&self, name: &str, platform: &str) -> Fut<'_, Result<(), BackendError>> {
        let _ = (name, platform);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Where containers in the network `name` reach the engine's machine; `None` if there is no such network, or it has
    /// no address there.
    fn gateway(&self, name: &str) -> Fut<'_, Result<Option<Gate>, BackendError>> {
        let _ = name;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Log lines in order. The channel is bounded and closes at the end; dropping the receiver ends the reading.
    fn logs(&self, id: &str, range: LogRange) -> mpsc::Receiver<RawLine>;

    /// Everything the engine knows of a container, as JSON text; secrets are not masked yet.
    fn inspect(&self, id: &str) -> Fut<'_, Result<String, BackendError>>;

    /// Runs a command inside. `Err` only if it could not be begun.
    fn exec(&self, id: &str, exec: ExecSpec) -> Fut<'_, Result<ExecPipe, BackendError>>;

    /// Usage as only the engine can tell it (one whose files are not on this machine).
    fn stats(&self, ids: &[ContainerKey]) -> Fut<'_, Vec<(ContainerKey, InstanceUsage)>>;

    /// Bytes per second and the like of a container whose files are here are read from cgroups instead.
    fn is_local(&self) -> bool;

    /// Its containers take memory and GPUs of this machine, which are then counted before a start.
    fn is_here(&self) -> bool {
        self.is_local()
    }
}

/// What awaits a container that is to be made, as far as its engine tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Why it cannot be made.
    pub refused: Option<String>,
    /// Its image is not there and is fetched first.
    pub pulls: bool,
}

/// What an engine has.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    pub state: EngineState,
    /// Where it was found.
    pub url: String,
    /// `Docker 20.10.24`
    pub version: Option<String>,
    /// When this was last known to be true.
    pub seen: Stamp,
    /// Sorted by id.
    pub containers: Vec<Arc<Found>>,
}

/// A container as its engine lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub id: Arc<str>,
    pub name: String,
    pub image: String,
    pub state: ContainerState,
    /// Since when it runs, or when it ended, or was created.
    pub since: Stamp,
    pub exit_code: Option<i64>,
    pub oom: bool,
    pub restarts: u32,
    /// Bytes, as it was made, once known; `None`: unlimited, or not known yet. Stays known after it ended.
    pub memory_limit: Option<u64>,
    pub health: Option<ContainerHealth>,
    pub labels: BTreeMap<String, String>,
    /// `127.0.0.1:9300->8000/tcp`
    pub ports: Vec<String>,
    pub networks: Vec<String>,
    /// Of its first process, once known.
    pub pid: Option<u32>,
}

/// Which part of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRange {
    /// Newest lines before following; `None`: all.
    pub tail: Option<u32>,
    pub since: Option<Stamp>,
    pub follow: bool,
}

/// One line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLine {
    pub at: Stamp,
    pub stderr: bool,
    /// Without its line end; cut at 16 KiB.
    pub text: String,
}

/// A command to run inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecSpec {
    /// Empty: the first shell that is there.
    pub command: Vec<String>,
    /// It gets a terminal of this size; false: plain pipes, with stderr apart and an end of input.
    pub terminal: bool,
    pub columns: u16,
    pub rows: u16,
}

/// A running command: bytes both ways. Dropping `output` ends the command's terminal (or its pipes); a dropped `input`
/// means that nothing more is typed.
pub struct ExecPipe {
    pub input: mpsc::Sender<ExecIn>,
    pub output: mpsc::Receiver<ExecOut>,
}

pub use crate::model::message::{ExecIn, ExecOut};
