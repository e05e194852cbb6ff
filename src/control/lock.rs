//! Who owns the platform: an flock on `<socket>.lock`. The kernel drops it with the process, so that nothing is ever
//! stale; the text in the file only says whom to ask. Whoever holds it may replace the socket.

use crate::model::Stamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Ownership of a platform; given up when dropped.
#[derive(Debug)]
pub struct Lock {
    /// Held open for the flock on it.
    _file: File,
    path: PathBuf,
}

/// What the holder does with it; others wait for the short ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `mcpdeck serve`, or a console that owns.
    Own,
    /// A platform for the length of one command, or a write to the store with no owner.
    Moment,
}

/// Who holds the lock, as written in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub purpose: Purpose,
    pub since: Stamp,
    pub version: String,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// `None`: the holder has not written its name yet.
    #[error("the platform already has an owner ({})", holder_text(.0.as_ref()))]
    Held(Option<Holder>),
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Moment => "moment",
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}, mcpdeck {}", self.pid, self.version)
    }
}

fn holder_text(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "it is just starting".to_owned(), Holder::to_string)
}

/// The lock file that belongs to a socket.
pub fn path_of(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Takes the lock, at once or not at all. Creates the socket's folder (0700) where it is missing.
pub fn take(socket: &Path, purpose: Purpose) -> Result<Lock, LockError> {
    let path = path_of(socket);
    let io = |source| LockError::Io { path: path.clone(), source };
    create_folder(&path).map_err(io)?;
    let mut file = open(&path, true).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(LockError::Held(read_holder(&mut file))),
        Err(e) => return Err(io(e.into())),
    }
    let text = format!(
        "pid={} purpose={} since={} version={}\n",
        std::process::id(),
        purpose.name(),
        Stamp::now().0,
        env!("CARGO_PKG_VERSION")
    );
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(io)?;
    Ok(Lock { _file: file, path })
}

/// Takes the lock, waiting up to `patience` for a holder that needs it for a moment only.
pub async fn take_soon(socket: &Path, purpose: Purpose, patience: Duration) -> Result<Lock, LockError> {
    let deadline = Instant::now() + patience;
    loop {
        match take(socket, purpose) {
            Err(LockError::Held(holder))
                if holder.as_ref().is_none_or(|h| h.purpose == Purpose::Moment) && Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            taken => return taken,
        }
    }
}

/// Who holds the lock now; `None` if nobody does (or nobody may know).
pub fn holder(socket: &Path) -> Option<Holder> {
    let mut file = open(&path_of(socket), false).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => read_holder(&mut file),
        _ => None,
    }
}

impl Lock {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(create).create(create).truncate(false).mode(0o600).open(path)
}

fn create_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        _ => Ok(()),
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(512).read_to_string(&mut text).ok()?;
    parse_holder(&text)
}

fn parse_holder(text: &str) -> Option<Holder> {
    let field = |name: &str| text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    Some(Holder {
        pid: field("pid")?.parse().ok()?,
        purpose: match field("purpose")? {
            "own" => Purpose::Own,
            _ => Purpose::Moment,
        },
        since: Stamp(field("since")?.parse().ok()?),
        version: field("version")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("new/deep/socket");
        let first = take(&socket, Purpose::Own).unwrap();
        let Err(LockError::Held(Some(who))) = take(&socket, Purpose::Moment) else { panic!("two owners") };
        assert_eq!((who.pid, who.purpose), (std::process::id(), Purpose::Own));
        assert_eq!(holder(&socket), Some(who));
        drop(first);
        assert_eq!(holder(&socket), None);
        take(&socket, Purpose::Moment).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_waited_for_and_an_owner_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let moment = take(&socket, Purpose::Moment).unwrap();
        let patience = Duration::from_secs(20);
        let (own, ()) = tokio::join!(take_soon(&socket, Purpose::Own, patience), async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(moment);
        });
        let before = Instant::now();
        assert!(take_soon(&socket, Purpose::Moment, patience).await.is_err());
        assert_eq!(before.elapsed(), Duration::ZERO, "an owner stays");
        drop(own.unwrap());
        let _moment = take(&socket, Purpose::Moment).unwrap();
        assert!(take_soon(&socket, Purpose::Own, patience).await.is_err());
        assert!(before.elapsed() >= patience, "a moment is waited for, not for ever");
    }

    #[test]
    fn a_holder_without_a_name_is_still_a_holder() {
        for text in ["", "pid=", "pid=x purpose=own since=1 version=1", "nonsense"] {
            assert_eq!(parse_holder(text), None, "{text}");
        }
        assert!(LockError::Held(None).to_string().contains("just starting"));
    }
}
