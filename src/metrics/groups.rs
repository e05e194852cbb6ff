//! Usage of process groups.

use super::proc::{Reader, Stat, Units};
use crate::model::InstanceKey;
use crate::model::usage::InstanceUsage;
use std::collections::HashMap;
use std::fs;
use std::time::Instant;

/// Only members already known are read; all of `/proc` is gone through for new ones after so many samples.
const RESCAN_EVERY: u32 = 5;

/// Samples process groups: cpu, resident memory and number of processes of each group's members.
pub struct Groups {
    units: Units,
    reader: Reader,
    /// What each group had used at the last sample.
    last: HashMap<u32, Group>,
    at: Instant,
    until_rescan: u32,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Live members.
    pids: Vec<u32>,
    /// Ticks of all members, with those of the children they reaped: a member that dies and is reaped by another
    /// moves its ticks, and the sum stays true.
    ticks: u64,
    /// Ticks in `ticks` that were used before anybody looked.
    unseen: u64,
    pages: u64,
}

impl Default for Groups {
    fn default() -> Self {
        Self::new()
    }
}

impl Groups {
    pub fn new() -> Self {
        Self {
            units: Units::of_kernel(),
            reader: Reader::new(),
            last: HashMap::new(),
            at: Instant::now(),
            until_rescan: 0,
        }
    }

    /// `groups` are (instance, process group id). A group without a live member is left out; cpu is `None` in a group's
    /// first sample. `memory_limit` is for others to fill in.
    pub fn sample(&mut self, groups: &[(InstanceKey, u32)]) -> Vec<(InstanceKey, InstanceUsage)> {
        let now = Instant::now();
        let elapsed = now.duration_since(self.at).as_secs_f64();
        let pids = self.members(groups);
        let fresh = self.read(groups, &pids);
        let usage = groups.iter().filter_map(|(key, pgid)| {
            let group = fresh.get(pgid).filter(|g| !g.pids.is_empty())?;
            Some((key.clone(), group.usage(self.last.get(pgid), elapsed, self.units)))
        });
        let usage = usage.collect();
        self.last = fresh;
        self.at = now;
        usage
    }

    /// Processes that may be members.
    fn members(&mut self, groups: &[(InstanceKey, u32)]) -> Vec<u32> {
        let all_known = groups.iter().all(|(_, pgid)| self.last.contains_key(pgid));
        if groups.is_empty() {
            return Vec::new();
        }
        if all_known && self.until_rescan > 0 {
            self.until_rescan -= 1;
            return self.last.values().flat_map(|g| g.pids.iter().copied()).collect();
        }
        self.until_rescan = RESCAN_EVERY - 1;
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
    }

    fn read(&mut self, groups: &[(InstanceKey, u32)], pids: &[u32]) -> HashMap<u32, Group> {
        let mut fresh: HashMap<u32, Group> = groups.iter().map(|(_, pgid)| (*pgid, Group::default())).collect();
        for pid in pids {
            let Some(stat) = self.reader.read(format!("/proc/{pid}/stat")).and_then(Stat::parse) else { continue };
            let Some(group) = fresh.get_mut(&stat.group).filter(|_| stat.alive) else { continue };
            let known = self.last.get(&stat.group).is_some_and(|last| last.pids.contains(pid));
            group.add(*pid, stat, known);
        }
        fresh
    }
}

impl Group {
    fn add(&mut self, pid: u32, stat: Stat, known: bool) {
        let ticks = stat.own_ticks + stat.child_ticks;
        self.pids.push(pid);
        self.ticks += ticks;
        self.pages += stat.resident_pages;
        if !known {
            self.unseen += ticks;
        }
    }

    fn usage(&self, last: Option<&Group>, elapsed_s: f64, units: Units) -> InstanceUsage {
        let cpu = last.filter(|l| !l.pids.is_empty() && elapsed_s > 0.0).map(|last| {
            let used = self.ticks.saturating_sub(self.unseen).saturating_sub(last.ticks);
            (used as f64 / units.ticks_per_second as f64 / elapsed_s * 100.0) as f32
        });
        InstanceUsage {
            cpu,
            memory: Some(self.pages * units.page_bytes),
            memory_limit: None,
            pids: u32::try_from(self.pids.len()).ok(),
            ..InstanceUsage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    const UNITS: Units = Units { ticks_per_second: 100, page_bytes: 4096 };

    fn stat(own_ticks: u64, child_ticks: u64) -> Stat {
        Stat { alive: true, parent: 1, group: 1, own_ticks, child_ticks, started: 0, resident_pages: 2 }
    }

    fn group(members: &[(u32, u64, u64, bool)]) -> Group {
        let mut group = Group::default();
        for (pid, own, children, known) in members {
            group.add(*pid, stat(*own, *children), *known);
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
        drop(shells);
        eventually(|| sampler.sample(&groups).is_empty());
    }
}
