//! Who is at the other end of the socket, as the kernel says, and what people are called.

use crate::model::message::{Face, Operator};
use std::fs;

/// A process on the other side of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
}

/// Who may attach.
#[derive(Clone, Debug)]
pub struct Access {
    uid: u32,
    group: Option<u32>,
}

impl Access {
    /// The owner's own uid, root, and the members of `group`.
    pub fn new(group: Option<u32>) -> Self {
        Self { uid: own_uid(), group }
    }

    /// The file's mode keeps others out already; this holds where the mode was changed by hand.
    pub fn admits(&self, peer: Peer) -> bool {
        let member = |group| peer.gid == group || supplementary_groups(peer.pid).contains(&group);
        peer.uid == self.uid || peer.uid == 0 || self.group.is_some_and(member)
    }
}

/// The group with this name or number.
pub fn group_id(group: &str) -> Option<u32> {
    let by_name = || number_of(&fs::read_to_string("/etc/group").ok()?, group);
    group.parse().ok().or_else(by_name)
}

/// The login name of a uid; `uid 1234` if the machine knows none.
pub fn login_name(uid: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").ok().and_then(|text| name_of(&text, uid));
    known.unwrap_or_else(|| format!("uid {uid}"))
}

/// The operator of this very process.
pub fn own_operator(face: Face) -> Operator {
    Operator { name: login_name(own_uid()), face, pid: std::process::id(), grant: None }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn supplementary_groups(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    line.unwrap_or_default().split_whitespace().filter_map(|gid| gid.parse().ok()).collect()
}

/// The name in a passwd text: `name:x:uid:...`.
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, found) = (fields.next()?, fields.next()?, fields.next()?);
        (found.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The number in a group text: `name:x:gid:...`.
fn number_of(groups: &str, wanted: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        (name == wanted).then(|| gid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_machines_own_tables() {
        let text = "root:x:0:0::/root:/bin/sh\n\nbroken\nada:x:1001:1001::/:\n";
        assert_eq!(name_of(text, 1001).as_deref(), Some("ada"));
        assert_eq!(name_of(text, 7), None);
        assert_eq!(number_of("wheel:x:10:\nops:x:20:ada\n", "ops"), Some(20));
        assert_eq!(group_id("1234"), Some(1234));
    }

    #[test]
    fn strangers_are_kept_out() {
        let access = Access { uid: 500, group: Some(20) };
        let peer = |uid, gid| Peer { uid, gid, pid: u32::MAX };
        for (uid, gid, allowed) in [(500, 500, true), (0, 0, true), (600, 20, true), (600, 600, false)] {
            assert_eq!(access.admits(peer(uid, gid)), allowed, "{uid} {gid}");
        }
    }
}
