//! Usage of the containers of an engine on this machine, read from the kernel's files, which are held open: a hundred
//! containers cost a fraction of a millisecond and their engine nothing.

use super::cgroup::{self, Tells, Tree};
use super::places::Places;
use super::proc::Reader;
use crate::model::container::ContainerKey;
use crate::model::usage::InstanceUsage;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest file that is read whole: an `io.stat` of a hundred devices.
const ROOM: usize = 16 << 10;
/// Every so many samples all is read: limits seldom change, and the longest file by far says how much is page cache,
/// which is as before where the memory is as before.
const THOROUGH_EVERY: u32 = 10;
/// Part of the descriptors we may have that is held open here; what is beyond is opened for each reading.
const HELD_PART: u64 = 4;
/// A rate over less time says little, and the kernel counts in steps.
const SHORTEST: Duration = Duration::from_millis(60);
/// Containers that a first look takes in.
const FIRST_LOOK: usize = 1024;
/// Assumed where the kernel names no bound.
const DESCRIPTORS: u64 = 1024;

/// A container to look at.
#[derive(Clone, Debug)]
pub struct Target {
    pub key: ContainerKey,
    /// Of its first process, if known.
    pub pid: Option<u32>,
}

/// Samples containers.
pub struct Containers {
    tree: Tree,
    proc: PathBuf,
    places: Places,
    reader: Reader,
    /// By id, which no two engines share.
    known: HashMap<Arc<str>, Group>,
    /// Descriptors that may still be held.
    room: usize,
    /// Network devices of our own namespace: a container that has the same ones shares it, and its traffic is not its own.
    own_devices: Vec<String>,
}

impl Default for Containers {
    fn default() -> Self {
        Self::new()
    }
}

impl Containers {
    /// Of this machine.
    pub fn new() -> Self {
        Self::at(Path::new("/sys/fs/cgroup"), Path::new("/proc"))
    }

    /// With the files of the kernel somewhere else.
    pub fn at(cgroups: &Path, proc: &Path) -> Self {
        let tree = Tree::at(cgroups);
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(DESCRIPTORS);
        let mut reader = Reader::with_room(ROOM);
        let own_devices = reader.read(proc.join("self/net/dev")).map(devices).unwrap_or_default();
        Self {
            places: Places::new(tree.clone(), proc),
            tree,
            proc: proc.to_owned(),
            reader,
            known: HashMap::new(),
            room: usize::try_from(allowed / HELD_PART).unwrap_or(usize::MAX),
            own_devices,
        }
    }

    /// Takes a first sample of whatever runs here, before any engine has said what that is: with its answer the second
    /// sample is not far.
    pub fn look(&mut self) {
        for id in self.places.all().into_iter().take(FIRST_LOOK) {
            self.one(&id.into(), None);
        }
    }

    /// Usage of those that are found; rates are over the time since a container's last sample and unknown in its first.
    pub fn sample(&mut self, targets: &[Target]) -> Vec<(ContainerKey, InstanceUsage)> {
        targets.iter().filter_map(|target| Some((target.key.clone(), self.one(&target.key.id, target.pid)?))).collect()
    }

    /// Lets go of all others. Their files must not be held for long: they keep a network namespace alive.
    pub fn keep(&mut self, live: &BTreeSet<ContainerKey>) {
        let room = &mut self.room;
        let live: HashSet<&Arc<str>> = live.iter().map(|key| &key.id).collect();
        self.known.retain(|id, group| {
            let kept = live.contains(id);
            *room += if kept { 0 } else { group.held() };
            kept
        });
    }

    /// When the next sample of a container tells its rates.
    pub fn ready_at(&self, key: &ContainerKey) -> Option<Instant> {
        self.known.get(&key.id)?.last.map(|(at, _)| at + SHORTEST)
    }

