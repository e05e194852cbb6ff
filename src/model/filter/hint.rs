//! Why a filter leaves nothing: a value in it that no row has, and those that there are. Imports `model` only.

use super::{Fields, Filter, Test, Value, word};
use crate::model::{Stamp, near};
use std::collections::BTreeSet;

/// Most values that are listed, and most rows that are asked.
const LISTED: usize = 10;
const ASKED: usize = 2_000;

impl Filter {
    /// For `nothing` left of `rows`: the first value asked for that no row has, and what there is instead.
    pub fn hint<T: Fields>(&self, nothing: bool, rows: &[T], now: Stamp) -> Option<String> {
        if !nothing {
            return None;
        }
        self.terms.iter().filter(|term| !term.negated).find_map(|term| match &term.test {
            Test::Begins { field, values } => missing(field, values, rows, now),
            _ => None,
        })
    }
}

fn missing<T: Fields>(field: &str, wanted: &[String], rows: &[T], now: Stamp) -> Option<String> {
    let mut there: BTreeSet<String> = BTreeSet::new();
    for row in rows.iter().take(ASKED) {
        match row.field(field, now) {
            Some(Value::Text(text)) => drop(there.insert(text.into_owned())),
            Some(Value::Texts(texts)) => there.extend(texts.into_iter().map(|text| text.into_owned())),
            _ => {}
        }
    }
    if wanted.iter().any(|value| there.iter().any(|text| word::begins(text, value))) {
        return None;
    }
    let asked = wanted.join("` or `");
    if there.is_empty() {
        return Some(format!("no row has a {field}"));
    }
    let guess = wanted.iter().find_map(|value| near::nearest(value, there.iter().map(String::as_str)));
    let guess = guess.map(|guess| format!(" (did you mean `{guess}`?)")).unwrap_or_default();
    let more = if there.len() > LISTED { ", ..." } else { "" };
    let list = there.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(format!("no {field} begins with `{asked}`{guess}; there are {list}{more}"))
}
