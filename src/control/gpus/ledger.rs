//! Who holds how much GPU memory, thinned to what the store keeps: the most within each minute, where it changed, and
//! every ten minutes. Pure; must never import a clock.

use crate::model::gpu::{GpuHeld, GpuRow, Gpus};
use crate::model::{Stamp, TenantId};
use std::collections::{BTreeMap, BTreeSet};

const MINUTE: u64 = 60_000;
/// Who holds the same is written again after so many minutes: it shows that somebody looked.
const AGAIN: u64 = 10;
/// A smaller difference is none.
const CHANGE: u64 = 64 << 20;

/// Device, tenant and holder.
type Who = (String, Option<TenantId>, String);

/// The minute that goes on, and what was written of those before.
#[derive(Default)]
pub struct Ledger {
    minute: u64,
    peaks: BTreeMap<Who, u64>,
    /// Devices whose processes were known all the time: who is missing there holds nothing.
    known: BTreeSet<String>,
    unknown: BTreeSet<String>,
    /// Minute and bytes of the last row of each.
    written: BTreeMap<Who, (u64, u64)>,
}

impl Ledger {
    /// Takes a reading; rows of the minute before, once it is over.
    pub fn add(&mut self, at: Stamp, gpus: &Gpus) -> Vec<GpuHeld> {
        let minute = at.0 / MINUTE;
        let rows = if minute > self.minute { self.close() } else { Vec::new() };
        self.minute = self.minute.max(minute);
        for device in &gpus.devices {
            let known = device.processes.is_some() && device.error.is_none();
            let to = if known { &mut self.known } else { &mut self.unknown };
            to.insert(device.identity());
        }
        for (who, bytes) in holders(gpus) {
            let peak = self.peaks.entry(who).or_default();
            *peak = bytes.max(*peak);
        }
        rows
    }

    fn close(&mut self) -> Vec<GpuHeld> {
        let mut peaks = std::mem::take(&mut self.peaks);
        let (known, unknown) = (std::mem::take(&mut self.known), std::mem::take(&mut self.unknown));
        for who in self.written.keys().filter(|who| known.contains(&who.0) && !unknown.contains(&who.0)) {
            peaks.entry(who.clone()).or_default();
        }
        let mut rows = Vec::new();
        for (who, bytes) in peaks {
            let worth = self.written.get(&who).is_none_or(|(minute, old)| {
                bytes.abs_diff(*old) >= CHANGE || bytes == 0 || self.minute - minute >= AGAIN
            });
            if !worth {
                continue;
            }
            match bytes {
                0 => drop(self.written.remove(&who)),
                _ => drop(self.written.insert(who.clone(), (self.minute, bytes))),
            }
            rows.push(row(Stamp(self.minute * MINUTE), who, bytes));
        }
        // Whoever was not seen for so long (its device is lost) does not count any more, and is not kept for ever.
        self.written.retain(|_, (minute, _)| self.minute - *minute <= AGAIN);
        rows
    }
}

/// Who holds memory in this reading, as rows of `at`.
pub fn held_now(at: Stamp, gpus: &Gpus) -> Vec<GpuHeld> {
    holders(gpus).into_iter().map(|(who, bytes)| row(at, who, bytes)).collect()
}

fn row(at: Stamp, (device, tenant, holder): Who, memory: u64) -> GpuHeld {
    GpuHeld { at, device, tenant, holder, memory }
}

fn holders(gpus: &Gpus) -> BTreeMap<Who, u64> {
    let mut held = BTreeMap::new();
    let processes = |device: &GpuRow| device.processes.clone().unwrap_or_default();
    for (device, process) in gpus.devices.iter().flat_map(|d| processes(d).into_iter().map(move |p| (d, p))) {
        let Some(bytes) = process.memory.filter(|bytes| *bytes > 0) else { continue };
        let who = (device.identity(), process.owner.tenant.clone(), process.holder());
        *held.entry(who).or_default() += bytes;
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gpu::GpuProcess;

    const GIB: u64 = 1 << 30;

    /// One device; `None`: its processes are unknown.
    fn gpus(held: Option<&[(&str, u64)]>) -> Gpus {
        let process = |(at, (name, memory)): (usize, &(&str, u64))| GpuProcess {
            pid: at as u32,
            name: None,
            memory: Some(*memory),
            graphics: false,
            mig: None,
            container: None,
            container_name: Some((*name).to_owned()),
            owner: Default::default(),
        };
        let processes = held.map(|held| held.iter().enumerate().map(process).collect());
        Gpus { devices: vec![GpuRow { processes, ..GpuRow::default() }], ..Gpus::default() }
    }

    #[test]
    fn a_row_is_written_where_something_changed_and_every_ten_minutes() {
        let mut ledger = Ledger::default();
        let mut rows: Vec<(u64, String, u64)> = Vec::new();
        let mut look = |minute: u64, held: Option<&[(&str, u64)]>| {
            for second in [0, 30] {
                let found = ledger.add(Stamp(minute * MINUTE + second * 1000), &gpus(held));
                rows.extend(found.into_iter().map(|row| (row.at.0 / MINUTE, row.holder, row.memory / GIB)));
            }
        };
        look(1, Some(&[("vllm", 40 * GIB)]));
        look(2, Some(&[("vllm", 40 * GIB + 1)]));
        look(3, Some(&[("vllm", 61 * GIB), ("train", 7 * GIB)]));
        look(4, Some(&[("vllm", 61 * GIB)]));
        for minute in 5..14 {
            look(minute, Some(&[("vllm", 61 * GIB)]));
        }
        look(14, None);
        look(15, Some(&[]));
        look(16, Some(&[]));
        let expected =
            [(1, "vllm", 40), (3, "train", 7), (3, "vllm", 61), (4, "train", 0), (13, "vllm", 61), (15, "vllm", 0)];
        assert_eq!(rows, expected.map(|(minute, who, gib)| (minute, who.to_owned(), gib)));
    }

    #[test]
    fn the_most_within_a_minute_counts() {
        let mut ledger = Ledger::default();
        for (second, gib) in [(0, 10), (5, 79), (10, 2)] {
            assert_eq!(ledger.add(Stamp(MINUTE + second * 1000), &gpus(Some(&[("vllm", gib * GIB)]))), []);
        }
        assert_eq!(ledger.add(Stamp(2 * MINUTE), &gpus(Some(&[])))[0].memory, 79 * GIB);
    }
}
