//! Stacks: deployed, kept and taken down. The actor owns their lives and the rows that show them; work on a part runs in
//! a task of its own ([`keep`]). A stack outlives us: what runs is recognised by its labels when we come back.

mod capacity;
pub mod gates;
mod keep;
pub mod life;
pub mod plan;
mod ready;
mod rows;

use super::actor::{Actor, Msg};
use super::adopted;
use super::deck::Deck;
use crate::config::Config;
use crate::model::container::{Adopt, Claim, ContainerAct, ContainerKey, ContainerRow, EngineId, EngineState};
use crate::model::message::{JobOutcome, Level};
use crate::model::server::Settings;
use crate::model::stack::{ReadyBy, StackDef};
use crate::model::{JobId, Refusal, StackId, Stamp};
use keep::Keeper;
use life::{Effect, Event, Life, Now, Report, There};
use rows::Stopped;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long adopted containers may take to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long the removal of a stopped one may take.
const REMOVE: Duration = Duration::from_secs(60);

/// All stacks of the platform.
pub struct Stacks {
    slots: BTreeMap<StackId, Slot>,
    /// Engines on which it was looked for what runs since an earlier owner.
    recognised: BTreeSet<EngineId>,
    /// Adopted containers that operators stopped; those that are gone are forgotten.
    stopped: BTreeMap<ContainerKey, Stopped>,
}

struct Slot {
    life: Life,
    work: Vec<Option<Work>>,
}

/// Work on one part.
#[derive(Clone)]
struct Work {
    cancel: CancellationToken,
    done: CancellationToken,
}

/// A line in the log of a part that asks for attention.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedLine {
    pub stack: StackId,
    pub part: String,
    pub pattern: String,
    pub line: String,
    pub at: Stamp,
    pub times: u32,
}

impl Stacks {
    pub fn new(stacks: &[Arc<StackDef>]) -> Self {
        let slot = |def: &Arc<StackDef>| (def.id.clone(), Slot::new(def));
        Self { slots: stacks.iter().map(slot).collect(), recognised: BTreeSet::new(), stopped: BTreeMap::new() }
    }
}

/// The same, wherever it stands.
fn same(a: &StackDef, b: &StackDef) -> bool {
    StackDef { defined_at: String::new(), ..a.clone() } == StackDef { defined_at: String::new(), ..b.clone() }
}

impl Slot {
    fn new(def: &Arc<StackDef>) -> Self {
        let life = Life::new(def.clone(), Settings::default().restart);
        Self { work: life.parts.iter().map(|_| None).collect(), life }
    }

    /// One of another definition. What is still being ended on its parts is waited for, and no longer listened to.
    fn after(old: &Self, def: &Arc<StackDef>) -> Self {
        let mut slot = Self::new(def);
        for (at, part) in def.parts.iter().enumerate() {
            let before = old.life.def.parts.iter().position(|old| old.name == part.name);
            let Some(before) = before else { continue };
            slot.work[at].clone_from(&old.work[before]);
            slot.life.parts[at].run = old.life.parts[before].run;
        }
        slot
    }

    fn end_all(&mut self) {
        for part in 0..self.work.len() {
            self.end(part);
        }
    }

    /// Ends the work on a part; the token fires when it is over.
    fn end(&mut self, part: usize) -> Option<CancellationToken> {
        let work = self.work[part].take()?;
        work.cancel.cancel();
        // What comes next waits for it, so it stays known.
        let done = work.done.clone();
        self.work[part] = Some(work);
        Some(done)
    }

    fn begin(&mut self, part: usize) -> (CancellationToken, CancellationToken) {
        let work = Work { cancel: CancellationToken::new(), done: CancellationToken::new() };
        let tokens = (work.cancel.clone(), work.done.clone());
        self.work[part] = Some(work);
        tokens
    }
}

impl Actor {
    /// `Err` if the stack cannot be deployed or taken down now.
    pub(super) fn accept_stack(&self, id: &StackId, undeploy: bool) -> Result<(), Refusal> {
        plan::stack(&self.deck, id)?;
        if undeploy {
            return Ok(());
        }
        if let Some(job) = self.stacks.slots.get(id).and_then(|slot| slot.life.job) {
            return Err(Refusal::Busy(format!("{id} is being worked on ({job}); cancel that first, or wait")));
        }
        plan::refusal(&self.deck, id)?.map_or(Ok(()), |why| Err(Refusal::Refused(why)))
    }

