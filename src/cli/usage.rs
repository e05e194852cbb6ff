//! `get usage`: the machine, then whatever uses something of it, in one table.

use super::output::{Column, kibibytes, maybe, mebibytes, number};
use super::rows::{Listed, left, right};
use crate::model::filter::{Fields, Value};
use crate::model::usage::InstanceUsage;
use crate::model::{Snapshot, Stamp};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// What one thing uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UsageRow {
    /// `host`, `mcpdeck`, `tenant`, `server`, `instance` or `container`.
    pub kind: &'static str,
    pub name: String,
    pub usage: InstanceUsage,
}

/// Of everything that runs, or has something that runs.
pub fn rows(state: &Snapshot) -> Vec<Arc<UsageRow>> {
    let row = |kind, name: String, usage| Arc::new(UsageRow { kind, name, usage });
    let host = &state.host;
    // Of all cores, in percent of one, as everything below.
    let cpu = host.cpu.map(|percent| percent * host.cores as f32);
    let whole = InstanceUsage {
        cpu,
        memory: host.memory_used,
        memory_limit: host.memory_total,
        gpu_memory: state.gpus.devices.iter().filter_map(|gpu| gpu.memory_used).reduce(|a, b| a + b),
        ..InstanceUsage::default()
    };
    let own = InstanceUsage { cpu: host.own_cpu, memory: host.own_memory, ..InstanceUsage::default() };
    let mut rows = vec![row("host", "host".to_owned(), whole), row("mcpdeck", "mcpdeck".to_owned(), own)];
    let used = |usage: &InstanceUsage| *usage != InstanceUsage::default();
    let tenants = state.tenants.iter().map(|t| ("tenant", t.def.id.to_string(), t.usage));
    let servers = state.servers.iter().map(|s| ("server", s.def.id.to_string(), s.usage));
    let instances = state.instances.iter().map(|i| ("instance", i.key.to_string(), i.usage));
    let containers = state.containers.iter().map(|c| ("container", c.name.clone(), c.usage));
    let all = tenants.chain(servers).chain(instances).chain(containers);
    let begun = rows.len();
    rows.extend(all.filter(|(.., usage)| used(usage)).map(|(kind, name, usage)| row(kind, name, usage)));
    // Kinds as people think of them, from the whole to its parts; each by name.
    let kinds = ["tenant", "server", "instance", "container"];
    let place = |row: &Arc<UsageRow>| kinds.iter().position(|kind| *kind == row.kind);
    rows[begun..].sort_by(|a, b| (place(a), &a.name).cmp(&(place(b), &b.name)));
    rows
}

impl Fields for UsageRow {
    fn names() -> &'static [&'static str] {
        &["kind", "name", "cpu", "mem", "net", "io", "pids", "gpu"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        let sum = |a: Option<u64>, b: Option<u64>| Some(Value::Number((a? + b.unwrap_or(0)) as f64));
        match name {
            "kind" => Some(Value::Text(Cow::Borrowed(self.kind))),
            "name" => Some(Value::Text(Cow::Borrowed(&self.name))),
            "cpu" => Some(Value::Number(self.usage.cpu?.into())),
            "mem" => Some(Value::Number(self.usage.memory? as f64)),
            "net" => sum(self.usage.net_in, self.usage.net_out),
            "io" => sum(self.usage.disk_read, self.usage.disk_write),
            "pids" => Some(Value::Number(self.usage.pids?.into())),
            "gpu" => Some(Value::Number(self.usage.gpu_memory? as f64)),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        out.push_str(self.kind);
        out.push('\n');
        out.push_str(&self.name);
        out.push('\n');
    }
}

/// The figures that every table of usage shows, from `CPU %` to `GPU MIB`.
pub fn figures(usage: &InstanceUsage) -> [String; 9] {
    [
        number(usage.cpu, 1),
        mebibytes(usage.memory),
        mebibytes(usage.memory_limit),
        kibibytes(usage.net_in),
        kibibytes(usage.net_out),
        kibibytes(usage.disk_read),
        kibibytes(usage.disk_write),
        maybe(usage.pids),
        mebibytes(usage.gpu_memory),
    ]
}

impl Listed for UsageRow {
    const COLUMNS: &'static [Column] = &[
        left("KIND"),
        left("NAME"),
        right("CPU %"),
        right("MEM MIB"),
        right("LIMIT MIB"),
        right("IN KIB/S"),
        right("OUT KIB/S"),
        right("READ KIB/S"),
        right("WRITE KIB/S"),
        right("PIDS"),
        right("GPU MIB"),
    ];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        let own = [self.kind.to_owned(), self.name.clone()];
        own.into_iter().chain(figures(&self.usage)).collect()
    }

    fn key(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }
}
