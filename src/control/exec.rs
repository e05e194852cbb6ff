//! Commands inside containers: judged like an act, in the journal before they begin, carried until either side ends.
//! Knows no vendor; what is not ours is not entered.

use super::deck::Deck;
use super::handle::Pipe;
use super::impact::environment_of;
use super::impact::guards::{self, Reach};
use super::inspect;
use super::journal;
use crate::backend::engine::{ExecPipe, ExecSpec};
use crate::model::container::{Claim, ContainerRow, ContainerState};
use crate::model::message::{Exec, ExecIn, ExecOut, JournalEntry};
use crate::model::stack::StackOwner;
use crate::model::{Environment, Refusal, Snapshot, Stamp, TenantId, shell_word};
use crate::store::BEGAN;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Commands at once, over all consoles.
const AT_ONCE: usize = 32;
/// Pieces that wait each way.
const PIECES: usize = 16;
/// What a command line may have: more is a mistake or an attack.
const WORDS: usize = 1024;
const BYTES: usize = 64 << 10;

/// The places that commands take.
pub struct Execs(Arc<Semaphore>);

impl Default for Execs {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Execs {
    /// Runs a command; the pipe says if it may not be.
    pub fn pipe(&self, deck: &Arc<Deck>, exec: Exec) -> Pipe {
        let (input, typed) = mpsc::channel(PIECES);
        let (to, output) = mpsc::channel(PIECES);
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            let _ = to.try_send(ExecOut::Refused(Refusal::Busy(format!("{AT_ONCE} commands run in containers"))));
            return Pipe { input, output };
        };
        let worker = deck.clone();
        deck.spawn("exec", async move {
            let _place = place;
            let end = tokio::select! {
                end = run(&worker, exec, typed, &to) => end,
                () = worker.stop.cancelled() => ExecOut::Failed("the platform has ended".to_owned()),
            };
            tokio::select! {
                _ = to.send(end) => {}
                () = worker.stop.cancelled() => {}
            }
        });
        Pipe { input, output }
    }
}

async fn run(deck: &Deck, exec: Exec, typed: mpsc::Receiver<ExecIn>, to: &mpsc::Sender<ExecOut>) -> ExecOut {
    deck.refresh().await;
    let at = Stamp::now();
    let (row, pipe) = match begin(deck, &exec, at).await {
        Ok(begun) => begun,
        Err(refusal) => {
            note_refused(deck, &exec, at, &refusal).await;
            return ExecOut::Refused(refusal);
        }
    };
    let end = carry(pipe, typed, to).await;
    let outcome = match &end {
        ExecOut::Exited(Some(code)) => format!("exited {code}"),
        ExecOut::Exited(None) => "ended".to_owned(),
        ExecOut::Failed(why) => format!("broke off: {why}"),
        _ => "left".to_owned(),
    };
    if let Err(error) = note(deck, &exec, &row.name, at, outcome).await {
        tracing::warn!(%error, "the end of a command is not in the journal");
    }
    end
}

/// Judged, in the journal, begun: in this order.
async fn begin(deck: &Deck, exec: &Exec, at: Stamp) -> Result<(Arc<ContainerRow>, ExecPipe), Refusal> {
    if deck.closing.is_cancelled() {
        return Err(Refusal::Refused("the platform is shutting down".to_owned()));
    }
    let row = judge(&deck.picture.get(), exec)?;
    let engine = inspect::engine(deck, &exec.container)?;
    inspect::silence(&**engine).map_or(Ok(()), Err)?;
    note(deck, exec, &row.name, at, BEGAN.to_owned()).await?;
    let spec =
        ExecSpec { command: exec.command.clone(), terminal: exec.terminal, columns: exec.columns, rows: exec.rows };
    match engine.exec(&exec.container.id, spec).await {
        Ok(pipe) => Ok((row, pipe)),
        Err(error) => {
            // It may have stopped a moment ago, before that was seen here.
            deck.refresh().await;
            judge(&deck.picture.get(), exec)?;
            Err(inspect::refusal(error))
        }
    }
}

