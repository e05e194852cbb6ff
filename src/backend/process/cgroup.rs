//! Memory, cpu and pid limits through control groups, version 1 and 2: where they can be had, one cell per instance.
//!
//! Everything lies below one folder of ours, `mcpdeck-PID-START`, as deep in the tree as we are allowed to: below our own
//! cgroup (v1), or below the nearest ancestor that hands controllers on (v2, where a cgroup with processes cannot).

use super::procstat::Stat;
use crate::model::server::Limits;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The shell that joins a cell before the program starts; see `launch`.
pub const SHELL: &str = "/bin/sh";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    fn is_limited(self, limits: &Limits) -> bool {
        match self {
            Self::Memory => limits.memory.is_some(),
            Self::Cpu => limits.cpus.is_some(),
            Self::Pids => limits.pids.is_some(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// One tree that we may use, and what it limits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tree {
    version: Version,
    controllers: Vec<Controller>,
    /// Our folder in it.
    base: PathBuf,
}

/// What this machine lets us limit.
#[derive(Debug, Default)]
pub struct Cgroups {
    trees: Vec<Tree>,
}

/// The cgroups of one instance.
#[derive(Debug)]
pub struct Cell {
    parts: Vec<(Version, PathBuf)>,
    memory: Option<(Version, PathBuf)>,
}

impl Cgroups {
    /// Looks where we are and tries it out, with a real process, since reading permissions tells only half of it.
    pub fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let started = Stat::own().map_or(0, |s| s.started);
        let name = format!("mcpdeck-{}-{started}", std::process::id());
        let mut found = Self::default();
        for place in places(&mounts, &own) {
            let missing = |c: &Controller| !found.trees.iter().any(|t| t.controllers.contains(c));
            let wanted: Vec<_> = place.controllers.iter().copied().filter(missing).collect();
            found.trees.extend(place.claim(&name, &wanted));
        }
        found
    }

    /// Our folders, for those who clean up after us.
    pub fn bases(&self) -> impl Iterator<Item = &Path> {
        self.trees.iter().map(|t| t.base.as_path())
    }

    /// A cell with these limits, and the limits for which there is no cgroup here. `None` if there are no cgroups.
    pub fn create(&self, name: &str, limits: &Limits) -> io::Result<(Option<Cell>, Vec<Controller>)> {
        let mut cell = Cell { parts: Vec::new(), memory: None };
        let mut missing: Vec<_> = Controller::ALL.into_iter().filter(|c| c.is_limited(limits)).collect();
        for tree in &self.trees {
            let (here, elsewhere): (Vec<_>, Vec<_>) = missing.into_iter().partition(|c| tree.controllers.contains(c));
            missing = elsewhere;
            if here.is_empty() {
                continue;
            }
            let dir = tree.base.join(name);
            fs::create_dir(&dir).map_err(|e| name_path(&dir, e))?;
            cell.parts.push((tree.version, dir.clone()));
            for controller in here {
                limit(tree.version, &dir, controller, limits)?;
                if controller == Controller::Memory {
                    cell.memory = Some((tree.version, dir.clone()));
                }
            }
        }
        if cell.parts.is_empty() {
            cell.parts.extend(self.unlimited(name));
        }
        Ok(((!cell.parts.is_empty()).then_some(cell), missing))
    }

    /// A place that limits nothing: what leaves its process group (a daemon) is still found in it.
    fn unlimited(&self, name: &str) -> Option<(Version, PathBuf)> {
        let tree = self.trees.first()?;
        let dir = tree.base.join(name);
        fs::create_dir(&dir).ok().map(|()| (tree.version, dir))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for base in self.bases() {
            let _ = fs::remove_dir(base);
        }
    }
}

impl Cell {
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|(_, dir)| dir.as_path())
    }

    pub fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Processes that the kernel killed for the memory limit.
    pub fn oom_kills(&self) -> u64 {
        let Some((version, dir)) = &self.memory else { return 0 };
        let file = dir.join(match version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        });
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find_map(|l| l.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
    }

    /// True once every part is empty and removed.
    pub fn kill_and_remove(&self) -> bool {
        self.dirs().map(kill_and_remove).fold(true, |a, b| a & b)
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.kill_and_remove();
    }
}

