//! What an instance offers, as it was listed last: kept per tenant where upstream may answer tenants differently, and per
//! client that says what it can do. Owns no I/O.

use super::context::ArgumentType;
use super::flight::lock;
use super::mirror::{self, Mirror};
use super::wire::{self, Change, Edit};
use crate::model::{Stamp, TenantId};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Views kept per instance; the oldest goes first.
const MAX_VIEWS: usize = 256;

/// The lists of one instance.
#[derive(Default)]
pub struct Lists {
    /// Grows with each change notice and each reopening.
    generation: AtomicU64,
    views: Mutex<HashMap<Whose, Arc<View>>>,
    /// Listings under way: a hundred calls that need a list ask for it once.
    asking: Mutex<HashMap<Whose, Asking>>,
}

/// Whose view it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Whose {
    /// `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// Number of a client's session; `None`: of all who say nothing of themselves.
    pub client: Option<u32>,
}

/// A listing under way.
pub type Asking = Arc<OnceCell<Arc<View>>>;

/// The four lists at one moment, as JSON texts of arrays.
#[derive(Debug)]
pub struct View {
    pub tools: String,
    pub prompts: String,
    pub resources: String,
    pub templates: String,
    pub facts: HashMap<String, ToolFacts>,
    pub listed_at: Stamp,
    pub fresh_until: Instant,
    pub generation: u64,
}

/// What the router must know of a tool.
#[derive(Clone, Debug, Default)]
pub struct ToolFacts {
    /// `annotations.readOnlyHint` is true.
    pub read_only: bool,
    /// `annotations.idempotentHint` is true.
    pub idempotent: bool,
    /// Arguments that modern HTTP repeats in headers.
    pub mirrors: Vec<Mirror>,
    /// JSON text of `inputSchema`.
    schema: Box<str>,
}

impl Lists {
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Whatever is known may have changed.
    pub fn set_stale(&self) {
        self.generation.fetch_add(1, AcqRel);
    }

    /// The newest view, stale or not. A client for which nothing was listed yet sees what all others do.
    pub fn newest(&self, whose: &Whose) -> Option<Arc<View>> {
        let views = lock(&self.views);
        let others = || views.get(&Whose { client: None, ..whose.clone() }).filter(|_| whose.client.is_some());
        views.get(whose).or_else(others).cloned()
    }

    pub fn fresh(&self, whose: &Whose) -> Option<Arc<View>> {
        let view = lock(&self.views).get(whose).cloned();
        view.filter(|v| v.generation == self.generation() && Instant::now() < v.fresh_until)
    }

    /// What is known of a tool that some client of a tenant was shown.
    pub fn facts_of(&self, tenant: &TenantId, tool: &str) -> Option<ToolFacts> {
        let views = lock(&self.views);
        let own = views.iter().filter(|(whose, _)| whose.tenant.as_ref().is_none_or(|id| id == tenant));
        own.filter_map(|(_, view)| view.facts.get(tool)).next().cloned()
    }

    /// The listing under way for this view, or a new one.
    pub fn asking(&self, whose: &Whose) -> Asking {
        lock(&self.asking).entry(whose.clone()).or_default().clone()
    }

