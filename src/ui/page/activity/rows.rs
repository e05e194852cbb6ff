//! Journal, events and consoles as rows.

use super::event_text;
use crate::model::Stamp;
use crate::model::filter::{Fields, Value};
use crate::model::message::{Event, JournalEntry};
use crate::model::snapshot::ConsoleRow;
use crate::ui::app::Look;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width};
use std::sync::Arc;

/// An act in the journal.
#[derive(Clone)]
pub struct Journal(pub Arc<JournalEntry>);

/// Something that happened.
#[derive(Clone)]
pub struct Happened(pub Arc<Event>);

/// An attached console.
#[derive(Clone)]
pub struct Console(pub Arc<ConsoleRow>);

impl Fields for Journal {
    fn names() -> &'static [&'static str] {
        JournalEntry::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.0.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.0.text(out);
    }
}

impl Row for Journal {
    type Key = (Stamp, String);

    fn key(&self) -> Self::Key {
        (self.0.at, format!("{} {}", self.0.verb, self.0.object))
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Journal>] = &[
            // The command line says act and object, too.
            Column {
                title: "time",
                width: Width::Fixed(8),
                right: false,
                wide: false,
                cell: |e, l| Cell::dim(l.time(e.0.at)),
                order: Some(|a, b| b.0.at.cmp(&a.0.at)),
            },
            Column {
                title: "who",
                width: Width::Fixed(10),
                right: false,
                wide: false,
                cell: |e, _| Cell::plain(e.0.operator.name.as_str()),
                order: Some(|a, b| a.0.operator.name.cmp(&b.0.operator.name)),
            },
            Column {
                title: "command line",
                width: Width::Flex(30, 100),
                right: false,
                wide: false,
                cell: |e, _| Cell::dim(e.0.command_line.as_str()),
                order: None,
            },
            Column {
                title: "outcome",
                width: Width::Flex(10, 40),
                right: false,
                wide: false,
                cell: outcome,
                order: Some(|a, b| a.0.outcome.cmp(&b.0.outcome)),
            },
            Column {
                title: "act",
                width: Width::Fixed(10),
                right: false,
                wide: true,
                cell: |e, _| Cell::plain(e.0.verb.as_str()),
                order: Some(|a, b| a.0.verb.cmp(&b.0.verb)),
            },
            Column {
                title: "object",
                width: Width::Flex(14, 32),
                right: false,
                wide: true,
                cell: |e, _| Cell::plain(e.0.object.as_str()),
                order: Some(|a, b| a.0.object.cmp(&b.0.object)),
            },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).unwrap_or_default()
    }
}

fn outcome(entry: &Journal, _look: &Look) -> Cell {
    if !entry.0.kept {
        return Cell::new(format!("{}, not on disk", entry.0.outcome), Role::Warn);
    }
    let role = if entry.0.outcome.starts_with("ok") { Role::Good } else { Role::Text };
    Cell::new(entry.0.outcome.as_str(), role)
}

impl Fields for Happened {
    fn names() -> &'static [&'static str] {
        Event::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.0.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.0.text(out);
    }
}

impl Row for Happened {
    type Key = (Stamp, u64);

    fn key(&self) -> Self::Key {
        (self.0.at, self.0.seq)
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Happened>] = &[
            Column {
                title: "time",
                width: Width::Fixed(8),
                right: false,
                wide: false,
                cell: |e, l| Cell::dim(l.time(e.0.at)),
                order: Some(|a, b| b.0.at.cmp(&a.0.at)),
            },
            Column { title: "event", width: Width::Flex(20, 300), right: false, wide: false, cell: fact, order: None },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).unwrap_or_default()
    }
}

fn fact(event: &Happened, _look: &Look) -> Cell {
    let (text, role) = event_text(&event.0);
    Cell::new(text, role)
}

impl Fields for Console {
    fn names() -> &'static [&'static str] {
        &["operator", "age"]
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "operator" => Some(Value::Text(self.0.operator.name.as_str().into())),
            "age" => Some(Value::Time(now.since(self.0.since))),
            _ => None,
        }
    }
    fn text(&self, out: &mut String) {
        out.push_str(&self.0.operator.name);
    }
}

impl Row for Console {
    type Key = (u32, Stamp);

    fn key(&self) -> Self::Key {
        (self.0.operator.pid, self.0.since)
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Console>] = &[
            Column {
                title: "operator",
                width: Width::Flex(12, 24),
                right: false,
                wide: false,
                cell: |c, _| Cell::plain(c.0.operator.name.as_str()),
                order: Some(|a, b| a.0.operator.name.cmp(&b.0.operator.name)),
            },
            Column {
                title: "since",
                width: Width::Fixed(6),
                right: true,
                wide: false,
                cell: |c, l| Cell::plain(l.age(c.0.since)),
                order: Some(|a, b| a.0.since.cmp(&b.0.since)),
            },
            Column {
                title: "pid",
                width: Width::Fixed(8),
                right: true,
                wide: false,
                cell: |c, _| Cell::plain(c.0.operator.pid.to_string()),
                order: None,
            },
            Column { title: "where", width: Width::Fixed(20), right: false, wide: false, cell: place, order: None },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).unwrap_or_default()
    }
}

fn place(console: &Console, _look: &Look) -> Cell {
    if console.0.local { Cell::new("the owner's screen", Role::Badge) } else { Cell::plain("attached") }
}
