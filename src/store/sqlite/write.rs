//! Every write, as SQL. Imports `model` only.

use super::prune::{self, ByMinute, PerTenant, minute_of};
use super::schema;
use super::tail::{Operation, Sum, Tail};
use crate::model::gpu::GpuHeld;
use crate::model::instance::Mark;
use crate::model::message::{Event, Face, HistoryEntry, JournalEntry};
use crate::model::principal::{Role, StoredKey, StoredUser};
use crate::model::{CallRecord, Era, InstanceKey, ServerId, Stamp, TenantId};
use crate::store::audit::Audit;
use crate::store::{BEGAN, MarkKind, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Console requests kept per tenant.
pub const HISTORY_PER_TENANT: u32 = 1_000;

/// A change to the store.
pub enum Write {
    Enablement { server: ServerId, tenant: TenantId, value: Option<(bool, Mark)> },
    Mark { key: InstanceKey, kind: MarkKind, mark: Option<Mark> },
    EraHint { server: ServerId, era: Option<Era> },
    Calls(Vec<Arc<CallRecord>>),
    History(HistoryEntry),
    Journal(JournalEntry),
    Events(Vec<Event>),
    GpuHeld(Vec<GpuHeld>),
    Keys(Vec<StoredKey>),
    KeysUsed(Vec<(String, Stamp)>),
    User { email: String, user: Option<StoredUser> },
}

/// The connection, the audit file, and what is known about the size of the tables.
pub struct Writer {
    db: Connection,
    audit: Option<Audit>,
    kept: Kept,
    tail: Tail,
}

struct Kept {
    succeeded: PerTenant,
    failed: PerTenant,
    history: PerTenant,
    metrics: ByMinute,
    gpu_held: ByMinute,
}

impl Writer {
    /// Keeps `calls_per_tenant` records of calls that went well, and as many of those that failed.
    pub fn new(db: Connection, audit: Option<Audit>, calls_per_tenant: u32) -> Self {
        let kept = Kept {
            succeeded: PerTenant::new("calls", "seq", "failed = 0", calls_per_tenant),
            failed: PerTenant::new("calls", "seq", "failed = 1", calls_per_tenant),
            history: PerTenant::new("history", "id", "true", HISTORY_PER_TENANT),
            metrics: ByMinute::METRICS,
            gpu_held: ByMinute::GPU_HELD,
        };
        Self { db, audit, kept, tail: Tail::new(calls_per_tenant) }
    }

    /// For reading.
    pub fn db(&self) -> &Connection {
        &self.db
    }

    /// Appends to the audit file what belongs there. Apart from the transaction: a write that is tried twice is
    /// audited once.
    pub fn audit(&mut self, write: &Write) -> Result<(), StoreError> {
        match (write, &mut self.audit) {
            (Write::Calls(calls), Some(audit)) => audit.append(calls),
            (Write::Journal(act), Some(audit)) => audit.append_act(act),
            _ => Ok(()),
        }
    }

    /// Hands the audit file everything appended; `sync`: waits until it is on disk.
    pub fn write_audit(&mut self, sync: bool) -> Result<(), StoreError> {
        let write = if sync { Audit::sync } else { Audit::flush };
        self.audit.as_mut().map_or(Ok(()), write)
    }

    /// Takes calls, to be written with others.
    pub fn add_calls(&mut self, calls: &[Arc<CallRecord>]) {
        self.tail.add(calls);
    }

    /// When the calls that wait are to be written.
    pub fn due(&self) -> Option<Instant> {
        self.tail.due()
    }

    /// Why calls cannot be written, if they cannot; they are kept and tried again.
    pub fn calls_state(&self) -> Result<(), StoreError> {
        self.tail.state()
    }

    /// Writes the calls that wait; `path` is for the error.
    pub fn settle(&mut self, path: &Path) {
        if self.tail.is_empty() {
            return;
        }
        let synced = self.write_audit(true);
        let written = self.try_settle();
        if written.is_err() {
            self.kept.forget();
        }
        self.tail.settled(written.map_err(|error| schema::translate(path, error)));
        if let Err(error) = synced {
            tracing::warn!("{error}");
        }
    }

    fn try_settle(&mut self) -> rusqlite::Result<()> {
        let work = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for call in self.tail.calls() {
            self.kept.add_call(&work, &call)?;
        }
        for (of, sum) in self.tail.sums() {
            add_metrics(&work, of, sum)?;
        }
        self.kept.metrics.added(&work)?;
        work.commit()
    }

    /// Does `writes` in one transaction: all or none. Answers the row number each made, 0 where it made none.
    pub fn commit<'a>(&mut self, writes: impl Iterator<Item = &'a Write>) -> rusqlite::Result<Vec<u64>> {
        let outcome = self.try_commit(writes);
        if outcome.is_err() {
            self.kept.forget();
        }
        outcome
    }

    fn try_commit<'a>(&mut self, writes: impl Iterator<Item = &'a Write>) -> rusqlite::Result<Vec<u64>> {
        let work = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let numbers = writes.map(|write| self.kept.apply(&work, write)).collect::<Result<_, _>>()?;
        work.commit()?;
        Ok(numbers)
    }

    /// Leaves one file behind instead of three.
    pub fn finish(&self) -> rusqlite::Result<()> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

