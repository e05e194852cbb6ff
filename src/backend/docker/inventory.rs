//! The task that keeps an engine's containers known: one list, then its event stream. After an event only what it touched
//! is asked for again; nothing is polled but a sign of life.

use super::connect::Client;
use super::events::{self, Events, encoded};
use super::listed::{Inspected, List, Listed};
use super::{PATIENCE, Yard};
use crate::backend::BackendError;
use crate::backend::engine::Found;
use crate::model::Stamp;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until};

/// Between two signs of life; with [`PATIENCE`], how long a dead engine is believed to live.
const BEAT: Duration = Duration::from_secs(2);

/// Pauses between attempts to connect: doubled from the first up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// However urgently it is wanted, it is not asked more often.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Events this close together are one refresh.
const BURST: Duration = Duration::from_millis(25);

/// A refresh waits so many times as long as the last one took, so that a storm of events costs the engine no more than a
/// fifth of a core.
const CALM: u32 = 4;

/// More touched containers than these are cheaper in one list of all.
const MANY: usize = 48;

/// Containers inspected at once.
const INSPECTIONS: usize = 4;

/// After the first list, before the first inspection: whoever waits for a screen waits for the list and for usage, and
/// an engine that answers a hundred inspections leaves them little of a small machine.
const LIST_FIRST: Duration = Duration::from_millis(150);

/// What inspections tell is published at most this often.
const DETAILS: Duration = Duration::from_millis(50);

/// A container may appear between the first list and the moment the engine begins to feed our event stream; one more list
/// this much later finds it.
const SETTLED: Duration = Duration::from_millis(500);

type Rows = BTreeMap<Arc<str>, Arc<Found>>;

/// Runs for ever: connects, follows, and when that ends says so and begins again.
pub async fn keep(yard: &Yard) {
    let mut pause = FIRST_PAUSE;
    let mut alive = Stamp::now();
    loop {
        let began = Instant::now();
        let reason = attempt(yard, &mut alive).await;
        yard.down(alive, reason);
        let lasted = began.elapsed() > 2 * PATIENCE;
        pause = if lasted { FIRST_PAUSE } else { (pause * 2).min(LAST_PAUSE) };
        sleep(SHORTEST_PAUSE).await;
        tokio::select! {
            () = sleep(pause) => {}
            () = yard.wanted.notified() => {}
        }
    }
}

/// One connection from beginning to end. Returns why there is none, or no more. `alive` is when it last answered.
async fn attempt(yard: &Yard, alive: &mut Stamp) -> String {
    let connected = async {
        let place = yard.door.find()?;
        Client::connect(yard.id.clone(), place).await
    };
    let client = match connected.await {
        Ok(client) => client,
        Err(reason) => return reason,
    };
    let events = events::follow(&client);
    let mut session = Session::new(yard, client, events);
    match session.follow(alive).await {
        Ok(()) => format!("{} ended its event stream: it stopped or restarts", yard.door.url()),
        Err(BackendError::Engine { reason, .. } | BackendError::Silent { reason, .. }) => reason,
        Err(other) => other.to_string(),
    }
}

/// A connection and what is known through it.
struct Session<'a> {
    yard: &'a Yard,
    client: Client,
    events: Events,
    rows: Rows,
    touched: BTreeSet<Arc<str>>,
    /// All of them are to be listed again.
    all: bool,
    /// When what is touched is asked for.
    refresh_at: Option<Instant>,
    /// How long the last refresh took.
    cost: Duration,
    /// Nothing is inspected before.
    inspect_from: Instant,
    /// Containers that are still to be inspected, those that run first, and the inspections under way.
    unknown: BTreeSet<(bool, Arc<str>)>,
    inspecting: FuturesUnordered<BoxFuture<'static, (Arc<str>, Option<Inspected>)>>,
    /// Whose: of two inspections of one container the older could be the last to be answered.
    asked: BTreeSet<Arc<str>>,
    /// When what inspections told is published.
    publish_at: Option<Instant>,
    beat: Interval,
}

