//! What our own control groups leave us of the machine: a container with 2 GiB and half a core has no more.

use super::cgroup::{self, Tells, Tree};
use super::proc::Reader;
use std::path::Path;
use std::time::Instant;

/// A control group that has less than the machine: ours or one above it.
struct Group {
    tree: Tree,
    path: String,
}

impl Group {
    /// Ours first, then what it is in. `own` is `/proc/self/cgroup`.
    fn chain(root: &Path, own: &str, controller: &str) -> Vec<Self> {
        let v1 = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            (fields.next()?.split(',').any(|c| c == controller)).then(|| fields.next())?
        });
        let path = v1.or_else(|| own.lines().find_map(|line| line.strip_prefix("0::")));
        let tree = Tree::at(root);
        let paths = path.into_iter().flat_map(|path| Path::new(path.trim_start_matches('/')).ancestors());
        paths.filter_map(Path::to_str).map(|path| Self { tree: tree.clone(), path: path.to_owned() }).collect()
    }

    fn text<'r>(&self, reader: &'r mut Reader, what: Tells) -> Option<&'r str> {
        reader.read(self.tree.file(&self.path, what)?)
    }

    fn memory_limit(&self, reader: &mut Reader) -> Option<u64> {
        self.text(reader, Tells::MemoryLimit).and_then(cgroup::limit)
    }

    /// Percent of one core.
    fn cpu_limit(&self, reader: &mut Reader) -> Option<f32> {
        let period = self.text(reader, Tells::CpuPeriod).map(str::to_owned);
        self.tree.cpu_limit(self.text(reader, Tells::CpuLimit)?, period.as_deref())
    }
}

/// The smallest memory limit over us.
pub struct MemoryCap(Group);

impl MemoryCap {
    /// `None` where there is none.
    pub fn find(root: &Path, own: &str) -> Option<Self> {
        let mut reader = Reader::new();
        let groups = Group::chain(root, own, "memory").into_iter();
        let limited = groups.filter_map(|group| Some((group.memory_limit(&mut reader)?, group)));
        limited.min_by_key(|(limit, _)| *limit).map(|(_, group)| Self(group))
    }

    /// (used without droppable cache, limit) bytes.
    pub fn read(&self, reader: &mut Reader) -> Option<(u64, u64)> {
        let limit = self.0.memory_limit(reader)?;
        let usage: u64 = self.0.text(reader, Tells::Memory)?.trim().parse().ok()?;
        let cache = self.0.text(reader, Tells::Cache).and_then(|text| self.0.tree.cache(text));
        Some((usage.saturating_sub(cache.unwrap_or(0)), limit))
    }
}

/// The smallest quota of processor time over us.
pub struct CpuCap {
    group: Group,
    /// Nanoseconds used, and when.
    last: Option<(Instant, u64)>,
}

impl CpuCap {
    /// `None` where there is none.
    pub fn find(root: &Path, own: &str) -> Option<Self> {
        let mut reader = Reader::new();
        let groups = Group::chain(root, own, "cpu").into_iter();
        let limited = groups.filter_map(|group| Some((group.cpu_limit(&mut reader)?, group)));
        limited.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, group)| Self { group, last: None })
    }

    /// Percent of the quota used since the last reading.
    pub fn read(&mut self, reader: &mut Reader, now: Instant) -> Option<f32> {
        let limit = self.group.cpu_limit(reader).filter(|limit| *limit > 0.0)?;
        let used = self.group.tree.cpu(self.group.text(reader, Tells::Cpu)?)?;
        let (at, before) = self.last.replace((now, used))?;
        let elapsed = now.duration_since(at).as_nanos() as f64;
        let cores = used.checked_sub(before)? as f64 / elapsed;
        (elapsed > 0.0).then(|| (cores / f64::from(limit) * 1e4).min(100.0) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    fn put(dir: &Path, file: &str, text: &str) {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_memory_limit_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| put(dir.path(), file, text);
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

    #[test]
    fn cpu_is_a_part_of_the_smallest_quota() {
        let dir = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| put(dir.path(), file, text);
        put("2/cgroup.controllers", "");
        put("2/a/cpu.max", "50000 100000\n");
        put("2/a/cpu.stat", "usage_usec 1000\n");
        put("2/a/b/cpu.max", "max 100000\n");
        put("1/cpu/j/cpu.cfs_quota_us", "50000\n");
        put("1/cpu/j/cpu.cfs_period_us", "100000\n");
        put("1/cpuacct/j/cpuacct.usage", "1000000\n");
        put("1/cpu/cpu.cfs_quota_us", "-1\n");
        put("1/cpu/cpu.cfs_period_us", "100000\n");
        let start = Instant::now();
        for (version, own) in [("2", "0::/a/b"), ("1", "2:cpuacct:/j\n1:cpu:/j\n0::/a")] {
            let mut cap = CpuCap::find(&dir.path().join(version), own).expect("limited");
            assert_eq!(cap.read(&mut Reader::new(), start), None, "no part without an earlier reading");
            // A quarter of a core for a second.
            match version {
                "2" => put("2/a/cpu.stat", "usage_usec 251000\n"),
                _ => put("1/cpuacct/j/cpuacct.usage", "251000000\n"),
            }
            assert_eq!(cap.read(&mut Reader::new(), start + Duration::from_secs(1)), Some(50.0), "{own}");
        }
        assert!(CpuCap::find(&dir.path().join("1"), "1:cpu:/").is_none());
        assert!(CpuCap::find(&dir.path().join("2"), "0::/").is_none());
    }
}
