//! A row of Traffic's tables: calls of one customer, server or tool, counted together.

use crate::model::Outcome;
use crate::model::summary::Group;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width, descending};
use std::cmp::Ordering;

impl Row for Group {
    type Key = (String, Option<String>);

    fn key(&self) -> Self::Key {
        (self.name.clone(), self.tool.clone())
    }

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

type Order = fn(&Group, &Group) -> Ordering;

const fn number(title: &'static str, columns: u16, cell: fn(&Group, &Look) -> Cell, order: Order) -> Column<Group> {
    Column { title, width: Width::Fixed(columns), right: true, wide: false, cell, order: Some(order) }
}

/// A column for the calls that ended in one way.
macro_rules! outcome {
    ($outcome:ident, $title:literal, $columns:literal) => {
        number(
            $title,
            $columns,
            |row, _| count(row.count(Outcome::$outcome), Role::of_outcome(Outcome::$outcome)),
            |a, b| b.count(Outcome::$outcome).cmp(&a.count(Outcome::$outcome)),
        )
    };
}

static COLUMNS: &[Column<Group>] = &[
    Column {
        title: "whose",
        width: Width::Flex(24, 40),
        right: false,
        wide: false,
        cell: |row, _| match &row.tool {
            Some(tool) => Cell::plain(format!("{} {tool}", row.name)),
            None => Cell::plain(&row.name),
        },
        order: Some(|a, b| (&a.name, &a.tool).cmp(&(&b.name, &b.tool))),
    },
    number("calls", 6, |row, _| Cell::plain(row.calls.to_string()), |a, b| b.calls.cmp(&a.calls)),
    number("failed", 6, |row, _| count(row.errors(), Role::Bad), |a, b| b.errors().cmp(&a.errors())),
    number("p50", 7, |row, _| Cell::plain(fmt::took(row.p50_us)), |a, b| descending(a.p50_us, b.p50_us)),
    number("p95", 7, |row, _| Cell::plain(fmt::took(row.p95_us)), |a, b| descending(a.p95_us, b.p95_us)),
    number("p99", 7, |row, _| Cell::plain(fmt::took(row.p99_us)), |a, b| descending(a.p99_us, b.p99_us)),
    number("max", 7, |row, _| Cell::dim(fmt::took(row.max_us)), |a, b| descending(a.max_us, b.max_us)),
    outcome!(Timeout, "timeout", 7),
    outcome!(Auth, "auth", 5),
    outcome!(Transport, "transport", 9),
    outcome!(Protocol, "protocol", 8),
    outcome!(Refused, "refused", 7),
    outcome!(Tool, "tool", 5),
    outcome!(Cancelled, "cancelled", 9),
];

/// Nothing is the normal case and does not stand out.
fn count(calls: u32, role: Role) -> Cell {
    if calls == 0 { Cell::dim("-") } else { Cell::new(calls.to_string(), role) }
}
