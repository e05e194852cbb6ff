//! The one owner of instances: applies events to their lives, carries out the effects, keeps the facts that rows show.
//! Runs in the actor alone and never waits; work goes to [`super::worker`].

use super::deck::Deck;
use super::launch::Blueprint;
use super::lifecycle::{Effect, Event, Life, Now};
use super::plan::{Placement, Plan};
use super::secrets::Used;
use super::worker::{Creating, Creation, Report, Stop, Worker};
use crate::config::{Config, restarts};
use crate::model::container::EngineId;
use crate::model::instance::{BackendKind, Mark};
use crate::model::message::{EventKind, Level};
use crate::model::server::RestartPolicy;
use crate::model::usage::InstanceUsage;
use crate::model::{Desired, Era, InstanceKey, InstanceRow, Run, ServerId, Stamp, State};
use crate::router::Demand;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Calls that wait for one start; more are refused.
const WAITERS: usize = 4096;

/// All instances.
pub struct Fleet {
    deck: Arc<Deck>,
    slots: BTreeMap<InstanceKey, Slot>,
    /// What a snapshot shows of each, without traffic.
    pub rows: BTreeMap<InstanceKey, InstanceRow>,
    pub live: BTreeSet<InstanceKey>,
    pub dirty: BTreeSet<InstanceKey>,
    /// Lives that changed since they were last taken.
    pub moved: Vec<InstanceKey>,
    /// Times at which a retry is due; an entry that is no longer true is skipped.
    agenda: BTreeSet<(Duration, InstanceKey)>,
    pub hints: HashMap<ServerId, Era>,
    jitter: fastrand::Rng,
}

/// One instance.
pub struct Slot {
    pub life: Life,
    /// Counts its starts.
    pub run: u32,
    pub kind: BackendKind,
    pub used: Vec<Used>,
    blueprint: Blueprint,
    /// Other definitions, which hold from its next start on.
    next: Option<Next>,
    /// Its next stop waits for calls in flight as long as one may take: nobody is in a hurry.
    let_finish: bool,
    waiters: Vec<Demand>,
    creation: Option<Creation>,
    /// A remote's own command, to be run by the next creation.
    command: Option<Vec<String>>,
    /// The next stop ends what stands behind a remote one, too: an operator asked for it.
    take_down: bool,
    /// A pause did not work in this run: it is not tried again.
    pub no_doze: bool,
    /// Out of the plan: it goes when nothing of it runs any more.
    retired: bool,
    /// When it last began to serve; idle time counts from there.
    pub served_since: Stamp,
    pub next_probe: Duration,
}

/// What an instance becomes.
struct Next {
    blueprint: Blueprint,
    place: Placement,
    /// Monotonic.
    since: Duration,
}

impl Fleet {
    pub fn new(deck: Arc<Deck>) -> Self {
        Self {
            deck,
            slots: BTreeMap::new(),
            rows: BTreeMap::new(),
            live: BTreeSet::new(),
            dirty: BTreeSet::new(),
            moved: Vec::new(),
            agenda: BTreeSet::new(),
            hints: HashMap::new(),
            jitter: fastrand::Rng::new(),
        }
    }

    pub fn slot(&self, key: &InstanceKey) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub fn slot_mut(&mut self, key: &InstanceKey) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    /// Live instances and what they were started with.
    pub fn secrets_in_use(&self) -> impl Iterator<Item = (&InstanceKey, &[Used])> {
        self.live.iter().filter_map(|key| Some((key, self.slots.get(key)?.used.as_slice())))
    }

