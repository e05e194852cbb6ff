//! How long a credential is good, and who calls with it.

use super::book::{Key, User};
use crate::model::Stamp;
use crate::model::principal::Principal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;

/// A last use is noted this often at most: many calls at once with one key shall not fight for one word of memory.
const NOTED_EVERY: u64 = 1000;
/// Longest sleep at once, in seconds: some clocks end.
const NAP: u64 = 3600;
/// Later than any.
const EVER: Stamp = Stamp(u64::MAX);

/// What outlives a change of a key or a person in the table.
pub struct Life {
    /// Milliseconds since 1970; 0: never.
    used: AtomicU64,
    /// What the store knows of it.
    written: AtomicU64,
    good_until: watch::Sender<Stamp>,
}

impl Life {
    pub fn new(used: Option<Stamp>, good_until: Option<Stamp>) -> Self {
        let used = used.unwrap_or_default().0;
        let good_until = watch::Sender::new(good_until.unwrap_or(EVER));
        Self { used: AtomicU64::new(used), written: AtomicU64::new(used), good_until }
    }

    pub fn used(&self, now: Stamp) {
        if now.0 >= self.used.load(Relaxed).saturating_add(NOTED_EVERY) {
            self.used.fetch_max(now.0, Relaxed);
        }
    }

    pub fn last_used(&self) -> Option<Stamp> {
        Some(self.used.load(Relaxed)).filter(|at| *at > 0).map(Stamp)
    }

    /// The last use, if the store does not know it yet.
    pub fn take_used(&self) -> Option<Stamp> {
        let used = self.used.load(Relaxed);
        (self.written.swap(used, Relaxed) != used).then_some(Stamp(used))
    }

    /// Good until then, and no longer: open streams are told.
    pub fn set(&self, good_until: Option<Stamp>) {
        self.good_until.send_replace(good_until.unwrap_or(EVER));
    }
}

/// Whoever makes a request.
#[derive(Clone)]
pub struct Caller {
    pub principal: Principal,
    /// The end of a token.
    until: Stamp,
    /// `None` for who is not in our tables.
    life: Option<Arc<Life>>,
}

impl Caller {
    /// Somebody without a credential, as the config names.
    pub fn anonymous(principal: Principal) -> Self {
        Self { principal, until: EVER, life: None }
    }

    pub(super) fn of_key(key: &Key) -> Self {
        Self { principal: key.principal.clone(), until: EVER, life: Some(key.life.clone()) }
    }

    /// Somebody whom a token names, until it ends.
    pub fn of_token(principal: Principal, until: Stamp) -> Self {
        Self { principal, until, life: None }
    }

    pub(super) fn of_user(user: &User, principal: Principal, until: Stamp) -> Self {
        Self { principal, until, life: Some(user.life.clone()) }
    }

    /// Returns when the credential is no longer good: expired, revoked, its person removed or with a new password.
    pub async fn ended(&self) {
        let mut life = self.life.as_ref().map(|life| life.good_until.subscribe());
        loop {
            let good = life.as_mut().map_or(EVER, |life| *life.borrow_and_update());
            let now = Stamp::now();
            let until = good.min(self.until);
            if until <= now {
                return;
            }
            let nap = until.since(now).min(Duration::from_secs(NAP));
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                () = changed(life.as_mut()) => {}
            }
        }
    }
}

/// Never, for who is in no table.
async fn changed(life: Option<&mut watch::Receiver<Stamp>>) {
    match life {
        // The sender goes with the caller's own hold on it, so not while somebody waits here.
        Some(life) => drop(life.changed().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_use_is_told_once_and_only_forward() {
        let life = Life::new(None, None);
        assert_eq!((life.last_used(), life.take_used()), (None, None));
        life.used(Stamp(5_000));
        life.used(Stamp(5_500));
        assert_eq!(life.last_used(), Some(Stamp(5_000)), "noted once a second");
        assert_eq!((life.take_used(), life.take_used()), (Some(Stamp(5_000)), None));
        life.used(Stamp(3_000));
        assert_eq!(life.take_used(), None);
    }
}
