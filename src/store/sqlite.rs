//! The store in one SQLite file. A thread of its own does everything in the order of asking; writes that wait together
//! are committed together, and each is acknowledged only after the commit. Imports `model` and `config` only.

mod prune;
mod read;
mod schema;
mod tail;
mod write;

use super::audit::Audit;
use super::{Enablement, Fut, MarkKind, Marked, Store, StoreError};
use crate::config::StoreConfig;
use crate::model::gpu::GpuHeld;
use crate::model::instance::Mark;
use crate::model::message::{Event, HistoryEntry, JournalEntry, MetricRow};
use crate::model::principal::{StoredKey, StoredUser};
use crate::model::{CallRecord, Era, InstanceKey, ServerId, Stamp, TenantId};
use read::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use write::{Write, Writer};

/// Jobs that may wait; the next one's future waits for a place.
const QUEUE: usize = 1024;

/// Writes committed together at most.
const GROUP: usize = 256;

/// Where an answer goes; nobody may be waiting any more.
pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
enum Job {
    /// Answers the row's number where the write makes one, else 0.
    Write(Write, Reply<u64>),
    Read(Read),
    Close(oneshot::Sender<()>),
}

/// A [`Store`] in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: mpsc::Sender<Job>,
}

impl SqliteStore {
    /// Opens or creates the file and, beside it, the audit file. The path `:memory:` keeps everything in memory and
    /// writes no audit.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = config.path.clone();
        let db = schema::open(&path)?;
        let audit = match path.parent() {
            Some(folder) if path != Path::new(schema::IN_MEMORY) => {
                Some(Audit::open(folder, config.audit_rotate_bytes, config.audit_keep)?)
            }
            _ => None,
        };
        let writer = Writer::new(db, audit, config.calls_per_tenant);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let clock =
            clock.map_err(|error| StoreError::Io { path: path.display().to_string(), reason: error.to_string() })?;
        let thread = Thread { path: path.clone(), writer, queue, clock };
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| StoreError::Io { path: path.display().to_string(), reason: error.to_string() })?;
        Ok(Self { jobs })
    }

    /// Queues at once if there is a place, so that a dropped future still writes; else the future waits for one.
    fn submit<T: Send + 'static>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Fut<'_, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let waiting = match self.jobs.try_send(job(reply)) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(job)) => Some(job),
            Err(mpsc::error::TrySendError::Closed(_)) => return Box::pin(std::future::ready(Err(StoreError::Closed))),
        };
        Box::pin(async move {
            if let Some(job) = waiting {
                self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
            }
            answer.await.unwrap_or(Err(StoreError::Closed))
        })
    }

    fn write(&self, write: Write) -> Fut<'_, Result<(), StoreError>> {
        let written = self.submit(|reply| Job::Write(write, reply));
        Box::pin(async move { written.await.map(|_| ()) })
    }
}

impl Store for SqliteStore {
    fn enablement(&self) -> Fut<'_, Result<Vec<Enablement>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Enablement(reply)))
    }

    fn set_enablement(
        &self,
        server: ServerId,
        tenant: TenantId,
        value: Option<(bool, Mark)>,
    ) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::Enablement { server, tenant, value })
    }

    fn marks(&self) -> Fut<'_, Result<Vec<Marked>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Marks(reply)))
    }

    fn set_mark(&self, key: InstanceKey, kind: MarkKind, mark: Option<Mark>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::Mark { key, kind, mark })
    }

    fn era_hints(&self) -> Fut<'_, Result<Vec<(ServerId, Era)>, StoreError>> {
        self.submit(|reply| Job::Read(Read::EraHints(reply)))
    }

    fn set_era_hint(&self, server: ServerId, era: Option<Era>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::EraHint { server, era })
    }

    fn add_calls(&self, calls: Vec<Arc<CallRecord>>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::Calls(calls))
    }

    fn calls(
        &self,
        tenant: Option<TenantId>,
        errors_only: bool,
        limit: u32,
    ) -> Fut<'_, Result<Vec<CallRecord>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Calls { tenant, errors_only, limit, reply }))
    }

    fn metrics(&self, since: Stamp) -> Fut<'_, Result<Vec<MetricRow>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Metrics { since, reply }))
    }

    fn add_history(&self, entry: HistoryEntry) -> Fut<'_, Result<u64, StoreError>> {
        self.submit(|reply| Job::Write(Write::History(entry), reply))
    }

    fn history(&self, tenant: Option<TenantId>, limit: u32) -> Fut<'_, Result<Vec<HistoryEntry>, StoreError>> {
        self.submit(|reply| Job::Read(Read::History { tenant, limit, reply }))
    }

    fn add_journal(&self, entry: JournalEntry) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::Journal(entry))
    }

    fn journal(&self, limit: u32) -> Fut<'_, Result<Vec<JournalEntry>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Journal { limit, reply }))
    }

    fn add_events(&self, events: Vec<Event>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::Events(events))
    }

    fn events(&self, limit: u32) -> Fut<'_, Result<Vec<Event>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Events { limit, reply }))
    }

    fn add_gpu_held(&self, rows: Vec<GpuHeld>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::GpuHeld(rows))
    }

    fn gpu_held(&self, since: Stamp, limit: u32) -> Fut<'_, Result<Vec<GpuHeld>, StoreError>> {
        self.submit(|reply| Job::Read(Read::GpuHeld { since, limit, reply }))
    }

    fn keys(&self) -> Fut<'_, Result<Vec<StoredKey>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Keys(reply)))
    }

    fn set_keys(&self, keys: Vec<StoredKey>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::Keys(keys))
    }

    fn set_keys_used(&self, used: Vec<(String, Stamp)>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::KeysUsed(used))
    }

    fn users(&self) -> Fut<'_, Result<Vec<StoredUser>, StoreError>> {
        self.submit(|reply| Job::Read(Read::Users(reply)))
    }

    fn set_user(&self, email: String, user: Option<StoredUser>) -> Fut<'_, Result<(), StoreError>> {
        self.write(Write::User { email, user })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            let (done, closed) = oneshot::channel();
            if self.jobs.send(Job::Close(done)).await.is_ok() {
                // An error means that another `close` was faster; the thread has ended either way.
                let _ = closed.await;
            }
        })
    }
}

