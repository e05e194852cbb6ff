//! All sessions: found by an id that nobody can guess, bounded, ended when nobody uses them.

use super::{Hello, Owner, Session};
use crate::model::TenantId;
use crate::model::hash::Map;
use crate::router::flight::lock;
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SHARDS: usize = 16;
/// Random bytes of an id.
const SECRET_BYTES: usize = 24;

/// The number, for finding it, and what nobody can guess.
fn new_id(number: u32) -> Option<Box<str>> {
    let mut secret = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut secret).ok()?;
    let mut id = format!("{number:x}-");
    for byte in secret {
        write!(id, "{byte:02x}").ok()?;
    }
    Some(id.into())
}

/// How many sessions there may be.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    pub all: usize,
    /// Of one tenant.
    pub tenant: usize,
}

/// Why there is no new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    #[error("there are {0} sessions open, which is all that there may be; end one, or see [api] max_sessions")]
    Full(usize),
    #[error("this customer has {0} sessions open, which is all that it may have; end one, or see [api] max_sessions")]
    TenantFull(usize),
    #[error("no randomness for a session id")]
    NoRandomness,
}

/// All sessions. Sharded: no call waits for another's.
#[derive(Default)]
pub struct Sessions {
    shards: [Mutex<Map<u32, Arc<Session>>>; SHARDS],
    next: AtomicU32,
    /// Sessions of each tenant; touched when one begins or ends.
    counts: Mutex<Map<TenantId, usize>>,
}

impl Sessions {
    fn shard(&self, number: u32) -> &Mutex<Map<u32, Arc<Session>>> {
        &self.shards[number as usize % SHARDS]
    }

    pub fn begin(&self, owner: Owner, hello: Hello, limits: SessionLimits) -> Result<Arc<Session>, NoSession> {
        {
            let mut counts = lock(&self.counts);
            let all: usize = counts.values().sum();
            if all >= limits.all {
                return Err(NoSession::Full(all));
            }
            let own = counts.entry(owner.tenant.clone()).or_default();
            if *own >= limits.tenant {
                return Err(NoSession::TenantFull(*own));
            }
            *own += 1;
        }
        let number = self.number();
        let tenant = owner.tenant.clone();
        let Some(id) = new_id(number) else {
            self.uncount(&tenant);
            return Err(NoSession::NoRandomness);
        };
        let session = Arc::new(Session::new(id, number, owner, hello));
        lock(self.shard(number)).insert(number, session.clone());
        Ok(session)
    }

    /// A number that no session has.
    pub fn number(&self) -> u32 {
        self.next.fetch_add(1, Relaxed) + 1
    }

    fn uncount(&self, tenant: &TenantId) {
        let mut counts = lock(&self.counts);
        let left = counts.get(tenant).map_or(0, |n| n.saturating_sub(1));
        match left {
            0 => drop(counts.remove(tenant)),
            left => drop(counts.insert(tenant.clone(), left)),
        }
    }

    /// The session of this id, if it is this owner's. Whose else it may be is not told.
    pub fn find(&self, id: &str, owner: &Owner) -> Option<Arc<Session>> {
        let number = u32::from_str_radix(id.split_once('-')?.0, 16).ok()?;
        let session = self.get(number)?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(session.id.as_bytes(), id.as_bytes()).is_ok();
        let good = same && session.owner == *owner;
        good.then(|| {
            session.touch();
            session
        })
    }

    pub fn get(&self, number: u32) -> Option<Arc<Session>> {
        lock(self.shard(number)).get(&number).cloned()
    }

    /// Takes a session out; what hangs on it ends. False if it was out already.
    pub fn end(&self, session: &Session) -> bool {
        let found = lock(self.shard(session.number)).remove(&session.number).is_some();
        if found {
            self.uncount(&session.owner.tenant);
            session.ended.cancel();
        }
        found
    }

    /// Those that nobody used for so long.
    pub fn idle(&self, longer: Duration) -> Vec<Arc<Session>> {
        let of = |shard: &Mutex<Map<u32, Arc<Session>>>| {
            lock(shard).values().filter(|s| s.idle() > longer).cloned().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallId;
    use crate::router::client::Endpoint;
    use crate::router::era::LEGACY;

    fn owner(tenant: &str, server: &str) -> Owner {
        Owner { tenant: tenant.into(), principal: "p".into(), endpoint: Endpoint::Server(server.into()) }
    }

    fn hello() -> Hello {
        Hello { version: LEGACY, capabilities: "{}".into(), info: "{}".into() }
    }

    const LIMITS: SessionLimits = SessionLimits { all: 3, tenant: 2 };

    #[test]
    fn a_session_is_its_owners_alone() {
        let sessions = Sessions::default();
        let session = sessions.begin(owner("eaton", "etim"), hello(), LIMITS).unwrap();
        let guessed = format!("{:x}-{}", session.number, "0".repeat(SECRET_BYTES * 2));
        for (id, owner, found) in [
            (&*session.id, owner("eaton", "etim"), true),
            (&session.id, owner("vatt", "etim"), false),
            (&session.id, owner("eaton", "law"), false),
            (&session.id, Owner { principal: "q".into(), ..owner("eaton", "etim") }, false),
            (&session.id, Owner { endpoint: Endpoint::All, ..owner("eaton", "etim") }, false),
            (&guessed, owner("eaton", "etim"), false),
            ("", owner("eaton", "etim"), false),
            ("zz-1", owner("eaton", "etim"), false),
        ] {
            assert_eq!(sessions.find(id, &owner).is_some(), found, "{id} {owner:?}");
        }
        assert!(sessions.end(&session) && !sessions.end(&session));
        assert!(sessions.find(&session.id, &owner("eaton", "etim")).is_none() && session.ended.is_cancelled());
    }

    #[test]
    fn sessions_are_bounded_for_all_and_for_each_tenant() {
        let sessions = Sessions::default();
        let begin = |tenant: &str| sessions.begin(owner(tenant, "s"), hello(), LIMITS);
        let first = begin("a").unwrap();
        begin("a").unwrap();
        assert_eq!(begin("a").err(), Some(NoSession::TenantFull(2)));
        begin("b").unwrap();
        assert_eq!(begin("c").err(), Some(NoSession::Full(3)));
        sessions.end(&first);
        assert!(begin("c").is_ok());
        assert_eq!(sessions.len(), 3);
    }

    #[test]
    fn what_is_in_use_is_not_idle() {
        let sessions = Sessions::default();
        let session = sessions.begin(owner("a", "s"), hello(), LIMITS).unwrap();
        let idle = || sessions.idle(Duration::ZERO).len();
        // The time it is idle is counted in milliseconds.
        let becomes_idle = || {
            let begun = std::time::Instant::now();
            while idle() == 0 {
                assert!(begun.elapsed() < Duration::from_secs(5));
            }
        };
        becomes_idle();
        let stream = session.open_stream();
        assert_eq!(idle(), 0);
        drop(stream);
        let call = session.begin("1", CallId(7));
        assert_eq!((idle(), session.call("1")), (0, Some(CallId(7))));
        drop(call);
        becomes_idle();
        assert_eq!(session.call("1"), None);
    }
}
