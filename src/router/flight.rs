//! Calls under way: their deadlines, progress and cancellation. Sharded by the thread on which they began; no lock is
//! held over an await.

use super::client::Relay;
use super::home::home;
use super::payload::Trail;
use crate::model::call::Origin;
use crate::model::hash::Map;
use crate::model::message::CallEvent;
use crate::model::principal::Role;
use crate::model::timeline::{Station, Timeline};
use crate::model::trace::Trace;
use crate::model::{CallId, InstanceKey, PendingCall, ServerId, Short, Stamp, TenantId};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

const SHARDS: usize = 16;

/// Locks without caring for a panic elsewhere: what these locks guard is whole between any two statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that has not been answered yet.
pub struct Flight {
    pub id: CallId,
    /// The thread on which it began.
    home: usize,
    pub at: Stamp,
    pub began: Instant,
    pub tenant: TenantId,
    pub server: ServerId,
    pub method: Short,
    pub tool: Option<Short>,
    pub origin: Origin,
    pub principal: Short,
    pub role: Option<Role>,
    pub trace: Option<Trace>,
    pub instance: OnceLock<InstanceKey>,
    pub events: Option<mpsc::Sender<CallEvent>>,
    /// What its client hears of it.
    pub relay: Option<Arc<Relay>>,
    /// Its message as the caller sent it.
    pub request: Bytes,
    /// What went upstream, cut to what is ever shown.
    pub sent: OnceLock<Bytes>,
    /// Before it arrived here, at the gateway.
    auth_us: Option<u32>,
    /// See [`Timeline::passed_us`].
    passed_us: [AtomicU32; Station::MARKED],
    /// Who cancelled it.
    by: OnceLock<&'static str>,
    cancelled: Notify,
    /// An answer or progress must come within this.
    pub timeout: Duration,
    /// Progress cannot extend the call past this, counted from `began`.
    pub cap: Duration,
    waking: AtomicBool,
    /// Microseconds after `began`.
    deadline: AtomicU64,
    /// `f32` bits; NaN while unknown.
    progress: AtomicU32,
}

/// What a flight is made of.
pub struct Plan {
    pub id: CallId,
    pub at: Stamp,
    pub began: Instant,
    pub tenant: TenantId,
    pub server: ServerId,
    pub method: Short,
    pub tool: Option<Short>,
    pub origin: Origin,
    pub principal: Short,
    pub role: Option<Role>,
    pub trace: Option<Trace>,
    pub events: Option<mpsc::Sender<CallEvent>>,
    pub relay: Option<Arc<Relay>>,
    pub request: Bytes,
    /// Before it arrived here, at the gateway; microseconds.
    pub auth_us: Option<u32>,
    pub timeout: Duration,
    pub cap: Duration,
}

impl Flight {
    pub fn new(plan: Plan) -> Self {
        let Plan {
            id,
            at,
            began,
            tenant,
            server,
            method,
            tool,
            origin,
            principal,
            role,
            trace,
            events,
            relay,
            request,
            auth_us,
            timeout,
            cap,
        } = plan;
        Self {
            id,
            home: home(),
            at,
            began,
            tenant,
            server,
            method,
            tool,
            origin,
            principal,
            role,
            trace,
            events,
            relay,
            request,
            sent: OnceLock::new(),
            auth_us,
            passed_us: Default::default(),
            by: OnceLock::new(),
            timeout,
            cap: cap.max(timeout),
            instance: OnceLock::new(),
            cancelled: Notify::new(),
            waking: AtomicBool::new(false),
            deadline: AtomicU64::new(micros(timeout)),
            progress: AtomicU32::new(f32::NAN.to_bits()),
        }
    }

    pub fn deadline(&self) -> Instant {
        self.began + Duration::from_micros(self.deadline.load(Relaxed))
    }

    /// The upstream gave a sign: the timeout counts anew, up to the cap.
    pub fn extend(&self) {
        let until = (self.began.elapsed() + self.timeout).min(self.cap);
        self.deadline.fetch_max(micros(until), Relaxed);
    }

    /// A person is asked: that takes as long as it may.
    pub fn extend_to_cap(&self) {
        self.deadline.fetch_max(micros(self.cap), Relaxed);
    }

    /// Ends it; `by` is told to its caller.
    pub fn cancel(&self, by: &'static str) {
        let _ = self.by.set(by);
        self.cancelled.notify_waiters();
    }

