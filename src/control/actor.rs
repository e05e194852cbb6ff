//! The one task that owns what runs: takes demands, acts, reports and timers one at a time, and publishes snapshots.
//! Never waits for anything but its next message; everything slow is a task that tells it later.

mod sightings;

use super::attention::Conditions;
use super::attention::usage::Pressed;
use super::auth::AuthLog;
use super::deck::Deck;
use super::durable;
use super::fleet::Fleet;
use super::gpus::owner::Held;
use super::jobs::{Jobs, verdict};
use super::journal;
use super::lifecycle::Event;
use super::plan::Plan;
use super::reload;
use super::snapshot::{Builder, Dirty, Inputs, Yard};
use super::stacks::{Stacks, WatchedLine, life};
use super::worker::Report;
use super::yard::Seen;
use crate::model::container::{EngineId, EngineState};
use crate::model::instance::{LastCall, Mark, ProbeFacts};
use crate::model::message::{EventKind, JobOutcome, LogSource, LogTarget};
use crate::model::snapshot::PlatformInfo;
use crate::model::usage::{HostUsage, InstanceUsage};
use crate::model::{
    Act, CallRecord, Command, Era, InstanceKey, JobId, Outcome, Refusal, Scope, ServerId, StackId, Stamp, State,
};
use crate::router::{AllFigures, Demand, Note};
use crate::store::{Enablement, MarkKind};
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Snapshots follow each other no faster.
const PACE: Duration = Duration::from_millis(250);
/// A platform that comes up shows each thing as it appears: so long, and so often.
pub(super) const FRESH: Duration = Duration::from_secs(2);
pub(super) const FRESH_PACE: Duration = Duration::from_millis(8);
/// How often live instances are looked after.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Rates fall for this long after the last call, and error shares for [`COLD`].
const WARM: Duration = Duration::from_secs(12);
const COLD: Duration = Duration::from_secs(310);

/// What the actor is told.
pub enum Msg {
    /// The store is open; what it remembers.
    Loaded(Box<Loaded>),
    Act {
        act: Act,
        reply: oneshot::Sender<Result<JobId, Refusal>>,
    },
    /// An act is durable (or could not be made so).
    Durable {
        job: JobId,
        result: Result<(), String>,
    },
    Work {
        key: InstanceKey,
        run: u32,
        report: Report,
    },
    Probed {
        key: InstanceKey,
        run: u32,
        facts: ProbeFacts,
    },
    /// One instance needs another.
    Need(Demand),
    Usage {
        instances: Vec<(InstanceKey, InstanceUsage)>,
        /// `None`: as before.
        host: Option<HostUsage>,
        pressed: Vec<Pressed>,
    },
    /// A job that has nothing to do with instances is over.
    Ended {
        job: JobId,
        result: Result<String, String>,
    },
    /// How far such a job is.
    Said {
        job: JobId,
        message: String,
    },
    /// What became of the work on a part of a stack.
    Part {
        stack: StackId,
        part: usize,
        run: u32,
        report: life::Report,
    },
    /// A line in the log of a part that asks for attention.
    Watched(WatchedLine),
    /// What stands on the engines, or a part of it.
    Seen(Seen),
    /// An engine came, fell silent or answers again.
    Engine(EngineId, EngineState),
    /// Instances that go on serving since an earlier owner.
    Survivors(Vec<InstanceKey>),
    Finished(Vec<Arc<CallRecord>>),
    /// The configuration was read again.
    Reload(Box<reload::Read>),
    /// The connection of this run ended a while ago; if it still counts as live, it is lost.
    Lost {
        key: InstanceKey,
        run: u32,
        reason: String,
    },
    /// A call began or ended.
    Touched,
    /// Somebody begins to look: publish now, then tell.
    Refresh(oneshot::Sender<()>),
    /// Consoles came, went or look at something else.
    Consoles,
    /// The gateway cannot listen somewhere, or can again.
    Shut,
    /// Stop every instance, and tell when none is left.
    StopAll {
        reason: String,
        done: oneshot::Sender<()>,
    },
    /// Kill what is left.
    KillAll,
}

/// What the store remembers.
#[derive(Default)]
pub struct Loaded {
    pub enablement: Vec<Enablement>,
    pub marks: Vec<(InstanceKey, MarkKind, Mark)>,
    pub hints: Vec<(ServerId, Era)>,
}