    fn one(&mut self, id: &Arc<str>, pid: Option<u32>) -> Option<InstanceUsage> {
        if let Some(group) = self.known.get_mut(id) {
            if let Some(usage) = group.sample(&self.tree, &mut self.reader, Instant::now()) {
                return Some(usage);
            }
            // It is gone, or it was started anew and has other files of the same names.
            self.room += group.held();
            self.known.remove(id);
        }
        let place = self.places.find(id, pid)?;
        let mut group = self.open(&place, pid);
        let usage = group.sample(&self.tree, &mut self.reader, Instant::now());
        if usage.is_some() {
            self.room = self.room.saturating_sub(group.held());
            self.known.insert(id.clone(), group);
        }
        usage
    }

    fn open(&mut self, place: &str, pid: Option<u32>) -> Group {
        let net = pid.or_else(|| self.member(place)).map(|pid| self.proc.join(format!("{pid}/net/dev")));
        let shared = net.as_ref().and_then(|path| self.reader.read(path)).map(devices);
        let own = shared.is_some_and(|devices| devices.is_empty() || devices != self.own_devices);
        let held = self.room >= FILES;
        let source = |path: Option<PathBuf>| path.map_or(Source::Absent, |path| Source::new(path, held));
        let file = |what| source(self.tree.file(place, what));
        Group {
            cpu: file(Tells::Cpu),
            memory: file(Tells::Memory),
            cache: file(Tells::Cache),
            pids: file(Tells::Pids),
            block_io: file(Tells::BlockIo),
            net: source(net.filter(|_| own)),
            place: place.to_owned(),
            limits: Limits::default(),
            until_thorough: 0,
            used: None,
            cached: 0,
            last: None,
        }
    }

    /// A process of the group, or of one right below it: in version 2 a group with groups below has none of its own.
    fn member(&mut self, place: &str) -> Option<u32> {
        let file = self.tree.file(place, Tells::Members)?;
        if let Some(pid) = self.reader.read(&file).and_then(first_number) {
            return Some(pid);
        }
        let below = fs::read_dir(file.parent()?).ok()?.flatten().map(|entry| entry.path().join("cgroup.procs"));
        below.into_iter().find_map(|file| self.reader.read(file).and_then(first_number))
    }
}

/// What is read of one container.
struct Group {
    place: String,
    cpu: Source,
    memory: Source,
    cache: Source,
    pids: Source,
    block_io: Source,
    net: Source,
    limits: Limits,
    until_thorough: u32,
    /// Bytes with page cache at the last sample, and the page cache in them.
    used: Option<u64>,
    cached: u64,
    last: Option<(Instant, Counters)>,
}

/// Files of a group.
const FILES: usize = 6;

#[derive(Clone, Copy, Default)]
struct Limits {
    memory: Option<u64>,
    cpu: Option<f32>,
}

/// What only grows.
#[derive(Clone, Copy, Default)]
struct Counters {
    cpu_ns: Option<u64>,
    net: Option<(u64, u64)>,
    block_io: Option<(u64, u64)>,
}

impl Group {
    /// `None` if the group is gone.
    fn sample(&mut self, tree: &Tree, reader: &mut Reader, now: Instant) -> Option<InstanceUsage> {
        let cpu_ns = tree.cpu(self.cpu.read(reader)?)?;
        let counters = Counters {
            cpu_ns: Some(cpu_ns),
            net: self.net.read(reader).map(traffic),
            block_io: self.block_io.read(reader).map(|text| tree.block_io(text)),
        };
        let pids = self.pids.read(reader).and_then(first_number);
        let thorough = self.until_thorough == 0;
        self.until_thorough = self.until_thorough.checked_sub(1).unwrap_or(THOROUGH_EVERY - 1);
        if thorough {
            self.limits = read_limits(tree, reader, &self.place);
        }
        let used = self.memory.read(reader).and_then(number);
        if thorough || used != self.used {
            self.used = used;
            self.cached = self.cache.read(reader).and_then(|text| tree.cache(text)).unwrap_or(0);
        }
        let early = |(at, _): &(Instant, Counters)| now.duration_since(*at) < SHORTEST;
        let last = if self.last.as_ref().is_some_and(early) { None } else { self.last.replace((now, counters)) };
        let usage = InstanceUsage {
            memory: used.map(|used| used.saturating_sub(self.cached)),
            memory_limit: self.limits.memory,
            cpu_limit: self.limits.cpu,
            pids,
            ..InstanceUsage::default()
        };
        Some(match last {
            Some((at, before)) => counters.rates(before, now.duration_since(at).as_secs_f64(), usage),
            None => usage,
        })
    }

