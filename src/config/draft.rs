//! A definition that was read, with the tree it was read from, so that later checks can point at any of its keys.

use super::pass::Report;
use super::reader::{Field, Reader};
use super::tree::{Node, Place, Value};
use crate::model::slug;

/// A definition and where it stands.
pub(super) struct Draft<'t, D> {
    pub def: D,
    pub from: Field<'t>,
}

impl<'t, D> Draft<'t, D> {
    /// Where a key (or a text in a list) inside the definition stands; the nearest thing above it if it is not given.
    pub fn place(&self, path: &[&str]) -> &'t Place {
        walk(self.from.node, path)
    }

    /// Dotted key inside the definition.
    pub fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.from.key)
    }

    pub fn problem(&self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let key = self.key(&path.join("."));
        self.from.pass.problem(Report::new(self.place(path), &key, message).help(help));
    }

    pub fn warning(&self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let key = self.key(&path.join("."));
        self.from.pass.warning(Report::new(self.place(path), &key, message).help(help));
    }
}

/// Where `path` stands below `node`, as far as it is given.
pub(super) fn walk<'n>(mut node: &'n Node, path: &[&str]) -> &'n Place {
    for name in path {
        let inner = match &node.value {
            Value::Table(table) => table.get(*name).map(|entry| &entry.node),
            Value::List(items) => items.iter().find(|item| item.value.as_text() == Some(name)),
            _ => None,
        };
        let Some(inner) = inner else { break };
        node = inner;
    }
    &node.at
}

/// The tables of `[[server]]` or `[[tenant]]`, each with the id in its key.
pub(super) fn tables<'t>(root: &mut Reader<'t>, list: &'static str) -> Vec<Field<'t>> {
    let Some(items) = root.opt(list, Field::items) else { return Vec::new() };
    let named = items.into_iter().enumerate().map(|(at, item)| {
        let id = own_text(&item, "id").map(str::to_owned).or_else(|| own_text(&item, "name").map(slug));
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| (at + 1).to_string());
        Field { key: format!("{list}.{id}"), ..item }
    });
    named.collect()
}

pub(super) fn own_text<'t>(field: &Field<'t>, key: &str) -> Option<&'t str> {
    let Value::Table(table) = &field.node.value else { return None };
    table.get(key)?.node.value.as_text()
}

/// `id` and `name`: either makes the other. `None` (reported) if there is neither or the id is none.
pub(super) fn identity(from: &mut Reader<'_>) -> Option<(String, String)> {
    let given = from.has("id");
    let id = from.opt("id", |f| f.id().map(str::to_owned));
    let name = from.opt("name", |f| f.full_text().map(str::to_owned));
    match (id, name) {
        (Some(id), name) => Some((id.clone(), name.unwrap_or(id))),
        (None, Some(name)) if !given => {
            let id = slug(&name);
            if id.is_ascii() && !id.is_empty() && id.len() <= 64 {
                return Some((id, name));
            }
            let message = format!("no id can be made from the name {name:?}");
            from.pass
                .problem(Report::new(from.place("name"), &from.key, message).help("give an id: id = \"short-name\""));
            None
        }
        (None, _) if given => None,
        (None, _) if from.has("name") => None,
        (None, _) => {
            let report = Report::new(from.at, &from.key, "neither id nor name is given");
            from.pass.problem(report.help("give an id: id = \"short-name\""));
            None
        }
    }
}
