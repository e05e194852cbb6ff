//! Where an engine keeps the control group of a container: known layouts first, then what its process says, then a
//! search; a layout that was found once is tried first from then on.

use super::cgroup::{Tells, Tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Layouts as engines make them by default: Docker with its own cgroup driver and with systemd, Podman likewise.
const USUAL: [(&str, &str); 4] = [
    ("docker/", ""),
    ("system.slice/docker-", ".scope"),
    ("machine.slice/libpod-", ".scope"),
    ("libpod_parent/libpod-", ""),
];
/// Layouts remembered beside the usual ones.
const LEARNT: usize = 12;
/// The whole tree is gone through for an unknown layout no more often than this, and no further.
const SEARCH_EVERY: Duration = Duration::from_secs(30);
const SEARCH_FOLDERS: usize = 20_000;
const SEARCH_DEPTH: usize = 10;
/// Digits of an id.
const ID: usize = 64;

/// Finds control groups by container ids.
pub struct Places {
    tree: Tree,
    proc: PathBuf,
    /// The newest one that fitted first.
    layouts: Vec<Layout>,
    searched: Option<Instant>,
}

/// A group's path around the id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    before: String,
    after: String,
}

impl Layout {
    fn of(&self, id: &str) -> String {
        format!("{}{id}{}", self.before, self.after)
    }
}

impl Places {
    pub fn new(tree: Tree, proc: &Path) -> Self {
        let usual = USUAL.map(|(before, after)| Layout { before: before.to_owned(), after: after.to_owned() });
        Self { tree, proc: proc.to_owned(), layouts: usual.to_vec(), searched: None }
    }

    /// The group of the container `id`, whose first process is `pid` if that is known; `None` if there is none (here).
    pub fn find(&mut self, id: &str, pid: Option<u32>) -> Option<String> {
        // An id is part of a path from here on.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        if let Some(group) = self.by_layout(id) {
            return Some(group);
        }
        if let Some(layout) = pid.and_then(|pid| self.by_process(id, pid)) {
            self.learn(layout);
        } else if self.searched.is_none_or(|at| at.elapsed() >= SEARCH_EVERY) {
            self.search();
        }
        self.by_layout(id)
    }

    /// Ids of all containers that have a group, whatever engine made them.
    pub fn all(&mut self) -> Vec<String> {
        self.search()
    }

    fn by_layout(&mut self, id: &str) -> Option<String> {
        let fits = |layout: &Layout| self.tree.file(&layout.of(id), Tells::Cpu).is_some_and(|file| file.exists());
        let at = self.layouts.iter().position(fits)?;
        self.layouts[..=at].rotate_right(1);
        Some(self.layouts[0].of(id))
    }

    /// A process may be in a group below its container's.
    fn by_process(&self, id: &str, pid: u32) -> Option<Layout> {
        let text = fs::read_to_string(self.proc.join(format!("{pid}/cgroup"))).ok()?;
        let group = text.lines().find_map(|line| line.splitn(3, ':').nth(2).filter(|path| path.contains(id)))?;
        let (before, after) = group.trim_start_matches('/').split_once(id)?;
        let after = after.split('/').next().unwrap_or_default();
        Some(Layout { before: before.to_owned(), after: after.to_owned() })
    }

    /// Learns every layout that is in use, and returns the ids.
    fn search(&mut self) -> Vec<String> {
        self.searched = Some(Instant::now());
        let mut ids = Vec::new();
        let root = self.tree.groups();
        let mut folders = vec![(root.clone(), 0)];
        let mut seen = 0;
        while let Some((folder, depth)) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                seen += 1;
                if seen > SEARCH_FOLDERS {
                    return ids;
                }
                match layout_of(&root, &entry.path()) {
                    // What runs inside a container has groups of its own below.
                    Some((id, layout)) => {
                        ids.push(id);
                        self.learn(layout);
                    }
                    None if depth < SEARCH_DEPTH => folders.push((entry.path(), depth + 1)),
                    None => {}
                }
            }
        }
        ids
    }

    fn learn(&mut self, layout: Layout) {
        if !self.layouts.contains(&layout) {
            self.layouts.insert(0, layout);
            self.layouts.truncate(USUAL.len() + LEARNT);
        }
    }
}

