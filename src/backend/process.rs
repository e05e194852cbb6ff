//! Local programs: one process group each, cleared environment, limits through cgroups, and nothing left behind.
//!
//! A group ends with its leader: whatever still runs in it then is killed. The leader is reaped only after that, so
//! its number cannot be anybody else's while we may still signal it.

mod cgroup;
mod group;
pub(in crate::backend) mod holdings;
mod launch;
mod ledger;
mod orphans;
mod procstat;
mod program;

use super::{Attached, Backend, BackendError, Exit, Fut, Orphan, StartSpec, Started, What};
use crate::model::InstanceKey;
use crate::model::instance::BackendKind;
use crate::model::usage::InstanceUsage;
use cgroup::{Cell, Cgroups};
use group::Group;
use holdings::Line;
use launch::Order;
use ledger::Ledger;
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A group that is still there this long after SIGKILL hangs in the kernel.
const KILL_WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Files that name what we started lie here, in `run/`.
    pub state_dir: PathBuf,
    /// Our own program, which is also the helper that cleans up after a `kill -9`.
    pub helper: PathBuf,
    /// False: do not look for cgroups; limits are then not in force.
    pub cgroups: bool,
}

impl ProcessOptions {
    /// As the running program needs them.
    pub fn new(state_dir: PathBuf) -> std::io::Result<Self> {
        Ok(Self { state_dir, helper: std::env::current_exe()?, cgroups: true })
    }
}

pub struct ProcessBackend {
    shared: Arc<Shared>,
}

struct Shared {
    options: ProcessOptions,
    // Declared before `ledger`: our folders are removed before the helper is told to end.
    cgroups: OnceLock<Cgroups>,
    ledger: Ledger,
    slots: Mutex<HashMap<InstanceKey, Slot>>,
    /// Makes names of cgroups unique within this process.
    starts: AtomicU64,
}

enum Slot {
    /// Cancelled when it is decided whether it runs.
    Starting(CancellationToken),
    Running(Arc<Group>),
}

impl ProcessBackend {
    /// Costs nothing: cgroups are looked for, and the helper is started, with the first instance.
    pub fn new(options: ProcessOptions) -> Self {
        let ledger = Ledger::new(&options.state_dir, options.helper.clone());
        let shared =
            Shared { options, cgroups: OnceLock::new(), ledger, slots: Mutex::default(), starts: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// The group of an instance, after a start under way has come to its end.
    async fn running(&self, key: &InstanceKey) -> Option<Arc<Group>> {
        loop {
            let decided = match self.shared.slots().get(key)? {
                Slot::Running(group) => return Some(Arc::clone(group)),
                Slot::Starting(decided) => decided.clone(),
            };
            decided.cancelled().await;
        }
    }

    async fn signal(&self, key: InstanceKey, signal: Signal) -> Result<(), BackendError> {
        let group = self.running(&key).await;
        let missing = || BackendError::Io { what: key.to_string(), source: std::io::ErrorKind::NotFound.into() };
        group.ok_or_else(missing)?.signal(signal);
        Ok(())
    }
}

impl Backend for ProcessBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Process
    }

    fn start(&self, spec: StartSpec) -> Fut<'_, Result<Started, BackendError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let What::Process { command, env, cwd } = spec.what else {
                return Err(BackendError::Unsupported { backend: "process", what: "run a simulated server" });
            };
            let order = Order { key: spec.key, command, env, cwd, data: spec.data, limits: spec.limits };
            let reserved = Reserved::new(&shared, &order.key)?;
            // Folders, cgroups and the spawn itself block for about a millisecond.
            let newborn = tokio::task::spawn_blocking(move || reserved.start(&order)).await;
            let joined = newborn.map_err(|e| BackendError::Io { what: "start".into(), source: e.into() })?;
            joined?.keep()
        })
    }

    fn stop(&self, key: &InstanceKey, close: Duration, term: Duration) -> Fut<'_, Result<(), BackendError>> {
        let key = key.clone();
        Box::pin(async move {
            let Some(group) = self.running(&key).await else { return Ok(()) };
            group.stop(close, term).await;
            group.kill(KILL_WAIT).await
        })
    }

    fn kill(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        let key = key.clone();
        Box::pin(async move {
            match self.running(&key).await {
                Some(group) => group.kill(KILL_WAIT).await,
                None => Ok(()),
            }
        })
    }

    /// The kernel holds every member of its group where it is.
    fn doze(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(self.signal(key.clone(), Signal::STOP))
    }

    fn wake(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(self.signal(key.clone(), Signal::CONT))
    }

    /// Only what this backend alone knows: the memory limit in force. The rest is measured by `metrics::Groups`.
    fn usage(&self, keys: &[InstanceKey]) -> Fut<'_, Vec<(InstanceKey, InstanceUsage)>> {
        let slots = self.shared.slots();
        let running = keys.iter().filter_map(|key| match slots.get(key)? {
            Slot::Running(group) => Some((key.clone(), group.usage())),
            Slot::Starting(_) => None,
        });
        let usage = running.collect();
        Box::pin(std::future::ready(usage))
    }

    fn orphans(&self) -> Fut<'_, Vec<Orphan>> {
        let state_dir = self.shared.options.state_dir.clone();
        Box::pin(
            async move { tokio::task::spawn_blocking(move || orphans::list(&state_dir)).await.unwrap_or_default() },
        )
    }

    fn reap(&self) -> Fut<'_, Result<u32, BackendError>> {
        let state_dir = self.shared.options.state_dir.clone();
        Box::pin(async move {
            let reaped = tokio::task::spawn_blocking(move || orphans::reap(&state_dir)).await;
            reaped.map_err(|e| BackendError::Io { what: "remove orphans".into(), source: e.into() })
        })
    }
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, HashMap<InstanceKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cgroups(&self) -> &Cgroups {
        self.cgroups.get_or_init(|| {
            let cgroups = if self.options.cgroups { Cgroups::detect() } else { Cgroups::default() };
            cgroups.bases().for_each(|base| self.note(Line::Cgroup(base.to_owned())));
            cgroups
        })
    }

    fn forget(&self, dir: &Path) {
        self.note(Line::CgroupGone(dir.to_owned()));
    }

    fn note(&self, line: Line) {
        if let Err(e) = self.ledger.note(line) {
            tracing::warn!("cannot write down what runs: {e}; after a kill -9 it may not be found again");
        }
    }
}

