//! A console's end of the socket: a [`Port`] whose platform is in another process. It keeps the last state while the
//! owner is gone and comes back by itself.

mod pipes;

use super::handle::{Fut, Handle, Interest, Link, Pipe, Port};
use super::wire::{self, QUESTIONS, STREAMS, ToConsole, ToOwner, WINDOW, WireError};
use crate::model::message::{Exec, Face};
use crate::model::{Act, Answer, Chunk, Feed, JobId, Query, Refusal, Snapshot, Stamp};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An owner must greet and send its first state within this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// An owner that is quiet for longer counts as lost; it says `Alive` every 3 s.
const SILENCE: Duration = Duration::from_secs(10);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const OUT_FRAMES: usize = 64;

/// Why a console is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("nobody owns the platform at {}", .0.display())]
    NoOwner(PathBuf),
    #[error("not admitted: {0}")]
    Denied(String),
    #[error("too many: {0}")]
    Full(String),
    #[error("the platform's owner is ending")]
    Ending,
    #[error("{0}")]
    Wire(#[from] WireError),
}

impl AttachError {
    /// True if the same attempt may succeed a moment later.
    pub fn passes(&self) -> bool {
        matches!(self, Self::NoOwner(_) | Self::Full(_) | Self::Ending | Self::Wire(WireError::Closed))
    }
}

/// Attaches to the owner behind `socket`; ready when its first state is here. The connection lives on `runtime` until
/// the last clone of the handle is dropped.
pub async fn attach(socket: &Path, face: Face, runtime: &tokio::runtime::Handle) -> Result<Handle, AttachError> {
    let opened = open(socket, face).await?;
    Ok(start(socket, face, runtime, opened.state.clone(), Ok(opened)))
}

/// A handle that shows `state` until an owner can be reached.
pub fn attach_later(
    socket: &Path,
    face: Face,
    runtime: &tokio::runtime::Handle,
    state: Arc<Snapshot>,
    reason: AttachError,
) -> Handle {
    start(socket, face, runtime, state, Err(reason))
}

fn start(
    socket: &Path,
    face: Face,
    runtime: &tokio::runtime::Handle,
    state: Arc<Snapshot>,
    first: Result<Opened, AttachError>,
) -> Handle {
    let shared = Arc::new(Shared {
        state: ArcSwap::new(state),
        revisions: watch::Sender::new(0),
        line: Mutex::new(Err(lost("not attached yet"))),
        interest: Mutex::default(),
    });
    match &first {
        Ok(opened) => shared.set_line(Ok(opened.line.clone())),
        Err(error) => shared.set_line(Err(lost(error))),
    }
    let cancel = CancellationToken::new();
    let life = stay_attached(shared.clone(), socket.to_owned(), face, first.ok());
    runtime.spawn(cancel.clone().run_until_cancelled_owned(life));
    Handle::new(Arc::new(Remote { shared, runtime: runtime.clone(), _life: cancel.drop_guard() }))
}

/// The remote platform as faces see it.
struct Remote {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    _life: DropGuard,
}

struct Shared {
    state: ArcSwap<Snapshot>,
    revisions: watch::Sender<u64>,
    /// The open line, or how it was lost.
    line: Mutex<Result<Arc<Line>, Lost>>,
    interest: Mutex<Interest>,
}

#[derive(Clone)]
struct Lost {
    since: Stamp,
    reason: String,
}

fn lost(reason: impl ToString) -> Lost {
    Lost { since: Stamp::now(), reason: reason.to_string() }
}

/// One open connection as those who send see it.
struct Line {
    out: mpsc::Sender<Vec<u8>>,
    next: AtomicU64,
    questions: Arc<Semaphore>,
    waiting: Mutex<HashMap<u64, Waiter>>,
    streams: Mutex<HashMap<u64, mpsc::Sender<Chunk>>>,
    pipes: Mutex<HashMap<u64, pipes::End>>,
}