    pub(super) fn deploy(&mut self, job: Option<JobId>, id: &StackId) {
        match self.adopts(id) {
            Some(adopt) => self.start_adopted(job, adopt),
            None => self.stack_event(id, Event::Deploy(job)),
        }
    }

    pub(super) fn undeploy(&mut self, job: JobId, id: &StackId) {
        self.conditions.watched.retain(|line| line.stack != *id);
        let by = self.jobs.act(job).map(|act| act.operator.name.clone()).unwrap_or_default();
        self.stopped_by(&by, |row| row.owner.stack.as_ref() == Some(id));
        match self.adopts(id) {
            Some(adopt) => self.stop_adopted(job, adopt),
            None => self.stack_event(id, Event::Undeploy(job)),
        }
    }

    fn adopts(&self, id: &StackId) -> Option<Adopt> {
        self.stacks.slots.get(id)?.life.def.adopt.clone()
    }

    fn start_adopted(&mut self, job: Option<JobId>, adopt: Adopt) {
        let deck = self.deck.clone();
        self.deck.spawn("adopted stack", async move {
            let result = adopted::start(&deck, &adopt, |what| {
                let deck = deck.clone();
                async move {
                    if let Some(job) = job {
                        deck.tell(Msg::Said { job, message: what }).await;
                    }
                }
            });
            let result = result.await.map(|_| "it runs".to_owned());
            match (job, result) {
                (Some(job), result) => drop(deck.tell(Msg::Ended { job, result }).await),
                (None, Err(why)) => deck.events.notice(Level::Warn, why),
                (None, Ok(_)) => {}
            }
        });
    }

    fn stop_adopted(&mut self, job: JobId, adopt: Adopt) {
        let deck = self.deck.clone();
        self.deck.spawn("adopted stack", async move {
            let result = adopted::stop(&deck, &adopt, false, GRACE).await;
            deck.tell(Msg::Ended { job, result: result.map(|()| "stopped; it is adopted and stays".to_owned()) }).await;
        });
    }

    /// Stacks that are to run with the platform.
    pub(super) fn autostart_stacks(&mut self) {
        let wanted: Vec<_> =
            self.deck.config().stacks.iter().filter(|def| def.autostart).map(|def| def.id.clone()).collect();
        for id in wanted {
            self.deploy(None, &id);
        }
    }

    /// Stacks that other definitions would change while they are being worked on.
    pub(super) fn busy_stacks(&self, new: &Config) -> Vec<String> {
        let busy = self.stacks.slots.iter().filter(|(_, slot)| slot.life.job.is_some());
        let changed =
            busy.filter(|(id, slot)| !new.stacks.iter().any(|def| def.id == **id && same(def, &slot.life.def)));
        changed.map(|(id, _)| format!("stack {id} changes and is being worked on: reload when that is done")).collect()
    }

    /// Other definitions hold now. What runs goes on: a changed stack is kept as it stands until it is deployed again, one
    /// that is no longer defined is let go, and its containers are orphans.
    pub(super) fn follow_stacks(&mut self, new: &Config) {
        let mut before = std::mem::take(&mut self.stacks.slots);
        let mut running: Vec<StackId> = Vec::new();
        for def in &new.stacks {
            let old = before.remove(&def.id);
            let slot = match old {
                Some(old) if same(def, &old.life.def) => old,
                Some(mut old) => {
                    let up = old.life.up;
                    old.end_all();
                    running.extend(up.then(|| def.id.clone()));
                    Slot::after(&old, def)
                }
                None => Slot::new(def),
            };
            self.stacks.slots.insert(def.id.clone(), slot);
        }
        for (id, mut gone) in before {
            gone.end_all();
            if gone.life.up {
                let text = format!("stack {id} is no longer defined: what runs of it goes on as orphans");
                self.deck.events.notice(Level::Warn, text);
            }
        }
        let mut there = self.there(|_| true);
        for id in running {
            self.stack_event(&id, Event::Found(there.remove(&id).unwrap_or_default()));
        }
    }

    /// The job of a stack was cancelled.
    pub(super) fn cancel_stack_job(&mut self, job: JobId, by: &str) {
        let with_job = self.stacks.slots.iter().find(|(_, slot)| slot.life.job == Some(job));
        if let Some(id) = with_job.map(|(id, _)| id.clone()) {
            self.stack_event(&id, Event::Cancel { job, why: format!("cancelled by {by}") });
        }
    }

