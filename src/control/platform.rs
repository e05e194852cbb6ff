//! Brings a platform up and down. Up: the first snapshot at once, everything slow behind it. Down: drained, stopped,
//! flushed and closed under one deadline.

use super::actor::{Actor, Ends, Loaded, Msg};
use super::calls::{self, Calls};
use super::consoles::{Change, Consoles};
use super::deck::{Backends, Clock, Deck, Picture, StoreCell};
use super::durable;
use super::engines::Engines;
use super::events::{self, Events};
use super::example;
use super::gpus;
use super::handle::Handle;
use super::local::Local;
use super::logs::{self, Logs};
use super::plan::Plan;
use super::principals::{self, Principals};
use super::reload::{self, Reloads};
use super::sampling;
use super::secrets::Vault;
use super::snapshot::{Builder, Dirty, Inputs};
use super::stacks;
use super::yard;
use crate::backend::process::{ProcessBackend, ProcessOptions};
use crate::backend::simulated::{SimulatedBackend, SimulatedOptions};
use crate::config::{Config, Live, LoadOptions, OnHangup};
use crate::model::message::{EventKind, Level};
use crate::model::snapshot::PlatformInfo;
use crate::model::{InstanceRow, Stamp};
use crate::router::{Router, RouterEnds};
use crate::store::{Store, StoreError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Messages that wait for the actor; senders wait then, people are told that it is busy.
const MAILBOX: usize = 4096;
/// Calls that an earlier owner kept and the Traffic view begins with.
const RESTORED: u32 = 500;
/// How long after the deadline killed instances may take to be reaped.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// How to run a platform.
#[derive(Clone)]
pub struct StartOptions {
    /// Where everything runs; multi-thread.
    pub runtime: tokio::runtime::Handle,
    /// Our own program: built-in servers are started with it, and the helper that cleans up after us.
    pub program: PathBuf,
    /// Lives for one command line: nothing starts by itself, nothing is probed or stopped for being idle.
    pub momentary: bool,
    /// mcpdeck's own log goes here, too ([`Logs::layer`]).
    pub logs: Arc<Logs>,
    /// How the configuration is read again; `None`: never.
    pub reload: Option<LoadOptions>,
}

/// Why a platform cannot start, or not serve.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot create {path}: {reason}")]
    Folder { path: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running platform. Dropping it leaves it running; [`Platform::shutdown`] ends it.
pub struct Platform {
    pub handle: Handle,
    deck: Arc<Deck>,
    logs_written: CancellationToken,
    logs_done: oneshot::Receiver<()>,
}

/// Starts a platform. Returns within a few milliseconds: the store opens, secrets load and instances start behind it.
pub fn start(config: Arc<Config>, options: StartOptions) -> Result<Platform, StartError> {
    let folder = &config.paths.state;
    std::fs::create_dir_all(folder)
        .map_err(|e| StartError::Folder { path: folder.display().to_string(), reason: e.to_string() })?;
    let _runtime = options.runtime.enter();
    let (router, RouterEnds { demands, records, notes }) = Router::new();
    let (actor, mailbox) = mpsc::channel(MAILBOX);
    let (events, events_queue) = Events::new();
    let (consoles, changes) = Consoles::new();
    let plan = Plan::new(&config, []);
    let clock = Clock::start();
    let builder = first_snapshot(&config, &plan, &clock);
    let example = config.example_traffic.as_ref().is_some_and(|t| t.on) && !options.momentary;
    let engines = Engines::open(&config);
    let live = Live::new(config.clone());
    let again = options.reload.clone().filter(|_| config.source.is_some() && !options.momentary);
    let (reloads, asked) = Reloads::new(again);
    let deck = Arc::new(Deck {
        backends: backends(&config, &options, &engines, &clock),
        engines,
        reloads,
        gates: watch::Sender::default(),
        shut: watch::Sender::default(),
        container_usage: watch::Sender::default(),
        usage_history: Mutex::default(),
        left_behind: watch::Sender::default(),
        reconciled: watch::Sender::default(),
        vault: Vault::new(&config),
        principals: Arc::new(Principals::new(live.clone())),
        logs: options.logs.clone(),
        picture: Picture::new(builder.last().clone()),
        store: StoreCell::new(),
        gap: Default::default(),
        calls: Calls::new(),
        tasks: TaskTracker::new(),
        answering: TaskTracker::new(),
        closing: CancellationToken::new(),
        gpus_wanted: CancellationToken::new(),
        stop: CancellationToken::new(),
        asked: CancellationToken::new(),
        serving: CancellationToken::new(),
        example: watch::Sender::new(example),
        stop_by: OnceLock::new(),
        router,
        events,
        consoles,
        actor,
        clock,
        live,
        options,
    });
    let (durable, writes) = mpsc::channel(durable::QUEUE);
    let actor = Actor::new(deck.clone(), plan, builder, durable);
    deck.spawn("control", actor.run(Ends { mailbox, demands, notes }));
    deck.spawn("durable writes", until_stopped(&deck, durable::write(deck.clone(), writes)));
    deck.spawn("records", calls::record(deck.clone(), records));
    deck.spawn("keys in use", principals::keep_used(deck.clone()));
    deck.spawn("attached consoles", until_stopped(&deck, tell_consoles(deck.clone(), changes)));
    deck.spawn("shut addresses", until_stopped(&deck, tell_shut(deck.clone())));
    deck.spawn("loading", load(deck.clone(), events_queue));
    deck.spawn("reload", until_stopped(&deck, reload::run(deck.clone(), asked)));
    deck.spawn("gates", until_stopped(&deck, stacks::gates::follow(deck.clone())));
    deck.spawn("gpus", until_stopped(&deck, gpus::follow::follow(deck.clone())));
    deck.spawn("yard", until_stopped(&deck, yard::follow(deck.clone())));
    deck.spawn("usage", until_stopped(&deck, sample(deck.clone())));
    if !deck.options.momentary {
        deck.spawn("container logs", until_stopped(&deck, logs::keep(deck.clone())));
        if let Some(traffic) = deck.config().example_traffic.clone() {
            deck.spawn("example traffic", until_stopped(&deck, example::run(deck.clone(), traffic)));
        }
    }
    let (logs_written, logs_done) = write_logs(&deck);
    Ok(Platform { handle: Handle::new(Arc::new(Local::new(deck.clone()))), deck, logs_written, logs_done })
}

/// One command line is sampled for only if it looks.
async fn sample(deck: Arc<Deck>) {
    let mut interest = deck.consoles.version();
    while deck.options.momentary && !deck.consoles.interest().watching {
        if interest.changed().await.is_err() {
            return;
        }
    }
    sampling::sample(deck).await;
}

impl Platform {
    /// Waits until the store is open and the router serves; the error if that cannot be.
    pub async fn ready(&self) -> Result<(), StartError> {
        self.deck.store.get().await?;
        self.deck.serving.cancelled().await;
        Ok(())
    }

    /// Waits until an operator gives the shutdown command.
    pub async fn asked_to_stop(&self) {
        self.deck.asked.cancelled().await;
    }

    /// Refuses new calls and acts, lets calls in flight end, stops every instance, flushes and closes; all of it before
    /// `deadline` but for what must be killed then. Returns what did not end in time.
    pub async fn shutdown(self, deadline: Duration) -> Vec<String> {
        let deck = &self.deck;
        let by = Instant::now() + deadline;
        deck.closing.cancel();
        deck.consoles.end();
        let _ = deck.stop_by.set(by);
        let drained = Instant::now() + deadline / 3;
        while !deck.router.pending().is_empty() && Instant::now() < drained {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        deck.answering.close();
        // Those that are left are told that the platform has ended.
        let _ = tokio::time::timeout_at(drained, deck.answering.wait()).await;
        let mut left = Vec::new();
        if !stop_instances(deck, by).await {
            let live = |row: &&Arc<InstanceRow>| row.state.is_live();
            left = deck.picture.get().instances.iter().filter(live).map(|row| row.key.to_string()).collect();
        }
        deck.stop.cancel();
        deck.tasks.close();
        let _ = tokio::time::timeout(KILL_GRACE, deck.tasks.wait()).await;
        if let Ok(store) = deck.store.get().await {
            store.close().await;
        }
        self.logs_written.cancel();
        let _ = tokio::time::timeout(KILL_GRACE, self.logs_done).await;
        left
    }
}

/// Stops in stages, and kills at the deadline; false if something is left all the same.
async fn stop_instances(deck: &Arc<Deck>, by: Instant) -> bool {
    let (done, gone) = oneshot::channel();
    deck.tell(Msg::StopAll { reason: "shutting down".to_owned(), done }).await;
    let mut gone = gone;
    if tokio::time::timeout_at(by, &mut gone).await.is_ok() {
        return true;
    }
    deck.tell(Msg::KillAll).await;
    tokio::time::timeout(KILL_GRACE, gone).await.is_ok()
}

fn backends(config: &Config, options: &StartOptions, engines: &Engines, clock: &Clock) -> Backends {
    let state_dir = config.paths.state.clone();
    let process = ProcessOptions { state_dir, helper: options.program.clone(), cgroups: true };
    let simulated = SimulatedBackend::new(SimulatedOptions::default());
    let docker = engines.backend(&config.platform.name, &clock.boot_label());
    Backends {
        process: Arc::new(ProcessBackend::new(process)),
        simulated: Arc::new(simulated),
        docker: Arc::new(docker),
    }
}

/// What a snapshot says of the platform itself.
pub(super) fn info(config: &Config, clock: &Clock) -> PlatformInfo {
    PlatformInfo {
        name: config.platform.name.clone(),
        environment: config.platform.environment,
        read_only: config.platform.read_only,
        guards: config.guards.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        boot: clock.booted,
        config: config.source.as_ref().map(|path| path.display().to_string()),
        socket: config.paths.socket.display().to_string(),
        state_dir: config.paths.state.display().to_string(),
        example_traffic: config.example_traffic.as_ref().map(|t| t.on),
        keeps_running: config.platform.on_hangup == OnHangup::Keep,
        open_to: config.api.open_to(),
        gateway: config.api.gateway(),
        warnings: config.warnings.iter().map(|w| format!("{}:{}: {}: {}", w.file, w.line, w.key, w.message)).collect(),
        config_trouble: None,
    }
}

/// What can be shown before anything is known but the config.
fn first_snapshot(config: &Config, plan: &Plan, clock: &Clock) -> Builder {
    let platform = Arc::new(info(config, clock));
    let row = |(key, place): (&crate::model::InstanceKey, &super::plan::Placement)| {
        let mut row = InstanceRow::new(key.clone(), *place, clock.booted);
        row.reason = "never started yet".to_owned();
        (key.clone(), row)
    };
    let instances = plan.instances().iter().map(row).collect();
    let mut builder = Builder::new(platform.clone());
    let inputs = Inputs {
        now: Stamp::now(),
        plan,
        instances: &instances,
        figures: &Default::default(),
        pending: &[],
        tools: &HashMap::new(),
        platform: &platform,
        jobs: Vec::new(),
        secrets: Vec::new(),
        consoles: Vec::new(),
        host: &Arc::default(),
        yard: &Default::default(),
        rate_history: &[],
        store_error: None,
        conditions: &Default::default(),
    };
    builder.build(Dirty { all: true, ..Dirty::default() }, inputs);
    builder
}

/// Opens the store, takes what it remembers, and goes on writing events. Without a store nothing is served: whom an
/// operator has disabled could not be known.
async fn load(deck: Arc<Deck>, events: mpsc::Receiver<crate::model::Event>) {
    let config = deck.config().store.clone();
    let opened = tokio::task::spawn_blocking(move || crate::store::open(&config)).await;
    let remembered = match opened.unwrap_or(Err(StoreError::Closed)) {
        Ok(store) => remembered(&deck, &*store).await.map(|loaded| (store, loaded)),
        Err(error) => Err(error),
    };
    let (store, loaded) = match remembered {
        Ok(both) => both,
        Err(error) => {
            deck.store.set(Err(error));
            deck.tell(Msg::Consoles).await;
            return;
        }
    };
    deck.store.set(Ok(store.clone()));
    deck.tell(Msg::Loaded(Box::new(loaded))).await;
    if !deck.options.momentary {
        if let Err(why) = deck.principals.load_tokens(&deck.vault).await {
            deck.events.notice(Level::Error, format!("no token is good: {why}"));
        }
        deck.vault.load_all().await;
        yard::look_for_processes(&deck).await;
    }
    let failed = |error: &StoreError| deck.store.failed(error);
    events::write(deck.events.clone(), events, store, deck.stop.clone(), failed).await;
}

async fn remembered(deck: &Deck, store: &dyn Store) -> Result<Loaded, StoreError> {
    deck.calls.restore(store.calls(None, false, RESTORED).await?);
    deck.principals.load(store).await?;
    Ok(Loaded { enablement: store.enablement().await?, marks: store.marks().await?, hints: store.era_hints().await? })
}

/// Where the gateway cannot listen asks for attention.
async fn tell_shut(deck: Arc<Deck>) {
    let mut shut = deck.shut.subscribe();
    while shut.changed().await.is_ok() {
        deck.tell(Msg::Shut).await;
    }
}

/// Consoles that come and go are events, and rows.
async fn tell_consoles(deck: Arc<Deck>, mut changes: mpsc::Receiver<Change>) {
    let mut version = deck.consoles.version();
    loop {
        tokio::select! {
            Some(change) = changes.recv() => {
                deck.events.emit(EventKind::Attached { operator: change.operator, on: change.on });
            }
            changed = version.changed() => if changed.is_err() { return },
        }
        deck.tell(Msg::Consoles).await;
    }
}

fn until_stopped<W: Future<Output = ()> + Send>(deck: &Arc<Deck>, work: W) -> impl Future<Output = ()> + Send + use<W> {
    let stop = deck.stop.clone();
    async move {
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Log files are written until everything else has ended.
fn write_logs(deck: &Arc<Deck>) -> (CancellationToken, oneshot::Receiver<()>) {
    let stopped = CancellationToken::new();
    let (done, ended) = oneshot::channel();
    if !deck.options.momentary {
        let writing = deck.logs.write_files(deck.config().paths.logs.clone(), stopped.clone());
        deck.options.runtime.spawn(async move {
            writing.await;
            let _ = done.send(());
        });
    }
    (stopped, ended)
}
