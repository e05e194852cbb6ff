//! The socket's place in the file system: put there under the lock, put back when somebody took it away (a cleaner of
//! temporary files, a logout that empties the runtime folder), and removed only while it is ours.

use super::lock::{self, Lock, Purpose};
use super::peer::{self, Access};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, timeout_at};

/// How often the owner looks whether its socket is still there.
const LOOK: Duration = Duration::from_secs(2);

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("[platform] socket_group: this machine has no group `{0}`")]
    Group(String),
}

/// The owner's listening socket.
pub struct Door {
    listener: UnixListener,
    gid: Option<u32>,
    access: Access,
    mark: Arc<Mark>,
    look: Instant,
    /// The lock that was taken anew because its file was gone as well; the old one is kept by the owner.
    lock: Option<Lock>,
}

/// Which file is ours.
pub struct Mark {
    path: PathBuf,
    id: Mutex<FileId>,
}

/// Device and inode.
type FileId = Option<(u64, u64)>;

impl Door {
    /// Opens the socket in place of whatever a dead owner left there; that is why the lock must be held.
    /// The mode is set before anybody can connect: it gets its name when it is ready. Must be called inside a runtime.
    pub fn open(socket: &Path, group: Option<&str>, _held: &Lock) -> Result<Self, BindError> {
        let gid = match group {
            Some(name) => Some(peer::group_id(name).ok_or_else(|| BindError::Group(name.to_owned()))?),
            None => None,
        };
        let listener = listen(socket, gid).map_err(|source| BindError::Io { path: socket.to_owned(), source })?;
        let mark = Arc::new(Mark { path: socket.to_owned(), id: Mutex::new(file_id(socket)) });
        Ok(Self { listener, gid, access: Access::new(gid), mark, look: Instant::now() + LOOK, lock: None })
    }

    pub fn access(&self) -> &Access {
        &self.access
    }

    pub fn mark(&self) -> Arc<Mark> {
        self.mark.clone()
    }

    /// The next connection; looks after the socket while it waits. May be dropped.
    pub async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            if let Ok(accepted) = timeout_at(self.look, self.listener.accept()).await {
                return accepted.map(|(stream, _)| stream);
            }
            self.look = Instant::now() + LOOK;
            if file_id(&self.mark.path).is_none() {
                match self.put_back() {
                    Ok(()) => tracing::warn!(path = %self.mark.path.display(), "the socket was gone and is back"),
                    Err(error) => tracing::warn!(path = %self.mark.path.display(), %error, "the socket is gone"),
                }
            }
        }
    }

    /// Only if the platform is still ours: without its lock's file anybody might have become the owner.
    fn put_back(&mut self) -> io::Result<()> {
        let path = &self.mark.path;
        if file_id(&lock::path_of(path)).is_none() {
            self.lock = Some(lock::take(path, Purpose::Own).map_err(io::Error::other)?);
        } else if let Some(other) = lock::holder(path).filter(|holder| holder.pid != std::process::id()) {
            return Err(io::Error::other(format!("another owner has the lock ({other})")));
        }
        self.listener = listen(path, self.gid)?;
        self.mark.set(file_id(path));
        Ok(())
    }
}

impl Mark {
    fn set(&self, id: FileId) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Removes the socket, unless it is somebody else's by now.
    pub fn remove(&self) {
        let ours = *self.id.lock().unwrap_or_else(PoisonError::into_inner);
        if ours.is_some()
            && file_id(&self.path) == ours
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

fn file_id(path: &Path) -> FileId {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn listen(socket: &Path, gid: Option<u32>) -> io::Result<UnixListener> {
    let mut fresh = socket.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    remove(&fresh)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new(&fresh)?)?;
    fs::set_permissions(&fresh, Permissions::from_mode(if gid.is_some() { 0o660 } else { 0o600 }))?;
    if gid.is_some() {
        std::os::unix::fs::chown(&fresh, None, gid)?;
    }
    rustix::net::listen(&fd, 1024)?;
    fs::rename(&fresh, socket)?;
    UnixListener::from_std(fd.into())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_its_groups_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let own = rustix::process::getegid().as_raw();
        // Only root may give a file to a group that it is not in.
        let gid = if rustix::process::geteuid().is_root() { 4321 } else { own };
        for (group, mode, owned) in [(None, 0o600, own), (Some(gid.to_string()), 0o660, gid)] {
            let socket = dir.path().join(format!("{mode:o}/deck.sock"));
            let held = lock::take(&socket, Purpose::Own).unwrap();
            let mut door = Door::open(&socket, group.as_deref(), &held).unwrap();
            let put_there = |socket: &Path| {
                let file = fs::metadata(socket).unwrap();
                assert_eq!((file.mode() & 0o777, file.gid()), (mode, owned));
            };
            put_there(&socket);
            let member = peer::Peer { uid: u32::MAX - 7, gid, pid: u32::MAX };
            assert_eq!(door.access().admits(member), group.is_some());
            fs::remove_file(&socket).unwrap();
            door.put_back().unwrap();
            put_there(&socket);
        }
        let socket = dir.path().join("deck.sock");
        let held = lock::take(&socket, Purpose::Own).unwrap();
        let error = Door::open(&socket, Some("no-such-group"), &held).map(drop).unwrap_err();
        assert!(error.to_string().contains("no group `no-such-group`"), "{error}");
        assert!(!socket.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_was_taken_away_comes_back_with_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/deck.sock");
        let held = lock::take(&socket, Purpose::Own).unwrap();
        let mut door = Door::open(&socket, None, &held).unwrap();
        let mark = door.mark();
        for folder_too in [false, true] {
            match folder_too {
                false => fs::remove_file(&socket).unwrap(),
                true => fs::remove_dir_all(socket.parent().unwrap()).unwrap(),
            }
            let waiting = tokio::time::timeout(3 * LOOK, door.accept()).await;
            assert!(waiting.is_err(), "nobody connects");
            assert!(UnixStream::connect(&socket).await.is_ok());
            assert!(door.accept().await.is_ok());
            assert!(lock::holder(&socket).is_some_and(|holder| holder.pid == std::process::id()));
        }
        mark.remove();
        assert!(!socket.exists());
        fs::write(&socket, "another owner's").unwrap();
        mark.remove();
        assert!(socket.exists());
    }
}
