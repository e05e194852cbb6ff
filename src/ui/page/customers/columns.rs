//! Customers as rows.

use crate::model::filter::{Fields, Value};
use crate::model::snapshot::TenantRow;
use crate::model::{Snapshot, Stamp, State, TenantId};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, GPU, Row, Width, descending, gpu, hides_gpu};
use std::cmp::Ordering;
use std::sync::Arc;

/// A customer.
#[derive(Clone)]
pub struct Customer(pub Arc<TenantRow>);

impl Fields for Customer {
    fn names() -> &'static [&'static str] {
        TenantRow::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.0.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.0.text(out);
    }
}

impl Row for Customer {
    type Key = TenantId;

    fn key(&self) -> TenantId {
        self.0.def.id.clone()
    }

    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }

    fn hides(column: &C, snap: &Snapshot) -> bool {
        hides_gpu(column, snap)
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).unwrap_or_default()
    }
}

type C = Column<Customer>;
type Order = Option<fn(&Customer, &Customer) -> Ordering>;

const fn column(title: &'static str, width: u16, cell: fn(&Customer, &Look) -> Cell, order: Order) -> C {
    Column { title, width: Width::Fixed(width), right: false, wide: false, cell, order }
}

const fn number(title: &'static str, width: u16, cell: fn(&Customer, &Look) -> Cell, order: Order) -> C {
    Column { right: true, ..column(title, width, cell, order) }
}

const COLUMNS: &[C] = &[
    Column { width: Width::Flex(16, 32), ..column("customer", 16, name, Some(|a, b| a.0.def.name.cmp(&b.0.def.name))) },
    column("env", 10, environment, Some(|a, b| b.0.def.environment.cmp(&a.0.def.environment))),
    column("worst", 10, worst, Some(|a, b| worst_of(b).map(State::severity).cmp(&worst_of(a).map(State::severity)))),
    number("on", 3, enabled, Some(|a, b| descending(enabled_of(a), enabled_of(b)))),
    number("inst", 4, |c, l| counted(c.0.instances, l), Some(|a, b| descending(a.0.instances, b.0.instances))),
    number("fly", 4, |c, l| counted(c.0.in_flight, l), Some(|a, b| descending(a.0.in_flight, b.0.in_flight))),
    number("oldest", 7, oldest, None),
    number("c/s", 5, |c, _| Cell::plain(fmt::rate(c.0.rate)), Some(|a, b| descending(a.0.rate, b.0.rate))),
    number("p95ms", 5, |c, _| Cell::plain(fmt::millis(c.0.p95_ms)), Some(|a, b| descending(a.0.p95_ms, b.0.p95_ms))),
    number("err5m", 5, errors, Some(|a, b| descending(a.0.errors, b.0.errors))),
    number("cpu%", 5, cpu, Some(|a, b| descending(a.0.usage.cpu, b.0.usage.cpu))),
    number("MiB", 6, memory, Some(|a, b| descending(a.0.usage.memory, b.0.usage.memory))),
    number(
        GPU,
        6,
        |c, _| gpu(c.0.usage.gpu_memory),
        Some(|a, b| descending(a.0.usage.gpu_memory, b.0.usage.gpu_memory)),
    ),
    number("last call", 9, last_call, Some(|a, b| descending(a.0.last_call, b.0.last_call))),
    Column { wide: true, ..column("id", 20, |c, _| Cell::dim(c.0.def.id.as_str()), None) },
];

/// Worst state among what is enabled.
fn worst_of(customer: &Customer) -> Option<State> {
    customer.0.cells.iter().filter(|c| c.enabled).filter_map(|c| c.state).max_by_key(|s| s.severity())
}

fn enabled_of(customer: &Customer) -> usize {
    customer.0.cells.iter().filter(|c| c.enabled).count()
}

fn name(customer: &Customer, look: &Look) -> Cell {
    let frozen = look.snap.platform.guards.frozen(&customer.0.def).is_some();
    let lock = if frozen { " (read-only)" } else { "" };
    Cell::plain(format!("{}{lock}", customer.0.def.name))
}

fn environment(customer: &Customer, _look: &Look) -> Cell {
    let environment = customer.0.def.environment;
    Cell::new(environment.name(), Role::of_environment(environment))
}

fn worst(customer: &Customer, look: &Look) -> Cell {
    let Some(state) = worst_of(customer) else { return Cell::dim("nothing on") };
    let busy = customer.0.in_flight > 0;
    Cell::new(format!("{} {}", state.symbol(busy, look.ascii), state.name()), Role::of_state(state, busy))
}

fn enabled(customer: &Customer, _look: &Look) -> Cell {
    Cell::plain(enabled_of(customer).to_string())
}

fn counted(n: u32, look: &Look) -> Cell {
    Cell::new(fmt::count(n, look.ascii), if n > 0 { Role::Text } else { Role::Dim })
}

fn oldest(customer: &Customer, look: &Look) -> Cell {
    let Some(since) = customer.0.oldest else { return Cell::dim("") };
    let age = look.now.since(since);
    Cell::new(fmt::running(age), if age.as_secs() >= 10 { Role::Warn } else { Role::Text })
}

fn errors(customer: &Customer, look: &Look) -> Cell {
    let n = customer.0.errors;
    Cell::new(fmt::count(n, look.ascii), if n > 0 { Role::Bad } else { Role::Dim })
}

fn cpu(customer: &Customer, _look: &Look) -> Cell {
    Cell::plain(customer.0.usage.cpu.map_or_else(|| fmt::UNKNOWN.to_owned(), fmt::cpu))
}

fn memory(customer: &Customer, _look: &Look) -> Cell {
    Cell::plain(fmt::mebibytes(customer.0.usage.memory))
}

fn last_call(customer: &Customer, look: &Look) -> Cell {
    Cell::dim(customer.0.last_call.map_or_else(|| "never".to_owned(), |at| look.age(at)))
}
