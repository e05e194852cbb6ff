//! Usage of the machine, and of mcpdeck itself.

use super::cgroup::{self, Tells, Tree};
use super::proc::{Reader, Stat, Units};
use crate::model::usage::HostUsage;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One value of a history stands for so long; so many are kept.
const STEP: Duration = Duration::from_secs(5);
const KEPT: usize = 60;

/// Samples the host; rates are over the time since the last sample.
pub struct Host {
    units: Units,
    reader: Reader,
    state_dir: PathBuf,
    cores: u32,
    /// The cgroup that gives us less memory than the machine has.
    cap: Option<MemoryCap>,
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
            cap: MemoryCap::find(Path::new("/sys/fs/cgroup"), &own),
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
        let cpu = last.as_ref().and_then(|l| percent_busy(l.cpu?, cpu_ticks?));
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
        let cap = self.cap.as_ref().and_then(|cap| cap.read(&mut self.reader));
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

/// A control group that has less memory than the machine.
struct MemoryCap {
    tree: Tree,
    group: String,
}

impl MemoryCap {
    /// The one with the smallest limit among ours and its ancestors; `None` where none has a limit.
    fn find(root: &Path, own: &str) -> Option<Self> {
        let v1 = own.lines().find_map(|l| {
            let mut fields = l.splitn(3, ':').skip(1);
            (fields.next()?.split(',').any(|c| c == "memory")).then(|| fields.next())?
        });
        let path = v1.or_else(|| own.lines().find_map(|l| l.strip_prefix("0::")))?;
        let tree = Tree::at(root);
        let groups = Path::new(path.trim_start_matches('/')).ancestors().filter_map(Path::to_str);
        let caps = groups.map(|group| Self { tree: tree.clone(), group: group.to_owned() });
        let limited = caps.filter_map(|cap| Some((cap.limit(&mut Reader::new())?, cap)));
        limited.min_by_key(|(limit, _)| *limit).map(|(_, cap)| cap)
    }

    fn limit(&self, reader: &mut Reader) -> Option<u64> {
        reader.read(self.tree.file(&self.group, Tells::MemoryLimit)?).and_then(cgroup::limit)
    }

    /// (used without droppable cache, limit) bytes.
    fn read(&self, reader: &mut Reader) -> Option<(u64, u64)> {
        let limit = self.limit(reader)?;
        let usage: u64 = reader.read(self.tree.file(&self.group, Tells::Memory)?)?.trim().parse().ok()?;
        let stat = reader.read(self.tree.file(&self.group, Tells::Cache)?);
        Some((usage.saturating_sub(stat.and_then(|text| self.tree.cache(text)).unwrap_or(0)), limit))
    }
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

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("2/cgroup.controllers", "");
        put("2/a/b/memory.max", "max\n");
        put("2/a/memory.max", "1000\n");
        put("2/a/memory.current", "700\n");
        put("2/a/memory.stat", "anon 5\ninactive_file 300\n");
        put("1/memory/j/memory.limit_in_bytes", "9000\n");
        put("1/memory/memory.limit_in_bytes", "9223372036854771712\n");
        put("1/memory/j/memory.usage_in_bytes", "500\n");
        let cases = [
            ("2", "0::/a/b", Some((400, 1000))),
            ("2", "0::/", None),
            ("1", "4:memory:/j\n0::/a", Some((500, 9000))),
            ("1", "4:memory:/\n0::/a", None),
        ];
        for (version, own, expected) in cases {
            let found = MemoryCap::find(&dir.path().join(version), own).and_then(|cap| cap.read(&mut Reader::new()));
            assert_eq!(found, expected, "{own}");
        }
    }
}
