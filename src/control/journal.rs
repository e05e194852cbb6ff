//! The journal of acts: an act is in it before it begins, how it ended takes the place of that, and what was refused is
//! in it as refused. A journal that cannot be written is told, and never keeps an operator from a restart.

use super::deck::Deck;
use crate::model::message::{JournalEntry, Level};
use crate::model::{Act, Refusal, Stamp, shell_word};
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How long an act waits for its line to be on disk; then it begins without.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an act is written down as.
pub fn entry(act: &Act, at: Stamp, outcome: String) -> JournalEntry {
    let confirm = act.confirm.as_ref().map_or_else(String::new, |name| format!(" --confirm {}", shell_word(name)));
    JournalEntry {
        at,
        operator: act.operator.clone(),
        verb: act.command.verb().to_owned(),
        object: act.command.object(),
        outcome,
        command_line: format!("{}{confirm}", act.command.command_line()),
        took_ms: None,
    }
}

/// Writes a line and waits until it is on disk.
pub async fn keep(deck: &Deck, entry: JournalEntry) -> Result<(), StoreError> {
    let kept = match deck.store.get().await {
        Ok(store) => store.add_journal(entry).await,
        Err(error) => Err(error),
    };
    match &kept {
        Ok(()) => deck.store.worked(),
        Err(error) => deck.store.failed(error),
    }
    kept
}

/// The same before an act that needs nothing else of the store: a full disk is a reason to restart something.
pub async fn keep_if_possible(deck: &Deck, entry: JournalEntry) {
    match tokio::time::timeout(PATIENCE, keep(deck, entry)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => gap(deck, &error.to_string()),
        Err(_) => gap(deck, "the store does not answer"),
    }
}

/// Writes a line beside everything else.
pub fn later(deck: &Arc<Deck>, entry: JournalEntry) {
    let own = deck.clone();
    deck.spawn("journal", async move {
        if let Err(error) = keep(&own, entry).await {
            gap(&own, &error.to_string());
        }
    });
}

/// An act that was refused. What names nothing, or comes too often, is no act.
pub fn refused(deck: &Arc<Deck>, act: &Act, refusal: &Refusal) {
    if !matches!(refusal, Refusal::NotFound(_) | Refusal::Busy(_)) {
        later(deck, entry(act, Stamp::now(), format!("refused: {refusal}")));
    }
}

fn gap(deck: &Deck, why: &str) {
    deck.events.notice(Level::Error, format!("the journal has a gap: {why}"));
}
