//! A row of Traffic: a finished call, or one that is not answered yet.

use crate::model::call::{CallId, CallRecord, PendingCall};
use crate::model::filter::{Fields, Value};
use crate::model::{InstanceKey, ServerId, Stamp, TenantId};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width, descending};
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub enum CallRow {
    Pending(Arc<PendingCall>),
    Done(Arc<CallRecord>),
}

impl CallRow {
    pub fn id(&self) -> CallId {
        match self {
            Self::Pending(call) => call.id,
            Self::Done(call) => call.id,
        }
    }

    pub fn at(&self) -> Stamp {
        match self {
            Self::Pending(call) => call.at,
            Self::Done(call) => call.at,
        }
    }

    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Pending(call) => &call.tenant,
            Self::Done(call) => &call.tenant,
        }
    }

    pub fn server(&self) -> &ServerId {
        match self {
            Self::Pending(call) => &call.server,
            Self::Done(call) => &call.server,
        }
    }

    pub fn instance(&self) -> Option<&InstanceKey> {
        match self {
            Self::Pending(call) => call.instance.as_ref(),
            Self::Done(call) => call.instance.as_ref(),
        }
    }

    pub fn method(&self) -> &str {
        match self {
            Self::Pending(call) => &call.method,
            Self::Done(call) => &call.method,
        }
    }

    pub fn tool(&self) -> Option<&str> {
        match self {
            Self::Pending(call) => call.tool.as_deref(),
            Self::Done(call) => call.tool.as_deref(),
        }
    }

    pub fn done(&self) -> Option<&Arc<CallRecord>> {
        match self {
            Self::Pending(_) => None,
            Self::Done(call) => Some(call),
        }
    }

    fn took_us(&self) -> u64 {
        self.done().map_or(u64::MAX, |call| call.took_us)
    }

    fn size(&self) -> u64 {
        self.done().map_or(0, |call| call.request_bytes.saturating_add(call.response_bytes))
    }
}

impl Fields for CallRow {
    fn names() -> &'static [&'static str] {
        CallRecord::names()
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match self {
            Self::Pending(call) => call.field(name, now),
            Self::Done(call) => call.field(name, now),
        }
    }

    fn text(&self, out: &mut String) {
        match self {
            Self::Pending(call) => call.text(out),
            Self::Done(call) => call.text(out),
        }
    }
}

impl Row for CallRow {
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

type Order = fn(&CallRow, &CallRow) -> Ordering;

const fn column(
    title: &'static str,
    width: Width,
    cell: fn(&CallRow, &Look) -> Cell,
    order: Option<Order>,
) -> Column<CallRow> {
    Column { title, width, right: false, wide: false, cell, order }
}

/// What says most comes first, so that it is still there at 40 columns.
static COLUMNS: &[Column<CallRow>] = &[
    column("time", Width::Fixed(8), |row, look| Cell::dim(look.time(row.at())), Some(|a, b| b.at().cmp(&a.at()))),
    column("customer", Width::Steps(&[(0, 9), (70, 13), (110, 18)]), customer, Some(|a, b| a.tenant().cmp(b.tenant()))),
    column("server", Width::Flex(8, 18), server, Some(|a, b| a.server().cmp(b.server()))),
    column("outcome", Width::Fixed(10), outcome, Some(|a, b| rank(a).cmp(&rank(b)))),
    Column { right: true, ..column("took", Width::Fixed(7), took, Some(|a, b| descending(a.took_us(), b.took_us()))) },
    column("tool", Width::Flex(16, 28), tool, Some(|a, b| a.tool().cmp(&b.tool()))),
    Column { right: true, ..column("size", Width::Fixed(8), size, Some(|a, b| descending(a.size(), b.size()))) },
    column("method", Width::Flex(10, 24), |row, _| Cell::dim(row.method()), Some(|a, b| a.method().cmp(b.method()))),
    column("era", Width::Fixed(6), era, None),
    Column { wide: true, ..column("origin", Width::Fixed(7), origin, None) },
    Column { wide: true, ..column("by", Width::Flex(8, 16), by, None) },
    Column { wide: true, ..column("error", Width::Flex(10, 60), error, None) },
];

fn customer(row: &CallRow, _look: &Look) -> Cell {
    Cell::plain(row.tenant().as_str())
}

fn server(row: &CallRow, _look: &Look) -> Cell {
    Cell::plain(row.server().as_str())
}

fn tool(row: &CallRow, _look: &Look) -> Cell {
    Cell::plain(row.tool().unwrap_or("-"))
}

fn outcome(row: &CallRow, _look: &Look) -> Cell {
    match row {
        CallRow::Pending(call) if call.waking => Cell::new("waking", Role::Work),
        CallRow::Pending(call) => {
            let text = call.progress.map_or_else(|| "in flight".to_owned(), |p| format!("at {p:.0}%"));
            Cell::new(text, Role::Busy)
        }
        CallRow::Done(call) => Cell::new(call.outcome.name(), Role::of_outcome(call.outcome)),
    }
}

/// Failed first, then tool errors and cancelled ones, then what is in flight, then what went well.
fn rank(row: &CallRow) -> u8 {
    match row.done() {
        Some(call) if call.outcome.is_error() => 0,
        Some(call) if call.outcome == crate::model::Outcome::Ok => 3,
        Some(_) => 1,
        None => 2,
    }
}

fn took(row: &CallRow, look: &Look) -> Cell {
    match row {
        CallRow::Pending(call) => Cell::new(fmt::running(look.now.since(call.at)), Role::Busy),
        CallRow::Done(call) => Cell::plain(fmt::took(call.took_us)),
    }
}

fn size(row: &CallRow, _look: &Look) -> Cell {
    Cell::dim(row.done().map(|_| fmt::bytes(row.size())).unwrap_or_default())
}

fn era(row: &CallRow, _look: &Look) -> Cell {
    Cell::dim(row.done().and_then(|call| call.era).map_or("-", |era| era.name()))
}

fn origin(row: &CallRow, _look: &Look) -> Cell {
    Cell::dim(match row {
        CallRow::Pending(call) => call.origin.name(),
        CallRow::Done(call) => call.origin.name(),
    })
}

fn by(row: &CallRow, _look: &Look) -> Cell {
    Cell::dim(match row {
        CallRow::Pending(call) => call.principal.as_str(),
        CallRow::Done(call) => call.principal.as_str(),
    })
}

fn error(row: &CallRow, _look: &Look) -> Cell {
    Cell::new(row.done().and_then(|call| call.error.clone()).unwrap_or_default(), Role::Bad)
}
