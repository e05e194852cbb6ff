//! Usage of the machine, and of mcpdeck itself.

use super::caps::{CpuCap, MemoryCap};
use super::cgroup;
use super::proc::{Reader, Stat, Units};
use crate::model::usage::HostUsage;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CGROUPS: &str = "/sys/fs/cgroup";
/// One value of a history stands for so long; so many are kept.
const STEP: Duration = Duration::from_secs(5);
const KEPT: usize = 60;

/// Samples the host; rates are over the time since the last sample.
pub struct Host {
    units: Units,
    reader: Reader,
    state_dir: PathBuf,
    cores: u32,
    /// What our cgroups leave us of the machine.
    memory_cap: Option<MemoryCap>,
    cpu_cap: Option<CpuCap>,
    last: Option<Last>,
    cpu_history: History,
    memory_history: History,
}

struct Last {
    at: Instant,
    cpu: Option<CpuTicks>,
    own_ticks: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CpuTicks {
    busy: u64,
    total: u64,
}

impl Host {
    /// Reads a few small files: under a millisecond.
    pub fn new(state_dir: &Path) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self {
            units: Units::of_kernel(),
            reader: Reader::new(),
            state_dir: state_dir.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get().try_into().unwrap_or(u32::MAX)),
            memory_cap: MemoryCap::find(Path::new(CGROUPS), &own),
            cpu_cap: CpuCap::find(Path::new(CGROUPS), &own),
            last: None,
            cpu_history: History::default(),
            memory_history: History::default(),
        }
    }

    /// About 0.1 ms; call at most once a second. Rates are `None` in the first sample.
    pub fn sample(&mut self) -> HostUsage {
        let now = Instant::now();
        let cpu_ticks = self.reader.read("/proc/stat").and_then(cpu_ticks);
        let own = self.reader.read("/proc/self/stat").and_then(Stat::parse);
        let load_1m = self.reader.read("/proc/loadavg").and_then(|t| t.split(' ').next()?.parse().ok());
        let memory = self.memory();
        let last = self.last.replace(Last { at: now, cpu: cpu_ticks, own_ticks: own.map(|o| o.own_ticks) });
        let machine = last.as_ref().and_then(|l| percent_busy(l.cpu?, cpu_ticks?));
        let cpu = match &mut self.cpu_cap {
            Some(cap) => cap.read(&mut self.reader, now),
            None => machine,
        };
        let own_cpu = last.and_then(|l| {
            let used = own?.own_ticks.saturating_sub(l.own_ticks?) as f64 / self.units.ticks_per_second as f64;
            let elapsed = now.duration_since(l.at).as_secs_f64();
            (elapsed > 0.0).then_some((used / elapsed * 100.0) as f32)
        });
        let memory_percent = memory.map(|(used, total)| (used as f64 / total.max(1) as f64 * 100.0) as f32);
        let disk = rustix::fs::statvfs(&self.state_dir).ok();
        HostUsage {
            cpu,
            cores: self.cores,
            memory_used: memory.map(|m| m.0),
            memory_total: memory.map(|m| m.1),
            disk_free: disk.as_ref().map(|d| d.f_bavail * d.f_frsize),
            disk_total: disk.as_ref().map(|d| d.f_blocks * d.f_frsize),
            load_1m,
            own_cpu,
            own_memory: own.map(|o| o.resident_pages * self.units.page_bytes),
            cpu_history: self.cpu_history.add(now, cpu),
            memory_history: self.memory_history.add(now, memory_percent),
        }
    }

    /// (used, total) bytes: of our cgroup where that is less than the machine.
    fn memory(&mut self) -> Option<(u64, u64)> {
        let machine = self.reader.read("/proc/meminfo").and_then(machine_memory)?;
        let cap = self.memory_cap.as_ref().and_then(|cap| cap.read(&mut self.reader));
        Some(cap.filter(|(_, limit)| *limit < machine.1).unwrap_or(machine))
    }
}

