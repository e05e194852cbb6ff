//! Reloading: reads the files again and lets the actor take them over, whole or not at all. One at a time; who asks
//! meanwhile waits. What cannot be taken over is told, and what runs goes on as it is.

mod watch;

use super::actor::{Actor, Msg};
use super::deck::Deck;
use super::platform;
use crate::config::{self, Config, LoadOptions, Problem, Watched};
use crate::model::message::{JobOutcome, Level};
use crate::model::reload::{ConfigTrouble, ReloadPlan};
use crate::model::{InstanceRow, JobId, Refusal, Stamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Reloads that wait; more are refused.
const WAITING: usize = 8;
/// Editors write a file in several steps, and tools several files.
const SETTLE: Duration = Duration::from_millis(200);

/// Where reloads are asked for.
pub struct Reloads {
    asks: mpsc::Sender<JobId>,
    options: Option<LoadOptions>,
}

/// What the files say now.
pub struct Read {
    pub config: Result<Arc<Config>, Vec<Problem>>,
    /// Who asked; `None`: the files changed.
    pub job: Option<JobId>,
    /// Told when it is taken over, or is not.
    pub done: oneshot::Sender<()>,
}

impl Reloads {
    /// Without options nothing can be read again: a command line of its own, or the embedded default.
    pub fn new(options: Option<LoadOptions>) -> (Self, mpsc::Receiver<JobId>) {
        let (asks, asked) = mpsc::channel(WAITING);
        (Self { asks, options }, asked)
    }

    /// Begins a reload for this job, unless that cannot be.
    pub fn ask(&self, job: JobId) -> Result<(), String> {
        self.can()?;
        self.asks.try_send(job).map_err(|_| format!("{WAITING} reloads wait already"))
    }

    fn can(&self) -> Result<&LoadOptions, String> {
        self.options.as_ref().ok_or_else(|| "this platform has no configuration file to read again".to_owned())
    }
}

/// Serves reloads until it is dropped.
pub async fn run(deck: Arc<Deck>, mut asked: mpsc::Receiver<JobId>) {
    let Some(options) = deck.reloads.options.clone() else { return };
    // What was read by now may have changed since: the first reading says what is watched.
    let (_, mut watched) = read(&options).await;
    let mut seen = fingerprint(&watched).await;
    let mut watch = deck.config().platform.watch.then(watch::Watch::new);
    loop {
        if let Some(watch) = &mut watch
            && let Err(why) = watch.follow(&watched)
        {
            tracing::warn!("changes of the configuration are not noticed: {why}; use `mcpdeck reload`");
        }
        let job = tokio::select! {
            Some(job) = asked.recv() => Some(job),
            () = changed(&mut watch) => {
                tokio::time::sleep(SETTLE).await;
                let now = fingerprint(&watched).await;
                if now == seen {
                    continue;
                }
                None
            }
            else => return,
        };
        let (config, files) = read(&options).await;
        watched = files;
        seen = fingerprint(&watched).await;
        let (done, taken) = oneshot::channel();
        deck.tell(Msg::Reload(Box::new(Read { config, job, done }))).await;
        // Dropped by an actor that is gone.
        let _ = taken.await;
        let wanted = deck.config().platform.watch;
        if wanted != watch.is_some() {
            watch = wanted.then(watch::Watch::new);
        }
    }
}

async fn changed(watch: &mut Option<watch::Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

type Loaded = (Result<Arc<Config>, Vec<Problem>>, Watched);

async fn read(options: &LoadOptions) -> Loaded {
    let options = options.clone();
    let read = tokio::task::spawn_blocking(move || config::load_watched(&options)).await;
    let (config, watched) = read.unwrap_or_else(|_| (Err(Vec::new()), Watched::default()));
    (config.map(Arc::new), watched)
}

async fn fingerprint(watched: &Watched) -> u64 {
    let watched = watched.clone();
    tokio::task::spawn_blocking(move || watched.fingerprint()).await.unwrap_or_default()
}

/// What a reload would do now.
pub async fn dry_run(deck: &Deck) -> Result<ReloadPlan, Refusal> {
    let options = deck.reloads.can().map_err(Refusal::Refused)?;
    Ok(match read(options).await.0 {
        Ok(new) => plan(&deck.config(), &new, &deck.picture.get().instances),
        Err(problems) => broken(&problems),
    })
}

fn broken(problems: &[Problem]) -> ReloadPlan {
    let told = |problem: &Problem| match &problem.help {
        Some(help) => format!("{}; {help}", problem.headline()),
        None => problem.headline(),
    };
    ReloadPlan { problems: problems.iter().map(told).collect(), ..ReloadPlan::default() }
}

/// The difference, and what it means for what runs.
fn plan(old: &Config, new: &Config, instances: &[Arc<InstanceRow>]) -> ReloadPlan {
    let mut plan = config::difference(old, new);
    let tenant = |config: &Config, row: &InstanceRow| {
        config.tenants.iter().find(|def| Some(&def.id) == row.key.tenant.as_ref()).cloned()
    };
    for row in instances.iter().filter(|row| row.state.is_live()) {
        let server = |config: &Config| config.servers.iter().find(|def| def.id == row.key.server).cloned();
        let (Some(before), after) = (server(old), server(new)) else { continue };
        let (owner, owner_then) = (tenant(old, row), tenant(new, row));
        match after {
            Some(after) if owner.is_some() == owner_then.is_some() && before.scope == after.scope => {
                if config::restarts((&before, owner.as_deref()), (&after, owner_then.as_deref())) {
                    plan.restarts.push(row.key.clone());
                }
            }
            _ => plan.ends.push(row.key.clone()),
        }
    }
    plan
}

impl Actor {
    /// The files were read again.
    pub(super) fn reload(&mut self, read: Read) {
        let Read { config, job, done } = read;
        let old = self.deck.config();
        let picture = self.deck.picture.get();
        let mut plan = match &config {
            Ok(new) => plan(&old, new, &picture.instances),
            Err(problems) => broken(problems),
        };
        if let Ok(new) = &config {
            plan.refused.extend(self.busy_stacks(new));
        }
        if self.deck.closing.is_cancelled() {
            self.reloaded(job, Err("the platform is shutting down".to_owned()));
        } else if let Some(first) = plan.trouble().cloned() {
            let more = plan.problems.len() + plan.refused.len() - 1;
            let since = self.conditions.config.as_ref().map_or_else(Stamp::now, |old| old.since);
            let trouble = ConfigTrouble { since, first, more: u32::try_from(more).unwrap_or(u32::MAX) };
            let text = format!("the configuration is not taken over, what ran before goes on: {trouble}");
            if self.conditions.config.as_ref() != Some(&trouble) {
                self.deck.events.notice(Level::Error, text.clone());
            }
            self.conditions.config = Some(trouble);
            self.show_config();
            self.reloaded(job, Err(text));
        } else if let Ok(new) = config {
            let text = summary(&plan);
            self.conditions.config = None;
            self.take_over(new);
            if plan.is_empty() {
                self.reloaded(job, Ok("nothing changed".to_owned()));
            } else {
                self.deck.events.notice(Level::Info, format!("the configuration was reloaded: {text}"));
                self.reloaded(job, Ok(text));
            }
        }
        // Whoever read may be gone.
        let _ = done.send(());
    }

    fn reloaded(&mut self, job: Option<JobId>, result: Result<String, String>) {
        let (outcome, message) = match result {
            Ok(message) => (JobOutcome::Ok, message),
            Err(message) => (JobOutcome::Failed, message),
        };
        if let Some(job) = job {
            self.finish(job, outcome, message);
        }
        self.mark();
    }

    /// From here on `new` holds for everything that asks.
    fn take_over(&mut self, new: Arc<Config>) {
        self.deck.live.set(new.clone());
        self.deck.vault.follow(&new);
        self.plan.follow(&new);
        self.fleet.follow_definitions(&self.plan, &new);
        self.follow_stacks(&new);
        self.replan();
        self.show_config();
        self.show_stacks();
        self.look_after();
        if self.deck.options.momentary {
            return;
        }
        self.autostart();
        let deck = self.deck.clone();
        self.deck.spawn("secrets", async move {
            deck.vault.load_new().await;
            if let Err(why) = deck.principals.load_tokens(&deck.vault).await {
                deck.events.notice(Level::Error, format!("no token is good: {why}"));
            }
        });
    }

    fn show_config(&mut self) {
        let config = self.deck.config();
        let now = platform::info(&config, &self.deck.clock);
        let before = &self.platform;
        self.platform = Arc::new(crate::model::snapshot::PlatformInfo {
            example_traffic: before.example_traffic,
            keeps_running: before.keeps_running,
            config_trouble: self.conditions.config.clone(),
            ..now
        });
    }
}

fn summary(plan: &ReloadPlan) -> String {
    let mut parts: Vec<String> = plan.changes.iter().take(SUMMED_UP).map(ToString::to_string).collect();
    if plan.changes.len() > SUMMED_UP {
        parts.push(format!("{} more", plan.changes.len() - SUMMED_UP));
    }
    let counted = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    parts.extend(counted(plan.restarts.len(), "running start anew between two calls"));
    parts.extend(counted(plan.ends.len(), "running end after their calls"));
    parts.extend(plan.later.iter().cloned());
    parts.join("; ")
}

/// Changes that one line names.
const SUMMED_UP: usize = 5;