pub struct Actor {
    pub(super) deck: Arc<Deck>,
    pub(super) plan: Plan,
    pub(super) fleet: Fleet,
    pub(super) jobs: Jobs,
    pub(super) conditions: Conditions,
    pub(super) auth: AuthLog,
    pub(super) durable: mpsc::Sender<durable::Write>,
    builder: Builder,
    pub(super) platform: Arc<PlatformInfo>,
    figures: AllFigures,
    tools: HashMap<ServerId, u32>,
    host: Arc<HostUsage>,
    pub(super) yard: Yard,
    pub(super) stacks: Stacks,
    /// GPU memory by who holds it.
    held: Held,
    /// Engines that were heard of, and whether they answer.
    engines: HashMap<EngineId, bool>,
    rate_history: Vec<f32>,
    rate_pushed: Stamp,
    replan: bool,
    next_tick: Option<Instant>,
    next_publish: Option<Instant>,
    last_publish: Option<Instant>,
    last_call: Option<Instant>,
    stopped: Option<oneshot::Sender<()>>,
}

/// The queues that the actor reads.
pub struct Ends {
    pub mailbox: mpsc::Receiver<Msg>,
    pub demands: mpsc::Receiver<Demand>,
    pub notes: mpsc::Receiver<Note>,
}

impl Actor {
    pub fn new(deck: Arc<Deck>, plan: Plan, builder: Builder, durable: mpsc::Sender<durable::Write>) -> Self {
        let platform = builder.last().platform.clone();
        let mut fleet = Fleet::new(deck.clone());
        let stacks = Stacks::new(&deck.config().stacks);
        fleet.follow(&plan);
        Self {
            fleet,
            deck,
            plan,
            jobs: Jobs::default(),
            conditions: Conditions::default(),
            auth: AuthLog::default(),
            durable,
            builder,
            platform,
            figures: AllFigures::default(),
            tools: HashMap::new(),
            host: Arc::default(),
            yard: Yard::default(),
            stacks,
            held: Held::default(),
            engines: HashMap::new(),
            rate_history: Vec::new(),
            rate_pushed: Stamp::default(),
            replan: true,
            next_tick: None,
            next_publish: None,
            last_publish: None,
            last_call: None,
            stopped: None,
        }
    }

