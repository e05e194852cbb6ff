//! The work on one part, in a task of its own: makes it run, waits until it is ready, and stays with it until it ends.
//! Tells the actor by [`Report`]s; decides nothing.

use super::WatchedLine;
use super::capacity;
use super::gates;
use super::life::Report;
use super::plan::is_part;
use super::ready::{Progress, probe, published};
use crate::backend::engine::{Engine, Found, Inventory, LogRange, RawLine};
use crate::control::actor::Msg;
use crate::control::deck::Deck;
use crate::control::gpus;
use crate::control::launch::container;
use crate::model::Stamp;
use crate::model::container::{ContainerHealth, ContainerKey, ContainerState, EngineState};
use crate::model::secret::Hidden;
use crate::model::stack::{PartDef, ReadyBy, StackDef};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A container that is there may take so long to appear in what its engine shows.
const APPEARS: Duration = Duration::from_secs(10);
/// What runs for so long counts as running.
const SETTLED: Duration = Duration::from_millis(500);
/// How often a start is looked at, and how often what is ready.
const STEP: Duration = Duration::from_millis(500);
const CHECK: Duration = Duration::from_secs(30);
/// An image without a health check has told nothing by then.
const HEALTH_APPEARS: Duration = Duration::from_secs(5);
/// A creation that is cancelled may go on for so long.
const LET_FINISH: Duration = Duration::from_secs(10);
/// A log that ends though its container runs is opened again no sooner.
const LOG_AGAIN: Duration = Duration::from_secs(5);
/// Lines of the log that a failure quotes, and how long they may take to be read.
const LAST_LINES: u32 = 3;
const LAST_LINES_TIME: Duration = Duration::from_secs(2);

/// One part of one stack, for one run.
pub struct Keeper {
    pub deck: Arc<Deck>,
    pub stack: Arc<StackDef>,
    /// Position of the part.
    pub at: usize,
    pub run: u32,
    /// Make it, or take up what runs.
    pub make: bool,
    /// Wait for a silent engine.
    pub patient: bool,
}

/// What a look at the container says.
enum Look {
    Runs(Arc<Found>),
    /// Exit code and why.
    Ended(Option<i64>, String),
    /// Its engine does not show it.
    Absent,
    /// Nobody knows now.
    Unknown,
}

impl Keeper {
    /// Works until the part has ended, or `cancel` fires; not before `earlier` work on the part is over.
    pub async fn work(self, earlier: Option<CancellationToken>, cancel: CancellationToken) {
        if let Some(earlier) = earlier {
            earlier.cancelled().await;
        }
        if let Err(why) = self.keep(&cancel).await {
            self.tell(Report::Failed(why)).await;
        }
    }

    fn part(&self) -> &PartDef {
        &self.stack.parts[self.at]
    }

    async fn tell(&self, report: Report) {
        self.deck.tell(Msg::Part { stack: self.stack.id.clone(), part: self.at, run: self.run, report }).await;
    }

    async fn say(&self, message: String, percent: Option<u8>) {
        self.tell(Report::Told { message, percent }).await;
    }

    async fn keep(&self, cancel: &CancellationToken) -> Result<(), String> {
        let engine = self.deck.engines.named(self.stack.engine.as_ref())?.clone();
        let mut inventory = engine.watch();
        let Some(answers) = cancel.run_until_cancelled(self.engine_answers(&mut inventory)).await else {
            return Ok(());
        };
        answers?;
        let there = if self.make {
            let Some(made) = self.make(&engine, cancel).await? else { return Ok(()) };
            made
        } else {
            let Some(running) = cancel.run_until_cancelled(self.running(&mut inventory)).await else { return Ok(()) };
            running?
        };
        cancel.run_until_cancelled(self.stay(engine, inventory, there)).await.unwrap_or(Ok(()))
    }

    /// With a container that runs, until it has ended.
    async fn stay(
        &self,
        engine: Arc<dyn Engine>,
        inventory: watch::Receiver<Arc<Inventory>>,
        there: There,
    ) -> Result<(), String> {
        let key = ContainerKey { engine: engine.id().clone(), id: there.id.as_str().into() };
        self.tell(Report::Container { key, fresh: there.started.is_some() }).await;
        let mut vigil = Vigil::new(self, engine, inventory, there);
        match vigil.until_ready().await {
            Ok(true) => {
                self.tell(Report::Done).await;
                return Ok(());
            }
            Ok(false) => self.tell(Report::Ready).await,
            Err(why) => return Err(vigil.with_last_lines(why).await),
        }
        let why = vigil.until_ended().await;
        let why = vigil.with_last_lines(why).await;
        self.tell(Report::Ended(why)).await;
        Ok(())
    }

