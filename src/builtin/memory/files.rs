//! One SQLite file per tenant, opened when it is first used. Imports `builtin::guard` only.

use crate::builtin::guard::ToolError;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: u32 = 1;

/// Files kept open; the next one takes the place of another.
const OPEN_FILES: usize = 32;

/// `memory.db` for calls that name no tenant, `tenants/ID.db` for the others.
pub struct Files {
    folder: PathBuf,
    open: Mutex<BTreeMap<PathBuf, Connection>>,
}

impl Files {
    /// Files in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, open: Mutex::new(BTreeMap::new()) }
    }

    /// Works on the file of `tenant`, whose id was checked to be a safe file name. The connection is taken out of the
    /// shared table meanwhile, so no lock is held while the disk is.
    pub fn with<T>(
        &self,
        tenant: Option<&str>,
        work: impl FnOnce(&mut Connection) -> Result<T, MemoryError>,
    ) -> Result<T, ToolError> {
        let path = match tenant {
            Some(id) => self.folder.join("tenants").join(format!("{id}.db")),
            None => self.folder.join("memory.db"),
        };
        let known = self.connections().remove(&path);
        let mut db = match known {
            Some(db) => db,
            None => open(&path)?,
        };
        let outcome = work(&mut db).map_err(|error| match error {
            MemoryError::Refused(refused) => refused,
            MemoryError::Sql(error) => ToolError::data(&path, error),
        });
        let mut connections = self.connections();
        if connections.len() >= OPEN_FILES {
            connections.pop_first();
        }
        connections.insert(path, db);
        outcome
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Connection>> {
        // A panic elsewhere leaves the table whole: it is only ever inserted into and removed from.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why work on a file failed: it was refused, or SQLite failed.
#[derive(Debug)]
pub enum MemoryError {
    Refused(ToolError),
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for MemoryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<ToolError> for MemoryError {
    fn from(error: ToolError) -> Self {
        Self::Refused(error)
    }
}

fn open(path: &Path) -> Result<Connection, ToolError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| ToolError::data(folder, error))?;
    }
    let mut db = Connection::open(path).map_err(|error| ToolError::data(path, error))?;
    let found = prepare(&mut db).map_err(|error| ToolError::data(path, error))?;
    if found > SCHEMA_VERSION {
        return Err(ToolError::data(path, format!("written by a newer version (schema {found})")));
    }
    Ok(db)
}

/// Creates the tables in an empty file; answers the schema version found.
fn prepare(db: &mut Connection) -> rusqlite::Result<u32> {
    db.busy_timeout(Duration::from_secs(2))?;
    let version = |db: &Connection| db.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    let found = version(db)?;
    if found == 0 {
        db.pragma_update(None, "journal_mode", "WAL")?;
        let work = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        if version(&work)? == 0 {
            work.execute_batch(SCHEMA)?;
        }
        work.commit()?;
    }
    db.execute_batch("PRAGMA cache_size = -512")?;
    Ok(found)
}
