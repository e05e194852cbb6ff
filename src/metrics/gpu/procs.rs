//! Whose a process is, as far as the kernel tells: its program, its process group and those above it, its container.
//! Pure but for reading below one root.

use crate::metrics::proc::{Reader, Stat};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Ancestors looked at.
const DEPTH: usize = 32;
/// The pid namespace of the machine itself (PROC_PID_INIT_INO of linux/proc_ns.h).
const OUTERMOST: &str = "pid:[4026531836]";

/// Looks processes up below `/proc`, or where the host's is mounted.
pub struct Procs {
    root: PathBuf,
    reader: Reader,
    /// In a container the driver may speak of the host's pids, which here are other processes: only one that holds a
    /// GPU's device file is then believed to be the one.
    doubtful: bool,
}

/// A process that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub program: Option<String>,
    /// Its own process group and those of its ancestors.
    pub groups: BTreeSet<u32>,
    /// Whole id of its container.
    pub container: Option<String>,
}

impl Procs {
    pub fn new(root: &Path) -> Self {
        let own = std::fs::read_link(root.join("self/ns/pid")).unwrap_or_default();
        let doubtful = root == Path::new("/proc") && own != Path::new(OUTERMOST);
        Self { root: root.to_owned(), reader: Reader::new(), doubtful }
    }

    /// `None` if there is no such process to see.
    pub fn find(&mut self, pid: u32) -> Option<Process> {
        let stat = self.stat(pid)?;
        if self.doubtful && !self.holds_device(pid) {
            return None;
        }
        let mut groups = BTreeSet::from([stat.group]);
        let mut above = stat.parent;
        for _ in 0..DEPTH {
            let Some(stat) = Some(above).filter(|pid| *pid > 1).and_then(|pid| self.stat(pid)) else { break };
            groups.insert(stat.group);
            above = stat.parent;
        }
        let file = self.root.join(pid.to_string());
        let program = self.reader.read(file.join("cmdline")).and_then(|line| program(line.split('\0').next()?));
        let program = program.or_else(|| Some(self.reader.read(file.join("comm"))?.trim().to_owned()));
        let container = self.reader.read(file.join("cgroup")).and_then(container_of);
        Some(Process { program, groups, container })
    }

    fn stat(&mut self, pid: u32) -> Option<Stat> {
        Stat::parse(self.reader.read(self.root.join(pid.to_string()).join("stat"))?)
    }

    fn holds_device(&self, pid: u32) -> bool {
        let Ok(files) = std::fs::read_dir(self.root.join(pid.to_string()).join("fd")) else { return false };
        let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.into_iter().any(|target| target.as_os_str().as_encoded_bytes().starts_with(b"/dev/nvidia"))
    }
}

/// The program's name of a path or command.
pub fn program(path: &str) -> Option<String> {
    let name = path.trim().rsplit('/').next()?;
    (!name.is_empty()).then(|| name.chars().filter(|c| !c.is_control()).take(64).collect())
}

/// The container of `/proc/PID/cgroup`: docker and podman, v1 and v2, whichever manager made the path.
///
/// `4:memory:/docker/ID`, `0::/system.slice/docker-ID.scope`, `0::/machine.slice/libpod-ID.scope/container`
fn container_of(cgroup: &str) -> Option<String> {
    let parts = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(|path| path.rsplit('/'));
    parts.filter_map(container_id).next().map(str::to_owned)
}

/// The 64 digits in one part of a path; podman's monitor (`libpod-conmon-ID`) is not the container.
fn container_id(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (before, id) = name.rsplit_once('-').unwrap_or(("", name));
    let whole = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (whole && !before.ends_with("conmon")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn containers_are_found_in_every_kind_of_cgroup_path() {
        for (line, found) in [
            ("4:memory:/docker/ID", true),
            ("12:pids:/docker/ID\n0::/", true),
            ("0::/system.slice/docker-ID.scope", true),
            ("0::/machine.slice/libpod-ID.scope/container", true),
            ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", true),
            ("3:cpu,cpuacct:/libpod_parent/libpod-ID", true),
            ("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope", true),
            ("0::/machine.slice/libpod-conmon-ID.scope", false),
            ("0::/user.slice/user-1000.slice/session-2.scope", false),
            ("0::/", false),
            ("garbage", false),
            ("", false),
        ] {
            let got = container_of(&line.replace("ID", ID));
            assert_eq!(got.as_deref(), found.then_some(ID), "{line}");
        }
    }

    #[test]
    fn a_process_is_found_with_the_groups_above_it() {
        let root = tempfile::tempdir().unwrap();
        let put = |pid: u32, parent: u32, group: u32, command: &str| {
            let folder = root.path().join(pid.to_string());
            std::fs::create_dir(&folder).unwrap();
            let stat = format!("{pid} (x) S {parent} {group} 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9 10 2 1");
            std::fs::write(folder.join("stat"), stat).unwrap();
            std::fs::write(folder.join("cmdline"), command).unwrap();
            std::fs::write(folder.join("comm"), "worker\n").unwrap();
            std::fs::write(folder.join("cgroup"), format!("0::/system.slice/docker-{ID}.scope\n")).unwrap();
        };
        put(10, 1, 10, "/usr/bin/python3\0serve.py\0");
        put(11, 10, 11, "");
        let mut procs = Procs::new(root.path());
        let found = procs.find(11).unwrap();
        assert_eq!(found.groups, BTreeSet::from([10, 11]), "a child that left the group is found by its parent");
        assert_eq!((found.program.as_deref(), found.container.as_deref()), (Some("worker"), Some(ID)));
        assert_eq!(procs.find(10).unwrap().program.as_deref(), Some("python3"));
        assert_eq!(procs.find(12), None, "nothing is made up of a pid that is not here");
    }
}