    /// Returns once somebody has cancelled it: who.
    pub async fn cancelled(&self) -> &'static str {
        loop {
            let told = self.cancelled.notified();
            if let Some(by) = self.by.get() {
                return by;
            }
            told.await;
        }
    }

    /// Ready once the deadline, wherever progress has moved it meanwhile, is past.
    pub async fn expired(&self) {
        loop {
            tokio::time::sleep_until(self.deadline()).await;
            if Instant::now() >= self.deadline() {
                return;
            }
        }
    }

    /// A moment of the call on the clock of the day, without asking that clock again.
    pub fn stamp(&self, at: Instant) -> Stamp {
        Stamp(self.at.0 + u64::try_from((at - self.began).as_millis()).unwrap_or_default())
    }

    /// A station is behind it; says when.
    pub fn passed(&self, station: Station) -> Instant {
        let now = Instant::now();
        self.mark(station, now);
        now
    }

    /// A station is behind it since `at`.
    pub fn mark(&self, station: Station, at: Instant) {
        let us = u32::try_from((at - self.began).as_micros()).unwrap_or(u32::MAX).max(1);
        // The arrival and the end need no mark.
        if let Some(mark) = (station as usize).checked_sub(1).and_then(|at| self.passed_us.get(at)) {
            mark.store(us, Relaxed);
        }
    }

    /// Both sides of it so far.
    pub fn trail(&self, response: Bytes) -> Trail {
        let sent = self.sent.get().cloned().unwrap_or_default();
        Trail { request: self.request.clone(), sent, response, timeline: self.timeline() }
    }

    pub fn timeline(&self) -> Timeline {
        let passed_us = std::array::from_fn(|at| self.passed_us[at].load(Relaxed));
        Timeline { auth_us: self.auth_us, passed_us }
    }

    pub fn set_waking(&self, waking: bool) {
        self.waking.store(waking, Relaxed);
    }

    pub fn progress(&self, percent: Option<f32>, text: String) {
        self.extend();
        if let Some(percent) = percent {
            self.progress.store(percent.to_bits(), Relaxed);
        }
        self.tell(|| CallEvent::Progress { percent, text });
    }

    /// Tells whoever follows the call; lost if they are slow.
    pub fn tell(&self, event: impl FnOnce() -> CallEvent) {
        if let Some(events) = &self.events {
            let _ = events.try_send(event());
        }
    }

    pub fn row(&self) -> PendingCall {
        let progress = f32::from_bits(self.progress.load(Relaxed));
        PendingCall {
            id: self.id,
            at: self.at,
            tenant: self.tenant.clone(),
            server: self.server.clone(),
            instance: self.instance.get().cloned(),
            method: self.method.clone(),
            tool: self.tool.clone(),
            origin: self.origin,
            principal: self.principal.clone(),
            waking: self.waking.load(Relaxed),
            progress: (!progress.is_nan()).then_some(progress),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX / 2)
}

/// All calls under way.
#[derive(Default)]
pub struct Flights {
    shards: [Mutex<Map<CallId, Arc<Flight>>>; SHARDS],
}

impl Flights {
    fn shard(&self, flight: &Flight) -> MutexGuard<'_, Map<CallId, Arc<Flight>>> {
        lock(&self.shards[flight.home % SHARDS])
    }

    pub fn add(&self, flight: Arc<Flight>) {
        self.shard(&flight).insert(flight.id, flight);
    }

    pub fn remove(&self, flight: &Flight) {
        self.shard(flight).remove(&flight.id);
    }

    pub fn get(&self, id: CallId) -> Option<Arc<Flight>> {
        self.shards.iter().find_map(|shard| lock(shard).get(&id).cloned())
    }

    /// False if there is no such call.
    pub fn cancel(&self, id: CallId, by: &'static str) -> bool {
        self.get(id).inspect(|f| f.cancel(by)).is_some()
    }

    /// Oldest first.
    pub fn rows(&self) -> Vec<PendingCall> {
        let mut rows: Vec<_> =
            self.shards.iter().flat_map(|s| lock(s).values().map(|f| f.row()).collect::<Vec<_>>()).collect();
        rows.sort_unstable_by_key(|row| row.id);
        rows
    }

    /// Arrival of the oldest call at an instance that is not waiting for its start.
    pub fn oldest(&self, key: &InstanceKey) -> Option<Stamp> {
        let here = |f: &&Arc<Flight>| !f.waking.load(Relaxed) && f.instance.get() == Some(key);
        self.shards.iter().filter_map(|s| lock(s).values().filter(here).map(|f| f.at).min()).min()
    }
}
