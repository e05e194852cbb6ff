//! Logs of containers, as their engines keep them: read while somebody asks, and merged by time with the rings. Every
//! queue on the way is bounded, and a slow reader slows the engine down: nothing is dropped.

use super::super::deck::Deck;
use super::super::inspect;
use super::text::{clean_line, guess_level};
use super::{BATCH, PACE, Wanted};
use crate::backend::engine::{Engine, LogRange, RawLine};
use crate::model::Refusal;
use crate::model::message::{Chunk, LogLine, LogSource, LogTarget};
use crate::model::secret::Hidden;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Batches that wait to be merged.
const BATCHES: usize = 8;
/// What stood in the logs before is put in order as a whole: until every source said something, and then a moment more.
const FIRST: Duration = Duration::from_millis(500);
const QUIET: Duration = Duration::from_millis(100);
/// The rest of a longer one is put in order as it comes.
const BACKLOG_BYTES: usize = 16 << 20;
/// A log that ended at once is not asked for again in a circle.
const AGAIN: Duration = Duration::from_millis(200);

/// One container's log.
pub struct Source {
    pub engine: Arc<dyn Engine>,
    pub id: Arc<str>,
    pub target: LogTarget,
    pub hidden: Hidden,
}

/// What a source says.
pub enum Said {
    Lines(Vec<LogLine>),
    Lost(u64),
    /// It is over; why, if it should not be.
    Over(Option<Refusal>),
}

/// Sends what `targets` wrote, in order, until it ends or `to` is dropped. `Some`: why it ended before its time.
pub async fn follow(deck: &Deck, targets: Vec<LogTarget>, wanted: Wanted, to: mpsc::Sender<Chunk>) -> Option<Refusal> {
    let (containers, rings): (Vec<_>, Vec<_>) =
        targets.into_iter().partition(|target| matches!(target, LogTarget::Container(..)));
    if containers.is_empty() {
        deck.logs.clone().follow_rings(rings, wanted, to).await;
        return None;
    }
    let hidden = deck.vault.hidden();
    let (say, said) = mpsc::channel(BATCHES);
    // Dropped with this future, and every reading with it.
    let mut reading = JoinSet::new();
    for target in containers {
        let LogTarget::Container(key, _) = &target else { continue };
        let engine = match inspect::engine(deck, key) {
            Ok(engine) => engine.clone(),
            Err(refusal) => return Some(refusal),
        };
        let source = Source { engine, id: key.id.clone(), hidden: hidden.clone(), target: target.clone() };
        let say = say.clone();
        reading.spawn(async move { source.read(range(wanted), &say).await });
    }
    let sources = reading.len();
    if !rings.is_empty() {
        let (chunks, lines) = mpsc::channel(BATCHES);
        reading.spawn(deck.logs.clone().follow_rings(rings, wanted, chunks));
        reading.spawn(retell(lines, say.clone()));
    }
    drop(say);
    merge(said, sources, wanted, &to).await
}

fn range(wanted: Wanted) -> LogRange {
    let tail = wanted.tail.try_into().unwrap_or(u32::MAX);
    LogRange { tail: Some(tail), since: wanted.since, follow: wanted.follow }
}

/// The rings as a source.
async fn retell(mut chunks: mpsc::Receiver<Chunk>, say: mpsc::Sender<Said>) {
    while let Some(chunk) = chunks.recv().await {
        let said = match chunk {
            Chunk::Logs(lines) => Said::Lines(lines),
            Chunk::Lost(count) => Said::Lost(count),
            _ => continue,
        };
        if say.send(said).await.is_err() {
            return;
        }
    }
}

impl Source {
    /// Reads to the end; with `follow` on over restarts of the container, until it is gone. A silent engine ends it, too.
    pub async fn read(self, range: LogRange, say: &mpsc::Sender<Said>) {
        let why = tokio::select! {
            why = self.read_on(range, say) => why,
            why = inspect::gone_silent(&*self.engine) => Some(why),
        };
        let _ = say.send(Said::Over(why)).await;
    }

