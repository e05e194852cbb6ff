//! One running process group, from its start to the reaping of its leader.

use super::Shared;
use super::cgroup::Cell;
use super::holdings::{self, GroupId, Line};
use super::launch::Order;
use super::procstat::Stat;
use crate::backend::{BackendError, Exit};
use crate::model::Stamp;
use crate::model::usage::InstanceUsage;
use rustix::process::{Signal, kill_process_group};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Members of a cell need a moment to die after SIGKILL; one that takes longer is left to the helper.
const CELL_WAIT: Duration = Duration::from_secs(2);

pub struct Group {
    id: GroupId,
    usage: InstanceUsage,
    /// False once the leader may be reaped, from when on its number may become somebody else's. Held during the signal, which
    /// does not block.
    ours: Mutex<bool>,
    /// Somebody asked for its end, so that a kill is not taken for one of the kernel's.
    asked: AtomicBool,
    gone: CancellationToken,
}

impl Group {
    pub fn new(child: &Child, order: &Order, memory_limit: Option<u64>) -> Self {
        let pgid = child.id();
        let started = Stat::read(pgid).map_or(0, |s| s.started);
        Self {
            id: GroupId { pgid, started, key: order.key.to_string() },
            usage: InstanceUsage { memory_limit, ..Default::default() },
            ours: Mutex::new(true),
            asked: AtomicBool::new(false),
            gone: CancellationToken::new(),
        }
    }

    pub fn id(&self) -> &GroupId {
        &self.id
    }

    pub fn usage(&self) -> InstanceUsage {
        self.usage
    }

    pub fn set_gone(&self) {
        self.gone.cancel();
    }

    /// To every member; nothing once it has ended.
    pub fn signal(&self, signal: Signal) {
        let ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(pid)) = (*ours, holdings::pid(self.id.pgid)) {
            // Fails only if nobody is left.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// The polite stages: waits `close` for it to notice its closed stdin, then `term` after a SIGTERM.
    pub async fn stop(&self, close: Duration, term: Duration) {
        self.asked.store(true, Ordering::Relaxed);
        // A paused one would notice nothing.
        self.signal(Signal::CONT);
        if timeout(close, self.gone.cancelled()).await.is_err() {
            self.signal(Signal::TERM);
            let _ = timeout(term, self.gone.cancelled()).await;
        }
    }

    /// SIGKILL, and until it is reaped; `limit` is for those that hang in the kernel.
    pub async fn kill(&self, limit: Duration) -> Result<(), BackendError> {
        self.asked.store(true, Ordering::Relaxed);
        self.signal(Signal::KILL);
        timeout(limit, self.gone.cancelled()).await.map_err(|_| BackendError::Io {
            what: format!(
                "{} (process group {}) survives SIGKILL; see `cat /proc/{0}/stack`",
                self.id.key, self.id.pgid
            ),
            source: std::io::ErrorKind::TimedOut.into(),
        })
    }

    /// Waits for its end, ends what is left of it, and reaps it.
    pub(super) async fn outlive(
        &self,
        mut child: Child,
        pidfd: AsyncFd<OwnedFd>,
        cell: Option<Cell>,
        shared: &Shared,
    ) -> Exit {
        // Readable once the leader has ended. It is a zombie then, and nobody else can have its number.
        let _ = pidfd.readable().await;
        self.signal(Signal::KILL);
        let oom_kills = cell.as_ref().map_or(0, Cell::oom_kills);
        shared.note(Line::GroupGone(self.id.pgid));
        *self.ours.lock().unwrap_or_else(PoisonError::into_inner) = false;
        let status = child.wait();
        if let Some(cell) = cell {
            remove(&cell, shared).await;
        }
        self.describe(status, oom_kills)
    }

    fn describe(&self, status: std::io::Result<ExitStatus>, oom_kills: u64) -> Exit {
        let status = status.unwrap_or_default();
        let oom = oom_kills > 0 && !status.success() && !self.asked.load(Ordering::Relaxed);
        Exit { at: Stamp::now(), code: status.code(), signal: status.signal(), oom }
    }
}

/// Also ends those who left the group.
async fn remove(cell: &Cell, shared: &Shared) {
    let mut pause = Duration::from_millis(1);
    let removed = async {
        while !cell.kill_and_remove() {
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    };
    match timeout(CELL_WAIT, removed).await {
        Ok(()) => cell.dirs().for_each(|dir| shared.forget(dir)),
        Err(_) => tracing::warn!("a process in {:?} survives SIGKILL", cell.dirs().collect::<Vec<_>>()),
    }
}

/// For a child that never became a [`Group`].
pub fn kill_and_reap(child: &mut Child) {
    if let Some(pid) = holdings::pid(child.id()) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}
