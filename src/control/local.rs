//! The handle in the owner's own process.

use super::actor::Msg;
use super::console_call;
use super::consoles::{Consoles, Seat};
use super::deck::Deck;
use super::exec::Execs;
use super::explain;
use super::gpus::ledger;
use super::handle::{Fut, Inside, Interest, Link, Pipe, Port};
use super::logs::{self, Wanted};
use super::stacks::plan;
use super::{impact, inspect, journal, reload};
use crate::model::call::{Call, CallDetail};
use crate::model::filter::Filter;
use crate::model::gpu::GpuHeld;
use crate::model::message::{Exec, Face, Operator};
use crate::model::timeline::Timeline;
use crate::model::{Act, Answer, CallId, CallRecord, Chunk, Command, Feed, JobId, Query, Refusal, Snapshot, Stamp};
use crate::router::Nowhere;
use crate::store::{Store, StoreError};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// Chunks that wait for a slow reader.
const CHUNKS: usize = 64;
/// Rows that one question is answered with at most.
const ROWS: u32 = 5000;
/// Most lines that a log begins with.
const LINES: u32 = 100_000;
/// Rows of who held GPU memory: a day of fifty holders that change a few times an hour.
const HELD_ROWS: u32 = 20_000;

/// A platform in this process.
pub struct Local {
    deck: Arc<Deck>,
    execs: Execs,
    /// The owner's own screen, while it looks.
    seat: Mutex<Option<Seat>>,
}

impl Local {
    pub fn new(deck: Arc<Deck>) -> Self {
        Self { deck, execs: Execs::default(), seat: Mutex::default() }
    }

    async fn give(&self, act: Act) -> Result<JobId, Refusal> {
        let (reply, answer) = oneshot::channel();
        let gone = || Refusal::Failed("the platform has ended".to_owned());
        self.deck.actor.try_send(Msg::Act { act, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Busy("control has too much to do".to_owned()),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn answer(&self, query: Query) -> Result<Answer, Refusal> {
        let deck = &self.deck;
        Ok(match query {
            Query::Catalog { tenant, server, wake, person } => {
                let catalog = deck.router.catalog(&tenant, &server, wake, person.as_ref()).await;
                Answer::Catalog(catalog.map_err(Refusal::Failed)?)
            }
            Query::Explain(what) => Answer::Explain(explain::explain_on(deck, &what)?),
            Query::Impact(command) => {
                let mut impact = impact::impact(&deck.picture.get(), &command, deck.config().platform.bulk_cap);
                if let Command::Deploy(stack) = &command
                    && impact.refused.is_none()
                {
                    impact.refused = plan::refusal(deck, stack)?;
                }
                Answer::Impact(impact)
            }
            Query::Calls { filter, limit } => {
                let filter = Filter::parse_for::<CallRecord>(&filter).map_err(|e| Refusal::Refused(e.to_string()))?;
                Answer::Calls(deck.calls.newest(&filter, limit.min(ROWS) as usize))
            }
            Query::Call(id) => Answer::Call(Box::new(self.detail(id)?)),
            Query::Journal { limit } => Answer::Journal(journal::newest(deck, limit.min(ROWS)).await.map_err(told)?),
            Query::Events { limit } => Answer::Events(deck.events.newest(limit.min(ROWS) as usize)),
            Query::History { tenant, limit } => {
                Answer::History(self.store().await?.history(tenant, limit.min(ROWS)).await.map_err(told)?)
            }
            Query::Preview(call) => Answer::Preview(console_call::preview(deck, &call)),
            Query::Reply { tenant, server, operator, message } => {
                match deck.router.answer(&tenant, &server, &operator, &message) {
                    true => Answer::Replied,
                    false => return Err(Refusal::NotFound("nobody waits for this answer any more".to_owned())),
                }
            }
            Query::Metrics { since } => Answer::Metrics(self.store().await?.metrics(since).await.map_err(told)?),
            Query::Inspect(container) => Answer::Inspect(inspect::inspect(deck, &container).await?),
            Query::GpuHeld { since } => Answer::GpuHeld(self.gpu_held(since).await?),
            Query::Usage(subject) => {
                Answer::Usage(deck.usage_history.lock().unwrap_or_else(PoisonError::into_inner).of(&subject))
            }
            Query::Route { tenant, ask } => {
                let nowhere = |n: Nowhere| Refusal::NotFound(n.to_string());
                Answer::Route(Box::new(deck.router.preview_route(&tenant, &ask).map_err(nowhere)?))
            }
            Query::Keys => {
                self.store().await?;
                Answer::Keys(deck.principals.keys())
            }
            Query::Users => {
                self.store().await?;
                Answer::Users(deck.principals.users())
            }
            Query::Reload => Answer::Reload(reload::dry_run(deck).await?),
            Query::StackPlan { stack, undeploy } => Answer::StackPlan(plan::dry_run(deck, &stack, undeploy).await?),
        })
    }

    /// What the store has, and then what is so now.
    async fn gpu_held(&self, since: Stamp) -> Result<Vec<GpuHeld>, Refusal> {
        let mut rows = self.store().await?.gpu_held(since, HELD_ROWS).await.map_err(told)?;
        let snapshot = self.deck.picture.get();
        rows.extend(ledger::held_now(snapshot.taken, &snapshot.gpus));
        Ok(rows)
    }

    async fn store(&self) -> Result<Arc<dyn Store>, Refusal> {
        self.deck.store.get().await.map_err(told)
    }

    fn detail(&self, id: CallId) -> Result<CallDetail, Refusal> {
        let kept = self.deck.router.detail(id);
        let record_only = || {
            let call = Call::Done(self.deck.calls.get(id)?);
            let notes = vec!["the messages are no longer kept".to_owned()];
            Some(CallDetail { call, timeline: Timeline::default(), request: None, sent: None, response: None, notes })
        };
        kept.or_else(record_only).ok_or_else(|| Refusal::NotFound(format!("{id} is no longer known")))
    }

    /// The stream itself; its end, with a reason if it is not the normal one.
    async fn stream(deck: Arc<Deck>, feed: Feed, to: mpsc::Sender<Chunk>) {
        let end = match feed {
            Feed::Logs { targets, tail, follow, since } => {
                let wanted = Wanted { tail: tail.min(LINES) as usize, since, follow };
                logs::follow(&deck, targets, wanted, to.clone()).await
            }
            Feed::Traffic { filter, backlog } => match Filter::parse_for::<CallRecord>(&filter) {
                Ok(filter) => {
                    deck.calls.follow(filter, backlog as usize, &to).await;
                    None
                }
                Err(error) => Some(Refusal::Refused(error.to_string())),
            },
            Feed::Events { backlog } => {
                deck.events.clone().follow(backlog as usize, to.clone()).await;
                None
            }
            Feed::Call(_) if deck.closing.is_cancelled() => {
                Some(Refusal::Refused("the platform is shutting down".to_owned()))
            }
            Feed::Call(call) => console_call::carry(deck, *call, to.clone()).await,
        };
        // A reader that is gone needs no end.
        let _ = to.send(Chunk::End(end)).await;
    }
}

impl Port for Local {
    fn state(&self) -> Arc<Snapshot> {
        self.deck.picture.get()
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.deck.picture.revisions()
    }

    fn link(&self) -> Link {
        Link::Owner
    }

    fn refresh(&self) -> Fut<'_, ()> {
        Box::pin(self.deck.refresh())
    }

    fn run(&self, act: Act) -> Fut<'_, Result<JobId, Refusal>> {
        Box::pin(self.give(act))
    }

    fn ask(&self, query: Query) -> Fut<'_, Result<Answer, Refusal>> {
        Box::pin(self.answer(query))
    }