    /// An operator acts on the container of a part: what was stopped so is not started again by us.
    pub(super) fn hold_part(&mut self, container: &ContainerKey, act: ContainerAct, by: &str) {
        if matches!(act, ContainerAct::Stop | ContainerAct::Kill) {
            self.stopped_by(by, |row| row.key == *container);
        }
        let mut rows = self.yard.containers.iter();
        let row = rows.find(|row| row.key == *container && row.owner.claim == Claim::Ours);
        let Some((id, part)) = row.and_then(|row| self.part_of(row)) else { return };
        match act {
            ContainerAct::Stop => self.stack_event(&id, Event::Hold { part, why: format!("stopped by {by}") }),
            ContainerAct::Start | ContainerAct::Restart => self.stack_event(&id, Event::Resume(part)),
            ContainerAct::Kill | ContainerAct::Pause | ContainerAct::Unpause => {}
        }
    }

    fn stopped_by(&mut self, by: &str, is: impl Fn(&ContainerRow) -> bool) {
        let rows = &self.yard.containers;
        self.stacks.stopped.retain(|key, _| rows.iter().any(|row| row.key == *key));
        let adopted = rows.iter().filter(|row| row.owner.claim == Claim::Adopted && is(row));
        let stopped = adopted.map(|row| (row.key.clone(), Stopped { by: by.to_owned(), at: Stamp::now() }));
        self.stacks.stopped.extend(stopped);
    }

    pub(super) fn part_report(&mut self, id: &StackId, part: usize, run: u32, report: Report) {
        if let Report::Container { fresh: true, .. } = report
            && let Some(slot) = self.stacks.slots.get(id)
            && let Some(def) = slot.life.def.parts.get(part)
        {
            // What an earlier run of it said is over; what goes on running has still said it.
            self.conditions.watched.retain(|line| line.stack != *id || line.part != def.name);
        }
        self.stack_event(id, Event::Part { part, run, report });
    }

    /// A line asks for attention.
    pub(super) fn watched(&mut self, line: WatchedLine) {
        let same =
            |old: &&mut WatchedLine| old.stack == line.stack && old.part == line.part && old.pattern == line.pattern;
        if let Some(old) = self.conditions.watched.iter_mut().find(same) {
            (old.line, old.at, old.times) = (line.line, line.at, old.times.saturating_add(1));
            return;
        }
        let text = format!("part {} of stack {} said: {}", line.part, line.stack, line.line);
        self.deck.events.notice(Level::Error, text);
        // One line a pattern and part: the config bounds them.
        self.conditions.watched.push(line);
    }

    fn stack_event(&mut self, id: &StackId, event: Event) {
        let now = Now { at: self.deck.clock.now(), stamp: Stamp::now() };
        let Some(slot) = self.stacks.slots.get_mut(id) else { return };
        let effects = slot.life.apply(now, event);
        for effect in effects {
            self.stack_effect(id, effect);
        }
        self.show_stacks();
    }

    fn stack_effect(&mut self, id: &StackId, effect: Effect) {
        let deck = self.deck.clone();
        let Some(slot) = self.stacks.slots.get_mut(id) else { return };
        let def = slot.life.def.clone();
        match effect {
            // What ends while everything ends is not started again.
            Effect::Keep { .. } | Effect::Retry { .. } if deck.closing.is_cancelled() => {}
            Effect::Keep { part, run, make, patient } => {
                let earlier = slot.end(part);
                let (cancel, done) = slot.begin(part);
                let keeper = Keeper { deck, stack: def, at: part, run, make, patient };
                self.deck.spawn("stack part", async move {
                    let _done = done.drop_guard();
                    keeper.work(earlier, cancel).await;
                });
            }
            Effect::Drop(part) => drop(slot.end(part)),
            Effect::Lower { part, run } => {
                let earlier = slot.end(part);
                let (_, done) = slot.begin(part);
                let id = id.clone();
                self.deck.spawn("stack part", async move {
                    let _done = done.drop_guard();
                    if let Some(earlier) = earlier {
                        earlier.cancelled().await;
                    }
                    let report = Report::Lowered(lower(&deck, &def, part).await);
                    deck.tell(Msg::Part { stack: id, part, run, report }).await;
                });
            }
            Effect::Retry { part, run, after } => {
                let id = id.clone();
                self.deck.spawn("stack retry", async move {
                    tokio::select! {
                        () = tokio::time::sleep(after) => {
                            deck.tell(Msg::Part { stack: id, part, run, report: Report::Retry }).await;
                        }
                        () = deck.stop.cancelled() => {}
                    }
                });
            }
            Effect::Finish(job, Ok(message)) => self.finish(job, JobOutcome::Ok, message),
            Effect::Finish(job, Err(why)) => self.finish(job, JobOutcome::Failed, why),
            Effect::Say(job, message) => self.jobs.say(job, message),
            Effect::Warn(text) => self.deck.events.notice(Level::Warn, text),
        }
    }

