//! Every question, as SQL. Imports `model` only.

use super::{Reply, prune, schema};
use crate::model::gpu::GpuHeld;
use crate::model::instance::Mark;
use crate::model::message::{Event, EventKind, HistoryEntry, JournalEntry, Level, MetricRow, Operator};
use crate::model::principal::{Grant, KeyHash, KeyRow, PasswordHash, Role, StoredKey, StoredUser, UserRow};
use crate::model::{CallId, CallRecord, Era, ServerId, Stamp, TenantId};
use crate::store::{Enablement, MarkKind, Marked};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{Connection, Params, Row, params};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::path::Path;

/// A question with where its answer goes.
pub enum Read {
    Enablement(Reply<Vec<Enablement>>),
    Marks(Reply<Vec<Marked>>),
    EraHints(Reply<Vec<(ServerId, Era)>>),
    Calls { tenant: Option<TenantId>, errors_only: bool, limit: u32, reply: Reply<Vec<CallRecord>> },
    Metrics { since: Stamp, reply: Reply<Vec<MetricRow>> },
    History { tenant: Option<TenantId>, limit: u32, reply: Reply<Vec<HistoryEntry>> },
    Journal { limit: u32, reply: Reply<Vec<JournalEntry>> },
    Events { limit: u32, reply: Reply<Vec<Event>> },
    GpuHeld { since: Stamp, limit: u32, reply: Reply<Vec<GpuHeld>> },
    Keys(Reply<Vec<StoredKey>>),
    Users(Reply<Vec<StoredUser>>),
}

impl Read {
    /// True if calls that wait to be written belong to the answer.
    pub fn is_of_calls(&self) -> bool {
        matches!(self, Self::Calls { .. } | Self::Metrics { .. })
    }

    /// Asks the database and answers; `path` is for the error.
    pub fn answer(self, db: &Connection, path: &Path) {
        match self {
            Self::Enablement(reply) => send(reply, path, enablement(db)),
            Self::Marks(reply) => send(reply, path, marks(db)),
            Self::EraHints(reply) => send(reply, path, era_hints(db)),
            Self::Calls { tenant, errors_only, limit, reply } => {
                send(reply, path, calls(db, tenant.as_ref(), errors_only, limit));
            }
            Self::Metrics { since, reply } => send(reply, path, metrics(db, since)),
            Self::History { tenant, limit, reply } => send(reply, path, history(db, tenant.as_ref(), limit)),
            Self::Journal { limit, reply } => send(reply, path, journal(db, limit)),
            Self::Events { limit, reply } => send(reply, path, events(db, limit)),
            Self::GpuHeld { since, limit, reply } => send(reply, path, gpu_held(db, since, limit)),
            Self::Keys(reply) => send(reply, path, keys(db)),
            Self::Users(reply) => send(reply, path, users(db)),
        }
    }
}

fn send<T>(reply: Reply<T>, path: &Path, answer: rusqlite::Result<T>) {
    // Whoever asked may have gone; the answer is then nobody's.
    let _ = reply.send(answer.map_err(|error| schema::translate(path, error)));
}

fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, read)?.collect()
}

fn enablement(db: &Connection) -> rusqlite::Result<Vec<Enablement>> {
    all(db, "SELECT * FROM enablement ORDER BY server, tenant", [], |row| {
        Ok(Enablement {
            server: name(row, 0)?,
            tenant: name(row, 1)?,
            on: row.get(2)?,
            mark: Mark { by: row.get(3)?, at: stamp(row, 4)?, reason: row.get(5)? },
        })
    })
}

fn marks(db: &Connection) -> rusqlite::Result<Vec<Marked>> {
    all(db, "SELECT * FROM marks ORDER BY instance, kind", [], |row| {
        let Word(key) = row.get(0)?;
        let kind = MarkKind::from_name(&row.get::<_, String>(1)?).ok_or_else(|| unreadable(1, "unknown mark"))?;
        Ok((key, kind, Mark { by: row.get(2)?, at: stamp(row, 3)?, reason: row.get(4)? }))
    })
}