/// Who waits for an answer, and the place it takes: an answer that nobody waits for any more still comes.
enum Waiter {
    Run(oneshot::Sender<Result<JobId, Refusal>>, OwnedSemaphorePermit),
    Ask(oneshot::Sender<Result<Answer, Refusal>>, OwnedSemaphorePermit),
}

/// A connection that has greeted and holds the first state.
struct Opened {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    queue: mpsc::Receiver<Vec<u8>>,
    line: Arc<Line>,
    state: Arc<Snapshot>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port for Remote {
    fn state(&self) -> Arc<Snapshot> {
        self.shared.state.load_full()
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.shared.revisions.subscribe()
    }

    fn link(&self) -> Link {
        match &*lock(&self.shared.line) {
            Ok(_) => Link::Attached,
            Err(lost) => Link::Lost { since: lost.since, reason: lost.reason.clone() },
        }
    }

    fn run(&self, act: Act) -> Fut<'_, Result<JobId, Refusal>> {
        Box::pin(async move {
            let line = self.shared.line()?;
            line.question(Waiter::Run, |id| ToOwner::Run { id, act }).await
        })
    }

    fn ask(&self, query: Query) -> Fut<'_, Result<Answer, Refusal>> {
        Box::pin(async move {
            let line = self.shared.line()?;
            line.question(Waiter::Ask, |id| ToOwner::Ask { id, query }).await
        })
    }

    fn follow(&self, feed: Feed) -> mpsc::Receiver<Chunk> {
        let (chunks, reader) = mpsc::channel(4);
        let opened = self.shared.line().and_then(|line| Ok((line.open_stream(feed)?, line)));
        match opened {
            Ok(((id, arrived), line)) => drop(self.runtime.spawn(hand_over(id, arrived, chunks, line))),
            Err(refusal) => drop(chunks.try_send(Chunk::End(Some(refusal)))),
        }
        reader
    }

    fn pipe(&self, exec: Exec) -> Pipe {
        pipes::open(self.shared.line(), exec, &self.runtime)
    }

    fn interest(&self, interest: Interest) {
        *lock(&self.shared.interest) = interest.clone();
        if let Ok(line) = self.shared.line() {
            line.tell(&ToOwner::Interest(interest));
        }
    }
}

impl Shared {
    fn line(&self) -> Result<Arc<Line>, Refusal> {
        match &*lock(&self.line) {
            Ok(line) => Ok(line.clone()),
            Err(lost) => Err(Refusal::NoOwner(lost.reason.clone())),
        }
    }

    fn set_line(&self, line: Result<Arc<Line>, Lost>) {
        *lock(&self.line) = line;
        self.revisions.send_modify(|r| *r += 1);
    }

    fn set_state(&self, state: Arc<Snapshot>) {
        self.state.store(state);
        self.revisions.send_modify(|r| *r += 1);
    }

    /// The line is gone: remembers since when, and keeps that time over further attempts.
    fn set_lost(&self, reason: &AttachError) {
        let since = match &*lock(&self.line) {
            Ok(_) => Stamp::now(),
            Err(lost) => lost.since,
        };
        self.set_line(Err(Lost { since, reason: reason.to_string() }));
    }
}

