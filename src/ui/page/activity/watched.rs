//! What is watched, as rows.

use crate::model::Stamp;
use crate::model::filter::{Fields, Value};
use crate::ui::app::Look;
use crate::ui::watch::{Watch, Watched};
use crate::ui::widget::table::{Cell, Column, Row, Width};
use std::borrow::Cow;
use std::cmp::Ordering;

impl Fields for Watch {
    fn names() -> &'static [&'static str] {
        &["object", "state", "changes", "age"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "object" => Some(Value::Text(Cow::Borrowed(&self.name))),
            "state" => Some(Value::Text(Cow::Borrowed(&self.now.word))),
            "changes" => Some(Value::Number(f64::from(self.changes))),
            "age" => Some(Value::Time(now.since(self.since))),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        for text in [&self.name, &self.now.word, &self.now.why] {
            out.push_str(text);
            out.push('\n');
        }
    }
}

impl Row for Watch {
    type Key = Watched;

    fn key(&self) -> Watched {
        self.what.clone()
    }

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::json!({
            "object": self.name, "state": self.now.word, "why": self.now.why, "since": self.since,
            "changes": self.changes,
        })
        .to_string()
    }
}

const fn column(
    title: &'static str,
    width: Width,
    cell: fn(&Watch, &Look) -> Cell,
    order: fn(&Watch, &Watch) -> Ordering,
) -> Column<Watch> {
    Column { title, width, right: false, wide: false, cell, order: Some(order) }
}

static COLUMNS: &[Column<Watch>] = &[
    column("object", Width::Flex(12, 32), |w, _| Cell::plain(&w.name), |a, b| a.name.cmp(&b.name)),
    column(
        "now",
        Width::Flex(12, 28),
        |w, _| Cell::new(&w.now.word, w.now.role()),
        |a, b| b.now.level.cmp(&a.now.level),
    ),
    column("since", Width::Fixed(8), |w, look| Cell::dim(look.time(w.since)), |a, b| b.since.cmp(&a.since)),
    Column {
        right: true,
        ..column(
            "changes",
            Width::Fixed(7),
            |w, _| Cell::plain(w.changes.to_string()),
            |a, b| b.changes.cmp(&a.changes),
        )
    },
    column("why", Width::Flex(14, 80), |w, _| Cell::dim(&w.now.why), |a, b| a.now.why.cmp(&b.now.why)),
];
