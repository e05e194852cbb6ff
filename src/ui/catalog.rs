//! What a server offers, as lines to read: tools, prompts, resources, templates. The lists travel as JSON text.

use super::app::Look;
use super::theme::Role;
use crate::model::message::Catalog;
use ratatui::text::{Line, Span};
use serde::Deserialize;

/// What people want to know of a list's entry; everything else is the console's business.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uri: String,
    #[serde(default, rename = "uriTemplate")]
    uri_template: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(default, rename = "readOnlyHint")]
    read_only: bool,
}

/// The whole catalog.
pub fn lines(look: &Look, catalog: &Catalog) -> Vec<Line<'static>> {
    let dim = look.style(Role::Dim);
    let mut out = Vec::new();
    match (&catalog.error, catalog.listed_at) {
        (Some(error), _) => out.push(Line::styled(error.clone(), look.style(Role::Bad))),
        (None, Some(at)) => out.push(Line::styled(format!("listed {} ago", look.age(at)), dim)),
        (None, None) => out.push(Line::styled("never listed: it lists when it runs; s starts it", dim)),
    }
    for (title, json) in [
        ("tools", &catalog.tools),
        ("prompts", &catalog.prompts),
        ("resources", &catalog.resources),
        ("templates", &catalog.templates),
    ] {
        out.extend(section(look, title, json));
    }
    out
}

fn section(look: &Look, title: &str, json: &str) -> Vec<Line<'static>> {
    if json.is_empty() || json == "[]" {
        return Vec::new();
    }
    let Ok(entries) = serde_json::from_str::<Vec<Entry>>(json) else {
        return vec![Line::styled(
            format!("{title}: the server's list is no list of named entries"),
            look.style(Role::Bad),
        )];
    };
    let head = Line::styled(format!("{title} ({})", entries.len()), look.style(Role::Title));
    std::iter::once(head).chain(entries.iter().map(|entry| row(look, entry))).collect()
}

fn row(look: &Look, entry: &Entry) -> Line<'static> {
    let name =
        [&entry.name, &entry.uri, &entry.uri_template].into_iter().find(|n| !n.is_empty()).cloned().unwrap_or_default();
    let description = entry.description.as_deref().unwrap_or("");
    let first = description.lines().next().unwrap_or("").to_owned();
    let read_only = entry.annotations.as_ref().is_some_and(|a| a.read_only);
    Line::from(vec![
        Span::raw(format!("  {name:<24} ")),
        Span::styled(if read_only { "read-only  " } else { "" }, look.style(Role::Good)),
        Span::styled(first, look.style(Role::Dim)),
    ])
}

/// How many tools a catalog lists; `None` if it cannot be told.
pub fn tool_names(catalog: &Catalog) -> Vec<String> {
    serde_json::from_str::<Vec<Entry>>(&catalog.tools).unwrap_or_default().into_iter().map(|e| e.name).collect()
}