/// SIGKILL to every member, then removal; true once it is gone. Members need a moment to die: call again.
pub fn kill_and_remove(dir: &Path) -> bool {
    match fs::remove_dir(dir) {
        Ok(()) => return true,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return true,
        Err(_) => {}
    }
    if fs::write(dir.join("cgroup.kill"), "1").is_err() {
        let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|l| super::holdings::pid(l.parse().ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    fs::remove_dir(dir).is_ok()
}

fn limit(version: Version, dir: &Path, controller: Controller, limits: &Limits) -> io::Result<()> {
    let set = |file: &str, value: String| {
        let path = dir.join(file);
        fs::write(&path, value).map_err(|e| name_path(&path, e))
    };
    match (controller, version) {
        (Controller::Memory, Version::V1) => {
            let bytes = limits.memory.unwrap_or(u64::MAX).to_string();
            set("memory.limit_in_bytes", bytes.clone())?;
            // Only where the kernel accounts for swap; without it there is nothing to evade the limit with.
            let _ = set("memory.memsw.limit_in_bytes", bytes);
            Ok(())
        }
        (Controller::Memory, Version::V2) => {
            set("memory.max", limits.memory.unwrap_or(u64::MAX).to_string())?;
            let _ = set("memory.swap.max", "0".into());
            Ok(())
        }
        (Controller::Cpu, Version::V1) => {
            set("cpu.cfs_period_us", PERIOD_US.to_string())?;
            set("cpu.cfs_quota_us", quota_us(limits).to_string())
        }
        (Controller::Cpu, Version::V2) => set("cpu.max", format!("{} {PERIOD_US}", quota_us(limits))),
        (Controller::Pids, _) => set("pids.max", limits.pids.unwrap_or(u32::MAX).to_string()),
    }
}

const PERIOD_US: u32 = 100_000;

/// The kernel refuses less than 1 ms.
fn quota_us(limits: &Limits) -> u64 {
    ((limits.cpus.unwrap_or(1.0) * f64::from(PERIOD_US)) as u64).max(1_000)
}

fn name_path(path: &Path, e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

/// A mounted tree and where in it we are.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    version: Version,
    controllers: Vec<Controller>,
    mount: PathBuf,
    own: PathBuf,
}

/// Reads `/proc/self/mountinfo` and `/proc/self/cgroup` (cgroups(7)); version 1 first, since a controller that is
/// mounted there is not in version 2.
fn places(mounts: &str, own: &str) -> Vec<Place> {
    let mut places: Vec<_> = mounts.lines().filter_map(|line| place(line, own)).collect();
    places.sort_by_key(|p| p.version == Version::V2);
    places
}

fn place(mount_line: &str, own: &str) -> Option<Place> {
    let (left, right) = mount_line.split_once(" - ")?;
    let left: Vec<_> = left.split(' ').collect();
    let right: Vec<_> = right.split(' ').collect();
    let (root, mount) = (*left.get(3)?, *left.get(4)?);
    let named = |list: &str, c: &Controller| list.split(',').any(|word| word == c.name());
    let (version, controllers, path) = match *right.first()? {
        "cgroup" => {
            let controllers: Vec<_> =
                Controller::ALL.into_iter().filter(|c| right.get(2).is_some_and(|list| named(list, c))).collect();
            let first = *controllers.first()?;
            let fields = |line: &str| {
                let mut f = line.splitn(3, ':').skip(1).map(str::to_owned);
                Some((f.next()?, f.next()?))
            };
            let path = own.lines().filter_map(fields).find(|(list, _)| named(list, &first))?.1;
            (Version::V1, controllers, path)
        }
        "cgroup2" => {
            let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
            (Version::V2, Controller::ALL.to_vec(), path)
        }
        _ => return None,
    };
    // Below a mount of a part of the tree (in a container) paths start at that part.
    let below = Path::new(&path).strip_prefix(root).unwrap_or(Path::new("")).to_owned();
    Some(Place { version, controllers, mount: mount.into(), own: Path::new(mount).join(below) })
}

impl Place {
    /// Makes our folder at the nearest place where it works.
    fn claim(&self, name: &str, wanted: &[Controller]) -> Option<Tree> {
        if wanted.is_empty() {
            return None;
        }
        let inside = self.own.ancestors().take_while(|dir| dir.starts_with(&self.mount));
        inside.filter_map(|dir| self.claim_in(dir, name, wanted)).next()
    }

    fn claim_in(&self, dir: &Path, name: &str, wanted: &[Controller]) -> Option<Tree> {
        let offered: Vec<_> = wanted.iter().copied().filter(|c| self.is_offered(dir, *c)).collect();
        if offered.is_empty() {
            return None;
        }
        let base = dir.join(name);
        fs::create_dir(&base).ok()?;
        let tree = Tree { version: self.version, controllers: offered, base };
        if tree.hand_on().is_ok() && tree.try_out() {
            return Some(tree);
        }
        let _ = fs::remove_dir(&tree.base);
        None
    }

    fn is_offered(&self, dir: &Path, controller: Controller) -> bool {
        let handed_on = || fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
        self.version == Version::V1 || handed_on().split_whitespace().any(|word| word == controller.name())
    }
}

impl Tree {
    fn hand_on(&self) -> io::Result<()> {
        if self.version == Version::V1 {
            return Ok(());
        }
        let words: Vec<_> = self.controllers.iter().map(|c| format!("+{}", c.name())).collect();
        fs::write(self.base.join("cgroup.subtree_control"), words.join(" "))
    }

    /// A small process joins a cell with limits, as an instance would.
    #[expect(clippy::disallowed_methods, reason = "runs on a thread for blocking work")]
    fn try_out(&self) -> bool {
        let dir = self.base.join("trial");
        let limits = Limits { memory: Some(64 << 20), cpus: Some(1.0), pids: Some(8), explicit: false };
        let works = fs::create_dir(&dir).is_ok()
            && self.controllers.iter().all(|c| limit(self.version, &dir, *c, &limits).is_ok())
            && join_once(&dir);
        let removed = (0..100).any(|_| {
            let gone = kill_and_remove(&dir);
            if !gone {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            gone
        });
        works && removed
    }
}

fn join_once(dir: &Path) -> bool {
    Command::new(SHELL)
        .args(["-c", "echo 0 >\"$1\"", "sh"])
        .arg(dir.join("cgroup.procs"))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_where_we_are_in_both_versions() {
        let cases = [
            (
                "v1, own subtree",
                "33 25 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
                "4:memory:/jobs/7\n0::/",
                Some((Version::V1, vec![Controller::Memory], "/sys/fs/cgroup/memory/jobs/7")),
            ),
            (
                "v1, controllers mounted together",
                "33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
                "2:cpu,cpuacct:/",
                Some((Version::V1, vec![Controller::Cpu], "/sys/fs/cgroup/cpu,cpuacct/")),
            ),
            ("v1, nothing we limit", "33 25 0:29 / /x rw - cgroup cgroup rw,freezer", "6:freezer:/", None),
            (
                "v2, a user's scope",
                "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw",
                "0::/user.slice/app.slice/x.scope",
                Some((Version::V2, Controller::ALL.to_vec(), "/sys/fs/cgroup/user.slice/app.slice/x.scope")),
            ),
            (
                "v2, a mount of a part of the tree",
                "30 23 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup ro",
                "0::/docker/ab/inner",
                Some((Version::V2, Controller::ALL.to_vec(), "/sys/fs/cgroup/inner")),
            ),
            ("no cgroup", "30 23 0:26 / /proc rw - proc proc rw", "0::/", None),
        ];
        for (name, mounts, own, expected) in cases {
            let found = places(mounts, own).pop().map(|p| (p.version, p.controllers, p.own));
            let expected = expected.map(|(v, c, own)| (v, c, PathBuf::from(own)));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn limits_are_written_in_the_words_of_each_version() {
        let limits = Limits { memory: Some(1 << 20), cpus: Some(0.25), pids: Some(9), explicit: true };
        let cases = [
            (Version::V1, Controller::Memory, "memory.limit_in_bytes", "1048576"),
            (Version::V1, Controller::Cpu, "cpu.cfs_quota_us", "25000"),
            (Version::V1, Controller::Pids, "pids.max", "9"),
            (Version::V2, Controller::Memory, "memory.max", "1048576"),
            (Version::V2, Controller::Cpu, "cpu.max", "25000 100000"),
            (Version::V2, Controller::Pids, "pids.max", "9"),
        ];
        for (version, controller, file, value) in cases {
            let dir = tempfile::tempdir().unwrap();
            limit(version, dir.path(), controller, &limits).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), value, "{version:?} {file}");
        }
    }

    #[test]
    fn version_2_is_claimed_only_where_controllers_are_handed_on() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("app.slice/x.scope");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("cgroup.subtree_control"), "").unwrap();
        fs::write(root.path().join("app.slice/cgroup.subtree_control"), "memory pids\n").unwrap();
        let place = Place { version: Version::V2, controllers: vec![], mount: root.path().into(), own: own.clone() };
        for (dir, offers) in [(own, false), (root.path().join("app.slice"), true)] {
            assert_eq!(place.is_offered(&dir, Controller::Memory), offers, "{}", dir.display());
            assert!(!place.is_offered(&dir, Controller::Cpu));
        }
    }
}