/// The right to start an instance; gives it back unless the instance runs.
struct Reserved {
    shared: Arc<Shared>,
    key: InstanceKey,
    decided: CancellationToken,
}

impl Reserved {
    fn new(shared: &Arc<Shared>, key: &InstanceKey) -> Result<Self, BackendError> {
        let decided = CancellationToken::new();
        let mut slots = shared.slots();
        if slots.contains_key(key) {
            return Err(BackendError::Running(key.clone()));
        }
        slots.insert(key.clone(), Slot::Starting(decided.clone()));
        drop(slots);
        Ok(Self { shared: Arc::clone(shared), key: key.clone(), decided })
    }

    /// Blocks for about a millisecond.
    fn start(self, order: &Order) -> Result<Newborn, BackendError> {
        let shared = &self.shared;
        let no_helper = shared.ledger.watch().err();
        let name = format!("{}-{}", order.key, shared.starts.fetch_add(1, Ordering::Relaxed)).replace('/', "_");
        let (cell, mut notes) = order.cell(shared.cgroups(), &name)?;
        notes.extend(no_helper);
        // Written down before anything can run in it.
        cell.iter().flat_map(Cell::dirs).for_each(|dir| shared.note(Line::Cgroup(dir.to_owned())));
        let limit = order.limits.memory.filter(|_| cell.as_ref().is_some_and(Cell::limits_memory));
        let spawned = order.spawn(cell.as_ref()).and_then(|child| Newborn::attach(child, order, notes, limit));
        if spawned.is_err() {
            cell.iter().filter(|c| c.kill_and_remove()).flat_map(Cell::dirs).for_each(|dir| shared.forget(dir));
        }
        let (newborn, child, pidfd, exit) = spawned?;
        let group = Arc::clone(&newborn.group);
        shared.note(Line::Group(group.id().clone()));
        shared.slots().insert(self.key.clone(), Slot::Running(Arc::clone(&group)));
        let (shared, key) = (Arc::clone(shared), self.key.clone());
        tokio::spawn(async move {
            let exited = group.outlive(child, pidfd, cell, &shared).await;
            shared.slots().remove(&key);
            // Nobody may be interested in how it ended.
            let _ = exit.send(exited);
            group.set_gone();
        });
        Ok(newborn)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut slots = self.shared.slots();
        if matches!(slots.get(&self.key), Some(Slot::Starting(_))) {
            slots.remove(&self.key);
        }
        self.decided.cancel();
    }
}

/// A started instance that nobody has taken over yet: dropped, it is killed.
struct Newborn {
    group: Arc<Group>,
    started: Option<Started>,
}

impl Newborn {
    fn attach(
        mut child: Child,
        order: &Order,
        notes: Vec<String>,
        memory_limit: Option<u64>,
    ) -> Result<(Self, Child, AsyncFd<OwnedFd>, oneshot::Sender<Exit>), BackendError> {
        let parts = open_pipes(&mut child);
        let (attached, pidfd) = parts.map_err(|source| {
            group::kill_and_reap(&mut child);
            BackendError::Io { what: format!("start of {}", order.key), source }
        })?;
        let (exit_sender, exit) = oneshot::channel();
        let group = Arc::new(Group::new(&child, order, memory_limit));
        let started = Started { attached, pid: Some(child.id()), container: None, notes, exit };
        Ok((Self { group, started: Some(started) }, child, pidfd, exit_sender))
    }

    fn keep(mut self) -> Result<Started, BackendError> {
        let gone = || BackendError::Io { what: "start".into(), source: std::io::ErrorKind::NotFound.into() };
        self.started.take().ok_or_else(gone)
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if self.started.is_some() {
            self.group.signal(Signal::KILL);
        }
    }
}

fn open_pipes(child: &mut Child) -> std::io::Result<(Attached, AsyncFd<OwnedFd>)> {
    let missing = || std::io::Error::other("a pipe is missing");
    let attached = Attached::Stdio {
        stdin: Box::new(ChildStdin::from_std(child.stdin.take().ok_or_else(missing)?)?),
        stdout: Box::new(ChildStdout::from_std(child.stdout.take().ok_or_else(missing)?)?),
        stderr: Box::new(ChildStderr::from_std(child.stderr.take().ok_or_else(missing)?)?),
    };
    let pid = holdings::pid(child.id()).ok_or_else(|| std::io::Error::other("its pid is out of range"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    #[expect(deprecated, reason = "its successor is unsafe; what it asks for, an owned descriptor upholds")]
    let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
    Ok((attached, pidfd))
}
