//! Tools for notes: short texts with tags. Imports `builtin::guard` only.

use super::entries::{self, Draft, Entry, Kind, Listing};
use super::{Hits, MOST, Memory, Search, TEXT_CHARS, some};
use crate::builtin::guard::{self, ToolError};
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::RequestMetaObject;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const TAGS: usize = 8;

/// A new note.
#[derive(Deserialize, JsonSchema)]
struct NoteDraft {
    /// What to remember.
    #[schemars(length(min = 1, max = 65536))]
    text: String,
    /// Words to find it by: letters, digits, `-` and `_`.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64), regex(pattern = r"^[\p{L}\p{N}_-]+$")))]
    tags: Vec<String>,
}

/// Which notes.
#[derive(Deserialize, JsonSchema)]
struct NoteListing {
    /// Only notes with this tag.
    #[schemars(length(min = 1, max = 64))]
    tag: Option<String>,
    /// Answers at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// Which note.
#[derive(Deserialize, JsonSchema)]
struct NoteId {
    /// Its number, as notes_list shows it.
    #[schemars(range(min = 1))]
    id: i64,
}

/// A note.
#[derive(Serialize, JsonSchema)]
struct Note {
    id: i64,
    text: String,
    tags: Vec<String>,
    created: String,
}

/// Notes, newest first.
#[derive(Serialize, JsonSchema)]
struct Notes {
    notes: Vec<Note>,
}

/// What was deleted.
#[derive(Serialize, JsonSchema)]
struct Deleted {
    id: i64,
    deleted: bool,
}

#[tool_router(router = note_tools, vis = "pub(super)")]
impl Memory {
    /// Writes down a note. The same text with the same tags is the same note.
    #[tool(annotations(
        title = "Add a note",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn notes_add(
        &self,
        Parameters(args): Parameters<NoteDraft>,
        meta: RequestMetaObject,
    ) -> Result<Json<Note>, ToolError> {
        let text = guard::text("text", &args.text, TEXT_CHARS)?;
        guard::number("tags", args.tags.len(), 0..=TAGS)?;
        for tag in &args.tags {
            guard::file_name("tag", tag)?;
        }
        let tags = args.tags.join(" ");
        let added = self.with(&meta, |db| {
            let id = match entries::same_note(db, &tags, text)? {
                Some(id) => id,
                None => entries::add(db, &Draft { kind: Kind::Note, name: &tags, summary: "", text, label: "" })?,
            };
            entries::note(db, id)
        })?;
        added.map(|note| Json(Note::from(note))).ok_or_else(|| ToolError::NotFound("the note is gone".to_owned()))
    }

    /// Searches notes, best first.
    #[tool(annotations(title = "Search notes", read_only_hint = true, open_world_hint = false))]
    fn notes_search(
        &self,
        Parameters(args): Parameters<Search>,
        meta: RequestMetaObject,
    ) -> Result<Json<Hits>, ToolError> {
        self.find(&meta, Some(Kind::Note), &args.query, args.limit)
    }

    /// Lists notes, newest first.
    #[tool(annotations(title = "List notes", read_only_hint = true, open_world_hint = false))]
    fn notes_list(
        &self,
        Parameters(args): Parameters<NoteListing>,
        meta: RequestMetaObject,
    ) -> Result<Json<Notes>, ToolError> {
        let limit = guard::number("limit", args.limit, 1..=MOST)?;
        let notes = self.with(&meta, |db| match &args.tag {
            Some(tag) => entries::notes_tagged(db, tag, limit),
            None => entries::list(db, Listing { kind: Kind::Note, name: None, label: None, skip: 0, limit }),
        })?;
        Ok(Json(Notes { notes: notes.into_iter().map(Note::from).collect() }))
    }

    /// Deletes a note for good.
    #[tool(annotations(
        title = "Delete a note",
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn notes_delete(
        &self,
        Parameters(args): Parameters<NoteId>,
        meta: RequestMetaObject,
    ) -> Result<Json<Deleted>, ToolError> {
        let deleted = self.with(&meta, |db| entries::delete_note(db, args.id))?;
        Ok(Json(Deleted { id: args.id, deleted }))
    }
}

impl From<Entry> for Note {
    fn from(note: Entry) -> Self {
        Self {
            id: note.id,
            text: note.text,
            tags: note.name.split_whitespace().map(str::to_owned).collect(),
            created: super::rfc3339(note.created),
        }
    }
}