fn era_hints(db: &Connection) -> rusqlite::Result<Vec<(ServerId, Era)>> {
    all(db, "SELECT * FROM era_hints ORDER BY server", [], |row| Ok((name(row, 0)?, row.get::<_, Word<Era>>(1)?.0)))
}

fn calls(
    db: &Connection,
    tenant: Option<&TenantId>,
    errors_only: bool,
    limit: u32,
) -> rusqlite::Result<Vec<CallRecord>> {
    // `failed IN` rather than no condition: the index starts with (tenant, failed).
    let condition = match (tenant.is_some(), errors_only) {
        (true, true) => "tenant = ?1 AND failed = 1",
        (true, false) => "tenant = ?1 AND failed IN (0, 1)",
        (false, true) => "?1 IS NULL AND failed = 1",
        (false, false) => "?1 IS NULL",
    };
    let sql = format!("SELECT * FROM calls WHERE {condition} ORDER BY seq DESC LIMIT ?2");
    all(db, &sql, params![tenant.map(TenantId::as_str), limit], call)
}

fn call(row: &Row<'_>) -> rusqlite::Result<CallRecord> {
    Ok(CallRecord {
        id: CallId(number(row, "id")?),
        at: Stamp(number(row, "at")?),
        tenant: row.get::<_, String>("tenant")?.into(),
        server: row.get::<_, String>("server")?.into(),
        instance: row.get::<_, Option<Word<_>>>("instance")?.map(|Word(key)| key),
        method: row.get::<_, String>("method")?.into(),
        tool: row.get::<_, Option<String>>("tool")?.map(Into::into),
        outcome: row.get::<_, Word<_>>("outcome")?.0,
        took_us: number(row, "took_us")?,
        wake_us: number(row, "wake_us")?,
        upstream_us: number(row, "upstream_us")?,
        request_bytes: number(row, "request_bytes")?,
        response_bytes: number(row, "response_bytes")?,
        era: row.get::<_, Option<Word<_>>>("era")?.map(|Word(era)| era),
        origin: row.get::<_, Word<_>>("origin")?.0,
        principal: row.get::<_, String>("principal")?.into(),
        role: role(row)?,
        error: row.get("error")?,
    })
}

fn metrics(db: &Connection, since: Stamp) -> rusqlite::Result<Vec<MetricRow>> {
    let sql = "SELECT tenant, server, method, tool, sum(calls), sum(errors), sum(total_us), max(max_us) FROM metrics
               WHERE minute >= ?1 GROUP BY tenant, server, method, tool ORDER BY tenant, server, method, tool";
    all(db, sql, [prune::minute_of(since)], |row| {
        Ok(MetricRow {
            tenant: name(row, 0)?,
            server: name(row, 1)?,
            method: row.get(2)?,
            tool: Some(row.get::<_, String>(3)?).filter(|tool| !tool.is_empty()),
            calls: number(row, 4)?,
            errors: number(row, 5)?,
            total_us: number(row, 6)?,
            max_us: number(row, 7)?,
        })
    })
}

fn history(db: &Connection, tenant: Option<&TenantId>, limit: u32) -> rusqlite::Result<Vec<HistoryEntry>> {
    let condition = if tenant.is_some() { "tenant = ?1" } else { "?1 IS NULL" };
    let sql = format!("SELECT * FROM history WHERE {condition} ORDER BY id DESC LIMIT ?2");
    all(db, &sql, params![tenant.map(TenantId::as_str), limit], |row| {
        Ok(HistoryEntry {
            id: number(row, "id")?,
            at: Stamp(number(row, "at")?),
            tenant: row.get::<_, String>("tenant")?.into(),
            server: row.get::<_, String>("server")?.into(),
            method: row.get("method")?,
            tool: row.get("tool")?,
            params: row.get("params")?,
            raw: row.get("raw")?,
            outcome: row.get::<_, Word<_>>("outcome")?.0,
            took_us: number(row, "took_us")?,
            operator: row.get("operator")?,
            response: row.get("response")?,
        })
    })
}

