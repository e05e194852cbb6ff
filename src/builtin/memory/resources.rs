//! Skills, notes and conversations as resources (`memory://...`), and the prompts. Imports `builtin::guard` only.

use super::entries::{self, Entry, Kind, Listing};
use super::{Memory, NAME_CHARS, QUERY_CHARS};
use crate::builtin::guard::{self, ToolError};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    ErrorData, ListResourcesResult, PromptMessage, ReadResourceResult, RequestMetaObject, Resource, ResourceContents,
    ResourceTemplate, Role,
};
use rmcp::{prompt, prompt_router};
use schemars::JsonSchema;
use serde::Deserialize;

/// Resources of one page; the cursor is the number of those before it.
const PAGE: u32 = 100;

/// Messages of a conversation that its resource holds.
const MESSAGES: u32 = 1_000;

/// Entries that `recall` quotes.
const RECALLED: u32 = 8;

const MARKDOWN: &str = "text/markdown";

/// What the task is about.
#[derive(Deserialize, JsonSchema)]
struct Topic {
    /// Words to look for.
    topic: String,
}

/// Which skill.
#[derive(Deserialize, JsonSchema)]
struct Reviewed {
    /// Its name.
    skill: String,
}

#[prompt_router(router = "prompts", vis = "pub(super)")]
impl Memory {
    /// What this customer's memory says about a topic, to start a task with.
    #[prompt]
    async fn recall(
        &self,
        Parameters(args): Parameters<Topic>,
        meta: RequestMetaObject,
    ) -> Result<Vec<PromptMessage>, ErrorData> {
        let topic = guard::text("topic", &args.topic, QUERY_CHARS).map_err(invalid)?;
        let found = self.with(&meta, |db| entries::search(db, None, topic, RECALLED)).map_err(invalid)?;
        let quotes: String =
            found.iter().map(|hit| format!("- {} ({}): {}\n", hit.entry.name, uri(&hit.entry), hit.passage)).collect();
        let known = if quotes.is_empty() { "- nothing yet\n" } else { &quotes };
        let text =
            format!("The task is about: {topic}\n\nThe memory says:\n{known}\nUse what fits and name its source.");
        Ok(vec![PromptMessage::new_text(Role::User, text)])
    }

    /// Asks for a review of a skill before it is approved.
    #[prompt]
    async fn review_skill(
        &self,
        Parameters(args): Parameters<Reviewed>,
        meta: RequestMetaObject,
    ) -> Result<Vec<PromptMessage>, ErrorData> {
        let name = guard::text("skill", &args.skill, NAME_CHARS).map_err(invalid)?;
        let skill = self.with(&meta, |db| entries::skill(db, name)).map_err(invalid)?;
        let skill = skill.ok_or_else(|| ErrorData::invalid_params(format!("no skill is called {name:?}"), None))?;
        let text = format!(
            "Review the skill `{name}` (status {}): is it correct, complete and safe to follow without questions?\n\n\
             When to use it: {}\n\n{}",
            skill.label, skill.summary, skill.text
        );
        Ok(vec![PromptMessage::new_text(Role::User, text)])
    }
}

impl Memory {
    /// One page of resources: skills first, then notes, newest first.
    pub(super) fn resources(
        &self,
        meta: &RequestMetaObject,
        cursor: Option<String>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let skip = match cursor {
            Some(cursor) => {
                cursor.parse().map_err(|_| ErrorData::invalid_params(format!("unknown cursor {cursor:?}"), None))?
            }
            None => 0,
        };
        let page = self.with(meta, |db| entries::resources(db, skip, PAGE)).map_err(invalid)?;
        let more = page.len() == PAGE as usize;
        let mut result = ListResourcesResult::with_all_items(page.iter().map(resource).collect());
        result.next_cursor = more.then(|| (skip + PAGE).to_string());
        Ok(result)
    }

    /// The text of one resource.
    pub(super) fn read(&self, meta: &RequestMetaObject, uri: &str) -> Result<ReadResourceResult, ErrorData> {
        let absent = || ErrorData::resource_not_found(format!("there is no resource {uri}"), None);
        let (kind, name) = uri.strip_prefix("memory://").and_then(|rest| rest.split_once('/')).ok_or_else(absent)?;
        let text = self.with(meta, |db| {
            Ok(match kind {
                "skills" => entries::skill(db, name)?.map(|skill| skill.text),
                "notes" => match name.parse() {
                    Ok(id) => entries::note(db, id)?.map(|note| note.text),
                    Err(_) => None,
                },
                "conversations" => {
                    let name = decode(name);
                    let listing =
                        Listing { kind: Kind::Message, name: Some(&name), label: None, skip: 0, limit: MESSAGES };
                    Some(transcript(&entries::list(db, listing)?)).filter(|text| !text.is_empty())
                }
                _ => None,
            })
        });
        let text = text.map_err(invalid)?.ok_or_else(absent)?;
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(MARKDOWN)]))
    }
}

/// How resources are named.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    [
        ("memory://skills/{name}", "skill", "The body of a skill"),
        ("memory://notes/{id}", "note", "The text of a note"),
        ("memory://conversations/{name}", "conversation", "The newest messages of a conversation"),
    ]
    .into_iter()
    .map(|(uri, name, description)| {
        ResourceTemplate::new(uri, name).with_description(description).with_mime_type(MARKDOWN)
    })
    .collect()
}

/// The resource that holds an entry.
pub(super) fn uri(entry: &Entry) -> String {
    match entry.kind {
        Kind::Skill => format!("memory://skills/{}", entry.name),
        Kind::Note => format!("memory://notes/{}", entry.id),
        Kind::Message => format!("memory://conversations/{}", encode(&entry.name)),
    }
}

fn resource(entry: &Entry) -> Resource {
    let (name, about) = match entry.kind {
        Kind::Skill => (entry.name.clone(), entry.summary.as_str()),
        _ => (format!("note {}", entry.id), entry.text.as_str()),
    };
    let first_line: String = about.lines().next().unwrap_or_default().chars().take(120).collect();
    Resource::new(uri(entry), name)
        .with_description(first_line)
        .with_mime_type(MARKDOWN)
        .with_size(entry.text.len() as u64)
}

fn transcript(newest_first: &[Entry]) -> String {
    newest_first.iter().rev().map(|message| format!("**{}**: {}\n\n", message.label, message.text)).collect()
}

fn invalid(error: ToolError) -> ErrorData {
    match error {
        ToolError::Data { .. } => ErrorData::internal_error(error.to_string(), None),
        _ => ErrorData::invalid_params(error.to_string(), None),
    }
}

/// Percent-encodes what RFC 3986 does not allow in a path segment.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn names_survive_a_uri() {
        for name in ["plan", "Größe 10/2", "a%2Fb", "100%", "%zz", "日本"] {
            assert_eq!(decode(&encode(name)), name);
        }
        assert_eq!(encode("a b/c"), "a%20b%2Fc");
    }
}