    async fn engine_answers(&self, inventory: &mut watch::Receiver<Arc<Inventory>>) -> Result<(), String> {
        let up = |seen: &Arc<Inventory>| seen.state == EngineState::Up;
        let waited = timeout(APPEARS, inventory.wait_for(up)).await.is_ok();
        if waited {
            return Ok(());
        }
        let why = match &inventory.borrow().state {
            EngineState::Silent { reason, .. } | EngineState::Absent { reason } => reason.clone(),
            EngineState::Up | EngineState::Connecting => "no answer yet".to_owned(),
        };
        let why = format!("the engine does not answer: {why}");
        if !self.patient {
            return Err(why);
        }
        self.say(why, None).await;
        inventory.wait_for(up).await.map(drop).map_err(|_| "the engine is gone".to_owned())
    }

    /// Fills in, checks that it fits, and lets the engine make it. `None` if it was cancelled.
    async fn make(&self, engine: &Arc<dyn Engine>, cancel: &CancellationToken) -> Result<Option<There>, String> {
        let (deck, part) = (&self.deck, self.part());
        let config = deck.config();
        let router = match self.stack.wants_router() {
            true => Some(gates::prepare(&config, &self.stack, engine).await?),
            false => None,
        };
        let filled = container::part(&config, &deck.vault, deck.clock.booted, &self.stack, part, router).await?;
        let seen = engine.watch().borrow().clone();
        let before = seen.containers.iter().find(|f| is_part(f, &config.platform.name, &self.stack, part));
        let ran = before.filter(|found| found.state.is_live());
        if engine.is_here() && ran.is_none() && part.run.gpu.is_some() {
            self.say("asks the driver for its GPUs".to_owned(), None).await;
            gpus::known(deck).await;
        }
        if engine.is_here()
            && ran.is_none()
            && let Some(why) = capacity::refusal(part, &deck.picture.get(), 0)
        {
            return Err(why);
        }
        let began = Stamp::now();
        let name = container::part_name(&config.platform.name, self.stack.id.as_str(), &part.name);
        let (progress, mut told) = watch::channel(String::new());
        let mut deployed = engine.deploy(&name, filled.spec, part.limits.clone(), progress);
        let id = loop {
            tokio::select! {
                done = &mut deployed => break done.map_err(|error| error.to_string())?,
                () = cancel.cancelled() => {
                    // What the engine has begun is finished, so that whoever comes next finds it; a pull is not.
                    if let Ok(Ok(id)) = timeout(LET_FINISH, deployed).await {
                        let mut inventory = engine.watch();
                        let shown = |seen: &Arc<Inventory>| seen.containers.iter().any(|found| *found.id == *id);
                        let _ = timeout(APPEARS, inventory.wait_for(shown)).await;
                    }
                    return Ok(None);
                }
                Ok(()) = told.changed() => {
                    let message = told.borrow_and_update().clone();
                    self.say(message, None).await;
                }
            }
        };
        let same = |found: &&Arc<Found>| *found.id == *id;
        Ok(Some(There {
            started: ran.filter(same).is_none().then_some(began),
            ended_before: before.filter(same).filter(|found| !found.state.is_live()).map(|found| found.since),
            hidden: filled.hidden,
            id,
        }))
    }

    /// The container that an earlier owner left running.
    async fn running(&self, inventory: &mut watch::Receiver<Arc<Inventory>>) -> Result<There, String> {
        let (config, part) = (self.deck.config(), self.part());
        let runs = |seen: &Arc<Inventory>| {
            let ours = |found: &&Arc<Found>| is_part(found, &config.platform.name, &self.stack, part);
            seen.containers.iter().filter(ours).find(|found| found.state.is_live()).map(|found| found.id.to_string())
        };
        let waited = timeout(APPEARS, inventory.wait_for(|seen| runs(seen).is_some())).await;
        let id = waited.ok().and_then(Result::ok).and_then(|seen| runs(&seen)).ok_or("it does not run")?;
        // What it was given may be gone by now; then there is nothing to mask that is known.
        let (vault, boot) = (&self.deck.vault, self.deck.clock.booted);
        // Where the router is, is no secret.
        let router = Some(String::new());
        let filled = container::part(&config, vault, boot, &self.stack, part, router).await;
        Ok(There { id, started: None, ended_before: None, hidden: filled.map(|f| f.hidden).unwrap_or_default() })
    }
}