    /// The yard was looked at: what an earlier owner deployed is kept from now on, and rows follow. To take a stack down
    /// removes its containers, so one of which any is left was wanted: what ended while nobody looked is started again.
    pub(super) fn look_at_stacks(&mut self) {
        if !self.deck.options.momentary {
            self.recognise();
        }
        self.show_stacks();
    }

    fn recognise(&mut self) {
        let up = self.yard.engines.iter().filter(|engine| engine.state == EngineState::Up).map(|engine| &engine.id);
        let new: Vec<EngineId> = up.filter(|id| self.stacks.recognised.insert((*id).clone())).cloned().collect();
        if new.is_empty() {
            return;
        }
        for (id, parts) in self.there(|row| new.contains(&row.key.engine)) {
            // A deployment that is under way knows better.
            if self.stacks.slots.get(&id).is_some_and(|slot| !slot.life.up) {
                self.stack_event(&id, Event::Found(parts));
            }
        }
    }

    /// What there is of each stack among the containers that are `looked_at`.
    fn there(&self, looked_at: impl Fn(&ContainerRow) -> bool) -> BTreeMap<StackId, Vec<(usize, There)>> {
        let mut there: BTreeMap<StackId, Vec<(usize, There)>> = BTreeMap::new();
        for row in self.yard.containers.iter().filter(|row| looked_at(row)) {
            if row.owner.claim == Claim::Ours
                && let Some((id, part)) = self.part_of(row)
            {
                let by = self.stacks.slots.get(&id).map(|slot| &slot.life.def.parts[part].ready.by);
                let how = match (row.state.is_live(), row.exit_code, by) {
                    (true, ..) => There::Runs,
                    (false, Some(0), Some(ReadyBy::Done)) => There::Done,
                    (false, ..) => There::Ended,
                };
                there.entry(id).or_default().push((part, how));
            }
        }
        there
    }

    fn part_of(&self, row: &ContainerRow) -> Option<(StackId, usize)> {
        let (id, name) = (row.owner.stack.as_ref()?, row.owner.part.as_ref()?);
        let parts = &self.stacks.slots.get(id)?.life.def.parts;
        Some((id.clone(), parts.iter().position(|part| part.name == *name)?))
    }

    pub(super) fn show_stacks(&mut self) {
        let (picture, config) = (self.deck.picture.get(), self.deck.config());
        let look = rows::Look {
            snapshot: &picture,
            engines: &self.yard.engines,
            containers: &self.yard.containers,
            first: config.engines.first().map(|engine| &engine.id),
            stopped: &self.stacks.stopped,
            before: &self.yard.stacks,
            now: Stamp::now(),
        };
        let same = |id: &StackId| self.yard.stacks.iter().find(|row| row.id == *id);
        let rows = self.stacks.slots.values().map(|slot| look.row(&slot.life));
        let rows = rows.map(|row| match same(&row.id) {
            Some(old) if **old == row => old.clone(),
            _ => Arc::new(row),
        });
        self.yard.stacks = rows.collect();
    }
}

/// Stops and removes every container of a part.
async fn lower(deck: &Deck, stack: &StackDef, part: usize) -> Result<(), String> {
    let engine = deck.engines.named(stack.engine.as_ref())?;
    let part = &stack.parts[part];
    plan::looked(engine).await;
    let seen = engine.watch().borrow().clone();
    if let EngineState::Silent { reason, .. } | EngineState::Absent { reason } = &seen.state {
        return Err(format!("the engine does not answer: {reason}"));
    }
    let ours = seen.containers.iter().filter(|f| plan::is_part(f, &deck.config().platform.name, stack, part));
    for found in ours {
        let removed = tokio::time::timeout(part.stop_grace + REMOVE, engine.remove(&found.id, part.stop_grace));
        match removed.await {
            Ok(done) => done.map_err(|error| error.to_string())?,
            Err(_) => return Err("the engine did not remove it in time".to_owned()),
        }
    }
    Ok(())
}
