//! What must not outlive mcpdeck: process groups and cgroups, and how they are ended when their owner is gone.
//! The same lines tell it to the helper (through a pipe) and to the next start (through a file).

use super::{cgroup, procstat};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Group(GroupId),
    GroupGone(u32),
    Cgroup(PathBuf),
    CgroupGone(PathBuf),
}

/// A process group that was started for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupId {
    /// Number of the group, which is the pid of its leader.
    pub pgid: u32,
    /// When the leader started: clock ticks since boot.
    pub started: u64,
    /// The instance, as text.
    pub key: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(g) => write!(f, "+group {} {} {}", g.pgid, g.started, g.key),
            Self::GroupGone(pgid) => write!(f, "-group {pgid}"),
            Self::Cgroup(dir) => write!(f, "+cgroup {}", dir.display()),
            Self::CgroupGone(dir) => write!(f, "-cgroup {}", dir.display()),
        }
    }
}

impl Line {
    /// `None` for a line that was cut off in the middle of a write.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ')?;
        Some(match word {
            "+group" => {
                let mut fields = rest.splitn(3, ' ');
                let mut next = || fields.next();
                let (pgid, started) = (next()?.parse().ok()?, next()?.parse().ok()?);
                Self::Group(GroupId { pgid, started, key: next()?.to_owned() })
            }
            "-group" => Self::GroupGone(rest.parse().ok()?),
            "+cgroup" => Self::Cgroup(rest.into()),
            "-cgroup" => Self::CgroupGone(rest.into()),
            _ => return None,
        })
    }
}

/// What there is now: the sum of all lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub groups: BTreeMap<u32, GroupId>,
    pub cgroups: BTreeSet<PathBuf>,
}

impl Holdings {
    pub fn apply(&mut self, line: Line) {
        match line {
            Line::Group(group) => {
                self.groups.insert(group.pgid, group);
            }
            Line::GroupGone(pgid) => {
                self.groups.remove(&pgid);
            }
            Line::Cgroup(dir) => {
                self.cgroups.insert(dir);
            }
            Line::CgroupGone(dir) => {
                self.cgroups.remove(&dir);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.cgroups.is_empty()
    }

    pub fn len(&self) -> usize {
        self.groups.len() + self.cgroups.len()
    }

    /// The lines that build it from nothing.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let cgroups = self.cgroups.iter().cloned().map(Line::Cgroup);
        cgroups.chain(self.groups.values().cloned().map(Line::Group))
    }

    /// SIGTERM to every group, at most `grace` of waiting, SIGKILL to all groups and to the members of all cgroups
    /// (which catches those that left their group), and removal of the cgroups. Blocks for `grace` and a second at most.
    pub fn end(&self, grace: Duration) {
        self.signal(Signal::TERM);
        wait_until(grace, || self.groups.keys().all(|pgid| !group_lives(*pgid)));
        self.signal(Signal::KILL);
        wait_until(Duration::from_secs(1), || {
            let removed = self.cgroups.iter().rev().map(|dir| cgroup::kill_and_remove(dir)).fold(true, |a, b| a & b);
            removed && self.groups.keys().all(|pgid| !group_lives(*pgid))
        });
    }

    fn signal(&self, signal: Signal) {
        for pid in self.groups.keys().filter_map(|pgid| pid(*pgid)) {
            // The only failures mean that nobody is left, or nobody we may signal: nothing more can be done here.
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// A number as the kernel's type; `None` for 0 and 1, which are never a group of ours and dangerous to signal.
pub fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().filter(|n| *n > 1).and_then(Pid::from_raw)
}

/// True while a member runs. A group of zombies alone counts as dead: whoever inherits them reaps them in its own time.
fn group_lives(pgid: u32) -> bool {
    let Some(pid) = pid(pgid) else { return false };
    test_kill_process_group(pid).is_ok() && procstat::all().iter().any(|s| s.group == pgid && s.is_alive())
}

#[expect(clippy::disallowed_methods, reason = "runs in the helper, or on a thread for blocking work")]
fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_written_and_sum_up() {
        let group = Line::Group(GroupId { pgid: 7, started: 99, key: "git@eaton#2".into() });
        let cgroup = Line::Cgroup("/sys/fs/cgroup/a b".into());
        let mut holdings = Holdings::default();
        for line in [&group, &cgroup] {
            assert_eq!(Line::parse(&line.to_string()).as_ref(), Some(line));
            holdings.apply(line.clone());
        }
        assert_eq!(holdings.lines().collect::<Vec<_>>(), [cgroup, group]);
        for line in [Line::GroupGone(7), Line::CgroupGone("/sys/fs/cgroup/a b".into())] {
            assert_eq!(Line::parse(&line.to_string()).as_ref(), Some(&line));
            holdings.apply(line);
        }
        assert!(holdings.is_empty());
    }

    #[test]
    fn a_line_cut_off_is_no_line() {
        for text in ["", "+group", "+group 7", "+group 7 99", "+group x 1 k", "-group", "nonsense 1"] {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_groups_of_init_and_of_everybody_are_never_signalled() {
        assert_eq!((pid(0), pid(1), pid(u32::MAX)), (None, None, None));
        assert!(pid(2).is_some());
    }
}