/// The id that this folder's name holds, and the layout that shows.
fn layout_of(root: &Path, folder: &Path) -> Option<(String, Layout)> {
    let group = folder.strip_prefix(root).ok()?.to_str()?;
    let name_at = group.rfind('/').map_or(0, |slash| slash + 1);
    let digits = |c: char| c.is_ascii_hexdigit();
    let id = group[name_at..].split(|c| !digits(c)).find(|run| run.len() == ID)?;
    let at = name_at + group[name_at..].find(id)?;
    Some((id.to_owned(), Layout { before: group[..at].to_owned(), after: group[at + ID..].to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "62031e3058996bb813b220af1cd9b983a73add4a1841008796d4bf021e349874";
    const TWO: &str = "72031e3058996bb813b220af1cd9b983a73add4a1841008796d4bf021e349875";

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            world.put("cgroup/cgroup.controllers", "");
            world
        }

        fn put(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn group(&self, group: &str) {
            self.put(&format!("cgroup/{group}/cpu.stat"), "usage_usec 1\n");
        }

        fn places(&self) -> Places {
            Places::new(Tree::at(&self.0.path().join("cgroup")), &self.0.path().join("proc"))
        }
    }

    #[test]
    fn every_engine_s_layout_is_found_and_learnt() {
        let user = "user.slice/user-1000.slice/user@1000.service/user.slice";
        let layouts = [
            ("docker", format!("docker/{ONE}"), format!("docker/{TWO}")),
            ("docker, systemd", format!("system.slice/docker-{ONE}.scope"), format!("system.slice/docker-{TWO}.scope")),
            ("podman", format!("libpod_parent/libpod-{ONE}"), format!("libpod_parent/libpod-{TWO}")),
            (
                "podman, systemd",
                format!("machine.slice/libpod-{ONE}.scope"),
                format!("machine.slice/libpod-{TWO}.scope"),
            ),
            ("podman, rootless", format!("{user}/libpod-{ONE}.scope"), format!("{user}/libpod-{TWO}.scope")),
            ("a parent of its own", format!("deep/er/{ONE}"), format!("deep/er/{TWO}")),
        ];
        for (name, one, two) in layouts {
            let world = World::new();
            world.group(&one);
            let mut places = world.places();
            assert_eq!(places.find(ONE, None), Some(one), "{name}");
            world.group(&two);
            assert_eq!(places.find(TWO, None), Some(two), "{name}: without another search");
        }
    }

    #[test]
    fn a_process_says_where_its_container_is() {
        let world = World::new();
        world.group(&format!("odd/libpod-{ONE}.scope"));
        world.put("proc/7/cgroup", &format!("0::/odd/libpod-{ONE}.scope/container\n"));
        let mut places = world.places();
        places.searched = Some(Instant::now());
        assert_eq!(places.find(ONE, None), None, "no search so soon after the last");
        assert_eq!(places.find(ONE, Some(7)), Some(format!("odd/libpod-{ONE}.scope")));
        assert_eq!(places.find(TWO, Some(7)), None, "another container's process");
        assert_eq!(places.find(TWO, Some(8)), None, "no such process");
    }

    #[test]
    fn all_are_found_and_what_runs_inside_them_is_not() {
        let world = World::new();
        world.group(&format!("docker/{ONE}"));
        world.group(&format!("docker/{ONE}/{}", ONE.replace('6', "5")));
        world.group(&format!("machine.slice/libpod-{TWO}.scope"));
        world.group("system.slice/cron.service");
        let mut ids = world.places().all();
        ids.sort();
        assert_eq!(ids, [ONE, TWO]);
    }

    #[test]
    fn an_id_is_never_a_path() {
        let world = World::new();
        world.group("docker");
        for id in ["", "..", "../docker", "a/b", "."] {
            assert_eq!(world.places().find(id, None), None, "{id:?}");
        }
    }
}
