//! The audit file: every call and every act as one line of JSON, appended and rotated. Imports `model` only.

use super::rotate::RotatedFile;
use super::{StoreError, advice};
use crate::model::message::JournalEntry;
use crate::model::{CallRecord, Stamp};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Name of the audit file, beside the database.
pub const FILE_NAME: &str = "audit.jsonl";

/// `audit.jsonl` and its rotated elders.
#[derive(Debug)]
pub struct Audit {
    file: RotatedFile,
    line: Vec<u8>,
    /// The time of the last call, as it is written: many come in one millisecond.
    time: (Stamp, String),
}

/// An act as it is written: `time` for people, and `act` where a call has its fields.
#[derive(Serialize)]
struct ActLine<'a> {
    time: String,
    act: &'a JournalEntry,
}

impl Audit {
    /// Opens `audit.jsonl` in `folder`.
    pub fn open(folder: &Path, rotate_bytes: u64, keep: u32) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let file = RotatedFile::open(&path, rotate_bytes, keep).map_err(|error| failed(&path, &error))?;
        Ok(Self { file, line: Vec::new(), time: (Stamp(0), Rfc3339(0).to_string()) })
    }

    /// Appends `calls`; they are on disk only after [`sync`](Self::sync). An error names the lines lost so far.
    pub fn append(&mut self, calls: &[Arc<CallRecord>]) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for call in calls {
            outcome = outcome.and(self.write_call(call));
        }
        outcome.map_err(|error: io::Error| failed(self.file.path(), &error))
    }

    /// Appends an act, as [`append`](Self::append) does calls.
    pub fn append_act(&mut self, act: &JournalEntry) -> Result<(), StoreError> {
        let written = self.write(&ActLine { time: Rfc3339(act.at.0).to_string(), act });
        written.map_err(|error| failed(self.file.path(), &error))
    }

    /// `time` for people, then the fields of [`CallRecord`].
    fn write_call(&mut self, call: &CallRecord) -> io::Result<()> {
        if self.time.0 != call.at {
            self.time = (call.at, Rfc3339(call.at.0).to_string());
        }
        self.line.clear();
        write!(self.line, "{{\"time\":\"{}\"", self.time.1)?;
        let brace = self.line.len();
        serde_json::to_writer(&mut self.line, call)?;
        self.line[brace] = b',';
        self.file.write_line(&self.line)
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.file.write_line(&self.line)
    }

    /// Hands everything appended to the operating system.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|error| failed(self.file.path(), &error))
    }

    /// Waits until everything appended is on disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync().map_err(|error| failed(self.file.path(), &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { path: path.display().to_string(), reason: advice(error) }
}

/// `2026-07-28T09:30:00.123Z`; the bare number if the clock was absurd.
struct Rfc3339(u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).ok();
        match millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok()) {
            Some(time) => time.fmt(f),
            None => self.0.fmt(f),
        }
    }
}
