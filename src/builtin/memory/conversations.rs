//! Tools for conversations: named lists of messages. Imports `builtin::guard` only.

use super::entries::{self, Draft, Entry, Kind, Listing};
use super::{Hits, MOST, Memory, NAME_CHARS, Search, TEXT_CHARS, some};
use crate::builtin::guard::{self, ToolError};
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::RequestMetaObject;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Role {
    #[default]
    User,
    Assistant,
    System,
    Tool,
}

/// A message to append.
#[derive(Deserialize, JsonSchema)]
struct MessageDraft {
    /// Name of the conversation; a new name starts one.
    #[schemars(length(min = 1, max = 100))]
    conversation: String,
    /// Who speaks.
    #[serde(default)]
    role: Role,
    /// What is said.
    #[schemars(length(min = 1, max = 65536))]
    text: String,
}

/// Which conversation, and how much of it.
#[derive(Deserialize, JsonSchema)]
struct ConversationName {
    /// Name of the conversation.
    #[schemars(length(min = 1, max = 100))]
    conversation: String,
    /// The newest messages, at most so many.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// How many conversations.
#[derive(Deserialize, JsonSchema)]
struct ConversationListing {
    /// Answers at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

/// What was appended.
#[derive(Serialize, JsonSchema)]
struct Appended {
    conversation: String,
    id: i64,
}

/// A conversation's newest messages, oldest first.
#[derive(Serialize, JsonSchema)]
struct Messages {
    conversation: String,
    messages: Vec<Message>,
}

/// One message.
#[derive(Serialize, JsonSchema)]
struct Message {
    role: String,
    text: String,
    at: String,
}

/// Conversations, the last used first.
#[derive(Serialize, JsonSchema)]
struct Conversations {
    conversations: Vec<ConversationLine>,
}

/// A conversation without its messages.
#[derive(Serialize, JsonSchema)]
struct ConversationLine {
    conversation: String,
    messages: u32,
    changed: String,
}

#[tool_router(router = conversation_tools, vis = "pub(super)")]
impl Memory {
    /// Appends a message to a conversation.
    #[tool(annotations(
        title = "Append a message",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = false,
        open_world_hint = false
    ))]
    fn conversation_append(
        &self,
        Parameters(args): Parameters<MessageDraft>,
        meta: RequestMetaObject,
    ) -> Result<Json<Appended>, ToolError> {
        let name = guard::text("conversation", &args.conversation, NAME_CHARS)?;
        let text = guard::text("text", &args.text, TEXT_CHARS)?;
        let draft = Draft { kind: Kind::Message, name, summary: "", text, label: args.role.name() };
        let id = self.with(&meta, |db| entries::add(db, &draft))?;
        Ok(Json(Appended { conversation: name.to_owned(), id }))
    }

    /// Answers a conversation's newest messages, oldest first.
    #[tool(annotations(title = "Get a conversation", read_only_hint = true, open_world_hint = false))]
    fn conversation_get(
        &self,
        Parameters(args): Parameters<ConversationName>,
        meta: RequestMetaObject,
    ) -> Result<Json<Messages>, ToolError> {
        let name = guard::text("conversation", &args.conversation, NAME_CHARS)?;
        let limit = guard::number("limit", args.limit, 1..=MOST)?;
        let listing = Listing { kind: Kind::Message, name: Some(name), label: None, skip: 0, limit };
        let newest = self.with(&meta, |db| entries::list(db, listing))?;
        if newest.is_empty() {
            let absent = format!("no conversation is called {name:?}; conversation_list shows all");
            return Err(ToolError::NotFound(absent));
        }
        let messages = newest.into_iter().rev().map(Message::from).collect();
        Ok(Json(Messages { conversation: name.to_owned(), messages }))
    }

    /// Lists conversations, the last used first.
    #[tool(annotations(title = "List conversations", read_only_hint = true, open_world_hint = false))]
    fn conversation_list(
        &self,
        Parameters(args): Parameters<ConversationListing>,
        meta: RequestMetaObject,
    ) -> Result<Json<Conversations>, ToolError> {
        let limit = guard::number("limit", args.limit, 1..=MOST)?;
        let found = self.with(&meta, |db| entries::conversations(db, limit))?;
        let line = |found: entries::Conversation| ConversationLine {
            conversation: found.name,
            messages: found.messages,
            changed: super::rfc3339(found.changed),
        };
        Ok(Json(Conversations { conversations: found.into_iter().map(line).collect() }))
    }

    /// Searches the messages of all conversations, best first.
    #[tool(annotations(title = "Search conversations", read_only_hint = true, open_world_hint = false))]
    fn conversation_search(
        &self,
        Parameters(args): Parameters<Search>,
        meta: RequestMetaObject,
    ) -> Result<Json<Hits>, ToolError> {
        self.find(&meta, Some(Kind::Message), &args.query, args.limit)
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
            Self::Tool => "tool",
        }
    }
}

impl From<Entry> for Message {
    fn from(message: Entry) -> Self {
        Self { role: message.label, text: message.text, at: super::rfc3339(message.created) }
    }
}
