//! The servers of one customer as a list of switches.

use crate::model::filter::{Fields, Value};
use crate::model::snapshot::{Cell as Pair, ServerRow, TenantRow};
use crate::model::{ServerId, Stamp};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width};
use std::sync::Arc;

/// A server, and what the customer has of it.
#[derive(Clone)]
pub struct Switch {
    pub server: Arc<ServerRow>,
    pub pair: Option<Pair>,
}

impl Switch {
    /// One per configured server, and one per name the customer has that no server answers to.
    pub fn all(tenant: &TenantRow, servers: &[Arc<ServerRow>]) -> Vec<Switch> {
        servers
            .iter()
            .map(|server| Switch { server: server.clone(), pair: tenant.cell(&server.def.id).cloned() })
            .collect()
    }

    pub fn on(&self) -> bool {
        self.pair.as_ref().is_some_and(|p| p.enabled)
    }
}

impl Fields for Switch {
    fn names() -> &'static [&'static str] {
        ServerRow::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.server.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.server.text(out);
    }
}

impl Row for Switch {
    type Key = ServerId;

    fn key(&self) -> ServerId {
        self.server.def.id.clone()
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Switch>] = &[
            Column { title: "server", width: Width::Flex(16, 28), right: false, wide: false, cell: name, order: None },
            Column { title: "state", width: Width::Fixed(13), right: false, wide: false, cell: state, order: None },
            Column { title: "c/s", width: Width::Fixed(5), right: true, wide: false, cell: rate, order: None },
            Column { title: "fly", width: Width::Fixed(4), right: true, wide: false, cell: in_flight, order: None },
            Column {
                title: "decided by",
                width: Width::Flex(20, 40),
                right: false,
                wide: false,
                cell: decided,
                order: None,
            },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&self.pair).unwrap_or_default()
    }
}

fn name(switch: &Switch, look: &Look) -> Cell {
    let mark = match (switch.on(), look.ascii) {
        (true, _) => "[x]",
        (false, _) => "[ ]",
    };
    Cell::new(format!("{mark} {}", switch.server.def.id), if switch.on() { Role::Text } else { Role::Dim })
}

fn state(switch: &Switch, look: &Look) -> Cell {
    let Some((pair, state)) = switch.pair.as_ref().filter(|p| p.enabled).and_then(|p| p.state.map(|s| (p, s))) else {
        return Cell::dim("not enabled");
    };
    let busy = pair.in_flight > 0 || pair.rate > 0.0;
    Cell::new(format!("{} {}", state.symbol(busy, look.ascii), state.name()), Role::of_state(state, busy))
}

fn rate(switch: &Switch, _look: &Look) -> Cell {
    Cell::plain(switch.pair.as_ref().filter(|p| p.enabled).map(|p| fmt::rate(p.rate)).unwrap_or_default())
}

fn in_flight(switch: &Switch, look: &Look) -> Cell {
    Cell::plain(
        switch.pair.as_ref().filter(|p| p.enabled).map(|p| fmt::count(p.in_flight, look.ascii)).unwrap_or_default(),
    )
}

/// A run-time change is marked, and says how the file has it.
fn decided(switch: &Switch, look: &Look) -> Cell {
    match switch.pair.as_ref() {
        None => Cell::dim("the file"),
        Some(Pair { changed: None, .. }) => Cell::dim("the file"),
        Some(Pair { changed: Some(mark), in_file, .. }) => {
            let file = if *in_file { "on" } else { "off" };
            Cell::new(format!("{} {} ago (file: {file})", mark.by, look.age(mark.at)), Role::Mark)
        }
    }
}
