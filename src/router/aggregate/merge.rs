//! The lists of all servers of a tenant as one. Pure.

use super::super::table::Route;
use super::super::wire::{self, Edit};
use super::names::{is_short, split_name, wrap_uri};
use crate::model::server::TOOL_NAME_MAX;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Items of one page.
const PAGE: usize = 1000;

/// What of a server goes into a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }

    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// Where the items stand in a result.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// What tells one item from another.
    fn name(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }
}

/// A merged list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// JSON texts, in the order of the servers' ids.
    pub items: Vec<String>,
    /// What had to be left out, and why.
    pub left_out: Vec<String>,
}

impl Merged {
    /// Adds one server's items (JSON text of an array).
    pub fn add(&mut self, kind: Kind, routes: &[&Arc<Route>], route: &Arc<Route>, items: &str) {
        let items: Vec<&RawValue> = serde_json::from_str(items).unwrap_or_default();
        for item in items {
            match rename(kind, routes, route, item.get()) {
                Ok(item) => self.items.push(item),
                Err(why) => self.left_out.push(format!("{}: {why}", route.server.id)),
            }
        }
    }

    /// The page that `cursor` names, and the cursor of the next one.
    pub fn page(&self, cursor: Option<&str>) -> Result<(&[String], Option<String>), String> {
        let at = match cursor {
            None => 0,
            Some(cursor) => {
                let at = cursor.strip_prefix('p').and_then(|at| at.parse().ok()).filter(|at| *at <= self.items.len());
                at.ok_or_else(|| format!("unknown cursor `{cursor}`"))?
            }
        };
        let end = (at + PAGE).min(self.items.len());
        Ok((&self.items[at..end], (end < self.items.len()).then(|| format!("p{end}"))))
    }
}

fn rename(kind: Kind, routes: &[&Arc<Route>], route: &Arc<Route>, item: &str) -> Result<String, String> {
    let members = wire::members(item).map_err(|e| e.to_string())?;
    let name = members.iter().find(|m| m.key == kind.name()).and_then(|m| wire::unquote(m.text(item)));
    let name = name.ok_or_else(|| format!("an item has no {}", kind.name()))?;
    let ours = match kind {
        Kind::Tools | Kind::Prompts => {
            let ours = format!("{}{name}", route.prefix);
            if !is_short(&ours) {
                return Err(format!("`{ours}` has more than {TOOL_NAME_MAX} characters: give it a shorter prefix"));
            }
            if split_name(routes, &ours).is_none_or(|(meant, _)| meant.server.id != route.server.id) {
                return Err(format!("`{ours}` would be taken for a tool of another server: give it a prefix"));
            }
            ours
        }
        Kind::Resources | Kind::Templates => wrap_uri(&route.server.id, &name),
    };
    let mut out = String::with_capacity(item.len() + 32);
    wire::splice(item, &[Edit::set(kind.name(), wire::quote(&ours))], &mut out).map_err(|e| e.to_string())?;
    Ok(out)
}