fn journal(db: &Connection, limit: u32) -> rusqlite::Result<Vec<JournalEntry>> {
    all(db, "SELECT * FROM journal ORDER BY seq DESC LIMIT ?1", [limit], |row| {
        Ok(JournalEntry {
            at: Stamp(number(row, "at")?),
            operator: Operator {
                name: row.get("operator")?,
                face: row.get::<_, Word<_>>("face")?.0,
                pid: row.get("pid")?,
                grant: role(row)?
                    .map(|role| Ok::<_, rusqlite::Error>(Grant { role, tenant: tenant(row)? }))
                    .transpose()?,
            },
            verb: row.get("verb")?,
            object: row.get("object")?,
            outcome: row.get("outcome")?,
            command_line: row.get("command_line")?,
            took_ms: row.get::<_, Option<i64>>("took_ms")?.map(i64::unsigned_abs),
            kept: true,
        })
    })
}

fn events(db: &Connection, limit: u32) -> rusqlite::Result<Vec<Event>> {
    all(db, "SELECT seq, at, kind FROM events ORDER BY row DESC LIMIT ?1", [limit], |row| {
        let kind: String = row.get(2)?;
        // One event that another version wrote differently must not hide all others.
        let kind = serde_json::from_str(&kind).unwrap_or_else(|error| EventKind::Notice {
            level: Level::Warn,
            text: format!("an event that cannot be read ({error}): {kind}"),
        });
        Ok(Event { seq: number(row, 0)?, at: stamp(row, 1)?, kind })
    })
}

fn gpu_held(db: &Connection, since: Stamp, limit: u32) -> rusqlite::Result<Vec<GpuHeld>> {
    let sql = "SELECT * FROM (SELECT * FROM gpu_held WHERE minute >= ?1 ORDER BY minute DESC LIMIT ?2)
               ORDER BY minute, device, memory DESC, holder";
    all(db, sql, params![prune::minute_of(since), limit], |row| {
        Ok(GpuHeld {
            at: Stamp(number(row, 0)? * 60_000),
            device: row.get(1)?,
            tenant: Some(row.get::<_, String>(2)?).filter(|tenant| !tenant.is_empty()).map(Into::into),
            holder: row.get(3)?,
            memory: number(row, 4)?,
        })
    })
}

fn keys(db: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    all(db, "SELECT * FROM api_keys ORDER BY created, id", [], |row| {
        Ok(StoredKey {
            hash: KeyHash(row.get("hash")?),
            row: KeyRow {
                id: row.get("id")?,
                name: row.get("name")?,
                role: row.get::<_, Word<_>>("role")?.0,
                tenant: tenant(row)?,
                created: Stamp(number(row, "created")?),
                created_by: row.get("created_by")?,
                expires: maybe_stamp(row, "expires")?,
                last_used: maybe_stamp(row, "last_used")?,
                revoked: maybe_stamp(row, "revoked")?,
            },
        })
    })
}

fn users(db: &Connection) -> rusqlite::Result<Vec<StoredUser>> {
    all(db, "SELECT * FROM users ORDER BY email", [], |row| {
        Ok(StoredUser {
            password: PasswordHash::new(row.get("password")?),
            row: UserRow {
                email: row.get("email")?,
                role: row.get::<_, Word<_>>("role")?.0,
                tenant: tenant(row)?,
                created: Stamp(number(row, "created")?),
                changed: Stamp(number(row, "changed")?),
            },
        })
    })
}

fn role(row: &Row<'_>) -> rusqlite::Result<Option<Role>> {
    Ok(row.get::<_, Option<Word<_>>>("role")?.map(|Word(role)| role))
}

fn tenant(row: &Row<'_>) -> rusqlite::Result<Option<TenantId>> {
    Ok(row.get::<_, Option<String>>("tenant")?.map(Into::into))
}

fn maybe_stamp(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Stamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|at| Stamp(at.unsigned_abs())))
}

fn name<T: From<String>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get::<_, String>(column).map(T::from)
}

fn stamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Stamp> {
    number(row, column).map(Stamp)
}

fn number(row: &Row<'_>, column: impl rusqlite::RowIndex) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

fn unreadable(column: usize, why: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}

/// A model type that is one word of text: an outcome, an era, an instance key.
struct Word<T>(T);

impl<T: DeserializeOwned> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word: StrDeserializer<'_, WordError> = value.as_str()?.into_deserializer();
        T::deserialize(word).map(Word).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}
