//! What is ours and wanted by nobody, as rows: what it is, whose it was, and why it counts as one.

use crate::model::Stamp;
use crate::model::container::{ContainerKey, OrphanRow};
use crate::model::filter::{Fields, Value};
use crate::ui::acts::Subject;
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

impl Row for Orphan {
    type Key = (Option<ContainerKey>, Option<u32>, String);

    fn key(&self) -> Self::Key {
        (self.0.container.clone(), self.0.pid, self.0.what.clone())
    }

    fn columns() -> &'static [Column<Self>] {
        const fn column(
            title: &'static str,
            width: Width,
            cell: fn(&Orphan, &crate::ui::app::Look) -> Cell,
        ) -> Column<Orphan> {
            Column { title, width, right: false, wide: false, cell, order: None }
        }
        const COLUMNS: &[Column<Orphan>] = &[
            column("orphan", Width::Flex(26, 44), |o, _| Cell::new(o.0.what.as_str(), Role::Warn)),
            column("was of", Width::Flex(12, 24), |o, _| Cell::plain(o.0.owner.names().collect::<Vec<_>>().join("/"))),
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