    /// Runs until the platform ends. A panic in one message is told, and the next is taken.
    pub async fn run(mut self, mut ends: Ends) {
        let stop = self.deck.stop.clone();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(msg) = ends.mailbox.recv() => self.guarded("control", |a| a.handle(msg)),
                Some(demand) = ends.demands.recv() => self.guarded("demand", |a| a.fleet.demand(&a.plan, demand)),
                Some(note) = ends.notes.recv() => self.guarded("note", |a| a.note(note)),
                () = until(wake) => self.guarded("timer", Self::on_time),
            }
            self.guarded("jobs", Self::follow_moves);
        }
    }

    fn guarded(&mut self, name: &'static str, work: impl FnOnce(&mut Self)) {
        if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| work(self))) {
            self.deck.panicked(name, panic.as_ref());
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        [self.fleet.next_due(), self.next_tick, self.next_publish].into_iter().flatten().min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.fleet.retry_due(&self.plan);
        if self.next_tick.is_some_and(|at| at <= now) {
            self.next_tick = None;
            self.look_after();
        }
        if self.next_publish.is_some_and(|at| at <= now) {
            self.publish();
        }
    }

    /// A snapshot follows soon.
    pub(super) fn mark(&mut self) {
        self.publish_within(Duration::ZERO);
    }

    fn publish_within(&mut self, wait: Duration) {
        let now = Instant::now();
        let pace = if self.deck.clock.now() < FRESH { FRESH_PACE } else { PACE };
        let earliest = self.last_publish.map_or(now, |last| last + pace);
        let at = earliest.max(now + wait);
        self.next_publish = Some(self.next_publish.map_or(at, |old| old.min(at)));
    }

    /// Builds and publishes the next snapshot now.
    pub(super) fn publish(&mut self) {
        let now = Instant::now();
        self.next_publish = None;
        self.last_publish = Some(now);
        let quiet = self.last_call.map(|at| now - at);
        if quiet.is_some_and(|quiet| quiet < COLD) {
            self.figures = self.deck.router.figures();
        }
        let stamp = Stamp::now();
        self.conditions.auth = self.auth.troubles(stamp);
        self.conditions.shut = self.deck.shut.borrow().clone();
        let store_error = self.deck.store.trouble().map(|(text, _)| text);
        let since = self.conditions.store.take().map(|(_, since)| since);
        // A gap has no time of its own: it is as old as the line about it.
        self.conditions.store = journal::trouble(&self.deck).map(|(text, at)| (text, since.unwrap_or(at)));
        if self.figures.dropped_records > 0 && self.conditions.dropped_since == Stamp::default() {
            self.conditions.dropped_since = stamp;
        }
        let pending = self.deck.router.pending();
        let dirty = Dirty { instances: std::mem::take(&mut self.fleet.dirty), all: std::mem::take(&mut self.replan) };
        let secrets = self.deck.vault.rows(self.fleet.secrets_in_use());
        let old = self.builder.last().clone();
        let keep = |row| old.secrets.iter().find(|o| ***o == row).cloned().unwrap_or_else(|| Arc::new(row));
        let next = self.builder.build(
            dirty,
            Inputs {
                now: stamp,
                plan: &self.plan,
                instances: &self.fleet.rows,
                figures: &self.figures,
                pending: &pending,
                tools: &self.tools,
                platform: &self.platform,
                jobs: self.jobs.rows(),
                secrets: secrets.into_iter().map(keep).collect(),
                consoles: self.deck.consoles.rows(),
                host: &self.host,
                yard: &self.yard,
                rate_history: &self.rate_history,
                store_error: store_error.as_deref(),
                conditions: &self.conditions,
            },
        );
        self.deck.picture.set(next);
        match quiet {
            Some(quiet) if quiet < WARM => self.publish_within(TICK),
            Some(quiet) if quiet < COLD => self.publish_within(10 * TICK),
            _ => {}
        }
        if self.engines.values().any(|answers| !answers) {
            // The line about it says for how long.
            self.publish_within(10 * TICK);
        }
    }

    fn handle(&mut self, msg: Msg) {
        match msg {
            Msg::Loaded(loaded) => self.loaded(*loaded),
            Msg::Act { act, reply } => self.act(act, reply),
            Msg::Durable { job, result } => self.durable(job, result),
            Msg::Work { key, run, report } => self.work(&key, run, report),
            Msg::Probed { key, run, facts } => self.probed(&key, run, facts),
            Msg::Need(demand) => self.fleet.demand(&self.plan, demand),
            Msg::Usage { instances, host, pressed } => {
                self.conditions.pressed = pressed;
                self.usage(instances, host);
            }
            Msg::Ended { job, result } => {
                let (outcome, message) = match result {
                    Ok(message) => (JobOutcome::Ok, message),
                    Err(message) => (JobOutcome::Failed, message),
                };
                self.finish(job, outcome, message);
            }
            Msg::Said { job, message } => self.jobs.say(job, message),
            Msg::Part { stack, part, run, report } => self.part_report(&stack, part, run, report),
            Msg::Watched(line) => self.watched(line),
            Msg::Seen(seen) => self.seen(seen),
            Msg::Engine(id, state) => self.engine(&id, &state),
            Msg::Survivors(keys) => self.fleet.take_up(&self.plan, keys),
            Msg::Finished(records) => self.finished(&records),
            Msg::Reload(read) => self.reload(*read),
            Msg::Lost { key, run, reason } => {
                if self.fleet.slot(&key).is_some_and(|slot| slot.run == run) {
                    self.fleet.apply(&self.plan, &key, Event::Lost(reason));
                }
            }
            Msg::Consoles | Msg::Shut => {}
            Msg::Touched => self.last_call = Some(Instant::now()),
            Msg::Refresh(done) => {
                self.publish();
                // Whoever asked may have gone.
                let _ = done.send(());
                return;
            }
            Msg::StopAll { reason, done } => self.stop_all(&reason, done),
            Msg::KillAll => {
                for key in self.fleet.live.clone() {
                    self.fleet.apply(&self.plan, &key, Event::Kill("shutting down".to_owned()));
                }
            }
        }
        self.mark();
    }

    /// From here the router knows who may use what, and what starts by itself starts.
    fn loaded(&mut self, loaded: Loaded) {
        self.plan = Plan::new(&self.deck.config(), loaded.enablement);
        self.fleet.hints = loaded.hints.into_iter().collect();
        self.fleet.follow(&self.plan);
        let mut marks: BTreeMap<InstanceKey, (Option<Mark>, Option<Mark>)> = BTreeMap::new();
        for (key, kind, mark) in loaded.marks {
            let entry = marks.entry(key).or_default();
            match kind {
                MarkKind::Held => entry.0 = Some(mark),
                MarkKind::Fenced => entry.1 = Some(mark),
            }
        }
        for (key, (held, fenced)) in marks {
            self.fleet.restore(&key, held, fenced);
        }
        self.replan();
        if !self.deck.options.momentary {
            self.autostart();
            self.autostart_stacks();
        }
        self.show_stacks();
        self.publish();
        self.deck.serving.cancel();
    }

    /// The plan changed: the router, the fleet and every table follow.
    pub(super) fn replan(&mut self) {
        self.fleet.follow(&self.plan);
        self.deck.router.set_table(self.plan.table());
        self.replan = true;
    }

    /// Starts what shall run without a call; what is held, fenced or runs already stays as it is.
    pub(super) fn autostart(&mut self) {
        let wanted = |key: &InstanceKey| {
            let def = self.plan.servers.get(&key.server);
            let resting = self.fleet.rows.get(key).is_some_and(|row| row.state == State::Dormant);
            resting && def.is_some_and(|d| d.settings.autostart && d.scope != Scope::Session)
        };
        let keys: Vec<_> = self.plan.instances().keys().filter(|key| wanted(key)).cloned().collect();
        for key in keys {
            self.fleet.apply(&self.plan, &key, Event::Start("starts with the platform".to_owned()));
        }
    }

    fn work(&mut self, key: &InstanceKey, run: u32, report: Report) {
        if matches!(report, Report::Opened(_)) {
            // What was before says nothing of the new run.
            self.auth.forget(key);
            self.conditions.hanging.remove(key);
            let every = self.fleet.slot(key).and_then(|slot| slot.settings().health.every);
            let now = self.deck.clock.now();
            if let (Some(every), Some(slot)) = (every, self.fleet.slot_mut(key)) {
                // Spread over the period, so that many started at once are not probed at once.
                slot.next_probe = now + every.mul_f64(0.5 + 0.5 * fastrand::f64());
            }
        }
        self.fleet.report(&self.plan, key, run, report);
        if self.next_tick.is_none() && !self.fleet.live.is_empty() {
            self.next_tick = Some(Instant::now() + TICK);
        }
    }

    /// Ticks go on while something is live.
    pub(super) fn tick_again(&mut self) {
        if !self.fleet.live.is_empty() {
            self.next_tick = Some(Instant::now() + TICK);
        }
    }

    fn usage(&mut self, instances: Vec<(InstanceKey, InstanceUsage)>, host: Option<HostUsage>) {
        for (key, usage) in instances {
            let usage = InstanceUsage { gpu_memory: self.held.instances.get(&key).copied(), ..usage };
            if let Some(row) = self.fleet.rows.get_mut(&key).filter(|row| row.usage != usage) {
                row.usage = usage;
                self.fleet.dirty.insert(key);
            }
        }
        if let Some(host) = host.filter(|host| *self.host != *host) {
            self.host = Arc::new(host);
        }
        let now = Stamp::now();
        if now.since(self.rate_pushed) >= Duration::from_secs(5) {
            self.rate_pushed = now;
            self.rate_history.push((self.figures.total.rate * 10.0).round() / 10.0);
            let excess = self.rate_history.len().saturating_sub(60);
            self.rate_history.drain(..excess);
        }
    }

    fn finished(&mut self, records: &[Arc<CallRecord>]) {
        self.last_call = Some(Instant::now());
        for record in records {
            let Some(key) = &record.instance else { continue };
            if record.outcome == Outcome::Auth {
                self.auth.add(key, &record.tenant, record.at);
            }
            if let Some(row) = self.fleet.rows.get_mut(key) {
                row.last_call = Some(LastCall {
                    at: record.at,
                    outcome: record.outcome,
                    took_ms: (record.took_us / 1000).try_into().unwrap_or(u32::MAX),
                    error: record.error.clone(),
                });
                self.fleet.dirty.insert(key.clone());
            }
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Garbage { instance, line } => {
                self.deck.logs.push(
                    &LogTarget::Instance(instance.clone()),
                    LogSource::Garbage,
                    None,
                    super::logs::clean_line(&line),
                );
                if let Some(row) = self.fleet.rows.get_mut(&instance) {
                    row.garbage += 1;
                    self.fleet.dirty.insert(instance);
                }
            }
            Note::Log { instance, level, text } => {
                let level = super::logs::level_of(&level);
                self.deck.logs.push(
                    &LogTarget::Instance(instance),
                    LogSource::Deck,
                    level,
                    super::logs::clean_line(&text),
                );
            }
            Note::Closed { instance, reason } => self.closed(instance, reason),
            Note::SessionOver { instance } => {
                self.fleet.apply(&self.plan, &instance, Event::Sleep("its client's session ended".to_owned()));
                if self.fleet.slot(&instance).is_none() {
                    self.deck.router.remove(&instance);
                }
            }
            Note::Listed { instance, tools } => drop(self.tools.insert(instance.server, tools)),
        }
        self.mark();
    }

    /// An exit usually follows within milliseconds and says more; without one the connection is lost.
    fn closed(&mut self, key: InstanceKey, reason: String) {
        let Some(run) = self.fleet.slot(&key).map(|slot| slot.run) else { return };
        let deck = self.deck.clone();
        self.deck.spawn("lost connection", async move {
            tokio::time::sleep(TICK / 2).await;
            deck.tell(Msg::Lost { key, run, reason }).await;
        });
    }

    fn stop_all(&mut self, reason: &str, done: oneshot::Sender<()>) {
        self.stopped = Some(done);
        for key in self.fleet.live.clone() {
            self.fleet.apply(&self.plan, &key, Event::Sleep(reason.to_owned()));
        }
    }

    /// Jobs whose instances moved may be done; a shutdown may be.
    fn follow_moves(&mut self) {
        while !self.fleet.moved.is_empty() {
            for key in std::mem::take(&mut self.fleet.moved) {
                self.mark();
                for (job, command) in self.jobs.working_on(&key) {
                    let result = self.fleet.slot(&key).map_or(Some(Ok(())), |slot| verdict(&command, &slot.life));
                    match (result, self.fleet.slot(&key)) {
                        (Some(result), _) => self.target_done(job, &key, result),
                        (None, Some(slot)) => self.jobs.tell(job, &key, &slot.life.reason),
                        (None, None) => {}
                    }
                }
            }
        }
        if self.fleet.live.is_empty()
            && let Some(done) = self.stopped.take()
        {
            let _ = done.send(());
        }
    }

    /// Told to everybody, and in the journal.
    pub(super) fn finish(&mut self, job: JobId, outcome: JobOutcome, message: String) {
        let finished = self.jobs.finish(job, outcome, message);
        self.close(finished);
    }

    pub(super) fn close(&mut self, finished: Option<super::jobs::Finished>) {
        let Some(finished) = finished else { return };
        let row = &finished.row;
        self.deck.events.emit(EventKind::Job {
            job: row.id,
            title: row.title.clone(),
            outcome: row.outcome.unwrap_or(JobOutcome::Ok),
            message: row.message.clone(),
        });
        super::journal::later(&self.deck, finished.journal);
        self.mark();
    }

    pub(super) fn set_example(&mut self, on: bool) {
        Arc::make_mut(&mut self.platform).example_traffic = Some(on);
        self.deck.example.send_replace(on);
    }
}

/// Which commands are about instances; the others end by themselves.
pub(super) fn event_of(command: &Command, who: &str) -> Option<Event> {
    let by = |verb: &str| format!("{verb} by {who}");
    Some(match command {
        Command::Start(_) => Event::Start(by("started")),
        Command::Sleep(_) => Event::Sleep(by("put to sleep")),
        Command::Restart(_) => Event::Restart(by("restarted")),
        Command::Roll(_) => Event::Restart(by("restarted for its credentials")),
        Command::Kill(_) => Event::Kill(by("killed")),
        Command::Unfence(_) => Event::Unfence,
        _ => return None,
    })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