/// A container that is there.
struct There {
    id: String,
    /// When we started it; `None`: it ran already.
    started: Option<Stamp>,
    /// When it ended before we started it again: as long as the engine shows that, it shows the past.
    ended_before: Option<Stamp>,
    hidden: Hidden,
}

/// Watching over one container.
struct Vigil<'k> {
    keeper: &'k Keeper,
    engine: Arc<dyn Engine>,
    inventory: watch::Receiver<Arc<Inventory>>,
    there: There,
    begun: Instant,
    began: Stamp,
    progress: Progress,
    /// Its log, if anything in it matters; the time of the last line for when it is opened again.
    log: Option<mpsc::Receiver<RawLine>>,
    heard: Option<Stamp>,
    log_again: Instant,
    log_says_ready: bool,
    seen: bool,
}

/// What a wait brought.
enum Happened {
    Changed,
    Line(RawLine),
    LogEnded,
    Time,
}

impl<'k> Vigil<'k> {
    fn new(
        keeper: &'k Keeper,
        engine: Arc<dyn Engine>,
        inventory: watch::Receiver<Arc<Inventory>>,
        there: There,
    ) -> Self {
        Self {
            keeper,
            engine,
            inventory,
            there,
            begun: Instant::now(),
            began: Stamp::now(),
            progress: Progress::default(),
            log: None,
            heard: None,
            log_again: Instant::now(),
            log_says_ready: false,
            seen: false,
        }
    }