    /// Makes slots for what the plan has and retires what it has no longer.
    pub fn follow(&mut self, plan: &Plan) {
        for key in plan.instances().keys() {
            self.ensure(plan, key);
        }
        let gone: Vec<_> = self.slots.keys().filter(|key| !plan.admits(key)).cloned().collect();
        for key in gone {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.retired = true;
            }
            self.apply(plan, &key, Event::Sleep("no longer enabled".to_owned()));
            self.forget_if_gone(&key);
        }
    }

    /// Other definitions hold now. What runs and was started with what changed goes on until it can start anew; what is
    /// no longer wanted will end when its calls have. A session keeps the definitions that it began with.
    pub fn follow_definitions(&mut self, plan: &Plan, config: &Config) {
        for key in self.slots.keys().filter(|key| key.session.is_none()).cloned().collect::<Vec<_>>() {
            let tenant = key.tenant.as_ref().and_then(|t| plan.tenants.get(t)).cloned();
            let (place, def) = (plan.place(&key), plan.servers.get(&key.server).cloned());
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            let (Some(place), Some(def), true) = (place, def, plan.instances().contains_key(&key)) else {
                slot.let_finish = true;
                continue;
            };
            let blueprint = Blueprint::new(config, key.clone(), def, tenant);
            let old = &slot.blueprint;
            let before = (&*old.def, old.tenant.as_deref());
            let anew = slot.life.is_live() && restarts(before, (&*blueprint.def, blueprint.tenant.as_deref()));
            let next = Next { blueprint, place, since: self.deck.clock.now() };
            slot.next = Some(next);
            if !anew {
                self.take_next(&key);
            }
        }
    }

    /// The newest definitions hold from here on.
    fn take_next(&mut self, key: &InstanceKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(Next { blueprint, place, .. }) = slot.next.take() else { return };
        (slot.blueprint, slot.kind) = (blueprint, place.backend);
        if let Some(row) = self.rows.get_mut(key) {
            (row.backend, row.transport, row.environment) = (place.backend, place.transport, place.environment);
        }
        self.dirty.insert(key.clone());
    }

    fn ensure(&mut self, plan: &Plan, key: &InstanceKey) -> bool {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.retired = false;
        }
        let (Some(place), Some(def)) = (plan.place(key), plan.servers.get(&key.server)) else { return false };
        match self.rows.get_mut(key) {
            Some(row) if row.environment == place.environment => return true,
            Some(row) => {
                row.environment = place.environment;
                self.dirty.insert(key.clone());
                return true;
            }
            None => {}
        }
        let tenant = key.tenant.as_ref().and_then(|t| plan.tenants.get(t)).cloned();
        let blueprint = Blueprint::new(&self.deck.config(), key.clone(), def.clone(), tenant);
        let life = Life::default();
        let mut row = InstanceRow::new(key.clone(), place, Stamp::now());
        row.reason.clone_from(&life.reason);
        let slot = Slot {
            life,
            run: 0,
            kind: place.backend,
            used: Vec::new(),
            next: None,
            let_finish: false,
            blueprint,
            waiters: Vec::new(),
            creation: None,
            command: None,
            take_down: false,
            no_doze: false,
            retired: false,
            served_since: Stamp::default(),
            next_probe: Duration::ZERO,
        };
        self.deck.router.set_state(key, State::Dormant, &slot.life.reason);
        self.rows.insert(key.clone(), row);
        self.slots.insert(key.clone(), slot);
        self.dirty.insert(key.clone());
        true
    }

    fn forget_if_gone(&mut self, key: &InstanceKey) {
        let gone = self.slots.get(key).is_some_and(|slot| {
            let session_over = key.session.is_some() && slot.life.state() == State::Dormant && slot.waiters.is_empty();
            (slot.retired || session_over) && !slot.life.is_live()
        });
        if gone {
            self.slots.remove(key);
            self.rows.remove(key);
            self.live.remove(key);
            self.deck.router.remove(key);
            self.dirty.insert(key.clone());
        }
    }

    /// Sets a hold or fence that an earlier owner left.
    pub fn restore(&mut self, key: &InstanceKey, held: Option<Mark>, fenced: Option<Mark>) {
        let (Some(slot), Some(row)) = (self.slots.get_mut(key), self.rows.get_mut(key)) else { return };
        let told = |word: &str, mark: &Mark| marked(word, mark);
        slot.life = Life::marked(held.as_ref().map(|m| told("stopped", m)), fenced.as_ref().map(|m| told("fenced", m)));
        row.state = slot.life.state();
        row.desired = slot.life.desired;
        row.reason.clone_from(&slot.life.reason);
        row.since = held.as_ref().or(fenced.as_ref()).map_or_else(Stamp::now, |m| m.at);
        (row.held, row.fenced) = (held, fenced);
        self.deck.router.set_state(key, row.state, &row.reason);
        self.dirty.insert(key.clone());
    }

    /// A call (or an instance that needs it) waits for `demand.key`.
    pub fn demand(&mut self, plan: &Plan, demand: Demand) {
        let key = demand.key.clone();
        if !plan.admits(&key) || !self.ensure(plan, &key) {
            let _ = demand.reply.send(Err(format!("{key} is not enabled")));
            return;
        }
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if slot.waiters.len() >= WAITERS {
            let _ = demand.reply.send(Err(format!("{WAITERS} calls wait for {key} already")));
            return;
        }
        slot.waiters.push(demand);
        self.apply(plan, &key, Event::Demand);
        self.settle(plan, &key);
    }

    /// Answers those who wait, if the state says what to answer.
    fn settle(&mut self, plan: &Plan, key: &InstanceKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.waiters.retain(|w| !w.reply.is_closed());
        if slot.waiters.is_empty() {
            return;
        }
        let answer = match slot.life.state() {
            State::Ready | State::Degraded | State::Unknown => Ok(()),
            State::Stopped | State::Fenced | State::Failed => Err(slot.life.reason.clone()),
            // Nobody may use it any more: who waits for it must not start it again.
            State::Dormant if slot.retired => Err(slot.life.reason.clone()),
            State::Dormant => return self.apply(plan, key, Event::Demand),
            State::Starting | State::Backoff | State::Doze | State::Stopping => return,
        };
        for waiter in slot.waiters.drain(..) {
            let _ = waiter.reply.send(answer.clone());
        }
    }

    /// The one way a life changes.
    pub fn apply(&mut self, plan: &Plan, key: &InstanceKey, event: Event) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if self.deck.closing.is_cancelled() {
            // What ends while everything ends stays down. A call that was there before may still have its start.
            if event.begins() {
                return;
            }
            if event == Event::Stopped && slot.life.comes_again() {
                self.apply(plan, key, Event::Sleep("shutting down".to_owned()));
            }
        }
        let Some(slot) = self.slots.get_mut(key) else { return };
        let before = slot.life.state();
        let settings = slot.blueprint.def.settings.clone();
        let now = self.now(&settings.restart);
        let Some(slot) = self.slots.get_mut(key) else { return };
        let old = slot.life.clone();
        let told = matches!(event, Event::Progress(_));
        let (life, effect) = old.clone().step(event, now);
        if life == old && effect.is_none() {
            return;
        }
        slot.life = life;
        let after = slot.life.state();
        if let Some(at) = slot.life.retry_at() {
            self.agenda.insert((at, key.clone()));
        }
        self.show(key);
        self.moved.push(key.clone());
        if before != after {
            self.transition(key, before, after);
        } else if told {
            // Whoever waits sees how far it is.
            self.deck.router.set_state(key, after, &self.rows[key].reason);
        }
        if let Some(effect) = effect {
            self.carry_out(plan, key, effect);
        }
        if before != after {
            self.settle(plan, key);
            self.forget_if_gone(key);
        }
    }

    fn now<'a>(&mut self, policy: &'a RestartPolicy) -> Now<'a> {
        Now { at: self.deck.clock.now(), policy, jitter: self.jitter.f64() }
    }

    /// Brings the row up to the life.
    fn show(&mut self, key: &InstanceKey) {
        let (Some(slot), Some(row)) = (self.slots.get(key), self.rows.get_mut(key)) else { return };
        row.desired = slot.life.desired;
        row.reason.clone_from(&slot.life.reason);
        row.retry_at = slot.life.retry_at().map(|at| self.deck.clock.stamp(at));
        if slot.life.desired != Desired::Held {
            row.held = None;
        }
        if !slot.life.fenced {
            row.fenced = None;
        }
        if slot.life.is_live() {
            self.live.insert(key.clone());
        } else {
            self.live.remove(key);
            (row.pid, row.started_at, row.idle_stop_at) = (None, None, None);
            row.usage = InstanceUsage::default();
            row.secrets.clear();
        }
        self.dirty.insert(key.clone());
    }

    fn transition(&mut self, key: &InstanceKey, from: State, to: State) {
        let Some(row) = self.rows.get_mut(key) else { return };
        row.state = to;
        row.since = Stamp::now();
        let reason = row.reason.clone();
        self.deck.router.set_state(key, to, &reason);
        let bad = matches!(to, State::Failed | State::Backoff | State::Degraded | State::Unknown);
        let level = if bad { Level::Warn } else { Level::Info };
        self.deck.logs.say(key, level, format!("{from} -> {to}: {reason}"));
        self.deck.events.emit(EventKind::Transition { instance: key.clone(), from, to, reason });
    }

    fn carry_out(&mut self, plan: &Plan, key: &InstanceKey, effect: Effect) {
        if effect == Effect::Create {
            self.take_next(key);
        }
        let Some(slot) = self.slots.get_mut(key) else { return };
        let reason = slot.life.reason.clone();
        let mut worker =
            Worker { deck: self.deck.clone(), blueprint: slot.blueprint.clone(), kind: slot.kind, run: slot.run };
        let let_finish = std::mem::take(&mut slot.let_finish);
        let stop = |kill, take_down| Stop { kill, take_down, let_finish, reason };
        match effect {
            Effect::Create => {
                slot.run += 1;
                slot.no_doze = false;
                worker.run = slot.run;
                if slot.life.failures() > 0
                    && let Some(row) = self.rows.get_mut(key)
                {
                    row.restarts += 1;
                }
                let creation = Creation::default();
                slot.creation = Some(creation.clone());
                let hint = self.hints.get(&key.server).copied();
                let command = slot.command.take();
                worker.create(Creating { needs: plan.needs(key), hint, command, creation });
            }
            Effect::Stop => {
                let take_down = std::mem::take(&mut slot.take_down);
                worker.stop(stop(false, take_down), slot.creation.take());
            }
            Effect::Kill => {
                let take_down = std::mem::take(&mut slot.take_down);
                worker.stop(stop(true, take_down), slot.creation.take());
            }
            Effect::Doze => worker.pause(false),
            Effect::Wake => worker.pause(true),
        }
    }

    /// A worker's report. One of an earlier run means nothing any more.
    pub fn report(&mut self, plan: &Plan, key: &InstanceKey, run: u32, report: Report) {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.run == run) else { return };
        let event = match report {
            Report::Attached { pid, container, notes, used } => {
                slot.used = used;
                if let Some(row) = self.rows.get_mut(key) {
                    row.container = container;
                }
                return self.attached(key, pid, notes);
            }
            Report::Progress(what) => Event::Progress(what),
            Report::Opened(opened) => {
                slot.creation = None;
                slot.served_since = Stamp::now();
                self.opened(key, *opened);
                Event::Opened
            }
            Report::StartFailed(why) => {
                slot.creation = None;
                Event::StartFailed(why)
            }
            Report::Exited(exit) => {
                self.deck.router.close(key, &exit.to_string());
                Event::Exited(exit.to_string())
            }
            Report::Stopped => Event::Stopped,
            Report::StopFailed(why) => Event::StopFailed(why),
            Report::Dozed(Ok(())) => Event::Dozed,
            Report::Dozed(Err(why)) => {
                slot.no_doze = true;
                if let Some(row) = self.rows.get_mut(key) {
                    row.notes.push(format!("cannot doze: {why}"));
                }
                Event::DozeFailed("answers".to_owned())
            }
            Report::Woken(Ok(())) => {
                slot.served_since = Stamp::now();
                Event::Woken
            }
            Report::Woken(Err(why)) => Event::WakeFailed(why),
        };
        self.apply(plan, key, event);
    }

    fn attached(&mut self, key: &InstanceKey, pid: Option<u32>, notes: Vec<String>) {
        let (Some(slot), Some(row)) = (self.slots.get(key), self.rows.get_mut(key)) else { return };
        row.pid = pid;
        row.notes = notes;
        row.started_at = Some(Stamp::now());
        row.secrets = slot.used.iter().map(|u| (u.name.clone(), u.fingerprint.clone())).collect();
        self.dirty.insert(key.clone());
    }

    fn opened(&mut self, key: &InstanceKey, opened: crate::router::Opened) {
        if let Some(row) = self.rows.get_mut(key) {
            row.era = Some(opened.era);
            row.transport = opened.transport;
            row.server_info = opened.server_info;
            row.probe = Default::default();
        }
        if self.hints.insert(key.server.clone(), opened.era) != Some(opened.era) {
            let (deck, server) = (self.deck.clone(), key.server.clone());
            self.deck.spawn("era hint", async move {
                // A lost hint costs one probe at the next start.
                if let Ok(store) = deck.store.get().await {
                    let _ = store.set_era_hint(server, Some(opened.era)).await;
                }
            });
        }
    }

    /// A remote's own restart command, run by its next creation.
    pub fn command_next(&mut self, key: &InstanceKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if let Run::Remote { restart_command, .. } = &slot.blueprint.def.run {
            slot.command.clone_from(restart_command);
        }
    }

    /// An operator's stop or restart of a remote one ends what stands behind it, unless it has a command for that; also
    /// if we are not connected to it.
    /// True if that is under way with this.
    pub fn take_down(&mut self, plan: &Plan, key: &InstanceKey, why: &str) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        slot.take_down = slot.blueprint.adopted().is_some() && slot.command.is_none();
        let alone = slot.take_down && !slot.life.is_live();
        if alone {
            self.apply(plan, key, Event::TakeDown(why.to_owned()));
        }
        alone
    }

    /// An engine fell silent, for this reason, or answers again.
    pub fn engine(&mut self, plan: &Plan, engine: &EngineId, silent: Option<&str>) {
        let config = self.deck.config();
        let first = config.engines.first().map(|def| &def.id);
        let on_it = |(key, slot): (&InstanceKey, &Slot)| {
            let Run::Container(run) = &slot.blueprint.def.run else { return None };
            let runs_on = self.rows.get(key).and_then(|row| row.container.as_ref()).map(|container| &container.engine);
            let runs_on = runs_on.or(run.engine.as_ref()).or(first);
            (slot.kind == BackendKind::Docker && runs_on == Some(engine)).then(|| key.clone())
        };
        let keys: Vec<_> = self.slots.iter().filter_map(on_it).collect();
        for key in keys {
            self.apply(plan, &key, Event::Silent(silent.map(str::to_owned)));
            self.settle(plan, &key);
        }
    }

    /// These go on serving since an earlier owner: what the plan wants is taken up.
    pub fn take_up(&mut self, plan: &Plan, keys: Vec<InstanceKey>) {
        for key in keys {
            if plan.instances().contains_key(&key) && self.ensure(plan, &key) {
                self.apply(plan, &key, Event::TakeUp("it runs since an earlier owner: taken up".to_owned()));
            }
        }
    }

    /// When the next retry is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| self.deck.clock.instant(*at))
    }

    /// Carries out every retry that is due.
    pub fn retry_due(&mut self, plan: &Plan) {
        let now = self.deck.clock.now();
        while self.agenda.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, key)) = self.agenda.pop_first() else { return };
            let Some(slot) = self.slots.get(&key).filter(|slot| slot.life.retry_at() == Some(at)) else { continue };
            let instant = Instant::now();
            let waiting = slot.waiters.iter().any(|w| !w.reply.is_closed() && w.deadline > instant);
            self.apply(plan, &key, Event::RetryDue { waiting });
        }
    }

    /// A worker for a probe.
    pub fn worker(&self, key: &InstanceKey) -> Option<Worker> {
        let slot = self.slots.get(key)?;
        let blueprint = slot.blueprint.clone();
        Some(Worker { deck: self.deck.clone(), blueprint, kind: slot.kind, run: slot.run })
    }
}

impl Slot {
    /// Since when it runs by definitions that no longer hold.
    pub fn stale_since(&self) -> Option<Duration> {
        self.next.as_ref().map(|next| next.since)
    }

    /// Its next stop waits for the calls in flight.
    pub fn let_finish(&mut self) {
        self.let_finish = true;
    }

    pub fn settings(&self) -> &crate::model::server::Settings {
        &self.blueprint.def.settings
    }

    pub fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }
}

/// `stopped by ana, 2026-01-31 13:04: reason`
pub fn marked(word: &str, mark: &Mark) -> String {
    let reason = if mark.reason.is_empty() { String::new() } else { format!(": {}", mark.reason) };
    format!("{word} by {}, {}{reason}", mark.by, local_time(mark.at))
}

fn local_time(at: Stamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string())
}