impl Write {
    /// True if it also goes to the audit file.
    pub fn is_audited(&self) -> bool {
        matches!(self, Self::Calls(_) | Self::Journal(_))
    }

    /// True if it must be on disk when it is acknowledged.
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Self::Calls(_))
    }
}

impl Kept {
    fn apply(&mut self, db: &Transaction<'_>, write: &Write) -> rusqlite::Result<u64> {
        match write {
            Write::Enablement { server, tenant, value } => set_enablement(db, server, tenant, value.as_ref()),
            Write::Mark { key, kind, mark } => set_mark(db, key, *kind, mark.as_ref()),
            Write::EraHint { server, era } => set_era_hint(db, server, *era),
            // They are in the tail.
            Write::Calls(_) => Ok(()),
            Write::History(entry) => return self.add_history(db, entry),
            Write::Journal(entry) => add_journal(db, entry),
            Write::Events(events) => events.iter().try_for_each(|event| add_event(db, event)),
            Write::GpuHeld(rows) => {
                rows.iter().try_for_each(|row| add_gpu_held(db, row)).and_then(|()| self.gpu_held.added(db))
            }
            Write::Keys(keys) => set_keys(db, keys),
            Write::KeysUsed(used) => used.iter().try_for_each(|(id, at)| set_key_used(db, id, *at)),
            Write::User { email, user } => set_user(db, email, user.as_ref()),
        }?;
        Ok(0)
    }

    /// Counts anew: a transaction was rolled back.
    fn forget(&mut self) {
        self.succeeded.forget();
        self.failed.forget();
        self.history.forget();
    }

    fn add_call(&mut self, db: &Connection, call: &CallRecord) -> rusqlite::Result<()> {
        insert_call(db, call)?;
        let kept = if call.outcome.is_error() { &mut self.failed } else { &mut self.succeeded };
        kept.added(db, &call.tenant)
    }

    fn add_history(&mut self, db: &Connection, entry: &HistoryEntry) -> rusqlite::Result<u64> {
        db.prepare_cached(
            "INSERT INTO history (at, tenant, server, method, tool, params, raw, outcome, took_us, operator, response)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            int(entry.at.0),
            entry.tenant.as_str(),
            entry.server.as_str(),
            entry.method,
            entry.tool,
            entry.params,
            entry.raw,
            entry.outcome.name(),
            int(entry.took_us),
            entry.operator,
            entry.response,
        ])?;
        let id = db.last_insert_rowid();
        self.history.added(db, &entry.tenant)?;
        Ok(id.unsigned_abs())
    }
}

