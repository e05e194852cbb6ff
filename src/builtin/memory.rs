//! `memory`: skills, notes and conversations of each tenant, with full-text search over all. One SQLite file per
//! tenant; the router says in `_meta` whose turn it is. Imports `model` and `builtin::guard` only.

mod conversations;
mod entries;
mod files;
mod notes;
mod resources;
mod skills;

use super::guard::{self, ToolError};
use crate::model::Stamp;
use entries::Kind;
use files::{Files, MemoryError};
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{
    Implementation, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, RequestMetaObject, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, prompt_handler, tool, tool_handler, tool_router};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const INSTRUCTIONS: &str = "What this customer's agents know and how they do things. Search before you ask; write down \
what the next one will need. Skills are procedures: a new one is `dev` until somebody approves it.";

/// Characters a body, a note or a message may have; a name; a query.
const TEXT_CHARS: usize = 65_536;
const NAME_CHARS: usize = 100;
const QUERY_CHARS: usize = 500;

/// Entries in one answer at most, and if nothing is said.
const MOST: u32 = 100;
const SOME: u32 = 20;

/// The server.
pub struct Memory {
    files: Files,
    tools: ToolRouter<Self>,
    prompts: PromptRouter<Self>,
}

/// What to look for, in what, and how much of it.
#[derive(Deserialize, JsonSchema)]
struct SearchEverything {
    /// Words; each also finds longer words that start with it.
    #[schemars(length(min = 1, max = 500))]
    query: String,
    /// Only this kind of entry.
    kind: Option<Kind>,
    /// Answers at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// What to look for and how much of it.
#[derive(Deserialize, JsonSchema)]
struct Search {
    /// Words; each also finds longer words that start with it.
    #[schemars(length(min = 1, max = 500))]
    query: String,
    /// Answers at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// What was found, best first.
#[derive(Serialize, JsonSchema)]
struct Hits {
    hits: Vec<Hit>,
}

/// One entry that was found.
#[derive(Serialize, JsonSchema)]
struct Hit {
    kind: Kind,
    /// Resource with the whole text.
    uri: String,
    /// The skill's or the conversation's name, or the note's tags.
    name: String,
    /// The skill's status or the message's role.
    label: String,
    /// The passage that matched, the words in brackets.
    passage: String,
    changed: String,
}

impl Memory {
    /// A server with its files in `data`, which need not exist yet.
    pub fn new(data: PathBuf) -> Self {
        Self {
            files: Files::new(data),
            tools: Self::skill_tools() + Self::note_tools() + Self::conversation_tools() + Self::search_tools(),
            prompts: Self::prompts(),
        }
    }

    /// Works on the file of the tenant that `meta` names.
    fn with<T>(
        &self,
        meta: &RequestMetaObject,
        work: impl FnOnce(&mut Connection) -> Result<T, MemoryError>,
    ) -> Result<T, ToolError> {
        self.files.with(guard::tenant(meta)?.as_deref(), work)
    }

    fn find(
        &self,
        meta: &RequestMetaObject,
        kind: Option<Kind>,
        query: &str,
        limit: u32,
    ) -> Result<Json<Hits>, ToolError> {
        let query = guard::text("query", query, QUERY_CHARS)?;
        let limit = guard::number("limit", limit, 1..=MOST)?;
        let found = self.with(meta, |db| entries::search(db, kind, query, limit))?;
        Ok(Json(Hits { hits: found.into_iter().map(Hit::from).collect() }))
    }
}

#[tool_router(router = search_tools)]
impl Memory {
    /// Searches skills, notes and conversations, best first.
    #[tool(annotations(title = "Search everything", read_only_hint = true, open_world_hint = false))]
    fn search(
        &self,
        Parameters(args): Parameters<SearchEverything>,
        meta: RequestMetaObject,
    ) -> Result<Json<Hits>, ToolError> {
        self.find(&meta, args.kind, &args.query, args.limit)
    }
}

#[tool_handler(router = self.tools)]
#[prompt_handler(router = self.prompts)]
impl ServerHandler for Memory {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("mcpdeck-memory", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.resources(&context.meta, request.and_then(|page| page.cursor))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.read(&context.meta, &request.uri).map(ReadResourceResponse::from)
    }
}

impl From<entries::Found> for Hit {
    fn from(found: entries::Found) -> Self {
        let entry = found.entry;
        Self {
            kind: entry.kind,
            uri: resources::uri(&entry),
            changed: rfc3339(entry.changed),
            name: entry.name,
            label: entry.label,
            passage: found.passage,
        }
    }
}

fn some() -> u32 {
    SOME
}

/// `2026-07-28T09:30:00Z`
fn rfc3339(at: Stamp) -> String {
    i64::try_from(at.0 / 1_000)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| at.0.to_string(), |time| time.to_string())
}
