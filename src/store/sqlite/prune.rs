//! Keeps tables bounded. Rows are removed in batches, so that most inserts pay nothing for it.
//! Imports `model` only.

use super::write::int;
use crate::model::{Stamp, TenantId};
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::time::Duration;

/// Rows of the journal and the events table that are kept.
pub const JOURNAL_ROWS: i64 = 100_000;
pub const EVENT_ROWS: i64 = 10_000;

/// The journal and the events are pruned once in so many rows.
const SEQUENCE_SLACK: i64 = 256;

/// Metrics are kept for so long and, whatever the age, up to so many rows (about 100 MB).
const METRIC_MINUTES: i64 = 30 * 24 * 60;
const METRIC_ROWS: i64 = 1_000_000;

/// Who held GPU memory is kept for so long and, whatever the age, up to so many rows (about 20 MB).
const HELD_MINUTES: i64 = 24 * 60 + 15;
const HELD_ROWS: i64 = 200_000;

/// A key that no longer works is kept for so long, so that `keys list` can say what became of it.
const KEY_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Forgets keys that have not worked for [`KEY_KEPT`].
pub fn keys(db: &Connection, now: Stamp) -> rusqlite::Result<()> {
    let before = int(now.0.saturating_sub(KEY_KEPT.as_millis().try_into().unwrap_or(u64::MAX)));
    let sql = "DELETE FROM api_keys WHERE min(coalesce(revoked, expires), coalesce(expires, revoked)) < ?1";
    db.prepare_cached(sql)?.execute([before]).map(|_| ())
}

/// The newest rows of each tenant: a table, its key column and a condition.
pub struct PerTenant {
    keep: u32,
    slack: u32,
    /// Rows in the table, per tenant seen by this process.
    rows: HashMap<TenantId, u32>,
    count: String,
    delete: String,
}

impl PerTenant {
    /// Keeps the newest `keep` rows per tenant of those that satisfy `condition`.
    pub fn new(table: &str, key: &str, condition: &str, keep: u32) -> Self {
        let of_tenant = format!("FROM {table} WHERE tenant = ?1 AND {condition}");
        Self {
            keep,
            slack: (keep / 4).clamp(16, 256),
            rows: HashMap::new(),
            count: format!("SELECT count(*) {of_tenant}"),
            delete: format!(
                "DELETE {of_tenant} AND {key} <= (SELECT {key} {of_tenant} ORDER BY {key} DESC LIMIT 1 OFFSET ?2)"
            ),
        }
    }

    /// To be called after each insert.
    pub fn added(&mut self, db: &Connection, tenant: &TenantId) -> rusqlite::Result<()> {
        let rows = match self.rows.get_mut(tenant) {
            Some(rows) => {
                *rows += 1;
                rows
            }
            None => {
                let rows = db.prepare_cached(&self.count)?.query_row([tenant.as_str()], |row| row.get(0))?;
                self.rows.entry(tenant.clone()).or_insert(rows)
            }
        };
        if *rows > self.keep.saturating_add(self.slack) {
            db.prepare_cached(&self.delete)?.execute(params![tenant.as_str(), self.keep])?;
            *rows = self.keep;
        }
        Ok(())
    }

    /// Counts anew: a transaction was rolled back.
    pub fn forget(&mut self) {
        self.rows.clear();
    }
}

/// Removes what lies more than `keep` rows behind the row just added.
pub fn sequence(db: &Connection, delete: &str, added: i64, keep: i64) -> rusqlite::Result<()> {
    if added % SEQUENCE_SLACK == 0 {
        db.prepare_cached(delete)?.execute([added - keep])?;
    }
    Ok(())
}

/// A table by minutes, of which old rows are removed once an hour.
pub struct ByMinute {
    table: &'static str,
    minutes: i64,
    rows: i64,
    pruned_hour: i64,
}

impl ByMinute {
    pub const METRICS: Self = Self { table: "metrics", minutes: METRIC_MINUTES, rows: METRIC_ROWS, pruned_hour: 0 };
    pub const GPU_HELD: Self = Self { table: "gpu_held", minutes: HELD_MINUTES, rows: HELD_ROWS, pruned_hour: 0 };

    /// To be called after rows were added.
    pub fn added(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let minute = minute_of(Stamp::now());
        if minute / 60 == self.pruned_hour {
            return Ok(());
        }
        self.pruned_hour = minute / 60;
        let table = self.table;
        db.execute(&format!("DELETE FROM {table} WHERE minute < ?1"), [minute - self.minutes])?;
        let newest = format!("SELECT minute FROM {table} ORDER BY minute DESC LIMIT 1 OFFSET ?1");
        db.execute(&format!("DELETE FROM {table} WHERE minute <= ({newest})"), [self.rows])?;
        Ok(())
    }
}

/// Minutes since 1970.
pub fn minute_of(at: Stamp) -> i64 {
    super::write::int(at.0 / 60_000)
}
