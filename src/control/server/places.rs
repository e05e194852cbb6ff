//! Places on the socket: how many connections one process and one user may hold, so that others always find one.
//! Pure but for the lock; must never see a stream.

use crate::control::consoles::MAX_CONSOLES;
use crate::control::peer::{self, Peer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once, those that still greet included.
const ALL: usize = MAX_CONSOLES + 32;
/// Of one user; the rest, and some of the seats of consoles, is kept for others.
const OF_A_USER: usize = MAX_CONSOLES - 8;
/// Of one process. A person has one, a script a few.
const OF_A_PROCESS: usize = 32;

/// The places of one socket.
#[derive(Default)]
pub struct Places {
    /// At most [`ALL`].
    taken: Mutex<Vec<Peer>>,
}

/// A place of one's own, given back as this is dropped.
pub struct Place {
    places: Arc<Places>,
    peer: Peer,
}

/// Who has taken too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    Process(u32),
    User(u32),
    All,
}

impl Places {
    pub fn take(self: &Arc<Self>, peer: Peer) -> Result<Place, Crowded> {
        let mut taken = self.lock();
        let of_process = taken.iter().filter(|other| (other.uid, other.pid) == (peer.uid, peer.pid)).count();
        let of_user = taken.iter().filter(|other| other.uid == peer.uid).count();
        if of_process >= OF_A_PROCESS {
            return Err(Crowded::Process(peer.pid));
        }
        if of_user >= OF_A_USER {
            return Err(Crowded::User(peer.uid));
        }
        if taken.len() >= ALL {
            return Err(Crowded::All);
        }
        taken.push(peer);
        Ok(Place { places: self.clone(), peer })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Peer>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(at) = taken.iter().position(|peer| *peer == self.peer) {
            taken.swap_remove(at);
        }
    }
}

impl Crowded {
    /// What the one who is sent away is told.
    pub fn words(self) -> String {
        match self {
            Self::Process(pid) => format!(
                "process {pid} holds {OF_A_PROCESS} connections to this platform, as many as one may; close some of them"
            ),
            Self::User(uid) => format!(
                "{} holds {OF_A_USER} connections to this platform, the rest is kept for others; close some of them \
                 (the Activity view names the consoles)",
                peer::login_name(uid)
            ),
            Self::All => format!(
                "{ALL} connections to this platform are open, as many as it serves; close one (the Activity view names \
                 the consoles)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_too_much_leaves_room_for_others() {
        let places = Arc::new(Places::default());
        let peer = |uid, pid| Peer { uid, gid: 1, pid };
        let mut held = Vec::new();
        for (uid, pid, gets, then) in [
            (500, 1, OF_A_PROCESS, Crowded::Process(1)),
            (500, 2, OF_A_USER - OF_A_PROCESS, Crowded::User(500)),
            (500, 3, 0, Crowded::User(500)),
            (600, 1, OF_A_PROCESS, Crowded::Process(1)),
            (600, 4, ALL - OF_A_USER - OF_A_PROCESS, Crowded::All),
            (0, 9, 0, Crowded::All),
        ] {
            for n in 0..gets {
                held.push(places.take(peer(uid, pid)).unwrap_or_else(|why| panic!("{uid} {pid} {n}: {why:?}")));
            }
            assert_eq!(places.take(peer(uid, pid)).err(), Some(then), "{uid} {pid}");
        }
        held.truncate(1);
        assert!(places.take(peer(500, 1)).is_ok() && places.take(peer(0, 9)).is_ok());
        drop(held);
        assert!(places.lock().is_empty());
        assert!(Crowded::Process(7).words().starts_with("process 7 holds 32 connections"));
    }
}
