//! What must be on disk before an act is acknowledged, written in the order in which the acts were accepted.

use super::actor::Msg;
use super::deck::Deck;
use super::journal;
use crate::model::instance::Mark;
use crate::model::message::JournalEntry;
use crate::model::{Command, InstanceKey, JobId, Refusal, ServerId, TenantId};
use crate::store::{MarkKind, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Accepted acts that wait for the disk.
pub const QUEUE: usize = 64;

/// An accepted act and what it changes for good.
pub struct Write {
    pub job: JobId,
    /// Its line in the journal, before it begins.
    pub begun: Option<JournalEntry>,
    pub changes: Vec<Change>,
    pub reply: oneshot::Sender<Result<JobId, Refusal>>,
}

pub enum Change {
    Mark {
        key: InstanceKey,
        kind: MarkKind,
        mark: Option<Mark>,
    },
    Enable {
        server: ServerId,
        tenant: TenantId,
        value: Option<(bool, Mark)>,
    },
    /// Decided on what holds when its turn comes: two changes of one key must not undo each other.
    Principals {
        command: Box<Command>,
        by: String,
    },
}

/// Why an act is not done.
enum Failure {
    Refused(Refusal),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Writes one act after the other, tells the actor, then the operator.
pub async fn write(deck: Arc<Deck>, mut queue: mpsc::Receiver<Write>) {
    while let Some(Write { job, begun, changes, reply }) = queue.recv().await {
        if let Some(entry) = begun {
            journal::keep_if_possible(&deck, entry).await;
        }
        let result = match changes.is_empty() {
            true => Ok(()),
            false => write_all(&deck, changes).await.inspect(|()| deck.store.worked()),
        };
        match result {
            Ok(()) => {
                deck.tell(Msg::Durable { job, result: Ok(()) }).await;
                let _ = reply.send(Ok(job));
            }
            Err(failure) => {
                let refusal = match failure {
                    Failure::Refused(refusal) => refusal,
                    Failure::Store(error) => {
                        deck.store.failed(&error);
                        Refusal::Failed(format!("not done, because it could not be kept: {error}"))
                    }
                };
                deck.tell(Msg::Durable { job, result: Err(refusal.to_string()) }).await;
                let _ = reply.send(Err(refusal));
            }
        }
    }
}

async fn write_all(deck: &Deck, changes: Vec<Change>) -> Result<(), Failure> {
    let store = deck.store.get().await?;
    for change in changes {
        match change {
            Change::Mark { key, kind, mark } => store.set_mark(key, kind, mark).await?,
            Change::Enable { server, tenant, value } => store.set_enablement(server, tenant, value).await?,
            Change::Principals { command, by } => {
                let change = deck.principals.decide(&command, &by).map_err(Failure::Refused)?;
                change.keep(&*store).await?;
                deck.principals.apply(change);
            }
        }
    }
    Ok(())
}