/// First line of `/proc/stat`: user nice system idle iowait irq softirq steal (proc_stat(5)). Guest times are in user already.
fn cpu_ticks(text: &str) -> Option<CpuTicks> {
    let fields: Vec<u64> =
        text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().flat_map(str::parse).take(8).collect();
    let total = fields.iter().sum();
    Some(CpuTicks { busy: total - fields.get(3)? - fields.get(4)?, total })
}

fn percent_busy(before: CpuTicks, now: CpuTicks) -> Option<f32> {
    let total = now.total.checked_sub(before.total).filter(|t| *t > 0)?;
    Some((now.busy.saturating_sub(before.busy) as f64 / total as f64 * 100.0).min(100.0) as f32)
}

/// (used, total) bytes of the machine.
fn machine_memory(text: &str) -> Option<(u64, u64)> {
    let (total, available) = (cgroup::field(text, "MemTotal:")?, cgroup::field(text, "MemAvailable:")?);
    Some((total.saturating_sub(available) * 1024, total * 1024))
}

/// Averages over steps of 5 s, newest last.
#[derive(Default)]
pub(super) struct History {
    values: VecDeque<f32>,
    since: Option<Instant>,
    sum: f32,
    count: u32,
}

impl History {
    /// Adds a reading and returns all finished steps. A long time without readings is filled with the newest average.
    pub(super) fn add(&mut self, now: Instant, value: Option<f32>) -> Vec<f32> {
        if let Some(value) = value {
            let since = *self.since.get_or_insert(now);
            self.sum += value;
            self.count += 1;
            let steps = (now.duration_since(since).as_millis() / STEP.as_millis()) as usize;
            if steps > 0 {
                let average = self.sum / self.count as f32;
                self.values.extend(std::iter::repeat_n(average, steps.min(KEPT)));
                self.values.drain(..self.values.len().saturating_sub(KEPT));
                (self.since, self.sum, self.count) = (Some(since + STEP * steps as u32), 0.0, 0);
            }
        }
        self.values.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut host = Host::new(dir.path());
        let first = host.sample();
        assert_eq!((first.cpu, first.own_cpu), (None, None), "no rate without an earlier sample");
        let (used, total) = (first.memory_used.unwrap(), first.memory_total.unwrap());
        assert!(0 < used && used <= total, "{used} of {total}");
        assert!(first.own_memory.unwrap() > 1 << 20);
        assert!(first.disk_free.unwrap() <= first.disk_total.unwrap());
        assert!(first.cores > 0 && first.load_1m.is_some());
        let deadline = Instant::now() + Duration::from_secs(10);
        while host.sample().cpu.is_none() {
            assert!(Instant::now() < deadline, "clock ticks pass");
        }
    }

    #[test]
    fn cpu_is_the_share_of_ticks_that_were_not_idle() {
        let before = cpu_ticks("cpu  10 0 10 70 10 0 0 0 5 5\ncpu0 1 2 3").unwrap();
        assert_eq!(before, CpuTicks { busy: 20, total: 100 });
        let cases = [
            ("half busy", CpuTicks { busy: 70, total: 200 }, Some(50.0)),
            ("no tick passed", before, None),
            ("the counter went back", CpuTicks { busy: 0, total: 0 }, None),
        ];
        for (name, now, expected) in cases {
            assert_eq!(percent_busy(before, now), expected, "{name}");
        }
        assert_eq!(cpu_ticks("intr 1"), None);
    }

    #[test]
    fn history_holds_averages_of_five_seconds() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut history = History::default();
        let cases: &[(u64, Option<f32>, &[f32])] = &[
            (0, None, &[]),
            (1, Some(10.0), &[]),
            (3, Some(20.0), &[]),
            (6, Some(30.0), &[20.0]),
            (17, Some(7.0), &[20.0, 7.0, 7.0]),
        ];
        for (s, value, expected) in cases {
            assert_eq!(history.add(at(*s), *value), *expected, "at {s} s");
        }
        assert_eq!(history.add(at(100_000), Some(1.0)), [1.0; KEPT]);
    }
}
