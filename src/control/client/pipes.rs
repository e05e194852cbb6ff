//! The console's end of commands inside containers; see `server::pipes` for the other.

use super::{Line, lock, send};
use crate::control::handle::Pipe;
use crate::control::wire::{self, PIPES, ToOwner, WINDOW, WireError};
use crate::model::Refusal;
use crate::model::message::{Exec, ExecIn, ExecOut};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

/// What the line delivers to.
pub struct End {
    /// As many places as the window.
    arrive: mpsc::Sender<ExecOut>,
    /// A permit per piece of input that may still be sent.
    room: Arc<Semaphore>,
}

/// Asks the owner for a command; the pipe says at once if it cannot be asked.
pub fn open(line: Result<Arc<Line>, Refusal>, exec: Exec, runtime: &Handle) -> Pipe {
    let (input, typed) = mpsc::channel(WINDOW as usize);
    let (to, output) = mpsc::channel(4);
    let room = Arc::new(Semaphore::new(WINDOW as usize));
    match line.and_then(|line| Ok((ask(&line, exec, room.clone())?, line))) {
        Ok(((id, arrived), line)) => drop(runtime.spawn(carry(id, typed, room, arrived, to, line))),
        Err(refusal) => drop(to.try_send(ExecOut::Refused(refusal))),
    }
    Pipe { input, output }
}

fn ask(line: &Line, exec: Exec, room: Arc<Semaphore>) -> Result<(u64, mpsc::Receiver<ExecOut>), Refusal> {
    let id = line.next_id();
    let (arrive, arrived) = mpsc::channel(WINDOW as usize);
    {
        let mut pipes = lock(&line.pipes);
        if pipes.len() >= PIPES {
            return Err(Refusal::Busy(format!("{PIPES} commands run in containers from here")));
        }
        pipes.insert(id, End { arrive, room });
    }
    if line.tell(&ToOwner::Pipe { id, exec }) {
        return Ok((id, arrived));
    }
    lock(&line.pipes).remove(&id);
    Err(Refusal::Busy("the owner does not read".into()))
}

async fn carry(
    id: u64,
    typed: mpsc::Receiver<ExecIn>,
    room: Arc<Semaphore>,
    arrived: mpsc::Receiver<ExecOut>,
    to: mpsc::Sender<ExecOut>,
    line: Arc<Line>,
) {
    tokio::select! {
        () = type_in(id, typed, &room, &line) => {}
        () = read_out(id, arrived, to, &line) => {}
    }
    if lock(&line.pipes).remove(&id).is_some() {
        send(&line, &ToOwner::Drop { id }).await;
    }
}

/// Never ends by itself: what was typed may be over long before the command is.
async fn type_in(id: u64, mut typed: mpsc::Receiver<ExecIn>, room: &Semaphore, line: &Line) {
    while let Some(piece) = typed.recv().await {
        let parts = match piece {
            ExecIn::Bytes(bytes) => wire::pieces(bytes).into_iter().map(ExecIn::Bytes).collect(),
            other => vec![other],
        };
        for input in parts {
            if let Ok(permit) = room.acquire().await {
                permit.forget();
                send(line, &ToOwner::Input { id, input }).await;
            }
        }
    }
    std::future::pending().await
}

async fn read_out(id: u64, mut arrived: mpsc::Receiver<ExecOut>, to: mpsc::Sender<ExecOut>, line: &Line) {
    let mut taken = 0;
    loop {
        let said = tokio::select! {
            () = to.closed() => return,
            said = arrived.recv() => said,
        };
        let said = said.unwrap_or_else(|| ExecOut::Failed("the owner went away".into()));
        let last = said.is_last();
        if to.send(said).await.is_err() || last {
            return;
        }
        taken += 1;
        if taken >= WINDOW / 2 {
            send(line, &ToOwner::Credit { id, chunks: std::mem::take(&mut taken) }).await;
        }
    }
}

/// Puts a piece into its pipe; the window leaves room for it. One that was just closed is passed over.
pub fn deliver(line: &Line, id: u64, output: ExecOut) -> Result<(), WireError> {
    let mut pipes = lock(&line.pipes);
    let Some(end) = pipes.get(&id) else { return Ok(()) };
    let last = output.is_last();
    if let Err(mpsc::error::TrySendError::Full(_)) = end.arrive.try_send(output) {
        return Err(WireError::Breach("more output than the window holds"));
    }
    if last {
        pipes.remove(&id);
    }
    Ok(())
}

/// The owner took so many pieces of input.
pub fn taken(line: &Line, id: u64, pieces: u32) -> Result<(), WireError> {
    match lock(&line.pipes).get(&id) {
        Some(end) => wire::add_credit(&end.room, pieces),
        None => Ok(()),
    }
}
