//! A tree as text: our TOML, each table with the place that it comes from, or JSON.

use super::super::tree::{Entry, Node, Table, Value};
use serde_json::{Map, Number};

/// Keys that stand first in a table.
const FIRST: [&str; 2] = ["id", "name"];

/// The tree as TOML that reads as the same tree.
pub fn toml(root: &Table) -> String {
    let mut out = String::new();
    body(root, "", &mut out);
    out
}

/// The values of a table, then its own tables under their headers.
fn body(table: &Table, path: &str, out: &mut String) {
    let (below, here): (Vec<_>, Vec<_>) = ordered(table).into_iter().partition(|(_, entry)| has_header(&entry.node));
    for (name, entry) in here {
        out.push_str(&format!("{} = {}\n", key(name), inline(&entry.node)));
    }
    for (name, entry) in below {
        let path = if path.is_empty() { key(name) } else { format!("{path}.{}", key(name)) };
        match &entry.node.value {
            Value::List(items) => {
                for item in items {
                    let Value::Table(inner) = &item.value else { continue };
                    out.push_str(&format!("\n# {}\n[[{path}]]\n", item.at.label()));
                    body(inner, &path, out);
                }
            }
            Value::Table(inner) => {
                if inner.values().any(|entry| !has_header(&entry.node)) {
                    out.push_str(&format!("\n[{path}]\n"));
                }
                body(inner, &path, out);
            }
            _ => {}
        }
    }
}

fn ordered(table: &Table) -> Vec<(&String, &Entry)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    entries
}

/// A list of tables, or a table that is more than one line.
fn has_header(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Table(_))),
        Value::Table(table) => table.values().any(|entry| matches!(entry.node.value, Value::Table(_))),
        _ => false,
    }
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Bool(flag) => flag.to_string(),
        Value::Time(text) => text.clone(),
        Value::Nothing => "\"\"".to_owned(),
        Value::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pair = |(name, entry): (&String, &Entry)| format!("{} = {}", key(name), inline(&entry.node));
            format!("{{ {} }}", ordered(table).into_iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    // JSON escapes what TOML does, but for one character.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The tree as JSON.
pub fn json(root: &Table) -> serde_json::Value {
    serde_json::Value::Object(
        root.iter().map(|(name, entry)| (name.clone(), value(&entry.node))).collect::<Map<_, _>>(),
    )
}

fn value(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Text(text) | Value::Time(text) => serde_json::Value::String(text.clone()),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => Number::from_f64(*number).map_or(serde_json::Value::Null, serde_json::Value::Number),
        Value::Bool(flag) => (*flag).into(),
        Value::Nothing => serde_json::Value::Null,
        Value::List(items) => items.iter().map(value).collect(),
        Value::Table(table) => json(table),
    }
}
