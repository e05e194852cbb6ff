//! Usage of process groups.

use super::cgroup::field;
use super::proc::{Reader, Stat, Units};
use crate::model::InstanceKey;
use crate::model::usage::InstanceUsage;
use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// Only members already known are read; all of `/proc` is gone through for new ones this often.
const RESCAN_EVERY: Duration = Duration::from_secs(5);
/// A group that nobody asked for in so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(300);

/// Samples process groups: cpu, resident memory, number of processes and block io of each group's members.
pub struct Groups {
    units: Units,
    reader: Reader,
    known: HashMap<u32, Known>,
    scanned: Option<Instant>,
}

/// A group as it was sampled last.
struct Known {
    at: Instant,
    group: Group,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Live members.
    pids: Vec<u32>,
    /// Of all members, with those of the children they reaped: a member that dies and is reaped by another moves its
    /// counts, and the sum stays true.
    counts: Counts,
    /// What of `counts` was used before anybody looked.
    unseen: Counts,
    pages: u64,
    /// Some member's io may not be read.
    io_hidden: bool,
}

/// What only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    ticks: u64,
    read: u64,
    written: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.ticks += other.ticks;
        self.read += other.read;
        self.written += other.written;
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self::new()
    }
}

impl Groups {
    pub fn new() -> Self {
        Self { units: Units::of_kernel(), reader: Reader::new(), known: HashMap::new(), scanned: None }
    }

    /// `groups` are (instance, process group id). A group without a live member is left out; rates are over the time since
    /// the group's last sample and unknown in its first. `memory_limit` is for others to fill in.
    pub fn sample(&mut self, groups: &[(InstanceKey, u32)]) -> Vec<(InstanceKey, InstanceUsage)> {
        let now = Instant::now();
        let pids = self.members(groups, now);
        let mut fresh = self.read(groups, &pids);
        let usage = groups.iter().filter_map(|(key, pgid)| {
            let Some(group) = fresh.remove(pgid).filter(|g| !g.pids.is_empty()) else {
                self.known.remove(pgid);
                return None;
            };
            let last = self.known.get(pgid);
            let elapsed = last.map_or(0.0, |last| now.duration_since(last.at).as_secs_f64());
            let usage = group.usage(last.map(|last| &last.group), elapsed, self.units);
            self.known.insert(*pgid, Known { at: now, group });
            Some((key.clone(), usage))
        });
        let usage = usage.collect();
        self.known.retain(|_, known| now.duration_since(known.at) < FORGET_AFTER);
        usage
    }

    /// True if the group has been sampled, so that its rates are known next time.
    pub fn knows(&self, pgid: u32) -> bool {
        self.known.contains_key(&pgid)
    }

    /// Processes that may be members.
    fn members(&mut self, groups: &[(InstanceKey, u32)], now: Instant) -> Vec<u32> {
        if groups.is_empty() {
            return Vec::new();
        }
        let known: Option<Vec<&Known>> = groups.iter().map(|(_, pgid)| self.known.get(pgid)).collect();
        let recent = self.scanned.is_some_and(|at| now.duration_since(at) < RESCAN_EVERY);
        if let Some(known) = known.filter(|_| recent) {
            return known.iter().flat_map(|known| known.group.pids.iter().copied()).collect();
        }
        self.scanned = Some(now);
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
    }

    fn read(&mut self, groups: &[(InstanceKey, u32)], pids: &[u32]) -> HashMap<u32, Group> {
        let mut fresh: HashMap<u32, Group> = groups.iter().map(|(_, pgid)| (*pgid, Group::default())).collect();
        for pid in pids {
            let Some(stat) = self.reader.read(format!("/proc/{pid}/stat")).and_then(Stat::parse) else { continue };
            let Some(group) = fresh.get_mut(&stat.group).filter(|_| stat.alive) else { continue };
            let io = self.reader.read(format!("/proc/{pid}/io")).and_then(block_io);
            let seen = self.known.get(&stat.group).is_some_and(|last| last.group.pids.contains(pid));
            group.add(*pid, stat, io, seen);
        }
        fresh
    }
}

impl Group {
    fn add(&mut self, pid: u32, stat: Stat, io: Option<(u64, u64)>, seen: bool) {
        let (read, written) = io.unwrap_or_default();
        let counts = Counts { ticks: stat.own_ticks + stat.child_ticks, read, written };
        self.pids.push(pid);
        self.counts.add(counts);
        self.pages += stat.resident_pages;
        self.io_hidden |= io.is_none();
        if !seen {
            self.unseen.add(counts);
        }
    }