impl Line {
    fn new(out: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            out,
            next: AtomicU64::new(1),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            waiting: Mutex::default(),
            streams: Mutex::default(),
            pipes: Mutex::default(),
        }
    }

    fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues a message that may be lost with the connection; a full queue means that the owner does not read.
    fn tell(&self, message: &ToOwner) -> bool {
        wire::encode(message).is_ok_and(|frame| self.out.try_send(frame).is_ok())
    }

    async fn question<T>(
        &self,
        waiter: impl FnOnce(oneshot::Sender<Result<T, Refusal>>, OwnedSemaphorePermit) -> Waiter,
        message: impl FnOnce(u64) -> ToOwner,
    ) -> Result<T, Refusal> {
        let busy = |_| Refusal::Busy(format!("{QUESTIONS} questions wait for the owner's answer"));
        let place = self.questions.clone().try_acquire_owned().map_err(busy)?;
        let id = self.next_id();
        let (reply, answer) = oneshot::channel();
        let frame = wire::encode(&message(id)).map_err(|e| Refusal::Failed(e.to_string()))?;
        lock(&self.waiting).insert(id, waiter(reply, place));
        let gone = || Refusal::NoOwner("it went away before it answered; `mcpdeck journal` tells what was done".into());
        self.out.send(frame).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn open_stream(&self, feed: Feed) -> Result<(u64, mpsc::Receiver<Chunk>), Refusal> {
        let id = self.next_id();
        let (arrive, arrived) = mpsc::channel(WINDOW as usize);
        {
            let mut streams = lock(&self.streams);
            if streams.len() >= STREAMS {
                return Err(Refusal::Busy(format!("{STREAMS} streams are open")));
            }
            streams.insert(id, arrive);
        }
        if self.tell(&ToOwner::Follow { id, feed }) {
            return Ok((id, arrived));
        }
        lock(&self.streams).remove(&id);
        Err(Refusal::Busy("the owner does not read".into()))
    }

    /// Nothing comes any more: wakes everybody who waits.
    fn hang_up(&self) {
        lock(&self.waiting).clear();
        lock(&self.streams).clear();
        lock(&self.pipes).clear();
    }
}

/// Gives a stream's chunks to its reader and tells the owner as they are taken.
async fn hand_over(id: u64, mut arrived: mpsc::Receiver<Chunk>, chunks: mpsc::Sender<Chunk>, line: Arc<Line>) {
    let mut taken = 0;
    loop {
        let chunk = tokio::select! {
            () = chunks.closed() => break,
            chunk = arrived.recv() => chunk,
        };
        let chunk = chunk.unwrap_or_else(|| Chunk::End(Some(Refusal::NoOwner("it went away".into()))));
        let last = matches!(chunk, Chunk::End(_));
        if chunks.send(chunk).await.is_err() || last {
            break;
        }
        taken += 1;
        if taken >= WINDOW / 2 {
            send(&line, &ToOwner::Credit { id, chunks: std::mem::take(&mut taken) }).await;
        }
    }
    if lock(&line.streams).remove(&id).is_some() {
        send(&line, &ToOwner::Drop { id }).await;
    }
}

async fn send(line: &Line, message: &ToOwner) {
    if let Ok(frame) = wire::encode(message) {
        let _ = line.out.send(frame).await;
    }
}

/// Greets the owner and takes in the first state.
async fn open(socket: &Path, face: Face) -> Result<Opened, AttachError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AttachError::NoOwner(socket.to_owned()),
        io::ErrorKind::PermissionDenied => AttachError::Denied(format!("{} is not yours to open", socket.display())),
        _ => AttachError::Wire(WireError::Io(error)),
    })?;
    timeout(HANDSHAKE, greet(stream, face)).await.map_err(|_| WireError::Silent(HANDSHAKE.as_secs()))?
}

async fn greet(mut stream: UnixStream, face: Face) -> Result<Opened, AttachError> {
    // An owner that sends us away closes at once; what it said is still there to read.
    let sent = wire::send_hello(&mut stream, wire::own_version()).await;
    wire::read_hello(&mut stream).await?;
    sent?;
    stream.write_all(&wire::encode(&ToOwner::Attach(face))?).await.map_err(WireError::Io)?;
    loop {
        match wire::read(&mut stream).await? {
            ToConsole::Welcome(_) | ToConsole::Alive => {}
            ToConsole::Full(reason) => return Err(AttachError::Full(reason)),
            ToConsole::Denied(reason) => return Err(AttachError::Denied(reason)),
            ToConsole::Ending => return Err(AttachError::Ending),
            ToConsole::State { seq, delta } => {
                let state = Arc::new(delta.apply(None).map_err(WireError::Misfit)?);
                stream.write_all(&wire::encode(&ToOwner::Ack(seq))?).await.map_err(WireError::Io)?;
                let (read, write) = stream.into_split();
                let (out, queue) = mpsc::channel(OUT_FRAMES);
                return Ok(Opened { read, write, queue, line: Arc::new(Line::new(out)), state });
            }
            _ => return Err(WireError::Breach("an answer before the first state").into()),
        }
    }
}

