//! A row of Traffic: a finished call, or one that is not answered yet.

use crate::model::call::{Call, CallId};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width, descending};
use std::cmp::Ordering;

fn took_us(call: &Call) -> u64 {
    call.done().map_or(u64::MAX, |call| call.took_us)
}

fn bytes_of(call: &Call) -> u64 {
    call.done().map_or(0, |call| call.request_bytes.saturating_add(call.response_bytes))
}

impl Row for Call {
    type Key = CallId;

    fn key(&self) -> CallId {
        self.id()
    }

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }

    fn json(&self) -> String {
        match self {
            Self::Pending(call) => serde_json::to_string(&**call),
            Self::Done(call) => serde_json::to_string(&**call),
        }
        .unwrap_or_default()
    }
}

type Order = fn(&Call, &Call) -> Ordering;

const fn column(
    title: &'static str,
    width: Width,
    cell: fn(&Call, &Look) -> Cell,
    order: Option<Order>,
) -> Column<Call> {
    Column { title, width, right: false, wide: false, cell, order }
}

/// What says most comes first, so that it is still there at 40 columns.
static COLUMNS: &[Column<Call>] = &[
    column("time", Width::Fixed(8), |row, look| Cell::dim(look.time(row.at())), Some(|a, b| b.at().cmp(&a.at()))),
    column("customer", Width::Steps(&[(0, 9), (70, 13), (110, 18)]), customer, Some(|a, b| a.tenant().cmp(b.tenant()))),
    column("server", Width::Flex(8, 18), server, Some(|a, b| a.server().cmp(b.server()))),
    column("outcome", Width::Fixed(10), outcome, Some(|a, b| rank(a).cmp(&rank(b)))),
    Column { right: true, ..column("took", Width::Fixed(7), took, Some(|a, b| descending(took_us(a), took_us(b)))) },
    column("tool", Width::Flex(16, 28), tool, Some(|a, b| a.tool().cmp(&b.tool()))),
    Column { right: true, ..column("size", Width::Fixed(8), size, Some(|a, b| descending(bytes_of(a), bytes_of(b)))) },
    column("method", Width::Flex(10, 24), |row, _| Cell::dim(row.method()), Some(|a, b| a.method().cmp(b.method()))),
    column("era", Width::Fixed(6), era, None),
    Column { wide: true, ..column("origin", Width::Fixed(7), origin, None) },
    Column { wide: true, ..column("by", Width::Flex(8, 16), by, None) },
    Column { wide: true, ..column("error", Width::Flex(10, 60), error, None) },
];

fn customer(row: &Call, _look: &Look) -> Cell {
    Cell::plain(row.tenant().as_str())
}

fn server(row: &Call, _look: &Look) -> Cell {
    Cell::plain(row.server().as_str())
}

fn tool(row: &Call, _look: &Look) -> Cell {
    Cell::plain(row.tool().unwrap_or("-"))
}

fn outcome(row: &Call, _look: &Look) -> Cell {
    match row {
        Call::Pending(call) if call.waking => Cell::new("waking", Role::Work),
        Call::Pending(call) => {
            let text = call.progress.map_or_else(|| "in flight".to_owned(), |p| format!("at {p:.0}%"));
            Cell::new(text, Role::Busy)
        }
        Call::Done(call) => Cell::new(call.outcome.name(), Role::of_outcome(call.outcome)),
    }
}

/// Failed first, then tool errors and cancelled ones, then what is in flight, then what went well.
fn rank(row: &Call) -> u8 {
    match row.done() {
        Some(call) if call.outcome.is_error() => 0,
        Some(call) if call.outcome == crate::model::Outcome::Ok => 3,
        Some(_) => 1,
        None => 2,
    }
}

fn took(row: &Call, look: &Look) -> Cell {
    match row {
        Call::Pending(call) => Cell::new(fmt::running(look.now.since(call.at)), Role::Busy),
        Call::Done(call) => Cell::plain(fmt::took(call.took_us)),
    }
}

fn size(row: &Call, _look: &Look) -> Cell {
    Cell::dim(row.done().map(|_| fmt::bytes(bytes_of(row))).unwrap_or_default())
}

fn era(row: &Call, _look: &Look) -> Cell {
    Cell::dim(row.done().and_then(|call| call.era).map_or("-", |era| era.name()))
}

fn origin(row: &Call, _look: &Look) -> Cell {
    Cell::dim(row.origin().name())
}

fn by(row: &Call, _look: &Look) -> Cell {
    Cell::dim(row.principal())
}

fn error(row: &Call, _look: &Look) -> Cell {
    Cell::new(row.done().and_then(|call| call.error.clone()).unwrap_or_default(), Role::Bad)
}