    fn usage(&self, last: Option<&Group>, elapsed_s: f64, units: Units) -> InstanceUsage {
        let last = last.filter(|_| elapsed_s > 0.0);
        let per_second = |count: fn(&Counts) -> u64| {
            let used = count(&self.counts).saturating_sub(count(&self.unseen)).saturating_sub(count(&last?.counts));
            Some(used as f64 / elapsed_s)
        };
        let io = |count| per_second(count).filter(|_| !self.io_hidden).map(|rate| rate as u64);
        let cpu = per_second(|c| c.ticks).map(|ticks| (ticks / units.ticks_per_second as f64 * 100.0) as f32);
        InstanceUsage {
            cpu,
            memory: Some(self.pages * units.page_bytes),
            pids: u32::try_from(self.pids.len()).ok(),
            disk_read: io(|c| c.read),
            disk_write: io(|c| c.written),
            ..InstanceUsage::default()
        }
    }
}

/// Bytes (read from, written to) block devices so far, by `/proc/PID/io` (proc_pid_io(5)).
fn block_io(text: &str) -> Option<(u64, u64)> {
    Some((field(text, "read_bytes:")?, field(text, "write_bytes:")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    const UNITS: Units = Units { ticks_per_second: 100, page_bytes: 4096 };

    fn stat(own_ticks: u64, child_ticks: u64) -> Stat {
        Stat { alive: true, parent: 1, group: 1, own_ticks, child_ticks, started: 0, resident_pages: 2 }
    }

    fn group(members: &[(u32, u64, u64, bool)]) -> Group {
        let mut group = Group::default();
        for (pid, own, children, known) in members {
            group.add(*pid, stat(*own, *children), Some((*own * 10, 0)), *known);
        }
        group
    }

    #[test]
    fn cpu_is_what_was_used_since_the_last_sample() {
        let before = group(&[(1, 100, 0, true), (2, 300, 0, true)]);
        let cases = [
            ("both worked", group(&[(1, 110, 0, true), (2, 340, 0, true)]), 50.0),
            ("one died and was reaped by the other", group(&[(1, 100, 310, true)]), 10.0),
            ("one died and was reaped by nobody of us", group(&[(1, 130, 0, true)]), 0.0),
            ("an old one was found late", group(&[(1, 110, 0, true), (2, 300, 0, true), (3, 900, 0, false)]), 10.0),
        ];
        for (name, now, percent) in cases {
            assert_eq!(now.usage(Some(&before), 1.0, UNITS).cpu, Some(percent), "{name}");
        }
        let first = before.usage(None, 1.0, UNITS);
        assert_eq!((first.cpu, first.memory, first.pids), (None, Some(4 * 4096), Some(2)));
        let later = group(&[(1, 110, 0, true), (2, 340, 0, true)]);
        let usage = later.usage(Some(&before), 2.0, UNITS);
        assert_eq!((usage.disk_read, usage.disk_write), (Some(250), Some(0)));
        let mut hidden = later;
        hidden.add(3, stat(0, 0), None, true);
        assert_eq!(hidden.usage(Some(&before), 2.0, UNITS).disk_read, None, "a part is no sum");
    }

    /// A shell in a group of its own, which is killed at the end, however that comes.
    struct Shell(Child);

    impl Shell {
        fn new(script: &str) -> Self {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
            Self(command.spawn().unwrap())
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let pid = rustix::process::Pid::from_child(&self.0);
            rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
            self.0.wait().unwrap();
        }
    }

    fn eventually(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "in time");
            std::thread::yield_now();
        }
    }

    #[test]
    fn real_groups_are_told_apart() {
        let shells = [Shell::new("while :; do :; done"), Shell::new("sleep 100 & sleep 100 & sleep 100 & wait")];
        let keys = ["busy", "idle", "absent"].map(|k| k.parse::<InstanceKey>().unwrap());
        let [busy, idle, absent] = keys.clone();
        // A pid that is never given out.
        let groups = [(busy.clone(), shells[0].0.id()), (idle.clone(), shells[1].0.id()), (absent, u32::MAX)];
        let mut sampler = Groups::new();
        let mut usage = HashMap::new();
        eventually(|| {
            usage = sampler.sample(&groups).into_iter().collect();
            usage.get(&idle).is_some_and(|u| u.pids == Some(4))
                && usage.get(&busy).is_some_and(|u| u.cpu.is_some_and(|c| c > 10.0))
        });
        assert_eq!(usage.len(), 2, "a group that does not exist is left out");
        assert!(usage[&idle].memory.unwrap() > 100_000);
        assert_eq!(sampler.sample(&groups[1..]).len(), 1);
        let again: HashMap<_, _> = sampler.sample(&groups).into_iter().collect();
        assert!(again[&busy].cpu.is_some(), "a group that was left out once is not forgotten");
        drop(shells);
        eventually(|| sampler.sample(&groups).is_empty());
    }
}
