//! Which instances of a backend run or are being started: one start at a time for each of them, whoever wants its end
//! waits until that is decided, and what was started for nobody does not stay.

use super::{BackendError, Started};
use crate::model::InstanceKey;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// The instances of one backend; `R` is what one of them is while it runs.
pub struct Slots<R> {
    slots: Mutex<HashMap<InstanceKey, Slot<R>>>,
}

enum Slot<R> {
    /// Cancelled when it is decided whether it runs.
    Starting(CancellationToken),
    Running(Arc<R>),
}

impl<R> Default for Slots<R> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<R> Slots<R> {
    /// The right to start `key`; an error if it runs, or is being started.
    pub fn reserve(self: &Arc<Self>, key: &InstanceKey) -> Result<Reserved<R>, BackendError> {
        let decided = CancellationToken::new();
        let mut slots = self.lock();
        if slots.contains_key(key) {
            return Err(BackendError::Running(key.clone()));
        }
        slots.insert(key.clone(), Slot::Starting(decided.clone()));
        drop(slots);
        Ok(Reserved { slots: Arc::clone(self), key: key.clone(), decided })
    }

    /// What runs as `key`, after a start under way has come to its end.
    pub async fn running(&self, key: &InstanceKey) -> Option<Arc<R>> {
        loop {
            let decided = match self.lock().get(key)? {
                Slot::Running(running) => return Some(Arc::clone(running)),
                Slot::Starting(decided) => decided.clone(),
            };
            decided.cancelled().await;
        }
    }

    /// Those of `keys` that run now, each as `tell` tells it.
    pub fn each<T>(&self, keys: &[InstanceKey], tell: impl Fn(&R) -> T) -> Vec<(InstanceKey, T)> {
        let slots = self.lock();
        let running = keys.iter().filter_map(|key| match slots.get(key)? {
            Slot::Running(running) => Some((key.clone(), tell(running))),
            Slot::Starting(_) => None,
        });
        running.collect()
    }

    /// Those that run or are being started.
    pub fn taken(&self) -> BTreeSet<InstanceKey> {
        self.lock().keys().cloned().collect()
    }

    /// It has ended.
    pub fn free(&self, key: &InstanceKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceKey, Slot<R>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to start an instance; dropped, it gives it back unless the instance runs.
pub struct Reserved<R> {
    slots: Arc<Slots<R>>,
    key: InstanceKey,
    decided: CancellationToken,
}

impl<R> Reserved<R> {
    pub fn key(&self) -> &InstanceKey {
        &self.key
    }

    /// It runs from here on.
    pub fn fill(&self, running: &Arc<R>) {
        self.slots.lock().insert(self.key.clone(), Slot::Running(Arc::clone(running)));
    }
}

impl<R> Drop for Reserved<R> {
    fn drop(&mut self) {
        let mut slots = self.slots.lock();
        if matches!(slots.get(&self.key), Some(Slot::Starting(_))) {
            slots.remove(&self.key);
        }
        drop(slots);
        self.decided.cancel();
    }
}

/// What can be ended without waiting for it.
pub trait Discard {
    fn discard(self: Arc<Self>);
}

/// A started instance that nobody has taken over yet: dropped, it is discarded.
pub struct Newborn<R: Discard> {
    instance: Option<Arc<R>>,
    started: Option<Started>,
}

impl<R: Discard> Newborn<R> {
    pub fn new(instance: Arc<R>, started: Started) -> Self {
        Self { instance: Some(instance), started: Some(started) }
    }

    /// Somebody has it now.
    pub fn keep(mut self) -> Result<Started, BackendError> {
        self.instance = None;
        let gone = || BackendError::Io { what: "start".into(), source: std::io::ErrorKind::NotFound.into() };
        self.started.take().ok_or_else(gone)
    }
}

impl<R: Discard> Drop for Newborn<R> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            instance.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_start_at_a_time_and_whoever_wants_its_end_waits_until_it_is_decided() {
        let slots: Arc<Slots<u8>> = Arc::default();
        let key = InstanceKey::shared("git".into());
        let first = slots.reserve(&key).unwrap();
        assert!(matches!(slots.reserve(&key), Err(BackendError::Running(_))));
        let waits = tokio::spawn({
            let (slots, key) = (Arc::clone(&slots), key.clone());
            async move { slots.running(&key).await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "it is not decided yet");
        drop(first);
        assert_eq!(waits.await.unwrap(), None, "it was given back");
        let second = slots.reserve(&key).unwrap();
        assert!(slots.each(std::slice::from_ref(&key), |n| *n).is_empty(), "it does not run yet");
        second.fill(&Arc::new(7));
        drop(second);
        assert_eq!(slots.running(&key).await.as_deref(), Some(&7));
        assert_eq!(slots.each(std::slice::from_ref(&key), |n| *n), [(key.clone(), 7)]);
        assert_eq!(slots.taken(), [key.clone()].into());
        slots.free(&key);
        assert_eq!(slots.running(&key).await, None);
    }
}
