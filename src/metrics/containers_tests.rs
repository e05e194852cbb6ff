use super::*;
use std::time::Duration;

const ID: &str = "62031e3058996bb813b220af1cd9b983a73add4a1841008796d4bf021e349874";
const LO: &str =
    "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n";

/// The kernel's files, made up.
struct World {
    dir: tempfile::TempDir,
    v2: bool,
}

impl World {
    fn new(v2: bool) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), v2 };
        if v2 {
            world.put("cgroup/cgroup.controllers", "cpu memory\n");
        }
        world.put(
            "proc/self/net/dev",
            &format!("{LO}  eth0: 5 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\n docker0: 0 0 0 0 0 0 0 0 0 0\n"),
        );
        world
    }

    fn put(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // In place, as the kernel does: an open descriptor sees it.
        fs::write(path, text).unwrap();
    }

    /// A container that has used so many milliseconds of cpu, and has 7 MiB of which 2 are page cache.
    fn container(&self, id: &str, cpu_ms: u64) {
        let files = match self.v2 {
            true => vec![
                (format!("system.slice/docker-{id}.scope/cpu.stat"), format!("usage_usec {}\n", cpu_ms * 1000)),
                (format!("system.slice/docker-{id}.scope/memory.current"), format!("{}\n", 7 << 20)),
                (format!("system.slice/docker-{id}.scope/memory.stat"), format!("anon 1\ninactive_file {}\n", 2 << 20)),
                (format!("system.slice/docker-{id}.scope/memory.max"), format!("{}\n", 64 << 20)),
                (format!("system.slice/docker-{id}.scope/cpu.max"), "150000 100000\n".to_owned()),
                (format!("system.slice/docker-{id}.scope/pids.current"), "3\n".to_owned()),
                (format!("system.slice/docker-{id}.scope/io.stat"), String::new()),
                (format!("system.slice/docker-{id}.scope/cgroup.procs"), "41\n".to_owned()),
            ],
            false => vec![
                (format!("cpuacct/docker/{id}/cpuacct.usage"), format!("{}\n", cpu_ms * 1_000_000)),
                (format!("cpuacct/docker/{id}/cgroup.procs"), "41\n".to_owned()),
                (format!("memory/docker/{id}/memory.usage_in_bytes"), format!("{}\n", 7 << 20)),
                (format!("memory/docker/{id}/memory.stat"), format!("cache 1\ntotal_inactive_file {}\n", 2 << 20)),
                (format!("memory/docker/{id}/memory.limit_in_bytes"), format!("{}\n", 64 << 20)),
                (format!("cpu/docker/{id}/cpu.cfs_quota_us"), "150000\n".to_owned()),
                (format!("cpu/docker/{id}/cpu.cfs_period_us"), "100000\n".to_owned()),
                (format!("pids/docker/{id}/pids.current"), "3\n".to_owned()),
                (format!("blkio/docker/{id}/blkio.throttle.io_service_bytes_recursive"), "Total 0\n".to_owned()),
            ],
        };
        for (file, text) in files {
            self.put(&format!("cgroup/{file}"), &text);
        }
    }

    fn network(&self, device: &str, received: u64, sent: u64) {
        let line = format!("  {device}: {received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n");
        self.put("proc/41/net/dev", &format!("{LO}{line}"));
    }

    fn sampler(&self) -> Containers {
        Containers::at(&self.dir.path().join("cgroup"), &self.dir.path().join("proc"))
    }
}

fn target(id: &str) -> Target {
    Target { key: ContainerKey { engine: "local".into(), id: id.into() }, pid: None }
}

fn only(sampled: Vec<(ContainerKey, InstanceUsage)>) -> InstanceUsage {
    assert_eq!(sampled.len(), 1);
    sampled[0].1
}

/// As if the last sample had been a second ago.
fn a_second_later(sampler: &mut Containers) {
    for group in sampler.known.values_mut() {
        let (at, _) = group.last.as_mut().unwrap();
        *at = at.checked_sub(Duration::from_secs(1)).unwrap();
    }
}

fn close_to(value: u64, expected: u64) -> bool {
    value.abs_diff(expected) * 50 < expected
}

#[test]
fn both_versions_tell_the_same() {
    for v2 in [false, true] {
        let world = World::new(v2);
        world.container(ID, 5000);
        world.network("eth0", 1000, 2000);
        let mut sampler = world.sampler();
        let first = only(sampler.sample(&[target(ID)]));
        assert_eq!((first.memory, first.memory_limit), (Some(5 << 20), Some(64 << 20)), "v2: {v2}");
        assert_eq!((first.pids, first.cpu_limit), (Some(3), Some(150.0)), "v2: {v2}");
        assert_eq!((first.cpu, first.net_in, first.disk_read), (None, None, None), "no rate without an earlier sample");
        a_second_later(&mut sampler);
        world.container(ID, 5500);
        world.network("eth0", 51_000, 12_000);
        let second = only(sampler.sample(&[target(ID)]));
        assert!(second.cpu.is_some_and(|cpu| (45.0..=50.0).contains(&cpu)), "v2: {v2}: {second:?}");
        assert!(close_to(second.net_in.unwrap(), 50_000) && close_to(second.net_out.unwrap(), 10_000), "{second:?}");
        assert_eq!((second.disk_read, second.disk_write), (Some(0), Some(0)), "v2: {v2}");
    }
}