fn set_enablement(
    db: &Connection,
    server: &ServerId,
    tenant: &TenantId,
    value: Option<&(bool, Mark)>,
) -> rusqlite::Result<()> {
    let (server, tenant) = (server.as_str(), tenant.as_str());
    match value {
        Some((on, mark)) => db
            .prepare_cached("INSERT OR REPLACE INTO enablement VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![server, tenant, on, mark.by, int(mark.at.0), mark.reason]),
        None => db
            .prepare_cached("DELETE FROM enablement WHERE server = ?1 AND tenant = ?2")?
            .execute(params![server, tenant]),
    }
    .map(|_| ())
}

fn set_mark(db: &Connection, key: &InstanceKey, kind: MarkKind, mark: Option<&Mark>) -> rusqlite::Result<()> {
    let (key, kind) = (key.to_string(), kind.name());
    match mark {
        Some(mark) => db.prepare_cached("INSERT OR REPLACE INTO marks VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            key,
            kind,
            mark.by,
            int(mark.at.0),
            mark.reason
        ]),
        None => db.prepare_cached("DELETE FROM marks WHERE instance = ?1 AND kind = ?2")?.execute(params![key, kind]),
    }
    .map(|_| ())
}

fn set_era_hint(db: &Connection, server: &ServerId, era: Option<Era>) -> rusqlite::Result<()> {
    match era {
        Some(era) => db
            .prepare_cached("INSERT OR REPLACE INTO era_hints VALUES (?1, ?2)")?
            .execute(params![server.as_str(), era.name()]),
        None => db.prepare_cached("DELETE FROM era_hints WHERE server = ?1")?.execute([server.as_str()]),
    }
    .map(|_| ())
}

fn insert_call(db: &Connection, call: &CallRecord) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO calls (id, at, tenant, server, instance, method, tool, outcome, failed, took_us, wake_us,
             upstream_us, request_bytes, response_bytes, era, origin, principal, error, role)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    )?
    .execute(params![
        int(call.id.0),
        int(call.at.0),
        call.tenant.as_str(),
        call.server.as_str(),
        call.instance.as_ref().map(InstanceKey::to_string),
        &*call.method,
        call.tool.as_deref(),
        call.outcome.name(),
        call.outcome.is_error(),
        int(call.took_us),
        int(call.wake_us),
        int(call.upstream_us),
        int(call.request_bytes),
        int(call.response_bytes),
        call.era.map(Era::name),
        call.origin.name(),
        &*call.principal,
        call.error,
        call.role.map(Role::name),
    ])
    .map(|_| ())
}

fn add_metrics(db: &Connection, of: &Operation, sum: &Sum) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO metrics VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors,
             total_us = total_us + excluded.total_us, max_us = max(max_us, excluded.max_us)",
    )?
    .execute(params![
        of.minute,
        of.tenant.as_str(),
        of.server.as_str(),
        of.method,
        of.tool,
        sum.calls,
        sum.errors,
        sum.total_us,
        sum.max_us
    ])
    .map(|_| ())
}

/// Newest lines of the journal among which the beginning of an act is looked for.
const STILL_BEGINNING: i64 = 1_000;

/// True if the line that began the act says now how it ended.
fn end_in_journal(db: &Connection, entry: &JournalEntry) -> rusqlite::Result<bool> {
    let changed = db
        .prepare_cached(
            "UPDATE journal SET outcome = ?1, took_ms = ?8 WHERE seq = (
                SELECT max(seq) FROM journal WHERE seq > (SELECT max(seq) FROM journal) - ?2 AND at = ?3
                AND operator = ?4 AND pid = ?5 AND command_line = ?6 AND outcome = ?7)",
        )?
        .execute(params![
            entry.outcome,
            STILL_BEGINNING,
            int(entry.at.0),
            entry.operator.name,
            entry.operator.pid,
            entry.command_line,
            BEGAN,
            entry.took_ms.map(int),
        ])?;
    Ok(changed > 0)
}

