//! What is checked before a tool does anything: names that become file names, texts and numbers that have a limit.
//! Imports nothing of ours but the key of the tenant's `_meta`.

use super::TENANT_META;
use rmcp::model::{ContentBlock, IntoContents, RequestMetaObject};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

/// Letters of a name that becomes a file name, at most.
const NAME_CHARS: usize = 64;

/// Why a tool did not do it; the caller reads it as the tool's answer (`isError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// An argument is missing or out of its bounds.
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    NotFound(String),
    /// A file of the server's own cannot be read or written; where it lies is the operator's business, not the caller's.
    #[error("cannot use {file}: {reason}")]
    Data { file: String, reason: String },
    #[error("cancelled")]
    Cancelled,
}

impl ToolError {
    /// A file of ours that failed: the log gets its whole path.
    pub fn data(path: &Path, reason: impl Display) -> Self {
        tracing::error!("cannot use {}: {reason}", path.display());
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::Data { file, reason: reason.to_string() }
    }
}

impl IntoContents for ToolError {
    fn into_contents(self) -> Vec<ContentBlock> {
        vec![ContentBlock::text(self.to_string())]
    }
}

/// Accepts a name that is safe as a file name and nothing else: letters, digits, `-` and `_`.
pub fn file_name<'a>(what: &str, name: &'a str) -> Result<&'a str, ToolError> {
    let safe = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.chars().count() > NAME_CHARS || !name.chars().all(safe) {
        let shown: String = name.chars().take(NAME_CHARS).collect();
        return Err(ToolError::Argument(format!(
            "{what} {shown:?} is not 1 to {NAME_CHARS} letters, digits, `-` or `_`"
        )));
    }
    Ok(name)
}

/// Accepts a text of 1 to `most` characters that is not blank.
pub fn text<'a>(what: &str, text: &'a str, most: usize) -> Result<&'a str, ToolError> {
    let trimmed = text.trim();
    match trimmed.chars().count() {
        0 => Err(ToolError::Argument(format!("`{what}` is empty"))),
        n if n > most => Err(ToolError::Argument(format!("`{what}` has {n} characters; {most} are allowed"))),
        _ => Ok(trimmed),
    }
}

/// Accepts a number in `range`.
pub fn number<T: PartialOrd + Display + Copy>(what: &str, n: T, range: RangeInclusive<T>) -> Result<T, ToolError> {
    if range.contains(&n) {
        return Ok(n);
    }
    Err(ToolError::Argument(format!("`{what}` is {n}; {} to {} are allowed", range.start(), range.end())))
}

/// The tenant the router calls for; `None` if it does not say. A tenant that cannot be read is an error: without it
/// the call would fall into somebody else's file.
pub fn tenant(meta: &RequestMetaObject) -> Result<Option<String>, ToolError> {
    let Some(tenant) = meta.get(TENANT_META) else { return Ok(None) };
    let id = tenant.get("id").and_then(serde_json::Value::as_str);
    let id = id.ok_or_else(|| ToolError::Argument(format!("_meta[{TENANT_META:?}] has no `id` that is a string")))?;
    file_name("tenant id", id).map(|id| Some(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["eaton", "vattenfall-de", "müller_7", "A"] {
            assert_eq!(file_name("id", name), Ok(name));
        }
        let long = "a".repeat(65);
        for name in ["", ".", "..", "../eaton", "a/b", "a\\b", "a\0b", "a b", "a.db", "~", "%2e%2e", &long] {
            assert!(file_name("id", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_tenant_that_cannot_be_read_is_no_absent_tenant() {
        let meta = |value| RequestMetaObject(serde_json::from_value(json!({ TENANT_META: value })).unwrap());
        assert_eq!(tenant(&RequestMetaObject::new()), Ok(None));
        assert_eq!(tenant(&meta(json!({"id": "eaton", "name": "Eaton"}))), Ok(Some("eaton".to_owned())));
        for forged in [json!("eaton"), json!({}), json!({"id": 7}), json!({"id": "../eaton"}), json!(null)] {
            assert!(tenant(&meta(forged.clone())).is_err(), "{forged}");
        }
    }

    #[test]
    fn bounds_name_the_argument_and_what_is_allowed() {
        assert_eq!(number("limit", 20, 1..=100), Ok(20));
        assert_eq!(number("limit", 0, 1..=100).unwrap_err().to_string(), "`limit` is 0; 1 to 100 are allowed");
        assert_eq!(text("query", "  Kabel ", 10), Ok("Kabel"));
        assert_eq!(text("query", " ", 10).unwrap_err().to_string(), "`query` is empty");
        assert_eq!(text("query", "Kabel", 4).unwrap_err().to_string(), "`query` has 5 characters; 4 are allowed");
    }
}
