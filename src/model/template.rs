//! Text with placeholders: `{tenant.id}`, `{tenant.name}`, `{tenant.environment}`, `{tenant.context.KEY}`,
//! `{config.KEY}`, `{server.id}`, `{data}` (the instance's data folder), `{router}` (in the environment of a stack's part). `{{` and `}}` are literal braces.
//! A secret is never a placeholder: it has its own value form, so that it cannot end up in a shown text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Parsed text with placeholders.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Text(String),
    Hole(Hole),
}

/// A placeholder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hole {
    TenantId,
    TenantName,
    TenantEnvironment,
    Context(String),
    Config(String),
    ServerId,
    Data,
    /// Where a part of a stack reaches the router.
    Router,
}

/// Why a text is no template, or cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{` without `}}` (write `{{{{` for a brace)")]
    Open,
    #[error("`}}` without `{{` (write `}}}}` for a brace)")]
    Close,
    #[error(
        "unknown placeholder `{{{0}}}`; allowed: tenant.id, tenant.name, tenant.environment, tenant.context.KEY, config.KEY, server.id, data"
    )]
    Unknown(String),
    #[error("`{{{hole}}}` has no value for {whom}")]
    Missing { hole: String, whom: String },
}

impl Template {
    /// Parses `text`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..];
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.push_str(&brace[..1]);
                rest = after;
            } else if let Some(after) = brace.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or(TemplateError::Open)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Hole(Hole::parse(name.trim())?));
                rest = after;
            } else {
                return Err(TemplateError::Close);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { source: text.to_owned(), parts })
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The placeholders in it, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|p| match p {
            Part::Hole(h) => Some(h),
            Part::Text(_) => None,
        })
    }

    /// Fills it in; `value` answers one placeholder, `whom` names the instance or tenant in an error.
    pub fn render(&self, whom: &str, value: impl Fn(&Hole) -> Option<String>) -> Result<String, TemplateError> {
        let mut out = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole(hole) => out.push_str(
                    &value(hole)
                        .ok_or_else(|| TemplateError::Missing { hole: hole.to_string(), whom: whom.to_owned() })?,
                ),
            }
        }
        Ok(out)
    }
}

impl Hole {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        Ok(match name {
            "tenant.id" => Self::TenantId,
            "tenant.name" => Self::TenantName,
            "tenant.environment" => Self::TenantEnvironment,
            "server.id" => Self::ServerId,
            "data" => Self::Data,
            "router" => Self::Router,
            _ => match (name.strip_prefix("tenant.context."), name.strip_prefix("config.")) {
                (Some(key), _) if !key.is_empty() => Self::Context(key.to_owned()),
                (_, Some(key)) if !key.is_empty() => Self::Config(key.to_owned()),
                _ => return Err(TemplateError::Unknown(name.to_owned())),
            },
        })
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TenantId => f.write_str("tenant.id"),
            Self::TenantName => f.write_str("tenant.name"),
            Self::TenantEnvironment => f.write_str("tenant.environment"),
            Self::Context(key) => write!(f, "tenant.context.{key}"),
            Self::Config(key) => write!(f, "config.{key}"),
            Self::ServerId => f.write_str("server.id"),
            Self::Data => f.write_str("data"),
            Self::Router => f.write_str("router"),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_and_names_what_is_missing() {
        let t = Template::parse("/srv/{tenant.id}/{{x}}/{tenant.context.repo}").unwrap();
        let out = t.render("git@eaton", |h| match h {
            Hole::TenantId => Some("eaton".into()),
            Hole::Context(k) if k == "repo" => Some("r".into()),
            _ => None,
        });
        assert_eq!(out.unwrap(), "/srv/eaton/{x}/r");
        let err = t.render("git@eaton", |_| None).unwrap_err();
        assert_eq!(err.to_string(), "`{tenant.id}` has no value for git@eaton");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in ["{tenant.secret.x}", "{", "}", "{tenant.context.}", "{}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