    fn follow(&self, feed: Feed) -> mpsc::Receiver<Chunk> {
        let (to, from) = mpsc::channel(CHUNKS);
        let deck = self.deck.clone();
        self.deck.spawn("stream", async move {
            tokio::select! {
                () = Self::stream(deck.clone(), feed, to.clone()) => {}
                () = deck.stop.cancelled() => drop(to.try_send(Chunk::End(Some(Refusal::Failed("the platform has ended".to_owned()))))),
            }
        });
        from
    }

    fn pipe(&self, exec: Exec) -> Pipe {
        self.execs.pipe(&self.deck, exec)
    }

    /// The owner's screen takes a seat with its first look and gives it up when it looks at nothing.
    fn interest(&self, interest: Interest) {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if interest == Interest::default() {
            return drop(seat.take());
        }
        if seat.is_none() {
            *seat = self.deck.consoles.attach(own_operator(), true).ok();
        }
        if let Some(seat) = &*seat {
            seat.set_interest(interest);
        }
    }

    fn inside(&self) -> Option<Inside> {
        let deck = &self.deck;
        Some(Inside {
            router: deck.router.clone(),
            config: deck.live.clone(),
            principals: deck.principals.clone(),
            gates: deck.gates.subscribe(),
            shut: deck.shut.clone(),
            tally: deck.events.tally.clone(),
        })
    }

    fn consoles(&self) -> Option<Arc<Consoles>> {
        Some(self.deck.consoles.clone())
    }
}

fn own_operator() -> Operator {
    let name = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    Operator {
        name: name.unwrap_or_else(|| "owner".to_owned()),
        face: Face::Screen,
        pid: std::process::id(),
        grant: None,
    }
}

fn told(error: StoreError) -> Refusal {
    Refusal::Failed(error.to_string())
}
