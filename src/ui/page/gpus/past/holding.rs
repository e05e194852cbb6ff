//! A holder as a row: what it held at the cursor, and what it holds now.

use crate::model::filter::{Fields, Value};
use crate::model::gpu::{GpuHeld, Gpus, NO_CUSTOMER, held_at};
use crate::model::{Snapshot, Stamp, TenantId};
use crate::ui::acts::Subject;
use crate::ui::app::Look;
use crate::ui::page::gpus::device::gib;
use crate::ui::widget::table::{Cell, Column, Row, Width, descending};
use std::collections::BTreeMap;

/// Who held memory of a device then, or holds some now.
#[derive(Clone, serde::Serialize)]
pub struct Holding {
    /// Its index, if it is still there.
    gpu: Option<u32>,
    device: String,
    tenant: Option<TenantId>,
    holder: String,
    /// Bytes.
    then: Option<u64>,
    now: Option<u64>,
}

/// Device, tenant and name of a holder.
type Who<'a> = (&'a String, &'a Option<TenantId>, &'a String);

impl Holding {
    /// Those of then, the largest first; then those of now alone.
    pub fn all(rows: &[GpuHeld], at: Stamp, now: Stamp, gpus: &Gpus) -> Vec<Self> {
        let mut found: BTreeMap<Who<'_>, (Option<u64>, Option<u64>)> = BTreeMap::new();
        for row in held_at(rows, at) {
            found.entry((&row.device, &row.tenant, &row.holder)).or_default().0 = Some(row.memory);
        }
        for row in held_at(rows, now) {
            found.entry((&row.device, &row.tenant, &row.holder)).or_default().1 = Some(row.memory);
        }
        let index = |device: &str| gpus.devices.iter().find(|row| row.identity() == device).map(|row| row.index);
        let row = |((device, tenant, holder), (then, now)): (Who<'_>, _)| Self {
            gpu: index(device),
            device: device.clone(),
            tenant: tenant.clone(),
            holder: holder.clone(),
            then,
            now,
        };
        let mut holdings: Vec<Self> = found.into_iter().map(row).collect();
        holdings.sort_by_key(|holding| (std::cmp::Reverse(holding.then), std::cmp::Reverse(holding.now)));
        holdings
    }

    /// As much of it as is still known under that name.
    pub fn subject(&self, snap: &Snapshot) -> Subject {
        let processes = snap.gpus.devices.iter().flat_map(|device| device.processes.iter().flatten());
        let part = |row: &&std::sync::Arc<crate::model::container::ContainerRow>| {
            let owner = &row.owner;
            let part = owner.stack.as_ref().zip(owner.part.as_ref()).map(|(stack, part)| format!("{stack}/{part}"));
            part.as_deref() == Some(self.holder.as_str()) || row.name == self.holder
        };
        let container = snap.containers.iter().find(part);
        let key = self.holder.parse().ok().filter(|key| snap.instance(key).is_some());
        let here = processes.into_iter().find(|process| process.holder() == self.holder);
        Subject {
            tenant: self.tenant.clone(),
            server: here.and_then(|process| process.owner.server.clone()),
            key: key.or_else(|| here.and_then(|process| process.owner.instance.clone())),
            container: container.map(|row| row.key.clone()),
        }
    }
}

impl Fields for Holding {
    fn names() -> &'static [&'static str] {
        &["owner", "tenant", "mem", "gpu"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        match name {
            "owner" => Some(Value::Text(self.holder.as_str().into())),
            "tenant" => Some(Value::Text(self.tenant.as_ref()?.as_str().into())),
            "mem" | "gpu" => Some(Value::Number(self.then? as f64)),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        out.push_str(&self.holder);
        out.push('\n');
        out.push_str(self.tenant.as_ref().map_or("", TenantId::as_str));
    }
}

const fn column(title: &'static str, width: u16, cell: fn(&Holding, &Look) -> Cell) -> Column<Holding> {
    Column { title, width: Width::Fixed(width), right: false, wide: false, cell, order: None }
}

impl Row for Holding {
    type Key = (String, Option<TenantId>, String);

    fn key(&self) -> Self::Key {
        (self.device.clone(), self.tenant.clone(), self.holder.clone())
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Holding>] = &[
            Column {
                right: true,
                order: Some(|a, b| a.gpu.cmp(&b.gpu)),
                ..column("gpu", 3, |h, _| h.gpu.map_or_else(|| Cell::dim("-"), |index| Cell::plain(index.to_string())))
            },
            Column {
                right: true,
                order: Some(|a, b| descending(a.then, b.then)),
                ..column("GiB then", 8, |h, _| amount(h.then))
            },
            Column {
                right: true,
                order: Some(|a, b| descending(a.now, b.now)),
                ..column("GiB now", 7, |h, _| amount(h.now))
            },
            Column { width: Width::Flex(14, 40), ..column("holder", 14, |h, _| Cell::plain(h.holder.as_str())) },
            Column {
                width: Width::Flex(10, 20),
                order: Some(|a, b| a.tenant.cmp(&b.tenant)),
                ..column("customer", 10, |h, _| {
                    h.tenant.as_ref().map_or_else(|| Cell::dim(NO_CUSTOMER), |id| Cell::plain(id.as_str()))
                })
            },
            Column {
                wide: true,
                width: Width::Flex(12, 44),
                ..column("uuid", 12, |h, _| Cell::dim(h.device.as_str()))
            },
        ];
        COLUMNS
    }

    fn label(&self) -> Option<String> {
        Some(self.holder.clone())
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Whoever is not there holds nothing, and that is known.
fn amount(bytes: Option<u64>) -> Cell {
    bytes.map_or_else(|| Cell::dim("-"), |_| Cell::plain(gib(bytes)))
}
