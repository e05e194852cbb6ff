//! Opens the database file: is it one, is it ours, is its schema the one we know. Nothing that looks wrong is ever
//! changed. Imports nothing of ours but the store's error.

use crate::store::{ELSEWHERE, StoreError, advice};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Path that means a database in memory, for tests and for looking around without leaving a trace.
pub const IN_MEMORY: &str = ":memory:";

/// Numbered from 1; `user_version` is the number of the last one applied.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_gpu_held.sql"),
    include_str!("../migrations/0003_principals.sql"),
];

/// `application_id` of our files: "mdck".
const APPLICATION_ID: i32 = 0x6d64_636b;

const HEADER: &[u8] = b"SQLite format 3\0";

/// How long opening waits for another program's lock: a screen waits for us.
const OPEN_LOCK_WAIT: Duration = Duration::from_millis(250);

/// How long the writer's thread waits for another program's lock.
const WRITE_LOCK_WAIT: Duration = Duration::from_secs(5);

/// Opens or creates the database at `path` and brings its schema up to date.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    if path == Path::new(IN_MEMORY) {
        let mut db = Connection::open_in_memory().map_err(|e| translate(path, e))?;
        migrate(path, &mut db)?;
        return Ok(db);
    }
    prepare_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(|e| translate(path, e))?;
    db.busy_timeout(OPEN_LOCK_WAIT).map_err(|e| translate(path, e))?;
    migrate(path, &mut db)?;
    tune(&db).map_err(|e| translate(path, e))?;
    Ok(db)
}

/// Creates an empty file only its owner may read, or checks that what is there starts like a database: SQLite itself
/// takes a short file that is none for an empty one and overwrites it.
fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Io { path: path.display().to_string(), reason: advice(&error) };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let mut start = Vec::new();
    let file = OpenOptions::new().read(true).open(path).map_err(failed)?;
    file.take(HEADER.len() as u64).read_to_end(&mut start).map_err(failed)?;
    if start.is_empty() || start == HEADER {
        Ok(())
    } else {
        Err(corrupt(path, "it does not start like an SQLite file"))
    }
}

fn migrate(path: &Path, db: &mut Connection) -> Result<(), StoreError> {
    let (tables, owner, found) = look(db).map_err(|e| translate(path, e))?;
    if tables > 0 && owner != APPLICATION_ID {
        return Err(corrupt(path, "it is the database of another program"));
    }
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::Newer { path: path.display().to_string(), found, known });
    }
    if found == known {
        return if tables == 0 { Err(corrupt(path, "its tables are missing")) } else { Ok(()) };
    }
    apply(db, found).map_err(|e| translate(path, e))
}

/// Tables, the program whose file it is, and the version of the schema, at one moment: another program may be creating
/// the same file.
fn look(db: &mut Connection) -> rusqlite::Result<(u32, i32, u32)> {
    let moment = db.transaction()?;
    let tables = moment.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
    let owner = moment.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok((tables, owner, version(&moment)?))
}

/// Runs every migration after `found` in one transaction: all of them or none. The version is read again inside it:
/// another program may have been faster.
fn apply(db: &mut Connection, found: u32) -> rusqlite::Result<()> {
    if found == 0 && db.path().is_some_and(|path| !path.is_empty()) {
        // Nothing is acknowledged before `settle`: whoever opens the store does not wait for the disk.
        db.pragma_update(None, "synchronous", "OFF")?;
        use_wal(db)?;
    }
    let work = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for script in MIGRATIONS.iter().skip(version(&work)? as usize) {
        work.execute_batch(script)?;
    }
    work.pragma_update(None, "application_id", APPLICATION_ID)?;
    work.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    work.commit()
}

/// SQLite does not wait for a lock here, as it does elsewhere: another program may be creating the same file.
#[expect(clippy::disallowed_methods, reason = "SQLite offers nothing to wait on, and it is over within OPEN_LOCK_WAIT")]
fn use_wal(db: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + OPEN_LOCK_WAIT;
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            outcome => return outcome,
        }
    }
}

/// Waits until a file that [`open`] may have just created is on disk, name and all. It comes before the first write
/// that is acknowledged.
pub fn settle(path: &Path) -> Result<(), StoreError> {
    if path == Path::new(IN_MEMORY) {
        return Ok(());
    }
    let sync = |path: &Path| File::open(path)?.sync_all();
    sync(path)
        .and_then(|()| path.parent().map_or(Ok(()), sync))
        .map_err(|error| StoreError::Io { path: path.display().to_string(), reason: advice(&error) })
}

fn version(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// `synchronous = FULL` waits for the disk at every commit: an acknowledged write survives a power cut.
fn tune(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(WRITE_LOCK_WAIT)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 4194304;")?;
    db.set_prepared_statement_cache_capacity(48);
    Ok(())
}

fn corrupt(path: &Path, reason: &str) -> StoreError {
    StoreError::Corrupt { path: path.display().to_string(), reason: reason.to_owned() }
}

/// SQLite's error as ours.
pub fn translate(path: &Path, error: rusqlite::Error) -> StoreError {
    let path = path.display().to_string();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => {
            StoreError::Corrupt { path, reason }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path, reason },
        Some(ErrorCode::DiskFull) => StoreError::Io { path, reason: "the disk is full; free some space".to_owned() },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::Io { path, reason: format!("{reason}; {ELSEWHERE}") }
        }
        Some(_) => StoreError::Io { path, reason },
        // No code: a value that does not read back as what we wrote.
        None => StoreError::Corrupt { path, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn each_failure_says_what_to_do() {
        for (code, says) in [
            (ffi::SQLITE_FULL, "free some space"),
            (ffi::SQLITE_READONLY, "[store] url"),
            (ffi::SQLITE_CANTOPEN, "[store] url"),
            (ffi::SQLITE_IOERR, "cannot write /x/mcpdeck.db"),
            (ffi::SQLITE_CORRUPT, "it was not changed"),
            (ffi::SQLITE_NOTADB, "Move it away"),
            (ffi::SQLITE_BUSY, "fuser /x/mcpdeck.db"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let text = translate(Path::new("/x/mcpdeck.db"), error).to_string();
            assert!(text.contains(says), "{code}: {text}");
        }
    }
}