    /// Keeps what was listed and ends the listing.
    pub fn keep(&self, whose: Whose, view: Arc<View>) {
        lock(&self.asking).remove(&whose);
        let mut views = lock(&self.views);
        if views.len() >= MAX_VIEWS && !views.contains_key(&whose) {
            let oldest = views.iter().min_by_key(|(_, v)| v.listed_at).map(|(k, _)| k.clone());
            oldest.and_then(|k| views.remove(&k));
        }
        views.insert(whose, view);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    input_schema: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Annotations {
    read_only_hint: Option<bool>,
    idempotent_hint: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Schema<'a> {
    #[serde(borrow)]
    properties: Option<HashMap<Cow<'a, str>, &'a RawValue>>,
    #[serde(borrow)]
    additional_properties: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Property<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    write_only: Option<bool>,
}

/// The facts of a `tools` array. What cannot be read has none (and so is not read-only).
pub fn facts(tools: &str) -> HashMap<String, ToolFacts> {
    let tools: Vec<&RawValue> = serde_json::from_str(tools).unwrap_or_default();
    let read = |raw: &RawValue| {
        let tool: Tool<'_> = serde_json::from_str(raw.get()).ok()?;
        let annotations: Annotations =
            tool.annotations.and_then(|a| serde_json::from_str(a.get()).ok()).unwrap_or_default();
        let schema = tool.input_schema.map_or("{}", RawValue::get);
        let facts = ToolFacts {
            read_only: annotations.read_only_hint == Some(true),
            idempotent: annotations.idempotent_hint == Some(true),
            mirrors: mirror::mirrors(schema).unwrap_or_default(),
            schema: schema.into(),
        };
        Some((tool.name.into_owned(), facts))
    };
    tools.into_iter().filter_map(read).collect()
}

impl ToolFacts {
    /// The type that the schema gives an argument that we inject.
    pub fn argument_type(&self, name: &str) -> ArgumentType {
        let schema: Schema<'_> = serde_json::from_str(&self.schema).unwrap_or_default();
        let Some(property) = schema.properties.as_ref().and_then(|p| p.get(name)) else {
            let closed = schema.additional_properties.is_some_and(|a| a.get() == "false");
            return if closed { ArgumentType::Absent } else { ArgumentType::Text };
        };
        let property: Property<'_> = serde_json::from_str(property.get()).unwrap_or_default();
        match property.kind.map(RawValue::get) {
            Some("\"integer\"") => ArgumentType::Integer,
            Some("\"number\"") => ArgumentType::Number,
            Some("\"boolean\"") => ArgumentType::Boolean,
            _ => ArgumentType::Text,
        }
    }

    /// Arguments that the schema calls secret (`writeOnly`, `format: password`).
    pub fn secret_arguments(&self) -> Vec<String> {
        let schema: Schema<'_> = serde_json::from_str(&self.schema).unwrap_or_default();
        let secret = |raw: &RawValue| {
            let p: Property<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
            p.write_only == Some(true) || p.format.is_some_and(|f| f.get() == "\"password\"")
        };
        let properties = schema.properties.unwrap_or_default();
        properties.into_iter().filter(|(_, raw)| secret(raw)).map(|(name, _)| name.into_owned()).collect()
    }
}

/// `tools` without those whose `x-mcp-header` breaks the rules: a client must not offer them over modern HTTP.
pub fn without_bad_mirrors(tools: String) -> String {
    if !tools.contains("x-mcp-header") {
        return tools;
    }
    let is_good = |raw: &&&RawValue| {
        let schema = serde_json::from_str::<Tool<'_>>(raw.get()).ok().and_then(|t| t.input_schema);
        mirror::mirrors(schema.map_or("{}", RawValue::get)).is_ok()
    };
    let raw: Vec<&RawValue> = serde_json::from_str(&tools).unwrap_or_default();
    let good: Vec<_> = raw.iter().filter(is_good).map(|t| t.get()).collect();
    format!("[{}]", good.join(","))
}

/// `tools` without the arguments that are injected. A tool whose schema cannot be edited stays as it is: what the
/// caller gives for the argument is removed all the same.
pub fn hide_arguments(tools: &str, hidden: &[(String, String)]) -> String {
    if hidden.is_empty() {
        return tools.to_owned();
    }
    let raw: Vec<&RawValue> = serde_json::from_str(tools).unwrap_or_default();
    let shown: Vec<String> =
        raw.iter().map(|t| hide_in_tool(t.get(), hidden).unwrap_or_else(|| t.get().to_owned())).collect();
    format!("[{}]", shown.join(","))
}

fn hide_in_tool(tool: &str, hidden: &[(String, String)]) -> Option<String> {
    #[derive(Deserialize)]
    struct Required<'a> {
        #[serde(borrow)]
        required: Option<Vec<&'a RawValue>>,
    }
    let members = wire::members(tool).ok()?;
    let schema = members.iter().find(|m| m.key == "inputSchema")?.text(tool);
    let is_hidden =
        |raw: &RawValue| wire::unquote(raw.get()).is_some_and(|name| hidden.iter().any(|(h, _)| *h == name));
    let required: Required<'_> = serde_json::from_str(schema).ok()?;
    let mut edits = Vec::new();
    if let Some(names) = required.required.filter(|names| names.iter().any(|n| is_hidden(n))) {
        let left: Vec<_> = names.into_iter().filter(|n| !is_hidden(n)).map(RawValue::get).collect();
        let change = if left.is_empty() { Change::Remove } else { Change::Set(format!("[{}]", left.join(",")).into()) };
        edits.push(Edit::new("required", change));
    }
    let removals = hidden.iter().map(|(name, _)| Edit::new(name.as_str(), Change::Remove)).collect();
    edits.push(Edit::new("properties", Change::Within(removals)));
    let mut out = String::with_capacity(tool.len());
    wire::splice(tool, &[Edit::new("inputSchema", Change::Within(edits))], &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: &str = r#"[{"name":"search","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object",
        "properties":{"customer_id":{"type":"integer"},"q":{"type":"string"},"pin":{"type":"string","format":"password"}},
        "required":["customer_id","q"]}},{"name":"put","inputSchema":{"type":"object","properties":{},
        "additionalProperties":false}}]"#;

    #[test]
    fn facts_say_what_a_call_needs() {
        let facts = facts(TOOLS);
        let (search, put) = (&facts["search"], &facts["put"]);
        assert!(search.read_only && !put.read_only);
        assert_eq!(search.argument_type("customer_id"), ArgumentType::Integer);
        assert_eq!(search.argument_type("other"), ArgumentType::Text);
        assert_eq!(put.argument_type("customer_id"), ArgumentType::Absent);
        assert_eq!(search.secret_arguments(), ["pin"]);
    }

    #[test]
    fn injected_arguments_are_hidden() {
        let shown = hide_arguments(TOOLS, &[("customer_id".into(), "x".into())]);
        assert!(!shown.contains("customer_id"), "{shown}");
        assert!(shown.contains(r#""required":["q"]"#), "{shown}");
        let shown = hide_arguments(TOOLS, &[("customer_id".into(), "x".into()), ("q".into(), "x".into())]);
        assert!(!shown.contains("required"), "{shown}");
    }
}
