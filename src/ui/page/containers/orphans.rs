//! What is ours and wanted by nobody, as rows: what it is, whose it was, and why it counts as one.

use crate::model::Stamp;
use crate::model::container::{ContainerKey, OrphanRow};
use crate::model::filter::{Fields, Value};
use crate::ui::acts::Subject;
use crate::ui::app::Look;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width};
use std::sync::Arc;

/// An orphan.
#[derive(Clone)]
pub struct Orphan(pub Arc<OrphanRow>);

impl Orphan {
    /// Its instance is gone: what is left is the container.
    pub fn subject(&self) -> Subject {
        let owner = &self.0.owner;
        Subject {
            tenant: owner.tenant.clone(),
            server: owner.server.clone(),
            key: None,
            container: self.0.container.clone(),
        }
    }
}

impl Fields for Orphan {
    fn names() -> &'static [&'static str] {
        OrphanRow::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.0.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.0.text(out);
    }
}

/// Ours are all called `mcpdeck-PLATFORM-...`: what tells them apart is the rest.
fn what(orphan: &Orphan, look: &Look) -> Cell {
    let ours = format!("mcpdeck-{}-", look.snap.platform.name);
    Cell::new(orphan.0.what.replacen(&ours, "", 1), Role::Warn)
}

/// `search@hilti`, `eaton models/vllm`: the instance says both tenant and server.
fn was_of(orphan: &Orphan, _look: &Look) -> Cell {
    let owner = &orphan.0.owner;
    let place = match (&owner.stack, &owner.part, &owner.server) {
        (Some(stack), Some(part), _) => format!("{stack}/{part}"),
        (Some(stack), None, _) => stack.to_string(),
        (None, _, Some(server)) => server.to_string(),
        (None, _, None) => String::new(),
    };
    let tenant = owner.tenant.as_ref().map(|tenant| tenant.to_string());
    Cell::plain(match (tenant, owner.stack.is_some()) {
        (Some(tenant), true) if place.starts_with(&tenant) => place,
        (Some(tenant), true) => format!("{tenant} {place}"),
        (Some(tenant), false) => format!("{place}@{tenant}"),
        (None, _) => place,
    })
}

impl Row for Orphan {
    type Key = (Option<ContainerKey>, Option<u32>, String);

    fn key(&self) -> Self::Key {
        (self.0.container.clone(), self.0.pid, self.0.what.clone())
    }

    fn columns() -> &'static [Column<Self>] {
        const fn column(title: &'static str, width: Width, cell: fn(&Orphan, &Look) -> Cell) -> Column<Orphan> {
            Column { title, width, right: false, wide: false, cell, order: None }
        }
        const COLUMNS: &[Column<Orphan>] = &[
            column("orphan", Width::Flex(24, 44), what),
            column("was of", Width::Flex(24, 44), was_of),
            column("why", Width::Flex(20, 160), |o, _| Cell::plain(o.0.why.as_str())),
        ];
        COLUMNS
    }

    fn wraps() -> Option<&'static str> {
        Some("why")
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).unwrap_or_default()
    }
}
