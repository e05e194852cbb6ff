//! Instances that serve HTTP from a container write to its log and to no pipe of ours: their lines are kept in the rings
//! (and so in their files) like everybody else's. What adoption puts behind a server belongs to it, too.

use super::super::deck::Deck;
use super::super::inspect;
use super::Logs;
use super::containers::{Said, Source};
use super::text::{Flood, flood_text};
use crate::backend::engine::LogRange;
use crate::model::container::{Claim, ContainerKey, ContainerRow, Speaks};
use crate::model::message::{Level, LogTarget};
use crate::model::{InstanceKey, Run, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// Lines of an earlier run, or of an earlier owner's time, to begin with.
const BEFORE: u32 = 500;
/// Containers whose logs are kept; of more, those that come first.
const KEPT: usize = 1024;
/// Between two looks at which containers there are.
const LOOK: Duration = Duration::from_millis(250);
const BATCHES: usize = 4;

/// Keeps the logs of every such container, until it is dropped.
pub async fn keep(deck: Arc<Deck>) {
    let mut revisions = deck.picture.revisions();
    let mut work = JoinSet::new();
    let mut kept: HashMap<ContainerKey, AbortHandle> = HashMap::new();
    loop {
        revisions.mark_unchanged();
        while work.try_join_next().is_some() {}
        kept.retain(|_, task| !task.is_finished());
        let snapshot = deck.picture.get();
        for (row, key) in snapshot.containers.iter().filter_map(|row| Some((row, behind(&snapshot, row)?))) {
            if kept.len() < KEPT && !kept.contains_key(&row.key) {
                let task = work.spawn(keep_one(deck.clone(), row.clone(), key.clone()));
                kept.insert(row.key.clone(), task);
            }
        }
        tokio::time::sleep(LOOK).await;
        if revisions.changed().await.is_err() {
            return;
        }
    }
}

/// The instance whose log a running container's is.
fn behind<'a>(snapshot: &Snapshot, row: &'a ContainerRow) -> Option<&'a InstanceKey> {
    let key = row.owner.instance.as_ref().filter(|_| row.state.is_live() && row.owner.stack.is_none())?;
    let server = snapshot.server(key.server.as_str())?;
    let over_http = match &server.def.run {
        Run::Container(run) => row.owner.claim == Claim::Ours && matches!(run.speaks, Speaks::Http { .. }),
        Run::Remote { adopt, .. } => row.owner.claim == Claim::Adopted && adopt.is_some(),
        _ => false,
    };
    over_http.then_some(key)
}

/// Until the container is gone, or its engine silent; the next look begins again where this one ended.
async fn keep_one(deck: Arc<Deck>, row: Arc<ContainerRow>, key: InstanceKey) {
    let Ok(engine) = inspect::engine(&deck, &row.key).cloned() else { return };
    let target = LogTarget::Instance(key.clone());
    let range = match deck.logs.last_written(&target) {
        Some(last) => LogRange { tail: None, since: Some(last.after(Duration::from_millis(1))), follow: true },
        None => LogRange { tail: Some(BEFORE), since: None, follow: true },
    };
    let source = Source { engine, id: row.key.id.clone(), target, hidden: deck.vault.hidden() };
    let (say, said) = mpsc::channel(BATCHES);
    let reading = async move { source.read(range, &say).await };
    tokio::join!(reading, take_in(&deck.logs, &key, said));
}

/// A flood is read all the same, so that the engine need not hold it; what is too much is dropped and said.
async fn take_in(logs: &Logs, key: &InstanceKey, mut said: mpsc::Receiver<Said>) {
    let mut flood = Flood::new(Instant::now());
    while let Some(more) = said.recv().await {
        if let Said::Lines(lines) = more {
            let now = Instant::now();
            lines.into_iter().filter(|_| flood.admits(now)).for_each(|line| logs.add(line));
            if let Some(dropped) = flood.mention(now, false) {
                logs.say(key, Level::Warn, flood_text(dropped));
            }
        }
    }
    if let Some(dropped) = flood.mention(Instant::now(), true) {
        logs.say(key, Level::Warn, flood_text(dropped));
    }
}
