//! A process on a device as a row: how much it holds, and whose it is.

use crate::model::container::{Claim, ContainerKey};
use crate::model::filter::{Fields, Value};
use crate::model::gpu::{GpuProcess, Gpus, NO_CUSTOMER};
use crate::model::{Stamp, TenantId};
use crate::ui::acts::Subject;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::widget::table::{Cell, Column, Row, Width, descending};

/// A process on a device.
#[derive(Clone)]
pub struct Process {
    pub gpu: u32,
    pub row: GpuProcess,
}

impl Process {
    /// All of them by device, the largest first.
    pub fn all(gpus: &Gpus, limit: Option<&TenantId>) -> Vec<Self> {
        let of = |device: &crate::model::gpu::GpuRow| {
            let gpu = device.index;
            device.processes.clone().unwrap_or_default().into_iter().map(move |row| Self { gpu, row })
        };
        let mut rows: Vec<Self> = gpus.devices.iter().flat_map(of).collect();
        rows.retain(|process| limit.is_none() || process.row.owner.tenant.as_ref() == limit);
        rows.sort_by_key(|process| (process.gpu, std::cmp::Reverse(process.row.memory), process.row.pid));
        rows
    }

    pub fn subject(&self) -> Subject {
        let owner = &self.row.owner;
        Subject {
            tenant: owner.tenant.clone(),
            server: owner.server.clone(),
            key: owner.instance.clone(),
            container: self.row.container.clone(),
        }
    }

    fn container(&self) -> Option<String> {
        let short = |key: &ContainerKey| key.id.chars().take(12).collect();
        self.row.container_name.clone().or_else(|| self.row.container.as_ref().map(short))
    }

    /// False for a pid that is not ours to see: nothing is known of it.
    fn is_seen(&self) -> bool {
        self.row.name.is_some()
    }
}

impl Fields for Process {
    fn names() -> &'static [&'static str] {
        &["pid", "name", "tenant", "server", "stack", "owner", "mem", "gpu"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        let (row, owner) = (&self.row, &self.row.owner);
        Some(match name {
            "pid" => Value::Number(row.pid.into()),
            "name" => Value::Text(row.name.as_deref()?.into()),
            "tenant" => Value::Text(owner.tenant.as_ref()?.as_str().into()),
            "server" => Value::Text(owner.server.as_ref()?.as_str().into()),
            "stack" => Value::Text(owner.stack.as_ref()?.as_str().into()),
            "owner" => Value::Text(row.holder().into()),
            "mem" | "gpu" => Value::Number(row.memory? as f64),
            _ => return None,
        })
    }

    fn text(&self, out: &mut String) {
        let container = self.container().unwrap_or_default();
        let tenant = self.row.owner.tenant.as_ref().map_or("", TenantId::as_str);
        out.push_str(&format!("{}\n{tenant}\n{container}\n{}\n", self.row.holder(), self.row.pid));
        out.push_str(self.row.name.as_deref().unwrap_or_default());
    }
}

const fn column(title: &'static str, width: u16, cell: fn(&Process, &Look) -> Cell) -> Column<Process> {
    Column { title, width: Width::Fixed(width), right: false, wide: false, cell, order: None }
}

impl Row for Process {
    type Key = (u32, u32, bool);

    fn key(&self) -> Self::Key {
        (self.gpu, self.row.pid, self.row.graphics)
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Process>] = &[
            Column {
                right: true,
                order: Some(|a, b| a.gpu.cmp(&b.gpu)),
                ..column("gpu", 3, |p, _| Cell::plain(p.gpu.to_string()))
            },
            Column {
                right: true,
                order: Some(|a, b| descending(a.row.memory, b.row.memory)),
                ..column("MiB", 7, |p, _| known(p.row.memory.map(|n| fmt::mebibytes(Some(n)))))
            },
            Column {
                width: Width::Flex(10, 20),
                order: Some(|a, b| a.row.owner.tenant.cmp(&b.row.owner.tenant)),
                ..column("customer", 10, customer)
            },
            Column { width: Width::Flex(14, 32), ..column("owner", 14, owner) },
            Column { width: Width::Flex(10, 24), ..column("program", 10, |p, _| known(p.row.name.clone())) },
            Column { right: true, ..column("pid", 7, |p, _| Cell::plain(p.row.pid.to_string())) },
            Column { width: Width::Flex(12, 40), ..column("container", 12, container) },
            Column {
                wide: true,
                ..column("kind", 8, |p, _| Cell::plain(if p.row.graphics { "graphics" } else { "compute" }))
            },
            Column {
                wide: true,
                right: true,
                ..column("mig", 3, |p, _| Cell::plain(p.row.mig.map(|n| n.to_string()).unwrap_or_default()))
            },
        ];
        COLUMNS
    }

    fn label(&self) -> Option<String> {
        Some(self.row.pid.to_string())
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&self.row).unwrap_or_default()
    }
}

fn known(text: Option<String>) -> Cell {
    text.map_or_else(|| Cell::dim(fmt::UNKNOWN), Cell::plain)
}

fn customer(process: &Process, _look: &Look) -> Cell {
    let owner = &process.row.owner;
    match (&owner.tenant, &owner.server) {
        (Some(tenant), _) => Cell::plain(tenant.as_str()),
        (None, Some(_)) => Cell::dim("shared"),
        (None, None) if process.is_seen() => Cell::dim(NO_CUSTOMER),
        (None, None) => Cell::dim(fmt::UNKNOWN),
    }
}

/// The instance or the part of a stack; of what is not ours, that it is not.
fn owner(process: &Process, _look: &Look) -> Cell {
    let owner = &process.row.owner;
    match owner.claim {
        Claim::Other if !process.is_seen() => Cell::dim(fmt::UNKNOWN),
        Claim::Other if owner.instance.is_none() && owner.stack.is_none() => Cell::dim("other"),
        _ => Cell::plain(process.row.holder()),
    }
}

fn container(process: &Process, _look: &Look) -> Cell {
    match process.container() {
        Some(name) => Cell::plain(name),
        None if process.is_seen() => Cell::dim("-"),
        None => Cell::dim(fmt::UNKNOWN),
    }
}