/// Nobody is left who could ask.
struct Closed;

/// Owns the connection and the audit file.
struct Thread {
    path: PathBuf,
    writer: Writer,
    queue: mpsc::Receiver<Job>,
    /// For waiting until calls are to be written.
    clock: tokio::runtime::Runtime,
}

impl Thread {
    /// Works until everybody who could ask is gone or [`Job::Close`]. After that it takes nothing new, does what was
    /// queued, and only then says that it is closed.
    fn run(mut self) {
        if let Err(error) = schema::settle(&self.path) {
            tracing::warn!("{error}");
        }
        let mut group = Vec::with_capacity(GROUP);
        let mut closing = Vec::new();
        while let Ok(job) = self.next() {
            let mut next = job;
            while let Some(Job::Write(write, reply)) = next {
                group.push((write, reply));
                next = if group.len() < GROUP { self.queue.try_recv().ok() } else { None };
            }
            self.commit(&mut group);
            match next {
                Some(Job::Read(read)) => {
                    if read.is_of_calls() {
                        self.writer.settle(&self.path);
                    }
                    read.answer(self.writer.db(), &self.path);
                }
                Some(Job::Close(done)) => {
                    self.queue.close();
                    closing.push(done);
                }
                _ => {}
            }
        }
        self.writer.settle(&self.path);
        if let Err(error) = self.writer.finish() {
            tracing::warn!("{}", schema::translate(&self.path, error));
        }
        drop(self.writer);
        for done in closing {
            let _ = done.send(());
        }
    }

    /// The next job; nothing when calls are to be written before one came. An error: everybody who could ask is gone.
    fn next(&mut self) -> Result<Option<Job>, Closed> {
        let Some(due) = self.writer.due() else { return self.queue.blocking_recv().map(Some).ok_or(Closed) };
        let queue = &mut self.queue;
        let next = self.clock.block_on(async { tokio::time::timeout_at(due.into(), queue.recv()).await });
        next.map_or(Ok(None), |job| job.map(Some).ok_or(Closed))
    }

    /// Commits the group in one transaction. If that fails, each write gets one of its own, so that only those that
    /// cannot be done fail. Calls join those that wait, and are written when it is time.
    fn commit(&mut self, group: &mut Vec<(Write, Reply<u64>)>) {
        let urgent = group.iter().any(|(write, _)| write.is_urgent());
        let audited: Vec<_> = group.iter().map(|(write, _)| self.writer.audit(write)).collect();
        let synced = self.writer.write_audit(urgent);
        for (write, _) in group.iter() {
            if let Write::Calls(calls) = write {
                self.writer.add_calls(calls);
            }
        }
        if self.writer.due().is_some_and(|due| due <= Instant::now()) {
            self.writer.settle(&self.path);
        }
        let together = match urgent {
            true => self.writer.commit(group.iter().map(|(write, _)| write)),
            false => Ok(vec![0; group.len()]),
        };
        for (at, (write, reply)) in group.drain(..).enumerate() {
            let written = match &together {
                Ok(numbers) => Ok(numbers[at]),
                Err(_) => self.writer.commit(std::iter::once(&write)).map(|numbers| numbers[0]),
            };
            let audited = audited[at].clone().and_then(|()| if write.is_audited() { synced.clone() } else { Ok(()) });
            let outcome = written.map_err(|error| schema::translate(&self.path, error));
            let outcome = if write.is_urgent() { outcome } else { outcome.and(self.writer.calls_state().map(|()| 0)) };
            // The caller may have dropped its future; the write is done all the same.
            let _ = reply.send(outcome.and_then(|number| audited.map(|()| number)));
        }
    }
}
