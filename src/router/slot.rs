//! One slot per instance: its gate, its connection, its lists. Slots outlive connections. The map is sharded and
//! swapped, so that a call finds its slot without a lock.

use super::breaker::Breaker;
use super::era;
use super::flight::lock;
use super::gate::{self, Gate};
use super::hub::Hub;
use super::lists::Lists;
use super::outcome::Stop;
use super::upstream::Upstream;
use super::{Opened, flight::Flights};
use crate::model::hash::{Map, RandomState};
use crate::model::secret::Hidden;
use crate::model::{Era, InstanceKey, Outcome, Stamp, State};
use crate::router::Activity;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};

const SHARDS: usize = 64;
/// A handshake in the middle of a connection may take so long; the call's own deadline holds as well.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// An instance as the router sees it.
pub struct Slot {
    pub key: InstanceKey,
    pub gate: Arc<Gate>,
    /// Whether routed calls pass over it.
    pub breaker: Breaker,
    /// Why it is in its state, for a refused call.
    pub reason: ArcSwap<String>,
    pub link: ArcSwapOption<Link>,
    /// What the newest handshake found; stays when the instance sleeps.
    pub opened: ArcSwapOption<Opened>,
    pub lists: Arc<Lists>,
    /// Who wants to hear of changes.
    pub hub: Arc<Hub>,
    /// Secrets of the newest connection: masked in what is shown, and still when the connection is gone.
    pub hidden: ArcSwap<Hidden>,
    pub waiting: AtomicU32,
    /// Its lists are being asked for, for a caller who may not wait.
    pub learning: AtomicBool,
    /// Told at each change of the state or the connection, so that whoever waits looks again.
    pub changed: Notify,
    /// Milliseconds since the epoch; 0: never.
    last: AtomicU64,
    finished: AtomicU64,
}

/// An open connection and what its handshake found.
pub struct Link {
    pub upstream: Upstream,
    pub opened: Opened,
    /// The result of our `initialize` or `server/discover`, as it came.
    pub greeting: Option<String>,
    /// The handshake of a call that is pinned to the legacy era, on a connection that opened as modern.
    pub shaken: OnceCell<()>,
    /// `tools`, `prompts`, `resources` among the capabilities, and whether changes of lists are announced.
    pub offers: Offers,
}

impl Link {
    /// Makes the connection ready for a call of this era.
    pub async fn prepare(&self, era: Era) -> Result<(), Stop> {
        // Over HTTP each session shakes hands for itself.
        if era == self.opened.era || era == Era::Modern || self.upstream.is_http() {
            return Ok(());
        }
        // Boxed: it is rare, and every call's future would hold room for it.
        let shake = async || Box::pin(era::initialize(&self.upstream, HANDSHAKE, None)).await.map(|_| ());
        self.shaken
            .get_or_try_init(shake)
            .await
            .map(|_| ())
            .map_err(|error| format!("it cannot be asked as a legacy server: {error}"))
            .map_err(|error| Stop { inside: true, ..Stop::new(Outcome::Protocol, error) })
    }
}

/// What a server says that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    pub announces: bool,
}

impl Slot {
    fn new(key: InstanceKey) -> Self {
        Self {
            key,
            gate: Arc::new(Gate::new(State::Dormant)),
            breaker: Breaker::default(),
            reason: ArcSwap::default(),
            link: ArcSwapOption::empty(),
            opened: ArcSwapOption::empty(),
            lists: Arc::default(),
            hub: Arc::default(),
            hidden: ArcSwap::default(),
            waiting: AtomicU32::new(0),
            learning: AtomicBool::new(false),
            changed: Notify::new(),
            last: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        }
    }

    /// The connection, if it is open.
    pub fn live(&self) -> Option<Arc<Link>> {
        self.link.load_full().filter(|link| link.upstream.closed().is_none())
    }

    /// True if a call would pass now.
    pub fn can_enter(&self) -> bool {
        gate::serves(self.gate.state()) && self.live().is_some()
    }

    /// A real call began or ended.
    pub fn touch(&self, at: Stamp) {
        raise(&self.last, at);
    }

    /// The upstream answered a real call.
    pub fn touch_finished(&self, at: Stamp) {
        self.touch(at);
        raise(&self.finished, at);
    }

    pub fn activity(&self, flights: &Flights) -> Activity {
        let stamp = |ms: &AtomicU64| Some(Stamp(ms.load(Relaxed))).filter(|s| s.0 > 0);
        let in_flight = self.gate.in_flight();
        Activity {
            in_flight,
            waiting: self.waiting.load(Relaxed),
            oldest: if in_flight > 0 { flights.oldest(&self.key) } else { None },
            // Who listens to changes of a server uses it.
            last: if self.hub.holds() { Some(Stamp::now()) } else { stamp(&self.last) },
            finished: stamp(&self.finished),
        }
    }
}

/// Many calls come in one millisecond: they need not fight for what the first of them has noted.
fn raise(stamp: &AtomicU64, to: Stamp) {
    if stamp.load(Relaxed) < to.0 {
        stamp.fetch_max(to.0, Relaxed);
    }
}

type Shard = Map<InstanceKey, Arc<Slot>>;

/// All slots.
pub struct Slots {
    shards: Vec<ArcSwap<Shard>>,
    hasher: RandomState,
    /// Held while a shard is exchanged; never while reading.
    changing: Mutex<()>,
}

impl Default for Slots {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| ArcSwap::default()).collect();
        Self { shards, hasher: RandomState::default(), changing: Mutex::default() }
    }
}

impl Slots {
    fn shard(&self, key: &InstanceKey) -> &ArcSwap<Shard> {
        // The map behind it goes by the lower and the highest bits.
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize % SHARDS]
    }

    pub fn get(&self, key: &InstanceKey) -> Option<Arc<Slot>> {
        self.shard(key).load().get(key).cloned()
    }

    /// The slot of `key`; a new one is dormant.
    pub fn get_or_add(&self, key: &InstanceKey) -> Arc<Slot> {
        if let Some(slot) = self.get(key) {
            return slot;
        }
        let _changing = lock(&self.changing);
        if let Some(slot) = self.get(key) {
            return slot;
        }
        let slot = Arc::new(Slot::new(key.clone()));
        let mut shard = Shard::clone(&self.shard(key).load());
        shard.insert(key.clone(), slot.clone());
        self.shard(key).store(Arc::new(shard));
        slot
    }

    pub fn each(&self, mut f: impl FnMut(&Arc<Slot>)) {
        self.shards.iter().for_each(|shard| shard.load().values().for_each(&mut f));
    }

    pub fn remove(&self, key: &InstanceKey) -> Option<Arc<Slot>> {
        let _changing = lock(&self.changing);
        let mut shard = Shard::clone(&self.shard(key).load());
        let slot = shard.remove(key);
        self.shard(key).store(Arc::new(shard));
        // Whoever waits for this slot looks for the one that comes after it.
        slot.inspect(|slot| slot.changed.notify_waiters())
    }
}
