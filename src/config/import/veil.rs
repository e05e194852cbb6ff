//! Hides plain secrets in a foreign file before anything is said about it: letters become `x`, digits `1`, so that every
//! place stays where it is and every value keeps its kind.

use super::super::tree::{Node, Value};
use super::values::{has_variable, holds_secret, secret_argument, url_secrets};
use std::ops::Range;

/// `text` without the secrets that stand in it; `None` if there are none.
pub fn veiled(text: &str, root: &Node) -> Option<String> {
    let mut found = Vec::new();
    find(text, root, false, &mut found);
    if found.is_empty() {
        return None;
    }
    let hidden = |at: usize| found.iter().any(|range| range.contains(&at));
    let veil = |(at, c): (usize, char)| match c {
        c if !hidden(at) => c.to_string(),
        c if c.is_ascii_digit() => "1".to_owned(),
        // As many bytes as before.
        c if c.is_alphanumeric() => "x".repeat(c.len_utf8()),
        c => c.to_string(),
    };
    Some(text.char_indices().map(veil).collect())
}

fn find(text: &str, node: &Node, secret: bool, found: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Table(table) => {
            for (name, entry) in table {
                find(text, &entry.node, holds_secret(name, &entry.node.value), found);
            }
        }
        Value::List(items) => {
            let mut follows = false;
            for item in items {
                let argument = item.value.as_text().map(secret_argument).unwrap_or_default();
                if argument.holds {
                    found.push(item.at.span.clone());
                }
                find(text, item, secret || follows, found);
                follows = argument.announces;
            }
        }
        Value::Text(value) if secret && !value.is_empty() && !has_variable(value) => {
            for line in value.lines().filter(|line| !line.trim().is_empty()) {
                // A text of many lines reaches further than its place says.
                let rest = text.get(node.at.span.start..).unwrap_or_default();
                let from = rest.find(line).map(|at| node.at.span.start + at);
                found.push(from.map_or_else(|| node.at.span.clone(), |at| at..at + line.len()));
            }
        }
        Value::Integer(_) | Value::Float(_) if secret => found.push(node.at.span.clone()),
        Value::Text(value) => {
            let written = text.get(node.at.span.clone()).unwrap_or_default();
            for part in url_secrets(value) {
                if let Some(at) = written.find(part) {
                    let from = node.at.span.start + at;
                    found.push(from..from + part.len());
                }
            }
        }
        _ => {}
    }
}
