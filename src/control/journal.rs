//! The journal of acts: an act is in it before it begins, how it ended takes the place of that, and what was refused is
//! in it as refused. A journal that cannot be written is told, and never keeps an operator from a restart.

use super::deck::Deck;
use crate::model::message::{JournalEntry, Level};
use crate::model::{Act, Refusal, Stamp, shell_word};
use crate::store::Store;
use crate::store::StoreError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that are held while the store takes none; of more the oldest are lost, and counted.
const HELD: usize = 256;
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
        kept: true,
    }
}

/// Lines that the store could not take, oldest first: written when it can, listed until then.
#[derive(Default)]
pub struct Gap(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    held: VecDeque<JournalEntry>,
    lost: u64,
}

impl Gap {
    /// For people: how many acts are not on disk; `None` if all are.
    pub fn words(&self) -> Option<String> {
        let lines = self.lock();
        let held = match lines.held.len() {
            0 => None,
            1 => Some("1 line of the journal is in memory alone".to_owned()),
            n => Some(format!("{n} lines of the journal are in memory alone")),
        };
        let lost = (lines.lost > 0).then(|| format!("{} are lost", lines.lost));
        let words: Vec<String> = held.into_iter().chain(lost).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// How an act ended takes the place of its beginning.
    fn hold(&self, entry: JournalEntry) {
        let entry = JournalEntry { kept: false, ..entry };
        let mut lines = self.lock();
        if let Some(old) = lines.held.iter_mut().find(|old| same_act(old, &entry)) {
            *old = entry;
            return;
        }
        lines.held.push_back(entry);
        if lines.held.len() > HELD {
            lines.held.pop_front();
            lines.lost += 1;
        }
    }

    fn forget(&self, entry: &JournalEntry) {
        self.lock().held.retain(|old| !same_act(old, entry));
    }

    fn all(&self) -> Vec<JournalEntry> {
        self.lock().held.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_act(a: &JournalEntry, b: &JournalEntry) -> bool {
    (a.at, &a.operator, &a.command_line) == (b.at, &b.operator, &b.command_line)
}

/// Writes a line and waits until it is on disk; one that cannot be written is held.
pub async fn keep(deck: &Deck, entry: JournalEntry) -> Result<(), StoreError> {
    let kept = match deck.store.get().await {
        Ok(store) => write(deck, &*store, entry.clone()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &kept {
        deck.store.failed(error);
        deck.gap.hold(entry);
    }
    kept
}

async fn write(deck: &Deck, store: &dyn Store, entry: JournalEntry) -> Result<(), StoreError> {
    store.add_journal(JournalEntry { kept: true, ..entry.clone() }).await?;
    deck.store.worked();
    deck.gap.forget(&entry);
    Ok(())
}

/// The newest lines first, with those that are in memory alone; the store takes these now if it can.
pub async fn newest(deck: &Deck, limit: u32) -> Result<Vec<JournalEntry>, StoreError> {
    let store = deck.store.get().await;
    if let Ok(store) = &store {
        for entry in deck.gap.all() {
            if let Err(error) = write(deck, &**store, entry).await {
                deck.store.failed(&error);
                break;
            }
        }
    }
    let stored = match store {
        Ok(store) => store.journal(limit).await,
        Err(error) => Err(error),
    };
    let held = deck.gap.all();
    let stored = match stored {
        Err(error) if held.is_empty() => return Err(error),
        stored => stored.unwrap_or_default(),
    };
    let mut lines: Vec<JournalEntry> =
        stored.into_iter().filter(|old| !held.iter().any(|new| same_act(old, new))).collect();
    lines.extend(held.into_iter().rev());
    lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    lines.truncate(limit.try_into().unwrap_or(usize::MAX));
    Ok(lines)
}

/// What keeps the store from its work, and what of the journal it does not have.
pub fn trouble(deck: &Deck) -> Option<(String, Stamp)> {
    match (deck.store.trouble(), deck.gap.words()) {
        (Some((why, since)), Some(gap)) => Some((format!("{why}; {gap}"), since)),
        (None, Some(gap)) => Some((gap, Stamp::now())),
        (trouble, None) => trouble,
    }
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
    let what = deck.gap.words().unwrap_or_else(|| "the journal has a gap".to_owned());
    deck.events.notice(Level::Error, format!("{what}: {why}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Command, Operator};

    fn line(at: u64, outcome: &str) -> JournalEntry {
        let operator = Operator { name: "eva".into(), face: crate::model::message::Face::Cli, pid: 7, grant: None };
        entry(&Act { command: Command::Reload, operator, confirm: None }, Stamp(at), outcome.to_owned())
    }

    #[test]
    fn what_the_store_does_not_take_is_held_once_an_act_and_what_is_lost_is_counted() {
        let gap = Gap::default();
        assert_eq!(gap.words(), None);
        gap.hold(line(1, "began"));
        gap.hold(line(1, "ok"));
        assert_eq!(gap.words().as_deref(), Some("1 line of the journal is in memory alone"));
        let held = gap.all();
        assert_eq!((held.len(), held[0].outcome.as_str(), held[0].kept), (1, "ok", false));
        for at in 2..=HELD as u64 + 3 {
            gap.hold(line(at, "ok"));
        }
        assert_eq!(gap.words().as_deref(), Some("256 lines of the journal are in memory alone, 3 are lost"));
        assert_eq!(gap.all()[0].at, Stamp(4), "the oldest are lost first");
        gap.forget(&line(4, "ok"));
        assert_eq!(gap.all().len(), HELD - 1);
    }
}