    /// Returns why it ended before its time, if it did.
    async fn read_on(&self, mut range: LogRange, say: &mpsc::Sender<Said>) -> Option<Refusal> {
        loop {
            let mut raw = self.engine.logs(&self.id, range.clone());
            let mut batch = Vec::with_capacity(BATCH);
            while raw.recv_many(&mut batch, BATCH).await > 0 {
                let lines: Vec<_> = batch.drain(..).map(|raw| self.line(raw)).collect();
                if let Some(last) = lines.last() {
                    range = LogRange { tail: None, since: Some(last.at.after(Duration::from_millis(1))), ..range };
                }
                say.send(Said::Lines(lines)).await.ok()?;
            }
            if !range.follow || !self.until_again().await {
                return None;
            }
        }
    }

    fn line(&self, raw: RawLine) -> LogLine {
        let text = clean_line(&raw.text);
        let text = self.hidden.mask(&text).0.into_owned();
        let source = if raw.stderr { LogSource::Stderr } else { LogSource::Stdout };
        LogLine { at: raw.at, target: self.target.clone(), source, level: guess_level(&text), text, run: 0 }
    }

    /// True once the container runs again, false if it is gone.
    async fn until_again(&self) -> bool {
        let mut inventory = self.engine.watch();
        tokio::time::sleep(AGAIN).await;
        loop {
            let state = {
                let now = inventory.borrow_and_update();
                now.containers.iter().find(|found| found.id == self.id).map(|found| found.state)
            };
            match state {
                None => return false,
                Some(state) if state.is_live() => return true,
                Some(_) if inventory.changed().await.is_err() => return false,
                Some(_) => {}
            }
        }
    }
}

/// Puts what several sources say in order of time: all that stood there before, then moment by moment.
async fn merge(
    mut said: mpsc::Receiver<Said>,
    sources: usize,
    wanted: Wanted,
    to: &mpsc::Sender<Chunk>,
) -> Option<Refusal> {
    let mut pile = Pile::default();
    pile.gather(&mut said, sources, wanted.follow).await;
    pile.lines.sort_by_key(|line| line.at);
    let from = pile.lines.len().saturating_sub(wanted.tail);
    pile.lines.drain(..from);
    while pile.hand_over(to).await {
        let more = tokio::select! {
            () = to.closed() => return None,
            more = said.recv() => more,
        };
        let Some(first) = more else { return pile.why };
        pile.take(first);
        tokio::time::sleep(PACE).await;
        while let Some(more) = said.try_recv().ok().filter(|_| pile.bytes < BACKLOG_BYTES) {
            pile.take(more);
        }
        pile.lines.sort_by_key(|line| line.at);
    }
    None
}

#[derive(Default)]
struct Pile {
    lines: Vec<LogLine>,
    bytes: usize,
    lost: u64,
    /// The first reason for which a source ended before its time.
    why: Option<Refusal>,
}

impl Pile {
    fn take(&mut self, said: Said) {
        match said {
            Said::Lines(lines) => {
                self.bytes += lines.iter().map(super::cost).sum::<usize>();
                self.lines.extend(lines);
            }
            Said::Lost(count) => self.lost += count,
            Said::Over(None) => {}
            Said::Over(Some(why)) => self.why = self.why.take().or(Some(why)),
        }
    }

    /// Collects until every source spoke and all are quiet; without `follow`, until they end.
    async fn gather(&mut self, said: &mut mpsc::Receiver<Said>, sources: usize, follow: bool) {
        let mut spoke = BTreeSet::new();
        let mut over = 0;
        let begun = Instant::now();
        while self.bytes < BACKLOG_BYTES {
            let until = if spoke.len() + over >= sources { Instant::now() + QUIET } else { begun + FIRST };
            let next = match follow {
                true => timeout_at(until, said.recv()).await.ok().flatten(),
                false => said.recv().await,
            };
            match &next {
                None => return,
                Some(Said::Lines(lines)) => {
                    let of_container = |line: &&LogLine| line.target.instance().is_none();
                    spoke.extend(lines.first().filter(of_container).map(|line| line.target.clone()));
                }
                Some(Said::Over(_)) => over += 1,
                Some(Said::Lost(_)) => {}
            }
            next.into_iter().for_each(|next| self.take(next));
        }
    }

    /// False if nobody reads.
    async fn hand_over(&mut self, to: &mpsc::Sender<Chunk>) -> bool {
        self.bytes = 0;
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 && to.send(Chunk::Lost(lost)).await.is_err() {
            return false;
        }
        let mut lines = std::mem::take(&mut self.lines).into_iter().peekable();
        while lines.peek().is_some() {
            let part = lines.by_ref().take(BATCH).collect();
            if to.send(Chunk::Logs(part)).await.is_err() {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
