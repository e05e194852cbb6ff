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

use super::slots::{Discard, Newborn, Reserved, Slots};
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
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::oneshot;

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
    slots: Arc<Slots<Group>>,
    /// Makes names of cgroups unique within this process.
    starts: AtomicU64,
}

impl ProcessBackend {
    /// Costs nothing: cgroups are looked for, and the helper is started, with the first instance.
    pub fn new(options: ProcessOptions) -> Self {
        let ledger = Ledger::new(&options.state_dir, options.helper.clone());
        let shared =
            Shared { options, cgroups: OnceLock::new(), ledger, slots: Arc::default(), starts: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    async fn signal(&self, key: InstanceKey, signal: Signal) -> Result<(), BackendError> {
        let group = self.shared.slots.running(&key).await;
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
            let reserved = shared.slots.reserve(&order.key)?;
            // Folders, cgroups and the spawn itself block for about a millisecond.
            let newborn = tokio::task::spawn_blocking(move || shared.start(&reserved, &order)).await;
            let joined = newborn.map_err(|e| BackendError::Io { what: "start".into(), source: e.into() })?;
            joined?.keep()
        })
    }

    fn stop(&self, key: &InstanceKey, close: Duration, term: Duration) -> Fut<'_, Result<(), BackendError>> {
        let key = key.clone();
        Box::pin(async move {
            let Some(group) = self.shared.slots.running(&key).await else { return Ok(()) };
            group.stop(close, term).await;
            group.kill(KILL_WAIT).await
        })
    }

    fn kill(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        let key = key.clone();
        Box::pin(async move {
            match self.shared.slots.running(&key).await {
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
        let usage = self.shared.slots.each(keys, Group::usage);
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
    fn cgroups(&self) -> &Cgroups {
        self.cgroups.get_or_init(|| {
            let cgroups = if self.options.cgroups { Cgroups::detect() } else { Cgroups::default() };
            cgroups.bases().for_each(|base| self.note(Line::Cgroup(base.to_owned())));
            cgroups
        })
    }

    /// Blocks for about a millisecond.
    fn start(self: &Arc<Self>, reserved: &Reserved<Group>, order: &Order) -> Result<Newborn<Group>, BackendError> {
        let shared = self;
        let no_helper = shared.ledger.watch().err();
        let name = format!("{}-{}", order.key, shared.starts.fetch_add(1, Ordering::Relaxed)).replace('/', "_");
        let (cell, mut notes) = order.cell(shared.cgroups(), &name)?;
        notes.extend(no_helper);
        // Written down before anything can run in it.
        cell.iter().flat_map(Cell::dirs).for_each(|dir| shared.note(Line::Cgroup(dir.to_owned())));
        let limit = order.limits.memory.filter(|_| cell.as_ref().is_some_and(Cell::limits_memory));
        let spawned = order.spawn(cell.as_ref()).and_then(|child| attach(child, order, notes, limit));
        if spawned.is_err() {
            cell.iter().filter(|c| c.kill_and_remove()).flat_map(Cell::dirs).for_each(|dir| shared.forget(dir));
        }
        let Spawned { group, started, child, pidfd, exit } = spawned?;
        shared.note(Line::Group(group.id().clone()));
        reserved.fill(&group);
        let newborn = Newborn::new(Arc::clone(&group), started);
        let (shared, key) = (Arc::clone(shared), reserved.key().clone());
        tokio::spawn(async move {
            let exited = group.outlive(child, pidfd, cell, &shared).await;
            shared.slots.free(&key);
            // Nobody may be interested in how it ended.
            let _ = exit.send(exited);
            group.set_gone();
        });
        Ok(newborn)
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

impl Discard for Group {
    fn discard(self: Arc<Self>) {
        self.signal(Signal::KILL);
    }
}

/// A program that was just started, with its pipes.
struct Spawned {
    group: Arc<Group>,
    started: Started,
    child: Child,
    pidfd: AsyncFd<OwnedFd>,
    exit: oneshot::Sender<Exit>,
}

fn attach(
    mut child: Child,
    order: &Order,
    notes: Vec<String>,
    memory_limit: Option<u64>,
) -> Result<Spawned, BackendError> {
    let parts = open_pipes(&mut child);
    let (attached, pidfd) = parts.map_err(|source| {
        group::kill_and_reap(&mut child);
        BackendError::Io { what: format!("start of {}", order.key), source }
    })?;
    let (ended, exit) = oneshot::channel();
    let group = Arc::new(Group::new(&child, order, memory_limit));
    let started = Started { attached, pid: Some(child.id()), container: None, notes, exit };
    Ok(Spawned { group, started, child, pidfd, exit: ended })
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