/// Whether the command may be run in what the snapshot shows.
fn judge(snapshot: &Snapshot, exec: &Exec) -> Result<Arc<ContainerRow>, Refusal> {
    let key = &exec.container;
    let row = snapshot.container(key).ok_or_else(|| Refusal::NotFound(format!("there is no container {key}")))?;
    let name = &row.name;
    let reach = Reach::place(environment_of(snapshot, key), tenant_of(snapshot, row));
    guards::check_read_only(snapshot, &reach)?;
    guards::check_denied(snapshot, &reach, "exec")?;
    if row.owner.claim == Claim::Other {
        return Err(Refusal::Refused(format!(
            "{name} is neither made nor adopted by this platform; only what is may be entered (`adopt` in its config)"
        )));
    }
    if row.state != ContainerState::Running {
        let state = row.state.name();
        return Err(Refusal::Refused(format!("{name} is {state}; a command needs a running container")));
    }
    if exec.command.len() > WORDS || exec.command.iter().map(String::len).sum::<usize>() > BYTES {
        return Err(Refusal::Refused(format!("a command has {WORDS} words and {BYTES} bytes at most")));
    }
    if environment_of(snapshot, key) == Environment::Production && exec.confirm.as_ref() != Some(name) {
        return Err(Refusal::NeedsConfirm { what: format!("exec {name}"), name: name.clone() });
    }
    Ok(row.clone())
}

fn tenant_of<'a>(snapshot: &'a Snapshot, row: &'a ContainerRow) -> Option<&'a TenantId> {
    let stack = || match &snapshot.stack(row.owner.stack.as_ref()?.as_str())?.owner {
        StackOwner::Tenant(tenant) => Some(tenant),
        StackOwner::Server(_) => None,
    };
    row.owner.tenant.as_ref().or_else(stack)
}

/// The journal knows of a command before it begins, and how it ended.
async fn note(deck: &Deck, exec: &Exec, name: &str, at: Stamp, outcome: String) -> Result<(), Refusal> {
    let entry = JournalEntry {
        at,
        operator: exec.operator.clone(),
        verb: "exec".to_owned(),
        object: name.to_owned(),
        outcome,
        command_line: inspect::mask_text(&command_line(exec, name), &deck.vault.hidden()),
        took_ms: None,
        kept: true,
    };
    let kept = journal::keep(deck, entry).await;
    kept.map_err(|error| Refusal::Failed(format!("not run, because it could not be kept: {error}")))
}

/// What names no container is no command.
async fn note_refused(deck: &Deck, exec: &Exec, at: Stamp, refusal: &Refusal) {
    let Some(row) = deck.picture.get().container(&exec.container).cloned() else { return };
    if let Err(error) = note(deck, exec, &row.name, at, format!("refused: {refusal}")).await {
        tracing::warn!(%error, "a refused command is not in the journal");
    }
}

fn command_line(exec: &Exec, name: &str) -> String {
    let mut line = format!("mcpdeck exec {}", shell_word(name));
    if let Some(confirm) = &exec.confirm {
        line.push_str(&format!(" --confirm {}", shell_word(confirm)));
    }
    if !exec.command.is_empty() {
        line.push_str(" --");
        exec.command.iter().for_each(|word| line.push_str(&format!(" {}", shell_word(word))));
    }
    line
}

/// Both ways at once until the command's last word, or until nobody reads it.
async fn carry(pipe: ExecPipe, mut typed: mpsc::Receiver<ExecIn>, to: &mpsc::Sender<ExecOut>) -> ExecOut {
    let ExecPipe { input, mut output } = pipe;
    let typing = async {
        while let Some(piece) = typed.recv().await {
            // A command that reads no more still writes.
            let _ = input.send(piece).await;
        }
        std::future::pending().await
    };
    let reading = async {
        loop {
            match output.recv().await {
                None => return ExecOut::Failed("the engine hung up".to_owned()),
                Some(last) if last.is_last() => return last,
                Some(said) => {
                    if to.send(said).await.is_err() {
                        return ExecOut::Exited(None);
                    }
                }
            }
        }
    };
    tokio::select! {
        end = reading => end,
        () = to.closed() => ExecOut::Exited(None),
        end = typing => end,
    }
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
