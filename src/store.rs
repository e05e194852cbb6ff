//! What outlives the process: run-time enablement, calls, history, journal, metrics; and the audit file.
//! Imports `model` and `config` only.

mod audit;
pub mod rotate;
pub mod sqlite;

use crate::model::gpu::GpuHeld;
use crate::model::instance::Mark;
use crate::model::message::{Event, HistoryEntry, JournalEntry, MetricRow};
use crate::model::principal::{StoredKey, StoredUser};
use crate::model::{CallRecord, InstanceKey, ServerId, Stamp, TenantId};
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;

pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Durable state. A write is on disk when its future is ready. Implementations serialise writes on a thread of
/// their own and commit in groups; futures may be dropped (the write then still happens).
pub trait Store: Send + Sync {
    /// Run-time enablement that differs from, or was once set against, the file.
    fn enablement(&self) -> Fut<'_, Result<Vec<Enablement>, StoreError>>;
    /// Sets it, or with `None` forgets it.
    fn set_enablement(
        &self,
        server: ServerId,
        tenant: TenantId,
        value: Option<(bool, Mark)>,
    ) -> Fut<'_, Result<(), StoreError>>;

    /// Holds and fences survive a restart of the owner.
    fn marks(&self) -> Fut<'_, Result<Vec<Marked>, StoreError>>;
    fn set_mark(&self, key: InstanceKey, kind: MarkKind, mark: Option<Mark>) -> Fut<'_, Result<(), StoreError>>;

    /// Era found by probing, per server, so that the next start skips the probe.
    fn era_hints(&self) -> Fut<'_, Result<Vec<(ServerId, crate::model::Era)>, StoreError>>;
    fn set_era_hint(&self, server: ServerId, era: Option<crate::model::Era>) -> Fut<'_, Result<(), StoreError>>;

    /// Keeps the newest N that failed and the newest N that did not, per tenant; adds to the metrics per minute; and
    /// appends each to the audit file. The audit file has them when the future is ready; the database gets those that will
    /// stay within two seconds (a read sees them before). They do not depend on each other: an error may mean that one of
    /// them has the calls, so they are not to be given again.
    fn add_calls(&self, calls: Vec<Arc<CallRecord>>) -> Fut<'_, Result<(), StoreError>>;
    /// Newest first.
    fn calls(
        &self,
        tenant: Option<TenantId>,
        errors_only: bool,
        limit: u32,
    ) -> Fut<'_, Result<Vec<CallRecord>, StoreError>>;
    fn metrics(&self, since: Stamp) -> Fut<'_, Result<Vec<MetricRow>, StoreError>>;

    fn add_history(&self, entry: HistoryEntry) -> Fut<'_, Result<u64, StoreError>>;
    fn history(&self, tenant: Option<TenantId>, limit: u32) -> Fut<'_, Result<Vec<HistoryEntry>, StoreError>>;

    /// The end of an act takes the place of its beginning: the newest line of the same time, operator and command line
    /// whose outcome is [`BEGAN`].
    fn add_journal(&self, entry: JournalEntry) -> Fut<'_, Result<(), StoreError>>;
    fn journal(&self, limit: u32) -> Fut<'_, Result<Vec<JournalEntry>, StoreError>>;

    fn add_events(&self, events: Vec<Event>) -> Fut<'_, Result<(), StoreError>>;
    fn events(&self, limit: u32) -> Fut<'_, Result<Vec<Event>, StoreError>>;

    /// Who holds GPU memory, a row per minute and device (the larger one counts where there are two); kept for 24 hours.
    fn add_gpu_held(&self, rows: Vec<GpuHeld>) -> Fut<'_, Result<(), StoreError>>;
    /// The newest `limit` since then, oldest first.
    fn gpu_held(&self, since: Stamp, limit: u32) -> Fut<'_, Result<Vec<GpuHeld>, StoreError>>;

    /// API keys, the oldest first; also those that no longer work, for 90 days.
    fn keys(&self) -> Fut<'_, Result<Vec<StoredKey>, StoreError>>;
    /// Adds keys, or changes until when they are good; all of them or none.
    fn set_keys(&self, keys: Vec<StoredKey>) -> Fut<'_, Result<(), StoreError>>;
    /// When keys were last used; an earlier time than the one that is known changes nothing.
    fn set_keys_used(&self, used: Vec<(String, Stamp)>) -> Fut<'_, Result<(), StoreError>>;
    /// People who may log in, by email.
    fn users(&self) -> Fut<'_, Result<Vec<StoredUser>, StoreError>>;
    /// Sets one, or with `None` forgets it.
    fn set_user(&self, email: String, user: Option<StoredUser>) -> Fut<'_, Result<(), StoreError>>;

    /// Flushes everything and closes; later calls answer `Closed`.
    fn close(&self) -> Fut<'_, ()>;
}

/// Outcome, in the journal, of an act that is under way, or whose owner died over it.
pub const BEGAN: &str = "began";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enablement {
    pub server: ServerId,
    pub tenant: TenantId,
    pub on: bool,
    pub mark: Mark,
}

/// An instance that somebody holds or fenced.
pub type Marked = (InstanceKey, MarkKind, Mark);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MarkKind {
    Held,
    Fenced,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a database, or damaged: it is left as it is.
    #[error(
        "{path} is not a usable database ({reason}); it was not changed. Move it away or restore a copy, then start again"
    )]
    Corrupt { path: String, reason: String },
    #[error("{path} is locked by another program ({reason}); find it with `fuser {path}`")]
    Locked { path: String, reason: String },
    #[error("{path} was written by a newer mcpdeck (schema {found}, this one knows {known}); use that version")]
    Newer { path: String, found: u32, known: u32 },
    #[error("cannot write {path}: {reason}")]
    Io { path: String, reason: String },
    #[error("the store is closed")]
    Closed,
}

impl MarkKind {
    const ALL: [Self; 2] = [Self::Held, Self::Fenced];

    fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Fenced => "fenced",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Opens (or creates) the SQLite store and, beside it, its audit file `audit.jsonl`. It takes about a millisecond, more
/// while another program holds a lock (250 ms at most). The path `:memory:` means a store that ends with the process.
pub fn open(config: &crate::config::StoreConfig) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(sqlite::SqliteStore::open(config)?))
}

const ELSEWHERE: &str = "make the file and its folder writable, or name another with `[store] url`";

/// What a file error says, and what to do about it.
fn advice(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("{error}; free some space"),
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory => format!("{error}; {ELSEWHERE}"),
        _ => error.to_string(),
    }
}
