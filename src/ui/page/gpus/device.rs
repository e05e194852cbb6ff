//! A device as a row, and how it is in one word.

use crate::model::Stamp;
use crate::model::filter::{Fields, Value};
use crate::model::gpu::GpuRow;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::graph;
use crate::ui::widget::table::{Cell, Column, Row, Width, descending};

/// Percent of memory from which on a device counts as full.
const FULL: f32 = 95.0;

/// Columns of the newest minute of load.
const SPARK: u16 = 12;

/// A device.
#[derive(Clone)]
pub struct Device(pub GpuRow);

/// Symbol and word, and how they read.
pub fn state(row: &GpuRow, look: &Look) -> (String, Role) {
    let slowed = row.throttle.as_ref().is_some_and(|why| !why.is_empty());
    let full = row.memory_percent().is_some_and(|percent| percent >= FULL);
    if row.error.is_none() && row.memory_used.is_none() && row.utilisation.is_none() {
        return (format!("? {}", fmt::UNKNOWN), Role::Warn);
    }
    match (row.error.is_some(), full, slowed) {
        (true, ..) => (format!("{} lost", if look.ascii { "x" } else { "✗" }), Role::Bad),
        (_, true, _) => ("! full".to_owned(), Role::Warn),
        (_, _, true) => ("! slowed".to_owned(), Role::Warn),
        _ => (format!("{} ok", if look.ascii { "@" } else { "●" }), Role::Good),
    }
}

/// Why it is slower than it could be, or does not answer at all.
pub fn trouble(row: &GpuRow) -> String {
    match (&row.error, &row.throttle) {
        (Some(error), _) => error.clone(),
        (None, None) => fmt::UNKNOWN.to_owned(),
        (None, Some(why)) if why.is_empty() => "none".to_owned(),
        (None, Some(why)) => why.join(", "),
    }
}

/// Gibibytes with one decimal, without the unit.
pub fn gib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| fmt::UNKNOWN.to_owned(), |n| format!("{:.1}", n as f64 / (1_u64 << 30) as f64))
}

/// `412/700`: a figure and its limit; `n/a` if neither is known.
pub fn pair(figure: String, limit: String) -> String {
    if figure == limit && figure == fmt::UNKNOWN { figure } else { format!("{figure}/{limit}") }
}

/// A whole number.
pub fn whole(value: Option<impl Into<f64>>) -> String {
    value.map_or_else(|| fmt::UNKNOWN.to_owned(), |n| format!("{:.0}", n.into()))
}

impl Fields for Device {
    fn names() -> &'static [&'static str] {
        &["name", "mem", "gpu"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        match name {
            "name" => Some(Value::Text(self.0.name.as_str().into())),
            "mem" | "gpu" => self.0.memory_used.map(|bytes| Value::Number(bytes as f64)),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        out.push_str(&format!("gpu {}\n{}\n{}\n", self.0.index, self.0.name, self.0.uuid));
    }
}

const fn column(title: &'static str, width: u16, cell: fn(&Device, &Look) -> Cell) -> Column<Device> {
    Column { title, width: Width::Fixed(width), right: false, wide: false, cell, order: None }
}

const fn number(title: &'static str, width: u16, cell: fn(&Device, &Look) -> Cell) -> Column<Device> {
    Column { right: true, ..column(title, width, cell) }
}

impl Row for Device {
    type Key = (u32, String);

    fn key(&self) -> Self::Key {
        (self.0.index, self.0.uuid.clone())
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Device>] = &[
            number("gpu", 3, |d, _| Cell::plain(d.0.index.to_string())),
            column("state", 8, |d, look| {
                let (text, role) = state(&d.0, look);
                Cell::new(text, role)
            }),
            Column {
                order: Some(|a, b| descending(a.0.utilisation, b.0.utilisation)),
                ..number("util%", 5, |d, _| figure(whole(d.0.utilisation)))
            },
            Column {
                order: Some(|a, b| descending(a.0.memory_used, b.0.memory_used)),
                ..number("GiB", 6, |d, _| figure(gib(d.0.memory_used)))
            },
            number("of", 6, |d, _| figure(gib(d.0.memory_total))),
            Column {
                order: Some(|a, b| descending(a.0.memory_free, b.0.memory_free)),
                ..number("free", 6, |d, _| figure(gib(d.0.memory_free)))
            },
            number("W", 4, |d, _| figure(whole(d.0.power))),
            number("cap", 4, |d, _| figure(whole(d.0.power_cap))),
            Column {
                order: Some(|a, b| descending(a.0.temperature, b.0.temperature)),
                ..number("C", 3, |d, _| figure(whole(d.0.temperature)))
            },
            number("MHz", 4, |d, _| figure(whole(d.0.clock))),
            Column { width: Width::Flex(9, 60), ..column("slowed by", 9, why) },
            column("load", SPARK, load),
            Column { width: Width::Flex(10, 28), ..column("name", 10, |d, _| Cell::plain(d.0.name.as_str())) },
            Column { wide: true, ..number("act%", 4, |d, _| figure(whole(d.0.memory_activity))) },
            Column { wide: true, ..number("mMHz", 4, |d, _| figure(whole(d.0.memory_clock))) },
            Column {
                wide: true,
                width: Width::Flex(12, 44),
                ..column("uuid", 12, |d, _| Cell::dim(d.0.uuid.as_str()))
            },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap_or_default()
    }
}

fn figure(text: String) -> Cell {
    if text == fmt::UNKNOWN { Cell::dim(text) } else { Cell::plain(text) }
}

fn load(device: &Device, look: &Look) -> Cell {
    Cell::new(graph::spark(&device.0.utilisation_history, SPARK.into(), Some(100.0), look.ascii), Role::Graph)
}

fn why(device: &Device, look: &Look) -> Cell {
    let text = trouble(&device.0);
    if text == "none" || text == fmt::UNKNOWN { Cell::dim(text) } else { Cell::new(text, state(&device.0, look).1) }
}
