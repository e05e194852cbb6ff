//! Entries of one tenant's memory as SQL. Imports `model` and `builtin::guard` only.

use super::files::MemoryError;
use crate::builtin::guard::ToolError;
use crate::model::Stamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Entries of one tenant at most.
pub const ENTRIES: u32 = 100_000;

/// Words of a query that count.
const QUERY_WORDS: usize = 16;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Kind {
    Skill,
    Note,
    Message,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Skill, Self::Note, Self::Message];

    pub fn name(self) -> &'static str {
        match self {
            Self::Skill => "skill",
            Self::Note => "note",
            Self::Message => "message",
        }
    }
}

impl FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(FromSqlError::InvalidType)
    }
}

/// A row of `entries`; schema.sql says what each column means for each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    pub kind: Kind,
    pub name: String,
    pub summary: String,
    pub text: String,
    pub label: String,
    pub created: Stamp,
    pub changed: Stamp,
}

/// What is written of a new entry.
pub struct Draft<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub summary: &'a str,
    pub text: &'a str,
    pub label: &'a str,
}

/// Which entries are listed.
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    pub kind: Kind,
    pub name: Option<&'a str>,
    pub label: Option<&'a str>,
    /// Entries to leave out at the start.
    pub skip: u32,
    pub limit: u32,
}

const COLUMNS: &str = "e.id, e.kind, e.name, e.summary, e.text, e.label, e.created, e.changed";

/// Adds an entry; answers its id.
pub fn add(db: &Connection, draft: &Draft<'_>) -> Result<i64, MemoryError> {
    let entries: u32 = db.query_row("SELECT count(*) FROM entries", [], |row| row.get(0))?;
    if entries >= ENTRIES {
        return Err(
            ToolError::Argument(format!("the memory is full ({ENTRIES} entries); delete some notes first")).into()
        );
    }
    let now = millis(Stamp::now());
    db.prepare_cached(
        "INSERT INTO entries (kind, name, summary, text, label, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute(params![draft.kind.name(), draft.name, draft.summary, draft.text, draft.label, now])?;
    Ok(db.last_insert_rowid())
}

/// The skill of that name.
pub fn skill(db: &Connection, name: &str) -> Result<Option<Entry>, MemoryError> {
    let sql = format!("SELECT {COLUMNS} FROM entries e WHERE e.kind = 'skill' AND e.name = ?1");
    Ok(db.prepare_cached(&sql)?.query_row([name], entry).optional()?)
}

/// The note with that id.
pub fn note(db: &Connection, id: i64) -> Result<Option<Entry>, MemoryError> {
    let sql = format!("SELECT {COLUMNS} FROM entries e WHERE e.kind = 'note' AND e.id = ?1");
    Ok(db.prepare_cached(&sql)?.query_row([id], entry).optional()?)
}

/// The id of the note with these tags and this text.
pub fn same_note(db: &Connection, tags: &str, text: &str) -> Result<Option<i64>, MemoryError> {
    let sql = "SELECT id FROM entries WHERE kind = 'note' AND substr(text, 1, 64) = substr(?1, 1, 64) AND text = ?1
                   AND name = ?2 LIMIT 1";
    Ok(db.prepare_cached(sql)?.query_row([text, tags], |row| row.get(0)).optional()?)
}

/// Writes back an entry that was read, and sets when it changed.
pub fn update(db: &Connection, entry: &Entry) -> Result<(), MemoryError> {
    db.prepare_cached("UPDATE entries SET summary = ?2, text = ?3, label = ?4, changed = ?5 WHERE id = ?1")?
        .execute(params![entry.id, entry.summary, entry.text, entry.label, millis(Stamp::now())])?;
    Ok(())
}

/// Deletes a note; false if there is none.
pub fn delete_note(db: &Connection, id: i64) -> Result<bool, MemoryError> {
    Ok(db.prepare_cached("DELETE FROM entries WHERE kind = 'note' AND id = ?1")?.execute([id])? > 0)
}

/// Newest first.
pub fn list(db: &Connection, listing: Listing<'_>) -> Result<Vec<Entry>, MemoryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM entries e WHERE e.kind = ?1 AND (?2 IS NULL OR e.name = ?2)
             AND (?3 IS NULL OR e.label = ?3) ORDER BY e.id DESC LIMIT ?4 OFFSET ?5"
    );
    let Listing { kind, name, label, skip, limit } = listing;
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![kind.name(), name, label, limit, skip], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Skills, then notes, newest first.
pub fn resources(db: &Connection, skip: u32, limit: u32) -> Result<Vec<Entry>, MemoryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM entries e WHERE e.kind IN ('skill', 'note') ORDER BY e.kind DESC, e.id DESC
         LIMIT ?1 OFFSET ?2"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([limit, skip], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Newest first, notes that carry `tag`.
pub fn notes_tagged(db: &Connection, tag: &str, limit: u32) -> Result<Vec<Entry>, MemoryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM entries e WHERE e.kind = 'note' AND instr(' ' || e.name || ' ', ' ' || ?1 || ' ') > 0
         ORDER BY e.id DESC LIMIT ?2"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![tag, limit], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A conversation with its number of messages and when the last one came.
pub struct Conversation {
    pub name: String,
    pub messages: u32,
    pub changed: Stamp,
}

/// Newest first.
pub fn conversations(db: &Connection, limit: u32) -> Result<Vec<Conversation>, MemoryError> {
    let mut statement = db.prepare_cached(
        "SELECT name, count(*), max(created) FROM entries WHERE kind = 'message' GROUP BY name
         ORDER BY max(id) DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], |row| {
        Ok(Conversation { name: row.get(0)?, messages: row.get(1)?, changed: stamp(row, 2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A found entry with the passage that matched.
pub struct Found {
    pub entry: Entry,
    pub passage: String,
}

/// Best first: entries that hold every word of `query` (as the start of a word), or else any of them.
pub fn search(db: &Connection, kind: Option<Kind>, query: &str, limit: u32) -> Result<Vec<Found>, MemoryError> {
    let words: Vec<_> = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(QUERY_WORDS)
        .map(|word| format!("\"{word}\"*"))
        .collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let all = matching(db, kind, &words.join(" "), limit)?;
    if all.is_empty() && words.len() > 1 { matching(db, kind, &words.join(" OR "), limit) } else { Ok(all) }
}

fn matching(db: &Connection, kind: Option<Kind>, expression: &str, limit: u32) -> Result<Vec<Found>, MemoryError> {
    let sql = format!(
        "SELECT {COLUMNS}, snippet(entries_text, -1, '[', ']', '...', 12) FROM entries_text
             JOIN entries e ON e.id = entries_text.rowid
         WHERE entries_text MATCH ?1 AND (?2 IS NULL OR e.kind = ?2)
         ORDER BY bm25(entries_text, 4.0, 2.0, 1.0), e.id DESC LIMIT ?3"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![expression, kind.map(Kind::name), limit], |row| {
        Ok(Found { entry: entry(row)?, passage: row.get(8)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        kind: row.get(1)?,
        name: row.get(2)?,
        summary: row.get(3)?,
        text: row.get(4)?,
        label: row.get(5)?,
        created: stamp(row, 6)?,
        changed: stamp(row, 7)?,
    })
}

fn stamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Stamp> {
    row.get::<_, i64>(column).map(|millis| Stamp(millis.unsigned_abs()))
}

fn millis(at: Stamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}
