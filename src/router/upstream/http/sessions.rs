//! Legacy sessions of an HTTP upstream: one per session of a legacy client, and one per tenant and principal for all
//! other calls, so that none sees what another left in its own.

use super::super::SessionKey;
use crate::router::flight::lock;
use hyper::header::HeaderValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Sessions kept; beyond it the one unused longest is ended.
const MAX: usize = 32_768;
const IDLE: Duration = Duration::from_secs(600);

/// What the handshake agreed on.
#[derive(Clone, Debug)]
pub struct Session {
    /// `Mcp-Session-Id`; `None`: the server keeps no sessions.
    pub id: Option<HeaderValue>,
    /// `MCP-Protocol-Version`.
    pub version: HeaderValue,
}

/// A place for a session: its handshake is made once, by the first call that needs it.
pub type Place = Arc<OnceCell<Session>>;

#[derive(Default)]
pub struct Sessions {
    places: Mutex<HashMap<SessionKey, (Place, Instant)>>,
}

impl Sessions {
    /// The place of `key`, and the sessions that had to go for it.
    pub fn place(&self, key: &SessionKey) -> (Place, Vec<Session>) {
        let now = Instant::now();
        let mut places = lock(&self.places);
        if let Some((place, used)) = places.get_mut(key) {
            *used = now;
            return (place.clone(), Vec::new());
        }
        let gone = make_room(&mut places, now);
        let place = Place::default();
        places.insert(key.clone(), (place.clone(), now));
        (place, gone)
    }

    /// The upstream forgot this session: the next call shakes hands again. Nothing happens if another was first.
    pub fn forget(&self, key: &SessionKey, place: &Place) {
        let mut places = lock(&self.places);
        if places.get(key).is_some_and(|(now, _)| Arc::ptr_eq(now, place)) {
            places.remove(key);
        }
    }

    /// Takes out the session of a client that has left.
    pub fn take(&self, key: &SessionKey) -> Option<Session> {
        lock(&self.places).remove(key).and_then(|(place, _)| place.get().cloned())
    }

    pub fn take_all(&self) -> Vec<Session> {
        std::mem::take(&mut *lock(&self.places)).into_values().filter_map(|(place, _)| place.get().cloned()).collect()
    }
}

fn make_room(places: &mut HashMap<SessionKey, (Place, Instant)>, now: Instant) -> Vec<Session> {
    if places.len() < MAX / 2 {
        return Vec::new();
    }
    let mut idle: Vec<_> =
        places.iter().filter(|(key, _)| **key != SessionKey::Own).map(|(k, (_, used))| (*used, k.clone())).collect();
    idle.sort_unstable_by_key(|(used, _)| *used);
    let over = (places.len() + 1).saturating_sub(MAX);
    let goes = |at: usize, used: Instant| at < over || now.duration_since(used) > IDLE;
    let gone = idle.into_iter().enumerate().filter(|(at, (used, _))| goes(*at, *used));
    gone.filter_map(|(_, (_, key))| places.remove(&key)?.0.get().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        for n in 0..MAX + 10 {
            sessions.place(&SessionKey::Client(n as u32));
        }
        assert_eq!(lock(&sessions.places).len(), MAX);
    }

    #[test]
    fn only_the_session_that_failed_is_forgotten() {
        let sessions = Sessions::default();
        let (old, _) = sessions.place(&SessionKey::Own);
        sessions.forget(&SessionKey::Own, &old);
        let (new, _) = sessions.place(&SessionKey::Own);
        sessions.forget(&SessionKey::Own, &old);
        assert!(Arc::ptr_eq(&new, &sessions.place(&SessionKey::Own).0));
    }
}
