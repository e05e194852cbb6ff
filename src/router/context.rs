//! Tenant context: what is put into each call, and what of the caller's is removed for it. Pure.

use super::mirror;
use super::wire::{Change, Edit, quote};
use crate::model::template::{Hole, Template};
use crate::model::{ServerDef, TenantDef};
use hyper::header::{HeaderName, HeaderValue};
use std::borrow::Cow;

/// The `_meta` key that holds the tenant.
pub const TENANT_KEY: &str = "io.mcpdeck/tenant";

/// What one tenant's calls to one server get, placeholders filled in.
#[derive(Clone, Debug, Default)]
pub struct Injection {
    /// JSON text for [`TENANT_KEY`]. Without it a key of that name is still removed: nobody else may set it.
    pub meta: Option<String>,
    /// Tool arguments: name and text.
    pub arguments: Vec<(String, String)>,
    /// Headers of each request to an HTTP upstream.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The JSON type that a tool's schema gives an injected argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentType {
    /// Unknown, or any text.
    Text,
    Number,
    Integer,
    Boolean,
    /// The schema allows no such argument: it is left out.
    Absent,
}

impl Injection {
    /// Fills in the server's templates for the tenant.
    pub fn new(tenant: &TenantDef, server: &ServerDef) -> Result<Self, String> {
        let fill = |template: &Template| fill(template, tenant, server);
        let mut arguments = Vec::new();
        for (name, template) in &server.inject.arguments {
            arguments.push((name.clone(), fill(template)?));
        }
        let mut headers = Vec::new();
        for (name, template) in &server.inject.headers {
            headers.push(header(name, &fill(template)?)?);
        }
        let meta = server.inject.meta.then(|| tenant_json(tenant));
        Ok(Self { meta, arguments, headers })
    }

    /// True if upstream may answer each tenant differently for what we put in (apart from tool arguments).
    pub fn varies(&self) -> bool {
        self.meta.is_some() || !self.headers.is_empty()
    }

    /// The edit of `_meta`.
    pub fn meta_edit(&self) -> Edit<'_> {
        let change = match &self.meta {
            Some(json) => Change::Set(Cow::Borrowed(json.as_str())),
            None => Change::Remove,
        };
        Edit::new(TENANT_KEY, change)
    }

    /// The edits of a tool's arguments.
    pub fn argument_edits(&self, type_of: impl Fn(&str) -> ArgumentType) -> Vec<Edit<'_>> {
        let edits = self.arguments.iter().map(|(name, text)| {
            let change = match argument_json(type_of(name), text) {
                Some(json) => Change::Set(Cow::Owned(json)),
                None => Change::Remove,
            };
            Edit::new(name.as_str(), change)
        });
        edits.collect()
    }
}

/// `text` as JSON of the wanted type; what does not parse as such stays a string, for the tool to refuse.
fn argument_json(wanted: ArgumentType, text: &str) -> Option<String> {
    let plain = match wanted {
        ArgumentType::Absent => return None,
        ArgumentType::Text => false,
        ArgumentType::Integer => text.parse::<i64>().is_ok(),
        ArgumentType::Number => serde_json::from_str::<serde_json::Number>(text).is_ok(),
        ArgumentType::Boolean => matches!(text, "true" | "false"),
    };
    // `+5` and `007` parse in Rust and are no JSON.
    let plain = plain && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    Some(if plain { text.to_owned() } else { quote(text) })
}

fn tenant_json(tenant: &TenantDef) -> String {
    let context: Vec<_> = tenant.context.iter().map(|(k, v)| format!("{}:{}", quote(k), quote(v))).collect();
    format!(
        r#"{{"id":{},"name":{},"context":{{{}}}}}"#,
        quote(tenant.id.as_str()),
        quote(&tenant.name),
        context.join(",")
    )
}

fn fill(template: &Template, tenant: &TenantDef, server: &ServerDef) -> Result<String, String> {
    let value = |hole: &Hole| match hole {
        Hole::TenantId => Some(tenant.id.to_string()),
        Hole::TenantName => Some(tenant.name.clone()),
        Hole::TenantEnvironment => Some(format!("{:?}", tenant.environment).to_lowercase()),
        Hole::Context(key) => tenant.context.get(key).cloned(),
        Hole::Config(key) => tenant.servers.get(&server.id).and_then(|o| o.config.get(key)).cloned(),
        Hole::ServerId => Some(server.id.to_string()),
        // A folder of the machine that the instance runs on means nothing in a message.
        Hole::Data | Hole::Router => None,
    };
    template.render(tenant.id.as_str(), value).map_err(|e| format!("cannot inject into `{}`: {e}", server.id))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = name.parse::<HeaderName>().map_err(|_| format!("`{name}` is no header name"))?;
    if mirror::is_reserved(&parsed) {
        return Err(format!("header `{name}` is set by the router and cannot be injected"));
    }
    let value = HeaderValue::from_bytes(value.as_bytes());
    Ok((parsed, value.map_err(|_| format!("the value for header `{name}` has control characters"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_take_the_type_of_the_schema_where_they_parse() {
        for (wanted, text, json) in [
            (ArgumentType::Text, "7", Some("\"7\"")),
            (ArgumentType::Integer, "7", Some("7")),
            (ArgumentType::Integer, "007", Some("\"007\"")),
            (ArgumentType::Integer, "+7", Some("\"+7\"")),
            (ArgumentType::Integer, "x", Some("\"x\"")),
            (ArgumentType::Number, "7.5", Some("7.5")),
            (ArgumentType::Boolean, "true", Some("true")),
            (ArgumentType::Boolean, "yes", Some("\"yes\"")),
            (ArgumentType::Absent, "x", None),
        ] {
            assert_eq!(argument_json(wanted, text).as_deref(), json, "{wanted:?} {text}");
        }
    }
}
