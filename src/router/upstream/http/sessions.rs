//! Legacy sessions of an HTTP upstream: one per session of a legacy client, and one per tenant and principal for all
//! other calls, so that none sees what another left in its own.

use super::super::Whose;
use crate::model::hash::Map;
use crate::router::flight::lock;
use arc_swap::ArcSwap;
use hyper::header::HeaderValue;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Sessions kept; at so many those unused longest are ended, an eighth of them at once.
const MAX: usize = 32_768;
/// With fewer nobody looks for idle ones.
const FEW: usize = 1024;
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
    /// Ours: it stands apart, because each call asks whether the server keeps sessions at all.
    own: ArcSwap<OnceCell<Session>>,
    places: Mutex<Places>,
}

/// Whose the others are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pooled(Box<str>, Box<str>),
    Client(u32),
}

impl Key {
    /// `None`: ours.
    fn new(whose: Whose<'_>) -> Option<Self> {
        match whose {
            Whose::Own => None,
            Whose::Pooled(tenant, principal) => Some(Self::Pooled(tenant.as_str().into(), principal.into())),
            Whose::Client(number) => Some(Self::Client(number)),
        }
    }
}

#[derive(Default)]
struct Places {
    /// With when each was used last.
    by_key: Map<Key, (Place, Instant)>,
    /// How many there may be before the idle ones are looked for again: a look at all of them is not for each call.
    sweep_at: usize,
}

impl Sessions {
    /// The place of our own.
    pub fn own(&self) -> Place {
        self.own.load_full()
    }

    /// A place, and the sessions that had to go for it.
    pub fn place(&self, whose: Whose<'_>) -> (Place, Vec<Session>) {
        let Some(key) = Key::new(whose) else { return (self.own(), Vec::new()) };
        let now = Instant::now();
        let mut places = lock(&self.places);
        if let Some((place, used)) = places.by_key.get_mut(&key) {
            *used = now;
            return (place.clone(), Vec::new());
        }
        let gone = places.make_room(now);
        let place = Place::default();
        places.by_key.insert(key, (place.clone(), now));
        (place, gone)
    }

    /// The upstream forgot this session: the next call shakes hands again. Nothing happens if another was first.
    pub fn forget(&self, whose: Whose<'_>, place: &Place) {
        let Some(key) = Key::new(whose) else {
            self.own.compare_and_swap(place, Place::default());
            return;
        };
        let mut places = lock(&self.places);
        if places.by_key.get(&key).is_some_and(|(now, _)| Arc::ptr_eq(now, place)) {
            places.by_key.remove(&key);
        }
    }

    /// Takes out the session of a client that has left.
    pub fn take(&self, whose: Whose<'_>) -> Option<Session> {
        let place = match Key::new(whose) {
            Some(key) => lock(&self.places).by_key.remove(&key)?.0,
            None => self.own.swap(Place::default()),
        };
        place.get().cloned()
    }

    pub fn take_all(&self) -> Vec<Session> {
        let places = std::mem::take(&mut lock(&self.places).by_key);
        let others = places.into_values().filter_map(|(place, _)| place.get().cloned());
        self.take(Whose::Own).into_iter().chain(others).collect()
    }
}

impl Places {
    fn make_room(&mut self, now: Instant) -> Vec<Session> {
        if self.by_key.len() < self.sweep_at.max(FEW) {
            return Vec::new();
        }
        let mut oldest: Vec<_> = self.by_key.iter().map(|(key, (_, used))| (*used, key.clone())).collect();
        oldest.sort_unstable_by_key(|(used, _)| *used);
        let over = if self.by_key.len() < MAX { 0 } else { MAX / 8 };
        let goes = |at: usize, used: Instant| at < over || now.duration_since(used) > IDLE;
        let gone = oldest.into_iter().enumerate().filter(|(at, (used, _))| goes(*at, *used));
        let gone = gone.filter_map(|(_, (_, key))| self.by_key.remove(&key)?.0.get().cloned()).collect();
        self.sweep_at = (self.by_key.len() * 2).min(MAX);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TenantId;

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        for n in 0..MAX + 10 {
            sessions.place(Whose::Client(n as u32));
        }
        let kept = lock(&sessions.places).by_key.len();
        assert!((MAX / 2..=MAX).contains(&kept), "{kept}");
        let newest = Key::Client(MAX as u32 + 9);
        assert!(lock(&sessions.places).by_key.contains_key(&newest), "the oldest went");
    }

    #[test]
    fn only_the_session_that_failed_is_forgotten() {
        let sessions = Sessions::default();
        let tenant = TenantId::from("eaton");
        for whose in [Whose::Own, Whose::Client(7), Whose::Pooled(&tenant, "erp")] {
            let (old, _) = sessions.place(whose);
            sessions.forget(whose, &old);
            let (new, _) = sessions.place(whose);
            assert!(!Arc::ptr_eq(&new, &old), "{whose:?}");
            sessions.forget(whose, &old);
            assert!(Arc::ptr_eq(&new, &sessions.place(whose).0), "{whose:?}");
        }
    }
}
