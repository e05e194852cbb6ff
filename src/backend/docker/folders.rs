//! Data folders on the host: there before a start, and writable for whoever runs inside. Blocks for microseconds.

use super::connect::{Client, Place, usual_sockets};
use crate::backend::{BackendError, ContainerSpec};
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat, statvfs};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes `folder` if it is missing, and lets `user` write there. `remapped`: users inside are other users outside.
pub fn prepare(folder: &Path, user: &str, remapped: bool) -> Result<(), BackendError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| has_room(folder));
    let ready = made.and_then(|()| give(folder, user, remapped));
    ready.map_err(|source| BackendError::Io { what: format!("data folder {}", folder.display()), source })
}

/// Better refused now than a server that fails at its first write.
fn has_room(folder: &Path) -> io::Result<()> {
    let disk = statvfs(folder)?;
    if disk.f_blocks > 0 && disk.f_bavail == 0 {
        let mib = (disk.f_blocks * disk.f_frsize).div_ceil(1 << 20);
        let text = format!("its disk of {mib} MiB is full; make room there or move the data elsewhere");
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    Ok(())
}

fn give(folder: &Path, user: &str, remapped: bool) -> io::Result<()> {
    let now = fs::metadata(folder)?;
    match owner(user).filter(|_| !remapped) {
        Some((0, _)) => Ok(()),
        Some((uid, _)) if now.uid() == uid => Ok(()),
        Some((uid, gid)) => {
            let given = chownat(CWD, folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::empty());
            // Not root: we may not give it away.
            given.or_else(|_| open(folder, &now).map_err(|_| rustix::io::Errno::PERM)).map_err(io::Error::from)
        }
        None => open(folder, &now),
    }
}

/// For everybody who can get at it: the folders above are closed to others, and a container sees this one alone.
fn open(folder: &Path, now: &fs::Metadata) -> io::Result<()> {
    if now.permissions().mode() & 0o777 == 0o777 {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o777))
}

/// The numbers of `uid` or `uid:gid`; a name means something in the image alone.
pub fn owner(user: &str) -> Option<(u32, u32)> {
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// Refuses a mount in which an engine's socket lies: whoever reaches it owns the machine. Links are followed, because the
/// engine follows them.
pub fn keep_sockets_out(client: &Client, spec: &ContainerSpec) -> Result<(), BackendError> {
    let own = match &client.place {
        Place::Socket(path) => Some(path.clone()),
        Place::Plain(_) | Place::Tls { .. } => return Ok(()),
    };
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let usual = usual_sockets(|name| std::env::var(name).ok());
    let sockets: Vec<PathBuf> = usual.into_iter().chain(own).filter_map(|path| real(&path)).collect();
    for mount in spec.mounts.iter().filter(|mount| mount.source.starts_with('/')) {
        let Some(source) = real(Path::new(&mount.source)) else { continue };
        if let Some(socket) = sockets.iter().find(|socket| socket.starts_with(&source)) {
            let reason =
                format!("the engine's socket {} lies in it: whoever reaches it owns the machine", socket.display());
            return Err(BackendError::Limit { limit: format!("mount {}", mount.source), reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_owners_and_names_are_not() {
        let cases = [
            ("65534:65534", Some((65534, 65534))),
            ("1000", Some((1000, 0))),
            ("node", None),
            ("node:node", None),
            ("", None),
        ];
        for (user, expected) in cases {
            assert_eq!(owner(user), expected, "{user}");
        }
    }

    #[test]
    fn a_folder_is_made_for_its_user_alone_or_opened() {
        let dir = tempfile::tempdir().unwrap();
        let own = rustix::process::getuid().as_raw();
        let numeric = dir.path().join("a/b");
        let user = if own == 0 { "65534:65534".to_owned() } else { format!("{own}") };
        prepare(&numeric, &user, false).unwrap();
        prepare(&numeric, &user, false).unwrap();
        let is = fs::metadata(&numeric).unwrap();
        assert_eq!((is.uid().to_string(), is.mode() & 0o777), (user.split(':').next().unwrap().to_owned(), 0o700));
        for (name, user, remapped) in [("named", "node", false), ("remapped", "65534:65534", true)] {
            let folder = dir.path().join("a").join(name);
            prepare(&folder, user, remapped).unwrap();
            assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o777, "{name}");
        }
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o777, 0o700, "closed above");
    }
}