impl<'a> Session<'a> {
    fn new(yard: &'a Yard, client: Client, events: Events) -> Self {
        let rows =
            yard.inventory.borrow().containers.iter().map(|row| (Arc::clone(&row.id), Arc::clone(row))).collect();
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            yard,
            client,
            events,
            rows,
            touched: BTreeSet::new(),
            all: false,
            refresh_at: None,
            cost: Duration::ZERO,
            inspect_from: Instant::now() + LIST_FIRST,
            unknown: BTreeSet::new(),
            inspecting: FuturesUnordered::new(),
            asked: BTreeSet::new(),
            publish_at: None,
            beat,
        }
    }

    /// Until the stream ends (`Ok`) or a request fails.
    async fn follow(&mut self, alive: &mut Stamp) -> Result<(), BackendError> {
        self.list_all().await?;
        // What was known of an earlier connection may have changed unseen.
        let all: Vec<_> = self.rows.keys().cloned().collect();
        self.wonder(all);
        *alive = Stamp::now();
        self.yard.up(&self.client, &self.rows);
        self.all = true;
        self.refresh_at = Some(Instant::now() + SETTLED);
        loop {
            self.inspect_some();
            tokio::select! {
                touched = self.events.next() => match touched {
                    Some(id) => self.touch(id),
                    None => return Ok(()),
                },
                () = due(self.refresh_at) => {
                    self.refresh().await?;
                    *alive = Stamp::now();
                }
                Some(inspected) = self.inspecting.next() => self.learn(inspected),
                () = due(self.publish_at) => self.publish(),
                () = sleep_until(self.inspect_from), if Instant::now() < self.inspect_from => {}
                _ = self.beat.tick() => {
                    self.client.get_text("/_ping").await?;
                    *alive = Stamp::now();
                }
            }
        }
    }

    fn touch(&mut self, id: Arc<str>) {
        self.touched.insert(id);
        self.refresh_at.get_or_insert_with(|| Instant::now() + BURST.max(self.cost * CALM));
    }

    async fn refresh(&mut self) -> Result<(), BackendError> {
        self.refresh_at = None;
        let began = Instant::now();
        let touched = std::mem::take(&mut self.touched);
        if std::mem::take(&mut self.all) || touched.len() > MANY {
            let changed = self.list_all().await?;
            self.wonder(changed);
        } else {
            self.list_some(&touched).await?;
        }
        self.wonder(touched);
        self.cost = began.elapsed();
        self.publish();
        Ok(())
    }

    /// Returns those that are new or have another state.
    async fn list_all(&mut self) -> Result<Vec<Arc<str>>, BackendError> {
        let listed: List = self.client.get("/containers/json?all=1").await?;
        let known = std::mem::take(&mut self.rows);
        let now = Stamp::now();
        let mut changed = Vec::new();
        for listed in listed.iter().filter_map(|raw| Listed::read(raw)) {
            let before = known.get(&listed.id);
            let row = kept(before, listed, now);
            if before.is_none_or(|before| before.state != row.state) || row.pid.is_none() && row.state.is_live() {
                changed.push(Arc::clone(&row.id));
            }
            self.rows.insert(Arc::clone(&row.id), row);
        }
        Ok(changed)
    }

    async fn list_some(&mut self, ids: &BTreeSet<Arc<str>>) -> Result<(), BackendError> {
        let names: Vec<&str> = ids.iter().map(|id| &**id).collect();
        let filter = encoded(&format!("{{\"id\":{names:?}}}"));
        let listed: List = self.client.get(&format!("/containers/json?all=1&filters={filter}")).await?;
        let known: BTreeMap<_, _> = ids.iter().filter_map(|id| Some((Arc::clone(id), self.rows.remove(id)?))).collect();
        let now = Stamp::now();
        for listed in listed.iter().filter_map(|raw| Listed::read(raw)) {
            let row = kept(known.get(&listed.id), listed, now);
            self.rows.insert(Arc::clone(&row.id), row);
        }
        Ok(())
    }

    /// Asks, when their turn comes, for what a list does not tell of these.
    fn wonder(&mut self, ids: impl IntoIterator<Item = Arc<str>>) {
        let rows = &self.rows;
        self.unknown.extend(ids.into_iter().filter_map(|id| Some((!rows.get(&id)?.state.is_live(), id))));
    }

    /// Keeps a few inspections under way while some are wanted.
    fn inspect_some(&mut self) {
        if Instant::now() < self.inspect_from {
            return;
        }
        while self.inspecting.len() < INSPECTIONS {
            let next = self.unknown.iter().find(|(_, id)| !self.asked.contains(id)).cloned();
            let Some(next) = next else { return };
            self.unknown.remove(&next);
            let (client, (_, id)) = (self.client.clone(), next);
            self.asked.insert(Arc::clone(&id));
            self.inspecting.push(Box::pin(async move {
                let inspected = client.get(&format!("/containers/{id}/json")).await;
                (id, inspected.ok())
            }));
        }
    }

    /// A container that cannot be inspected is gone, which an event tells, or stays as listed.
    fn learn(&mut self, (id, inspected): (Arc<str>, Option<Inspected>)) {
        self.asked.remove(&id);
        let (Some(inspected), Some(row)) = (inspected, self.rows.get_mut(&id)) else { return };
        let complete = inspected.complete(row);
        if complete != **row {
            *row = Arc::new(complete);
            self.publish_at.get_or_insert_with(|| Instant::now() + DETAILS);
        }
    }

    fn publish(&mut self) {
        self.publish_at = None;
        self.yard.publish(&self.rows);
    }
}

/// The row that is known if it is the same.
fn kept(before: Option<&Arc<Found>>, listed: Listed, now: Stamp) -> Arc<Found> {
    let row = listed.found(before.map(|before| &**before), now);
    match before {
        Some(before) if **before == row => Arc::clone(before),
        _ => Arc::new(row),
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