fn add_journal(db: &Connection, entry: &JournalEntry) -> rusqlite::Result<()> {
    if entry.outcome != BEGAN && end_in_journal(db, entry)? {
        return Ok(());
    }
    let grant = entry.operator.grant.as_ref();
    db.prepare_cached(
        "INSERT INTO journal (at, operator, face, pid, verb, object, outcome, command_line, role, tenant, took_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        int(entry.at.0),
        entry.operator.name,
        face_name(entry.operator.face),
        entry.operator.pid,
        entry.verb,
        entry.object,
        entry.outcome,
        entry.command_line,
        grant.map(|grant| grant.role.name()),
        grant.and_then(|grant| grant.tenant.as_ref()).map(TenantId::as_str),
        entry.took_ms.map(int),
    ])?;
    let delete = "DELETE FROM journal WHERE seq <= ?1";
    prune::sequence(db, delete, db.last_insert_rowid(), prune::JOURNAL_ROWS)
}

fn add_event(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let kind =
        serde_json::to_string(&event.kind).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.prepare_cached("INSERT INTO events (seq, at, kind) VALUES (?1, ?2, ?3)")?.execute(params![
        int(event.seq),
        int(event.at.0),
        kind
    ])?;
    prune::sequence(db, "DELETE FROM events WHERE row <= ?1", db.last_insert_rowid(), prune::EVENT_ROWS)
}

fn add_gpu_held(db: &Connection, row: &GpuHeld) -> rusqlite::Result<()> {
    let sql = "INSERT INTO gpu_held VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO UPDATE SET memory = max(memory, excluded.memory)";
    let tenant = row.tenant.as_ref().map_or("", TenantId::as_str);
    db.prepare_cached(sql)?
        .execute(params![minute_of(row.at), row.device, tenant, row.holder, int(row.memory)])
        .map(|_| ())
}

/// When a key was last used is written apart, and later: a change of the key must not set it back.
fn set_keys(db: &Connection, keys: &[StoredKey]) -> rusqlite::Result<()> {
    for StoredKey { row, hash } in keys {
        db.prepare_cached(
            "INSERT INTO api_keys (id, hash, name, role, tenant, created, created_by, expires, revoked)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, revoked = excluded.revoked",
        )?
        .execute(params![
            row.id,
            hash.0,
            row.name,
            row.role.name(),
            row.tenant.as_ref().map(TenantId::as_str),
            int(row.created.0),
            row.created_by,
            row.expires.map(|at| int(at.0)),
            row.revoked.map(|at| int(at.0)),
        ])?;
    }
    prune::keys(db, Stamp::now())
}

fn set_key_used(db: &Connection, id: &str, at: Stamp) -> rusqlite::Result<()> {
    let sql = "UPDATE api_keys SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id, int(at.0)]).map(|_| ())
}

fn set_user(db: &Connection, email: &str, user: Option<&StoredUser>) -> rusqlite::Result<()> {
    let Some(StoredUser { row, password }) = user else {
        return db.prepare_cached("DELETE FROM users WHERE email = ?1")?.execute([email]).map(|_| ());
    };
    db.prepare_cached(
        "INSERT OR REPLACE INTO users (email, password, role, tenant, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        row.email,
        password.expose(),
        row.role.name(),
        row.tenant.as_ref().map(TenantId::as_str),
        int(row.created.0),
        int(row.changed.0),
    ])
    .map(|_| ())
}

/// SQLite's integers are signed; what does not fit becomes the largest.
pub fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn face_name(face: Face) -> &'static str {
    match face {
        Face::Screen => "screen",
        Face::Cli => "cli",
        Face::Api => "api",
        Face::Platform => "platform",
    }
}
