//! What is wrong with a GPU, since when, and whom it hits. Pure; must never import a clock.

use crate::model::gpu::{GpuRow, Gpus};
use crate::model::{Stamp, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Percent of its memory above which a device counts as full, and below which it no longer does.
const FULL: (f32, f32) = (95.0, 92.0);
/// Heat and power come and go: what lasts longer is worth a line.
const HOT_FOR: Duration = Duration::from_secs(10);
/// Many work at their power cap all day.
const CAPPED_FOR: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Lost,
    Full,
    /// Slowed down by heat or by its power supply.
    Hot,
    /// Slowed down to stay within its power cap.
    Capped,
}

/// Troubles by device, from reading to reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    since: BTreeMap<(Trouble, u32), Stamp>,
    /// Who held memory of a device when that was last known: a lost one does not tell.
    tenants: BTreeMap<u32, BTreeSet<TenantId>>,
}

impl Watch {
    /// Takes a reading.
    pub fn look(&mut self, gpus: &Gpus, now: Stamp) {
        let before = std::mem::take(&mut self.since);
        for device in &gpus.devices {
            for trouble in troubles(device, before.contains_key(&(Trouble::Full, device.index))) {
                let key = (trouble, device.index);
                self.since.insert(key, before.get(&key).copied().unwrap_or(now));
            }
            if let Some(processes) = &device.processes {
                let tenants = processes.iter().filter_map(|process| process.owner.tenant.clone()).collect();
                self.tenants.insert(device.index, tenants);
            }
        }
    }

    /// Since when a device has this trouble, once that is worth a line.
    pub fn since(&self, trouble: Trouble, device: u32, now: Stamp) -> Option<Stamp> {
        let lasts = match trouble {
            Trouble::Lost | Trouble::Full => Duration::ZERO,
            Trouble::Hot => HOT_FOR,
            Trouble::Capped => CAPPED_FOR,
        };
        self.since.get(&(trouble, device)).copied().filter(|since| now.since(*since) >= lasts)
    }

    /// Tenants that a trouble of the device hits.
    pub fn tenants(&self, device: u32) -> Vec<TenantId> {
        self.tenants.get(&device).into_iter().flatten().cloned().collect()
    }
}

fn troubles(device: &GpuRow, was_full: bool) -> Vec<Trouble> {
    if device.error.is_some() {
        return vec![Trouble::Lost];
    }
    let full = device.memory_percent().is_some_and(|percent| percent >= if was_full { FULL.1 } else { FULL.0 });
    let any = |words: &[&str]| device.throttle.iter().flatten().any(|why| words.iter().any(|word| why.contains(word)));
    let hot = any(&["thermal", "power brake", "hardware slowdown"]);
    let found = [(full, Trouble::Full), (hot, Trouble::Hot), (!hot && any(&["power cap"]), Trouble::Capped)];
    found.into_iter().filter(|(is, _)| *is).map(|(_, trouble)| trouble).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_last_before_they_are_told_and_full_does_not_flicker() {
        let device = |used: u64, throttle: &[&str], error: Option<&str>| GpuRow {
            memory_used: Some(used),
            memory_total: Some(100),
            throttle: Some(throttle.iter().map(|why| (*why).to_owned()).collect()),
            error: error.map(str::to_owned),
            ..GpuRow::default()
        };
        let mut watch = Watch::default();
        let all = [Trouble::Lost, Trouble::Full, Trouble::Hot, Trouble::Capped];
        for (second, row, told) in [
            (0, device(94, &["thermal"], None), &[][..]),
            (9, device(95, &["thermal"], None), &[Trouble::Full]),
            (10, device(93, &["thermal", "power cap"], None), &[Trouble::Full, Trouble::Hot]),
            (20, device(91, &["power cap"], None), &[]),
            (79, device(91, &["power cap"], None), &[]),
            (80, device(91, &["power cap", "sync boost"], None), &[Trouble::Capped]),
            (81, device(0, &[], Some("lost: fell off the bus")), &[Trouble::Lost]),
            (82, device(94, &["clock setting"], None), &[]),
        ] {
            let now = Stamp(second * 1000);
            watch.look(&Gpus { devices: vec![row], ..Gpus::default() }, now);
            let found: Vec<Trouble> = all.into_iter().filter(|t| watch.since(*t, 0, now).is_some()).collect();
            assert_eq!(found, told, "at {second} s");
        }
        assert_eq!(watch.since(Trouble::Capped, 7, Stamp(0)), None);
    }
}