    fn held(&self) -> usize {
        let files = [&self.cpu, &self.memory, &self.cache, &self.pids, &self.block_io, &self.net];
        files.into_iter().filter(|source| matches!(source, Source::Held(_))).count()
    }
}

impl Counters {
    /// `usage` with what was used since `before`.
    fn rates(self, before: Self, elapsed_s: f64, usage: InstanceUsage) -> InstanceUsage {
        let per_second = |now: Option<u64>, then: Option<u64>| {
            let used = now?.checked_sub(then?)?;
            (elapsed_s > 0.0).then(|| used as f64 / elapsed_s)
        };
        let first = |pair: Option<(u64, u64)>| pair.map(|p| p.0);
        let second = |pair: Option<(u64, u64)>| pair.map(|p| p.1);
        let bytes = |now, then| per_second(now, then).map(|rate| rate as u64);
        InstanceUsage {
            cpu: per_second(self.cpu_ns, before.cpu_ns).map(|ns| (ns / 1e7) as f32),
            net_in: bytes(first(self.net), first(before.net)),
            net_out: bytes(second(self.net), second(before.net)),
            disk_read: bytes(first(self.block_io), first(before.block_io)),
            disk_write: bytes(second(self.block_io), second(before.block_io)),
            ..usage
        }
    }
}

fn read_limits(tree: &Tree, reader: &mut Reader, place: &str) -> Limits {
    let mut text = |what| reader.read(tree.file(place, what)?).map(str::to_owned);
    let memory = text(Tells::MemoryLimit).and_then(|text| cgroup::limit(&text));
    let period = text(Tells::CpuPeriod);
    let cpu = text(Tells::CpuLimit).and_then(|text| tree.cpu_limit(&text, period.as_deref()));
    Limits { memory, cpu }
}

/// A file of the kernel that is read again and again.
enum Source {
    Held(File),
    /// Opened for each reading: too many are held already.
    Reopened(PathBuf),
    Absent,
}

impl Source {
    fn new(path: PathBuf, held: bool) -> Self {
        match (held, File::open(&path)) {
            (true, Ok(file)) => Self::Held(file),
            (false, Ok(_)) => Self::Reopened(path),
            (_, Err(_)) => Self::Absent,
        }
    }

    fn read<'r>(&self, reader: &'r mut Reader) -> Option<&'r str> {
        match self {
            Self::Held(file) => reader.read_held(file),
            Self::Reopened(path) => reader.read(path),
            Self::Absent => None,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn first_number(text: &str) -> Option<u32> {
    // A process of another pid namespace is shown as 0.
    text.lines().next()?.trim().parse().ok().filter(|n| *n > 0)
}

/// (name, the rest) of each device but the loopback.
fn device_lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    lines.map(|(name, rest)| (name.trim(), rest)).filter(|(name, _)| *name != "lo")
}

fn devices(text: &str) -> Vec<String> {
    device_lines(text).map(|(name, _)| name.to_owned()).collect()
}

/// Bytes (received, sent) so far.
fn traffic(text: &str) -> (u64, u64) {
    let counts = device_lines(text).filter_map(|(_, rest)| {
        let mut words = rest.split_ascii_whitespace();
        Some((words.next()?.parse::<u64>().ok()?, words.nth(7)?.parse::<u64>().ok()?))
    });
    counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
