//! The owner's end of commands inside containers: pieces both ways, each way with a window of its own. A console that
//! takes or gives nothing holds up its own command alone.

use super::reply;
use crate::control::handle::Pipe;
use crate::control::wire::{self, PIECE, ToConsole, WINDOW, WireError};
use crate::model::message::{ExecIn, ExecOut};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

/// Twice what our own consoles keep to, as for streams.
const PIPES: usize = 2 * wire::PIPES;

/// The open pipes of one console.
#[derive(Default)]
pub struct Pipes(HashMap<u64, Open>);

struct Open {
    /// As many places as the window.
    input: mpsc::Sender<ExecIn>,
    /// A permit per piece of output that may still be sent.
    credit: Arc<Semaphore>,
    task: AbortHandle,
}

impl Pipes {
    pub fn have(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }

    /// Forgets those that ended; true if none may be added.
    pub fn are_full(&mut self) -> bool {
        self.0.retain(|_, open| !open.task.is_finished());
        self.0.len() >= PIPES
    }

    pub fn open(&mut self, id: u64, pipe: Pipe, out: mpsc::Sender<Vec<u8>>, work: &mut JoinSet<()>) {
        let (input, typed) = mpsc::channel(WINDOW as usize);
        let credit = Arc::new(Semaphore::new(WINDOW as usize));
        let task = work.spawn(carry(id, pipe, typed, credit.clone(), out));
        self.0.insert(id, Open { input, credit, task });
    }

    /// Takes a piece in; one that was just closed is passed over.
    pub fn input(&self, id: u64, input: ExecIn) -> Result<(), WireError> {
        if matches!(&input, ExecIn::Bytes(bytes) if bytes.len() > PIECE) {
            return Err(WireError::Breach("a piece of input larger than allowed"));
        }
        match self.0.get(&id).map(|open| open.input.try_send(input)) {
            Some(Err(mpsc::error::TrySendError::Full(_))) => Err(WireError::Breach("more input than the window holds")),
            _ => Ok(()),
        }
    }

    pub fn credit(&self, id: u64) -> Option<&Arc<Semaphore>> {
        self.0.get(&id).map(|open| &open.credit)
    }

    /// The console reads no more: the command ends.
    pub fn close(&mut self, id: u64) {
        if let Some(open) = self.0.remove(&id) {
            open.task.abort();
        }
    }
}

/// Carries until the command's last word; dropped before, it takes the command with it.
async fn carry(id: u64, pipe: Pipe, typed: mpsc::Receiver<ExecIn>, credit: Arc<Semaphore>, out: mpsc::Sender<Vec<u8>>) {
    let Pipe { input, output } = pipe;
    tokio::select! {
        () = type_in(id, typed, input, &out) => {}
        () = read_out(id, output, &credit, &out) => {}
    }
}

/// A command that reads no more still writes: what is typed then is taken and dropped.
async fn type_in(id: u64, mut typed: mpsc::Receiver<ExecIn>, input: mpsc::Sender<ExecIn>, out: &mpsc::Sender<Vec<u8>>) {
    let mut taken = 0;
    while let Some(piece) = typed.recv().await {
        let _ = input.send(piece).await;
        taken += 1;
        if taken >= WINDOW / 2 && !reply(out, &ToConsole::Taken { id, pieces: std::mem::take(&mut taken) }).await {
            return;
        }
    }
}

async fn read_out(id: u64, mut output: mpsc::Receiver<ExecOut>, credit: &Semaphore, out: &mpsc::Sender<Vec<u8>>) {
    loop {
        let said = output.recv().await.unwrap_or_else(|| ExecOut::Failed("the way to the command broke".to_owned()));
        let last = said.is_last();
        let parts = match said {
            ExecOut::Bytes(bytes) => wire::pieces(bytes).into_iter().map(ExecOut::Bytes).collect(),
            ExecOut::Errors(bytes) => wire::pieces(bytes).into_iter().map(ExecOut::Errors).collect(),
            end => vec![end],
        };
        for output in parts {
            let Ok(permit) = credit.acquire().await else { return };
            permit.forget();
            if !reply(out, &ToConsole::Output { id, output }).await {
                return;
            }
        }
        if last {
            return;
        }
    }
}