#[test]
fn a_container_in_the_network_of_the_host_has_no_traffic_of_its_own() {
    let world = World::new(true);
    world.container(ID, 1);
    let mut sampler = world.sampler();
    let cases = [
        ("its own", format!("{LO}  eth0: 5 0 0 0 0 0 0 0 5 0\n"), true),
        ("none", LO.to_owned(), true),
        ("the host's", format!("{LO}  eth0: 5 0 0 0 0 0 0 0 5 0\n docker0: 7 0 0 0 0 0 0 0 7 0\n"), false),
    ];
    for (name, text, known) in cases {
        world.put("proc/41/net/dev", &text);
        sampler.keep(&BTreeSet::new());
        sampler.sample(&[target(ID)]);
        a_second_later(&mut sampler);
        let usage = only(sampler.sample(&[target(ID)]));
        assert_eq!(usage.net_in.is_some(), known, "{name}");
    }
}

#[test]
fn what_vanishes_is_gone_and_what_comes_back_begins_anew() {
    let world = World::new(true);
    world.container(ID, 5000);
    let mut sampler = world.sampler();
    assert_eq!(sampler.sample(&[target(ID), target(&ID.replace('6', "7"))]).len(), 1);
    assert!(sampler.ready_at(&target(ID).key).is_some());
    // The kernel answers reads of a removed group with an error; a file of nothing is as close as a folder comes.
    world.put(&format!("cgroup/system.slice/docker-{ID}.scope/cpu.stat"), "");
    assert!(sampler.sample(&[target(ID)]).is_empty());
    assert!(sampler.ready_at(&target(ID).key).is_none());
    world.container(ID, 1);
    assert_eq!(only(sampler.sample(&[target(ID)])).cpu, None, "the first sample of a new one");
}

#[test]
fn what_the_group_does_not_tell_is_unknown() {
    let world = World::new(true);
    world.put(&format!("cgroup/system.slice/docker-{ID}.scope/cpu.stat"), "usage_usec 5\n");
    let usage = only(world.sampler().sample(&[target(ID)]));
    assert_eq!(usage, InstanceUsage::default());
}

#[test]
fn descriptors_are_bounded_and_given_back() {
    let world = World::new(false);
    let ids: Vec<String> = (0..5).map(|n| format!("{n}{}", &ID[1..])).collect();
    let targets: Vec<Target> = ids.iter().map(|id| target(id)).collect();
    ids.iter().for_each(|id| world.container(id, 1));
    world.network("eth0", 1, 1);
    let mut sampler = world.sampler();
    sampler.room = 2 * FILES;
    for _ in 0..2 {
        assert_eq!(sampler.sample(&targets).len(), 5, "what is not held is read as well");
        assert_eq!(sampler.known.values().map(Group::held).sum::<usize>(), 2 * FILES);
        assert_eq!(sampler.room, 0);
    }
    sampler.keep(&BTreeSet::from([targets[4].key.clone()]));
    assert_eq!(sampler.known.len(), 1);
    assert_eq!(sampler.room, 2 * FILES, "of those that were let go");
}

#[test]
fn a_first_look_makes_the_second_sample_the_first_that_is_asked_for() {
    let world = World::new(true);
    world.container(ID, 5000);
    let mut sampler = world.sampler();
    sampler.look();
    assert_eq!(only(sampler.sample(&[target(ID)])).cpu, None, "too soon for a rate");
    a_second_later(&mut sampler);
    world.container(ID, 5500);
    let usage = only(sampler.sample(&[target(ID)]));
    assert!(usage.cpu.is_some_and(|cpu| (45.0..=50.0).contains(&cpu)), "{usage:?}");
}

#[test]
fn a_counter_that_goes_back_tells_nothing() {
    let before = Counters { cpu_ns: Some(10), net: Some((10, 10)), block_io: None };
    let now = Counters { cpu_ns: Some(5), net: Some((20, 5)), block_io: Some((1, 1)) };
    let usage = now.rates(before, 1.0, InstanceUsage::default());
    assert_eq!((usage.cpu, usage.net_in, usage.net_out, usage.disk_read), (None, Some(10), None, None));
    assert_eq!(before.rates(before, 0.0, InstanceUsage::default()).cpu, None, "no time passed");
}