/// Serves one connection after the other for as long as anybody holds the handle.
async fn stay_attached(shared: Arc<Shared>, socket: PathBuf, face: Face, mut opened: Option<Opened>) {
    let mut pause = BACKOFF.0;
    loop {
        let ended = match opened.take() {
            Some(connection) => {
                pause = BACKOFF.0;
                AttachError::Wire(converse(&shared, connection).await)
            }
            None => match open(&socket, face).await {
                Ok(connection) => {
                    opened = Some(connection);
                    continue;
                }
                Err(error) => error,
            },
        };
        shared.set_lost(&ended);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// Runs a connection to its end.
async fn converse(shared: &Shared, opened: Opened) -> WireError {
    let Opened { read, write, queue, line, state } = opened;
    shared.set_state(state);
    line.tell(&ToOwner::Interest(lock(&shared.interest).clone()));
    shared.set_line(Ok(line.clone()));
    let ended = tokio::select! {
        error = listen(shared, &line, read) => error,
        error = write_frames(write, queue) => error,
    };
    line.hang_up();
    ended
}

async fn listen(shared: &Shared, line: &Line, mut read: OwnedReadHalf) -> WireError {
    loop {
        let message = match timeout(SILENCE, wire::read(&mut read)).await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => return error,
            Err(_) => return WireError::Silent(SILENCE.as_secs()),
        };
        if let Err(error) = take(shared, line, message).await {
            return error;
        }
    }
}

async fn take(shared: &Shared, line: &Line, message: ToConsole) -> Result<(), WireError> {
    match message {
        ToConsole::State { seq, delta } => {
            let state = delta.apply(Some(&shared.state.load_full()))?;
            shared.set_state(Arc::new(state));
            send(line, &ToOwner::Ack(seq)).await;
        }
        ToConsole::Ran { id, result } => match lock(&line.waiting).remove(&id) {
            Some(Waiter::Run(reply, _place)) => drop(reply.send(result)),
            _ => return Err(WireError::Breach("an answer nobody asked for")),
        },
        ToConsole::Answered { id, result } => match lock(&line.waiting).remove(&id) {
            Some(Waiter::Ask(reply, _place)) => drop(reply.send(result)),
            _ => return Err(WireError::Breach("an answer nobody asked for")),
        },
        ToConsole::Chunk { id, chunk } => deliver(line, id, chunk)?,
        ToConsole::Output { id, output } => pipes::deliver(line, id, output)?,
        ToConsole::Taken { id, pieces } => pipes::taken(line, id, pieces)?,
        ToConsole::Welcome(_) | ToConsole::Alive => {}
        ToConsole::Full(_) | ToConsole::Denied(_) | ToConsole::Ending => return Err(WireError::Closed),
    }
    Ok(())
}

/// Puts a chunk into its stream; the window leaves room for it. A stream that was just dropped is passed over.
fn deliver(line: &Line, id: u64, chunk: Chunk) -> Result<(), WireError> {
    let mut streams = lock(&line.streams);
    let Some(stream) = streams.get(&id) else { return Ok(()) };
    let last = matches!(chunk, Chunk::End(_));
    if let Err(mpsc::error::TrySendError::Full(_)) = stream.try_send(chunk) {
        return Err(WireError::Breach("more chunks than the window holds"));
    }
    if last {
        streams.remove(&id);
    }
    Ok(())
}

async fn write_frames(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) -> WireError {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = write.write_all(&frame).await {
            return WireError::Io(error);
        }
    }
    WireError::Closed
}
