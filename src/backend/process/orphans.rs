//! What an owner that was killed, together with its helper, left behind: found through the files in the state folder.

use super::holdings::{GroupId, Holdings};
use super::procstat::{self, Stat};
use super::{ledger, ledger::Header};
use crate::backend::Orphan;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// What one dead owner left.
struct Estate {
    file: PathBuf,
    owner: u32,
    left: Holdings,
}

pub fn list(state_dir: &Path) -> Vec<Orphan> {
    let stats = procstat::all();
    estates(state_dir, &stats).iter().flat_map(|estate| estate.orphans(&stats)).collect()
}

/// Blocks for about two seconds at most; returns how many groups were ended.
pub fn reap(state_dir: &Path) -> u32 {
    let stats = procstat::all();
    let mut ended = 0;
    for estate in estates(state_dir, &stats) {
        estate.left.end(GRACE);
        ended += estate.left.groups.len();
        let _ = fs::remove_file(&estate.file);
    }
    ended.try_into().unwrap_or(u32::MAX)
}

/// Those of dead owners. Files that name nothing any more are removed in passing.
fn estates(state_dir: &Path, stats: &[Stat]) -> Vec<Estate> {
    let boot = procstat::boot_id();
    let entries = fs::read_dir(ledger::folder(state_dir)).into_iter().flatten().flatten();
    let mut estates = Vec::new();
    for file in entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "groups")) {
        let Some((header, holdings)) = ledger::read(&file) else { continue };
        if header.boot == boot && header.owner_lives() {
            continue;
        }
        let left = if header.boot == boot { remains(&header, holdings, stats) } else { Holdings::default() };
        if left.is_empty() {
            let _ = fs::remove_file(&file);
        } else {
            estates.push(Estate { file, owner: header.pid, left });
        }
    }
    estates
}

/// What of it is still there, and still the same.
fn remains(header: &Header, mut holdings: Holdings, stats: &[Stat]) -> Holdings {
    holdings.groups.retain(|_, group| stats.iter().any(|s| is_member(group, header, s)));
    holdings.cgroups.retain(|dir| dir.is_dir());
    holdings
}

/// A number of a group may have been given out again. It is still the one we started if its leader started when ours did;
/// without a leader, if a member is younger than our leader and of the owner's session, which children do not leave by accident.
fn is_member(group: &GroupId, header: &Header, stat: &Stat) -> bool {
    let leads = stat.pid == group.pgid;
    stat.group == group.pgid
        && stat.is_alive()
        && if leads {
            stat.started == group.started
        } else {
            stat.started >= group.started && stat.session == header.session
        }
}

impl Estate {
    fn orphans(&self, stats: &[Stat]) -> Vec<Orphan> {
        let orphan = |group: &GroupId| {
            let members: Vec<_> = stats.iter().filter(|s| s.group == group.pgid && s.is_alive()).collect();
            let names: Vec<_> = members.iter().map(|s| s.name.as_str()).collect();
            Some(Orphan {
                key: group.key.parse().ok()?,
                pid: members.iter().map(|s| s.pid).min(),
                what: format!("process group {} ({}) of mcpdeck {}", group.pgid, names.join(", "), self.owner),
            })
        };
        self.left.groups.values().filter_map(orphan).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_out_again_is_not_ours() {
        let group = GroupId { pgid: 70, started: 500, key: "git".into() };
        let header = Header { boot: "b".into(), pid: 60, started: 400, session: 10 };
        let stat = |pid, state, group, session, started| Stat { pid, name: "x".into(), state, group, session, started };
        let cases = [
            ("the leader", stat(70, 'S', 70, 10, 500), true),
            ("another leader", stat(70, 'S', 70, 10, 501), false),
            ("a member without its leader", stat(71, 'S', 70, 10, 510), true),
            ("a member of a group in another session", stat(71, 'S', 70, 11, 510), false),
            ("a member older than the leader", stat(69, 'S', 70, 10, 499), false),
            ("a zombie", stat(70, 'Z', 70, 10, 500), false),
            ("another group", stat(71, 'S', 71, 10, 510), false),
        ];
        for (name, stat, expected) in cases {
            assert_eq!(is_member(&group, &header, &stat), expected, "{name}");
        }
    }
}
