//! Findings about GPUs: lost, full, slowed down; who holds their memory and whom it hits.

use super::{Hit, View};
use crate::control::gpus::watch::Trouble;
use crate::control::gpus::{holders, holders_text};
use crate::model::InstanceKey;
use crate::model::gpu::{GpuRow, gib};

pub(super) fn lost(view: &View<'_>) -> Vec<Hit> {
    hits(view, Trouble::Lost, |row| row.error.clone().unwrap_or_default())
}

pub(super) fn full(view: &View<'_>) -> Vec<Hit> {
    hits(view, Trouble::Full, |row| {
        let percent = row.memory_percent().unwrap_or_default();
        let of = row.memory_total.map(|total| format!(" of {}", gib(total))).unwrap_or_default();
        let held = holders_text(row);
        let held = if held.is_empty() { "by whom is unknown".to_owned() } else { format!("held by {held}") };
        format!("{percent:.0} %{of} taken, {held}")
    })
}

pub(super) fn hot(view: &View<'_>) -> Vec<Hit> {
    hits(view, Trouble::Hot, slowed)
}

pub(super) fn capped(view: &View<'_>) -> Vec<Hit> {
    hits(view, Trouble::Capped, slowed)
}

fn slowed(row: &GpuRow) -> String {
    let why = row.throttle.clone().unwrap_or_default().join(", ");
    let clock = match (row.clock, row.clock_max) {
        (Some(clock), Some(most)) => format!(": {clock} of {most} MHz"),
        _ => String::new(),
    };
    let heat = row.temperature.map(|degrees| format!(", {degrees} °C")).unwrap_or_default();
    let power = row.power.map(|watts| format!(", {watts:.0} W")).unwrap_or_default();
    format!("slowed down by {why}{clock}{heat}{power}")
}

fn hits(view: &View<'_>, trouble: Trouble, text: impl Fn(&GpuRow) -> String) -> Vec<Hit> {
    let watch = &view.conditions.gpus;
    let rows = view.snapshot.gpus.devices.iter();
    let found = rows.filter_map(|row| Some((row, watch.since(trouble, row.index, view.now)?)));
    let hit = |(row, since): (&GpuRow, _)| Hit {
        object: format!("GPU {}", row.index),
        target: largest(row),
        text: text(row),
        tenants: watch.tenants(row.index),
        since,
    };
    found.map(hit).collect()
}

/// The instance that holds most of it, if it is one of ours: acts and logs are about it.
fn largest(row: &GpuRow) -> Option<InstanceKey> {
    let (holder, _) = holders(row).into_iter().next()?;
    let mut processes = row.processes.iter().flatten();
    processes.find(|process| process.holder() == holder)?.owner.instance.clone()
}
