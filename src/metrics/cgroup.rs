//! What the files of a control group say about usage, in both versions of the kernel's interface.

use std::path::{Path, PathBuf};

/// More than any machine has: how version 1 says that there is no limit.
const UNLIMITED: u64 = 1 << 60;

/// A mounted tree of control groups.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// A folder per controller, each with the same groups below.
    V1,
    V2,
}

/// A file that tells one thing of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    Cpu,
    Memory,
    Cache,
    Pids,
    BlockIo,
    MemoryLimit,
    CpuLimit,
    CpuPeriod,
    Members,
}

impl Tree {
    /// The tree mounted at `root`, usually `/sys/fs/cgroup`.
    pub fn at(root: &Path) -> Self {
        let version = if root.join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 };
        Self { root: root.to_owned(), version }
    }

    /// The folder in which all groups are found.
    pub fn groups(&self) -> PathBuf {
        match self.version {
            Version::V1 => self.root.join("cpuacct"),
            Version::V2 => self.root.clone(),
        }
    }

    /// The file of a group (a path without a leading slash) that tells `what`; `None` if this version has none.
    pub fn file(&self, group: &str, what: Tells) -> Option<PathBuf> {
        let (controller, name) = match self.version {
            Version::V1 => v1(what),
            Version::V2 => ("", v2(what)?),
        };
        let dir = if controller.is_empty() { self.root.join(group) } else { self.root.join(controller).join(group) };
        Some(dir.join(name))
    }

    /// Nanoseconds of processor time used so far.
    pub fn cpu(&self, text: &str) -> Option<u64> {
        match self.version {
            Version::V1 => text.trim().parse().ok(),
            Version::V2 => field(text, "usage_usec ")?.checked_mul(1000),
        }
    }

    /// Bytes of page cache that the kernel drops before anything else.
    pub fn cache(&self, text: &str) -> Option<u64> {
        match self.version {
            // Of the group with everything below it.
            Version::V1 => field(text, "total_inactive_file "),
            Version::V2 => field(text, "inactive_file "),
        }
    }

    /// Bytes (read, written) so far, over all devices.
    pub fn block_io(&self, text: &str) -> (u64, u64) {
        match self.version {
            Version::V1 => (sum_v1(text, "Read"), sum_v1(text, "Write")),
            Version::V2 => (sum_v2(text, "rbytes="), sum_v2(text, "wbytes=")),
        }
    }

    /// Percent of one core that it may use. `period` is the file that version 1 keeps it in.
    pub fn cpu_limit(&self, text: &str, period: Option<&str>) -> Option<f32> {
        let mut words = text.split_ascii_whitespace();
        // `max` in version 2 and `-1` in version 1 are no number here: no limit.
        let quota: u64 = words.next()?.parse().ok()?;
        let period: u64 = period.map(str::trim).or(words.next())?.parse().ok()?;
        (period > 0).then(|| (quota as f64 / period as f64 * 100.0) as f32)
    }
}

/// Bytes; `None` where there is no limit.
pub fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)
}

/// (controller, file)
fn v1(what: Tells) -> (&'static str, &'static str) {
    match what {
        Tells::Cpu => ("cpuacct", "cpuacct.usage"),
        Tells::Memory => ("memory", "memory.usage_in_bytes"),
        Tells::Cache => ("memory", "memory.stat"),
        Tells::Pids => ("pids", "pids.current"),
        Tells::BlockIo => ("blkio", "blkio.throttle.io_service_bytes_recursive"),
        Tells::MemoryLimit => ("memory", "memory.limit_in_bytes"),
        Tells::CpuLimit => ("cpu", "cpu.cfs_quota_us"),
        Tells::CpuPeriod => ("cpu", "cpu.cfs_period_us"),
        Tells::Members => ("cpuacct", "cgroup.procs"),
    }
}

fn v2(what: Tells) -> Option<&'static str> {
    Some(match what {
        Tells::Cpu => "cpu.stat",
        Tells::Memory => "memory.current",
        Tells::Cache => "memory.stat",
        Tells::Pids => "pids.current",
        Tells::BlockIo => "io.stat",
        Tells::MemoryLimit => "memory.max",
        Tells::CpuLimit => "cpu.max",
        Tells::CpuPeriod => return None,
        Tells::Members => "cgroup.procs",
    })
}

/// The number after `name` at the start of a line.
pub fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Lines like `8:0 Read 4096`.
fn sum_v1(text: &str, what: &str) -> u64 {
    let lines = text.lines().map(|line| line.split_ascii_whitespace().skip(1));
    lines.filter_map(|mut words| (words.next()? == what).then(|| words.next()?.parse::<u64>().ok())?).sum()
}

/// Lines like `8:0 rbytes=4096 wbytes=0 rios=1`.
fn sum_v2(text: &str, what: &str) -> u64 {
    text.split_ascii_whitespace().filter_map(|word| word.strip_prefix(what)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> (tempfile::TempDir, Tree, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        std::fs::create_dir_all(one.join("unified")).unwrap();
        std::fs::create_dir(&two).unwrap();
        std::fs::write(two.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
        (dir, Tree::at(&one), Tree::at(&two))
    }

    #[test]
    fn each_version_has_its_own_files() {
        let (dir, one, two) = trees();
        let path = |tail: &str| Some(dir.path().join(tail));
        assert_eq!(one.file("docker/ab", Tells::Cpu), path("1/cpuacct/docker/ab/cpuacct.usage"));
        assert_eq!(two.file("docker/ab", Tells::Cpu), path("2/docker/ab/cpu.stat"));
        assert_eq!(two.file("docker/ab", Tells::CpuPeriod), None);
    }

    #[test]
    fn counters_are_read_in_both_versions() {
        let (_dir, one, two) = trees();
        assert_eq!(one.cpu("38451962\n"), Some(38_451_962));
        assert_eq!(two.cpu("usage_usec 38451\nuser_usec 1\n"), Some(38_451_000));
        assert_eq!(one.cache("cache 9\ninactive_file 1\ntotal_inactive_file 4096\n"), Some(4096));
        assert_eq!(two.cache("anon 9\ninactive_file 8192\n"), Some(8192));
        let text = "8:0 Read 4096\n8:0 Write 10\n8:0 Total 4106\n8:16 Read 4\n8:16 Write 1\nTotal 4111\n";
        assert_eq!(one.block_io(text), (4100, 11));
        assert_eq!(one.block_io("Total 0\n"), (0, 0));
        assert_eq!(two.block_io("8:0 rbytes=4096 wbytes=10 rios=1\n8:16 rbytes=4 wbytes=1\n"), (4100, 11));
        assert_eq!(two.block_io(""), (0, 0));
    }

    #[test]
    fn no_limit_is_no_number() {
        let (_dir, one, two) = trees();
        let memory = [("67108864\n", Some(64 << 20)), ("max\n", None), ("9223372036854771712\n", None), ("", None)];
        for (text, bytes) in memory {
            assert_eq!(limit(text), bytes, "{text}");
        }
        assert_eq!(two.cpu_limit("max 100000\n", None), None);
        assert_eq!(two.cpu_limit("150000 100000\n", None), Some(150.0));
        assert_eq!(one.cpu_limit("-1\n", Some("100000\n")), None);
        assert_eq!(one.cpu_limit("50000\n", Some("100000\n")), Some(50.0));
        assert_eq!(one.cpu_limit("50000\n", Some("0\n")), None);
    }
}