    fn part(&self) -> &'k PartDef {
        self.keeper.part()
    }

    /// True if it has done its work and ended, false if it serves.
    async fn until_ready(&mut self) -> Result<bool, String> {
        let part = self.part();
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running_since = None;
        loop {
            match self.look() {
                Look::Ended(Some(0), _) if part.ready.by == ReadyBy::Done => return Ok(true),
                Look::Ended(_, why) => return Err(why),
                Look::Runs(found) => {
                    self.open_log();
                    let since = *running_since.get_or_insert_with(Instant::now);
                    if self.is_ready(&found, since).await? {
                        return Ok(false);
                    }
                }
                Look::Absent if self.begun.elapsed() > APPEARS => {
                    return Err("the engine made it and does not show it".to_owned());
                }
                Look::Absent | Look::Unknown => {}
            }
            if self.begun.elapsed() >= part.ready.timeout {
                let waited = self.progress.message(part, self.begun.elapsed());
                return Err(format!("not ready within {} s: {waited}", part.ready.timeout.as_secs()));
            }
            match self.next(&mut ticks).await {
                Happened::Line(line) => self.read(&line).await,
                Happened::Time => {
                    let message = self.progress.message(part, self.begun.elapsed());
                    self.keeper.say(message, self.progress.percent).await;
                }
                Happened::LogEnded | Happened::Changed => {}
            }
        }
    }

    async fn is_ready(&self, found: &Found, since: Instant) -> Result<bool, String> {
        let settled = since.elapsed() >= SETTLED;
        Ok(match &self.part().ready.by {
            ReadyBy::Running => settled && found.state == ContainerState::Running,
            ReadyBy::Log(_) => self.log_says_ready,
            ReadyBy::Done => false,
            ReadyBy::Health if found.health.is_none() && since.elapsed() > HEALTH_APPEARS => {
                return Err("its image has no health check: say otherwise when it is ready".to_owned());
            }
            ReadyBy::Health => found.health == Some(ContainerHealth::Healthy),
            ReadyBy::Http { port, path } => match published(found, *port) {
                Some(address) => probe(&address, path).await.is_ok(),
                None => false,
            },
        })
    }

    /// Watches what is ready; why it ended.
    async fn until_ended(&mut self) -> String {
        let mut ticks = interval(CHECK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unwell: Option<String> = None;
        // What the last probe found.
        let mut silent = None;
        loop {
            let found = match self.look() {
                Look::Ended(_, why) => return why,
                Look::Runs(found) => {
                    self.open_log();
                    Some(found)
                }
                Look::Absent | Look::Unknown => None,
            };
            if let Some(found) = &found {
                let sick = sickness(found).or_else(|| silent.clone());
                match &sick {
                    Some(why) if sick != unwell => self.keeper.tell(Report::Unwell(why.clone())).await,
                    None if unwell.is_some() => self.keeper.tell(Report::Well).await,
                    _ => {}
                }
                unwell = sick;
            }
            match (self.next(&mut ticks).await, &found) {
                (Happened::Line(line), _) => self.read(&line).await,
                (Happened::Time, Some(found)) if found.state == ContainerState::Running => {
                    silent = self.silence(found).await;
                }
                _ => {}
            }
        }
    }

    /// Why it does not answer, if that is how it shows that it serves.
    async fn silence(&self, found: &Found) -> Option<String> {
        let ReadyBy::Http { port, path } = &self.part().ready.by else { return None };
        probe(&published(found, *port)?, path).await.err()
    }

    async fn next(&mut self, ticks: &mut tokio::time::Interval) -> Happened {
        let line = async {
            match &mut self.log {
                Some(log) => log.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.inventory.changed() => {
                if changed.is_err() {
                    // The engine is closed: the platform ends.
                    sleep(CHECK).await;
                }
                Happened::Changed
            }
            line = line => match line {
                Some(line) => Happened::Line(line),
                None => {
                    self.log = None;
                    Happened::LogEnded
                }
            },
            _ = ticks.tick() => Happened::Time,
        }
    }

    fn look(&mut self) -> Look {
        let seen = self.inventory.borrow_and_update().clone();
        let found = seen.containers.iter().find(|found| *found.id == *self.there.id);
        match found {
            _ if seen.state != EngineState::Up => Look::Unknown,
            Some(found) => {
                self.seen = true;
                match found.state {
                    _ if !found.state.is_live() && self.there.ended_before == Some(found.since) => Look::Unknown,
                    ContainerState::Exited | ContainerState::Dead | ContainerState::Removing => ended(found),
                    ContainerState::Created => Look::Unknown,
                    _ => Look::Runs(found.clone()),
                }
            }
            None if self.seen => Look::Ended(None, "it was removed by somebody else".to_owned()),
            None => Look::Absent,
        }
    }

    fn wants_log(&self) -> bool {
        let part = self.part();
        !part.watch.is_empty() || !part.ready.progress.is_empty() || matches!(part.ready.by, ReadyBy::Log(_))
    }

    /// From where we started it, or stopped reading. Of what ran already, all that it said tells whether it is ready.
    fn open_log(&mut self) {
        if self.log.is_none() && self.wants_log() && self.log_again <= Instant::now() {
            let since = self.heard.or(self.there.started);
            self.log = Some(self.engine.logs(&self.there.id, LogRange { tail: None, since, follow: true }));
            self.log_again = Instant::now() + LOG_AGAIN;
        }
    }

    async fn read(&mut self, line: &RawLine) {
        let part = self.part();
        self.heard = Some(line.at);
        self.progress.read(part, &line.text);
        if let ReadyBy::Log(text) = &part.ready.by {
            self.log_says_ready |= line.text.contains(text.as_str());
        }
        let pattern = part.watch.iter().find(|pattern| line.text.contains(pattern.as_str()));
        if let Some(pattern) = pattern.filter(|_| line.at >= self.began) {
            let line = WatchedLine {
                stack: self.keeper.stack.id.clone(),
                part: part.name.clone(),
                pattern: pattern.clone(),
                line: self.there.hidden.mask(line.text.trim()).0.into_owned(),
                at: line.at,
                times: 1,
            };
            self.keeper.deck.tell(Msg::Watched(line)).await;
        }
    }

    /// `why`, and what it said last.
    async fn with_last_lines(&self, why: String) -> String {
        let mut log = self.engine.logs(&self.there.id, LogRange { tail: Some(LAST_LINES), since: None, follow: false });
        let mut lines = Vec::new();
        let read = async {
            while let Some(line) = log.recv().await {
                lines.push(self.there.hidden.mask(line.text.trim()).0.into_owned());
            }
        };
        // What was read until then is shown.
        let _ = timeout(LAST_LINES_TIME, read).await;
        lines.retain(|line| !line.is_empty());
        if lines.is_empty() { why } else { format!("{why}; it said: {}", lines.join(" | ")) }
    }
}

/// Why it runs and does not serve, as far as its engine tells.
fn sickness(found: &Found) -> Option<String> {
    if found.state == ContainerState::Paused {
        return Some("it is paused".to_owned());
    }
    (found.health == Some(ContainerHealth::Unhealthy)).then(|| "its health check fails".to_owned())
}

fn ended(found: &Found) -> Look {
    let why = match (found.oom, found.exit_code) {
        (true, _) => match found.memory_limit {
            Some(bytes) => format!("killed for memory at its limit of {} MiB", bytes >> 20),
            None => "killed for memory; it has no limit of its own, so the machine ran out".to_owned(),
        },
        (false, Some(137)) => "exited 137 (killed)".to_owned(),
        (false, Some(code)) => format!("exited {code}"),
        (false, None) => "ended".to_owned(),
    };
    Look::Ended(found.exit_code, why)
}
